"""A whole site with every sense it can have, on real sockets, for tests that break its surroundings.

A real ``yardmaster run``; the grid meter over Modbus, circuit meters over HTTP and MQTT, a virtual one; a SunSpec hybrid as meters and as what is
commanded; relay coils and contacts on a Modbus I/O module; limits over MQTT, HTTP, contacts, OpenADR 3 and IEEE 2030.5; a market feed; mosquitto with
TLS and an access list; influxd behind the v2 write call; six stations with cars. All but the stations and the physics are processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

import aiohttp
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from controller.io.clock import Clock
from controller.io.tasks import end, spawn
from tests.conftest import Broker
from tests.support.certificates import ECDSA_CERT, ECDSA_KEY
from tests.support.csip_world import PROGRAM
from tests.support.csip_world import World as Utility
from tests.support.depot import Depot, stations_config
from tests.support.history_servers import Influxd
from tests.support.openadr3_world import business
from tests.support.openadr3_world import entry as vtn_entry
from tests.support.senses_devices import HOST, Neighbour
from tests.support.yard import Yard, free_port, site, until

VOLTAGE_V = 230.0
STATIONS = 6
FUSE_A, CIRCUIT_FUSE_A, WORST_OTHER_A = 100.0, 63.0, 40.0
HALL, YARD = ("CP1", "CP2", "CP3"), ("CP4", "CP5", "CP6")
HEARTBEAT_S = 8.0
FAILSAFE_W = {"fleet": 40_000.0, "dso": 50_000.0, "utility": 45_000.0}
CONTACT_W, CONTACT_EXPORT_W = 20_000.0, 3_000.0
CONTROL = {"setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20, "ramp_up_a_per_s": 20, "plan_every_s": 10}
ROOT = "yardmaster/test/"
STEP_S = 0.1


class Wire:
    """A TCP line between Yardmaster and a neighbour that can be cut or held up."""

    def __init__(self, to_port: int) -> None:
        self.port, self.to_port = free_port(), to_port
        self.held = asyncio.Event()
        self.held.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def stop(self) -> None:
        """Hang up and listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await end(self._tasks)

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = spawn(self._carry(source, target), "wire")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self.held.wait()
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


class SensesYard(Yard):
    """Its log goes through a pipe, so that a full disk is the program's and not the log's."""

    def __init__(self, folder: Path, data: dict[str, Any]) -> None:
        super().__init__(folder, data)
        self.frozen = False
        self._pumps: set[asyncio.Task[None]] = set()

    async def spawn(self, output: Any) -> asyncio.subprocess.Process:
        process = await super().spawn(asyncio.subprocess.PIPE)
        task = spawn(self._pump(process), "log")
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        return process

    async def _pump(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None

        async def copy(stream: asyncio.StreamReader) -> None:
            while data := await stream.read(65_536):
                with self.log.open("ab") as log:
                    log.write(data)

        await asyncio.gather(copy(process.stdout), copy(process.stderr))

    @property
    def pid(self) -> int:
        """Of this life."""
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        """It runs and is not frozen."""
        return self.process is not None and self.process.returncode is None and not self.frozen

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        if self.frozen:
            os.kill(self.pid, signal.SIGCONT)
            self.frozen = False

    def fill_disk(self, full: bool) -> None:
        """Let no file grow any more, or let them grow again."""
        most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (4096 if full else most, most))

    def resources(self) -> tuple[int, float]:
        """(open files, resident memory without files [MiB])."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return len(os.listdir(f"/proc/{self.pid}/fd")), next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


class Fleet:
    """The fleet manager and the yard's meter: one client each on the broker. answers: by sequence."""

    def __init__(self, port: int, ca: Path) -> None:
        self.answers: dict[int, dict[str, Any]] = {}
        self._number = 0
        self._client = self._connect(port, ca, "fleet")
        self._meter = self._connect(port, ca, "meter")
        self._client.on_connect = lambda client, *_: client.subscribe(ROOT + "signal/fleet/answer", 1)
        self._client.on_message = self._take

    @staticmethod
    def _connect(port: int, ca: Path, name: str) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.tls_set_context(ssl.create_default_context(cafile=str(ca)))
        client.username_pw_set(name, "secret")
        client.reconnect_delay_set(1, 2)
        client.connect_async(HOST, port, keepalive=5)
        client.loop_start()
        return client

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        answer = json.loads(message.payload)
        if isinstance(answer.get("sequence"), int):
            self.answers[answer["sequence"]] = answer

    def state(self, **words: Any) -> int:
        """State a limit; its number."""
        self._number += 1
        self._client.publish(ROOT + "signal/fleet/set", json.dumps({**words, "sequence": self._number}), qos=0)
        return self._number

    def beat(self) -> None:
        """A heartbeat."""
        self._client.publish(ROOT + "signal/fleet/set", "{}", qos=0)

    def measure(self, amps: tuple[float, ...]) -> None:
        """The yard's meter speaks."""
        self._meter.publish("meters/yard", json.dumps({"current_a": amps, "power_w": sum(amps) * VOLTAGE_V}), qos=0)

    def litter(self, rng: Random) -> None:
        """Retained garbage on every topic the site reads."""
        bodies = [b"\xff\xfe\x00", b"{", b"[]", b'{"consumption_w": -5}', b'{"consumption_w": 999999}', b'{"current_a": [1e999]}', b"x" * 300_000]
        old = {"consumption_w": 99_000, "duration_s": 900, "issued_at": "2020-01-01T00:00:00Z"}
        bodies.append(json.dumps(old).encode())
        for client, topic in ((self._client, ROOT + "signal/fleet/set"), (self._client, ROOT + "limit/set"), (self._meter, "meters/yard")):
            client.publish(topic, rng.choice(bodies), qos=0, retain=True)

    def close(self) -> None:
        """Leave."""
        for client in (self._client, self._meter):
            client.disconnect()
            client.loop_stop()


