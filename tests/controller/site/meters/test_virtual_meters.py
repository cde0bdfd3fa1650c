"""Sums, differences and shares of meters, and chargers as a meter: values, freshness, quality, and a fuse held by one."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config import Config
from controller.facts import EvseKey, MeterFailed, MeterRead, Stamp, StationOnline
from controller.site.meters.readings import Readings
from controller.site.meters.virtual_meters import Found
from meters.reading import Quality, Reading
from tests.support.site_story import Story, depot

MODBUS = {"type": "modbus", "host": "meter", "map": "any"}
CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)


def config(virtual: dict[str, Any], *parts: dict[str, Any], role: str = "load", **more: Any) -> Config:
    """A site with the meters a, b and c and a virtual one made of them. parts: what is different about a, b, c."""
    meters = [{"id": name, "role": "load", "source": MODBUS, **extra} for name, extra in zip("abc", [*parts, {}, {}, {}], strict=False)]
    meters.append({"id": "v", "role": role, "source": {"type": "virtual", **virtual}, **more})
    return depot(1, metered=False, meters=meters)


def read(
    readings: Readings, meter: str, now: float, amps: tuple[float | None, ...] = (1, 1, 1), quality: Quality = Quality.GOOD, **more: Any
) -> list[Found]:
    first, second, third = amps
    return readings.read(MeterRead(Stamp(now, now), Reading(meter, quality, current_a=(first, second, third), **more)))


def last(found: list[Found], meter: str = "v") -> Found:
    return next(one for one in reversed(found) if (one.reading.meter_id if isinstance(one, MeterRead) else one.meter_id) == meter)


def value(found: list[Found], meter: str = "v") -> Reading:
    one = last(found, meter)
    assert isinstance(one, MeterRead), one
    return one.reading


def test_a_sum_and_a_difference_by_phase() -> None:
    readings = Readings(config({"plus": ["a", "b"], "minus": ["c"]}))
    read(readings, "a", 0.0, (10, 20, 30), power_w=13_800)
    read(readings, "b", 0.1, (1, 2, 3), power_w=1_380)
    got = value(read(readings, "c", 0.2, (5, 5, 40), power_w=11_500))
    assert (got.current_a, got.power_w, got.quality) == ((6, 17, -7), 3_680, Quality.GOOD)


def test_a_share_of_one_meter_keeps_its_registers() -> None:
    readings = Readings(config({"plus": ["a"], "share_percent": 25}))
    got = value(read(readings, "a", 0.0, (-8, -8, -8), power_w=-5520, energy_import_wh=100.0, energy_export_wh=4000.0))
    assert (got.current_a, got.power_w, got.energy_import_wh, got.energy_export_wh) == ((-2, -2, -2), -1380, 25, 1000)


def test_registers_of_several_meters_do_not_become_one() -> None:
    readings = Readings(config({"plus": ["a", "b"]}))
    read(readings, "a", 0.0, energy_import_wh=1.0)
    assert value(read(readings, "b", 0.0, energy_import_wh=2.0)).energy_import_wh is None


def test_it_is_as_old_as_its_oldest_part_and_unknown_when_one_is_lost() -> None:
    readings = Readings(config({"plus": ["a", "b"]}))
    assert last(read(readings, "a", 0.0)).reason == "b has not been read yet"  # type: ignore[union-attr]
    ages = []
    read(readings, "b", 1.0)
    for now in (1.5, 4.0, 9.0, 10.9, 11.0, 12.0):
        one = last(read(readings, "a", now))
        ages.append(one.age_s if isinstance(one, MeterRead) else one.reason)
    assert ages[:4] == pytest.approx([0.5, 3.0, 8.0, 9.9])
    assert ages[4:] == ["b has been silent for 10 s", "b has been silent for 11 s"]
    assert isinstance(last(read(readings, "b", 13.0)), MeterRead)


def test_a_bad_part_is_silence_and_a_failed_poll_is_told_once_it_matters() -> None:
    readings = Readings(config({"plus": ["a"]}))
    read(readings, "a", 0.0)
    assert read(readings, "a", 1.0, quality=Quality.BAD, reason="x") == [MeterRead(Stamp(1.0, 1.0), Reading("a", Quality.BAD, (1, 1, 1), reason="x"))]
    assert len(readings.failed(MeterFailed(Stamp(5.0, 5.0), "a", "no answer"))) == 1, "its last word still counts"
    assert last(readings.failed(MeterFailed(Stamp(11.0, 11.0), "a", "no answer"))).reason == "a: no answer"  # type: ignore[union-attr]


def test_a_suspect_part_makes_the_whole_suspect() -> None:
    readings = Readings(config({"plus": ["a", "b"]}))
    read(readings, "a", 0.0, quality=Quality.SUSPECT, reason="odd")
    got = value(read(readings, "b", 0.0))
    assert (got.quality, got.reason) == (Quality.SUSPECT, "a: odd")


def test_a_phase_a_part_does_not_have_adds_nothing_and_one_it_fails_to_show_is_unknown() -> None:
    readings = Readings(config({"plus": ["a"], "minus": ["b"]}, {}, {"phases": ["L2"]}))
    read(readings, "a", 0.0, (10, 10, 10))
    assert value(read(readings, "b", 0.0, (None, None, None), power_w=-460.0)).current_a == (10, 12, 10), "its power is on its only phase"
    assert value(read(readings, "a", 1.0, (10, 10, None))).current_a == (10, 12, None)


def test_f44_a_virtual_fuse_meter_with_an_unknown_phase_is_not_believed() -> None:
    site = config({"plus": ["a", "b"]}, role="grid").model_dump(mode="json", exclude_defaults=True)
    site["grid"]["meter"] = "v"
    readings = Readings(Config.model_validate(site))
    read(readings, "a", 0.0, (1, 1, 1))
    assert value(read(readings, "b", 0.0, (None, None, None), power_w=500.0)).quality is Quality.BAD


def test_b42_the_result_is_judged_like_any_reading() -> None:
    readings = Readings(config({"plus": ["a", "b"]}))
    read(readings, "a", 0.0, (600, 0, 0))
    assert value(read(readings, "b", 0.0, (600, 0, 0))).reason == "current of L1 is 1200 A, more than ten fuses"


def test_virtual_meters_of_virtual_meters_in_any_order() -> None:
    meters = [
        {"id": "top", "role": "load", "source": {"type": "virtual", "plus": ["half"], "minus": ["b"]}},
        {"id": "half", "role": "load", "source": {"type": "virtual", "plus": ["a"], "share_percent": 50}},
        *({"id": name, "role": "load", "source": MODBUS} for name in "ab"),
    ]
    readings = Readings(depot(1, metered=False, meters=meters))
    read(readings, "b", 0.0, (1, 1, 1))
    got = read(readings, "a", 2.0, (10, 10, 10))
    assert value(got, "top").current_a == (4, 4, 4)
    assert last(got, "top").age_s == pytest.approx(2.0)  # type: ignore[union-attr]


def test_a_circle_which_the_check_refuses_does_no_harm() -> None:
    meters = [{"id": name, "role": "load", "source": {"type": "virtual", "plus": [other, "a"]}} for name, other in (("x", "y"), ("y", "x"))]
    readings = Readings(depot(1, metered=False, meters=[*meters, {"id": "a", "role": "load", "source": MODBUS}]))
    assert len(read(readings, "a", 0.0)) == 1


def test_largest_step_and_standing_still_hold_for_virtual_meters_and_their_parts() -> None:
    readings = Readings(config({"plus": ["a"]}, quality={"max_step_a": 20}))
    read(readings, "a", 0.0, (1, 1, 1))
    assert value(read(readings, "a", 1.0, (60, 1, 1))).quality is Quality.BAD


# -- at work in a site -----------------------------------------------------------------------------------


def grid_of_two() -> Story:
    """A grid meter that is the sum of building and chargers' feeder."""
    meters = [
        {"id": "grid", "role": "grid", "source": {"type": "virtual", "plus": ["building", "cars"]}},
        {"id": "building", "role": "load", "source": MODBUS},
        {"id": "cars", "role": "load", "source": MODBUS},
    ]
    told = Story(depot(2, metered=False, grid={"meter": "grid"}, meters=meters))
    for station in ("CP1", "CP2"):
        told.do(StationOnline(told.at(), station, "2.0.1"))
    return told


