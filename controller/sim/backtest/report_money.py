"""The report's money: the policies beside each other, what each euro came from, and what the limits cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.sim.backtest.outcome import Backtest, LimitCost, PolicyOutcome
from controller.sim.backtest.report_plot import Column, bar_cell, float_bar, table
from controller.sim.backtest.report_power import main_of
from controller.sim.backtest.report_sums import Band, Bought, Flows, bands, bought, difference, flows, longest_over
from controller.sim.backtest.report_words import (
    BOUND,
    BOUND_V2G,
    MEANINGS,
    OURS,
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
    power,
    rate,
    text,
)

LEAST_KWH = 0.05
WHOLE_SITE = {"import": "The grid connection's import limit", "export": "The grid connection's export limit", "peak": "The demand charge"}


def bound_for(backtest: Backtest, outcome: PolicyOutcome) -> PolicyOutcome | None:
    """The bound this policy is measured against; with V2G only the one that may give back as well."""
    giving = kind_of(outcome.policy) in (OURS_V2G, BOUND_V2G)
    return find(backtest, BOUND_V2G) if giving else find(backtest, BOUND)


def reached(backtest: Backtest, outcome: PolicyOutcome) -> float | None:
    """The part of the reachable saving that a policy reached [%]; None where nothing could be saved or nobody reckoned it."""
    free, best = find(backtest, UNCONTROLLED), bound_for(backtest, outcome)
    if free is None or best is None or free.ev_cost - best.ev_cost <= 0.005:
        return None
    return 100.0 * (free.ev_cost - outcome.ev_cost) / (free.ev_cost - best.ev_cost)


# -- comparison ------------------------------------------------------------------------------------------------


def comparison(backtest: Backtest) -> str:
    """One row per policy."""
    free = find(backtest, UNCONTROLLED)
    costs = [outcome.ev_cost for outcome in backtest.policies]
    low, high = min(0.0, *costs, 0.0), max(0.0, *costs, 0.0)
    heads = [Column("Policy", False), Column("Cars cost"), Column("", False), Column("Saved")]
    heads += [Column("Above perfect foresight"), Column("Energy delivered"), Column("Peak"), Column("Above a limit")]
    rows = [_policy(backtest, outcome, free, low, high) for outcome in backtest.policies]
    marks = ["ours" if outcome is main_of(backtest) else "" for outcome in backtest.policies]
    return table("All policies on the same cars, building, sun and prices", heads, rows, "cards wide", marks)


def _policy(backtest: Backtest, outcome: PolicyOutcome, free: PolicyOutcome | None, low: float, high: float) -> list[str]:
    kind, best = kind_of(outcome.policy), bound_for(backtest, outcome)
    meaning = f'<span class="meaning">{text(MEANINGS[kind])}</span>' if kind in MEANINGS else ""
    saved = _saved(outcome, free, backtest.currency) if free is not None and outcome is not free else ""
    above = "" if best is None or best is outcome else _above(outcome, best)
    circuit, over_s = longest_over(outcome)
    return [
        text(name_of(outcome.policy)) + meaning,
        money(outcome.ev_cost, backtest.currency),
        bar_cell(low, outcome.ev_cost, high, _look(kind)),
        saved,
        above,
        percent(outcome.delivered_percent),
        power(outcome.peak_w),
        f'<span class="bad">{hours(over_s)}</span><span class="meaning">{text(circuit)}</span>' if over_s > 0 else "never",
    ]


def _look(kind: str) -> str:
    return {UNCONTROLLED: "was", OURS: "cars", OURS_V2G: "wear"}.get(kind, "all")


def _saved(outcome: PolicyOutcome, free: PolicyOutcome, currency: str) -> str:
    saved = free.ev_cost - outcome.ev_cost
    part = f" ({percent(100.0 * saved / free.ev_cost)})" if free.ev_cost > 0.005 else ""
    return f'<span class="{"good" if saved >= 0 else "bad"}">{money(saved, currency)}{part}</span>'


def _above(outcome: PolicyOutcome, best: PolicyOutcome) -> str:
    if best.ev_cost <= 0.005:
        return "\u2013"
    above = 100.0 * (outcome.ev_cost / best.ev_cost - 1.0)
    return percent(above)


# -- where the money went ----------------------------------------------------------------------------------------


def euros(backtest: Backtest) -> Iterable[str]:
    """From the uncontrolled bill to ours step by step, then by price."""
    main, free = main_of(backtest), find(backtest, UNCONTROLLED)
    if main is None or not main.curve:
        return
    if free is not None and free is not main and free.curve:
        yield _stairs(backtest, free, main)
    giving = find(backtest, OURS_V2G)
    if giving is not None and giving is not main and giving.curve:
        yield _stairs(backtest, main, giving)
    yield _by_price(backtest, main, free if free is not main else None)
    yield _site(backtest, main, free if free is not main else None)


def _stairs(backtest: Backtest, before: PolicyOutcome, after: PolicyOutcome) -> str:
    """The bill of the whole site from one policy to another; each bar begins where the last one ended."""
    currency, at = backtest.currency, before.cost
    steps = [step for step in difference(before, after) if abs(step.money) >= 0.005]
    stops = [before.cost]
    for step in steps:
        stops.append(stops[-1] + step.money)
    low, high = min(stops), max(stops)
    low -= 0.25 * ((high - low) or abs(high) or 1.0)
    whole = "the bill of the whole site"
    rows = [[text(name_of(before.policy)), whole, money(before.cost, currency), float_bar(low, low, before.cost, high, "was")]]
    for step in steps:
        begin, at = at, at + step.money
        bar = float_bar(low, min(begin, at), max(begin, at), high, "good" if step.money < 0 else "bad")
        sign = "+" if step.money > 0 else ""
        rows.append([text(step.name), text(step.why), sign + money(step.money, currency), bar])
    rows.append([text(name_of(after.policy)), whole, money(after.cost, currency), float_bar(low, low, after.cost, high, "cars")])
    heads = [Column("Step", False), Column("What it is", False), Column("Money"), Column("", False)]
    title = f"From {name_of(before.policy)} to {name_of(after.policy)}: where the difference comes from"
    note = "" if low <= 0.0 <= high else '<p class="small">The bars do not begin at zero: they show the difference.</p>'
    return table(title, heads, rows, "cards", ["total", *[""] * len(steps), "total"]) + note


def _by_price(backtest: Backtest, main: PolicyOutcome, free: PolicyOutcome | None) -> str:
    steps = bands((free or main).curve + main.curve)
    ours, before = bought(main.curve, steps), bought(free.curve, steps) if free is not None else None
    most = max((row.ev_wh for row in (*ours, *(before or ()))), default=0.0) or 1.0
    heads = [Column(f"Price [{backtest.currency}/kWh]", False), Column("Into cars"), Column("", False)]
    heads += [Column("Uncontrolled")] if before else []
    heads += [Column("Site bought"), Column("Site paid"), *([Column("Uncontrolled paid")] if before else [])]
    rows = []
    for index, row in enumerate(ours):
        past = before[index] if before else None
        rows.append(_price_row(row, past, most, backtest.currency))
    return table("When the cars charged, by the price of energy", heads, rows, "cards")


def _price_row(row: Bought, past: Bought | None, most_wh: float, currency: str) -> list[str]:
    bars = bar_cell(0.0, row.ev_wh, most_wh, "cars") + (bar_cell(0.0, past.ev_wh, most_wh, "was") if past is not None else "")
    cells = [_band(row.band), energy(row.ev_wh), bars, *([energy(past.ev_wh)] if past is not None else [])]
    return [*cells, energy(row.bought_wh), money(row.paid, currency), *([money(past.paid, currency)] if past is not None else [])]


def _band(band: Band) -> str:
    if band.high - band.low < 1e-9:
        return rate(band.low)
    return f"{rate(band.low)} to {rate(band.high)}"


def _site(backtest: Backtest, main: PolicyOutcome, free: PolicyOutcome | None) -> str:
    """The bill's lines for the whole site."""
    outcomes = [one for one in (free, main, find(backtest, OURS_V2G)) if one is not None]
    outcomes = [one for index, one in enumerate(outcomes) if one not in outcomes[:index]]
    sums = [flows(one.curve) for one in outcomes]
    currency = backtest.currency
    rows = [
        ["Energy bought", *(f"{energy(one.bought_wh)}, {money(one.paid, currency)}" for one in sums)],
        ["Mean price of a bought kWh", *(f"{rate(one.mean_price)} {text(currency)}" for one in sums)],
    ]
    rows += [["Energy sold", *(_sold(one, currency) for one in sums)]] if any(one.sold_wh > 0.5 for one in sums) else []
    rows += [["Own sun used on site", *(_sun(one) for one in sums)]] if any(one.pv_wh > 0.5 for one in sums) else []
    given = [sum(stay.given_wh for stay in one.sessions) for one in outcomes]
    rows += [["Given back by cars (V2G)", *map(energy, given)]] if any(given) else []
    rows.append(["Demand charge", *(f"{money(one.demand_cost, currency)} for {power(one.peak_w)}" for one in outcomes)])
    rows += [["Wear", *(money(one.wear_cost, currency) for one in outcomes)]] if any(one.wear_cost for one in outcomes) else []
    rows.append(["The same site without cars", *(money(-one.base_cost, currency) for one in outcomes)])
    rows += [["CO2", *(f"{number(one.co2_kg)} kg" for one in outcomes)]] if any(one.co2_kg for one in outcomes) else []
    rows.append(["So the cars cost", *(money(one.ev_cost, currency) for one in outcomes)])
    marks = [""] * (len(rows) - 1) + ["total"]
    return table("The bill", [Column("", False), *(Column(name_of(one.policy)) for one in outcomes)], rows, "cards", marks)


