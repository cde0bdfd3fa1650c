"""Mirrors: copies in order, answers that end there, ids of their own, commands refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import SessionChanged
from controller.link.mirror import COPIES_KEPT, TransactionNames
from controller.orders import CloseUpstream, SendUpstream
from tests.support.playbook import BOOT, BOOT_16, Playbook, config, event, start_16, stop_16, values_16
from tests.support.schemas import check_request, check_response

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
STATUS = {"timestamp": "2026-11-21T16:00:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}


def told(play: Playbook, mirror: str = "m1") -> list[Any]:
    return [json.loads(text) for text in play.mirrored(mirror)]


def connected(version: str = "ocpp2.0.1", **m1: Any) -> Playbook:
    """Station, primary and mirror are there, the boot is accepted by both."""
    play = Playbook(config(mirrors=["m1"], m1=m1), version=version)
    play.connect()
    play.open(mirror="m1")
    play.station(2, "boot", "BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT)
    (copy,) = told(play)
    play.csms(3, "boot", ACCEPTED)
    play.csms(3, copy[1], ACCEPTED, mirror="m1")
    return play


# -- copies --------------------------------------------------------------------------------------------


def test_a_mirror_is_dialled_with_the_station_s_version_under_its_own_name() -> None:
    play = Playbook(config(mirrors=["m1", "m2"]), version="ocpp1.6")
    play.connect(csms=None)
    assert [(dial.upstream_id, dial.mirror_id, dial.offered) for dial in play.dials("m1") + play.dials("m2")] == [
        ("m1", "m1", ("ocpp1.6",)),
        ("m2", "m2", ("ocpp1.6",)),
    ]


def test_every_call_is_copied_under_an_id_of_ours_and_its_answer_ends_there() -> None:
    play = connected()
    play.station(2, "h", "Heartbeat", {})
    assert play.up() == [2, "h", "Heartbeat", {}]
    (copy,) = told(play)
    assert copy[2:] == ["Heartbeat", {}]
    assert copy[1] != "h"
    play.csms(3, copy[1], {"currentTime": "1999-01-01T00:00:00Z"}, mirror="m1")
    assert play.sent_down == []
    assert play.sent_up == []
    play.csms(3, "h", {"currentTime": "2026-11-21T16:00:00Z"})
    assert play.down()[2]["currentTime"].startswith("2026")


def test_one_copy_at_a_time_in_order() -> None:
    play = connected()
    for name in "abc":
        play.station(2, name, "DataTransfer", {"vendorId": name})
        play.csms(3, name, {"status": "Accepted"})
    sent = []
    play.csms(3, "unknown", {}, mirror="m1")
    assert told(play) == []
    play.wait(30)  # the first copy gets no answer
    while told(play):
        (copy,) = told(play)
        sent.append(copy[3]["vendorId"])
        play.csms(3, copy[1], {"status": "Accepted"}, mirror="m1")
    assert sent == ["b", "c"]


def test_a_repeated_message_is_copied_once() -> None:
    play = connected()
    play.station(2, "t", "TransactionEvent", event("Started", 0))
    play.csms(3, "t", {})
    play.station(2, "t", "TransactionEvent", event("Started", 0))
    assert play.down()[:2] == [3, "t"]
    assert told(play) == []


def test_what_is_answered_here_while_the_primary_is_away_is_copied_too() -> None:
    play = connected()
    play.close()
    play.station(2, "s", "StatusNotification", STATUS)
    assert play.down()[:2] == [3, "s"]
    assert told(play)[0][2:] == ["StatusNotification", STATUS]


def test_a_station_without_primary_can_have_a_mirror() -> None:
    play = Playbook(config(upstream=False, mirrors=["m1"]))
    play.connect(csms=None)
    play.open(mirror="m1")
    play.station(2, "boot", "BootNotification", BOOT)
    assert play.down()[2]["status"] == "Accepted"
    assert told(play)[0][2] == "BootNotification"


def test_a_mirror_that_comes_back_hears_of_the_last_boot_first_then_of_the_rest() -> None:
    play = connected()
    play.close(mirror="m1")
    play.station(2, "s", "StatusNotification", STATUS)
    assert told(play) == []
    play.wait(4)
    play.open(mirror="m1")
    (boot,) = told(play)
    assert boot[2:] == ["BootNotification", BOOT]
    play.csms(3, boot[1], ACCEPTED, mirror="m1")
    assert told(play)[0][2] == "StatusNotification"


def test_a_mirror_that_does_not_accept_the_boot_is_asked_again_and_told_nothing_else() -> None:
    play = Playbook(config(mirrors=["m1"]))
    play.connect()
    play.open(mirror="m1")
    play.station(2, "boot", "BootNotification", BOOT)
    (boot,) = told(play)
    play.csms(3, boot[1], {**ACCEPTED, "status": "Pending"}, mirror="m1")
    play.csms(3, "boot", ACCEPTED)
    play.station(2, "s", "StatusNotification", STATUS)
    assert told(play) == []
    play.wait(30)
    (boot,) = told(play)
    assert boot[2] == "BootNotification"
    play.csms(3, boot[1], ACCEPTED, mirror="m1")
    assert told(play)[0][2] == "StatusNotification"


def test_copies_are_bounded_the_oldest_go_first_and_it_is_told_once() -> None:
    play = connected()
    play.close(mirror="m1")
    losses = 0
    for number in range(COPIES_KEPT + 5):
        play.station(2, f"d{number}", "DataTransfer", {"vendorId": str(number)})
        losses += sum("too far behind" in text for text in play.told())
        play.csms(3, f"d{number}", {"status": "Accepted"})
    assert losses == 1
    assert play.links.view()[0].mirrors[0].queued == COPIES_KEPT
    play.wait(4)
    play.open(mirror="m1")
    play.csms(3, told(play)[0][1], ACCEPTED, mirror="m1")
    assert told(play)[0][3] == {"vendorId": "5"}


def test_a_silent_mirror_is_hung_up_and_dialled_again_and_the_primary_never_waits() -> None:
    play = connected()
    for name in "abc":
        play.station(2, name, "DataTransfer", {"vendorId": name})
        assert play.up()[1] == name
        play.csms(3, name, {"status": "Accepted"})
        assert play.down()[1] == name
    play.wait(61)
    assert [(type(close), getattr(close, "mirror_id", "")) for close in play.closes()] == [(CloseUpstream, "m1")]
    play.wait(4)
    assert len(play.dials("m1")) == 1 or play.links.view()[0].mirrors[0].state == "away"


def test_the_mirror_s_leg_goes_with_the_station() -> None:
    play = connected()
    play.hang_up()
    assert {close.mirror_id for close in play.closes() if isinstance(close, CloseUpstream)} == {"", "m1"}


def test_a_mirror_of_another_version_is_told_nothing_and_that_is_said_once() -> None:
    play = Playbook(config(mirrors=["m1"]))
    play.connect()
    said = 0
    for _ in range(3):
        play.close("did not agree", no_common_version=True, mirror="m1")
        said += len(play.told())
        play.station(2, "h", "Heartbeat", {})
        assert told(play) == []
        play.csms(3, "h", {"currentTime": "2026-11-21T16:00:00Z"})
        while not play.dials("m1"):
            play.wait(1)
    assert said == 1
    play.open(mirror="m1")
    assert any("is back" in text for text in play.told())


# -- 2.1 ----------------------------------------------------------------------------------------------------


def test_a_send_is_copied_while_the_mirror_is_there_and_never_kept() -> None:
    play = connected("ocpp2.1")
    send = '[6,"s-1","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-11-21T16:00:00Z","data":[{"t":0,"v":"1"}]}]'
    play.station(send)
    assert play.sent_up == [send]
    assert play.mirrored("m1") == [send]
    play.close(mirror="m1")
    play.station(send)
    assert play.links.view()[0].mirrors[0].queued == 0


# -- transaction ids of 1.6 ----------------------------------------------------------------------------------------


def charging_16(primary_id: int = 17, mirror_id: int = 4000, **m1: Any) -> Playbook:
    play = connected("ocpp1.6", **m1)
    play.station(2, "start", "StartTransaction", start_16())
    (copy,) = told(play)
    play.csms(3, copy[1], {"transactionId": mirror_id, "idTagInfo": {"status": "Accepted"}}, mirror="m1")
    play.csms(3, "start", {"transactionId": primary_id, "idTagInfo": {"status": "Accepted"}})
    assert [fact.transaction_id for fact in play.facts(SessionChanged)] == [str(primary_id)]
    return play


def test_a_1_6_mirror_is_told_its_own_transaction_id() -> None:
    play = charging_16()
    play.station(2, "v", "MeterValues", values_16(17))
    (copy,) = told(play)
    assert copy[3]["transactionId"] == 4000
    assert play.up()[3]["transactionId"] == 17
    check_request("MeterValues", copy[3], "v16")
    play.csms(3, copy[1], {}, mirror="m1")
    play.csms(3, "v", {})
    play.station(2, "e", "StopTransaction", stop_16(17))
    (copy,) = told(play)
    assert copy[3]["transactionId"] == 4000
    check_request("StopTransaction", copy[3], "v16")


def test_a_mirror_that_never_heard_of_the_start_is_told_minus_one() -> None:  # 16E 3.18
    play = connected("ocpp1.6")
    play.station(2, "start", "StartTransaction", start_16())
    play.csms(4, told(play)[0][1], "InternalError", "", {}, mirror="m1")
    play.csms(3, "start", {"transactionId": 17, "idTagInfo": {"status": "Accepted"}})
    play.station(2, "e", "StopTransaction", stop_16(17))
    assert told(play)[0][3]["transactionId"] == -1


def test_names_are_joined_whoever_is_first_and_a_repeat_changes_nothing() -> None:
    names = TransactionNames()
    names.begun("a")
    names.station_named("a", "17")
    assert names.to_mirror("17") == "-1"
    names.mirror_named("a", "4000")
    names.station_named("repeat of a", "17")
    assert names.to_mirror("17") == "4000"
    assert names.to_station("4000") == "17"
    assert names.to_station("17") is None
    for number in range(200):
        names.begun(f"k{number}")
        names.mirror_named(f"k{number}", str(number))
        names.station_named(f"k{number}", str(10_000 + number))
    assert names.to_mirror("17") == "-1", "bounded"
    assert names.to_mirror("10199") == "199"


# -- commands of a mirror ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "action", "payload", "answer"),
    [
        ("ocpp2.0.1", "Reset", {"type": "OnIdle"}, "Rejected"),
        ("ocpp2.1", "UnlockConnector", {"evseId": 1, "connectorId": 1}, "UnlockFailed"),
        ("ocpp1.6", "RemoteStopTransaction", {"transactionId": 1}, "Rejected"),
        ("ocpp2.0.1", "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}, "Rejected"),
    ],
)
def test_a_command_gets_the_action_s_own_no(version: str, action: str, payload: dict[str, Any], answer: str) -> None:
    play = connected(version)
    play.csms(2, "c-1", action, payload, mirror="m1")
    assert play.sent_down == []
    assert play.sent_up == []
    (frame,) = told(play)
    assert frame[:2] == [3, "c-1"]
    assert frame[2]["status"] == answer
    check_response(action, frame[2], {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}[version])


def test_a_command_without_a_no_of_its_own_gets_an_error() -> None:
    play = connected()
    play.csms(2, "c-1", "VendorAction", {}, mirror="m1")
    assert told(play)[0][:3] == [4, "c-1", "NotSupported"]
    assert any("VendorAction" in text for text in play.told())


def test_an_allowed_command_goes_down_under_an_id_of_ours_and_the_answer_to_this_mirror_only() -> None:
    play = connected(commands={"allow": ["Reset"]})
    play.csms(2, "same", "Reset", {"type": "OnIdle"}, mirror="m1")
    _, down_id, action, payload = play.down()
    assert (action, payload) == ("Reset", {"type": "OnIdle"})
    assert down_id != "same"
    play.csms(2, "same", "ClearCache", {})  # the primary uses the same id: nobody is confused
    play.station(3, down_id, {"status": "Accepted"})
    assert told(play) == [[3, "same", {"status": "Accepted"}]]
    assert play.sent_up == []
    assert play.down()[1:3] == ["same", "ClearCache"]
    play.station(3, "same", {"status": "Accepted"})
    assert play.up() == [3, "same", {"status": "Accepted"}]
    assert told(play) == []


def test_an_error_or_silence_of_the_station_reaches_the_mirror() -> None:
    play = connected(commands={"allow": ["Reset"]})
    play.csms(2, "a", "Reset", {"type": "OnIdle"}, mirror="m1")
    play.station(4, play.down()[1], "NotSupported", "no", {})
    assert told(play)[0][:3] == [4, "a", "NotSupported"]
    play.csms(2, "b", "Reset", {"type": "OnIdle"}, mirror="m1")
    play.wait(31)
    assert told(play)[0][:3] == [4, "b", "GenericError"]


def test_a_mirror_may_not_touch_what_belongs_to_the_primary_even_if_it_is_allowed() -> None:
    actions = ["SetChargingProfile", "SetVariables", "SetNetworkProfile", "RequestStartTransaction", "GetCompositeSchedule"]
    play = connected(commands={"allow": actions})
    profile = {"id": 1, "stackLevel": 0}
    calls = [
        ("SetChargingProfile", {"evseId": 1, "chargingProfile": profile}),
        ("SetVariables", {"setVariableData": [{"attributeValue": "1", "component": {"name": "X"}, "variable": {"name": "Y"}}]}),
        ("SetNetworkProfile", {"configurationSlot": 1, "connectionData": {}}),
        ("RequestStartTransaction", {"remoteStartId": 1, "idToken": {"idToken": "A", "type": "Central"}, "chargingProfile": profile}),
    ]
    for action, payload in calls:
        play.csms(2, action, action, payload, mirror="m1")
        assert play.sent_down == [], action
        assert len(told(play)) == 1, action
    play.csms(2, "start", "RequestStartTransaction", {"remoteStartId": 1, "idToken": {"idToken": "A", "type": "Central"}}, mirror="m1")
    assert play.down()[2] == "RequestStartTransaction"


def test_a_1_6_mirror_stops_a_transaction_by_its_own_id() -> None:
    play = charging_16(commands={"allow": ["RemoteStopTransaction"]})
    play.csms(2, "s", "RemoteStopTransaction", {"transactionId": 4000}, mirror="m1")
    assert play.down()[3] == {"transactionId": 17}
    play.station(3, play.down()[1], {"status": "Accepted"})
    play.csms(2, "t", "RemoteStopTransaction", {"transactionId": 17}, mirror="m1")
    assert play.sent_down == []
    assert told(play) == [[3, "t", {"status": "Rejected"}]]


def test_a_mirror_cannot_pile_up_commands() -> None:
    play = connected(commands={"allow": ["Reset"]})
    answers = []
    for number in range(20):
        play.csms(2, f"c-{number}", "Reset", {"type": "OnIdle"}, mirror="m1")
        answers += told(play)
    assert len(answers) == 12
    assert all(answer[2] == "GenericError" for answer in answers)


def test_broken_frames_of_a_mirror_harm_nobody() -> None:
    play = connected()
    play.csms("{not json", mirror="m1")
    assert told(play)[0][:2] == [4, "-1"]
    play.csms("[3]", mirror="m1")
    play.csms('[5,"x","GenericError","",{}]', mirror="m1")
    play.station(2, "h", "Heartbeat", {})
    assert play.up()[1] == "h"


def test_a_frame_of_an_older_leg_means_nothing() -> None:
    play = connected()
    play.legs["m1"] -= 1
    play.csms(2, "c", "Reset", {"type": "OnIdle"}, mirror="m1")
    assert not [order for order in play.outcomes if isinstance(order, SendUpstream)]
