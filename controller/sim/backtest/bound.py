"""The perfect-foresight bound: the cheapest that anybody could have done, knowing every car of all days at once.

One linear program in quarter hours over the whole world. Its quarter hours are means of steps, so whatever a policy can do in steps of
five minutes it can do too: the bound is never above what is possible, and a little below. Nobody reaches it; it is the yardstick.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from time import process_time

import numpy as np

from controller.sim.backtest.limit_costs import limit_costs
from controller.sim.backtest.outcome import CURVE_STEP_S, PolicyOutcome, SessionOutcome
from controller.sim.backtest.quick import Car, World, bill
from optimizer.live import Live
from optimizer.problem import Ev, Node, Problem, Slot

DEADLINE_S = 600.0


def bound(world: World, shortfall_per_kwh: float | None = None, ask_limits: bool = False) -> PolicyOutcome:
    """The bound as an outcome, without curve. shortfall_per_kwh: None = energy first. ask_limits: what the dearest limits cost as well.

    Raises SolveError.
    """
    began_s = process_time()
    live, problem = Live("highs"), whole_problem(world, shortfall_per_kwh)
    plan = live.solve(problem, DEADLINE_S)
    limits = limit_costs(problem, plan, lambda other: live.solve(other, DEADLINE_S)) if ask_limits else ()
    grid_w = np.array(plan.grid_power_w)
    energy, demand, peak_w = bill(world, grid_w)
    base_energy, base_demand, _ = bill(world, (world.base_w - world.pv_w)[: world.quarters])
    sessions = tuple(_session(car, plan.ev_power_w.get(car.id, ())) for car in world.cars)
    wear = sum(car.wear_per_kwh * one.given_wh / 1000.0 for car, one in zip(world.cars, sessions, strict=True))
    base, spent_s = base_energy + base_demand, process_time() - began_s
    return PolicyOutcome("bound", energy, demand, wear, base, peak_w, sessions, (), limits=limits, seconds=spent_s)


def whole_problem(world: World, shortfall_per_kwh: float | None = None) -> Problem:
    """All days and all cars as one problem."""
    slots = tuple(Slot(world.start_wall_s + index * CURVE_STEP_S, CURVE_STEP_S) for index in range(world.quarters))
    beside = replace(world, base_w=world.base_w - world.pv_w, pv_w=np.zeros_like(world.pv_w))  # no policy can switch the sun off
    return pose(beside, slots, [ev_of(car) for car in world.cars], shortfall_per_kwh=shortfall_per_kwh)


def ev_of(car: Car) -> Ev:
    """A car as it arrives, with everything known about it."""
    return Ev(
        ev_id=car.id,
        node_id=car.node_id,
        phases=car.phases,
        arrival_wall_s=car.arrival_wall_s,
        departure_wall_s=car.departure_wall_s,
        energy_need_wh=car.wanted_wh,
        min_power_w=car.min_power_w,
        max_power_w=car.max_power_w,
        efficiency=car.efficiency,
        max_discharge_w=car.max_discharge_w,
        capacity_wh=car.capacity_wh,
        soc_wh=car.soc_wh,
        reserve_wh=car.reserve_wh,
        wear_per_kwh=car.wear_per_kwh,
    )


def pose(
    world: World,
    slots: Sequence[Slot],
    evs: Iterable[Ev],
    peak_so_far_w: float = 0.0,
    window_import_wh: float = 0.0,
    shortfall_per_kwh: float | None = None,
) -> Problem:
    """A problem on this world's tree, with its building, sun and prices over these slots."""
    amps = world.over(world.base_w, slots) / (3.0 * world.voltage_v)
    building = tuple((float(value),) * 3 for value in amps)
    return Problem(
        created_wall_s=slots[0].start_wall_s,
        slots=tuple(slots),
        voltage_v=world.voltage_v,
        nodes=tuple(_loaded(node, building) for node in world.nodes),
        evs=tuple(evs),
        buy_per_kwh=tuple(world.over(world.buy_per_kwh, slots).tolist()),
        sell_per_kwh=tuple(world.over(world.sell_per_kwh, slots).tolist()),
        pv_w=tuple(world.over(world.pv_w, slots).tolist()),
        demand_per_kw=world.demand_per_kw,
        peak_so_far_w=peak_so_far_w,
        shortfall_per_kwh=shortfall_per_kwh,
        currency=world.currency,
        demand_window_s=world.window_s,
        window_import_wh=window_import_wh,
    )


def _loaded(node: Node, building: tuple[tuple[float, float, float], ...]) -> Node:
    return replace(node, other_load_a=building) if node.parent is None else node


def _session(car: Car, power_w: Sequence[float]) -> SessionOutcome:
    hours = CURVE_STEP_S / 3600.0
    charged_wh, given_wh = sum(max(0.0, watts) for watts in power_w) * hours, -sum(min(0.0, watts) for watts in power_w) * hours
    return SessionOutcome(
        id=car.id,
        evse=car.evse,
        arrival_wall_s=car.arrival_wall_s,
        departure_wall_s=car.departure_wall_s,
        wanted_wh=car.wanted_wh,
        delivered_wh=min(car.wanted_wh, charged_wh - given_wh / car.efficiency**2),
        stated_wh=car.stated_wh,
        stated_departure_wall_s=car.stated_departure_wall_s,
        given_wh=given_wh,
    )
