"""The planning program a second time, written from the docstrings of ``optimizer/problem.py`` alone, on arrays: what the model is compared with.

Powers are kW and every current is the kW of one phase (the model under test works in energies). Of the model only its documented prices
are used (``optimizer.weights``, the constants of ``optimizer.objective``): how much a promise is worth is a decision, how it enters a
program is what is tested here. ``formulate`` makes the program, ``optimum`` solves it with scipy, ``highs_of`` hands it straight to HiGHS: the
floor that no modelling layer can beat.

Two things are left out, and the sites compared must be without them: overloads that other loads cause alone, and V2G or batteries at
prices below 0 (where a linear program would charge and discharge at once).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from optimizer.objective import CHANGE, CURTAILING, CYCLING, EARLY, SELL_GAP, URGENT, urgency_of
from optimizer.problem import Ev, Node, Problem
from optimizer.weights import SECOND_HALF, Weights, minimum_price, shortfall_price, weights

Floats = NDArray[np.float64]
INF = math.inf


@dataclass(frozen=True)
class Split:
    """An optimum in its parts [currency]."""

    money: float
    penalties: float
    preferences: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.money + self.penalties + self.preferences


@dataclass(frozen=True)
class Plain:
    """A program: lower <= x <= upper, row_lower <= matrix x <= row_upper. costs: money, penalties, preferences per column."""

    lower: Floats
    upper: Floats
    costs: Floats
    constant: float
    matrix: Any
    row_lower: Floats
    row_upper: Floats
    scale: float


@dataclass
class _Sheet:
    """Columns and rows on their way."""

    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    costs: list[tuple[float, float, float]] = field(default_factory=list)
    entries: list[tuple[int, int, float]] = field(default_factory=list)
    rows: list[tuple[float, float]] = field(default_factory=list)

    def column(self, high: float, low: float = 0.0, money: float = 0.0, penalty: float = 0.0, preference: float = 0.0) -> int:
        self.low.append(low)
        self.high.append(high)
        self.costs.append((money, penalty, preference))
        return len(self.low) - 1

    def row(self, terms: Iterable[tuple[int, float]], low: float, high: float) -> None:
        self.entries += [(len(self.rows), column, value) for column, value in terms]
        self.rows.append((low, high))


def formulate(
    problem: Problem,
    preferences: bool = True,
    known: Weights | None = None,
    urgency: Mapping[str, float] | None = None,
    held_w: Mapping[str, float] | None = None,
) -> Plain:
    """The whole program of a well-formed problem; without preferences only money and penalties count.

    known, urgency: what a living model has kept of earlier problems; None = those of this one. held_w: powers of cars in the first
    slot that are decided already.
    """
    return _Formulation(problem, preferences, known or weights(problem), urgency or {}, held_w or {}).finished()


class _Formulation:
    """One function per part of ``problem.py``. feeds: (node, phase, slot) -> what draws there, as (column, share)."""

    def __init__(self, problem: Problem, preferences: bool, known: Weights, urgency: Mapping[str, float], held_w: Mapping[str, float]) -> None:
        self.problem, self.known, self.likes, self.urgency, self.held_w = problem, known, 1.0 if preferences else 0.0, urgency, held_w
        self.sheet = _Sheet()
        self.slots = range(len(problem.slots))
        self.hours = [slot.duration_s / 3600.0 for slot in problem.slots]
        ends = [slot.start_wall_s + slot.duration_s for slot in problem.slots]
        self.late = [(end - ends[0]) / max(ends[-1] - ends[0], 1.0) for end in ends]
        self.feeds: dict[tuple[str, int, int], list[tuple[int, float]]] = {}
        self.battery_takes: dict[int, int] = {}
        self.thrown: dict[int, int] = {}
        self.constant = 0.0
        for ev in problem.evs:
            self.car(ev)
        self.plant()
        self.wires()
        self.exchange()
        self.peak()

    def finished(self) -> Plain:
        sheet = self.sheet
        places = np.array([(row, column) for row, column, _ in sheet.entries], dtype=int).reshape(-1, 2).T
        values = np.array([value for _, _, value in sheet.entries])
        matrix = csr_matrix((values, (places[0], places[1])), shape=(len(sheet.rows), len(sheet.low)))
        sides = np.array(sheet.rows, dtype=float).reshape(-1, 2).T
        costs = np.array(sheet.costs, dtype=float).reshape(-1, 3).T
        return Plain(np.array(sheet.low), np.array(sheet.high), costs, self.constant, matrix, sides[0], sides[1], self.known.scale)

    def like(self, weight: float, slot: int) -> float:
        """A preference [currency per kW in this slot]."""
        return self.likes * weight * self.known.scale * self.hours[slot]

    def feed(self, node_id: str, phases: Sequence[int], slot: int, column: int, sign: float) -> None:
        for phase in phases:
            self.feeds.setdefault((node_id, phase, slot), []).append((column, sign / len(phases)))

    # -- cars -------------------------------------------------------------------------------------------

    def car(self, ev: Ev) -> None:
        here = [slot for slot in self.slots if _there(ev, self.problem, slot) > 0.0] if ev.max_power_w > 0.0 else []
        two_way = ev.max_discharge_w > 0.0
        urgency = self.urgency.get(ev.ev_id, urgency_of(ev, self.problem.slots[0].start_wall_s))
        takes = {slot: self.flow(ev, slot, _bound(ev.max_power_w, ev.max_slot_power_w, slot), ev.present_power_w, urgency, 1.0) for slot in here}
        gives = {}
        if two_way:
            gives = {slot: self.given(ev, slot, urgency) for slot in here}
        if 0 in takes and ev.ev_id in self.held_w:
            held_kw = self.held_w[ev.ev_id] / 1000.0
            self.sheet.row([*((column, 1.0) for column in takes[0]), *((column, -1.0) for column in gives.get(0, []))], held_kw, held_kw)
        if 0 in takes:
            self.constant += self.likes * CHANGE * self.known.scale * abs(ev.present_power_w) / 1000.0 * self.hours[0]
        if not here:
            return
        need_kwh = max(0.0, ev.energy_need_wh) / 1000.0
        if two_way:
            need_kwh = min(need_kwh, (ev.capacity_wh - ev.soc_wh) / 1000.0 / ev.efficiency)
        short = self.shortfall(ev, need_kwh)
        if two_way or ev.acceptance:
            self.store(ev, takes, gives, short, need_kwh)
        else:
            self.sheet.row([*short, *((column, self.hours[slot]) for slot, flow in takes.items() for column in flow)], need_kwh, need_kwh)

    def flow(self, ev: Ev, slot: int, bound_w: float, present_w: float, urgency: float, sign: float, wear: float = 0.0) -> list[int]:
        """Columns of one direction in one slot [kW]: in the first slot the power of now is cheaper than another."""
        most_kw = bound_w / 1000.0 * _there(ev, self.problem, slot)
        wait = ev.wait_per_kwh[slot] if ev.wait_per_kwh and sign > 0.0 else 0.0
        early, money = EARLY * self.late[slot], (wear + wait) * self.hours[slot]
        if slot > 0:
            columns = [self.sheet.column(most_kw, penalty=money, preference=self.like(early + CHANGE + URGENT * urgency, slot))]
        else:
            kept_kw = min(max(0.0, sign * present_w / 1000.0), most_kw)
            kept = self.sheet.column(kept_kw, penalty=money, preference=self.like(early - CHANGE, slot))
            columns = [kept, self.sheet.column(most_kw - kept_kw, penalty=money, preference=self.like(early + CHANGE, slot))]
        for column in columns:
            self.feed(ev.node_id, ev.phases, slot, column, sign)
        return columns

    def given(self, ev: Ev, slot: int, urgency: float) -> list[int]:
        bound_w = _bound(ev.max_discharge_w, ev.max_slot_discharge_w, slot)
        if _bound(ev.max_power_w, ev.max_slot_power_w, slot) <= 0.0:
            bound_w = 0.0
        return self.flow(ev, slot, bound_w, ev.present_power_w, urgency, -1.0, self.wear(ev.wear_per_kwh, ev.efficiency))

    def wear(self, told_per_kwh: float, efficiency: float) -> float:
        """Price of a discharged kWh: what it wears, a little at least, and never less than losing energy on a round trip could earn."""
        least = self.likes * CYCLING * self.known.scale
        lost = max(0.0, self.known.destroyed) * (1.0 / efficiency**2 - 1.0)
        return max(least, told_per_kwh, least + lost if lost > 0.0 else 0.0)

    def shortfall(self, ev: Ev, need_kwh: float) -> list[tuple[int, float]]:
        """Missing energy [kWh]: of the minimum, and of the rest, whose second half weighs more."""
        least_kwh = min(max(0.0, ev.minimum_wh) / 1000.0, need_kwh)
        own = shortfall_price(self.problem, ev, self.known.energy)
        half = (need_kwh - least_kwh) / 2.0
        columns = [self.sheet.column(half, penalty=own), self.sheet.column(half, penalty=own * SECOND_HALF)]
        columns.append(self.sheet.column(least_kwh, penalty=minimum_price(self.known, self.problem, ev)))
        return [(column, 1.0) for column in columns]

    def store(self, ev: Ev, takes: dict[int, list[int]], gives: dict[int, list[int]], short: list[tuple[int, float]], need_kwh: float) -> None:
        """What is in the car's battery at the end of each slot [kWh], between reserve and full, and the curve it accepts."""
        two_way, start = ev.max_discharge_w > 0.0, ev.soc_wh / 1000.0
        low, high = (max(0.0, ev.reserve_wh) / 1000.0, ev.capacity_wh / 1000.0) if two_way else (0.0, INF)
        before: int | None = None
        for slot, columns in takes.items():
            level, hours = self.sheet.column(high, low), self.hours[slot]
            terms = [(level, 1.0), *((column, -ev.efficiency * hours) for column in columns)]
            terms += [(column, hours / ev.efficiency) for column in gives.get(slot, [])]
            right = start if before is None else 0.0
            self.sheet.row(terms if before is None else [*terms, (before, -1.0)], right, right)
            for base_kw, slope in _lines(ev):
                curve = [(level, -0.5 * slope), *((column, 1.0) for column in columns)]
                if before is None:
                    self.sheet.row(curve, -INF, base_kw + 0.5 * slope * start)
                else:
                    self.sheet.row([*curve, (before, -0.5 * slope)], -INF, base_kw)
            before = level
        assert before is not None
        wanted = start + ev.efficiency * need_kwh
        self.sheet.row([(before, 1.0), *((column, ev.efficiency) for column, _ in short)], wanted, INF if two_way else wanted)

    # -- the site ---------------------------------------------------------------------------------------

    def plant(self) -> None:
        """PV that may be thrown away, and the stationary battery, spread evenly over the phases of the connection."""
        problem = self.problem
        root = next(node for node in problem.nodes if node.parent is None)
        self.root, self.phases = root, [phase for phase in range(3) if root.limit_a[phase] > 0] or [0, 1, 2]
        for slot in self.slots:
            if problem.pv_w[slot] > 0.0:
                thrown = self.sheet.column(problem.pv_w[slot] / 1000.0, preference=self.like(CURTAILING, slot))
                self.feed(root.node_id, self.phases, slot, thrown, 1.0)
                self.thrown[slot] = thrown
        if problem.battery is not None:
            self.battery()

    def battery(self) -> None:
        battery = self.problem.battery
        assert battery is not None
        start, whole, efficiency = battery.soc_wh / 1000.0, battery.capacity_wh / 1000.0, battery.efficiency_one_way
        least, reserve = min(battery.min_soc_wh / 1000.0, start), min(battery.reserve_wh, battery.capacity_wh) / 1000.0
        wear, price, count = self.wear(battery.wear_per_kwh, efficiency), self.known.battery_reserve, len(self.slots)
        before = under_before = -1
        for slot in self.slots:
            hours, last = self.hours[slot], slot == count - 1
            takes = self.sheet.column(battery.max_charge_w / 1000.0, preference=self.like(EARLY * self.late[slot], slot))
            gives = self.sheet.column(battery.max_discharge_w / 1000.0, penalty=wear * hours)
            self.battery_takes[slot] = takes
            self.feed(self.root.node_id, self.phases, slot, takes, 1.0)
            self.feed(self.root.node_id, self.phases, slot, gives, -1.0)
            level = self.sheet.column(whole, start if last else least)
            terms = [(level, 1.0), (takes, -efficiency * hours), (gives, hours / efficiency)]
            self.sheet.row([*terms, (before, -1.0)] if slot else terms, 0.0 if slot else start, 0.0 if slot else start)
            if reserve > 0.0:  # below the reserve: dear once per kWh, a little in every slot, dear again where it stays so
                under = self.sheet.column(reserve, penalty=price if last else price / count)
                deeper = self.sheet.column(reserve, penalty=price)
                self.sheet.row([(level, 1.0), (under, 1.0)], reserve, INF)
                sunk = [(under, 1.0), (deeper, -1.0)]
                self.sheet.row([*sunk, (under_before, -1.0)] if slot else sunk, -INF, 0.0 if slot else max(0.0, reserve - start))
                under_before = under
            before = level

    def wires(self) -> None:
        """Kirchhoff at every node and phase; the limit bounds the flow. Flows are kW of one phase, loads and PV included."""
        problem, per_a = self.problem, self.problem.voltage_v / 1000.0
        self.flow_of: dict[tuple[str, int, int], int] = {}
        for node in problem.nodes:
            for phase in range(3):
                for slot in self.slots:
                    low, high = _wire_limits(node, phase, slot)
                    self.flow_of[node.node_id, phase, slot] = self.sheet.column(high * per_a, low * per_a)
        for node in problem.nodes:
            below = [child.node_id for child in problem.nodes if child.parent == node.node_id]
            for phase in range(3):
                for slot in self.slots:
                    terms = [(self.flow_of[node.node_id, phase, slot], -1.0), *self.feeds.get((node.node_id, phase, slot), ())]
                    terms += [(self.flow_of[child, phase, slot], 1.0) for child in below]
                    fixed = node.other_load_a[slot][phase] * per_a if node.other_load_a else 0.0
                    if node is self.root and phase in self.phases:
                        fixed -= max(0.0, problem.pv_w[slot]) / 1000.0 / len(self.phases)
                    self.sheet.row(terms, -fixed, -fixed)
            if node.max_unbalance_a is not None:
                self.unbalance(node, node.max_unbalance_a * per_a)
            for slot, watts in enumerate(node.slot_total_w):
                terms = [(self.flow_of[node.node_id, phase, slot], 1.0) for phase in range(3)]
                if node.battery_counts and node is not self.root and slot in self.battery_takes:
                    terms.append((self.battery_takes[slot], 1.0))
                if node is self.root and slot in self.thrown:
                    terms.append((self.thrown[slot], -1.0))
                self.sheet.row(terms, -INF, watts / 1000.0)

    def unbalance(self, node: Node, most_kw: float) -> None:
        for slot in self.slots:
            slack = self.sheet.column(INF, penalty=self.known.unbalance * self.hours[slot])
            for one, other in ((0, 1), (1, 2), (2, 0)):
                flows = self.flow_of[node.node_id, one, slot], self.flow_of[node.node_id, other, slot]
                self.sheet.row([(flows[0], 1.0), (flows[1], -1.0), (slack, -1.0)], -INF, most_kw)
                self.sheet.row([(flows[1], 1.0), (flows[0], -1.0), (slack, -1.0)], -INF, most_kw)

    def exchange(self) -> None:
        """What flows at the root is bought or sold; what is wanted of it."""
        problem, gap = self.problem, self.likes * SELL_GAP * self.known.scale
        self.imports: list[list[int]] = []
        for slot in self.slots:
            hours, buy = self.hours[slot], _effective_buy(problem, slot)
            most_in = problem.import_limit_w[slot] / 1000.0 if problem.import_limit_w else INF
            most_out = problem.export_limit_w[slot] / 1000.0 if problem.export_limit_w else INF
            bought = [self.sheet.column(most_in, money=buy * hours)]
            if problem.reserve_w and problem.reserve_w[slot] > 0.0:
                whole = min(most_in, sum(-_wire_limits(self.root, phase, slot)[0] for phase in range(3)) * problem.voltage_v / 1000.0)
                held = min(whole, problem.reserve_w[slot] / 1000.0)
                self.sheet.high[bought[0]] = whole - held
                bought.append(self.sheet.column(held, money=buy * hours, penalty=problem.reserve_per_kwh * hours))
            sold_for = min(problem.sell_per_kwh[slot], problem.buy_per_kwh[slot])
            sold = self.sheet.column(most_out, money=-min(sold_for, buy - gap) * hours)
            self.imports.append(bought)
            terms = [*((column, 1.0) for column in bought), (sold, -1.0)]
            flows = [(self.flow_of[self.root.node_id, phase, slot], -1.0) for phase in range(3)]
            self.sheet.row([*terms, *flows], 0.0, 0.0)
            wanted = problem.grid_setpoint_w[slot] if problem.grid_setpoint_w else None
            if wanted is not None:
                missed = [self.sheet.column(INF, penalty=problem.setpoint_per_kwh * hours) for _ in range(2)]
                self.sheet.row([*terms, (missed[0], -1.0), (missed[1], 1.0)], wanted / 1000.0, wanted / 1000.0)

    def peak(self) -> None:
        """The highest mean import of a demand window; only what rises above the peak already paid for costs."""
        problem, window_s = self.problem, self.problem.demand_window_s
        if problem.demand_per_kw <= 0.0:
            return
        rise = self.sheet.column(INF, money=problem.demand_per_kw)
        paid_kwh = max(0.0, problem.peak_so_far_w) / 1000.0 * window_s / 3600.0
        parts: dict[int, list[tuple[int, float]]] = {}
        for slot, step in enumerate(problem.slots):
            begin, end = step.start_wall_s, step.start_wall_s + step.duration_s
            for window in range(math.floor(begin / window_s), math.ceil(end / window_s)):
                hours = (min(end, (window + 1) * window_s) - max(begin, window * window_s)) / 3600.0
                parts.setdefault(window, []).extend((column, hours) for column in self.imports[slot])
        running = math.floor(problem.slots[0].start_wall_s / window_s)
        for window, terms in parts.items():
            before_kwh = max(0.0, problem.window_import_wh) / 1000.0 if window == running else 0.0
            self.sheet.row([*terms, (rise, -window_s / 3600.0)], -INF, paid_kwh - before_kwh)


