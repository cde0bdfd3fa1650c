"""What ``yardmaster check`` says about inverters, relays and a commanded battery."""

from __future__ import annotations

from typing import Any

import pytest

from controller.checking.device_rules import control_maps, device_cautions, device_problems, device_words
from controller.config import Config
from controller.paths import config_dir
from meters.template import load_all

SUNSPEC = {"type": "sunspec", "host": "127.0.0.1"}
TEMPLATES = load_all(config_dir() / "meters")
GRID = {"id": "grid", "role": "grid", "source": {"type": "modbus", "host": "h", "map": "generic"}}
COIL = {"type": "modbus", "host": "h", "address": 0, "table": "coil"}


def site(**parts: Any) -> Config:
    base = {"site": {"id": "s"}, "grid": {"fuse_a": 63, "worst_other_load_a": 30, "meter": "grid"}, "meters": [GRID]}
    return Config.model_validate({**base, **parts})


def battery(control: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"capacity_wh": 10_000, "max_charge_w": 5_000, "max_discharge_w": 5_000, "command": {"control": control, **more}}


def problems(config: Config) -> str:
    return "\n".join(problem.message for problem in device_problems(config, frozenset(TEMPLATES), TEMPLATES))


def cautions(config: Config) -> str:
    return "\n".join(problem.message for problem in device_cautions(config, TEMPLATES))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"inverters": [{"id": "battery", "max_power_w": 1, "control": SUNSPEC}]}, "already the name of the stationary battery"),
        (
            {"inverters": [{"id": "a", "max_power_w": 1, "control": SUNSPEC}], "relays": [{"id": "a", "closes": "limited", "pin": COIL}]},
            "already the name",
        ),
        ({"inverters": [{"id": "a", "max_power_w": 1, "meter": "pv", "control": SUNSPEC}]}, "there is no meter 'pv'"),
        ({"inverters": [{"id": "a", "max_power_w": 1, "meter": "grid", "control": SUNSPEC}]}, "must be: pv"),
        ({"relays": [{"id": "a", "closes": "limited", "circuit": "hall", "pin": COIL}]}, "no circuit 'hall'"),
        ({"battery": battery({"type": "mqtt", "command_topic": "t"})}, "no 'mqtt' block"),
        ({"battery": battery({"type": "modbus", "host": "h", "map": "nothing"})}, "no register map 'nothing'"),
        ({"battery": battery({"type": "modbus", "host": "h", "map": "generic"})}, "no controls for a device of the kind battery"),
        ({"battery": battery({"type": "modbus", "host": "h", "map": "kostal_plenticore_battery"}, life_s=120)}, "forgets them after 30 s"),
        (
            {
                "inverters": [
                    {"id": "a", "max_power_w": 1, "control": {"type": "relays", "stages": [{"percent": 100}, {"percent": 0, "closed": ["k"]}]}}
                ]
            },
            "no relay 'k'",
        ),
        (
            {
                "inverters": [
                    {"id": "a", "max_power_w": 1, "control": {"type": "relays", "stages": [{"percent": 100}, {"percent": 0, "closed": ["k"]}]}}
                ],
                "relays": [{"id": "k", "closes": "limited", "pin": COIL}],
            },
            "say closes: stage",
        ),
    ],
)
def test_what_cannot_work_is_named(parts: dict[str, Any], said: str) -> None:
    assert said in problems(site(**parts))


def test_maps_with_controls_are_good_and_counted_as_used() -> None:
    config = site(battery=battery({"type": "modbus", "host": "h", "map": "kostal_plenticore_battery"}, life_s=60))
    assert problems(config) == ""
    assert control_maps(config) == {"kostal_plenticore_battery"}


def test_cautions() -> None:
    blind = site(
        battery=battery({"type": "mqtt", "command_topic": "t"}, life_s=1800), mqtt={"host": "h"}, grid={"fuse_a": 63, "worst_other_load_a": 30}
    )
    said = cautions(blind)
    for words in ("no meter measures it", "does not tell its state back", "for 30 min if this machine stops", "the battery rests"):
        assert words in said


def test_plain_words() -> None:
    relays = [{"id": "k", "closes": "surplus", "surplus_w": 3000, "pin": COIL}]
    config = site(battery=battery(SUNSPEC), inverters=[{"id": "roof", "max_power_w": 20_000, "control": SUNSPEC}], relays=relays)
    said = "\n".join(device_words(config))
    assert "follows the plan" in said
    assert "Inverter roof (20 kW)" in said
    assert "Relay k: closed while more than 3 kW would be fed in" in said
