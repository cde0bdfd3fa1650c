"""``yardmaster queue``: from a running controller, or from the data folder of a stopped one."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from controller.__main__ import main
from controller.config import Config
from controller.facts import Fact, OutboxRow, ParkedReturned
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.io.journal.store import Batch, JournalStore
from tests.support.picture import NOW_WALL_S, picture, site_config


def write_site(folder: Path, port: int) -> Path:
    data = {
        "site": {"id": "yard"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 40},
        "stations": [{"id": name, "evses": [{"id": 1, "max_current_a": 16}]} for name in ("alpha", "beta")],
        "api": {"port": port},
        "data_dir": str(folder / "data"),
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def fill(folder: Path, waiting: int = 5) -> None:
    """A journal: alpha's messages wait, two of alpha's and one of beta's were given up."""
    (folder / "data").mkdir(exist_ok=True)
    store = JournalStore(folder / "data", "now", 4096)
    row = OutboxRow(0, "alpha", "tx-1", "TransactionEvent", '[2,"a","TransactionEvent",{}]', NOW_WALL_S - 3600)
    rows = [replace(row, transaction_id=f"tx-{number % 2}") for number in range(waiting)]
    rows += [replace(row, parked=True, attempts=3), replace(row, parked=True), replace(row, station_id="beta", parked=True)]
    store.write([Batch(rows=tuple(rows))])
    store.close()


class Server:
    """An API over the data folder."""

    def __init__(self, config: Config) -> None:
        self.facts: list[Fact] = []
        self.shell = ApiShell(config, VirtualClock(NOW_WALL_S), self.facts.append, picture)

    async def run(self, *words: str) -> int:
        return await asyncio.to_thread(main, ["queue", "--url", f"http://127.0.0.1:{self.shell.port}", *words])


@asynccontextmanager
async def serving(folder: Path, **api: object) -> AsyncIterator[Server]:
    server = Server(site_config(**api).model_copy(update={"data_dir": folder / "data"}))
    await server.shell.start()
    try:
        yield server
    finally:
        await server.shell.stop()


async def test_how_much_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    async with serving(tmp_path) as server:
        assert await server.run() == 0
        told = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in told] == ["station", "alpha", "beta", "5"]
        assert told[1].split()[1:3] == ["5", "2"]
        assert told[-1] == "5 messages wait for the CSMS; 3 were given up, see --parked"
        assert await server.run("--station", "alpha") == 0
        told = capsys.readouterr().out.splitlines()
        assert [line.split()[:2] for line in told[1:3]] == [["tx-0", "3"], ["tx-1", "2"]]
        assert await server.run("--parked") == 0
        told = capsys.readouterr().out.splitlines()
        assert [line.split()[:2] for line in told[1:4]] == [["6", "alpha"], ["7", "alpha"], ["8", "beta"]]
        assert await server.run("--parked", "--station", "beta", "--json") == 0
        assert json.loads(capsys.readouterr().out)["station_id"] == "beta"


async def test_nothing_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(tmp_path) as server:
        assert await server.run() == 0
        assert await server.run("--station", "beta") == 0
        assert await server.run("--parked") == 0
    assert capsys.readouterr().out.splitlines() == [
        "nothing waits for the CSMS, nothing was given up",
        "nothing waits for the CSMS",
        "nothing was given up",
    ]


async def test_long_queues_are_read_page_by_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    store = JournalStore(tmp_path / "data", "now", 4096)
    row = OutboxRow(0, "alpha", "", "StatusNotification", "[]", 1.0, parked=True)
    store.write([Batch(rows=(row,) * 450)])
    store.close()
    async with serving(tmp_path) as server:
        assert await server.run("--parked", "--json") == 0
    numbers = [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()]
    assert numbers == list(range(1, 451))


async def test_export_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    out = tmp_path / "parked.jsonl"
    async with serving(tmp_path) as server:
        assert await server.run("--export", str(out)) == 0
        assert "3 messages" in capsys.readouterr().err
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert [row["number"] for row in rows] == [6, 7, 8]
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        assert await server.run("--export", str(out)) == 1
        assert "is there already" in capsys.readouterr().err
        assert await server.run("--export", str(tmp_path / "no" / "where")) == 1
        assert "cannot be written" in capsys.readouterr().err
        assert await server.run("--export", "-", "--station", "beta") == 0
        assert json.loads(capsys.readouterr().out)["number"] == 8


async def test_requeue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    async with serving(tmp_path) as server:
        assert await server.run("--requeue", "7", "--requeue", "8") == 0
        assert capsys.readouterr().out == "2 messages go to the CSMS again\n"
        assert await server.run("--requeue", "all", "--station", "alpha") == 0
        numbers = [[row.number for row in fact.rows] for fact in server.facts if isinstance(fact, ParkedReturned)]
        assert numbers == [[7], [8], [6, 7]]
        assert await server.run("--requeue", "1") == 1
        assert "no message given up has the number 1" in capsys.readouterr().err
        assert await server.run("--requeue", "first") == 1
        assert "first is no number" in capsys.readouterr().err


async def test_the_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(tmp_path, token="s3cret") as server:
        assert await server.run() == 1
        assert "wants its token" in capsys.readouterr().err


def test_a_stopped_controllers_folder(tmp_path: Path, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    site = write_site(tmp_path, free_port)
    assert main(["queue", "--config", str(site)]) == 1
    assert "there is no journal" in capsys.readouterr().err
    fill(tmp_path)
    journal = tmp_path / "data" / "journal.sqlite3"
    before = journal.read_bytes(), journal.stat().st_mtime_ns
    assert main(["queue", "--config", str(site)]) == 0
    told = capsys.readouterr()
    assert "no controller runs; this is what" in told.err
    assert "5 messages wait for the CSMS; 3 were given up" in told.out
    assert main(["queue", "--config", str(site), "--export", str(tmp_path / "out")]) == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 3
    capsys.readouterr()
    assert main(["queue", "--config", str(site), "--requeue", "all"]) == 1
    assert "by a running controller" in capsys.readouterr().err
    assert (journal.read_bytes(), journal.stat().st_mtime_ns) == before, "only read"
    assert not os.path.exists(f"{journal}-journal")


def test_a_site_whose_port_is_another_one_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    assert main(["queue", "--config", str(write_site(tmp_path, 0))]) == 0
    assert "5 messages wait" in capsys.readouterr().out


def test_no_controller_and_no_site_file(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "--url", f"http://127.0.0.1:{free_port}"]) == 1
    assert "--config site.yaml" in capsys.readouterr().err


def test_a_damaged_journal_is_a_sentence(tmp_path: Path, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.sqlite3").write_bytes(b"nonsense " * 5000)
    assert main(["queue", "--config", str(write_site(tmp_path, free_port))]) == 1
    told = capsys.readouterr().err
    assert "cannot be read" in told
    assert "Traceback" not in told
