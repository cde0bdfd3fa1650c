"""What a planning problem means, in the words that the model and the rules share.

Decides: which inputs cannot be planned with (``defects``), when a car may take or give power, what
each wire carries before any car is served, and how a set of powers is settled into a ``Plan``. It
never decides who charges. ``check.py`` deliberately uses nothing of this file: two authors of the same
mistake would agree.

Powers are W, energies Wh, currents A per phase, prices currency per kWh; charging and import positive.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from optimizer.problem import EXPORT_OVERLOAD, IMPORT_OVERLOAD, Battery, Ev, Node, Plan, PlanStatus, Problem, Slot, Triple, overload_key

PHASES = (0, 1, 2)
NO_LOAD: Triple = (0.0, 0.0, 0.0)
OVERLOAD_REPORT_A = 1e-3
"""Overdraw below this is a rounding error of the solver, not a message to a person [A]."""

SHORTFALL_REPORT_WH = 0.01
"""Shortfalls below this are rounding errors of the solver [Wh]."""

Flows = dict[str, list[list[float]]]
"""node_id -> per slot -> per phase [A]."""


# -- what cannot be planned with --------------------------------------------------------------


def defects(problem: Problem) -> tuple[str, ...]:
    """Everything that makes a problem unusable, one sentence each; empty when it can be planned.

    Contradicting but harmless statements (a state of charge above the capacity, a departure before
    the arrival, a negative need) are no defects: they are read in the safer way.
    """
    found = [*_slot_defects(problem), *_series_defects(problem), *_node_defects(problem.nodes)]
    node_ids = {node.node_id for node in problem.nodes}
    found += [text for ev in problem.evs for text in _ev_defects(ev, node_ids, len(problem.slots))]
    found += _duplicates("car", (ev.ev_id for ev in problem.evs))
    numbers = (problem.voltage_v, problem.demand_per_kw, problem.peak_so_far_w, base_shortfall_price(problem))
    if not _finite(numbers) or problem.voltage_v <= 0 or problem.demand_per_kw < 0 or base_shortfall_price(problem) < 0:
        found.append("voltage, demand price, peak so far and shortfall price must be numbers >= 0, the voltage above 0")
    return tuple(found)


def _finite(values: Iterable[float]) -> bool:
    return all(math.isfinite(value) for value in values)


def _duplicates(what: str, ids: Iterable[str]) -> list[str]:
    counted = Counter(ids)
    return [f"{what} {name} is listed twice" for name, count in counted.items() if count > 1]


def _slot_defects(problem: Problem) -> Iterator[str]:
    if not problem.slots:
        yield "there are no slots"
    for slot in problem.slots:
        if not _finite((slot.start_wall_s, slot.duration_s)) or slot.duration_s <= 0:
            yield f"a slot starting at {slot.start_wall_s} lasts {slot.duration_s} s"
            return
    for before, after in zip(problem.slots, problem.slots[1:], strict=False):
        if abs(before.start_wall_s + before.duration_s - after.start_wall_s) > 1e-3:
            yield f"the slots are not contiguous at {after.start_wall_s}"
            return


def _series_defects(problem: Problem) -> Iterator[str]:
    count = len(problem.slots)
    needed = {"buy_per_kwh": problem.buy_per_kwh, "sell_per_kwh": problem.sell_per_kwh, "pv_w": problem.pv_w}
    optional = {"import_limit_w": problem.import_limit_w, "export_limit_w": problem.export_limit_w}
    for name, values in [*needed.items(), *((name, values) for name, values in optional.items() if values)]:
        if len(values) != count or not _finite(values):
            yield f"{name} needs {count} numbers, one per slot"


def _node_defects(nodes: Sequence[Node]) -> Iterator[str]:
    yield from _duplicates("node", (node.node_id for node in nodes))
    parents = {node.node_id: node.parent for node in nodes}
    roots = [node.node_id for node in nodes if node.parent is None]
    if len(roots) != 1:
        yield f"the feeder tree needs exactly one root, found {len(roots)}"
    for node in nodes:
        if not _reaches_root(node.node_id, parents):
            yield f"node {node.node_id} does not lead to the root"
        if not _finite((*node.limit_a, *node.slot_limit_a, *(amps for load in node.other_load_a for amps in load))):
            yield f"node {node.node_id} has a limit or load that is not a number"


def _reaches_root(node_id: str, parents: Mapping[str, str | None]) -> bool:
    at: str | None = node_id
    for _ in parents:
        if at is None or at not in parents:
            break
        at = parents[at]
    return at is None


def _ev_defects(ev: Ev, node_ids: set[str], slot_count: int) -> Iterator[str]:
    if ev.node_id not in node_ids:
        yield f"car {ev.ev_id} hangs on the unknown node {ev.node_id}"
    if not ev.phases or len(set(ev.phases)) != len(ev.phases) or not set(ev.phases) <= set(PHASES):
        yield f"car {ev.ev_id} has impossible phases {ev.phases}"
    if ev.max_slot_power_w and len(ev.max_slot_power_w) != slot_count:
        yield f"car {ev.ev_id} needs one power bound per slot"
    numbers = (ev.energy_need_wh, ev.max_power_w, ev.present_power_w, ev.arrival_wall_s, *ev.max_slot_power_w)
    if not _finite(numbers) or math.isnan(ev.departure_wall_s):
        yield f"car {ev.ev_id} has a need, power or time that is not a number"


# -- one car ------------------------------------------------------------------------------------


def stay_fraction(ev: Ev, slot: Slot) -> float:
    """Part 0..1 of a slot during which the car is there."""
    begin = max(ev.arrival_wall_s, slot.start_wall_s)
    end = min(ev.departure_wall_s, slot.start_wall_s + slot.duration_s)
    return max(0.0, end - begin) / slot.duration_s


def charge_caps_w(problem: Problem, ev: Ev) -> list[float]:
    """Largest mean charging power per slot [W]: its own bound, upstream's bound, only inside its stay."""
    if not ev.max_slot_power_w:
        return [max(0.0, ev.max_power_w) * stay_fraction(ev, slot) for slot in problem.slots]
    bounds = zip(problem.slots, ev.max_slot_power_w, strict=True)
    return [max(0.0, min(ev.max_power_w, bound_w)) * stay_fraction(ev, slot) for slot, bound_w in bounds]


