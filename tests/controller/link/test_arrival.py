"""Handshakes: the version a station is given, and what becomes of an upstream leg that does not agree."""

from __future__ import annotations

import json

import pytest

from controller.facts import Restored, StationArrived, StationConnected, StationFrame, StationLeft
from controller.orders import AnswerStation, CloseUpstream, DialUpstream, SendStation
from tests.support.playbook import BOOT, BOOT_16, Playbook, config, event

NEW, OLD = "ocpp2.0.1", "ocpp1.6"
ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}


def versions(play: Playbook) -> list[str | None]:
    return [answer.version for answer in play.answers()]


def agreed(version: str = OLD) -> Playbook:
    """A station that has spoken ``version`` with the CSMS and is gone again."""
    play = Playbook(version=version)
    play.arrive(NEW, OLD)
    play.open(version)
    play.admit()
    play.hang_up()
    return play


# -- upstream chooses ---------------------------------------------------------------------------------


def test_upstream_is_dialled_with_the_whole_offer_and_its_choice_is_the_station_s() -> None:
    play = Playbook(version=OLD)
    play.arrive(NEW, OLD)
    (dial,) = play.dials()
    assert dial.offered == (NEW, OLD)
    assert dial.url_tail == "/ocpp/CP1"
    assert play.answers() == []
    play.open(OLD)
    assert play.answers() == [AnswerStation("CP1", play.ticket, OLD)]
    play.admit()
    assert play.dials() == []
    assert play.closes() == []
    play.station(2, "b", "BootNotification", BOOT_16)
    assert play.up()[1] == "b"


def test_without_a_csms_the_first_offer_is_taken_at_once() -> None:
    play = Playbook(config(upstream=False))
    play.arrive(OLD, NEW)
    assert versions(play) == [OLD]


def test_nobody_waits_where_the_site_does_not_want_it() -> None:
    play = Playbook(config(dial_first_s=0))
    play.arrive(NEW, OLD)
    assert versions(play) == [NEW]
    assert play.dials() == []
    play.admit()
    assert [dial.offered for dial in play.dials()] == [(NEW,)]


def test_a_slow_csms_does_not_hold_the_handshake_longer_than_allowed() -> None:
    play = Playbook()
    play.arrive(NEW, OLD)
    play.wait(2)
    assert play.answers() == []
    play.wait(1)
    assert versions(play) == [NEW]
    play.admit()
    assert play.closes() == []
    play.open(NEW)  # the same dial goes on
    play.station(2, "b", "BootNotification", BOOT)
    assert play.up()[1] == "b"


def test_a_failed_dial_gives_the_version_spoken_last_and_the_first_offer_if_there_is_none() -> None:
    play = Playbook()
    play.arrive(NEW, OLD)
    play.close("connection refused")
    assert versions(play) == [NEW]
    known = agreed(OLD)
    known.wait(1)
    known.arrive(NEW, OLD)
    known.close("connection refused")
    assert versions(known) == [OLD]


def test_the_version_spoken_last_survives_a_restart_and_counts_only_if_it_is_offered() -> None:
    play = agreed(OLD).restarted()
    play.arrive(NEW, OLD)
    play.close("connection refused")
    assert versions(play) == [OLD]
    play = agreed(OLD).restarted()
    play.arrive(NEW)
    play.close("connection refused")
    assert versions(play) == [NEW]


def test_a_csms_known_to_be_away_is_not_waited_for() -> None:
    play = agreed(OLD)
    play.arrive(NEW, OLD)
    play.close("connection refused")
    play.admit()
    play.close("connection refused")
    play.hang_up()
    play.wait(5)
    play.arrive(NEW, OLD)
    assert versions(play) == [OLD]
    play.admit()
    play.station(2, "b", "BootNotification", BOOT_16)
    assert play.down()[:2] == [3, "b"], "answered here, it does not wait for another dial"


def test_away_is_forgotten_after_a_while() -> None:
    play = Playbook()
    play.arrive(NEW)
    play.close("connection refused")
    play.feed(StationLeft(play.at, "CP1", play.ticket))
    play.wait(61)
    play.arrive(NEW)
    assert play.answers() == []
    assert len(play.dials()) == 1


# -- legs that do not fit ---------------------------------------------------------------------------------


def test_a_leg_that_opens_with_another_version_than_the_station_got_is_closed_and_dialled_anew() -> None:  # trap 4, F29
    play = Playbook()
    play.arrive(NEW, OLD)
    play.wait(3)
    assert versions(play) == [NEW]
    play.admit()
    play.open(OLD)
    (close,) = play.closes()
    assert isinstance(close, CloseUpstream)
    assert NEW in close.reason
    assert OLD in close.reason
    assert any(NEW in text and OLD in text for text in play.told())
    assert [dial.offered for dial in play.dials()] == [(NEW,)]
    play.open(NEW)
    play.station(2, "b", "BootNotification", BOOT)
    assert play.up()[1] == "b"


