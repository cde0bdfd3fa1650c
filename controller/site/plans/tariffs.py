"""The tariff of the site file as price books: what a kWh costs and earns when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.config import WEEKDAYS, PriceWindow, TariffConfig
from optimizer.prices import PriceBook, Season, windows_of


@dataclass(frozen=True, slots=True)
class Books:
    """Prices of bought and sold energy [currency/kWh]."""

    buy: PriceBook
    sell: PriceBook


def books_of(tariff: TariffConfig, timezone: str) -> Books:
    """The books of a tariff. timezone: the site's, IANA name."""
    seasons = tuple(
        Season(_windows(season.buy), _day(season.first_day), _day(season.last_day), frozenset(WEEKDAYS.index(day) for day in season.weekdays))
        for season in tariff.seasons
    )
    sell = _windows(tariff.sell) if tariff.sell else ((0, tariff.sell_per_kwh),)
    return Books(PriceBook((*seasons, Season(_windows(tariff.buy))), timezone), PriceBook((Season(sell),), timezone))


def _windows(windows: Iterable[PriceWindow]) -> tuple[tuple[int, float], ...]:
    return windows_of((window.start, window.price_per_kwh) for window in windows)


def _day(text: str) -> tuple[int, int]:
    month, day = text.split("-")
    return int(month), int(day)
