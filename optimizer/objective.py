"""The objective: what each kind of column costs, one function per term. Prices per kWh, divided by the largest price.

Tie-breaks must stand clear of the solver's tolerance (1e-7), or they drown; all of them are parts of the largest price. Costs do not
depend on the length of a slot, so a slot that shrinks changes none of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.cars import believed_efficiency, need_wh
from optimizer.problem import Ev, Problem, Slot
from optimizer.weights import SECOND_HALF, Weights, minimum_price, shortfall_price

if TYPE_CHECKING:
    from optimizer.parts import Car, Frame

EARLY = 1e-3
"""Worth of charging now rather than at the end of the horizon, in parts of the largest price."""
URGENT = 1e-3
"""Worth of being served in the running slot, for the most urgent car; the others less, each its own: with equal weights 19-25 % of
the setpoints moved > 1 A per cycle, with unique ones 3-7 %. Only the running slot is ever put into practice, so only it is made unique:
a weight of car x time asks the same of every slot and solved 100 cars in 0.58 s instead of 0.25 s."""
CHANGE = 5e-4
"""Price of changing a car's power of now, in parts of the largest price: moving power between two cars costs it twice, as much as
URGENT can ever gain, so cars do not swap places. Every later slot costs it too: else starting now would cost more than starting with
the next slot, and a car with time to spare (or a discharge) would be put off at every plan, a slot each time."""
CYCLING = 2e-3
"""Least price of a discharged kWh, in parts of the largest price: free cycling is not a plan."""
CURTAILING = 1e-4
"""Price of throwing away PV, in parts of the largest price: last resort when selling is worth nothing."""
SELL_GAP = 1e-4
"""How far selling stays below buying, in parts of the largest price: equal prices would leave an idle loop undecided."""
LAXITY_SCALE_S = 4 * 3600.0
"""A car with this much time to spare is half as urgent as one with none."""
UNIQUE = 0.25
"""Part of the urgency that only tells cars apart."""


# -- money --------------------------------------------------------------------------------------------


def bought_costs(buy: Sequence[float], known: Weights) -> list[float]:
    """Money (and CO2) for imported energy."""
    return [price / known.scale for price in buy]


def sold_costs(buy: Sequence[float], sell: Sequence[float], known: Weights) -> list[float]:
    """Money for exported energy; selling always stays a little below buying."""
    return [-min(sold, bought - SELL_GAP * known.scale) / known.scale for bought, sold in zip(buy, sell, strict=True)]


def demand_cost(problem: Problem, known: Weights) -> float:
    """Money per kW of the highest mean import."""
    return problem.demand_per_kw / known.scale


def wear_cost(wear_per_kwh: float, efficiency: float, known: Weights) -> float:
    """Each discharged kWh wears a battery, never for nothing, and never so cheap that losing energy on a round trip would pay.

    Where prices are negative, or somebody asks for more import, energy that vanishes earns ``destroyed`` per kWh; charging and
    discharging at once makes 1 / efficiency^2 - 1 kWh vanish per kWh discharged. No battery can do that, so it must not pay.
    """
    vanishing = max(0.0, known.destroyed) * (1.0 / efficiency**2 - 1.0) / known.scale
    return max(CYCLING, wear_per_kwh / known.scale, CYCLING + vanishing if vanishing > 0.0 else 0.0)


# -- promises -----------------------------------------------------------------------------------------


def shortfall_costs(problem: Problem, ev: Ev, known: Weights, has_minimum: bool) -> list[float]:
    """Missing energy: the first half, the dearer second half, and what is missing of the minimum."""
    own = shortfall_price(problem, ev, known.energy) / known.scale
    return [own, SECOND_HALF * own, *([minimum_price(known, problem, ev) / known.scale] if has_minimum else [])]


def over_import_costs(buy: Sequence[float], known: Weights) -> list[float]:
    """Import beyond the limit is bought too."""
    return [(price + known.overload) / known.scale for price in buy]


def reserve_costs(buy: Sequence[float], problem: Problem, known: Weights) -> list[float]:
    """Import that was to be left free for an announced event."""
    return [(price + problem.reserve_per_kwh) / known.scale for price in buy]


def waiting_costs(ev: Ev, first: int, last: int, known: Weights) -> list[float]:
    """Putting charging off to the problem's slots first..last - 1: on top of what the energy costs there."""
    if not ev.wait_per_kwh:
        return [0.0] * (last - first)
    return [price / known.scale for price in ev.wait_per_kwh[first:last]]


# -- preferences --------------------------------------------------------------------------------------


def urgency_of(ev: Ev, now_wall_s: float) -> float:
    """0..1: the less time to spare, the more; a part of it is the car's own, from its name, so that no two are equal."""
    spare_s = ev.departure_wall_s - now_wall_s - 3600.0 * need_wh(ev) / ev.max_power_w if ev.max_power_w > 0.0 else float("inf")
    pressing = LAXITY_SCALE_S / (LAXITY_SCALE_S + max(0.0, spare_s))
    return (1.0 - UNIQUE) * pressing + UNIQUE * (zlib.crc32(ev.ev_id.encode()) / 2**32)


def lateness(slots: Sequence[Slot]) -> tuple[float, ...]:
    """0..1 per slot, by its end, so that it stays the same while the first slot shrinks."""
    ends = [slot.start_wall_s + slot.duration_s for slot in slots]
    span_s = max(ends[-1] - ends[0], 1.0)
    return tuple((end - ends[0]) / span_s for end in ends)


def later_costs(frame: Frame, car: Car) -> list[float]:
    """Power in the car's slots, none of them the running one: early rather than late, and dearer than starting now."""
    change = CHANGE + URGENT * car.urgency
    return [EARLY * late + change for late in frame.lateness[car.first : car.last]]


def keep_costs(frame: Frame, car: Car) -> list[float]:
    """The power of now: leaving it as it is saves what a change costs."""
    return [EARLY * late - CHANGE for late in frame.lateness[car.first : car.first + car.keeps]]


def round_trip_loss(ev: Ev) -> float:
    """Efficiency one way, for ``wear_cost``."""
    return believed_efficiency(ev)
