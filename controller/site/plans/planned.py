"""What people are told about plans: how good the last one is, what is wrong with the solver, and the plan itself for the page."""

from __future__ import annotations

from enum import StrEnum

from controller.orders import Order, Severity, Tell
from controller.snapshot import PlanView
from optimizer.problem import Plan, PlanStatus, Problem
from optimizer.told import Told

UNPROVED, PROVED_AGAIN = 3, 10
"""So many plans in a row are feasible only before that is told, and so many proved before its end is."""


class Trouble(StrEnum):
    """Why there is no new plan. late: it took too long; dead: the solver broke off; wrong: its plan did not pass the check."""

    NONE = ""
    LATE = "late"
    DEAD = "dead"
    WRONG = "wrong"
    OTHER = "no plan"

    @property
    def words(self) -> str:
        """For people, in the middle of a sentence."""
        return WORDS[self]


WORDS = {
    Trouble.NONE: "",
    Trouble.LATE: "the solver is too late",
    Trouble.DEAD: "the solver is dead",
    Trouble.WRONG: "its plan was refused",
    Trouble.OTHER: "the solver has none",
}
BEGINS = (
    ("late", Trouble.LATE),
    ("deadline", Trouble.LATE),
    ("no answer", Trouble.LATE),
    ("crashed", Trouble.DEAD),
    ("garbage", Trouble.DEAD),
    ("out_of_memory", Trouble.DEAD),
    ("no_solver", Trouble.DEAD),
    ("the plan was wrong", Trouble.WRONG),
    ("wrong_answer", Trouble.WRONG),
)


def trouble_of(reason: str) -> Trouble:
    """The kind of a reason for having no plan, as solver and shell write them."""
    return next((trouble for begin, trouble in BEGINS if reason.startswith(begin)), Trouble.OTHER)


class Fitness:
    """Tells when plans are no longer proved to be the best, and when they are again; one slow solve is no news."""

    def __init__(self) -> None:
        self._unproved = self._proved = 0
        self._told = False

    def told(self, status: PlanStatus) -> list[Order]:
        """After a verified plan of the solver."""
        proved = status is PlanStatus.PROVED
        self._proved, self._unproved = (self._proved + 1, 0) if proved else (0, self._unproved + 1)
        if not self._told and self._unproved >= UNPROVED:
            self._told = True
            text = "plans are good but not proved to be the best: the solver's time ends before - raise control.solver_deadline_s if it lasts"
            return [Tell(Severity.INFO, "plan", text)]
        if self._told and self._proved >= PROVED_AGAIN:
            self._told = False
            return [Tell(Severity.INFO, "plan", "plans are proved to be the best again")]
        return []


def plan_view(plan: Plan, problem: Problem, trouble: Trouble, announced: Told | None = None) -> PlanView:
    """The plan for the page. Expected cars are shown apart from those that are here. announced: prices of a market, None = there is none."""
    count = len(plan.slots)
    nothing = (0.0,) * count
    expected = {ev.ev_id for ev in problem.evs if ev.expected}
    here = {name: tuple(series) for name, series in plan.ev_power_w.items() if name not in expected}
    coming = [series for name, series in plan.ev_power_w.items() if name in expected]
    return PlanView(
        created_wall_s=plan.created_wall_s,
        status=plan.status.value,
        solver=plan.solver,
        solve_s=plan.solve_s,
        cost=plan.cost,
        peak_w=plan.peak_w,
        start_wall_s=tuple(slot.start_wall_s for slot in plan.slots),
        duration_s=tuple(slot.duration_s for slot in plan.slots),
        grid_power_w=plan.grid_power_w,
        ev_power_w=tuple(map(sum, zip(*here.values(), strict=True))) if here else nothing,
        evse_power_w=here,
        base_load_w=_base_w(problem),
        pv_w=problem.pv_w,
        battery_power_w=plan.battery_power_w or nothing,
        buy_per_kwh=problem.buy_per_kwh,
        shortfall_wh={name: wh for name, wh in plan.shortfall_wh.items() if name not in expected},
        expected_power_w=tuple(map(sum, zip(*coming, strict=True))) if coming else nothing,
        expected_cars=len(coming),
        trouble=trouble.value,
        sell_per_kwh=problem.sell_per_kwh,
        announced=tuple(announced.at(slot.start_wall_s) is not None for slot in plan.slots) if announced is not None else (),
    )


def _base_w(problem: Problem) -> tuple[float, ...]:
    total = [0.0] * len(problem.slots)
    for node in problem.nodes:
        for slot, amps in enumerate(node.other_load_a):
            total[slot] += sum(amps) * problem.voltage_v
    return tuple(total)
