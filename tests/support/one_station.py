"""A depot of mixed chargers as one large station, for a day: ``python -m tests.support.one_station --stations 100 --hours 24``.

Virtual time, the real engine and the real journal file. A third of the chargers each speak 1.6, 2.0.1 and 2.1; the CSMS sees one station of
the version asked for. It goes away several times, the controller is killed while every charger waits for an answer, chargers restart. Then
the account, by what the CSMS was told alone: every session once, with the energy the charger counted; every reading once and in order;
ids that never come again; each charger under one EVSE number for ever; every frame valid. At the end the CSMS asks for the full inventory.
Plain JSON on both ends: the account must not share a mistake with what it checks.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from controller.config import Config
from controller.facts import (
    Fact,
    StationClosed,
    StationConnected,
    StationFrame,
    StationLeft,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.io.clock import Clock
from controller.orders import DialUpstream, SendStation, SendUpstream
from tests.support.long_outage import QUIET_TICK_S, START_WALL_S, World, rss_mib
from tests.support.schemas import check_request, check_response

DEPOT = "DEPOT"
V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
ENERGY = "Energy.Active.Import.Register"
Payload = dict[str, Any]


def iso(wall_s: float) -> str:
    """A time as it stands in messages."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Visit:
    """One session as the charger counted it. values: the periodic registers it told [Wh]."""

    start_wh: int
    values: list[int] = field(default_factory=list)
    stop_wh: int = 0


class Charger:
    """One charger: a message a minute, kept until it is acknowledged. Its register rises with every message, so a value names its message."""

    def __init__(self, number: int, say: Callable[[str], str]) -> None:
        self.station_id = f"CP{number + 1:03d}"
        self.version = (V16, V201, V21)[number % 3]
        self.visits: list[Visit] = []
        self.flash: deque[tuple[str, Payload]] = deque()
        self.acknowledged = self.said = 0
        self._random = Random(number)
        self._wh = number * 1_000_000
        self._left = 0
        self._transaction: Any = None
        self._seq = 0
        self._tries = 0
        self._wall_s = START_WALL_S
        self._fresh = say

    # -- what it has to say ---------------------------------------------------------------------------------

    def minute(self, wall_s: float) -> None:
        """One more message, or a rest between two sessions."""
        self._wall_s = wall_s
        self._wh += self._random.randint(5, 180)
        if self._left > 0:
            self._left -= 1
            self.visits[-1].values.append(self._wh)
            self._say(self._value())
        elif self.visits and not self.visits[-1].stop_wh:
            self.visits[-1].stop_wh = self._wh
            self._say(self._stop())
            self._say(self._status("Available"))
        elif self._random.random() < 0.2:
            self._left = self._random.randint(3, 90)
            self.visits.append(Visit(self._wh))
            self._say(self._status("Preparing" if self.version == V16 else "Occupied"))
            self._say(self._start())

    def _say(self, message: tuple[str, Payload]) -> None:
        self.flash.append(message)
        self.said += 1

    def _status(self, word: str) -> tuple[str, Payload]:
        if self.version == V16:
            return "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": word, "timestamp": iso(self._wall_s)}
        return "StatusNotification", {"timestamp": iso(self._wall_s), "connectorStatus": word, "evseId": 1, "connectorId": 1}

    def _start(self) -> tuple[str, Payload]:
        if self.version == V16:
            return "StartTransaction", {"connectorId": 1, "idTag": "AABBCCDD", "meterStart": self._wh, "timestamp": iso(self._wall_s)}
        self._transaction, self._seq = self._fresh(self.station_id), 0
        evse = {"evse": {"id": 1, "connectorId": 1}, "idToken": {"idToken": "AABBCCDD", "type": "ISO14443"}}
        return self._event("Started", "Authorized", "Transaction.Begin", **evse)

    def _value(self) -> tuple[str, Payload]:
        if self.version == V16:
            sample = {"value": str(self._wh), "context": "Sample.Periodic", "measurand": ENERGY, "unit": "Wh"}
            return "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": iso(self._wall_s), "sampledValue": [sample]}]}
        return self._event("Updated", "MeterValuePeriodic", "Sample.Periodic")

    def _stop(self) -> tuple[str, Payload]:
        if self.version == V16:
            return "StopTransaction", {"meterStop": self._wh, "timestamp": iso(self._wall_s), "reason": "EVDisconnected"}
        return self._event("Ended", "EVDeparted", "Transaction.End", {"stoppedReason": "EVDisconnected"})

    def _event(self, kind: str, trigger: str, context: str, info: Payload | None = None, **more: Any) -> tuple[str, Payload]:
        seq, self._seq = self._seq, self._seq + 1
        sample = {"value": self._wh, "context": context, "measurand": ENERGY}
        payload = {
            "eventType": kind,
            "timestamp": iso(self._wall_s),
            "triggerReason": trigger,
            "seqNo": seq,
            "transactionInfo": {"transactionId": self._transaction, "chargingState": "Charging", **(info or {})},
            "meterValue": [{"timestamp": iso(self._wall_s), "sampledValue": [sample]}],
            **more,
        }
        return "TransactionEvent", payload

    # -- its link -----------------------------------------------------------------------------------------------

    def frame(self) -> str:
        """The message to send now, under a fresh id."""
        action, payload = self.flash[0]
        self._tries += 1
        if self.version == V16 and action in ("MeterValues", "StopTransaction"):
            payload = {**payload, "transactionId": self._transaction}
        return json.dumps([2, f"m{self._tries}", action, payload])

    def hears(self, frame: list[Any]) -> bool:
        """Whether this acknowledges its message."""
        if frame[0] != 3 or frame[1] != f"m{self._tries}" or not self.flash:
            return False
        action, _ = self.flash.popleft()
        if action == "StartTransaction":
            self._transaction = frame[2]["transactionId"]
        self.acknowledged += 1
        return True

    def answer(self, action: str, payload: Payload) -> Payload | None:
        """The payload of an answer to a CALL; None = not known here."""
        if action in ("SetChargingProfile", "ClearChargingProfile"):
            return {"status": "Accepted"}
        if action == "GetConfiguration":
            keys = [{"key": f"Key{number}", "readonly": False, "value": self.station_id} for number in range(5)]
            return {"configurationKey": [] if payload.get("key") else keys, "unknownKey": payload.get("key", [])}
        if action == "GetBaseReport":
            return {"status": "Accepted"}
        return None

    def report(self, request: Payload) -> list[tuple[str, Payload]]:
        """The pages that follow a GetBaseReport."""
        item = {
            "component": {"name": "Brand", "evse": {"id": 1}},
            "variable": {"name": "Colour"},
            "variableAttribute": [{"value": self.station_id}],
            "variableCharacteristics": {"dataType": "string", "supportsMonitoring": False},
        }
        own = {**item, "component": {"name": "Heater"}, "variable": {"name": "Active"}}
        head = {"requestId": request["requestId"], "generatedAt": iso(self._wall_s)}
        return [
            ("NotifyReport", {**head, "seqNo": 0, "tbc": True, "reportData": [item]}),
            ("NotifyReport", {**head, "seqNo": 1, "tbc": False, "reportData": [own]}),
        ]


