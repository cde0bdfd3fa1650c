"""What the CSMS hears of the site's limits: when it matters, at a pace, in its version's words, and cleared once."""

import json
from typing import Any

import pytest

from controller.facts import EvseKey, UpstreamWished
from controller.orders import AnnounceLimit
from tests.support.playbook import BOOT, Playbook, config
from tests.support.schemas import check_request

EVSE = EvseKey("CP1", 1)
AWAY = "CSMS stopped"


def booted(version: str = "ocpp2.0.1", **upstream: Any) -> Playbook:
    play = Playbook(config(evses=2, **upstream), version=version)
    play.connect()
    play.station(2, "b", "BootNotification", BOOT if version != "ocpp1.6" else {"chargePointVendor": "A", "chargePointModel": "B"})
    play.csms(3, "b", {"currentTime": "2026-11-21T16:00:00Z", "interval": 300, "status": "Accepted"})
    return play


def limit(limit_a: float | None, source: str = "EMS", evse_id: int = 1, **more: Any) -> AnnounceLimit:
    return AnnounceLimit(EvseKey("CP1", evse_id), limit_a, source, "main fuse", **more)


def calls(play: Playbook) -> list[list[Any]]:
    """CALLs that went up in the last step, each valid by its schema."""
    frames = [json.loads(text) for text in play.sent_up]
    found = [frame for frame in frames if frame[0] == 2]
    for frame in found:
        check_request(frame[2], frame[3], play.version)
    return found


def told(play: Playbook, order: AnnounceLimit) -> list[Any]:
    """The order is carried, and answered by the CSMS: (action, payload) of what went up."""
    play.carry(order)
    return answered(play)


def answered(play: Playbook) -> list[Any]:
    found: list[Any] = []
    while sent := calls(play):
        found += [(frame[2], frame[3]) for frame in sent]
        for frame in sent:
            play.csms(3, frame[1], {})
    return found


