"""Reports of OpenADR 3: the examples of the user guide (7.5, 8.3, 8.6, 8.7) as tables."""

from __future__ import annotations

from typing import Any

import pytest

from controller.sim.vtn3_models import Report30, Report31
from signals.openadr3_objects import Event, read_event
from signals.openadr3_reports import Due, Sample, Samples, Storage, due, first_number, grouped, report
from signals.openadr3_times import slots

T0 = 1_675_987_200.0
START = "2023-02-10T00:00:00.000Z"


def event(count: int, *requests: dict[str, Any], **parts: Any) -> Event:
    intervals = [{"id": number, "payloads": [{"type": "PRICE", "values": [0.1]}]} for number in range(count)]
    base = {"id": "e", "programID": "p", "intervalPeriod": {"start": START, "duration": "PT1H"}, "intervals": intervals}
    return read_event(base | {"reportDescriptors": [*requests]} | parts)


def covered(found: Event, number: int) -> tuple[list[int], float] | None:
    """(ids of the intervals report ``number`` is about, hours from T0 when it is due)."""
    (timing,) = grouped(found.reports)[0]
    what = due(found, timing, number, "ven", T0, T0, slots(found, "ven", T0, T0) if found.intervals else ())
    return None if what is None else ([cover.id for cover in what.covers], (what.due_s - T0) / 3600)


USAGE = {"payloadType": "USAGE"}


def test_8_3_all_defaults_are_one_report_about_everything_at_the_end() -> None:
    found = event(24, USAGE)
    assert covered(found, 0) == ([*range(24)], 24)
    assert covered(found, 1) is None


def test_7_5_periodic_reports() -> None:
    """startInterval 1, numIntervals 2, frequency 2, repeat 3: intervals 0-1, 2-3, 4-5, each at its end."""
    found = event(6, USAGE | {"startInterval": 1, "numIntervals": 2, "frequency": 2, "repeat": 3})
    assert [covered(found, number) for number in range(4)] == [([0, 1], 2), ([2, 3], 4), ([4, 5], 6), None]


def test_7_5_a_subset() -> None:
    """startInterval 1, numIntervals 3: three intervals from the second on."""
    assert covered(event(5, USAGE | {"startInterval": 1, "numIntervals": 3}), 0) == ([1, 2, 3], 4)


def test_repeat_without_an_end_lasts_as_long_as_the_event() -> None:
    found = event(4, USAGE | {"startInterval": 0, "numIntervals": 1, "frequency": 1, "repeat": -1})
    assert [covered(found, number) for number in range(5)] == [([0], 1), ([1], 2), ([2], 3), ([3], 4), None]


def test_8_7_intervals_that_are_only_implied() -> None:
    found = event(0, USAGE | {"startInterval": 0, "numIntervals": 1, "frequency": 1, "repeat": -1})
    assert [covered(found, number) for number in (0, 1, 1000)] == [([0], 1), ([1], 2), ([1000], 1001)]
    (timing,) = grouped(found.reports)[0]
    assert 990 <= first_number(found, timing, T0, (), T0 + 1000 * 3600) <= 1000


def test_looped_intervals_are_reported_on_through_the_loops() -> None:
    found = event(2, USAGE | {"startInterval": 1, "numIntervals": 2, "repeat": -1}, duration="P9999Y")
    now_s = T0 + 100 * 7200 + 100
    (timing,) = grouped(found.reports)[0]
    near = slots(found, "ven", T0, now_s)
    number = first_number(found, timing, T0, near, now_s - 7200)
    done = [what for k in range(number, number + 60) if (what := due(found, timing, k, "ven", T0, now_s, near)) and what.due_s <= now_s]
    assert max(what.due_s for what in done) == T0 + 100 * 7200
    assert [cover.id for cover in done[-1].covers] == [0, 1]


@pytest.mark.parametrize("more", [{"frequency": 0}, {}])
def test_8_6_a_report_of_the_moment(more: dict[str, Any]) -> None:
    found = event(0, {"payloadType": "STORAGE_CHARGE_LEVEL"} | more, intervalPeriod={"start": "0001-01-01", "duration": "PT0H"})
    (timing,) = grouped(found.reports)[0]
    assert due(found, timing, 0, "ven", T0, T0, ()) == Due(0, T0, ad_hoc=True)
    assert due(found, timing, 1, "ven", T0, T0, ()) is None


