"""Cars that differ in nothing but their name are planned as one, where that changes nothing.

Ten cars with the same place, phases, stay, need and bounds have ten times the powers and energies of one; whatever the ten can do
the one can, and what the one does can be divided among the ten, because each may do the mean. So the optimum is the same. It
pays for expected cars, of which a forecast makes many alike, and for announced fleets.

A program sees twins as equal, a charger does not: a tenth of a power may lie below the least that a car takes. So in the running
slot, which is all that is ever put into practice, the power is given to as few twins as can take it and the rest of the plan is
divided by what each still needs; where that does not work out (everybody charges at full power later, a car may give power
back, has a curve of its own, or stays short of energy) each gets the mean. Nobody commands expected cars: they always get the mean.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

from optimizer.problem import Ev, Plan, Problem, Slack, SlackKind

Groups = Mapping[str, tuple[Ev, ...]]
"""Name of the car that stands for all -> the twins, itself the first; only groups of two and more."""

_shared = attrgetter(*(item.name for item in fields(Ev) if item.name != "ev_id"))
_PER_CAR = ("energy_need_wh", "min_power_w", "max_power_w", "max_discharge_w", "capacity_wh", "soc_wh", "reserve_wh", "present_power_w", "minimum_wh")
_PER_CAR_AND_SLOT = ("max_slot_power_w", "max_slot_discharge_w")
_SLACKS = (SlackKind.SHORTFALL, SlackKind.MINIMUM)
EVEN = 1e-9
"""Part of a power below which it counts as none."""


def merge(problem: Problem, present: bool = True) -> tuple[Problem, Groups]:
    """The problem with one car for each set of twins, in the place of the first, and who they are.

    present: False leaves cars alone that are there already: they stop being twins as soon as they draw different powers, and a living
    model would take them apart and put them together again.
    """
    alike: dict[tuple[object, ...], list[Ev]] = {}
    for ev in problem.evs:
        joins = present or ev.expected or ev.arrival_wall_s > problem.created_wall_s
        alike.setdefault(_shared(ev) if joins else (ev.ev_id,), []).append(ev)
    if len(alike) == len(problem.evs):
        return problem, {}
    evs = tuple(_one_for_all(twins) for twins in alike.values())
    return replace(problem, evs=evs), {twins[0].ev_id: tuple(twins) for twins in alike.values() if len(twins) > 1}


def _one_for_all(twins: Sequence[Ev]) -> Ev:
    count, first = len(twins), twins[0]
    if count == 1:
        return first
    sums: dict[str, Any] = {name: count * getattr(first, name) for name in _PER_CAR}
    series: dict[str, Any] = {name: tuple(count * watts for watts in getattr(first, name)) for name in _PER_CAR_AND_SLOT}
    return replace(first, **sums, **series, acceptance=tuple((count * wh, count * watts) for wh, watts in first.acceptance))


def split(problem: Problem, plan: Plan, groups: Groups) -> Plan:
    """The plan for the problem before ``merge``: every twin its own powers, shortfall and slacks; all sums stay as they are."""
    if not groups:
        return plan
    powers, short = dict[str, tuple[float, ...]](), dict[str, float]()
    for ev_id, watts in plan.ev_power_w.items():
        twins, missing_wh = groups.get(ev_id, ()), plan.shortfall_wh.get(ev_id, 0.0)
        powers.update(_divided(problem, twins, watts, missing_wh) if twins else {ev_id: watts})
        short.update({ev.ev_id: missing_wh / len(twins) for ev in twins if missing_wh} if twins else {ev_id: missing_wh} if missing_wh else {})
    in_order = {ev.ev_id: powers[ev.ev_id] for ev in problem.evs}
    return replace(plan, ev_power_w=in_order, shortfall_wh=short, slacks=tuple(_slacks(plan.slacks, groups)))


def _slacks(slacks: Iterable[Slack], groups: Groups) -> Iterable[Slack]:
    for slack in slacks:
        twins = groups.get(slack.where, ()) if slack.kind in _SLACKS else ()
        if not twins:
            yield slack
        for ev in twins:
            yield replace(slack, where=ev.ev_id, amount=slack.amount / len(twins), cost=slack.cost / len(twins))


# -- dividing ---------------------------------------------------------------------------------------


def _divided(problem: Problem, twins: Sequence[Ev], watts: Sequence[float], missing_wh: float) -> dict[str, tuple[float, ...]]:
    first = twins[0]
    plain = not (first.expected or first.acceptance or first.max_discharge_w > 0.0 or missing_wh > EVEN)
    parts = _in_turn(problem, twins, watts) if plain else None
    if parts is None:
        parts = [tuple(power / len(twins) for power in watts)] * len(twins)
    return {ev.ev_id: part for ev, part in zip(twins, parts, strict=True)}


def _in_turn(problem: Problem, twins: Sequence[Ev], watts: Sequence[float]) -> list[tuple[float, ...]] | None:
    """The running slot to as few cars as can take it, later slots by what each then lacks; None = that breaks a bound."""
    hours, count = [slot.hours for slot in problem.slots], len(twins)
    most_w = min([twins[0].max_power_w, *twins[0].max_slot_power_w[:1]])
    most_w = min(most_w * _there(problem, twins[0]), sum(power * hour for power, hour in zip(watts, hours, strict=True)) / count / hours[0])
    now_w = _filled(watts[0], most_w, min(twins[0].min_power_w, most_w), count)
    if now_w is None:
        return None
    later_wh = sum(power * hour for power, hour in zip(watts[1:], hours[1:], strict=True))
    mean_wh = (watts[0] * hours[0] + later_wh) / count
    shares = [(mean_wh - power * hours[0]) / later_wh if later_wh > EVEN else 0.0 for power in now_w]
    if later_wh <= EVEN and max(now_w) - min(now_w) > EVEN * max(1.0, watts[0]):
        return None
    parts = [(power, *(share * later for later in watts[1:])) for power, share in zip(now_w, shares, strict=True)]
    return parts if _within(problem, twins[0], max(shares), watts) else None


def _there(problem: Problem, ev: Ev) -> float:
    """Part of the running slot in which the car is there."""
    slot = problem.slots[0]
    begin, end = max(ev.arrival_wall_s, slot.start_wall_s), min(ev.departure_wall_s, slot.start_wall_s + slot.duration_s)
    return max(0.0, end - begin) / slot.duration_s


def _filled(power_w: float, most_w: float, least_w: float, count: int) -> list[float] | None:
    """A power for each car, none between 0 and the least if that can be; None when they cannot take it all."""
    if power_w > count * most_w * (1.0 + 1e-6) + EVEN or most_w <= EVEN:
        return [0.0] * count if power_w <= EVEN else None
    full = min(count, int(power_w / most_w + 1e-9))
    rest_w = max(0.0, power_w - full * most_w)
    given = [most_w] * full + [rest_w] * (full < count) + [0.0] * max(0, count - full - 1)
    if EVEN < rest_w < least_w and full:  # two share what one and a bit would get
        given[full - 1] = given[full] = (most_w + rest_w) / 2.0
    given[0] += power_w - sum(given)
    return given


def _within(problem: Problem, ev: Ev, share: float, watts: Sequence[float]) -> bool:
    """Whether the twin with the largest share of later powers stays below its bounds."""
    for slot, (step, power) in enumerate(zip(problem.slots, watts, strict=True)):
        begin, end = max(ev.arrival_wall_s, step.start_wall_s), min(ev.departure_wall_s, step.start_wall_s + step.duration_s)
        most_w = min([ev.max_power_w, *ev.max_slot_power_w[slot : slot + 1]]) * max(0.0, end - begin) / step.duration_s
        if slot and share * power > most_w * (1.0 + 1e-9) + 1e-6:
            return False
    return True
