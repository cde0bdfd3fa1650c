"""Reset of a 1.6 station (OCPP-NOTES 12.7, trap 27)."""

from __future__ import annotations

from typing import Any

from controller.ocpp.hub import EvseShape, Failed, Said
from controller.ocpp.times import timestamp
from controller.ocpp.v16.station_side import StationSide16
from tests.support.talking import NOON, Talking

START = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": NOON}
STOP = {"transactionId": 1001, "meterStop": 5, "timestamp": NOON}


def talking(evses: int = 1, **wire: Any) -> Talking:
    """A connected station that has told its connectors free. wire: its answers."""
    answers = {"Reset": {"status": "Accepted"}, "TriggerMessage": {"status": "Accepted"}, **wire}
    hub = {
        **{key: {} for key in ("StatusNotification", "TransactionEvent")},
        "BootNotification": {"status": "Accepted", "currentTime": NOON, "interval": 9},
    }
    made = Talking(StationSide16, evses=tuple(EvseShape(number) for number in range(1, evses + 1)), wire=answers, hub=hub)
    made.opened()
    for number in range(1, evses + 1):
        status(made, "Available", number)
    made.seconds(20)
    made.log.clear()
    return made


def status(peer: Talking, word: str, connector: int = 1) -> None:
    """A StatusNotification."""
    peer.said("StatusNotification", {"connectorId": connector, "status": word, "errorCode": "NoError"})


def resets(peer: Talking) -> list[str]:
    """Types of the Resets that went to the station since the last look."""
    return [payload["type"] for action, payload in peer.sent("wire") if action == "Reset"]


def test_immediate_is_gentle_first_and_hard_when_the_station_stays() -> None:
    peer = talking()
    assert peer.asked("Reset", {"type": "Immediate"}) == Said({"status": "Accepted"})
    assert resets(peer) == ["Soft"]
    peer.seconds(179)
    assert resets(peer) == []
    peer.seconds(2)
    assert resets(peer) == ["Hard"]
    peer.seconds(400)
    assert resets(peer) == []


def test_a_station_that_went_down_or_booted_is_not_reset_again() -> None:
    for boots in (True, False):
        peer = talking()
        peer.asked("Reset", {"type": "Immediate"})
        if boots:
            peer.said("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
        else:
            peer.closed()
            peer.opened()
        peer.log.clear()
        peer.seconds(300)
        assert resets(peer) == []


def test_a_station_without_soft_is_reset_hard() -> None:
    peer = talking(Reset=lambda request: {"status": "Accepted" if request["type"] == "Hard" else "Rejected"})
    assert peer.asked("Reset", {"type": "Immediate"}) == Said({"status": "Accepted"})
    assert resets(peer) == ["Soft", "Hard"]
    peer = talking(Reset={"status": "Rejected"})
    assert peer.asked("Reset", {"type": "Immediate"}) == Said({"status": "Rejected"})
    peer = talking(Reset=Failed("InternalError", "x"))
    assert peer.asked("Reset", {"type": "Immediate"}) == Failed("InternalError", "x")


def test_on_idle_waits_for_the_end_of_the_transaction() -> None:
    peer = talking()
    peer.said("StartTransaction", START)
    status(peer, "Charging")
    assert peer.asked("Reset", {"type": "OnIdle"}) == Said({"status": "Scheduled"})
    peer.seconds(600)
    assert resets(peer) == []
    peer.said("StopTransaction", STOP)
    status(peer, "Finishing")
    peer.seconds(1)
    assert resets(peer) == ["Soft"]
    peer.seconds(60)
    assert resets(peer) == []


def test_a_transaction_that_has_just_begun_is_not_idle() -> None:
    """Its connector says Preparing still, or Finishing again: the book knows that it runs."""
    for word in ("Preparing", "Finishing"):
        peer = talking()
        peer.said("StartTransaction", START)
        status(peer, word)
        assert peer.asked("Reset", {"type": "OnIdle"}) == Said({"status": "Scheduled"})
        peer.seconds(60)
        assert resets(peer) == []


def test_what_the_station_said_before_a_transaction_began_does_not_make_it_idle() -> None:
    """It told its connector free, then started on a card, and tells of the charging later, or never: OnIdle would have ended it."""
    peer = talking()
    peer.said("StartTransaction", {**START, "timestamp": timestamp(peer.wall_s)})
    assert peer.asked("Reset", {"type": "OnIdle"}) == Said({"status": "Scheduled"})
    peer.seconds(600)
    assert resets(peer) == []
    peer.said("StopTransaction", STOP)
    peer.seconds(2)
    assert resets(peer) == ["Soft"]


def test_on_idle_of_an_idle_station_is_now() -> None:
    peer = talking()
    assert peer.asked("Reset", {"type": "OnIdle"}) == Said({"status": "Accepted"})
    assert resets(peer) == ["Soft"]


def test_on_idle_survives_a_restart_and_needs_to_know_every_connector() -> None:
    """What a station has in its queue is not in our book: its connectors must have said so themselves."""
    peer = talking(2)
    peer.said("StartTransaction", START)
    status(peer, "Charging")
    peer.asked("Reset", {"type": "OnIdle"})
    peer.said("StopTransaction", STOP)
    peer = peer.again()
    peer.opened()
    status(peer, "Available", 1)
    peer.seconds(29)
    assert peer.sent("wire") == []
    peer.seconds(5)
    assert peer.sent("wire") == [("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 2})]
    status(peer, "SuspendedEV", 2)
    peer.seconds(30)
    assert resets(peer) == []
    status(peer, "Available", 2)
    peer.seconds(1)
    assert resets(peer) == ["Soft"]


def test_a_stop_that_never_came_does_not_hold_a_reset_for_ever() -> None:
    peer = talking()
    peer.said("StartTransaction", START)
    status(peer, "Charging")
    peer.asked("Reset", {"type": "OnIdle"})
    status(peer, "Available")
    peer.seconds(1)
    assert resets(peer) == ["Soft"]


def test_the_next_boot_says_why() -> None:
    peer = talking()
    peer.asked("Reset", {"type": "OnIdle"})
    peer = peer.again()
    peer.said("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    assert peer.sent("hub")[-1][1]["reason"] == "ScheduledReset"


def test_what_1_6_cannot_reset() -> None:
    peer = talking(2)
    for request in ({"type": "Immediate", "evseId": 1}, {"type": "ImmediateAndResume"}, {"type": "OnIdle", "evseId": 2}):
        reply = peer.asked("Reset", request)
        assert isinstance(reply, Said)
        assert reply.payload["status"] == "Rejected"
    assert resets(peer) == []
    assert talking(1).asked("Reset", {"type": "Immediate", "evseId": 1}) == Said({"status": "Accepted"})
