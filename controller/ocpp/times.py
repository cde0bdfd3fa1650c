"""OCPP timestamps, as lenient as stations need (16.8): fractions of any length, Z, offset or none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,12}))?\s*([Zz]|[+-]\d\d:?\d\d)?")


def wall_time(value: Any) -> float | None:
    """Unix seconds of a timestamp, None if it is none. No zone means UTC."""
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        offset = UTC if zone in (None, "Z", "z") else timezone(_offset(zone))
        base = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=offset)
    except ValueError:
        return None
    return base.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def clock_time(value: Any) -> float | None:
    """What a timestamp shows on a clock, in seconds as if it were UTC: its zone disregarded (2.1 useLocalTime, K01.FR.90). None if it is none."""
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    text = match.string
    return wall_time(text if match.group(8) is None else text[: match.start(8)])


def _offset(zone: str) -> timedelta:
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return timedelta(minutes=minutes if zone[0] == "+" else -minutes)


def timestamp(wall_s: float) -> str:
    """Unix seconds as UTC timestamp with milliseconds, e.g. 2026-11-21T16:00:00.000Z."""
    seconds, milliseconds = divmod(round(wall_s * 1000), 1000)  # rounded: cut, a time would lose a millisecond each time it is written anew
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds:03d}Z"
