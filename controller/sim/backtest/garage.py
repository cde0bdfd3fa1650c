"""A site made from a file of sessions, for those who have sessions and no site file.

One station with one EVSE per name in the file, sorted (letters that no station's name may have become "-"); they hang in turn on three
panels of one feeder ("garage") below the grid connection, their phases in turn as well. Sites of ACN are 208 V, 60 Hz, with EVSEs of
32 A between two lines: here each is a single phase of 230 V with the same power, 6.66 kW, that is 29 A (whole amps, rounded up), or
more where a session needed more; powers and energies stay as recorded, currents do not.
Other files: the power of an EVSE is the highest its sessions name or need, on one phase up to 7.4 kW, on three above.

Every circuit carries ``capacity`` percent of the highest phase current that uncontrolled charging would draw from it in the
simulated time; the grid connection the building in addition, and all of the sun. So 100 percent is no limit, and 50 percent is tight.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import EvseKey
from controller.sim.backtest.case import Visit, bays_of, visit_of
from controller.sim.backtest.series import Series
from controller.sim.backtest.sessions import Recorded
from controller.sim.car import VOLTAGE_V

FEEDER = "garage"
PANELS = ("panel-1", "panel-2", "panel-3")
PHASES = ("L1", "L2", "L3")
ACN_POWER_W = 208.0 * 32.0
ONE_PHASE_W = 7_400.0
MARGIN_A = 1.0
SPARE_A = 10.0
PLENTY_A, MOST_W = 6_000.0, 400_000.0
LONGEST_NAME = 48
TELLING_STAY_S = 1800.0
"""The mean power of a shorter session says nothing about its EVSE [s]."""
V2G: Mapping[str, Any] = {"max_discharge_w": 6_600, "reserve_percent": 20, "wear_per_kwh": 0.08}
"""What a car may give back at every EVSE of a garage, where cars that can are simulated."""


def garage(
    name: str,
    sessions: Sequence[Recorded],
    timezone: str,
    percent: float,
    base_w: Series,
    start_s: float,
    end_s: float,
    acn: bool = True,
    sun_w: Series | None = None,
) -> Config:
    """The site of these sessions. percent: of the uncontrolled phase peak between start and end."""
    loose = Config.model_validate(_data(name, sessions, timezone, acn))
    peaks = phase_peaks(sessions, loose, start_s, end_s)
    base_a = base_w.highest(start_s, end_s) / VOLTAGE_V / 3.0
    largest = dict.fromkeys(peaks, 0.0)
    paths = {circuit.id: circuit.parent for circuit in loose.circuits}
    for bay in bays_of(loose).values():
        step: str | None = bay.node_id
        while step is not None:
            largest[step] = max(largest[step], bay.max_current_a)
            step = paths.get(step)
    limits = {circuit: max(percent / 100.0 * peak_a, largest[circuit] + MARGIN_A) for circuit, peak_a in peaks.items()}
    circuits = tuple(one.model_copy(update={"fuse_a": round(limits[one.id], 1)}) for one in loose.circuits)
    sun_a = sun_w.highest(start_s, end_s) / VOLTAGE_V / 3.0 if sun_w is not None else 0.0
    whole_a = math.ceil(max(base_a + limits[FEEDER], sun_a) + SPARE_A)
    grid = loose.grid.model_copy(update={"fuse_a": float(whole_a), "worst_other_load_a": float(math.ceil(base_a + SPARE_A / 2.0))})
    return loose.model_copy(update={"circuits": circuits, "grid": grid})


def fitting_names(names: Iterable[str]) -> dict[str, str]:
    """Name in the file -> one that a station may bear: no colon, slash or control letter, not too long; no two the same."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names), key=lambda one: (_fitting(one) != one, one)):  # good names stay as they are
        fits, number = _fitting(name), 2
        while fits in taken:
            fits, number = f"{_fitting(name)[: LONGEST_NAME - 5]}-{number}", number + 1
        taken.add(fits)
        found[name] = fits
    return found


def _fitting(name: str) -> str:
    return "".join("-" if letter in ":/" or not letter.isprintable() else letter for letter in name)[:LONGEST_NAME]


