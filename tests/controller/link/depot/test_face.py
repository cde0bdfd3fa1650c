"""The whole site as one station of its CSMS: boot, outages, numbers that never change, two versions at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import PersistFailed, UpstreamClosed, UpstreamFrame
from controller.link.faces import memory_of
from controller.link.keeper import SPACE
from controller.ocpp.times import timestamp
from controller.orders import AnnounceSite, DialUpstream
from tests.support.depot_book import DEPOT, START_WALL_S, DepotBook, site

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ACCEPTED = {"currentTime": timestamp(START_WALL_S + 1000), "interval": 300, "status": "Accepted"}


def opened(**more: Any) -> DepotBook:
    book = DepotBook(**more)
    book.csms_says["BootNotification"] = ACCEPTED
    book.open()
    book.boot()
    return book


# -- boot (B01-B03) ---------------------------------------------------------------------------------------


def test_one_socket_one_boot_then_every_connector() -> None:
    book = DepotBook(site(("CP1", "CP2", "CP3"), evses=2))
    book.open()
    assert [action for action, _ in book.up] == ["BootNotification"] + ["StatusNotification"] * 6
    assert book.heard("BootNotification")[0]["reason"] == "PowerUp"
    assert [told["evseId"] for told in book.heard("StatusNotification")] == [1, 2, 3, 4, 5, 6]
    dials = [outcome for outcome in book.outcomes if isinstance(outcome, DialUpstream)]
    assert [(dial.station_id, dial.offered) for dial in dials] == [(DEPOT, ("ocpp2.1", "ocpp2.0.1", "ocpp1.6"))]


def test_what_the_csms_speaks_can_be_said() -> None:
    book = DepotBook(site(versions=("ocpp2.0.1",)), version="ocpp2.0.1")
    book.open()
    dials = [outcome for outcome in book.outcomes if isinstance(outcome, DialUpstream)]
    assert [dial.offered for dial in dials] == [("ocpp2.0.1",)]


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_not_accepted_it_waits_as_long_as_told_and_the_chargers_are_served_from_here(status: str) -> None:
    book = DepotBook()
    book.csms_says["BootNotification"] = {"currentTime": ACCEPTED["currentTime"], "interval": 50, "status": status}
    book.open()
    book.boot()  # the chargers' own boots are accepted all the same
    book.wait(48)
    assert [action for action, _ in book.up] == ["BootNotification"]
    book.csms_says["BootNotification"] = ACCEPTED
    book.wait(4)
    assert len(book.heard("BootNotification")) == 2
    assert {told["evseId"]: told["connectorStatus"] for told in book.heard("StatusNotification")} == {1: "Available", 2: "Available"}


def test_while_pending_the_csms_may_ask_and_not_start_anything() -> None:
    book = DepotBook()
    book.csms_says["BootNotification"] = {"currentTime": ACCEPTED["currentTime"], "interval": 500, "status": "Pending"}
    book.open()
    start = {"remoteStartId": 1, "idToken": {"idToken": "AA", "type": "Central"}, "evseId": 1}
    assert book.csms("RequestStartTransaction", start)["status"] == "Rejected"  # B02.FR.05
    assert book.csms("GetTransactionStatus", {}) == {"messagesInQueue": False}


def test_rejected_it_answers_nothing() -> None:
    book = DepotBook()
    book.csms_says["BootNotification"] = {"currentTime": ACCEPTED["currentTime"], "interval": 500, "status": "Rejected"}
    book.open()
    assert book.csms("GetTransactionStatus", {})[0] == "SecurityError"


def test_a_boot_without_answer_is_sent_again() -> None:
    book = DepotBook()
    book.mute = True
    book.open()
    book.wait(35)
    book.mute = False
    book.wait(40)
    assert len(book.heard("BootNotification")) == 2
    assert book.face.office.accepted


def test_it_beats_when_it_has_nothing_else_to_say() -> None:
    book = opened()
    book.wait(290)
    assert not book.heard("Heartbeat")
    book.wait(20)
    assert len(book.heard("Heartbeat")) == 1
    book.wait(305)
    assert len(book.heard("Heartbeat")) == 2


def test_a_csms_that_does_not_know_the_depot_any_more_hears_its_boot_and_then_the_message() -> None:
    book = opened()
    book.csms_says["TransactionEvent"] = {"error": "SecurityError"}
    assert book.event("CP1", "Started", UUID, 0) is None  # the charger's session keeps it
    book.csms_says["TransactionEvent"] = {}
    book.wait(2)
    assert [told["reason"] for told in book.heard("BootNotification")] == ["PowerUp", "Unknown"]
    book.wait(90)
    assert len(book.heard("TransactionEvent")) == 2
    assert not book.rows


def test_an_unknown_action_is_not_implemented() -> None:
    book = opened()
    assert book.csms("ReadMyMind", {})[0] == "NotImplemented"
    assert book.csms("Authorize", {"idToken": {"idToken": "A", "type": "Local"}})[0] == "NotImplemented"


def test_clocks_that_differ_are_told_once() -> None:
    book = DepotBook()
    book.csms_says["BootNotification"] = {**ACCEPTED, "currentTime": timestamp(START_WALL_S - 9000)}
    book.csms_says["Heartbeat"] = lambda request: {"currentTime": timestamp(START_WALL_S - 9000)}
    book.open()
    book.wait(700)
    assert len([text for text in book.told if "clock" in text]) == 1


# -- outages -----------------------------------------------------------------------------------------------


def test_in_an_outage_chargers_go_on_and_their_events_go_up_after_it_once_and_in_order() -> None:
    book = opened()
    book.event("CP1", "Started", UUID, 0)
    book.lose()
    assert book.event("CP1", "Updated", UUID, 1) == {}
    assert book.event("CP1", "Ended", UUID, 2, evse_id=0) == {}
    assert len(book.rows) == 2
    book.open()
    book.wait(30)
    events = book.heard("TransactionEvent")
    assert [told["seqNo"] for told in events] == [0, 1, 2]
    assert [told.get("offline", False) for told in events] == [False, True, True]
    assert not book.rows
    assert len(book.heard("BootNotification")) == 1  # B04: the link was lost, nothing has booted


def test_sessions_are_linked_at_once_when_the_csms_is_back() -> None:
    for away_s in (0, 100):
        book = opened(config=site(tuple(f"CP{n}" for n in range(1, 41))))
        book.lose()
        book.wait(away_s)
        book.open()
        assert all(card.linked for card in book.face.office.cards.values())


def test_a_station_that_arrives_in_an_outage_is_served_from_here() -> None:
    book = DepotBook()
    book.start()
    book.connect("CP1")
    answer = book.say("CP1", "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "ACME", "model": "Two"}})
    book.wait(5)
    assert answer is None or answer["status"] == "Accepted"
    assert any(isinstance(known, dict) and known.get("status") == "Accepted" for known in book.answers.values())


def test_a_csms_that_is_silent_twice_loses_its_socket_and_nothing_else_is_lost() -> None:
    book = opened()
    book.mute = True
    book.event("CP1", "Started", UUID, 0)
    book.event("CP2", "Started", UUID.replace("0f", "1f"), 0)
    book.wait(62)
    assert not book.is_open
    book.mute = False
    book.open()
    book.wait(120)
    assert not book.rows
    assert {told["evse"]["id"] for told in book.heard("TransactionEvent")} == {1, 2}


def test_each_reason_for_which_the_csms_refuses_is_told_once_and_the_newest_is_shown() -> None:
    """Whoever puts the password right must hear that now the identity is not known."""
    book = opened()
    book.lose("wrong password")
    for reason in ("wrong password", "unknown identity", "no answer", "wrong password"):
        book.wait(120)
        assert book.generation is not None
        book.feed(UpstreamClosed(book.at, DEPOT, book.generation, reason, refused=reason != "no answer"))
    told = [text for text in book.told if "CSMS is away" in text and "charging goes on" in text]
    assert sum("wrong password" in text for text in told) == 3  # the face, and each of the two chargers' sessions
    assert sum("unknown identity" in text for text in told) == 1
    assert not any("no answer" in text for text in told)  # that is what an outage is like
    assert book.face.view().trouble == "wrong password"
    book.wait(120)
    assert book.generation is not None
    book.feed(UpstreamClosed(book.at, DEPOT, book.generation, "it speaks something else", no_common_version=True))
    assert book.face.view().trouble == "it speaks something else - upstreams.versions says what is offered"


def test_a_csms_that_rejects_and_then_accepts_says_both() -> None:
    book = DepotBook()
    book.csms_says["BootNotification"] = {"currentTime": ACCEPTED["currentTime"], "interval": 10, "status": "Rejected"}
    book.open()
    assert any("its operator may have to add a station of this identity" in text for text in book.told)
    assert DEPOT in book.face.view().trouble
    book.csms_says["BootNotification"] = ACCEPTED
    book.wait(15)
    assert "the CSMS has accepted this depot" in book.told
    assert book.face.view().trouble == ""


def test_another_version_after_an_outage_is_another_csms() -> None:
    book = opened()
    book.lose()
    book.version = "ocpp2.0.1"
    book.open()
    assert [told["reason"] for told in book.heard("BootNotification")] == ["PowerUp", "Unknown"]
    assert book.face.office.csms_version == "ocpp2.0.1"


def test_more_than_the_link_carries_is_late_and_never_lost_twice_or_out_of_order() -> None:
    """40 sessions of 5 events in a minute over a link that carries one message a second: the sessions' own patience (30 s) ends long before."""
    names = tuple(f"CP{number}" for number in range(40))
    book = opened(config=site(names))
    book.wait(3)
    book.up.clear()
    book.after_s = 1
    for seq in range(5):
        for number, name in enumerate(names):
            kind = "Started" if seq == 0 else "Ended" if seq == 4 else "Updated"
            book.event(name, kind, f"{number:08d}-d9cb-469f-a165-70867728950e", seq)
        book.wait(12)
    book.wait(900)
    assert not book.rows
    for number in range(40):
        mine = [told for told in book.heard("TransactionEvent") if told["transactionInfo"]["transactionId"].startswith(f"{number:08d}")]
        assert [told["seqNo"] for told in mine] == [0, 1, 2, 3, 4]
    assert book.is_open


