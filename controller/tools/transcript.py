"""Transcripts: what passed over the wires, as a file of JSON lines.

The first line is the header, what the tap's ``start`` event says: ``transcript`` (number of this format), ``site``,
``yardmaster`` (version that wrote it), ``wall_s``, ``mono_s``, ``wall_speed``, ``started`` (the same moment, ISO 8601, UTC) and
``stations``, how each was linked when the recording began. Every further line is one record of the tap; a
line ``{"lost": n}`` says that n records are missing here. Passwords and keys are "***" in it; id tokens of drivers
are not, so the file is readable by its owner only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from controller.tools.client import ToolError

FORMAT = 1
MAX_LINE_CHARS = 8 * 1024 * 1024

Record = Mapping[str, Any]


class TranscriptWriter:
    """Writes a new file; each record is handed to the system at once, so that a kill loses none. Raises ToolError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ToolError(f"{path} is there already; name another file, or remove it") from None
        except OSError as error:
            raise ToolError(f"{path} cannot be written ({error.strerror})") from None
        self._file: TextIO = os.fdopen(descriptor, "w", encoding="utf-8", newline="\n")

    def header(self, start: Record) -> None:
        """The first line. start: the tap's ``start`` event."""
        started = datetime.fromtimestamp(float(start["wall_s"]), UTC).isoformat(timespec="milliseconds")
        self._line({"transcript": FORMAT, "started": started, **{name: value for name, value in start.items() if name != "transcript"}})

    def record(self, record: Record) -> None:
        """One more line."""
        self._line(record)
        self.records += 1

    def _line(self, record: Record) -> None:
        try:
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as error:
            raise ToolError(f"{self.path} cannot be written any more ({error.strerror}); {self.records} records are in it") from None

    def close(self) -> None:
        """End the file; one in which nothing was written is removed."""
        empty = self._file.tell() == 0
        self._file.close()
        if empty:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole transcript. lost: records that are missing in it. cut: its last line is not whole."""

    header: Record
    records: list[Record] = field(default_factory=list)
    lost: int = 0
    cut: bool = False


def read_transcript(path: Path) -> Transcript:
    """The file's content. Raises ToolError naming the line that is wrong; a last line that was cut off is left out."""
    try:
        with path.open(encoding="utf-8") as file:
            return _read(path, file)
    except OSError as error:
        raise ToolError(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8, so it is no transcript") from None


def _read(path: Path, file: TextIO) -> Transcript:
    lines = _lines(path, file)
    _, header, _ = next(lines, (0, None, False))
    number = header.get("transcript") if header is not None else None
    if header is None or not isinstance(number, int):
        raise ToolError(f"{path} is no transcript: its first line should be a header as `yardmaster tap --record` writes it")
    if number > FORMAT:
        raise ToolError(f"{path} has transcript format {number}, this Yardmaster knows {FORMAT}; use a newer one")
    records: list[Record] = []
    lost, last_cut = 0, False
    for line, record, cut in lines:
        if cut:
            last_cut = True
        elif record is not None and "lost" in record:
            lost += int(record["lost"]) if isinstance(record["lost"], int) else 1
        elif record is not None:
            records.append(_checked(path, line, record))
    return Transcript(header, records, lost, last_cut)


def _lines(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any] | None, bool]]:
    """(line number, object, whether it was cut off at the end of the file); empty lines are left out."""
    number = 0
    while text := file.readline(MAX_LINE_CHARS):
        number += 1
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            if not text.endswith("\n") and len(text) < MAX_LINE_CHARS:
                yield number, None, True
                return
            raise ToolError(f"{path}, line {number} is no JSON; the file is damaged") from None
        if not isinstance(value, dict):
            raise ToolError(f"{path}, line {number} is no JSON object; the file is damaged")
        yield number, value, False


_NEEDED: dict[str, type | tuple[type, ...]] = {
    "wall_s": (int, float),
    "mono_s": (int, float),
    "station": str,
    "leg": str,
    "way": str,
    "kind": str,
    "text": str,
}


def _checked(path: Path, line: int, record: dict[str, Any]) -> Record:
    for name, kind in _NEEDED.items():
        if not isinstance(record.get(name), kind) or isinstance(record.get(name), bool):
            raise ToolError(f"{path}, line {line}: {name} is missing or of the wrong type")
    return record
