"""What OpenADR 3 events mean. The stories are those of the user guide 3.1 (numbers in the names), the units those of the enumerations."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.openadr3 import NO_PRIORITY, STANDING, SUBSCRIBED, Us, Value, Window, meaning, means_us, merged, still
from signals.openadr3_objects import object_id, read_event, read_program
from signals.openadr3_reports import grouped
from signals.openadr3_times import slots
from signals.openadr_plain import Base, Refused
from tests.support.examples import examples

T0 = 1_675_987_200.0
"""2023-02-10T00:00:00Z, the user guide's favourite day."""
START = "2023-02-10T00:00:00.000Z"
BASE = Base(69_000.0, 20_000.0, 690.0, (50_000.0, 30_000.0, 0.0), failsafe_w=4200.0, failsafe_production_w=1000.0)
US = Us("ven-1", "depot", BASE)


def event(**parts: Any) -> dict[str, Any]:
    return {"id": "e", "programID": "p", "createdDateTime": START, "intervalPeriod": {"start": START, "duration": "PT1H"}} | parts


def interval(kind: str, *values: Any, number: int = 0, **period: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"id": number, "payloads": [{"type": kind, "values": [*values]}]}
    return body | ({"intervalPeriod": period} if period else {})


def limits(raw: dict[str, Any], now_s: float = T0, us: Us = US) -> list[tuple[float, float | None, float | None]]:
    """(start from T0, length, consumption) of each window."""
    said = meaning(read_event(raw), None, us, now_s, now_s)
    return [(window.start_s - T0, window.length_s, window.consumption_w) for window in said.windows]


def windows(raw: dict[str, Any], now_s: float = T0) -> tuple[Window, ...]:
    return meaning(read_event(raw), None, US, now_s, now_s).windows


def values(raw: dict[str, Any], now_s: float = T0) -> list[tuple[str, float, float, float]]:
    return [(v.kind, v.start_s - T0, v.end_s - T0, v.value) for v in meaning(read_event(raw), None, US, now_s, now_s).values]


def notes(raw: dict[str, Any]) -> str:
    return "\n".join(meaning(read_event(raw), None, US, T0, T0).notes)


# -- 8.10.1 dynamic operating envelopes --------------------------------------------------------------


def test_8_10_1_an_operating_envelope_of_two_half_hours() -> None:
    both = [
        {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [10.0]}, {"type": "EXPORT_CAPACITY_LIMIT", "values": [4.0]}]},
        {"id": 1, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [8.0]}, {"type": "EXPORT_CAPACITY_LIMIT", "values": [6.0]}]},
    ]
    kw = [{"payloadType": f"{way}_CAPACITY_LIMIT", "units": "KW"} for way in ("IMPORT", "EXPORT")]
    found = windows(event(intervals=both, payloadDescriptors=kw, intervalPeriod={"start": START, "duration": "PT30M"}))
    assert [(w.start_s - T0, w.length_s, w.consumption_w, w.production_w) for w in found] == [
        (0, 1800, 10_000, None),
        (0, 1800, None, 4000),
        (1800, 1800, 8000, None),
        (1800, 1800, None, 6000),
    ]


def test_grid_aware_charging_continuous_and_separated_intervals_mean_the_same() -> None:
    """The Dutch profile: one payload IMPORT_CAPACITY_LIMIT in KW each, and no priority."""
    kw = [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW", "objectType": "EVENT_PAYLOAD_DESCRIPTOR"}]
    continuous = event(
        payloadDescriptors=kw, intervals=[interval("IMPORT_CAPACITY_LIMIT", 1.0, number=0), interval("IMPORT_CAPACITY_LIMIT", 2.0, number=1)]
    )
    separated = event(
        payloadDescriptors=kw,
        intervalPeriod=None,
        intervals=[
            interval("IMPORT_CAPACITY_LIMIT", 1.0, number=0, start=START, duration="PT1H"),
            interval("IMPORT_CAPACITY_LIMIT", 2.0, number=1, start="2023-02-10T01:00:00Z", duration="PT1H"),
        ],
    )
    assert limits(continuous) == limits(separated) == [(0, 3600, 1000), (3600, 3600, 2000)]


def test_a_safe_mode_without_an_end_gives_way_to_a_schedule_and_a_priority_goes_first() -> None:
    safe = windows(event(intervalPeriod={"start": START, "duration": "P9999Y"}, intervals=[interval("IMPORT_CAPACITY_LIMIT", 5.0)]))[0]
    schedule = windows(event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 50.0)]))[0]
    urgent = windows(event(priority=0, intervals=[interval("IMPORT_CAPACITY_LIMIT", 1.0)]))[0]
    subscribed = windows(event(intervals=[interval("IMPORT_CAPACITY_SUBSCRIPTION", 40.0)]))[0]
    assert safe.length_s is None
    assert (urgent.primacy, schedule.primacy, safe.primacy, subscribed.primacy) == (0, NO_PRIORITY, STANDING, SUBSCRIBED)


