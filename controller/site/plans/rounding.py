"""From the plan to ceilings in amps that chargers accept, and what rounding owes to whom.

``optimizer.amps`` rounds one slot of a plan; here is what that needs to know of chargers, and the memory between two plans: what a car
is owed is reckoned for the time the currents really stood, not for the time they were meant to. Currents stay as they are until there is
another plan, another slot, or they have stood as long as they were rounded for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.facts import EvseKey, Stamp
from controller.site.plans.evening import evened
from controller.site.sharing.chain import least_discharge_w
from controller.site.state import EvseState
from controller.site.stations.channel import Channel
from optimizer.amps import Rounded, to_amps
from optimizer.problem import Plan, Problem
from optimizer.steps import Steps, accepted_w

SHORTEST_S = 5.0
"""Currents are rounded for at least this long [wall s]."""
SMALLEST_GIFT_A = 0.1
"""Less is not worth a message [A]."""
TAPER_PART = 0.95
"""A plan this near to what a tapering car should take asks it for a step more: only so it can show that it takes more."""


@dataclass(slots=True)
class Stood:
    """Currents in force: of which plan and slot, since when [wall s], for how long they were rounded [s], what was owed before and
    will be after that. cars: whose debts these are, EVSE -> transaction: the next car has none."""

    plan: Plan | None = None
    slot: int = -1
    since_wall_s: float = 0.0
    held_s: float = 1.0
    before_wh: Mapping[str, float] = field(default_factory=dict)
    after: Rounded = field(default_factory=lambda: Rounded({}, {}))
    cars: Mapping[str, str] = field(default_factory=dict)

    def owed_wh(self, wall_s: float) -> dict[str, float]:
        """What is owed by now: in a straight line from before to after."""
        part = min(1.0, max(0.0, (wall_s - self.since_wall_s) / self.held_s))
        names = self.before_wh.keys() | self.after.owed_wh.keys()
        owed = {name: (1.0 - part) * self.before_wh.get(name, 0.0) + part * self.after.owed_wh.get(name, 0.0) for name in names}
        return {name: wh for name, wh in owed.items() if wh}


class Rounding:
    """Keeps the currents of the plan in force. every_s: time between two plans [s]."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._stood = Stood()

    @property
    def setpoint_a(self) -> Mapping[str, float]:
        """Per phase, by EVSE; negative = give back [A]."""
        return self._stood.after.setpoint_a

    @property
    def owed_wh(self) -> Mapping[str, float]:
        """What was owed when the currents were rounded [Wh]."""
        return self._stood.before_wh

    def renew(
        self, problem: Problem, plan: Plan, slot: int, evses: Mapping[EvseKey, EvseState], channels: Mapping[EvseKey, Channel], at: Stamp
    ) -> None:
        """Round anew if there is another plan or slot, or the currents have stood long enough."""
        stood = self._stood
        if stood.plan is plan and stood.slot == slot and 0.0 <= at.wall_s - stood.since_wall_s < stood.held_s:
            return
        step = plan.slots[slot]
        left_s = step.start_wall_s + step.duration_s - at.wall_s
        held_s = max(SHORTEST_S, min(self._every_s * at.wall_speed, left_s))
        meant = evened(problem, plan, slot)
        steps = {
            str(key): steps_of(evse, channels[key], _gives(meant, str(key), slot), problem.voltage_v)
            for key, evse in evses.items()
            if evse.session is not None
        }
        charging = {str(key) for key, evse in evses.items() if channels[key].present_a(at.mono_s) > 0 or (evse.power_w or 0.0) < 0}
        cars = {str(key): evse.session.transaction_id for key, evse in evses.items() if evse.session is not None}
        owed_wh = {name: wh for name, wh in stood.owed_wh(at.wall_s).items() if name in cars and stood.cars.get(name) == cars[name]}
        rounded = to_amps(problem, meant, steps, owed_wh, charging, slot, held_s)
        setpoints = {**rounded.setpoint_a, **_shown(problem, meant, slot, steps, rounded.setpoint_a)}
        self._stood = Stood(plan, slot, at.wall_s, held_s, owed_wh, Rounded(setpoints, rounded.owed_wh), cars)

    def plainly(self, problem: Problem, plan: Plan, slot: int, evses: Mapping[EvseKey, EvseState], at: Stamp) -> None:
        """Without any finesse and without debts, for when ``renew`` fails: the plan's current, at least the smallest that charges."""
        setpoints = {}
        for key, evse in evses.items():
            watts = plan.ev_power_w.get(str(key), ())
            if evse.session is None or not watts:
                continue
            amps = watts[slot] / problem.voltage_v / len(evse.phases)
            setpoints[str(key)] = max(amps, evse.place.min_a) if amps >= SMALLEST_GIFT_A else 0.0
        self._stood = Stood(plan, slot, at.wall_s, self._every_s, {}, Rounded(setpoints, {}))


def steps_of(evse: EvseState, channel: Channel, gives: bool, voltage_v: float) -> Steps:
    """What the charger accepts. Giving back knows no 6 A and no steps: it is told in watts, and only the car has a minimum."""
    most_a = evse.place.config.max_current_a
    if gives:
        return Steps(max(SMALLEST_GIFT_A, least_discharge_w(evse) / voltage_v / len(evse.phases)), most_a, 0.0)
    least_a = max(evse.place.min_a, channel.session_min_a)
    return Steps(least_a, max(least_a, most_a), evse.place.model.step_a)


def _gives(plan: Plan, name: str, slot: int) -> bool:
    return name in plan.ev_power_w and plan.ev_power_w[name][slot] < 0.0


def _shown(problem: Problem, plan: Plan, slot: int, steps: Mapping[str, Steps], setpoint_a: Mapping[str, float]) -> dict[str, float]:
    """A step more for cars that are only held by the taper we think they have."""
    found = {}
    for ev in problem.evs:
        amps = setpoint_a.get(ev.ev_id, 0.0)
        if not ev.acceptance or amps <= 0.0 or plan.ev_power_w[ev.ev_id][slot] < TAPER_PART * min(accepted_w(ev), ev.max_power_w):
            continue
        most_w = min([ev.max_power_w, *ev.max_slot_power_w[slot : slot + 1]])
        more_a = amps + max(1.0, steps[ev.ev_id].step_a)
        if more_a * problem.voltage_v * len(ev.phases) <= most_w:
            found[ev.ev_id] = min(more_a, steps[ev.ev_id].max_a)
    return found