def test_the_same_between_answer_and_connection() -> None:
    play = Playbook()
    play.arrive(NEW, OLD)
    play.wait(3)
    play.open(OLD)
    assert [type(close) for close in play.closes()] == [CloseUpstream]
    assert [dial.offered for dial in play.dials()] == [(NEW,)]
    play.admit()
    play.open(NEW)
    play.station(2, "b", "BootNotification", BOOT)
    assert play.up()[1] == "b"


def test_no_common_version_ends_the_handshake_without_one_and_says_so() -> None:
    play = Playbook()
    play.arrive(NEW, OLD)
    play.close("did not agree", no_common_version=True)
    assert versions(play) == [None]
    (text,) = play.told()
    assert f"{NEW}, {OLD}" in text
    assert "ocpp2.1" in text
    play.feed(StationLeft(play.at, "CP1", play.ticket))
    play.wait(30)
    assert play.dials() == []


def test_no_common_version_on_a_later_dial_is_an_alarm_once_and_local_control_goes_on() -> None:
    play = Playbook()
    play.arrive(NEW)
    play.close("connection refused")
    play.admit()
    play.close("connection refused")
    play.station(2, "b", "BootNotification", BOOT)
    assert play.down()[2]["status"] == "Accepted"
    alarms = 0
    for _ in range(3):
        while not play.dials():
            play.wait(1)
        play.close("did not agree", no_common_version=True)
        alarms += sum(NEW in text and "disk" in text for text in play.told())
        assert not any(isinstance(close, SendStation) for close in play.closes())
    assert alarms == 1
    play.station(2, "t", "TransactionEvent", event("Started", 0))
    assert play.down()[:2] == [3, "t"]
    assert len(play.rows) == 1


def test_the_csms_restarts_with_other_versions() -> None:
    play = agreed(OLD)
    play.arrive(NEW, OLD)
    play.open(OLD)
    play.admit()
    play.close("CSMS stopped")
    while not play.dials():
        play.wait(1)
    assert [dial.offered for dial in play.dials()] == [(OLD,)]
    play.close("did not agree", no_common_version=True)
    assert any(OLD in text for text in play.told())
    play.hang_up()
    play.version = NEW
    play.wait(61)
    play.arrive(NEW, OLD)
    play.open(NEW)
    assert versions(play) == [NEW]


# -- the queue of an absent station ---------------------------------------------------------------------------


def draining(version: str = NEW) -> Playbook:
    play = Playbook(version=version)
    play.connect()
    play.station(2, "b", "BootNotification", BOOT)
    play.csms(3, "b", ACCEPTED)
    play.close()
    for seq in range(3):
        play.station(2, f"t{seq}", "TransactionEvent", event("Started" if seq == 0 else "Updated", seq))
    play.hang_up()
    play.wait(62)
    assert len(play.dials()) == 1
    play.open()
    assert play.up()[2] == "TransactionEvent"
    return play


def test_a_leg_that_drains_the_queue_is_taken_if_the_station_offers_its_version() -> None:
    play = draining()
    play.arrive(OLD, NEW)
    assert versions(play) == [NEW]
    play.admit()
    assert play.dials() == []
    assert play.closes() == []


def test_a_leg_that_drains_the_queue_in_another_version_is_closed_and_dialled_anew() -> None:
    play = draining()
    play.arrive(OLD)
    assert [type(close) for close in play.closes()] == [CloseUpstream]
    assert [dial.offered for dial in play.dials()] == [(OLD,)]
    play.version = OLD
    play.open(OLD)
    assert versions(play) == [OLD]
    play.admit()
    play.station(2, "b", "BootNotification", BOOT_16)
    assert play.up()[1] == "b"
    assert len(play.rows) == 3, "nothing of the old version is lost or sent in the new one"


# -- between open and connected -------------------------------------------------------------------------------


def test_what_the_csms_says_before_the_station_is_there_waits_for_it() -> None:
    play = Playbook()
    play.arrive(NEW)
    play.open()
    call = '[2,"c-1","Reset",{ "type":"OnIdle"}]'
    play.csms(call)
    assert play.sent_up == []
    play.admit()
    assert call in play.sent_down
    play.station(3, "c-1", {"status": "Accepted"})
    assert play.up()[1] == "c-1"


def test_what_waits_is_bounded() -> None:
    play = Playbook()
    play.arrive(NEW)
    play.open()
    for number in range(65):
        play.csms(2, f"c-{number}", "Reset", {"type": "OnIdle"})
    assert [type(close) for close in play.closes()] == [CloseUpstream]
    play.admit()
    assert play.sent_down == []
    assert len(play.dials()) == 1


