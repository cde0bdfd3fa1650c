"""What a limit costs, by asking: the same time once more without it, and once with a little more of it.

Shadow prices say what the next ampere is worth; they are exact for a very small ampere and too high for ten. So they only choose which
limits are asked about, the dearest first; limits that never bind are not asked about at all. Each answer is a plan of the same
program with other bounds, which a living model (``live.py``) solves from where it stands.

Money and energy are told apart: on a site that is short of energy a looser limit delivers more, and the bill may well
rise with that. Pure: whoever asks brings the solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from optimizer.problem import Node, Plan, Problem, ShadowPrice

Solve = Callable[[Problem], Plan]
Progress = Callable[[int, int, str], None]
"""(done, of how many, which limit is next)."""

MORE_A = 10.0
MORE_KW = 10.0
MOST_LIMITS = 6
NO_LIMIT_A = 1e5
"""Stands for "without this limit" [A]: 70 MW on three phases."""
NO_LIMIT_W = 1e8
WORTH_TELLING = 0.01
"""Money [currency] and energy [kWh] below this are not worth a sentence."""


@dataclass(frozen=True, slots=True)
class LimitWorth:
    """What one limit cost over the time of the problem. where: node_id, "import", "export" or "peak". unit: "A" or "kW".

    cost: money that the same time costs less without the limit [currency]; cost_kwh: energy that is delivered more without it.
    more: how much looser, in unit; saved_by_more and gained_kwh: the same for that. bound_h: hours in which it held something back.
    A negative money goes with energy gained: what is charged on top has to be paid.
    """

    where: str
    unit: str
    cost: float
    cost_kwh: float
    more: float
    saved_by_more: float
    gained_kwh: float
    bound_h: float


def what_limits_cost(
    problem: Problem,
    plan: Plan,
    solve: Solve,
    most: int = MOST_LIMITS,
    more_a: float = MORE_A,
    more_kw: float = MORE_KW,
    progress: Progress | None = None,
) -> tuple[LimitWorth, ...]:
    """The dearest limits of a proved plan, the dearest first.

    solve: a plan for a problem that differs in limits only; what it raises is passed on. most: limits to ask about, two solves each.
    A plan without shadow prices (not proved, or nothing binds) gives an empty answer.
    """
    chosen = dearest(plan.shadow, more_a, more_kw)[:most]
    found = []
    for done, where in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen), where)
        more = more_a if unit_of(where) == "A" else more_kw
        without, looser = solve(loosened(problem, where, None)), solve(loosened(problem, where, more))
        now, free, eased = _reckoned(problem, plan), _reckoned(problem, without), _reckoned(problem, looser)
        hours = bound_h(plan, where)
        worth = LimitWorth(where, unit_of(where), now[0] - free[0], now[1] - free[1], more, now[0] - eased[0], now[1] - eased[1], hours)
        found.append(worth)
    if progress is not None:
        progress(len(chosen), len(chosen), "")
    return tuple(sorted(found, key=lambda worth: (-worth.cost_kwh if worth.cost_kwh > WORTH_TELLING else 0.0, -worth.cost)))


def dearest(shadow: Sequence[ShadowPrice], more_a: float = MORE_A, more_kw: float = MORE_KW) -> list[str]:
    """Limits that bind, by what ``more`` of each could save at most; the phases of a node count together."""
    worth: dict[str, float] = {}
    for price in shadow:
        step = more_a if unit_of(price.where) == "A" else more_kw
        worth[price.where] = worth.get(price.where, 0.0) + step * price.per_unit
    return sorted((where for where, saved in worth.items() if saved > WORTH_TELLING), key=lambda where: (-worth[where], where))


def unit_of(where: str) -> str:
    """What a limit is measured in: "kW" for import, export and peak, else "A"."""
    return "kW" if where in ("import", "export", "peak") else "A"


def bound_h(plan: Plan, where: str) -> float:
    """Hours in which the limit held something back, on any phase."""
    prices = [price.slots for price in plan.shadow if price.where == where]
    return sum(slot.hours for at, slot in enumerate(plan.slots) if any(slots[at] > 1e-9 for slots in prices))


# -- the same time with another limit -------------------------------------------------------------------


def loosened(problem: Problem, where: str, more: float | None) -> Problem:
    """The problem with this limit looser by ``more`` [A or kW], or without it (None). Raises ValueError for an unknown limit."""
    if where == "import":
        return replace(problem, import_limit_w=_raised(problem.import_limit_w, more))
    if where == "export":
        return replace(problem, export_limit_w=_raised(problem.export_limit_w, more))
    if where == "peak":
        paid_w = NO_LIMIT_W if more is None else problem.peak_so_far_w + 1000.0 * more
        return replace(problem, peak_so_far_w=paid_w)
    if where not in {node.node_id for node in problem.nodes}:
        raise ValueError(f"there is no limit {where!r}: name a circuit, import, export or peak")
    return replace(problem, nodes=tuple(_widened(node, more, problem.voltage_v) if node.node_id == where else node for node in problem.nodes))


def _raised(limits_w: Sequence[float], more_kw: float | None) -> tuple[float, ...]:
    return tuple(NO_LIMIT_W if more_kw is None else watts + 1000.0 * more_kw for watts in limits_w)


def _widened(node: Node, more_a: float | None, volts: float) -> Node:
    """Phases that are not there (0 A) stay away; a total grows with each phase that is."""
    first, second, third = (0.0 if amps <= 0.0 else NO_LIMIT_A if more_a is None else amps + more_a for amps in node.limit_a)
    slots = tuple(NO_LIMIT_A if more_a is None else amps + more_a for amps in node.slot_limit_a)
    more_w = NO_LIMIT_W if more_a is None else more_a * volts * (sum(amps > 0.0 for amps in node.limit_a) or 3)
    return replace(node, limit_a=(first, second, third), slot_limit_a=slots, slot_total_w=tuple(watts + more_w for watts in node.slot_total_w))


# -- what it comes to -----------------------------------------------------------------------------------


def paid(problem: Problem, plan: Plan) -> float:
    """Energy, demand and wear of batteries [currency]."""
    worn = [(ev.wear_per_kwh, plan.ev_power_w.get(ev.ev_id, ())) for ev in problem.evs if ev.wear_per_kwh > 0.0]
    if problem.battery is not None:
        worn.append((problem.battery.wear_per_kwh, plan.battery_power_w))
    return plan.cost + sum(price * _given_kwh(plan, watts) for price, watts in worn)


def _given_kwh(plan: Plan, watts: Iterable[float]) -> float:
    return sum(max(0.0, -power) * slot.hours for power, slot in zip(watts, plan.slots, strict=False)) / 1000.0


def _reckoned(problem: Problem, plan: Plan) -> tuple[float, float]:
    """Money and missing energy [kWh]. A free peak (``loosened``) is not part of the plan's own bill, as it should be."""
    return paid(problem, plan), sum(plan.shortfall_wh.values()) / 1000.0


