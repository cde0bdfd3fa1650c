"""The downward half of a session: CALLs to the station, from two masters, one at a time.

The CSMS's CALLs are relayed byte for byte under its own ids; Yardmaster's own CALLs carry ids
that cannot collide, and their answers end here (P4 6.4, trap 1). A setpoint overtakes everything
that waits, and a newer setpoint replaces an older one that was not sent yet. The CSMS's patience
counts from when its CALL arrived, the station's from when it was sent: one that had to wait is
answered with an error in time while the station may still think, and nothing else is sent to it
meanwhile (trap 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.facts import EvseKey, Fact, FloorConfirmed, SetpointAnswered, Stamp
from controller.link.ids import IdSource
from controller.link.lane import Lane, Priority, Waiting
from controller.link.profile_view import OWN_PROFILE_IDS
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, Setpoint
from controller.ocpp.ledger import Owner
from controller.orders import Inject, InstallFloor, Order, ReadBack, SendStation, SendUpstream, SetAvailable, Severity, Tell

Outcome = Order | Fact

STATION_ANSWER_S = 30.0
UNASKED_PER_MINUTE = 10
"""Answers to nothing, within one minute, that make a security event (F07)."""
CSMS_PATIENCE_S = 30.0
"""After which a CALL of the CSMS has its answer, from the station or from us (16.5)."""
# The setpoint's schedule begins in the past, so that a station whose clock is behind still
# finds it active; the same span is added to its duration.
CLOCK_SLACK_S = 60.0
READ_BACK_S = 300
SETPOINT_STACK = 1
# After so many TxProfiles refused in a row a station gets its setpoints as TxDefaultProfiles of finite life.
TX_REFUSALS = 2


def floor_id(evse_id: int) -> int:
    """Profile id of the floor of an EVSE."""
    return OWN_PROFILE_IDS.start + 2 * evse_id


def setpoint_id(evse_id: int) -> int:
    """Profile id of the setpoint of an EVSE; the same id replaces (K01.FR.05)."""
    return OWN_PROFILE_IDS.start + 2 * evse_id + 1


RelayedAnswer = Callable[[Stamp, rpc.Call, rpc.Result | rpc.Error | None], list[Outcome]]
"""Called with the station's answer to a CALL of the CSMS, None when it never came."""


Done = Callable[[Stamp, rpc.Result | rpc.Error | None], list[Outcome]]
"""Called once with the station's answer to a CALL of ours, None when it never came."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """Note of a CSMS's CALL: the upstream connection that wants the answer."""

    upstream_generation: int
    call: rpc.Call


