"""Limits from outside against real neighbours: mosquitto with TLS, passwords and an ACL, a Modbus module, curl-like strangers, kill -9.

One process of Yardmaster with sources of four kinds at once; F51, F52, F53, F55, F57, B33, B36 to B38.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer

from tests.conftest import Broker, _executable
from tests.support.certificates import ECDSA_CERT, ECDSA_KEY
from tests.support.depot import Depot, stations_config
from tests.support.yard import Yard, free_port, site, until

pytestmark = pytest.mark.system

TOKEN = "only-the-depot-knows-it"
ROOT = "yardmaster/test/"
BRIDGE = ROOT + "eebus/box/"
PER_A = 3 * 230.0
ACL = f"""\
user site
topic readwrite yardmaster/#
user dso
topic write {ROOT}signal/dso/set
topic read {ROOT}#
user bridge
topic readwrite {BRIDGE}#
user thief
topic read #
"""


class Sender:
    """Somebody at the broker, with his own password."""

    def __init__(self, broker: Broker, ca_file: Path, user: str) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(user, user + "-pw")
        self._client.tls_set_context(ssl.create_default_context(cafile=str(ca_file)))
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = lambda _client, _data, message: self.heard.append((message.topic, message.payload))
        self._client.on_connect = lambda client, *_: client.subscribe(ROOT + "#", 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def send(self, topic: str, payload: Any, retain: bool = False) -> paho.MQTTMessageInfo:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self._client.publish(topic, raw, 1, retain)

    def answers(self, tail: str = "signal/dso/answer") -> list[Any]:
        return [json.loads(payload) for topic, payload in self.heard if topic.endswith(tail)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Module:
    """A Modbus module with eight inputs. It can be gone."""

    def __init__(self) -> None:
        self.port = free_port()
        self._inputs = [False] * 8
        self._server: ModbusTcpServer | None = None

    async def start(self) -> None:
        table = ModbusSequentialDataBlock(1, list(self._inputs))
        context = ModbusServerContext(devices=ModbusDeviceContext(di=table), single=True)
        self._server = ModbusTcpServer(context, address=("127.0.0.1", self.port))
        await self._server.listen()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None

    async def put(self, address: int, closed: bool) -> None:
        self._inputs[address] = closed
        if self._server is not None:
            await self._server.context.async_setValues(0, 2, address, [closed])


class Scene:
    """Two charging cars, and everybody who may hold them down."""

    def __init__(self, yard: Yard, depot: Depot, broker: Broker, module: Module, folder: Path) -> None:
        self.yard, self.depot, self.broker, self.module = yard, depot, broker, module
        self.ca_file = folder / "broker.pem"
        self.dso, self.bridge = Sender(broker, self.ca_file, "dso"), Sender(broker, self.ca_file, "bridge")
        self.pin = folder / "gpio17"

    async def signals(self) -> dict[str, dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.yard.api_url}/api/v1/signals") as response:
            return {one["id"]: one for one in (await response.json())["signals"]}

    async def is_at(self, source: str, state: str, limit_w: float | None) -> bool:
        one = (await self.signals())[source]
        return (one["state"], one["limit_w"]) == (state, limit_w)

    async def lowest_w(self) -> float:
        return min((one["limit_w"] for one in (await self.signals()).values() if one["limit_w"] is not None), default=1e9)

    def asked_w(self) -> float:
        """What the cars may take by their setpoints."""
        return PER_A * sum(station.setpoint_a or 0.0 for station in self.depot.stations)

    async def post(self, source: str, body: Any, token: str | None = TOKEN, **more: Any) -> tuple[int, Any]:
        """A call of the API; body: bytes, or what is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}) | more
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.yard.api_url}/api/v1/signals/{source}", data=raw, headers=headers) as response,
        ):
            return response.status, await response.json()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Mosquitto with TLS, passwords and an ACL."""
    (tmp_path / "broker.pem").write_text(ECDSA_CERT)
    (tmp_path / "broker.key").write_text(ECDSA_KEY)
    (tmp_path / "acl").write_text(ACL)
    passwords = tmp_path / "passwords"
    for number, user in enumerate(("site", "dso", "bridge", "thief")):
        subprocess.run([_executable("mosquitto_passwd"), "-b", *(["-c"] if number == 0 else []), str(passwords), user, user + "-pw"], check=True)
    for name in ("acl", "passwords"):
        (tmp_path / name).chmod(0o600)
    tls = f"certfile {tmp_path / 'broker.pem'}\nkeyfile {tmp_path / 'broker.key'}\n"
    made = Broker(tmp_path, f"{tls}allow_anonymous false\npassword_file {passwords}\nacl_file {tmp_path / 'acl'}\n")
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def scene(tmp_path: Path, broker: Broker) -> AsyncIterator[Scene]:
    module = Module()
    await module.start()
    (tmp_path / "gpio17").write_text("0\n")
    early = Sender(broker, tmp_path / "broker.pem", "dso")  # what the broker kept from last week
    last_week = {"consumption_w": 60_000, "duration_s": 900, "issued_at": "2020-01-01T00:00:00Z"}
    kept = early.send(ROOT + "signal/dso/set", last_week, retain=True)
    await until(kept.is_published)
    early.close()
    pins = [{"type": "modbus", "host": "127.0.0.1", "port": module.port, "address": 3}, {"type": "file", "path": str(tmp_path / "gpio17")}]
    contacts = [
        {"name": f"W{number}", "pin": pin, "consumption_w": watts} for number, (pin, watts) in enumerate(zip(pins, (9000, 7000), strict=True))
    ]
    data = site(
        tmp_path,
        grid={"fuse_a": 100, "worst_other_load_a": 0},
        stations=stations_config(2),
        api={"host": "127.0.0.1", "port": free_port(), "token": TOKEN},
        mqtt={
            "host": "127.0.0.1",
            "port": broker.port,
            "tls": True,
            "ca_file": str(tmp_path / "broker.pem"),
            "username": "site",
            "password": "site-pw",
        },
        control={"setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20, "ramp_up_a_per_s": 20},
        signals=[
            {"id": "dso", "type": "mqtt", "failsafe_w": 11_000, "heartbeat_s": 6},
            {"id": "box", "type": "eebus", "failsafe_w": 14_000},
            {"id": "web", "type": "api", "operator": False, "heartbeat_s": 0},
            {"id": "fnn", "type": "contacts", "binds": "controllable", "contacts": contacts, "poll_s": 0.1, "debounce_s": 0.2},
        ],
    )
    async with Yard(tmp_path, data) as yard, Depot(yard.ocpp_url, 2, sample_s=1.0) as depot:
        await until(lambda: all(station.accepted for station in depot.stations))
        depot.plug_in(0)
        depot.plug_in(1)
        now = Scene(yard, depot, broker, module, tmp_path)
        yield now
        now.dso.close()
        now.bridge.close()
    await module.stop()


async def test_a_source_at_a_real_broker(scene: Scene) -> None:
    """Retained old, garbage, duplicates, out of order, somebody without rights, the broker's end: in this order."""
    await until(lambda: scene.is_at("dso", "waiting", 11_000.0))
    await until(lambda: "limit that has already ended" in scene.yard.log.read_text() or scene.dso.answers())
    for payload in (b"\xff\x00", b"", b"10", b"NaN", b'{"consumption_w": "10"}', b'{"consumption_w": 1e999}', b'{"limit": 5}', b"[" * 50_000):
        scene.dso.send(ROOT + "signal/dso/set", payload)
    scene.dso.send(ROOT + "signal/dso/set", {"consumption_w": -1})
    await until(lambda: len(scene.dso.answers()) >= 9)
    assert not any(answer["accepted"] for answer in scene.dso.answers())
    assert await scene.is_at("dso", "waiting", 11_000.0)

    scene.dso.heard.clear()
    for sequence, watts in ((5, 20_000), (5, 30_000), (4, 40_000), (6, 18_000)):
        scene.dso.send(ROOT + "signal/dso/set", {"consumption_w": watts, "sequence": sequence})
    await until(lambda: len(scene.dso.answers()) == 4)
    assert [answer["accepted"] for answer in scene.dso.answers()] == [True, False, False, True]
    assert await scene.is_at("dso", "limited", 18_000.0)
    thief = Sender(scene.broker, scene.ca_file, "thief")
    thief.send(ROOT + "signal/dso/set", {"consumption_w": 0, "sequence": 7})
    scene.bridge.send(ROOT + "signal/dso/set", {"consumption_w": 0, "sequence": 7})
    scene.dso.send(ROOT + "signal/dso/set", {"sequence": 8})
    await until(lambda: scene.is_at("dso", "limited", 18_000.0))
    thief.close()

    scene.broker.stop()
    await until(lambda: scene.is_at("dso", "failsafe", 11_000.0), 20)
    await until(lambda: 0 < scene.asked_w() <= 11_000.0)
    scene.broker.start()
    scene.dso.heard.clear()
    for _ in range(100):
        scene.dso.send(ROOT + "signal/dso/set", {"consumption_w": 18_000})
        if await scene.is_at("dso", "limited", 18_000.0):
            break
        await asyncio.sleep(0.2)
    assert await scene.is_at("dso", "limited", 18_000.0)


