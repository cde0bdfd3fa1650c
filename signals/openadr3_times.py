"""When the intervals of an OpenADR 3 event are: starts, ends, open ends, loops, the random shift.

Rules (specification 3.1 and its user guide, section 7.3; 3.0.1 is a part of them):

- ``event.intervalPeriod`` holds for every interval that says nothing else.
- A start of 0001-01-01 means "now" for the event or its first interval, "right behind the one before" for a later one; so does no start.
  "Now" is when the server made the event, or last changed it: the same moment for everybody, also after a restart.
- P9999Y has no end. No duration at all has none either, unless another interval follows. 0001-01-01 with PT0S is how an event is called off.
- ``event.duration`` cuts the intervals off or repeats them.
- A month is one of the calendar, in the site's zone: P1M from the 1st of February ends on the 1st of March. A day has 24 hours, also the
  two of the year that have not.
- ``randomizeStart`` shifts an event by up to that much either way, evenly. The shift is drawn from the names of event and VEN, so it is the
  same after each poll and each restart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Final

from signals.openadr3_objects import Event, Interval
from signals.openadr_plain import FOREVER_S, Refused, drawn

LOOK_AHEAD_S: Final = 7 * 86_400.0
LOOK_BACK_S: Final = 3 * 86_400.0
"""Intervals further away are left out of a schedule; each poll looks again."""
MOST_SLOTS: Final = 3000


@dataclass(frozen=True, slots=True)
class Slot:
    """One interval in time. end_s: inf without an end. number: counted from the event's begin, also through loops."""

    number: int
    interval: Interval
    start_s: float
    end_s: float


def slots(event: Event, ven_name: str, seen_s: float, now_s: float, zone: tzinfo = UTC) -> tuple[Slot, ...]:
    """The intervals of an event around now, ascending by number. seen_s: when we first saw it, for servers that tell no times. zone: the site's.

    Raises Refused when it cannot be told when an interval is.
    """
    once = _once(event, ven_name, seen_s, zone)
    if not once:
        return ()
    if event.length is None or called_off(event):
        return tuple(slot for slot in once if _near(slot, now_s))
    begin_s, end_s = once[0].start_s, max(slot.end_s for slot in once)
    stop_s = event.length.after_s(begin_s, zone)
    looped = _looped(once, end_s - begin_s, stop_s, now_s)
    return tuple(slot for slot in looped if _near(slot, now_s))


def called_off(event: Event) -> bool:
    """Whether the event was given no time at all, the user guide's way to cancel (7.9)."""
    return event.period.now and event.period.length_s == 0 and not any(each.period is not None and each.period.length_s for each in event.intervals)


def first_start_s(event: Event, ven_name: str, seen_s: float) -> float:
    """When an event begins, with its shift. Raises Refused."""
    period = event.intervals[0].period if event.intervals else None
    if period is not None and period.start_s is not None:
        begin_s, shift_s = period.start_s, period.randomize_s or event.period.randomize_s
    elif event.period.start_s is not None:
        begin_s, shift_s = event.period.start_s, (period.randomize_s if period else 0.0) or event.period.randomize_s
    elif event.period.now or (period is not None and period.now):
        begin_s, shift_s = _told(event, seen_s), event.period.randomize_s
    else:
        raise Refused("nothing says when the event starts")
    return begin_s + _shift_s(shift_s, event.id, ven_name, 0)


def _told(event: Event, seen_s: float) -> float:
    told = [at_s for at_s in (event.created_s, event.modified_s) if at_s is not None]
    return max(told) if told else seen_s


def _shift_s(most_s: float, event_id: str, ven_name: str, number: int) -> float:
    if not 0 < most_s < FOREVER_S:
        return 0.0
    return (2 * drawn(event_id, ven_name, str(number)) - 1) * most_s


def _once(event: Event, ven_name: str, seen_s: float, zone: tzinfo) -> list[Slot]:
    """Each interval once. A length of 0 beside a real start is the schema's default and means "until something else is said" (3.0.1)."""
    found: list[Slot] = []
    if not event.intervals or called_off(event):
        return found
    start_s = first_start_s(event, ven_name, seen_s)
    shift_s = start_s - first_start_s(_unshifted(event), ven_name, seen_s)
    for number, interval in enumerate(event.intervals):
        period = interval.period
        if number and period is not None and period.start_s is not None:
            if period.randomize_s:
                shift_s = _shift_s(period.randomize_s, event.id, ven_name, number)
            start_s = period.start_s + shift_s
        elif number:
            start_s = found[-1].end_s
        length = period.length if period is not None and period.length is not None else event.period.length
        timed = length is not None and length.nominal_s > 0
        found.append(Slot(number, interval, start_s, length.after_s(start_s, zone) if length is not None and timed else FOREVER_S))
        if not math.isfinite(start_s):
            raise Refused(f"interval {interval.id} would come after one without an end")
        if not timed and number + 1 < len(event.intervals):
            found[-1] = replace(found[-1], end_s=_next_start_s(event, number, shift_s, start_s))
    return found


def _next_start_s(event: Event, number: int, shift_s: float, start_s: float) -> float:
    after = event.intervals[number + 1].period
    if after is None or after.start_s is None:
        raise Refused(f"nothing says when interval {event.intervals[number].id} ends and the next one starts")
    return max(start_s, after.start_s + shift_s)


def _unshifted(event: Event) -> Event:
    plain = replace(event.period, randomize_s=0.0)
    first = event.intervals[0]
    if first.period is not None:
        first = replace(first, period=replace(first.period, randomize_s=0.0))
    return replace(event, period=plain, intervals=(first, *event.intervals[1:]))


def _looped(once: list[Slot], lap_s: float, stop_s: float, now_s: float) -> Iterator[Slot]:
    """The intervals again and again until the event ends, those near now only."""
    count = len(once)
    lap = 0
    if math.isfinite(lap_s) and lap_s > 0:
        lap = max(0, math.floor((now_s - LOOK_BACK_S - once[0].start_s) / lap_s))
    made = 0
    while made < MOST_SLOTS:
        for slot in once:
            start_s = slot.start_s + lap * lap_s if lap else slot.start_s
            end_s = slot.end_s + lap * lap_s if lap else slot.end_s
            if start_s >= stop_s or start_s > now_s + LOOK_AHEAD_S:
                return
            made += 1
            yield Slot(slot.number + lap * count, slot.interval, start_s, min(end_s, stop_s))
        if not (math.isfinite(lap_s) and lap_s > 0):
            return
        lap += 1


def _near(slot: Slot, now_s: float) -> bool:
    return slot.end_s > now_s - LOOK_BACK_S and slot.start_s < now_s + LOOK_AHEAD_S
