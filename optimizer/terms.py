"""What a planning problem means, in the words that the model and the rules share.

Decides: which inputs cannot be planned with (``defects``), and when a car may take or give power. What wires carry is in
``wires.py``, what promises are worth in ``weights.py``, how powers are booked into a plan in ``booking.py``; their names can be had here
too. It never decides who charges. ``check.py`` deliberately uses nothing of this: two authors of the same mistake would agree.

Powers are W, energies Wh, currents A per phase, prices currency per kWh; charging and import positive.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from optimizer.booking import money, settle
from optimizer.books import Powers, delivered_wh
from optimizer.cars import charge_caps_w, may_discharge, need_wh, stay_fraction, usable_battery
from optimizer.problem import Ev, Node, Problem
from optimizer.slacks import OVERLOAD_REPORT_A, SHORTFALL_REPORT_WH
from optimizer.weights import base_shortfall_price, believed_sell, price_scale, shortfall_price
from optimizer.wires import (
    PHASES,
    Flows,
    Tree,
    Unavoidable,
    export_limit_w,
    import_limit_w,
    node_limits_a,
    own_load_a,
    plant_tree,
    pv_w,
    site_phases,
    unavoidable_overloads,
)

__all__ = [
    "OVERLOAD_REPORT_A",
    "PHASES",
    "SHORTFALL_REPORT_WH",
    "Flows",
    "Powers",
    "Tree",
    "Unavoidable",
    "base_shortfall_price",
    "believed_sell",
    "charge_caps_w",
    "defects",
    "delivered_wh",
    "export_limit_w",
    "import_limit_w",
    "may_discharge",
    "money",
    "need_wh",
    "node_limits_a",
    "own_load_a",
    "plant_tree",
    "price_scale",
    "pv_w",
    "settle",
    "shortfall_price",
    "site_phases",
    "stay_fraction",
    "unavoidable_overloads",
    "usable_battery",
]


# -- what cannot be planned with --------------------------------------------------------------


def defects(problem: Problem) -> tuple[str, ...]:
    """Everything that makes a problem unusable, one sentence each; empty when it can be planned.

    Contradicting but harmless statements (a state of charge above the capacity, a departure before
    the arrival, a negative need) are no defects: they are read in the safer way.
    """
    found = [*_slot_defects(problem), *_series_defects(problem), *_node_defects(problem.nodes, len(problem.slots))]
    node_ids = {node.node_id for node in problem.nodes}
    found += [text for ev in problem.evs for text in _ev_defects(ev, node_ids, len(problem.slots))]
    found += _duplicates("car", (ev.ev_id for ev in problem.evs))
    return (*found, *_price_defects(problem))


def _price_defects(problem: Problem) -> Iterator[str]:
    shortfall_per_kwh = 0.0 if problem.shortfall_per_kwh is None else problem.shortfall_per_kwh
    numbers = (problem.voltage_v, problem.demand_per_kw, problem.peak_so_far_w, shortfall_per_kwh)
    if not _finite(numbers) or problem.voltage_v <= 0 or problem.demand_per_kw < 0 or shortfall_per_kwh < 0:
        yield "voltage, demand price, peak so far and shortfall price must be numbers >= 0, the voltage above 0"
    windows = (problem.demand_window_s, problem.window_import_wh)
    if not _finite(windows) or problem.demand_window_s < 1.0:
        yield "a demand window must last a second or more, and what it has imported must be a number"
    given = (problem.co2_per_kg, problem.reserve_per_kwh, problem.setpoint_per_kwh)
    if not _finite(given) or min(given) < 0.0:
        yield "the prices of CO2, reserve and setpoint must be numbers >= 0"


def _finite(values: Iterable[float]) -> bool:
    return all(map(math.isfinite, values))


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
    optional |= {"co2_kg_per_kwh": problem.co2_kg_per_kwh, "reserve_w": problem.reserve_w}
    optional |= {"grid_setpoint_w": tuple(0.0 if watts is None else watts for watts in problem.grid_setpoint_w)}
    if problem.battery is not None:
        optional |= {"max_slot_discharge_w": problem.battery.max_slot_discharge_w}
    for name, values in [*needed.items(), *((name, values) for name, values in optional.items() if values)]:
        if len(values) != count or not _finite(values):
            yield f"{name} needs {count} numbers, one per slot"


def _node_defects(nodes: Sequence[Node], slot_count: int) -> Iterator[str]:
    yield from _duplicates("node", (node.node_id for node in nodes))
    parents = {node.node_id: node.parent for node in nodes}
    roots = [node.node_id for node in nodes if node.parent is None]
    if len(roots) != 1:
        yield f"the feeder tree needs exactly one root, found {len(roots)}"
    for node in nodes:
        if not _reaches_root(node.node_id, parents):
            yield f"node {node.node_id} does not lead to the root"
        if not (_finite(node.limit_a) and _finite(node.slot_limit_a) and _finite(node.margin_a) and all(map(_finite, node.other_load_a))):
            yield f"node {node.node_id} has a limit, margin or load that is not a number"
        if node.max_unbalance_a is not None and not math.isfinite(node.max_unbalance_a):
            yield f"node {node.node_id} has an unbalance limit that is not a number"
        if node.slot_total_w and (len(node.slot_total_w) != slot_count or not _finite(node.slot_total_w)):
            yield f"node {node.node_id} needs one limit of all phases per slot"


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
    for bounds in (ev.max_slot_power_w, ev.max_slot_discharge_w):
        if bounds and len(bounds) != slot_count:
            yield f"car {ev.ev_id} needs one power bound per slot"
    if ev.wait_per_kwh and (len(ev.wait_per_kwh) != slot_count or not all(0.0 <= price < math.inf for price in ev.wait_per_kwh)):
        yield f"car {ev.ev_id} needs one price of waiting per slot, none of them below 0"
    price = 0.0 if ev.shortfall_per_kwh is None else ev.shortfall_per_kwh
    numbers = (ev.energy_need_wh, ev.minimum_wh, ev.max_power_w, ev.present_power_w, ev.arrival_wall_s, ev.priority, price)
    if not (_finite(numbers) and _finite(ev.max_slot_power_w) and _finite(ev.max_slot_discharge_w)) or math.isnan(ev.departure_wall_s):
        yield f"car {ev.ev_id} has a need, power, price or time that is not a number"
    if price < 0.0:
        yield f"car {ev.ev_id} has a shortfall price below 0"
