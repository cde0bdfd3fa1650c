"""The words of OCPP 1.6J for what happens to a simulated station.

A transaction exists from the authorisation on and has the number the CSMS answers with; until that answer
is there its messages wait behind the start (16 3.7, 5.11). States are told as statuses of the connector, measurements as
text in MeterValues at a fixed interval; nothing says that a message comes late, and no car says what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.evse import Evse, Transaction
from controller.sim.profiles import ProfileStore
from controller.sim.samples import Sample, samples
from controller.sim.v16.commands import COMMANDS
from controller.sim.v16.profiles import ProfileStore16
from controller.sim.voice import Ending, Handler, Moment, Outgoing, Settings
from controller.sim.wire import Payload

if TYPE_CHECKING:
    from controller.sim.station import SimStation, StationSpec

MAX_ID_TAG = 20
NO_TRANSACTION = -1
"""Of a transaction whose start nobody has answered (16E 3.18)."""
REASONS = {
    Ending.UNPLUGGED: "EVDisconnected",
    Ending.REMOTE: "Remote",
    Ending.REFUSED: "DeAuthorized",
    Ending.RESET: "SoftReset",
    Ending.HARD_RESET: "HardReset",
    Ending.UNLOCKED: "UnlockCommand",
    Ending.POWER_LOST: "PowerLoss",
}


class Voice16:
    """OCPP 1.6J. See ``controller.sim.voice.Voice`` for what each function promises."""

    version = "1.6"
    heartbeat = ("", "HeartbeatInterval")
    sample = ("", "MeterValueSampleInterval")
    tells_rate = False
    tells_mode = False
    tells_needs = False
    early: tuple[str, ...] = ("TriggerMessage", "GetConfiguration", "ChangeConfiguration")
    unreadable = "FormationViolation"

    @property
    def commands(self) -> Mapping[str, Handler]:
        """What the station obeys, by action."""
        return COMMANDS

    def settings(self, spec: StationSpec) -> Settings:
        """The keys that can be changed; ``v16.commands`` has the fixed ones."""
        return {self.heartbeat: "60", self.sample: str(int(spec.sample_s))}

    def profiles(self, evse_ids: tuple[int, ...]) -> ProfileStore:
        """The rules of 1.6."""
        return ProfileStore16(evse_ids)

    def boot(self, spec: StationSpec, reason: str) -> Payload:
        """BootNotification; 1.6 gives no reason."""
        return {
            "chargePointVendor": spec.vendor[:20],
            "chargePointModel": spec.model[:20],
            "chargePointSerialNumber": spec.serial[:25],
            "firmwareVersion": "1.0.0",
        }

    def welcomed(self, station: SimStation, at: Stamp) -> None:
        """Connector 0 is the station itself (16 4.9)."""
        station.say("StatusNotification", _status_body(at, 0, "Available"))

    def status(self, evse: Evse) -> str:
        """The connector's status (16 4.9)."""
        if evse.car is None:
            return "Available" if evse.operative else "Unavailable"
        transaction = evse.transaction
        if transaction is None or not transaction.authorised:
            return "Finishing" if evse.served else "Preparing"
        return "Preparing" if transaction.state == "EVConnected" else transaction.state

    def status_call(self, at: Stamp, evse: Evse) -> tuple[str, Payload]:
        """StatusNotification."""
        return "StatusNotification", _status_body(at, evse.spec.id, self.status(evse))

    def authorize(self, token: Payload) -> Payload:
        """Authorize."""
        return {"idTag": _id_tag(token)}

    def happened(self, station: SimStation, at: Stamp, evse: Evse, moment: Moment) -> None:
        """A start, or the values that are due; all else is in the statuses."""
        transaction = evse.transaction
        assert transaction is not None
        if moment in (Moment.AUTHORISED, Moment.STARTED_REMOTELY):
            begun = {"idTag": _id_tag(transaction.id_token), "meterStart": round(evse.register_wh), "timestamp": wire.iso(at.wall_s)}
            station.keep("StartTransaction", {"connectorId": evse.spec.id, **begun}, evse)
            station.told(at, evse)
        elif moment is Moment.SAMPLE_DUE:
            station.keep("MeterValues", self._values(at, evse, "Sample.Periodic"), evse)
            station.told(at, evse)

    def ended(self, station: SimStation, at: Stamp, evse: Evse, ending: Ending) -> None:
        """StopTransaction, if there was a start."""
        transaction = evse.transaction
        assert transaction is not None
        if not transaction.authorised:
            return
        body = {
            "transactionId": NO_TRANSACTION,
            "meterStop": round(evse.register_wh),
            "timestamp": wire.iso(at.wall_s),
            "reason": REASONS[ending],
            "idTag": _id_tag(transaction.id_token),
        }
        station.keep("StopTransaction", body, evse)

    def meter_values(self, station: SimStation, at: Stamp, evse: Evse) -> None:
        """MeterValues, of the transaction if one runs."""
        station.say("MeterValues", self._values(at, evse, "Trigger"), evse.spec.id)

    def answered(self, station: SimStation, at: Stamp, call: Outgoing, payload: Payload) -> None:
        """The transaction's number, and whether its driver may charge."""
        if call.action == "StartTransaction" and call.transaction is not None:
            call.transaction.session = replace(call.transaction.session, transaction_id=str(payload["transactionId"]))
            call.transaction.numbered = True
        if call.action in ("Authorize", "StartTransaction"):
            station.permit(at, call, payload["idTagInfo"].get("status") == "Accepted")

    def lost_link(self, payload: Payload) -> None:
        """1.6 has no word for it."""

    def ready(self, call: Outgoing) -> None:
        """The transaction's number is known by now, unless its start was never answered."""
        if "transactionId" in call.payload:
            call.payload["transactionId"] = _number(call.transaction)

    def sends(self, station: SimStation, at: Stamp) -> list[str]:
        """1.6 has none."""
        return []

    @staticmethod
    def _values(at: Stamp, evse: Evse, context: str) -> Payload:
        value = {"timestamp": wire.iso(at.wall_s), "sampledValue": [_sampled(sample, context) for sample in samples(evse, with_soc=False)]}
        running = evse.transaction is not None and evse.transaction.authorised
        return {"connectorId": evse.spec.id, **({"transactionId": NO_TRANSACTION} if running else {}), "meterValue": [value]}


def _status_body(at: Stamp, connector_id: int, status: str) -> Payload:
    return {"connectorId": connector_id, "errorCode": "NoError", "status": status, "timestamp": wire.iso(at.wall_s)}


def _id_tag(token: Payload) -> str:
    return str(token["idToken"])[:MAX_ID_TAG]


def _number(transaction: Transaction | None) -> int:
    return int(transaction.session.transaction_id) if transaction is not None and transaction.numbered else NO_TRANSACTION


def _sampled(sample: Sample, context: str) -> Payload:
    """Values are text (16 7.43)."""
    found = {"value": f"{sample.value:.2f}", "context": context, "measurand": sample.measurand, "unit": sample.unit}
    return {**found, "phase": sample.phase} if sample.phase else found
