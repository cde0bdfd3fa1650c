"""The token bucket: bursts pass, the long-run rate holds, nothing is refused for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.io.links.bucket import TokenBucket


def test_a_burst_passes_then_each_token_costs_its_time() -> None:
    bucket = TokenBucket(rate_per_s=20.0, burst=100.0)
    assert [bucket.take(5.0) for _ in range(100)] == [0.0] * 100
    assert bucket.take(5.0) == pytest.approx(0.05)
    assert bucket.take(5.05) == pytest.approx(0.05)
    assert bucket.take(6.05) == 0.0


def test_try_take_refuses_without_running_into_debt() -> None:
    bucket = TokenBucket(rate_per_s=1.0, burst=2.0)
    assert [bucket.try_take(0.0) for _ in range(4)] == [True, True, False, False]
    assert bucket.try_take(1.0)
    assert not bucket.try_take(1.5)


@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=200))
def test_who_waits_as_told_never_exceeds_the_rate(pauses_s: list[float]) -> None:
    bucket = TokenBucket(rate_per_s=10.0, burst=5.0)
    now_s = 0.0
    for taken, pause_s in enumerate(pauses_s, start=1):
        now_s += pause_s
        now_s += bucket.take(now_s)
        assert taken <= 5.0 + 10.0 * now_s + 1e-6
