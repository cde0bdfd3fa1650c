"""Room for a battery that may stop giving."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config import BatteryConfig, Config
from controller.facts import DeviceRead, Stamp, Steering, TimePassed
from controller.site.meters.reserve import BACK_A_PER_S, Reserve, part
from controller.site.meters.sides import Side, soc_percent
from controller.site.site import Site
from meters.reading import Quality, Reading

BATTERY = BatteryConfig(capacity_wh=20_000, max_charge_w=20_000, max_discharge_w=20_700, min_soc_percent=10)


@pytest.mark.parametrize(
    ("soc_percent", "discharge_w", "speed", "expected"),
    [
        (50.0, 13_800.0, 1.0, 0.0),
        (14.0, 13_800.0, 1.0, 0.0),
        (12.5, 6_900.0, 1.0, 0.5),
        (11.0, 6_900.0, 1.0, 1.0),
        (5.0, 6_900.0, 1.0, 1.0),
        (None, 6_900.0, 1.0, 1.0),
        (float("nan"), 6_900.0, 1.0, 1.0),
        (50.0, 14_400.0, 60.0, (90 - 2000 / 60) / 60),
    ],
)
def test_part_by_charge_and_by_the_time_the_rest_lasts(soc_percent: float | None, discharge_w: float, speed: float, expected: float) -> None:
    """Last row: 8 kWh at 14.4 kW last 2000 s of the day, 33 s on the clock of a day sixty times as fast."""
    assert part(soc_percent, discharge_w, BATTERY, speed) == pytest.approx(expected)


def test_what_it_gives_is_kept_free_when_its_meter_falls_silent_and_given_back_slowly() -> None:
    reserve = Reserve(BATTERY, 230.0, 3)
    reserve.look(None, None, True, 0.0)
    assert reserve.now_a == 0.0, "not heard yet, and not yet late"
    reserve.look(-13_800.0, 60.0, False, 1.0)
    assert reserve.now_a == 0.0
    reserve.look(None, 60.0, False, 12.0)
    assert reserve.now_a == pytest.approx(20.0)
    reserve.look(-13_800.0, 60.0, False, 13.0)
    assert reserve.now_a == pytest.approx(20.0 - BACK_A_PER_S)
    reserve.look(5_000.0, 60.0, False, 60.0)
    assert reserve.now_a == 0.0


def test_a_battery_never_heard_of_may_be_giving_all_it_can() -> None:
    reserve = Reserve(BATTERY, 230.0, 3)
    reserve.look(None, None, False, 20.0)
    assert reserve.now_a == pytest.approx(30.0)


@given(st.floats(0, 100), st.floats(0, 50_000), st.floats(0.1, 50))
def test_law_the_nearer_the_end_the_more_is_kept(soc_percent: float, discharge_w: float, more: float) -> None:
    assert part(soc_percent, discharge_w, BATTERY, 1.0) >= part(soc_percent + more, discharge_w, BATTERY, 1.0)
    assert 0.0 <= part(soc_percent, discharge_w, BATTERY, 1.0) <= 1.0


def test_a_battery_that_only_tells_itself_is_kept_room_for_as_well() -> None:
    """No meter at the battery: what it says itself counts, and its silence as much."""
    store = {"capacity_wh": 20_000, "max_charge_w": 13_800, "max_discharge_w": 13_800, "reserve_percent": 20}
    command = {"control": {"type": "sunspec", "host": "127.0.0.1"}}
    config = Config.model_validate(
        {
            "site": {"id": "s"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 30, "meter": "grid"},
            "meters": [{"id": "grid", "role": "grid", "source": {"type": "modbus", "host": "127.0.0.1", "map": "any"}}],
            "battery": {**store, "command": command},
        }
    )
    site = Site(config, {})
    for second in range(20):
        at = Stamp(1000.0 + second, 1000.0 + second)
        site.handle(DeviceRead(at, "battery", -13_800.0, steering=Steering.FREE, soc_percent=20.5))
        site.handle(TimePassed(at))
    assert site.meters.reserve.now_a == pytest.approx(20.0)  # 13.8 kW on three phases
    for second in range(20, 60):
        site.handle(TimePassed(Stamp(1000.0 + second, 1000.0 + second)))
    assert site.meters.reserve.now_a == pytest.approx(20.0)


def test_a_state_of_charge_told_long_ago_is_not_believed() -> None:
    side = Side("b", "battery")
    side.read(Reading("b", Quality.GOOD, power_w=0.0, soc_percent=60.0), 1000.0)
    side.look(1100.0, 10.0, 0.0)
    assert soc_percent([side]) == 60.0
    side.look(1121.0, 10.0, 0.0)
    assert soc_percent([side]) is None
