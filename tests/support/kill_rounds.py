"""``kill -9`` again and again under traffic (F67, P1, P2): ``python -m tests.support.kill_rounds --rounds 200``.

Twenty stations of three versions, a CSMS that comes and goes, and a controller that is killed at a
random moment: while it starts, while it works, or in the very moment a station has an answer. At
the end the account: every acknowledged message at the CSMS, in order within its session, under one id.

With ``--version ocpp2.1`` the CSMS speaks only that, and what other stations say is translated; with ``--depot`` it sees one large station.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from controller.io.clock import Clock
from tests.support.ledger import VERSIONS, Verdict
from tests.support.ledger_world import LedgerCsmsProcess, LedgerWorld, complaints, ledger_site, sent_late, spawn_yard
from tests.support.yard import Yard

SETTLE_S = 600.0
DEPOT = "DEPOT"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen."""

    verdict: Verdict
    complaints: list[str]
    rounds: int
    csms_outages: int
    connections: int
    late: int
    took_s: float

    def __str__(self) -> str:
        seen = f"{self.rounds} kills, {self.csms_outages} outages of the CSMS, {self.connections} connections of stations, {self.took_s:.0f} s"
        late = f"{self.late} times a message was found waiting on disk when the CSMS came back"
        return "\n".join([f"{seen}; {late}", str(self.verdict), *self.complaints[:20]])


async def one_life(world: LedgerWorld, random: Random) -> None:
    """Start the controller, let it live for a while, kill it."""
    yard = world.yard
    if random.random() < 0.15:
        await spawn_yard(yard)
        await asyncio.sleep(random.uniform(0.1, 1.5))
        await yard.kill()
        return
    await yard.start()
    await asyncio.sleep(min(4.0, random.expovariate(1 / 1.5)))
    if random.random() < 0.5:
        await _after_an_answer(world, random)
    await yard.kill()


async def _after_an_answer(world: LedgerWorld, random: Random) -> None:
    """Kill in the step in which a station reads its answer: what it had to write must be written already."""
    struck = asyncio.Event()
    left = random.randint(1, 10)

    def strike(*_: object) -> None:
        nonlocal left
        left -= 1
        if left <= 0 and not struck.is_set() and world.yard.process is not None and world.yard.process.returncode is None:
            os.kill(world.yard.process.pid, signal.SIGKILL)
            struck.set()

    for station in world.stations:
        station.on_acknowledged = strike
    with suppress(TimeoutError):
        await asyncio.wait_for(struck.wait(), 3.0)
    for station in world.stations:
        station.on_acknowledged = _nothing


def _nothing(*_: object) -> None:
    pass


async def kill_rounds(
    folder: Path, rounds: int, stations: int, rate: float, seed: int, say: bool = False, *, version: str = "", depot: bool = False
) -> Outcome:
    """The whole test. version: the only one the CSMS speaks, "" = all; depot: it sees one large station."""
    clock, random = Clock(), Random(seed)
    began_s = clock.stamp().mono_s
    csms = LedgerCsmsProcess(folder, version=version)
    face = {"face": "depot", "identity": DEPOT} if depot else {}
    yard = Yard(folder, ledger_site(folder, csms.url, stations, **face, **({"versions": [version]} if version else {})))
    await csms.start()
    async with LedgerWorld(yard, csms, stations, rate, seed) as world:
        world.csms_comes_and_goes(random)
        for number in range(rounds):
            await one_life(world, random)
            if say and (number + 1) % 10 == 0:
                took_s = clock.stamp().mono_s - began_s
                print(f"{number + 1:4d} kills, {world.acknowledged} messages acknowledged, {took_s:.0f} s", flush=True)
        await world.csms_stays()
        await yard.start()
        await world.settle(SETTLE_S)
        await yard.stop()
        verdict = world.verdict(DEPOT if depot else "")
        connections = sum(station.connections for station in world.stations)
    return Outcome(verdict, complaints(yard), rounds, csms.outages, connections, sent_late(yard), clock.stamp().mono_s - began_s)


def main() -> int:
    """Exit code 1 if anything was lost, reordered or mixed up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--stations", type=int, default=20)
    parser.add_argument("--rate", type=float, default=3.0, help="messages per second and station")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--version", default="", choices=["", *VERSIONS], help="the only one the CSMS speaks")
    parser.add_argument("--depot", action="store_true", help="the CSMS sees one large station")
    parser.add_argument("--keep", type=Path, help="folder that keeps ledger, journal and log")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-rounds-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        how = {"version": options.version or (VERSIONS[-1] if options.depot else ""), "depot": options.depot}
        outcome = asyncio.run(kill_rounds(folder, options.rounds, options.stations, options.rate, options.seed, say=True, **how))
    print(outcome)
    return 0 if outcome.verdict.faultless and not outcome.complaints else 1


if __name__ == "__main__":
    sys.exit(main())
