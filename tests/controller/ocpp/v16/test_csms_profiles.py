"""Charging profiles of a 1.6 CSMS in hub words. Expected values by hand from OCPP-NOTES 5.2 and 12.11."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.hub import Failed, Said
from controller.ocpp.v16.csms_side import CsmsSide16
from tests.support.talking import NOON, Talking

OK = {"status": "Accepted"}
NO = {"status": "Rejected"}
LATER = "2026-11-21T18:00:00.000Z"


def talking(**hub: Any) -> Talking:
    wire = {"StatusNotification": {}, "StopTransaction": {}, "StartTransaction": {"transactionId": 5, "idTagInfo": OK}}
    return Talking(CsmsSide16, hub={"SetChargingProfile": OK, "ClearChargingProfile": OK, **hub}, wire=wire)


def event(kind: str, seq: int, **more: Any) -> dict[str, Any]:
    base = {"eventType": kind, "seqNo": seq, "timestamp": NOON, "triggerReason": "Authorized", "transactionInfo": {"transactionId": "t-1"}}
    return {**base, **more}


def running(**hub: Any) -> Talking:
    """A transaction runs at connector 1; the CSMS calls it 5."""
    talk = talking(**hub)
    talk.asked("TransactionEvent", event("Started", 0, evse={"id": 1}, idToken={"idToken": "A", "type": "Local"}))
    talk.sent()
    return talk


def profile(purpose: str, csms_id: int = 11, stack: int = 0, kind: str = "Absolute", **schedule: Any) -> dict[str, Any]:
    period = {"startPeriod": 0, "limit": 16.3, "numberPhases": 3}
    head = {"chargingProfileId": csms_id, "stackLevel": stack, "chargingProfilePurpose": purpose, "chargingProfileKind": kind}
    return {**head, "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [period], **schedule}}


def given(connector_id: int, made: dict[str, Any]) -> dict[str, Any]:
    return {"connectorId": connector_id, "csChargingProfiles": made}


def hub_profile(talk: Talking) -> dict[str, Any]:
    """The one profile that went to the station."""
    [(action, payload)] = talk.sent("hub")
    assert action == "SetChargingProfile"
    found: dict[str, Any] = payload["chargingProfile"]
    return found


def test_a_default_profile_word_for_word() -> None:
    talk = talking()
    schedule = {"startSchedule": LATER, "duration": 3600, "minChargingRate": 6.0}
    made = {**profile("TxDefaultProfile", kind="Recurring", **schedule), "recurrencyKind": "Daily", "validFrom": NOON, "validTo": LATER}
    assert talk.said("SetChargingProfile", given(2, made)) == Said(OK)
    assert talk.sent() == [
        (
            "SetChargingProfile",
            {
                "evseId": 2,
                "chargingProfile": {
                    "id": 11,
                    "stackLevel": 0,
                    "recurrencyKind": "Daily",
                    "chargingProfilePurpose": "TxDefaultProfile",
                    "chargingProfileKind": "Recurring",
                    "validFrom": NOON,
                    "validTo": LATER,
                    "chargingSchedule": [
                        {
                            "id": 11,
                            "duration": 3600,
                            "chargingRateUnit": "A",
                            "minChargingRate": 6.0,
                            "startSchedule": LATER,
                            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.3, "numberPhases": 3}],
                        }
                    ],
                },
            },
        )
    ]


@pytest.mark.parametrize(
    ("purpose", "place", "kind", "schedule", "said"),
    [
        # 1.6 leaves out startSchedule where the session begins it; 2.x wants the right kind (K01.FR.38, K01.FR.40).
        ("TxDefaultProfile", 1, "Absolute", {}, ("Relative", None)),
        ("TxDefaultProfile", 1, "Relative", {"startSchedule": LATER}, ("Relative", None)),
        ("TxDefaultProfile", 1, "Absolute", {"startSchedule": LATER}, ("Absolute", LATER)),
        ("ChargePointMaxProfile", 0, "Absolute", {"startSchedule": LATER}, ("Absolute", LATER)),
        # No session to begin with: from now, a second ago so that there is no gap.
        ("ChargePointMaxProfile", 0, "Absolute", {}, ("Absolute", "2026-11-21T11:59:59.000Z")),
        ("ChargePointMaxProfile", 0, "Relative", {}, ("Absolute", "2026-11-21T11:59:59.000Z")),
    ],
)
def test_when_a_schedule_begins(purpose: str, place: int, kind: str, schedule: dict[str, Any], said: tuple[str, str | None]) -> None:
    talk = talking()
    assert talk.said("SetChargingProfile", given(place, profile(purpose, kind=kind, **schedule))) == Said(OK)
    made = hub_profile(talk)
    assert (made["chargingProfileKind"], made["chargingSchedule"][0].get("startSchedule")) == said


def test_a_tx_profile_names_the_transaction_that_runs() -> None:
    talk = running()
    assert talk.said("SetChargingProfile", given(1, profile("TxProfile"))) == Said(OK)
    assert hub_profile(talk)["transactionId"] == "t-1"
    assert talk.said("SetChargingProfile", given(1, {**profile("TxProfile"), "transactionId": 5})) == Said(OK)
    assert hub_profile(talk)["transactionId"] == "t-1"


@pytest.mark.parametrize(("place", "more"), [(2, {}), (1, {"transactionId": 6}), (2, {"transactionId": 5}), (9, {}), (0, {})])
def test_a_tx_profile_for_nobody_is_rejected(place: int, more: dict[str, Any]) -> None:
    """16 5.16: no transaction, no TxProfile."""
    talk = running()
    assert talk.said("SetChargingProfile", given(place, {**profile("TxProfile"), **more})) == Said(NO)
    assert talk.sent() == []


@pytest.mark.parametrize("bad", [{"chargingSchedulePeriod": []}, {"chargingSchedulePeriod": [{"startPeriod": -1, "limit": 1.0}]}])
def test_what_2_x_could_not_read_is_rejected(bad: dict[str, Any]) -> None:
    assert talking().said("SetChargingProfile", given(1, profile("TxDefaultProfile", **bad))) == Said(NO)


@pytest.mark.parametrize(("answer", "said"), [(NO, NO), (Failed("NotSupported"), {"status": "NotSupported"})])
def test_a_station_that_says_no(answer: Any, said: dict[str, Any]) -> None:
    assert talking(SetChargingProfile=answer).said("SetChargingProfile", given(1, profile("TxDefaultProfile"))) == Said(said)


# -- which profile replaces which -----------------------------------------------------------------------------------


def test_the_same_place_keeps_its_id_so_that_2_x_replaces() -> None:
    """5.2: 1.6 replaces by (purpose, stackLevel), 2.x by id; also after a restart."""
    talk = talking()
    talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=11)))
    assert hub_profile(talk)["id"] == 11
    later = talk.again()
    later.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=12)))
    assert hub_profile(later)["id"] == 11
    # The CSMS knows it as 12 now.
    assert later.said("ClearChargingProfile", {"id": 12}) == Said(OK)
    assert later.sent() == [("ClearChargingProfile", {"chargingProfileId": 11})]


def test_the_same_id_on_two_connectors_is_two_profiles() -> None:
    """Ids of 2.x are the whole station's: the second would replace the first."""
    talk = talking()
    ids = []
    for connector_id in (1, 2):
        talk.said("SetChargingProfile", given(connector_id, profile("TxDefaultProfile")))
        ids.append(hub_profile(talk)["id"])
    assert ids == [11, 1001]
    talk.said("ClearChargingProfile", {"id": 11})
    assert [payload["chargingProfileId"] for _, payload in talk.sent()] == [11, 1001]


