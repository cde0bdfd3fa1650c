"""What a car's and a battery's statements mean: its stay, what it may take and give, what it still needs, its own curve.

Contradicting statements are read in the safer way: a car that says nonsense about its battery is only charged, a battery whose
numbers make no sense rests. Powers W, energies Wh; charging positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from optimizer.problem import Battery, Ev, Problem, Slot


def stay_fraction(ev: Ev, slot: Slot) -> float:
    """Part 0..1 of a slot during which the car is there."""
    begin = max(ev.arrival_wall_s, slot.start_wall_s)
    end = min(ev.departure_wall_s, slot.start_wall_s + slot.duration_s)
    return max(0.0, end - begin) / slot.duration_s


def charge_caps_w(problem: Problem, ev: Ev) -> list[float]:
    """Largest mean charging power per slot [W]: its own bound, upstream's bound, only inside its stay."""
    if not ev.max_slot_power_w:
        return [max(0.0, ev.max_power_w) * stay_fraction(ev, slot) for slot in problem.slots]
    bounds = zip(problem.slots, ev.max_slot_power_w, strict=True)
    return [max(0.0, min(ev.max_power_w, bound_w)) * stay_fraction(ev, slot) for slot, bound_w in bounds]


def may_discharge(ev: Ev) -> bool:
    """True when V2G is allowed and what the car says about its battery can be believed.

    A car below its reserve, or with a state of charge outside 0..capacity, is only charged.
    """
    if not ev.max_discharge_w > 0:
        return False
    numbers = (ev.max_discharge_w, ev.capacity_wh, ev.soc_wh, ev.reserve_wh, ev.efficiency, ev.wear_per_kwh)
    if not all(map(math.isfinite, numbers)) or not 0 < ev.efficiency <= 1:
        return False
    return max(0.0, ev.reserve_wh) <= ev.soc_wh <= ev.capacity_wh and ev.capacity_wh > 0


def need_wh(ev: Ev) -> float:
    """Energy that shall still flow at the charger [Wh]; for V2G no more than the battery can hold."""
    need = max(0.0, ev.energy_need_wh)
    return min(need, (ev.capacity_wh - ev.soc_wh) / ev.efficiency) if may_discharge(ev) else need


def believed_efficiency(ev: Ev) -> float:
    """Part of the energy at the charger that reaches the cells; odd statements count as 1."""
    return ev.efficiency if 0.0 < ev.efficiency <= 1.0 else 1.0


# -- the acceptance curve -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Curve:
    """A car's own curve as a program can hold it: power <= cap_w, and <= start_w + slope_per_h * stored energy [Wh] for each line.

    lines: (start_w, slope_per_h) with slopes below 0 [W per Wh]; the mean power of a slot is held below each line at the mean of the
    stored energy at its begin and end.
    """

    cap_w: float
    lines: tuple[tuple[float, float], ...]


NO_CURVE = Curve(math.inf, ())


def curve_of(ev: Ev) -> Curve:
    """What the car's acceptance means for a plan that begins at its present state of charge.

    A concave falling curve is held exactly. Beyond its last point the last power lasts. Any other curve, which no linear program can
    hold, is held by its lowest power between now and full: never more than the car takes. No believable numbers: no curve.
    """
    if not has_curve(ev):
        return NO_CURVE
    points = ev.acceptance
    if ev.soc_wh >= points[-1][0]:
        return Curve(max(0.0, points[-1][1]), ())
    slopes = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(points) if after[0] > before[0]]
    if len(slopes) < len(points) - 1 or any(after > before + 1e-12 for before, after in pairwise([0.0, *slopes])):
        return Curve(max(0.0, min(power_w for _, power_w in points)), ())
    lines = tuple((power_w - slope * at_wh, slope) for (at_wh, power_w), slope in zip(points, slopes, strict=False) if slope < 0.0)
    return Curve(max(0.0, points[0][1]), lines)


def has_curve(ev: Ev) -> bool:
    """Whether a car has told a curve and where it stands on it."""
    if not ev.acceptance:
        return False
    numbers = (ev.capacity_wh, ev.soc_wh, *(number for point in ev.acceptance for number in point))
    return all(map(math.isfinite, numbers)) and ev.capacity_wh > 0.0 and ev.soc_wh >= 0.0


# -- the stationary battery -------------------------------------------------------------------------------


def usable_battery(problem: Problem) -> Battery | None:
    """The stationary battery with its state of charge cut to 0..capacity; None when its numbers make no sense."""
    battery = problem.battery
    if battery is None:
        return None
    numbers = (battery.capacity_wh, battery.soc_wh, battery.min_soc_wh, battery.max_charge_w, battery.max_discharge_w, battery.efficiency_one_way)
    if not all(map(math.isfinite, (*numbers, battery.wear_per_kwh))) or battery.capacity_wh <= 0 or not 0 < battery.efficiency_one_way <= 1:
        return None
    return Battery(
        capacity_wh=battery.capacity_wh,
        soc_wh=min(max(0.0, battery.soc_wh), battery.capacity_wh),
        min_soc_wh=min(max(0.0, battery.min_soc_wh), battery.capacity_wh),
        max_charge_w=max(0.0, battery.max_charge_w),
        max_discharge_w=max(0.0, battery.max_discharge_w),
        efficiency_one_way=battery.efficiency_one_way,
        wear_per_kwh=max(0.0, battery.wear_per_kwh),
        reserve_wh=min(max(0.0, battery.reserve_wh), battery.capacity_wh) if math.isfinite(battery.reserve_wh) else 0.0,
        sun_only=battery.sun_only,
        feeds_grid=battery.feeds_grid,
        max_slot_discharge_w=tuple(max(0.0, watts) for watts in battery.max_slot_discharge_w),
    )
