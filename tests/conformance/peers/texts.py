"""Frames as texts: by PyPI ``ocpp``'s own serialiser, and by a hand that writes JSON as odd stations do.

Shares nothing with ``controller``. What is written here must arrive to the byte.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

from ocpp.charge_point import camel_to_snake_case, remove_nones, serialize_as_dict, snake_to_camel_case
from ocpp.messages import Call, CallResult

from tests.conformance.peers.bodies import FOLDERS


def call(version: str, message_id: str, action: str, payload: dict[str, Any]) -> tuple[str, bool]:
    """(text of a CALL as ``ocpp`` writes it, whether its dataclasses made the payload)."""
    made = _by_dataclass(version, "call", action, payload)
    body = payload if made is None else made
    return Call(message_id, action, body).to_json(), made is not None


def result(version: str, message_id: str, action: str, payload: dict[str, Any]) -> tuple[str, bool]:
    """(text of a CALLRESULT as ``ocpp`` writes it, whether its dataclasses made the payload)."""
    made = _by_dataclass(version, "call_result", action, payload)
    body = payload if made is None else made
    return CallResult(message_id, body).to_json(), made is not None


def _by_dataclass(version: str, module: str, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
    """The payload through ``ocpp``'s dataclass; None where its renaming would change it (OCPP-NOTES 16.16)."""
    kind = getattr(importlib.import_module(f"ocpp.{FOLDERS[version]}.{module}"), action, None)
    if kind is None:
        return None
    try:
        back: dict[str, Any] = snake_to_camel_case(remove_nones(serialize_as_dict(kind(**camel_to_snake_case(payload)))))
    except TypeError:
        return None
    return back if back == payload else None


class Hand:
    """Writes JSON by hand: spaces and line breaks anywhere, needless escapes, numbers in unusual spellings."""

    GAPS = ("", " ", "  ", "\t", " \r\n ", "")

    def __init__(self) -> None:
        self._turn = 0

    def _next(self, count: int) -> int:
        self._turn += 1
        return (self._turn * 7919 >> 2) % count

    def _gap(self) -> str:
        return self.GAPS[self._next(len(self.GAPS))]

    def frame(self, *parts: Any) -> str:
        """The text of an array of these elements."""
        return self.write(list(parts))

    def write(self, value: Any) -> str:
        """JSON text of a value."""
        if isinstance(value, dict):
            return self._join("{}", [f"{self._string(key)}{self._gap()}:{self._gap()}{self.write(part)}" for key, part in value.items()])
        if isinstance(value, list):
            return self._join("[]", [self.write(part) for part in value])
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, float):
            return self._real(value)
        return json.dumps(value)

    def _join(self, ends: str, parts: list[str]) -> str:
        inner = f"{self._gap()},{self._gap()}".join(parts)
        return f"{ends[0]}{self._gap()}{inner}{self._gap()}{ends[1]}"

    def _string(self, text: str) -> str:
        spelling = self._next(3)
        if spelling == 0:
            return json.dumps(text)
        if spelling == 1:
            return json.dumps(text, ensure_ascii=False).replace("/", "\\/")
        return json.dumps(text, ensure_ascii=False)

    def _real(self, value: float) -> str:
        plain = json.dumps(value)
        spellings = (plain, f"{value:.17e}", f"{plain}00" if "e" not in plain else plain)
        return spellings[self._next(3)]
