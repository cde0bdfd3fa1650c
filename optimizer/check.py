"""Verifies a plan against its problem, knowing nothing of how it was made.

Decides whether a plan may be used: everything is computed afresh from the cars' powers with this file's own
arithmetic (no line is shared with ``model.py`` or ``terms.py``, so that one mistake cannot agree with itself). It never
repairs. A plan with any violation is a defect to count and must not reach a wire (fault F61).

An overload is forgiven only where the plan admits it in ``overload_a`` and neither a charging car nor the
charging battery adds to it (for feeding in: neither a discharging one).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from optimizer.problem import Ev, Node, Plan, Problem


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
    return broken or tuple(_contents(_Desk(problem, plan, tolerance)))


class _Desk:
    """The numbers needed again and again: tolerances, net site power, current at every node."""

    def __init__(self, problem: Problem, plan: Plan, tolerance_a: float) -> None:
        self.problem, self.plan = problem, plan
        self.amps = tolerance_a
        self.watts = tolerance_a * problem.voltage_v
        self.watt_hours = self.watts
        count = len(problem.slots)
        self.pv = [max(0.0, watts) for watts in problem.pv_w]
        self.curtailed = plan.pv_curtailed_w or (0.0,) * count
        self.battery = plan.battery_power_w or (0.0,) * count
        self.root = next(node for node in problem.nodes if node.parent is None)
        self.nodes = {node.node_id: node for node in problem.nodes}
        self.flow, self.charging, self.discharging = self._currents()

    def _currents(self) -> tuple[dict[str, list[list[float]]], dict[str, list[list[float]]], dict[str, list[list[float]]]]:
        """Per node, phase and slot [A]: everything, only what charges, only what discharges."""
        total, plus, minus = ({node.node_id: [[0.0] * len(self.problem.slots) for _ in range(3)] for node in self.problem.nodes} for _ in range(3))
        for node in self.problem.nodes:
            for slot, load in enumerate(node.other_load_a):
                self._add(total, node, (0, 1, 2), slot, load)
        for ev in self.problem.evs:
            for slot, watts in enumerate(self.plan.ev_power_w[ev.ev_id]):
                if watts:
                    share = (watts / self.problem.voltage_v / len(ev.phases),) * len(ev.phases)
                    self._add(total, self.nodes[ev.node_id], ev.phases, slot, share)
                    self._add(plus if watts > 0 else minus, self.nodes[ev.node_id], ev.phases, slot, share)
        phases = [phase for phase in range(3) if self.root.limit_a[phase] > 0] or [0, 1, 2]
        for slot, (pv, curtailed, battery) in enumerate(zip(self.pv, self.curtailed, self.battery, strict=True)):
            for phase in phases:
                total[self.root.node_id][phase][slot] += (battery - pv + curtailed) / self.problem.voltage_v / len(phases)
                (plus if battery > 0 else minus)[self.root.node_id][phase][slot] += battery / self.problem.voltage_v / len(phases)
        return total, plus, minus

    def _add(self, table: dict[str, list[list[float]]], node: Node, phases: Iterable[int], slot: int, amps: Iterable[float]) -> None:
        at: Node | None = node
        amounts = list(zip(phases, amps, strict=True))
        while at is not None:
            rows = table[at.node_id]
            for phase, current in amounts:
                rows[phase][slot] += current
            at = self.nodes[at.parent] if at.parent is not None else None


def _contents(desk: _Desk) -> Iterator[Violation]:
    for ev in desk.problem.evs:
        yield from _car_power(desk, ev)
        yield from _car_energy(desk, ev)
    yield from _nodes(desk)
    yield from _curtailment(desk)
    yield from _battery(desk)
    yield from _grid(desk)
    yield from _money(desk)


# -- shape ----------------------------------------------------------------------------------------


def _shape(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Same slots, every car once, finite numbers, lengths that fit."""
    if plan.slots != problem.slots:
        yield Violation("slots", "site", None, abs(len(plan.slots) - len(problem.slots)))
    expected, got = {ev.ev_id for ev in problem.evs}, set(plan.ev_power_w)
    for ev_id in sorted(expected ^ got):
        yield Violation("missing_car" if ev_id in expected else "unknown_car", ev_id, None, 1.0)
    for name, series in _series(plan):
        if len(series) != len(problem.slots):
            yield Violation("length", name, None, float(len(series) - len(problem.slots)))
        for slot, value in enumerate(series):
            if not math.isfinite(value):
                yield Violation("not_finite", name, slot, value)
    for name, value in (("cost", plan.cost), ("peak_w", plan.peak_w), *plan.shortfall_wh.items(), *plan.overload_a.items()):
        if not math.isfinite(value):
            yield Violation("not_finite", name, None, value)


