"""Sessions from files: both forms, times with and without offsets, bad rows, overlaps."""

from __future__ import annotations

import gzip
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.sim.backtest.sessions import Recorded, SessionsError, parse_sessions, read_sessions, without_overlaps

ACN = "arrival,departure,requested_energy (kWh),delivered_energy (kWh),station_id,session_id,estimated_departure,claimed"
OWN = "evse,arrival,departure,energy_kwh,stated_kwh,stated_departure,max_power_kw,phases,user,soc,capacity_kwh"


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_the_acn_form_with_offsets_and_a_gz_file(tmp_path: Path) -> None:
    rows = "2019-05-01 06:33:14-07:00,2019-05-01 11:50:55-07:00,21.84,17.666,CA-314,2_39_88,2019-05-01 11:27:14-07:00,True"
    path = tmp_path / "acn.csv.gz"
    path.write_bytes(gzip.compress(f"{ACN}\n{rows}\n".encode()))
    file = read_sessions(path)
    [one] = file.sessions
    assert file.acn
    assert one.arrival_wall_s == unix("2019-05-01T13:33:14+00:00")
    assert (one.energy_wh, one.stated_wh, one.evse, one.id) == (17_666.0, 21_840.0, "CA-314", "2_39_88")
    assert one.stated_departure_wall_s == unix("2019-05-01T11:27:14-07:00")


def test_what_nobody_claimed_was_not_stated_by_anybody() -> None:
    row = "2019-05-01 06:33:14-07:00,2019-05-01 11:50:55-07:00,21.84,17.666,CA-314,x,2019-05-01 11:27:14-07:00,False"
    [one] = parse_sessions([ACN, row], "acn").sessions
    assert one.stated_wh is None
    assert one.stated_departure_wall_s is None


def test_our_own_form_with_everything() -> None:
    row = "A1/2,2026-03-01T07:30:00+01:00,2026-03-01T16:00:00+01:00,22.5,30,2026-03-01T15:00:00+01:00,11,3,ann,40,75"
    [one] = parse_sessions([OWN, row], "own").sessions
    assert one == Recorded(
        "line 2",
        "A1/2",
        unix("2026-03-01T06:30:00+00:00"),
        unix("2026-03-01T15:00:00+00:00"),
        22_500.0,
        30_000.0,
        unix("2026-03-01T14:00:00+00:00"),
        11_000.0,
        3,
        "ann",
        0.4,
        75_000.0,
    )


def test_semicolons_with_decimal_commas_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes("\ufeffevse;arrival;departure;energy_kwh\n\n# a remark\nA1;2026-03-01 07:30;2026-03-01 09:30;7,25\n".encode())
    [one] = read_sessions(path, "Europe/Berlin").sessions
    assert one.energy_wh == 7250.0
    assert one.arrival_wall_s == unix("2026-03-01T06:30:00+00:00")
    assert one.id == "line 4"


def test_local_times_on_the_days_with_23_and_25_hours() -> None:
    rows = ["A,2026-03-29 01:30,2026-03-29 03:30,5", "A,2026-10-25 01:30,2026-10-25 03:30,5"]
    spring, autumn = parse_sessions(["evse,arrival,departure,energy_kwh", *rows], "own", "Europe/Berlin").sessions
    assert spring.stay_s == 3600.0
    assert autumn.stay_s == 3 * 3600.0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("A,yesterday,2026-03-01 09:30,5", "arrival is 'yesterday', not a time"),
        ("A,2026-03-01 07:30,,5", "departure is '', not a time"),
        ("A,2026-03-01 07:30,2026-03-01 07:30,5", "leaves before it comes"),
        ("A,2026-03-01 07:30,2026-03-01 09:30,much", "energy_kwh is 'much', not a number"),
        ("A,2026-03-01 07:30,2026-03-01 09:30,-1", "not between 0 and 5000"),
        ("A,2026-03-01 07:30,2026-03-01 09:30,nan", "not between 0 and 5000"),
        ("A,2026-03-01 07:30", "departure is '', not a time"),
        (",2026-03-01 07:30,2026-03-01 09:30,5", "names no EVSE"),
        ("A,2026-03-01 07:30:00,2026-03-01 07:30:01,4000", "cannot be"),
        ('A,"2026-03-01 07:30,2026-03-01 09:30,5', "is not a time"),
    ],
)
def test_a_bad_row_is_left_out_and_told_with_its_line(row: str, reason: str) -> None:
    good = "B,2026-03-01 07:30,2026-03-01 09:30,5"
    file = parse_sessions(["evse,arrival,departure,energy_kwh", row, good], "own.csv")
    assert [one.evse for one in file.sessions] == ["B"]
    assert file.skipped == 1
    assert file.problems[0].startswith("own.csv, line 2: ")
    assert reason in file.problems[0] or ("not a time" in reason and "not a time" in file.problems[0])


