"""What happens to a site with every sense: ``python -m tests.support.senses_chaos --minutes 10 --seed 7``.

At random, by a seed: neighbours and Yardmaster itself are killed, frozen and started again; lines are cut and held up; topics are littered,
feeds and meters answer rubbish, disks are full, clocks wrong. Meanwhile the building's load changes and every source states limits.
``senses_judge`` watches.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from controller.io.tasks import end, spawn
from signals.openadr_plain import time_text
from tests.support.senses_judge import BACK_S, Judge
from tests.support.senses_world import HEARTBEAT_S, Senses, freeze_broker
from tests.support.yard import until

RUBBISH = ("", "{", "[]", "null", '{"amps": "many"}', '{"amps": [1e999, 0, 0], "watts": 1}', "\x00" * 5000, "[" * 3000, "<html>")
WRONG_A = (float("nan"), 1e30, -1e9, 4000.0)
LONGEST_S = 20.0
TAKEN_S = 25.0
THAWED_S = 3.0
STOP_S = 3.0
KEPT_S = 120.0
"""What a fuse or a limit hangs on is left to the device's own watchdog: no longer than this [s]."""

Deed = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that can happen. what: it happens to; one at a time. begin, finish: the two ends of it, most_s between them."""

    name: str
    what: str
    begin: Deed
    finish: Deed
    most_s: float = LONGEST_S


ANSWER_S = 4.0
"""How long the fleet manager waits for an answer; one asked before the disk was well may say so for as long after."""


class Chaos:
    """Breaks things. yard: whether Yardmaster is among them."""

    def __init__(self, senses: Senses, judge: Judge, rng: Random) -> None:
        self.senses, self.judge, self.rng = senses, judge, rng
        self.done: list[str] = []
        self._busy: set[str] = set()
        self._disk_well_s = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._control_ids = 0
        self.program = ""
        self.taken: dict[str, int] = {"fleet": 0, "desk": 0, "dso": 0, "utility": 0}

    # -- troubles ----------------------------------------------------------------------------------------

    def troubles(self) -> list[Trouble]:
        """All of them."""
        around = self.senses.around
        found = [trouble for kind in around.devices for trouble in self._of_device(kind)]
        found += [trouble for name in around.wires for trouble in self._of_wire(name)]
        found += self._of_servers()
        meter, http = around.devices["meter"], around.devices["http"]
        lie, rubbish = self._showing(meter, "wrong", WRONG_A), self._showing(http, "rubbish", RUBBISH)
        found.append(Trouble("the grid meter shows nonsense", "meter", lie, _ending(meter, "wrong")))
        found.append(Trouble("meter and feed answer rubbish", "http", rubbish, _ending(http, "rubbish")))
        found.append(Trouble("garbage is retained on all topics", "topics", self._litter, _nothing, 1.0))
        found.append(Trouble("the disk is full", "yard", self._fill, self._free, 8.0))
        found.append(Trouble("Yardmaster is frozen", "yard", self._freeze_yard, self._thaw_yard, 4.0))
        found.append(Trouble("Yardmaster is killed", "yard", self._kill_yard, self._start_yard, 2.0))
        return found

    def _of_device(self, kind: str) -> Iterator[Trouble]:
        device = self.senses.around.devices[kind]

        async def kill() -> None:
            await asyncio.to_thread(device.kill)
            if kind == "vtn":
                device.settings["off_s"] = self.rng.choice((0.0, -7200.0, 86_400.0))

        async def start() -> None:
            device.start()
            if kind == "vtn":
                self.judge.bounds["dso"].forget(self.senses.now)  # it has forgotten its events
                self.program = ""
            await until(lambda: device.said or kind == "module", 30)

        async def freeze() -> None:
            device.freeze()

        async def thaw() -> None:
            device.thaw()

        yield Trouble(f"{kind} is killed", kind, kill, start)
        yield Trouble(f"{kind} is frozen", kind, freeze, thaw)

    def _of_wire(self, name: str) -> Iterator[Trouble]:
        wire = self.senses.around.wires[name]

        async def cut() -> None:
            wire.cut()

        async def hold() -> None:
            wire.held.clear()

        async def go_on() -> None:
            wire.held.set()

        yield Trouble(f"the line to {name} is cut", name, cut, _nothing, 1.0)
        yield Trouble(f"the line to {name} is held up", name, hold, go_on)

    def _of_servers(self) -> Iterator[Trouble]:
        around, heard, judge = self.senses.around, self.senses.heard, self.judge

        async def stop_broker() -> None:
            heard["broker"] = False
            await asyncio.to_thread(around.broker.stop)

        async def start_broker() -> None:
            await asyncio.to_thread(around.broker.start)
            heard["broker"] = True

        async def freeze() -> None:
            heard["broker"] = False
            freeze_broker(around.broker, True)

        async def thaw() -> None:
            freeze_broker(around.broker, False)
            heard["broker"] = True

        async def kill_utility() -> None:
            heard["utility"] = False
            await around.utility.kill()

        async def start_utility() -> None:
            judge.bounds["utility"].forget(self.senses.now)
            await around.utility.start()
            await around.plan_program()
            heard["utility"] = True

        async def kill_influx() -> None:
            await asyncio.to_thread(around.influx.kill)

        yield Trouble("the broker is killed", "broker", stop_broker, start_broker)
        yield Trouble("the broker is frozen", "broker", freeze, thaw)
        yield Trouble("the utility is killed", "utility", kill_utility, start_utility)
        yield Trouble("the history server is killed", "influx", kill_influx, around.influx.launch)

    def _showing(self, device: Any, key: str, words: tuple[Any, ...]) -> Deed:
        async def begin() -> None:
            device.settings[key] = self.rng.choice(words)
            device.tell(**device.settings)

        return begin

    async def _litter(self) -> None:
        assert self.senses.fleet is not None
        self.senses.fleet.litter(self.rng)

    async def _fill(self) -> None:
        self._disk_well_s = float("inf")
        self.senses.yard.fill_disk(True)

    async def _free(self) -> None:
        self.senses.yard.fill_disk(False)
        self._disk_well_s = self.senses.now + ANSWER_S
        await asyncio.sleep(3.0)

    async def _freeze_yard(self) -> None:
        self._down_s = self.senses.clock.stamp().wall_s
        self.senses.yard.freeze()

    async def _thaw_yard(self) -> None:
        self.senses.yard.thaw()
        self._back(THAWED_S)

    def _back(self, grace_s: float = BACK_S) -> None:
        self.judge.up_since_s = self.senses.now - BACK_S + grace_s
        self.judge.outages.append((self._down_s, self.senses.clock.stamp().wall_s))

    async def _kill_yard(self) -> None:
        self._down_s = self.senses.clock.stamp().wall_s
        await self.senses.yard.kill()

    async def _start_yard(self) -> None:
        """P9. The fleet's failsafe holds again, whatever it said before; pulled sources are asked at once."""
        senses, started_s = self.senses, self.senses.now
        await senses.yard.start()
        self._back()
        self.judge.bounds["fleet"].held_s = senses.now
        stations = senses.depot.stations
        await until(lambda: any(at_s >= started_s for station in stations for at_s, _ in station.setpoints[-1:]), 40)
        self.judge.back_s.append(senses.now - started_s)

    # -- life --------------------------------------------------------------------------------------------

    async def go(self, seconds: float, names: Callable[[Trouble], bool] = lambda _trouble: True, at_once: int = 2) -> None:
        """Break things for so long, then let everything heal."""
        until_s = self.senses.now + seconds
        while self.senses.now < until_s:
            free = [trouble for trouble in self.troubles() if trouble.what not in self._busy and names(trouble)]
            if free and len(self._busy) < at_once:
                weights = [4 if trouble.what == "yard" else 1 for trouble in free]
                self._happen(self.rng.choices(free, weights)[0], until_s)
            await asyncio.sleep(self.rng.uniform(0.5, 2.5))
        await until(lambda: not self._busy, 60)

    async def one(self, name: str, seconds: float) -> None:
        """This trouble, for so long."""
        trouble = next(trouble for trouble in self.troubles() if trouble.name == name)
        await trouble.begin()
        await asyncio.sleep(seconds)
        await trouble.finish()
        self.done.append(name)

    def _happen(self, trouble: Trouble, until_s: float) -> None:
        self._busy.add(trouble.what)
        seconds = min(self.rng.uniform(0.3, trouble.most_s), max(0.3, until_s - self.senses.now))
        print(f"{self.senses.clock.stamp().wall_s:.1f} {trouble.name} for {seconds:.1f} s", flush=True)

        async def life() -> None:
            try:
                await self.one(trouble.name, seconds)
            finally:
                self._busy.discard(trouble.what)

        self._tasks.append(spawn(life(), trouble.name))

    async def __aenter__(self) -> Chaos:
        works = (self._building, self._fleet, self._desk, self._vtn, self._utility, self._looking)
        self._tasks = [spawn(work(), work.__name__) for work in works]
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._tasks)

    async def _pause(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self.rng.uniform(least_s, most_s))

    async def _building(self) -> None:
        """Loads, sun and contacts change, but not while nobody could react."""
        physics, rng = self.senses.physics, self.rng
        while True:
            await self._pause(1.5, 5.0)
            if not self.senses.yard.alive or "grid" in self.judge.silent_s:
                continue
            physics.base_a[rng.randrange(3)] = rng.uniform(4.0, 24.0)
            physics.sun_w = rng.uniform(0.0, 12_000.0)
            if rng.random() < 0.3:
                self._switch(rng.choice((0, 1)))

    def _switch(self, contact: int) -> None:
        """A contact of the control box opens or closes."""
        inputs, now = self.senses.physics.inputs, self.senses.now
        bound = self.judge.feed_in if contact else self.judge.bounds["box"]
        inputs.symmetric_difference_update({contact})
        bound.say(bound.failsafe_w if contact in inputs else None, now)

    async def _fleet(self) -> None:
        """The fleet manager states limits over MQTT and takes what is answered for confirmed."""
        rng, bound, fleet = self.rng, self.judge.bounds["fleet"], self.senses.fleet
        assert fleet is not None
        while True:
            watts, duration_s = rng.choice((None, 22_000.0, 30_000.0, 60_000.0)), rng.choice((None, 8.0, 25.0))
            words = {"consumption_w": watts} | ({"duration_s": duration_s} if duration_s is not None and watts is not None else {})
            bound.word_w = None  # from here on nobody knows which of the two holds
            number, asked_s = fleet.state(**words), self.senses.now
            with suppress(AssertionError):
                await until(lambda number=number: number in fleet.answers, ANSWER_S)
            answer = fleet.answers.get(number)
            if answer is not None and answer["accepted"]:
                self.taken["fleet"] += 1
                bound.say(watts, self.senses.now, duration_s or float("inf"))
            elif answer is not None and not ("it holds now, but is not on disk" in answer["reason"] and asked_s < self._disk_well_s):
                self.judge.wrong(f"the fleet's limit was refused: {answer}")
            await self._pause(4.0, 14.0)

    async def _desk(self) -> None:
        """Limits over HTTP."""
        rng, bound = self.rng, self.judge.bounds["desk"]
        while True:
            await self._pause(4.0, 14.0)
            watts, duration_s = rng.choice((None, 15_000.0, 40_000.0)), rng.choice((10.0, 30.0))
            bound.word_w = None
            status = await self.senses.desk(consumption_w=watts, duration_s=duration_s)
            if status == 200:
                self.taken["desk"] += 1
                bound.say(watts, self.senses.now, duration_s)
            elif status not in (0, 503):
                self.judge.wrong(f"the desk's limit was refused: HTTP {status}")

    async def _vtn(self) -> None:
        """Events of the OpenADR server, each seen in force before the next."""
        while True:
            await self._pause(1.0, 6.0)
            watts, duration_s = float(self.rng.randrange(20_000, 60_000, 100)), self.rng.uniform(10.0, 25.0)
            try:
                if not self.program:
                    self.program = (await self.senses.vtn("POST", "/programs", {"programName": "doe"}))["id"]
                await self.senses.vtn("POST", "/events", self._event(watts, duration_s))
            except (aiohttp.ClientError, AssertionError, TimeoutError, OSError, KeyError):
                continue  # it is down
            await self._in_force("dso", watts, duration_s)

    def _event(self, watts: float, duration_s: float) -> dict[str, Any]:
        begins_s = self.senses.clock.stamp().wall_s - 1.0
        return {
            "programID": self.program,
            "eventName": f"{watts:.0f}",
            "priority": 1,
            "intervalPeriod": {"start": time_text(begins_s), "duration": f"PT{duration_s:.0f}S"},
            "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "W"}],
            "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [watts]}]}],
        }

    async def _utility(self) -> None:
        """Controls of the IEEE 2030.5 server."""
        while True:
            await self._pause(1.0, 6.0)
            watts, duration_s = float(self.rng.randrange(20_000, 60_000, 100)), self.rng.uniform(10.0, 25.0)
            self._control_ids += 1
            try:
                async with asyncio.timeout(3):
                    await self.senses.around.utility.control(f"{self._control_ids:032X}", -1.0, round(duration_s), {"opModImpLimW": watts})
            except (aiohttp.ClientError, TimeoutError, OSError):
                continue
            await self._in_force("utility", watts, duration_s)

    async def _in_force(self, name: str, watts: float, duration_s: float) -> None:
        """An event counts once it is seen; if nothing is broken it must be, and then it holds until its end."""
        bound, created_s, well_s = self.judge.bounds[name], self.senses.now, 0.0
        ends_s = created_s - 1.0 + duration_s
        while self.senses.now < ends_s - 2.0:
            state = await self.senses.state()
            shown = {signal["id"]: signal["limit_w"] for signal in state["site"]["signals"]} if state is not None else {}
            if shown.get(name) == watts and bound.broken_s is None:
                self.taken[name] += 1
                bound.say(watts, self.senses.now, ends_s - self.senses.now)
                break
            well_s = well_s + 0.5 if state is not None and bound.broken_s is None else 0.0
            if well_s > TAKEN_S:
                self.judge.wrong(f"{name}: an event of {watts:.0f} W is not in force after {well_s:.0f} s: {shown}")
            await asyncio.sleep(0.5)
        await asyncio.sleep(max(0.0, ends_s + 1.0 - self.senses.now))

    async def _looking(self) -> None:
        """What the API claims, once a second."""
        while True:
            await asyncio.sleep(1.0)
            if self.senses.yard.alive and (state := await self.senses.state()) is not None:
                self.judge.claims(state, 1.0)


