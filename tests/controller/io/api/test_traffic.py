"""The calls that show messages, over a real socket: who may, what comes, every way to call them wrongly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.config import Config
from controller.facts import Fact, MaintenanceOpened, OutboxRow, ParkedReturned, StationFrame
from controller.io.api.server import ApiShell
from controller.io.api.traffic import MAX_TAPS
from controller.io.clock import VirtualClock
from controller.io.journal.store import Batch, JournalStore
from controller.io.links.tap import Tap
from controller.orders import SendUpstream
from tests.support.picture import NOW_WALL_S, picture, site_config

SECRET = "correct-horse-battery"
TOKEN = {"Authorization": "Bearer s3cret"}


class Desk:
    """A running API with a tap and a journal of its own."""

    def __init__(self, config: Config) -> None:
        self.facts: list[Fact] = []
        self.clock = VirtualClock(NOW_WALL_S)
        self.shell = ApiShell(config, self.clock, self.facts.append, picture, period_s=0.02)
        self.tap = self.shell.tap = Tap(config, lambda: picture().links)
        self.client: TestClient[Any, Any]

    def passes(self, action: str, payload: dict[str, Any], station_id: str = "alpha", message_id: str = "1") -> None:
        """A CALL of a station that is relayed."""
        text = json.dumps([2, message_id, action, payload])
        self.tap.see(StationFrame(self.clock.stamp(), station_id, 1, text), [SendUpstream(station_id, 1, text)])


Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
def store(tmp_path: Path) -> JournalStore:
    """A journal with a queue: alpha 5 messages of two transactions and 2 parked, beta 1 parked."""
    folder = tmp_path / "data"
    folder.mkdir()
    store = JournalStore(folder, "now", 4096)
    row = OutboxRow(0, "alpha", "tx-1", "TransactionEvent", '[2,"a","TransactionEvent",{}]', 100.0)
    rows = [replace(row, stored_wall_s=100.0 + number, transaction_id=f"tx-{1 + number // 3}", attempts=number % 2) for number in range(5)]
    rows += [replace(row, parked=True, attempts=3, stored_wall_s=50.0), replace(row, parked=True, attempts=3, text='[2,"ü",null]')]
    rows += [replace(row, station_id="beta", transaction_id="", parked=True)]
    store.write([Batch(rows=tuple(rows))])
    return store


@pytest.fixture
async def open_desk(aiohttp_client: Any, tmp_path: Path) -> Open:
    async def start(**api: object) -> Desk:
        desk = Desk(site_config(**api).model_copy(update={"data_dir": tmp_path / "data"}))
        await desk.shell.start()
        await desk.shell.stop()
        desk.shell._stopping.clear()
        desk.client = await aiohttp_client(TestServer(desk.shell.build()))
        return desk

    return start


@pytest.fixture
async def desk(open_desk: Open) -> Desk:
    return await open_desk()


class Listening:
    """Server-sent events of an open tap."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def next(self) -> tuple[str, dict[str, Any]]:
        fields: dict[str, str] = {}
        async with asyncio.timeout(5):
            while True:
                line = (await self._answer.content.readline()).decode().rstrip("\r\n")
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    return fields["event"], json.loads(fields["data"])


