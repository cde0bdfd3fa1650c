"""Faults of sources of limits by number, F51 to F57 and F77, F78: the real site in virtual time."""

from __future__ import annotations

import pytest

from controller.facts import EventsTold, GridEvent, LimitStated, SourceChanged
from controller.orders import AnswerEvent, AnswerSignal, Severity, Tell
from controller.site.grid.limit_machine import State
from tests.support.signal_story import CONSUMPTION, FAILSAFE_W, SignalStory, entry


def test_f51_broker_down_the_heartbeat_decides() -> None:
    story = SignalStory(entry("mqtt"))
    story.say(11_000.0, duration_s=300.0)
    story.do(SourceChanged(story.at(), "mqtt", False, "gone"))
    story.wait(119.0)
    assert story.holds_w() == 11_000.0
    story.wait(1.0)
    assert story.holds_w() == FAILSAFE_W
    story.do(SourceChanged(story.at(), "mqtt", True, "back"))
    story.wait(300.0)
    assert story.holds_w() == FAILSAFE_W  # coming back alone ends nothing
    story.say(11_000.0)
    assert story.holds_w() == 11_000.0


def test_f51_without_a_heartbeat_a_limit_keeps_until_its_end_then_the_failsafe_holds() -> None:
    story = SignalStory(entry("mqtt", heartbeat_s=0))
    story.say(11_000.0, duration_s=600.0)
    story.do(SourceChanged(story.at(), "mqtt", False, "gone"))
    story.wait(599.0)
    assert story.holds_w() == 11_000.0
    story.wait(2.0)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, FAILSAFE_W)
    story.do(SourceChanged(story.at(), "mqtt", True, "back"))
    story.wait(600.0)
    assert story.holds_w() == FAILSAFE_W
    story.say(11_000.0)
    assert story.holds_w() == 11_000.0


def test_f52_duplicates_do_not_flap() -> None:
    story = SignalStory(entry("mqtt"))
    for _ in range(50):
        story.do(LimitStated(story.at(), "dso", CONSUMPTION, 6000.0, 600.0, 7, number=1))
    assert len(list(story.told("limits grid to 6 kW"))) == 1
    assert len(story.record("received")) == 1
    assert [order.accepted for order in story.of(AnswerSignal)] == [True] + [False] * 49


def test_f53_a_retained_limit_of_last_week_does_not_raise_the_failsafe() -> None:
    story = SignalStory(entry("mqtt"))
    story.do(LimitStated(story.at(), "dso", CONSUMPTION, 30_000.0, 900.0, 1, story.at().wall_s - 7 * 86_400, retained=True, number=1))
    assert (story.state(), story.holds_w()) == (State.WAITING, FAILSAFE_W)
    assert any("already ended" in text for text in story.told("refused"))


def test_f54_a_limit_without_an_end_needs_its_source_alive() -> None:
    story = SignalStory(entry("mqtt"))
    story.say(11_000.0)
    story.wait(3600.0, beats=True)
    assert story.holds_w() == 11_000.0
    story.wait(121.0)
    assert story.holds_w() == FAILSAFE_W


@pytest.mark.parametrize("watts", [-1.0, float("nan"), float("inf"), 1e9])
def test_f55_nonsense_is_refused_once_in_the_log(watts: float) -> None:
    story = SignalStory(entry("api"))
    for _ in range(3):
        story.do(LimitStated(story.at(), "dso", CONSUMPTION, watts, number=1))
    assert len(story.told("refused")) == 1
    assert not any(order.accepted for order in story.of(AnswerSignal))
    assert len(story.record("refused")) == 1  # the same word again is counted, not written each time


def test_f56_the_log_says_alarm_when_a_heartbeat_stops_and_once_when_it_is_over() -> None:
    story = SignalStory(entry("eebus"))
    story.beat()
    story.say(None)
    story.wait(130.0)
    alarms = [order for order in story.of(Tell) if order.severity is Severity.ALARM]
    (text,) = (alarm.text for alarm in alarms if "failsafe of 4.2 kW" in alarm.text)
    assert "check its connection" in text
    story.beat()
    story.say(None)
    assert any("does not limit grid any more" in text for text in story.told())


def test_f57_the_smallest_of_many_wins_whoever_spoke_last() -> None:
    names = ("one", "two", "three")
    story = SignalStory(*(entry("mqtt", id=name, failsafe_w=None, failsafe_production_w=None) for name in names))
    for watts in ((9000.0, 7000.0, 8000.0), (9000.0, 12_000.0, 8000.0), (1000.0, 12_000.0, 0.0)):
        for name, value in zip(names, watts, strict=True):
            story.say(value, source=name)
        lowest = story.site.limits.smallest(story.now)["grid"]
        assert lowest.value == min(watts)
        assert lowest.source == names[watts.index(min(watts))]


@pytest.mark.parametrize("jump_s", [-3.0e8, -3600.0, 3600.0, 3.0e8])
def test_f77_a_wall_clock_that_jumps_moves_no_end_and_no_heartbeat(jump_s: float) -> None:
    story = SignalStory(entry("mqtt"))
    story.say(11_000.0, duration_s=100.0)
    story.wall_jump_s = jump_s
    story.wait(99.0)
    assert story.holds_w() == 11_000.0
    story.wait(1.0)
    assert story.state() is State.UNLIMITED
    story.wait(30.0)
    assert story.state() is State.FAILSAFE


def test_f77_events_are_looked_at_anew_within_a_second() -> None:
    story = SignalStory(entry("openadr3"))
    begin_s = story.at().wall_s + 3600.0
    story.do(EventsTold(story.at(), "dso", (GridEvent("e", 1, begin_s, 600.0, consumption_w=5000.0, answers=True),)))
    assert story.holds_w() is None
    story.wall_jump_s = 3700.0
    story.wait(1.0)
    assert story.holds_w() == 5000.0
    assert [order.what for order in story.of(AnswerEvent)] == ["received", "started"]


def test_f78_without_a_clock_an_announced_limit_counts_as_if_it_held() -> None:
    story = SignalStory(entry("openadr3"))
    story.do(EventsTold(story.at(), "dso", (GridEvent("e", 1, story.at().wall_s + 9e6, 600.0, consumption_w=5000.0),)))
    story.restart(trusted=False)
    stamp = type(story.at())(story.now, 0.0, wall_trusted=False)
    story.do(type(story.tick())(stamp))
    assert story.holds_w() == FAILSAFE_W  # the lower of both
    story.do(EventsTold(stamp, "dso", (GridEvent("e", 1, 9e6, 600.0, consumption_w=3000.0),)))
    assert story.holds_w() == 3000.0
