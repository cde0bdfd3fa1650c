"""What circuits without a meter carry, and what cars draw above their setpoints."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.facts import EvseKey, EvseMeasured, Stamp
from controller.site.measuring import measured
from controller.site.meters.derived import Above, car_a, derived
from controller.site.state import EvseState, Session
from controller.site.stations.channel import Channel, Sent
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)
LAYOUT = Story(depot(1)).site.layout


def channel(limit_a: float = 16.0) -> Channel:
    made = Channel(replace(LAYOUT.places[CP1], model=replace(LAYOUT.places[CP1].model, apply_s=2.0)), online=True)
    made.accepted = made.sent = Sent(1, limit_a, "fuse L1", 0.0, 1e9)
    return made


def evse(amps: float, at_s: float = 50.0) -> EvseState:
    state = EvseState(LAYOUT.places[CP1], session=Session("tx", 0.0, 0.0))
    return measured(state, EvseMeasured(Stamp(at_s, at_s), CP1, (amps, amps, amps)), 230.0, 16.0)


def three(amps: float) -> tuple[float, float, float]:
    return amps, amps, amps


def test_a_car_at_its_setpoint_is_nothing_special() -> None:
    above = Above()
    assert not above.take(evse(16.1), channel(), 50.0)
    assert above.of([CP1], ()) == three(0.0)


def test_what_is_above_the_setpoint_counts_until_the_station_tells_otherwise() -> None:
    above = Above()
    assert above.take(evse(17.2), channel(), 50.0)
    assert [round(amps, 3) for amps in above.of([CP1], ())] == [1.0, 1.0, 1.0]
    assert not above.grave
    assert not above.take(evse(17.2, 60.0), channel(), 60.0), "known already"
    assert above.of([CP1], {CP1}) == three(0.0), "booked with what it draws anyway"
    above.take(evse(16.0, 70.0), channel(), 70.0)
    assert above.of([CP1], ()) == three(0.0)


def test_far_above_it_is_grave_and_a_car_on_its_way_down_is_not() -> None:
    above, cut = Above(), channel(6.0)
    cut.lowered_mono_s = 48.0
    assert not above.take(evse(16.0, 50.0), cut, 50.0)
    assert above.take(evse(16.0, 56.0), cut, 56.0)
    assert above.grave == {CP1}
    above.forget(CP1)
    assert not above.grave


@given(st.floats(0, 40), st.floats(6, 32), st.floats(0, 400), st.floats(0, 100))
def test_law_a_margin_never_shrinks_with_age(told_a: float, limit_a: float, age_s: float, more_s: float) -> None:
    state, line = evse(told_a), channel(limit_a)
    young, old = car_a(state, line, 50.0 + age_s), car_a(state, line, 50.0 + age_s + more_s)
    assert all(later >= sooner - 1e-9 for sooner, later in zip(young, old, strict=True))
    assert max(old) <= limit_a + 1e-9


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(6, 32)), min_size=1, max_size=5), st.floats(0, 50))
def test_law_with_fresh_words_the_sum_is_never_below_what_the_stations_say(cars: list[tuple[float, float]], other_a: float) -> None:
    above, states, lines = Above(), {}, {}
    for number, (told_a, limit_a) in enumerate(cars):
        key = EvseKey(f"CP{number}", 1)
        place = replace(LAYOUT.places[CP1], key=key)
        states[key], lines[key] = replace(evse(told_a), place=place), replace(channel(limit_a), place=place)
        above.take(states[key], lines[key], 51.0)
    over = above.of(states, ())
    other = (other_a + over[0], other_a + over[1], other_a + over[2])
    total = derived(other, states, states, lines, {}, 51.0)
    assert total[0] >= other_a + sum(told_a for told_a, _ in cars) - 0.2 * len(cars) - 1e-6
