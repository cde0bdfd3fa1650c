"""The report's pictures of power: load duration curves, the worst days, and the whole time day by day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from controller.sim.backtest.outcome import CURVE_STEP_S, Backtest, PolicyOutcome, Quarter
from controller.sim.backtest.report_plot import FILL, LINE, Axis, Canvas, Column, figure, legend, scale, table
from controller.sim.backtest.report_sums import Band, Day, bands, days, duration, price_of, weeks, worst_days
from controller.sim.backtest.report_words import (
    BOUND,
    BOUND_V2G,
    MONTHS,
    OURS,
    OURS_V2G,
    UNCONTROLLED,
    day_words,
    energy,
    find,
    kind_of,
    money,
    name_of,
    number,
    power,
    rate,
    text,
    zone_of,
)

KNOWN = (UNCONTROLLED, OURS, OURS_V2G, BOUND, BOUND_V2G)
OTHER_LOOKS = 4
PARTS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
MOST_DAYS = 45
"""More bars than this in one picture are put together to weeks."""


def main_of(backtest: Backtest) -> PolicyOutcome | None:
    """The policy the report is about: ours, else ours with V2G, else the last that somebody could run under the limits."""
    found = find(backtest, OURS) or find(backtest, OURS_V2G)
    others = [one for one in backtest.policies if kind_of(one.policy) not in (UNCONTROLLED, BOUND, BOUND_V2G)] or list(backtest.policies)
    return found or (others[-1] if others else None)


def looks(backtest: Backtest) -> dict[str, str]:
    """A look per policy; the strategies we compare with are told apart by their dashes."""
    found: dict[str, str] = {}
    others = 0
    for outcome in backtest.policies:
        kind = kind_of(outcome.policy)
        if kind in KNOWN:
            found[outcome.policy] = f"p-{kind}"
        else:
            found[outcome.policy] = f"p-{others % OTHER_LOOKS + 1}"
            others += 1
    return found


# -- duration ------------------------------------------------------------------------------------------------


def duration_curves(backtest: Backtest) -> Iterable[str]:
    """One picture of grid power, and one of the fullest circuit where circuits were watched."""
    series = [(outcome, [one.grid_w / 1000.0 for one in outcome.curve]) for outcome in backtest.policies if outcome.curve]
    if not series:
        return
    limit_kw = backtest.grid_limit_w / 1000.0 if backtest.grid_limit_w else None
    words = "How much of the time the grid power was at least so high. A flat head is a low peak."
    yield _durations(backtest, series, "Load duration at the grid connection", words, "kW", limit_kw)
    fullest = [(outcome, [100.0 * max(one.loads.values(), default=0.0) for one in outcome.curve]) for outcome, _ in series]
    if any(max(values) > 0 for _, values in fullest):
        words = "The fullest phase of any circuit, as a part of its limit. Above 100 % a fuse would sooner or later trip."
        yield _durations(backtest, fullest, "Load duration of the fullest circuit", words, "%", 100.0)


Series = Sequence[tuple[PolicyOutcome, list[float]]]


def _durations(backtest: Backtest, series: Series, title: str, words: str, unit: str, limit: float | None) -> str:
    look = looks(backtest)
    highest = max(max(values) for _, values in series)
    lowest = min(0.0, *(min(values) for _, values in series))
    y = scale(lowest, max(highest, (limit or 0.0) * 1.02, lowest + 1.0), unit)
    canvas = Canvas(Axis(0.0, 1.0, tuple((part / 4, f"{25 * part} % of the time" if part == 4 else f"{25 * part} %") for part in range(5))), y)
    front = sorted(series, key=lambda one: (look[one[0].policy] == "p-ours", look[one[0].policy] in ("p-bound", "p-uncontrolled")))
    for outcome, values in front:
        canvas.line([(part, value) for part, value in duration(values)], look[outcome.policy])
    if limit is not None:
        canvas.level(limit, "limit", f"limit {number(limit)} {unit}")
    peaks = "; ".join(f"{name_of(outcome.policy)} at most {number(max(values), 0)} {unit}" for outcome, values in series)
    keys = legend((look[outcome.policy], name_of(outcome.policy), LINE) for outcome, _ in series)
    return figure(title, text(words), canvas.html(f"{title}. {peaks}.", 300), keys, _duration_table(series, unit))


def _duration_table(series: Series, unit: str) -> str:
    heads = [Column("Policy", False), *(Column("highest" if not part else f"{100 * part:g} % of the time") for part in PARTS)]
    rows = [[text(name_of(outcome.policy)), *(number(value, 1) for value in _at(values))] for outcome, values in series]
    return table(f"At least so much [{unit}] for this part of the time", heads, rows)


def _at(values: Sequence[float]) -> list[float]:
    ordered = sorted(values, reverse=True)
    return [ordered[round((len(ordered) - 1) * part)] for part in PARTS]


# -- worst days ------------------------------------------------------------------------------------------------


def peak_days(backtest: Backtest) -> Iterable[str]:
    """The three days on which the site pulled hardest without control, as they went with it."""
    main = main_of(backtest)
    if main is None or not main.curve:
        return
    zone = zone_of(backtest)
    known: dict[float, date] = {}
    ours = days(main.curve, zone, known)
    free = find(backtest, UNCONTROLLED)
    before = days(free.curve, zone, known) if free is not None and free is not main else {}
    chosen = [day for day in worst_days(before or ours, 3) if day in ours]
    steps = bands(main.curve)
    shown = [one for day in chosen for one in (*ours[day].quarters, *(before[day].quarters if day in before else []))]
    y = _power_axis(shown, backtest.grid_limit_w)
    yield _day_legend(shown, bool(before), backtest.grid_limit_w is not None, main)
    for day in chosen:
        past = before[day].quarters if day in before else []
        yield _day(backtest, ours[day], past, y, steps)


def _power_axis(quarters: Sequence[Quarter], limit_w: float | None) -> Axis:
    up = max((one.base_w + max(0.0, one.ev_w) + max(0.0, one.battery_w) for one in quarters), default=0.0)
    down = min((min(0.0, one.grid_w, min(0.0, one.ev_w) + min(0.0, one.battery_w) - one.pv_w) for one in quarters), default=0.0)
    grid = max((one.grid_w for one in quarters), default=0.0)
    return scale(down / 1000.0, max(up, grid, 1.02 * (limit_w or 0.0), 1000.0) / 1000.0, "kW")


def _day_legend(quarters: Sequence[Quarter], before: bool, limit: bool, main: PolicyOutcome) -> str:
    entries = [("base", "Building", FILL), ("cars", "Cars", FILL)]
    entries += [("battery", "Battery", FILL)] if any(one.battery_w for one in quarters) else []
    entries += [("pv", "Sun (below zero: it gives)", FILL)] if any(one.pv_w for one in quarters) else []
    lines = [("grid-power", f"Grid, {name_of(main.policy)}", LINE)]
    lines += [("before", f"Grid, {name_of(UNCONTROLLED).lower()}", LINE)] if before else []
    lines += [("limit", "Limit", LINE)] if limit else []
    return legend([*entries, *lines])


def _day(backtest: Backtest, day: Day, before: Sequence[Quarter], y: Axis, steps: Sequence[Band]) -> str:
    quarters = day.quarters
    edges = [*(_hour(one, quarters) for one in quarters), _hour(quarters[-1], quarters) + CURVE_STEP_S / 3600.0]
    x = Axis(0.0, max(24.0, edges[-1]), tuple((float(hour), f"{hour:02d}:00") for hour in range(0, 25, 3)))
    canvas = Canvas(x, y)
    _stack(canvas, quarters, edges)
    if before:
        canvas.steps(_edges(before, quarters), [one.grid_w / 1000.0 for one in before], "before")
    canvas.steps(edges, [one.grid_w / 1000.0 for one in quarters], "grid-power")
    if backtest.grid_limit_w is not None:
        canvas.level(backtest.grid_limit_w / 1000.0, "limit")
    zone = zone_of(backtest)
    title = day_words(quarters[0].wall_s, zone)
    top = max((one.grid_w for one in before), default=None)
    words = f"Peak {power(day.peak_w)}" + (f" instead of {power(top)} uncontrolled" if top is not None else "")
    words += f"; {energy(day.ev_wh)} into cars; energy for {money(day.energy_cost, backtest.currency)}."
    strip = _strip(quarters, edges, x, steps, backtest.currency)
    picture = canvas.html(f"{title}. {words}", 230) + strip
    return figure(title, text(words), picture, behind=_day_table(quarters, before), look="day")


def _hour(one: Quarter, quarters: Sequence[Quarter]) -> float:
    """Hours since the day's midnight; a first day may begin late, a day of 25 h goes beyond 24."""
    return (one.wall_s - quarters[0].wall_s) / 3600.0 if len(quarters) > 1 else 0.0


