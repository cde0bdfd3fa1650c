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

CALL, CALLRESULT, CALLERROR = 2, 3, 4


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: kind 2 (action, payload), 3 (payload) or 4 (error code in action, details in payload)."""

    kind: int
    message_id: str
    action: str
    payload: Payload


def read(text: str) -> Message | None:
    """The frame in ``text``, None if it is none a 2.0.1 peer knows."""
    try:
        match json.loads(text):
            case [2, str(message_id), str(action), dict(payload)]:
                return Message(CALL, message_id, action, payload)
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