async def test_contacts_of_a_module_that_dies_in_each_position(scene: Scene) -> None:
    await until(lambda: scene.is_at("fnn", "unlimited", None))
    await scene.module.stop()  # W0 open
    await until(lambda: scene.is_at("fnn", "limited", 9000.0), 15)
    assert "W0 cannot be read" in (await scene.signals())["fnn"]["trouble"]
    await scene.module.start()
    await until(lambda: scene.is_at("fnn", "unlimited", None), 15)
    await scene.module.put(3, True)
    await until(lambda: scene.is_at("fnn", "limited", 9000.0))
    await scene.module.stop()  # W0 closed
    scene.pin.write_text("1\n")
    await until(lambda: scene.is_at("fnn", "limited", 7000.0))
    scene.pin.unlink()

    async def noticed() -> bool:
        return "W1 cannot be read" in (await scene.signals())["fnn"]["trouble"]

    await until(noticed, 15)
    assert await scene.is_at("fnn", "limited", 7000.0)
    scene.pin.write_text("0\n")
    await until(lambda: scene.is_at("fnn", "limited", 9000.0))
    await scene.module.put(3, False)
    await scene.module.start()
    await until(lambda: scene.is_at("fnn", "unlimited", None), 15)


async def test_strangers_at_the_api_change_nothing_and_are_told_why(scene: Scene) -> None:
    good = {"consumption_w": 12_000, "duration_s": 600}
    strangers: list[tuple[Any, dict[str, Any], int]] = [
        (good, {"token": None}, 401),
        (good, {"token": "wrong"}, 401),
        (good, {"Content-Type": "text/plain"}, 415),
        (b"{" * 100_000, {}, 413),
        (b"", {}, 422),
        (b"null", {}, 422),
        (b'{"consumption_w": NaN}', {}, 422),
        (b'{"consumption_w": 1' + b"0" * 400 + b"}", {}, 422),
        (b'{"consumption_w": true}', {}, 422),
        (b'{"consumption_w": 5, "consumption_w": 50000}', {}, 422),
        ({"consumption_w": -1}, {}, 422),
        ({"consumption_w": 5, "duration_s": 0}, {}, 422),
        ({"consumption_w": 5, "issued_at": "0001-01-01T00:00:00+14:00", "sequence": 1}, {}, 200),
        ({"consumption_w": 5, "issued_at": "yesterday"}, {}, 422),
        ({"consumption_w": 1e9}, {}, 422),
    ]
    for body, more, expected in strangers:
        status, answer = await scene.post("web", body, **more)
        assert status == expected, (body[:80] if isinstance(body, bytes) else body, answer)
        assert expected == 200 or answer["error"]
    assert (await scene.post("web", {"consumption_w": None}))[0] == 200
    assert (await scene.post("nobody", good))[0] == 404
    assert (await scene.post("fnn", good))[0] == 409
    status, answer = await scene.post("web", good)
    assert (status, answer["answers"][0]["in_force_w"]) == (200, 12_000.0)
    await until(lambda: scene.is_at("web", "limited", 12_000.0))
    log = scene.yard.log.read_text()
    assert "Traceback" not in log
    assert TOKEN not in log


