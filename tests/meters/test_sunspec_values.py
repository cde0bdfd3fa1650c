"""From registers to readings: every kind of model, directions, codes. Registers are encoded by pysunspec2 or were seen on real devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from meters.quality import Expectation
from meters.reading import Quality, Reading, ReadingError
from meters.sunspec import Reader, discover
from meters.sunspec_models import Found, Picture
from meters.sunspec_values import Role, Source, choose, quantities, reading, settled
from tests.support.sunspec_images import (
    FIMER_103,
    SMA_120,
    SMA_123,
    SMA_124,
    SMA_160,
    SMA_DAY_101,
    SMA_NIGHT_101,
    SMA_OLD_103,
    listed,
    model_words,
    played,
)

COMMON = model_words(1, {"Mn": "Maker"})
SITE = Expectation(63.0)
GRID = Expectation(63.0, current_phases=(0, 1, 2))
WORKING = {"A_SF": -2, "V_SF": -1, "W_SF": 0, "Hz_SF": -2}
VOLTS = {"PhVphA": 2301, "PhVphB": 2312, "PhVphC": 2299}


def picture_of(*models: Sequence[int | None], role: Role = "grid", ids: tuple[int, ...] = (), nth: int = 1) -> tuple[Picture, Source]:
    words = listed(*models)
    found = played(discover(), words)
    source = choose(found, role, ids, nth)
    return played(Reader(found, source.wanted).poll(), words), source


def read(
    *models: Sequence[int | None],
    role: Role = "grid",
    sign: Literal["import", "export"] | None = None,
    expected: Expectation = SITE,
    **more: Any,
) -> Reading:
    picture, source = picture_of(*models, role=role, **more)
    return reading("m", picture, source, sign, expected)


def meter(model_id: int, values: Mapping[str, float]) -> list[int]:
    return model_words(model_id, values)


# -- meters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model_id", [203])
def test_an_integer_meter(model_id: int) -> None:
    values = WORKING | VOLTS | {"AphA": 1240, "AphB": -310, "AphC": 20, "W": 2214, "WphA": 2850, "WphB": -690, "WphC": 54, "Hz": 4998}
    got = read(COMMON, meter(model_id, values | {"TotWh_SF": 1, "TotWhImp": 420_000, "TotWhExp": 7}), expected=GRID)
    assert got.quality is Quality.GOOD
    assert got.current_a == pytest.approx((12.40, -3.10, 0.20))
    assert got.voltage_v == pytest.approx((230.1, 231.2, 229.9))
    assert got.phase_power_w == (2850.0, -690.0, 54.0)
    assert (got.power_w, got.frequency_hz) == (2214.0, pytest.approx(49.98))
    assert (got.energy_import_wh, got.energy_export_wh) == (4_200_000.0, 70.0)


@pytest.mark.parametrize("model_id", [211, 212, 213, 214])
def test_float_meters(model_id: int) -> None:
    values = {"AphA": 4.5, "WphA": 1000.25, "W": 1000.25, "Hz": 50.0, "TotWhImp": 1e6, "TotWhExp": 5.0}
    got = read(COMMON, meter(model_id, values))
    assert got.quality is Quality.GOOD
    assert got.current_a == (pytest.approx(4.5), None, None)
    assert got.power_w == pytest.approx(1000.25)
    assert got.energy_import_wh == 1e6


@pytest.mark.parametrize("model_id", [201, 202, 204])
def test_the_other_integer_meters(model_id: int) -> None:
    got = read(COMMON, meter(model_id, WORKING | {"AphA": 450, "W": 1000, "WphA": 1000}))
    assert (got.current_a[0], got.power_w) == (pytest.approx(4.5), 1000.0)


def test_a_single_phase_meter_may_tell_totals_only() -> None:
    got = read(COMMON, meter(201, WORKING | {"A": 450, "W": 1000}), expected=Expectation(63.0, current_phases=(0,)))
    assert got.quality is Quality.GOOD
    assert (got.current_a, got.phase_power_w) == ((4.5, None, None), (1000.0, None, None))


def test_a_delta_meter_has_no_phase_voltages() -> None:
    got = read(COMMON, meter(204, WORKING | {"AphA": 450, "W": 1000, "PhVphA": 4000, "PhVphB": 4000, "PhVphC": 4000}))
    assert got.quality is Quality.GOOD
    assert got.voltage_v == (None, None, None)


def test_solaredge_counts_export_as_positive() -> None:
    """Power is negated, energies keep their names, and the unsigned currents follow the power of their phase."""
    values = WORKING | {"AphA": 1000, "AphB": 500, "AphC": 100, "W": 1380, "WphA": 2300, "WphB": -1150, "WphC": 230}
    got = read(COMMON, meter(203, values | {"TotWh_SF": 0, "TotWhImp": 3, "TotWhExp": 4}), sign="export")
    assert got.power_w == -1380.0
    assert got.phase_power_w == (-2300.0, 1150.0, -230.0)
    assert got.current_a == (-10.0, 5.0, -1.0)
    assert (got.energy_import_wh, got.energy_export_wh) == (3.0, 4.0)


def test_currents_without_phase_powers() -> None:
    signed = read(COMMON, meter(203, WORKING | {"AphA": -1000, "AphB": 500, "AphC": 100, "W": -900}))
    assert signed.current_a == (-10.0, 5.0, 1.0)
    blind = read(COMMON, meter(203, WORKING | {"AphA": 1000, "AphB": 500, "AphC": 100, "W": -3600}))
    assert blind.quality is Quality.SUSPECT
    assert "direction" in blind.reason


def test_a_missing_phase_is_bad_where_it_is_needed() -> None:
    got = read(COMMON, meter(203, WORKING | {"AphA": 450, "AphB": 450, "W": 1000}), expected=GRID)
    assert got.quality is Quality.BAD
    assert "L3" in got.reason


# -- inverters --------------------------------------------------------------------------------


@pytest.mark.parametrize(("model_id", "factor"), [(101, 100), (102, 100), (103, 100), (111, 1), (112, 1), (113, 1)])
def test_inverters_read_negative_while_producing(model_id: int, factor: int) -> None:
    scales = {"A_SF": -2, "V_SF": -1, "W_SF": 0, "Hz_SF": -2, "WH_SF": 0} if factor > 1 else {}
    got = read(COMMON, model_words(model_id, scales | {"AphA": 10 * factor, "W": 2300, "Hz": 50 * factor, "WH": 123, "St": 4}), role="pv")
    assert got.quality is Quality.GOOD
    assert (got.power_w, got.current_a[0], got.energy_export_wh) == (-2300.0, -10.0, 123.0)


def test_model_701() -> None:
    values = {"W_SF": 0, "A_SF": -1, "V_SF": -1, "Hz_SF": -2, "TotWh_SF": 0, "W": 6000, "Hz": 5001, "InvSt": 3, "TotWhInj": 9, "TotWhAbs": 2}
    phases = {f"WL{n}": 2000 for n in (1, 2, 3)} | {f"AL{n}": 87 for n in (1, 2, 3)} | {f"VL{n}": 2300 for n in (1, 2, 3)}
    got = read(COMMON, model_words(701, values | phases), role="pv")
    assert got.quality is Quality.GOOD
    assert (got.power_w, got.phase_power_w) == (-6000.0, (-2000.0, -2000.0, -2000.0))
    assert got.current_a == pytest.approx((-8.7, -8.7, -8.7))
    assert (got.energy_export_wh, got.energy_import_wh) == (9.0, 2.0)


def test_a_real_inverter_by_day() -> None:
    got = read(COMMON, SMA_DAY_101, SMA_120, SMA_123, SMA_124, SMA_160, role="pv")
    assert got.quality is Quality.GOOD
    assert (got.power_w, got.current_a, got.voltage_v) == (-1080.0, (-4.5, None, None), (pytest.approx(239.2), None, None))
    assert got.frequency_hz == pytest.approx(49.98)


def test_a_real_inverter_at_night_is_good_and_tells_nothing() -> None:
    got = read(COMMON, SMA_NIGHT_101, SMA_123, SMA_124, SMA_160, role="pv")
    assert got.quality is Quality.GOOD
    assert got.power_w is None
    assert "sleeps" in got.reason
    # 002C FB4A is 2947914, scale 1
    assert got.energy_export_wh == 29_479_140.0


def test_an_inverter_that_runs_and_tells_nothing_is_bad() -> None:
    awake = [*SMA_NIGHT_101]
    awake[38] = 4  # St: MPPT
    awake[24] = awake[25] = 0
    assert read(COMMON, awake, role="pv").quality is Quality.BAD


def test_absent_phases_in_the_wrong_code_are_absent() -> None:
    """0x8000 with scale -1 would be 3276.8 A (S1)."""
    got = read(COMMON, SMA_OLD_103, role="pv")
    assert got.current_a == (-16.0, None, None)
    assert got.power_w == -3680.0
    assert got.quality is Quality.GOOD


def test_a_large_inverter_behind_its_own_transformer() -> None:
    got = read(COMMON, FIMER_103, role="pv", expected=Expectation(250.0))
    assert got.quality is Quality.GOOD
    assert got.current_a == pytest.approx((-106.7, -106.6, -106.8))
    assert (got.power_w, got.voltage_v) == (-141_380.0, (None, None, None))


# -- hybrids and batteries --------------------------------------------------------------------

MODULES = [{"ID": 1, "DCW": 3000}, {"ID": 2, "DCW": 2000}, {"ID": 3, "DCW": 1500}, {"ID": 4, "DCW": 0}]
STORAGE = {"WChaMax": 5000, "WChaMax_SF": 0, "ChaState": 5525, "ChaState_SF": -2, "StorCtl_Mod": 0}


def hybrid(modules: Sequence[Mapping[str, Any]] = MODULES) -> tuple[list[int], ...]:
    inverter = model_words(103, WORKING | {"W": 3500, "St": 4, "AphA": 507, "AphB": 507, "AphC": 507})
    return COMMON, inverter, model_words(160, {"DCW_SF": 0, "N": len(modules)}, modules, "module"), model_words(124, STORAGE)


def test_pv_of_a_hybrid_is_its_pv_inputs() -> None:
    """AC 3500 W are 5000 W of PV less 1500 W that go into the battery; both meters together must tell just that."""
    pv, battery = read(*hybrid(), role="pv"), read(*hybrid(), role="battery")
    assert (pv.power_w, pv.current_a) == (-5000.0, (None, None, None))
    assert (battery.power_w, battery.soc_percent) == (1500.0, 55.25)


def test_battery_inputs_known_by_name() -> None:
    named = [{"ID": 1, "IDStr": "StDisCha 4", "DCW": 700}, {"ID": 2, "IDStr": "StCha 3", "DCW": 0}, {"ID": 3, "IDStr": "MPPT 1", "DCW": 900}]
    assert read(*hybrid(named), role="battery").power_w == -700.0
    assert read(*hybrid(named), role="pv").power_w == -900.0


def test_half_a_battery_is_not_known() -> None:
    silent = [*MODULES[:3], {"ID": 4}]
    assert read(*hybrid(silent), role="battery").power_w is None


def test_a_storage_model_without_storage_makes_no_hybrid() -> None:
    """Four strings and an empty model 124: all of them are PV, and what tells nothing is not read again."""
    inverter = model_words(103, WORKING | {"W": 6400, "St": 4})
    mppt = model_words(160, {"DCW_SF": 0, "N": 4}, MODULES, "module")
    picture, source = picture_of(COMMON, inverter, mppt, SMA_124, role="pv")
    assert quantities(picture, source)["p"] == -6400.0
    assert settled(picture, source).others == ()
    real, kept = picture_of(*hybrid(), role="pv")
    assert settled(real, kept) == kept


def test_model_802_by_its_state_and_without_it() -> None:
    bank = {"SoC": 555, "SoC_SF": -1, "W": 2000, "W_SF": 0}
    charging = read(COMMON, model_words(802, bank | {"ChaSt": 4}), role="battery")
    assert (charging.power_w, charging.soc_percent) == (2000.0, 55.5)
    assert read(COMMON, model_words(802, bank | {"ChaSt": 3}), role="battery").power_w == -2000.0
    assert read(COMMON, model_words(802, bank), role="battery").power_w == -2000.0
    assert read(COMMON, model_words(802, bank | {"W": -2000}), role="battery").power_w == 2000.0
    assert read(COMMON, model_words(802, bank), role="battery", sign="import").power_w == 2000.0, "the site file knows better"
    assert read(COMMON, model_words(802, bank | {"ChaSt": 3}), role="battery", sign="import").power_w == -2000.0, "but not than the device"


@pytest.mark.parametrize(("state", "battery_w", "pv_w"), [(4, 1500.0, -5000.0), (3, -1500.0, -2000.0)])
def test_four_strings_and_a_battery_with_a_model_of_its_own(state: int, battery_w: float, pv_w: float) -> None:
    """AC 3500 W, 1500 W into or out of the battery: whatever the inputs are, PV and battery together are what the inverter does."""
    bank = model_words(802, {"SoC": 50, "SoC_SF": 0, "W": 1500, "W_SF": 0, "ChaSt": state})
    models = (*hybrid(), bank)
    pv, battery = read(*models, role="pv"), read(*models, role="battery")
    assert (pv.power_w, battery.power_w) == (pv_w, battery_w)


def test_a_battery_behind_another_common_model_is_another_device() -> None:
    """The list of a gateway: a PV inverter and, after a model 1 of its own, a battery. The PV is the inverter's alone."""
    inverter = model_words(103, WORKING | {"W": 3500, "St": 4})
    bank = model_words(802, {"SoC": 50, "SoC_SF": 0, "W": 1500, "W_SF": 0, "ChaSt": 4})
    models = (COMMON, inverter, COMMON, bank)
    assert read(*models, role="pv").power_w == -3500.0
    assert read(*models, role="battery").power_w == 1500.0


