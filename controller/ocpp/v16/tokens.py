"""idTag and idTagInfo of OCPP 1.6 in the neutral shape of ``TokenLookup``, and back (OCPP-NOTES 12.4).

1.6 knows fewer words for "no": what a CSMS of another version said is told as the nearest of them.
An idTag has at most 20 characters and compares without case; a longer one is nobody's (B29).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from controller.ocpp.dialect import ListUpdate, Payload, TokenLookup
from controller.ocpp.times import timestamp, wall_time

MAX_ID_TAG_CHARS: Final = 20
_STATUSES: Final = {
    **{word: word for word in ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx")},
    "NoCredit": "Blocked",
}
"""Any other word of 2.x (Unknown, NotAllowedTypeEVSE, NotAtThisLocation, NotAtThisTime) is Invalid."""
_CARRIERS: Final = ("Authorize", "StartTransaction", "StopTransaction")
"""Messages that carry an idTag, and whose answers say about it."""


def token(id_tag: Any) -> Payload | None:
    """idToken of an idTag; None for what is none."""
    usable = isinstance(id_tag, str) and 0 < len(id_tag) <= MAX_ID_TAG_CHARS
    return {"idToken": id_tag, "type": ""} if usable else None


def info(id_tag_info: Any) -> Payload | None:
    """idTokenInfo of an idTagInfo; None without a status."""
    if not isinstance(id_tag_info, dict) or not isinstance(id_tag_info.get("status"), str):
        return None
    found: Payload = {"status": id_tag_info["status"]}
    parent = token(id_tag_info.get("parentIdTag"))
    if wall_time(id_tag_info.get("expiryDate")) is not None:
        found["cacheExpiryDateTime"] = id_tag_info["expiryDate"]
    return found if parent is None else found | {"groupIdToken": parent}


def id_tag_info(found: Payload | None) -> Payload:
    """idTagInfo of an idTokenInfo; Invalid where nobody knows the driver."""
    if found is None:
        return {"status": "Invalid"}
    answer: Payload = {"status": _STATUSES.get(str(found.get("status")), "Invalid")}
    expiry_wall_s, group = wall_time(found.get("cacheExpiryDateTime")), found.get("groupIdToken")
    if expiry_wall_s is not None:
        answer["expiryDate"] = timestamp(expiry_wall_s)
    parent = token(group.get("idToken")) if isinstance(group, dict) else None
    return answer if parent is None else answer | {"parentIdTag": parent["idToken"]}


def local_info(id_tag: Any, known: TokenLookup) -> Payload:
    """idTagInfo from what the CSMS said before."""
    asked = token(id_tag)
    return id_tag_info(known(asked) if asked is not None else None)


def answered(action: str, request: Payload, result: Payload) -> tuple[Payload, Payload] | None:
    """(idToken, idTokenInfo) in an answer of the CSMS; None if it says nothing of a driver."""
    asked, said = token(request.get("idTag")), info(result.get("idTagInfo"))
    return (asked, said) if action in _CARRIERS and asked is not None and said is not None else None


def deauthorised(action: str, result: Payload) -> bool:
    """Whether the answer to a start says no. Whoever ends a transaction need not be allowed to charge."""
    said = info(result.get("idTagInfo")) if action == "StartTransaction" else None
    return said is not None and said["status"] != "Accepted"


# -- local list ------------------------------------------------------------------------------------------


def list_update(action: str, request: Payload, result: Payload) -> ListUpdate | None:
    """SendLocalList as the station took it; a version of 0 or less is no list (16 5.10)."""
    version, kind = request.get("listVersion"), request.get("updateType")
    if action != "SendLocalList" or result.get("status") != "Accepted" or kind not in ("Full", "Differential"):
        return None
    if not isinstance(version, int) or isinstance(version, bool) or version <= 0:
        return None
    return ListUpdate(version, kind == "Full", tuple(_entries(request, kind == "Full")))


def _entries(request: Payload, full: bool) -> Iterator[tuple[Payload, Payload | None]]:
    """An entry without idTagInfo removes; in a full list it means nothing. One that cannot be read is left out."""
    entries = request.get("localAuthorizationList")
    for entry in entries if isinstance(entries, list) else []:
        listed = token(entry.get("idTag")) if isinstance(entry, dict) else None
        said = info(entry.get("idTagInfo")) if listed is not None else None
        if listed is not None and (said is not None or ("idTagInfo" not in entry and not full)):
            yield listed, said


def list_version(action: str, result: Payload) -> int | None:
    """listVersion of GetLocalListVersion: 0 = empty, -1 = lists are not supported."""
    version = result.get("listVersion")
    known = action == "GetLocalListVersion" and isinstance(version, int) and not isinstance(version, bool)
    return version if known else None
