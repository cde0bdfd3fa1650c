"""The picture of an EVSE after a meter value of its station: currents by site phase, energy of the session, what the car takes.

Most messages of a site come here. Serves F17 (counters may run backwards) and the rule that currents are kept by *site* phase:
a station counts its own L1..L3.
"""

from __future__ import annotations

import math
from dataclasses import replace

from controller.facts import EvseMeasured
from controller.site.layout import PHASES
from controller.site.state import UNKNOWN, EvseState, MaybeTriple, Session
from controller.site.stations.appetite import HUNGRY, Appetite, fed
from controller.site.stations.phases import PhaseUse, complete, observed


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
