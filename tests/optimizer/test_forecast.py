"""Slots on the quarter hours, loads from now to the profile by the local clock."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.forecast import (
    ForecastError,
    base_load_a,
    base_load_w,
    blended_w,
    local_minute,
    make_slots,
    profile_w,
    prorated_demand,
    pv_production_w,
)
from optimizer.problem import Slot

BERLIN = "Europe/Berlin"


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class TestSlots:
    def test_the_first_is_what_is_left_of_the_quarter_hour(self) -> None:
        slots = make_slots(utc("2026-05-01T10:07:30"), horizon_s=3600.0)
        assert [slot.duration_s for slot in slots] == [450.0, 900.0, 900.0, 900.0, 900.0]
        assert slots[1].start_wall_s == utc("2026-05-01T10:15:00")

    def test_on_the_quarter_hour_all_are_whole(self) -> None:
        slots = make_slots(utc("2026-05-01T10:15:00"))
        assert {slot.duration_s for slot in slots} == {900.0}
        assert len(slots) == 96

    def test_a_rest_shorter_than_a_second_is_left_out(self) -> None:
        assert make_slots(utc("2026-05-01T10:14:59") + 0.5, 1800.0)[0].start_wall_s == utc("2026-05-01T10:15:00")

    @given(st.floats(1.6e9, 2e9), st.sampled_from([60.0, 900.0, 3600.0]), st.sampled_from([0.5, 900.0, 5000.0, 86_400.0]))
    def test_they_are_contiguous_cover_the_horizon_and_lie_on_the_step(self, now_s: float, step_s: float, horizon_s: float) -> None:
        slots = make_slots(now_s, horizon_s, step_s)
        ends = [slot.start_wall_s + slot.duration_s for slot in slots]
        assert ends[:-1] == pytest.approx([slot.start_wall_s for slot in slots[1:]])
        assert all(slot.duration_s > 0 and slot.start_wall_s % step_s == 0 for slot in slots[1:])
        assert 0 <= slots[0].start_wall_s - now_s < 1.0
        assert now_s + horizon_s - 1.0 <= ends[-1] < now_s + horizon_s + 2 * step_s

    @pytest.mark.parametrize(("horizon_s", "step_s"), [(0.0, 900.0), (3600.0, 0.0), (3600.0, 700.0)])
    def test_impossible_grids_are_refused(self, horizon_s: float, step_s: float) -> None:
        with pytest.raises(ForecastError):
            make_slots(1.7e9, horizon_s, step_s)


class TestLocalTime:
    def test_zones_off_by_a_quarter_hour_keep_their_own_clock(self) -> None:
        assert local_minute(utc("2026-05-01T00:15:00"), "Asia/Kathmandu") == 6 * 60

    def test_the_demand_charge_is_shared_by_the_days_of_its_period(self) -> None:
        assert prorated_demand(12.0, 30.0, 86_400.0) == pytest.approx(0.4)
        assert prorated_demand(12.0, 0.5, 86_400.0) == 12.0


class TestLoads:
    HOURLY = tuple(float(hour * 100) for hour in range(24))

    def test_a_profile_is_read_by_the_local_hour(self) -> None:
        slots = make_slots(utc("2026-10-24T22:00:00"), 5 * 3600.0, 3600.0)
        assert profile_w(slots, self.HOURLY, BERLIN) == (0.0, 100.0, 200.0, 200.0, 300.0)

    def test_the_measurement_of_now_gives_way_to_the_profile_within_the_hour(self) -> None:
        slots = tuple(Slot(index * 900.0, 900.0) for index in range(6))
        assert blended_w(slots, (0.0,) * 6, 800.0) == pytest.approx((700.0, 500.0, 300.0, 100.0, 0.0, 0.0))
        assert blended_w(slots, (5.0,) * 6, None) == (5.0,) * 6
        assert blended_w(slots, (5.0,) * 6, 800.0, blend_s=0.0) == (5.0,) * 6

    def test_a_step_that_is_expected_comes_whatever_is_measured_now(self) -> None:
        slots = tuple(Slot(index * 900.0, 900.0) for index in range(3))
        assert blended_w(slots, (100.0, 900.0, 900.0), 100.0) == (100.0, 900.0, 900.0)
        assert blended_w(slots, (900.0, 100.0, 100.0), 500.0)[1] == 0.0, "never below nothing"

    def test_without_a_profile_the_load_goes_on_and_the_sun_goes_down(self) -> None:
        slots = tuple(Slot(index * 900.0, 900.0) for index in range(6))
        assert base_load_w(slots, (), "UTC", 800.0) == (800.0,) * 6
        assert base_load_w(slots, (), "UTC", None) == (0.0,) * 6
        assert pv_production_w(slots, (), "UTC", 800.0) == pytest.approx((700.0, 500.0, 300.0, 100.0, 0.0, 0.0))
        assert pv_production_w(slots, (), "UTC", -10.0) == (0.0,) * 6

    def test_each_phase_starts_from_its_own_measurement(self) -> None:
        slots = tuple(Slot(index * 1800.0, 1800.0) for index in range(3))
        first, _, last = base_load_a(slots, (6900.0,) * 24, "UTC", (30.0, 10.0, 0.0), 230.0)
        assert first == pytest.approx((25.0, 10.0, 2.5))
        assert last == pytest.approx((10.0, 10.0, 10.0))

    def test_a_profile_has_24_hours(self) -> None:
        with pytest.raises(ForecastError, match="24"):
            profile_w(make_slots(1.7e9, 900.0), (1.0,) * 23, "UTC")
