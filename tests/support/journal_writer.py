"""A process that appends rows to a journal and says each acknowledged number, until it is killed.

Started by the crash test: ``python journal_writer.py FOLDER [MAX_FILE_BYTES]``. With a second
argument no file of the process may grow beyond that size: a disk that refuses writes.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from controller.config import Config
from controller.facts import Fact, OutboxRow, Persisted, PersistFailed
from controller.io.clock import Clock
from controller.io.journal.shell import JournalShell
from controller.orders import ForgetRows, Persist

IN_FLIGHT = 8


def say(*words: object) -> None:
    """One line, at once: what is said after the kill was never said."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def append_for_ever(folder: Path) -> None:
    """Keep a few rows in flight; forget every tenth acknowledged one, so that all kinds of writes are hit."""
    config = Config.model_validate({"site": {"id": "t"}, "grid": {"fuse_a": 63, "worst_other_load_a": 20}, "data_dir": str(folder)})
    ended = asyncio.Event()

    def submit(fact: Fact) -> None:
        if isinstance(fact, Persisted):
            number = fact.rows[0].number
            say("stored", number, fact.token)
            if number % 10 == 0:
                say("forgot", number)
                journal.carry(ForgetRows((number,)))
            append(fact.token + IN_FLIGHT)
        elif isinstance(fact, PersistFailed):
            say("failed", fact.token, fact.reason)
            ended.set()

    def append(token: int) -> None:
        row = OutboxRow(0, "CP1", f"tx-{token}", "TransactionEvent", f"[2,{token}]" + "x" * 500, 1.5)
        journal.carry(Persist(token, (row,), {("link", "CP1"): {"last": token}}))

    journal = JournalShell(config, Clock(), submit, reserve_bytes=4096)
    await journal.start()
    say("ready")
    for token in range(1, IN_FLIGHT + 1):
        append(token)
    await ended.wait()
    await journal.stop()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    asyncio.run(append_for_ever(Path(sys.argv[1])))
