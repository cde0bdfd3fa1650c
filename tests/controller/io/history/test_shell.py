"""The history file: written in batches, thinned for the page, a guest that never disturbs (F73, F75)."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.config import Config
from controller.facts import Fact, SourceChanged, Stamp
from controller.io.clock import VirtualClock
from controller.io.history.shell import HistoryShell
from controller.io.history.store import HistoryStore, Series
from controller.orders import RecordPoint

NOW_S = 1_780_000_000.0


class FixedClock:
    """It is always the same moment."""

    def stamp(self) -> Stamp:
        return Stamp(0.0, NOW_S)


def site(folder: Path, **history: Any) -> Config:
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10},
            "data_dir": str(folder),
            "history": {"type": "embedded", **history},
        }
    )


def point(at_s: float, measurement: str = "grid", tags: dict[str, str] | None = None, **fields: float) -> RecordPoint:
    return RecordPoint(measurement, tags or {}, fields or {"power_w": at_s}, NOW_S + at_s)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[tuple[HistoryShell, list[Fact]]]:
    facts: list[Fact] = []
    shell = HistoryShell(config, FixedClock(), facts.append, flush_s=0.01)
    await shell.start()
    try:
        yield shell, facts
    finally:
        await shell.stop()


async def until_told(facts: list[Fact], healthy: bool) -> str:
    async with asyncio.timeout(20):
        while True:
            for fact in facts:
                if isinstance(fact, SourceChanged) and fact.healthy is healthy:
                    return fact.detail
            await asyncio.sleep(0.005)


async def test_points_are_there_after_a_restart(tmp_path: Path) -> None:
    async with running(site(tmp_path)) as (shell, _):
        for at_s in (3.0, 1.0, 2.0):
            shell.carry(point(at_s, tags={"meter": "grid"}, power_w=at_s * 100, limit_a=32.0))
    async with running(site(tmp_path)) as (shell, _):
        found = await shell.query("grid", {}, NOW_S, NOW_S + 10)
    assert found == [
        Series({"meter": "grid"}, "power_w", ((NOW_S + 1, 100.0), (NOW_S + 2, 200.0), (NOW_S + 3, 300.0))),
        Series({"meter": "grid"}, "limit_a", ((NOW_S + 1, 32.0), (NOW_S + 2, 32.0), (NOW_S + 3, 32.0))),
    ]


async def test_health_is_told_once(tmp_path: Path) -> None:
    async with running(site(tmp_path)) as (shell, facts):
        for at_s in range(20):
            shell.carry(point(at_s))
            await asyncio.sleep(0.005)
        assert await until_told(facts, True) == "history is being recorded"
    assert len(facts) == 1


async def test_f75_a_damaged_file_is_set_aside_and_recording_goes_on(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite3").write_bytes(b"no database at all" * 1000)
    async with running(site(tmp_path)) as (shell, facts):
        assert "history.sqlite3.damaged-1" in await until_told(facts, False)
        shell.carry(point(1.0))
        await until_told(facts, True)
        assert len(await shell.query("grid", {}, NOW_S, NOW_S + 10)) == 1
    assert (tmp_path / "history.sqlite3.damaged-1").exists()


async def test_f73_a_folder_that_cannot_be_written_is_told_and_points_wait_for_it(tmp_path: Path) -> None:
    blocked = tmp_path / "data"
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    async with running(site(blocked)) as (shell, facts):
        assert "control is not affected" in await until_told(facts, False)
        shell.carry(point(1.0))
        with pytest.raises((OSError, sqlite3.Error)):
            await shell.query("grid", {}, NOW_S, NOW_S + 10)
        blocked.unlink()
        await until_told(facts, True)
        assert (await shell.query("grid", {}, NOW_S, NOW_S + 10))[0].points == ((NOW_S + 1, 1.0),)


async def test_stop_may_be_called_twice(tmp_path: Path) -> None:
    shell = HistoryShell(site(tmp_path), FixedClock(), print)
    await shell.start()
    await shell.stop()
    await shell.stop()


async def test_old_points_are_deleted(tmp_path: Path) -> None:
    async with running(site(tmp_path)) as (shell, _):
        shell.carry(point(-3 * 86_400.0, tags={"evse": "old"}))
        shell.carry(point(-1 * 86_400.0, tags={"evse": "new"}))
    async with running(site(tmp_path, retention_days=2)) as (shell, _):
        async with asyncio.timeout(20):
            found = await shell.query("grid", {}, 0, NOW_S)
            while len(found) > 1:
                await asyncio.sleep(0.01)
                found = await shell.query("grid", {}, 0, NOW_S)
    assert found[0].tags == {"evse": "new"}


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    store = HistoryStore(tmp_path / "deep" / "history.sqlite3")
    store.open()
    return store


def test_tags_select(store: HistoryStore) -> None:
    store.write([point(0, "evse", {"station": "A", "evse": "1"}), point(0, "evse", {"station": "B", "evse": "1"}), point(0, "grid")])
    assert [series.tags["station"] for series in store.query("evse", {}, NOW_S, NOW_S, 10)] == ["A", "B"]
    assert [series.tags["station"] for series in store.query("evse", {"station": "B"}, NOW_S, NOW_S, 10)] == ["B"]
    assert store.query("evse", {"station": "B", "colour": "red"}, NOW_S, NOW_S, 10) == []


def test_many_points_become_means_and_few_stay_as_they_are(store: HistoryStore) -> None:
    store.write([point(at_s, power_w=float(at_s)) for at_s in range(1000)])
    (thin,) = store.query("grid", {}, NOW_S, NOW_S + 999, 10)
    assert len(thin.points) == 10
    assert thin.points[0] == (NOW_S, pytest.approx(49.5, abs=1))
    (exact,) = store.query("grid", {}, NOW_S, NOW_S + 4, 10)
    assert exact.points == tuple((NOW_S + at_s, float(at_s)) for at_s in range(5))


@pytest.mark.parametrize("max_points", [1, 2, 3, 7, 100, 5000])
def test_law_never_more_points_than_asked_and_all_fields_share_their_times(store: HistoryStore, max_points: int) -> None:
    store.write([point(at_s * 1.7, power_w=1.0, limit_a=2.0) for at_s in range(500)])
    power, limit = store.query("grid", {}, NOW_S, NOW_S + 900, max_points)
    assert len(power.points) <= max_points
    assert [at for at, _ in power.points] == [at for at, _ in limit.points]


def test_the_same_moment_again_replaces_and_nonsense_is_left_out(store: HistoryStore) -> None:
    store.write([point(0, power_w=1.0), point(0, power_w=2.0, limit_a=math.nan)])
    assert [series.points for series in store.query("grid", {}, NOW_S, NOW_S, 10)] == [((NOW_S, 2.0),)]


def test_a_failed_batch_leaves_nothing_behind_and_the_next_one_is_right(store: HistoryStore) -> None:
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON recent WHEN NEW.value = 666 BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    store._opened().execute(refuse)
    with pytest.raises(sqlite3.Error, match="disk full"):
        store.write([point(0), point(0, "evse", power_w=666.0)])
    store.write([point(1, "evse")])
    assert store.query("grid", {}, NOW_S, NOW_S + 5, 10) == []
    assert len(store.query("evse", {}, NOW_S, NOW_S + 5, 10)) == 1


async def test_f78_points_of_a_box_without_its_time_get_it_when_the_clock_is_set(tmp_path: Path) -> None:
    clock = VirtualClock(start_wall_s=20.0)
    shell = HistoryShell(site(tmp_path), clock, print, flush_s=0.01)
    await shell.start()
    try:
        for number in (1.0, 2.0):
            shell.carry(RecordPoint("grid", {}, {"power_w": number}, clock.stamp().wall_s))
            clock.advance(10.0)
        clock.set_wall(NOW_S)
        shell.carry(RecordPoint("grid", {}, {"power_w": 3.0}, NOW_S))
        found: list[Series] = []
        async with asyncio.timeout(20):
            while not found:
                await asyncio.sleep(0.01)
                found = await shell.query("grid", {}, 0, NOW_S + 10)
    finally:
        await shell.stop()
    assert [series.points for series in found] == [((NOW_S - 20.0, 1.0), (NOW_S - 10.0, 2.0), (NOW_S, 3.0))]


@pytest.mark.parametrize("wall_s", [math.nan, math.inf, -1.0, 1e30])
async def test_a_point_without_a_possible_time_is_left_out(tmp_path: Path, wall_s: float) -> None:
    async with running(site(tmp_path)) as (shell, facts):
        shell.carry(RecordPoint("grid", {}, {"power_w": 1.0}, wall_s))
        shell.carry(point(1.0))
        await until_told(facts, True)
        assert [series.points for series in await shell.query("grid", {}, 0, NOW_S + 10)] == [((NOW_S + 1, 1.0),)]
