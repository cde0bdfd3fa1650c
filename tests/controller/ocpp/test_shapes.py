"""Judging and fitting payloads by the OCA's schemas (OCPP-NOTES 1.5, 16.7, 16.8)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.ocpp.shapes import Unreadable
from tests.support import schemas
from tests.support.shapes import SHAPES, VERSIONS

TIME = "2026-11-21T16:00:00Z"


def limit_profile(limit: Any) -> dict[str, Any]:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    profile = {"chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"}
    return {"connectorId": 1, "csChargingProfiles": {**profile, "chargingSchedule": schedule}}


def reading(**sample: Any) -> dict[str, Any]:
    return {"evseId": 1, "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": 1, **sample}]}]}


# -- check -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_of_every_version_is_known_and_its_example_valid(version: str) -> None:
    for name in sorted(schemas.schema_names(version)):
        action, answer = name.removesuffix("Response").removesuffix("Request"), name.endswith("Response")
        whole = schemas.schema(name, version)
        example = json.loads(json.dumps(schemas._example(whole, whole.get("definitions", {}), True), default=float))
        assert SHAPES.knows(version, action)
        assert SHAPES.check(version, action, answer, example) == "", name
        assert SHAPES.fit(version, action, answer, example) == example, name


def test_an_action_of_another_version_is_unknown() -> None:
    assert SHAPES.check("ocpp2.0.1", "SetDERControl", False, {}) == "ocpp2.0.1 has no SetDERControl"
    assert SHAPES.check("ocpp2.1", "NotifyPeriodicEventStream", True, {}) == "ocpp2.1 has no answer to NotifyPeriodicEventStream"
    assert not SHAPES.knows("ocpp1.6", "TransactionEvent")
    assert not SHAPES.knows("ocpp1.6", "ResetResponse")
    assert not SHAPES.knows("ocpp9", "Reset")
    assert not SHAPES.knows("ocpp2.1", "../v16/schemas/Reset")


# The 1.6 schema wants multiples of 0.1; as binary floats 16.3 / 0.1 is 163.00000000000003.
@pytest.mark.parametrize(("limit", "valid"), [(16.3, True), (0.7, True), (32, True), (1000000.1, True), (16.35, False)])
def test_tenths_are_judged_as_decimals(limit: float, valid: bool) -> None:
    assert (SHAPES.check("ocpp1.6", "SetChargingProfile", False, limit_profile(limit)) == "") is valid


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, 'payload: "idToken" is a required property'),
        ({"idToken": {"idToken": "geheim" * 7, "type": "Central"}}, "idToken.idToken: this value is longer than 36 characters"),
        ({"idToken": {"idToken": "geheim", "type": "geheim"}}, "idToken.type"),
        ({"idToken": {"idToken": "geheim", "type": "Central"}, "x": "geheim"}, "Additional properties"),
        ({1: 2}, "cannot be written as JSON"),
    ],
)
def test_a_complaint_is_one_line_and_tells_no_values(payload: dict[str, Any], said: str) -> None:
    found = SHAPES.check("ocpp2.0.1", "Authorize", False, payload)
    assert said in found
    assert "geheim" not in found
    assert "\n" not in found
    assert len(found) <= 255


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1"])
def test_what_is_no_number_is_refused(value: Any) -> None:
    assert SHAPES.check("ocpp2.1", "MeterValues", False, reading(value=value)) != ""


def test_times_need_a_zone_and_addresses_are_not_judged() -> None:
    assert SHAPES.check("ocpp2.1", "Heartbeat", True, {"currentTime": TIME}) == ""
    assert SHAPES.check("ocpp2.1", "Heartbeat", True, {"currentTime": "2026-11-21T16:00:00"}) != ""
    assert SHAPES.check("ocpp1.6", "GetDiagnostics", False, {"location": "ftp://host/a b"}) == ""


# -- fit -------------------------------------------------------------------------------------------------


def test_unknown_properties_go_and_custom_data_stays() -> None:
    custom = {"vendorId": "org.example", "anything": {"x": [1]}}
    payload = {"status": "Accepted", "new": 1, "customData": custom, "statusInfo": {"reasonCode": "X", "extra": 2}}
    said = SHAPES.fit("ocpp2.0.1", "Reset", True, payload)
    assert said == {"status": "Accepted", "customData": custom, "statusInfo": {"reasonCode": "X"}}
    assert payload["new"] == 1
    assert SHAPES.fit("ocpp1.6", "Reset", True, payload) == {"status": "Accepted"}
    assert SHAPES.fit("ocpp2.1", "Reset", True, {"status": "Accepted", "customData": {"x": 1}}) == {"status": "Accepted"}


def test_optional_words_that_cannot_be_said_go_and_required_ones_stay() -> None:
    said = SHAPES.fit("ocpp2.0.1", "MeterValues", False, reading(location="Upstream", phase="L1", context=None))
    assert said == reading(phase="L1")
    payload = {"type": "ImmediateAndResume"}
    assert SHAPES.fit("ocpp2.0.1", "Reset", False, payload) == payload
    assert SHAPES.check("ocpp2.0.1", "Reset", False, payload) != ""


def test_words_of_a_list_that_cannot_be_said_go_and_an_empty_list_with_them() -> None:
    both = {"certificateType": ["OEMRootCertificate", "V2GRootCertificate"]}
    assert SHAPES.fit("ocpp2.0.1", "GetInstalledCertificateIds", False, both) == {"certificateType": ["V2GRootCertificate"]}
    assert SHAPES.fit("ocpp2.0.1", "GetInstalledCertificateIds", False, {"certificateType": ["OEMRootCertificate"]}) == {}


def test_lists_are_cut_to_their_bounds() -> None:
    data = [{"idToken": "x", "type": "Central", "additionalInfo": [{"additionalIdToken": str(n), "type": "t"} for n in range(3)]}]
    assert SHAPES.fit("ocpp2.1", "Authorize", False, {"idToken": data[0]}) == {"idToken": data[0]}
    hashes = [{"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": str(n), "responderURL": "u"} for n in range(6)]
    said = SHAPES.fit("ocpp2.0.1", "Authorize", False, {"idToken": {"idToken": "x", "type": "Central"}, "iso15118CertificateHashData": hashes})
    assert [item["serialNumber"] for item in said["iso15118CertificateHashData"]] == ["0", "1", "2", "3"]


def test_texts_for_people_are_cut_and_what_names_or_proves_something_is_not() -> None:
    long = "x" * 3000
    said = SHAPES.fit("ocpp2.0.1", "Reset", True, {"status": "Rejected", "statusInfo": {"reasonCode": "X", "additionalInfo": long}})
    assert said["statusInfo"]["additionalInfo"] == "x" * 512
    for action, payload in (
        ("RequestStopTransaction", {"transactionId": long}),
        ("Authorize", {"idToken": {"idToken": long, "type": "Central"}}),
        ("MeterValues", reading(signedMeterValue={"signedMeterData": long, "signingMethod": "", "encodingMethod": "", "publicKey": ""})),
        ("SetVariables", {"setVariableData": [{"attributeValue": long, "component": {"name": "A"}, "variable": {"name": "B"}}]}),
    ):
        assert SHAPES.fit("ocpp2.0.1", action, False, payload) == payload
        assert "longer than" in SHAPES.check("ocpp2.0.1", action, False, payload)


@pytest.mark.parametrize(("given", "said"), [(16.36, 16.3), (16.3, 16.3), (-1, -1), ("16.36", 16.3), (0.05, 0.0), (-0.05, -0.1)])
def test_limits_of_16_are_rounded_down_to_a_tenth(given: Any, said: float) -> None:
    fitted = SHAPES.fit("ocpp1.6", "SetChargingProfile", False, limit_profile(given))
    assert fitted["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == said


def test_numbers_and_texts_become_what_the_schema_wants() -> None:
    assert SHAPES.fit("ocpp2.1", "MeterValues", False, {**reading(value="230.5"), "evseId": 1.0}) == reading(value=230.5)
    assert SHAPES.fit("ocpp1.6", "Authorize", False, {"idTag": 1234}) == {"idTag": "1234"}
    assert SHAPES.fit("ocpp2.1", "MeterValues", False, reading(value="14.4kW")) == reading(value="14.4kW")
    assert SHAPES.fit("ocpp2.1", "MeterValues", False, reading(value="9" * 5000)) == reading(value="9" * 5000)


def test_numbers_out_of_range_stay_to_be_refused() -> None:
    payload = {"evseId": 0}
    assert SHAPES.fit("ocpp2.1", "Reset", False, {"type": "OnIdle", "evseId": -1}) == {"type": "OnIdle", "evseId": -1}
    assert SHAPES.check("ocpp2.1", "Reset", False, {"type": "OnIdle", "evseId": -1}) != ""
    assert SHAPES.fit("ocpp2.1", "GetLocalListVersion", False, payload) == {}


# 16.8: timestamps with none, 3 or 6 fraction digits, Z or offset, or no zone at all; 2.x wants RFC 3339.
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (TIME, TIME),
        ("2026-11-21T16:00:00.123456+00:00", "2026-11-21T16:00:00.123456+00:00"),
        ("2026-11-21T16:00:00", TIME),
        ("2026-11-21 16:00:00z", TIME),
        ("2026-11-21T16:00:00,5+0100", "2026-11-21T16:00:00.5+01:00"),
        ("2026-11-21T16:00Z", TIME),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
    ],
)
def test_times_are_put_right(given: str, said: str) -> None:
    fitted = SHAPES.fit("ocpp2.1", "Heartbeat", True, {"currentTime": given})
    assert fitted == {"currentTime": said}
    assert SHAPES.check("ocpp2.1", "Heartbeat", True, fitted) == ""


@pytest.mark.parametrize("given", ["", "soon", "2026-13-01T00:00:00Z", "2026-11-21T16:00:00+99:99", 7])
def test_a_time_that_is_none_is_left_out_where_it_may_be(given: Any) -> None:
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
    said = SHAPES.fit("ocpp1.6", "StatusNotification", False, {**status, "timestamp": given})
    assert said == status if isinstance(given, str) else said["timestamp"] == given


@pytest.mark.parametrize("payload", [None, [], "text", 7, {"evse": []}, {"evse": {"id": {}}}, {"meterValue": [None, 1, {"sampledValue": 2}]}])
def test_fit_takes_anything(payload: Any) -> None:
    for action in ("MeterValues", "ChangeAvailability", "TransactionEvent"):
        for version in VERSIONS:
            SHAPES.fit(version, action, False, payload)
            assert SHAPES.check(version, action, False, payload) != "", (version, action)


# -- read: orders of a CSMS ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "action", "payload", "code"),
    [
        ("ocpp2.1", "ChangeAvailability", {}, "OccurrenceConstraintViolation"),
        ("ocpp2.1", "CancelReservation", {"reservationId": None}, "OccurrenceConstraintViolation"),
        ("ocpp2.1", "GetVariables", {"getVariableData": []}, "OccurrenceConstraintViolation"),
        ("ocpp2.1", "Reset", {"type": "Bogus"}, "PropertyConstraintViolation"),
        ("ocpp2.1", "Reset", {"type": "Immediate", "evseId": -1}, "PropertyConstraintViolation"),
        ("ocpp2.0.1", "Reset", {"type": "Immediate", "evseId": "2"}, "TypeConstraintViolation"),
        ("ocpp2.0.1", "Reset", {"type": "Immediate", "evseID": 2}, "FormatViolation"),
        ("ocpp1.6", "RemoteStartTransaction", {"idTag": "A" * 21}, "PropertyConstraintViolation"),
    ],
)
def test_an_order_that_is_half_understood_is_refused_with_the_right_code(version: str, action: str, payload: dict[str, Any], code: str) -> None:
    read = SHAPES.read(version, action, payload)
    assert isinstance(read, Unreadable)
    assert read.code == code
    assert "A" * 21 not in read.text


@pytest.mark.parametrize(
    ("version", "action", "payload", "meant"),
    [
        ("ocpp2.1", "Reset", {"type": "Immediate", "evseId": None}, {"type": "Immediate"}),  # null is "not there"
        ("ocpp1.6", "SetChargingProfile", limit_profile(16.35), limit_profile(16.35)),  # 16.8: several decimals
        ("ocpp1.6", "UpdateFirmware", {"location": "ftp://a b/c", "retrieveDate": "2026-01-01T00:00:00"}, None),  # no zone, a space
        ("ocpp1.6", "DataTransfer", {"vendorId": "v", "data": {"a": [1, None]}}, {"vendorId": "v", "data": {"a": [1, None]}}),  # 16.12
        ("ocpp1.6", "GetCompositeSchedule", {"connectorId": 1.0, "duration": 60.7}, {"connectorId": 1, "duration": 60}),  # 16.8
        ("ocpp2.1", "NoSuchThing", {"x": None}, None),  # whoever answers actions says so
        ("ocpp2.1", "GetLocalListVersion", {"customData": {"vendorId": "v", "more": None}}, None),
    ],
)
def test_what_real_csmss_write_is_understood(version: str, action: str, payload: dict[str, Any], meant: dict[str, Any] | None) -> None:
    assert SHAPES.read(version, action, payload) == (payload if meant is None else meant)
