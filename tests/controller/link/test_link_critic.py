"""Transcripts of a cold reader: each was a defect once. Messages lost, doubled or mixed up; the wrong version; memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.engine import Engine
from controller.facts import SessionChanged, UpstreamClosed, UpstreamFrame
from controller.orders import CloseStation, Tell
from tests.support.playbook import BOOT, BOOT_16, Playbook, config, event, start_16, stop_16, values_16

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
ALLOWED = {"idTagInfo": {"status": "Accepted"}}


def booted(version: str = "ocpp1.6", **more: Any) -> Playbook:
    """A station with its CSMS."""
    play = Playbook(config(**more), version=version)
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT)
    play.csms(3, "boot", ACCEPTED)
    if version == "ocpp1.6":
        play.station(2, "auth", "Authorize", {"idTag": "AABBCC"})
        play.csms(3, "auth", ALLOWED)
    return play


def dialled(play: Playbook, seconds: int = 200) -> tuple[str, ...]:
    """Time passes until the CSMS is dialled; what is offered to it."""
    for _ in range(seconds):
        if play.dials():
            return play.dials()[-1].offered
        play.wait(1)
    raise AssertionError("nobody dialled")


def back(play: Playbook) -> None:
    """The CSMS comes back as soon as it is dialled."""
    if play.links.sessions["CP1"].up.link.state.value != "dialling":  # type: ignore[union-attr]
        dialled(play)
    play.open()


def up(play: Playbook, seconds: int = 120) -> list[Any]:
    """The next CALL to the CSMS; time passes until there is one."""
    for _ in range(seconds):
        calls = [frame for frame in map(json.loads, play.sent_up) if frame[0] == 2]
        if calls:
            return calls[0]
        play.wait(1)
    raise AssertionError("nothing goes up")


# -- 1.6 transaction ids ---------------------------------------------------------------------------


def started_in_an_outage(play: Playbook, csms_id: int, connector_id: int = 1, time: str = "2026-11-21T16:00:00Z") -> int:
    """A transaction that begins while the CSMS is away, and what the CSMS calls it when it is back; returns the station's id."""
    play.close()
    play.station(2, f"start-{csms_id}-{connector_id}", "StartTransaction", start_16(connector_id, time=time))
    local: int = play.down()[2]["transactionId"]
    back(play)
    call = up(play)
    assert call[2] == "StartTransaction"
    play.csms(3, call[1], {"transactionId": csms_id, **ALLOWED})
    return local


def test_an_id_the_csms_uses_again_means_the_transaction_that_has_it_now() -> None:
    # A CSMS whose counter began anew gives a live transaction the id that another one had, which the station knows by a local id.
    play = booted()
    local = started_in_an_outage(play, 5)
    play.station(2, "stop", "StopTransaction", stop_16(local))
    assert play.up()[3]["transactionId"] == 5
    play.csms(3, "stop", {})
    play.station(2, "start", "StartTransaction", start_16(time="2026-11-21T18:00:00Z"))
    play.csms(3, "start", {"transactionId": 5, **ALLOWED})
    named = play.down()[2]["transactionId"]
    play = play.restarted()
    play.connect()
    play.csms(2, "remote", "RemoteStopTransaction", {"transactionId": 5})
    assert play.down()[3]["transactionId"] == named


def test_an_id_that_two_transactions_have_at_once_stops_the_newest_that_runs() -> None:
    play = booted(evses=2)
    first = started_in_an_outage(play, 1, connector_id=1)
    second = started_in_an_outage(play, 1, connector_id=2)
    play.station(2, "stop", "StopTransaction", stop_16(second))
    play.csms(3, "stop", {})
    play.csms(2, "remote", "RemoteStopTransaction", {"transactionId": 1})
    assert play.down()[3]["transactionId"] == first


@pytest.mark.parametrize("csms_id", [0, -1, 7])
def test_a_csms_that_always_gives_the_same_id_has_more_than_one_session(csms_id: int) -> None:
    play = booted()
    for number in range(3):
        time = f"2026-11-21T{10 + number}:00:00Z"
        play.mono_s += 3600.0
        play.station(2, f"start-{number}", "StartTransaction", start_16(time=time, meter_wh=number))
        play.csms(3, f"start-{number}", {"transactionId": csms_id, **ALLOWED})
        assert [fact.started for fact in play.facts(SessionChanged)] == [True], number
        play.station(2, f"stop-{number}", "StopTransaction", stop_16(csms_id, time=time.replace(":00Z", ":30Z")))
        play.csms(3, f"stop-{number}", ALLOWED)


