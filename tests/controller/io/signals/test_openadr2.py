"""The VEN of OpenADR 2.0b against a real openleadr VTN in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from openleadr.utils import certificate_fingerprint

from controller.config import Config
from controller.facts import EventsTold, Fact, GridEvent, SeriesTold, SourceChanged
from controller.io.clock import Clock
from controller.io.shell import StartError
from controller.io.signals import openadr2, openadr2_child
from controller.io.signals.driver import Surroundings
from controller.io.signals.openadr2 import Ven2
from controller.io.tasks import end, spawn
from controller.orders import AnswerEvent, TellSource
from tests.support.certificates import RSA_CERT, RSA_KEY
from tests.support.openadr3_world import SITE, until
from tests.support.yard import ROOT, free_port

pytestmark = pytest.mark.system


class Vtn:
    """The server's process."""

    def __init__(self, *files: str) -> None:
        self.port, self.control_port, self.files = free_port(), free_port(), files
        self.url = f"{'https' if files else 'http'}://127.0.0.1:{self.port}/OpenADR2/Simple/2.0b"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = (sys.executable, "-m", "tests.support.vtn2_main", str(self.port), str(self.control_port), *self.files)
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        assert b"ready\n" in iter(self.process.stdout.readline, b"")

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    async def do(self, **what: Any) -> None:
        async with aiohttp.ClientSession() as session, session.post(f"http://127.0.0.1:{self.control_port}/", json=what) as reply:
            assert reply.status == 200

    async def seen(self) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.control_port}/") as reply:
            return await reply.json()

    async def until(self, what: Callable[[Any], Any], seconds: float = 15.0) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := what(await self.seen())):  # noqa: ASYNC110  the server is another process
                await asyncio.sleep(0.1)
        return found


class World:
    """facts: what the site was told; answer: what it says to each event."""

    def __init__(self, vtn: Vtn, command: tuple[str, ...] | None = None, **changes: Any) -> None:
        entry = {"type": "openadr2", "id": "dso", "url": vtn.url, "ven_name": "ven-name", "poll_s": 1} | changes
        config = Config.model_validate(SITE | {"signals": [entry]})
        self.vtn, self.clock, self.facts = vtn, Clock(), list[Fact]()
        self.answer = "received"
        self.ven = Ven2(config.signals[0], Surroundings(config, self.clock, self.hear, None), command)  # type: ignore[arg-type]

    def hear(self, fact: Fact) -> None:
        self.facts.append(fact)
        if isinstance(fact, EventsTold):
            for event in fact.events:
                self.ven.answered(AnswerEvent("dso", event.event_id, event.version, self.answer, fact.at.wall_s))

    def events(self) -> tuple[GridEvent, ...]:
        told = [fact for fact in self.facts if isinstance(fact, EventsTold)]
        return told[-1].events if told else ()

    def told(self) -> int:
        return sum(isinstance(fact, EventsTold) for fact in self.facts)

    def notes(self) -> str:
        told = [fact for fact in self.facts if isinstance(fact, EventsTold)]
        return "\n".join(told[-1].notes) if told else ""

    def health(self) -> list[tuple[bool, str]]:
        return [(fact.healthy, fact.detail) for fact in self.facts if isinstance(fact, SourceChanged)]

    def now(self) -> float:
        return self.clock.stamp().wall_s


@asynccontextmanager
async def world(vtn: Vtn, **changes: Any) -> AsyncIterator[World]:
    there = World(vtn, **changes)
    task = spawn(there.ven.run(), "ven")
    try:
        yield there
    finally:
        await end([task])
        await there.ven.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Vtn]:
    """One server for all tests: its start takes longer than most of them."""
    server = Vtn()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def vtn(shared: Vtn) -> Vtn:
    await shared.do(wipe=True)
    return shared


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openadr2, "RESTART_S", (0.1, 1.0))
    monkeypatch.setattr(openadr2, "SYNC_S", 0.3)


def capacity(start_s: float, *values: float, name: str = "e1", **more: Any) -> dict[str, Any]:
    return {"id": name, "start": start_s, "seconds": 600, "values": values, "name": "LOAD_CONTROL", "type": "x-loadControlCapacity"} | more


