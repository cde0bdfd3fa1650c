"""The objects of OpenADR 3.0.1 and 3.1 as plain data: programs, events with their intervals, requests for reports.

Fields we do not know are passed over, as the specification allows servers to have their own. What is missing or of the wrong type raises
``Refused`` for the object it is in, so that one bad event takes no other with it. Times are Unix seconds UTC.

The two generations differ in targets (3.0: lists of types and values, 3.1: plain texts), in ``event.duration`` (3.1 only) and in what may
be left out; both are read here as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from signals.openadr_plain import Length, Refused, boolean, items, length_of, mapping, number, shift_s, text, text_or_none, time_s, whole

MOST_INTERVALS: Final = 3000
MOST_PAYLOADS: Final = 50
MOST_VALUES: Final = 1000
MOST_TARGETS: Final = 5000
MOST_DESCRIPTORS: Final = 100
MOST_NAMED: Final = 300
"""Of an event's name, which is for people: a longer one is cut."""
PLAIN_TARGET: Final = ""
"""Type of a target in 3.1, which has none."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What the values of a payload type are measured in."""

    units: str | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Period:
    """start_s: Unix [s], None = not said; now: the start is the beginning of time. length: None = not said."""

    start_s: float | None = None
    now: bool = False
    length: Length | None = None
    randomize_s: float = 0.0

    @property
    def length_s(self) -> float | None:
        """About how long; inf = without an end."""
        return None if self.length is None else self.length.nominal_s


@dataclass(frozen=True, slots=True)
class Payload:
    """values: as they came, numbers checked by whoever uses them."""

    type: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """One window. id: of the sender, comes back in reports."""

    id: int
    period: Period | None
    payloads: tuple[Payload, ...]


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A ``reportDescriptor``: what is to be reported, about which intervals, how often. The numbers are the specification's."""

    payload_type: str
    reading_type: str | None = None
    units: str | None = None
    aggregate: bool = False
    start_interval: int = -1
    num_intervals: int = -1
    historical: bool = True
    frequency: int = -1
    repeat: int = 1
    intervals: str = "INTERVALS"


Targets = tuple[tuple[str, tuple[str, ...]], ...]
"""(type, values); in 3.1 one entry of type ``PLAIN_TARGET``."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program: what its events have in common."""

    id: str
    name: str
    descriptors: Mapping[str, Descriptor]
    targets: Targets


@dataclass(frozen=True, slots=True)
class Event:
    """An event as its server tells it. length: of the whole event (3.1), None = as its intervals say. created_s, modified_s: None = not told."""

    id: str
    program_id: str
    name: str
    priority: int | None
    created_s: float | None
    modified_s: float | None
    period: Period
    length: Length | None
    intervals: tuple[Interval, ...]
    descriptors: Mapping[str, Descriptor]
    reports: tuple[ReportRequest, ...]
    targets: Targets

    @property
    def length_s(self) -> float | None:
        """About how long as a whole; inf = without an end."""
        return None if self.length is None else self.length.nominal_s


def object_id(raw: Any) -> str:
    """The id of any object, also of one that cannot be read otherwise."""
    return text(mapping(raw, "an object").get("id"), "id")


def read_program(raw: Any) -> Program:
    """A program. Raises Refused."""
    body = mapping(raw, "a program")
    return Program(
        text(body.get("id"), "a program's id"),
        text(body.get("programName"), "programName"),
        _descriptors(body.get("payloadDescriptors")),
        read_targets(body.get("targets")),
    )


def read_event(raw: Any) -> Event:
    """An event. Raises Refused."""
    body = mapping(raw, "an event")
    priority = body.get("priority")
    return Event(
        id=text(body.get("id"), "an event's id"),
        program_id=text(body.get("programID"), "programID"),
        name=name[:MOST_NAMED] if isinstance(name := body.get("eventName"), str) else "",
        priority=None if priority is None else max(0, whole(priority, "priority", -(2**53), 2**53)),
        created_s=_told_time(body.get("createdDateTime")),
        modified_s=_told_time(body.get("modificationDateTime")),
        period=_period(body.get("intervalPeriod")) or Period(),
        length=None if body.get("duration") is None else length_of(body["duration"], "an event's duration"),
        intervals=tuple(_interval(place, each) for place, each in enumerate(items(body.get("intervals"), "intervals", MOST_INTERVALS))),
        descriptors=_descriptors(body.get("payloadDescriptors")),
        reports=_requests(body.get("reportDescriptors")),
        targets=read_targets(body.get("targets")),
    )


