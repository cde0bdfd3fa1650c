"""The baselines are honest: same cars, same physics, and EDF keeps the fuse."""

from __future__ import annotations

import pytest

from controller.sim.account import Outcome
from controller.sim.scenario import DEMO
from controller.sim.strategies import Control, EarliestDeadlineFirst, run_baseline, uncontrolled
from tests.controller.sim.kit import DAY
from tests.controller.sim.test_site import CONFIG

START, HOURS = DAY + 15.5 * 3600, 3.0


def day(control: Control) -> Outcome:
    return run_baseline("x", CONFIG, DEMO, START, HOURS, control, lambda _share: None)


def test_uncontrolled_stays_over_the_fuse_and_earliest_deadline_does_not() -> None:
    wild, ruled = day(uncontrolled), day(EarliestDeadlineFirst(CONFIG, DEMO))
    assert wild.worst_a > 1.3 * CONFIG.grid.fuse_a
    assert wild.over_fuse_s > 600
    # It looks every ten seconds and cars need five to follow: a brief overlap while one car hands over to the next.
    assert ruled.worst_a < 1.1 * CONFIG.grid.fuse_a
    assert ruled.over_fuse_s < 120
    assert max(sample.ev_w for sample in ruled.curve) > 40_000


def test_a_day_can_be_repeated_exactly() -> None:
    assert day(uncontrolled) == day(uncontrolled)


def test_progress_ends_at_one() -> None:
    seen: list[float] = []
    run_baseline("x", CONFIG, DEMO, DAY, 0.5, uncontrolled, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
