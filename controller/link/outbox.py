"""Messages on disk that upstream has not acknowledged: which one goes next, which one is parked.

Order per transaction is a promise (P2): while the first message of a transaction waits for a
retry, later ones of the same transaction wait too; other transactions go on. A message that the
CSMS answers with an error is tried a number of times, the wait growing with each (E13, fault F22),
then parked: kept on disk, exportable, out of the way. A lost connection and silence are no attempts.

An outage may last for days, so only the texts at the head are in memory; of the others only number,
transaction and version. Texts come back from the disk page by page when their turn is near.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from controller.facts import OutboxRow

PAGE: Final = 16
"""Texts in memory per station, and read from the disk at a time: 16 of 1.2 kB are 20 KiB."""
LOAD_AGAIN_S: Final = 30.0
SILENT_RETRY_S: Final = 30.0


class _Slot(NamedTuple):
    """What is known of a row without its text. Rows of a kind share one object: a row costs a dict entry and its number."""

    transaction_id: str
    version: str
    values_of: str


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a refused message is sent in all, and the wait after the first refusal [s]."""

    attempts: int = 3
    interval_s: float = 30.0


class Outbox:
    """The queue of one station, oldest first. parked: how many have been given up; they are on disk only."""

    __slots__ = (
        "_asked",
        "_asked_mono_s",
        "_attempts",
        "_idle",
        "_not_before_mono_s",
        "_returned",
        "_rows",
        "_slots",
        "_texts",
        "_values",
        "_versions",
        "_waiting",
        "in_flight",
        "parked",
    )

    def __init__(self, rows: Iterable[OutboxRow] = ()) -> None:
        self._rows: dict[int, _Slot] = {}
        self._slots: dict[_Slot, _Slot] = {}
        self._texts: dict[int, OutboxRow] = {}
        self._waiting: Counter[str] = Counter()
        self._values: Counter[str] = Counter()
        self._versions: Counter[str] = Counter()
        self._attempts: dict[int, int] = {}
        self._not_before_mono_s: dict[int, float] = {}
        self._returned: set[int] = set()
        self._asked: tuple[int, ...] = ()
        self._asked_mono_s = 0.0
        self._idle: tuple[str, float] | None = None
        self.in_flight: int | None = None
        self.parked = 0
        self.add(sorted(rows, key=lambda row: row.number))

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, number: int) -> bool:
        return number in self._rows

    def transactions(self) -> set[str]:
        """Ids of transactions with messages waiting here, as the station calls them."""
        return set(self._waiting) - {""}

    def has(self, transaction_id: str) -> bool:
        """Whether messages of this transaction wait here."""
        return bool(transaction_id) and transaction_id in self._waiting

    def versions(self) -> list[str]:
        """Versions the waiting messages are written in; "" = not known."""
        return list(self._versions)

    def speaks(self, version: str) -> bool:
        """Whether any message waits that can go up in this version."""
        return version in self._versions or "" in self._versions

    # -- in and out ----------------------------------------------------------------------------------

    def add(self, rows: Iterable[OutboxRow]) -> None:
        """Rows that the journal has on disk now, in the order of their numbers. Parked ones are counted, not kept here."""
        for row in rows:
            if row.parked:
                self.parked += 1
            elif row.number not in self._rows:
                self._add(row)

    def _add(self, row: OutboxRow) -> None:
        slot = _Slot(row.transaction_id, row.version, row.values_of)
        # Only while everything before it is in memory too: texts are read in order, without holes.
        if row.text and len(self._texts) < PAGE and len(self._texts) == len(self._rows):
            self._texts[row.number] = row
        self._rows[row.number] = self._slots.setdefault(slot, slot)
        self._waiting[row.transaction_id] += 1
        self._versions[row.version] += 1
        self._idle = None
        if row.values_of:
            self._values[row.values_of] += 1
        if row.attempts:
            self._attempts[row.number] = row.attempts

    def returned(self, rows: Iterable[OutboxRow]) -> tuple[int, ...]:
        """Rows that were given up and shall be sent again, into their old place; the numbers of those that are.

        The disk may still show a row as parked that was returned, sent and forgotten a moment ago: it is not taken twice.
        """
        taken = [row for row in rows if row.number not in self._rows and row.number not in self._returned]
        for row in taken:
            self._add(replace(row, text="", attempts=0, parked=False))
        if taken:
            self._rows = dict(sorted(self._rows.items()))
        self._returned |= {row.number for row in taken}
        self.parked = max(0, self.parked - len(taken))
        return tuple(row.number for row in taken)

    def next(self, now_mono_s: float, version: str = "") -> OutboxRow | None:
        """The row to send now, marked in flight; None if one is in flight, none may go, or its text must be read first.

        version: what the CSMS speaks on this leg; rows written in another one wait for another leg.
        """
        if self.in_flight is not None or not self._rows:
            return None
        number = next(iter(self._ready(now_mono_s, version, 1)), None)
        row = self._texts.get(number) if number is not None else None
        if row is not None:
            self.in_flight = row.number
        return row

    def _ready(self, now_mono_s: float, version: str, count: int) -> list[int]:
        """The first rows that may go now, ``count`` at most, the following ones of a transaction included."""
        if self._idle is not None and self._idle[0] == version and now_mono_s < self._idle[1]:
            return []
        blocked: set[str] = set()
        found: list[int] = []
        for number, slot in self._rows.items():
            if slot.transaction_id in blocked or (version and slot.version not in ("", version)):
                continue
            if self._not_before_mono_s.get(number, now_mono_s) > now_mono_s:
                # An empty id is "no transaction": such messages do not wait for each other.
                blocked |= {slot.transaction_id} - {""}
                continue
            found.append(number)
            if len(found) >= count:
                break
        if not found:
            # Thousands of rows may stand behind one that waits for its retry: look again when that is due.
            self._idle = (version, min((due for due in self._not_before_mono_s.values() if due > now_mono_s), default=float("inf")))
        return found

    def before(self, number: int, version: str) -> set[str]:
        """Transactions with messages in front of a row that go up on the same leg."""
        found: set[str] = set()
        for earlier, slot in self._rows.items():
            if earlier >= number:
                break
            if not version or slot.version in ("", version):
                found.add(slot.transaction_id)
        return found - {"", self._rows[number].transaction_id}

    def put_off(self, number: int, now_mono_s: float) -> None:
        """A row that was to go now waits with those in front of it, until the first of these is due."""
        self._land(number)
        dues = [due for earlier, due in self._not_before_mono_s.items() if earlier < number and due > now_mono_s]
        self._not_before_mono_s[number] = min(dues, default=now_mono_s + SILENT_RETRY_S)
        self._idle = None

    def done(self, number: int) -> bool:
        """Upstream acknowledged the row. False if it is unknown (already gone)."""
        self._land(number)
        return self._remove(number)

    # -- texts ----------------------------------------------------------------------------------------

    def to_load(self, now_mono_s: float, version: str = "") -> tuple[int, ...]:
        """Rows whose text is to be read from the disk now; () if the next one is there, or is being read."""
        if self.in_flight is not None or len(self._texts) == len(self._rows):
            return ()
        if self._asked and now_mono_s - self._asked_mono_s < LOAD_AGAIN_S:
            return ()
        wanted = self._ready(now_mono_s, version, PAGE)
        if not wanted or wanted[0] in self._texts:
            return ()
        self._texts.clear()
        self._asked, self._asked_mono_s = tuple(wanted), now_mono_s
        return self._asked

    def loaded(self, asked: tuple[int, ...], rows: Iterable[OutboxRow]) -> tuple[int, ...]:
        """Texts read from the disk; returns rows that were asked for and are not there: damaged."""
        if asked != self._asked:
            return ()  # an answer to an older question
        self._asked = ()
        found = {row.number: row for row in rows if row.number in self._rows}
        self._texts.update(found)
        return tuple(number for number in asked if number in self._rows and number not in found)

    # -- refusals ----------------------------------------------------------------------------------------

    def failed(self, number: int, now_mono_s: float, retry: Retry) -> tuple[int, bool] | None:
        """Upstream answered with an error: (attempts so far, whether it is parked now); None if the row is gone."""
        self._land(number)
        if number not in self._rows:
            return None
        attempts = self._attempts.get(number, 0) + 1
        if attempts >= retry.attempts:
            self.park(number)
            return attempts, True
        self._attempts[number] = attempts
        self._not_before_mono_s[number] = now_mono_s + retry.interval_s * attempts
        return attempts, False

    def park(self, number: int) -> int | None:
        """Give a row up: it stays on disk for export. Returns its attempts so far, None if it is gone."""
        self._land(number)
        attempts = self._attempts.get(number, 0)
        if not self._remove(number):
            return None
        self.parked += 1
        self._returned.discard(number)
        return attempts

    def silent(self, number: int, now_mono_s: float) -> None:
        """Upstream did not answer in time: try again later. Silence is no verdict on the message."""
        self._land(number)
        if number in self._rows:
            self._not_before_mono_s[number] = now_mono_s + SILENT_RETRY_S

    # -- too many readings ------------------------------------------------------------------------------

    def thin(self, values_of: str, bound: int) -> tuple[int, ...]:
        """Leave every second reading of a group out if there are more than ``bound``; the newest stays (E12.FR.04)."""
        if self._values.get(values_of, 0) <= bound:
            return ()
        numbers = [number for number, slot in self._rows.items() if slot.values_of == values_of]
        gone = tuple(number for number in numbers[1:-1:2] if number != self.in_flight)
        for number in gone:
            self._remove(number)
        return gone

    # -- inside -----------------------------------------------------------------------------------------

    def _remove(self, number: int) -> bool:
        self._idle = None
        self._not_before_mono_s.pop(number, None)
        self._attempts.pop(number, None)
        self._texts.pop(number, None)
        slot = self._rows.pop(number, None)
        if slot is None:
            return False
        _take_one(self._waiting, slot.transaction_id)
        _take_one(self._versions, slot.version)
        if slot.values_of:
            _take_one(self._values, slot.values_of)
        if slot.transaction_id not in self._waiting:
            self._slots = {known: known for known in self._slots if known.transaction_id in self._waiting}
        return True

    def lost(self) -> None:
        """The connection is gone: whatever was in flight goes again, uncounted."""
        self.in_flight = None

    def _land(self, number: int) -> None:
        if self.in_flight == number:
            self.in_flight = None


def _take_one(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if counts[name] <= 0:
        del counts[name]