async def error_of(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status == status, await answer.text()
    body: dict[str, Any] = await answer.json()
    assert set(body) == {"error", "problems"}
    return body


# -- tap ------------------------------------------------------------------------------------------


async def test_the_tap_begins_with_the_state_and_goes_on_with_frames(desk: Desk) -> None:
    async with desk.client.get("/api/v1/tap") as answer:
        assert answer.content_type == "text/event-stream"
        tap = Listening(answer)
        name, start = await tap.next()
        assert name == "start"
        assert (start["transcript"], start["site"], start["wall_s"]) == (1, "yard", NOW_WALL_S)
        assert [state["station"] for state in start["stations"]] == ["alpha", "beta"]
        desk.passes("Heartbeat", {})
        (_, first), (name, second) = await tap.next(), await tap.next()
        assert name == "seen"
        assert (first["leg"], first["action"], first["did"]) == ("station", "Heartbeat", "relayed")
        assert (second["leg"], json.loads(second["text"])) == ("csms", [2, "1", "Heartbeat", {}])


async def test_the_tap_filters(desk: Desk) -> None:
    async with desk.client.get("/api/v1/tap?station=beta&action=Heartbeat,MeterValues&direction=up&leg=station") as answer:
        tap = Listening(answer)
        await tap.next()
        for station_id in ("alpha", "beta"):
            for action in ("BootNotification", "MeterValues"):
                desk.passes(action, {}, station_id)
        _, seen = await tap.next()
        assert (seen["station"], seen["action"], seen["leg"]) == ("beta", "MeterValues", "station")
        desk.passes("Heartbeat", {}, "beta", "2")
        assert (await tap.next())[1]["action"] == "Heartbeat", "nothing else came between"


async def test_a_listener_that_is_too_slow_hears_how_much_it_lost(desk: Desk) -> None:
    async with desk.client.get("/api/v1/tap") as answer:
        tap = Listening(answer)
        await tap.next()
        for number in range(6000):
            desk.passes("Heartbeat", {}, message_id=str(number))
        name, lost = await tap.next()
        assert name == "lost"
        assert lost["lost"] == 12_000 - 5000
        assert (await tap.next())[0] == "seen"


async def test_taps_are_counted_and_end_with_the_server(desk: Desk) -> None:
    desk.shell._traffic._taps = MAX_TAPS - 1
    async with desk.client.get("/api/v1/tap") as answer:
        await Listening(answer).next()
        assert desk.tap.listening
        refused = await desk.client.get("/api/v1/tap")
        await error_of(refused, 503)
        desk.shell._stopping.set()
        async with asyncio.timeout(20):
            await answer.content.read()
    assert desk.shell._traffic._taps == MAX_TAPS - 1
    assert not desk.tap.listening


async def test_a_tap_that_hangs_up_leaves_nothing_behind(desk: Desk) -> None:
    answer = await desk.client.get("/api/v1/tap")
    await Listening(answer).next()
    answer.close()
    for _ in range(400):
        if not desk.tap.listening:
            break
        desk.passes("Heartbeat", {})
        await asyncio.sleep(0.01)
    assert not desk.tap.listening
    assert desk.shell._traffic._taps == 0


async def test_no_password_leaves_the_tap(desk: Desk) -> None:
    async with desk.client.get("/api/v1/tap") as answer:
        tap = Listening(answer)
        await tap.next()
        data = {"attributeValue": SECRET, "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
        desk.passes("SetVariables", {"setVariableData": [data]})
        for _ in range(2):
            _, seen = await tap.next()
            assert SECRET not in json.dumps(seen)
            assert seen["hidden"] is True


# -- queue ----------------------------------------------------------------------------------------------


async def test_the_queue_per_station(desk: Desk, store: JournalStore) -> None:
    body = await (await desk.client.get("/api/v1/queue")).json()
    assert body == {
        "stations": [
            {"station_id": "alpha", "queued": 5, "transactions": 2, "oldest_wall_s": 100.0, "attempts": 1, "parked": 2},
            {"station_id": "beta", "queued": 0, "transactions": 0, "oldest_wall_s": None, "attempts": 0, "parked": 1},
        ],
        "next": None,
    }
    first = await (await desk.client.get("/api/v1/queue?limit=1")).json()
    assert ([row["station_id"] for row in first["stations"]], first["next"]) == (["alpha"], "alpha")
    second = await (await desk.client.get("/api/v1/queue?limit=1&after=alpha")).json()
    assert ([row["station_id"] for row in second["stations"]], second["next"]) == (["beta"], None)


async def test_the_queue_of_a_station_per_transaction(desk: Desk, store: JournalStore) -> None:
    body = await (await desk.client.get("/api/v1/queue/alpha")).json()
    assert [(row["transaction_id"], row["queued"], row["oldest_wall_s"], row["newest_wall_s"]) for row in body["transactions"]] == [
        ("tx-1", 3, 100.0, 102.0),
        ("tx-2", 2, 103.0, 104.0),
    ]
    page = await (await desk.client.get("/api/v1/queue/alpha?limit=1")).json()
    rest = await (await desk.client.get(f"/api/v1/queue/alpha?after={page['next']}")).json()
    assert [row["transaction_id"] for row in page["transactions"] + rest["transactions"]] == ["tx-1", "tx-2"]


async def test_parked_messages_in_pages(desk: Desk, store: JournalStore) -> None:
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = await (await desk.client.get(f"/api/v1/parked?limit=1&after={after}")).json()
        found += page["messages"]
        after = page["next"]
    assert [(row["number"], row["station_id"], row["attempts"]) for row in found] == [(6, "alpha", 3), (7, "alpha", 3), (8, "beta", 0)]
    only = await (await desk.client.get("/api/v1/parked?station=beta")).json()
    assert [row["number"] for row in only["messages"]] == [8]


async def test_a_damaged_row_ends_no_page(desk: Desk, store: JournalStore) -> None:
    store._db.execute("UPDATE outbox SET text = 'flipped' WHERE number = 6")
    page = await (await desk.client.get("/api/v1/parked?limit=1")).json()
    assert (page["messages"], page["next"]) == ([], 6)
    lines = (await (await desk.client.get("/api/v1/parked/export")).text()).splitlines()
    assert [json.loads(line)["number"] for line in lines] == [7, 8]


async def test_the_export_is_json_lines(desk: Desk, store: JournalStore) -> None:
    answer = await desk.client.get("/api/v1/parked/export")
    assert answer.content_type == "application/x-ndjson"
    rows = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [row["number"] for row in rows] == [6, 7, 8]
    assert rows[1]["text"] == '[2,"ü",null]'


async def test_without_a_journal_nothing_waits(desk: Desk) -> None:
    assert await (await desk.client.get("/api/v1/queue")).json() == {"stations": [], "next": None}
    assert await (await desk.client.get("/api/v1/parked")).json() == {"messages": [], "next": None}
    assert await (await desk.client.get("/api/v1/parked/export")).text() == ""


async def test_a_journal_that_cannot_be_read_is_503(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.sqlite3").write_bytes(b"no database at all, " * 1000)
    for path in ("queue", "queue/alpha", "parked", "parked/export"):
        await error_of(await desk.client.get(f"/api/v1/{path}"), 503)


async def test_parked_messages_are_sent_again(desk: Desk, store: JournalStore) -> None:
    answer = await desk.client.post("/api/v1/parked/requeue", json={"numbers": [7, 8]})
    assert (answer.status, await answer.json()) == (202, {"requeued": 2, "more": False})
    returned = [fact for fact in desk.facts if isinstance(fact, ParkedReturned)]
    assert [(fact.station_id, [(row.number, row.parked, row.text) for row in fact.rows]) for fact in returned] == [
        ("alpha", [(7, True, '[2,"ü",null]')]),
        ("beta", [(8, True, '[2,"a","TransactionEvent",{}]')]),
    ]
    await desk.client.post("/api/v1/parked/requeue", json={"station": "alpha"})
    last = desk.facts[-1]
    assert isinstance(last, ParkedReturned)
    assert [row.number for row in last.rows] == [6, 7]


async def test_a_number_that_is_not_parked_changes_nothing(desk: Desk, store: JournalStore) -> None:
    for numbers in ([1], [6, 99], [8, 6]):
        body = {"numbers": numbers, "station": "alpha"}
        problems = (await error_of(await desk.client.post("/api/v1/parked/requeue", json=body), 404))["problems"]
        assert problems[0]["field"] == "numbers"
    assert desk.facts == []


# -- maintenance ---------------------------------------------------------------------------------------------


async def test_a_maintenance_window(desk: Desk) -> None:
    answer = await desk.client.post("/api/v1/stations/beta/maintenance", json={"minutes": 30})
    assert (answer.status, await answer.json()) == (202, {"station_id": "beta", "minutes": 30.0, "ends_wall_s": NOW_WALL_S + 1800})
    closed = await desk.client.post("/api/v1/stations/beta/maintenance", json={"minutes": 0})
    assert (await closed.json())["ends_wall_s"] is None
    assert desk.facts == [MaintenanceOpened(desk.clock.stamp(), "beta", 1800.0), MaintenanceOpened(desk.clock.stamp(), "beta", 0.0)]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("stations/beta/maintenance", {}, 422, "minutes"),
        ("stations/beta/maintenance", {"minutes": "30"}, 422, "minutes"),
        ("stations/beta/maintenance", {"minutes": -1}, 422, "minutes"),
        ("stations/beta/maintenance", {"minutes": 1e9}, 422, "minutes"),
        ("stations/beta/maintenance", {"minutes": True}, 422, "minutes"),
        ("stations/beta/maintenance", {"minutes": 5, "hours": 1}, 422, "hours"),
        ("stations/gamma/maintenance", {"minutes": 5}, 404, "station"),
        ("parked/requeue", {"numbers": []}, 422, "numbers"),
        ("parked/requeue", {"numbers": ["x"]}, 422, "numbers"),
        ("parked/requeue", {"station": "gamma"}, 404, "station"),
    ],
)
async def test_b33_a_wrong_body_names_the_field(desk: Desk, path: str, body: dict[str, object], status: int, field: str) -> None:
    problems = (await error_of(await desk.client.post(f"/api/v1/{path}", json=body), status))["problems"]
    assert problems[0]["field"] == field
    assert desk.facts == []


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("tap?station=gamma", 404, "station"),
        ("tap?direction=left", 422, "direction"),
        ("tap?leg=moon", 422, "leg"),
        ("tap?action=a b", 422, "action"),
        ("tap?stations=alpha", 422, "stations"),
        ("queue?limit=0", 422, "limit"),
        ("queue?limit=100000", 422, "limit"),
        ("queue/gamma", 404, "station"),
        ("queue/alpha?after=x", 422, "after"),
        ("parked?after=-1", 422, "after"),
        ("parked?station=gamma", 404, "station"),
        ("parked/export?station=gamma", 404, "station"),
    ],
)
async def test_b33_a_wrong_query_names_the_field(desk: Desk, path: str, status: int, field: str) -> None:
    problems = (await error_of(await desk.client.get(f"/api/v1/{path}"), status))["problems"]
    assert problems[0]["field"] == field


