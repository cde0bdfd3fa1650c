"""An IEEE 2030.5 utility and our driver towards it with its facts caught. The utility runs beside the driver, or as a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.config import Config
from controller.facts import EventsTold, Fact, GridEvent, SignalBeat, SourceChanged, Stamp
from controller.io.clock import Clock
from controller.io.signals import ieee2030_5, ieee2030_5_answers
from controller.io.signals.driver import Surroundings
from controller.io.signals.ieee2030_5 import Ieee20305Driver, build
from controller.io.tasks import end, spawn
from controller.sim.ieee2030_5 import CIPHERS, UtilityServer, caller_tls, tls
from controller.sim.ieee2030_5_desk import Desk, register_order
from controller.sim.ieee2030_5_pki import Authority, Pair
from controller.sim.ieee2030_5_utility import Utility
from tests.support.yard import ROOT, free_port

PIN = 111115
PROGRAM = "AA" * 16
FASTER = 5.0
"""The driver's clock against ours: polls each second come five times a second."""


class World:
    """The utility and its certificates. Use as async context manager. process: it is a process of its own, as in the field."""

    def __init__(self, folder: Path, hosts: tuple[str, ...] = (), registered: bool = True, process: bool = False, ciphers: str = CIPHERS) -> None:
        self.authority = Authority(folder / "pki")
        self.server, self.device = self.authority.server(hosts), self.authority.device("YARD-1")
        self.port, self._desk_port = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}/dcap"
        orders: list[dict[str, Any]] = [register_order(self.device.cert, PIN)] if registered else []
        self._orders = [*orders, {"what": "set", "poll_s": 1, "post_s": 1}]
        self._in_process, self._ciphers = process, ciphers
        self._process: asyncio.subprocess.Process | None = None
        self._beside: UtilityServer | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> World:
        await self.start()
        self._session = aiohttp.ClientSession(f"http://127.0.0.1:{self._desk_port}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        await self.kill()

    async def start(self) -> None:
        """Let the server run; it knows nothing but its first orders."""
        if not self._in_process:
            self._beside = UtilityServer(Utility(lambda: Clock().stamp().wall_s))
            self._beside.caller = caller_tls(self.server.cert, self.server.key, self.authority.ca)
            for order in self._orders:
                Desk(self._beside).act(**order)
            await self._beside.start(self.port, tls(self.server.cert, self.server.key, self.authority.ca, self._ciphers))
            return
        files = {"cert": str(self.server.cert), "key": str(self.server.key), "ca": str(self.authority.ca)}
        settings = {**files, "port": self.port, "desk_port": self._desk_port, "orders": self._orders, "ciphers": self._ciphers}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "controller.sim.ieee2030_5_desk", json.dumps(settings), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"ready\n"

    async def kill(self) -> None:
        """It is gone."""
        if self._beside is not None:
            await self._beside.stop()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def do(self, what: str, **more: Any) -> int:
        """An order at the utility's desk; its time then."""
        if self._beside is not None:
            Desk(self._beside).act(what, **more)
            return self._beside.utility.now_s()
        assert self._session is not None
        async with self._session.post("/do", json={"what": what, **more}) as answer:
            assert answer.status == 200, await answer.text()
            return int((await answer.json())["now_s"])

    async def told(self, what: str) -> list[dict[str, Any]]:
        """What it was sent of this kind."""
        if self._beside is not None:
            return [asdict(one)["content"] for one in self._beside.utility.told if one.what == what]
        assert self._session is not None
        async with self._session.get("/told") as answer:
            return [one["content"] for one in await answer.json() if one["what"] == what]

    @property
    def beside(self) -> UtilityServer:
        """The server, where it runs in this process."""
        assert self._beside is not None
        return self._beside

    async def asked(self) -> list[str]:
        """Every request, as "GET /path"."""
        if self._beside is not None:
            return list(self._beside.asked)
        assert self._session is not None
        async with self._session.get("/asked") as answer:
            return list(await answer.json())

    async def responses(self, mrid: str) -> list[int]:
        """The codes it has about a control."""
        return [one["status"] for one in await self.told("DERControlResponse") if one["subject"] == mrid]

    async def control(self, mrid: str, in_s: float, duration_s: int, modes: dict[str, Any], program: int = 1, **more: Any) -> int:
        """Plan a control; the utility's time then."""
        return await self.do("control", mrid=mrid, in_s=in_s, duration_s=duration_s, modes=modes, program=program, **more)

    def entry(self, pair: Pair | None = None, **more: Any) -> dict[str, Any]:
        """The signal for a site file."""
        pair = pair or self.device
        files = {"cert_file": str(pair.cert), "key_file": str(pair.key), "ca_file": str(self.authority.ca)}
        return {"id": "utility", "type": "ieee2030_5", "url": self.url, **files, "pin": PIN, "poll_s": 1, **more}


def config(folder: Path, *signals: dict[str, Any], **more: Any) -> Config:
    """A site with a photovoltaic plant of 20 kW and these signals."""
    pv = {"id": "roof", "max_power_w": 20_000, "control": {"type": "sunspec", "host": "127.0.0.1"}}
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 20},
            "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}],
            "data_dir": str(folder / "data"),
            "inverters": [pv],
            "signals": list(signals),
            **more,
        }
    )


