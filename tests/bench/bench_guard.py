"""From a meter reading over the fuse to a lower setpoint on the wire, with 40 stations.

Yardmaster runs as its owner runs it; the meter is a real Modbus server, the stations are plain
aiohttp clients that accept every profile. Each round the meter jumps over the fuse; measured is, per
station, from the moment the server gives out the first reading over the fuse to the moment the
station holds a SetChargingProfile below what it had. With ``--without-solver`` the solver process is
killed before the rounds and again whenever it comes back: the path must not need it.

Reference in the same run: the same 40 sockets, a bare server that sends each one frame at once.

    python tests/bench/bench_guard.py [--rounds 20] [--stations 40] [--without-solver]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
from aiohttp import web

from controller.paths import config_dir
from controller.sim.meter import SimMeters
from controller.sim.site import MeterValues
from tests.support.yard import Yard, site, until

FUSE_A = 1000.0
BUILDING_A = 20.0
PEAK_A = 220.0
READY_A = 900.0
"""The cars have filled the connection when this much flows."""


class Station:
    """The least a station must do: boot, one transaction, accept, report its current."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.limit_a = 0.0
        self.lowered_at: list[float] = []
        self._ids = 0
        self._answers: dict[str, asyncio.Future[Any]] = {}

    async def run(self, session: aiohttp.ClientSession, url: str) -> None:
        async with session.ws_connect(f"{url}/{self.name}", protocols=["ocpp2.0.1"]) as self.socket:
            reader = asyncio.ensure_future(self._read())
            await self._call("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "Bench", "model": "B"}})
            await self._event("Started", 0)
            seq = 1
            while not reader.done():
                await asyncio.sleep(5)
                await self._event("Updated", seq)
                seq += 1

    async def _event(self, kind: str, seq: int) -> None:
        amps = [{"value": self.limit_a, "measurand": "Current.Import", "phase": phase} for phase in ("L1", "L2", "L3")]
        payload: dict[str, Any] = {
            "eventType": kind,
            "timestamp": "2026-11-21T16:00:00Z",
            "triggerReason": "MeterValuePeriodic",
            "seqNo": seq,
            "transactionInfo": {"transactionId": f"tx-{self.name}", "chargingState": "Charging"},
            "meterValue": [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": amps}],
        }
        if kind == "Started":
            payload["evse"] = {"id": 1}
        await self._call("TransactionEvent", payload)

    async def _call(self, action: str, payload: dict[str, Any]) -> None:
        self._ids += 1
        message_id = f"{self.name}-{self._ids}"
        self._answers[message_id] = asyncio.get_running_loop().create_future()
        await self.socket.send_str(json.dumps([2, message_id, action, payload]))
        await self._answers[message_id]

    async def _read(self) -> None:
        async for message in self.socket:
            frame = json.loads(message.data)
            if frame[0] != 2:
                future = self._answers.pop(frame[1], None)
                if future is not None and not future.done():
                    future.set_result(frame[2])
                continue
            await self._answer(frame)

    async def _answer(self, frame: list[Any]) -> None:
        if frame[2] == "SetChargingProfile":
            profile = frame[3]["chargingProfile"]
            limit_a = profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"]
            if profile["chargingProfilePurpose"] == "TxProfile" or not self.limit_a:
                if limit_a < self.limit_a:
                    self.lowered_at.append(time.perf_counter())
                self.limit_a = limit_a
            await self.socket.send_str(json.dumps([3, frame[1], {"status": "Accepted"}]))
        elif frame[2] == "GetCompositeSchedule":
            schedule = {
                "evseId": frame[3]["evseId"],
                "duration": 300,
                "scheduleStart": "2026-11-21T16:00:00Z",
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": self.limit_a or 0.0}],
            }
            await self.socket.send_str(json.dumps([3, frame[1], {"status": "Accepted", "schedule": schedule}]))
        else:
            await self.socket.send_str(json.dumps([3, frame[1], {"status": "Accepted"}]))


class Meter:
    """The grid meter: the building and what the stations draw; remembers when it first gave out a reading over the fuse."""

    def __init__(self, stations: list[Station]) -> None:
        self.building_a = BUILDING_A
        self.over_at: float | None = None
        self._stations = stations
        self._wiggle = 0

    def current_a(self) -> float:
        return self.building_a + sum(station.limit_a for station in self._stations)

    def values(self) -> MeterValues:
        # A real meter's last digits move; a frozen value would count as stuck (F41).
        self._wiggle = (self._wiggle + 1) % 7
        amps = self.current_a() + self._wiggle * 0.01
        if amps > FUSE_A and self.over_at is None and self.building_a == PEAK_A:
            self.over_at = time.perf_counter()
        return MeterValues(current_a=(amps, amps, amps))


def solvers(pid: int) -> list[int]:
    """Processes below ``pid`` that run the optimizer."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            number = int(entry.name)
            command = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"optimizer" in command:
                found.append(number)
    return found


async def kill_solvers(pid: int) -> None:
    while True:
        for child in solvers(pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        await asyncio.sleep(0.05)


async def measure(stations: list[Station], meter: Meter, rounds: int) -> list[float]:
    delays: list[float] = []
    for number in range(rounds):
        meter.building_a, meter.over_at = BUILDING_A, None
        await until(lambda: meter.current_a() >= READY_A, 180)
        await asyncio.sleep(0.37 * (number % 4))  # not in step with the poll
        for station in stations:
            station.lowered_at.clear()
        meter.building_a = PEAK_A
        await until(lambda: meter.over_at is not None, 30)
        await asyncio.sleep(0.9)  # all cuts of one reading leave in one turn; later ones belong to the next reading
        assert meter.over_at is not None
        cut = [min(later) - meter.over_at for station in stations if (later := [t for t in station.lowered_at if t >= meter.over_at])]
        assert cut, "a reading over the fuse lowered nothing within 0.9 s"
        delays += cut
        print(f"round {number + 1:2d}: {len(cut):2d} stations lowered, slowest {max(cut) * 1000:6.1f} ms", flush=True)
    return delays


async def reference(count: int, rounds: int) -> list[float]:
    """The floor: a server that sends one frame to each of the same number of sockets."""
    sockets: list[web.WebSocketResponse] = []
    done = asyncio.Event()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sockets.append(socket)
        await done.wait()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0)
    await tcp.start()
    port = runner.addresses[0][1]
    delays: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        clients = [await session.ws_connect(f"http://127.0.0.1:{port}/") for _ in range(count)]
        await until(lambda: len(sockets) == count)
        for _ in range(rounds):
            start = time.perf_counter()

            async def receive(client: aiohttp.ClientWebSocketResponse, start: float = start) -> None:
                await client.receive()
                delays.append(time.perf_counter() - start)

            waiting = [asyncio.ensure_future(receive(client)) for client in clients]
            for socket in sockets:
                await socket.send_str("x" * 480)
            await asyncio.gather(*waiting)
        done.set()
    await runner.cleanup()
    return delays


def report(title: str, delays: list[float]) -> None:
    ordered = sorted(delays)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"{title}: n={len(ordered)} p50 {statistics.median(ordered) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, worst {ordered[-1] * 1000:.1f} ms")


async def main() -> None:
    parser = argparse.ArgumentParser(description="Meter reading over the fuse -> lower setpoint on the wire.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--stations", type=int, default=40)
    parser.add_argument("--without-solver", action="store_true", help="kill the solver all the time")
    options = parser.parse_args()
    names = [f"B{number:02d}" for number in range(options.stations)]
    stations = [Station(name) for name in names]
    meter = Meter(stations)
    meters = SimMeters(config_dir() / "meters", {1: meter.values})
    await meters.start()
    with tempfile.TemporaryDirectory() as folder:
        source = {"type": "modbus", "host": "127.0.0.1", "port": meters.port, "unit": 1, "map": "yardmaster_sim", "poll_s": 1.0}
        data = site(
            Path(folder),
            grid={"fuse_a": FUSE_A, "worst_other_load_a": 50, "meter": "main", "margin_a": 2},
            stations=[{"id": name, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]} for name in names],
            meters=[{"id": "main", "role": "grid", "source": source}],
            control={"ramp_up_a_per_s": 20},
            # More energy than fits, so that no plan has a reason to pause a car.
            forecast={"session_energy_wh": 200_000, "session_stay_s": 14_400},
        )
        async with Yard(Path(folder), data) as yard, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            running = [asyncio.ensure_future(station.run(session, yard.ocpp_url)) for station in stations]
            assert yard.process is not None
            killer = asyncio.ensure_future(kill_solvers(yard.process.pid)) if options.without_solver else None
            delays = await measure(stations, meter, options.rounds)
            for task in running:
                task.cancel()
            if killer is not None:
                killer.cancel()
    await meters.stop()
    floor = await reference(options.stations, options.rounds)
    report("reading -> lower setpoint" + (" (solver killed)" if options.without_solver else ""), delays)
    report("reference: bare send", floor)
    print(f"ratio of medians: {statistics.median(delays) / statistics.median(floor):.1f}")


asyncio.run(main())
