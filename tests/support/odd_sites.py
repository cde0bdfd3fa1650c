"""Small random sites with every feature a planning problem can have, and the same site a moment later.

Crooked trees, overloaded and fed-in phases, margins, unbalance rules, negative prices, windows of the demand charge, reserves,
setpoints, CO2, V2G with odd numbers, acceptance curves, minimums, priorities, stays outside the horizon, expected cars.
"""

from __future__ import annotations

import dataclasses
import random

from optimizer.problem import Battery, Ev, Node, Problem, Slot

START_S = 1_700_001_900.0
"""A quarter hour of the clock begins."""
VOLTS = 230.0


def odd_site(seed: int, cars: int = 5) -> Problem:
    """A site; the same seed gives the same."""
    dice = random.Random(seed)
    lengths = [300.0, 300.0, 300.0, *dice.choices([900.0, 1800.0, 3600.0], k=dice.randint(1, 5))]
    slots = tuple(Slot(START_S + sum(lengths[:index]), length) for index, length in enumerate(lengths))
    count = len(slots)
    nodes = [_node(dice, index, count) for index in range(dice.randint(1, 4))]

    def series(low: float, high: float) -> tuple[float, ...]:
        return tuple(round(dice.uniform(low, high), 3) for _ in slots)

    maybe = dice.random
    return Problem(
        created_wall_s=START_S,
        slots=slots,
        voltage_v=VOLTS,
        nodes=tuple(nodes),
        evs=tuple(odd_car(dice, f"ev{index}", len(nodes), count) for index in range(dice.randint(0, cars))),
        buy_per_kwh=series(-0.2 if maybe() < 0.3 else 0.05, 0.6),
        sell_per_kwh=series(-0.1, 0.3),
        pv_w=tuple(dice.choice([0.0, 1000.0, 15_000.0, 60_000.0]) for _ in slots) if maybe() < 0.7 else (0.0,) * count,
        import_limit_w=tuple(dice.choice([0.0, 5000.0, 15_000.0, 60_000.0]) for _ in slots) if maybe() < 0.4 else (),
        export_limit_w=tuple(dice.choice([0.0, 5000.0, 60_000.0]) for _ in slots) if maybe() < 0.4 else (),
        demand_per_kw=dice.choice([0.0, 0.3, 8.0]),
        peak_so_far_w=dice.choice([0.0, 9000.0]),
        battery=_battery(dice) if maybe() < 0.5 else None,
        shortfall_per_kwh=dice.choice([None, None, 1.0, 10.0]),
        demand_window_s=dice.choice([900.0, 900.0, 1800.0, 3600.0]),
        window_import_wh=dice.choice([0.0, 0.0, 700.0]),
        co2_kg_per_kwh=series(0.0, 0.6) if maybe() < 0.3 else (),
        co2_per_kg=0.1,
        reserve_w=tuple(dice.choice([0.0, 4000.0, 90_000.0]) for _ in slots) if maybe() < 0.3 else (),
        grid_setpoint_w=tuple(dice.choice([None, None, 0.0, 9000.0, -4000.0]) for _ in slots) if maybe() < 0.3 else (),
    )


def _node(dice: random.Random, index: int, count: int) -> Node:
    limit = dice.choice([6.0, 16.0, 32.0, 63.0])

    def load() -> float:
        return round(dice.uniform(-20, 20) if dice.random() < 0.85 else dice.uniform(-60, 80), 2)

    return Node(
        node_id=f"n{index}",
        parent=None if index == 0 else f"n{dice.randrange(index)}",
        limit_a=(limit, limit, limit) if dice.random() < 0.8 else (limit, 0.0, 16.0),
        slot_limit_a=tuple(dice.choice([0.0, 10.0, 63.0]) for _ in range(count)) if dice.random() < 0.3 else (),
        other_load_a=tuple((load(), load(), load()) for _ in range(count)) if dice.random() < 0.6 else (),
        margin_a=tuple(dice.choice([0.0, 3.0, 50.0]) for _ in range(count)) if dice.random() < 0.4 else (),
        max_unbalance_a=dice.choice([0.0, 10.0, 20.0]) if dice.random() < 0.3 else None,
    )


