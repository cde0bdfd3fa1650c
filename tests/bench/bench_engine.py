"""What the engine alone costs per relayed message: a CALL of a station up, the CSMS's answer down.

One process, no sockets, virtual time: 100 stations with a running transaction and the mix of the relay's bench
(70 % TransactionEvent with six sampled values, 20 % Heartbeat, 10 % StatusNotification). Only frames are timed; ticks run
between them. Printed are microseconds of CPU per message and, because machines differ, the ratio to ``json.loads`` of
the same frames in the same run. Fails if a frame was not relayed byte for byte.

    python tests/bench/bench_engine.py [--messages 20000] [--stations 100] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from controller.config import Config
from controller.engine import Engine
from controller.facts import Fact, Persisted, Restored, Stamp, StationConnected, StationFrame, TimePassed, UpstreamFrame, UpstreamOpened
from controller.io.schemas import shapes
from controller.ocpp.times import timestamp
from controller.orders import DialUpstream, Order, Persist, SendStation, SendUpstream

START_WALL_S = 1_790_000_000.0
BATCH = 500
VERSION = "ocpp2.0.1"


def config(stations: int) -> Config:
    """A site of one depot, as in the relay's bench."""
    evse = {"id": 1, "max_current_a": 32, "fallback_a": 6}
    return Config.model_validate(
        {
            "site": {"id": "bench"},
            "grid": {"fuse_a": min(6300.0, 40.0 * stations), "worst_other_load_a": 10},
            "stations": [{"id": f"ST{number:05d}", "evses": [evse]} for number in range(stations)],
            "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp"}],
        }
    )