def _sold(one: Flows, currency: str) -> str:
    return f"{energy(one.sold_wh)}, {money(one.earned, currency)}" if one.sold_wh > 0.5 else "none"


def _sun(one: Flows) -> str:
    return f"{energy(one.pv_used_wh)} of {energy(one.pv_wh)}" if one.pv_wh > 0.5 else "no sun here"


# -- what limits cost ----------------------------------------------------------------------------------------------


def limit_costs(backtest: Backtest) -> Iterable[str]:
    """What each limit cost and what more of it would save, of every policy that was reckoned so."""
    for outcome in backtest.policies:
        if outcome.limits:
            heads = [Column("Limit", False), Column("It cost", False), Column("What more would have saved", False)]
            yield table(f"What the limits cost: {name_of(outcome.policy)}", heads, _limit_rows(outcome.limits, backtest.currency), "cards")


def _limit_rows(limits: Sequence[LimitCost], currency: str) -> list[list[str]]:
    ordered = sorted(limits, key=lambda one: (-one.cost_kwh if one.cost_kwh >= LEAST_KWH else 0.0, -(one.cost or 0.0)))
    return [
        [
            text(WHOLE_SITE.get(one.where, one.where)),
            _cost(one, currency),
            _more(one, currency),
        ]
        for one in ordered
    ]


