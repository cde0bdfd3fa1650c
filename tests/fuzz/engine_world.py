"""A whole engine between two stations, their CSMS, a mirror and a disk, driven by bytes.

Any bytes are a story: what stations and CSMS say (rubbish, valid messages, valid messages spoilt), when sockets come and
go, when time passes and the disk fails. The oracle is one sentence: nothing raises, and whatever one station or its CSMS
says moves no socket and sends no frame but its own; what is sent is a frame its receiver can read.

Serves the fuzz targets beside this file and ``test_engine_steps``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

from controller.config import Config
from controller.engine import Engine
from controller.facts import (
    Fact,
    OutboxRow,
    Persisted,
    PersistFailed,
    Restored,
    RowsLoaded,
    Stamp,
    StationArrived,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.ocpp import rpc
from controller.orders import CloseStation, CloseUpstream, DialUpstream, ForgetRows, LoadRows, Order, Persist, SendStation, SendUpstream, Tell
from controller.site.stations.charger import GENERIC
from tests.conformance.peers.bodies import STYLES, Meaning, actions, request, response

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
STATIONS = ("CP1", "CP2")
START_WALL_S = 1_790_000_000.0
NASTY: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    10**300,
    1e308,
    -0.5,
    "",
    "x" * 300,
    "0" * 40,
    "2026-13-45T99:99:99Z",
    "2026-11-21T16:00:00+99:99",
    "\x00\u2028",
    "-1",
    "NaN",
    [],
    {},
    [[]],
    [None],
    {"id": None},
    [{}] * 3,
)


class Choices:
    """Bytes as a row of decisions; when they are used up every decision is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not used yet."""
        return len(self._data) - self._at

    def number(self, below: int) -> int:
        """0 <= number < below <= 256."""
        taken = self._data[self._at] if self.left > 0 else 0
        self._at += 1
        return taken % below

    def pick(self, values: Any) -> Any:
        """One of a sequence."""
        return values[self.number(len(values))]

    def text(self) -> str:
        """Any text, lone surrogates among its letters."""
        size = self.number(256)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken.decode("utf-8", "surrogateescape")


def spoilt(value: Any, choices: Choices) -> Any:
    """A JSON value with one place in it changed."""
    if isinstance(value, dict) and value and choices.number(6):
        key = choices.pick(sorted(value))
        if not choices.number(8):
            return {name: kept for name, kept in value.items() if name != key}
        return {**value, key: spoilt(value[key], choices)}
    if isinstance(value, list) and value and choices.number(4):
        place = choices.number(min(len(value), 256))
        return [*value[:place], spoilt(value[place], choices), *value[place + 1 :]]
    return choices.pick(NASTY)


@cache
def _body(version: str, action: str, style: str, event: str, evse: int, answer: bool) -> Any:
    """A valid message; nobody changes it."""
    meaning = Meaning(style, evse=evse, transaction=7 if version == "ocpp1.6" else "tx-1", event=event)
    return (response if answer else request)(version, action, meaning)


class World:
    """See the module. version: what every leg speaks."""

    def __init__(self, version: str) -> None:
        self.version = version
        stations = [{"id": name, "evses": [{"id": n, "max_current_a": 32, "fallback_a": 6} for n in (1, 2)]} for name in STATIONS]
        ups = [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp"}, {"id": "m1", "role": "mirror", "url": "ws://127.0.0.1:2/ocpp"}]
        grid = {"fuse_a": 63, "worst_other_load_a": 10}
        config = Config.model_validate({"site": {"id": "fuzz"}, "grid": grid, "stations": stations, "upstreams": ups})
        self.engine = Engine(config, "seed", {"generic": GENERIC})
        self.mono_s = 1000.0
        self.disk = True
        self.upstream = True
        self.rows: dict[int, OutboxRow] = {}
        self.generations = dict.fromkeys(STATIONS, 0)
        self.online = dict.fromkeys(STATIONS, False)
        self.legs: dict[tuple[str, str], int] = {}
        self.down: dict[str, list[Any]] = {}
        self.up: dict[str, list[Any]] = {}
        self.ids = 0
        self.feed(Restored(self.at, {}, {}))
        for name in STATIONS:
            self.connect(name)

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    # -- the oracle -----------------------------------------------------------------------------------

    def feed(self, fact: Fact, about: str = "") -> None:
        """One fact and what follows from it. about: the station it concerns, "" = anybody."""
        todo: list[Fact] = [fact]
        for _ in range(2000):
            if not todo:
                return
            for order in self.engine.handle(todo.pop(0)):
                self._judge(order, about)
                todo += self._carry(order)
        raise AssertionError("the engine and its shells never come to rest")

    def _judge(self, order: Order, about: str) -> None:
        assert not (isinstance(order, Tell) and "internal error" in order.text), order
        if not isinstance(order, SendStation | SendUpstream | CloseStation | CloseUpstream):
            return
        assert about in ("", order.station_id), f"something about {about} touched {order.station_id}: {order}"
        if isinstance(order, SendStation | SendUpstream):
            order.text.encode()
            assert isinstance(json.loads(order.text), list), order
        if isinstance(order, SendStation):
            assert self.online[order.station_id], order
            assert order.generation == self.generations[order.station_id], order

    # -- what shells do -------------------------------------------------------------------------------

    def _carry(self, order: Order) -> list[Fact]:
        match order:
            case Persist():
                return [self._write(order)] if order.token or order.rows else []
            case ForgetRows():
                for number in order.numbers:
                    self.rows.pop(number, None)
            case LoadRows():
                return [RowsLoaded(self.at, order.station_id, tuple(self.rows[n] for n in order.numbers if n in self.rows), order.numbers)]
            case DialUpstream():
                return [self._dial(order)]
            case SendStation() | SendUpstream():
                self._note(order)
            case CloseStation():
                if self.online[order.station_id] and order.generation == self.generations[order.station_id]:
                    return [self._gone(order.station_id)]
            case CloseUpstream():
                key = (order.station_id, order.mirror_id)
                if self.legs.get(key) == order.generation:
                    del self.legs[key]
                    return [UpstreamClosed(self.at, *(order.station_id, order.generation, "closed by us"), mirror_id=order.mirror_id)]
            case _:
                pass
        return []

    def _write(self, order: Persist) -> Fact:
        if not self.disk:
            return PersistFailed(self.at, order.token, "disk full")
        written = []
        for row in order.rows:
            number = max(self.rows, default=0) + 1
            written.append(replace(row, number=number))
            self.rows[number] = written[-1]
        return Persisted(self.at, order.token, tuple(written))

    def _dial(self, order: DialUpstream) -> Fact:
        if not self.upstream:
            return UpstreamClosed(self.at, order.station_id, order.generation, "cannot connect", mirror_id=order.mirror_id)
        self.legs[(order.station_id, order.mirror_id)] = order.generation
        version = self.version if self.version in order.offered else order.offered[0]
        return UpstreamOpened(self.at, order.station_id, order.generation, version, order.mirror_id)

    def _note(self, order: SendStation | SendUpstream) -> None:
        frame = json.loads(order.text)
        if frame[0] == rpc.CALL:
            (self.down if isinstance(order, SendStation) else self.up)[order.station_id] = frame

    def connect(self, name: str) -> None:
        """The station connects; an old socket of it is gone first."""
        if self.online[name]:
            self.feed(self._gone(name), name)
        self.generations[name] += 1
        self.feed(StationArrived(self.at, name, self.generations[name], (self.version,), "127.0.0.1"), name)
        self.online[name] = True
        self.feed(StationConnected(self.at, name, self.generations[name], self.version, "127.0.0.1"), name)

    def _gone(self, name: str) -> Fact:
        self.online[name] = False
        return StationClosed(self.at, name, self.generations[name], "gone")

    # -- what happens ---------------------------------------------------------------------------------

    def step(self, choices: Choices) -> None:
        """One thing that can happen."""
        name = STATIONS[choices.number(2)]
        moves = (
            lambda: self.station_says(name, choices.text()),
            lambda: self.csms_says(name, choices.text(), choices.pick(("", "", "m1"))),
            lambda: self.station_says(name, self._call(choices)),
            lambda: self.station_says(name, self._call(choices)),
            lambda: self.csms_says(name, self._call(choices), choices.pick(("", "", "m1"))),
            lambda: self.csms_says(name, self._call(choices), ""),
            lambda: self.station_says(name, self._answer(self.down.pop(name, None), choices)),
            lambda: self.csms_says(name, self._answer(self.up.pop(name, None), choices), ""),
            lambda: self.time(choices.pick((0.1, 1.0, 1.0, 5.0, 35.0, 400.0, 100_000.0))),
            lambda: self.time(1.0),
            lambda: self.connect(name),
            lambda: self.turn_upstream(),
            lambda: self.turn_disk(),
        )
        moves[choices.number(len(moves))]()

    def station_says(self, name: str, text: str) -> None:
        """A text message of a station."""
        if not self.online[name]:
            self.connect(name)
        self.feed(StationFrame(self.at, name, self.generations[name], text), name)

    def csms_says(self, name: str, text: str, mirror_id: str) -> None:
        """A text message of the CSMS on a station's leg, or of the mirror."""
        leg = self.legs.get((name, mirror_id))
        if leg is not None:
            self.feed(UpstreamFrame(self.at, name, leg, text, mirror_id), name)

    def time(self, seconds: float) -> None:
        """Time passes: it concerns everybody."""
        self.mono_s += seconds
        self.feed(TimePassed(self.at))

    def turn_upstream(self) -> None:
        """The CSMS goes away, or can be reached again."""
        self.upstream = not self.upstream
        legs = {} if self.upstream else dict(self.legs)
        for (name, mirror_id), generation in legs.items():
            if self.legs.pop((name, mirror_id), None) is not None:
                self.feed(UpstreamClosed(self.at, name, generation, "connection lost", mirror_id=mirror_id), name)

    def turn_disk(self) -> None:
        """The disk is full, or has room again."""
        self.disk = not self.disk

    # -- what is said ---------------------------------------------------------------------------------

    def _call(self, choices: Choices) -> str:
        action = choices.pick(sorted(actions(self.version)))
        style, event, evse = choices.pick(STYLES), choices.pick(("Started", "Updated", "Ended")), choices.pick((1, 1, 2, 3))
        payload = self._spoil(_body(self.version, action, style, event, evse, False), choices)
        self.ids += 1
        kind = choices.pick((2, 2, 2, 2, 2, 2, 2, 6))
        return self._damage(json.dumps([kind, f"fuzz-{self.ids}", action, payload]), choices)

    def _answer(self, call: list[Any] | None, choices: Choices) -> str:
        message_id, action = (call[1], call[2]) if call is not None else ("nobody", "Heartbeat")
        if choices.number(5) == 0:
            return self._damage(json.dumps([4, message_id, choices.pick(("GenericError", "NotSupported", 7)), "", {}]), choices)
        known = action in actions(self.version) and action != "NotifyPeriodicEventStream"
        payload = _body(self.version, action, choices.pick(STYLES), "Updated", 1, True) if known else {}
        return self._damage(json.dumps([3, message_id, self._spoil(payload, choices)]), choices)

    def _spoil(self, payload: Any, choices: Choices) -> Any:
        for _ in range(choices.pick((0, 0, 1, 1, 2, 5))):
            payload = spoilt(payload, choices)
        return payload

    def _damage(self, text: str, choices: Choices) -> str:
        """Seldom, so that most of what is said is at least JSON."""
        if choices.number(16):
            return text
        place = choices.number(256) * len(text) // 256
        return text[:place] + choices.text() + text[place + choices.number(4) :]


def play(data: bytes, most: int = 200) -> World:
    """The story in some bytes, at most ``most`` steps of it. Raises AssertionError where the oracle says no."""
    choices = Choices(data)
    world = World(choices.pick(VERSIONS))
    for _ in range(most):
        if choices.left <= 0:
            break
        world.step(choices)
    return world
