"""Shell: the machine the program runs on: service manager, signals, the event loop's own health.

Tells systemd READY, WATCHDOG and STOPPING over its datagram socket. The watchdog is fed by the
control loop (``beat``), not by a timer of its own: a loop that hangs is restarted (F69), and the
stations' finite setpoints cover the gap. Measures how late the event loop runs (F70), how near
the program is to its memory's end (F71), and takes as many open files as the system gives (F72).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from controller.config import Config
from controller.facts import SourceChanged
from controller.io.lateness import LagMeter, spent
from controller.io.memory import MemoryMeter, limit_bytes, used_bytes
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order

log = logging.getLogger(__name__)

SOURCE, MEMORY = "event loop", "memory"
LAG_PERIOD_S = 0.2
MEMORY_EVERY_S = 5.0
GROWN_BLOCKS = 100_000
"""A closed connection leaves about 150 blocks, 20 KiB, in cycles. Measured on an EPYC core with 1000 stations linked: a full
collection takes 80 ms, so that searching twice as often would not be seen, ten times as often would (``LAG_ALARM_S``)."""
GROWN_BYTES = 24 * 2**20
"""What one block leads to may be large: a TLS connection holds 290 KiB, a compressor 100 KiB."""
FILES_PER_STATION = 2  # its own socket and its upstream leg
FILES_BESIDE = 200


class SystemShell:
    """environment: where NOTIFY_SOCKET and WATCHDOG_USEC are looked up.

    memory: (used, allowed) in bytes, used 0 = unknown. blocks: how many objects Python holds memory for.
    """

    orders: tuple[type[Order], ...] = ()

    def __init__(
        self,
        config: Config,
        clock: Clock,
        submit: Submit,
        environment: Mapping[str, str] = os.environ,
        memory: Callable[[], tuple[int, int]] = lambda: (used_bytes(), limit_bytes()),
        blocks: Callable[[], int] = sys.getallocatedblocks,
    ) -> None:
        self._stations = len(config.stations)
        self._memory = memory
        self._room = MemoryMeter()
        self._looked_mono_s = float("-inf")
        self._blocks = blocks
        self._kept_blocks = self._kept_bytes = 0
        self._clock = clock
        self._submit = submit
        self._address = environment.get("NOTIFY_SOCKET", "")
        # Half the time systemd allows, so that one late beat is no restart.
        self._watchdog_s = int(environment.get("WATCHDOG_USEC", "0") or 0) / 2e6
        self._fed_mono_s = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._meter = LagMeter()
        self.again = False
        """Whether the process goes on after this life: then its service manager hears of a new start instead of an end."""

    @property
    def tight(self) -> bool:
        """Whether memory is nearly used up: what can be left out should be."""
        return self._room.tight

    def carry(self, order: Order) -> None:
        """The system takes no orders."""

    async def start(self) -> None:
        """Begin to watch the event loop."""
        allow_files(FILES_PER_STATION * self._stations + FILES_BESIDE)
        self._task = keep(self._watch, "event loop watch")

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            await end([self._task])

    def ready(self) -> None:
        """Everything runs: tell the service manager, and let the garbage collector rest."""
        calm_garbage_collector()
        self._notify("READY=1\nSTATUS=running")

    def stopping(self) -> None:
        """The end has begun, or a new start (sd_notify: RELOADING lasts until the next READY)."""
        self._notify("RELOADING=1\nSTATUS=starting again with a changed site file" if self.again else "STOPPING=1\nSTATUS=stopping")

    def beat(self) -> None:
        """The control loop is alive. Call it once per tick."""
        now_mono_s = self._clock.stamp().mono_s
        if self._watchdog_s and now_mono_s - self._fed_mono_s >= self._watchdog_s / 2:
            self._fed_mono_s = now_mono_s
            self._notify("WATCHDOG=1")
        if now_mono_s - self._looked_mono_s >= MEMORY_EVERY_S:
            self._looked_mono_s = now_mono_s
            self._look_at_memory()

    def _look_at_memory(self) -> None:
        used, allowed = self._memory()
        if self._blocks() > self._kept_blocks + GROWN_BLOCKS or used > self._kept_bytes + GROWN_BYTES:
            # What dies old is not found by Python's own counting before a million stations have come and gone.
            gc.collect()
            used, allowed = self._memory()
            self._kept_blocks, self._kept_bytes = self._blocks(), used
        self._kept_bytes = min(self._kept_bytes, used)
        news = self._room.saw(used, allowed) if used else None
        if news is not None:
            self._submit(SourceChanged(self._clock.stamp(), MEMORY, *news))

    def _notify(self, message: str) -> None:
        if not self._address:
            return
        # A leading @ names a socket in Linux's abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(), address)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, before = loop.time() + LAG_PERIOD_S, spent()
            await asyncio.sleep(LAG_PERIOD_S)
            now_s, after = loop.time(), spent()
            news = self._meter.saw(now_s - due_s, now_s, after.since(before) if after and before else None)
            if news is not None:
                self._submit(SourceChanged(self._clock.stamp(), SOURCE, *news))


def on_stop_signal(stop: Callable[[], None]) -> Callable[[], None]:
    """Call ``stop`` on SIGINT and SIGTERM; returns a function that takes the handlers away again."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGINT, signal.SIGTERM)
    for number in wanted:
        loop.add_signal_handler(number, stop)

    def restore() -> None:
        for number in wanted:
            loop.remove_signal_handler(number)

    return restore


def allow_files(needed: int) -> int:
    """Take as many open files as the system gives; how many that is. Says so if the site needs more: then stations wait outside (F72)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < needed:
        log.warning("only %d files may be open at once, this site needs about %d; raise LimitNOFILE in the service's unit", most, needed)
    return most


def calm_garbage_collector() -> None:
    """What lives after the start lives for ever: never scan it again, and scan the rest rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
