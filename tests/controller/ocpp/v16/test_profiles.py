"""The CSMS's charging profiles: read by the rules of 1.6, refused by number of the bad input catalogue."""

import copy
from typing import Any

import pytest

from controller.facts import LimitStep, Stamp
from controller.link.profile_view import ProfileView
from controller.ocpp import schedule as schedule_module
from controller.ocpp.dialect import CompositeRequest, ProfileCriteria
from controller.ocpp.profile_fields import MAX_DURATION_S
from controller.ocpp.registry import dialects
from controller.ocpp.schedule import Kind, Profile, ProfileError, Purpose, Recurrency
from tests.support.schemas import check_request, check_response

V16 = "ocpp1.6"
DIALECT = dialects()[V16]
AT = Stamp(10.0, 1_790_000_000.4)
START = "2026-09-21T14:00:00Z"


def period(start: Any = 0, limit: Any = 16.0, **more: Any) -> dict[str, Any]:
    return {"startPeriod": start, "limit": limit} | more


def call(connector: Any = 1, schedule: dict[str, Any] | None = None, **profile: Any) -> dict[str, Any]:
    """A valid SetChargingProfile, then the changes; a value of ... leaves a field out."""
    plan: dict[str, Any] = {"chargingRateUnit": "A", "startSchedule": START, "chargingSchedulePeriod": [period()]} | (schedule or {})
    fields = {"chargingProfileId": 5, "stackLevel": 2, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"} | profile
    fields["chargingSchedule"] = {key: value for key, value in plan.items() if value is not ...}
    return {"connectorId": connector, "csChargingProfiles": {key: value for key, value in fields.items() if value is not ...}}


def read(payload: dict[str, Any]) -> tuple[int, Profile]:
    return DIALECT.read_set_profile(payload)


def test_a_profile_as_the_schema_wants_it() -> None:
    payload = call(
        1,
        {"duration": 3600, "minChargingRate": 6.0, "chargingSchedulePeriod": [period(), period(600, 10.5, numberPhases=1)]},
        validFrom="2026-09-21T00:00:00Z",
        validTo="2026-09-22T00:00:00Z",
    )
    check_request("SetChargingProfile", payload, V16)
    connector_id, profile = read(payload)
    assert (connector_id, profile.profile_id, profile.stack_level, profile.purpose, profile.kind) == (1, 5, 2, Purpose.TX_DEFAULT, Kind.ABSOLUTE)
    (schedule,) = profile.schedules
    assert [(one.start_s, one.limit, one.phase_count) for one in schedule.periods] == [(0.0, 16.0, 3), (600.0, 10.5, 1)]
    assert (schedule.duration_s, schedule.min_rate, schedule.unit) == (3600.0, 6.0, "A")
    assert profile.valid_to_wall_s is not None
    assert profile.raw is payload["csChargingProfiles"]


@pytest.mark.parametrize(
    ("number", "payload"),
    [
        ("B20", call(schedule={"chargingSchedulePeriod": [period(60)]})),
        ("B20", call(schedule={"chargingSchedulePeriod": [period(0), period(60), period(30)]})),
        ("B20", call(schedule={"chargingSchedulePeriod": [period(0), period(60), period(60)]})),
        ("B20", call(schedule={"chargingSchedulePeriod": [period(0), period(-60)]})),
        ("B20", call(schedule={"chargingSchedulePeriod": []})),
        ("B20", call(schedule={"chargingSchedulePeriod": [period(second) for second in range(1025)]})),
        ("B20", call(schedule={"chargingSchedulePeriod": "none"})),
        ("B21", call(schedule={"chargingSchedulePeriod": [period(0, -1.0)]})),
        ("B21", call(schedule={"chargingSchedulePeriod": [period(0, 1e12)]})),
        ("B21", call(schedule={"chargingSchedulePeriod": [period(0, "16")]})),
        ("B21", call(schedule={"chargingSchedulePeriod": [period(0, float("nan"))]})),
        ("B21", call(schedule={"chargingRateUnit": "kW"})),
        ("B21", call(schedule={"minChargingRate": -6.0})),
        ("B22", call(schedule={"chargingSchedulePeriod": [period(numberPhases=0)]})),
        ("B22", call(schedule={"chargingSchedulePeriod": [period(numberPhases=4)]})),
        ("B22", call(schedule={"chargingSchedulePeriod": [period(phaseToUse=9)]})),
        ("B23", call(schedule={"duration": 0})),
        ("B23", call(schedule={"duration": -5})),
        ("B24", call(schedule={"startSchedule": ...}, chargingProfileKind="Recurring", recurrencyKind="Daily")),
        ("B24", call(schedule={"startSchedule": "tomorrow"})),
        ("B24", call(schedule={"startSchedule": "2026-02-30T00:00:00Z"})),
        ("B25", call(stackLevel=-1)),
        ("B25", call(stackLevel=10**9)),
        ("B25", call(stackLevel=...)),
        ("B25", call(chargingProfileId=2**40)),
        ("B25", call(chargingProfileId=...)),
        ("B26", call(0, chargingProfilePurpose="TxProfile", transactionId=17)),
        ("B27", call(1, chargingProfilePurpose="ChargePointMaxProfile")),
        ("B27", call(-1)),
        ("B27", call("1")),
        ("B27", call(True)),
        ("B28", call(chargingProfilePurpose="TxProfile", transactionId="seventeen")),
        ("B28", call(chargingProfilePurpose="TxProfile", transactionId=True)),
        ("-", call(chargingProfilePurpose="ChargingStationMaxProfile")),
        ("-", call(chargingProfileKind="Dynamic")),
        ("-", call(chargingProfileKind="Recurring", recurrencyKind="Monthly")),
        ("-", call(validFrom="2026-09-22T00:00:00Z", validTo="2026-09-21T00:00:00Z")),
        ("-", {"connectorId": 1}),
        ("-", {"connectorId": 1, "csChargingProfiles": [1]}),
        ("-", {}),
    ],
)
def test_bad_profiles_are_rejected(number: str, payload: dict[str, Any]) -> None:
    with pytest.raises(ProfileError) as caught:
        read(payload)
    answer = DIALECT.rejected_profile(caught.value)
    check_response("SetChargingProfile", answer, V16)
    assert answer["status"] == "Rejected"


@pytest.mark.parametrize(
    "payload",
    [
        call(schedule={"duration": 100 * 366 * 86_400}),  # B23: long is cut
        call(schedule={"startSchedule": "2020-01-01T00:00:00Z"}),  # B24: the past is running
        call(schedule={"startSchedule": "2090-01-01T00:00:00Z"}),
        call(schedule={"chargingSchedulePeriod": [period(0, 10.05)]}),  # B21: cut to 0.1 when we write it
        call(schedule={"chargingSchedulePeriod": [period(0.0, 16), period(60.7, 0)]}),
        call(chargingProfileId=900_000_001),  # B25: ids of the CSMS never meet ours at the station
    ],
)
def test_what_is_odd_but_clear_is_accepted(payload: dict[str, Any]) -> None:
    (schedule,) = read(payload)[1].schedules
    assert schedule.duration_s is None or schedule.duration_s <= MAX_DURATION_S


def test_absolute_without_start_begins_with_the_session() -> None:  # B24
    payload = call(schedule={"startSchedule": ...})
    check_request("SetChargingProfile", payload, V16)
    profile = read(payload)[1]
    assert (profile.kind, profile.schedules[0].start_wall_s) == (Kind.ABSOLUTE, None)


def test_a_start_in_a_relative_schedule_means_nothing() -> None:
    profile = read(call(chargingProfileKind="Relative"))[1]
    assert (profile.kind, profile.schedules[0].start_wall_s) == (Kind.RELATIVE, None)


def test_a_recurring_profile() -> None:
    profile = read(call(chargingProfileKind="Recurring", recurrencyKind="Weekly", schedule={"duration": 3600}))[1]
    assert (profile.kind, profile.recurrency) == (Kind.RECURRING, Recurrency.WEEKLY)


@pytest.mark.parametrize("kind", ["Relative", "Absolute"])
def test_a_station_maximum_needs_no_start_if_it_never_changes(kind: str) -> None:
    def maximum(**schedule: Any) -> dict[str, Any]:
        return call(0, {"startSchedule": ..., **schedule}, chargingProfilePurpose="ChargePointMaxProfile", chargingProfileKind=kind)

    profile = read(maximum())[1]
    assert (profile.purpose, profile.kind, profile.schedules[0].start_wall_s) == (Purpose.STATION_MAX, Kind.ABSOLUTE, 0.0)
    assert schedule_module.composite([profile], AT.wall_s, AT.wall_s + 86_400, None, 230.0) == (LimitStep(AT.wall_s, 16.0),)
    for schedule in ({"duration": 3600}, {"chargingSchedulePeriod": [period(), period(60)]}):
        with pytest.raises(ProfileError):
            read(maximum(**schedule))


# -- with the station's state (link.profile_view) ---------------------------------------------------------------------------


def test_a_tx_profile_needs_a_transaction_that_runs_there() -> None:  # B26
    view = ProfileView("CP1", [1, 2])

    def take(payload: dict[str, Any], running: dict[int, str]) -> None:
        view.set(*read(payload), running, AT.wall_s, DIALECT.profiles_replace)

    named, unnamed = call(chargingProfilePurpose="TxProfile", transactionId=17), call(chargingProfilePurpose="TxProfile")
    check_request("SetChargingProfile", named, V16)
    for payload, running in ((unnamed, {}), (named, {}), (named, {1: "18"}), (named, {2: "17"}), (unnamed, {2: "17"})):
        with pytest.raises(ProfileError):
            take(payload, running)
    take(named, {1: "17"})
    take(unnamed, {1: "17"})
    assert [profile.transaction_id for _, profile in view.select(ProfileCriteria())] == ["17"]


@pytest.mark.parametrize("connector", [3, 99])
def test_a_connector_that_does_not_exist(connector: int) -> None:  # B27
    with pytest.raises(ProfileError):
        ProfileView("CP1", [1, 2]).set(*read(call(connector)), {}, AT.wall_s, DIALECT.profiles_replace)


def test_the_same_purpose_and_stack_level_replaces_without_a_word() -> None:  # 16 5.16.3
    view = ProfileView("CP1", [1, 2])
    for profile_id, limit in ((5, 16.0), (6, 8.0)):
        payload = call(schedule={"chargingSchedulePeriod": [period(0, limit)]}, chargingProfileId=profile_id)
        view.set(*read(payload), {}, AT.wall_s, DIALECT.profiles_replace)
    assert [profile.profile_id for _, profile in view.select(ProfileCriteria())] == [6]


# -- remote starts ----------------------------------------------------------------------------------------------------------


def start(connector: Any = 2, **profile: Any) -> dict[str, Any]:
    raw = call(chargingProfilePurpose="TxProfile", **profile)["csChargingProfiles"]
    return {"idTag": "AABB", "chargingProfile": raw} | ({} if connector is None else {"connectorId": connector})


@pytest.mark.parametrize(("connector", "place"), [(2, 2), (None, 0)])
def test_a_profile_in_a_remote_start(connector: int | None, place: int) -> None:  # 16E 3.41
    request = start(connector)
    check_request("RemoteStartTransaction", request, V16)
    payload = DIALECT.profile_in_start(request)
    assert payload is not None
    connector_id, profile = DIALECT.read_set_profile(payload, in_start=True)
    assert (connector_id, profile.transaction_id, profile.purpose) == (place, None, Purpose.TX)
    rest = DIALECT.without_profile(request)
    check_request("RemoteStartTransaction", rest, V16)
    assert rest == {key: value for key, value in request.items() if key != "chargingProfile"}


def test_an_id_in_a_remote_start_means_nothing_yet() -> None:
    payload = DIALECT.profile_in_start(start(transactionId=17))
    assert payload is not None
    assert DIALECT.read_set_profile(payload, in_start=True)[1].transaction_id is None


def test_a_remote_start_carries_only_a_tx_profile() -> None:
    payload = DIALECT.profile_in_start(start() | {"chargingProfile": call()["csChargingProfiles"]})
    assert payload is not None
    with pytest.raises(ProfileError):
        DIALECT.read_set_profile(payload, in_start=True)
    assert DIALECT.profile_in_start({"idTag": "AABB"}) is None
    assert DIALECT.profile_in_start({"idTag": "AABB", "chargingProfile": 5}) is None


# -- clear --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "criteria"),
    [
        ({"id": 5}, ProfileCriteria((5,))),
        ({"id": 5, "connectorId": 2, "stackLevel": 1}, ProfileCriteria((5,))),
        ({"connectorId": 0}, ProfileCriteria(evse_id=0)),
        ({"connectorId": 2, "chargingProfilePurpose": "TxProfile", "stackLevel": 3}, ProfileCriteria((), 2, Purpose.TX, 3)),
        ({"chargingProfilePurpose": "ChargePointMaxProfile"}, ProfileCriteria(purpose=Purpose.STATION_MAX)),
        ({}, ProfileCriteria()),
    ],
)
def test_criteria_of_clear(payload: dict[str, Any], criteria: ProfileCriteria) -> None:
    check_request("ClearChargingProfile", payload, V16)
    assert DIALECT.read_criteria("ClearChargingProfile", payload) == criteria


