"""Laws of charging profiles: the composite equals the plainest reading of the rules at every second, is never above a limit
that counts, and any JSON is judged.

The independent judge is ``tests.support.plain_rules``: it reads the JSON of the wire itself, one second at a time, and shares no
code with the controller.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import LimitStep, Stamp
from controller.link.profile_view import ProfileView
from controller.ocpp.dialect import CompositeRequest, ProfileCriteria
from controller.ocpp.registry import dialects
from controller.ocpp.schedule import Profile, ProfileError, composite, explain_at, leading_at, profile_from_json, profile_to_json
from tests.support import plain_rules
from tests.support.schemas import check_request, check_response

V = 230.0
NOW = 1_790_000_000
WINDOW_S = 400
BERLIN = ZoneInfo("Europe/Berlin")
SPRING = 1_774_656_000  # 2026-03-28T00:00Z: the next night has 23 hours in Berlin
AUTUMN = 1_792_800_000  # 2026-10-24T00:00Z: the next night has 25 hours
DIALECTS = dialects()
READ = DIALECTS["ocpp2.1"].read_set_profile
PURPOSES = ["ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile", "PriorityCharging", "LocalGeneration"]
MODES = ["CentralSetpoint", "CentralFrequency", "ExternalSetpoint", "ExternalLimits", "LocalLoadBalancing", "Idle"]


# -- profiles as they come on the wire ------------------------------------------------------------------------------

WATTS = st.integers(0, 400).map(lambda ten: ten * 100.0)


@st.composite
def periods(draw: st.DrawFn, start: int, purpose: str, unit: str) -> dict[str, Any]:
    period: dict[str, Any] = {"startPeriod": start} | draw(
        st.sampled_from([{}, {"numberPhases": 1}, {"numberPhases": 2}, {"numberPhases": 3}, {"numberPhases": 1, "phaseToUse": 2}])
    )
    mode = draw(st.sampled_from(MODES)) if purpose.startswith("Tx") and draw(st.booleans()) else ""
    scale = 1.0 if unit == "W" else 0.01
    if mode in ("", "ExternalSetpoint", "LocalLoadBalancing") and (not mode or draw(st.booleans())):
        period["limit"] = draw(WATTS) * scale
        if purpose == "TxProfile":
            period |= {key: draw(WATTS) * scale for key in draw(st.sets(st.sampled_from(["limit_L2", "limit_L3"])))}
    if mode in ("ExternalSetpoint", "LocalLoadBalancing", "CentralFrequency") and draw(st.booleans()):
        period["dischargeLimit"] = -100.0 - draw(WATTS) * scale
    if mode in ("CentralSetpoint", "CentralFrequency"):
        lowest = period.get("dischargeLimit", -4000.0)
        period["setpoint"] = draw(st.floats(lowest, 4000.0).map(lambda value: round(value, 1)))
    return period | ({"operationMode": mode} if mode else {})


@st.composite
def wire_profiles(draw: st.DrawFn, number: int, now: int, span_s: int, kinds: list[str]) -> dict[str, Any]:
    """span_s: how far times lie from ``now``."""
    purpose, kind, unit = draw(st.sampled_from(PURPOSES)), draw(st.sampled_from(kinds)), draw(st.sampled_from("AW"))
    if purpose == "ChargingStationMaxProfile" and kind == "Relative":
        kind = "Absolute"
    count = 1 if kind == "Dynamic" else draw(st.integers(1, 4))
    starts = [0, *sorted(draw(st.sets(st.integers(1, span_s), min_size=count - 1, max_size=count - 1)))]
    schedule: dict[str, Any] = {
        "id": 1,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [draw(periods(start, purpose, unit)) for start in starts],
    }
    if purpose != "PriorityCharging" and draw(st.booleans()):
        schedule["duration"] = draw(st.integers(1, span_s) | st.sampled_from([span_s, 86_400]))
    if kind in ("Absolute", "Recurring"):
        back = draw(st.integers(0, 20)) * 86_400 if kind == "Recurring" else 0
        schedule |= {"startSchedule": plain_rules.text(now - back + draw(st.integers(-span_s, span_s))), "useLocalTime": draw(st.booleans())}
    if draw(st.integers(0, 3)) == 0:
        schedule["limitAtSoC"] = {"soc": 80, "limit": draw(WATTS) * (1.0 if unit == "W" else 0.01)}
    profile: dict[str, Any] = {"id": number, "stackLevel": draw(st.integers(0, 3)), "chargingProfilePurpose": purpose, "chargingProfileKind": kind}
    optional: dict[str, Any] = {
        "validFrom": plain_rules.text(now + draw(st.integers(-span_s, span_s // 2))),
        "validTo": plain_rules.text(now + draw(st.integers(span_s // 2 + 1, span_s))),
        "maxOfflineDuration": draw(st.integers(0, span_s)),
    }
    profile |= {key: optional[key] for key in draw(st.sets(st.sampled_from(sorted(optional)))) if draw(st.booleans())}
    profile |= {"recurrencyKind": draw(st.sampled_from(["Daily", "Weekly"]))} if kind == "Recurring" else {}
    profile |= {"transactionId": "t"} if purpose == "TxProfile" else {}
    return profile | {"chargingSchedule": [schedule]}


@st.composite
def sets(
    draw: st.DrawFn, now: int = NOW, span_s: int = WINDOW_S, kinds: tuple[str, ...] = ("Absolute", "Recurring", "Relative", "Dynamic")
) -> list[Any]:
    return [draw(wire_profiles(number, now, span_s, list(kinds))) for number in range(draw(st.integers(0, 5)))]


@st.composite
def knowledge(draw: st.DrawFn) -> dict[str, Any]:
    """What the composite is told beside the profiles."""
    return {
        "priority_active": draw(st.booleans()),
        "soc_percent": draw(st.sampled_from([None, 79.0, 80.0])),
        "offline_since_wall_s": draw(st.none() | st.integers(NOW - WINDOW_S, NOW).map(float)),
        "timezone": draw(st.sampled_from([None, BERLIN])),
    }


def read(wire: list[dict[str, Any]]) -> list[Profile]:
    found = []
    for profile in wire:
        payload = {"evseId": 0 if profile["chargingProfilePurpose"] == "ChargingStationMaxProfile" else 1, "chargingProfile": profile}
        check_request("SetChargingProfile", payload, "v21")
        found.append(READ(payload)[1])
    return found


def step_at(steps: tuple[LimitStep, ...], wall_s: float) -> LimitStep:
    return [step for step in steps if step.start_wall_s <= wall_s][-1]


def same(one: float | None, other: float | None) -> bool:
    return one == other if one is None or other is None else abs(one - other) < 1e-6


def compare(wire: list[dict[str, Any]], steps: tuple[LimitStep, ...], moments: Sequence[int], session_s: float | None, known: dict[str, Any]) -> None:
    """Every moment by the plainest rules against the step in force."""
    index = 0
    for moment in moments:
        while index + 1 < len(steps) and steps[index + 1].start_wall_s <= moment:
            index += 1
        step = steps[index]
        expected = plain_rules.meaning(wire, moment, moments[0] if session_s is None else session_s, V, moments[0], **known)
        found = (step.limit_a, step.discharge_a, step.setpoint_a)
        assert all(same(one, other) for one, other in zip(found, expected.amounts, strict=True)), (moment - moments[0], found, expected)
        assert (step.phase_count, step.mode) == (expected.phases, expected.mode), moment - moments[0]


@settings(deadline=None)
@given(sets(), knowledge(), st.none() | st.integers(NOW - WINDOW_S, NOW + 50).map(float))
def test_a_composite_equals_the_plain_rules_each_second(wire: list[Any], known: dict[str, Any], session_s: float | None) -> None:
    steps = composite(read(wire), NOW, NOW + WINDOW_S, session_s, V, **known)
    compare(wire, steps, range(NOW, NOW + WINDOW_S), session_s, known)


@settings(deadline=None)
@pytest.mark.parametrize("night", [SPRING, AUTUMN])
@given(st.data())
def test_it_does_so_through_the_nights_of_the_change(night: int, data: st.DataObject) -> None:  # F79, K01.FR.90
    start = night + data.draw(st.sampled_from([0, 86_400, 2 * 86_400]))
    wire = data.draw(sets(night, 3 * 86_400, ("Recurring", "Absolute")))
    known = {"timezone": BERLIN, "priority_active": True}
    steps = composite(read(wire), start, start + 3 * 86_400, None, V, timezone=BERLIN, priority_active=True)
    changes = {int(step.start_wall_s) - back for step in steps for back in (0, 1)} - {start - 1}
    compare(wire, steps, sorted({*range(start, start + 3 * 86_400, 3600), *changes}), None, known)


@given(sets(), knowledge(), st.integers(0, WINDOW_S))
def test_it_is_never_above_any_limit_that_counts(wire: list[Any], known: dict[str, Any], offset_s: int) -> None:
    """Local generation left out, each leading profile of a purpose that counts is an upper bound; so is every valid station maximum's leader."""
    capping = [profile for profile in read(wire) if profile.purpose != "local_generation"]
    result = composite(capping, NOW + offset_s, NOW + offset_s + 1, NOW, V, **known)[0]
    for layer in explain_at(capping, NOW + offset_s, NOW, V, **known):
        if layer.counts and layer.said.limit_a is not None:
            assert result.limit_a is not None
            assert result.limit_a <= layer.said.limit_a
    if result.setpoint_a is not None:
        assert result.limit_a is None or result.setpoint_a <= result.limit_a or result.setpoint_a == result.discharge_a
        assert result.discharge_a is None or result.setpoint_a >= result.discharge_a


