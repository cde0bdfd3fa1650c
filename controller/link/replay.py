"""The queue on its way up: row by row, under the CSMS's transaction ids, until it has taken or refused each.

A row goes as it was stored, but for its message id and, in 1.6, the transaction id the CSMS has
given since. What an answer settles is on disk before the row may leave it: first the id, then the
deletion. Refused rows are repeated as the station is configured to (E13) and then parked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from controller.config import UpstreamConfig
from controller.facts import Fact, OutboxRow, Stamp
from controller.link.outbox import Outbox, Retry
from controller.link.transaction_ids import TransactionIds
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, RetryRules, TransactionEvent
from controller.orders import ForgetRows, LoadRows, Order, Persist, Severity, Tell, UpdateRow

Outcome = Order | Fact
Payload = dict[str, Any]

SPACE: Final = "outage"
"""Journal space of what a station's queue must not forget: transaction ids and retry rules."""
REPLAYS_PER_SECOND: Final = 5
"""Rows of one station, so that a CSMS that is back is not flooded; every new row that has to queue brings a turn of its own."""
MOST_TURNS: Final = 100
ATTEMPTS: Final = range(1, 101)
LONGEST_RETRY_S: Final = 3600.0


MayFollow = Callable[[TransactionEvent, Iterable[str]], bool]
"""(a start, transactions queued in front of it) -> whether it may pass them: it is known to be of another EVSE."""


@dataclass(frozen=True, slots=True)
class OurRow:
    """An outbox row in flight. request: its payload as sent; transaction_id: as the station calls it."""

    number: int
    action: str
    request: Payload
    transaction_id: str
    key: str


