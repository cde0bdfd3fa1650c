"""The simulated CSMS as a process: ``python -m tests.support.csms_main LOG PORT``.

Appends {"station", "text"} per message that came in to LOG before it is answered, says ``ready`` and runs until killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from controller.facts import Stamp
from controller.io.clock import Clock
from controller.sim.books import CsmsBooks
from controller.sim.csms import SimCsms


class LoggedBooks(CsmsBooks):
    """Books that survive their process."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log.open("a", buffering=1)

    def handle(self, station_id: str, at: Stamp, text: str) -> list[str]:
        self._log.write(json.dumps({"station": station_id, "text": text}) + "\n")
        return super().handle(station_id, at, text)


async def serve(log: Path, port: int) -> None:
    """Run for ever."""
    csms = SimCsms(Clock().stamp, LoggedBooks(log))
    await csms.start(port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
