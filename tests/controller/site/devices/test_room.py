"""What cars leave a battery at the grid connection."""

from __future__ import annotations

import math

import pytest

from controller.facts import EvseKey
from controller.site.devices.room import could_draw_a, room_a
from controller.site.layout import layout_of
from controller.site.sharing.claims import Claim, Row
from tests.support.site_story import depot

SITE = layout_of(depot(2), {})
KEYS = tuple(SITE.places)


def claim(key: EvseKey, present_a: float, cap_a: float, want_a: float = math.inf, ceiling_a: float = 0.0) -> Claim:
    return Claim(key, (0, 1, 2), 6.0, cap_a, "test", want_a, present_a, max(ceiling_a, present_a))


def rows(capacity_a: float) -> list[Row]:
    return [Row(capacity_a, "fuse")] * (3 * len(SITE.circuits))


@pytest.mark.parametrize(
    ("claims", "left_a"),
    [
        ((), 40.0),
        ((claim(KEYS[0], 10.0, 16.0),), 24.0),  # it could use 16 A: they are its
        ((claim(KEYS[0], 10.0, 16.0, want_a=12.0),), 28.0),  # it uses 12 A
        ((claim(KEYS[0], 10.0, 0.0, ceiling_a=14.0),), 26.0),  # it was cut and may still draw 14 A
        ((claim(KEYS[0], 0.0, 32.0), claim(KEYS[1], 0.0, 32.0)), -24.0),  # both together could use more than there is
    ],
)
def test_cars_go_first(claims: tuple[Claim, ...], left_a: float) -> None:
    assert room_a(SITE, rows(40.0), claims) == pytest.approx(left_a)


def test_a_car_without_any_bound_counts_with_what_it_has() -> None:
    assert could_draw_a(claim(KEYS[0], 10.0, math.inf)) == 10.0


def test_a_limit_in_watts_leaves_a_battery_its_part_of_what_cars_leave() -> None:
    """60 A for all phases; a car on L1 could use 24 A: 36 A are left, 12 A on each of three phases, 36 A on one."""
    table = [*rows(40.0), Row(60.0, "limit", phases=(0, 1, 2))]
    one = Claim(KEYS[0], (0, len(table) - 1), 6.0, 24.0, "test", math.inf, 0.0, 0.0)
    total = (len(table) - 1,)
    assert room_a(SITE, table, (one,), (0, 1, 2), total) == pytest.approx(12.0)
    assert room_a(SITE, table, (one,), (1,), total) == pytest.approx(36.0)
    assert room_a(SITE, table, (one,), (0, 1, 2)) == pytest.approx(16.0)
