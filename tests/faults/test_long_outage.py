"""F19: three days without a CSMS, a hundred stations, a restart of the controller in the middle (P1, P2, traps 7 and 8).

Virtual time, real ``Links``. Every station runs one session after the other: each message must
arrive once, in order, under the id the CSMS gave to the start of its transaction.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

from controller.config import Config
from controller.facts import (
    OutboxRow,
    Persisted,
    Restored,
    RowsLoaded,
    Stamp,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.link.links import Links
from controller.link.outbox import PAGE
from controller.ocpp.times import timestamp, wall_time
from controller.orders import DialUpstream, ForgetRows, LoadRows, Persist, SendStation, SendUpstream, UpdateRow

STATIONS = 100
HOURS = 72
SAMPLE_S = 1800
SESSION_SAMPLES = 7
START_WALL_S = 1_790_000_000.0


def config() -> Config:
    stations = [{"id": f"CP{number}", "evses": [{"id": 1, "max_current_a": 32}]} for number in range(STATIONS)]
    upstream = {"id": "csms", "url": "ws://127.0.0.1:1/", "queued_values": 100_000, "offline_unknown": "accept"}
    site = {"site": {"id": "t"}, "grid": {"fuse_a": 6000, "worst_other_load_a": 1}}
    return Config.model_validate({**site, "stations": stations, "upstreams": [upstream]})


class Station:
    """Counts on: start, values, stop, start ...; every message is told by its register."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.transaction_id = 0
        self.count = 0
        self.acknowledged: list[str] = []
        self.waits_for = ""

    def message(self, at: Stamp) -> list[Any]:
        place, moment = self.count % (SESSION_SAMPLES + 2), timestamp(at.wall_s)
        self.count += 1
        self.waits_for = f"m{self.count}"
        if place == 0:
            return [2, self.waits_for, "StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": self.count, "timestamp": moment}]
        if place == SESSION_SAMPLES + 1:
            return [2, self.waits_for, "StopTransaction", {"transactionId": self.transaction_id, "meterStop": self.count, "timestamp": moment}]
        sampled = {"value": str(self.count), "context": "Sample.Periodic"}
        values = {"connectorId": 1, "transactionId": self.transaction_id, "meterValue": [{"timestamp": moment, "sampledValue": [sampled]}]}
        return [2, self.waits_for, "MeterValues", values]

    def hears(self, frame: list[Any]) -> None:
        if frame[0] == 3 and frame[1] == self.waits_for:
            self.acknowledged.append(self.waits_for)
            self.waits_for = ""
            self.transaction_id = frame[2].get("transactionId", self.transaction_id)


