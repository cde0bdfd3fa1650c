"""Keeps the solver child: hands it problems, takes its plans, kills it when it is late.

The linear program runs in a process of its own because no solver's time limit can be trusted (CBC looks at its
clock only between nodes) and because a crash or a flood of memory there must not touch the control loop.
One child serves many problems; while it works, the newest problem replaces one that waits. At the
deadline the child and whatever it started are killed and a fresh one comes up; after failures in a row
the wait before the next try doubles (fault F60). Decides nothing about energy: whether a plan may be used is
for the site, with ``optimizer.check`` (F61); what to do without one as well (F59).

A failed plan says first what happened: "late" (the solver needs longer than it has), "crashed" or "garbage" (this child is
gone, the next one comes up), "dead" (none can be started), "out_of_memory", or why the problem has no plan. Writing a problem of
1000 cars and reading its plan hold the interpreter for 2-4 ms each, all of it inside one call into compiled code:
a thread would hold the control loop up just as long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic_core import from_json

import optimizer
from controller.config import Config
from controller.facts import PlanFailed, PlanSolved, SourceChanged
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep, spawn
from controller.orders import SolvePlan
from optimizer.failure import SolveReason
from optimizer.frames import HEADER_BYTES, body_length, frame
from optimizer.problem import Plan, Problem
from optimizer.problem_json import plan_from_raw, problem_to_json

MEMORY_MB = 2048
"""Cap on the child's address space [MB]; 1000 cars need 190 MB of memory and 350 MB of addresses, 3000 solved by feeder more."""
OWN_LIMIT = 0.8
"""Part of the hard deadline that the child may use before it gives up by itself and keeps its process."""
NICER = 10
"""The child's rank behind the control loop, as it takes it itself."""
STDERR_TAIL_BYTES = 2000
LAST_BREATH_S = 0.5
"""A child that has closed its pipes is given so long to end by itself, so that it can be told how it ended [s]."""
HOME = Path(optimizer.__file__).resolve().parent.parent
"""Where ``python -m optimizer`` finds the package we ourselves use."""


class ChildError(Exception):
    """The child broke off or answered nonsense. The text begins with crashed or garbage."""


