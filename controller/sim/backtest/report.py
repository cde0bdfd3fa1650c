"""The report of a backtest: one HTML file an owner opens from a mail, reads on any screen and prints.

Everything in it is reckoned from a ``Backtest``; it loads nothing, runs no script and says what it does not know. It reads top
down as an owner asks: what would it have saved, compared with what, did the cars get their energy, did the fuses hold, what
would more copper bring, and how far can these figures be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from controller.sim.backtest.outcome import Backtest, PolicyOutcome
from controller.sim.backtest.report_cars import service
from controller.sim.backtest.report_circuits import circuits
from controller.sim.backtest.report_money import comparison, euros, reached
from controller.sim.backtest.report_power import duration_curves, main_of, overview, peak_days
from controller.sim.backtest.report_style import STYLE
from controller.sim.backtest.report_sums import longest_over
from controller.sim.backtest.report_words import (
    BOUND,
    BOUND_V2G,
    OURS_V2G,
    UNCONTROLLED,
    energy,
    find,
    hours,
    kind_of,
    money,
    name_of,
    number,
    percent,
    plain_unit,
    power,
    text,
    when_words,
)

FIDELITY = {
    "full": "The whole controller ran in virtual time: the same engine, arbiter and optimiser as in the box, with simulated stations and meters.",
    "quick": "Only forecast, optimiser and rounding ran, with ideal cars that draw exactly what they are told. "
    "The whole controller reacts faster, and real cars obey worse.",
}

DRIVERS = {
    "truth": "Every policy knew how much each car could take and when it would leave. Real drivers say such things late, wrongly or not at all.",
    "stated": "Policies knew what drivers had stated, right or wrong; where nothing was stated they had to guess.",
}


def write_report(backtest: Backtest, path: Path) -> Path:
    """Write the page to ``path`` (its folder must exist); returns it."""
    path.write_text(page(backtest), encoding="utf-8")
    return path


def page(backtest: Backtest) -> str:
    """The page as HTML."""
    backtest = replace(backtest, currency=plain_unit(backtest.currency))
    title = f"{backtest.site}: charging {when_words(backtest)}"
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
    head = f'{meta}<title>{text(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style>'
    parts = [*_head(backtest, title), *_sections(backtest), _notes(backtest)]
    foot = "<footer>Written by yardmaster simulate. All figures are simulated from recorded visits; none was measured at this site.</footer>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n<main>\n' + "\n".join(parts) + f"\n</main>\n{foot}\n</body></html>\n"


def _head(backtest: Backtest, title: str) -> Iterable[str]:
    yield f"<h1>{text(title)}</h1>"
    main = main_of(backtest)
    visits = len(main.sessions) if main is not None else 0
    yield f'<p class="sub">{number(visits)} visits of cars, {len(backtest.policies)} policies, times in {text(backtest.timezone)}</p>'
    yield '<div class="short" id="short">' + "".join(f"<p>{sentence}</p>" for sentence in sentences(backtest)) + "</div>"
    yield _tiles(backtest)


def _sections(backtest: Backtest) -> Iterable[str]:
    if not backtest.policies:
        return
    parts = (
        ("policies", "Compared with other ways of charging", "", [comparison(backtest)]),
        ("euros", "What each part of the bill came from", "", list(euros(backtest))),
        ("power", "How hard the site pulled", "", list(duration_curves(backtest))),
        ("days", "The days that pulled hardest without control", "", list(peak_days(backtest))),
        ("overview", "Day by day", "", list(overview(backtest))),
        ("cars", "What the cars got", "", list(service(backtest))),
        ("circuits", "The circuits", "", list(circuits(backtest))),
    )
    shown = [part for part in parts if part[3]]
    links = " ".join(f'<a href="#{key}">{text(title)}</a>' for key, title, _, _ in (*shown, ("notes", "What to know about these figures", "", [])))
    yield f'<nav aria-label="In this report">{links}</nav>'
    for key, title, _, content in shown:
        yield f'<section aria-labelledby="{key}"><h2 id="{key}">{text(title)}</h2>{"".join(content)}</section>'


# -- in short ----------------------------------------------------------------------------------------------------


def sentences(backtest: Backtest) -> list[str]:
    """What the box would have saved, in about three sentences of safe HTML."""
    main, free = main_of(backtest), find(backtest, UNCONTROLLED)
    if main is None:
        return ["No policy was run, so there is nothing to tell."]
    if not main.sessions:
        return [f"No car came {text(when_words(backtest))}; there was nothing to steer."]
    found = [_before(backtest, free)] if free is not None else []
    found.append(_after(backtest, main, free if free is not main else None))
    return [*found, *_distance(backtest, main), *_giving(backtest, main)]


def _before(backtest: Backtest, free: PolicyOutcome) -> str:
    over = _over(free)
    trouble = f", and {over}" if over else ", and no circuit would have been above its limit"
    cars = f"{number(len(free.sessions))} visits of cars that could take {energy(free.wanted_wh)}"
    peak = f"with a peak of {power(free.peak_w)} at the grid connection"
    return f"Charged without control, {cars} would have cost <b>{money(free.ev_cost, backtest.currency)}</b>, {peak}{trouble}."


def _over(outcome: PolicyOutcome) -> str:
    worst = longest_over(outcome)
    return f"circuit {text(worst[0])} would have been above its limit for {hours(worst[1])}" if worst[1] > 0 else ""


def _after(backtest: Backtest, main: PolicyOutcome, free: PolicyOutcome | None) -> str:
    name, currency = text(name_of(main.policy)), backtest.currency
    got = f"{percent(main.delivered_percent)} of the energy was delivered, the peak was {power(main.peak_w)}"
    over = _over(main) or "no circuit was ever above its limit"
    if free is None:
        return f"With {name} the cars cost <b>{money(main.ev_cost, currency)}</b>; {got}, and {over}."
    saved = free.ev_cost - main.ev_cost
    part = f" ({percent(100.0 * abs(saved) / free.ev_cost)})" if free.ev_cost > 0.005 else ""
    less = f"<b>{money(abs(saved), currency)}</b>{part} {'less' if saved >= 0 else 'more'}"
    return f"With {name} the same cars cost {money(main.ev_cost, currency)}, that is {less}; {got}, and {over}."


def _distance(backtest: Backtest, main: PolicyOutcome) -> Iterable[str]:
    best, free, part = find(backtest, BOUND), find(backtest, UNCONTROLLED), reached(backtest, main)
    if best is None or best is main or kind_of(main.policy) == OURS_V2G:
        return
    if free is None or part is None:
        least = money(best.ev_cost, backtest.currency)
        yield f"With every arrival and price known beforehand the cars could have been charged for {least}; nobody can do better."
        return
    most = money(free.ev_cost - best.ev_cost, backtest.currency)
    reaches = f"{text(name_of(main.policy))} reached <b>{percent(part)}</b> of that"
    yield f"Somebody who had known every arrival and every price beforehand could have saved {most}; {reaches}."


def _giving(backtest: Backtest, main: PolicyOutcome) -> Iterable[str]:
    giving = find(backtest, OURS_V2G)
    if giving is None or giving is main:
        return
    saved = main.ev_cost - giving.ev_cost
    given = energy(sum(session.given_wh for session in giving.sessions))
    words = f"{money(abs(saved), backtest.currency)} {'less' if saved >= 0 else 'more'}"
    yield f"Had the cars that can also given energy back ({given}), they would have cost another {words}, wear included."


def _tiles(backtest: Backtest) -> str:
    main, free = main_of(backtest), find(backtest, UNCONTROLLED)
    if main is None:
        return ""
    compared = free is not None and free is not main
    tiles = []
    if free is not None and compared:
        saved = free.ev_cost - main.ev_cost
        tiles.append(("Saved", money(saved, backtest.currency), f"of {money(free.ev_cost, backtest.currency)} uncontrolled"))
    else:
        tiles.append(("Cars cost", money(main.ev_cost, backtest.currency), "energy, demand charge and wear"))
    tiles.append(("Energy delivered", percent(main.delivered_percent), f"{energy(main.delivered_wh)} of {energy(main.wanted_wh)}"))
    tiles.append(("Highest quarter hour", power(main.peak_w), f"uncontrolled {power(free.peak_w)}" if free is not None and compared else ""))
    (circuit, over_s), (where, free_s) = longest_over(main), longest_over(free) if free is not None and compared else ("", 0.0)
    above = f"{circuit} {hours(over_s)}" if over_s > 0 else "never"
    tiles.append(("Above a limit", above, f"uncontrolled {where} {hours(free_s)}" if free_s > 0 else ""))
    return '<dl class="tiles">' + "".join(f"<div><dt>{text(a)}</dt><dd>{text(b)}<small>{text(c)}</small></dd></div>" for a, b, c in tiles) + "</dl>"


# -- how far to trust it -----------------------------------------------------------------------------------------


def _notes(backtest: Backtest) -> str:
    notes = [text(note[:1].upper() + note[1:]) for note in (*_standard_notes(backtest), *backtest.notes)]
    for outcome in backtest.policies:
        notes += [f"{text(name_of(outcome.policy))}: {text(note)}" for note in outcome.notes]
    items = "".join(f"<li>{note}</li>" for note in notes)
    title = '<h2 id="notes">What to know about these figures</h2>'
    return f'<section aria-labelledby="notes">{title}<ul class="notes">{items}</ul>{_effort(backtest)}</section>'


def _standard_notes(backtest: Backtest) -> Iterable[str]:
    yield FIDELITY.get(backtest.fidelity, f"How it was run: {backtest.fidelity}.")
    yield "Every policy had the same cars, building load, sun and prices. Energy and power are those of the simulated meters, in quarter hours."
    yield "Cars cost: energy, demand charge and wear of the site with cars, less the same site without any. So cars also pay for the peak they add."
    yield "Could take: the energy a car took in the recording. A car that would have taken more when charged otherwise is not known to anybody."
    if backtest.drivers in DRIVERS:
        yield DRIVERS[backtest.drivers]
    free = find(backtest, UNCONTROLLED)
    if free is not None and longest_over(free)[1] > 0:
        yield "Uncontrolled charging goes above the limits here. A real site would trip its fuse: it is a yardstick, not a choice."
    if find(backtest, BOUND) is not None:
        yield "Perfect foresight is a calculation that knows the whole time beforehand. The distance to it is the price of not knowing the future."
    if any(outcome.limits for outcome in backtest.policies):
        asked = ", asked of perfect foresight, which uses every ampere as well as it can be used" if _only_bounds(backtest) else ""
        yield f"What a limit cost is the difference to the same time without it{asked}. Several limits together cost more or less than the sum."


def _only_bounds(backtest: Backtest) -> bool:
    return all(kind_of(outcome.policy) in (BOUND, BOUND_V2G) for outcome in backtest.policies if outcome.limits)


def _effort(backtest: Backtest) -> str:
    timed = [outcome for outcome in backtest.policies if outcome.seconds > 0]
    words = ", ".join(f"{text(name_of(one.policy))} {number(one.seconds, 0 if one.seconds >= 10 else 1)} s" for one in timed)
    return f'<p class="small">Time it took to compute: {words}.</p>' if timed else ""
