"""The devices and servers around a site, each as a process of its own, so that it can be killed, frozen and started again like one.

``Neighbour`` starts one. It is told what it shows (``tell``: newest wins) and says what it does (``said``: its newest word). The physics is the
parent's business: a meter shows what it is told, a hybrid tells what it makes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from aiohttp import web

from controller.io.clock import Clock
from controller.paths import config_dir
from controller.sim.meter import SimMeters
from controller.sim.site import MeterValues
from controller.sim.sunspec import Plant, SimHybrid, SimSunSpec
from controller.sim.vtn3 import Vtn3
from tests.support.modbus_lines import Asked, RawDevice, Say, raw_over_tcp

HOST = "127.0.0.1"
PV_W, BATTERY_W = 12_000.0, 6_000.0
SAY_S = 0.1

Shown = dict[str, Any]
Work = Callable[[int, Shown, Callable[[Any], None]], Awaitable[None]]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.senses_devices"])


class Neighbour:
    """One process. kind: a key of WORK. settings: told to each life before it listens."""

    def __init__(self, kind: str, port: int, **settings: Any) -> None:
        self.kind, self.port, self.settings = kind, port, settings
        self.frozen = False
        self._last: Any = None
        self._process: Any = None
        self._pipe: Connection | None = None

    @property
    def alive(self) -> bool:
        """It runs and is not frozen."""
        return self._process is not None and self._process.is_alive() and not self.frozen

    @property
    def pid(self) -> int:
        """Of this life."""
        assert self._process is not None
        return int(self._process.pid)

    def start(self) -> None:
        """Begin a life on the same port; it listens a moment later."""
        ours, theirs = _context.Pipe()
        self._process = _context.Process(target=_main, args=(self.kind, self.port, self.settings, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe, self._last = ours, None

    def tell(self, **shown: Any) -> None:
        """What it shows from now on. A frozen one is told nothing."""
        if self._pipe is not None and self.alive:
            with suppress(OSError):
                self._pipe.send(shown)

    @property
    def said(self) -> Any:
        """Its newest word in this life, None = none yet."""
        with suppress(OSError, EOFError):
            while self._pipe is not None and self._pipe.poll():
                self._last = self._pipe.recv()
        return self._last

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.join(10)
            self.frozen = False

    def freeze(self) -> None:
        """SIGSTOP: its sockets stay open and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        if self.frozen:
            os.kill(self.pid, signal.SIGCONT)
            self.frozen = False


def _main(kind: str, port: int, settings: Shown, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(KeyboardInterrupt):
        asyncio.run(_live(WORK[kind], port, settings, pipe))


async def _live(work: Work, port: int, settings: Shown, pipe: Connection) -> None:
    shown, loop = dict(settings), asyncio.get_running_loop()

    def told() -> None:
        try:
            while pipe.poll():
                shown.update(pipe.recv())
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone

    def say(word: Any) -> None:
        with suppress(OSError):
            pipe.send(word)

    loop.add_reader(pipe.fileno(), told)
    await work(port, shown, say)


async def _meter(port: int, shown: Shown, say: Callable[[Any], None]) -> None:
    """The grid meter: Modbus with the simulator's map. current_a: by phase; wrong: what it shows in place of L1."""

    def values() -> MeterValues:
        amps = tuple(shown.get("current_a", (0.0, 0.0, 0.0)))
        return MeterValues((shown["wrong"], *amps[1:]) if shown.get("wrong") is not None else amps)

    await SimMeters(config_dir() / "meters", {1: values}).start(port)
    say("ready")
    await asyncio.Event().wait()


async def _http(port: int, shown: Shown, say: Callable[[Any], None]) -> None:
    """A meter (/meter) and a market feed (/prices) over HTTP. rubbish: what both answer instead."""

    async def answer(request: web.Request) -> web.Response:
        if shown.get("rubbish") is not None:
            return web.Response(text=shown["rubbish"], content_type="application/json")
        if request.path == "/prices":
            return web.json_response(shown.get("prices", []))
        amps = shown.get("current_a", (0.0, 0.0, 0.0))
        return web.json_response({"amps": list(amps), "watts": sum(amps) * 230.0})

    app = web.Application()
    app.router.add_get("/meter", answer)
    app.router.add_get("/prices", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, shown.get("host", HOST), port).start()
    say("ready")
    await asyncio.Event().wait()


async def _hybrid(port: int, shown: Shown, say: Callable[[Any], None]) -> None:
    """PV and a battery behind SunSpec. pv_w: what the sun gives, soc_percent: at the start. Says what it does."""
    plant = Plant(rating_w=PV_W, most_w=BATTERY_W, capacity_wh=50_000.0, soc_percent=shown.get("soc_percent", 50.0), pv_w=PV_W / 2)
    device = SimHybrid("int", plant=plant)
    await SimSunSpec(device).start(port)
    while True:
        plant.pv_w = shown.get("pv_w", PV_W / 2)
        device.advance()
        said = {"produced_w": plant.produced_w, "battery_w": plant.battery_w, "soc_percent": plant.soc_percent, "limit_w": device.limit_w}
        say(said | {"commanded": device.value(124, "StorCtl_Mod") not in (0, None), "life_s": device.value(124, "InOutWRte_RvrtTms")})
        await asyncio.sleep(SAY_S)


async def _module(port: int, shown: Shown, say: Callable[[Any], None]) -> None:
    """A Modbus I/O module. inputs: closed contacts (function 2). Says its coils when one is written."""
    coils: dict[int, bool] = {}

    def behave(device: RawDevice, asked: Asked) -> list[Say] | None:
        if asked.function == 5:
            coils[asked.address] = asked.words[0] == 0xFF00
            say(dict(coils))
            return None  # the echo, as the specification wants it
        closed = shown.get("inputs", ()) if asked.function == 2 else [at for at, on in coils.items() if on]
        bits = sum(1 << number for number in range(asked.count) if asked.address + number in closed)
        data = bits.to_bytes((asked.count + 7) // 8, "little")
        return [(0.0, device.frame(asked, bytes([asked.function, len(data)]) + data))]

    async with raw_over_tcp(port, False, behave):
        say(coils)
        await asyncio.Event().wait()


async def _vtn(port: int, shown: Shown, say: Callable[[Any], None]) -> None:
    """A server of OpenADR 3. off_s: how wrong its clock is."""
    clock = Clock()
    server = Vtn3("3.1", wall_s=lambda: clock.stamp().wall_s + shown.get("off_s", 0.0))
    await server.start(port)
    say(server.url)
    await asyncio.Event().wait()


WORK: dict[str, Work] = {"meter": _meter, "http": _http, "hybrid": _hybrid, "module": _module, "vtn": _vtn}
