"""``yardmaster run``: one life of the program after the other, each with its own reading of the site file (F81, F82).

SIGHUP (``systemctl reload yardmaster``) means that the file has changed. It is checked while the site runs on: a file that is refused
changes nothing and is told in the log. One that is good begins a new life in the same process: what runs is stopped as at any end, and
started again with the new file within a few seconds. Sessions, queues and limits are on disk and go on; stations and CSMS connect anew, and
a setpoint outlives the gap in the station. If the new life cannot be started (a port is taken), the file before runs again.

A signal is never lost on the way: SIGHUP during a reading, an end or a start means one more reading, and whoever is told to stop stops,
whatever else it is at.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from controller.app import App
from controller.check import ConfigError, checked
from controller.config import Config
from controller.io.clock import Clock
from controller.io.shell import StartError
from controller.io.tasks import end, spawn

log = logging.getLogger("yardmaster")


class Bell:
    """SIGHUP, whenever it comes: between two lives, too, where it would end the process otherwise."""

    def __init__(self) -> None:
        self._rung = False
        self._wake: Callable[[], None] | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signal for this process; only in its main thread."""
        before = signal.signal(signal.SIGHUP, lambda *_: self.ring())
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, before)

    def ring(self) -> None:
        """The file has changed."""
        self._rung = True
        if self._wake is not None:
            self._wake()

    def heard(self) -> bool:
        """Whether it has rung since this was asked last."""
        rung, self._rung = self._rung, False
        return rung

    async def wait(self) -> None:
        """Until it rings; at once if it did meanwhile."""
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: _wake(loop, rung)
        try:
            if not self._rung:
                await rung.wait()
        finally:
            self._wake = None


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile; the next life asks first
        loop.call_soon_threadsafe(event.set)


def run(file: Path) -> None:
    """Until SIGINT or SIGTERM. Raises ConfigError (nothing was started), StartError (the first life could not begin)."""
    bell = Bell()
    with bell.listening():
        config: Config | None = read(file)
        before: Config | None = None
        while config is not None:
            try:
                config, before = asyncio.run(_live(file, config, bell)), config
            except StartError as error:
                if before is None:
                    raise
                log.error("the new configuration cannot be started: %s; the one before it runs again", error)
                config, before = before, None


def read(file: Path) -> Config:
    """The file, checked; secrets that are missing are told. Raises ConfigError."""
    found = checked(file)
    for problem in found.secrets:
        log.warning("%s, %s; only what needs it stays down", file, problem)
    return found.config


async def _live(file: Path, config: Config, bell: Bell) -> Config | None:
    """One life; the configuration of the next one, None = it was the last."""
    app, following = App(config, Clock()), list[Config]()

    async def reread() -> None:
        following.append(await _changed(file, bell))
        log.info("the site file has been read anew; everything starts again with it")
        app.request_restart()

    task = spawn(reread(), "site file")
    try:
        await app.run_until_stopped()
    except StartError:
        if not app.told_to_stop:
            raise
        log.info("stopped while it was starting")
    finally:
        await end([task])
    return following[-1] if following and app.restarts else None


async def _changed(file: Path, bell: Bell) -> Config:
    """The next file that is good, read after the last ring."""
    found: Config | None = None
    while True:
        await bell.wait()
        while bell.heard():
            found = await asyncio.to_thread(_good, file)
        if found is not None:
            return found


def _good(file: Path) -> Config | None:
    """The file if it is good; else the log says why not, and what runs stays."""
    try:
        return read(file)
    except ConfigError as error:
        log.error("the site file is refused, the configuration that runs stays:\n%s", error.text())
    except Exception:
        log.exception("the site file could not be read because of a defect, the configuration that runs stays; please report it with these lines")
    return None
