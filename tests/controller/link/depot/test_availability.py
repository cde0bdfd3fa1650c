"""ChangeAvailability of connectors, EVSEs and the whole depot; it lasts (G03, G04)."""

from __future__ import annotations

import json
from typing import Any

from controller.facts import PersistFailed, StationFrame
from tests.support.depot_book import DepotBook, Payload
from tests.support.desk import asked, desk, says

ACCEPTED = {"status": "Accepted"}
OUT = {"operationalStatus": "Inoperative"}
IN = {"operationalStatus": "Operative"}


def willing(**more: Any) -> DepotBook:
    book = desk(**more)
    says(book, "ChangeAvailability", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    return book


def test_one_evse_and_one_connector() -> None:
    book = willing()
    assert book.csms("ChangeAvailability", {**OUT, "evse": {"id": 3}}) == ACCEPTED
    assert asked(book, "CP20", "ChangeAvailability") == [{**OUT, "evse": {"id": 2}}]
    assert book.csms("ChangeAvailability", {**OUT, "evse": {"id": 1, "connectorId": 1}}) == ACCEPTED
    assert asked(book, "CP16", "ChangeAvailability") == [{"connectorId": 1, "type": "Inoperative"}]
    assert book.csms("ChangeAvailability", {**OUT, "evse": {"id": 8}})["statusInfo"]["reasonCode"] == "UnknownEvse"


def test_the_whole_site() -> None:
    book = willing()
    assert book.csms("ChangeAvailability", OUT) == ACCEPTED
    assert asked(book, "CP16", "ChangeAvailability") == [{"connectorId": 0, "type": "Inoperative"}]
    assert asked(book, "CP20", "ChangeAvailability") == asked(book, "CP21", "ChangeAvailability") == [OUT]


def test_a_session_makes_it_scheduled() -> None:
    book = willing()
    says(book, "ChangeAvailability", CP20={"status": "Scheduled"})
    assert book.csms("ChangeAvailability", OUT)["status"] == "Scheduled"


def test_a_charger_that_is_away_gets_it_when_it_is_back_also_after_a_restart() -> None:
    book = willing()
    book.hang_up("CP21")
    answer = book.csms("ChangeAvailability", OUT)
    assert answer["status"] == "Scheduled"
    assert "CP21" in answer["statusInfo"]["additionalInfo"]
    book = book.restarted()
    says(book, "ChangeAvailability", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    book.open()
    book.boot()
    book.wait(3)
    assert asked(book, "CP21", "ChangeAvailability") == [OUT]
    assert asked(book, "CP20", "ChangeAvailability") == []  # it has it already


def test_what_a_charger_refuses_is_not_tried_again() -> None:
    book = willing()
    says(book, "ChangeAvailability", CP21={"status": "Rejected"})
    assert book.csms("ChangeAvailability", {**OUT, "evse": {"id": 4}})["status"] == "Rejected"
    book.hang_up("CP21")
    book.boot("CP21")
    book.wait(70)
    assert len(asked(book, "CP21", "ChangeAvailability")) == 1


def test_an_evse_out_of_use_for_itself_stays_so_when_the_site_is_back() -> None:
    book = willing()
    book.csms("ChangeAvailability", {**OUT, "evse": {"id": 1}})
    book.csms("ChangeAvailability", OUT)
    book.csms("ChangeAvailability", IN)
    told = [(payload["connectorId"], payload["type"]) for payload in asked(book, "CP16", "ChangeAvailability")]
    assert told == [(1, "Inoperative"), (0, "Inoperative"), (0, "Operative"), (1, "Inoperative")]


def test_another_box_under_the_same_name_is_told_again() -> None:
    book = willing()
    boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "ACME", "model": "Two", "serialNumber": "1"}}
    book.say("CP21", "BootNotification", boot)
    book.csms("ChangeAvailability", OUT)
    book.hang_up("CP21")
    book.connect("CP21")
    book.say("CP21", "BootNotification", boot)
    book.wait(2)
    assert len(asked(book, "CP21", "ChangeAvailability")) == 1
    book.hang_up("CP21")
    book.connect("CP21")
    book.say("CP21", "BootNotification", {**boot, "chargingStation": {**boot["chargingStation"], "serialNumber": "2"}})  # type: ignore[dict-item]
    book.wait(2)
    assert len(asked(book, "CP21", "ChangeAvailability")) == 2


def test_refused_by_policy() -> None:
    book = willing(availability="refuse")
    assert book.csms("ChangeAvailability", OUT)["statusInfo"]["reasonCode"] == "NotEnabled"
    assert book.csms("ChangeAvailability", {**OUT, "evse": {"id": 4}}) == ACCEPTED


def test_a_charger_that_tells_its_state_before_it_answers_is_asked_once() -> None:
    book = willing()

    def state_first(request: Payload) -> Payload:
        told = {"timestamp": "2026-09-21T14:00:00Z", "connectorStatus": "Unavailable", "evseId": 1, "connectorId": 1}
        frame = json.dumps([2, "state", "StatusNotification", told])
        book._asked["state"] = "StatusNotification"
        book._todo.append(StationFrame(book.at, "CP21", book.stations["CP21"].generation, frame))
        return ACCEPTED

    book.station_says["CP21"]["ChangeAvailability"] = state_first
    assert book.csms("ChangeAvailability", OUT) == ACCEPTED
    book.wait(70)
    assert len(asked(book, "CP21", "ChangeAvailability")) == 1


def test_a_charger_that_did_not_answer_is_asked_again() -> None:
    book = willing()
    real = book._station_frame
    silent = True

    def mute(name: str, frame: list[Any]) -> None:
        if frame[0] == 2 and frame[2] == "ChangeAvailability" and name == "CP21" and silent:
            book.down[name].append((frame[2], frame[3]))
            return
        real(name, frame)

    book._station_frame = mute  # type: ignore[method-assign]
    book.csms("ChangeAvailability", OUT)
    book.wait(40)
    silent = False
    book.wait(70)
    assert len(asked(book, "CP21", "ChangeAvailability")) == 2
    book.wait(200)
    assert len(asked(book, "CP21", "ChangeAvailability")) == 2


def test_a_disk_that_refuses_means_no() -> None:
    book = willing()
    write = book._write
    book._write = lambda order: PersistFailed(book.at, order.token, "disk full")  # type: ignore[assignment, method-assign, return-value]
    assert book.csms("ChangeAvailability", OUT)[0] == "InternalError"
    book._write = write  # type: ignore[method-assign]
    book.hang_up("CP21")
    book.boot("CP21")
    book.wait(70)
    assert not any(asked(book, name, "ChangeAvailability") for name in book.down)
