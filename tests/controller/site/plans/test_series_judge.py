"""Values that only another unit explains: EUR/MWh, cents, grams and kilowatts are refused; real peaks, negative days and other sites are not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controller.config import Config
from controller.facts import SeriesKind, SeriesTold, Stamp
from controller.orders import Tell
from controller.site.plans.series import SeriesRoom, origin_of
from controller.site.plans.series_judge import measures_of, sound
from signals.prices.slots import PriceError
from tests.support.site_story import depot

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
QUARTER, HOUR = 900.0, 3600.0
FEED = {"type": "http", "url": "http://127.0.0.1:9/"}
NIGHT, MORNING = (31.2, 28.4, 22.0, 18.9, 20.1, 44.0), (88.1, 120.4, 95.0, 40.2, 12.0, -3.0)
DAY_AHEAD = (*NIGHT, *MORNING, -8.1, 0.0, 2.5, 38.0, 90.0, 141.0, 155.2, 120.0, 88.0, 70.0, 52.0, 41.0)
"""A day as markets have them [EUR/MWh]."""


def config(**parts: Any) -> Config:
    """A site with a tariff of at most 0.30 and a connection of 43.5 kW."""
    tariff = {"buy": [{"start": "00:00", "price_per_kwh": 0.20}, {"start": "06:00", "price_per_kwh": 0.30}], "market": {"feed": FEED}}
    return depot(1, tariff=tariff | parts.pop("tariff", {}), **parts)


def slots(values: Any, step_s: float = HOUR) -> tuple[tuple[float, float, float], ...]:
    return tuple((NOON + number * step_s, NOON + (number + 1) * step_s, value) for number, value in enumerate(values))


def told(kind: SeriesKind, values: Any, **more: Any) -> SeriesTold:
    return SeriesTold(Stamp(1000.0, NOON), kind, "feed market", slots(values, **more))


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        (SeriesKind.BUY, DAY_AHEAD, "EUR per kWh"),
        (SeriesKind.SELL, DAY_AHEAD, "EUR per kWh"),
        (SeriesKind.BUY, [0.1 * value + 5.0 for value in DAY_AHEAD], "about"),  # cents with a fee
        (SeriesKind.BUY, [value / 1e6 for value in DAY_AHEAD], "nothing above"),  # divided twice
        (SeriesKind.BUY, [0.2, 31.0], "a value of 31"),
        (SeriesKind.CO2, [380.0, 410.0], "grams"),
        (SeriesKind.PV, [0.0, 40_000.0, 400_000.0], "of PV"),  # tenfold
        (SeriesKind.LOAD, [9_000.0, 90_000.0], "of load"),
        (SeriesKind.PV, [0.0, -1.0], "below 0"),
    ],
)
def test_what_another_unit_explains_is_refused(kind: SeriesKind, values: Any, why: str) -> None:
    plants = [{"latitude": 52, "longitude": 13, "peak_w": 60_000, "inverter_w": 50_000}]
    measures = measures_of(config(forecast={"pv_plants": plants}))
    with pytest.raises(PriceError, match=why):
        sound(told(kind, values), measures)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (SeriesKind.BUY, [value / 1000 for value in DAY_AHEAD]),
        (SeriesKind.BUY, [0.9] * 23 + [4.0]),  # 17 August 2022 in the Baltics
        (SeriesKind.BUY, [0.1] * 23 + [20.3]),  # the cap of Australia
        (SeriesKind.BUY, [-0.5] * 10 + [-0.13] * 14),
        (SeriesKind.BUY, [0.0] * 24),
        (SeriesKind.BUY, [0.0001]),  # one hour that is nearly free
        (SeriesKind.CO2, [0.03, 1.1]),
        (SeriesKind.PV, [0.0] * 30),  # polar night
        (SeriesKind.PV, [0.0, 60_000.0]),
        (SeriesKind.LOAD, [5_000.0, 40_000.0]),
        (SeriesKind.CLEAR_SKY, [0.0, 1e6]),
        (SeriesKind.BUY, []),
    ],
)
def test_what_markets_and_days_do_is_taken(kind: SeriesKind, values: Any) -> None:
    assert len(sound(told(kind, values), measures_of(config()))) == len(values)


def test_a_dear_tariff_allows_dear_prices() -> None:
    """A site that pays in another currency says so in its own tariff."""
    measures = measures_of(config(tariff={"currency": "CZK", "buy": [{"start": "00:00", "price_per_kwh": 6.5}]}))
    assert sound(told(SeriesKind.BUY, [2.1, 7.5, 60.0, 3.1]), measures)


def test_it_is_told_once_the_page_says_so_and_what_was_known_stays() -> None:
    site = config()
    room = SeriesRoom(site)
    origin = origin_of(site.feeds()["market"])

    def say(values: Any, second: float) -> list[str]:
        fact = SeriesTold(Stamp(1000.0 + second, NOON + second), SeriesKind.BUY, "feed market", slots(values, QUARTER), origin)
        return [order.text for order in room.told(fact) if isinstance(order, Tell)]

    (view,) = room.view(Stamp(1000.0, NOON))
    assert "nothing told yet" in view.trouble
    (first,) = say(DAY_AHEAD, 0.0)
    assert "correct the feed's unit or scale" in first
    (view,) = room.view(Stamp(1000.0, NOON))
    assert "cannot be used" in view.trouble
    assert "tariff.buy" in view.trouble
    assert say([value + 1.0 for value in DAY_AHEAD], 900.0) == []
    assert room.books is None
    (again,) = say([value / 1000 for value in DAY_AHEAD], 1800.0)
    assert "again" in again
    assert say(DAY_AHEAD, 2700.0) != []
    (view,) = room.view(Stamp(1000.0, NOON))
    assert view.value_now == 0.0312
    assert "cannot be used" in view.trouble