async def test_events_come_change_and_are_called_off_and_each_is_answered(vtn: Vtn) -> None:
    async with world(vtn) as there:
        await until(there.told, 30)
        assert there.events() == ()
        start_s = round(there.now()) + 600
        await vtn.do(add=capacity(start_s, 0.5, 0.25))
        await until(there.events, 15)
        # 100 A x 230 V x 3 = 69 kW; half of it, then a quarter
        assert [(each.start_wall_s, each.duration_s, each.consumption_w) for each in there.events()] == [
            (start_s, 600.0, 34_500.0),
            (start_s + 600, 600.0, 17_250.0),
        ]
        await vtn.until(lambda seen: ["e1", "optIn"] in seen["opts"])
        await vtn.do(modify=capacity(start_s, 0.1, version=1))
        await until(lambda: there.events() and there.events()[0].consumption_w == 6900.0, 15)
        assert [each.version for each in there.events()] == [1]
        await vtn.until(lambda seen: seen["opts"].count(["e1", "optIn"]) == 2)
        await vtn.do(cancel="e1")
        await until(lambda: there.events() == (), 15)
        await vtn.until(lambda seen: seen["opts"].count(["e1", "optIn"]) == 3)
        assert there.health() == [(True, "")]


async def test_what_the_site_rejects_or_nobody_can_do_is_opted_out_of(vtn: Vtn) -> None:
    async with world(vtn) as there:
        await until(there.told, 30)
        start_s = round(there.now()) + 600
        delta = {"id": "e2", "start": start_s, "seconds": 600, "values": [5.0], "name": "LOAD_DISPATCH", "type": "delta", "measurement": "REAL_POWER"}
        await vtn.do(add=delta)
        await vtn.until(lambda seen: ["e2", "optOut"] in seen["opts"])
        assert "LOAD_DISPATCH/delta is not obeyed" in there.notes()
        there.answer = "rejected"
        await vtn.do(add=capacity(start_s, 0.5, name="e3"))
        await vtn.until(lambda seen: ["e3", "optOut"] in seen["opts"])
        await vtn.do(add=capacity(start_s, 0.0, name="e4", test=True))
        await vtn.until(lambda seen: ["e4", "optIn"] in seen["opts"])
        assert not [each for each in there.events() if each.event_id.startswith("e4")]


async def test_a_version_that_cannot_be_read_lifts_nothing(vtn: Vtn) -> None:
    async with world(vtn) as there:
        await until(there.told, 30)
        start_s = round(there.now()) + 600
        await vtn.do(add=capacity(start_s, 0.5))
        await until(there.events, 15)
        await vtn.do(modify=capacity(start_s, -0.5, version=1))
        await vtn.until(lambda seen: ["e1", "optOut"] in seen["opts"])
        assert "a limit of -0.5 is negative" in there.notes()
        assert [event.consumption_w for event in there.events()] == [34_500.0], "what it said before holds on"
        await vtn.do(modify=capacity(start_s, 0.2, version=2))
        await until(lambda: [event.consumption_w for event in there.events()] == [pytest.approx(13_800.0)])


async def test_reports_are_offered_and_sent_with_what_the_site_measures(vtn: Vtn) -> None:
    async with world(vtn) as there:
        await until(there.told, 30)

        async def feed() -> None:
            while True:
                told = TellSource("dso", there.now(), 7300.0, 123_000.0, 0.0, 231.5, None, None, None, None, None, None, "silent")
                there.ven.answered(told)
                await asyncio.sleep(0.3)

        task = spawn(feed(), "feed")
        seen = await vtn.until(lambda seen: seen if {"RealPower", "Voltage"} <= {name for name, _ in seen["reports"]} else None, 20)
        await end([task])
        assert set(seen["offered"]) == {"RealPower", "RealEnergy", "Voltage"}
        assert {value for name, values in seen["reports"] if name == "RealPower" for value in values} == {7300.0}


async def test_prices_and_levels(vtn: Vtn) -> None:
    async with world(vtn, levels=[{"consumption_w": 30_000}, {"consumption_percent": 20}, {"consumption_w": 0}]) as there:
        await until(there.told, 30)
        start_s = there.now() // 3600 * 3600
        await vtn.do(add={"id": "l", "start": start_s, "seconds": 7200, "values": [2], "name": "SIMPLE", "type": "level"})
        price = {"id": "p", "start": start_s, "seconds": 3600, "values": [0.25, -0.01], "name": "ELECTRICITY_PRICE", "type": "price"}
        await vtn.do(add=price | {"measurement": "CURRENCY_PER_KWH", "unit": "EUR"})
        await until(lambda: any(isinstance(fact, SeriesTold) and fact.slots for fact in there.facts), 15)
        await until(there.events, 15)
        assert [each.consumption_w for each in there.events()] == [pytest.approx(13_800.0)]
        first, series = [fact for fact in there.facts if isinstance(fact, SeriesTold)]
        assert (first.slots, first.whole, series.whole) == ((), True, True), "what the site may remember of an earlier run is withdrawn first"
        assert series.slots == ((start_s, start_s + 3600, 0.25), (start_s + 3600, start_s + 7200, -0.01))


