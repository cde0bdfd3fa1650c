"""The depot's own EVSE numbers: given once, kept on disk, never used for anything else (OCPP-NOTES 3.5, trap 26).

(station id, its own EVSE number) -> 1, 2, 3 ... in the order of ``site.yaml``; what is added later gets the next number. What
is taken out of ``site.yaml`` keeps its number and stays Unavailable; a box that is swapped under the same identity is the same EVSE.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from controller.facts import EvseKey
from controller.ocpp.hub import Memory

KEY: Final = "numbers"


class Numbering:
    """The numbers of one depot face. memory: the face's, holds {"numbers": [[station id, evse id], ...]} in order of number."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._known: list[EvseKey] = []
        self._numbers: dict[EvseKey, int] = {}

    def settle(self, evses: Iterable[EvseKey]) -> tuple[EvseKey, ...]:
        """Read what the memory holds and number what is new; returns the new ones. Raises ValueError when the memory cannot be read:
        numbering anew would give old numbers to other EVSEs."""
        stored: Any = self._memory.get(KEY, [])
        self._known = [EvseKey(str(station_id), int(evse_id)) for station_id, evse_id in stored]
        new = tuple(evse for evse in dict.fromkeys(evses) if evse not in set(self._known))
        self._known += new
        self._numbers = {evse: index for index, evse in enumerate(self._known, start=1)}
        self._memory.put(KEY, [[evse.station_id, evse.evse_id] for evse in self._known])
        return new

    def of(self, station_id: str, evse_id: int) -> int | None:
        """The depot's number of a station's EVSE; None for one this depot does not have."""
        return self._numbers.get(EvseKey(station_id, evse_id))

    def at(self, number: int) -> EvseKey | None:
        """The EVSE behind a number; None if there never was one."""
        return self._known[number - 1] if 1 <= number <= len(self._known) else None

    def of_station(self, station_id: str) -> tuple[int, ...]:
        """All numbers of a station, ascending."""
        return tuple(number for evse, number in self._numbers.items() if evse.station_id == station_id)

    def all(self) -> tuple[tuple[int, EvseKey], ...]:
        """(number, EVSE), ascending; those no longer in the site file included."""
        return tuple(enumerate(self._known, start=1))
