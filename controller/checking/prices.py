"""Prices in a site file that only another unit explains: per MWh instead of per kWh, in cents, or in another currency than it says.

The bounds follow ``tariff.currency``: 10 EUR for a kWh is far beyond any tariff, 60 forints or 30 yen are not. Prices below 0 are legal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from controller.checking.problems import Problem, Where
from controller.config import Config, PriceWindow
from signals.prices.currencies import size_of

PER_KWH_MOST, PER_KW_MOST, PER_KG_MOST, MISSING_MOST = 10.0, 1000.0, 10.0, 1000.0
"""Of one kWh, of a kW of the highest import, of a kg of CO2, of a kWh that a car leaves without: in units of the size of a euro."""
PER_KWH_LEAST: Final = 0.001
"""Tariffs whose highest price is lower are told in another currency than they say; free energy is not."""
LARGE: Final = 3.0
"""Defaults are meant for currencies of the size of a euro; from this size on they are pointed out."""
Priced = tuple[Where, float, float, str]
"""(where, amount, most of it in units of the size of a euro, per what)."""


def price_problems(config: Config) -> Iterator[Problem]:
    """What cannot be a price."""
    currency = config.tariff.currency
    size = size_of(currency)
    for where, amount, most, per in _priced(config):
        if abs(amount) > most * size:
            bound = f"it is at most {most * size:g}, and at least -{most * size:g}"
            yield Problem(where, f"{amount:g} {currency} per {per} cannot be right: {bound}. {_hint(per)}; in another currency say tariff.currency")


def _hint(per: str) -> str:
    return "Give it per kWh, not per MWh, and not in cents" if per == "kWh" else "Check its unit, and that it is not in cents"


def _priced(config: Config) -> Iterator[Priced]:
    tariff = config.tariff
    yield from _windows(("tariff", "buy"), tariff.buy)
    yield from _windows(("tariff", "sell"), tariff.sell)
    for number, season in enumerate(tariff.seasons):
        yield from _windows(("tariff", "seasons", number, "buy"), season.buy)
    for name, market in (("market", tariff.market), ("sell_market", tariff.sell_market)):
        if market is not None:
            yield ("tariff", name, "plus_per_kwh"), market.plus_per_kwh, PER_KWH_MOST, "kWh"
    yield ("tariff", "sell_per_kwh"), tariff.sell_per_kwh, PER_KWH_MOST, "kWh"
    yield ("tariff", "demand_per_kw"), tariff.demand_per_kw, PER_KW_MOST, "kW"
    yield ("tariff", "co2_per_kg"), tariff.co2_per_kg, PER_KG_MOST, "kg"
    if tariff.missing_per_kwh is not None:
        yield ("tariff", "missing_per_kwh"), tariff.missing_per_kwh, MISSING_MOST, "kWh"
    if config.battery is not None:
        yield ("battery", "wear_per_kwh"), config.battery.wear_per_kwh, PER_KWH_MOST, "kWh"
    for station_number, station in enumerate(config.stations):
        for number, evse in enumerate(station.evses):
            if evse.v2g is not None:
                where: Where = ("stations", station_number, "evses", number, "v2g", "wear_per_kwh")
                yield where, evse.v2g.wear_per_kwh, PER_KWH_MOST, "kWh"


def _windows(where: Where, windows: Iterable[PriceWindow]) -> Iterator[Priced]:
    for number, window in enumerate(windows):
        yield (*where, number, "price_per_kwh"), window.price_per_kwh, PER_KWH_MOST, "kWh"


def price_cautions(config: Config) -> Iterator[Problem]:
    """Prices that are small for their currency, and defaults that are meant for another one."""
    tariff, size = config.tariff, size_of(config.tariff.currency)
    if size < LARGE:
        return
    highest = max(abs(window.price_per_kwh) for window in (*tariff.buy, *(one for season in tariff.seasons for one in season.buy)))
    if 0.0 < highest < PER_KWH_LEAST * size:
        message = f"no price is above {highest:g} {tariff.currency} per kWh, hardly anything; are they in another currency, or per Wh?"
        yield Problem(("tariff", "buy"), message)
    for where, amount in _unsaid(config):
        message = f"is {amount:g} {tariff.currency} per kWh by default, which is meant for euros; say what it is here"
        yield Problem(where, message)


def _unsaid(config: Config) -> Iterator[tuple[Where, float]]:
    tariff, battery = config.tariff, config.battery
    if "sell_per_kwh" not in tariff.model_fields_set and not tariff.sell:
        yield ("tariff", "sell_per_kwh"), tariff.sell_per_kwh
    if battery is not None and "wear_per_kwh" not in battery.model_fields_set:
        yield ("battery", "wear_per_kwh"), battery.wear_per_kwh
    for station_number, station in enumerate(config.stations):
        for number, evse in enumerate(station.evses):
            if evse.v2g is not None and "wear_per_kwh" not in evse.v2g.model_fields_set:
                yield ("stations", station_number, "evses", number, "v2g", "wear_per_kwh"), evse.v2g.wear_per_kwh
