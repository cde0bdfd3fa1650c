"""Small sites of several feeders to be cut: three-phase and single-phase cars, V2G, PV, a battery, a demand charge, eight hours."""

from __future__ import annotations

import random
from collections.abc import Sequence

from optimizer.problem import Battery, Ev, Node, Problem
from tests.support.plans import HOUR_S, START_S, VOLTS, hours

COUNT = 8


def site(cars: Sequence[int], limit_a: float = 1e3, feeder_a: float = 1e3, seed: int = 1, **changes: object) -> Problem:
    """One feeder per number of cars, two panels below each. limit_a: of the grid connection per phase; feeder_a: of each feeder."""
    dice = random.Random(seed)
    nodes = [Node("grid", None, (limit_a,) * 3, other_load_a=((20.0, 10.0, 15.0),) * COUNT)]
    for index in range(len(cars)):
        nodes.append(Node(f"feeder{index}", "grid", (feeder_a,) * 3))
        nodes += [Node(f"panel{index}{side}", f"feeder{index}", (150.0,) * 3) for side in "ab"]
    evs = [_car(dice, f"{index}-{number}", f"panel{index}{'ab'[number % 2]}") for index, count in enumerate(cars) for number in range(count)]
    facts: dict[str, object] = {
        "created_wall_s": START_S,
        "slots": hours(COUNT),
        "voltage_v": VOLTS,
        "nodes": tuple(nodes),
        "evs": tuple(evs),
        "buy_per_kwh": (0.3, 0.25, 0.1, 0.12, 0.35, 0.4, 0.2, 0.15),
        "sell_per_kwh": (0.05,) * COUNT,
        "pv_w": (0.0, 4e3, 9e3, 6e3, 2e3, 0.0, 0.0, 0.0),
        "demand_per_kw": 0.4,
        "battery": Battery(20e3, 10e3, 2e3, 8e3, 8e3, 0.95, 0.01),
    }
    return Problem(**{**facts, **changes})  # type: ignore[arg-type]


def _car(dice: random.Random, ev_id: str, node_id: str) -> Ev:
    phases: tuple[int, ...] = (0, 1, 2) if dice.random() < 0.5 else (dice.randrange(3),)
    arrival_s, two_way = START_S + dice.choice((0, 0, 1, 2)) * HOUR_S, dice.random() < 0.3
    return Ev(
        ev_id=ev_id,
        node_id=node_id,
        phases=phases,
        arrival_wall_s=arrival_s,
        departure_wall_s=arrival_s + dice.uniform(2.5, 7.0) * HOUR_S,
        energy_need_wh=dice.uniform(3e3, 15e3),
        min_power_w=1200.0 * len(phases),
        max_power_w=3500.0 * len(phases),
        efficiency=0.95,
        max_discharge_w=3000.0 if two_way else 0.0,
        capacity_wh=50e3 if two_way else 0.0,
        soc_wh=20e3 if two_way else 0.0,
        reserve_wh=15e3 if two_way else 0.0,
        wear_per_kwh=0.05 if two_way else 0.0,
    )
