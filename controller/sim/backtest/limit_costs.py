"""What each limit cost over the whole time of a backtest, and what a little more of it would have saved.

Asked of the perfect-foresight program, where every ampere is used as well as it can be: the same time once without the limit and once
with 10 A (or 10 kW) more, for the dearest limits by shadow price. So it is what copper is worth to the best of all planners; one who
plans less well may gain more or less from it. The solver goes on from where it stands, so an answer costs less than the plan did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.sim.backtest.outcome import LimitCost
from optimizer.explain import LimitWorth, Solve, what_limits_cost
from optimizer.problem import Plan, Problem

MOST_LIMITS = 5


def limit_costs(problem: Problem, plan: Plan, solve: Solve, tell: Callable[[float], None] | None = None) -> tuple[LimitCost, ...]:
    """The dearest limits first. plan: of this problem, proved; solve: a plan for the same problem with other limits. What it raises is
    passed on. tell: parts done, 0..1."""

    def progress(done: int, count: int, _: str) -> None:
        if tell is not None and count:
            tell(done / count)

    return tuple(cost_of(worth) for worth in what_limits_cost(problem, plan, solve, MOST_LIMITS, progress=progress))


def cost_of(worth: LimitWorth) -> LimitCost:
    """As a backtest tells it; solver crumbs count as nothing."""
    return LimitCost(
        worth.where,
        worth.unit,
        _clean(worth.cost),
        worth.more,
        _clean(worth.saved_by_more),
        max(0.0, _clean(worth.cost_kwh)),
        max(0.0, _clean(worth.gained_kwh)),
    )


def joined_limits(parts: Sequence[Sequence[LimitCost]]) -> tuple[LimitCost, ...]:
    """The same limits over several stretches of time, summed; one that nobody asked about in some stretch cost nothing there."""
    found: dict[str, LimitCost] = {}
    for one in (limit for part in parts for limit in part):
        known = found.get(one.where)
        found[one.where] = one if known is None else _added(known, one)
    return tuple(found.values())


def _added(first: LimitCost, then: LimitCost) -> LimitCost:
    cost = None if first.cost is None or then.cost is None else first.cost + then.cost
    saved = None if first.saved_by_more is None or then.saved_by_more is None else first.saved_by_more + then.saved_by_more
    return replace(first, cost=cost, saved_by_more=saved, cost_kwh=first.cost_kwh + then.cost_kwh, gained_kwh=first.gained_kwh + then.gained_kwh)


def _clean(value: float) -> float:
    return 0.0 if abs(value) < 1e-3 else value
