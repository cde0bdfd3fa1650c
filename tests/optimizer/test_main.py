"""``python -m optimizer`` as its users start it: on a file, and as a child on a pipe that nothing else may write to."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimizer.__main__ import main
from optimizer.check import check
from optimizer.frames import frame
from optimizer.problem_json import plan_from_json, plan_from_raw, problem_to_json
from tests.support.child import Child
from tests.support.plans import car, grid, problem

SITE = problem([0.3, 0.1, 0.2], car(need_wh=6000.0))
ROOT = Path(__file__).parents[2]


class TestFile:
    def test_a_problem_file_becomes_a_table(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "site.json").write_bytes(problem_to_json(SITE))
        assert main([str(tmp_path / "site.json")]) == 0
        assert "cost 0.80 EUR" in capsys.readouterr().out

    def test_or_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "site.json").write_bytes(problem_to_json(SITE))
        assert main([str(tmp_path / "site.json"), "--json", "--solver", "cbc"]) == 0
        assert check(SITE, plan_from_json(capsys.readouterr().out)) == ()

    def test_a_file_that_is_no_problem_is_one_clear_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "site.json").write_text('{"slots": []}')
        assert main([str(tmp_path / "site.json")]) == 2
        assert main([str(tmp_path / "absent.json")]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2
        assert "voltage_v" in lines[0]
        assert "absent.json" in lines[1]

    def test_a_problem_without_a_plan_says_why(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "site.json").write_bytes(problem_to_json(problem([0.3], car(node_id="cellar"))))
        assert main([str(tmp_path / "site.json")]) == 1
        assert "bad_problem" in capsys.readouterr().err


@pytest.fixture
def child() -> Iterator[Child]:
    with Child() as started:
        yield started


def test_the_child_answers_one_problem_after_another_and_ends_with_its_stdin(child: Child) -> None:
    for number in (1, 2):
        answer = child.ask(number, SITE)
        assert answer["number"] == number
        assert check(SITE, plan_from_raw(answer["plan"])) == ()
    child.to.close()
    assert child.process.wait(60) == 0
    assert child.back.read() == b""


def test_a_bad_problem_is_answered_and_the_next_one_planned(child: Child) -> None:
    assert child.ask(1, problem([0.3], nodes=[grid(), grid()]))["reason"] == "bad_problem"
    assert child.say(b'{"number": 2}')["reason"] == "bad_problem"
    assert child.say(b'{"number": 3, "problem": {"slots": 5}}')["reason"] == "bad_problem"
    assert child.say(b"[1, 2]")["reason"] == "bad_problem"
    assert child.say(b"no json")["number"] is None
    assert "plan" in child.ask(4, SITE)


def test_garbage_on_the_pipe_ends_the_child_with_a_word_on_stderr(child: Child) -> None:
    child.to.write(b"GET / HTTP/1.1\r\n\r\n")
    child.to.close()
    assert child.process.wait(60) != 0
    assert child.process.stderr is not None
    assert b"where a message should begin" in child.process.stderr.read()


def test_half_a_message_and_then_silence_ends_the_child_in_peace(child: Child) -> None:
    child.to.write(frame(b"0123456789")[:-3])
    child.to.close()
    assert child.process.wait(60) == 0


def test_chatter_on_descriptor_one_cannot_reach_the_pipe() -> None:
    """C code prints to descriptor 1; only answers may be there."""
    chatter = "os.write(1, b'Welcome to CBC'); print('hello')"
    script = f"import os; from optimizer import __main__ as m; out = m._own_stdout(); {chatter}; out.write(b'ours'); out.flush()"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=True)
    assert done.stdout == b"ours"
    assert b"Welcome to CBC" in done.stderr
    assert b"hello" in done.stderr


def test_the_child_is_polite_and_capped() -> None:
    with Child(["--memory-mb", "1500"]) as started:
        started.ask(1, SITE)
        facts = Path(f"/proc/{started.process.pid}")
        nice = (facts / "stat").read_text().rsplit(")", 1)[1].split()[16]
        limits = {line.split("  ")[0]: line.split()[3] for line in (facts / "limits").read_text().splitlines()[1:]}
        score, own = (int((one / "oom_score_adj").read_text()) for one in (facts, Path("/proc/self")))
    assert int(nice) >= 10
    assert score >= max(500, own), "short of memory, the system ends the solver before the controller"
    assert limits["Max address space"] == str(1500 * 1024 * 1024)
