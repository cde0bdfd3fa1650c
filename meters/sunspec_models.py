"""SunSpec models: where each point is inside a model, and what its registers say.

The definitions are the JSON files that ship with pysunspec2; only their data is used. A
``Picture`` is what was read of one device: the models that were found and the words that could
be read. Points that were not read, "not available" codes, wrong "not available" codes (S1) and
values whose scale factor is missing or out of range are None, never 0 and never unscaled.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from meters.template import Block

KNOWN = (
    *(1, 101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124, 160, 201, 202, 203, 204, 211, 212, 213, 214),
    *(701, 702, 703, 704, 713, 714, 802),
)
"""Models that are decoded; every other one is skipped by its length (S5)."""

HEAD = 2
"""Registers of a model before its body: id and length. Offsets count from the id."""

_OTHER_LENGTHS = {1: (65,), 701: (121,), 704: (57,)}
"""Lengths that are also in the field: model 1 without its pad (S4), 701 without the maker's text, 704 without power factors."""

_REPEATED = {160: "module", 714: "Prt"}
_COUNTED_BY = {160: "N", 714: "NPrt"}
_MAX_EXPONENT = 10
_FORMATS = {"int16": ">h", "sunssf": ">h", "int32": ">i", "int64": ">q", "float32": ">f", "float64": ">d"}
_TINY = 1e-30  # a float whose bits are an integer's code, e.g. 0x80008000


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a model. offset, size: registers, from the model's id. scale: the point with its exponent, "" = none."""

    name: str
    type: str
    offset: int
    size: int
    scale: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """One model of the standard. fixed: registers without the repeated group, id and length included."""

    model_id: int
    points: Mapping[str, Point]
    repeated: Mapping[str, Point]
    fixed: int
    group: int

    def fits(self, length: int) -> bool:
        """True if a model of this length [registers after id and length] can be what it says it is."""
        if self.group:
            return length >= self.fixed - HEAD and (length - self.fixed + HEAD) % self.group == 0
        return length == self.fixed - HEAD or length in _OTHER_LENGTHS.get(self.model_id, ())

    def groups(self, length: int) -> int:
        """How many repeated groups a model of this length holds."""
        return (length + HEAD - self.fixed) // self.group if self.group else 0


@dataclass(frozen=True, slots=True)
class Found:
    """A model in a device. address: of its id register; length: what it says, without id and length."""

    model_id: int
    address: int
    length: int

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.address + HEAD + self.length

    @property
    def usable(self) -> bool:
        """Known to us, and as long as the standard says."""
        return self.model_id in KNOWN and layout(self.model_id).fits(self.length)


@dataclass(frozen=True, slots=True)
class Picture:
    """What was read of a device: its models in their order, and address -> word."""

    models: tuple[Found, ...]
    words: Mapping[int, int]

    def first(self, *ids: int) -> Found | None:
        """The first usable model with one of these ids; ids in order of preference."""
        return next((model for wanted in ids for model in self.models if model.model_id == wanted and model.usable), None)

    def value(self, model: Found | None, name: str, group: int | None = None) -> float | None:
        """A point's number in its unit, scaled; None = not available. group: number of the repeated group, from 0."""
        if model is None:
            return None
        kind = layout(model.model_id)
        point = kind.points.get(name) if group is None else kind.repeated.get(name)
        if point is None:
            return None
        raw = self.raw(model, point, group)
        if raw is None or not point.scale:
            return raw
        exponent = self.exponent(model, point)
        return None if exponent is None else raw * 10.0**exponent

    def exponent(self, model: Found, point: Point) -> int | None:
        """A point's scale, -10..10; None = not available or out of range, so that the value cannot be known."""
        if point.scale.lstrip("-").isdigit():
            return int(point.scale)
        raw = self.raw(model, layout(model.model_id).points[point.scale])
        return int(raw) if raw is not None and abs(raw) <= _MAX_EXPONENT else None

    def raw(self, model: Found, point: Point, group: int | None = None) -> float | None:
        """The number in a point's registers, unscaled."""
        words = self.at(model, point, group)
        return None if words is None else decode(point.type, words)

    def at(self, model: Found, point: Point, group: int | None = None) -> list[int] | None:
        """A point's words; None if one of them was not read or is beyond the model."""
        offset = point.offset + (group or 0) * layout(model.model_id).group
        if offset + point.size > model.length + HEAD:
            return None
        words = [self.words.get(model.address + offset + step) for step in range(point.size)]
        return None if None in words else [word for word in words if word is not None]

    def text(self, model: Found | None, name: str, group: int | None = None) -> str:
        """A string point, "" = not available. Bytes that are no text are left out."""
        if model is None:
            return ""
        kind = layout(model.model_id)
        words = self.at(model, (kind.points if group is None else kind.repeated)[name], group)
        data = b"".join(word.to_bytes(2, "big") for word in words or [])
        return data.split(b"\0")[0].decode("utf-8", "ignore").strip()

    def groups(self, model: Found) -> range:
        """Numbers of the repeated groups that are there: as many as the model counts, if it is long enough for them."""
        held = layout(model.model_id).groups(model.length)
        counter = _COUNTED_BY.get(model.model_id)
        said = self.value(model, counter) if counter else None
        return range(held if said is None else int(said) if said <= held else 0)


