"""The LPC/LPP table, row by row, in virtual time, for every type of source and for both directions."""

from __future__ import annotations

import math

import pytest

from controller.facts import Direction, EventsTold, GridEvent, LimitStated
from controller.orders import AnswerSignal
from controller.site.grid.limit_machine import State
from tests.support.signal_story import (
    CONSUMPTION,
    EVERY_TYPE,
    FAILSAFE_PRODUCTION_W,
    FAILSAFE_W,
    PRODUCTION,
    STATED,
    TOLD,
    SignalStory,
    entry,
)

every_type = pytest.mark.parametrize("kind", EVERY_TYPE)
both_ways = pytest.mark.parametrize(("way", "failsafe_w"), [(CONSUMPTION, FAILSAFE_W), (PRODUCTION, FAILSAFE_PRODUCTION_W)])
stating = pytest.mark.parametrize("kind", STATED)


def limited(kind: str, watts: float | None = 6000.0, way: Direction = CONSUMPTION, **more: object) -> SignalStory:
    story = SignalStory(entry(kind, **more))
    story.do(story.tick())
    story.beat()
    story.say(watts, way)
    return story


@every_type
@both_ways
def test_start_the_failsafe_holds_until_the_first_limit(kind: str, way: Direction, failsafe_w: float) -> None:  # LPC-TS-017
    story = SignalStory(entry(kind))
    story.do(story.tick())
    assert (story.state(way), story.holds_w(way)) == (State.WAITING, failsafe_w)
    story.wait(600.0)
    assert story.holds_w(way) == (0.0 if kind == "contacts" else failsafe_w)  # contacts that nobody reads are taken as active
    story.beat()
    story.wait(10.0, beats=True)
    assert story.holds_w(way) == (0.0 if kind == "contacts" else failsafe_w)
    story.say(6000.0, way)
    assert (story.state(way), story.holds_w(way)) == (State.LIMITED, 6000.0)


@every_type
def test_heartbeat_119_s_of_silence_is_none_120_s_is(kind: str) -> None:  # LPC-031, F56
    story = limited(kind)
    story.wait(119.0)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 6000.0)
    story.wait(1.0)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, FAILSAFE_W)


@every_type
@both_ways
def test_without_a_heartbeat_the_failsafe_holds_at_once(kind: str, way: Direction, failsafe_w: float) -> None:  # LPC-911, LPP-911
    story = limited(kind, None, way)
    assert (story.state(way), story.holds_w(way)) == (State.UNLIMITED, None)
    story.wait(120.0)
    assert (story.state(way), story.holds_w(way)) == (State.FAILSAFE, failsafe_w)


@every_type
def test_a_failsafe_raises_nobody_above_his_last_limit(kind: str) -> None:  # F51: the lower of last and failsafe
    story = limited(kind, 3000.0)
    story.wait(130.0)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, 3000.0)
    if kind not in TOLD and kind != "contacts":  # those say for ever what they said last; a statement is outlived after the shortest failsafe
        story.wait(7200.0, step_s=60.0)
        assert story.holds_w() == FAILSAFE_W


@every_type
def test_with_no_heartbeat_it_is_never_silently_unlimited(kind: str) -> None:  # LPC-TS-012, LPC-921
    story = limited(kind)
    story.wait(2 * 86_400.0, step_s=4800.0)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, FAILSAFE_W)


@stating
def test_a_heartbeat_alone_does_not_end_it_but_a_limit_behind_it_does(kind: str) -> None:  # LPC-916
    story = limited(kind)
    story.wait(200.0)
    story.beat()
    story.wait(60.0, beats=True)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, FAILSAFE_W)
    story.say(11_000.0)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 11_000.0)


def test_a_limit_before_the_heartbeat_counts_when_the_heartbeat_has_lasted_and_no_other_came() -> None:  # LPC-921: free only if nothing was said
    story = limited("eebus")
    story.wait(200.0)
    story.say(2000.0)
    story.beat()
    story.wait(119.0, beats=True)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, 2000.0)
    story.wait(2.0, beats=True)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 2000.0)


