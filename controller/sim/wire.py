"""The few words of OCPP-J the simulated neighbours speak, written apart from ``controller.ocpp``.

A simulated station that shared its reader and its clock words with the controller would share
its mistakes too. Time stamps are RFC 3339 in UTC with milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Payload = dict[str, Any]

CALL, CALLRESULT, CALLERROR, SEND = 2, 3, 4, 6


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: kind 2 or 6 (action, payload), 3 (payload) or 4 (error code in action)."""

    kind: int
    message_id: str
    action: str
    payload: Payload


def read(text: str) -> Message | None:
    """The frame in ``text``, None if it is none. A SEND (6) is a 2.1 word."""
    try:
        match json.loads(text):
            case [2 | 6 as kind, str(message_id), str(action), dict(payload)]:
                return Message(kind, message_id, action, payload)
            case [3, str(message_id), dict(payload)]:
                return Message(CALLRESULT, message_id, "", payload)
            case [4, str(message_id), str(code), *_]:
                return Message(CALLERROR, message_id, code, {})
    except ValueError:
        return None
    return None


def call(message_id: str, action: str, payload: Payload) -> str:
    """Text of a CALL."""
    return json.dumps([CALL, message_id, action, payload], separators=(",", ":"))


def send(message_id: str, action: str, payload: Payload) -> str:
    """Text of a SEND (2.1): nobody answers it."""
    return json.dumps([SEND, message_id, action, payload], separators=(",", ":"))


def result(message_id: str, payload: Payload) -> str:
    """Text of a CALLRESULT."""
    return json.dumps([CALLRESULT, message_id, payload], separators=(",", ":"))


def error(message_id: str, code: str, description: str = "") -> str:
    """Text of a CALLERROR."""
    return json.dumps([CALLERROR, message_id, code, description[:255], {}], separators=(",", ":"))


def iso(wall_s: float) -> str:
    """Unix seconds as an OCPP time stamp in UTC."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix(text: str) -> float:
    """Unix seconds of an OCPP time stamp; one without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def mark(action: str, payload: Payload) -> str | None:
    """What makes a transaction message the one it is, in every version and whoever retells it; None for other messages.

    1.6 numbers nothing and the id may change on the way: there it is the place and the moment. Raises KeyError,
    IndexError, TypeError for a message that lacks them.
    """
    match action:
        case "TransactionEvent":
            return f"{payload['transactionInfo']['transactionId']}#{payload['seqNo']}"
        case "StartTransaction":
            return f"start {payload['connectorId']} {payload['timestamp']}"
        case "StopTransaction":
            return f"stop {payload['timestamp']} {payload['meterStop']}"
        case "MeterValues" if "transactionId" in payload:
            return f"values {payload['connectorId']} {payload['meterValue'][0]['timestamp']}"
    return None
