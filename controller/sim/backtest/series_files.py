"""Load and production from a CSV file (plain or .gz), over the time that is simulated.

The first column is the time, the first numeric one after it the value. Times: ISO 8601 with or without offset (then local), 31.12.2026
18:30, or of a year without a number: "01/31  24:00:00" (the hour that ends then) and "Jan 31, 12:30 am" (what begins then). Unit from
the heads: kW unless they say W or MW.

A file that does not cover the simulated time, or has no year, is mapped onto it: each simulated day takes the nearest day of that
time of year with the same day of the week. In a file without a year the week is recognised by its two low days; where there are none,
each day takes its own date. So does production, since the sun knows no Sunday; without a year it is read on the clock without summer
time, everything else on the local one.
"""

from __future__ import annotations

import csv
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from controller.sim.backtest.series import DAY_S, Series, SeriesError, compact, days, midnight, wall_of
from controller.sim.backtest.sessions import rows_of, text_of, year_first

YEARLESS = 2001  # begins on a Monday, no leap day; only a calendar to count in
WEEKEND_PART = 0.97
NEAR_DAYS = (0, 1, -1, 2, -2, 3, -3)
HOUR_ENDING = re.compile(r"^(\d{1,2})/(\d{1,2})\s+(\d{1,2}):(\d{2})(?::\d{2})?$")
MONTH_NAMED = re.compile(r"^([A-Za-z]{3}) +(\d{1,2}), +(\d{1,2}):(\d{2}) *([ap]m)$")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a file says by local day: hour of the clock and value [W]. weekday0: of the first day of ``YEARLESS``, None = has real dates."""

    by_day: Mapping[date, tuple[tuple[float, float], ...]]
    yearless: bool
    source: str


def read_watts(
    path: Path | str, zone: ZoneInfo, start_s: float, end_s: float, sun: bool = False, needed: tuple[float, float] | None = None
) -> Series:
    """The series [W] over a stretch of time. sun: production. needed: the part that the file must have days for,
    default: all; elsewhere the nearest day of the same weekday stands in. Raises SeriesError."""
    path = Path(path)
    try:
        rows = rows_of(text_of(path).splitlines())
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise SeriesError(f"{path} cannot be read: {error}") from error
    return mapped(parse_watts(rows, str(path), zone), zone, start_s, end_s, sun, needed)


def parse_watts(rows: Sequence[tuple[int, tuple[str, ...]]], source: str, zone: ZoneInfo) -> Profile:
    """What a CSV says, by day. Raises SeriesError with the line of the first row that cannot be read."""
    if len(rows) < 3:
        raise SeriesError(f"{source} holds no series: a line of heads and at least two of values are needed")
    column, factor = _column(rows[0][1], rows[1][1], source)
    points: dict[datetime, float] = {}
    ends = False
    for number, cells in rows[1:]:
        moment, ends = _time(cells[0], source, number, zone)
        points[moment] = factor * _value(cells, column, source, number)
    ordered = sorted(points.items())
    if ends:
        step = ordered[1][0] - ordered[0][0]
        ordered = [(moment - step, value) for moment, value in ordered]
    yearless = bool(HOUR_ENDING.match(rows[1][1][0]) or MONTH_NAMED.match(rows[1][1][0]))
    by_day: dict[date, list[tuple[float, float]]] = {}
    for moment, value in ordered:
        by_day.setdefault(moment.date(), []).append((moment.hour + moment.minute / 60.0 + moment.second / 3600.0, value))
    return Profile({day: tuple(hours) for day, hours in by_day.items()}, yearless, source)


def _column(heads: Sequence[str], first: Sequence[str], source: str) -> tuple[int, float]:
    for index, cell in enumerate(first[1:], 1):
        try:
            float(cell)
        except ValueError:
            continue
        head = heads[index] if index < len(heads) else ""
        unit = re.search(r"[\[(_ ]([kKmM]?[wW])h?(?:[\])_ ]|$)", head)
        return index, {"w": 1.0, "kw": 1e3, "mw": 1e6}[unit.group(1).lower()] if unit else 1e3
    raise SeriesError(f"{source}: no column of numbers beside the time {first[0] if first else ''!r}")


def _value(cells: Sequence[str], column: int, source: str, number: int) -> float:
    try:
        value = float(cells[column])
    except (ValueError, IndexError):
        value = math.nan
    if not math.isfinite(value):
        raise SeriesError(f"{source}, line {number}: {cells[column] if column < len(cells) else 'nothing'!r} is not a number")
    return value


def _time(text: str, source: str, number: int, zone: ZoneInfo) -> tuple[datetime, bool]:
    """Local time without a zone, and whether it is the end of its step."""
    try:
        if found := HOUR_ENDING.match(text):
            month, day, hour, minute = (int(part) for part in found.groups())
            return datetime.combine(date(YEARLESS, month, day), time.min) + timedelta(hours=hour, minutes=minute), True
        if found := MONTH_NAMED.match(text):
            name, day_text, hour_text, minute_text, half = found.groups()
            hour = int(hour_text) % 12 + (12 if half == "pm" else 0)
            day_of = date(YEARLESS, MONTHS.index(name.lower()) + 1, int(day_text))
            return datetime.combine(day_of, time(hour, int(minute_text))), False
        moment = datetime.fromisoformat(year_first(text))
    except ValueError:
        forms = "2026-03-01T07:30, 01.03.2026 07:30, 01/31 07:00 or Jan 31, 07:30 am"
        raise SeriesError(f"{source}, line {number}: {text[:60]!r} is not a time such as {forms}") from None
    return (moment if moment.tzinfo is None else moment.astimezone(zone).replace(tzinfo=None)), False


# -- onto the simulated time -----------------------------------------------------------------------------------


def mapped(
    profile: Profile, zone: ZoneInfo, start_s: float, end_s: float, sun: bool, needed: tuple[float, float] | None = None
) -> Series:
    """The profile over a stretch of wall time. Raises SeriesError where no day fits."""
    first_s, last_s = needed or (start_s, end_s)
    shift = None if sun else _week_shift(profile) if profile.yearless else 0
    points: dict[float, float] = {}
    for day in days(start_s - DAY_S, end_s, zone):
        begins_s = midnight(day, zone)
        source = _source_day(profile, day, shift, begins_s + DAY_S <= first_s or begins_s >= last_s)
        for hour, value in profile.by_day[source]:
            begins = datetime.combine(day, time.min) + timedelta(hours=hour)
            points[_wall(begins, zone, sun and profile.yearless)] = value
    return compact(sorted(points.items()))


def _wall(begins: datetime, zone: ZoneInfo, sun: bool) -> float:
    """Unix seconds of a time on the local clock, or on the local clock without summer time."""
    if not sun:
        return wall_of(begins, zone)
    aware = begins.replace(tzinfo=zone)
    plain = (aware.utcoffset() or timedelta()) - (aware.dst() or timedelta())
    return (begins.replace(tzinfo=UTC) - plain).timestamp()


def _source_day(profile: Profile, day: date, shift: int | None, any_time: bool = False) -> date:
    """The day of the file that stands for a simulated one. any_time: of another time of year, where there is no other."""
    if not profile.yearless and day in profile.by_day:
        return day
    for aside in _aside(profile, day):
        if shift is None or (aside.weekday() + shift) % 7 == day.weekday():
            return aside
    nearest = next(_aside(profile, day), None)
    if nearest is None and any_time and not profile.yearless:
        alike = [one for one in profile.by_day if shift is None or one.weekday() == day.weekday()]
        return min(alike or profile.by_day, key=lambda one: abs((one - day).days))
    if nearest is None:
        raise SeriesError(f"{profile.source} has no day near {day:%d %B}; give a file that covers that time of year")
    return nearest


def _aside(profile: Profile, day: date) -> Iterator[date]:
    """Days of the file around this date, the nearest first, of any of its years."""
    years = (YEARLESS,) if profile.yearless else tuple(sorted({one.year for one in profile.by_day}))
    for offset in NEAR_DAYS:
        other = day + timedelta(days=offset)
        for year in years:
            if (other.month, other.day) != (2, 29):
                found = date(year, other.month, other.day)
            else:
                found = date(year, 2, 28)
            if found in profile.by_day:
                yield found


def _week_shift(profile: Profile) -> int | None:
    """What to add to the weekdays of ``YEARLESS`` to have the file's; None: it has no low days of the week."""
    sums, counts = [0.0] * 7, [0] * 7
    for day, hours in profile.by_day.items():
        sums[day.weekday()] += sum(value for _, value in hours) / len(hours)
        counts[day.weekday()] += 1
    if not all(counts):
        return None
    means = [total / count for total, count in zip(sums, counts, strict=True)]
    pairs = {saturday: means[saturday] + means[(saturday + 1) % 7] for saturday in range(7)}
    saturday = min(pairs, key=lambda one: pairs[one])
    others = (sum(means) - pairs[saturday]) / 5.0
    return (5 - saturday) % 7 if pairs[saturday] / 2.0 < WEEKEND_PART * others else None
