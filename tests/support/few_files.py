"""A station server that may open few more files. Says on stdout what happens; ends with its stdin.

Run as a program: it lowers its own limit, which a test process must not do to itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from controller.config import Config
from controller.facts import Fact, StationArrived
from controller.io.clock import Clock
from controller.io.links import door
from controller.io.links.stations import StationsShell
from controller.orders import AnswerStation

FREE = 12


def say(*words: object) -> None:
    print(*words, flush=True)


async def main() -> None:
    evses = [{"id": 1, "max_current_a": 32}]
    config = Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 20},
            "listen": {"host": "127.0.0.1", "port": 0, "handshake_s": 60},
            "stations": [{"id": name, "evses": evses} for name in ("CP1", "CP2")],
        }
    )

    def submit(fact: Fact) -> None:
        say(type(fact).__name__, getattr(fact, "station_id", ""))
        if isinstance(fact, StationArrived):
            shell.carry(AnswerStation(fact.station_id, fact.ticket, fact.offered[0]))

    logging.basicConfig(stream=sys.stdout, format="log %(levelname)s %(message)s")
    door.PAUSE_S = 0.05
    shell = StationsShell(config, Clock(), submit)
    await shell.start()
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)  # the thread for stdin has its files already
    limit = max(int(name) for name in os.listdir("/proc/self/fd")) + 1 + FREE
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    say("port", shell.port)
    await asyncio.to_thread(sys.stdin.read)
    await shell.stop()


if __name__ == "__main__":
    asyncio.run(main())
