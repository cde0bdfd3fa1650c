"""Where a transaction of the depot runs: which station, which EVSE, and what the station itself calls it."""

from __future__ import annotations

from dataclasses import dataclass

from controller.link.depot.asking import UNKNOWN_TX, Asking, Heard, ask_one, refused, relayed
from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Payload, Said


@dataclass(frozen=True, slots=True)
class Running:
    """A transaction. transaction_id: as the station's hub messages name it."""

    card: Card
    evse_id: int
    transaction_id: str


def running(office: Office, transaction_id: object) -> Running | None:
    """The transaction the CSMS calls so; None if it does not run here."""
    for card in office.cards.values():
        for evse_id, own_id in card.transactions.items():
            if up_id(office, card.station_id, own_id) == transaction_id:
                return Running(card, evse_id, own_id)
    return None


def up_id(office: Office, station_id: str, own_id: str) -> str:
    """What the CSMS calls a station's transaction."""
    return own_id


def ask_where(office: Office, transaction_id: object, action: str, payload: Payload) -> Asking[Heard | None]:
    """Ask the station of a transaction, ``transactionId`` in its own words; None if the transaction does not run here."""
    found = running(office, transaction_id)
    if found is None:
        return None
    return (yield from ask_one(found.card, action, {**payload, "transactionId": found.transaction_id}))


def answer_where(heard: Heard | None, transaction_id: object, no: str, unknown: str = "") -> Said:
    """The station's answer, or the action's "no"; unknown: its own status for an unknown transaction."""
    if heard is None:
        return refused(unknown or no, UNKNOWN_TX, f"no transaction {transaction_id} runs here")
    return relayed(heard, no)
