"""What building and sun usually do, on its way to the journal and back."""

from __future__ import annotations

from controller.facts import Stamp
from controller.orders import Persist
from controller.site.plans.usual_days import SPACE, UsualDays
from optimizer.usual import KEPT_DAYS
from tests.support.site_story import depot

DAY_S = 86_400.0
BEGIN_S = 20_000 * DAY_S


def lived(days: UsualDays, count: int) -> dict[str, object]:
    """So many days of a building of 5 kW and a sun of 2 kW; the rows in the journal after them."""
    rows: dict[str, object] = {}
    for step in range(int(count * DAY_S / 450.0) + 2):
        for order in days.seen(5_000.0, 2_000.0, Stamp(0.0, BEGIN_S + 450.0 * step)):
            assert isinstance(order, Persist)
            for (space, key), value in order.remember.items():
                assert space == SPACE
                rows[key] = value
                if value is None:
                    del rows[key]
    return rows


def test_a_row_per_day_and_the_oldest_go() -> None:
    rows = lived(UsualDays(depot(1)), KEPT_DAYS + 3)
    assert len(rows) == 2 * KEPT_DAYS
    assert set(rows) >= {"load 2024-11-06", "sun 2024-11-06"}


def test_after_a_restart_everything_is_known_again() -> None:
    days, again = UsualDays(depot(1)), UsualDays(depot(1))
    for key, memory in lived(days, 8).items():
        again.recall(key, memory)
    again.recall("moon 2024-10-10", [1.0] * 96)
    assert days.load is not None
    assert again.load is not None
    assert again.sun is not None
    assert days.load.knows
    assert again.load.knows
    assert again.sun.knows_all


def test_a_clock_that_nobody_trusts_teaches_nothing() -> None:
    days = UsualDays(depot(1))
    assert not any(days.seen(5_000.0, None, Stamp(0.0, BEGIN_S + 450.0 * step, wall_trusted=False)) for step in range(200))
