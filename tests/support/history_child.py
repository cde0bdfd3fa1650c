"""A program that records history and nothing else, for tests that kill it.

``python -m tests.support.history_child <folder> <url> <first number> <spool bytes>``. Reads ``emit <count>`` from its input: so
many points, each one number and ten milliseconds later than the one before. Prints one JSON line whenever the account changes:
kept (points that are on disk or further), sent, waiting, dropped, quarantined.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from controller.config import Config
from controller.facts import Stamp
from controller.io.history.shell import HistoryShell
from controller.orders import RecordPoint

BASE_S = 1_780_000_000.0
STEP_S = 0.01


class WallClock:
    """Time stands where the points begin."""

    def stamp(self) -> Stamp:
        return Stamp(0.0, BASE_S)


def point(number: int) -> RecordPoint:
    """The point behind a number."""
    return RecordPoint("grid", {"meter": "main"}, {"power_w": float(number)}, BASE_S + number * STEP_S)


def config(folder: Path, url: str, spool_bytes: int) -> Config:
    """A site that is nothing but its history."""
    history = {"type": "influxdb", "url": url, "org": "depot", "bucket": "depot", "token": "t", "spool_bytes": spool_bytes}
    return Config.model_validate({"site": {"id": "t"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}, "data_dir": str(folder), "history": history})


async def tell(shell: HistoryShell, before: int) -> None:
    """Print the account whenever it changes. before: points that waited on disk when this life began."""
    said = ""
    while True:
        counts = shell.spool
        assert counts is not None
        account = {"kept": counts.sent + counts.waiting + counts.quarantined + counts.dropped - before, "sent": counts.sent}
        text = json.dumps(account | {"waiting": counts.waiting, "dropped": counts.dropped, "quarantined": counts.quarantined})
        if text != said:
            print(text, flush=True)
            said = text
        await asyncio.sleep(0.02)


async def main(folder: str, url: str, first: str, spool_bytes: str) -> None:
    """Live until killed or until the input ends."""
    shell = HistoryShell(config(Path(folder), url, int(spool_bytes)), WallClock(), lambda _fact: None, flush_s=0.02)
    forwarder = shell._forwarder
    assert forwarder is not None
    forwarder._spool.open()
    before = forwarder._spool.rows
    forwarder._spool.close()  # SQLite connections stay on the thread they were made on
    await shell.start()
    telling = asyncio.get_running_loop().create_task(tell(shell, before))
    number = int(first)
    while words := (await asyncio.to_thread(sys.stdin.readline)).split():
        for _ in range(int(words[1])):
            shell.carry(point(number))
            number += 1
            if number % 20 == 0:
                await asyncio.sleep(0.005)
    telling.cancel()
    await shell.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
