"""The inverters' law: free, unless something bounds what may be fed in or produced; then down at once and up slowly.

What may be produced follows from what flows besides the inverters (``Rest``): bound plus the load. It does not depend on what they
produce, so it is the same before and after they have followed: one step, no swinging. They are held down when what they make
comes near the bound, not before, and set free when they do not come near it any more. While they follow a cap that rises, nobody
knows whether less import is their own doing or a load that ended (``_doubt_w``): they are let up no further than what they make
bears out.

A bound comes from the grid connection, the grid operator, or from the plan: where it throws PV away because feeding in costs money. Then
no more may be fed in than the plan meant to; where the plan even draws from the grid, it says how much may be produced.

All share by rated power. One that says nothing, refuses, follows something else or does not follow counts as a load like any other, and the
others make up for it. One behind relays takes the step at or below its share; the others get what that leaves.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.config_devices import InverterConfig, RelayStage, StageControl
from controller.site.devices.scene import Bound, Rest, Scene

CURTAILED_W: Final = 100.0
"""A plan that throws away less means none."""
NEAR_W: Final = 300.0
SPARE_PART: Final = 0.005
LEAST_SPARE_W: Final = 50.0
"""Kept free below a bound: this part of the rated power, and at least so much [W]."""
BAND_PART: Final = 0.03
"""So near to what may be produced they are held down, as part of their rated power."""
TIGHT_PART: Final = 0.005
"""So near to their cap they would make more if they were let."""
HELD_S: Final = 6.0
"""They follow a cap that rises only after so long, and what makes them make less for so long may be a gust: until then they count as held [s]."""
RISE_PART: Final = 0.02
"""Most of their rated power that they are let up by in a second ..."""
GAP_S: Final = 4.0
"""... unless much more may be made: the gap is closed in about so many seconds."""
LOOSE_PART: Final = 0.1
LOOSE_S: Final = 120.0
"""Held so much above what they make for so long, they are set free [s]."""
STEP_UP_S: Final = 60.0
"""A step upwards of a staged inverter waits so long after its last step [s]."""


@dataclass(frozen=True, slots=True)
class Cap:
    """What all inverters that obey may make together [W]; None = free."""

    power_w: float | None
    reason: str
    urgent: bool = False
    short: bool = False
    """The bound cannot be kept by those that obey."""


class SunLaw:
    """Keeps the cap. Mutable; ``rated_w``: of the inverters that obey now."""

    def __init__(self) -> None:
        self.rest = Rest()
        self._cap_w: float | None = None
        self._doubt_w = 0.0
        self._looked_mono_s = -math.inf
        self._loose_since: float | None = None
        self._binds = False
        self._caps: deque[tuple[float, float]] = deque()
        self._tight_mono_s = -math.inf

    @property
    def holds(self) -> bool:
        """Whether they are held down now."""
        return self._cap_w is not None

    @property
    def binds(self) -> bool:
        """Whether they would make more if they were let."""
        return self._binds

    def cap(self, scene: Scene, made_w: float, told_w: float, rated_w: float, least_w: float, battery_w: float = 0.0) -> Cap:
        """made_w: what those that obey make; told_w: what they may be making by their last command. least_w: nobody goes below it.

        battery_w <= 0: what the battery will take less than it does now: it was told so in this very moment.
        """
        found = self._cap(scene, made_w, told_w, rated_w, least_w, battery_w)
        self._binds = found.power_w is not None and self._is_tight(found.power_w, made_w, rated_w, scene.at.mono_s)
        return found

    def _is_tight(self, cap_w: float, made_w: float, rated_w: float, now: float) -> bool:
        """Whether they make what they may, or did a moment ago: those that are let up follow late."""
        self._caps.append((now, cap_w))
        while now - self._caps[0][0] > HELD_S:
            self._caps.popleft()
        if made_w >= min(watts for _, watts in self._caps) - TIGHT_PART * rated_w:
            self._tight_mono_s = now
        return now - self._tight_mono_s <= HELD_S

    def _cap(self, scene: Scene, made_w: float, told_w: float, rated_w: float, least_w: float, battery_w: float) -> Cap:
        now = scene.at.mono_s
        passed_s, self._looked_mono_s = min(5.0, max(0.0, now - self._looked_mono_s)), now
        may = self._may_make(scene, made_w, told_w, rated_w, battery_w)
        if may is None:
            return self._let_up(rated_w, passed_s)
        if rated_w <= 0:
            return Cap(self._cap_w, may[1])  # nobody obeys: what they were told last stays, it may yet be done
        most_w, reason = may
        short = most_w < least_w - NEAR_W
        most_w = max(least_w, most_w)
        if self._cap_w is None:
            if most_w >= min(rated_w, made_w + BAND_PART * rated_w):
                return Cap(None, "")
            self._cap_w = most_w
            return Cap(most_w, reason, made_w > most_w, short)
        lowered = most_w < self._cap_w
        step_w = max(RISE_PART * rated_w, (most_w - self._cap_w) / GAP_S) * passed_s
        risen_w = self._cap_w if scene.late else self._cap_w + step_w
        self._cap_w = most_w if lowered else max(self._cap_w, min(most_w - self._doubt_w, risen_w))
        if self._cap_w >= rated_w or self._is_loose(made_w, rated_w, now):
            self._cap_w = None
            return Cap(None, "")
        return Cap(self._cap_w, reason, made_w > self._cap_w, short)

    def _let_up(self, rated_w: float, passed_s: float) -> Cap:
        """Nothing bounds them any more."""
        if self._cap_w is None:
            return Cap(None, "")
        self._cap_w += RISE_PART * rated_w * passed_s
        if self._cap_w >= rated_w:
            self._cap_w = None
            return Cap(None, "")
        return Cap(self._cap_w, "let up slowly")

    def _is_loose(self, made_w: float, rated_w: float, now: float) -> bool:
        assert self._cap_w is not None
        if made_w > self._cap_w - LOOSE_PART * rated_w:
            self._loose_since = None
            return False
        self._loose_since = now if self._loose_since is None else self._loose_since
        return now - self._loose_since >= LOOSE_S

    def _may_make(self, scene: Scene, made_w: float, told_w: float, rated_w: float, battery_w: float) -> Bound | None:
        """What may be made now [W] and who says so; None = nobody bounds it."""
        bounds: list[Bound] = []
        spare_w = spare_of_w(rated_w)
        if scene.grid_w is None:
            self.rest.forget()
            bounds += [(max(0.0, watts - spare_w), f"{why}; nobody knows what flows at the grid connection") for watts, why in scene.exports]
        else:
            rest_w = self.rest.read(scene.grid_w, -made_w, -told_w)
            self._doubt_w = max(0.0, rest_w - scene.grid_w - min(made_w, told_w))
            rest_w += min(0.0, battery_w)
            bounds += [(watts - spare_w + rest_w, why) for watts, why in scene.exports]
            bounds += self._by_plan(scene, rest_w, made_w, rated_w)
        if scene.part is not None:
            bounds.append((scene.part[0] * rated_w, scene.part[1]))
        if scene.generation is not None:
            bounds.append((max(0.0, scene.generation[0] - spare_w), scene.generation[1]))
        return min(bounds, default=None)

    @staticmethod
    def _by_plan(scene: Scene, rest_w: float, made_w: float, rated_w: float) -> Iterable[Bound]:
        slot = scene.slot
        if slot is None or slot.curtailed_w <= CURTAILED_W:
            return
        if slot.grid_w <= NEAR_W:
            yield max(0.0, -slot.grid_w) + rest_w, "plan: feeding in costs money now"
            return
        drawn_w = rest_w - made_w
        spare_w = 0.9 * scene.fuse_w - drawn_w  # what the fuse leaves: sun is not thrown away where its place would be overloaded
        yield max(slot.pv_w - slot.curtailed_w, made_w - spare_w), "plan: the grid's energy costs less than nothing now"


def spare_of_w(rated_w: float) -> float:
    """What inverters keep free below a bound [W]."""
    return max(LEAST_SPARE_W, SPARE_PART * rated_w)


# -- sharing ------------------------------------------------------------------------------------------------------


def shares(cap_w: float | None, inverters: Iterable[InverterConfig]) -> dict[str, float | None]:
    """The part of each inverter [W], by rated power, none below its least; None = free. Staged ones: the step at or below their part."""
    found = list(inverters)
    if cap_w is None:
        return {one.id: None for one in found}
    given: dict[str, float | None] = {}
    staged = [one for one in found if isinstance(one.control, StageControl)]
    rated_w = sum(one.max_power_w for one in found)
    left_w = cap_w
    for one in staged:
        assert isinstance(one.control, StageControl)
        part = one.max_power_w * cap_w / rated_w if rated_w else 0.0
        step = step_below(one.control.stages, 100.0 * part / one.max_power_w)
        given[one.id] = one.max_power_w * max(step.percent, 0.0) / 100.0
        left_w -= given[one.id] or 0.0
    return given | _levelled(max(0.0, left_w), [one for one in found if one.id not in given])


def _levelled(left_w: float, inverters: list[InverterConfig]) -> dict[str, float | None]:
    """The same percentage for all, except who would fall below its least: it keeps that, and the others give it up."""
    given: dict[str, float | None] = {}
    waiting = list(inverters)
    while waiting:
        rated_w = sum(one.max_power_w for one in waiting)
        part = min(1.0, max(0.0, left_w) / rated_w)
        low = [one for one in waiting if part < one.min_percent / 100.0 - 1e-9]
        for one in low or waiting:
            given[one.id] = one.max_power_w * (one.min_percent / 100.0 if low else part)
            left_w -= given[one.id] or 0.0
        waiting = [one for one in waiting if one not in low] if low else []
    return given


def step_below(stages: Iterable[RelayStage], percent: float) -> RelayStage:
    """The highest step that is not above ``percent``; the lowest one where all are."""
    ordered = sorted(stages, key=lambda stage: stage.percent)
    return max((stage for stage in ordered if stage.percent <= percent + 1e-6), key=lambda stage: stage.percent, default=ordered[0])


def least_w(inverters: Iterable[InverterConfig]) -> float:
    """What they make at least however far they are held down [W]."""
    total = 0.0
    for one in inverters:
        part = min(stage.percent for stage in one.control.stages) if isinstance(one.control, StageControl) else one.min_percent
        total += one.max_power_w * part / 100.0
    return total


class Steps:
    """The step each staged inverter is in: down at once, up only after a while."""

    def __init__(self) -> None:
        self._now: dict[str, tuple[float, float]] = {}

    def settle(self, inverter: InverterConfig, wanted_w: float | None, now: float) -> RelayStage:
        """The step to take."""
        assert isinstance(inverter.control, StageControl)
        percent = 100.0 if wanted_w is None else 100.0 * wanted_w / inverter.max_power_w
        step = step_below(inverter.control.stages, percent)
        before = self._now.get(inverter.id)
        if before is not None and step.percent > before[0] and now - before[1] < STEP_UP_S:
            step = step_below(inverter.control.stages, before[0])
        if before is None or step.percent != before[0]:
            self._now[inverter.id] = (step.percent, now)
        return step


def closed_in(stage: RelayStage, control: StageControl) -> Mapping[str, bool]:
    """Every relay of the inverter and whether it is closed in this step."""
    names = {name for one in control.stages for name in one.closed}
    return {name: name in stage.closed for name in sorted(names)}
