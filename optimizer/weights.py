"""What every promise is worth in a plan: prices of energy, and the weights that keep the stages of planning apart in one program.

The order is: safety > minimum > energy by departure > reserves and setpoints at their given prices > money > preferences. Each
stage is priced above anything the next one can gain from the same kWh, so one solve gives what solving stage by stage would
(``tests/optimizer/test_stages.py`` compares the two).

Why energy beats money when nobody gives a price: leaving a kWh out saves at most the dearest energy it would have taken, less the
cheapest it could be sold for (``span``), through a V2G store with its losses both ways (/ efficiency^2) and its wear, and, in
the worst case, peak: 1 / H kW for a demand window of H hours. A kWh of one single-phase car can push aside up to 3 kWh of a
three-phase car, and those, moved to another time, again 3 kWh of others: 1 + 3 + 3 times the same saving. CHAIN is above that. A
longer chain of exchanges that each lose 3 to 1 is not covered; it needs a site built for it.

Weights are rounded up to powers of two, so that a demand charge that shrinks day by day, or a car that comes, does not change them (a
change would end the life of a program kept alive). Prices are currency per kWh.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from optimizer.problem import Ev, Problem

PRIORITY_STEP = 1.2
CHAIN = 8.0
SECOND_HALF = 1.1
"""The second half of a car's missing energy weighs this much more than the first: scarcity is shared rather than one car starved."""
MINIMUM_FACTOR = 4.0
"""The minimum of one car against the energy of others: above the 3 kWh a single phase can push aside."""
UNBALANCE_FACTOR = 8.0
"""Unbalance against minimums: a kWh of a two-phase car adds only half a kWh to it, and cars can push each other aside."""
OVERLOAD_FACTOR = 32.0
"""An overload against minimums: relieving one phase takes three kWh of a three-phase store, and their losses. With factors of 2 and 10, 1 of
250 odd random sites put a minimum before safety; with these none of 2000."""
LEAST_EFFICIENCY = 0.5
"""Losses beyond this are not believed when weights are made."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Penalties [currency per kWh]; for wires the kWh of one phase.

    scale: the yardstick of preferences, the largest price. energy: a missing kWh before priority. minimum: before a touch of
    priority. battery_reserve: per kWh below it. destroyed: what losing a kWh could earn where prices are negative.
    """

    scale: float
    energy: float
    minimum: float
    unbalance: float
    overload: float
    battery_reserve: float
    destroyed: float


def weights(problem: Problem) -> Weights:
    """The weights of one problem."""
    energy = base_shortfall_price(problem)
    dearest = max([energy, _power_of_two(_worth(problem)), *(shortfall_price(problem, ev, energy) for ev in problem.evs)])
    minimum = _power_of_two(MINIMUM_FACTOR * SECOND_HALF * dearest)
    lowest = min(0.0, *believed_sell(problem), *problem.buy_per_kwh)
    reserve = _power_of_two(2.0 * _money(problem)) if _keeps_reserve(problem) else 0.0
    return Weights(
        price_scale(problem), energy, minimum, UNBALANCE_FACTOR * minimum, OVERLOAD_FACTOR * minimum, reserve, _setpoint_price(problem) - lowest
    )


def shortfall_price(problem: Problem, ev: Ev, base: float | None = None) -> float:
    """Price of a kWh this car leaves without [currency/kWh]: 20 % more or less per step of priority. base: if known already."""
    own = ev.shortfall_per_kwh
    if own is None:
        own = base_shortfall_price(problem) if base is None else base
    return own * float(PRIORITY_STEP**ev.priority)


def minimum_price(known: Weights, problem: Problem, ev: Ev) -> float:
    """Price of a kWh missing in this car's minimum: above every wish, a little more for a higher priority."""
    own = shortfall_price(problem, ev, known.energy)
    return known.minimum * (1.0 + 0.2 * own / (own + known.energy)) if own > 0.0 else known.minimum


def base_shortfall_price(problem: Problem) -> float:
    """Price of a missing kWh before priority [currency/kWh]; above anything money could gain when nobody gives one."""
    if problem.shortfall_per_kwh is not None:
        return problem.shortfall_per_kwh
    return _power_of_two(_worth(problem))


def _worth(problem: Problem) -> float:
    """Most that leaving a kWh out could gain, through a chain of exchanges."""
    given = _setpoint_price(problem) + (problem.reserve_per_kwh if any(watts > 0.0 for watts in problem.reserve_w) else 0.0)
    reserve = 2.0 * _power_of_two(2.0 * _money(problem)) if _keeps_reserve(problem) else 0.0
    return CHAIN * (_money(problem) + given + reserve + price_scale(problem))


