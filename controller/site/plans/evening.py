"""The rest of a demand window as one: the same energy until its end, evenly.

A plan may lay the whole energy of a demand window into its first minutes and nothing into the last ones: on paper the mean is the same.
In the field the last minutes are what is left to make good what building, sun and battery did otherwise, so a window is better spent
evenly, and few changes spare contactors. Where prices and limits stay as they are, the mean of what fits fits, too. Cars whose
mean would be below their minimum keep what their slot says: they need a whole slot on or off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from optimizer.problem import Ev, Plan, Problem


def evened(problem: Problem, plan: Plan, slot: int) -> Plan:
    """The plan with the powers of this slot [W] as means over the rest of its demand window, as long as prices and limits stay."""
    rest = rest_of_window(problem, plan, slot)
    if len(rest) < 2:
        return plan
    hours = [plan.slots[index].hours for index in rest]
    powers, kept_w = dict(plan.ev_power_w), 0.0
    for ev in problem.evs:
        series = plan.ev_power_w.get(ev.ev_id)
        if series is None:
            continue
        mean_w = _mean(series, rest, hours)
        own_w = _own_w(ev, plan, series, rest, hours)
        kept_w += own_w - mean_w
        powers[ev.ev_id] = _with(series, slot, own_w)
    return replace(
        plan,
        ev_power_w=powers,
        grid_power_w=_with(plan.grid_power_w, slot, _mean(plan.grid_power_w, rest, hours) + kept_w),
        battery_power_w=_with(plan.battery_power_w, slot, _mean(plan.battery_power_w, rest, hours)) if plan.battery_power_w else (),
        pv_curtailed_w=_with(plan.pv_curtailed_w, slot, _mean(plan.pv_curtailed_w, rest, hours)) if plan.pv_curtailed_w else (),
    )


def rest_of_window(problem: Problem, plan: Plan, slot: int) -> list[int]:
    """This slot and those behind it in the same demand window, up to the first change of a price or a limit."""
    window = math.floor(plan.slots[slot].start_wall_s / problem.demand_window_s)
    now = _terms(problem, slot)
    found = [slot]
    for index in range(slot + 1, len(plan.slots)):
        if math.floor(plan.slots[index].start_wall_s / problem.demand_window_s) != window or _terms(problem, index) != now:
            break
        found.append(index)
    return found


def _terms(problem: Problem, slot: int) -> tuple[float, ...]:
    """What a kWh costs and how much may flow in a slot."""
    nodes = (series for node in problem.nodes for series in (node.slot_limit_a, node.slot_total_w))
    limits = (problem.import_limit_w, problem.export_limit_w, *nodes)
    bounds = (ev.max_slot_power_w for ev in problem.evs)
    return (problem.buy_per_kwh[slot], problem.sell_per_kwh[slot], *(series[slot] for series in (*limits, *bounds) if series))


def _own_w(ev: Ev, plan: Plan, series: Sequence[float], rest: Sequence[int], hours: Sequence[float]) -> float:
    """What this car gets: its mean over the slots it is there, or its slot's own power where that mean cannot be held [W]."""
    there = [place for place, index in enumerate(rest) if plan.slots[index].start_wall_s < ev.departure_wall_s]
    own_w = series[rest[0]]
    if not there or ev.arrival_wall_s > plan.slots[rest[0]].start_wall_s:
        return own_w
    mean_w = _mean(series, [rest[place] for place in there], [hours[place] for place in there])
    changes_sign = any(series[index] * mean_w < 0 for index in rest)
    return own_w if abs(mean_w) < ev.min_power_w or changes_sign else mean_w


def _mean(series: Sequence[float], rest: Sequence[int], hours: Sequence[float]) -> float:
    return sum(series[index] * part for index, part in zip(rest, hours, strict=True)) / sum(hours)


def _with(series: Sequence[float], slot: int, value: float) -> tuple[float, ...]:
    return (*series[:slot], value, *series[slot + 1 :])
