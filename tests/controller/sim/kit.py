"""Shared by the tests of the simulated neighbours: the OCA schemas, a clock by hand, a station with a CSMS in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from controller.facts import Stamp
from controller.sim.books import CsmsBooks
from controller.sim.car import CarSpec
from controller.sim.evse import EvseSpec
from controller.sim.station import SimStation, StationSpec
from controller.sim.wire import iso
from tests.support.schemas import check_request, check_response

DAY = 1_781_654_400.0  # a midnight in UTC


def stamp(second: float, speed: float = 1.0) -> Stamp:
    return Stamp(mono_s=100.0 + second, wall_s=DAY + speed * second, wall_speed=speed)


class SchemaWatch:
    """Checks every frame against the published schemas of a version; knows which action an answer belongs to."""

    def __init__(self, subprotocol: str = "ocpp2.0.1") -> None:
        self.subprotocol = subprotocol
        self.actions: dict[str, str] = {}
        self.errors: list[str] = []

    def check(self, text: str) -> None:
        frame = json.loads(text)
        if frame[0] in (2, 6):
            self.actions[frame[1]] = frame[2]
            assert len(frame[1]) <= 36
            check_request(frame[2], frame[3], self.subprotocol)
        elif frame[0] == 3:
            check_response(self.actions[frame[1]], frame[2], self.subprotocol)
        else:
            self.errors.append(frame[2])


@dataclass
class Bench:
    """A station and a CSMS that talk in memory; every frame is checked."""

    station: SimStation
    books: CsmsBooks = field(default_factory=CsmsBooks)
    watch: SchemaWatch = field(default_factory=SchemaWatch)
    now_s: float = 0.0
    speed: float = 1.0
    sent: list[Any] = field(default_factory=list)
    calls: int = 0

    @property
    def at(self) -> Stamp:
        return stamp(self.now_s, self.speed)

    def connect(self) -> None:
        self._deliver(self.station.opened(self.at))

    def run(self, seconds: float, step_s: float = 1.0) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += step_s
            self.station.advance(self.at)
            self._deliver(self.station.tick(self.at))

    def ask(self, action: str, payload: dict[str, Any]) -> Any:
        """A CALL of the CSMS; the payload of the result, or the error code."""
        self.calls += 1
        text = json.dumps([2, f"csms-{self.calls}", action, payload])
        self.watch.check(text)
        texts = self.station.handle_frame(self.at, text)
        answers = [json.loads(item) for item in texts if json.loads(item)[0] != 2]
        self._deliver(texts)
        return answers[0][2] if answers else None

    def actions(self) -> list[str]:
        return [frame[2] for frame in self.sent if frame[0] == 2]

    def events(self) -> list[dict[str, Any]]:
        return [frame[3] for frame in self.sent if frame[0] == 2 and frame[2] == "TransactionEvent"]

    def _deliver(self, texts: list[str]) -> None:
        for text in texts:
            self.watch.check(text)
            self.sent.append(json.loads(text))
            for answer in self.books.handle(self.station.spec.id, self.at, text):
                self.watch.check(answer)
                self._deliver(self.station.handle_frame(self.at, answer))


def make_bench(evses: int = 1, **spec: Any) -> Bench:
    parts = tuple(EvseSpec(number + 1) for number in range(evses))
    bench = Bench(SimStation(StationSpec("A1", parts, **spec), seed=1))
    bench.watch.subprotocol = bench.station.spec.subprotocol
    bench.books.speaks("A1", bench.station.spec.subprotocol)
    return bench


def car(**changes: Any) -> CarSpec:
    fields: dict[str, Any] = {
        "name": "van", "arrival_wall_s": DAY, "departure_wall_s": DAY + 36_000, "need_wh": 20_000.0, "capacity_wh": 60_000.0, "soc": 0.2,
    }  # fmt: skip
    return CarSpec(**(fields | changes))


def profile(limit: float, *, profile_id: int = 1, purpose: str = "TxDefaultProfile", stack: int = 0, **more: Any) -> dict[str, Any]:
    """A charging profile; start and duration_s belong to its schedule, the rest to the profile."""
    schedule = {
        "id": 1,
        "startSchedule": iso(DAY + more.pop("start", 0.0)),
        "chargingRateUnit": more.pop("unit", "A"),
        "chargingSchedulePeriod": more.pop("periods", [{"startPeriod": 0, "limit": limit, "numberPhases": 3}]),
    }
    if "duration_s" in more:
        schedule["duration"] = more.pop("duration_s")
    body = {"id": profile_id, "stackLevel": stack, "chargingProfilePurpose": purpose, "chargingProfileKind": "Absolute"}
    return {**body, "chargingSchedule": [schedule], **more}