def test_a_leg_lost_before_the_station_is_there_is_dialled_again() -> None:
    play = Playbook()
    play.arrive(NEW, OLD)
    play.open(NEW)
    play.close("CSMS stopped")
    assert play.answers() == []
    play.admit()
    assert [dial.offered for dial in play.dials()] == [(NEW,)]


@pytest.mark.parametrize("opened", [False, True])
def test_a_station_that_leaves_takes_its_leg_with_it(opened: bool) -> None:
    play = Playbook()
    play.arrive(NEW)
    if opened:
        play.open()
    play.feed(StationLeft(play.at, "CP1", play.ticket - 1))
    assert play.closes() == [], "an older handshake's end means nothing"
    play.feed(StationLeft(play.at, "CP1", play.ticket))
    assert [type(close) for close in play.closes()] == [CloseUpstream]
    play.wait(30)
    assert play.dials() == []


@pytest.mark.parametrize("opened", [False, True])
def test_a_station_that_arrives_anew_begins_anew(opened: bool) -> None:
    play = Playbook()
    play.arrive(NEW, OLD)
    if opened:
        play.open()
    play.arrive(NEW)
    assert [type(close) for close in play.closes()] == [CloseUpstream]
    assert [dial.offered for dial in play.dials()] == [(NEW,)]
    play.open()
    assert play.answers() == [AnswerStation("CP1", play.ticket, NEW)]
    play.feed(StationLeft(play.at, "CP1", play.ticket - 1))
    assert play.closes() == []


def test_a_station_that_does_not_come_back_from_its_handshake_is_not_waited_for() -> None:
    play = Playbook()
    play.arrive(NEW)
    play.open()
    play.wait(4)
    assert play.closes() == []
    play.wait(1)
    assert [type(close) for close in play.closes()] == [CloseUpstream]


def test_the_shell_s_own_fallback_counts_even_if_it_is_another_version() -> None:
    play = Playbook(version=OLD)
    play.arrive(NEW, OLD)
    play.open(NEW)
    play.admit()  # with 1.6, although 2.0.1 was answered
    assert [type(close) for close in play.closes()] == [CloseUpstream]
    assert [dial.offered for dial in play.dials()] == [(OLD,)]


def test_a_station_that_connects_without_having_arrived_is_served_as_before() -> None:
    play = Playbook(version=OLD)
    play.admit()
    assert [dial.offered for dial in play.dials()] == [(OLD,)]


# -- storms --------------------------------------------------------------------------------------------------


def yard(stations: int) -> Playbook:
    data = config().model_dump(mode="json")
    data["stations"] = [{**data["stations"][0], "id": f"CP{number + 1}"} for number in range(stations)]
    return Playbook(type(config()).model_validate(data))


def test_in_a_storm_dials_are_spread_and_no_handshake_waits_for_a_turn_that_cannot_come_in_time() -> None:  # F12
    play = yard(100)
    answered, dialled = 0, 0
    for number in range(100):
        play.feed(StationArrived(play.at, f"CP{number + 1}", number + 1, (NEW,), "127.0.0.1"))
        answered += len(play.answers())
        dialled += len(play.dials())
    assert dialled == 10
    assert answered == 100 - 10 - 10, "ten are dialled, ten wait for a turn within a third of 3 s, the rest is served from here"
    for second in range(3):
        play.wait(1)
        assert len([dial for dial in play.outcomes if isinstance(dial, DialUpstream)]) <= 10, second


def test_in_a_storm_boots_are_answered_here_at_once_and_told_upstream_later() -> None:
    play = yard(100)
    for number in range(100):
        play.feed(StationConnected(play.at, f"CP{number + 1}", 1, NEW, "127.0.0.1"))
    play.generation = 1
    boot = json.dumps([2, "b", "BootNotification", BOOT])
    answered = 0
    for number in range(100):
        play.feed(StationFrame(play.at, f"CP{number + 1}", 1, boot))
        answered += len(play.sent_down)
    assert 80 <= answered <= 90, "the others have a dial under way or get one within a second"
    dialled = 0
    for _ in range(12):
        play.wait(1)
        dialled += len([outcome for outcome in play.outcomes if isinstance(outcome, DialUpstream)])
    assert dialled == 90, "all are dialled in their turn"


def test_a_restart_with_a_broken_memory_still_answers() -> None:
    play = Playbook()
    play.feed(Restored(play.at, {("link", "CP1"): {"version": "ocpp1.6", "agreed": [], "transactions": {}}}, {}))
    play.arrive(NEW)
    play.close("connection refused")
    assert versions(play) == [NEW]