# -- rights ------------------------------------------------------------------------------------------------------

PRIVATE = ["tap", "queue", "queue/alpha", "parked", "parked/export"]


@pytest.mark.parametrize("path", PRIVATE)
async def test_messages_need_the_token_even_for_reading(open_desk: Open, path: str) -> None:
    desk = await open_desk(token="s3cret")
    await error_of(await desk.client.get(f"/api/v1/{path}"), 401)
    await error_of(await desk.client.get(f"/api/v1/{path}", headers={"Authorization": "Bearer wrong"}), 401)
    async with desk.client.get(f"/api/v1/{path}", headers=TOKEN) as answer:
        assert answer.status == 200
    assert (await desk.client.get("/api/v1/state")).status == 200, "the picture without messages stays open"


@pytest.mark.parametrize("path", PRIVATE)
async def test_messages_are_not_for_other_machines_without_a_token(open_desk: Open, path: str) -> None:
    desk = await open_desk(host="0.0.0.0")
    body = await error_of(await desk.client.get(f"/api/v1/{path}"), 403)
    assert "api.token" in body["error"]


@pytest.mark.parametrize("path", ["%74ap", "queu%65", "./tap", "tap?x#"])
async def test_another_spelling_of_the_path_opens_nothing(open_desk: Open, path: str) -> None:
    desk = await open_desk(token="s3cret")
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.client.port or 0)
    writer.write(f"GET /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.split(b" ")[1] in (b"401", b"404", b"400")


async def test_a_page_of_another_origin_gets_no_messages(desk: Desk) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        await error_of(await desk.client.get("/api/v1/tap", headers=headers), 403)