class World:
    """Stations, disk and CSMS around one process after the other."""

    def __init__(self) -> None:
        self.config = config()
        self.mono_s = 0.0
        self.rows: dict[str, dict[int, OutboxRow]] = {}
        self.place: dict[int, str] = {}
        self.memories: dict[tuple[str, str], Any] = {}
        self.newest = 0
        self.lives = 0
        self.csms_there = False
        self.stations = {station.id: Station(station.id) for station in self.config.stations}
        self.arrived: dict[str, list[tuple[int, str]]] = {name: [] for name in self.stations}
        self.given = 0
        self.start_process()

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    def start_process(self) -> None:
        self.lives += 1
        self.links = Links(self.config, f"life {self.lives}", wall_time)
        outbox = {name: tuple(row if n < PAGE else replace(row, text="") for n, row in enumerate(rows.values())) for name, rows in self.rows.items()}
        self.feed(Restored(self.at, json_copy(self.memories), outbox))
        for name in self.stations:
            self.feed(StationConnected(self.at, name, self.lives, "ocpp1.6", "127.0.0.1", f"/{name}"))

    def feed(self, fact: Any) -> None:
        for outcome in self.links.handle(fact):
            if isinstance(outcome, SendStation):
                self.stations[outcome.station_id].hears(json.loads(outcome.text))
            elif isinstance(outcome, SendUpstream):
                self.csms(outcome.station_id, outcome.generation, json.loads(outcome.text))
            elif isinstance(outcome, DialUpstream):
                opened = UpstreamOpened(self.at, outcome.station_id, outcome.generation, "ocpp1.6")
                self.feed(opened if self.csms_there else UpstreamClosed(self.at, outcome.station_id, outcome.generation, "refused"))
            elif isinstance(outcome, Persist | ForgetRows | UpdateRow | LoadRows):
                self.disk(outcome)

    def disk(self, order: Persist | ForgetRows | UpdateRow | LoadRows) -> None:
        if isinstance(order, ForgetRows):
            for number in order.numbers:
                self.rows[self.place[number]].pop(number, None)
        elif isinstance(order, LoadRows):
            mine = self.rows[order.station_id]
            found = tuple(mine[number] for number in order.numbers if number in mine)
            self.feed(RowsLoaded(self.at, order.station_id, found, order.numbers))
        elif isinstance(order, Persist):
            stored = []
            for row in order.rows:
                self.newest += 1
                stored.append(replace(row, number=self.newest))
                self.rows.setdefault(row.station_id, {})[self.newest] = stored[-1]
                self.place[self.newest] = row.station_id
            self.memories.update(order.remember)
            if order.token:
                self.feed(Persisted(self.at, order.token, tuple(stored)))

    def csms(self, name: str, generation: int, frame: list[Any]) -> None:
        _, message_id, action, payload = frame
        answer: dict[str, Any] = {}
        if action == "StartTransaction":
            self.given += 1
            answer = {"transactionId": self.given, "idTagInfo": {"status": "Accepted"}}
            self.arrived[name].append((self.given, str(payload["meterStart"])))
        elif action == "StopTransaction":
            self.arrived[name].append((payload["transactionId"], str(payload["meterStop"])))
        elif action == "MeterValues":
            self.arrived[name].append((payload["transactionId"], payload["meterValue"][0]["sampledValue"][0]["value"]))
        self.feed(UpstreamFrame(self.at, name, generation, json.dumps([3, message_id, answer])))

    def everybody_speaks(self) -> None:
        for name, station in self.stations.items():
            assert station.waits_for == ""
            self.feed(StationFrame(self.at, name, self.lives, json.dumps(station.message(self.at))))

    def wait(self, seconds: float, step_s: float = 60.0) -> None:
        for _ in range(int(seconds / step_s)):
            self.mono_s += step_s
            self.feed(TimePassed(self.at))


def json_copy(memories: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    return {key: json.loads(json.dumps(value)) for key, value in memories.items()}


def test_f19_three_days_without_a_csms_and_a_restart_lose_nothing_and_mix_up_nothing() -> None:
    world = World()
    for sample in range(HOURS * 3600 // SAMPLE_S):
        if sample == HOURS * 3600 // SAMPLE_S // 2:
            world.start_process()
        world.everybody_speaks()
        world.wait(SAMPLE_S, step_s=SAMPLE_S / 2)
    queued = sum(map(len, world.rows.values()))
    assert queued == STATIONS * HOURS * 3600 // SAMPLE_S
    for session in world.links.sessions.values():
        assert len(session.up.outbox._texts) <= PAGE

    world.csms_there = True
    for _ in range(2000):
        world.wait(1, step_s=1.0)
        if not any(world.rows.values()):
            break
    world.everybody_speaks()
    for name, station in world.stations.items():
        assert len(station.acknowledged) == station.count
        told = world.arrived[name]
        assert [int(register) for _, register in told] == list(range(1, station.count + 1)), "every message once and in order"
        sessions = [told[place : place + SESSION_SAMPLES + 2] for place in range(0, len(told), SESSION_SAMPLES + 2)]
        assert all(len({number for number, _ in session}) == 1 for session in sessions), "one id per transaction"
    ids = Counter(told[place][0] for told in world.arrived.values() for place in range(0, len(told), SESSION_SAMPLES + 2))
    assert set(ids.values()) == {1}
