"""OpenADR 2.0b: what an oadrDistributeEvent says, and what that means for a site.

Serves the 2.0b profile specification: signal names and types of its table 1, event descriptor (status, modification number, priority,
test event), active period (open ended with PT0S, ``startafter`` tolerance), intervals, targets. A limit is never higher than stated.

    LOAD_CONTROL  x-loadControlCapacity       part of what the circuit may draw
                  x-loadControlPercentOffset  below 0: so much less than it may draw; above 0 asks for more, which nobody can promise
                  x-loadControlLevelOffset    levels as in SIMPLE
                  x-loadControlSetpoint       consumption, where it comes with a power unit
    LOAD_DISPATCH setpoint                    consumption, as a setpoint and as a limit
    SIMPLE        level                       0 normal, 1 to 3 as the site file says
    ELECTRICITY_PRICE, ENERGY_PRICE  price    currency per kWh

A test event, one for another VEN, and one that is completed or cancelled mean nothing. A randomised start (``startafter``) only ever delays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Final
from xml.etree.ElementTree import Element, ParseError, fromstring

from signals.openadr_plain import FOREVER_S, Base, Length, Refused, drawn, duration_s, length_of, level_w, limit_w, number, time_s, whole

MOST_BYTES: Final = 4 * 2**20
MOST_EVENTS: Final = 500
MOST_INTERVALS: Final = 2000
NO_PRIORITY: Final = 1_000_000
NOT_SUPPORTED: Final = 460
"""Response code "signal not supported"."""

REFUSED: Final[dict[str, str]] = {
    "DEMAND_CHARGE": "the tariff's peak price is in the site file",
    "BID_PRICE": "we make no bids",
    "BID_LOAD": "we make no bids",
    "BID_ENERGY": "we make no bids",
    "CHARGE_STATE": "the battery's state of charge is planned from prices and limits, not set from outside",
    "LOAD_DISPATCH/delta": "relative to what is not told, so nobody could prove that it was obeyed",
    "LOAD_DISPATCH/multiplier": "relative to what is not told, so nobody could prove that it was obeyed",
    "ELECTRICITY_PRICE/priceRelative": "relative to a price that is not told",
    "ELECTRICITY_PRICE/priceMultiplier": "relative to a price that is not told",
    "ENERGY_PRICE/priceRelative": "relative to a price that is not told",
    "ENERGY_PRICE/priceMultiplier": "relative to a price that is not told",
}
"""Signal name, or name/type -> why it is not obeyed."""
LIMITING: Final = frozenset({"SIMPLE", "LOAD_CONTROL", "LOAD_DISPATCH"})
PRICES: Final = frozenset({"ELECTRICITY_PRICE", "ENERGY_PRICE"})


@dataclass(frozen=True, slots=True)
class Span:
    """One interval of a signal. end_s: inf without an end."""

    number: int
    start_s: float
    end_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Signal:
    """unit: of its measurement, e.g. W or EUR; scale: the factor of its SI prefix; measure: powerReal, currencyPerKWh ..."""

    name: str
    type: str
    measure: str
    unit: str
    scale: float
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it came. ours: its targets name us or nobody. why: it cannot be used at all, "" = it can."""

    id: str
    version: int
    status: str
    priority: int
    created_s: float
    test: bool
    answer: bool
    ours: bool
    signals: tuple[Signal, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """What holds from start_s for length_s [s], None = without an end. Limits >= 0 [W]."""

    key: str
    version: int
    start_s: float
    length_s: float | None
    primacy: int
    created_s: float
    consumption_w: float | None
    setpoint_w: float | None
    label: str


@dataclass(slots=True)
class Meaning:
    """windows, prices [currency/kWh], notes for people; code: what the server is answered, 200 or 460. unread: a limit cannot be read."""

    windows: list[Window] = field(default_factory=list)
    prices: list[tuple[float, float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    code: int = 200
    unread: bool = False

    @property
    def obeyed(self) -> bool:
        """Whether anything of it is. Where a limit cannot be read what holds in its place is not what was asked for."""
        return not self.unread and bool(self.windows or self.prices)


# -- reading --------------------------------------------------------------------------------------


def read_events(xml: bytes, ven_names: frozenset[str], zone: tzinfo = UTC) -> tuple[str, tuple[Event, ...]]:
    """(request id, events) of an oadrDistributeEvent. zone: the site's, for
    months. Raises Refused when it is none; an event that cannot be read says so itself."""
    if len(xml) > MOST_BYTES or b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise Refused("the message is too large or brings a document type of its own")
    try:
        root = fromstring(xml)
    except (ParseError, ValueError, RecursionError, LookupError):
        raise Refused("the message is no XML") from None
    body = next(_all(root, "oadrDistributeEvent"), None)
    if body is None:
        raise Refused("the message is no oadrDistributeEvent")
    code = _text(body, "responseCode")
    if code and not code.startswith("2"):
        raise Refused(f"the message is an error with the code {code[:9]}, not a list of events")
    found = list(_all(body, "oadrEvent"))
    if len(found) > MOST_EVENTS:
        raise Refused(f"{len(found)} events are more than the {MOST_EVENTS} we read")
    request = next((child for child in body if _name(child) == "requestID"), None)
    return (request.text or "" if request is not None else ""), tuple(_event(each, ven_names, zone) for each in found)


def _event(body: Element, ven_names: frozenset[str], zone: tzinfo) -> Event:
    event_id = _text(body, "eventID")[:128]
    answer = _text(body, "oadrResponseRequired") != "never"
    try:
        version = whole(_number(_text(body, "modificationNumber")), "modificationNumber", 0, 2**53)
    except Refused:
        version = 0
    status = _text(body, "eventStatus")
    test = _text(body, "testEvent").strip().lower() not in ("", "false")
    ours = _ours(body, ven_names)
    try:
        priority = whole(_number(_text(body, "priority") or "0"), "priority", 0, 2**53)
        created_s = time_s(_text(body, "createdDateTime"), "createdDateTime") or 0.0
        signals = () if status in ("cancelled", "completed") else tuple(_signals(body, event_id, ven_names, zone))
        return Event(event_id, version, status, priority, created_s, test, answer, ours, signals, "" if event_id else "it has no eventID")
    except Refused as refused:
        return Event(event_id, version, status, 0, 0.0, test, answer, ours, (), str(refused))


def _ours(body: Element, ven_names: frozenset[str]) -> bool:
    """Groups and places were given to us outside of the protocol; only a list of VENs can say that it is not us."""
    target = next((each for each in body.iter() if _name(each) == "eiTarget" and each in _children(body, "eiEvent")), None)
    named = {(each.text or "").strip() for each in (target.iter() if target is not None else ()) if _name(each) == "venID"}
    return not named or bool(named & ven_names)


def _signals(body: Element, event_id: str, ven_names: frozenset[str], zone: tzinfo) -> Iterator[Signal]:
    begin_s, end_s = _active(body, zone)
    delay_s = _delay_s(body, event_id, ven_names)
    for each in _all(body, "eiEventSignal"):
        measure, unit, scale = _measure(each)
        spans = tuple(_spans(each, begin_s + delay_s, end_s + delay_s, zone))
        yield Signal(_text(each, "signalName").upper(), _text(each, "signalType"), measure, unit, scale, spans)


def _active(body: Element, zone: tzinfo) -> tuple[float, float]:
    """(start, end) of the active period; PT0S has no end."""
    period = next(_all(body, "eiActivePeriod"), None)
    if period is None:
        raise Refused("it has no active period")
    start_s = time_s(_text(period, "date-time"), "dtstart")
    if start_s is None:
        raise Refused("its start is the beginning of time")
    outer = next((each for each in period.iter() if _name(each) == "duration" and len(each)), None)
    return start_s, _over_s(outer, start_s, zone)


def _over_s(outer: Element | None, start_s: float, zone: tzinfo) -> float:
    """When what begins then and lasts as long as an element says is over; inf for a length of 0 or none."""
    length = length_of(_text(outer, "duration"), "duration") if outer is not None else Length(0.0)
    return length.after_s(start_s, zone) if length.nominal_s > 0 else FOREVER_S


def _delay_s(body: Element, event_id: str, ven_names: frozenset[str]) -> float:
    words = _text(body, "startafter")
    most_s = duration_s(words, "startafter") if words else 0.0
    return drawn(event_id, *sorted(ven_names)) * most_s if 0 < most_s < FOREVER_S else 0.0


def _spans(signal: Element, start_s: float, stop_s: float, zone: tzinfo) -> Iterator[Span]:
    """The intervals one behind the other, within the active period; a length of 0 lasts to its end."""
    intervals = list(_all(signal, "interval"))
    if len(intervals) > MOST_INTERVALS:
        raise Refused(f"{len(intervals)} intervals are more than the {MOST_INTERVALS} we read")
    for place, each in enumerate(intervals):
        outer = next((one for one in each.iter() if _name(one) == "duration" and len(one)), None)
        value = number(_number(_text(next(_all(each, "signalPayload"), each), "value")), "a value")
        end_s = min(_over_s(outer, start_s, zone), stop_s)
        if start_s < stop_s:
            yield Span(place, start_s, end_s, value)
        start_s = end_s
        if not math.isfinite(start_s) and place + 1 < len(intervals):
            raise Refused("an interval would come after one without an end")


_SCALES: Final = {"none": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "d": 0.1, "c": 0.01, "m": 1e-3}
_MEASURES: Final = frozenset({"powerReal", "powerApparent", "currencyPerKWh", "currency", "energyReal", "current", "customUnit", "currencyPerKW"})


def _measure(signal: Element) -> tuple[str, str, float]:
    found = next((each for each in signal if _name(each) in _MEASURES), None)
    if found is None:
        return "", "", 1.0
    scale = _SCALES.get(_text(found, "siScaleCode") or "none")
    if scale is None:
        raise Refused("its SI scale is none we know")
    return _name(found), _text(found, "itemUnits"), scale


# -- meaning --------------------------------------------------------------------------------------


def meaning(event: Event, base: Base, currency: str) -> Meaning:
    """What an event means for us."""
    says = Meaning()
    if event.why:
        says.notes.append(f"event {event.id[:60]} cannot be read: {event.why}")
        says.code = 454
    if event.why or event.test or not event.ours or event.status in ("cancelled", "completed"):
        return says
    for place, signal in enumerate(event.signals):
        key = signal.name if signal.name in REFUSED else f"{signal.name}/{signal.type}"
        if key in REFUSED:
            _not_obeyed(says, event, key, REFUSED[key])
            continue
        for span in signal.spans:
            try:
                _read(says, event, place, signal, span, base, currency)
            except Refused as refused:
                _not_obeyed(says, event, key, str(refused))
                says.unread = says.unread or signal.name in LIMITING
                if signal.name in LIMITING and base.failsafe_w is not None:
                    _hold(says, event, place, span, base.failsafe_w, None, f"{signal.name} that cannot be read")
    if says.obeyed:
        says.code = 200
    return says


def _not_obeyed(says: Meaning, event: Event, key: str, why: str) -> None:
    note = f"event {event.id[:60]}: {key[:60]} is not obeyed: {why}"
    if note not in says.notes and len(says.notes) < 50:
        says.notes.append(note)
    says.code = NOT_SUPPORTED


def _read(says: Meaning, event: Event, place: int, signal: Signal, span: Span, base: Base, currency: str) -> None:
    """Raises Refused."""
    label = signal.name
    if signal.name in PRICES and signal.type == "price":
        return _price(says, signal, span, currency)
    if signal.name == "SIMPLE" or signal.type == "x-loadControlLevelOffset":
        level = whole(span.value, "a level", 0 if signal.name == "SIMPLE" else -10, 3 if signal.name == "SIMPLE" else 10)
        watts = level_w(level, base)
        return None if watts is None else _hold(says, event, place, span, watts, None, f"{label} {level}")
    if signal.type == "x-loadControlCapacity":
        return _hold(says, event, place, span, limit_w(span.value, "PERCENT", base, 0), None, label)
    if signal.type == "x-loadControlPercentOffset":
        if span.value > 0:
            return _not_obeyed(says, event, f"{label}/{signal.type}", "it asks for more than usual")
        part = -span.value if span.value >= -1 else min(1.0, -span.value / 100)
        return _hold(says, event, place, span, base.nominal_w * (1 - part), None, label)
    if (signal.name, signal.type) in (("LOAD_DISPATCH", "setpoint"), ("LOAD_CONTROL", "x-loadControlSetpoint")):
        if signal.measure not in ("powerReal", "powerApparent"):
            raise Refused(f"a setpoint in {signal.measure or 'no unit'} says no power")
        watts = limit_w(span.value * signal.scale, "W", base, 0)
        return _hold(says, event, place, span, watts, watts, label)
    raise Refused("we do not know this signal")


def _price(says: Meaning, signal: Signal, span: Span, currency: str) -> None:
    if signal.measure not in ("currencyPerKWh", ""):
        raise Refused(f"a price in {signal.measure} is no price of energy")
    if signal.measure and signal.unit.upper() != currency:
        raise Refused(f"prices in {signal.unit[:10]} do not fit a tariff in {currency}")
    if abs(span.value * signal.scale) > 1e4:
        raise Refused("no price anybody pays")
    says.prices.append((span.start_s, span.end_s, span.value * signal.scale))


def _hold(says: Meaning, event: Event, place: int, span: Span, watts: float, setpoint_w: float | None, label: str) -> None:
    length_s = None if span.end_s == FOREVER_S else span.end_s - span.start_s
    primacy = event.priority if 0 < event.priority < NO_PRIORITY else NO_PRIORITY
    key, name = f"{event.id}/{place}/{span.number}", f"{event.id[:80]} ({label})"
    says.windows.append(Window(key, event.version, span.start_s, length_s, primacy, event.created_s, watts, setpoint_w, name))


# -- XML without its namespaces -------------------------------------------------------------------


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _all(element: Element, name: str) -> Iterator[Element]:
    return (each for each in element.iter() if _name(each) == name and each is not element)


def _children(element: Element, name: str) -> list[Element]:
    return [child for each in element.iter() if _name(each) == name for child in each]


def _text(element: Element | None, name: str) -> str:
    """Text of the first leaf of a name below, "" = none."""
    if element is None:
        return ""
    found = next((each for each in element.iter() if _name(each) == name and not len(each)), None)
    return (found.text or "").strip() if found is not None else ""


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text
