"""The minimum power of section 14a EnWG: values worked out by hand from the table of simultaneity factors."""

from __future__ import annotations

import pytest

from controller.config_signals import Section14aConfig
from controller.section_14a import devices_of, minimum_w, resolved_w
from tests.support.site_story import depot


@pytest.mark.parametrize(
    ("devices", "watts"),
    [
        (0, 4200.0),
        (1, 4200.0),
        (2, 7560.0),  # 4200 + 1 * 0.80 * 4200
        (3, 10_500.0),  # 4200 + 2 * 0.75 * 4200
        (4, 13_020.0),  # 4200 + 3 * 0.70 * 4200
        (5, 15_120.0),  # 4200 + 4 * 0.65 * 4200
        (6, 16_800.0),  # 4200 + 5 * 0.60 * 4200
        (7, 18_060.0),  # 4200 + 6 * 0.55 * 4200
        (8, 18_900.0),  # 4200 + 7 * 0.50 * 4200
        (9, 19_320.0),  # 4200 + 8 * 0.45 * 4200
        (20, 40_110.0),  # 4200 + 19 * 0.45 * 4200
    ],
)
def test_table(devices: int, watts: float) -> None:
    assert minimum_w(devices, Section14aConfig()) == pytest.approx(watts)


def test_a_large_heat_pump_brings_its_share() -> None:
    assert minimum_w(2, Section14aConfig(large_device_w=20_000.0)) == pytest.approx(8000.0 + 0.8 * 4200.0)
    assert minimum_w(2, Section14aConfig(large_device_w=5000.0)) == pytest.approx(7560.0)


def test_devices_are_every_evse_and_the_battery() -> None:
    battery = {"capacity_wh": 10_000, "max_charge_w": 5000, "max_discharge_w": 5000}
    assert devices_of(depot(3)) == 3
    assert devices_of(depot(3, battery=battery)) == 4
    assert devices_of(depot(3, section_14a={"devices": 7})) == 7
    assert resolved_w("section_14a", depot(2)) == pytest.approx(7560.0)
    assert resolved_w(5000.0, depot(2)) == 5000.0
    assert resolved_w(None, depot(2)) is None