@dataclass(slots=True)
class Seen:
    """One transaction as the CSMS saw it."""

    evse: int
    start_wh: float | None
    values: list[float] = field(default_factory=list)
    stop_wh: float | None = None
    seqs: list[int] = field(default_factory=list)


class OneCsms:
    """A 2.x CSMS above the one large station. Judges every frame; notes sessions by transactionId."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.wrong: list[str] = []
        self.seen: dict[str, Seen] = {}
        self.repeats = self.frames = self.boots = 0
        self.pages: list[Payload] = []
        self.asked: dict[str, str] = {}
        self.states: dict[int, str] = {}

    def now(self) -> str:
        """Its clock."""
        return iso(START_WALL_S)

    def answer(self, frame: list[Any]) -> str | None:
        """The answer to a CALL; None for an answer."""
        self.frames += 1
        if frame[0] != 2:
            self._answered(frame)
            return None
        _, message_id, action, payload = frame
        self._judge(action, lambda: check_request(action, payload, self.version))
        result: Payload = {}
        if action == "BootNotification":
            self.boots += 1
            result = {"currentTime": self.now(), "interval": 300, "status": "Accepted"}
        if action == "Heartbeat":
            result = {"currentTime": self.now()}
        if action == "TransactionEvent":
            self._note(payload)
        if action == "NotifyReport":
            self.pages.append(payload)
        if action == "StatusNotification":
            self.states[payload["evseId"]] = payload["connectorStatus"]
        if action == "NotifyEvent":
            self._events(payload)
        return json.dumps([3, message_id, result])

    def _answered(self, frame: list[Any]) -> None:
        action = self.asked.pop(frame[1], "")
        if frame[0] == 3 and action:
            self._judge(action, lambda: check_response(action, frame[2], self.version))

    def _events(self, payload: Payload) -> None:
        for event in payload["eventData"]:
            if event["variable"]["name"] == "AvailabilityState" and "evse" in event["component"]:
                self.states[event["component"]["evse"]["id"]] = event["actualValue"]

    def _judge(self, action: str, check: Callable[[], None]) -> None:
        try:
            check()
        except Exception as error:
            self.wrong.append(f"{action}: {str(error).splitlines()[0]}")

    def _note(self, payload: Payload) -> None:
        transaction_id, kind = payload["transactionInfo"]["transactionId"], payload["eventType"]
        samples = [sample for value in payload.get("meterValue", []) for sample in value["sampledValue"]]
        energies = [sample for sample in samples if sample.get("measurand", ENERGY) == ENERGY]
        registers = {sample.get("context", "Sample.Periodic"): float(sample["value"]) for sample in energies}
        if kind == "Started":
            if transaction_id in self.seen:
                self.repeats += 1
                return
            self.seen[transaction_id] = Seen(payload["evse"]["id"], registers.get("Transaction.Begin"))
        seen = self.seen.get(transaction_id)
        if seen is None:
            self.wrong.append(f"{kind} of {transaction_id}, which never started")
            return
        if payload["seqNo"] in seen.seqs:
            self.repeats += 1
            return
        seen.seqs.append(payload["seqNo"])
        if kind == "Updated" and "Sample.Periodic" in registers:
            seen.values.append(registers["Sample.Periodic"])
        if kind == "Ended":
            seen.stop_wh = registers.get("Transaction.End")


class OneStation(World):
    """Chargers, one CSMS, the journal and one controller after the other."""

    def __init__(self, folder: Path, stations: int, version: str) -> None:
        self.version = version
        self.leg: int | None = None
        self._ids = 0
        self.chargers = {charger.station_id: charger for charger in map(self.make_charger, range(stations))}
        self.csms_2 = OneCsms(version)
        super().__init__(folder, 1)

    def make_charger(self, number: int) -> Charger:
        """The charger of this number, from 0."""
        return Charger(number, self._fresh)

    def _fresh(self, station_id: str) -> str:
        self._ids += 1
        return f"{station_id}-{self._ids}"

    def start_process(self) -> None:
        """Another controller on what is on disk; all chargers dial again."""
        self.config = one_config(self.folder, list(self.chargers))
        self.stations.clear()  # those of the parent's story
        self.leg = None
        super().start_process()
        for name in self.chargers:
            self.connect(name)
        self.write_disk()

    def connect(self, name: str) -> None:
        """A charger dials and boots."""
        charger = self.chargers[name]
        self.feed(StationConnected(self.at, name, self.generation(), charger.version, "127.0.0.1", f"/{name}"))
        about = {"chargePointVendor": "Ledger", "chargePointModel": "One"}
        if charger.version != V16:
            about = {"reason": "PowerUp", "chargingStation": {"vendorName": "Ledger", "model": "One"}}  # type: ignore[dict-item]
        self.feed(StationFrame(self.at, name, self.generation(), json.dumps([2, "boot", "BootNotification", about])))
        if charger.flash:
            self.feed(StationFrame(self.at, name, self.generation(), charger.frame()))

    def generation(self) -> int:
        """Of all charger connections: rises with each restart of the controller and of chargers."""
        return self.lives + self.restarts

    restarts = 0

    def restart_chargers(self, every: int) -> None:
        """Every n-th charger loses its link and comes back."""
        for name in list(self.chargers)[::every]:
            self.feed(StationClosed(self.at, name, self.generation(), "cable pulled"))
        self.restarts += 1
        for name in self.chargers:  # generations rise for all: one number serves them all
            self.connect(name)
        self.write_disk()

    # -- orders ------------------------------------------------------------------------------------------------------

    def _to_station(self, order: SendStation) -> list[Fact]:
        charger, frame = self.chargers[order.station_id], json.loads(order.text)
        if frame[0] != 2:
            again = charger.hears(frame) and charger.flash
            return [StationFrame(self.at, order.station_id, order.generation, charger.frame())] if again else []
        answer = charger.answer(frame[2], frame[3])
        reply = [4, frame[1], "NotImplemented", "", {}] if answer is None else [3, frame[1], answer]
        facts: list[Fact] = [StationFrame(self.at, order.station_id, order.generation, json.dumps(reply))]
        if frame[2] == "GetBaseReport":
            for number, (action, payload) in enumerate(charger.report(frame[3])):
                text = json.dumps([2, f"r{number}-{frame[1][:30]}", action, payload])
                facts.append(StationFrame(self.at, order.station_id, order.generation, text))
        return facts

    def _to_csms(self, order: SendUpstream) -> Fact:
        if order.station_id != DEPOT:
            self.csms_2.wrong.append(f"a frame under the identity {order.station_id}")
        text = self.csms_2.answer(json.loads(order.text))
        if text is None:
            return StationLeft(self.at, "nobody", 0)  # an answer is not answered
        return UpstreamFrame(self.at, order.station_id, order.generation, text)

    def _dialled(self, order: DialUpstream) -> Fact:
        if self.csms_there and order.station_id == DEPOT:
            self.leg = order.generation
            return UpstreamOpened(self.at, DEPOT, order.generation, self.version)
        return UpstreamClosed(self.at, order.station_id, order.generation, "connection refused")

    def ask(self, message_id: str, action: str, payload: Payload) -> None:
        """A CALL of the CSMS."""
        assert self.leg is not None
        self.csms_2.asked[message_id] = action
        self.feed(UpstreamFrame(self.at, DEPOT, self.leg, json.dumps([2, message_id, action, payload])))

    def csms_leaves(self) -> None:
        """From one moment to the next."""
        self.csms_there = False
        if self.leg is not None:
            self.feed(UpstreamClosed(self.at, DEPOT, self.leg, "CSMS stopped"))
        self.leg = None
        self.write_disk()

    def speak(self) -> None:
        """Each charger says what is new."""
        for name, charger in self.chargers.items():
            idle = not charger.flash
            charger.minute(self.at.wall_s)
            if idle and charger.flash:
                self.feed(StationFrame(self.at, name, self.generation(), charger.frame()))

    def killed_with_full_hands(self) -> None:
        """kill -9 while chargers wait for answers."""
        self.speak()
        self.start_process()


def one_config(folder: Path, names: list[str]) -> Config:
    """The site."""
    entries = [{"id": name, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]} for name in names]
    depot = {"site_values_s": 900, "absent_s": 10}
    upstream = {"id": "csms", "url": "ws://127.0.0.1:1/", "offline_unknown": "accept", "face": "depot", "identity": DEPOT, "depot": depot}
    grid = {"fuse_a": min(6000, 40 * max(1, len(names))), "worst_other_load_a": 1}
    control = {"setpoint_life_s": 3600, "setpoint_renew_s": 1800, "plan_every_s": 3600}
    site = {"site": {"id": "t"}, "grid": grid, "stations": entries, "upstreams": [upstream], "control": control, "data_dir": str(folder)}
    return Config.model_validate(site)


@dataclass(slots=True)
class Outcome:
    """What was seen; everything in wrong is a broken promise."""

    stations: int
    hours: float
    sessions: int = 0
    messages: int = 0
    frames: int = 0
    repeats: int = 0
    reported: int = 0
    pages: int = 0
    wrong: list[str] = field(default_factory=list)
    rss_mib: float = 0.0
    took_s: float = 0.0


def one_day(folder: Path, stations: int, hours: float, version: str = V21, say: bool = False) -> Outcome:
    """The whole story. Outages of 20 minutes to 3 hours, two kills, charger restarts, then an hour to settle and the inventory."""
    clock = Clock()
    began_s = clock.stamp().mono_s
    world = OneStation(folder, stations, version)
    world.csms_there = True
    minutes, random = int(hours * 60), Random(7)
    back_at = -1
    for minute in range(minutes):
        if minute == back_at:
            world.csms_there = True
        if world.csms_there and minute > 30 and random.random() < 1 / 240:
            world.csms_leaves()
            back_at = minute + random.randint(20, 180)
        if minute in (minutes // 3, 2 * minutes // 3):
            world.killed_with_full_hands()
        if minute == minutes // 2:
            world.restart_chargers(4)
        world.minute(QUIET_TICK_S)
        if say and minute % 60 == 59:
            print(f"{minute // 60 + 1:3d} h: {world.queued} queued, {rss_mib():.0f} MiB, {clock.stamp().mono_s - began_s:.0f} s", flush=True)
    world.csms_there = True
    _settle(world)
    _inventory(world)
    outcome = _account(world, hours)
    outcome.rss_mib, outcome.took_s = rss_mib(), clock.stamp().mono_s - began_s
    return outcome


def _settle(world: OneStation) -> None:
    """Nobody starts anything new; everything waiting arrives."""
    for _ in range(600):
        for _ in range(20):
            world.mono_s += 1.0
            world.feed(_tick(world))
            world.write_disk()
        if world.queued == 0 and not any(charger.flash for charger in world.chargers.values()):
            return
    raise AssertionError(f"{world.queued} messages still wait after hours")


def _tick(world: OneStation) -> Fact:
    return TimePassed(world.at)


def _inventory(world: OneStation) -> None:
    world.csms_2.pages.clear()
    world.ask("inventory", "GetBaseReport", {"requestId": 77, "reportBase": "FullInventory"})
    for _ in range(1200):
        world.mono_s += 1.0
        world.feed(_tick(world))
        world.write_disk()
        pages = [page for page in world.csms_2.pages if page["requestId"] == 77]
        if pages and not pages[-1].get("tbc", False):
            return
    raise AssertionError("the inventory never ended")


def _account(world: OneStation, hours: float) -> Outcome:
    csms = world.csms_2
    outcome = Outcome(len(world.chargers), hours, frames=csms.frames, repeats=csms.repeats, wrong=list(csms.wrong))
    outcome.wrong += [f"alarm: {alarm}" for alarm in world.alarms]
    numbers: dict[int, list[Seen]] = {}
    for seen in csms.seen.values():
        numbers.setdefault(seen.evse, []).append(seen)
        if seen.seqs != list(range(len(seen.seqs))):
            outcome.wrong.append(f"EVSE {seen.evse}: seqNo {seen.seqs[:20]}")
    for index, charger in enumerate(world.chargers.values(), start=1):
        outcome.messages += charger.said
        outcome.sessions += len(charger.visits)
        outcome.wrong += compare(charger, sorted(numbers.pop(index, []), key=lambda seen: seen.start_wh or 0.0))
    outcome.wrong += [f"EVSE {number} was never a charger's" for number in numbers]
    outcome.wrong += _judge_inventory(world, outcome)
    return outcome


def compare(charger: Charger, seen: list[Seen]) -> list[str]:
    """What is wrong with what the CSMS has of a charger's sessions, both in order."""
    said = [(visit.start_wh, visit.values, visit.stop_wh or None) for visit in charger.visits]
    told = [(found.start_wh, found.values, found.stop_wh) for found in seen]
    wrong = []
    for visit, found in zip(said, told, strict=False):
        if visit != found:
            wrong.append(f"{charger.station_id} ({charger.version}): said {_brief(visit)}, the CSMS has {_brief(found)}")
    if len(said) != len(told):
        wrong.append(f"{charger.station_id} ({charger.version}): {len(said)} sessions said, {len(told)} told")
    return wrong[:3]


