"""From registers to numbers: one register image in, quantities in SI units out.

Decides only what a bit pattern means. Whether the number is believable, and which way is
import, is decided in ``quality``. "Not available" codes, NaN, infinities and registers that
were not read become None, never 0 (fault F42).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

from meters.template import Block, Probe, Register, Template

RegisterImage = Mapping[int, int]
"""Address -> 16-bit word, of one poll of one meter."""

Quantities = dict[str, float | None]
"""Quantity name (see ``template``) -> value in V, A, W, Hz, Wh, percent; None = not available."""

_FORMATS = {"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "u64": ">Q", "s64": ">q", "f32": ">f", "f64": ">d"}
_TINY = 1e-30
"""No quantity is that small: a float whose words are the wrong way round, or an integer's bits. Such a current, power or charge is not available."""
_WITNESSES = ("u_", "f")
"""Quantities that are never near 0 in a device read rightly: a tiny one stays, so that ``quality`` refuses the whole reading (B42)."""
_MAX_SCALE_EXPONENT = 10  # SunSpec allows -10..10; anything else is its own "not available" code or garbage


def decode(template: Template, image: RegisterImage) -> Quantities:
    """Every quantity of the map, with the signs the device itself uses."""
    values = {name: _quantity(template, register, image) for name, register in template.registers.items()}
    return {name: None if _tiny(value) and not name.startswith(_WITNESSES) else value for name, value in values.items()}


def probe_matches(probe: Probe, image: RegisterImage) -> bool:
    """True if the known constant is where it has to be."""
    words = words_at(image, probe.span)
    return words is not None and _unpack(words, probe.type, "big") in probe.equals


def lost(template: Template, image: RegisterImage) -> str:
    """Why its numbers are not those of now, in what the device says itself; "" = it says nothing of the kind."""
    return next((one.says for one in template.lost_if if probe_matches(one, image)), "")


def words_at(image: RegisterImage, span: Block) -> list[int] | None:
    """The words of ``span``, or None if one of them was not read."""
    words = [image.get(address) for address in range(span.address, span.end)]
    return None if None in words else [word for word in words if word is not None]


def decode_value(words: Sequence[int], register: Register, template: Template) -> float | None:
    """One value, scaled but without its scale register. None for "not available"."""
    raw = _unpack(words, register.type, register.word_order or template.word_order)
    if not math.isfinite(raw) or _is_sentinel(words, raw, register, template):
        return None
    value = float(raw) * register.scale
    return abs(value) if register.absolute else value


def encode_value(value: float, register: Register, template: Template) -> list[int]:
    """The words that decode to ``value`` (rounded to one raw count): the inverse, for simulators and tests."""
    raw = value / register.scale
    number = raw if register.type.startswith("f") else round(raw)
    data = struct.pack(_FORMATS[register.type], number)
    words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    return words[::-1] if (register.word_order or template.word_order) == "little" else words


def _quantity(template: Template, register: Register, image: RegisterImage) -> float | None:
    words = words_at(image, register.span)
    value = None if words is None else decode_value(words, register, template)
    if value is None or register.scale_register is None:
        return value
    exponent = _scale_exponent(image, register.scale_register)
    return None if exponent is None else value * 10.0**exponent


def _tiny(value: float | None) -> bool:
    return value is not None and 0 < abs(value) < _TINY


def _scale_exponent(image: RegisterImage, address: int) -> int | None:
    word = image.get(address)
    if word is None:
        return None
    exponent = word - 0x10000 if word & 0x8000 else word
    return exponent if abs(exponent) <= _MAX_SCALE_EXPONENT else None


def _unpack(words: Sequence[int], kind: str, word_order: str) -> int | float:
    ordered = words if word_order == "big" else list(reversed(words))
    data = b"".join(word.to_bytes(2, "big") for word in ordered)
    number: int | float = struct.unpack(_FORMATS[kind], data)[0]
    return number


def _is_sentinel(words: Sequence[int], raw: float, register: Register, template: Template) -> bool:
    """Sentinels are written as bit patterns (0x80000000) or as numbers (-1); both are understood."""
    codes = register.nan + template.nan.get(register.type, ())
    if not codes:
        return False
    ordered = words if (register.word_order or template.word_order) == "big" else list(reversed(words))
    pattern = int.from_bytes(b"".join(word.to_bytes(2, "big") for word in ordered), "big")
    return pattern in codes or raw in codes