async def test_the_server_forgets_us_and_restarts(vtn: Vtn) -> None:
    async with world(vtn) as there:
        await until(there.told, 30)
        await vtn.do(add=capacity(there.now() + 600, 0.5))
        await until(there.events, 15)
        await vtn.do(forget=True)
        await vtn.until(lambda seen: seen["registrations"] >= 2)
        await until(lambda: there.health()[-1] == (True, ""), 15)
        assert there.events(), "an event does not go because we had to register again"
        await asyncio.to_thread(vtn.stop)
        await until(lambda: there.health()[-1][0] is False, 20)
        told = there.told()
        assert there.events(), "an outage calls nothing off"
        await asyncio.to_thread(vtn.start)
        await until(lambda: there.health()[-1] == (True, ""), 30)
        assert told < there.told()
        await until(lambda: there.events() == (), 15)  # the new server knows of no event


async def test_a_server_that_wants_to_be_polled_rarely_is_and_is_heard_all_the_same(vtn: Vtn) -> None:
    """oadrRequestedOadrPollFreq: oadrPoll at most once in that time. All events are asked for in between, so that no heartbeat is missed."""
    await vtn.do(poll_s=3600)
    async with world(vtn) as there:
        await until(there.told, 30)
        await vtn.do(add=capacity(there.now() + 600, 0.5))
        await until(there.events, 15)
        await vtn.until(lambda seen: ["e1", "optIn"] in seen["opts"])
        told = there.told()
        await until(lambda: there.told() > told + 2)
        assert (await vtn.seen())["polls"] == 1
        assert there.health() == [(True, "")]


async def test_an_answer_that_the_server_did_not_take_is_given_again(vtn: Vtn) -> None:
    async with world(vtn) as there:
        await until(there.told, 30)
        await vtn.do(refuse=1)
        await vtn.do(add=capacity(there.now() + 600, 0.5))
        await vtn.until(lambda seen: ["e1", "optIn"] in seen["opts"], 20)
        told = there.told()
        await until(lambda: there.told() > told + 1)
        assert (await vtn.seen())["opts"].count(["e1", "optIn"]) == 1
        assert (False, "EiEvent answers with HTTP 503") in there.health()


@pytest.mark.parametrize(("how", "words"), [(signal.SIGKILL, "the VEN's process has ended"), (signal.SIGSTOP, "says nothing any more")])
async def test_a_child_that_dies_or_hangs_is_begun_anew_and_nothing_is_called_off_or_answered_twice(
    vtn: Vtn, monkeypatch: pytest.MonkeyPatch, how: signal.Signals, words: str
) -> None:
    async with world(vtn) as there:
        await until(there.told, 30)
        await vtn.do(add=capacity(there.now() + 600, 0.5))
        await vtn.until(lambda seen: ["e1", "optIn"] in seen["opts"])
        await until(there.events, 15)
        first = there.ven._child
        assert first is not None
        bounds = await asyncio.to_thread(Path(f"/proc/{first.pid}/limits").read_text)
        assert str(openadr2_child.MEMORY_BYTES) in next(line for line in bounds.splitlines() if "address space" in line)
        await until(lambda: there.ven._opted)
        if how is signal.SIGSTOP:
            monkeypatch.setattr(openadr2, "SILENT_S", 4.0)
        told = there.told()
        await until(lambda: there.told() > told)
        os.kill(first.pid, how)
        await until(lambda: any(words in detail for _, detail in there.health()), 30)
        monkeypatch.undo()
        monkeypatch.setattr(openadr2, "SYNC_S", 0.3)
        assert there.events(), "what was announced holds on"
        told = there.told()
        await until(lambda: there.health()[-1] == (True, "") and there.told() > told + 1, 30)
        assert first.returncode is not None
        assert there.ven._child is not first
        assert (await vtn.seen())["opts"].count(["e1", "optIn"]) == 1


async def test_a_child_ends_with_its_controller(vtn: Vtn) -> None:
    """Its input ends when the controller is killed."""
    words = (sys.executable, "-m", "controller.io.signals.openadr2_child")
    child = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(World(vtn).ven._settings()).encode() + b"\n")
    await asyncio.wait_for(child.stdout.readline(), 30)
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), 10) is not None


