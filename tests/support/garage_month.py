"""A garage's month as a ``Backtest``, made quickly by simple strategies of our own: for the report's tests, not for figures.

Energies, money and loads belong together as in a real run: the curve is the sum of the cars, the bill is that of the curve.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from controller.sim.backtest.outcome import Backtest, LimitCost, PolicyOutcome, Quarter, SessionOutcome

BEGIN_WALL_S = 1_551_394_800.0  # 2019-03-01 00:00 in Berlin
STEP_S, STEP_H = 900.0, 0.25
VOLTS = 230.0
DEMAND_PER_KW, FEED_IN = 7.5, 0.06
HALLS = {"site": 250.0, "hall-a": 100.0, "hall-b": 80.0}
CAR_W = 7360.0
GRID_W = 172_500.0


@dataclass(frozen=True)
class Visit:
    """One car: its quarter hours (end exclusive) and what it wants [Wh]."""

    name: str
    evse: str
    hall: str
    begin: int
    end: int
    wanted_wh: float
    stated_wh: float | None
    stated_end: int | None


def visits(days: int, evses: int, seed: int = 5) -> list[Visit]:
    """Working days are busy, weekends are not; some drivers state wrongly."""
    dice, found = random.Random(seed), []
    for day in range(days):
        weekday = day % 7 not in (1, 2)  # 1 March 2019 is a Friday
        for number in range(evses):
            if dice.random() > (0.8 if weekday else 0.12):
                continue
            begin = day * 96 + int(min(80, max(18, dice.gauss(34, 5))))
            stay = int(min(60, max(2, dice.gauss(30, 10))))
            wanted = min(45_000.0, max(2_000.0, dice.gauss(14_000, 8_000)))
            stated = wanted * dice.choice((1.0, 1.0, 1.4, 0.6)) if dice.random() < 0.7 else None
            end = min(begin + stay, days * 96)
            stated_end = end + dice.choice((0, 0, 2, -4, 8)) if stated is not None else None
            name, hall = f"{day:02d}-{number:02d}", "hall-a" if number < evses * 0.55 else "hall-b"
            found.append(Visit(name, f"P{number:02d}/1", hall, begin, max(end, begin + 1), wanted, stated, stated_end))
    return found


def price(quarter: int) -> float:
    """Buying [currency/kWh]: cheap nights, dear evenings."""
    hour = quarter % 96 / 4
    return 0.19 if hour < 7 or hour >= 22 else 0.41 if 16 <= hour < 20 else 0.27


def building_w(quarter: int) -> float:
    """The building without cars [W]."""
    hour, work = quarter % 96 / 4, (quarter // 96) % 7 not in (1, 2)
    return 14_000.0 + (34_000.0 * math.exp(-(((hour - 13.0) / 4.5) ** 2)) if work else 3_000.0)


def sun_w(quarter: int) -> float:
    """Its PV [W]; every third day is dull."""
    hour = quarter % 96 / 4
    return (12_000.0 if quarter // 96 % 3 == 0 else 46_000.0) * max(0.0, math.sin(math.pi * (hour - 6.5) / 12.0)) if 6.5 < hour < 18.5 else 0.0


def charge(cars: Sequence[Visit], quarters: int, order: str) -> list[list[tuple[int, float]]]:
    """Per car: (quarter, W). order: "free" = no limits, "first", "last" to leave first, or "cheap" = cheapest hours of the stay first."""
    left = {hall: [0.8 * amps * 3 * VOLTS] * quarters for hall, amps in HALLS.items()}
    for quarter in range(quarters):
        left["site"][quarter] -= building_w(quarter) - sun_w(quarter)
        if order == "cheap":
            left["site"][quarter] = min(left["site"][quarter], 92_000.0 - building_w(quarter) + sun_w(quarter))
    ranked = sorted(range(len(cars)), key=lambda index: cars[index].begin if order != "last" else cars[index].end)
    given: list[list[tuple[int, float]]] = [[] for _ in cars]
    for index in ranked:
        car, rest = cars[index], cars[index].wanted_wh
        slots: Iterable[int] = range(car.begin, min(car.end, quarters))
        if order == "cheap":
            slots = sorted(slots, key=lambda quarter: (price(quarter), building_w(quarter) - sun_w(quarter)))
        for quarter in slots:
            room = CAR_W if order == "free" else min(CAR_W, left[car.hall][quarter], left["site"][quarter])
            watts = min(room, rest / STEP_H)
            if watts < 1.0:
                continue
            left[car.hall][quarter] -= watts
            left["site"][quarter] -= watts
            rest -= watts * STEP_H
            given[index].append((quarter, watts))
    return given


def outcome(policy: str, cars: Sequence[Visit], quarters: int, order: str, seconds: float = 1.0) -> PolicyOutcome:
    """One policy over the whole time."""
    given = charge(cars, quarters, order)
    sums = {hall: [0.0] * quarters for hall in HALLS}
    for car, slots in zip(cars, given, strict=True):
        for quarter, watts in slots:
            sums[car.hall][quarter] += watts
            sums["site"][quarter] += watts
    curve = tuple(_quarter(quarter, sums) for quarter in range(quarters))
    empty = tuple(_quarter(quarter, {hall: [0.0] * quarters for hall in HALLS}) for quarter in range(quarters))
    over = {hall: STEP_S * sum(one.loads[hall] > 1.0 for one in curve) for hall in HALLS}
    worst = {hall: max((one.loads[hall] for one in curve), default=0.0) for hall in HALLS}
    energy_cost, peak_w = bill(curve)
    base_cost, base_peak_w = bill(empty)
    stays = tuple(_stay(car, sum(watts * STEP_H for _, watts in slots)) for car, slots in zip(cars, given, strict=True))
    demand = DEMAND_PER_KW * peak_w / 1000.0
    base = base_cost + DEMAND_PER_KW * base_peak_w / 1000.0
    return PolicyOutcome(policy, energy_cost, demand, 0.0, base, peak_w, stays, curve, over, worst, seconds=seconds)


def bill(curve: Sequence[Quarter]) -> tuple[float, float]:
    """Energy cost and highest import [W] of a curve."""
    costs = (one.grid_w * STEP_H / 1000.0 * (one.buy_per_kwh if one.grid_w > 0 else one.sell_per_kwh) for one in curve)
    return sum(costs), max((one.grid_w for one in curve), default=0.0)


def _quarter(quarter: int, sums: dict[str, list[float]]) -> Quarter:
    base, sun, cars = building_w(quarter), sun_w(quarter), sums["site"][quarter]
    grid = base + cars - sun
    loads = {hall: sums[hall][quarter] / (amps * 3 * VOLTS) for hall, amps in HALLS.items()}
    loads["site"] = max(0.0, grid) / (HALLS["site"] * 3 * VOLTS)
    return Quarter(BEGIN_WALL_S + quarter * STEP_S, grid, cars, base, sun, 0.0, price(quarter), FEED_IN, loads)


def _stay(car: Visit, delivered_wh: float) -> SessionOutcome:
    begin, end = BEGIN_WALL_S + car.begin * STEP_S, BEGIN_WALL_S + car.end * STEP_S
    stated = BEGIN_WALL_S + car.stated_end * STEP_S if car.stated_end is not None else None
    return SessionOutcome(car.name, car.evse, begin, end, car.wanted_wh, delivered_wh, car.stated_wh, stated)


def month(days: int = 31, evses: int = 34) -> Backtest:
    """Eight policies over a month of a garage with two halls."""
    quarters = days * 96 - (4 if days == 31 else 0)  # on 31 March the clock loses an hour
    cars = visits(quarters // 96, evses)
    free, first, last, ours = (outcome(name, cars, quarters, order) for name, order in ORDERS)
    limits = (LimitCost("hall-b", "A", 41.3, 10.0, 12.1), LimitCost("site", "A", 3.0, 10.0, 0.0), LimitCost("peak", "kW", None, 10.0, None))
    giving = tuple(replace(stay, given_wh=900.0) if index % 5 == 0 else stay for index, stay in enumerate(ours.sessions))
    with_v2g = replace(ours, policy="ours-v2g", energy_cost=ours.energy_cost - 61.0, wear_cost=18.0, sessions=giving)
    best = replace(ours, policy="bound", demand_cost=ours.demand_cost - 55.0, energy_cost=ours.energy_cost - 12.0)
    others = (first, last, replace(last, policy="llf"), replace(first, policy="round-robin"))
    policies = (free, *others, replace(ours, limits=limits), with_v2g, best)
    notes = ("Cars of the recording draw from one phase; here all draw from three.",)
    halls = {car.evse: (car.hall, "site") for car in cars}
    end = BEGIN_WALL_S + quarters * STEP_S
    return Backtest("Garage Nord", BEGIN_WALL_S, end, "Europe/Berlin", "EUR", "full", policies, HALLS, notes, GRID_W, halls)


ORDERS = (("uncontrolled", "free"), ("first-come", "first"), ("edf", "last"), ("ours", "cheap"))
