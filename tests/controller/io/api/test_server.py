"""The HTTP API over a real socket: every route, every way to call it wrongly (B33-B35)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from controller.config import Config
from controller.facts import EvseKey, Fact, LimitReceived, LimitUnit, NeedStated
from controller.io.api.limits import MAX_SEQUENCES
from controller.io.api.models import MAX_BODY_BYTES
from controller.io.api.server import ApiShell
from controller.io.api.stream import MAX_STREAMS
from controller.io.clock import VirtualClock
from controller.io.history.store import Series
from controller.io.links.tap import Tap
from controller.io.shell import StartError
from controller.orders import AnswerLimit
from controller.snapshot import FaceView, Snapshot
from tests.support.examples import examples
from tests.support.picture import NOW_WALL_S, picture, site_config

Client = TestClient[Any, Any]
LIMIT = {"value": 20.0, "unit": "A", "valid_for_s": 300}


class Desk:
    """A running ApiShell, what it submitted, and the picture it shows."""

    def __init__(self, config: Config, history: Any = None) -> None:
        self.facts: list[Fact] = []
        self.says: tuple[bool, bool, str] | None = (True, True, "")
        self.picture: Snapshot = picture()
        self.clock = VirtualClock(NOW_WALL_S)
        self.shell = ApiShell(config, self.clock, self.take, lambda: self.picture, history, period_s=0.02)
        self.shell.tap = Tap(config, lambda: self.picture.links)
        self.client: Client

    def take(self, fact: Fact) -> None:
        """What the site and its disk would say of a limit at once; None leaves it without an answer."""
        self.facts.append(fact)
        if isinstance(fact, LimitReceived) and self.says is not None:
            self.shell.carry(AnswerLimit(fact.number, *self.says))

    def tick(self, **changes: object) -> None:
        """Let a second pass and the site change."""
        self.clock.advance(1.0)
        self.picture = picture(**changes)


class Points:
    """A history that remembers what it was asked."""

    def __init__(self, series: list[Series], error: Exception | None = None) -> None:
        self.series, self.error = series, error
        self.asked: list[tuple[object, ...]] = []

    async def query(
        self, measurement: str, tags: Mapping[str, str], since_wall_s: float, until_wall_s: float, max_points: int = 500
    ) -> list[Series]:
        self.asked.append((measurement, dict(tags), since_wall_s, until_wall_s, max_points))
        if self.error:
            raise self.error
        return self.series


Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def open_desk(aiohttp_client: Any) -> Open:
    """Starts a desk; keyword arguments go into the api section, except ``history``."""

    async def start(history: Any = None, **api: object) -> Desk:
        desk = Desk(site_config(**api), history)
        await desk.shell.start()
        await desk.shell.stop()  # files and token are read; the client runs the same application on a port of its own
        desk.shell._stopping.clear()
        desk.client = await aiohttp_client(TestServer(desk.shell.build()))
        return desk

    return start


@pytest.fixture
async def desk(open_desk: Open) -> Desk:
    return await open_desk()


@asynccontextmanager
async def serving(**api: object) -> AsyncIterator[ApiShell]:
    """A shell on a port of its own."""
    facts: list[Fact] = []
    shell = ApiShell(site_config(port=0, **api), VirtualClock(NOW_WALL_S), facts.append, picture, period_s=0.02)
    await shell.start()
    try:
        yield shell
    finally:
        await shell.stop()


async def error_of(answer: Any, status: int) -> dict[str, Any]:
    """The error body, checked for its form."""
    assert answer.status == status, await answer.text()
    body = await answer.json()
    assert set(body) == {"error", "problems"}
    assert body["error"]
    assert "Traceback" not in body["error"]
    return body


# -- reading -------------------------------------------------------------------------------------


async def test_state_is_the_whole_picture(desk: Desk) -> None:
    answer = await desk.client.get("/api/v1/state")
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert await answer.json() == json.loads(json.dumps(desk.picture.as_json()))


async def test_a_value_json_cannot_say_becomes_unknown(desk: Desk) -> None:
    unsayable = dataclasses.replace(picture().site.grid, power_w=math.nan, meter_age_s=math.inf)
    desk.picture = picture(mode_reason="x", plan=None, circuits=(), grid=unsayable)
    grid = (await (await desk.client.get("/api/v1/state")).json())["site"]["grid"]
    assert grid["power_w"] is None
    assert grid["meter_age_s"] is None


@pytest.mark.parametrize(("query", "numbers"), [("", [1, 2]), ("?after=1", [2]), ("?after=2", []), ("?after=0", [1, 2])])
async def test_events_after_a_number(desk: Desk, query: str, numbers: list[int]) -> None:
    body = await (await desk.client.get(f"/api/v1/events{query}")).json()
    assert [event["number"] for event in body["events"]] == numbers


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/events?after=x", "after"),
        ("/api/v1/events?after=-1", "after"),
        ("/api/v1/events?after=1&after=2", "after"),
        ("/api/v1/events?befor=1", "befor"),
        ("/api/v1/history", "measurement"),
        ("/api/v1/history?measurement=a b", "measurement"),
        ("/api/v1/history?measurement=", "measurement"),
        ("/api/v1/history?measurement=grid&since=yesterday", "since"),
        ("/api/v1/history?measurement=grid&since=2026-01-01T00:00:00", "since"),
        ("/api/v1/history?measurement=grid&since=nan", "since"),
        ("/api/v1/history?measurement=grid&since=1e300", "since"),
        ("/api/v1/history?measurement=grid&since=20&until=10", "since"),
        ("/api/v1/history?measurement=grid&max_points=0", "max_points"),
        ("/api/v1/history?measurement=grid&max_points=999999", "max_points"),
        ("/api/v1/history?measurement=grid&tag=evse", "tag"),
        ("/api/v1/history?measurement=grid&tags=x", "tags"),
        ("/api/v1/sessions?measurement=grid", "measurement"),
        ("/api/v1/sessions?max_points=3", "max_points"),
    ],
)
async def test_a_wrong_query_names_the_field(desk: Desk, path: str, field: str) -> None:
    body = await error_of(await desk.client.get(path), 422)
    assert [problem["field"] for problem in body["problems"]] == [field]


async def test_history_is_asked_for_what_the_caller_wants(open_desk: Open) -> None:
    points = Points([Series({"phase": "L1"}, "current_a", ((10.0, 1.5), (20.0, 2.5)))])
    desk = await open_desk(points)
    path = "/api/v1/history?measurement=grid&since=1970-01-01T00:00:10Z&until=99.5&max_points=7&tag=phase:L1&tag=a:b:c"
    body = await (await desk.client.get(path)).json()
    assert points.asked == [("grid", {"phase": "L1", "a": "b:c"}, 10.0, 99.5, 7)]
    assert body == {
        "measurement": "grid",
        "series": [{"tags": {"phase": "L1"}, "field": "current_a", "points": [[10.0, 1.5], [20.0, 2.5]]}],
    }


async def test_history_defaults_to_the_last_hour(open_desk: Open) -> None:
    points = Points([])
    desk = await open_desk(points)
    await desk.client.get("/api/v1/history?measurement=grid")
    assert points.asked == [("grid", {}, NOW_WALL_S - 3600, NOW_WALL_S, 500)]


async def test_sessions_are_rows_of_the_history(open_desk: Open) -> None:
    tags = {"evse": "alpha/1"}
    points = Points([Series(tags, "energy_wh", ((50.0, 900.0), (90.0, 70.0))), Series(tags, "duration_s", ((50.0, 60.0),))])
    desk = await open_desk(points)
    body = await (await desk.client.get("/api/v1/sessions?since=0")).json()
    assert body["sessions"] == [
        {"wall_s": 50.0, "tags": tags, "fields": {"energy_wh": 900.0, "duration_s": 60.0}},
        {"wall_s": 90.0, "tags": tags, "fields": {"energy_wh": 70.0}},
    ]


async def test_without_a_history_there_are_no_points(desk: Desk) -> None:
    assert (await (await desk.client.get("/api/v1/history?measurement=grid")).json())["series"] == []


async def test_a_broken_history_is_503_and_the_rest_goes_on(open_desk: Open) -> None:
    desk = await open_desk(Points([], RuntimeError("disk is gone")))
    body = await error_of(await desk.client.get("/api/v1/history?measurement=grid"), 503)
    assert "disk is gone" not in body["error"]
    assert (await desk.client.get("/api/v1/state")).status == 200


@pytest.mark.parametrize(
    ("mode", "status", "word"),
    [("normal", 200, "ok"), ("degraded", 200, "degraded"), ("failsafe", 503, "failing"), ("stop", 503, "failing")],
)
async def test_health_follows_the_mode(desk: Desk, mode: str, status: int, word: str) -> None:
    desk.picture = picture(mode=mode, mode_reason="why")
    answer = await desk.client.get("/api/v1/health")
    body = await answer.json()
    assert (answer.status, body["status"], body["reason"]) == (status, word, "why")
    assert body["troubles"] == ["csms: lost (refused)"]


async def test_metrics_are_prometheus_text(desk: Desk) -> None:
    answer = await desk.client.get("/metrics")
    lines = (await answer.text()).splitlines()
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'yardmaster_grid_current_amperes{phase="L2"} 28.25' in lines
    assert 'yardmaster_mode{mode="normal"} 1.0' in lines
    assert 'yardmaster_upstream_queue_messages{station="beta"} 7.0' in lines
    assert "yardmaster_grid_meter_age_seconds 0.4" in lines
    assert 'yardmaster_plan_solve_seconds{solver="HiGHS"} 0.12' in lines
    assert not any("battery" in line for line in lines), "what nobody knows is left out"


async def test_metrics_of_a_depot(desk: Desk) -> None:
    depot = FaceView("csms", "depot", "HARBOUR", "open", "ocpp2.1", 3, True, (("transaction", 3), ("status", 0)))
    desk.picture = dataclasses.replace(desk.picture, faces=(depot, FaceView("other", "pair", "CP9", "open")))
    lines = (await (await desk.client.get("/metrics")).text()).splitlines()
    assert 'yardmaster_depot_accepted{upstream="csms",identity="HARBOUR"} 1.0' in lines
    assert 'yardmaster_depot_waiting_messages{upstream="csms",identity="HARBOUR",rank="transaction"} 3.0' in lines
    assert not any("CP9" in line for line in lines)


async def test_page_and_library_are_served_packed_and_revalidated(desk: Desk) -> None:
    page = await desk.client.get("/")
    assert page.content_type == "text/html"
    assert 'src="/app.js"' in await page.text()
    assert page.headers["Cache-Control"] == "no-cache"
    library = await desk.client.get("/vendor/plotly.min.js")
    assert library.headers["Content-Encoding"] == "gzip"
    assert int(library.headers["Content-Length"]) < 2_000_000
    assert len(await library.read()) > 3_000_000
    again = await desk.client.get("/vendor/plotly.min.js", headers={"If-None-Match": library.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    plain = await desk.client.get("/app.js", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in plain.headers


async def test_every_answer_carries_the_security_headers(desk: Desk) -> None:
    for path in ("/", "/api/v1/state", "/nothing", "/metrics", "/vendor/plotly.min.js"):
        headers = (await desk.client.get(path)).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"], path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "script" not in headers["Content-Security-Policy"], "no exception for scripts"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers
    assert (await desk.client.get("/api/v1/state")).headers["Cache-Control"] == "no-store"


# -- stream ------------------------------------------------------------------------------------------


async def next_event(content: Any) -> tuple[str, dict[str, Any], str]:
    """Name, data and id of the next event; comments are passed over."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(5):
        while True:
            line = (await content.readline()).decode().rstrip("\r\n")
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                return fields["event"], json.loads(fields["data"]), fields.get("id", "")


