"""A device's registers in a file: what ``yardmaster meters record`` writes and ``replay`` serves.

The file is JSON: ``{"format": "yardmaster-registers", "version": 1, "device": ..., "unit": 1, "map": ..., "samples": [{"after_s": 0.0,
"holding": {"40000": [21365, 28243]}, "input": {}}], "unreadable": [[function, address, count]]}``; each key is the address of the first word
of a stretch. A sample holds all registers at one moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.tools.client import ToolError

FORMAT = "yardmaster-registers"
MAX_FILE_BYTES = 64 * 1024 * 1024

Registers = dict[int, int]


@dataclass(slots=True)
class Sample:
    """All registers at one moment, by function."""

    after_s: float
    tables: dict[int, Registers] = field(default_factory=lambda: {3: {}, 4: {}})


@dataclass(slots=True)
class Recording:
    """A recorded device."""

    unit: int
    samples: list[Sample]
    device: str = ""
    map_name: str = ""
    unreadable: set[tuple[int, int, int]] = field(default_factory=set)

    def to_json(self) -> dict[str, Any]:
        """What goes into the file."""
        samples = [{"after_s": round(s.after_s, 3), "holding": _stretches(s.tables[3]), "input": _stretches(s.tables[4])} for s in self.samples]
        head = {"format": FORMAT, "version": 1, "device": self.device, "unit": self.unit, "map": self.map_name}
        return {**head, "unreadable": sorted(map(list, self.unreadable)), "samples": samples}


def load(path: Path) -> Recording:
    """A recording from its file. Raises ToolError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ToolError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; that is no register recording")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ToolError(f"{path} cannot be read: {error}") from None
    try:
        return _parsed(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolError(f"{path} is no recording of yardmaster meters record ({type(error).__name__}: {error})") from None


def _parsed(data: Any) -> Recording:
    if data["format"] != FORMAT or data["version"] != 1:
        raise ValueError(f"format {data['format']!r}, version {data['version']!r}")
    samples = [Sample(float(s["after_s"]), {3: _table(s["holding"]), 4: _table(s["input"])}) for s in data["samples"]]
    if not samples:
        raise ValueError("it has no samples")
    if not 0 <= int(data["unit"]) <= 255:
        raise ValueError(f"unit {data['unit']}")
    return Recording(int(data["unit"]), samples, str(data.get("device", "")), str(data.get("map", "")))


def _table(stretches: Mapping[str, Sequence[int]]) -> Registers:
    table = {int(start) + at: int(word) for start, words in stretches.items() for at, word in enumerate(words)}
    if any(not 0 <= address <= 0xFFFF or not 0 <= word <= 0xFFFF for address, word in table.items()):
        raise ValueError("an address or a register is not within 0..65535")
    return table


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