def test_an_equal_start_after_the_stop_is_a_session_of_its_own_in_an_outage_too() -> None:
    # A station whose clock and meter stand still: what began, ended and begins again is two sessions.
    play = booted()
    play.close()
    play.station(2, "a", "StartTransaction", start_16())
    first = play.down()[2]["transactionId"]
    play.station(2, "b", "StopTransaction", stop_16(first))
    play.station(2, "c", "StartTransaction", start_16())
    second = play.down()[2]["transactionId"]
    assert second != first
    assert [row.action for row in play.rows.values()] == ["StartTransaction", "StopTransaction", "StartTransaction"]


# -- what goes up, and when ---------------------------------------------------------------------------


def test_a_busy_transaction_drains_although_it_says_more_than_the_queue_may_send_a_second() -> None:
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    play.csms(3, "s", {"transactionId": 3, **ALLOWED})
    play.close()
    for number in range(40):
        play.station(2, f"o-{number}", "MeterValues", values_16(3, str(number)))
    back(play)
    number, heard = 100, drain(play)
    for _ in range(60):
        for _ in range(10):  # ten readings a second, each answered at once
            number += 1
            play.station(2, f"n-{number}", "MeterValues", values_16(3, str(number)))
            heard += drain(play)
        play.wait(1)
        heard += drain(play)
    assert not play.links.sessions["CP1"].up.queued
    assert heard == 640


def drain(play: Playbook) -> int:
    """The CSMS answers everything at once."""
    heard = 0
    calls = [frame for frame in map(json.loads, play.sent_up) if frame[0] == 2]
    while calls:
        heard += 1
        play.csms(3, calls[0][1], {})
        calls = [frame for frame in map(json.loads, play.sent_up) if frame[0] == 2]
    return heard


@pytest.mark.parametrize("verdict", ["Pending", "Rejected"])
def test_the_queue_waits_until_the_csms_has_accepted_the_boot_it_hears_itself(verdict: str) -> None:
    play = booted("ocpp2.0.1")
    play.close()
    play.station(2, "e", "TransactionEvent", event("Started", 0))
    dialled(play)
    play.station(2, "again", "BootNotification", BOOT)  # answered here, owed
    play.open()
    owed = up(play)
    play.csms(3, owed[1], {**ACCEPTED, "status": verdict, "interval": 40})
    play.station(2, "mine", "BootNotification", BOOT)
    assert play.up()[1] == "mine"
    play.csms(3, "mine", {**ACCEPTED, "status": verdict, "interval": 40})
    assert not play.sent_up
    play.wait(35)
    assert not play.sent_up
    play.station(2, "mine-2", "BootNotification", BOOT)
    play.csms(3, "mine-2", ACCEPTED)
    assert up(play)[2] == "TransactionEvent"


def test_a_station_that_does_not_boot_again_does_not_keep_its_queue_from_the_csms_for_ever() -> None:
    play = booted()
    play.close()
    play.station(2, "a", "StartTransaction", start_16())
    back(play)
    first = up(play)  # the row went up before the boot
    play.station(2, "mine", "BootNotification", BOOT_16)
    play.csms(4, first[1], "SecurityError", "", {})
    play.csms(3, "mine", {**ACCEPTED, "status": "Pending", "interval": 0})
    assert up(play, 700)[2] == "StartTransaction"
    assert play.mono_s > 1590.0


def test_a_boot_that_is_owed_is_repeated_when_the_csms_wants_it() -> None:
    play = booted()
    play.close()
    play.station(2, "again", "BootNotification", BOOT_16)
    back(play)
    play.csms(3, up(play)[1], {**ACCEPTED, "status": "Rejected", "interval": 200})
    play.wait(190)
    assert not play.sent_up
    play.wait(15)
    assert up(play)[2] == "BootNotification"