# -- numbers (trap 26) ----------------------------------------------------------------------------------------


def numbers(book: DepotBook) -> dict[tuple[str, int], int]:
    return {(known.station_id, known.evse_id): known.number for known in book.face.view().numbers}


def test_numbers_stay_over_restarts_swaps_and_changes_of_the_site_file() -> None:
    book = opened(config=site(("CP1", "CP2", "CP3"), evses=2))
    first = numbers(book)
    assert first == {("CP1", 1): 1, ("CP1", 2): 2, ("CP2", 1): 3, ("CP2", 2): 4, ("CP3", 1): 5, ("CP3", 2): 6}
    without = book.restarted(site(("CP0", "CP3", "CP1"), evses=2))  # CP2 is gone, CP0 is new, the order is another
    assert numbers(without) == {**first, ("CP0", 1): 7, ("CP0", 2): 8}
    without.open()
    without.boot()
    states = {told["evseId"]: told["connectorStatus"] for told in without.heard("StatusNotification")}
    assert states == {number: "Unavailable" if number in (3, 4) else "Available" for number in range(1, 9)}
    again = without.restarted(site(("CP1", "CP2", "CP3"), evses=2))
    assert numbers(again) == {**first, ("CP0", 1): 7, ("CP0", 2): 8}


def test_numbers_that_cannot_be_read_are_never_given_anew() -> None:
    book = opened()
    space = SPACE + memory_of("depot", "csms")
    book.memories[(space, "numbers")] = "rubbish"
    again = book.restarted()
    again.wait(60)
    assert not any(isinstance(outcome, DialUpstream) for outcome in again.outcomes)
    assert any("cannot be read" in text for text in again.told)


