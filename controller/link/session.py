"""One station's state machine: a station link below, an upstream link above, profiles in between.

It decides for each frame where it goes (by ``policy``) and never what it means in watts. It must
never change a relayed text, let an answer to a CALL of ours leak upstream, or acknowledge a
transaction message that is neither upstream nor on disk. A session lives as long as the
station is configured; connections come and go under it, told apart by their generation.
Serves P1, P2, P7, P8; K01, K08-K10 towards the CSMS; faults F01-F08, F14-F16, F19-F28.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from controller.config import StationConfig, UpstreamConfig
from controller.facts import (
    EvseKey,
    Fact,
    OutboxRow,
    SessionChanged,
    SetpointAnswered,
    Stamp,
    StationOffline,
    StationOnline,
)
from controller.link import policy
from controller.link.auth_cache import AuthCache
from controller.link.downlink import Downlink
from controller.link.ids import IdSource
from controller.link.policy import Verb
from controller.link.profiles import Profiles, Transaction
from controller.link.uplink import Uplink
from controller.link.upstream import State, UpstreamLink
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, TransactionEvent
from controller.ocpp.registry import dialect_for
from controller.orders import CloseStation, DialUpstream, Order, Persist, SendStation, SendUpstream, Severity, Tell
from controller.snapshot import LinkView

Outcome = Order | Fact

# A 2.x station that reconnects need not boot again; one that stays silent is taken as accepted.
SILENT_START_S = 5.0
DEFAULT_VERSION = "ocpp2.0.1"
BAD_FRAMES_PER_MINUTE = 60
ENDED_KEPT = 16
"""Ids of ended transactions that late messages may still name (trap 9)."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions share."""

    ids: IdSource
    tokens: Callable[[], int]
    cache: AuthCache
    voltage_v: float
    max_frame_bytes: int
    may_dial: Callable[[Stamp], bool]
    stranger_of: Callable[[str, str], str]


