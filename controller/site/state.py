"""The picture of the site: where every EVSE hangs, what it does, what it was measured to draw.

Everything here is frozen; a fact makes a new value with ``replace``. ``Layout`` is what the
configuration says and never changes; ``EvseState`` is what we know of one EVSE now. Decides
nothing about amps. Serves F16 (replayed events never reach here), F17 (counters may run
backwards) and the rule that currents are kept by *site* phase: a station counts its own
L1..L3, ``EvseConfig.phases`` says which site phase feeds each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controller.config import PHASE_INDEX, ROOT_CIRCUIT, Config, EvseConfig
from controller.facts import (
    ChargingState,
    DriverKnown,
    EvseKey,
    EvseMeasured,
    EvseStatus,
    LimitStep,
    NeedsAnnounced,
    NeedStated,
    ScheduleAnnounced,
    SessionChanged,
    Stamp,
    UpstreamWished,
)
from controller.site.stations.appetite import HUNGRY, Appetite, fed
from controller.site.stations.charger import ChargerModel, model_named
from controller.site.stations.phases import UNSEEN, PhaseUse, complete, loaded, observed

PHASES = (0, 1, 2)
PHASE_NAMES = ("L1", "L2", "L3")
MaybeTriple = tuple[float | None, float | None, float | None]
EFFICIENCY_ONE_WAY = 0.9
"""Between the charger's grid side and a car's cells, either way. Nobody measures it, so rather too low: a car that has enough stops by itself."""
UNKNOWN: MaybeTriple = (None, None, None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one EVSE hangs. path: circuit ids from its own up to the grid. phases: site phases."""

    key: EvseKey
    config: EvseConfig
    model: ChargerModel
    circuit: str
    path: tuple[str, ...]
    phases: tuple[int, ...]

    @property
    def min_a(self) -> float:
        """Smallest current that charges [A]: the car's or the box's, whichever is higher."""
        return max(self.config.min_current_a, self.model.min_current_a if self.config.min_current_a else 0.0)

    @property
    def fallback_a(self) -> float:
        """Current of the floor [A]."""
        return self.config.fallback_a


