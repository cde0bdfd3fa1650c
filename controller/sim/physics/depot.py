"""A depot of any size as a site file: three levels of circuits, stations of all versions and tempers. Seeded.

Fallbacks are handed out while they fit under every fuse, as an installer has to (RELIABILITY 7); the others are 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from controller.config import PHASE_INDEX
from controller.sim.physics.loads import LoadSpec, MotorSpec
from controller.sim.physics.tempers import BOXES, BoxTemper

GRID = "grid"
ROTATIONS = (["L1", "L2", "L3"], ["L2", "L3", "L1"], ["L3", "L1", "L2"])
VERSIONS = ("1.6", "2.0.1", "2.1")
FLOOR_A = 6.0


@dataclass(frozen=True, slots=True)
class CircuitPlan:
    """One circuit of the tree. other_a: worst other load on it. metered: it has a meter of its own."""

    id: str
    parent: str
    fuse_a: float
    other_a: float = 0.0
    metered: bool = False


PANELS = (
    CircuitPlan("panel-a", GRID, 125.0, 15.0, metered=True),
    CircuitPlan("panel-b", GRID, 125.0),
    CircuitPlan("panel-c", GRID, 100.0, 10.0, metered=True),
    CircuitPlan("panel-d", GRID, 125.0, 12.0),
)
FEEDERS = (
    CircuitPlan("a1", "panel-a", 63.0, metered=True),
    CircuitPlan("a2", "panel-a", 63.0),
    CircuitPlan("a3", "panel-a", 50.0),
    CircuitPlan("b1", "panel-b", 63.0),
    CircuitPlan("b2", "panel-b", 63.0, metered=True),
    CircuitPlan("b3", "panel-b", 50.0),
    CircuitPlan("c1", "panel-c", 63.0, metered=True),
    CircuitPlan("c2", "panel-c", 63.0),
    CircuitPlan("d1", "panel-d", 63.0),
    CircuitPlan("d2", "panel-d", 50.0),
    CircuitPlan("d3", "panel-d", 80.0, metered=True),
)
GRID_FUSE_A = 315.0
GRID_OTHER_A = 130.0
BUILDING = LoadSpec(
    GRID,
    base=((0, 22), (5, 24), (7, 48), (9, 62), (12, 70), (16, 64), (18.5, 58), (21, 34), (24, 22)),
    shares=(1.08, 1.0, 0.92),
    noise_a=2.5,
    motors=(
        MotorSpec("compressor", 18.0, inrush=6.0, inrush_s=0.7, runs_s=180.0, pause_s=500.0),
        MotorSpec("lift", 22.0, inrush=4.0, inrush_s=0.9, runs_s=25.0, pause_s=400.0, from_h=6.0, to_h=21.0),
        MotorSpec("ventilation", 14.0, inrush=5.0, inrush_s=0.6, runs_s=1500.0, pause_s=1200.0, from_h=5.0, to_h=22.0),
        MotorSpec("pump", 8.0, phases=(1,), inrush=5.5, inrush_s=0.4, runs_s=90.0, pause_s=300.0),
    ),
    most_a=GRID_OTHER_A,
)
WORKSHOP = LoadSpec(
    "panel-a",
    base=((0, 0.5), (7, 3), (16, 3), (18, 0.5)),
    noise_a=0.5,
    motors=(MotorSpec("saw", 9.0, inrush=6.0, inrush_s=0.5, runs_s=40.0, pause_s=420.0, from_h=7.0, to_h=18.0),),
    most_a=15.0,
)
GATES = LoadSpec(
    "panel-c",
    base=((0, 1), (24, 1)),
    noise_a=0.3,
    motors=(MotorSpec("gate", 6.0, inrush=3.0, inrush_s=0.3, runs_s=20.0, pause_s=600.0),),
    most_a=10.0,
)
LIGHTS = LoadSpec("panel-d", base=((0, 10), (6, 10), (7, 2), (18, 2), (19, 10)), noise_a=0.4, most_a=12.0)


@dataclass(frozen=True, slots=True)
class Depot:
    """A site and what stands on it. data: as site.yaml has it. boxes: temper by station. speaks: OCPP version by station."""

    data: dict[str, Any]
    boxes: Mapping[str, BoxTemper]
    speaks: Mapping[str, str]
    loads: tuple[LoadSpec, ...] = (BUILDING, WORKSHOP, GATES, LIGHTS)
    pv_peak_w: float = 45_000.0
    battery_wh: float = 60_000.0
    battery_w: float = 20_000.0
    shave_above_w: float = 150_000.0
    evses: tuple[tuple[str, int], ...] = field(default=())


def make_depot(seed: int, evse_count: int = 64, tempered: bool = True, control: Mapping[str, float] | None = None) -> Depot:
    """A depot with at least ``evse_count`` EVSEs. tempered False: every box goes by the book. control: what differs in ``control``."""
    random = Random(f"depot {seed}")
    stations: list[dict[str, Any]] = []
    boxes: dict[str, BoxTemper] = {}
    speaks: dict[str, str] = {}
    for station_id, evses, version, temper in _stations(random, evse_count, tempered):
        feeder = FEEDERS[len(stations) % len(FEEDERS)]
        stations.append({"id": station_id, "circuit": feeder.id, "model": temper.model, "evses": evses})
        boxes[station_id], speaks[station_id] = temper, version
    _hand_out_fallbacks(stations)
    circuits = [_circuit(plan) for plan in (*PANELS, *FEEDERS)]
    metered = [GRID, *(plan.id for plan in (*PANELS, *FEEDERS) if plan.metered)]
    data = {
        "site": {"id": f"depot-{seed}"},
        "grid": {"fuse_a": GRID_FUSE_A, "worst_other_load_a": GRID_OTHER_A, "meter": "m-grid"},
        "circuits": circuits,
        "stations": stations,
        "meters": [_meter(name, unit + 1) for unit, name in enumerate(metered)],
        "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/csms", "offline_unknown": "accept"}],
        "control": {"plan_every_s": 900, "plan_max_age_s": 7200, **(control or {})},
    }
    bays = tuple((str(station["id"]), int(evse["id"])) for station in stations for evse in station["evses"])
    return Depot(data, boxes, speaks, evses=bays)


def _stations(random: Random, evse_count: int, tempered: bool) -> Iterator[tuple[str, list[dict[str, Any]], str, BoxTemper]]:
    deck = _deck(random, evse_count) if tempered else [BOXES[0]] * evse_count
    made = 0
    for number in range(evse_count):
        if made >= evse_count:
            return
        double = number % 4 == 3
        rotation, amps = random.choice(ROTATIONS), random.choice((16, 32, 32))
        wired = rotation[:1] if number % 13 == 12 else rotation
        evses = [{"id": one + 1, "phases": [*wired], "max_current_a": amps, "priority": int(number % 9 == 0)} for one in range(1 + double)]
        made += len(evses)
        yield f"S{number + 1:02d}", evses, VERSIONS[number % 3], deck[number]


def _deck(random: Random, count: int) -> list[BoxTemper]:
    """Each temper at least once where there is room, the rest by share, shuffled."""
    deck = list(BOXES) + random.choices(BOXES[:-1], [box.share for box in BOXES[:-1]], k=max(0, count - len(BOXES)))
    random.shuffle(deck)
    return deck


def _hand_out_fallbacks(stations: list[dict[str, Any]]) -> None:
    """A floor of 6 A for as many EVSEs as fit under every fuse on every phase beside the worst other load."""
    plans = {plan.id: plan for plan in (*PANELS, *FEEDERS)}
    room = {name: [plan.fuse_a - plan.other_a] * 3 for name, plan in plans.items()}
    room[GRID] = [GRID_FUSE_A - GRID_OTHER_A - sum(plan.other_a for plan in plans.values())] * 3
    for station in stations:
        path = [station["circuit"], plans[station["circuit"]].parent, GRID]
        for evse in station["evses"]:
            rows = [(name, PHASE_INDEX[phase]) for name in path for phase in evse["phases"]]
            fits = all(room[name][phase] >= FLOOR_A for name, phase in rows)
            evse["fallback_a"] = FLOOR_A if fits else 0.0
            for name, phase in rows if fits else ():
                room[name][phase] -= FLOOR_A


def _circuit(plan: CircuitPlan) -> dict[str, Any]:
    row: dict[str, Any] = {"id": plan.id, "parent": plan.parent, "fuse_a": plan.fuse_a, "worst_other_load_a": plan.other_a}
    return {**row, "meter": f"m-{plan.id}"} if plan.metered else row


def _meter(circuit: str, unit: int) -> dict[str, Any]:
    source = {"type": "modbus", "host": "127.0.0.1", "port": 1502, "unit": unit, "map": "yardmaster_sim"}
    return {"id": f"m-{circuit}", "role": "grid" if circuit == GRID else "circuit", "source": source}
