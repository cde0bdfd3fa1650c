"""The stations' side of a recording against a running controller, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.__main__ import main
from controller.app import App
from controller.config import Config
from controller.io.clock import Clock
from controller.tools.client import ToolError
from controller.tools.live import check_target
from controller.tools.transcript import TranscriptWriter

BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "One"}}
PASSWORD = "correct-horse-battery"


def config(folder: Path, *stations: str) -> Config:
    """A site without a CSMS: everything is answered here."""
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10},
            "listen": {"host": "127.0.0.1", "port": 0},
            "stations": [{"id": name, "password": PASSWORD, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]} for name in stations],
            "data_dir": str(folder / "data"),
        }
    )


def write_site(folder: Path, *stations: str, password: str = PASSWORD) -> Path:
    evses = "[{id: 1, max_current_a: 32, fallback_a: 6}]"
    lines = "".join(f"  - {{id: {name}, password: {password}, evses: {evses}}}\n" for name in stations)
    path = folder / "site.yaml"
    path.write_text(f"site: {{id: test}}\ngrid: {{fuse_a: 63, worst_other_load_a: 10}}\nstations:\n{lines}data_dir: {folder / 'data'}\n")
    return path


@asynccontextmanager
async def running(site: Config) -> AsyncIterator[str]:
    """A controller without page and meters; its address for stations."""
    app = App(site, Clock(), build=lambda *_: ())
    await app.start()
    try:
        yield f"ws://127.0.0.1:{app.port_of('stations')}/ocpp"
    finally:
        await app.stop()


def record(mono_s: float, station: str, kind: str, text: str = "", **more: Any) -> dict[str, Any]:
    base = {"wall_s": 1_790_000_000.0 + mono_s, "mono_s": mono_s, "station": station, "leg": "station", "way": "up", "kind": kind, "text": text}
    return {**base, **more}


def written(path: Path, records: list[dict[str, Any]], stations: list[dict[str, Any]] | None = None) -> Path:
    writer = TranscriptWriter(path)
    writer.header({"site": "test", "yardmaster": "1", "wall_s": 1_790_000_000.0, "mono_s": 0.0, "wall_speed": 1.0, "stations": stations or []})
    for item in records:
        writer.record(item)
    writer.close()
    return path


def a_session(station: str) -> list[dict[str, Any]]:
    boot, beat = json.dumps([2, "b1", "BootNotification", BOOT]), json.dumps([2, "h1", "Heartbeat", {}])
    return [
        record(0.0, station, "OPENED", "10.0.0.1", version="ocpp2.0.1"),
        record(0.1, station, "CALL", boot, action="BootNotification", id="b1"),
        record(0.2, station, "RESULT", '[3,"x",{"status":"Accepted"}]', action="SetChargingProfile", id="x"),
        record(0.3, station, "CALL", beat, action="Heartbeat", id="h1"),
        record(0.4, station, "CALL", '[2,"n1","NoSuchThing",{}]', action="NoSuchThing", id="n1"),
        record(0.5, station, "CLOSED", "gone"),
    ]


async def replay(*words: str) -> int:
    return await asyncio.to_thread(main, ["replay", *words])


async def test_two_stations_are_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = written(tmp_path / "day.jsonl", sorted([*a_session("CP1"), *a_session("CP2")], key=lambda item: item["mono_s"]))
    async with running(config(tmp_path, "CP1", "CP2")) as url:
        code = await replay(str(recording), "--config", str(write_site(tmp_path, "CP1", "CP2")), "--to", url, "--speed", "20", "--json")
    result = json.loads(capsys.readouterr().out)
    assert (code, result["problems"]) == (0, [])
    assert (result["sent"], result["answered"], result["silent"]) == (6, 4, 0)
    assert sum(result["refused"].values()) == 2, "the action nobody knows, of both"


async def test_a_station_that_was_there_when_the_recording_began(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = a_session("CP1")[1:]
    recording = written(tmp_path / "day.jsonl", records, [{"station": "CP1", "version": "ocpp2.0.1", "online": True, "upstream": "none"}])
    async with running(config(tmp_path, "CP1")) as url:
        code = await replay(str(recording), "--config", str(write_site(tmp_path, "CP1")), "--to", url, "--speed", "20")
    told = capsys.readouterr().out
    assert code == 0
    assert "sent       3 messages of stations: 2 answered" in told


async def test_a_wrong_password_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = written(tmp_path / "day.jsonl", a_session("CP1"))
    async with running(config(tmp_path, "CP1")) as url:
        code = await replay(str(recording), "--config", str(write_site(tmp_path, "CP1", password="another-password-1")), "--to", url, "--speed", "20")
    told = capsys.readouterr().out
    assert code == 1
    assert "CP1 could not connect" in told
    assert "401" in told
    assert "3 without an answer" in told
    assert "another-password-1" not in told


@pytest.mark.parametrize("url", ["ws://192.0.2.7:9000/ocpp", "wss://csms.example/ocpp", "ws://0.0.0.0:9000/ocpp"])
def test_other_machines_only_when_a_person_insists(url: str) -> None:
    with pytest.raises(ToolError, match="--anywhere"):
        check_target(url, anywhere=False)
    assert check_target(f"{url}/", anywhere=True) == url


@pytest.mark.parametrize("url", ["", "nonsense", "http://127.0.0.1:9000", "ws:///ocpp"])
def test_what_is_no_address(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = written(tmp_path / "day.jsonl", a_session("CP1"))
    assert main(["replay", str(recording), "--config", str(write_site(tmp_path, "CP1")), "--to", url]) == 1
    assert "begins with ws://" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["ws://127.0.0.1:9/x", "ws://localhost:9", "ws://[::1]:9/x"])
def test_this_machine(address: str) -> None:
    assert check_target(address, anywhere=False) == address
