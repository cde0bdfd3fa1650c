"""A CSMS that goes and comes again and again, and forty stations that return at once, on real sockets (F12, F23, P1, P2)."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest

from tests.support.ledger_world import LedgerCsmsProcess, LedgerWorld, complaints, ledger_site, spawn_yard
from tests.support.yard import Yard, until

pytestmark = pytest.mark.system

STATIONS, OUTAGES = 9, 6
AT_ONCE = 40


def open_files(yard: Yard) -> int:
    """File descriptors of the controller."""
    assert yard.process is not None
    return len(os.listdir(f"/proc/{yard.process.pid}/fd"))


def has_acknowledged(world: LedgerWorld, count: int) -> bool:
    """Whether stations have so many answers."""
    return world.acknowledged >= count


async def legs(yard: Yard, state: str) -> bool:
    """Whether every station's connection to the CSMS is in this state."""
    return all(link["upstream"] == state for link in (await yard.state())["links"])


async def test_f23_a_csms_that_dies_again_and_again_costs_no_message_and_no_file(tmp_path: Path) -> None:
    csms = LedgerCsmsProcess(tmp_path)
    yard = Yard(tmp_path, ledger_site(tmp_path, csms.url, STATIONS, reconnect_min_s=0.2, reconnect_max_s=0.4))
    await csms.start()
    async with LedgerWorld(yard, csms, STATIONS, 4.0, seed=23) as world, yard:
        await until(lambda: all(station.accepted for station in world.stations))
        await until(lambda: legs(yard, "open"), 30)
        files = open_files(yard)
        for _ in range(OUTAGES):
            await csms.kill()
            await until(lambda: legs(yard, "away"), 10)
            enough = world.acknowledged + STATIONS
            await until(partial(has_acknowledged, world, enough))
            await csms.start()
            await until(lambda: legs(yard, "open"), 30)
        await until(lambda: open_files(yard) <= files + 3, 20)  # the last old socket may still be closing
        await world.settle(120)
        assert all(station.connections == 1 for station in world.stations), "stations never noticed"
        verdict = world.verdict()
    assert verdict.faultless, str(verdict)
    assert complaints(yard) == []


async def test_f12_forty_stations_that_return_at_once_are_all_served(tmp_path: Path) -> None:
    csms = LedgerCsmsProcess(tmp_path)
    data = ledger_site(tmp_path, csms.url, AT_ONCE)
    del data["listen"]["messages_per_s"]
    yard = Yard(tmp_path, data)
    await csms.start()
    loop = asyncio.get_running_loop()
    async with LedgerWorld(yard, csms, AT_ONCE, 0.3, seed=12) as world:  # power is back: they dial while the controller still starts
        began_s = loop.time()
        await spawn_yard(yard)
        await until(lambda: all(station.accepted for station in world.stations), 60)
        served_s = loop.time() - began_s
        await until(lambda: legs(yard, "open"), 60)
        linked_s = loop.time() - began_s
        print(f"{AT_ONCE} stations served after {served_s:.1f} s, all linked to the CSMS after {linked_s:.1f} s")
        assert max(csms.dials_by_second().values()) <= AT_ONCE * 2 / 3, "the CSMS is not stormed (of 40 in one second the spread makes about 4)"
        await world.settle(60)
        await yard.stop()
        verdict = world.verdict()
    assert verdict.faultless, str(verdict)
    assert complaints(yard) == []