# -- 7.3, 7.4, 7.9: times --------------------------------------------------------------------------------


def test_7_4_an_interval_has_a_length_of_its_own() -> None:
    raw = event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 1.0), interval("IMPORT_CAPACITY_LIMIT", 2.0, number=1, duration="PT2H")])
    assert limits(raw) == [(0, 3600, 1000), (3600, 7200, 2000)]


def test_7_3_a_start_at_the_beginning_of_time_follows_the_one_before() -> None:
    second = interval("IMPORT_CAPACITY_LIMIT", 2.0, number=1, start="0001-01-01T00:00:00", duration="PT2H")
    assert limits(event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 1.0), second])) == [(0, 3600, 1000), (3600, 7200, 2000)]


def test_7_3_do_it_now_holds_from_when_it_was_made_without_an_end() -> None:
    now = {"start": "0001-01-01", "duration": "P9999Y"}
    raw = event(intervalPeriod=now, intervals=[interval("IMPORT_CAPACITY_LIMIT", 3.0)], createdDateTime="2023-02-10T00:10:00Z")
    assert limits(raw, T0 + 3600) == [(600, None, 3000)]
    assert limits(raw | {"createdDateTime": None}, T0 + 3600) == [(3600, None, 3000)]


def test_7_9_no_time_at_all_is_called_off() -> None:
    assert limits(event(intervalPeriod={"start": "0001-01-01", "duration": "PT0S"}, intervals=[interval("IMPORT_CAPACITY_LIMIT", 3.0)])) == []


def test_without_a_duration_a_limit_does_not_end_by_itself() -> None:
    assert limits(event(intervalPeriod={"start": START}, intervals=[interval("IMPORT_CAPACITY_LIMIT", 3.0)])) == [(0, None, 3000)]
    assert limits(event(intervalPeriod={"start": START, "duration": "PT0S"}, intervals=[interval("IMPORT_CAPACITY_LIMIT", 3.0)])) == [(0, None, 3000)]


def test_without_a_duration_it_ends_where_the_next_one_starts() -> None:
    two = [interval("IMPORT_CAPACITY_LIMIT", 3.0), interval("IMPORT_CAPACITY_LIMIT", 4.0, number=1, start="2023-02-10T05:00:00Z")]
    assert limits(event(intervalPeriod={"start": START}, intervals=two)) == [(0, 18_000, 3000), (18_000, None, 4000)]


@pytest.mark.parametrize(
    "raw",
    [
        event(intervalPeriod=None, intervals=[interval("SIMPLE", 1)]),
        event(intervalPeriod={"start": START}, intervals=[interval("SIMPLE", 1), interval("SIMPLE", 2, number=1)]),
        event(intervalPeriod={"start": START, "duration": "P9999Y"}, intervals=[interval("SIMPLE", 1), interval("SIMPLE", 2, number=1)]),
    ],
)
def test_an_event_nobody_can_place_in_time_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        limits(raw)


