"""2.0.1 charging profiles: what is read, what is written. Rejections by number: tests/fuzz/test_bad_profiles.py."""

import math
from typing import Any

import pytest

from controller.facts import LimitStep, Stamp
from controller.ocpp.dialect import CompositeRequest, ProfileCriteria
from controller.ocpp.schedule import MAX_WINDOW_S, Kind, Period, ProfileError, Purpose, Recurrency
from controller.ocpp.v2 import profiles
from tests.support.schemas import check_request, check_response

NOW = 1_790_000_000.0
NOW_TEXT = "2026-09-21T14:13:20Z"
AT = Stamp(10.0, NOW + 0.4)


def request(evse_id: int = 1, **changes: Any) -> dict[str, Any]:
    schedule = {"id": 5, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}, {"startPeriod": 60, "limit": 8.5}]}
    base = {
        "id": 17,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [schedule],
    }
    return {"evseId": evse_id, "chargingProfile": base | changes}


def schedule(**changes: Any) -> list[dict[str, Any]]:
    return [{"id": 5, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}]} | changes]


def test_a_plain_profile_is_read_whole() -> None:
    payload = request()
    check_request("SetChargingProfile", payload)
    evse_id, profile = profiles.read_set_profile(payload)
    assert (evse_id, profile.profile_id, profile.stack_level, profile.purpose, profile.kind) == (1, 17, 2, Purpose.TX_DEFAULT, Kind.RELATIVE)
    assert profile.schedules[0].periods == (Period(0, 16), Period(60, 8.5))  # three phases when untold: K01.FR.49
    assert profile.raw == payload["chargingProfile"]


def test_a_recurring_watt_profile_with_validity() -> None:
    entry = schedule(
        startSchedule=NOW_TEXT,
        duration=3600,
        chargingRateUnit="W",
        minChargingRate=1380,
        chargingSchedulePeriod=[{"startPeriod": 0, "limit": 3680, "numberPhases": 1, "phaseToUse": 2}],
    )
    payload = request(
        chargingProfileKind="Recurring", recurrencyKind="Weekly", validFrom=NOW_TEXT, validTo="2026-09-22T16:13:20+02:00", chargingSchedule=entry
    )
    check_request("SetChargingProfile", payload)
    profile = profiles.read_set_profile(payload)[1]
    assert profile.recurrency is Recurrency.WEEKLY
    assert (profile.valid_from_wall_s, profile.valid_to_wall_s) == (NOW, NOW + 86_400)
    assert profile.schedules[0].periods == (Period(0, 3680, 1, 2),)
    assert (profile.schedules[0].start_wall_s, profile.schedules[0].duration_s, profile.schedules[0].min_rate) == (NOW, 3600, 1380)


def test_what_the_wire_really_carries_is_tolerated() -> None:  # 16.8
    entry = schedule(
        startSchedule="2026-09-21T14:13:20.123456",
        duration=90.7,
        chargingSchedulePeriod=[{"startPeriod": 0.0, "limit": 31.884057998657227, "numberPhases": 3.0}, {"startPeriod": 59.9, "limit": 0}],
    )
    profile = profiles.read_set_profile(request(chargingProfileKind="Absolute", chargingSchedule=entry, vendorThing={"x": 1}))[1]
    assert profile.schedules[0].start_wall_s == pytest.approx(NOW + 0.123456)
    assert profile.schedules[0].duration_s == 90
    assert [period.start_s for period in profile.schedules[0].periods] == [0, 59]


def test_a_start_request_carries_a_tx_profile_without_transaction_and_maybe_without_evse() -> None:  # K05
    payload = request(0, chargingProfilePurpose="TxProfile")
    evse_id, profile = profiles.read_set_profile(payload, in_start=True)
    assert (evse_id, profile.purpose, profile.transaction_id) == (0, Purpose.TX, None)
    with pytest.raises(ProfileError):
        profiles.read_set_profile(request(1, chargingProfilePurpose="TxProfile"))
    with pytest.raises(ProfileError):
        profiles.read_set_profile(request(1), in_start=True)


