"""The numbers a verifier needs again and again, as arrays: computed afresh from the problem and the plan's powers alone.

Part of ``check.py``; shares no line with ``model.py`` or ``terms.py``, so that one mistake cannot agree with itself. Powers in W,
energies in Wh, currents in A per phase. Arrays of cars are (car, slot), arrays of wires (node, phase, slot).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizer.problem import Ev, Plan, Problem

Floats: TypeAlias = NDArray[np.float64]
Truths: TypeAlias = NDArray[np.bool_]


class Desk:
    """One problem and one plan of the right shape. amps, watts, watt_hours: what counts as equal."""

    def __init__(self, problem: Problem, plan: Plan, tolerance_a: float) -> None:
        self.problem, self.plan = problem, plan
        self.amps = tolerance_a
        self.watts = self.watt_hours = tolerance_a * problem.voltage_v
        self.count = len(problem.slots)
        self.begin_s = np.array([slot.start_wall_s for slot in problem.slots])
        self.length_s = np.array([slot.duration_s for slot in problem.slots])
        self.hours = self.length_s / 3600.0
        self.power_w = series([plan.ev_power_w[ev.ev_id] for ev in problem.evs], self.count)
        self.grid_w = np.array(plan.grid_power_w, dtype=float)
        self.pv_w = np.maximum(0.0, np.array(problem.pv_w, dtype=float))
        self.curtailed_w = np.array(plan.pv_curtailed_w, dtype=float) if plan.pv_curtailed_w else np.zeros(self.count)
        self.battery_w = np.array(plan.battery_power_w, dtype=float) if plan.battery_power_w else np.zeros(self.count)

    def column(self, name: str) -> Floats:
        """One number of every car, as a column."""
        return np.array([getattr(ev, name) for ev in self.problem.evs], dtype=float).reshape(-1, 1)

    # -- cars ---------------------------------------------------------------------------------------

    @cached_property
    def present(self) -> Floats:
        """Part 0..1 of each slot during which each car is there."""
        ends = np.minimum(self.column("departure_wall_s"), self.begin_s + self.length_s)
        stay_s = ends - np.maximum(self.column("arrival_wall_s"), self.begin_s)
        return np.asarray(np.maximum(0.0, stay_s) / self.length_s, dtype=float)

    @cached_property
    def takes_w(self) -> Floats:
        """Most charging power while there."""
        return self._with_slots("max_power_w", "max_slot_power_w")

    @cached_property
    def gives_w(self) -> Floats:
        """Most discharging power while there, 0 for cars whose words cannot be believed."""
        bounds = self._with_slots("max_discharge_w", "max_slot_discharge_w")
        return np.asarray(np.where(self.two_way[:, None], bounds, 0.0), dtype=float)

    def _with_slots(self, name: str, per_slot: str) -> Floats:
        bounds = np.repeat(self.column(name), self.count, axis=1)
        for row, ev in enumerate(self.problem.evs):
            own = getattr(ev, per_slot)
            if own:
                bounds[row, : len(own)] = np.minimum(bounds[row, : len(own)], own[: self.count])
        return np.asarray(np.maximum(0.0, bounds), dtype=float)

    @cached_property
    def two_way(self) -> Truths:
        """Cars that may give back: all their numbers make sense."""
        return np.array([_two_way(ev) for ev in self.problem.evs], dtype=bool)

    @cached_property
    def efficiency(self) -> Floats:
        """Part of the energy at the charger that reaches the cells, as a column; odd statements count as 1."""
        told = self.column("efficiency")
        return np.where((told > 0.0) & (told <= 1.0), told, 1.0)

    @cached_property
    def stored_wh(self) -> Floats:
        """Energy in each car at the end of each slot; it means something only where the car told its own."""
        into_w = np.where(self.power_w > 0.0, self.power_w * self.efficiency, self.power_w / self.efficiency)
        return self.column("soc_wh") + np.cumsum(into_w * self.hours, axis=1)

    @cached_property
    def delivered_wh(self) -> Floats:
        """Energy each car got at the charger, what it gave back (with the losses of putting it in again) taken off."""
        charged = np.maximum(self.power_w, 0.0) @ self.hours
        given = np.maximum(-self.power_w, 0.0) @ self.hours
        return np.asarray(charged - given / self.efficiency[:, 0] ** 2, dtype=float)

    @cached_property
    def accepted_w(self) -> Floats:
        """What each car's own curve allows at the mean of the stored energy at a slot's begin and end; inf without a curve."""
        found = np.full(self.power_w.shape, np.inf)
        rows = [row for row, ev in enumerate(self.problem.evs) if _has_curve(ev)]
        if rows:
            told = [self.problem.evs[row].acceptance for row in rows]
            most = max(len(points) for points in told)
            curve = np.array([[*points, *[points[-1]] * (most - len(points))] for points in told])
            after = self.stored_wh[rows]
            before = np.concatenate([self.column("soc_wh")[rows], after[:, :-1]], axis=1)
            found[rows] = _along(curve, (before + after) / 2.0)
        return found

    # -- wires ----------------------------------------------------------------------------------------

    @cached_property
    def place(self) -> dict[str, int]:
        """Row of each node."""
        return {node.node_id: index for index, node in enumerate(self.problem.nodes)}

    @cached_property
    def root(self) -> int:
        """Row of the grid connection."""
        return next(index for index, node in enumerate(self.problem.nodes) if node.parent is None)

    @cached_property
    def bottom_up(self) -> list[tuple[int, int]]:
        """(row of a node, row of the one above), children before their parents."""
        parents = [self.place[node.parent] if node.parent is not None else -1 for node in self.problem.nodes]
        depths = [self._depth(index, parents) for index in range(len(parents))]
        order = sorted(range(len(parents)), key=lambda index: -depths[index])
        return [(index, parents[index]) for index in order if parents[index] >= 0]

    @staticmethod
    def _depth(index: int, parents: Sequence[int]) -> int:
        depth = 0
        while parents[index] >= 0:
            index, depth = parents[index], depth + 1
        return depth

    @cached_property
    def limit_a(self) -> Floats:
        """What each phase of each node may carry in each slot, both ways."""
        limits = np.repeat(np.array([node.limit_a for node in self.problem.nodes], dtype=float)[:, :, None], self.count, axis=2)
        for index, node in enumerate(self.problem.nodes):
            if node.slot_limit_a:
                own = np.array(node.slot_limit_a[: self.count])
                limits[index, :, : len(own)] = np.minimum(limits[index, :, : len(own)], own)
        return np.asarray(np.maximum(0.0, limits), dtype=float)

    @cached_property
    def _own_load_a(self) -> Floats:
        """What other loads draw at each node itself."""
        own = np.zeros((len(self.problem.nodes), 3, self.count))
        for index, node in enumerate(self.problem.nodes):
            if node.other_load_a:
                load = np.array(node.other_load_a[: self.count], dtype=float)
                own[index, :, : len(load)] += load.T
        return own

    @cached_property
    def load_a(self) -> Floats:
        """Current of other loads through each phase of each node."""
        return self._upward(self._own_load_a.copy(), np.zeros(self.count))

    @cached_property
    def flow_a(self) -> Floats:
        """Current of each phase of each node: loads, cars, PV, battery."""
        return self._upward(self._cars_a(self.power_w) + self._own_load_a, self.battery_w - self.pv_w + self.curtailed_w)

    @cached_property
    def drawn_a(self) -> Floats:
        """The part of it that charging cars and the charging battery draw."""
        return self._upward(self._cars_a(np.maximum(self.power_w, 0.0)), np.maximum(self.battery_w, 0.0))

    @cached_property
    def given_a(self) -> Floats:
        """The part of it that discharging cars and the discharging battery feed in, as a positive current."""
        return self._upward(self._cars_a(np.maximum(-self.power_w, 0.0)), np.maximum(-self.battery_w, 0.0))

    @cached_property
    def exchange_w(self) -> Floats:
        """What really flows at the grid connection, import positive."""
        return np.asarray(self.problem.voltage_v * self.flow_a[self.root].sum(axis=0), dtype=float)

    @cached_property
    def _groups(self) -> tuple[list[tuple[str, tuple[int, ...]]], NDArray[np.intp], NDArray[np.intp]]:
        """Cars of one node and set of phases together: their keys, the cars in that order, where each group begins."""
        known: dict[tuple[str, tuple[int, ...]], int] = {}
        group = np.array([known.setdefault((ev.node_id, ev.phases), len(known)) for ev in self.problem.evs], dtype=np.intp)
        order = np.argsort(group, kind="stable")
        return list(known), order, np.searchsorted(group[order], np.arange(len(known)))

    def _cars_a(self, power_w: Floats) -> Floats:
        own = np.zeros((len(self.problem.nodes), 3, self.count))
        keys, order, starts = self._groups
        if keys:
            sums = np.add.reduceat(power_w[order], starts, axis=0)
            for (node_id, phases), watts in zip(keys, sums, strict=True):
                own[self.place[node_id], list(phases)] += watts / (self.problem.voltage_v * len(phases))
        return own

    def _upward(self, own: Floats, site_w: Floats) -> Floats:
        for index, above in self.bottom_up:
            own[above] += own[index]
        copper = self.problem.nodes[self.root].limit_a
        phases = [phase for phase in range(3) if copper[phase] > 0] or [0, 1, 2]
        own[self.root, phases] += site_w / (self.problem.voltage_v * len(phases))
        return own


def series(rows: Sequence[Sequence[float]], count: int) -> Floats:
    """Rows of equal length as an array, also when there are none."""
    return np.array(rows, dtype=float).reshape(len(rows), count)


def _two_way(ev: Ev) -> bool:
    if not ev.max_discharge_w > 0.0:
        return False
    stated = (ev.max_discharge_w, ev.capacity_wh, ev.soc_wh, ev.reserve_wh, ev.efficiency, ev.wear_per_kwh)
    sane = bool(np.isfinite(stated).all()) and 0 < ev.efficiency <= 1 and ev.capacity_wh > 0
    return sane and ev.soc_wh >= 0 and ev.reserve_wh <= ev.soc_wh <= ev.capacity_wh


def _has_curve(ev: Ev) -> bool:
    stated = (ev.capacity_wh, ev.soc_wh, *(number for point in ev.acceptance for number in point))
    return bool(ev.acceptance) and bool(np.isfinite(stated).all()) and ev.capacity_wh > 0 and ev.soc_wh >= 0


def _along(curve: Floats, at_wh: Floats) -> Floats:
    """Value of each car's curve (car, point, (energy, power)), straight lines between the points, flat outside."""
    value = np.repeat(curve[:, :1, 1], at_wh.shape[1], axis=1)
    for point in range(curve.shape[1] - 1):
        (x0, y0), (x1, y1) = (curve[:, other, :].T[:, :, None] for other in (point, point + 1))
        wide = np.where(x1 > x0, x1 - x0, 1.0)
        part = np.where(x1 > x0, np.clip((at_wh - x0) / wide, 0.0, 1.0), at_wh >= x1)
        value = value + part * (y1 - y0)
    return value
