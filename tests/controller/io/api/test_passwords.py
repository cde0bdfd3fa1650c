"""Slow checks of passwords: remembered when right, never made twice for it, two at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from controller.io.api.passwords import PasswordChecker
from controller.link.secrets import salted_hash

OLD, NEW = (salted_hash(text, bytes(16), 2**10) for text in ("the old password!", "the new password!"))


@pytest.fixture
def checker() -> Iterator[PasswordChecker]:
    checker = PasswordChecker()
    yield checker
    checker.close()


async def test_what_was_right_is_remembered_and_not_checked_again(checker: PasswordChecker) -> None:
    assert checker.remembered("CP1", b"the new password!", (OLD, NEW)) is None
    assert await checker.which("CP1", b"the new password!", (OLD, NEW)) == NEW
    assert checker.checked == 1
    assert checker.remembered("CP1", b"the new password!", (OLD, NEW)) == NEW
    assert checker.remembered("CP1", b"the old password!", (OLD, NEW)) is None
    assert checker.remembered("CP2", b"the new password!", (OLD, NEW)) is None
    assert checker.remembered("CP1", b"the new password!", (OLD,)) is None
    assert "new password" not in repr(vars(checker))


async def test_what_was_wrong_is_not_remembered(checker: PasswordChecker) -> None:
    assert await checker.which("CP1", b"a guess", (OLD, NEW)) is None
    assert checker.remembered("CP1", b"a guess", (OLD, NEW)) is None


async def test_a_hash_that_counts_no_more_is_forgotten(checker: PasswordChecker) -> None:
    await checker.which("CP1", b"the old password!", (OLD,))
    await checker.which("CP2", b"the old password!", (OLD,))
    checker.forget("CP1", (NEW,))
    assert checker.remembered("CP1", b"the old password!", (OLD, NEW)) is None
    assert checker.remembered("CP2", b"the old password!", (OLD, NEW)) == OLD


async def test_a_damaged_hash_matches_nothing_and_hides_no_good_one(checker: PasswordChecker) -> None:
    assert await checker.which("CP1", b"the new password!", ("scrypt$damaged", NEW)) == NEW


async def test_the_event_loop_goes_on_meanwhile(checker: PasswordChecker) -> None:
    costly = salted_hash("the old password!", bytes(16))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    found = await asyncio.gather(*(checker.which("CP1", b"the old password!", (costly,)) for _ in range(4)))
    counting.cancel()
    assert found == [costly] * 4
    assert turns > 4, "the checks ran in threads"


async def test_closing_twice_and_checking_again_is_harmless(checker: PasswordChecker) -> None:
    await checker.which("CP1", b"x", (OLD,))
    checker.close()
    checker.close()
    assert await checker.which("CP1", b"the old password!", (OLD,)) == OLD