def _series(plan: Plan) -> Iterator[tuple[str, Sequence[float]]]:
    yield from plan.ev_power_w.items()
    yield "grid_power_w", plan.grid_power_w
    if plan.battery_power_w:
        yield "battery_power_w", plan.battery_power_w
    if plan.pv_curtailed_w:
        yield "pv_curtailed_w", plan.pv_curtailed_w


# -- cars -----------------------------------------------------------------------------------------


def _believable_v2g(ev: Ev) -> bool:
    stated = (ev.max_discharge_w, ev.capacity_wh, ev.soc_wh, ev.reserve_wh, ev.efficiency, ev.wear_per_kwh)
    sane = all(map(math.isfinite, stated)) and 0 < ev.efficiency <= 1 and ev.max_discharge_w > 0 and ev.capacity_wh > 0
    return sane and ev.soc_wh >= 0 and ev.reserve_wh <= ev.soc_wh <= ev.capacity_wh


def _car_power(desk: _Desk, ev: Ev) -> Iterator[Violation]:
    """Nothing outside the stay, nothing above the bounds, discharge only where allowed."""
    gives_w = ev.max_discharge_w if _believable_v2g(ev) else 0.0
    for slot, watts in enumerate(desk.plan.ev_power_w[ev.ev_id]):
        if abs(watts) <= 1e-9:
            continue
        begin, length = desk.problem.slots[slot].start_wall_s, desk.problem.slots[slot].duration_s
        present = max(0.0, min(ev.departure_wall_s, begin + length) - max(ev.arrival_wall_s, begin)) / length
        takes_w = max(0.0, min([ev.max_power_w, *ev.max_slot_power_w[slot : slot + 1]]))
        if present == 0.0:
            if abs(watts) > desk.watts:
                yield Violation("window", ev.ev_id, slot, watts)
        elif watts > takes_w * present + desk.watts:
            yield Violation("power_bound", ev.ev_id, slot, watts - takes_w * present)
        elif -watts > desk.watts and (gives_w == 0.0 or takes_w == 0.0):
            yield Violation("discharge_not_allowed", ev.ev_id, slot, -watts)
        elif -watts > gives_w * present + desk.watts:
            yield Violation("discharge_bound", ev.ev_id, slot, -watts - gives_w * present)


def _car_energy(desk: _Desk, ev: Ev) -> Iterator[Violation]:
    """Delivered + shortfall = need; a V2G battery stays between reserve and capacity and ends with what was asked."""
    short_wh = desk.plan.shortfall_wh.get(ev.ev_id, 0.0)
    if short_wh < -desk.watt_hours:
        yield Violation("energy", ev.ev_id, None, short_wh)
    hours = [slot.duration_s / 3600.0 for slot in desk.problem.slots]
    watts = desk.plan.ev_power_w[ev.ev_id]
    if _believable_v2g(ev):
        yield from _v2g_energy(desk, ev, hours, watts, short_wh)
        return
    missing_wh = max(0.0, ev.energy_need_wh) - math.fsum(power * hour for power, hour in zip(watts, hours, strict=True)) - short_wh
    if abs(missing_wh) > desk.watt_hours:
        yield Violation("energy", ev.ev_id, None, missing_wh)


def _v2g_energy(desk: _Desk, ev: Ev, hours: Sequence[float], watts: Sequence[float], short_wh: float) -> Iterator[Violation]:
    stored_wh = ev.soc_wh
    for slot, (power, hour) in enumerate(zip(watts, hours, strict=True)):
        stored_wh += power * hour * ev.efficiency if power > 0 else power * hour / ev.efficiency
        if stored_wh > ev.capacity_wh + desk.watt_hours:
            yield Violation("soc", ev.ev_id, slot, stored_wh - ev.capacity_wh)
        if stored_wh < max(0.0, ev.reserve_wh) - desk.watt_hours:
            yield Violation("reserve", ev.ev_id, slot, ev.reserve_wh - stored_wh)
    wanted_wh = min(ev.capacity_wh, ev.soc_wh + ev.efficiency * max(0.0, ev.energy_need_wh))
    if stored_wh + ev.efficiency * short_wh < wanted_wh - desk.watt_hours:
        yield Violation("energy", ev.ev_id, None, wanted_wh - stored_wh - ev.efficiency * short_wh)


# -- wires ----------------------------------------------------------------------------------------


def _nodes(desk: _Desk) -> Iterator[Violation]:
    """Every phase of every node within its limit, or an admitted overload that no charging adds to."""
    for node in desk.problem.nodes:
        for phase in range(3):
            where = f"{node.node_id}/L{phase + 1}"
            for slot, current_a in enumerate(desk.flow[node.node_id][phase]):
                limit_a = max(0.0, min([node.limit_a[phase], *node.slot_limit_a[slot : slot + 1]]))
                over_a = abs(current_a) - limit_a
                ours = desk.charging if current_a > 0 else desk.discharging
                if over_a > desk.amps and not _forgiven(desk, where, over_a, abs(ours[node.node_id][phase][slot])):
                    yield Violation("node_limit", where, slot, over_a)


