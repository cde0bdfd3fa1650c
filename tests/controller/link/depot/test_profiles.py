"""Charging profiles of a depot: to whom they go, one space of ids, reports (K01-K10, K21, K28, traps 15 and 26)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.facts import PersistFailed
from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, Payload
from tests.support.desk import UUID_A, asked, desk, says

ACCEPTED = {"status": "Accepted"}


def profile(profile_id: int = 1, purpose: str = "TxDefaultProfile", limit: float = 16.0, stack: int = 0, **more: Any) -> Payload:
    kind = "Absolute" if purpose == "ChargingStationMaxProfile" else "Relative"
    start = {"startSchedule": "2026-01-01T00:00:00Z"} if kind == "Absolute" else {}
    schedule = {"id": profile_id, "chargingRateUnit": "A", **start, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    base = {"id": profile_id, "stackLevel": stack, "chargingProfilePurpose": purpose, "chargingProfileKind": kind, "chargingSchedule": [schedule]}
    return {**base, **more}


def put(book: DepotBook, evse_id: int, **fields: Any) -> Any:
    return book.csms("SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile(**fields)})


def reports(book: DepotBook, **criteria: Any) -> dict[int, list[int]]:
    """EVSE -> profile ids, of a GetChargingProfiles; checks the pages' requestId and tbc."""
    book.up.clear()
    evse = {"evseId": criteria.pop("evseId")} if "evseId" in criteria else {}
    answer = book.csms("GetChargingProfiles", {"requestId": 77, **evse, "chargingProfile": criteria})
    book.wait(3)
    pages = book.heard("ReportChargingProfiles")
    assert answer["status"] == ("Accepted" if pages else "NoProfiles")
    assert [page["requestId"] for page in pages] == [77] * len(pages)
    assert [bool(page.get("tbc")) for page in pages] == [True] * (len(pages) - 1) + [False] * bool(pages)
    found: dict[int, list[int]] = {}
    for page in pages:
        found.setdefault(page["evseId"], []).extend(one["id"] for one in page["chargingProfile"])
    return {evse_id: sorted(ids) for evse_id, ids in sorted(found.items())}


# -- where they go ----------------------------------------------------------------------------------------


def test_of_an_evse_they_are_kept_by_its_charger_and_reported_under_the_depots_number() -> None:
    book = desk()
    assert put(book, 1, profile_id=10) == ACCEPTED
    assert put(book, 3, profile_id=11, limit=10.0) == ACCEPTED
    assert put(book, 4, profile_id=12) == ACCEPTED
    assert reports(book) == {1: [10], 3: [11], 4: [12]}
    assert reports(book, evseId=3) == {3: [11]}
    assert reports(book, evseId=2) == {}
    assert reports(book, chargingProfileId=[10, 12]) == {1: [10], 4: [12]}
    composite = book.csms("GetCompositeSchedule", {"duration": 600, "evseId": 3})
    assert composite["schedule"]["evseId"] == 3
    assert composite["schedule"]["chargingSchedulePeriod"][0]["limit"] <= 10.0


@pytest.mark.parametrize("evse_id", [9, 99])
def test_an_evse_that_is_not_there(evse_id: int) -> None:
    book = desk()
    assert put(book, evse_id)["statusInfo"]["reasonCode"] == "UnknownEvse"
    assert book.csms("GetCompositeSchedule", {"duration": 600, "evseId": evse_id})["status"] == "Rejected"


def test_purposes_at_the_wrong_place_are_refused() -> None:
    book = desk()
    assert put(book, 0, purpose="TxProfile", transactionId=UUID_A)["status"] == "Rejected"  # K01.FR.16
    assert put(book, 2, purpose="ChargingStationMaxProfile")["status"] == "Rejected"  # K01.FR.38
    assert put(book, 0, purpose="ChargingStationExternalConstraints")["status"] == "Rejected"  # K01.FR.22
    assert put(book, 2, purpose="ChargingStationExternalConstraints")["status"] == "Rejected"


