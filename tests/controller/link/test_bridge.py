"""The pair face with unequal versions: which version is dialled with, what is remembered, and that no bridge stands where none is needed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import EvseKey
from controller.orders import AnnounceLimit, CloseUpstream, DialUpstream, Tell
from tests.support.playbook import BOOT, BOOT_16, Playbook, config

HEARTBEAT = {"currentTime": "2026-11-21T16:00:00Z"}


def play(version: str = "ocpp2.1", **upstream: Any) -> Playbook:
    return Playbook(config(**upstream), version=version, translates=True)


def offers(p: Playbook) -> list[tuple[str, ...]]:
    return [dial.offered for dial in p.dials()]


def translated(p: Playbook, csms: str = "ocpp2.0.1") -> None:
    """The station is connected and its CSMS speaks ``csms`` only."""
    p.admit()
    p.close("no version", no_common_version=True)
    p.open(csms)


@pytest.mark.parametrize(
    ("station", "others"),
    [
        ("ocpp2.1", ("ocpp2.0.1", "ocpp1.6")),
        ("ocpp2.0.1", ("ocpp2.1", "ocpp1.6")),
        ("ocpp1.6", ("ocpp2.0.1", "ocpp2.1")),
    ],
)
def test_own_version_first_then_the_nearest(station: str, others: tuple[str, ...]) -> None:
    p = play(station)
    p.admit()
    assert offers(p) == [(station,)]
    p.close("no version", no_common_version=True)
    assert offers(p) == [others]
    assert not p.told()  # the session still waits for its dial


def test_refusal_that_may_be_for_the_version_is_tried_too() -> None:
    p = play()
    p.admit()
    p.close("HTTP 400", version_in_doubt=True)
    assert offers(p) == [("ocpp2.0.1", "ocpp1.6")]


def test_csms_that_is_away_is_not_asked_for_other_versions() -> None:
    p = play()
    p.admit()
    p.close("connection refused")
    assert offers(p) == []


def test_no_translation_where_the_site_file_forbids_it() -> None:
    p = play(translate=False)
    p.admit()
    p.close("no version", no_common_version=True)
    assert offers(p) == []
    assert any("does not speak" in text for text in p.told())


def test_equal_versions_pass_byte_for_byte() -> None:
    p = play()
    p.connect()
    assert not p.links.sessions["CP1"].virtual
    text = '[2, "a",  "Heartbeat", {}]'
    p.station(text)
    assert p.sent_up == [text]
    answer = '[3, "a",  {"currentTime": "2026-11-21T16:00:00Z"}]'
    p.csms(answer)
    assert p.sent_down == [answer]


def test_handshake_waits_and_the_station_gets_its_best_version() -> None:
    p = play()
    p.arrive("ocpp2.0.1", "ocpp2.1")
    assert offers(p) == [("ocpp2.0.1", "ocpp2.1")]
    p.close("no version", no_common_version=True)
    assert p.answers() == []
    assert offers(p) == [("ocpp1.6",)]
    p.open("ocpp1.6")
    assert [answer.version for answer in p.answers()] == ["ocpp2.1"]


def test_handshake_ends_where_nothing_fits() -> None:
    p = play()
    p.arrive("ocpp2.1")
    p.close("no version", no_common_version=True)
    p.close("no version", no_common_version=True)
    assert [answer.version for answer in p.answers()] == [None]


def test_messages_of_both_sides_are_translated() -> None:
    p = play()
    translated(p)
    assert any("translated" in text for text in p.told())
    p.station(2, "boot", "BootNotification", BOOT)
    kind, message_id, action, payload = p.up()
    assert (kind, action, payload["reason"]) == (2, "BootNotification", "PowerUp")
    assert message_id != "boot"
    p.csms(3, message_id, {**HEARTBEAT, "interval": 300, "status": "Accepted"})
    assert p.down() == [3, "boot", {**HEARTBEAT, "interval": 300, "status": "Accepted"}]
    p.csms(2, "c", "UnlockConnector", {"evseId": 1, "connectorId": 1})
    kind, message_id, action, payload = p.down()
    assert (kind, action, payload) == (2, "UnlockConnector", {"evseId": 1, "connectorId": 1})
    p.station(3, message_id, {"status": "Unlocked"})
    assert p.up() == [3, "c", {"status": "Unlocked"}]


def test_what_was_agreed_is_right_at_once_after_a_restart() -> None:
    p = play()
    translated(p)
    other = p.restarted()
    other.admit()
    assert offers(other) == [("ocpp2.0.1",)]
    other.open("ocpp2.0.1")
    other.station(2, "h", "Heartbeat", {})
    assert other.up()[2] == "Heartbeat"


def test_own_version_is_tried_again_after_an_hour_and_wins() -> None:
    p = play()
    translated(p)
    p.close("CSMS stopped")
    p.wait(10)
    assert offers(p) == [("ocpp2.0.1",)]
    p.open("ocpp2.0.1")
    p.wait(3600)
    p.close("CSMS stopped")
    p.wait(10)
    assert offers(p) == [("ocpp2.1",)]
    p.open("ocpp2.1")
    text = '[2,"a","Heartbeat",{}]'
    p.station(text)
    assert p.sent_up == [text]
    assert p.memories.get(("hub:bridge:CP1:csms", "agreed")) is None


def test_agreed_version_that_is_gone_gives_way_to_the_own_one() -> None:
    p = play()
    translated(p)
    p.close("CSMS stopped")
    p.wait(10)
    p.close("no version", no_common_version=True)
    assert offers(p) == [("ocpp2.1",)]


def test_configured_versions_are_dialled_with_at_once() -> None:
    p = play(versions=["ocpp2.0.1"])
    p.admit()
    assert offers(p) == [("ocpp2.0.1",)]
    p.open("ocpp2.0.1")
    assert p.links.sessions["CP1"].virtual


def test_configured_version_that_the_station_speaks_is_relayed() -> None:
    p = play(versions=["ocpp2.0.1", "ocpp2.1"])
    p.arrive("ocpp2.1", "ocpp1.6")
    assert offers(p) == [("ocpp2.1",)]
    p.open("ocpp2.1")
    p.admit()
    assert not p.links.sessions["CP1"].virtual


def test_configured_versions_are_all_tried_the_station_s_own_first() -> None:
    p = play(versions=["ocpp1.6", "ocpp2.1"])
    p.admit()
    assert offers(p) == [("ocpp2.1",)]
    p.close("no version", no_common_version=True)
    assert offers(p) == [("ocpp1.6",)]


def test_station_that_offers_more_is_rather_asked_to_connect_again() -> None:
    p = play("ocpp2.0.1", reconnect_min_s=1)
    p.arrive("ocpp2.0.1", "ocpp1.6")
    p.close("connection refused")
    p.admit()
    assert offers(p) == [("ocpp2.0.1",)]
    p.close("no version", no_common_version=True)
    assert offers(p) == []  # nothing is translated that the station can say itself
    p.wait(10)
    assert offers(p)[-1] == ("ocpp2.0.1", "ocpp1.6")


def test_lost_csms_closes_the_virtual_leg_and_nothing_fails_below() -> None:
    p = play()
    translated(p)
    p.station(2, "b", "BootNotification", BOOT)
    p.close("CSMS stopped")
    (frame,) = [json.loads(text) for text in p.sent_down]
    assert frame[:2] == [3, "b"]  # answered here, as by any CSMS that is away
    assert any("away" in text for text in p.told())


def test_station_that_leaves_takes_its_socket_with_it() -> None:
    p = play()
    translated(p)
    generation = p.upstream_generation
    p.hang_up()
    assert [close.generation for close in p.closes() if isinstance(close, CloseUpstream)] == [generation]
    assert p.close("closed by us") == []


def test_silent_csms_loses_its_socket_by_the_trunk_not_by_the_session() -> None:
    p = play()
    translated(p)
    p.station(2, "a", "Heartbeat", {})
    p.wait(30)
    p.station(2, "b", "Heartbeat", {})
    p.wait(30)
    assert [close for close in p.closes() if isinstance(close, CloseUpstream)] or not p.links.sessions["CP1"].virtual
    assert sum(isinstance(outcome, CloseUpstream) for outcome in p.outcomes) == 1
    p.wait(10)
    assert any(isinstance(outcome, DialUpstream) for outcome in p.outcomes)


def test_sockets_of_the_bridge_never_meet_those_of_the_session() -> None:
    p = play()
    p.admit()
    assert [dial.generation for dial in p.dials()] == [1]
    p.close("no version", no_common_version=True)
    assert [dial.generation for dial in p.dials()] == [-1]
    p.open("ocpp2.0.1")
    p.close("CSMS stopped")
    p.wait(10)
    assert [dial.generation for dial in p.dials()] == [-2]


def test_limits_of_a_16_station_are_told_in_words_of_the_hub() -> None:
    p = play("ocpp1.6")
    translated(p)
    p.station(2, "b", "BootNotification", BOOT_16)
    p.csms(3, p.up()[1], {**HEARTBEAT, "interval": 300, "status": "Accepted"})
    p.wait(2)
    p.carry(AnnounceLimit(EvseKey("CP1", 1), 10.0, "EMS", "fuse"))
    calls = [json.loads(text) for text in p.sent_up]
    for _ in range(20):
        if any(call[2] == "NotifyChargingLimit" for call in calls if call[0] == 2):
            break
        for call in calls:
            if call[0] == 2:
                p.csms(4, call[1], "NotSupported", "", {})
        p.wait(1)
        calls = [json.loads(text) for text in p.sent_up]
    (notice,) = [call for call in calls if call[0] == 2 and call[2] == "NotifyChargingLimit"]
    assert notice[3]["evseId"] == 1
    assert notice[3]["chargingLimit"]["chargingLimitSource"] == "EMS"
    assert not [outcome for outcome in p.outcomes if isinstance(outcome, Tell) and "cannot be translated" in outcome.text]
