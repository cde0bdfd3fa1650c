"""Ids that cannot collide."""

import uuid

from controller.link.ids import IdSource, jitter


def test_ids_are_uuids_and_differ() -> None:
    source = IdSource("seed")
    ids = {source.fresh() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(str(uuid.UUID(text)) == text for text in ids)


def test_another_start_gives_other_ids() -> None:
    first, second = IdSource("start 1"), IdSource("start 2")
    assert not {first.fresh() for _ in range(100)} & {second.fresh() for _ in range(100)}


def test_jitter_is_in_range_and_repeatable() -> None:
    values = [jitter(f"CP{n}", 1) for n in range(200)]
    assert all(0.0 <= value < 1.0 for value in values)
    assert values == [jitter(f"CP{n}", 1) for n in range(200)]
