"""Jobs: how time is cut, how parts come together, on cores and on a cluster; progress."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import distributed
import pytest

from controller.sim.backtest.jobs import BOUND, OURS, OURS_V2G, POLICIES, UNCONTROLLED, Job, apart, jobs_of, periods, run_job, together
from controller.sim.backtest.outcome import PolicyOutcome
from controller.sim.backtest.parallel import RunError, StoppedError, run_all
from controller.sim.backtest.progress import Bar, clock_words
from controller.sim.backtest.setting import Setting
from tests.controller.sim.backtest.kit import DAY, START_S, sessions_file, setting

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("week")
    days = [DAY + timedelta(days=number) for number in range(3)]
    return setting(folder, sessions=sessions_file(folder, days=days), last=days[-1])


def rules(week: Setting) -> list[Job]:
    return jobs_of([week], (UNCONTROLLED, "edf", "llf"), quick=False, apart_days=None)


def same(outcomes: list[PolicyOutcome]) -> list[PolicyOutcome]:
    return [replace(outcome, seconds=0.0) for outcome in outcomes]


# -- cutting and putting together -----------------------------------------------------------------------------------


def test_half_a_year_is_cut_at_its_months(tmp_path: Path) -> None:
    first = date(2026, 3, 15)
    days = [first + timedelta(days=30 * number) for number in range(6)]
    case = setting(tmp_path, sessions=sessions_file(tmp_path, days=days), first=first, last=date(2026, 8, 20)).case
    parts = periods(case)
    assert [round(part.days) for part in parts] == [17, 30, 31, 30, 31, 20]
    assert parts[0].start_wall_s == case.start_wall_s
    assert all(one.end_wall_s == other.start_wall_s for one, other in pairwise(parts))
    assert sum(len(part.visits) for part in parts) == len(case.visits)
    assert [len(part.past) for part in parts] == sorted(len(part.past) for part in parts)
    assert periods(replace(case, end_wall_s=case.start_wall_s + 28 * DAY_S)) != []


def test_parts_of_days_lose_only_what_stays_over_midnight(week: Setting) -> None:
    parts = apart(week.case, 1.0)
    assert [round(part.days) for part in parts] == [1, 1, 1]
    assert [visit.id for part in parts for visit in part.visits] == [visit.id for visit in week.case.visits]
    assert [round(part.days) for part in apart(week.case, 2.0)] == [2, 1]


def test_apart_and_in_one_go_cost_the_same_where_nobody_looks_at_the_peak(week: Setting) -> None:
    whole = run_job(Job(0, 0, "llf", week.case), lambda _: None)
    jobs = jobs_of([week], ("llf",), quick=False, apart_days=1.0)
    [joined] = together(week, [(job, run_job(job, lambda _: None)) for job in jobs], ("llf",))
    assert len(jobs) == 3
    assert joined.energy_cost == pytest.approx(whole.energy_cost, rel=1e-3)
    assert joined.demand_cost == pytest.approx(whole.demand_cost, rel=1e-2)
    assert joined.base_cost == pytest.approx(whole.base_cost)
    assert [session.id for session in joined.sessions] == [session.id for session in whole.sessions]
    assert [quarter.wall_s for quarter in joined.curve] == [quarter.wall_s for quarter in whole.curve]


def test_jobs_leave_out_what_may_not_give_back_and_begin_with_the_longest(week: Setting) -> None:
    plain = Setting(week.case, None)
    names = [job.policy for job in jobs_of([plain], POLICIES, quick=False, apart_days=None)]
    assert OURS_V2G not in names
    assert names[0] == OURS
    assert {job.policy for job in jobs_of([week], POLICIES, quick=False, apart_days=1.0) if job.case.days > 1.5} == {BOUND, "bound-v2g"}


# -- side by side ---------------------------------------------------------------------------------------------------


def test_in_processes_the_results_are_those_of_one_process(week: Setting) -> None:
    jobs, told = rules(week), dict[int, float]()
    here = run_all(jobs, 1, lambda place, part: None)
    there = run_all(jobs, 2, lambda place, part: told.__setitem__(place, part))
    assert same(there) == same(here)
    assert told == {0: 1.0, 1: 1.0, 2: 1.0}


def test_a_job_that_fails_ends_the_others_with_its_error(week: Setting) -> None:
    broken = Job(0, 0, BOUND, replace(week.case, end_wall_s=START_S + 1.0, visits=()))
    with pytest.raises(Exception, match=r".+"):
        run_all([broken, *rules(week)], 2, lambda place, part: None)


def test_ctrl_c_ends_clean(week: Setting) -> None:
    def interrupt(place: int, part: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(StoppedError):
        run_all(rules(week), 2, interrupt)
    with pytest.raises(StoppedError):
        run_all(rules(week), 1, interrupt)


@pytest.fixture
def cluster() -> Iterator[str]:
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(protocol="tcp://", host="127.0.0.1", **options) as local:
        yield local.scheduler_address


def test_on_a_cluster_the_results_are_the_same(week: Setting, cluster: str) -> None:
    jobs, told = rules(week), dict[int, float]()
    assert same(run_all(jobs, 1, lambda place, part: told.__setitem__(place, part), cluster)) == same(run_all(jobs, 1, lambda place, part: None))
    assert told == {0: 1.0, 1: 1.0, 2: 1.0}


def test_no_cluster_at_an_address_is_a_sentence(week: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.sim.backtest.parallel.CLUSTER_TIMEOUT_S", 0.5)
    with pytest.raises(RunError, match="no Dask scheduler answers at tcp://127"):
        run_all(rules(week), 1, lambda place, part: None, "tcp://127.0.0.1:9")


# -- progress --------------------------------------------------------------------------------------------------------


def test_without_a_terminal_there_is_a_line_per_tenth() -> None:
    out, now = io.StringIO(), [0.0]
    bar = Bar([1.0, 3.0], out, lambda: now[0])
    for step in range(101):
        now[0] = 6.0 * step
        bar.tell(0, step / 100)
        bar.tell(1, step / 100)
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[4] == " 50 %  5:00 elapsed, 5:00 left"
    assert lines[-1] == "100 %  10:00 elapsed"


def test_progress_never_goes_back_and_weighs_the_work() -> None:
    bar = Bar([1.0, 3.0], io.StringIO())
    bar.tell(1, 0.5)
    bar.tell(1, 0.2)
    assert bar.share == 0.375
    assert clock_words(3723) == "1:02:03"
