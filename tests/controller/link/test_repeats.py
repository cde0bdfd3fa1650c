"""The same message again: by content for ever, by id for a minute, bounded."""

from controller.link.repeats import KEPT, REPEAT_S, Repeats, key_of
from controller.ocpp import rpc


def call(message_id: str = "1", text: str = "[2]") -> rpc.Call:
    return rpc.Call(message_id, "StartTransaction", {}, text)


def test_a_content_is_known_under_any_id_and_on_any_connection() -> None:
    repeats = Repeats()
    repeats.keep(call(), "k", "answer", 0.0, "T1", begins=True)
    repeats.connected()
    known = repeats.of_key("k")
    assert known is not None
    assert (known.answer_text, known.transaction_id) == ("answer", "T1")
    assert repeats.of_key("other") is None
    assert repeats.of_key("") is None


def test_an_id_is_known_for_a_minute_with_its_text_on_its_connection() -> None:
    repeats = Repeats()
    repeats.keep(call(), "", "answer", 0.0)
    assert repeats.of_id(call(), REPEAT_S) is not None
    assert repeats.of_id(call(), REPEAT_S + 1.0) is None
    assert repeats.of_id(call(text="[2,other]"), 0.0) is None
    repeats.connected()
    assert repeats.of_id(call(), 0.0) is None


def test_the_end_of_a_transaction_frees_its_start() -> None:
    repeats = Repeats()
    repeats.keep(call(), "start", "a", 0.0, "T1", begins=True)
    repeats.keep(call(), "reading", "b", 0.0, "T1")
    repeats.keep(call(), "other", "c", 0.0, "T2", begins=True)
    repeats.ended("T1")
    assert [repeats.of_key(key) is not None for key in ("start", "reading", "other")] == [False, True, True]


def test_what_was_acknowledged_before_a_restart_is_known_without_its_answer() -> None:
    repeats = Repeats()
    repeats.restore([("k", "T1"), ("", "T2")])
    known = repeats.of_key("k")
    assert known is not None
    assert (known.answer_text, known.transaction_id, len(repeats)) == (None, "T1", 1)


def test_the_oldest_are_forgotten() -> None:
    repeats = Repeats()
    for number in range(10 * KEPT):
        repeats.keep(call(str(number)), f"k{number}", "a", 0.0)
        repeats.keep(call(str(number)), "", "a", 0.0)
    assert len(repeats) == 2 * KEPT
    assert repeats.of_key(f"k{10 * KEPT - 1}") is not None


def test_keys_name_nobody_and_tell_actions_apart() -> None:
    assert key_of("A", "") == ""
    assert len(key_of("A", "content" * 100)) == 16
    assert key_of("A", "x") != key_of("B", "x")
    assert key_of("A", "\ud800") != key_of("A", "y")
