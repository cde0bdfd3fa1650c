"""Room for a battery that may stop giving."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config import BatteryConfig
from controller.site.reserve import BACK_A_PER_S, Reserve, part

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
