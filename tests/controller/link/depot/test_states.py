"""Connector states under the depot's numbers; a charger that is away is never a silent hole."""

from __future__ import annotations

from typing import Any

from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, site


def opened(config: Any = None, **more: Any) -> DepotBook:
    book = DepotBook(config, **more)
    book.open()
    book.boot()
    book.wait(5)
    book.up.clear()
    return book


def told(book: DepotBook) -> list[tuple[int, str]]:
    return [(payload["evseId"], payload["connectorStatus"]) for payload in book.heard("StatusNotification")]


def events(book: DepotBook) -> list[dict[str, Any]]:
    return [event for payload in book.heard("NotifyEvent") for event in payload["eventData"]]


# -- states -----------------------------------------------------------------------------------------------


def test_a_state_is_told_under_the_depot_s_number_with_its_own_time() -> None:
    book = opened(site(("CP1", "CP2"), evses=2))
    when = timestamp(book.at.wall_s - 5)
    book.say("CP2", "StatusNotification", {"timestamp": when, "connectorStatus": "Faulted", "evseId": 2, "connectorId": 1})
    assert book.heard("StatusNotification") == [{"timestamp": when, "connectorStatus": "Faulted", "evseId": 4, "connectorId": 1}]


def test_a_state_that_waits_is_replaced_by_the_next_and_the_same_is_not_told_twice() -> None:
    book = opened(site(status_wait_s=3))
    for state in ("Occupied", "Available", "Reserved"):
        book.status("CP1", state)
    book.wait(5)
    assert told(book) == [(1, "Reserved")]
    book.status("CP1", "Reserved")
    book.wait(5)
    assert told(book) == [(1, "Reserved")]


def test_a_notify_event_about_a_connector_is_the_same_word() -> None:
    book = opened()
    event = {
        "eventId": 7,
        "timestamp": timestamp(book.at.wall_s),
        "trigger": "Delta",
        "actualValue": "Occupied",
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
        "variable": {"name": "AvailabilityState"},
    }
    assert book.say("CP2", "NotifyEvent", {"generatedAt": timestamp(book.at.wall_s), "seqNo": 0, "eventData": [event]}) == {}
    assert told(book) == [(2, "Occupied")]
    assert not events(book)


def test_other_events_keep_their_charger_s_name_and_never_its_numbers() -> None:
    book = opened()

    def event(number: int, component: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "eventId": number,
            "timestamp": timestamp(book.at.wall_s),
            "trigger": "Alerting",
            "actualValue": "true",
            "eventNotificationType": "HardWiredNotification",
            "component": component,
            "variable": {"name": "Problem"},
            **more,
        }

    for name in ("CP1", "CP2"):
        both = [event(5, {"name": "ChargingStation"}), event(6, {"name": "EVSE", "evse": {"id": 1}}, cause=5)]
        book.say(name, "NotifyEvent", {"generatedAt": timestamp(book.at.wall_s), "seqNo": 0, "eventData": both})
    found = events(book)
    assert [known["component"] for known in found] == [
        {"name": "ChargingStation", "instance": "CP1"},
        {"name": "EVSE", "evse": {"id": 1}},
        {"name": "ChargingStation", "instance": "CP2"},
        {"name": "EVSE", "evse": {"id": 2}},
    ]
    assert len({known["eventId"] for known in found}) == 4
    assert [known.get("cause") for known in found] == [None, found[0]["eventId"], None, found[2]["eventId"]]


def test_all_are_told_after_an_outage_as_they_are_now() -> None:
    book = opened()
    book.lose()
    book.status("CP1", "Occupied")
    book.wait(5)
    book.open()
    book.wait(3)
    assert dict(told(book)) == {1: "Occupied", 2: "Available"}


def test_a_state_the_csms_did_not_answer_is_told_again() -> None:
    book = opened()
    book.mute = True
    book.status("CP1", "Occupied")
    book.wait(31)
    book.mute = False
    book.wait(40)
    assert told(book)[:2] == [(1, "Occupied"), (1, "Occupied")]


def test_a_state_the_csms_refuses_is_not_told_for_ever() -> None:
    book = opened()
    book.csms_says["StatusNotification"] = {"error": "InternalError"}
    book.status("CP1", "Occupied")
    book.wait(100)
    assert told(book) == [(1, "Occupied")]


def test_states_are_known_after_a_restart_before_their_chargers_say_anything() -> None:
    book = opened()
    book.status("CP1", "Occupied")
    book.wait(2)
    again = book.restarted()
    again.connect()
    again.open()
    again.wait(2)
    assert dict(told(again)) == {1: "Occupied", 2: "Available"}


def test_a_charger_that_connects_and_tells_no_state_is_asked() -> None:
    book = DepotBook(site(("CP1",), evses=2))
    book.open()
    book.connect("CP1")
    book.wait(30)
    asked = [payload for action, payload in book.down["CP1"] if action == "TriggerMessage"]
    assert asked == [{"requestedMessage": "StatusNotification", "evse": {"id": number, "connectorId": 1}} for number in (1, 2)]


# -- chargers that are away ----------------------------------------------------------------------------------


def test_a_charger_that_leaves_has_unavailable_connectors_and_is_named() -> None:
    book = opened(site(("CP1", "CP2"), evses=2))
    book.hang_up("CP2")
    book.wait(9)
    assert not book.up  # a short loss is nobody's business
    book.wait(3)
    assert told(book) == [(3, "Unavailable"), (4, "Unavailable")]
    assert [(known["component"], known["variable"]["name"], known["actualValue"]) for known in events(book)] == [
        ({"name": "EVSE", "evse": {"id": 3}}, "AvailabilityState", "Unavailable"),
        ({"name": "EVSE", "evse": {"id": 4}}, "AvailabilityState", "Unavailable"),
    ]
    assert all("CP2" in known["techInfo"] for known in events(book))


def test_back_again_its_states_are_told_anew() -> None:
    book = opened()
    book.hang_up("CP2")
    book.wait(15)
    book.up.clear()
    book.connect("CP2")
    book.wait(2)
    assert told(book) == [(2, "Available")]
    assert [known["actualValue"] for known in events(book)] == ["Available"]


def test_who_is_away_when_the_csms_comes_is_named_then() -> None:
    book = DepotBook()
    book.start()
    book.boot("CP1")
    book.wait(20)
    book.open()
    book.wait(3)
    assert dict(told(book)) == {1: "Available", 2: "Unavailable"}
    assert ["CP2" in known["techInfo"] for known in events(book)] == [True]


def test_an_evse_that_the_site_file_does_not_have_is_no_part_of_the_depot() -> None:
    book = opened()
    assert book.status("CP1", "Occupied", evse_id=2) == {}
    assert not told(book)
