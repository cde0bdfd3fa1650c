"""Whole days with a CSMS that is away or comes and goes, in virtual time on the real journal file (F19, F23, P1, P2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.link.outbox import PAGE
from tests.support.long_outage import QUIET_TICK_S, World, account, drain

STATIONS = 6


@pytest.mark.parametrize("minutes", [1, 60])
def test_f19_a_short_outage_is_made_up_for(tmp_path: Path, minutes: int) -> None:
    world = World(tmp_path, STATIONS)
    world.csms_there = True
    for _ in range(10):
        world.minute(1.0)
    before = world.csms.arrivals
    world.close_legs()
    world.csms_there = False
    for _ in range(minutes):
        world.minute(5.0)
    assert world.csms.arrivals == before
    assert world.queued == STATIONS * minutes
    drain(world, world.queued, kill=False)
    outcome = account(world, minutes / 60)
    assert outcome.faultless, str(outcome)
    assert outcome.missing == 0
    assert outcome.arrivals == outcome.said


def test_f23_a_csms_that_closes_a_thousand_times_a_day_gets_everything_in_order(tmp_path: Path) -> None:
    world = World(tmp_path, 4)
    world.csms_there = True
    for _ in range(10):
        world.minute(5.0)
    world.hang_ups, world.hang_up_chance = 1000, 0.15
    for _ in range(24 * 60):
        world.minute(QUIET_TICK_S)
    assert world.hang_ups == 0
    drain(world, 0, kill=False)
    outcome = account(world, 24)
    assert outcome.faultless, str(outcome)
    assert outcome.missing == 0
    assert outcome.repeats > 100, "half of the closed connections had been read before: their messages go again"
    for session in world.engine.links.sessions.values():
        up = session.up
        assert (len(up.outbox), len(up.lane), len(up.outbox._texts)) == (0, 0, 0)
        assert len(up._answers.held) == 0
        assert len(up._answers.repeats) <= 64
        assert len(up._replay.ids) <= 128
        assert PAGE < 64
