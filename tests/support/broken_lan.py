"""A charger's network that breaks as networks do (F35, F37, F38, F39): ``python -m tests.support.broken_lan FOLDER FAULT packets|bytes``.

With root the station lives in a network namespace of its own behind a line of real packets; without, behind a proxy on loopback that loses
what the line would lose. The controller and the station are processes; what was seen is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.io.clock import Clock
from controller.io.tasks import spawn
from tests.support.depot import FALLBACK_A, stations_config
from tests.support.lossy_link import FAR, MTU, NEAR, _elsewhere, _ip, _put, _tun
from tests.support.yard import ROOT, Yard, free_port, site, until

ELSEWHERE = "10.9.0.3"
"""Where the controller is after its address has changed."""
LARGE_BYTES = 400
"""The black hole swallows what is larger: a CALL with a profile is, a ping is not."""
PING_S = 2
Judge = Callable[[bytes], bool]
"""Whether a packet passes."""


def passes(_packet: bytes) -> bool:
    """A good line."""
    return True


def lost(_packet: bytes) -> bool:
    """Nothing passes."""
    return False


def small(packet: bytes) -> bool:
    """A path whose MTU nobody tells."""
    return len(packet) <= LARGE_BYTES


class PacketLan:
    """Two TUN devices, the controller's here and the station's in another namespace. up: towards the controller; down: towards the station."""

    def __init__(self) -> None:
        self.up: Judge = passes
        self.down: Judge = passes
        self.twin = False
        """Somebody else on the network has our address: what the station sends reaches him, and he knows of no connection."""
        self.host = NEAR
        _ip("link", "set", "lo", "up")
        self._holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        space = f"/proc/{self._holder.pid}/ns/net"
        while os.readlink(space) == os.readlink("/proc/self/ns/net"):
            os.sched_yield()
        self.enter = ("nsenter", f"--net={space}")
        self._devices = (_tun("near"), _elsewhere(space, lambda: _tun("far")))
        for command, name, mine, other in (((), "near", NEAR, FAR), (self.enter, "far", FAR, NEAR)):
            _ip("addr", "add", mine, "peer", other, "dev", name, before=command)
            _ip("link", "set", name, "up", "mtu", str(MTU), before=command)
        _ip("route", "add", ELSEWHERE, "dev", "far", before=self.enter)

    async def start(self, _port: int) -> None:
        """Packets pass from now on."""
        loop, (near, far) = asyncio.get_running_loop(), self._devices
        loop.add_reader(near, self._carry, near, far, lambda: self.down)
        loop.add_reader(far, self._carry, far, near, lambda: self.up)

    def _carry(self, here: int, there: int, judge: Callable[[], Judge]) -> None:
        packet = os.read(here, 65_536)
        if self.twin and here == self._devices[1]:
            if (answer := refusal(packet)) is not None:
                _put(here, answer)
        elif judge()(packet):
            _put(there, packet)

    async def moves(self) -> None:
        """The controller's address changes."""
        _ip("addr", "del", NEAR, "peer", FAR, "dev", "near")
        _ip("addr", "add", ELSEWHERE, "peer", FAR, "dev", "near")
        self.host = ELSEWHERE

    async def stop(self) -> None:
        """The line is gone."""
        for device in self._devices:
            asyncio.get_running_loop().remove_reader(device)
            os.close(device)
        self._holder.kill()
        self._holder.wait()


