"""Reports that OpenADR 3 events ask for: when one is due, about which intervals, and what it says.

How the specification's numbers are read (user guide 7.5 and 8.3):

- ``startInterval`` s: the report covers ``numIntervals`` intervals that end with s and is due at its end; -1 = the last one, all of them.
  Where fewer than that lie before s, it covers those from s on, as the guide's example of a subset does.
- Report k covers the intervals shifted by k times ``frequency`` (-1 = as many as a report covers); ``repeat`` of them, -1 = to the end.
- ``frequency`` 0, or an event with neither intervals nor a length: a report of the moment, at once, and again every quarter of an hour while
  the event lasts and ``repeat`` allows.
- An event with a length and no intervals has as many of that length as reports need.

Forecasts (``historical`` false) are refused: what will be drawn is the plan's business and changes every few minutes. ``REFUSED`` has the
payload types we cannot fill. Reports about times before the first reading are not made up: they are left out, with a note.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from signals.openadr3_objects import Event, ReportRequest
from signals.openadr3_times import Slot, called_off, first_start_s
from signals.openadr_plain import FOREVER_S, Refused, duration_text, time_text

AD_HOC_S: Final = 900.0
KEPT_S: Final = 3 * 86_400.0
SPACING_S: Final = 10.0
MOST_COVERED: Final = 3000
LATE_S: Final = 86_400.0
"""A report that could not be delivered for so long is given up."""

REFUSED: Final[dict[str, str]] = {
    "BASELINE": "we do not say what would have been drawn",
    "DELTA_USAGE": "there is no agreed baseline",
    "SETPOINT": "its meaning is private to a program",
    "REGULATION_SETPOINT": "there is no regulation service here",
    "UP_REGULATION_AVAILABLE": "there is no regulation service here",
    "DOWN_REGULATION_AVAILABLE": "there is no regulation service here",
    "USAGE_FORECAST": "forecasts are not given away",
    "STORAGE_DISPATCH_FORECAST": "forecasts are not given away",
    "LOAD_SHED_DELTA_AVAILABLE": "forecasts are not given away",
    "GENERATION_DELTA_AVAILABLE": "forecasts are not given away",
    "IMPORT_RESERVATION_CAPACITY": "we reserve no capacity",
    "IMPORT_RESERVATION_FEE": "we reserve no capacity",
    "EXPORT_RESERVATION_CAPACITY": "we reserve no capacity",
    "EXPORT_RESERVATION_FEE": "we reserve no capacity",
    "IMPORT_CAPACITY_RESERVATION": "we reserve no capacity",
    "EXPORT_CAPACITY_RESERVATION": "we reserve no capacity",
}
"""Report payload type -> why it is not sent."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the site measured at a moment. Import and charging positive; None = not known. Energies are counters [Wh]."""

    at_s: float
    power_w: float | None = None
    import_wh: float | None = None
    export_wh: float | None = None
    voltage_v: float | None = None
    controllable_w: float | None = None
    soc_percent: float | None = None
    limit_w: float | None = None
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Storage:
    """The stationary battery, for reports about it."""

    capacity_wh: float
    max_charge_w: float
    max_discharge_w: float


