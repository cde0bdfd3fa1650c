"""Sampled values of any version become one measurement; what cannot be true is left out."""

import math

import pytest

from controller.facts import EvseKey, EvseMeasured, Stamp
from controller.ocpp.samples import Samples, number

AT, EVSE = Stamp(1.0, 2.0), EvseKey("CP1", 1)


def fact(*samples: tuple[object, float, str | None, str | None]) -> EvseMeasured:
    reader = Samples()
    for sample in samples:
        reader.add(*sample)
    assert reader.seen
    return reader.fact(AT, EVSE)


def unseen(*sample: object) -> bool:
    reader = Samples()
    reader.add(*sample)  # type: ignore[arg-type]
    return not reader.seen and reader.fact(AT, EVSE) == EvseMeasured(AT, EVSE)


def test_phases_and_the_safe_reading_of_a_current_without_one() -> None:
    assert fact(("Current.Import", 10.0, "A", "L1"), ("Current.Import", 12.0, "A", "L3-N")).phase_current_a == (10.0, None, 12.0)
    assert fact(("Current.Import", 16.0, "A", None)).phase_current_a == (16.0, 16.0, 16.0)
    both = fact(("Current.Import", 30.0, "A", None), ("Current.Import", 10.0, "A", "L2"))
    assert both.phase_current_a == (None, 10.0, None)


def test_power_of_phases_adds_up_unless_the_sum_is_told() -> None:
    parts = [("Power.Active.Import", 1.5, "kW", phase) for phase in ("L1", "L2", "L3")]
    assert fact(*parts).power_w == 4500.0
    assert fact(*parts, ("Power.Active.Import", 4600.0, "W", None)).power_w == 4600.0


def test_a_silent_other_direction_says_nothing() -> None:
    assert fact(("Current.Import", 16.0, "A", "L1"), ("Current.Export", 0.0, "A", "L1")).phase_current_a[0] == 16.0
    assert fact(("Current.Import", 0.0, "A", "L1"), ("Current.Export", 5.0, "A", "L1")).phase_current_a[0] == -5.0


def test_what_was_given_back_has_a_register_of_its_own() -> None:
    both = fact(("Energy.Active.Import.Register", 12.0, "kWh", None), ("Energy.Active.Export.Register", 3.5, "kWh", None))
    assert (both.energy_wh, both.given_wh) == (12_000.0, 3_500.0)
    assert fact(("Energy.Active.Export.Register", -1.0, "Wh", None), ("SoC", 50.0, "Percent", None)).given_wh is None


def test_energy_state_of_charge_and_voltage() -> None:
    told = fact(("Energy.Active.Import.Register", 12.5, "kWh", None), ("SoC", 81.0, "Percent", None), ("Voltage", 229.0, "V", "L1-N"))
    assert (told.energy_wh, told.soc_percent, told.voltage_v) == (12_500.0, 81.0, 229.0)


@pytest.mark.parametrize(
    "sample",
    [
        ("Current.Import", 1e40, "A", None),
        ("Current.Import", -20_000.0, "A", "L1"),
        ("Current.Import", 16.0, "A", "N"),
        ("Current.Import", 16.0, "A", 5),
        ("Power.Active.Import", 1e30, "W", None),
        ("Power.Active.Import", 11.0, "W", "L1-L2"),
        ("Energy.Active.Import.Register", 1e30, "Wh", None),
        ("Energy.Active.Import.Register", 5.0, "Wh", "L1"),
        ("SoC", 101.0, "Percent", None),
        ("SoC", -1.0, "Percent", None),
        ("Voltage", 400.0, "V", "L1-L2"),
        ("Voltage", 1e9, "V", None),
        ("Current.Offered", 16.0, "A", None),
        (["Current.Import"], 16.0, "A", None),
        (None, 16.0, None, None),
    ],
)
def test_what_is_not_true_or_not_meant_is_left_out(sample: tuple[object, ...]) -> None:  # B19
    assert unseen(*sample)


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 3.0), ("4.5", 4.5), (" 7 ", 7.0), ("", None), (True, None), (None, None), ("nan", None), (math.inf, None)]
)
def test_numbers(value: object, expected: float | None) -> None:
    assert number(value) == expected


def test_a_huge_integer_is_no_number() -> None:  # B12
    assert number(10**400) is None
