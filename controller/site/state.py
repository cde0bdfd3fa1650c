"""The picture of the site: what every EVSE does, what its session is and needs, and what was measured of it.

Everything here is frozen; a fact makes a new value with ``replace`` (``measuring`` after a meter value). ``EvseState`` is what we know of one
EVSE now, ``layout`` where it hangs. Decides nothing about amps. Serves F16 (replayed events never reach here).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.facts import (
    ChargingState,
    DriverKnown,
    EvseStatus,
    LimitStep,
    NeedsAnnounced,
    NeedStated,
    ScheduleAnnounced,
    SessionChanged,
    UpstreamWished,
)
from controller.site.layout import Place
from controller.site.stations.appetite import HUNGRY, Appetite
from controller.site.stations.phases import UNSEEN, PhaseUse, loaded

MaybeTriple = tuple[float | None, float | None, float | None]
EFFICIENCY_ONE_WAY = 0.9
"""Between the charger's grid side and a car's cells, either way. Nobody measures it, so rather too low: a car that has enough stops by itself."""
UNKNOWN: MaybeTriple = (None, None, None)


@dataclass(frozen=True, slots=True)
class Session:
    """One transaction. charged_wh: energy so far. target_wh: charged_wh at which its need is met.

    need_source: "" while nobody said anything, else who did (a person beats the car).
    """

    transaction_id: str
    started_mono_s: float
    started_wall_s: float
    charging_state: ChargingState | None = None
    told_phase_count: int | None = None
    base_wh: float | None = None
    charged_wh: float = 0.0
    target_wh: float | None = None
    departure_wall_s: float | None = None
    need_source: str = ""
    car_max_a: float | None = None
    announced: NeedsAnnounced | None = None
    """The car's own last word about its needs (ISO 15118)."""
    driver: DriverKnown | None = None
    """What is known of who charges here."""
    given_wh: float = 0.0
    """Energy the car has given back so far, at the charger."""
    given_base_wh: float | None = None
    """What the export register showed while nothing had been given back yet; None = it never spoke."""
    announced_net_wh: float = 0.0
    """Energy that had come into the cells by this session when the car announced its needs."""
    schedule: tuple[LimitStep, ...] = ()
    """What the car says it will take, per phase [A] (ISO 15118); () = nothing said."""

    def will_take_a(self, wall_s: float) -> float | None:
        """What the car says it takes now, per phase [A]; None = it did not say."""
        said: float | None = None
        for step in self.schedule:
            if step.start_wall_s > wall_s:
                break
            said = step.limit_a
        return said

    @property
    def need_wh(self) -> float | None:
        """Energy still wanted [Wh], None when nobody said. What the car gives back it wants again, with what is lost on both ways."""
        if self.target_wh is None:
            return None
        return max(0.0, self.target_wh - self.charged_wh + self.given_wh / EFFICIENCY_ONE_WAY**2)

    @property
    def stored_wh(self) -> float:
        """Energy that has come into the cells in this session; negative = went out [Wh]."""
        return self.charged_wh * EFFICIENCY_ONE_WAY - self.given_wh / EFFICIENCY_ONE_WAY

    @property
    def net_given_wh(self) -> float:
        """Energy that left the cells since the car announced itself, negative = came in [Wh]."""
        return self.announced_net_wh - self.stored_wh


@dataclass(frozen=True, slots=True)
class EvseState:
    """One EVSE now. current_a: by site phase, None = not told. measured_mono_s: when.

    phase_use: what was seen of the phases; appetite: how much of its offer the car takes. wish: steps of the
    CSMS's own profiles. left_a, left_until_mono_s: what it drew when its session ended, and
    until when a meter reading may still contain it. switched: the one site phase a switching charger was put on, None = as
    wired; switching: on its way between one and three. prioritised: PriorityCharging (K21/K22). doubted: its
    own values are not believed (``lying``), it counts on all its phases.
    """

    place: Place
    status: EvseStatus | None = None
    session: Session | None = None
    current_a: MaybeTriple = UNKNOWN
    power_w: float | None = None
    energy_wh: float | None = None
    soc_percent: float | None = None
    measured_mono_s: float = -math.inf
    phase_use: PhaseUse = UNSEEN
    appetite: Appetite = HUNGRY
    wish: tuple[LimitStep, ...] = ()
    wish_reason: str = ""
    left_a: MaybeTriple = UNKNOWN
    left_until_mono_s: float = -math.inf
    switched: int | None = None
    switching: bool = False
    prioritised: bool = False
    doubted: bool = False

    @property
    def phases(self) -> tuple[int, ...]:
        """Site phases that count for it: learned from currents, else told, else all it is wired to."""
        if self.doubted:
            return self.place.phases
        if self.phase_use.learned and not self.switching and self.switched is None:
            return self.phase_use.learned
        told = self.session.told_phase_count if self.session else None
        return loaded(self.place.phases, self.phase_use, told, self.switched, self.switching)

    @property
    def unused_since_mono_s(self) -> float | None:
        """Since when the car draws clearly less than it is offered [s]; None = it uses its offer."""
        return self.appetite.unused_since_mono_s

    @property
    def drawn_a(self) -> float | None:
        """Largest measured phase current [A], None when nothing was measured."""
        first_a, second_a, third_a = self.current_a
        if first_a is not None and second_a is not None and third_a is not None:  # most of them
            return max(first_a, second_a, third_a)
        known = [amps for amps in self.current_a if amps is not None]
        return max(known) if known else None

    def wish_now(self, wall_s: float) -> float | None:
        """Limit per phase [A] the CSMS's profiles give at this time; None = no limit."""
        step, _ = self.wish_step(wall_s)
        return step.limit_a if step is not None else None

    def wish_step(self, wall_s: float) -> tuple[LimitStep | None, float | None]:
        """The step of the CSMS's profiles that holds at this time, None = none; and when the next one begins (wall)."""
        found: LimitStep | None = None
        for step in self.wish:
            if step.start_wall_s > wall_s:
                return found, step.start_wall_s
            found = step
        return found, None


