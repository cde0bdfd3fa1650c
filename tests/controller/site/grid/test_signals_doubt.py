"""Limits from outside where something is not known: contacts that nobody reads, cars that nobody measures, clocks that are set, sources that
are gone from the site file; and what a source asks for beside limits."""

from __future__ import annotations

from typing import Any

import pytest

from controller.facts import (
    ContactsRead,
    DeviceRead,
    EventsTold,
    EvseKey,
    GridEvent,
    LimitReceived,
    LimitUnit,
    Restored,
    StationOffline,
)
from controller.orders import AnnounceLimit, AnswerEvent, Persist, SteerDevice
from controller.site.grid.limit_machine import State
from tests.support.signal_story import CONSUMPTION, SignalStory, entry


def contact(**more: Any) -> dict[str, Any]:
    one = {"name": "W4", "pin": {"type": "file", "path": "/pin"}, "consumption_w": 3000} | {key: more.pop(key) for key in ("missing",) if key in more}
    return {"id": "box", "type": "contacts", "debounce_s": 0.0, "contacts": [one], **more}


def read(story: SignalStory, closed: bool | None, seconds: int) -> None:
    for _ in range(seconds):
        story.now += 1.0
        story.do(ContactsRead(story.at(), "box", (closed,)))
        story.do(story.tick())


# -- contacts ------------------------------------------------------------------------------------------------------------


def test_contacts_that_cannot_be_read_are_silence_and_silence_brings_the_failsafe() -> None:
    story = SignalStory(contact(missing="ignore", failsafe_w=4200.0))
    read(story, False, 10)
    assert (story.state(source="box"), story.holds_w(source="box")) == (State.UNLIMITED, None)
    read(story, None, 119)
    assert story.holds_w(source="box") is None  # as the site file says: ignore
    read(story, None, 2)
    assert (story.state(source="box"), story.holds_w(source="box")) == (State.FAILSAFE, 4200.0)
    read(story, False, 1)
    assert story.holds_w(source="box") is None


def test_a_contact_taken_as_active_holds_as_long_as_it_cannot_be_read() -> None:
    story = SignalStory(contact(failsafe_w=4200.0))
    read(story, False, 10)
    read(story, None, 3)
    assert story.holds_w(source="box") == 3000.0
    story.wait(3 * 86_400.0, step_s=3600.0)  # not even the driver speaks any more
    assert (story.state(source="box"), story.holds_w(source="box")) == (State.FAILSAFE, 3000.0)


@pytest.mark.parametrize(("missing", "holds_w"), [("restrict", 3000.0), ("hold", 3000.0), ("ignore", None)])
def test_contacts_that_nobody_ever_reads_are_missing_too(missing: str, holds_w: float | None) -> None:
    story = SignalStory(contact(missing=missing))
    story.wait(60.0, step_s=1.0)
    assert story.holds_w(source="box") == holds_w


def test_a_module_that_comes_back_releases_nothing_before_its_contacts_have_settled() -> None:
    story = SignalStory(contact() | {"debounce_s": 2.0})
    read(story, False, 5)
    read(story, None, 10)
    assert story.holds_w(source="box") == 3000.0
    for _ in range(5):
        read(story, True, 1)  # it was closed while nobody could see it
        assert story.holds_w(source="box") == 3000.0
    read(story, None, 10)
    read(story, False, 2)
    assert story.holds_w(source="box") == 3000.0
    read(story, False, 1)
    assert story.holds_w(source="box") is None


# -- what nobody measures is not obeyed --------------------------------------------------------------------------------------


def below(story: SignalStory, measured: bool, seconds: int = 40) -> set[str]:
    """The words of the record while a limit of the controllable loads holds."""
    done = len(story.record())
    for _ in range(seconds):
        story.now += 1.0
        story.settle()
        story.beat()
        if measured:
            story.report()
        story.do(story.reading(story.metered_a(10.0)))
        story.do(story.tick())
    return {line.event for line in story.record()[done:] if line.direction is CONSUMPTION}


def controllable(cars: int = 2, **parts: Any) -> SignalStory:
    story = SignalStory(entry("eebus", binds="controllable", failsafe_production_w=None), count=cars, fuse_a=100.0, **parts)
    story.start()
    for number in range(cars):
        story.plug(EvseKey(f"CP{number + 1}", 1))
    story.beat()
    story.say(None)
    return story


