"""The battery's law: from the plan and the grid meter to a setpoint, in one step and without memory of errors.

The plan was made with forecasts. Between two plans the setpoint is the plan's power, bent by what the meter shows, never past zero:

    the plan means no import      it charges only from what would be fed in, and discharges for all that is drawn
    the plan means no feeding in  it charges more before it feeds in, and discharges no more than is drawn
    neither                       it follows the plan; the difference flows over the grid connection, as the plan meant it to
    the plan has a peak           import above it is taken from the battery: such a kilowatt costs for a whole month
    no plan                       no import and no feeding in: self-consumption

Why a law without an integrator: what flows besides the battery (``Rest``) does not depend on what the battery does, so the setpoint that
follows from it is the same before and after the battery has followed. There is nothing that could swing, whatever the delay. Upwards
(charging more, discharging less) it goes at a tenth of its power per second, as cars must be able to follow; downwards at once.

Fuses and limits come last and win. Cars go first: what they may draw is not the battery's (``room``). It is discharged below its
reserve only for a measured overload, and never below its lowest state of charge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from controller.config import BatteryConfig
from controller.config_devices import BatteryControlConfig
from controller.site.devices.scene import Bound, PlanSlot, Rest, Scene

NEAR_W: Final = 300.0
"""A planned grid power no larger than this is meant to be none [W]."""
IDLE_W: Final = 50.0
"""A planned battery power no larger than this is none [W]."""
RISE_PART: Final = 0.1
"""Most of its charging power that a setpoint rises by in a second."""
SOAK_PART: Final = 0.03
"""The same while it rises to take what would be curtailed otherwise ..."""
AHEAD_PART: Final = 0.2
"""... and most that it is ahead of the inverters that are let up for it, as part of its charging power."""
SOAK_PAUSE_S: Final = 20.0
"""After the sun had no more to give than was taken, nobody is ahead of the inverters for so long [s]."""
EASE_S: Final = 10.0
"""So long after it was ahead of them it comes back no faster than it rises [s]: a step back would hold them down anew."""
TURN_S: Final = 8.0
"""After it was moved one way it is moved the other way only so much later, at least [s]: each turn wears, and most of what makes one passes."""
TURN_PART: Final = 0.01
"""Smaller moves than this part of its charging power are none."""
STAYS_PART: Final = 0.6
"""One that works goes on until this part of its smallest useful power."""
ENOUGH_PERCENT: Final = 0.5
"""So much above its lowest state of charge it begins to discharge again [percentage points]."""
FULL_PERCENT: Final = 99.8


class Held(Enum):
    """Whether the sun would give more if it were let, and why it is not: a bound of feeding in, or the plan, which throws it away."""

    NOT = 0
    BOUND = 1
    PLAN = 2


@dataclass(frozen=True, slots=True)
class Power:
    """What the battery can do now [W], both >= 0."""

    charge_w: float
    discharge_w: float


@dataclass(frozen=True, slots=True)
class Setpoint:
    """power_w: charging positive. urgent: a fuse or a bound of feeding in asks for it. wanted_w: before pace and room."""

    power_w: float
    reason: str
    urgent: bool = False
    wanted_w: float = 0.0


class BatteryLaw:
    """Keeps the rest of the site and the last setpoint. Mutable; one battery."""

    def __init__(self, config: BatteryConfig, control: BatteryControlConfig) -> None:
        self._config, self._control = config, control
        self.rest = Rest()
        self._last_w: float | None = None
        self._last_mono_s = -math.inf
        self._way, self._moved_mono_s = 0, -math.inf
        self.reacts_s = 0.0
        """How long it takes to follow, as seen [s]."""
        self._ahead_from_w: float | None = None
        self._ahead_mono_s = self._soaks_from_mono_s = -math.inf
        self._empty = self._low = self._full = False

    def forget(self) -> None:
        """It is not ours now."""
        self._last_w = None
        self.rest.forget()

    def setpoint(self, scene: Scene, power: Power, told_w: tuple[float, float], held: Held = Held.NOT) -> Setpoint:
        """What it shall do now. told_w: (what it shows, what it was told): it is anywhere between. held: PV."""
        now = scene.at.mono_s
        self._charge_state(scene.soc_percent)
        if scene.grid_w is None:
            return self._kept(0.0, "nobody knows what flows at the grid connection: it rests", True, now)
        rest_w = self.rest.read(scene.grid_w, *told_w)
        wanted_w, reason = self._wanted(scene, rest_w, held)
        wanted_w, reason = self._allowed(wanted_w, reason, rest_w)
        wanted_w, reason, forced = self._fed_in(scene, wanted_w, reason, rest_w, told_w[0], held is Held.BOUND, now)
        wanted_w, reason = self._possible(wanted_w, reason, power)
        goal_w = max(self._useful(self._calm(scene, wanted_w, now)), min(wanted_w, self._taken_w(scene, rest_w)))
        paced_w = wanted_w if forced else self._paced(goal_w, told_w[0], now, scene.late)
        power_w, reason, urgent = self._inside(scene, paced_w, reason, told_w, power, scene.grid_w - rest_w)
        return self._kept(power_w, reason, urgent or forced, now, wanted_w)

    def _kept(self, power_w: float, reason: str, urgent: bool, now: float, wanted_w: float = 0.0) -> Setpoint:
        if self._last_w is not None and abs(power_w - self._last_w) >= TURN_PART * self._config.max_charge_w:
            self._way, self._moved_mono_s = (1 if power_w > self._last_w else -1), now
        self._last_w, self._last_mono_s = power_w, now
        return Setpoint(power_w, reason, urgent, wanted_w)

    # -- what is wished -----------------------------------------------------------------------------------------

    @staticmethod
    def _wanted(scene: Scene, rest_w: float, held: Held) -> tuple[float, str]:
        if scene.asked_w is not None:
            return scene.asked_w
        if scene.grid_asked_w is not None:
            return scene.grid_asked_w[0] - rest_w, scene.grid_asked_w[1]
        if scene.slot is None or not scene.slot.battery:
            return -rest_w, "no plan: keeps the grid connection at zero"
        return bent_w(scene.slot, rest_w, more=held is not Held.NOT)

    def _allowed(self, watts: float, reason: str, rest_w: float) -> tuple[float, str]:
        """What the owner allows towards the grid."""
        if not self._control.grid_charging and watts > max(0.0, -rest_w):
            return max(0.0, -rest_w), "charges only from the sun"
        if not self._control.grid_discharging and watts < -max(0.0, rest_w):
            return -max(0.0, rest_w), "feeds nothing into the grid"
        return watts, reason

    def _fed_in(self, scene: Scene, watts: float, reason: str, rest_w: float, shown_w: float, curtailed: bool, now: float) -> tuple[float, str, bool]:
        """Take what may not be fed in. While PV is held down nobody sees how much more there is: it rises step by step."""
        bound, most_w, least_w = self._bound(scene), self._config.max_charge_w, self._taken_w(scene, rest_w)
        if not curtailed:
            self._found(max(watts, least_w), most_w, now)
        elif scene.asked_w is None and scene.grid_asked_w is None and now >= self._soaks_from_mono_s:
            least_w = max(least_w, min(self._soaked_w(shown_w, most_w, now), least_w + AHEAD_PART * most_w, most_w))
        ends_w = min(0.0, least_w)
        if (self._last_w or 0.0) < ends_w and scene.grid_w is not None and -scene.grid_w > bound[0] + NEAR_W:
            return ends_w, bound[1], True  # what it gives goes where nothing more may go: nobody waits for the inverters
        if watts >= least_w:
            return watts, reason, False
        return least_w, bound[1], not curtailed and least_w > (self._last_w or 0.0)

    def _found(self, watts: float, most_w: float, now: float) -> None:
        """The sun gives no more than is taken now: whether that is more than before, else it is not worth looking again so soon."""
        if self._ahead_from_w is not None and watts < self._ahead_from_w + SOAK_PART * most_w:
            self._soaks_from_mono_s = now + SOAK_PAUSE_S
        self._ahead_from_w = None

    @staticmethod
    def _bound(scene: Scene) -> Bound:
        return min([*scene.exports, (scene.fuse_w, "fuse")])

    def _taken_w(self, scene: Scene, rest_w: float) -> float:
        """The least it must take, or the most it may give, so that the bound of feeding in is kept."""
        return -rest_w - max(0.0, self._bound(scene)[0] - scene.export_spare_w)

    def _soaked_w(self, shown_w: float, most_w: float, now: float) -> float:
        """A step more than it was told last, for what it shows is older: stepping from that it would step back each time it is late."""
        told_w = shown_w if self._last_w is None else self._last_w
        self._ahead_mono_s, self._ahead_from_w = now, told_w if self._ahead_from_w is None else self._ahead_from_w
        passed_s = min(5.0, max(1.0, now - self._last_mono_s))
        return min(max(shown_w, told_w), shown_w + AHEAD_PART * most_w) + SOAK_PART * most_w * passed_s

    def _possible(self, watts: float, reason: str, power: Power) -> tuple[float, str]:
        if watts < 0 and (self._low or self._empty):
            return 0.0, "kept at its lowest state of charge" if self._empty else "kept at its reserve"
        if watts > 0 and self._full:
            return 0.0, "full"
        return min(max(watts, -power.discharge_w), power.charge_w), reason

    def _charge_state(self, soc_percent: float | None) -> None:
        """Whether it is empty or at its reserve; a little more is needed to leave that again. Unknown: it gives nothing."""
        if soc_percent is None or not math.isfinite(soc_percent):
            self._full = False
            self._empty = self._low = True
            return
        self._full = soc_percent >= FULL_PERCENT - (ENOUGH_PERCENT if self._full else 0.0)
        lowest = self._config.min_soc_percent
        reserve = max(lowest, self._config.reserve_percent)
        self._empty = soc_percent <= lowest + (ENOUGH_PERCENT if self._empty else 0.0)
        self._low = soc_percent <= reserve + (ENOUGH_PERCENT if self._low else 0.0)

    # -- how fast, and how far --------------------------------------------------------------------------------------

    def _calm(self, scene: Scene, watts: float, now: float) -> float:
        """A turn waits until the last move has shown what it does. Down it waits only beside a bound of feeding in: else import costs at once."""
        if self._last_w is None or now - self._moved_mono_s >= max(TURN_S, self.reacts_s + 2.0):
            return watts
        if self._way < 0:
            return watts if self._low or self._empty else min(watts, self._last_w)
        waits = now - self._ahead_mono_s <= SOAK_PAUSE_S or (scene.grid_w or 0.0) <= 0.0
        return max(watts, self._last_w) if self._way > 0 and waits else watts

    def _useful(self, watts: float) -> float:
        """Nothing rather than less than it works well with; one that works may go a little below that."""
        store, least_w = self._config, self._control.min_power_w
        least_w = TURN_PART * max(store.max_charge_w, store.max_discharge_w) if least_w is None else least_w
        works = self._last_w is not None and self._last_w * watts > 0.0
        return 0.0 if abs(watts) < least_w * (STAYS_PART if works else 1.0) else watts

    def _paced(self, watts: float, shown_w: float, now: float, late: bool) -> float:
        before_w = shown_w if self._last_w is None else self._last_w
        passed_s = min(5.0, max(0.0, now - self._last_mono_s))
        if watts <= before_w:
            eases = now - self._ahead_mono_s <= EASE_S and before_w > 0.0
            return max(watts, before_w - RISE_PART * self._config.max_charge_w * passed_s) if eases else watts
        if late:
            return before_w
        return min(watts, before_w + RISE_PART * self._config.max_charge_w * passed_s)

    def _inside(self, scene: Scene, watts: float, reason: str, told_w: tuple[float, float], power: Power, here_w: float) -> tuple[float, str, bool]:
        """Fuses and limits: what the cars leave, and what was measured. here_w: what it did when the grid meter was read."""
        shown_w, counted_w = told_w[0], max(told_w)
        least_w, least_reason = self._least(scene, power, reason)
        most_w = max(room_up_w(counted_w, scene.room_w), min(0.0, shown_w + scene.kept_w))
        if watts > most_w:
            watts, reason = most_w, "fuse or limit: the cars go first"
        if scene.consumption is not None and watts > max(0.0, scene.consumption[0]):
            watts, reason = max(0.0, scene.consumption[0]), scene.consumption[1]
        measured_w = here_w + (scene.headroom_w if scene.headroom_w < 0.0 else max(0.0, scene.headroom_w - scene.margin_w))
        if watts > measured_w:
            return min(watts, max(self._relief_w(measured_w, power), least_w)), "fuse or limit: measured", scene.headroom_w < 0.0
        if watts < least_w:
            return least_w, least_reason, False
        return watts, reason, False

    def _least(self, scene: Scene, power: Power, reason: str) -> Bound:
        """Most it may give, as a setpoint, and who says so."""
        bounds = [(power.discharge_w, reason), *((scene.discharge,) if scene.discharge is not None else ())]
        if scene.part is not None:
            bounds.append((scene.part[0] * self._config.max_discharge_w, scene.part[1]))
        watts, why = min(bounds, key=lambda bound: bound[0])
        return -watts, why

    def _relief_w(self, watts: float, power: Power) -> float:
        """For an overload it gives from its reserve, too, but never when it is empty."""
        return max(watts, 0.0 if self._empty else -power.discharge_w)


def bent_w(slot: PlanSlot, rest_w: float, more: bool = False) -> tuple[float, str]:
    """The plan's power, bent by what flows besides the battery. more: the sun would give more, and is let up where something is drawn."""
    planned_w = slot.battery_w
    if planned_w > IDLE_W:
        watts, reason = planned_w, "plan: charges"
        if slot.grid_w >= -NEAR_W:
            watts = max(watts, -rest_w)
        if slot.grid_w <= NEAR_W and not more:
            watts = min(watts, max(0.0, -rest_w))
    elif planned_w < -IDLE_W:
        watts, reason = planned_w, "plan: discharges"
        if slot.grid_w <= NEAR_W:
            watts = min(watts, -max(0.0, rest_w))
        if slot.grid_w >= -NEAR_W:
            watts = max(watts, -max(0.0, rest_w))
    else:
        watts, reason = 0.0, "plan: rests"
        if slot.grid_w >= -NEAR_W and rest_w < -NEAR_W:
            watts, reason = -rest_w, "takes what was not meant to be fed in"
    if slot.peak_w is not None and rest_w + watts > slot.peak_w and not more:
        return slot.peak_w - rest_w, "shaves the peak that would be paid for"
    return watts, reason


def room_up_w(counted_w: float, room_w: float) -> float:
    """The highest setpoint [W] of a battery that counts with ``counted_w`` where ``room_w`` is left: without room it does not rise, and a
    charging one makes room; nobody is given what it discharges."""
    if room_w >= 0.0 or counted_w <= 0.0:
        return counted_w + max(0.0, room_w)
    return max(0.0, counted_w + room_w)
