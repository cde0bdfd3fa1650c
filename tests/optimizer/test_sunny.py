"""PV from a clear sky and what was measured: shade is learnt, dark mornings go on, nights are dark, the clock change does not matter."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.problem import Slot
from optimizer.sunny import UNLEARNT, ClearSky, Sunny
from optimizer.told import Told
from optimizer.usual import Usual
from tests.support.examples import examples

QUARTER, HOUR, DAY = 900.0, 3600.0, 86_400.0
BEGIN = datetime(2026, 10, 10, tzinfo=UTC).timestamp()
NIGHT_OF_25_HOURS = datetime(2026, 10, 25, tzinfo=UTC).timestamp()


def sky_w(wall_s: float) -> float:
    """10 kW at noon of UTC, dark before 6:00 and after 18:00."""
    return max(0.0, 10_000.0 * math.sin((wall_s % DAY - 6 * HOUR) / (12 * HOUR) * math.pi))


SKY = Told(tuple((BEGIN + index * QUARTER, BEGIN + (index + 1) * QUARTER, sky_w(BEGIN + (index + 0.5) * QUARTER)) for index in range(96 * 40)))


def lived(until_s: float, part: float = 0.5, today: float | None = None, zone: str = "Europe/Berlin") -> Usual:
    """Days on which this part of the sky came through; today another one."""
    usual, at_s = Usual(zone, by_kind=False), BEGIN
    while at_s <= until_s:
        share = today if today is not None and at_s >= until_s - until_s % DAY else part
        usual.add(share * sky_w(at_s), at_s)
        at_s += 300.0
    return usual


def slots(at_s: float, hours: float = 24) -> tuple[Slot, ...]:
    return tuple(Slot(at_s + index * QUARTER, QUARTER) for index in range(int(4 * hours)))


def at(forecast: tuple[float, ...], begin_s: float, moment_s: float) -> float:
    return forecast[int((moment_s - begin_s) // QUARTER)]


def test_what_usually_comes_through_is_learnt_with_shade() -> None:
    now = BEGIN + 12 * DAY
    usual, at_s = Usual("UTC", by_kind=False), BEGIN
    while at_s <= now:  # a house to the east: nothing before 9:00
        usual.add(0.8 * sky_w(at_s) if at_s % DAY >= 9 * HOUR else 0.0, at_s)
        at_s += 300.0
    found = Sunny(ClearSky(SKY), usual, now).expected_w(slots(now), (0.0,) * 96)
    assert at(found, now, now + 12 * HOUR) == pytest.approx(8000.0, rel=0.02)
    assert at(found, now, now + 7 * HOUR) < 200.0
    assert at(found, now, now + 2 * HOUR) == 0.0


def test_before_three_days_a_middling_sky_is_expected() -> None:
    now = BEGIN + 12 * HOUR
    model = Sunny(ClearSky(SKY), Usual("UTC"), now)
    assert not model.knows
    assert model.expected_w(slots(now, 1), (0.0,) * 4)[0] == pytest.approx(UNLEARNT * sky_w(now), rel=0.02)
    assert model.below_w(slots(now), 0.1)[8] > 0.0


@pytest.mark.parametrize(("today", "more"), [(0.1, -1), (0.9, 1), (0.5, 0)])
def test_a_morning_that_was_dark_or_bright_goes_on(today: float, more: int) -> None:
    now = BEGIN + 12 * DAY + 11 * HOUR
    found = Sunny(ClearSky(SKY), lived(now, 0.5, today), now).expected_w(slots(now), (0.0,) * 96)
    soon, usual = at(found, now, now + HOUR), 0.5 * sky_w(now + HOUR)
    assert (soon > 1.1 * usual) - (soon < 0.9 * usual) == more
    tomorrow = at(found, now, now + 23 * HOUR)
    assert abs(tomorrow / (0.5 * sky_w(now + 23 * HOUR)) - 1.0) < abs(soon / usual - 1.0) + 0.03, "and less so tomorrow"


def test_the_sun_knows_no_summer_time() -> None:
    """25 October 2026: the clock is set back; noon stays where it is."""
    now = NIGHT_OF_25_HOURS + 2 * HOUR
    found = Sunny(ClearSky(SKY), lived(now), now).expected_w(slots(now), (0.0,) * 96)
    highest = max(range(96), key=lambda index: found[index])
    assert now + highest * QUARTER == pytest.approx(NIGHT_OF_25_HOURS + 12 * HOUR, abs=HOUR)
    assert at(found, now, NIGHT_OF_25_HOURS + 6 * HOUR - QUARTER) == 0.0


def test_where_no_sky_was_told_the_other_forecast_holds() -> None:
    now = BEGIN + 39 * DAY
    found = Sunny(ClearSky(SKY), Usual("UTC"), now).expected_w(slots(now + 12 * HOUR), (77.0,) * 96)
    assert at(found, now, now + 13 * HOUR) == 77.0


def test_what_was_learnt_is_not_learnt_anew_in_the_same_day() -> None:
    sky, now = ClearSky(SKY), BEGIN + 12 * DAY
    usual = lived(now)
    first = sky.shares(usual, usual.place(now)[0])
    assert sky.shares(usual, usual.place(now + HOUR)[0]) is first
    assert sky.shares(usual, usual.place(now + DAY)[0]) is not first


@settings(max_examples=examples(20))
@given(st.lists(st.floats(0.0, 1.2), min_size=14, max_size=14), st.integers(0, 23), st.floats(0.02, 0.4))
def test_forecasts_are_never_negative_and_room_never_more_than_they_are(parts: list[float], hour: int, quantile: float) -> None:
    usual, at_s, now = Usual("UTC", by_kind=False), BEGIN, BEGIN + 13 * DAY + hour * HOUR
    while at_s <= now:
        usual.add(parts[int((at_s - BEGIN) // DAY)] * sky_w(at_s), at_s)
        at_s += 450.0
    model = Sunny(ClearSky(SKY), usual, now)
    expected, less = model.expected_w(slots(now), (0.0,) * 96), model.below_w(slots(now), quantile)
    assert all(0.0 <= room <= watts + 1e-9 or room == pytest.approx(0.0) for watts, room in zip(expected, less, strict=True))
    assert max(expected) <= 10_000.0 * 3.0 * 2.5
