"""Laws of charging profiles: the composite agrees with each moment, is never above a layer, and any JSON is judged."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.facts import LimitStep, Stamp
from controller.link.profile_view import ProfileView
from controller.ocpp.dialect import CompositeRequest, ProfileCriteria
from controller.ocpp.schedule import (
    DAY_S,
    Kind,
    Period,
    Profile,
    ProfileError,
    Purpose,
    Recurrency,
    Schedule,
    composite,
    leading_at,
    limit_a_at,
    profile_from_json,
    profile_to_json,
)
from controller.ocpp.v2 import profiles as v201
from tests.support.schemas import check_request, check_response

NOW = 1_790_000_000.0
HORIZON_S = 2 * DAY_S
V = 230.0

MOMENTS = st.floats(NOW - HORIZON_S, NOW + 2 * HORIZON_S) | st.sampled_from([NOW, NOW + 0.1, NOW + 3600.0])


@st.composite
def schedules(draw: st.DrawFn, kind: Kind) -> Schedule:
    starts = sorted(draw(st.sets(st.floats(0.01, DAY_S), max_size=5)))
    limits = draw(st.lists(st.floats(0, 30_000), min_size=len(starts) + 1, max_size=len(starts) + 1))
    phases = draw(st.integers(1, 3))
    periods = tuple(Period(start_s, limit, phases) for start_s, limit in zip((0.0, *starts), limits, strict=True))
    start_wall_s = None if kind is Kind.RELATIVE else draw(MOMENTS)
    return Schedule(1, draw(st.sampled_from("AW")), periods, draw(st.none() | st.floats(1, HORIZON_S)), start_wall_s)


@st.composite
def any_profile(draw: st.DrawFn) -> Profile:
    kind = draw(st.sampled_from(Kind))
    return Profile(
        draw(st.integers(1, 5)),
        draw(st.integers(0, 3)),
        draw(st.sampled_from(Purpose)),
        kind,
        tuple(draw(st.lists(schedules(kind), min_size=1, max_size=2))),
        valid_from_wall_s=draw(st.none() | MOMENTS),
        valid_to_wall_s=draw(st.none() | MOMENTS),
        recurrency=draw(st.sampled_from(Recurrency)) if kind is Kind.RECURRING else None,
    )


SETS = st.lists(any_profile(), max_size=6, unique_by=lambda profile: profile.profile_id)


def by_hand(profiles: list[Profile], wall_s: float, session_s: float) -> float | None:
    """The rule in its plainest words, one moment at a time: the independent judge of ``composite``."""
    layers: dict[Purpose, float] = {}
    for purpose in Purpose:
        of_purpose = [(p, limit_a_at(p, wall_s, session_s, V)) for p in profiles if p.purpose is purpose]
        living = [(p.stack_level, -p.profile_id, limit) for p, limit in of_purpose if limit is not None]
        if living:
            layers[purpose] = max(living)[2]
    if Purpose.TX in layers:
        layers.pop(Purpose.TX_DEFAULT, None)
    return min(layers.values(), default=None)


def in_force(steps: tuple[LimitStep, ...], wall_s: float) -> float | None:
    return [step for step in steps if step.start_wall_s <= wall_s][-1].limit_a


@given(SETS, MOMENTS, st.lists(st.floats(0, HORIZON_S, exclude_max=True), max_size=10))
def test_a_composite_agrees_with_the_rule_at_every_moment(profiles: list[Profile], session_s: float, offsets: list[float]) -> None:
    steps = composite(profiles, NOW, NOW + HORIZON_S, session_s, V)
    for wall_s in [NOW + offset for offset in offsets] + [step.start_wall_s for step in steps]:
        if wall_s < NOW + HORIZON_S:
            assert in_force(steps, wall_s) == by_hand(profiles, wall_s, session_s)


@given(SETS, MOMENTS)
def test_steps_ascend_differ_and_begin_with_the_window(profiles: list[Profile], session_s: float) -> None:
    steps = composite(profiles, NOW, NOW + HORIZON_S, session_s, V)
    assert steps[0].start_wall_s == NOW
    for earlier, later in pairwise(steps):
        assert earlier.start_wall_s < later.start_wall_s < NOW + HORIZON_S
        assert earlier.limit_a != later.limit_a


@given(SETS, MOMENTS, MOMENTS)
def test_a_composite_is_never_above_any_layer_and_names_its_leader(profiles: list[Profile], session_s: float, wall_s: float) -> None:
    result = composite(profiles, wall_s, wall_s + 1, session_s, V)[0].limit_a
    leader = leading_at(profiles, wall_s, session_s, V)
    assert (leader is None) == (result is None)
    assert leader is None or limit_a_at(leader, wall_s, session_s, V) == result
    for purpose in (Purpose.STATION_MAX, Purpose.EXTERNAL, Purpose.TX):
        layer = composite([p for p in profiles if p.purpose is purpose], wall_s, wall_s + 1, session_s, V)[0].limit_a
        assert layer is None or (result is not None and result <= layer)


@given(any_profile())
def test_a_profile_survives_json(profile: Profile) -> None:
    assert profile_from_json(json.loads(json.dumps(profile_to_json(profile)))) == profile


@given(SETS)
def test_a_restarted_view_is_the_same_view(profiles: list[Profile]) -> None:
    view, again = ProfileView("CP1", (1,)), ProfileView("CP1", (1,))
    for profile in profiles:
        try:
            view.set(0 if profile.purpose is Purpose.STATION_MAX else 1, profile, {}, NOW)
        except ProfileError:
            continue
    assert again.load(json.loads(json.dumps(view.dump()))) == 0
    assert again.select(ProfileCriteria()) == view.select(ProfileCriteria())
    assert again.wish(1, NOW, NOW, V) == view.wish(1, NOW, NOW, V)


# -- 2.0.1 JSON ---------------------------------------------------------------------------------------------

NASTY: st.SearchStrategy[Any] = st.sampled_from([None, True, "", "A", -1, 0, 0.5, 3.0, 10**400, 1e308, [], {}, [None], "2026-01-01T00:00:00Z"])


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A valid request with up to three fields replaced by nonsense or removed."""
    period: dict[str, Any] = {"startPeriod": 0, "limit": 16, "numberPhases": 1, "phaseToUse": 2}
    schedule: dict[str, Any] = {"id": 1, "chargingRateUnit": "W", "duration": 60, "minChargingRate": 1, "chargingSchedulePeriod": [period]}
    profile: dict[str, Any] = {"id": 1, "stackLevel": 0, "chargingProfilePurpose": draw(st.sampled_from(list(v201.PURPOSES))), "transactionId": "t-1"}
    profile |= {"chargingProfileKind": draw(st.sampled_from(list(v201.KINDS))), "recurrencyKind": "Daily", "validTo": "2027-01-01T00:00:00Z"}
    if profile["chargingProfileKind"] != "Relative":
        schedule["startSchedule"] = "2026-01-01T00:00:00Z"
    profile["chargingSchedule"] = [schedule]
    payload: dict[str, Any] = {"evseId": draw(st.integers(0, 2)), "chargingProfile": profile}
    for _ in range(draw(st.integers(0, 3))):
        target = draw(st.sampled_from([period, schedule, profile, payload]))
        target[draw(st.sampled_from(sorted(target)))] = draw(NASTY)
    return payload


