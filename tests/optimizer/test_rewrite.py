"""The living model: rewriting gives the numbers a fresh build would, letting cars in and out the optimum a fresh build has."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.check import check
from optimizer.columns import Changes
from optimizer.highs import LiveHighs, Verdict
from optimizer.model import Model, build, powers
from optimizer.problem import PlanStatus, Problem, Slot
from optimizer.terms import defects, settle
from tests.support.examples import examples
from tests.support.odd_sites import moment_later, odd_car, odd_site
from tests.support.plans import HOUR_S, START_S, battery, car, grid, load, problem, v2g_car

law = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 10**9)


def numbers_by_key(model: Model) -> dict[object, tuple[float, ...]]:
    """Everything a solver would see, by what it is about; columns and rows without any say are left out."""
    columns, rows = model.column_keys, model.row_keys
    assert len(set(columns)) == len(columns)
    assert len(set(rows)) == len(rows)
    found: dict[object, tuple[float, ...]] = {}
    for key, column in zip(columns, model.program.columns, strict=True):
        found["column", key] = (column.lowBound, column.upBound, model.lp.objective.get(column, 0.0))
    for key, row in zip(rows, model.program.rows, strict=True):
        found["row", key] = (row.sense, -row.constant)
        for column, coefficient in row.expr.items():
            found["entry", key, columns[column.index]] = (coefficient,)
    return found


def solution(model: Model) -> list[float]:
    """The best values of all columns."""
    engine = LiveHighs()
    assert engine.cold(model.lp) is Verdict.PROVED
    values: list[float] = engine.values.tolist()
    return values


def optimum(model: Model, other: Model | None = None) -> float:
    """Best objective of the program [its own unit], without the overloads of wires that nothing hangs on in the ``other`` one."""
    values = solution(model)
    shared = set(model.column_keys if other is None else other.column_keys)
    keys = model.column_keys
    counted = [(column, cost) for column, cost in model.lp.objective.items() if keys[column.index] in shared or keys[column.index][0] != "overload"]
    return sum(cost * values[column.index] for column, cost in counted) + model.lp.objective.constant


def in_running_slot_of_a_curve(key: object, given: Problem) -> bool:
    """Rows of acceptance curves in the running slot say nothing (a bound does), each with numbers of its own."""
    assert isinstance(key, tuple)
    role, _, number, end_s = key[1][:4]
    return role == "store" and number > 0 and end_s == given.slots[0].start_wall_s + given.slots[0].duration_s and key[0] != "column"


def mirrored(model: Model) -> bool:
    """Whether the arrays say what the PuLP objects say."""
    program, infinite = model.program, float("inf")
    lows = [-infinite if column.lowBound is None else column.lowBound for column in program.columns]
    highs = [infinite if column.upBound is None else column.upBound for column in program.columns]
    costs = [model.lp.objective.get(column, 0.0) for column in program.columns]
    rights = [-row.constant for row in program.rows]
    told = (program.lower.tolist(), program.upper.tolist(), program.cost.tolist(), program.right.tolist())
    return told == (lows, highs, costs, rights)


class TestRewriting:
    @law
    @given(seeds, seeds)
    def test_gives_the_numbers_of_a_fresh_build(self, seed: int, change: int) -> None:
        first = odd_site(seed)
        model, later = build(first), moment_later(first, change)
        if model.compatible(later) or model.let_in_and_out(later):
            return
        model.rewrite(later)
        assert mirrored(model)
        fresh, rewritten = numbers_by_key(build(later, model.urgency)), numbers_by_key(model)
        for key, numbers in fresh.items():
            if not in_running_slot_of_a_curve(key, later):
                assert rewritten[key] == pytest.approx(numbers), key

    @law
    @given(seeds, seeds, st.integers(0, 2))
    def test_gives_the_optimum_of_a_fresh_build(self, seed: int, change: int, gone: int) -> None:
        first = odd_site(seed)
        model, later = build(first), moment_later(first, change, gone)
        if model.compatible(later):
            return
        model.let_in_and_out(later)
        model.rewrite(later)
        assert mirrored(model)
        fresh = build(later, model.urgency)
        if fresh.weights == model.weights and gone == 0:
            assert optimum(model, fresh) == pytest.approx(optimum(fresh), rel=1e-7, abs=1e-6)
        plan = settle(later, model.tree, powers(model, solution(model)), PlanStatus.PROVED, "highs")
        assert check(later, plan) == ()

    def test_there_and_back_leaves_nothing_behind(self) -> None:
        first = odd_site(11)
        model = build(first)
        before = numbers_by_key(model)
        model.rewrite(moment_later(first, 5))
        model.rewrite(first)
        after = numbers_by_key(model)
        assert {key: after[key] for key in before} == before

    def test_touches_only_what_changed(self) -> None:
        first = problem([0.3, 0.2], car(), battery=battery())
        model = build(first)
        changes = model.rewrite(dataclasses.replace(first, evs=(car(need_wh=3000.0),)))
        assert list(changes.rows) == [model.cars["ev"].need_row]
        assert list(changes.columns) == [model.cars["ev"].short, model.cars["ev"].short + 1]
        assert (len(changes.costs), changes.entries) == (0, ())
        assert model.rewrite(model.problem).rows.size == 0

    def test_a_slot_that_is_over_can_hold_nothing(self) -> None:
        slots = (Slot(START_S, 300.0), Slot(START_S + 300.0, 300.0), Slot(START_S + 600.0, 300.0))
        first = problem([0.3, 0.1, 0.2], car(need_wh=400.0), slots=slots)
        model = build(first)
        model.rewrite(dataclasses.replace(first, slots=slots[1:], buy_per_kwh=(0.1, 0.2), sell_per_kwh=(0.0,) * 2, pv_w=(0.0,) * 2))
        assert optimum(model) * model.scale == pytest.approx(0.1 / 3 + 0.2 * (0.4 - 1 / 3), rel=0.02)
        assert [round(watts) for watts in powers(model, solution(model)).evs["ev"]] == [4000, 800]


class TestWhatNeedsAnotherModel:
    base = problem([0.3, 0.2, 0.1], car(), v2g_car(), battery=battery(), demand_per_kw=2.0, nodes=[grid(other_load_a=load(1.0, 2.0, 3.0))])

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"buy_per_kwh": (0.3, 0.2, 0.11)}, "other prices"),
            ({"voltage_v": 230.0}, "another feeder tree"),
            ({"nodes": (grid(max_unbalance_a=9.0),)}, "another feeder tree"),
            ({"battery": None}, "other parts of the site"),
            ({"battery": battery(efficiency_one_way=0.9)}, "other parts of the site"),
            ({"pv_w": (0.0, 500.0, 0.0)}, "other parts of the site"),
            ({"shortfall_per_kwh": 7.0}, "other weights"),
            ({"grid_setpoint_w": (None, 5.0, None)}, "other weights"),
            ({"demand_per_kw": 0.0}, "other demand windows"),
            ({"slots": (Slot(START_S + 60.0, 3540.0), *base.slots[1:])}, "other demand windows"),
            ({"slots": (Slot(START_S - 60.0, 3660.0), *base.slots[1:])}, "another grid of time"),
            ({"nodes": (grid(40.0, other_load_a=load(9.0, 9.0, 9.0)),)}, ""),
            ({"demand_per_kw": 1.9}, ""),
            ({"window_import_wh": 500.0, "peak_so_far_w": 900.0}, ""),
            ({"import_limit_w": (9000.0,) * 3}, ""),
        ],
    )
    def test_is_told(self, change: dict[str, object], reason: str) -> None:
        assert build(self.base).compatible(dataclasses.replace(self.base, **change)) == reason


class TestCarsComeAndGo:
    @law
    @given(seeds, seeds)
    def test_the_optimum_is_that_of_a_fresh_build(self, seed: int, change: int) -> None:
        dice, first = random.Random(change), odd_site(seed)
        model, evs = build(first), list(first.evs)
        for step in range(3):
            evs = [ev for ev in evs if dice.random() < 0.7]
            evs += [odd_car(dice, f"new{step}.{number}", len(first.nodes), len(first.slots)) for number in range(dice.randint(0, 2))]
            now = dataclasses.replace(first, evs=tuple(evs))
            if defects(now) or model.compatible(now):
                return
            model.let_in_and_out(now)
            model.rewrite(now)
            assert mirrored(model)
            fresh = build(now, model.urgency)
            if fresh.weights == model.weights:
                assert optimum(model, fresh) == pytest.approx(optimum(fresh), rel=1e-7, abs=1e-6)

    def test_a_car_that_came_brings_entries_for_the_old_rows(self) -> None:
        first = problem([0.3, 0.2], car("a"))
        model = build(first)
        now = dataclasses.replace(first, evs=(*first.evs, car("b", phases=(0, 1))))
        assert model.let_in_and_out(now)
        changes: Changes = model.rewrite(now)
        old = {(row, column) for row, column, _ in changes.entries}
        assert all(row < changes.first_row and column >= changes.first_column for row, column in old)
        rows = model.program.rows[: changes.first_row]
        assert old == {(row.index, column.index) for row in rows for column in row.expr if column.index >= changes.first_column}

    def test_another_car_under_the_same_name_is_another_car(self) -> None:
        first = problem([0.3, 0.2], car("a"))
        model = build(first)
        now = dataclasses.replace(first, evs=(car("a", phases=(1,)),))
        assert model.let_in_and_out(now)
        assert not model.let_in_and_out(now)

    def test_a_longer_stay_needs_more_columns(self) -> None:
        first = problem([0.3, 0.2], car("a", departure_wall_s=START_S + HOUR_S))
        model = build(first)
        assert not model.let_in_and_out(dataclasses.replace(first, evs=(car("a", departure_wall_s=START_S + 0.5 * HOUR_S),)))
        assert model.let_in_and_out(dataclasses.replace(first, evs=(car("a", departure_wall_s=START_S + 1.5 * HOUR_S),)))


def planless(given: Problem) -> tuple[str, ...]:
    """Defects of a site, for the support itself."""
    return defects(given)


def test_the_odd_sites_can_be_planned_with() -> None:
    assert [found for seed in range(300) if (found := planless(odd_site(seed)))] == []
    assert [found for seed in range(300) if (found := planless(moment_later(odd_site(seed), seed, seed % 3)))] == []
