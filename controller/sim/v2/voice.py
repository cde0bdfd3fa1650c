"""The words of OCPP 2.0.1 for what happens to a simulated station: events numbered from 0 from cable to cable (E01, E04)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.evse import Evse
from controller.sim.profiles import ProfileStore
from controller.sim.samples import Sample, samples
from controller.sim.v2.commands import COMMANDS
from controller.sim.voice import Ending, Handler, Moment, Outgoing, Settings
from controller.sim.wire import Payload

if TYPE_CHECKING:
    from controller.sim.station import SimStation, StationSpec

TRIGGERS = {
    Moment.PLUGGED: "CablePluggedIn",
    Moment.AUTHORISED: "Authorized",
    Moment.STARTED_REMOTELY: "RemoteStart",
    Moment.STATE_CHANGED: "ChargingStateChanged",
    Moment.RATE_CHANGED: "ChargingRateChanged",
    Moment.MODE_CHANGED: "OperationModeChanged",
    Moment.SAMPLE_DUE: "MeterValuePeriodic",
    Moment.ASKED_FOR: "Trigger",
}
ENDINGS = {
    Ending.UNPLUGGED: ("EVCommunicationLost", "EVDisconnected"),
    Ending.REMOTE: ("RemoteStop", "Remote"),
    Ending.REFUSED: ("Deauthorized", "DeAuthorized"),
    Ending.RESET: ("ResetCommand", "ImmediateReset"),
    Ending.HARD_RESET: ("ResetCommand", "ImmediateReset"),
    Ending.UNLOCKED: ("UnlockCommand", "Other"),
    Ending.POWER_LOST: ("AbnormalCondition", "PowerLoss"),
}


class Voice201:
    """OCPP 2.0.1. See ``controller.sim.voice.Voice`` for what each function promises."""

    version = "2.0.1"
    heartbeat = ("OCPPCommCtrlr", "HeartbeatInterval")
    sample = ("SampledDataCtrlr", "TxUpdatedInterval")
    tells_rate = True
    tells_mode = False
    tells_needs = True
    early: tuple[str, ...] = ("TriggerMessage", "GetBaseReport", "GetVariables", "SetVariables")
    unreadable = "FormatViolation"

    @property
    def commands(self) -> Mapping[str, Handler]:
        """What the station obeys, by action."""
        return COMMANDS

    def settings(self, spec: StationSpec) -> Settings:
        """Two variables that matter."""
        return {self.heartbeat: "60", self.sample: str(int(spec.sample_s))}

    def profiles(self, evse_ids: tuple[int, ...]) -> ProfileStore:
        """The rules of 2.x."""
        return ProfileStore(evse_ids)

    def boot(self, spec: StationSpec, reason: str) -> Payload:
        """BootNotification."""
        box = {"model": spec.model[:20], "vendorName": spec.vendor, "serialNumber": spec.serial[:25], "firmwareVersion": "1.0.0"}
        return {"chargingStation": box, "reason": reason}

    def welcomed(self, station: SimStation, at: Stamp) -> None:
        """The statuses follow by themselves."""

    def status(self, evse: Evse) -> str:
        """connectorStatus."""
        if evse.car is not None:
            return "Occupied"
        return "Available" if evse.operative else "Unavailable"

    def status_call(self, at: Stamp, evse: Evse) -> tuple[str, Payload]:
        """StatusNotification."""
        body = {"timestamp": wire.iso(at.wall_s), "connectorStatus": self.status(evse), "evseId": evse.spec.id, "connectorId": 1}
        return "StatusNotification", body

    def authorize(self, token: Payload) -> Payload:
        """Authorize."""
        return {"idToken": token}

    def happened(self, station: SimStation, at: Stamp, evse: Evse, moment: Moment) -> None:
        """The next TransactionEvent."""
        transaction = evse.transaction
        assert transaction is not None
        extra, info = {}, {}
        released = moment in (Moment.AUTHORISED, Moment.STARTED_REMOTELY)
        if released:
            extra = {"idToken": transaction.id_token}
            info = {} if transaction.remote_start_id is None else {"remoteStartId": transaction.remote_start_id}
        self._event(station, at, evse, "Started" if moment is Moment.PLUGGED else "Updated", TRIGGERS[moment], extra, info)
        if released and evse.car is not None and evse.car.spec.announces:
            station.say("NotifyEVChargingNeeds", self._needs(evse), evse.spec.id)

    def ended(self, station: SimStation, at: Stamp, evse: Evse, ending: Ending) -> None:
        """The Ended event."""
        trigger, reason = ENDINGS[ending]
        self._event(station, at, evse, "Ended", trigger, {}, {"stoppedReason": reason})

    def meter_values(self, station: SimStation, at: Stamp, evse: Evse) -> None:
        """MeterValues."""
        station.say("MeterValues", {"evseId": evse.spec.id, "meterValue": [_meter_value(at, evse, "Trigger")]})

    def answered(self, station: SimStation, at: Stamp, call: Outgoing, payload: Payload) -> None:
        """idTokenInfo of an Authorize or a TransactionEvent (E05)."""
        info = payload.get("idTokenInfo")
        if info is not None and call.action in ("Authorize", "TransactionEvent"):
            station.permit(at, call, info.get("status") == "Accepted")

    def lost_link(self, payload: Payload) -> None:
        """E04.FR.03."""
        payload["offline"] = True

    def ready(self, call: Outgoing) -> None:
        """Nothing is left open."""

    def sends(self, station: SimStation, at: Stamp) -> list[str]:
        """2.0.1 has none."""
        return []

    def _event(self, station: SimStation, at: Stamp, evse: Evse, kind: str, trigger: str, extra: Payload, info: Payload) -> None:
        transaction = evse.transaction
        assert transaction is not None
        state = "Idle" if trigger == "EVCommunicationLost" else transaction.state
        context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Trigger" if trigger == "Trigger" else "Sample.Periodic")
        payload: Payload = {
            "eventType": kind,
            "timestamp": wire.iso(at.wall_s),
            "triggerReason": trigger,
            "seqNo": transaction.next_seq_no(),
            "transactionInfo": {"transactionId": transaction.session.transaction_id, "chargingState": state, **info},
            "meterValue": [_meter_value(at, evse, context)],
            **extra,
        }
        if not transaction.evse_told:  # E01: told once
            payload["evse"] = {"id": evse.spec.id, "connectorId": 1}
            transaction.evse_told = True
        if state == "Charging" and evse.car is not None:
            payload["numberOfPhasesUsed"] = evse.car.phases
        station.keep("TransactionEvent", payload, evse)
        station.told(at, evse)

    def _needs(self, evse: Evse) -> Payload:
        car = evse.car
        assert car is not None
        kind = {1: "AC_single_phase", 2: "AC_two_phase"}.get(car.phases, "AC_three_phase")
        parameters = {
            "energyAmount": round(car.missing_wh),
            "evMinCurrent": 6,
            "evMaxCurrent": int(car.spec.max_current_a),
            "evMaxVoltage": 400,
        }
        needs = {"requestedEnergyTransfer": kind, "departureTime": wire.iso(car.spec.departure_wall_s), "acChargingParameters": parameters}
        return {"evseId": evse.spec.id, "chargingNeeds": needs}


def _meter_value(at: Stamp, evse: Evse, context: str) -> Payload:
    return {"timestamp": wire.iso(at.wall_s), "sampledValue": [_sampled(sample, context) for sample in samples(evse, with_soc=True)]}


def _sampled(sample: Sample, context: str) -> Payload:
    found: Payload = {
        "value": round(sample.value, 2),
        "measurand": sample.measurand,
        "context": context,
        "unitOfMeasure": {"unit": sample.unit},
    }
    return {**found, "phase": sample.phase} if sample.phase else found
