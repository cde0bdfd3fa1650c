"""The CSMS is killed and comes back while sessions start, go on and end: charging goes on, nothing is missing afterwards.

F19, P1, P2: transaction messages arrive in order and marked as told late, with live traffic in between.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.depot import FALLBACK_A, CsmsProcess, Depot, acknowledged_arrived, assert_delivered, stations_config
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

COUNT = 3


def config(folder: Path, csms: CsmsProcess) -> dict[str, Any]:
    control = {"setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20}
    grid = {"fuse_a": 100, "worst_other_load_a": 10}
    return site(folder, grid=grid, stations=stations_config(COUNT), upstreams=[csms.upstream()], control=control)


async def queued(yard: Yard) -> int:
    return sum(link["queued"] for link in (await yard.state())["links"])


async def csms_health(yard: Yard) -> str:
    sources = (await yard.state())["site"]["sources"]
    return next(str(source["health"]) for source in sources if source["kind"] == "csms")


async def test_sessions_start_go_on_and_end_without_the_csms(tmp_path: Path) -> None:
    csms = CsmsProcess(tmp_path / "csms.jsonl")
    await csms.start()
    async with Yard(tmp_path, config(tmp_path, csms)) as yard, Depot(yard.ocpp_url, COUNT, sample_s=1.0) as depot:
        first, _, third = depot.stations
        await until(lambda: all(station.accepted for station in depot.stations))
        for number in range(COUNT):
            depot.plug_in(number)
        await until(lambda: all(depot.offer_a(number) > FALLBACK_A for number in range(COUNT)))
        depot.unplug(2)
        await until(lambda: all(station.waiting == 0 for station in depot.stations))
        before = {book.transaction_id for book in csms.books().transactions.values()}

        await csms.kill()
        await until(lambda: _lost(yard))
        depot.unplug(1)  # one session ends, one goes on, one begins and ends, one begins
        depot.plug_in(2)
        await until(lambda: depot.offer_a(2) > FALLBACK_A)
        depot.unplug(2)
        third.reboot(depot.clock.stamp())  # a boot in the outage is accepted too
        await until(lambda: third.connected and third.accepted)
        depot.plug_in(2)
        await until(lambda: depot.offer_a(2) > FALLBACK_A and depot.current_a > 3 * FALLBACK_A)
        already = len(first.acknowledged)
        await until(lambda: len(first.acknowledged) >= already + 5)
        await until(lambda: all(station.waiting == 0 for station in depot.stations))
        kept = await queued(yard)
        told = [len(station.acknowledged) for station in depot.stations]
        assert kept > 15

        boots = csms.books().boots.get("CP3", 0)
        await csms.start()
        back_s = depot.mono_s
        depot.plug_in(1)  # live traffic while the queue drains
        await until(lambda: _drained(yard), 60)
        print(f"{kept} messages drained {depot.mono_s - back_s:.1f} s after the CSMS came back")
        for number in range(COUNT):
            depot.unplug(number)
        await until(lambda: all(station.waiting == 0 for station in depot.stations), 60)
        await until(acknowledged_arrived(depot, csms.books), 60)
        await until(lambda: all(book.complete for book in csms.books().transactions.values()), 30)
    await csms.kill()

    books = csms.books()
    assert books.boots["CP3"] > boots
    for station in depot.stations:
        assert_delivered(station, books)
    assert len(books.transactions) == 6
    during = [book for name, book in books.transactions.items() if name not in before]
    assert len(during) == 3
    assert books.gaps() == {}
    late = {name: book.told_late for name, book in books.transactions.items()}
    assert sum(late.values()) >= kept - 3
    ran_through = first.acknowledged[0]["transactionInfo"]["transactionId"]
    marks = [event.get("offline") is True for _, event in sorted(books.transactions[ran_through].events.items())]
    assert marks[0] is False
    assert True in marks
    assert marks[-1] is False
    assert told[0] >= 5
    assert _live_between_late(csms)


async def _lost(yard: Yard) -> bool:
    return await csms_health(yard) == "lost"


async def _drained(yard: Yard) -> bool:
    return await queued(yard) == 0 and await csms_health(yard) == "good"


def _live_between_late(csms: CsmsProcess) -> bool:
    """CP2 plugged in while its own queue drained: something live of it passed between two late messages of the site."""
    late = [number for number, (_, frame) in enumerate(csms.calls()) if frame[3].get("offline") is True]
    between = csms.calls()[late[0] : late[-1]]
    return any(frame[2] in ("Authorize", "StatusNotification", "Heartbeat") for _, frame in between)
