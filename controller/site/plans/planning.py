"""Planning: asks for a plan, judges what comes back, and says what it means for this second.

The picture becomes a ``Problem`` (``posing``), a child process solves it, and the answer is believed only after ``optimizer.check``
has verified it against the very problem it was made for. No plan, a late plan, a wrong plan: the last good one is kept for a while,
clamped by the arbiter like every plan; after that ``optimizer.rules`` allocates. A plan is a ceiling, never a permission; ``rounding``
makes amps of it that chargers accept. A plan is for the cars it was posed with: who came to an EVSE since then has none. A defect in
posing, checking or rounding counts as a plan that did not come (``contained``). Serves F59, F60, F61.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from controller.config import Config
from controller.facts import EvseKey, Stamp
from controller.orders import Order, Severity, SolvePlan, Tell
from controller.site.contained import Contained
from controller.site.devices.scene import PlanSlot
from controller.site.layout import Layout
from controller.site.plans.habits import NOTHING_LEARNT
from controller.site.plans.plan_inputs import PlanInputs
from controller.site.plans.planned import Fitness, Trouble, plan_view, trouble_of
from controller.site.plans.posing import build_problem
from controller.site.plans.rounding import Rounding
from controller.site.plans.series import NOTHING_FORESEEN
from controller.site.plans.tariffs import Books
from controller.site.sharing.budget import Target
from controller.site.state import EvseState
from controller.site.stations.channel import Channel
from controller.snapshot import PlanView
from optimizer.check import check
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.rules import ProblemError, allocate
from optimizer.told import NOTHING_TOLD
from optimizer.waiting import Waiting

__all__ = ["PlanInputs", "Planner"]

EVENT_GAP_S, GAP_PER_CAR_S, LONGEST_GAP_S = 2.0, 0.005, 10.0
"""Events ask for a new plan at most this often [s]: more seldom on a large site, where posing and checking one takes its time."""
GRACE_S = 5.0
"""The solver's shell has this long after the solver's deadline to say that it failed [s]."""
NEXT_SLOT_S = 20.0
"""A new slot waits this long for its own plan [s]. What the last plan says about it is one of many equal answers, and was
put into practice for the few seconds until the next one: half of all on and off on the demo day."""
KEPT_PROBLEMS = 4
RULES_NAME = "shared by rules, no plan"
NEED_REACHED = "plan: need reached"
TOLERANCE_A = 0.05
"""Error of a planned current that is the solver's rounding [A]."""
DEFECT = "the controller met an error of its own"
SHORTEST_REST_S = 60.0
"""The rest of a demand window counts as no shorter than this [s]: its last seconds could bear anything."""
MET_WH = 50.0
"""A need smaller than this is met: no meter counts finer [Wh]."""


