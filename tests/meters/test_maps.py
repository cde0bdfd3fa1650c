"""Every register map that ships: decodes a device made from it and refuses what is not such a device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from meters.decode import RegisterImage, decode, probe_matches
from meters.quality import Convention, Expectation, judge
from meters.reading import Quality, Reading
from meters.template import PHASES, Register, Template, load_all
from tests.support.examples import examples
from tests.support.register_images import Truth, exponents, image_of

MAPS = load_all(Path(__file__).resolve().parents[2] / "config" / "meters")
NAMES = sorted(MAPS)
GUARDS = [name for name in NAMES if all(f"i_{phase}" in MAPS[name].registers for phase in PHASES)]
SEEN = [name for name in GUARDS if "f" in MAPS[name].registers or "u_l1" in MAPS[name].registers]
"""Maps with something in them that tells a wrong answer: a voltage or the frequency."""
WIDE = [name for name in GUARDS if any(register.span.length > 1 for register in MAPS[name].registers.values())]

FAMILY = {name: name.split("_")[0] for name in NAMES}


@st.composite
def truths(draw: st.DrawFn, factor: st.SearchStrategy[float] | None = None) -> Truth:
    """A site somebody could have: each phase imports or exports on its own."""
    volts = tuple(draw(st.floats(210, 250)) for _ in PHASES)
    amps = tuple(draw(st.floats(1.5, 40)) * draw(st.sampled_from((1, -1))) for _ in PHASES)
    watts = tuple(u * i * draw(factor or st.floats(0.85, 1.0)) for u, i in zip(volts, amps, strict=True))
    energy = st.integers(0, 4_000_000)
    hz, soc = draw(st.floats(49.5, 50.5)), round(draw(st.floats(0, 100)), 3)
    return Truth(volts, amps, watts, hz, 1000.0 * draw(energy), 1000.0 * draw(energy), soc)  # type: ignore[arg-type]


def reading_of(template: Template, image: RegisterImage) -> Reading:
    needed = tuple(at for at, phase in enumerate(PHASES) if f"i_{phase}" in template.registers)
    convention = Convention(template.sign, template.current or "signed")
    return judge("m", decode(template, image), convention, Expectation(63.0, 230.0, needed))


def step(register: Register, value: float, scales: Mapping[int, int]) -> float:
    """How far rounding to one raw count may be off."""
    scale = abs(register.scale) * (10.0 ** scales[register.scale_register] if register.scale_register is not None else 1.0)
    return (1e-6 * abs(value) if register.type in ("f32", "f64") else 0.501 * scale) + 1e-9


def fits(found: float | None, expected: float, tolerance: float) -> bool:
    return found is not None and abs(found - expected) <= tolerance


# -- decoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(25), deadline=None)
@given(truth=truths())
def test_a_device_made_from_the_map_reads_as_what_is_true(name: str, truth: Truth) -> None:
    template = MAPS[name]
    scales = exponents(template, truth)
    reading = reading_of(template, image_of(template, truth))
    registers = template.registers
    assert reading.quality is not Quality.BAD, reading.reason
    for at, phase in enumerate(PHASES):
        for values, of, actual in (
            (reading.voltage_v, "u", truth.voltage_v),
            (reading.current_a, "i", truth.current_a),
            (reading.phase_power_w, "p", truth.phase_power_w),
        ):
            register = registers.get(f"{of}_{phase}") or registers.get(f"{of}_{phase}_imp")
            if register is None:
                assert values[at] is None
                continue
            blind = of == "i" and template.current == "unsigned" and reading.phase_power_w[at] is None
            expected = abs(actual[at]) if blind else actual[at]
            assert fits(values[at], expected, step(register, actual[at], scales)), (of, phase, values, actual)
    for quantity, found, actual in (
        ("f", reading.frequency_hz, truth.frequency_hz),
        ("e_imp", reading.energy_import_wh, truth.energy_import_wh),
        ("e_exp", reading.energy_export_wh, truth.energy_export_wh),
        ("soc", reading.soc_percent, truth.soc_percent),
    ):
        if quantity in registers:
            assert fits(found, actual, step(registers[quantity], actual, scales)), (quantity, found, actual)
        else:
            assert found is None
    if "p" in registers or "p_imp" in registers:
        register = registers.get("p") or registers["p_imp"]
        assert fits(reading.power_w, truth.power_w, step(register, truth.power_w, scales))


@pytest.mark.parametrize("name", NAMES)
def test_every_not_available_code_is_an_absent_quantity(name: str) -> None:
    template = MAPS[name]
    for quantity, register in template.registers.items():
        codes = {*register.nan, *template.nan.get(register.type, ())}
        if register.type in ("f32", "f64"):
            codes |= {0x7FC00000, 0x7F800000, 0xFF800000} if register.type == "f32" else {0x7FF8000000000000}
        for code in codes:
            image = image_of(template)
            words = [code >> 16 * at & 0xFFFF for at in reversed(range(register.span.length))]
            if (register.word_order or template.word_order) == "little":
                words.reverse()
            image.update(enumerate(words, register.address))
            assert decode(template, image)[quantity] is None, (quantity, hex(code))


@pytest.mark.parametrize("name", ["carlo_gavazzi_em340", "carlo_gavazzi_em24_rtu"])
def test_an_overflow_is_no_two_million_amperes(name: str) -> None:
    template = MAPS[name]
    image = image_of(template) | dict(enumerate((0xFFFF, 0x7FFF), template.registers["i_l2"].address))
    reading = reading_of(template, image)
    assert (reading.quality, reading.reason) == (Quality.BAD, "current of L2 is not available")


# -- refusing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if MAPS[name].probe is not None])
@given(flip=st.integers(1, 0xFFFF), at=st.integers(0, 3))
def test_any_other_constant_than_the_probe_is_refused(name: str, flip: int, at: int) -> None:
    probe = MAPS[name].probe
    assert probe is not None
    image = image_of(MAPS[name])
    assert probe_matches(probe, image)
    image[probe.address + at % probe.span.length] ^= flip
    assert not probe_matches(probe, image)


@pytest.mark.parametrize("name", WIDE)
@settings(max_examples=examples(20), deadline=None)
@given(truth=truths())
def test_swapped_words_are_never_a_good_reading(name: str, truth: Truth) -> None:  # B42
    template = MAPS[name]
    image = image_of(template, truth)
    for register in template.registers.values():
        span = [image[address] for address in range(register.span.address, register.span.end)]
        image.update(enumerate(reversed(span), register.address))
    swapped = [name for name, register in template.registers.items() if register.span.length > 1 and name[0] in "uip"]
    if swapped:
        assert reading_of(template, image).quality is not Quality.GOOD


@pytest.mark.parametrize("name", [name for name in SEEN if name in WIDE])
@settings(max_examples=examples(50), deadline=None)
@given(amps=st.floats(1.5, 75))
def test_swapped_words_of_a_round_voltage_are_a_bad_reading_whatever_the_currents_come_to(name: str, amps: float) -> None:  # B42
    """230.0 V the wrong way round is next to nothing; that must not count as a voltage that is just not told."""
    template = MAPS[name]
    image = image_of(template, Truth((230.0,) * 3, (amps,) * 3, (230.0 * amps,) * 3, 50.0))
    for register in template.registers.values():
        span = [image[address] for address in range(register.span.address, register.span.end)]
        image.update(enumerate(reversed(span), register.address))
    if any(register.span.length > 1 and name[0] in "uip" for name, register in template.registers.items()):
        assert reading_of(template, image).quality is Quality.BAD


@pytest.mark.parametrize("name", SEEN)
@settings(max_examples=examples(20), deadline=None)
@given(truth=truths(), shift=st.sampled_from([-2, -1, 1, 2]))
def test_a_shifted_answer_is_never_a_good_reading(name: str, truth: Truth, shift: int) -> None:
    template = MAPS[name]
    right = image_of(template, truth)
    shifted = {address: right.get(address + shift, 0) for address in right}
    assert reading_of(template, shifted).quality is not Quality.GOOD


@pytest.mark.parametrize("name", GUARDS)
@given(data=st.data())
def test_a_short_answer_is_never_a_good_reading(name: str, data: st.DataObject) -> None:
    """Words that were not read are absent, never 0."""
    template = MAPS[name]
    image = image_of(template)
    last = max(register.span.end for quantity, register in template.registers.items() if quantity.startswith("i_"))
    first_lost = data.draw(st.integers(min(image), last - 1))
    kept = {address: word for address, word in image.items() if address < first_lost}
    assert reading_of(template, kept).quality is Quality.BAD


@pytest.mark.parametrize("name", SEEN)
def test_another_device_is_never_a_good_reading(name: str) -> None:
    """The registers of every other maker's device, read with this map; what it does not have reads 0 there."""
    template = MAPS[name]
    needed = {address for block in template.plan() for address in range(block.address, block.end)}
    for other in NAMES:
        if FAMILY[other] == FAMILY[name] or other == "generic" or name == "generic":
            continue
        image = image_of(MAPS[other])
        reading = reading_of(template, {address: image.get(address, 0) for address in needed})
        if reading.quality is Quality.GOOD:
            same = {q: r for q, r in template.registers.items() if q[0] in "ip"}
            theirs = MAPS[other].registers
            assert all(q in theirs and (theirs[q].address, theirs[q].type) == (r.address, r.type) for q, r in same.items()), (name, other)


