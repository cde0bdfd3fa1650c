"""Finding models and reading them, against images; servers over TCP are in tests/faults/test_sunspec_traps.py."""

from __future__ import annotations

import pytest

from meters.reading import ReadingError
from meters.sunspec import MovedError, Reader, Refused, discover, summary
from meters.sunspec_control import control_reads
from meters.sunspec_models import Found, Picture, blocks_of, boundaries, halves, layout
from meters.sunspec_values import choose
from meters.template import Block
from tests.support.sunspec_images import FIMER_VENDOR, SMA_160, listed, model_words, played

COMMON = model_words(1, {"Mn": "Maker"})


def ids(models: tuple[Found, ...]) -> list[int]:
    return [model.model_id for model in models]


@pytest.mark.parametrize("base", [40000, 50000, 0])
def test_the_list_is_found_at_each_base(base: int) -> None:
    models = played(discover(), listed(COMMON, model_words(203), base=base))
    # The mark takes 2 registers, model 1 takes 2 + 66.
    assert models == (Found(1, base + 2, 66), Found(203, base + 70, 105))


def test_only_the_named_base_is_asked() -> None:
    asked: list[Block] = []
    with pytest.raises(ReadingError, match="no list of models at 50000"):
        played(discover((50000,)), listed(COMMON), asked)
    assert asked == [Block(50000, 2)]


def test_no_sunspec_says_where_it_was_looked_for() -> None:
    with pytest.raises(ReadingError, match="40000, 50000, 0"):
        played(discover(), {})


def test_something_else_at_the_base_is_no_list() -> None:
    with pytest.raises(ReadingError, match="no SunSpec"):
        played(discover(), dict.fromkeys(range(40000, 40100), 7) | {50000: 1, 50001: 2, 0: 0, 1: 0})


def test_a_busy_device_is_not_taken_for_a_short_list() -> None:
    conversation = discover()
    next(conversation)
    conversation.send([0x5375, 0x6E53])
    conversation.send([1, 66])
    with pytest.raises(ReadingError, match="busy"):
        conversation.send(Refused(6, "device busy"))


def test_a_length_beyond_the_last_address_ends_the_list() -> None:
    models = played(discover(), listed(COMMON, [203, 0xFFF0], end=()))
    assert ids(models) == [1]


def test_a_list_may_end_with_the_last_address() -> None:
    """A model whose last register is 65535 is whole; there is no room for an end mark."""
    base = 0x10000 - 2 - 68 - 107
    models = played(discover((base,)), listed(COMMON, model_words(203, {"W": 5, "W_SF": 0}), base=base, end=()))
    assert [(model.model_id, model.end) for model in models] == [(1, 0x10000 - 107), (203, 0x10000)]
    longer = played(discover((base + 1,)), listed(COMMON, [203, 105, *[0] * 104], base=base + 1, end=()))
    assert ids(longer) == [1]


def test_what_is_read_for_a_meter_or_a_command_ends_with_a_point() -> None:
    models = tuple(Found(model_id, 100, layout(model_id).fixed - 2) for model_id in (201, 213, 701))
    for model in models:
        for source in (choose((model,), "grid", (model.model_id,)).wanted, control_reads((model,))):
            for _, registers in source:
                assert registers in (0, *boundaries(model))


def test_a_list_that_goes_round_for_ever_ends() -> None:
    endless = dict.fromkeys(range(0x10000), 5) | {0: 0x5375, 1: 0x6E53}
    assert len(played(discover((0,)), endless)) <= 250


def test_a_known_model_of_another_length_is_listed_and_not_used() -> None:
    models = played(discover(), listed(COMMON, [203, 50, *[0] * 50], model_words(103)))
    assert ids(models) == [1, 203, 103]
    assert [model.usable for model in models] == [True, False, True]
    assert summary(models) == "1, 203 (length 50 does not fit), 103"


@pytest.mark.parametrize(
    ("model_id", "length", "fits"),
    [
        *[(1, 66, True), (1, 65, True), (1, 64, False), (203, 105, True), (203, 104, False), (213, 124, True), (103, 50, True), (113, 60, True)],
        *[(160, 8, True), (160, 48, True), (160, 88, True), (160, 47, False), (714, 18, True), (714, 68, True), (714, 60, False)],
        *[(701, 153, True), (701, 121, True), (701, 120, False), (704, 65, True), (123, 24, True), (124, 24, True), (802, 62, True)],
    ],
)
def test_lengths_of_the_standard(model_id: int, length: int, fits: bool) -> None:
    assert layout(model_id).fits(length) is fits


def test_a_model_is_read_from_its_id_in_whole_points() -> None:
    # 213 has 126 registers, id and length included, and float points of two: 125 would cut the last one but one in half.
    assert blocks_of(Found(213, 40070, 124)) == (Block(40070, 124), Block(40194, 2))
    assert blocks_of(Found(213, 40070, 124), upto=76) == (Block(40070, 76),)


def test_halves_cut_between_points() -> None:
    model = Found(213, 100, 124)
    first, second = halves(model, Block(100, 5 + 1))  # ID, L, A (2), AphA (2)
    assert (first, second) == (Block(100, 4), Block(104, 2)) or (first, second) == (Block(100, 2), Block(102, 4))
    assert halves(model, Block(104, 2)) == (Block(104, 2),)


def test_what_was_refused_is_not_asked_again() -> None:
    words = listed(COMMON, SMA_160)
    models = played(discover(), words)
    reader = Reader(models, ((models[1], 0),))
    first: list[Block] = []
    second: list[Block] = []
    picture = played(reader.poll(), words, first)
    again = played(reader.poll(), words, second)
    assert picture.words == again.words
    assert len(second) < len(first)
    assert all(block in first for block in second)
    assert picture.value(models[1], "N") == 6
    readable = {at for at, word in words.items() if word is not None and models[1].address <= at < models[1].end}
    # Points that cannot be read whole are lost, the others are all there: DCWH and Tms are pairs with one bad register.
    assert set(picture.words) <= readable
    assert picture.value(models[1], "DCW", 0) is None


def test_short_answers_suit_devices_that_take_few_registers() -> None:
    words = listed(COMMON, model_words(203, {"W": 1234, "W_SF": 0}))
    models = played(discover(), words, most=10)
    picture = played(Reader(models, ((models[1], 0),)).poll(), words, most=10)
    assert picture.value(models[1], "W") == 1234


def test_a_model_that_is_gone_is_noticed() -> None:
    words = listed(COMMON, model_words(203))
    models = played(discover(), words)
    reader = Reader(models, ((models[1], 0),))
    with pytest.raises(MovedError):
        played(reader.poll(), listed(COMMON, model_words(213)))
    with pytest.raises(MovedError):
        played(reader.poll(), {})


def test_a_device_that_refuses_everything_is_not_asked_register_by_register() -> None:
    words = listed(COMMON, model_words(203))
    models = played(discover(), words)
    asked: list[Block] = []
    with pytest.raises(MovedError):
        played(Reader(models, ((models[1], 55),)).poll(), {}, asked)
    assert len(asked) <= 8


def test_strings_and_unknown_bytes() -> None:
    words = listed(COMMON)
    words[40004] = 0xC328  # no UTF-8: left out
    models = played(discover(), words)
    assert Picture(models, {at: word for at, word in words.items() if word is not None}).text(models[0], "Mn") == "(ker"


def test_vendor_models_are_skipped() -> None:
    models = played(discover(), listed(COMMON, *FIMER_VENDOR, model_words(203)))
    assert ids(models) == [1, 65230, 65232, 203]
    assert "65230 (unknown)" in summary(models)
