"""Tasmota: energy modules of one and three phases, smart meter heads. Expected values are converted by hand from the documents."""

from __future__ import annotations

from typing import Any

import pytest

from meters.json_fields import JsonError
from meters.tasmota import tasmota

ONE = {"TotalStartTime": "2022-05-12T10:56:31", "Total": 3.185, "Yesterday": 3.058, "Today": 0.127, "Period": 0, "Power": 1150,
       "ApparentPower": 1200, "ReactivePower": 340, "Factor": 0.96, "Frequency": 50, "Voltage": 230, "Current": 5.2}  # fmt: skip
THREE = {"Total": 100.5, "ExportActive": 20.25, "Power": [100, -200, 300], "Voltage": [230, 231, 229], "Current": [0.5, 1.0, 1.4],
         "Frequency": [50, 50, 50]}  # fmt: skip


def test_an_energy_module_of_one_phase_in_every_envelope() -> None:
    expected = {"p": 1150.0, "p_l1": 1150.0, "u_l1": 230.0, "i_l1": 5.2, "f": 50.0, "e_imp": 3185.0}
    for document in ({"Time": "x", "ENERGY": ONE}, {"StatusSNS": {"Time": "x", "ENERGY": ONE}}, {"StatusSNS": {"ENERGY": ONE, "ANALOG": {"A0": 3}}}):
        assert tasmota(document) == pytest.approx(expected)


def test_an_energy_module_of_three_phases() -> None:
    found = tasmota({"StatusSNS": {"ENERGY": THREE}})
    assert found == pytest.approx(
        {"p_l1": 100, "p_l2": -200, "p_l3": 300, "u_l1": 230, "u_l2": 231, "u_l3": 229, "i_l1": 0.5, "i_l2": 1.0, "i_l3": 1.4}
        | {"f": 50, "e_imp": 100_500, "e_exp": 20_250}
    )


def test_one_voltage_for_three_phases_and_a_register_per_phase() -> None:
    found = tasmota({"ENERGY": {"Total": [1.0, 2.0, 3.5], "Power": [1, 2, 3], "Voltage": 230, "Current": [0, 0, 0]}})
    assert (found["u_l3"], found["e_imp"]) == (230.0, 6500.0)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"Total_in": 1234.5, "Total_out": 10.25, "Power_curr": -321}, {"p": -321, "e_imp": 1_234_500, "e_exp": 10_250}),
        ({"E_in": 1.0, "E_out": 0.0, "Power": 42, "Meter_Number": "0a0149"}, {"p": 42, "e_imp": 1000, "e_exp": 0}),
        (
            {"Total_in": 1.0, "Power_curr": 600, "power_l1": 100, "power_l2": 200, "power_l3": 300, "current_l1": 1, "voltage_l1": 230.5},
            {"p": 600, "e_imp": 1000, "p_l1": 100, "p_l2": 200, "p_l3": 300, "i_l1": 1, "u_l1": 230.5},
        ),
        ({"Power_p1": 10, "Power_p2": 20, "Power_p3": 30, "Volt_p1": 230, "Amperage_p3": 2, "E_in": 5}, None),
    ],
)
def test_heads_on_smart_meters(section: dict[str, Any], expected: dict[str, float] | None) -> None:
    found = tasmota({"StatusSNS": {"Time": "2026-11-20T10:00:00", "SML": section}})
    if expected is None:
        expected = {"p_l1": 10, "p_l2": 20, "p_l3": 30, "u_l1": 230, "i_l3": 2, "e_imp": 5000}
    assert found == pytest.approx(expected)


def test_the_owner_may_name_the_section_as_he_likes() -> None:
    assert tasmota({"Time": "x", "MT175": {"Power_curr": 5, "Total_in": 1}, "DS18B20": {"Temperature": 20.1}, "TempUnit": "C"})["p"] == 5
    assert tasmota({"Time": "x", "": {"Power_curr": 5, "Total_in": 1}})["p"] == 5


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"Time": "x", "DS18B20": {"Temperature": 20}}, "neither ENERGY"),
        ({"SML": {"Power": 1}, "Gas": {"Power": 2}}, "several sections"),
        ({"SML": {"Total_in": 5.0}}, "PIN"),
        ({"SML": {"Total_in": 0, "Total_out": 0, "Power_curr": 0}}, "not heard"),
        ({"ENERGY": {"Voltage": 230}}, "no Power"),
        ({"ENERGY": {"Power": "nan"}}, "no number"),
        ({"ENERGY": {"Power": [1, 2, 3, 4]}}, "4 values"),
        ({"StatusSNS": 3}, "no JSON object"),
        ([1], "JSON object"),
    ],
)
def test_what_is_no_reading_is_refused(document: Any, why: str) -> None:
    with pytest.raises(JsonError, match=why):
        tasmota(document)


def test_a_logarex_with_its_usual_script() -> None:
    """A public sample of a LK13BE: its counters are called power, and are kWh."""
    head = {"Power_total_in": 1914.7, "Power_total_out": 0.6, "Power_curr": 509, "Power_L1_curr": 69, "Power_L2_curr": 77, "Power_L3_curr": 362,
            "Volt_L1_curr": 226.5, "Volt_L2_curr": 226.3, "Volt_L3_curr": 225.6, "Amperage_L1_curr": 0.6, "Amperage_L2_curr": 0.77,
            "Amperage_L3_curr": 2.06, "HZ": 50, "phase_angle_p1": 304.1, "phase_angle_l2_l1": 239.8}  # fmt: skip
    assert tasmota({"StatusSNS": {"Time": "2022-12-19T08:56:05", "LK13BE": head}}) == pytest.approx(
        {"p": 509, "e_imp": 1_914_700, "e_exp": 600, "f": 50, "p_l1": 69, "p_l2": 77, "p_l3": 362}
        | {"u_l1": 226.5, "u_l2": 226.3, "u_l3": 225.6, "i_l1": 0.6, "i_l2": 0.77, "i_l3": 2.06}
    )


def test_phases_a_meter_keeps_to_itself_are_not_zero() -> None:
    """A public sample of a DTZ541 before its PIN was entered: 0 V and 0 Hz are nobody's measurement."""
    head = {"E_in": 5211.131, "E_out": 17.899, "Power": 800, "volt_p1": 0.0, "volt_p2": 0.0, "volt_p3": 0.0, "amp_p1": 0.0, "amp_p2": 0.0,
            "amp_p3": 0.0, "phase_angle_p1": 0.0, "freq": 0}  # fmt: skip
    assert tasmota({"StatusSNS": {"DTZ": head}}) == pytest.approx({"p": 800, "e_imp": 5_211_131, "e_exp": 17_899})
    balanced = tasmota({"DTZ": {**head, "Power": 0, "volt_p1": 230.0, "volt_p2": 231.0, "volt_p3": 229.0, "freq": 50}})
    assert (balanced["i_l1"], balanced["u_l2"]) == (0.0, 231.0)
