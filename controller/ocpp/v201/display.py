"""Texts for drivers of 2.1 in 2.0.1: no QR codes, 512 characters instead of 1024."""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import Payload
from controller.ocpp.v201.words import MAX_DISPLAY_CHARS

_TEXTS: Final = ("ASCII", "UTF8")


def plain_message(message: Any) -> Payload | None:
    """A messageContent; a QR code is told as what it holds. None if it is too long and would be broken when cut."""
    if not isinstance(message, dict):
        return None
    content, kind = str(message.get("content", "")), message.get("format")
    if kind == "QRCODE":
        kind = "URI" if "://" in content else "UTF8"
    if len(content) > MAX_DISPLAY_CHARS and kind not in _TEXTS:
        return None
    return {**message, "format": kind, "content": content[:MAX_DISPLAY_CHARS]}


def with_plain(holder: Payload, key: str) -> Payload:
    """The holder with the message under a key as 2.0.1 can show it, without it if it cannot."""
    if key not in holder:
        return holder
    message = plain_message(holder[key])
    rest = {name: value for name, value in holder.items() if name != key}
    return rest if message is None else {**rest, key: message}
