"""Transaction ids of the whole depot: unique for ever under its one identity (E01.FR.08, trap 26).

A station's own id is kept where it is long enough to be drawn at random, as every UUID is; then nothing has to be translated. A
short one (a counter), one that another station of this depot has used and one that its station uses a second time get a new
UUID, which is on disk before the CSMS hears it. The replacement is made for every message of the station and undone in
every message to it, in all places called ``transactionId``; parts need not care.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from controller.ocpp.hub import Memory, Payload

RANDOM_LETTERS: Final = 20
"""An id of so many letters is taken for one that is drawn at random."""
KEPT: Final = 5000
"""Ended transactions that are remembered; an id that comes again after so many others counts as new."""
BY_ID: Final = "tx:"
BY_OWN: Final = "txof:"


class Place(NamedTuple):
    """Where a transaction runs or ran: station, its own id of it, its own EVSE number (0 = not said yet)."""

    station_id: str
    own_id: str
    evse_id: int


class Transactions:
    """All transactions of a depot. memory: of the face. fresh: a new UUID."""

    def __init__(self, memory: Memory, fresh: Callable[[], str]) -> None:
        self._memory = memory
        self._fresh = fresh
        self._replaced = {key.removeprefix(BY_OWN).split("/", 1)[0] for key, _ in memory.starting(BY_OWN)}
        self._number = max((entry["number"] for _, entry in memory.starting(BY_ID)), default=0)

    def of_depot(self, station_id: str, own_id: str) -> str:
        """How the CSMS calls a transaction of a station; the id itself if it is not known or not replaced."""
        return str(self._memory.get(f"{BY_OWN}{station_id}/{own_id}", own_id)) if station_id in self._replaced else own_id

    def place(self, depot_id: str) -> Place | None:
        """Where a transaction of the CSMS runs or ran; None for one nobody has told of."""
        entry = self._memory.get(BY_ID + depot_id)
        return Place(entry["station"], entry["own"], entry["evse"]) if entry is not None else None

    def running(self) -> tuple[tuple[str, Place], ...]:
        """(the depot's id, place) of those that have not ended, in the order they became known."""
        items = sorted(self._memory.starting(BY_ID), key=_age)
        return tuple((key.removeprefix(BY_ID), Place(entry["station"], entry["own"], entry["evse"])) for key, entry in items if not entry["ended"])

    def heard(self, station_id: str, own_id: str, started: str, evse_id: int) -> str:
        """A TransactionEvent of a station. started: timestamp of its Started event, "" for any other. Returns the depot's id.

        The caller keeps the memory before it tells the CSMS of a transaction that is new (``Memory.changed``).
        """
        depot_id = self.of_depot(station_id, own_id)
        entry = self._memory.get(BY_ID + depot_id)
        if entry is not None and (entry["station"], entry["own"]) == (station_id, own_id) and not _another(entry, started):
            return self._note(depot_id, entry, started, evse_id)
        if entry is not None or len(own_id) < RANDOM_LETTERS:
            depot_id = self._fresh()
            self._memory.put(f"{BY_OWN}{station_id}/{own_id}", depot_id)
            self._replaced.add(station_id)
        self._number += 1
        entry = {"station": station_id, "own": own_id, "evse": evse_id, "started": started, "ended": False, "number": self._number}
        self._memory.put(BY_ID + depot_id, entry)
        return depot_id

    def _note(self, depot_id: str, entry: Payload, started: str, evse_id: int) -> str:
        news = {**entry, "evse": evse_id or entry["evse"], "started": started or entry["started"]}
        self._memory.put(BY_ID + depot_id, news)
        return depot_id

    def ended(self, depot_id: str) -> None:
        """Its last message has been taken by the CSMS."""
        entry = self._memory.get(BY_ID + depot_id)
        if entry is not None:
            self._memory.put(BY_ID + depot_id, {**entry, "ended": True})

    def trim(self) -> None:
        """Forget the oldest ended ones beyond ``KEPT``."""
        over = [key for key, entry in sorted(self._memory.starting(BY_ID), key=_age) if entry["ended"]][:-KEPT]
        for key in over:
            entry = self._memory.get(key)
            self._memory.put(key, None)
            own = f"{BY_OWN}{entry['station']}/{entry['own']}"
            if self._memory.get(own) == key.removeprefix(BY_ID):
                self._memory.put(own, None)

    # -- whole messages ----------------------------------------------------------------------------------

    def up(self, station_id: str, payload: Payload) -> Payload:
        """A station's message with the depot's transaction ids."""
        if station_id not in self._replaced:
            return payload
        changed: Payload = _each(payload, lambda own_id: self.of_depot(station_id, own_id))
        return changed

    def down(self, payload: Payload) -> Payload:
        """A message to a station with the station's own transaction ids."""
        if not self._replaced:
            return payload
        changed: Payload = _each(payload, self._own)
        return changed

    def _own(self, depot_id: str) -> str:
        place = self.place(depot_id)
        return place.own_id if place is not None else depot_id


def _age(item: tuple[str, Payload]) -> int:
    """The order in which transactions became known: a memory that was read from the disk has another one."""
    number: int = item[1]["number"]
    return number


def _another(entry: Payload, started: str) -> bool:
    """Whether a Started event means another transaction than the one that is known by this id."""
    return bool(started) and started != entry["started"] and (bool(entry["started"]) or entry["ended"])


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: change(item) if key == "transactionId" and isinstance(item, str) else _each(item, change) for key, item in value.items()}
    return [_each(item, change) for item in value] if isinstance(value, list) else value
