"""The report's service: how much of what each car could have taken it got, and who was short for what reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from controller.sim.backtest.outcome import Backtest, PolicyOutcome
from controller.sim.backtest.report_plot import DOT, LINE, Axis, Canvas, Column, figure, legend, scale, table
from controller.sim.backtest.report_power import main_of
from controller.sim.backtest.report_sums import REASONS, Short, is_short, shares, shorts
from controller.sim.backtest.report_words import UNCONTROLLED, energy, find, moment_words, name_of, number, percent, text, zone_of

LEVELS = ("all of it", "95 % and more", "80 to 95 %", "50 to 80 %", "less than half")
MOST_ROWS = 15
LONGEST_NAME = 28
GRID = 90
"""Dots of the service picture lie on a grid of so many steps, so that a year does not weigh more than a month."""


def service(backtest: Backtest) -> Iterable[str]:
    """All policies in one table, then every car of ours."""
    if not any(outcome.sessions for outcome in backtest.policies):
        yield "<p>No car came in this time.</p>"
        return
    yield _levels(backtest)
    main = main_of(backtest)
    if main is None or not main.sessions:
        return
    short = shorts(main, find(backtest, UNCONTROLLED), backtest)
    yield _dots(main)
    if not short:
        yield f"<p>With {text(name_of(main.policy))} no car was short.</p>"
        return
    yield _reasons(short, main)
    yield _who(short, backtest)


def _levels(backtest: Backtest) -> str:
    heads = [Column("Policy", False), Column("How many cars got how much", False), *(Column(level) for level in LEVELS), Column("Missing")]
    rows = []
    for outcome in backtest.policies:
        counts = shares(outcome)
        missing_wh = sum(session.missing_wh for session in outcome.sessions)
        rows.append([text(name_of(outcome.policy)), _stacked(counts), *map(number, counts), energy(missing_wh)])
    keys = "".join(f'<li><i class="s{index}"></i>{text(level)}</li>' for index, level in enumerate(LEVELS))
    marks = ["ours" if outcome is main_of(backtest) else "" for outcome in backtest.policies]
    return f'<ul class="legend">{keys}</ul>' + table("Cars by what they got of what they could have taken", heads, rows, "cards", marks)


def _stacked(counts: Sequence[int]) -> str:
    total = sum(counts) or 1
    parts = "".join(f'<i class="s{index}" style="width:{100 * count / total:.2f}%"></i>' for index, count in enumerate(counts) if count)
    return f'<span class="shares" aria-hidden="true">{parts}</span>'


def _dots(main: PolicyOutcome) -> str:
    pairs = [(session.wanted_wh / 1000.0, session.delivered_wh / 1000.0, is_short(session)) for session in main.sessions]
    top = max(max(wanted, delivered) for wanted, delivered, _ in pairs)
    low = min(0.0, min(delivered for _, delivered, _ in pairs))
    x, y = scale(0.0, top or 1.0, "kWh wanted", 5), scale(low, top or 1.0, "kWh", 4)
    canvas = Canvas(x, y)
    canvas.line([(0.0, 0.0), (min(x.high, y.high), min(x.high, y.high))], "grid-power")
    canvas.dots(_thin(((a, b) for a, b, short in pairs if not short), x, y), "full")
    canvas.dots(_thin(((a, b) for a, b, short in pairs if short), x, y), "short")
    count = sum(short for _, _, short in pairs)
    alt = f"Energy wanted and got by {len(pairs)} cars: {len(pairs) - count} got all, {count} got less. Cars on the diagonal got all they could take."
    keys = legend([("full", "Got all", DOT), ("short", "Got less", DOT), ("grid-power", "All that could be taken", LINE)])
    title = f"Every visit, {name_of(main.policy)}"
    words = "Energy got against energy wanted. On the line a car got all it could take; how far below it is what was missing."
    return figure(title, words, canvas.html(alt, 260), keys)


def _thin(points: Iterable[tuple[float, float]], x: Axis, y: Axis) -> list[tuple[float, float]]:
    seen = {(round(x.part(a) * 2 * GRID), round(y.part(b) * GRID)): (a, b) for a, b in points}
    return list(seen.values())


def _reasons(short: Sequence[Short], main: PolicyOutcome) -> str:
    counts = Counter(one.reason for one in short)
    missing = Counter[str]()
    for one in short:
        missing[one.reason] += round(one.session.missing_wh)
    rows = [[text(words), number(counts[reason]), energy(missing[reason])] for reason, words in REASONS.items() if counts[reason]]
    title = f"Why {len(short)} of {len(main.sessions)} visits were short, {name_of(main.policy)}"
    return table(title, [Column("Reason", False), Column("Visits"), Column("Missing")], rows)


def _brief(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "\u2026"


def _who(short: Sequence[Short], backtest: Backtest) -> str:
    zone = zone_of(backtest)
    rows = []
    for one in short[:MOST_ROWS]:
        stay = one.session
        part = 100.0 * stay.delivered_wh / stay.wanted_wh if stay.wanted_wh > 0 else 100.0
        got = f"{energy(stay.delivered_wh)} of {energy(stay.wanted_wh)} ({percent(part)})"
        came, left = moment_words(stay.arrival_wall_s, zone), moment_words(stay.departure_wall_s, zone)
        left = left[-5:] if left[:-5] == came[:-5] else left
        rows.append([f"{text(stay.evse)}<span class=\"meaning\">visit {text(_brief(stay.id))}</span>", f"{came} to {left}", got, text(one.words)])
    more = f", the {MOST_ROWS} with most missing" if len(short) > MOST_ROWS else ""
    heads = [Column("Charger", False), Column("Came and left", False), Column("Got", False), Column("Why", False)]
    return table(f"Who was short{more}", heads, rows, "cards")
