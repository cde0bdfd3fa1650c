"""Drivers' cards between 1.6 and the hub, both ways: idTag <-> idToken, idTagInfo <-> idTokenInfo (OCPP-NOTES 12.4).

An idTag has at most 20 characters and no type. What does not come back by itself from an idTag - a longer token, or one of another
type than its looks suggest - is remembered under its idTag, so that a driver is the same driver both ways, in local lists too, and
after a restart (trap 28). A long token's alias is computed from it, so it is the same for ever. Cards compare without case.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final

from controller.ocpp.hub import Memory, Payload, Wording
from controller.ocpp.times import timestamp, wall_time
from controller.ocpp.v16.words import TOKEN_STATUS_DOWN

MAX_TAG_CHARS: Final = 20
KEPT: Final = 20_000
"""So many tokens are remembered at a site, the oldest are forgotten first; more than the longest local list."""
_CARD: Final = re.compile(r"(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{14}|[0-9a-fA-F]{20})")
_MARK: Final = "Y"


class Aliases:
    """Cards of one site. memory: keys "tag:..." and "tags"; whoever changed it yields ``Keep`` before the idTag goes out."""

    def __init__(self, memory: Memory, wording: Wording) -> None:
        self._memory, self._wording = memory, wording

    # -- cards ------------------------------------------------------------------------------------------------

    def token(self, id_tag: Any, *, remote: bool = False) -> Payload:
        """idToken of an idTag. remote: a CSMS's word in a remote start, whose type is Central if it is no card."""
        tag = str(id_tag)
        known = self._memory.get(_key(tag))
        if known is not None:
            return {"idToken": known[0], "type": known[1]}
        return self._plain(tag, "Central" if remote else self._wording.token_type)

    def _plain(self, tag: str, other: str) -> Payload:
        """What an idTag looks like by itself."""
        if tag.upper() == self._wording.anonymous_tag.upper():
            return {"idToken": "", "type": "NoAuthorization"}
        return {"idToken": tag, "type": "ISO14443" if _CARD.fullmatch(tag) else other}

    def tag(self, id_token: Any) -> str:
        """idTag of an idToken; remembers what an idTag alone would not give back."""
        token = id_token if isinstance(id_token, dict) else {}
        text, kind = str(token.get("idToken", "")), str(token.get("type", ""))
        if kind == "NoAuthorization" or not text:
            return self._wording.anonymous_tag[:MAX_TAG_CHARS]
        tag = text if len(text) <= MAX_TAG_CHARS else alias(text)
        if self.token(tag) != {"idToken": text, "type": kind}:
            self._remember(tag, text, kind)
        return tag

    def _remember(self, tag: str, text: str, kind: str) -> None:
        key = _key(tag)
        if self._memory.get(key) is None:
            count = int(self._memory.get("tags", 0))
            slot = f"tagslot:{count % KEPT}"
            oldest = self._memory.get(slot)
            if oldest is not None:
                self._memory.put(str(oldest), None)
            self._memory.put(slot, key)
            self._memory.put("tags", count + 1)
        self._memory.put(key, [text, kind])

    # -- what is said of them -----------------------------------------------------------------------------------

    def tag_info(self, info: Any, evse_id: int = 0) -> Payload:
        """idTagInfo of an idTokenInfo; Invalid where nothing is said. evse_id: where the driver wants to charge, 0 = not known: a token that
        is not for this EVSE (idTokenInfo.evseId) is Invalid there."""
        if not isinstance(info, dict):
            return {"status": "Invalid"}
        places = info.get("evseId")
        elsewhere = evse_id > 0 and isinstance(places, list) and places and evse_id not in places
        made: Payload = {"status": "Invalid" if elsewhere else TOKEN_STATUS_DOWN.get(str(info.get("status")), "Invalid")}
        expiry_wall_s = wall_time(info.get("cacheExpiryDateTime"))
        if expiry_wall_s is not None:
            made["expiryDate"] = timestamp(expiry_wall_s)
        if isinstance(info.get("groupIdToken"), dict):
            made["parentIdTag"] = self.tag(info["groupIdToken"])
        return made

    def token_info(self, info: Any) -> Payload:
        """idTokenInfo of an idTagInfo; Invalid where nothing is said."""
        if not isinstance(info, dict):
            return {"status": "Invalid"}
        status = info.get("status")
        made: Payload = {"status": status if status in TOKEN_STATUS_DOWN and status != "NoCredit" else "Invalid"}
        expiry_wall_s = wall_time(info.get("expiryDate"))
        if expiry_wall_s is not None:
            made["cacheExpiryDateTime"] = timestamp(expiry_wall_s)
        if isinstance(info.get("parentIdTag"), str) and info["parentIdTag"]:
            made["groupIdToken"] = self.token(info["parentIdTag"])
        return made


def alias(text: str) -> str:
    """The idTag of a token that is too long for one: 20 characters, the same for ever, whatever its case; never the look of a card."""
    digest = hashlib.sha256(text.casefold().encode("utf-8", "surrogatepass")).digest()
    return _MARK + base64.b32encode(digest).decode("ascii")[: MAX_TAG_CHARS - 1]


def _key(tag: str) -> str:
    return f"tag:{tag.casefold()}"
