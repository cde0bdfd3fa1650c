"""The whole controller on a virtual afternoon: the very engine of the field, without a socket."""

from __future__ import annotations

import pytest

from controller.io.chargers import load_chargers
from controller.orders import Severity
from controller.paths import config_dir
from controller.sim.account import Outcome
from controller.sim.scenario import DEMO
from controller.sim.simulate import virtual_config
from controller.sim.virtual import VirtualDay, run_yardmaster
from tests.controller.sim.kit import DAY
from tests.controller.sim.test_site import CONFIG


@pytest.fixture(scope="module")
def afternoon() -> tuple[Outcome, VirtualDay]:
    """15:30 to 18:00: arrivals, the thunder cloud, the building's peak."""
    models = load_chargers(config_dir() / "chargers")
    return run_yardmaster("x", virtual_config(CONFIG), DEMO, DAY + 15.5 * 3600, 2.5, models, lambda _share: None)


def test_the_fuse_is_kept_while_cars_charge(afternoon: tuple[Outcome, VirtualDay]) -> None:
    outcome, _ = afternoon
    assert max(sample.ev_w for sample in outcome.curve) > 25_000
    assert outcome.worst_a <= CONFIG.grid.fuse_a


def test_plans_are_made_and_nobody_is_alarmed(afternoon: tuple[Outcome, VirtualDay]) -> None:
    _, day = afternoon
    assert day.plans >= 20
    assert day.failed_plans == 0
    assert [tell.text for tell in day.told if tell.severity is Severity.ALARM] == []


def test_the_csms_misses_nothing(afternoon: tuple[Outcome, VirtualDay]) -> None:
    _, day = afternoon
    assert len(day.books.transactions) >= 10
    assert day.books.gaps() == {}
    assert all(book.started and book.in_order for book in day.books.transactions.values())


def test_every_station_has_its_dead_man_installed(afternoon: tuple[Outcome, VirtualDay]) -> None:
    _, day = afternoon
    for station in day.config.stations:
        for evse in station.evses:
            assert day.site.stations[station.id].profiles.evse_limit_a(evse.id, DAY + 86_400, None) == evse.fallback_a
