"""The arithmetic of the report: what is drawn and said, reckoned from a ``Backtest`` and nothing else."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from itertools import pairwise

from controller.sim.backtest.outcome import CURVE_STEP_S, Backtest, PolicyOutcome, Quarter, SessionOutcome

STEP_H = CURVE_STEP_S / 3600.0
SHORT_WH, SHORT_PART = 100.0, 0.01
"""A car is short when more than this is missing: meters and the 6 A step leave crumbs behind everywhere."""
MOST_BANDS = 6
FULL = 0.97
"""A circuit is called full from this part of its limit on."""
FULL_PART = 0.1
"""Its limit is called the reason when it was full for this part of the stay."""
EARLY_S = 900.0


# -- money by price --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Band:
    """Quarter hours of a similar price [currency/kWh], both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bought:
    """What was bought and sold in one band [Wh, currency]; ev_wh: what the cars drew in it."""

    band: Band
    bought_wh: float = 0.0
    paid: float = 0.0
    ev_wh: float = 0.0


def bands(curve: Sequence[Quarter]) -> list[Band]:
    """The tariff's own steps where they are few, else quarters of the time from cheap to dear; prices below zero stand apart."""
    prices = sorted(price_of(one) for one in curve)
    distinct = sorted(set(prices))
    if len(distinct) <= MOST_BANDS:
        return [Band(price, price) for price in distinct]
    below, rest = [price for price in prices if price < 0], [price for price in prices if price >= 0]
    found = [Band(below[0], below[-1])] if below else []
    cuts = sorted({rest[min(len(rest) - 1, len(rest) * part // 4)] for part in range(1, 4)}) if rest else []
    parts = [0, *(bisect_left(rest, cut) for cut in cuts), len(rest)]
    return found + [Band(rest[begin], rest[end - 1]) for begin, end in pairwise(parts) if end > begin]


def price_of(one: Quarter) -> float:
    """What a kWh cost, without the crumbs that means over a quarter hour leave behind."""
    return round(one.buy_per_kwh, 5)


def bought(curve: Sequence[Quarter], steps: Sequence[Band]) -> list[Bought]:
    """Energy and money of a curve per band. What falls between two bands of another curve counts to the lower."""
    lows = [band.low for band in steps]
    sums = [[0.0, 0.0, 0.0] for _ in steps]
    for one in curve:
        if one.grid_w > 0 or one.ev_w:
            row = sums[max(0, bisect_left(lows, price_of(one) + 1e-9) - 1)]
            import_wh = max(0.0, one.grid_w) * STEP_H
            row[0] += import_wh
            row[1] += import_wh / 1000.0 * one.buy_per_kwh
            row[2] += one.ev_w * STEP_H
    return [Bought(band, *row) for band, row in zip(steps, sums, strict=True)]


@dataclass(frozen=True, slots=True)
class Flows:
    """Sums over a curve [Wh], money [currency]. pv_used_wh: what of the PV stayed on site."""

    bought_wh: float
    paid: float
    sold_wh: float
    earned: float
    pv_wh: float
    pv_used_wh: float
    ev_wh: float

    @property
    def mean_price(self) -> float:
        """Of a bought kWh; 0 when none was."""
        return self.paid / (self.bought_wh / 1000.0) if self.bought_wh > 0 else 0.0


def flows(curve: Sequence[Quarter]) -> Flows:
    """What went over the grid connection and out of the sun."""
    import_w = sell_w = paid = earned = pv_w = kept_w = ev_w = 0.0
    for one in curve:
        grid_w = one.grid_w
        if grid_w > 0:
            import_w += grid_w
            paid += grid_w * one.buy_per_kwh
        else:
            sell_w -= grid_w
            earned -= grid_w * one.sell_per_kwh
        pv_w += one.pv_w
        kept_w += max(0.0, one.pv_w - max(0.0, -grid_w))
        ev_w += one.ev_w
    kilo_h = STEP_H / 1000.0
    return Flows(import_w * STEP_H, paid * kilo_h, sell_w * STEP_H, earned * kilo_h, pv_w * STEP_H, kept_w * STEP_H, ev_w * STEP_H)


@dataclass(frozen=True, slots=True)
class Step:
    """One reason why a cost differs; money > 0 = dearer [currency]."""

    name: str
    money: float
    why: str = ""


def difference(before: PolicyOutcome, after: PolicyOutcome) -> list[Step]:
    """How the cost of one policy becomes that of another, in money; the steps sum to the difference exactly."""
    first, last = flows(before.curve), flows(after.curve)
    amount = (last.bought_wh - first.bought_wh) / 1000.0 * first.mean_price
    hours = last.paid - first.paid - amount
    sold = first.earned - last.earned
    metered = (after.energy_cost - before.energy_cost) - (last.paid - first.paid) - sold
    steps = [
        Step("Bought in other hours", hours, "the same kWh at the prices of the hours they were bought in"),
        Step("Bought more or less", amount, "energy lost, given back or not delivered, at the first policy's mean price"),
        Step("Sold to the grid", sold, "what the grid paid for energy fed in"),
        Step("Demand charge", after.demand_cost - before.demand_cost, "the highest quarter hour"),
        Step("Wear", after.wear_cost - before.wear_cost, "of batteries that were cycled"),
    ]
    rest = Step("Within quarter hours", metered, "the bill counts finer than these curves")
    return [*steps, rest] if abs(metered) >= 0.005 else [*steps[:-1], Step(steps[-1].name, steps[-1].money + metered, steps[-1].why)]


# -- days -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Day:
    """One day of a curve, or a week of it: where its quarters are, its energy [Wh], money and highest power [W]."""

    first: date
    ev_wh: float = 0.0
    energy_cost: float = 0.0
    peak_w: float = 0.0
    quarters: list[Quarter] = field(default_factory=list)


def days(curve: Sequence[Quarter], zone: tzinfo, per_day: dict[float, date] | None = None) -> dict[date, Day]:
    """The curve by calendar days of the site. per_day: dates already known by the time of their quarter, filled here."""
    known = per_day if per_day is not None else {}
    found: dict[date, Day] = {}
    for one in curve:
        when = known.get(one.wall_s)
        if when is None:
            when = known[one.wall_s] = datetime.fromtimestamp(one.wall_s, zone).date()
        day = found.get(when)
        if day is None:
            day = found[when] = Day(when)
        day.quarters.append(one)
        day.ev_wh += one.ev_w * STEP_H
        day.energy_cost += one.grid_w * STEP_H / 1000.0 * (one.buy_per_kwh if one.grid_w > 0 else one.sell_per_kwh)
        day.peak_w = max(day.peak_w, one.grid_w)
    return found


def weeks(by_day: dict[date, Day]) -> dict[date, Day]:
    """Days put together to weeks that begin on Mondays."""
    found: dict[date, Day] = {}
    for day in by_day.values():
        monday = date.fromordinal(day.first.toordinal() - day.first.weekday())
        week = found.setdefault(monday, Day(monday))
        week.ev_wh += day.ev_wh
        week.energy_cost += day.energy_cost
        week.peak_w = max(week.peak_w, day.peak_w)
    return found


def worst_days(by_day: dict[date, Day], count: int = 3) -> list[date]:
    """The days of the highest grid power, highest first."""
    return [day.first for day in sorted(by_day.values(), key=lambda day: (-day.peak_w, day.first))[:count]]


# -- service ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Short:
    """A car that left without all it could have taken. reason: one of ``REASONS``; words: what of it a person is told."""

    session: SessionOutcome
    reason: str
    words: str


REASONS = {
    "stay": "The stay was too short even at full power",
    "left": "Left before the time its driver had stated",
    "asked": "Asked for less than it could have taken",
    "limit": "A circuit was full while it stood there",
    "choice": "The controller's own choice: there was room later or earlier",
    "unknown": "Not known",
}


def is_short(session: SessionOutcome) -> bool:
    """Whether what is missing is more than crumbs."""
    return session.missing_wh > max(SHORT_WH, SHORT_PART * session.wanted_wh)


def shorts(outcome: PolicyOutcome, uncontrolled: PolicyOutcome | None, backtest: Backtest) -> list[Short]:
    """Who was short and why, the most missing first."""
    free = {session.id: session for session in uncontrolled.sessions} if uncontrolled is not None else {}
    walls = [one.wall_s for one in outcome.curve]
    missing = sorted(filter(is_short, outcome.sessions), key=lambda session: -session.missing_wh)
    return [_judged(session, free.get(session.id), outcome.curve, walls, backtest) for session in missing]


def _judged(session: SessionOutcome, free: SessionOutcome | None, curve: Sequence[Quarter], walls: Sequence[float], backtest: Backtest) -> Short:
    stay_s = max(0.0, session.departure_wall_s - session.arrival_wall_s)
    if free is not None and free.missing_wh >= 0.8 * session.missing_wh:
        return Short(session, "stay", f"stayed {stay_s / 3600.0:.1f} h; too short even at full power")
    told = backtest.drivers != "truth"
    stated_s = session.stated_departure_wall_s
    if told and stated_s is not None and session.departure_wall_s < stated_s - EARLY_S:
        return Short(session, "left", f"left {(stated_s - session.departure_wall_s) / 3600.0:.1f} h before the stated time")
    if told and session.stated_wh is not None and session.delivered_wh >= 0.97 * session.stated_wh:
        return Short(session, "asked", f"asked for {session.stated_wh / 1000.0:.1f} kWh and got that")
    circuit, full_s = _fullest(session, curve, walls, backtest.evse_circuits.get(session.evse))
    if full_s >= FULL_PART * stay_s and full_s > 0:
        return Short(session, "limit", f"{circuit} was full for {full_s / 3600.0:.1f} of {stay_s / 3600.0:.1f} h")
    if not any(one.loads for one in curve):
        return Short(session, "unknown", "the loads of circuits were not kept")
    return Short(session, "choice", "there was room that was not used")


def _fullest(session: SessionOutcome, curve: Sequence[Quarter], walls: Sequence[float], own: Sequence[str] | None) -> tuple[str, float]:
    """The circuit that was full longest during the stay, and for how long [s]. own: its circuits; None = any may be meant."""
    sums: dict[str, float] = {}
    for index in range(max(0, bisect_left(walls, session.arrival_wall_s) - 1), bisect_left(walls, session.departure_wall_s)):
        begin_s = walls[index]
        within_s = min(session.departure_wall_s, begin_s + CURVE_STEP_S) - max(session.arrival_wall_s, begin_s)
        for circuit, load in curve[index].loads.items():
            if load >= FULL and (own is None or circuit in own) and within_s > 0:
                sums[circuit] = sums.get(circuit, 0.0) + within_s
    return max(sums.items(), key=lambda item: item[1], default=("", 0.0))


def shares(outcome: PolicyOutcome) -> list[int]:
    """How many cars got all, 95-99 %, 80-95 %, 50-80 % and less of what they could have taken."""
    counts = [0, 0, 0, 0, 0]
    for session in outcome.sessions:
        part = session.delivered_wh / session.wanted_wh if session.wanted_wh > 0 else 1.0
        counts[0 if not is_short(session) else 1 if part >= 0.95 else 2 if part >= 0.8 else 3 if part >= 0.5 else 4] += 1
    return counts


# -- circuits -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Near:
    """How long a circuit was how full [s], by quarter-hour means; above_s as metered."""

    circuit: str
    over_80_s: float
    over_95_s: float
    above_s: float
    worst: float


def by_circuit(values: Mapping[str, float]) -> dict[str, float]:
    """The highest per circuit, where phases ("hall/L2") were counted each on its own."""
    found: dict[str, float] = {}
    for key, value in values.items():
        circuit = key[:-3] if key[-3:] in ("/L1", "/L2", "/L3") else key
        found[circuit] = max(value, found.get(circuit, value))
    return found


def longest_over(outcome: PolicyOutcome) -> tuple[str, float]:
    """The circuit that was above its limit longest, and how long [s]; ("", 0) when none was."""
    return max(by_circuit(outcome.over_limit_s).items(), key=lambda item: item[1], default=("", 0.0))


def near(outcome: PolicyOutcome, circuits: Sequence[str]) -> list[Near]:
    """Per circuit, in the order given."""
    found: list[Near] = []
    highest, above = by_circuit(outcome.worst), by_circuit(outcome.over_limit_s)
    for circuit in circuits:
        loads = [one.loads.get(circuit, 0.0) for one in outcome.curve]
        worst = highest.get(circuit, max(loads, default=0.0))
        counts = [CURVE_STEP_S * sum(load >= level for load in loads) for level in (0.8, 0.95)]
        found.append(Near(circuit, counts[0], counts[1], above.get(circuit, 0.0), worst))
    return found


def duration(values: Sequence[float], points: int = 240) -> list[tuple[float, float]]:
    """A duration curve: (part of the time 0..1, value), falling, thinned with both ends and the steep head kept."""
    ordered = sorted(values, reverse=True)
    last = len(ordered) - 1
    if last < 1:
        return [(0.0, value) for value in ordered] + [(1.0, value) for value in ordered]
    wanted = {round(last * (part / points) ** 2) for part in range(points + 1)}
    return [(index / last, ordered[index]) for index in sorted(wanted)]