def test_an_id_that_moves_to_another_stack_level_takes_its_old_place_with_it() -> None:
    talk = talking()
    talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", stack=0)))
    talk.sent()
    talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", stack=3)))
    sent = talk.sent()
    assert (sent[0][0], sent[0][1]["chargingProfile"]["id"], sent[0][1]["chargingProfile"]["stackLevel"]) == ("SetChargingProfile", 1001, 3)
    assert sent[1] == ("ClearChargingProfile", {"chargingProfileId": 11})


def test_a_refused_successor_leaves_the_old_one_under_its_old_id() -> None:
    talk = talking()
    talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=11)))
    talk.hub["SetChargingProfile"] = NO
    talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=12)))
    talk.sent()
    talk.said("ClearChargingProfile", {"id": 11})
    assert talk.sent() == [("ClearChargingProfile", {"chargingProfileId": 11})]


def refusing_duplicates() -> Talking:
    """A 2.x station: no two TxDefaultProfiles of the same stack level on EVSE 0 and EVSE n (K01.FR.52/53)."""
    there: dict[int, tuple[int, int]] = {}

    def take(request: dict[str, Any]) -> dict[str, Any]:
        made, evse_id = request["chargingProfile"], request["evseId"]
        for hub_id, (other, stack) in there.items():
            if hub_id != made["id"] and stack == made["stackLevel"] and (0 in (other, evse_id) or other == evse_id):
                return {"status": "Rejected", "statusInfo": {"reasonCode": "DuplicateProfile"}}
        there[made["id"]] = (evse_id, made["stackLevel"])
        return OK

    return talking(SetChargingProfile=take)


