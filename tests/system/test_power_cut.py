"""The power fails under traffic: what a station had its answer to is on the disk, or at the CSMS (F68, P1, P2).

With root the disk is an image that is copied while the controller stands still; without, and in any
case, the controller's writes and syncs are recorded and the disk is rebuilt as a cut may leave
it. Both are shown to see a loss where there is one. ``make test-power-cut`` does it at length.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.support.power_cut import loop_allowed, loop_cuts, lost_by_a_writer, record, recorded_cuts
from tests.support.recorded_disk import NAME, SYNC, PowerCut, notes
from tests.support.yard import ROOT

WRITER = """
import os, sqlite3, sys
from pathlib import Path
from tests.support.recorded_disk import NAME, Recorder
folder = Path(sys.argv[1])
recorder = Recorder(folder / "disk.log")
db = sqlite3.connect(folder / NAME, isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = " + sys.argv[2])
db.execute("PRAGMA wal_autocheckpoint = 20")
db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)")
for n in range(1, 101):
    db.execute("INSERT INTO t VALUES (?, ?)", (n, "x" * 500))
    print(n, (folder / "disk.log").stat().st_size, flush=True)
os._exit(0)  # at a usual end the recorder would go before the database that calls it
"""


def worst_loss(folder: Path, synchronous: str) -> int:
    """Most rows that a cut at any moment took from a plain SQLite writer after they were committed; every image must open."""
    said = subprocess.run([sys.executable, "-c", WRITER, str(folder), synchronous], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    committed = [tuple(map(int, line.split())) for line in said.splitlines()]
    assert len(committed) == 100
    disk, random, worst = PowerCut(), Random(1), 0
    for place, one in enumerate(notes(folder / "disk.log")):
        disk.play(one)
        if place % 3 or one.end < committed[0][1]:
            continue
        image = folder / f"cut-{place}"
        image.mkdir()
        disk.build(image, random)
        with closing(sqlite3.connect(image / NAME)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            there = db.execute("SELECT count(*) FROM t").fetchone()[0] if tables else 0
        worst = max(worst, sum(end <= one.end for _, end in committed) - there)
    return worst


def test_f68_a_recorded_disk_tells_a_journal_that_syncs_from_one_that_does_not(tmp_path: Path) -> None:
    for synchronous in ("FULL", "NORMAL"):
        (tmp_path / synchronous).mkdir()
    assert worst_loss(tmp_path / "FULL", "FULL") == 0
    assert worst_loss(tmp_path / "NORMAL", "NORMAL") > 10


@pytest.mark.system
async def test_f68_power_cut_at_any_write_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    told = await record(tmp_path, stations=9, rate=5.0, seconds=4.0, seed=68, least=50)
    assert len(told) > 50
    kinds = [note.kind for note in notes(tmp_path / "disk.log")]
    assert kinds.count(SYNC) > 50
    outcome = recorded_cuts(tmp_path, told, cuts=60, seed=68)
    print(outcome)
    assert outcome.checked > 1000
    assert (outcome.lost, outcome.wrong) == (0, [])
    assert recorded_cuts(tmp_path, told, cuts=5, seed=68, deaf=True).lost > 0, "with syncs ignored something must be missing"


@pytest.mark.system
async def test_f68_power_cut_by_image_copy_or_at_four_hundred_more_writes(tmp_path: Path) -> None:
    if not loop_allowed():
        told = await record(tmp_path, stations=12, rate=5.0, seconds=8.0, seed=69, least=50)
        outcome = recorded_cuts(tmp_path, told, cuts=400, seed=69)
        assert (outcome.lost, outcome.wrong) == (0, [])
        return
    for synchronous in ("NORMAL", "FULL", "cuts"):
        (tmp_path / synchronous).mkdir()
    assert lost_by_a_writer(tmp_path / "NORMAL", "NORMAL") > 0, "an image that misses nothing shows nothing"
    assert lost_by_a_writer(tmp_path / "FULL", "FULL") == 0
    seen = await loop_cuts(tmp_path / "cuts", cuts=4, stations=9, rate=4.0, seed=68)
    print(seen)
    assert seen.complaints == []
    assert seen.verdict.faultless, str(seen)
    assert seen.verdict.acknowledged.total() > 100
