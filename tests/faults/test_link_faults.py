"""Faults of the catalogue that touch messages only, by number."""

from __future__ import annotations

import json

from controller.facts import EvseKey, SessionChanged, StationOnline
from controller.orders import Inject
from tests.support.playbook import BOOT, Playbook, event

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}


def charging() -> Playbook:
    play = Playbook()
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT)
    play.csms(3, "boot", ACCEPTED)
    play.station(2, "start", "TransactionEvent", event("Started", 0))
    play.csms(3, "start", {})
    return play


def test_f17_a_counter_that_runs_backwards_passes_unchanged() -> None:
    play = charging()
    for number, register in enumerate((5000, 4000, 9_000_000)):
        values = [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": [{"value": register}]}]
        text = json.dumps([2, f"m-{number}", "TransactionEvent", event("Updated", number + 1, meterValue=values)])
        play.station(text)
        assert play.sent_up == [text]
        play.csms(3, f"m-{number}", {})


def test_f18_a_station_whose_clock_is_years_off_is_relayed_unchanged_and_still_known() -> None:
    play = charging()
    payload = {**event("Updated", 1), "timestamp": "1999-01-01T00:00:00Z"}
    text = json.dumps([2, "old", "TransactionEvent", payload])
    play.station(text)
    assert play.sent_up == [text]
    assert [fact.evse for fact in play.facts(SessionChanged)] == [EvseKey("CP1", 1)]


def test_f26_crossing_calls_of_csms_and_controller_stay_one_at_a_time() -> None:
    play = charging()
    play.carry(Inject(EvseKey("CP1", 1), 1, 10.0, 3, 120.0, "plan"))
    ours = play.down()[1]
    play.csms(2, "c-1", "ClearCache", {})
    assert play.sent_down == []
    play.station(2, "h", "Heartbeat", {})  # the other direction is free
    assert play.up()[1] == "h"
    play.station(3, ours, {"status": "Accepted"})
    assert play.down()[1] == "c-1"


def test_f28_an_id_the_csms_uses_twice_is_answered_once_and_refused_the_second_time() -> None:
    play = charging()
    play.csms(2, "c-1", "ClearCache", {})
    assert play.down()[1] == "c-1"
    play.csms(2, "c-1", "ClearCache", {})
    assert play.up()[:2] == [4, "c-1"]
    assert play.sent_down == []
    play.station(3, "c-1", {"status": "Accepted"})
    assert play.up() == [3, "c-1", {"status": "Accepted"}]


def test_f31_a_storm_of_commands_is_queued_up_to_a_bound_and_refused_beyond() -> None:
    play = charging()
    refused = 0
    for number in range(200):
        play.csms(2, f"c-{number}", "ClearCache", {})
        refused += sum(text.startswith("[4,") for text in play.sent_up)
    assert refused == 200 - 1 - 64
    answered = 1
    play.station(3, "c-0", {"status": "Accepted"})
    while play.sent_down:
        answered += 1
        play.station(3, play.down()[1], {"status": "Accepted"})
    assert answered == 65


def test_f63_json_nested_a_hundred_thousand_deep_is_one_error_and_nothing_more() -> None:
    play = charging()
    play.station('[2,"deep","DataTransfer",{"vendorId":"x","data":' + "[" * 100_000 + "]" * 100_000 + "}]")
    assert play.down()[0] == 4
    assert play.sent_up == []
    play.station(2, "h", "Heartbeat", {})
    assert play.up()[1] == "h"


def test_f23_a_csms_that_comes_and_goes_all_day_costs_no_memory_and_no_message() -> None:
    play = charging()
    sent = 1
    for _ in range(60):
        play.close()
        play.station(2, f"u-{sent}", "TransactionEvent", event("Updated", sent))
        assert play.down() == [3, f"u-{sent}", {}]
        sent += 1
        for _ in range(120):
            play.wait(1)
            if play.links.sessions["CP1"].up.link.state.value == "dialling":  # type: ignore[union-attr]
                break
        play.open()
        assert play.up()[3]["seqNo"] == sent - 1
        play.csms(3, play.up()[1], {})
    session = play.links.sessions["CP1"]
    assert (play.rows, len(session.up.outbox), len(session.up.lane)) == ({}, 0, 0)
    assert play.facts(StationOnline) == []
