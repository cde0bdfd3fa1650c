"""LimitMaxDischarge of a depot whose inverters and battery are commanded: what the site is told and what it does with it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config import Config
from controller.facts import EvseKey, GridControlled, GridStep, Stamp
from controller.ocpp.times import timestamp
from controller.site.grid.der import GridWishes
from controller.site.layout import layout_of
from controller.site.site import Site
from tests.support import der_world
from tests.support.der_world import DerWorld

SUNSPEC = {"type": "sunspec", "host": "127.0.0.1"}
STORE = {"capacity_wh": 50_000, "max_charge_w": 20_000, "max_discharge_w": 20_000, "command": {"control": SUNSPEC}}
INVERTERS = [{"id": "roof", "max_power_w": 30_000, "control": SUNSPEC}]
PLAIN = der_world.config
AT = Stamp(1000.0, der_world.MORNING_S)


def with_devices(count: int, **grid: Any) -> Config:
    plain = PLAIN(count, **grid)
    return Config.model_validate({**plain.model_dump(mode="json", exclude_unset=True), "battery": STORE, "inverters": INVERTERS})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[GridControlled]:
    """What the link told the site, in order."""
    found: list[GridControlled] = []
    handle = GridWishes.controlled

    def listening(self: GridWishes, fact: GridControlled) -> None:
        found.append(fact)
        handle(self, fact)

    monkeypatch.setattr(GridWishes, "controlled", listening)
    return found


def test_a_percentage_bounds_cars_battery_and_inverters_each_by_their_part() -> None:
    """40 % of 11 kW of cars, of 20 kW of battery and of 30 kW of PV; no more than 24.4 kW of all that can flow out."""
    site = with_devices(1)
    wishes = GridWishes(site, layout_of(site, {}))
    wishes.controlled(GridControlled(AT, "DEPOT", EvseKey("", 0), 4_400.0, 24_400.0, "DER LimitMaxDischarge d1", 0.4))
    assert wishes.part() == (0.4, "DER LimitMaxDischarge d1")
    assert wishes.export() == (24_400.0, "DER LimitMaxDischarge d1")
    wishes.controlled(GridControlled(AT, "DEPOT", EvseKey("", 0), None))
    assert wishes.part() is None
    assert wishes.export() is None


@pytest.mark.parametrize("part", [float("nan"), -1.0])
def test_what_is_no_part_means_nothing_at_all(part: float) -> None:
    site = with_devices(1)
    wishes = GridWishes(site, layout_of(site, {}))
    wishes.controlled(GridControlled(AT, "DEPOT", EvseKey("", 0), None, None, "x", part))
    assert wishes.part() == (0.0, "x")


def test_the_depot_face_emits_both(monkeypatch: pytest.MonkeyPatch, told: list[GridControlled]) -> None:
    monkeypatch.setattr(der_world, "config", with_devices)
    world = DerWorld(1)
    world.park()
    world.run(5)
    answer = world.csms(
        "SetDERControl",
        {
            "isDefault": True,
            "controlId": "d1",
            "controlType": "LimitMaxDischarge",
            "limitMaxDischarge": {"priority": 0, "pctMaxDischargePower": 40},
        },
    )
    assert answer["status"] == "Accepted"
    fact = next(one for one in reversed(told) if one.evse == EvseKey("", 0))
    assert (fact.max_discharge_w, fact.max_export_w, fact.part) == (pytest.approx(4_400.0), pytest.approx(24_400.0), 0.4)
    assert isinstance(world.engine.site, Site)


def test_controls_of_the_future_are_told_with_the_present(monkeypatch: pytest.MonkeyPatch, told: list[GridControlled]) -> None:
    """R04.FR.09-FR.11: 40 % by default, 0 % for an hour from half past, the default again after it; half of the time 0 % is in force."""
    monkeypatch.setattr(der_world, "config", with_devices)
    world = DerWorld(1)
    world.park()
    world.run(5)
    default = {"isDefault": True, "controlId": "d1", "controlType": "LimitMaxDischarge"}
    limit = {"priority": 5, "pctMaxDischargePower": 40}
    assert world.csms("SetDERControl", default | {"limitMaxDischarge": limit})["status"] == "Accepted"
    begin_s = world.at.wall_s + 1800.0
    later = {"isDefault": False, "controlId": "s1", "controlType": "LimitMaxDischarge"}
    limit = {"priority": 1, "startTime": timestamp(begin_s), "duration": 3600, "pctMaxDischargePower": 0}
    assert world.csms("SetDERControl", later | {"limitMaxDischarge": limit})["status"] == "Accepted"
    site = next(one for one in reversed(told) if one.evse == EvseKey("", 0))
    assert (site.part, site.max_export_w) == (0.4, pytest.approx(24_400.0))
    assert site.coming == (GridStep(begin_s, 0.0, 0.0, 0.0), GridStep(begin_s + 3600.0, pytest.approx(4_400.0), pytest.approx(24_400.0), 0.4))
    world.run(1800 + 60)
    site = next(one for one in reversed(told) if one.evse == EvseKey("", 0))
    assert (site.part, [step.part for step in site.coming]) == (0.0, [0.4])
