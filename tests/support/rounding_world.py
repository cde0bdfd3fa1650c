"""Worlds and a planning policy to measure what rounding costs: real sessions of a garage if there are some, else invented ones.

The garage has single-phase EVSEs of 32 A in turn on three phases and three panels, below one feeder that carries a part of what uncontrolled
charging would draw, an office beside it, a tariff with three prices a day and a demand charge pro rata for the days played.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from controller.sim.backtest.quick import Car, Moment, Policy, World, on_steps, run
from controller.sim.backtest.sessions import read_sessions
from optimizer.amps import Steps, to_amps
from optimizer.grid import make_grid
from optimizer.problem import Ev, Node, Plan, Problem

VOLTS = 208.0
MOST_A, LEAST_A = 32.0, 6.0
DAY_S = 86_400.0
ZONE = "America/Los_Angeles"
WINTER = ((0, 0.06087), (8, 0.07492), (12, 0.0869), (18, 0.07492), (23, 0.06087))
SUMMER = ((0, 0.05623), (8, 0.0925), (12, 0.26668), (18, 0.0925), (23, 0.05623))
DEMAND_PER_KW_MONTH = 15.51
LOCAL_S = -8 * 3600.0
"""The garage's clock against UTC, all year: what the price windows follow here."""


def recorded(path: Path) -> tuple[Car, ...]:
    """The sessions of a file as cars; EVSEs in turn on phases and panels."""
    sessions = read_sessions(path, ZONE)
    bays = {evse: index for index, evse in enumerate(sessions.evses)}
    return tuple(_car(one.id, bays[one.evse], one.arrival_wall_s, one.departure_wall_s, one.energy_wh) for one in sessions.sessions)


def invented(start_s: float, days: int, bays: int = 40, seed: int = 1) -> tuple[Car, ...]:
    """Office workers: two waves of arrivals a day, stays of some hours, needs of 2 to 25 kWh."""
    dice, cars = random.Random(seed), []
    for day in range(days):
        for bay in range(bays):
            hour = dice.gauss(8.5, 1.2) if dice.random() < 0.75 else dice.gauss(13.0, 1.5)
            arrival_s = start_s + day * DAY_S - LOCAL_S + hour * 3600.0
            stay_s = min(max(1800.0, dice.gauss(6.5, 2.5) * 3600.0), (23.5 - hour) * 3600.0)
            cars.append(_car(f"{day}-{bay}", bay, arrival_s, arrival_s + stay_s, dice.lognormvariate(9.0, 0.6)))
    return tuple(cars)


def _car(name: str, bay: int, arrival_s: float, departure_s: float, wanted_wh: float) -> Car:
    return Car(name, f"bay{bay}", f"panel{bay // 3 % 3}", (bay % 3,), arrival_s, departure_s, wanted_wh, VOLTS * MOST_A, VOLTS * LEAST_A)


def world(cars: Iterable[Car], start_s: float, days: int, capacity: float, summer: bool = False) -> World:
    """The garage for these days. capacity: part 0..1 of the uncontrolled phase peak that the feeder carries."""
    end_s = start_s + days * DAY_S
    laid = on_steps(cars, start_s, end_s)
    feeder_a = max(MOST_A, capacity * _uncontrolled_peak_a(laid, start_s, end_s))
    nodes = (
        Node("grid", None, (2000.0,) * 3),
        Node("feeder", "grid", (feeder_a,) * 3),
        *(Node(f"panel{index}", "feeder", (max(MOST_A, 0.6 * feeder_a),) * 3) for index in range(3)),
    )
    hours = [((start_s + index * 900.0 + LOCAL_S) / 3600.0) % 24.0 for index in range((days + 2) * 96)]
    office = [25e3 + 55e3 * math.exp(-(((hour - 13.5) / 4.0) ** 2)) for hour in hours]
    windows = SUMMER if summer else WINTER
    buy = [next(price for begin, price in reversed(windows) if hour >= begin) for hour in hours]
    count = len(hours)
    return World(
        "garage", "UTC", "USD", VOLTS, nodes, laid, start_s, end_s, np.array(office), np.zeros(count), np.array(buy), np.zeros(count),
        DEMAND_PER_KW_MONTH * days / 30.0,
    )  # fmt: skip


