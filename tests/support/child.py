"""The real solver child on real pipes, for tests and measurements without an event loop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from optimizer.frames import HEADER_BYTES, body_length, frame
from optimizer.problem import Plan, Problem
from optimizer.problem_json import plan_from_raw, problem_to_json

ROOT = Path(__file__).parents[2]


class Child:
    """``python -m optimizer``. Use as context manager: it is killed at the end."""

    def __init__(self, arguments: Sequence[str] = (), command: Sequence[str] = ("-m", "optimizer")) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.to, self.back = self.process.stdin, self.process.stdout
        self._number = 0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        with suppress(BrokenPipeError):
            self.to.close()
        self.process.wait()
        self.back.close()

    def ask(self, number: int, problem: Problem, deadline_s: float = 60.0) -> dict[str, Any]:
        """The answer to a problem as it stands on the pipe."""
        return self.say(b'{"number":%d,"deadline_s":%s,"problem":%s}' % (number, b"%g" % deadline_s, problem_to_json(problem)))

    def say(self, body: bytes) -> dict[str, Any]:
        """The answer to any message."""
        self.to.write(frame(body))
        self.to.flush()
        return dict(json.loads(self.back.read(body_length(self.back.read(HEADER_BYTES)))))

    def plan(self, problem: Problem, deadline_s: float = 60.0) -> Plan:
        """The plan for a problem; AssertionError with the reason when there is none."""
        self._number += 1
        answer = self.ask(self._number, problem, deadline_s)
        assert answer["number"] == self._number
        assert "plan" in answer, answer
        return plan_from_raw(answer["plan"])

    def memory_mb(self) -> tuple[float, float]:
        """Memory in use now and at most so far [MB]."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        facts = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
        return float(facts["VmRSS"]) / 1024.0, float(facts["VmHWM"]) / 1024.0

    def cpu_s(self) -> float:
        """CPU time so far, its own children included [s]."""
        facts = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, facts[11:15])) / 100.0
