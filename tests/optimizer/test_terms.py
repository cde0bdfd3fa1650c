"""The shared vocabulary: stays, needs, unavoidable overloads, and the booking of powers into a plan."""

import dataclasses

import pytest

from optimizer.problem import EXPORT_OVERLOAD, IMPORT_OVERLOAD, Node, PlanStatus, overload_key
from optimizer.terms import (
    Powers,
    believed_sell,
    charge_caps_w,
    defects,
    may_discharge,
    money,
    need_wh,
    plant_tree,
    settle,
    shortfall_price,
    site_phases,
    stay_fraction,
    unavoidable_overloads,
)
from tests.support.plans import HOUR_S, START_S, car, grid, hours, load, problem, v2g_car


@pytest.mark.parametrize(
    ("from_h", "until_h", "fraction"),
    [(-1, 2, 1.0), (0.25, 0.75, 0.5), (0.9, 9, 0.1), (-5, 0, 0.0), (1, 2, 0.0), (0.8, 0.2, 0.0), (0, float("inf"), 1.0)],
)
def test_the_part_of_a_slot_a_car_is_there(from_h: float, until_h: float, fraction: float) -> None:
    stay = car(arrival_wall_s=START_S + from_h * HOUR_S, departure_wall_s=START_S + until_h * HOUR_S)
    assert stay_fraction(stay, hours(1)[0]) == pytest.approx(fraction)


def test_a_negative_bound_means_none() -> None:
    assert charge_caps_w(problem([0.1, 0.1], slots=hours(2)), car(max_slot_power_w=(-5.0, 9000.0))) == [0.0, 4000.0]


def test_what_is_still_needed_is_never_negative_and_fits_into_a_known_battery() -> None:
    assert need_wh(car(need_wh=-3.0)) == 0.0
    assert need_wh(v2g_car(need_wh=15_000.0, efficiency=0.8)) == pytest.approx(12_500.0)
    assert need_wh(car(need_wh=15_000.0, capacity_wh=1000.0)) == 15_000.0


def test_only_a_believable_car_above_its_reserve_may_give() -> None:
    assert may_discharge(v2g_car())
    assert not may_discharge(v2g_car(soc_wh=3999.0))
    assert not may_discharge(v2g_car(max_discharge_w=0.0))


def test_priority_moves_the_price_of_a_shortfall_by_a_fifth_per_step() -> None:
    site = problem([0.1], shortfall_per_kwh=10.0)
    assert [round(shortfall_price(site, car(priority=step)), 2) for step in (-1, 0, 1)] == [8.33, 10.0, 12.0]


def test_money_nets_the_three_phases_and_charges_only_new_peaks() -> None:
    site = problem([0.2, 0.2], sell=0.5, demand_per_kw=3.0, peak_so_far_w=4000.0)
    assert believed_sell(site) == [0.2, 0.2]
    assert money(site, [5000.0, -2000.0], 5000.0) == pytest.approx(5 * 0.2 - 2 * 0.2 + 3.0)
    assert money(site, [3000.0, 0.0], 3000.0) == pytest.approx(0.6)


class TestUnavoidable:
    def found(self, *nodes: Node, pv_w: float = 0.0, **changes: object) -> tuple[set[tuple[str, int, int]], dict[int, int]]:
        site = problem([0.1], nodes=nodes, pv_w=[pv_w], **changes)
        result = unavoidable_overloads(site, plant_tree(site))
        return {(node_id, phase, sign) for (node_id, _, phase), sign in result.nodes.items()}, result.site

    def test_a_load_within_its_wires_is_none(self) -> None:
        assert self.found(grid(20.0, other_load_a=load((20.0, -20.0, 0.0)))) == (set(), {})

    def test_a_load_or_a_generator_above_its_wire_is_one(self) -> None:
        assert self.found(grid(20.0, other_load_a=load((21.0, -21.0, 0.0)))) == ({("grid", 0, 1), ("grid", 1, -1)}, {})

    def test_a_feeders_overload_stays_on_the_feeder(self) -> None:
        assert self.found(grid(50.0), Node("hall", "grid", (20.0,) * 3, other_load_a=load(30.0))) == ({("hall", 0, 1)}, {})

    def test_pv_that_carries_the_load_makes_it_avoidable(self) -> None:
        over = grid(20.0, other_load_a=load((25.0, 25.0, 25.0)))
        assert self.found(over, pv_w=2999.0)[0] != set()
        assert self.found(over, pv_w=3001.0) == (set(), {})

    def test_pv_cannot_help_one_phase_at_the_cost_of_another(self) -> None:
        crooked = grid(20.0, other_load_a=load((25.0, -19.0, 0.0)))
        assert self.found(crooked, pv_w=9000.0) == ({("grid", 0, 1)}, {})

    def test_the_sites_own_limits_count_too(self) -> None:
        base = grid(50.0, other_load_a=load(30.0))
        assert self.found(base, import_limit_w=(5000.0,))[1] == {0: 1}
        assert self.found(base, import_limit_w=(5000.0,), pv_w=1500.0)[1] == {}
        assert self.found(grid(50.0, other_load_a=load(-30.0)), export_limit_w=(5000.0,))[1] == {0: -1}


class TestSettle:
    def test_flows_grid_shortfall_and_overloads_follow_from_the_powers(self) -> None:
        nodes = [grid(20.0), Node("hall", "grid", (14.0,) * 3, other_load_a=load((1.0, 2.0, 3.0)))]
        site = problem([0.5], car(need_wh=3500.0, node_id="hall"), nodes=nodes, pv_w=[600.0], import_limit_w=(3000.0,))
        plan = settle(site, plant_tree(site), Powers({"ev": [3000.0]}, [0.0], [0.0]), PlanStatus.RULES, "by hand")
        assert plan.grid_power_w == pytest.approx((6 * 200.0 + 3000.0 - 600.0,))
        assert plan.shortfall_wh == {"ev": pytest.approx(500.0)}
        assert plan.overload_a == {overload_key("hall", 0): pytest.approx(2.0), IMPORT_OVERLOAD: pytest.approx(3.0)}
        assert plan.cost == pytest.approx(1.8)

    def test_feeding_beyond_the_export_limit_is_reported(self) -> None:
        site = problem([0.5], pv_w=[3000.0], export_limit_w=(1000.0,))
        plan = settle(site, plant_tree(site), Powers({}, [0.0], [0.0]), PlanStatus.RULES, "by hand")
        assert plan.overload_a == {EXPORT_OVERLOAD: pytest.approx(10.0)}


def test_only_the_phases_of_the_connection_carry_pv() -> None:
    assert site_phases(grid((32.0, 0.0, 0.0))) == (0,)
    assert site_phases(grid(0.0)) == (0, 1, 2)


def test_defects_are_all_told_at_once_and_harmless_contradictions_are_none() -> None:
    odd = car(departure_wall_s=START_S - 5.0, need_wh=-1.0, soc_wh=5.0)
    assert defects(problem([0.1], odd)) == ()
    bad = dataclasses.replace(problem([0.1], car(phases=(3,)), car("b", max_slot_power_w=(1.0, 2.0)), car("c", need_wh=float("nan"))), voltage_v=-1.0)
    assert len(defects(bad)) == 4
