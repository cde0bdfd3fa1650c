"""Verifies a plan against its problem, knowing nothing of how it was made.

Decides whether a plan may be used: everything is computed afresh from the cars' powers with this verifier's own
arithmetic (no line is shared with ``model.py`` or ``terms.py``, so that one mistake cannot agree with itself). It never
repairs. A plan with any violation is a defect to count and must not reach a wire (fault F61).

An overload is forgiven only where the plan admits it in ``overload_a`` and neither a charging car nor the
charging battery adds to it (for feeding in: neither a discharging one). Margins are no promise: a plan may use them.
Every other soft rule may be broken if the plan says so, in the right amount (``check_soft.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.check_desk import Desk, Floats, Truths
from optimizer.check_soft import mean_import_w, misreported
from optimizer.problem import Battery, Plan, Problem


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise. where: a car, a node with phase, or "site"; slot None = not about one slot.

    amount: by how much, in the unit of the thing (A, W, Wh, currency).
    """

    name: str
    where: str
    slot: int | None
    amount: float


def check(problem: Problem, plan: Plan, tolerance: float = 0.01) -> tuple[Violation, ...]:
    """All violations of a plan, empty when it may be used.

    tolerance: accepted error of a current [A]; powers, energies and money accept what follows from it. The problem
    itself must be well formed (see ``terms.defects``).
    """
    broken = tuple(_shape(problem, plan))
    if broken:
        return broken
    with np.errstate(invalid="ignore", over="ignore"):
        return tuple(_contents(Desk(problem, plan, tolerance)))


def _contents(desk: Desk) -> Iterator[Violation]:
    if desk.problem.evs:
        yield from _car_power(desk)
        yield from _car_stores(desk)
        yield from _car_energy(desk)
    yield from _nodes(desk)
    yield from _totals(desk)
    yield from _grid(desk)
    yield from _curtailment(desk)
    yield from _battery(desk)
    yield from _money(desk)
    for kind, where, amount in misreported(desk):
        yield Violation(f"slack_{kind}", where, None, amount)


# -- shape ----------------------------------------------------------------------------------------


