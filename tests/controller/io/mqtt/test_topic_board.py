"""Topic filters as MQTT 3.1.1 section 4.7 says, and listeners that cannot harm each other."""

from __future__ import annotations

import pytest

from controller.io.mqtt.topic_board import TopicBoard, matches


@pytest.mark.parametrize(
    ("pattern", "topic", "taken"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/uptime", False),
        ("+/uptime", "$SYS/uptime", False),
        ("$SYS/#", "$SYS/uptime", True),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
    ],
)
def test_filters_match_as_the_standard_says(pattern: str, topic: str, taken: bool) -> None:
    assert matches(pattern, topic) is taken


@pytest.mark.parametrize("pattern", ["", "a/#/b", "a#", "a+/b", "a/b+", "a\0b", "x" * 65_536])
def test_what_is_no_filter_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"topic|level"):
        TopicBoard().add(pattern, lambda *_: None)


def test_a_listener_that_fails_harms_only_itself() -> None:
    board, heard = TopicBoard(), []

    def fail(*_: object) -> None:
        raise RuntimeError("defect")

    board.add("a/+", fail)
    board.add("a/+", lambda *message: heard.append(message))
    board.add("a/#", lambda *message: heard.append(message))
    assert board.hand_over("a/b", b"1", True)
    assert heard == [("a/b", b"1", True)] * 2
    assert not board.hand_over("c", b"1", False)
    assert board.filters == ("a/+", "a/#"), "each filter is subscribed once"
