"""Values over time as all decoders give them, and the rules that make a clean series of what feeds send.

Feeds repeat slots, send them unordered, hourly and quarter-hourly ones for the same time, and codes for "no number". The rules are the same
for all: a value that is no finite number refuses the whole answer; of two slots for the same time the finer one holds, of two equally
fine ones the later in the answer, as a correction; what nobody covers stays a gap.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from signals.prices.currencies import size_of

MOST_SLOTS: Final = 20_000
"""More slots than this are no answer to our question: 200 days of quarter hours."""
EARLIEST_S, LATEST_S = 946_684_800.0, 4_102_444_800.0
"""2000 and 2100: times outside are another unit, or nonsense [wall s]."""
LONGEST_SLOT_S: Final = 32 * 86_400.0
MOST_PER_KWH: Final = 100.0
"""A price beyond this (either sign), in units of the size of a euro, is told in another unit; markets are capped at 5 EUR/kWh."""
SHOWN: Final = 120
"""So many characters of a stranger's text go into a message."""


class PriceError(ValueError):
    """An answer cannot be used. The text is one sentence for a person: what is wrong with it."""


class Slot(NamedTuple):
    """One value over time: [start_wall_s, end_wall_s) in Unix seconds. value: currency/kWh, kg/kWh or W."""

    start_wall_s: float
    end_wall_s: float
    value: float


Slots = tuple[Slot, ...]


def tidy(slots: Iterable[Slot]) -> Slots:
    """A clean series: ascending, not overlapping; neighbours stay apart even with the same value. Raises PriceError."""
    return layered([slots])


def layered(layers: Iterable[Iterable[Slot]]) -> Slots:
    """One clean series of several: where they overlap the first one holds, whatever their lengths. Raises PriceError."""
    given = [(slot, rank) for rank, layer in enumerate(layers) for slot in layer]
    if len(given) > MOST_SLOTS:
        raise PriceError(f"the answer holds {len(given)} slots, more than {MOST_SLOTS}")
    for slot, _ in given:
        _judge(slot)
    return _painted(given)


def _judge(slot: Slot) -> None:
    if not all(map(math.isfinite, slot)):
        raise PriceError(f"{slot.value!r} from {slot.start_wall_s:g} to {slot.end_wall_s:g} is no finite number")
    if not EARLIEST_S <= slot.start_wall_s <= LATEST_S or not EARLIEST_S <= slot.end_wall_s <= LATEST_S:
        raise PriceError(f"a slot begins at {slot.start_wall_s:g} and ends at {slot.end_wall_s:g} s since 1970: not between 2000 and 2100")
    if not 0.0 < slot.end_wall_s - slot.start_wall_s <= LONGEST_SLOT_S:
        raise PriceError(f"a slot from {slot.start_wall_s:.0f} lasts {slot.end_wall_s - slot.start_wall_s:g} s: not above 0, or more than a month")


def _painted(given: Sequence[tuple[Slot, int]]) -> Slots:
    """Sweeps over all begins and ends; between two of them the first layer holds, in it the finest slot, of equally fine ones the last told."""
    moments = sorted({moment for slot, _ in given for moment in (slot.start_wall_s, slot.end_wall_s)})
    waiting = sorted(range(len(given)), key=lambda index: given[index][0].start_wall_s, reverse=True)
    active: list[tuple[int, float, int]] = []
    found: list[Slot] = []
    before = -1
    for begin_s, end_s in pairwise(moments):
        while waiting and given[waiting[-1]][0].start_wall_s <= begin_s:
            index = waiting.pop()
            slot, rank = given[index]
            heapq.heappush(active, (rank, slot.end_wall_s - slot.start_wall_s, -index))
        while active and given[-active[0][2]][0].end_wall_s <= begin_s:
            heapq.heappop(active)
        holds = -active[0][2] if active else -1
        if holds >= 0:
            starts_s = found.pop().start_wall_s if holds == before else begin_s
            found.append(Slot(starts_s, end_s, given[holds][0].value))
        before = holds
    return tuple(found)


def scaled(slots: Iterable[Slot], factor: float) -> Slots:
    """The same slots with every value times a factor."""
    return tuple(Slot(slot.start_wall_s, slot.end_wall_s, slot.value * factor) for slot in slots)


def chained(starts: Sequence[tuple[float, float | None]], longest_s: float = LONGEST_SLOT_S, lone_s: float = 3600.0) -> list[Slot]:
    """Slots from begins alone, each until the next begin, at most ``longest_s``; a value None ends the slot before and is a gap.

    The last one is as long as the one before it (``lone_s`` if it is alone). Equal begins: the later told holds.
    """
    ordered = sorted(dict(starts).items())
    found: list[Slot] = []
    step_s = lone_s
    for index, (start_s, value) in enumerate(ordered):
        if index + 1 < len(ordered):
            step_s = min(longest_s, ordered[index + 1][0] - start_s)
        if value is not None:
            found.append(Slot(start_s, start_s + min(step_s, longest_s), value))
    return found


# -- numbers and units -----------------------------------------------------------------------------------


def number(value: Any, what: str) -> float:
    """A finite number; text that is one counts (feeds quote them). Raises PriceError, also for NaN, infinity, True and None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PriceError(f"{what} is {shown(value)}, not a number")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        raise PriceError(f"{what} is {shown(value)}, not a number") from None
    if not math.isfinite(found):
        raise PriceError(f"{what} is {shown(value)}, not a finite number")
    return found


def per_kwh_factor(unit: Any, default: float) -> float:
    """What turns a price in this unit into one per kWh: "EUR/MWh", "Eur / MWh", "MWH" -> 0.001. None or "" -> default. Raises PriceError."""
    text = unit.replace(" ", "").lower() if isinstance(unit, str) else ""
    if not text:
        return default
    energy = text.rsplit("/", 1)[-1]
    factor = {"mwh": 0.001, "mwhe": 0.001, "kwh": 1.0}.get(energy)
    if factor is None or text.startswith(("ct/", "cent/", "cents/", "c/", "p/", "öre/", "ore/")):
        raise PriceError(f"prices are told in {shown(unit)}; only currency per MWh or per kWh is understood")
    return factor


def same_currency(told: Any, wanted: str | None) -> None:
    """Raises PriceError when a feed tells another currency than the tariff has; what is not told is believed."""
    if wanted and isinstance(told, str) and told.strip() and told.strip().upper() != wanted.upper():
        raise PriceError(f"prices are in {shown(told.strip())}, the tariff in {wanted}; set tariff.currency, or choose a feed in {wanted}")


def plausible(slots: Slots, currency: str | None = None) -> Slots:
    """Prices per kWh as they are. Raises PriceError for any that only another unit explains in this currency."""
    worst = max(slots, key=lambda slot: abs(slot.value), default=None)
    if worst is not None and abs(worst.value) > MOST_PER_KWH * size_of(currency):
        raise PriceError(f"a kWh would cost {worst.value:g}: the feed tells another unit than expected")
    return slots


def shown(value: Any) -> str:
    """A stranger's value for a message: short, one line, quoted."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
