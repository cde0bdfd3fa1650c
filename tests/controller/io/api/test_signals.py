"""Signals and the compliance record over the HTTP API: a real shell, a real driver, a real site behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.engine import Engine
from controller.facts import Direction, Fact, Persisted
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.io.compliance import ComplianceShell
from controller.io.signals.shell import SignalsShell
from controller.orders import Persist, RecordCompliance
from tests.support.site_story import WALL_S, depot

SIGNALS = [
    {"id": "dso", "type": "api", "failsafe_w": 4200},
    {
        "id": "box",
        "type": "contacts",
        "contacts": [{"name": "W4", "pin": {"type": "file", "path": "/no/such/pin"}, "consumption_w": 1}],
        "poll_s": 60,
    },
]


class Whole:
    """API, drivers, record and engine of one site."""

    def __init__(self, data_dir: Path, **api: Any) -> None:
        self.config = depot(1, signals=SIGNALS, api={"port": 0, **api}).model_copy(update={"data_dir": data_dir})
        self.clock, self.engine = VirtualClock(WALL_S), Engine(self.config, "seed", {})
        self.api = ApiShell(self.config, self.clock, self.submit, lambda: self.engine.snapshot(self.clock.stamp()))
        self.sources = SignalsShell(self.config, self.clock, self.submit)
        self.record = ComplianceShell(self.config, self.clock, lambda fact: None)
        self.api.notify, self.api.record = self.sources.notified, self.record
        self.client: Any = None

    def submit(self, fact: Fact) -> None:
        for order in self.engine.handle(fact):
            if isinstance(order, Persist) and order.token:
                self.submit(Persisted(self.clock.stamp(), order.token))
            for shell in (self.sources, self.record):
                if isinstance(order, shell.orders):
                    shell.carry(order)

    async def post(self, source: str, body: Any, **headers: str) -> tuple[int, Any]:
        text = body if isinstance(body, str) else json.dumps(body)
        answer = await self.client.post(f"/api/v1/signals/{source}", data=text, headers={"Content-Type": "application/json", **headers})
        return answer.status, await answer.json()


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    made = Whole(tmp_path)
    await made.record.start()
    await made.sources.start()
    made.client = TestClient(TestServer(made.api.build()))
    await made.client.start_server()
    yield made
    await made.client.close()
    await made.sources.stop()
    await made.record.stop()


async def test_a_statement_is_answered_with_what_holds(whole: Whole) -> None:
    status, body = await whole.post("dso", {"consumption_w": 6000, "duration_s": 900})
    assert (status, body["answers"][0]["in_force_w"]) == (200, 6000)
    signals = (await (await whole.client.get("/api/v1/signals")).json())["signals"]
    assert [(one["id"], one["state"], one["limit_w"]) for one in signals] == [("dso", "limited", 6000), ("box", "silent", None)]


@pytest.mark.parametrize(
    ("source", "body", "status", "says"),
    [
        ("dso", {"consumption_w": -1}, 422, "0 W or more"),
        ("dso", {"consumption_w": "6000"}, 422, "consumption_w"),
        ("dso", {"limit_w": 6000}, 422, "limit_w is not a known key"),
        ("dso", "[1]", 422, "JSON object"),
        ("dso", "", 422, "empty"),
        ("nobody", {"consumption_w": 1}, 404, "is not a signal of this site"),
        ("box", {"consumption_w": 1}, 409, "takes no statements"),
    ],
)
async def test_what_is_wrong_is_said(whole: Whole, source: str, body: Any, status: int, says: str) -> None:
    found, answer = await whole.post(source, body)
    assert found == status
    assert says in answer["error"]
    assert isinstance(answer["problems"], list)


async def test_wrong_ways_to_call(whole: Whole) -> None:
    assert (await whole.client.post("/api/v1/signals/dso", data="{}", headers={"Content-Type": "text/plain"})).status == 415
    assert (await whole.client.post("/api/v1/signals/dso", data="x" * 70_000, headers={"Content-Type": "application/json"})).status == 413
    assert (await whole.client.put("/api/v1/signals/dso", json={})).status == 405
    assert (await whole.post("dso", {"consumption_w": 1}, Origin="https://evil.example"))[0] == 403


async def test_a_token_is_asked_for_like_with_every_change(tmp_path: Path) -> None:
    made = Whole(tmp_path, token="secret-secret-secret")
    made.api._token = "secret-secret-secret"
    async with TestClient(TestServer(made.api.build())) as client:
        made.client = client
        assert (await made.post("dso", {"consumption_w": 1}))[0] == 401
        assert (await made.post("dso", {"consumption_w": 1}, Authorization="Bearer wrong"))[0] == 401
        assert (await client.get("/api/v1/signals")).status == 200


async def test_the_record_as_json_and_csv(whole: Whole) -> None:
    await whole.post("dso", {"consumption_w": 6000})
    whole.record.carry(RecordCompliance(WALL_S - 10 * 86_400, "old", Direction.PRODUCTION, "grid", "ended", None, None))
    lines = (await (await whole.client.get("/api/v1/compliance")).json())["lines"]
    assert [(line["source"], line["event"], line["limit_w"]) for line in lines][:1] == [("dso", "received", 6000)]
    answer = await whole.client.get("/api/v1/compliance.csv?since=0")
    assert answer.content_type == "text/csv"
    rows = (await answer.text()).splitlines()
    assert rows[0].startswith("number,time_utc,source")
    assert any(",old,production," in row for row in rows)
    assert (await whole.client.get("/api/v1/compliance?since=5&until=1")).status == 422
    assert (await whole.client.get("/api/v1/compliance?nonsense=1")).status == 422


async def test_a_record_that_cannot_be_read(whole: Whole) -> None:
    class Broken:
        async def query(self, *more: Any) -> list[Any]:
            raise OSError("disk gone")

    whole.api.record = Broken()
    assert (await whole.client.get("/api/v1/compliance")).status == 503
    whole.api.record = None
    assert (await (await whole.client.get("/api/v1/compliance")).json()) == {"lines": [], "more": False}
