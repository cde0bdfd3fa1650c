"""Numbers of the chargers' monitors in the depot: (station id, its own monitor id) <-> the depot's monitor id, kept on disk.

A charger's own monitors (hard wired, preconfigured) get their number when they are first heard of. A number is never given twice.
"""

from __future__ import annotations

from typing import Final

from controller.link.depot.office import Office

PREFIX: Final = "monitors:ids:"
MOST: Final = 5000
"""Of one charger: it names its monitors itself, and must not fill the disk with them. Those that were heard of first are forgotten first."""


class MonitorIds:
    """Memory: "monitors:ids:<station id>" -> {its id as text: our id}. Whoever makes a new number yields ``Keep`` before it is told."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of(self, station_id: str, their_id: int) -> int:
        """The depot's number of a charger's monitor, made if there is none yet."""
        known = self._office.memory.get(PREFIX + station_id, {})
        if str(their_id) in known:
            return int(known[str(their_id)])
        number = self._office.number()
        kept = dict(list(known.items())[1 - MOST :]) if len(known) >= MOST else known
        self._office.memory.put(PREFIX + station_id, {**kept, str(their_id): number})
        return number

    def at(self, number: int) -> tuple[str, int] | None:
        """(station id, its monitor id) behind a number of the depot; None = no charger's."""
        for station_id in self._office.cards:
            for theirs, ours in self._office.memory.get(PREFIX + station_id, {}).items():
                if ours == number:
                    return station_id, int(theirs)
        return None

    def forget(self, station_id: str, their_id: int) -> None:
        """The charger does not have it any more."""
        known = self._office.memory.get(PREFIX + station_id, {})
        left = {theirs: ours for theirs, ours in known.items() if theirs != str(their_id)}
        self._office.memory.put(PREFIX + station_id, left or None)
