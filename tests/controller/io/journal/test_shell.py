"""The journal: acknowledged means on disk, through kill -9, full and failing disks, corrupt and foreign files."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.config import Config
from controller.facts import OutboxRow, Persisted, PersistFailed, RowsLoaded, SourceChanged
from controller.io.clock import Clock, VirtualClock
from controller.io.journal import store as journal_store
from controller.io.journal.rows import texts as texts_of
from controller.io.journal.shell import JournalShell, export_parked, lock_folder
from controller.io.journal.store import RESERVE_NAME, TEXTS_AT_START, Batch, JournalError, JournalStore
from controller.io.shell import StartError
from controller.io.tasks import spawn
from controller.orders import ForgetRows, LoadRows, Persist, UpdateRow
from tests.support.examples import examples
from tests.support.facts import FactLog

ROOT = Path(__file__).resolve().parents[4]


def config(folder: Path) -> Config:
    return Config.model_validate({"site": {"id": "t"}, "grid": {"fuse_a": 63, "worst_other_load_a": 20}, "data_dir": str(folder)})


def row(text: str = "[2]", station_id: str = "CP1", transaction_id: str = "tx") -> OutboxRow:
    return OutboxRow(0, station_id, transaction_id, "TransactionEvent", text, 1_700_000_000.25)


class Journal(FactLog):
    """A running shell and its facts."""

    shell: JournalShell

    def persist(self, token: int, *rows: OutboxRow, **remember: Any) -> None:
        self.shell.carry(Persist(token, rows, {("space", key): value for key, value in remember.items()}))


@asynccontextmanager
async def journal(folder: Path, **more: Any) -> AsyncIterator[Journal]:
    log = Journal()
    log.shell = JournalShell(config(folder), Clock(), log.submit, **{"reserve_bytes": 4096, **more})
    await log.shell.start()
    try:
        yield log
    finally:
        await log.shell.stop()


async def stored(folder: Path) -> tuple[dict[tuple[str, str], Any], dict[str, tuple[OutboxRow, ...]]]:
    async with journal(folder) as log:
        found = log.shell.load()
        return found.memories, found.outbox


async def stored_texts(folder: Path) -> list[str]:
    """Texts of everything queued, read page by page as the engine does."""
    async with journal(folder) as log:
        numbers = tuple(one.number for one in log.shell.load().outbox.get("CP1", ()))
        log.shell.carry(LoadRows("CP1", numbers))
        found = await log.next(RowsLoaded)
        assert found.asked == numbers
        return [one.text for one in found.rows]


# -- the ordinary life ----------------------------------------------------------------------------


async def test_rows_and_memories_come_back_in_order(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        assert (log.shell.load().memories, log.shell.load().outbox) == ({}, {})
        log.persist(1, row("a"), row("b", "CP2"))
        log.persist(2, row("c"), key={"x": [1, None, "ü"]}, gone=1)
        log.persist(3, gone=None)
        await log.next(Persisted, 3)
        assert [fact.token for fact in log.of(Persisted)] == [1, 2, 3]
        numbers = [one.number for fact in log.of(Persisted) for one in fact.rows]
        assert numbers == sorted(set(numbers))
        assert numbers[0] > 0
    memories, outbox = await stored(tmp_path)
    assert memories == {("space", "key"): {"x": [1, None, "ü"]}}
    assert [one.text for one in outbox["CP1"]] == ["a", "c"]
    assert outbox["CP2"] == (replace(row("b", "CP2"), number=numbers[1]),)


async def test_forgotten_rows_go_and_updated_rows_keep_their_counts(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        log.persist(1, row("a"), row("b"), row("c"))
        first, second, third = (await log.next(Persisted)).rows
        log.shell.carry(ForgetRows((first.number, 999)))
        log.shell.carry(UpdateRow(second.number, 3, parked=False))
        log.shell.carry(UpdateRow(third.number, 5, parked=True))
    _, outbox = await stored(tmp_path)
    assert [(one.text, one.attempts, one.parked) for one in outbox["CP1"]] == [("b", 3, False), ("", 5, True)]


async def test_numbers_are_never_used_twice(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        log.persist(1, row())
        number = (await log.next(Persisted)).rows[0].number
        log.shell.carry(ForgetRows((number,)))
    async with journal(tmp_path) as log:
        log.persist(1, row())
        assert (await log.next(Persisted)).rows[0].number > number


async def test_token_0_wants_no_answer(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        log.persist(0, key=1)
        log.persist(7)
        assert (await log.next(Persisted)).token == 7
        assert len(log.of(Persisted)) == 1
    assert (await stored(tmp_path))[0] == {("space", "key"): 1}


async def test_one_order_that_cannot_be_stored_does_not_harm_its_neighbours(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        log.persist(1, row("before"))
        log.persist(2, row(transaction_id="\ud800"))
        log.persist(3, bad=object())
        log.persist(4, row("after"))
        await log.until(lambda: len(log.of(Persisted)) + len(log.of(PersistFailed)) == 4)
        assert sorted(fact.token for fact in log.of(Persisted)) == [1, 4]
        assert sorted(fact.token for fact in log.of(PersistFailed)) == [2, 3]
        assert not log.of(SourceChanged)
    assert [one.text for one in (await stored(tmp_path))[1]["CP1"]] == ["before", "after"]


async def test_a_second_controller_is_kept_out_of_the_folder(tmp_path: Path) -> None:
    async with journal(tmp_path):
        with pytest.raises(StartError, match=r"another Yardmaster \(process \d+\) uses the data folder .*; stop it or change data_dir"):
            async with journal(tmp_path):
                pass
    async with journal(tmp_path):
        pass


async def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartError, match="cannot be used"):
        async with journal(tmp_path / "file" / "data"):
            pass


async def test_parked_rows_are_exported_beside_a_running_controller(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        log.persist(1, row("good"), row('[2,"ü"]', transaction_id="tx9"))
        number = (await log.next(Persisted)).rows[1].number
        log.shell.carry(UpdateRow(number, 5, parked=True))
        log.persist(2)
        await log.next(Persisted, 2)
        out = io.StringIO()
        assert export_parked(tmp_path, out) == 1
        line = json.loads(out.getvalue())
        assert (line["station_id"], line["transaction_id"], line["attempts"], line["text"]) == ("CP1", "tx9", 5, '[2,"ü"]')


def test_export_without_a_journal_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        export_parked(tmp_path, io.StringIO())


def test_the_database_is_set_to_survive_a_power_cut(tmp_path: Path) -> None:
    """kill -9 cannot tell FULL from NORMAL; only a power cut can. So the setting itself is pinned."""
    store = JournalStore(tmp_path, "now", 4096)
    assert store._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    store.close()


# -- F67: kill -9 ---------------------------------------------------------------------------------


def test_f67_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    kept: dict[int, str] = {}
    for round_number in range(4):
        kept.update(write_until_killed(tmp_path, acknowledged=60 + 37 * round_number, kept=kept))
        store = JournalStore(tmp_path, "now", 4096)
        on_disk = {one.number: one.transaction_id for one in store.read().outbox.get("CP1", ())}
        store.close()
        assert kept.items() <= on_disk.items()


def write_until_killed(folder: Path, acknowledged: int, kept: dict[int, str]) -> dict[int, str]:
    """Run the writer until it has said so many lines, kill it, and collect all it had said."""
    with subprocess.Popen([sys.executable, "-m", "tests.support.journal_writer", str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        lines = [writer.stdout.readline() for _ in range(acknowledged)]
        writer.kill()
        lines += writer.stdout.readlines()
    new: dict[int, str] = {}
    for line in lines:
        match line.split():
            case ["stored", number, token] if line.endswith("\n"):
                new[int(number)] = f"tx-{token}"
            case ["forgot", number]:
                new.pop(int(number), None)
    assert len(new) > acknowledged // 2
    assert not new.keys() & kept.keys(), "numbers rise from process to process"
    return new


# -- F73, F74: disks that refuse ------------------------------------------------------------------


def test_f74_a_disk_that_refuses_writes_never_gets_a_false_acknowledgement(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.journal_writer", str(tmp_path), "300000"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True).stdout.splitlines()
    kept = {int(line.split()[1]) for line in said if line.startswith("stored")} - {int(line.split()[1]) for line in said if line.startswith("forgot")}
    assert any(line.startswith("failed") for line in said)
    assert len(kept) > 50
    store = JournalStore(tmp_path, "now", 4096)
    on_disk = {one.number for one in store.read().outbox["CP1"]}
    store.close()
    assert kept <= on_disk


async def test_f73_a_full_disk_gives_up_the_reserve_then_refuses_then_recovers(tmp_path: Path) -> None:
    async with journal(tmp_path, max_bytes=200_000) as log:
        assert (tmp_path / RESERVE_NAME).exists()
        rows: list[OutboxRow] = []
        for token in range(1, 1000):
            log.persist(token, row("x" * 5000))
            await log.until(lambda token=token: any(getattr(fact, "token", 0) == token for fact in log.facts))
            if log.of(PersistFailed):
                break
            rows += log.of(Persisted)[-1].rows
        assert len(rows) > 20
        await log.until(lambda: len(log.of(SourceChanged)) == 2)
        assert not (tmp_path / RESERVE_NAME).exists()
        assert {fact.source for fact in log.of(SourceChanged)} == {"journal", "disk"}
        assert "disk is full" in log.of(PersistFailed)[0].reason

        log.shell.carry(ForgetRows(tuple(one.number for one in rows[:10])))
        log.persist(5000, row("y" * 5000))
        await log.until(lambda: log.of(Persisted)[-1].token == 5000)
        assert [fact.healthy for fact in log.of(SourceChanged) if fact.source == "journal"] == [False, True]
    _, outbox = await stored(tmp_path)
    assert [one.number for one in outbox["CP1"][:-1]] == [one.number for one in rows[10:]]
    assert (await stored_texts(tmp_path))[-1] == "y" * 5000


async def test_what_nobody_waits_for_is_made_up_for_after_the_disk_recovers(tmp_path: Path) -> None:
    async with journal(tmp_path, max_bytes=100_000) as log:
        log.persist(1, row("a" * 50_000))
        first = (await log.next(Persisted)).rows[0]
        log.shell.carry(Persist(0, (), {("space", "late"): "z" * 60_000}))
        log.persist(2, row("b" * 50_000))
        await log.next(PersistFailed)
        log.shell.carry(ForgetRows((first.number,)))
        log.persist(3, row("c"))
        await log.until(lambda: any(fact.token == 3 for fact in log.of(Persisted)))
    memories, outbox = await stored(tmp_path)
    assert memories[("space", "late")] == "z" * 60_000
    assert [one.text for one in outbox["CP1"]] == ["c"]


def test_f74_what_a_failed_commit_may_have_left_is_taken_out(tmp_path: Path) -> None:
    store = JournalStore(tmp_path, "now", 4096)
    store.write([Batch(rows=(row("good"),))])
    with closing(sqlite3.connect(store.path)) as behind_its_back:
        behind_its_back.execute(
            "INSERT INTO outbox (station_id, transaction_id, action, text, stored_wall_s, attempts, parked, crc)"
            " SELECT station_id, transaction_id, action, 'ghost', stored_wall_s, attempts, parked, crc FROM outbox"
        )
        behind_its_back.commit()
    store.reopen()
    assert [one.text for one in store.read().outbox["CP1"]] == ["good"]
    store.close()


def test_the_reserve_takes_real_space_and_is_put_back(tmp_path: Path) -> None:
    store = JournalStore(tmp_path, "now", 1 << 20)
    reserve = tmp_path / RESERVE_NAME
    assert reserve.stat().st_blocks * 512 >= 1 << 20
    reserve.unlink()
    assert not store.has_reserve
    assert store.refill_reserve()
    assert store.has_reserve
    store.close()


# -- F75, F76: files that are wrong ---------------------------------------------------------------


def filled(folder: Path, count: int = 200) -> Path:
    store = JournalStore(folder, "now", 4096)
    store.write([Batch(rows=tuple(row(f"text {n}" + "x" * 200) for n in range(count)), remember=(("space", "key", '"value"'),))])
    store.close()
    return store.path


async def test_f75_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(b"not a database at all" * 1000)
    async with journal(tmp_path) as log:
        alarm = await log.next(SourceChanged)
        assert (alarm.source, alarm.healthy) == ("journal", False)
        assert "set aside as journal.corrupt-" in alarm.detail
        log.persist(1, row())
        await log.next(Persisted)
        assert log.of(SourceChanged)[-1].healthy
    assert [name.endswith(".sqlite3") for name in os.listdir(tmp_path) if name.startswith("journal.corrupt-")].count(True) == 1


async def test_f75_what_can_still_be_read_of_a_damaged_file_is_carried_over(tmp_path: Path) -> None:
    path = filled(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[-4096:] = b"\xaa" * 4096
    path.write_bytes(raw)
    texts = await stored_texts(tmp_path)
    assert len(texts) > 20
    assert texts == [f"text {n}" + "x" * 200 for n in range(200) if f"text {n}" + "x" * 200 in texts]


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 40_000), st.integers(1, 255))
def test_f75_a_flipped_byte_anywhere_is_found_or_harmless(tmp_path_factory: pytest.TempPathFactory, place: int, flip: int) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    path = filled(folder, count=100)
    raw = bytearray(path.read_bytes())
    raw[place % len(raw)] ^= flip
    path.write_bytes(raw)
    try:
        store = JournalStore(folder, "now", 4096)
    except StartError:
        return  # e.g. the version number was hit: refused with a sentence
    good = {f"text {n}" + "x" * 200 for n in range(100)}
    numbers = tuple(one.number for queue in store.read().outbox.values() for one in queue)
    assert {one.text for one in texts_of(folder, numbers)} <= good
    store.close()


async def test_f75_a_row_whose_checksum_is_wrong_is_put_aside_and_reported(tmp_path: Path) -> None:
    path = filled(tmp_path, count=3)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE outbox SET text = replace(text, 'text 1', 'text 7')")
        db.commit()
    async with journal(tmp_path) as log:
        assert [one.text[:6] for one in log.shell.load().outbox["CP1"]] == ["text 0", "text 2"]
        assert "1 damaged entries were put aside" in (await log.next(SourceChanged)).detail
    with closing(sqlite3.connect(path)) as db:
        assert "text 7" in db.execute("SELECT content FROM damaged").fetchone()[0]


async def test_f76_a_file_from_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StartError, match=r"written by a newer Yardmaster \(schema 99, this one knows 2\); install the newer version"):
        async with journal(tmp_path):
            pass
    assert path.read_bytes() == before


# the tables as the first version of Yardmaster wrote them; a copy, so that no later change can alter it
SCHEMA_1 = """
CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT,
    station_id TEXT NOT NULL, transaction_id TEXT NOT NULL, action TEXT NOT NULL, text TEXT NOT NULL,
    stored_wall_s REAL NOT NULL, attempts INTEGER NOT NULL, parked INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE memory (space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE damaged (number INTEGER, what TEXT NOT NULL, content TEXT NOT NULL);
PRAGMA user_version = 1;
"""


def old_file(folder: Path, texts: list[str]) -> Path:
    """A journal of schema 1."""
    path = folder / "journal.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(SCHEMA_1)
        for text in texts:
            crc = zlib.crc32("\0".join(("CP1", "tx", "TransactionEvent", text, "1.5")).encode())
            db.execute("INSERT INTO outbox VALUES (NULL, 'CP1', 'tx', 'TransactionEvent', ?, 1.5, 2, ?, ?)", (text, text == "parked", crc))
        db.execute("INSERT INTO memory VALUES ('space', 'key', '1', ?)", (zlib.crc32(b"space\0key\x001"),))
        db.commit()
    return path


async def test_f76_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = old_file(tmp_path, ["a", "b", "parked"])
    async with journal(tmp_path) as log:
        found = log.shell.load()
        assert [(one.text, one.attempts, one.parked, one.version, one.key, one.values_of) for one in found.outbox["CP1"]] == [
            ("a", 2, False, "ocpp2.0.1", "", ""),
            ("b", 2, False, "ocpp2.0.1", "", ""),
            ("", 2, True, "ocpp2.0.1", "", ""),
        ]
        assert found.memories == {("space", "key"): 1}
        assert log.of(SourceChanged) == []
        new = OutboxRow(0, "CP1", "2140000001", "MeterValues", "c", 2.5, version="ocpp1.6", key="k", values_of="2140000001")
        log.persist(1, new)
        (stored_row,) = (await log.next(Persisted)).rows
        assert stored_row == replace(new, number=4)
    async with journal(tmp_path) as log:
        assert log.shell.load().outbox["CP1"][-1] == stored_row
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 2


def test_f76_a_migration_that_is_cut_short_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_file(tmp_path, ["a"])
    steps = (journal_store.MIGRATIONS[0], journal_store.MIGRATIONS[1] + "ALTER TABLE nowhere ADD COLUMN x TEXT;\n")
    with closing(sqlite3.connect(path, isolation_level=None)) as db, monkeypatch.context() as broken:
        broken.setattr(journal_store, "MIGRATIONS", steps)
        with pytest.raises(sqlite3.OperationalError):
            JournalStore._migrate(object.__new__(JournalStore), db)
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        assert [column[1] for column in db.execute("PRAGMA table_info(outbox)")][-1] == "crc"
    store = JournalStore(tmp_path, "now", 4096)
    assert [one.text for one in store.read().outbox["CP1"]] == ["a"]
    store.close()


def test_f75_f76_a_damaged_file_of_the_first_version_is_carried_over_too(tmp_path: Path) -> None:
    path = old_file(tmp_path, [f"text {number}" + "x" * 300 for number in range(200)])
    raw = bytearray(path.read_bytes())
    raw[-4096:] = b"\xaa" * 4096
    path.write_bytes(raw)
    store = JournalStore(tmp_path, "now", 4096)
    assert "were carried over" in store.notes[0]
    assert len(store.read().outbox["CP1"]) > 50
    store.close()


def test_f76_parked_messages_of_an_old_file_can_be_exported_before_the_new_program_has_run(tmp_path: Path) -> None:
    old_file(tmp_path, ["a", "parked"])
    out = io.StringIO()
    assert export_parked(tmp_path, out) == 1
    assert json.loads(out.getvalue())["text"] == "parked"


def test_a_changed_version_or_key_is_as_damaged_as_a_changed_text(tmp_path: Path) -> None:
    store = JournalStore(tmp_path, "now", 4096)
    store.write([Batch(rows=(replace(row(), version="ocpp1.6", key="k", values_of="tx"),) * 4)])
    for number, column in ((1, "version"), (2, "key"), (3, "values_of")):
        store._db.execute(f"UPDATE outbox SET {column} = 'x' WHERE number = {number}")
    content = store.read()
    assert ([one.number for one in content.outbox["CP1"]], content.damaged) == ([4], 3)
    store.close()


# -- long queues ------------------------------------------------------------------------------------


async def test_only_the_first_texts_of_each_station_come_at_start_up_the_others_on_request(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        log.persist(1, *(row(f"a{number}") for number in range(100)), *(row(f"b{number}", "CP2") for number in range(100)))
        await log.next(Persisted)
    async with journal(tmp_path) as log:
        outbox = log.shell.load().outbox
        for name in ("CP1", "CP2"):
            assert [bool(one.text) for one in outbox[name]] == [place < TEXTS_AT_START for place in range(100)]
        wanted = tuple(one.number for one in outbox["CP2"][40:50])
        log.shell.carry(LoadRows("CP2", (*reversed(wanted), 9999)))
        found = await log.next(RowsLoaded)
        assert (found.station_id, found.asked) == ("CP2", (*reversed(wanted), 9999))
        assert [one.text for one in found.rows] == [f"b{number}" for number in range(49, 39, -1)]


async def test_a_row_damaged_since_the_start_is_left_out_of_the_answer(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        log.persist(1, row("a"), row("b"))
        numbers = tuple(one.number for one in (await log.next(Persisted)).rows)
        with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as db:
            db.execute("UPDATE outbox SET text = 'z' WHERE number = ?", (numbers[0],))
            db.commit()
        log.shell.carry(LoadRows("CP1", numbers))
        assert [one.text for one in (await log.next(RowsLoaded)).rows] == ["b"]


async def test_more_rows_than_a_statement_may_name_are_read(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        log.persist(1, *(row(str(number)) for number in range(1200)))
        numbers = tuple(one.number for one in (await log.next(Persisted)).rows)
        log.shell.carry(LoadRows("CP1", numbers))
        assert [one.text for one in (await log.next(RowsLoaded)).rows] == [str(number) for number in range(1200)]


async def test_a_file_that_cannot_be_read_now_gets_no_answer_and_the_reader_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.sqlite3"
    async with journal(tmp_path) as log:
        log.persist(1, row("a"))
        (one,) = (await log.next(Persisted)).rows
        path.rename(tmp_path / "elsewhere")
        log.shell.carry(LoadRows("CP1", (one.number,)))
        for _ in range(1000):
            if caplog.records:
                break
            await asyncio.sleep(0.01)
        (tmp_path / "elsewhere").rename(path)
        log.shell.carry(LoadRows("CP1", (one.number,)))
        await log.next(RowsLoaded)
        assert [[read.text for read in fact.rows] for fact in log.of(RowsLoaded)] == [["a"]]
        assert "tried again later" in caplog.text


async def test_what_cannot_be_written_for_days_is_kept_once_each(tmp_path: Path) -> None:
    async with journal(tmp_path, max_bytes=100_000) as log:
        log.persist(1, row("a" * 50_000))
        first = (await log.next(Persisted)).rows[0]
        for number in range(2000):
            log.shell.carry(Persist(0, (), {("space", "late"): f"{number}" + "z" * 60_000}))
            log.shell.carry(UpdateRow(first.number, number, parked=False))
        log.persist(2, row("b" * 50_000))
        await log.next(PersistFailed)
        late = log.shell._late
        assert late is not None
        assert (len(late.remember), len(late.updates)) == (1, 1)
        log.shell.carry(ForgetRows((first.number,)))
        log.persist(3, row("c"))
        await log.until(lambda: any(fact.token == 3 for fact in log.of(Persisted)))
    memories, _ = await stored(tmp_path)
    assert memories[("space", "late")].startswith("1999z")


# -- order and life ---------------------------------------------------------------------------------


async def test_a_batch_is_reported_in_the_order_it_was_given(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        for token in range(1, 501):
            log.persist(token, row(str(token)))
        await log.next(Persisted, 500)
        assert [fact.token for fact in log.of(Persisted)] == list(range(1, 501))
    assert await stored_texts(tmp_path) == [str(token) for token in range(1, 501)]


async def test_stopping_writes_what_is_queued_first(tmp_path: Path) -> None:
    async with journal(tmp_path) as log:
        for token in range(1, 301):
            log.persist(token, row(str(token)))
        await log.shell.stop()
        await asyncio.sleep(0)
        assert len(log.of(Persisted)) == 300
    assert len((await stored(tmp_path))[1]["CP1"]) == 300


async def test_f82_the_next_life_waits_until_the_one_before_has_written_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload on a disk that hangs: two writers on one file would damage it, and what was acknowledged late would be unknown to the second."""
    hanging, go_on, write = threading.Event(), threading.Event(), JournalStore.write

    def slow(store: JournalStore, batches: list[Any]) -> Any:
        hanging.set()
        go_on.wait()
        return write(store, batches)

    monkeypatch.setattr(JournalStore, "write", slow)
    before, after = FactLog(), FactLog()
    first = JournalShell(config(tmp_path), Clock(), before.submit, reserve_bytes=4096)
    await first.start()
    first.carry(Persist(1, (), {("space", "key"): "the last word"}))
    await asyncio.to_thread(hanging.wait)
    stopping = spawn(first.stop(), "stop")
    await asyncio.sleep(0)
    stopping.cancel()  # as the app does with a part that takes too long
    second = JournalShell(config(tmp_path), Clock(), after.submit, reserve_bytes=4096)
    starting = spawn(second.start(), "start")
    await asyncio.sleep(0)
    with pytest.raises(StartError):
        lock_folder(config(tmp_path).data_dir)
    go_on.set()
    await starting
    assert second.load().memories == {("space", "key"): "the last word"}
    await second.stop()


async def test_the_stamps_are_the_clocks(tmp_path: Path) -> None:
    clock = VirtualClock(1_800_000_000.0)
    log = FactLog()
    shell = JournalShell(config(tmp_path), clock, log.submit, reserve_bytes=4096)
    await shell.start()
    shell.carry(Persist(1))
    assert (await log.next(Persisted)).at == clock.stamp()
    assert shell.load().at == clock.stamp()
    await shell.stop()


async def test_housekeeping_that_fails_does_not_end_the_writer(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with journal(folder) as log:
        (folder / RESERVE_NAME).unlink()
        folder.rename(tmp_path / "moved away")
        folder.write_text("somebody put a file in its place", encoding="utf-8")
        for token in range(1, 4):
            log.persist(token, row())
            await log.until(lambda token=token: any(isinstance(fact, Persisted | PersistFailed) and fact.token == token for fact in log.facts))
