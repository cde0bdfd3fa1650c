"""Judges of a site whose surroundings are broken: fuses, limits, stale values, what the API claims, history, compliance record, log.

What a source has stated and the site has confirmed is a bound (``Bound``): more is never allowed until its end, whoever dies meanwhile.
"""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.sim.physics.breaker import Breaker
from tests.support.senses_world import (
    CIRCUIT_FUSE_A,
    CONTACT_EXPORT_W,
    CONTACT_W,
    FAILSAFE_W,
    FUSE_A,
    HALL,
    HEARTBEAT_S,
    VOLTAGE_V,
    YARD,
    Physics,
    Senses,
)

REACT_S = 15.0
"""A limit is obeyed within this: the site's own time, stations and cars, on a slow machine [s]."""
BACK_S = 10.0
"""P9: control again after a restart [s]."""
LOST_S = 10.0 + 4.0
"""A meter that is silent for so long is not believed any more, with some time for the look [s]."""
OVER_S = 15.0
SETTLE_S = 4.0
FILES_MORE, MEMORY_MORE_MIB = 12, 15.0
HELD_S = 110.0
"""A source that is back and states nothing is released after 120 s (LPC-921)."""


@dataclass(slots=True)
class Bound:
    """What one source has stated. word_w: None = no limit. broken_s: since when it cannot be heard. held_s: since when its failsafe must hold."""

    failsafe_w: float | None = None
    silent_after_s: float = HEARTBEAT_S
    word_w: float | None = None
    ends_s: float = math.inf
    broken_s: float | None = None
    held_s: float | None = None
    changed_s: float = -math.inf

    def say(self, watts: float | None, now: float, duration_s: float = math.inf) -> None:
        """A confirmed statement."""
        self.word_w, self.ends_s, self.held_s, self.changed_s = watts, now + duration_s, None, now

    def forget(self, now: float) -> None:
        """Nobody knows what holds now."""
        self.say(None, now)

    def hear(self, heard: bool, now: float) -> None:
        """Whether it can reach the site."""
        if heard:
            self.broken_s = None
        elif self.broken_s is None:
            self.broken_s = now

    def watts(self, now: float) -> float | None:
        """Never more than this; None = no bound."""
        found = [self.word_w] if self.word_w is not None and now < self.ends_s - 1.0 else []
        silent = self.broken_s is not None and now - self.broken_s > self.silent_after_s + SETTLE_S
        if self.failsafe_w is not None and (silent or (self.held_s is not None and now - self.held_s < HELD_S)):
            found.append(self.failsafe_w)
        return min(found, default=None)


@dataclass(slots=True)
class Timer:
    """How long something has been wrong without a break."""

    most_s: float
    run_s: float = 0.0
    worst_s: float = 0.0
    said: bool = False

    def step(self, wrong: bool, seconds: float) -> bool:
        """True once per time that it is wrong for too long."""
        self.run_s = self.run_s + seconds if wrong else 0.0
        self.worst_s = max(self.worst_s, self.run_s)
        self.said = self.said and wrong
        if self.run_s <= self.most_s or self.said:
            return False
        self.said = True
        return True


