"""Who may speak next on the one link of a whole site: ranks with a promise to the low ones, bounded.

One CALL is in flight for all stations together (P4 4.1.1), so each round trip is worth something. What money depends on goes
first; but each lower rank that waits is served after so many others at the latest, so nothing starves. What waits is a hub
message that has not been translated yet (a ``Job``) or a CALL of a translation that is under way (a ``Wired``). A newer
message replaces an older one of the same key; a message that is asked for twice is sent once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from controller.facts import Stamp
from controller.link.talks import Outcome, Then
from controller.ocpp.hub import Message, Payload, Reply

Run = Callable[[Stamp], "list[Outcome]"]


class Rank(IntEnum):
    """Order of service on a trunk: a lower number goes first."""

    TRANSACTION = 0
    SECURITY = 1
    STATUS = 2
    VALUES = 3
    HOUSEKEEPING = 4


_RANKS: Final = {
    "Authorize": Rank.TRANSACTION,  # a driver stands there
    "BootNotification": Rank.TRANSACTION,
    "TransactionEvent": Rank.TRANSACTION,
    "StartTransaction": Rank.TRANSACTION,
    "StopTransaction": Rank.TRANSACTION,
    "BatterySwap": Rank.TRANSACTION,
    "NotifySettlement": Rank.TRANSACTION,
    "SecurityEventNotification": Rank.SECURITY,
    "SignCertificate": Rank.SECURITY,
    "Get15118EVCertificate": Rank.SECURITY,
    "GetCertificateStatus": Rank.SECURITY,
    "GetCertificateChainStatus": Rank.SECURITY,
    "NotifyDERAlarm": Rank.SECURITY,
    "NotifyDERStartStop": Rank.SECURITY,
    "StatusNotification": Rank.STATUS,
    "NotifyEvent": Rank.STATUS,
    "NotifyEVChargingNeeds": Rank.STATUS,
    "NotifyChargingLimit": Rank.STATUS,
    "ClearedChargingLimit": Rank.STATUS,
    "ReservationStatusUpdate": Rank.STATUS,
    "ReservationStatusNotification": Rank.STATUS,
    "MeterValues": Rank.VALUES,
}

PATIENCE: Final = {Rank.TRANSACTION: 0, Rank.SECURITY: 8, Rank.STATUS: 12, Rank.VALUES: 16, Rank.HOUSEKEEPING: 24}
"""How many others may be served while one of this rank waits. So transactions keep at least 70 of 100 turns."""
MOST: Final = {Rank.TRANSACTION: 1024, Rank.SECURITY: 256, Rank.STATUS: 1024, Rank.VALUES: 512, Rank.HOUSEKEEPING: 512}
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of what waits in one rank; a single message may be larger."""


def rank_of(action: str) -> Rank:
    """The usual rank of an action, of the hub or of a wire."""
    return _RANKS.get(action, Rank.HOUSEKEEPING)


@dataclass(slots=True, eq=False)
class Job:
    """A hub message that waits to be translated and sent. key: a newer one of the same key takes its place, () = none.

    same: names the content; who asks for the same again joins, () = never. chain: one of a chain is under way at a time, "" = free.
    waiters: who gets the answer. expendable: it may be left out when there is no room. not_before_mono_s: it lets others go first until then.
    """

    message: Message
    rank: Rank
    waiters: list[Then]
    key: tuple[Any, ...] = ()
    same: tuple[Any, ...] = ()
    chain: str = ""
    expendable: bool = False
    size: int = 0
    not_before_mono_s: float = float("-inf")

    def answered(self, at: Stamp, reply: Reply) -> list[Outcome]:
        """Everybody who asked gets the reply."""
        waiters, self.waiters = self.waiters, []
        return [outcome for then in waiters for outcome in then(at, reply)]


@dataclass(slots=True, eq=False)
class Wired:
    """A CALL in the words of the wire. job: what it is part of, None = of a conversation of the CSMS or of the side itself."""

    action: str
    payload: Payload
    rank: Rank
    then: Then
    job: Job | None = None


@dataclass(slots=True)
class _Line:
    """What waits in one rank."""

    wired: deque[Wired] = field(default_factory=deque)
    jobs: deque[Job] = field(default_factory=deque)
    size: int = 0
    passed: int = 0


