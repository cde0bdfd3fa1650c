"""Power cuts under traffic (F68, P1, P2): ``python -m tests.support.power_cut --rounds 50``.

Two ways. ``loop_cuts``: the data folder lies on a file system of its own in an image file; the
controller is frozen, the image copied - pages that were not flushed are not in it -, everything
killed, and the next controller starts on the copy; at the end the account of stations and CSMS. Needs
root. ``recorded_cuts``: SQLite's writes and syncs are recorded and the disk is rebuilt as it may be
at any moment of the record, with everything unsynced lost, torn or reordered (``recorded_disk``). Needs nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

from controller.io.clock import Clock
from controller.io.journal.store import FILE_NAME, JournalStore
from tests.support.kill_rounds import SETTLE_S
from tests.support.ledger import OUTSIDE, Message, Verdict, content_of, number_of
from tests.support.ledger_station import LedgerStation
from tests.support.ledger_world import LedgerCsmsProcess, LedgerWorld, complaints, ledger_site, sent_late
from tests.support.recorded_disk import SYNC, PowerCut, notes
from tests.support.yard import Yard, until

IMAGE_MIB = 64
STILL_TRIES = 100

# -- a file system in a file ---------------------------------------------------------------------------


class LoopDisk:
    """An ext4 file system in an image file, mounted at ``path``."""

    def __init__(self, folder: Path, mib: int = IMAGE_MIB) -> None:
        self.path = folder / "disk"
        self._image = folder / "disk-0.img"
        self._folder = folder
        self._cuts = 0
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(mib * 2**20)
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self._image))  # or the kernel goes on writing

    def mount(self) -> None:
        """Raises CalledProcessError where that is not allowed."""
        _run("mount", "-o", "loop", str(self._image), str(self.path))

    def unmount(self) -> None:
        """Everything that had it open must have ended."""
        _run("umount", str(self.path))

    def copied(self) -> Path:
        """What would be on the disk if power failed now. Whoever writes on it must be frozen; the kernel may not have finished."""
        self._cuts += 1
        copy = self._folder / f"disk-{self._cuts}.img"
        before = ""
        for _ in range(STILL_TRIES):
            _run("cp", "--sparse=always", str(self._image), str(copy))
            now = _hash(copy)
            if now == before:
                return copy
            before = now
        raise AssertionError("the image never stood still")

    def replace(self, copy: Path) -> None:
        """Power is back: the copy is the disk now."""
        self.unmount()
        self._image.unlink()
        self._image = copy
        self.mount()


def loop_allowed() -> bool:
    """Whether this process may mount an image."""
    with tempfile.TemporaryDirectory(prefix="loop-") as folder:
        try:
            disk = LoopDisk(Path(folder), 8)
            disk.mount()
        except (OSError, subprocess.CalledProcessError):
            return False
        disk.unmount()
        return True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").hexdigest()


@dataclass(frozen=True, slots=True)
class LoopOutcome:
    """What was seen."""

    verdict: Verdict
    complaints: list[str]
    cuts: int
    late: int
    took_s: float

    def __str__(self) -> str:
        seen = f"{self.cuts} power cuts by image copy, {self.took_s:.0f} s; {self.late} times a message was found waiting on disk"
        return "\n".join([seen, str(self.verdict), *self.complaints[:20]])


async def loop_cuts(folder: Path, cuts: int, stations: int, rate: float, seed: int, say: bool = False) -> LoopOutcome:
    """Cut after cut, each controller on what the last one left; then the account."""
    clock, random = Clock(), Random(seed)
    began_s = clock.stamp().mono_s
    disk = LoopDisk(folder)
    disk.mount()
    csms = LedgerCsmsProcess(folder)
    yard = Yard(folder, ledger_site(folder, csms.url, stations, disk.path / "data"))
    try:
        await csms.start()
        async with LedgerWorld(yard, csms, stations, rate, seed) as world:
            world.csms_comes_and_goes(random)
            for number in range(cuts):
                await yard.start()
                await asyncio.sleep(min(4.0, random.expovariate(1 / 1.2)))
                await _cut(yard, disk)
                if say and (number + 1) % 10 == 0:
                    print(f"{number + 1:4d} cuts, {world.acknowledged} messages acknowledged, {clock.stamp().mono_s - began_s:.0f} s", flush=True)
            await world.csms_stays()
            await yard.start()
            await world.settle(SETTLE_S)
            await yard.stop()
            verdict = world.verdict()
    finally:
        if yard.process is not None and yard.process.returncode is None:
            await yard.kill()
        disk.unmount()
    return LoopOutcome(verdict, complaints(yard), cuts, sent_late(yard), clock.stamp().mono_s - began_s)


async def _cut(yard: Yard, disk: LoopDisk) -> None:
    assert yard.process is not None
    yard.process.send_signal(signal.SIGSTOP)
    copy = await asyncio.to_thread(disk.copied)
    await yard.kill()
    await asyncio.to_thread(disk.replace, copy)


WRITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = " + sys.argv[2])
db.execute("PRAGMA wal_autocheckpoint = 0")
db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)")
for n in range(1, int(sys.argv[3]) + 1):
    db.execute("INSERT INTO t VALUES (?, ?)", (n, "x" * 500))
print("written", flush=True)
sys.stdin.read()
"""
"""It stops by itself and syncs at no other moment than a commit: how soon it is frozen, and how far it would have come, must not matter."""


