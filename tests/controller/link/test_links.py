"""All stations together: whose business a fact is, and how dials are spread."""

from __future__ import annotations

import json

from controller.facts import (
    MaintenanceOpened,
    Persisted,
    Stamp,
    StationArrived,
    StationConnected,
    StationFrame,
    StationLeft,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.link.session import DialSpread
from controller.orders import AnswerStation, DialUpstream
from tests.support.playbook import BOOT, Playbook, config


def at(mono_s: float) -> Stamp:
    return Stamp(mono_s, 1_790_000_000.0 + mono_s)


def test_so_many_dials_begin_in_a_second_and_no_more() -> None:  # F12
    spread = DialSpread(3)
    assert [spread.may(at(10.0 + step / 10)) for step in range(5)] == [True, True, True, False, False]
    assert spread.may(at(11.0))


def test_it_is_hopeless_when_more_wait_than_get_a_turn_in_time() -> None:
    spread = DialSpread(2)
    for _ in range(2 + 5):
        spread.may(at(10.0))
    assert not spread.hopeless(at(10.9), 3.0)
    spread.may(at(10.9))
    assert spread.hopeless(at(10.9), 3.0)
    assert not spread.hopeless(at(10.9), 4.0)
    assert not spread.hopeless(at(11.0), 3.0), "a new second: those who still wait say so again"
    assert not DialSpread(2).hopeless(at(0.0), 0.0)


def test_large_sites_dial_faster_so_that_all_are_linked_within_half_a_minute() -> None:
    data = config().model_dump(mode="json")
    data["stations"] = [{**data["stations"][0], "id": f"CP{number}"} for number in range(600)]
    play = Playbook(type(config()).model_validate(data))
    dialled = 0
    for number in range(600):
        play.feed(StationConnected(play.at, f"CP{number}", 1, "ocpp2.0.1", "127.0.0.1"))
        dialled += len(play.dials())
    assert dialled == 20
    play.wait(29)
    assert dialled + len([order for order in play.outcomes if isinstance(order, DialUpstream)]) == 600


def test_facts_about_stations_and_mirrors_nobody_knows_change_nothing() -> None:
    play = Playbook(config(mirrors=["m1"]))
    play.connect()
    strangers = [
        StationArrived(play.at, "X", 1, ("ocpp1.6",), "127.0.0.1"),
        StationLeft(play.at, "X", 1),
        StationConnected(play.at, "X", 1, "ocpp1.6", "127.0.0.1"),
        StationFrame(play.at, "X", 1, "[2]"),
        UpstreamOpened(play.at, "X", 1, "ocpp1.6"),
        UpstreamOpened(play.at, "CP1", 1, "ocpp2.0.1", "m9"),
        UpstreamFrame(play.at, "CP1", 1, "[2]", "m9"),
        UpstreamClosed(play.at, "CP1", 1, "gone", mirror_id="m9"),
        MaintenanceOpened(play.at, "X", 60.0),
        Persisted(play.at, 12345),
    ]
    for fact in strangers:
        assert play.feed(fact) == [], fact


def test_groups_of_stations_have_their_own_csms_and_one_may_have_none() -> None:
    data = config(mirrors=["m1"]).model_dump(mode="json")
    one = data["stations"][0]
    data["stations"] = [{**one, "id": "A", "upstream": None}, {**one, "id": "B", "upstream": "second"}, {**one, "id": "C", "upstream": "none"}]
    data["upstreams"].insert(1, {**data["upstreams"][0], "id": "second"})
    data["upstreams"][2]["stations"] = ["A", "C"]
    play = Playbook(type(config()).model_validate(data))
    dialled = {}
    for station in "ABC":
        play.feed(StationConnected(play.at, station, 1, "ocpp2.0.1", "127.0.0.1"))
        dialled[station] = [order.upstream_id for order in play.outcomes if isinstance(order, DialUpstream)]
    assert dialled == {"A": ["csms", "m1"], "B": ["second"], "C": ["m1"]}
    play.feed(StationFrame(play.at, "C", 1, json.dumps([2, "b", "BootNotification", BOOT])))
    assert play.down()[2]["status"] == "Accepted"
    assert [link.upstream for link in play.links.view()] == ["away", "away", "none"]


def test_mirrors_do_not_take_the_primaries_turns_to_dial() -> None:
    data = config(mirrors=["m1", "m2"]).model_dump(mode="json")
    data["stations"] = [{**data["stations"][0], "id": f"CP{number}"} for number in range(10)]
    play = Playbook(type(config()).model_validate(data))
    primaries = 0
    for number in range(10):
        play.feed(StationConnected(play.at, f"CP{number}", 1, "ocpp2.0.1", "127.0.0.1"))
        primaries += len(play.dials())
    assert primaries == 10


def test_the_version_of_an_arriving_station_is_answered_to_its_own_ticket() -> None:
    play = Playbook(config(upstream=False))
    play.feed(StationArrived(play.at, "CP1", 41, ("ocpp1.6",), "127.0.0.1"))
    assert play.outcomes == [AnswerStation("CP1", 41, "ocpp1.6")]
