"""Series, and the files they come from: means, edges, days with 23 and 25 hours, years mapped by weekday, tariffs."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config import PriceWindow, TariffConfig
from controller.sim.backtest.series import Series, SeriesError, by_local_hour, compact, fixed, midnight
from controller.sim.backtest.series_files import read_watts
from controller.sim.backtest.tariffs import parse_day_ahead, parse_tariff, read_prices, site_prices

BERLIN, CALIFORNIA, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles"), ZoneInfo("UTC")
HOUR = 3600.0


def test_mean_at_edges_and_cut() -> None:
    series = Series((0.0, 100.0, 200.0), (1.0, 3.0, 5.0))
    assert [series.at(moment) for moment in (-5.0, 0.0, 99.0, 100.0, 500.0)] == [1.0, 1.0, 1.0, 3.0, 5.0]
    assert series.mean(50.0, 150.0) == 2.0
    assert series.mean(-100.0, 300.0) == (2 * 1.0 + 3.0 + 5.0) / 4
    assert series.edges(0.0, 200.0) == [100.0]
    assert series.next_edge(100.0) == 200.0
    assert series.cut(120.0, 150.0) == Series((100.0,), (3.0,))
    assert series.highest(0.0, 150.0) == 3.0
    with pytest.raises(SeriesError):
        Series((1.0, 1.0), (2.0, 3.0))


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(-10, 10)), min_size=1, max_size=8), st.integers(-20, 300), st.integers(1, 200))
def test_the_mean_is_the_mean_of_the_seconds(steps: list[tuple[int, float]], start: int, length: int) -> None:
    points, at = [], 0
    for width, value in steps:
        points.append((float(at), value))
        at += width
    series = compact(points)
    seconds = [series.at(second + 0.5) for second in range(start, start + length)]
    assert series.mean(float(start), float(start + length)) == pytest.approx(sum(seconds) / length, abs=1e-9)


def test_prices_by_the_local_clock_on_the_days_with_23_and_25_hours() -> None:
    tariff = TariffConfig(buy=(PriceWindow(start="00:00", price_per_kwh=0.1), PriceWindow(start="04:00", price_per_kwh=0.3)))
    for day, hours in ((date(2026, 3, 29), 3), (date(2026, 10, 25), 5), (date(2026, 6, 1), 4)):
        start = midnight(day, BERLIN)
        prices = site_prices(tariff, BERLIN, start, midnight(day + timedelta(days=1), BERLIN))
        assert prices.buy.edges(start + 1, start + 20 * HOUR) == [start + hours * HOUR]


TARIFF = {
    "name": "T",
    "schedule": [
        {"id": "s", "effective_start": "06-01", "effective_end": "9-30", "dow_mask": "WEEKDAYS", "times": [0, 8.5], "tariffs": [0.1, 0.4],
         "demand_charge": 15.5},
        {"id": "e", "effective_start": "06-01", "effective_end": "9-30", "dow_mask": "WEEKENDS", "times": [0], "tariffs": [0.05],
         "demand_charge": 15.5},
        {"id": "w", "effective_start": "10-01", "effective_end": "5-31", "dow_mask": "ALL", "times": [6], "tariffs": [0.2], "demand_charge": 3},
    ],
}  # fmt: skip


def test_a_tariff_file_has_seasons_weekdays_half_hours_and_a_demand_charge() -> None:
    friday = midnight(date(2019, 9, 27), CALIFORNIA)
    prices = parse_tariff(json.dumps(TARIFF), "t.json", TariffConfig(), CALIFORNIA, friday, friday + 5 * 24 * HOUR)
    day = 24 * HOUR
    assert prices.demand_per_kw == 15.5
    assert [prices.buy.at(friday + hour * HOUR) for hour in (0, 8.4, 8.5, 23.9)] == [0.1, 0.1, 0.4, 0.4]
    assert [prices.buy.at(friday + days * day + 12 * HOUR) for days in (1, 2, 3)] == [0.05, 0.05, 0.4]
    assert prices.buy.at(friday + 4 * day + HOUR) == 0.2
    assert prices.sell.at(friday) <= min(prices.buy.values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"times": [0, 9, 8], "tariffs": [1, 2, 3]}, "ascending times"),
        ({"times": [0, 9], "tariffs": [1]}, "one tariff for each"),
        ({"times": [25], "tariffs": [1]}, "less than 24"),
        ({"dow_mask": "MONDAYS"}, "dow_mask"),
        ({"effective_start": "07-01"}, "has no price for Monday, 03 June"),
    ],
)
def test_a_tariff_file_with_a_mistake_says_which(change: dict[str, object], told: str) -> None:
    schedule = [{**TARIFF["schedule"][0], **change}]  # type: ignore[index,dict-item]
    start = midnight(date(2019, 6, 3), UTC)
    with pytest.raises(SeriesError) as caught:
        parse_tariff(json.dumps({"schedule": schedule}), "t.json", TariffConfig(), UTC, start, start + HOUR)
    assert told in str(caught.value)
    with pytest.raises(SeriesError, match=r"t\.json is no tariff"):
        parse_tariff("[]", "t.json", TariffConfig(), UTC, start, start + HOUR)


def test_day_ahead_prices_in_utc_per_mwh(tmp_path: Path) -> None:
    start = midnight(date(2019, 1, 2), BERLIN)
    lines = ["Country,Datetime (UTC),Datetime (Local),Price (EUR/MWhe)"]
    for hour in range(72):
        lines.append(f"NL,{date(2019, 1, 1) + timedelta(days=hour // 24)} {hour % 24:02d}:00:00,ignored,{hour}")
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(lines))
    prices = read_prices(path, TariffConfig(demand_per_kw=4.0), BERLIN, start, start + 24 * HOUR)
    assert prices.buy.at(start) == pytest.approx(0.023)
    assert prices.buy.at(start + 5 * HOUR) == pytest.approx(0.028)
    assert prices.demand_per_kw == 4.0
    with pytest.raises(SeriesError, match="has prices from 2019-01-01 to"):
        read_prices(path, TariffConfig(), BERLIN, start, start + 30 * 24 * HOUR)


def test_a_hole_in_the_prices_is_told() -> None:
    rows = [(1, ("time", "price")), *((number + 2, (f"2019-01-01T{hour:02d}:00+00:00", "0.1")) for number, hour in enumerate((0, 1, 2, 9, 10, 23)))]
    start = midnight(date(2019, 1, 1), UTC)
    with pytest.raises(SeriesError, match="gap after 2019-01-01 02:00"):
        parse_day_ahead(rows, "p.csv", UTC, start, start + 20 * HOUR)


def year_file(path: Path) -> Path:
    """A year that began on a Saturday, in the form of EnergyPlus: 10 kW, weekends 5, from 8 to 18 o'clock 3 more."""
    lines = ["Date/Time,Electricity:Facility [kW](Hourly)"]
    for number in range(365):
        day = date(2001, 1, 1) + timedelta(days=number)
        for hour in range(1, 25):
            value = (5 if number % 7 in (0, 1) else 10) + (3 if 8 < hour <= 18 else 0)
            lines.append(f" {day.month:02d}/{day.day:02d}  {hour:02d}:00:00,{value}")
    path.write_text("\n".join(lines))
    return path


