"""``kill -9`` while cars charge: stations fall to their fallback, a restart brings control back, nothing acknowledged is lost.

F67, P1, P2, P9. The CSMS goes away first, so that what a station has acknowledged afterwards is on our disk only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.depot import (
    FALLBACK_A,
    CsmsProcess,
    Depot,
    acknowledged_arrived,
    assert_delivered,
    stations_config,
)
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

COUNT = 2


def config(folder: Path, csms: CsmsProcess) -> dict[str, Any]:
    control = {"setpoint_life_s": 20, "setpoint_renew_s": 8, "offline_hold_s": 20}
    return site(folder, stations=stations_config(COUNT), upstreams=[csms.upstream()], control=control)


def all_above_fallback(depot: Depot) -> bool:
    return all(depot.offer_a(number) > FALLBACK_A for number in range(COUNT))


async def kill_and_restart(yard: Yard, depot: Depot) -> float:
    """Seconds from the start of the new process to a fresh setpoint above the fallback in every station."""
    await yard.kill()
    started_s = depot.mono_s
    await yard.start()
    await until(lambda: all(station.raised_after(started_s) for station in depot.stations), 30)
    return max(station.raised_after(started_s) or 0.0 for station in depot.stations) - started_s


async def test_killed_while_charging(tmp_path: Path) -> None:
    csms = CsmsProcess(tmp_path / "csms.jsonl")
    await csms.start()
    async with Yard(tmp_path, config(tmp_path, csms)) as yard, Depot(yard.ocpp_url, COUNT) as depot:
        await until(lambda: all(station.accepted for station in depot.stations))
        for number in range(COUNT):
            depot.plug_in(number)
        await until(lambda: all_above_fallback(depot) and depot.current_a > COUNT * FALLBACK_A)
        await csms.kill()
        so_far = [len(station.acknowledged) for station in depot.stations]
        await until(lambda: all(len(station.acknowledged) >= had + 3 for station, had in zip(depot.stations, so_far, strict=True)))

        # First kill: left dead until the last setpoints have run out.
        await yard.kill()
        most_a = max(limit_a for station in depot.stations for _, limit_a in station.setpoints)
        await until(lambda: all(depot.offer_a(number) == FALLBACK_A for number in range(COUNT)), 25)
        await until(lambda: depot.current_a == pytest.approx(COUNT * FALLBACK_A))
        started_s = depot.mono_s
        await yard.start()
        await until(lambda: all(station.raised_after(started_s) for station in depot.stations), 30)
        took_s = [max(station.raised_after(started_s) or 0.0 for station in depot.stations) - started_s]

        # Second kill: in the middle of a rush of messages, a session ends.
        depot.unplug(1)
        depot.plug_in(1)
        took_s.append(await kill_and_restart(yard, depot))

        # Third kill: right after the restart, before anything has settled.
        took_s.append(await kill_and_restart(yard, depot))
        print(f"control back after {', '.join(f'{one:.1f} s' for one in took_s)}; highest setpoint before {most_a:g} A")

        depot.unplug(0)
        depot.unplug(1)
        await until(lambda: all(station.waiting == 0 for station in depot.stations), 40)
        await csms.start()
        await until(acknowledged_arrived(depot, csms.books), 60)
        await until(lambda: all(book.complete for book in csms.books().transactions.values()), 30)
    await csms.kill()

    books = csms.books()
    assert len(books.transactions) == COUNT + 1
    for station in depot.stations:
        assert len(station.acknowledged) > 5
        assert_delivered(station, books)


async def test_a_station_that_speaks_rarely_is_under_control_again(tmp_path: Path) -> None:
    """Stations report every quarter of an hour in the field: the restart must not wait for that (P9)."""
    data = site(tmp_path, stations=stations_config(COUNT))
    async with Yard(tmp_path, data) as yard, Depot(yard.ocpp_url, COUNT, sample_s=900) as depot:
        await until(lambda: all(station.accepted for station in depot.stations))
        for number in range(COUNT):
            depot.plug_in(number)
        await until(lambda: all(depot.offer_a(number) == 26 for number in range(COUNT)) and depot.current_a == 52)
        quiet = [len(station.acknowledged) for station in depot.stations]
        await until(lambda: all(station.waiting == 0 for station in depot.stations))
        took_s = await kill_and_restart(yard, depot)
        print(f"control back after {took_s:.1f} s at stations that had told {quiet} events")
