"""Tibber's GraphQL API: the customer's own prices, taxes included, of today and (after about 13:00) tomorrow.

``QUERY`` asks for quarter hours. The answer: {"data": {"viewer": {"homes": [{"id": ..., "currentSubscription": {"priceInfo": {"today":
[{"total": 0.3512, "startsAt": "2026-11-20T00:00:00.000+01:00", "currency": "EUR"}], "tomorrow": [...]}}}]}}}; ``priceInfoRange`` with its nodes
or edges is read, too. Prices per kWh. GraphQL reports errors inside an answer with status 200.
"""

from __future__ import annotations

import json
from typing import Any

from signals.prices.json_text import list_of, object_of, read_json
from signals.prices.moments import Moments
from signals.prices.slots import PriceError, Slots, chained, number, plausible, same_currency, shown, tidy

QUERY = (
    "{ viewer { homes { id currentSubscription { priceInfo(resolution: QUARTER_HOURLY) {"
    " today { total startsAt currency } tomorrow { total startsAt currency } } } } } }"
)
LONGEST_S = 3600.0
"""Tibber's slots are hours or quarter hours: a begin that is missing is a gap."""


def request_body() -> bytes:
    """The JSON of the request."""
    return json.dumps({"query": QUERY}, separators=(",", ":")).encode()


def decode(body: bytes, home: str | None = None, currency: str | None = None) -> Slots:
    """Prices [currency/kWh] of a home (None: the first one with a contract). Raises PriceError."""
    answer = object_of(read_json(body), "the answer")
    _errors(answer)
    viewer = object_of(object_of(answer.get("data"), "data").get("viewer"), "data.viewer")
    homes = list_of(viewer["homes"] if "homes" in viewer else [viewer.get("home")], "data.viewer.homes")
    contract = _contract(homes, home)
    rows = [row for name in ("priceInfo", "priceInfoRange") for row in _rows(contract.get(name), name)]
    starts: list[tuple[float, float | None]] = []
    for index, row in enumerate(rows):
        same_currency(row.get("currency"), currency)
        starts.append((Moments().read(row.get("startsAt"), f"price {index}.startsAt"), number(row.get("total"), f"price {index}.total")))
    return plausible(tidy(chained(starts, LONGEST_S)), currency)


def _errors(answer: dict[str, Any]) -> None:
    errors = answer.get("errors")
    if errors:
        first = errors[0] if isinstance(errors, list) else errors
        message = first.get("message") if isinstance(first, dict) else first
        raise PriceError(f"Tibber refuses the question: {shown(message)}; check token and home")


def _contract(homes: list[Any], wanted: str | None) -> dict[str, Any]:
    """The running contract of the home."""
    known = [home for home in homes if isinstance(home, dict)]
    if wanted is not None:
        known = [home for home in known if home.get("id") == wanted]
        if not known:
            raise PriceError(f"Tibber knows no home {wanted!r} for this token; leave home out for the first one")
    for home in known:
        contract = home.get("currentSubscription")
        if isinstance(contract, dict):
            return contract
    raise PriceError("Tibber tells no home with a running contract for this token")


def _rows(told: Any, what: str) -> list[dict[str, Any]]:
    """The prices of a priceInfo or priceInfoRange; null where there is none yet."""
    if told is None:
        return []
    told = object_of(told, what)
    lists = [told[name] for name in ("today", "tomorrow", "nodes") if told.get(name) is not None]
    if told.get("edges") is not None:
        lists.append([object_of(edge, f"{what}.edges").get("node") for edge in list_of(told["edges"], f"{what}.edges")])
    if isinstance(told.get("range"), dict):
        lists.append(_rows(told["range"], f"{what}.range"))
    return [object_of(row, what) for rows in lists for row in list_of(rows, what) if row is not None]
