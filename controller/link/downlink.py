"""The downward half of a session: CALLs to the station, from two masters, one at a time.

The CSMS's CALLs are relayed byte for byte under its own ids; Yardmaster's own CALLs carry ids
that cannot collide, and their answers end here (P4 6.4, trap 1). A setpoint overtakes everything
that waits, and a newer setpoint replaces an older one that was not sent yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.facts import Fact, FloorConfirmed, SetpointAnswered, Stamp
from controller.link.ids import IdSource
from controller.link.lane import Lane, Priority, Waiting
from controller.link.profile_view import OWN_PROFILE_IDS
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, Setpoint
from controller.ocpp.ledger import Owner
from controller.orders import Inject, InstallFloor, Order, ReadBack, SendStation, SendUpstream, SetAvailable

Outcome = Order | Fact

STATION_ANSWER_S = 30.0
# The setpoint's schedule begins in the past, so that a station whose clock is behind still
# finds it active; the same span is added to its duration.
CLOCK_SLACK_S = 60.0
READ_BACK_S = 300
FLOOR_STACK = 0
SETPOINT_STACK = 1


def floor_id(evse_id: int) -> int:
    """Profile id of the floor of an EVSE."""
    return OWN_PROFILE_IDS.start + 2 * evse_id


def setpoint_id(evse_id: int) -> int:
    """Profile id of the setpoint of an EVSE; the same id replaces (K01.FR.05)."""
    return OWN_PROFILE_IDS.start + 2 * evse_id + 1


@dataclass(frozen=True, slots=True)
class Relayed:
    """Note of a CSMS's CALL: the upstream connection that wants the answer."""

    upstream_generation: int


@dataclass(frozen=True, slots=True)
class Command:
    """Where an EVSE's limit stands as the station accepted it. until_mono_s None: the floor, without end."""

    limit_a: float
    until_mono_s: float | None


