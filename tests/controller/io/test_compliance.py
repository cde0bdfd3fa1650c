"""The compliance record on disk: appended, never changed, readable beside a running controller, kept when damaged."""

from __future__ import annotations

import asyncio
import csv
import io
import sqlite3
from pathlib import Path

import pytest

from controller.__main__ import main
from controller.facts import Direction, Fact, SourceChanged
from controller.io.clock import VirtualClock
from controller.io.compliance import FILE, ComplianceShell, ComplianceStore, csv_text, read_only
from controller.orders import RecordCompliance
from tests.support.site_story import depot

T0 = 1_780_000_000.0


def line(number: int = 0, source: str = "dso", **more: object) -> RecordCompliance:
    told = {"event": "measured", "limit_w": 4200.0, "measured_w": 4100.5, "detail": ""} | more
    return RecordCompliance(T0 + number, source, Direction.CONSUMPTION, "grid", **told)  # type: ignore[arg-type]


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    store = ComplianceStore(tmp_path / FILE)
    assert store.open() == ""
    store.write([line(number) for number in range(10)] + [line(20, "other", limit_w=None, measured_w=float("nan"))])
    assert [one.number for one in store.query(None, T0 + 2, T0 + 5)] == [3, 4, 5, 6]
    (other,) = store.query("other", 0.0, T0 + 99)
    assert (other.limit_w, other.measured_w, other.direction) == (None, None, "consumption")
    assert len(store.query(None, 0, T0 + 99, after=4, most=3)) == 3
    assert [one.number for one in read_only(tmp_path / FILE, "dso", 0, T0 + 99)] == list(range(1, 11))


def test_the_newest_changes_come_without_what_was_measured(tmp_path: Path) -> None:
    store = ComplianceStore(tmp_path / FILE)
    store.write([line(0, event="received"), line(1, event="obeyed"), line(2), line(3), line(4, "other", event="ended"), line(5)])
    assert [(one.number, one.event) for one in store.changes(None, 0.0, T0 + 99, 2)] == [(2, "obeyed"), (5, "ended")]
    assert [one.event for one in store.changes("dso", 0.0, T0 + 99, 9)] == ["received", "obeyed"]
    assert [one.event for one in store.changes(None, T0 + 1, T0 + 3, 9)] == ["obeyed"]


def test_a_line_cannot_be_changed(tmp_path: Path) -> None:
    store = ComplianceStore(tmp_path / FILE)
    store.write([line()])
    store.close()
    db = sqlite3.connect(tmp_path / FILE)
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        db.execute("UPDATE lines SET measured_w = 0")
    db.close()


def test_a_commit_is_on_the_disk(tmp_path: Path) -> None:
    store = ComplianceStore(tmp_path / FILE)
    store.open()
    assert store._ready().execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: an fsync at each commit
    assert store._ready().execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_old_lines_go_and_numbers_are_not_used_again(tmp_path: Path) -> None:
    store = ComplianceStore(tmp_path / FILE)
    store.write([line(0), line(100)])
    store.prune(T0 + 50)
    assert [one.number for one in store.query(None, 0, T0 + 999)] == [2]
    store.prune(T0 + 500)
    store.write([line(501)])
    assert [one.number for one in store.query(None, 0, T0 + 999)] == [3]


def test_a_damaged_file_is_kept_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to look like one" * 50)
    store = ComplianceStore(tmp_path / FILE)
    assert "compliance.sqlite3.damaged-1" in store.open()
    store.write([line()])
    assert len(store.query(None, 0, T0 + 9)) == 1
    assert (tmp_path / f"{FILE}.damaged-1").exists()


async def test_the_shell_writes_soon_and_the_rest_at_its_end(tmp_path: Path) -> None:
    facts: list[Fact] = []
    config = depot(1).model_copy(update={"data_dir": tmp_path})
    shell = ComplianceShell(config, VirtualClock(T0), facts.append, flush_s=0.01)
    await shell.start()
    shell.carry(line(1))
    for _ in range(200):
        if list(read_only(tmp_path / FILE, None, 0, T0 + 9)):
            break
        await asyncio.sleep(0.01)
    shell.carry(line(2))
    assert len(await shell.query(None, 0, T0 + 9)) == 2
    shell.carry(line(3))
    await shell.stop()
    assert len(list(read_only(tmp_path / FILE, None, 0, T0 + 9))) == 3
    assert [fact.healthy for fact in facts if isinstance(fact, SourceChanged)] == [True]


