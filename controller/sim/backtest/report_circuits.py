"""The report's circuits: how long each was near its limit, what its limit cost and what more would bring."""

from __future__ import annotations

from collections.abc import Iterable

from controller.sim.backtest.outcome import Backtest
from controller.sim.backtest.report_money import limit_costs
from controller.sim.backtest.report_plot import Column, bar_cell, table
from controller.sim.backtest.report_power import main_of
from controller.sim.backtest.report_sums import Near, near
from controller.sim.backtest.report_words import UNCONTROLLED, find, hours, name_of, number, percent, text

MOST_CIRCUITS = 25


def circuits(backtest: Backtest) -> Iterable[str]:
    """The table of circuits, then the cost of limits."""
    main = main_of(backtest)
    if main is None:
        return
    if backtest.circuits_a and main.curve:
        yield _near(backtest)
    yield from limit_costs(backtest)


def _near(backtest: Backtest) -> str:
    main, free = main_of(backtest), find(backtest, UNCONTROLLED)
    assert main is not None
    names = list(backtest.circuits_a)
    ours = near(main, names)
    past = {one.circuit: one for one in near(free, names)} if free is not None and free is not main else {}
    ordered = sorted(ours, key=lambda one: -max(one.worst, past[one.circuit].worst if past else 0.0))[:MOST_CIRCUITS]
    most = max([1.0, *(one.worst for one in ours), *(one.worst for one in past.values())])
    heads = [Column("Circuit", False), Column("Limit"), Column("Highest load", True), Column("", False)]
    heads += [Column("above 80 %"), Column("above 95 %"), Column("above the limit"), *([Column("uncontrolled above the limit")] if past else [])]
    rows = [_row(one, past.get(one.circuit), backtest.circuits_a[one.circuit], most) for one in ordered]
    left = f" (the {MOST_CIRCUITS} fullest of {len(names)})" if len(names) > MOST_CIRCUITS else ""
    return table(f"How full the circuits were, {name_of(main.policy)}{left}", heads, rows, "cards")


def _row(one: Near, past: Near | None, limit_a: float, most: float) -> list[str]:
    bars = bar_cell(0.0, one.worst, most, "cars") + (bar_cell(0.0, past.worst, most, "was") if past is not None else "")
    worst = percent(100.0 * one.worst) + (f'<span class="meaning">uncontrolled {percent(100.0 * past.worst)}</span>' if past is not None else "")
    limit = f"{number(limit_a, 0 if limit_a >= 10 else 1)}\u00a0A"
    above = f'<span class="bad">{hours(one.above_s)}</span>' if one.above_s > 0 else "never"
    cells = [text(one.circuit), limit, worst, bars, hours(one.over_80_s), hours(one.over_95_s), above]
    return [*cells, hours(past.above_s) if past.above_s > 0 else "never"] if past is not None else cells
