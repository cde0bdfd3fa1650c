"""What happens to each message: one table, action x direction x state of the upstream.

The table is the documented list of places where Yardmaster is not a plain wire (promise P8).
It decides; it does nothing. Rows are per OCPP 2.0.1 action names; an action without a row is
relayed while the CSMS is there and answered with an error while it is not, so unknown and
``*-Signed`` actions pass (OCPP-NOTES 3.3).

relay: the same text goes on, byte for byte. hold: on disk first, then answered here, sent up
later. answer: answered here from what we know. intercept: read, stored and answered here, never
reaches the other side. refuse: answered here with the action's own "no".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """What to do with a message."""

    RELAY = "relay"
    HOLD = "hold"
    ANSWER = "answer"
    INTERCEPT = "intercept"
    REFUSE = "refuse"


class Upstream(StrEnum):
    """State of a station's upstream as the policy sees it."""

    OPEN = "open"
    AWAY = "away"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Row:
    """Verbs of one action by upstream state."""

    open: Verb
    away: Verb
    none: Verb

    def verb(self, upstream: Upstream) -> Verb:
        """The verb for a state."""
        return {Upstream.OPEN: self.open, Upstream.AWAY: self.away, Upstream.NONE: self.none}[upstream]


_ANSWERED = Row(Verb.RELAY, Verb.ANSWER, Verb.ANSWER)
_KEPT = Row(Verb.RELAY, Verb.HOLD, Verb.ANSWER)
_OURS = Row(Verb.INTERCEPT, Verb.INTERCEPT, Verb.INTERCEPT)
_NEVER = Row(Verb.REFUSE, Verb.REFUSE, Verb.REFUSE)
_THROUGH = Row(Verb.RELAY, Verb.REFUSE, Verb.REFUSE)

FROM_STATION: dict[str, Row] = {
    # What costs money or evidence if it is lost waits on disk.
    "TransactionEvent": _KEPT,
    "MeterValues": _KEPT,
    "SecurityEventNotification": _KEPT,
    "ReservationStatusUpdate": _KEPT,
    "FirmwareStatusNotification": _KEPT,
    "LogStatusNotification": _KEPT,
    "NotifyEvent": _KEPT,
    # What only matters now is answered; the current state is told when the CSMS is back.
    "Authorize": _ANSWERED,
    "BootNotification": _ANSWERED,
    "Heartbeat": _ANSWERED,
    "StatusNotification": _ANSWERED,
    "NotifyEVChargingNeeds": _ANSWERED,
    "NotifyEVChargingSchedule": _ANSWERED,
    "NotifyChargingLimit": _ANSWERED,
    "ClearedChargingLimit": _ANSWERED,
    "NotifyCustomerInformation": _ANSWERED,
    "NotifyDisplayMessages": _ANSWERED,
    "NotifyMonitoringReport": _ANSWERED,
    "NotifyReport": _ANSWERED,
    "PublishFirmwareStatusNotification": _ANSWERED,
    "ReportChargingProfiles": _ANSWERED,
    "DataTransfer": _ANSWERED,
    "Get15118EVCertificate": _ANSWERED,
    "GetCertificateStatus": _ANSWERED,
    "SignCertificate": _ANSWERED,
}

FROM_CSMS: dict[str, Row] = {
    # The station's stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6).
    "SetChargingProfile": _OURS,
    "ClearChargingProfile": _OURS,
    "GetChargingProfiles": _OURS,
    "GetCompositeSchedule": _OURS,
    # Answered from both queues (E14, trap 10); the session relays it when nothing is queued.
    "GetTransactionStatus": _OURS,
    # Carries a charging profile that must not reach the station (K05); the rest goes on.
    "RequestStartTransaction": _OURS,
    # Would move the station past the fuse guard (F27).
    "SetNetworkProfile": _NEVER,
    # Read for the variables that would do the same; otherwise goes on.
    "SetVariables": _OURS,
    "CancelReservation": _THROUGH,
    "CertificateSigned": _THROUGH,
    "ChangeAvailability": _THROUGH,
    "ClearCache": _THROUGH,
    "ClearDisplayMessage": _THROUGH,
    "ClearVariableMonitoring": _THROUGH,
    "CostUpdated": _THROUGH,
    "CustomerInformation": _THROUGH,
    "DataTransfer": _THROUGH,
    "DeleteCertificate": _THROUGH,
    "GetBaseReport": _THROUGH,
    "GetDisplayMessages": _THROUGH,
    "GetInstalledCertificateIds": _THROUGH,
    "GetLocalListVersion": _THROUGH,
    "GetLog": _THROUGH,
    "GetMonitoringReport": _THROUGH,
    "GetReport": _THROUGH,
    "GetVariables": _THROUGH,
    "InstallCertificate": _THROUGH,
    "PublishFirmware": _THROUGH,
    "RequestStopTransaction": _THROUGH,
    "ReserveNow": _THROUGH,
    "Reset": _THROUGH,
    "SendLocalList": _THROUGH,
    "SetDisplayMessage": _THROUGH,
    "SetMonitoringBase": _THROUGH,
    "SetMonitoringLevel": _THROUGH,
    "SetVariableMonitoring": _THROUGH,
    "TriggerMessage": _THROUGH,
    "UnlockConnector": _THROUGH,
    "UnpublishFirmware": _THROUGH,
    "UpdateFirmware": _THROUGH,
}

_UNKNOWN_UP = Row(Verb.RELAY, Verb.REFUSE, Verb.REFUSE)


def from_station(action: str, upstream: Upstream) -> Verb:
    """Verb for a CALL of a station."""
    return FROM_STATION.get(action, _UNKNOWN_UP).verb(upstream)


def from_csms(action: str, upstream: Upstream = Upstream.OPEN) -> Verb:
    """Verb for a CALL of the CSMS."""
    return FROM_CSMS.get(action, _THROUGH).verb(upstream)
