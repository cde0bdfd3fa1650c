"""The upward half of a session: station's CALLs to the CSMS, and what happens while it is away.

Upstream open: the station's text goes up byte for byte and the CSMS's answer comes back the same
way. Upstream away: the policy table decides; what must not be lost is on disk before the station
gets its answer (P1). On return: BootNotification first if the CSMS missed one, then the current
state of the connectors, then the outbox in order, with live traffic in between (F19). Only where a
1.6 transaction has a local id (``transaction_ids``) a text is written anew, with the CSMS's id.

What the station hears is in ``answering``, what the CSMS's answers settle in ``settling``, the way
of the queue in ``replay``, what is told as current state in ``owed``. Serves P1, P2; F13, F15, F19-F23, F73.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from controller.config import UpstreamConfig
from controller.facts import Fact, OutboxRow, Stamp
from controller.link import policy
from controller.link.answering import Answering, Hooks, Lookup
from controller.link.held import About, Relay
from controller.link.ids import IdSource
from controller.link.lane import Lane, Priority, Waiting
from controller.link.outbox import Outbox
from controller.link.owed import BOOT_SPACE, STATUS_SPACE, Done, OurAsked, OurBoot, OurStatus, Owed
from controller.link.policy import Verb
from controller.link.replay import SPACE as OUTAGE_SPACE
from controller.link.replay import OurRow, Replay
from controller.link.settling import Learn, Settling
from controller.link.upstream import State, UpstreamLink
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, RetryRules
from controller.ocpp.ledger import Owner
from controller.ocpp.registry import dialect_for
from controller.orders import CloseStation, CloseUpstream, Order, SendUpstream, Severity, Tell

__all__ = ["BOOT_SPACE", "OUTAGE_SPACE", "STATUS_SPACE", "Hooks", "Uplink"]

Outcome = Order | Fact
Payload = dict[str, Any]
SILENCES: Final = 2
"""Unanswered CALLs in a row after which the upstream socket counts as dead."""
OFFLINE_DRAIN_AFTER_S: Final = 60.0
KEYS_RESTORED: Final = 16
"""The last messages before a restart: those a station may not have its answer to."""


class Uplink:
    """One station's way up. Owned by the session, which tells it everything. upstream None: the station has no CSMS."""

    __slots__ = (
        "_answers",
        "_generation",
        "_ids",
        "_owed",
        "_replay",
        "_settling",
        "_silences",
        "lane",
        "link",
        "patient",
        "station_id",
        "transparent",
    )

    def __init__(
        self,
        station_id: str,
        upstream: UpstreamConfig | None,
        ids: IdSource,
        tokens: Callable[[], int],
        *,
        lookup: Lookup,
        learn: Learn,
        hooks: Hooks,
    ) -> None:
        self.station_id = station_id
        self.link = UpstreamLink(station_id, upstream.reconnect_min_s, upstream.reconnect_max_s) if upstream is not None else None
        self.transparent = upstream is not None and upstream.outage == "transparent"
        self.lane = Lane(upstream.call_timeout_s if upstream is not None else 30.0)
        self._ids = ids
        self._replay = Replay(station_id, upstream)
        self._answers = Answering(station_id, upstream is not None, self._replay, tokens, lookup, hooks)
        self._replay.may_follow = self._answers.may_follow
        self._owed = Owed(station_id)
        stop_invalid = upstream is not None and upstream.stop_invalid
        self._settling = Settling(self._answers, self._replay, self._owed, learn, hooks, stop_invalid)
        self._silences = self._generation = 0
        self.patient = False
        """Silence does not mean that the CSMS is away: a face above us looks after its socket itself."""

    def rewire(self, upstream: UpstreamConfig | None) -> None:
        """The station has another CSMS from now on, or none; nothing is on its way to the old one (``hang_up`` comes first)."""
        generation = self.link.generation if self.link is not None else self._generation
        self._generation = generation
        self.link = UpstreamLink(self.station_id, upstream.reconnect_min_s, upstream.reconnect_max_s) if upstream is not None else None
        if self.link is not None:
            self.link.generation = generation  # sockets of the old CSMS stay told apart
        self.transparent = upstream is not None and upstream.outage == "transparent"
        self.lane.timeout_s = upstream.call_timeout_s if upstream is not None else 30.0
        self._replay.rewire(upstream)
        self._answers.keeps = upstream is not None
        self._settling.stop_invalid = upstream is not None and upstream.stop_invalid
        if self.link is not None and self.generation is not None:
            self.link.want()

    def introduce(self, boot: Payload | None, statuses: Mapping[tuple[int, int], Payload]) -> list[Outcome]:
        """A CSMS that does not know the station yet shall hear who it is and how its connectors are. boot: None = it has nobody's to wait for."""
        outcomes = self._owed.set_boot(boot)
        for key, payload in statuses.items():
            outcomes += self._owed.status(key, payload)
        return outcomes

    # -- state ------------------------------------------------------------------------------

    @property
    def dialect(self) -> Dialect | None:
        """What the station speaks, as far as known."""
        return self._answers.dialect

    @dialect.setter
    def dialect(self, dialect: Dialect | None) -> None:
        self._answers.dialect = dialect

    @property
    def generation(self) -> int | None:
        """The station's connection, None without one."""
        return self._answers.generation

    @property
    def upstream(self) -> policy.Upstream:
        """The state the policy table is asked with."""
        if self.link is None:
            return policy.Upstream.NONE
        if self.link.is_open and self._owed.boot is None:
            return policy.Upstream.OPEN
        return policy.Upstream.AWAY

    @property
    def outbox(self) -> Outbox:
        """Messages on disk that upstream has not acknowledged."""
        return self._replay.outbox

    @property
    def queued(self) -> int:
        """How many messages are on disk or on their way to it, for the CSMS."""
        return len(self.outbox) + len(self._answers.held)

    @property
    def drain_version(self) -> str:
        """The subprotocol that the queue of an absent station wants to be sent in, "" = any."""
        if self.dialect is not None and self.outbox.speaks(self.dialect.subprotocol):
            return self.dialect.subprotocol
        return next(iter(self.outbox.versions()), "")

    def restore(self, rows: tuple[OutboxRow, ...], boot: Any, memory: Any = None, statuses: Any = None) -> list[Outcome]:
        """What the journal remembered: queued messages oldest first, what the CSMS has not heard of (see ``owed``), and OUTAGE_SPACE."""
        outcomes = self._replay.restore(rows, memory)
        if self.link is not None:
            self._owed.restore(boot, statuses)
        known = next((dialect for row in rows if (dialect := dialect_for(row.version)) is not None), None)
        self.dialect = known or self.dialect
        recent = [(row.key, row.transaction_id) for row in rows[-KEYS_RESTORED:] if not row.parked]
        self._answers.repeats.restore([*recent, *self._replay.ids.starts()])
        return outcomes

    def connected(self, generation: int, dialect: Dialect) -> list[Outcome]:
        """The station's socket is open."""
        another = self.dialect is not None and self.dialect.subprotocol != dialect.subprotocol
        self._answers.connected(generation, dialect)
        if self.link is not None:
            self.link.want()
        return [*self._owed.forget(), *self._other_words(dialect.subprotocol)] if another else []

    def _other_words(self, version: str) -> list[Outcome]:
        """The station changed its version while messages in the old one wait: they are not lost, but a person should know (trap 4)."""
        waiting = [known for known in self.outbox.versions() if known not in ("", version)]
        if not waiting:
            return []
        text = f"queued messages in {' and '.join(waiting)} go to the CSMS when the station is away for a minute, or speaks that again"
        return [Tell(Severity.WARNING, self.station_id, text)]

    def disconnected(self) -> list[Outcome]:
        """The station's socket is gone: the CSMS shall know within a second (F01)."""
        self._answers.generation = None
        self._owed.barred = False
        return self.hang_up("station disconnected")

    def hang_up(self, reason: str) -> list[Outcome]:
        """End the upstream leg, or its dial."""
        self._forget_leg()
        if self.link is None or not self.link.generation:
            return []
        generation = self.link.generation
        self.link.release()
        return [CloseUpstream(self.station_id, generation, reason)]

    def wait_no_longer(self, at: Stamp) -> list[Outcome]:
        """No dial could begin in time: CALLs that wait for it are answered here, as while the CSMS is away."""
        if self.link is None or not self.link.undecided:
            return []
        self.link.first = False
        return [outcome for item in self.lane.drain() for outcome in self._orphan(at, item)]

    def _forget_leg(self) -> list[Waiting]:
        """Nothing is in flight any more; returns what was, or waited."""
        orphans = self.lane.drain()
        self.outbox.lost()
        self._replay.gone()
        self._settling.forget_leg()
        return orphans

    def learn_rules(self, rules: RetryRules) -> list[Outcome]:
        """The station's own rules for repeats were set or told (E13, TransactionMessageAttempts)."""
        return self._replay.learn(rules)

    # -- transaction ids in commands of the CSMS ------------------------------------------------

    def to_station(self, call: rpc.Call) -> str | None:
        """Text of a CALL of the CSMS with the station's id of its transaction; None if it goes down as it came."""
        if self.dialect is None:
            return None
        csms_id = self.dialect.transaction_of_command(call.action, call.payload)
        if csms_id is None:
            return None
        local = self._replay.ids.to_station(csms_id)
        return None if local == csms_id else rpc.with_payload(call, self.dialect.with_transaction(call.action, call.payload, local))

    def to_csms(self, action: str, payload: Payload, transaction_id: str) -> Payload:
        """A message about a transaction of the station with the id its CSMS knows; the same object where they agree."""
        return payload if self.dialect is None else self._replay.to_csms(self.dialect, action, payload, transaction_id)

    # -- CALLs of the station ----------------------------------------------------------------

    def about(self, call: rpc.Call) -> About:
        """What the link must know of a CALL; worked out once."""
        return self._answers.about(call)

    def repeated(self, at: Stamp, call: rpc.Call) -> list[Outcome] | None:
        """Outcomes for a CALL we have seen already (F15), None for a new one."""
        again = self._answers.again(at, call)
        return again if again is not None or not self._joined(call) else []

    def _joined(self, call: rpc.Call) -> bool:
        """Whether the same message is on its way up already: then its answer goes to both."""
        if not self.lane.busy:
            return False
        about = self.about(call)
        key = about.key if about.starts else ""
        for item in self.lane.unanswered():
            if isinstance(item.note, Relay) and item.note.is_same(call):
                return True
            if key and isinstance(item.note, Relay) and item.note.about.key == key:
                item.note.join(call.message_id)
                return True
        return False

    def aside(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """A CALL that the CSMS shall not see unless a person says so (F14)."""
        return self._answers.aside(at, call)

    def call(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """A new CALL of the station, already observed."""
        about = self.about(call)
        if self.link is not None and self.link.undecided:
            # The outbox may hold older messages of the same transaction: the queue comes first.
            return self._queue(at, call, about) if self._must_wait(about) else self._relay(at, call, about)
        outcomes: list[Outcome] = []
        if call.action == "BootNotification" and self.link is not None and self.link.is_open:
            # The station speaks for itself now: what we owed in its name is settled.
            outcomes = self._owed.set_boot(None)
        return outcomes + self._by_policy(at, call, about)

    def _by_policy(self, at: Stamp, call: rpc.Call, about: About) -> list[Outcome]:
        verb = policy.from_station(self._answers.version, call.action, self.upstream)
        if verb is Verb.HOLD or (verb is Verb.RELAY and self._must_wait(about)):
            return self._queue(at, call, about)
        return self._relay(at, call, about) if verb is Verb.RELAY else self._local(at, call, verb)

    def _must_wait(self, about: About) -> bool:
        # Order per transaction: a message does not overtake its own transaction's queue (P2). Other
        # transactions go on live, so that their drivers hear the CSMS itself. Only a start waits for what
        # is queued of its own EVSE: a CSMS that has not heard of the end of one session refuses the next.
        if not self._answers.held and not len(self._replay.outbox):
            return False
        if about.starts:
            held = (held.transaction_id for held in self._answers.held.values())
            waiting = {*self.outbox.transactions(), *held} - {""}
            if waiting and not self._answers.may_follow(about.event, waiting):
                return True
        transaction_id = about.transaction_id
        if not transaction_id:
            return False
        return self._replay.outbox.has(transaction_id) or self._answers.holds(transaction_id)

    def _queue(self, at: Stamp, call: rpc.Call, about: About) -> list[Outcome]:
        return [*self._sweep(at, about.transaction_id), *self._answers.local(at, call, Verb.HOLD)]

    def _sweep(self, at: Stamp, transaction_id: str) -> list[Outcome]:
        """Older messages of a transaction that still wait to be relayed go to disk first: order is a promise."""
        if not transaction_id or not len(self.lane):
            return []

        def keep(item: Waiting) -> bool:
            return not isinstance(item.note, Relay) or item.note.about.transaction_id != transaction_id

        outcomes: list[Outcome] = []
        for item in self.lane.withdraw(keep):
            outcomes += self._orphan(at, item)
        return outcomes

    def _relay(self, at: Stamp, call: rpc.Call, about: About) -> list[Outcome]:
        settled: list[Outcome] = []
        if call.action == "StatusNotification" and self.dialect is not None:
            settled = self._status_settled(self.dialect.status_key(call.payload))
        note = Relay(call, about)
        item = Waiting(call.message_id, call.action, self._upward(call, about), Owner.PEER, Priority.RELAYED, at.mono_s, note)
        if self.link is not None and self.link.is_open and self._owes_nothing and self.lane.go(item):
            return [SendUpstream(self.station_id, self.link.generation, item.text), *settled]  # nearly always
        if not self.lane.offer(item):
            return [*settled, *self._answers.error(call, "InternalError", "too many messages are waiting; send again later")]
        outcomes = self.pump(at)
        if not any(isinstance(outcome, SendUpstream) for outcome in outcomes):
            note.shed()
        return [*outcomes, *settled]

    def pass_up(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """A CALL that the policy keeps here goes up all the same: another rule of its station says so."""
        return self._relay(at, call, self.about(call))

    def _upward(self, call: rpc.Call, about: About) -> str:
        if not about.transaction_id:
            return call.text
        payload = self.to_csms(call.action, call.payload, about.transaction_id)
        return call.text if payload is call.payload else rpc.with_payload(call, payload)

    # -- answered here ------------------------------------------------------------------------------

    def _local(self, at: Stamp, call: rpc.Call, verb: Verb, also: tuple[str, ...] = (), relay: Relay | None = None) -> list[Outcome]:
        owed = self._owe(call) if verb is Verb.ANSWER and self.link is not None else []
        return [*owed, *self._answers.local(at, call, verb, also, relay)]

    def _owe(self, call: rpc.Call) -> list[Outcome]:
        assert self.dialect is not None
        if call.action == "BootNotification":
            self._owed.boot_now()
            return self._owed.set_boot(call.payload)
        if call.action == "StatusNotification":
            key = self.dialect.status_key(call.payload)
            self._status_settled(key)
            return self._owed.status(key, call.payload)
        return []

    def _status_settled(self, key: tuple[int, int]) -> list[Outcome]:
        """A newer state of this connector is on its way: the older one is not told any more."""
        self.lane.withdraw(lambda item: not (isinstance(item.note, OurStatus) and item.note.key == key))
        return self._owed.status_settled(key)

    def persisted(self, token: int, rows: tuple[OutboxRow, ...], at: Stamp) -> list[Outcome] | None:
        """The journal has written ``token``; None if it is not one of ours."""
        held = self._answers.held.pop(token, None)
        if held is None:
            return None
        outcomes = self._replay.stored(rows)
        for row in rows:
            outcomes += self._settling.stored(at, held, row)
        return [*outcomes, *self._answers.persisted(at, held), *self.pump(at)]

    def persist_failed(self, token: int) -> list[Outcome] | None:
        """The journal could not write ``token``; None if it is not one of ours."""
        held = self._answers.held.pop(token, None)
        return self._answers.failed(held) if held is not None else None

    def loaded(self, at: Stamp, rows: tuple[OutboxRow, ...], asked: tuple[int, ...]) -> list[Outcome]:
        """Texts of queued messages are back from the disk (``RowsLoaded``)."""
        return [*self._replay.loaded(asked, rows), *self.pump(at)]

    def returned(self, at: Stamp, rows: tuple[OutboxRow, ...]) -> list[Outcome]:
        """Messages that were given up shall be sent again (``ParkedReturned``)."""
        return [*self._replay.returned(rows), *self.pump(at)] if self.link is not None else []

    # -- the CSMS side -------------------------------------------------------------------------

    def opened(self, generation: int, at: Stamp, version: str = "") -> list[Outcome]:
        """The upstream socket is open; version: the subprotocol the CSMS chose."""
        if self.link is None or not self.link.opened(generation, at.mono_s):
            return []
        self._settling.leg = dialect_for(version) or self.dialect
        self._owed.boot_now()
        self._silences = 0
        booting = any(item.action == "BootNotification" for item in self.lane.waiting())
        outcomes = self._owed.set_boot(None) if booting else []
        return [*outcomes, *self._replay.back(self.queued), *self.pump(at)]

    def closed(self, generation: int, at: Stamp, reason: str) -> list[Outcome]:
        """The upstream socket closed or a dial failed: answer here what was on its way."""
        if self.link is None:
            return []
        was_open = self.link.is_open
        if not self.link.closed(generation, at.mono_s, reason):
            return []
        orphans = self._forget_leg()
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

    def _orphan(self, at: Stamp, item: Waiting, went_up: bool = False) -> list[Outcome]:
        """A CALL the CSMS will not answer, or not in time. went_up: it has it, and its answer may still come."""
        if not isinstance(item.note, Relay):
            return []
        verb = policy.from_station(self._answers.version, item.action, policy.Upstream.AWAY)
        call = item.note.call(self._answers.version)
        return self._local(at, call, verb, item.note.also, item.note if went_up else None)

    def answer(self, at: Stamp, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        """An answer of the CSMS."""
        self._silences = 0
        item = self.lane.settle(frame.message_id)
        if item is None and self._speaks_of_the_only_one(frame):
            item = self.lane.settle_only()
        if item is not None:
            outcomes = self._settling.answered(at, item, frame)
            if self._owed.barred:
                self._withhold()
            return [*outcomes, *self.pump(at)]
        late = self.lane.late(frame.message_id)
        return self._settling.late(at, late, frame) if late is not None and isinstance(frame, rpc.Result) else []

    def _withhold(self) -> None:
        """Rows and statuses that stand in line already wait until the CSMS has accepted the station."""
        self.lane.withdraw(lambda item: not isinstance(item.note, OurRow | OurStatus))
        self.outbox.lost()

    def _speaks_of_the_only_one(self, frame: rpc.Result | rpc.Error) -> bool:
        # An error without an id is about the CALL in flight (16.5), but in 2.1 it may be about a SEND as well.
        return isinstance(frame, rpc.Error) and frame.message_id == rpc.UNREADABLE_ID and self._answers.version != "ocpp2.1"

    # -- time and sending -----------------------------------------------------------------------

    def tick(self, at: Stamp, offline_since_mono_s: float | None) -> list[Outcome]:
        """A second has passed: deadlines, draining without the station."""
        self._owed.tick(at)
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
            self._owed.boot_later(at)
        elif isinstance(item.note, OurAsked):
            outcomes = item.note.done(at, None)
        elif not self.transparent:
            outcomes = self._orphan_late(at, item)
        self._silences += 1
        if self._silences >= SILENCES and self.link is not None and self.link.is_open and not self.patient:
            generation = self.link.generation
            outcomes += [CloseUpstream(self.station_id, generation, "no answer"), *self.closed(generation, at, "CSMS does not answer")]
        return outcomes

    def _orphan_late(self, at: Stamp, item: Waiting) -> list[Outcome]:
        outcomes = self._orphan(at, item, went_up=True)
        if self._owed.boot is not None:
            # The CSMS owes an answer to the boot: as long as it does, nothing else may go up.
            for waiting in self.lane.withdraw(lambda other: other.owner is Owner.OURS):
                outcomes += self._orphan(at, waiting)
        transaction_id = item.note.about.transaction_id if isinstance(item.note, Relay) else ""
        return [*outcomes, *self._sweep(at, transaction_id)]

    def _drain_alone(self, at: Stamp, offline_since_mono_s: float | None) -> list[Outcome]:
        # A station that never comes back must not keep its transactions from the CSMS.
        assert self.link is not None
        if self.link.is_open and not self._answers.held and not self.outbox.speaks(self._settling.dialect().subprotocol):
            return self.hang_up("queue is empty")
        waited = offline_since_mono_s is not None and at.mono_s - offline_since_mono_s >= OFFLINE_DRAIN_AFTER_S
        if waited and len(self.outbox) and self.link.state is State.IDLE:
            self.link.want()
        return []

    def pump(self, at: Stamp) -> list[Outcome]:
        """Send what may go up now."""
        if self.link is None or not self.link.is_open or self.lane.ledger.pending:
            return []
        if not len(self.lane) and self._owes_nothing:
            return []
        outcomes = self._refill(at)
        item = self.lane.take(at.mono_s)
        return [*outcomes, SendUpstream(self.station_id, self.link.generation, item.text)] if item is not None else outcomes

    def _refill(self, at: Stamp) -> list[Outcome]:
        """Put our own next CALL in line: boot, then statuses, then one row of the outbox."""
        if self._owes_nothing:
            return []
        if any(item.owner is Owner.OURS for item in self.lane.waiting()):
            return []
        if self._leg_is_the_station_s and self._refill_owed(at):
            return []
        outcomes, row = self._replay.next(at, self._settling.dialect())
        if row is not None:
            self._offer_ours(row.action, row.request, row, at, Priority.HOUSEKEEPING)
        return outcomes

    @property
    def _owes_nothing(self) -> bool:
        return not len(self._replay.outbox) and not len(self._owed)

    @property
    def _leg_is_the_station_s(self) -> bool:
        # A queue may go up in words that the station spoke once; what is owed is in those it speaks now.
        return self.dialect is None or self._settling.dialect().subprotocol == self.dialect.subprotocol

    def _refill_owed(self, at: Stamp) -> bool:
        """Boot, then statuses; whether the outbox has to wait."""
        if self._owed.boot is not None:
            if self._owed.boot_due(at):
                self._offer_ours("BootNotification", self._owed.boot, OurBoot(), at, Priority.SAFETY)
            return True
        status = self._owed.next_status() if not self._owed.barred else None
        if status is not None:
            self._offer_ours("StatusNotification", status.payload, status, at, Priority.HOUSEKEEPING)
        return status is not None or self._owed.barred

    def _offer_ours(self, action: str, payload: Payload, note: Any, at: Stamp, priority: Priority) -> None:
        message_id = self._ids.fresh()
        self.lane.offer(Waiting(message_id, action, rpc.call_text(message_id, action, payload), Owner.OURS, priority, at.mono_s, note))

    @property
    def may_ask(self) -> bool:
        """Whether the CSMS is there and knows the station."""
        return self.upstream is policy.Upstream.OPEN and not self._owed.barred

    @property
    def at_leisure(self) -> bool:
        """Whether it misses nothing either: what can wait may go up now."""
        return self.may_ask and not self.queued

    def ask(self, at: Stamp, action: str, payload: Payload, done: Done) -> list[Outcome]:
        """Send a CALL of our own upstream, behind all others; ``done`` gets its answer, None when it does not come in time.

        When the CSMS goes away before, nobody is told: the asker hears of that by itself.
        """
        self._offer_ours(action, payload, OurAsked(done), at, Priority.HOUSEKEEPING)
        return self.pump(at)

    def offer_own(self, at: Stamp, action: str, payload: Payload) -> list[Outcome]:
        """Send a CALL of our own upstream whose answer nobody waits for, e.g. a report."""
        self._offer_ours(action, payload, None, at, Priority.RELAYED)
        return self.pump(at)
