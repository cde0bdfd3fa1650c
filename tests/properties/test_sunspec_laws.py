"""SunSpec: any model with any values decodes to them; whatever is corrupted is refused or absent, never another believable number.

The device's side is encoded by pysunspec2, which knows nothing of our decoder.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sunspec2.device import Model

from meters.reading import ReadingError
from meters.sunspec import Conversation, Reader, Refused, Result, discover
from meters.sunspec_control import ControlError, control_reads, limit_production, read_battery, read_inverter, set_battery
from meters.sunspec_image import Image
from meters.sunspec_models import KNOWN, Found, Picture, layout
from meters.sunspec_values import METERS, Role, choose, quantities
from meters.template import Block
from tests.support.examples import examples
from tests.support.sunspec_images import listed, model_words, played

RANGES = {
    "int16": (-0x7FFF, 0x7FFF), "uint16": (0, 0xFFFE), "enum16": (0, 0xFFFE), "bitfield16": (0, 0xFFFE), "count": (0, 0xFFFE),
    "int32": (-0x7FFF_FFFF, 0x7FFF_FFFF), "uint32": (0, 0xFFFF_FFFE), "bitfield32": (0, 0xFFFF_FFFE), "acc32": (1, 0xFFFF_FFFF),
    "uint64": (0, 2**64 - 2), "acc64": (1, 2**64 - 1),
}  # fmt: skip
WRONG_CODES = {"uint16": 0x8000, "uint32": 1 << 31, "uint64": 1 << 63, "count": 0x8000}
"""The code of signed points of the same width: where it stands in an unsigned point nobody can tell it from the number (S1)."""


def numbers(kind: str) -> st.SearchStrategy[float]:
    if kind == "float32":
        return st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda value: value == 0 or abs(value) > 1e-29)
    low, high = RANGES[kind]
    return st.integers(low, high).filter(lambda value: value != WRONG_CODES.get(kind))


@st.composite
def filled(draw: st.DrawFn) -> tuple[int, dict[str, Any], dict[str, float | None]]:
    """A model's number, its raw values, and what they mean."""
    model_id = draw(st.sampled_from([model_id for model_id in KNOWN if model_id not in (1, 160, 714)]))
    raw: dict[str, Any] = {}
    scales: dict[str, int | None] = {}
    definitions = Model(model_id).gdef["points"]
    for point in definitions:
        if point["type"] == "sunssf":
            scales[point["name"]] = draw(st.one_of(st.none(), st.integers(-10, 10)))
            raw[point["name"]] = scales[point["name"]]
    meant: dict[str, float | None] = {}
    for point in definitions[2:]:
        name, kind = point["name"], point["type"]
        if kind in ("pad", "string", "sunssf"):
            continue
        value = draw(st.one_of(st.none(), numbers(kind)))
        raw[name] = value
        scale = scales[point["sf"]] if isinstance(point.get("sf"), str) else 0
        meant[name] = None if value is None or scale is None else value * 10.0**scale
    return model_id, {name: value for name, value in raw.items() if value is not None}, meant


def pictured(words: dict[int, int | None]) -> Picture:
    found = played(discover(), words)
    return played(Reader(found, tuple((model, 0) for model in found if model.usable)).poll(), words)


@settings(max_examples=examples(60), deadline=None)
@given(filled())
def test_any_values_are_read_as_they_are(case: tuple[int, dict[str, Any], dict[str, float | None]]) -> None:
    model_id, raw, meant = case
    picture = pictured(listed(model_words(1), model_words(model_id, raw)))
    model = picture.models[1]
    for name, value in meant.items():
        assert picture.value(model, name) == (None if value is None else pytest.approx(value, rel=1e-9, abs=0))


@settings(max_examples=examples(50), deadline=None)
@given(filled())
def test_our_own_registers_say_the_same(case: tuple[int, dict[str, Any], dict[str, float | None]]) -> None:
    """The image maker, which the Modbus server and simulators use, against pysunspec2."""
    model_id, raw, _ = case
    image = Image()
    model = image.add(model_id)
    for name in sorted(raw, key=lambda name: not name.endswith("_SF")):
        point = layout(model_id).points[name]
        unit = 10.0 ** image._exponent(model, point)
        image.put(model, name, raw[name] * unit)
    ours = [image.words[at] for at in range(model.address, model.end)]
    for name, point in layout(model_id).points.items():
        if point.type in ("int64", "uint64", "acc64", "pad") or "." in name:
            continue  # 64 bits do not go through floats; pads mean nothing
        theirs = model_words(model_id, raw)[point.offset : point.offset + point.size]
        assert ours[point.offset : point.offset + point.size] == theirs, name


@settings(max_examples=examples(60), deadline=None)
@given(
    st.sampled_from([(160, "module", "uint16", "N"), (714, "Prt", "int16", "NPrt")]),
    st.lists(st.one_of(st.none(), st.integers(0, 0x7FFF)), max_size=12),
    st.integers(-3, 3),
)
def test_repeated_groups_are_read_as_they_are(kind: tuple[int, str, str, str], powers: list[int | None], scale: int) -> None:
    """Also beyond the 125 registers of one read."""
    model_id, group, _, counter = kind
    groups = [{} if power is None else {"DCW": power} for power in powers]
    picture = pictured(listed(model_words(1), model_words(model_id, {"DCW_SF": scale, counter: len(powers)}, groups, group)))
    model = picture.models[1]
    assert [picture.value(model, "DCW", number) for number in picture.groups(model)] == [
        None if power is None else pytest.approx(power * 10.0**scale) for power in powers
    ]


