"""``yardmaster tap`` against a real API: what it prints, records, refuses, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.__main__ import main
from controller.config import Config
from controller.facts import Fact, StationFrame
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.io.links.tap import Tap
from controller.io.tasks import spawn
from controller.orders import SendStation, SendUpstream
from controller.tools.transcript import read_transcript
from tests.support.picture import NOW_WALL_S, picture, site_config
from tests.support.yard import until

ROOT = Path(__file__).resolve().parents[3]
SECRET = "correct-horse-battery"


class Server:
    """An API with a tap on a port of its own."""

    def __init__(self, config: Config) -> None:
        self.facts: list[Fact] = []
        self.clock = VirtualClock(NOW_WALL_S)
        self.shell = ApiShell(config, self.clock, self.facts.append, picture)
        self.tap = self.shell.tap = Tap(config, lambda: picture().links)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.shell.port}"

    def exchange(self, action: str, payload: dict[str, Any], message_id: str, station_id: str = "alpha") -> None:
        """A CALL of a station that is relayed at once, with the answer from here."""
        text, at = json.dumps([2, message_id, action, payload]), self.clock.stamp()
        self.tap.see(StationFrame(at, station_id, 1, text), [SendUpstream(station_id, 1, text)])
        self.tap.see(StationFrame(at, station_id, 1, "[2,"), [SendStation(station_id, 1, f'[3,"{message_id}",{{}}]')])

    async def while_listening(self, do: Callable[[], None]) -> None:
        """Do something as soon as somebody listens."""
        await until(lambda: self.tap.listening, 10)
        do()


@asynccontextmanager
async def serving(**api: object) -> AsyncIterator[Server]:
    server = Server(site_config(**api))
    await server.shell.start()
    try:
        yield server
    finally:
        await server.shell.stop()


async def tap(server: Server, *words: str, count: int = 4, do: Callable[[], None] | None = None) -> int:
    """Run the command while ``do`` happens; its exit code."""
    await until(lambda: not server.tap.listening, 10)  # the one before may still be leaving
    run = asyncio.to_thread(main, ["tap", "--url", server.url, "--count", str(count), *words])
    code, _ = await asyncio.wait_for(asyncio.gather(run, server.while_listening(do or (lambda: server.exchange("Heartbeat", {"a": 1}, "h1")))), 20)
    return code


async def test_it_prints_frames_and_leaves_out_what_only_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as server:
        assert await tap(server) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert [line.split()[1:6] for line in lines] == [
        ["alpha", "station", "→", "CALL", "Heartbeat"],
        ["alpha", "station", "→", "BROKEN", "?"],
        ["alpha", "→", "station", "RESULT", "Heartbeat"],
    ]
    assert "\x1b" not in told.out, "no colours without a terminal"
    assert "watching yard" in told.err


async def test_all_and_json_show_both_halves(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as server:
        assert await tap(server, "--all") == 0
        assert len(capsys.readouterr().out.splitlines()) == 4
        assert await tap(server, "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["leg"], record["did"]) for record in records][:2] == [("station", "relayed"), ("csms", "relayed")]


async def test_filters_go_to_the_controller(capsys: pytest.CaptureFixture[str]) -> None:
    def traffic() -> None:
        for station_id in ("alpha", "beta"):
            server.exchange("Heartbeat", {}, "h", station_id)
            server.exchange("MeterValues", {}, "m", station_id)

    async with serving() as server:
        words = ("beta", "--action", "metervalues", "--action", "StatusNotification", "--direction", "up", "--json")
        assert await tap(server, *words, count=2, do=traffic) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(record["station"], record["action"], record["way"]) for record in records} == {("beta", "MeterValues", "up")}
    assert len(records) == 2


async def test_a_recording_holds_everything_and_no_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = {"attributeValue": SECRET, "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    path = tmp_path / "day.jsonl"
    async with serving() as server:
        code = await tap(server, "--record", str(path), "--quiet", do=lambda: server.exchange("SetVariables", {"setVariableData": [item]}, "p1"))
    assert code == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert f"4 records in {path}" in told.err
    transcript = read_transcript(path)
    assert transcript.header["site"] == "yard"
    assert [record["kind"] for record in transcript.records] == ["CALL", "CALL", "BROKEN", "RESULT"]
    assert SECRET not in path.read_text()


async def test_the_token_comes_from_a_file_or_the_site_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret-tökên\n", encoding="utf-8")
    async with serving(token_file=str(secret)) as server:
        assert await asyncio.to_thread(main, ["tap", "--url", server.url]) == 1
        assert "wants its token" in capsys.readouterr().err
        assert await tap(server, "--token-file", str(secret)) == 0
        site = tmp_path / "site.yaml"
        site.write_text(
            "site: {id: yard}\ngrid: {fuse_a: 63, worst_other_load_a: 40}\n"
            f"stations: [{{id: alpha, evses: [{{id: 1, max_current_a: 32}}]}}]\napi: {{port: {server.shell.port}, token_file: {secret}}}\n"
        )
        await until(lambda: not server.tap.listening, 10)
        run = asyncio.to_thread(main, ["tap", "--config", str(site), "--count", "1"])
        code, _ = await asyncio.gather(run, server.while_listening(lambda: server.exchange("Heartbeat", {}, "1")))
        assert code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gamma"], "station: is not in this site's configuration"),
        (["--leg", "moon"], "leg"),
        (["--action", "a b"], "action"),
        (["--token-file", "/nowhere/token"], "cannot be read"),
    ],
)
async def test_a_wrong_wish_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as server:
        assert await asyncio.to_thread(main, ["tap", "--url", server.url, *words]) == 1
    told = capsys.readouterr().err
    assert told.startswith("yardmaster: ")
    assert sentence in told
    assert len(told.splitlines()) == 1


def test_no_controller(free_port: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert main(["tap", "--url", f"http://127.0.0.1:{free_port}", "--record", str(path)]) == 1
    told = capsys.readouterr().err
    assert "no controller answers at http://127.0.0.1" in told
    assert "yardmaster run" in told
    assert not path.exists()
    assert main(["tap", "--url", "nonsense"]) == 1
    assert "begins with http://" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--for", "0"], ["--for", "x"], ["--count", "-1"], ["--direction", "left"], ["--nonsense"]])
def test_wrong_use_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tap", *words])
    assert ended.value.code == 2
    assert "usage: yardmaster tap" in capsys.readouterr().err


async def test_a_controller_that_stops_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as server:
        run = spawn(asyncio.to_thread(main, ["tap", "--url", server.url]), "tap")
        await server.while_listening(lambda: None)
        await server.shell.stop()
        assert await asyncio.wait_for(run, 10) == 1
    assert "ended the connection" in capsys.readouterr().err


def command(server: Server, *words: str) -> list[str]:
    return [sys.executable, "-m", "controller", "tap", "--url", server.url, *words]


async def test_ctrl_c_ends_well_and_keeps_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    async with serving() as server:
        process = await asyncio.create_subprocess_exec(
            *command(server, "--record", str(path)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
        )
        await server.while_listening(lambda: server.exchange("Heartbeat", {}, "1"))
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 30)
        process.send_signal(signal.SIGINT)
        _, told = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert b"Traceback" not in told
    assert b"records in" in told
    assert read_transcript(path).records[0]["action"] == "Heartbeat"


async def test_it_ends_by_itself_after_the_asked_time() -> None:
    async with serving() as server:
        process = await asyncio.create_subprocess_exec(*command(server, "--for", "0.05"), stderr=subprocess.PIPE, cwd=ROOT)
        _, told = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, b"Traceback" in told) == (0, False)


@pytest.mark.parametrize(("words", "environment", "colours"), [([], {}, True), (["--no-color"], {}, False), ([], {"NO_COLOR": "1"}, False)])
async def test_colours_on_a_terminal_only_and_on_request_not(words: list[str], environment: dict[str, str], colours: bool) -> None:
    ours, theirs = pty.openpty()
    settings = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm", "COLUMNS": "100", **environment}
    async with serving() as server:
        process = await asyncio.create_subprocess_exec(
            *command(server, "--count", "4", *words), stdout=theirs, stderr=subprocess.DEVNULL, cwd=ROOT, env=settings
        )
        await server.while_listening(lambda: server.exchange("Heartbeat", {"a": "x" * 300}, "1"))
        await asyncio.wait_for(process.wait(), 10)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "Heartbeat" in shown
    assert ("\x1b[" in shown) is colours
    assert "x" * 100 not in shown, "cut to the terminal's width"
