"""Workers for blocks: this process and helpers of its own, each with its share of the blocks.

A helper is ``python -m optimizer.crew`` on a pair of pipes. It inherits the memory cap and the niceness of this process, ends when its
stdin closes, and the kernel ends it when we die (Linux), so none is left behind. All columns that blocks find are kept
on our side: a helper that is killed, out of memory or silent costs time, not results. Its blocks move in with us, and the next plan
begins with another helper in its place.

Messages are pickles between our own processes, length first. Decides nothing about plans.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from optimizer.block import NOTHING, Answer, Block, Task
from optimizer.cuts import Part
from optimizer.problem import Problem
from optimizer.start import Start, begin

HEADER = struct.Struct("!Q")
GRACE_S = 0.5
"""How much longer than its tasks' limits a helper may need to answer."""
LONGEST_WAIT_S = 1e6
"""More than selectors can count makes them fail."""
HOME = Path(__file__).resolve().parent.parent
PR_SET_PDEATHSIG = 1


class Crew:
    """Blocks spread over this process and ``workers`` - 1 helpers. Use it as a context: leaving it ends the helpers.

    lost: helpers that were lost so far, replaced or not.
    """

    def __init__(self, workers: int = 2) -> None:
        self._helpers = [_Helper() for _ in range(max(1, workers) - 1)]
        self._ours: dict[int, Block] = {}
        self._parts: Sequence[Part] = ()
        self._owner: dict[int, _Helper] = {}
        self.lost = 0

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for helper in self._helpers:
            helper.end()

    def begin(self, problem: Problem, cuts: Sequence[str], limit_s: float) -> Callable[[], Start]:
        """Let a helper make the start; the returned function waits for it. Without a helper it is made here, then.

        Each plan begins with a whole crew: who was lost since the last one is replaced.
        """
        self._muster()
        helper = next(iter(self._living()), None)
        asked = helper is not None and helper.tell(("begin", problem, tuple(cuts), limit_s))

        def wait() -> Start:
            heard = helper.hear(time.perf_counter() + 2.0 * limit_s + GRACE_S) if helper is not None and asked else None
            if helper is not None and not isinstance(heard, Start):
                self._drop(helper)
            return heard if isinstance(heard, Start) else begin(problem, cuts, limit_s)

        return wait

    def load(self, parts: Sequence[Part]) -> None:
        """Hand out the blocks, the biggest first to whoever has least."""
        self._parts, self._ours, self._owner = parts, {}, {}
        hands: list[_Helper | None] = [None, *self._living()]
        load = [0] * len(hands)
        for number in sorted(range(len(parts)), key=lambda number: -len(parts[number].program.entries.values)):
            least = load.index(min(load))
            load[least] += len(parts[number].program.entries.values)
            helper = hands[least]
            if helper is not None:
                self._owner[number] = helper
        for helper in hands[1:]:
            own = {number: parts[number] for number, owner in self._owner.items() if owner is helper}
            if helper is not None and not helper.tell(("load", own)):
                self._drop(helper)

    def solve(self, tasks: Mapping[int, Task], end_s: float) -> dict[int, Answer]:
        """All tasks (block -> task) at once. end_s: on this process' clock ``time.perf_counter``. Blocks that fail answer NOTHING."""
        asked = list[_Helper]()
        for helper in self._helpers:
            own = {number: task for number, task in tasks.items() if self._owner.get(number) is helper}
            if own and helper.tell(("solve", own, end_s - time.perf_counter())):
                asked.append(helper)
            elif own:
                self._drop(helper)
        answers = solve_all(self._block, {number: task for number, task in tasks.items() if number not in self._owner}, end_s)
        for helper in asked:
            heard = helper.hear(end_s + GRACE_S)
            if isinstance(heard, dict):
                answers.update(heard)
            else:
                self._drop(helper)
        return {number: answers.get(number, NOTHING) for number in tasks}

    def _block(self, number: int) -> Block:
        if number not in self._ours:
            self._ours[number] = Block(self._parts[number].program, self._parts[number].heads)
        return self._ours[number]

    def _living(self) -> list[_Helper]:
        """Helpers that can be asked. One that died since is dropped here: it is as lost as one found dead while we talk to it."""
        for helper in self._helpers:
            if helper.started and not helper.alive:
                self._drop(helper)
        return [helper for helper in self._helpers if helper.alive]

    def _muster(self) -> None:
        """A new helper in the place of everyone who is gone. One that cannot even be started is tried again with the next plan."""
        living = self._living()
        self._helpers = [helper if helper in living else _Helper() for helper in self._helpers]

    def _drop(self, helper: _Helper) -> None:
        if not helper.started:  # dropped before: it is lost once, whoever notices
            return
        helper.end()
        self.lost += 1
        self._owner = {number: owner for number, owner in self._owner.items() if owner is not helper}

    def processes(self) -> list[int]:
        """Process ids of the helpers that live."""
        return [helper.pid for helper in self._helpers if helper.alive]


