"""The depot's local list and the chargers that follow it (D01, D02)."""

from __future__ import annotations

from typing import Any

from controller.facts import PersistFailed
from tests.support.depot_book import DepotBook, Payload
from tests.support.desk import TOKEN, asked, desk, says

ACCEPTED = {"status": "Accepted"}
OTHER = {"idToken": "00112233", "type": "ISO14443"}


def entry(token: Payload, status: str = "Accepted") -> Payload:
    return {"idToken": token, "idTokenInfo": {"status": status}}


def willing(**more: Any) -> DepotBook:
    book = desk(**more)
    says(book, "SendLocalList", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    return book


def send(book: DepotBook, version: int, kind: str = "Full", *entries: Payload) -> Any:
    listed = {"localAuthorizationList": list(entries)} if entries else {}
    answer = book.csms("SendLocalList", {"versionNumber": version, "updateType": kind, **listed})
    book.wait(2)
    return answer


def test_the_depot_has_it_and_every_charger_in_its_own_words() -> None:
    book = willing()
    assert book.csms("GetLocalListVersion", {}) == {"versionNumber": 0}
    assert send(book, 3, "Full", entry(TOKEN)) == ACCEPTED
    assert book.csms("GetLocalListVersion", {}) == {"versionNumber": 3}
    assert asked(book, "CP16", "SendLocalList") == [
        {"listVersion": 3, "updateType": "Full", "localAuthorizationList": [{"idTag": "AABBCCDD", "idTagInfo": {"status": "Accepted"}}]}
    ]
    for name in ("CP20", "CP21"):
        assert asked(book, name, "SendLocalList") == [{"versionNumber": 3, "updateType": "Full", "localAuthorizationList": [entry(TOKEN)]}]


def test_an_update_goes_as_it_came_to_those_that_are_up_to_date() -> None:
    book = willing()
    send(book, 3, "Full", entry(TOKEN))
    assert send(book, 4, "Differential", entry(OTHER), {"idToken": TOKEN}) == ACCEPTED
    assert asked(book, "CP21", "SendLocalList")[-1] == {
        "versionNumber": 4,
        "updateType": "Differential",
        "localAuthorizationList": [entry(OTHER), {"idToken": TOKEN}],
    }


def test_an_update_that_is_not_newer_is_a_mismatch() -> None:
    book = willing()
    send(book, 3, "Full", entry(TOKEN))
    assert send(book, 3, "Differential", entry(OTHER)) == {"status": "VersionMismatch"}
    assert send(book, 2, "Full", entry(OTHER)) == ACCEPTED
    assert book.csms("GetLocalListVersion", {}) == {"versionNumber": 2}


def test_what_cannot_be_a_list_is_refused() -> None:
    book = willing()
    assert send(book, 0, "Full")["status"] == "Failed"
    assert send(book, 1, "Full", entry(TOKEN), entry({**TOKEN, "idToken": "aabbccdd"}))["status"] == "Failed"
    assert send(book, 1, "Full", {"idToken": TOKEN})["status"] == "Failed"
    assert book.csms("GetLocalListVersion", {}) == {"versionNumber": 0}


def test_a_charger_that_was_away_gets_the_whole_list() -> None:
    book = willing()
    send(book, 3, "Full", entry(TOKEN))
    book.hang_up("CP21")
    answer = send(book, 4, "Differential", entry(OTHER))
    assert answer["status"] == "Accepted"
    assert "CP21" in answer["statusInfo"]["additionalInfo"]
    send(book, 5, "Differential", entry({"idToken": "77", "type": "Local"}))
    book.station_says["CP21"]["GetLocalListVersion"] = {"versionNumber": 3}
    book.boot("CP21")
    book.wait(3)
    last = asked(book, "CP21", "SendLocalList")[-1]
    assert (last["versionNumber"], last["updateType"], len(last["localAuthorizationList"])) == (5, "Full", 3)


def test_one_update_behind_is_brought_by_that_update() -> None:
    book = willing()
    send(book, 3, "Full", entry(TOKEN))
    book.hang_up("CP21")
    send(book, 4, "Differential", entry(OTHER))
    book.station_says["CP21"]["GetLocalListVersion"] = {"versionNumber": 3}
    book.boot("CP21")
    book.wait(3)
    assert asked(book, "CP21", "SendLocalList")[-1]["updateType"] == "Differential"


def test_a_box_that_has_lost_its_list_gets_it_again() -> None:
    book = willing()
    send(book, 3, "Full", entry(TOKEN))
    book.hang_up("CP20", "CP21")
    book.station_says["CP20"]["GetLocalListVersion"] = {"versionNumber": 3}
    book.station_says["CP21"]["GetLocalListVersion"] = {"versionNumber": 0}
    book.boot("CP20", "CP21")
    book.wait(3)
    assert (len(asked(book, "CP20", "SendLocalList")), len(asked(book, "CP21", "SendLocalList"))) == (1, 2)


def in_pieces_of_two() -> DepotBook:
    """CP21 takes two entries in one message."""
    book = willing()
    says(
        book,
        "GetVariables",
        CP21={
            "getVariableResult": [
                {
                    "attributeStatus": "Accepted",
                    "attributeValue": "2",
                    "component": {"name": "LocalAuthListCtrlr"},
                    "variable": {"name": "ItemsPerMessage"},
                }
            ]
        },
    )
    return book


def test_a_long_list_comes_in_pieces_of_what_the_charger_takes() -> None:
    book = in_pieces_of_two()
    send(book, 9, "Full", *(entry({"idToken": f"C{number}", "type": "Central"}) for number in range(5)))
    pieces = asked(book, "CP21", "SendLocalList")
    told = [(payload["versionNumber"], payload["updateType"], len(payload["localAuthorizationList"])) for payload in pieces]
    assert told == [(7, "Full", 2), (8, "Differential", 2), (9, "Differential", 1)]
    assert len(asked(book, "CP20", "SendLocalList")) == 1


def test_a_charger_that_does_not_take_it_is_told_once_and_not_pressed() -> None:
    book = willing()
    says(book, "SendLocalList", CP20={"status": "Failed"})
    assert send(book, 3, "Full", entry(TOKEN)) == ACCEPTED
    book.wait(200)
    assert len(asked(book, "CP20", "SendLocalList")) == 1
    assert len([text for text in book.told if "CP20 does not take the local list" in text]) == 1


def test_the_list_outlives_a_restart_and_decides_while_the_csms_is_away() -> None:
    book = willing()
    says(book, "SendLocalList", CP21={"status": "Failed"})
    send(book, 3, "Full", entry(TOKEN), entry(OTHER, "Blocked"))
    book = book.restarted()
    book.open()
    book.boot()
    assert book.csms("GetLocalListVersion", {}) == {"versionNumber": 3}
    book.lose()
    assert book.say("CP21", "Authorize", {"idToken": TOKEN})["idTokenInfo"]["status"] == "Accepted"
    assert book.say("CP21", "Authorize", {"idToken": OTHER})["idTokenInfo"]["status"] == "Blocked"
    assert book.say("CP21", "Authorize", {"idToken": {"idToken": "99", "type": "Local"}})["idTokenInfo"]["status"] != "Accepted"


def test_an_empty_full_list_empties_it() -> None:
    book = willing()
    send(book, 3, "Full", entry(TOKEN))
    assert send(book, 4, "Full") == ACCEPTED
    assert asked(book, "CP21", "SendLocalList")[-1] == {"versionNumber": 4, "updateType": "Full"}
    assert book.face.listed(TOKEN) is None


def test_refused_by_policy() -> None:
    book = willing(local_list="refuse")
    assert send(book, 3, "Full", entry(TOKEN))["status"] == "Failed"
    assert not any(asked(book, name, "SendLocalList") for name in book.down)


def test_a_disk_that_refuses_means_the_old_list() -> None:
    book = willing()
    send(book, 3, "Full", entry(TOKEN))
    write = book._write
    book._write = lambda order: PersistFailed(book.at, order.token, "disk full")  # type: ignore[assignment, method-assign, return-value]
    refused = book.csms("SendLocalList", {"versionNumber": 4, "updateType": "Full", "localAuthorizationList": [entry(OTHER)]})
    assert refused[0] == "InternalError"
    book._write = write  # type: ignore[method-assign]
    book.wait(5)
    assert book.csms("GetLocalListVersion", {}) == {"versionNumber": 3}
    assert book.face.listed(TOKEN) is not None
    assert book.face.listed(OTHER) is None
    assert len(asked(book, "CP21", "SendLocalList")) == 1


def test_numbers_a_charger_knows_the_list_by_rise_where_the_depots_cannot() -> None:
    book = in_pieces_of_two()
    entries = [entry({"idToken": f"C{number}", "type": "Central"}) for number in range(5)]
    send(book, 1, "Full", *entries)
    send(book, 2, "Differential", entry(OTHER))
    told = [(payload["versionNumber"], payload["updateType"]) for payload in asked(book, "CP21", "SendLocalList")]
    assert told == [(1, "Full"), (2, "Differential"), (3, "Differential"), (4, "Differential")]  # D01.FR.06: an update is newer
    assert book.csms("GetLocalListVersion", {}) == {"versionNumber": 2}
