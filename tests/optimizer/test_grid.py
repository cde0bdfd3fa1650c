"""The grid of time: fine near, coarse later, the same boundaries within a quarter hour, on the local clock in every zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.forecast import ForecastError
from optimizer.grid import make_grid, quarter_of
from optimizer.problem import Slot

ZONES = ["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Adelaide", "Australia/Lord_Howe", "America/St_Johns"]
DAY_S = 86_400.0

moments = st.floats(1.0e9, 2.2e9)
horizons = st.sampled_from([1.0, 900.0, 5_000.0, DAY_S, 3 * DAY_S])
zones = st.sampled_from(ZONES)
edge_lists = st.lists(st.floats(-2_000.0, 90_000.0), max_size=8)


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def ends(slots: tuple[Slot, ...]) -> list[float]:
    return [slot.start_wall_s + slot.duration_s for slot in slots]


def minutes(slots: tuple[Slot, ...]) -> list[float]:
    return [slot.duration_s / 60.0 for slot in slots]


class TestShape:
    def test_a_day_from_a_whole_hour_is_fine_near_and_coarse_later(self) -> None:
        assert minutes(make_grid(utc("2026-05-01T10:00:00"))) == [5.0] * 3 + [15.0] * 15 + [30.0] * 12 + [60.0] * 15

    def test_within_the_quarter_hour_only_the_first_slot_shrinks_or_vanishes(self) -> None:
        assert minutes(make_grid(utc("2026-05-01T10:03:00")))[:4] == [2.0, 5.0, 5.0, 15.0]
        assert minutes(make_grid(utc("2026-05-01T10:11:30")))[:3] == [3.5, 15.0, 15.0]

    def test_a_rest_shorter_than_a_second_is_left_out(self) -> None:
        assert make_grid(utc("2026-05-01T10:04:59") + 0.5)[0] == Slot(utc("2026-05-01T10:05:00"), 300.0)

    def test_edges_become_boundaries_and_odd_ones_are_left_out(self) -> None:
        now = utc("2026-05-01T10:02:00")
        odd = [now - 5_000.0, now + 10 * DAY_S, float("nan"), float("inf"), utc("2026-05-01T12:15:00") + 0.4]
        slots = make_grid(now, edges=[utc("2026-05-01T22:20:00"), utc("2026-05-01T10:04:00"), *odd])
        plain = make_grid(now)
        assert set(ends(slots)) - set(ends(plain)) == {utc("2026-05-01T22:20:00"), utc("2026-05-01T10:04:00")}

    def test_of_two_edges_within_a_second_one_stays(self) -> None:
        now = utc("2026-05-01T10:02:00")
        slots = make_grid(now, edges=[now + 3_000.2, now + 3_000.0])
        assert now + 3_000.0 in ends(slots)
        assert now + 3_000.2 not in ends(slots)

    @pytest.mark.parametrize(
        ("now_s", "horizon_s", "zone"), [(1.7e9, 0.0, "UTC"), (1.7e9, 1e9, "UTC"), (float("nan"), DAY_S, "UTC"), (1.7e9, DAY_S, "Mars")]
    )
    def test_impossible_grids_are_refused(self, now_s: float, horizon_s: float, zone: str) -> None:
        with pytest.raises(ForecastError):
            make_grid(now_s, horizon_s, timezone=zone)


class TestLaws:
    @given(moments, horizons, edge_lists, zones)
    def test_contiguous_covering_and_never_too_short(self, now_s: float, horizon_s: float, after_s: list[float], zone: str) -> None:
        slots = make_grid(now_s, horizon_s, [now_s + after for after in after_s], zone)
        assert ends(slots)[:-1] == pytest.approx([slot.start_wall_s for slot in slots[1:]], abs=1e-6)
        assert all(slot.duration_s >= 1.0 - 1e-6 for slot in slots)
        assert 0.0 <= slots[0].start_wall_s - now_s < 1.0
        assert now_s + horizon_s <= ends(slots)[-1] <= now_s + horizon_s + 900.0 + 3600.0

    @given(st.integers(1_200_000, 2_200_000), st.floats(0.0, 899.9), st.floats(0.0, 899.9), edge_lists, zones)
    def test_boundaries_stay_within_a_quarter_hour(self, quarter: int, one_s: float, two_s: float, after_s: list[float], zone: str) -> None:
        begin_s = quarter * 900.0
        early, late = sorted((one_s, two_s))
        edges = [begin_s + after for after in after_s]
        before, after = (make_grid(begin_s + passed, edges=edges, timezone=zone) for passed in (early, late))
        assert after[1:] == before[len(before) - len(after) + 1 :]
        assert ends(after)[0] == pytest.approx(ends(before)[len(before) - len(after)], abs=1e-6)

    @given(moments, zones)
    def test_boundaries_lie_on_the_local_clock(self, now_s: float, zone: str) -> None:
        begin_s = quarter_of(now_s)
        for slot in make_grid(now_s, timezone=zone)[1:]:
            local = datetime.fromtimestamp(slot.start_wall_s, ZoneInfo(zone))
            step = 5 if slot.start_wall_s < begin_s + 900 else 15 if slot.start_wall_s <= begin_s + 4 * 3600 else 30
            assert (local.minute % step, local.second) == (0, 0)

    @given(moments, st.floats(60.0, 80_000.0), zones)
    def test_an_edge_is_a_boundary_unless_too_close_to_one(self, now_s: float, after_s: float, zone: str) -> None:
        edge = now_s + after_s
        nearest = min(abs(end - edge) for end in ends(make_grid(now_s, edges=[edge], timezone=zone)))
        assert nearest < 1.0


class TestChangeOfTheClock:
    @pytest.mark.parametrize(
        ("zone", "start"),
        [("Europe/Berlin", "2026-03-28T20:07:00"), ("Europe/Berlin", "2026-10-24T20:07:00"), ("Australia/Lord_Howe", "2026-04-04T06:00:00")],
    )
    def test_hours_stay_hours_of_the_wall_clock(self, zone: str, start: str) -> None:
        slots = make_grid(utc(start), timezone=zone)
        late = [slot for slot in slots if slot.start_wall_s > slots[0].start_wall_s + 11 * 3600.0]
        assert late
        assert all(datetime.fromtimestamp(slot.start_wall_s, ZoneInfo(zone)).minute == 0 for slot in late)
