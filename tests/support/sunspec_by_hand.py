"""SunSpec lists written word by word from the published models: offsets count from a model's id, as the standard's tables do.

The truth is that of ``field_images``: 2300 W at 230.0 V and 10 A, -1150 W at 230.5 V and 5 A, 4600 W at 229.5 V and 20 A, 5750 W together.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

NONE_16 = 0x8000
FLOAT_NAN = 0x7FC00000
SUNS = (0x5375, 0x6E53)
END = (0xFFFF, 0)


def model(model_id: int, length: int, places: Mapping[int, int], fill: int = 0) -> list[int]:
    """A model of so many registers after id and length. places: offset from the id -> word."""
    words = [model_id, length, *[fill] * length]
    for offset, word in places.items():
        words[offset] = word & 0xFFFF
    return words


def common(maker: str = "Acme", device: str = "One", length: int = 66) -> list[int]:
    """Model 1: maker at 2, device at 18, 16 words each."""
    places: dict[int, int] = {}
    for at, text in ((2, maker), (18, device)):
        data = text.encode().ljust(32, b"\0")
        places |= {at + step // 2: data[step] << 8 | data[step + 1] for step in range(0, 32, 2)}
    return model(1, length, places)


def meter_203(model_id: int = 203, length: int = 105, phases: int = 3, way: int = 1, **changes: int) -> list[int]:
    """Integers: 0.1 A, 0.1 V, 0.01 Hz, 10 W, 100 Wh. way -1: feeding in is positive. changes: word at offset, as w22=0x8000."""
    amps, volts, tens = (100, 50, 200), (2300, 2305, 2295), (230, -115, 460)
    places = {6: -1, 15: -1, 16: 5000, 17: -2, 22: 1, 54: 2}
    places |= dict.fromkeys((2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 19, 20, 21), NONE_16)
    for at in range(phases):
        places |= {3 + at: amps[at], 8 + at: volts[at], 19 + at: way * tens[at]}
    places |= {2: sum(amps[:phases]), 18: way * sum(tens[:phases])}
    exported, imported = 76_543, 1_234_567
    places |= {38: exported >> 16, 39: exported, 46: imported >> 16, 47: imported}
    return model(model_id, length, places | {int(name[1:]): word for name, word in changes.items()})


def _floats(places: Mapping[int, float | None]) -> dict[int, int]:
    words: dict[int, int] = {}
    for offset, value in places.items():
        raw = FLOAT_NAN if value is None else struct.unpack(">I", struct.pack(">f", value))[0]
        words |= {offset: raw >> 16, offset + 1: raw & 0xFFFF}
    return words


def meter_213(model_id: int = 213, phases: int = 3, way: int = 1) -> list[int]:
    """The same in floats."""
    amps, volts, watts = (10.0, 5.0, 20.0), (230.0, 230.5, 229.5), (2300.0, -1150.0, 4600.0)
    places: dict[int, float | None] = dict.fromkeys((2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 30, 32, 34))
    for at in range(phases):
        places |= {4 + 2 * at: amps[at], 12 + 2 * at: volts[at], 30 + 2 * at: way * watts[at]}
    places |= {26: 50.0, 28: way * sum(watts[:phases]), 60: 7_654_300.0, 68: 123_456_700.0}
    return model(model_id, 124, _floats(places))


def inverter_103(model_id: int = 103, state: int = 4) -> list[int]:
    """Gives 6900 W: 10 A on each phase at 230 V (0.1 A, 0.1 V, 0.01 Hz, 1 W, 1 kWh): 12 345 kWh so far."""
    places = {2: 300, 3: 100, 4: 100, 5: 100, 6: -1, 10: 2300, 11: 2300, 12: 2300, 13: -1, 14: 6900, 15: 0, 16: 5000, 17: -2}
    return model(model_id, 50, places | {24: 0, 25: 12_345, 26: 3, 38: state})


def inverter_113(model_id: int = 113, state: int = 4) -> list[int]:
    """The same in floats."""
    floats = {2: 30.0, 4: 10.0, 6: 10.0, 8: 10.0, 16: 230.0, 18: 230.0, 20: 230.0, 22: 6900.0, 24: 50.0, 32: 12_345_000.0}
    return model(model_id, 60, _floats(floats) | {48: state})


def der_701() -> list[int]:
    """A DER that gives 6900 W and has given 12 345 678 901 Wh, more than 32 bits hold. 10 W, 0.01 A, 0.1 V, 0.001 Hz, 1 Wh."""
    energy = 12_345_678_901
    places = {2: 2, 3: 1, 4: 3, 5: 1, 10: 690, 17: 0, 18: 50_000, 113: -2, 114: -1, 115: -3, 116: 1, 120: 0}
    places |= {19 + at: energy >> 16 * (3 - at) for at in range(4)}
    for first in (41, 64, 87):
        places |= {first: 230, first + 4: 1000, first + 6: 2300}
    return model(701, 153, places)


def ports_714(*ports: tuple[int, int]) -> list[int]:
    """DC ports: (type 0 PV or 1 storage, W / 10 that it gives)."""
    group = [0] * 25
    words = model(714, 18, {4: len(ports), 15: -1, 16: -1, 17: 1, 18: 0, 19: 0})
    for number, (kind, tens) in enumerate(ports, 1):
        one = list(group)
        one[0], one[1], one[12] = kind, number, tens & 0xFFFF
        words += one
    words[1] = len(words) - 2
    return words


def listed(*models: Sequence[int], base: int = 40000, end: Sequence[int] = END) -> dict[int, int]:
    """Address -> word."""
    words = [*SUNS]
    for one in models:
        words += one
    return dict(enumerate([*words, *end], base))
