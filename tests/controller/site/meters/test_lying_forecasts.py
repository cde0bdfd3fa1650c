"""Forecast and price feeds that lie as far as they are believed at all: the fuse is kept, no car is forgotten."""

from __future__ import annotations

import math

import pytest

from controller.facts import PlanSolved, SeriesKind, SeriesTold
from controller.site.plans.series import origin_of
from optimizer.check import check
from optimizer.live import Live
from tests.support.site_story import WALL_S, Story, depot

FUSE_A, BUILDING_A = 63.0, 30.0
FEED = {"type": "http", "url": "http://127.0.0.1:9/"}
HOUR = 3600.0
LIES = {
    "sun that is not there": (SeriesKind.PV, "pv_feed", 80_000.0),
    "a building that draws nothing": (SeriesKind.LOAD, "load_feed", 0.0),
    "a building that draws twice the connection": (SeriesKind.LOAD, "load_feed", 86_000.0),
    "energy that pays for itself": (SeriesKind.BUY, "market", -4.0),
    "energy nobody can pay": (SeriesKind.BUY, "market", 4.0),
}


@pytest.mark.parametrize("hurry", [False, True], ids=["by price", "energy first"])
@pytest.mark.parametrize("lie", LIES)
def test_the_fuse_does_not_depend_on_it(lie: str, hurry: bool) -> None:
    kind, key, value = LIES[lie]
    forecast = {name: FEED for name in ("pv_feed", "load_feed") if name == key}
    tariff = {"market": {"feed": FEED}} if key == "market" else {}
    site = depot(6, fuse_a=FUSE_A, forecast=forecast, tariff=tariff, control={"energy_first": hurry, "plan_every_s": 20})
    story = Story(site)
    story.start()
    for number in range(6):
        story.plug(f"CP{number + 1}")
    begin = math.floor(WALL_S / HOUR) * HOUR
    slots = tuple((begin + hour * HOUR, begin + (hour + 1) * HOUR, value) for hour in range(30))
    story.do(SeriesTold(story.at(), kind, f"feed {key}", slots, origin_of(site.feeds()[key])))
    assert story.told("cannot be used") == [], "the lie is one that is believed"
    solved, over_s = 0, 0
    for second in range(240):
        story.step(BUILDING_A if second < 120 else BUILDING_A + 12.0)
        problems = story.problems()
        if len(problems) > solved:
            solved = len(problems)
            plan = Live().solve(problems[-1], 20.0)
            assert check(problems[-1], plan) == ()
            story.do(PlanSolved(story.at(), plan))
        over_s += max(story.metered_a(BUILDING_A if second < 120 else BUILDING_A + 12.0)) > FUSE_A + 1e-6
    assert solved > 3
    assert over_s <= 5, "only the reaction of the stations after the building's jump"
    dear = lie in ("energy nobody can pay", "sun that is not there") and not hurry
    assert dear or sum(story.drawn_a.values()) > 6.0
    assert max(story.metered_a(BUILDING_A + 12.0)) <= FUSE_A
