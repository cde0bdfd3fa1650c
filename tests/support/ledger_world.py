"""Stations, a controller and a CSMS that is partly there, all on real sockets: what the kill, power-cut and lossy-link tests share."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from controller.io.tasks import spawn
from tests.support.ledger import V16, Told, Verdict, as_said, judge, kind_of, without_idle_values
from tests.support.ledger_csms import dials_log, knows_repeats, read_notes
from tests.support.ledger_station import LedgerStation
from tests.support.yard import ROOT, Yard, free_port, until


class LedgerCsmsProcess:
    """The CSMS as a process. It may be killed, frozen, thawed and started again. version: the only one it speaks, "" = all."""

    def __init__(self, folder: Path, command: Sequence[str] = (), host: str = "127.0.0.1", version: str = "") -> None:
        self.version = version
        self.log = folder / "csms-ledger.jsonl"
        self.port = free_port()
        self.host = host
        self.lives = 0
        self.outages = 0
        self.stays = True
        self._command = tuple(command)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://{self.host}:{self.port}/csms"

    async def start(self) -> None:
        """Start and wait until it listens."""
        self.lives += 1
        program = [sys.executable, "-m", "tests.support.ledger_csms", str(self.log), str(self.port), str(self.lives), self.host, self.version]
        self._process = await asyncio.create_subprocess_exec(*self._command, *program, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert self._process.stdout is not None
        assert await asyncio.wait_for(self._process.stdout.readline(), 30) == b"ready\n"

    def dials_by_second(self) -> Counter[int]:
        """How many connections were opened to it, by second."""
        return Counter(int(float(line)) for line in dials_log(self.log).read_text().splitlines())

    def freeze(self) -> None:
        """It hangs, its sockets stay."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def come_and_go(self, random: Random) -> None:
        """There for some seconds, away for some; every third outage it only hangs. Ends, there, after ``stays``."""
        self.stays = False
        while not self.stays:
            await asyncio.sleep(random.uniform(1.0, 5.0))
            self.outages += 1
            if random.random() < 1 / 3:
                self.freeze()
                await asyncio.sleep(random.uniform(0.5, 5.0))
                self.thaw()
            else:
                await self.kill()
                await asyncio.sleep(random.uniform(0.5, 5.0))
                await self.start()


def ledger_site(folder: Path, csms_url: str, count: int, data_dir: Path | None = None, **more: Any) -> dict[str, Any]:
    """The site file's content. more: fields of the upstream."""
    stations = [{"id": f"CP{number + 1}", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]} for number in range(count)]
    upstream = {
        "id": "csms",
        "url": csms_url,
        "reconnect_min_s": 0.5,
        "reconnect_max_s": 1.0,
        "call_timeout_s": 2,
        "offline_unknown": "accept",
        "message_attempts": 100,
        "message_retry_s": 1,
        **more,
    }
    return {
        "site": {"id": "ledger"},
        "grid": {"fuse_a": 40 * count, "worst_other_load_a": 10},
        "stations": stations,
        "upstreams": [upstream],
        "listen": {"host": "127.0.0.1", "port": free_port(), "messages_per_s": 100},
        "api": {"host": "127.0.0.1", "port": free_port()},
        "data_dir": str(data_dir or folder / "data"),
    }


class LedgerWorld:
    """The stations around one controller and one CSMS. Use as async context manager: it starts none of the two, but leaves none behind."""

    def __init__(self, yard: Yard, csms: LedgerCsmsProcess, count: int, rate: float, seed: int) -> None:
        self.yard = yard
        self.csms = csms
        self.stations = [LedgerStation(number, yard.ocpp_url, rate, seed * 1000 + number, csms.version == V16) for number in range(count)]
        self._chaos: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LedgerWorld:
        for station in self.stations:
            station.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.csms_stays(start=False)
        for station in self.stations:
            await station.stop()
        await self.csms.kill()
        if self.yard.process is not None and self.yard.process.returncode is None:
            await self.yard.kill()

    def csms_comes_and_goes(self, random: Random) -> None:
        """From now on."""
        self._chaos = spawn(self.csms.come_and_go(random), "CSMS comes and goes")

    async def csms_stays(self, start: bool = True) -> None:
        """No outage any more."""
        self.csms.stays = True
        if self._chaos is not None:
            await self._chaos
            self._chaos = None
        if start:
            await self.csms.kill()
            await self.csms.start()

    @property
    def acknowledged(self) -> int:
        """Messages so far, of all stations."""
        return sum(len(station.told.acknowledged) for station in self.stations)

    async def settle(self, seconds: float) -> None:
        """Everybody ends what he says, then the queue drains."""
        for station in self.stations:
            station.writing = False
        await until(lambda: all(station.connected and station.waiting == 0 for station in self.stations), seconds)
        await until(self._drained, seconds)

    async def _drained(self) -> bool:
        return await self.queued() == 0

    async def queued(self) -> int:
        """Messages that wait for the CSMS."""
        return sum(link["queued"] for link in (await self.yard.state())["links"])

    def verdict(self, depot: str = "") -> Verdict:
        """The account. depot: the identity all of it came under, "" = each station under its own."""
        told, notes, version = {station.station_id: station.told for station in self.stations}, read_notes(self.csms.log), self.csms.version
        if not version:
            return judge(told, notes, filter(knows_repeats, told))
        several = [name for name in told if version == V16 and not knows_repeats(depot or name)]
        if depot:
            told, notes = without_idle_values(told), [note for note in notes if note.transaction_id or kind_of(note.content) != "value"]
        known = {name: Told("", book.said, book.acknowledged) for name, book in told.items()}
        verdict = judge(known, as_said(known, notes, depot), set(told) - set(several))
        verdict.acknowledged.clear()
        for station in self.stations:
            verdict.acknowledged[station.version] += len(told[station.station_id].acknowledged)
        return verdict


async def spawn_yard(yard: Yard) -> None:
    """Start the controller without waiting for it: a kill may come while it still reads its journal."""
    with yard.log.open("ab") as log:
        command = [sys.executable, *yard.program, "run", str(yard.file)]
        yard.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def sent_late(yard: Yard) -> int:
    """Messages that waited on its disk when the CSMS came back, over all its lives."""
    found = re.findall(r"CSMS is back - (\d+) queued messages", yard.log.read_text(errors="replace"))
    return sum(map(int, found))


def complaints(yard: Yard) -> list[str]:
    """Lines of its log that no fault from outside explains."""
    words = ("Traceback", "internal error", "corrupt", "kept aside", "damaged", "given up")
    return [line for line in yard.log.read_text(errors="replace").splitlines() if any(word in line for word in words)]
