"""A depot of one 1.6, one 2.0.1 and one 2.1 charger with a CSMS of 2.1 above it, booted; and what a charger did when it was asked.

Built on ``depot_book``: real sessions, real sides, every frame checked against the schemas of its version. CP16 is EVSE 1, CP20 has the
EVSEs 2 and 3, CP21 is EVSE 4.
"""

from __future__ import annotations

from typing import Any

from controller.config import Config
from tests.support.depot_book import DepotBook, Payload, site

TOKEN = {"idToken": "AABBCCDD", "type": "ISO14443"}
UUID_A = "0f8fad5b-d9cb-469f-a165-70867728950e"
UUID_B = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def mixed(**depot: Any) -> Config:
    """The site. depot: fields of ``upstreams.depot``."""
    config = site(("CP16", "CP20", "CP21"), **depot).model_dump(mode="json", exclude_defaults=True)
    config["stations"][1]["evses"].append({"id": 2, "max_current_a": 63, "fallback_a": 6})
    return Config.model_validate(config)


def desk(version: str = "ocpp2.1", boot: bool = True, **depot: Any) -> DepotBook:
    """The depot, open, its chargers booted."""
    book = DepotBook(mixed(**depot), version=version, CP16="ocpp1.6", CP20="ocpp2.0.1", CP21="ocpp2.1")
    book.open()
    if boot:
        book.boot()
        book.wait(3)
    for told in book.down.values():
        told.clear()
    book.up.clear()
    return book


def asked(book: DepotBook, station: str, action: str) -> list[Payload]:
    """What a charger was asked of this kind."""
    return [payload for known, payload in book.down[station] if known == action]


def busy(book: DepotBook, station: str, evse_id: int = 1) -> None:
    """A car is plugged in."""
    book.status(station, "Preparing" if book.stations[station].version == "ocpp1.6" else "Occupied", evse_id)


def says(book: DepotBook, action: str, **answers: Payload) -> None:
    """What each charger answers to an action."""
    for station, answer in answers.items():
        book.station_says[station][action] = answer