def _there(ev: Ev, problem: Problem, slot: int) -> float:
    step = problem.slots[slot]
    end = min(ev.departure_wall_s, step.start_wall_s + step.duration_s)
    return max(0.0, end - max(ev.arrival_wall_s, step.start_wall_s)) / step.duration_s


def _bound(own_w: float, per_slot: Sequence[float], slot: int) -> float:
    return max(0.0, min(own_w, per_slot[slot]) if per_slot else own_w)


def _lines(ev: Ev) -> list[tuple[float, float]]:
    """The falling concave curve as lines: (power at empty [kW], slope [kW per kWh]), the flat first power too."""
    points = [(energy / 1000.0, power / 1000.0) for energy, power in ev.acceptance]
    if not points:
        return []
    slopes = [((after[1] - before[1]) / (after[0] - before[0]), before) for before, after in itertools.pairwise(points)]
    return [(points[0][1], 0.0), *((at[1] - slope * at[0], slope) for slope, at in slopes)]


def _wire_limits(node: Node, phase: int, slot: int) -> tuple[float, float]:
    """Least and most current [A]: the margin stays free in the drawing direction."""
    limit = max(0.0, min(node.limit_a[phase], node.slot_limit_a[slot]) if node.slot_limit_a else node.limit_a[phase])
    return -limit, limit - (max(0.0, node.margin_a[slot]) if node.margin_a else 0.0)


