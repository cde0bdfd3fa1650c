"""A mirror: another CSMS that is told what one station says, and nothing more.

It gets a copy of every CALL (and 2.1 SEND) of the station, in order, under ids of ours, one in flight.
Its answers end here and never reach the station; while it is away copies wait in memory, bounded, the
oldest leave first. It never delays the primary: it has a leg, a queue and dials of its own. Where the
CSMS names the transactions (1.6) each mirror has named them its own way, so its ids are mapped by what
it answered; a transaction whose start it has not heard of is -1 (16E 3.18).

Its own CALLs are refused with the action's own "no" unless ``commands.allow`` names them; then they go
down under ids of ours and the answer comes back to this mirror alone. What would touch profiles,
passwords or where the station dials stays refused: that is the primary's business (policy table).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from controller.config import UpstreamConfig
from controller.facts import Fact, Stamp
from controller.link.commands import CommandPolicy
from controller.link.downlink import Done
from controller.link.ids import IdSource
from controller.link.upstream import State, UpstreamLink
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.orders import CloseUpstream, DialUpstream, Order, SendUpstream, Severity, Tell
from controller.snapshot import MirrorView

Outcome = Order | Fact
Payload = dict[str, Any]
Ask = Callable[[Stamp, rpc.Call, Done], "list[Outcome] | None"]
"""Gives a CALL to the station if the safety rules let it pass; None = refuse it."""

COPIES_KEPT: Final = 1000
COPIES_KEPT_BYTES: Final = 256 * 1024
"""Of one station for one mirror, the newest copy always; a thousand large ones would take a quarter of a gigabyte."""
TRANSACTIONS_KEPT: Final = 64
CALLS_AT_ONCE: Final = 8
SILENCES: Final = 2
"""Unanswered messages in a row after which the mirror's socket counts as dead."""
BOOT_RETRY_S: Final = 30.0
UNKNOWN: Final = "-1"


