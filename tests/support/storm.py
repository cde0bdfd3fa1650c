"""Everything dies, all the time: ``python -m tests.support.storm --face depot --version ocpp1.6 --seed 3``.

The world of ``one_station`` (virtual time, real engine, real journal file) with a CSMS of any version, above the depot or above each
charger, and with faults at every step: the power fails between any two orders, before a write, in the middle of it and before its answer;
the CSMS hangs up before or after it has read, stays silent, answers late or with an error; the disk refuses; links of chargers break; a
charger that hears nothing says it again. Then the account by what the CSMS was told alone: each session once, with its readings in
order and its energy, under one id and one EVSE. A message may come twice where an answer was lost, and must then be the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from controller.config import Config
from controller.facts import (
    Fact,
    Persisted,
    PersistFailed,
    RowsLoaded,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.io.journal.rows import texts
from controller.orders import CloseUpstream, DialUpstream, ForgetRows, LoadRows, Persist, SendStation, SendUpstream, Tell, UpdateRow
from tests.support.long_outage import World, _batch
from tests.support.one_station import DEPOT, ENERGY, V16, V21, V201, Charger, OneCsms, OneStation, Seen, compare, iso, one_config
from tests.support.schemas import check_request, check_response

Payload = dict[str, Any]
TICK_S = 5.0
AGAIN_S = 120.0


class PowerCutError(Exception):
    """Everything that was not written is gone."""


@dataclass(frozen=True, slots=True)
class Weather:
    """Chances of what goes wrong. cut: per order and per write; the others per message, per write, per charger and minute."""

    cut: float = 0.0004
    hang_up: float = 0.01
    silent: float = 0.003
    late: float = 0.005
    error: float = 0.003
    disk: float = 0.003
    link: float = 0.003


def weather_of(strength: float) -> Weather:
    """The usual chances so many times."""
    usual = Weather()
    return Weather(*(getattr(usual, name) * strength for name in Weather.__slots__))


CALM = Weather(0, 0, 0, 0, 0, 0, 0)


class Csms2(OneCsms):
    """A 2.x CSMS. A message that comes again must be the one that came before."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self._had: dict[tuple[str, int], str] = {}

    def _note(self, payload: Payload) -> None:
        transaction_id = payload["transactionInfo"]["transactionId"]
        same = json.dumps({name: value for name, value in payload.items() if name != "offline"}, sort_keys=True)
        before = self._had.setdefault((transaction_id, payload["seqNo"]), same)
        if before != same:
            self.wrong.append(f"seqNo {payload['seqNo']} came again as {same}, before as {before}")
        super()._note(payload)


