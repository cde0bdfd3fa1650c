"""The history file: a batch touches few pages, a kill at any moment costs nothing that was written, deleting goes a day at a time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from controller.io.history.sqlite_file import FREE_LEAST_PAGES, FREE_PART, INCREMENTAL, STEP_PAGES
from controller.io.history.store import HistoryStore
from controller.orders import RecordPoint

DAY_S = 86_400
BEGIN_S = 20_000.0 * DAY_S


def batch(at_s: float, chargers: int = 60) -> list[RecordPoint]:
    """What a depot records in one go."""
    fields = {"power_w": at_s % 11_000, "limit_a": 16.0, "energy_wh": at_s % 50_000}
    return [RecordPoint("evse", {"evse": f"CP{number}/1"}, fields, BEGIN_S + at_s) for number in range(chargers)]


def settle_all(store: HistoryStore) -> None:
    for part in store.unsettled():
        store.settle(part)
    store.settled()


def rows_of(path: Path, table: str) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
    finally:
        db.close()


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    store = HistoryStore(tmp_path / "history.sqlite3")
    store.open()
    return store


def test_the_disk_writes_little_more_than_the_points(store: HistoryStore, tmp_path: Path) -> None:
    """180 series, an hour of batches, settled twice: what goes to the log is counted in pages. Straight to their places it was 180 pages a batch."""
    store._opened().execute("PRAGMA wal_autocheckpoint = 0")
    for number in range(360):
        store.write(batch(10.0 * number))
        if number % 180 == 179:
            settle_all(store)
    written = (tmp_path / "history.sqlite3-wal").stat().st_size
    rows = 360 * 180
    assert written / rows < 200  # measured 144 bytes a row; 4200 before
    assert rows_of(tmp_path / "history.sqlite3", "recent") == 0


@pytest.mark.parametrize("settled", ["nothing", "a part", "all but the last word", "all"])
def test_questions_see_every_point_once_wherever_it_is(store: HistoryStore, tmp_path: Path, settled: str) -> None:
    for number in range(50):
        store.write(batch(10.0 * number, 30))
    parts = store.unsettled()
    for part in parts[: {"nothing": 0, "a part": 2}.get(settled, len(parts))]:
        store.settle(part)
    if settled == "all":
        store.settled()
    store.write(batch(500.0, 30))
    expected = store.query("evse", {}, BEGIN_S, BEGIN_S + DAY_S, 100_000)
    assert (len(expected), {len(series.points) for series in expected}) == (90, {51})
    again = HistoryStore(tmp_path / "history.sqlite3")  # as after a kill: nothing was closed
    assert again.query("evse", {}, BEGIN_S, BEGIN_S + DAY_S, 100_000) == expected
    settle_all(again)
    assert again.query("evse", {}, BEGIN_S, BEGIN_S + DAY_S, 100_000) == expected
    assert rows_of(tmp_path / "history.sqlite3", "points") == 90 * 51


def test_a_kill_9_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """A child writes and settles all the time and says each batch that is done; it is killed in the middle of its work."""
    path = tmp_path / "history.sqlite3"
    child = subprocess.Popen([sys.executable, "-m", "tests.support.history_settler", str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    done = 0
    for line in child.stdout:
        done = int(line)
        if done >= 300:
            break
    child.kill()
    done = max([done, *(int(line) for line in child.stdout if line.endswith("\n"))])
    child.wait()
    child.stdout.close()
    store = HistoryStore(path)
    assert store.open() == ""
    found = store.query("evse", {}, BEGIN_S, BEGIN_S + 10 * DAY_S, 10**7)
    counts = {len(series.points) for series in found}
    assert len(found) == 30
    assert counts in ({done}, {done + 1})


def test_old_points_go_a_day_at_a_time_and_empty_series_with_them(store: HistoryStore) -> None:
    for days in range(5):
        store.write(batch(days * DAY_S, 3))
    store.write([RecordPoint("session", {"evse": "A", "transaction_id": "1"}, {"energy_wh": 1.0}, BEGIN_S + 60.0)])
    settle_all(store)
    steps = store.old(BEGIN_S + 3 * DAY_S)
    for part in steps:
        store.prune(part)
    store.pruned()
    assert len(steps) == 10
    assert store.query("session", {}, 0.0, BEGIN_S + 10 * DAY_S, 10) == []
    assert {len(series.points) for series in store.query("evse", {}, 0.0, BEGIN_S + 10 * DAY_S, 10_000)} == {4}
    for _ in range(2):
        for part in store.old(BEGIN_S + 3 * DAY_S):
            store.prune(part)
    assert store.old(BEGIN_S + 3 * DAY_S) == []
    assert {series.points[0][0] for series in store.query("evse", {}, 0.0, BEGIN_S + 10 * DAY_S, 10_000)} == {BEGIN_S + 3 * DAY_S}


def test_a_series_that_is_only_recent_is_not_forgotten(store: HistoryStore) -> None:
    store.write(batch(0.0, 1))
    store.pruned()
    store.write(batch(10.0, 1))
    settle_all(store)
    assert {len(series.points) for series in store.query("evse", {}, 0.0, BEGIN_S + DAY_S, 100)} == {2}


# -- space -------------------------------------------------------------------------------------------------


def pragma(path: Path, name: str) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute(f"PRAGMA {name}").fetchone()[0])
    finally:
        db.close()


def fill(store: HistoryStore, days: int) -> None:
    for number in range(days):
        for at_s in range(0, 1200, 10):
            store.write(batch(number * DAY_S + at_s, 200))
        settle_all(store)


def prune_all(store: HistoryStore, before_s: float) -> None:
    while parts := store.old(before_s):
        for part in parts:
            store.prune(part)


def test_space_of_deleted_points_goes_back_to_the_disk_in_small_steps(
    store: HistoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.io.history.sqlite_file.FREE_LEAST_PAGES", 20)
    path = tmp_path / "history.sqlite3"
    assert pragma(path, "auto_vacuum") == INCREMENTAL
    fill(store, 2)
    before = pragma(path, "page_count")
    prune_all(store, BEGIN_S + 2 * DAY_S)
    store.write(batch(2.0 * DAY_S))
    steps = 0
    while store.give_back():
        steps += 1
        assert before - pragma(path, "page_count") <= steps * (STEP_PAGES + 2)  # none of them is long; pages of the map go too
        assert store.query("evse", {"evse": "CP1/1"}, BEGIN_S, BEGIN_S + 9 * DAY_S, 50)  # questions get in between
    assert 2 < steps <= before // STEP_PAGES + 1
    free, pages = pragma(path, "freelist_count"), pragma(path, "page_count")
    assert free <= max(20, FREE_PART * pages)
    store.close()  # the last checkpoint
    assert path.stat().st_size == 4096 * pages < 4096 * before / 2


def test_what_tomorrow_will_fill_again_stays(store: HistoryStore, tmp_path: Path) -> None:
    fill(store, 1)
    prune_all(store, BEGIN_S + DAY_S)
    assert 0 < pragma(tmp_path / "history.sqlite3", "freelist_count") < FREE_LEAST_PAGES
    assert not store.give_back()


@pytest.mark.parametrize(("most_bytes", "learns"), [(2**25, True), (10_000, False)])
def test_a_file_of_an_earlier_version_learns_it_if_it_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, learns: bool
) -> None:
    monkeypatch.setattr("controller.io.history.sqlite_file.REWRITTEN_MOST_BYTES", most_bytes)
    path = tmp_path / "history.sqlite3"
    earlier = sqlite3.connect(path)
    earlier.executescript("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS padding(text TEXT);")
    earlier.executemany("INSERT INTO padding VALUES(?)", [("x" * 1000,)] * 50)
    earlier.commit()
    earlier.close()
    store = HistoryStore(path)
    assert store.open() == ""
    assert (pragma(path, "auto_vacuum") == INCREMENTAL) is learns
    assert not store.give_back()
    assert rows_of(path, "padding") == 50
