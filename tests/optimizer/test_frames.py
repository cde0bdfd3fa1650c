"""Messages on the pipe: what goes in comes out, everything else is noticed at the header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.frames import HEADER_BYTES, MAX_BODY_BYTES, FrameError, body_length, frame


@given(st.binary(max_size=300))
def test_a_message_announces_its_own_length(body: bytes) -> None:
    message = frame(body)
    assert message[HEADER_BYTES:] == body
    assert body_length(message[:HEADER_BYTES]) == len(body)


@given(st.binary(max_size=12))
def test_any_bytes_are_a_header_or_a_frame_error(header: bytes) -> None:
    try:
        assert 0 <= body_length(header) <= MAX_BODY_BYTES
    except FrameError:
        assert len(header) != HEADER_BYTES or header[:4] != b"YMP1" or int.from_bytes(header[4:], "big") > MAX_BODY_BYTES


@pytest.mark.parametrize("header", [b"", b"YMP1", b"Welcome ", b"YMP1\xff\xff\xff\xff", b"ymp1\x00\x00\x00\x01"])
def test_chatter_and_giants_are_refused(header: bytes) -> None:
    with pytest.raises(FrameError):
        body_length(header)


def test_a_message_too_long_is_not_even_sent() -> None:
    with pytest.raises(FrameError, match="longer"):
        frame(bytes(MAX_BODY_BYTES + 1))