def _uncontrolled_peak_a(cars: Iterable[Car], start_s: float, end_s: float) -> float:
    steps = np.zeros((3, round((end_s - start_s) / 300.0)))
    for car in cars:
        first = round((car.arrival_wall_s - start_s) / 300.0)
        last = min(round((car.departure_wall_s - start_s) / 300.0), first + math.ceil(car.wanted_wh / car.max_power_w * 12.0))
        steps[car.phases[0], first:last] += MOST_A
    return float(steps.max())


# -- the policy -------------------------------------------------------------------------------------


Round = Callable[[Problem, Plan], Mapping[str, float]]
"""A plan as powers of the running step [W]."""


@dataclass
class Planned:
    """Plans every step. ``solve``: problem -> plan. rounding: what happens to its first slot. foresight: later arrivals are announced."""

    name: str
    solve: Callable[[Problem], Plan]
    rounding: Round
    foresight: bool = True
    problems: list[Problem] = field(default_factory=list)
    keep_every: int = 0
    steps: int = 0

    def powers(self, moment: Moment) -> Mapping[str, float]:
        """One step."""
        problem = posed(moment, self.foresight)
        self.steps += 1
        if self.keep_every and self.steps % self.keep_every == 0:
            self.problems.append(problem)
        return self.rounding(problem, self.solve(problem))


def posed(moment: Moment, foresight: bool) -> Problem:
    """What is known at this moment as a problem: needs and departures are true, loads and prices known."""
    play, now_s = moment.world, moment.now_wall_s
    slots = make_grid(now_s, 16 * 3600.0)
    end_s = slots[-1].start_wall_s + slots[-1].duration_s
    evs = [_ev(guest.car, guest.left_wh, guest.power_w) for guest in moment.present.values() if guest.left_wh > 1e-3]
    if foresight:
        evs += [_ev(car, car.wanted_wh, 0.0) for car in play.cars if now_s < car.arrival_wall_s < end_s]
    base_a = [(watts / (3.0 * VOLTS),) * 3 for watts in play.over(play.base_w, slots)]
    nodes = (replace(play.nodes[0], other_load_a=tuple(base_a)), *play.nodes[1:])
    return Problem(
        now_s, slots, VOLTS, nodes, tuple(evs), tuple(play.over(play.buy_per_kwh, slots)), (0.0,) * len(slots), (0.0,) * len(slots),
        demand_per_kw=play.demand_per_kw, peak_so_far_w=max(0.0, moment.peak_w), window_import_wh=max(0.0, moment.window_import_wh), currency="USD",
    )  # fmt: skip


def _ev(car: Car, need_wh: float, power_w: float) -> Ev:
    return Ev(
        car.id, car.node_id, car.phases, car.arrival_wall_s, car.departure_wall_s, need_wh, car.min_power_w, car.max_power_w, present_power_w=power_w
    )


def unrounded(problem: Problem, plan: Plan) -> Mapping[str, float]:
    """The plan itself: what no charger can do."""
    return {name: series[0] for name, series in plan.ev_power_w.items()}


class WholeAmps:
    """``to_amps`` with what it owes from step to step."""

    def __init__(self) -> None:
        self.owed_wh: Mapping[str, float] = {}
        self.charging: set[str] = set()
        self.switched = 0

    def __call__(self, problem: Problem, plan: Plan) -> Mapping[str, float]:
        here = {ev.ev_id: Steps(LEAST_A, MOST_A) for ev in problem.evs if ev.arrival_wall_s <= problem.created_wall_s}
        rounded = to_amps(problem, plan, here, self.owed_wh, self.charging)
        self.owed_wh = rounded.owed_wh
        running = {name for name, amps in rounded.setpoint_a.items() if amps}
        self.switched += len((running ^ self.charging) & set(here))
        self.charging = running
        return {name: amps * VOLTS for name, amps in rounded.setpoint_a.items()}


def floored(problem: Problem, plan: Plan) -> Mapping[str, float]:
    """Rounding down and nothing else: what carrying over and sharing are measured against."""
    whole = {name: math.floor(series[0] / VOLTS + 1e-6) for name, series in plan.ev_power_w.items()}
    return {name: amps * VOLTS if amps >= LEAST_A else 0.0 for name, amps in whole.items()}


def played(play: World, policy: Policy) -> tuple[float, float, float, float]:
    """(cost of the cars, energy delivered [%], peak [W], overloads [s]) of a policy."""
    outcome = run(play, policy)
    return outcome.ev_cost, outcome.delivered_percent, outcome.peak_w, sum(outcome.over_limit_s.values())
