"""The door: who is served, who waits, who is dropped, and what happens when no connection can be accepted."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from controller.io.links import door
from controller.io.links.door import SERVED_PER_ADDRESS, WAITING_PER_ADDRESS, Caller, Door, Listener, listening_sockets

ROOT = Path(__file__).parents[4]


class Guests:
    """Callers of a door, each with the far end of its connection."""

    def __init__(self, handshake_s: float = 30.0, stations: int = 0) -> None:
        self.door = Door(handshake_s, stations)
        self.served: list[Caller] = []
        self.far: list[socket.socket] = []
        self.news = asyncio.Event()

    async def serve(self, caller: Caller) -> None:
        self.served.append(caller)
        self.news.set()

    def knock(self, address: str = "10.0.0.1") -> bool:
        near, far = socket.socketpair()
        near.setblocking(False)
        self.far.append(far)
        return self.door.enter(near, address, self.serve)

    async def settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
def guests() -> Iterator[Callable[..., Guests]]:
    made: list[Guests] = []

    def make(**more: float) -> Guests:
        made.append(Guests(**more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        for far in each.far:
            far.close()


async def test_f64_sixteen_of_an_address_are_served_the_next_wait_the_rest_is_dropped(guests: Callable[..., Guests]) -> None:
    them = guests()
    answers = [them.knock() for _ in range(SERVED_PER_ADDRESS + WAITING_PER_ADDRESS + 5)]
    await them.settle()
    assert len(them.served) == SERVED_PER_ADDRESS
    assert answers.count(False) == 5
    assert them.far[-1].recv(1) == b"", "dropped at once"
    assert them.knock("10.0.0.2")
    them.door.close()
    assert them.door.callers == 0


async def test_each_one_that_passes_makes_room_for_the_one_that_waits_longest(guests: Callable[..., Guests]) -> None:
    them = guests()
    for _ in range(SERVED_PER_ADDRESS + 2):
        them.knock()
    await them.settle()
    them.door.passed(them.served[3])
    them.door.passed(them.served[3])  # twice is once
    await them.settle()
    assert len(them.served) == SERVED_PER_ADDRESS + 1
    assert them.door.callers == SERVED_PER_ADDRESS + 1
    them.door.close()


async def test_f12_a_large_site_behind_one_address_finds_room(guests: Callable[..., Guests]) -> None:
    them = guests(stations=500)
    assert all(them.knock() for _ in range(500))
    them.door.close()


async def test_f64_no_more_than_256_in_all(guests: Callable[..., Guests]) -> None:
    them = guests()
    answers = [them.knock(f"10.0.{number}.1") for number in range(300)]
    assert answers.count(True) == 256
    them.door.close()


async def test_those_that_left_while_they_waited_make_room(guests: Callable[..., Guests]) -> None:
    them = guests()
    for _ in range(SERVED_PER_ADDRESS + WAITING_PER_ADDRESS):
        them.knock()
    await them.settle()
    assert not them.knock()
    for far in them.far[SERVED_PER_ADDRESS : SERVED_PER_ADDRESS + 10]:
        far.close()
    them.door._looked_s = float("-inf")  # a full door looks four times a second only
    assert them.knock()
    assert them.door.callers == SERVED_PER_ADDRESS + WAITING_PER_ADDRESS - 9
    them.door.close()


async def test_who_is_not_through_at_its_deadline_is_dropped(guests: Callable[..., Guests]) -> None:
    them = guests(handshake_s=0.02)
    for _ in range(SERVED_PER_ADDRESS + 1):
        them.knock()
    loop = asyncio.get_running_loop()
    for far in them.far:
        far.setblocking(False)
        assert await asyncio.wait_for(loop.sock_recv(far, 1), 5) == b""
    assert them.door.callers == 0


async def test_a_defect_while_one_is_served_frees_its_place(guests: Callable[..., Guests], caplog: pytest.LogCaptureFixture) -> None:
    them = guests()

    async def broken(caller: Caller) -> None:
        raise ZeroDivisionError

    near, far = socket.socketpair()
    them.far.append(far)
    them.door.enter(near, "10.0.0.1", broken)
    await them.settle()
    assert them.door.callers == 0
    assert "ZeroDivisionError" in caplog.text


# -- accepting ---------------------------------------------------------------------------------------------


def test_a_host_without_an_address_or_a_port_in_use_leaves_nothing_open() -> None:
    (first,) = listening_sockets("127.0.0.1", 0)
    port = first.getsockname()[1]
    with pytest.raises(OSError, match="in use") as error:
        listening_sockets("127.0.0.1", port)
    assert error.value.errno == errno.EADDRINUSE
    first.close()
    (again,) = listening_sockets("127.0.0.1", port)
    again.close()
    with pytest.raises(OSError, match=r"."):
        listening_sockets("no such host.invalid", 0)


class Tired(socket.socket):
    """A listening socket whose accept fails as often as told: the system has no file descriptor left."""

    failures: list[int]

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            raise OSError(self.failures.pop(), "Too many open files")
        return super().accept()


async def test_f72_without_file_descriptors_accepting_pauses_says_so_once_and_goes_on_by_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door, "PAUSE_S", 0.01)
    tired = Tired()
    tired.failures = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS]
    tired.bind(("127.0.0.1", 0))
    tired.listen()
    tired.setblocking(False)
    them = Guests()
    listener = Listener(them.door, tired, them.serve)
    with caplog.at_level(logging.ERROR):
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        await asyncio.wait_for(them.news.wait(), 5)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "those that are open live on" in caplog.text
    writer.close()
    them.door.close()
    listener.close()
    listener.close()


@asynccontextmanager
async def poor_server() -> AsyncIterator[tuple[asyncio.subprocess.Process, Callable[[str], asyncio.Future[str]]]]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "tests/support/few_files.py"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out = program.stdout
    assert out is not None

    async def read_until(words: str) -> str:
        async with asyncio.timeout(20):
            while True:
                line = (await out.readline()).decode()
                assert line, f"it ended before it said {words!r}"
                if words in line:
                    return line

    try:
        yield program, lambda words: asyncio.ensure_future(read_until(words))
    finally:
        assert program.stdin is not None
        program.stdin.close()
        await program.wait()


async def test_f72_a_server_out_of_file_descriptors_keeps_its_stations_and_recovers() -> None:
    async with poor_server() as (_, said), aiohttp.ClientSession() as http:
        port = int((await said("port")).split()[1])
        url = f"http://127.0.0.1:{port}/ocpp/"
        first = await http.ws_connect(url + "CP1", protocols=("ocpp2.0.1",))
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        await said("no new connections for now")
        await first.send_str('[2,"1","Heartbeat",{}]')
        await said("StationFrame CP1")
        for _, writer in strangers:
            writer.close()
        second = await http.ws_connect(url + "CP2", protocols=("ocpp2.0.1",))
        await said("StationConnected CP2")
        await first.send_str('[2,"2","Heartbeat",{}]')
        await said("StationFrame CP1")
        await first.close()
        await second.close()