class Samples:
    """The readings of the last days, one each ``SPACING_S``."""

    def __init__(self) -> None:
        self._kept: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Keep one. Wall clocks may be set back: what lies behind it is forgotten then, as its order means nothing."""
        while self._kept and self._kept[-1].at_s >= sample.at_s:
            self._kept.pop()
        if self._kept and sample.at_s - self._kept[-1].at_s < SPACING_S:
            return
        self._kept.append(sample)
        while sample.at_s - self._kept[0].at_s > KEPT_S:
            self._kept.popleft()

    def during(self, start_s: float, end_s: float) -> list[Sample]:
        """Readings within a span, with the last one before it if that is not older than a minute."""
        found = [sample for sample in self._kept if start_s - 60 <= sample.at_s <= end_s]
        before = [sample for sample in found if sample.at_s <= start_s]
        return [*before[-1:], *(sample for sample in found if sample.at_s > start_s)]

    def last(self) -> Sample | None:
        """The newest reading."""
        return self._kept[-1] if self._kept else None


@dataclass(frozen=True, slots=True)
class Cover:
    """One interval of a report."""

    id: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Due:
    """Report number k of a request, due at due_s, about these intervals. ad_hoc: about the moment it is made."""

    number: int
    due_s: float
    covers: tuple[Cover, ...] = ()
    ad_hoc: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """What requests have in common that go into one report."""

    start_interval: int
    num_intervals: int
    frequency: int
    repeat: int
    aggregate: bool


def grouped(requests: Iterable[ReportRequest]) -> tuple[dict[Timing, list[ReportRequest]], tuple[str, ...]]:
    """Requests by the report they go into, and why the others go into none."""
    groups: dict[Timing, list[ReportRequest]] = {}
    notes: list[str] = []
    for request in requests:
        if request.payload_type.startswith("("):
            notes.append(f"a report is not sent, as what is asked for is {request.payload_type[1:-1]}")
            continue
        why = REFUSED.get(request.payload_type) or (None if request.payload_type in _SAYS else "we do not know this payload type")
        if why is None and not request.historical:
            why = "forecasts are not given away"
        if why is not None:
            notes.append(f"a report of {request.payload_type[:40]} is not sent: {why}")
            continue
        groups.setdefault(timing_of(request), []).append(request)
    return groups, tuple(notes)


def timing_of(request: ReportRequest) -> Timing:
    """When it is due and what it is about."""
    return Timing(request.start_interval, request.num_intervals, request.frequency, request.repeat, request.aggregate)


def due(event: Event, timing: Timing, number: int, ven_name: str, seen_s: float, now_s: float, slots: tuple[Slot, ...]) -> Due | None:
    """Report ``number`` (from 0) of an event; None when there is none any more. It may lie in the future. Raises Refused as the times do."""
    if timing.repeat >= 0 and number >= max(1, timing.repeat):
        return None
    if timing.frequency == 0 or (not event.intervals and not _implied_s(event)):
        return _ad_hoc(event, number, ven_name, seen_s, now_s)
    if called_off(event):
        return None
    at = _interval_at(event, ven_name, seen_s, slots)
    count = len(event.intervals) if event.intervals and event.length_s is None else None
    asked = timing.num_intervals if timing.num_intervals > 0 else len(event.intervals) or 1
    covers = min(asked, MOST_COVERED)
    start = timing.start_interval if timing.start_interval >= 0 else (count or covers) - 1
    last = start + (covers - 1 if start - covers + 1 < 0 else 0)
    last += number * (timing.frequency if timing.frequency > 0 else covers)
    found = [at(place) for place in range(max(0, last - covers + 1), last + 1)]
    known = tuple(cover for cover in found if cover is not None and cover.end_s < FOREVER_S)
    if not known or found[-1] is None:
        return None
    return Due(number, known[-1].end_s, known)


def first_number(event: Event, timing: Timing, seen_s: float, slots: tuple[Slot, ...], from_s: float) -> int:
    """The first report that may be about times from from_s on, so that nobody counts through years of them. Too low is right, too high is not."""
    covers = timing.num_intervals if timing.num_intervals > 0 else len(event.intervals) or 1
    step = timing.frequency if timing.frequency > 0 else covers
    if event.intervals:
        first = min((slot.number for slot in slots), default=0)
    else:
        begin_s, length_s = event.period.start_s, _implied_s(event)
        first = int((from_s - begin_s) / length_s) if begin_s is not None and length_s else 0
    return max(0, (first - max(covers, timing.start_interval) - covers) // max(1, step))


def _implied_s(event: Event) -> float | None:
    length_s = event.period.length_s
    return length_s if length_s and length_s < FOREVER_S else None


def _ad_hoc(event: Event, number: int, ven_name: str, seen_s: float, now_s: float) -> Due | None:
    """Now, and again each quarter of an hour. An event with a real window is reported on while it lasts."""
    told_s = first_start_s(event, ven_name, seen_s) if event.intervals else event.period.start_s
    begin_s = seen_s if event.period.now or told_s is None else told_s
    due_s = max(begin_s, seen_s) + number * AD_HOC_S
    length_s = event.length_s if event.length_s is not None else event.period.length_s
    if length_s and length_s < FOREVER_S and due_s > begin_s + length_s * max(1, len(event.intervals)):
        return None
    return Due(number, due_s, ad_hoc=True)


def _interval_at(event: Event, ven_name: str, seen_s: float, slots: tuple[Slot, ...]) -> Callable[[int], Cover | None]:
    if event.intervals:
        known = {slot.number: Cover(slot.interval.id, slot.start_s, slot.end_s) for slot in slots}
        return known.get
    length_s = _implied_s(event) or AD_HOC_S
    if event.period.start_s is None and not event.period.now:
        raise Refused("nothing says when the intervals to report on start")
    begin_s = event.period.start_s if event.period.start_s is not None else seen_s
    stop_s = begin_s + event.length_s if event.length_s is not None else FOREVER_S

    def implied(place: int) -> Cover | None:
        start_s = begin_s + place * length_s
        return Cover(place, start_s, start_s + length_s) if start_s < stop_s else None

    return implied


# -- what a report says ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Value:
    values: list[Any]
    whole: bool = True


Say = Callable[[ReportRequest, list[Sample], Cover, Storage | None], "_Value | None"]
GAP_S: Final = 120.0
"""Readings further apart than this leave a hole."""


def report_name(event: Event, timing: Timing, number: int, ven_name: str) -> str:
    """The same for the same report each time we ask, and no other's: servers may refuse a second one of a name (409), and by it we find out
    whether one got through. Names of events are not unique, nor is the number by itself: an event may ask for several kinds of reports."""
    own = f"{event.id} {event.created_s} {timing}"
    return f"{ven_name} {event.name or event.id}"[:90] + f" {sha256(own.encode('utf-8', 'surrogatepass')).hexdigest()[:12]} {number}"


def report(
    event: Event,
    requests: list[ReportRequest],
    what: Due,
    samples: Samples,
    storage: Storage | None,
    names: tuple[str, str],
    now_s: float,
    generation: str,
) -> dict[str, Any] | None:
    """The body of POST /reports; None if there is nothing we measured to put into it. names: of VEN and resource. generation: "3.0" or "3.1"."""
    covers = (Cover(0, now_s, now_s),) if what.ad_hoc else what.covers
    intervals, units = [], dict[str, str | None]()
    for cover in covers:
        payloads = _payloads(requests, samples, storage, cover, units)
        if payloads:
            period = {"start": time_text(cover.start_s), "duration": duration_text(cover.end_s - cover.start_s)}
            intervals.append({"id": cover.id, "intervalPeriod": period, "payloads": payloads})
    if not intervals:
        return None
    body: dict[str, Any] = {"programID": event.program_id} if generation == "3.0" else {}
    body |= {
        "eventID": event.id,
        "clientName": names[0],
        "reportName": report_name(event, timing_of(requests[0]), what.number, names[0]),
        "payloadDescriptors": [_described(each, units.get(each.payload_type), generation) for each in requests if each.payload_type in units],
        "resources": [{"resourceName": "AGGREGATED_REPORT" if requests[0].aggregate else names[1], "intervals": intervals}],
    }
    return body


def _payloads(
    requests: list[ReportRequest], samples: Samples, storage: Storage | None, cover: Cover, units: dict[str, str | None]
) -> list[dict[str, Any]]:
    newest = samples.last()
    instant = cover.end_s <= cover.start_s
    found = ([newest] if newest is not None else []) if instant else samples.during(cover.start_s, cover.end_s)
    payloads: list[dict[str, Any]] = []
    whole = True
    for request in requests:
        said = _SAYS[request.payload_type](request, found, cover, storage)
        if said is None:
            continue
        whole = whole and said.whole
        units[request.payload_type] = _unit_of(request)
        payloads.append({"type": request.payload_type, "values": said.values})
    if payloads and not whole:
        payloads.append({"type": "DATA_QUALITY", "values": ["ESTIMATED"]})
    return payloads


def _described(request: ReportRequest, unit: str | None, generation: str) -> dict[str, Any]:
    """objectType is needed from 3.1 on; in 3.0 it is optional and some readers do not know it."""
    body: dict[str, Any] = {"objectType": "REPORT_PAYLOAD_DESCRIPTOR"} if generation != "3.0" else {}
    body["payloadType"] = request.payload_type
    if request.reading_type:
        body["readingType"] = request.reading_type
    return body | ({"units": unit} if unit else {})


_DEFAULT_UNITS: Final = {
    "USAGE": "KWH",
    "DEMAND": "KW",
    "READING": "KW",
    "STORAGE_CHARGE_LEVEL": "PERCENT",
    "STORAGE_USABLE_CAPACITY": "KWH",
    "STORAGE_MAX_CHARGE_POWER": "KW",
    "STORAGE_MAX_DISCHARGE_POWER": "KW",
}


def _unit_of(request: ReportRequest) -> str | None:
    return request.units or _DEFAULT_UNITS.get(request.payload_type)


def _scaled(request: ReportRequest, watts: float, units: Mapping[str, float]) -> float | None:
    """Watts or watt hours in the unit asked for; None for one that does not fit."""
    factor = units.get((_unit_of(request) or "").upper())
    return None if factor is None else round(watts / factor, 4)


_POWER: Final = {"KW": 1000.0, "W": 1.0, "MW": 1e6}
_ENERGY: Final = {"KWH": 1000.0, "WH": 1.0, "MWH": 1e6}


def _mean_w(found: list[Sample], cover: Cover) -> tuple[float, bool] | None:
    """(mean power over time [W], whether readings fill the span)."""
    known = [(max(sample.at_s, cover.start_s), sample.power_w) for sample in found if sample.power_w is not None]
    if not known:
        return None
    ends = [at_s for at_s, _ in known[1:]] + [cover.end_s]
    spans = [(min(end_s - at_s, GAP_S), power_w) for (at_s, power_w), end_s in zip(known, ends, strict=True)]
    covered_s = sum(span_s for span_s, _ in spans)
    if covered_s <= 0:
        return known[-1][1], True
    mean_w = sum(span_s * power_w for span_s, power_w in spans) / covered_s
    return mean_w, covered_s >= 0.98 * (cover.end_s - cover.start_s)


def _usage(request: ReportRequest, found: list[Sample], cover: Cover, storage: Storage | None) -> _Value | None:
    """Energy drawn from the grid, from the meter's counter where it has one, else from its power."""
    counted = [(sample.at_s, sample.import_wh) for sample in found if sample.import_wh is not None]
    if len(counted) > 1 and counted[-1][1] >= counted[0][1]:
        span_s = counted[-1][0] - counted[0][0]
        whole = abs(span_s - (cover.end_s - cover.start_s)) <= 2 * SPACING_S + 1
        value = _scaled(request, counted[-1][1] - counted[0][1], _ENERGY)
        return None if value is None else _Value([value], whole)
    mean = _mean_w(found, cover)
    if mean is None:
        return None
    value = _scaled(request, max(0.0, mean[0]) * (cover.end_s - cover.start_s) / 3600, _ENERGY)
    return None if value is None else _Value([value], False)


