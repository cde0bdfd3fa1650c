"""SunSpec: the registers of a device made from values, for what we offer ourselves and for simulators.

Every point begins as "not available" in its own type's code. A value that does not fit into its
point at the scale that was set becomes "not available", never a wrapped or cut number.
"""

from __future__ import annotations

import math

from meters.sunspec import END_ID, MARK
from meters.sunspec_models import HEAD, Found, Point, encode, layout

_ABSENT = {"int16": 0x8000, "sunssf": 0x8000, "int32": 1 << 31, "int64": 1 << 63, "float32": 0x7FC00000, "float64": 0x7FF8 << 48, "pad": 0x8000}


class Image:
    """Registers from ``base`` on. words: address -> word. models: in their order."""

    def __init__(self, base: int = 40000) -> None:
        self.words: dict[int, int] = dict(enumerate(MARK, base))
        self.models: list[Found] = []
        self._end = base + len(MARK)

    def add(self, model_id: int, groups: int = 0) -> Found:
        """One more model with every point not available."""
        kind = layout(model_id)
        model = Found(model_id, self._end, kind.fixed - HEAD + groups * kind.group)
        for point in kind.points.values():
            self._set(model.address + point.offset, absent(point))
        for group in range(groups):
            for point in kind.repeated.values():
                self._set(model.address + point.offset + group * kind.group, absent(point))
        self._set(model.address, (model_id, model.length))
        self.models.append(model)
        self._end = model.end
        return model

    def skip(self, model_id: int, length: int, word: int = 0) -> Found:
        """A model nobody knows."""
        model = Found(model_id, self._end, length)
        self._set(model.address, (model_id, length, *[word] * length))
        self.models.append(model)
        self._end = model.end
        return model

    def close(self, end_id: int = END_ID) -> None:
        """The end mark behind the last model."""
        self._set(self._end, (end_id, 0))

    def put(self, model: Found, name: str, value: float | None, group: int | None = None) -> None:
        """Set a point in its unit; None, NaN and what does not fit make it not available. Its scale must be set before."""
        kind = layout(model.model_id)
        point = (kind.points if group is None else kind.repeated)[name]
        words = absent(point)
        if value is not None and math.isfinite(value):
            try:
                words = encode(point.type, value / 10.0 ** self._exponent(model, point))
            except ValueError:
                words = absent(point)
        self._set(model.address + point.offset + (group or 0) * kind.group, words)

    def fill(self, model: Found, **values: float | None) -> None:
        """Set several points outside of repeated groups, scale factors first."""
        for name in sorted(values, key=lambda name: not name.endswith("_SF")):
            self.put(model, name, values[name])

    def text(self, model: Found, name: str, text: str, group: int | None = None) -> None:
        """Set a string point; what is too long is cut."""
        kind = layout(model.model_id)
        point = (kind.points if group is None else kind.repeated)[name]
        data = text.encode()[: 2 * point.size].ljust(2 * point.size, b"\0")
        words = tuple(int.from_bytes(data[step : step + 2], "big") for step in range(0, len(data), 2))
        self._set(model.address + point.offset + (group or 0) * kind.group, words)

    def _exponent(self, model: Found, point: Point) -> int:
        if not point.scale:
            return 0
        if point.scale.lstrip("-").isdigit():
            return int(point.scale)
        word = self.words[model.address + layout(model.model_id).points[point.scale].offset]
        return 0 if word == 0x8000 else word - 0x10000 if word & 0x8000 else word

    def _set(self, address: int, words: tuple[int, ...]) -> None:
        self.words.update(enumerate(words, address))


def absent(point: Point) -> tuple[int, ...]:
    """The words for "not available" of a point's type."""
    if point.type == "string" or point.type.startswith("acc"):
        return (0,) * point.size
    bits = 16 * point.size
    code = _ABSENT.get(point.type, (1 << bits) - 1)
    return tuple((code >> shift) & 0xFFFF for shift in range(bits - 16, -16, -16))
