"""The budget: turns the picture of the site into rows of capacity and claims for the arbiter.

Freeze, decide, write: ``freeze`` makes one immutable ``SiteState``; the arbiter sees nothing else.
What cannot be commanded now is *booked*, that is subtracted from every row above it, with the most
it may be drawing: an offline station with its last setpoint for a while, then its floor (F01); an
uncontrollable one with its maximum (F04); one that does not follow with what it draws (F03); one
whose floor is not confirmed never gets more than its fallback (F12).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller.config import ControlConfig
from controller.facts import ChargingState, EvseKey, EvseStatus, PhaseAmps, Stamp
from controller.site.actuate import Actuator, Channel
from controller.site.arbiter import Claim, Rank, Row, floor_to
from controller.site.limits import Limit
from controller.site.otherload import Draw
from controller.site.state import PHASE_NAMES, PHASES, UNKNOWN, EvseState, Layout

UNUSED_AFTER_S = 30.0
"""An offer not used for this long is offered to others [s]."""
HEADROOM_A = 2.0
"""What a car that does not use its offer keeps above its current [A]."""
DWELL_S = 300.0
"""A turn lasts at least this long [s]."""
AGED_S = 2 * DWELL_S
"""Who waited this long goes before those whose turn still lasts [s]."""
REST_S = 20.0
"""A car that was paused for lack of room stays paused this long: contactors wear [s]."""
REACTION_S = 5.0
"""A car may take this long to follow its station (IEC 61851-1) [s]."""
TRUST_S = 120.0
"""A station's own current counts for a booking this long [s]."""


@dataclass(frozen=True, slots=True)
class CircuitLoad:
    """What a circuit carries besides cars and how far that is trusted.

    other_a: per phase [A]. margin_a: kept free [A]. lost: meter silent, everything below falls
    back. hold: nothing below may rise. meter: which one, "" if none.
    """

    other_a: PhaseAmps
    margin_a: float
    lost: bool = False
    hold: bool = False
    meter: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """Since when an EVSE with a session is served, or waits. rest_until_mono_s: its rest is over; why: what it was paused for."""

    served: bool
    since_mono_s: float
    rest_until_mono_s: float = -math.inf
    why: str = ""


@dataclass(frozen=True, slots=True)
class StationWish:
    """The CSMS's limit for the sum of a station now, per phase [A]."""

    limit_a: float
    reason: str


