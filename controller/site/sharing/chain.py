"""The chain of limits on one EVSE by its own: charger, car, CSMS, plan, and what safety takes away.

Order is the order of telling, not of strength: the lowest layer binds. A step of the CSMS that says what
shall flow (2.1 CentralSetpoint) is a ceiling like any other; what it wants given back is ``wanted_discharge_w``.
"""

from __future__ import annotations

import math

from controller.facts import LimitStep
from controller.site.layout import Place
from controller.site.sharing import layers
from controller.site.sharing.inputs import Inputs
from controller.site.sharing.layers import Layer
from controller.site.state import EvseState
from controller.site.stations.channel import Channel
from controller.site.stations.v2g import IDLE, may_discharge_w

MIN_GIVE_W = 100.0
"""Less than this is not worth a discharge [W]."""


def own_layers(evse: EvseState, channel: Channel, inputs: Inputs, booked: bool) -> list[Layer]:
    """Every limit of the EVSE itself now, lowest wins; at least one. booked: its current is subtracted, it takes no part."""
    place, at = evse.place, inputs.at
    found = [Layer(place.config.max_current_a, "charger maximum", layers.CHARGER)]
    found += _of_car(evse, at.mono_s)
    if evse.wish:
        found += _of_csms(evse, at.wall_s)
    target = inputs.targets.get(place.key)
    if target is not None:
        found.append(Layer(target.limit_a, target.reason, target.source or layers.PLAN, target.ends_wall_s))
    if not channel.confirmed:
        found.append(Layer(place.fallback_a, "fallback not confirmed by the station yet", layers.FLOOR))
    found += _of_meters(place, inputs)
    if evse.switching:
        to = "one phase" if evse.switched is not None else "three phases"
        found.append(Layer(0.0, f"the charger switches to {to}", layers.CHARGER))
    if place.key in inputs.paused:
        found.append(Layer(0.0, "does not follow its setpoint - paused", layers.GUARD))
    if booked:
        why = "not under control" if channel.uncontrollable else "does not follow its setpoint"
        present_a = channel.present_a(at.mono_s)
        if channel.behind(at.mono_s):
            why = why if channel.uncontrollable or place.key in inputs.disobeying else "its station has not taken its last cut yet"
            present_a = min(present_a, channel.wanted.limit_a) if channel.wanted is not None else present_a
        found.append(Layer(present_a / (1.0 + channel.overdraw_part), why, layers.STATION))
    turn = inputs.turns.get(place.key)
    if turn is not None and at.mono_s < turn.rest_until_mono_s:
        ends_wall_s = at.wall_in(turn.rest_until_mono_s - at.mono_s)
        found.append(Layer(0.0, f"short rest after a pause: {turn.why}", layers.GUARD, ends_wall_s))
    return found


def _of_car(evse: EvseState, now: float) -> list[Layer]:
    """What the car announced, and what it was seen to take at most."""
    if evse.session is None:
        return []
    told_a, found = evse.session.car_max_a, []
    if told_a is not None:
        found.append(Layer(told_a, "car maximum", layers.CAR))
    learned_a = evse.appetite.cap_a(now)
    if learned_a is not None:
        step_a = evse.place.model.step_a
        whole_a = max(evse.place.min_a, math.ceil(learned_a / step_a) * step_a)
        found.append(Layer(whole_a, "car maximum (it takes no more)", layers.CAR))
    return found


def _of_csms(evse: EvseState, wall_s: float) -> list[Layer]:
    step, ends_wall_s = evse.wish_step(wall_s)
    if step is None:
        return []
    known = [amps for amps in (step.limit_a, step.setpoint_a) if amps is not None]
    if step.mode == IDLE:
        known.append(0.0)
    return [Layer(max(0.0, min(known)), evse.wish_reason or "upstream profile", layers.UPSTREAM, ends_wall_s)] if known else []


def _of_meters(place: Place, inputs: Inputs) -> list[Layer]:
    for name in place.path:
        load = inputs.loads[name]
        if load.lost:
            return [Layer(place.fallback_a, f"meter {load.meter} silent - fallback", layers.SAFETY)]
    return []


def wanted_discharge_w(evse: EvseState, channel: Channel, inputs: Inputs, voltage_v: float) -> tuple[float, str]:
    """(what the EVSE shall and may give back now [W], >= 0, over all phases; who wants it, or who wants no more)."""
    if not gives_at_all(evse, channel, inputs):
        return 0.0, ""
    wanted_w, reason = _asked_w(evse, inputs, voltage_v)
    if wanted_w <= 0:
        return 0.0, ""
    allowed_w, _ = may_discharge_w(evse, inputs.features.get(evse.place.key.station_id), inputs.at.wall_s, voltage_v)
    wanted_w, bound = min(wanted_w, allowed_w), inputs.give_bounds.get(evse.place.key)
    return (wanted_w, reason) if bound is None or wanted_w <= bound[0] else bound


def gives_at_all(evse: EvseState, channel: Channel, inputs: Inputs) -> bool:
    """Nothing is given back unless the site is well, its meters speak, the station's floor is confirmed and it follows."""
    place = evse.place
    if place.config.v2g is None or not inputs.may_give or not channel.confirmed or channel.giving_refused:
        return False
    if place.key in inputs.paused or evse.switching:
        return False
    return not any(inputs.loads[name].lost for name in place.path)  # a circuit over its limit needs what is given back more than ever


def allowed_discharge_w(evse: EvseState, channel: Channel, inputs: Inputs, voltage_v: float) -> float:
    """The most the EVSE may give back now [W], whoever wants it."""
    if not gives_at_all(evse, channel, inputs):
        return 0.0
    allowed_w, _ = may_discharge_w(evse, inputs.features.get(evse.place.key.station_id), inputs.at.wall_s, voltage_v)
    bound = inputs.give_bounds.get(evse.place.key)
    return allowed_w if bound is None else min(allowed_w, bound[0])


def _asked_w(evse: EvseState, inputs: Inputs, voltage_v: float) -> tuple[float, str]:
    """What the CSMS's setpoint says, else the plan."""
    step, _ = evse.wish_step(inputs.at.wall_s)
    if step is not None and step.setpoint_a is not None:
        return -step.setpoint_a * voltage_v * (step.phase_count or len(evse.place.phases)), evse.wish_reason or "upstream profile"
    target = inputs.targets.get(evse.place.key)
    return (target.discharge_w, target.reason) if target is not None else (0.0, "")


def least_discharge_w(evse: EvseState) -> float:
    """The car's own smallest discharge [W]; less is nothing."""
    car = evse.session.announced if evse.session is not None else None
    return max(MIN_GIVE_W, car.min_discharge_w or 0.0) if car is not None else MIN_GIVE_W


def phase_words(evse: EvseState, may_choose: bool) -> tuple[int | None, int | None]:
    """(phase_count, phase_to_use) of a setpoint for a charger that switches. The station's own phases count from 1.

    may_choose: it lets us name the phase; without that it takes its first.
    """
    place = evse.place
    if evse.switched is None:
        return len(place.phases), None
    return 1, place.phases.index(evse.switched) + 1 if may_choose else None


def idles(evse: EvseState, cap: Layer, step: LimitStep | None) -> bool:
    """Whether a V2X session shall neither charge nor discharge: its CSMS says so, or plan or CSMS want nothing of it now."""
    if step is not None and step.mode == IDLE:
        return True
    car = evse.session.announced if evse.session is not None else None
    return car is not None and car.bidirectional and cap.limit_a <= 0 and cap.source in (layers.PLAN, layers.UPSTREAM)