@dataclass(frozen=True, slots=True)
class Circuit:
    """One fuse. parent None = the grid connection. phases: how many conductors it has."""

    id: str
    parent: str | None
    fuse_a: float
    worst_other_load_a: float
    meter: str | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The fixed part of the site. circuits: parents before children, the grid first."""

    circuits: Mapping[str, Circuit]
    places: Mapping[EvseKey, Place]
    by_station: Mapping[str, tuple[EvseKey, ...]]
    below: Mapping[str, tuple[EvseKey, ...]]
    voltage_v: float
    phase_count: int
    metered: Mapping[str, str] = field(default_factory=dict)
    """meter id -> circuit id."""
    max_unbalance_a: float | None = None
    """Largest difference between two phases at the grid connection caused by charging [A]."""
    max_export_w: float | None = None
    """Most the whole site may feed in [W]; None = as much as its fuses carry."""


def layout_of(config: Config, models: Mapping[str, ChargerModel]) -> Layout:
    """The fixed part of the site from its configuration (already checked: no cycles, no strangers)."""
    circuits = _circuits(config)
    places = {place.key: place for place in _places(config, models, circuits)}
    stations = {station.id: tuple(EvseKey(station.id, evse.id) for evse in station.evses) for station in config.stations}
    below = {name: tuple(place.key for place in places.values() if name in place.path) for name in circuits}
    metered = {circuit.meter: circuit.id for circuit in circuits.values() if circuit.meter is not None}
    grid = config.grid
    unbalance_a = grid.max_unbalance_a if grid.phases == 3 else None
    return Layout(circuits, places, stations, below, grid.voltage_v, grid.phases, metered, unbalance_a, grid.max_export_w)


def _circuits(config: Config) -> dict[str, Circuit]:
    """Circuits with parents before children."""
    grid = config.grid
    found = {ROOT_CIRCUIT: Circuit(ROOT_CIRCUIT, None, grid.fuse_a, grid.worst_other_load_a, grid.meter)}
    waiting = list(config.circuits)
    while waiting:
        ready = [one for one in waiting if one.parent in found]
        if not ready:
            raise ValueError(f"circuits without a way to the grid: {', '.join(one.id for one in waiting)}")
        for one in ready:
            found[one.id] = Circuit(one.id, one.parent, one.fuse_a, one.worst_other_load_a, one.meter)
        waiting = [one for one in waiting if one.id not in found]
    return found


def _places(config: Config, models: Mapping[str, ChargerModel], circuits: Mapping[str, Circuit]) -> Iterable[Place]:
    for station in config.stations:
        path = tuple(path_of(circuits, station.circuit))
        model = model_named(models, station.model)
        for evse in station.evses:
            phases = tuple(PHASE_INDEX[name] for name in evse.phases if PHASE_INDEX[name] < config.grid.phases)
            yield Place(EvseKey(station.id, evse.id), evse, model, station.circuit, path, phases or (0,))


def path_of(circuits: Mapping[str, Circuit], circuit_id: str) -> Iterable[str]:
    """Circuit ids from this one up to the grid."""
    step: str | None = circuit_id
    while step is not None:
        yield step
        step = circuits[step].parent


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


# -- facts change the picture ------------------------------------------------------------------


def measured(state: EvseState, fact: EvseMeasured, voltage_v: float, offer_a: float) -> EvseState:
    """The picture after a meter value of the station. offer_a: setpoint in force per phase [A]."""
    current_a = _by_site_phase(state, fact, voltage_v)
    power_w = fact.power_w if _finite(fact.power_w) else _power_of(current_a, voltage_v)
    energy_wh = fact.energy_wh if fact.energy_wh is not None and _finite(fact.energy_wh) else None
    session = state.session if energy_wh is None else _counted(state.session, energy_wh)
    told = current_a != UNKNOWN
    if session is not None and (fact.given_wh is not None or (told and state.power_w is not None and state.power_w < 0)):
        session = _given(session, state, fact)
    phase_use, appetite = state.phase_use, state.appetite
    if told:
        phase_use = _phases_seen(state, fact, current_a, voltage_v)
        appetite = _fed(state, current_a, fact.at.mono_s, offer_a)
    return EvseState(  # most messages of a site come here: ``replace`` takes three times as long
        place=state.place,
        status=state.status,
        session=session,
        current_a=current_a if told else state.current_a,
        power_w=power_w if power_w is not None else state.power_w,
        energy_wh=energy_wh if energy_wh is not None else state.energy_wh,
        soc_percent=fact.soc_percent if _finite(fact.soc_percent) else state.soc_percent,
        measured_mono_s=fact.at.mono_s if told else state.measured_mono_s,
        phase_use=phase_use,
        appetite=appetite,
        wish=state.wish,
        wish_reason=state.wish_reason,
        left_a=state.left_a,
        left_until_mono_s=state.left_until_mono_s,
        switched=state.switched,
        switching=state.switching,
        prioritised=state.prioritised,
        doubted=state.doubted,
    )


def _finite(number: float | None) -> bool:
    return number is not None and math.isfinite(number)


def _by_site_phase(state: EvseState, fact: EvseMeasured, voltage_v: float) -> MaybeTriple:
    """Station phases to site phases; from power alone when no current was told."""
    first_a, second_a, third_a = fact.phase_current_a
    whole = first_a is not None and second_a is not None and third_a is not None and math.isfinite(first_a + second_a + third_a)
    if whole and state.place.phases == PHASES:
        return fact.phase_current_a  # most chargers
    amps: list[float | None] = [None, None, None]
    for phase, told_a in zip(state.place.phases, fact.phase_current_a, strict=False):
        if told_a is not None and math.isfinite(told_a):
            amps[phase] = told_a
    if amps == [None, None, None] and fact.power_w is not None and math.isfinite(fact.power_w):
        for phase in state.phases:
            amps[phase] = fact.power_w / voltage_v / len(state.phases)
    if amps != [None, None, None]:
        amps = [a if a is not None or phase not in state.place.phases else 0.0 for phase, a in zip(PHASES, amps, strict=True)]
    return amps[0], amps[1], amps[2]


def _power_of(current_a: MaybeTriple, voltage_v: float) -> float | None:
    known = [amps for amps in current_a if amps is not None]
    return sum(known) * voltage_v if known else None


def _counted(session: Session | None, energy_wh: float) -> Session | None:
    """Energy of the session from the register; a register that falls starts a new base (F17)."""
    if session is None:
        return None
    base_wh = session.base_wh if session.base_wh is not None else energy_wh
    if energy_wh < base_wh + session.charged_wh:
        base_wh = energy_wh - session.charged_wh
    charged_wh = energy_wh - base_wh
    return session if (base_wh, charged_wh) == (session.base_wh, session.charged_wh) else _with_count(session, base_wh, charged_wh)


MOST_GAP_S = 300.0
"""Between two readings a discharge is taken to have gone on for at most this long [s]."""


def _given(session: Session, state: EvseState, fact: EvseMeasured) -> Session:
    """Energy given back so far: by the export register, else from the power told by the last reading. A register that falls starts anew."""
    register_wh, base_wh, given_wh = fact.given_wh, session.given_base_wh, session.given_wh
    if base_wh is None:
        passed_s = min(max(0.0, fact.at.mono_s - state.measured_mono_s), MOST_GAP_S) * fact.at.wall_speed
        given_wh += max(0.0, -(state.power_w or 0.0)) * passed_s / 3600.0
    if register_wh is not None and math.isfinite(register_wh):
        if base_wh is None or register_wh < base_wh + given_wh:
            base_wh = register_wh - given_wh
        given_wh = register_wh - base_wh
    if (base_wh, given_wh) == (session.given_base_wh, session.given_wh):
        return session
    return replace(session, given_base_wh=base_wh, given_wh=given_wh)


def _with_count(session: Session, base_wh: float, charged_wh: float) -> Session:
    return Session(
        transaction_id=session.transaction_id,
        started_mono_s=session.started_mono_s,
        started_wall_s=session.started_wall_s,
        charging_state=session.charging_state,
        told_phase_count=session.told_phase_count,
        base_wh=base_wh,
        charged_wh=charged_wh,
        target_wh=session.target_wh,
        departure_wall_s=session.departure_wall_s,
        need_source=session.need_source,
        car_max_a=session.car_max_a,
        announced=session.announced,
        driver=session.driver,
        given_wh=session.given_wh,
        given_base_wh=session.given_base_wh,
        announced_net_wh=session.announced_net_wh,
        schedule=session.schedule,
    )


def _phases_seen(state: EvseState, fact: EvseMeasured, current_a: MaybeTriple, voltage_v: float) -> PhaseUse:
    """Power alone, spread over the phases by us, says nothing about them."""
    told_a = fact.phase_current_a
    if told_a == UNKNOWN:
        return state.phase_use
    speaks = None not in told_a or complete(told_a, len(state.place.phases), fact.power_w, voltage_v)
    return observed(state.phase_use, state.place.phases, current_a, speaks, fact.at.mono_s)


def _fed(state: EvseState, current_a: MaybeTriple, now_mono_s: float, offer_a: float) -> Appetite:
    if state.session is None:
        return HUNGRY
    drawn_a = max([amps for amps in current_a if amps is not None], default=0.0)
    return fed(state.appetite, drawn_a, offer_a, now_mono_s)


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


# -- what a restart must not forget --------------------------------------------------------------


def session_memory(session: Session) -> dict[str, Any]:
    """What the journal keeps of a session so that a restart does not forget a promise to a driver."""
    return {
        "transaction_id": session.transaction_id,
        "started_wall_s": session.started_wall_s,
        "base_wh": session.base_wh,
        "target_wh": session.target_wh,
        "departure_wall_s": session.departure_wall_s,
        "need_source": session.need_source,
        "given_wh": session.given_wh,
        "given_base_wh": session.given_base_wh,
        "announced": _needs_memory(session.announced),
        "announced_net_wh": session.announced_net_wh,
    }


_KEPT_NEEDS = (
    "max_discharge_w", "min_discharge_w", "capacity_wh", "soc_percent", "min_wh", "max_wh", "min_v2x_wh", "max_v2x_wh",
)  # fmt: skip
"""What of a car's own word is needed again after a restart; of need and departure there is a memory anyway."""