class Downlink:
    """One station's way down. Owned by the session."""

    def __init__(self, station_id: str, ids: IdSource, voltage_v: float) -> None:
        self.station_id = station_id
        self.lane = Lane(STATION_ANSWER_S)
        self.dialect: Dialect | None = None
        self.generation: int | None = None
        self.floors: dict[int, float] = {}
        self.setpoints: dict[int, Command] = {}
        self._ids = ids
        self._voltage_v = voltage_v

    def connected(self, generation: int, dialect: Dialect) -> None:
        """A new socket: nothing is in flight, nothing is known to be installed."""
        self.generation, self.dialect = generation, dialect

    def disconnected(self, at: Stamp) -> list[Outcome]:
        """The socket is gone: our own CALLs have failed, the CSMS's die with its upstream leg."""
        self.generation = None
        outcomes: list[Outcome] = []
        for item in self.lane.drain():
            outcomes += self._failed(at, item, "station disconnected")
        return outcomes

    # -- the CSMS's CALLs ---------------------------------------------------------------------

    def relay(self, at: Stamp, call: rpc.Call, upstream_generation: int, text: str | None = None) -> list[Outcome] | None:
        """Queue a CALL of the CSMS; None if it cannot be taken (queue full or its id is in use)."""
        if self.lane.ledger.is_pending(call.message_id):
            return None
        item = Waiting(call.message_id, call.action, text or call.text, Owner.PEER, Priority.RELAYED, at.mono_s, Relayed(upstream_generation))
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
        action, payload = self._other(order)
        return self._offer(at, action, payload, Priority.SAFETY if isinstance(order, InstallFloor) else Priority.HOUSEKEEPING, order)

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
            transaction_id,
        )
        replaced = self.lane.withdraw(lambda item: not (isinstance(item.note, Inject) and item.note.evse == order.evse))
        outcomes: list[Outcome] = [SetpointAnswered(at, i.note.evse, i.note.number, False, "replaced by a newer setpoint") for i in replaced]
        action, payload = self.dialect.set_profile(setpoint)
        return outcomes + self._offer(at, action, payload, Priority.SAFETY, order)

    def _other(self, order: Order) -> tuple[str, dict[str, Any]]:
        assert self.dialect is not None
        if isinstance(order, InstallFloor):
            evse_id = order.evse.evse_id
            return self.dialect.set_floor(evse_id, floor_id(evse_id), order.limit_a, order.phase_count)
        if isinstance(order, ReadBack):
            return self.dialect.read_back(order.evse.evse_id, READ_BACK_S)
        assert isinstance(order, SetAvailable)
        return self.dialect.set_available(order.evse.evse_id, order.operative)

    def _offer(self, at: Stamp, action: str, payload: dict[str, Any], priority: Priority, order: Order) -> list[Outcome]:
        message_id = self._ids.fresh()
        text = rpc.call_text(message_id, action, payload)
        if not self.lane.offer(Waiting(message_id, action, text, Owner.OURS, priority, at.mono_s, order)):
            return self._failed_order(at, order, "too many messages wait for this station")
        return self.pump(at)

    # -- answers ----------------------------------------------------------------------------------

    def answer(self, at: Stamp, frame: rpc.Result | rpc.Error, upstream_generation: int | None) -> list[Outcome]:
        """An answer of the station."""
        item = self.lane.settle(frame.message_id)
        if item is None:
            late = self.lane.late(frame.message_id)
            # A late answer to the CSMS is not forwarded: it has had its error already (F06).
            return self._ours(at, late.note, frame) if late is not None and late.owner is Owner.OURS else []
        if item.owner is Owner.OURS:
            return [*self._ours(at, item.note, frame), *self.pump(at)]
        wanted = isinstance(item.note, Relayed) and item.note.upstream_generation == upstream_generation
        outcomes: list[Outcome] = (
            [SendUpstream(self.station_id, upstream_generation, frame.text)] if wanted and upstream_generation is not None else []
        )
        return [*outcomes, *self.pump(at)]

    def _ours(self, at: Stamp, order: Order, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        assert self.dialect is not None
        if isinstance(frame, rpc.Error):
            return self._failed_order(at, order, f"station answered {frame.code}")
        if isinstance(order, ReadBack):
            return [self._read_back(at, order, frame)]
        accepted, reason = self.dialect.accepted(frame.payload)
        if not accepted:
            return self._failed_order(at, order, reason)
        if isinstance(order, Inject):
            self.setpoints[order.evse.evse_id] = Command(order.limit_a, at.mono_s + order.life_s)
            return [SetpointAnswered(at, order.evse, order.number, True)]
        if isinstance(order, InstallFloor):
            self.floors[order.evse.evse_id] = order.limit_a
            return [SetpointAnswered(at, order.evse, order.number, True)]
        return []

    def _read_back(self, at: Stamp, order: ReadBack, frame: rpc.Result) -> FloorConfirmed:
        assert self.dialect is not None
        limit_a = self.dialect.read_back_limit(frame.payload, self._voltage_v)
        command = self.setpoints.get(order.evse.evse_id)
        live_a = command.limit_a if command is not None and command.until_mono_s is not None and command.until_mono_s > at.mono_s else 0.0
        ok = limit_a is not None and limit_a <= max(order.expected_a, live_a) + 0.1
        detail = "" if ok else ("no composite schedule" if limit_a is None else f"station reports {limit_a:.1f} A")
        return FloorConfirmed(at, order.evse, limit_a, ok, detail)

    def tick(self, at: Stamp, upstream_generation: int | None) -> list[Outcome]:
        """Deadlines: our CALLs have failed, the CSMS gets an error in time (16.5)."""
        outcomes: list[Outcome] = []
        for item in self.lane.overdue(at.mono_s):
            outcomes += self._failed(at, item, "no answer in time")
            if isinstance(item.note, Relayed) and item.note.upstream_generation == upstream_generation and upstream_generation is not None:
                version = self.dialect.subprotocol if self.dialect else "ocpp2.0.1"
                text = rpc.error_text(item.message_id, "GenericError", "station did not answer in time", version=version)
                outcomes.append(SendUpstream(self.station_id, upstream_generation, text))
        return [*outcomes, *self.pump(at)]

    def _failed(self, at: Stamp, item: Waiting, reason: str) -> list[Outcome]:
        return self._failed_order(at, item.note, reason) if item.owner is Owner.OURS else []

    def _failed_order(self, at: Stamp, order: Order, reason: str) -> list[Outcome]:
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
        if command is not None and (command.until_mono_s is None or command.until_mono_s > at.mono_s):
            return command.limit_a
        return self.floors.get(evse_id)