def _edges(before: Sequence[Quarter], quarters: Sequence[Quarter]) -> list[float]:
    return [*((one.wall_s - quarters[0].wall_s) / 3600.0 for one in before), (before[-1].wall_s + CURVE_STEP_S - quarters[0].wall_s) / 3600.0]


def _stack(canvas: Canvas, quarters: Sequence[Quarter], edges: Sequence[float]) -> None:
    up = down = [0.0] * len(quarters)
    for look, gives, watts in _layers(quarters):
        if gives:
            nxt = [low - value / 1000.0 for low, value in zip(down, watts, strict=True)]
            canvas.area(edges, down, nxt, look)
            down = nxt
        else:
            nxt = [low + value / 1000.0 for low, value in zip(up, watts, strict=True)]
            canvas.area(edges, up, nxt, look)
            up = nxt


def _layers(quarters: Sequence[Quarter]) -> Iterable[tuple[str, bool, list[float]]]:
    """(look, whether it gives power, W >= 0), bottom up."""
    yield "base", False, [max(0.0, one.base_w) for one in quarters]
    yield "cars", False, [max(0.0, one.ev_w) for one in quarters]
    yield "battery", False, [max(0.0, one.battery_w) for one in quarters]
    yield "pv", True, [max(0.0, one.pv_w) for one in quarters]
    yield "battery", True, [max(0.0, -one.battery_w) for one in quarters]
    yield "cars", True, [max(0.0, -one.ev_w) for one in quarters]