@given(requests(), st.booleans())
def test_any_request_is_read_or_rejected_and_what_is_read_can_be_reported(payload: dict[str, Any], in_start: bool) -> None:
    try:
        placed = v201.read_set_profile(payload, in_start=in_start)
    except ProfileError as error:
        check_response("SetChargingProfile", v201.rejected(error.reason_code, error.info))
    else:
        for report in v201.report_profiles({"requestId": 1}, [placed]):
            check_request("ReportChargingProfiles", report)


@given(
    st.dictionaries(
        st.sampled_from(["chargingProfileId", "chargingProfileCriteria", "chargingProfile", "evseId"]),
        NASTY
        | st.dictionaries(st.sampled_from(["evseId", "stackLevel", "chargingProfileId", "chargingProfilePurpose", "chargingLimitSource"]), NASTY),
    )
)
def test_any_criteria_are_read(payload: dict[str, Any]) -> None:
    for criteria in (v201.read_clear(payload), v201.read_get(payload)):
        assert ProfileView("CP1", (1,)).select(criteria) == []


@given(SETS, st.integers(1, HORIZON_S), st.sampled_from(["A", "W", None]))
def test_a_written_composite_is_never_above_the_steps(profiles: list[Profile], duration_s: int, unit: str | None) -> None:
    at = Stamp(0.0, NOW + 0.5)
    steps = composite(profiles, at.wall_s, at.wall_s + duration_s, None, V)
    payload = v201.write_composite(CompositeRequest(1, duration_s, unit), at, steps, V)
    check_response("GetCompositeSchedule", payload)
    divisor = 3 * V if unit == "W" else 1
    for period in payload["schedule"]["chargingSchedulePeriod"]:
        expected = in_force(steps, max(at.wall_s, NOW + period["startPeriod"] + 1 - 1e-6))
        if expected is not None and period["startPeriod"] > 0:
            assert period["limit"] / divisor <= expected + 1e-6