# -- what other servers send ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "start_s", "length_s"),
    [
        ({"intervalPeriod": {"start": START, "duration": "PT1H", "randomizeStart": "P0S"}}, 0, 3600.0),  # the guide's own default (7.3)
        ({"intervalPeriod": {"start": START, "duration": "PT1H", "randomizeStart": None}}, 0, 3600.0),
        ({"intervalPeriod": {"start": "2023-02-10 00:00:00Z", "duration": "P9999Y"}}, 0, None),
        ({"intervalPeriod": {"start": "2023-02-10T01:00:00+01:00", "duration": "P9999Y0M0DT0H0M0S"}}, 0, None),
        ({"intervalPeriod": {"start": START, "duration": "PT3600S"}}, 0, 3600.0),
        ({"intervalPeriod": {"start": START, "duration": "P1W"}}, 0, 604_800.0),
        ({"intervalPeriod": {"start": START, "duration": "PT1H"}, "duration": "P9999Y"}, 0, 3600.0),  # again and again for ever
        ({"eventName": None, "priority": None, "targets": None, "reportDescriptors": None, "payloadDescriptors": None}, 0, 3600.0),
        ({"eventName": "x" * 5000}, 0, 3600.0),
        ({"eventName": 7, "bindingEvents": True, "x-own": {"a": [1]}}, 0, 3600.0),
        ({"createdDateTime": "soon", "modificationDateTime": None}, 0, 3600.0),
        ({"priority": -1}, 0, 3600.0),
    ],
    ids=lambda value: str(value)[:60],
)
def test_fields_that_are_missing_odd_or_new_lose_no_limit(changes: dict[str, Any], start_s: float, length_s: float | None) -> None:
    """Optional fields are nullable, and unknown ones allowed (definition, "Required and optional properties")."""
    raw = event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 3.0)]) | changes
    assert limits(raw)[0] == (start_s, length_s, 3000.0)


def test_an_interval_without_an_id_counts_by_its_place() -> None:
    two = [interval("IMPORT_CAPACITY_LIMIT", 1.0), interval("IMPORT_CAPACITY_LIMIT", 2.0)]
    for each in two:
        del each["id"]
    assert [one.id for one in read_event(event(intervals=two)).intervals] == [0, 1]
    assert limits(event(intervals=two)) == [(0, 3600, 1000), (3600, 3600, 2000)]


def test_7_7_a_report_asked_for_with_a_slip_of_the_pen_loses_no_limit() -> None:
    """Example 7.7-1 of the user guide writes payLoadType. The limit beside it holds, and the report is told to be none."""
    raw = event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 3.0)], reportDescriptors=[{"payLoadType": "USAGE", "aggregate": True}, 7])
    assert limits(raw) == [(0, 3600.0, 3000.0)]
    groups, why = grouped(read_event(raw).reports)
    assert groups == {}
    assert len(why) == 2
    assert all("a report is not sent, as what is asked for is unreadable" in each for each in why)


@pytest.mark.parametrize("bound", ["PT10M", "-PT10M"])
def test_7_3_a_random_start_is_either_way_within_its_absolute_value(bound: str) -> None:
    """Its bound is the absolute value, and the shift may be earlier or later."""
    period = {"start": START, "duration": "PT1H", "randomizeStart": bound}
    raws = [event(id=f"e{number}", intervalPeriod=period, intervals=[interval("IMPORT_CAPACITY_LIMIT", 1.0)]) for number in range(200)]
    shifts = [limits(raw)[0][0] for raw in raws]
    assert all(-600 <= shift <= 600 for shift in shifts)
    assert min(shifts) < -400
    assert max(shifts) > 400


def test_7_3_an_interval_with_a_start_of_its_own_moves_with_the_first_one() -> None:
    period = {"start": START, "duration": "PT1H", "randomizeStart": "PT10M"}
    second = interval("IMPORT_CAPACITY_LIMIT", 2.0, number=1, start="2023-02-10T03:00:00Z", duration="PT1H")
    found = limits(event(intervalPeriod=period, intervals=[interval("IMPORT_CAPACITY_LIMIT", 1.0), second]))
    assert found[1][0] - 3 * 3600 == found[0][0] != 0


def test_a_program_has_a_period_of_its_own_that_is_none_of_its_events() -> None:
    """3.1: program.intervalPeriod is the program's span; without a period in event and intervals nothing says when (7.4)."""
    program = read_program({"id": "p", "programName": "x", "intervalPeriod": {"start": START, "duration": "P1Y"}})
    raw = event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 3.0)]) | {"intervalPeriod": None}
    with pytest.raises(Refused, match="nothing says when"):
        meaning(read_event(raw), program, US, T0, T0)


