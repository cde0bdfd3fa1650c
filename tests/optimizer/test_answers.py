"""What a solved model says: shadow prices against what a looser limit really saves, and names that find things again."""

from __future__ import annotations

import dataclasses

import pytest

from optimizer.answers import powers, shadow_prices
from optimizer.check import check
from optimizer.highs import LiveHighs, Verdict
from optimizer.model import Model, build
from optimizer.problem import PlanStatus, Problem, ShadowPrice
from optimizer.terms import settle
from tests.support.odd_sites import odd_site
from tests.support.plans import HOUR_S, START_S, battery, car, grid, load, problem, v2g_car


def solved(given: Problem) -> tuple[Model, LiveHighs]:
    model, engine = build(given), LiveHighs()
    assert engine.cold(model.lp) is Verdict.PROVED
    return model, engine


def prices(given: Problem) -> dict[tuple[str, int | None], ShadowPrice]:
    model, engine = solved(given)
    return {(price.where, price.phase): price for price in shadow_prices(model, engine.reduced, engine.duals)}


def cost(given: Problem) -> float:
    model, engine = solved(given)
    return settle(given, model.tree, powers(model, engine.values), PlanStatus.PROVED, "highs").cost


class TestShadowPrices:
    fast = car(need_wh=6000.0, max_power_w=12_000.0)

    def test_of_a_wire_is_what_one_more_ampere_saves(self) -> None:
        site, looser = (problem([0.1, 0.3], self.fast, nodes=[grid((limit, 63.0, 63.0))]) for limit in (20.0, 21.0))
        found = prices(site)
        assert set(found) == {("grid", 0)}
        assert found["grid", 0].per_unit == pytest.approx(cost(site) - cost(looser), rel=0.02)
        assert found["grid", 0].slots == (pytest.approx(0.04, rel=0.02), 0.0)

    def test_of_the_import_limit_is_per_kw(self) -> None:
        found = prices(problem([0.1, 0.3], self.fast, import_limit_w=(4000.0, 9000.0)))
        assert found["import", None].per_unit == pytest.approx(0.2, rel=0.02)

    def test_of_the_export_limit_is_what_selling_would_earn(self) -> None:
        found = prices(problem([0.3], sell=0.1, pv_w=[9000.0], export_limit_w=(2000.0,)))
        assert found["export", None].per_unit == pytest.approx(0.1, rel=0.02)

    def test_of_the_peak_is_the_demand_charge_while_it_is_paid(self) -> None:
        found = prices(problem([0.1] * 4, car(need_wh=8000.0), demand_per_kw=5.0))
        assert found["peak", None].per_unit == pytest.approx(5.0, rel=0.02)

    def test_of_limits_that_do_not_bind_are_not_told(self) -> None:
        assert prices(problem([0.1, 0.3], car(need_wh=3000.0), demand_per_kw=1.0, peak_so_far_w=60_000.0)) == {}

    def test_of_a_feeder_above_full_of_base_load_is_told_too(self) -> None:
        found = prices(problem([0.1], v2g_car(), nodes=[grid(20.0, other_load_a=load(30.0))]))
        assert found["grid", 0].per_unit > 1.0


def test_what_stands_in_the_pulp_objects_says_the_same_as_arrays() -> None:
    model, engine = solved(problem([0.1, 0.3], TestShadowPrices.fast, nodes=[grid((20.0, 63.0, 63.0))]))
    engine.write_back(model.lp, proved=True)
    assert powers(model) == powers(model, engine.values)
    assert shadow_prices(model) == shadow_prices(model, engine.reduced, engine.duals) != ()


class TestNames:
    def test_are_unique_and_the_same_in_a_model_built_a_quarter_hour_later(self) -> None:
        first = problem([0.3] * 6, car(), v2g_car(minimum_wh=500.0), battery=battery(reserve_wh=100.0), demand_per_kw=2.0)
        later = dataclasses.replace(
            first, slots=first.slots[1:], buy_per_kwh=(0.3,) * 5, sell_per_kwh=(0.0,) * 5, pv_w=(0.0,) * 5, created_wall_s=START_S + HOUR_S
        )
        old, new = build(first), build(later)
        for name in ("column_keys", "row_keys"):
            keys = getattr(new, name)
            assert len(set(keys)) == len(keys)
            known = set(getattr(old, name))
            unknown = {key[0] for key in keys if key not in known}
            assert unknown <= {"keep", "give_keep", "window"}, "only the power of now and its window are new"

    def test_name_everything(self) -> None:
        for seed in range(60):
            model = build(odd_site(seed))
            assert not [key for key in (*model.column_keys, *model.row_keys) if key[0] == "gone"]


class TestWaste:
    def test_a_battery_that_would_be_overfilled_by_netting_charges_less(self) -> None:
        """Other loads feed in beyond a wire; the only relief is a full V2G car, so the program burns energy in another slot."""
        told = 0
        for seed in range(200):
            given = odd_site(seed)
            model, engine = solved(given)
            plan = settle(given, model.tree, powers(model, engine.values), PlanStatus.PROVED, "highs")
            assert check(given, plan) == (), seed
            told += len(plan.slacks)
        assert told > 50
