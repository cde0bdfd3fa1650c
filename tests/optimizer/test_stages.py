"""One solve with weights against solving stage by stage: safety, then minimums, then energy, then reserves and money.

Each stage is solved for itself with highspy and then held by a row while the next one is solved. What the weighted program reaches
in each stage must be what the stages reach.
"""

from __future__ import annotations

import dataclasses

import highspy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.highs import handed_over
from optimizer.model import Model, build
from optimizer.problem import Problem
from tests.support.examples import examples
from tests.support.odd_sites import odd_site
from tests.support.plans import START_S, car, grid, hours, load, problem, v2g_car

SAFETY = ("overload", "unbalance", "over_in", "over_out")
SLACK = 1e-6
"""How much of an earlier stage a later one may give up: the solver's own tolerance."""


def stage_of(key: tuple[object, ...]) -> int:
    if key[0] in SAFETY:
        return 0
    if key[0] == "short":
        return 1 if key[2] == 2 else 2
    return 3


def solved(lp: highspy.HighsLp, cost: np.ndarray, held: list[tuple[np.ndarray, float]]) -> np.ndarray:
    engine = highspy.Highs()
    engine.setOptionValue("output_flag", False)
    engine.passModel(lp)
    engine.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)
    for row, most in held:
        used = np.flatnonzero(row).astype(np.int32)
        engine.addRow(-highspy.kHighsInf, most, len(used), used, row[used])
    engine.run()
    assert engine.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return np.array(engine.getSolution().col_value)


def by_stages(model: Model) -> tuple[list[float], list[float]]:
    """What each stage costs: solved one after another, and in one solve."""
    lp, _ = handed_over(model.lp)
    cost, stages = np.array(lp.col_cost_), np.array([stage_of(key) for key in model.column_keys])
    at_once = solved(lp, cost, [])
    held: list[tuple[np.ndarray, float]] = []
    for stage in range(4):
        own = np.where(stages == stage, cost, 0.0)
        own = own / max(1e-9, np.abs(own).max())
        best = float(own @ solved(lp, own, held))
        held.append((own, best + SLACK))
    return [most - SLACK for _, most in held], [float(row @ at_once) for row, _ in held]


def energy_first(given: Problem) -> Problem:
    """Nobody has put a price on a missing kWh: energy comes before money."""
    evs = tuple(dataclasses.replace(ev, shortfall_per_kwh=None) for ev in given.evs)
    return dataclasses.replace(given, shortfall_per_kwh=None, evs=evs)


class TestTheOrder:
    @settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.integers(0, 10**9))
    def test_one_solve_reaches_what_the_stages_reach(self, seed: int) -> None:
        apart, at_once = by_stages(build(energy_first(odd_site(seed))))
        for stage in range(3):
            assert at_once[stage] == pytest.approx(apart[stage], abs=2e-5, rel=1e-6), stage
        assert at_once[3] <= apart[3] + 1e-3 + 1e-4 * abs(apart[3])

    def test_energy_beats_a_demand_charge_of_a_short_window(self) -> None:
        plan_of = problem([0.3], car(need_wh=4000.0), demand_per_kw=30.0, demand_window_s=900.0, slots=hours(1))
        apart, at_once = by_stages(build(plan_of))
        assert at_once[2] == apart[2] == pytest.approx(0.0, abs=1e-6)

    def test_energy_beats_the_losses_and_wear_of_another_cars_store(self) -> None:
        """The fuse is full of base load: the second car's store must give what the first one takes, and be filled again later."""
        nodes = [grid(21.0, other_load_a=load(20.0, 0.0))]
        giver = v2g_car(efficiency=0.7, wear_per_kwh=1.5, need_wh=0.0, soc_wh=18_000.0)
        taker = car("taker", need_wh=2000.0, departure_wall_s=START_S + 3600.0)
        apart, at_once = by_stages(build(problem([0.5, 0.5], giver, taker, nodes=nodes)))
        assert at_once[2] == pytest.approx(apart[2], abs=1e-6)

    def test_a_minimum_beats_thrice_the_energy_of_another(self) -> None:
        """A kWh of a single-phase car pushes aside three kWh of a three-phase one; the minimum comes first all the same."""
        small = car("small", need_wh=1000.0, minimum_wh=1000.0)
        large = car("large", need_wh=3000.0, max_power_w=12_000.0, phases=(0, 1, 2), priority=3)
        model = build(problem([0.3], small, large, nodes=[grid((5.0, 100.0, 100.0))]))
        apart, at_once = by_stages(model)
        assert at_once[1] == apart[1] == pytest.approx(0.0, abs=1e-6)
