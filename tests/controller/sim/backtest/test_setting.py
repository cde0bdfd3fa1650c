"""From options to cases: the garage made from sessions, sessions placed at a site, what is told, what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from controller.paths import config_dir
from controller.sim.backtest.case import CaseError, bays_of, possible_wh
from controller.sim.backtest.garage import FEEDER, PANELS
from controller.sim.backtest.series import SeriesError
from controller.sim.backtest.setting import make_setting
from tests.controller.sim.backtest.kit import DAY, ROWS, START_S, sessions_file, setting, wanted


def test_a_garage_has_an_evse_per_name_three_panels_and_phases_in_turn(tmp_path: Path) -> None:
    case = setting(tmp_path).case
    bays = bays_of(case.config)
    assert sorted(str(key) for key in bays) == [f"P{number}/1" for number in range(1, 7)]
    assert [bays[key].node_id for key in sorted(bays, key=str)] == [*PANELS, *PANELS]
    assert [bays[key].phases for key in sorted(bays, key=str)] == [(0,), (0,), (0,), (1,), (1,), (1,)]
    assert {circuit.parent for circuit in case.config.circuits if circuit.id in PANELS} == {FEEDER}
    assert all(bay.max_current_a == 30.0 for bay in bays.values())


def test_the_limits_are_a_part_of_what_uncontrolled_charging_would_draw(tmp_path: Path) -> None:
    feeder = {percent: setting(tmp_path, capacity_percent=percent).case.config.circuits[0].fuse_a for percent in (50.0, 75.0, 100.0)}
    assert feeder == {50.0: 45.0, 75.0: 67.5, 100.0: 90.0}
    tight = setting(tmp_path, capacity_percent=1.0).case.config
    assert {circuit.fuse_a for circuit in tight.circuits} == {31.0}  # less would leave an EVSE without its own current


def test_the_conversion_of_208_v_keeps_the_power_and_is_told(tmp_path: Path) -> None:
    heads = "arrival,departure,requested_energy (kWh),delivered_energy (kWh),station_id,session_id,estimated_departure,claimed"
    row = "2019-06-03 08:00:00-07:00,2019-06-03 12:00:00-07:00,20,10,CA-1,x,2019-06-03 11:00:00-07:00,True"
    path = tmp_path / "acn.csv"
    path.write_text(f"{heads}\n{row}\n")
    case = make_setting(replace(wanted(tmp_path, sessions=path), first=date(2019, 6, 3), last=date(2019, 6, 3), timezone=None)).case
    [bay] = bays_of(case.config).values()
    assert bay.max_current_a == 29.0
    assert bay.max_power_w == pytest.approx(208 * 32, rel=0.003)
    assert case.config.site.timezone == "America/Los_Angeles"
    assert any("208 V line to line became one phase of 230 V with the same power" in note for note in case.notes)


def test_sessions_go_to_the_evse_of_their_name_and_the_others_onto_free_ones(tmp_path: Path) -> None:
    rows = [("A1/2", 8.0, 12.0, 5.0), ("A4", 8.0, 12.0, 5.0), ("stall 7", 8.0, 12.0, 5.0), ("B3/1", 8.0, 12.0, 5.0)]
    case = setting(tmp_path, sessions=sessions_file(tmp_path, rows), site=config_dir() / "site.demo.yaml", prices=None).case
    where = {visit.id: visit.evse for visit in case.visits}
    assert [where[f"line {number}"] for number in (3, 5)] == ["A4/1", "B3/1"]
    assert set(where.values()) >= {"A1/1", "A4/1", "B3/1"}
    assert any("put in sorted order onto free ones" in note and "stall 7" in note for note in case.notes)


def test_more_names_than_evses_leaves_sessions_out_and_says_so(tmp_path: Path) -> None:
    rows = [(f"X{number:02d}", 8.0, 12.0, 5.0) for number in range(20)]
    case = setting(tmp_path, sessions=sessions_file(tmp_path, rows), site=config_dir() / "site.demo.yaml").case
    assert len(case.visits) == len(bays_of(case.config))
    assert any("no EVSE was left for" in note for note in case.notes)


def test_what_a_car_wants_is_never_more_than_its_stay_allows(tmp_path: Path) -> None:
    rows = [*ROWS, ("P7", 8.0, 8.5, 30.0), ("P8", 23.0, 31.0 - 24.0 + 16.5, 40.0)]
    case = setting(tmp_path, sessions=sessions_file(tmp_path, rows)).case
    for visit in case.visits:
        assert visit.wanted_wh <= possible_wh(visit.max_power_w, visit.departure_wall_s - visit.arrival_wall_s) + 1e-6
        assert visit.departure_wall_s <= case.end_wall_s
    assert any("cannot be had in these stays" in note for note in case.notes)


def test_earlier_sessions_are_the_past_and_never_the_future(tmp_path: Path) -> None:
    days = [DAY - timedelta(days=7), DAY - timedelta(days=1), DAY, DAY + timedelta(days=1)]
    case = setting(tmp_path, sessions=sessions_file(tmp_path, days=days)).case
    assert len(case.past) == 2 * len(ROWS)
    assert all(past.departure_wall_s <= START_S for past in case.past)
    assert all(START_S <= visit.arrival_wall_s < case.end_wall_s for visit in case.visits)
    assert {past.user for past in case.past} == {f"user-{row[0]}" for row in ROWS}


def test_a_share_of_cars_gives_back_and_the_same_seed_chooses_the_same(tmp_path: Path) -> None:
    days = [DAY + timedelta(days=number) for number in range(30)]
    path = sessions_file(tmp_path, days=days)
    one, other = (setting(tmp_path, sessions=path, last=days[-1], seed=seed).v2g for seed in (1, 2))
    again = setting(tmp_path, sessions=path, last=days[-1], seed=1).v2g
    assert one is not None
    assert other is not None
    assert one == again
    assert one.visits != other.visits
    share = sum(visit.max_discharge_w > 0 for visit in one.visits) / len(one.visits)
    assert 0.2 < share < 0.4
    assert all(visit.soc is not None and visit.capacity_wh is not None for visit in one.visits if visit.max_discharge_w > 0)
    assert setting(tmp_path, v2g_share=0.0).v2g is None


def test_a_site_that_lets_nothing_be_given_back_has_no_such_case(tmp_path: Path) -> None:
    text = (config_dir() / "site.demo.yaml").read_text(encoding="utf-8")
    path = tmp_path / "site.yaml"
    path.write_text("\n".join(line for line in text.splitlines() if "v2g" not in line), encoding="utf-8")
    assert setting(tmp_path, site=path, prices=None).v2g is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"first": date(2025, 1, 1), "last": None}, "the file has 2026-06-03 to 2026-06-03"),
        ({"last": DAY - timedelta(days=1)}, "is before --from"),
        ({"last": DAY + timedelta(days=500)}, "more than 400 days"),
        ({"timezone": "Mars/Base"}, "unknown time zone 'Mars/Base'"),
        ({"prices": None}, "has no tariff; give prices with --prices"),
    ],
)
def test_what_cannot_be_is_told(changes: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(CaseError) as caught:
        setting(tmp_path, **changes)
    assert told in str(caught.value)


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match=r"none\.csv cannot be read"):
        setting(tmp_path, load="none.csv")
    with pytest.raises(SeriesError, match=r"none\.json cannot be read"):
        setting(tmp_path, prices="none.json")
