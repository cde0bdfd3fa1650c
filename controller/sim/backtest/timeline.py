"""The course of a backtest through virtual time, and what came of it: the same for every policy.

Steps are ten seconds while anything moves and up to a minute while nothing does; none crosses an arrival, a departure, a full battery,
a change of price or load, or a quarter hour, so energies and costs are exact whatever the step.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

from controller.facts import Stamp
from controller.sim.backtest.account import base_account
from controller.sim.backtest.case import Case
from controller.sim.backtest.outcome import PolicyOutcome
from controller.sim.backtest.yard import Yard, session_outcome

STEP_S, CALM_STEP_S = 10.0, 60.0
MONO_START_S = 1000.0
PROGRESS_PARTS = 500

Progress = Callable[[float], None]
"""Told now and then which part is done, 0..1."""


def stamp_of(case: Case, wall_s: float) -> Stamp:
    """The stamp of a moment; both clocks go at the same speed."""
    return Stamp(MONO_START_S + wall_s - case.start_wall_s, wall_s)


def travel(case: Case, yard: Yard, step: Callable[[Stamp], None], progress: Progress) -> None:
    """Go from begin to end. step: brings everybody to a moment. While stations get new profiles or cars follow them, steps are short."""
    now_s, told, seen = case.start_wall_s, 0.0, -1
    length_s = case.end_wall_s - case.start_wall_s
    while now_s < case.end_wall_s:
        before, seen = seen, yard.revision
        step_s = CALM_STEP_S if seen == before and yard.calm else STEP_S
        now_s = min(yard.next_event(now_s), now_s + step_s, case.end_wall_s)
        step(stamp_of(case, now_s))
        part = (now_s - case.start_wall_s) / length_s
        if part - told >= 1.0 / PROGRESS_PARTS:
            told = part
            progress(part)
    progress(1.0)


def outcome(case: Case, yard: Yard, name: str, began_cpu_s: float, notes: tuple[str, ...] = ()) -> PolicyOutcome:
    """What came of it. began_cpu_s: ``process_time`` at the start."""
    account, base = yard.account, base_account(case)
    guests = sorted([*yard.gone, *yard.guests.values()], key=lambda one: (one.visit.arrival_wall_s, one.visit.evse))
    wear = {f"{station.id}/{evse.id}": evse.v2g.wear_per_kwh for station in yard.config.stations for evse in station.evses if evse.v2g}
    return PolicyOutcome(
        policy=name,
        energy_cost=account.energy_cost,
        demand_cost=account.demand_cost,
        wear_cost=sum(guest.car.given_wh / 1000.0 * wear.get(guest.visit.evse, 0.0) for guest in guests),
        base_cost=base.energy_cost + base.demand_cost,
        peak_w=account.peak_w,
        sessions=tuple(session_outcome(guest) for guest in guests),
        curve=account.curve(),
        over_limit_s={circuit: seconds for circuit, seconds in account.over_limit_s.items() if seconds > 0},
        worst=dict(account.worst),
        seconds=process_time() - began_cpu_s,
        notes=notes,
    )
