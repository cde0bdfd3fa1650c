"""A change is told once, and again when it has been over."""

from __future__ import annotations

from controller.orders import Severity, Tell
from controller.site.telling.changes import Changes


def test_each_topic_tells_a_change_once_and_again_after_it_was_over() -> None:
    changes = Changes()
    said = Tell(Severity.WARNING, "CP1/1", "held to its fallback")
    assert changes.tell("floor", *fields(said)) == [said]
    assert changes.tell("floor", *fields(said)) == []
    assert changes.tell("another topic", *fields(said)) == [said]
    other = Tell(Severity.INFO, "CP1/1", "something else")
    assert changes.tell("floor", *fields(other)) == [other]
    assert changes.tell("floor", *fields(said)) == [said]
    changes.over("floor")
    changes.over("nobody spoke of this")
    assert changes.tell("floor", *fields(said)) == [said]
    assert changes.tell("another topic", *fields(said)) == []


def fields(said: Tell) -> tuple[Severity, str, str]:
    return said.severity, said.subject, said.text
