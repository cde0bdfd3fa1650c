"""Charger model files: the shipped ones load, a bad one names file, field and remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller.io.chargers import ChargerFileError, load_charger, load_chargers
from controller.paths import config_dir
from controller.site.stations.charger import GENERIC, model_named
from controller.site.stations.strategies import floor_strategies, setpoint_strategies


def test_every_shipped_file_loads_and_generic_is_what_the_code_assumes() -> None:
    models = load_chargers(config_dir() / "chargers")
    assert {"generic", "tenth_ampere", "slow_no_composite"} <= set(models)
    generic = models["generic"]
    assert replace(generic, description="") == replace(GENERIC, description="")


def test_every_shipped_model_can_be_commanded() -> None:
    for name, model in load_chargers(config_dir() / "chargers").items():
        assert model.description.endswith("."), name
        for version in ("1.6", "2.0.1", "2.1"):
            for alone in (True, False):
                ways = setpoint_strategies(model, version, None, 120.0, alone)
                assert len(set(ways)) == len(ways) >= 1, name
                floors = floor_strategies(model, None)
                assert all(way.stack_level > floors[0].stack_level for way in ways), name


def test_without_files_there_is_still_the_generic_model(tmp_path: Path) -> None:
    assert load_chargers(tmp_path) == {"generic": GENERIC}
    assert model_named({}, "whatever") is GENERIC


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apply_s: soon", "apply_s"),
        ("aply_s: 5", "aply_s"),
        ("step_a: 0", "step_a"),
        ("- 1", "must be a YAML mapping"),
        ("a: [", "cannot be read"),
        ("purposes: [TxProfil]", "purposes.0"),
        ("unit: kW", "unit"),
        ("purposes: [TxProfile, TxProfile]", "name each purpose once"),
        ("{relative: true, purposes: [ChargingStationMaxProfile]}", "K01.FR.38"),
        ("{relative: true, csms_profiles: overlay}", "K01.FR.38"),
        ("writes_per_day: -1", "writes_per_day"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "box.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ChargerFileError, match=said) as caught:
        load_charger(path)
    assert "box.yaml" in str(caught.value)


def test_a_file_that_is_not_text_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "box.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ChargerFileError, match=r"box\.yaml: cannot be read"):
        load_charger(path)