# -- words of the versions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_a_limit_of_the_site_is_told_and_its_end_too(version: str) -> None:  # K11.FR.02, K13.FR.02, K14.FR.02
    play = booted(version)
    (call,) = told(play, limit(10.0, critical=True))
    assert call == ("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "EMS", "isGridCritical": True}, "evseId": 1})
    assert told(play, limit(None)) == []  # not within ten seconds of the last word
    play.wait(11)
    assert answered(play) == [("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1})]
    assert told(play, limit(None)) == []


def test_a_limit_of_the_station_names_no_evse() -> None:
    ((_, payload),) = told(booted(), limit(20.0, evse_id=0))
    assert "evseId" not in payload


@pytest.mark.parametrize(
    ("version", "source", "word"),
    [
        ("ocpp2.0.1", "SO", "SO"),
        ("ocpp2.0.1", "fleet manager", "Other"),
        ("ocpp2.0.1", "CSO", "Other"),  # K11.FR.05: never the CSMS's own word
        ("ocpp2.1", "fleet manager", "fleet manager"),
        ("ocpp2.1", "a name of more than twenty letters", "a name of more than "),
    ],
)
def test_sources_are_fixed_words_in_2_0_1_and_free_in_2_1(version: str, source: str, word: str) -> None:
    ((_, payload),) = told(booted(version), limit(10.0, source))
    assert payload["chargingLimit"]["chargingLimitSource"] == word


def test_1_6_has_no_word_for_it() -> None:
    play = booted("ocpp1.6")
    assert told(play, limit(10.0)) == []
    play.wait(200)
    assert calls(play) == []


def test_without_a_csms_nobody_is_told() -> None:
    play = Playbook(config(upstream=False))
    play.admit()
    play.station(2, "b", "BootNotification", BOOT)
    assert play.carry(limit(10.0)) == []


# -- schedules -------------------------------------------------------------------------------------------------


def test_the_schedule_is_attached_where_the_site_says_so() -> None:  # NotifyChargingLimitWithSchedules
    play = booted(notify_schedules=True)
    ((_, payload),) = told(play, limit(10.07, until_wall_s=play.at.wall_s + 900.5))
    (schedule,) = payload["chargingSchedule"]
    assert schedule["duration"] == 900
    assert schedule["chargingRateUnit"] == "A"
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0, "numberPhases": 3}]


def variable(name: str, value: str) -> dict[str, Any]:
    return {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": name}, "attributeValue": value}


def test_the_station_s_own_setting_wins() -> None:
    play = booted(notify_schedules=True)
    data = [variable("NotifyChargingLimitWithSchedules", "false"), variable("LimitChangeSignificance", "50")]
    play.csms(2, "s", "SetVariables", {"setVariableData": data})
    results = [{key: item[key] for key in ("component", "variable")} | {"attributeStatus": "Accepted"} for item in data]
    play.station(3, "s", {"setVariableResult": results})
    ((_, payload),) = told(play, limit(10.0))
    assert "chargingSchedule" not in payload
    play.wait(11)
    assert told(play, limit(14.0)) == []
    assert len(told(play, limit(15.0))) == 1


# -- significance and pace (trap 20) ----------------------------------------------------------------------------


def test_only_changes_that_matter_are_told() -> None:  # LimitChangeSignificance 10 %
    play = booted()
    assert len(told(play, limit(10.0))) == 1
    play.wait(11)
    assert told(play, limit(10.9)) == []
    assert len(told(play, limit(11.0))) == 1
    play.wait(11)
    assert len(told(play, limit(11.0, critical=True))) == 1


def test_a_pause_and_its_end_always_matter() -> None:
    play = booted(limit_significance_percent=100)
    for limit_a in (0.4, 0.0, 0.4):
        assert len(told(play, limit(limit_a))) == 1
        play.wait(11)


def test_0_percent_does_not_flood() -> None:  # trap 20
    play = booted(limit_significance_percent=0)
    sent = 0
    for step in range(300):  # five minutes of a value that trembles by 0.3 A and drifts by 3 A
        play.carry(limit(10.0 + 0.3 * (step % 2) + 0.01 * step))
        sent += len(answered(play))
        play.wait(1)
        sent += len(answered(play))
    assert 2 <= sent <= 10


def test_of_what_changes_faster_only_the_newest_is_told() -> None:
    play = booted(notify_schedules=True)
    assert len(told(play, limit(30.0))) == 1
    for limit_a in (25.0, 20.0, 6.0):
        assert told(play, limit(limit_a)) == []
    play.wait(9)
    assert calls(play) == []
    play.wait(1)
    ((_, payload),) = answered(play)
    assert payload["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 6.0


def test_one_message_is_on_its_way_at_a_time() -> None:
    play = booted()
    play.carry(limit(10.0))
    (first,) = calls(play)
    play.carry(limit(12.0, evse_id=2))
    assert calls(play) == []
    play.csms(3, first[1], {})
    assert [call[3]["evseId"] for call in calls(play)] == [2]


# -- the CSMS away (trap 21) ---------------------------------------------------------------------------------------


def test_nothing_is_told_while_the_csms_is_away_and_the_newest_state_when_it_is_back() -> None:
    play = booted(notify_schedules=True)
    play.close(AWAY)
    for limit_a in (20.0, 15.0, 8.0):
        assert [o for o in play.carry(limit(limit_a)) if not isinstance(o, UpstreamWished)] == []
    assert play.rows == {}  # never in the queue of transactions
    play.wait(30)
    play.open()
    play.wait(1)
    ((_, payload),) = answered(play)
    assert payload["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 8.0


def test_a_limit_that_came_and_went_during_an_outage_is_not_told_at_all() -> None:
    play = booted()
    play.close(AWAY)
    play.carry(limit(8.0))
    play.carry(limit(None))
    play.wait(30)
    play.open()
    play.wait(300)
    assert calls(play) == []


def test_a_limit_that_ended_during_an_outage_is_cleared_when_the_csms_is_back() -> None:
    play = booted()
    assert len(told(play, limit(8.0))) == 1
    play.close(AWAY)
    play.carry(limit(None))
    play.wait(30)
    play.open()
    play.wait(1)
    assert [action for action, _ in answered(play)] == ["ClearedChargingLimit"]
    play.wait(300)
    assert calls(play) == []


def test_what_the_csms_may_not_have_heard_is_told_again() -> None:
    play = booted()
    play.carry(limit(8.0))
    assert len(calls(play)) == 1
    play.close(AWAY)  # before its answer
    play.wait(30)
    play.open()
    play.wait(1)
    assert [action for action, _ in answered(play)] == ["NotifyChargingLimit"]
    play.close(AWAY)
    play.wait(30)
    play.open()
    play.wait(60)
    assert calls(play) == []


def test_transactions_of_the_queue_go_first() -> None:
    play = booted()
    play.close(AWAY)
    started = {"eventType": "Started", "timestamp": "2026-11-21T16:00:00Z", "triggerReason": "CablePluggedIn", "seqNo": 0, "evse": {"id": 1}}
    play.station(2, "e", "TransactionEvent", {**started, "transactionInfo": {"transactionId": "tx-1"}})
    play.carry(limit(8.0))
    play.wait(30)
    play.open()
    (row,) = calls(play)
    assert row[2] == "TransactionEvent"
    play.wait(1)
    assert calls(play) == []
    play.csms(3, row[1], {})
    play.wait(1)
    assert [call[2] for call in calls(play)] == ["NotifyChargingLimit"]


def test_what_was_told_before_a_restart_is_cleared_after_it() -> None:  # trap 21
    play = booted()
    assert len(told(play, limit(8.0))) == 1
    again = play.restarted()
    again.connect()
    again.station(2, "h", "Heartbeat", {})
    again.csms(3, "h", {"currentTime": "2026-11-21T16:00:00Z"})
    again.wait(100)
    assert calls(again) == []  # the site may still name it again
    again.wait(30)
    assert [action for action, _ in answered(again)] == ["ClearedChargingLimit"]
    assert ("limit_news", "CP1") not in again.memories


# -- sources, refusals -----------------------------------------------------------------------------------------------


def test_the_limit_of_one_source_is_cleared_before_that_of_another_is_told() -> None:
    play = booted()
    assert len(told(play, limit(10.0, "EMS"))) == 1
    play.carry(limit(6.0, "SO"))
    play.wait(11)
    found = answered(play)
    assert [action for action, _ in found] == ["ClearedChargingLimit", "NotifyChargingLimit"]
    assert found[0][1]["chargingLimitSource"] == "EMS"
    assert found[1][1]["chargingLimit"]["chargingLimitSource"] == "SO"


def test_a_csms_that_does_not_know_the_message_is_left_alone_until_it_connects_again() -> None:
    play = booted()
    play.carry(limit(10.0))
    (call,) = calls(play)
    play.csms(4, call[1], "NotImplemented", "", {})
    assert any("does not know NotifyChargingLimit" in text for text in play.told())
    play.carry(limit(6.0))
    play.wait(120)
    assert calls(play) == []
    play.close(AWAY)
    play.wait(10)
    play.open()
    play.wait(1)
    assert len(calls(play)) == 1


def test_an_error_of_the_csms_is_no_reason_to_hammer_it() -> None:
    play = booted()
    play.carry(limit(10.0))
    (call,) = calls(play)
    play.csms(4, call[1], "InternalError", "", {})
    play.wait(290)
    assert calls(play) == []
    play.wait(20)
    assert len(calls(play)) == 1


def test_notify_limits_off_means_silence() -> None:
    play = booted(notify_limits=False)
    assert told(play, limit(10.0)) == []
    play.wait(60)
    assert calls(play) == []


def test_a_memory_that_cannot_be_read_is_no_memory() -> None:
    play = booted()
    news = play.links.sessions["CP1"].limit_news
    news.load({"1": {"limit_a": "much"}, "x": 3, "2": None})
    news.load("nonsense")
    play.wait(200)
    assert calls(play) == []
