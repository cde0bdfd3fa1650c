"""What both generations of OpenADR share: reading values nobody has checked, times, durations, units, levels.

Every reader takes any JSON value and either returns what its name says or raises ``Refused`` with a sentence. Numbers that are not
finite are no numbers. Nothing here raises anything else.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from typing import Any, Final

FOREVER_S: Final = math.inf
"""A duration without an end: P9999Y and everything that long."""
LONGEST_S: Final = 50 * 365.25 * 86_400.0
"""Durations from here on mean "without an end": no box lives that long."""
MOST_UNIX_S: Final = 2e11
"""Times further away are no times of this calendar."""
MOST_W: Final = 1e9
ABSURD_FACTOR: Final = 10.0
"""A limit without a unit above this multiple of what may flow is in another unit than ours."""
MOST_TEXT: Final = 300
MOST_NAME: Final = 128

_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?=\d|T\d)(?:(?P<years>\d{1,9})Y)?(?:(?P<months>\d{1,9})M)?(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,12}(?:[.,]\d{1,9})?)S)?)?"
)
_UNIT_S: Final = {"weeks": 604_800.0, "days": 86_400.0, "hours": 3600.0, "minutes": 60.0}
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?\s*([Zz]|[+-]\d\d:?\d\d)?)?",
)


class Refused(ValueError):  # noqa: N818  it names what happened, as the other refusals do
    """Something a server sent that we cannot use. The text is one sentence without secrets."""


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise Refused(f"{what} is not an object")
    return value


def items(value: Any, what: str, most: int) -> list[Any]:
    """A JSON array, empty for null or nothing."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(f"{what} is not a list")
    if len(value) > most:
        raise Refused(f"{what} has {len(value)} entries, more than the {most} we read")
    return value


def text(value: Any, what: str, most: int = MOST_NAME) -> str:
    """A string with something in it."""
    if not isinstance(value, str) or not value or len(value) > most:
        raise Refused(f"{what} is not a text of 1 to {most} characters")
    return value


def text_or_none(value: Any, what: str, most: int = MOST_TEXT) -> str | None:
    """A string, None for null and for an empty one."""
    return None if value is None or value == "" else text(value, what, most)


def number(value: Any, what: str) -> float:
    """A finite number; a boolean is none, nor is text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{what} is not a number")
    try:
        found = float(value)
    except OverflowError:
        raise Refused(f"{what} is too large") from None
    if not math.isfinite(found):
        raise Refused(f"{what} is not a finite number")
    return found


def whole(value: Any, what: str, least: int, most: int) -> int:
    """A whole number within bounds; 3.0 is one."""
    found = number(value, what)
    if found != int(found) or not least <= found <= most:
        raise Refused(f"{what} is not a whole number from {least} to {most}")
    return int(found)


def boolean(value: Any, what: str, default: bool) -> bool:
    """true, false, or the default for null and nothing."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refused(f"{what} is neither true nor false")
    return value


@dataclass(frozen=True, slots=True)
class Length:
    """An ISO 8601 duration: months of the calendar (a year has twelve) and seconds beside them; ``FOREVER_S`` for P9999Y and its like."""

    seconds: float
    months: int = 0

    @property
    def nominal_s(self) -> float:
        """About so long: a month counts 30 days, a year 365. For where nothing says which month it is."""
        years, months = divmod(self.months, 12)
        return self.seconds + years * 365 * 86_400.0 + months * 30 * 86_400.0

    def after_s(self, start_s: float, zone: tzinfo) -> float:
        """When it is over, Unix [s]: a month from the 1st ends on the 1st, at the same time of day in the site's zone."""
        if not self.months or not -MOST_UNIX_S < start_s < MOST_UNIX_S:
            return start_s + self.seconds
        begin = datetime.fromtimestamp(start_s, zone)
        year, month = divmod(begin.year * 12 + begin.month - 1 + self.months, 12)
        day = min(begin.day, monthrange(year, month + 1)[1])
        return begin.replace(year=year, month=month + 1, day=day).timestamp() + self.seconds


def length_of(value: Any, what: str) -> Length:
    """An ISO 8601 duration >= 0. "P0S", which is none by the letter, is how the user guide writes nothing (7.3)."""
    if value == "P0S":
        return Length(0.0)
    found = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 80 else None
    if found is None:
        raise Refused(f"{what} is not an ISO 8601 duration")
    seconds = sum(int(found[name]) * unit_s for name, unit_s in _UNIT_S.items() if found[name])
    seconds += float(found["seconds"].replace(",", ".")) if found["seconds"] else 0.0
    length = Length(seconds, 12 * int(found["years"] or 0) + int(found["months"] or 0))
    if found["sign"] == "-" and length.nominal_s > 0:
        raise Refused(f"{what} is negative")
    return Length(FOREVER_S) if length.nominal_s >= LONGEST_S else length


