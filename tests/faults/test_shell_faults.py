"""Faults of the machine met by the station server: no files left (F72), no memory left (F71)."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import pytest

from controller.config import Config
from controller.facts import Fact, StationArrived, StationConnected, StationFrame
from controller.io.clock import Clock
from controller.io.links.stations import StationsShell
from controller.orders import AnswerStation, SendStation

CONFIG = Config.model_validate(
    {
        "site": {"id": "t"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": name, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]} for name in ("CP1", "CP2")],
        "listen": {"host": "127.0.0.1", "port": 0},
    }
)


@asynccontextmanager
async def server() -> AsyncIterator[tuple[StationsShell, str]]:
    """A station server whose engine says yes to every version and echoes every frame."""

    def submit(fact: Fact) -> None:
        if isinstance(fact, StationArrived):
            shell.carry(AnswerStation(fact.station_id, fact.ticket, fact.offered[0]))
        elif isinstance(fact, StationFrame):
            shell.carry(SendStation(fact.station_id, fact.generation, fact.text))
        elif isinstance(fact, StationConnected):
            connected.add(fact.station_id)

    connected: set[str] = set()
    shell = StationsShell(CONFIG, Clock(), submit)
    await shell.start()
    yield shell, f"ws://127.0.0.1:{shell.port}/ocpp"
    await shell.stop()


@contextmanager
def no_files_left_but(free: int) -> Iterator[list[int]]:
    """Every file this process may open is open, except ``free`` of them. Closing the list's gives them back."""
    gc.collect()  # or files of earlier tests that nobody refers to any more are given back while none should be left
    gc.disable()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 4096), before[1]))
    taken: list[int] = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE  # noqa: PT017 - anything else is another fault
    for _ in range(free):
        os.close(taken.pop())
    try:
        yield taken
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        gc.enable()


async def test_f72_without_files_nobody_new_comes_in_who_is_in_stays_and_it_heals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.05)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # it tells of each refused accept; here it is the fault itself
    async with server() as (_, url), aiohttp.ClientSession() as http:
        inside = await http.ws_connect(f"{url}/CP1", protocols=["ocpp2.0.1"])
        with no_files_left_but(1) as taken:  # for the newcomer's own end
            newcomer = asyncio.ensure_future(http.ws_connect(f"{url}/CP2", protocols=["ocpp2.0.1"]))
            for number in range(5):
                await inside.send_str(f"still here {number}")
                assert (await inside.receive()).data == f"still here {number}"
                await asyncio.sleep(0.02)
            assert not newcomer.done()
            while taken:
                os.close(taken.pop())
            socket = await asyncio.wait_for(newcomer, 10)
        await socket.send_str("in at last")
        assert (await socket.receive()).data == "in at last"
        await socket.close()
        await inside.close()


async def test_f71_without_memory_nobody_new_comes_in_and_who_is_in_stays() -> None:
    async with server() as (shell, url), aiohttp.ClientSession() as http:
        inside = await http.ws_connect(f"{url}/CP1", protocols=["ocpp2.0.1"])
        shell.crowded = True
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{url}/CP2", protocols=["ocpp2.0.1"])
        assert refused.value.status == 503
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) > 0
        await inside.send_str("still here")
        assert (await inside.receive()).data == "still here"
        shell.crowded = False
        await (await http.ws_connect(f"{url}/CP2", protocols=["ocpp2.0.1"])).close()
        await inside.close()