def lost_by_a_writer(folder: Path, synchronous: str, commits: int = 300) -> int:
    """Rows a plain SQLite writer had acknowledged and the copied image lacks. NORMAL must lose some, or this test sees nothing."""
    disk = LoopDisk(folder, 32)
    disk.mount()
    try:
        command = [sys.executable, "-c", WRITER, str(disk.path / "t.sqlite3"), synchronous, str(commits)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
            process.send_signal(signal.SIGSTOP)
            copy = disk.copied()
            process.kill()
        disk.replace(copy)
        with closing(sqlite3.connect(disk.path / "t.sqlite3")) as db:
            newest = 0
            with suppress(sqlite3.OperationalError):  # not even the table is there
                newest = db.execute("SELECT max(n) FROM t").fetchone()[0] or 0
        return max(0, commits - newest)
    finally:
        disk.unmount()


# -- a recorded disk -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A message a station had its answer to when the record was ``place`` bytes long. transaction_id: what a 1.6 start was given."""

    place: int
    station_id: str
    message: Message
    transaction_id: int


@dataclass(slots=True)
class RecordedOutcome:
    """What was seen. writes: operations in the record."""

    cuts: int = 0
    writes: int = 0
    acknowledged: int = 0
    checked: int = 0
    lost: int = 0
    wrong: list[str] | None = None

    def __str__(self) -> str:
        counted = f"{self.cuts} power cuts in a record of {self.writes} writes and syncs, {self.acknowledged} acknowledged messages"
        ends = f"{self.checked} looked for on the rebuilt disks, {self.lost} lost, {len(self.wrong or [])} disks with something wrong"
        return "\n".join([f"{counted}; {ends}", *(self.wrong or [])[:20]])


def _much(told: list[Acknowledged], log: Path, least: int) -> bool:
    """Whether more than ``least`` messages were acknowledged and more than ``least`` syncs are on record."""
    return len(told) > least and sum(note.kind == SYNC for note in notes(log)) > least


async def record(folder: Path, stations: int, rate: float, seconds: float, seed: int, least: int = 0) -> list[Acknowledged]:
    """Run a controller on a recorded disk, without a CSMS, and note when each message was acknowledged. The record is ``disk.log``.

    It runs for ``seconds``, and on a slow machine until there is something to judge (``least``).
    """
    log = folder / "disk.log"
    csms = LedgerCsmsProcess(folder)
    yard = Yard(folder, ledger_site(folder, csms.url, stations))
    yard.program = ("-m", "tests.support.recorded_disk", str(log))
    told: list[Acknowledged] = []

    def note(station: LedgerStation, message: Message) -> None:
        told.append(Acknowledged(log.stat().st_size, station.station_id, message, station.transaction_id.get(message.session, 0)))

    async with LedgerWorld(yard, csms, stations, rate, seed) as world:
        for station in world.stations:
            station.on_acknowledged = note
        await yard.start()
        await asyncio.sleep(seconds)
        await until(lambda: _much(told, log, least), 120)
        await yard.kill()
        found = complaints(yard)
        assert found == [], found
    return told


def recorded_cuts(folder: Path, told: list[Acknowledged], cuts: int, seed: int, deaf: bool = False) -> RecordedOutcome:
    """Cut power at random places of the record and look for everything that had been acknowledged until then."""
    random = Random(seed)
    record = list(notes(folder / "disk.log"))
    outcome = RecordedOutcome(writes=len(record), acknowledged=len(told), wrong=[])
    begin = next(index for index, note in enumerate(record) if told[0].place <= note.end)
    places = sorted(random.choices(range(begin, len(record)), k=cuts))
    disk, played = PowerCut(deaf), 0
    for place in places:
        for one in record[played : place + 1]:
            disk.play(one)
        played = max(played, place + 1)
        with tempfile.TemporaryDirectory(dir=folder, prefix="cut-") as rebuilt:
            disk.build(Path(rebuilt), random)
            until_now = [one for one in told if one.place <= record[place].end]
            _look(Path(rebuilt), until_now, outcome)
        outcome.cuts += 1
    return outcome


def _look(folder: Path, told: list[Acknowledged], outcome: RecordedOutcome) -> None:
    """Open what the disk holds as the controller does, then read it with plain SQLite."""
    assert outcome.wrong is not None
    store = JournalStore(folder, "cut", reserve_bytes=0)
    content = store.read()
    store.close()
    if store.notes or content.damaged:
        outcome.wrong.append(f"{store.notes} {content.damaged} damaged")
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        rows = db.execute("SELECT station_id, text FROM outbox ORDER BY number").fetchall()
    there: dict[tuple[str, int], str] = {}
    for station_id, text in rows:
        _, _, action, payload = json.loads(text)
        there.setdefault((station_id, number_of(action, payload) or 0), content_of(payload))
    place = {key: index for index, key in enumerate(there)}
    outcome.checked += len(told)
    lost = [one for one in told if there.get((one.station_id, one.message.number)) != one.message.content]
    outcome.lost += len(lost)
    outcome.wrong += [f"lost: {one.station_id} {one.message.action} {one.message.number}" for one in lost[:1]]
    in_session = [one for one in told if one.message.session != OUTSIDE and one not in lost]
    sessions: dict[tuple[str, int], list[int]] = {}
    for one in in_session:
        sessions.setdefault((one.station_id, one.message.session), []).append(place[(one.station_id, one.message.number)])
    outcome.wrong += [f"reordered: {name}" for name, order in sessions.items() if any(a > b for a, b in pairwise(order))]
    for one in told:
        ids = content.memories.get(("outage", one.station_id), {}).get("ids", {})
        if one.message.action == "StartTransaction" and one.transaction_id > ids.get("last", 0):
            outcome.wrong.append(f"{one.station_id} would be given transaction {one.transaction_id} twice")


# -- by hand ---------------------------------------------------------------------------------------------


def main() -> int:
    """Exit code 1 if anything was lost, or if the test sees nothing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="cuts of a mounted image; four times as many in the record")
    parser.add_argument("--stations", type=int, default=20)
    parser.add_argument("--rate", type=float, default=4.0, help="messages per second and station")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="power-cut-") as temporary:
        good = _by_record(Path(temporary), options)
        good &= _by_image(Path(temporary), options) if loop_allowed() else _say("no image can be mounted here (needs root): only the record was used")
    return 0 if good else 1


def _say(text: str) -> bool:
    print(text, flush=True)
    return True


def _by_record(folder: Path, options: argparse.Namespace) -> bool:
    (folder / "record").mkdir()
    told = asyncio.run(record(folder / "record", options.stations, options.rate, 20.0, options.seed))
    seen = recorded_cuts(folder / "record", told, options.rounds * 4, options.seed)
    deaf = recorded_cuts(folder / "record", told, 10, options.seed, deaf=True)
    _say(str(seen))
    _say(f"the same record with syncs ignored, 10 cuts: {deaf.lost} of {deaf.checked} lost")
    shutil.rmtree(folder / "record")
    return seen.lost == 0 and not seen.wrong and deaf.lost > 0


def _by_image(folder: Path, options: argparse.Namespace) -> bool:
    lost = {}
    for level in ("NORMAL", "FULL"):
        (folder / level).mkdir()
        lost[level] = lost_by_a_writer(folder / level, level)
    _say(f"a plain writer's 300 commits, image copied: {lost} lost")
    (folder / "image").mkdir()
    outcome = asyncio.run(loop_cuts(folder / "image", options.rounds, options.stations, options.rate, options.seed, say=True))
    _say(str(outcome))
    return outcome.verdict.faultless and not outcome.complaints and lost["NORMAL"] > 0 and lost["FULL"] == 0


if __name__ == "__main__":
    sys.exit(main())
