"""Is a reading believable? Tables of what meters really send (F42, F44, F45, B42)."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.quality import Convention, Expectation, judge, judge_reading
from meters.reading import Quality, Reading

GRID = Expectation(fuse_a=63.0, voltage_v=230.0, current_phases=(0, 1, 2))
PV = Expectation(fuse_a=63.0)
IMPORT = Convention("import", "signed")

GOOD = {
    "u_l1": 231.0, "u_l2": 229.5, "u_l3": 230.2,
    "i_l1": 10.0, "i_l2": 12.0, "i_l3": -4.0,
    "p_l1": 2300.0, "p_l2": 2750.0, "p_l3": -920.0,
    "p": 4130.0, "f": 50.01, "e_imp": 1e6, "e_exp": 2e5,
}  # fmt: skip


def read(convention: Convention = IMPORT, expected: Expectation = GRID, **changes: float | None) -> Reading:
    return judge("grid", GOOD | changes, convention, expected)


def test_a_good_reading_keeps_every_value() -> None:
    reading = read()
    assert (reading.quality, reading.reason) == (Quality.GOOD, "")
    assert reading.current_a == (10.0, 12.0, -4.0)
    assert reading.phase_power_w == (2300.0, 2750.0, -920.0)
    assert reading.power_w == 4130.0
    assert (reading.energy_import_wh, reading.energy_export_wh) == (1e6, 2e5)


@pytest.mark.parametrize(
    ("changes", "quality", "reason"),
    [
        ({"i_l2": None}, Quality.BAD, "current of L2 is not available"),
        ({"i_l1": math.nan}, Quality.BAD, "current of L1 is not available"),
        ({"i_l1": 3276.8}, Quality.BAD, "current of L1 is 3277 A"),
        ({"i_l1": -3276.8}, Quality.BAD, "current of L1"),
        ({"p_l1": 1e30}, Quality.BAD, "power of L1"),
        ({"p": 1e30, "p_l1": None}, Quality.BAD, "power is 1e+30 W"),
        ({"f": 0.5}, Quality.BAD, "frequency"),
        ({"f": 500.1}, Quality.BAD, "frequency"),
        ({"u_l1": 2310.0}, Quality.BAD, "voltage of L1 is 2310 V"),
        ({"u_l2": 0.0}, Quality.BAD, "voltage of L2 is 0 V"),
        ({"p": 4300.0}, Quality.SUSPECT, "is not the sum of its phases"),
        ({"p": 41_300.0}, Quality.BAD, "is not the sum of its phases"),
        ({"p_l1": 23_000.0, "p": 24_830.0}, Quality.SUSPECT, "L1 shows 2.3e+04 W but only 10 A"),
        ({"i_l1": 0.1, "p_l1": 6000.0, "p": 7830.0}, Quality.BAD, "L1 shows 6000 W but only 0.1 A"),
        ({"i_l3": 4.0}, Quality.SUSPECT, "current and power of L3 point in opposite directions"),
        ({"f": None, "u_l1": None, "u_l2": None, "u_l3": None}, Quality.GOOD, ""),
        # Without powers per phase the total must be possible with the currents: their sign or scale is wrong otherwise.
        ({"p_l1": None, "p_l2": None, "p_l3": None, "i_l1": -10.0, "i_l2": -12.0}, Quality.SUSPECT, "4130 W is imported, but the currents do not"),
        ({"p_l1": None, "p_l2": None, "p_l3": None, "i_l1": -20.0, "i_l2": -20.0, "p": 13_800.0}, Quality.BAD, "1.38e+04 W is imported"),
        ({"p_l1": None, "p_l2": None, "p_l3": None, "p": -13_800.0}, Quality.SUSPECT, "1.38e+04 W is exported"),
        ({"p_l1": None, "p_l2": None, "p_l3": None, "p": 6300.0}, Quality.GOOD, ""),
        ({"p": 4170.0}, Quality.GOOD, ""),
        ({"p_l1": None, "p_l2": None, "p_l3": None}, Quality.GOOD, ""),
    ],
)
def test_what_is_believed(changes: dict[str, float | None], quality: Quality, reason: str) -> None:
    reading = read(**changes)
    assert reading.quality is quality
    assert reason in reading.reason


def test_nothing_at_all_is_bad() -> None:
    reading = judge("pv", {"p": None, "e_exp": math.nan}, IMPORT, PV)
    assert (reading.quality, reading.reason) == (Quality.BAD, "the meter reports no value at all")


def test_a_meter_that_exports_positive_is_turned_round() -> None:
    reading = read(Convention("export", "signed"))
    assert reading.current_a == (-10.0, -12.0, 4.0)
    assert reading.power_w == -4130.0
    assert (reading.energy_import_wh, reading.energy_export_wh) == (1e6, 2e5)


@pytest.mark.parametrize(("sign", "expected"), [("import", (10.0, 12.0, -4.0)), ("export", (-10.0, -12.0, 4.0))])
def test_magnitudes_get_the_direction_of_their_power(sign: str, expected: tuple[float, ...]) -> None:
    assert read(Convention(sign, "unsigned"), i_l3=4.0).current_a == expected  # type: ignore[arg-type]


def test_a_magnitude_without_direction_counts_as_load_and_is_suspect_while_exporting() -> None:
    blind = {"p_l1": None, "p_l2": None, "p_l3": None}
    exporting = read(Convention("import", "unsigned"), p=-5900.0, i_l3=4.0, **blind)
    assert exporting.current_a == (10.0, 12.0, 4.0)
    assert exporting.quality is Quality.SUSPECT
    assert read(Convention("import", "unsigned"), p=5900.0, **blind).quality is Quality.GOOD


def test_import_and_export_kept_apart_become_one_power() -> None:
    values = {"p_imp": 0.0, "p_exp": 500.0, "p_l1_imp": 0.0, "p_l1_exp": 500.0, "i_l1": 2.2, "u_l1": 230.0}
    reading = judge("pv", values, Convention("import", "unsigned"), PV)
    assert reading.power_w == -500.0
    assert reading.current_a == (-2.2, None, None)


def test_a_missing_total_is_the_sum_of_three_known_phases_only() -> None:
    assert read(p=None).power_w == pytest.approx(4130.0)
    assert read(p=None, p_l2=None).power_w is None


def test_an_unwired_input_does_not_matter_where_no_current_is_expected() -> None:
    single = Expectation(fuse_a=35.0, current_phases=(0,))
    unwired = {"u_l2": 0.0, "u_l3": 1.5, "i_l2": 0.0, "i_l3": None, "p_l2": 0.0, "p_l3": 0.0, "p": 2300.0}
    assert read(expected=single, **unwired).quality is Quality.GOOD


def test_impossible_secondary_values_are_dropped_without_spoiling_the_reading() -> None:
    reading = read(e_imp=-5.0, soc=6553.5)
    assert reading.quality is Quality.GOOD
    assert (reading.energy_import_wh, reading.soc_percent) == (None, None)


def test_swapped_words_never_pass_as_good() -> None:
    """A float with its words swapped is a tiny or huge number: voltage and sum checks see it."""
    tiny = dict.fromkeys(("u_l1", "u_l2", "u_l3", "i_l1", "i_l2", "i_l3"), 1.2e-38)
    assert read(**tiny).quality is Quality.BAD


def test_readings_from_elsewhere_are_judged_alike() -> None:
    ours = Reading("grid", Quality.GOOD, current_a=(1.0, 2.0, None))
    assert judge_reading(ours, GRID).reason == "current of L3 is not available"


amps = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))


@given(st.fixed_dictionaries(dict.fromkeys(GOOD, amps)), st.sampled_from(["import", "export"]), st.sampled_from(["signed", "unsigned"]))
def test_law_a_reading_that_is_not_bad_has_every_expected_current_within_ten_fuses(values: dict[str, float | None], sign: str, current: str) -> None:
    reading = judge("grid", values, Convention(sign, current), GRID)  # type: ignore[arg-type]
    if reading.quality is not Quality.BAD:
        assert all(i is not None and abs(i) <= 630.0 for i in reading.current_a)
    if reading.quality is not Quality.GOOD:
        assert reading.reason


# -- how a meter is wired (MeterConfig.phases, reversed) ----------------------------------------------


def wired(quantities: dict[str, float | None], convention: Convention = IMPORT, **expected: Any) -> Reading:
    return judge("m", quantities, convention, Expectation(63.0, 230.0, **expected))


def test_f44_phases_are_put_where_they_belong() -> None:
    """The meter's own L1, L2, L3 are the site's L2, L3, L1: what its L1 shows is L2's."""
    values = {"i_l1": 1.0, "i_l2": 2.0, "i_l3": 3.0, "p_l1": 230.0, "p_l2": 460.0, "p_l3": 690.0, "u_l1": 231.0, "u_l2": 232.0, "u_l3": 233.0}
    reading = wired(values, wiring=(1, 2, 0), current_phases=(0, 1, 2))
    assert (reading.current_a, reading.phase_power_w, reading.voltage_v) == ((3, 1, 2), (690, 230, 460), (233, 231, 232))
    assert reading.quality is Quality.GOOD


