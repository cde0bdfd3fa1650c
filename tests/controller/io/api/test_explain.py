"""GET /api/v1/explain over a real server: as documented, 503 before there is anything, and in the state as well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession
from jsonschema import Draft202012Validator

from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.snapshot import ExplainView, Snapshot
from tests.support.explained_story import told
from tests.support.picture import NOW_WALL_S, picture, site_config


class Desk:
    """A running API whose picture may know what plans said."""

    def __init__(self) -> None:
        self.view: ExplainView | None = told()
        self.shell = ApiShell(site_config(port=0), VirtualClock(NOW_WALL_S), lambda fact: None, self.look)

    def look(self) -> Snapshot:
        return picture(explain=self.view)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.shell.port}/api/v1"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    await made.shell.start()
    yield made
    await made.shell.stop()


def checker(document: dict[str, object]) -> Callable[[object], None]:
    schema = {"$ref": "#/components/schemas/ExplainView", "components": document["components"]}
    return Draft202012Validator(schema).validate


async def test_it_is_answered_as_documented(desk: Desk) -> None:
    async with ClientSession() as session:
        document = await (await session.get(f"{desk.url}/openapi.json")).json()
        answer = await session.get(f"{desk.url}/explain")
        body = await answer.json()
        state = await (await session.get(f"{desk.url}/state")).json()
    assert answer.status == 200
    assert "/api/v1/explain" in document["paths"]
    checker(document)(body)
    assert body["sentences"][0].startswith("Circuit hall held cars back for 15.5 h in the last 7 days; that cost about 41 EUR.")
    assert body["limits"][0]["week"]["cost"] == pytest.approx(41.0)
    assert body["solver"]["hot"] == 1240
    assert state["site"]["explain"] == body


async def test_before_there_are_plans_it_says_so(desk: Desk) -> None:
    desk.view = None
    async with ClientSession() as session:
        answer = await session.get(f"{desk.url}/explain")
        body = await answer.json()
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "10"
    assert "no plans to explain yet" in str(body)


async def test_nothing_is_changed_here(desk: Desk) -> None:
    async with ClientSession() as session:
        answer = await session.post(f"{desk.url}/explain", json={})
    assert answer.status == 405
