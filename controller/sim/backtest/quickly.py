"""A case for the quick backtest and for the perfect-foresight bound: the same site, cars and prices as arrays in quarter hours.

The bound may use every circuit up to its limit; policies keep the site's margin as the controller does. Stationary batteries are not
in either.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from controller.config import ROOT_CIRCUIT
from controller.sim.backtest import quick, quick_policies
from controller.sim.backtest.bound import bound
from controller.sim.backtest.briefing import LOOK_AHEAD_S, past_sessions
from controller.sim.backtest.case import CAR_EFFICIENCY, Case, Visit, bays_of
from controller.sim.backtest.outcome import CURVE_STEP_S, PolicyOutcome
from controller.sim.backtest.series import Series
from controller.sim.backtest.timeline import Progress
from controller.sim.car import MIN_OFFER_A, VOLTAGE_V
from optimizer.problem import Node

RULES = {"first-come": "first come", "edf": "earliest deadline", "llf": "least laxity", "round-robin": "round robin"}


def world_of(case: Case, margin: bool = True, on_steps: bool = True) -> quick.World:
    """The case as a world. margin: whether the site's margin is kept below every limit. on_steps: stays in whole steps of five minutes."""
    config = case.config
    margin_a = config.grid.margin_a if margin else 0.0
    limits_a = {ROOT_CIRCUIT: config.grid.fuse_a} | {circuit.id: circuit.fuse_a for circuit in config.circuits}
    parents = {ROOT_CIRCUIT: None} | {circuit.id: circuit.parent for circuit in config.circuits}
    nodes = tuple(Node(name, parents[name], (max(0.0, limit_a - margin_a),) * 3) for name, limit_a in limits_a.items())
    count = math.ceil((case.end_wall_s + LOOK_AHEAD_S - case.start_wall_s) / CURVE_STEP_S)
    cars = tuple(car_of(visit, case) for visit in case.visits if visit.wanted_wh > 0.0)
    if on_steps:
        cars = quick.on_steps(cars, case.start_wall_s, case.end_wall_s)
    return quick.World(
        site=case.name,
        timezone=config.site.timezone,
        currency=config.tariff.currency,
        voltage_v=VOLTAGE_V,
        nodes=nodes,
        cars=cars,
        start_wall_s=case.start_wall_s,
        end_wall_s=case.end_wall_s,
        base_w=_array(case.base_w, case.start_wall_s, count),
        pv_w=_array(case.pv_w, case.start_wall_s, count),
        buy_per_kwh=_array(case.prices.buy, case.start_wall_s, count),
        sell_per_kwh=_array(case.prices.sell, case.start_wall_s, count),
        demand_per_kw=case.demand_per_kw,
        window_s=case.prices.window_s,
    )


def _array(series: Series, start_s: float, count: int) -> quick.Series:
    return np.array([series.mean(start_s + at * CURVE_STEP_S, start_s + (at + 1) * CURVE_STEP_S) for at in range(count)])


def car_of(visit: Visit, case: Case) -> quick.Car:
    """A visit as a car of the quick world."""
    bay = bays_of(case.config)[visit.key]
    allowed = bay.config.v2g
    gives = visit.max_discharge_w > 0.0 and allowed is not None and visit.capacity_wh is not None
    car = quick.Car(
        visit.id,
        visit.evse,
        visit.node_id,
        visit.phases,
        visit.arrival_wall_s,
        visit.departure_wall_s,
        visit.wanted_wh,
        visit.max_power_w,
        MIN_OFFER_A * VOLTAGE_V * len(visit.phases),
        visit.stated_wh,
        visit.stated_departure_wall_s,
        visit.user,
    )
    if not gives or allowed is None or visit.capacity_wh is None:
        return car
    return replace(
        car,
        max_discharge_w=min(visit.max_discharge_w, allowed.max_discharge_w),
        capacity_wh=visit.capacity_wh,
        soc_wh=(visit.soc or 0.0) * visit.capacity_wh,
        reserve_wh=allowed.reserve_percent / 100.0 * visit.capacity_wh,
        efficiency=CAR_EFFICIENCY,
        wear_per_kwh=allowed.wear_per_kwh,
    )


def run_bound(case: Case, name: str, progress: Progress, quickly: bool = False) -> PolicyOutcome:
    """What nobody can beat. quickly: of those who have the stays of the quick way. Raises SolveError."""
    found = replace(bound(world_of(case, margin=False, on_steps=quickly), ask_limits=name == "bound"), policy=name)
    progress(1.0)
    return found


def run_quick(case: Case, name: str, progress: Progress) -> PolicyOutcome:
    """A policy on ideal cars."""
    world = world_of(case)
    policy: quick.Policy
    if name == "uncontrolled":
        policy = quick_policies.Uncontrolled()
    elif name in RULES:
        policy = quick_policies.Rule(RULES[name])
    else:
        hurry, stated = case.config.control.energy_first, case.drivers == "stated"
        policy = quick_policies.Planner(past_sessions(case), rounded=True, stated=stated, replan_s=300.0, arrivals=not hurry, hurry=hurry)
    return replace(quick.run(world, policy, progress), policy=name)