def refusal(packet: bytes) -> bytes | None:
    """What a host answers to a TCP segment of a connection it knows nothing of (RFC 9293, 3.5.2); None for what is no such segment of IPv4."""
    if packet[0] >> 4 != 4 or packet[9] != 6:
        return None
    head = 4 * (packet[0] & 15)
    source, target, sequence, acknowledged, offset, flags = struct.unpack(">HHIIBB", packet[head : head + 14])
    if flags & 4:  # a reset is not answered
        return None
    if flags & 16:
        words = (target, source, acknowledged, 0, 5 << 4, 4, 0, 0, 0)
    else:
        length = len(packet) - head - 4 * (offset >> 4) + (flags & 2 > 0) + (flags & 1)
        words = (target, source, 0, (sequence + length) & 0xFFFFFFFF, 5 << 4, 4 | 16, 0, 0, 0)
    addresses = packet[16:20] + packet[12:16]
    segment = struct.pack(">HHIIBBHHH", *words)
    check = checksum(addresses + struct.pack(">BBH", 0, 6, len(segment)) + segment)
    segment = segment[:16] + struct.pack(">H", check) + segment[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0) + addresses
    return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + segment


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = int(sum(struct.unpack(f">{len(data) // 2}H", data)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class ByteLan:
    """A TCP proxy in place of the network. What is lost on one way is lost with all that comes behind it, as TCP shows it to both ends."""

    def __init__(self) -> None:
        self.up: Judge = passes
        self.down: Judge = passes
        self.twin = False
        self.host, self.enter = "127.0.0.1", ()
        self.port = free_port()
        self._target = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> None:
        """Bytes pass from now on."""
        self._target = port
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.twin or not (self.up(b"") and self.down(b"")):
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        both = {writer, there_writer}
        self._open |= both
        await asyncio.gather(self._carry(reader, there_writer, lambda: self.up), self._carry(there_reader, writer, lambda: self.down))
        self._open -= both

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, judge: Callable[[], Judge]) -> None:
        swallowed = False
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if self.twin:
                    writer.transport.abort()
                swallowed = swallowed or not judge()(data)
                if not swallowed:
                    writer.write(data)
        writer.close()

    async def moves(self) -> None:
        """As if: every connection over the old address ends, and the station is told a new one."""
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        self.port = free_port()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """The proxy is gone."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()


Lan = PacketLan | ByteLan


class FarStation:
    """The station's process. told: its last word."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {"connected": False, "times": 0, "offer_a": 0.0}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, lan: Lan, url: str) -> None:
        """It dials at once."""
        command = (*lan.enter, sys.executable, "-m", "tests.support.lan_station", url)
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        self._reading = spawn(self._read(), "far station")

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.told = json.loads(line)

    def finds(self, url: str) -> None:
        """Its name server tells another address."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{url}\n".encode())

    async def stop(self) -> None:
        """Gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading


class Scene:
    """Everything that runs, and what may be asked of it."""

    def __init__(self, lan: Lan, yard: Yard, station: FarStation, port: int) -> None:
        self.lan, self.yard, self.station = lan, yard, station
        self._port = port
        self._now = Clock()

    @property
    def now_s(self) -> float:
        """Monotonic."""
        return self._now.stamp().mono_s

    @property
    def url(self) -> str:
        """Where the station finds the controller."""
        return f"ws://{self.lan.host}:{self.lan.port if isinstance(self.lan, ByteLan) else self._port}/ocpp"

    async def online(self) -> bool:
        """Whether the controller takes the station for connected."""
        return bool((await self.yard.state())["links"][0]["online"])

    async def offline(self) -> bool:
        """The opposite."""
        return not await self.online()

    async def charges(self) -> None:
        """Until the station has a setpoint above its fallback again."""
        await until(lambda: self.station.told["connected"] and self.station.told["offer_a"] > FALLBACK_A, 90)
        await until(self.online, 30)

    async def took_s(self, condition: Callable[[], Any], most_s: float) -> float:
        """Seconds until something is so."""
        began_s = self.now_s
        await until(condition, most_s)
        return round(self.now_s - began_s, 1)


async def one_way(scene: Scene) -> dict[str, Any]:
    """F35: first nothing of the station arrives, then nothing at it; it falls to its fallback and comes back."""
    seen: dict[str, Any] = {}
    scene.lan.up = lost
    seen["deaf_s"] = await scene.took_s(scene.offline, 60)
    scene.lan.up = passes
    await scene.charges()
    scene.lan.down = lost
    seen["mute_s"] = await scene.took_s(scene.offline, 60)
    seen["fallback_s"] = await scene.took_s(lambda: scene.station.told["offer_a"] == FALLBACK_A, 60)
    scene.lan.down = passes
    await scene.charges()
    return seen


async def moved(scene: Scene) -> dict[str, Any]:
    """F37: the controller has another address from one moment to the next; the station is told by its name server."""
    times = scene.station.told["times"]
    await scene.lan.moves()
    scene.station.finds(scene.url)
    took_s = await scene.took_s(lambda: scene.station.told["times"] > times, 90)
    await scene.charges()
    return {"back_s": took_s}


async def twins(scene: Scene) -> dict[str, Any]:
    """F38: for a while somebody else answers at our address."""
    scene.lan.twin = True
    noticed_s = await scene.took_s(scene.offline, 60)
    fell_s = await scene.took_s(lambda: scene.station.told["offer_a"] == FALLBACK_A, 60)
    scene.lan.twin = False
    await scene.charges()
    return {"noticed_s": noticed_s, "fallback_s": fell_s}


async def black_hole(scene: Scene) -> dict[str, Any]:
    """F39: large packets towards the station vanish; it is heard all the time, so that no ping would find it."""
    scene.lan.down = small
    noticed_s = await scene.took_s(scene.offline, 120)
    scene.lan.down = passes
    await scene.charges()
    return {"noticed_s": noticed_s}


FAULTS: dict[str, Callable[[Scene], Awaitable[dict[str, Any]]]] = {"F35": one_way, "F37": moved, "F38": twins, "F39": black_hole}


async def story(folder: Path, fault: str, packets: bool) -> dict[str, Any]:
    """A station charges; its network breaks and heals."""
    lan = PacketLan() if packets else ByteLan()
    port = free_port()
    control = {"setpoint_life_s": 20, "setpoint_renew_s": 5, "offline_hold_s": 20, "ramp_up_a_per_s": 20}
    listen = {"host": "0.0.0.0" if packets else "127.0.0.1", "port": port, "ping_s": PING_S}
    yard, station = Yard(folder, site(folder, stations=stations_config(), listen=listen, control=control)), FarStation()
    scene = Scene(lan, yard, station, port)
    await lan.start(port)
    try:
        async with yard:
            await station.start(lan, scene.url)
            await scene.charges()
            seen = await FAULTS[fault](scene)
            seen["alarms"] = [event["text"] for event in (await yard.state())["events"] if event["severity"] == "alarm"]
            await station.stop()
            seen["code"] = await yard.stop()
    finally:
        await station.stop()
        await lan.stop()
    return {**seen, "line": "packets" if packets else "bytes", "log": yard.log.read_text()[-6000:]}


def in_own_network(folder: Path, fault: str, packets: bool = True) -> list[str]:
    """The command that runs this module with the best network that is allowed here; packets False: with the proxy in any case."""
    program = [sys.executable, "-m", "tests.support.broken_lan", str(folder), fault]
    probe = [sys.executable, "-c", "import tests.support.broken_lan as lan; lan.PacketLan()._holder.kill()"]
    with suppress(OSError):
        if packets and subprocess.run(["unshare", "-n", *probe], capture_output=True, cwd=ROOT, check=False).returncode == 0:
            return ["unshare", "-n", *program, "packets"]
    return [*program, "bytes"]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(story(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "packets"))))