class Planner:
    """Keeps the plan in force and the problems on their way. books: prices that were announced, None = the tariff of the site file."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self._config, self._layout = config, layout
        self.plan: Plan | None = None
        self.problem: Problem | None = None
        self.books: Books | None = None
        self.window_import_wh = 0.0  # of the running demand window so far
        self.failing = ""
        self.trouble = Trouble.NONE
        self.refused = 0
        self._fitness = Fitness()
        self._rounding = Rounding(config.control.plan_every_s)
        self._solved_mono_s = -math.inf
        self._problems: dict[float, Problem] = {}
        self._cars: dict[float, Mapping[str, str]] = {}
        self._planned_cars: Mapping[str, str] = {}
        self.contained = Contained()
        self._asked = True
        self._sent_mono_s = -math.inf
        self._slot_ends_wall_s = -math.inf
        self._gap_s = EVENT_GAP_S
        self._waiting = False
        self._haste = Waiting()
        self._silent_since_mono_s = -math.inf

    def ask(self) -> None:
        """Something changed that a plan depends on."""
        self._asked = True

    def due(self, at: Stamp) -> bool:
        """Whether a new problem shall be made now."""
        passed_s = at.mono_s - self._sent_mono_s
        asked = self._asked or at.wall_s >= self._slot_ends_wall_s
        return passed_s >= self._config.control.plan_every_s or (asked and passed_s >= self._gap_s)

    def order(self, inputs: PlanInputs, at: Stamp) -> list[Order]:
        """Hand the present problem to the solver. Without cars there is nothing to plan but the picture of the day."""
        self._asked, self._sent_mono_s = False, at.mono_s
        problem = self._posed(replace(inputs, books=self.books), at)
        if problem is None:
            return self.failed(DEFECT, at)
        self._slot_ends_wall_s = problem.slots[1].start_wall_s
        self._gap_s = min(LONGEST_GAP_S, max(EVENT_GAP_S, GAP_PER_CAR_S * len(problem.evs)))
        if not self._waiting:
            self._waiting, self._silent_since_mono_s = True, at.mono_s
        self._problems.pop(problem.created_wall_s, None)
        self._problems[problem.created_wall_s] = problem
        self._cars[problem.created_wall_s] = cars_of(inputs.evses)
        while len(self._problems) > KEPT_PROBLEMS:
            self._drop(next(iter(self._problems)))
        return [SolvePlan(problem)]

    def _posed(self, inputs: PlanInputs, at: Stamp) -> Problem | None:
        """The problem; after a defect the one without anything learnt or told, None when that fails, too."""
        plain = replace(inputs, learnt=NOTHING_LEARNT, load=None, sun=None, foreseen=NOTHING_FORESEEN, books=None)

        def build(of: PlanInputs, haste: Waiting | None = None) -> Problem | None:
            return build_problem(self._config, self._layout, of, at, haste)

        run = self.contained.run
        return run("posing", lambda: build(inputs, self._haste), lambda: run("posing without habits", lambda: build(plain), lambda: None))

    def _drop(self, created_wall_s: float) -> None:
        del self._problems[created_wall_s]
        self._cars.pop(created_wall_s, None)

    @property
    def waiting(self) -> bool:
        """Whether a problem is on its way."""
        return self._waiting

    def overdue(self, at: Stamp) -> bool:
        """Whether the solver has kept silent beyond its deadline (F60)."""
        return self._waiting and at.mono_s - self._silent_since_mono_s > self._config.control.solver_deadline_s + GRACE_S

    # -- what comes back -------------------------------------------------------------------------------

    def solved(self, plan: Plan, at: Stamp) -> list[Order]:
        """Judge a plan; only a verified one comes into force (F61)."""
        problem = self._problems.get(plan.created_wall_s)
        self._waiting = False
        if problem is None:
            return []
        wrong = self.contained.run("checking a plan", lambda: _wrong(problem, plan), lambda: "it cannot be checked")
        if wrong:
            self.refused += 1
            return self.failed(f"the plan was wrong: {wrong}", at)
        self._take(plan, problem, at)
        self._forget_older(plan.created_wall_s)
        told = self._fitness.told(plan.status)
        if not self.failing:
            return told
        self.failing, self.trouble = "", Trouble.NONE
        return [Tell(Severity.INFO, "plan", "plans are solved again"), *told]

    def _forget_older(self, created_wall_s: float) -> None:
        """Plans for problems posed before this one come too late. By their order: the wall clock may jump back (F77)."""
        for older in list(self._problems):
            if older == created_wall_s:
                return
            self._drop(older)

    def failed(self, reason: str, at: Stamp) -> list[Order]:
        """No usable plan came: keep the last good one for a while, then allocate by rules (F59, F60)."""
        self._waiting = False
        kept = self.usable(at) and self.plan is not None and self.plan.status is not PlanStatus.RULES
        if not kept:
            self._by_rules(at)
        first, self.failing, self.trouble = not self.failing, reason, trouble_of(reason)
        if not first:
            return []
        instead = "the last good plan is kept" if kept else "power is shared by rules"
        text = f"no new plan, {self.trouble.words} ({reason}) - {instead}, the fuse does not depend on it; report it if it lasts"
        return [Tell(Severity.WARNING, "plan", text)]

    def refresh(self, at: Stamp) -> None:
        """While the solver fails, rules take over as soon as the last good plan is too old."""
        if self.failing and not self.usable(at):
            self._by_rules(at)

    def _by_rules(self, at: Stamp) -> None:
        self.plan = None
        problem = next(reversed(self._problems.values()), None)
        plan = self.contained.run("rules", lambda: _ruled(problem), lambda: None) if problem is not None else None
        if problem is not None and plan is not None:
            self._take(plan, problem, at)

    def _take(self, plan: Plan, problem: Problem, at: Stamp) -> None:
        self.plan, self.problem, self._solved_mono_s = plan, problem, at.mono_s
        self._planned_cars = self._cars.get(problem.created_wall_s, {})

    def usable(self, at: Stamp) -> bool:
        """Whether the plan is young enough and covers this moment."""
        if self.plan is None or at.mono_s - self._solved_mono_s > self._config.control.plan_max_age_s:
            return False
        return self.plan.slot_at(at.wall_s) is not None

    # -- what it means now ---------------------------------------------------------------------------------

    def prepare(self, evses: Mapping[EvseKey, EvseState], channels: Mapping[EvseKey, Channel], at: Stamp) -> None:
        """Make amps of the plan for the running slot, if they are not made yet. Apart from ``targets``, which the guard needs too."""
        slot = self._slot_in_force(at)
        plan, problem = self.plan, self.problem
        if plan is None or problem is None or slot is None:
            return
        self.contained.run(
            "rounding",
            lambda: self._rounding.renew(problem, plan, slot, evses, channels, at),
            lambda: self._rounding.plainly(problem, plan, slot, evses, at),
        )

    def targets(self, evses: Mapping[EvseKey, EvseState], at: Stamp) -> dict[EvseKey, Target]:
        """The plan's ceilings now, as prepared. Cars the plan does not know have none."""
        slot, plan = self._slot_in_force(at), self.plan
        if plan is None or slot is None:
            return {}
        ends_wall_s = plan.slots[slot].start_wall_s + plan.slots[slot].duration_s
        found: dict[EvseKey, Target] = {}
        for key, evse in evses.items():
            name = str(key)
            watts, amps = plan.ev_power_w.get(name), self._rounding.setpoint_a.get(name)
            if evse.session is None or watts is None or amps is None or self._planned_cars.get(name) != evse.session.transaction_id:
                continue
            found[key] = self._target(evse, watts[slot], amps, ends_wall_s)
        return found

    def _slot_in_force(self, at: Stamp) -> int | None:
        """The slot whose powers hold now: the one before for a moment while the plan for the new one is on its way."""
        if self.plan is None or not self.usable(at):
            return None
        slot = self.plan.slot_at(at.wall_s)
        if not slot or self.failing:
            return slot
        begun_s = at.mono_s - at.mono_at(self.plan.slots[slot].start_wall_s)
        return slot - 1 if begun_s < NEXT_SLOT_S else slot

    def slot_now(self, at: Stamp) -> PlanSlot | None:
        """What the plan means for battery and inverters now; None without a plan, or without a battery in it."""
        slot, plan, problem = self._slot_in_force(at), self.plan, self.problem
        if plan is None or problem is None or slot is None or plan.status is PlanStatus.RULES:
            return None
        battery_w = plan.battery_power_w[slot] if plan.battery_power_w else 0.0
        curtailed_w = plan.pv_curtailed_w[slot] if plan.pv_curtailed_w else 0.0
        peak_w = self._peak_left_w(problem, max(plan.peak_w, problem.peak_so_far_w), at) if problem.demand_per_kw > 0 else None
        pv_w = problem.pv_w[slot] if problem.pv_w else 0.0
        return PlanSlot(battery_w, plan.grid_power_w[slot], curtailed_w, pv_w, peak_w, problem.battery is not None)

    def _peak_left_w(self, problem: Problem, peak_w: float, at: Stamp) -> float:
        """Import that the rest of the running demand window may have so that its mean stays at the peak [W]."""
        left_s = problem.demand_window_s - at.wall_s % problem.demand_window_s
        left_wh = peak_w * problem.demand_window_s / 3600.0 - self.window_import_wh
        return max(0.0, left_wh * 3600.0 / max(left_s, SHORTEST_REST_S))

    def _target(self, evse: EvseState, power_w: float, amps: float, ends_wall_s: float) -> Target:
        if amps < 0:
            watts = -amps * self._layout.voltage_v * len(evse.phases)
            return Target(0.0, "plan: gives back", watts, ends_wall_s)
        if amps > 0:
            return Target(amps, self._name, 0.0, ends_wall_s, power_w)
        if power_w < 0:
            return Target(0.0, "plan: gives back later", 0.0, ends_wall_s)
        need_wh = evse.session.need_wh if evse.session is not None else None
        met = need_wh is not None and need_wh < MET_WH
        return Target(0.0, NEED_REACHED if met else "plan: charges later", 0.0, ends_wall_s, None if met else power_w)

    @property
    def _name(self) -> str:
        """What a person is told who set it: without a solver nobody planned."""
        return RULES_NAME if self.plan is not None and self.plan.status is PlanStatus.RULES else "plan"

    def view(self) -> PlanView | None:
        """The plan for the page."""
        if self.plan is None or self.problem is None:
            return None
        announced = self.books.buy.announced if self.books is not None else NOTHING_TOLD
        market = bool(announced) or self._config.tariff.market is not None
        return plan_view(self.plan, self.problem, self.trouble, announced if market else None)


def cars_of(evses: Mapping[EvseKey, EvseState]) -> dict[str, str]:
    """Who is at each EVSE: its transaction."""
    return {str(key): evse.session.transaction_id for key, evse in evses.items() if evse.session is not None}


def _wrong(problem: Problem, plan: Plan) -> str:
    """What is wrong with a plan, "" = nothing."""
    violations = check(problem, plan, TOLERANCE_A)
    if not violations:
        return ""
    worst = violations[0]
    return f"{worst.name} at {worst.where} by {worst.amount:.3g}"


def _ruled(problem: Problem) -> Plan | None:
    """The plan by rules, None where there is none that passes the check."""
    try:
        plan = allocate(problem)
    except ProblemError:
        return None
    return None if check(problem, plan, TOLERANCE_A) else plan
