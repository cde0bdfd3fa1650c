"""The accountant: bills, peaks, energies and currents of a backtest reckoned again with nothing of ours but the recorded outcome.

Prices come from the text of the tariff, currents from the cars themselves, and perfect foresight from a linear program of arrays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy.optimize import linprog

from controller.facts import Stamp
from controller.sim.backtest.case import Case
from controller.sim.backtest.jobs import Job, run_job
from controller.sim.backtest.outcome import PolicyOutcome
from controller.sim.backtest.policies import NEVER_S, SHARES, Rule
from controller.sim.backtest.timeline import stamp_of, travel
from controller.sim.backtest.yard import Yard
from tests.controller.sim.backtest.kit import ROWS, TARIFF, ZONE, sessions_file, setting

QUARTER_H = 0.25
SELL = 0.07
DEMAND = 15.0 / 30.0
POLICIES = ("uncontrolled", "first-come", "edf", "llf", "round-robin", "ours")
Outcomes = Mapping[tuple[str, bool], PolicyOutcome]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A building and a roof whose power changes every hour, so that the site sells at noon."""
    folder = tmp_path_factory.mktemp("accounting")
    (folder / "load.csv").write_text("time,load kW\n" + "".join(f"2026-06-03T{hour:02d}:00,{6 + hour % 5}\n" for hour in range(24)))
    sun = [max(0, 45 - 9 * abs(13 - hour)) for hour in range(24)]
    (folder / "sun.csv").write_text("time,sun kW\n" + "".join(f"2026-06-03T{hour:02d}:00,{sun[hour]}\n" for hour in range(24)))
    return setting(folder, load=str(folder / "load.csv"), pv=str(folder / "sun.csv")).case


@pytest.fixture(scope="module")
def outcomes(case: Case) -> Outcomes:
    return {(name, quick): run_job(Job(0, 0, name, case, quick), lambda _: None) for name in (*POLICIES, "bound") for quick in (False, True)}


def price_at(wall_s: float) -> float:
    """Of the tariff's text; summer time of Berlin is two hours before UTC."""
    season = json.loads(TARIFF)["schedule"][0]
    hour = (wall_s / 3600.0 + 2.0) % 24.0
    return max(zip(season["times"], season["tariffs"], strict=True), key=lambda one: (one[0] <= hour, one[0] if one[0] <= hour else -one[0]))[1]


def bill(grid_kw: np.ndarray, starts_s: list[float]) -> tuple[float, float]:
    """(energy, demand) of quarter hours."""
    energy = sum(kw * QUARTER_H * (price_at(at_s) if kw > 0 else SELL) for kw, at_s in zip(grid_kw, starts_s, strict=True))
    return energy, max(0.0, float(grid_kw.max())) * DEMAND


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_bill_is_the_one_of_the_curve(policy: str, quick: bool, outcomes: Outcomes) -> None:
    told = outcomes[policy, quick]
    starts_s = [one.wall_s for one in told.curve]
    assert len(starts_s) == 96
    hours = [datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(ZONE)).hour for at_s in starts_s]
    base_kw = np.array([6.0 + hour % 5 for hour in hours])
    sun_kw = np.array([max(0.0, 45.0 - 9.0 * abs(13 - hour)) for hour in hours])
    ev_kw = np.array([one.ev_w for one in told.curve]) / 1000.0
    energy, demand = bill(base_kw - sun_kw + ev_kw, starts_s)
    assert told.energy_cost == pytest.approx(
        energy, rel=1e-6 if quick else 4e-3
    )  # in full, buying and selling meet within a quarter hour
    assert told.demand_cost == pytest.approx(demand, rel=1e-6)
    assert told.base_cost == pytest.approx(sum(bill(base_kw - sun_kw, starts_s)), rel=1e-6)
    assert told.peak_w / 1000.0 == pytest.approx(float((base_kw - sun_kw + ev_kw).max()), rel=1e-6)
    assert told.delivered_wh / 1000.0 == pytest.approx(float(ev_kw.sum()) * QUARTER_H, rel=1e-4)
    assert told.wanted_wh / 1000.0 == pytest.approx(sum(kwh for _, _, _, kwh in ROWS), rel=1e-6)
    assert all(one.delivered_wh <= one.wanted_wh + 6.0 for one in told.sessions)


# -- currents ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uncontrolled", *sorted(SHARES)])
def test_currents_are_those_of_the_cars(name: str, case: Case) -> None:
    yard = Yard(case, case.config, NEVER_S)
    rule = Rule(yard, SHARES[name]) if name in SHARES else None
    parents = {one.id: one.parent for one in case.config.circuits}
    feeds = {station.id: (station.circuit, station.evses[0].phases[0]) for station in case.config.stations}
    limits = {"grid": case.config.grid.fuse_a} | {one.id: one.fuse_a for one in case.config.circuits}
    worst = dict.fromkeys(limits, 0.0)
    if rule is not None:
        rule.begin(stamp_of(case, case.start_wall_s))
    yard.advance(stamp_of(case, case.start_wall_s))

    def step(at: Stamp) -> None:
        yard.advance(at)
        for station in yard.stations.values():
            station.forget_events()
        if rule is not None:
            rule.look(at)
        sums: dict[tuple[str | None, str], float] = {}
        for place, guest in yard.guests.items():
            circuit, phase = feeds[place.partition("/")[0]]
            amps = guest.car.current_a
            offer_a = yard.evses[place].offer_a
            assert offer_a == 0.0 or offer_a >= 6.0
            while circuit is not None:
                sums[circuit, phase] = sums.get((circuit, phase), 0.0) + amps
                circuit = parents.get(circuit)
        for (circuit, _), amps in sums.items():
            if circuit != "grid":
                worst[circuit] = max(worst[circuit], amps / limits[circuit])

    travel(case, yard, step, lambda _: None)
    for circuit, load in worst.items():
        if circuit != "grid":
            assert yard.account.worst[circuit] == pytest.approx(load, abs=1e-9), circuit
    if rule is not None:
        assert max(worst.values()) <= 1.0
        assert yard.account.over_limit_s == dict.fromkeys(limits, 0.0)
    else:
        assert max(worst.values()) > 1.2