def test_losses_of_a_hybrid_are_no_pv_load() -> None:
    """Discharging with 1500 W DC gives 1400 W AC at night."""
    inverter = model_words(103, WORKING | {"W": 1400, "St": 4})
    bank = model_words(802, {"SoC": 50, "SoC_SF": 0, "W": 1500, "W_SF": 0, "ChaSt": 3})
    assert read(COMMON, inverter, bank, role="pv").power_w == 0.0


def test_models_713_and_714() -> None:
    ports = [{"PrtTyp": 0, "DCW": 4000}, {"PrtTyp": 1, "DCW": -1000}]
    inverter = model_words(701, {"W_SF": 0, "W": 3000, "InvSt": 3})
    models = (COMMON, inverter, model_words(713, {"SoC": 40, "Pct_SF": 0}), model_words(714, {"DCW_SF": 0, "NPrt": 2}, ports, "Prt"))
    battery, pv = read(*models, role="battery"), read(*models, role="pv")
    assert (battery.power_w, battery.soc_percent, pv.power_w) == (1000.0, 40.0, -4000.0)


def test_a_battery_inverter_without_pv_inputs() -> None:
    models = (COMMON, model_words(701, {"W_SF": 0, "W": -1200, "InvSt": 3}), model_words(713, {"SoC": 40, "Pct_SF": 0}))
    assert read(*models, role="battery").power_w == 1200.0