@dataclass
class Judge:
    """See the module. wrongs: what was seen, for people. outages: (from, until) of Yardmaster, wall seconds."""

    senses: Senses
    wrongs: list[str] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    up_since_s: float = 0.0

    def __post_init__(self) -> None:
        self.bounds = {name: Bound(watts) for name, watts in FAILSAFE_W.items()} | {"desk": Bound(), "box": Bound(CONTACT_W, 3.0)}
        self.feed_in = Bound(CONTACT_EXPORT_W, 3.0)
        self.breakers = {"grid": Breaker("grid", FUSE_A), "hall": Breaker("hall", CIRCUIT_FUSE_A), "yard": Breaker("yard", CIRCUIT_FUSE_A)}
        self.over = {name: Timer(OVER_S) for name in self.breakers}
        self.above = {name: Timer(REACT_S) for name in [*self.bounds, "feed-in"]}
        self.silent_s: dict[str, float] = {}
        self.stale = {name: Timer(2.0) for name in ("grid", "m-hall", "m-yard", "sun", "cell")}
        self.up_since_s = self.senses.now

    @property
    def rules(self) -> bool:
        """Yardmaster has had its time after a start."""
        return self.senses.yard.alive and self.senses.now - self.up_since_s > BACK_S

    def wrong(self, text: str) -> None:
        """Note it."""
        self.wrongs.append(f"{self.senses.clock.stamp().wall_s:.1f} {text}")

    # -- ten times a second ------------------------------------------------------------------------------

    def look(self, seconds: float) -> None:
        """The physics now."""
        physics, now = self.senses.physics, self.senses.now
        self._paths(now)
        currents = {"grid": physics.grid_a, "hall": physics.cars_a(HALL), "yard": physics.cars_a(YARD)}
        for name, amps in currents.items():
            breaker = self.breakers[name]
            breaker.step(list(amps), seconds, 0.0)
            if self.over[name].step(self.rules and max(amps) > breaker.fuse_a * 1.005, seconds):
                self.wrong(f"{name} has been over its fuse for {OVER_S} s: {max(amps):.1f} A")
        for name, bound in self.bounds.items():
            self._obeyed(name, measured_w(physics, name), bound.watts(now), seconds)
        self._obeyed("feed-in", -sum(physics.grid_a) * VOLTAGE_V, self.feed_in.watts(now), seconds)

    def _obeyed(self, name: str, flows_w: float, bound_w: float | None, seconds: float) -> None:
        above = self.rules and bound_w is not None and flows_w > bound_w * 1.02 + 200.0
        if self.above[name].step(above, seconds):
            self.wrong(f"{name}: {flows_w:.0f} W flow, {bound_w:.0f} W are allowed, for {REACT_S} s")

    def _paths(self, now: float) -> None:
        """Who can be heard at all."""
        around, yard = self.senses.around, self.senses.yard
        open_ = {name: wire.held.is_set() for name, wire in around.wires.items()}
        broker = self.senses.heard["broker"] and open_["broker"]
        devices = {name: one.alive and open_[name] for name, one in around.devices.items()}
        meters = {"grid": devices["meter"] and around.devices["meter"].settings.get("wrong") is None}
        meters |= {"m-hall": devices["http"], "m-yard": broker, "sun": devices["hybrid"], "cell": devices["hybrid"]}
        for name, heard in meters.items():
            if heard or not yard.alive:
                self.silent_s.pop(name, None)
            else:
                self.silent_s.setdefault(name, now)
        sources = {"fleet": broker, "dso": devices["vtn"], "utility": self.senses.heard["utility"] and open_["utility"], "box": devices["module"]}
        for name, heard in sources.items():
            bound = self.bounds[name]
            if heard and name == "fleet" and bound.broken_s is not None and now - bound.broken_s > HEARTBEAT_S + SETTLE_S:
                bound.held_s = now  # the failsafe goes on until the next statement
            bound.hear(heard or not yard.alive, now)
        self.feed_in.hear(devices["module"] or not yard.alive, now)

    # -- what the API claims -----------------------------------------------------------------------------

    def claims(self, state: dict[str, Any], seconds: float) -> None:
        """A picture of the state, asked for ``seconds`` after the last one."""
        now = self.senses.now
        shown = {signal["id"]: signal for signal in state["site"]["signals"]}
        for name, bound in self.bounds.items():
            watts = bound.watts(now)
            if watts is None or now - bound.changed_s < SETTLE_S:
                continue
            if (limit_w := shown[name]["limit_w"]) is None or limit_w > watts + 1.0:
                self.wrong(f"{name}: {watts:.0f} W were stated, the state says {shown[name]['state']} {limit_w}")
        for meter in state["site"]["meters"]:
            if (timer := self.stale.get(meter["id"])) is not None:
                since_s = self.silent_s.get(meter["id"])
                dead = since_s is not None and now - max(since_s, self.up_since_s) > LOST_S
                believed = meter["health"] != "lost" or meter["power_w"] is not None
                if timer.step(dead and believed, seconds):
                    self.wrong(f"meter {meter['id']} is silent and believed: {meter['health']} {meter['power_w']} W")

    def grown(self, seen: list[tuple[int, float]]) -> None:
        """Open files and memory [MiB] of one life, each time when all was well: bounded, and not more each time."""
        print("files and memory:", ", ".join(f"{files} {mib:.1f} MiB" for files, mib in seen))
        if seen[-1][0] > seen[0][0] + FILES_MORE:
            self.wrong(f"open files grow: {seen}")
        if seen[-1][1] > seen[0][1] + MEMORY_MORE_MIB:
            self.wrong(f"memory grows: {seen}")

    # -- at the end --------------------------------------------------------------------------------------

    def fuses(self) -> None:
        """No breaker can have tripped."""
        for name, breaker in self.breakers.items():
            worst = max(breaker.phases, key=lambda pole: pole.peak_thermal)
            if worst.peak_thermal >= 1.0:
                self.wrong(f"the breaker {name} may have tripped: thermal {worst.peak_thermal:.2f}, peak {worst.peak_a:.1f} A")

    def log(self) -> None:
        """No defect was logged, no secret either."""
        text = self.senses.yard.log.read_text()
        for word in ("Traceback", "internal error", "please report", "was never retrieved", "Unclosed", "secret"):
            if word in text:
                place = text.index(word)
                self.wrong(f"the log has {word!r}: {text[max(0, place - 300) : place + 1500]}")

    async def history(self) -> None:
        """Points of our own store and the server's: nothing is missing in either but the last moments before a kill, nothing is twice."""
        folder = Path(self.senses.data["data_dir"])
        own, sent = points_kept(folder / "history.sqlite3"), await points_sent(self.senses)
        sent_or_waiting = set(sent) | points_waiting(folder / "spool.sqlite3")
        lost = [key for key in own if key not in sent_or_waiting and not self._killed_near(key[3])]
        extra = [key for key in sent if key not in own and not self._killed_near(key[3])]
        if not own or not sent:
            self.wrong(f"there is no history: {len(own)} points here, {len(sent)} there")
        if lost:
            self.wrong(f"{len(lost)} of {len(own)} points were lost, e.g. {sorted(lost, key=lambda key: key[3])[:3]}")
        if extra:
            self.wrong(f"{len(extra)} of {len(sent)} points are only on the server, e.g. {sorted(extra, key=lambda key: key[3])[:3]}")
        if differ := [key for key in own if key in sent and not math.isclose(own[key], sent[key], rel_tol=1e-9, abs_tol=1e-9)]:
            self.wrong(f"{len(differ)} points differ, e.g. {differ[0]}: {own[differ[0]]} and {sent[differ[0]]}")

    def _killed_near(self, wall_ms: int) -> bool:
        return any(start_s - 3.0 <= wall_ms / 1000.0 <= end_s + 1.0 for start_s, end_s in self.outages)

    def record(self) -> None:
        """The compliance record: numbers without a gap, and while a limit is in force a line at least every few seconds."""
        with sqlite3.connect(Path(self.senses.data["data_dir"]) / "compliance.sqlite3") as db:
            rows = db.execute("SELECT id, wall_ms, source, direction, circuit, event FROM lines ORDER BY id").fetchall()
        numbers = [row[0] for row in rows]
        if numbers != list(range(1, len(rows) + 1)):
            self.wrong(f"the compliance record has gaps: {len(rows)} lines, last number {numbers[-1:]}")
        last: dict[tuple[str, ...], int] = {}
        for _, wall_ms, *where, event in rows:
            key = tuple(where)
            if event in ("ended", "released"):
                last.pop(key, None)
            elif event in ("measured", "not_measured", "in_force", "failsafe"):
                before_ms = last.get(key, wall_ms)
                if wall_ms - before_ms > 9_000 and not self._outage_between(before_ms, wall_ms):
                    self.wrong(f"the compliance record of {key} says nothing for {(wall_ms - before_ms) / 1000:.1f} s")
                last[key] = wall_ms

    def _outage_between(self, from_ms: int, until_ms: int) -> bool:
        return any(start_s * 1000 < until_ms and end_s * 1000 > from_ms for start_s, end_s in self.outages)


