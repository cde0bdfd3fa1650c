"""What waiting costs: hand-computed wires, cars that may leave, and what it does to a plan."""

from dataclasses import replace

import pytest

from optimizer.live import HOT, Live
from optimizer.problem import EXPECTED, Ev, Node, Problem, Slot
from optimizer.solve import solve
from optimizer.waiting import CALM, LAXITY_SCALE_S, LEAVING_PRICE, SCARCE, SCARCITY_PRICE, Waiting, needed_parts, pressing, scarcities
from tests.support.plain_lp import formulate, optimum

START_S = 900.0 * 2_000_000
HOUR_S = 3600.0


def car(name: str, need_wh: float, leaves_h: float, power_w: float = 4600.0, comes_h: float = 0.0) -> Ev:
    return Ev(
        ev_id=name,
        node_id="hall",
        phases=(0,),
        arrival_wall_s=START_S + comes_h * HOUR_S,
        departure_wall_s=START_S + leaves_h * HOUR_S,
        energy_need_wh=need_wh,
        min_power_w=0.0,
        max_power_w=power_w,
        expected=name.startswith(EXPECTED),
    )


def site(*cars: Ev, hall_a: float = 20.0, buy: tuple[float, ...] = (0.3, 0.1, 0.1, 0.1)) -> Problem:
    """Four hours; the hall carries ``hall_a`` x 230 V per phase."""
    slots = tuple(Slot(START_S + hour * HOUR_S, HOUR_S) for hour in range(4))
    nodes = (Node("site", None, (500.0,) * 3), Node("hall", "site", (hall_a,) * 3))
    return Problem(START_S, slots, 230.0, nodes, cars, buy, (0.0,) * 4, (0.0,) * 4)


def in_quarters(problem: Problem) -> Problem:
    """The same with a slot for the first quarter hour, at one price."""
    slots, none = (Slot(START_S, 900.0), Slot(START_S + 900.0, 2700.0), *problem.slots[1:]), (0.0,) * 5
    return replace(problem, slots=slots, buy_per_kwh=(0.3,) * 5, sell_per_kwh=none, pv_w=none)


def test_a_wire_is_needed_by_what_must_have_gone_through_it() -> None:
    # 4.6 kWh/h: 9.2 of 18.4 kWh by the fourth hour; of a need of 9.2 kWh in three hours 4.6 must be in by the second (of 9.2)
    parts = needed_parts(site(car("a", 9200.0, 4.0)))
    assert parts["hall", 0] == pytest.approx(0.5)
    assert needed_parts(site(car("a", 9200.0, 3.0)))["hall", 0] == pytest.approx(9.2 / 13.8)
    assert needed_parts(site(car("a", 9200.0, 4.0), car(EXPECTED + "b", 4600.0, 4.0, comes_h=2.0)))["hall", 0] == pytest.approx(0.75)


def test_other_load_and_margin_take_room() -> None:
    problem = site(car("a", 9200.0, 4.0))
    hall = replace(problem.nodes[1], other_load_a=((5.0, 0.0, 0.0),) * 4, margin_a=(5.0,) * 4)
    assert needed_parts(replace(problem, nodes=(problem.nodes[0], hall)))["hall", 0] == pytest.approx(1.0)


def test_a_wire_that_carries_nothing_is_scarce() -> None:
    assert scarcities(site(car("a", 9200.0, 4.0), hall_a=0.0))["hall", 0] == 1.0


def test_nothing_is_priced_where_there_is_room() -> None:
    problem = site(car("a", 9200.0, 4.0))
    assert CALM > 0.5
    assert Waiting().priced(problem) == problem


def test_scarcity_prices_the_quarter_hour_by_who_presses_and_all_later_slots_alike() -> None:
    problem = site(car("a", 18_400.0, 4.0, power_w=9200.0))
    problem = in_quarters(problem)
    assert needed_parts(problem)["hall", 0] >= SCARCE
    spare_h, price = 4.0 - 18.4 / 9.2, SCARCITY_PRICE * 0.3
    expected = (price * spare_h / (LAXITY_SCALE_S / HOUR_S), *(price,) * 4)
    assert Waiting().priced(problem).evs[0].wait_per_kwh == pytest.approx(expected, abs=1e-4)


def test_in_a_hurry_everything_is_scarce() -> None:
    problem = site(car("a", 4600.0, 4.0))
    assert Waiting().priced(problem) == problem
    assert Waiting().priced(problem, hurry=True).evs[0].wait_per_kwh == pytest.approx((SCARCITY_PRICE * 0.3,) * 4)


def test_who_presses_more_is_served_first_where_wires_are_scarce() -> None:
    calm, tight = car("a", 4600.0, 4.0, power_w=9200.0), car("b", 9200.0, 4.0, power_w=9200.0)
    problem = site(calm, tight, car("c", 4600.0, 4.0, power_w=9200.0), hall_a=20.0)
    problem = in_quarters(problem)
    plan = solve(Waiting().priced(problem), 10.0)
    assert plan.ev_power_w["b"][0] == pytest.approx(4600.0)
    assert sum(plan.shortfall_wh.values()) == pytest.approx(0.0, abs=1e-3)


