"""The door of the station server: connections that have not finished their handshake.

aiohttp has no deadline for a peer that connects and says nothing, or drips header bytes
(measured: both still open after 100 s). Here each TCP connection gets a deadline for its
complete handshake, and there is a cap per address and in all, so that a slowloris cannot
keep stations out (F64). Once ``passed`` is called the door forgets the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

PER_ADDRESS = 16
IN_ALL = 256


@dataclass(slots=True)
class _Waiting:
    address: str
    deadline: asyncio.TimerHandle


class Door:
    """Watches fresh connections. handshake_s: deadline from connect to the finished handshake [s]."""

    def __init__(self, handshake_s: float, per_address: int = PER_ADDRESS, in_all: int = IN_ALL) -> None:
        self._handshake_s = handshake_s
        self._per_address = per_address
        self._in_all = in_all
        self._waiting: dict[asyncio.BaseTransport, _Waiting] = {}
        self.turned_away = 0

    @property
    def waiting(self) -> int:
        """Connections that are open and have not finished their handshake."""
        return len(self._waiting)

    def protocol(self, server: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """A protocol for one new connection, which hands over to ``server()`` if there is room."""
        return _Threshold(self, server)

    def enter(self, transport: asyncio.BaseTransport) -> bool:
        """Let a new connection wait here; False if there is no room for it."""
        address = address_of(transport)
        if not self._has_room(address):
            self._forget_closed()
            if not self._has_room(address):
                self.turned_away += 1
                return False
        deadline = asyncio.get_running_loop().call_later(self._handshake_s, self._expire, transport)
        self._waiting[transport] = _Waiting(address, deadline)
        return True

    def passed(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is complete: no deadline any more."""
        entry = self._waiting.pop(transport, None)
        if entry is not None:
            entry.deadline.cancel()

    def close(self) -> None:
        """Drop everybody who still waits."""
        for transport in list(self._waiting):
            self._expire(transport)

    def _has_room(self, address: str) -> bool:
        if len(self._waiting) >= self._in_all:
            return False
        return sum(entry.address == address for entry in self._waiting.values()) < self._per_address

    def _forget_closed(self) -> None:
        # The protocol that learns of a lost connection is aiohttp's, so ask the transports.
        for transport in [transport for transport in self._waiting if transport.is_closing()]:
            self.passed(transport)

    def _expire(self, transport: asyncio.BaseTransport) -> None:
        self.passed(transport)
        if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
            transport.abort()


class _Threshold(asyncio.Protocol):
    """Stands in for the server's protocol until the door has seen the peer's address."""

    def __init__(self, door: Door, server: Callable[[], asyncio.Protocol]) -> None:
        self._door = door
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._door.enter(transport):
            transport.abort()
            return
        protocol = self._server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """The peer's address without its port; "" when unknown."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else ""