class Csms16(OneCsms):
    """A 1.6 CSMS. knows_again: whether it knows a start that comes again; one that does not has a session without an end."""

    def __init__(self, version: str, knows_again: bool) -> None:
        super().__init__(version)
        self._knows_again = knows_again
        self._starts: dict[str, int] = {}
        self._last = 0

    def answer(self, frame: list[Any]) -> str | None:
        """The answer to a CALL; None for an answer."""
        self.frames += 1
        if frame[0] != 2:
            self._answered(frame)
            return None
        _, message_id, action, payload = frame
        self._judge(action, lambda: check_request(action, payload, V16))
        result = self._result(action, payload)
        check_response(action, result, V16)
        return json.dumps([3, message_id, result])

    def _result(self, action: str, payload: Payload) -> Payload:
        match action:
            case "BootNotification":
                self.boots += 1
                return {"currentTime": self.now(), "interval": 300, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": self.now()}
            case "Authorize":
                return {"idTagInfo": {"status": "Accepted"}}
            case "StartTransaction":
                return {"transactionId": self._start(payload), "idTagInfo": {"status": "Accepted"}}
            case "MeterValues":
                self._values(payload)
            case "StopTransaction":
                self._stop(payload)
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case "StatusNotification":
                self.states[payload["connectorId"]] = payload["status"]
        return {}

    def _start(self, payload: Payload) -> int:
        content = json.dumps(payload, sort_keys=True)
        known = self._starts.get(content)
        if known is not None:
            self.repeats += 1
            if self._knows_again:
                return known
            if not self.seen[str(known)].values and self.seen[str(known)].stop_wh is None:
                del self.seen[str(known)]  # what is left over
        self._last += 1
        self._starts[content] = self._last
        self.seen[str(self._last)] = Seen(payload["connectorId"], float(payload["meterStart"]))
        return self._last

    def _values(self, payload: Payload) -> None:
        seen = self.seen.get(str(payload.get("transactionId", "")))
        if "transactionId" in payload and seen is None:
            self.wrong.append(f"values of transaction {payload['transactionId']}, which never started")
        if seen is None:
            return
        samples = [sample for value in payload["meterValue"] for sample in value["sampledValue"]]
        for sample in samples:
            if sample.get("measurand", ENERGY) == ENERGY and sample.get("context", "Sample.Periodic") == "Sample.Periodic":
                self._value(seen, float(sample["value"]), payload)

    def _value(self, seen: Seen, energy_wh: float, payload: Payload) -> None:
        if energy_wh in seen.values:
            self.repeats += 1
        elif seen.stop_wh is not None:
            self.wrong.append(f"{energy_wh} Wh after the stop of transaction {payload['transactionId']}")
        else:
            seen.values.append(energy_wh)

    def _stop(self, payload: Payload) -> None:
        seen = self.seen.get(str(payload["transactionId"]))
        if seen is None:
            self.wrong.append(f"stop of transaction {payload['transactionId']}, which never started")
        elif seen.stop_wh is not None:
            self.repeats += 1
            if seen.stop_wh != payload["meterStop"]:
                self.wrong.append(f"two ends of {payload['transactionId']}: {seen.stop_wh}, {payload['meterStop']}")
        else:
            seen.stop_wh = float(payload["meterStop"])


class StubbornCharger(Charger):
    """One that says its message again when nobody has answered."""

    sent_mono_s = float("-inf")

    def minute(self, wall_s: float) -> None:
        """As its parent; the car pauses now and then."""
        super().minute(wall_s)
        if self.version == V16 and self._left > 0 and self._random.random() < 0.4:
            self._say(self._status(self._random.choice(("Charging", "SuspendedEV", "SuspendedEVSE"))))

    def _event(self, kind: str, trigger: str, context: str, info: Payload | None = None, **more: Any) -> tuple[str, Payload]:
        state = self._random.choice(("Charging", "SuspendedEV", "SuspendedEVSE"))
        return super()._event(kind, trigger, context, {"chargingState": state, **(info or {})}, **more)

    def due(self, mono_s: float) -> bool:
        """Whether it has something to say now."""
        return bool(self.flash) and mono_s - self.sent_mono_s >= AGAIN_S

    def spoken(self, mono_s: float) -> str:
        """What it says now."""
        self.sent_mono_s = mono_s
        return self.frame()


@dataclass(slots=True)
class _Late:
    due_mono_s: float
    fact: UpstreamFrame


@dataclass(slots=True)
class Damage:
    """How often what has happened."""

    cuts: int = 0
    hang_ups: int = 0
    silences: int = 0
    refusals: int = 0
    disk: int = 0
    links: int = 0


class Storm(OneStation):
    """One seed of it. face: "depot" or "pair"; version: what the CSMS speaks."""

    def __init__(self, folder: Path, stations: int, face: str, version: str, seed: int, weather: Weather) -> None:
        self.face = face
        self.weather = CALM
        self.luck = Random(seed)
        self.damage = Damage()
        self.above: dict[str, OneCsms] = {}
        self.legs: dict[str, int] = {}
        self.links: dict[str, int] = {}
        self._connections = 0
        self._late: list[_Late] = []
        self._refused: set[str] = set()
        self._later: list[Persist | ForgetRows | UpdateRow] = []
        self._knows_again = seed % 2 == 0
        super().__init__(folder, stations, version)
        self.weather = weather

    def make_charger(self, number: int) -> Charger:
        return StubbornCharger(number, self._fresh)

    # -- processes ------------------------------------------------------------------------------------------------

    def start_process(self) -> None:
        """Another controller on what is on disk; all chargers dial again."""
        names = list(self.chargers)
        self.config = one_config(self.folder, names) if self.face == "depot" else pair_config(self.folder, names, self.version)
        self.stations.clear()
        self.legs.clear()
        self.links.clear()
        self._late.clear()
        self._later.clear()
        World.start_process(self)
        for name in names:
            self.connect(name)
        self.write_disk()

    def revive(self) -> None:
        """After a power cut; power may fail again while it starts."""
        while True:
            self.damage.cuts += 1
            try:
                self.start_process()
                return
            except PowerCutError:
                continue

    def connect(self, name: str) -> None:
        """A charger dials and boots."""
        charger = self.chargers[name]
        assert isinstance(charger, StubbornCharger)
        self._connections += 1
        self.links[name] = self._connections
        self.feed(StationConnected(self.at, name, self.links[name], charger.version, "127.0.0.1", f"/{name}"))
        about = {"chargePointVendor": "Ledger", "chargePointModel": "One"}
        if charger.version != V16:
            about = {"reason": "PowerUp", "chargingStation": {"vendorName": "Ledger", "model": "One"}}  # type: ignore[dict-item]
        self._says(name, json.dumps([2, "boot", "BootNotification", about]))
        if charger.flash:
            self._says(name, charger.spoken(self.mono_s))

    def _says(self, name: str, text: str) -> None:
        if name in self.links:
            self.feed(StationFrame(self.at, name, self.links[name], text))

    def _cut(self) -> None:
        if self.luck.random() < self.weather.cut:
            raise PowerCutError

    # -- orders -----------------------------------------------------------------------------------------------------

    def feed(self, fact: Fact) -> None:
        """One fact and what follows from it; the power may fail between any two orders."""
        facts = deque((fact,))
        while facts:
            for order in self.engine.handle(facts.popleft()):
                self._cut()
                match order:
                    case SendStation():
                        facts.extend(self._to_station(order))
                    case SendUpstream():
                        facts.extend(self._to_above(order))
                    case DialUpstream():
                        facts.append(self._dialled(order))
                    case CloseUpstream():
                        self._closed(order)
                    case Persist() | ForgetRows() | UpdateRow():
                        self._unwritten.append(order)
                    case LoadRows():
                        self.write_disk()
                        facts.append(RowsLoaded(self.at, order.station_id, texts(self.folder, order.numbers), order.numbers))
                    case Tell():
                        self._told(order)

    def _to_station(self, order: SendStation) -> list[Fact]:
        if self.links.get(order.station_id) != order.generation:
            return []
        charger = self.chargers[order.station_id]
        assert isinstance(charger, StubbornCharger)
        frame = json.loads(order.text)
        if frame[0] == 2:
            return super()._to_station(order)
        if charger.hears(frame):
            charger.sent_mono_s = float("-inf")
            if charger.flash:
                return [StationFrame(self.at, order.station_id, order.generation, charger.spoken(self.mono_s))]
        return []

    def _dialled(self, order: DialUpstream) -> Fact:
        if self.face == "depot" and order.station_id != DEPOT:
            self.alarms.append(f"{order.station_id} dials by itself")
        if not self.csms_there:
            return UpstreamClosed(self.at, order.station_id, order.generation, "connection refused")
        if self.version not in order.offered:
            return UpstreamClosed(self.at, order.station_id, order.generation, "no common version", no_common_version=True)
        self.legs[order.station_id] = order.generation
        self.leg = order.generation
        return UpstreamOpened(self.at, order.station_id, order.generation, self.version)

    def _closed(self, order: CloseUpstream) -> None:
        if self.legs.get(order.station_id) == order.generation:
            del self.legs[order.station_id]

    def _account_of(self, identity: str) -> OneCsms:
        if identity not in self.above:
            made = Csms16(self.version, self._knows_again) if self.version == V16 else Csms2(self.version)
            made.now = lambda: iso(self.at.wall_s)  # type: ignore[method-assign]
            self.above[identity] = made
        return self.above[identity]

    def _to_above(self, order: SendUpstream) -> list[Fact]:
        """The CSMS reads, or does not; answers, or does not."""
        identity, generation = order.station_id, order.generation
        if self.legs.get(identity) != generation:
            return []
        frame, dice, weather = json.loads(order.text), self.luck.random(), self.weather
        if dice < weather.hang_up:
            self.damage.hang_ups += 1
            if self.luck.random() < 0.5:
                self._account_of(identity).answer(frame)
            del self.legs[identity]
            return [UpstreamClosed(self.at, identity, generation, "closed")]
        if frame[0] == 2 and dice < weather.hang_up + weather.error and self._refuses(frame):
            self.damage.refusals += 1
            error = json.dumps([4, frame[1], "InternalError", "", {}])
            return [UpstreamFrame(self.at, identity, generation, error)]
        text = self._account_of(identity).answer(frame)
        if text is None:
            return []
        answer = UpstreamFrame(self.at, identity, generation, text)
        dice -= weather.hang_up + weather.error
        if dice < weather.silent + weather.late:
            self.damage.silences += 1
            if dice < weather.late:
                self._late.append(_Late(self.mono_s + self.luck.uniform(5, 90), answer))
            return []
        return [answer]

    def _refuses(self, frame: list[Any]) -> bool:
        """Once each: what is refused again and again is given up, and a person is told."""
        content = json.dumps([frame[2], {name: value for name, value in frame[3].items() if name != "offline"}], sort_keys=True)
        if content in self._refused:
            return False
        self._refused.add(content)
        return True

    def csms_leaves(self) -> None:
        """From one moment to the next."""
        self.csms_there = False
        legs, self.legs = dict(self.legs), {}
        for identity, generation in legs.items():
            self.feed(UpstreamClosed(self.at, identity, generation, "CSMS stopped"))
        self.write_disk()

    # -- disk ---------------------------------------------------------------------------------------------------------

    def write_disk(self) -> None:
        """Commits of a few orders each; before, between and behind them the power may fail, and the disk may refuse one.

        As the journal does it: who waits for a refused one is told, the rest of it goes with the next commit.
        """
        while self._unwritten:
            assert self._store is not None
            self._cut()
            count = self.luck.randint(1, len(self._unwritten))
            orders, self._unwritten = self._unwritten[:count], self._unwritten[count:]
            if self.luck.random() < self.weather.disk:
                self.damage.disk += 1
                waiting = [order for order in orders if isinstance(order, Persist) and order.token]
                self._later += [order for order in orders if order not in waiting]
                for refused in waiting:
                    self.feed(PersistFailed(self.at, refused.token, "disk is full"))
                continue
            orders, self._later = [*self._later, *orders], []
            stored = self._store.write(map(_batch, orders))
            self._store.tidy()
            self._cut()
            for order, rows in zip(orders, stored, strict=True):
                if isinstance(order, Persist) and order.token:
                    self.feed(Persisted(self.at, order.token, rows))

    # -- time ---------------------------------------------------------------------------------------------------------

    def stormy_minute(self, minute: Callable[[], None]) -> None:
        """A minute that may be cut short."""
        try:
            minute()
        except PowerCutError:
            self.revive()

    def minute(self, tick_s: float) -> None:
        """A minute of the world."""
        self.speak()
        self.write_disk()
        for _ in range(int(60 / tick_s)):
            self.mono_s += tick_s
            self.feed(TimePassed(self.at))
            self._late_answers()
            self.write_disk()

    def _late_answers(self) -> None:
        due = [item for item in self._late if item.due_mono_s <= self.mono_s]
        self._late = [item for item in self._late if item.due_mono_s > self.mono_s]
        for item in due:
            if self.legs.get(item.fact.station_id) == item.fact.generation:
                self.feed(item.fact)

    def speak(self) -> None:
        """Each charger says what is new, or says it again; links break and come back."""
        for charger in self.chargers.values():
            charger.minute(self.at.wall_s)
        for name in self.chargers:
            self._has_turn(name)

    def _has_turn(self, name: str) -> None:
        charger = self.chargers[name]
        assert isinstance(charger, StubbornCharger)
        if name not in self.links:
            if self.luck.random() < 0.3 or self.weather is CALM:
                self.connect(name)
        elif self.luck.random() < self.weather.link:
            self.damage.links += 1
            generation = self.links.pop(name)
            self.feed(StationClosed(self.at, name, generation, "cable pulled"))
        elif charger.due(self.mono_s):
            self._says(name, charger.spoken(self.mono_s))


def pair_config(folder: Path, names: list[str], version: str) -> Config:
    """The site with a CSMS that sees each charger, and speaks one version."""
    whole = one_config(folder, names).model_dump(mode="json", exclude_defaults=True)
    upstream = {"id": "csms", "url": "ws://127.0.0.1:1/", "offline_unknown": "accept", "versions": [version]}
    return Config.model_validate({**whole, "upstreams": [upstream], "data_dir": str(folder)})


@dataclass(slots=True)
class Outcome:
    """What was seen; everything in wrong is a broken promise."""

    sessions: int = 0
    messages: int = 0
    frames: int = 0
    repeats: int = 0
    damage: Damage = field(default_factory=Damage)
    wrong: list[str] = field(default_factory=list)


def storm(folder: Path, *, stations: int, hours: float, face: str, version: str, seed: int, weather: Weather | None = None) -> Outcome:
    """The whole story: a storm with outages, then calm until nothing waits."""
    world = Storm(folder, stations, face, version, seed, weather or Weather())
    world.csms_there, back_at = True, -1
    for minute in range(int(hours * 60)):
        if minute == back_at:
            world.csms_there = True
        if world.csms_there and world.luck.random() < 1 / 120:
            world.stormy_minute(world.csms_leaves)
            back_at = minute + world.luck.randint(5, 60)
        world.stormy_minute(lambda: world.minute(TICK_S))
    world.csms_there, world.weather = True, CALM
    _settle(world)
    return _account(world)


def _settle(world: Storm) -> None:
    """Nobody starts anything new; everything waiting arrives."""
    for _ in range(24 * 60):
        for name in world.chargers:
            world._has_turn(name)
        for _ in range(20):
            world.mono_s += 3.0
            world.feed(TimePassed(world.at))
            world.write_disk()
        if world.queued == 0 and not any(charger.flash for charger in world.chargers.values()):
            return
    raise AssertionError(f"{world.queued} messages still wait after a day, {sum(len(charger.flash) for charger in world.chargers.values())} unsaid")


def _account(world: Storm) -> Outcome:
    outcome = Outcome(damage=world.damage, wrong=[f"alarm: {alarm}" for alarm in world.alarms])
    of_evse: dict[tuple[str, int], list[Seen]] = {}
    for identity, csms in world.above.items():
        outcome.frames += csms.frames
        outcome.repeats += csms.repeats
        outcome.wrong += [f"{identity}: {wrong}" for wrong in csms.wrong]
        for transaction_id, seen in csms.seen.items():
            of_evse.setdefault((identity, seen.evse), []).append(seen)
            if seen.seqs != list(range(len(seen.seqs))):
                outcome.wrong.append(f"{identity} EVSE {seen.evse} {transaction_id}: seqNo {seen.seqs[:40]}")
    for index, (name, charger) in enumerate(world.chargers.items(), start=1):
        outcome.messages += charger.said
        outcome.sessions += len(charger.visits)
        place = (DEPOT, index) if world.face == "depot" else (name, 1)
        outcome.wrong += compare(charger, sorted(of_evse.pop(place, []), key=lambda seen: seen.start_wh or 0.0))
    outcome.wrong += [f"{place} was never a charger's" for place in of_evse]
    return outcome


def main() -> int:
    """Exit code 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stations", type=int, default=6)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--face", default="", choices=["", "depot", "pair"])
    parser.add_argument("--version", default="", choices=["", V16, V201, V21])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--strength", type=float, default=1.0, help="of the storm")
    options = parser.parse_args()
    broken = 0
    for seed in range(options.seed, options.seed + options.rounds):
        for face in [options.face] if options.face else ["depot", "pair"]:
            for version in [options.version] if options.version else [V16, V201, V21]:
                with tempfile.TemporaryDirectory(prefix="storm-") as folder:
                    world = {"stations": options.stations, "hours": options.hours, "face": face, "version": version, "seed": seed}
                    outcome = storm(Path(folder), **world, weather=weather_of(options.strength))
                broken += len(outcome.wrong)
                seen = f"{outcome.sessions} sessions, {outcome.messages} said, {outcome.frames} frames, {outcome.repeats} repeats, {outcome.damage}"
                print(f"seed {seed} {face} {version}: {len(outcome.wrong)} broken; {seen}", *outcome.wrong[:12], sep="\n  ", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
