"""Bit patterns to numbers: every type, both word orders, and "not available" never becomes a value (F42)."""

import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.decode import decode, encode_value, probe_matches, words_at
from meters.template import WIDTHS, Block, Probe, Register, Template, load_all

MAPS = Path(__file__).resolve().parents[2] / "config" / "meters"
TEMPLATES = load_all(MAPS)


def template(word_order: str = "big", nan: dict[str, int] | None = None, **registers: dict[str, object]) -> Template:
    return Template.model_validate(
        {
            "name": "t",
            "products": [{"brand": "t", "description": "t"}],
            "transport": "tcp",
            "function": 3,
            "sign": "import",
            "word_order": word_order,
            "nan": nan or {},
            "registers": registers,
        }
    )


@pytest.mark.parametrize(
    ("kind", "words", "expected"),
    [
        ("u16", [0xFFFF], 65535.0),
        ("s16", [0xFFFE], -2.0),
        ("u32", [0x0001, 0x0000], 65536.0),
        ("s32", [0xFFFF, 0xFFFF], -1.0),
        ("u64", [0, 0, 1, 0], 65536.0),
        ("s64", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], -2.0),
        ("f32", [0x42F6, 0xE979], 123.456),
        ("f64", [0x405E, 0xDD2F, 0x1A9F, 0xBE77], 123.456),
    ],
)
def test_every_type_in_both_word_orders(kind: str, words: list[int], expected: float) -> None:
    for order in ("big", "little"):
        sent = words if order == "big" else words[::-1]
        value = decode(template(order, p={"address": 7, "type": kind}), dict(enumerate(sent, 7)))["p"]
        assert value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("words", [[0x7FC0, 0], [0xFFC0, 1], [0x7F80, 0], [0xFF80, 0]])
def test_nan_and_infinity_are_not_available(words: list[int]) -> None:
    assert decode(template(p={"address": 0, "type": "f32"}), dict(enumerate(words)))["p"] is None


@pytest.mark.parametrize(
    ("kind", "nan", "words"),
    [("s16", 0x8000, [0x8000]), ("s32", 0x80000000, [0x8000, 0]), ("u32", 0xFFFFFFFF, [0xFFFF, 0xFFFF]), ("s16", -1, [0xFFFF])],
)
def test_sentinels_as_patterns_and_as_numbers(kind: str, nan: int, words: list[int]) -> None:
    by_map = template(nan={kind: nan}, p={"address": 0, "type": kind})
    by_register = template(p={"address": 0, "type": kind, "nan": nan})
    little = template("little", nan={kind: nan}, p={"address": 0, "type": kind})
    assert decode(by_map, dict(enumerate(words)))["p"] is None
    assert decode(by_register, dict(enumerate(words)))["p"] is None
    assert decode(little, dict(enumerate(reversed(words))))["p"] is None


def test_what_was_not_read_is_not_available() -> None:
    assert decode(template(p={"address": 0, "type": "f32"}), {0: 0x42F6})["p"] is None
    assert words_at({5: 1}, Block(5, 2)) is None


@pytest.mark.parametrize(("exponent", "expected"), [(0, 1234.0), (0xFFFF, 123.4), (2, 123400.0), (0x8000, None), (400, None)])
def test_scale_registers(exponent: int, expected: float | None) -> None:
    value = decode(template(p={"address": 0, "type": "s16", "scale_register": 9}), {0: 1234, 9: exponent})["p"]
    assert value == (None if expected is None else pytest.approx(expected))


def test_without_its_scale_register_a_value_is_worth_nothing() -> None:
    assert decode(template(p={"address": 0, "type": "s16", "scale_register": 9}), {0: 1234})["p"] is None


def test_absolute_drops_a_meaningless_sign() -> None:
    assert decode(template(e_exp={"address": 0, "type": "s16", "absolute": True, "scale": 10}), {0: 0xFFFE})["e_exp"] == 20.0


def test_the_probe_must_be_there() -> None:
    probe = Probe(address=0, type="u32", equals=(0x00010002,))
    assert probe_matches(probe, {0: 1, 1: 2})
    assert not probe_matches(probe, {0: 2, 1: 1})
    assert not probe_matches(probe, {0: 1})


@given(st.sampled_from(sorted(WIDTHS)), st.sampled_from(["big", "little"]), st.data())
def test_encode_is_the_inverse_of_decode(kind: str, order: str, data: st.DataObject) -> None:
    scale = data.draw(st.sampled_from([1.0, 0.1, 0.01, 0.001, 10.0, 1000.0]))
    bits = 16 * WIDTHS[kind]
    if kind.startswith("f"):
        raw = data.draw(st.floats(width=32 if kind == "f32" else 64, allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9))
    else:
        span = min(bits, 53)
        raw = data.draw(st.integers(0, 2**span - 1) if kind[0] == "u" else st.integers(-(2 ** (span - 1)), 2 ** (span - 1) - 1))
    chart = template(order, p={"address": 0, "type": kind, "scale": scale})
    words = encode_value(raw * scale, chart.registers["p"], chart)
    assert decode(chart, dict(enumerate(words)))["p"] == pytest.approx(raw * scale, rel=1e-6, abs=1e-3 * scale)


@given(st.sampled_from(sorted(TEMPLATES)), st.randoms(use_true_random=False))
def test_any_register_image_decodes_to_finite_numbers_or_nothing(name: str, random: object) -> None:
    chart = TEMPLATES[name]
    image = {address: random.getrandbits(16) for block in chart.plan() for address in range(block.address, block.end)}  # type: ignore[attr-defined]
    values = decode(chart, image)
    assert set(values) == set(chart.registers)
    assert all(value is None or math.isfinite(value) for value in values.values())


def test_a_real_sdm630_style_image() -> None:
    chart = TEMPLATES["eastron_sdm630"]
    words: dict[int, int] = dict.fromkeys(range(76), 0)
    for address, number in {0: 231.5, 6: 8.25, 12: 1820.0, 52: 1820.89, 70: 50.01, 72: 12.5}.items():
        high, low = struct.unpack(">HH", struct.pack(">f", number))
        words |= {address: high, address + 1: low}
    values = decode(chart, words)
    assert values["u_l1"] == pytest.approx(231.5)
    assert values["p"] == pytest.approx(1820.89)
    assert values["e_imp"] == pytest.approx(12_500.0)


def test_register_spans_follow_their_type() -> None:
    assert Register(address=3, type="u64").span == Block(3, 4)


@pytest.mark.parametrize(("name", "told"), [("p", False), ("p_l1", False), ("soc", False), ("u_l1", True), ("f", True)])
@pytest.mark.parametrize("words", [[0x0000, 0x4366], [0x0000, 0x0001]])
def test_a_float_of_next_to_nothing_is_not_available_but_a_voltage_or_frequency_stays_to_refuse_the_reading(
    name: str, told: bool, words: list[int]
) -> None:
    """230.0 V with its words swapped, and an integer's bits (B42)."""
    value = decode(template(**{name: {"address": 7, "type": "f32"}}), dict(enumerate(words, 7)))[name]
    assert (value is not None) == told
    assert not value or 0 < value < 1e-30
