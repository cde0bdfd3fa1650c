"""Stories about the site half in virtual time: a depot whose stations obey, lie, or stay silent.

The site is the real one; the world around it is a few lines: a car follows its accepted setpoint
after a reaction time, a meter reads building plus cars. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controller.config import Config
from controller.facts import (
    ChargingState,
    EvseKey,
    EvseMeasured,
    Fact,
    FloorConfirmed,
    LimitReceived,
    LimitUnit,
    MeterRead,
    Persisted,
    PersistFailed,
    SessionChanged,
    SetpointAnswered,
    Stamp,
    StationOnline,
    TimePassed,
)
from controller.orders import ClearSetpoint, Inject, InstallFloor, Order, Persist, Publish, ReadBack, SetAvailable, SolvePlan, Tell
from controller.site.site import Site
from controller.site.stations.charger import ChargerModel
from meters.reading import Quality, Reading

WALL_S = 1_780_000_000.0
QUICK = {"generic": ChargerModel(name="generic", apply_s=2.0)}


def depot(
    count: int,
    fuse_a: float = 63.0,
    circuits: int = 0,
    circuit_fuse_a: float = 63.0,
    worst_other_load_a: float = 20.0,
    metered: bool = True,
    evse: dict[str, Any] | None = None,
    **parts: Any,
) -> Config:
    """A site of ``count`` stations CP1.. with one EVSE each, spread over circuits hall0.. if any."""
    meters = [{"id": "grid", "role": "grid", "source": {"type": "modbus", "host": "meter", "map": "any"}}] if metered else []
    grid = {"fuse_a": fuse_a, "worst_other_load_a": worst_other_load_a, **({"meter": "grid"} if metered else {}), **parts.pop("grid", {})}
    one = {"id": 1, "max_current_a": 32, "fallback_a": 6, **(evse or {})}
    stations = []
    for number in range(count):
        circuit = {"circuit": f"hall{number % circuits}"} if circuits else {}
        stations.append({"id": f"CP{number + 1}", "evses": [one], **circuit})
    tree = [{"id": f"hall{number}", "fuse_a": circuit_fuse_a} for number in range(circuits)]
    # Nobody solves in a story unless it says so, and nobody waits for it.
    parts["control"] = {"solver_deadline_s": 600, **parts.pop("control", {})}
    data = {"site": {"id": "test"}, "grid": grid, "stations": stations, "meters": meters + parts.pop("meters", []), "circuits": tree, **parts}
    return Config.model_validate(data)


class Story:
    """Tells a site what happens, second by second. stubborn: accepts and ignores. takes: (purpose, unit) it accepts.

    disk: True answers every Persist that wants it at once, False fails it, None leaves it to the test (``unwritten``).
    """

    def __init__(self, config: Config, models: dict[str, ChargerModel] | None = None, site: Site | None = None) -> None:
        self.config = config
        self.site = site or Site(config, models if models is not None else QUICK)
        self.now = 1000.0
        self.reaction_s = 1.0
        self.disk: bool | None = True
        self.unwritten: list[Persist] = []
        self.memories: dict[tuple[str, str], Any] = {}
        self.orders: list[tuple[float, Order]] = []
        self.drawn_a: dict[EvseKey, float] = {}
        self.wants_a: dict[EvseKey, float] = {}
        self.limits_a: dict[EvseKey, float] = {}
        self.stubborn: set[EvseKey] = set()
        self.refusing: set[EvseKey] = set()
        self.mute: set[EvseKey] = set()
        self.unconfirmed: set[EvseKey] = set()
        self.one_phase: set[EvseKey] = set()
        self.takes: dict[EvseKey, set[tuple[str, str]]] = {}
        self.wall_jump_s = 0.0
        self._due: list[tuple[float, EvseKey, float]] = []
        self._number = 0

    # -- facts ---------------------------------------------------------------------------------------

    def at(self) -> Stamp:
        """Now, on both clocks."""
        return Stamp(self.now, WALL_S + self.now + self.wall_jump_s)

    def tick(self) -> Fact:
        """The control loop's tick."""
        return TimePassed(self.at())

    def reading(self, amps: tuple[float, float, float], quality: Quality = Quality.GOOD, meter: str = "grid", **more: Any) -> Fact:
        """A reading; the last digit always moves, as in the field."""
        self._number += 1
        moving = 1e-4 * (self._number % 7)
        return MeterRead(self.at(), Reading(meter, quality, current_a=(amps[0] + moving, amps[1], amps[2]), **more))

    def limit(self, value: float | None, unit: LimitUnit = LimitUnit.A, valid_for_s: float = 600.0, **more: Any) -> list[Order]:
        """A limit over MQTT; returns the orders it caused."""
        more = {"source": "mqtt", "circuit": "grid", **more}
        return self.do(LimitReceived(self.at(), more.pop("source"), more.pop("circuit"), value, unit, valid_for_s, **more))

    # -- doing ------------------------------------------------------------------------------------------

    def do(self, fact: Fact) -> list[Order]:
        """Hand a fact in and play the stations' and the disk's part of the orders; what the disk's answer brings is returned as well."""
        orders = self.site.handle(fact)
        return orders + self.carry(orders)

    def _persist(self, order: Persist, done: bool) -> list[Order]:
        if done:
            self.memories |= order.remember
        if not order.token:
            return []
        return self.do(Persisted(self.at(), order.token) if done else PersistFailed(self.at(), order.token, "disk full"))

    def write(self, done: bool = True, most: int = 1000) -> list[Order]:
        """The disk takes, or refuses, what waits for it, in order."""
        orders: list[Order] = []
        for _ in range(min(most, len(self.unwritten))):
            orders += self._persist(self.unwritten.pop(0), done)
        return orders

    def carry(self, orders: Iterable[Order]) -> list[Order]:
        """Answer like stations and the disk do; returns what the disk's answers have brought."""
        brought: list[Order] = []
        for order in orders:
            self.orders.append((self.now, order))
            if isinstance(order, Inject):
                self._inject(order)
            elif isinstance(order, InstallFloor):
                self.do(SetpointAnswered(self.at(), order.evse, order.number, order.evse not in self.refusing, "Rejected"))
            elif isinstance(order, ReadBack) and order.evse not in self.unconfirmed:
                self.do(FloorConfirmed(self.at(), order.evse, order.expected_a, True, number=order.number))
            elif isinstance(order, ClearSetpoint) and order.evse not in self.mute:
                self.do(SetpointAnswered(self.at(), order.evse, order.number, True))
            elif isinstance(order, Persist) and self.disk is not None:
                brought += self._persist(order, self.disk)
            elif isinstance(order, Persist):
                self.unwritten.append(order)
        return brought

    def _inject(self, order: Inject) -> None:
        if order.evse in self.mute:
            return
        way = (order.strategy.purpose, order.strategy.unit)
        accepted = order.evse not in self.refusing and way in self.takes.get(order.evse, {way})
        if accepted:
            self.limits_a[order.evse] = order.limit_a
            for key in self._behind(order.evse):
                self._due.append((self.now + self.reaction_s, key, order.limit_a / len(self._behind(order.evse))))
        self.do(SetpointAnswered(self.at(), order.evse, order.number, accepted, "" if accepted else "Rejected"))

    def _behind(self, key: EvseKey) -> list[EvseKey]:
        """The EVSEs a setpoint reaches: one, or the charging ones of a station that shares it out evenly."""
        return [key] if key.evse_id else [one for one in self.drawn_a if one.station_id == key.station_id]

    def start(self, stations: Iterable[str] | None = None) -> None:
        """Stations come online and the meter has spoken often enough to be believed."""
        for station in stations if stations is not None else [one.id for one in self.config.stations]:
            self.do(StationOnline(self.at(), station, "2.0.1"))
        for _ in range(4):
            self.step()

    def plug(
        self, key: EvseKey | str, state: ChargingState = ChargingState.CHARGING, current_a: float | None = None, wants_a: float = 32.0
    ) -> EvseKey:
        """A car is plugged in and starts at its floor."""
        key = EvseKey(key, 1) if isinstance(key, str) else key
        self.wants_a[key] = wants_a
        floor_a = self.site.layout.places[key].fallback_a
        self.drawn_a[key] = min(wants_a, floor_a if current_a is None else current_a)
        self.do(SessionChanged(self.at(), key, f"tx-{key.station_id}-{self.now:g}", state, started=True))
        return key

    def unplug(self, key: EvseKey) -> None:
        """The car leaves."""
        session = self.site.evses[key].session
        assert session is not None
        self.drawn_a.pop(key)
        self.do(SessionChanged(self.at(), key, session.transaction_id, None, ended=True))

    def settle(self) -> None:
        """Cars follow what has been due long enough."""
        for _, key, limit_a in [one for one in self._due if one[0] <= self.now and one[1] in self.drawn_a]:
            if key not in self.stubborn:
                self.drawn_a[key] = min(limit_a, self.wants_a[key])
        self._due = [one for one in self._due if one[0] > self.now]

    def metered_a(self, building_a: float) -> tuple[float, float, float]:
        """What the grid meter must read: building plus cars."""
        amps = [building_a] * 3
        for key, drawn_a in self.drawn_a.items():
            for phase in self.site.layout.places[key].phases[: 1 if key in self.one_phase else 3]:
                amps[phase] += drawn_a
        return amps[0], amps[1], amps[2]

    def report(self) -> None:
        """Every station tells its meter values."""
        for key, drawn_a in self.drawn_a.items():
            idle_a = 0.0 if key in self.one_phase else drawn_a
            self.do(EvseMeasured(self.at(), key, (drawn_a, idle_a, idle_a), power_w=230.0 * (drawn_a + 2 * idle_a)))

    def step(self, building_a: float | None = 10.0, report: bool = True) -> None:
        """One second: cars follow, stations report, the meter reads (None = silent), the loop ticks."""
        self.now += 1.0
        self.settle()
        if report:
            self.report()
        if building_a is not None:
            self.do(self.reading(self.metered_a(building_a)))
        self.do(self.tick())

    def run(self, seconds: int, building_a: float | None = 10.0, report: bool = True) -> None:
        """Some seconds of the same."""
        for _ in range(seconds):
            self.step(building_a, report)

    # -- what was seen --------------------------------------------------------------------------------------

    def told(self, word: str = "") -> list[str]:
        """Texts of the event log that contain a word."""
        return [order.text for _, order in self.orders if isinstance(order, Tell) and word in order.text]

    def injected(self, key: EvseKey) -> list[tuple[float, float]]:
        """(time, limit_a) of the setpoints sent to an EVSE."""
        return [(when, order.limit_a) for when, order in self.orders if isinstance(order, Inject) and order.evse == key]

    def of(self, kind: type[Order]) -> list[Any]:
        """All orders of a kind."""
        return [order for _, order in self.orders if isinstance(order, kind)]

    def published(self, topic: str) -> list[dict[str, Any]]:
        """Payloads on a topic."""
        return [order.payload for order in self.of(Publish) if order.topic == topic]

    def problems(self) -> list[Any]:
        """Problems handed to the solver."""
        return [order.problem for order in self.of(SolvePlan)]

    def blocked(self) -> list[EvseKey]:
        """EVSEs made unavailable."""
        return [order.evse for order in self.of(SetAvailable) if not order.operative]