LEAVE_S = 3.0
"""A meter reading may still contain a car that left this long ago [s]."""


def session_changed(state: EvseState, fact: SessionChanged) -> EvseState:
    """The picture after a transaction event. Replays (``live`` False) change nothing (F16)."""
    if not fact.live:
        return state
    if fact.ended:
        return _ended(state, fact)
    session = state.session
    if session is None or session.transaction_id != fact.transaction_id:
        session = Session(fact.transaction_id, fact.at.mono_s, fact.at.wall_s, base_wh=state.energy_wh)
        state = replace(state, phase_use=UNSEEN, appetite=HUNGRY, switched=None, switching=False)
    charging_state = fact.charging_state or session.charging_state
    told = _told(state.place, fact.phase_count) or session.told_phase_count
    if session is state.session and (charging_state, told) == (session.charging_state, session.told_phase_count):
        return state  # as most messages of a running session
    return replace(state, session=replace(session, charging_state=charging_state, told_phase_count=told))


def _told(place: Place, phase_count: int | None) -> int | None:
    return phase_count if phase_count is not None and 1 <= phase_count < len(place.phases) else None


def _ended(state: EvseState, fact: SessionChanged) -> EvseState:
    if state.session is None or state.session.transaction_id != fact.transaction_id:
        return state
    return replace(
        state,
        session=None,
        left_a=state.current_a,
        left_until_mono_s=fact.at.mono_s + LEAVE_S,
        current_a=UNKNOWN,
        power_w=None,
        soc_percent=None,
        phase_use=UNSEEN,
        appetite=HUNGRY,
        switched=None,
        switching=False,
    )


def need_stated(state: EvseState, fact: NeedStated) -> EvseState:
    """A person or the fleet said what the session needs; this beats what the car announced."""
    return _needing(state, fact.energy_wh, fact.departure_wall_s, fact.source)


def need_announced(state: EvseState, fact: NeedsAnnounced) -> EvseState:
    """The car announced its needs; ignored where a person already spoke."""
    session = state.session
    if session is None:
        return state
    session = replace(session, announced=fact, announced_net_wh=session.stored_wh)
    state = replace(state, session=session)
    if fact.max_current_a is not None and math.isfinite(fact.max_current_a) and fact.max_current_a > 0:
        state = replace(state, session=replace(session, car_max_a=fact.max_current_a))
    if session.need_source not in ("", "car", "group"):
        return state
    return _needing(state, fact.energy_wh, fact.departure_wall_s, "car")


def driver_known(state: EvseState, fact: DriverKnown) -> EvseState:
    """Who charges here. What the driver's group usually needs counts until car, person or fleet says something."""
    session = state.session
    if session is None or session.transaction_id != fact.transaction_id:
        return state
    state = replace(state, session=replace(session, driver=fact))
    if session.need_source not in ("", "group"):
        return state
    return _needing(state, fact.energy_wh, fact.departure_wall_s, "group") if (fact.energy_wh, fact.departure_wall_s) != (None, None) else state


def schedule_announced(state: EvseState, fact: ScheduleAnnounced) -> EvseState:
    """The car said what it will take (K15-K17); a hint of what it wants, no limit. What is no number is left out."""
    if state.session is None:
        return state
    steps = tuple(step for step in fact.steps if step.limit_a is None or (math.isfinite(step.limit_a) and step.limit_a >= 0))
    return replace(state, session=replace(state.session, schedule=steps))


def _needing(state: EvseState, energy_wh: float | None, departure_wall_s: float | None, source: str) -> EvseState:
    session = state.session
    if session is None:
        return state
    target_wh = session.charged_wh + max(0.0, energy_wh) if energy_wh is not None and math.isfinite(energy_wh) else session.target_wh
    departure = departure_wall_s if departure_wall_s is not None and math.isfinite(departure_wall_s) else session.departure_wall_s
    return replace(state, session=replace(session, target_wh=target_wh, departure_wall_s=departure, need_source=source))


def wished(state: EvseState, fact: UpstreamWished) -> EvseState:
    """The CSMS's own profiles for this EVSE changed. What is no number counts as 0: the safer side."""
    steps = tuple(map(_sane, fact.steps))
    return replace(state, wish=steps, wish_reason=fact.reason, prioritised=fact.prioritised)


def _sane(step: LimitStep) -> LimitStep:
    if all(amps is None or math.isfinite(amps) for amps in (step.limit_a, step.discharge_a, step.setpoint_a)):
        return step
    limit_a, discharge_a, setpoint_a = (
        amps if amps is None or math.isfinite(amps) else 0.0 for amps in (step.limit_a, step.discharge_a, step.setpoint_a)
    )
    return replace(step, limit_a=limit_a, discharge_a=discharge_a, setpoint_a=setpoint_a)
