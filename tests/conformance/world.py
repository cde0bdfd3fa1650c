"""A station and a CSMS that know nothing of Yardmaster, and Yardmaster between them, each in a process of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.yard import Peer, Yard, frames, free_port, site, until

NAME = "CP1"


class World:
    """One site. version: of the station; csms_version: of the CSMS. The peers may be killed and started again; their logs go on."""

    def __init__(self, folder: Path, version: str, yard: Yard, port: int, csms_version: str = "") -> None:
        self.folder, self.version, self.yard, self.port = folder, version, yard, port
        self.csms_version = csms_version or version
        self.station: Peer | None = None
        self.csms: Peer | None = None

    async def csms_on(self, first_id: int = 9001, *words: str) -> None:
        """Start the CSMS; first_id: the first transaction id it gives to 1.6 stations; words: e.g. "block:GOOD-1", "pending:2", "idle:3"."""
        self.csms = Peer("csms_process.py", str(self.folder / "csms.jsonl"), str(self.port), str(first_id), self.csms_version, *words)
        await self.csms.start()

    async def csms_off(self) -> None:
        """kill -9 of the CSMS; returns when Yardmaster has noticed."""
        assert self.csms is not None
        await self.csms.stop()
        await until(lambda: self.upstream_is("away"))

    async def upstream_is(self, state: str) -> bool:
        """Whether Yardmaster says so of the station's upstream."""
        return bool((await self._link())["upstream"] == state)

    async def settled(self) -> bool:
        """Whether the CSMS has acknowledged everything that waited on disk."""
        link = await self._link()
        return bool(link["upstream"] == "open" and link["queued"] == 0)

    async def _link(self) -> dict[str, Any]:
        links = (await self.yard.state())["links"]
        return next(link for link in links if link["station_id"] == NAME)

    async def plug(self) -> None:
        """The station dials."""
        self.station = Peer("station_process.py", str(self.folder / "station.jsonl"), f"{self.yard.ocpp_url}/{NAME}", self.version)
        assert (await self.station.start())["subprotocol"] == self.version

    async def unplug(self) -> None:
        """The station's process ends without a word."""
        assert self.station is not None
        await self.station.stop()

    async def call(self, action: str, **payload: Any) -> dict[str, Any]:
        """A CALL of the station; fails on CALLERROR."""
        assert self.station is not None
        answer = await self.station.do(action=action, payload=payload)
        assert "error" not in answer, f"{action}: {answer}"
        return answer

    async def order(self, action: str, **payload: Any) -> dict[str, Any]:
        """A CALL of the CSMS; fails on CALLERROR."""
        assert self.csms is not None
        answer = await self.csms.do(station=NAME, action=action, payload=payload)
        assert "error" not in answer, f"{action}: {answer}"
        return answer

    def at_csms(self, *actions: str) -> list[Any]:
        """Payloads of the CALLs the CSMS has got, in order, as (action, payload)."""
        return self._calls("csms.jsonl", actions)

    def at_station(self, *actions: str) -> list[Any]:
        """The same of the station."""
        return self._calls("station.jsonl", actions)

    def texts(self, log: str, way: str) -> list[str]:
        """The raw texts of a peer's log. way: "in" or "out"."""
        return [frame["text"] for frame in frames(self.folder / log) if frame["dir"] == way]

    def _calls(self, log: str, actions: tuple[str, ...]) -> list[Any]:
        read = [json.loads(text) for text in self.texts(log, "in")]
        return [(frame[2], frame[3]) for frame in read if frame[0] == 2 and (not actions or frame[2] in actions)]


@asynccontextmanager
async def world(folder: Path, version: str, csms_version: str = "", *words: str) -> AsyncIterator[World]:
    """Everything running: CSMS, Yardmaster, station. csms_version: "" = that of the station; words: see ``World.csms_on``."""
    port = free_port()
    upstream = {"id": "csms", "url": f"ws://127.0.0.1:{port}/ocpp", "reconnect_min_s": 0.2, "reconnect_max_s": 1}
    async with Yard(folder, site(folder, upstreams=[upstream])) as yard:
        here = World(folder, version, yard, port, csms_version)
        try:
            await here.csms_on(9001, *words)
            await here.plug()
            yield here
        finally:
            for peer in (here.station, here.csms):
                if peer is not None:
                    await peer.stop()