async def test_stream_tells_everything_then_only_changes(desk: Desk) -> None:
    async with desk.client.get("/api/v1/stream") as answer:
        assert answer.content_type == "text/event-stream"
        name, state, first_id = await next_event(answer.content)
        assert name == "state"
        assert state == json.loads(json.dumps(desk.picture.as_json()))
        desk.tick(mode="degraded", mode_reason="CSMS away")
        name, change, second_id = await next_event(answer.content)
        assert name == "change"
        assert change["site"] == {"mode": "degraded", "mode_reason": "CSMS away"}
        assert set(change) == {"now_wall_s", "site"}
        assert int(second_id) > int(first_id)


async def test_stream_sends_new_events_only(desk: Desk) -> None:
    async with desk.client.get("/api/v1/stream") as answer:
        await next_event(answer.content)
        old = desk.picture.events
        desk.tick()
        grown = dict(zip(("number", "wall_s", "severity", "subject", "text"), (3, NOW_WALL_S, "alarm", "grid", "meter lost"), strict=True))
        desk.picture = type(desk.picture)(
            **{name: getattr(desk.picture, name) for name in desk.picture.__slots__} | {"events": (*old, type(old[0])(**grown))}
        )
        _, change, _ = await next_event(answer.content)
        assert change["events"] == [grown]


