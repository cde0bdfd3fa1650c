"""After a restart or a reload: who comes back first does not take what others still draw by what they were told before."""

from __future__ import annotations

import pytest

from controller.facts import EvseKey, Restored, SessionChanged
from controller.site.stations.channel import CLOCK_SLACK_S
from tests.support.site_story import Story, depot

FIRST, SECOND = EvseKey("CP1", 1), EvseKey("CP2", 1)
FUSE_A, LIFE_S = 63.0, 120.0


def charging(metered: bool) -> Story:
    """The first car has nearly the whole fuse, the second has just come."""
    story = Story(depot(2, fuse_a=FUSE_A, worst_other_load_a=0.0, metered=metered, evse={"max_current_a": 63, "fallback_a": 6}))
    story.start()
    story.plug("CP1", wants_a=63.0)
    story.run(60, building_a=0.0 if metered else None)
    assert story.drawn_a[FIRST] > 50.0
    story.plug("CP2", wants_a=63.0)
    return story


def restarted(before: Story) -> Story:
    """Only the second station is back; the first car goes on as its station was told last."""
    story = Story(before.config)
    story.now, story.memories = before.now + 3.0, before.memories
    story.drawn_a, story.wants_a, story.limits_a = before.drawn_a, before.wants_a, before.limits_a
    story.do(Restored(story.at(), {key: memory for key, memory in story.memories.items() if memory is not None}, {}))
    back(story, before, SECOND)
    return story


def back(story: Story, before: Story, key: EvseKey) -> None:
    session = before.site.evses[key].session
    assert session is not None
    story.start([key.station_id])
    story.do(SessionChanged(story.at(), key, session.transaction_id, None))


@pytest.mark.parametrize("metered", [False, True])
def test_f67_f82_the_fuse_holds_while_a_station_is_still_away(metered: bool) -> None:
    before = charging(metered)
    story = restarted(before)
    for _ in range(60):
        story.step(0.0 if metered else None, report=False)
        assert story.drawn_a[FIRST] + story.drawn_a[SECOND] <= FUSE_A + 6.0  # the newcomer's fallback is not to be had from us
    assert story.drawn_a[SECOND] == (0.0 if metered else 6.0)  # a meter shows that there is no room
    back(story, before, FIRST)
    story.run(60, building_a=0.0 if metered else None)
    assert story.drawn_a[FIRST] + story.drawn_a[SECOND] <= FUSE_A
    assert min(story.drawn_a.values()) > 25.0


def test_a_station_that_never_comes_back_is_not_waited_for_longer_than_it_obeys() -> None:
    story = restarted(charging(metered=False))
    story.run(int(LIFE_S + CLOCK_SLACK_S) - 5, building_a=None, report=False)
    assert story.drawn_a[SECOND] == 6.0
    assert "not back after a restart" in story.site.grants[SECOND].reason
    story.drawn_a[FIRST] = 6.0  # what it was told has ended
    story.run(60, building_a=None, report=False)
    assert story.drawn_a[SECOND] > 50.0


def test_without_a_restart_nobody_waits() -> None:
    story = Story(depot(2, fuse_a=FUSE_A, worst_other_load_a=0.0, metered=False, evse={"max_current_a": 63, "fallback_a": 6}))
    story.do(Restored(story.at(), {("session", "elsewhere/1"): {"transaction_id": "t"}}, {}))
    story.start(["CP2"])
    story.plug("CP2", wants_a=63.0)
    story.run(60, building_a=None)
    assert story.drawn_a[SECOND] > 50.0
