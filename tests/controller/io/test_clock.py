"""The clocks: monotonic time is real and never jumps, wall time may be compressed or lost."""

from __future__ import annotations

import pytest

from controller.io.clock import TRUSTED_FROM_WALL_S, Clock, VirtualClock, fresh_seed


def test_a_compressed_wall_clock_follows_the_monotonic_one() -> None:
    clock = Clock(speed=60.0, start_wall_s=1_800_000_000.0)
    first = clock.stamp()
    second = clock.stamp()
    assert first.wall_speed == 60.0
    assert second.mono_s >= first.mono_s
    assert second.wall_s - first.wall_s == pytest.approx(60.0 * (second.mono_s - first.mono_s), abs=1e-4)
    assert first.wall_in(10.0) == pytest.approx(first.wall_s + 600.0)


def test_a_clock_may_start_on_another_day_at_real_speed() -> None:
    stamp = Clock(start_wall_s=1_800_000_000.0).stamp()
    assert stamp.wall_speed == 1.0
    assert stamp.wall_s == pytest.approx(1_800_000_000.0, abs=60.0)


def test_the_real_clock_is_trusted() -> None:
    assert Clock().stamp().wall_trusted


def test_f78_a_box_that_thinks_it_is_1970_knows_that_it_does_not_know() -> None:
    assert not Clock(start_wall_s=0.0).stamp().wall_trusted
    assert not VirtualClock(start_wall_s=TRUSTED_FROM_WALL_S - 1).stamp().wall_trusted


def test_f77_the_wall_clock_jumps_and_the_monotonic_one_does_not_notice() -> None:
    clock = VirtualClock(start_wall_s=1_800_000_000.0)
    before = clock.stamp()
    clock.set_wall(1_800_003_600.0)
    after = clock.advance(1.0)
    assert after.mono_s == before.mono_s + 1.0
    assert after.wall_s == 1_800_003_601.0


def test_virtual_time_moves_only_when_told() -> None:
    clock = VirtualClock(start_wall_s=1_800_000_000.0, speed=2.0)
    assert clock.stamp() == clock.stamp()
    assert clock.advance(3.0).wall_s == 1_800_000_006.0
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1.0)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_clock_needs_a_speed(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        Clock(speed=speed)


def test_seeds_differ() -> None:
    seeds = {fresh_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert all(len(seed) == 32 for seed in seeds)
