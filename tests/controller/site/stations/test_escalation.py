"""Patience with a station that does not follow, and its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import EvseKey
from controller.site.stations.channel import Channel, Sent
from controller.site.stations.escalation import Escalation, Step
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


def disobedient(apply_s: float = 2.0) -> Channel:
    place = Story(depot(1)).site.layout.places[CP1]
    channel = Channel(replace(place, model=replace(place.model, apply_s=apply_s)), online=True)
    channel.accepted = Sent(1, 6.0, "fuse L1", 0.0, 1e9)
    channel.lowered_mono_s = 0.0
    return channel


def steps(channel: Channel, until: int, drawn_a: float = 16.0) -> dict[int, tuple[Step, ...]]:
    escalation = Escalation()
    found = {now: escalation.look(channel, drawn_a, now - 0.5, False, float(now)) for now in range(1, until)}
    return {now: due for now, due in found.items() if due}


def test_resend_pause_block_alarm_at_their_times() -> None:
    assert steps(disobedient(), 80) == {10: (Step.RESENT,), 20: (Step.PAUSED,), 40: (Step.BLOCKED,), 60: (Step.ALARMED,)}


def test_a_slow_charger_gets_its_time() -> None:
    assert min(steps(disobedient(apply_s=30.0), 80)) == 36


@pytest.mark.parametrize("drawn_a", [0.0, 6.0, 6.9])
def test_a_car_at_its_setpoint_is_left_alone(drawn_a: float) -> None:
    assert steps(disobedient(), 80, drawn_a) == {}


def test_coming_back_is_noticed_and_starts_over() -> None:
    escalation, channel = Escalation(), disobedient()
    for now in range(1, 25):
        escalation.look(channel, 16.0, now - 0.5, False, float(now))
    assert escalation.paused == {CP1}
    assert escalation.look(channel, 6.0, 25.0, False, 25.0) is None
    assert not escalation.disobeying
    assert escalation.look(channel, 6.0, 26.0, False, 26.0) == ()


def test_a_car_that_knows_only_on_and_off_is_paused_for_longer_each_time() -> None:
    """It draws what it likes when it may charge, and nothing when it may not: switched each minute it would wear its contactor."""
    escalation, channel, pauses, drawn_a, begun_s = Escalation(), disobedient(), [], 16.0, 0.0
    for now in range(1, 1200):
        before = bool(escalation.paused)
        escalation.look(channel, drawn_a, now - 0.5, False, float(now))
        drawn_a = 0.0 if escalation.paused else 16.0
        if escalation.paused and not before:
            begun_s = float(now)
        elif before and not escalation.paused:
            pauses.append(now - begun_s)
        assert not escalation.blocked, "it did follow the pause"
    assert pauses == sorted(pauses)
    assert [length >= least for length, least in zip(pauses[:4], (0, 60, 180, 420), strict=True)] == [True] * 4
    escalation.forget(CP1)
    assert escalation.look(channel, 16.0, 1300.0, False, 1300.0) == ()


def test_a_station_that_tells_nothing_since_its_cut_is_pursued_only_while_the_fuse_is_over() -> None:
    escalation, channel = Escalation(), disobedient()
    for now in range(1, 30):
        escalation.look(channel, 16.0, -1.0, False, float(now))
    assert not escalation.pursuits
    for now in range(30, 42):
        escalation.look(channel, 16.0, -1.0, True, float(now))
    assert escalation.disobeying == {CP1}


def test_a_value_from_before_the_car_could_react_is_no_disobedience() -> None:
    # Stations that sample once a minute: the only value after the cut is a second old when the cut came.
    escalation, channel = Escalation(), disobedient()
    assert [escalation.look(channel, 16.0, 1.0, False, float(now)) for now in range(2, 60)] == [()] * 58
    assert escalation.look(channel, 16.0, 61.0, False, 61.5) == (Step.RESENT,)


def test_a_large_cut_gets_the_time_a_car_needs_for_it() -> None:
    channel = disobedient()
    channel.lowered_by_a = 26.0  # 2 s to apply, 5 s to react, 26 A at 5 A/s: 12.2 s
    assert steps(channel, 80) == {13: (Step.RESENT,), 23: (Step.PAUSED,), 43: (Step.BLOCKED,), 63: (Step.ALARMED,)}


def test_a_car_that_comes_down_slowly_is_left_to_it() -> None:
    escalation, channel = Escalation(), disobedient()
    found = [escalation.look(channel, max(6.0, 32.0 - now), now - 0.1, False, float(now)) for now in range(1, 60)]
    assert set(found) == {()}
    assert not escalation.disobeying


def test_up_to_a_quarter_too_much_is_learned_and_not_pursued() -> None:
    channel = disobedient()
    channel.accepted = Sent(1, 16.0, "fuse L1", 0.0, 1e9)
    assert steps(channel, 80, drawn_a=19.9) == {}
    assert steps(channel, 80, drawn_a=20.5) != {}


def blocked_at_45_s() -> tuple[Escalation, Channel]:
    escalation, channel = Escalation(), disobedient()
    for now in range(1, 46):
        if Step.BLOCKED in (escalation.look(channel, 16.0, now - 0.5, False, float(now)) or ()):
            escalation.blocked.add(CP1)
    assert escalation.blocked == {CP1}
    return escalation, channel


def test_who_obeys_for_a_minute_gets_his_evse_back_once() -> None:
    escalation, channel = blocked_at_45_s()
    found = [now for now in range(46, 120) if escalation.look(channel, 6.0, float(now), False, float(now)) is None]
    assert found[0] == 106
    assert escalation.free(CP1)
    assert not escalation.free(CP1)
    assert not escalation.disobeying


def test_who_relapses_after_that_stays_out_until_the_session_is_over() -> None:
    escalation, channel = blocked_at_45_s()
    for now in range(46, 108):
        if escalation.look(channel, 6.0, float(now), False, float(now)) is None:
            escalation.free(CP1)
    for now in range(108, 200):
        if Step.BLOCKED in (escalation.look(channel, 16.0, now - 0.5, False, float(now)) or ()):
            escalation.blocked.add(CP1)
    assert escalation.blocked == {CP1}
    assert {escalation.look(channel, 6.0, float(now), False, float(now)) for now in range(200, 400)} == {()}
    assert escalation.forget(CP1)
    assert not escalation.blocked


def told_each_minute(over: bool, until: int, draws: dict[int, float]) -> list[Step]:
    """Steps taken against an EVSE that tells its current at these seconds; the pause is accepted when it is told."""
    escalation, channel, found, measured, drawn_a = Escalation(), disobedient(), [], -1.0, 16.0
    for now in range(1, until):
        if now in draws:
            measured, drawn_a = float(now), draws[now]
        for step in escalation.look(channel, drawn_a, measured, over, float(now)) or ():
            found.append(step)
            if step is Step.PAUSED:
                channel.lowered_mono_s = float(now)
                channel.accepted = Sent(2, 0.0, "paused", float(now), 1e9)
    return found


def test_nobody_is_made_unavailable_for_a_value_from_before_the_pause() -> None:
    assert told_each_minute(True, 80, {}) == [Step.RESENT, Step.PAUSED]


def test_who_tells_after_the_pause_that_he_still_draws_is() -> None:
    assert told_each_minute(True, 120, {45: 16.0, 90: 16.0}) == [Step.RESENT, Step.PAUSED, Step.BLOCKED, Step.ALARMED]


def test_who_tells_nothing_at_all_while_the_fuse_stays_over_is_too() -> None:
    assert Step.BLOCKED in told_each_minute(True, 150, {})


def test_a_car_that_is_still_coming_down_is_not() -> None:
    assert Step.BLOCKED not in told_each_minute(True, 130, {45: 12.0, 75: 8.0, 105: 4.0})


def test_a_box_that_takes_seconds_to_answer_is_not_judged_by_an_old_value() -> None:
    escalation, channel = Escalation(), disobedient()
    channel.answered, channel.asked_mono_s = False, 20.0
    assert [escalation.look(channel, 16.0, 1.0, False, float(now)) for now in range(20, 30)] == [()] * 10
    assert escalation.look(channel, 16.0, 1.0, False, 31.0) != ()


def test_what_was_learned_is_no_licence_for_another_quarter() -> None:
    """Told 20 A, learned 20 % more: it counts with 24 A. At 30 A it draws half more than told."""
    channel = disobedient()
    channel.accepted, channel.overdraw_part = Sent(1, 24.0, "fuse L1", 0.0, 1e9), 0.2
    assert steps(channel, 80, drawn_a=24.9) == {}
    assert steps(channel, 80, drawn_a=30.0) != {}