def test_expected_cars_are_never_priced() -> None:
    problem = site(car("a", 18_400.0, 4.0), car(EXPECTED + "b", 9200.0, 4.0))
    present, expected = Waiting().priced(problem).evs
    assert present.wait_per_kwh
    assert not expected.wait_per_kwh


def test_the_chance_of_having_left_is_priced_at_the_middle_of_a_slot() -> None:
    leaves_s = {"a": [START_S + 2.0 * HOUR_S, START_S + 6.0 * HOUR_S]}
    prices = Waiting().priced(site(car("a", 4600.0, 4.0)), leaves_s).evs[0].wait_per_kwh
    assert prices == pytest.approx((0.0, 0.0, LEAVING_PRICE * 0.3 / 2, LEAVING_PRICE * 0.3 / 2))


def test_a_price_of_missing_energy_bounds_the_price_of_waiting() -> None:
    problem = replace(site(car("a", 18_400.0, 4.0)), shortfall_per_kwh=0.5)
    leaves_s = {"a": [START_S + HOUR_S]}
    assert max(Waiting().priced(problem, leaves_s).evs[0].wait_per_kwh) == pytest.approx(0.25, abs=1e-3)


def test_prices_stay_within_a_quarter_hour_and_are_new_in_the_next() -> None:
    waiting, before = Waiting(), site(car("a", 18_400.0, 4.0))
    first = waiting.priced(before).evs[0].wait_per_kwh
    fuller = replace(before, evs=(replace(before.evs[0], energy_need_wh=16_000.0),))
    assert waiting.priced(fuller).evs[0].wait_per_kwh == first
    later = replace(fuller, slots=(Slot(START_S + 900.0, 2700.0), *fuller.slots[1:]))
    assert waiting.priced(later).evs[0].wait_per_kwh != first


def test_who_has_less_time_to_spare_presses_more() -> None:
    assert pressing(car("a", 4600.0, 2.0), START_S) > pressing(car("b", 4600.0, 3.0), START_S)
    assert pressing(car("a", 9200.0, 2.0), START_S) == 1.0


def test_a_plan_no_longer_waits_for_cheap_hours_when_waiting_is_dear() -> None:
    problem = site(car("a", 4600.0, 4.0))
    dear = replace(problem, evs=(replace(problem.evs[0], wait_per_kwh=(0.0, 0.25, 0.25, 0.25)),))
    assert solve(problem, 10.0).ev_power_w["a"][0] == pytest.approx(0.0)
    plan = solve(dear, 10.0)
    assert plan.ev_power_w["a"] == pytest.approx((4600.0, 0.0, 0.0, 0.0))
    assert plan.cost == pytest.approx(4.6 * 0.3)  # nobody pays for waiting


def test_waiting_is_in_the_objective() -> None:
    problem = site(car("a", 4600.0, 4.0))
    waiting = replace(problem, evs=(replace(problem.evs[0], wait_per_kwh=(0.0, 0.05, 0.06, 0.07)),))
    plain, priced = (solve(one, 10.0).objective or 0.0 for one in (problem, waiting))
    assert priced - plain == pytest.approx(4.6 * 0.05, abs=1e-6)
    assert priced == pytest.approx(optimum(formulate(waiting)).total, rel=1e-7)


def test_energy_comes_before_the_price_of_waiting() -> None:
    problem = site(car("a", 18_400.0, 4.0))
    dear = replace(problem, evs=(replace(problem.evs[0], wait_per_kwh=(0.0, 90.0, 90.0, 90.0)),))
    assert sum(solve(dear, 10.0).shortfall_wh.values()) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("then", [(), (0.0, 0.3, 0.3, 0.3)])
def test_a_living_model_takes_new_prices_and_forgets_old_ones(then: tuple[float, ...]) -> None:
    live, problem = Live("highs"), site(car("a", 4600.0, 4.0), car("b", 4600.0, 4.0))
    live.solve(replace(problem, evs=tuple(replace(ev, wait_per_kwh=(0.0, 0.25, 0.26, 0.27)) for ev in problem.evs)), 10.0)
    new = replace(problem, evs=tuple(replace(ev, wait_per_kwh=then) for ev in problem.evs))
    plan = live.solve(new, 10.0)
    assert plan.way == HOT
    assert plan.objective == pytest.approx(solve(new, 10.0).objective, rel=1e-9)


@pytest.mark.parametrize("prices", [(0.1,), (0.0, -0.1, 0.1, 0.1), (0.0, float("nan"), 0.1, 0.1)])
def test_impossible_prices_are_refused(prices: tuple[float, ...]) -> None:
    problem = site(car("a", 4600.0, 4.0))
    with pytest.raises(Exception, match="price of waiting"):
        solve(replace(problem, evs=(replace(problem.evs[0], wait_per_kwh=prices),)), 10.0)