def _strip(quarters: Sequence[Quarter], edges: Sequence[float], x: Axis, steps: Sequence[Band], currency: str) -> str:
    """The price as a ribbon under the day: dark is dear."""
    canvas = Canvas(Axis(x.low, x.high, ()), Axis(0.0, 1.0, ()))
    begin = 0
    for index in range(1, len(quarters) + 1):
        price = price_of(quarters[begin])
        if index == len(quarters) or price_of(quarters[index]) != price:
            canvas.bar(edges[begin], edges[index], 0.0, 1.0, shade_of(price, steps), f"{rate(price)} {currency}/kWh")
            begin = index
    prices = [price_of(one) for one in quarters]
    words = f"Price ribbon: {rate(min(prices))} (pale) to {rate(max(prices))} (dark) {currency}/kWh"
    svg = canvas.html(words, 12).replace('class="plot"', 'class="plot strip"')
    return f'<p class="small strip-words">{text(words)}</p>{svg}'


def shade_of(price: float, steps: Sequence[Band]) -> str:
    """The darkness of a price band; the dearest is always the darkest."""
    place = next((index for index, band in enumerate(steps) if price <= band.high + 1e-9), len(steps) - 1)
    return f"q{round(5 * place / (len(steps) - 1)) if len(steps) > 1 else 1}"


def _day_table(quarters: Sequence[Quarter], before: Sequence[Quarter]) -> str:
    free = {one.wall_s: one for one in before}
    heads = [Column("Hour", False), *map(Column, ("building", "cars", "battery", "sun", "grid", "uncontrolled", "price"))]
    rows = []
    for begin in range(0, len(quarters), 4):
        part = quarters[begin : begin + 4]
        past = [free[one.wall_s].grid_w for one in part if one.wall_s in free]
        columns = zip(*((one.base_w, one.ev_w, one.battery_w, one.pv_w, one.grid_w) for one in part), strict=True)
        means = [sum(values) / len(part) / 1000.0 for values in columns]
        earlier = number(sum(past) / len(past) / 1000.0, 1) if past else "\u2013"
        rows.append([f"{begin // 4}", *(number(value, 1) for value in means), earlier, rate(part[0].buy_per_kwh)])
    return table("Hourly means [kW]", heads, rows)


