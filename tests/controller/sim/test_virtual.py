"""The whole controller on a virtual afternoon: the very engine of the field, without a socket."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from controller.io.chargers import load_chargers
from controller.orders import Severity
from controller.paths import config_dir
from controller.sim.account import Outcome
from controller.sim.scenario import DEMO
from controller.sim.simulate import virtual_config
from controller.sim.strategies import STEP_S, moments
from controller.sim.virtual import VirtualDay, run_yardmaster
from tests.controller.sim.kit import DAY, stamp
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
    assert day.books.strays == []
    assert [day.books.unheard(name, station.confirmed) for name, station in day.site.stations.items()] == [[]] * 10


def test_every_station_has_its_dead_man_installed(afternoon: tuple[Outcome, VirtualDay]) -> None:
    _, day = afternoon
    for station in day.config.stations:
        for evse in station.evses:
            assert day.site.stations[station.id].profiles.evse_limit_a(evse.id, DAY + 86_400, None) == evse.fallback_a


def test_stations_of_every_version_are_in_it(afternoon: tuple[Outcome, VirtualDay]) -> None:
    _, day = afternoon
    versions = [link.version for link in day.engine.snapshot(stamp(18 * 3600.0)).links]
    assert {version: versions.count(version) for version in set(versions)} == {"ocpp1.6": 3, "ocpp2.0.1": 5, "ocpp2.1": 2}


def in_words_of_1_6(refused_purpose: str) -> tuple[float, VirtualDay, dict[tuple[str, int], list[float]]]:
    """16:30 to 18:30 with nothing but 1.6: seconds above the fuse, the day, and what each EVSE offered, equal neighbours joined [A]."""
    models, start_wall_s = load_chargers(config_dir() / "chargers"), DAY + 16.5 * 3600
    scenario = replace(DEMO, speaks=dict.fromkeys((station.id for station in CONFIG.stations), "1.6"))
    day = VirtualDay(virtual_config(CONFIG), scenario, start_wall_s, models)
    offers: dict[tuple[str, int], list[float]] = {}
    over_fuse_s = 0.0
    for station in day.site.stations.values():
        station.faults.refused_purpose = refused_purpose
    for index, at in enumerate(moments(start_wall_s, 2.0)):
        if index == 0:
            day.begin(at)
        day.step(at)
        over_fuse_s += STEP_S * (max(day.site.physics.grid.current_a) > CONFIG.grid.fuse_a)
        for station in day.site.stations.values():
            for evse in station.evses.values():
                seen = offers.setdefault((station.spec.id, evse.spec.id), [])
                if not seen or seen[-1] != evse.offer_a:
                    seen.append(evse.offer_a)
    return over_fuse_s, day, offers


@pytest.mark.parametrize("refused_purpose", ["", "TxProfile"])
def test_a_depot_of_1_6_is_charged_reduced_paused_and_resumed(refused_purpose: str) -> None:
    over_fuse_s, day, offers = in_words_of_1_6(refused_purpose)
    assert over_fuse_s <= STEP_S, "the guard cuts at once when the battery runs empty"
    assert any(before > after >= 6.0 for seen in offers.values() for before, after in pairwise(seen)), "reduced"
    paused = [seen[seen.index(0.0, 1) :] for seen in offers.values() if 0.0 in seen[1:]]
    assert paused
    assert any(limit >= 6.0 for after in paused for limit in after), "resumed"
    assert [tell.text for tell in day.told if tell.severity is Severity.ALARM] == []
    assert all(book.started and book.in_order for book in day.books.transactions.values())
    assert len(day.books.transactions) >= 10
    assert day.books.strays == []
