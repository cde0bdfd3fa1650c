"""Prices of a backtest: a tariff file, day-ahead prices, a fixed price, or what the site file says.

``.json``: seasons as ACN-Sim writes them: schedule = list of effective_start and effective_end ("MM-DD", both inclusive, may go over
New Year), dow_mask (WEEKDAYS, WEEKENDS, ALL), times (hours of the local clock), tariffs (price per kWh from then on) and
demand_charge (per kW and month). The first that fits a day holds; a demand charge is the one of the first simulated day.

``.csv`` or ``.csv.gz``: a time and a price a line (a head with UTC in it means UTC, other times without an offset are local). Prices
are per kWh unless the head says MWh. Steps are as long as the file has them. What is sold earns what the site's tariff says, at most the
price of the moment. Peaks of a file's tariff count by the quarter hour, of the site's as it says.
"""

from __future__ import annotations

import csv
import json
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, ValidationError

from controller.config import TariffConfig
from controller.sim.backtest.series import DAY_S, HOUR_S, Series, SeriesError, by_local_hour, compact, fixed, local, wall_of
from controller.sim.backtest.sessions import rows_of, text_of, year_first
from controller.site.plans.tariffs import books_of

WEEKEND = 5
GAP_S = 3 * HOUR_S
Day = Annotated[str, Field(pattern=r"^(0?[1-9]|1[0-2])-(0?[1-9]|[12]\d|3[01])$")]
CHEAP_PER_KWH = 5.0
"""Nobody pays more for a kWh; a mean above this is of a MWh, unless the file says otherwise."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What energy and peaks cost. buy and sell [currency/kWh]; demand_per_kw [currency/kW]: of the highest mean import over window_s,
    for a billing period of month_days. Windows begin on multiples of their length (UTC). market: published a day ahead, not known before."""

    buy: Series
    sell: Series
    demand_per_kw: float
    source: str
    month_days: float = 30.0
    window_s: float = 900.0
    market: bool = False


class Season(BaseModel):
    """One row of a tariff file."""

    id: str = ""
    effective_start: Day = "1-1"
    effective_end: Day = "12-31"
    dow_mask: Literal["WEEKDAYS", "WEEKENDS", "ALL"] = "ALL"
    times: tuple[Annotated[float, Field(ge=0, lt=24)], ...] = Field(min_length=1)
    tariffs: tuple[Annotated[float, Field(ge=-100, le=100)], ...] = Field(min_length=1)
    demand_charge: float = Field(default=0.0, ge=0, le=10_000)

    def holds(self, day: date) -> bool:
        """Whether it is about this day."""
        first, last, now = _month_day(self.effective_start), _month_day(self.effective_end), (day.month, day.day)
        inside = first <= now <= last if first <= last else now >= first or now <= last
        weekend = day.weekday() >= WEEKEND
        return inside and self.dow_mask in ("ALL", "WEEKENDS" if weekend else "WEEKDAYS")


class TariffFile(BaseModel):
    """A tariff file; keys that mean nothing here are let be."""

    name: str = ""
    schedule: tuple[Season, ...] = Field(min_length=1)


def read_prices(
    path: Path | str, tariff: TariffConfig, zone: ZoneInfo, start_s: float, end_s: float, needed_s: float | None = None
) -> Prices:
    """The prices of a file between two moments; sold energy and, for CSV, the demand charge as the site has it. needed_s: until when CSV
    must have prices, default: the end; after that its last day comes again. Raises SeriesError."""
    path = Path(path)
    try:
        text = text_of(path)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise SeriesError(f"{path} cannot be read: {error}") from error
    if path.name.lower().removesuffix(".gz").endswith(".json"):
        return parse_tariff(text, path.name, tariff, zone, start_s, end_s)
    try:
        rows = rows_of(text.splitlines())
    except csv.Error as error:
        raise SeriesError(f"{path} is no CSV file: {error}") from error
    buy = parse_day_ahead(rows, str(path), zone, start_s, end_s, needed_s)
    sell = compact([(at_s, min(price, tariff.sell_per_kwh)) for at_s, price in zip(buy.starts_s, buy.values, strict=True)])
    return Prices(buy, sell, tariff.demand_per_kw, path.name, tariff.demand_window_days, 60.0 * tariff.demand_minutes, True)


def site_prices(tariff: TariffConfig, zone: ZoneInfo, start_s: float, end_s: float) -> Prices:
    """What the site file says, by season, weekday and hour."""
    books = books_of(tariff, zone.key)
    buy, sell = (compact(book.segments(start_s, end_s)) for book in (books.buy, books.sell))
    return Prices(buy, sell, tariff.demand_per_kw, "the site file", tariff.demand_window_days, 60.0 * tariff.demand_minutes)


