"""An update that is cut short, F80: power fails while a new version brings the journal of an old one up to date (F68, F76).

Whichever program starts next finds a journal it can read: the old one as it was, or all of it in its new form.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from controller.io.journal.store import FILE_NAME, SCHEMA_VERSION, JournalStore
from controller.io.shell import StartError
from tests.support.recorded_disk import PowerCut, notes
from tests.support.yard import ROOT

UPDATE = """
import os, sys
from pathlib import Path
from controller.io.journal.store import JournalStore
from tests.controller.io.journal.test_shell import old_file
from tests.support.recorded_disk import Recorder
folder = Path(sys.argv[1])
recorder = Recorder(folder / "disk.log")
old_file(folder, ["a", "b", "parked"])
print((folder / "disk.log").stat().st_size, flush=True)
store = JournalStore(folder, "now", 4096)
assert len(store.read().outbox["CP1"]) == 3
store.close()
os._exit(0)  # at a usual end the recorder would go before the database that calls it
"""


@pytest.fixture(scope="module")
def update(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The record of an update, and where it begins in it."""
    folder = tmp_path_factory.mktemp("update")
    said = subprocess.run([sys.executable, "-c", UPDATE, str(folder)], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return folder / "disk.log", int(said)


@pytest.mark.parametrize("seed", range(4))
def test_f80_power_fails_at_any_write_of_an_update_and_nothing_is_lost(update: tuple[Path, int], tmp_path: Path, seed: int) -> None:
    log, begin = update
    disk, random, seen = PowerCut(), Random(seed), set()
    for number, note in enumerate(notes(log)):
        disk.play(note)
        if note.end < begin:
            continue
        image = tmp_path / f"cut-{number}"
        image.mkdir()
        disk.build(image, random)
        with closing(sqlite3.connect(image / FILE_NAME)) as db:  # as the program before the update finds it
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            assert db.execute("SELECT count(*) FROM outbox").fetchone() == (3,)
        assert version in (1, SCHEMA_VERSION)
        seen.add(version)
        store = JournalStore(image, "cut", 4096)
        content = store.read()
        store.close()
        assert ([row.parked for row in content.outbox["CP1"]], content.memories) == ([False, False, True], {("space", "key"): 1})
        assert (store.notes, content.damaged) == ([], 0)
    assert seen == {1, SCHEMA_VERSION}, "cuts before and after the moment of the change were among them"


def test_f80_the_program_before_the_update_says_what_to_do_with_a_journal_it_cannot_read(tmp_path: Path) -> None:
    """The way back needs the copy of the data folder that the runbook asks for."""
    store = JournalStore(tmp_path, "now", 4096)
    store.close()
    with closing(sqlite3.connect(store.path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = store.path.read_bytes()
    with pytest.raises(StartError, match="install the newer version again, or move the file away"):
        JournalStore(tmp_path, "now", 4096)
    assert store.path.read_bytes() == before
