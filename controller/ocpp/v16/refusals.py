"""The valid "no" of each action a CSMS may send to a 1.6 station, the security whitepaper's included.

Some answers have no word for "no": {} to GetDiagnostics would say that there is nothing to upload, {}
to UpdateFirmware that the update is under way. They are not given at all; the caller answers with
CALLERROR NotSupported, as it does where a request cannot be read.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.dialect import Payload

_REJECTED: Final = (
    *("CancelReservation", "CertificateSigned", "ChangeAvailability", "ChangeConfiguration", "ClearCache", "DataTransfer"),
    *("ExtendedTriggerMessage", "GetCompositeSchedule", "GetLog", "InstallCertificate", "RemoteStartTransaction"),
    *("RemoteStopTransaction", "ReserveNow", "Reset", "SetChargingProfile", "SignedUpdateFirmware", "TriggerMessage"),
)
_REFUSALS: Final[dict[str, Payload]] = {
    **{action: {"status": "Rejected"} for action in _REJECTED},
    # The nearest to "no" these answers have.
    "ClearChargingProfile": {"status": "Unknown"},
    "DeleteCertificate": {"status": "Failed"},
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "SendLocalList": {"status": "Failed"},
    "UnlockConnector": {"status": "NotSupported"},
    # The version's word for "local lists are not supported" (16 5.10).
    "GetLocalListVersion": {"listVersion": -1},
}
MAX_KEY_CHARS: Final = 50


def refuse(action: str, payload: Payload) -> Payload | None:
    """The refusal of an action; None if it has none."""
    if action == "GetConfiguration":
        return _no_keys(payload.get("key"))
    found = _REFUSALS.get(action)
    return dict(found) if found is not None else None


def _no_keys(asked: Any) -> Payload:
    """Every key that was asked for is unknown; who asked for all gets none."""
    if not isinstance(asked, list) or not asked:
        return {"configurationKey": []}
    return {"unknownKey": [key for key in asked if isinstance(key, str) and len(key) <= MAX_KEY_CHARS]}