async def _nothing() -> None:
    """It is over by itself."""


def _ending(device: Any, key: str) -> Deed:
    """It shows what it should again."""

    async def finish() -> None:
        device.settings.pop(key, None)
        device.tell(**{key: None})

    return finish


async def settled(senses: Senses) -> None:
    """Until every neighbour is heard again and every car may charge."""

    async def well() -> bool:
        state = await senses.state()
        if state is None or state["site"]["mode"] != "normal":
            return False
        sick = [source["name"] for source in state["site"]["sources"] if source["health"] != "good"]
        return not sick and all(signal["state"] != "failsafe" or signal["id"] == "fleet" for signal in state["site"]["signals"])

    await until(well, 90)


async def finish(senses: Senses, judge: Judge) -> float:
    """Stop Yardmaster; how long it took [s]. Devices must be free then, and the books right."""
    await asyncio.sleep(2.0)
    begun_s = senses.now
    code = await senses.yard.stop()
    took_s = senses.now - begun_s
    if code != 0:
        judge.wrong(f"the exit code is {code}")
    await asyncio.sleep(0.5)
    hybrid, coils = senses.around.devices["hybrid"].said, senses.around.devices["module"].said
    kept = "battery keeps its command" in senses.yard.log.read_text()
    if kept and not 0.0 < (hybrid["life_s"] or 0.0) <= KEPT_S:
        judge.wrong(f"the battery keeps its command, and that does not end by itself: {hybrid}")
    if hybrid["limit_w"] is not None or (hybrid["commanded"] and not kept):
        judge.wrong(f"the hybrid is not free after the stop: {hybrid}")
    if any(coils.values()):
        judge.wrong(f"relays are still closed after the stop: {coils}")
    judge.fuses()
    judge.log()
    judge.record()
    await judge.history()
    return took_s


