"""The words of OCPP 2.1 where they differ from 2.0.1.

Statuses are told as events of the connector's AvailabilityState, transactions name their operation mode, and the
station's power can come as a periodic event stream: SENDs that nobody answers (N11-N15).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.car import MIN_OFFER_A, VOLTAGE_V
from controller.sim.evse import Evse
from controller.sim.profiles import ProfileStore
from controller.sim.v2.commands import COMMANDS
from controller.sim.v2.voice import Voice201
from controller.sim.voice import Handler, Outgoing
from controller.sim.wire import Payload

if TYPE_CHECKING:
    from controller.sim.station import SimStation

STREAM_ID = 1
POWER_MONITOR = 1


class Voice21(Voice201):
    """OCPP 2.1. See ``controller.sim.voice.Voice``. A stream goes on with the CSMS's consent, until the next boot."""

    version = "2.1"
    tells_mode = True

    def __init__(self) -> None:
        self._events = 0
        self._sends = 0
        self._streams = False
        self._next_value_mono_s = 0.0

    @property
    def commands(self) -> Mapping[str, Handler]:
        """What the station obeys, by action."""
        return COMMANDS_21

    def profiles(self, evse_ids: tuple[int, ...]) -> ProfileStore:
        """The rules of 2.x, and Dynamic profiles."""
        return ProfileStore(evse_ids, dynamic=True)

    def welcomed(self, station: SimStation, at: Stamp) -> None:
        """Offer the stream (N11)."""
        self._streams = False
        if station.spec.stream_s:
            parameters = {"interval": station.spec.stream_s, "values": 1}
            stream = {"id": STREAM_ID, "variableMonitoringId": POWER_MONITOR, "params": parameters}
            station.say("OpenPeriodicEventStream", {"constantStreamData": stream})

    def status_call(self, at: Stamp, evse: Evse) -> tuple[str, Payload]:
        """NotifyEvent of AvailabilityState."""
        self._events += 1
        event = {
            "eventId": self._events,
            "timestamp": wire.iso(at.wall_s),
            "trigger": "Delta",
            "actualValue": self.status(evse),
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "Connector", "evse": {"id": evse.spec.id, "connectorId": 1}},
            "variable": {"name": "AvailabilityState"},
        }
        return "NotifyEvent", {"generatedAt": wire.iso(at.wall_s), "seqNo": 0, "tbc": False, "eventData": [event]}

    def answered(self, station: SimStation, at: Stamp, call: Outgoing, payload: Payload) -> None:
        """Also whether the stream is wanted."""
        if call.action == "OpenPeriodicEventStream":
            self._streams, self._next_value_mono_s = payload.get("status") == "Accepted", at.mono_s
        super().answered(station, at, call, payload)

    def sends(self, station: SimStation, at: Stamp) -> list[str]:
        """The power now, when it is due."""
        if not self._streams or at.mono_s < self._next_value_mono_s:
            return []
        self._next_value_mono_s = at.mono_s + station.spec.stream_s
        self._sends += 1
        power_w = sum(evse.power_w for evse in station.evses.values())
        body = {"id": STREAM_ID, "pending": 0, "basetime": wire.iso(at.wall_s), "data": [{"t": 0, "v": f"{power_w:.0f}"}]}
        return [wire.send(f"{station.spec.id}-stream-{self._sends}"[-36:], "NotifyPeriodicEventStream", body)]

    def streams(self, station: SimStation) -> list[Payload]:
        """constantStreamData of the streams that flow (N12)."""
        parameters = {"interval": station.spec.stream_s, "values": 1}
        return [{"id": STREAM_ID, "variableMonitoringId": POWER_MONITOR, "params": parameters}] if self._streams else []

    def _event(self, station: SimStation, at: Stamp, evse: Evse, kind: str, trigger: str, extra: Payload, info: Payload) -> None:
        transaction = evse.transaction
        assert transaction is not None
        transaction.mode = evse.mode if evse.may_deliver else "Idle"
        super()._event(station, at, evse, kind, trigger, extra, {**info, "operationMode": transaction.mode})

    def _needs(self, evse: Evse) -> Payload:
        """Of a car that can give back as ISO 15118-20 has it: a bidirectional mode, and no capacity (Q01)."""
        car, needs = evse.car, super()._needs(evse)
        assert car is not None
        if car.spec.max_discharge_w <= 0.0:
            return needs
        room_wh, above_wh = (1.0 - car.soc) * car.spec.capacity_wh, (car.soc - car.spec.least_soc) * car.spec.capacity_wh
        v2x = {
            "minChargePower": round(MIN_OFFER_A * VOLTAGE_V * car.phases),
            "maxChargePower": round(car.spec.max_current_a * VOLTAGE_V * car.phases),
            "minDischargePower": 500,
            "maxDischargePower": round(car.spec.max_discharge_w),
            "evTargetEnergyRequest": round(car.missing_wh),
            "evMaxEnergyRequest": round(room_wh),
            "evMinV2XEnergyRequest": -round(above_wh),
            "evMaxV2XEnergyRequest": round(room_wh),
        }
        said = needs["chargingNeeds"]
        bidirectional = {
            "requestedEnergyTransfer": "AC_BPT",
            "controlMode": "DynamicControl",
            "departureTime": said["departureTime"],
            "v2xChargingParameters": v2x,
        }
        return {**needs, "chargingNeeds": bidirectional}


def _update_schedule(station: SimStation, at: Stamp, payload: Payload) -> Payload:
    """K28: new values for a dynamic profile."""
    known = station.profiles.update(payload["chargingProfileId"], payload["scheduleUpdate"], at.wall_s)
    return {"status": "Accepted"} if known else {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidProfileId"}}


def _get_streams(station: SimStation, _at: Stamp, _payload: Payload) -> Payload:
    voice = station.voice
    streams = voice.streams(station) if isinstance(voice, Voice21) else []
    return {"constantStreamData": streams} if streams else {}


COMMANDS_21: Mapping[str, Handler] = {
    **COMMANDS,
    "GetPeriodicEventStream": _get_streams,
    "UpdateDynamicSchedule": _update_schedule,
    "UsePriorityCharging": lambda _station, _at, _payload: {"status": "NoProfile"},
}