def _demand(request: ReportRequest, found: list[Sample], cover: Cover, storage: Storage | None) -> _Value | None:
    """Power drawn, mean or highest; the schema has it >= 0."""
    mean = _mean_w(found, cover)
    if mean is None:
        return None
    power_w, whole = mean
    if (request.reading_type or "").upper() == "PEAK":
        power_w = max(sample.power_w for sample in found if sample.power_w is not None)
    value = _scaled(request, max(0.0, power_w), _POWER)
    return None if value is None else _Value([value], whole)


def _reading(request: ReportRequest, found: list[Sample], cover: Cover, storage: Storage | None) -> _Value | None:
    """What a meter showed last in the interval: power (feed-in negative), the import counter, voltage."""
    unit = (_unit_of(request) or "").upper()
    if unit in ("VOLTS", "V"):
        shown: list[float] = [sample.voltage_v for sample in found if sample.voltage_v is not None]
        return _Value([round(shown[-1], 1)]) if shown else None
    power = unit in _POWER
    seen = [value for sample in found if (value := sample.power_w if power else sample.import_wh) is not None]
    value = _scaled(request, seen[-1], _POWER if power else _ENERGY) if seen else None
    return None if value is None else _Value([value])


def _state(request: ReportRequest, found: list[Sample], cover: Cover, storage: Storage | None) -> _Value | None:
    if not found:
        return None
    if not any(sample.limited for sample in found):
        return _Value(["NORMAL"])
    running = (found[-1].controllable_w or 0.0) > 100.0
    return _Value(["RUNNING_CURTAILED" if running else "IDLE_CURTAILED"])