class Replay:
    """The outbox of one station and everything that is needed to empty it."""

    __slots__ = (
        "_newest",
        "_of_site",
        "_of_station",
        "_offline_up_to",
        "_online",
        "_queued_values",
        "_second",
        "_thinned",
        "_turns",
        "ids",
        "may_follow",
        "outbox",
        "station_id",
    )

    def __init__(self, station_id: str, upstream: UpstreamConfig | None) -> None:
        self.station_id = station_id
        self.outbox = Outbox()
        self.ids = TransactionIds()
        self.may_follow: MayFollow = lambda event, waiting: False
        self._of_station = RetryRules(None, None)
        self._thinned = 0
        self.rewire(upstream)
        self._second = -1
        self._turns = 0
        self._online = False
        self._newest = self._offline_up_to = 0

    def rewire(self, upstream: UpstreamConfig | None) -> None:
        """From now on the queue is this CSMS's."""
        self._of_site = Retry(upstream.message_attempts, upstream.message_retry_s) if upstream is not None else Retry()
        self._queued_values = upstream.queued_values if upstream is not None else 0

    # -- memory ------------------------------------------------------------------------------------

    def restore(self, rows: tuple[OutboxRow, ...], memory: Any) -> list[Outcome]:
        """What the journal remembered: queued messages, oldest first, and ``memory``."""
        outcomes: list[Outcome] = []
        if memory is not None:
            try:
                self.ids.load(memory["ids"])
                attempts, interval_s = memory["retry"]
                self._learn(RetryRules(attempts, interval_s))
                self._thinned = int(memory.get("thinned", 0))
            except (AttributeError, KeyError, TypeError, ValueError):
                text = "remembered transaction ids cannot be read - transactions started without the CSMS go up with id -1"
                outcomes.append(Tell(Severity.WARNING, self.station_id, text))
        # Between the two writes of a settled start power may fail: the id is on disk, the row is still there.
        settled = tuple(row.number for row in rows if row.key and row.key == self.ids.key_of(row.transaction_id))
        self.outbox.add(row for row in rows if row.number not in settled)
        self._newest = max((row.number for row in rows), default=0)
        return [*outcomes, *([ForgetRows(settled)] if settled else [])]

    def memory(self) -> dict[tuple[str, str], Any]:
        """For ``Persist.remember``."""
        retry = [self._of_station.attempts, self._of_station.interval_s]
        thinned = {"thinned": self._thinned} if self._thinned else {}
        return {(SPACE, self.station_id): {"ids": self.ids.memory(), "retry": retry, **thinned}}

    def learn(self, rules: RetryRules) -> list[Outcome]:
        """What the station's own configuration says about repeats; it wins over ours."""
        before = self._of_station
        self._learn(rules)
        return [Persist(0, remember=self.memory())] if self._of_station != before else []

    def _learn(self, rules: RetryRules) -> None:
        old = self._of_station
        attempts = min(max(int(rules.attempts), ATTEMPTS[0]), ATTEMPTS[-1]) if rules.attempts is not None else old.attempts
        interval_s = min(max(float(rules.interval_s), 0.0), LONGEST_RETRY_S) if rules.interval_s is not None else old.interval_s
        self._of_station = RetryRules(attempts, interval_s)

    @property
    def retry(self) -> Retry:
        """The rules in force."""
        own, site = self._of_station, self._of_site
        return Retry(
            own.attempts if own.attempts is not None else site.attempts,
            own.interval_s if own.interval_s is not None else site.interval_s,
        )

    # -- in -------------------------------------------------------------------------------------------

    def stored(self, rows: Iterable[OutboxRow]) -> list[Outcome]:
        """New rows are on disk. More readings than may wait are thinned, first and last of a transaction never are."""
        rows = tuple(rows)
        self.outbox.add(rows)
        self._newest = max([self._newest, *(row.number for row in rows)])
        self._turns = min(self._turns + len(rows), MOST_TURNS)
        gone = [number for row in rows if row.values_of for number in self.outbox.thin(row.values_of, self._queued_values)]
        if not gone:
            return []
        first, self._thinned = self._thinned == 0, self._thinned + len(gone)
        text = f"more than {self._queued_values} periodic meter values of one session wait for the CSMS - every second one is left out from now on"
        told = [Tell(Severity.WARNING, self.station_id, f"{text} ({len(gone)} so far)")] if first else []
        return [ForgetRows(tuple(gone)), Persist(0, remember=self.memory()), *told]

    def returned(self, rows: Iterable[OutboxRow]) -> list[Outcome]:
        """The operator wants messages that were given up to be sent again."""
        numbers = self.outbox.returned(rows)
        told = [Tell(Severity.INFO, self.station_id, f"{len(numbers)} messages that were given up go to the CSMS again")] if numbers else []
        return [*(UpdateRow(number, 0, False) for number in numbers), *told]

    def back(self, queued: int) -> list[Outcome]:
        """The CSMS is back: what a person should know. Everything that is on disk now had to wait offline (E11.FR.07)."""
        self._online, self._offline_up_to, self._turns = True, self._newest, REPLAYS_PER_SECOND
        thinned, self._thinned = self._thinned, 0
        if not thinned and not queued:
            return []
        without = f"; {thinned} periodic meter values were left out" if thinned else ""
        told = Tell(Severity.INFO, self.station_id, f"CSMS is back - {queued} queued messages go up now{without}")
        return [*([Persist(0, remember=self.memory())] if thinned else []), told]

    # -- out ------------------------------------------------------------------------------------------

    def next(self, at: Stamp, dialect: Dialect) -> tuple[list[Outcome], OurRow | None]:
        """The row to send now, and what else is to be done first, e.g. to read texts."""
        if not len(self.outbox) or not self._has_turn(int(at.mono_s)):
            return [], None
        row, frame = self._ready(at, dialect)
        if row is None:
            numbers = self.outbox.to_load(at.mono_s, dialect.subprotocol)
            return [LoadRows(self.station_id, numbers)] if numbers else [], None
        self._turns -= 1
        if not isinstance(frame, rpc.Call):
            return self._aside(row.number, f"a stored {row.action} cannot be read"), None
        waited = dialect.mark_offline(frame.action, frame.payload) if row.number <= self._offline_up_to else frame.payload
        payload = self.to_csms(dialect, frame.action, waited, row.transaction_id)
        return [], OurRow(row.number, frame.action, payload, row.transaction_id, row.key)

    def _ready(self, at: Stamp, dialect: Dialect) -> tuple[OutboxRow | None, rpc.Frame | None]:
        """The row whose turn it is, read. A start does not pass what is queued of its own EVSE and waits for its repetition: a CSMS that has
        not heard of the end of one session refuses the next, or takes the first for over."""
        while (row := self.outbox.next(at.mono_s, dialect.subprotocol)) is not None:
            try:
                frame = rpc.parse(row.text, version=dialect.subprotocol, max_bytes=len(row.text) * 4 + 1024)
            except rpc.FrameError:
                return row, None
            event = dialect.transaction_event(frame.action, frame.payload) if isinstance(frame, rpc.Call) else None
            if event is None or not event.started:
                return row, frame
            waiting = self.outbox.before(row.number, dialect.subprotocol)
            if not waiting or self.may_follow(event, waiting):
                return row, frame
            self.outbox.put_off(row.number, at.mono_s)
        return None, None

    def _has_turn(self, second: int) -> bool:
        # A transaction that says more than that a second would else stay behind its own queue for ever.
        if second != self._second:
            self._second, self._turns = second, max(self._turns, REPLAYS_PER_SECOND)
        return self._turns > 0

    def gone(self) -> None:
        """The CSMS is away."""
        self._online = False

    def as_stored(self, dialect: Dialect, action: str, payload: Payload) -> Payload:
        """A message for the disk. What only waits behind others while everybody is online did not happen offline."""
        return payload if self._online else dialect.mark_offline(action, payload)

    def to_csms(self, dialect: Dialect, action: str, payload: Payload, transaction_id: str) -> Payload:
        """A message of the station with the transaction id its CSMS knows; the same object where they agree."""
        csms_id = self.ids.to_csms(transaction_id) if transaction_id else ""
        if csms_id == transaction_id or _begins(dialect, action, payload):
            return payload
        return dialect.with_transaction(action, payload, csms_id)

    def loaded(self, asked: tuple[int, ...], rows: Iterable[OutboxRow]) -> list[Outcome]:
        """Texts are back from the disk."""
        outcomes: list[Outcome] = []
        for number in self.outbox.loaded(asked, rows):
            outcomes += self._aside(number, "a stored message is damaged on disk")
        return outcomes

    def _aside(self, number: int, why: str) -> list[Outcome]:
        attempts = self.outbox.park(number)
        if attempts is None:
            return []
        told = Tell(Severity.ALARM, self.station_id, f"{why} - kept aside; see `yardmaster export-parked`")
        return [UpdateRow(number, attempts, True), told]

    # -- answers of the CSMS ------------------------------------------------------------------------------

    def accepted(self, row: OurRow, result: Payload, dialect: Dialect) -> list[Outcome]:
        """The CSMS has taken a row: its id first, then the row may go. A second answer to it changes nothing."""
        if row.number not in self.outbox:
            return []
        outcomes: list[Outcome] = []
        if _begins(dialect, row.action, row.request):
            outcomes += self._settle(row, dialect.started_by_answer(row.action, row.request, result))
        self.outbox.done(row.number)
        return [*outcomes, ForgetRows((row.number,))]

    def _settle(self, row: OurRow, csms_id: str | None) -> list[Outcome]:
        if csms_id is None:
            text = "CSMS took a start without naming a transaction id - its messages go up with id -1"
            return [Tell(Severity.WARNING, self.station_id, text)]
        self.ids.settle(row.transaction_id, csms_id, row.key)
        self.ids.trim(self.outbox.has)
        return [Persist(0, remember=self.memory())]

    def ended(self, transaction_id: str) -> list[Outcome]:
        """The CSMS has heard of the end of a transaction."""
        return [Persist(0, remember=self.memory())] if self.ids.ended(transaction_id, self.outbox.has) else []

    def refused(self, row: OurRow, error: rpc.Error, at: Stamp, dialect: Dialect) -> list[Outcome]:
        """The CSMS has answered a row with an error."""
        if _busy(error):
            # It still works on a CALL we have given up (16.6): that says nothing about this one.
            self.outbox.silent(row.number, at.mono_s)
            return []
        if dialect.transaction_event(row.action, row.request) is None and dialect.unknown_action(error.code):
            # The CSMS does not know this kind of message and never will; no transaction needs it.
            return [ForgetRows((row.number,))] if self.outbox.done(row.number) else []
        failed = self.outbox.failed(row.number, at.mono_s, self.retry)
        if failed is None:
            return []
        attempts, parked = failed
        text = f"CSMS refused a {row.action} {attempts} times ({error.code[:40]}) - kept aside; see `yardmaster export-parked`"
        told = [Tell(Severity.ALARM, self.station_id, text)] if parked else []
        return [UpdateRow(row.number, attempts, parked), *told]


def _begins(dialect: Dialect, action: str, payload: Payload) -> bool:
    """Whether a message starts a transaction that has no id yet."""
    event = dialect.transaction_event(action, payload)
    return event is not None and event.started and not event.transaction_id


def _busy(error: rpc.Error) -> bool:
    return error.code in ("RpcFrameworkError", "ProtocolError") and "progress" in error.description.lower()