def parse_tariff(text: str, source: str, tariff: TariffConfig, zone: ZoneInfo, start_s: float, end_s: float) -> Prices:
    """The prices of a tariff file. Raises SeriesError."""
    try:
        file = TariffFile.model_validate(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise SeriesError(f"{source} is no tariff: {_first(error)}") from error
    for season in file.schedule:
        if len(season.times) != len(season.tariffs) or any(later <= sooner for sooner, later in pairwise(season.times)):
            raise SeriesError(f"{source}: season {season.id!r} needs ascending times and one tariff for each")
    buy = by_local_hour(start_s, end_s, zone, lambda day: _hours(_season(file, day, source)))
    demand = _season(file, local(start_s, zone).date(), source).demand_charge
    return Prices(buy, fixed(min(tariff.sell_per_kwh, min(buy.values))), demand, file.name or source)


def _season(file: TariffFile, day: date, source: str) -> Season:
    found = next((season for season in file.schedule if season.holds(day)), None)
    if found is None:
        raise SeriesError(f"{source} has no price for {day:%A, %d %B}; every day needs a season")
    return found


def _hours(season: Season) -> list[tuple[float, float]]:
    hours = list(zip(season.times, season.tariffs, strict=True))
    return hours if hours[0][0] == 0.0 else [(0.0, season.tariffs[-1]), *hours]


def parse_day_ahead(
    rows: Sequence[tuple[int, tuple[str, ...]]], source: str, zone: ZoneInfo, start_s: float, end_s: float, needed_s: float | None = None
) -> Series:
    """Prices [currency/kWh] of a CSV; they must cover the time until needed_s. Raises SeriesError."""
    if len(rows) < 2:
        raise SeriesError(f"{source} holds no prices")
    heads = [head.lower() for head in rows[0][1]]
    when, price = _columns(heads, source)
    factor = 0.001 if "mwh" in heads[price] else 1.0
    clock = ZoneInfo("UTC") if "utc" in heads[when] else zone
    points = sorted(dict(_points(rows[1:], when, price, factor, clock, source)).items())
    _cover(points, source, start_s, needed_s or end_s, zone)
    inside = [value for at_s, value in points if start_s - DAY_S < at_s < end_s]
    if "kwh" not in heads[price] and inside and sum(inside) / len(inside) > CHEAP_PER_KWH:
        raise SeriesError(f"{source}: a kWh would cost {sum(inside) / len(inside):.0f} on average; name the column of prices per MWh, or per kWh")
    return compact(_going_on(points, end_s)).cut(start_s, end_s)


def _going_on(points: Sequence[tuple[float, float]], end_s: float) -> list[tuple[float, float]]:
    """The prices until the end: after the last ones those of the last day again."""
    found, last_s = list(points), points[-1][0]
    day = [(at_s, value) for at_s, value in points if at_s > last_s - DAY_S]
    while found[-1][0] < end_s:
        day = [(at_s + DAY_S, value) for at_s, value in day]
        found += day
    return found


def _columns(heads: Sequence[str], source: str) -> tuple[int, int]:
    times = [index for index, head in enumerate(heads) if "time" in head or "date" in head or "start" in head]
    times.sort(key=lambda index: "utc" not in heads[index])
    price = next((index for index, head in enumerate(heads) if "price" in head or "/mwh" in head or "/kwh" in head), None)
    if not times or price is None:
        raise SeriesError(f"{source} needs a column of times and one of prices in its heads, it has {', '.join(heads)}")
    return times[0], price


def _points(
    rows: Iterable[tuple[int, tuple[str, ...]]], when: int, price: int, factor: float, clock: ZoneInfo, source: str
) -> Iterable[tuple[float, float]]:
    for number, cells in rows:
        try:
            value = float(cells[price])
            moment = wall_of(datetime.fromisoformat(year_first(cells[when])), clock)
        except (ValueError, IndexError):
            raise SeriesError(f"{source}, line {number}: no time and price in {', '.join(cells)!r}") from None
        if not math.isfinite(value):
            raise SeriesError(f"{source}, line {number}: the price is {cells[price]}")
        yield moment, factor * value


def _cover(points: Sequence[tuple[float, float]], source: str, start_s: float, end_s: float, zone: ZoneInfo) -> None:
    first_s, last_s = points[0][0], points[-1][0]
    if first_s > start_s or last_s < end_s - GAP_S:
        told = f"{local(first_s, zone):%Y-%m-%d} to {local(last_s, zone):%Y-%m-%d}"
        raise SeriesError(f"{source} has prices from {told}, not for {local(start_s, zone):%Y-%m-%d} to {local(end_s, zone):%Y-%m-%d}")
    hole = next((sooner for (sooner, _), (later, _) in pairwise(points) if later - sooner > GAP_S and sooner < end_s and later > start_s), None)
    if hole is not None:
        raise SeriesError(f"{source} has a gap after {local(hole, zone):%Y-%m-%d %H:%M}")


def mean_price(prices: Prices, start_s: float, end_s: float) -> float:
    """Mean of the buying price over a stretch of time [currency/kWh]."""
    return prices.buy.mean(start_s, end_s)


def _month_day(text: str) -> tuple[int, int]:
    month, day = text.split("-")
    return int(month), int(day)


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        one = error.errors()[0]
        return f"{'.'.join(str(part) for part in one['loc']) or 'the file'}: {one['msg']}"
    return str(error)
