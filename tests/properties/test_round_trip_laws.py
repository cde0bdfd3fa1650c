"""1.6 -> hub -> 1.6 keeps what 1.6 can say: an old station and an old CSMS that talk through 2.1 hear each other.

What may change is named: times are written in UTC with milliseconds, a soft reset that ended a transaction is told as a hard one (2.x has one
word for both), defaults may be written out.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.ocpp.hub import Message, Reply, Said
from controller.ocpp.registry import sides_for
from controller.ocpp.times import wall_time
from tests.support.examples import examples
from tests.support.generated import as_sent, payloads
from tests.support.pair import Pair

QUICK = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=examples(30))
CSMS_ID = 4711
TIME = "2026-11-21T16:00:00.000Z"
TAGS = ("0411AABBCCDD80", "deadbeef", "Fleet-7", "A", "x" * 20)
WHOLE_WH = st.integers(0, 2**31 - 1)


def pair(answer: Reply | None = None) -> Pair:
    """Both ends of 1.6. Without an answer the CSMS takes everything, and a start as its transaction CSMS_ID."""
    found = sides_for("ocpp1.6")
    assert found is not None
    started = {"idTagInfo": {"status": "Accepted"}, "transactionId": CSMS_ID}
    taken = {"StartTransaction": started, "Authorize": {"idTagInfo": {"status": "Accepted"}}, "Heartbeat": {"currentTime": TIME}}
    taken["BootNotification"] = {"status": "Accepted", "currentTime": TIME, "interval": 300}
    return Pair(found, found, lambda version, action: answer or Said(taken.get(action, {})))


def heard(both: Pair, action: str) -> dict[str, Any]:
    """The one message of an action that came out."""
    found = [sent.payload for sent in both.sent if sent.action == action]
    assert len(found) == 1, [sent.action for sent in both.sent]
    return found[0]


# Pure data: nothing of it may change.
@pytest.mark.parametrize(
    ("end", "action"),
    [
        ("station", "DataTransfer"),
        ("station", "SignCertificate"),
        ("csms", "DataTransfer"),
        ("csms", "InstallCertificate"),
        ("csms", "DeleteCertificate"),
        ("csms", "CertificateSigned"),
        ("csms", "ClearCache"),
        ("csms", "GetLocalListVersion"),
    ],
)
def test_data_comes_out_as_it_went_in(end: str, action: str) -> None:
    @QUICK
    @given(st.data())
    def law(data: st.DataObject) -> None:
        given_answer = Said(as_sent(data.draw(payloads("ocpp1.6", action, True))))
        both = pair(given_answer)
        said = as_sent(data.draw(payloads("ocpp1.6", action, False)))
        reply = both.says(end, Message(action, said))
        assert heard(both, action) == said
        assert reply == given_answer

    law()


@QUICK
@given(st.sampled_from(TAGS))
def test_a_card_is_the_same_card(tag: str) -> None:
    both = pair()
    assert both.says("station", Message("Authorize", {"idTag": tag})) == Said({"idTagInfo": {"status": "Accepted"}})
    assert heard(both, "Authorize") == {"idTag": tag}


@QUICK
@given(st.data())
def test_a_station_introduces_itself_as_it_is(data: st.DataObject) -> None:
    said = as_sent(data.draw(payloads("ocpp1.6", "BootNotification", False)))
    both = pair()
    both.says("station", Message("BootNotification", said))
    told = heard(both, "BootNotification")
    for key in ("firmwareVersion", "iccid", "imsi"):
        assert told.get(key, "") == said.get(key, "")
    for key in ("chargePointVendor", "chargePointModel"):
        assert told[key] == (said[key] or "unknown")


KEPT = ("DeAuthorized", "EmergencyStop", "EVDisconnected", "HardReset", "Local", "Other", "PowerLoss", "Reboot", "Remote")
REASONS = {**{reason: reason for reason in KEPT}, "SoftReset": "HardReset"}


@QUICK
@given(st.sampled_from(TAGS), WHOLE_WH, WHOLE_WH, st.sampled_from(sorted(REASONS)), st.sampled_from(("0", "16.3", "1234.567", "99999.9")))
def test_a_transaction_is_the_same_transaction(tag: str, start_wh: int, stop_wh: int, reason: str, reading: str) -> None:
    both = pair()
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing", "timestamp": TIME}
    both.says("station", Message("StatusNotification", status))
    start = {"connectorId": 1, "idTag": tag, "meterStart": start_wh, "timestamp": TIME}
    begun = both.says("station", Message("StartTransaction", start))
    assert isinstance(begun, Said)
    own_id = begun.payload["transactionId"]
    sample = {"value": reading, "measurand": "Current.Import", "unit": "A", "phase": "L1"}
    values = {"connectorId": 1, "transactionId": own_id, "meterValue": [{"timestamp": TIME, "sampledValue": [sample]}]}
    both.says("station", Message("MeterValues", values))
    stop = {"transactionId": own_id, "meterStop": stop_wh, "timestamp": TIME, "reason": reason}
    both.says("station", Message("StopTransaction", stop))

    told = heard(both, "StartTransaction")
    assert (told["connectorId"], told["idTag"], told["meterStart"], wall_time(told["timestamp"])) == (1, tag, start_wh, wall_time(TIME))
    told = heard(both, "MeterValues")
    assert told["transactionId"] == CSMS_ID
    again = told["meterValue"][0]["sampledValue"][0]
    assert (float(again["value"]), again["measurand"], again["unit"], again["phase"]) == (float(reading), "Current.Import", "A", "L1")
    told = heard(both, "StopTransaction")
    assert (told["transactionId"], told["meterStop"], told.get("reason", "Local")) == (CSMS_ID, stop_wh, REASONS[reason])
    assert both.complaints == []


@QUICK
@given(st.sampled_from(("Available", "Reserved", "Unavailable", "Faulted")))
def test_a_connector_without_a_car_is_in_the_same_state(state: str) -> None:
    both = pair()
    both.says("station", Message("StatusNotification", {"connectorId": 2, "errorCode": "NoError", "status": state, "timestamp": TIME}))
    both.tick(2)
    told = [sent.payload for sent in both.sent if sent.action == "StatusNotification" and sent.payload["connectorId"] == 2]
    assert told[-1]["status"] == state


@QUICK
@given(st.lists(st.sampled_from(TAGS), unique=True, min_size=1), st.integers(1, 1000), st.sampled_from(("Full", "Differential")))
def test_a_local_list_is_the_same_list(tags: list[str], version: int, update: str) -> None:
    both = pair(Said({"status": "Accepted"}))
    entries = [{"idTag": tag, "idTagInfo": {"status": "Blocked", "parentIdTag": "P1"}} for tag in tags]
    reply = both.says("csms", Message("SendLocalList", {"listVersion": version, "updateType": update, "localAuthorizationList": entries}))
    assert reply == Said({"status": "Accepted"})
    told = heard(both, "SendLocalList")
    assert (told["listVersion"], told["updateType"], told["localAuthorizationList"]) == (version, update, entries)


@QUICK
@given(st.sampled_from(("HeartbeatInterval", "MeterValueSampleInterval", "VendorKey.1")), st.sampled_from(("0", "60", "true")))
def test_a_configuration_key_is_the_same_key(key: str, value: str) -> None:
    both = pair(Said({"status": "Accepted"}))
    assert both.says("csms", Message("ChangeConfiguration", {"key": key, "value": value})) == Said({"status": "Accepted"})
    assert heard(both, "ChangeConfiguration") == {"key": key, "value": value}
