"""What an OpenADR 3 event means for a site: limits, a setpoint, prices, CO2, and what of it nobody here can obey.

Serves the specification 3.0.1 and 3.1 (event payload enumerations) and the Dutch profile "Grid Aware Charging", whose events say
IMPORT_CAPACITY_LIMIT in KW, without a priority, beside one long "safe mode" event that holds where no other does.

- Lower ``priority`` wins; none is lowest of all. Of two without one, an event without an end gives way to one that has one: it is there for
  the times nobody said anything about. Subscribed capacity holds behind every limit, as the user guide asks (8.10.1).
- A limit that cannot be read is not dropped: while its interval lasts, the source's failsafe holds, if it has one; and so does what the
  event said when it could last be read (``still``).
- DISPATCH_SETPOINT asks for a consumption: it is handed on as a setpoint and holds as a limit, as a depot can always take less, seldom more.
- What cannot be obeyed comes back as a note, one sentence each; ``REFUSED`` has the payload types.

Whether an event means us: VEN_NAME, RESOURCE_NAME and groups by any match; places (POWER_SERVICE_LOCATION and others) must match as well
where the site file names any, as one VEN may serve many places.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Final

from signals.openadr3_objects import PLAIN_TARGET, Descriptor, Event, Payload, Program, Targets
from signals.openadr3_times import Slot, slots
from signals.openadr_plain import Base, Refused, level_w, limit_w, number, whole

NO_PRIORITY: Final = 1_000_000
STANDING: Final = 1_000_001
SUBSCRIBED: Final = 2_000_000
MOST_WINDOWS: Final = 1000
MOST_VALUES: Final = 3000
ENDED_S: Final = 600.0
"""Windows stay in the schedule so long after their end."""

LIMITS: Final[dict[str, bool]] = {
    "IMPORT_CAPACITY_LIMIT": False,
    "EXPORT_CAPACITY_LIMIT": True,
    "IMPORT_CAPACITY_SUBSCRIPTION": False,
    "EXPORT_CAPACITY_SUBSCRIPTION": True,
}
"""Payload type -> whether it is about feed-in."""
SERIES: Final[dict[str, str]] = {"PRICE": "buy", "EXPORT_PRICE": "sell", "GHG": "co2"}
LEVELS: Final = frozenset({"SIMPLE", "CONTROL_LEVEL_OFFSET"})
EMERGENCIES: Final = frozenset({"ALERT_GRID_EMERGENCY", "ALERT_BLACK_START"})
REFUSED: Final[dict[str, str]] = {
    "PRICE_ALTERNATE": "the site buys electricity only",
    "CHARGE_STATE_SETPOINT": "the battery's state of charge is planned from prices and limits, not set from outside",
    "DISPATCH_SETPOINT_RELATIVE": "relative to what is not told, so nobody could prove that it was obeyed",
    "DISPATCH_INSTRUCTION": "its words are private to a program",
    "CONTROL_SETPOINT": "its meaning is private to a program",
    "CONTROL_LEVEL_OFFSET_PERCENT": "a part of which operation is not told",
    "CURVE": "inverters here take a limit, not a curve",
    "OLS": "a load shape without a power says no limit",
    "IMPORT_CAPACITY_RESERVATION": "we reserve no capacity; the subscribed one holds",
    "IMPORT_CAPACITY_RESERVATION_FEE": "we reserve no capacity",
    "IMPORT_CAPACITY_AVAILABLE": "we reserve no capacity",
    "IMPORT_CAPACITY_AVAILABLE_PRICE": "we reserve no capacity",
    "EXPORT_CAPACITY_RESERVATION": "we reserve no capacity; the subscribed one holds",
    "EXPORT_CAPACITY_RESERVATION_FEE": "we reserve no capacity",
    "EXPORT_CAPACITY_AVAILABLE": "we reserve no capacity",
    "EXPORT_CAPACITY_AVAILABLE_PRICE": "we reserve no capacity",
    "CTA2045_REBOOT": "there is no CTA-2045 module here",
    "CTA2045_SET_OVERRIDE_STATUS": "there is no CTA-2045 module here",
}
"""Payload type -> why it is not obeyed."""

NAMED: Final = ("VEN_NAME", "RESOURCE_NAME")
PLACES: Final = frozenset({"POWER_SERVICE_LOCATION", "SERVICE_AREA", "SERVICE_LOCATION", "SERVICE_DELIVERY_POINT", "PREMISE"})
NEUTRAL: Final = frozenset({"PROGRAM_NAME", "EVENT_NAME"})


@dataclass(frozen=True, slots=True)
class Us:
    """Whom the events of this source mean, and what relative values are relative to.

    alert_level: the level that holds while the grid is in an emergency, 0 = it is only told. enforced: the server filters by targets itself
    (3.1), so that what comes without a match of ours still means us unless the site file names targets. currency: of the tariff.
    zone: the site's, for months.
    """

    ven_name: str
    resource_name: str
    base: Base
    targets: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()
    currency: str = "EUR"
    alert_level: int = 0
    enforced: bool = False
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class Window:
    """What holds from start_s for length_s [s], None = without an end. Limits >= 0 [W], None = not limited. setpoint_w: import positive."""

    key: str
    start_s: float
    length_s: float | None
    primacy: int
    created_s: float
    consumption_w: float | None = None
    production_w: float | None = None
    setpoint_w: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a series: kind buy, sell [currency/kWh] or co2 [kg/kWh], with the primacy of its event for where two overlap."""

    kind: str
    start_s: float
    end_s: float
    value: float
    primacy: int
    created_s: float


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one event means. notes: what of it is not obeyed, and why, one sentence each. unread: a limit of it cannot be read."""

    windows: tuple[Window, ...] = ()
    values: tuple[Value, ...] = ()
    notes: tuple[str, ...] = ()
    unread: bool = False


def means_us(event: Event, program: Program | None, us: Us) -> bool:
    """Whether an event is for this site."""
    return _targeted(event.targets, us) and (program is None or _targeted(program.targets, us))


def _targeted(targets: Targets, us: Us) -> bool:
    ours = us.targets | {us.ven_name, us.resource_name}
    places = [set(values) for kind, values in targets if kind in PLACES]
    others = [(kind, values) for kind, values in targets if kind not in PLACES | NEUTRAL]
    hit = any(_hits(kind, values, ours, us) for kind, values in others)
    if places and (us.targets or not hit) and not all(place & us.targets for place in places):
        return False
    return hit or not others


def _hits(kind: str, values: Iterable[str], ours: frozenset[str], us: Us) -> bool:
    if kind == PLAIN_TARGET and us.enforced and not us.targets:
        return True
    return bool(ours & set(values))


def meaning(event: Event, program: Program | None, us: Us, seen_s: float, now_s: float) -> Meaning:
    """What an event that means us says. Raises Refused when it cannot be told when its intervals are."""
    reader = _Reader(event, {**(program.descriptors if program else {}), **event.descriptors}, us, now_s)
    for slot in slots(event, us.ven_name, seen_s, now_s, us.zone):
        reader.read(slot)
    return Meaning(tuple(reader.windows), tuple(reader.values), tuple(dict.fromkeys(reader.notes)), reader.unread)


def still(said: Meaning, before: Meaning) -> Meaning:
    """A version with a limit that cannot be read, and beside it what the event said before: of both the lower limit holds."""
    return replace(said, windows=(*said.windows, *(replace(window, key=f"{window.key}.before") for window in before.windows)))


@dataclass(frozen=True, slots=True)
class _Hold:
    label: str
    consumption_w: float | None = None
    production_w: float | None = None
    setpoint_w: float | None = None


def _limiting(label: str, production: bool, watts: float) -> _Hold:
    return _Hold(label, production_w=watts) if production else _Hold(label, consumption_w=watts)


@dataclass(slots=True)
class _Reader:
    event: Event
    descriptors: Mapping[str, Descriptor]
    us: Us
    now_s: float
    windows: list[Window] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unread: bool = False

    def read(self, slot: Slot) -> None:
        for place, payload in enumerate(slot.interval.payloads):
            try:
                self._payload(slot, place, payload)
            except Refused as refused:
                self._note(payload.type, str(refused))
                self._unreadable(slot, place, payload)

    def _payload(self, slot: Slot, place: int, payload: Payload) -> None:
        if payload.type in SERIES:
            return self._series(slot, payload)
        if payload.type in LIMITS:
            return self._limit(slot, place, payload)
        if payload.type in LEVELS:
            least = 0 if payload.type == "SIMPLE" else -10
            level = whole(_single(payload), "a level", least, -least or 3)
            return self._level(slot, place, level, f"{payload.type} {level}")
        if payload.type in EMERGENCIES and self.us.alert_level:
            return self._level(slot, place, self.us.alert_level, payload.type)
        if payload.type == "DISPATCH_SETPOINT":
            watts = limit_w(number(_single(payload), "a setpoint"), self._units(payload), self.us.base, _hours(slot))
            return self._window(f"{slot.number}/{place}", slot.start_s, slot.end_s, _Hold(payload.type, watts, setpoint_w=watts))
        return self._note(payload.type, _reason(payload))

    def _limit(self, slot: Slot, place: int, payload: Payload) -> None:
        production = LIMITS[payload.type]
        for part, start_s, end_s, raw in _parts(slot, payload):
            watts = limit_w(number(raw, "a limit"), self._units(payload), self.us.base, (end_s - start_s) / 3600, production)
            self._window(f"{slot.number}/{place}" + (f".{part}" if part else ""), start_s, end_s, _limiting(payload.type, production, watts))

    def _level(self, slot: Slot, place: int, level: int, label: str) -> None:
        if (watts := level_w(level, self.us.base)) is not None:
            self._window(f"{slot.number}/{place}", slot.start_s, slot.end_s, _Hold(label, consumption_w=watts))

    def _unreadable(self, slot: Slot, place: int, payload: Payload) -> None:
        if payload.type not in LIMITS and payload.type not in LEVELS:
            return
        self.unread = True
        production, base = LIMITS.get(payload.type, False), self.us.base
        watts = base.failsafe_production_w if production else base.failsafe_w
        if watts is not None:
            hold = _limiting(f"{payload.type} that cannot be read", production, watts)
            self._window(f"{slot.number}/{place}", slot.start_s, slot.end_s, hold)

    def _window(self, place: str, start_s: float, end_s: float, hold: _Hold) -> None:
        if end_s <= self.now_s - ENDED_S or end_s <= start_s or len(self.windows) >= MOST_WINDOWS:
            return
        event, endless = self.event, end_s == float("inf")
        self.windows.append(
            Window(
                f"{event.id}/{place}",
                start_s,
                None if endless else end_s - start_s,
                self._primacy(endless, hold.label),
                event.created_s or 0.0,
                hold.consumption_w,
                hold.production_w,
                hold.setpoint_w,
                f"{event.name or event.id} ({hold.label})"[:120],
            )
        )

    def _primacy(self, endless: bool, label: str) -> int:
        if "SUBSCRIPTION" in label:
            return SUBSCRIBED
        if self.event.priority is not None:
            return min(self.event.priority, NO_PRIORITY - 1)
        return STANDING if endless else NO_PRIORITY

    def _series(self, slot: Slot, payload: Payload) -> None:
        factor = self._series_factor(payload)
        primacy = self._primacy(slot.end_s == float("inf"), "")
        for _, start_s, end_s, raw in _parts(slot, payload):
            value = number(raw, "a value") * factor
            if abs(value) > 1e4:
                raise Refused(f"{value:g} per kWh is no price anybody pays")
            if end_s <= self.now_s - ENDED_S or len(self.values) >= MOST_VALUES:
                continue
            self.values.append(Value(SERIES[payload.type], start_s, end_s, value, primacy, self.event.created_s or 0.0))

    def _series_factor(self, payload: Payload) -> float:
        told = self.descriptors.get(payload.type)
        units = (told.units or "").upper() if told else ""
        if payload.type == "GHG":
            if units not in ("", "GHG", "G/KWH"):
                raise Refused(f"the unit {units[:20]} is not g/kWh")
            return 0.001
        currency = told.currency if told else None
        if currency is not None and currency.upper() != self.us.currency:
            raise Refused(f"prices in {currency[:10]} do not fit a tariff in {self.us.currency}")
        if units not in ("", "KWH", "MWH"):
            raise Refused(f"a price per {units[:20]} is no price of energy")
        return 0.001 if units == "MWH" else 1.0

    def _units(self, payload: Payload) -> str | None:
        told = self.descriptors.get(payload.type)
        return told.units if told else None

    def _note(self, kind: str, why: str) -> None:
        if len(self.notes) < 100:
            self.notes.append(f"event {self.event.name or self.event.id}: {kind[:40]} is not obeyed: {why}")


def _single(payload: Payload) -> object:
    if len(payload.values) != 1:
        raise Refused(f"it has {len(payload.values)} values in place of one")
    value: object = payload.values[0]
    return value


def _parts(slot: Slot, payload: Payload) -> Iterator[tuple[int, float, float, object]]:
    """(number, start, end, value): several values share the interval evenly (user guide 7.3). Raises Refused."""
    count = len(payload.values)
    if count == 1:
        yield 0, slot.start_s, slot.end_s, payload.values[0]
        return
    if count == 0 or slot.end_s == float("inf"):
        raise Refused("it has no value" if count == 0 else "several values cannot share an interval without an end")
    length_s = (slot.end_s - slot.start_s) / count
    for part, value in enumerate(payload.values):
        yield part, slot.start_s + part * length_s, slot.start_s + (part + 1) * length_s, value


def _hours(slot: Slot) -> float:
    return (slot.end_s - slot.start_s) / 3600


def _reason(payload: Payload) -> str:
    if payload.type.startswith("ALERT_"):
        words = next((value for value in payload.values if isinstance(value, str)), "")
        return f"an alert for people: {words[:128]!r}" if words else "an alert for people"
    return REFUSED.get(payload.type, "we do not know this payload type")


def merged(values: Iterable[Value], kind: str, from_s: float, until_s: float) -> tuple[tuple[float, float, float], ...]:
    """One series without overlaps, ascending, within bounds: where events overlap the lower primacy holds, then the newer event."""
    wanted = [each for each in values if each.kind == kind and each.end_s > from_s and each.start_s < until_s]
    taken: list[tuple[float, float, float]] = []
    for each in sorted(wanted, key=lambda one: (one.primacy, -one.created_s, one.start_s)):
        begin_s, stop_s = max(each.start_s, from_s), min(each.end_s, until_s)
        place = bisect_left(taken, (begin_s,))
        if place and taken[place - 1][1] > begin_s:
            begin_s = taken[place - 1][1]
        pieces = []
        while place < len(taken) and taken[place][0] < stop_s and begin_s < stop_s:
            if begin_s < taken[place][0]:
                pieces.append((begin_s, taken[place][0], each.value))
            begin_s = taken[place][1]
            place += 1
        if begin_s < stop_s:
            pieces.append((begin_s, stop_s, each.value))
        for piece in pieces:
            insort(taken, piece)
    return tuple(taken)