@pytest.mark.parametrize("payload", [{"id": "5"}, {"connectorId": -1}, {"chargingProfilePurpose": "Odd"}, {"stackLevel": "high"}])
def test_criteria_that_cannot_be_read_select_nothing(payload: dict[str, Any]) -> None:
    view = ProfileView("CP1", [1, 2])
    view.set(*read(call()), {}, AT.wall_s)
    assert view.clear(DIALECT.read_criteria("ClearChargingProfile", payload)) == 0


# -- composite ------------------------------------------------------------------------------------------------------------------


def composite(payload: dict[str, Any], *steps: LimitStep, phases: int = 3) -> dict[str, Any]:
    check_request("GetCompositeSchedule", payload, V16)
    answer = DIALECT.write_composite(DIALECT.read_composite(payload), AT, steps, 230.0, phases)
    check_response("GetCompositeSchedule", answer, V16)
    return answer


def test_a_composite_schedule() -> None:
    answer = composite(
        {"connectorId": 1, "duration": 600}, LimitStep(AT.wall_s, 16.37), LimitStep(AT.wall_s + 60, None), LimitStep(AT.wall_s + 900, 6.0)
    )
    assert answer == {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": "2026-09-21T14:13:20.000Z",
        "chargingSchedule": {
            "duration": 600,
            "startSchedule": "2026-09-21T14:13:20.000Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [period(0, 16.3, numberPhases=3), period(60, 999999.0, numberPhases=3)],
        },
    }