def spares_yard(trouble: Trouble) -> bool:
    """Whether the process lives through it."""
    return trouble.name != "Yardmaster is killed"


async def play(folder: Path, seed: int, seconds: float) -> int:
    """The long story; how many things were wrong."""
    async with Senses(folder, seed) as senses:
        judge = Judge(senses)
        senses.looks.append(judge.look)
        await settled(senses)
        async with Chaos(senses, judge, Random(seed)) as chaos:
            seen = [senses.yard.resources()]
            for _ in range(4):
                await chaos.go(seconds / 6, spares_yard)
                await settled(senses)
                seen.append(senses.yard.resources())
            judge.grown(seen)
            await chaos.go(seconds / 3)
            await settled(senses)
        took_s = await finish(senses, judge)
    if took_s > STOP_S:
        judge.wrong(f"the stop took {took_s:.1f} s")
    if max(judge.back_s, default=0.0) > BACK_S:
        judge.wrong(f"control was back only {max(judge.back_s):.1f} s after a start (the machine may have been busy)")
    backs = ", ".join(f"{one:.1f}" for one in judge.back_s)
    print(f"{len(chaos.done)} troubles; back after {backs} s; stopped in {took_s:.2f} s; taken {chaos.taken}")
    print("longest above a limit:", {name: round(timer.worst_s, 1) for name, timer in judge.above.items()})
    print("longest above a fuse:", {name: round(timer.worst_s, 1) for name, timer in judge.over.items()})
    for text in judge.wrongs:
        print("WRONG", text)
    return len(judge.wrongs)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="yardmaster-senses-"))
    print(f"files are in {folder}; heartbeats of {HEARTBEAT_S:g} s")
    return 1 if asyncio.run(play(folder, arguments.seed, arguments.minutes * 60.0)) else 0


if __name__ == "__main__":
    sys.exit(main())
