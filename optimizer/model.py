"""The linear program of one plan, in PuLP, and how it lives on from one problem to the next.

Decides: how a ``Problem`` becomes columns and rows. It never solves (``live.py``), never verifies (``check.py``), and it is feasible by
construction: a car may stay short of energy at a price, and a wire that other loads alone overload is granted its overload, at a
price. Everything else can always be met by charging nothing, resting the battery and throwing away the PV.

Where to find what: ``structure.py`` columns, rows, coefficients; ``objective.py`` what they cost; ``numbers.py`` and ``fleet.py`` bounds
and right-hand sides; ``weights.py`` the order of the stages; ``answers.py`` powers and shadow prices; ``columns.py`` fast PuLP objects.

Energies are kWh per slot (on wires kWh of one phase), so the length of a slot stands in bounds and right-hand sides only: while the
running slot shrinks, and when it is over, a program changes numbers and nothing else. The objective is divided by ``weights.scale``.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pulp

from optimizer import fleet, numbers, structure
from optimizer.answers import column_keys, powers, row_keys, shadow_prices
from optimizer.cars import believed_efficiency, curve_of, usable_battery
from optimizer.columns import Changes, Ints, Program
from optimizer.objective import CHANGE, CURTAILING, CYCLING, EARLY, SELL_GAP, URGENT, lateness, urgency_of
from optimizer.parts import Car, Frame, Site, Wiring
from optimizer.problem import Ev, Node, Problem, Slot
from optimizer.weights import DemandWindow, Weights, believed_sell, demand_windows, effective_buy, price_scale, weights
from optimizer.wires import plant_tree, site_phases

__all__ = ["CHANGE", "CURTAILING", "CYCLING", "EARLY", "SELL_GAP", "URGENT", "Model", "build", "powers", "shadow_prices"]

QUARTER_S = 900.0


class Model:
    """One living program.

    lp: the PuLP problem; ``lp._variables`` and ``lp._constraints`` are in the order of columns and rows and only ever grow at the end.
    problem, tree: those of now. frame.slots: the slots it was built with; problem.slots are always the last of them, the first one
    possibly cut at its begin. cars: ev_id -> where it stands. scale: objective of lp x scale = currency. one_way: set it and no battery
    may give from the next ``rewrite`` on.

    A cycle is: ``compatible(problem)`` -> "" or why it must be built anew; ``let_in_and_out(problem)`` (or ``admit`` / ``dismiss``)
    when cars came or left; ``rewrite(problem)`` always. Coefficients between old columns and old rows never change; an admitted car
    brings columns with entries in old rows (at the end of their expressions) and new rows. ``rewrite`` returns what changed; whoever
    reads all PuLP objects again may ignore it.
    """

    def __init__(self, problem: Problem, urgency: Mapping[str, float] | None = None) -> None:
        self.problem, self.tree = problem, plant_tree(problem)
        self.weights: Weights = weights(problem)
        self.program = Program()
        slots = problem.slots
        self.frame = Frame(slots, _early(slots), lateness(slots), tuple(effective_buy(problem)), tuple(believed_sell(problem)))
        self._starts, self._ends = [slot.start_wall_s for slot in slots], self.frame.ends_wall_s()
        nodes, count = len(self.tree.bottom_up), len(slots)
        self.wiring = Wiring([[[-1] * 3 for _ in range(count)] for _ in range(nodes)], [[[-1] * 3 for _ in range(count)] for _ in range(nodes)])
        self.cars: dict[str, Car] = {}
        self._gone: list[Car] = []
        self.running, self._begin_s = 0, slots[0].start_wall_s
        self.urgency = {ev.ev_id: urgency[ev.ev_id] for ev in problem.evs if ev.ev_id in urgency} if urgency else {}
        self._flows: tuple[Ints, Ints] | None = None
        self.one_way = False
        self._add_everything()

    def _add_everything(self) -> None:
        self.site: Site = structure.add_grid_exchange(self)
        for ev in self.problem.evs:
            self._add_car(ev)
        structure.add_pv_curtailment(self)
        structure.add_battery(self, usable_battery(self.problem))
        structure.add_unbalance(self)
        structure.add_totals(self)
        structure.add_setpoints(self)
        structure.add_peak(self)
        self.rewrite(self.problem)

    @property
    def lp(self) -> pulp.LpProblem:
        """The PuLP problem."""
        return self.program.lp

    @property
    def scale(self) -> float:
        """Currency per unit of the program's objective."""
        return self.weights.scale

    @property
    def column_keys(self) -> list[tuple[object, ...]]:
        """What each column is, in order: the same for the same car or wire and moment in another model."""
        return column_keys(self)

    @property
    def row_keys(self) -> list[tuple[object, ...]]:
        """What each row is, in order."""
        return row_keys(self)

    # -- from one problem to the next ---------------------------------------------------------------

    def compatible(self, problem: Problem) -> str:
        """Why this problem needs another model; "" when letting cars in and out and rewriting numbers will do."""
        offset = self._offset(problem.slots)
        if offset is None:
            return "another grid of time"
        for reason, same in (
            ("another feeder tree", self._same_tree(problem)),
            ("other prices", self._same_prices(problem, offset)),
            ("other weights", self._same_weights(problem)),
            ("other parts of the site", self._same_site(problem)),
            ("other wishes of the grid", self._same_wishes(problem, offset)),
            ("other demand windows", self._same_windows(problem, offset)),
        ):
            if not same:
                return reason
        return ""

    def let_in_and_out(self, problem: Problem) -> bool:
        """Shut the columns of cars that left (or became another car under the same name) and add those of cars that came."""
        self.running, self._begin_s = self._offset(problem.slots) or 0, problem.slots[0].start_wall_s
        coming = {ev.ev_id: ev for ev in problem.evs}
        gone = [ev_id for ev_id, car in self.cars.items() if ev_id not in coming or not self._fits(car, coming[ev_id])]
        for ev_id in gone:
            self.dismiss(ev_id)
        new = [ev for ev in problem.evs if ev.ev_id not in self.cars]
        for ev in new:
            self.admit(ev)
        return bool(gone or new)

    def admit(self, ev: Ev) -> None:
        """A car that came: its columns and rows; they get their numbers with the next ``rewrite``."""
        self._add_car(ev)

    def dismiss(self, ev_id: str) -> None:
        """A car that left: with the next ``rewrite`` its columns are shut and its rows say nothing."""
        self._gone.append(self.cars.pop(ev_id))
        self.urgency.pop(ev_id, None)

    def rewrite(self, problem: Problem) -> Changes:
        """Write every number of a compatible problem whose cars are all let in and out; touches only what differs."""
        self.running, self._begin_s = self._offset(problem.slots) or 0, problem.slots[0].start_wall_s
        self.problem, self.tree = problem, plant_tree(problem)
        now = numbers.look(problem, self.tree, self.running)
        if self.one_way:
            now = replace(now, sound=np.zeros_like(now.sound))
        for place in numbers.missing_overloads(self, now):
            structure.add_overload(self, *place)
        sheet, battery = self.program.sheet(), usable_battery(problem)
        for car in self._gone:
            fleet.shut(car, sheet)
        self._gone.clear()
        blocked = numbers.blocked_charging(self, now)
        numbers.write_feeder_tree(self, now, sheet)
        numbers.write_grid_exchange(self, now, sheet)
        numbers.write_setpoints(self, now, sheet)
        numbers.write_pv_curtailment(self, now, sheet)
        numbers.write_battery(self, battery, now, blocked, sheet)
        numbers.write_peak(self, now, sheet)
        fleet.write_cars(self, now, blocked, sheet)
        self.lp.objective.constant = numbers.constant(self, now)
        return self.program.take(sheet)

    def _add_car(self, ev: Ev) -> None:
        urgency = self.urgency.setdefault(ev.ev_id, urgency_of(ev, self.problem.slots[0].start_wall_s))
        self.cars[ev.ev_id] = structure.add_car(self, ev, urgency)
        self._flows = None

    # -- what may not change ------------------------------------------------------------------------

    def _offset(self, slots: Sequence[Slot]) -> int | None:
        """How many of the model's slots are over when these are the slots of now; None when they are not its last ones."""
        offset = len(self._ends) - len(slots)
        if not 0 <= offset < self.frame.early or slots[0].start_wall_s < self._starts[offset] - 1e-6:
            return None
        if abs(slots[0].start_wall_s + slots[0].duration_s - self._ends[offset]) > 1e-3:
            return None
        return offset if tuple(slots[1:]) == self.frame.slots[offset + 1 :] else None

    def _same_tree(self, problem: Problem) -> bool:
        same = list(map(_kind, self.problem.nodes)) == list(map(_kind, problem.nodes))
        if not same or problem.voltage_v != self.problem.voltage_v:
            return False
        return self.tree.site_phases == next(site_phases(node) for node in problem.nodes if node.parent is None)

    def _same_prices(self, problem: Problem, offset: int) -> bool:
        same = tuple(effective_buy(problem)) == self.frame.buy[offset:] and tuple(believed_sell(problem)) == self.frame.sell[offset:]
        return same and (problem.reserve_per_kwh, problem.setpoint_per_kwh) == (self.problem.reserve_per_kwh, self.problem.setpoint_per_kwh)

    def _same_weights(self, problem: Problem) -> bool:
        """Weights may be higher than needed (a car with a higher price has left), never lower."""
        needed, held = weights(problem), self.weights
        if price_scale(problem) > held.scale or needed.destroyed > held.destroyed:
            return False
        if problem.shortfall_per_kwh is not None and needed.energy != held.energy:
            return False
        pairs = ((needed.energy, held.energy), (needed.minimum, held.minimum), (needed.battery_reserve, held.battery_reserve))
        return all(need <= have for need, have in pairs)

    def _same_site(self, problem: Problem) -> bool:
        old, new = usable_battery(self.problem), usable_battery(problem)
        if (old is None) != (new is None):
            return False
        if old is not None and new is not None:
            facts = [(one.efficiency_one_way, one.wear_per_kwh, one.reserve_wh > 0.0) for one in (old, new)]
            if facts[0] != facts[1]:
                return False
        return self.site.curtailed >= 0 or max(problem.pv_w) <= 0.0

    def _same_wishes(self, problem: Problem, offset: int) -> bool:
        asked = {slot + offset for slot, watts in enumerate(problem.grid_setpoint_w) if watts is not None}
        known = {slot for slot in self.site.setpoints if slot >= offset}
        return asked == known and (self.site.reserve >= 0 or not structure.has_event_reserve(problem))

    def _same_windows(self, problem: Problem, offset: int) -> bool:
        if (problem.demand_per_kw > 0.0) != (self.site.peak >= 0):
            return False
        return self.site.peak < 0 or _still_ahead(self.site.windows, offset) == _shifted(demand_windows(problem), offset)

    def _fits(self, car: Car, ev: Ev) -> bool:
        """Whether a car's columns do for what is known of it now."""
        if structure.car_key(ev) != car.key or (ev.minimum_wh > 0.0 and not car.has_minimum and car.last > car.first):
            return False
        first, last = self.window_of(ev)
        if last > first and not (car.first <= max(first, self.running) and last <= car.last):
            return False
        lines = curve_of(ev).lines
        return not lines or lines == car.curve.lines

    # -- helpers of the groups ------------------------------------------------------------------------

    def window_of(self, ev: Ev) -> tuple[int, int]:
        """The slots of a car: first <= slot < last; none for one that cannot charge or is not here in time."""
        if ev.max_power_w <= 0.0 or ev.departure_wall_s <= self._begin_s:
            return 0, 0
        first = max(self.running, bisect_right(self._ends, ev.arrival_wall_s))
        return first, max(first, bisect_left(self._starts, ev.departure_wall_s))

    def flows(self) -> tuple[Ints, Ints]:
        """The flow columns: place in a flat (node, slot, phase) array, and number."""
        if self._flows is None:
            table = np.array(self.wiring.column, dtype=np.int64).reshape(-1)
            at = np.flatnonzero(table >= 0)
            self._flows = at, table[at]
        return self._flows

    @staticmethod
    def most_kwh(ev: Ev) -> float:
        """No store of this car ever holds more [kWh]."""
        return max(ev.capacity_wh, ev.soc_wh + believed_efficiency(ev) * max(0.0, ev.energy_need_wh)) / 1000.0


