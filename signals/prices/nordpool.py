"""Nord Pool's data portal, ``/api/DayAheadPrices``: one delivery day (CET) a request.

{"deliveryDateCET": "2026-11-20", "market": "DayAhead", "currency": "EUR", "areaStates": [{"state": "Final", "areas": ["SE3"]}],
"multiAreaEntries": [{"deliveryStart": "...Z", "deliveryEnd": "...Z", "entryPerArea": {"SE3": 61.69}}], ...}. Prices per MWh. A day that is not there
yet comes as an empty body (HTTP 204).
"""

from __future__ import annotations

from typing import Any

from signals.prices.json_text import list_of, object_of, read_json
from signals.prices.moments import Moments
from signals.prices.slots import PriceError, Slot, Slots, number, plausible, same_currency, scaled, tidy

PER_MWH = 0.001


def decode(body: bytes, area: str, currency: str | None = None) -> Slots:
    """Prices of an area [currency/kWh]; no slots for an empty body. Raises PriceError."""
    if not body.strip():
        return ()
    answer = object_of(read_json(body), "the answer")
    entries = [object_of(entry, "an entry") for entry in list_of(answer.get("multiAreaEntries"), "multiAreaEntries")]
    same_currency(answer.get("currency"), currency)
    areas = sorted({str(name) for entry in entries for name in _areas(entry)})
    if entries and area not in areas:
        raise PriceError(f"there is no area {area!r} in the answer; it has {', '.join(areas[:20]) or 'none'}")
    slots = (_slot(entry, area, index) for index, entry in enumerate(entries))
    return plausible(scaled(tidy(slot for slot in slots if slot is not None), PER_MWH), currency)


def _areas(entry: dict[str, Any]) -> dict[str, Any]:
    return object_of(entry.get("entryPerArea"), "entryPerArea")


def _slot(entry: dict[str, Any], area: str, index: int) -> Slot | None:
    """None for an hour in which the area has no price."""
    what, moments = f"multiAreaEntries.{index}", Moments()
    price = _areas(entry).get(area)
    if price is None:
        return None
    start_s = moments.read(entry.get("deliveryStart"), f"{what}.deliveryStart")
    return Slot(start_s, moments.read(entry.get("deliveryEnd"), f"{what}.deliveryEnd"), number(price, f"{what}.entryPerArea.{area}"))
