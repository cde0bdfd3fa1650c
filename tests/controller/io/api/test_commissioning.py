"""The calls behind `yardmaster commission`: who may, what is refused, what becomes a fact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.facts import Deed, EvseKey, Fact, Probe, TrialAsked
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from tests.support.picture import NOW_WALL_S, picture, site_config

URL = "/api/v1/commissioning"
GOOD = {"station": "alpha", "evse": 1, "session": "me", "limit_a": 8, "for_s": 20}


class Desk:
    """An ApiShell with a trace of our own."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.view: dict[str, Any] = {"mono_s": 5.0, "wall_s": 6.0, "trial": None, "features": {}, "last": 3, "entries": []}
        self.asked: list[int] = []
        self.shell = ApiShell(site_config(), VirtualClock(NOW_WALL_S), self.facts.append, picture)
        self.shell.trace = self._trace

    def _trace(self, after: int) -> dict[str, Any]:
        self.asked.append(after)
        return self.view


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(desk.shell.build(), host="127.0.0.1")) as opened:
        yield opened


async def test_a_test_becomes_a_fact(desk: Desk, client: TestClient[Any, Any]) -> None:
    probe = {"limit_a": 6, "life_s": 30, "purpose": "tx_default", "unit": "W"}
    answer = await client.post(URL, json={**GOOD, "deed": "clear", "probe": probe})
    assert answer.status == 202
    assert (await answer.json())["last"] == 3
    fact = desk.facts[0]
    assert isinstance(fact, TrialAsked)
    assert (fact.evse, fact.limit_a, fact.for_s, fact.session, fact.deed) == (EvseKey("alpha", 1), 8, 20, "me", Deed.CLEAR)
    assert fact.probe == Probe(6, 30, "tx_default", "W")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"station": "nobody"}, 404),
        ({"evse": 98}, 404),
        ({"evse": 0}, 422),
        ({"limit_a": -1}, 422),
        ({"limit_a": True}, 422),
        ({"for_s": 301}, 422),
        ({"session": ""}, 422),
        ({"deed": "explode"}, 422),
        ({"probe": {"limit_a": 6, "life_s": 30, "purpose": "local_generation"}}, 422),
        ({"more": 1}, 422),
    ],
)
async def test_what_is_refused_changes_nothing(desk: Desk, client: TestClient[Any, Any], change: dict[str, Any], status: int) -> None:
    answer = await client.post(URL, json={**GOOD, **change})
    assert answer.status == status
    assert (await answer.json())["error"]
    assert desk.facts == []


async def test_one_person_at_a_time(desk: Desk, client: TestClient[Any, Any]) -> None:
    desk.view["trial"] = {"station": "alpha", "evse": 1, "session": "another", "ends_in_s": 12.3}
    answer = await client.post(URL, json=GOOD)
    assert answer.status == 409
    assert "alpha/1" in (await answer.json())["error"]
    assert desk.facts == []


async def test_the_trace_is_read_in_parts(desk: Desk, client: TestClient[Any, Any]) -> None:
    assert (await (await client.get(URL, params={"after": "17"})).json())["last"] == 3
    assert desk.asked == [17]
    assert (await client.get(URL, params={"after": "x"})).status == 422


async def test_another_page_cannot_test(desk: Desk, client: TestClient[Any, Any]) -> None:
    for answer in (await client.post(URL, json=GOOD, headers={"Origin": "http://evil"}), await client.get(URL, headers={"Origin": "http://evil"})):
        assert answer.status == 403
    assert desk.facts == []
