"""Sockets that are pinged when they are silent, and cost nothing extra while they are not.

aiohttp starts its heartbeat anew with every read from the socket: a callback of the event loop each time, some
3 us per leg and message, as much as reading the message. Its timer looks at ``_heartbeat_when`` when it fires and waits on
if that has moved, so moving it is all a read has to do. Only while a pong is awaited aiohttp's own
way is taken, which ends the wait. Should aiohttp look different one day, the worst is a ping too many.
"""

from __future__ import annotations

from typing import Any

from aiohttp import ClientWebSocketResponse, web


class StationSocket(web.WebSocketResponse):
    """The side of ours that stations connect to."""

    def _on_data_received(self) -> None:
        if self._heartbeat is not None and self._heartbeat_cb is not None and self._pong_response_cb is None and self._loop is not None:
            self._heartbeat_when = self._loop.time() + self._heartbeat
        else:
            super()._on_data_received()


class UpstreamSocket(ClientWebSocketResponse):
    """The side of ours that connects to a CSMS; for ``ClientSession(ws_response_class=...)``."""

    def _on_data_received(self) -> None:
        if self._heartbeat is not None and self._heartbeat_cb is not None and self._pong_response_cb is None:
            self._heartbeat_when = self._loop.time() + self._heartbeat
        else:
            super()._on_data_received()

    def let_go(self) -> None:
        """The connection has ended: it and this would hold each other, and a compressor of 100 KiB, until the next garbage collection."""
        protocol: Any = getattr(self._writer, "protocol", None)
        if hasattr(protocol, "_data_received_cb"):  # aiohttp's way to the heartbeat of a socket
            protocol._data_received_cb = None
        if hasattr(self, "_cancel_heartbeat"):  # a timer that is still to fire would hold it, too
            self._cancel_heartbeat()
