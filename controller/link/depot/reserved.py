"""Which EVSE is kept for whom: the reservations the CSMS has made at this depot, on disk until they end (H01-H04).

Kept as "resv:<id>" -> {"station", "evse" (its own number), "floating" (made without EVSE), "request" (what the CSMS asked), "ends" (Unix time)}.
"""

from __future__ import annotations

from typing import Any, Final

from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Payload
from controller.ocpp.times import wall_time

KEY: Final = "resv:"


def reservation(office: Office, reservation_id: object) -> Payload | None:
    """What is kept of a reservation."""
    found = office.memory.get(f"{KEY}{reservation_id}")
    return found if isinstance(found, dict) else None


def reservations(office: Office) -> list[tuple[int, Payload]]:
    """(id, what is kept) of all."""
    return [(int(key[len(KEY) :]), value) for key, value in office.memory.starting(KEY)]


def keep(office: Office, station_id: str, evse_id: int, request: Payload, floating: bool) -> None:
    """A reservation stands at this EVSE; the caller writes it."""
    entry = {"station": station_id, "evse": evse_id, "floating": floating, "request": request, "ends": wall_time(request.get("expiryDateTime"))}
    office.memory.put(f"{KEY}{request['id']}", entry)


def end(office: Office, reservation_id: object) -> None:
    """It is over."""
    office.memory.put(f"{KEY}{reservation_id}", None)


def used(office: Office, event: Payload) -> None:
    """A TransactionEvent names the reservation it has used up; it is written with whatever is written next."""
    if isinstance(event.get("reservationId"), int):
        end(office, event["reservationId"])


def reserved_places(office: Office) -> set[tuple[str, int]]:
    """(station id, its own EVSE number) of everything that is reserved."""
    return {(value["station"], value["evse"]) for _, value in reservations(office)}


def reserved_for(office: Office, token: Any, group: Any = None) -> tuple[Card, int] | None:
    """The EVSE that is reserved for this driver or this group."""
    for _, value in reservations(office):
        if _same(value["request"].get("idToken"), token) or _same(value["request"].get("groupIdToken"), group):
            card = office.cards.get(value["station"])
            if card is not None:
                return card, value["evse"]
    return None


def _same(one: Any, other: Any) -> bool:
    """Compared without case, as the specification wants."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    return str(one.get("idToken", "")).lower() == str(other.get("idToken", "")).lower() and bool(one.get("idToken"))
