"""Vehicle to grid: whether a car may give back now, how much, and why not.

Four have to agree: the owner (a ``v2g`` block at the EVSE), the station (it announced the operation mode
CentralSetpoint and V2X for this EVSE, Q01.FR.31), the car (it asked for a bidirectional transfer and told how much it
gives, Q01) and its CSMS (no profile of it forbids; its dischargeLimit bounds, K08.FR.08). The state of charge
has to be known and above the reserve. Anything unknown means no. Decides the bound only; the plan and the
CSMS's setpoints say how much of it is used, the arbiter what the copper carries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from controller.config import V2gConfig
from controller.facts import FeaturesLearned, LimitStep, NeedsAnnounced
from controller.site.state import EvseState
from controller.site.stations.channel import Channel

CENTRAL_SETPOINT: Final = "CentralSetpoint"
IDLE: Final = "Idle"
RESERVE_BAND_PERCENT: Final = 2.0
"""So far above its reserve a car must be before it gives back again: no flapping at the edge [%]."""
FULL_ENOUGH_PERCENT: Final = 95.0
"""Above it the energy up to full says too little about the whole battery [%]."""
GIVING_SETTLES_S: Final = 15.0
"""What a car was seen to give before its setpoint changed counts this much longer, if nobody measures it again [s]."""
TRUST_S: Final = 120.0
"""What a station told of its power counts this long [s]."""
NO_SETPOINTS: Final = "its station announced no V2X setpoints"


@dataclass(frozen=True, slots=True)
class Store:
    """A car as a store for the plan. Energies at the cells [Wh], power at the charger [W], wear in currency per kWh given back."""

    capacity_wh: float
    soc_wh: float
    reserve_wh: float
    max_discharge_w: float
    wear_per_kwh: float


NO_STORE: Final = Store(0.0, 0.0, 0.0, 0.0, 0.0)
"""A car that gives nothing back."""


def may_discharge_w(evse: EvseState, features: FeaturesLearned | None, wall_s: float | None = None, voltage_v: float = 230.0) -> tuple[float, str]:
    """(most it may give back now [W], >= 0, over all phases; what bounds or forbids it).

    wall_s: for the CSMS's schedule; None leaves the CSMS out. voltage_v: nominal, phase to neutral.
    """
    allowed, session = evse.place.config.v2g, evse.session
    if allowed is None:
        return 0.0, "giving back is not allowed here (no v2g at this EVSE)"
    if not announced_by_station(evse, features):
        return 0.0, NO_SETPOINTS
    car = session.announced if session is not None else None
    if car is None or not car.bidirectional or not car.max_discharge_w:
        return 0.0, "the car did not offer to give back"
    percent = soc_percent(evse)
    if percent is None:
        return 0.0, "the car's state of charge is not known"
    if percent <= allowed.reserve_percent + _band(evse):
        return 0.0, f"the car's reserve of {allowed.reserve_percent:g} %"
    if car.min_v2x_wh is not None and car.min_v2x_wh + _given_wh(evse) >= 0:
        return 0.0, "the car is below what it lets itself be cycled in"
    return _bounded(evse, allowed, car, wall_s, voltage_v)


def _bounded(evse: EvseState, allowed: V2gConfig, car: NeedsAnnounced, wall_s: float | None, voltage_v: float) -> tuple[float, str]:
    bounds = [(allowed.max_discharge_w, "the EVSE's v2g limit"), (car.max_discharge_w or 0.0, "the car's limit")]
    step = step_at(evse, wall_s) if wall_s is not None else None
    if step is not None:
        bounds += _of_csms(evse, allowed, step, voltage_v)
    return min(bounds, key=lambda bound: bound[0])


def bound_of_csms_w(evse: EvseState, step: LimitStep | None, voltage_v: float) -> float:
    """The most a car may give back under a step of its CSMS's schedule [W]; inf where neither it nor the EVSE says anything."""
    allowed = evse.place.config.v2g
    if step is None or allowed is None:
        return math.inf
    return min((watts for watts, _ in _of_csms(evse, allowed, step, voltage_v)), default=math.inf)