@pytest.mark.parametrize("name", SEEN)
def test_registers_that_are_all_the_same_are_never_a_good_reading(name: str) -> None:
    template = MAPS[name]
    addresses = [address for block in template.plan() for address in range(block.address, block.end)]
    for word in (0x0000, 0x0001, 0x7FFF, 0x8000, 0xFFFF):
        reading = reading_of(template, dict.fromkeys(addresses, word))
        assert reading.quality is not Quality.GOOD, (hex(word), reading)


def test_there_is_a_map_for_every_model_of_the_facts_and_one_to_copy() -> None:
    """Models and variants of the collected register facts; fronius and others by SunSpec need no map."""
    assert set(NAMES) >= {
        *("eastron_sdm630", "eastron_sdm72dm_v1", "eastron_sdm72dm_v2_short", "carlo_gavazzi_em24_rtu", "carlo_gavazzi_em340"),
        *("janitza_umg96", "janitza_umg806", "janitza_umg604_native", "janitza_b23_mbus", "schneider_iem3000_pm5000", "abb_b23"),
        *("siemens_pac2200", "socomec_countis", "socomec_countis_e2x", "socomec_diris_a10", "kostal_ksem", "kostal_plenticore"),
        *("kostal_plenticore_battery", "huawei_sun2000_meter", "huawei_sun2000_pv", "huawei_sun2000_battery", "sma_inverter_pv"),
        *("sma_inverter_grid", "sma_inverter_battery", "victron_gx", "victron_gx_16bit", "victron_gx_grid", "victron_gx_battery"),
        *("solaredge_meter", "solaredge_meter2", "solaredge_meter3", "solaredge_meter_synergy2", "solaredge_meter_synergy3"),
        *("solaredge_battery", "byd_battery_box_hv", "generic"),
    }


def test_the_map_to_copy_explains_every_key_a_map_may_have() -> None:
    text = (Path(__file__).resolve().parents[2] / "config" / "meters" / "generic.yaml").read_text(encoding="utf-8")
    missing = [key for key in (*Template.model_fields, *Register.model_fields) if f"{key}:" not in text and key != "controls"]
    assert not missing
    uncommented = yaml.safe_load(
        "\n".join(line.replace("# ", "", 1) if line.startswith(("# probe:", "# blocks:")) else line for line in text.splitlines())
    )
    assert uncommented["probe"]["type"] == "u64"
