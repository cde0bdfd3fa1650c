"""What a run has shown, as plain data: per circuit and phase, energy, waits, writes, alarms - and what broke a promise.

Reports of the parts of a month add up to the report of the month.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from controller.sim.physics.account import Tally, Wait
from controller.sim.physics.world import World

BUDGET_S = 11.0
"""From overload to relief at worst: poll, decide, relay, the box, the car (RELIABILITY 7)."""
THERMAL_MOST = 1.0
PHASES = ("L1", "L2", "L3")
KEPT_TEXTS = 60
NAMES = re.compile(r"\bS\d+(/\d+)?\b|\bm-[a-z0-9-]+|\b(panel-)?[a-d]\d?\b|-?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which run it was. frozen: the controller was stopped on purpose."""

    seed: int
    days: float
    frozen: bool = False


@dataclass(slots=True)
class PhaseReport:
    """One phase of one breaker; see ``breaker.PhaseAccount``."""

    circuit: str
    phase: str
    fuse_a: float
    over_s: float
    over_113_s: float
    over_145_s: float
    longest_s: float
    longest_113_s: float
    worst_as: float
    peak_a: float
    peak_thermal: float
    worst_at_wall_s: float = 0.0


@dataclass(slots=True)
class Report:
    """Everything; ``breaches`` says what must not be."""

    seed: int
    days: float
    evses: int
    stations: int
    frozen: bool = False
    took_s: float = 0.0
    phases: list[PhaseReport] = field(default_factory=list)
    by_car: dict[str, Tally] = field(default_factory=dict)
    longest_wait: Wait = field(default_factory=Wait)
    helpless_wait: Wait = field(default_factory=Wait)
    waits: dict[str, int] = field(default_factory=dict)
    wait_reasons: dict[str, int] = field(default_factory=dict)
    empty_handed: list[str] = field(default_factory=list)
    writes: dict[str, int] = field(default_factory=dict)
    writes_by_box: dict[str, dict[str, int]] = field(default_factory=dict)
    station_days: int = 0
    most_writes_day: int = 0
    most_writes_station: str = ""
    motor_starts: int = 0
    alarms: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)

    @property
    def asked_wh(self) -> float:
        """Energy all cars that left had asked for."""
        return sum(tally.asked_wh for tally in self.by_car.values())

    @property
    def got_wh(self) -> float:
        """Energy they had got."""
        return sum(tally.got_wh for tally in self.by_car.values())

    def breaches(self) -> list[str]:
        """Promises that were not kept; [] is what everybody wants."""
        found = [f"{text}" for text in self.defects]
        for row in self.phases:
            name = f"{row.circuit} {row.phase} ({row.fuse_a:g} A)"
            if row.longest_113_s > BUDGET_S and not self.frozen:
                found.append(f"{name} was above 1.13 x for {row.longest_113_s:.1f} s, at {row.worst_at_wall_s:.0f}")
            if row.peak_thermal > THERMAL_MOST and not self.frozen:
                found.append(f"{name} may have tripped: thermal state {row.peak_thermal:.2f}")
        return found

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {**asdict(self), "asked_wh": self.asked_wh, "got_wh": self.got_wh, "breaches": self.breaches()}


def report_of(world: World, run: Identity, told: Iterable[tuple[str, str]], took_s: float) -> Report:
    """The report of a finished run. told: what the controller had to say: severity ("info", "warning", "alarm") and text."""
    account = world.account
    texts: dict[str, Counter[str]] = {severity: Counter() for severity in ("info", "warning", "alarm")}
    defects: set[str] = set()
    for severity, text in told:
        texts[severity][plain(text)] += 1
        if "internal error" in text:
            defects.add(text)
    writes, by_box = _writes(world)
    return Report(
        run.seed,
        run.days,
        len(world.depot.evses),
        len(world.stations),
        run.frozen,
        took_s,
        phase_reports(world),
        account.by_car,
        account.longest,
        account.helpless,
        dict(account.waits),
        dict(account.reasons.most_common(KEPT_TEXTS)),
        account.empty_handed,
        writes,
        by_box,
        account.station_days,
        account.most_writes_day,
        account.most_writes_station,
        sum(motor.starts for load in world.loads for motor in load.motors),
        dict(texts["alarm"].most_common(KEPT_TEXTS)),
        dict(texts["warning"].most_common(KEPT_TEXTS)),
        sorted(defects)[:KEPT_TEXTS],
    )


