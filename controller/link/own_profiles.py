"""Our own profiles at one station: their ids, when they begin and end, and the notes of the CALLs that carry them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from controller.facts import EvseKey, Fact, Stamp
from controller.link.lane import Priority
from controller.link.profile_view import OWN_PROFILE_IDS
from controller.link.station_clock import StationClock
from controller.ocpp import rpc
from controller.ocpp.command_fields import kind, place
from controller.ocpp.dialect import Setpoint
from controller.orders import Inject, InstallFloor, Order, Strategy

Outcome = Order | Fact
Answer = rpc.Result | rpc.Error | None
"""A station's answer to one of our CALLs; None when it never came."""

CLOCK_SLACK_S: Final = 60.0
"""A setpoint begins so long before now [s], so that a station whose clock is a little behind finds it active."""
BACK_S: Final = 90_000.0
"""One that is not above the floor begins so long ago [wall s]: a day and an hour, whatever the station's clock has lost or its zone is."""


def floor_id(evse_id: int) -> int:
    """Profile id of the floor of an EVSE, 0 = of the station."""
    return OWN_PROFILE_IDS.start + 2 * evse_id


def setpoint_id(evse_id: int) -> int:
    """Profile id of the setpoint of an EVSE, 0 = of the station; the same id replaces (K01.FR.05)."""
    return OWN_PROFILE_IDS.start + 2 * evse_id + 1


@dataclass(frozen=True, slots=True)
class Command:
    """A setpoint the station has accepted. number: of its order; a later answer to an older one changes nothing.

    purpose: as written, "tx", "tx_default" or "station_max".
    """

    limit_a: float
    until_mono_s: float
    number: int
    purpose: str = "tx"


@dataclass(frozen=True, slots=True)
class Dating:
    """What decides how a setpoint is dated. floor_a: what the station falls back to, None = not known.

    no_past: it refuses schedules that have begun already.
    """

    clock: StationClock
    floor_a: float | None = None
    no_past: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """Note of one of our CALLs. order None: nobody waits for the answer.

    written: the setpoint in it, ends_mono_s: when its profile ends. update: it changes a Dynamic profile. began_now: its schedule
    begins with its writing, for one that had begun before was refused.
    """

    order: Order | None
    ends_mono_s: float = 0.0
    written: Setpoint | None = None
    update: bool = False
    began_now: bool = False


class Sender(Protocol):
    """How a CALL of ours gets into the lane."""

    def __call__(self, at: Stamp, action: str, payload: dict[str, Any], priority: Priority, note: Own) -> list[Outcome]: ...


class Asker(Protocol):
    """A CALL whose answer comes back by itself, see ``Downlink.ask``."""

    def __call__(
        self, at: Stamp, action: str, payload: dict[str, Any], done: Callable[[Stamp, Answer], list[Outcome]], priority: Priority
    ) -> list[Outcome]: ...


def is_setpoint_of(note: object, evse: EvseKey) -> bool:
    """Whether a note is of a setpoint for this EVSE."""
    return isinstance(note, Own) and isinstance(note.order, Inject) and note.order.evse == evse


def priority_of(order: Inject) -> Priority:
    """Only what protects a fuse overtakes the CSMS; renewals and rises take their turn with it."""
    return Priority.SAFETY if order.urgent else Priority.RELAYED


def setpoint(
    order: Inject, strategy: Strategy, at: Stamp, transaction: tuple[str | None, float | None], voltage_v: float, dating: Dating
) -> Setpoint:
    """The profile of an order. transaction: its id and when it began [Unix s], None = there is none."""
    transaction_id, began_wall_s = transaction
    start_wall_s, until_wall_s = _dates(order, strategy, at, began_wall_s, dating)
    return Setpoint(
        order.evse.evse_id,
        setpoint_id(place(strategy, order.evse.evse_id)),
        strategy.stack_level,
        order.limit_a,
        order.phase_count,
        start_wall_s,
        until_wall_s,
        transaction_id,
        strategy,
        voltage_v,
        order.phase_to_use,
        order.setpoint_w,
        order.idle,
    )


def _dates(order: Inject, strategy: Strategy, at: Stamp, began_wall_s: float | None, dating: Dating) -> tuple[float, float]:
    """Where its duration counts from, and where it ends [Unix s].

    Counted from its last update (K28.FR.13) or its session (K01.FR.42) it needs no clock but one. A dated one acts by the
    station's: one above the floor ends by it on time, for it must not outlive us; one that is not may hold too long, never too short.
    """
    if strategy.dynamic:
        return at.wall_s, at.wall_in(order.life_s)
    if strategy.relative and strategy.purpose != "station_max":
        return min(at.wall_s, began_wall_s) if began_wall_s is not None else at.wall_s, at.wall_in(order.life_s)
    ahead_s = dating.clock.ahead_s(at)
    start_wall_s, until_wall_s = at.wall_in(-CLOCK_SLACK_S) + ahead_s, at.wall_in(order.life_s) + ahead_s
    if lowers(order, dating.floor_a):
        lowest_s, highest_s = dating.clock.span_s(at)
        start_wall_s, until_wall_s = at.wall_s + lowest_s - BACK_S, at.wall_in(order.life_s + CLOCK_SLACK_S) + highest_s
    return (now_by(dating.clock, at) if dating.no_past else max(0.0, start_wall_s)), until_wall_s


def now_by(clock: StationClock, at: Stamp) -> float:
    """What a station's clock shows now [Unix s], as far as that is proved."""
    return at.wall_s + clock.ahead_s(at)


def is_dated(written: Setpoint) -> bool:
    """Whether a date says when it begins."""
    return not written.strategy.dynamic and kind(written.strategy) == "Absolute"


def lowers(order: Inject, floor_a: float | None) -> bool:
    """Whether more would flow without this setpoint: then its end is the danger. A car that gives back is not meant to go on alone."""
    if order.setpoint_w is not None:
        return False
    return order.idle or order.limit_a <= (floor_a or 0.0)


def floor(order: InstallFloor, at: Stamp, voltage_v: float) -> Setpoint:
    """The floor of an order; it has no end, so its times mean nothing."""
    profile_id = floor_id(place(order.strategy, order.evse.evse_id))
    numbers = (order.strategy.stack_level, order.limit_a, order.phase_count, at.wall_s, at.wall_s)
    return Setpoint(order.evse.evse_id, profile_id, *numbers, None, order.strategy, voltage_v)


def anew(order: Inject, written: Setpoint, at: Stamp) -> Setpoint:
    """A Dynamic setpoint to be written whole, now."""
    return replace(written, start_wall_s=at.wall_s, until_wall_s=at.wall_in(order.life_s))


def ends_mono_s(at: Stamp, note: Own, purpose: str) -> float:
    """When an accepted setpoint ends: of a Dynamic one the watchdog starts now; a Relative default begins anew with each session."""
    assert note.written is not None
    strategy = note.written.strategy
    if strategy.dynamic and isinstance(note.order, Inject):
        return at.mono_s + note.order.life_s
    return float("inf") if strategy.relative and purpose == "tx_default" else note.ends_mono_s


def make(written: Setpoint) -> Setpoint:
    """What an update cannot change of a Dynamic profile: everything but the value."""
    power_w = None if written.setpoint_w is None else 0.0
    life_s = round(written.until_wall_s - written.start_wall_s)
    return replace(written, limit_a=0.0, setpoint_w=power_w, start_wall_s=0.0, until_wall_s=float(life_s))
