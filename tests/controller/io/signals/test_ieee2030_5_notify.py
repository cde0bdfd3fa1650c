"""Subscriptions and notifications of IEEE 2030.5 (8.6) over mutual TLS, and what strangers at our door get.

The server asks to be polled once an hour here: what the site hears sooner, it heard because it was notified.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.io.signals import ieee2030_5
from controller.orders import TellSource
from controller.sim.ieee2030_5 import caller_tls
from controller.sim.ieee2030_5_pki import Authority
from tests.support.csip_world import PROGRAM, World, config, eventually, listening, stamp
from tests.support.yard import free_port

ONE = "01" * 16
LIMIT = {"opModImpLimW": 4200}
NOTE = '<Notification xmlns="urn:ieee:std:2030.5:ns"><subscribedResource>/x</subscribedResource><status>{}</status></Notification>'


@asynccontextmanager
async def subscribed(tmp_path: Path, subscribable: bool = True, **more: Any) -> AsyncIterator[tuple[World, Any, dict[str, Any]]]:
    """A utility that is polled once an hour, its server, and the entry of a site that can be called."""
    async with World(tmp_path) as world:
        await world.do("set", poll_s=3600, subscribable=subscribable)
        await world.do("program", number=1, mrid=PROGRAM, primacy=1, name="doe", default={"opModImpLimW": 30_000})
        port = free_port()
        door = {"notify_url": f"https://127.0.0.1:{port}/ntfy", "notify_host": "127.0.0.1", "poll_s": 3600, "heartbeat_s": 0}
        yield world, world.beside, world.entry(**door | more)


def wanted(server: Any) -> set[str]:
    return {str(one.subscribedResource) for _, one in server.utility.subscriptions.values()}


ALL = {"/edev/1/fsa", "/edev/1/derp", "/edev/1/derp/1/derc", "/edev/1/derp/1/actderc", "/edev/1/derp/1/dderc"}


async def there(server: Any, names: set[str]) -> None:
    await eventually(lambda: _true(wanted(server) == names and len(server.utility.subscriptions) == len(names)))


async def _true(value: bool) -> bool:
    return value


async def test_a_control_that_is_notified_is_heard_at_once_and_subscriptions_are_given_back(tmp_path: Path) -> None:
    async with subscribed(tmp_path) as (world, server, entry):
        async with listening(config(tmp_path, entry)) as listener:
            await there(server, ALL)
            await world.control(ONE, 0, 600, LIMIT)
            await listener.until(lambda: ONE in listener.events())
            await world.do("end", mrid=ONE, status=2)
            await listener.until(lambda: listener.events()[ONE].cancelled)
            assert listener.state()[0]
            assert {status for _, status in server.called} == {204}
        assert server.utility.subscriptions == {}


async def test_what_an_earlier_run_left_behind_is_deleted(tmp_path: Path) -> None:
    """It was killed: its addresses answer no more. Those of others are left alone."""
    async with subscribed(tmp_path) as (_, server, entry):
        async with listening(config(tmp_path, entry)) as listener:
            await there(server, ALL)
            left = dict(server.utility.subscriptions)
            strange = next(iter(left.values()))[1].model_copy(update={"notificationURI": "https://elsewhere.example/ntfy/x"})
            assert listener.state()[0]
        server.utility.subscriptions |= left | {99: (next(iter(left.values()))[0], strange)}
        async with listening(config(tmp_path, entry)):
            before = {str(one.notificationURI) for _, one in left.values()}
            await eventually(lambda: _true(_all_new(server, before)))
            assert 99 in server.utility.subscriptions


def _all_new(server: Any, before: set[str]) -> bool:
    now = [str(one.notificationURI) for number, (_, one) in server.utility.subscriptions.items() if number != 99]
    return len(now) == len(ALL) and len(set(now)) == 1 and before.isdisjoint(now)


async def test_a_subscription_that_the_server_cancels_is_made_again(tmp_path: Path) -> None:
    """Notification.status 1 to 4: it is no more (sep.xsd)."""
    async with subscribed(tmp_path) as (world, server, entry), listening(config(tmp_path, entry)):
        await there(server, ALL)
        before = set(server.utility.subscriptions)
        await world.do("changed", path="/edev/1/derp/1/dderc", status=4)
        await there(server, ALL)
        assert set(server.utility.subscriptions) != before


async def test_a_server_that_lost_them_gets_them_again(tmp_path: Path) -> None:
    async with subscribed(tmp_path, poll_s=1) as (world, server, entry), listening(config(tmp_path, entry)) as listener:
        await world.do("set", poll_s=1)
        await there(server, ALL)
        server.utility.subscriptions.clear()
        await world.do("faults", status={"GET /": 503})
        await listener.until(lambda: not listener.state()[0], within_s=20)
        await world.do("faults")
        await there(server, ALL)


async def test_a_server_that_offers_none_is_polled(tmp_path: Path) -> None:
    async with subscribed(tmp_path, subscribable=False) as (_, server, entry), listening(config(tmp_path, entry)) as listener:
        await listener.until(listener.events)
        assert listener.state()[0]
        assert not [line for line in server.asked if "/sub" in line]


async def test_a_server_that_refuses_them_is_polled_and_told_about(tmp_path: Path) -> None:
    async with subscribed(tmp_path) as (world, _, entry):
        await world.do("set", poll_s=1)
        await world.do("faults", status={"POST /edev/1/sub": 403})
        async with listening(config(tmp_path, entry)) as listener:
            await listener.until(lambda: "does not take our subscriptions" in listener.state()[1])
            assert listener.state()[0]
            await world.control(ONE, 0, 600, LIMIT)
            await listener.until(lambda: ONE in listener.events())


async def test_a_port_that_is_taken_is_told_and_polls_go_on(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with subscribed(tmp_path, notify_url=f"https://127.0.0.1:{port}/n") as (world, _, entry):
            await world.do("set", poll_s=1)
            async with listening(config(tmp_path, entry)) as listener:
                await listener.until(lambda: "cannot be listened on" in listener.state()[1])
                assert listener.state()[0]


async def post(url: str, tls: ssl.SSLContext, body: str, kind: str = "application/sep+xml") -> int:
    connector = aiohttp.TCPConnector(ssl=tls)
    async with aiohttp.ClientSession(connector=connector) as session, session.post(url, data=body, headers={"Content-Type": kind}) as answer:
        return answer.status


async def test_strangers_at_our_door(tmp_path: Path) -> None:
    """Another CA's certificate, none at all, another path, rubbish: nobody gets more than an answer."""
    async with subscribed(tmp_path) as (world, server, entry), listening(config(tmp_path, entry)) as listener:
        await there(server, ALL)
        uri = str(next(iter(server.utility.subscriptions.values()))[1].notificationURI)
        known = caller_tls(world.server.cert, world.server.key, world.authority.ca)
        stranger = Authority(tmp_path / "other", "Other Root").device("stranger")
        none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        none.check_hostname, none.verify_mode = False, ssl.CERT_NONE
        for context in (caller_tls(stranger.cert, stranger.key, world.authority.ca), none):
            with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                await post(uri, context, NOTE.format(0))
        asked = len(server.asked)
        assert await post(uri.rpartition("/")[0] + "/guess", known, NOTE.format(0)) == 404
        assert await post(uri, known, "<html/>") == 400
        assert await post(uri, known, NOTE.format("many")) == 400
        assert await post(uri, known, "\x80exi", "application/sep-exi") == 415
        assert await post(uri, known, "<!DOCTYPE x>" + NOTE.format(0)) == 400
        assert await post(uri, known, " " * 2_000_000) == 413
        assert [line for line in server.asked[asked:] if "/derp" in line] == []
        assert await post(uri, known, NOTE.format(0)) == 204
        await eventually(lambda: _true(any("/derp" in line for line in server.asked[asked:])))
        assert listener.state()[0]


