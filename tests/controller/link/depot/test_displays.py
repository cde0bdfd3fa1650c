"""Messages on the displays of a depot (O01-O06)."""

from __future__ import annotations

from typing import Any

from tests.support.depot_book import DepotBook, Payload
from tests.support.desk import UUID_A, asked, desk, says

ACCEPTED = {"status": "Accepted"}


def shown(message_id: int = 1, **more: Any) -> Payload:
    return {"message": {"id": message_id, "priority": "NormalCycle", "message": {"format": "UTF8", "content": "Hello"}, **more}}


def willing() -> DepotBook:
    book = desk()
    for action in ("SetDisplayMessage", "ClearDisplayMessage", "GetDisplayMessages"):
        says(book, action, CP20=ACCEPTED, CP21=ACCEPTED)
    return book


def test_for_all_it_goes_to_every_display_and_those_without_are_named() -> None:
    book = willing()
    answer = book.csms("SetDisplayMessage", shown())
    assert answer["status"] == "Accepted"
    assert "CP16" in answer["statusInfo"]["additionalInfo"]
    assert asked(book, "CP20", "SetDisplayMessage") == asked(book, "CP21", "SetDisplayMessage") == [shown()]


def test_where_no_charger_has_a_display_the_answer_is_no() -> None:
    book = desk()
    says(book, "SetDisplayMessage", CP20={"status": "NotSupportedPriority"}, CP21={"status": "Rejected"})
    assert book.csms("SetDisplayMessage", shown())["status"] == "NotSupportedPriority"
    book.hang_up("CP20")
    book.boot("CP20")
    book.wait(3)
    assert len(asked(book, "CP20", "SetDisplayMessage")) == 1  # nothing is left to be done


def test_one_that_was_away_shows_it_when_it_is_back_unless_its_end_is_past() -> None:
    book = willing()
    book.hang_up("CP21")
    book.csms("SetDisplayMessage", shown(1))
    book.csms("SetDisplayMessage", shown(2, endDateTime="2026-09-21T14:30:00Z"))  # now is 13:30 or so
    book.wait(7200)
    book.boot("CP21")
    book.wait(3)
    assert asked(book, "CP21", "SetDisplayMessage") == [shown(1)]


def test_for_a_transaction_and_for_one_display() -> None:
    book = willing()
    book.event("CP20", "Started", UUID_A, 0, evse_id=2)
    assert book.csms("SetDisplayMessage", shown(transactionId=UUID_A)) == ACCEPTED
    assert asked(book, "CP20", "SetDisplayMessage") == [shown(transactionId=UUID_A)]
    assert book.csms("SetDisplayMessage", shown(2, transactionId="nobody"))["status"] == "UnknownTransaction"
    display = {"name": "Display", "evse": {"id": 4}}
    assert book.csms("SetDisplayMessage", shown(3, display=display)) == ACCEPTED
    assert asked(book, "CP21", "SetDisplayMessage") == [shown(3, display={"name": "Display", "evse": {"id": 1}})]
    assert book.csms("SetDisplayMessage", shown(3, display={"name": "Display"}))["status"] == "Rejected"


def test_the_same_id_elsewhere_replaces_it() -> None:
    book = willing()
    book.csms("SetDisplayMessage", shown(1))
    book.event("CP20", "Started", UUID_A, 0)
    book.csms("SetDisplayMessage", shown(1, transactionId=UUID_A))
    assert asked(book, "CP21", "ClearDisplayMessage") == [{"id": 1}]
    assert asked(book, "CP20", "ClearDisplayMessage") == []


def test_clearing() -> None:
    book = willing()
    book.csms("SetDisplayMessage", shown(1))
    assert book.csms("ClearDisplayMessage", {"id": 1}) == ACCEPTED
    assert asked(book, "CP20", "ClearDisplayMessage") == asked(book, "CP21", "ClearDisplayMessage") == [{"id": 1}]
    says(book, "ClearDisplayMessage", CP20={"status": "Unknown"}, CP21={"status": "Unknown"})
    assert book.csms("ClearDisplayMessage", {"id": 1})["status"] == "Unknown"


def test_reports_are_put_together_and_a_message_for_all_is_reported_once() -> None:
    book = willing()
    book.csms("SetDisplayMessage", shown(1))
    book.up.clear()
    assert book.csms("GetDisplayMessages", {"requestId": 5}) == ACCEPTED
    first, second = asked(book, "CP20", "GetDisplayMessages")[0], asked(book, "CP21", "GetDisplayMessages")[0]
    own = shown(9, display={"name": "Display", "evse": {"id": 2}})["message"]
    book.say("CP20", "NotifyDisplayMessages", {"requestId": first["requestId"], "messageInfo": [shown(1)["message"]], "tbc": True})
    book.say("CP20", "NotifyDisplayMessages", {"requestId": first["requestId"], "messageInfo": [own]})
    book.say("CP21", "NotifyDisplayMessages", {"requestId": second["requestId"], "messageInfo": [shown(1)["message"]]})
    book.wait(2)
    pages = book.heard("NotifyDisplayMessages")
    assert [(page["requestId"], page["tbc"], [one["id"] for one in page["messageInfo"]]) for page in pages] == [(5, True, [1]), (5, False, [9])]
    assert pages[1]["messageInfo"][0]["display"]["evse"]["id"] == 3


def test_a_charger_that_never_reports_does_not_hold_up_the_report() -> None:
    book = willing()
    book.csms("GetDisplayMessages", {"requestId": 5})
    down = asked(book, "CP20", "GetDisplayMessages")[0]["requestId"]
    book.say("CP20", "NotifyDisplayMessages", {"requestId": down, "messageInfo": [shown(1)["message"]]})
    book.wait(5)
    assert not book.heard("NotifyDisplayMessages")  # whether more follows is not known yet
    book.wait(70)
    (page,) = book.heard("NotifyDisplayMessages")
    assert page["tbc"] is False
    assert any("without CP21" in text for text in book.told)


def test_a_charger_that_goes_away_is_not_waited_for() -> None:
    book = willing()
    book.csms("GetDisplayMessages", {"requestId": 5})
    down = asked(book, "CP20", "GetDisplayMessages")[0]["requestId"]
    book.say("CP20", "NotifyDisplayMessages", {"requestId": down, "messageInfo": [shown(1)["message"]]})
    book.hang_up("CP21")
    book.wait(2)
    assert len(book.heard("NotifyDisplayMessages")) == 1


def test_nothing_to_report() -> None:
    book = desk()
    says(book, "GetDisplayMessages", CP20={"status": "Unknown"}, CP21={"status": "Unknown"})
    assert book.csms("GetDisplayMessages", {"requestId": 5}) == {"status": "Unknown"}
