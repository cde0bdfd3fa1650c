"""The real solver child in trouble: killed, hung, late, out of memory, answering wrongly (F59, F60, F61).

What the site does without a plan stands in ``test_site_faults.py``. Here: every trouble costs one plan at most, its reason is told,
and the next plan is a good one.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from controller.config import Config
from controller.facts import Fact, PlanFailed, PlanSolved, SourceChanged
from controller.io.clock import Clock
from controller.io.solver import SolverShell, child_command
from controller.orders import SolvePlan
from optimizer.check import check
from optimizer.problem import Plan, Problem
from tests.support.child import Child
from tests.support.fleet import NOW_WALL_S, fleet
from tests.support.plans import car, problem

SITE = fleet("depot", 10)
LATER = fleet("depot", 10, now_wall_s=NOW_WALL_S + 20.0)
LARGE = fleet("tight", 300)


class Desk:
    """A shell with a child, and what it told."""

    def __init__(self, deadline_s: float, command: tuple[str, ...] | None = None) -> None:
        control = {"solver_deadline_s": deadline_s}
        grid = {"fuse_a": 32, "worst_other_load_a": 5}
        config = Config.model_validate({"site": {"id": "yard"}, "grid": grid, "control": control})
        self.facts: asyncio.Queue[Fact] = asyncio.Queue()
        self.health: list[bool] = []
        self.shell = SolverShell(config, Clock(), self.facts.put_nowait, command, back_off_s=(0.01, 0.05))

    async def plan(self, site: Problem) -> Plan | str:
        """The plan, or why there is none."""
        self.shell.carry(SolvePlan(site))
        return await self.answer()

    async def answer(self) -> Plan | str:
        """The next answer."""
        async with asyncio.timeout(60.0):
            while True:
                fact = await self.facts.get()
                if isinstance(fact, SourceChanged):
                    self.health.append(fact.healthy)
                elif isinstance(fact, PlanSolved):
                    return fact.plan
                elif isinstance(fact, PlanFailed):
                    return fact.reason

    def pid(self) -> int:
        """The running child."""
        child = self.shell._child
        assert child is not None
        return child.pid


@asynccontextmanager
async def desk(deadline_s: float = 30.0, command: tuple[str, ...] | None = None) -> AsyncIterator[Desk]:
    one = Desk(deadline_s, command)
    await one.shell.start()
    try:
        yield one
    finally:
        await one.shell.stop()


def good(site: Problem, plan: Plan | str) -> Plan:
    """The plan, which must be one and pass the check."""
    assert isinstance(plan, Plan), plan
    assert check(site, plan) == ()
    return plan


# -- F60: killed, hung, late, out of memory --------------------------------------------------------------


async def test_f60_a_child_killed_between_two_plans_costs_nothing_but_its_living_model() -> None:
    async with desk() as yard:
        assert good(SITE, await yard.plan(SITE)).way == "rebuilt"
        assert good(LATER, await yard.plan(LATER)).way == "hot"
        os.kill(yard.pid(), signal.SIGKILL)
        answer = await yard.plan(LATER)
        while isinstance(answer, str):  # noticed only while it worked on the plan, or before it was asked
            assert answer.startswith("crashed")
            answer = await yard.plan(LATER)
        assert good(LATER, answer).way == "rebuilt"
        assert yard.health[-1]


async def test_f60_a_child_killed_at_work_is_told_with_the_likely_cause_and_replaced() -> None:
    async with desk() as yard:
        good(SITE, await yard.plan(SITE))
        first = yard.pid()
        os.kill(first, signal.SIGSTOP)  # so that it is certainly at work when it dies
        yard.shell.carry(SolvePlan(LATER))
        await working(yard)
        os.kill(first, signal.SIGKILL)
        reason = await yard.answer()
        assert isinstance(reason, str)
        assert reason.startswith("crashed: ")
        assert "short of memory" in reason
        good(LATER, await yard.plan(LATER))
        assert yard.pid() != first
        assert yard.health == [True, False, True]


async def working(yard: Desk) -> None:
    """Until the shell has handed its problem over."""
    async with asyncio.timeout(20.0):
        while yard.shell._waiting is not None:  # noqa: ASYNC110 - the shell sets no event for this
            await asyncio.sleep(0)


async def test_f60_a_child_that_hangs_is_killed_and_replaced() -> None:
    async with desk(deadline_s=4.0) as yard:
        good(SITE, await yard.plan(SITE))
        first = yard.pid()
        os.kill(first, signal.SIGSTOP)
        reason = await yard.plan(LATER)
        assert isinstance(reason, str)
        assert reason.startswith("late: no plan within 4 s")
        assert gone(first)
        good(LATER, await yard.plan(LATER))


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_f60_a_late_child_keeps_its_process_and_what_it_reached() -> None:
    with Child() as measured:  # a quarter of what this machine needs is too little on every machine
        measured.plan(SITE)
        before_s = measured.cpu_s()
        measured.plan(LARGE)
        limit_s = f"{(measured.cpu_s() - before_s) / 4.0:.3f}"
    hasty = tuple(part if part != "24" else limit_s for part in child_command(30.0))
    assert limit_s in hasty
    async with desk(command=hasty) as yard:
        answer = await yard.plan(LARGE)
        first, rounds = yard.pid(), 1
        assert isinstance(answer, str)
        assert answer.startswith("late: ")
        while isinstance(answer, str):
            assert answer.startswith("late: ")
            answer, rounds = await yard.plan(LARGE), rounds + 1
            assert rounds < 200
        good(LARGE, answer)
        assert yard.pid() == first
        assert yard.health == [True]


async def test_f60_out_of_memory_costs_one_plan_and_the_child_goes_on() -> None:
    frugal = tuple(part if part != "2048" else "190" for part in child_command(30.0))
    async with desk(command=frugal) as yard:
        good(SITE, await yard.plan(SITE))
        first = yard.pid()
        reason = await yard.plan(fleet("tight", 1000))
        assert isinstance(reason, str)
        assert reason.startswith("out_of_memory: ")
        assert "190 MB" in reason
        good(LATER, await yard.plan(LATER))
        assert yard.pid() == first


# -- F61: a solver that answers wrongly --------------------------------------------------------------------

SPOILT = """
import sys, highspy
calls, right = [0], highspy.Highs.getSolution
def spoilt(self):
    solution = right(self)
    calls[0] += 1
    if {when}:
        solution.col_value = [1.3 * value + 0.4 for value in solution.col_value]
    return solution