# -- the bound -----------------------------------------------------------------------------------------------------


def cheapest(case: Case) -> tuple[float, float]:
    """(cost, delivered kWh) of a linear program on arrays: first all the energy that can be had, then the money."""
    starts = [case.start_wall_s + 900.0 * number for number in range(96)]
    columns: list[tuple[int, int, float]] = []
    for car, visit in enumerate(case.visits):
        for quarter, start_s in enumerate(starts):
            overlap_s = min(visit.departure_wall_s, start_s + 900.0) - max(visit.arrival_wall_s, start_s)
            if overlap_s > 0:
                columns.append((car, quarter, visit.max_power_w * overlap_s / 3.6e6))
    count, cars = len(columns), len(case.visits)
    buys, sells, peak = count + cars, count + cars + 96, count + cars + 192
    width = peak + 1
    beside = np.array([(case.base_w.mean(at_s, at_s + 900.0) - case.pv_w.mean(at_s, at_s + 900.0)) / 1000.0 * QUARTER_H for at_s in starts])
    cost = np.zeros(width)
    cost[count:buys] = 1000.0
    cost[buys:sells] = [price_at(at_s) for at_s in starts]
    cost[sells:peak] = -SELL
    cost[peak] = DEMAND
    upper = [(0.0, most) for _, _, most in columns] + [(0.0, None)] * (width - count)
    equal, right = np.zeros((cars + 96, width)), np.zeros(cars + 96)
    for car, visit in enumerate(case.visits):
        equal[car, count + car], right[car] = 1.0, visit.wanted_wh / 1000.0
    for column, (car, quarter, _) in enumerate(columns):
        equal[car, column] = 1.0
        equal[cars + quarter, column] = -1.0
    for quarter in range(96):
        equal[cars + quarter, [buys + quarter, sells + quarter]] = 1.0, -1.0
        right[cars + quarter] = beside[quarter]
    less, most = [], []
    parents = {one.id: one.parent for one in case.config.circuits}
    for circuit in case.config.circuits:
        for phase in (0, 1, 2):
            below = [number for number, visit in enumerate(case.visits) if phase in visit.phases and circuit.id in _above(visit.node_id, parents)]
            for quarter in range(96):
                row = np.zeros(width)
                row[[column for column, (car, at, _) in enumerate(columns) if at == quarter and car in below]] = 1.0
                less.append(row)
                most.append(circuit.fuse_a * 230.0 / 1000.0 * QUARTER_H)
    for quarter in range(96):
        row = np.zeros(width)
        row[buys + quarter], row[peak] = 1.0 / QUARTER_H, -1.0
        less.append(row)
        most.append(0.0)
    found = linprog(cost, np.array(less), most, equal, right, upper, method="highs")
    assert found.status == 0
    return float(cost[buys:] @ found.x[buys:]), float(found.x[:count].sum())


def _above(circuit: str | None, parents: Mapping[str, str | None]) -> list[str]:
    found = []
    while circuit is not None:
        found.append(circuit)
        circuit = parents.get(circuit)
    return found


def test_perfect_foresight_is_the_optimum_of_an_independent_program(case: Case, outcomes: Outcomes) -> None:
    cost, delivered_kwh = cheapest(case)
    bound = outcomes["bound", False]
    assert bound.cost == pytest.approx(cost, rel=1e-4)
    assert bound.delivered_wh / 1000.0 == pytest.approx(delivered_kwh, rel=1e-5)


@pytest.mark.parametrize("quick", [False, True])
def test_nobody_within_the_limits_is_cheaper_than_perfect_foresight(quick: bool, outcomes: Outcomes) -> None:
    bound = outcomes["bound", quick]
    for policy in POLICIES[1:]:
        told = outcomes[policy, quick]
        assert told.base_cost == pytest.approx(bound.base_cost, rel=1e-9)
        assert told.wanted_wh == pytest.approx(bound.wanted_wh, rel=1e-9)
        assert told.over_limit_s == {}
        assert told.delivered_wh <= bound.delivered_wh + 1.0
        missing_kwh = (bound.delivered_wh - told.delivered_wh) / 1000.0
        assert told.cost + 0.45 * missing_kwh >= bound.cost - 1e-6, policy


# -- fair rules ----------------------------------------------------------------------------------------------------


def test_equally_urgent_cars_do_not_swap_places_all_the_time(tmp_path: Path) -> None:
    """Two like cars, room for one: least laxity loses nothing against first come by going back and forth."""
    rows = [("P1", 8.0, 12.0, 24.0), ("P4", 8.0, 12.0, 24.0)]
    one = setting(tmp_path, sessions=sessions_file(tmp_path, rows), load="0").case
    tight = one.config.model_copy(update={"circuits": tuple(each.model_copy(update={"fuse_a": 31.0}) for each in one.config.circuits)})
    got = {name: run_job(Job(0, 0, name, replace(one, config=tight)), lambda _: None).delivered_wh for name in ("llf", "first-come")}
    assert got["llf"] >= 0.97 * got["first-come"]


def test_the_steps_of_a_day_are_all_there(outcomes: Outcomes) -> None:
    for told in outcomes.values():
        assert all(math.isclose(later.wall_s - sooner.wall_s, 900.0) for sooner, later in pairwise(told.curve))