@given(sets(), knowledge())
def test_steps_ascend_differ_and_begin_with_the_window(wire: list[Any], known: dict[str, Any]) -> None:
    steps = composite(read(wire), NOW, NOW + WINDOW_S, None, V, **known)
    assert steps[0].start_wall_s == NOW
    for earlier, later in pairwise(steps):
        assert earlier.start_wall_s < later.start_wall_s < NOW + WINDOW_S
        assert (earlier.limit_a, earlier.discharge_a, earlier.setpoint_a, earlier.phase_count, earlier.phase_to_use, earlier.mode) != (
            *(later.limit_a, later.discharge_a, later.setpoint_a, later.phase_count, later.phase_to_use, later.mode),
        )


@given(sets(), knowledge(), st.integers(0, WINDOW_S))
def test_the_leader_is_one_whose_limit_is_the_result(wire: list[Any], known: dict[str, Any], offset_s: int) -> None:
    capping = [profile for profile in read(wire) if profile.purpose != "local_generation"]
    result = composite(capping, NOW + offset_s, NOW + offset_s + 1, NOW, V, **known)[0]
    leader = leading_at(capping, NOW + offset_s, NOW, V, **known)
    assert (leader is None) == (result.limit_a is None and not result.mode)
    layers = explain_at(capping, NOW + offset_s, NOW, V, **known)
    assert [layer.profile for layer in layers if layer.binding] == ([leader] if result.limit_a is not None else [])
    assert all(same(layer.said.limit_a, result.limit_a) for layer in layers if layer.binding)


