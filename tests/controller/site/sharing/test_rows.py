"""Rows: their order, and who loads which."""

from __future__ import annotations

from dataclasses import replace

from controller.facts import EvseKey
from controller.site.sharing.budget import StationWish
from controller.site.sharing.rows import PAIRS
from controller.site.stations.phases import PhaseUse
from tests.support.pictures import Picture
from tests.support.site_story import depot

KEY = EvseKey("CP1", 1)


def site(**parts: object) -> Picture:
    made = Picture(depot(2, fuse_a=63.0, circuits=1, circuit_fuse_a=40.0, **parts))  # type: ignore[arg-type]
    made.car("CP1", (10.0, 0.0, 0.0), (0,))
    return made


def names(made: Picture) -> list[str]:
    return [row.reason for row in made.freeze().rows]


def test_circuits_come_first_three_rows_each() -> None:
    made = site()
    assert names(made) == ["fuse L1", "fuse L2", "fuse L3", "circuit hall0 L1", "circuit hall0 L2", "circuit hall0 L3"]
    assert made.budget.row_of("hall0", 2) == 5
    assert made.freeze().claims[0].rows == (3, 0)
    assert [row.source for row in made.freeze().rows] == ["fuse"] * 3 + ["circuit"] * 3


def test_then_the_differences_of_phases_then_stations_then_export() -> None:
    made = site(grid={"max_unbalance_a": 20}, evse={"v2g": {"max_discharge_w": 1000}})
    made.station_wishes["CP1"] = StationWish(13.0, "station profile 3")
    told = names(made)
    assert told[6:12] == [f"unbalance limit L{p + 1} over L{q + 1}" for p, q in PAIRS]
    assert told[12:15] == ["station profile 3"] * 3
    assert told[15:21] == ["fuse grid L1", "fuse grid L2", "fuse grid L3", "fuse hall0 L1", "fuse hall0 L2", "fuse hall0 L3"]
    assert told[21] == "feed-in limit"
    assert len(told) == 28
    assert made.freeze().claims[0].rows == (3, 0, 6 + PAIRS.index((0, 1)), 6 + PAIRS.index((0, 2)), 12)


def test_giving_back_loads_fuses_once_and_the_sites_sum_once_per_phase() -> None:
    made = site(evse={"v2g": {"max_discharge_w": 1000}})
    evse = replace(made.evses[KEY], phase_use=PhaseUse())
    made.freeze()
    rows = made.budget.rows.export_rows_of(evse, made.inputs())
    assert sorted(rows) == [6, 7, 8, 9, 10, 11, 12, 12, 12]


def test_a_lower_limit_takes_the_place_of_the_fuse() -> None:
    made = site()
    assert [row.capacity_a for row in made.freeze().rows] == [53.0] * 3 + [30.0] * 3
