"""One list of all limits of the site: whose, what of, from when until when, obeyed or not."""

from __future__ import annotations

from typing import Any

from controller.facts import EventsTold, EvseKey, GridControlled, GridEvent, GridStep, LimitStep, LimitUnit, SiteWished, SourceChanged
from controller.site.telling.bounds import every_bound
from controller.snapshot import BoundView
from tests.support.signal_story import PRODUCTION, SignalStory, entry

HOUR_S = 3600.0
ROOF = {"id": "roof", "max_power_w": 20_000, "control": {"type": "mqtt", "command_topic": "x"}}
FREE: dict[str, Any] = {"failsafe_w": None, "failsafe_production_w": None}


def story(*entries: dict[str, Any], **parts: Any) -> SignalStory:
    told = SignalStory(*entries, fuse_a=100.0, **parts)
    told.start()
    told.run(3, 10.0)
    return told


def shown(told: SignalStory) -> list[BoundView]:
    return list(every_bound(told.site, told.at()))


def brief(views: list[BoundView]) -> list[tuple[str, str, float, str]]:
    return [(one.kind, one.source, one.power_w, one.state) for one in views]


def test_the_contract_is_measured_and_has_no_end() -> None:
    told = story(entry("mqtt", **FREE), grid={"max_import_w": 30_000, "max_export_w": 5000})
    views = shown(told)
    assert brief(views) == [("import", "contract", 30_000.0, "in_force"), ("feed_in", "contract", 5000.0, "in_force")]
    assert [(one.measured_w is not None, one.obeyed, one.ends_wall_s, one.lowest) for one in views] == [(True, True, None, True)] * 2
    told.run(3, 60.0)
    assert shown(told)[0].obeyed is False, "41 kW of 30"


def test_a_fleet_managers_limit_per_phase_beside_one_in_watts_and_the_lost_broker() -> None:
    told = story(entry("api", **FREE), limits={"failsafe_a": 16})
    told.limit(40.0, valid_for_s=600.0)
    told.limit(20_000.0, LimitUnit.W, valid_for_s=900.0, source="api")
    told.run(12, 10.0)
    amps, watts = shown(told)
    assert (amps.kind, amps.source, amps.current_a, round(amps.power_w), amps.lowest) == ("import", "mqtt", 40.0, 27_600, False)
    assert (watts.current_a, watts.power_w, watts.lowest, watts.obeyed) == (None, 20_000.0, True, True)
    assert watts.ends_wall_s is not None
    told.do(SourceChanged(told.at(), "mqtt", False, "gone"))
    told.wait(900)
    (failsafe,) = shown(told)
    assert (failsafe.source, failsafe.current_a, failsafe.state, failsafe.words) == ("mqtt", 16.0, "failsafe", "the broker is away")


def test_a_source_that_waits_or_is_silent_shows_its_failsafe() -> None:
    told = story(entry("mqtt", binds="controllable"))
    assert brief(shown(told)) == [("loads", "dso", 4200.0, "waiting"), ("feed_in", "dso", 1000.0, "waiting")]
    told.say(7000.0, duration_s=HOUR_S)
    told.say(None, PRODUCTION)
    (limit,) = shown(told)
    assert (limit.kind, limit.state, limit.ends_wall_s) == ("loads", "in_force", told.at().wall_s + HOUR_S)
    told.wait(150)
    assert brief(shown(told)) == [("loads", "dso", 4200.0, "failsafe"), ("feed_in", "dso", 1000.0, "failsafe")]


def test_a_schedule_shows_what_holds_to_its_real_end_and_what_comes() -> None:
    told = story(entry("ieee2030_5", **FREE), inverters=[ROOF])
    now_s = told.at().wall_s
    events = (
        GridEvent("a", 1, now_s, 1800.0, production_w=5000.0, label="noon"),
        GridEvent("b", 1, now_s + 1800.0, 1800.0, production_w=5000.0, load_w=9000.0, label="later"),
        GridEvent("c", 1, now_s + 2 * HOUR_S, HOUR_S, generation_w=8000.0, label="sunny"),
        GridEvent("d", 1, now_s + 5 * HOUR_S, None, connected=False, label="off"),
    )
    told.do(EventsTold(told.at(), "dso", events))
    now, *coming = shown(told)
    assert (now.kind, now.power_w, now.state, now.words, now.ends_wall_s) == ("feed_in", 5000.0, "in_force", "noon", now_s + HOUR_S)
    assert [(one.kind, one.power_w, one.begins_wall_s, one.ends_wall_s, one.words) for one in coming] == [
        ("loads", 9000.0, now_s + 1800.0, now_s + HOUR_S, "later"),
        ("generation", 8000.0, now_s + 2 * HOUR_S, now_s + 3 * HOUR_S, "sunny"),
        ("feed_in", 0.0, now_s + 5 * HOUR_S, None, "off"),
        ("generation", 0.0, now_s + 5 * HOUR_S, None, "off"),
    ]
    assert {one.state for one in coming} == {"announced"}


def test_a_limit_of_the_loads_is_judged_by_what_the_record_says() -> None:
    told = story(entry("ieee2030_5", **FREE))
    told.plug(EvseKey("CP1", 1))
    told.run(60, 10.0)
    told.do(EventsTold(told.at(), "dso", (GridEvent("e", 1, told.at().wall_s, HOUR_S, load_w=9000.0),)))
    assert shown(told)[0].obeyed is None, "nobody obeys at once"
    for _ in range(40):
        told.step(10.0)
    (limit,) = shown(told)
    assert limit.obeyed is True
    assert limit.measured_w is not None
    assert 4000.0 < limit.measured_w <= 9050.0


def test_what_the_csms_wants_of_all_chargers_and_der_controls() -> None:
    told = story(entry("mqtt", **FREE), inverters=[ROOF])
    now_s = told.at().wall_s
    told.do(SiteWished(told.at(), "DEPOT", (LimitStep(now_s, 30.0), LimitStep(now_s + HOUR_S, 20.0)), "profile 7"))
    steps = (GridStep(now_s + 2 * HOUR_S),)
    told.do(GridControlled(told.at(), "DEPOT", EvseKey("", 0), 500.0, 12_000.0, "DER LimitMaxDischarge d1", 0.5, steps))
    views = shown(told)
    assert [(one.kind, one.source, round(one.power_w), one.state) for one in views] == [
        ("loads", "CSMS", 20_700, "in_force"),
        ("feed_in", "CSMS", 12_000, "in_force"),
        ("generation", "CSMS", 10_000, "in_force"),
        ("giving", "CSMS", 500, "in_force"),
        ("loads", "CSMS", 13_800, "announced"),
    ]
    assert views[1].ends_wall_s == now_s + 2 * HOUR_S
    assert views[4].begins_wall_s == now_s + HOUR_S


def test_the_nearest_of_many_are_told() -> None:
    told = story(entry("ieee2030_5", **FREE))
    now_s = told.at().wall_s
    told.do(EventsTold(told.at(), "dso", tuple(GridEvent(f"e{n}", 1, now_s + 600.0 * (n + 1), 60.0, production_w=float(n)) for n in range(60))))
    views = shown(told)
    assert len(views) == 20
    assert [one.power_w for one in views[:3]] == [0.0, 1.0, 2.0]
