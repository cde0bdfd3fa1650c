"""From powers to a plan: flows, exchange, peak, money, CO2, shortfalls and broken soft rules all follow from the powers alone.

Used for the solver's powers and for those of the rules. ``check.py`` computes all of it again, in its own way. Powers W, energies
Wh, currents A per phase; charging and import positive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optimizer.books import Books, Powers, keep_books
from optimizer.problem import (
    EXPORT_OVERLOAD,
    IMPORT_OVERLOAD,
    Plan,
    PlanStatus,
    Problem,
    ShadowPrice,
    overload_key,
)
from optimizer.slacks import OVERLOAD_REPORT_A, SHORTFALL_REPORT_WH, broken_rules
from optimizer.weights import believed_sell
from optimizer.wires import Tree, exchange_limits_w


def settle(
    problem: Problem,
    tree: Tree,
    powers: Powers,
    status: PlanStatus,
    solver: str,
    solve_s: float = 0.0,
    objective: float | None = None,
    shadow: tuple[ShadowPrice, ...] = (),
) -> Plan:
    """Book the powers. objective and shadow come from whoever solved."""
    books = keep_books(problem, tree, powers)
    return Plan(
        created_wall_s=problem.created_wall_s,
        slots=problem.slots,
        ev_power_w=dict(zip((ev.ev_id for ev in problem.evs), map(tuple, books.ev_w.tolist()), strict=True)),
        grid_power_w=tuple(books.grid_w.tolist()),
        status=status,
        cost=money(problem, books.grid_w.tolist(), books.peak_w),
        peak_w=books.peak_w,
        battery_power_w=tuple(powers.battery),
        pv_curtailed_w=tuple(powers.curtailed),
        shortfall_wh=_shortfalls_wh(problem, books),
        overload_a=_overloads_a(problem, tree, books),
        solver=solver,
        solve_s=solve_s,
        objective=objective,
        co2_kg=_co2_kg(problem, books),
        slacks=broken_rules(problem, tree, books),
        shadow=shadow,
    )


def _shortfalls_wh(problem: Problem, books: Books) -> dict[str, float]:
    """What each car lacks at departure or at the end of the horizon [Wh]; cars that get all are left out."""
    lacking = books.need_wh - books.delivered_wh
    short = np.flatnonzero(lacking > SHORTFALL_REPORT_WH)
    return {problem.evs[car].ev_id: float(lacking[car]) for car in short.tolist()}


def _overloads_a(problem: Problem, tree: Tree, books: Books) -> dict[str, float]:
    """Worst overdraw per node and phase [A], plus the site's import and export limit."""
    worst: dict[str, float] = {}
    over = (np.abs(books.flow_a) - books.limit_a).max(axis=1)
    for row, phase in np.argwhere(over > OVERLOAD_REPORT_A).tolist():
        worst[overload_key(tree.bottom_up[row].node_id, phase)] = float(over[row, phase])
    most_in, most_out = exchange_limits_w(problem)
    for key, beyond in ((IMPORT_OVERLOAD, books.grid_w - most_in), (EXPORT_OVERLOAD, -books.grid_w - most_out)):
        if beyond.max() / problem.voltage_v > OVERLOAD_REPORT_A:
            worst[key] = float(beyond.max() / problem.voltage_v)
    return worst


# -- money ----------------------------------------------------------------------------------------


def money(problem: Problem, grid_w: Sequence[float], peak_w: float) -> float:
    """Energy plus demand charge [currency]; a peak below the one already paid for costs nothing."""
    rows = zip(problem.slots, grid_w, problem.buy_per_kwh, believed_sell(problem), strict=True)
    energy = sum(slot.hours * power_w / 1000.0 * (buy if power_w > 0 else sell) for slot, power_w, buy, sell in rows)
    return energy + problem.demand_per_kw * max(0.0, peak_w - max(0.0, problem.peak_so_far_w)) / 1000.0


def _co2_kg(problem: Problem, books: Books) -> float:
    if not problem.co2_kg_per_kwh:
        return 0.0
    return float(np.maximum(0.0, books.grid_w) * books.hours @ np.array(problem.co2_kg_per_kwh, dtype=float)) / 1000.0
