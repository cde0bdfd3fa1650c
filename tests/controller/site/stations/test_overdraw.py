"""Cars that steadily draw a few percent too much."""

from __future__ import annotations

import pytest

from controller.facts import EvseKey
from controller.site.stations.channel import Channel, Sent
from controller.site.stations.overdraw import Overdraw
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


def told(limit_a: float = 16.0) -> Channel:
    channel = Channel(Story(depot(1)).site.layout.places[CP1], online=True)
    channel.accepted = channel.sent = Sent(1, limit_a, "fuse L1", 0.0, 1e9)
    channel.changed_mono_s = 0.0
    return channel


def seen(channel: Channel, amps: list[float], start_s: float = 20.0, every_s: float = 5.0) -> list[bool]:
    overdraw = Overdraw()
    return [overdraw.look(channel, drawn_a, start_s + every_s * number, start_s + every_s * number) for number, drawn_a in enumerate(amps)]


def test_a_steady_excess_is_learned_by_its_smallest_measurement() -> None:
    channel = told()
    assert seen(channel, [16.8, 17.0, 16.8]) == [False, False, True]
    assert channel.overdraw_part == pytest.approx(0.05)


@pytest.mark.parametrize(
    "amps",
    [[16.8, 15.9, 16.8, 16.8], [16.2, 16.2, 16.2, 16.2], [20.5] * 4, [30.0] * 4, [16.8, 16.8]],
    ids=["not steady", "noise of a meter", "more than a quarter", "ignores it", "too few"],
)
def test_what_is_not_learned(amps: list[float]) -> None:
    channel = told()
    assert not any(seen(channel, amps))
    assert channel.overdraw_part == 0.0


def test_a_car_that_is_still_coming_down_teaches_nothing() -> None:
    assert not any(seen(told(), [16.8] * 8, start_s=1.0, every_s=1.4))


def test_the_same_measurement_twice_is_one() -> None:
    channel, overdraw = told(), Overdraw()
    assert not any(overdraw.look(channel, 16.8, 20.0, 20.0 + second) for second in range(40))


def test_never_more_than_a_quarter() -> None:
    channel = told()
    assert seen(channel, [20.0, 20.0, 20.0])[-1]
    assert channel.overdraw_part == 0.25


def test_nothing_is_learned_below_the_minimum_or_while_an_answer_is_out() -> None:
    paused, asked = told(0.0), told()
    asked.answered = False
    assert not any(seen(paused, [0.4] * 5))
    assert not any(seen(asked, [16.8] * 5))