def test_7_3_event_duration_cuts_off_and_repeats() -> None:
    two = [interval("IMPORT_CAPACITY_LIMIT", 1.0), interval("IMPORT_CAPACITY_LIMIT", 2.0, number=1)]
    assert limits(event(duration="PT90M", intervals=two)) == [(0, 3600, 1000), (3600, 1800, 2000)]
    assert limits(event(duration="PT3H", intervals=two)) == [(0, 3600, 1000), (3600, 3600, 2000), (7200, 3600, 1000)]


def test_7_3_a_tariff_that_repeats_for_ever_is_known_for_a_week() -> None:
    raw = event(duration="P9999Y", intervals=[interval("PRICE", 0.1 * hour, number=hour) for hour in range(24)])
    found = values(raw, T0 + 400 * 86_400)
    assert any(start <= 400 * 86_400 + 3 * 3600 < end and value == pytest.approx(0.3) for _, start, end, value in found)
    assert max(end for _, _, end, _ in found) <= (400 + 8) * 86_400


def test_7_3_a_random_start_shifts_all_intervals_alike_and_always_the_same() -> None:
    period = {"start": START, "duration": "PT1H", "randomizeStart": "PT10M"}
    raw = event(intervalPeriod=period, intervals=[interval("IMPORT_CAPACITY_LIMIT", 1.0), interval("IMPORT_CAPACITY_LIMIT", 2.0, number=1)])
    first, second = limits(raw)
    assert second[0] - first[0] == 3600
    assert limits(raw) == [first, second]
    others = [limits(raw | {"id": f"e{number}"})[0][0] for number in range(200)]
    assert all(-600 <= shift <= 600 for shift in others)
    assert min(others) < -300 < 300 < max(others)


# -- payloads --------------------------------------------------------------------------------------------


def test_7_3_1_several_prices_share_an_interval() -> None:
    raw = event(intervalPeriod=None, intervals=[interval("PRICE", 0.17, 0.03, 0.11, start=START, duration="PT3H")])
    assert values(raw) == [("buy", 0, 3600, 0.17), ("buy", 3600, 7200, 0.03), ("buy", 7200, 10_800, 0.11)]


@pytest.mark.parametrize(
    ("descriptor", "value"),
    [
        ({"units": "KWH", "currency": "EUR"}, 120.0),
        ({"units": "MWH", "currency": "EUR"}, 0.12),
        ({}, 120.0),
        ({"units": "KWH", "currency": "USD"}, None),
        ({"units": "THERMS", "currency": "EUR"}, None),
    ],
)
def test_prices_are_per_kwh_in_the_tariffs_currency_or_not_taken(descriptor: dict[str, str], value: float | None) -> None:
    raw = event(payloadDescriptors=[{"payloadType": "PRICE"} | descriptor], intervals=[interval("PRICE", 120.0)])
    assert [found[3] for found in values(raw)] == ([] if value is None else [pytest.approx(value)])
    assert bool(notes(raw)) == (value is None)


def test_8_2_levels_of_load_shed_are_what_the_site_file_says() -> None:
    found = [limits(event(intervals=[interval("SIMPLE", level)])) for level in (0, 1, 2, 3)]
    assert found == [[], [(0, 3600, 50_000)], [(0, 3600, 30_000)], [(0, 3600, 0)]]


def test_8_5_a_dispatch_is_a_setpoint_and_a_limit() -> None:
    (window,) = windows(
        event(payloadDescriptors=[{"payloadType": "DISPATCH_SETPOINT", "units": "KW"}], intervals=[interval("DISPATCH_SETPOINT", 0.5)])
    )
    assert (window.setpoint_w, window.consumption_w) == (500, 500)


def test_8_1_an_alert_is_told_and_obeyed_only_if_the_site_file_says_so() -> None:
    raw = event(intervals=[interval("ALERT_GRID_EMERGENCY", "The grid is currently under emergency conditions")])
    assert limits(raw) == []
    assert "an alert for people: 'The grid is currently under emergency conditions'" in notes(raw)
    assert limits(raw, us=Us("ven-1", "depot", BASE, alert_level=2)) == [(0, 3600, 30_000)]


@pytest.mark.parametrize("bad", [interval("IMPORT_CAPACITY_LIMIT", -5.0), interval("IMPORT_CAPACITY_LIMIT"), interval("IMPORT_CAPACITY_LIMIT", "5")])
def test_a_limit_that_cannot_be_read_is_the_failsafe_and_is_told(bad: dict[str, Any]) -> None:
    assert limits(event(intervals=[bad])) == [(0, 3600, 4200)]
    assert "IMPORT_CAPACITY_LIMIT is not obeyed" in notes(event(intervals=[bad]))


