"""A told series: lookups, means and gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.problem import Slot
from optimizer.told import NOTHING_TOLD, Told

TOLD = Told(((100.0, 200.0, 1.0), (200.0, 300.0, 3.0), (400.0, 500.0, -2.0)))


@pytest.mark.parametrize(("at", "value"), [(99.9, None), (100.0, 1.0), (199.9, 1.0), (200.0, 3.0), (300.0, None), (450.0, -2.0), (500.0, None)])
def test_a_moment(at: float, value: float | None) -> None:
    assert TOLD.at(at) == value


def test_means_count_what_is_known_and_slots_fill_the_rest() -> None:
    assert TOLD.mean(150.0, 250.0) == 2.0
    assert TOLD.mean(250.0, 450.0) == pytest.approx(0.5)
    assert TOLD.mean(300.0, 400.0) is None
    assert TOLD.per_slot((Slot(250.0, 200.0), Slot(0.0, 50.0)), (10.0, 7.0)) == pytest.approx(((3.0 * 50 + 10.0 * 100 - 2.0 * 50) / 200, 7.0))
    assert (TOLD.until_wall_s, NOTHING_TOLD.until_wall_s, bool(NOTHING_TOLD)) == (500.0, None, False)


@given(st.floats(0, 600), st.floats(1, 400))
def test_stretches_within_are_cut_to_the_window(begin: float, length: float) -> None:
    found = list(TOLD.within(begin, begin + length))
    assert all(begin <= start < stop <= begin + length for start, stop, _ in found)
    known = sum(stop - start for start, stop, _ in found)
    whole = sum(max(0.0, min(stop, begin + length) - max(start, begin)) for start, stop, _ in TOLD.stretches)
    assert known == pytest.approx(whole)
