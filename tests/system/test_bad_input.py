"""Bad input over real sockets and wrong starts: a clear answer or sentence each, nothing lost, nobody else harmed.

F62, F81, P7, P9; B30-B33.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from controller.io.tasks import end, spawn
from tests.support.depot import stations_config
from tests.support.yard import ROOT, Yard, site, until

pytestmark = pytest.mark.system

BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "Test", "model": "T"}}


async def run(file: Path) -> tuple[int, str]:
    """``yardmaster run FILE`` to its end: exit code and everything it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "controller", "run", str(file), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, said.decode()


def sentences(said: str) -> list[str]:
    """What was said beyond the log lines."""
    return [line for line in said.splitlines() if line.startswith("yardmaster: ")]


def write(folder: Path, data: dict[str, Any], name: str = "other.yaml") -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump(data))
    return file


class Neighbour:
    """A station that boots and then asks for the time for ever; it waits 10 s for an answer. worst_s: the longest it waited, for people."""

    def __init__(self) -> None:
        self.answers = 0
        self.worst_s = 0.0

    async def live(self, session: aiohttp.ClientSession, url: str) -> None:
        loop = asyncio.get_running_loop()
        async with session.ws_connect(url, protocols=["ocpp2.0.1"]) as ws:
            for number in range(1_000_000):
                action, payload = ("Heartbeat", {}) if number else ("BootNotification", BOOT)
                asked_s = loop.time()
                await ws.send_json([2, f"n-{number}", action, payload])
                while (await ws.receive_json(timeout=10))[:2] != [3, f"n-{number}"]:
                    continue
                self.worst_s = max(self.worst_s, loop.time() - asked_s)
                self.answers += 1
                await asyncio.sleep(0.07)  # below the rate at which a station is slowed down


@asynccontextmanager
async def neighbour(yard: Yard, session: aiohttp.ClientSession) -> AsyncIterator[Neighbour]:
    """CP2 lives next door; it must never miss an answer."""
    other = Neighbour()
    task = spawn(other.live(session, f"{yard.ocpp_url}/CP2"), "neighbour")
    await until(lambda: other.answers > 2)
    yield other
    before = other.answers
    await until(lambda: other.answers > before + 2)
    assert not task.done()
    await end([task])


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with Yard(tmp_path, site(tmp_path, stations=stations_config(2))) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


# -- at the station's door ----------------------------------------------------------------------------


async def test_unknown_identity_gets_404_and_one_line_in_the_log(yard: Yard, http: aiohttp.ClientSession) -> None:
    for identity in ("STRANGER", "../CP1", "CP1/x", "cp1"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{yard.ocpp_url}/{identity}", protocols=["ocpp2.0.1"])
        assert refused.value.status == 404
    assert "station STRANGER is not in the configuration" in yard.log.read_text()
    events = (await yard.state())["events"]
    assert any("STRANGER" in event["text"] + event["subject"] for event in events)


@pytest.mark.parametrize("offered", [("ocpp1.5", "soap"), ()])
async def test_no_common_version_ends_after_a_complete_handshake(yard: Yard, http: aiohttp.ClientSession, offered: tuple[str, ...]) -> None:
    ws = await http.ws_connect(f"{yard.ocpp_url}/CP1", protocols=offered)
    assert ws.protocol is None
    assert "Sec-WebSocket-Protocol" not in ws._response.headers
    message = await ws.receive(timeout=5)
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1002)
    assert "offers no OCPP version spoken here" in yard.log.read_text()


BROKEN = {
    "no JSON": ("hello", None),
    "cut off": ('[2,"a1","Heartbeat",{', None),
    "no array": ('{"a":1}', None),
    "unknown type": ('[9,"a2","Heartbeat",{}]', None),
    "payload no object": ('[2,"a3","Heartbeat",[]]', "a3"),
    "NaN": ('[2,"a4","Heartbeat",{"x":NaN}]', "a4"),
    "deep": ('[2,"a5","Heartbeat",' + '{"x":' * 5000 + "1" + "}" * 5000 + "]", None),
}


async def test_broken_messages_are_answered_and_the_connection_lives(yard: Yard, http: aiohttp.ClientSession) -> None:
    async with neighbour(yard, http) as other, http.ws_connect(f"{yard.ocpp_url}/CP1", protocols=["ocpp2.0.1"]) as ws:
        codes: dict[str, str] = {}
        for name, (text, message_id) in BROKEN.items():
            await ws.send_str(text)
            await ws.send_json([2, f"after {name}", "Heartbeat", {}])
            frames = []
            while not frames or frames[-1][1] != f"after {name}":
                frames.append(await ws.receive_json(timeout=5))
            errors = [frame for frame in frames if frame[0] == 4]
            assert frames[-1][0] == 3, frames
            if message_id is not None:
                assert [frame[1] for frame in errors] == [message_id]
            codes[name] = errors[0][2] if errors else "ignored"
        print(codes, f"the neighbour waited {other.worst_s * 1000:.0f} ms at most")
        assert codes["no JSON"] == codes["cut off"] == codes["no array"] == "RpcFrameworkError"
    assert "Traceback" not in yard.log.read_text()