def test_a_limit_without_a_heartbeat_does_not_end_it() -> None:  # LPC-916, where heartbeats are messages of their own
    story = limited("eebus")
    story.wait(200.0)
    story.say(11_000.0)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, FAILSAFE_W)
    story.say(2000.0)
    assert story.holds_w() == 2000.0  # a lower one counts all the same
    story.beat()
    assert story.state() is State.FAILSAFE
    story.say(11_000.0)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 11_000.0)


@pytest.mark.parametrize("first", [CONSUMPTION, PRODUCTION])
def test_a_direction_that_still_waits_is_freed_by_no_word_without_a_heartbeat(first: Direction) -> None:  # LPC-916, both directions at once
    """The box stated one direction, fell silent, and states the other: it is not to be believed more because nothing was said of that before."""
    second, failsafe_w = (PRODUCTION, FAILSAFE_PRODUCTION_W) if first is CONSUMPTION else (CONSUMPTION, FAILSAFE_W)
    story = SignalStory(entry("eebus"))
    story.say(3000.0, first)
    story.wait(200.0)
    (answer,) = (order for order in story.say(11_000.0, second) if isinstance(order, AnswerSignal))
    assert (story.state(second), story.holds_w(second)) == (State.FAILSAFE, failsafe_w)
    assert answer.in_force_w == failsafe_w  # what is answered is what holds
    story.beat()
    story.wait(121.0, beats=True)
    assert (story.state(second), story.holds_w(second)) == (State.LIMITED, 11_000.0)  # LPC-921: it said nothing else


@pytest.mark.parametrize("kind", [kind for kind in EVERY_TYPE if kind != "eebus"])
def test_where_every_word_is_a_heartbeat_a_limit_ends_it(kind: str) -> None:
    story = limited(kind)
    story.wait(200.0)
    story.say(11_000.0)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 11_000.0)


@stating
def test_released_120_s_after_the_heartbeat_is_back_and_not_before(kind: str) -> None:  # LPC-921
    story = limited(kind)
    story.wait(200.0)
    story.beat()
    story.wait(119.0, beats=True)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, FAILSAFE_W)
    story.wait(1.0)
    assert (story.state(), story.holds_w()) == (State.RELEASED, None)
    story.wait(150.0)
    assert (story.state(), story.holds_w()) == (State.FAILSAFE, FAILSAFE_W)  # LPC-911 again


@stating
def test_a_heartbeat_that_comes_and_goes_begins_its_time_anew(kind: str) -> None:  # LPC-921
    story = limited(kind)
    story.wait(200.0)
    for _ in range(5):
        story.beat()
        story.wait(125.0)
        assert story.state() is State.FAILSAFE


@every_type
@both_ways
def test_deactivation_releases_at_once(kind: str, way: Direction, failsafe_w: float) -> None:  # LPC-914/1
    story = limited(kind, 6000.0, way)
    assert story.holds_w(way) == 6000.0
    story.say(None, way)
    assert (story.state(way), story.holds_w(way)) == (State.UNLIMITED, None)


@every_type
def test_a_limit_without_a_duration_does_not_expire(kind: str) -> None:  # APCL_DUR_02
    story = limited(kind)
    story.wait(4 * 3600.0, beats=True, step_s=110.0)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 6000.0)


@pytest.mark.parametrize("kind", [*STATED, *TOLD])
@both_ways
def test_a_limit_with_a_duration_ends_by_itself(kind: str, way: Direction, failsafe_w: float) -> None:  # APCL_DUR_02
    story = SignalStory(entry(kind))
    story.say(6000.0, way, duration_s=100.0)
    story.wait(99.0)
    assert story.holds_w(way) == 6000.0
    story.wait(1.0)
    assert (story.state(way), story.holds_w(way)) == (State.UNLIMITED, None)


@stating
@pytest.mark.parametrize("watts", [-1.0, -4200.0, math.nan, math.inf, 1e9])
@pytest.mark.parametrize("way", [CONSUMPTION, PRODUCTION])
def test_a_limit_that_is_none_is_refused_with_a_reason(kind: str, watts: float, way: Direction) -> None:  # write, evcc#25545, F55
    story = limited(kind, 6000.0, way)
    answer = next(order for order in story.say(watts, way) if isinstance(order, AnswerSignal))
    assert not answer.accepted
    assert answer.reason
    assert (story.holds_w(way), answer.in_force_w) == (6000.0, 6000.0)
    assert story.record("refused")[-1].detail == answer.reason