@given(sets(), knowledge(), st.integers(1, WINDOW_S - 1))
def test_a_window_that_begins_later_says_the_same(wire: list[Any], known: dict[str, Any], offset_s: int) -> None:
    profiles = [profile for profile in read(wire) if profile.kind != "dynamic"]  # one that was never stamped counts from the window
    whole = composite(profiles, NOW, NOW + WINDOW_S, NOW, V, **known)
    later = composite(profiles, NOW + offset_s, NOW + WINDOW_S, NOW, V, **known)
    for moment in range(NOW + offset_s, NOW + WINDOW_S, 7):
        one, other = step_at(whole, moment), step_at(later, moment)
        assert (one.limit_a, one.discharge_a, one.setpoint_a, one.mode) == (other.limit_a, other.discharge_a, other.setpoint_a, other.mode)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=6, unique=True), st.integers(1, 900), st.text("ab", min_size=1))
def test_random_delays_are_in_range_kept_and_in_order(starts: list[int], delay_s: int, seed: str) -> None:  # K01.FR.92-94, FR.97
    offsets = [0, *sorted(starts)]
    told = [{"startPeriod": start, "limit": float(index)} for index, start in enumerate(offsets)]
    schedule = {"id": 1, "chargingRateUnit": "A", "randomizedDelay": delay_s, "duration": 1000, "chargingSchedulePeriod": told}
    wire = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative", "chargingSchedule": [schedule]}
    (profile,) = read([wire])
    steps = composite([profile], NOW, NOW + 1001, NOW, V, delay_seed=seed)
    assert steps == composite([profile], NOW, NOW + 1001, NOW, V, delay_seed=seed)
    assert steps[0] == LimitStep(NOW, 0.0)  # the first period is never late
    assert steps[-1] == LimitStep(NOW + 1000, None)  # and the end is where it was
    for step in steps[1:-1]:
        assert step.limit_a is not None
        assert offsets[int(step.limit_a)] <= step.start_wall_s - NOW <= offsets[int(step.limit_a)] + delay_s
    assert [step.limit_a for step in steps[:-1]] == sorted(step.limit_a or 0.0 for step in steps[:-1])


