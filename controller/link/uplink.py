"""The upward half of a session: station's CALLs to the CSMS, and what happens while it is away.

Upstream open: the station's text goes up byte for byte and the CSMS's answer comes back the same
way. Upstream away: the policy table decides; what must not be lost is on disk before the station
gets its answer (P1). On return: BootNotification first if the CSMS missed one, then the current
state of the connectors, then the outbox in order, with live traffic in between (F19).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
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
REPEAT_S = 60.0
"""How long a repeated CALL gets its first answer again; after that an id counts as reused (16.4)."""
REPEATS_KEPT = 64
STATUSES_KEPT = 256
SILENCES = 2
"""Unanswered CALLs in a row after which the upstream socket counts as dead."""
BOOT_SPACE = "boot"
REPLAYS_PER_SECOND = 5
OFFLINE_DRAIN_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class OurBoot:
    """Note of a BootNotification that we send for a station that booted while the CSMS was away."""


@dataclass(frozen=True, slots=True)
class OurStatus:
    """Note of a StatusNotification that tells the current state after an outage."""

    key: tuple[int, int]
    payload: Payload


@dataclass(frozen=True, slots=True)
class OurRow:
    """Note of an outbox row in flight. request: its payload."""

    number: int
    request: Payload


@dataclass(frozen=True, slots=True)
class Held:
    """A CALL of the station whose answer waits for the disk. generation: the connection it came on."""

    call: rpc.Call
    answer_text: str
    generation: int | None
    transaction_id: str
    late: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What a CALL was answered with, for repeats. digest: of its text."""

    digest: str
    answer_text: str
    at_mono_s: float


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
        self._late_rows: dict[str, int] = {}
        self._silences = 0
        self._unsafe_generation: int | None = None
        self._boot: Payload | None = None
        self._boot_due_mono_s = 0.0
        self._statuses: dict[tuple[int, int], Payload] = {}
        self._answered: dict[str, Answered] = {}
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

    def restore(self, rows: tuple[OutboxRow, ...], boot: Any) -> None:
        """What the journal remembered: queued messages, a boot the CSMS has not heard of."""
        self.outbox.add(rows)
        self._boot = boot if isinstance(boot, dict) and self.link is not None else None

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

    def repeated(self, at: Stamp, call: rpc.Call) -> list[Outcome] | None:
        """Outcomes for a CALL we have seen already on this connection (F15), None for a new one."""
        known = self._answered.get(call.message_id)
        if known is not None and at.mono_s - known.at_mono_s <= REPEAT_S and known.digest == _digest(call.text):
            return self._to_station(known.answer_text)
        held = (held.call for held in self._held.values() if held.generation == self.generation)
        waiting = (item.note for item in self.lane.unanswered() if isinstance(item.note, rpc.Call))
        same = any(other.message_id == call.message_id and other.text == call.text for other in (*held, *waiting))
        return [] if same else None

    def call(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """A new CALL of the station, already observed."""
        if self.link is not None and self.link.undecided:
            # The outbox may hold older messages of the same transaction: the queue comes first.
            return self._queue(at, call) if self._must_wait(call) else self._relay(at, call)
        outcomes: list[Outcome] = []
        if call.action == "BootNotification" and self.link is not None and self.link.is_open:
            # The station speaks for itself now: what we owed in its name is settled.
            outcomes = self._set_boot(None)
        return outcomes + self._by_policy(at, call)

    def _by_policy(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        verb = policy.from_station(self._version(), call.action, self.upstream)
        if verb is Verb.HOLD or (verb is Verb.RELAY and self._must_wait(call)):
            return self._queue(at, call)
        return self._relay(at, call) if verb is Verb.RELAY else self._local(at, call, verb)

    def _must_wait(self, call: rpc.Call) -> bool:
        # Order per transaction: a message does not overtake its own transaction's queue (P2). Other
        # transactions go on live, so that their drivers hear the CSMS itself.
        transaction_id = self._transaction(call)
        if not transaction_id:
            return False
        return self.outbox.has(transaction_id) or any(held.transaction_id == transaction_id for held in self._held.values())

    def _transaction(self, call: rpc.Call) -> str:
        event = self.dialect.transaction_event(call.action, call.payload) if self.dialect is not None else None
        return event.transaction_id if event is not None else ""

    def _queue(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        return [*self._sweep(at, self._transaction(call)), *self._local(at, call, Verb.HOLD)]

    def _sweep(self, at: Stamp, transaction_id: str) -> list[Outcome]:
        """Older messages of a transaction that still wait to be relayed go to disk first: order is a promise."""

        def keep(item: Waiting) -> bool:
            return not transaction_id or not isinstance(item.note, rpc.Call) or self._transaction(item.note) != transaction_id

        outcomes: list[Outcome] = []
        for item in self.lane.withdraw(keep):
            outcomes += self._orphan(at, item)
        return outcomes

    def _relay(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        if call.action == "StatusNotification" and self.dialect is not None:
            self._status_settled(self.dialect.status_key(call.payload))
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
        owed = self._owe(call) if self.link is not None else []
        return [*owed, *self._answer(at, call, text)]

    def _lookup(self, at: Stamp) -> Callable[[Payload], Payload | None]:
        if self.link is None:
            # No CSMS is configured: nobody could ever say yes, so the gate of the depot does.
            return lambda token: {"status": "Accepted"}
        return lambda token: self._cache.lookup(token, at.wall_s)

    def _owe(self, call: rpc.Call) -> list[Outcome]:
        assert self.dialect is not None
        if call.action == "BootNotification":
            self._boot_due_mono_s = float("-inf")
            return self._set_boot(call.payload)
        if call.action == "StatusNotification":
            key = self.dialect.status_key(call.payload)
            self._status_settled(key)
            self._statuses[key] = call.payload
            if len(self._statuses) > STATUSES_KEPT:
                del self._statuses[next(iter(self._statuses))]
        return []

    def _set_boot(self, payload: Payload | None) -> list[Outcome]:
        """A boot the CSMS has to hear of, or none. On disk, for a 2.x station that reconnects does not boot again."""
        if payload == self._boot:
            return []
        self._boot = payload
        return [Persist(0, remember={(BOOT_SPACE, self.station_id): payload})]

    def _status_settled(self, key: tuple[int, int]) -> None:
        """A newer state of this connector is on its way: the older one is not told any more."""
        self._statuses.pop(key, None)
        self.lane.withdraw(lambda item: not (isinstance(item.note, OurStatus) and item.note.key == key))

    def _hold(self, at: Stamp, call: rpc.Call, answer_text: str) -> list[Outcome]:
        assert self.dialect is not None
        transaction_id = self._transaction(call)
        payload = self.dialect.mark_offline(call.action, call.payload)
        row = OutboxRow(0, self.station_id, transaction_id, call.action, rpc.call_text(call.message_id, call.action, payload), at.wall_s)
        token = self._tokens()
        self._held[token] = Held(call, answer_text, self.generation, transaction_id)
        return [Persist(token, (row,))]

    def persisted(self, token: int, rows: tuple[OutboxRow, ...], at: Stamp) -> list[Outcome] | None:
        """The journal has written ``token``; None if it is not one of ours."""
        held = self._held.pop(token, None)
        if held is None:
            return None
        self.outbox.add(rows)
        if rows and held.late:
            self._late_rows[held.call.message_id] = rows[0].number
            while len(self._late_rows) > 256:
                del self._late_rows[next(iter(self._late_rows))]
        wanted = held.generation == self.generation and held.generation != self._unsafe_generation
        return [*(self._answer(at, held.call, held.answer_text) if wanted else []), *self.pump(at)]

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
        # Nothing later is acknowledged on this socket either: the station repeats all of it, in order.
        self._unsafe_generation = held.generation
        return [told, CloseStation(self.station_id, held.generation, 1013, "cannot store")]

    # -- the CSMS side -------------------------------------------------------------------------

    def opened(self, generation: int, at: Stamp) -> list[Outcome]:
        """The upstream socket is open."""
        if self.link is None or not self.link.opened(generation, at.mono_s):
            return []
        self._boot_due_mono_s = float("-inf")
        self._silences = 0
        booting = any(item.action == "BootNotification" for item in self.lane.waiting())
        outcomes = self._set_boot(None) if booting else []
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
        verb = policy.from_station(self._version(), item.action, policy.Upstream.AWAY)
        return self._local(at, item.note, verb)

    def answer(self, at: Stamp, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        """An answer of the CSMS."""
        self._silences = 0
        item = self.lane.settle(frame.message_id)
        if item is None:
            return self._late(at, frame)
        outcomes = self._to_station_answer(item, frame, at) if item.owner is Owner.PEER else self._ours(at, item, frame)
        return [*outcomes, *self.pump(at)]

    def _late(self, at: Stamp, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        """An answer after its deadline (F21): the station has had its own already, but the CSMS has the message."""
        item = self.lane.late(frame.message_id)
        if item is None or not isinstance(frame, rpc.Result):
            return []
        if isinstance(item.note, OurRow):
            return self._row_answered(at, item, frame)
        number = self._late_rows.pop(frame.message_id, None)
        return [ForgetRows((number,))] if number is not None and self.outbox.done(number) else []

    def _to_station_answer(self, item: Waiting, frame: rpc.Result | rpc.Error, at: Stamp) -> list[Outcome]:
        outcomes = self._answer(at, item.note, frame.text)
        return outcomes + self._learn(at, item.action, item.note.payload, frame)

    def _learn(self, at: Stamp, action: str, request: Payload, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        """The CSMS's newest word about a driver, for the next outage."""
        if not isinstance(frame, rpc.Result) or self.dialect is None:
            return []
        learnt = self.dialect.token_answer(action, request, frame.payload)
        remember = self._cache.learn(*learnt, at.wall_s) if learnt is not None else {}
        return [Persist(0, remember=remember)] if remember else []

    def _ours(self, at: Stamp, item: Waiting, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        if isinstance(item.note, OurRow):
            return self._row_answered(at, item, frame)
        if isinstance(item.note, OurBoot):
            return self._boot_answered(at, frame)
        if isinstance(item.note, OurStatus) and self._statuses.get(item.note.key) is item.note.payload:
            del self._statuses[item.note.key]
        return []

    def _row_answered(self, at: Stamp, item: Waiting, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        number = item.note.number
        if isinstance(frame, rpc.Result):
            forget: list[Outcome] = [ForgetRows((number,))] if self.outbox.done(number) else []
            return forget + self._learn(at, item.action, item.note.request, frame)
        event = self.dialect.transaction_event(item.action, item.note.request) if self.dialect is not None else None
        if event is None and self.dialect is not None and self.dialect.unknown_action(frame.code):
            # The CSMS does not know this kind of message and never will; no transaction needs it.
            return [ForgetRows((number,))] if self.outbox.done(number) else []
        return self._row_refused(self.outbox.failed(number, at.mono_s), frame.code)

    def _row_refused(self, row: OutboxRow | None, code: str) -> list[Outcome]:
        if row is None:
            return []
        outcomes: list[Outcome] = [UpdateRow(row.number, row.attempts, row.parked)]
        if row.parked:
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
            return self._set_boot(None)
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
        """No answer in time. Twice in a row: the socket is dead, whatever TCP says (F20, F21)."""
        outcomes: list[Outcome] = []
        if isinstance(item.note, OurRow):
            self.outbox.silent(item.note.number, at.mono_s)
        elif isinstance(item.note, OurBoot):
            self._boot_due_mono_s = at.mono_s + BOOT_RETRY_S
        elif not self.transparent:
            outcomes = self._orphan_late(at, item)
        self._silences += 1
        if self._silences >= SILENCES and self.link is not None and self.link.is_open:
            generation = self.link.generation
            outcomes += [CloseUpstream(self.station_id, generation, "no answer"), *self.closed(generation, at, "CSMS does not answer")]
        return outcomes

    def _orphan_late(self, at: Stamp, item: Waiting) -> list[Outcome]:
        outcomes = self._orphan(at, item)
        for token, held in self._held.items():
            if held.call is item.note:
                # It did go up: its answer may still come and then settles the row.
                self._held[token] = replace(held, late=True)
        if self._boot is not None:
            # The CSMS owes an answer to the boot: as long as it does, nothing else may go up.
            for waiting in self.lane.withdraw(lambda other: other.owner is Owner.OURS):
                outcomes += self._orphan(at, waiting)
        transaction_id = self._transaction(item.note) if isinstance(item.note, rpc.Call) else ""
        return [*outcomes, *self._sweep(at, transaction_id)]

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
        outcomes = self._refill(at)
        item = self.lane.take(at.mono_s)
        return [*outcomes, SendUpstream(self.station_id, self.link.generation, item.text)] if item is not None else outcomes

    def _refill(self, at: Stamp) -> list[Outcome]:
        """Put our own next CALL in line: boot, then statuses, then one row of the outbox."""
        if self.lane.ledger.pending or any(item.owner is Owner.OURS for item in self.lane.waiting()):
            return []
        if self._boot is not None:
            if at.mono_s >= self._boot_due_mono_s:
                self._offer_ours("BootNotification", self._boot, OurBoot(), at, Priority.SAFETY)
            return []
        if self._statuses:
            key, payload = next(iter(self._statuses.items()))
            self._offer_ours("StatusNotification", payload, OurStatus(key, payload), at, Priority.HOUSEKEEPING)
            return []
        return self._offer_row(at)

    def _offer_row(self, at: Stamp) -> list[Outcome]:
        second = int(at.mono_s)
        count = self._replay_window[1] if self._replay_window[0] == second else 0
        row = self.outbox.next(at.mono_s) if count < REPLAYS_PER_SECOND else None
        if row is None:
            return []
        self._replay_window = (second, count + 1)
        try:
            frame = rpc.parse(row.text, version=self._version(), max_bytes=len(row.text) * 4 + 1024)
        except rpc.FrameError:
            return self._row_refused(self.outbox.park(row.number), "it cannot be read")
        assert isinstance(frame, rpc.Call)
        self._offer_ours(frame.action, frame.payload, OurRow(row.number, frame.payload), at, Priority.HOUSEKEEPING)
        return []

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
        if self._kept(call.action):
            self._answered.pop(call.message_id, None)
            self._answered[call.message_id] = Answered(_digest(call.text), text, at.mono_s)
            if len(self._answered) > REPEATS_KEPT:
                del self._answered[next(iter(self._answered))]
        booted = self._boot_answered_to_station(at, text) if call.action == "BootNotification" else []
        return [*self._to_station(text), *booted]

    def _kept(self, action: str) -> bool:
        """Whether the policy keeps this action on disk while the CSMS is away."""
        return policy.from_station(self._version(), action, policy.Upstream.AWAY) is Verb.HOLD

    def _to_station(self, text: str) -> list[Outcome]:
        return [SendStation(self.station_id, self.generation, text)] if self.generation is not None else []


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
