"""Names of CSMSs while the name server is well, fails, is silent, or lies (F36)."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from controller.io.links.names import LastingResolver, SystemResolver, aside


class NameServer(AbstractResolver):
    """Knows one address until it dies."""

    def __init__(self) -> None:
        self.dead = False
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        self.asked += 1
        if self.dead:
            raise OSError(None, "no name server")
        return [ResolveResult(hostname=host, host="192.0.2.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


async def test_f36_while_the_name_server_is_dead_the_last_good_address_serves_for_a_day() -> None:
    names, now_s = NameServer(), 1000.0
    resolver = LastingResolver(lambda: now_s, names)
    assert [found["host"] for found in await resolver.resolve("csms.example", 443)] == ["192.0.2.1"]
    names.dead = True
    now_s += 86_400.0
    (found,) = await resolver.resolve("csms.example", 443)
    assert (found["host"], found["hostname"]) == ("192.0.2.1", "csms.example"), "the certificate is still checked for the name"
    now_s += 1.0
    with pytest.raises(OSError, match="no name server"):
        await resolver.resolve("csms.example", 443)
    with pytest.raises(OSError, match="no name server"):
        await resolver.resolve("never-seen.example", 443)
    names.dead = False
    await resolver.resolve("csms.example", 443)
    names.dead = True
    assert await resolver.resolve("csms.example", 443), "known anew"
    for number in range(100):
        names.dead = False
        await resolver.resolve(f"host{number}.example", 443)
    names.dead = True
    with pytest.raises(OSError, match="no name server"):
        await resolver.resolve("csms.example", 443)  # bounded: the oldest is forgotten
    await resolver.close()


class SilentServer(NameServer):
    """Says nothing while it is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.woken, self.heard = asyncio.Event(), asyncio.Event()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        if self.dead:
            self.asked += 1
            self.heard.set()
            await self.woken.wait()
            self.asked -= 1
        return await NameServer.resolve(self, host, port, family)


async def test_f36_a_name_server_that_says_nothing_costs_a_moment_and_one_question_however_many_stations_dial() -> None:
    """The system's resolver waits for it longer than a dial may take: the last address must come before that."""
    names = SilentServer()
    resolver = LastingResolver(lambda: 0.0, names, patience_s=0.05)
    await resolver.resolve("csms.example", 443)
    names.dead, names.asked = True, 0
    found = await asyncio.gather(*(resolver.resolve("csms.example", 443) for _ in range(100)))
    assert {one["host"] for answer in found for one in answer} == {"192.0.2.1"}
    assert names.asked == 1
    names.dead = False
    names.woken.set()
    assert (await resolver.resolve("csms.example", 443))[0]["host"] == "192.0.2.1"
    await resolver.close()


async def test_f36_a_name_nobody_knew_before_is_waited_for_and_who_gives_up_harms_nobody() -> None:
    names = SilentServer()
    names.dead = True
    resolver = LastingResolver(lambda: 0.0, names, patience_s=0.01)
    first, second = (asyncio.ensure_future(resolver.resolve("new.example", 443)) for _ in range(2))
    await names.heard.wait()
    first.cancel()  # its dial has a deadline of its own
    with pytest.raises(asyncio.CancelledError):
        await first
    names.dead = False
    names.woken.set()
    assert (await second)[0]["host"] == "192.0.2.1"
    await resolver.close()


async def test_f36_a_question_nobody_answers_is_given_up_with_the_program() -> None:
    names = SilentServer()
    names.dead = True
    resolver = LastingResolver(lambda: 0.0, names)
    asking = asyncio.ensure_future(resolver.resolve("new.example", 443))
    await names.heard.wait()
    await resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_the_systems_own_answer_for_numbers_and_for_nonsense() -> None:
    (found,) = await SystemResolver().resolve("127.0.0.1", 9000)
    assert (found["hostname"], found["host"], found["port"], found["family"]) == ("127.0.0.1", "127.0.0.1", 9000, socket.AF_INET)
    with pytest.raises(OSError, match=r"."):
        await SystemResolver().resolve("no such host.invalid", 1)


async def test_what_takes_long_keeps_no_other_thread_waiting_and_not_the_end_of_the_program() -> None:
    go_on = threading.Event()
    waiting = [asyncio.ensure_future(aside(go_on.wait)) for _ in range(50)]  # more than the loop's own threads
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), 30) == 7
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "name server")
    for one in waiting[:10]:
        one.cancel()
    go_on.set()
    assert await asyncio.gather(*waiting[10:]) == [True] * 40
