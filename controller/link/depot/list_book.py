"""The depot's copy of the local authorisation list, on disk, and which version of it each charger has.

Entries are kept in ``SHELVES`` parts by a hash of the token, so that a small update writes little. Kept: "list:head" -> {"version"},
"list:<shelf>" -> {token key: entry}, "list:last" -> the update that led to this version, "list:at:<station>" -> {"version": the
depot's, "own": the number by which the charger knows it}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from controller.link.auth_cache import token_key
from controller.link.local_list import spellings
from controller.ocpp.hub import Memory, Payload

SHELVES: Final = 256
HEAD: Final = "list:head"
LAST: Final = "list:last"
AT: Final = "list:at:"


class Book:
    """See the module. memory: of the face."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    @property
    def version(self) -> int:
        """Of the depot's list, 0 = none."""
        return int(self._memory.get(HEAD, {}).get("version", 0))

    def lookup(self, token: Payload) -> Payload | None:
        """idTokenInfo of a driver, however its kind of card is named."""
        for spelt in spellings(token):
            entry = self._memory.get(_shelf(token_key(spelt)), {}).get(token_key(spelt))
            if entry is not None and isinstance(entry.get("idTokenInfo"), dict):
                found: Payload = entry["idTokenInfo"]
                return found
        return None

    def size_after(self, entries: list[Payload], full: bool) -> int:
        """How many entries there are after an update, at most."""
        return sum(1 for entry in entries if "idTokenInfo" in entry) + (0 if full else sum(len(shelf) for shelf in self._shelves()))

    def update(self, version: int, entries: list[Payload], full: bool) -> Payload:
        """The CSMS's update; the caller writes it. Returns key -> value of the memory, as they were before."""
        before = self.version
        shelves: dict[str, dict[str, Payload]] = {}
        for entry in entries:
            key = token_key(entry["idToken"])
            shelf = shelves.setdefault(_shelf(key), {} if full else dict(self._memory.get(_shelf(key), {})))
            if "idTokenInfo" in entry:
                shelf[key] = entry
            else:
                shelf.pop(key, None)
        if full:
            for number in range(SHELVES):
                shelves.setdefault(f"list:{number:02x}", {})
        as_before = {name: self._memory.get(name) for name in (*shelves, HEAD, LAST)}
        for name, shelf in shelves.items():
            self._memory.put(name, shelf or None)
        self._memory.put(HEAD, {"version": version})
        self._memory.put(LAST, {"from": 0 if full else before, "to": version, "entries": [] if full else entries})
        return as_before

    # -- chargers ------------------------------------------------------------------------------------------

    def has(self, station_id: str) -> bool:
        """Whether a charger has the depot's version."""
        return bool(self._at(station_id)["version"] == self.version)

    def taken(self, station_id: str, version: int, own: int) -> None:
        """A charger has a version of the depot's list under a number of its own; 0 = nobody knows what it has."""
        self._memory.put(f"{AT}{station_id}", {"version": version, "own": own})

    def own(self, station_id: str) -> int:
        """The number by which a charger knows the list it has, 0 = nobody knows."""
        return int(self._at(station_id)["own"])

    def update_for(self, station_id: str, piece: int) -> Payload | None:
        """The last update, for a charger that has the version before; None if it needs the whole list."""
        last, at = self._memory.get(LAST, {}), self._at(station_id)
        if not at["version"] or last.get("from") != at["version"] or last.get("to") != self.version or len(last["entries"]) > piece:
            return None
        update: Payload = {"versionNumber": max(self.version, at["own"] + 1), "updateType": "Differential"}
        return {**update, "localAuthorizationList": last["entries"]} if last["entries"] else update

    def whole_for(self, piece: int) -> Iterator[Payload]:
        """The whole list as messages: Full, then as many updates as it takes. The last one has the depot's version where it can."""
        entries = [entry for shelf in self._shelves() for entry in shelf.values()]
        pieces = [entries[start : start + piece] for start in range(0, len(entries), piece)] or [[]]
        first = max(1, self.version - len(pieces) + 1)
        for index, part in enumerate(pieces):
            message: Payload = {"versionNumber": first + index, "updateType": "Differential" if index else "Full"}
            yield {**message, "localAuthorizationList": part} if part else message

    def largest(self) -> int:
        """How many entries the longest message to a charger could have."""
        return max(sum(len(shelf) for shelf in self._shelves()), len(self._memory.get(LAST, {}).get("entries", [])))

    def _at(self, station_id: str) -> Payload:
        found: Payload = self._memory.get(f"{AT}{station_id}", {"version": 0, "own": 0})
        return found

    def _shelves(self) -> Iterator[dict[str, Any]]:
        for number in range(SHELVES):
            yield self._memory.get(f"list:{number:02x}", {})


def _shelf(key: str) -> str:
    return f"list:{int(key[:8], 16) % SHELVES:02x}"