class SolverShell:
    """The shell around the solver child.

    command: replaces the child's command line, for fault tests. back_off_s: first and longest wait after failures [s].
    """

    orders: tuple[type, ...] = (SolvePlan,)

    def __init__(
        self, config: Config, clock: Clock, submit: Submit, command: Sequence[str] | None = None, back_off_s: tuple[float, float] = (1.0, 60.0)
    ) -> None:
        self._clock, self._submit = clock, submit
        self._deadline_s = config.control.solver_deadline_s
        self._command = tuple(command) if command is not None else child_command(self._deadline_s)
        self._back_off_s = back_off_s
        self._waiting: Problem | None = None
        self._wanted = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._child: Process | None = None
        self._complaints: asyncio.Task[bytes] | None = None
        self._failures = 0
        self._number = 0
        self._healthy: bool | None = None

    def carry(self, order: SolvePlan) -> None:
        """Keep the problem for the child; an older one still waiting is dropped."""
        self._waiting = order.problem
        self._wanted.set()

    async def start(self) -> None:
        """Start the child at once: importing the solvers takes longer than most plans."""
        with contextlib.suppress(OSError):  # reported with the first problem
            await self._start_child()
        self._worker = keep(self._work, "solver")

    async def stop(self) -> None:
        """End the child; a plan under way is lost, which costs nothing."""
        if self._worker is not None:
            await end([self._worker])
            self._worker = None
        await self._end_child()

    # -- one problem after another ----------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._wanted.wait()
            if self._failures:
                first_s, longest_s = self._back_off_s
                await asyncio.sleep(min(longest_s, first_s * 2.0 ** (self._failures - 1)))
            problem, self._waiting = self._waiting, None
            self._wanted.clear()
            if problem is not None:
                await self._plan(problem)

    async def _plan(self, problem: Problem) -> None:
        self._number += 1
        try:
            request = frame(b'{"number":%d,"problem":' % self._number + problem_to_json(problem) + b"}")
        except ValueError as error:
            self._report(f"bad_problem: it cannot be written down: {error}", problem)
            return
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._ask(request)
        except TimeoutError:
            await self._give_up(f"late: no plan within {self._deadline_s:g} s, the solver was killed and is started again", problem)
        except ChildError as error:
            await self._give_up(str(error), problem)
        except OSError as error:
            await self._give_up(f"dead: the solver cannot be started: {error}", problem)
        else:
            self._failures = 0
            self._report_health(True, "answers")
            self._report(answer, problem)

    def _report(self, answer: Plan | str, problem: Problem) -> None:
        at = self._clock.stamp()
        self._submit(PlanSolved(at, answer) if isinstance(answer, Plan) else PlanFailed(at, answer, problem.created_wall_s))

    async def _give_up(self, reason: str, problem: Problem) -> None:
        self._failures = min(self._failures + 1, 30)
        complaint = await self._end_child()
        self._report_health(False, reason)
        self._report(f"{reason} ({complaint})" if complaint else reason, problem)

    def _report_health(self, healthy: bool, detail: str) -> None:
        if healthy != self._healthy:
            self._healthy = healthy
            self._submit(SourceChanged(self._clock.stamp(), "solver", healthy, detail))

    # -- the conversation ---------------------------------------------------------------------------

    async def _ask(self, request: bytes) -> Plan | str:
        """The plan, or why the child (itself in good health) has none."""
        child = await self._start_child()
        try:
            await _tell(child, request)
            answer = from_json(await _hear(child))
            if answer["number"] != self._number:
                raise ChildError(f"garbage: the solver answered problem {answer['number']} instead of {self._number}")
            return plan_from_raw(answer["plan"]) if "plan" in answer else _in_words(answer["reason"], answer["detail"])
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ChildError(f"crashed: the solver ended in the middle of its work{await _manner(child)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ChildError(f"garbage: the solver's answer makes no sense: {error}") from error

    # -- the process ----------------------------------------------------------------------------------

    async def _start_child(self) -> Process:
        """The running child, a new one if there is none. It leads its own session so that CBC below it dies with it."""
        if self._child is not None and self._child.returncode is None:
            return self._child
        await self._end_child()
        self._child = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=HOME, start_new_session=True)
        with contextlib.suppress(OSError):  # from its first moment: its imports take a second of a processor, just when the controller starts
            os.setpriority(os.PRIO_PROCESS, self._child.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
        self._complaints = spawn(_tail(self._child.stderr), "solver stderr")
        return self._child

    async def _end_child(self) -> str:
        """Kill the child and its children. Returns the last line it wrote to stderr."""
        child, complaints, self._child, self._complaints = self._child, self._complaints, None, None
        if child is None:
            return ""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
        last_words = await complaints if complaints is not None else b""
        lines = last_words.decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def child_command(deadline_s: float) -> tuple[str, ...]:
    """The command line of the real child."""
    own_limit = f"{deadline_s * OWN_LIMIT:g}"
    return (sys.executable, "-m", "optimizer", "--memory-mb", str(MEMORY_MB), "--deadline-s", own_limit)


def _in_words(reason: str, detail: str) -> str:
    return f"late: {detail}; what it reached is kept for the next plan" if reason == SolveReason.DEADLINE else f"{reason}: {detail}"


async def _manner(child: Process) -> str:
    """How a child that closed its pipes ended, as far as it has ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_BREATH_S):
            code = await child.wait()
            if code == -signal.SIGKILL:
                return ", killed from outside (a system short of memory does that)"
            return f", by signal {signal.Signals(-code).name}" if code < 0 else f", with code {code}"
    return ""


async def _tell(child: Process, request: bytes) -> None:
    assert child.stdin is not None
    child.stdin.write(request)
    await child.stdin.drain()


async def _hear(child: Process) -> bytes:
    assert child.stdout is not None
    return await child.stdout.readexactly(body_length(await child.stdout.readexactly(HEADER_BYTES)))


async def _tail(stream: Any) -> bytes:
    """Drain a stream to its end and keep the last of it; an unread pipe would stall the child."""
    kept = b""
    while piece := await stream.read(4096):
        kept = (kept + piece)[-STDERR_TAIL_BYTES:]
    return kept
