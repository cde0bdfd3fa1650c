"""Commands of register maps: what is written and what is read back. Expected words are worked out by hand from the map's own description."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controller.paths import config_dir
from meters.controls import Controls, ControlsError, close, command, in_force, release, spans
from meters.template import load_template

SETPOINT = {"address": 10, "type": "s16"}


def test_kostal_charges_with_a_negative_float_low_word_first() -> None:
    """-2000.0 is 0xC4FA0000 in IEEE 754; the map's word order is little: the low word comes first."""
    template = load_template(config_dir() / "meters" / "kostal_plenticore_battery.yaml")
    assert template.controls is not None
    writes = command(template.controls, template.word_order, 2_000.0, 10_000.0, 60.0)
    assert [(write.address, write.words, write.function) for write in writes] == [(1034, (0x0000, 0xC4FA), 16)]
    shown = in_force(template.controls, template.word_order, {1034: 0x0000, 1035: 0xC4FA}, 10_000.0)
    assert shown.command_w == 2_000.0
    assert shown.on is None
    assert release(template.controls, template.word_order) == ()


def test_the_generic_map_has_its_switch_behind_the_setpoint() -> None:
    template = load_template(config_dir() / "meters" / "generic_battery.yaml")
    assert template.controls is not None
    writes = command(template.controls, "big", -3_000.0, 10_000.0, 45.2)
    assert [(write.address, write.words) for write in writes] == [(102, (46,)), (100, (0xFFFF, 0xF448)), (103, (1,))]
    assert spans(template.controls) == ((100, 2), (103, 1))
    assert in_force(template.controls, "big", {100: 0xFFFF, 101: 0xF448, 103: 0}, 1.0).on is False


def test_percent_is_cut_towards_zero() -> None:
    controls = Controls.model_validate(
        {"kind": "inverter", "setpoint": {"address": 1, "type": "u16", "scale": 0.1}, "percent": True, "ends_itself_s": 9}
    )
    (write,) = command(controls, "big", 3_333.0, 10_000.0, 60.0)
    assert write.words == (333,)
    shown = in_force(controls, "big", {1: 333}, 10_000.0)
    assert shown.command_w == pytest.approx(3_330.0)
    assert close(controls, 3_333.0, 3_330.0, 10_000.0)
    assert not close(controls, 3_333.0, 3_000.0, 10_000.0)


def test_what_does_not_fit_is_refused() -> None:
    controls = Controls.model_validate({"kind": "battery", "setpoint": SETPOINT, "ends_itself_s": 9})
    with pytest.raises(ControlsError, match="does not fit"):
        command(controls, "big", 40_000.0, 50_000.0, 60.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"setpoint": SETPOINT}, "becomes free again"),
        ({"setpoint": {**SETPOINT, "scale": 0}, "ends_itself_s": 9}, "scale 0"),
        ({"setpoint": {"address": 1, "type": "f32", "function": 6}, "ends_itself_s": 9}, "function 6 writes one register"),
        ({"setpoint": SETPOINT, "ends_itself_s": 9, "sting": 1}, "sting"),
    ],
)
def test_maps_that_cannot_be_right(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Controls.model_validate({"kind": "battery", **wrong})


@given(
    watts=st.integers(-30_000, 30_000),
    kind=st.sampled_from(["s16", "s32", "f32"]),
    sign=st.sampled_from(["import", "export"]),
    word=st.sampled_from(["big", "little"]),
)
def test_what_is_written_reads_back(watts: int, kind: str, sign: str, word: str) -> None:
    controls = Controls.model_validate({"kind": "battery", "sign": sign, "setpoint": {"address": 10, "type": kind}, "ends_itself_s": 9})
    (write,) = command(controls, word, float(watts), 30_000.0, 60.0)
    shown = in_force(controls, word, dict(enumerate(write.words, write.address)), 30_000.0)
    assert shown.command_w == float(watts)