@dataclass(frozen=True, slots=True)
class Copy:
    """What the station said, as it came; read again when its turn comes. key: the message id it said it under."""

    action: str
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The copy in flight. payload: as the station said it."""

    message_id: str
    copy: Copy
    payload: Payload
    deadline_mono_s: float


class TransactionNames:
    """What station and mirror call the same transaction, joined by the start message. Bounded, oldest first out."""

    __slots__ = ("_of_mirror", "_of_station")

    def __init__(self) -> None:
        self._of_station: dict[str, str] = {}
        self._of_mirror: dict[str, str] = {}

    def begun(self, key: str) -> None:
        """The message ``key`` starts a transaction; the mirror is told of it."""
        _keep(self._of_mirror, key, UNKNOWN)

    def station_named(self, key: str, transaction_id: str) -> None:
        """The station goes by this id for the transaction that ``key`` started. A start told again under another key changes nothing."""
        if key in self._of_mirror:
            _keep(self._of_station, transaction_id, key)

    def mirror_named(self, key: str, transaction_id: str) -> None:
        """The mirror has answered the start with its own id."""
        if key in self._of_mirror:
            self._of_mirror[key] = transaction_id

    def to_mirror(self, transaction_id: str) -> str:
        """What the mirror calls a transaction of the station; -1 if it never named it."""
        return self._of_mirror.get(self._of_station.get(transaction_id, ""), UNKNOWN)

    def to_station(self, transaction_id: str) -> str | None:
        """What the station calls a transaction of the mirror; None if the mirror never named it so."""
        keys = {key for key, named in self._of_mirror.items() if named == transaction_id}
        return next((station for station, key in reversed(self._of_station.items()) if key in keys), None)


def _keep(names: dict[str, str], key: str, value: str) -> None:
    names.pop(key, None)
    names[key] = value
    if len(names) > TRANSACTIONS_KEPT:
        del names[next(iter(names))]


class Mirror:
    """One station's leg to one mirror. may_dial: turns of all mirrors' dials, apart from the primaries'. ask: the way to the station."""

    __slots__ = (
        "_ask",
        "_asked",
        "_boot",
        "_bytes",
        "_commands",
        "_dialect",
        "_ids",
        "_lossy",
        "_may_dial",
        "_names",
        "_not_before_mono_s",
        "_queue",
        "_sent",
        "_silences",
        "_station_id",
        "_told_away",
        "_told_version",
        "_upstream",
        "_url_tail",
        "link",
    )

    def __init__(self, station_id: str, upstream: UpstreamConfig, ids: IdSource, may_dial: Callable[[Stamp], bool], ask: Ask) -> None:
        self._station_id = station_id
        self._upstream = upstream
        self._ids = ids
        self._may_dial = may_dial
        self._ask = ask
        self.link = UpstreamLink(f"{station_id} {upstream.id}", upstream.reconnect_min_s, upstream.reconnect_max_s)
        self._commands = CommandPolicy(station_id, upstream.id, upstream.commands, mirror=True)
        self._queue: deque[Copy] = deque()
        self._bytes = 0
        self._names = TransactionNames()
        self._asked: set[str] = set()
        self._dialect: Dialect | None = None
        self._url_tail = ""
        self._boot = ""
        self._sent: Sent | None = None
        self._not_before_mono_s = float("-inf")
        self._silences = 0
        self._lossy = self._told_away = self._told_version = False

    @property
    def mirror_id(self) -> str:
        """Its id in the configuration."""
        return self._upstream.id

    def view(self) -> MirrorView:
        """What the page shows."""
        return MirrorView(self.mirror_id, "open" if self.link.is_open else "away", len(self._queue) + (self._sent is not None))

    # -- the station's side -----------------------------------------------------------------------------

    def connected(self, dialect: Dialect, url_tail: str) -> list[Outcome]:
        """The station's socket is open."""
        outcomes = self._hang_up("the station connected anew")
        if self._dialect is not None and self._dialect.subprotocol != dialect.subprotocol:
            # Written in the words of the other version: they would mean nothing now.
            self._queue.clear()
            self._bytes, self._boot = 0, ""
        self._dialect, self._url_tail = dialect, url_tail
        self.link.want()
        return outcomes

    def disconnected(self) -> list[Outcome]:
        """The station's socket is gone: the mirror shall know as the primary does (F01)."""
        return self._hang_up("station disconnected")

    def copy(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """The station said something."""
        if call.action == "BootNotification":
            self._boot = call.text
            if not self.link.is_open:
                return []  # told first of all when the mirror is there
        if self._dialect is not None and self._dialect.assigns_transactions:
            event = self._dialect.transaction_event(call.action, call.payload)
            if event is not None and event.started:
                self._names.begun(call.message_id)
        self._queue.append(Copy(call.action, call.text, call.message_id))
        self._bytes += len(call.text)
        return [*(self._leave_out() if self._too_many() else []), *self.pump(at)]

    def _too_many(self) -> bool:
        return len(self._queue) > COPIES_KEPT or (self._bytes > COPIES_KEPT_BYTES and len(self._queue) > 1)

    def _leave_out(self) -> list[Outcome]:
        while self._too_many():
            self._bytes -= len(self._queue.popleft().text)
        if self._lossy:
            return []
        self._lossy = True
        text = f"mirror {self.mirror_id} is too far behind - it gets the last {len(self._queue)} messages of the station and misses older ones"
        return [Tell(Severity.WARNING, self._station_id, text)]

    def send(self, frame: rpc.Send) -> list[Outcome]:
        """The station sent a SEND: now or never."""
        return [self._up(frame.text)] if self.link.is_open else []

    def started(self, key: str, transaction_id: str) -> None:
        """The station has got the id of the transaction that its message ``key`` started."""
        self._names.station_named(key, transaction_id)

    # -- the mirror's side --------------------------------------------------------------------------------

    def opened(self, at: Stamp, generation: int, version: str) -> list[Outcome]:
        """The mirror's socket is open."""
        if self._dialect is None or not self.link.opened(generation, at.mono_s):
            return []
        if version != self._dialect.subprotocol:
            return [*self._refused_version(at, generation), CloseUpstream(self._station_id, generation, "no common version", self.mirror_id)]
        self._silences, self._not_before_mono_s = 0, float("-inf")
        if self._boot:
            self._queue = deque(copy for copy in self._queue if copy.action != "BootNotification")
            self._queue.appendleft(Copy("BootNotification", self._boot, ""))
            self._bytes = sum(len(copy.text) for copy in self._queue)
        news = [Tell(Severity.INFO, self._station_id, f"mirror {self.mirror_id} is back")] if self._told_away or self._told_version else []
        self._told_away = self._told_version = False
        return [*news, *self.pump(at)]

    def closed(self, at: Stamp, generation: int, reason: str, no_common_version: bool = False) -> list[Outcome]:
        """The mirror's socket closed, or a dial failed."""
        if no_common_version and generation == self.link.generation:
            return self._refused_version(at, generation)
        if not self.link.closed(generation, at.mono_s, reason):
            return []
        self._unsent()
        if self._told_away or self._told_version:
            return []
        self._told_away = True
        text = f"mirror {self.mirror_id} is away ({reason}) - its copies wait in memory, at most {COPIES_KEPT}"
        return [Tell(Severity.INFO, self._station_id, text)]

    def _refused_version(self, at: Stamp, generation: int) -> list[Outcome]:
        assert self._dialect is not None
        self.link.closed(generation, at.mono_s, "another version")
        self._unsent()
        self._queue.clear()
        self._bytes = 0
        if self._told_version:
            return []
        self._told_version = True
        text = f"mirror {self.mirror_id} does not speak {self._dialect.subprotocol} as the station does - it is told nothing until it does"
        return [Tell(Severity.WARNING, self._station_id, text)]

    def frame(self, at: Stamp, generation: int, text: str, max_bytes: int) -> list[Outcome]:
        """One text message of the mirror."""
        if generation != self.link.generation or not self.link.is_open or self._dialect is None:
            return []
        version = self._dialect.subprotocol
        try:
            frame = rpc.parse(text, version=version, max_bytes=max_bytes)
        except rpc.FrameError as error:
            if error.message_type in (rpc.CALLRESULT, rpc.CALLERROR):
                return self._answered(at, error.message_id, None)
            return [] if error.ignore else [self._up(rpc.error_text(error.message_id, error.code, error.detail, version=version))]
        if isinstance(frame, rpc.Call):
            return self._call(at, frame)
        if isinstance(frame, rpc.Result | rpc.Error):
            return self._answered(at, frame.message_id, frame.payload if isinstance(frame, rpc.Result) else None)
        return []

    def _answered(self, at: Stamp, message_id: str, result: Payload | None) -> list[Outcome]:
        """An answer to a copy; None: an error, or one that cannot be read. It ends here."""
        sent = self._sent
        if sent is None or sent.message_id != message_id or self._dialect is None:
            return []
        self._sent, self._silences = None, 0
        named = self._dialect.started_by_answer(sent.copy.action, sent.payload, result) if result is not None else None
        if named is not None:
            self._names.mirror_named(sent.copy.key, named)
        if sent.copy.action == "BootNotification" and (result is None or self._dialect.boot_status(result) != "Accepted"):
            self._not_before_mono_s = at.mono_s + BOOT_RETRY_S
            self._again(sent.copy)
        return self.pump(at)

    # -- commands of the mirror ------------------------------------------------------------------------------

    def _call(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        reason = self._commands.refusal(call.action, at)
        if reason:
            return [*self._refuse(call), *self._commands.tell(call.action, reason, at)]
        if call.message_id in self._asked or len(self._asked) >= CALLS_AT_ONCE:
            return [self._error(call, "GenericError", "this id is in use or too many calls are waiting")]
        self._asked.add(call.message_id)
        translated, generation = self._for_station(call), self.link.generation
        outcomes = self._ask(at, translated, lambda _at, frame: self._reply(generation, call, frame)) if translated is not None else None
        if outcomes is None:
            return [*self._refuse(call), *self._commands.tell(call.action, "is not a mirror's to ask here", at)]
        return outcomes

    def _for_station(self, call: rpc.Call) -> rpc.Call | None:
        """The CALL with the station's own name of its transaction; None if the station knows no such transaction."""
        assert self._dialect is not None
        named = self._dialect.transaction_of_command(call.action, call.payload) if self._dialect.assigns_transactions else None
        if named is None:
            return call
        known = self._names.to_station(named)
        if known is None:
            return None
        payload = self._dialect.with_transaction(call.action, call.payload, known)
        return rpc.Call(call.message_id, call.action, payload, rpc.with_payload(call, payload))

    def _reply(self, generation: int, call: rpc.Call, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
        self._asked.discard(call.message_id)
        if generation != self.link.generation or not self.link.is_open:
            return []
        if frame is None:
            return [self._error(call, "GenericError", "station did not answer in time")]
        if isinstance(frame, rpc.Error):
            return [self._error(call, frame.code, frame.description)]
        return [self._up(rpc.result_text(call.message_id, frame.payload))]

    def _refuse(self, call: rpc.Call) -> list[Outcome]:
        assert self._dialect is not None
        self._asked.discard(call.message_id)
        payload = self._dialect.refuse(call.action, call.payload)
        if payload is None:
            return [self._error(call, "NotSupported", "not allowed for a mirror at this site")]
        return [self._up(rpc.result_text(call.message_id, payload))]

    def _error(self, call: rpc.Call, code: str, text: str) -> Order:
        assert self._dialect is not None
        return self._up(rpc.error_text(call.message_id, code, text, version=self._dialect.subprotocol))

    # -- time and sending ---------------------------------------------------------------------------------------

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed: deadlines, and the next dial when it is due."""
        outcomes: list[Outcome] = []
        if self._sent is not None and at.mono_s >= self._sent.deadline_mono_s:
            self._sent = None
            self._silences += 1
            if self._silences >= SILENCES:
                generation = self.link.generation
                outcomes = [CloseUpstream(self._station_id, generation, "no answer", self.mirror_id)]
                outcomes += self.closed(at, generation, "it does not answer")
        return [*outcomes, *self.pump(at), *self.dial(at)]

    def dial(self, at: Stamp) -> list[Outcome]:
        """Dial if it is due and it is our turn."""
        if self._dialect is None or not self.link.due(at.mono_s) or not self._may_dial(at):
            return []
        offered = (self._dialect.subprotocol,)
        return [DialUpstream(self._station_id, self.link.dial(), self.mirror_id, offered, self._url_tail, self.mirror_id)]

    def pump(self, at: Stamp) -> list[Outcome]:
        """Send the next copy if none is in flight."""
        if self._sent is not None or not self._queue or not self.link.is_open or at.mono_s < self._not_before_mono_s:
            return []
        copy = self._queue.popleft()
        self._bytes -= len(copy.text)
        self._lossy = self._lossy and bool(self._queue)
        message_id, payload = self._ids.fresh(), self._payload(copy)
        self._sent = Sent(message_id, copy, payload, at.mono_s + self._upstream.call_timeout_s)
        return [self._up(rpc.call_text(message_id, copy.action, self._for_mirror(copy.action, payload)))]

    def _payload(self, copy: Copy) -> Payload:
        assert self._dialect is not None
        frame = rpc.parse(copy.text, version=self._dialect.subprotocol, max_bytes=len(copy.text) * 4 + 4)
        assert isinstance(frame, rpc.Call)
        return frame.payload

    def _for_mirror(self, action: str, payload: Payload) -> Payload:
        """The payload with the mirror's own name of its transaction."""
        dialect = self._dialect
        event = dialect.transaction_event(action, payload) if dialect is not None and dialect.assigns_transactions else None
        if dialect is None or event is None or not event.transaction_id:
            return payload
        return dialect.with_transaction(action, payload, self._names.to_mirror(event.transaction_id))

    def _again(self, copy: Copy) -> None:
        self._queue.appendleft(copy)
        self._bytes += len(copy.text)

    def _unsent(self) -> None:
        """What was in flight goes again."""
        if self._sent is not None:
            self._again(self._sent.copy)
        self._sent = None
        self._asked.clear()

    def _hang_up(self, reason: str) -> list[Outcome]:
        self._unsent()
        if self.link.state in (State.IDLE, State.WAITING):
            self.link.release()
            return []
        self.link.release()
        return [CloseUpstream(self._station_id, self.link.generation, reason, self.mirror_id)]

    def _up(self, text: str) -> Order:
        return SendUpstream(self._station_id, self.link.generation, text, self.mirror_id)
