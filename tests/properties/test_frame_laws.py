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
