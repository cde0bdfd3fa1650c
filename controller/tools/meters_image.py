"""A device's registers in a file: what ``yardmaster meters record`` writes and ``replay`` serves.

The file is JSON: ``{"format": "yardmaster-registers", "version": 1, "device": ..., "unit": 1, "map": ..., "samples": [{"after_s": 0.0,
"holding": {"40000": [21365, 28243]}, "input": {}}], "unreadable": [[function, address, count]]}``; each key is the address of the first word
of a stretch. A sample holds all registers at one moment. Each sample is a line of its own and is on disk before the next one is asked for: of
a recording that was cut off everything but its last line is read.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from controller.tools.client import ToolError

FORMAT = "yardmaster-registers"
MAX_FILE_BYTES = 512 * 1024 * 1024
"""A week at a sample a second of a usual meter."""
MAX_LINE_BYTES = 64 * 1024 * 1024

Registers = dict[int, int]


class Table:
    """Registers as stretches: a recording of weeks has millions of them."""

    __slots__ = ("_runs", "_starts")

    def __init__(self, stretches: Mapping[str, Sequence[int]]) -> None:
        """Raises ValueError: an address or a register cannot be."""
        runs = sorted((int(start), array("H", _checked(words))) for start, words in stretches.items())
        if any(start < 0 or start + len(words) > 0x10000 for start, words in runs):
            raise ValueError("an address is not within 0..65535")
        if any(start + len(words) > after for (start, words), (after, _) in pairwise(runs)):
            raise ValueError("two stretches overlap")
        self._starts = array("l", (start for start, _ in runs))
        self._runs = tuple(words for _, words in runs)

    def get(self, address: int) -> int | None:
        """The word at an address; None = not recorded."""
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address - self._starts[at] >= len(self._runs[at]):
            return None
        return self._runs[at][address - self._starts[at]]

    def __len__(self) -> int:
        return sum(map(len, self._runs))


@dataclass(frozen=True, slots=True)
class Sample:
    """All registers at one moment, by function."""

    after_s: float
    tables: Mapping[int, Table]


@dataclass(slots=True)
class Recording:
    """A recorded device."""

    unit: int
    samples: list[Sample]
    device: str = ""
    map_name: str = ""


@dataclass(slots=True)
class Writer:
    """Writes a recording, sample by sample. unreadable: (function, address, count) the device refuses."""

    file: IO[str]
    unit: int
    device: str
    map_name: str
    count: int = 0
    unreadable: set[tuple[int, int, int]] = field(default_factory=set)

    def add(self, after_s: float, tables: Mapping[int, Registers]) -> None:
        """One more sample."""
        sample = {"after_s": round(after_s, 3), "holding": _stretches(tables[3]), "input": _stretches(tables[4])}
        self.file.write(("," if self.count else self._head()) + "\n" + json.dumps(sample, separators=(",", ":")))
        self.file.flush()
        self.count += 1

    def end(self) -> None:
        """No more samples."""
        self.file.write('\n],"unreadable":' + json.dumps(sorted(map(list, self.unreadable)), separators=(",", ":")) + "}\n")

    def _head(self) -> str:
        head = {"format": FORMAT, "version": 1, "device": self.device, "unit": self.unit, "map": self.map_name}
        return json.dumps(head, separators=(",", ":"))[:-1] + ',"samples":['


def load(path: Path) -> Recording:
    """A recording from its file. Raises ToolError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ToolError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; that is no register recording")
        with path.open(encoding="utf-8") as file:
            return _read(file)
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ToolError(f"{path} is no recording of yardmaster meters record ({type(error).__name__}: {error})") from None


def _read(file: IO[str]) -> Recording:
    """Line by line where each sample has one, else the whole file at once."""
    first = file.readline(MAX_LINE_BYTES)
    if not first.rstrip().endswith('"samples":['):
        return _parsed(json.loads(first + file.read(MAX_LINE_BYTES)))
    recording = _headed(json.loads(first + "]}"))
    recording.samples = list(_samples(file))
    return _whole(recording)


def _samples(file: IO[str]) -> Iterator[Sample]:
    """The samples of a file with one a line. The last line of a recording that was cut off is left out."""
    while line := file.readline(MAX_LINE_BYTES).strip():
        if line.startswith("]"):
            return
        try:
            data = json.loads(line.rstrip(","))
        except ValueError:
            if file.readline(1):
                raise
            return
        yield _sample(data)


def _parsed(data: Any) -> Recording:
    recording = _headed(data)
    recording.samples = [_sample(one) for one in data["samples"]]
    return _whole(recording)


def _headed(data: Any) -> Recording:
    if data["format"] != FORMAT or data["version"] != 1:
        raise ValueError(f"format {data['format']!r}, version {data['version']!r}")
    if not 0 <= int(data["unit"]) <= 255:
        raise ValueError(f"unit {data['unit']}")
    return Recording(int(data["unit"]), [], str(data.get("device", "")), str(data.get("map", "")))


def _sample(data: Any) -> Sample:
    return Sample(float(data["after_s"]), {3: Table(data["holding"]), 4: Table(data["input"])})


def _whole(recording: Recording) -> Recording:
    if not recording.samples:
        raise ValueError("it has no samples")
    if any(not before.after_s <= after.after_s for before, after in pairwise(recording.samples)) or not recording.samples[0].after_s >= 0:
        raise ValueError("its times go back")
    return recording


def _checked(words: Sequence[int]) -> Sequence[int]:
    if any(type(word) is not int or not 0 <= word <= 0xFFFF for word in words):
        raise ValueError("a register is not within 0..65535")
    return words


def _stretches(table: Mapping[int, int]) -> dict[str, list[int]]:
    """Registers as stretches without holes."""
    found: dict[str, list[int]] = {}
    start, last = "", -2
    for address in sorted(table):
        if address != last + 1:
            start = str(address)
            found[start] = []
        found[start].append(table[address])
        last = address
    return found
