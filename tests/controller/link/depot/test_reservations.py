"""Reservations of a depot: of an EVSE, of any EVSE, and what becomes of them (H01-H04)."""

from __future__ import annotations

from typing import Any

from controller.ocpp.times import timestamp
from tests.support.depot_book import START_WALL_S, DepotBook
from tests.support.desk import TOKEN, UUID_A, asked, busy, desk, says

ACCEPTED = {"status": "Accepted"}
UNTIL = "2026-12-31T00:00:00Z"


def willing(**more: Any) -> DepotBook:
    book = desk(**more)
    says(book, "ReserveNow", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    says(book, "CancelReservation", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    return book


def reserve(book: DepotBook, **more: Any) -> Any:
    return book.csms("ReserveNow", {"id": 5, "expiryDateTime": UNTIL, "idToken": TOKEN, **more})


def test_of_an_evse_at_its_charger_and_cancelled_there() -> None:
    book = willing()
    assert reserve(book, evseId=3) == ACCEPTED
    assert [(payload["id"], payload["evseId"]) for payload in asked(book, "CP20", "ReserveNow")] == [(5, 2)]
    assert book.csms("CancelReservation", {"reservationId": 5}) == ACCEPTED
    assert asked(book, "CP20", "CancelReservation") == [{"reservationId": 5}]
    assert book.csms("CancelReservation", {"reservationId": 5})["status"] == "Rejected"


def test_the_same_id_elsewhere_moves_it() -> None:
    book = willing()
    reserve(book, evseId=3)
    reserve(book, evseId=4)
    assert asked(book, "CP20", "CancelReservation") == [{"reservationId": 5}]  # H01.FR.02
    assert book.csms("CancelReservation", {"reservationId": 5}) == ACCEPTED
    assert asked(book, "CP21", "CancelReservation") == [{"reservationId": 5}]


def test_without_evse_a_free_one_is_kept() -> None:
    book = willing()
    busy(book, "CP16")
    assert reserve(book) == ACCEPTED
    assert [payload["evseId"] for payload in asked(book, "CP20", "ReserveNow")] == [1]
    assert reserve(book, id=6, idToken={"idToken": "00", "type": "Local"}) == ACCEPTED
    assert [payload["evseId"] for payload in asked(book, "CP20", "ReserveNow")] == [1, 2]


def test_without_evse_a_charger_that_refuses_is_passed_over() -> None:
    book = willing()
    says(book, "ReserveNow", CP16={"status": "Rejected"}, CP20={"status": "Faulted"})
    assert reserve(book) == ACCEPTED
    assert len(asked(book, "CP21", "ReserveNow")) == 1


def test_nothing_free_says_why() -> None:
    book = willing()
    for name, evse_id in (("CP16", 1), ("CP20", 1), ("CP20", 2), ("CP21", 1)):
        busy(book, name, evse_id)
    assert reserve(book)["status"] == "Occupied"
    for name, evse_id in (("CP16", 1), ("CP20", 1), ("CP20", 2), ("CP21", 1)):
        book.status(name, "Faulted", evse_id)
    assert reserve(book)["status"] == "Faulted"
    book.hang_up()
    assert reserve(book)["status"] == "Unavailable"


def test_refused_by_policy() -> None:
    book = willing(reserve_without_evse="refuse")
    assert reserve(book)["status"] == "Rejected"
    assert reserve(book, evseId=1) == ACCEPTED


def test_a_floating_one_moves_when_its_charger_takes_it_back() -> None:
    book = willing()
    reserve(book, evseId=4, id=9)
    reserve(book)  # at CP16
    book.status("CP20", "Faulted", 1)
    says(book, "ReserveNow", CP20=ACCEPTED)
    book.hang_up("CP16")
    book.wait(5)
    assert not asked(book, "CP20", "ReserveNow")  # a short absence moves nothing
    book.wait(10)
    assert [payload["evseId"] for payload in asked(book, "CP20", "ReserveNow")] == [2]
    assert not book.heard("ReservationStatusUpdate")
    book.boot("CP16")
    book.wait(2)
    assert asked(book, "CP16", "CancelReservation") == [{"reservationId": 5}]  # two would be kept free for one driver


def test_a_floating_one_that_can_go_nowhere_is_removed() -> None:
    book = willing()
    reserve(book)
    for name, evse_id in (("CP20", 1), ("CP20", 2), ("CP21", 1)):
        busy(book, name, evse_id)
    book.hang_up("CP16")
    book.wait(15)
    assert book.heard("ReservationStatusUpdate") == [{"reservationId": 5, "reservationUpdateStatus": "Removed"}]


def test_its_end_goes_up_and_is_forgotten() -> None:
    book = willing()
    reserve(book, evseId=4)
    book.say("CP21", "ReservationStatusUpdate", {"reservationId": 5, "reservationUpdateStatus": "Expired"})
    assert book.heard("ReservationStatusUpdate") == [{"reservationId": 5, "reservationUpdateStatus": "Expired"}]
    assert book.csms("CancelReservation", {"reservationId": 5})["status"] == "Rejected"


def test_it_is_known_after_a_restart() -> None:
    book = willing()
    reserve(book, evseId=4)
    book = book.restarted()
    says(book, "CancelReservation", CP21=ACCEPTED)
    book.open()
    book.boot()
    assert book.csms("CancelReservation", {"reservationId": 5}) == ACCEPTED


def test_one_that_was_used_keeps_its_evse_no_longer() -> None:
    book = willing()
    reserve(book, evseId=4)
    book.event("CP21", "Started", UUID_A, 0, reservationId=5)
    book.event("CP21", "Ended", UUID_A, 1)
    for name, evse_id in (("CP16", 1), ("CP20", 1), ("CP20", 2)):
        busy(book, name, evse_id)
    assert reserve(book, id=6) == ACCEPTED
    assert [payload["id"] for payload in asked(book, "CP21", "ReserveNow")] == [5, 6]


def test_one_that_ends_at_a_charger_that_is_away_has_expired() -> None:
    book = desk(absent_s=3000)
    says(book, "ReserveNow", CP21={"status": "Accepted"})
    until = timestamp(START_WALL_S + 120)
    assert book.csms("ReserveNow", {"id": 6, "expiryDateTime": until, "idToken": TOKEN, "evseId": 4})["status"] == "Accepted"
    book.hang_up("CP21")
    book.wait(1200)
    assert book.heard("ReservationStatusUpdate") == [{"reservationId": 6, "reservationUpdateStatus": "Expired"}]  # H04.FR.01


def test_an_evse_whose_charger_is_away_is_unavailable() -> None:
    book = desk()
    book.hang_up("CP21")
    assert reserve(book, evseId=4)["status"] == "Unavailable"  # H01.FR.14


def test_the_depot_says_whether_it_reserves_without_an_evse() -> None:
    for policy, shown in (("keep_one_free", "true"), ("refuse", "false")):
        book = desk(reserve_without_evse=policy)
        data = {"component": {"name": "ReservationCtrlr"}, "variable": {"name": "NonEvseSpecific"}}
        (result,) = book.csms("GetVariables", {"getVariableData": [data]})["getVariableResult"]
        assert (result["attributeStatus"], result["attributeValue"]) == ("Accepted", shown)