# -- the whole time ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bars:
    """A row of bars. values and before: one per day, before = () where nobody ran uncontrolled."""

    title: str
    words: str
    unit: str
    values: Sequence[float]
    before: Sequence[float]


def overview(backtest: Backtest) -> Iterable[str]:
    """Energy, money and peak of every day, or of every week of a long time."""
    main = main_of(backtest)
    if main is None or not main.curve:
        return
    zone, known = zone_of(backtest), dict[float, date]()
    ours = days(main.curve, zone, known)
    free = find(backtest, UNCONTROLLED)
    before = days(free.curve, zone, known) if free is not None and free is not main else {}
    each = "day"
    if len(ours) > MOST_DAYS:
        ours, before, each = weeks(ours), weeks(before), "week"
    order = sorted(ours)
    past = [before.get(day, Day(day)) for day in order] if before else []
    name = name_of(main.policy)
    two = [("cars", name, FILL), ("p-uncontrolled", name_of(UNCONTROLLED), LINE)] if past else [("cars", name, FILL)]
    yield legend(two)
    rows = (
        _Bars(f"Energy into cars per {each}", "", "kWh", [ours[day].ev_wh / 1000.0 for day in order], [day.ev_wh / 1000.0 for day in past]),
        _Bars(
            f"Energy bill of the whole site per {each}",
            "Without the demand charge, which counts once for the highest peak.",
            backtest.currency,
            [ours[day].energy_cost for day in order],
            [day.energy_cost for day in past],
        ),
        _Bars(f"Highest quarter hour per {each}", "", "kW", [ours[day].peak_w / 1000.0 for day in order], [day.peak_w / 1000.0 for day in past]),
    )
    for index, row in enumerate(rows):
        limit_kw = backtest.grid_limit_w / 1000.0 if backtest.grid_limit_w and index == 2 else None
        behind = _days_table(rows, order, each) if index == 2 else ""
        yield _bars(row, order, limit_kw, behind)


def _bars(row: _Bars, order: Sequence[date], limit: float | None, behind: str) -> str:
    values = (*row.values, *row.before, limit or 0.0)
    y = scale(min(0.0, *values), max(0.0, *values) or 1.0, row.unit, 3)
    every = max(1, -(-len(order) // 10))
    ticks = tuple((index + 0.5, _day_word(day, index, order)) for index, day in enumerate(order) if index % every == 0)
    canvas = Canvas(Axis(0.0, float(len(order)), ticks), y)
    for index, (day, value) in enumerate(zip(order, row.values, strict=True)):
        earlier = f", uncontrolled {number(row.before[index], 1)}" if row.before else ""
        canvas.bar(index + 0.14, index + 0.86, 0.0, value, "cars", f"{day.day} {MONTHS[day.month]}: {number(value, 1)} {row.unit}{earlier}")
    for index, value in enumerate(row.before):
        canvas.line([(index + 0.02, value), (index + 0.98, value)], "p-uncontrolled")
    if limit is not None:
        canvas.level(limit, "limit", f"limit {number(limit)} {row.unit}")
    total = f"Highest {number(max(row.values), 1)} {row.unit}" + (f", uncontrolled {number(max(row.before), 1)}" if row.before else "")
    return figure(row.title, text(row.words), canvas.html(f"{row.title}. {total}.", 150), behind=behind)


def _day_word(day: date, index: int, order: Sequence[date]) -> str:
    long = (order[-1] - order[0]).days > MOST_DAYS
    month = long or index == 0 or day.month != order[index - 1].month
    return f"{day.day} {MONTHS[day.month][:3]}" if month else str(day.day)


def _days_table(rows: Sequence[_Bars], order: Sequence[date], each: str) -> str:
    heads = [Column(each.capitalize(), False)]
    for row in rows:
        heads += [Column(f"{row.title.split(' per ')[0]} [{row.unit}]"), *([Column("uncontrolled")] if row.before else [])]
    lines = []
    for index, day in enumerate(order):
        cells = [f"{day:%d.%m.%Y}"]
        for row in rows:
            cells += [number(row.values[index], 1), *([number(row.before[index], 1)] if row.before else [])]
        lines.append(cells)
    return table(f"Every {each}", heads, lines)