def solve_all(block: Any, tasks: Mapping[int, Task], end_s: float) -> dict[int, Answer]:
    """One task after another until the time is over. block: number -> Block."""
    answers = {}
    for number, task in tasks.items():
        left_s = end_s - time.perf_counter()
        if left_s <= 0.0:
            break
        limited = Task(task.prices, task.columns, task.lower, task.upper, min(task.limit_s, left_s))
        answers[number] = block(number).solve(limited)
    return answers


class _Helper:
    """Our end of one helper process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                (sys.executable, "-m", "optimizer.crew", str(os.getpid())), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HOME
            )

    @property
    def started(self) -> bool:
        """Whether it ran and was not ended by us."""
        return self._process is not None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def tell(self, message: object) -> bool:
        """False when it is gone."""
        if self._process is None or self._process.stdin is None:
            return False
        try:
            write(self._process.stdin, message)
        except OSError:
            return False
        return True

    def hear(self, end_s: float) -> object:
        """Its answer; None when it is gone, talks nonsense or says nothing in time."""
        if self._process is None or self._process.stdout is None:
            return None
        try:
            body = _read_until(self._process.stdout.fileno(), end_s)
            return pickle.loads(body)
        except (OSError, EOFError, pickle.UnpicklingError, TimeoutError, MemoryError):
            return None

    def end(self) -> None:
        """Kill it; it has nothing to save."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            process.wait()


def write(pipe: BinaryIO | Any, message: object) -> None:
    """One message."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(HEADER.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def _read_until(handle: int, end_s: float) -> bytes:
    """One message's body. Raises TimeoutError, EOFError."""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        header = _exactly(handle, HEADER.size, selector, end_s)
        return bytes(_exactly(handle, HEADER.unpack(header)[0], selector, end_s))


def _exactly(handle: int, count: int, selector: selectors.BaseSelector, end_s: float) -> bytearray:
    got = bytearray()
    while len(got) < count:
        if not selector.select(min(LONGEST_WAIT_S, max(0.0, end_s - time.perf_counter()))):
            raise TimeoutError("a helper did not answer in time")
        piece = os.read(handle, min(1 << 20, count - len(got)))
        if not piece:
            raise EOFError("a helper ended")
        got += piece
    return got


# -- the helper's own side --------------------------------------------------------------------------


def main(parent: int) -> int:
    """Answer until stdin closes or the process that started us is gone."""
    _die_with_parent()
    if os.getppid() != parent:
        return 0
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # chatter of C code must not get between the messages
    blocks: dict[int, Block] = {}
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            message = pickle.loads(_body(sys.stdin.buffer))
            if message[0] == "begin":
                write(answers, begin(*message[1:]))
            elif message[0] == "load":
                blocks = {number: Block(part.program, part.heads) for number, part in message[1].items()}
            else:
                write(answers, solve_all(blocks.__getitem__, message[1], time.perf_counter() + message[2]))
    return 0


def _body(pipe: BinaryIO) -> bytes:
    header = pipe.read(HEADER.size)
    body = pipe.read(HEADER.unpack(header)[0]) if len(header) == HEADER.size else b""
    if not body:
        raise EOFError
    return body


def _die_with_parent() -> None:
    """Linux only: elsewhere the closing of stdin ends us a little later."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