def test_the_maximum_of_the_depot_is_the_sites() -> None:
    book = desk()
    assert put(book, 0, profile_id=5, purpose="ChargingStationMaxProfile", limit=40.0) == ACCEPTED
    assert not any(asked(book, name, "SetChargingProfile") for name in book.down)
    assert reports(book) == {0: [5]}
    assert book.csms("GetCompositeSchedule", {"duration": 600, "evseId": 0})["status"] == "Accepted"
    assert book.csms("ClearChargingProfile", {"chargingProfileId": 5}) == ACCEPTED
    assert reports(book) == {}


def test_a_profile_of_a_transaction_wants_that_transaction_at_that_evse() -> None:
    book = desk()
    assert put(book, 3, purpose="TxProfile", transactionId=UUID_A)["statusInfo"]["reasonCode"] == "TxNotFound"
    book.event("CP20", "Started", UUID_A, 0, evse_id=2)
    assert put(book, 2, purpose="TxProfile", transactionId=UUID_A)["statusInfo"]["reasonCode"] == "TxNotFound"  # K01.FR.33
    assert put(book, 3, purpose="TxProfile", transactionId=UUID_A) == ACCEPTED
    book.event("CP20", "Ended", UUID_A, 1, evse_id=2)
    assert reports(book) == {}


def test_a_profile_of_a_transaction_that_has_another_name_below() -> None:
    book = desk()
    book.event("CP20", "Started", "1", 0)
    book.event("CP21", "Started", "1", 0)
    second = book.heard("TransactionEvent")[1]["transactionInfo"]["transactionId"]
    assert put(book, 4, purpose="TxProfile", transactionId=second) == ACCEPTED
    book.csms("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    book.wait(2)
    (page,) = book.heard("ReportChargingProfiles")
    assert (page["evseId"], page["chargingProfile"][0]["transactionId"]) == (4, second)


# -- one for all ---------------------------------------------------------------------------------------------


def test_a_default_of_evse_0_stands_at_every_charger_and_is_reported_once() -> None:
    book = desk()
    assert put(book, 0, profile_id=20) == ACCEPTED
    assert reports(book) == {0: [20]}
    for number in (1, 2, 3, 4):
        composite = book.csms("GetCompositeSchedule", {"duration": 600, "evseId": number})
        assert composite["schedule"]["chargingSchedulePeriod"][0]["limit"] <= 16.0


def test_a_default_reaches_a_charger_that_was_away_also_after_a_restart() -> None:
    book = desk()
    book.hang_up("CP21")
    answer = put(book, 0, profile_id=20)
    assert answer["status"] == "Accepted"
    assert "CP21" in answer["statusInfo"]["additionalInfo"]
    book = book.restarted()
    book.open()
    book.boot()
    book.wait(3)
    composite = book.csms("GetCompositeSchedule", {"duration": 600, "evseId": 4})
    assert composite["schedule"]["chargingSchedulePeriod"][0]["limit"] <= 16.0
    assert reports(book) == {0: [20]}


def test_a_cleared_default_is_cleared_at_a_charger_that_was_away() -> None:
    book = desk()
    put(book, 0, profile_id=20)
    book.hang_up("CP21")
    assert book.csms("ClearChargingProfile", {"chargingProfileId": 20}) == ACCEPTED
    book.boot("CP21")
    book.wait(3)
    assert reports(book) == {}
    assert book.csms("ClearChargingProfile", {"chargingProfileId": 20})["status"] == "Unknown"


def test_evse_0_and_evse_n_with_the_same_stack_level_are_duplicates_for_all_versions() -> None:
    book = desk()
    assert put(book, 1, profile_id=30) == ACCEPTED
    assert put(book, 0, profile_id=31)["statusInfo"]["reasonCode"] == "DuplicateProfile"  # K01.FR.53, trap 15
    assert put(book, 0, profile_id=31, stack=1) == ACCEPTED
    assert put(book, 2, profile_id=32, stack=1)["statusInfo"]["reasonCode"] == "DuplicateProfile"  # K01.FR.52
    assert put(book, 1, profile_id=33)["statusInfo"]["reasonCode"] == "DuplicateProfile"  # K01.FR.06, also for 1.6, which would replace it
    assert reports(book) == {0: [31], 1: [30]}


def test_not_at_the_same_time_is_no_duplicate() -> None:
    book = desk()
    assert put(book, 4, profile_id=30, validTo="2026-12-01T00:00:00Z") == ACCEPTED
    assert put(book, 4, profile_id=31, validFrom="2026-12-01T00:00:00Z") == ACCEPTED  # K01.FR.37: validTo is exclusive


def test_the_same_id_elsewhere_has_moved_there() -> None:
    book = desk()
    put(book, 2, profile_id=40)
    assert put(book, 4, profile_id=40) == ACCEPTED
    assert reports(book) == {4: [40]}  # K01.FR.05
    assert put(book, 0, profile_id=40) == ACCEPTED
    assert reports(book) == {0: [40]}
    assert put(book, 1, profile_id=40) == ACCEPTED
    assert reports(book) == {1: [40]}
    assert put(book, 0, profile_id=40, purpose="ChargingStationMaxProfile") == ACCEPTED
    assert reports(book) == {0: [40]}
    assert put(book, 3, profile_id=40) == ACCEPTED
    assert reports(book) == {3: [40]}


def test_what_a_charger_away_still_has_is_cleared_when_it_is_back() -> None:
    book = desk()
    put(book, 4, profile_id=40)
    book.hang_up("CP21")
    assert put(book, 2, profile_id=40) == ACCEPTED
    book.boot("CP21")
    book.wait(3)
    assert reports(book) == {2: [40]}


# -- clear ----------------------------------------------------------------------------------------------------


def test_cleared_by_criteria() -> None:
    book = desk()
    put(book, 0, profile_id=50, stack=3)
    put(book, 0, profile_id=51, purpose="ChargingStationMaxProfile")
    put(book, 1, profile_id=52)
    put(book, 4, profile_id=53)
    assert book.csms("ClearChargingProfile", {"chargingProfileCriteria": {"evseId": 4}}) == ACCEPTED
    assert reports(book) == {0: [50, 51], 1: [52]}
    assert book.csms("ClearChargingProfile", {"chargingProfileCriteria": {"evseId": 0, "chargingProfilePurpose": "TxDefaultProfile"}}) == ACCEPTED
    assert reports(book) == {0: [51], 1: [52]}
    assert book.csms("ClearChargingProfile", {"chargingProfileCriteria": {"stackLevel": 7}})["status"] == "Unknown"
    assert book.csms("ClearChargingProfile", {"chargingProfileCriteria": {}}) == ACCEPTED
    assert reports(book) == {}


# -- remote starts, changes in place ------------------------------------------------------------------------------


def test_a_profile_of_a_remote_start_belongs_to_the_transaction_it_starts() -> None:
    book = desk()
    says(book, "RequestStartTransaction", CP20=ACCEPTED)
    start = {"remoteStartId": 7, "idToken": {"idToken": "AA", "type": "Central"}, "evseId": 3}
    assert book.csms("RequestStartTransaction", {**start, "chargingProfile": profile(60, "TxProfile")}) == ACCEPTED
    book.event("CP20", "Started", UUID_A, 0, evse_id=2, trigger="RemoteStart", info={"remoteStartId": 7})
    assert reports(book) == {3: [60]}


def dynamic(profile_id: int, **more: Any) -> Payload:
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]}
    return {**profile(profile_id), "chargingProfileKind": "Dynamic", "chargingSchedule": [schedule], **more}