@every_type
@both_ways
def test_zero_watts_are_a_limit(kind: str, way: Direction, failsafe_w: float) -> None:  # values
    story = limited(kind, 0.0, way)
    assert (story.state(way), story.holds_w(way)) == (State.LIMITED, 0.0)
    if way is PRODUCTION:
        bound = story.site.export(story.at())
        assert bound is not None
        assert bound[0] == 0.0


@pytest.mark.parametrize("kind", EVERY_TYPE)
def test_three_states_are_kept_apart(kind: str) -> None:  # state model: no statement, known unlimited, limited
    story = SignalStory(entry(kind, failsafe_w=None, failsafe_production_w=None))
    assert (story.state(), story.holds_w()) == (State.SILENT, None)
    story.beat()
    assert story.state() is State.SILENT
    story.say(None)
    assert (story.state(), story.holds_w()) == (State.UNLIMITED, None)
    story.say(6000.0)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 6000.0)


@stating
def test_the_source_sets_its_failsafe_within_bounds(kind: str) -> None:  # LPC scenario 2, LPC-TS-012: 2 h to 24 h
    story = limited(kind)
    assert story.failsafe(2500.0, 7200.0).accepted
    for duration_s in (7199.0, 86_401.0, math.nan, -1.0):
        assert not story.failsafe(None, duration_s).accepted
    for watts in (-1.0, math.nan, 1e12):
        assert not story.failsafe(watts).accepted
    assert not story.failsafe(None).accepted
    story.wait(130.0)
    assert story.holds_w() == 2500.0
    story.restart()
    assert (story.state(), story.holds_w()) == (State.WAITING, 2500.0)


# -- restart ----------------------------------------------------------------------------------------------------


@every_type
def test_after_a_restart_the_failsafe_holds_until_the_source_speaks(kind: str) -> None:
    story = limited(kind, 11_000.0)
    story.restart()
    assert (story.state(), story.holds_w()) == (State.WAITING, FAILSAFE_W)
    story.do(story.tick())
    assert story.holds_w() == FAILSAFE_W
    story.say(6000.0)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 6000.0)


@every_type
@pytest.mark.parametrize("trusted", [True, False])
def test_after_a_restart_a_lower_last_limit_holds_with_it(kind: str, trusted: bool) -> None:  # also with no clock: F78
    story = limited(kind, 3000.0)
    story.restart(trusted=trusted)
    assert story.holds_w() == 3000.0


@every_type
def test_without_a_failsafe_the_last_limit_goes_on_after_a_restart(kind: str) -> None:
    story = limited(kind, 3000.0, failsafe_w=None)
    story.restart()
    story.do(story.tick())
    assert (story.state(), story.holds_w()) == (State.LIMITED, 3000.0)


@stating
def test_a_limit_that_ended_while_we_were_down_is_gone(kind: str) -> None:
    story = SignalStory(entry(kind, failsafe_w=None))
    story.say(3000.0, duration_s=60.0)
    story.restart(down_s=61.0)
    assert story.holds_w() is None
    story = SignalStory(entry(kind, failsafe_w=None))
    story.say(3000.0, duration_s=60.0)
    story.restart(down_s=20.0)
    story.wait(39.0)
    assert story.holds_w() == 3000.0
    story.wait(2.0)
    assert story.holds_w() is None


@stating
@pytest.mark.parametrize(("issued_ago_s", "duration_s"), [(700.0, 600.0), (7 * 86_400.0, 600.0), (None, 600.0), (10.0, None), (-120.0, 600.0)])
def test_a_stale_retained_limit_after_a_restart_is_refused(kind: str, issued_ago_s: float | None, duration_s: float | None) -> None:  # F53
    story = limited(kind)
    story.restart()
    issued_s = None if issued_ago_s is None else story.at().wall_s - issued_ago_s
    orders = story.do(LimitStated(story.at(), "dso", CONSUMPTION, 20_000.0, duration_s, None, issued_s, retained=True, number=5))
    answer = next(order for order in orders if isinstance(order, AnswerSignal))
    assert not answer.accepted
    assert answer.reason
    assert (story.state(), story.holds_w()) == (State.WAITING, FAILSAFE_W)


