"""Every limit of the site that is not copper, in one list: whose it is, what it bounds, from when until when, and whether it is obeyed.

The contract, fleet managers, sources of ``signals``, and what CSMSs want of all their chargers; what holds now first, then what is
announced for the next day. Limits that hold in a schedule for several stretches with the same value are one. Decides nothing about watts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from controller.config import ROOT_CIRCUIT
from controller.facts import Direction, LimitUnit, Stamp
from controller.site.grid.compliance import at_limit
from controller.site.grid.events import InForce
from controller.site.grid.events import Stretch as Ahead
from controller.site.grid.limit_machine import State
from controller.site.grid.limits import Limit
from controller.site.grid.measured import Flows, Measured, flows_of
from controller.site.grid.outside import GENERATION, LOADS
from controller.site.grid.signal import Signal
from controller.snapshot import BoundView

if TYPE_CHECKING:
    from controller.site.site import Site

HORIZON_S: Final = 86_400.0
MOST_ANNOUNCED: Final = 20
"""So many stretches of the future are told, the nearest first."""
IMPORT, LOAD, FEED_IN, MADE, GIVEN = "import", "loads", "feed_in", "generation", "giving"
HOLDS, ANNOUNCED = "in_force", "announced"


@dataclass(frozen=True, slots=True)
class Stretch:
    """One value of a schedule over time [wall s]; end None = none is known."""

    kind: str
    power_w: float
    begin_wall_s: float
    end_wall_s: float | None
    words: str


def every_bound(site: Site, at: Stamp) -> tuple[BoundView, ...]:
    """All of them: what holds now, the lowest of each kind marked, then what is announced, the nearest first."""
    flows = flows_of(site, at.mono_s)
    holding = _marked([*_contract(site, flows), *_circuits(site, flows, at), *_signals(site, flows, at), *_csms(site, flows, at)])
    coming = sorted(_coming(site, at), key=lambda one: one.begins_wall_s or 0.0)
    return (*holding, *coming[:MOST_ANNOUNCED])


def _marked(views: list[BoundView]) -> list[BoundView]:
    lowest: dict[tuple[str, str], float] = {}
    for one in views:
        where = (one.kind, one.circuit)
        lowest[where] = min(one.power_w, lowest.get(where, math.inf))
    return [replace(one, lowest=one.power_w <= lowest[one.kind, one.circuit]) for one in views]


# -- what holds now -------------------------------------------------------------------------------------------


def _contract(site: Site, flows: Flows) -> Iterator[BoundView]:
    grid = site.config.grid
    for kind, most_w, measured in ((IMPORT, grid.max_import_w, flows.circuit_w(ROOT_CIRCUIT)), (FEED_IN, grid.max_export_w, _fed_in(flows))):
        if most_w is not None:
            yield BoundView(kind, "contract", ROOT_CIRCUIT, most_w, HOLDS, measured_w=measured, obeyed=_below(measured, most_w))


def _circuits(site: Site, flows: Flows, at: Stamp) -> Iterator[BoundView]:
    """Fleet managers' limits; a limit per phase is told in amperes, too."""
    per_a = site.layout.voltage_v * site.layout.phase_count
    for limit in site.limits.stated(at.mono_s):
        amps = limit.limit_a if limit.unit is LimitUnit.A else None
        obeyed = site.outside.compliance.obeyed(limit.source, Direction.CONSUMPTION, limit.circuit)
        state = State.FAILSAFE.value if limit.reason.startswith("failsafe") else HOLDS
        power_w = limit.value if amps is None else amps * per_a
        yield BoundView(
            IMPORT, limit.source, limit.circuit, power_w, state, amps, None, limit.ends_wall_s, flows.circuit_w(limit.circuit), obeyed, _words(limit)
        )


def _words(limit: Limit) -> str:
    return "the broker is away" if limit.reason.startswith("failsafe") else ""


def _signals(site: Site, flows: Flows, at: Stamp) -> Iterator[BoundView]:
    for signal in site.outside.signals.values():
        ends = {one.kind: one.end_wall_s for one in _stretches(signal, at) if one.begin_wall_s <= at.wall_s}
        for kind, way, where, power_w in _in_force(signal, at):
            state, circuit = _state_of(signal, way), where or signal.entry.circuit
            found = _measured(flows, signal, kind, circuit)
            obeyed = site.outside.compliance.obeyed(signal.id, way, where or signal.entry.circuit)
            end = ends[kind] if kind in ends and state == HOLDS else signal.ends(way, at.mono_s)[1]
            shown = ROOT_CIRCUIT if kind in (FEED_IN, MADE) else signal.entry.circuit
            yield BoundView(kind, signal.id, shown, power_w, state, None, None, end, found, obeyed, signal.says.label)


def _in_force(signal: Signal, at: Stamp) -> Iterator[tuple[str, Direction, str, float]]:
    """(kind, direction, where the record has it if not at its circuit, limit [W]) of a source now."""
    taken_w, fed_in_w = (signal.value_w(way, at.mono_s) for way in (Direction.CONSUMPTION, Direction.PRODUCTION))
    if taken_w is not None:
        yield LOAD if signal.entry.binds == "controllable" else IMPORT, Direction.CONSUMPTION, "", taken_w
    if fed_in_w is not None:
        yield FEED_IN, Direction.PRODUCTION, "", fed_in_w
    if signal.says.load_w is not None:
        yield LOAD, Direction.CONSUMPTION, LOADS, signal.says.load_w
    made_w = _made_w(signal.says)
    if made_w is not None:
        yield MADE, Direction.PRODUCTION, GENERATION, made_w


