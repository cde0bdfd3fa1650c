"""Limits that would be broken if this machine stopped: found before it does, with what to do about it. Sums by hand, at 230 V."""

from __future__ import annotations

from typing import Any

import pytest

from controller.check import load_config
from controller.checking.cautions import warnings_about
from controller.checking.rules import Site
from controller.checking.unattended import unattended_cautions
from controller.config import Config
from controller.paths import config_dir
from tests.support.site_story import depot

BATTERY = {
    "capacity_wh": 40_000,
    "max_charge_w": 10_000,
    "max_discharge_w": 10_000,
    "command": {"control": {"type": "mqtt", "command_topic": "b"}},
}
ROOF = [{"id": "roof", "max_power_w": 20_000, "control": {"type": "mqtt", "command_topic": "x"}}]


def site(count: int = 4, signal: dict[str, Any] | None = None, **more: Any) -> Config:
    """Chargers that fall back to 6 A on three phases: 4.14 kW each. Other load 20 A: 13.8 kW."""
    signals = [] if signal is None else [{"id": "dso", "type": "api", **signal}]
    return depot(count, signals=signals, **more)


def told(config: Config, **overdraw: float) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in unattended_cautions(config, overdraw)]


def test_nothing_to_say_of_a_site_without_limits_or_whose_fallbacks_fit() -> None:
    assert told(site()) == []
    assert told(site(4, {"failsafe_w": 16_560, "binds": "controllable"})) == []  # 4 x 4.14 kW to the watt
    assert told(site(4, {"failsafe_w": 30_360})) == []  # and the other load beside them
    assert told(site(0, {"failsafe_w": 0, "binds": "controllable"})) == []


def test_the_minimum_of_section_14a_is_less_than_the_fallbacks() -> None:
    """Four devices: 4.2 + 3 x 0.7 x 4.2 = 13.02 kW; the chargers may draw 16.56 kW, 3.54 kW too much."""
    ((path, message),) = told(site(4, {"failsafe_w": "section_14a", "binds": "controllable"}))
    assert path == "signals.0.failsafe_w"
    assert "chargers at their fallback (16.6 kW) below grid may draw 16.6 kW, more than the failsafe of 13 kW" in message
    assert "Lower fallback_a of chargers there by 3.54 kW in all (0 is allowed)" in message


def test_what_binds_the_whole_circuit_has_the_other_load_in_it() -> None:
    ((_, message),) = told(site(4, {"failsafe_w": 20_000}))
    assert "and the other load at its worst (13.8 kW) below grid may draw 30.4 kW, more than the failsafe of 20 kW" in message
    ((_, message),) = told(site(4, {"failsafe_w": 10_000}))
    assert "nothing here can keep that" in message
    assert "binds: controllable" in message


def test_only_what_hangs_below_the_circuit_counts() -> None:
    config = site(4, {"failsafe_w": 8280, "circuit": "hall0", "binds": "controllable"}, circuits=2)
    assert told(config) == []
    ((_, message),) = told(site(4, {"failsafe_w": 8000, "circuit": "hall0", "binds": "controllable"}, circuits=2))
    assert "below hall0 may draw 8.28 kW" in message


def test_a_charger_that_draws_more_than_told_counts_with_that() -> None:
    config = site(4, {"failsafe_w": 16_560, "binds": "controllable"})
    ((_, message),) = told(config, generic=0.1)
    assert "may draw 18.2 kW" in message


def test_a_commanded_battery_is_left_to_its_own_control() -> None:
    ((_, message),) = told(site(4, {"failsafe_w": 16_560, "binds": "controllable"}, battery=BATTERY))
    assert "the battery, left to its own control (10 kW) below grid may draw 26.6 kW" in message
    assert "Have the battery's own control charge from the sun only, or tell" in message
    planned = {key: value for key, value in BATTERY.items() if key != "command"}
    assert told(site(4, {"failsafe_w": 16_560, "binds": "controllable"}, battery=planned)) == []  # nobody commands it: no part of the sum
    ((_, message),) = told(site(4, {"failsafe_w": 12_420, "binds": "controllable"}, battery=BATTERY))
    assert "sun only and lower fallback_a of chargers there by 4.14 kW" in message


def test_the_lowest_contact_of_a_control_box() -> None:
    contacts = [
        {"name": "W4", "pin": {"type": "file", "path": "/pin"}, "consumption_w": "section_14a"},
        {"name": "W3", "pin": {"type": "file", "path": "/pin3"}, "production_w": 0},
    ]
    ((path, message),) = told(site(4, {"type": "contacts", "contacts": contacts, "binds": "controllable"}))
    assert path == "signals.0.contacts"
    assert "the limit of contact W4 of 13 kW" in message


@pytest.mark.parametrize(("life_s", "found"), [(120, False), (121, True), (600, True)])
def test_setpoints_that_outlive_the_time_to_the_failsafe(life_s: float, found: bool) -> None:
    config = site(4, {"failsafe_w": 30_360}, control={"setpoint_life_s": life_s})
    assert [path for path, _ in told(config)] == (["signals.0.heartbeat_s"] if found else [])
    assert not found or f"for up to {life_s} s. Set control.setpoint_life_s to 120 or less" in told(config)[0][1]
    assert told(site(4, {"failsafe_w": 30_360, "heartbeat_s": 0}, control={"setpoint_life_s": life_s})) == []


def test_feed_in() -> None:
    ((path, message),) = told(site(1, {"failsafe_production_w": 5000}, inverters=ROOF))
    assert path == "signals.0.failsafe_production_w"
    assert "inverters (20 kW) may feed in up to 20 kW, more than the failsafe of 5 kW" in message
    giving = BATTERY | {"command": {**BATTERY["command"], "grid_discharging": True}}
    ((_, message),) = told(site(1, {"failsafe_production_w": 25_000}, inverters=ROOF, battery=giving))
    assert "up to 30 kW" in message
    assert told(site(1, {"failsafe_production_w": 25_000}, inverters=ROOF, battery=BATTERY)) == []
    ((path, _),) = told(site(1, inverters=ROOF, grid={"max_export_w": 5000}))
    assert path == "grid.max_export_w"


def test_the_contract() -> None:
    ((path, message),) = told(site(4, grid={"max_import_w": 25_000}))
    assert path == "grid.max_import_w"
    assert "may draw 30.4 kW, more than the contract of 25 kW" in message
    assert told(site(4, grid={"max_import_w": 30_360})) == []


def test_a_lost_broker() -> None:
    ((path, message),) = told(site(4, limits={"failsafe_a": 40}))
    assert path == "limits.failsafe_a"
    assert "24 A in sum on L1, with other load 44 A: more than this failsafe of 40 A. Lower fallback_a by 4 A" in message
    assert told(site(4, limits={"failsafe_a": 44})) == []


def test_the_check_says_it_and_refuses_nothing() -> None:
    found = warnings_about(Site(load_config(config_dir() / "site.energy.yaml")))
    assert [one.path for one in found if "without Yardmaster" in one.message] == [
        "signals.0.failsafe_w",
        "signals.0.failsafe_production_w",
        "grid.max_export_w",
    ]