def _effective_buy(problem: Problem, slot: int) -> float:
    kg = max(0.0, problem.co2_kg_per_kwh[slot]) if problem.co2_kg_per_kwh else 0.0
    return problem.buy_per_kwh[slot] + max(0.0, problem.co2_per_kg) * kg


# -- solving ----------------------------------------------------------------------------------------


def optimum(plain: Plain) -> Split:
    """The cheapest solution, found by scipy. Raises RuntimeError when there is none."""
    equal = plain.row_lower == plain.row_upper
    below, above = ~equal & np.isfinite(plain.row_upper), ~equal & np.isfinite(plain.row_lower)
    less = csr_matrix(np.concatenate([plain.matrix[below].toarray(), -plain.matrix[above].toarray()]))
    found = linprog(
        plain.costs.sum(axis=0) / plain.scale,
        A_ub=less,
        b_ub=np.concatenate([plain.row_upper[below], -plain.row_lower[above]]),
        A_eq=plain.matrix[equal],
        b_eq=plain.row_lower[equal],
        bounds=np.column_stack([plain.lower, plain.upper]),
        method="highs",
    )
    if found.status != 0:
        raise RuntimeError(f"scipy found no optimum: {found.message}")
    money, penalties, preferences = (float(costs @ found.x) for costs in plain.costs)
    return Split(money, penalties, preferences + plain.constant)


def highs_of(plain: Plain) -> highspy.Highs:
    """HiGHS with the program in it, not yet run; its objective is in units of ``plain.scale``."""
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(plain.lower), len(plain.row_lower)
    lp.col_cost_ = plain.costs.sum(axis=0) / plain.scale
    lp.col_lower_, lp.col_upper_ = plain.lower, plain.upper
    lp.row_lower_, lp.row_upper_ = plain.row_lower, plain.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = plain.matrix.indptr, plain.matrix.indices, plain.matrix.data
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(lp)
    return solver