@given(sets())
def test_a_profile_survives_json(wire: list[Any]) -> None:
    for profile in read(wire):
        assert profile_from_json(json.loads(json.dumps(profile_to_json(profile)))) == profile


@given(sets())
def test_what_was_read_is_reported_as_it_came(wire: list[Any]) -> None:
    for profile in read(wire):
        for report in DIALECTS["ocpp2.1"].report_profiles({"requestId": 1}, [(1, profile)]):
            check_request("ReportChargingProfiles", report, "v21")
            assert READ({"evseId": 1 if profile.purpose != "station_max" else 0, "chargingProfile": report["chargingProfile"][0]})[1] == profile


@given(sets())
def test_a_restarted_view_is_the_same_view(wire: list[Any]) -> None:
    view, again = ProfileView("CP1", (1,)), ProfileView("CP1", (1,))
    for profile in read(wire):
        try:
            view.set(0 if profile.purpose == "station_max" else 1, profile, {1: "t"}, NOW)
        except ProfileError:
            continue
    assert again.load(json.loads(json.dumps(view.dump()))) == 0
    assert again.select(ProfileCriteria()) == view.select(ProfileCriteria())


# -- any JSON ---------------------------------------------------------------------------------------------------------

NASTY: st.SearchStrategy[Any] = st.sampled_from([None, True, "", "A", -1, 0, 0.5, 3.0, 10**400, 1e308, [], {}, [None], "2026-01-01T00:00:00Z"])


