"""The room of one slot: what every wire and the meter carry now, and how much more they may.

Decides nothing about cars; it only answers "how many amps more may these phases draw (or give) here?" and books the
answer. Starts from the expected other loads, PV and battery of the plan, every car at 0; then only ever
grants what fits, so whatever order its user asks in, no limit is overdrawn that other loads did not overdraw.
Own arithmetic: no line is shared with the linear program whose answer is rounded here.

Currents per phase [A], drawing positive; rows are (node, phase), ``3 * node + phase``.
"""

from __future__ import annotations

import math

from optimizer.problem import Node, Plan, Problem

CLOSE_W = 1e-6


class Room:
    """Rows of current and the grid power of one slot.

    grid_w: power at the meter with what is granted so far. plan_w: what the plan imports in this slot, never above the import
    limit. paid_w: import up to which the plan's peak is not raised (and no reserve or wish about the grid is hurt).
    import_w, export_w: the limits of the grid connection. total_w: what nodes with a limit of all phases together have left.
    """

    def __init__(self, problem: Problem, plan: Plan, slot: int) -> None:
        self._problem, self._slot = problem, slot
        self.volts = problem.voltage_v
        self._index = {node.node_id: place for place, node in enumerate(problem.nodes)}
        self._above = {node.node_id: node.parent for node in problem.nodes}
        self._rows: dict[tuple[str, tuple[int, ...]], tuple[int, ...]] = {}
        self._rules: dict[str, tuple[tuple[int, float], ...]] = {}
        self.inward_a, self.outward_a = _limits(problem.nodes, slot)
        self.flow_a = [0.0] * len(self.inward_a)
        self._load(plan)
        self.total_w = {node.node_id: self._total_left_w(node, plan) for node in problem.nodes if node.slot_total_w}
        self.import_w = max(0.0, problem.import_limit_w[slot]) if problem.import_limit_w else math.inf
        self.export_w = max(0.0, problem.export_limit_w[slot]) if problem.export_limit_w else math.inf
        self.plan_w = min(plan.grid_power_w[slot], self.import_w)
        self.paid_w = min(self.import_w, paid_import_w(problem, plan, slot))
        if problem.reserve_w:
            self.paid_w = max(self.plan_w, min(self.paid_w, self.import_w - max(0.0, problem.reserve_w[slot])))
        if problem.grid_setpoint_w and problem.grid_setpoint_w[slot] is not None:
            self.paid_w = self.plan_w

    def _load(self, plan: Plan) -> None:
        """Other loads, PV and battery; the cars come later."""
        slot, root = self._slot, next(node for node in self._problem.nodes if node.parent is None)
        for node in self._problem.nodes:
            if slot < len(node.other_load_a):
                load = node.other_load_a[slot]
                for above in self._path(node.node_id):
                    first = 3 * self._index[above]
                    for phase in (0, 1, 2):
                        self.flow_a[first + phase] += load[phase]
        site_w = -max(0.0, self._problem.pv_w[slot])
        site_w += plan.pv_curtailed_w[slot] if plan.pv_curtailed_w else 0.0
        site_w += plan.battery_power_w[slot] if plan.battery_power_w else 0.0
        phases = [phase for phase in (0, 1, 2) if root.limit_a[phase] > 0] or [0, 1, 2]
        first = 3 * self._index[root.node_id]
        for phase in phases:
            self.flow_a[first + phase] += site_w / (self.volts * len(phases))
        self.grid_w = self.volts * sum(self.flow_a[first : first + 3])

    def _total_left_w(self, node: Node, plan: Plan) -> float:
        """Before any car; the battery's charging is the plan's."""
        first = 3 * self._index[node.node_id]
        charging_w = plan.battery_power_w[self._slot] if plan.battery_power_w and node.battery_counts and node.parent is not None else 0.0
        return node.slot_total_w[self._slot] - self.volts * sum(self.flow_a[first : first + 3]) - max(0.0, charging_w)

    def totals_left_w(self, node_id: str) -> float:
        """What the limits in watts above a node leave for all phases together [W], inf = there are none."""
        return min((self.total_w.get(above, math.inf) for above in self._path(node_id)), default=math.inf) if self.total_w else math.inf

    def _path(self, node_id: str) -> list[str]:
        names, above = [node_id], self._above[node_id]
        while above is not None:
            names.append(above)
            above = self._above[above]
        return names

    def rows(self, node_id: str, phases: tuple[int, ...]) -> tuple[int, ...]:
        """Rows that a car on this node with these phases loads."""
        key = (node_id, phases)
        known = self._rows.get(key)
        if known is None:
            path = self._path(node_id)
            known = self._rows[key] = tuple(3 * self._index[name] + phase for name in path for phase in phases)
            ruled = [(self._index[name], self._problem.nodes[self._index[name]].max_unbalance_a) for name in path]
            self._rules[node_id] = tuple((3 * index, most) for index, most in ruled if most is not None)
        return known

    def more_a(self, node_id: str, phases: tuple[int, ...], up_to_grid_w: float = math.inf) -> float:
        """How much more each of these phases may draw [A], 0 when it is full; grid power at most up_to_grid_w."""
        flow, limit = self.flow_a, self.inward_a
        free = min(limit[row] - flow[row] for row in self.rows(node_id, phases))
        free = min(free, (min(self.import_w, up_to_grid_w) - self.grid_w) / (self.volts * len(phases)))
        if self.total_w:
            free = min(free, self.totals_left_w(node_id) / (self.volts * len(phases)))
        if len(phases) < 3:
            for first, most in self._rules[node_id]:
                others = min(flow[first + phase] for phase in (0, 1, 2) if phase not in phases)
                free = min(free, most + others - max(flow[first + phase] for phase in phases))
        return max(0.0, free)

    def less_a(self, node_id: str, phases: tuple[int, ...]) -> float:
        """How much less each of these phases may draw, or how much more it may give [A]."""
        flow, limit = self.flow_a, self.outward_a
        free = min(limit[row] + flow[row] for row in self.rows(node_id, phases))
        free = min(free, (self.export_w + self.grid_w) / (self.volts * len(phases)))
        if len(phases) < 3:
            for first, most in self._rules[node_id]:
                others = max(flow[first + phase] for phase in (0, 1, 2) if phase not in phases)
                free = min(free, most + min(flow[first + phase] for phase in phases) - others)
        return max(0.0, free)

    def book(self, node_id: str, phases: tuple[int, ...], amps: float) -> None:
        """These phases draw so much more (or less) from now on."""
        for row in self.rows(node_id, phases):
            self.flow_a[row] += amps
        watts = amps * self.volts * len(phases)
        self.grid_w += watts
        if self.total_w:
            for above in self._path(node_id):
                if above in self.total_w:
                    self.total_w[above] -= watts

    def overdrawn(self, node_id: str, phases: tuple[int, ...]) -> bool:
        """Whether other loads draw too much somewhere on the way: then giving back is a relief."""
        over = any(self.flow_a[row] > self.inward_a[row] for row in self.rows(node_id, phases))
        return over or self.grid_w > self.import_w + CLOSE_W or self.totals_left_w(node_id) < -CLOSE_W

    def missing_total_w(self, node_id: str, other_id: str, watts: float) -> float:
        """What the limits in watts that two nodes share lack for so much more [W]."""
        shared = set(self._path(node_id)) & set(self._path(other_id)) & self.total_w.keys() if self.total_w else ()
        return max((watts - self.total_w[above] for above in shared), default=0.0)

    def tight_rows(self, node_id: str, phases: tuple[int, ...], amps: float) -> list[int]:
        """Rows on the way that have less than so much room."""
        return [row for row in self.rows(node_id, phases) if self.inward_a[row] - self.flow_a[row] < amps]


