"""The rules: who is served first, whole amps or nothing, never beyond a circuit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.sim.backtest.policies import SHARES, Wish, earliest_deadline, first_come, least_laxity, round_robin

ROOT, HALL = "grid", "hall"


def wish(name: str, arrives: float = 0.0, leaves: float = 10.0, kwh: float = 5.0, most_a: float = 32.0, phases: tuple[int, ...] = (0,)) -> Wish:
    rows = tuple((circuit, phase) for circuit in (HALL, ROOT) for phase in phases)
    return Wish(name, 3600.0 * arrives, 3600.0 * leaves, 1000.0 * kwh, 6.0, most_a, 230.0 * len(phases), rows)


def room(amps: float) -> dict[tuple[str, int], float]:
    return {(circuit, phase): amps for circuit in (ROOT, HALL) for phase in (0, 1, 2)}


def test_who_is_first_gets_most() -> None:
    cars = [wish("late", arrives=2, leaves=5, kwh=1), wish("early", arrives=1, leaves=9, kwh=2), wish("hungry", arrives=3, leaves=6, kwh=40)]
    assert first_come(cars, room(38.0), 0.0) == {"early": 32.0, "late": 6.0, "hungry": 0.0}
    assert earliest_deadline(cars, room(38.0), 0.0) == {"late": 32.0, "hungry": 6.0, "early": 0.0}
    assert least_laxity(cars, room(38.0), 0.0) == {"hungry": 32.0, "late": 6.0, "early": 0.0}


def test_less_than_six_amps_is_nothing_and_what_is_left_goes_on() -> None:
    cars = [wish("a", arrives=1), wish("b", arrives=2), wish("c", arrives=3, phases=(1,))]
    assert first_come(cars, room(35.0), 0.0) == {"a": 32.0, "b": 0.0, "c": 32.0}


def test_round_robin_shares_evenly_and_takes_turns_where_not_all_can_begin() -> None:
    cars = [wish("a"), wish("b"), wish("c", most_a=8.0)]
    assert round_robin(cars, room(31.0), 0.0) == {"a": 12.0, "b": 11.0, "c": 8.0}
    served = [{name for name, amps in round_robin(cars, room(13.0), 300.0 * turn).items() if amps} for turn in range(3)]
    assert served == [{"a", "b"}, {"b", "c"}, {"c", "a"}]


WISHES = st.lists(
    st.builds(
        wish,
        name=st.uuids().map(str),
        arrives=st.floats(0, 5),
        leaves=st.floats(6, 20),
        kwh=st.floats(0, 60),
        most_a=st.sampled_from([6.0, 16.0, 28.94, 32.0]),
        phases=st.sampled_from([(0,), (1,), (2,), (0, 1, 2), (2, 0)]),
    ),
    max_size=12,
)


@given(WISHES, st.floats(-5.0, 120.0), st.sampled_from(sorted(SHARES)), st.floats(0, 20_000))
def test_no_rule_ever_hands_out_more_than_there_is(cars: list[Wish], amps: float, name: str, now_s: float) -> None:
    given_a = SHARES[name](cars, room(amps), now_s)
    assert set(given_a) == {car.evse for car in cars}
    for car in cars:
        assert given_a[car.evse] == 0.0 or car.least_a <= given_a[car.evse] <= car.most_a
    for row in room(amps):
        drawn = sum(given_a[car.evse] for car in cars if row in car.rows)
        assert drawn <= max(0.0, amps) + 1e-6