def read_targets(raw: Any) -> Targets:
    """Targets of either generation. Raises Refused."""
    plain: list[str] = []
    typed: list[tuple[str, tuple[str, ...]]] = []
    for each in items(raw, "targets", MOST_TARGETS):
        if isinstance(each, str):
            plain.append(each)
            continue
        body = mapping(each, "a target")
        values = items(body.get("values"), "a target's values", MOST_TARGETS)
        typed.append((text(body.get("type"), "a target's type").upper(), tuple(str(value) for value in values if isinstance(value, str | int))))
    return (*typed, *(((PLAIN_TARGET, tuple(plain)),) if plain else ()))


def _told_time(raw: Any) -> float | None:
    """Times that only help: the specification's own examples have some without a date."""
    try:
        return None if raw is None else time_s(raw, "a time stamp")
    except Refused:
        return None


def _period(raw: Any) -> Period | None:
    if raw is None:
        return None
    body = mapping(raw, "an intervalPeriod")
    start, length, shift = body.get("start"), body.get("duration"), body.get("randomizeStart")
    start_s = None if start is None else time_s(start, "a start")
    return Period(
        start_s=start_s,
        now=start is not None and start_s is None,
        length=None if length is None else length_of(length, "a duration"),
        randomize_s=0.0 if shift is None else shift_s(shift, "randomizeStart"),
    )


def _interval(place: int, raw: Any) -> Interval:
    """place: its number where the server leaves out the id, which only reports need."""
    body = mapping(raw, "an interval")
    payloads = []
    for each in items(body.get("payloads"), "payloads", MOST_PAYLOADS):
        payload = mapping(each, "a payload")
        payloads.append(Payload(text(payload.get("type"), "a payload's type").upper(), tuple(items(payload.get("values"), "values", MOST_VALUES))))
    name = place if body.get("id") is None else whole(body["id"], "an interval's id", -(2**31), 2**31 - 1)
    return Interval(name, _period(body.get("intervalPeriod")), tuple(payloads))


def _descriptors(raw: Any) -> dict[str, Descriptor]:
    """By payload type. Those of reports are left out: their units are no units of events."""
    found: dict[str, Descriptor] = {}
    for each in items(raw, "payloadDescriptors", MOST_DESCRIPTORS):
        body = mapping(each, "a payloadDescriptor")
        if body.get("objectType") == "REPORT_PAYLOAD_DESCRIPTOR":
            continue
        name = text(body.get("payloadType"), "payloadType").upper()
        found[name] = Descriptor(text_or_none(body.get("units"), "units"), text_or_none(body.get("currency"), "currency"))
    return found


def _requests(raw: Any) -> tuple[ReportRequest, ...]:
    """One that cannot be read is refused by its name: a limit must not be lost for a report that was asked for badly."""
    found = []
    listed = raw[:MOST_DESCRIPTORS] if isinstance(raw, list) else [] if raw is None else [raw]
    for each in listed:
        try:
            found.append(_request(each))
        except Refused as refused:
            found.append(ReportRequest(f"(unreadable: {refused})"))
    return tuple(found)


def _request(raw: Any) -> ReportRequest:
    body = mapping(raw, "a reportDescriptor")

    def count(key: str, default: int) -> int:
        return default if body.get(key) is None else whole(number(body[key], key), key, -1, 1_000_000)

    return ReportRequest(
        payload_type=text(body.get("payloadType"), "payloadType").upper(),
        reading_type=text_or_none(body.get("readingType"), "readingType"),
        units=text_or_none(body.get("units"), "units"),
        aggregate=boolean(body.get("aggregate"), "aggregate", False),
        start_interval=count("startInterval", -1),
        num_intervals=count("numIntervals", -1),
        historical=boolean(body.get("historical"), "historical", True),
        frequency=count("frequency", -1),
        repeat=count("repeat", 1),
        intervals=text_or_none(body.get("reportIntervals"), "reportIntervals") or "INTERVALS",
    )