# -- which model ------------------------------------------------------------------------------


def test_the_second_meter_behind_an_inverter_and_named_models() -> None:
    models = (COMMON, model_words(103, {"W": 5, "W_SF": 0}), meter(203, {"W": 1, "W_SF": 0}), meter(201, {"W": 2, "W_SF": 0}))
    assert read(*models).power_w == 1.0
    assert read(*models, nth=2).power_w == 2.0
    assert read(*models, ids=(103,)).power_w == -5.0
    with pytest.raises(ReadingError, match=r"number 3 of models .* is wanted, the device has 2"):
        read(*models, nth=3)


def test_no_fitting_model_says_why() -> None:
    with pytest.raises(ReadingError, match=r"no model of 201.*203 has length 50, which does not fit"):
        read(COMMON, [203, 50, *[0] * 50])


# -- codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0x8000, 11, 0x10000 - 11, 0x7FFF])
def test_a_scale_that_cannot_be_leaves_the_value_unknown(scale: int) -> None:
    words = meter(203, WORKING | {"AphA": 450, "W": 1000})
    words[22] = scale  # W_SF
    got = read(COMMON, words)
    assert got.power_w is None
    assert got.current_a[0] == pytest.approx(4.5)


def test_integer_codes_in_floats_are_not_numbers() -> None:
    words = meter(213, {"AphA": 4.5, "W": 1000.0})
    for offset, pair in ((4, (0x8000, 0x8000)), (28, (0x7FC0, 0)), (6, (0x7F80, 0)), (8, (0xFFFF, 0xFFFF))):
        words[offset : offset + 2] = pair
    picture, source = picture_of(COMMON, words)
    values = quantities(picture, source)
    assert [values[name] for name in ("i_l1", "i_l2", "i_l3", "p")] == [None, None, None, None]


def test_a_model_count_that_lies_hides_all_groups() -> None:
    model = model_words(160, {"DCW_SF": 0, "N": 2}, MODULES[:2], "module")
    model[8] = 9
    found = played(discover(), listed(COMMON, model))
    picture = played(Reader(found, ((found[1], 0),)).poll(), listed(COMMON, model))
    assert list(picture.groups(found[1])) == []
    assert Found(160, 1, 48).usable