async def test_a_40_mb_message_ends_its_own_connection_only(yard: Yard, http: aiohttp.ClientSession) -> None:
    assert yard.process is not None
    async with neighbour(yard, http) as other:
        before_kb = _memory_kb(yard.process.pid)
        async with http.ws_connect(f"{yard.ocpp_url}/CP1", protocols=["ocpp2.0.1"], max_msg_size=0) as ws:
            sending = spawn(_send_quietly(ws, "x" * 40_000_000), "40 MB")
            code = await _close_code(ws)
            await end([sending])
        grown_kb = _memory_kb(yard.process.pid) - before_kb
        async with http.ws_connect(f"{yard.ocpp_url}/CP1", protocols=["ocpp2.0.1"]) as again:
            await again.send_json([2, "b1", "BootNotification", BOOT])
            assert (await again.receive_json(timeout=5))[:2] == [3, "b1"]
    print(f"closed with {code}; memory grew by {grown_kb} kB; the neighbour waited {other.worst_s * 1000:.0f} ms at most")
    assert code == 1009
    assert grown_kb < 16 * 1024, "a small part of the message: what a process grows by anyway is not much less on some systems"


async def _send_quietly(ws: aiohttp.ClientWebSocketResponse, text: str) -> None:
    try:
        await ws.send_str(text)
    except (ConnectionError, aiohttp.ClientError):
        return  # cut off in the middle, as it should be


async def _close_code(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    while True:
        message = await ws.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.CLOSE:
            return int(message.data)
        if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
            return ws.close_code


def _memory_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


# -- wrong starts -------------------------------------------------------------------------------------


async def test_a_wrong_file_is_refused_with_all_its_problems(tmp_path: Path) -> None:
    data = site(tmp_path, colour="green")
    data["grid"] |= {"fuse_a": 0}
    data["stations"] += stations_config()  # CP1 twice
    code, said = await run(write(tmp_path, data))
    assert code == 1
    for word in ("colour", "fuse_a", "CP1"):
        assert word in said
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


async def test_fallbacks_above_the_fuse_are_refused(tmp_path: Path) -> None:  # trap 17
    stations = [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 32}]}]
    code, said = await run(write(tmp_path, site(tmp_path, stations=stations, grid={"fuse_a": 40, "worst_other_load_a": 10})))
    assert code == 1
    assert "fallback" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("content", [b"", b"site: [", b"\xff\xfe\x00", b"- 1\n- 2\n"])
async def test_what_is_no_site_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    code, said = await run(file)
    assert code == 1
    assert str(file) in said
    assert "Traceback" not in said


async def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    code, said = await run(tmp_path / "nowhere.yaml")
    assert code == 1
    assert "nowhere.yaml" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("part", ["listen", "api"])
async def test_a_busy_port_is_one_sentence(tmp_path: Path, part: str) -> None:
    data = site(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", data[part]["port"]))
        taken.listen()
        code, said = await run(write(tmp_path, data))
    assert code == 1
    assert sentences(said) == [f"yardmaster: port {data[part]['port']} is in use by another program; stop it or change {part}.port"]
    assert "Traceback" not in said


async def test_a_second_instance_is_refused_and_the_first_goes_on(yard: Yard, tmp_path: Path) -> None:
    assert yard.process is not None
    code, said = await run(write(tmp_path, site(tmp_path)))
    assert code == 1
    assert len(sentences(said)) == 1
    assert f"another Yardmaster (process {yard.process.pid}) uses the data folder" in sentences(said)[0]
    assert "Traceback" not in said
    assert (await yard.state())["site_id"] == "test"


async def test_ctrl_c_ends_it(yard: Yard, http: aiohttp.ClientSession) -> None:
    assert yard.process is not None
    loop = asyncio.get_running_loop()
    async with http.ws_connect(f"{yard.ocpp_url}/CP1", protocols=["ocpp2.0.1"]) as ws, http.get(f"{yard.api_url}/api/v1/stream") as stream:
        await ws.send_str(json.dumps([2, "b1", "BootNotification", BOOT]))
        await ws.receive_json(timeout=5)
        await stream.content.readline()
        asked_s = loop.time()
        yard.process.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(yard.process.wait(), 30)  # three seconds, of a machine that does nothing else
        took_s = loop.time() - asked_s
    print(f"ended {took_s:.2f} s after Ctrl-C")
    assert code == 0
    assert "Traceback" not in yard.log.read_text()
