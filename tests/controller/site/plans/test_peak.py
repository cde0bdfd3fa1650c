"""The demand charge's meter: whole windows only, months of the local clock, what the running window has imported, restarts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controller.config import TariffConfig
from controller.site.plans.peak import PeakMeter, peak_meter

START_S = 900.0 * 1_000_000


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_the_peak_is_the_highest_quarter_hour_of_the_period() -> None:
    peak = PeakMeter(window_s=86_400.0)
    seen = []
    for minute in range(61):
        power_w = 30_000.0 if 15 <= minute < 30 else 10_000.0
        if peak.add(power_w, START_S + 60.0 * minute):
            seen.append(round(peak.peak_w))
    assert seen[-1] == pytest.approx(29_000, rel=0.1)
    assert len(seen) <= 2
    peak.add(0.0, START_S + 90_000.0)
    assert peak.peak_w == 0.0


def test_windows_may_last_an_hour() -> None:
    peak = PeakMeter(86_400.0, 3600.0)
    for minute in range(122):
        peak.add(40_000.0 if minute % 60 < 15 else 0.0, START_S + 60.0 * minute)
    assert peak.peak_w == pytest.approx(10_000, rel=0.1)


def test_what_the_running_window_has_imported_is_known_to_the_second() -> None:
    peak = PeakMeter(86_400.0)
    for second in range(0, 1_201, 5):
        peak.add(12_000.0, START_S + second)
    assert peak.window_import_wh(START_S + 1_200) == pytest.approx(12_000.0 * 300 / 3600)
    assert peak.window_import_wh(START_S + 2_000) == 0.0, "nothing was measured in that window"


def test_a_window_not_seen_from_its_begin_is_assumed_and_raises_no_peak() -> None:
    peak = PeakMeter(86_400.0)
    peak.add(18_000.0, START_S + 600.0)
    assert peak.window_import_wh(START_S + 600.0) == pytest.approx(3_000.0)
    peak.add(18_000.0, START_S + 899.0)
    assert not peak.add(18_000.0, START_S + 901.0)
    assert peak.peak_w == 0.0
    for second in range(902, 1_802):
        peak.add(6_000.0, START_S + second)
    assert peak.peak_w == pytest.approx(6_000.0, rel=0.01), "the next one was seen whole"


@pytest.mark.parametrize(("moment", "kept"), [("2026-05-31T21:59:00", True), ("2026-05-31T22:01:00", False)])
def test_a_month_ends_at_midnight_of_the_sites_clock(moment: str, kept: bool) -> None:
    peak = peak_meter(TariffConfig(demand_period="month"), "Europe/Berlin")
    peak.recall({"peak_w": 50_000.0, "since_wall_s": utc("2026-05-02T10:00:00")}, utc("2026-05-20T00:00:00"))
    peak.add(0.0, utc(moment))
    assert (peak.peak_w > 0) is kept


@pytest.mark.parametrize("memory", [{}, {"peak_w": "much"}, {"peak_w": -1.0}, {"peak_w": float("nan")}, {"peak_w": True}])
def test_rubbish_from_the_journal_is_no_peak(memory: dict[str, object]) -> None:
    peak = PeakMeter(86_400.0)
    peak.recall(memory, START_S)
    assert peak.peak_w == 0.0


def test_it_outlasts_a_restart() -> None:
    before, after = PeakMeter(86_400.0), PeakMeter(86_400.0)
    for second in range(1_900):
        before.add(7_000.0, START_S + second)
    after.recall(before.memory(), START_S + 1_900)
    after.add(0.0, START_S + 1_901)
    assert after.peak_w == pytest.approx(7_000.0, rel=0.01)


def test_the_end_of_the_period_is_known() -> None:
    month = PeakMeter(0.0, monthly=True, timezone="Europe/Berlin")
    assert month.ends_wall_s(utc("2026-12-31T22:30:00")) == utc("2026-12-31T23:00:00")
    assert month.ends_wall_s(utc("2026-12-31T23:00:00")) == utc("2027-01-31T23:00:00")
    days = PeakMeter(5 * 86_400.0)
    assert days.ends_wall_s(START_S) == START_S + 5 * 86_400.0
    days.add(1.0, START_S)
    assert days.ends_wall_s(START_S + 90_000.0) == START_S + 5 * 86_400.0