def test_a_default_of_a_connector_shadows_that_of_the_station() -> None:
    """Trap 15: 1.6 lets the connector's own win on the same stackLevel; 2.x wants another level, above."""
    talk = refusing_duplicates()
    for connector_id, csms_id in ((0, 10), (1, 11), (2, 12)):
        assert talk.said("SetChargingProfile", given(connector_id, profile("TxDefaultProfile", csms_id=csms_id, stack=4))) == Said(OK)
    taken = [payload["chargingProfile"] for _, payload in talk.sent("hub")]
    assert [(made["id"], made["stackLevel"]) for made in taken] == [(10, 4), (11, 4), (11, 5), (12, 4), (12, 5)]
    # Its successor goes where it is, after a restart too.
    later = talk.again()
    assert later.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=13, stack=4))) == Said(OK)
    made = hub_profile(later)
    assert (made["id"], made["stackLevel"]) == (11, 5)
    # The CSMS clears by the level it knows.
    assert later.said("ClearChargingProfile", {"connectorId": 1, "stackLevel": 4}) == Said(OK)
    assert later.sent() == [
        ("ClearChargingProfile", {"chargingProfileCriteria": {"evseId": 1, "stackLevel": 4}}),
        ("ClearChargingProfile", {"chargingProfileId": 11}),
    ]


def test_a_default_of_the_station_goes_below_that_of_a_connector() -> None:
    talk = refusing_duplicates()
    assert talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=11, stack=4))) == Said(OK)
    assert talk.said("SetChargingProfile", given(0, profile("TxDefaultProfile", csms_id=10, stack=4))) == Said(OK)
    assert talk.sent("hub")[-1][1]["chargingProfile"]["stackLevel"] == 3
    # There is no level below 0: an honest no.
    assert talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=21, stack=0))) == Said(OK)
    assert talk.said("SetChargingProfile", given(0, profile("TxDefaultProfile", csms_id=20, stack=0))) == Said(NO)


def test_an_id_that_the_csms_has_replaced_clears_nothing() -> None:
    talk = talking()
    talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=11)))
    talk.said("SetChargingProfile", given(1, profile("TxDefaultProfile", csms_id=12)))
    talk.sent()
    assert talk.said("ClearChargingProfile", {"id": 11}) == Said({"status": "Unknown"})
    assert talk.sent() == []


def test_a_tx_profile_dies_with_its_transaction() -> None:
    talk = running()
    talk.said("SetChargingProfile", given(1, profile("TxProfile")))
    talk.asked("TransactionEvent", event("Ended", 1, triggerReason="EVDeparted"))
    assert not list(talk.memory.starting("profile:"))