def _money(problem: Problem) -> float:
    """Most that moving one kWh in time could gain: spread, losses, waiting, wear, peak."""
    bought = effective_buy(problem)
    span = max(0.0, *bought) - min(0.0, *believed_sell(problem))
    stores = [(ev.efficiency, ev.wear_per_kwh) for ev in problem.evs if ev.max_discharge_w > 0.0]
    if problem.battery is not None:
        stores.append((problem.battery.efficiency_one_way, problem.battery.wear_per_kwh))
    loss = min([1.0, *(_believed(efficiency) for efficiency, _ in stores)]) ** 2
    wear = max([0.0, *(price for _, price in stores if math.isfinite(price))])
    waiting = max([0.0, *(max(ev.wait_per_kwh) for ev in problem.evs if ev.wait_per_kwh)])
    return span / loss + waiting + wear + max(0.0, problem.demand_per_kw) / (problem.demand_window_s / 3600.0)


def _believed(efficiency: float) -> float:
    return max(LEAST_EFFICIENCY, efficiency) if 0.0 < efficiency <= 1.0 else 1.0


def _setpoint_price(problem: Problem) -> float:
    return problem.setpoint_per_kwh if any(watts is not None for watts in problem.grid_setpoint_w) else 0.0


def _keeps_reserve(problem: Problem) -> bool:
    return problem.battery is not None and problem.battery.reserve_wh > 0.0


def _power_of_two(price: float) -> float:
    """The next power of two: what changes a little stays."""
    return float(2.0 ** math.ceil(math.log2(price))) if 0.0 < price < math.inf else price


# -- prices of energy ---------------------------------------------------------------------------------


def believed_sell(problem: Problem) -> list[float]:
    """Sell price per slot, never above the buy price: else buying and selling at once would pay."""
    return [min(sell, buy) for sell, buy in zip(problem.sell_per_kwh, problem.buy_per_kwh, strict=True)]


def effective_buy(problem: Problem) -> list[float]:
    """Buy price per slot with the price of its CO2: what decides, not what is paid."""
    if not problem.co2_kg_per_kwh or problem.co2_per_kg <= 0.0:
        return list(problem.buy_per_kwh)
    return [buy + max(0.0, co2_kg) * problem.co2_per_kg for buy, co2_kg in zip(problem.buy_per_kwh, problem.co2_kg_per_kwh, strict=True)]


def price_scale(problem: Problem) -> float:
    """The largest energy price in sight [currency/kWh], at least 0.01: the yardstick of all tie-breaks."""
    return max(0.01, *(abs(price) for price in (*effective_buy(problem), *problem.sell_per_kwh)))


# -- demand windows -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DemandWindow:
    """One window of the demand charge: parts = (slot, part of the slot's energy that falls into it); hours: its length.

    running: the window that the first slot lies in; ``window_import_wh`` belongs to it.
    """

    hours: float
    parts: tuple[tuple[int, float], ...]
    running: bool


def demand_windows(problem: Problem) -> tuple[DemandWindow, ...]:
    """The windows that can set a peak; whole windows inside one slot have the same mean and are told once, by the slot's own length."""
    length_s = problem.demand_window_s
    found: dict[tuple[int, int], list[tuple[int, float]]] = {}
    hours: dict[tuple[int, int], float] = {}
    running = math.floor(problem.slots[0].start_wall_s / length_s)
    for slot, step in enumerate(problem.slots):
        begin_s, end_s = step.start_wall_s, step.start_wall_s + step.duration_s
        for window in _touched(begin_s, end_s, length_s):
            inside_s = min(end_s, (window + 1) * length_s) - max(begin_s, window * length_s)
            if inside_s >= length_s - 1e-6 and window != running:
                found[slot, -1], hours[slot, -1] = [(slot, 1.0)], step.hours
            elif inside_s > 1e-6:
                found.setdefault((window, 0), []).append((slot, inside_s / step.duration_s))
                hours[window, 0] = length_s / 3600.0
    return tuple(DemandWindow(hours[key], tuple(parts), key == (running, 0)) for key, parts in found.items())


def _touched(begin_s: float, end_s: float, length_s: float) -> Iterable[int]:
    """Numbers of the first, one middle and the last window of a slot."""
    first, last = math.floor(begin_s / length_s), math.ceil((end_s - 1e-6) / length_s) - 1
    return sorted({first, min(first + 1, last), last})
