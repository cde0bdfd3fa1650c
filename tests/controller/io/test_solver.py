"""The solver shell against real children: the real one, and small scripts that hang, crash, babble or eat (F60)."""

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from controller.config import Config
from controller.facts import Fact, PlanFailed, PlanSolved, SourceChanged
from controller.io.clock import Clock
from controller.io.solver import MEMORY_MB, NICER, SolverShell, child_command
from controller.orders import SolvePlan
from optimizer.check import check
from optimizer.problem import Ev, Node, Problem, Slot


def problem(need_wh: float = 4000.0, nodes: tuple[Node, ...] = (Node("grid", None, (32.0, 32.0, 32.0)),)) -> Problem:
    slots = tuple(Slot(1_700_000_100.0 + index * 900.0, 900.0) for index in range(4))
    car = Ev("ev", "grid", (0,), slots[0].start_wall_s, slots[0].start_wall_s + 3600.0, need_wh, 1380.0, 7360.0)
    return Problem(slots[0].start_wall_s, slots, 230.0, nodes, (car,), (0.3, 0.1, 0.2, 0.4), (0.05,) * 4, (0.0,) * 4)


def config(deadline_s: float) -> Config:
    return Config.model_validate(
        {"site": {"id": "yard"}, "grid": {"fuse_a": 32, "worst_other_load_a": 5}, "control": {"solver_deadline_s": deadline_s}}
    )


