"""OpenADR 3 as its owner runs it: the controller and the server are processes of their own, on real sockets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.io.clock import Clock
from signals.openadr_plain import time_text
from tests.support.openadr3_world import business, entry
from tests.support.yard import ROOT, Yard, free_port, site

pytestmark = pytest.mark.system

CLOCK = Clock()


def now() -> float:
    return CLOCK.stamp().wall_s


class Server:
    """``python -m controller.sim.vtn3``."""

    def __init__(self, generation: str = "3.1") -> None:
        self.port, self.generation = free_port(), generation
        self.url = f"http://127.0.0.1:{self.port}/openadr3/{'3.1.0' if generation == '3.1' else '3.0.1'}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        words = ("-m", "controller.sim.vtn3", "--port", str(self.port), "--generation", self.generation)
        self.process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert self.process.stdout is not None
        assert (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode().strip() == self.url

    async def stop(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def control(self, **what: Any) -> None:
        async with aiohttp.ClientSession() as session, session.post(f"http://127.0.0.1:{self.port}/control", json=what) as reply:
            assert reply.status == 200

    async def seen(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/control") as reply:
            found: dict[str, Any] = await reply.json()
            return found

    async def do(self, method: str, path: str, body: Any = None) -> Any:
        return await business(self.url, method, path, body)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    there = Server()
    await there.start()
    yield there
    await there.stop()


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 15.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110  other processes
            await asyncio.sleep(0.1)
    return found


async def source(yard: Yard) -> dict[str, Any]:
    """How the page shows the source."""
    (found,) = (await yard.state())["site"]["signals"]
    return dict(found)


async def in_force(yard: Yard, state: str, watts: float | None, seconds: float = 15.0) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await source(yard)
        return found if (found["state"], found["limit_w"]) == (state, watts) else None

    found: dict[str, Any] = await until(look, seconds)
    return found


def limit(program: str, start_s: float, kw: float, seconds: int, **more: Any) -> dict[str, Any]:
    return {
        "programID": program,
        "eventName": "dimmed",
        "intervalPeriod": {"start": time_text(start_s), "duration": f"PT{seconds}S"},
        "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}],
        "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}],
    } | more


async def test_a_limit_announced_ahead_holds_from_its_start_to_its_end_and_is_reported(tmp_path: Path, server: Server) -> None:
    reports = [{"payloadType": "OPERATING_STATE"}, {"payloadType": "BASELINE"}]
    async with Yard(tmp_path, site(tmp_path, signals=[entry(server.url)])) as yard:
        program = (await server.do("POST", "/programs", {"programName": "doe"}))["id"]
        start_s = round(now()) + 3
        made = await server.do("POST", "/events", limit(program, start_s, 4.2, 5, reportDescriptors=reports))
        found = await until(lambda: source(yard))
        assert found["limit_w"] is None or now() >= start_s, "announced is not begun"
        await in_force(yard, "limited", 4200.0)
        assert now() >= start_s - 0.5
        told = [each["text"] for each in (await yard.state())["events"]]
        assert len([text for text in told if "a report of BASELINE is not sent" in text]) == 1, told
        await in_force(yard, "unlimited", None)
        assert now() >= start_s + 4.5

        async def reported() -> Any:
            return (await server.seen())["objects"]["reports"]

        (report,) = await until(reported, 30)
        assert report["eventID"] == made["id"]
        (interval,) = report["resources"][0]["intervals"]
        assert interval["payloads"][0]["values"][0] in ("IDLE_CURTAILED", "NORMAL")
        assert await yard.stop() == 0


async def test_the_server_calls_and_tokens_run_out(tmp_path: Path, server: Server) -> None:
    """Polling is far too slow here: only a call can bring the event. The key of the subscription opens nothing else."""
    data = site(tmp_path)
    callback = f"http://127.0.0.1:{data['api']['port']}/api/v1/openadr3/dso"
    data["signals"] = [entry(server.url, poll_s=3600, heartbeat_s=0, callback_url=callback)]
    async with Yard(tmp_path, data) as yard, aiohttp.ClientSession() as session:

        async def subscribed() -> Any:
            return (await server.seen())["objects"]["subscriptions"]

        (subscription,) = await until(subscribed)
        key = subscription["objectOperations"][0]["bearerToken"]
        await server.control(forget_tokens=True)
        program = (await server.do("POST", "/programs", {"programName": "doe"}))["id"]
        await server.do("POST", "/events", limit(program, now() - 5, 7.0, 600))
        await in_force(yard, "limited", 7000.0)
        async with session.post(callback, json={"objectType": "EVENT"}) as reply:
            assert reply.status == 401
        async with session.post(callback, json={"objectType": "EVENT"}, headers={"Authorization": f"Bearer {key}"}) as reply:
            assert reply.status == 200
        async with session.post(callback, data=b"\xff", headers={"Authorization": f"Bearer {key}"}) as reply:
            assert reply.status == 400
        assert await yard.stop() == 0

        async def unsubscribed() -> bool:
            return not (await server.seen())["objects"]["subscriptions"]

        await until(unsubscribed)


async def test_an_outage_ends_in_the_failsafe_and_a_poll_ends_that(tmp_path: Path, server: Server) -> None:
    async with Yard(tmp_path, site(tmp_path, signals=[entry(server.url, heartbeat_s=3, failsafe_w=3000)])) as yard:
        await in_force(yard, "unlimited", None)
        await server.stop()
        await in_force(yard, "failsafe", 3000.0, 30)
        await server.start()
        await in_force(yard, "unlimited", None, 30)