async def test_stream_says_the_time_when_nothing_changes(desk: Desk) -> None:
    async with desk.client.get("/api/v1/stream") as answer:
        await next_event(answer.content)
        desk.clock.advance(6.0)
        name, body, _ = await next_event(answer.content)
        assert (name, set(body)) == ("time", {"now_wall_s"})


async def test_streams_are_counted_and_end_with_the_shell(desk: Desk) -> None:
    desk.shell._stream.open = MAX_STREAMS - 1
    async with desk.client.get("/api/v1/stream") as answer:
        await next_event(answer.content)
        refused = await desk.client.get("/api/v1/stream")
        await error_of(refused, 503)
        assert refused.headers["Retry-After"]
        desk.shell._stopping.set()
        async with asyncio.timeout(20):
            await answer.content.read()
    assert desk.shell._stream.open == MAX_STREAMS - 1


async def test_a_page_that_is_gone_before_its_stream_begins_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as shell:
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", shell.port)) as page:
                page.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leave with a reset
                page.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.sleep(0)
        async with ClientSession() as http, http.get(f"http://127.0.0.1:{shell.port}/api/v1/health") as answer:
            assert answer.status in (200, 503)
        for _ in range(500):
            if shell._stream.open == 0:
                break
            await asyncio.sleep(0.01)
        assert shell._stream.open == 0
    assert not caplog.records