@cache
def layout(model_id: int) -> Layout:
    """The standard's definition of a model in ``KNOWN``."""
    text = (files("sunspec2") / "models" / "json" / f"model_{model_id}.json").read_text("utf-8")
    top = json.loads(text)["group"]
    repeated_name = _REPEATED.get(model_id)
    points: dict[str, Point] = {}
    offset = 0
    for prefix, group in _plain_groups(top, repeated_name):
        offset = _place(points, prefix, group["points"], offset)
    repeated: dict[str, Point] = {}
    end = offset
    if repeated_name is not None:
        end = _place(repeated, "", next(group for group in top["groups"] if group["name"] == repeated_name)["points"], offset)
    return Layout(model_id, points, repeated, fixed=offset, group=end - offset)


def decode(kind: str, words: list[int]) -> float | None:
    """The number of a point's words, or None for "not available", rightly or wrongly coded (S1). Strings and pads have none."""
    number = int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words), "big")
    bits = 16 * len(words)
    if kind in ("string", "pad"):
        return None
    if kind.startswith("acc"):
        return number or None
    if number == (1 << (bits - 1)) and not kind.startswith(("float", "bitfield", "enum")):
        return None  # right for signed points; SMA writes it in unsigned ones, too
    if kind in _FORMATS:
        return _signed_or_float(kind, number, bits)
    return None if number == (1 << bits) - 1 else number


def encode(kind: str, number: float) -> tuple[int, ...]:
    """The words of an unscaled number: the inverse of ``decode``. Raises ValueError when it does not fit or means "not available"."""
    bits = {"16": 16, "32": 32, "64": 64}.get(kind[-2:], 16)
    try:
        if kind in _FORMATS:
            data = struct.pack(_FORMATS[kind], number if kind.startswith("float") else round(number))
        else:
            data = round(number).to_bytes(bits // 8, "big")
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{number:g} does not fit into {kind}") from error
    words = [int.from_bytes(data[step : step + 2], "big") for step in range(0, len(data), 2)]
    if decode(kind, words) is None and not kind.startswith("acc"):
        raise ValueError(f"{number:g} would mean not available in {kind}")
    return tuple(words)


def blocks_of(model: Found, upto: int = 0) -> tuple[Block, ...]:
    """How a model is read, id first: whole points only, at most 125 registers at once. upto: registers that are needed, 0 = all."""
    cuts = boundaries(model)
    end = min(model.length + HEAD, upto or model.length + HEAD)
    blocks: list[Block] = []
    start = 0
    while start < end:
        stop = max((cut for cut in cuts if start < cut <= start + 125), default=start + 125)
        blocks.append(Block(model.address + start, min(stop, end) - start))
        start = min(stop, end)
    return tuple(blocks)


def halves(model: Found, block: Block) -> tuple[Block, ...]:
    """A refused block in two, cut between points (S7); itself if it holds one point only."""
    start = block.address - model.address
    inside = [cut for cut in boundaries(model) if start < cut < start + block.length]
    if not inside:
        return (block,)
    cut = min(inside, key=lambda at: abs(at - start - block.length / 2))
    return Block(block.address, cut - start), Block(model.address + cut, block.length - (cut - start))


def boundaries(model: Found) -> list[int]:
    """Offsets at which a point of the model ends."""
    kind = layout(model.model_id)
    ends = [point.offset + point.size for point in kind.points.values()]
    for group in range(kind.groups(model.length)):
        ends += [point.offset + point.size + group * kind.group for point in kind.repeated.values()]
    return sorted({end for end in ends if end <= model.length + HEAD})


def _signed_or_float(kind: str, number: int, bits: int) -> float | None:
    value: float = struct.unpack(_FORMATS[kind], number.to_bytes(bits // 8, "big"))[0]
    if not kind.startswith("float"):
        return value
    return value if math.isfinite(value) and (value == 0 or abs(value) > _TINY) else None


def _plain_groups(top: Mapping[str, Any], repeated: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "", top
    for group in top.get("groups", []):
        if group["name"] != repeated:
            yield f"{group['name']}.", group


def _place(points: dict[str, Point], prefix: str, definitions: list[Mapping[str, Any]], offset: int) -> int:
    for item in definitions:
        scale = str(item.get("sf", ""))
        points[prefix + item["name"]] = Point(item["name"], item["type"], offset, int(item["size"]), scale, writable=item.get("access") == "RW")
        offset += int(item["size"])
    return offset
