"""The site's orders to one station: each becomes CALLs in the words of the station, and their answers become facts.

It knows what of ours is in the station: floors, setpoints, Dynamic profiles. Which strategy to use is the
site's choice; here it is carried out exactly. Must never: count a setpoint the station has not accepted;
send a V2X setpoint to a station that did not announce it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from controller.facts import FloorConfirmed, SetpointAnswered, Stamp
from controller.link import own_profiles as own
from controller.link.lane import Priority
from controller.link.own_profiles import Asker, Command, Dating, Outcome, Own, Sender
from controller.link.station_clock import StationClock
from controller.link.waking import Waking
from controller.ocpp import rpc
from controller.ocpp.command_fields import STATION_MAX, highest_a
from controller.ocpp.dialect import Dialect, Setpoint
from controller.orders import ClearSetpoint, Inject, InstallFloor, Order, ReadBack, SetAvailable, Strategy, Wake

READ_BACK_S: Final = 300
CLOSE_A: Final = 0.1
"""A limit read back this little above what was expected is as expected [A]."""
DATE_HINTS: Final = ("schedule", "invalidprofile", "value", "time", "date", "past")
"""In the reason codes with which a station may refuse a date (K01)."""
NOT_ANNOUNCED: Final = "not sent: the station has not announced this operation mode here"
NOT_OURS: Final = "not sent: in overlay mode only the station's maximum is ours"


class Commander:
    """One station's. phases: EVSE id -> number of its phases. modes: what ``Features`` knows of an EVSE's operation modes.

    overlay: the CSMS's profiles live in the station beside ours; then the station's maximum is all we write or clear. clock: the station's.
    """

    __slots__ = (
        "_cleared_evses",
        "_cleared_orders",
        "_dynamic",
        "_foreign",
        "_in_the_way",
        "_modes",
        "_newest",
        "_no_past",
        "_no_updates",
        "_overlay",
        "_phases",
        "_places",
        "_refused",
        "_send",
        "_strategies",
        "_tried_now",
        "_unit_refused",
        "_voltage_v",
        "_waking",
        "_without_phases",
        "clock",
        "dialect",
        "floors",
        "setpoints",
    )

    def __init__(
        self,
        voltage_v: float,
        phases: Mapping[int, int],
        send: Sender,
        ask: Asker,
        modes: Callable[[int], frozenset[str]],
        overlay: bool = False,
        clock: StationClock | None = None,
    ) -> None:
        self.clock = clock or StationClock()
        self.dialect: Dialect | None = None
        self.floors: dict[int, float] = {}
        self.setpoints: dict[int, Command] = {}
        self._voltage_v = voltage_v
        self._phases = phases
        self._send = send
        self._modes = modes
        self._overlay = overlay
        self._waking = Waking(send, ask)
        self._dynamic: dict[int, Setpoint] = {}
        self._strategies: dict[int, Strategy] = {}  # of the last setpoint or floor written
        self._newest: dict[int, int] = {}  # EVSE -> number of the last setpoint ordered
        self._places: dict[int, int] = {}  # EVSE -> id of the profile its last setpoint was written to
        self._foreign: set[int] = set()  # others' profiles stand in the way of the floor
        self._in_the_way: set[int] = set()  # or in the way of the setpoint
        self._cleared_orders: set[int] = set()  # cleared for already: orders, by their number,
        self._cleared_evses: set[int] = set()  # and setpoints that were read back too high
        self._refused: set[int] = set()  # setpoints refused without a reason since the last one that was taken
        self._unit_refused: set[int] = set()
        self._without_phases: set[int] = set()
        self._no_updates = False
        self._no_past = False  # it refuses schedules that have begun already, as was seen
        self._tried_now: set[int] = set()  # EVSEs where that was tried

    # -- life --------------------------------------------------------------------------------------------

    def connected(self, dialect: Dialect) -> None:
        """A new socket. Profiles survive a lost link (K06), so what was accepted still counts; how a Dynamic one stands is not known."""
        self.dialect = dialect
        self._forget_guesses()

    def rebooted(self) -> None:
        """The station started anew: its TxProfiles are gone, and it may have learned what it refused before."""
        self.setpoints = {evse_id: command for evse_id, command in self.setpoints.items() if command.purpose != "tx"}
        self._refused.clear()
        self._without_phases.clear()
        self._no_past = False
        self.clock.doubt()
        self._forget_guesses()

    def _forget_guesses(self) -> None:
        self._dynamic.clear()
        self._foreign.clear()
        self._in_the_way.clear()
        self._cleared_orders.clear()
        self._cleared_evses.clear()
        self._unit_refused.clear()
        self._tried_now.clear()
        self._no_updates = False

    def transaction_ended(self, evse_id: int) -> None:
        """A TxProfile dies with its transaction (K02.FR.08): the floor holds again. Others live on until they end."""
        self._dynamic.pop(evse_id, None)
        known = self.setpoints.get(evse_id)
        if known is not None and known.purpose == "tx":
            del self.setpoints[evse_id]

    def online(self, at: Stamp) -> list[Outcome]:
        """The station takes commands."""
        return self._waking.online(at, self._words())

    def refuses_phases(self, evse_id: int) -> bool:
        """Whether the station has refused our number of phases there, for being DC (NoPhaseForDC)."""
        return evse_id in self._without_phases

    def commanded_a(self, evse_id: int, at: Stamp) -> float | None:
        """The limit per phase [A] the station has accepted for an EVSE; None if we never set one."""
        command = self.setpoints.get(evse_id)
        if command is not None and command.until_mono_s > at.mono_s:
            return command.limit_a
        return self.floors.get(evse_id)

    # -- orders --------------------------------------------------------------------------------------------

    def carry(self, order: Order, at: Stamp, transaction_id: str | None, began_wall_s: float | None) -> list[Outcome]:
        """One order, to a station that is connected. began_wall_s: of the transaction. One that is not known gives nothing."""
        if self._overlay and isinstance(order, Inject | InstallFloor) and order.strategy.purpose != "station_max":
            return [SetpointAnswered(at, order.evse, order.number, False, NOT_OURS)]
        match order:
            case Inject():
                return self._inject(order, at, (transaction_id, began_wall_s))
            case InstallFloor():
                return self._floor(order, at)
            case ClearSetpoint():
                evse_id = order.evse.evse_id
                there = own.setpoint_id(0) if order.purpose == STATION_MAX else self._places.get(evse_id, own.setpoint_id(evse_id))
                return self._send(at, *self._words().clear_own(there), Priority.RELAYED, Own(order))
            case ReadBack():
                call = self._words().read_back(order.evse.evse_id, READ_BACK_S, self._unit_of(order.evse.evse_id))
                return self._send(at, *call, Priority.HOUSEKEEPING, Own(order))
            case SetAvailable():
                self._waking.settled(order.evse.evse_id)
                return self._send(at, *self._words().set_available(order.evse.evse_id, order.operative), Priority.HOUSEKEEPING, Own(order))
            case Wake():
                return self._waking.carry(order, at, self._words(), transaction_id is not None)
        return []

    def _inject(self, order: Inject, at: Stamp, transaction: tuple[str | None, float | None]) -> list[Outcome]:
        evse_id = order.evse.evse_id
        if not self._may(order, transaction[0]):
            return [SetpointAnswered(at, order.evse, order.number, False, NOT_ANNOUNCED)]
        self._newest[evse_id] = order.number
        setpoint = self._setpoint(order, at, transaction)
        priority = own.priority_of(order)
        outcomes = self._clear_foreign(at, evse_id, False, order.strategy, priority) if evse_id in self._in_the_way else []
        self._strategies[evse_id], self._places[evse_id] = order.strategy, setpoint.profile_id
        update = self._update(evse_id, setpoint)
        note = Own(order, at.mono_s + order.life_s, setpoint, update is not None)
        return outcomes + self._send(at, *(update or self._words().set_profile(setpoint)), priority, note)

    def _may(self, order: Inject, transaction_id: str | None) -> bool:
        """What only some 2.1 stations can do is asked of those alone, in a TxProfile (K01.FR.111-114)."""
        if order.setpoint_w is None and not order.idle:
            return True
        wanted = "Idle" if order.idle else "CentralSetpoint"
        known = self._words().has_modes and wanted in self._modes(order.evse.evse_id)
        return known and bool(transaction_id) and order.strategy.purpose == "tx"

    def _setpoint(self, order: Inject, at: Stamp, transaction: tuple[str | None, float | None]) -> Setpoint:
        strategy = order.strategy if self._words().has_modes else replace(order.strategy, dynamic=False, max_offline_s=None)
        dating = Dating(self.clock, self.floors.get(order.evse.evse_id), self._no_past)
        written = own.setpoint(order, strategy, at, transaction, self._voltage_v, dating)
        return replace(written, name_phases=False) if order.evse.evse_id in self._without_phases else written

    def _update(self, evse_id: int, setpoint: Setpoint) -> tuple[str, dict[str, Any]] | None:
        """The CALL that changes the Dynamic profile the station has, if only its value is new."""
        known = self._dynamic.get(evse_id)
        if known is None or self._no_updates or own.make(known) != own.make(setpoint):
            return None
        return self._words().update_profile(setpoint)

    def _floor(self, order: InstallFloor, at: Stamp) -> list[Outcome]:
        evse_id = order.evse.evse_id
        outcomes = self._clear_foreign(at, evse_id, True, order.strategy) if evse_id in self._foreign else []
        self._strategies.setdefault(evse_id, order.strategy)
        floor = replace(own.floor(order, at, self._voltage_v), name_phases=evse_id not in self._without_phases)
        return outcomes + self._send(at, *self._words().set_floor(floor), Priority.SAFETY, Own(order))

    def _clear_foreign(self, at: Stamp, evse_id: int, floor: bool, strategy: Strategy, priority: Priority = Priority.SAFETY) -> list[Outcome]:
        """Profiles of a CSMS from before Yardmaster stand in the way: out with them, ours follow."""
        (self._foreign if floor else self._in_the_way).discard(evse_id)
        outcomes: list[Outcome] = []
        for action, payload in self._words().clear_foreign(evse_id, floor, strategy):
            outcomes += self._send(at, action, payload, priority, Own(None))
        return outcomes

    def _unit_of(self, evse_id: int) -> str:
        """The unit to ask the composite in: that of what was written, the other one where that was refused."""
        unit = self._strategies.get(evse_id, Strategy()).unit
        return unit if evse_id not in self._unit_refused else "W" if unit == "A" else "A"

    # -- answers -----------------------------------------------------------------------------------------------

    def answered(self, at: Stamp, note: Own, frame: rpc.Result | rpc.Error, unreadable: bool) -> list[Outcome]:
        """The station's answer to an order, also a late one (F06). unreadable: it has answered, and nobody can tell what."""
        order = note.order
        if isinstance(order, ReadBack):
            return [self._read_back(at, order, frame)]
        if isinstance(frame, rpc.Error):
            return self._refused_update(at, note, frame.code) or self.failed(at, order, f"station answered {frame.code}", lost=unreadable)
        if isinstance(order, ClearSetpoint):
            return [self._taken_out(at, order, frame)]
        accepted, reason = self._words().accepted(frame.payload)
        if not accepted:
            return self._rejected(at, note, frame, reason)
        if isinstance(order, Inject):
            return [self._taken(at, order, note)]
        if isinstance(order, InstallFloor):
            self.floors[order.evse.evse_id] = order.limit_a
            return [SetpointAnswered(at, order.evse, order.number, True)]
        return []

    def _taken(self, at: Stamp, order: Inject, note: Own) -> SetpointAnswered:
        evse_id, written = order.evse.evse_id, note.written
        assert written is not None
        self._refused.discard(evse_id)
        self._no_past = self._no_past or note.began_now
        known = self.setpoints.get(evse_id)
        if order.number < 0 and not note.update:
            self._dynamic.pop(evse_id, None)  # a probe of commissioning has taken its place
        if known is None or known.number < order.number:
            purpose = self._words().purpose(written)
            self.setpoints[evse_id] = Command(order.limit_a, own.ends_mono_s(at, note, purpose), order.number, purpose)
            if not note.update:
                self._dynamic.pop(evse_id, None)
            if written.strategy.dynamic and not note.update:
                self._dynamic[evse_id] = written
        return SetpointAnswered(at, order.evse, order.number, True)

    def _taken_out(self, at: Stamp, order: ClearSetpoint, frame: rpc.Result) -> SetpointAnswered:
        """Unknown is as good as Accepted: it is not there."""
        gone = self._words().cleared(frame.payload)
        if gone:
            self.setpoints.pop(order.evse.evse_id, None)
            self._dynamic.pop(order.evse.evse_id, None)
        return SetpointAnswered(at, order.evse, order.number, gone, "" if gone else str(frame.payload.get("status")))

    def dynamic_of(self, profile_id: Any) -> Setpoint | None:
        """The Dynamic profile of ours that the station has under this id."""
        return next((setpoint for setpoint in self._dynamic.values() if setpoint.profile_id == profile_id), None)

    def failed(self, at: Stamp, order: Order | None, reason: str, lost: bool) -> list[Outcome]:
        """An order was not carried out. lost: nobody knows whether it was."""
        if isinstance(order, Inject | InstallFloor | ClearSetpoint):
            return [SetpointAnswered(at, order.evse, order.number, False, reason, lost)]
        if isinstance(order, ReadBack):
            return [FloorConfirmed(at, order.evse, None, False, reason, order.number)]
        return []

    # -- refusals ------------------------------------------------------------------------------------------------

    def _rejected(self, at: Stamp, note: Own, frame: rpc.Result, reason: str) -> list[Outcome]:
        order, dialect = note.order, self._words()
        if not isinstance(order, Inject | InstallFloor):
            return []
        retry_after_s = dialect.retry_after_s(frame.payload)
        if retry_after_s is not None:
            return [SetpointAnswered(at, order.evse, order.number, False, reason, retry_after_s=retry_after_s)]
        again = self._refused_update(at, note, reason) or self._refused_past(at, note, reason)
        if again:
            return again
        if order.number < 0:
            return self.failed(at, order, reason, lost=False)  # a probe of commissioning: what else is in the station stays
        outcomes: list[Outcome] = []
        if "NoPhaseForDC" in reason:
            self._without_phases.add(order.evse.evse_id)
        elif "DuplicateProfile" in reason and order.number not in self._cleared_orders:
            self._cleared_orders.add(order.number)
            outcomes = self._clear_foreign(at, order.evse.evse_id, isinstance(order, InstallFloor), order.strategy)
        elif dialect.profiles_replace and "NotSupported" not in reason:
            outcomes = self._refused_without_reason(at, order)
        return outcomes + self.failed(at, order, reason, lost=False)

    def _refused_update(self, at: Stamp, note: Own, reason: str) -> list[Outcome]:
        """A Dynamic profile that cannot be updated is written anew, for the same order; nothing if this was no update."""
        order, written = note.order, note.written
        if not note.update or not isinstance(order, Inject) or written is None:
            return []
        self._dynamic.pop(order.evse.evse_id, None)
        self._no_updates = self._no_updates or self._words().unknown_action(reason)
        if self._newest.get(order.evse.evse_id, 0) > order.number:
            return self.failed(at, order, "replaced by a newer setpoint", lost=False)  # which may be a cut, and must be the last word
        whole = own.anew(order, written, at)
        return self._send(at, *self._words().set_profile(whole), own.priority_of(order), Own(order, at.mono_s + order.life_s, whole))

    def _refused_past(self, at: Stamp, note: Own, reason: str) -> list[Outcome]:
        """A dated profile that has begun already is refused by some: once it is written to begin now, for the same order."""
        order, written = note.order, note.written
        if not isinstance(order, Inject) or order.number < 0 or written is None:
            return []
        if not own.is_dated(written) or not _about_dates(reason):
            return []
        evse_id = order.evse.evse_id
        if self._no_past or evse_id in self._tried_now or self._newest.get(evse_id, 0) > order.number:
            return []
        self._tried_now.add(evse_id)
        now = replace(written, start_wall_s=own.now_by(self.clock, at))
        return self._send(at, *self._words().set_profile(now), own.priority_of(order), replace(note, written=now, began_now=True))

    def _refused_without_reason(self, at: Stamp, order: Inject | InstallFloor) -> list[Outcome]:
        """1.6 does not say why: perhaps others' profiles fill the station.

        A floor's next try clears first, unless one of ours is known to hold: that is not given up for a guess.
        A setpoint's first refusal clears its place, whereupon the floor holds; the next strategy is the site's choice.
        """
        evse_id = order.evse.evse_id
        if isinstance(order, InstallFloor):
            self._foreign |= {evse_id} - self.floors.keys()
            return []
        if evse_id in self._refused:
            return []
        self._refused.add(evse_id)
        return self._clear_foreign(at, evse_id, False, order.strategy)

    # -- the composite ---------------------------------------------------------------------------------------------

    def _read_back(self, at: Stamp, order: ReadBack, frame: rpc.Result | rpc.Error) -> FloorConfirmed:
        evse_id = order.evse.evse_id
        if isinstance(frame, rpc.Error):
            return FloorConfirmed(at, order.evse, None, False, f"station answered {frame.code}", order.number)
        theirs = replace(at, wall_s=own.now_by(self.clock, at))
        steps = self._words().read_back_steps(frame.payload, theirs, READ_BACK_S, self._voltage_v, self._phases.get(evse_id, 3))
        if not steps and not self._words().accepted(frame.payload)[0]:
            self._unit_refused ^= {evse_id}
        # A setpoint holds now; a floor must hold at any moment, below the setpoint that lives on it.
        limit_a = highest_a(steps[:1] if order.number else steps)
        expected_a = order.expected_a if order.number else max(order.expected_a, self._live_a(evse_id, at))
        ok = limit_a is not None and limit_a <= expected_a + CLOSE_A
        if steps and not ok:
            self._suspect(evse_id, order.number)
        if order.number and limit_a is not None and abs(limit_a - order.expected_a) > CLOSE_A and self.clock.ahead_s(at):
            self.clock.misled()
        detail = "" if ok else ("no composite schedule" if limit_a is None else f"station reports {limit_a:.1f} A")
        return FloorConfirmed(at, order.evse, limit_a, ok, detail, order.number)

    def _live_a(self, evse_id: int, at: Stamp) -> float:
        command = self.setpoints.get(evse_id)
        return command.limit_a if command is not None and command.until_mono_s > at.mono_s else 0.0

    def _suspect(self, evse_id: int, number: int) -> None:
        """More is in force than we have set: others' profiles. For a setpoint they are cleared once, as ours goes with them."""
        if not number:
            self._foreign.add(evse_id)
        elif evse_id not in self._cleared_evses:
            self._cleared_evses.add(evse_id)
            self._in_the_way.add(evse_id)

    def _words(self) -> Dialect:
        assert self.dialect is not None
        return self.dialect


def _about_dates(reason: str) -> bool:
    """Whether a refusal may be about the dates: 1.6 gives no reason, 2.x may (K01)."""
    status, _, code = reason.partition(" ")
    return status == "Rejected" and (not code or any(hint in code.lower() for hint in DATE_HINTS))