async def test_fifty_pages_follow_and_end_with_the_shell() -> None:
    async with ClientSession(connector=TCPConnector(limit=0)) as http, serving() as shell:
        answers = [await http.get(f"http://127.0.0.1:{shell.port}/api/v1/stream") for _ in range(50)]
        states = await asyncio.gather(*(next_event(answer.content) for answer in answers))
        assert {name for name, _, _ in states} == {"state"}
        async with asyncio.timeout(20):
            await shell.stop()
            await asyncio.gather(*(answer.content.read() for answer in answers))


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET http://[x/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/state HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST /api/v1/limits HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_a_peer_that_speaks_no_http_fills_no_log(nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as shell:
        reader, writer = await asyncio.open_connection("127.0.0.1", shell.port)
        writer.write(nonsense)
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    assert not caplog.records


async def test_b33_a_body_that_is_not_packed_as_it_says_is_a_400(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await desk.client.post("/api/v1/limits", data=b"no gzip", headers=headers)
    assert "Content-Encoding" in (await error_of(answer, 400))["error"]
    assert desk.facts == []
    assert not [record for record in caplog.records if record.name.startswith("controller")]


async def test_made_up_sources_cost_no_memory(desk: Desk) -> None:
    for number in range(MAX_SEQUENCES + 50):
        answer = await desk.client.post("/api/v1/limits", json=LIMIT | {"source": f"s{number}"})
        assert answer.status == 202
    assert len(desk.shell._limits.last) == MAX_SEQUENCES


# -- limits --------------------------------------------------------------------------------------------


async def test_a_limit_becomes_a_fact(desk: Desk) -> None:
    answer = await desk.client.post("/api/v1/limits", json={"value": 8, "unit": "A", "valid_for_s": 300, "circuit": "hall", "sequence": 4})
    assert answer.status == 202
    assert desk.facts == [LimitReceived(desk.clock.stamp(), "api", "hall", 8.0, LimitUnit.A, 300.0, 4, number=1)]
    assert await answer.json() == {"circuit": "hall", "value": 8.0, "unit": "A", "valid_for_s": 300.0, "ends_wall_s": NOW_WALL_S + 300}


async def test_a_limit_without_an_end_gets_the_sites_own(desk: Desk) -> None:
    body = await (await desk.client.post("/api/v1/limits", json={"value": 30000, "unit": "W"})).json()
    assert body["valid_for_s"] == 900
    assert body["circuit"] == "grid"


async def test_the_answer_tells_that_a_long_life_is_cut(desk: Desk) -> None:
    body = await (await desk.client.post("/api/v1/limits", json={**LIMIT, "valid_for_s": 1e9})).json()
    assert body["valid_for_s"] == 86_400


async def test_a_limit_that_the_site_refuses_is_no_conflict_for_the_next(desk: Desk) -> None:
    desk.says = (False, False, "check the unit")
    body = await error_of(await desk.client.post("/api/v1/limits", json={**LIMIT, "sequence": 7}), 422)
    assert "check the unit" in body["error"]
    desk.says = (True, True, "")
    assert (await desk.client.post("/api/v1/limits", json={**LIMIT, "sequence": 7, "value": 9})).status == 202


async def test_a_limit_that_the_disk_does_not_take_is_not_acknowledged(desk: Desk) -> None:
    desk.says = (False, True, "it holds now, but is not on disk")
    answer = await desk.client.post("/api/v1/limits", json=LIMIT)
    assert "It holds now, but is not on disk." in (await error_of(answer, 503))["error"]
    assert answer.headers["Retry-After"] == "10"


async def test_a_limit_that_nobody_answers_is_not_acknowledged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.io.api.limits.ANSWER_S", 0.0)
    desk.says = None
    assert "need not be on disk" in (await error_of(await desk.client.post("/api/v1/limits", json=LIMIT), 503))["error"]
    assert isinstance(desk.facts[0], LimitReceived)  # and holds, as far as the site is concerned
    desk.shell.carry(AnswerLimit(desk.facts[0].number, True, True))  # an answer that nobody waits for any more


async def test_null_withdraws(desk: Desk) -> None:
    answer = await desk.client.post("/api/v1/limits", json={"value": None, "unit": "A"})
    assert (answer.status, (await answer.json())["ends_wall_s"]) == (202, None)
    assert isinstance(desk.facts[0], LimitReceived)
    assert desk.facts[0].value is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"value": "20"}, "value"),
        ({"value": True}, "value"),
        ({"value": -1}, "value"),
        ({"value": 1e300}, "value"),
        ({"value": [20]}, "value"),
        ({"unit": "kW"}, "unit"),
        ({"unit": 5}, "unit"),
        ({"valid_for_s": 0}, "valid_for_s"),
        ({"valid_for_s": -5}, "valid_for_s"),
        ({"valid_for_s": "300"}, "valid_for_s"),
        ({"circuit": "attic"}, "circuit"),
        ({"circuit": ""}, "circuit"),
        ({"circuit": None}, "circuit"),
        ({"sequence": 1.5}, "sequence"),
        ({"sequence": -1}, "sequence"),
        ({"limit": 20}, "limit"),
    ],
)
async def test_a_wrong_limit_names_the_field_and_changes_nothing(desk: Desk, changes: dict[str, object], field: str) -> None:
    body = await error_of(await desk.client.post("/api/v1/limits", json={**LIMIT, **changes}), 422)
    assert body["problems"][0]["field"] == field
    assert desk.facts == []


