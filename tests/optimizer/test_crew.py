"""The helpers: who gets which block, what they answer, and that nothing but their own talk reaches them."""

import os
import signal

import numpy
import pytest

from optimizer.arrays import Arrays, Entries
from optimizer.block import NO_BOUNDS, NO_PLACES, Task
from optimizer.crew import Crew
from optimizer.cuts import Part, cut_nodes
from optimizer.wires import plant_tree
from tests.support.feeders import site

FOREVER_S = 1e9


def part(need: float) -> Part:
    """Buy at least ``need``, at most 10, at 2 each; the flow (column 0) is what is bought (column 1)."""
    entries = Entries(numpy.array([0, 2, 3], dtype=numpy.int32), numpy.array([0, 1, 1], dtype=numpy.int32), numpy.array([1.0, -1.0, 1.0]))
    lengths = numpy.array([2, 1], dtype=numpy.int32)
    columns, rows = numpy.arange(2, dtype=numpy.int32), numpy.arange(2, dtype=numpy.int32)
    lower, upper, cost = numpy.zeros(2), numpy.array([10.0, 10.0]), numpy.array([0.0, 2.0])
    program = Arrays(lower, upper, cost, numpy.array([0.0, need]), numpy.array([0.0, numpy.inf]), entries, lengths)
    return Part(columns, rows, numpy.zeros(1, dtype=numpy.int32), program)


def at(price: float) -> Task:
    return Task(numpy.array([price]), NO_PLACES, NO_BOUNDS, NO_BOUNDS)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_block_answers_whoever_has_it(workers: int) -> None:
    with Crew(workers) as crew:
        crew.load([part(float(need)) for need in range(5)])
        for price, bought in ((0.0, None), (3.0, 10.0), (1.0, None)):
            answers = crew.solve({number: at(price) for number in range(5)}, FOREVER_S)
            for number, answer in answers.items():
                assert answer.proved
                assert answer.values is not None
                assert answer.values[0] == pytest.approx(number if bought is None else bought)
                assert answer.objective == pytest.approx((2.0 - price) * answer.values[0])
        assert crew.lost == 0


def test_bounds_hold_for_one_task_only() -> None:
    with Crew(1) as crew:
        crew.load([part(1.0)])
        tight = Task(numpy.array([3.0]), numpy.zeros(1, dtype=numpy.int32), numpy.zeros(1), numpy.array([4.0]))
        for task, bought in ((tight, 4.0), (at(3.0), 10.0)):
            answer = crew.solve({0: task}, FOREVER_S)[0]
            assert answer.values is not None
            assert answer.values[0] == pytest.approx(bought)


def test_a_block_that_cannot_be_solved_says_so() -> None:
    with Crew(1) as crew:
        crew.load([part(11.0), part(1.0)])
        answers = crew.solve({0: at(0.0), 1: at(0.0)}, FOREVER_S)
        assert (answers[0].proved, answers[0].values) == (False, None)
        assert answers[1].proved


def test_no_time_no_answers() -> None:
    with Crew(2) as crew:
        crew.load([part(1.0), part(2.0)])
        assert {answer.values is None for answer in crew.solve({0: at(0.0)}, 0.0).values()} == {True}


def test_a_plan_begins_with_a_whole_crew_and_loading_alone_replaces_nobody() -> None:
    """Helpers that are killed and reaped before anybody asks."""
    with Crew(3) as crew:
        before = crew.processes()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        crew.load([part(1.0), part(2.0)])
        assert (crew.processes(), crew.lost) == ([], 2)
        assert all(answer.proved for answer in crew.solve({0: at(0.0), 1: at(0.0)}, FOREVER_S).values())
        problem = site([2, 2], 140.0)
        start = crew.begin(problem, cut_nodes(problem, plant_tree(problem)), FOREVER_S)
        assert len(set(crew.processes()) - set(before)) == 2
        assert start().ruled.solver == "rules"
        crew.load([part(float(need)) for need in range(5)])
        answers = crew.solve({number: at(0.0) for number in range(5)}, FOREVER_S)
        assert [answer.values[0] for answer in answers.values() if answer.values is not None] == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0])
        assert crew.lost == 2
