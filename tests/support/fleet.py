"""Invented sites of any size for measuring: three levels of feeders, half three-phase and half single-phase cars, 30 % V2G,
base load, PV, a battery, a price for every hour, a demand charge.

"depot": all plugged in, leaving within 7 to 24 hours. "work": 60 % plugged in, 25 % announced for later, stays of 2 to 10
hours, the rest empty bays. "tight": the depot with some cars in a hurry and limits cut: of all phases and slots 17-21 % of the
panels', 31-43 % of the feeders' and 32-68 % of the site's bind (100 and 500 bays, two seeds each), and 1 % of the energy stays short.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

from optimizer.grid import make_grid
from optimizer.problem import Battery, Ev, Node, Problem, Slot

KINDS = ("work", "depot", "tight")
NOW_WALL_S = 1_700_037_060.0
"""A minute after a quarter hour, a working morning."""
VOLTS = 230.0
HOUR_S = 3600.0
LIMITS = {"work": (8.0, 9.0, 100.0), "depot": (10.0, 11.0, 100.0), "tight": (2.7, 2.3, 37.0)}
"""Per kind: limit of the site and of the feeders [A per bay], of a panel of ten bays [A]."""


def fleet(kind: str, bays: int, seed: int = 1, now_wall_s: float = NOW_WALL_S) -> Problem:
    """A site with this many bays. The same seed at a later moment is the same site, seen later: only its grid of time has moved."""
    dice = random.Random(f"{kind} {bays} {seed}")
    slots = make_grid(now_wall_s)
    hours = [int(slot.start_wall_s // HOUR_S) for slot in slots]
    return Problem(
        created_wall_s=now_wall_s,
        slots=slots,
        voltage_v=VOLTS,
        nodes=_nodes(kind, bays, slots, seed),
        evs=tuple(_car(kind, dice, index, bays) for index in range(bays) if kind != "work" or dice.random() < 0.85),
        buy_per_kwh=tuple(0.14 + 0.22 * random.Random(f"{seed} price {hour}").random() for hour in hours),
        sell_per_kwh=(0.07,) * len(slots),
        pv_w=tuple(bays * 700.0 * max(0.0, math.sin((_hour(slot) - 6.0) / 12.0 * math.pi)) for slot in slots),
        demand_per_kw=0.5,
        peak_so_far_w=bays * 500.0,
        battery=Battery(bays * 2000.0, bays * 1000.0, bays * 200.0, bays * 500.0, bays * 500.0, 0.96, 0.02),
    )


def noisy(problem: Problem, seed: int, share: float = 0.015) -> Problem:
    """The same picture a moment later: needs, states of charge, base load and PV off by a normal error of this share."""
    dice = random.Random(seed)

    def off(value: float) -> float:
        return max(0.0, value * dice.gauss(1.0, share))

    nodes = tuple(replace(node, other_load_a=tuple((off(a), off(b), off(c)) for a, b, c in node.other_load_a)) for node in problem.nodes)
    evs = tuple(
        replace(ev, energy_need_wh=off(ev.energy_need_wh), soc_wh=max(ev.reserve_wh, min(ev.capacity_wh, off(ev.soc_wh)))) for ev in problem.evs
    )
    return replace(problem, nodes=nodes, evs=evs, pv_w=tuple(map(off, problem.pv_w)))


def _hour(slot: Slot) -> float:
    return (slot.start_wall_s / HOUR_S) % 24.0


def _nodes(kind: str, bays: int, slots: tuple[Slot, ...], seed: int) -> tuple[Node, ...]:
    site_a, feeder_a, panel_a = LIMITS[kind]
    feeders, panels = max(1, bays // 100), max(1, bays // 10)
    ends = [round(slot.start_wall_s + slot.duration_s) for slot in slots]  # the first slot's begin moves
    base = tuple((bays * random.Random(f"{seed} load {end}").uniform(0.8, 1.4),) * 3 for end in ends)
    nodes = [Node("grid", None, (bays * site_a,) * 3, other_load_a=base)]
    nodes += [Node(f"feeder{index}", "grid", (bays / feeders * feeder_a,) * 3) for index in range(feeders)]
    return (*nodes, *(Node(f"panel{index}", f"feeder{index * feeders // panels}", (panel_a,) * 3) for index in range(panels)))


def _car(kind: str, dice: random.Random, index: int, bays: int) -> Ev:
    phases, power_w = ((0, 1, 2), 11_040.0) if index % 2 == 0 else ((index // 2 % 3,), 7360.0)
    arrival_s, stay_s = NOW_WALL_S - HOUR_S, dice.uniform(3 if kind == "tight" else 7, 24) * HOUR_S
    if kind == "work":
        coming = dice.random() < 0.3
        arrival_s, stay_s = (NOW_WALL_S + dice.uniform(0.2, 8) * HOUR_S if coming else arrival_s), dice.uniform(2, 10) * HOUR_S
    two_way = dice.random() < 0.3
    return Ev(
        ev_id=f"ev{index}",
        node_id=f"panel{index * max(1, bays // 10) // bays}",
        phases=phases,
        arrival_wall_s=arrival_s,
        departure_wall_s=max(arrival_s, NOW_WALL_S) + stay_s,
        energy_need_wh=dice.uniform(5e3, 40e3),
        min_power_w=1380.0 * len(phases),
        max_power_w=power_w,
        efficiency=0.95,
        max_discharge_w=7000.0 if two_way else 0.0,
        capacity_wh=70e3 if two_way else 0.0,
        soc_wh=dice.uniform(22e3, 30e3) if two_way else 0.0,
        reserve_wh=20e3 if two_way else 0.0,
        wear_per_kwh=0.06 if two_way else 0.0,
    )