def test_forecasts_and_what_nobody_measures_are_refused_with_a_reason() -> None:
    found = event(1, USAGE | {"historical": False}, {"payloadType": "BASELINE"}, {"payloadType": "MY_OWN"}, USAGE)
    groups, notes = grouped(found.reports)
    assert [request.payload_type for requests in groups.values() for request in requests] == ["USAGE"]
    assert [note.split(" is not sent: ")[0] for note in notes] == ["a report of USAGE", "a report of BASELINE", "a report of MY_OWN"]


# -- what they say ---------------------------------------------------------------------------------------


def measured(**more: Any) -> Samples:
    """An hour at 6 kW, sampled each 10 s; the counter agrees."""
    found = Samples()
    for step in range(361):
        counted = {"import_wh": 100_000 + step * 6000 / 360, "voltage_v": 231.26} if "import_wh" not in more else {}
        found.add(Sample(T0 + 10 * step, 6000.0, **(counted | more)))  # type: ignore[arg-type]
    return found


def said(request: dict[str, Any], samples: Samples, generation: str = "3.1", **parts: Any) -> Any:
    found = event(1, request, **parts)
    (timing, requests), *_ = grouped(found.reports)[0].items()
    what = due(found, timing, 0, "ven", T0, T0, slots(found, "ven", T0, T0) if found.intervals else ())
    assert what is not None
    body = report(found, requests, what, samples, Storage(50_000, 20_000, 25_000), ("ven", "depot"), T0 + 3600, generation)
    if body is not None:
        (Report30 if generation == "3.0" else Report31).model_validate(body)
    return body


@pytest.mark.parametrize(
    ("request_", "more", "value"),
    [
        (USAGE, {}, 6.0),
        (USAGE | {"units": "WH"}, {}, 6000.0),
        ({"payloadType": "DEMAND"}, {}, 6.0),
        ({"payloadType": "DEMAND", "readingType": "PEAK"}, {}, 6.0),
        ({"payloadType": "READING", "units": "VOLTS"}, {}, 231.3),
        ({"payloadType": "READING", "units": "KW"}, {}, 6.0),
        ({"payloadType": "OPERATING_STATE"}, {}, "NORMAL"),
        ({"payloadType": "OPERATING_STATE"}, {"limited": True, "controllable_w": 5000.0}, "RUNNING_CURTAILED"),
        ({"payloadType": "OPERATING_STATE"}, {"limited": True}, "IDLE_CURTAILED"),
        ({"payloadType": "STORAGE_CHARGE_LEVEL"}, {"soc_percent": 33.0}, 0.33),
        ({"payloadType": "STORAGE_USABLE_CAPACITY"}, {}, 50.0),
        ({"payloadType": "STORAGE_MAX_DISCHARGE_POWER"}, {}, 25.0),
    ],
)
@pytest.mark.parametrize("generation", ["3.0", "3.1"])
def test_values(request_: dict[str, Any], more: dict[str, Any], value: Any, generation: str) -> None:
    body = said(request_, measured(**more), generation)
    (interval,) = body["resources"][0]["intervals"]
    assert interval["payloads"] == [{"type": request_["payloadType"], "values": [value]}]
    assert interval["intervalPeriod"] == {"start": "2023-02-10T00:00:00Z", "duration": "PT1H"}
    assert ("programID" in body) == (generation == "3.0")


def test_usage_without_a_counter_is_an_estimate_and_says_so() -> None:
    (interval,) = said(USAGE, measured(import_wh=None))["resources"][0]["intervals"]
    assert interval["payloads"] == [{"type": "USAGE", "values": [6.0]}, {"type": "DATA_QUALITY", "values": ["ESTIMATED"]}]


def test_feed_in_is_no_negative_usage() -> None:
    found = Samples()
    for step in range(361):
        found.add(Sample(T0 + 10 * step, -3000.0))
    (interval,) = said({"payloadType": "DEMAND"}, found)["resources"][0]["intervals"]
    assert interval["payloads"][0]["values"] == [0.0]
    (interval,) = said({"payloadType": "READING", "units": "KW"}, found)["resources"][0]["intervals"]
    assert interval["payloads"][0]["values"] == [-3.0]


def test_nothing_measured_is_no_report() -> None:
    assert said(USAGE, Samples()) is None
    assert said({"payloadType": "READING", "units": "KVAR"}, measured()) is None


def test_7_7_an_aggregated_report() -> None:
    assert said(USAGE | {"aggregate": True}, measured())["resources"][0]["resourceName"] == "AGGREGATED_REPORT"


def test_readings_behind_a_clock_that_was_set_back_are_forgotten() -> None:
    found = Samples()
    for at_s in (100.0, 110.0, 120.0, 50.0, 60.0):
        found.add(Sample(at_s, at_s))
    assert [sample.at_s for sample in found.during(0, 200)] == [50.0, 60.0]
