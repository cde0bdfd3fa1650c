"""The site's numbers in the Prometheus text format, for ``GET /metrics``.

Written by hand: the format is a few lines, a client library would be one dependency more. Names end
in their unit; values nobody knows are left out, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from controller.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MODES = ("normal", "degraded", "failsafe", "stop")
PHASES = ("L1", "L2", "L3")

Sample = tuple[dict[str, str], float | None]


def prometheus_text(picture: Snapshot) -> str:
    """The whole answer: HELP, TYPE and samples per metric, ends with a newline."""
    lines: list[str] = []
    for name, sentence, samples in _metrics(picture):
        rows = [f"yardmaster_{name}{_labels(labels)} {_number(value)}" for labels, value in samples if value is not None]
        if rows:
            lines += [f"# HELP yardmaster_{name} {sentence}", f"# TYPE yardmaster_{name} gauge", *rows]
    return "\n".join(lines) + "\n"


def _metrics(picture: Snapshot) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    site, grid, plan = picture.site, picture.site.grid, picture.site.plan
    yield "info", "Version of Yardmaster and name of the site.", [({"version": picture.version, "site": picture.site_id}, 1)]
    yield "mode", "1 for the mode the site is in.", [({"mode": mode}, float(mode == site.mode)) for mode in MODES]
    yield "grid_meter_age_seconds", "Age of the newest grid meter reading.", [({}, grid.meter_age_s)]
    yield "grid_fuse_amperes", "Main fuse per phase.", [({}, grid.fuse_a)]
    yield "grid_current_amperes", "Current at the grid connection; import positive.", _by_phase({}, grid.current_a)
    yield "grid_power_watts", "Power at the grid connection; import positive.", [({}, grid.power_w)]
    yield "ev_power_watts", "Power of all chargers together; charging positive.", [({}, grid.ev_power_w)]
    yield "ev_current_amperes", "Current of all chargers together.", _by_phase({}, grid.ev_current_a)
    yield "building_power_watts", "Power of everything that is no charger.", [({}, grid.building_w)]
    yield "pv_power_watts", "Power of the PV system as its meter signs it.", [({}, grid.pv_w)]
    yield "battery_power_watts", "Power of the battery; charging positive.", [({}, grid.battery_w)]
    yield "battery_soc_percent", "State of charge of the battery.", [({}, grid.battery_soc_percent)]
    for word, attribute in (("limit", "limit_a"), ("load", "load_a")):
        samples = [
            sample for circuit in site.circuits for sample in _by_phase({"circuit": circuit.id}, getattr(circuit, attribute))
        ]
        yield f"circuit_{word}_amperes", f"The circuit's {word} per phase.", samples
    yield "evse_limit_amperes", "Setpoint in force per phase.", [({"evse": evse.id}, evse.limit_a) for evse in site.evses]
    yield "evse_power_watts", "Power of the EVSE; charging positive.", [({"evse": evse.id}, evse.power_w) for evse in site.evses]
    yield (
        "evse_floor_confirmed",
        "1 when the station confirmed its fallback.",
        [({"evse": evse.id}, float(evse.floor_confirmed)) for evse in site.evses],
    )
    sources = [({"source": source.name, "kind": source.kind}, source) for source in site.sources]
    yield (
        "source_good",
        "1 when the source is healthy.",
        [(labels, float(source.health == "good")) for labels, source in sources if source.health != "off"],
    )
    yield "source_age_seconds", "Age of the source's newest word.", [(labels, source.age_s) for labels, source in sources]
    stations = [({"station": link.station_id}, link) for link in picture.links]
    yield "station_online", "1 when the station is connected.", [(labels, float(link.online)) for labels, link in stations]
    yield (
        "upstream_queue_messages",
        "Messages on disk that upstream has not acknowledged.",
        [(labels, float(link.queued)) for labels, link in stations],
    )
    yield (
        "upstream_parked_messages",
        "Messages given up and kept for export.",
        [(labels, float(link.parked)) for labels, link in stations],
    )
    depots = [({"upstream": face.upstream_id, "identity": face.identity}, face) for face in picture.faces if face.kind == "depot"]
    yield (
        "depot_accepted",
        "1 when the CSMS that sees the site as one station is there and has accepted it.",
        [(labels, float(face.state == "open" and face.accepted)) for labels, face in depots],
    )
    yield (
        "depot_waiting_messages",
        "Messages that wait for their turn on the depot's one connection.",
        [(labels | {"rank": rank}, float(count)) for labels, face in depots for rank, count in face.ranks],
    )
    if plan is not None:
        yield "plan_age_seconds", "Age of the plan in force.", [({}, picture.now_wall_s - plan.created_wall_s)]
        yield "plan_solve_seconds", "Time the solver took.", [({"solver": plan.solver}, plan.solve_s)]
        yield "plan_peak_watts", "Highest planned import.", [({}, plan.peak_w)]


def _by_phase(labels: dict[str, str], values: Iterable[float | None]) -> list[Sample]:
    return [(labels | {"phase": phase}, value) for phase, value in zip(PHASES, values, strict=True)]


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
