"""A week of quarter-hour market prices around each night of the clock change: every quarter hour costs what is worked out here by hand.

Tomorrow is published at 13:00, once only at 22:00, and from the fifth day on the feed is down for three days. What nobody has told costs what the
tariff's windows say by the clock on the wall: 0.25 at night (22:00 to 06:00), else 0.35.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from controller.config import Config
from controller.facts import SeriesKind, SeriesTold, Stamp
from controller.orders import Tell
from controller.site.plans.series import SeriesRoom, origin_of
from controller.site.plans.tariffs import books_of
from optimizer.prices import PriceBook
from optimizer.problem import Slot

BERLIN = ZoneInfo("Europe/Berlin")
QUARTER, STEP_S = 900.0, 300.0
LATE_DAY, DOWN, BACK = 2, 5, 8
PLUS, FACTOR = 0.12, 1.19


def site() -> Config:
    feed = {"type": "energy_charts", "zone": "DE-LU"}
    tariff = {
        "buy": [{"start": "22:00", "price_per_kwh": 0.25}, {"start": "06:00", "price_per_kwh": 0.35}],
        "market": {"feed": feed, "plus_per_kwh": PLUS, "plus_percent": 19},
    }
    base = {"site": {"id": "t", "timezone": "Europe/Berlin"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}}
    return Config.model_validate({**base, "tariff": tariff})


def midnight(day: date) -> float:
    return datetime.combine(day, time(), tzinfo=BERLIN).timestamp()


def market(wall_s: float) -> float:
    """The price of the exchange in a quarter hour [EUR/kWh]: another one for each of the week, a sixth of them negative."""
    return (int(wall_s // QUARTER) * 37 % 240 - 40) / 1000


def day_of(day: date) -> list[tuple[float, float, float]]:
    """All quarter hours of a local day: 92, 96 or 100."""
    begin, end = midnight(day), midnight(day + timedelta(days=1))
    return [(begin + at, begin + at + QUARTER, market(begin + at)) for at in (QUARTER * number for number in range(round((end - begin) / QUARTER)))]


def window(wall_s: float) -> float:
    return 0.25 if not 6 <= datetime.fromtimestamp(wall_s, BERLIN).hour < 22 else 0.35


def known_days(first: date, wall_s: float) -> set[date]:
    """What has been told by now: each day's tomorrow at 13:00, once at 22:00, nothing while the feed is down."""
    known = {first}
    for number in range(12):
        day = first + timedelta(days=number)
        at = datetime.combine(day, time(22 if number == LATE_DAY else 13), tzinfo=BERLIN).timestamp()
        if number >= BACK and wall_s >= midnight(first + timedelta(days=BACK)):
            known.add(day)
        if not DOWN <= number < BACK and wall_s >= at:
            known.add(day + timedelta(days=1))
    return known


@pytest.mark.parametrize(("first", "quarters"), [(date(2026, 3, 26), 92), (date(2026, 10, 22), 100)])
def test_a_week_of_prices_a_late_day_and_three_days_without_the_feed(first: date, quarters: int) -> None:
    config = site()
    room, origin = SeriesRoom(config), origin_of(config.feeds()["market"])
    assert len(day_of(first + timedelta(days=3))) == quarters
    begin, said, told = midnight(first), [], set[date]()
    paid = by_hand = 0.0
    for number in range(round(10 * 86_400 / STEP_S)):
        now = begin + number * STEP_S
        at = Stamp(1000.0 + number * STEP_S, now)
        for day in sorted(known_days(first, now) - told):
            told.add(day)
            room.told(SeriesTold(at, SeriesKind.BUY, "feed market", tuple(day_of(day)), origin))
        said += [(now, order) for order in room.tick(at) if isinstance(order, Tell)]
        right = (market(now) + PLUS) * FACTOR if datetime.fromtimestamp(now, BERLIN).date() in told else window(now)
        paid += 7.3 * book(room, config).at(now) * STEP_S / 3600
        by_hand += 7.3 * right * STEP_S / 3600
        if number % 40 == 0:
            ahead(room, config, now, told)
    assert paid == pytest.approx(by_hand, abs=0.005), "right to the cent"
    ends = midnight(first + timedelta(days=DOWN + 1))
    assert [(when, word.severity.value) for when, word in said] == [(ends, "warning"), (midnight(first + timedelta(days=BACK)), "info")]
    assert "the prices of tariff.buy hold" in said[0][1].text


def test_the_page_says_that_prices_are_assumed() -> None:
    config = site()
    room, day = SeriesRoom(config), date(2026, 10, 25)
    room.told(SeriesTold(Stamp(0.0, midnight(day)), SeriesKind.BUY, "feed market", tuple(day_of(day)), origin_of(config.feeds()["market"])))
    late = midnight(day + timedelta(days=1))
    (view,) = room.view(Stamp(90_000.0, late + 1.0))
    assert (view.until_wall_s, view.value_now) == (None, None)
    assert view.trouble == "what was told has ended: the prices of tariff.buy hold"
    (before,) = room.view(Stamp(89_000.0, late - 1.0))
    assert (before.until_wall_s, before.trouble) == (late, "")


def book(room: SeriesRoom, config: Config) -> PriceBook:
    """The prices of now: the market's over the tariff's."""
    return (room.books or books_of(config.tariff, "Europe/Berlin")).buy


def ahead(room: SeriesRoom, config: Config, now: float, told: set[date]) -> None:
    """Slots of odd lengths over the next day: each has the mean of its minutes."""
    slots = [Slot(now + 2100.0 * number, 2100.0) for number in range(40)]
    for slot, price in zip(slots, book(room, config).per_slot(slots), strict=True):
        minutes = [slot.start_wall_s + 30.0 + 60.0 * number for number in range(35)]
        known = [datetime.fromtimestamp(one, BERLIN).date() in told for one in minutes]
        right = [(market(one) + PLUS) * FACTOR if there else window(one) for one, there in zip(minutes, known, strict=True)]
        assert price == pytest.approx(sum(right) / 35), datetime.fromtimestamp(slot.start_wall_s, UTC)