def test_dynamic_profiles_are_updated_where_they_are() -> None:
    book = desk()
    assert book.csms("SetChargingProfile", {"evseId": 4, "chargingProfile": dynamic(70)}) == ACCEPTED
    assert book.csms("UpdateDynamicSchedule", {"chargingProfileId": 70, "scheduleUpdate": {"limit": 9.0}}) == ACCEPTED
    composite = book.csms("GetCompositeSchedule", {"duration": 60, "evseId": 4})
    assert composite["schedule"]["chargingSchedulePeriod"][0]["limit"] <= 9.0
    assert book.csms("UpdateDynamicSchedule", {"chargingProfileId": 71, "scheduleUpdate": {"limit": 9.0}})["status"] == "Rejected"


def test_a_pull_of_a_charger_goes_up_for_a_profile_of_the_csms_only() -> None:
    book = desk()
    book.csms_says["PullDynamicScheduleUpdate"] = {"status": "Accepted", "scheduleUpdate": {"limit": 8.0}}
    book.csms("SetChargingProfile", {"evseId": 4, "chargingProfile": dynamic(70, dynUpdateInterval=5)})
    book.wait(12)
    assert {"chargingProfileId": 70} in book.heard("PullDynamicScheduleUpdate")
    composite = book.csms("GetCompositeSchedule", {"duration": 60, "evseId": 4})
    assert composite["schedule"]["chargingSchedulePeriod"][0]["limit"] <= 8.0


