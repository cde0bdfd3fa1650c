"""Meter values between 1.6 and the hub (OCPP-NOTES 12.10). Expected values by hand; each result is judged by the schemas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.ocpp.v16 import readings
from tests.support.shapes import SHAPES

AT = "2026-11-21T12:00:00.000Z"
BLOB = 'OCMF|{"FV":"1.0","RD":[{"RV":1.5,"RU":"kWh"},{"RV":"2.25","RU":"kWh"}]}|{"SD":"3045"}'
Sample = dict[str, Any]


def up(*samples: Sample, **known: float) -> list[Sample]:
    """The samples of one entry in hub words."""
    made = readings.up([{"timestamp": AT, "sampledValue": list(samples)}], **known)
    if made:
        assert SHAPES.check("ocpp2.1", "MeterValues", False, {"evseId": 1, "meterValue": made}) == ""
    return made[0]["sampledValue"] if made else []


def down(*samples: Sample, in_stop: bool = False) -> list[Sample]:
    """The samples of one entry in 1.6."""
    made = readings.down([{"timestamp": AT, "sampledValue": list(samples)}], in_stop=in_stop)
    payload = {"transactionId": 1, "meterStop": 0, "timestamp": AT, "transactionData": made}
    action = "StopTransaction" if in_stop else "MeterValues"
    if made:
        assert SHAPES.check("ocpp1.6", action, False, payload if in_stop else {"connectorId": 1, "meterValue": made}) == ""
    return made[0]["sampledValue"] if made else []


# -- up -----------------------------------------------------------------------------------------------


def test_defaults_are_said() -> None:
    """16 7.43: no measurand is the import register in Wh."""
    assert up({"value": "1234.5"}) == [{"value": 1234.5, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}]


def test_everything_else_passes() -> None:
    sample = {"value": "16.1", "measurand": "Current.Import", "phase": "L1", "location": "Outlet", "context": "Sample.Clock", "unit": "A"}
    frame = {key: sample[key] for key in ("measurand", "phase", "location", "context")}
    assert up(sample) == [{"value": 16.1, **frame, "unitOfMeasure": {"unit": "A"}}]


@pytest.mark.parametrize("text", ["14.4kW", "12,5", "", "0x1F", "NaN", "inf", "1e999", "one"])
def test_text_that_is_no_number_is_left_out(text: str) -> None:
    assert up({"value": text}) == []


@pytest.mark.parametrize("measurand", ["Temperature", "RPM", "Voltage.Minimum", "Nonsense"])
def test_measurands_of_one_version_only_are_left_out(measurand: str) -> None:
    assert up({"value": "1", "measurand": measurand}, {"value": "2"})[0]["value"] == 2.0


@pytest.mark.parametrize(
    ("measurand", "unit", "said"),
    [
        ("SoC", "Percent", "Percent"),
        ("SoC", None, "Percent"),
        ("Current.Import", None, "A"),
        ("Voltage", None, "V"),
        ("Frequency", "Hertz", "Hz"),
        ("Energy.Reactive.Import.Register", None, "varh"),
        ("Energy.Active.Import.Register", "kWh", "kWh"),
        ("Power.Active.Import", "kW", "kW"),
        ("SoC", "Celcius", "Celsius"),  # trap 29: the old spelling is understood wherever it comes
    ],
)
def test_units(measurand: str, unit: str | None, said: str) -> None:
    sample = {"value": "1", "measurand": measurand, **({"unit": unit} if unit else {})}
    assert up(sample)[0]["unitOfMeasure"] == {"unit": said}


def test_a_power_without_unit_stays_without_one() -> None:
    assert "unitOfMeasure" not in up({"value": "11", "measurand": "Power.Active.Import"})[0]


def test_an_entry_without_a_time_is_left_out() -> None:
    assert readings.up([{"timestamp": "noon", "sampledValue": [{"value": "1"}]}, {"sampledValue": [{"value": "1"}]}, "x", None]) == []
    assert readings.up("nothing") == []


# -- signed records --------------------------------------------------------------------------------------


def test_a_signed_record_joins_its_number() -> None:
    signed = {"value": BLOB, "format": "SignedData", "context": "Transaction.End"}
    made = up({"value": "2250", "context": "Transaction.End"}, signed)
    assert len(made) == 1
    assert made[0]["value"] == 2250.0
    record = made[0]["signedMeterValue"]
    assert record == {"signedMeterData": BLOB, "encodingMethod": "OCMF", "signingMethod": "", "publicKey": ""}


def test_a_signed_record_alone_has_the_number_it_holds() -> None:
    """The last reading of the record: 2.25 kWh."""
    made = up({"value": BLOB, "format": "SignedData"})
    assert (made[0]["value"], made[0]["unitOfMeasure"]) == (2.25, {"unit": "kWh"})
    assert made[0]["signedMeterValue"]["signedMeterData"] == BLOB


def test_a_record_nobody_can_read_has_the_nearest_register() -> None:
    begin = {"value": "QUJD", "format": "SignedData", "context": "Transaction.Begin"}
    end = {"value": "REVG", "format": "SignedData", "context": "Transaction.End"}
    made = up(begin, end, register_wh=900.0, begin_wh=100.0)
    assert [sample["value"] for sample in made] == [100.0, 900.0]
    assert [sample["signedMeterValue"]["encodingMethod"] for sample in made] == ["Other", "Other"]


@given(st.text(min_size=1, max_size=400))
def test_a_signed_record_is_never_touched(blob: str) -> None:
    made = up({"value": "7"}, {"value": blob, "format": "SignedData"})
    assert made[0]["signedMeterValue"]["signedMeterData"] == blob
    assert [sample["value"] for sample in down(*made)] == ["7", blob]


# -- down ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "measure", "text", "unit"),
    [
        (1500, {"unit": "Wh"}, "1500", "Wh"),
        (1.5, {"unit": "Wh", "multiplier": 3}, "1.5", "kWh"),
        (1.5, {"unit": "kWh"}, "1.5", "kWh"),
        (15, {"unit": "Wh", "multiplier": -1}, "1.5", "Wh"),
        (2, {"unit": "Wh", "multiplier": 2}, "200", "Wh"),
        (1e-7, None, "0.0000001", "Wh"),
        (1e21, None, "1000000000000000000000", "Wh"),
        (-0.0, None, "0", "Wh"),
    ],
)
def test_numbers_become_text(value: float, measure: Any, text: str, unit: str) -> None:
    (made,) = down({"value": value, **({"unitOfMeasure": measure} if measure else {})})
    assert (made["value"], made["unit"]) == (text, unit)


def test_what_1_6_cannot_name_is_left_out() -> None:
    assert down({"value": 1, "measurand": "Energy.Active.Net"}, {"value": 2, "measurand": "Voltage.Minimum"}) == []
    assert down({"value": 1, "location": "Upstream"}) == []
    assert "unit" not in down({"value": 50, "measurand": "Frequency", "unitOfMeasure": {"unit": "Hz"}}, in_stop=True)[0]
    assert down({"value": 50, "measurand": "Frequency", "unitOfMeasure": {"unit": "Hz"}})[0]["unit"] == "Hertz"


NUMBERS = st.decimals(min_value=-(10**9), max_value=10**9, places=3, allow_nan=False)


@given(
    NUMBERS,
    st.sampled_from(readings.MEASURANDS),
    st.sampled_from((None, *readings.CONTEXTS)),
    st.sampled_from((None, *readings.PHASES)),
    st.sampled_from((None, *readings.LOCATIONS)),
)
def test_a_reading_comes_back(value: Any, measurand: str, context: str | None, phase: str | None, location: str | None) -> None:
    """1.6 -> hub -> 1.6 keeps the reading: value as a number, all the words."""
    given_words = {"measurand": measurand, "context": context, "phase": phase, "location": location}
    sample = {"value": str(value), **{key: word for key, word in given_words.items() if word is not None}}
    (back,) = down(*up(sample))
    assert float(back.pop("value")) == float(sample.pop("value"))
    back.pop("unit", None)
    assert back == sample


# -- registers -------------------------------------------------------------------------------------------


def test_the_last_register_in_watt_hours() -> None:
    made = readings.up(
        [{"timestamp": AT, "sampledValue": [{"value": "1.25", "unit": "kWh"}, {"value": "9", "phase": "L1"}, {"value": "5", "unit": "A"}]}]
    )
    assert readings.register_wh(made) == 1250.0
    assert readings.register_wh(made, "Transaction.End") is None
    assert readings.register_wh([]) is None


def test_a_sample_of_a_phase_nobody_knows_does_not_count_for_all_of_them() -> None:
    sample = {"value": "16", "measurand": "Current.Import", "phase": "R"}
    assert readings.up([{"timestamp": "2026-11-21T12:00:00Z", "sampledValue": [sample]}]) == []


def test_the_register_of_the_outlet_counts_and_the_grid_s_never() -> None:
    def register(*samples: tuple[float, str]) -> float | None:
        made = [{"value": value, **({"location": place} if place else {})} for value, place in samples]
        return readings.register_wh([{"sampledValue": made}])

    assert register((100, "Outlet"), (103, "Inlet")) == 100
    assert register((100, ""), (103, "Inlet")) == 100
    assert register((103, "Inlet")) == 103
    assert register((987654, "Upstream")) is None
