"""What a station hears in answer to its CALLs: from the CSMS, or from here while that is away.

One place for three promises: a transaction message is on disk before its answer (P1), the same
message again gets the same answer and nothing twice (F15), and a 1.6 start that is answered here
bears an id of our own that is on disk together with it (traps 7, 8). It knows nothing of the way
up: ``uplink`` decides what is answered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from controller.facts import Fact, OutboxRow, Stamp
from controller.link import policy
from controller.link.held import NOTHING, About, Held, Relay, addressed
from controller.link.policy import Verb
from controller.link.repeats import Known, Repeats, key_of
from controller.link.replay import Replay
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, TransactionEvent
from controller.orders import CloseStation, Order, Persist, SendStation, Severity, Tell

Outcome = Order | Fact
Payload = dict[str, Any]
Lookup = Callable[[Payload, Stamp], "Payload | None"]
"""idToken -> idTokenInfo, see ``dialect.TokenLookup``."""
PLACES_KEPT: Final = 256
"""Transactions whose EVSE is remembered."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the session wants to hear.

    boot_answered(at, text): an answer to a BootNotification goes down. started(at, call, id): the
    station has its answer to a start that had no id of its own; it may be told again for a repeat.
    unwanted(at, id): the CSMS does not accept the driver of a transaction that began without it. heard(at, action,
    request, result): the CSMS has answered a message of the station, now or later.
    """

    boot_answered: Callable[[Stamp, str], list[Outcome]]
    started: Callable[[Stamp, rpc.Call, str], list[Outcome]]
    unwanted: Callable[[Stamp, str], list[Outcome]]
    heard: Callable[[Stamp, str, Payload, Payload], list[Outcome]] = lambda at, action, request, result: []


class Answering:
    """One station's answers. keeps: whether there is a CSMS that must hear of what is answered here."""

    __slots__ = (
        "_about_call",
        "_about_it",
        "_hooks",
        "_lookup",
        "_places",
        "_replay",
        "_tokens",
        "_unsafe_generation",
        "dialect",
        "generation",
        "held",
        "keeps",
        "repeats",
        "station_id",
    )

    def __init__(self, station_id: str, keeps: bool, replay: Replay, tokens: Callable[[], int], lookup: Lookup, hooks: Hooks) -> None:
        self.station_id = station_id
        self.dialect: Dialect | None = None
        self.generation: int | None = None
        self.held: dict[int, Held] = {}
        self.repeats = Repeats()
        self.keeps = keeps
        self._replay = replay
        self._tokens = tokens
        self._lookup = lookup
        self._hooks = hooks
        self._unsafe_generation: int | None = None
        self._about_call: rpc.Call | None = None
        self._about_it = NOTHING
        self._places: dict[str, int] = {}

    def connected(self, generation: int, dialect: Dialect) -> None:
        """The station's socket is open."""
        self.generation, self.dialect = generation, dialect
        self._about_call = None
        self.repeats.connected()

    def about(self, call: rpc.Call) -> About:
        """What the link must know of a CALL; worked out once."""
        if call is not self._about_call:
            event = self.dialect.transaction_event(call.action, call.payload) if self.dialect is not None else None
            self._about_call = call
            self._about_it = About(event, key_of(call.action, event.key)) if event is not None else NOTHING
            if event is not None:
                self._note_place(event.transaction_id, event.evse_id)
        return self._about_it

    def _note_place(self, transaction_id: str, evse_id: int) -> None:
        if transaction_id and evse_id and self._places.get(transaction_id) != evse_id:
            self._places[transaction_id] = evse_id
            if len(self._places) > PLACES_KEPT:
                del self._places[next(iter(self._places))]

    def may_follow(self, start: TransactionEvent | None, waiting: Iterable[str]) -> bool:
        """Whether a start may go before the queued transactions ``waiting``: not before one of its own EVSE, or of an unknown one."""
        evse_id = start.evse_id if start is not None else 0
        return bool(evse_id) and all(self._places.get(transaction_id, evse_id) != evse_id for transaction_id in waiting)

    @property
    def version(self) -> str:
        """The station's subprotocol."""
        assert self.dialect is not None
        return self.dialect.subprotocol

    # -- repeats --------------------------------------------------------------------------------------

    def again(self, at: Stamp, call: rpc.Call) -> list[Outcome] | None:
        """Outcomes for a CALL that has its answer, or will have it when the disk has it; None for any other."""
        about = self.about(call)
        known = self.repeats.of_key(about.key) or self.repeats.of_id(call, at.mono_s)
        if known is None and not self.held:
            return None
        if known is not None:
            return self._known(at, call, about, known)
        for held in self.held.values():
            if held.is_same(call, about.key):
                held.join(self.generation, call.message_id)
                return []
        return None

    def _known(self, at: Stamp, call: rpc.Call, about: About, known: Known) -> list[Outcome] | None:
        if known.answer_text is not None:
            outcomes = self.send(addressed(known.answer_text, call.message_id, self.version))
            return outcomes + (self._hooks.started(at, call, known.transaction_id) if about.begins else [])
        answer = self._own_answer(at, call)
        if answer is None or self.dialect is None:
            return None
        if about.begins:
            answer = self.dialect.assign_transaction(answer, known.transaction_id)
        return self.result(at, call, about, rpc.result_text(call.message_id, answer), known.transaction_id)

    # -- answers from here ------------------------------------------------------------------------------

    def local(self, at: Stamp, call: rpc.Call, verb: Verb, also: tuple[str, ...] = (), relay: Relay | None = None) -> list[Outcome]:
        """Answer without the CSMS: at once, after the disk has it, or with an error where there is no answer.

        also: ids under which it came again. relay: it went up before, and its answer may still come.
        """
        about = relay.about if relay is not None else self.about(call)
        answer = None if verb is Verb.REFUSE else self._own_answer(at, call)
        if answer is None:
            if not self.keeps:
                return self.error(call, "NotImplemented", "unknown here, and there is no CSMS to ask", also)
            return self.error(call, "GenericError", "the CSMS is away; send again later", also)
        if verb is Verb.HOLD or about.begins:
            return self._hold(at, call, about, answer, also, relay)
        return self.result(at, call, about, rpc.result_text(call.message_id, answer), also=also)

    def _own_answer(self, at: Stamp, call: rpc.Call) -> Payload | None:
        assert self.dialect is not None
        return self.dialect.answer(at, call.action, call.payload, lambda token: self._lookup(token, at))

    def _hold(self, at: Stamp, call: rpc.Call, about: About, answer: Payload, also: tuple[str, ...], relay: Relay | None) -> list[Outcome]:
        assert self.dialect is not None
        transaction_id = about.transaction_id
        if about.begins:
            transaction_id = self._replay.ids.fresh(at)
            answer = self.dialect.assign_transaction(answer, transaction_id)
            self._note_place(transaction_id, about.event.evse_id if about.event is not None else 0)
        rows = (self._row(at, call, about, transaction_id),) if self.keeps else ()
        return self.store(Held(call, about, rpc.result_text(call.message_id, answer), transaction_id, relay=relay), rows, also)

    def store(self, held: Held, rows: tuple[OutboxRow, ...], also: tuple[str, ...]) -> list[Outcome]:
        """On disk first; ``persisted`` answers. A local transaction id is written together with the row that bears it."""
        held.waiting = [(self.generation, message_id) for message_id in (held.call.message_id, *also)]
        token = self._tokens()
        self.held[token] = held
        return [Persist(token, rows, self._replay.memory() if held.about.begins else {})]

    def _row(self, at: Stamp, call: rpc.Call, about: About, transaction_id: str) -> OutboxRow:
        assert self.dialect is not None
        payload = self._replay.as_stored(self.dialect, call.action, call.payload)
        values_of = transaction_id or f"evse {self.dialect.status_key(call.payload)[0]}"
        return OutboxRow(
            0,
            self.station_id,
            transaction_id,
            call.action,
            rpc.call_text(call.message_id, call.action, payload),
            at.wall_s,
            version=self.version,
            key=about.key,
            values_of=values_of if self.dialect.thinnable(call.action, call.payload) else "",
        )

    def aside(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """Refuse a message about a driver in the words of its version, and keep it for a person to judge (F14)."""
        assert self.dialect is not None
        about = self.about(call)
        answer = self.dialect.answer(at, call.action, call.payload, lambda token: {"status": "Invalid"})
        rows = (replace(self._row(at, call, about, about.transaction_id), parked=True),) if self.keeps else ()
        return self.store(Held(call, about, rpc.result_text(call.message_id, answer or {}), about.transaction_id), rows, ())

    def holds(self, transaction_id: str) -> bool:
        """Whether a message of this transaction is on its way to the disk."""
        return any(held.transaction_id == transaction_id for held in self.held.values())

    def persisted(self, at: Stamp, held: Held) -> list[Outcome]:
        """The journal has it: answer under every id it came with on this connection."""
        self._keep(at, held.call, held.about, held.about.key, held.answer_text, held.transaction_id)
        if self.generation is None or self.generation == self._unsafe_generation:
            return []
        ids = [message_id for generation, message_id in held.waiting if generation == self.generation]
        outcomes = self._also(held.answer_text, tuple(ids))
        return outcomes + (self._hooks.started(at, held.call, held.transaction_id) if ids and held.about.begins else [])

    def failed(self, held: Held) -> list[Outcome]:
        """The journal could not write it. If even the reserve is full, an honest closed socket beats a false answer (F73)."""
        text = "disk cannot take transaction messages - socket closed so that the station queues; free disk space"
        told = Tell(Severity.ALARM, self.station_id, text)
        if self.generation is None or all(generation != self.generation for generation, _ in held.waiting):
            return [told]
        # Nothing later is acknowledged on this socket either: the station repeats all of it, in order.
        self._unsafe_generation = self.generation
        return [told, CloseStation(self.station_id, self.generation, 1013, "cannot store")]

    # -- down ------------------------------------------------------------------------------------------------

    def result(
        self, at: Stamp, call: rpc.Call, about: About, text: str, transaction_id: str = "", also: tuple[str, ...] = (), live: bool = False
    ) -> list[Outcome]:
        """A CALLRESULT goes down. transaction_id: of a start, as the station will call it. live: it is the CSMS's own.

        What the CSMS answered is known by its content only if it started a transaction: all else that
        comes again under a new id is the CSMS's business (P8).
        """
        if about.begins and about.event is not None:
            self._note_place(transaction_id, about.event.evse_id)
        self._keep(at, call, about, about.key if about.starts or not live else "", text, transaction_id)
        outcomes = [*self.send(text), *self._also(text, also), *self._boot(at, call, text)]
        return outcomes + (self._hooks.started(at, call, transaction_id) if about.begins and transaction_id else [])

    def refusal(self, at: Stamp, call: rpc.Call, frame: rpc.Error, also: tuple[str, ...]) -> list[Outcome]:
        """A CALLERROR of the CSMS goes down; a repeat of the message is a new one after it."""
        text = frame.text
        if frame.message_id != call.message_id:
            text = rpc.error_text(call.message_id, frame.code, frame.description, frame.details, version=self.version)
        return [*self.send(text), *self._also(text, also), *self._boot(at, call, text)]

    def error(self, call: rpc.Call, code: str, description: str, also: tuple[str, ...] = ()) -> list[Outcome]:
        """A CALLERROR of our own."""
        text = rpc.error_text(call.message_id, code, description, version=self.version)
        return [*self.send(text), *self._also(text, also)]

    def _also(self, text: str, also: tuple[str, ...]) -> list[Outcome]:
        """The same answer under the ids of repeats."""
        return [outcome for message_id in also for outcome in self.send(addressed(text, message_id, self.version))]

    def _boot(self, at: Stamp, call: rpc.Call, text: str) -> list[Outcome]:
        return self._hooks.boot_answered(at, text) if call.action == "BootNotification" else []

    def _keep(self, at: Stamp, call: rpc.Call, about: About, key: str, text: str, transaction_id: str) -> None:
        if about.ends:
            self.repeats.ended(about.transaction_id)
        if key or policy.from_station(self.version, call.action, policy.Upstream.AWAY) is Verb.HOLD:
            self.repeats.keep(call, key, text, at.mono_s, transaction_id or about.transaction_id, about.begins)

    def send(self, text: str) -> list[Outcome]:
        """A frame to the station, if it is there."""
        return [SendStation(self.station_id, self.generation, text)] if self.generation is not None else []