def test_up_to_three_schedules_only_in_a_tx_profile() -> None:  # K01.FR.34
    tx = {"chargingProfilePurpose": "TxProfile", "transactionId": "t"}
    assert len(profiles.read_set_profile(request(1, chargingSchedule=schedule() * 3, **tx))[1].schedules) == 3
    for changes in (tx | {"chargingSchedule": schedule() * 4}, {"chargingSchedule": schedule() * 2}):
        with pytest.raises(ProfileError, match="InvalidSchedule"):
            profiles.read_set_profile(request(1, **changes))


# -- criteria ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "criteria"),
    [
        ({"chargingProfileId": 7}, ProfileCriteria((7,))),
        ({"chargingProfileId": 0, "chargingProfileCriteria": {"evseId": 3}}, ProfileCriteria((0,))),
        (
            {"chargingProfileCriteria": {"evseId": 0, "chargingProfilePurpose": "ChargingStationMaxProfile", "stackLevel": 4}},
            ProfileCriteria((), 0, Purpose.STATION_MAX, 4),
        ),
        ({"chargingProfileCriteria": {}}, ProfileCriteria()),
    ],
)
def test_clear_by_id_or_by_all_criteria_together(payload: dict[str, Any], criteria: ProfileCriteria) -> None:  # K10
    check_request("ClearChargingProfile", payload)
    assert profiles.read_clear(payload) == criteria


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"chargingProfileId": "7"},
        {"chargingProfileCriteria": []},
        {"chargingProfileCriteria": {"evseId": "1"}},
        {"chargingProfileCriteria": {"chargingProfilePurpose": "Party"}},
        {"chargingProfileCriteria": {"stackLevel": -1}},
    ],
)
def test_a_clear_that_names_nothing_usable_lifts_no_limit(payload: dict[str, Any]) -> None:
    assert profiles.read_clear(payload).evse_id == -1


@pytest.mark.parametrize(
    ("payload", "criteria"),
    [
        ({"requestId": 1, "chargingProfile": {}}, ProfileCriteria()),
        ({"requestId": 1, "evseId": 0, "chargingProfile": {"chargingProfileId": [1, 2]}}, ProfileCriteria((1, 2), 0)),
        ({"requestId": 1, "chargingProfile": {"chargingLimitSource": ["EMS", "CSO"], "stackLevel": 1}}, ProfileCriteria((), None, None, 1)),
    ],
)
def test_get_reads_its_criteria(payload: dict[str, Any], criteria: ProfileCriteria) -> None:  # K09
    check_request("GetChargingProfiles", payload)
    assert profiles.read_get(payload) == criteria


def test_get_for_other_sources_finds_nothing_of_the_csms() -> None:
    for changes in ({"chargingLimitSource": ["SO"]}, {"chargingLimitSource": "CSO"}, {"chargingProfileId": 0}):
        assert profiles.read_get({"requestId": 1, "chargingProfile": changes}).evse_id == -1
    assert profiles.read_get({"requestId": 1}).evse_id == -1


# -- reports ------------------------------------------------------------------------------------------


def test_a_report_says_what_was_set_and_fits_the_schema() -> None:
    entry = schedule(startSchedule=NOW_TEXT, duration=90.5, salesTariff={"id": 1, "salesTariffEntry": [{"relativeTimeInterval": {"start": 0}}]})
    payload = request(
        2,
        chargingProfilePurpose="TxProfile",
        transactionId="t-1",
        chargingProfileKind="Absolute",
        chargingSchedule=entry,
        customData={"vendorId": "x"},
        unknownField=1,
    )
    reports = profiles.report_profiles({"requestId": 9}, [profiles.read_set_profile(payload)])
    assert len(reports) == 1
    check_request("ReportChargingProfiles", reports[0])
    assert (reports[0]["requestId"], reports[0]["evseId"], reports[0]["chargingLimitSource"], reports[0]["tbc"]) == (9, 2, "CSO", False)
    written = reports[0]["chargingProfile"][0]
    assert profiles.read_set_profile({"evseId": 2, "chargingProfile": written})[1] == profiles.read_set_profile(payload)[1]
    assert written["customData"] == {"vendorId": "x"}
    assert written["chargingSchedule"][0]["salesTariff"]["id"] == 1


