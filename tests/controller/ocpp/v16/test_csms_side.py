"""A 1.6 CSMS as the hub sees it: boot, cards, states, and what 1.6 cannot hear. Expected values by hand from OCPP-NOTES 12 and 16."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import NO_ANSWER, EvseShape, Failed, Message, Said
from controller.ocpp.v16.csms_answers import REFUSED
from controller.ocpp.v16.csms_side import CsmsSide16
from tests.support import schemas
from tests.support.talking import NOON, Talking

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
SILENT = {"StatusNotification": {}, "MeterValues": {}}


def talking(**wire: Any) -> Talking:
    """A CSMS that answers as told."""
    return Talking(CsmsSide16, wire={**SILENT, **wire})


def status(evse_id: int, word: str, connector_id: int = 1) -> dict[str, Any]:
    return {"timestamp": NOON, "connectorStatus": word, "evseId": evse_id, "connectorId": connector_id}


# -- boot and heartbeat ----------------------------------------------------------------------------------------


def test_boot_is_cut_to_the_lengths_of_1_6_and_the_station_s_status_follows() -> None:
    """16 6.5: vendor and model 20, serial number 25 characters."""
    talk = talking(BootNotification={"status": "Accepted", "currentTime": NOON, "interval": 300})
    station = {"vendorName": "A vendor with a very long name", "model": "Model", "serialNumber": "1234567890123456789012345"}
    station_more = {"firmwareVersion": "1.2", "modem": {"iccid": "8931", "imsi": "262"}}
    reply = talk.asked("BootNotification", {"reason": "PowerUp", "chargingStation": {**station, **station_more}})
    assert reply == Said({"status": "Accepted", "currentTime": NOON, "interval": 300})
    assert talk.sent() == [
        (
            "BootNotification",
            {
                "chargePointVendor": "A vendor with a very",
                "chargePointModel": "Model",
                "chargePointSerialNumber": "1234567890123456789012345",
                "firmwareVersion": "1.2",
                "iccid": "8931",
                "imsi": "262",
            },
        ),
        ("StatusNotification", {"connectorId": 0, "errorCode": "NoError", "status": "Available", "timestamp": NOON}),
    ]


@pytest.mark.parametrize("word", ["Pending", "Rejected"])
def test_a_boot_that_is_not_accepted_brings_no_status(word: str) -> None:
    talk = talking(BootNotification={"status": word, "currentTime": NOON, "interval": 30})
    reply = talk.asked("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}})
    assert reply == Said({"status": word, "currentTime": NOON, "interval": 30})
    assert [action for action, _ in talk.sent()] == ["BootNotification"]


def test_silence_stays_silence() -> None:
    """A CSMS that does not answer is not a refusal: whoever asked keeps the message."""
    talk = Talking(CsmsSide16)
    assert talk.asked("Heartbeat", {}) == NO_ANSWER
    assert talk.asked("StatusNotification", status(1, "Available")) == NO_ANSWER


def test_heartbeat() -> None:
    assert talking(Heartbeat={"currentTime": NOON}).asked("Heartbeat", {}) == Said({"currentTime": NOON})


# -- cards ------------------------------------------------------------------------------------------------------


def test_a_short_token_is_its_own_tag_and_the_answer_keeps_group_and_expiry() -> None:
    talk = talking(Authorize={"idTagInfo": {"status": "Accepted", "parentIdTag": "GROUP", "expiryDate": NOON}})
    reply = talk.asked("Authorize", {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}})
    info = {"status": "Accepted", "cacheExpiryDateTime": NOON, "groupIdToken": {"idToken": "GROUP", "type": "Local"}}
    assert reply == Said({"idTokenInfo": info})
    assert talk.sent() == [("Authorize", {"idTag": "04A1B2C3"})]


def test_a_long_token_has_one_alias_for_ever() -> None:
    """Trap 28: more than 20 characters; the alias is on disk before it goes out."""
    talk = talking(Authorize=ACCEPTED)
    token = {"idToken": "DE-8AA-1A2B3C4D5-EMAID-0001", "type": "eMAID"}
    assert talk.asked("Authorize", {"idToken": token}) == Said({"idTokenInfo": {"status": "Accepted"}})
    [(_, first)] = talk.sent()
    assert len(first["idTag"]) == 20
    later = talk.again()
    later.asked("Authorize", {"idToken": token})
    assert later.sent() == [("Authorize", first)]
    # What the CSMS then says of this tag comes back as the token.
    later.hub["RequestStartTransaction"] = {"status": "Accepted"}
    later.said("RemoteStartTransaction", {"idTag": first["idTag"], "connectorId": 1})
    assert later.sent("hub")[0][1]["idToken"] == token


@pytest.mark.parametrize("word", ["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"])
def test_what_a_csms_thinks_of_a_driver(word: str) -> None:
    reply = talking(Authorize={"idTagInfo": {"status": word}}).asked("Authorize", {"idToken": {"idToken": "A", "type": "Local"}})
    assert reply == Said({"idTokenInfo": {"status": word}})


def test_a_contract_certificate_is_a_matter_of_the_plug_and_charge_paper() -> None:
    request = {"idToken": {"idToken": "DE8AA1A2B3C4D5", "type": "eMAID"}, "certificate": "-----BEGIN"}
    talk = talking(DataTransfer={"status": "UnknownVendorId"})
    no = Said({"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "NoCertificateAvailable"})
    assert talk.asked("Authorize", request) == no
    assert talk.asked("Authorize", request) == no
    assert len(talk.sent()) == 1  # asked once per connection
    yes = '{"idTokenInfo":{"status":"Accepted"},"certificateStatus":"Accepted"}'
    knowing = talking(DataTransfer={"status": "Accepted", "data": yes})
    assert knowing.asked("Authorize", request) == Said({"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"})
    [(_, sent)] = knowing.sent()
    assert (sent["vendorId"], sent["messageId"]) == ("org.openchargealliance.iso15118pnc", "Authorize")


# -- states ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hub", "wire", "code"),
    [
        ("Available", "Available", "NoError"),
        ("Occupied", "Preparing", "NoError"),  # a cable, no authorised transaction
        ("Reserved", "Reserved", "NoError"),
        ("Unavailable", "Unavailable", "NoError"),
        ("Faulted", "Faulted", "OtherError"),  # nothing known of why
    ],
)
def test_a_status_without_a_transaction(hub: str, wire: str, code: str) -> None:
    talk = talking()
    assert talk.asked("StatusNotification", status(2, hub)) == Said({})
    assert talk.sent() == [("StatusNotification", {"connectorId": 2, "errorCode": code, "status": wire, "timestamp": NOON})]


def event(component: dict[str, Any], variable: str, value: str, **more: Any) -> dict[str, Any]:
    data = {"eventId": 1, "timestamp": NOON, "trigger": "Delta", "actualValue": value, "eventNotificationType": "HardWiredNotification"}
    return {"generatedAt": NOON, "seqNo": 0, "eventData": [{**data, "component": component, "variable": {"name": variable}, **more}]}


def test_availability_comes_as_an_event_too() -> None:
    """2.1 prefers NotifyEvent; EVSE and station have their own."""
    talk = talking()
    talk.asked("NotifyEvent", event({"name": "Connector", "evse": {"id": 1, "connectorId": 1}}, "AvailabilityState", "Occupied"))
    talk.asked("NotifyEvent", event({"name": "EVSE", "evse": {"id": 1}}, "AvailabilityState", "Available"))  # its connector says more
    talk.asked("NotifyEvent", event({"name": "ChargingStation"}, "AvailabilityState", "Unavailable"))
    assert [(sent["connectorId"], sent["status"]) for _, sent in talk.sent()] == [(1, "Preparing"), (0, "Unavailable")]


def test_a_problem_is_an_error_code_until_it_clears() -> None:
    """12.3: GroundFailure <-> RCD."""
    talk = talking()
    rcd = {"name": "RCD", "evse": {"id": 1, "connectorId": 1}}
    talk.asked("NotifyEvent", event(rcd, "Problem", "true", trigger="Alerting", techCode="E42", techInfo="leak"))
    talk.asked("StatusNotification", status(1, "Faulted"))
    talk.asked("NotifyEvent", event(rcd, "Problem", "false", trigger="Alerting", cleared=True))
    talk.asked("StatusNotification", status(1, "Available"))
    found = [(sent["errorCode"], sent["status"], sent.get("info"), sent.get("vendorErrorCode")) for _, sent in talk.sent()]
    assert found == [
        ("GroundFailure", "Available", "leak", "E42"),
        ("GroundFailure", "Faulted", "leak", "E42"),
        ("NoError", "Faulted", None, None),
        ("NoError", "Available", None, None),
    ]


def test_other_events_end_here() -> None:
    talk = talking()
    assert talk.asked("NotifyEvent", event({"name": "Controller"}, "Temperature", "40")) == Said({})
    assert talk.sent() == []


def test_several_connectors_are_numbered_through_and_stay_so() -> None:
    """16 3.8: connectors are 1..n without gaps."""
    talk = talking()
    talk.evses = (EvseShape(1, connectors=2), EvseShape(2, connectors=1))
    for evse_id, connector_id in ((1, 1), (1, 2), (2, 1)):
        talk.asked("StatusNotification", status(evse_id, "Available", connector_id))
    assert [sent["connectorId"] for _, sent in talk.sent()] == [1, 2, 3]
    talk.hub["UnlockConnector"] = {"status": "Unlocked"}
    assert talk.said("UnlockConnector", {"connectorId": 2}) == Said({"status": "Unlocked"})
    assert talk.sent("hub") == [("UnlockConnector", {"evseId": 1, "connectorId": 2})]
    talk.evses = (EvseShape(1, connectors=2), EvseShape(2, connectors=2))
    talk.asked("StatusNotification", status(2, "Available", 1))
    talk.asked("StatusNotification", status(2, "Available", 2))
    assert [sent["connectorId"] for _, sent in talk.sent()] == [3, 4]


def test_a_status_that_could_not_be_told_goes_up_when_the_line_is_back() -> None:
    talk = Talking(CsmsSide16)
    talk.opened()
    talk.asked("StatusNotification", status(1, "Occupied"))
    talk.closed()
    talk.sent()
    talk.seconds(3)
    assert talk.sent() == []  # nobody is there
    talk.wire["StatusNotification"] = {}
    talk.opened()
    talk.seconds(3)
    assert [(sent["connectorId"], sent["status"]) for _, sent in talk.sent()] == [(1, "Preparing")]


# -- what 1.6 cannot hear ------------------------------------------------------------------------------------------------

PROOF = {"NotifySettlement", "BatterySwap"}
FROM_STATION = sorted(set(REFUSED) - PROOF - {"NotifyPeriodicEventStream"})
TOLD_ANYHOW = {"NotifyEvent", "SignCertificate"}


@pytest.mark.parametrize("action", FROM_STATION)
@pytest.mark.parametrize("full", [False, True])
def test_what_has_no_word_in_1_6_is_answered_validly_and_goes_nowhere(action: str, full: bool) -> None:
    """Talking.asked judges the answer by the schema of 2.1."""
    talk = talking(DataTransfer={"status": "UnknownVendorId"}, SignCertificate={"status": "Accepted"})
    reply = talk.asked(action, schemas.example_request(action, "v21", full=full))
    assert isinstance(reply, Said)
    assert {told for told, _ in talk.sent("wire")} <= {"DataTransfer", "SignCertificate", "StatusNotification"}


@pytest.mark.parametrize("action", sorted(PROOF))
def test_what_is_the_only_proof_of_money_or_property_is_not_acknowledged(action: str) -> None:
    """An answer would let the station forget what no CSMS has taken."""
    talk = talking()
    reply = talk.asked(action, schemas.example_request(action, "v21"))
    assert isinstance(reply, Failed)
    assert reply.code == "NotSupported"
    assert talk.sent("wire") == []


def test_a_car_is_never_told_rejected() -> None:
    """Trap 22: that would end an ISO 15118-20 session."""
    reply = talking().asked("NotifyEVChargingNeeds", schemas.example_request("NotifyEVChargingNeeds", "v21"))
    assert reply == Said({"status": "NoChargingProfile"})


def test_every_action_of_2_1_gets_an_answer_or_a_clear_no() -> None:
    for action in sorted(schemas.actions("v21") - schemas.SEND_ONLY):
        talk = Talking(CsmsSide16)
        reply = talk.asked(action, schemas.example_request(action, "v21"))
        assert isinstance(reply, Said) or reply == NO_ANSWER or reply.code == "NotSupported", action


def test_every_action_of_1_6_is_known_or_not_implemented() -> None:
    """What only a station sends is nothing a CSMS may ask."""
    upward = {"Authorize", "BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat", "LogStatusNotification"}
    upward |= {"MeterValues", "SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification", "StartTransaction"}
    upward |= {"StatusNotification", "StopTransaction"}
    for action in sorted(schemas.actions("v16")):
        reply = Talking(CsmsSide16).said(action, schemas.example_request(action, "v16"))
        assert (isinstance(reply, Failed) and reply.code == "NotImplemented") == (action in upward), action


# -- DataTransfer ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["text", "", {"a": [1, 2]}, 17, [True]])
def test_data_of_any_kind_comes_back_as_what_it_was(data: Any) -> None:
    """16.12: text goes as it is, anything else as its JSON."""
    talk = talking()
    talk.wire["DataTransfer"] = lambda request: {"status": "Accepted", "data": request["data"]}
    assert talk.asked("DataTransfer", {"vendorId": "V", "messageId": "M", "data": data}) == Said({"status": "Accepted", "data": data})


def test_data_of_the_csms_is_text() -> None:
    talk = talking()
    talk.hub["DataTransfer"] = {"status": "Accepted", "data": {"a": 1}}
    reply = talk.said("DataTransfer", {"vendorId": "V", "data": "hello"})
    assert talk.sent("hub") == [("DataTransfer", {"vendorId": "V", "data": "hello"})]
    assert reply == Said({"status": "Accepted", "data": '{"a":1}'})


def test_of_several_problems_the_one_that_lasts_is_told_when_another_is_over() -> None:
    talk = talking()
    evse = {"id": 1, "connectorId": 1}
    rcd, lock = {"name": "RCD", "evse": evse}, {"name": "ConnectorPlugRetentionLock", "evse": evse}
    for component, value, more in ((rcd, "true", {}), (lock, "true", {}), (rcd, "false", {"cleared": True}), (lock, "false", {"cleared": True})):
        talk.asked("NotifyEvent", event(component, "Problem", value, trigger="Alerting", **more))
    codes = [sent["errorCode"] for _, sent in talk.sent()]
    assert codes == ["GroundFailure", "ConnectorLockFailure", "ConnectorLockFailure", "NoError"]


def test_one_charger_of_a_depot_is_not_the_depot() -> None:
    """Connector 0 is the whole station (16 3.8): a charger that is out of order says so by its connectors; its error names it."""
    talk = talking()
    talk.asked("NotifyEvent", event({"name": "ChargingStation", "instance": "CP7"}, "AvailabilityState", "Faulted"))
    assert talk.sent() == []
    talk.asked("NotifyEvent", event({"name": "ElectricalFeed", "instance": "CP7"}, "Problem", "true", trigger="Alerting", techCode="OverVoltage"))
    ((_, told),) = talk.sent()
    assert (told["connectorId"], told["status"], told["info"]) == (0, "Available", "CP7")


@pytest.mark.parametrize(("interval", "understood"), [(300, 300), (300.0, 300), ("300", 300), (0, 0), (-1, 0), ("soon", 0), (None, 0)])
def test_an_interval_is_read_as_it_is_meant(interval: Any, understood: int) -> None:
    talk = talking()
    answer = {"status": "Accepted", "currentTime": "2026-11-21T12:00:00", "interval": interval}
    said = talk.side.asked(Message("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}))
    next(said)
    said.send(Said(answer))  # connector 0 is told
    with pytest.raises(StopIteration) as end:
        said.send(Said({}))
    assert end.value.value == Said({"status": "Accepted", "currentTime": "2026-11-21T12:00:00.000Z", "interval": understood})
