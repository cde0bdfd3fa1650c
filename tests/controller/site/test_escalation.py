"""Patience with a station that does not follow, and its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import EvseKey
from controller.site.channel import Channel, Sent
from controller.site.escalation import Escalation, Step
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