def _cost(one: LimitCost, currency: str) -> str:
    if one.cost is None:
        return "not reckoned"
    if one.cost_kwh < LEAST_KWH:
        return money(one.cost, currency)
    kept = f"kept {energy(1000.0 * one.cost_kwh)} from cars"
    if one.cost < 0:  # what was not charged was not paid either
        return f"{kept} and saved their {money(-one.cost, currency)}"
    return f"{money(one.cost, currency)} and {kept}"


def _more(one: LimitCost, currency: str) -> str:
    """Where energy is short a looser limit delivers more, and the bill may rise with it."""
    if one.saved_by_more is None:
        return "not reckoned"
    amount = f"{number(one.more, 0 if one.more >= 10 else 1)}\u00a0{text(one.unit)}"
    more = f"{amount} free of it would have" if one.where == "peak" else f"{amount} more would have"
    gains = [f"saved {money(one.saved_by_more, currency)}"] if one.saved_by_more >= 0.005 else []
    if one.gained_kwh >= LEAST_KWH:
        price = f" for {money(-one.saved_by_more, currency)}" if one.saved_by_more <= -0.005 else ""
        gains.append(f"delivered {energy(1000.0 * one.gained_kwh)} more{price}")
    return f"{more} {' and '.join(gains) or 'saved nothing'}"
