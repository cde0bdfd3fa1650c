"""Charging profiles of EVSE 0 at the depot face: the site's limit and setpoint, as the CSMS sets them and the site hears of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from controller.config import Config
from controller.facts import PersistFailed, SiteWished
from controller.ocpp.times import timestamp
from controller.orders import AnnounceSite
from tests.support.depot_book import DEPOT, DepotBook

Payload = dict[str, Any]


def config(v2g: bool = True, **upstream: Any) -> Config:
    evse = {"id": 1, "max_current_a": 32, "fallback_a": 6}
    giving = {"v2g": {"max_discharge_w": 11_000}} if v2g else {}
    csms = {"id": "csms", "url": "ws://127.0.0.1:1/ocpp", "face": "depot", "identity": DEPOT, "depot": {"status_wait_s": 0, "site_values_s": 0}}
    stations = [{"id": "CP1", "evses": [{**evse, **giving}]}, {"id": "CP2", "evses": [evse]}]
    return Config.model_validate(
        {"site": {"id": "test"}, "grid": {"fuse_a": 250, "worst_other_load_a": 10}, "upstreams": [{**csms, **upstream}], "stations": stations}
    )


def depot(version: str = "ocpp2.1", v2g: bool = True, **upstream: Any) -> DepotBook:
    book = DepotBook(config(v2g, **upstream), version)
    book.boot()
    book.open()
    book.wait(3)
    return book


def profile(profile_id: int, periods: Sequence[Payload], stack: int = 0, unit: str = "A", **more: Any) -> Payload:
    schedule = {"id": 1, "chargingRateUnit": unit, "chargingSchedulePeriod": list(periods), "startSchedule": "2026-01-01T00:00:00Z"}
    schedule |= more.pop("schedule", {})
    head = {"id": profile_id, "stackLevel": stack, "chargingProfilePurpose": "ChargingStationMaxProfile", "chargingProfileKind": "Absolute"}
    return {"evseId": 0, "chargingProfile": {**head, "chargingSchedule": [schedule], **more}}


def setpoint(profile_id: int, watts: float, **more: Any) -> Payload:
    period = {"startPeriod": 0, "setpoint": watts, "operationMode": "CentralSetpoint", **more}
    return profile(profile_id, [period], unit="W", chargingProfilePurpose="TxDefaultProfile")


def wished(book: DepotBook) -> SiteWished | None:
    return next((fact for fact in reversed(book.outcomes) if isinstance(fact, SiteWished)), None)


def steps(book: DepotBook) -> list[tuple[float, float | None]]:
    """(seconds from now, limit per phase)."""
    fact = wished(book)
    assert fact is not None
    return [(round(step.start_wall_s - book.at.wall_s, 3), step.limit_a) for step in fact.steps]


def test_a_max_profile_is_the_limit_of_the_site() -> None:
    book = depot()
    assert book.csms("SetChargingProfile", profile(17, [{"startPeriod": 0, "limit": 40}])) == {"status": "Accepted"}
    assert steps(book) == [(0.0, 40.0)]
    assert wished(book).face == DEPOT  # type: ignore[union-attr]
    assert wished(book).reason == "CSMS limit for the site (profile 17)"  # type: ignore[union-attr]


def test_watts_are_of_all_three_phases_and_periods_are_steps() -> None:
    """27 600 W over 3 phases of 230 V are 40 A; the second period begins in an hour."""
    book = depot()
    periods = [{"startPeriod": 0, "limit": 27_600}, {"startPeriod": 3600, "limit": 6_900}]
    book.csms("SetChargingProfile", profile(17, periods, unit="W", schedule={"startSchedule": timestamp(book.at.wall_s)}))
    assert steps(book) == [(0.0, 40.0), (3600.0, 10.0)]


def test_the_higher_stack_level_counts_and_a_limit_goes_with_its_profile() -> None:
    book = depot()
    book.csms("SetChargingProfile", profile(1, [{"startPeriod": 0, "limit": 50}]))
    book.csms("SetChargingProfile", profile(2, [{"startPeriod": 0, "limit": 90}], stack=3))
    assert steps(book) == [(0.0, 90.0)]
    assert book.csms("ClearChargingProfile", {"chargingProfileId": 2}) == {"status": "Accepted"}
    assert steps(book) == [(0.0, 50.0)]
    criteria = {"chargingProfilePurpose": "ChargingStationMaxProfile"}
    assert book.csms("ClearChargingProfile", {"chargingProfileCriteria": criteria}) == {"status": "Accepted"}
    assert steps(book) == []
    assert book.csms("ClearChargingProfile", {"chargingProfileId": 1})["status"] == "Unknown"


def test_it_is_on_disk_before_it_is_accepted() -> None:
    book = depot()
    book.csms("SetChargingProfile", profile(17, [{"startPeriod": 0, "limit": 40}]))
    again = book.restarted()
    again.wait(1)
    assert steps(again) == [(0.0, 40.0)]


def test_what_the_disk_refuses_does_not_hold() -> None:
    book = depot()
    book.csms("SetChargingProfile", profile(1, [{"startPeriod": 0, "limit": 50}]))
    write = book._write
    book._write = lambda order: PersistFailed(book.at, order.token, "disk full")  # type: ignore[assignment, method-assign, return-value]
    assert book.csms("SetChargingProfile", profile(2, [{"startPeriod": 0, "limit": 90}], stack=3))[0] == "InternalError"
    book._write = write  # type: ignore[method-assign]
    book.wait(2)
    assert steps(book)[0][1] == 50.0
    assert book.csms("ClearChargingProfile", {"chargingProfileId": 2})["status"] == "Unknown"
    again = book.restarted()
    again.wait(1)
    assert steps(again)[0][1] == 50.0


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (profile(1, [{"startPeriod": 0, "limit": 10}], chargingProfileKind="Relative", schedule={"startSchedule": None}), "InvalidProfile"),
        (profile(1, [{"startPeriod": 0, "limit": 10}], chargingProfilePurpose="ChargingStationExternalConstraints"), "InvalidProfile"),
        (profile(1, [{"startPeriod": 5, "limit": 10}]), "InvalidSchedule"),
        (profile(2, [{"startPeriod": 0, "limit": 10}]), "DuplicateProfile"),  # 9 has purpose and stack level
        (profile(1, [{"startPeriod": 0, "setpoint": 10, "operationMode": "CentralSetpoint"}]), "InvalidOperationMode"),  # K01.FR.111
        (setpoint(1, 5_000, limit=3_000), "InvalidSchedule"),  # V2X.05
    ],
)
def test_it_is_judged_like_at_any_station(request_: Payload, reason: str) -> None:
    book = depot()
    book.csms("SetChargingProfile", profile(9, [{"startPeriod": 0, "limit": 30}]))
    schedule = request_["chargingProfile"]["chargingSchedule"][0]
    if schedule.get("startSchedule") is None:
        schedule.pop("startSchedule", None)
    answer = book.csms("SetChargingProfile", request_)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)
    assert steps(book) == [(0.0, 30.0)]


def test_a_1_6_csms_replaces_silently() -> None:
    """16 5.16.3: same purpose and stack level, another id."""
    book = depot("ocpp1.6")

    def request(number: int, amps: float) -> Payload:
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amps}], "startSchedule": "2026-01-01T00:00:00Z"}
        head = {"chargingProfileId": number, "stackLevel": 0, "chargingProfilePurpose": "ChargePointMaxProfile", "chargingProfileKind": "Absolute"}
        return {"connectorId": 0, "csChargingProfiles": {**head, "chargingSchedule": schedule}}

    assert book.csms("SetChargingProfile", request(1, 40.0)) == {"status": "Accepted"}
    assert book.csms("SetChargingProfile", request(2, 25.0)) == {"status": "Accepted"}
    assert steps(book) == [(0.0, 25.0)]


def test_a_setpoint_for_all_cars_together() -> None:
    """-13.8 kW over 3 phases of 230 V are -20 A."""
    book = depot()
    assert book.csms("SetChargingProfile", setpoint(5, -13_800)) == {"status": "Accepted"}
    fact = wished(book)
    assert fact is not None
    assert [(step.setpoint_a, step.mode) for step in fact.steps] == [(-20.0, "CentralSetpoint")]
    assert fact.reason == "CSMS setpoint for the site (profile 5)"
    assert [action for name in book.stations for action, _ in book.down[name] if action == "SetChargingProfile"] == []


def test_no_setpoint_where_no_car_may_give_back() -> None:
    book = depot(v2g=False)
    answer = book.csms("SetChargingProfile", setpoint(5, -13_800))
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidOperationMode")


def test_a_dynamic_profile_is_updated_and_pulled() -> None:
    book = depot()
    dynamic = profile(8, [{"startPeriod": 0, "limit": 32}], chargingProfileKind="Dynamic", dynUpdateInterval=30)
    del dynamic["chargingProfile"]["chargingSchedule"][0]["startSchedule"]
    assert book.csms("SetChargingProfile", dynamic) == {"status": "Accepted"}
    assert book.csms("UpdateDynamicSchedule", {"chargingProfileId": 8, "scheduleUpdate": {"limit": 20}}) == {"status": "Accepted"}
    assert steps(book)[0][1] == 20.0
    book.csms_says["PullDynamicScheduleUpdate"] = {"status": "Accepted", "scheduleUpdate": {"limit": 12}}
    book.wait(32)
    assert len(book.heard("PullDynamicScheduleUpdate")) == 1
    assert steps(book)[0][1] == 12.0


def test_a_profile_may_end_while_the_csms_is_away() -> None:
    """K01.FR.101: 60 s after the CSMS is lost the limit is no more; it is back with the CSMS."""
    book = depot()
    book.csms("SetChargingProfile", profile(1, [{"startPeriod": 0, "limit": 40}], maxOfflineDuration=60))
    book.lose()
    lost_wall_s = book.at.wall_s
    book.wait(3)
    fact = wished(book)
    assert fact is not None
    assert [step.limit_a for step in fact.steps] == [40.0, None]
    assert 59 <= fact.steps[1].start_wall_s - lost_wall_s <= 62
    book.open()
    book.wait(2)
    assert [limit for _, limit in steps(book)] == [40.0]


def test_reports_and_composite() -> None:
    book = depot()
    book.csms("SetChargingProfile", profile(17, [{"startPeriod": 0, "limit": 9}]))
    assert book.csms("GetChargingProfiles", {"requestId": 7, "evseId": 0, "chargingProfile": {}}) == {"status": "Accepted"}
    book.wait(2)
    reports = book.heard("ReportChargingProfiles")
    assert [(one["requestId"], one["evseId"], [entry["id"] for entry in one["chargingProfile"]]) for one in reports] == [(7, 0, [17])]
    answer = book.csms("GetCompositeSchedule", {"evseId": 0, "duration": 600})
    assert answer["status"] == "Accepted"
    # Both chargers have told nothing but their fallback of 6 A: 12 A in sum, bounded by 9 A.
    assert [period["limit"] for period in answer["schedule"]["chargingSchedulePeriod"]] == [9.0]


# -- NotifyChargingLimit for EVSE 0 (K11-K14) ----------------------------------------------------------------------------------


def announce(book: DepotBook, limit_a: float, notified: str, source: str = "mqtt:so") -> None:
    book._settle(book.links.carry(AnnounceSite(None, (None, None, None), None, None, None, limit_a, source, 0.0, (), notified), book.at))
    book.wait(1)


def test_the_csms_hears_of_the_grid_operator_once_and_that_it_is_over() -> None:
    book = depot()
    announce(book, 100.0, "SO")
    announce(book, 99.0, "SO")  # not significant (trap 20)
    book.wait(30)
    assert [one["chargingLimit"] for one in book.heard("NotifyChargingLimit")] == [{"chargingLimitSource": "SO", "isGridCritical": True}]
    assert "evseId" not in book.heard("NotifyChargingLimit")[0]
    announce(book, 250.0, "", "fuse")
    assert book.heard("ClearedChargingLimit") == [{"chargingLimitSource": "SO"}]  # trap 21


def test_what_was_told_before_a_restart_is_cleared_after_it() -> None:
    book = depot()
    announce(book, 100.0, "EMS")
    again = book.restarted()
    again.boot()
    again.open()
    announce(again, 250.0, "", "fuse")
    again.wait(15)
    assert again.heard("ClearedChargingLimit") == [{"chargingLimitSource": "EMS"}]


def test_its_own_limit_and_the_fuse_are_no_news() -> None:
    book = depot()
    announce(book, 40.0, "", "csms")
    book.wait(20)
    assert book.heard("NotifyChargingLimit") == []


def test_a_discharge_limit_above_zero_is_no_message() -> None:
    book = depot()
    answer = book.csms("SetChargingProfile", setpoint(1, -5_000, dischargeLimit=3_000))  # trap 25: the schema ends at 0
    assert answer[0] == "PropertyConstraintViolation"
    assert wished(book) is None