def test_watts_that_say_no_unit_are_no_megawatts() -> None:
    """kW where nothing else is said: 42 000 would be no limit at all."""
    assert limits(event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 42_000)])) == [(0, 3600, 4200)]
    assert "the sender must say the unit" in notes(event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 42_000)]))


def test_a_version_with_a_limit_that_cannot_be_read_leaves_the_lower_of_the_one_before_and_the_failsafe() -> None:
    before = meaning(read_event(event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 3.0)])), None, US, T0, T0)
    said = meaning(read_event(event(intervals=[interval("IMPORT_CAPACITY_LIMIT", "3")])), None, US, T0, T0)
    assert (before.unread, said.unread) == (False, True)
    both = still(said, before).windows
    assert {window.consumption_w for window in both} == {3000.0, 4200.0}
    assert len({window.key for window in both}) == 2
    assert len({(window.primacy, window.created_s) for window in both}) == 1, "so that the lower one leads"


def test_a_subscription_by_the_month_lasts_a_month() -> None:
    """February has 28 days, March 31; they follow each other, and the year's end cuts."""
    year = event(
        intervalPeriod={"start": "2026-02-01T00:00:00Z", "duration": "P1M"},
        intervals=[interval("IMPORT_CAPACITY_SUBSCRIPTION", 30.0), interval("IMPORT_CAPACITY_SUBSCRIPTION", 40.0, number=1)],
        duration="P1M15D",
    )
    found = slots(read_event(year), "ven-1", T0, read_event(year).period.start_s or 0.0)
    begin_s = found[0].start_s
    assert [(slot.start_s - begin_s, slot.end_s - begin_s) for slot in found] == [(0.0, 28 * 86_400.0)]
    later = slots(read_event(year), "ven-1", T0, begin_s + 28 * 86_400.0)
    assert [(slot.start_s - begin_s, slot.end_s - begin_s) for slot in later][-1] == (28 * 86_400.0, 43 * 86_400.0)


def test_units_of_the_program_hold_where_the_event_has_none() -> None:
    program = read_program({"id": "p", "programName": "doe", "payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "W"}]})
    raw = event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 4200)])
    assert meaning(read_event(raw), program, US, T0, T0).windows[0].consumption_w == 4200
    kw = raw | {"payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}]}
    assert meaning(read_event(kw), program, US, T0, T0).windows[0].consumption_w == 4_200_000


# -- targets ---------------------------------------------------------------------------------------------

EAN, OTHER = "871234567890123456", "879999999999999999"


@pytest.mark.parametrize(
    ("targets", "ours", "enforced", "means"),
    [
        (None, (), False, True),
        ([{"type": "VEN_NAME", "values": ["ven-1", "x"]}], (), False, True),
        ([{"type": "VEN_NAME", "values": ["x"]}], (), False, False),
        ([{"type": "RESOURCE_NAME", "values": ["depot"]}], (), False, True),
        ([{"type": "GROUP", "values": ["north"]}], (), False, False),
        ([{"type": "GROUP", "values": ["north"]}], ("north",), False, True),
        ([{"type": "VEN_NAME", "values": ["ven-1"]}, {"type": "ORGANIZATION_ID", "values": ["81"]}], (), False, True),
        ([{"type": "POWER_SERVICE_LOCATION", "values": [EAN]}, {"type": "VEN_NAME", "values": ["ven-1"]}], (EAN,), False, True),
        ([{"type": "POWER_SERVICE_LOCATION", "values": [OTHER]}, {"type": "VEN_NAME", "values": ["ven-1"]}], (EAN,), False, False),
        ([{"type": "POWER_SERVICE_LOCATION", "values": [OTHER]}, {"type": "VEN_NAME", "values": ["ven-1"]}], (), False, True),
        ([{"type": "POWER_SERVICE_LOCATION", "values": [OTHER]}], (), False, False),
        ([EAN], (EAN,), True, True),
        ([OTHER], (EAN,), True, False),
        ([OTHER], (), True, True),  # 3.1: the server showed it to us, so it was granted to us
        ([OTHER], (), False, False),
    ],
)
def test_whom_an_event_means(targets: Any, ours: tuple[str, ...], enforced: bool, means: bool) -> None:
    us = Us("ven-1", "depot", BASE, targets=frozenset(ours), enforced=enforced)
    assert means_us(read_event(event(targets=targets)), None, us) is means


# -- series ----------------------------------------------------------------------------------------------


def test_where_two_prices_overlap_the_higher_priority_holds() -> None:
    def value(start: float, end: float, price: float, primacy: int = 5, created: float = 0) -> Value:
        return Value("buy", start, end, price, primacy, created)

    assert merged([value(0, 100, 1.0), value(20, 30, 2.0, 1), value(40, 60, 3.0, 9)], "buy", 0, 80) == ((0, 20, 1.0), (20, 30, 2.0), (30, 80, 1.0))
    assert merged([value(0, 100, 1.0, created=1), value(0, 100, 2.0, created=2)], "buy", 0, 100) == ((0, 100, 2.0),)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 30), st.integers(0, 3)), max_size=30))
