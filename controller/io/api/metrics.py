"""The site's numbers in the Prometheus text format, for ``GET /metrics``.

Written by hand: the format is a few lines, a client library would be one dependency more. Names end
in their unit; values nobody knows are left out, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from controller.snapshot import Snapshot

if TYPE_CHECKING:
    from controller.io.history.influx import Counts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MODES = ("normal", "degraded", "failsafe", "stop")
PHASES = ("L1", "L2", "L3")
SIGNAL_STATES = ("waiting", "unlimited", "limited", "failsafe", "released", "silent")
DEVICE_STATES = ("free", "commanded", "confirmed", "refused", "other", "silent")

Sample = tuple[dict[str, str], float | None]


@runtime_checkable
class Spooling(Protocol):
    """A history that forwards its points."""

    @property
    def spool(self) -> Counts | None:
        """What became of them; None = it forwards none."""


def spool_of(history: object) -> Counts | None:
    """The spool of a history that has one."""
    return history.spool if isinstance(history, Spooling) else None


def prometheus_text(picture: Snapshot, spool: Counts | None = None, ignored: int | None = None) -> str:
    """The whole answer: HELP, TYPE and samples per metric, ends with a newline. spool: of history, where it goes to a server.
    ignored: messages of the broker that nobody asked for, None = there is no broker."""
    lines: list[str] = []
    for name, sentence, samples in (*_metrics(picture), *_meters(picture), *_outside(picture), *_spool(spool), _broker(ignored)):
        rows = [f"yardmaster_{name}{_labels(labels)} {_number(value)}" for labels, value in samples if value is not None]
        if rows:
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP yardmaster_{name} {sentence}", f"# TYPE yardmaster_{name} {kind}", *rows]
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


def _meters(picture: Snapshot) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    meters = [({"meter": meter.id, "role": meter.role}, meter) for meter in picture.site.meters]
    yield "meter_age_seconds", "Age of the newest reading that is believed.", [(labels, one.age_s) for labels, one in meters]
    yield (
        "meter_health",
        "1 for how far the meter is trusted: good, late or lost.",
        [(labels | {"health": word}, float(one.health == word)) for labels, one in meters for word in ("good", "late", "lost")],
    )
    yield (
        "meter_quality",
        "1 for the quality of the newest reading: good, suspect or bad.",
        [(labels | {"quality": word}, float(one.quality == word)) for labels, one in meters for word in ("good", "suspect", "bad") if one.quality],
    )
    yield "meter_power_watts", "Power the meter shows; import positive.", [(labels, one.power_w) for labels, one in meters]
    currents = [row for labels, one in meters for row in _by_phase(labels, one.current_a)]
    yield "meter_current_amperes", "Current by site phase; import positive.", currents
    yield "meter_readings_total", "Readings since the start.", [(labels, float(one.reads)) for labels, one in meters]
    yield "meter_refused_total", "Readings since the start that were not believed.", [(labels, float(one.refused)) for labels, one in meters]
    yield "meter_errors_total", "Polls since the start that brought no reading.", [(labels, float(one.failed)) for labels, one in meters]


def _outside(picture: Snapshot) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    """Limits by source, the sources of limits, what is commanded besides chargers, and the series of prices and forecasts."""
    limits = [({"circuit": limit.circuit, "source": limit.source}, limit) for limit in picture.site.limits]
    yield "limit_amperes", "Limits in force per phase, by source.", _once((labels, one.limit_a) for labels, one in limits)
    yield "limit_binds", "1 when this limit is what holds the site.", _once((labels, float(one.binding)) for labels, one in limits)
    signals = [({"signal": signal.id, "circuit": signal.circuit}, signal) for signal in picture.site.signals]
    yield (
        "signal_state",
        "1 for the state a source of limits is in.",
        [(labels | {"state": word}, float(one.state == word)) for labels, one in signals for word in SIGNAL_STATES],
    )
    yield "signal_limit_watts", "What the source allows to be drawn.", [(labels, one.limit_w) for labels, one in signals]
    yield "signal_production_limit_watts", "What the source allows to be fed in.", [(labels, one.production_limit_w) for labels, one in signals]
    yield "signal_heard_seconds", "How long ago the source was heard.", [(labels, one.heard_s) for labels, one in signals]
    yield "signal_binds", "1 when this source holds the site.", [(labels, float(one.binds)) for labels, one in signals]
    devices = [({"device": device.id, "kind": device.kind}, device) for device in picture.site.devices]
    yield (
        "device_state",
        "1 for the state of a device we command.",
        [(labels | {"state": word}, float(one.state == word)) for labels, one in devices for word in DEVICE_STATES],
    )
    yield "device_power_watts", "What the device does.", [(labels, one.power_w) for labels, one in devices]
    yield "device_wanted_watts", "What we want of it.", [(labels, one.wanted_w) for labels, one in devices]
    yield "device_command_watts", "What it says is in force.", [(labels, one.command_w) for labels, one in devices]
    series = [({"kind": one.kind, "source": one.source}, one) for one in picture.site.series]
    ahead = [(labels, max(0.0, one.until_wall_s - picture.now_wall_s) if one.until_wall_s is not None else 0.0) for labels, one in series]
    yield "series_ahead_seconds", "How far ahead prices or a forecast are known.", _once(ahead)


def _broker(ignored: int | None) -> tuple[str, str, Iterable[Sample]]:
    count = None if ignored is None else float(ignored)
    return "mqtt_ignored_total", "Messages of the broker on topics that nobody here reads, since the start.", [({}, count)]


def _spool(spool: Counts | None) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    if spool is None:
        return
    yield "history_spool_points", "Points on disk that wait for the history server.", [({}, float(spool.waiting))]
    yield "history_spool_bytes", "What they take on disk.", [({}, float(spool.waiting_bytes))]
    yield "history_sent_total", "Points the history server has taken since the start.", [({}, float(spool.sent))]
    yield "history_dropped_total", "Points that fell out of the full spool since the start.", [({}, float(spool.dropped))]
    yield "history_quarantined_total", "Points the server will never take, put aside since the start.", [({}, float(spool.quarantined))]


def _once(samples: Iterable[Sample]) -> list[Sample]:
    """Each set of labels once, as the format demands: the lowest value of those that share one."""
    found: dict[str, Sample] = {}
    for labels, value in samples:
        key = _labels(labels)
        known = found.get(key)
        if known is None or (value is not None and (known[1] is None or value < known[1])):
            found[key] = (labels, value)
    return list(found.values())


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