async def test_signed_messages_over_mutual_tls(tmp_path: Path) -> None:
    """Both sides sign; the server knows our certificate by its fingerprint, we know its by ours."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text(RSA_CERT)
    key.write_text(RSA_KEY)
    server = Vtn(str(cert), str(key), str(cert))
    await asyncio.to_thread(server.start)
    fingerprint = certificate_fingerprint(RSA_CERT)
    files = {"cert_file": str(cert), "key_file": str(key), "ca_file": str(cert)}
    try:
        async with world(server, vtn_fingerprint="00" * 10, **files) as other, world(server, vtn_fingerprint=fingerprint, **files) as there:
            await until(there.told, 30)
            await server.do(add=capacity(there.now() + 600, 0.5))
            await until(there.events, 15)
            await server.until(lambda seen: ["e1", "optIn"] in seen["opts"])
            await until(other.health, 30)
            assert not other.health()[0][0]
            assert "fails its check: FingerprintMismatch" in other.health()[0][1]
            assert other.told() == 0
    finally:
        await asyncio.to_thread(server.stop)


CRASHES = "import sys; sys.stdin.readline(); sys.stderr.write('boom at last\\n'); sys.exit(3)"
BABBLES = 'import sys; sys.stdin.readline(); print(\'{"kind": "events"}\', flush=True); sys.stdin.read()'
FLOODS = "import sys; sys.stdin.readline(); sys.stdout.write('x' * 20_000_000); sys.stdout.flush(); sys.stdin.read()"


@pytest.mark.parametrize(("code", "words"), [(CRASHES, "boom at last"), (BABBLES, "talks nonsense"), (FLOODS, "says too much")])
async def test_a_process_gone_mad_is_killed_and_said(code: str, words: str) -> None:
    async with world(Vtn(), command=(sys.executable, "-c", code)) as there:
        await until(lambda: there.health() and words in there.health()[0][1], 15)
        assert there.told() == 0


SMALL = 160
"""Memory of a child in these tests [MiB]: it starts with less, and cannot read what follows with it."""
LITTLE = f"import controller.io.signals.openadr2_child as child; child.MEMORY_BYTES = {SMALL} << 20; child.main()"
BOMB = b'<oadrPayload xmlns="http://openadr.org/oadr-2.0b/2012/07">' + b"<a b='c'/>" * 380_000 + b"</oadrPayload>"
HOARDS = f"""
import controller.io.signals.openadr2_child as child
kept = []
async def run(self):
    child.say("events", xml=None, whole=True)
    while True:
        kept.append(bytearray(10 << 20))
child.Child.run = run
child.MEMORY_BYTES = {SMALL} << 20
child.main()
"""


@asynccontextmanager
async def behind(vtn: Vtn) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A front of a server, and what it answers in the server's place as long as there is something."""
    instead: list[bytes] = []

    async def carry(request: web.Request) -> web.Response:
        body = await request.read()
        if instead:
            return web.Response(body=instead[0], content_type="application/xml")
        place = f"http://127.0.0.1:{vtn.port}{request.path}"
        async with aiohttp.ClientSession() as session, session.post(place, data=body, headers={"content-type": "application/xml"}) as reply:
            return web.Response(status=reply.status, body=await reply.read(), content_type="application/xml")

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{path:.*}", carry)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/OpenADR2/Simple/2.0b", instead
    finally:
        await runner.cleanup()


async def test_a_message_that_wants_more_memory_than_the_process_may_have_is_survived(vtn: Vtn) -> None:
    """4 MB of XML become more than 100 MB of a tree. It never gets them; what was announced holds on, and afterwards all is well."""
    async with behind(vtn) as (url, instead), world(vtn, url=url, command=(sys.executable, "-c", LITTLE)) as there:
        await until(there.told, 30)
        await vtn.do(add=capacity(there.now() + 600, 0.5))
        await until(there.events, 15)
        first = there.ven._child
        assert first is not None
        instead.append(BOMB)
        await until(lambda: not there.health()[-1][0], 30)
        status = await asyncio.to_thread(_status, first.pid)
        assert status.get("VmPeak", 0) <= SMALL << 10, "kB: it was held below its bound"
        assert there.events()
        instead.clear()
        told = there.told()
        await until(lambda: there.health()[-1][0] and there.told() > told, 30)
        assert [event.start_wall_s for event in there.events()]


def _status(pid: int) -> dict[str, int]:
    """Of a process that may have ended since [kB]."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if name in ("VmPeak", "VmSize")}


async def test_a_process_that_hoards_memory_ends_at_its_bound_and_says_why() -> None:
    async with world(Vtn(), command=(sys.executable, "-c", HOARDS)) as there:
        await until(lambda: there.health() and f"it wanted more than its {SMALL} MiB" in there.health()[0][1], 30)
        assert there.told() == 1


def test_files_that_cannot_be_read_end_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"signals: dso: cert_file .*none\.pem cannot be read"):
        World(Vtn(), cert_file=str(tmp_path / "none.pem"), key_file=str(tmp_path / "none.key"))