def shift_s(value: Any, what: str) -> float:
    """A bound for shifts either way [s]: its absolute value counts (user guide 7.3)."""
    return duration_s(value[1:] if isinstance(value, str) and value[:1] == "-" else value, what)


def duration_s(value: Any, what: str) -> float:
    """The same in seconds, where it does not matter which month it is."""
    return length_of(value, what).nominal_s


def time_s(value: Any, what: str) -> float | None:
    """An RFC 3339 time, Unix [s]; None for the beginning of time (0001-01-01 or 0000-..), which means "now". Without an offset it is UTC."""
    found = _TIME.fullmatch(value) if isinstance(value, str) and len(value) <= 40 else None
    if found is None:
        raise Refused(f"{what} is not an RFC 3339 time")
    year, month, day = (int(found[part]) for part in (1, 2, 3))
    if year <= 1:
        return None
    hour, minute, second = (int(found[part] or 0) for part in (4, 5, 6))
    leap = second == 60
    try:
        moment = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=UTC)
    except ValueError:
        raise Refused(f"{what} is no moment of the calendar") from None
    fraction = float(f"0.{found[7]}") if found[7] else 0.0
    return moment.timestamp() + leap + fraction - _offset_s(found[8])


def _offset_s(zone: str | None) -> float:
    if zone is None or zone in "zZ":
        return 0.0
    seconds = int(zone[1:3]) * 3600.0 + int(zone[-2:]) * 60.0
    return -seconds if zone[0] == "-" else seconds


def time_text(wall_s: float) -> str:
    """Unix time as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(round(wall_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration_text(seconds: float) -> str:
    """Seconds >= 0 as an ISO 8601 duration, in the largest unit that fits."""
    if not math.isfinite(seconds):
        return "P9999Y"
    left = round(seconds)
    for unit_s, letter in ((3600, "H"), (60, "M")):
        if left and left % unit_s == 0:
            return f"PT{left // unit_s}{letter}"
    return f"PT{left}S"


def drawn(*words: str) -> float:
    """A number from [0, 1) that looks random over sites and events and is the same each time we ask: a shift must survive a restart."""
    digest = sha256("\0".join(words).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / float(1 << 48)


# -- power ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Base:
    """What relative values are relative to.

    nominal_w, nominal_production_w: 100 percent of consumption and feed-in [W], None = not known. amps_w: watts of one ampere on every phase.
    levels_w: consumption at the levels 1, 2, 3 [W]. failsafe_w, failsafe_production_w: hold in place of a limit that cannot be read, None = none.
    """

    nominal_w: float
    nominal_production_w: float | None = None
    amps_w: float = 690.0
    levels_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    failsafe_w: float | None = None
    failsafe_production_w: float | None = None


_FACTORS: Final = {"KW": 1000.0, "W": 1.0, "MW": 1e6, "KVA": 1000.0, "VA": 1.0}
_ENERGY: Final = {"KWH": 1000.0, "WH": 1.0, "MWH": 1e6}


def limit_w(value: float, unit: str | None, base: Base, hours: float, production: bool = False) -> float:
    """A capacity [W], never higher than stated. hours: of its interval, for limits as energy; inf = open end.

    KVA counts as kW: cars charge at a power factor near 1. PERCENT is a fraction up to 1; more than 1 can only mean hundredths.
    Raises Refused for what is negative, unlimited in size, or in a unit that says no power.
    """
    if value < 0:
        raise Refused(f"a limit of {value:g} is negative")
    name = (unit or "KW").upper()
    watts = _in_watts(value, name, base, hours, production)
    if watts > MOST_W:
        raise Refused(f"a limit of {value:g} {name} is no power of a site")
    if unit is None and watts > ABSURD_FACTOR * max(base.nominal_w, base.nominal_production_w or 0.0):
        raise Refused(f"a limit of {value:g} without a unit, which is kW then, is far more than flows here; the sender must say the unit")
    return watts


def _in_watts(value: float, name: str, base: Base, hours: float, production: bool) -> float:
    if name in _FACTORS:
        return value * _FACTORS[name]
    if name in ("AMPS", "A"):
        return value * base.amps_w
    if name in ("PERCENT", "PERCENTAGE", "%"):
        whole_w = base.nominal_production_w if production else base.nominal_w
        if whole_w is None:
            raise Refused("a part of the feed-in says nothing, as grid.max_export_w is not set")
        return whole_w * (value if value <= 1 and name == "PERCENT" else min(value, 100.0) / 100)
    if name in _ENERGY:
        if not 0 < hours < math.inf:
            raise Refused(f"{name} without an end of the interval says no power")
        return value * _ENERGY[name] / hours
    raise Refused(f"the unit {name[:20]} says no power")


def level_w(level: int, base: Base) -> float | None:
    """Consumption at a level of load shed [W]; None = normal operation."""
    return None if level <= 0 else base.levels_w[min(level, 3) - 1]
