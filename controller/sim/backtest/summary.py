"""The result of a backtest as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from controller.sim.backtest.jobs import BOUND, BOUND_V2G, GIVING, UNCONTROLLED
from controller.sim.backtest.outcome import Backtest, PolicyOutcome
from controller.sim.backtest.series import local
from optimizer.forecast import zone_of

SHORT_PART = 0.02
"""A car that misses more than this part of what it wanted is short."""
ALIKE_POINTS = 0.1


def table(backtest: Backtest) -> str:
    """Policies as lines, what was reached as columns, and beneath it what must be said."""
    money = backtest.currency
    heads = ("", f"cars {money}", "to bound", "saving", "energy", "demand", "peak kW", "delivered", "short", "over limit", "worst")
    rows = [heads, *(_row(backtest, outcome) for outcome in backtest.policies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [_aligned(row, widths) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join([_title(backtest), "", *lines, "", *_words(backtest)])


def _title(backtest: Backtest) -> str:
    zone = zone_of(backtest.timezone)
    first, last = local(backtest.start_wall_s, zone), local(backtest.end_wall_s, zone) - timedelta(seconds=1)
    cars = max((len(outcome.sessions) for outcome in backtest.policies), default=0)
    return f"{backtest.site}, {first:%Y-%m-%d} to {last:%Y-%m-%d}, {cars} sessions" + (" (quick)" if backtest.fidelity == "quick" else "")


def _row(backtest: Backtest, outcome: PolicyOutcome) -> tuple[str, ...]:
    over_s = max(outcome.over_limit_s.values(), default=0.0)
    worst = max(outcome.worst.values(), default=None)
    short = sum(session.missing_wh > SHORT_PART * session.wanted_wh for session in outcome.sessions)
    return (
        outcome.policy,
        f"{outcome.ev_cost:.2f}",
        _against_bound(backtest, outcome),
        _saving(backtest, outcome),
        f"{outcome.energy_cost:.2f}",
        f"{outcome.demand_cost:.2f}",
        f"{outcome.peak_w / 1000:.1f}",
        f"{outcome.delivered_percent:.2f} %",
        str(short),
        "-" if over_s == 0.0 else f"{over_s:.0f} s" if over_s < 120 else f"{over_s / 60:.0f} min",
        "" if worst is None else f"{100 * worst:.0f} %",
    )


def _bound(backtest: Backtest, outcome: PolicyOutcome) -> PolicyOutcome | None:
    return backtest.policy(BOUND_V2G if outcome.policy in GIVING else BOUND)


def _against_bound(backtest: Backtest, outcome: PolicyOutcome) -> str:
    bound = _bound(backtest, outcome)
    if bound is None or bound is outcome or bound.ev_cost <= 0:
        return ""
    return f"{100 * (outcome.ev_cost / bound.ev_cost - 1) + 0.0:+.1f} %{_less(bound, outcome)}"


def _saving(backtest: Backtest, outcome: PolicyOutcome) -> str:
    """The part of what could be saved against uncontrolled charging."""
    bound, wild = _bound(backtest, outcome), backtest.policy(UNCONTROLLED)
    if bound is None or wild is None or wild.ev_cost - bound.ev_cost <= 1e-6:
        return ""
    return f"{100 * (wild.ev_cost - outcome.ev_cost) / (wild.ev_cost - bound.ev_cost):.0f} %{_less(bound, outcome)}"


def _less(bound: PolicyOutcome, outcome: PolicyOutcome) -> str:
    """A mark where a policy pays less also because it delivers less."""
    return "*" if outcome.delivered_percent < bound.delivered_percent - ALIKE_POINTS else ""


def _words(backtest: Backtest) -> list[str]:
    lines = [
        f"cars: energy, demand and wear beyond the site without cars ({backtest.currency}); to bound: above perfect foresight; saving: part of what",
        "perfect foresight saves against uncontrolled; short: sessions that miss over 2 %; over limit and worst: the worst circuit.",
    ]
    if any(bound is not None and _less(bound, outcome) for outcome in backtest.policies for bound in [_bound(backtest, outcome)]):
        lines.append("*: delivers less than perfect foresight, and pays less for that, too.")
    given = [(outcome.policy, sum(session.given_wh for session in outcome.sessions), outcome.wear_cost) for outcome in backtest.policies]
    lines += [f"{name}: cars gave back {wh / 1000:.0f} kWh, which wore them by {wear:.2f} {backtest.currency}." for name, wh, wear in given if wh > 0]
    lines += [f"- {note}" for note in backtest.notes]
    lines += [f"- {outcome.policy}: {note}" for outcome in backtest.policies for note in outcome.notes]
    return lines


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()
