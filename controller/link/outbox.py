"""Messages on disk that upstream has not acknowledged: which one goes next, which one is parked.

Order per transaction is a promise (P2): while the first message of a transaction waits for a
retry, later ones of the same transaction wait too; other transactions go on. A message that the
CSMS answers with an error is tried MAX_ATTEMPTS times, RETRY_S x attempts apart (E13, fault F22),
then parked: kept on disk, exportable, out of the way. A lost connection is not an attempt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from controller.facts import OutboxRow

MAX_ATTEMPTS = 3
RETRY_S = 30.0


class Outbox:
    """The queue of one station, oldest first."""

    def __init__(self, rows: Iterable[OutboxRow] = ()) -> None:
        self._rows: dict[int, OutboxRow] = {row.number: row for row in sorted(rows, key=lambda row: row.number)}
        self._not_before_mono_s: dict[int, float] = {}
        self.in_flight: int | None = None

    def __len__(self) -> int:
        return sum(1 for row in self._rows.values() if not row.parked)

    @property
    def parked(self) -> int:
        """Number of messages given up and kept."""
        return len(self._rows) - len(self)

    def transactions(self) -> set[str]:
        """Ids of transactions with messages waiting here."""
        return {row.transaction_id for row in self._rows.values() if row.transaction_id and not row.parked}

    def add(self, rows: Iterable[OutboxRow]) -> None:
        """Rows that the journal has on disk now."""
        for row in rows:
            self._rows[row.number] = row

    def next(self, now_mono_s: float) -> OutboxRow | None:
        """The row to send now and mark in flight; None if one is in flight or none may go."""
        if self.in_flight is not None:
            return None
        blocked: set[str] = set()
        for row in self._rows.values():
            if row.parked or row.transaction_id in blocked:
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
        self._not_before_mono_s.pop(number, None)
        return self._rows.pop(number, None) is not None

    def failed(self, number: int, now_mono_s: float) -> OutboxRow | None:
        """Upstream answered with an error or not at all: count it; the row as it now is (maybe parked)."""
        self._land(number)
        row = self._rows.get(number)
        if row is None:
            return None
        attempts = row.attempts + 1
        row = replace(row, attempts=attempts, parked=attempts >= MAX_ATTEMPTS)
        self._rows[number] = row
        self._not_before_mono_s[number] = now_mono_s + RETRY_S * attempts
        return row

    def lost(self) -> None:
        """The connection is gone: whatever was in flight goes again, uncounted."""
        self.in_flight = None

    def _land(self, number: int) -> None:
        if self.in_flight == number:
            self.in_flight = None
