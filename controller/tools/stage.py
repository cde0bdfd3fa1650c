"""Plays a transcript to the very engine of the field, in virtual time, without a socket.

Only what the stations and CSMSs said is played; what Yardmaster sent is left to the engine. Neighbours behave as in
the recording: a CSMS is there when it was there, an answer comes when the CALL it belongs to has been sent and its time
has come. Yardmaster's own CALLs bear other ids each time, and other limits, for meters and prices are not in a
transcript: each is matched with one of the recording, the same content first, else the same action, and gets its
answer; one without a counterpart gets the last answer to that action. Chargers that are translated, and a depot as one
station, are played too: ids that Yardmaster gives anew are put into what peers say later (``counterparts``).
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.config import Config
from controller.engine import Engine
from controller.facts import (
    Fact,
    OutboxRow,
    Persisted,
    Restored,
    RowsLoaded,
    Stamp,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.io.links.tap_reading import CSMS, STATION, Reader, Wires
from controller.io.schemas import shapes
from controller.link.session import DEFAULT_VERSION
from controller.orders import (
    CloseStation,
    CloseUpstream,
    DialUpstream,
    ForgetRows,
    LoadRows,
    Order,
    Persist,
    SendStation,
    SendUpstream,
    Severity,
    Tell,
    UpdateRow,
)
from controller.site.stations.charger import ChargerModel
from controller.tools.compare_translated import names_of
from controller.tools.counterparts import Aliases, Counterparts, head_of, is_incoming, with_id
from controller.tools.transcript import Record, Transcript

TRUSTED_FROM_WALL_S = 1_704_067_200.0
DIAL_S = 10.0
"""How long a dial waits for what the recording says about it."""
SETTLE_S = 90.0
"""Virtual time after the last record in which what is under way may end."""

Leg = tuple[str, str]
"""(station, leg)."""
Key = tuple[str, str, str]
"""(station, leg, message id in the recording)."""


@dataclass(frozen=True, slots=True)
class Played:
    """How it went. records: as a tap would have shown it. waiting: messages still on disk. parked: given up. defects: internal errors."""

    records: list[dict[str, Any]]
    fed: int
    left_out: int
    waiting: int
    parked: int
    defects: list[str]


def _known(transcript: Transcript) -> dict[tuple[str, str], str]:
    """What the stations spoke when the recording began."""
    states = transcript.header.get("stations", [])
    return {(str(state.get("station", "")), STATION): str(state.get("version") or DEFAULT_VERSION) for state in states}


class Stage:
    """One performance. Use ``play`` once."""

    def __init__(self, config: Config, transcript: Transcript, models: Mapping[str, ChargerModel]) -> None:
        self._config = config
        self._transcript = transcript
        self._engine = Engine(config, "replay", models, shapes())
        self._depots = {config.identity_of(upstream) for upstream in config.upstreams if upstream.face == "depot"}
        self._speed = float(transcript.header.get("wall_speed") or 1.0)
        self._versions: dict[str, str] = {}
        wires = Wires(_known(transcript), frozenset(self._depots), lambda name: self._engine.links.translates(name))
        self._reader = Reader(wires, config.listen.max_frame_bytes)
        self._own = Counterparts(transcript.records)
        self._aliases: dict[str, Aliases] = defaultdict(Aliases)
        self._translated = names_of(transcript.records)
        self._todo: deque[Fact] = deque()
        self._seen: list[dict[str, Any]] = []
        self._generations: dict[str, int] = defaultdict(int)
        self._connected: set[str] = set()
        self._there: dict[Leg, bool] = {}
        self._spoken: dict[Leg, str] = {}
        self._dials: dict[Leg, tuple[DialUpstream, float]] = {}
        self._open: dict[Leg, DialUpstream] = {}
        self._came: dict[Leg, set[str]] = defaultdict(set)
        self._asked: dict[Key, str] = {}
        self._early: dict[Key, str] = {}
        self._late: dict[Leg, list[str]] = defaultdict(list)
        self._rows: dict[int, OutboxRow] = {}
        self._number = 0
        self._fed = self._left_out = 0
        self._defects: list[str] = []
        self._at = self._stamp(float(transcript.header.get("mono_s", 0.0)), float(transcript.header.get("wall_s", 0.0)))

    def play(self) -> Played:
        """The whole transcript, and what follows from it."""
        self._begin()
        for record in self._transcript.records:
            self._pass_time(float(record["mono_s"]))
            self._at = self._stamp(max(self._at.mono_s, float(record["mono_s"])), float(record["wall_s"]))
            if is_incoming(record):
                self._happen(record)
        self._pass_time(self._at.mono_s + SETTLE_S)
        parked = sum(row.parked for row in self._rows.values())
        return Played(self._seen, self._fed, self._left_out, len(self._rows) - parked, parked, self._defects)

    def _begin(self) -> None:
        self._submit(Restored(self._at, {}, {}))
        for state in self._transcript.header.get("stations", []):
            station_id = str(state.get("station", ""))
            self._versions[station_id] = str(state.get("version") or DEFAULT_VERSION)
            self._there[station_id, CSMS] = state.get("upstream") == "open"
            self._spoken[station_id, CSMS] = str(state.get("csms_version") or "")
            if state.get("online"):
                self._connect(station_id, self._versions[station_id], "")

    # -- time -----------------------------------------------------------------------------------------

    def _stamp(self, mono_s: float, wall_s: float) -> Stamp:
        return Stamp(mono_s, wall_s, self._speed, wall_s >= TRUSTED_FROM_WALL_S)

    def _pass_time(self, until_mono_s: float) -> None:
        tick_s = self._config.control.tick_s
        while self._at.mono_s + tick_s <= until_mono_s:
            self._at = self._stamp(self._at.mono_s + tick_s, self._at.wall_in(tick_s))
            self._submit(TimePassed(self._at))
            for leg, (dial, since_mono_s) in list(self._dials.items()):
                if self._at.mono_s - since_mono_s >= DIAL_S:
                    self._dials.pop(leg, None)
                    self._upstream_closed(dial, "no answer in the recording")

    # -- what peers did ----------------------------------------------------------------------------------

    def _happen(self, record: Record) -> None:
        station_id, leg, kind, text = record["station"], record["leg"], record["kind"], record["text"]
        if self._config.station(station_id) is None and station_id not in self._depots:
            self._left_out += 1
        elif kind == "OPENED" and leg == STATION:
            self._connect(station_id, str(record.get("version") or DEFAULT_VERSION), str(record.get("path", "")))
        elif kind == "OPENED":
            self._spoken[station_id, leg] = str(record.get("version") or "")
            self._upstream_there((station_id, leg))
        elif kind == "CLOSED" and leg == STATION:
            self._disconnect(station_id, text)
        elif kind == "CLOSED":
            self._upstream_gone((station_id, leg), text)
        elif kind in ("CALL", "SEND", "RESULT", "ERROR", "RESULTERROR"):
            self._said(record, station_id, leg, kind, text)
        else:
            self._left_out += kind == "BROKEN"

    def _said(self, record: Record, station_id: str, leg: str, kind: str, text: str) -> None:
        if kind in ("CALL", "SEND"):
            self._fed += 1
            self._came[station_id, leg].add(head_of(text)[1])
            self._feed(station_id, leg, text)
            return
        if not record.get("action"):
            self._left_out += 1  # it answers what was asked before the recording began
            return
        self._fed += 1
        key = (station_id, leg, head_of(text)[1])
        if key in self._asked:
            self._feed(station_id, leg, with_id(text, self._asked.pop(key)))
        else:
            self._early[key] = text

    def _feed(self, station_id: str, leg: str, text: str) -> None:
        if station_id in self._translated:
            text = self._aliases[self._space(station_id, leg)].apply(text)
        if leg == STATION:
            if station_id in self._connected:
                self._submit(StationFrame(self._at, station_id, self._generations[station_id], text))
            return
        dial = self._open.get((station_id, leg))
        if dial is None:
            # In the recording this leg was open by now, so it soon is here.
            self._late[station_id, leg].append(text)
            return
        self._submit(UpstreamFrame(self._at, station_id, dial.generation, text, dial.mirror_id))

    def _space(self, station_id: str, leg: str) -> str:
        """Whose ids meet on a leg: a CSMS knows those of its own socket, a station its own."""
        return f"{station_id} {leg}"

    def _connect(self, station_id: str, version: str, path: str) -> None:
        self._generations[station_id] += 1
        self._versions[station_id] = version
        self._connected.add(station_id)
        tail = path or f"/{station_id}"
        self._submit(StationConnected(self._at, station_id, self._generations[station_id], version, "recording", tail))

    def _disconnect(self, station_id: str, reason: str) -> None:
        if station_id in self._connected:
            self._connected.discard(station_id)
            self._submit(StationClosed(self._at, station_id, self._generations[station_id], reason))

    def _upstream_there(self, leg: Leg) -> None:
        self._there[leg] = True
        dial = self._dials.pop(leg, None)
        if dial is not None:
            self._upstream_opened(dial[0])

    def _upstream_gone(self, leg: Leg, reason: str) -> None:
        self._there[leg] = False
        self._late.pop(leg, None)
        dial = self._dials.pop(leg, None)
        running = self._open.pop(leg, None)
        if running is not None or dial is not None:
            self._upstream_closed(running or dial[0], reason)  # type: ignore[index]

    def _upstream_opened(self, dial: DialUpstream) -> None:
        leg = _leg(dial)
        self._open[leg] = dial
        recorded, version = self._spoken.get(leg, ""), self._versions.get(dial.station_id, "")
        chosen = next((name for name in (recorded, version) if name in dial.offered), dial.offered[0])
        self._submit(UpstreamOpened(self._at, dial.station_id, dial.generation, chosen, dial.mirror_id))
        for text in self._late.pop(leg, []):
            self._feed(*leg, text)

    def _upstream_closed(self, dial: DialUpstream, reason: str) -> None:
        self._submit(UpstreamClosed(self._at, dial.station_id, dial.generation, reason, mirror_id=dial.mirror_id))

    # -- what the engine does --------------------------------------------------------------------------------

    def _submit(self, fact: Fact) -> None:
        """Hand in a fact and everything that follows from it, in order and without recursion."""
        self._todo.append(fact)
        if len(self._todo) > 1:
            return
        while self._todo:
            first = self._todo[0]
            orders = self._engine.handle(first)
            self._seen += [seen.as_json() for seen in self._reader.read(first, orders)]
            for order in orders:
                self._carry(order)
            self._todo.popleft()

    def _carry(self, order: Order) -> None:
        match order:
            case SendStation(station_id, generation, text):
                if station_id in self._connected and generation == self._generations[station_id]:
                    self._sent(station_id, STATION, text)
            case SendUpstream():
                if (order.station_id, _leg(order)[1]) in self._open:
                    self._sent(order.station_id, _leg(order)[1], order.text)
            case CloseStation(station_id, generation, _, reason):
                if generation == self._generations[station_id]:
                    self._disconnect(station_id, reason)
            case DialUpstream():
                self._dials[_leg(order)] = (order, self._at.mono_s)
                if self._there.get(_leg(order)):
                    self._upstream_there(_leg(order))
            case CloseUpstream():
                self._hang_up(order)
            case Tell() if order.severity is Severity.ALARM and order.text.startswith("internal error"):
                self._defects.append(f"{order.subject}: {order.text}")
            case _:
                self._keep(order)

    def _hang_up(self, order: CloseUpstream) -> None:
        leg = _leg(order)
        dial = self._dials.pop(leg, None)
        running = self._open.pop(leg, None) or (dial[0] if dial is not None else None)
        if running is not None and running.generation == order.generation:
            self._upstream_closed(running, order.reason)

    def _keep(self, order: Order) -> None:
        """The journal, in memory."""
        match order:
            case Persist():
                rows = tuple(replace(row, number=self._number + index) for index, row in enumerate(order.rows, 1))
                self._number += len(rows)
                self._rows |= {row.number: row for row in rows}
                if order.token:
                    self._submit(Persisted(self._at, order.token, rows))
            case ForgetRows(numbers):
                for number in numbers:
                    self._rows.pop(number, None)
            case UpdateRow(number, attempts, parked) if number in self._rows:
                self._rows[number] = replace(self._rows[number], attempts=attempts, parked=parked)
            case LoadRows(station_id, numbers):
                rows = tuple(self._rows[number] for number in numbers if number in self._rows)
                self._submit(RowsLoaded(self._at, station_id, rows, numbers))

    def _sent(self, station_id: str, leg: str, text: str) -> None:
        """A CALL of the engine went out: its answer comes as in the recording."""
        number, message_id, rest = head_of(text)
        if number == 3:
            self._learn(station_id, leg, self._own.answer(station_id, leg, message_id), rest)
        if number not in (2, 6):
            return
        others = (ids for (station, other), ids in self._came.items() if station == station_id and other != leg)
        if any(message_id in ids for ids in others):
            self._await((station_id, leg, message_id), message_id)
            return
        found = self._own.match(station_id, leg, rest)
        if found is not None:
            self._learn(station_id, leg, found[1], rest)
            self._await((station_id, leg, found[0]), message_id)
        elif number == 2:
            answer = self._own.stand_in(station_id, leg, str(rest[0]))
            words = with_id(answer, message_id) if answer is not None else json.dumps([4, message_id, "NotSupported", "not in the recording", {}])
            self._feed(station_id, leg, words)

    def _learn(self, station_id: str, leg: str, then: Any, now: Any) -> None:
        if station_id in self._translated:
            self._aliases[self._space(station_id, leg)].learn(then, now)

    def _await(self, key: Key, message_id: str) -> None:
        text = self._early.pop(key, None)
        if text is None:
            self._asked[key] = message_id
        else:
            self._feed(key[0], key[1], with_id(text, message_id))


def _leg(order: DialUpstream | SendUpstream | CloseUpstream) -> Leg:
    return order.station_id, f"mirror:{order.mirror_id}" if order.mirror_id else CSMS