def test_e11_only_what_happened_offline_says_so() -> None:
    play = booted("ocpp2.0.1")
    play.close()
    play.station(2, "a", "TransactionEvent", event("Started", 0))
    play.station(2, "b", "TransactionEvent", event("Updated", 1))
    back(play)
    first = up(play)
    play.station(2, "c", "TransactionEvent", event("Updated", 2))  # waits behind the queue, but everybody is online
    flags = [first[3].get("offline")]
    play.csms(3, first[1], {})
    for _ in range(2):
        call = up(play)
        flags.append(call[3].get("offline"))
        play.csms(3, call[1], {})
    assert flags == [True, True, None]


def test_e11_fr_07_what_still_waits_when_the_link_drops_was_offline() -> None:
    play = booted("ocpp2.0.1")
    play.close()
    play.station(2, "a", "TransactionEvent", event("Started", 0))
    back(play)
    up(play)
    play.station(2, "c", "TransactionEvent", event("Updated", 1))
    play.close()
    play = play.restarted()
    play.connect()
    flags = []
    for _ in range(2):
        call = up(play)
        flags.append(call[3].get("offline"))
        play.csms(3, call[1], {})
    assert flags == [True, True]


def test_a_status_told_in_an_outage_survives_our_restart() -> None:
    play = booted()
    play.close()
    play.station(2, "s", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"})
    play = play.restarted()
    play.connect()  # the station has been online all the time, as it sees it: it says nothing
    call = up(play)
    assert (call[2], call[3]["status"]) == ("StatusNotification", "Faulted")
    play.csms(3, call[1], {})
    play = play.restarted()
    play.connect()
    play.wait(60)
    assert not play.sent_up


@pytest.mark.parametrize("action", ["StartTransaction", "StopTransaction", "MeterValues"])
def test_an_error_to_a_live_message_is_the_station_s_to_repeat(action: str) -> None:
    # 16.11, E13: it has not been acknowledged, so it is not ours; a queued copy would reach the CSMS twice.
    play = booted()
    payload = {"StartTransaction": start_16(), "StopTransaction": stop_16(9), "MeterValues": values_16(9)}[action]
    play.station(2, "a", action, payload)
    play.csms(4, "a", "InternalError", "", {})
    assert play.down()[:3] == [4, "a", "InternalError"]
    assert not play.rows
    play.station(2, "b", action, payload)
    assert play.up()[1:3] == ["b", action]


# -- memory --------------------------------------------------------------------------------------------


def test_transactions_that_never_end_do_not_pile_up() -> None:
    play = booted("ocpp2.0.1")
    for number in range(200):
        play.station(2, f"e{number}", "TransactionEvent", event("Started", 0, f"tx-{number}"))
        play.csms(3, f"e{number}", {})
    assert sum(len(places) for places in play.links.sessions["CP1"]._shared.places.values()) <= 1


def test_copies_for_an_absent_mirror_are_bounded_in_bytes_too() -> None:
    play = Playbook(config(mirrors=("m1",)), version="ocpp2.0.1")
    play.connect()
    play.close(mirror="m1")
    for number in range(40):
        play.station(2, f"d{number}", "DataTransfer", {"vendorId": "x", "data": "y" * 100_000})
        play.csms(3, f"d{number}", {"status": "Accepted"})
    (mirror,) = play.links.sessions["CP1"].mirrors
    assert sum(len(str(copy.payload)) if hasattr(copy, "payload") else len(copy.text) for copy in mirror._queue) <= 600_000
    assert mirror.view().queued >= 1


# -- versions ------------------------------------------------------------------------------------------


def admitted_in_an_outage(first: str, other: str) -> Playbook:
    """A station that offers two versions comes while the CSMS is away and gets its first choice."""
    play = Playbook(config(), version=first)
    play.arrive(first, other)
    play.close("connection refused")
    assert [answer.version for answer in play.answers()] == [first]
    play.admit()
    return play


def test_a_station_that_was_given_a_version_the_csms_does_not_speak_is_asked_to_choose_again() -> None:
    play = admitted_in_an_outage("ocpp2.0.1", "ocpp1.6")
    assert dialled(play) == ("ocpp2.0.1",)
    play.close("no common version", no_common_version=True)
    assert not play.closes()
    assert dialled(play) == ("ocpp2.0.1", "ocpp1.6")  # nobody is asked to leave before it is sure that it helps
    play.open("ocpp1.6")
    (close,) = [order for order in play.closes() if isinstance(order, CloseStation)]
    assert close.code == 1012
    play.hang_up()
    play.version = "ocpp1.6"
    play.arrive("ocpp2.0.1", "ocpp1.6")
    assert play.dials()[-1].offered == ("ocpp2.0.1", "ocpp1.6")
    play.open("ocpp1.6")
    assert [answer.version for answer in play.answers()] == ["ocpp1.6"]
    play.admit()
    play.station(2, "boot", "BootNotification", BOOT_16)
    assert play.up()[1] == "boot"


def test_a_station_is_not_asked_to_choose_again_while_it_charges() -> None:
    play = admitted_in_an_outage("ocpp2.0.1", "ocpp1.6")
    assert dialled(play) == ("ocpp2.0.1",)
    play.close("no common version", no_common_version=True)
    play.station(2, "e", "TransactionEvent", event("Started", 0))
    assert dialled(play) == ("ocpp2.0.1",)
    play.close("no common version", no_common_version=True)
    play.station(2, "f", "TransactionEvent", event("Ended", 1))
    assert dialled(play) == ("ocpp2.0.1", "ocpp1.6")


def test_a_csms_that_refuses_the_request_as_such_may_speak_another_version() -> None:
    # HTTP 400 to an unknown subprotocol: no proof, so nobody is turned away, but worth a dial with all the station offers.
    play = admitted_in_an_outage("ocpp2.0.1", "ocpp1.6")
    play.feed(UpstreamClosed(play.at, "CP1", play.upstream_generation, "HTTP 400", version_in_doubt=True))
    assert dialled(play) == ("ocpp2.0.1", "ocpp1.6")
    play.open("ocpp2.0.1")
    assert not play.closes()


def test_a_station_is_not_asked_again_and_again() -> None:
    # Two servers behind one address, one for each version.
    asked = 0
    play = admitted_in_an_outage("ocpp2.0.1", "ocpp1.6")
    for _ in range(20):
        dialled(play)
        play.close("no common version", no_common_version=True)
        dialled(play)
        play.open("ocpp1.6")
        asked += sum(isinstance(order, CloseStation) for order in play.closes())
        play.hang_up()
        play.arrive("ocpp2.0.1", "ocpp1.6")
        play.close("connection refused")
        play.version = "ocpp2.0.1"
        play.admit()
    assert 1 <= asked <= 4


def test_a_station_with_one_version_is_left_alone() -> None:
    play = Playbook(config(), version="ocpp2.0.1")
    play.arrive("ocpp2.0.1")
    play.close("connection refused")
    play.admit()
    for _ in range(3):
        assert dialled(play) == ("ocpp2.0.1",)
        play.close("no common version", no_common_version=True)
        assert not play.closes()


def test_a_boot_and_a_status_in_the_words_of_another_version_are_told_to_nobody() -> None:
    play = Playbook(config(), version="ocpp2.0.1")
    play.connect(csms=False)
    play.station(2, "boot", "BootNotification", BOOT)
    play.station(2, "s", "StatusNotification", {"timestamp": "2026-11-21T16:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1})
    play.hang_up()
    play.version = "ocpp1.6"
    play.admit()
    play.open()
    play.wait(60)
    assert not play.sent_up
    play.station(2, "boot-2", "BootNotification", BOOT_16)
    assert play.up()[1] == "boot-2"


def test_messages_in_the_words_of_an_old_version_are_told_of_and_go_up_when_the_station_is_away() -> None:
    play = booted()
    play.close()
    play.station(2, "a", "StartTransaction", start_16())
    play.hang_up()
    play.version = "ocpp2.0.1"
    play.admit()
    assert any("queued messages in ocpp1.6" in text for text in play.told())
    play.open()
    play.hang_up()
    assert dialled(play) == ("ocpp1.6",)
    play.open("ocpp1.6")
    assert up(play)[2] == "StartTransaction"


# -- texts of others in our event log --------------------------------------------------------------------


def test_names_and_codes_of_a_csms_cannot_write_lines_of_their_own_into_the_log() -> None:
    play = booted("ocpp2.0.1", commands={"allow": ["Reset"]})
    engine = Engine(play.config, "seed", {})
    engine.links = play.links
    evil = UpstreamFrame(play.at, "CP1", play.upstream_generation, json.dumps([2, "x", "Evil\nALARM all is well\x1b[2J", {}]))
    texts = [order.text for order in engine.handle(evil) if isinstance(order, Tell)]
    assert texts
    assert all(text.isprintable() for text in texts), texts