@st.composite
def requests(draw: st.DrawFn, version: str) -> dict[str, Any]:
    """A valid request with up to three fields replaced by nonsense or removed."""
    period: dict[str, Any] = {"startPeriod": 0, "limit": 16, "numberPhases": 1, "phaseToUse": 2}
    schedule: dict[str, Any] = {"id": 1, "chargingRateUnit": "W", "duration": 60, "minChargingRate": 1, "chargingSchedulePeriod": [period]}
    schedule["startSchedule"] = "2026-01-01T00:00:00Z"
    ids = {"id": 1, "chargingProfileId": 1, "stackLevel": 0, "recurrencyKind": "Daily", "validTo": "2027-01-01T00:00:00Z"}
    purposes = ["TxProfile", "TxDefaultProfile", "ChargePointMaxProfile" if version == "ocpp1.6" else "ChargingStationMaxProfile"]
    profile: dict[str, Any] = ids | {"chargingProfilePurpose": draw(st.sampled_from(purposes)), "transactionId": 7 if version == "ocpp1.6" else "t-1"}
    profile["chargingProfileKind"] = draw(st.sampled_from(["Absolute", "Recurring", "Relative", "Dynamic"]))
    if version == "ocpp2.1":
        period |= draw(st.sampled_from([{}, {"operationMode": "CentralSetpoint", "setpoint": 5.0, "dischargeLimit": -5}, {"limit_L2": 5}]))
        schedule |= {"useLocalTime": True, "randomizedDelay": 5, "limitAtSoC": {"soc": 80, "limit": 5}}
        profile |= {"maxOfflineDuration": 5, "invalidAfterOfflineDuration": True, "dynUpdateInterval": 5, "customData": {"vendorId": "x"}}
    if profile["chargingProfileKind"] == "Relative":
        del schedule["startSchedule"]
    profile["chargingSchedule"] = schedule if version == "ocpp1.6" else [schedule]
    place, inner = ("connectorId", "csChargingProfiles") if version == "ocpp1.6" else ("evseId", "chargingProfile")
    payload: dict[str, Any] = {place: draw(st.integers(0, 2)), inner: profile}
    for _ in range(draw(st.integers(0, 3))):
        target = draw(st.sampled_from([period, schedule, profile, payload]))
        target[draw(st.sampled_from(sorted(target)))] = draw(NASTY)
    return payload


@pytest.mark.parametrize("version", sorted(DIALECTS))
@given(data=st.data(), in_start=st.booleans())
def test_any_request_is_read_or_rejected_and_what_is_read_means_something(version: str, data: st.DataObject, in_start: bool) -> None:
    dialect = DIALECTS[version]
    try:
        placed = dialect.read_set_profile(data.draw(requests(version)), in_start)
    except ProfileError as error:
        check_response("SetChargingProfile", dialect.rejected_profile(error), version)
        return
    for report in dialect.report_profiles({"requestId": 1}, [placed]):
        check_request("ReportChargingProfiles", report, version)
    steps = composite([placed[1]], NOW, NOW + 3600, None, V)
    check_response("GetCompositeSchedule", dialect.write_composite(CompositeRequest(1, 3600, "W"), Stamp(0, NOW), steps, V), version)


@given(
    st.dictionaries(
        st.sampled_from(["chargingProfileId", "chargingProfileCriteria", "chargingProfile", "evseId"]),
        NASTY
        | st.dictionaries(st.sampled_from(["evseId", "stackLevel", "chargingProfileId", "chargingProfilePurpose", "chargingLimitSource"]), NASTY),
    )
)
def test_any_criteria_are_read(payload: dict[str, Any]) -> None:
    for version in ("ocpp2.0.1", "ocpp2.1"):
        for action in ("ClearChargingProfile", "GetChargingProfiles"):
            assert ProfileView("CP1", (1,)).select(DIALECTS[version].read_criteria(action, payload)) == []


@pytest.mark.parametrize("version", sorted(DIALECTS))
@given(sets(), st.integers(1, WINDOW_S), st.sampled_from(["A", "W", None]), st.integers(1, 3))
def test_a_written_composite_is_never_above_the_steps(version: str, wire: list[Any], duration_s: int, unit: str | None, phase_count: int) -> None:
    at = Stamp(0.0, NOW + 0.5)
    steps = composite(read(wire), at.wall_s, at.wall_s + duration_s, None, V, priority_active=True)
    payload = DIALECTS[version].write_composite(CompositeRequest(1, duration_s, unit), at, steps, V, phase_count)
    check_response("GetCompositeSchedule", payload, version)
    written = payload["chargingSchedule" if version == "ocpp1.6" else "schedule"]["chargingSchedulePeriod"]
    for period in written:
        expected = step_at(steps, max(at.wall_s, NOW + period["startPeriod"] + 1 - 1e-6)).limit_a
        if expected is not None and period["startPeriod"] > 0 and "limit" in period:
            assert period["limit"] / (V * period["numberPhases"] if unit == "W" else 1) <= expected + 1e-6