def sentences(found: Sequence[LimitWorth], currency: str, days: float, names: Callable[[str], str] | None = None) -> Iterator[str]:
    """One sentence per limit that cost something. names: how people call a circuit; None = its id."""
    for worth in found:
        parts = list(_cost_parts(worth, currency))
        if parts:
            yield f"{_called(worth.where, names)} {' and '.join(parts)} in {_span(days)}; {_more(worth, currency)}."


def _called(where: str, names: Callable[[str], str] | None) -> str:
    fixed = {"import": "The import limit", "export": "The export limit", "peak": "The price of the peak"}
    return fixed.get(where) or (names(where) if names is not None else where)


def _span(days: float) -> str:
    return "a week" if 6.5 <= days <= 7.5 else f"{days:.0f} days" if days >= 1.5 else "a day" if days >= 0.75 else f"{24 * days:.0f} hours"


def _cost_parts(worth: LimitWorth, currency: str) -> Iterator[str]:
    if worth.cost > WORTH_TELLING:
        yield f"cost {worth.cost:.2f} {currency}"
    if worth.cost_kwh > WORTH_TELLING:
        yield f"kept back {worth.cost_kwh:.1f} kWh"


def _more(worth: LimitWorth, currency: str) -> str:
    gains = []
    if worth.saved_by_more > WORTH_TELLING:
        gains.append(f"save {worth.saved_by_more:.2f} {currency}")
    if worth.gained_kwh > WORTH_TELLING:
        price = f" for {-worth.saved_by_more:.2f} {currency}" if worth.saved_by_more < -WORTH_TELLING else ""
        gains.append(f"deliver {worth.gained_kwh:.1f} kWh more{price}")
    more = f"{worth.more:g} {worth.unit} more"
    return f"{more} would {' and '.join(gains)}" if gains else f"{more} would not help"
