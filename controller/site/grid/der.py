"""What a CSMS wants of the whole site: its limit and setpoint for all chargers together, and the grid's bounds on giving back.

Comes from a depot face: ``SiteWished`` is its composite of charging profiles for EVSE 0, ``GridControlled`` a DER control in force. Both are for
the chargers of that face only, and can only lower: beside fuses, limits and the chargers' own bounds. What is no number counts as 0, the
safer side. Nothing is kept over a restart: the link has it on disk and tells it before any station is commanded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import EvseKey, GridControlled, GridStep, LimitStep, SiteWished
from controller.site.grid.announced import Ahead
from controller.site.layout import Layout
from controller.site.sharing.inputs import FaceWish

SITE: Final = EvseKey("", 0)
Bound = tuple[float, str]
"""(power [W] >= 0, who says so)."""
Stretches = tuple[tuple[float, float, float], ...]
"""(begin, end [wall s], most power [W]); nothing said = not bounded."""


@dataclass(frozen=True, slots=True)
class FaceSteps:
    """A CSMS's schedule for all chargers of its face, for the planner; or that of all controllable loads below a circuit.

    face: its name; of a sum of controllable loads the words people read. discharge: bounds of DER controls, now and later. circuit: below
    which the chargers hang. with_battery: a sum of controllable loads, to which a commanded battery's charging belongs.
    """

    face: str
    stations: frozenset[str]
    steps: tuple[LimitStep, ...]
    discharge: Stretches = ()
    circuit: str = ROOT_CIRCUIT
    with_battery: bool = False


class GridWishes:
    """All faces of a site. Most sites have none."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self._voltage_v, self._phases = layout.voltage_v, layout.phase_count
        self._stations = _stations_of(config)
        self._all = frozenset(station.id for station in config.stations)
        self._steps: dict[str, tuple[LimitStep, ...]] = {}
        self._reasons: dict[str, str] = {}
        self._controls: dict[tuple[str, EvseKey], GridControlled] = {}
        self._begun: dict[str, float] = {}

    # -- facts ---------------------------------------------------------------------------------------------

    def wished(self, fact: SiteWished) -> None:
        """The composite for EVSE 0 has changed."""
        self._steps.pop(fact.face, None)
        if fact.steps:
            self._steps[fact.face] = tuple(map(_sane, fact.steps))
        self._reasons[fact.face] = fact.reason or "CSMS limit for the site"

    def controlled(self, fact: GridControlled) -> None:
        """A DER control is in force, another one, or none any more."""
        key = (fact.face, fact.evse)
        if not fact.coming and (fact.max_discharge_w, fact.max_export_w, fact.part) == (None, None, None):
            self._controls.pop(key, None)
        else:
            self._controls[key] = fact

    def stations(self, face: str) -> frozenset[str]:
        """The chargers behind a face; one that is not in the site file is taken to mean all of them."""
        return self._stations.get(face, self._all)

    # -- what holds now --------------------------------------------------------------------------------------

    def now(self, wall_s: float) -> tuple[FaceWish, ...]:
        """What each CSMS wants of its chargers at this moment."""
        found = [self._face(face, wall_s) for face in dict.fromkeys([*self._steps, *(face for face, _ in self._controls)])]
        return tuple(wish for wish in found if (wish.limit_a, wish.discharge_w, wish.setpoint_w) != (None, None, None))

    def _face(self, face: str, wall_s: float) -> FaceWish:
        step, ends_wall_s = step_at(self._steps.get(face, ()), wall_s)
        reason = self._reasons.get(face, "")
        bounds: list[Bound] = []
        if step is not None and step.discharge_a is not None:
            bounds.append((self._total_w(step, max(0.0, -step.discharge_a)), reason))
        control = self._controls.get((face, SITE))
        if control is not None and control.max_discharge_w is not None:
            bounds.append((_bound(control.max_discharge_w), control.control or "DER control"))
        discharge = min(bounds, key=lambda bound: bound[0], default=None)
        return FaceWish(
            face,
            self.stations(face),
            step.limit_a if step is not None else None,
            reason,
            ends_wall_s,
            discharge[0] if discharge is not None else None,
            discharge[1] if discharge is not None else "",
            self._total_w(step, step.setpoint_a) if step is not None and step.setpoint_a is not None else None,
            total_a=self._total_a(step) if step is not None else None,
        )

    def _total_a(self, step: LimitStep) -> float | None:
        """A limit in watts as a sum of currents over the phases [A]; one phase is limited by itself."""
        return step.limit_a * self._phases if step.total and step.limit_a is not None and self._phases > 1 else None

    def _total_w(self, step: LimitStep, amps: float) -> float:
        """Power of a current per phase [W]."""
        return amps * self._voltage_v * (step.phase_count or self._phases)

    def of_evses(self) -> dict[EvseKey, Bound]:
        """EVSEs that a DER control bounds by themselves: the most each may give back."""
        found: dict[EvseKey, Bound] = {}
        for (_, key), control in self._controls.items():
            if key != SITE and control.max_discharge_w is not None:
                bound = (_bound(control.max_discharge_w), control.control or "DER control")
                found[key] = min(found.get(key, bound), bound)
        return found

    def export(self) -> Bound | None:
        """The most the grid connection may feed in by DER controls."""
        bounds = [(_bound(one.max_export_w), one.control) for one in self._controls.values() if one.max_export_w is not None]
        return min(bounds, default=None)

    def part(self) -> Bound | None:
        """The part of their rated output (0..1) that inverters and battery may give by DER controls."""
        parts = [(min(1.0, _bound(one.part)), one.control or "DER control") for one in self._controls.values() if one.part is not None]
        return min(parts, default=None)

    def limit_a(self, wall_s: float) -> tuple[float, str, float | None] | None:
        """(lowest limit of a CSMS for all its chargers per phase [A], who says so, its end)."""
        found = [(wish.limit_a, wish.reason, wish.ends_wall_s) for wish in self.now(wall_s) if wish.limit_a is not None]
        return min(found, key=lambda one: one[0], default=None)

    # -- for the planner ----------------------------------------------------------------------------------------

    def plans(self) -> tuple[FaceSteps, ...]:
        """What the planner has to know, over time."""
        faces = dict.fromkeys([*self._steps, *(face for face, _ in self._controls)])
        return tuple(self._plan(face) for face in faces)

    def _plan(self, face: str) -> FaceSteps:
        control = self._controls.get((face, SITE))
        return FaceSteps(face, self.stations(face), self._steps.get(face, ()), _discharge(control) if control is not None else ())

    def giving(self) -> dict[EvseKey, Stretches]:
        """What DER controls leave single EVSEs, now and later."""
        found: dict[EvseKey, Stretches] = {}
        for (_, key), control in self._controls.items():
            if key != SITE and (bounds := _discharge(control)):
                found[key] = (*found.get(key, ()), *bounds)
        return found

    def ahead(self, wall_s: float) -> tuple[Ahead, ...]:
        """What DER controls leave of feed-in, and of inverters and battery, now and later."""
        found = []
        for (_, key), control in self._controls.items():
            for begin_s, end_s, step in _stretches(control) if key == SITE else ():
                if (step.max_export_w, step.part) != (None, None) and end_s > wall_s:
                    export_w = None if step.max_export_w is None else _bound(step.max_export_w)
                    part = None if step.part is None else min(1.0, _bound(step.part))
                    found.append(Ahead(control.control or "DER control", ROOT_CIRCUIT, begin_s, end_s, export_w=export_w, part=part))
        return tuple(found)

    def step_changed(self, wall_s: float) -> bool:
        """Whether a step of a schedule has begun since this was asked last: the plan was made with the one before."""
        begun = {face: step.start_wall_s for face, steps in self._steps.items() if (step := step_at(steps, wall_s)[0]) is not None}
        changed = begun != self._begun
        self._begun = begun
        return changed


