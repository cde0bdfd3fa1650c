"""A VEN of ours beside a server of OpenADR 3 on real sockets: what the site is told, and the server's business side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from controller.config import Config
from controller.facts import EventsTold, Fact, GridEvent, SeriesTold, SourceChanged
from controller.io.clock import Clock
from controller.io.signals.driver import Surroundings
from controller.io.signals.openadr3 import Ven
from controller.io.tasks import end, spawn
from controller.sim.vtn3 import Vtn3

SITE: dict[str, Any] = {"site": {"id": "depot"}, "grid": {"fuse_a": 100, "worst_other_load_a": 10, "max_export_w": 20_000}}


def entry(url: str, **changes: Any) -> dict[str, Any]:
    """An entry of ``signals``."""
    oauth = {"client_id": "ven", "client_secret": "ven-secret"}
    return {"type": "openadr3", "id": "dso", "url": url, "ven_name": "ven-1", "oauth": oauth, "poll_s": 1} | changes


async def until(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until something is true; its value."""
    async with asyncio.timeout(seconds):
        while not (found := what()):  # noqa: ASYNC110  it is the world outside that changes
            await asyncio.sleep(0.01)
    return found


class World:
    """facts: what the site was told. ven: the driver."""

    def __init__(self, vtn: Vtn3, config: Config, poll_s: float = 0.1) -> None:
        self.vtn, self.config, self.clock = vtn, config, Clock()
        self.facts: list[Fact] = []
        self.entry = config.signals[0].model_copy(update={"poll_s": poll_s})  # quicker than a site file may ask for
        self.ven = Ven(self.entry, Surroundings(config, self.clock, self.facts.append, None))  # type: ignore[arg-type]
        self._business: dict[str, str] = {}

    def now(self) -> float:
        """Unix time."""
        return self.clock.stamp().wall_s

    def told(self) -> list[EventsTold]:
        """The schedules, oldest first."""
        return [fact for fact in self.facts if isinstance(fact, EventsTold)]

    def events(self) -> tuple[GridEvent, ...]:
        """Of the last schedule."""
        return self.told()[-1].events if self.told() else ()

    def notes(self) -> str:
        """Of the last schedule."""
        return "\n".join(self.told()[-1].notes) if self.told() else ""

    def series(self) -> dict[str, SeriesTold]:
        """The last of each kind."""
        return {str(fact.kind): fact for fact in self.facts if isinstance(fact, SeriesTold)}

    def health(self) -> list[tuple[bool, str]]:
        """What was said about the connection."""
        return [(fact.healthy, fact.detail) for fact in self.facts if isinstance(fact, SourceChanged)]

    async def next_poll(self, count: int = 1) -> None:
        """Wait for schedules that are told from now on, so that one at least began after this moment."""
        seen = len(self.told())
        await until(lambda: len(self.told()) > seen + count)

    async def business(self, method: str, path: str, body: Any = None) -> Any:
        """The energy provider's side; the answer's body."""
        return await business(self.vtn.url, method, path, body)

    def asked(self, method: str, part: str) -> list[dict[str, Any]]:
        """Requests the server got."""
        return [each for each in self.vtn.log if each["method"] == method and part in each["path"]]


async def business(url: str, method: str, path: str, body: Any = None) -> Any:
    """One request of the energy provider's side. AssertionError when it is refused."""
    form = {"grant_type": "client_credentials", "client_id": "bl", "client_secret": "bl-secret"}
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/auth/token", data=form) as reply:
            token = (await reply.json())["access_token"]
        async with session.request(method, url + path, json=body, headers={"Authorization": f"Bearer {token}"}) as reply:
            found = await reply.json()
            assert reply.status < 300, found
            return found


@asynccontextmanager
async def world(generation: str = "3.1", vtn: Vtn3 | None = None, site: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[World]:
    """A server and a VEN that has polled once."""
    server = vtn or Vtn3(generation)
    await server.start()
    there = World(server, Config.model_validate(SITE | (site or {}) | {"signals": [entry(server.url, **changes)]}))
    task = spawn(there.ven.run(), "ven")
    try:
        yield there
    finally:
        await end([task])
        await there.ven.close()
        await server.stop()