@stating
def test_a_retained_limit_that_still_holds_counts_for_what_is_left(kind: str) -> None:
    story = SignalStory(entry(kind))
    story.do(LimitStated(story.at(), "dso", CONSUMPTION, 6000.0, 100.0, None, story.at().wall_s - 60.0, retained=True))
    assert (story.state(), story.holds_w()) == (State.LIMITED, 6000.0)
    story.wait(39.0)
    assert story.holds_w() == 6000.0
    story.wait(2.0)
    assert story.holds_w() != 6000.0


@stating
def test_a_retained_limit_of_unknown_age_may_only_lower(kind: str) -> None:  # no clock at boot: F78
    for watts, holds_w in ((20_000.0, FAILSAFE_W), (None, FAILSAFE_W), (1000.0, 1000.0)):
        story = SignalStory(entry(kind))
        stamp = type(story.at())(story.now, 0.0, wall_trusted=False)
        story.do(LimitStated(stamp, "dso", CONSUMPTION, watts, 600.0, None, 5.0, retained=True))
        assert (story.state(), story.holds_w()) == (State.WAITING, holds_w)


@stating
@pytest.mark.parametrize("doubtful_w", [20_000.0, None])
def test_nor_does_it_raise_what_a_source_that_lives_has_said(kind: str, doubtful_w: float | None) -> None:  # F78
    story = limited(kind, 3000.0)
    stamp = type(story.at())(story.now, 0.0, wall_trusted=False)
    story.do(LimitStated(stamp, "dso", CONSUMPTION, doubtful_w, 600.0, retained=True))
    assert (story.state(), story.holds_w()) == (State.LIMITED, 3000.0)


@stating
def test_a_lower_one_holds_beside_it_to_the_end_it_names(kind: str) -> None:  # F78
    story = limited(kind, 5000.0)
    stamp = type(story.at())(story.now, 0.0, wall_trusted=False)
    story.do(LimitStated(stamp, "dso", CONSUMPTION, 2000.0, 60.0, retained=True))
    assert story.holds_w() == 2000.0
    story.wait(61.0, beats=True)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 5000.0)


@stating
@pytest.mark.parametrize("failsafe_w", [FAILSAFE_W, None])
def test_and_is_not_forgotten_by_a_restart(kind: str, failsafe_w: float | None) -> None:  # F78, F67
    story = SignalStory(entry(kind, failsafe_w=failsafe_w))
    for watts in (2000.0, 1000.0):
        stamp = type(story.at())(story.now, 0.0, wall_trusted=False)
        story.do(LimitStated(stamp, "dso", CONSUMPTION, watts, 600.0, None, 5.0, retained=True))
    story.restart(trusted=False)
    assert story.holds_w() == 1000.0


@stating
@pytest.mark.parametrize("duration_s", [1e9, 1e15, 1e300])
def test_an_end_that_no_calendar_has_is_cut_to_ten_years(kind: str, duration_s: float) -> None:  # B39
    story = limited(kind)
    story.say(-0.0, duration_s=duration_s)
    ends_wall_s = story.site.limits.signals["dso"].ends(CONSUMPTION, story.now)[1]
    assert ends_wall_s is not None
    assert ends_wall_s - story.at().wall_s == pytest.approx(10 * 365 * 86_400.0)
    assert math.copysign(1.0, story.holds_w() or 0.0) == 1.0  # minus nothing is nothing


@pytest.mark.parametrize("kind", TOLD)
def test_an_event_that_would_end_behind_every_calendar_has_no_end(kind: str) -> None:  # B39
    story = limited(kind)
    story.say(5000.0, duration_s=1e300)
    assert story.holds_w() == 5000.0
    assert story.site.limits.signals["dso"].ends(CONSUMPTION, story.now) == (None, None)
    assert story.site.view(story.at()).signals[0].ends_wall_s is None


