"""The simulated CSMS: its books, and stations on real sockets through an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession, WSMsgType

from controller.sim.books import CsmsBooks, TransactionBook, TransactionBook16
from controller.sim.csms import CsmsCallError, SimCsms
from controller.sim.evse import EvseSpec
from controller.sim.station import SimStation, StationSpec
from controller.sim.station_client import StationClient
from tests.controller.sim.kit import car, profile, stamp


def event(seq_no: int, kind: str = "Updated", **more: object) -> dict[str, object]:
    return {"eventType": kind, "seqNo": seq_no, "transactionInfo": {"transactionId": "t"}, **more}


def book(*events: dict[str, object]) -> TransactionBook:
    books = CsmsBooks()
    for item in events:
        books.transaction_event("A1", stamp(0), item)
    return books.transactions["t"]


@pytest.mark.parametrize(
    ("events", "complete", "missing", "in_order"),
    [
        ([event(0, "Started"), event(1), event(2, "Ended")], True, [], True),
        ([event(0, "Started"), event(2, "Ended")], False, [1], True),
        ([event(0, "Started"), event(1)], False, [], True),
        ([event(1), event(0, "Started"), event(2, "Ended")], True, [], False),
    ],
)
def test_books_know_what_is_missing(events: list[dict[str, object]], complete: bool, missing: list[int], in_order: bool) -> None:
    subject = book(*events)
    assert (subject.complete, subject.missing, subject.in_order) == (complete, missing, in_order)


def test_a_repeated_event_is_counted_once_and_late_ones_are_seen() -> None:
    subject = book(event(0, "Started"), event(0, "Started"), event(1, offline=True))
    assert (len(subject.events), subject.duplicates, subject.told_late) == (2, 1, 1)


def test_unknown_and_unreadable_calls_are_answered_with_errors() -> None:
    books = CsmsBooks()
    assert '"NotImplemented"' in books.handle("A1", stamp(0), '[2,"1","Sing",{}]')[0]
    assert '"FormatViolation"' in books.handle("A1", stamp(0), '[2,"1","TransactionEvent",{}]')[0]
    assert '"-1"' in books.handle("A1", stamp(0), "{")[0]
    assert books.handle("A1", stamp(0), '[3,"1",{}]') == []


class LoopClock:
    """Real loop time, a day 60 times as fast: events pile up quickly without any waiting."""

    def __call__(self) -> object:
        return stamp(asyncio.get_running_loop().time(), speed=60.0)


@pytest.fixture(params=["1.6", "2.0.1", "2.1"])
async def linked(request: pytest.FixtureRequest) -> AsyncIterator[tuple[SimCsms, StationClient]]:
    clock = LoopClock()
    csms = SimCsms(clock)  # type: ignore[arg-type]
    await csms.start()
    client = StationClient(SimStation(StationSpec("A 1", (EvseSpec(1),), sample_s=1.0, version=request.param)), csms.url, clock)  # type: ignore[arg-type]
    tasks = [asyncio.ensure_future(client.run()), asyncio.ensure_future(drive(client, clock))]
    yield csms, client
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await csms.stop()


async def drive(client: StationClient, clock: LoopClock) -> None:
    while True:
        client.station.advance(clock())  # type: ignore[arg-type]
        await client.tick()
        await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - two worlds of plain objects are watched, they raise no events
            await asyncio.sleep(0.01)


@pytest.mark.system
async def test_a_station_charges_through_an_outage_and_nothing_is_lost(linked: tuple[SimCsms, StationClient]) -> None:
    csms, client = linked
    await until(lambda: client.station.accepted)
    assert csms.connected == ["A 1"]
    client.station.plug_in(LoopClock()(), 1, car())  # type: ignore[arg-type]
    await until(lambda: bool(csms.books.transactions) and client.station.waiting == 0)
    port = csms.port
    await csms.stop()
    await until(lambda: not client.station.connected)
    client.station.unplug(LoopClock()(), 1)  # type: ignore[arg-type]
    await csms.start()
    assert csms.port == port
    await until(lambda: next(iter(csms.books.transactions.values())).ended)
    (subject,) = csms.books.transactions.values()
    assert subject.complete
    assert subject.in_order
    assert subject.told_late > 0 or isinstance(subject, TransactionBook16), "1.6 does not say it"
    assert csms.books.strays == []
    await until(lambda: client.station.waiting == 0)
    assert csms.books.unheard("A 1", client.station.confirmed) == []


@pytest.mark.system
@pytest.mark.parametrize("linked", ["2.0.1"], indirect=True)
async def test_the_csms_can_command_a_station(linked: tuple[SimCsms, StationClient]) -> None:
    csms, client = linked
    await until(lambda: client.station.accepted)
    answer = await csms.call("A 1", "SetChargingProfile", {"evseId": 1, "chargingProfile": profile(6)})
    assert answer == {"status": "Accepted"}
    composite = await csms.call("A 1", "GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert composite["schedule"]["chargingSchedulePeriod"][0]["limit"] == 6
    with pytest.raises(CsmsCallError, match="NotImplemented"):
        await csms.call("A 1", "GetLog", {})
    with pytest.raises(CsmsCallError, match="not connected"):
        await csms.call("B9", "ClearCache", {})
    client.station.faults.never_answers = True
    with pytest.raises(CsmsCallError, match="did not answer"):
        await csms.call("A 1", "ClearCache", {}, timeout_s=0.05)


@pytest.mark.system
async def test_a_pulled_plug_stays_pulled_until_it_is_put_back(linked: tuple[SimCsms, StationClient]) -> None:
    csms, client = linked
    await until(lambda: client.station.accepted)
    client.enabled = False
    await until(lambda: csms.connected == [])
    client.enabled = True
    await until(lambda: csms.connected == ["A 1"])


@pytest.mark.system
async def test_a_station_without_a_common_version_is_sent_away() -> None:
    clock = LoopClock()
    csms = SimCsms(clock, subprotocols=("ocpp2.0.1",))  # type: ignore[arg-type]
    await csms.start()
    try:
        async with ClientSession() as session, session.ws_connect(f"{csms.url}/A1", protocols=("ocpp1.6",)) as socket:
            assert socket.protocol is None
            message = await socket.receive()
            assert message.type is WSMsgType.CLOSE
        assert csms.connected == []
    finally:
        await csms.stop()