def _state_of(signal: Signal, way: Direction) -> str:
    state = signal.machines[way].state
    return state.value if state in (State.FAILSAFE, State.WAITING) else HOLDS


def _made_w(says: InForce) -> float | None:
    return says.generation_w if says.connected else 0.0


def _measured(flows: Flows, signal: Signal, kind: str, circuit: str) -> float | None:
    found: Mapping[str, Measured | float | None] = {
        IMPORT: flows.circuit_w(signal.entry.circuit),
        LOAD: flows.controllable(signal.entry.circuit),
        FEED_IN: _fed_in(flows),
        MADE: flows.generation(),
    }
    one = found[kind]
    return one.whole_w if isinstance(one, Measured) else one


def _fed_in(flows: Flows) -> float | None:
    return None if flows.grid_w is None else max(0.0, -flows.grid_w)


def _below(measured_w: float | None, most_w: float) -> bool | None:
    return None if measured_w is None else measured_w <= at_limit(most_w)


def _csms(site: Site, flows: Flows, at: Stamp) -> Iterator[BoundView]:
    """What CSMSs want of all chargers of a depot face, and DER controls."""
    layout = site.layout
    per_a = layout.voltage_v * layout.phase_count
    for wish in site.grid_wishes.now(at.wall_s):
        if wish.limit_a is not None:
            power_w = wish.limit_a * per_a
            yield BoundView(LOAD, "CSMS", ROOT_CIRCUIT, power_w, HOLDS, wish.limit_a, None, wish.ends_wall_s, words=wish.reason)
    for one in _controls(site, at):
        if one.begin_wall_s <= at.wall_s:
            measured_w = {FEED_IN: _fed_in(flows), MADE: flows.generation().whole_w}.get(one.kind)
            obeyed = _below(measured_w, one.power_w)
            yield BoundView(one.kind, "CSMS", ROOT_CIRCUIT, one.power_w, HOLDS, None, None, one.end_wall_s, measured_w, obeyed, one.words)


# -- over time ------------------------------------------------------------------------------------------------


def _coming(site: Site, at: Stamp) -> Iterator[BoundView]:
    for signal in site.outside.signals.values():
        for one in _stretches(signal, at):
            if one.begin_wall_s > at.wall_s:
                shown = ROOT_CIRCUIT if one.kind in (FEED_IN, MADE) else signal.entry.circuit
                yield BoundView(one.kind, signal.id, shown, one.power_w, ANNOUNCED, None, one.begin_wall_s, one.end_wall_s, words=one.words)
    for one in (*_controls(site, at), *_site_wishes(site, at)):
        if at.wall_s < one.begin_wall_s < at.wall_s + HORIZON_S:
            yield BoundView(one.kind, "CSMS", ROOT_CIRCUIT, one.power_w, ANNOUNCED, None, one.begin_wall_s, one.end_wall_s, words=one.words)


def _stretches(signal: Signal, at: Stamp) -> list[Stretch]:
    """What a schedule says of each kind."""
    if signal.schedule is None:
        return []
    told = signal.schedule.ahead(at, HORIZON_S)
    return [one for kind, value in _values(signal).items() for one in _runs(kind, told, value)] + _runs(LOAD, told, lambda says: says.load_w)


def _values(signal: Signal) -> dict[str, Callable[[InForce], float | None]]:
    return {
        LOAD if signal.entry.binds == "controllable" else IMPORT: lambda says: says.consumption_w,
        FEED_IN: lambda says: says.production_w if says.connected else 0.0,
        MADE: _made_w,
    }


def _runs(kind: str, told: Sequence[Ahead], value: Callable[[InForce], float | None]) -> list[Stretch]:
    """Neighbours that say the same are one; the last one may go on, nobody looks further."""
    found, last_s = [], told[-1].end_wall_s if told else 0.0
    for watts, run in groupby(told, key=lambda stretch: value(stretch.says)):
        parts = list(run)
        end_s = parts[-1].end_wall_s
        if watts is not None:
            found.append(Stretch(kind, watts, parts[0].start_wall_s, end_s if end_s < last_s else None, parts[0].says.label))
    return found


def _controls(site: Site, at: Stamp) -> Iterable[Stretch]:
    """DER controls, now and later; a part of the rated output as the power it is of inverters and battery."""
    battery = site.config.battery
    rated_w = sum(one.max_power_w for one in site.config.inverters) + (battery.max_discharge_w if battery is not None else 0.0)
    for one in site.grid_wishes.ahead(at.wall_s):
        for kind, watts in ((FEED_IN, one.export_w), (MADE, None if one.part is None else one.part * rated_w)):
            if watts is not None:
                yield Stretch(kind, watts, one.start_wall_s, _known(one.end_wall_s), one.source)
    for face in site.grid_wishes.plans():
        for begin_s, end_s, watts in face.discharge:
            if end_s > at.wall_s:
                yield Stretch(GIVEN, watts, begin_s, _known(end_s), "DER control")


def _site_wishes(site: Site, at: Stamp) -> Iterable[Stretch]:
    """What a CSMS's schedule allows all chargers later."""
    per_a = site.layout.voltage_v * site.layout.phase_count
    for face in site.grid_wishes.plans():
        ends = [*(step.start_wall_s for step in face.steps[1:]), None]
        for step, end_s in zip(face.steps, ends, strict=False):  # a face with nothing but DER controls has no steps
            if step.limit_a is not None:
                yield Stretch(LOAD, step.limit_a * per_a, step.start_wall_s, end_s, "CSMS limit for the site")


def _known(end_wall_s: float) -> float | None:
    return end_wall_s if math.isfinite(end_wall_s) else None
