"""Names of CSMSs to addresses: the system's resolver, and what it said last while it says nothing (F36).

A name server that is dead seldom refuses; mostly it is silent, and the system's resolver waits for it half a minute: longer than a dial may
take, and in a thread. So each name is asked for once at a time, however many stations dial, in a thread of its own that neither keeps other
work waiting nor the program's end; and where an address is known nobody waits longer than ``PATIENCE_S`` for a newer one.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from aiohttp.abc import AbstractResolver, ResolveResult

from controller.io.tasks import end, spawn

log = logging.getLogger(__name__)

ADDRESS_KEPT_S: Final = 86_400.0
ADDRESSES_KEPT: Final = 64
PATIENCE_S: Final = 3.0
"""An answer takes a few milliseconds, from far away a second."""
NUMERIC: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV

T = TypeVar("T")
_Key = tuple[str, int, int]


class LastingResolver(AbstractResolver):
    """The system's resolver, with the last good answer for a day while it fails or is silent. mono_s: the clock.

    The certificate must still fit the name, so an old address harms nobody.
    """

    def __init__(self, mono_s: Callable[[], float], system: AbstractResolver | None = None, patience_s: float = PATIENCE_S) -> None:
        self._mono_s = mono_s
        self._system = system or SystemResolver()
        self._patience_s = patience_s
        self._known: dict[_Key, tuple[float, list[ResolveResult]]] = {}
        self._asking: dict[_Key, asyncio.Task[list[ResolveResult] | OSError]] = {}

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Addresses of ``host``. Raises OSError when the name server fails and has failed for a day."""
        key = (host, port, int(family))
        kept = self._kept(key)
        try:
            async with asyncio.timeout(self._patience_s if kept else None):
                found = await asyncio.shield(self._ask(key, family))
        except TimeoutError:
            log.info("the name %s cannot be resolved, no name server answers; its last address is used", host)
            return kept
        if not isinstance(found, OSError):
            return found
        if not kept:
            raise found
        log.info("the name %s cannot be resolved (%s); its last address is used", host, found.strerror or found)
        return kept

    async def close(self) -> None:
        """Nobody waits for an answer any more."""
        await end(self._asking.values())
        await self._system.close()

    def _kept(self, key: _Key) -> list[ResolveResult]:
        since_mono_s, known = self._known.get(key, (float("-inf"), []))
        return known if self._mono_s() - since_mono_s <= ADDRESS_KEPT_S else []

    def _ask(self, key: _Key, family: socket.AddressFamily) -> asyncio.Task[list[ResolveResult] | OSError]:
        """The question under way, or a new one. It goes on when those who waited for it gave up."""
        if key not in self._asking:
            self._asking[key] = spawn(self._learn(key, family), f"name {key[0]}")
            self._asking[key].add_done_callback(lambda _: self._asking.pop(key, None))
        return self._asking[key]

    async def _learn(self, key: _Key, family: socket.AddressFamily) -> list[ResolveResult] | OSError:
        try:
            found = await self._system.resolve(key[0], key[1], family)
        except OSError as error:
            return error
        self._known.pop(key, None)
        self._known[key] = (self._mono_s(), found)
        if len(self._known) > ADDRESSES_KEPT:
            del self._known[next(iter(self._known))]
        return found


class SystemResolver(AbstractResolver):
    """``getaddrinfo`` in a thread of its own for each question."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Addresses of ``host``. Raises OSError."""
        return await aside(lambda: _addresses(host, port, family))

    async def close(self) -> None:
        """Nothing is open."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found: list[ResolveResult] = []
    for kind, _, proto, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG):
        # A link-local address of IPv6 is one together with its interface only.
        numeric = socket.getnameinfo(address, NUMERIC)[0] if kind == socket.AF_INET6 else str(address[0])
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        found.append(ResolveResult(hostname=host, host=numeric, port=int(address[1]), family=kind, proto=proto, flags=flags))
    return found


async def aside(job: Callable[[], T]) -> T:
    """Do something that may take long in a thread that the program's end does not wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = job()
        except BaseException as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(tell, result, error)
        except RuntimeError:  # the loop has ended meanwhile
            return

    threading.Thread(target=work, name="name server", daemon=True).start()
    return await done
