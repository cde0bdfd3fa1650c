"""B16: fragments are counted however the bytes are cut."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.io.links.fragments import MOST, FragmentCounter

REQUEST = b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\n\r\n"


def frame(opcode: int, payload: bytes, last: bool = True) -> bytes:
    """A masked frame, as a client sends it."""
    length = len(payload)
    if length < 126:
        size = bytes([0x80 | length])
    else:
        size = b"\xfe" + length.to_bytes(2, "big") if length < 65_536 else b"\xff" + length.to_bytes(8, "big")
    return bytes([opcode | 0x80 * last]) + size + b"\0\0\0\0" + payload


def message(fragments: int, payload: bytes = b"x", between: bytes = b"") -> bytes:
    """One text message in so many frames, with something between them."""
    if fragments == 1:
        return frame(1, payload)
    middle = between.join(frame(0, payload, last=False) for _ in range(fragments - 2))
    return frame(1, payload, last=False) + between + middle + between + frame(0, payload)


def fed(chunks: Iterable[bytes]) -> bool:
    counter = FragmentCounter()
    return all(counter.feed(chunk) for chunk in chunks)


@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 125, b"x" * 126, b"x" * 65_535, b"x" * 65_536])
def test_whole_messages_of_any_length_are_no_fragments(payload: bytes) -> None:
    assert fed([REQUEST, *[frame(1, payload)] * (MOST + 10)])


def test_so_many_fragments_pass_and_one_more_does_not() -> None:
    assert fed([REQUEST, message(MOST)])
    assert not fed([REQUEST, message(MOST + 1)])


def test_endless_empty_fragments_are_noticed_though_no_message_ever_ends() -> None:
    assert not fed([REQUEST, frame(1, b"", last=False), *[frame(0, b"", last=False)] * (MOST + 1)])


def test_pings_between_fragments_neither_count_nor_start_the_count_anew() -> None:
    ping = frame(9, b"are you there")
    assert fed([REQUEST, message(MOST, between=ping)])
    assert not fed([REQUEST, message(MOST + 1, between=ping)])


def test_the_count_starts_anew_with_each_message() -> None:
    assert fed([REQUEST, *[message(200)] * 5])


def test_it_stays_said() -> None:
    counter = FragmentCounter()
    counter.feed(REQUEST + message(MOST + 1))
    assert not counter.feed(frame(1, b"fine again"))


def test_frames_behind_the_request_in_the_same_read_count() -> None:
    assert not fed([REQUEST + message(MOST + 1)])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000])
def test_however_the_bytes_are_cut_the_verdict_is_the_same(size: int) -> None:
    good = REQUEST + message(200, b"y" * 130) + frame(1, b"z" * 70_000) + frame(9, b"") + message(MOST, b"")
    bad = good + message(MOST + 1)
    assert fed(good[place : place + size] for place in range(0, len(good), size))
    assert not fed(bad[place : place + size] for place in range(0, len(bad), size))


@given(st.lists(st.tuples(st.integers(1, 300), st.binary(max_size=200)), max_size=6), st.integers(0, 2**32))
def test_random_traffic_cut_at_random(messages: list[tuple[int, bytes]], seed: int) -> None:
    stream = REQUEST + b"".join(message(count, payload) for count, payload in messages)
    chance, chunks = random.Random(seed), []
    while stream:
        cut = chance.randint(1, 400)
        chunks.append(stream[:cut])
        stream = stream[cut:]
    assert fed(chunks) == all(count <= MOST for count, _ in messages)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_are_read(chunks: list[bytes]) -> None:
    counter = FragmentCounter()
    assert all(isinstance(counter.feed(chunk), bool) for chunk in (REQUEST, *chunks))