def test_priority_is_found_by_transaction() -> None:
    book = desk()
    book.event("CP21", "Started", UUID_A, 0)
    assert book.csms("UsePriorityCharging", {"transactionId": UUID_A, "activate": True})["status"] == "NoProfile"
    assert (
        put(
            book,
            4,
            profile_id=80,
            purpose="PriorityCharging",
            chargingProfileKind="Absolute",
            chargingSchedule=[
                {
                    "id": 1,
                    "chargingRateUnit": "A",
                    "startSchedule": "2026-01-01T00:00:00Z",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 32.0}],
                }
            ],
        )
        == ACCEPTED
    )
    assert book.csms("UsePriorityCharging", {"transactionId": UUID_A, "activate": True}) == ACCEPTED
    book.wait(2)
    assert book.heard("NotifyPriorityCharging") == [{"transactionId": UUID_A, "activated": True}]
    assert book.csms("UsePriorityCharging", {"transactionId": "unknown", "activate": True})["status"] == "Rejected"


def test_a_16_csms_may_set_a_default_for_all_and_another_for_one() -> None:
    book = desk("ocpp1.6")
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]}
    base = {"stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative", "chargingSchedule": schedule}
    assert book.csms("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": {**base, "chargingProfileId": 1}}) == ACCEPTED
    own = {**base, "chargingProfileId": 2, "chargingSchedule": {**schedule, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}}
    assert book.csms("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": own}) == ACCEPTED
    composite = book.csms("GetCompositeSchedule", {"connectorId": 1, "duration": 60})
    assert composite["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 10.0
    replaced = {**own, "chargingProfileId": 3, "chargingSchedule": {**schedule, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}}
    assert book.csms("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": replaced}) == ACCEPTED  # 16 5.16.3
    composite = book.csms("GetCompositeSchedule", {"connectorId": 1, "duration": 60})
    assert composite["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8.0
    assert book.csms("ClearChargingProfile", {"id": 3}) == ACCEPTED
    assert book.csms("ClearChargingProfile", {"id": 1}) == ACCEPTED
    assert book.csms("ClearChargingProfile", {"id": 1})["status"] == "Unknown"


def test_what_is_over_stands_in_nobodys_way() -> None:
    book = desk()
    assert put(book, 4, profile_id=30, validTo=timestamp(book.at.wall_s + 60)) == ACCEPTED
    assert put(book, 4, profile_id=31)["statusInfo"]["reasonCode"] == "DuplicateProfile"
    book.wait(61)
    assert put(book, 4, profile_id=31) == ACCEPTED


def test_a_dynamic_default_is_updated_everywhere_also_at_a_charger_that_was_away() -> None:
    book = desk()
    book.hang_up("CP20")
    book.stations["CP20"].version = "ocpp2.1"
    book.boot("CP20")
    assert book.csms("SetChargingProfile", {"evseId": 0, "chargingProfile": dynamic(70)})["status"] == "Accepted"  # 1.6 knows none: named
    book.hang_up("CP21")
    assert book.csms("UpdateDynamicSchedule", {"chargingProfileId": 70, "scheduleUpdate": {"limit": 9.0}})["status"] == "Accepted"
    book.boot("CP21")
    book.wait(3)
    for number in (2, 3, 4):
        composite = book.csms("GetCompositeSchedule", {"duration": 60, "evseId": number})
        assert composite["schedule"]["chargingSchedulePeriod"][0]["limit"] <= 9.0


def test_a_disk_that_refuses_leaves_no_default_behind() -> None:
    book = desk()
    write = book._write
    book._write = lambda order: PersistFailed(book.at, order.token, "disk full")  # type: ignore[assignment, method-assign, return-value]
    assert put(book, 0, profile_id=20)[0] == "InternalError"
    book._write = write  # type: ignore[method-assign]
    book.hang_up()
    book.boot()
    book.wait(65)
    assert reports(book) == {}