def test_a_merged_series_never_overlaps_and_covers_what_was_told(parts: list[tuple[int, int, int]]) -> None:
    told = [Value("buy", start, start + length, number, primacy, 0) for number, (start, length, primacy) in enumerate(parts)]
    found = merged(told, "buy", 0, 60)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(found))
    for moment in range(60):
        at = [value for value in told if value.start_s <= moment < value.end_s]
        said = [value for start, end, value in found if start <= moment < end]
        assert len(said) == bool(at)
        if at:
            assert told[int(said[0])].primacy == min(value.primacy for value in at)


# -- any JSON --------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from([START, "PT1H", "P9999Y", "KW", "PRICE"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = [*event(intervals=[]), "priority", "targets", "payloadDescriptors", "reportDescriptors", "duration"]


@settings(max_examples=examples(300), deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=12))
def test_any_json_is_an_event_or_a_clear_refusal(parts: dict[str, Any]) -> None:
    try:
        found = read_event(event(intervals=[interval("IMPORT_CAPACITY_LIMIT", 5.0)]) | parts)
        said = meaning(found, None, US, T0, T0)
    except Refused:
        return
    for window in said.windows:
        assert window.consumption_w is None or (math.isfinite(window.consumption_w) and window.consumption_w >= 0)
        assert math.isfinite(window.start_s)
        assert window.length_s is None or 0 < window.length_s < math.inf


@settings(max_examples=examples(300), deadline=None)
@given(st.floats(0, 1e5), st.sampled_from(["KW", "W", "MW", "KWH", "PERCENT", "AMPS", "PERCENTAGE", None]), st.integers(1, 86_400))
def test_a_limit_is_never_higher_than_stated(value: float, unit: str | None, seconds: int) -> None:
    descriptors = [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": unit}]
    raw = event(payloadDescriptors=descriptors, intervalPeriod={"start": START, "duration": f"PT{seconds}S"})
    found = limits(raw | {"intervals": [interval("IMPORT_CAPACITY_LIMIT", value)]})
    most = {"KW": 1e3, "W": 1, "MW": 1e6, "KWH": 3.6e6 / seconds, "PERCENT": 69_000, "AMPS": 690, "PERCENTAGE": 690, None: 1e3}[unit]
    assert all(watts is not None and watts <= max(most * value * (1 + 1e-9), 4200.0) for _, _, watts in found)
    assert [start for start, _, _ in found] == [0]


@given(JSON)
def test_any_json_has_an_id_or_none(raw: Any) -> None:
    try:
        assert object_id(raw)
    except Refused:
        assert not (isinstance(raw, dict) and isinstance(raw.get("id"), str) and 0 < len(raw["id"]) <= 128)


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(0, 3), st.integers(0, 10), st.sampled_from([None, "PT5H", "P9999Y", "PT30M"]))
def test_slots_are_in_order_and_never_empty(before_h: int, count: int, duration: str | None) -> None:
    raw = event(intervals=[interval("SIMPLE", 1, number=number) for number in range(count)]) | ({"duration": duration} if duration else {})
    found = slots(read_event(json.loads(json.dumps(raw))), "ven-1", T0, T0 + 3600 * before_h)
    assert all(one.start_s < one.end_s <= two.start_s for one, two in itertools.pairwise(found))