@dataclass(frozen=True, slots=True)
class Target:
    """What the plan gives an EVSE now, per phase [A]; a ceiling, never more. discharge_w > 0: what it shall give back, in all."""

    limit_a: float
    reason: str
    discharge_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything the budget is made of, at one moment."""

    at: Stamp
    evses: Mapping[EvseKey, EvseState]
    loads: Mapping[str, CircuitLoad]
    limits: Mapping[str, Limit]
    station_wishes: Mapping[str, StationWish]
    targets: Mapping[EvseKey, Target]
    turns: Mapping[EvseKey, Turn]
    paused: Collection[EvseKey]
    disobeying: Collection[EvseKey]


@dataclass(frozen=True, slots=True)
class SiteState:
    """The frozen picture the arbiter decides on. Row ``3 * i + phase`` belongs to circuit i."""

    at: Stamp
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    booked_a: Mapping[EvseKey, float]


class Budget:
    """Builds the frozen picture. Keeps only the fixed layout."""

    def __init__(self, layout: Layout, actuator: Actuator, control: ControlConfig) -> None:
        self._layout, self._actuator, self._control = layout, actuator, control
        self._index = {name: number for number, name in enumerate(layout.circuits)}

    def row_of(self, circuit: str, phase: int) -> int:
        """Index of the row of a circuit and phase."""
        return 3 * self._index[circuit] + phase

    def freeze(self, inputs: Inputs) -> SiteState:
        """Rows and claims at this moment."""
        now = inputs.at.mono_s
        capacity, reasons = self._copper(inputs)
        station_rows = self._stations(inputs, capacity, reasons)
        claims: list[Claim] = []
        booked: dict[EvseKey, float] = {}
        for key, evse in inputs.evses.items():
            channel = self._actuator.channels[key]
            rows = self._rows(evse, station_rows)
            amps = self._booking(evse, channel, inputs)
            if amps is not None:
                booked[key] = amps
                for row in rows:
                    capacity[row] -= amps
            if evse.session is not None and channel.online:
                claims.append(self._claim(evse, channel, () if amps is not None else rows, inputs, now))
        return SiteState(inputs.at, tuple(map(Row, capacity, reasons)), tuple(claims), booked)

    def _copper(self, inputs: Inputs) -> tuple[list[float], list[str]]:
        """Capacity and name of the rows of the circuits: fuse, or a lower limit, less the other load."""
        capacity: list[float] = []
        reasons: list[str] = []
        for name, circuit in self._layout.circuits.items():
            load, limit = inputs.loads[name], inputs.limits.get(name)
            copper_a = circuit.fuse_a - load.margin_a
            lower = limit is not None and limit.limit_a < copper_a
            most_a = limit.limit_a if limit is not None and lower else copper_a
            for phase in PHASES:
                capacity.append(most_a - load.other_a[phase])
                fuse = "fuse" if circuit.parent is None else f"circuit {name}"
                reasons.append(limit.reason if limit is not None and lower else f"{fuse} {PHASE_NAMES[phase]}")
        return capacity, reasons

    def _stations(self, inputs: Inputs, capacity: list[float], reasons: list[str]) -> dict[str, int]:
        """Rows of stations whose sum the CSMS limits: station -> index of its L1 row."""
        first: dict[str, int] = {}
        for station_id, wish in inputs.station_wishes.items():
            first[station_id] = len(capacity)
            capacity += [wish.limit_a] * 3
            reasons += [wish.reason] * 3
        return first

    def _rows(self, evse: EvseState, station_rows: Mapping[str, int]) -> tuple[int, ...]:
        phases = evse.phases
        rows = [3 * self._index[name] + phase for name in evse.place.path for phase in phases]
        first = station_rows.get(evse.place.key.station_id)
        if first is not None:
            rows += [first + phase for phase in phases]
        return tuple(rows)

    # -- what is booked instead of claimed -------------------------------------------------------------

    def _booking(self, evse: EvseState, channel: Channel, inputs: Inputs) -> float | None:
        """Current to subtract [A] for an EVSE that takes no part in the sharing; None if it does."""
        now, key = inputs.at.mono_s, evse.place.key
        drawn_a = evse.drawn_a or 0.0 if now - evse.measured_mono_s < TRUST_S else 0.0
        if not channel.online:
            return self._actuator.booked_offline_a(channel, now)
        if channel.uncontrollable:
            return max(evse.place.config.max_current_a, drawn_a)
        if key in inputs.disobeying:
            return max(drawn_a, channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s))
        if evse.session is None:
            careful = evse.status is EvseStatus.OCCUPIED or not channel.confirmed
            return max(drawn_a, channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s) if careful else 0.0)
        return None

    # -- what is claimed ---------------------------------------------------------------------------------

    def _claim(self, evse: EvseState, channel: Channel, rows: tuple[int, ...], inputs: Inputs, now: float) -> Claim:
        place, turn = evse.place, inputs.turns.get(evse.place.key)
        cap_a, reason = self._cap(evse, channel, inputs, booked=not rows)
        if turn is not None and now < turn.rest_until_mono_s and cap_a > 0:
            cap_a, reason = 0.0, f"short rest after a pause: {turn.why}"
        held = any(inputs.loads[name].hold for name in place.path)
        ceiling_a = channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s)
        if not channel.confirmed:
            ceiling_a = max(ceiling_a, evse.drawn_a or 0.0)
        return Claim(
            place.key,
            rows,
            place.min_a,
            cap_a,
            reason,
            min(cap_a, self._want(evse, now)),
            channel.present_a(now),
            ceiling_a,
            place.config.priority,
            _rank(evse, turn, now),
            turn.since_mono_s if turn is not None else evse.session.started_mono_s if evse.session else now,
            place.model.step_a,
            channel.rise_s(now),
            not held,
        )

    def _cap(self, evse: EvseState, channel: Channel, inputs: Inputs, booked: bool) -> tuple[float, str]:
        """The most an EVSE may have by its own limits [A] and the name of the lowest. Each layer only narrows."""
        place, session = evse.place, evse.session
        cap_a, reason = place.config.max_current_a, "charger maximum"
        lower: list[tuple[float | None, str]] = [(session.car_max_a if session else None, "car maximum")]
        lower.append((evse.wish_now(inputs.at.wall_s), evse.wish_reason or "upstream profile"))
        target = inputs.targets.get(place.key)
        if target is not None:
            lower.append((target.limit_a, target.reason))
        if not channel.confirmed:
            lower.append((place.fallback_a, "fallback not confirmed by the station yet"))
        lost = next((inputs.loads[name].meter for name in place.path if inputs.loads[name].lost), None)
        if lost is not None:
            lower.append((place.fallback_a, f"meter {lost} silent - fallback"))
        if place.key in inputs.paused:
            lower.append((0.0, "does not follow its setpoint - paused"))
        if booked:
            lower.append((channel.present_a(inputs.at.mono_s), "not under control" if channel.uncontrollable else "does not follow its setpoint"))
        for amps, why in lower:
            if amps is not None and amps < cap_a:
                cap_a, reason = amps, why
        return max(0.0, cap_a), reason

    def _want(self, evse: EvseState, now: float) -> float:
        """What the car is expected to use [A]: all, or a little more than now if it left its offer unused."""
        since = evse.unused_since_mono_s
        if evse.session is not None and evse.session.charging_state is ChargingState.SUSPENDED_EV:
            return evse.place.min_a
        if since is None or now - since < UNUSED_AFTER_S:
            return math.inf
        return max(evse.place.min_a, floor_to((evse.drawn_a or 0.0) + HEADROOM_A, evse.place.model.step_a))


def _rank(evse: EvseState, turn: Turn | None, now: float) -> Rank:
    """Where an EVSE stands in the queue of its priority."""
    session = evse.session
    if session is not None and session.charging_state is ChargingState.SUSPENDED_EV:
        return Rank.RESTING
    if turn is None:
        return Rank.WAITING
    lasts_s = now - turn.since_mono_s
    if turn.served:
        return Rank.SERVED if lasts_s < DWELL_S else Rank.YIELDING
    return Rank.AGED if lasts_s >= AGED_S else Rank.WAITING


def draw_of(evse: EvseState, channel: Channel, booked_a: float | None, now: float) -> Draw:
    """Bounds of what the car draws per site phase [A]: what it told, and what its setpoint allows.

    booked_a: what is subtracted for it if it takes no part in the sharing, else None.
    """
    if now < evse.left_until_mono_s and evse.session is None:
        return Draw((0.0, 0.0, 0.0), _known(evse.left_a))
    told = _known(evse.current_a)
    offer_a = _offer(evse, channel, booked_a, now)
    if evse.current_a == UNKNOWN or not channel.online:
        return Draw((0.0, 0.0, 0.0), _on(evse.phases, offer_a))
    low, high = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    cut_over_s = channel.lowered_mono_s + channel.place.model.apply_s + REACTION_S
    told_after, still_falling = evse.measured_mono_s >= cut_over_s, now < cut_over_s
    for phase in PHASES:
        most_a = offer_a if phase in evse.phases else 0.0
        low[phase] = told[phase] if told_after else min(told[phase], most_a)
        # A cut that had its time is believed until the station tells otherwise: else a rise of the
        # building would pass for a car that has not followed yet.
        high[phase] = max(told[phase], most_a) if told_after or still_falling else most_a
    return Draw((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _offer(evse: EvseState, channel: Channel, booked_a: float | None, now: float) -> float:
    """What the car may be drawing by its offer [A]; little more than told if it does not use it."""
    if booked_a is not None:
        return booked_a
    if evse.session is None:
        return 0.0
    offer_a = channel.present_a(now)
    unused = evse.unused_since_mono_s is not None and now - evse.unused_since_mono_s >= UNUSED_AFTER_S
    return min(offer_a, (evse.drawn_a or 0.0) + HEADROOM_A) if unused else offer_a


def _known(triple: tuple[float | None, float | None, float | None]) -> PhaseAmps:
    return triple[0] or 0.0, triple[1] or 0.0, triple[2] or 0.0


def _on(phases: tuple[int, ...], amps: float) -> PhaseAmps:
    return tuple(amps if phase in phases else 0.0 for phase in PHASES)  # type: ignore[return-value]
