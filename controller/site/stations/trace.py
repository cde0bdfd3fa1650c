"""The trace of a commissioning test: what was measured, sent, answered and read back, as plain entries for the API.

Bounded; the oldest entries go first. Decides nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from controller.facts import (
    EvseKey,
    EvseMeasured,
    Fact,
    FloorConfirmed,
    MeterFailed,
    MeterRead,
    SessionChanged,
    SetpointAnswered,
    Stamp,
    StationOffline,
    StationOnline,
)
from controller.orders import HoldOffStation, Inject, InstallFloor, Order, Wake

MAX_ENTRIES: Final = 20_000
"""Entries that are kept."""

Entry = dict[str, Any]


class Trace:
    """Entries in the order they happened, numbered from 1."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self.count = 0

    def fact(self, fact: Fact) -> None:
        """Something happened."""
        if isinstance(fact, MeterRead):
            one = fact.reading
            values: Entry = {"current_a": one.current_a, "phase_power_w": one.phase_power_w, "power_w": one.power_w}
            self.note(fact.at, "meter", name=one.meter_id, quality=one.quality.value, reason=one.reason, **values)
        elif isinstance(fact, MeterFailed):
            self.note(fact.at, "meter_failed", name=fact.meter_id, reason=fact.reason)
        elif isinstance(fact, EvseMeasured):
            self.note(fact.at, "station", evse=fact.evse, current_a=fact.phase_current_a, power_w=fact.power_w, voltage_v=fact.voltage_v)
        elif isinstance(fact, SetpointAnswered):
            self.note(fact.at, "answered", evse=fact.evse, order=fact.number, accepted=fact.accepted, lost=fact.lost, reason=fact.reason)
        elif isinstance(fact, FloorConfirmed):
            self.note(fact.at, "read_back", evse=fact.evse, order=fact.number, limit_a=fact.limit_a, ok=fact.ok, detail=fact.detail)
        elif isinstance(fact, SessionChanged):
            state = fact.charging_state.value if fact.charging_state is not None else None
            self.note(fact.at, "session", evse=fact.evse, state=state, ended=fact.ended, phase_count=fact.phase_count)
        elif isinstance(fact, StationOnline | StationOffline):
            self.note(fact.at, "link", station=fact.station_id, online=isinstance(fact, StationOnline))

    def sent(self, at: Stamp, orders: list[Order]) -> list[Order]:
        """Orders that leave; they are handed back as they are."""
        for order in orders:
            if isinstance(order, Inject):
                how = asdict(order.strategy)
                self.note(at, "sent", evse=order.evse, order=order.number, limit_a=order.limit_a, life_s=order.life_s, how=how)
            elif isinstance(order, InstallFloor):
                self.note(at, "floor", evse=order.evse, order=order.number, limit_a=order.limit_a)
            elif isinstance(order, Wake):
                self.note(at, "wake", evse=order.evse, trick=order.trick)
            elif isinstance(order, HoldOffStation):
                self.note(at, "held_off", station=order.station_id, for_s=order.for_s)
        return orders

    def note(self, at: Stamp, kind: str, evse: EvseKey | None = None, **more: Any) -> None:
        """One entry."""
        if evse is not None:
            more = {"station": evse.station_id, "evse": evse.evse_id, **more}
        self.count += 1
        self._entries.append({"number": self.count, "mono_s": at.mono_s, "wall_s": at.wall_s, "kind": kind, **more})

    def behind(self, after: int) -> list[Entry]:
        """Entries with a higher number, oldest first."""
        return _behind(self._entries, after)


def _behind(entries: Sequence[Entry] | deque[Entry], after: int) -> list[Entry]:
    """Entries with a higher number, oldest first."""
    found: list[Entry] = []
    for entry in reversed(entries):
        if entry["number"] <= after:
            break
        found.append(entry)
    return found[::-1]