# -- commands -------------------------------------------------------------------------------------------------


def test_an_answer_waits_for_nobody_else_and_goes_to_the_socket_that_asked() -> None:
    book = opened()
    frame = [2, "late", "GetTransactionStatus", {}]
    book._asked["late"] = "GetTransactionStatus"
    book.lose()
    assert book.generation is not None
    book.feed(UpstreamFrame(book.at, DEPOT, book.generation, json.dumps(frame)))
    assert "late" not in book.answers


def test_the_page_shows_what_the_csms_sees() -> None:
    book = opened(config=site(("CP1", "CP2")))
    book.hang_up("CP2")
    book.wait(12)
    view = book.face.view()
    assert (view.kind, view.identity, view.state, view.version, view.accepted) == ("depot", DEPOT, "open", "ocpp2.1", True)
    assert [(known.number, known.states, known.linked) for known in view.numbers] == [(1, ("Available",), True), (2, ("Unavailable",), False)]
    assert dict(view.ranks) == {"transaction": 0, "security": 0, "status": 0, "values": 0, "housekeeping": 0}


def test_the_site_s_values_are_on_the_desk() -> None:
    book = opened()
    told = AnnounceSite(1.0, (1.0, None, None), 230.0, None, None, 63.0, "fuse", 0.0)
    book.links.carry(told, book.at)
    assert book.face.office.site == told


def test_however_slow_the_csms_is_one_heartbeat_waits() -> None:
    book = DepotBook()
    book.csms_says["BootNotification"] = {"currentTime": timestamp(START_WALL_S), "interval": 10, "status": "Accepted"}
    book.open()
    book.wait(5)
    book.up.clear()
    book.after_s = 25
    book.wait(120)
    assert 2 <= len(book.heard("Heartbeat")) <= 5


def test_the_csms_hears_no_evse_number_before_it_is_on_disk() -> None:
    book = DepotBook()
    book.disk = False
    book.start()
    book.wait(30)
    assert book.generation is None, "it does not even dial"
    (numbers,) = [order for order in book.unwritten if any("numbers" in key for _, key in order.remember)]
    book.unwritten.clear()
    book.feed(PersistFailed(book.at, numbers.token, "disk is full"))
    book.wait(2)
    assert book.generation is None
    book.written()
    book.wait(5)
    assert book.generation is not None
    assert any("numbers" in key for _, key in book.memories)
