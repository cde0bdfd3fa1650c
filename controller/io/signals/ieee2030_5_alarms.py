"""Tells a 2030.5 server of alarms (CSIP 4.6.3): one LogEvent each, kept on the disk until the server has it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from pathlib import Path

from yarl import URL

from controller.io.signals.ieee2030_5_answers import FINAL, WholeFile
from controller.io.signals.ieee2030_5_http import AstrayError, Http, ServerError
from controller.orders import TellSource
from signals.csip_alarms import Alarms, document_of

log = logging.getLogger(__name__)


class AlarmLog:
    """path: where it outlives a restart. nominal_v: of a phase. server_s: the server's time at a wall time."""

    def __init__(self, path: Path, nominal_v: float, http: Http, server_s: Callable[[float], float]) -> None:
        self._path, self._http, self._server_s = path, http, server_s
        self._file, self._numbers = WholeFile(path), itertools.count()
        self._alarms = Alarms(nominal_v)
        self._unsaved = False
        try:
            self._alarms.remember(path.read_text("utf-8"))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("the alarms kept in %s cannot be read (%s); they begin anew", path, error)

    @property
    def bits(self) -> int:
        """DERStatus.alarmStatus."""
        return self._alarms.bits

    def told(self, order: TellSource) -> None:
        """New readings of the site."""
        self._unsaved = self._alarms.see(order.voltage_v, order.wall_s, self._server_s(order.wall_s)) or self._unsaved

    async def send(self, url: URL | None) -> None:
        """What waits. url: of the LogEventList, None = the server wants none. Raises ServerError when it is to be tried again.

        An event that the server has already, as its answer was lost, has the same number and time when it comes again: it is no second one.
        """
        await self.save()
        for event in tuple(self._alarms.waiting):
            if url is not None:
                try:
                    await self._http.send("POST", url, document_of(event))
                except ServerError as error:
                    if error.status not in FINAL and not isinstance(error, AstrayError):
                        raise
                    log.warning("the alarm %d was not taken: %s; it is not sent again", event.code, error)
            self._alarms.told(event)
            self._unsaved = True
        await self.save()

    async def save(self) -> None:
        """A disk that is full costs an alarm that is told twice or late."""
        if not self._unsaved:
            return
        self._unsaved = False
        try:
            await asyncio.to_thread(self._file.write, self._alarms.text(), next(self._numbers))
        except OSError as error:
            log.warning("alarms cannot be kept in %s (%s)", self._path, error.strerror)
