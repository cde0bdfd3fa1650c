"""How a record of the tap looks on a terminal: one line, columns, colours, nothing a station wrote left unescaped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

LINK_KINDS: Final = {"OPENED": "connected", "CLOSED": "gone", "DIALLED": "dialled", "HANGUP": "hung up", "REFUSED": "refused"}
STATION_WIDTH = 8
SHORT_ID = 8

RESET: Final = "\x1b[0m"
DIM: Final = "\x1b[2m"
RED: Final = "\x1b[31m"
WAYS: Final = {"up": "\x1b[36m", "down": "\x1b[35m"}
YELLOW, BLUE, GREEN = "\x1b[33m", "\x1b[34m", "\x1b[32m"
DEEDS: Final = {"ours": YELLOW, "changed": YELLOW, "held": BLUE, "answered": GREEN, "translated": BLUE, "intercepted": GREEN, "dropped": RED}


class Lines:
    """Renders records. width: columns of the terminal, None = never cut. color: whether to use colours."""

    def __init__(self, *, color: bool = False, width: int | None = None) -> None:
        self._color = color
        self._width = width
        self._station_width = STATION_WIDTH

    def line(self, record: Mapping[str, Any]) -> str:
        """One record as one line without its end."""
        if "lost" in record:
            return self._painted(f"-- {record['lost']} records left out: this reader is too slow; use a filter --", RED)
        kind = str(record.get("kind", "?"))
        head: list[tuple[str, str]] = [(_clock(record.get("wall_s")), DIM), (self._station(record), ""), (f"{_arrow(record):<12}", "")]
        if kind in LINK_KINDS:
            return self._fit([*head, (f"{LINK_KINDS[kind]:<11}", DIM)], _link_words(record), DIM)
        did = str(record.get("did", ""))
        columns = [
            (f"{printable(kind):<6}", RED if kind in ("ERROR", "RESULTERROR", "BROKEN") else ""),
            (f"{printable(str(record.get('action') or '?')):<26}", WAYS.get(str(record.get("way")), "")),
            (f"{printable(str(record.get('id', '')))[:SHORT_ID]:<{SHORT_ID}}", DIM),
            (f"{printable(did):<11}", DEEDS.get(did, DIM)),
        ]
        return self._fit([*head, *columns], payload_text(record), "")

    def _station(self, record: Mapping[str, Any]) -> str:
        name = printable(str(record.get("station", "?")))
        self._station_width = min(24, max(self._station_width, len(name)))
        return f"{name:<{self._station_width}}"

    def _fit(self, columns: list[tuple[str, str]], tail: str, color: str) -> str:
        """The columns, and of the tail what the width leaves room for."""
        if self._width is not None:
            room = max(0, self._width - sum(len(text) + 1 for text, _ in columns))
            if len(tail) > room:
                tail = tail[: room - 1] + "…" if room > 1 else ""
        return " ".join(self._painted(text, color) for text, color in [*columns, (tail, color)]).rstrip()

    def _painted(self, text: str, color: str) -> str:
        return f"{color}{text}{RESET}" if self._color and color and text else text


def second_half(record: Mapping[str, Any]) -> bool:
    """Whether a record only says that a frame, already shown as relayed, went out at once on the other leg."""
    outgoing = (record.get("leg") == "station") == (record.get("way") == "down")
    return outgoing and record.get("did") == "relayed" and not record.get("waited_s")


def payload_text(record: Mapping[str, Any]) -> str:
    """What the frame says, compact; the text as it is where it is no frame."""
    text = str(record.get("text", ""))
    waited = f"(waited {record['waited_s']:.3f} s) " if record.get("waited_s") else ""
    try:
        frame = json.loads(text)
    except ValueError:
        return waited + printable(text)
    if not isinstance(frame, list) or len(frame) < 3:
        return waited + printable(text)
    if record.get("kind") in ("ERROR", "RESULTERROR"):
        code, description, details = [*frame[2:5], "", "", {}][:3] if len(frame) < 5 else frame[2:5]
        return printable(f"{waited}{code}: {description}" + (f" {_compact(details)}" if details else ""))
    return waited + printable(_compact(frame[-1]))


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _link_words(record: Mapping[str, Any]) -> str:
    words = [str(record.get("text", ""))]
    words += [f"{name} {_plain(record[name])}" for name in ("version", "path", "offered", "upstream", "code") if record.get(name)]
    return printable(", ".join(word for word in words if word))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _arrow(record: Mapping[str, Any]) -> str:
    """Who speaks to us, or to whom we speak."""
    leg, way = printable(str(record.get("leg", "?"))), record.get("way")
    return f"{leg} →" if (leg == "station") == (way == "up") else f"→ {leg}"


def _clock(wall_s: Any) -> str:
    try:
        return datetime.fromtimestamp(float(wall_s)).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except (TypeError, ValueError, OverflowError, OSError):
        return "??:??:??.???"


def printable(text: str) -> str:
    """Text that does nothing to a terminal: control and invisible characters are written as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)

