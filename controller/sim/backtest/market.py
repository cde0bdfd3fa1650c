"""A day-ahead market in virtual time: tells the controller the prices of the case as a feed would, each day's after they are published.

At the start today is known; from 13:00 of the site's clock on tomorrow is, too. The controller meets them where it meets them in the field, in
``site.series``: what is not published yet it has to assume from its tariff.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from controller.facts import SeriesKind, SeriesTold, Stamp
from controller.sim.backtest.case import Case
from controller.sim.backtest.series import Series, local, midnight
from controller.site.plans.series import source_of
from optimizer.forecast import zone_of

PUBLISHED_HOUR = 13


class Market:
    """Tells what there is to tell; nothing for a tariff that was known all along."""

    def __init__(self, case: Case, timezone: str) -> None:
        self._prices, self._zone = case.prices, zone_of(timezone)
        self._known_s = case.start_wall_s if case.prices.market else float("inf")

    def look(self, at: Stamp) -> Iterator[SeriesTold]:
        """What has been published since the last look."""
        now = local(at.wall_s, self._zone)
        days = 2 if now.hour >= PUBLISHED_HOUR else 1
        until_s = midnight(now.date() + timedelta(days=days), self._zone)
        if until_s <= self._known_s:
            return
        begin_s, self._known_s = self._known_s, until_s
        for kind, key, series in ((SeriesKind.BUY, "market", self._prices.buy), (SeriesKind.SELL, "sell_market", self._prices.sell)):
            yield SeriesTold(at, kind, source_of(key), tuple(stretches(series, begin_s, until_s)))


def stretches(series: Series, begin_s: float, end_s: float) -> Iterator[tuple[float, float, float]]:
    """The steps of a series between two moments."""
    at_s = begin_s
    while at_s < end_s:
        next_s = min(end_s, series.next_edge(at_s))
        yield at_s, next_s, series.at(at_s)
        at_s = next_s