async def test_a_storm_of_notifications_is_few_polls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ieee2030_5, "QUICKEST_S", 3600.0)
    async with subscribed(tmp_path) as (world, server, entry), listening(config(tmp_path, entry)) as listener:
        await there(server, ALL)
        before = listener.schedules()
        for _ in range(30):
            await world.do("changed", path="/edev/1/derp/1/derc")
        await eventually(lambda: _true(len(server.called) >= 30))
        await listener.until(lambda: listener.schedules() > before)
        assert listener.schedules() <= before + 2


def reading(voltage_v: float, at_s: float) -> TellSource:
    return TellSource("utility", at_s, 1000.0, 5e6, 1e6, voltage_v, 0.0, None, None, None, None, None, "limited")


async def test_alarms_arrive_once_over_a_restart_and_a_server_that_is_busy(tmp_path: Path) -> None:
    """253.2 V is above 110 % of 230 V: code 2 when it has been so for 10 s, 3 when it has been back for as long (CSIP table 14)."""
    now_s = int(stamp().wall_s)
    async with subscribed(tmp_path, poll_s=1) as (world, _, entry):
        await world.do("set", poll_s=1)
        async with listening(config(tmp_path, entry)) as listener:
            await listener.until(listener.events)
            await world.do("faults", status={"POST /edev/1/lel": 503})
            for second in range(12):
                listener.driver.answered(reading(253.2, now_s + second))
            await eventually(lambda: _asked(world, "POST /edev/1/lel"))
            await eventually(lambda: _bits(world, "00000002"))
        await world.do("faults")
        async with listening(config(tmp_path, entry)) as listener:
            await eventually(lambda: _codes(world, [2]))
            for second in range(20, 32):
                listener.driver.answered(reading(231.0, now_s + second))
            await eventually(lambda: _codes(world, [2, 3]))
            (first, second_one) = await world.told("LogEvent")
            assert (first["functionSet"], first["profileID"], first["logEventPEN"], first["logEventID"]) == (11, 2, 40732, 0)
            assert first["details"] == "253.2 V"
            assert second_one["logEventID"] == 1
            await eventually(lambda: _bits(world, "00000000"))


async def _bits(world: World, bits: str) -> bool:
    """Whether the newest DERStatus has these alarms."""
    return [one["alarmStatus"] for one in await world.told("DERStatus")][-1:] == [bits]


async def _asked(world: World, line: str) -> bool:
    return line in await world.asked()


async def _codes(world: World, codes: list[int]) -> bool:
    return [one["logEventCode"] for one in await world.told("LogEvent")] == codes
