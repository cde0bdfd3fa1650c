"""Energy-Charts ``/price``: {"license_info": ..., "unix_seconds": [...], "price": [...], "unit": "EUR / MWh", "deprecated": false}.

Begins and prices in two lists of the same length, always in EUR; null where nothing is known. Hourly before, by the quarter hour since
October 2025. Days that are not there yet come as HTTP 404, or as empty lists.
"""

from __future__ import annotations

from typing import Any

from signals.prices.json_text import list_of, object_of, read_json
from signals.prices.moments import Moments
from signals.prices.slots import PriceError, Slots, chained, number, per_kwh_factor, plausible, same_currency, scaled, tidy

LONGEST_S = 3600.0
"""No slot of a day-ahead market is longer: a begin that is missing is a gap."""


def decode(body: bytes, currency: str | None = None) -> Slots:
    """Prices [currency/kWh]. Raises PriceError."""
    answer = object_of(read_json(body), "the answer")
    starts, prices = list_of(answer.get("unix_seconds"), "unix_seconds"), list_of(answer.get("price"), "price")
    if len(starts) != len(prices):
        raise PriceError(f"there are {len(starts)} times but {len(prices)} prices")
    unit = answer.get("unit")
    same_currency(unit.split("/")[0] if isinstance(unit, str) and "/" in unit else "EUR", currency)
    pairs = [(_moment(start, index), _price(price, index)) for index, (start, price) in enumerate(zip(starts, prices, strict=True))]
    return plausible(scaled(tidy(chained(pairs, LONGEST_S)), per_kwh_factor(unit, 0.001)), currency)


def _moment(value: Any, index: int) -> float:
    return Moments().read(value, f"unix_seconds.{index}")


def _price(value: Any, index: int) -> float | None:
    return None if value is None else number(value, f"price.{index}")