def _limits(nodes: tuple[Node, ...], slot: int) -> tuple[list[float], list[float]]:
    """Most current per row while drawing (the margin stays free) and while feeding in [A]."""
    inward, outward = [], []
    for node in nodes:
        ceiling_a = node.slot_limit_a[slot] if slot < len(node.slot_limit_a) else math.inf
        margin_a = max(0.0, node.margin_a[slot]) if slot < len(node.margin_a) else 0.0
        for copper_a in node.limit_a:
            limit_a = max(0.0, min(copper_a, ceiling_a))
            inward.append(max(0.0, limit_a - margin_a))
            outward.append(limit_a)
    return inward, outward


def paid_import_w(problem: Problem, plan: Plan, slot: int) -> float:
    """Mean import of this slot up to which no demand window rises above what is planned or paid already [W]."""
    if problem.demand_per_kw <= 0.0:
        return math.inf
    window_s, step = problem.demand_window_s, plan.slots[slot]
    peak_w = max(plan.peak_w, problem.peak_so_far_w, 0.0)
    if window_s <= step.duration_s:
        return peak_w
    window = math.floor(step.start_wall_s / window_s)
    budget_wh = peak_w * window_s / 3600.0
    if math.floor(plan.slots[0].start_wall_s / window_s) == window:
        budget_wh -= max(0.0, problem.window_import_wh)
    for other in slots_of_window(plan, window, window_s):
        if other != slot:
            budget_wh -= max(0.0, plan.grid_power_w[other]) * plan.slots[other].hours
    return max(0.0, budget_wh) / step.hours


def slots_of_window(plan: Plan, window: int, window_s: float) -> list[int]:
    """Slots that begin in this demand window (number of windows since the epoch)."""
    return [index for index, slot in enumerate(plan.slots) if math.floor(slot.start_wall_s / window_s) == window]