def step(told: Story, building_a: float, cars: bool = True) -> None:
    """One second: both meters speak, cars follow."""
    told.now += 1.0
    told.settle()
    told.report()
    amps = sum(told.drawn_a.values())
    if cars:
        told.do(told.reading((amps, amps, amps), meter="cars"))
    told.do(told.reading((building_a, building_a, building_a), meter="building"))
    told.do(told.tick())


def test_a_virtual_grid_meter_holds_the_fuse() -> None:
    told = grid_of_two()
    for _ in range(5):
        step(told, 10.0)
    assert told.site.mode.mode.value == "normal"
    told.plug(CP1)
    told.plug(CP2)
    for _ in range(40):
        step(told, 10.0)
    assert 45.0 < sum(told.drawn_a.values()) <= 53.0
    for _ in range(5):
        step(told, 40.0)
    assert sum(told.drawn_a.values()) + 40.0 <= 63.0, "the guard cut within seconds"


def test_f40_a_part_that_falls_silent_takes_the_virtual_grid_meter_along() -> None:
    told = grid_of_two()
    for _ in range(5):
        step(told, 10.0)
    modes = []
    for _ in range(12):
        step(told, 10.0, cars=False)
        modes.append(told.site.mode.mode.value)
    assert modes[:2] == ["normal"] * 2
    assert modes[3:8] == ["degraded"] * 5
    assert modes[-1] == "failsafe"
    assert "cars has been silent" in told.site.mode.reason
    for _ in range(4):
        step(told, 10.0)
    assert told.site.mode.mode.value == "normal"


def chargers_as_meter(other_load_a: float = 5.0) -> Story:
    meters = [{"id": "feeder", "role": "circuit", "source": {"type": "chargers", "stations": ["CP1", "CP2"], "other_load_a": other_load_a}}]
    data = depot(2, circuits=1, circuit_fuse_a=40.0, meters=meters).model_dump(mode="json", exclude_defaults=True)
    data["circuits"][0]["meter"] = "feeder"
    return Story(Config.model_validate(data))


def test_chargers_are_a_meter_and_keep_the_fuse_of_their_feeder() -> None:
    told = chargers_as_meter()
    told.start()
    told.run(3)
    watch = told.site.meters.watches["feeder"]
    assert (watch.health.value, watch.currents_a) == ("good", (5, 5, 5))
    told.plug(CP1)
    told.plug(CP2)
    told.run(30)
    assert watch.currents_a is not None
    assert watch.currents_a[0] == pytest.approx(5 + sum(told.drawn_a.values()))
    assert 25.0 < sum(told.drawn_a.values()) <= 35.0


def test_a_station_that_stops_telling_makes_its_feeder_late_and_then_lost() -> None:
    told = chargers_as_meter()
    told.start()
    told.plug(CP1)
    told.run(20)
    seen = []
    for _ in range(14):
        told.step(10.0, report=False)
        seen.append(told.site.meters.watches["feeder"].health.value)
    assert seen[0] == "good"
    assert "late" in seen
    assert seen[-1] == "lost"
    assert "CP1/1 has told nothing for" in told.site.meters.watches["feeder"].trouble
