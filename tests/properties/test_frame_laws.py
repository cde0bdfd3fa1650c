"""Laws of frames: what we write is read back; any text parses or raises FrameError, nothing else."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from controller.ocpp import rpc

VERSIONS = st.sampled_from(["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
LETTERS = st.characters(codec="utf-8", exclude_characters="\x00")
TEXTS = st.text(LETTERS, max_size=20)
IDS = st.text(LETTERS, min_size=1, max_size=36)
ACTIONS = st.text(LETTERS, min_size=1, max_size=64)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12)
PAYLOADS = st.dictionaries(TEXTS, VALUES, max_size=5)

WORDS = ["[", "]", "{", "}", ",", ":", '"', "\\", '"a"', "2", "3", "4", "5", "6", "2.0", "-0", "1e999", "NaN", "Infinity", "null", "true", "{}"]
TOKENS = st.sampled_from([*WORDS, '"\\ud800"', '"\\u0000"', "\ufeff", "\ud800", " ", "\n", "9" * 301, '[2,"a","X",', '"a":', "[" * 70])


def read(text: str, version: str) -> tuple[rpc.Frame | None, rpc.FrameError | None]:
    """The frame or the one exception that is allowed."""
    try:
        return rpc.parse(text, version=version, max_bytes=4096), None
    except rpc.FrameError as error:
        return None, error


@given(IDS, ACTIONS, PAYLOADS, VERSIONS)
def test_a_call_is_read_back_as_written(message_id: str, action: str, payload: rpc.Payload, version: str) -> None:
    text = rpc.call_text(message_id, action, payload)
    assert rpc.parse(text, version=version) == rpc.Call(message_id, action, payload, text)


@given(IDS, PAYLOADS, VERSIONS)
def test_a_result_is_read_back_as_written(message_id: str, payload: rpc.Payload, version: str) -> None:
    text = rpc.result_text(message_id, payload)
    assert rpc.parse(text, version=version) == rpc.Result(message_id, payload, text)


@given(IDS, st.text(LETTERS), PAYLOADS, VERSIONS)
def test_an_error_is_read_back_with_its_description_cut(message_id: str, description: str, details: rpc.Payload, version: str) -> None:
    text = rpc.error_text(message_id, "GenericError", description, details, version=version)
    assert rpc.parse(text, version=version) == rpc.Error(message_id, "GenericError", description[:255], details, text)


@given(st.lists(TOKENS, max_size=30).map("".join) | st.text(), VERSIONS)
@example('[2,"a","X",{"v":' + "[" * 100, "ocpp2.1")
@example('"' * 9, "ocpp1.6")
def test_any_text_parses_or_raises_frame_error(text: str, version: str) -> None:
    frame, error = read(text, version)
    if error is not None:
        answer = rpc.error_text(error.message_id, error.code, error.detail, version=version)
        assert rpc.parse(answer, version=version).message_id == error.message_id
    if frame is not None:
        assert 1 <= len(frame.message_id) <= 36
        frame.text.encode()


@given(st.lists(SCALARS | VALUES, max_size=6), VERSIONS)
def test_any_json_array_parses_or_raises_frame_error(elements: list[object], version: str) -> None:
    text = json.dumps(elements)
    frame, error = read(text, version)
    if error is not None:
        assert error.message_id == "-1" or error.message_id in elements
    if frame is not None:
        assert frame.text == text


@given(st.integers(0, 80))
def test_depth_is_what_it_is(extra: int) -> None:
    """Strings full of brackets never count, real brackets always do."""
    nested: object = '[{"\\' * 3
    for _ in range(extra):
        nested = [nested]
    text = rpc.call_text("a", "DataTransfer", {"data": nested})
    frame, error = read(text, "ocpp2.0.1")
    assert (error is not None and error.detail.startswith("nested")) == (extra + 2 > rpc.MAX_DEPTH)
    assert (frame is None) == (error is not None)


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=40) | st.sampled_from(["a", "", '"', "\\", "x" * 36, "x" * 37, "\x7f", "é"]), VERSIONS)
@example("a", "ocpp2.0.1")
def test_the_quick_door_for_empty_answers_lets_in_what_the_strict_reader_does_and_nothing_else(inside: str, version: str) -> None:
    """``[3,"id",{}]`` has a door of its own; a space in front takes the long way round."""
    (quick, wrong), (slow, wrong_too) = read(f'[3,"{inside}",{{}}]', version), read(f' [3,"{inside}",{{}}]', version)
    assert (quick is None, wrong and wrong.detail) == (slow is None, wrong_too and wrong_too.detail)
    if isinstance(quick, rpc.Result) and isinstance(slow, rpc.Result):
        assert (quick.message_id, quick.payload) == (slow.message_id, slow.payload)


@given(PAYLOADS, st.sampled_from(["", " ", "\n"]), st.sampled_from(["", " ", "\t\r"]), VERSIONS)
def test_spaces_around_a_frame_change_nothing_but_its_text(payload: rpc.Payload, before: str, after: str, version: str) -> None:
    text = rpc.call_text("a", "DataTransfer", payload)
    assert rpc.parse(before + text + after, version=version) == rpc.Call("a", "DataTransfer", payload, before + text + after)
