"""Who may call us back, and what a call does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.io.api.callbacks import ANY, Callbacks, Called
from controller.io.api.models import ApiError

KEY = "key-of-the-subscription"


class Desk:
    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.client: TestClient[web.Request, web.Application] | None = None

    async def notify(self, source: str, body: bytes) -> tuple[int, str] | None:
        self.bodies.append((source, body))
        return 200, "{}"

    async def post(self, source: str, key: str | None, body: bytes = b'{"objectType": "EVENT"}') -> int:
        assert self.client is not None
        headers = {"Authorization": key} if key is not None else {}
        async with self.client.post(f"/api/v1/openadr3/{source}", data=body, headers=headers) as reply:
            return reply.status


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    there = Desk()

    @web.middleware
    async def errors(request: web.Request, handler: object) -> web.StreamResponse:
        try:
            return await handler(request)  # type: ignore[operator,no-any-return]
        except ApiError as error:
            return error.response()

    app = web.Application(middlewares=[errors], client_max_size=1000)
    called = Called({"dso": KEY}.get, there.notify)
    app.router.add_routes(Callbacks(lambda: called).routes())
    there.client = TestClient(TestServer(app))
    await there.client.start_server()
    yield there
    await there.client.close()


@pytest.mark.parametrize(
    ("source", "key", "status"),
    [
        ("dso", f"Bearer {KEY}", 200),
        ("dso", f"bearer {KEY}", 200),
        ("dso", f"Bearer {KEY}x", 401),
        ("dso", f"Basic {KEY}", 401),
        ("dso", "Bearer", 401),
        ("dso", None, 401),
        ("nobody", f"Bearer {KEY}", 404),
    ],
)
async def test_only_the_key_of_the_subscription_opens(desk: Desk, source: str, key: str | None, status: int) -> None:
    assert await desk.post(source, key) == status
    assert len(desk.bodies) == (status == 200)


async def test_a_call_too_large_to_read_is_a_hint_all_the_same(desk: Desk) -> None:
    assert await desk.post("dso", f"Bearer {KEY}", b"x" * 5000) == 200
    assert desk.bodies == [("dso", ANY)]