@dataclass(frozen=True, slots=True)
class Own:
    """Note of one of our CALLs. ends_mono_s: when a setpoint's profile ends. order None: nobody waits for the answer."""

    order: Order | None
    ends_mono_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Note of a CALL of ours that somebody else of this side asks for, e.g. a mirror: ``done`` gets the answer."""

    done: Done


@dataclass(frozen=True, slots=True)
class Command:
    """A setpoint the station has accepted. number: of its order; a later answer to an older one changes nothing."""

    limit_a: float
    until_mono_s: float
    number: int


class Downlink:
    """One station's way down. Owned by the session."""

    __slots__ = (
        "_cleared",
        "_foreign",
        "_given_up",
        "_ids",
        "_relayed_answer",
        "_tx_refusals",
        "_unasked",
        "_voltage_v",
        "dialect",
        "floors",
        "generation",
        "lane",
        "setpoints",
        "station_id",
    )

    def __init__(self, station_id: str, ids: IdSource, voltage_v: float, relayed_answer: RelayedAnswer) -> None:
        self.station_id = station_id
        self.lane = Lane(STATION_ANSWER_S)
        self.dialect: Dialect | None = None
        self.generation: int | None = None
        self.floors: dict[int, float] = {}
        self.setpoints: dict[int, Command] = {}
        self._ids = ids
        self._voltage_v = voltage_v
        self._relayed_answer = relayed_answer
        self._foreign: set[int] = set()
        self._cleared: set[int] = set()
        self._given_up: Waiting | None = None
        self._tx_refusals: dict[int, int] = {}
        self._unasked = (0, 0)  # minute, answers in it

    def connected(self, generation: int, dialect: Dialect) -> None:
        """A new socket: nothing is in flight. Profiles survive a lost link (K06), so what was accepted still counts."""
        self.generation, self.dialect = generation, dialect
        self._foreign.clear()
        self._cleared.clear()

    def rebooted(self) -> None:
        """The station started anew: its TxProfiles are gone, and it may have learned what it refused before."""
        self.setpoints.clear()
        self._tx_refusals.clear()

    def transaction_ended(self, evse_id: int) -> None:
        """A TxProfile dies with its transaction (K02.FR.08): the floor holds again. A default lives on until it ends."""
        if self._tx_refusals.get(evse_id, 0) < TX_REFUSALS:
            self.setpoints.pop(evse_id, None)

    def disconnected(self, at: Stamp) -> list[Outcome]:
        """The socket is gone: our own CALLs have failed, the CSMS's die with its upstream leg."""
        self.generation = None
        outcomes: list[Outcome] = []
        for item in self.lane.drain():
            outcomes += self._failed(at, item, "station disconnected") if item is not self._given_up else []
        self._given_up = None
        return outcomes

    # -- the CSMS's CALLs ---------------------------------------------------------------------

    def relay(self, at: Stamp, call: rpc.Call, upstream_generation: int, text: str | None = None) -> list[Outcome] | None:
        """Queue a CALL of the CSMS; None if it cannot be taken (queue full or its id is in use)."""
        if self.lane.ledger.is_pending(call.message_id):
            return None
        note = Relayed(upstream_generation, call)
        item = Waiting(call.message_id, call.action, text or call.text, Owner.PEER, Priority.RELAYED, at.mono_s, note)
        return self.pump(at) if self.lane.offer(item) else None

    def forget_csms(self) -> None:
        """The upstream socket closed: its CALLs that were not sent yet are void."""
        self.lane.withdraw(lambda item: item.owner is Owner.OURS)

    # -- our CALLs ------------------------------------------------------------------------------

    def carry(self, order: Order, at: Stamp, transaction_id: str | None) -> list[Outcome]:
        """Turn one of the site's internal orders into a CALL."""
        if self.generation is None or self.dialect is None:
            return self._failed_order(at, order, "station is not connected")
        if isinstance(order, Inject):
            return self._inject(order, at, transaction_id)
        if isinstance(order, InstallFloor):
            return self._floor(order, at)
        action, payload = self._other(order)
        return self._offer(at, action, payload, Priority.HOUSEKEEPING, Own(order))

    def ask(self, at: Stamp, action: str, payload: dict[str, Any], done: Done, priority: Priority = Priority.RELAYED) -> list[Outcome]:
        """Send a CALL under an id of ours; ``done`` gets its answer, which goes nowhere else."""
        if self.generation is None:
            return done(at, None)
        return self._offer(at, action, payload, priority, Asked(done))

    def _floor(self, order: InstallFloor, at: Stamp) -> list[Outcome]:
        assert self.dialect is not None
        evse_id = order.evse.evse_id
        outcomes = self._clear_foreign(at, evse_id, floor=True) if evse_id in self._foreign else []
        action, payload = self.dialect.set_floor(evse_id, floor_id(evse_id), order.limit_a, order.phase_count)
        return outcomes + self._offer(at, action, payload, Priority.SAFETY, Own(order))

    def _clear_foreign(self, at: Stamp, evse_id: int, floor: bool) -> list[Outcome]:
        """Profiles of a CSMS from before Yardmaster stand in the way: out with them, ours follow."""
        assert self.dialect is not None
        self._foreign.discard(evse_id)
        outcomes: list[Outcome] = []
        for action, payload in self.dialect.clear_foreign(evse_id, floor):
            outcomes += self._offer(at, action, payload, Priority.SAFETY, Own(None))
        return outcomes

    def _inject(self, order: Inject, at: Stamp, transaction_id: str | None) -> list[Outcome]:
        assert self.dialect is not None
        evse_id = order.evse.evse_id
        setpoint = Setpoint(
            evse_id,
            setpoint_id(evse_id),
            SETPOINT_STACK,
            order.limit_a,
            order.phase_count,
            at.wall_in(-CLOCK_SLACK_S),
            at.wall_in(order.life_s),
            transaction_id if self._tx_refusals.get(evse_id, 0) < TX_REFUSALS else None,
        )
        replaced = self.lane.withdraw(lambda item: not self._is_setpoint_of(item, order.evse))
        outcomes: list[Outcome] = []
        for item in replaced:
            outcomes += self._failed_order(at, item.note.order, "replaced by a newer setpoint")
        action, payload = self.dialect.set_profile(setpoint)
        # Only what protects a fuse overtakes the CSMS; renewals and rises take their turn with it.
        priority = Priority.SAFETY if order.urgent else Priority.RELAYED
        return outcomes + self._offer(at, action, payload, priority, Own(order, at.mono_s + order.life_s))

    @staticmethod
    def _is_setpoint_of(item: Waiting, evse: EvseKey) -> bool:
        return isinstance(item.note, Own) and isinstance(item.note.order, Inject) and item.note.order.evse == evse

    def send_own(self, at: Stamp, action: str, payload: dict[str, Any]) -> list[Outcome]:
        """A CALL of our own that is no order of the site; nobody waits for its answer. Nothing without a connection."""
        return self._offer(at, action, payload, Priority.RELAYED, Own(None)) if self.generation is not None else []

    def _other(self, order: Order) -> tuple[str, dict[str, Any]]:
        assert self.dialect is not None
        if isinstance(order, ReadBack):
            return self.dialect.read_back(order.evse.evse_id, READ_BACK_S)
        assert isinstance(order, SetAvailable)
        return self.dialect.set_available(order.evse.evse_id, order.operative)

    def _offer(self, at: Stamp, action: str, payload: dict[str, Any], priority: Priority, note: Own | Asked) -> list[Outcome]:
        message_id = self._ids.fresh()
        text = rpc.call_text(message_id, action, payload)
        self.lane.offer(Waiting(message_id, action, text, Owner.OURS, priority, at.mono_s, note))
        return self.pump(at)

    # -- answers ----------------------------------------------------------------------------------

    def answer(self, at: Stamp, frame: rpc.Result | rpc.Error, upstream_generation: int | None) -> list[Outcome]:
        """An answer of the station."""
        item = self.lane.settle(frame.message_id)
        if item is None and isinstance(frame, rpc.Error) and frame.message_id == rpc.UNREADABLE_ID:
            # An error that cannot say what it answers is about the one CALL in flight, which gets no other (16.5).
            item = self.lane.settle_only()
            frame = self._about(item, frame)
        if item is None:
            late = self.lane.late(frame.message_id)
            if late is None:
                return self._nobody_asked(at)
            # A late answer to the CSMS is not forwarded: it has had its error already (F06).
            return self._ours(at, late.note, frame) if isinstance(late.note, Own) else []
        if item.owner is Owner.OURS:
            return [*self._ours(at, item.note, frame), *self.pump(at)]
        if item is self._given_up:
            self._given_up = None
            return self.pump(at)
        outcomes = self._to_csms(item, upstream_generation, frame.text)
        return [*outcomes, *self._relayed_answer(at, item.note.call, frame), *self.pump(at)]

    def _nobody_asked(self, at: Stamp) -> list[Outcome]:
        """An answer to a CALL that was never made is dropped; many of them are an attack, or a broken station (F07)."""
        minute = int(at.mono_s // 60)
        count = self._unasked[1] + 1 if self._unasked[0] == minute else 1
        self._unasked = (minute, count)
        if count != UNASKED_PER_MINUTE:
            return []
        text = f"security event: {count} answers within a minute to CALLs that nobody made - dropped; check who speaks as this station"
        return [Tell(Severity.ALARM, self.station_id, text)]

    def _about(self, item: Waiting | None, frame: rpc.Error) -> rpc.Error:
        if item is None or self.dialect is None:
            return frame
        text = rpc.error_text(item.message_id, frame.code, frame.description, frame.details, version=self.dialect.subprotocol)
        return rpc.Error(item.message_id, frame.code, frame.description, frame.details, text)

    def _to_csms(self, item: Waiting, upstream_generation: int | None, text: str) -> list[Outcome]:
        wanted = upstream_generation is not None and item.note.upstream_generation == upstream_generation
        return [SendUpstream(self.station_id, item.note.upstream_generation, text)] if wanted else []

    def _ours(self, at: Stamp, note: Own | Asked, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        assert self.dialect is not None
        if isinstance(note, Asked):
            return note.done(at, frame)
        order = note.order
        if order is None:
            return []
        if isinstance(frame, rpc.Error):
            return self._failed_order(at, order, f"station answered {frame.code}")
        if isinstance(order, ReadBack):
            return [self._read_back(at, order, frame)]
        accepted, reason = self.dialect.accepted(frame.payload)
        if not accepted:
            return self._rejected(at, order, reason)
        if isinstance(order, Inject):
            self._forgive(order.evse.evse_id)
            known = self.setpoints.get(order.evse.evse_id)
            if known is None or known.number < order.number:
                self.setpoints[order.evse.evse_id] = Command(order.limit_a, note.ends_mono_s, order.number)
            return [SetpointAnswered(at, order.evse, order.number, True)]
        if isinstance(order, InstallFloor):
            self.floors[order.evse.evse_id] = order.limit_a
            return [SetpointAnswered(at, order.evse, order.number, True)]
        return []

    def _rejected(self, at: Stamp, order: Order, reason: str) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if "DuplicateProfile" in reason and isinstance(order, Inject | InstallFloor) and order.number not in self._cleared:
            self._cleared.add(order.number)
            outcomes = self._clear_foreign(at, order.evse.evse_id, isinstance(order, InstallFloor))
        elif self.dialect is not None and self.dialect.profiles_replace:
            outcomes = self._refused_without_reason(at, order)
        return outcomes + self._failed_order(at, order, reason)

    def _refused_without_reason(self, at: Stamp, order: Order) -> list[Outcome]:
        """1.6 does not say why: perhaps others' profiles fill the station, perhaps it takes no TxProfiles at all.

        A floor's next try clears first, unless one of ours is known to hold: that is not given up for a guess.
        A setpoint's first refusal clears the TxProfiles, whereupon the floor holds; after the second it comes as default.
        """
        if isinstance(order, InstallFloor) and order.evse.evse_id not in self.floors:
            self._foreign.add(order.evse.evse_id)
        if not isinstance(order, Inject):
            return []
        evse_id = order.evse.evse_id
        self._tx_refusals[evse_id] = min(self._tx_refusals.get(evse_id, 0) + 1, TX_REFUSALS)
        return self._clear_foreign(at, evse_id, floor=False) if self._tx_refusals[evse_id] == 1 else []

    def _forgive(self, evse_id: int) -> None:
        """A setpoint was taken: earlier refusals count no more, unless only a default is taken here."""
        if self._tx_refusals.get(evse_id, 0) < TX_REFUSALS:
            self._tx_refusals.pop(evse_id, None)

    def _read_back(self, at: Stamp, order: ReadBack, frame: rpc.Result) -> FloorConfirmed:
        assert self.dialect is not None
        limit_a = self.dialect.read_back_limit(frame.payload, self._voltage_v)
        command = self.setpoints.get(order.evse.evse_id)
        live_a = command.limit_a if command is not None and command.until_mono_s > at.mono_s else 0.0
        ok = limit_a is not None and limit_a <= max(order.expected_a, live_a) + 0.1
        if limit_a is not None and not ok:
            self._foreign.add(order.evse.evse_id)
        detail = "" if ok else ("no composite schedule" if limit_a is None else f"station reports {limit_a:.1f} A")
        return FloorConfirmed(at, order.evse, limit_a, ok, detail)

    def tick(self, at: Stamp, upstream_generation: int | None) -> list[Outcome]:
        """Deadlines: our CALLs have failed, the CSMS gets an error in time (16.5)."""
        outcomes: list[Outcome] = []
        for item in self.lane.overdue(at.mono_s):
            if item is self._given_up:
                self._given_up = None
            else:
                outcomes += self._expired(at, item, upstream_generation)
        # A CALL that waited its time out is not carried out after the CSMS has given it up.
        for item in self.lane.withdraw(lambda item: item.owner is Owner.OURS or at.mono_s - item.queued_mono_s < CSMS_PATIENCE_S):
            outcomes += self._expired(at, item, upstream_generation)
        return [*outcomes, *self._give_up(at, upstream_generation), *self.pump(at)]

    def _give_up(self, at: Stamp, upstream_generation: int | None) -> list[Outcome]:
        """The CALL in flight waited so long for its turn that the CSMS must be answered before the station has to."""
        for entry in self.lane.ledger.entries():
            item: Waiting = entry.note
            if item.owner is Owner.PEER and item is not self._given_up and at.mono_s - item.queued_mono_s >= CSMS_PATIENCE_S:
                self._given_up = item
                return self._expired(at, item, upstream_generation)
        return []

    def _expired(self, at: Stamp, item: Waiting, upstream_generation: int | None) -> list[Outcome]:
        outcomes = self._failed(at, item, "no answer in time")
        if item.owner is Owner.OURS or self.dialect is None:
            return outcomes
        text = rpc.error_text(item.message_id, "GenericError", "station did not answer in time", version=self.dialect.subprotocol)
        return [*outcomes, *self._to_csms(item, upstream_generation, text)]

    def _failed(self, at: Stamp, item: Waiting, reason: str) -> list[Outcome]:
        if isinstance(item.note, Asked):
            return item.note.done(at, None)
        if item.owner is Owner.OURS:
            return self._failed_order(at, item.note.order, reason)
        return self._relayed_answer(at, item.note.call, None)

    def _failed_order(self, at: Stamp, order: Order | None, reason: str) -> list[Outcome]:
        if isinstance(order, Inject | InstallFloor):
            return [SetpointAnswered(at, order.evse, order.number, False, reason)]
        if isinstance(order, ReadBack):
            return [FloorConfirmed(at, order.evse, None, False, reason)]
        return []

    def pump(self, at: Stamp) -> list[Outcome]:
        """Send the next CALL if none is in flight."""
        if self.generation is None:
            return []
        item = self.lane.take(at.mono_s)
        return [SendStation(self.station_id, self.generation, item.text)] if item is not None else []

    def commanded_a(self, evse_id: int, at: Stamp) -> float | None:
        """The limit per phase [A] the station has accepted for an EVSE; None if we never set one."""
        command = self.setpoints.get(evse_id)
        if command is not None and command.until_mono_s > at.mono_s:
            return command.limit_a
        return self.floors.get(evse_id)
