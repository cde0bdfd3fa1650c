"""Commands of a 2.1 CSMS to a 1.6 station (OCPP-NOTES 12.1, 12.4, 12.8)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.link.policy import CSMS
from controller.ocpp.hub import EvseShape, Failed, Said
from controller.ocpp.v16.aliases import alias
from controller.ocpp.v16.station_refusals import REFUSED
from controller.ocpp.v16.station_side import StationSide16
from tests.support.generated import as_sent
from tests.support.schemas import example_request
from tests.support.talking import NOON, Talking

CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}
CONTRACT = {"idToken": "DE-ABC-C1234567-89-and-more", "type": "eMAID"}
HUB = {key: {} for key in ("StatusNotification", "NotifyEvent", "TransactionEvent", "ReservationStatusUpdate")}
UNKNOWN = Failed("NotImplemented")


def talking(evses: int = 2, **wire: Any) -> Talking:
    """A connected station. wire: its answers."""
    made = Talking(StationSide16, evses=tuple(EvseShape(number) for number in range(1, evses + 1)), wire=wire, hub=dict(HUB))
    made.opened()
    return made


def accepted(reply: Any) -> Any:
    """The status in an answer."""
    assert isinstance(reply, Said)
    return reply.payload["status"]


# -- connectors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("evse", "connector"), [(None, 0), ({"id": 2}, 2), ({"id": 1, "connectorId": 1}, 1), ({"id": 0}, 0)])
def test_availability(evse: Any, connector: int) -> None:
    peer = talking(ChangeAvailability={"status": "Scheduled"})
    request = {"operationalStatus": "Inoperative", **({"evse": evse} if evse else {})}
    assert accepted(peer.asked("ChangeAvailability", request)) == "Scheduled"
    assert peer.sent() == [("ChangeAvailability", {"connectorId": connector, "type": "Inoperative"})]


@pytest.mark.parametrize("evse", [{"id": 9}, {"id": 1, "connectorId": 2}])
def test_availability_of_nothing_there(evse: Any) -> None:
    peer = talking()
    assert accepted(peer.asked("ChangeAvailability", {"operationalStatus": "Operative", "evse": evse})) == "Rejected"
    assert peer.sent() == []


@pytest.mark.parametrize(("said", "told"), [("Unlocked", "Unlocked"), ("UnlockFailed", "UnlockFailed"), ("NotSupported", "UnlockFailed")])
def test_unlocking(said: str, told: str) -> None:
    peer = talking(UnlockConnector={"status": said})
    assert accepted(peer.asked("UnlockConnector", {"evseId": 2, "connectorId": 1})) == told
    assert peer.sent() == [("UnlockConnector", {"connectorId": 2})]


def test_unlocking_never_ends_a_transaction() -> None:
    """F05.FR.02."""
    peer = talking(UnlockConnector={"status": "Unlocked"})
    peer.said("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": NOON})
    assert accepted(peer.asked("UnlockConnector", {"evseId": 1, "connectorId": 1})) == "OngoingAuthorizedTransaction"
    assert accepted(peer.asked("UnlockConnector", {"evseId": 7, "connectorId": 1})) == "UnknownConnector"
    assert accepted(peer.asked("UnlockConnector", {"evseId": 1, "connectorId": 2})) == "UnknownConnector"
    assert peer.sent("wire") == []


# -- starts ------------------------------------------------------------------------------------------------


def test_a_start_without_evse_is_the_only_one() -> None:
    for evses, place in ((1, {"connectorId": 1}), (2, {})):
        peer = talking(evses, RemoteStartTransaction={"status": "Accepted"})
        peer.asked("RequestStartTransaction", {"idToken": CARD, "remoteStartId": 1})
        assert peer.sent() == [("RemoteStartTransaction", {"idTag": "04A1B2C3", **place})]


def test_a_start_with_a_profile() -> None:
    peer = talking(RemoteStartTransaction={"status": "Accepted"})
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.19}]}
    profile = {"id": 3, "stackLevel": 2, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative", "chargingSchedule": [schedule]}
    assert (
        accepted(peer.asked("RequestStartTransaction", {"evseId": 1, "idToken": CARD, "remoteStartId": 1, "chargingProfile": profile})) == "Accepted"
    )
    ((_, request),) = peer.sent()
    assert request["chargingProfile"] == {
        "chargingProfileId": 3,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.1}]},
    }
    odd = {**profile, "chargingProfilePurpose": "TxDefaultProfile"}
    assert accepted(peer.asked("RequestStartTransaction", {"evseId": 1, "idToken": CARD, "remoteStartId": 1, "chargingProfile": odd})) == "Rejected"


def test_a_long_token_is_its_alias_everywhere() -> None:
    """Trap 28."""
    peer = talking(RemoteStartTransaction={"status": "Accepted"}, SendLocalList={"status": "Accepted"})
    peer.asked("RequestStartTransaction", {"evseId": 1, "idToken": CONTRACT, "remoteStartId": 1})
    entries = [{"idToken": CONTRACT, "idTokenInfo": {"status": "Accepted", "groupIdToken": CONTRACT}}]
    peer.asked("SendLocalList", {"versionNumber": 4, "updateType": "Full", "localAuthorizationList": entries})
    (_, start), (_, listed) = peer.sent()
    tag = alias(CONTRACT["idToken"])
    assert start["idTag"] == tag
    assert listed["localAuthorizationList"] == [{"idTag": tag, "idTagInfo": {"status": "Accepted", "parentIdTag": tag}}]
    peer = peer.again()
    peer.said("StartTransaction", {"connectorId": 1, "idTag": tag, "meterStart": 0, "timestamp": NOON})
    assert peer.sent()[-1][1]["idToken"] == CONTRACT


# -- local list, cache ----------------------------------------------------------------------------------------


def test_a_differential_list() -> None:
    peer = talking(SendLocalList={"status": "VersionMismatch"})
    entries = [
        {"idToken": CARD},
        {"idToken": {"idToken": "B", "type": "Local"}, "idTokenInfo": {"status": "Unknown", "cacheExpiryDateTime": NOON}},
        {"idToken": {"idToken": "C", "type": "Local"}, "idTokenInfo": {"status": "Accepted", "evseId": [1]}},
    ]
    request = {"versionNumber": 5, "updateType": "Differential", "localAuthorizationList": entries}
    assert accepted(peer.asked("SendLocalList", request)) == "VersionMismatch"
    ((_, sent),) = peer.sent()
    assert (sent["listVersion"], sent["updateType"]) == (5, "Differential")
    # Who may charge at EVSE 1 only cannot be listed for both: the CSMS is asked each time.
    assert sent["localAuthorizationList"] == [
        {"idTag": "04A1B2C3"},
        {"idTag": "B", "idTagInfo": {"status": "Invalid", "expiryDate": NOON}},
        {"idTag": "C"},
    ]


def test_nobody_s_card_is_on_no_list() -> None:
    """NoAuthorization has one idTag for everybody: listed, it would open each connector to each card that says so."""
    peer = talking(SendLocalList={"status": "Accepted"})
    entries = [{"idToken": {"idToken": "", "type": "NoAuthorization"}, "idTokenInfo": {"status": "Accepted"}}]
    peer.asked("SendLocalList", {"versionNumber": 6, "updateType": "Full", "localAuthorizationList": entries})
    assert peer.sent() == [("SendLocalList", {"listVersion": 6, "updateType": "Full"})]


def test_an_empty_full_list() -> None:
    peer = talking(SendLocalList={"status": "NotSupported"})
    assert accepted(peer.asked("SendLocalList", {"versionNumber": 6, "updateType": "Full"})) == "Failed"
    assert peer.sent() == [("SendLocalList", {"listVersion": 6, "updateType": "Full"})]


@pytest.mark.parametrize(("said", "version"), [({"listVersion": 5}, 5), ({"listVersion": 0}, 0), ({"listVersion": -1}, 0), (UNKNOWN, 0)])
def test_the_version_of_the_list(said: Any, version: int) -> None:
    assert talking(GetLocalListVersion=said).asked("GetLocalListVersion", {}) == Said({"versionNumber": version})


def test_the_cache() -> None:
    assert accepted(talking(ClearCache={"status": "Accepted"}).asked("ClearCache", {})) == "Accepted"
    assert accepted(talking(ClearCache=UNKNOWN).asked("ClearCache", {})) == "Rejected"


# -- triggers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["BootNotification", "Heartbeat", "MeterValues", "StatusNotification", "FirmwareStatusNotification"])
def test_plain_triggers(word: str) -> None:
    peer = talking(TriggerMessage={"status": "Accepted"})
    assert accepted(peer.asked("TriggerMessage", {"requestedMessage": word, "evse": {"id": 2}})) == "Accepted"
    assert peer.sent() == [("TriggerMessage", {"requestedMessage": word, "connectorId": 2})]


def test_triggers_of_the_whitepaper() -> None:
    peer = talking(ExtendedTriggerMessage={"status": "Accepted"})
    for word, sent in (("SignChargingStationCertificate", "SignChargePointCertificate"), ("LogStatusNotification", "LogStatusNotification")):
        assert accepted(peer.asked("TriggerMessage", {"requestedMessage": word})) == "Accepted"
        assert peer.sent() == [("ExtendedTriggerMessage", {"requestedMessage": sent})]


def test_triggers_without_the_whitepaper() -> None:
    peer = talking(ExtendedTriggerMessage=UNKNOWN, TriggerMessage={"status": "Accepted"})
    assert accepted(peer.asked("TriggerMessage", {"requestedMessage": "LogStatusNotification"})) == "Accepted"
    assert accepted(peer.asked("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})) == "NotImplemented"
    assert [action for action, _ in peer.sent()] == ["ExtendedTriggerMessage", "TriggerMessage"]  # it is not asked twice


@pytest.mark.parametrize("word", ["SignV2GCertificate", "SignV2G20Certificate", "SignCombinedCertificate", "PublishFirmwareStatusNotification"])
def test_triggers_1_6_does_not_have(word: str) -> None:
    peer = talking(DataTransfer={"status": "UnknownVendorId"})
    assert accepted(peer.asked("TriggerMessage", {"requestedMessage": word})) == "NotImplemented"
    assert accepted(peer.asked("TriggerMessage", {"requestedMessage": "TransactionEvent"})) == "Rejected"
    assert not [action for action, _ in peer.sent() if action != "DataTransfer"]


# -- reservations ----------------------------------------------------------------------------------------------------


def reserved(**more: Any) -> dict[str, Any]:
    """A ReserveNow."""
    return {"id": 5, "expiryDateTime": "2026-11-21T12:01:00Z", "idToken": CARD, **more}


def test_a_reservation_ends_by_the_clock() -> None:
    peer = talking(ReserveNow={"status": "Accepted"})
    assert accepted(peer.asked("ReserveNow", reserved(evseId=2, groupIdToken={"idToken": "G", "type": "Local"}))) == "Accepted"
    expected = {"reservationId": 5, "connectorId": 2, "expiryDate": "2026-11-21T12:01:00.000Z", "idTag": "04A1B2C3", "parentIdTag": "G"}
    assert peer.sent() == [("ReserveNow", expected)]
    peer = peer.again()
    peer.seconds(59)
    assert peer.sent() == []
    peer.seconds(2)
    assert peer.sent() == [("ReservationStatusUpdate", {"reservationId": 5, "reservationUpdateStatus": "Expired"})]


def test_a_reservation_that_is_used_or_cancelled_does_not_expire() -> None:
    peer = talking(ReserveNow={"status": "Accepted"}, CancelReservation={"status": "Accepted"})
    peer.asked("ReserveNow", reserved())
    assert peer.sent()[0][1]["connectorId"] == 0
    assert accepted(peer.asked("CancelReservation", {"reservationId": 5})) == "Accepted"
    peer.asked("ReserveNow", reserved())
    peer.said("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": NOON, "reservationId": 5})
    peer.log.clear()
    peer.seconds(90)
    assert peer.sent() == []


def test_a_connector_out_of_order_holds_no_reservation() -> None:
    peer = talking(ReserveNow={"status": "Accepted"})
    peer.asked("ReserveNow", reserved(evseId=2))
    peer.said("StatusNotification", {"connectorId": 2, "status": "Faulted", "errorCode": "OtherError"})
    peer.log.clear()
    peer.seconds(1)
    assert peer.sent() == [("ReservationStatusUpdate", {"reservationId": 5, "reservationUpdateStatus": "Removed"})]


@pytest.mark.parametrize("word", ["Faulted", "Occupied", "Rejected", "Unavailable"])
def test_a_reservation_that_is_refused(word: str) -> None:
    peer = talking(ReserveNow={"status": word})
    assert accepted(peer.asked("ReserveNow", reserved())) == word
    peer.log.clear()
    peer.seconds(90)
    assert peer.sent() == []


def test_a_plug_cannot_be_reserved_by_its_kind() -> None:
    assert accepted(talking(2).asked("ReserveNow", reserved(connectorType="cType2"))) == "Rejected"
    assert accepted(talking(1, ReserveNow={"status": "Accepted"}).asked("ReserveNow", reserved(connectorType="cType2"))) == "Accepted"


# -- vendors, refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "text"), [("x", "x"), ({"a": 1}, '{"a": 1}'), ([1], "[1]"), (5, "5"), ("", "")])
def test_vendor_data_is_text(data: Any, text: str) -> None:
    peer = talking(DataTransfer={"status": "Accepted", "data": "back"})
    assert peer.asked("DataTransfer", {"vendorId": "v", "data": data}) == Said({"status": "Accepted", "data": "back"})
    assert peer.sent() == [("DataTransfer", {"vendorId": "v", "data": text})]


@pytest.mark.parametrize("action", sorted(REFUSED))
def test_what_1_6_does_not_have_is_refused_in_words_of_2_1(action: str) -> None:
    peer = talking()
    reply = peer.asked(action, as_sent(example_request(action, "v21")))
    assert isinstance(reply, Said) or reply == Failed("NotSupported", REFUSED[action])
    assert peer.sent() == []


def test_every_command_of_2_1_is_carried_out_or_refused_in_the_table() -> None:
    done = set(CSMS["ocpp2.1"]) - set(REFUSED)
    peer = talking(**dict.fromkeys(CSMS["ocpp1.6"], UNKNOWN))
    for action in sorted(done):
        reply = peer.asked(action, as_sent(example_request(action, "v21")))
        assert not (isinstance(reply, Failed) and reply.code == "NotImplemented"), action
    assert set(CSMS["ocpp2.1"]) >= set(REFUSED)


def test_errors_of_the_station_have_the_new_spelling() -> None:
    peer = talking(ClearCache=Failed("OccurenceConstraintViolation", "x"))
    assert peer.asked("ClearCache", {}) == Failed("OccurrenceConstraintViolation", "x")