def _charge_level(request: ReportRequest, found: list[Sample], cover: Cover, storage: Storage | None) -> _Value | None:
    """A fraction for PERCENT, as the enumeration has it; hundredths for PERCENTAGE, as the guide's example has it."""
    known = [sample.soc_percent for sample in found if sample.soc_percent is not None]
    if not known:
        return None
    return _Value([round(known[-1], 2) if (request.units or "").upper() == "PERCENTAGE" else round(known[-1] / 100, 4)])


def _storage(pick: Callable[[Storage], float], units: Mapping[str, float]) -> Say:
    def say(request: ReportRequest, found: list[Sample], cover: Cover, storage: Storage | None) -> _Value | None:
        value = _scaled(request, pick(storage), units) if storage is not None else None
        return None if value is None else _Value([value])

    return say


_SAYS: Final[dict[str, Say]] = {
    "USAGE": _usage,
    "DEMAND": _demand,
    "READING": _reading,
    "OPERATING_STATE": _state,
    "STORAGE_CHARGE_LEVEL": _charge_level,
    "STORAGE_USABLE_CAPACITY": _storage(lambda battery: battery.capacity_wh, _ENERGY),
    "STORAGE_MAX_CHARGE_POWER": _storage(lambda battery: battery.max_charge_w, _POWER),
    "STORAGE_MAX_DISCHARGE_POWER": _storage(lambda battery: battery.max_discharge_w, _POWER),
}
