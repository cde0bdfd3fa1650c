"""The downward half of a session: CALLs to the station, from two masters, one at a time.

The CSMS's CALLs are relayed byte for byte under its own ids; Yardmaster's own CALLs carry ids
that cannot collide, and their answers end here (P4 6.4, trap 1). A setpoint overtakes everything
that waits, and a newer setpoint replaces an older one that was not sent yet. The CSMS's patience
counts from when its CALL arrived, the station's from when it was sent: one that had to wait is
answered with an error in time while the station may still think, and nothing else is sent to it
meanwhile (trap 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.facts import Fact, Stamp
from controller.link.commander import Commander
from controller.link.ids import IdSource
from controller.link.lane import Lane, Priority, Waiting
from controller.link.own_profiles import Command, Own, is_setpoint_of
from controller.link.station_clock import StationClock
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.ocpp.ledger import Owner
from controller.orders import Inject, Order, SendStation, SendUpstream, Severity, Tell

Outcome = Order | Fact

STATION_ANSWER_S = 30.0
OWN_PATIENCE_S = 1.0
"""So long a CALL of ours waits behind the CSMS's before they take turns (F26)."""
UNASKED_PER_MINUTE = 10
"""Answers to nothing, within one minute, that make a security event (F07)."""
CSMS_PATIENCE_S = 30.0
"""After which a CALL of the CSMS has its answer, from the station or from us (16.5)."""

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
class Asked:
    """Note of a CALL of ours that somebody else of this side asks for, e.g. a mirror: ``done`` gets the answer."""

    done: Done


class Downlink:
    """One station's way down. Owned by the session."""

    __slots__ = ("_given_up", "_ids", "_relayed_answer", "_unasked", "commander", "dialect", "generation", "lane", "station_id")

    def __init__(
        self,
        station_id: str,
        ids: IdSource,
        voltage_v: float,
        relayed_answer: RelayedAnswer,
        phases: Mapping[int, int] | None = None,
        modes: Callable[[int], frozenset[str]] = lambda evse_id: frozenset(),
        overlay: bool = False,
    ) -> None:
        self.station_id = station_id
        self.lane = Lane(STATION_ANSWER_S, own_patience_s=OWN_PATIENCE_S)
        self.dialect: Dialect | None = None
        self.generation: int | None = None
        self.commander = Commander(voltage_v, phases or {}, self._offer, self.ask, modes, overlay, StationClock(station_id))
        self._ids = ids
        self._relayed_answer = relayed_answer
        self._given_up: Waiting | None = None
        self._unasked = (0, 0)  # minute, answers in it

    def connected(self, generation: int, dialect: Dialect) -> None:
        """A new socket: nothing is in flight."""
        self.generation, self.dialect = generation, dialect
        self.commander.connected(dialect)

    @property
    def floors(self) -> dict[int, float]:
        """EVSE id -> floor per phase [A] the station has accepted."""
        return self.commander.floors

    @property
    def setpoints(self) -> dict[int, Command]:
        """EVSE id -> the setpoint the station has accepted last."""
        return self.commander.setpoints

    def rebooted(self) -> None:
        """The station started anew."""
        self.commander.rebooted()

    def transaction_ended(self, evse_id: int) -> None:
        """A TxProfile dies with its transaction."""
        self.commander.transaction_ended(evse_id)

    def commanded_a(self, evse_id: int, at: Stamp) -> float | None:
        """The limit per phase [A] the station has accepted for an EVSE; None if we never set one."""
        return self.commander.commanded_a(evse_id, at)

    def disconnected(self, at: Stamp) -> list[Outcome]:
        """The socket is gone: our own CALLs have failed, the CSMS's die with its upstream leg."""
        self.generation = None
        outcomes: list[Outcome] = []
        sent = [entry.message_id for entry in self.lane.ledger.entries()]
        for item in self.lane.drain():
            lost = item.message_id in sent
            outcomes += self._failed(at, item, "station disconnected", lost) if item is not self._given_up else []
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

    def carry(self, order: Order, at: Stamp, transaction_id: str | None, began_wall_s: float | None = None) -> list[Outcome]:
        """One of the site's internal orders. began_wall_s: when the transaction at its EVSE began."""
        if self.generation is None or self.dialect is None:
            return self.commander.failed(at, order, "station is not connected", lost=False)
        replaced = self.lane.withdraw(lambda item: not is_setpoint_of(item.note, order.evse)) if isinstance(order, Inject) else []
        outcomes: list[Outcome] = []
        for item in replaced:
            outcomes += self.commander.failed(at, item.note.order, "replaced by a newer setpoint", lost=False)
        return outcomes + self.commander.carry(order, at, transaction_id, began_wall_s)

    def ask(self, at: Stamp, action: str, payload: dict[str, Any], done: Done, priority: Priority = Priority.RELAYED) -> list[Outcome]:
        """Send a CALL under an id of ours; ``done`` gets its answer, which goes nowhere else."""
        if self.generation is None:
            return done(at, None)
        return self._offer(at, action, payload, priority, Asked(done))

    def send_own(self, at: Stamp, action: str, payload: dict[str, Any]) -> list[Outcome]:
        """A CALL of our own that is no order of the site; nobody waits for its answer. Nothing without a connection."""
        return self._offer(at, action, payload, Priority.RELAYED, Own(None)) if self.generation is not None else []

    def _offer(self, at: Stamp, action: str, payload: dict[str, Any], priority: Priority, note: Own | Asked) -> list[Outcome]:
        message_id = self._ids.fresh()
        text = rpc.call_text(message_id, action, payload)
        self.lane.offer(Waiting(message_id, action, text, Owner.OURS, priority, at.mono_s, note))
        return self.pump(at)

    # -- answers ----------------------------------------------------------------------------------

    def answer(self, at: Stamp, frame: rpc.Result | rpc.Error, upstream_generation: int | None, unreadable: bool = False) -> list[Outcome]:
        """An answer of the station. unreadable: it was one, but nobody can tell what it said."""
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
            return self._ours(at, late.note, frame, unreadable) if isinstance(late.note, Own) else []
        if item.owner is Owner.OURS:
            return [*self._ours(at, item.note, frame, unreadable), *self.pump(at)]
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

    def _ours(self, at: Stamp, note: Own | Asked, frame: rpc.Result | rpc.Error, unreadable: bool) -> list[Outcome]:
        return note.done(at, frame) if isinstance(note, Asked) else self.commander.answered(at, note, frame, unreadable)

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
        outcomes = self._failed(at, item, "no answer in time", lost=True)
        if item.owner is Owner.OURS or self.dialect is None:
            return outcomes
        text = rpc.error_text(item.message_id, "GenericError", "station did not answer in time", version=self.dialect.subprotocol)
        return [*outcomes, *self._to_csms(item, upstream_generation, text)]

    def _failed(self, at: Stamp, item: Waiting, reason: str, lost: bool) -> list[Outcome]:
        """A CALL has no answer. lost: it may have reached the station all the same."""
        if isinstance(item.note, Asked):
            return item.note.done(at, None)
        if item.owner is Owner.OURS:
            return self.commander.failed(at, item.note.order, reason, lost)
        return self._relayed_answer(at, item.note.call, None)

    def pump(self, at: Stamp) -> list[Outcome]:
        """Send the next CALL if none is in flight."""
        if self.generation is None:
            return []
        item = self.lane.take(at.mono_s)
        return [SendStation(self.station_id, self.generation, item.text)] if item is not None else []