def test_a_composite_in_watts_counts_the_phases() -> None:  # trap 12
    asked = {"connectorId": 1, "duration": 600, "chargingRateUnit": "W"}
    (one,) = composite(asked, LimitStep(AT.wall_s, 16.0), phases=1)["chargingSchedule"]["chargingSchedulePeriod"]
    assert (one["limit"], one["numberPhases"]) == (3680.0, 1)
    (three,) = composite(asked, LimitStep(AT.wall_s, 16.0))["chargingSchedule"]["chargingSchedulePeriod"]
    assert (three["limit"], three["numberPhases"]) == (11040.0, 3)


def test_impossible_composites_are_rejected() -> None:
    assert DIALECT.write_composite(CompositeRequest(1, 0, None), AT, (), 230.0) == {"status": "Rejected"}
    assert DIALECT.write_composite(CompositeRequest(1, 60, "VA"), AT, (), 230.0) == {"status": "Rejected"}
    for payload in (
        {},
        {"connectorId": 1},
        {"connectorId": "1", "duration": 60},
        {"connectorId": 1, "duration": -1},
        {"connectorId": True, "duration": 1},
    ):
        with pytest.raises(ProfileError):
            DIALECT.read_composite(payload)


def test_reading_changes_nothing() -> None:
    payload = call()
    before = copy.deepcopy(payload)
    read(payload)
    assert payload == before
