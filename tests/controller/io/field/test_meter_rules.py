"""What each meter is expected to tell, from the configuration."""

from pathlib import Path
from typing import Any

import pytest

from controller.config import Config
from controller.io.field.meter_rules import expectation
from meters.template import load_template

MAPS = Path(__file__).resolve().parents[4] / "config" / "meters"


def site(role: str, phases: int = 3) -> Config:
    source = {"type": "modbus", "host": "127.0.0.1", "map": "abb_b23"}
    config: dict[str, Any] = {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10, "phases": phases, "voltage_v": 231},
        "circuits": [{"id": "hall", "fuse_a": 32, "meter": "m1"}],
        "meters": [{"id": "m0", "role": role, "source": source}, {"id": "m1", "role": "circuit", "source": source}],
    }
    return Config.model_validate(config)


@pytest.mark.parametrize(("role", "phases", "expected"), [("grid", 3, (0, 1, 2)), ("grid", 1, (0,)), ("pv", 3, ()), ("battery", 3, ())])
def test_only_meters_that_guard_a_fuse_must_show_currents(role: str, phases: int, expected: tuple[int, ...]) -> None:
    config = site(role, phases)
    assert expectation(config, config.meters[0]).current_phases == expected


def test_each_meter_is_measured_by_its_own_fuse() -> None:
    config = site("grid")
    assert [expectation(config, meter).fuse_a for meter in config.meters] == [63, 32]
    assert expectation(config, config.meters[0]).voltage_v == 231


@pytest.mark.parametrize(("name", "expected"), [("eastron_sdm72dm_v1", ()), ("victron_gx", ()), ("abb_b23", (0, 1, 2))])
def test_a_map_without_currents_cannot_be_asked_for_them(name: str, expected: tuple[int, ...]) -> None:
    config = site("grid")
    assert expectation(config, config.meters[0], load_template(MAPS / f"{name}.yaml")).current_phases == expected
