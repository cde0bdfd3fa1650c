"""CALLs on their way: what is kept while they wait, and the ids they came under."""

from controller.link.held import MAX_ALSO, NOTHING, About, Held, Relay, addressed
from controller.ocpp import rpc
from controller.ocpp.dialect import TransactionEvent

VERSION = "ocpp1.6"


def call(message_id: str = "1", text: str = '[2,"1","Authorize",{"idTag":"A"}]') -> rpc.Call:
    frame = rpc.parse(text, version=VERSION)
    assert isinstance(frame, rpc.Call)
    return rpc.Call(message_id, frame.action, frame.payload, text)


def test_a_start_without_an_id_begins_one_with_an_id_does_not() -> None:
    assert About(TransactionEvent("", 1, ended=False, started=True)).begins
    assert not About(TransactionEvent("T", 1, ended=False, started=True)).begins
    assert About(TransactionEvent("T", 1, ended=False, started=True)).starts
    assert About(TransactionEvent("T", 1, ended=True)).ends
    assert (NOTHING.begins, NOTHING.starts, NOTHING.ends, NOTHING.transaction_id) == (False, False, False, "")


def test_a_relay_that_waits_keeps_its_text_only_and_is_complete_again_when_asked() -> None:
    relay = Relay(call(), NOTHING)
    relay.shed()
    assert relay._call.payload == {}
    assert relay.is_same(call())
    assert relay.call(VERSION).payload == {"idTag": "A"}


def test_ids_of_repeats_are_joined_once_and_not_without_end() -> None:
    relay = Relay(call(), NOTHING)
    for name in ("1", "a", "a", *map(str, range(100))):
        relay.join(name)
    assert relay.also[:2] == ("a", "0")
    assert len(relay.also) == MAX_ALSO
    held = Held(call(), NOTHING, "", "")
    for number in range(100):
        held.join(1, str(number))
        held.join(1, str(number))
    assert len(held.waiting) == MAX_ALSO + 1


def test_a_held_message_is_known_by_its_content_else_by_id_and_text() -> None:
    held = Held(call(), About(TransactionEvent("T", 1, ended=False), "k"), "", "T")
    assert held.is_same(call("other"), "k")
    assert not held.is_same(call(), "other key")
    assert held.is_same(call(), "")
    assert not held.is_same(call("2"), "")


def test_an_answer_under_another_id() -> None:
    same = '[3, "1", {"a" : 1}]'
    assert addressed(same, "1", VERSION) is same
    assert addressed(same, "2", VERSION) == '[3,"2",{"a":1}]'
    assert addressed('[4,"1","GenericError","no",{"x":1}]', "2", VERSION) == '[4,"2","GenericError","no",{"x":1}]'
