"""``yardmaster run``: one life of the program after the other, each with its own reading of the site file (F81, F82).

SIGHUP (``systemctl reload yardmaster``) means that the file has changed. It is checked while the site runs on: a file that is refused
changes nothing and is told in the log. One that is good begins a new life in the same process: what runs is stopped as at any end, and
started again with the new file within a few seconds. Sessions, queues and limits are on disk and go on; stations and CSMS connect anew, and
a setpoint outlives the gap in the station. If the new life cannot be started (a port is taken), the file before runs again.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from controller.app import App
from controller.check import ConfigError, checked
from controller.config import Config
from controller.io.clock import Clock
from controller.io.shell import StartError
from controller.io.tasks import end, spawn

log = logging.getLogger("yardmaster")


def run(file: Path) -> None:
    """Until SIGINT or SIGTERM. Raises ConfigError (nothing was started), StartError (the first life could not begin)."""
    config: Config | None = read(file)
    before: Config | None = None
    while config is not None:
        try:
            config, before = asyncio.run(_live(file, config)), config
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


async def _live(file: Path, config: Config) -> Config | None:
    """One life; the configuration of the next one, None = it was the last."""
    app, following = App(config, Clock()), list[Config]()

    async def reread() -> None:
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
        while not following:
            await asked.wait()
            asked.clear()
            try:
                following.append(await asyncio.to_thread(read, file))
            except ConfigError as error:
                log.error("the site file is refused, the configuration that runs stays:\n%s", error.text())
        log.info("the site file has been read anew; everything starts again with it")
        app.request_restart()

    task = spawn(reread(), "site file")
    try:
        await app.run_until_stopped()
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        await end([task])
    return following[0] if following and app.restarts else None