class Turns:
    """The queue of a trunk. most: how many may wait in each rank."""

    def __init__(self, most: dict[Rank, int] | None = None, most_bytes: int = MOST_BYTES) -> None:
        self._most = {**MOST, **(most or {})}
        self._most_bytes = most_bytes
        self._lines = {rank: _Line() for rank in Rank}
        self._busy: set[str] = set()
        self._under_way: list[Job] = []

    def __len__(self) -> int:
        return sum(len(line.wired) + len(line.jobs) for line in self._lines.values())

    def waiting(self) -> dict[Rank, int]:
        """How many wait in each rank."""
        return {rank: len(line.wired) + len(line.jobs) for rank, line in self._lines.items()}

    def chained(self, chain: str) -> int:
        """How many messages of a chain wait or are under way."""
        return sum(job.chain == chain for job in self._all()) if chain else 0

    def chains(self) -> dict[str, int]:
        """Chain -> how many of its messages wait or are under way."""
        counts: dict[str, int] = {}
        for job in self._all():
            if job.chain:
                counts[job.chain] = counts.get(job.chain, 0) + 1
        return counts

    def _all(self) -> list[Job]:
        return [*self._under_way, *(job for line in self._lines.values() for job in line.jobs)]

    # -- in ------------------------------------------------------------------------------------------

    def offer(self, job: Job) -> tuple[bool, list[Job]]:
        """Queue a job, or let it join or replace one. (taken, what went for it): False = no room; the caller answers both."""
        if self._joined(job):
            return True, []
        line = self._lines[job.rank]
        gone = self._make_room(line, job)
        if line.jobs and self._full(line, job):
            return False, gone
        line.jobs.append(job)
        line.size += job.size
        return True, gone

    def _joined(self, job: Job) -> bool:
        if job.same:
            for other in self._under_way:
                if other.same == job.same:
                    other.waiters += job.waiters
                    return True
        if not job.same and not job.key:
            return False
        line = self._lines[job.rank]
        for other in line.jobs:
            if (job.same and other.same == job.same) or (job.key and other.key == job.key):
                line.size += job.size - other.size
                other.message, other.size = job.message, job.size
                other.waiters += job.waiters
                return True
        return False

    def _full(self, line: _Line, job: Job) -> bool:
        return len(line.jobs) >= self._most[job.rank] or line.size + job.size > self._most_bytes

    def _make_room(self, line: _Line, job: Job) -> list[Job]:
        gone: list[Job] = []
        while line.jobs and self._full(line, job):
            oldest = next((other for other in line.jobs if other.expendable), None)
            if oldest is None:
                break
            line.jobs.remove(oldest)
            line.size -= oldest.size
            gone.append(oldest)
        return gone

    def push(self, wired: Wired) -> None:
        """Queue a CALL of something under way: before all jobs of its rank."""
        self._lines[wired.rank].wired.append(wired)

    # -- out -----------------------------------------------------------------------------------------

    def take(self, *, jobs: bool = True, now_mono_s: float = 0.0) -> Job | Wired | None:
        """What goes next; a job is under way then, until ``ended``. jobs False: only CALLs of what is under way."""
        ready = {rank: item for rank, line in self._lines.items() if (item := self._head(line, jobs, now_mono_s)) is not None}
        if not ready:
            return None
        rank = self._choice(ready)
        for other in ready:
            self._lines[other].passed += 1
        line, item = self._lines[rank], ready[rank]
        line.passed = 0
        if isinstance(item, Wired):
            line.wired.popleft()
        else:
            line.jobs.remove(item)
            line.size -= item.size
            self._under_way.append(item)
            self._busy |= {item.chain} - {""}
        return item

    def _choice(self, ready: dict[Rank, Job | Wired]) -> Rank:
        """The highest rank, unless a lower one has been passed over often enough; then the one that was so the longest."""
        due = [rank for rank in ready if rank and self._lines[rank].passed >= PATIENCE[rank]]
        return max(due, key=lambda rank: self._lines[rank].passed - PATIENCE[rank]) if due else min(ready)

    def _head(self, line: _Line, jobs: bool, now_mono_s: float) -> Job | Wired | None:
        if line.wired:
            return line.wired[0]
        if not jobs:
            return None
        put_off: set[str] = set()
        for job in line.jobs:
            if job.not_before_mono_s > now_mono_s:
                put_off.add(job.chain)  # its chain stays in order
            elif job.chain not in self._busy and (not job.chain or job.chain not in put_off):
                return job
        return None

    def ended(self, job: Job) -> None:
        """A job is done: the next of its chain may go."""
        if job in self._under_way:
            self._under_way.remove(job)
            self._busy.discard(job.chain)

    def drain(self) -> tuple[list[Wired], list[Job]]:
        """The link is gone: all CALLs and all jobs that wait, in order of rank. What is under way ends by itself."""
        wired = [item for line in self._lines.values() for item in line.wired]
        jobs = [job for line in self._lines.values() for job in line.jobs]
        self._lines = {rank: _Line() for rank in Rank}
        return wired, jobs
