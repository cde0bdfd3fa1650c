"""Puts a simulated station behind a real WebSocket: dials, reconnects, carries text. Decides nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import quote

from aiohttp import BasicAuth, ClientError, ClientSession, ClientTimeout, ClientWebSocketResponse, WSMsgType

from controller.facts import Stamp
from controller.sim.station import SimStation

RETRY_MIN_S, RETRY_MAX_S = 0.5, 5.0


class StationClient:
    """One station's connection to ``url`` + "/" + identity. ``enabled`` False pulls the plug. heartbeat_s: silence before it pings."""

    def __init__(self, station: SimStation, url: str, stamp: Callable[[], Stamp], password: str | None = None) -> None:
        self.station = station
        self.url = f"{url.rstrip('/')}/{quote(station.spec.id, safe='')}"
        self.enabled = True
        self.heartbeat_s = 20.0
        self._stamp = stamp
        self._auth = BasicAuth(station.spec.id, password) if password else None
        self._socket: ClientWebSocketResponse | None = None
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        retry_s = RETRY_MIN_S
        async with ClientSession(timeout=ClientTimeout(total=None, sock_connect=5.0)) as session:
            while True:
                linked = self.enabled and await self._link(session)
                retry_s = RETRY_MIN_S if linked else min(RETRY_MAX_S, 2 * retry_s)
                await asyncio.sleep(retry_s)

    async def tick(self) -> None:
        """Time has passed: send what is due, drop the link when the station wants it."""
        socket = self._socket
        if socket is None:
            self.station.tick(self._stamp())
            return
        async with self._lock:
            await self._send(socket, self.station.tick(self._stamp()))
        if self.station.wants_close or not self.enabled:
            await socket.close()

    async def _link(self, session: ClientSession) -> bool:
        subprotocol = self.station.spec.subprotocol
        try:
            async with session.ws_connect(self.url, protocols=(subprotocol,), auth=self._auth, heartbeat=self.heartbeat_s) as socket:
                if socket.protocol != subprotocol:
                    return False
                await self._serve(socket)
                return True
        except (ClientError, OSError, TimeoutError):
            return False

    async def _serve(self, socket: ClientWebSocketResponse) -> None:
        try:
            async with self._lock:
                self._socket = socket
                await self._send(socket, self.station.opened(self._stamp()))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    async with self._lock:
                        await self._send(socket, self.station.handle_frame(self._stamp(), message.data))
        finally:
            self._socket = None
            self.station.closed(self._stamp())

    async def _send(self, socket: ClientWebSocketResponse, texts: list[str]) -> None:
        for text in texts:
            if not socket.closed:
                await socket.send_str(text)
