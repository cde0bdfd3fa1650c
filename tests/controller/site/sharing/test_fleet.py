"""How a setpoint for all cars is shared: laws over random cars, and a few figures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.facts import EvseKey
from controller.site.sharing.fleet import Seat, shares

W_PER_A = 690.0
CARS = st.lists(
    st.tuples(
        st.integers(0, 32),  # most amperes
        st.one_of(st.just(0.0), st.floats(500.0, 11_000.0)),  # may give back
        st.one_of(st.none(), st.floats(-11_000.0, 22_000.0)),  # the plan
        st.sampled_from([230.0, 690.0]),
    ),
    max_size=8,
)


def seats(cars: list[tuple[int, float, float | None, float]]) -> list[Seat]:
    return [
        Seat(EvseKey(f"CP{number}", 1), per_a, 6 * per_a, per_a, amps * per_a, give_w, 100.0, plan_w)
        for number, (amps, give_w, plan_w, per_a) in enumerate(cars)
    ]


@given(CARS, st.floats(-60_000.0, 60_000.0))
def test_nobody_beyond_his_bounds_and_the_sum_never_above_a_setpoint_to_charge(
    cars: list[tuple[int, float, float | None, float]], setpoint_w: float
) -> None:
    every = seats(cars)
    powers = shares(setpoint_w, every)
    for seat in every:
        watts = powers[seat.key]
        assert -seat.give_w - 1e-6 <= watts <= seat.most_w + 1e-6
        assert watts <= 0 or watts >= seat.min_w - 1e-6
        assert watts <= 0 or abs(watts / seat.step_w - round(watts / seat.step_w)) < 1e-6
    if setpoint_w >= 0:
        assert sum(powers.values()) <= setpoint_w + 1e-6


@given(CARS, st.floats(-60_000.0, -100.0))
def test_what_can_be_given_back_is_given_back(cars: list[tuple[int, float, float | None, float]], setpoint_w: float) -> None:
    every = seats(cars)
    able_w = sum(seat.give_w for seat in every)
    least_w = 100.0 * len(every) + 1.0  # who would give less than his least gives nothing
    assert abs(sum(shares(setpoint_w, every).values()) - max(setpoint_w, -able_w)) <= least_w


def test_the_plan_says_who_and_the_sum_is_right() -> None:
    """8 kW into one car, 13 kW out of two: the CSMS wants -3 kW in all."""
    cars = seats([(32, 0.0, 8_000.0, W_PER_A), (32, 7_000.0, -6_000.0, W_PER_A), (32, 7_000.0, -7_000.0, W_PER_A)])
    powers = list(shares(-3_000.0, cars).values())
    assert powers[0] == 11 * W_PER_A
    assert sum(powers) == -3_000.0


def test_a_share_below_the_minimum_goes_to_the_others() -> None:
    """16 A for four cars of 6 A at least: two charge, two wait."""
    powers = list(shares(16 * W_PER_A, seats([(32, 0.0, None, W_PER_A)] * 4)).values())
    assert sorted(round(watts / W_PER_A) for watts in powers) == [0, 0, 8, 8]
