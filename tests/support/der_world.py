"""A depot of V2G chargers that is one 2.1 station for its CSMS, in virtual time: real engine, real faces, simulated stations and cars.

The CSMS is the test: ``csms`` sends a frame to the depot and returns the answer. Whatever goes to the CSMS or to a station is judged by the
OCA's schemas. ``wire`` holds every setpoint as it left for a station: (virtual time, CPU time, station, setpoint or limit [W]).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final

from controller.config import Config
from controller.engine import Engine
from controller.facts import Fact, Restored, Stamp, UpstreamFrame
from controller.io.chargers import load_chargers
from controller.orders import DialUpstream, Order, Persist, SendStation, SendUpstream
from controller.paths import config_dir
from controller.sim.car import VOLTAGE_V, CarSpec
from controller.sim.evse import EvseSpec
from controller.sim.loop import EngineLoop
from controller.sim.station import SimStation, StationSpec
from meters.reading import Quality, Reading
from tests.support.shapes import SHAPES

MORNING_S: Final = 20_621 * 86_400.0 + 6 * 3600.0
DEPOT: Final = "DEPOT"
V21: Final = "ocpp2.1"
RATED_W: Final = 11_000.0
MODES: Final = ("ChargingOnly", "CentralSetpoint", "CentralFrequency", "Idle")
Payload = dict[str, Any]


def config(count: int, **grid: Any) -> Config:
    """So many chargers Y1.. that may give back 11 kW each."""
    giving = {"max_discharge_w": RATED_W, "reserve_percent": 20}
    evse = {"id": 1, "max_current_a": 32, "fallback_a": 0, "v2g": giving}
    return Config.model_validate(
        {
            "site": {"id": "yard", "timezone": "UTC"},
            "grid": {"fuse_a": 60 * count + 100, "worst_other_load_a": 30, "meter": "grid", **grid},
            "stations": [{"id": f"Y{number + 1}", "evses": [evse]} for number in range(count)],
            "meters": [{"id": "grid", "role": "grid", "source": {"type": "modbus", "host": "127.0.0.1", "map": "any"}}],
            "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp", "face": "depot", "identity": DEPOT, "versions": [V21]}],
            "authorization": {"unknown": "accept"},
            "control": {"plan_every_s": 300, "plan_max_age_s": 900},
        }
    )


@dataclass(frozen=True)
class Sent:
    """A setpoint on the wire. watts: signed; a plain limit counts as what it lets flow."""

    mono_s: float
    cpu_s: float
    station_id: str
    watts: float


class DerWorld(EngineLoop):
    """See the module."""

    def __init__(self, count: int, **grid: Any) -> None:
        site, models = config(count, **grid), load_chargers(config_dir() / "chargers")
        self.models = models
        specs = [StationSpec(station.id, (EvseSpec(1),), version="2.1", v2x=True) for station in site.stations]
        super().__init__(site, models, {spec.id: SimStation(spec, seed=number) for number, spec in enumerate(specs)})
        self.engine = Engine(site, "der-world", models, SHAPES)
        self.now_s = 0.0
        self.building_w = 6_900.0
        self.wire: list[Sent] = []
        self.flow: list[float] = []
        self.up: list[tuple[str, Payload]] = []
        self.answers: dict[str, Payload] = {}
        self.disk: dict[tuple[str, str], Any] = {}
        self._asked: dict[str, str] = {}
        self._leg = 0
        self._noise = 0
        for station in self.stations.values():
            station.profiles.modes = MODES
        self.start(self.at)
        self.run(3)
        for name in self.stations:
            self.connect(self.at, name)
        self.run(30)

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(1000.0 + self.now_s, MORNING_S + self.now_s)

    def park(self, soc: float = 0.8) -> None:
        """A car of 80 kWh that can give back 11 kW comes to every charger."""
        for name, station in self.stations.items():
            spec = CarSpec(
                f"car-{name}", self.at.wall_s, self.at.wall_s + 36_000.0, 4_000.0, 80_000.0, soc, max_current_a=16.0, max_discharge_w=RATED_W
            )
            station.plug_in(self.at, 1, spec)
            self.run(1)

    def cars_w(self) -> float:
        """What all cars take together [W]."""
        return sum(evse.power_w for station in self.stations.values() for evse in station.evses.values())

    def run(self, seconds: float) -> None:
        """Some time of the same."""
        for _ in range(round(seconds)):
            self.now_s += 1.0
            for name, station in self.stations.items():
                station.advance(self.at)
                self.said(self.at, name, station.tick(self.at))
            self.flow.append(self.cars_w())
            amps = (self.building_w + self.cars_w()) / 3.0 / VOLTAGE_V
            self._noise += 1
            self.read(self.at, Reading("grid", Quality.GOOD, current_a=(amps + 0.01 * (self._noise % 7), amps, amps)))
            self.tick(self.at)

    def restart(self, away_s: float) -> None:
        """The controller's power fails; after a while it is back with what is on its disk, and stations and CSMS dial again."""
        for station in self.stations.values():
            station.closed(self.at)
        self.frozen = True
        self.run(away_s)
        self.frozen = False
        self._waiting.clear()
        self.engine = Engine(self.config, "der-world", self.models, SHAPES)
        self.submit(Restored(self.at, dict(self.disk), {}))
        for name in self.stations:
            self.connect(self.at, name)

    # -- the CSMS ---------------------------------------------------------------------------------------------

    def csms(self, action: str, payload: Payload) -> Payload:
        """A CALL of the CSMS to the depot and the answer, which must have come before any time has passed."""
        assert SHAPES.check(V21, action, False, payload) == "", payload
        message_id = f"csms-{len(self._asked) + 1}"
        self._asked[message_id] = action
        self.submit(UpstreamFrame(self.at, DEPOT, self._leg, json.dumps([2, message_id, action, payload])))
        return self.answers[message_id]

    def heard(self, action: str) -> list[Payload]:
        """What the CSMS was told of this kind."""
        return [payload for known, payload in self.up if known == action]

    def _carry(self, at: Stamp, order: Order) -> None:
        if isinstance(order, DialUpstream):
            self._leg = order.generation
        if isinstance(order, SendUpstream):
            self._judge(json.loads(order.text))
        if isinstance(order, SendStation):
            self._note(at, order.station_id, json.loads(order.text))
        super()._carry(at, order)

    def _persist(self, at: Stamp, order: Persist) -> Fact:
        for key, value in order.remember.items():
            self.disk[key] = json.loads(json.dumps(value))
            if value is None:
                del self.disk[key]
        return super()._persist(at, order)

    def _judge(self, frame: list[Any]) -> None:
        if frame[0] == 2:
            assert SHAPES.check(V21, frame[2], False, frame[3]) == "", frame
            self.up.append((frame[2], frame[3]))
        elif frame[0] == 3 and frame[1] in self._asked:
            assert SHAPES.check(V21, self._asked[frame[1]], True, frame[2]) == "", frame
            self.answers[frame[1]] = frame[2]

    def _note(self, at: Stamp, station_id: str, frame: list[Any]) -> None:
        if frame[0] != 2 or frame[2] not in ("SetChargingProfile", "UpdateDynamicSchedule"):
            return
        assert SHAPES.check(V21, frame[2], False, frame[3]) == "", frame
        if frame[2] == "UpdateDynamicSchedule":
            values = frame[3]["scheduleUpdate"]
        else:
            profile = frame[3]["chargingProfile"]
            if profile["chargingProfilePurpose"] != "TxProfile":
                return
            values = profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        watts = values["setpoint"] if "setpoint" in values else values.get("limit", 0.0) * 3 * VOLTAGE_V
        self.wire.append(Sent(at.mono_s, time.process_time(), station_id, watts))


def limit(control_id: str, percent: float) -> Payload:
    """A default LimitMaxDischarge."""
    body = {"priority": 1, "pctMaxDischargePower": percent}
    return {"isDefault": True, "controlId": control_id, "controlType": "LimitMaxDischarge", "limitMaxDischarge": body}


def site_setpoint(watts: float, profile_id: int = 5) -> Payload:
    """SetChargingProfile of EVSE 0: what all cars shall take together."""
    period = {"startPeriod": 0, "setpoint": watts, "operationMode": "CentralSetpoint"}
    schedule = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [period], "startSchedule": "2026-01-01T00:00:00Z"}
    head = {"id": profile_id, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"}
    return {"evseId": 0, "chargingProfile": {**head, "chargingSchedule": [schedule]}}