def _kind(node: Node) -> tuple[object, ...]:
    """What a node has rows for."""
    return node.node_id, node.parent, node.max_unbalance_a is None, bool(node.slot_total_w), bool(node.slot_total_w) and node.battery_counts


def build(problem: Problem, urgency: Mapping[str, float] | None = None) -> Model:
    """The whole program. The problem must have no ``terms.defects``. urgency: of the model before, so that cars keep theirs."""
    return Model(problem, urgency)


def _early(slots: Sequence[Slot]) -> int:
    """Slots that end within the running quarter hour of the clock; the first is always one of them."""
    end_s = (math.floor(slots[0].start_wall_s / QUARTER_S) + 1) * QUARTER_S
    return max(1, sum(slot.start_wall_s + slot.duration_s <= end_s + 1e-3 for slot in slots))


Parts = tuple[float, tuple[tuple[int, float], ...], bool]


def _still_ahead(windows: Sequence[DemandWindow], offset: int) -> list[Parts]:
    left = [(window.hours, tuple(part for part in window.parts if part[0] >= offset), window.running) for window in windows]
    return [window for window in left if window[1]]


def _shifted(windows: Sequence[DemandWindow], offset: int) -> list[Parts]:
    return [(window.hours, tuple((slot + offset, part) for slot, part in window.parts), window.running) for window in windows]
