"""Slots on the quarter hours, prices by the local clock (with the nights of 23 and 25 hours), loads from now to the profile."""

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
    prices_per_slot,
    profile_w,
    prorated_demand,
    pv_production_w,
)
from optimizer.problem import Slot

BERLIN = "Europe/Berlin"
TWO_PRICES = [("06:00", 0.30), ("22:00", 0.10)]


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


class TestPrices:
    def test_each_price_holds_until_the_next_start_around_midnight(self) -> None:
        slots = make_slots(utc("2026-05-01T00:00:00"), step_s=3600.0)
        prices = prices_per_slot(slots, TWO_PRICES, "UTC")
        assert prices == (0.10,) * 6 + (0.30,) * 16 + (0.10,) * 2

    def test_a_change_within_a_slot_is_weighed(self) -> None:
        slots = make_slots(utc("2026-05-01T05:45:00"), 1800.0)
        assert prices_per_slot(slots, [("00:00", 0.1), ("05:50", 0.4)], "UTC") == pytest.approx((0.3, 0.4))

    @pytest.mark.parametrize(
        ("day", "cheap_before_six"),
        [("2026-03-28T23:00:00", 5), ("2026-10-24T22:00:00", 7), ("2026-05-01T22:00:00", 6)],
    )
    def test_the_nights_of_the_clock_change_have_one_hour_less_or_more(self, day: str, cheap_before_six: int) -> None:
        """From local midnight to 06:00: 5 h in March, 7 h in October."""
        prices = prices_per_slot(make_slots(utc(day), step_s=3600.0), TWO_PRICES, BERLIN)
        assert prices.index(0.30) == cheap_before_six

    def test_the_hour_that_exists_twice_has_its_price_twice(self) -> None:
        slots = make_slots(utc("2026-10-25T00:00:00"), 3 * 3600.0, 3600.0)
        assert prices_per_slot(slots, [("00:00", 0.1), ("02:00", 0.9), ("03:00", 0.1)], BERLIN) == (0.9, 0.9, 0.1)

    def test_the_hour_that_does_not_exist_costs_nothing(self) -> None:
        slots = make_slots(utc("2026-03-29T00:00:00"), 3 * 3600.0, 3600.0)
        assert prices_per_slot(slots, [("00:00", 0.1), ("02:00", 0.9), ("03:00", 0.2)], BERLIN) == (0.1, 0.2, 0.2)

    def test_zones_off_by_a_quarter_hour_keep_their_own_clock(self) -> None:
        assert local_minute(utc("2026-05-01T00:15:00"), "Asia/Kathmandu") == 6 * 60
        slots = make_slots(utc("2026-05-01T00:00:00"), 1800.0)
        assert prices_per_slot(slots, TWO_PRICES, "Asia/Kathmandu") == (0.10, 0.30)

    def test_one_price_is_the_price(self) -> None:
        assert prices_per_slot(make_slots(1.7e9, 900.0), [("13:00", 0.25)], "UTC") == (0.25, 0.25)

    @pytest.mark.parametrize(
        ("windows", "zone"), [([], "UTC"), ([("25:00", 1.0), ("01:00", 1.0)], "UTC"), (TWO_PRICES, "Mars/Olympus"), (TWO_PRICES, "../etc/passwd")]
    )
    def test_what_cannot_be_read_is_refused(self, windows: list[tuple[str, float]], zone: str) -> None:
        with pytest.raises(ForecastError):
            prices_per_slot(make_slots(1.7e9, 900.0), windows, zone)

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