def test_reports_are_split_by_evse_and_size_and_only_the_last_ends_them() -> None:  # K09
    periods = [{"startPeriod": i, "limit": 6} for i in range(300)]
    found = [
        profiles.read_set_profile(request(evse_id, id=i, chargingSchedule=schedule(chargingSchedulePeriod=periods)))
        for i, evse_id in enumerate((2, 1, 1))
    ]
    reports = profiles.report_profiles({"requestId": 9}, found)
    assert [(report["evseId"], len(report["chargingProfile"]), report["tbc"]) for report in reports] == [(1, 1, True), (1, 1, True), (2, 1, False)]
    for report in reports:
        check_request("ReportChargingProfiles", report)
    assert profiles.report_profiles({"requestId": 9}, []) == []


# -- composite -----------------------------------------------------------------------------------------


def composite(*steps: tuple[float, float | None], duration_s: int = 3600, unit: str | None = "A") -> dict[str, Any]:
    limits = [LimitStep(NOW + start_s, limit_a) for start_s, limit_a in steps]
    payload = profiles.write_composite(CompositeRequest(1, duration_s, unit), AT, limits, 230.0)
    check_response("GetCompositeSchedule", payload)
    return payload


def periods_of(payload: dict[str, Any]) -> list[tuple[int, float]]:
    return [(period["startPeriod"], period["limit"]) for period in payload["schedule"]["chargingSchedulePeriod"]]


def test_a_composite_starts_now_and_is_cut_down_to_a_tenth() -> None:
    payload = composite((-50, 20.0), (0.2, 15.99), (600, None), (4000, 6))
    assert periods_of(payload) == [(0, 15.9), (600, 999_999.0)]
    assert payload["schedule"]["scheduleStart"].startswith("2026-09-21T14:13:20")
    assert (payload["schedule"]["evseId"], payload["schedule"]["duration"], payload["schedule"]["chargingRateUnit"]) == (1, 3600, "A")


def test_watts_are_the_sum_of_three_phases() -> None:
    assert periods_of(composite((0, 16.0), unit="W")) == [(0, 11_040.0)]
    assert composite((0, 16.0), unit=None)["schedule"]["chargingRateUnit"] == "A"


def test_without_any_step_there_is_no_limit() -> None:
    assert periods_of(composite()) == [(0, 999_999.0)]
    assert periods_of(composite((100, 6.0))) == [(0, 999_999.0), (100, 6.0)]


def test_steps_within_one_second_count_with_the_lowest() -> None:
    assert periods_of(composite((0, 16.0), (10.1, 6.0), (10.6, 20.0), (11, 20.0))) == [(0, 16.0), (10, 6.0), (11, 20.0)]


def test_a_long_composite_says_how_far_it_goes() -> None:
    payload = composite(*((i, 6.0 + i % 2) for i in range(2000)), duration_s=10**9)
    assert len(periods_of(payload)) == 1024
    assert payload["schedule"]["duration"] == 1024
    assert composite((0, 6.0), duration_s=10**9)["schedule"]["duration"] == MAX_WINDOW_S


@pytest.mark.parametrize(("duration_s", "unit", "reason"), [(0, "A", "InvalidValue"), (-5, None, "InvalidValue"), (60, "V", "UnsupportedRateUnit")])
def test_an_impossible_request_is_rejected(duration_s: int, unit: str | None, reason: str) -> None:
    payload = composite((0, 6.0), duration_s=duration_s, unit=unit)
    assert (payload["status"], payload["statusInfo"]["reasonCode"]) == ("Rejected", reason)


def test_a_composite_never_promises_more_than_the_steps() -> None:
    for limit_a in (0.0, 0.04, 5.999999, 6.0, 31.884057998657227, 1e12):
        assert periods_of(composite((0, limit_a)))[0][1] <= limit_a + 1e-6
    assert math.isfinite(periods_of(composite((0, math.inf)))[0][1])


def test_refusals_fit_the_schema() -> None:
    check_response("SetChargingProfile", profiles.rejected("InvalidSchedule" * 9, "x" * 9000))
