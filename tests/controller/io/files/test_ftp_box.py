"""Logs of chargers that know FTP only: a box that can only be written, by whom it is for, as much as it holds. The client is ``ftplib``."""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import io
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.io.files.box import FILES_OF_ONE, Box
from controller.io.files.ftp_box import DATA_PORTS, MOST_AT_ONCE, MOST_COMMANDS, FtpBoxes, is_near

NAME, OTHER, SECRET = "001-CP1-abc", "002-CP2-def", "a secret of some length"


class There:
    """The server with one open box. got: (job, ok, name, reason) of each file."""

    def __init__(self, folder: Path, room: int) -> None:
        self.got: list[tuple[str, bool, str, str]] = []
        self.box = Box(folder, room, frozenset((NAME, OTHER)))
        self.server = FtpBoxes(lambda *told: self.got.append(told))
        self.server.open_box("logs:1", SECRET, self.box)

    async def client(self, work: Callable[[ftplib.FTP], Any], user: str = NAME, password: str = SECRET) -> Any:
        def run() -> Any:
            with ftplib.FTP() as client:
                client.connect("127.0.0.1", self.server.port, timeout=10)
                client.login(user, password)
                return work(client)

        return await asyncio.to_thread(run)


@asynccontextmanager
async def open_box(folder: Path, room: int = 1_000_000) -> AsyncIterator[There]:
    there = There(folder, room)
    await there.server.listen("127.0.0.1", 0)
    try:
        yield there
    finally:
        await there.server.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(client: ftplib.FTP, command: str) -> None:
    """No way to get an answer of 2xx to it."""
    if command.startswith(("RETR", "APPE")):
        client.transfercmd(command)
        client.voidresp()
    client.voidcmd(command)


def put(name: str, content: bytes) -> Callable[[ftplib.FTP], Any]:
    return lambda client: client.storbinary(f"STOR {name}", io.BytesIO(content))


async def test_a_log_is_put_and_lies_in_the_box_under_the_chargers_name(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:
        assert str(await there.client(put("log.txt", b"x" * 200_000))).startswith("226")
        await there.client(put("log.txt", b"second"), OTHER)
        assert there.got == [("logs:1", True, f"{NAME}-log.txt", ""), ("logs:1", True, f"{OTHER}-log.txt", "")]
        assert (tmp_path / f"{NAME}-log.txt").read_bytes() == b"x" * 200_000
        assert there.box.whole == {f"{NAME}-log.txt", f"{OTHER}-log.txt"}


def free_stretch() -> int:
    """A port that is free as those after it are, as far as one can know."""
    for first in range(40_000, 60_000, DATA_PORTS + 1):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + DATA_PORTS + 1):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free stretch of ports on this machine")


async def test_data_comes_in_on_the_ports_after_it_and_they_are_given_back(tmp_path: Path) -> None:
    """Where a firewall can let it in. More files than ports, one connection each."""
    first, used = free_stretch(), set[int]()

    def work(client: ftplib.FTP) -> None:
        used.add(client.makepasv()[1])
        client.storbinary("STOR log.txt", io.BytesIO(b"x"))

    there = There(tmp_path, 1_000_000)
    await there.server.listen("127.0.0.1", first)
    try:
        for _ in range(FILES_OF_ONE - 1):
            await there.client(work)
    finally:
        await there.server.close()
    assert len(there.got) == FILES_OF_ONE - 1 > DATA_PORTS
    assert used <= set(range(first + 1, first + 1 + DATA_PORTS))


