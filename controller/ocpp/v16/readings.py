"""Meter values between 1.6 and the hub, both ways (OCPP-NOTES 12.10).

1.6 writes values as text and a signed record as a value of its own; the hub has numbers, and the record beside the number it proves. A
signed record passes letter for letter (calibration law). What cannot be read as a number ("14.4kW") and measurands that only one
version has are left out; so is a reading of which nothing is left.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

from controller.ocpp.hub import Payload
from controller.ocpp.times import timestamp, wall_time

ENERGY: Final = "Energy.Active.Import.Register"
MEASURANDS: Final = (
    *(f"Energy.{kind}.{way}.{form}" for kind in ("Active", "Reactive") for way in ("Import", "Export") for form in ("Register", "Interval")),
    *("Power.Active.Export", "Power.Active.Import", "Power.Offered", "Power.Reactive.Export", "Power.Reactive.Import", "Power.Factor"),
    *("Current.Import", "Current.Export", "Current.Offered", "Voltage", "Frequency", "SoC"),
)
"""What both versions can measure. Only 1.6: Temperature, RPM."""
CONTEXTS: Final = (
    *("Interruption.Begin", "Interruption.End", "Other", "Sample.Clock", "Sample.Periodic"),
    *("Transaction.Begin", "Transaction.End", "Trigger"),
)
LOCATIONS: Final = ("Body", "Cable", "EV", "Inlet", "Outlet")
"""Of both; the hub's Upstream is the grid meter, which 1.6 cannot name: such a sample is left out."""
PHASES: Final = ("L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1")
MAX_BLOB_CHARS: Final = 32768

_UNIT_UP: Final = {"Celcius": "Celsius", "Hertz": "Hz", "%": "Percent"}
_UNIT_DOWN: Final = {"Hz": "Hertz"}
_UNITS_16: Final = (
    *("Wh", "kWh", "varh", "kvarh", "W", "kW", "VA", "kVA", "var", "kvar"),
    *("A", "V", "K", "Celsius", "Fahrenheit", "Percent", "Hertz"),
)
_KILO: Final = {"Wh": "kWh", "varh": "kvarh", "W": "kW", "VA": "kVA", "var": "kvar"}
_NATURAL: Final = {"Current": "A", "Voltage": "V", "SoC": "Percent", "Frequency": "Hz"}
"""Units many stations leave out. A missing unit of energy is Wh in both versions; of power nobody can tell."""
_DECIMAL: Final = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\s*", re.ASCII)
_MAX_SHIFT: Final = 12


# -- up ------------------------------------------------------------------------------------------------------------------


def up(meter_value: Any, register_wh: float | None = None, begin_wh: float | None = None) -> list[Payload]:
    """meterValue of the hub from that of 1.6. register_wh: the last known register, stands beside a signed record without a number of its own;
    begin_wh: the same for a record of the transaction's begin. Entries whose time cannot be read are left out. Never raises."""
    known = _Known(register_wh, register_wh if begin_wh is None else begin_wh)
    return [made for entry in objects(meter_value) if (made := _entry_up(entry, known)) is not None]


class _Known(NamedTuple):
    """Registers [Wh] known from elsewhere, now and at the begin."""

    register_wh: float | None
    begin_wh: float | None


def _entry_up(entry: Payload, known: _Known) -> Payload | None:
    wall_s = wall_time(entry.get("timestamp"))
    samples = _samples_up(list(objects(entry.get("sampledValue"))), known)
    return {"timestamp": timestamp(wall_s), "sampledValue": samples} if wall_s is not None and samples else None


def _samples_up(samples: list[Payload], known: _Known) -> list[Payload]:
    """A signed record joins the number of the same thing, the rest stay apart."""
    made: list[Payload] = [found for sample in samples if not _signed(sample) and (found := _raw_up(sample)) is not None]
    raw = list(made)
    for sample in samples:
        if _signed(sample):
            _add_signed(made, raw, sample, known)
    return made


def _signed(sample: Payload) -> bool:
    return sample.get("format") == "SignedData"


def _raw_up(sample: Payload) -> Payload | None:
    value, frame = number(sample.get("value")), _frame_up(sample)
    return None if value is None or frame is None else {"value": value, **frame}


def _frame_up(sample: Payload) -> Payload | None:
    """All but the value; None where the hub has no word for it."""
    measurand = sample.get("measurand", ENERGY)
    if measurand not in MEASURANDS or sample.get("phase") not in (None, *PHASES):
        return None  # without its phase it would count for all of them
    made: Payload = {"measurand": measurand}
    for name, known in (("context", CONTEXTS), ("phase", PHASES), ("location", LOCATIONS)):
        if sample.get(name) in known:
            made[name] = sample[name]
    unit = _unit_up(measurand, sample.get("unit"))
    return made if unit is None else made | {"unitOfMeasure": {"unit": unit}}


def _unit_up(measurand: str, unit: Any) -> str | None:
    if isinstance(unit, str) and 0 < len(unit) <= 20:
        return _UNIT_UP.get(unit, unit)
    if measurand.startswith("Energy."):
        return "varh" if "Reactive" in measurand else "Wh"
    return _NATURAL.get(measurand.split(".")[0])


def _add_signed(made: list[Payload], raw: list[Payload], sample: Payload, known: _Known) -> None:
    blob, frame = sample.get("value"), _frame_up(sample)
    if not isinstance(blob, str) or not blob or len(blob) > MAX_BLOB_CHARS or frame is None:
        return
    record = {"signedMeterData": blob, "signingMethod": "", "encodingMethod": _encoding(blob), "publicKey": ""}
    same = next((one for one in made if "signedMeterValue" not in one and _subject(one) == _subject(frame)), None)
    if same is not None:
        same["signedMeterValue"] = record
        return
    value = _nearest(raw, frame, blob, known)
    made.append({"value": value, **frame, "signedMeterValue": record})