def phase_reports(world: World) -> list[PhaseReport]:
    """One row per breaker pole, the grid first."""
    return [
        PhaseReport(
            breaker.circuit,
            PHASES[number],
            breaker.fuse_a,
            one.over_s,
            one.over_113_s,
            one.over_145_s,
            one.longest_s,
            one.longest_113_s,
            one.worst_as,
            one.peak_a,
            one.peak_thermal,
            one.worst_at_wall_s,
        )
        for breaker in reversed(world.tree.breakers)
        for number, one in enumerate(breaker.phases)
    ]


def plain(text: str) -> str:
    """An alarm without names and numbers, so that alike ones count together."""
    return NAMES.sub("#", text)[:200]


def _writes(world: World) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    total: Counter[str] = Counter()
    by_box: dict[str, Counter[str]] = {}
    for station in world.stations.values():
        total.update(station.writes)
        by_box.setdefault(station.temper.name, Counter()).update(station.writes)
    return dict(total), {name: dict(row) for name, row in by_box.items()}


# -- adding up ---------------------------------------------------------------------------------------------


def together(parts: Sequence[Report]) -> Report:
    """The report of consecutive stretches of the same depot."""
    first = parts[0]
    for part in parts[1:]:
        _add(first, part)
    return first


def _add(first: Report, part: Report) -> None:
    first.days += part.days
    first.took_s = max(first.took_s, part.took_s)
    for mine, other in zip(first.phases, part.phases, strict=True):
        _add_phase(mine, other)
    for name, tally in part.by_car.items():
        mine_tally = first.by_car.setdefault(name, Tally())
        mine_tally.visits += tally.visits
        mine_tally.asked_wh += tally.asked_wh
        mine_tally.got_wh += tally.got_wh
        mine_tally.short += tally.short
    first.longest_wait = max(first.longest_wait, part.longest_wait, key=lambda wait: wait.seconds)
    first.helpless_wait = max(first.helpless_wait, part.helpless_wait, key=lambda wait: wait.seconds)
    first.waits = {name: max(first.waits.get(name, 0), part.waits.get(name, 0)) for name in {*first.waits, *part.waits}}
    first.empty_handed += part.empty_handed
    first.wait_reasons, first.writes = _sum(first.wait_reasons, part.wait_reasons), _sum(first.writes, part.writes)
    first.writes_by_box = {
        name: _sum(first.writes_by_box.get(name, {}), part.writes_by_box.get(name, {})) for name in {*first.writes_by_box, *part.writes_by_box}
    }
    first.station_days += part.station_days
    if part.most_writes_day > first.most_writes_day:
        first.most_writes_day, first.most_writes_station = part.most_writes_day, part.most_writes_station
    first.motor_starts += part.motor_starts
    first.alarms, first.warnings = _sum(first.alarms, part.alarms), _sum(first.warnings, part.warnings)
    first.defects = sorted({*first.defects, *part.defects})


def _add_phase(mine: PhaseReport, other: PhaseReport) -> None:
    if other.longest_113_s > mine.longest_113_s:
        mine.worst_at_wall_s = other.worst_at_wall_s
    for name in ("over_s", "over_113_s", "over_145_s"):
        setattr(mine, name, getattr(mine, name) + getattr(other, name))
    for name in ("longest_s", "longest_113_s", "worst_as", "peak_a", "peak_thermal"):
        setattr(mine, name, max(getattr(mine, name), getattr(other, name)))


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {*one, *other}}
