"""Transactions of OCPP 1.6: integers that the CSMS chooses in its answer to the start (OCPP-NOTES 4.2).

Between us an id is text, on the wire an integer. -1 is a transaction whose start never reached
anybody (16E 3.18). Ids written as "17" or 17.0 are understood; anything else names no transaction,
and such a message passes or waits like any other, unchanged (B28).
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

from controller.ocpp.dialect import Payload, TransactionEvent
from controller.ocpp.times import wall_time

MAX_ID: Final = 10**15
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}")
_INSIDE: Final = {"SetChargingProfile": "csChargingProfiles", "RemoteStartTransaction": "chargingProfile"}
"""Where a CALL names its transaction if not at the top."""


def id_text(value: Any) -> str | None:
    """A transaction id from the wire as text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return str(int(value)) if _DECIMAL.fullmatch(value.strip()) else None
    return str(int(value)) if -MAX_ID < value < MAX_ID and value == int(value) else None


def id_number(text: str) -> int | None:
    """A transaction id as the integer it has on the wire; None for one that is none, such as a 2.x id."""
    return int(text) if _DECIMAL.fullmatch(text) else None


def connector(payload: Payload) -> int:
    """connectorId, which is our EVSE id; 0 = the whole station, or not named."""
    value = payload.get("connectorId")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def event(action: str, payload: Payload) -> TransactionEvent | None:
    """Bookkeeping of StartTransaction, StopTransaction, and MeterValues with a transactionId.

    A start has an id only once the link has put the "transactionId" of its answer into the payload.
    """
    transaction_id = id_text(payload.get("transactionId")) if action in ("StartTransaction", "StopTransaction", "MeterValues") else None
    if action == "StartTransaction":
        return TransactionEvent(transaction_id or "", connector(payload), ended=False, started=True, key=_key(action, payload))
    if transaction_id is None:
        return None
    return TransactionEvent(transaction_id, connector(payload), ended=action == "StopTransaction", key=_key(action, payload))


def _key(action: str, payload: Payload) -> str:
    """Of what never changes in a repeat. A start and a stop happen once a moment; a reading may come in several messages.

    Hashed, as it is kept on disk and an idTag is nobody's business.
    """
    if action == "MeterValues":
        content: Any = payload
    elif wall_time(payload.get("timestamp")) is None:
        return ""  # without its time, the same words may be another transaction's
    else:
        names = ("connectorId", "idTag", "timestamp", "meterStart") if action == "StartTransaction" else ("transactionId", "timestamp", "meterStop")
        content = [payload.get(name) for name in names]
    text = json.dumps([action, content], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


# -- ids in messages -----------------------------------------------------------------------------------


def started_by_answer(action: str, result: Payload) -> str | None:
    """The id in the answer to a StartTransaction, whatever its number: 0 and below mean nothing (16E 3.54), but are seen."""
    return id_text(result.get("transactionId")) if action == "StartTransaction" else None


def of_command(action: str, payload: Payload) -> str | None:
    """The transaction in a RemoteStopTransaction or a charging profile."""
    inner = payload.get(_INSIDE.get(action, ""))
    holder = inner if isinstance(inner, dict) else payload
    return id_text(holder.get("transactionId"))


def with_id(action: str, payload: Payload, transaction_id: str) -> Payload:
    """The message with another id where it names one; unchanged if it names none or the id is no integer."""
    value, key = id_number(transaction_id), _INSIDE.get(action, "")
    inner = payload.get(key)
    if value is None:
        return payload
    if isinstance(inner, dict):
        return {**payload, key: {**inner, "transactionId": value}} if "transactionId" in inner else payload
    return {**payload, "transactionId": value} if "transactionId" in payload else payload
