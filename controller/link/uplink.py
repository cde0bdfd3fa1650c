"""The upward half of a session: station's CALLs to the CSMS, and what happens while it is away.

Upstream open: the station's text goes up byte for byte and the CSMS's answer comes back the same
way. Upstream away: the policy table decides; what must not be lost is on disk before the station
gets its answer (P1). On return: BootNotification first if the CSMS missed one, then the current
state of the connectors, then the outbox in order, with live traffic in between (F19).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.facts import Fact, OutboxRow, Stamp
from controller.link import policy
from controller.link.auth_cache import AuthCache
from controller.link.ids import IdSource
from controller.link.lane import Lane, Priority, Waiting
from controller.link.outbox import Outbox
from controller.link.policy import Verb
from controller.link.upstream import UpstreamLink
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.ocpp.ledger import Owner
from controller.orders import CloseStation, CloseUpstream, ForgetRows, Order, Persist, SendStation, SendUpstream, Severity, Tell, UpdateRow

Outcome = Order | Fact
Payload = dict[str, Any]
BootAnswered = Callable[[Stamp, str], list[Outcome]]
"""Called with the text of each answer to a BootNotification that goes down to the station."""

BOOT_RETRY_S = 30.0
REPLAYS_PER_SECOND = 5
OFFLINE_DRAIN_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class OurBoot:
    """Note of a BootNotification that we send for a station that booted while the CSMS was away."""


@dataclass(frozen=True, slots=True)
class OurStatus:
    """Note of a StatusNotification that tells the current state after an outage."""


@dataclass(frozen=True, slots=True)
class OurRow:
    """Note of an outbox row in flight."""

    number: int


@dataclass(frozen=True, slots=True)
class Held:
    """A CALL of the station whose answer waits for the disk. generation: the connection it came on."""

    call: rpc.Call
    answer_text: str
    generation: int | None


class Uplink:
    """One station's way up. Owned by the session, which tells it everything."""

    def __init__(
        self,
        station_id: str,
        link: UpstreamLink | None,
        call_timeout_s: float,
        transparent: bool,
        ids: IdSource,
        tokens: Callable[[], int],
        cache: AuthCache,
        boot_answered: BootAnswered,
    ) -> None:
        self.station_id = station_id
        self.link = link
        self.transparent = transparent
        self.lane = Lane(call_timeout_s)
        self.outbox = Outbox()
        self.dialect: Dialect | None = None
        self.generation: int | None = None
        self._ids = ids
        self._tokens = tokens
        self._cache = cache
        self._boot_answered_to_station = boot_answered
        self._held: dict[int, Held] = {}
        self._held_rows: dict[str, int] = {}
        self._boot: Payload | None = None
        self._boot_due_mono_s = 0.0
        self._statuses: dict[tuple[int, int], Payload] = {}
        self._answered: dict[str, tuple[str, str]] = {}
        self._replay_window = (0, 0)

    # -- state ------------------------------------------------------------------------------

    @property
    def upstream(self) -> policy.Upstream:
        """The state the policy table is asked with."""
        if self.link is None:
            return policy.Upstream.NONE
        if self.link.is_open and self._boot is None:
            return policy.Upstream.OPEN
        return policy.Upstream.AWAY

    @property
    def queued(self) -> int:
        """Messages on disk that upstream has not acknowledged."""
        return len(self.outbox) + len(self._held)

    def connected(self, generation: int, dialect: Dialect) -> list[Outcome]:
        """The station's socket is open."""
        self.generation, self.dialect = generation, dialect
        self._answered.clear()
        if self.link is not None:
            self.link.want()
        return []

    def disconnected(self) -> list[Outcome]:
        """The station's socket is gone: the CSMS shall know within a second (F01)."""
        self.generation = None
        return self._hang_up("station disconnected")

    def _hang_up(self, reason: str) -> list[Outcome]:
        self.lane.drain()
        self.outbox.lost()
        if self.link is None or not self.link.generation:
            return []
        generation = self.link.generation
        self.link.release()
        return [CloseUpstream(self.station_id, generation, reason)]

    # -- CALLs of the station ----------------------------------------------------------------

    def repeated(self, call: rpc.Call) -> list[Outcome] | None:
        """Outcomes for a CALL we have seen already on this connection (F15), None for a new one."""
        known = self._answered.get(call.message_id)
        if known is not None and known[0] == call.text:
            return self._to_station(known[1])
        if any(held.call.message_id == call.message_id and held.generation == self.generation for held in self._held.values()):
            return []
        waiting = any(item.message_id == call.message_id for item in self.lane.waiting())
        return [] if waiting or self.lane.ledger.is_pending(call.message_id) else None

    def call(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """A new CALL of the station, already observed."""
        if self.link is not None and self.link.undecided:
            # The outbox may hold older messages of the same transaction: the queue comes first.
            return self._queue(at, call) if self._must_wait(call.action) else self._relay(at, call)
        if call.action == "BootNotification" and self.link is not None and self.link.is_open:
            # The station speaks for itself now: what we owed in its name is settled.
            self._boot = None
        verb = policy.from_station(call.action, self.upstream)
        if verb is Verb.RELAY and self._must_wait(call.action):
            verb = Verb.HOLD
        if verb is Verb.HOLD:
            return self._queue(at, call)
        if verb is not Verb.RELAY:
            return self._local(at, call, verb)
        if self._statuses and call.action == "StatusNotification" and self.dialect is not None:
            self._statuses.pop(self.dialect.status_key(call.payload), None)
        return self._relay(at, call)

    def _must_wait(self, action: str) -> bool:
        # Order per transaction: nothing of the kept kind overtakes the queue (P2).
        return _kept(action) and self.queued > 0

    def _queue(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        return [*self._sweep(at), *self._local(at, call, Verb.HOLD)]

    def _sweep(self, at: Stamp) -> list[Outcome]:
        """Older kept messages that still wait for their turn to be relayed go to disk first: order is a promise."""
        outcomes: list[Outcome] = []
        for item in self.lane.withdraw(lambda waiting: waiting.owner is Owner.OURS or not _kept(waiting.action)):
            outcomes += self._orphan(at, item)
        return outcomes

    def _relay(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        item = Waiting(call.message_id, call.action, call.text, Owner.PEER, Priority.RELAYED, at.mono_s, call)
        if not self.lane.offer(item):
            return self._to_station(self._error(call.message_id, "InternalError", "too many messages are waiting; send again later"))
        return self.pump(at)

    def _local(self, at: Stamp, call: rpc.Call, verb: Verb) -> list[Outcome]:
        assert self.dialect is not None
        answer = self.dialect.answer(at, call.action, call.payload, self._lookup(at))
        if answer is None or verb is Verb.REFUSE:
            return self._to_station(self._error(call.message_id, "GenericError", "the CSMS is away; send again later"))
        text = rpc.result_text(call.message_id, answer)
        if verb is Verb.HOLD:
            return self._hold(at, call, text)
        if self.link is not None:
            self._owe(call)
        return self._answer(at, call, text)

    def _lookup(self, at: Stamp) -> Callable[[Payload], Payload | None]:
        if self.link is None:
            # No CSMS is configured: nobody could ever say yes, so the gate of the depot does.
            return lambda token: {"status": "Accepted"}
        return lambda token: self._cache.lookup(token, at.wall_s)

    def _owe(self, call: rpc.Call) -> None:
        assert self.dialect is not None
        if call.action == "BootNotification":
            self._boot = call.payload
            self._boot_due_mono_s = float("-inf")
        elif call.action == "StatusNotification":
            self._statuses[self.dialect.status_key(call.payload)] = call.payload

    def _hold(self, at: Stamp, call: rpc.Call, answer_text: str) -> list[Outcome]:
        assert self.dialect is not None
        event = self.dialect.transaction_event(call.action, call.payload)
        payload = self.dialect.mark_offline(call.action, call.payload)
        row = OutboxRow(
            0, self.station_id, event.transaction_id if event else "", call.action, rpc.call_text(call.message_id, call.action, payload), at.wall_s
        )
        token = self._tokens()
        self._held[token] = Held(call, answer_text, self.generation)
        return [Persist(token, (row,))]

    def persisted(self, token: int, rows: tuple[OutboxRow, ...], at: Stamp) -> list[Outcome] | None:
        """The journal has written ``token``; None if it is not one of ours."""
        held = self._held.pop(token, None)
        if held is None:
            return None
        self.outbox.add(rows)
        if rows:
            self._held_rows[held.call.message_id] = rows[0].number
            while len(self._held_rows) > 256:
                del self._held_rows[next(iter(self._held_rows))]
        answered = self._answer(at, held.call, held.answer_text) if held.generation == self.generation else []
        return [*answered, *self.pump(at)]

    def persist_failed(self, token: int) -> list[Outcome] | None:
        """The journal could not write ``token``; None if it is not one of ours.

        If even the reserve is full, an honest closed socket beats a false answer (F73).
        """
        held = self._held.pop(token, None)
        if held is None:
            return None
        told = Tell(
            Severity.ALARM, self.station_id, "disk cannot take transaction messages - socket closed so that the station queues; free disk space"
        )
        if held.generation is None or held.generation != self.generation:
            return [told]
        return [told, CloseStation(self.station_id, held.generation, 1013, "cannot store")]

    # -- the CSMS side -------------------------------------------------------------------------

    def opened(self, generation: int, at: Stamp) -> list[Outcome]:
        """The upstream socket is open."""
        if self.link is None or not self.link.opened(generation, at.mono_s):
            return []
        self._boot_due_mono_s = float("-inf")
        if any(item.action == "BootNotification" for item in self.lane.waiting()):
            self._boot = None
        outcomes: list[Outcome] = []
        if self.queued:
            outcomes.append(Tell(Severity.INFO, self.station_id, f"CSMS is back - {self.queued} queued messages go up now"))
        return [*outcomes, *self.pump(at)]

    def closed(self, generation: int, at: Stamp, reason: str) -> list[Outcome]:
        """The upstream socket closed or a dial failed: answer here what was on its way."""
        if self.link is None:
            return []
        was_open = self.link.is_open
        if not self.link.closed(generation, at.mono_s, reason):
            return []
        orphans = self.lane.drain()
        self.outbox.lost()
        if self.generation is None:
            return []
        if self.transparent:
            return [CloseStation(self.station_id, self.generation, 1001, "CSMS is away")]
        outcomes: list[Outcome] = []
        if was_open or self.link.failures == 1:
            outcomes.append(Tell(Severity.WARNING, self.station_id, f"CSMS is away ({reason}) - charging goes on, messages are kept on disk"))
        for item in orphans:
            outcomes += self._orphan(at, item)
        return outcomes

    def _orphan(self, at: Stamp, item: Waiting) -> list[Outcome]:
        if item.owner is not Owner.PEER or not isinstance(item.note, rpc.Call):
            return []
        verb = policy.from_station(item.action, policy.Upstream.AWAY)
        return self._local(at, item.note, verb)

    def answer(self, at: Stamp, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        """An answer of the CSMS."""
        item = self.lane.settle(frame.message_id)
        if item is None:
            return self._late(frame)
        outcomes = self._to_station_answer(item, frame, at) if item.owner is Owner.PEER else self._ours(at, item, frame)
        return [*outcomes, *self.pump(at)]

    def _late(self, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        # The station has its answer already (F21). If the message waits in the outbox, it need not go again.
        self.lane.late(frame.message_id)
        number = self._held_rows.pop(frame.message_id, None)
        if number is not None and isinstance(frame, rpc.Result) and self.outbox.in_flight != number and self.outbox.done(number):
            return [ForgetRows((number,))]
        return []

    def _to_station_answer(self, item: Waiting, frame: rpc.Result | rpc.Error, at: Stamp) -> list[Outcome]:
        outcomes = self._answer(at, item.note, frame.text)
        if isinstance(frame, rpc.Result) and self.dialect is not None:
            learnt = self.dialect.token_answer(item.action, item.note.payload, frame.payload)
            if learnt is not None:
                remember = self._cache.learn(*learnt, at.wall_s)
                if remember:
                    outcomes.append(Persist(0, remember=remember))
        return outcomes

    def _ours(self, at: Stamp, item: Waiting, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        if isinstance(item.note, OurRow):
            return self._row_answered(at, item.note.number, isinstance(frame, rpc.Result), frame)
        if isinstance(item.note, OurBoot):
            return self._boot_answered(at, frame)
        return []

    def _row_answered(self, at: Stamp, number: int, good: bool, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
        if good:
            return [ForgetRows((number,))] if self.outbox.done(number) else []
        row = self.outbox.failed(number, at.mono_s)
        if row is None:
            return []
        outcomes: list[Outcome] = [UpdateRow(row.number, row.attempts, row.parked)]
        if row.parked:
            code = frame.code if isinstance(frame, rpc.Error) else "no answer"
            outcomes.append(
                Tell(
                    Severity.ALARM,
                    self.station_id,
                    f"CSMS refused a {row.action} {row.attempts} times ({code}) - kept aside; see `yardmaster export-parked`",
                )
            )
        return outcomes

    def _boot_answered(self, at: Stamp, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        assert self.dialect is not None
        if isinstance(frame, rpc.Result) and self.dialect.boot_status(frame.payload) == "Accepted":
            self._boot = None
            return []
        self._boot_due_mono_s = at.mono_s + BOOT_RETRY_S
        return []

    # -- time and sending -----------------------------------------------------------------------

    def tick(self, at: Stamp, offline_since_mono_s: float | None) -> list[Outcome]:
        """A second has passed: deadlines, draining without the station."""
        outcomes: list[Outcome] = []
        for item in self.lane.overdue(at.mono_s):
            outcomes += self._overdue(at, item)
        if self.link is not None and self.generation is None:
            outcomes += self._drain_alone(at, offline_since_mono_s)
        return [*outcomes, *self.pump(at)]

    def _overdue(self, at: Stamp, item: Waiting) -> list[Outcome]:
        if isinstance(item.note, OurRow):
            return self._row_answered(at, item.note.number, False, None)
        if isinstance(item.note, OurBoot):
            self._boot_due_mono_s = at.mono_s + BOOT_RETRY_S
            return []
        outcomes = self._orphan(at, item)
        if self._boot is not None:
            # The CSMS owes an answer to the boot: as long as it does, nothing else may go up.
            for waiting in self.lane.withdraw(lambda other: other.owner is Owner.OURS):
                outcomes += self._orphan(at, waiting)
        return [*outcomes, *self._sweep(at)] if self._held else outcomes

    def _drain_alone(self, at: Stamp, offline_since_mono_s: float | None) -> list[Outcome]:
        # A station that never comes back must not keep its transactions from the CSMS.
        assert self.link is not None
        if self.link.is_open and not self.queued:
            return self._hang_up("queue is empty")
        waited = offline_since_mono_s is not None and at.mono_s - offline_since_mono_s >= OFFLINE_DRAIN_AFTER_S
        if waited and len(self.outbox) and self.link.state.value == "idle":
            self.link.want()
        return []

    def pump(self, at: Stamp) -> list[Outcome]:
        """Send what may go up now."""
        if self.link is None or not self.link.is_open:
            return []
        self._refill(at)
        item = self.lane.take(at.mono_s)
        return [SendUpstream(self.station_id, self.link.generation, item.text)] if item is not None else []

    def _refill(self, at: Stamp) -> None:
        """Put our own next CALL in line: boot, then statuses, then one row of the outbox."""
        if self.lane.ledger.pending or any(item.owner is Owner.OURS for item in self.lane.waiting()):
            return
        if self._boot is not None:
            if at.mono_s >= self._boot_due_mono_s:
                self._offer_ours("BootNotification", self._boot, OurBoot(), at, Priority.SAFETY)
            return
        if self._statuses:
            key = next(iter(self._statuses))
            self._offer_ours("StatusNotification", self._statuses.pop(key), OurStatus(), at, Priority.HOUSEKEEPING)
            return
        self._offer_row(at)

    def _offer_row(self, at: Stamp) -> None:
        second = int(at.mono_s)
        count = self._replay_window[1] if self._replay_window[0] == second else 0
        if count >= REPLAYS_PER_SECOND:
            return
        row = self.outbox.next(at.mono_s)
        if row is None:
            return
        self._replay_window = (second, count + 1)
        frame = rpc.parse(row.text, version=self._version(), max_bytes=len(row.text) * 4 + 1024)
        assert isinstance(frame, rpc.Call)
        self._offer_ours(frame.action, frame.payload, OurRow(row.number), at, Priority.HOUSEKEEPING)

    def _offer_ours(self, action: str, payload: Payload, note: Any, at: Stamp, priority: Priority) -> None:
        message_id = self._ids.fresh()
        self.lane.offer(Waiting(message_id, action, rpc.call_text(message_id, action, payload), Owner.OURS, priority, at.mono_s, note))

    def offer_own(self, at: Stamp, action: str, payload: Payload) -> list[Outcome]:
        """Send a CALL of our own upstream whose answer nobody waits for, e.g. a report."""
        self._offer_ours(action, payload, None, at, Priority.RELAYED)
        return self.pump(at)

    # -- small things ------------------------------------------------------------------------------

    def _version(self) -> str:
        return self.dialect.subprotocol if self.dialect is not None else "ocpp2.0.1"

    def _error(self, message_id: str, code: str, text: str) -> str:
        return rpc.error_text(message_id, code, text, version=self._version())

    def _answer(self, at: Stamp, call: rpc.Call, text: str) -> list[Outcome]:
        self._answered[call.message_id] = (call.text, text)
        if len(self._answered) > 64:
            del self._answered[next(iter(self._answered))]
        booted = self._boot_answered_to_station(at, text) if call.action == "BootNotification" else []
        return [*self._to_station(text), *booted]

    def _to_station(self, text: str) -> list[Outcome]:
        return [SendStation(self.station_id, self.generation, text)] if self.generation is not None else []


def _kept(action: str) -> bool:
    """Whether the policy keeps this action on disk while the CSMS is away."""
    return policy.from_station(action, policy.Upstream.AWAY) is Verb.HOLD