def test_a_profile_in_a_remote_start() -> None:
    """16E 3.41: it names no transaction; a later TxProfile of the same stack level takes its place."""
    talk = talking(RequestStartTransaction=OK)
    talk.said("RemoteStartTransaction", {"idTag": "A", "connectorId": 1, "chargingProfile": profile("TxProfile", csms_id=3)})
    [(_, request)] = talk.sent("hub")
    assert request["chargingProfile"]["id"] == 3
    assert "transactionId" not in request["chargingProfile"]
    talk.asked("TransactionEvent", event("Started", 0, evse={"id": 1}, idToken={"idToken": "A", "type": "Local"}))
    talk.sent()
    talk.said("SetChargingProfile", given(1, profile("TxProfile", csms_id=4)))
    assert hub_profile(talk)["id"] == 3


# -- clear -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_16", "asked"),
    [
        ({"id": 99}, [{"chargingProfileId": 99}]),
        ({"id": 99, "connectorId": 1}, [{"chargingProfileId": 99}]),
        ({"connectorId": 1}, [{"chargingProfileCriteria": {"evseId": 1}}]),
        (
            {"connectorId": 0, "chargingProfilePurpose": "ChargePointMaxProfile", "stackLevel": 2},
            [{"chargingProfileCriteria": {"evseId": 0, "chargingProfilePurpose": "ChargingStationMaxProfile", "stackLevel": 2}}],
        ),
        # Nothing named means all; 2.x wants a criterion (K10.FR.02).
        ({}, [{"chargingProfileCriteria": {"chargingProfilePurpose": f"{word}Profile"}} for word in ("ChargingStationMax", "TxDefault", "Tx")]),
    ],
)
def test_clearing(request_16: dict[str, Any], asked: list[dict[str, Any]]) -> None:
    talk = talking()
    assert talk.said("ClearChargingProfile", request_16) == Said(OK)
    assert talk.sent() == [("ClearChargingProfile", payload) for payload in asked]


def test_nothing_to_clear() -> None:
    talk = talking(ClearChargingProfile={"status": "Unknown"})
    assert talk.said("ClearChargingProfile", {}) == Said({"status": "Unknown"})
    assert talk.said("ClearChargingProfile", {"connectorId": 9}) == Said({"status": "Unknown"})


# -- composite --------------------------------------------------------------------------------------------------------------


def test_a_composite_schedule() -> None:
    """Limits down to 0.1; a discharge takes nothing; no limit is 999999."""
    periods = [
        {"startPeriod": 0, "limit": 31.884057998657227, "numberPhases": 3},
        {"startPeriod": 60, "setpoint": -4000.0},
        {"startPeriod": 120},
    ]
    schedule = {"evseId": 1, "duration": 600, "scheduleStart": NOON, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    talk = talking(GetCompositeSchedule={"status": "Accepted", "schedule": schedule})
    reply = talk.said("GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"})
    expected = [{"startPeriod": 0, "limit": 31.8, "numberPhases": 3}, {"startPeriod": 60, "limit": 0.0}, {"startPeriod": 120, "limit": 999999.0}]
    said = {"duration": 600, "chargingRateUnit": "A", "startSchedule": NOON, "chargingSchedulePeriod": expected}
    assert reply == Said({"status": "Accepted", "connectorId": 1, "scheduleStart": NOON, "chargingSchedule": said})
    assert talk.sent() == [("GetCompositeSchedule", {"evseId": 1, "duration": 600, "chargingRateUnit": "A"})]


@pytest.mark.parametrize("answer", [NO, {"status": "Accepted"}, Failed("NotImplemented")])
def test_no_composite_schedule(answer: Any) -> None:
    talk = talking(GetCompositeSchedule=answer)
    assert talk.said("GetCompositeSchedule", {"connectorId": 0, "duration": 600}) == Said(NO)
    assert talk.said("GetCompositeSchedule", {"connectorId": 9, "duration": 600}) == Said(NO)
