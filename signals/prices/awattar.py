"""aWATTar's ``/v1/marketdata``: {"object": "list", "data": [{"start_timestamp": ms, "end_timestamp": ms, "marketprice": 42.09, "unit": "Eur/MWh"}]}.

Net market prices of the German or Austrian zone, hourly or by the quarter hour, negative ones included. An empty list means that the market has
not closed yet.
"""

from __future__ import annotations

from signals.prices.json_text import list_of, object_of, read_json
from signals.prices.moments import Moments
from signals.prices.slots import Slot, Slots, number, per_kwh_factor, plausible, same_currency, tidy


def decode(body: bytes, currency: str | None = None) -> Slots:
    """Prices [currency/kWh]. currency: what the tariff is in. Raises PriceError."""
    answer = object_of(read_json(body), "the answer")
    rows = list_of(answer.get("data"), "data")
    return plausible(tidy(_slot(object_of(row, f"data.{index}"), f"data.{index}", currency) for index, row in enumerate(rows)), currency)


def _slot(row: dict[str, object], what: str, currency: str | None) -> Slot:
    unit, moments = row.get("unit"), Moments()
    if isinstance(unit, str) and "/" in unit:
        same_currency(unit.split("/")[0], currency)
    price = number(row.get("marketprice"), f"{what}.marketprice") * per_kwh_factor(unit, 0.001)
    start_s = moments.read(row.get("start_timestamp"), f"{what}.start_timestamp")
    return Slot(start_s, moments.read(row.get("end_timestamp"), f"{what}.end_timestamp"), price)
