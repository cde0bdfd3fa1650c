"""What the site file makes of us as a DER."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.config import Config
from controller.config_signals import Ieee20305Signal
from controller.io.signals.ieee2030_5_site import ratings
from signals.csip_modes import Ratings

BATTERY = {"capacity_wh": 10_000, "max_charge_w": 4000, "max_discharge_w": 5000}
COMMANDED = {**BATTERY, "command": {"control": {"type": "sunspec", "host": "127.0.0.1"}}}
ROOF = {"id": "roof", "max_power_w": 20_000, "control": {"type": "sunspec", "host": "127.0.0.1"}}


@pytest.mark.parametrize(
    ("parts", "binds", "wanted"),
    [
        ({}, "circuit", Ratings(0.0)),
        ({"inverters": [ROOF, {**ROOF, "id": "barn", "max_power_w": 5000}]}, "circuit", Ratings(25_000.0)),
        ({"inverters": [ROOF], "battery": COMMANDED}, "circuit", Ratings(25_000.0, 4000.0, 5000.0)),
        ({"inverters": [ROOF], "battery": BATTERY}, "circuit", Ratings(20_000.0)),  # nobody can tell it anything
        ({}, "controllable", Ratings(0.0, controllable=True)),
    ],
)
def test_ratings(parts: dict[str, Any], binds: str, wanted: Ratings) -> None:
    station = {"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}
    site = {"site": {"id": "test"}, "grid": {"fuse_a": 63, "worst_other_load_a": 20}, "stations": [station]}
    files = {"cert_file": Path("a"), "key_file": Path("b"), "ca_file": Path("c")}
    entry = Ieee20305Signal.model_validate({"id": "u", "type": "ieee2030_5", "url": "https://u/dcap", "binds": binds, **files})
    assert ratings(Config.model_validate({**site, **parts}), entry) == wanted