async def test_whatever_folder_a_charger_goes_to_it_is_the_same_box(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:

        def work(client: ftplib.FTP) -> None:
            client.cwd("/logs/of/today")
            put("../../../etc/passwd", b"1")(client)
            put("/a/b/c d.log", b"2")(client)

        await there.client(work)
        assert names(tmp_path) == [f"{NAME}-c_d.log", f"{NAME}-passwd"]


async def test_nothing_can_be_read_listed_renamed_or_deleted(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:
        await there.client(put("log.txt", b"secret"))

        def work(client: ftplib.FTP) -> list[str]:
            lines: list[str] = []
            client.retrlines("LIST", lines.append)
            for command in ("RETR log.txt", "DELE log.txt", "RMD x", "APPE log.txt", f"RETR {NAME}-log.txt"):
                with pytest.raises(ftplib.Error):
                    refused(client, command)
            return lines

        assert await there.client(work) == []
        assert (tmp_path / f"{NAME}-log.txt").read_bytes() == b"secret"


@pytest.mark.parametrize(("user", "password"), [(NAME, "wrong"), ("nobody", SECRET), ("anonymous", "a@b.c"), (NAME, "")])
async def test_nobody_else_gets_in_and_nobody_learns_which_names_there_are(tmp_path: Path, user: str, password: str) -> None:
    async with open_box(tmp_path) as there:
        with pytest.raises(ftplib.error_perm, match="530"):
            await there.client(put("x", b""), user, password)


async def test_what_is_too_large_or_too_many_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with open_box(tmp_path, room=100_000) as there:
        with pytest.raises(ftplib.Error):
            await there.client(put("big.bin", b"x" * 900_000))
        assert there.got == [("logs:1", False, f"{NAME}-big.bin", "too large")]
        assert names(tmp_path) == []
        assert there.box.left_bytes == 100_000
        for number in range(FILES_OF_ONE):
            await there.client(put(f"{number}", b"1"))
        with pytest.raises(ftplib.Error):
            await there.client(put("more", b"1"))
        await there.client(put("other", b"1"), OTHER)


async def test_half_a_file_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:

        def work(client: ftplib.FTP) -> None:
            data = client.transfercmd("STOR half.log")
            data.sendall(b"x" * 1000)
            data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            data.close()  # a reset, not an end
            with pytest.raises((ftplib.Error, EOFError, OSError)):
                client.voidresp()

        await there.client(work)
        assert [(ok, name) for _, ok, name, _ in there.got] == [(False, f"{NAME}-half.log")]
        assert names(tmp_path) == []


async def test_a_closed_box_takes_nothing_and_the_port_closes_with_the_last_one(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:
        port = there.server.port
        there.box.close()
        with pytest.raises(ftplib.error_perm, match="530"):
            await there.client(put("late", b"1"))
        there.server.drop("logs:1")
        await there.server.rest()
        assert there.server.port == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


NEAR = ("127.0.0.1", "192.168.1.7", "10.1.2.3", "fe80::1%eth0", "::ffff:192.168.1.7", "fd00::7")
FAR = ("8.8.8.8", "2600::1", "::ffff:8.8.8.8", "", "somewhere")


@pytest.mark.parametrize("address", [*NEAR, *FAR])
def test_only_callers_from_the_chargers_own_network_are_heard(address: str) -> None:
    assert is_near(address) is (address in NEAR)


# -- bad neighbours ------------------------------------------------------------------------------------------


async def answers(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server hangs up."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_there_is_no_way_to_make_us_connect_to_somebody(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:
        for command in ("PORT 127,0,0,1,0,22", "EPRT |1|127.0.0.1|22|", "SITE EXEC x", "STOU"):
            with pytest.raises(ftplib.error_perm, match="502"):
                await there.client(lambda client, command=command: client.voidcmd(command))


async def test_data_is_taken_from_the_address_that_gave_the_command_only(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:

        def work(client: ftplib.FTP) -> None:
            host, port = ftplib.parse227(client.sendcmd("PASV"))
            with socket.socket() as thief:
                thief.bind(("127.0.0.2", 0))
                thief.settimeout(10)
                thief.connect((host, port))
                with contextlib.suppress(ConnectionError):
                    assert thief.recv(1) == b"", "hung up on"
            put("log.txt", b"mine")(client)

        await there.client(work)
        assert (tmp_path / f"{NAME}-log.txt").read_bytes() == b"mine"


async def test_a_flood_of_commands_ends_the_connection(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:
        reader, writer = await asyncio.open_connection("127.0.0.1", there.server.port)
        writer.write(b"NOOP\r\n" * (10 * MOST_COMMANDS))
        assert (await answers(reader)).count(b"\r\n") <= MOST_COMMANDS + 2
        writer.close()
        await there.client(put("log.txt", b"x"))


async def test_one_address_does_not_take_all_places(tmp_path: Path) -> None:
    async with open_box(tmp_path) as there:
        held = [await asyncio.open_connection("127.0.0.1", there.server.port, local_addr=("127.0.0.2", 0)) for _ in range(MOST_AT_ONCE // 2)]
        for reader, _ in held:
            assert (await reader.readline()).startswith(b"220")
        reader, writer = await asyncio.open_connection("127.0.0.1", there.server.port, local_addr=("127.0.0.2", 0))
        assert await answers(reader) == b""
        writer.close()
        await there.client(put("log.txt", b"x"))
        for _, writer in held:
            writer.close()
