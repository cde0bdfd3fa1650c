"""Where a transaction of the depot runs. All parts use the depot's transaction ids: the face puts the station's own in and takes them out."""

from __future__ import annotations

from controller.link.depot.asking import UNKNOWN_TX, Asking, Heard, ask_in_time, refused, relayed
from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Conversation, Message, Payload, Said


def running(office: Office, transaction_id: object) -> tuple[Card, int] | None:
    """(card, its own EVSE number) of a transaction that runs now; None if it does not."""
    for card in office.cards.values():
        for evse_id, own_id in card.transactions.items():
            if own_id == transaction_id:
                return card, evse_id
    return None


def station_of(office: Office, transaction_id: object) -> Card | None:
    """The station of a transaction that runs or ran; None for one nobody has told of."""
    found = running(office, transaction_id)
    if found is not None:
        return found[0]
    place = office.transactions.place(transaction_id) if isinstance(transaction_id, str) else None
    return office.cards.get(place.station_id) if place is not None else None


def ask_where(office: Office, transaction_id: object, action: str, payload: Payload) -> Asking[Heard | None]:
    """Ask the station of a transaction; None if nobody knows of it."""
    card = station_of(office, transaction_id)
    return (yield from ask_in_time(card, action, payload)) if card is not None else None


def answer_where(heard: Heard | None, transaction_id: object, no: str, unknown: str = "") -> Said:
    """The station's answer, or the action's "no"; unknown: its own status for an unknown transaction."""
    if heard is None:
        return refused(unknown or no, UNKNOWN_TX, f"no transaction {transaction_id} runs here")
    return relayed(heard, no)


def ask_its_station(office: Office, message: Message) -> Conversation:
    """The answer to a command that names a transaction: that of the transaction's station, Rejected if nobody knows of it."""
    transaction_id = message.payload.get("transactionId")
    heard = yield from ask_where(office, transaction_id, message.action, message.payload)
    return answer_where(heard, transaction_id, "Rejected")
