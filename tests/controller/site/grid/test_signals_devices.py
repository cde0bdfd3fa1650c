"""Events that limit the devices by themselves (CSIP-AUS opModLoadLimW, opModGenLimW), whatever flows at the grid connection."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.facts import DeviceRead, EventsTold, EvseKey, GridEvent
from controller.orders import AnnounceLimit, SteerDevice
from controller.site.grid.events import Schedule
from tests.support.signal_story import PRODUCTION, SignalStory, entry

ROOF = {"id": "roof", "max_power_w": 20_000, "control": {"type": "mqtt", "command_topic": "x"}}
SUN = {"id": "sun", "role": "pv", "source": {"type": "modbus", "host": "127.0.0.1", "map": "any"}}
STORE = {"id": "store", "role": "battery", "source": {"type": "modbus", "host": "127.0.0.1", "map": "any"}}
BATTERY = {"capacity_wh": 40_000, "max_charge_w": 10_000, "max_discharge_w": 10_000, "command": {"control": {"type": "sunspec", "host": "127.0.0.1"}}}


def told(story: SignalStory, **event: Any) -> None:
    story.do(EventsTold(story.at(), "dso", (GridEvent("e", 1, story.at().wall_s, 600.0, answers=True, **event),)))


def charging(binds: str = "circuit") -> SignalStory:
    story = SignalStory(entry("ieee2030_5", binds=binds), count=3, fuse_a=100.0)
    story.start()
    for number in range(3):
        story.plug(EvseKey(f"CP{number + 1}", 1))
    story.do(EventsTold(story.at(), "dso", ()))
    story.run(60)
    return story


def run(story: SignalStory, seconds: int, building_a: float) -> None:
    for second in range(seconds):
        if second % 30 == 0:
            story.beat()
        story.step(building_a)


def cars_w(story: SignalStory) -> float:
    return 690.0 * sum(story.drawn_a.values())


@pytest.mark.parametrize("binds", ["circuit", "controllable"])
def test_a_limit_of_the_loads_holds_the_cars_and_lets_the_building_be(binds: str) -> None:
    story = charging(binds)
    told(story, load_w=15_000.0)
    run(story, 40, building_a=40.0)  # 27.6 kW of building
    assert 11_000 < cars_w(story) <= 15_000
    view = story.site.view(story.at()).signals[0]
    assert (view.state, view.load_limit_w, view.limit_w) == ("limited", 15_000.0, None)
    lines = [line for line in story.record() if line.circuit == "controllable loads"]
    assert [line.event for line in lines if line.event in ("in_force", "obeyed", "violated")] == ["in_force", "obeyed"]
    assert story.of(AnnounceLimit)[-1].source == "SO"
    story.do(EventsTold(story.at(), "dso", ()))
    run(story, 60, building_a=0.0)
    assert cars_w(story) > 40_000
    assert story.record("ended")[-1].circuit == "controllable loads"


def test_a_limit_of_the_loads_beside_one_of_the_import_holds_both() -> None:
    story = charging()
    told(story, load_w=15_000.0, consumption_w=30_000.0)
    run(story, 40, building_a=30.0)  # 20.7 kW of building leave 9.3 kW of the import
    assert 6_000 < cars_w(story) <= 9_300
    run(story, 60, building_a=0.0)
    assert 11_000 < cars_w(story) <= 15_000


def test_an_announced_limit_of_the_loads_is_known_to_the_plan() -> None:
    story = charging()
    begin_s = story.at().wall_s + 3600.0
    story.do(EventsTold(story.at(), "dso", (GridEvent("e", 1, begin_s, 1800.0, load_w=6900.0),)))
    (face,) = story.site.limits.sums(story.at(), 86_400.0, story.site.layout)
    assert [(step.start_wall_s, step.limit_a) for step in face.steps if step.limit_a is not None] == [(begin_s, pytest.approx(10.0, rel=0.1))]


def generating(battery_w: float | None = None, **event: Any) -> tuple[SignalStory, dict[str, float | None]]:
    """A minute with 15 kW of sun, a building that takes 30 kW, and a battery; what the devices are told."""
    story = SignalStory(entry("ieee2030_5"), count=1, fuse_a=100.0, inverters=[ROOF], meters=[SUN, STORE], battery=BATTERY)
    story.start()
    asked = {"battery_w": battery_w} if battery_w is not None else {}
    told(story, **asked, **event)
    at_w: dict[str, float | None] = {"roof": None, "battery": None}
    for second in range(90):
        if second % 30 == 0:
            story.beat()
        at_w |= {order.device: order.power_w for order in story.of(SteerDevice)}
        sun_w, store_w = min(15_000.0, 20_000.0 if at_w["roof"] is None else at_w["roof"]), at_w["battery"] or 0.0
        story.now += 1.0
        story.do(DeviceRead(story.at(), "roof", power_w=sun_w))
        story.do(DeviceRead(story.at(), "battery", power_w=store_w, soc_percent=60.0))
        story.do(story.reading((-sun_w / 690.0,) * 3, meter="sun", power_w=-sun_w))
        story.do(story.reading((store_w / 690.0,) * 3, meter="store", power_w=store_w, soc_percent=60.0))
        grid_w = 30_000.0 - sun_w + store_w
        story.do(story.reading((grid_w / 690.0,) * 3, power_w=grid_w))
        story.do(story.tick())
    return story, at_w


def test_a_limit_of_the_generation_holds_inverters_down_though_the_site_could_use_it_all() -> None:
    story, at_w = generating(generation_w=8000.0)
    assert at_w["roof"] is not None
    assert 7000.0 <= at_w["roof"] <= 8000.0
    view = story.site.view(story.at()).signals[0]
    assert (view.state, view.generation_limit_w, view.production_limit_w) == ("limited", 8000.0, None)
    lines = [line for line in story.record() if line.circuit == "generation" and line.direction is PRODUCTION]
    assert [line.event for line in lines if line.event in ("in_force", "obeyed", "violated")] == ["in_force", "obeyed"]


def test_what_the_sun_leaves_of_a_limit_of_the_generation_is_the_batterys() -> None:
    _, free = generating(-9000.0)
    assert free["battery"] == pytest.approx(-9000.0, abs=200.0)
    _, at_w = generating(-9000.0, generation_w=18_000.0)
    assert at_w["roof"] is None, "15 kW are below it"
    assert at_w["battery"] == pytest.approx(-3000.0, abs=200.0)


def test_cars_give_nothing_back_under_a_limit_of_the_generation() -> None:
    story, _ = generating(generation_w=8000.0)
    face = story.site.limits.faces(story.now, story.site.layout)[-1]
    assert (face.discharge_w, face.discharge_reason) == (0.0, "limit (dso)")


def test_they_are_kept_over_a_restart_and_without_a_clock_the_lowest_count() -> None:
    story = charging()
    made = Schedule("dso", "yard", battery=False)
    events = [GridEvent(name, 1, story.at().wall_s, 600.0, load_w=watts, generation_w=2 * watts) for name, watts in (("a", 5000.0), ("b", 3000.0))]
    made.told(events, story.at())
    fresh = Schedule("dso", "yard", battery=False)
    fresh.restore(json.loads(json.dumps(made.memory())))
    for says in (fresh.in_force(story.at()), fresh.in_force(replace(story.at(), wall_trusted=False))):
        assert (says.load_w, says.generation_w) == (3000.0, 6000.0)
