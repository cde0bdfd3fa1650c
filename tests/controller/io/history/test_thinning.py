"""Old history becomes coarser: means and last values, in small steps, twice changes nothing, files of earlier versions come along."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.config import Config
from controller.facts import Fact, Stamp
from controller.io.history.shell import HistoryShell
from controller.io.history.store import HistoryStore
from controller.io.history.thinning import Level, counts_up
from controller.orders import RecordPoint

DAY_S = 86_400
TODAY_S = 20_000 * DAY_S
NOW_S = TODAY_S + 6 * 3600.0
FINE, COARSE = Level(300, 8.0), Level(900, 35.0)


class FixedClock:
    """It is always the same moment."""

    def stamp(self) -> Stamp:
        return Stamp(0.0, NOW_S)


def site(folder: Path, **history: Any) -> Config:
    parts = {"site": {"id": "test"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}}
    return Config.model_validate({**parts, "data_dir": str(folder), "history": {"type": "embedded", **history}})


def day(days_ago: int, measurement: str = "grid", every_s: int = 10, seconds: int = 3600) -> list[RecordPoint]:
    """Power that rises by one per point and a counter, from the beginning of a day."""
    begin_s = TODAY_S - days_ago * DAY_S
    return [
        RecordPoint(measurement, {}, {"power_w": float(number), "energy_import_wh": 1000.0 + number}, begin_s + number * every_s)
        for number in range(seconds // every_s)
    ]


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    store = HistoryStore(tmp_path / "history.sqlite3")
    store.open()
    return store


def settle_all(store: HistoryStore) -> None:
    """Everything recent goes to its place."""
    for part in store.unsettled():
        store.settle(part)
    store.settled()


def thin_all(store: HistoryStore, *levels: Level) -> list[int]:
    """Everything that is due; how many points each step took away."""
    settle_all(store)
    gone = []
    for level in levels:
        while slices := store.todo(level, NOW_S):
            gone += [store.thin(part) for part in slices]
            store.done(level, slices[0].until_ms)
    return gone


def series(store: HistoryStore, field: str, days_ago: int, measurement: str = "grid") -> list[tuple[float, float]]:
    begin_s = TODAY_S - days_ago * DAY_S
    found = [one for one in store.query(measurement, {}, begin_s, begin_s + DAY_S - 1, 100_000) if one.field == field]
    return [(at - begin_s, value) for at, value in found[0].points] if found else []


def test_means_of_five_minutes_and_the_last_value_of_counters(store: HistoryStore) -> None:
    """Thirty points per five minutes: 0..29 have the mean 14.5, 30..59 the mean 44.5; their last values are 29 and 59."""
    store.write(day(10))
    thin_all(store, FINE, COARSE)
    assert series(store, "power_w", 10)[:2] == [(0.0, 14.5), (300.0, 44.5)]
    assert series(store, "energy_import_wh", 10)[:2] == [(0.0, 1029.0), (300.0, 1059.0)]
    assert len(series(store, "power_w", 10)) == 12


def test_older_points_become_quarters_of_an_hour_from_means_of_means(store: HistoryStore) -> None:
    """Ninety points per quarter: 0..89 have the mean 44.5; the last is 89."""
    store.write(day(40))
    thin_all(store, FINE, COARSE)
    assert [at for at, _ in series(store, "power_w", 40)] == [0, 900, 1800, 2700]
    assert [value for _, value in series(store, "power_w", 40)] == pytest.approx([44.5, 134.5, 224.5, 314.5])
    assert series(store, "energy_import_wh", 40)[0] == (0.0, 1089.0)


def test_young_points_and_events_stay_as_they_are(store: HistoryStore) -> None:
    store.write([*day(7), *day(10, "session"), *day(10)])
    thin_all(store, FINE, COARSE)
    assert (len(series(store, "power_w", 7)), len(series(store, "power_w", 10, "session"))) == (360, 360)


def test_only_whole_days_that_are_old_enough(store: HistoryStore) -> None:
    """At 06:00 the eighth day back is old enough only until 06:00; it waits until all of it is."""
    store.write(day(8))
    settle_all(store)
    assert store.todo(FINE, NOW_S) == []
    assert store.todo(FINE, NOW_S + 18 * 3600) != []


def test_twice_changes_nothing_even_after_a_crash_in_the_middle(store: HistoryStore) -> None:
    store.write([*day(10), *day(10, "evse")])
    settle_all(store)
    first = store.todo(FINE, NOW_S)
    store.thin(first[0])  # and the power goes away: nothing was noted
    thin_all(store, FINE)
    once = series(store, "power_w", 10)
    assert all(store.thin(part) == 0 for part in first)
    assert series(store, "power_w", 10) == once
    assert store.todo(FINE, NOW_S) == []


def test_a_clock_that_stood_at_1970_costs_one_step_not_fifty_years(store: HistoryStore) -> None:
    store.write([RecordPoint("grid", {}, {"power_w": 1.0}, 5.0), *day(10)])
    assert len(thin_all(store, FINE)) <= 4


def test_a_clock_that_ran_ahead_or_other_days_in_the_site_file_stop_nothing(store: HistoryStore) -> None:
    """Ten years ahead for a while: when it is right again, what comes later becomes coarser as ever."""
    store.write(day(30))
    store.done(FINE, round((NOW_S + 3650 * DAY_S) * 1000))
    thin_all(store, FINE)
    store.write(day(10))
    thin_all(store, FINE)
    assert (len(series(store, "power_w", 30)), len(series(store, "power_w", 10))) == (12, 12)


def test_a_file_of_an_earlier_version_comes_along(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    with sqlite3.connect(path) as old:
        old.executescript(
            "CREATE TABLE series(id INTEGER PRIMARY KEY, measurement TEXT NOT NULL, tags TEXT NOT NULL, field TEXT NOT NULL,"
            " UNIQUE(measurement, tags, field));"
            "CREATE TABLE points(series INTEGER NOT NULL, wall_ms INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY(series, wall_ms)) WITHOUT ROWID;"
            "INSERT INTO series VALUES(1, 'grid', '{}', 'power_w');"
        )
        begin_ms = (TODAY_S - 10 * DAY_S) * 1000
        old.executemany("INSERT INTO points VALUES(1, ?, ?)", [(begin_ms + 10_000 * n, float(n)) for n in range(30)])
    old.close()
    store = HistoryStore(path)
    assert store.open() == ""
    thin_all(store, FINE)
    assert series(store, "power_w", 10) == [(0.0, 14.5)]


def test_the_page_gets_the_last_value_of_counters_too(store: HistoryStore) -> None:
    store.write(day(1))
    (counter,) = [one for one in store.query("grid", {}, TODAY_S - DAY_S, TODAY_S - DAY_S + 3599, 12) if one.field == "energy_import_wh"]
    assert counter.points[0] == (TODAY_S - DAY_S, 1029.0)


@pytest.mark.parametrize(("field", "counter"), [("energy_wh", True), ("energy_import_wh", True), ("power_w", False), ("limit_a", False)])
def test_counters_are_known_by_their_unit(field: str, counter: bool) -> None:
    assert counts_up(field) is counter


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[HistoryShell]:
    facts: list[Fact] = []
    shell = HistoryShell(config, FixedClock(), facts.append, flush_s=0.01)
    await shell.start()
    try:
        yield shell
    finally:
        await shell.stop()


async def until_points(shell: HistoryShell, begin_s: float, count: int) -> None:
    """Wait until an hour holds so many points."""
    async with asyncio.timeout(20):
        while True:
            found = await shell.query("grid", {}, begin_s, begin_s + 3599, 10_000)
            if found and len(found[0].points) == count:
                return
            await asyncio.sleep(0.01)


async def test_the_shell_thins_by_itself_while_it_answers_and_writes(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path / "history.sqlite3")
    store.write([one for days_ago in range(9, 40) for one in day(days_ago, every_s=60)])
    store.close()
    begin_s = TODAY_S - 39 * DAY_S
    async with running(site(tmp_path)) as shell:
        shell.carry(RecordPoint("grid", {}, {"power_w": 5.0}, NOW_S))
        await until_points(shell, begin_s, 4)
        await until_points(shell, NOW_S, 1)


async def test_the_days_are_those_of_the_site_file(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path / "history.sqlite3")
    store.write(day(3))
    store.close()
    begin_s = TODAY_S - 3 * DAY_S
    async with running(site(tmp_path, fine_days=1, coarse_days=2)) as shell:
        await until_points(shell, begin_s, 4)
