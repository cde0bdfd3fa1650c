"""Files that strangers bring: other separators, letters, times and names; each is read right, or refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from controller.config import PriceWindow, SeasonConfig, TariffConfig
from controller.sim.backtest.case import CaseError
from controller.sim.backtest.garage import fitting_names
from controller.sim.backtest.jobs import Job, run_job
from controller.sim.backtest.series import SeriesError, midnight
from controller.sim.backtest.series_files import read_watts
from controller.sim.backtest.sessions import SessionsError, read_sessions
from controller.sim.backtest.tariffs import read_prices, site_prices
from tests.controller.sim.backtest.kit import DAY, START_S, ZONE, setting
from tests.controller.sim.backtest.test_cli import basics, run

BERLIN, HOUR = ZoneInfo("Europe/Berlin"), 3600.0
HEADS = "evse,arrival,departure,energy_kwh"
ROW = "Säule 1,2026-06-03 07:30,2026-06-03 12:00,20.5"
GERMAN = "evse;arrival;departure;energy_kwh\nSäule 1;03.06.2026 07:30;03.06.2026 12:00;20,5\n"


@pytest.mark.parametrize(
    "raw",
    [
        f"{HEADS}\n{ROW}\n".encode(),
        f"\ufeff{HEADS}\r\n{ROW}\r\n".encode(),
        f"{HEADS}\n{ROW}\n".encode("cp1252"),
        f"{HEADS}\n{ROW}\n".replace(",", "\t").encode("utf-16"),
        GERMAN.encode(),
        "Energy_kWh , note, DEPARTURE,evse,Arrival\n20.5,hello,2026-06-03T10:00Z,Säule 1,2026-06-03T01:30-04:00\n".encode(),
    ],
)
def test_every_way_to_write_it_is_read_alike(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    path.write_bytes(raw)
    [one] = read_sessions(path, ZONE).sessions
    assert (one.evse, one.energy_wh) == ("Säule 1", 20_500.0)
    assert one.arrival_wall_s - START_S == pytest.approx(7.5 * HOUR)
    assert one.departure_wall_s - START_S == pytest.approx(12 * HOUR)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "is empty"),
        (f"{HEADS}\nP1,06/03/2026 08:00,06/03/2026 12:00,20\n".encode(), "not a time such as"),
        (b"evse,arrival,departure,energy_kwh,Energy_kWh\nP1,2026-06-03,2026-06-04,20,3\n", "the column energy_kwh twice"),
        (b"\xff\x00\x01\x80\x00" * 40, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(raw: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    path.write_bytes(raw)
    with pytest.raises(SessionsError, match=r"sessions\.csv") as caught:
        read_sessions(path, ZONE)
    assert told in str(caught.value)


def test_names_that_no_station_may_bear_become_others_and_stay_apart() -> None:
    names = ["CP1/1", "CP1:1", "CP1-1", "a\x00b", "Z" * 300, "Z" * 301, "<b>", "ü"]
    found = fitting_names(names)
    assert found["CP1-1"] == "CP1-1"
    assert found["<b>"] == "<b>"
    assert len(set(found.values())) == len(names)
    assert all(0 < len(name) <= 48 and not set(name) & set(":/\x00") for name in found.values())


def test_hostile_names_run_through_the_whole_controller(tmp_path: Path) -> None:
    names = ["../../etc", "<script>alert(1)</script>", "=cmd|calc", "CP1/1", "\x1b[31mred"]
    path = tmp_path / "hostile.csv"
    path.write_text("\n".join([HEADS, *(f"{name},{DAY}T08:00,{DAY}T10:00,5" for name in names)]))
    case = setting(tmp_path, sessions=path, capacity_percent=100.0).case
    outcome = run_job(Job(0, 0, "ours", case), lambda _: None)
    assert len(outcome.sessions) == len(names)
    assert outcome.delivered_percent > 99.0


@pytest.mark.parametrize("changes", [{"load": "nan"}, {"load": "-5"}, {"pv": "inf"}, {"prices": "nan"}, {"prices": "1e9"}])
def test_numbers_that_are_none_are_refused_by_name(changes: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=f"--{next(iter(changes))}"):
        setting(tmp_path, **changes)


def test_cars_at_the_edges_of_the_time_are_told(tmp_path: Path) -> None:
    path = tmp_path / "nights.csv"
    path.write_text(f"{HEADS}\nP1,2026-06-02T22:00,2026-06-03T06:00,30\nP2,2026-06-03T22:00,2026-06-04T06:00,30\nP3,{DAY}T08:00,{DAY}T10:00,5\n")
    notes = setting(tmp_path, sessions=path).case.notes
    assert any(note.startswith("the garage begins empty: 1 cars") for note in notes)
    assert any(note.startswith("1 stays go on after the last midnight") for note in notes)


# -- series --------------------------------------------------------------------------------------------------------


def test_a_file_of_just_the_days_that_are_simulated_is_enough(tmp_path: Path) -> None:
    (tmp_path / "load.csv").write_text("time,load kW\n" + "".join(f"2026-06-03T{hour:02d}:00,{hour}\n" for hour in range(24)))
    (tmp_path / "prices.csv").write_text("time,EUR/MWh\n" + "".join(f"03.06.2026 {hour:02d}:00,{10 * hour}\n" for hour in range(24)))
    case = setting(tmp_path, load=str(tmp_path / "load.csv"), prices=str(tmp_path / "prices.csv")).case
    assert [case.base_w.at(START_S + (hour + 0.5) * HOUR) for hour in (0, 13, 23)] == [0.0, 13_000.0, 23_000.0]
    assert [case.prices.buy.at(START_S + (hour + 0.5) * HOUR) for hour in (1, 23, 24 + 5)] == pytest.approx([0.01, 0.23, 0.05])
    assert case.base_w.at(START_S - 20 * 24 * HOUR + 13.5 * HOUR) == 13_000.0


def test_real_times_of_the_sun_are_taken_as_they_are(tmp_path: Path) -> None:
    path, start = tmp_path / "sun.csv", midnight(date(2026, 7, 6), BERLIN)
    for stamp in ("2026-07-06T{:02d}:00", "2026-07-06T{:02d}:00+02:00"):
        path.write_text("time,sun kW\n" + "".join(f"{stamp.format(hour)},{hour}\n" for hour in range(24)))
        assert read_watts(path, BERLIN, start, start + 24 * HOUR, sun=True).at(start + 12.5 * HOUR) == 12_000.0


def test_the_sun_of_a_year_without_a_number_keeps_its_dates(tmp_path: Path) -> None:
    """By chance its Tuesdays and Wednesdays are dim; that is no weekend."""
    lines, first = ["time,sun kW"], date(2001, 1, 1)
    for number in range(365):
        day = date.fromordinal(first.toordinal() + number)
        lines += [f"{day:%m/%d}  {hour:02d}:00:00,{(0.5 if number % 7 in (1, 2) else 1.0) * number}" for hour in range(1, 25)]
    (tmp_path / "sun.csv").write_text("\n".join(lines))
    for month, of_month in ((6, 8), (6, 9), (6, 10)):
        day = date(2026, month, of_month)
        start, number = midnight(day, BERLIN), (date(2001, month, of_month) - first).days
        sun = read_watts(tmp_path / "sun.csv", BERLIN, start, start + 24 * HOUR, sun=True)
        assert sun.at(start + 12 * HOUR) == pytest.approx(1000.0 * (0.5 if number % 7 in (1, 2) else 1.0) * number)


def test_a_garage_carries_all_of_its_sun(tmp_path: Path) -> None:
    case = setting(tmp_path, pv="150", load="5").case
    assert run_job(Job(0, 0, "llf", case), lambda _: None).over_limit_s == {}


def test_prices_of_a_mwh_are_not_taken_for_those_of_a_kwh(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("time,price\n" + "".join(f"2026-06-03T{hour:02d}:00,60\n" for hour in range(24)))
    with pytest.raises(SeriesError, match="per MWh, or per kWh"):
        read_prices(path, TariffConfig(), BERLIN, START_S, START_S + 24 * HOUR)


def test_energy_is_never_sold_dearer_than_bought_on_day_ahead_prices(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("time,price\n" + "".join(f"2026-06-03T{hour:02d}:00,{(hour - 8) / 100}\n" for hour in range(24)))
    prices = read_prices(path, TariffConfig(sell_per_kwh=0.07), BERLIN, START_S, START_S + 24 * HOUR)
    assert [prices.sell.at(START_S + hour * HOUR) for hour in (0, 12, 20)] == pytest.approx([-0.08, 0.04, 0.07])


@pytest.mark.parametrize(
    ("text", "told"), [("[" * 100_000, "is no tariff"), (json.dumps({"schedule": [{"effective_start": "13-45"}]}), "is no tariff")]
)
def test_a_tariff_that_is_none_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "tariff.json").write_text(text)
    with pytest.raises(SeriesError, match=told):
        read_prices(tmp_path / "tariff.json", TariffConfig(), BERLIN, START_S, START_S + 24 * HOUR)


def test_the_site_files_seasons_weekdays_and_selling_prices_hold() -> None:
    def at(start: str, price: float) -> PriceWindow:
        return PriceWindow(start=start, price_per_kwh=price)

    summer = SeasonConfig(first_day="06-01", last_day="08-31", weekdays=("sat", "sun"), buy=(at("00:00", 0.1),))
    tariff = TariffConfig(buy=(at("06:00", 0.4), at("22:00", 0.2)), seasons=(summer,), sell=(at("00:00", 0.05), at("12:00", 0.08)), demand_minutes=60)
    prices = site_prices(tariff, BERLIN, START_S, START_S + 7 * 24 * HOUR)
    assert [prices.buy.at(START_S + hour * HOUR) for hour in (3, 12, 23, 3 * 24 + 12)] == [0.2, 0.4, 0.2, 0.1]
    assert [prices.sell.at(START_S + hour * HOUR) for hour in (3, 13)] == [0.05, 0.08]
    assert prices.window_s == 3600.0


# -- the demand charge ------------------------------------------------------------------------------------------------


def test_a_peak_counts_over_the_hours_the_tariff_has(tmp_path: Path) -> None:
    one = setting(tmp_path).case
    hourly = replace(one, prices=replace(one.prices, window_s=3600.0))
    for quick in (False, True):
        told = run_job(Job(0, 0, "uncontrolled", hourly, quick), lambda _: None)
        grid_w = [quarter.grid_w for quarter in told.curve]
        assert told.peak_w == pytest.approx(max(sum(grid_w[at : at + 4]) / 4.0 for at in range(0, 96, 4)), rel=1e-6)
        assert told.peak_w < max(grid_w)


@pytest.mark.parametrize(
    ("first", "last", "share"), [((2, 1), (2, 28), 1.0), ((2, 1), (2, 14), 14 / 30), ((6, 1), (6, 30), 1.0), ((7, 5), (7, 11), 7 / 30)]
)
def test_a_whole_month_pays_the_whole_demand_charge(first: tuple[int, int], last: tuple[int, int], share: float, tmp_path: Path) -> None:
    days = [date(2026, *first), date(2026, *last)]
    path = tmp_path / "sessions.csv"
    path.write_text(f"{HEADS}\n" + "".join(f"P1,{day}T08:00,{day}T12:00,9\n" for day in days))
    case = setting(tmp_path, sessions=path, first=days[0], last=days[1]).case
    assert case.demand_per_kw == pytest.approx(15.0 * share)


# -- the command --------------------------------------------------------------------------------------------------------


def test_rows_left_out_are_told_with_their_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = basics(tmp_path)
    with Path(words[1]).open("a") as file:
        file.write("P9,2026-06-03T09:00,2026-06-03T08:00,4\n")
    assert run(*words, "--policy", "edf", "--quick", "--currency", "usd") == 0
    told = capsys.readouterr()
    assert "line 9: it leaves before it comes; left out" in told.err
    assert "cars USD" in told.out


def test_a_folder_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    assert run(*basics(tmp_path), "--policy", "edf", "--quick", "--out", str(tmp_path / "file")) == 1
    told = capsys.readouterr()
    assert "choose another folder with --out" in told.err
    assert told.out == ""


@pytest.mark.parametrize("words", [["--days-apart", "0.2"], ["--currency", "euro"]])
def test_odd_words_are_refused_by_name(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(*basics(tmp_path), *words)
    assert words[0] in capsys.readouterr().err