def test_a_car_that_nobody_has_measured_is_not_counted_as_nothing() -> None:
    story = controllable()
    story.say(15_000.0)
    assert below(story, measured=False) == {"not_measured"}
    assert story.site.view(story.at()).signals[0].measured_w is None
    assert "obeyed" in below(story, measured=True)


def test_a_station_that_has_been_silent_for_long_is_not_known_and_one_that_rests_is() -> None:
    story = controllable()
    story.say(15_000.0)
    assert "obeyed" in below(story, measured=True)
    below(story, measured=False, seconds=130)
    assert "measured" not in below(story, measured=False, seconds=20)
    story.say(0.0)  # told to stop, and they said they did
    below(story, measured=True, seconds=20)
    assert "not_measured" not in below(story, measured=False, seconds=300)


def test_a_station_that_is_away_counts_with_what_it_may_draw() -> None:
    story = controllable()
    story.say(40_000.0)
    assert "obeyed" in below(story, measured=True)
    story.do(StationOffline(story.at(), "CP2"))
    story.drawn_a.pop(EvseKey("CP2", 1))
    story.say(20_000.0)
    assert "violated" not in below(story, measured=True, seconds=60)
    story.say(5000.0)  # the fallback of 6 A of the one that is away, and 6 A of the other: nobody knows
    assert "obeyed" not in below(story, measured=True, seconds=60)


def test_a_building_above_a_limit_of_the_circuit_stops_the_cars_and_is_told_as_broken() -> None:
    story = SignalStory(entry("eebus"), count=2, fuse_a=100.0)
    story.start()
    story.plug("CP1")
    story.beat()
    story.say(None)
    story.run(30)
    story.say(5000.0)
    for second in range(90):
        if second % 30 == 0:
            story.beat()
        story.step(20.0)  # 13.8 kW of building
    assert sum(story.drawn_a.values()) == 0.0
    violated = story.record("violated")[-1]
    assert violated.measured_w == pytest.approx(13_800.0, rel=0.01)
    view = story.site.view(story.at()).signals[0]
    assert view.trouble.startswith("more is measured than it allows")
    assert not [line for line in story.record("obeyed") if line.limit_w == 5000.0]


def test_the_contract_of_the_connection_is_no_limit_from_outside() -> None:
    story = SignalStory(grid={"max_import_w": 30_000})
    story.start()
    story.run(60)
    assert story.record() == []


# -- the clock and the site file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-86_400.0, 7200.0, 3.0e8])
def test_a_clock_that_is_set_costs_no_limit_at_the_next_restart(jump_s: float) -> None:  # F77
    story = SignalStory({"id": "dso", "type": "mqtt", "heartbeat_s": 0})
    story.do(LimitReceived(story.at(), "mqtt", "grid", 20.0, LimitUnit.A, 3600.0))
    story.say(1000.0, duration_s=3600.0)
    story.wait(10.0)
    story.wall_jump_s = jump_s
    story.wait(10.0)
    assert {line.detail for line in story.record("clock_set")} == {f"by {jump_s:+.0f} s"}
    ends_s = story.site.view(story.at()).signals[0].ends_wall_s
    assert ends_s == pytest.approx(story.at().wall_s + 3580.0)
    story.restart()
    story.wait(3500.0, step_s=100.0)
    assert story.holds_w() == 1000.0
    assert {limit.source for limit in story.site.limits.in_force(story.now)} == {"dso", "mqtt"}
    story.wait(200.0)
    assert story.site.limits.in_force(story.now) == ()


def test_a_source_that_is_gone_from_the_site_file_is_forgotten_and_that_is_told() -> None:
    story = SignalStory(entry("mqtt"))
    story.say(3000.0)
    renamed = SignalStory(entry("mqtt", id="vnb"))
    orders = renamed.site.handle(Restored(renamed.at(), dict(story.memories), {}))
    renamed.carry(orders)
    assert any("consumption 3 kW" in text and "renamed" in text for text in renamed.told())
    assert [line.event for line in renamed.record()] == ["ended"]
    assert [order.remember for order in orders if isinstance(order, Persist)] == [{("signal", "dso"): None}]
    assert (renamed.state(source="vnb"), renamed.holds_w(source="vnb")) == (State.WAITING, 4200.0)