def measured_w(physics: Physics, name: str) -> float:
    """What flows where a source binds, import positive."""
    if name == "desk":
        return sum(physics.cars_a()) * VOLTAGE_V + max(0.0, physics.battery_w)
    return sum(physics.grid_a) * VOLTAGE_V


Key = tuple[str, str, str, int]
"""(measurement, tags as JSON, field, milliseconds)."""


def points_kept(file: Path) -> dict[Key, float]:
    """Of the embedded store."""
    with sqlite3.connect(file) as db:
        both = "(SELECT series, wall_ms, value FROM points UNION SELECT series, wall_ms, value FROM recent)"
        rows = db.execute(f"SELECT measurement, tags, field, wall_ms, value FROM {both} AS every JOIN series ON series.id = every.series")
        return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}


async def points_sent(senses: Senses) -> dict[Key, float]:
    """Of the server."""
    found = await senses.around.influx.ask("SELECT * FROM /.*/ GROUP BY *")
    points: dict[Key, float] = {}
    for series in found["results"][0].get("series", ()):
        tags = json.dumps({name: value for name, value in series.get("tags", {}).items() if value}, sort_keys=True)
        for row in series["values"]:
            cells = zip(series["columns"][1:], row[1:], strict=True)
            points |= {(series["name"], tags, name, int(row[0])): value for name, value in cells if value is not None}
    return points


def points_waiting(file: Path) -> set[Key]:
    """Of the spool: name,tags fields milliseconds. Names here hold no blanks."""
    with sqlite3.connect(file) as db:
        lines = [row[0] for row in db.execute("SELECT line FROM spool")]
    keys: set[Key] = set()
    for line in lines:
        head, fields, at_ms = line.replace("\\ ", "\0").split(" ")
        name, *tags = head.split(",")
        told = json.dumps(dict(sorted(tag.replace("\0", " ").split("=", 1) for tag in tags)), sort_keys=True)
        keys |= {(name, told, one.split("=")[0], int(at_ms)) for one in fields.split(",")}
    return keys