def test_a_year_without_a_number_is_mapped_by_the_day_of_the_week(tmp_path: Path) -> None:
    path = year_file(tmp_path / "load.csv")
    for year in (2019, 2020, 2024):
        first = date(year, 2, 24)
        start = midnight(first, BERLIN)
        series = read_watts(path, BERLIN, start, start + 21 * 24 * HOUR)
        for number in range(21):
            day = first + timedelta(days=number)
            low = 5000.0 if day.weekday() >= 5 else 10_000.0
            begin = midnight(day, BERLIN)
            assert [series.at(begin + hour * HOUR + 1) for hour in (0.0, 7.9, 8.0, 17.9, 18.0)] == [low, low, low + 3000, low + 3000, low], day


def test_on_a_short_day_the_load_follows_the_local_clock_and_the_sun_does_not(tmp_path: Path) -> None:
    path = year_file(tmp_path / "load.csv")
    start, noon = midnight(date(2026, 7, 6), BERLIN), 12 * HOUR
    load, sun = read_watts(path, BERLIN, start, start + 24 * HOUR), read_watts(path, BERLIN, start, start + 24 * HOUR, sun=True)
    assert load.edges(start + HOUR, start + noon) == [start + 8 * HOUR]
    assert sun.edges(start + 2 * HOUR, start + noon) == [start + 9 * HOUR]
    spring = midnight(date(2026, 3, 29), BERLIN)
    assert read_watts(path, BERLIN, spring, spring + 23 * HOUR).edges(spring + HOUR, spring + noon) == [spring + 7 * HOUR]