@pytest.mark.parametrize("missing", ["value", "unit"])
async def test_a_missing_field_is_refused(desk: Desk, missing: str) -> None:
    body = await error_of(
        await desk.client.post("/api/v1/limits", json={key: value for key, value in LIMIT.items() if key != missing}), 422
    )
    assert missing in body["error"]
    assert desk.facts == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"20",
        b'"20 A"',
        b'{"value": NaN, "unit": "A"}',
        b'{"value": Infinity, "unit": "A"}',
        b'{"value": 1, "value": 99, "unit": "A"}',
        b'{"value": ' + b"9" * 5000 + b', "unit": "A"}',
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b"\xff\xfe",
        b'\xef\xbb\xbf{"value": 20, "unit": "A"}',
    ],
)
async def test_a_body_that_is_no_json_object_is_400(desk: Desk, raw: bytes) -> None:
    answer = await desk.client.post("/api/v1/limits", data=raw, headers={"Content-Type": "application/json"})
    await error_of(answer, 400)
    assert desk.facts == []


async def test_a_large_body_is_413(desk: Desk) -> None:
    raw = b'{"unit": "' + b"A" * MAX_BODY_BYTES + b'"}'
    await error_of(await desk.client.post("/api/v1/limits", data=raw, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"])
async def test_a_form_cannot_change_anything(desk: Desk, content_type: str) -> None:
    answer = await desk.client.post("/api/v1/limits", data=json.dumps(LIMIT), headers={"Content-Type": content_type})
    await error_of(answer, 415)
    assert desk.facts == []


async def test_the_older_of_two_edits_loses(desk: Desk) -> None:
    async def post(sequence: int, value: float) -> int:
        return (await desk.client.post("/api/v1/limits", json={**LIMIT, "sequence": sequence, "value": value})).status

    assert [await post(5, 20), await post(4, 30), await post(5, 30), await post(5, 20), await post(6, 30)] == [202, 409, 409, 202, 202]
    assert [fact.value for fact in desk.facts if isinstance(fact, LimitReceived)] == [20, 20, 30]


# -- needs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "energy_wh", "departure_wall_s"),
    [
        ({"energy_wh": 12000}, 12000.0, None),
        ({"departure": "2026-01-01T01:00:00+01:00"}, None, NOW_WALL_S),
        ({"departure": NOW_WALL_S + 50, "energy_wh": 0}, 0.0, NOW_WALL_S + 50),
        ({"energy_wh": 5, "transaction_id": "tx-beta-1"}, 5.0, None),
    ],
)
async def test_a_need_becomes_a_fact(desk: Desk, body: dict[str, object], energy_wh: float | None, departure_wall_s: float | None) -> None:
    desk.clock.set_wall(NOW_WALL_S - 10)
    answer = await desk.client.post("/api/v1/evses/beta/1/need", json=body)
    assert answer.status == 202, await answer.text()
    assert desk.facts == [NeedStated(desk.clock.stamp(), EvseKey("beta", 1), energy_wh, departure_wall_s, "api")]
    assert await answer.json() == {"station_id": "beta", "evse_id": 1, "energy_wh": energy_wh, "departure_wall_s": departure_wall_s}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"energy_wh": None}, ""),
        ({"energy_wh": -1}, "energy_wh"),
        ({"energy_wh": "12 kWh"}, "energy_wh"),
        ({"energy_wh": 1e9}, "energy_wh"),
        ({"energy_wh": False}, "energy_wh"),
        ({"departure": "17:30"}, "departure"),
        ({"departure": "2026-01-01T17:30:00"}, "departure"),
        ({"departure": NOW_WALL_S - 1}, "departure"),
        ({"departure": True}, "departure"),
        ({"departure": "nan"}, "departure"),
        ({"departure": "9" * 400}, "departure"),
        ({"energy": 5}, "energy"),
    ],
)
async def test_a_wrong_need_names_the_field(desk: Desk, body: dict[str, object], field: str) -> None:
    answer = await error_of(await desk.client.post("/api/v1/evses/beta/1/need", json=body), 422)
    assert field in [problem["field"] for problem in answer["problems"]]
    assert desk.facts == []