def _forgiven(desk: _Desk, key: str, over_a: float, our_part_a: float) -> bool:
    return over_a <= desk.plan.overload_a.get(key, 0.0) + desk.amps and our_part_a <= desk.amps


def _grid(desk: _Desk) -> Iterator[Violation]:
    """The grid power is what flows at the root, within the import and export limits."""
    root_id, volts = desk.root.node_id, desk.problem.voltage_v
    for slot, grid_w in enumerate(desk.plan.grid_power_w):
        true_w = volts * sum(desk.flow[root_id][phase][slot] for phase in range(3))
        if abs(true_w - grid_w) > 3 * desk.watts:
            yield Violation("balance", "site", slot, grid_w - true_w)
        in_w = true_w - max(0.0, desk.problem.import_limit_w[slot]) if desk.problem.import_limit_w else -math.inf
        out_w = -true_w - max(0.0, desk.problem.export_limit_w[slot]) if desk.problem.export_limit_w else -math.inf
        charged_a = sum(desk.charging[root_id][phase][slot] for phase in range(3))
        given_a = -sum(desk.discharging[root_id][phase][slot] for phase in range(3))
        if in_w > 3 * desk.watts and not _forgiven(desk, "import", in_w / volts, charged_a):
            yield Violation("import_limit", "site", slot, in_w)
        if out_w > 3 * desk.watts and not _forgiven(desk, "export", out_w / volts, given_a):
            yield Violation("export_limit", "site", slot, out_w)


def _curtailment(desk: _Desk) -> Iterator[Violation]:
    """No more PV is thrown away than there is, and none is invented."""
    for slot, (curtailed_w, pv_w) in enumerate(zip(desk.curtailed, desk.pv, strict=True)):
        if curtailed_w < -desk.watts or curtailed_w > pv_w + desk.watts:
            yield Violation("curtailment", "site", slot, curtailed_w)


def _battery(desk: _Desk) -> Iterator[Violation]:
    """The stationary battery keeps its power bounds and its capacity and ends no emptier than it began."""
    stated = desk.problem.battery
    numbers = (stated.capacity_wh, stated.soc_wh, stated.efficiency_one_way, stated.max_charge_w, stated.max_discharge_w) if stated else ()
    if stated is None or not all(map(math.isfinite, numbers)) or stated.capacity_wh <= 0 or not 0 < stated.efficiency_one_way <= 1:
        yield from (Violation("battery_power", "battery", slot, watts) for slot, watts in enumerate(desk.battery) if abs(watts) > desk.watts)
        return
    stored_wh = start_wh = min(max(0.0, stated.soc_wh), stated.capacity_wh)
    least_wh = min(start_wh, max(0.0, stated.min_soc_wh))
    for slot, watts in enumerate(desk.battery):
        over_w = max(watts - max(0.0, stated.max_charge_w), -watts - max(0.0, stated.max_discharge_w))
        if over_w > desk.watts:
            yield Violation("battery_power", "battery", slot, over_w)
        hours = desk.problem.slots[slot].duration_s / 3600.0
        stored_wh += watts * hours * (stated.efficiency_one_way if watts > 0 else 1.0 / stated.efficiency_one_way)
        outside_wh = max(stored_wh - stated.capacity_wh, least_wh - stored_wh)
        if outside_wh > desk.watt_hours:
            yield Violation("battery_soc", "battery", slot, outside_wh)
    if stored_wh < start_wh - desk.watt_hours:
        yield Violation("battery_end", "battery", None, start_wh - stored_wh)


# -- money ----------------------------------------------------------------------------------------


def _money(desk: _Desk) -> Iterator[Violation]:
    """Peak and cost follow from the grid power."""
    problem, plan = desk.problem, desk.plan
    peak_w = max([0.0, *plan.grid_power_w])
    if abs(peak_w - plan.peak_w) > 3 * desk.watts:
        yield Violation("peak", "site", None, plan.peak_w - peak_w)
    energy, turned_over = 0.0, 0.0
    for slot, grid_w in enumerate(plan.grid_power_w):
        buy, sell = problem.buy_per_kwh[slot], problem.sell_per_kwh[slot]
        kwh = grid_w * problem.slots[slot].duration_s / 3.6e6
        energy += kwh * (buy if kwh > 0 else min(buy, sell))
        turned_over += problem.slots[slot].duration_s / 3600.0 * max(abs(buy), abs(sell))
    cost = energy + problem.demand_per_kw * max(0.0, peak_w - max(0.0, problem.peak_so_far_w)) / 1000.0
    accepted = 3 * desk.watts / 1000.0 * (turned_over + problem.demand_per_kw) + 1e-9
    if abs(cost - plan.cost) > accepted:
        yield Violation("cost", "site", None, plan.cost - cost)