def test_half_hours_with_named_months(tmp_path: Path) -> None:
    lines = ['"Time stamp","Array DC power | (kW)"']
    for number in range(365):
        day = date(2001, 1, 1) + timedelta(days=number)
        for half in range(48):
            clock = f"{(half // 2 - 1) % 12 + 1:02d}:{half % 2 * 30:02d} {'am' if half < 24 else 'pm'}"
            lines.append(f'"{day:%b} {day.day}, {clock}",{half}')
    path = tmp_path / "pv.csv"
    path.write_text("\n".join(lines))
    start = midnight(date(2019, 1, 7), UTC)
    series = read_watts(path, UTC, start, start + 24 * HOUR, sun=True)
    assert [series.at(start + hour * HOUR) for hour in (0.0, 0.5, 12.0, 12.5, 23.5)] == [0.0, 1000.0, 24_000.0, 25_000.0, 47_000.0]


def test_real_dates_are_taken_as_they_are_and_units_from_the_head(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("time,load_w\n" + "\n".join(f"2026-03-01T{hour:02d}:00:00+01:00,{100 * hour}" for hour in range(24)))
    start = midnight(date(2026, 3, 1), BERLIN)
    series = read_watts(path, BERLIN, start, start + 24 * HOUR)
    assert [series.at(start + hour * HOUR) for hour in (0, 5, 23)] == [0.0, 500.0, 2300.0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time,kW\n", "holds no series"),
        ("time,kW\n2026-03-01T00:00,a\n2026-03-01T01:00,b", "no column of numbers"),
        ("time,kW\n2026-03-01T00:00,1\nnoon,2", "line 3: 'noon' is not a time"),
        ("time,kW\n2026-03-01T00:00,1\n2026-03-01T01:00,nan", "line 3: 'nan' is not a number"),
        ("time,kW\n2026-09-01T00:00,1\n2026-09-01T01:00,2", "no day near"),
    ],
)
def test_a_load_file_with_a_mistake_says_where(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text(text)
    start = midnight(date(2026, 3, 1), BERLIN)
    with pytest.raises(SeriesError) as caught:
        read_watts(path, BERLIN, start, start + 24 * HOUR)
    assert told in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match=r"none\.csv cannot be read"):
        read_watts(tmp_path / "none.csv", UTC, 0.0, 1.0)
    with pytest.raises(SeriesError, match=r"none\.json cannot be read"):
        read_prices(tmp_path / "none.json", TariffConfig(), UTC, 0.0, 1.0)


def test_a_local_hour_series_and_a_fixed_one() -> None:
    start = midnight(date(2026, 6, 1), BERLIN)
    series = by_local_hour(start, start + 48 * HOUR, BERLIN, lambda day: [(0.0, float(day.day)), (12.0, 0.0)])
    assert [series.at(start + hour * HOUR) for hour in (0, 12, 24, 36)] == [1.0, 0.0, 2.0, 0.0]
    assert fixed(3.0).mean(0.0, 1e9) == 3.0