def may_discharge(ev: Ev) -> bool:
    """True when V2G is allowed and what the car says about its battery can be believed.

    A car below its reserve, or with a state of charge outside 0..capacity, is only charged.
    """
    numbers = (ev.max_discharge_w, ev.capacity_wh, ev.soc_wh, ev.reserve_wh, ev.efficiency, ev.wear_per_kwh)
    if not _finite(numbers) or ev.max_discharge_w <= 0 or not 0 < ev.efficiency <= 1:
        return False
    return max(0.0, ev.reserve_wh) <= ev.soc_wh <= ev.capacity_wh and ev.capacity_wh > 0


def need_wh(ev: Ev) -> float:
    """Energy that shall still flow at the charger [Wh]; for V2G no more than the battery can hold."""
    need = max(0.0, ev.energy_need_wh)
    return min(need, (ev.capacity_wh - ev.soc_wh) / ev.efficiency) if may_discharge(ev) else need


def shortfall_price(problem: Problem, ev: Ev) -> float:
    """Price of a kWh this car leaves without [currency/kWh]: 20 % more or less per step of priority."""
    own = base_shortfall_price(problem) if ev.shortfall_per_kwh is None else ev.shortfall_per_kwh
    return own * float(1.2**ev.priority)


def base_shortfall_price(problem: Problem) -> float:
    """Price of a missing kWh before priority [currency/kWh]."""
    return 10.0 if problem.shortfall_per_kwh is None else problem.shortfall_per_kwh


def usable_battery(problem: Problem) -> Battery | None:
    """The stationary battery with its state of charge cut to 0..capacity; None when its numbers make no sense."""
    battery = problem.battery
    if battery is None:
        return None
    numbers = (battery.capacity_wh, battery.soc_wh, battery.min_soc_wh, battery.max_charge_w, battery.max_discharge_w, battery.efficiency_one_way)
    if not _finite((*numbers, battery.wear_per_kwh)) or battery.capacity_wh <= 0 or not 0 < battery.efficiency_one_way <= 1:
        return None
    return Battery(
        capacity_wh=battery.capacity_wh,
        soc_wh=min(max(0.0, battery.soc_wh), battery.capacity_wh),
        min_soc_wh=min(max(0.0, battery.min_soc_wh), battery.capacity_wh),
        max_charge_w=max(0.0, battery.max_charge_w),
        max_discharge_w=max(0.0, battery.max_discharge_w),
        efficiency_one_way=battery.efficiency_one_way,
        wear_per_kwh=max(0.0, battery.wear_per_kwh),
    )


