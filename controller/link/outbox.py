"""Messages on disk that upstream has not acknowledged: which one goes next, which one is parked.

Order per transaction is a promise (P2): while the first message of a transaction waits for a
retry, later ones of the same transaction wait too; other transactions go on. A message that the
CSMS answers with an error is tried MAX_ATTEMPTS times, RETRY_S x attempts apart (E13, fault F22),
then parked: kept on disk, exportable, out of the way. A lost connection and silence are no attempts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from controller.facts import OutboxRow

MAX_ATTEMPTS = 3
RETRY_S = 30.0


class Outbox:
    """The queue of one station, oldest first."""

    def __init__(self, rows: Iterable[OutboxRow] = ()) -> None:
        self._rows: dict[int, OutboxRow] = {}
        self._waiting: Counter[str] = Counter()
        self._not_before_mono_s: dict[int, float] = {}
        self.in_flight: int | None = None
        self.parked = 0
        self.add(sorted(rows, key=lambda row: row.number))

    def __len__(self) -> int:
        return len(self._rows)

    def transactions(self) -> set[str]:
        """Ids of transactions with messages waiting here."""
        return set(self._waiting) - {""}

    def has(self, transaction_id: str) -> bool:
        """Whether messages of this transaction wait here."""
        return bool(transaction_id) and transaction_id in self._waiting

    def add(self, rows: Iterable[OutboxRow]) -> None:
        """Rows that the journal has on disk now. Parked ones stay on disk only: they are counted, not kept here."""
        for row in rows:
            if row.parked:
                self.parked += 1
            elif row.number not in self._rows:
                self._rows[row.number] = row
                self._waiting[row.transaction_id] += 1

    def next(self, now_mono_s: float) -> OutboxRow | None:
        """The row to send now and mark in flight; None if one is in flight or none may go."""
        if self.in_flight is not None:
            return None
        blocked: set[str] = set()
        for row in self._rows.values():
            if row.transaction_id in blocked:
                continue
            if self._not_before_mono_s.get(row.number, now_mono_s) > now_mono_s:
                # An empty id is "no transaction": such messages do not wait for each other.
                blocked |= {row.transaction_id} - {""}
                continue
            self.in_flight = row.number
            return row
        return None

    def done(self, number: int) -> bool:
        """Upstream acknowledged the row. False if it is unknown (already gone)."""
        self._land(number)
        return self._remove(number) is not None

    def failed(self, number: int, now_mono_s: float) -> OutboxRow | None:
        """Upstream answered with an error: count it; the row as it now is (maybe parked)."""
        self._land(number)
        row = self._rows.get(number)
        if row is None:
            return None
        row = replace(row, attempts=row.attempts + 1, parked=row.attempts + 1 >= MAX_ATTEMPTS)
        if row.parked:
            return self.park(number, row)
        self._rows[number] = row
        self._not_before_mono_s[number] = now_mono_s + RETRY_S * row.attempts
        return row

    def park(self, number: int, row: OutboxRow | None = None) -> OutboxRow | None:
        """Give a row up: it stays on disk for export. Returns it as it is to be kept."""
        self._land(number)
        known = self._remove(number)
        if known is None:
            return None
        self.parked += 1
        return replace(row or known, parked=True)

    def silent(self, number: int, now_mono_s: float) -> None:
        """Upstream did not answer in time: try again later. Silence is no verdict on the message."""
        self._land(number)
        if number in self._rows:
            self._not_before_mono_s[number] = now_mono_s + RETRY_S

    def _remove(self, number: int) -> OutboxRow | None:
        self._not_before_mono_s.pop(number, None)
        row = self._rows.pop(number, None)
        if row is not None:
            self._waiting[row.transaction_id] -= 1
            if not self._waiting[row.transaction_id]:
                del self._waiting[row.transaction_id]
        return row

    def lost(self) -> None:
        """The connection is gone: whatever was in flight goes again, uncounted."""
        self.in_flight = None

    def _land(self, number: int) -> None:
        if self.in_flight == number:
            self.in_flight = None
