"""What a hub message is in the line of a trunk: its rank, whom it replaces, and whose turn it shares."""

from __future__ import annotations

from typing import Any

from controller.link.talks import Then
from controller.link.turns import Job, Rank, rank_of
from controller.ocpp.hub import Message


def job_of(message: Message, then: Then, rank: Rank | None, key: tuple[Any, ...] | None, expendable: bool | None) -> Job:
    """The job of a message; None = as usual for its action (``Trunk.ask``)."""
    transaction_id, same = _event_of(message)
    return Job(
        message,
        rank_of(message.action) if rank is None else rank,
        [then],
        _usual_key(message) if key is None else key,
        same,
        transaction_id,
        _is_expendable(message) if expendable is None else expendable,
        len(str(message.payload)) if message.payload else 0,
    )


def _event_of(message: Message) -> tuple[str, tuple[Any, ...]]:
    """(transaction id, what names this very event) of a TransactionEvent; ("", ()) of anything else."""
    if message.action != "TransactionEvent":
        return "", ()
    info = message.payload.get("transactionInfo")
    transaction_id = info.get("transactionId") if isinstance(info, dict) else None
    if not isinstance(transaction_id, str) or not transaction_id:
        return "", ()
    return transaction_id, (transaction_id, message.payload.get("seqNo"), message.payload.get("eventType"))


def _usual_key(message: Message) -> tuple[Any, ...]:
    if message.action != "StatusNotification":
        return ()
    return ("StatusNotification", message.payload.get("evseId"), message.payload.get("connectorId"))


def _is_expendable(message: Message) -> bool:
    return message.action == "MeterValues" and "signedMeterValue" not in str(message.payload)