@pytest.mark.parametrize(
    ("path", "field"),
    [("alpha/2", "evse"), ("alpha/0", "evse"), ("alpha/x", "evse"), ("alpha/01", "evse"), ("gamma/1", "station"), ("%2e%2e/1", "station")],
)
async def test_an_unknown_evse_is_404(desk: Desk, path: str, field: str) -> None:
    from yarl import URL

    url = URL(f"/api/v1/evses/{path}/need", encoded=True)
    answer = await desk.client.post(url, json={"energy_wh": 1})
    body = await error_of(answer, 404)
    assert not body["problems"] or body["problems"][0]["field"] == field
    assert desk.facts == []


async def test_a_need_for_a_car_that_left_is_a_conflict(desk: Desk) -> None:
    body = await error_of(
        await desk.client.post("/api/v1/evses/beta/1/need", json={"energy_wh": 5, "transaction_id": "tx-of-yesterday"}), 409
    )
    assert body["problems"][0]["field"] == "transaction_id"
    assert desk.facts == []


async def test_a_need_without_a_session_is_a_conflict(desk: Desk) -> None:
    """The site forgets a need nobody is there for, so the caller must hear it."""
    body = await error_of(await desk.client.post("/api/v1/evses/beta/2/need", json={"energy_wh": 5}), 409)
    assert body["problems"][0]["field"] == "evse"
    assert desk.facts == []


# -- rights ----------------------------------------------------------------------------------------------


async def test_the_token_is_needed_for_changes_only(open_desk: Open, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret-tökên\n", encoding="utf-8")
    desk = await open_desk(token_file=str(secret))
    assert (await desk.client.get("/api/v1/state")).status == 200
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}, {"Authorization": "Bearer"}):
        answer = await desk.client.post("/api/v1/limits", json=LIMIT, headers=header)
        await error_of(answer, 401)
        assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert desk.facts == []
    good = await desk.client.post("/api/v1/limits", json=LIMIT, headers={"Authorization": "Bearer s3cret-tökên"})
    assert good.status == 202


