"""The tap of a real controller: an outage recorded and replayed, the queue on the command line, and no password anywhere.

Everything runs as its owner runs it: controller, CSMS and commands are processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controller.ocpp.registry import dialects
from tests.support.depot import CsmsProcess, Depot, stations_config
from tests.support.yard import ROOT, Yard, site, until

pytestmark = pytest.mark.system

OLD = "old-password-of-the-station"
NEW = "A1B2C3D4E5F60718293A4B5C6D7E8F9011223344"


async def yardmaster(*words: str) -> tuple[int, str, str]:
    """A command in a process of its own: exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "controller", *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def tapping(yard: Yard, path: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``yardmaster tap --record`` beside the controller; ended with Ctrl-C."""
    command = (sys.executable, "-m", "controller", "tap", "--config", str(yard.file), "--record", str(path), *words)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    assert b"watching" in await asyncio.wait_for(process.stderr.readline(), 60)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0


async def test_an_outage_is_recorded_and_replayed(tmp_path: Path) -> None:
    csms = CsmsProcess(tmp_path / "csms.jsonl")
    await csms.start()
    recording = tmp_path / "outage.jsonl"
    data = site(tmp_path, grid={"fuse_a": 100, "worst_other_load_a": 10}, stations=stations_config(2), upstreams=[csms.upstream()])
    async with Yard(tmp_path, data) as yard, tapping(yard, recording, "--quiet"), Depot(yard.ocpp_url, 2, sample_s=1.0) as depot:
        await until(lambda: all(station.accepted for station in depot.stations))
        for number in range(2):
            depot.plug_in(number)
        await until(lambda: all(len(station.acknowledged) >= 3 for station in depot.stations))
        await csms.kill()
        already = [len(station.acknowledged) for station in depot.stations]
        await until(lambda: all(len(station.acknowledged) >= told + 3 for station, told in zip(depot.stations, already, strict=True)))

        code, out, _ = await yardmaster("queue", "--config", str(yard.file), "--json")
        assert code == 0
        assert {row["station_id"] for row in map(json.loads, out.splitlines())} == {"CP1", "CP2"}
        await csms.start()
        await until(lambda: _drained(yard), 60)
        depot.unplug(0)
        await until(lambda: all(station.waiting == 0 for station in depot.stations))
        code, out, _ = await yardmaster("queue", "--url", yard.api_url)
    await csms.kill()
    assert (code, out) == (0, "nothing waits for the CSMS, nothing was given up\n")

    code, out, err = await yardmaster("replay", str(recording), "--config", str(yard.file), "--json")
    result = json.loads(out)
    assert (code, [item for item in result["differences"] if item["bad"]]) == (0, []), err
    fates = {(fate["then"], fate["now"]): fate["count"] for fate in result["fates"]}
    assert fates["held", "held"] >= 3
    assert fates["relayed", "relayed"] >= 10
    assert result["waiting"] == 0, "the queue drains in the replay, too"

    smaller = tmp_path / "smaller.yaml"
    smaller.write_text(yard.file.read_text().replace("CP2", "CP9"))
    code, out, _ = await yardmaster("replay", str(recording), "--config", str(smaller))
    assert code == 1
    assert "would be lost" in out


async def _drained(yard: Yard) -> bool:
    return all(link["queued"] == 0 and link["upstream"] == "open" for link in (await yard.state())["links"])


# -- secrets -------------------------------------------------------------------------------------------------

CHANGES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "ocpp1.6": ("ChangeConfiguration", {"key": "AuthorizationKey", "value": NEW}, {"status": "Accepted"}),
    "ocpp2.0.1": (
        "SetVariables",
        {"setVariableData": [{"attributeValue": NEW, "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]},
        {
            "setVariableResult": [
                {"attributeStatus": "Accepted", "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
            ]
        },
    ),
}
CHANGES["ocpp2.1"] = CHANGES["ocpp2.0.1"]
BOOTS: dict[str, dict[str, Any]] = {
    "ocpp1.6": {"chargePointVendor": "Acme", "chargePointModel": "One"},
    "ocpp2.0.1": {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "One"}},
}


class Csms:
    """A CSMS that accepts every boot and sends what it is told to."""

    def __init__(self) -> None:
        self.socket: web.WebSocketResponse | None = None
        self.heard: list[list[Any]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        app = web.Application()
        app.router.add_get("/csms/{identity}", self._serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=tuple(dialects()))
        await socket.prepare(request)
        self.socket = socket
        async for message in socket:
            frame = json.loads(message.data)
            self.heard.append(frame)
            if frame[0] == 2:
                boot = {"currentTime": "2026-01-01T00:00:00Z", "interval": 300, "status": "Accepted"}
                await socket.send_json([3, frame[1], boot if frame[2] == "BootNotification" else {}])
        return socket


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
async def test_a_password_change_is_seen_and_the_password_is_not(tmp_path: Path, version: str) -> None:
    """A01.FR.09, A01.FR.12: not on the tap, not in a recording, not in the log, whichever leg and direction."""
    csms = Csms()
    port = await csms.start()
    action, payload, result = CHANGES[version]
    stations = [{"id": "CP1", "password": OLD, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}]
    data = site(tmp_path, stations=stations, upstreams=[{"id": "csms", "url": f"ws://127.0.0.1:{port}/csms", "password": OLD}])
    recording = tmp_path / "day.jsonl"
    async with Yard(tmp_path, data) as yard, tapping(yard, recording, "--json") as tap, aiohttp.ClientSession() as http:
        headers = {"Authorization": aiohttp.encode_basic_auth("CP1", OLD)}
        async with http.ws_connect(f"{yard.ocpp_url}/CP1", protocols=(version,), headers=headers) as station:
            await station.send_json([2, "b1", "BootNotification", BOOTS.get(version, BOOTS["ocpp2.0.1"])])
            await _asked(station, "BootNotification", result, answer_to="b1")
            assert csms.socket is not None
            await csms.socket.send_json([2, "p1", action, payload])
            assert json.dumps(payload) == json.dumps(await _asked(station, action, result)), "the station gets the password itself"
            await until(lambda: any(frame[:2] == [3, "p1"] for frame in csms.heard))
            # Now one the station refuses, with the password in its complaint.
            await csms.socket.send_json([2, "p2", action, payload])
            await _asked(station, action, None)
            await until(lambda: any(frame[1] == "p2" for frame in csms.heard))
            await station.send_str(f'[2,"x1","{action}",{json.dumps(payload)}')
        shown = await _shown(tap, 4)
    await csms.stop()
    told = recording.read_text() + yard.log.read_text() + shown
    assert action in told
    for secret in (NEW, OLD):
        assert secret.lower() not in told.lower()
    assert "***" in shown


async def _asked(station: aiohttp.ClientWebSocketResponse, action: str, result: dict[str, Any] | None, answer_to: str = "") -> dict[str, Any]:
    """Answer Yardmaster's own CALLs until ``action`` comes (answered with ``result``, None = an error that repeats all), or an answer."""
    async with asyncio.timeout(60):
        while True:
            frame = json.loads((await station.receive()).data)
            if frame[0] != 2:
                if answer_to and frame[1] == answer_to:
                    return {}
                continue
            if frame[2] == action and result is None:
                await station.send_json([4, frame[1], "PropertyConstraintViolation", f"{NEW} is not allowed", frame[3]])
                return dict(frame[3])
            await station.send_json([3, frame[1], result if frame[2] == action and result else {"status": "Accepted"}])
            if frame[2] == action:
                return dict(frame[3])


async def _shown(tap: asyncio.subprocess.Process, count: int) -> str:
    """What the tap has printed; at least ``count`` lines with something hidden."""
    assert tap.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(60):
        while sum('"hidden":true' in line for line in lines) < count:
            lines.append((await tap.stdout.readline()).decode())
    return "".join(lines)
