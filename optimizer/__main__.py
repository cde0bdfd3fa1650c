"""``python -m optimizer``: the solver child on a pipe, or one problem file solved for a person.

Without FILE it reads problems on stdin and writes plans on stdout (``frames.py``) until stdin closes. Nothing but answers
can get onto stdout: file descriptor 1 is moved away first and then points to stderr, so the
chatter of C code lands there. It runs 10 steps nicer than its parent and, with --memory-mb, under a cap on its address space,
so that planning can never starve the control loop. It keeps one living model (``live.py``); being killed at any moment costs
nothing but the plan under way, and the next one is built anew.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from optimizer.failure import SolveError
from optimizer.frames import HEADER_BYTES, body_length, frame
from optimizer.live import SOLVERS, Live
from optimizer.problem import Plan
from optimizer.problem_json import ProblemJsonError, plan_to_json, problem_from_json, problem_from_raw
from optimizer.table import as_table

NICE = 10
OOM_SCORE = 500
"""Half of all memory counts against the solver when the system chooses whom to end (1000 = all of it)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Exit code 0; 1 = no plan; 2 = the file cannot be used."""
    options = _parser().parse_args(arguments)
    if options.memory_mb:
        cap = options.memory_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
    if options.file is not None:
        return _solve_file(options)
    _stand_back()
    return _serve(_own_stdout(), options)


def _stand_back() -> None:
    """Behind whoever started us, which may have seen to that already; and when memory runs out, the solver goes and the control loop stays:
    a lost plan costs nothing. The latter on Linux only."""
    with contextlib.suppress(OSError):
        own, parent = os.getpriority(os.PRIO_PROCESS, 0), os.getpriority(os.PRIO_PROCESS, os.getppid())
        os.setpriority(os.PRIO_PROCESS, 0, max(own, parent + NICE))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{OOM_SCORE}\n", encoding="ascii")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m optimizer", description="Solve one problem file, or serve problems on stdin.")
    parser.add_argument("file", nargs="?", type=Path, help="a problem as JSON; without it, messages are read from stdin")
    parser.add_argument("--deadline-s", type=float, default=60.0, help="time for one plan [s] (default 60)")
    parser.add_argument("--solver", choices=SOLVERS, default="auto", help="default: HiGHS, and CBC when HiGHS fails")
    parser.add_argument("--threads", type=int, default=1, help="threads of HiGHS (default 1: the control loop needs the other core)")
    parser.add_argument("--memory-mb", type=int, default=0, help="cap on the address space [MB]; 0 = none")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON instead of a table")
    return parser


# -- one file -----------------------------------------------------------------------------------------


def _solve_file(options: argparse.Namespace) -> int:
    try:
        problem = problem_from_json(options.file.read_bytes())
    except (OSError, ProblemJsonError) as error:
        print(f"cannot use {options.file}: {error}", file=sys.stderr)
        return 2
    try:
        plan = Live(options.solver, options.threads).solve(problem, options.deadline_s)
    except SolveError as error:
        print(f"no plan ({error.reason}): {error.detail}", file=sys.stderr)
        return 1
    print(plan_to_json(plan, indent=1).decode() if options.json else as_table(problem, plan))
    return 0


# -- the child ------------------------------------------------------------------------------------------


def _own_stdout() -> BinaryIO:
    """The real stdout for us alone; whatever prints to descriptor 1 from now on reaches stderr."""
    ours = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return ours


def _serve(answers: BinaryIO, options: argparse.Namespace) -> int:
    """Answer problems until stdin closes or the reader of our answers is gone."""
    live = Live(options.solver, options.threads)
    gc.disable()  # building a program makes 10^5 objects that all live until the next one: looking for garbage meanwhile costs 15-30 %
    rebuilds = 0
    while (text := _next_message(sys.stdin.buffer)) is not None:
        try:
            answers.write(frame(_answer(text, live, options)))
            answers.flush()
        except BrokenPipeError:
            break
        del text
        _tidy(live.rebuilds != rebuilds)
        rebuilds = live.rebuilds
    return 0


def _tidy(rebuilt: bool) -> None:
    """Look for garbage while nobody waits; the living model is set aside, or each look would go through all of it."""
    if rebuilt:
        gc.unfreeze()
    gc.collect()
    if rebuilt:
        gc.freeze()


def _next_message(pipe: BinaryIO) -> bytes | None:
    """The next body, None when the pipe is closed (also in the middle of a message). Raises FrameError on garbage."""
    header = pipe.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    length = body_length(header)
    body = pipe.read(length)
    return body if len(body) == length else None


def _answer(text: bytes, live: Live, options: argparse.Namespace) -> bytes:
    number: Any = None
    try:
        message = from_json(text)
        number = message["number"]
        plan = _solved(message, live, options)
        return b'{"number":%s,"plan":%s}' % (json.dumps(number).encode(), plan_to_json(plan))
    except SolveError as error:
        answer = {"reason": error.reason.value, "detail": error.detail}
    except (ProblemJsonError, ValueError, KeyError, TypeError) as error:
        answer = {"reason": "bad_problem", "detail": f"{type(error).__name__}: {error}"}
    except MemoryError:
        live.forget()
        answer = {"reason": "out_of_memory", "detail": "the message alone needs more than the optimizer may use"}
    if answer["reason"] == "out_of_memory":
        answer["detail"] += f" ({options.memory_mb} MB of addresses)"
    return json.dumps({"number": number, **answer}).encode()


def _solved(message: dict[str, Any], live: Live, options: argparse.Namespace) -> Plan:
    deadline_s = float(message.get("deadline_s", options.deadline_s))
    return live.solve(problem_from_raw(message.pop("problem")), deadline_s)  # not kept meanwhile: 1000 cars are 20 MB of raw values


if __name__ == "__main__":
    sys.exit(main())