class World:
    """An engine with stations, CSMS and disk that answer everything as well-behaved ones do."""

    def __init__(self, stations: int) -> None:
        self.config = config(stations)
        self.engine = Engine(self.config, "bench", {}, shapes())
        self.names = [station.id for station in self.config.stations]
        self.legs: dict[str, int] = {}
        self.turns = dict.fromkeys(self.names, 0)
        self.mono_s = 1000.0
        self.serial = 0

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    def begin(self) -> None:
        """Every station connects, boots and starts a transaction; all setpoints are settled."""
        self.feed(Restored(self.at, {}, {}))
        for name in self.names:
            self.feed(StationConnected(self.at, name, 1, VERSION, "127.0.0.1"))
        for _ in range(60):
            self.tick()
        boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "Bench", "model": "Load"}}
        for name in self.names:
            self.say(name, "BootNotification", boot)
            self.say(name, "TransactionEvent", self.event(name, "Started"))
        for _ in range(30):
            self.tick()
        assert set(self.legs) == set(self.names)

    def tick(self) -> None:
        """A second passes."""
        self.mono_s += 1.0
        self.feed(TimePassed(self.at))

    def feed(self, fact: Fact) -> None:
        """A fact, and what the others do about its orders."""
        todo: list[Order] = self.engine.handle(fact)
        while todo:
            answers = [answer for order in todo for answer in self.answer(order)]
            todo = [order for answer in answers for order in self.engine.handle(answer)]

    def answer(self, order: Order) -> list[Fact]:
        """What the others do about an order."""
        if isinstance(order, DialUpstream):
            self.legs[order.station_id] = order.generation
            return [UpstreamOpened(self.at, order.station_id, order.generation, VERSION)]
        if isinstance(order, Persist):
            return [Persisted(self.at, order.token)] if order.token else []
        if isinstance(order, SendUpstream):
            return [UpstreamFrame(self.at, order.station_id, order.generation, text) for text in csms_answer(order.text)]
        if isinstance(order, SendStation):
            return [StationFrame(self.at, order.station_id, order.generation, text) for text in station_answer(order.text)]
        return []

    def say(self, name: str, action: str, payload: dict[str, Any]) -> None:
        """A CALL of a station, outside the measurement."""
        self.feed(StationFrame(self.at, name, 1, json.dumps([2, self.fresh_id(), action, payload])))

    def fresh_id(self) -> str:
        """36 characters."""
        self.serial += 1
        return f"{self.serial:08x}-0123-4567-89ab-{self.serial:012x}"

    def event(self, name: str, kind: str) -> dict[str, Any]:
        """A TransactionEvent of about 1190 bytes."""
        turn = self.turns[name]
        sample = {"context": "Sample.Periodic"}
        amps = [{"value": 6.0 + (turn + phase) % 3 / 100, **sample, "measurand": "Current.Import", "phase": f"L{phase + 1}"} for phase in range(3)]
        power = {"value": 4140.0, **sample, "measurand": "Power.Active.Import", "location": "Outlet", "unitOfMeasure": {"unit": "W"}}
        energy = {"value": 1000.5 + turn, **sample, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}
        soc = {"value": 63.0, **sample, "measurand": "SoC", "location": "EV", "unitOfMeasure": {"unit": "Percent"}}
        samples = [energy, power, *({**one, "unitOfMeasure": {"unit": "A"}} for one in amps), soc]
        moment = timestamp(START_WALL_S + self.mono_s)
        return {
            "eventType": kind,
            "timestamp": moment,
            "triggerReason": "MeterValuePeriodic" if kind == "Updated" else "Authorized",
            "seqNo": turn,
            "offline": False,
            "numberOfPhasesUsed": 3,
            "cableMaxCurrent": 32,
            "transactionInfo": {"transactionId": f"tx-{name}-0123456789abcdef", "chargingState": "Charging", "timeSpentCharging": turn},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": moment, "sampledValue": samples}],
        }

    def next_pair(self, name: str) -> tuple[str, str]:
        """The next CALL of a station in the mix, and the CSMS's answer."""
        turn = self.turns[name] = self.turns[name] + 1
        message_id = self.fresh_id()
        if turn % 10 < 7:
            action, payload = "TransactionEvent", self.event(name, "Updated")
        elif turn % 10 < 9:
            action, payload = "Heartbeat", {}
        else:
            moment = timestamp(START_WALL_S + self.mono_s)
            action, payload = "StatusNotification", {"timestamp": moment, "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
        call = json.dumps([2, message_id, action, payload], separators=(",", ":"))
        answer = {"currentTime": timestamp(START_WALL_S + self.mono_s)} if action == "Heartbeat" else {}
        return call, json.dumps([3, message_id, answer], separators=(",", ":"))

    def batch(self, number: int) -> list[tuple[str, str, str]]:
        """(station, CALL, answer) of the next messages: the stations take turns."""
        count = len(self.names)
        return [(name, *self.next_pair(name)) for name in (self.names[(number * BATCH + step) % count] for step in range(BATCH))]


def csms_answer(text: str) -> Iterable[str]:
    """What the CSMS says to a CALL."""
    frame = json.loads(text)
    if frame[0] == 2:
        boot = {"status": "Accepted", "currentTime": timestamp(START_WALL_S), "interval": 300}
        yield json.dumps([3, frame[1], boot if frame[2] == "BootNotification" else {}])


def station_answer(text: str) -> Iterable[str]:
    """What a station says to a CALL."""
    frame = json.loads(text)
    if frame[0] != 2:
        return
    schedule = {"evseId": 1, "duration": 1, "scheduleStart": timestamp(START_WALL_S), "chargingRateUnit": "A"}
    floor = {"schedule": {**schedule, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}}
    yield json.dumps([3, frame[1], {"status": "Accepted", **(floor if frame[2] == "GetCompositeSchedule" else {})}])


def relay(world: World, batch: list[tuple[str, str, str]]) -> list[list[Order]]:
    """The measured part: each CALL and its answer through the engine."""
    handle, at, legs = world.engine.handle, world.at, world.legs
    orders: list[list[Order]] = []
    for name, call, answer in batch:
        orders.append(handle(StationFrame(at, name, 1, call)))
        orders.append(handle(UpstreamFrame(at, name, legs[name], answer)))
    return orders


def check(batch: list[tuple[str, str, str]], orders: list[list[Order]]) -> None:
    """Every text went on as it came, and at once."""
    for (name, call, answer), up, down in zip(batch, orders[::2], orders[1::2], strict=True):
        assert [order.text for order in up if isinstance(order, SendUpstream)] == [call], f"{name}: a CALL was not relayed"
        assert [order.text for order in down if isinstance(order, SendStation)] == [answer], f"{name}: an answer was not relayed"


def measure(world: World, messages: int, profile: cProfile.Profile | None) -> tuple[list[float], list[float]]:
    """Microseconds per message of each batch: through the engine, and read by ``json.loads``."""
    engine_us, json_us = [], []
    for number in range(messages // BATCH):
        batch = world.batch(number)
        if profile is not None:
            profile.enable()
        began_s = time.thread_time()
        orders = relay(world, batch)
        engine_us.append((time.thread_time() - began_s) / BATCH * 1e6)
        if profile is not None:
            profile.disable()
        began_s = time.thread_time()
        for _, call, answer in batch:
            json.loads(call)
            json.loads(answer)
        json_us.append((time.thread_time() - began_s) / BATCH * 1e6)
        check(batch, orders)
        world.tick()
    return engine_us, json_us


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--stations", type=int, default=100)
    parser.add_argument("--profile", action="store_true", help="print where the time goes (the figures are no good then)")
    options = parser.parse_args()
    world = World(options.stations)
    world.begin()
    gc.collect()
    gc.freeze()
    profile = cProfile.Profile() if options.profile else None
    measure(world, 2000, None)
    engine_us, json_us = measure(world, options.messages, profile)
    middle, least = statistics.median(engine_us), min(engine_us)
    ratio = statistics.median(engine / loads for engine, loads in zip(engine_us, json_us, strict=True))
    print(f"{len(world.names)} stations, {options.messages} messages: {middle:.1f} us per message through the engine (best batch {least:.1f})")
    print(f"json.loads of the same frames: {statistics.median(json_us):.1f} us; ratio {ratio:.2f}")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
