"""Fields of charging profiles: bad input by its number, and what we write."""

from typing import Any

import pytest

from controller.facts import LimitStep
from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import CompositeRequest
from controller.ocpp.schedule import Kind, ProfileError

NOW = 1_790_000_000.0


def period(start: Any = 0, limit: Any = 16.0, **more: Any) -> dict[str, Any]:
    return {"startPeriod": start, "limit": limit} | more


@pytest.mark.parametrize("values", [[], None, "x", [5], [period(1)], [period(), period()], [period(), period(60), period(30)], [period()] * 1025])
def test_periods_begin_at_0_and_rise(values: Any) -> None:  # B20
    with pytest.raises(ProfileError) as caught:
        fields.periods(values)
    assert caught.value.reason_code == "InvalidSchedule"


@pytest.mark.parametrize(
    "bad",
    [
        *(period(limit=limit) for limit in (-1, -0.1, 1e10, "16", None, True, float("inf"))),  # B21
        *(period(numberPhases=phases) for phases in (0, 4, 1.5, "3")),  # B22
        *(period(numberPhases=1, phaseToUse=phase) for phase in (0, 4, 9)),
        period(numberPhases=3, phaseToUse=1),
        *(period(start=start) for start in (-1, None, 1e12, "0")),
    ],
)
def test_a_bad_period_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ProfileError):
        fields.periods([bad])


def test_periods_as_they_are_seen_on_the_wire() -> None:
    first, second = fields.periods([period(0.0, 16, numberPhases=1.0, phaseToUse=2), period(60.9, 0)])
    assert (first.start_s, first.limit, first.phase_count, first.phase_to_use) == (0.0, 16.0, 1, 2)
    assert (second.start_s, second.limit, second.phase_count, second.phase_to_use) == (60.0, 0.0, 3, None)


@pytest.mark.parametrize(("value", "seconds"), [(None, None), (1, 1.0), (60.7, 60.0), (1e12, fields.MAX_DURATION_S)])
def test_durations(value: Any, seconds: float | None) -> None:  # B23
    assert fields.duration(value) == seconds


@pytest.mark.parametrize("value", [0, -1, 0.5, "60", True, float("nan")])
def test_bad_durations(value: Any) -> None:  # B23
    with pytest.raises(ProfileError):
        fields.duration(value)


def test_times() -> None:  # B18
    assert fields.moment({"validFrom": "2026-09-21T14:13:20.5Z"}, "validFrom") == NOW + 0.5
    assert fields.moment({}, "validFrom") is None
    for odd in ("1969-12-31T00:00:00Z", "0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "now", 5):
        with pytest.raises(ProfileError):
            fields.moment({"validFrom": odd}, "validFrom")
    with pytest.raises(ProfileError):
        fields.validity({"validFrom": "2026-09-21T00:00:00Z", "validTo": "2026-09-21T00:00:00Z"})


def test_words_and_whole_numbers() -> None:
    assert fields.word("Relative", fields.KINDS, "kind") is Kind.RELATIVE
    assert fields.whole(3.0, "X", "n", 0, 5) == 3
    for bad in (3.5, -1, 6, "3", None, True, 10**400):
        with pytest.raises(ProfileError) as caught:
            fields.whole(bad, "InvalidStackLevel", "stackLevel", 0, 5)
        assert caught.value.reason_code == "InvalidStackLevel"
    for odd in ("relative", 5, None, ["Relative"]):
        with pytest.raises(ProfileError):
            fields.word(odd, fields.KINDS, "kind")


@pytest.mark.parametrize(("limit", "written"), [(16.37, 16.3), (16.3, 16.3), (0.05, 0.0), (31.99999, 31.9), (6.0, 6.0), (11.1, 11.1)])
def test_limits_are_never_rounded_up(limit: float, written: float) -> None:
    assert fields.own_period(limit, 3) == {"startPeriod": 0, "limit": written, "numberPhases": 3}


def periods_of(request: CompositeRequest, *steps: LimitStep, phase_count: int = 3) -> tuple[int, list[tuple[int, float]]]:
    duration_s, periods = fields.composite_periods(request, NOW, steps, 230.0, phase_count)
    return duration_s, [(one["startPeriod"], one["limit"]) for one in periods]


def test_a_composite_by_whole_seconds() -> None:
    steps = (
        LimitStep(NOW - 60, 16.0),
        LimitStep(NOW + 60.2, 10.0),
        LimitStep(NOW + 60.9, 8.0),
        LimitStep(NOW + 120, None),
        LimitStep(NOW + 999, 1.0),
    )
    assert periods_of(CompositeRequest(1, 600, None), *steps) == (600, [(0, 16.0), (60, 8.0), (120, 999999.0)])
    assert periods_of(CompositeRequest(1, 600, "W"), LimitStep(NOW, 16.0), phase_count=1) == (600, [(0, 3680.0)])
    assert periods_of(CompositeRequest(1, 60, "A")) == (60, [(0, 999999.0)])


def test_a_composite_is_cut_where_it_has_too_many_periods_or_looks_too_far() -> None:
    many = [LimitStep(NOW + second, float(second % 7)) for second in range(1100)]
    duration_s, periods = periods_of(CompositeRequest(1, 3600, "A"), *many)
    assert (duration_s, len(periods)) == (1024, 1024)
    assert periods_of(CompositeRequest(1, 10**9, "A"))[0] == 7 * 86_400


@pytest.mark.parametrize("request_", [CompositeRequest(1, 0, None), CompositeRequest(1, -5, "A"), CompositeRequest(1, 60, "VA")])
def test_impossible_composites(request_: CompositeRequest) -> None:
    with pytest.raises(ProfileError):
        fields.check_composite(request_)
