"""Bad input catalogue, charging profiles: B18 and B20 to B27 (2.0.1), each a clear rejection and no change."""

from typing import Any

import pytest

from controller.link.profile_view import OWN_PROFILE_IDS, ProfileView
from controller.ocpp.dialect import ProfileCriteria
from controller.ocpp.profile_fields import MAX_DURATION_S
from controller.ocpp.schedule import ProfileError
from controller.ocpp.v2 import profiles

NOW = 1_790_000_000.0
NOW_TEXT = "2026-09-21T14:13:20Z"


def schedule(*periods: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    return [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": list(periods or ({"startPeriod": 0, "limit": 16},))} | changes]


def request(evse_id: Any = 1, **changes: Any) -> dict[str, Any]:
    base = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative", "chargingSchedule": schedule()}
    return {"evseId": evse_id, "chargingProfile": base | changes}


def verdict(payload: dict[str, Any], transactions: dict[int, str] | None = None) -> str:
    """Reason code of the rejection by message or by station state; "" if accepted. A rejection changes nothing."""
    view = ProfileView("CP1", (1, 2))
    view.set(1, profiles.read_set_profile(request(1, id=99, stackLevel=9))[1], {}, NOW)
    before = view.dump()
    try:
        evse_id, profile = profiles.read_set_profile(payload)
        view.set(evse_id, profile, transactions or {}, NOW)
    except ProfileError as error:
        reason, info = error.reason_code, error.info
    else:
        assert len(view) == 2
        return ""
    assert view.dump() == before
    assert 0 < len(reason) <= 20
    assert 0 < len(info) <= 512
    return reason


def test_the_plain_request_is_accepted() -> None:
    assert verdict(request()) == ""


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-01:00",
        "2026-09-21",
        "",
        "now",
        1_790_000_000,
        {},
        "2026-09-21T25:00:00Z",
    ],
)
def test_b18_timestamps_that_are_none(text: Any) -> None:
    assert verdict(request(validFrom=text)) == "InvalidValue"
    assert verdict(request(chargingProfileKind="Absolute", chargingSchedule=schedule(startSchedule=text))) == "InvalidValue"


@pytest.mark.parametrize(
    "starts",
    [(1,), (0, 60, 60), (0, 60, 30), (-1,), (0, -60), (None,), ("0",), (True,), (0, 10**12), (0, 0.4), (float("1e300"),)],
)
def test_b20_period_starts(starts: tuple[Any, ...]) -> None:
    assert verdict(request(chargingSchedule=schedule(*({"startPeriod": start, "limit": 6} for start in starts)))) == "InvalidSchedule"


@pytest.mark.parametrize("periods", [[], None, {}, [None], [[]], "x", [{"startPeriod": i, "limit": 6} for i in range(1025)]])
def test_b20_periods_that_are_no_list_of_1_to_1024(periods: Any) -> None:
    assert verdict(request(chargingSchedule=schedule(chargingSchedulePeriod=periods))) == "InvalidSchedule"


@pytest.mark.parametrize("limit", [-1, -0.1, 1e12, 10**400, None, "16", True, [], {}])
def test_b21_limits(limit: Any) -> None:
    assert verdict(request(chargingSchedule=schedule({"startPeriod": 0, "limit": limit}))) == "InvalidSchedule"


def test_b21_a_fine_limit_is_taken_as_it_is() -> None:
    assert verdict(request(chargingSchedule=schedule({"startPeriod": 0, "limit": 6.05}))) == ""


@pytest.mark.parametrize("unit", ["V", "a", "", None, 1, ["A"]])
def test_b21_units(unit: Any) -> None:
    assert verdict(request(chargingSchedule=schedule(chargingRateUnit=unit))) == "UnsupportedRateUnit"


@pytest.mark.parametrize(
    "phases",
    [
        {"numberPhases": 0},
        {"numberPhases": 4},
        {"numberPhases": 1.5},
        {"numberPhases": "3"},
        {"numberPhases": 1, "phaseToUse": 9},
        {"phaseToUse": 1},
        {"numberPhases": 1, "phaseToUse": 0},
    ],
)
def test_b22_phases(phases: dict[str, Any]) -> None:
    assert verdict(request(chargingSchedule=schedule({"startPeriod": 0, "limit": 6} | phases))) == "InvalidSchedule"


@pytest.mark.parametrize("duration", [0, -1, 0.5, "60", True, [], 1e300])
def test_b23_durations(duration: Any) -> None:
    assert verdict(request(chargingSchedule=schedule(duration=duration))) == "InvalidSchedule"


def test_b23_a_hundred_years_are_cut_to_ten() -> None:
    profile = profiles.read_set_profile(request(chargingSchedule=schedule(duration=100 * 365 * 86_400)))[1]
    assert profile.schedules[0].duration_s == MAX_DURATION_S