def _of_csms(evse: EvseState, allowed: V2gConfig, step: LimitStep, voltage_v: float) -> list[tuple[float, str]]:
    per_a = voltage_v * (step.phase_count or len(evse.place.phases))
    if step.discharge_a is not None:
        return [(-step.discharge_a * per_a, evse.wish_reason)]
    if step.setpoint_a is not None:
        return [(max(0.0, -step.setpoint_a) * per_a, evse.wish_reason)]
    only_charging = step.limit_a is not None and not allowed.despite_profiles
    return [(0.0, f"{evse.wish_reason} only lets it charge")] if only_charging else []


def announced_by_station(evse: EvseState, features: FeaturesLearned | None) -> bool:
    """Whether the station said that this EVSE takes V2X setpoints."""
    return features is not None and CENTRAL_SETPOINT in features.modes and evse.place.key.evse_id in features.v2x


def may_idle(evse: EvseState, features: FeaturesLearned | None) -> bool:
    """Whether the station takes the operation mode Idle at this EVSE (Q10)."""
    return announced_by_station(evse, features) and features is not None and IDLE in features.modes


def soc_percent(evse: EvseState) -> float | None:
    """State of charge now [%]: measured, else what the car announced while nothing has flowed since."""
    if evse.soc_percent is not None:
        return evse.soc_percent
    car = evse.session.announced if evse.session is not None else None
    if car is None or car.soc_percent is None or not car.capacity_wh:
        return None
    return min(100.0, max(0.0, car.soc_percent - 100.0 * _given_wh(evse) / car.capacity_wh))


def _given_wh(evse: EvseState) -> float:
    """Energy that left the cells since the car announced itself, negative = came in [Wh]."""
    session = evse.session
    return session.net_given_wh if session is not None else 0.0


def capacity_wh(evse: EvseState) -> float | None:
    """What the battery holds [Wh]: as announced, else from what it has room for. AC cars tell no capacity, only evMaxEnergyRequest (Q01)."""
    car = evse.session.announced if evse.session is not None else None
    if car is None or car.capacity_wh:
        return car.capacity_wh if car is not None else None
    if car.max_wh is None or evse.soc_percent is None or evse.soc_percent >= FULL_ENOUGH_PERCENT:
        return None
    room_wh = car.max_wh + _given_wh(evse)
    return room_wh / (1.0 - evse.soc_percent / 100.0) if room_wh > 0 else None


def _band(evse: EvseState) -> float:
    giving = (evse.power_w or 0.0) < 0
    return 0.0 if giving else RESERVE_BAND_PERCENT


def step_at(evse: EvseState, wall_s: float) -> LimitStep | None:
    """The step of the CSMS's wish that holds at a moment."""
    found: LimitStep | None = None
    for step in evse.wish:
        if step.start_wall_s > wall_s:
            break
        found = step
    return found


def store_of(evse: EvseState, features: FeaturesLearned | None, wall_s: float | None, voltage_v: float) -> Store | None:
    """The car as a store for the plan; None where it may not give back or does not tell enough. wall_s: as in ``may_discharge_w``."""
    power_w, _ = may_discharge_w(evse, features, wall_s, voltage_v)
    allowed, session = evse.place.config.v2g, evse.session
    car, percent, whole_wh = (session.announced if session is not None else None), soc_percent(evse), capacity_wh(evse)
    if power_w <= 0 or allowed is None or car is None or not whole_wh or percent is None:
        return None
    soc_wh = whole_wh * percent / 100.0
    reserve_wh = whole_wh * allowed.reserve_percent / 100.0
    if car.min_v2x_wh is not None:  # the car's own floor, in energy from where it was when it said so
        reserve_wh = max(reserve_wh, soc_wh + car.min_v2x_wh + _given_wh(evse))
    return Store(whole_wh, soc_wh, min(reserve_wh, soc_wh), power_w, allowed.wear_per_kwh)


def still_given_w(evse: EvseState, channel: Channel, now: float) -> float:
    """The most an EVSE may be giving back at this moment [W]: by what its station may be obeying, and by its meter."""
    told = [sent.given_w for sent in (channel.sent, channel.accepted, *channel.outstanding.values()) if sent is not None and now < sent.ends_mono_s]
    older = evse.measured_mono_s < channel.given_changed_mono_s and now - channel.given_changed_mono_s > GIVING_SETTLES_S
    measured_w = -(evse.power_w or 0.0) if now - evse.measured_mono_s < TRUST_S and not older else 0.0
    return max([0.0, measured_w, *told])