def odd_car(dice: random.Random, ev_id: str, nodes: int, count: int) -> Ev:
    """A car; two in five may give back, one in three tells a curve."""
    arrival_s = START_S + dice.choice([-3600.0, -3600.0, 0.0, 700.0, 2000.0])
    two_way, curve, need_wh = dice.random() < 0.4, dice.random() < 0.33, dice.choice([-5.0, 0.0, 300.0, 2500.0, 20_000.0])
    return Ev(
        ev_id=ev_id,
        node_id=f"n{dice.randrange(nodes)}",
        phases=dice.choice([(0,), (1,), (2,), (0, 1), (0, 1, 2), (2, 0, 1)]),
        arrival_wall_s=arrival_s,
        departure_wall_s=arrival_s + dice.choice([-100.0, 450.0, 1800.0, 5000.0, 20_000.0, float("inf")]),
        energy_need_wh=need_wh,
        min_power_w=1380.0,
        max_power_w=dice.choice([0.0, 1380.0, 3680.0, 11_040.0]),
        efficiency=dice.choice([1.0, 0.9]),
        priority=dice.choice([0, 0, -2, 3]),
        max_slot_power_w=tuple(dice.choice([0.0, 2000.0, 20_000.0]) for _ in range(count)) if dice.random() < 0.3 else (),
        max_discharge_w=dice.choice([3000.0, 11_000.0]) if two_way else 0.0,
        capacity_wh=dice.choice([0.0, 5000.0, 40_000.0]) if two_way or curve else 0.0,
        soc_wh=dice.choice([-1.0, 0.0, 4000.0, 39_000.0]) if two_way or curve else 0.0,
        reserve_wh=dice.choice([0.0, 3000.0, 41_000.0]) if two_way else 0.0,
        wear_per_kwh=dice.choice([0.0, 0.08]),
        present_power_w=dice.choice([0.0, 3680.0, -3000.0]),
        minimum_wh=dice.choice([0.0, 0.0, 500.0, 30_000.0]),
        acceptance=dice.choice(CURVES) if curve else (),
        max_slot_discharge_w=tuple(dice.choice([0.0, 2000.0]) for _ in range(count)) if two_way and dice.random() < 0.3 else (),
        expected=dice.random() < 0.1,
        shortfall_per_kwh=dice.choice([None, None, None, 0.2]),
    )


CURVES = (
    ((0.0, 11_000.0), (4000.0, 11_000.0), (5000.0, 1000.0)),
    ((3000.0, 9000.0), (20_000.0, 6000.0), (40_000.0, 500.0)),
    ((3000.0, 9000.0), (4500.0, 2000.0)),
    ((0.0, 9000.0), (3000.0, 3000.0), (5000.0, 2500.0)),
)
"""Concave to full, concave, concave with a tail, and one that is not concave."""


def _battery(dice: random.Random) -> Battery:
    return Battery(
        capacity_wh=dice.choice([4000.0, 20_000.0]),
        soc_wh=dice.choice([-100.0, 0.0, 2000.0, 30_000.0]),
        min_soc_wh=dice.choice([0.0, 1000.0, 50_000.0]),
        max_charge_w=dice.choice([0.0, 5000.0]),
        max_discharge_w=dice.choice([0.0, 5000.0]),
        efficiency_one_way=dice.choice([0.8, 0.96, 1.0]),
        wear_per_kwh=dice.choice([0.0, 0.03]),
        reserve_wh=dice.choice([0.0, 0.0, 1500.0]),
    )


def moment_later(problem: Problem, seed: int, gone: int = 0) -> Problem:
    """The same site after a while within its quarter hour: ``gone`` slots are over, the next one has begun to shrink; meters, needs,
    states of charge, limits and forecasts have moved."""
    dice = random.Random(seed)
    first = problem.slots[gone]
    passed_s = dice.choice([0.0, 10.0, 290.0])
    slots = (Slot(first.start_wall_s + passed_s, first.duration_s - passed_s), *problem.slots[gone + 1 :])

    def off(value: float) -> float:
        return value * dice.choice([1.0, 0.5, 0.97, 1.03, 1.8])

    nodes = tuple(
        dataclasses.replace(
            node,
            limit_a=tuple(off(limit) for limit in node.limit_a) if node.parent is not None else node.limit_a,
            slot_limit_a=node.slot_limit_a[gone:],
            other_load_a=tuple((off(a), off(b), off(c)) for a, b, c in node.other_load_a[gone:]),
            margin_a=node.margin_a[gone:],
        )
        for node in problem.nodes
    )
    evs = tuple(
        dataclasses.replace(
            ev,
            energy_need_wh=off(ev.energy_need_wh),
            minimum_wh=off(ev.minimum_wh),
            present_power_w=dice.choice([0.0, 3680.0, -3000.0]),
            max_slot_power_w=ev.max_slot_power_w[gone:],
            max_slot_discharge_w=ev.max_slot_discharge_w[gone:],
            soc_wh=ev.soc_wh * dice.choice([1.0, 0.9, 1.02]),
        )
        for ev in problem.evs
    )
    battery = problem.battery and dataclasses.replace(problem.battery, soc_wh=off(problem.battery.soc_wh))
    later = {name: getattr(problem, name)[gone:] for name in SERIES}
    later["pv_w"] = tuple(map(off, later["pv_w"]))
    return dataclasses.replace(problem, created_wall_s=slots[0].start_wall_s, slots=slots, nodes=nodes, evs=evs, battery=battery, **later)


SERIES = ("buy_per_kwh", "sell_per_kwh", "pv_w", "import_limit_w", "export_limit_w", "co2_kg_per_kwh", "reserve_w", "grid_setpoint_w")