def _stretches(control: GridControlled) -> list[tuple[float, float, GridStep]]:
    """(begin, end, what holds) [wall s] of what a control says, the present one from long ago."""
    present = GridStep(-math.inf, control.max_discharge_w, control.max_export_w, control.part)
    steps = (present, *control.coming)
    ends = (*(step.start_wall_s for step in control.coming), math.inf)
    return [(step.start_wall_s, end_s, step) for step, end_s in zip(steps, ends, strict=True)]


def _discharge(control: GridControlled) -> Stretches:
    stretches = _stretches(control)
    return tuple((begin_s, end_s, _bound(step.max_discharge_w)) for begin_s, end_s, step in stretches if step.max_discharge_w is not None)


def step_at(steps: Sequence[LimitStep], wall_s: float) -> tuple[LimitStep | None, float | None]:
    """(the step that holds at a moment, when the next one begins). The first one holds from when it was told, also by a clock set back since."""
    found: LimitStep | None = None
    for step in steps:
        if found is not None and step.start_wall_s > wall_s:
            return found, step.start_wall_s
        found = step
    return found, None


def _stations_of(config: Config) -> Mapping[str, frozenset[str]]:
    """Identity of a depot face -> the stations behind it."""
    found: dict[str, set[str]] = {}
    for station in config.stations:
        upstream = config.upstream_of(station.id)
        if upstream is not None and upstream.face == "depot":
            found.setdefault(upstream.identity or config.site.id, set()).add(station.id)
    return {face: frozenset(stations) for face, stations in found.items()}


def _bound(watts: float) -> float:
    return max(0.0, watts) if math.isfinite(watts) else 0.0


def _sane(step: LimitStep) -> LimitStep:
    limit_a = None if step.limit_a is None else max(0.0, _number(step.limit_a))
    discharge_a = None if step.discharge_a is None else _number(step.discharge_a)
    setpoint_a = None if step.setpoint_a is None else _number(step.setpoint_a)
    return replace(step, limit_a=limit_a, discharge_a=discharge_a, setpoint_a=setpoint_a)


def _number(amps: float) -> float:
    return amps if math.isfinite(amps) else 0.0