def test_a_meter_of_one_phase_on_l2_shows_nothing_elsewhere_and_its_power_there() -> None:
    reading = wired({"i_l1": 5.0, "p": 1150.0, "i_l2": 99.0}, wiring=(1,))
    assert (reading.current_a, reading.phase_power_w, reading.power_w) == ((None, 5, None), (None, 1150, None), 1150)
    assert wired({"i_l1": 5.0}, wiring=(1,), current_phases=(0, 1, 2)).reason == "current of L1 is not available; current of L3 is not available"


@pytest.mark.parametrize("current", ["signed", "unsigned"])
def test_f43_reversed_transformers(current: Any) -> None:
    """Import is shown as export: powers change their sign, registers their place, magnitudes follow the power."""
    shown = 10.0 if current == "unsigned" else -10.0
    currents, powers = (dict.fromkeys([f"{head}_l{n}" for n in (1, 2, 3)], value) for head, value in (("i", shown), ("p", -2300.0)))
    values: dict[str, float | None] = {**currents, **powers, "p": -6900.0, "e_imp": 1.0, "e_exp": 9.0}
    reading = wired(values, Convention(current=current), reversed=True)
    assert (reading.current_a, reading.power_w, reading.quality) == ((10, 10, 10), 6900, Quality.GOOD)
    assert (reading.energy_import_wh, reading.energy_export_wh) == (9, 1)


def test_reversed_with_powers_kept_apart_and_a_magnitude_without_direction_counts_as_load() -> None:
    reading = wired({"i_l1": 4.0, "p_imp": 0.0, "p_exp": 920.0}, Convention(current="unsigned"), reversed=True)
    assert (reading.power_w, reading.current_a[0]) == (920, 4), "never turned into room that is not there"


def test_readings_that_come_in_our_convention_are_wired_and_turned_as_well() -> None:
    told = Reading("m", Quality.GOOD, current_a=(-1.0, -2.0, -3.0), power_w=-1380.0, energy_import_wh=5.0)
    reading = judge_reading(told, Expectation(63.0, 230.0, wiring=(2, 0, 1), reversed=True))
    assert (reading.current_a, reading.power_w, reading.energy_export_wh) == ((2, 3, 1), 1380, 5)