async def test_a_statement_does_not_wait_for_the_next_batch(tmp_path: Path) -> None:
    config = depot(1).model_copy(update={"data_dir": tmp_path})
    shell = ComplianceShell(config, VirtualClock(T0), lambda fact: None, flush_s=60.0)
    await shell.start()
    shell.carry(line(1, event="received"))
    for _ in range(500):
        if list(read_only(tmp_path / FILE, None, 0, T0 + 9)):
            break
        await asyncio.sleep(0.01)
    assert [one.event for one in read_only(tmp_path / FILE, None, 0, T0 + 9)] == ["received"]
    await shell.stop()


async def test_a_disk_that_refuses_is_told_once_and_lines_wait(tmp_path: Path) -> None:
    facts: list[Fact] = []
    (tmp_path / "file").write_text("not a folder")
    config = depot(1).model_copy(update={"data_dir": tmp_path / "file" / "data"})
    shell = ComplianceShell(config, VirtualClock(T0), facts.append, flush_s=5.0)
    await shell.start()
    shell.carry(line(1))
    with pytest.raises((OSError, sqlite3.Error)):
        await shell.query(None, 0, T0 + 9)
    (tmp_path / "file").unlink()
    assert len(await shell.query(None, 0, T0 + 9)) == 1
    await shell.stop()
    assert [fact.healthy for fact in facts if isinstance(fact, SourceChanged)][-1]


def test_csv_has_a_header_and_no_formulas(tmp_path: Path) -> None:
    store = ComplianceStore(tmp_path / FILE)
    store.write([line(0, detail="=1+1"), line(1, limit_w=None, detail='said "no", twice')])
    rows = list(csv.reader(io.StringIO(csv_text(store.query(None, 0, T0 + 9)))))
    assert rows[0] == ["number", "time_utc", "source", "direction", "circuit", "event", "limit_w", "measured_w", "detail"]
    assert rows[1] == ["1", "2026-05-28T20:26:40.000Z", "dso", "consumption", "grid", "measured", "4200.0", "4100.5", "'=1+1"]
    assert rows[2][6:] == ["", "4100.5", 'said "no", twice']


SITE = """\
site: {id: yard}
grid: {fuse_a: 63, worst_other_load_a: 20}
data_dir: %s
stations:
  - {id: CP1, evses: [{id: 1, max_current_a: 16, fallback_a: 6}]}
"""


def test_the_verb_prints_a_table_or_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE % (tmp_path / "data"))
    assert main(["compliance", str(site)]) == 1
    assert "no compliance record yet" in capsys.readouterr().err
    store = ComplianceStore(tmp_path / "data" / FILE)
    store.write([line(0, event="received"), line(5), line(9, "other")])
    store.close()
    assert main(["compliance", str(site), "--source", "dso"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2
    assert "received" in table[0]
    assert "limit 4200 W" in table[0]
    assert main(["compliance", str(site), "--from", "2026-05-28T20:26:44Z", "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert [row[2] for row in rows] == ["source", "dso", "other"]


def test_a_clock_that_is_years_ahead_for_a_while_does_not_delete_the_record(tmp_path: Path) -> None:  # F77
    store = ComplianceStore(tmp_path / FILE)
    store.write(line(number) for number in range(30_000))
    store.prune(T0 + 10 * 365 * 86_400.0)
    assert store.query(None, 0, T0 + 99_999, most=1)[0].number == 20_001


def test_lines_of_a_clock_that_was_not_set_are_not_taken_for_old_ones(tmp_path: Path) -> None:  # F78
    store = ComplianceStore(tmp_path / FILE)
    store.write([line(-int(T0) + 60), line(100), line(-int(T0) + 90), line(200)])
    store.prune(T0 + 50)
    assert [one.number for one in store.query(None, 0, T0 + 999)] == [1, 2, 3, 4]
    store.prune(T0 + 150)
    assert [one.number for one in store.query(None, 0, T0 + 999)] == [3, 4]


def test_lines_that_a_clock_put_out_of_order_are_all_found(tmp_path: Path) -> None:
    store = ComplianceStore(tmp_path / FILE)
    store.write([line(50), line(10), line(60), line(20), line(30)])
    assert [one.number for one in store.query(None, T0 + 9, T0 + 31)] == [2, 4, 5]
    assert [one.number for one in store.query(None, T0 + 9, T0 + 31, after=2)] == [4, 5]
    assert store.query(None, T0 + 70, T0 + 99) == []
