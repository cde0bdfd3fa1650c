"""Memories of the faces: nothing goes on before its words are on disk, and nothing the disk refused is forgotten."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from controller.facts import Stamp
from controller.link.keeper import NOT_KEPT, Keeper, Outcome
from controller.ocpp.hub import Reply, Said
from controller.orders import Persist, Severity, Tell

AT = Stamp(1.0, 2.0)


class Desk:
    """A keeper and what its callers have heard."""

    def __init__(self) -> None:
        tokens = count(1)
        self.keeper = Keeper(lambda: next(tokens))
        self.heard: list[tuple[str, Reply]] = []

    def keep(self, name: str) -> list[Outcome]:
        def then(at: Stamp, reply: Reply) -> list[Outcome]:
            self.heard.append((name, reply))
            return []

        return self.keeper.keep(AT, then)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def written(outcomes: list[Outcome]) -> tuple[int, dict[tuple[str, str], Any]]:
    (order,) = outcomes
    assert isinstance(order, Persist)
    return order.token, order.remember


def test_nothing_new_needs_no_disk(desk: Desk) -> None:
    assert desk.keep("a") == []
    assert desk.heard == [("a", Said({}))]


def test_changes_of_all_memories_go_together_and_the_caller_waits(desk: Desk) -> None:
    desk.keeper.memory("leg:CP1").put("x", 1)
    desk.keeper.memory("site").put("number", 7)
    token, remember = written(desk.keep("a"))
    assert remember == {("hub:leg:CP1", "x"): 1, ("hub:site", "number"): 7}
    assert desk.heard == []
    desk.keeper.persisted(AT, token)
    assert desk.heard == [("a", Said({}))]


def test_words_another_has_sent_to_the_disk_are_waited_for(desk: Desk) -> None:
    memory = desk.keeper.memory("m")
    memory.put("x", 1)
    token, _ = written(desk.keep("a"))
    assert desk.keep("b") == []
    assert desk.heard == []
    desk.keeper.persisted(AT, token)
    assert [name for name, _ in desk.heard] == ["a", "b"]


def test_what_the_disk_refused_is_written_with_the_next(desk: Desk) -> None:
    memory = desk.keeper.memory("m")
    memory.put("x", 1)
    token, _ = written(desk.keep("a"))
    (told,) = desk.keeper.persist_failed(AT, token)
    assert isinstance(told, Tell)
    assert told.severity is Severity.ALARM
    assert desk.heard == [("a", NOT_KEPT)]
    memory.put("y", 2)
    token, remember = written(desk.keep("b"))
    assert remember == {("hub:m", "x"): 1, ("hub:m", "y"): 2}
    assert desk.keeper.persist_failed(AT, token) == []  # told once
    assert written(desk.keep("c"))[1] == remember


def test_what_was_deleted_is_deleted_on_disk(desk: Desk) -> None:
    memory = desk.keeper.memory("m")
    memory.put("x", 1)
    desk.keeper.persisted(AT, written(desk.keep("a"))[0])
    memory.put("x", None)
    assert written(desk.keep("b"))[1] == {("hub:m", "x"): None}


def test_restored_memories_are_the_same_objects(desk: Desk) -> None:
    memory = desk.keeper.memory("m")
    desk.keeper.restore({("hub:m", "x"): 1, ("link", "CP1"): {"version": "ocpp1.6"}})
    assert memory.get("x") == 1
    assert desk.keep("a") == []  # reading is no change
