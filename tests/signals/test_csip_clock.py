"""The server's clock: bounds from each reading, cut with each other."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from signals.csip_clock import ServerClock


def test_without_a_reading_our_clock_is_taken() -> None:
    assert ServerClock().server_s(100.0) == 100.0
    assert ServerClock().wall_s(100.0) == 100.0


def test_one_reading_bounds_the_difference() -> None:
    # Asked at 1000.0, answered at 1000.4, the server says 1060: its clock was in [1060, 1061) meanwhile, so it is 59.6 to 61.0 ahead.
    clock = ServerClock().read(1060, 1000.0, 1000.4)
    assert (round(clock.low_s, 6), round(clock.high_s, 6)) == (59.6, 61.0)
    assert clock.offset_s is not None
    assert round(clock.offset_s, 6) == 60.3


def test_what_may_still_be_true_is_not_moved() -> None:
    clock = ServerClock().read(1060, 1000.0, 1000.0)  # 60.0 to 61.0, taken as 60.5
    again = clock.read(1070, 1009.6, 1009.6)  # 60.4 to 61.4: 60.5 may be
    assert again.offset_s == clock.offset_s == 60.5
    later = again.read(1080, 1019.2, 1019.2)  # 60.8 to 61.8: 60.5 cannot be; with the slack of drift about 60.8 to 61.0
    assert later.offset_s is not None
    assert 60.75 < later.offset_s < 61.01


def test_a_server_clock_that_was_set_is_believed() -> None:
    clock = ServerClock().read(1060, 1000.0, 1000.0).read(5000, 1010.0, 1010.0)
    assert clock.offset_s == 3990.5


def test_our_own_jump_is_followed() -> None:
    clock = ServerClock().read(1060, 1000.0, 1000.0).jumped(3600.0)
    assert clock.server_s(4600.0) == 1060.5
    assert clock.read(1061, 4601.0, 4601.0).offset_s == clock.offset_s
    assert ServerClock().jumped(5.0) == ServerClock()


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.tuples(st.floats(0, 600), st.floats(0, 2), st.floats(0, 1)), min_size=1, max_size=30),
)
def test_the_truth_lies_within_a_second(true_offset_s: float, readings: list[tuple[float, float, float]]) -> None:
    """Whatever the delays: the server stamps somewhere between asking and answering."""
    clock, wall_s = ServerClock(), 1.7e9
    longest_s = max(delay_s for _, delay_s, _ in readings)
    for pause_s, delay_s, place in readings:
        asked_s = wall_s + pause_s
        clock = clock.read(math.floor(asked_s + delay_s * place + true_offset_s), asked_s, asked_s + delay_s)
        wall_s = asked_s + delay_s
        assert clock.low_s - 0.001 <= true_offset_s <= clock.high_s + 0.001
        assert clock.offset_s is not None
        assert abs(clock.offset_s - true_offset_s) <= 1.0 + longest_s + 0.001