def _needs_memory(car: NeedsAnnounced | None) -> dict[str, Any] | None:
    """Only of a car that can give back: it says so once."""
    if car is None or not car.bidirectional:
        return None
    return {"transfer_mode": car.transfer_mode, **{name: getattr(car, name) for name in _KEPT_NEEDS}}


def _needs_recalled(memory: Any, at: Stamp, key: EvseKey | None) -> NeedsAnnounced | None:
    if not isinstance(memory, Mapping) or key is None:
        return None
    numbers: dict[str, Any] = {name: number_or_none(memory.get(name)) for name in _KEPT_NEEDS}
    return NeedsAnnounced(at, key, None, None, bidirectional=True, transfer_mode=str(memory.get("transfer_mode", "")), **numbers)


def session_recalled(session: Session, memory: Mapping[str, Any], at: Stamp, key: EvseKey | None = None) -> Session:
    """The session with what the journal knew of it; ``session`` unchanged if it is another one. key: its EVSE."""
    if memory.get("transaction_id") != session.transaction_id:
        return session
    started, base = number_or_none(memory.get("started_wall_s")), number_or_none(memory.get("base_wh"))
    return replace(
        session,
        started_wall_s=min(started, at.wall_s) if started is not None else at.wall_s,
        base_wh=base if base is not None else session.base_wh,
        target_wh=number_or_none(memory.get("target_wh")),
        departure_wall_s=number_or_none(memory.get("departure_wall_s")),
        need_source=str(memory.get("need_source", "")),
        given_wh=max(0.0, number_or_none(memory.get("given_wh")) or 0.0),
        given_base_wh=number_or_none(memory.get("given_base_wh")),
        announced=session.announced or _needs_recalled(memory.get("announced"), at, key),
        announced_net_wh=number_or_none(memory.get("announced_net_wh")) or 0.0,
    )


def number_or_none(value: Any) -> float | None:
    """A finite number from the journal, None for anything else (F75)."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
