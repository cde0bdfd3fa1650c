"""Keeps the clear sky of the site's PV plants: a child process computes it once a day (``clear_sky``), the site gets it as a series.

The child brings 140 MB and a second or more of work: it runs alone, low in rank, with a deadline and a cap on its memory, and is gone afterwards.
Without it production is forecast from what was measured alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import controller
from controller.config import Config
from controller.config_prices import PvPlantConfig
from controller.facts import SeriesKind, SeriesTold, SourceChanged
from controller.io.shell import Clock, Submit
from controller.site.plans.series import MODEL, origin_of

BACK_S, AHEAD_S = 36 * 86_400.0, 4 * 86_400.0
"""As many past days as measured production is kept, and what plans look ahead with a day or two to spare."""
RENEW_S = 86_400.0
STEP_S = 900.0
DEADLINE_S = 120.0
MEMORY_MB = 3072
"""Cap on the child's address space; its memory is 140 MB, the rest are the libraries' reservations."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 6 * 3600.0
CLOCK_S = 5.0
ALL_CLEAR = 1.5
"""No sky gives more than this part of what the plants are rated for."""
HOME = Path(controller.__file__).resolve().parent.parent


class SkyError(Exception):
    """The child gave no answer; the text says why."""


class Sunlight:
    """command: replaces the child's command line, for fault tests."""

    def __init__(self, config: Config, clock: Clock, submit: Submit, command: Sequence[str] | None = None, deadline_s: float = DEADLINE_S) -> None:
        self._plants = config.forecast.pv_plants
        self._clock, self._submit = clock, submit
        self._command = tuple(command or (sys.executable, "-m", "controller.io.feeds.clear_sky", "--memory-mb", str(MEMORY_MB)))
        self._deadline_s = deadline_s
        self._healthy: bool | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            if not self._clock.stamp().wall_trusted:
                await asyncio.sleep(CLOCK_S)
                continue
            try:
                await self.renew()
            except SkyError as error:
                self._health(False, f"{error}; PV is forecast from what was measured")
                wait_s, pause_s = pause_s, min(LONGEST_PAUSE_S, 2.0 * pause_s)
            else:
                self._health(True, "computed")
                wait_s, pause_s = RENEW_S / self._clock.stamp().wall_speed, FIRST_PAUSE_S
            await asyncio.sleep(max(1.0, wait_s))

    async def renew(self) -> None:
        """Compute the clear sky and tell it. Raises SkyError."""
        now_s = self._clock.stamp().wall_s
        begin_s = math.floor((now_s - BACK_S) / STEP_S) * STEP_S
        request = {"plants": [_plant(plant) for plant in self._plants], "begin_wall_s": begin_s, "count": round((BACK_S + AHEAD_S) / STEP_S)}
        watts = await self._asked({**request, "step_s": STEP_S}, request["count"])
        slots = tuple((begin_s + index * STEP_S, begin_s + (index + 1) * STEP_S, value) for index, value in enumerate(watts))
        self._submit(SeriesTold(self._clock.stamp(), SeriesKind.CLEAR_SKY, MODEL, slots, origin_of(self._plants), whole=True))

    async def _asked(self, request: dict[str, Any], count: Any) -> list[float]:
        child = await self._started()
        try:
            async with asyncio.timeout(self._deadline_s):
                out, complaints = await child.communicate(json.dumps(request).encode())
        except TimeoutError:
            raise SkyError(f"no clear sky within {self._deadline_s:g} s, the child was killed") from None
        finally:
            await _end(child)
        if child.returncode:
            raise SkyError(f"the clear sky's child ended with {child.returncode} ({_last_line(complaints)})")
        try:
            watts = [float(value) for value in json.loads(out)["watts"]]
        except (ValueError, KeyError, TypeError):
            watts = []
        most_w = sum(min(plant.peak_w, plant.inverter_w or plant.peak_w) for plant in self._plants) + 1.0
        if len(watts) != count or not all(math.isfinite(value) and 0.0 <= value <= ALL_CLEAR * most_w for value in watts):
            raise SkyError("the clear sky's child answered nonsense")
        return watts

    async def _started(self) -> Process:
        """A child that leads its own session, so that whatever it starts dies with it; one thread of arithmetic is enough."""
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        try:
            return await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=HOME, env=environment, start_new_session=True
            )
        except OSError as error:
            raise SkyError(f"the clear sky's child cannot be started: {error.strerror or type(error).__name__}") from None

    def _health(self, healthy: bool, detail: str) -> None:
        if healthy != self._healthy:
            self._healthy = healthy
            self._submit(SourceChanged(self._clock.stamp(), MODEL, healthy, detail))


def _plant(plant: PvPlantConfig) -> dict[str, float]:
    told = plant.model_dump()
    return {**told, "inverter_w": plant.inverter_w if plant.inverter_w is not None else plant.peak_w}


async def _end(child: Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


def _last_line(complaints: bytes) -> str:
    lines = complaints.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "without a word"