def _subject(sample: Payload) -> tuple[Any, ...]:
    defaults = (("measurand", ENERGY), ("context", "Sample.Periodic"), ("phase", ""), ("location", "Outlet"))
    return tuple(sample.get(name, default) for name, default in defaults)


def _nearest(raw: list[Payload], frame: Payload, blob: str, known: _Known) -> float:
    """The number beside a signed record: a sample of the same moment, the record's own reading, the register known from elsewhere."""
    same = [one for one in raw if one["measurand"] == frame["measurand"]]
    near = next((one for one in same if one.get("context") == frame.get("context")), None)
    if near is not None:
        frame["unitOfMeasure"] = near.get("unitOfMeasure", {"unit": "Wh"})
        return float(near["value"])
    found = _ocmf_reading(blob)
    if found is not None:
        frame["unitOfMeasure"] = {"unit": found[1]}
        return found[0]
    register_wh = known.begin_wh if frame.get("context") == "Transaction.Begin" else known.register_wh
    frame["unitOfMeasure"] = {"unit": "Wh"}
    return 0.0 if register_wh is None else register_wh


def _encoding(blob: str) -> str:
    return "OCMF" if blob.startswith("OCMF|") else "Other"


def _ocmf_reading(blob: str) -> tuple[float, str] | None:
    """(value, unit) of the last reading an OCMF record holds; it is read, never changed."""
    try:
        readings = json.loads(blob.split("|", 2)[1])["RD"]
        value, unit = number(readings[-1]["RV"]), str(readings[-1].get("RU", "Wh"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return None if value is None or unit not in ("Wh", "kWh") else (value, unit)


def number(value: Any) -> float | None:
    """A number from its text or a JSON number; "14.4kW", "12,5", "0x1F", "" and infinities are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not (len(value) <= 64 and _DECIMAL.fullmatch(value)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


# -- down ----------------------------------------------------------------------------------------------------------------------


def down(meter_value: Any, *, in_stop: bool = False) -> list[Payload]:
    """meterValue of 1.6 from that of the hub. in_stop: for a StopTransaction, whose list of units lacks Hertz. Never raises."""
    return [made for entry in objects(meter_value) if (made := _entry_down(entry, in_stop)) is not None]


def _entry_down(entry: Payload, in_stop: bool) -> Payload | None:
    wall_s = wall_time(entry.get("timestamp"))
    samples = [made for sample in objects(entry.get("sampledValue")) for made in _sample_down(sample, in_stop)]
    return {"timestamp": timestamp(wall_s), "sampledValue": samples} if wall_s is not None and samples else None


def _sample_down(sample: Payload, in_stop: bool) -> Iterator[Payload]:
    measurand, value = sample.get("measurand", ENERGY), sample.get("value")
    if measurand not in MEASURANDS or number(value) is None or sample.get("location", "Outlet") not in LOCATIONS:
        return
    frame = {name: sample[name] for name in ("context", "phase", "location") if name in sample} | {"measurand": measurand}
    text, unit = _value_down(Decimal(str(value)), sample.get("unitOfMeasure"), measurand)
    if unit in _UNITS_16 and not (in_stop and unit == "Hertz"):
        frame["unit"] = unit
    yield {"value": text, **frame}
    signed = sample.get("signedMeterValue")
    if isinstance(signed, dict) and isinstance(signed.get("signedMeterData"), str):
        yield {"value": signed["signedMeterData"], "format": "SignedData", **frame}


def _value_down(value: Decimal, measure: Any, measurand: str) -> tuple[str, str]:
    """(text, unit): a multiplier of 3 becomes the unit's kilo, any other is worked into the value."""
    given = measure if isinstance(measure, dict) else {}
    unit = given.get("unit")
    unit = unit if isinstance(unit, str) else _unit_up(measurand, None) or ""
    shift = given.get("multiplier", 0)
    shift = shift if isinstance(shift, int) and not isinstance(shift, bool) and abs(shift) <= _MAX_SHIFT else 0
    if shift == 3 and unit in _KILO:
        unit, shift = _KILO[unit], 0
    return plain(value.scaleb(shift)), _UNIT_DOWN.get(unit, unit)


def plain(value: Decimal) -> str:
    """A number as text without an exponent, without zeros that say nothing."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def register_wh(meter_value: Any, context: str = "") -> float | None:
    """The last import register of hub readings [Wh], of a context if one is named; None if there is none.

    Where a station reads several places, what goes out of its outlet counts; the grid's meter (Upstream) is nobody's transaction.
    """
    found: dict[bool, float] = {}
    for entry in objects(meter_value):
        for sample in objects(entry.get("sampledValue")):
            place = sample.get("location", "Outlet")
            if sample.get("measurand", ENERGY) != ENERGY or "phase" in sample or (context and sample.get("context") != context):
                continue
            value = _watt_hours(sample) if place in LOCATIONS else None
            if value is not None:
                found[place == "Outlet"] = value
    return found.get(True, found.get(False))


def _watt_hours(sample: Payload) -> float | None:
    value, measure = number(sample.get("value")), sample.get("unitOfMeasure")
    if value is None:
        return None
    text, unit = _value_down(Decimal(str(value)), measure, ENERGY)
    scale = {"Wh": 1.0, "kWh": 1000.0}.get(unit)
    return None if scale is None else float(text) * scale


def objects(values: Any) -> Iterator[Payload]:
    """The objects in a list of a payload."""
    return (value for value in values if isinstance(value, dict)) if isinstance(values, list) else iter(())