class Desk:
    """A shell and the facts it has submitted, with a condition to wait on."""

    def __init__(self, deadline_s: float, command: list[str] | None) -> None:
        self.facts: list[Fact] = []
        self._arrived = asyncio.Event()
        self.shell = SolverShell(config(deadline_s), Clock(), self._submit, command, back_off_s=(0.01, 0.05))

    def _submit(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._arrived.set()

    async def until(self, wanted: Callable[[list[Fact]], bool]) -> None:
        async with asyncio.timeout(30.0):
            while not wanted(self.facts):
                self._arrived.clear()
                await self._arrived.wait()

    async def answer(self, number: int = 1) -> Fact:
        """The number-th fact about a plan."""
        await self.until(lambda facts: len(self.answers(facts)) >= number)
        return self.answers(self.facts)[number - 1]

    @staticmethod
    def answers(facts: list[Fact]) -> list[Fact]:
        return [fact for fact in facts if isinstance(fact, PlanSolved | PlanFailed)]

    def health(self) -> list[bool]:
        return [fact.healthy for fact in self.facts if isinstance(fact, SourceChanged)]


Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def desk() -> AsyncIterator[Open]:
    opened: list[Desk] = []

    async def _open(script: str | None = None, deadline_s: float = 20.0) -> Desk:
        command = None if script is None else [sys.executable, "-c", PRELUDE + textwrap.dedent(script)]
        opened.append(Desk(deadline_s, command))
        await opened[-1].shell.start()
        return opened[-1]

    yield _open
    for each in opened:
        await each.shell.stop()


PRELUDE = """
import os, struct, sys, time
def hear():
    head = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(struct.unpack(">I", head[4:])[0]) if len(head) == 8 else sys.exit(0)
def say(body):
    sys.stdout.buffer.write(b"YMP1" + struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
"""


async def test_the_real_child_plans_and_the_plan_passes_the_check(desk: Open) -> None:
    yard = await desk()
    yard.shell.carry(SolvePlan(problem()))
    solved = await yard.answer()
    assert isinstance(solved, PlanSolved)
    assert check(problem(), solved.plan) == ()
    assert solved.plan.solver == "highs"
    assert yard.health() == [True]


async def test_a_problem_that_cannot_be_planned_is_a_failed_plan_but_a_healthy_solver(desk: Open) -> None:
    yard = await desk()
    yard.shell.carry(SolvePlan(problem(nodes=())))
    yard.shell.carry(SolvePlan(problem(nodes=())))
    failed = await yard.answer()
    assert isinstance(failed, PlanFailed)
    assert "bad_problem" in failed.reason
    assert "root" in failed.reason
    assert yard.health() == [True]


async def test_one_child_serves_many_problems(desk: Open) -> None:
    yard = await desk("""
        import json
        while True:
            m = json.loads(hear())
            say(json.dumps({"number": m["number"], "reason": str(os.getpid()), "detail": ""}).encode())
    """)
    reasons = []
    for number in (1, 2, 3):
        yard.shell.carry(SolvePlan(problem()))
        failed = await yard.answer(number)
        assert isinstance(failed, PlanFailed)
        reasons.append(failed.reason)
    assert len(set(reasons)) == 1


async def test_the_child_stands_back_from_its_first_moment_and_never_twice(desk: Open) -> None:
    """Its imports take a second of a processor, just when the controller starts; far behind everybody else on the box it would plan too late."""
    strange = await desk("hear(); say(b'{\"number\": 1, \"reason\": \"%d\", \"detail\": \"\"}' % os.getpriority(os.PRIO_PROCESS, 0))")
    strange.shell.carry(SolvePlan(problem()))
    told = await strange.answer()
    assert isinstance(told, PlanFailed)
    behind = min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
    assert int(told.reason.split(":")[0]) == behind
    real = await desk()
    real.shell.carry(SolvePlan(problem()))
    assert isinstance(await real.answer(), PlanSolved)
    assert real.shell._child is not None
    assert os.getpriority(os.PRIO_PROCESS, real.shell._child.pid) == behind


async def test_the_newest_problem_replaces_the_one_that_waits(desk: Open) -> None:
    yard = await desk("""
        import json
        while True:
            m = json.loads(hear())
            say(json.dumps({"number": m["number"], "reason": str(m["problem"]["evs"][0]["energy_need_wh"]), "detail": ""}).encode())
    """)
    for need_wh in (1000.0, 2000.0, 3000.0):
        yard.shell.carry(SolvePlan(problem(need_wh)))
    first = await yard.answer()
    assert isinstance(first, PlanFailed)
    assert first.reason.startswith("3000.0")
    yard.shell.carry(SolvePlan(problem(4000.0)))
    second = await yard.answer(2)
    assert isinstance(second, PlanFailed)
    assert second.reason.startswith("4000.0")


async def test_f60_a_child_that_hangs_is_killed_with_its_own_children(desk: Open, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    yard = await desk(
        f"""
        import subprocess
        below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{below.pid}}")
        time.sleep(600)
        """,
        deadline_s=0.3,
    )
    await becomes(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    yard.shell.carry(SolvePlan(problem()))
    failed = await yard.answer()
    assert isinstance(failed, PlanFailed)
    assert failed.reason.startswith("late")
    assert yard.health() == [False]
    await becomes(lambda: not any(_runs(int(pid)) for pid in pids.read_text().split()))


async def becomes(wanted: Callable[[], bool]) -> None:
    """Wait for something only the operating system knows."""
    async with asyncio.timeout(20.0):
        while not wanted():  # noqa: ASYNC110 - files and processes set no event
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    """True for a process that is neither gone nor a zombie nobody has collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


async def test_f60_a_child_that_does_not_even_read_is_killed(desk: Open) -> None:
    yard = await desk("time.sleep(600)", deadline_s=0.5)
    large = problem(nodes=tuple(Node(f"n{index}", None, (1.0, 1.0, 1.0)) for index in range(5000)))
    yard.shell.carry(SolvePlan(large))
    failed = await yard.answer()
    assert isinstance(failed, PlanFailed)
    assert failed.reason.startswith("late")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("hear(); os.abort()", "crashed"),
        ("hear(); sys.exit(3)", "crashed"),
        ("hear(); raise MemoryError('no more room')", "no more room"),
        ("hear(); say(b'x' * 100); ", "garbage"),
        ("hear(); sys.stdout.write('Welcome to the CBC MILP Solver'); sys.stdout.flush(); time.sleep(600)", "garbage"),
        ("hear(); say(b'{\"number\": 77, \"reason\": \"\", \"detail\": \"\"}'); time.sleep(600)", "garbage"),
        ("hear(); say(b'{\"number\": 1, \"plan\": {\"cost\": \"cheap\"}}'); time.sleep(600)", "garbage"),
        ("hear(); say(b'[' * 100000); time.sleep(600)", "garbage"),
        ("hear(); sys.stdout.buffer.write(b'YMP1\\xff\\xff\\xff\\xff'); sys.stdout.flush(); time.sleep(600)", "garbage"),
        ("hear(); sys.stdout.buffer.write(b'YMP1\\x00\\x00\\x00\\x09abc'); sys.stdout.flush()", "crashed"),
    ],
)
async def test_f60_a_broken_child_is_a_failed_plan_with_its_reason(desk: Open, script: str, reason: str) -> None:
    yard = await desk(script)
    yard.shell.carry(SolvePlan(problem()))
    failed = await yard.answer()
    assert isinstance(failed, PlanFailed)
    assert reason in failed.reason
    assert yard.health() == [False]


async def test_a_child_that_crashed_is_replaced_and_health_returns(desk: Open, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    yard = await desk(f"""
        import json
        number = json.loads(hear())["number"]
        if not os.path.exists({str(seen)!r}):
            open({str(seen)!r}, "w").close()
            os.abort()
        say(json.dumps({{"number": number, "reason": "well", "detail": "again"}}).encode())
        hear()
    """)
    yard.shell.carry(SolvePlan(problem()))
    first = await yard.answer(1)
    yard.shell.carry(SolvePlan(problem()))
    second = await yard.answer(2)
    assert isinstance(first, PlanFailed)
    assert isinstance(second, PlanFailed)
    assert (first.reason.split(":")[0], second.reason) == ("crashed", "well: again")
    assert yard.health() == [False, True]


async def test_a_child_that_died_while_idle_is_replaced_without_a_failure(desk: Open) -> None:
    yard = await desk()
    yard.shell.carry(SolvePlan(problem()))
    await yard.answer(1)
    child = yard.shell._child
    assert child is not None
    os.kill(child.pid, 9)
    await child.wait()
    yard.shell.carry(SolvePlan(problem()))
    assert isinstance(await yard.answer(2), PlanSolved)
    assert yard.health() == [True]


async def test_a_missing_program_is_a_failed_plan_not_a_failed_start() -> None:
    yard = Desk(5.0, ["/nonexistent/solver"])
    await yard.shell.start()
    yard.shell.carry(SolvePlan(problem()))
    failed = await yard.answer()
    await yard.shell.stop()
    assert isinstance(failed, PlanFailed)
    assert "/nonexistent/solver" in failed.reason


async def test_stop_leaves_no_process_behind_and_may_come_twice(desk: Open) -> None:
    yard = await desk("hear(); time.sleep(600)")
    yard.shell.carry(SolvePlan(problem()))
    child = yard.shell._child
    assert child is not None
    await yard.shell.stop()
    await yard.shell.stop()
    assert not _runs(child.pid)


async def test_f60_a_child_out_of_memory_costs_one_plan_and_nothing_else() -> None:
    starved = [part if part != str(MEMORY_MB) else "1" for part in child_command(20.0)]
    yard = Desk(20.0, starved)
    await yard.shell.start()
    yard.shell.carry(SolvePlan(problem(nodes=tuple(Node(f"n{index}", "n0" if index else None, (9.0, 9.0, 9.0)) for index in range(20_000)))))
    failed = await yard.answer()
    await yard.shell.stop()
    assert isinstance(failed, PlanFailed)
    assert "memory" in failed.reason.lower() or "crashed" in failed.reason