# -- prices -------------------------------------------------------------------------------------


def believed_sell(problem: Problem) -> list[float]:
    """Sell price per slot, never above the buy price: else buying and selling at once would pay."""
    return [min(sell, buy) for sell, buy in zip(problem.sell_per_kwh, problem.buy_per_kwh, strict=True)]


def price_scale(problem: Problem) -> float:
    """The largest energy price in sight [currency/kWh], at least 0.01: the yardstick of all tie-breaks."""
    return max(0.01, *(abs(price) for price in (*problem.buy_per_kwh, *problem.sell_per_kwh)))


# -- the feeder tree ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """The feeder tree in a handy order.

    bottom_up: nodes, children before parents. children: node_id -> its child nodes. fixed_a: what each
    node carries per slot and phase [A] while no car charges and PV and battery rest. site_phases: the
    phases of the grid connection; PV and battery spread evenly over them.
    """

    root: Node
    parents: dict[str, str | None]
    bottom_up: tuple[Node, ...]
    children: dict[str, list[str]]
    fixed_a: Flows
    site_phases: tuple[int, ...]

    def path(self, node_id: str) -> tuple[str, ...]:
        """The node and all nodes above it, the root last."""
        names = [node_id]
        while (above := self.parents[names[-1]]) is not None:
            names.append(above)
        return tuple(names)


def plant_tree(problem: Problem) -> Tree:
    """Order the nodes and sum their fixed loads. The problem must have no ``defects``."""
    root = next(node for node in problem.nodes if node.parent is None)
    by_parent: dict[str, list[Node]] = {node.node_id: [] for node in problem.nodes}
    for node in problem.nodes:
        if node.parent is not None:
            by_parent[node.parent].append(node)
    top_down = [root]
    for node in top_down:
        top_down.extend(by_parent[node.node_id])
    bottom_up = tuple(reversed(top_down))
    children = {node_id: [child.node_id for child in nodes] for node_id, nodes in by_parent.items()}
    fixed_a: Flows = {}
    for node in bottom_up:
        fixed_a[node.node_id] = _summed(own_load_a(node, len(problem.slots)), [fixed_a[child] for child in children[node.node_id]])
    parents = {node.node_id: node.parent for node in problem.nodes}
    return Tree(root, parents, bottom_up, children, fixed_a, site_phases(root))


def own_load_a(node: Node, slot_count: int) -> list[list[float]]:
    """The load on the node itself, per slot and phase [A]; missing entries are 0."""
    known = [list(load) for load in node.other_load_a[:slot_count]]
    return known + [list(NO_LOAD) for _ in range(slot_count - len(known))]


def _summed(own: list[list[float]], others: list[list[list[float]]]) -> list[list[float]]:
    for other in others:
        own = [[a[0] + b[0], a[1] + b[1], a[2] + b[2]] for a, b in zip(own, other, strict=True)]
    return own


def site_phases(root: Node) -> tuple[int, ...]:
    """Phases the grid connection really has: those with a limit above 0, all if none has."""
    return tuple(phase for phase in PHASES if root.limit_a[phase] > 0) or PHASES


def node_limits_a(node: Node, slot: int) -> Triple:
    """What the node may carry in a slot, per phase [A], in both directions."""
    ceiling = node.slot_limit_a[slot] if slot < len(node.slot_limit_a) else math.inf
    first, second, third = node.limit_a
    return max(0.0, min(first, ceiling)), max(0.0, min(second, ceiling)), max(0.0, min(third, ceiling))


def import_limit_w(problem: Problem, slot: int) -> float:
    """Largest import of the site in a slot [W], infinite when none is set."""
    return max(0.0, problem.import_limit_w[slot]) if problem.import_limit_w else math.inf


def export_limit_w(problem: Problem, slot: int) -> float:
    """Largest export of the site in a slot [W], infinite when none is set."""
    return max(0.0, problem.export_limit_w[slot]) if problem.export_limit_w else math.inf


@dataclass(frozen=True, slots=True)
class Unavoidable:
    """Overloads that remain when no car charges and the battery rests, whatever is done with the PV.

    nodes: (node, slot, phase) -> +1 drawing, -1 feeding in. site: slot -> the same for the import / export limit.
    """

    nodes: dict[tuple[str, int, int], int]
    site: dict[int, int]

    def feeding_slots(self) -> set[int]:
        """Slots in which too much is fed in somewhere."""
        return {slot for (_, slot, _), sign in self.nodes.items() if sign < 0} | {slot for slot, sign in self.site.items() if sign < 0}

    def blocks_charging(self, path: Iterable[str], phases: Iterable[int], slot: int) -> bool:
        """True when charging through these nodes and phases would add to an overload."""
        if self.site.get(slot, 0) > 0:
            return True
        return bool(self.nodes) and any(self.nodes.get((node_id, slot, phase), 0) > 0 for node_id in path for phase in phases)


def unavoidable_overloads(problem: Problem, tree: Tree) -> Unavoidable:
    """Find them; most sites have none."""
    nodes: dict[tuple[str, int, int], int] = {}
    site: dict[int, int] = {}
    for slot in range(len(problem.slots)):
        stuck = _pv_cannot_help(problem, tree, slot)
        for node in tree.bottom_up:
            if node.parent is not None or stuck:
                _note_signs(nodes, node, slot, tree.fixed_a[node.node_id][slot])
        exchange_w = sum(tree.fixed_a[tree.root.node_id][slot]) * problem.voltage_v
        if stuck and not -export_limit_w(problem, slot) <= exchange_w <= import_limit_w(problem, slot):
            site[slot] = 1 if exchange_w > 0 else -1
    return Unavoidable(nodes, site)


def _note_signs(nodes: dict[tuple[str, int, int], int], node: Node, slot: int, fixed_a: Sequence[float]) -> None:
    for phase, limit_a in enumerate(node_limits_a(node, slot)):
        if abs(fixed_a[phase]) > limit_a:
            nodes[node.node_id, slot, phase] = 1 if fixed_a[phase] > 0 else -1


def _pv_cannot_help(problem: Problem, tree: Tree, slot: int) -> bool:
    """True when no amount of PV, between none and all, keeps the grid connection within its limits."""
    fixed, limits = tree.fixed_a[tree.root.node_id][slot], node_limits_a(tree.root, slot)
    if any(abs(fixed[phase]) > limits[phase] for phase in PHASES if phase not in tree.site_phases):
        return True
    share, exchange_w = problem.voltage_v * len(tree.site_phases), sum(fixed) * problem.voltage_v
    least_w = [0.0, exchange_w - import_limit_w(problem, slot)]
    most_w = [pv_w(problem)[slot], exchange_w + export_limit_w(problem, slot)]
    for phase in tree.site_phases:
        least_w.append((fixed[phase] - limits[phase]) * share)
        most_w.append((fixed[phase] + limits[phase]) * share)
    return max(least_w) > min(most_w)


# -- from powers to a plan --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Powers:
    """What somebody decided: W per slot for each car (negative = discharge), the battery, PV thrown away."""

    evs: dict[str, list[float]]
    battery: list[float]
    curtailed: list[float]


def settle(problem: Problem, tree: Tree, powers: Powers, status: PlanStatus, solver: str, solve_s: float = 0.0) -> Plan:
    """Book the powers: flows, grid exchange, shortfalls, overloads and money all follow from them alone."""
    flows = node_flows(problem, tree, powers)
    grid_w = [sum(amps) * problem.voltage_v for amps in flows[tree.root.node_id]]
    peak_w = max(0.0, *grid_w)
    return Plan(
        created_wall_s=problem.created_wall_s,
        slots=problem.slots,
        ev_power_w={ev_id: tuple(values) for ev_id, values in powers.evs.items()},
        grid_power_w=tuple(grid_w),
        status=status,
        cost=money(problem, grid_w, peak_w),
        peak_w=peak_w,
        battery_power_w=tuple(powers.battery),
        pv_curtailed_w=tuple(powers.curtailed),
        shortfall_wh=shortfalls_wh(problem, powers.evs),
        overload_a=overloads_a(problem, tree, flows, grid_w),
        solver=solver,
        solve_s=solve_s,
    )


def node_flows(problem: Problem, tree: Tree, powers: Powers) -> Flows:
    """Current per node, slot and phase [A]; at the root PV and battery are included."""
    flows: Flows = {}
    drawn = _drawn_w(problem.evs, powers.evs)
    for node in tree.bottom_up:
        own = own_load_a(node, len(problem.slots))
        for phases, watts in drawn.get(node.node_id, {}).items():
            _spread(own, phases, watts, problem.voltage_v)
        flows[node.node_id] = _summed(own, [flows[child] for child in tree.children[node.node_id]])
    site_w = [curtailed - pv + battery for curtailed, pv, battery in zip(powers.curtailed, pv_w(problem), powers.battery, strict=True)]
    _spread(flows[tree.root.node_id], tree.site_phases, site_w, problem.voltage_v)
    return flows


def pv_w(problem: Problem) -> list[float]:
    """PV production per slot [W]; a negative forecast counts as none."""
    return [max(0.0, watts) for watts in problem.pv_w]


def _drawn_w(evs: Iterable[Ev], ev_power_w: Mapping[str, Sequence[float]]) -> dict[str, dict[tuple[int, ...], list[float]]]:
    """Power per node and set of phases: summing first and spreading once is 5x faster than car by car."""
    drawn: dict[str, dict[tuple[int, ...], list[float]]] = {}
    for ev in evs:
        group, watts = drawn.setdefault(ev.node_id, {}), ev_power_w[ev.ev_id]
        known = group.get(ev.phases)
        group[ev.phases] = list(watts) if known is None else [a + b for a, b in zip(known, watts, strict=True)]
    return drawn


def _spread(flow_a: list[list[float]], phases: tuple[int, ...], watts: Sequence[float], voltage_v: float) -> None:
    amps_per_watt = 1.0 / (voltage_v * len(phases))
    for amps, power_w in zip(flow_a, watts, strict=True):
        for phase in phases:
            amps[phase] += power_w * amps_per_watt


def shortfalls_wh(problem: Problem, ev_power_w: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """What each car lacks at departure or at the end of the horizon [Wh]; cars that get all are left out."""
    lacking = {ev.ev_id: need_wh(ev) - delivered_wh(problem, ev, ev_power_w[ev.ev_id]) for ev in problem.evs}
    return {ev_id: missing for ev_id, missing in lacking.items() if missing > SHORTFALL_REPORT_WH}


def delivered_wh(problem: Problem, ev: Ev, watts: Sequence[float]) -> float:
    """Energy at the charger [Wh]; what a car gave back has to be put in again, losses included."""
    charged = sum(power_w * slot.hours for power_w, slot in zip(watts, problem.slots, strict=True) if power_w > 0)
    given = sum(-power_w * slot.hours for power_w, slot in zip(watts, problem.slots, strict=True) if power_w < 0)
    return charged - given / ev.efficiency**2 if given else charged


def overloads_a(problem: Problem, tree: Tree, flows: Flows, grid_w: Sequence[float]) -> dict[str, float]:
    """Worst overdraw per node and phase [A], plus the site's import and export limit."""
    worst: dict[str, float] = {}
    for node in tree.bottom_up:
        for slot, amps in enumerate(flows[node.node_id]):
            for phase, limit_a in enumerate(node_limits_a(node, slot)):
                if abs(amps[phase]) > limit_a + OVERLOAD_REPORT_A:
                    _note(worst, overload_key(node.node_id, phase), abs(amps[phase]) - limit_a)
    for slot, power_w in enumerate(grid_w):
        _note(worst, IMPORT_OVERLOAD, (power_w - import_limit_w(problem, slot)) / problem.voltage_v)
        _note(worst, EXPORT_OVERLOAD, (-power_w - export_limit_w(problem, slot)) / problem.voltage_v)
    return worst


def _note(worst: dict[str, float], key: str, amps: float) -> None:
    if amps > OVERLOAD_REPORT_A:
        worst[key] = max(worst.get(key, 0.0), amps)


def money(problem: Problem, grid_w: Sequence[float], peak_w: float) -> float:
    """Energy plus demand charge [currency]; a peak below the one already paid for costs nothing."""
    rows = zip(problem.slots, grid_w, problem.buy_per_kwh, believed_sell(problem), strict=True)
    energy = sum(slot.hours * power_w / 1000.0 * (buy if power_w > 0 else sell) for slot, power_w, buy, sell in rows)
    return energy + problem.demand_per_kw * max(0.0, peak_w - max(0.0, problem.peak_so_far_w)) / 1000.0