def guarded_broker(folder: Path) -> Broker:
    """mosquitto with TLS, names and an access list."""
    for name, text in (("cert.pem", ECDSA_CERT), ("key.pem", ECDSA_KEY)):
        (folder / name).write_text(text, encoding="utf-8")
    for number, name in enumerate(("site", "fleet", "meter")):
        create = ["-c"] if number == 0 else []
        subprocess.run(["mosquitto_passwd", "-b", *create, str(folder / "pw"), name, "secret"], check=True, capture_output=True)
    (folder / "acl").write_text(
        f"user site\ntopic readwrite {ROOT}#\ntopic readwrite homeassistant/#\ntopic read meters/#\n"
        f"user fleet\ntopic write {ROOT}signal/fleet/set\ntopic write {ROOT}limit/set\ntopic read {ROOT}signal/fleet/answer\n"
        "user meter\ntopic write meters/#\n"
    )
    for name in ("pw", "acl", "key.pem"):
        os.chmod(folder / name, 0o600)
    return Broker(
        folder,
        f"cafile {folder / 'cert.pem'}\ncertfile {folder / 'cert.pem'}\nkeyfile {folder / 'key.pem'}\n"
        f"allow_anonymous false\npassword_file {folder / 'pw'}\nacl_file {folder / 'acl'}\nmax_queued_messages 200\n",
    )


def freeze_broker(broker: Broker, frozen: bool) -> None:
    """SIGSTOP or SIGCONT."""
    if broker._process is not None:
        broker._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)