class Listener:
    """A driver at work and every fact it submits."""

    def __init__(self, driver: Ieee20305Driver, facts: list[Fact], changed: asyncio.Event) -> None:
        self.driver, self.facts, self._changed = driver, facts, changed

    def events(self) -> dict[str, GridEvent]:
        """The newest schedule."""
        told = [fact for fact in self.facts if isinstance(fact, EventsTold)]
        return {event.event_id: event for event in told[-1].events} if told else {}

    def schedules(self) -> int:
        """How many were told."""
        return sum(isinstance(fact, EventsTold) for fact in self.facts)

    def beats(self) -> int:
        """How many heartbeats came beside schedules."""
        return sum(isinstance(fact, SignalBeat) for fact in self.facts)

    def state(self) -> tuple[bool, str]:
        """What it says of its connection."""
        said = [fact for fact in self.facts if isinstance(fact, SourceChanged)]
        return (said[-1].healthy, said[-1].detail) if said else (False, "")

    async def until(self, true: Callable[[], object], within_s: float = 10.0) -> None:
        """Wait until facts make it true."""
        try:
            async with asyncio.timeout(within_s):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"it did not come true; last state {self.state()}, events {self.events()}") from None


class QuickClock:
    """The wall clock as it is, and a monotonic one that runs faster; both belong together."""

    def stamp(self) -> Stamp:
        now = Clock().stamp()
        return replace(now, mono_s=now.mono_s * FASTER, wall_speed=now.wall_speed / FASTER)


@contextmanager
def quick() -> Iterator[None]:
    """Waits of the driver that go by no clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ieee2030_5, "TICK_S", 0.05)
        patch.setattr(ieee2030_5, "BACKOFF_S", (0.2, 1.0))
        patch.setattr(ieee2030_5_answers, "RETRY_S", (0.2, 1.0))
        yield


@asynccontextmanager
async def listening(site: Config, clock: Any = None) -> AsyncIterator[Listener]:
    """The driver of a site's first signal, at work."""
    facts: list[Fact] = []
    changed = asyncio.Event()

    def submit(fact: Fact) -> None:
        facts.append(fact)
        changed.set()

    with quick():
        driver = build(site.signals[0], Surroundings(site, clock or QuickClock(), submit, None))
        task = spawn(driver.run(), "driver under test")
        try:
            yield Listener(driver, facts, changed)
        finally:
            await end([task])
            await driver.close()


async def eventually(look: Callable[[], Any], within_s: float = 10.0) -> None:
    """Ask the utility until it says yes."""
    async with asyncio.timeout(within_s):
        for _ in itertools.count():
            if await look():
                return
            await asyncio.sleep(0.05)


def stamp() -> Stamp:
    """Now."""
    return Clock().stamp()
