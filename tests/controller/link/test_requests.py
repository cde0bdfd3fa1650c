"""CALLs of the CSMS in every version: what passes, what is answered here, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import MaintenanceOpened, UpstreamWished
from controller.orders import Severity, Tell, UpdateRow
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, config, event, start_16
from tests.support.schemas import check_response

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
V = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}


def booted(version: str = "ocpp2.0.1", **upstream: Any) -> Playbook:
    play = Playbook(config(**upstream), version=version)
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT)
    play.csms(3, "boot", ACCEPTED)
    return play


def charging_16(transaction_id: int = 17) -> Playbook:
    play = booted("ocpp1.6")
    play.station(2, "start", "StartTransaction", start_16())
    play.csms(3, "start", {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}})
    return play


def profile_16(profile_id: int, limit_a: float, purpose: str = "TxDefaultProfile", transaction_id: int | None = None) -> dict[str, Any]:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}]}
    profile: dict[str, Any] = {
        "chargingProfileId": profile_id,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    return profile if transaction_id is None else {**profile, "transactionId": transaction_id}


def wished(play: Playbook, evse_id: int = 1) -> float | None:
    (wish,) = [wish for wish in play.facts(UpstreamWished) if wish.evse.evse_id == evse_id]
    return wish.steps[0].limit_a


# -- profiles of 1.6 ----------------------------------------------------------------------------------


def test_a_1_6_profile_is_kept_here_and_replaces_one_of_its_purpose_and_stack_level() -> None:  # 16 5.16.3
    play = booted("ocpp1.6")
    for profile_id, limit_a in ((5, 16.0), (6, 10.0)):
        play.csms(2, f"p-{profile_id}", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile_16(profile_id, limit_a)})
        assert play.up() == [3, f"p-{profile_id}", {"status": "Accepted"}]
        assert play.sent_down == []
        assert wished(play) == limit_a
    play.csms(2, "c-5", "ClearChargingProfile", {"id": 5})
    assert play.up()[2] == {"status": "Unknown"}
    play.csms(2, "c-6", "ClearChargingProfile", {"id": 6})
    assert play.up()[2] == {"status": "Accepted"}


def test_a_1_6_tx_profile_without_transaction_means_the_running_one() -> None:
    play = charging_16()
    play.csms(2, "p", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile_16(5, 8.0, "TxProfile")})
    assert play.up()[2] == {"status": "Accepted"}
    assert wished(play) == 8.0
    play.csms(2, "g", "GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"})
    answer = play.up()[2]
    check_response("GetCompositeSchedule", answer, "v16")
    assert answer["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8.0


@pytest.mark.parametrize("transaction_id", [None, 99])
def test_a_1_6_tx_profile_without_a_running_transaction_is_rejected(transaction_id: int | None) -> None:
    play = booted("ocpp1.6") if transaction_id is None else charging_16()
    profile = profile_16(5, 8.0, "TxProfile", transaction_id=transaction_id)
    play.csms(2, "p", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
    assert play.up()[2] == {"status": "Rejected"}


def test_a_1_6_remote_start_with_profile_loses_it_on_the_way_and_it_holds_for_the_transaction() -> None:  # 16E 3.41
    play = booted("ocpp1.6")
    request = {"connectorId": 1, "idTag": "AABB", "chargingProfile": profile_16(5, 9.0, "TxProfile")}
    play.csms(2, "r", "RemoteStartTransaction", request)
    assert play.down() == [2, "r", "RemoteStartTransaction", {"connectorId": 1, "idTag": "AABB"}]
    play.station(3, "r", {"status": "Accepted"})
    assert play.up() == [3, "r", {"status": "Accepted"}]
    play.station(2, "start", "StartTransaction", start_16(id_tag="AABB"))
    play.csms(3, "start", {"transactionId": 17, "idTagInfo": {"status": "Accepted"}})
    assert wished(play) == 9.0


def test_a_1_6_remote_start_that_is_refused_leaves_no_profile_behind() -> None:
    play = booted("ocpp1.6")
    request = {"connectorId": 1, "idTag": "AABB", "chargingProfile": profile_16(5, 9.0, "TxProfile")}
    play.csms(2, "r", "RemoteStartTransaction", request)
    play.station(3, "r", {"status": "Rejected"})
    play.station(2, "start", "StartTransaction", start_16())
    play.csms(3, "start", {"transactionId": 17, "idTagInfo": {"status": "Accepted"}})
    assert play.facts(UpstreamWished) == []


def test_two_remote_starts_wait_each_for_its_own_connector() -> None:
    play = Playbook(config(evses=2), version="ocpp1.6")
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT_16)
    play.csms(3, "boot", ACCEPTED)
    for connector in (1, 2):
        profile = profile_16(connector, 5.0 + connector, "TxProfile")
        play.csms(2, f"r{connector}", "RemoteStartTransaction", {"connectorId": connector, "idTag": "A", "chargingProfile": profile})
        play.station(3, f"r{connector}", {"status": "Accepted"})
    for connector in (2, 1):
        play.station(2, f"s{connector}", "StartTransaction", start_16(connector))
        play.csms(3, f"s{connector}", {"transactionId": 20 + connector, "idTagInfo": {"status": "Accepted"}})
        assert wished(play, connector) == 5.0 + connector


# -- transaction ids of 1.6 in commands ------------------------------------------------------------------


def test_a_transaction_started_while_the_csms_was_away_is_commanded_by_the_csms_s_own_id() -> None:  # trap 8
    play = booted("ocpp1.6")
    play.close()
    play.station(2, "start", "StartTransaction", start_16())
    local = play.down()[2]["transactionId"]
    play.wait(5)
    play.open()
    while json.loads(play.sent_up[0])[2] != "StartTransaction":
        play.csms(3, play.up()[1], {})
        play.wait_until_up(5)
    play.csms(3, play.up()[1], {"transactionId": 17, "idTagInfo": {"status": "Accepted"}})
    play.csms(2, "stop", "RemoteStopTransaction", {"transactionId": 17})
    assert play.down()[3] == {"transactionId": local}
    play.station(3, "stop", {"status": "Accepted"})
    assert play.up() == [3, "stop", {"status": "Accepted"}]
    play.csms(2, "p", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile_16(5, 8.0, "TxProfile", transaction_id=17)})
    assert play.up()[2] == {"status": "Accepted"}


def test_a_command_whose_ids_agree_passes_byte_for_byte() -> None:
    play = charging_16()
    text = '[2,"s",  "RemoteStopTransaction",{"transactionId":17 }]'
    play.csms(text)
    assert play.sent_down == [text]


# -- F27: what would move the station past us -----------------------------------------------------------------

MOVES = [
    ("ocpp1.6", "ChangeConfiguration", {"key": "CentralSystemURL", "value": "ws://elsewhere"}),
    ("ocpp2.0.1", "SetNetworkProfile", {"configurationSlot": 1, "connectionData": {}}),
    (
        "ocpp2.1",
        "SetVariables",
        {
            "setVariableData": [
                {"attributeValue": "2,1", "component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
            ]
        },
    ),
]


@pytest.mark.parametrize(("version", "action", "payload"), MOVES)
def test_what_would_move_the_station_is_refused_in_the_action_s_own_words(version: str, action: str, payload: dict[str, Any]) -> None:
    play = booted(version)
    play.csms(2, "m", action, payload)
    assert play.sent_down == []
    answer = play.up()
    assert answer[:2] == [3, "m"]
    check_response(action, answer[2], V[version])
    assert "Rejected" in json.dumps(answer[2])


@pytest.mark.parametrize(("version", "action", "payload"), MOVES)
def test_it_passes_while_the_operator_has_opened_a_window(version: str, action: str, payload: dict[str, Any]) -> None:
    play = booted(version)
    play.feed(MaintenanceOpened(play.at, "CP1", 60.0))
    (opened,) = [order for order in play.outcomes if isinstance(order, Tell)]
    assert opened.severity is Severity.ALARM
    assert "until 20" in opened.text
    assert play.links.view()[0].maintenance_until_wall_s == play.at.wall_s + 60.0
    play.csms(2, "m", action, payload)
    assert play.down()[1:] == ["m", action, payload]
    assert [order.severity for order in play.outcomes if isinstance(order, Tell)] == [Severity.ALARM]
    play.station(3, "m", {"status": "Accepted"})
    play.wait(60)
    assert any("closed" in text for text in play.told())
    assert play.links.view()[0].maintenance_until_wall_s is None
    play.csms(2, "n", action, payload)
    assert play.sent_down == []


def test_a_window_can_be_closed_early_is_bounded_and_opens_one_station_only() -> None:
    play = booted()
    play.feed(MaintenanceOpened(play.at, "CP1", 1e9))
    assert play.links.view()[0].maintenance_until_wall_s == play.at.wall_s + 86_400.0
    play.feed(MaintenanceOpened(play.at, "CP1", 0.0))
    assert any("closed" in text for text in play.told())
    play.feed(MaintenanceOpened(play.at, "CP1", 0.0))
    assert play.told() == []
    assert play.feed(MaintenanceOpened(play.at, "nobody", 60.0)) == []
    play.csms(2, "m", "SetNetworkProfile", {"configurationSlot": 1, "connectionData": {}})
    assert play.sent_down == []


def test_the_operator_s_deny_list_holds_in_the_window_too() -> None:
    play = booted(commands={"deny": ["SetNetworkProfile"]})
    play.feed(MaintenanceOpened(play.at, "CP1", 60.0))
    play.csms(2, "m", "SetNetworkProfile", {"configurationSlot": 1, "connectionData": {}})
    assert play.sent_down == []
    assert play.up()[2]["status"] == "Rejected"


# -- E14: two queues ----------------------------------------------------------------------------------------------


def test_transaction_status_asks_the_station_about_what_is_not_queued_here() -> None:  # trap 10
    play = booted()
    play.close()
    play.station(2, "t", "TransactionEvent", event("Started", 0, "tx-1"))
    play.wait(5)
    play.open()
    play.csms(2, "s-1", "GetTransactionStatus", {"transactionId": "tx-1"})
    assert play.up() == [3, "s-1", {"ongoingIndicator": True, "messagesInQueue": True}]
    play.csms(2, "s-2", "GetTransactionStatus", {})
    assert play.up() == [3, "s-2", {"messagesInQueue": True}]
    play.csms(2, "s-3", "GetTransactionStatus", {"transactionId": "tx-other"})
    assert play.down()[1] == "s-3"
    play.station(3, "s-3", {"ongoingIndicator": False, "messagesInQueue": True})
    assert play.up() == [3, "s-3", {"ongoingIndicator": False, "messagesInQueue": True}]


# -- what exchanges teach ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "action", "payload", "result"),
    [
        ("ocpp1.6", "ChangeConfiguration", {"key": "TransactionMessageAttempts", "value": "1"}, {"status": "Accepted"}),
        (
            "ocpp2.0.1",
            "SetVariables",
            {
                "setVariableData": [
                    {
                        "attributeValue": "1",
                        "component": {"name": "OCPPCommCtrlr"},
                        "variable": {"name": "MessageAttempts", "instance": "TransactionEvent"},
                    }
                ]
            },
            {
                "setVariableResult": [
                    {
                        "attributeStatus": "Accepted",
                        "component": {"name": "OCPPCommCtrlr"},
                        "variable": {"name": "MessageAttempts", "instance": "TransactionEvent"},
                    }
                ]
            },
        ),
    ],
)
def test_the_station_s_own_retry_rules_are_learnt_as_they_pass(version: str, action: str, payload: Any, result: Any) -> None:  # E13
    play = booted(version)
    play.csms(2, "v", action, payload)
    assert play.down()[1] == "v"
    play.station(3, "v", result)
    assert json.loads(play.sent_up[0]) == [3, "v", result]
    play.close()
    if version == "ocpp1.6":
        play.station(2, "t", "StartTransaction", start_16())
    else:
        play.station(2, "t", "TransactionEvent", event("Started", 0))
    play.wait(5)
    play.open()
    while json.loads(play.sent_up[0])[2] not in ("StartTransaction", "TransactionEvent"):
        play.csms(3, play.up()[1], {})
        play.wait_until_up(5)
    play.csms(4, play.up()[1], "InternalError", "", {})
    (update,) = [order for order in play.outcomes if isinstance(order, UpdateRow)]
    assert update.parked, "one attempt, as the station was told"


# -- 2.1 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("UpdateDynamicSchedule", {"chargingProfileId": 7, "scheduleUpdate": {"limit": 10.0}}),
        ("UsePriorityCharging", {"transactionId": "tx-1", "activate": True}),
    ],
)
def test_messages_about_a_single_profile_are_answered_where_the_profiles_are(action: str, payload: dict[str, Any]) -> None:  # K21, K28
    play = booted("ocpp2.1")
    play.csms(2, "u", action, payload)
    assert play.sent_down == []
    check_response(action, play.up()[2], "v21")


def test_a_remote_start_of_2_1_loses_its_profile_on_the_way_too() -> None:  # K05
    play = booted("ocpp2.1")
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    profile = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative", "chargingSchedule": [schedule]}
    play.csms(2, "r", "RequestStartTransaction", {"remoteStartId": 3, "idToken": TOKEN, "chargingProfile": profile})
    assert play.down()[3] == {"remoteStartId": 3, "idToken": TOKEN}
    play.station(3, "r", {"status": "Accepted"})
    more = {"transactionInfo": {"transactionId": "tx-1", "remoteStartId": 3}}
    play.station(2, "t", "TransactionEvent", event("Started", 0, **more))
    assert wished(play) == 10.0


def test_a_remote_start_for_an_unknown_evse_is_refused_with_its_profile() -> None:
    play = booted()
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    profile = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative", "chargingSchedule": [schedule]}
    play.csms(2, "r", "RequestStartTransaction", {"evseId": 9, "remoteStartId": 3, "idToken": TOKEN, "chargingProfile": profile})
    assert play.sent_down == []
    assert play.up()[2]["status"] == "Rejected"