async def test_without_a_token_other_machines_change_nothing(open_desk: Open) -> None:
    desk = await open_desk(host="0.0.0.0")
    body = await error_of(await desk.client.post("/api/v1/limits", json=LIMIT), 403)
    assert "api.token" in body["error"]
    assert (await desk.client.get("/api/v1/state", headers={"Host": "depot.example"})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_origin_changes_nothing(desk: Desk, headers: dict[str, str]) -> None:
    await error_of(await desk.client.post("/api/v1/limits", json=LIMIT, headers=headers), 403)
    assert desk.facts == []


async def test_our_own_origin_may_change(desk: Desk) -> None:
    origin = str(desk.client.make_url("/")).rstrip("/")
    assert (await desk.client.post("/api/v1/limits", json=LIMIT, headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"})).status == 202


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "[::1", ""])
async def test_a_rebound_name_gets_nothing(desk: Desk, host: str) -> None:
    await error_of(await desk.client.get("/api/v1/state", headers={"Host": host}), 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8080"])
async def test_loopback_names_are_served(desk: Desk, host: str) -> None:
    assert (await desk.client.get("/api/v1/state", headers={"Host": host})).status == 200


# -- nonsense -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/../pyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/vendor/../../pyproject.toml",
        "/vendor/%2e%2e%2fplotly.py",
        "/..%5c..%5cetc/passwd",
        "/web/index.html",
        "/app.js/",
        "/app.js%00.html",
        "//etc/passwd",
        "/api/v1/",
        "/api/v2/state",
    ],
)
async def test_no_path_leads_anywhere_else(desk: Desk, target: str) -> None:
    """Over a bare socket: a client library would tidy the path up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.client.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:200]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/api/v1/state", "GET"),
        ("DELETE", "/api/v1/limits", "POST"),
        ("GET", "/api/v1/limits", "POST"),
        ("PUT", "/api/v1/evses/alpha/1/need", "POST"),
        ("OPTIONS", "/api/v1/limits", "POST"),
        ("HEAD", "/api/v1/stream", "GET"),
        ("POST", "/", "GET"),
        ("HEAD", "/api/v1/tap", "GET"),
        ("POST", "/api/v1/parked", "GET"),
        ("GET", "/api/v1/parked/requeue", "POST"),
        ("DELETE", "/api/v1/stations/alpha/maintenance", "POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_one(desk: Desk, method: str, path: str, allow: str) -> None:
    answer = await desk.client.request(method, path)
    assert answer.status == 405
    assert allow in answer.headers["Allow"]
    assert "Access-Control-Allow-Methods" not in answer.headers


async def test_a_mistake_of_ours_is_json_without_a_traceback(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Snapshot:
        raise ZeroDivisionError("inner workings")

    desk.shell._snapshot = broken
    body = await error_of(await desk.client.get("/api/v1/state"), 500)
    assert "inner workings" not in body["error"]
    assert "ZeroDivisionError" in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda part: st.lists(part, max_size=3), max_leaves=6
)
KEYS = st.sampled_from(
    [
        "value", "unit", "valid_for_s", "circuit", "sequence", "issued_at",
        "source", "energy_wh", "departure", "transaction_id", "numbers", "station", "minutes",
    ]
) | st.text(max_size=6)


async def test_no_body_whatever_ends_in_a_500(desk: Desk) -> None:
    """B33 as a law: any JSON object is taken, or refused with a 4xx that says why."""
    bodies: list[bytes] = []

    @settings(max_examples=examples(150), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(KEYS, JSON | st.sampled_from(["A", "W", "grid", "2026-01-01T00:00:00Z"]), max_size=5))
    def collect(body: dict[str, Any]) -> None:
        bodies.append(json.dumps(body).encode())

    collect()
    for raw in bodies:
        for path in ("limits", "evses/alpha/1/need", "parked/requeue", "stations/alpha/maintenance", "faces"):
            answer = await desk.client.post(f"/api/v1/{path}", data=raw, headers={"Content-Type": "application/json"})
            assert answer.status in (202, 400, 404, 409, 422), (raw, await answer.text())


# -- start and stop -----------------------------------------------------------------------------------------


async def test_a_busy_port_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        desk = Desk(site_config(port=port))
        with pytest.raises(StartError, match=f"port {port} is in use"):
            await desk.shell.start()


@pytest.mark.parametrize(("content", "word"), [(None, "cannot be read"), ("  \n", "is empty")])
async def test_f83_a_missing_token_locks_changes_and_nothing_else(open_desk: Open, tmp_path: Path, content: str | None, word: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    desk = await open_desk(token_file=str(file))
    assert (await desk.client.get("/api/v1/state")).status == 200
    body = await error_of(await desk.client.post("/api/v1/limits", json=LIMIT, headers={"Authorization": "Bearer "}), 403)
    assert word in body["error"]
    assert desk.facts == []


async def test_stop_ends_open_streams_and_start_works_again() -> None:
    desk = Desk(site_config())
    await desk.shell.start()
    async with ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{desk.shell.port}/api/v1/stream") as answer:
            await next_event(answer.content)
            async with asyncio.timeout(20):
                await desk.shell.stop()
                await desk.shell.stop()
                await answer.content.read()
        await desk.shell.start()
        async with http.get(f"http://127.0.0.1:{desk.shell.port}/api/v1/state") as answer:
            assert answer.status == 200
    await desk.shell.stop()


# -- the OpenAPI document tells the truth ----------------------------------------------------------------------


def schema_of(document: dict[str, Any], operation: dict[str, Any], status: int) -> dict[str, Any]:
    content = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    return {**content, "components": document["components"]}


async def check_answer(document: dict[str, Any], operation: dict[str, Any], answer: Any) -> None:
    """The status is documented and the body matches its schema."""
    assert str(answer.status) in operation["responses"], (answer.status, await answer.text())
    Draft202012Validator(schema_of(document, operation, answer.status)).validate(await answer.json())


async def test_each_documented_path_answers_as_documented(open_desk: Open) -> None:
    desk = await open_desk(Points([Series({"evse": "a"}, "energy_wh", ((1.0, 2.0),))]))
    document = await (await desk.client.get("/api/v1/openapi.json")).json()
    calls = {
        "/api/v1/history": "/api/v1/history?measurement=grid",
        "/api/v1/evses/{station}/{evse}/need": "/api/v1/evses/alpha/1/need",
        "/api/v1/queue/{station}": "/api/v1/queue/alpha",
        "/api/v1/stations/{station}/maintenance": "/api/v1/stations/alpha/maintenance",
        "/api/v1/signals/{source}": "/api/v1/signals/dso",
        "/api/v1/openadr3/{source}": "/api/v1/openadr3/dso",
    }
    bodies: dict[str, list[dict[str, Any]]] = {
        "/api/v1/limits": [LIMIT, {"value": None, "unit": "W"}, {"value": "x"}],
        "/api/v1/evses/{station}/{evse}/need": [{"energy_wh": 5}, {"departure": NOW_WALL_S + 9}, {"departure": "x"}],
        "/api/v1/parked/requeue": [{}, {"numbers": [1]}, {"numbers": []}],
        "/api/v1/commissioning": [{"station": "alpha", "evse": 1, "session": "me", "for_s": 5}, {"station": "alpha"}],
        "/api/v1/stations/{station}/maintenance": [{"minutes": 5}, {"minutes": 0}, {"minutes": -1}],
        "/api/v1/signals/{source}": [{"consumption_w": 5}],
        "/api/v1/openadr3/{source}": [{"objectType": "EVENT"}],
        "/api/v1/faces": [{"station": "alpha", "upstream": None}, {"upstream": "nowhere"}, {"station": "omega", "upstream": None}],
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            url = calls.get(path, path)
            if method == "post":
                for body in bodies[path]:
                    await check_answer(document, operation, await desk.client.post(url, json=body))
                await check_answer(document, operation, await desk.client.post(url, data="x", headers={"Content-Type": "text/plain"}))
            elif "application/json" in operation["responses"]["200"]["content"]:
                await check_answer(document, operation, await desk.client.get(url))
                await check_answer(document, operation, await desk.client.put(url, json={}))
                await check_answer(document, operation, await desk.client.get(url, headers={"Host": "evil.example"}))
            else:
                async with desk.client.get(url) as answer:
                    assert answer.content_type in operation["responses"]["200"]["content"]


async def test_every_route_is_documented_and_every_document_is_valid(desk: Desk) -> None:
    document = await (await desk.client.get("/api/v1/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    routes = {route.resource.canonical for route in desk.client.app.router.routes() if route.resource}
    ours = {path for path in routes if path.startswith("/api/") or path == "/metrics"}
    assert ours == set(document["paths"])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_the_schema_would_notice_a_lie(desk: Desk) -> None:
    document = await (await desk.client.get("/api/v1/openapi.json")).json()
    validator = Draft202012Validator(schema_of(document, document["paths"]["/api/v1/state"]["get"], 200))
    state = await (await desk.client.get("/api/v1/state")).json()
    validator.validate(state)
    state["site"]["grid"]["power_w"] = "much"
    assert not validator.is_valid(state)
    del state["site"]["grid"]["power_w"]
    assert not validator.is_valid(state)