class Surroundings:
    """Every neighbour, each behind a wire that can be cut. Use as async context manager; nothing is started by it but the wires."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.devices = {kind: Neighbour(kind, free_port()) for kind in ("meter", "http", "hybrid", "module", "vtn")}
        for name in ("broker", "influx", "utility"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.broker = guarded_broker(folder / "broker")
        self.influx = Influxd(folder / "influx")
        self.utility = Utility(folder / "utility", process=True)
        ports = {name: one.port for name, one in self.devices.items()}
        ports |= {"broker": self.broker.port, "utility": self.utility.port}
        self.wires = {name: Wire(port) for name, port in ports.items()}
        self.ca = folder / "broker" / "cert.pem"

    async def __aenter__(self) -> Surroundings:
        for wire in self.wires.values():
            await wire.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self.devices.values():
            one.kill()
        freeze_broker(self.broker, False)
        self.broker.stop()
        await self.influx.stop()
        await self.utility.__aexit__(None, None, None)
        for wire in self.wires.values():
            await wire.stop()

    async def start(self) -> None:
        """All of them."""
        for one in self.devices.values():
            one.start()
        self.broker.start()
        await self.utility.__aenter__()
        await self.plan_program()
        await self.influx.start()
        await until(lambda: all(one.said for one in self.devices.values() if one.kind != "module"), 60)

    async def plan_program(self) -> None:
        """The utility has a program; each of its lives has to be told."""
        await self.utility.do("program", number=1, mrid=PROGRAM, primacy=1, name="DNSP")

    def site(self, folder: Path, **parts: Any) -> dict[str, Any]:
        """A site file that knows all of them."""
        return site(folder, **json.loads(json.dumps(whole_site(self) | parts)))  # no part twice, YAML would write an alias


def whole_site(around: Surroundings) -> dict[str, Any]:
    """What the site file has beside the names of ports for stations and page."""
    at = {name: {"host": HOST, "port": wire.port} for name, wire in around.wires.items()}
    sunspec = {"type": "sunspec", **at["hybrid"]}
    pin = {"type": "modbus", **at["module"]}
    fields = {"p": {"path": "watts"}} | {f"i_l{number + 1}": {"path": f"amps[{number}]"} for number in range(3)}
    web = f"http://{HOST}:{around.wires['http'].port}"
    files = {"cert_file": around.utility.device.cert, "key_file": around.utility.device.key, "ca_file": around.utility.authority.ca}
    stations = [{**one, "circuit": "hall" if one["id"] in HALL else "yard"} for one in stations_config(STATIONS)]
    return {
        "grid": {"fuse_a": FUSE_A, "worst_other_load_a": WORST_OTHER_A, "meter": "grid", "max_export_w": 12_000},
        "circuits": [{"id": name, "fuse_a": CIRCUIT_FUSE_A, "meter": f"m-{name}"} for name in ("hall", "yard")],
        "stations": stations,
        "control": CONTROL,
        "meters": [
            {"id": "grid", "role": "grid", "source": {"type": "modbus", "map": "yardmaster_sim", **at["meter"]}},
            {"id": "m-hall", "role": "circuit", "source": {"type": "http", "url": f"{web}/meter", "fields": fields}},
            {"id": "m-yard", "role": "circuit", "source": {"type": "mqtt", "topic": "meters/yard"}},
            {"id": "building", "role": "load", "source": {"type": "virtual", "plus": ["grid"], "minus": ["m-hall", "m-yard"]}},
            {"id": "sun", "role": "pv", "source": sunspec},
            {"id": "cell", "role": "battery", "source": sunspec},
        ],
        "battery": {"capacity_wh": 50_000, "max_charge_w": 6000, "max_discharge_w": 6000, "meter": "cell", "command": {"control": sunspec}},
        "inverters": [{"id": "roof", "max_power_w": 12_000, "meter": "sun", "control": sunspec}],
        "relays": [
            {"id": "shed", "pin": {**pin, "table": "coil", "address": 0}, "closes": "limited", "min_on_s": 1, "min_off_s": 1},
            {"id": "lamp", "pin": {**pin, "table": "coil", "address": 1}, "closes": "failsafe", "min_on_s": 1, "min_off_s": 1},
        ],
        "signals": [
            {"id": "fleet", "type": "mqtt", "failsafe_w": FAILSAFE_W["fleet"], "heartbeat_s": HEARTBEAT_S},
            {"id": "desk", "type": "api", "binds": "controllable", "heartbeat_s": 0},
            {
                "id": "box",
                "type": "contacts",
                "contacts": [
                    {"name": "W4", "pin": {**pin, "address": 0}, "consumption_w": CONTACT_W},
                    {"name": "W3", "pin": {**pin, "address": 1}, "production_w": CONTACT_EXPORT_W},
                ],
            },
            vtn_entry(f"http://{HOST}:{around.wires['vtn'].port}/openadr3/3.1.0", poll_s=1, failsafe_w=FAILSAFE_W["dso"], heartbeat_s=HEARTBEAT_S),
            {
                **around.utility.entry(**{key: str(value) for key, value in files.items()}),
                "url": f"https://{HOST}:{around.wires['utility'].port}/dcap",
                "failsafe_w": FAILSAFE_W["utility"],
                "heartbeat_s": HEARTBEAT_S,
            },
        ],
        "mqtt": {
            "host": HOST,
            "port": around.wires["broker"].port,
            "tls": True,
            "ca_file": str(around.ca),
            "username": "site",
            "password": "secret",
            "home_assistant": True,
        },
        "history": {"type": "influxdb", "url": around.influx.url, "bucket": "depot"},
        "tariff": {"market": {"feed": {"type": "http", "url": f"{web}/prices", "every_s": 5}}},
        "modbus_server": {"host": HOST, "port": free_port()},
    }


class Physics:
    """What flows. base_a: the building, by phase; sun_w: what the sun gives. Everything else is what stations and the hybrid do."""

    def __init__(self, around: Surroundings, depot: Depot) -> None:
        self.around, self.depot = around, depot
        self.base_a = [8.0, 8.0, 8.0]
        self.sun_w = 6_000.0
        self.produced_w = self.battery_w = 0.0
        self.inputs: set[int] = set()

    def cars_a(self, names: tuple[str, ...] | None = None) -> tuple[float, ...]:
        """Of these stations, by phase."""
        rows = [one.site_current_a() for one in self.depot.stations if names is None or one.spec.id in names]
        return tuple(sum(row[phase] for row in rows) for phase in range(3))

    @property
    def grid_a(self) -> tuple[float, ...]:
        """At the grid connection, import positive."""
        own_a = (self.produced_w - self.battery_w) / 3.0 / VOLTAGE_V
        return tuple(base + car - own_a for base, car in zip(self.base_a, self.cars_a(), strict=True))

    def step(self) -> None:
        """Devices show it; what the hybrid does counts. One that is dead makes nothing, one that is frozen goes on as it was."""
        devices = self.around.devices
        hybrid = devices["hybrid"]
        if hybrid.alive and isinstance(said := hybrid.said, dict):
            self.produced_w, self.battery_w = said["produced_w"], said["battery_w"]
        elif not hybrid.alive and not hybrid.frozen:
            self.produced_w = self.battery_w = 0.0
        devices["meter"].tell(current_a=self.grid_a)
        devices["http"].tell(current_a=self.cars_a(HALL))
        devices["hybrid"].tell(pv_w=self.sun_w)
        devices["module"].tell(inputs=tuple(self.inputs))


class Senses:
    """The running whole. Use as async context manager: everything is up and a car is at every station."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.around = Surroundings(folder, seed)
        self.rng, self.clock = Random(seed), Clock()
        self.data = self.around.site(folder)
        self.yard = SensesYard(folder, self.data)
        self.depot = Depot(self.yard.ocpp_url, STATIONS, sample_s=1.0)
        self.physics = Physics(self.around, self.depot)
        self.fleet: Fleet | None = None
        self.heard = {"broker": True, "utility": True}
        """Whether these processes run."""
        self.looks: list[Callable[[float], None]] = []
        """Called ten times a second with the seconds since the last time."""
        self._tasks: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.stamp().mono_s

    async def __aenter__(self) -> Senses:
        try:
            await self._start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def _start(self) -> None:
        await self.around.__aenter__()
        await self.around.start()
        self.fleet = Fleet(self.around.broker.port, self.around.ca)
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3))
        self._tasks = [spawn(self._world(), "world"), spawn(self._voices(), "voices")]
        await self.yard.start()
        await self.depot.__aenter__()
        await until(lambda: all(station.accepted for station in self.depot.stations), 30)
        for number in range(STATIONS):
            self.depot.plug_in(number, need_wh=200_000.0)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await end(self._tasks)
        await self.depot.__aexit__(kind, error, trace)
        self.yard.thaw()
        if self.yard.alive:
            await self.yard.stop()
        if self.fleet is not None:
            await asyncio.to_thread(self.fleet.close)
        if self._http is not None:
            await self._http.close()
        await self.around.__aexit__()

    async def _world(self) -> None:
        last = self.now
        while True:
            self.physics.step()
            now = self.now
            for look in self.looks:
                look(now - last)
            last = now
            await asyncio.sleep(STEP_S)

    async def _voices(self) -> None:
        """The fleet manager's heartbeat and the yard's meter, once a second."""
        while True:
            if self.fleet is not None:
                self.fleet.measure(self.physics.cars_a(YARD))
                self.fleet.beat()
            await asyncio.sleep(1.0)

    async def state(self) -> dict[str, Any] | None:
        """GET /api/v1/state; None when nobody answers."""
        assert self._http is not None
        try:
            async with self._http.get(f"{self.yard.api_url}/api/v1/state") as answer:
                found: dict[str, Any] = await answer.json()
                return found
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def desk(self, **words: Any) -> int:
        """State a limit over the HTTP API; the status, 0 when nobody answers."""
        assert self._http is not None
        try:
            async with self._http.post(f"{self.yard.api_url}/api/v1/signals/desk", json=words) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0

    async def vtn(self, method: str, path: str, body: Any = None) -> Any:
        """The energy provider's side of the OpenADR server, past the wire."""
        return await business(f"http://{HOST}:{self.around.devices['vtn'].port}/openadr3/3.1.0", method, path, body)
