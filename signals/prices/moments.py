"""Moments as feeds write them: ISO 8601, Unix seconds, Unix milliseconds.

A time without an offset is on the clock of the zone that is handed in. In the night the clock is set back an hour comes twice: such times
are read in their order, so the second 02:30 is the later one. A time the clock jumps over does not exist and refuses the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from signals.prices.slots import EARLIEST_S, LATEST_S, PriceError, number, shown

MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds: as seconds they would be after the year 5000."""
PLAIN_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")


class Moments:
    """Reads the times of one column in their order."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._last: datetime | None = None
        self._late = False

    def read(self, value: Any, what: str = "a time") -> float:
        """Unix seconds. Raises PriceError."""
        if isinstance(value, bool) or value is None:
            raise PriceError(f"{what} is {shown(value)}, not a time")
        if isinstance(value, int | float) or (isinstance(value, str) and PLAIN_NUMBER.match(value.strip())):
            return _unix(number(value, what), what)
        if not isinstance(value, str):
            raise PriceError(f"{what} is {shown(value)}, not a time")
        return _bounded(self._iso(value.strip(), what), what)

    def _iso(self, text: str, what: str) -> float:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise PriceError(f"{what} is {shown(text)}; write ISO 8601 with an offset, e.g. 2026-11-20T00:00:00Z, or Unix seconds") from None
        return moment.timestamp() if moment.tzinfo is not None else self._local(moment, what)

    def _local(self, moment: datetime, what: str) -> float:
        """A time on the zone's clock; the later one of two once it goes backwards (or stands) inside the hour that comes twice."""
        early, late = moment.replace(tzinfo=self._zone, fold=0), moment.replace(tzinfo=self._zone, fold=1)
        first_s, second_s = early.timestamp(), late.timestamp()
        if first_s == second_s:
            self._last, self._late = moment, False
            return first_s
        if second_s < first_s:  # the clock jumps over it
            raise PriceError(f"{what} {moment.isoformat()} does not exist on the clock of {self._zone}; write times with their offset")
        self._late = self._late or (self._last is not None and moment <= self._last)
        self._last = moment
        return second_s if self._late else first_s


def _unix(value: float, what: str) -> float:
    return _bounded(value / 1000.0 if abs(value) >= MILLISECONDS_FROM else value, what)


def _bounded(wall_s: float, what: str) -> float:
    if not EARLIEST_S <= wall_s <= LATEST_S:
        raise PriceError(f"{what} is {wall_s:g} s since 1970, not between the years 2000 and 2100")
    return wall_s


def local_days(wall_s: float, zone: tzinfo, offsets: Iterable[int]) -> list[tuple[datetime, datetime]]:
    """Begin and end of local days, by their distance from the one a moment lies in; days have 23, 24 or 25 hours."""
    today = datetime.fromtimestamp(wall_s, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return [(today + timedelta(days=days), today + timedelta(days=days + 1)) for days in offsets]
