"""From recorded sessions to the world of the quick backtest: the garage of OPTIMIZER's closed loops.

Every EVSE is a single phase of ``POWER_W`` (ACN: 208 V between two lines, 32 A), taken in turn from three panels below one feeder, its
phases in turn as well. The feeder carries, per phase, ``capacity`` of the phase peak that uncontrolled charging would draw in these
days; the panels a fifth of their own peak more (they are seldom the scarce wire), and never less than one EVSE. The grid connection is wide:
the tariff watches it. A demand charge counts by days / 30 of its month.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from controller.sim.backtest import series
from controller.sim.backtest.outcome import CURVE_STEP_S
from controller.sim.backtest.quick import Car, Series, World, on_steps
from controller.sim.backtest.sessions import Recorded
from controller.sim.backtest.tariffs import Prices
from optimizer.past import PastSession
from optimizer.problem import Node

VOLTAGE_V = 208.0
POWER_W = 32.0 * VOLTAGE_V
LEAST_A = 6.0
PLENTY_A = 5_000.0
SITE, FEEDER = "site", "garage"
PANELS = 3
PANEL_MORE = 0.2
AHEAD_S = 2 * 86_400.0
MONTH_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class V2g:
    """What a car that may give back is like; ``share`` of the cars are (by their id, so always the same)."""

    share: float = 0.3
    capacity_wh: float = 60_000.0
    soc: float = 0.4
    reserve: float = 0.2
    max_discharge_w: float = POWER_W
    efficiency: float = 0.95
    wear_per_kwh: float = 0.03


@dataclass(frozen=True, slots=True)
class Place:
    """Where an EVSE hangs."""

    node_id: str
    phases: tuple[int, ...]


def places(evses: Sequence[str]) -> dict[str, Place]:
    """Every EVSE of the garage in its place, by name."""
    return {name: Place(f"panel-{at // PANELS % PANELS + 1}", (at % 3,)) for at, name in enumerate(sorted(evses))}


def quick_world(
    name: str,
    sessions: Iterable[Recorded],
    where: Mapping[str, Place],
    span: tuple[float, float],
    timezone: str,
    capacity: float,
    building: tuple[series.Series, series.Series],
    prices: Prices,
    v2g: V2g | None = None,
) -> World:
    """The garage between two moments. capacity: 0.5 = half of what uncontrolled charging would draw. building: load and PV [W]."""
    start_s, end_s = span
    cars = on_steps((_car(one, where[one.evse], v2g) for one in sessions), start_s, end_s)
    count = round((end_s - start_s + AHEAD_S) / CURVE_STEP_S)
    base, sun, buy, sell = (_quarters(one, start_s, count) for one in (*building, prices.buy, prices.sell))
    demand = prices.demand_per_kw * (end_s - start_s) / MONTH_S
    nodes = _nodes(cars, start_s, end_s, capacity)
    return World(name, timezone, "", VOLTAGE_V, nodes, cars, start_s, end_s, base, sun, buy, np.minimum(sell, buy), demand)


def past_sessions(sessions: Iterable[Recorded], where: Mapping[str, Place], before_wall_s: float) -> tuple[PastSession, ...]:
    """What the box would remember of sessions that were over by then."""
    return tuple(_past(one, where[one.evse]) for one in sessions if one.departure_wall_s <= before_wall_s)


def _car(one: Recorded, place: Place, v2g: V2g | None) -> Car:
    car = Car(
        id=one.id,
        evse=one.evse,
        node_id=place.node_id,
        phases=place.phases,
        arrival_wall_s=one.arrival_wall_s,
        departure_wall_s=one.departure_wall_s,
        wanted_wh=one.energy_wh,
        max_power_w=POWER_W,
        min_power_w=LEAST_A * VOLTAGE_V,
        stated_wh=one.stated_wh,
        stated_departure_wall_s=one.stated_departure_wall_s,
        user=one.user,
    )
    return _able(car, v2g) if v2g is not None and zlib.crc32(one.id.encode()) % 1000 < v2g.share * 1000 else car


def _able(car: Car, v2g: V2g) -> Car:
    soc_wh = v2g.soc * v2g.capacity_wh
    return replace(
        car,
        wanted_wh=min(car.wanted_wh, (v2g.capacity_wh - soc_wh) / v2g.efficiency),
        capacity_wh=v2g.capacity_wh,
        soc_wh=soc_wh,
        reserve_wh=v2g.reserve * v2g.capacity_wh,
        max_discharge_w=v2g.max_discharge_w,
        efficiency=v2g.efficiency,
        wear_per_kwh=v2g.wear_per_kwh,
    )


def _past(one: Recorded, place: Place) -> PastSession:
    return PastSession(
        evse=one.evse,
        node_id=place.node_id,
        phases=place.phases,
        arrival_wall_s=one.arrival_wall_s,
        departure_wall_s=one.departure_wall_s,
        energy_wh=min(one.energy_wh, POWER_W * one.stay_s / 3600.0),
        max_power_w=POWER_W,
        stated_wh=one.stated_wh,
        stated_departure_wall_s=one.stated_departure_wall_s,
        user=one.user,
    )


def _quarters(one: series.Series, start_s: float, count: int) -> Series:
    starts = (start_s + at * CURVE_STEP_S for at in range(count))
    return np.array([one.mean(at_s, at_s + CURVE_STEP_S) for at_s in starts])


def _nodes(cars: Sequence[Car], start_s: float, end_s: float, capacity: float) -> tuple[Node, ...]:
    peaks = phase_peaks_a(cars, start_s, end_s)
    one_a = POWER_W / VOLTAGE_V
    feeder = tuple(max(one_a, capacity * peaks.get((FEEDER, phase), 0.0)) for phase in (0, 1, 2))
    nodes = [Node(SITE, None, (PLENTY_A,) * 3), Node(FEEDER, SITE, _triple(feeder))]
    for number in range(1, PANELS + 1):
        name = f"panel-{number}"
        share = min(1.0, capacity + PANEL_MORE)
        nodes.append(Node(name, FEEDER, _triple([max(one_a, share * peaks.get((name, phase), 0.0)) for phase in (0, 1, 2)])))
    return tuple(nodes)


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third


def phase_peaks_a(cars: Iterable[Car], start_s: float, end_s: float) -> dict[tuple[str, int], float]:
    """Highest current per circuit and phase when everybody charges on arrival [A]."""
    steps: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for car in cars:
        amps = car.max_power_w / VOLTAGE_V / len(car.phases)
        until_s = min(end_s, car.departure_wall_s, car.arrival_wall_s + car.wanted_wh / car.max_power_w * 3600.0)
        for wire in [(node_id, phase) for node_id in (FEEDER, car.node_id) for phase in car.phases]:
            steps.setdefault(wire, []).extend(((car.arrival_wall_s, amps), (until_s, -amps)))
    return {wire: _peak(changes) for wire, changes in steps.items()}


def _peak(changes: Iterable[tuple[float, float]]) -> float:
    now_a = peak_a = 0.0
    for _, change_a in sorted(changes):
        now_a += change_a
        peak_a = max(peak_a, now_a)
    return peak_a
