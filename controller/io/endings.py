"""The ends of certificates that we show to others as a client, told before they come: 30, 14, 7 and 1 days before, and once when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from controller.certificates import CertificateError
from controller.facts import CertificateEnding
from controller.io.links.tls import DAY_S, WARN_DAYS, ends_at
from controller.io.shell import Clock, Submit

LOOK_EVERY_S = 600.0


class Endings:
    """files: whom a certificate is shown to -> its file. Read anew at each look, as they may have been renewed. then: see ``CertificateEnding``."""

    def __init__(self, files: Mapping[str, Path], clock: Clock, submit: Submit, then: str = "") -> None:
        self._files, self._clock, self._submit, self._then = files, clock, submit, then
        self._warned: dict[tuple[str, float], int] = {}

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Tell of an end that has come nearer. A file that cannot be read is its user's business."""
        for user, path in tuple(self._files.items()):
            try:
                ends_wall_s = await asyncio.to_thread(ends_at, path)
            except CertificateError:
                continue
            self._warn(user, path, ends_wall_s)

    def _warn(self, user: str, path: Path, ends_wall_s: float) -> None:
        stamp = self._clock.stamp()
        left_days = (ends_wall_s - stamp.wall_s) / DAY_S
        passed = min((days for days in WARN_DAYS if left_days <= days), default=None)
        if not stamp.wall_trusted or passed is None or passed >= self._warned.get((user, ends_wall_s), WARN_DAYS[0] + 1):
            return
        self._warned[user, ends_wall_s] = passed
        self._submit(CertificateEnding(stamp, str(path), ends_wall_s, user, self._then))