def _shape(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Same slots, every car once, finite numbers, lengths that fit."""
    if plan.slots != problem.slots:
        yield Violation("slots", "site", None, abs(len(plan.slots) - len(problem.slots)))
    expected, got = {ev.ev_id for ev in problem.evs}, set(plan.ev_power_w)
    for ev_id in sorted(expected ^ got):
        yield Violation("missing_car" if ev_id in expected else "unknown_car", ev_id, None, 1.0)
    for name, values in _series(plan):
        if len(values) != len(problem.slots):
            yield Violation("length", name, None, float(len(values) - len(problem.slots)))
        if not math.isfinite(math.fsum(values) if _plain(values) else math.nan):
            yield from (Violation("not_finite", name, slot, value) for slot, value in enumerate(values) if not math.isfinite(value))
    for name, value in _numbers(plan):
        if not math.isfinite(value):
            yield Violation("not_finite", name, None, value)


def _plain(values: Sequence[float]) -> bool:
    """Whether a series can be summed at once; two infinities of both signs cannot."""
    return math.inf not in values and -math.inf not in values


def _series(plan: Plan) -> Iterator[tuple[str, Sequence[float]]]:
    yield from plan.ev_power_w.items()
    yield "grid_power_w", plan.grid_power_w
    if plan.battery_power_w:
        yield "battery_power_w", plan.battery_power_w
    if plan.pv_curtailed_w:
        yield "pv_curtailed_w", plan.pv_curtailed_w


def _numbers(plan: Plan) -> Iterator[tuple[str, float]]:
    yield from (("cost", plan.cost), ("peak_w", plan.peak_w), ("co2_kg", plan.co2_kg), ("objective", plan.objective or 0.0))
    yield from plan.shortfall_wh.items()
    yield from plan.overload_a.items()
    for slack in plan.slacks:
        yield slack.where, slack.amount


# -- cars -----------------------------------------------------------------------------------------


def _cars(desk: Desk, name: str, broken: Truths, amount: Floats) -> Iterator[Violation]:
    """One violation per car and slot where ``broken``."""
    if broken.any():
        for row, slot in np.argwhere(broken):
            yield Violation(name, desk.problem.evs[row].ev_id, int(slot), float(amount[row, slot]))


def _car_power(desk: Desk) -> Iterator[Violation]:
    """Nothing outside the stay, nothing above the bounds or the car's own curve, discharge only where allowed."""
    watts, there = desk.power_w, desk.present > 0.0
    over = watts - desk.takes_w * desk.present
    giving = there & (watts < -desk.watts)
    denied = giving & ((desk.gives_w <= 0.0) | (desk.takes_w <= 0.0))
    yield from _cars(desk, "window", ~there & (np.abs(watts) > desk.watts), watts)
    yield from _cars(desk, "power_bound", there & (over > desk.watts), over)
    yield from _cars(desk, "discharge_not_allowed", denied, -watts)
    excess = -watts - desk.gives_w * desk.present
    yield from _cars(desk, "discharge_bound", giving & ~denied & (excess > desk.watts), excess)
    beyond = watts - np.maximum(0.0, desk.accepted_w)
    yield from _cars(desk, "acceptance", there & (watts > 0.0) & (beyond > desk.watts), beyond)


def _car_stores(desk: Desk) -> Iterator[Violation]:
    """The battery of a V2G car stays between its reserve and full."""
    two_way = desk.two_way[:, None]
    over = desk.stored_wh - desk.column("capacity_wh")
    under = np.maximum(0.0, desk.column("reserve_wh")) - desk.stored_wh
    yield from _cars(desk, "soc", two_way & (over > desk.watt_hours), over)
    yield from _cars(desk, "reserve", two_way & (under > desk.watt_hours), under)


def _car_energy(desk: Desk) -> Iterator[Violation]:
    """Delivered + shortfall = need. A V2G car may leave fuller than asked; nobody needs more than the battery holds."""
    short = np.array([desk.plan.shortfall_wh.get(ev.ev_id, 0.0) for ev in desk.problem.evs])
    need = np.maximum(0.0, desk.column("energy_need_wh")[:, 0])
    least = np.where(desk.two_way, np.minimum(need, _space_wh(desk)), need)
    least = np.where(np.isinf(desk.accepted_w).all(axis=1), least, np.minimum(least, np.maximum(0.0, _space_wh(desk))))
    missing = least - desk.delivered_wh - short
    surplus = np.where(desk.two_way, 0.0, desk.delivered_wh + short - need)
    for row in np.flatnonzero((missing > desk.watt_hours) | (surplus > desk.watt_hours) | (short < -desk.watt_hours)):
        yield Violation("energy", desk.problem.evs[row].ev_id, None, float(missing[row] if missing[row] > 0.0 else -surplus[row]))


def _space_wh(desk: Desk) -> Floats:
    """What still goes into each car, at the charger."""
    return np.asarray(((desk.column("capacity_wh") - desk.column("soc_wh")) / desk.efficiency)[:, 0], dtype=float)


# -- wires ----------------------------------------------------------------------------------------


def _nodes(desk: Desk) -> Iterator[Violation]:
    """Every phase of every node within its limit, or an admitted overload that nothing of ours adds to."""
    over = np.abs(desk.flow_a) - desk.limit_a
    for index, phase, slot in np.argwhere(over > desk.amps):
        where = f"{desk.problem.nodes[index].node_id}/L{phase + 1}"
        ours = desk.drawn_a if desk.flow_a[index, phase, slot] > 0.0 else desk.given_a
        if not _forgiven(desk, where, over[index, phase, slot], ours[index, phase, slot]):
            yield Violation("node_limit", where, int(slot), float(over[index, phase, slot]))


def _totals(desk: Desk) -> Iterator[Violation]:
    """All phases of a node together within its limit; where other loads alone are above it, cars and battery add nothing."""
    for index, node in enumerate(desk.problem.nodes):
        if not node.slot_total_w:
            continue
        watts, load_w = (desk.problem.voltage_v * amps[index].sum(axis=0) for amps in (desk.flow_a, desk.load_a))
        if index == desk.root:
            watts, load_w = watts - desk.curtailed_w, load_w - desk.pv_w
        elif node.battery_counts:
            watts = watts + np.maximum(0.0, desk.battery_w)
        over = watts - np.maximum(np.maximum(0.0, np.array(node.slot_total_w, dtype=float)), load_w)
        for slot in np.flatnonzero(over > 3 * desk.watts):
            yield Violation("node_total", node.node_id, int(slot), float(over[slot]))


def _forgiven(desk: Desk, key: str, over_a: float, our_part_a: float) -> bool:
    return bool(over_a <= desk.plan.overload_a.get(key, 0.0) + desk.amps and our_part_a <= desk.amps)


def _grid(desk: Desk) -> Iterator[Violation]:
    """The grid power is what flows at the root, within the import and export limits."""
    wrong = desk.grid_w - desk.exchange_w
    for slot in np.flatnonzero(np.abs(wrong) > 3 * desk.watts):
        yield Violation("balance", "site", int(slot), float(wrong[slot]))
    yield from _exchange(desk, "import", desk.exchange_w, desk.problem.import_limit_w)
    yield from _exchange(desk, "export", -desk.exchange_w, desk.problem.export_limit_w)


def _exchange(desk: Desk, way: str, watts: Floats, limit_w: Sequence[float]) -> Iterator[Violation]:
    if not limit_w:
        return
    over = watts - np.maximum(0.0, np.array(limit_w, dtype=float))
    for slot in np.flatnonzero(over > 3 * desk.watts):
        ours = desk.drawn_a if way == "import" else desk.given_a
        if not _forgiven(desk, way, over[slot] / desk.problem.voltage_v, ours[desk.root, :, slot].sum()):
            yield Violation(f"{way}_limit", "site", int(slot), float(over[slot]))


# -- PV and battery -------------------------------------------------------------------------------


def _curtailment(desk: Desk) -> Iterator[Violation]:
    """No more PV is thrown away than there is, none is invented, and nothing where nobody can hold it down."""
    most_w = np.zeros_like(desk.pv_w) if desk.problem.pv_fixed else desk.pv_w
    for slot in np.flatnonzero((desk.curtailed_w < -desk.watts) | (desk.curtailed_w > most_w + desk.watts)):
        yield Violation("curtailment", "site", int(slot), float(desk.curtailed_w[slot]))


def _battery(desk: Desk) -> Iterator[Violation]:
    """The stationary battery keeps its power bounds and its capacity and ends no emptier than it began."""
    stated = desk.problem.battery
    numbers = (stated.capacity_wh, stated.soc_wh, stated.efficiency_one_way, stated.max_charge_w, stated.max_discharge_w) if stated else ()
    if stated is None or not all(map(math.isfinite, numbers)) or stated.capacity_wh <= 0 or not 0 < stated.efficiency_one_way <= 1:
        yield from _battery_where(desk, "battery_power", np.abs(desk.battery_w), desk.watts)
        return
    start_wh = min(max(0.0, stated.soc_wh), stated.capacity_wh)
    least_wh = min(start_wh, max(0.0, stated.min_soc_wh))
    stored_wh = start_wh + battery_gain_wh(desk, stated.efficiency_one_way)
    gives_w = np.minimum(stated.max_discharge_w, stated.max_slot_discharge_w or stated.max_discharge_w)
    power_over = np.maximum(desk.battery_w - max(0.0, stated.max_charge_w), -desk.battery_w - np.maximum(0.0, gives_w))
    yield from _battery_where(desk, "battery_power", power_over, desk.watts)
    yield from _battery_manners(desk, stated)
    yield from _battery_where(desk, "battery_soc", np.maximum(stored_wh - stated.capacity_wh, least_wh - stored_wh), desk.watt_hours)
    if stored_wh[-1] < start_wh - desk.watt_hours:
        yield Violation("battery_end", "battery", None, float(start_wh - stored_wh[-1]))


def _battery_manners(desk: Desk, stated: Battery) -> Iterator[Violation]:
    """What its owner forbids: charging with more than PV makes, feeding into the grid."""
    if stated.sun_only:
        yield from _battery_where(desk, "battery_sun_only", desk.battery_w - desk.pv_w, 3 * desk.watts)
    if not stated.feeds_grid:
        building_w = desk.problem.voltage_v * desk.load_a[desk.root].sum(axis=0)
        own_w = np.maximum(0.0, desk.pv_w - building_w) + (desk.gives_w * desk.present).sum(axis=0)
        fed_in_w = np.minimum(-desk.exchange_w - own_w, -desk.battery_w)
        yield from _battery_where(desk, "battery_feeds_grid", fed_in_w, 3 * desk.watts)


def battery_gain_wh(desk: Desk, efficiency: float) -> Floats:
    """What the battery's cells have gained by the end of each slot."""
    return np.cumsum(desk.battery_w * desk.hours * np.where(desk.battery_w > 0.0, efficiency, 1.0 / efficiency))


def _battery_where(desk: Desk, name: str, over: Floats, accepted: float) -> Iterator[Violation]:
    for slot in np.flatnonzero(over > accepted):
        yield Violation(name, "battery", int(slot), float(over[slot]))


# -- money ----------------------------------------------------------------------------------------


def _money(desk: Desk) -> Iterator[Violation]:
    """Peak, cost and CO2 follow from the grid power."""
    problem, plan, kwh = desk.problem, desk.plan, desk.grid_w * desk.hours / 1000.0
    peak_w = mean_import_w(desk)
    if abs(peak_w - plan.peak_w) > 3 * desk.watts:
        yield Violation("peak", "site", None, plan.peak_w - peak_w)
    buy = np.array(problem.buy_per_kwh, dtype=float)
    sell = np.minimum(buy, np.array(problem.sell_per_kwh, dtype=float))
    cost = float(kwh @ np.where(kwh > 0.0, buy, sell)) + problem.demand_per_kw * max(0.0, peak_w - max(0.0, problem.peak_so_far_w)) / 1000.0
    turned_over = float(desk.hours @ np.maximum(np.abs(buy), np.abs(np.array(problem.sell_per_kwh, dtype=float))))
    if abs(cost - plan.cost) > 3 * desk.watts / 1000.0 * (turned_over + problem.demand_per_kw) + 1e-9:
        yield Violation("cost", "site", None, plan.cost - cost)
    if problem.co2_kg_per_kwh:
        kg_per_kwh = np.array(problem.co2_kg_per_kwh, dtype=float)
        wrong = plan.co2_kg - float(np.maximum(kwh, 0.0) @ kg_per_kwh)
        if abs(wrong) > 3 * desk.watts / 1000.0 * float(desk.hours @ np.abs(kg_per_kwh)) + 1e-9:
            yield Violation("co2", "site", None, wrong)
