"""What Yardmaster answers to a 1.6 station for an absent CSMS.

Only the version's own words are used, so that every answer validates against the schema. While
the CSMS is away nothing is promised in its name that it has not said before: authorisation comes
from its own earlier answers, certificates are not issued, transactions are only taken to disk.
"""

from __future__ import annotations

from typing import Final

from controller.facts import Stamp
from controller.ocpp.dialect import Payload, TokenLookup
from controller.ocpp.times import timestamp
from controller.ocpp.v16 import tokens

BOOT_INTERVAL_S: Final = 60
PENDING_INTERVAL_S: Final = 10
NO_TRANSACTION: Final = 0
"""Stands for the id in the answer to a start until ``assign_transaction`` puts a real one there (16E 3.54)."""

_FIXED: Final[dict[str, Payload]] = {
    "StatusNotification": {},
    "MeterValues": {},
    "DiagnosticsStatusNotification": {},
    "FirmwareStatusNotification": {},
    "LogStatusNotification": {},
    "SecurityEventNotification": {},
    "SignedFirmwareStatusNotification": {},
    "DataTransfer": {"status": "Rejected"},
    "SignCertificate": {"status": "Rejected"},
}


def answer(at: Stamp, action: str, payload: Payload, known: TokenLookup) -> Payload | None:
    """The local answer, None if there is none for this action."""
    if action == "BootNotification":
        return _boot(at)
    if action == "Heartbeat":
        return {"currentTime": timestamp(at.wall_s)}
    if action == "Authorize":
        return {"idTagInfo": tokens.local_info(payload.get("idTag"), known)}
    if action == "StartTransaction":
        return {"transactionId": NO_TRANSACTION, "idTagInfo": tokens.local_info(payload.get("idTag"), known)}
    if action == "StopTransaction":
        return _stop(payload, known)
    fixed = _FIXED.get(action)
    return dict(fixed) if fixed is not None else None


def _boot(at: Stamp) -> Payload:
    # Without a trusted clock nobody is told a time (F78): the station waits and asks again.
    status, interval_s = ("Accepted", BOOT_INTERVAL_S) if at.wall_trusted else ("Pending", PENDING_INTERVAL_S)
    return {"status": status, "currentTime": timestamp(at.wall_s), "interval": interval_s}


def _stop(payload: Payload, known: TokenLookup) -> Payload:
    """A stop needs no permission: idTagInfo only where the driver is known, it is there for the station's cache (16 5.28)."""
    asked = tokens.token(payload.get("idTag"))
    said = known(asked) if asked is not None else None
    return {} if said is None else {"idTagInfo": tokens.id_tag_info(said)}