class Session:
    """One configured station. Feed it facts; carry out what it returns."""

    def __init__(self, station: StationConfig, upstream: UpstreamConfig | None, shared: Shared) -> None:
        self.station_id = station.id
        self.upstream_id = upstream.id if upstream is not None else ""
        self.generation: int | None = None
        self.last_generation = 0
        self.remote_address = ""
        self.version = DEFAULT_VERSION
        self.online = False
        self._booting = False
        self._url_tail = ""
        self._since_mono_s: float | None = None
        self._bad_frames = (0, 0)
        link = None
        if upstream is not None:
            link = UpstreamLink(station.id, upstream.reconnect_min_s, upstream.reconnect_max_s)
        timeout_s = upstream.call_timeout_s if upstream is not None else 30.0
        transparent = upstream is not None and upstream.outage == "transparent"
        self._phases = {evse.id: len(evse.phases) for evse in station.evses}
        self._ended: deque[str] = deque(maxlen=ENDED_KEPT)
        self._stranger_of = shared.stranger_of
        self.up = Uplink(station.id, link, timeout_s, transparent, shared.ids, shared.tokens, shared.cache, self._boot_answer)
        self.down = Downlink(station.id, shared.ids, shared.voltage_v, self._relayed_answer)
        self._may_dial = shared.may_dial
        self._cache = shared.cache
        self._max_frame_bytes = shared.max_frame_bytes
        self.profiles = Profiles(station.id, self._phases, shared.tokens, shared.voltage_v, self.down)
        self.transactions: dict[int, Transaction] = {}

    # -- life -----------------------------------------------------------------------------------

    def restore(self, at: Stamp, rows: tuple[OutboxRow, ...], link: Any, profiles: Any, boot: Any) -> list[Outcome]:
        """What the journal remembered: queued messages first, then what may be damaged without losing them."""
        self._since_mono_s = at.mono_s
        self.up.dialect = dialect_for(DEFAULT_VERSION)
        self.up.restore(rows, boot)
        try:
            if isinstance(link, dict):
                self._restore_link(link)
            self.profiles.load(profiles)
        except (AttributeError, KeyError, TypeError, ValueError):
            return [Tell(Severity.WARNING, self.station_id, "remembered transactions or profiles cannot be read - the station will tell them anew")]
        return []

    def _restore_link(self, link: dict[str, Any]) -> None:
        version = str(link.get("version", DEFAULT_VERSION))
        self.version = version if dialect_for(version) is not None else DEFAULT_VERSION
        self.up.dialect = dialect_for(self.version)
        for key, value in link.get("transactions", {}).items():
            if int(key) in self._phases:
                self.transactions[int(key)] = Transaction(str(value["id"]), float(value["start_wall_s"]))

    def connected(self, at: Stamp, generation: int, version: str, remote_address: str, url_tail: str) -> list[Outcome]:
        """The station's WebSocket is open (admission and duplicates are decided before)."""
        dialect = dialect_for(version)
        if generation <= self.last_generation or dialect is None:
            return []
        outcomes = self.disconnected(at, self.generation, "replaced by a new connection") if self.generation is not None else []
        self.generation = self.last_generation = generation
        self.version, self.remote_address, self._url_tail = version, remote_address, url_tail
        self.online, self._booting, self._since_mono_s = False, False, at.mono_s
        self.down.connected(generation, dialect)
        self.profiles.dialect = dialect
        outcomes += self.up.connected(generation, dialect)
        outcomes.append(Tell(Severity.INFO, self.station_id, f"station connected from {remote_address} with {version}"))
        return outcomes + self.dial(at)

    def disconnected(self, at: Stamp, generation: int | None, reason: str) -> list[Outcome]:
        """The station's WebSocket is gone; a late close of an older connection changes nothing (F10)."""
        if generation is None or generation != self.generation:
            return []
        self.generation = None
        self._since_mono_s = at.mono_s
        outcomes = [*self.down.disconnected(at), *self.up.disconnected()]
        if self.online:
            self.online = False
            outcomes.append(StationOffline(at, self.station_id))
        outcomes.append(Tell(Severity.WARNING, self.station_id, f"station disconnected ({reason}) - its fallback holds until it is back"))
        return outcomes

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed."""
        outcomes: list[Outcome] = []
        silent = self.generation is not None and not self.online and self._since_mono_s is not None
        if silent and not self._booting and at.mono_s - (self._since_mono_s or 0.0) >= SILENT_START_S:
            outcomes += self._go_online(at)
        outcomes += self.down.tick(at, self._upstream_generation())
        outcomes += self.up.tick(at, self._since_mono_s if self.generation is None else None)
        outcomes += self.profiles.tick(at, self.transactions)
        return outcomes + self.dial(at)

    def dial(self, at: Stamp) -> list[Outcome]:
        """Dial upstream if it is due; dials of all stations are spread (F12)."""
        link = self.up.link
        if link is None or not link.due(at.mono_s) or not self._may_dial(at):
            return []
        return [DialUpstream(self.station_id, link.dial(), self.upstream_id, (self.version,), self._url_tail)]

    def _go_online(self, at: Stamp) -> list[Outcome]:
        if self.online:
            return []
        self.online = True
        return [StationOnline(at, self.station_id, self.version), *self._running(at), *self.profiles.wishes(at, self.transactions)]

    def _running(self, at: Stamp) -> list[Outcome]:
        # After a restart the site knows of no session, and a station may say nothing for a quarter of an hour (P9).
        return [
            SessionChanged(at, EvseKey(self.station_id, evse_id), running.transaction_id, None, started=False, ended=False)
            for evse_id, running in self.transactions.items()
        ]

    def _upstream_generation(self) -> int | None:
        link = self.up.link
        return link.generation if link is not None and link.is_open else None

    # -- frames from below -------------------------------------------------------------------------

    def station_frame(self, at: Stamp, generation: int, text: str) -> list[Outcome]:
        """One text message of the station."""
        if generation != self.generation:
            return []
        try:
            frame = rpc.parse(text, version=self.version, max_bytes=self._max_frame_bytes)
        except rpc.FrameError as error:
            return self._bad_frame(at, error)
        if isinstance(frame, rpc.Call):
            return self._station_call(at, frame)
        if isinstance(frame, rpc.Result | rpc.Error):
            return self._after(at, self.down.answer(at, frame, self._upstream_generation()))
        # SEND and CALLRESULTERROR exist from 2.1 on and are never answered: they just pass.
        upstream_generation = self._upstream_generation()
        return [SendUpstream(self.station_id, upstream_generation, frame.text)] if upstream_generation is not None else []

    def _after(self, at: Stamp, outcomes: list[Outcome]) -> list[Outcome]:
        """A station that knows no such transaction has lost it without a word: so do we, and it gets a default next."""
        more: list[Outcome] = []
        for outcome in outcomes:
            lost = isinstance(outcome, SetpointAnswered) and not outcome.accepted and "TxNotFound" in outcome.reason
            running = self.transactions.get(outcome.evse.evse_id) if isinstance(outcome, SetpointAnswered) and lost else None
            if isinstance(outcome, SetpointAnswered) and running is not None:
                more.append(SessionChanged(at, outcome.evse, running.transaction_id, None, ended=True))
                more += self._forget_transaction(at, outcome.evse.evse_id)
        return outcomes + more

    def _relayed_answer(self, at: Stamp, call: rpc.Call, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
        """The station's answer to a CALL of the CSMS has passed, or never came."""
        payload = frame.payload if isinstance(frame, rpc.Result) else None
        if call.action == "RequestStartTransaction":
            return self.profiles.start_answered(at, call, payload, self.transactions)
        if payload is None:
            return []
        outcomes: list[Outcome] = []
        for token, info in self._dialect().listed_tokens(call.action, call.payload, payload):
            remember = self._cache.learn(token, info, at.wall_s)
            if remember:
                outcomes.append(Persist(0, remember=remember))
        return outcomes

    def _bad_frame(self, at: Stamp, error: rpc.FrameError) -> list[Outcome]:
        assert self.generation is not None
        minute = int(at.mono_s // 60)
        count = self._bad_frames[1] + 1 if self._bad_frames[0] == minute else 1
        self._bad_frames = (minute, count)
        if count > BAD_FRAMES_PER_MINUTE:
            return [CloseStation(self.station_id, self.generation, 1008, "too many broken messages")]
        outcomes: list[Outcome] = []
        if count == 1:
            outcomes.append(Tell(Severity.WARNING, self.station_id, f"broken message refused: {error.detail} ({error.code})"))
        if error.message_type in (3, 4):
            outcomes += self.down.answer(at, self._broken_answer(error), self._upstream_generation())
        if not error.ignore:
            outcomes.append(
                SendStation(self.station_id, self.generation, rpc.error_text(error.message_id, error.code, error.detail, version=self.version))
            )
        return outcomes

    def _broken_answer(self, error: rpc.FrameError) -> rpc.Error:
        """A broken answer is an answer all the same: whoever waits for it need not wait longer."""
        text = rpc.error_text(error.message_id, "GenericError", f"broken answer: {error.detail}", version=self.version)
        return rpc.Error(error.message_id, "GenericError", error.detail, {}, text)

    def _station_call(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        repeated = self.up.repeated(at, call)
        if repeated is not None:
            return repeated
        outcomes: list[Outcome] = []
        if call.action == "BootNotification":
            self._booting = True
            outcomes += self._rebooted(at)
        elif not self.online and not self._booting:
            outcomes += self._go_online(at)
        outcomes += self._observe(at, call)
        outcomes += self.up.call(at, call)
        return outcomes

    def _rebooted(self, at: Stamp) -> list[Outcome]:
        # After a boot nothing is known to be installed: the site must confirm the floor anew (F08).
        self.down.rebooted()
        if not self.online:
            return []
        self.online = False
        return [StationOffline(at, self.station_id)]

    def _boot_answer(self, at: Stamp, text: str) -> list[Outcome]:
        """An answer to the station's BootNotification goes down: from now on it takes commands, or not."""
        frame = rpc.parse(text, version=self.version, max_bytes=self._max_frame_bytes)
        if not isinstance(frame, rpc.Result) or self.down.dialect is None:
            self._booting = False  # no verdict: what it does next decides
            return []
        self._booting = self.down.dialect.boot_status(frame.payload) == "Rejected"
        # Pending stations answer commands too (B02); local control does not wait for the CSMS (F32).
        return [] if self._booting else self._go_online(at)

    def _observe(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        dialect = self._dialect()
        event = dialect.transaction_event(call.action, call.payload)
        evse_hint = self._place(event) if event is not None else 0
        facts = dialect.observe(at, self.station_id, call.action, call.payload, evse_hint)
        if event is None:
            return list(facts)
        running = self.transactions.get(evse_hint)
        if event.ended and running is not None and running.transaction_id == event.transaction_id:
            # However late it comes, the end of the running transaction is news (E04).
            facts = [replace(fact, live=True) if isinstance(fact, SessionChanged) else fact for fact in facts]
        return [*facts, *(self._book(at, evse_hint, event) if evse_hint in self._phases else [])]

    def _place(self, event: TransactionEvent) -> int:
        """EVSE of an event: as it says, as its transaction is known, or the only one there is; else 0."""
        known = event.evse_id or self._evse_of(event.transaction_id)
        return known or (next(iter(self._phases)) if len(self._phases) == 1 else 0)

    def _book(self, at: Stamp, evse_id: int, event: TransactionEvent) -> list[Outcome]:
        """Keep the picture of running transactions. Old news never displaces what runs (F16)."""
        running = self.transactions.get(evse_id)
        mine = running is not None and running.transaction_id == event.transaction_id
        outcomes = [] if mine else self._strange(event.transaction_id)
        if event.ended:
            self._ended.append(event.transaction_id)
            return outcomes + (self._forget_transaction(at, evse_id) if mine else [])
        if not mine:
            if event.transaction_id in self._ended or (running is not None and event.offline):
                return outcomes
            outcomes += self._begin(at, evse_id, event.transaction_id)
        return [*outcomes, *self.profiles.seen(at, evse_id, event, self.transactions)]

    def _begin(self, at: Stamp, evse_id: int, transaction_id: str) -> list[Outcome]:
        self.down.transaction_ended(evse_id)
        self.transactions[evse_id] = Transaction(transaction_id, at.wall_s)
        return [*self.profiles.started(at, evse_id, transaction_id, self.transactions), self._remember()]

    def _strange(self, transaction_id: str) -> list[Outcome]:
        """A transaction belongs to one station (F14). The message passes all the same: upstream it is bound to its own leg."""
        other = self._stranger_of(self.station_id, transaction_id)
        text = f"a transaction that runs at {other} is reported here too - one of the two stations is wrong; check their identities"
        return [Tell(Severity.ALARM, self.station_id, text)] if other else []

    def _forget_transaction(self, at: Stamp, evse_id: int) -> list[Outcome]:
        gone = self.transactions.pop(evse_id)
        self.down.transaction_ended(evse_id)
        return [*self.profiles.ended(at, evse_id, gone.transaction_id, self.transactions), self._remember()]

    def _evse_of(self, transaction_id: str) -> int:
        return next((evse for evse, running in self.transactions.items() if running.transaction_id == transaction_id), 0)

    def _remember(self) -> Persist:
        running = {str(evse): {"id": t.transaction_id, "start_wall_s": t.start_wall_s} for evse, t in self.transactions.items()}
        return Persist(0, remember={("link", self.station_id): {"version": self.version, "transactions": running}})

    def _dialect(self) -> Dialect:
        assert self.down.dialect is not None
        return self.down.dialect

    # -- frames from above ----------------------------------------------------------------------------

    def opened(self, at: Stamp, generation: int, version: str) -> list[Outcome]:
        """The upstream socket is open."""
        return self.up.opened(generation, at)

    def closed(self, at: Stamp, generation: int, reason: str) -> list[Outcome]:
        """The upstream socket closed or a dial failed."""
        if generation != self._leg_generation():
            return []
        self.down.forget_csms()
        return self.up.closed(generation, at, reason)

    def _leg_generation(self) -> int | None:
        """Generation of the upstream leg that is open or being dialled."""
        link = self.up.link
        return link.generation if link is not None and link.state in (State.OPEN, State.DIALLING) else None

    def csms_frame(self, at: Stamp, generation: int, text: str) -> list[Outcome]:
        """One text message of the CSMS."""
        if generation != self._upstream_generation():
            return []
        try:
            frame = rpc.parse(text, version=self.version, max_bytes=self._max_frame_bytes)
        except rpc.FrameError as error:
            if error.message_type in (3, 4):
                return self.up.answer(at, self._broken_answer(error))
            answer = rpc.error_text(error.message_id, error.code, error.detail, version=self.version)
            return [] if error.ignore else [SendUpstream(self.station_id, generation, answer)]
        if isinstance(frame, rpc.Call):
            return self._csms_call(at, generation, frame)
        if isinstance(frame, rpc.Result | rpc.Error):
            return self.up.answer(at, frame)
        return [SendStation(self.station_id, self.generation, frame.text)] if self.generation is not None else []

    def _csms_call(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome]:
        if self.generation is None:
            return [self._to_csms(generation, rpc.error_text(call.message_id, "GenericError", "station is offline", version=self.version))]
        verb = policy.from_csms(self.version, call.action)
        if verb is Verb.REFUSE:
            return self._refuse(generation, call)
        if verb is Verb.INTERCEPT:
            handled = self._intercept(at, generation, call)
            if handled is not None:
                return handled
        return self._pass_down(at, generation, call, None)

    def _pass_down(self, at: Stamp, generation: int, call: rpc.Call, text: str | None) -> list[Outcome]:
        outcomes = self.down.relay(at, call, generation, text)
        if outcomes is not None:
            return outcomes
        text = rpc.error_text(call.message_id, "GenericError", "this id is in use or too many calls are waiting", version=self.version)
        return [self._to_csms(generation, text)]

    def _refuse(self, generation: int, call: rpc.Call) -> list[Outcome]:
        payload = self._dialect().refuse(call.action, call.payload)
        if payload is None:
            text = rpc.error_text(call.message_id, "NotSupported", "not allowed at this site", version=self.version)
        else:
            text = rpc.result_text(call.message_id, payload)
        told = Tell(
            Severity.WARNING, self.station_id, f"{call.action} from the CSMS refused: it would change the link between station and Yardmaster"
        )
        return [self._to_csms(generation, text), told]

    def _intercept(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        """Outcomes for a CALL of the table's "intercept" kind; None when it may pass after all."""
        dialect = self._dialect()
        if call.action == "SetVariables":
            return self._refuse(generation, call) if dialect.risky_variables(call.payload) else None
        if call.action == "GetTransactionStatus":
            if not self.up.queued:
                return None
            running = {t.transaction_id for t in self.transactions.values()}
            payload = dialect.queue_status(call.payload, running, self.up.outbox.transactions(), True)
            return [self._to_csms(generation, rpc.result_text(call.message_id, payload))]
        if call.action == "RequestStartTransaction":
            return self._start_with_profile(at, generation, call)
        return self.profiles.csms_call(at, generation, call, self.transactions, self.up.offer_own)

    def _start_with_profile(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        dialect = self._dialect()
        profile = dialect.profile_in_start(call.payload)
        if profile is None:
            return None
        refusal = self.profiles.remote_start(at, call, profile)
        if refusal is not None:
            return [self._to_csms(generation, rpc.result_text(call.message_id, refusal))]
        return self._pass_down(at, generation, call, rpc.with_payload(call, dialect.without_profile(call.payload)))

    def _to_csms(self, generation: int, text: str) -> Order:
        return SendUpstream(self.station_id, generation, text)

    # -- orders of the site, storage -----------------------------------------------------------------------

    def carry(self, order: Order, evse: EvseKey, at: Stamp) -> list[Outcome]:
        """One of the site's internal orders for an EVSE of this station."""
        running = self.transactions.get(evse.evse_id)
        return self.down.carry(order, at, running.transaction_id if running is not None else None)

    def persisted(self, at: Stamp, token: int, rows: tuple[OutboxRow, ...]) -> list[Outcome]:
        """The journal has written ``token``; not every token is ours."""
        outcomes = self.up.persisted(token, rows, at)
        return outcomes if outcomes is not None else self.profiles.persisted(at, token, self.transactions, self._upstream_generation())

    def persist_failed(self, at: Stamp, token: int) -> list[Outcome]:
        """The journal could not write ``token``."""
        outcomes = self.up.persist_failed(token)
        return outcomes if outcomes is not None else self.profiles.persist_failed(token, self._upstream_generation())

    def view(self) -> LinkView:
        """What the page shows."""
        link = self.up.link
        upstream = "none" if link is None else "open" if link.state is State.OPEN else "away"
        return LinkView(
            self.station_id, self.generation is not None, self.version, upstream, self.up.queued, self.up.outbox.parked, self.remote_address
        )