def conversion_note(config: Config, acn: bool) -> str:
    """How the site was made, for people."""
    counts = Counter(f"{bay.max_current_a:g} A on {len(bay.phases)} phase{'s' if len(bay.phases) > 1 else ''}" for bay in bays_of(config).values())
    boxes = ", ".join(f"{count} x {kind}" for kind, count in counts.most_common())
    source = "208 V line to line became one phase of 230 V with the same power; " if acn else ""
    limits = ", ".join(f"{circuit.id} {circuit.fuse_a:g} A" for circuit in config.circuits)
    return f"the site was made from the sessions: {source}{boxes}; limits per phase: {limits}"


def phase_peaks(sessions: Sequence[Recorded], config: Config, start_s: float, end_s: float) -> dict[str, float]:
    """Highest phase current by circuit when every car takes what it can from its arrival on [A]."""
    bays, parents = bays_of(config), {circuit.id: circuit.parent for circuit in config.circuits}
    steps: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for one in sessions:
        if not start_s <= one.arrival_wall_s < end_s:
            continue
        visit = visit_of(one, bays[EvseKey(one.evse, 1)])
        until_s = visit.arrival_wall_s + _charging_s(visit)
        circuit: str | None = visit.node_id
        while circuit is not None:
            for phase in visit.phases:
                steps.setdefault((circuit, phase), []).extend(((visit.arrival_wall_s, visit.max_current_a), (until_s, -visit.max_current_a)))
            circuit = parents.get(circuit)
    peaks = {circuit.id: 0.0 for circuit in config.circuits} | {ROOT_CIRCUIT: 0.0}
    for (circuit_id, _), changes in steps.items():
        peaks[circuit_id] = max(peaks[circuit_id], _peak(changes))
    return peaks


def _charging_s(visit: Visit) -> float:
    stay_s = visit.departure_wall_s - visit.arrival_wall_s
    return min(stay_s, visit.wanted_wh * 3600.0 / visit.max_power_w)


def _peak(changes: Sequence[tuple[float, float]]) -> float:
    now_a = peak_a = 0.0
    for _, change_a in sorted(changes):
        now_a += change_a
        peak_a = max(peak_a, now_a)
    return peak_a


def _data(name: str, sessions: Sequence[Recorded], timezone: str, acn: bool) -> dict[str, Any]:
    powers = _powers(sessions, acn)
    stations = [_station(number, evse, powers[evse], acn) for number, evse in enumerate(sorted(powers))]
    panels = [{"id": panel, "parent": FEEDER, "fuse_a": PLENTY_A} for panel in PANELS]
    return {
        "site": {"id": "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in name)[:48] or "garage", "timezone": timezone},
        "grid": {"fuse_a": PLENTY_A, "worst_other_load_a": 0.0, "margin_a": MARGIN_A, "meter": "m-grid"},
        "circuits": [{"id": FEEDER, "fuse_a": PLENTY_A}, *panels],
        "stations": stations,
        "meters": [{"id": "m-grid", "role": "grid", "source": {"type": "mqtt", "topic": "grid"}}],
    }


def _station(number: int, evse: str, power_w: float, acn: bool) -> dict[str, Any]:
    single = acn or power_w <= ONE_PHASE_W
    first = number // len(PANELS) % len(PHASES)
    phases = [PHASES[first]] if single else [*PHASES[first:], *PHASES[:first]]
    amps = math.ceil(power_w / VOLTAGE_V / len(phases) - 1e-6)
    return {"id": evse, "circuit": PANELS[number % len(PANELS)], "evses": [{"id": 1, "phases": phases, "max_current_a": float(amps)}]}


def _powers(sessions: Sequence[Recorded], acn: bool) -> dict[str, float]:
    """Power of each EVSE [W]: what its sessions name or need."""
    found: dict[str, float] = {}
    for one in sessions:
        needed_w = max(one.max_power_w or 0.0, one.mean_power_w if one.stay_s >= TELLING_STAY_S else 0.0)
        found[one.evse] = max(found.get(one.evse, ACN_POWER_W if acn else 3_680.0), min(needed_w, MOST_W))
    return found