def test_b24_start_of_schedule() -> None:
    assert verdict(request(chargingProfileKind="Absolute")) == "InvalidSchedule"  # K01.FR.40
    assert verdict(request(chargingProfileKind="Recurring", recurrencyKind="Daily")) == "InvalidSchedule"
    assert verdict(request(chargingSchedule=schedule(startSchedule=NOW_TEXT))) == "InvalidSchedule"  # K01.FR.41
    for start in ("1999-01-01T00:00:00Z", "9000-01-01T00:00:00Z"):
        assert verdict(request(chargingProfileKind="Absolute", chargingSchedule=schedule(startSchedule=start))) == ""
    assert verdict(request(chargingProfileKind="Recurring", chargingSchedule=schedule(startSchedule=NOW_TEXT))) == "InvalidProfile"


@pytest.mark.parametrize("level", [-1, 10**9, 0.5, None, "0", True])
def test_b25_stack_levels(level: Any) -> None:
    assert verdict(request(stackLevel=level)) == "InvalidStackLevel"


def test_b25_an_id_of_ours_is_harmless_as_it_never_reaches_the_station() -> None:
    assert verdict(request(id=OWN_PROFILE_IDS[0])) == ""


@pytest.mark.parametrize("profile_id", [None, "1", 2**31, 0.5, True, -(2**40)])
def test_b25_ids_that_are_none(profile_id: Any) -> None:
    assert verdict(request(id=profile_id)) == "InvalidProfile"


def test_b26_tx_profiles_and_their_transaction() -> None:
    def tx(**changes: Any) -> dict[str, Any]:
        return {"chargingProfilePurpose": "TxProfile"} | changes

    assert verdict(request(1, **tx())) == "MissingParam"
    assert verdict(request(1, **tx(transactionId=""))) == "InvalidValue"
    assert verdict(request(1, **tx(transactionId=-1))) == "InvalidValue"
    assert verdict(request(1, **tx(transactionId="x" * 37))) == "InvalidValue"
    assert verdict(request(1, **tx(transactionId="t-1"))) == "TxNotFound"
    assert verdict(request(1, **tx(transactionId="t-1")), {2: "t-1"}) == "TxNotFound"
    assert verdict(request(1, **tx(transactionId="t-1")), {1: "t-1"}) == ""


def test_b27_purposes_and_places() -> None:
    maximum = {
        "chargingProfilePurpose": "ChargingStationMaxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule(startSchedule=NOW_TEXT),
    }
    assert verdict(request(0, **maximum)) == ""
    assert verdict(request(1, **maximum)) == "InvalidValue"  # K04.FR.03
    assert verdict(request(0, chargingProfilePurpose="ChargingStationMaxProfile")) == "InvalidProfile"  # K01.FR.38
    assert verdict(request(0, chargingProfilePurpose="TxProfile", transactionId="t")) == "InvalidValue"  # K01.FR.16
    assert verdict(request(0, chargingProfilePurpose="ChargingStationExternalConstraints")) == "InvalidProfile"  # K01.FR.22
    for purpose in ("PriorityCharging", "txprofile", None, 1, {}):
        assert verdict(request(1, chargingProfilePurpose=purpose)) == "InvalidProfile"


@pytest.mark.parametrize(
    ("evse_id", "reason"),
    [(99, "UnknownEvse"), (-1, "InvalidValue"), (None, "InvalidValue"), ("1", "InvalidValue"), (1.5, "InvalidValue"), (True, "InvalidValue")],
)
def test_b27_evses(evse_id: Any, reason: str) -> None:
    assert verdict(request(evse_id)) == reason


@pytest.mark.parametrize("payload", [{}, {"evseId": 1}, {"evseId": 1, "chargingProfile": []}, {"evseId": 1, "chargingProfile": {}}])
def test_empty_requests(payload: dict[str, Any]) -> None:
    assert verdict(payload) in ("InvalidValue", "MissingParam", "InvalidProfile")


def test_validity_that_ends_before_it_begins() -> None:
    assert verdict(request(validFrom=NOW_TEXT, validTo=NOW_TEXT)) == "InvalidProfile"


def test_a_flood_of_profiles_or_periods_is_refused_and_can_be_cleared() -> None:
    view = ProfileView("CP1", (1,), max_profiles=3)
    for number in range(3):
        view.set(1, profiles.read_set_profile(request(id=number, stackLevel=number))[1], {}, NOW)
    fourth = profiles.read_set_profile(request(id=3, stackLevel=3))[1]
    with pytest.raises(ProfileError, match="OutOfStorage"):
        view.set(1, fourth, {}, NOW)
    assert view.clear(ProfileCriteria()) == 3
    view.set(1, fourth, {}, NOW)
    long = schedule(*({"startPeriod": i, "limit": 6} for i in range(1024)))
    view = ProfileView("CP1", (1,))
    for number in range(8):
        view.set(1, profiles.read_set_profile(request(id=number, stackLevel=number, chargingSchedule=long))[1], {}, NOW)
    with pytest.raises(ProfileError, match="periods"):
        view.set(1, profiles.read_set_profile(request(id=8, stackLevel=8))[1], {}, NOW)