@settings(max_examples=examples(50), deadline=None)
@given(st.sampled_from(METERS), st.integers(0, 200), st.integers(0, 0xFFFF))
def test_a_wrong_length_is_never_believed(model_id: int, length: int, junk: int) -> None:
    """The model is skipped by the length it says; it is used only with that of the standard."""
    true = model_words(model_id, {"W": 1234, **({"W_SF": 0} if model_id < 210 else {})})
    body = [*true[2:], *[junk] * 200][:length]
    words = listed(model_words(1), [model_id, length, *body])
    try:
        picture = pictured(words)
        source = choose(picture.models, "grid")
    except ReadingError:
        return
    assert source.main.length == layout(source.main.model_id).fixed - 2
    if length == true[1]:
        assert quantities(picture, source)["p"] == 1234.0


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from(["A_SF", "V_SF", "W_SF", "Hz_SF", "TotWh_SF"]), st.integers(0, 0xFFFF))
def test_a_corrupted_scale_hides_its_values_only(name: str, word: int) -> None:
    values = {"A_SF": -1, "V_SF": -1, "W_SF": 0, "Hz_SF": -2, "TotWh_SF": 0, "AphA": 45, "PhVphA": 2300, "W": 1035, "Hz": 5000, "TotWhImp": 7}
    words = model_words(203, values)
    words[layout(203).points[name].offset] = word
    picture = pictured(listed(model_words(1), words))
    got = quantities(picture, choose(picture.models, "grid"))
    touched = {"A_SF": "i_l1", "V_SF": "u_l1", "W_SF": "p", "Hz_SF": "f", "TotWh_SF": "e_imp"}
    exponent = word - 0x10000 if word & 0x8000 else word
    for scale, quantity in touched.items():
        true = {"i_l1": 4.5, "u_l1": 230.0, "p": 1035.0, "f": 50.0, "e_imp": 7.0}[quantity]
        if scale != name:
            assert got[quantity] == pytest.approx(true)
        elif abs(exponent) > 10:
            assert got[quantity] is None


class Rude:
    """A device that answers as hypothesis wants: words at random, refusals, short lists."""

    def __init__(self, data: st.DataObject, words: dict[int, int | None]) -> None:
        self.data, self.words = data, words

    def play(self, conversation: Conversation[Result]) -> Result:
        try:
            block = next(conversation)
            for _ in range(3000):
                block = conversation.send(self._answer(block))
        except StopIteration as end:
            result: Result = end.value
            return result
        raise AssertionError("the conversation does not end")

    def _answer(self, block: Block) -> list[int] | Refused:
        assert 1 <= block.length <= 125
        assert block.address >= 0
        assert block.end <= 0x10000
        kind = self.data.draw(st.sampled_from(["true", "true", "true", "true", "noise", "refuse"]))
        if kind == "refuse":
            return Refused(self.data.draw(st.sampled_from([1, 2, 3, 4, 6])))
        if kind == "noise":
            return self.data.draw(st.lists(st.integers(0, 0xFFFF), min_size=block.length, max_size=block.length))
        return [self.words.get(at) or 0 for at in range(block.address, block.end)]


@settings(max_examples=examples(100), deadline=None)
@given(st.data())
def test_no_device_can_break_anything(data: st.DataObject) -> None:
    """Conversations end, errors are ours, and commands are made of writable points only."""
    device = Rude(data, listed(*(model_words(model_id) for model_id in (1, 103, 121, 123, 124, 203))))
    role: Role = data.draw(st.sampled_from(["grid", "pv", "battery"]))
    try:
        found = device.play(discover())
        picture = device.play(Reader(found, control_reads(found)).poll())
        source = choose(found, role)
        quantities(device.play(Reader(found, source.wanted).poll()), source)
    except ReadingError:
        return
    read_inverter(picture)
    read_battery(picture)
    try:
        commands = [limit_production(picture, 1000.0, 60.0), set_battery(picture, -500.0, 60.0)]
    except ControlError:
        return
    for command in commands:
        for write in command.writes:
            assert _all_writable(picture.models, write.address, len(write.words))


def _all_writable(models: tuple[Found, ...], address: int, count: int) -> bool:
    spans = {
        model.address + point.offset + step
        for model in models
        if model.usable
        for point in layout(model.model_id).points.values()
        if point.writable
        for step in range(point.size)
    }
    return all(at in spans for at in range(address, address + count))


@settings(max_examples=examples(100), deadline=None)
@given(
    st.floats(-20_000, 20_000),
    st.integers(1, 32_000),
    st.integers(-4, 1),
    st.integers(-3, 0),
    st.floats(0.5, 3600),
)
def test_a_setpoint_read_back_is_never_more_than_was_asked(watts: float, most: int, power_sf: int, rate_sf: int, life_s: float) -> None:
    values = {"WChaMax": most, "WChaMax_SF": power_sf, "StorCtl_Mod": 0, "OutWRte": 0, "InWRte": 0, "InOutWRte_SF": rate_sf, "InOutWRte_RvrtTms": 0}
    if 100 / 10.0**rate_sf > 0x7FFF:
        return  # such a scale cannot say 100 percent
    picture = pictured(listed(model_words(1), model_words(124, values)))
    try:
        command = set_battery(picture, watts, life_s)
    except ControlError:
        assert most == 0x8000
        return
    words = dict(picture.words)
    for write in command.writes:
        words.update(enumerate(write.words, write.address))
    state = read_battery(Picture(picture.models, words))
    taken = command.power_w
    assert taken is not None
    assert abs(taken) <= abs(watts) + 1e-6
    assert abs(taken) <= most * 10.0**power_sf + 1e-6
    assert taken * watts >= 0
    if state.command_w is not None:
        assert state.command_w == pytest.approx(taken, abs=1e-6)