def _brief(session: tuple[Any, list[Any], Any]) -> str:
    start, values, stop = session
    return f"{start} .. {len(values)} values {values[:2]}..{values[-2:]} .. {stop}"


def _judge_inventory(world: OneStation, outcome: Outcome) -> list[str]:
    pages = [page for page in world.csms_2.pages if page["requestId"] == 77]
    wrong = []
    if [page["seqNo"] for page in pages] != list(range(len(pages))) or any(not page.get("tbc", False) for page in pages[:-1]):
        wrong.append("the pages of the inventory are not in order")
    named = [_name(item) for page in pages for item in page.get("reportData", [])]
    outcome.pages, outcome.reported = len(pages), len(named)
    if len(set(named)) != len(named):
        wrong.append("the inventory names a variable twice")
    evses = {item["component"]["evse"]["id"] for page in pages for item in page.get("reportData", []) if "evse" in item["component"]}
    wrong += [f"EVSE {number} is not in the inventory" for number in range(1, len(world.chargers) + 1) if number not in evses]
    values = {attribute.get("value") for page in pages for item in page["reportData"] for attribute in item["variableAttribute"]}
    wrong += [f"{name} did not report its own components" for name in world.chargers if name not in values]
    return wrong


def _name(item: Payload) -> str:
    return json.dumps([item["component"], item["variable"]], sort_keys=True)


def main() -> int:
    """Exit code 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stations", type=int, default=100)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--version", default=V21, choices=[V201, V21])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="one-station-") as folder:
        outcome = one_day(Path(folder), options.stations, options.hours, options.version, say=True)
    print(f"{outcome.stations} chargers as one station, {outcome.hours:g} h: {outcome.sessions} sessions, {outcome.messages} messages said")
    print(f"{outcome.frames} frames at the CSMS, {outcome.repeats} repeats; inventory: {outcome.reported} variables on {outcome.pages} pages")
    print(f"{len(outcome.wrong)} broken promises; {outcome.rss_mib:.0f} MiB, {outcome.took_s:.0f} s", *outcome.wrong[:20], sep="\n")
    return 0 if not outcome.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