def test_a_source_of_another_type_does_not_inherit_its_events() -> None:
    story = SignalStory(entry("openadr3"))
    story.do(EventsTold(story.at(), "dso", (GridEvent("e", 1, story.at().wall_s, 7200.0, consumption_w=2000.0),)))
    other = SignalStory(entry("mqtt"))
    other.now = story.now
    other.carry(other.site.handle(Restored(other.at(), dict(story.memories), {})))
    other.say(9000.0)
    other.wait(10.0, beats=True)
    assert other.holds_w() == 9000.0


# -- what is asked for beside limits ---------------------------------------------------------------------------------------------

STORE = {
    "battery": {
        "capacity_wh": 40_000,
        "max_charge_w": 10_000,
        "max_discharge_w": 10_000,
        "command": {"control": {"type": "sunspec", "host": "127.0.0.1"}},
    },
    "meters": [{"id": "store", "role": "battery", "source": {"type": "modbus", "host": "127.0.0.1", "map": "any"}}],
}


def asked(event: dict[str, Any], **parts: Any) -> SignalStory:
    """Half an hour of an event, with a battery that does what it is told."""
    story = SignalStory(entry("ieee2030_5"), count=1, fuse_a=100.0, **parts)
    story.start()
    story.do(EventsTold(story.at(), "dso", (GridEvent("e", 1, story.at().wall_s, 1800.0, answers=True, **event),)))
    told_w = 0.0
    for second in range(120):
        if second % 30 == 0:
            story.beat()
        told_w = next((order.power_w or 0.0 for order in reversed(story.of(SteerDevice)) if order.device == "battery"), 0.0)
        story.now += 1.0
        story.do(DeviceRead(story.at(), "battery", power_w=told_w, soc_percent=60.0))
        amps = tuple(10.0 + told_w / 690.0 for _ in range(3))
        story.do(story.reading((told_w / 690.0,) * 3, meter="store", power_w=told_w, soc_percent=60.0))
        story.do(story.reading(amps, power_w=690.0 * amps[0]))  # type: ignore[arg-type]
        story.do(story.tick())
    story.told_w = told_w  # type: ignore[attr-defined]
    return story


def test_a_power_asked_of_the_battery_is_what_it_is_told() -> None:
    story = asked({"battery_w": -4000.0}, **STORE)
    assert story.told_w == pytest.approx(-4000.0, abs=150.0)  # type: ignore[attr-defined]


def test_a_grid_power_that_is_asked_for_is_kept_by_the_battery_each_second() -> None:
    story = asked({"setpoint_w": 3000.0}, **STORE)
    assert 6900.0 + story.told_w == pytest.approx(3000.0, abs=150.0)  # type: ignore[attr-defined]


def test_without_generation_the_battery_gives_nothing() -> None:
    story = asked({"setpoint_w": 0.0, "connected": False}, **STORE)
    assert story.told_w >= 0.0  # type: ignore[attr-defined]


def test_what_nobody_here_can_keep_each_second_is_answered_as_done_in_part() -> None:
    story = asked({"setpoint_w": 3000.0})
    story.wait(1800.0, beats=True)
    assert [order.what for order in story.of(AnswerEvent)][-1] == "partial"


# -- what the CSMS hears ------------------------------------------------------------------------------------------------------------


def test_the_csms_hears_whose_limit_it_is_and_when_it_ends() -> None:  # K11-K14: NotifyChargingLimit
    story = SignalStory(entry("openadr3"), count=1, fuse_a=100.0)
    story.start()
    story.plug("CP1")
    story.do(EventsTold(story.at(), "dso", ()))
    story.run(60)
    end_s = story.at().wall_s + 1800.0
    story.do(EventsTold(story.at(), "dso", (GridEvent("e", 1, story.at().wall_s, 1800.0, consumption_w=12_000.0),)))
    told = story.of(AnnounceLimit)[-1]
    assert (told.source, told.critical, told.until_wall_s) == ("SO", True, pytest.approx(end_s))
