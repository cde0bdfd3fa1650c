"""What page, metrics and history are told about each meter: what it shows, how far it is believed, how often it failed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from controller.facts import MeterFailed, MeterRead, Stamp
from controller.orders import Order, RecordPoint
from controller.site.layout import PHASE_NAMES, PHASES
from controller.snapshot import MaybeTriple, MeterView
from meters.reading import Reading

if TYPE_CHECKING:
    from controller.site.site import Site

UNTOLD: MaybeTriple = (None, None, None)
SILENT = "nothing comes from it"
"""Of a meter that speaks by itself (MQTT) and does not any more: no poll failed that could have said why."""


class MeterTally:
    """How often each meter was read, not believed, and not reached, since the start; and the quality of its last reading."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.quality: dict[str, str] = {}

    def take(self, fact: MeterRead | MeterFailed) -> None:
        """One more fact of a meter, judged."""
        if isinstance(fact, MeterFailed):
            self.failed[fact.meter_id] += 1
            return
        meter_id, quality = fact.reading.meter_id, fact.reading.quality.value
        self.reads[meter_id] += 1
        self.refused[meter_id] += quality == "bad"
        self.quality[meter_id] = quality


def meter_views(site: Site, at: Stamp) -> tuple[MeterView, ...]:
    """All meters, in the order of the site file."""
    return tuple(_view(site, meter.id, meter.role, at) for meter in site.config.meters)


def _view(site: Site, meter_id: str, role: str, at: Stamp) -> MeterView:
    health, age_s, reading, detail = _state(site, meter_id, at)
    tally = site.readings.tally
    return MeterView(
        id=meter_id,
        role=role,
        health=health,
        quality=tally.quality.get(meter_id, ""),
        age_s=age_s if math.isfinite(age_s) else None,
        power_w=reading.power_w if reading else None,
        current_a=reading.current_a if reading else UNTOLD,
        reads=tally.reads[meter_id],
        refused=tally.refused[meter_id],
        failed=tally.failed[meter_id],
        detail=detail,
    )


def _state(site: Site, meter_id: str, at: Stamp) -> tuple[str, float, Reading | None, str]:
    """Health, age [s], the last believed reading while it counts, and what is wrong."""
    watch, side = site.meters.watches.get(meter_id), site.meters.sides.get(meter_id)
    if watch is not None:
        health = watch.health.value
        detail = watch.trouble or (SILENT if health == "lost" else "")
        return health, watch.age_s(at.mono_s), watch.last if health != "lost" else None, detail
    if side is None:
        return "lost", math.inf, None, ""
    return "good" if side.healthy else "lost", at.mono_s - side.at_mono_s, side.last if side.healthy else None, side.detail


def meter_states(site: Site, at: Stamp) -> dict[str, dict[str, Any]]:
    """Every meter by id for the published state: what is believed, null where nothing is known."""
    return {meter.id: _published(*_state(site, meter.id, at)) for meter in site.config.meters}


def _published(health: str, age_s: float, reading: Reading | None, detail: str) -> dict[str, Any]:
    return {
        "health": health,
        "age_s": round(age_s, 1) if math.isfinite(age_s) else None,
        "power_w": _rounded(reading.power_w, 1) if reading else None,
        "current_a": [_rounded(amps, 2) for amps in reading.current_a] if reading else [None, None, None],
        "energy_import_wh": _rounded(reading.energy_import_wh, 0) if reading else None,
        "energy_export_wh": _rounded(reading.energy_export_wh, 0) if reading else None,
        "soc_percent": _rounded(reading.soc_percent, 1) if reading else None,
        "detail": detail,
    }


def signal_states(site: Site, at: Stamp) -> dict[str, dict[str, Any]]:
    """Every source of limits by id for the published state."""
    views = {view.id: view for view in site.outside.view(at)}
    return {
        name: {
            "state": view.state,
            "limit_w": _rounded(view.limit_w, 0),
            "production_limit_w": _rounded(view.production_limit_w, 0),
            "ends_wall_s": _rounded(view.ends_wall_s, 0),
            "binds": view.binds,
            "trouble": view.trouble,
        }
        for name, view in views.items()
    }


def device_states(site: Site, at: Stamp) -> dict[str, dict[str, Any]]:
    """Everything we command besides chargers, by id, for the published state."""
    views = site.devices.views(site.meters.side_power_w("battery"), at.mono_s)
    return {
        view.id: {
            "kind": view.kind,
            "state": view.state,
            "power_w": _rounded(view.power_w, 1),
            "wanted_w": _rounded(view.wanted_w, 1),
            "closed": view.closed,
            "reason": view.reason,
            "trouble": view.trouble,
        }
        for view in views
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None


def meter_points(site: Site, at: Stamp) -> Iterable[Order]:
    """A point of history per meter that is believed now; a meter that is not leaves a gap."""
    for meter in site.config.meters:
        _, age_s, reading, _ = _state(site, meter.id, at)
        if reading is not None:
            yield RecordPoint("meter", {"meter": meter.id, "role": meter.role}, _fields(reading, age_s), at.wall_s)


def _fields(reading: Reading, age_s: float) -> dict[str, float]:
    named: dict[str, float | None] = {
        "power_w": reading.power_w,
        "frequency_hz": reading.frequency_hz,
        "energy_import_wh": reading.energy_import_wh,
        "energy_export_wh": reading.energy_export_wh,
        "soc_percent": reading.soc_percent,
        "age_s": age_s,
    }
    for phase in PHASES:
        name = PHASE_NAMES[phase].lower()
        named[f"current_{name}_a"] = reading.current_a[phase]
        named[f"power_{name}_w"] = reading.phase_power_w[phase]
        named[f"voltage_{name}_v"] = reading.voltage_v[phase]
    return {name: value for name, value in named.items() if value is not None and math.isfinite(value)}


def signal_points(site: Site, at: Stamp) -> Iterable[Order]:
    """A point per source of limits: what it allows, what flows there. What it does not limit is left out."""
    for view in site.outside.view(at):
        named = {
            "limit_w": view.limit_w,
            "production_limit_w": view.production_limit_w,
            "measured_w": view.measured_w,
            "limited": float(view.state == "limited"),
            "failsafe": float(view.state == "failsafe"),
            "binds": float(view.binds),
        }
        fields = {name: value for name, value in named.items() if value is not None and math.isfinite(value)}
        yield RecordPoint("signal", {"signal": view.id, "circuit": view.circuit}, fields, at.wall_s)
