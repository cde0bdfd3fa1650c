"""A bad line between controller and CSMS (F33): packets or bytes are lost, late and slow.

``PacketLine`` is a real IP link between two network namespaces: two TUN devices and this program in
between, which drops packets, delays them and sends them no faster than the line is. The kernels' own TCP
has to cope. It needs root and must run inside a namespace of its own (``in_own_network``). Where
that is not allowed ``ByteLine`` is a TCP proxy on loopback that behaves as a lossy line looks from above:
late, slow, standing still for growing whiles, cut now and then.

``python -m tests.support.lossy_link FOLDER SECONDS`` plays the story of the test and says what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from controller.io.tasks import end, spawn
from tests.support.ledger_world import LedgerCsmsProcess, LedgerWorld, complaints, ledger_site, sent_late
from tests.support.yard import ROOT, Yard, free_port, until

NEAR, FAR = "10.9.0.1", "10.9.0.2"
MTU = 1400
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
LONGEST_QUEUE_S = 4.0
ENOUGH, LOST_ENOUGH = 20, 3
"""The line stays bad until so many messages were acknowledged and so many packets lost each way, however slow the machine is."""


@dataclass(slots=True)
class Way:
    """One direction. loss: part of all packets; delay_s: on the way; bytes_per_s: speed of the line."""

    loss: float = 0.2
    delay_s: float = 0.25
    bytes_per_s: float = 8000.0
    lost: int = 0
    passed: int = 0
    free_s: float = 0.0
    random: Random = field(default_factory=lambda: Random(33))

    def heal(self) -> None:
        """A good line from now on."""
        self.loss, self.delay_s, self.bytes_per_s = 0.0, 0.001, 10e6

    def arrival_s(self, size: int, now_s: float) -> float | None:
        """When a packet that is sent now arrives; None if it is lost, or the line has too much to do."""
        if self.random.random() < self.loss or self.free_s - now_s > LONGEST_QUEUE_S:
            self.lost += 1
            return None
        self.passed += 1
        self.free_s = max(now_s, self.free_s) + size / self.bytes_per_s
        return self.free_s + self.delay_s


class PacketLine:
    """Two TUN devices, one here and one in a namespace for the CSMS, and this program between them."""

    def __init__(self, folder: Path) -> None:
        self.ways = (Way(), Way())
        _ip("link", "set", "lo", "up")
        self._holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        space = f"/proc/{self._holder.pid}/ns/net"
        while os.readlink(space) == os.readlink("/proc/self/ns/net"):
            os.sched_yield()
        enter = ("nsenter", f"--net={space}")
        self._devices = (_tun("near"), _elsewhere(space, lambda: _tun("far")))
        for command, name, mine, other in (((), "near", NEAR, FAR), (enter, "far", FAR, NEAR)):
            _ip("addr", "add", mine, "peer", other, "dev", name, before=command)
            _ip("link", "set", name, "up", "mtu", str(MTU), before=command)
        self.csms = LedgerCsmsProcess(folder, enter, FAR)
        self.url = self.csms.url

    async def start(self) -> None:
        """Packets pass from now on."""
        near, far = self._devices
        loop = asyncio.get_running_loop()
        loop.add_reader(near, self._pass, near, far, self.ways[0])
        loop.add_reader(far, self._pass, far, near, self.ways[1])

    def _pass(self, here: int, there: int, way: Way) -> None:
        loop = asyncio.get_running_loop()
        packet = os.read(here, 65536)
        arrival_s = way.arrival_s(len(packet), loop.time())
        if arrival_s is not None:
            loop.call_at(arrival_s, _put, there, packet)

    async def stop(self) -> None:
        """The line is gone."""
        for device in self._devices:
            asyncio.get_running_loop().remove_reader(device)
            os.close(device)
        self._holder.kill()
        self._holder.wait()


def _put(device: int, packet: bytes) -> None:
    with suppress(OSError):
        os.write(device, packet)


def _ip(*words: str, before: tuple[str, ...] = ()) -> None:
    subprocess.run([*before, "ip", *words], check=True, capture_output=True)


def _tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def _elsewhere(space: str, make: Callable[[], int]) -> int:
    """Do something in another network namespace, in a thread that ends there."""
    made: list[int] = []

    def work() -> None:
        with open(space) as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) != 0:
                return
        made.append(make())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


class ByteLine:
    """A TCP proxy on loopback in place of the line. A lost packet is a pause, several in a row a longer one, many a cut."""

    def __init__(self, folder: Path) -> None:
        self.ways = (Way(), Way())
        self.csms = LedgerCsmsProcess(folder)
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/csms"
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bytes pass from now on."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.csms.port)
        except OSError:
            writer.close()
            return
        ways = ((reader, there_writer, self.ways[0]), (there_reader, writer, self.ways[1]))
        tasks = [spawn(self._carry(*way), "bad line") for way in ways]
        self._tasks |= set(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await end(tasks)
        self._tasks -= set(tasks)
        for one in (writer, there_writer):
            one.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(MTU):
            pause_s = 0.5
            while (arrival_s := way.arrival_s(len(data), loop.time())) is None:
                await asyncio.sleep(pause_s)
                pause_s *= 2.0
                if pause_s > 4.0:
                    return
            await asyncio.sleep(arrival_s - loop.time())
            try:
                writer.write(data)
                await writer.drain()
            except ConnectionError:
                return

    async def stop(self) -> None:
        """The line is gone."""
        if self._server is not None:
            self._server.close()
        await end(list(self._tasks))


def in_own_network(*arguments: str) -> list[str]:
    """The command that runs this module with the best line that is allowed here."""
    program = [sys.executable, "-m", "tests.support.lossy_link", *arguments]
    probe = [sys.executable, "-c", "import tests.support.lossy_link as line, pathlib; line.PacketLine(pathlib.Path('/tmp'))._holder.kill()"]
    with suppress(OSError):
        if subprocess.run(["unshare", "-n", *probe], capture_output=True, cwd=ROOT, check=False).returncode == 0:
            return ["unshare", "-n", *program, "packets"]
    return [*program, "bytes"]


async def story(folder: Path, packets: bool, seconds: float) -> dict[str, Any]:
    """Six stations charge behind a bad line; then it heals, and the account is made."""
    line = PacketLine(folder) if packets else ByteLine(folder)
    yard = Yard(folder, ledger_site(folder, line.url, 6, call_timeout_s=5))
    await line.start()
    await line.csms.start()
    try:
        async with LedgerWorld(yard, line.csms, 6, 0.5, seed=33) as world:
            await yard.start()
            await until(lambda: all(station.accepted for station in world.stations), 60)
            await asyncio.sleep(seconds)
            await until(lambda: world.acknowledged > ENOUGH and all(way.lost >= LOST_ENOUGH for way in line.ways), 120)
            told, queued = world.acknowledged, await world.queued()
            worst_s = max(station.worst_answer_s for station in world.stations)
            lost = [way.lost for way in line.ways]
            arrived = world.verdict().arrivals
            for way in line.ways:
                way.heal()
            await world.settle(180)
            setpoints = min(station.setpoints for station in world.stations)
            await yard.stop()
            verdict = world.verdict()
    finally:
        await line.stop()
    return {
        "line": "packets" if packets else "bytes",
        "lost": lost,
        "passed": [way.passed for way in line.ways],
        "acknowledged": told,
        "arrived": arrived,
        "queued": queued,
        "late": sent_late(yard),
        "worst_answer_s": worst_s,
        "setpoints": setpoints,
        "account": str(verdict),
        "faultless": verdict.faultless,
        "complaints": complaints(yard),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(story(Path(sys.argv[1]), sys.argv[3] == "packets", float(sys.argv[2])))))
