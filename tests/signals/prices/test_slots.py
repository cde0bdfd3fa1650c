"""Laws of a clean series: nothing is lost, nothing overlaps, the finer and the later slot wins, what nobody covers stays a gap."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.prices.slots import MOST_SLOTS, PriceError, Slot, chained, layered, number, per_kwh_factor, plausible, same_currency, tidy

T = 1_795_000_000.0
STEP = 900.0

rough = st.builds(
    lambda start, length, value: Slot(T + start * STEP, T + (start + length) * STEP, value),
    st.integers(0, 60),
    st.integers(1, 12),
    st.floats(-5, 5, allow_nan=False),
)


def at(slots: tuple[Slot, ...], moment: float) -> float | None:
    return next((slot.value for slot in slots if slot.start_wall_s <= moment < slot.end_wall_s), None)


class TestLaws:
    @given(st.lists(rough, max_size=25))
    def test_a_series_ascends_and_never_overlaps(self, given_slots: list[Slot]) -> None:
        found = tidy(given_slots)
        assert all(sooner.end_wall_s <= later.start_wall_s for sooner, later in pairwise(found))
        assert all(slot.start_wall_s < slot.end_wall_s for slot in found)

    @given(st.lists(rough, max_size=25))
    def test_at_every_moment_the_finest_and_then_the_last_told_holds(self, given_slots: list[Slot]) -> None:
        found = tidy(given_slots)
        for step in range(80):
            moment = T + (step + 0.5) * STEP
            covering = [
                (slot.end_wall_s - slot.start_wall_s, -index, slot.value) for index, slot in enumerate(given_slots) if at((slot,), moment) is not None
            ]
            assert at(found, moment) == (min(covering)[2] if covering else None)

    @given(st.lists(rough, max_size=20))
    def test_cleaning_twice_changes_nothing(self, given_slots: list[Slot]) -> None:
        once = tidy(given_slots)
        assert tidy(once) == once

    @given(st.lists(rough, max_size=12), st.lists(rough, max_size=12))
    def test_the_first_layer_wins_whatever_the_lengths(self, upper: list[Slot], lower: list[Slot]) -> None:
        over, under = tidy(upper), tidy(lower)
        found = layered([upper, lower])
        for step in range(80):
            moment = T + (step + 0.5) * STEP
            expected = at(over, moment)
            assert at(found, moment) == (expected if expected is not None else at(under, moment))


class TestTables:
    def test_a_quarter_hour_cuts_the_hour_it_lies_in(self) -> None:
        found = tidy([Slot(T, T + 3600, 0.3), Slot(T + 900, T + 1800, 0.1)])
        assert found == (Slot(T, T + 900, 0.3), Slot(T + 900, T + 1800, 0.1), Slot(T + 1800, T + 3600, 0.3))

    def test_of_two_equal_slots_the_later_told_holds(self) -> None:
        assert tidy([Slot(T, T + 3600, 0.3), Slot(T, T + 3600, -0.1)]) == (Slot(T, T + 3600, -0.1),)

    def test_neighbours_with_the_same_value_stay_apart(self) -> None:
        assert len(tidy([Slot(T, T + 900, 0.3), Slot(T + 900, T + 1800, 0.3)])) == 2

    @pytest.mark.parametrize(
        "bad",
        [
            Slot(T, T + 900, math.nan),
            Slot(T, T + 900, math.inf),
            Slot(T, T, 0.1),
            Slot(T + 900, T, 0.1),
            Slot(T, T + 33 * 86_400, 0.1),
            Slot(0.0, 900.0, 0.1),
            Slot(T * 1000, T * 1000 + 900, 0.1),
            Slot(math.nan, T, 0.1),
        ],
    )
    def test_what_is_no_slot_refuses_the_answer(self, bad: Slot) -> None:
        with pytest.raises(PriceError):
            tidy([Slot(T, T + 900, 0.2), bad])

    def test_more_than_anybody_asked_for_is_refused(self) -> None:
        with pytest.raises(PriceError, match="more than"):
            tidy(Slot(T + index * 60, T + index * 60 + 60, 0.1) for index in range(MOST_SLOTS + 1))

    def test_begins_alone_go_until_the_next_and_a_null_is_a_gap(self) -> None:
        found = chained([(T + 7200, 0.3), (T, 0.1), (T + 3600, None)])
        assert found == [Slot(T, T + 3600, 0.1), Slot(T + 7200, T + 10_800, 0.3)]

    def test_a_lone_begin_lasts_an_hour(self) -> None:
        assert chained([(T, 0.1)]) == [Slot(T, T + 3600, 0.1)]

    def test_a_missing_begin_is_a_gap_where_slots_are_known_to_be_short(self) -> None:
        assert chained([(T, 0.1), (T + 10_800, 0.2)], longest_s=3600.0) == [Slot(T, T + 3600, 0.1), Slot(T + 10_800, T + 14_400, 0.2)]


class TestUnits:
    @pytest.mark.parametrize(
        ("unit", "factor"),
        [("EUR/MWh", 0.001), ("Eur/MWh", 0.001), ("EUR / MWh", 0.001), ("MWH", 0.001), ("EUR/kWh", 1.0), ("", 0.001), (None, 0.001), (7, 0.001)],
    )
    def test_units(self, unit: object, factor: float) -> None:
        assert per_kwh_factor(unit, 0.001) == factor

    @pytest.mark.parametrize("unit", ["ct/kWh", "EUR/MW", "EUR/GJ", "gCO2/J"])
    def test_a_unit_that_is_not_understood_is_refused(self, unit: str) -> None:
        with pytest.raises(PriceError, match="told in"):
            per_kwh_factor(unit, 0.001)

    def test_another_currency_is_refused_and_an_untold_one_believed(self) -> None:
        same_currency("eur", "EUR")
        same_currency(None, "EUR")
        same_currency("PLN", None)
        with pytest.raises(PriceError, match="PLN"):
            same_currency("PLN", "EUR")

    @pytest.mark.parametrize("bad", [True, None, "abc", "nan", "inf", math.nan, [], {}, "1,5"])
    def test_what_is_no_number(self, bad: object) -> None:
        with pytest.raises(PriceError, match="the price is"):
            number(bad, "the price")

    def test_a_price_that_only_another_unit_explains(self) -> None:
        assert plausible((Slot(T, T + 900, -0.5),)) == (Slot(T, T + 900, -0.5),)
        with pytest.raises(PriceError, match="another unit"):
            plausible((Slot(T, T + 900, 101.0),))

    def test_a_strangers_text_is_cut(self) -> None:
        with pytest.raises(PriceError) as told:
            number("x" * 10_000, "the price")
        assert len(str(told.value)) < 200