async def test_all_sources_at_once_and_kill_9_in_the_middle(scene: Scene) -> None:
    """After the restart nothing is above what any of them has stated, from the first setpoint on."""
    beating = asyncio.ensure_future(_beats(scene))
    await until(lambda: "online" in str(scene.bridge.heard) or scene.bridge.answers("state"), 10)
    scene.dso.send(ROOT + "signal/dso/set", {"consumption_w": 30_000})
    scene.bridge.send(BRIDGE + "heartbeat", {})
    scene.bridge.send(BRIDGE + "consumption/limit", {"value_w": 25_000, "active": True, "number": 1})
    await until(lambda: scene.is_at("box", "limited", 25_000.0))
    assert (await scene.post("web", {"consumption_w": 15_000}))[0] == 200
    await until(lambda: PER_A * 12 <= scene.asked_w() <= 15_000.0)
    await scene.module.put(3, True)
    await until(lambda: scene.is_at("fnn", "limited", 9000.0))
    await until(lambda: 0 < scene.asked_w() <= 9000.0)

    await scene.yard.kill()
    before = [len(station.setpoints) for station in scene.depot.stations]
    await scene.yard.start()
    highest_w = 0.0
    for _ in range(80):
        signals = await scene.signals()
        assert signals["web"]["limit_w"] == 15_000.0  # it has no heartbeat: what it stated is in force
        assert signals["box"]["limit_w"] == 14_000.0  # its failsafe until it states again
        assert signals["dso"]["limit_w"] == 11_000.0  # heartbeats alone end nothing
        highest_w = max(highest_w, scene.asked_w())
        await asyncio.sleep(0.1)
    assert highest_w <= 9000.0 + 1.0
    assert [len(station.setpoints) for station in scene.depot.stations] > before

    async def proved() -> bool:
        return ("fnn", "obeyed") in await _recorded(scene)

    await until(proved, 30)
    await scene.module.put(3, False)
    await until(lambda: 9000.0 < scene.asked_w() <= 14_000.0, 20)
    scene.bridge.send(BRIDGE + "consumption/limit", {"value_w": 25_000, "active": False, "number": 2})
    scene.dso.send(ROOT + "signal/dso/set", {"consumption_w": 30_000})
    await until(lambda: scene.is_at("box", "unlimited", None))
    await until(lambda: scene.is_at("dso", "limited", 30_000.0))
    assert await scene.lowest_w() == 15_000.0
    beating.cancel()
    wanted = {("dso", "received"), ("box", "in_force"), ("web", "received"), ("fnn", "obeyed"), ("fnn", "ended"), ("box", "failsafe")}
    assert wanted <= await _recorded(scene)


async def _recorded(scene: Scene) -> set[tuple[str, str]]:
    """(source, event) of the compliance record."""
    async with aiohttp.ClientSession() as session, session.get(f"{scene.yard.api_url}/api/v1/compliance.csv") as response:
        rows = [row.split(",") for row in (await response.text()).splitlines()]
    return {(row[2], row[5]) for row in rows[1:]}


async def _beats(scene: Scene) -> None:
    while True:
        scene.dso.send(ROOT + "signal/dso/set", {})
        scene.bridge.send(BRIDGE + "heartbeat", {})
        await asyncio.sleep(1.0)
