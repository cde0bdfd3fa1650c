"""A yard in virtual time where one car can give back: the real engine, solver and store of profiles, simulated stations.

Y1 speaks 2.1 and lets cars give back; CP2 is a plain 2.0.1 station. The building is a constant load; energy is cheap but between six
and eight. Every frame to a station is checked against the published schemas. Judged by what flows: the car and the grid meter.
"""

from __future__ import annotations

import json
from typing import Any, Final

from controller.config import Config
from controller.facts import EvseKey, Stamp, UpstreamFrame
from controller.io.chargers import load_chargers
from controller.orders import DialUpstream, Order, SendStation
from controller.paths import config_dir
from controller.sim.car import VOLTAGE_V, Car, CarSpec
from controller.sim.evse import EvseSpec
from controller.sim.loop import EngineLoop
from controller.sim.station import SimStation, StationSpec
from controller.site.stations.charger import ChargerModel
from meters.reading import Quality, Reading
from tests.support.schemas import check_request, check_response

MIDNIGHT: Final = 20_621 * 86_400.0
STEP_S: Final = 2.0
Y1: Final = EvseKey("Y1", 1)
V2X_MODES: Final = ("CentralSetpoint", "Idle")
ANNOUNCED: Final = ("ChargingOnly", "CentralSetpoint", "Idle", "ExternalSetpoint")


class Sulker(Car):
    """A car that may stop to give back from one moment to the next, whatever it was told."""

    sulks = False

    @property
    def gives_a(self) -> float:
        """Nothing while it sulks."""
        return 0.0 if self.sulks else super().gives_a

    def _ramp(self, control_s: float) -> None:
        super()._ramp(control_s)
        if self.sulks:
            self.current_a = max(0.0, self.current_a)


def site(v2g: dict[str, Any] | None = None, grid: dict[str, Any] | None = None) -> Config:
    """The configuration. v2g: parts of the block at Y1; grid: parts of the grid connection."""
    evse = {"id": 1, "max_current_a": 32, "fallback_a": 6}
    giving = {"max_discharge_w": 9000, "reserve_percent": 40, **(v2g or {})}
    prices = [("00:00", 0.18), ("06:00", 0.41), ("08:00", 0.18)]
    return Config.model_validate(
        {
            "site": {"id": "yard", "timezone": "UTC"},
            "grid": {"fuse_a": 80, "worst_other_load_a": 30, "meter": "grid", **(grid or {})},
            "stations": [{"id": "Y1", "evses": [{**evse, "v2g": giving}]}, {"id": "CP2", "evses": [evse]}],
            "meters": [{"id": "grid", "role": "grid", "source": {"type": "modbus", "host": "127.0.0.1", "map": "any"}}],
            "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp"}],
            "authorization": {"unknown": "accept"},
            "tariff": {"buy": [{"start": start, "price_per_kwh": price} for start, price in prices], "sell_per_kwh": 0.06},
            "control": {"plan_every_s": 300, "plan_max_age_s": 900},
        }
    )