def test_a_thousand_bad_rows_do_not_fill_the_screen() -> None:
    rows = ["A,2026-03-01 07:30,2026-03-01 09:30,5", *["A,x,y,z"] * 1000]
    file = parse_sessions(["evse,arrival,departure,energy_kwh", *rows], "own.csv")
    assert file.skipped == 1000
    assert len(file.problems) == 21
    assert "980 more rows" in file.problems[-1]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "is empty; needed is a line of heads"),
        (["time,kwh", "1,2"], "needed are evse, arrival, departure, energy_kwh, or those of ACN"),
        (["evse,arrival,departure,energy_kwh"], "holds no usable session"),
        (["evse,arrival,departure,energy_kwh", "A,x,y,z"], "the first problem: own.csv, line 2"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(lines: list[str], told: str) -> None:
    with pytest.raises(SessionsError, match=r"own\.csv") as caught:
        parse_sessions(lines, "own.csv")
    assert told in str(caught.value)


def test_files_that_are_no_csv_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SessionsError, match="--sessions"):
        read_sessions(tmp_path / "none.csv")
    (tmp_path / "bad.csv.gz").write_bytes(b"not packed")
    with pytest.raises(SessionsError, match="cannot be read"):
        read_sessions(tmp_path / "bad.csv.gz")
    with pytest.raises(SessionsError, match="save the sheet as CSV"):
        read_sessions(tmp_path / "table.xlsx")


def test_a_stay_that_lasts_into_the_next_one_ends_there() -> None:
    first, second = Recorded("a", "A", 0.0, 500.0, 1.0), Recorded("b", "A", 300.0, 900.0, 1.0)
    sessions, cut = without_overlaps([second, first, Recorded("c", "B", 100.0, 800.0, 1.0)])
    assert cut == 1
    assert [(one.id, one.departure_wall_s) for one in sessions] == [("a", 300.0), ("c", 800.0), ("b", 900.0)]


def test_the_same_second_twice_on_one_evse_is_told() -> None:
    row = "A,2026-03-01 07:30,2026-03-01 09:30,5"
    file = parse_sessions(["evse,arrival,departure,energy_kwh", row, row], "own.csv")
    assert len(file.sessions) == 1
    assert "this very second already" in file.problems[0]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 1000), st.integers(1, 500)), unique_by=lambda row: (row[0], row[1]), max_size=20))
def test_after_cutting_nothing_overlaps_and_nothing_is_lost(rows: list[tuple[str, int, int]]) -> None:
    sessions = [Recorded(str(number), evse, float(start), float(start + stay), 1.0) for number, (evse, start, stay) in enumerate(rows)]
    kept, _ = without_overlaps(sessions)
    assert len(kept) == len(sessions)
    for evse in "AB":
        mine = [one for one in kept if one.evse == evse]
        assert all(one.departure_wall_s <= after.arrival_wall_s for one, after in pairwise(mine))
        assert all(one.stay_s > 0 for one in mine)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_whatever_stands_in_a_row_the_good_rows_are_read(text: str) -> None:
    good = "A,2026-03-01 07:30,2026-03-01 09:30,5"
    lines = ["evse,arrival,departure,energy_kwh", *text.splitlines(), good]
    assert any(one.energy_wh == 5000.0 for one in parse_sessions(lines, "x", "UTC").sessions)
