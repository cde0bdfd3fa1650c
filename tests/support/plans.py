"""Small planning problems in one line: hourly slots from a round hour, one grid node, one car at 1 kW steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optimizer.problem import Battery, Ev, Node, Plan, Problem, Slot, Triple

START_S = 1_700_002_800.0
"""2023-11-14T23:00:00Z."""
HOUR_S = 3600.0
VOLTS = 200.0
"""So that 1 kW on one phase is 5 A and 3 kW on three phases is 5 A each."""


def hours(count: int) -> tuple[Slot, ...]:
    """``count`` slots of one hour."""
    return tuple(Slot(START_S + index * HOUR_S, HOUR_S) for index in range(count))


def car(ev_id: str = "ev", need_wh: float = 4000.0, **changes: Any) -> Ev:
    """A single-phase car on L1 of "grid" that is there all the time: 1.2..4 kW."""
    facts: dict[str, Any] = {
        "ev_id": ev_id,
        "node_id": "grid",
        "phases": (0,),
        "arrival_wall_s": START_S,
        "departure_wall_s": START_S + 1000 * HOUR_S,
        "energy_need_wh": need_wh,
        "min_power_w": 1200.0,
        "max_power_w": 4000.0,
    }
    return Ev(**{**facts, **changes})


def v2g_car(ev_id: str = "v2g", **changes: Any) -> Ev:
    """A lossless V2G car of 20 kWh, half full, that needs nothing and may be emptied to 4 kWh."""
    facts: dict[str, Any] = {
        "need_wh": 0.0,
        "max_discharge_w": 4000.0,
        "capacity_wh": 20_000.0,
        "soc_wh": 10_000.0,
        "reserve_wh": 4000.0,
        "wear_per_kwh": 0.05,
    }
    return car(ev_id, **{**facts, **changes})


def battery(**changes: Any) -> Battery:
    """A lossless stationary battery of 10 kWh and 5 kW, empty."""
    facts: dict[str, Any] = {
        "capacity_wh": 10_000.0,
        "soc_wh": 0.0,
        "min_soc_wh": 0.0,
        "max_charge_w": 5000.0,
        "max_discharge_w": 5000.0,
        "efficiency_one_way": 1.0,
    }
    return Battery(**{**facts, **changes})


def grid(limit_a: float | Triple = 63.0, **changes: Any) -> Node:
    """The root."""
    limits = limit_a if isinstance(limit_a, tuple) else (limit_a, limit_a, limit_a)
    return Node("grid", None, limits, **changes)


def problem(buy: Sequence[float], *evs: Ev, nodes: Sequence[Node] = (), sell: float = 0.0, pv_w: Sequence[float] = (), **changes: Any) -> Problem:
    """One hourly slot per buy price; the grid carries 63 A per phase unless nodes say otherwise."""
    count = len(buy)
    facts: dict[str, Any] = {
        "created_wall_s": START_S,
        "slots": hours(count),
        "voltage_v": VOLTS,
        "nodes": tuple(nodes) or (grid(),),
        "evs": tuple(evs),
        "buy_per_kwh": tuple(buy),
        "sell_per_kwh": (sell,) * count,
        "pv_w": tuple(pv_w) or (0.0,) * count,
    }
    return Problem(**{**facts, **changes})


def load(*amps: float | Triple) -> tuple[Triple, ...]:
    """other_load_a of a node, per slot; a single number loads L1 only."""
    return tuple(value if isinstance(value, tuple) else (value, 0.0, 0.0) for value in amps)


def kw(values: Sequence[float]) -> list[float]:
    """Watts as kilowatts with three decimals, -0 as 0."""
    return [round(value / 1000.0, 3) + 0.0 for value in values]


def ev_kw(plan: Plan, ev_id: str = "ev") -> list[float]:
    """A car's powers [kW]."""
    return kw(plan.ev_power_w[ev_id])