highspy.Highs.getSolution = spoilt
from optimizer.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def spoilt(when: str) -> Child:
    """The real child on a HiGHS whose answers are wrong when a condition on ``calls[0]`` holds."""
    return Child(command=("-c", SPOILT.format(when=when)))


def test_f61_a_wrong_answer_from_the_living_model_is_replaced_by_a_cold_start() -> None:
    with spoilt("calls[0] == 2") as child:
        good(SITE, child.plan(SITE))
        assert good(LATER, child.plan(LATER)).way == "rebuilt"
        assert good(LATER, child.plan(LATER)).way == "hot"


def test_f61_a_solver_that_is_always_wrong_gives_no_plan_and_says_so() -> None:
    with spoilt("True") as child:
        answer = child.ask(1, SITE)
        assert answer["reason"] == "wrong_answer"
        assert "the check found" in answer["detail"]


def test_f61_after_a_wrong_answer_the_next_right_one_counts() -> None:
    with spoilt("calls[0] <= 2") as child:  # from nothing, and once more without batteries that give
        assert child.ask(1, SITE)["reason"] == "wrong_answer"
        good(SITE, child.plan(SITE))


# -- F59: a problem that cannot be solved ---------------------------------------------------------------------


@pytest.mark.parametrize(("spoil", "named"), [(lambda: problem([0.3], car(node_id="cellar")), "cellar"), (lambda: problem([]), "slots")])
def test_f59_an_impossible_problem_is_named_and_costs_the_living_model_nothing(spoil: Callable[[], Problem], named: str) -> None:
    with Child() as child:
        good(SITE, child.plan(SITE))
        answer = child.ask(7, spoil())
        assert answer["reason"] == "bad_problem"
        assert named in answer["detail"]
        assert good(LATER, child.plan(LATER)).way == "hot"


def test_f59_without_highs_cbc_plans() -> None:
    script = "import sys; sys.modules['highspy'] = None\nfrom optimizer.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    with Child(command=("-c", script)) as child:
        assert good(SITE, child.plan(SITE)).solver == "cbc"