# -- schedules and silence ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("failsafe_w", [None, 5000.0])
def test_what_was_announced_holds_while_its_source_is_silent_and_to_its_end(kind: str, failsafe_w: float | None) -> None:
    story = SignalStory(entry(kind, failsafe_w=failsafe_w))
    begin_s = story.at().wall_s + 600.0
    story.do(EventsTold(story.at(), "dso", (GridEvent("peak", 1, begin_s, 4 * 3600.0, consumption_w=2000.0),)))
    story.wait(590.0)
    assert story.holds_w() == failsafe_w
    story.wait(20.0)
    assert story.holds_w() == 2000.0
    story.wait(3.9 * 3600.0, step_s=60.0)
    assert story.holds_w() == 2000.0
    story.wait(600.0)
    assert story.holds_w() == failsafe_w


@pytest.mark.parametrize("kind", TOLD)
def test_a_heartbeat_that_ends_a_failsafe_does_not_end_an_event(kind: str) -> None:  # LPC-921
    story = SignalStory(entry(kind))
    story.do(EventsTold(story.at(), "dso", (GridEvent("peak", 1, story.at().wall_s, 7200.0, consumption_w=2000.0),)))
    story.wait(200.0)
    story.wait(200.0, beats=True)
    assert (story.state(), story.holds_w()) == (State.LIMITED, 2000.0)


@stating
def test_a_failsafe_that_the_source_brings_holds_until_its_first_limit(kind: str) -> None:  # LPC scenario 2 before scenario 1
    story = SignalStory(entry(kind, failsafe_w=None, failsafe_production_w=None))
    story.do(story.tick())
    assert story.failsafe(2500.0, 7200.0).accepted
    assert (story.state(), story.holds_w()) == (State.WAITING, 2500.0)
    story.wait(600.0)
    assert story.holds_w() == 2500.0


# -- order (F52) --------------------------------------------------------------------------------------------------


@stating
def test_repeats_and_late_words_change_nothing(kind: str) -> None:
    story = limited(kind)

    def word(watts: float, sequence: int, issued_s: float | None = None) -> bool:
        orders = story.do(LimitStated(story.at(), "dso", CONSUMPTION, watts, None, sequence, issued_s, number=1))
        return next(order.accepted for order in orders if isinstance(order, AnswerSignal))

    assert word(5000.0, 7)
    assert not word(9000.0, 7)
    assert not word(9000.0, 6)
    assert story.holds_w() == 5000.0
    assert word(4000.0, 8, story.at().wall_s)
    story.now += 10.0
    assert word(9000.0, 1, story.at().wall_s)  # the sender began anew, and says when
    assert story.holds_w() == 9000.0


# -- several sources (F57) ----------------------------------------------------------------------------------------


def test_of_two_sources_the_lower_wins_and_its_name_is_shown() -> None:
    story = SignalStory(
        entry("eebus", failsafe_production_w=None), entry("mqtt", id="fleet", operator=False, failsafe_w=None, failsafe_production_w=None)
    )
    story.start()
    story.beat()
    story.say(11_000.0)
    story.say(5000.0, source="fleet")
    lowest = story.site.limits.smallest(story.now)["grid"]
    assert (lowest.source, lowest.value) == ("fleet", 5000.0)
    shown = {signal.id: signal.binds for signal in story.site.view(story.at()).signals}
    assert shown == {"dso": False, "fleet": True}
    assert story.published("limit/state")[-1]["circuits"]["grid"]["source"] == "fleet"
    story.say(3000.0)
    assert story.site.limits.smallest(story.now)["grid"].source == "dso"
    story.say(None)
    assert story.site.limits.smallest(story.now)["grid"].source == "fleet"  # the newest word is not the only one


def test_a_source_the_site_does_not_have_is_told_so() -> None:
    story = SignalStory(entry("mqtt"))
    orders = story.do(LimitStated(story.at(), "stranger", CONSUMPTION, 5.0, number=3))
    assert orders == [AnswerSignal("stranger", 3, False, "this site has no such signal", None)]