class V2gWorld(EngineLoop):
    """See the module. v2x: whether Y1 announces it. building_w: over all phases. metered: whether the grid meter speaks."""

    def __init__(self, config: Config, hour: float, v2x: bool = True) -> None:
        specs = (StationSpec("Y1", (EvseSpec(1),), version="2.1", v2x=v2x), StationSpec("CP2", (EvseSpec(1),), version="2.0.1"))
        models: dict[str, ChargerModel] = load_chargers(config_dir() / "chargers")
        super().__init__(config, models, {spec.id: SimStation(spec, seed=3) for spec in specs})
        self.now_s = 0.0
        self.start_wall_s = MIDNIGHT + 3600.0 * hour
        self.building_w = 12_000.0
        self.metered = True
        self.legs: dict[str, int] = {}
        self.profiles: list[tuple[float, dict[str, Any]]] = []
        self.updates: list[tuple[float, dict[str, Any]]] = []
        self.flow: list[tuple[float, float, float]] = []
        self._calls = 0
        self._noise = 0
        self.stations["Y1"].profiles.modes = ANNOUNCED
        self.start(self.at)
        for name in self.stations:
            self.connect(self.at, name)

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(1000.0 + self.now_s, self.start_wall_s + self.now_s)

    @property
    def hour(self) -> float:
        """Hour of the day."""
        return (self.at.wall_s - MIDNIGHT) / 3600.0

    @property
    def car(self) -> Car:
        """The car at Y1."""
        car = self.stations["Y1"].evses[1].car
        assert car is not None
        return car

    @property
    def gives_w(self) -> float:
        """What flows out of the car at Y1 [W]."""
        return max(0.0, -self.car.power_w)

    def grid_a(self) -> float:
        """Current per phase at the grid connection [A]; everything here loads all three alike."""
        cars_w = sum(evse.power_w for station in self.stations.values() for evse in station.evses.values())
        return (self.building_w + cars_w) / 3.0 / VOLTAGE_V

    def park(self, leaves_h: float, soc: float = 0.8, need_wh: float = 4000.0, **more: Any) -> Sulker:
        """A car of 60 kWh that can give back 7 kW comes to Y1. more: fields of ``CarSpec``."""
        fields: dict[str, Any] = {"max_current_a": 16.0, "max_discharge_w": 7000.0, **more}
        spec = CarSpec("bus", self.at.wall_s, MIDNIGHT + 3600.0 * leaves_h, need_wh, 60_000.0, soc, **fields)
        car = Sulker(spec)
        self.stations["Y1"].plug_in(self.at, 1, spec, car)
        return car

    def park_plain(self) -> Car:
        """A hungry car comes to CP2 and has to leave soon."""
        spec = CarSpec("van", self.at.wall_s, self.at.wall_s + 5400.0, 60_000.0, 90_000.0, 0.1, max_current_a=32.0)
        return self.stations["CP2"].plug_in(self.at, 1, spec)

    def run(self, seconds: float) -> None:
        """Some time of the same."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += STEP_S
            for name, station in self.stations.items():
                station.advance(self.at)
                self.said(self.at, name, station.tick(self.at))
            self.flow.append((self.hour, self.stations["Y1"].evses[1].power_w, self.grid_a()))
            if self.metered:
                self._noise += 1
                amps = self.grid_a() + 0.01 * (self._noise % 7)
                self.read(self.at, Reading("grid", Quality.GOOD, current_a=(amps, self.grid_a(), self.grid_a())))
            self.tick(self.at)

    def until(self, hour: float) -> None:
        """Let time pass until an hour of the day."""
        self.run(3600.0 * (hour - self.hour))

    def csms(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """A CALL of the CSMS to Y1, and its answer."""
        check_request(action, payload, "v21")
        self._calls += 1
        message_id = f"csms-{self._calls}"
        self.submit(UpstreamFrame(self.at, "Y1", self.legs["Y1"], json.dumps([2, message_id, action, payload])))
        self.run(4.0)
        answers = [json.loads(frame.text) for frame in self.books.frames if frame.incoming and f'"{message_id}"' in frame.text]
        answer: dict[str, Any] = next(frame[2] for frame in answers if frame[0] == 3 and frame[1] == message_id)
        check_response(action, answer, "v21")
        return answer

    def profile(self, period: dict[str, Any], unit: str = "W") -> dict[str, Any]:
        """SetChargingProfile of the CSMS for the transaction at Y1, with one period."""
        transaction = self.stations["Y1"].evses[1].transaction
        assert transaction is not None
        schedule = {"id": 1, "chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "numberPhases": 3, **period}]}
        body = {"id": 7, "stackLevel": 3, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative", "chargingSchedule": [schedule]}
        return {"evseId": 1, "chargingProfile": {**body, "transactionId": transaction.session.transaction_id}}

    def modes(self) -> list[str]:
        """The operation modes of every profile written to a station, in order."""
        return [period.get("operationMode", "ChargingOnly") for _, period in self.periods()]

    def periods(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """(profile, period) of every profile written to a station."""
        written = [body["chargingProfile"] for _, body in self.profiles]
        return [(profile, period) for profile in written for period in profile["chargingSchedule"][0]["chargingSchedulePeriod"]]

    def told_of(self, word: str) -> list[str]:
        """Texts of the event log with a word."""
        return [tell.text for tell in self.told if word in tell.text]

    def _carry(self, at: Stamp, order: Order) -> None:
        if isinstance(order, DialUpstream):
            self.legs[order.station_id] = order.generation
        if isinstance(order, SendStation):
            self._check(order)
        super()._carry(at, order)

    def _check(self, order: SendStation) -> None:
        frame = json.loads(order.text)
        if frame[0] != 2:
            return
        check_request(frame[2], frame[3], "v21" if order.station_id == "Y1" else "v201")
        if order.station_id == "Y1" and frame[2] == "SetChargingProfile":
            self.profiles.append((self.hour, frame[3]))
        elif order.station_id == "Y1" and frame[2] == "UpdateDynamicSchedule":
            self.updates.append((self.hour, frame[3]))
