"""When a feed is asked next. Pure: the moment and a draw of luck are handed in."""

from __future__ import annotations

from dataclasses import dataclass

from controller.io.feeds.questions import published, tomorrow_ends

HASTE_S = 300.0
"""From the hour of publication on the market is asked this often, until tomorrow is there [s]."""
HASTE_FOR_S = 9 * 3600.0
"""... but no longer than this after it: then it was not published today, and the ordinary beat is enough [s]."""
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 20.0, 1800.0
LONGEST_RETRY_S = 6 * 3600.0
"""A server that wants to be left alone for longer is asked again after this [s]."""
SPREAD = 0.1
"""Beats differ by up to this part of them: thousands of sites must not ask in the same second."""
PUBLICATION_SPREAD_S = 240.0


@dataclass(frozen=True, slots=True)
class Record:
    """How a feed has done. failures: in a row. known_until_wall_s: end of what it told without a gap, None = nothing. retry_after_s: it asked for."""

    failures: int = 0
    known_until_wall_s: float | None = None
    retry_after_s: float = 0.0


def wait_s(now_wall_s: float, every_s: float, record: Record, day_ahead: bool, luck: float) -> float:
    """Seconds until the next look. luck: 0..1, drawn anew for each."""
    if record.failures:
        longest_s = max(FIRST_BACK_OFF_S, min(LONGEST_BACK_OFF_S, every_s * 4.0))
        back_off_s = min(longest_s, FIRST_BACK_OFF_S * 2.0 ** min(20, record.failures - 1))
        return max(min(record.retry_after_s, LONGEST_RETRY_S), back_off_s) * (1.0 + 2.0 * SPREAD * luck)
    ordinary_s = every_s * (1.0 + SPREAD * (2.0 * luck - 1.0))
    return min(ordinary_s, _until_market_s(now_wall_s, record, luck)) if day_ahead else ordinary_s


def _until_market_s(now_wall_s: float, record: Record, luck: float) -> float:
    """Seconds until tomorrow's prices may be there."""
    at_s = published(now_wall_s)
    if now_wall_s < at_s:
        return at_s - now_wall_s + luck * PUBLICATION_SPREAD_S
    known = record.known_until_wall_s is not None and record.known_until_wall_s >= tomorrow_ends(now_wall_s)
    if known or now_wall_s > at_s + HASTE_FOR_S:
        return float("inf")
    return HASTE_S * (0.75 + 0.5 * luck)
