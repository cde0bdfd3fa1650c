"""Drivers' tokens between 2.1 (255 characters, any type) and 2.0.1 (36 characters, eight types), both ways (OCPP-NOTES 12.4, 12.12).

What 2.0.1 cannot show as it is gets an alias that is computed from it, and the alias is remembered for the site, so that a driver
comes back as the same driver: in transactions, local lists and reservations, and after a restart (trap 28). Tokens compare without case.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from controller.ocpp.hub import Memory, Payload
from controller.ocpp.v201.words import MAX_TOKEN_CHARS, OTHER_TOKEN_TYPE, TOKEN_TYPES

KEPT: Final = 20_000
"""So many tokens are remembered at a site, the oldest are forgotten first; more than the longest local list."""
_LEFT_ALONE: Final = frozenset({"customData", "data"})


class Tokens:
    """Tokens of one site. memory: keys "token:...", "tokenslot:..." and "tokens"; whoever changed it yields ``Keep`` before sending."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def plain(self, value: Any) -> Any:
        """A payload with all its tokens as 2.0.1 can show them."""
        return _each_token(value, self._shown)

    def restored(self, value: Any) -> Any:
        """A payload of 2.0.1 with all its tokens as they really are."""
        return _each_token(value, self._real)

    def _shown(self, token: Payload) -> Payload:
        text, kind = str(token["idToken"]), str(token["type"])
        shown = text if len(text) <= MAX_TOKEN_CHARS else alias(text)
        shown_kind = kind if kind in TOKEN_TYPES else OTHER_TOKEN_TYPE
        self._remember(_key(shown_kind, shown), None if (shown, shown_kind) == (text, kind) else [text, kind])
        made = {**token, "idToken": shown, "type": shown_kind}
        if isinstance(token.get("additionalInfo"), list):
            fitting = [item for item in token["additionalInfo"] if not _too_long(item)]
            made.pop("additionalInfo")
            made.update({"additionalInfo": fitting} if fitting else {})
        return made

    def _real(self, token: Payload) -> Payload:
        known = self._memory.get(_key(str(token["type"]), str(token["idToken"])))
        return {**token, "idToken": known[0], "type": known[1]} if known is not None else token

    def _remember(self, key: str, value: list[str] | None) -> None:
        """None: this token is what it looks like, whatever looked like it before."""
        if value is not None and self._memory.get(key) is None:
            count = int(self._memory.get("tokens", 0))
            slot = f"tokenslot:{count % KEPT}"
            oldest = self._memory.get(slot)
            if oldest is not None:
                self._memory.put(str(oldest), None)
            self._memory.put(slot, key)
            self._memory.put("tokens", count + 1)
        self._memory.put(key, value)


def alias(text: str) -> str:
    """The token shown for one of more than 36 characters: the same for ever, whatever its case."""
    digest = hashlib.sha256(text.casefold().encode("utf-8", "surrogatepass")).digest()
    return "YM-" + base64.b32encode(digest).decode("ascii")[:28]


def _key(kind: str, text: str) -> str:
    return f"token:{kind}:{text.casefold()}"


def _too_long(info: Any) -> bool:
    text = info.get("additionalIdToken") if isinstance(info, dict) else None
    return isinstance(text, str) and len(text) > MAX_TOKEN_CHARS


def _each_token(value: Any, change: Any) -> Any:
    """A copy with every {idToken, type} changed; what vendors put into a message is left alone."""
    if isinstance(value, list):
        return [_each_token(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("idToken"), str) and isinstance(value.get("type"), str):
        return change(value)
    return {key: item if key in _LEFT_ALONE else _each_token(item, change) for key, item in value.items()}
