"""Words and numbers of the report: how money, energy, power and time read, and what the policies are called."""

from __future__ import annotations

import math
from datetime import datetime, tzinfo
from html import escape
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.sim.backtest.outcome import Backtest, PolicyOutcome

GAP = "\u00a0"
MINUS = "\u2212"
MONTHS = ("", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

UNCONTROLLED, OURS, OURS_V2G, BOUND, BOUND_V2G = "uncontrolled", "ours", "ours-v2g", "bound", "bound-v2g"
NAMES = {
    UNCONTROLLED: "Uncontrolled",
    "first-come": "First come, first served",
    "edf": "Earliest departure first",
    "llf": "Least time to spare first",
    "round-robin": "In turns",
    OURS: "Yardmaster",
    OURS_V2G: "Yardmaster with V2G",
    BOUND: "Perfect foresight",
    BOUND_V2G: "Perfect foresight with V2G",
}
MEANINGS = {
    UNCONTROLLED: "every car charges at full power as soon as it is plugged in, whatever the fuses say",
    "first-come": "who came first charges first, as long as the circuits carry it",
    "edf": "who leaves first charges first",
    "llf": "who has the least time to spare charges first",
    "round-robin": "all cars share in turns",
    OURS: "plans with forecasts of what is still to come, as it would run in the box",
    OURS_V2G: "the same, and cars that may give energy back do so",
    BOUND: "one plan for the whole time that knows every arrival and price beforehand; nobody can do this, and nobody can do better",
    BOUND_V2G: "the same with energy back from the cars",
}
OTHER_NAMES = {
    "first-come-first-served": "first-come",
    "fcfs": "first-come",
    "first": "first-come",
    "earliest-deadline": "edf",
    "least-laxity": "llf",
    "robin": "round-robin",
    "roundrobin": "round-robin",
    "yardmaster": OURS,
    "v2g": OURS_V2G,
    "ours-with-v2g": OURS_V2G,
    "yardmaster-with-v2g": OURS_V2G,
    "yardmaster-v2g": OURS_V2G,
    "perfect": BOUND,
    "perfect-foresight": BOUND,
    "perfect-v2g": BOUND_V2G,
    "bound-with-v2g": BOUND_V2G,
    "perfect-foresight-v2g": BOUND_V2G,
    "perfect-foresight-with-v2g": BOUND_V2G,
}


def kind_of(policy: str) -> str:
    """The report's own word for a policy: ``OURS`` for "yardmaster" and so on, unknown names as they are."""
    plain = policy.strip().lower().replace("_", "-").replace(" ", "-")
    return OTHER_NAMES.get(plain, plain)


def name_of(policy: str) -> str:
    """What a policy is called in front of people (not yet escaped)."""
    return NAMES.get(kind_of(policy), policy)


def find(backtest: Backtest, kind: str) -> PolicyOutcome | None:
    """The first outcome of this kind, None when it was not run."""
    return next((outcome for outcome in backtest.policies if kind_of(outcome.policy) == kind), None)


def text(words: str) -> str:
    """Safe in HTML, between tags and in attributes."""
    return escape("".join(sign if sign.isprintable() or sign == GAP else " " for sign in words), quote=True)


def plain_unit(currency: str) -> str:
    """A currency as it may stand anywhere in a page: letters, figures and signs of money, no markup."""
    return "".join(sign for sign in currency if sign.isalnum() or sign in "\u20ac$\u00a3\u00a5.").strip()[:8] or "?"


def number(value: float, digits: int = 0) -> str:
    """With thousands and a real minus; never "-0"; an unknown number is a dash."""
    if not math.isfinite(value):
        return "\u2013"
    words = f"{abs(value):,.{digits}f}"
    return words if value >= 0 or not words.strip("0.,") else MINUS + words


def money(value: float, currency: str) -> str:
    """Whole units from 100 on, cents below."""
    return f"{number(value, 0 if abs(value) >= 99.995 else 2)}{GAP}{currency}"


def rate(value: float) -> str:
    """A price of a kWh: two to four figures after the point."""
    words = number(value, 4)
    return words[:-2] if words.endswith("00") else words.removesuffix("0")


def energy(value_wh: float) -> str:
    """In kWh; MWh from 100 MWh on."""
    kwh = value_wh / 1000.0
    if abs(kwh) >= 100_000.0:
        return f"{number(kwh / 1000.0)}{GAP}MWh"
    return f"{number(kwh, 0 if abs(kwh) >= 99.95 else 1)}{GAP}kWh"


def power(value_w: float) -> str:
    """In kW."""
    return f"{number(value_w / 1000.0, 0 if abs(value_w) >= 99_950.0 else 1)}{GAP}kW"


def percent(value: float) -> str:
    """Near 100 with more figures, so that 99.96 does not read as all."""
    digits = 2 if 99.0 <= value < 99.995 else 0 if abs(value) >= 99.995 else 1
    return f"{number(value, digits)}{GAP}%"


def hours(value_s: float) -> str:
    """ "0", "40 s", "25 min", "3.5 h", "120 h"."""
    if value_s <= 0:
        return "0"
    if value_s < 60.0:
        return f"{number(value_s)}{GAP}s"
    if value_s < 3600.0:
        return f"{number(value_s / 60.0)}{GAP}min"
    return f"{number(value_s / 3600.0, 1 if value_s < 360_000.0 else 0)}{GAP}h"


def zone_of(backtest: Backtest) -> tzinfo:
    """The site's time zone; UTC where the name is unknown."""
    try:
        return ZoneInfo(backtest.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def day_words(wall_s: float, zone: tzinfo) -> str:
    """ "Tue 5 March 2019"."""
    moment = datetime.fromtimestamp(wall_s, zone)
    return f"{DAYS[moment.weekday()]} {moment.day}{GAP}{MONTHS[moment.month]} {moment.year}"


def moment_words(wall_s: float, zone: tzinfo) -> str:
    """ "Tue 5 Mar 08:15"."""
    moment = datetime.fromtimestamp(wall_s, zone)
    return f"{DAYS[moment.weekday()]} {moment.day} {MONTHS[moment.month][:3]} {moment:%H:%M}"


def when_words(backtest: Backtest) -> str:
    """ "in March 2019" for a whole month, "from 1 May to 14 May 2019", "on 1 May 2019", "in 2019"; the end is exclusive."""
    words = span_words(backtest)
    return f"from {words}" if " to " in words else f"on {words}" if words.count(" ") == 2 else f"in {words}"


def span_words(backtest: Backtest) -> str:
    """The same without the "in"."""
    zone = zone_of(backtest)
    first, last = (datetime.fromtimestamp(wall_s, zone) for wall_s in (backtest.start_wall_s, max(backtest.start_wall_s, backtest.end_wall_s - 1.0)))
    after = datetime.fromtimestamp(max(backtest.start_wall_s, backtest.end_wall_s), zone)
    begins, ends = (first.hour, first.minute) == (0, 0), (after.hour, after.minute) == (0, 0) and after > first
    if begins and ends and first.day == 1 and after.day == 1:
        if (first.year, first.month) == (last.year, last.month):
            return f"{MONTHS[first.month]} {first.year}"
        if first.month == 1 and after.month == 1 and first.year == last.year:
            return str(first.year)
    if first.date() == last.date():
        return f"{first.day} {MONTHS[first.month]} {first.year}"
    year = f" {first.year}" if first.year != last.year else ""
    return f"{first.day} {MONTHS[first.month]}{year} to {last.day} {MONTHS[last.month]} {last.year}"
