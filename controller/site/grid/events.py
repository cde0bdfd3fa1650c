"""Schedules of events that a source keeps: OpenADR event intervals, DER controls and their defaults.

What holds is found field by field: of the events that run now the one with the lowest primacy, then the one created last, then the lower
limit; a default (start -inf) holds where no other event says anything. A randomised start or duration is drawn once per event from its
name and the site's, so that every restart draws the same and neighbours draw others; it is kept all the same. What the source wants to hear
is answered once each, also over restarts. The wall clock decides, anew at each look: it may jump. Unknown, every limit counts (F78).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from controller.facts import GridEvent, Stamp
from controller.orders import AnswerEvent
from controller.site.grid.words import LONGEST_S
from controller.site.session_memory import number_or_none

MOST_EVENTS: Final = 1000
"""Of one source, those that begin first; the others are taken when their time comes nearer."""
MOST_STRETCHES: Final = 100
"""So many changes are announced to a plan, the nearest first; the plan is made anew long before the others come."""
ENDS: Final = frozenset({"completed", "partial", "cancelled", "superseded", "rejected"})
"""Answers after which nothing more is said of an event."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What a schedule says at one moment; None = nothing. connected False: generation shall be disconnected. ends_wall_s: of the next change."""

    consumption_w: float | None = None
    production_w: float | None = None
    setpoint_w: float | None = None
    battery_w: float | None = None
    connected: bool = True
    label: str = ""
    ends_wall_s: float | None = None
    generation_w: float | None = None
    load_w: float | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the future in which the same holds [wall s]."""

    start_wall_s: float
    end_wall_s: float
    says: InForce


@dataclass(slots=True)
class Kept:
    """One event, its drawn shifts and what was answered."""

    event: GridEvent
    shift_s: float = 0.0
    longer_s: float = 0.0
    answered: set[str] = field(default_factory=set)
    bad: str = ""
    partly: bool = False

    @property
    def begin_wall_s(self) -> float:
        """When it begins, with its drawn shift."""
        return self.event.start_wall_s + self.shift_s

    @property
    def end_wall_s(self) -> float:
        """When it ends; inf = never."""
        if self.event.duration_s is None or self.event.duration_s > LONGEST_S:
            return math.inf
        return self.begin_wall_s + max(0.0, self.event.duration_s + self.longer_s)

    @property
    def default(self) -> bool:
        """Whether it holds only while nothing else does."""
        return self.event.start_wall_s == -math.inf

    @property
    def valid(self) -> bool:
        """Whether it holds at all, in its time."""
        return not self.bad and not self.event.cancelled

    def runs(self, wall_s: float) -> bool:
        """Whether it holds at a moment, as far as it goes."""
        return self.valid and self.begin_wall_s <= wall_s < self.end_wall_s

    def rank(self) -> tuple[bool, int, float, float, str]:
        """The first of all that run counts."""
        event = self.event
        least_w = min((watts for watts in _limits_of(event) if watts is not None), default=math.inf)
        return self.default, event.primacy, -event.created_wall_s, least_w, event.event_id


_FIELDS: Final[Mapping[str, Callable[[GridEvent], float | bool | None]]] = {
    "consumption_w": lambda event: event.consumption_w,
    "production_w": lambda event: event.production_w,
    "setpoint_w": lambda event: event.setpoint_w,
    "battery_w": lambda event: event.battery_w,
    "generation_w": lambda event: event.generation_w,
    "load_w": lambda event: event.load_w,
    "connected": lambda event: False if not event.connected else None,
}


class Schedule:
    """All events of one source. seed: the site and the source, for the draws. battery: whether we can ask anything of one."""

    def __init__(self, source: str, seed: str, battery: bool) -> None:
        self._source, self._seed, self._battery = source, f"{seed}|{source}", battery
        self._kept: dict[str, Kept] = {}
        self._recalled: dict[str, Mapping[str, Any]] = {}

    # -- what is told ------------------------------------------------------------------------------------

    def told(self, events: Iterable[GridEvent], at: Stamp) -> list[AnswerEvent]:
        """Everything the source has scheduled now; what is not in it any more is cancelled."""
        answers: list[AnswerEvent] = []
        before, self._kept = self._kept, {}
        named: set[str] = set()
        for event in _nearest(events, at.wall_s, named):
            kept = self._kept[event.event_id] = self._take(event, before.pop(event.event_id, None))
            answers += self._received(kept, at)
        for gone in (kept for name, kept in before.items() if name not in named):
            if at.wall_s < gone.end_wall_s and not gone.default:
                answers += self._say(gone, "cancelled", at)
            elif gone.answered & {"started"}:
                answers += self._say(gone, self._how(gone), at)
        self._recalled.clear()
        return answers

    def _take(self, event: GridEvent, known: Kept | None) -> Kept:
        if known is None:
            return self._recall(event)
        if event.version < known.event.version:
            return known  # an older word that came late
        if event.version == known.event.version:
            known.event, known.bad = event, nonsense(event)
            return known
        running = known.answered & {"started"}
        return Kept(event, *self._draws(event), set(running), nonsense(event))

    def _recall(self, event: GridEvent) -> Kept:
        memory = self._recalled.get(event.event_id, {})
        shift_s, longer_s = number_or_none(memory.get("shift_s")), number_or_none(memory.get("longer_s"))
        drawn = self._draws(event)
        same = memory.get("version") == event.version
        answered = {str(word) for word in memory.get("answered", ()) if same or word == "started"}
        return Kept(event, drawn[0] if shift_s is None else shift_s, drawn[1] if longer_s is None else longer_s, answered, nonsense(event))

    def _draws(self, event: GridEvent) -> tuple[float, float]:
        """(shift of the start, of the duration) [s], whole seconds between 0 and what the event allows, which may be negative."""
        if event.start_wall_s == -math.inf:
            return 0.0, 0.0
        return self._draw(event, "start", event.randomize_start_s), self._draw(event, "duration", event.randomize_duration_s)

    def _draw(self, event: GridEvent, what: str, most_s: float) -> float:
        digest = hashlib.sha256(f"{self._seed}|{event.event_id}|{what}".encode()).digest()
        part = int.from_bytes(digest[:8], "big") / 2.0**64
        return float(math.trunc(part * (most_s + math.copysign(1.0, most_s)))) if math.isfinite(most_s) and most_s else 0.0

    def _received(self, kept: Kept, at: Stamp) -> list[AnswerEvent]:
        event = kept.event
        late = at.wall_trusted and kept.end_wall_s <= at.wall_s and "received" not in kept.answered
        if kept.bad or (late and not event.cancelled):
            return [*self._say(kept, "received", at), *self._say(kept, "rejected", at)]
        said = self._say(kept, "received", at)
        return said + self._say(kept, "cancelled", at) if event.cancelled else said

    # -- time -----------------------------------------------------------------------------------------------

    def look(self, at: Stamp) -> list[AnswerEvent]:
        """Answers that are due as time passes. A clock that is not trusted starts and ends nothing."""
        answers: list[AnswerEvent] = []
        if not at.wall_trusted:
            return answers
        leading = self._leading(at.wall_s)
        for kept in self._kept.values():
            if kept.bad or kept.event.cancelled or kept.default:
                continue
            if kept.runs(at.wall_s):
                answers += self._say(kept, "started" if self._leads(kept, leading) else "superseded", at)
            elif kept.end_wall_s <= at.wall_s and not kept.answered & ENDS:
                answers += self._say(kept, self._how(kept) if "started" in kept.answered else "partial", at)
        return answers

    def _how(self, kept: Kept) -> str:
        """In part only: a limit was broken, or it asked for something that nobody here can do."""
        event = kept.event
        idle = (event.battery_w is not None or event.setpoint_w is not None) and not self._battery
        return "partial" if kept.partly or idle else "completed"

    def _leads(self, kept: Kept, leading: Mapping[str, Kept]) -> bool:
        says = [name for name, of in _FIELDS.items() if of(kept.event) is not None]
        return not says or any(leading.get(name) is kept for name in says)

    def broken(self, at: Stamp) -> None:
        """A limit in force is broken: what runs now is obeyed in part only."""
        for kept in self._kept.values():
            if kept.runs(at.wall_s) and not kept.default:
                kept.partly = True

    def _say(self, kept: Kept, what: str, at: Stamp) -> list[AnswerEvent]:
        """Once each, and nothing behind an end."""
        if what in kept.answered or kept.answered & ENDS:
            return []
        kept.answered.add(what)
        event = kept.event
        return [AnswerEvent(self._source, event.event_id, event.version, what, at.wall_s)] if event.answers else []

    # -- what holds -------------------------------------------------------------------------------------------

    def in_force(self, at: Stamp) -> InForce:
        """What holds now."""
        return self._at(at.wall_s) if at.wall_trusted else self._all()

    def _leading(self, wall_s: float) -> dict[str, Kept]:
        return _first_of(sorted((kept for kept in self._kept.values() if kept.runs(wall_s)), key=Kept.rank))

    def _at(self, wall_s: float) -> InForce:
        return _says(self._leading(wall_s), self._next_change(wall_s))

    def _all(self) -> InForce:
        """Nobody knows what time it is: the lowest of every limit that may hold."""
        may = [kept.event for kept in self._kept.values() if kept.valid]
        limits = [_limits_of(event) for event in may]
        taken, fed_in, made, loads = (min((watts for one in limits if (watts := one[way]) is not None), default=None) for way in range(4))
        connected, label = all(event.connected for event in may), "clock not known" if may else ""
        return InForce(taken, fed_in, connected=connected, label=label, generation_w=made, load_w=loads)

    @property
    def binds_loads(self) -> bool:
        """Whether any event limits the controllable loads by themselves."""
        return any(kept.event.load_w is not None for kept in self._kept.values())

    def _edges(self, from_wall_s: float) -> list[float]:
        return sorted(
            {edge for kept in self._kept.values() if kept.valid for edge in (kept.begin_wall_s, kept.end_wall_s) if from_wall_s < edge < math.inf}
        )

    def _next_change(self, wall_s: float) -> float | None:
        return next(iter(self._edges(wall_s)), None)

    def ahead(self, at: Stamp, horizon_s: float) -> tuple[Stretch, ...]:
        """What is announced from now on [wall s]. Empty without a trusted clock."""
        if not at.wall_trusted or not self._kept:
            return ()
        until_s = at.wall_s + horizon_s
        within = [edge for edge in self._edges(at.wall_s) if edge < until_s]
        edges = [at.wall_s, *within[:MOST_STRETCHES], *([until_s] if len(within) <= MOST_STRETCHES else [])]
        ranked = [(kept.begin_wall_s, kept.end_wall_s, kept) for kept in sorted(self._kept.values(), key=Kept.rank) if kept.valid]
        found = []
        for begin_s, end_s in pairwise(edges):
            leading = _first_of([kept for first_s, last_s, kept in ranked if first_s <= begin_s < last_s])
            found.append(Stretch(begin_s, end_s, _says(leading, end_s)))
        return tuple(found)

    def next_words(self, at: Stamp) -> tuple[float, str] | None:
        """(when the next event begins, its name)."""
        coming = [kept for kept in self._kept.values() if kept.valid and kept.begin_wall_s > at.wall_s]
        first = min(coming, key=lambda kept: kept.begin_wall_s, default=None)
        return (first.begin_wall_s, first.event.label or first.event.event_id) if first is not None else None

    # -- restart ----------------------------------------------------------------------------------------------

    def memory(self) -> dict[str, Any]:
        """What the journal keeps: the events themselves too, as they hold while the source is away."""
        return {event_id: _kept_memory(kept) for event_id, kept in self._kept.items()}

    def restore(self, memory: Mapping[str, Any]) -> None:
        """Take it back."""
        for event_id, one in memory.items():
            if not isinstance(one, dict):
                continue
            self._recalled[event_id] = one
            event = _event_of(event_id, one.get("event"))
            if event is not None:
                self._kept[event_id] = self._recall(event)


def _first_of(ranked: Sequence[Kept]) -> dict[str, Kept]:
    """Who leads in each field, of those that run, in order of rank."""
    return {name: found for name, of in _FIELDS.items() if (found := next((one for one in ranked if of(one.event) is not None), None))}


def _says(leading: Mapping[str, Kept], ends_wall_s: float | None) -> InForce:
    says = {name: _FIELDS[name](kept.event) for name, kept in leading.items()}
    labels = dict.fromkeys(kept.event.label or kept.event.event_id for kept in leading.values())
    return InForce(**{"connected": True} | says, label=", ".join(labels), ends_wall_s=ends_wall_s)  # type: ignore[arg-type]


def _nearest(events: Iterable[GridEvent], wall_s: float, named: set[str]) -> Iterable[GridEvent]:
    """As many as are kept, those that are over last of all. named: takes the names of all, kept or not."""
    found = list(events)
    named.update(event.event_id for event in found)
    if len(found) <= MOST_EVENTS:
        return found
    return sorted(found, key=lambda event: (event.start_wall_s + _lasts_s(event) <= wall_s, event.start_wall_s))[:MOST_EVENTS]


def _lasts_s(event: GridEvent) -> float:
    return math.inf if event.duration_s is None else event.duration_s


def nonsense(event: GridEvent) -> str:
    """Why an event cannot be obeyed at all; "" if it can."""
    limits = [watts for watts in _limits_of(event) if watts is not None]
    powers = [watts for watts in (event.setpoint_w, event.battery_w) if watts is not None]
    if any(not math.isfinite(watts) or watts < 0 for watts in limits):
        return "a limit must be a number, 0 or more"
    if not all(map(math.isfinite, powers)):
        return "a power must be a number"
    if math.isnan(event.start_wall_s) or event.start_wall_s == math.inf:
        return "it has no start"
    if event.duration_s is not None and not (math.isfinite(event.duration_s) and event.duration_s >= 0):
        return "its duration must be 0 seconds or more"
    return ""


def _limits_of(event: GridEvent) -> tuple[float | None, ...]:
    return event.consumption_w, event.production_w, event.generation_w, event.load_w


_NUMBERS: Final = ("consumption_w", "production_w", "setpoint_w", "battery_w", "generation_w", "load_w", "duration_s")
_PLAIN: Final = ("primacy", "created_wall_s", "randomize_start_s", "randomize_duration_s", "cancelled", "answers", "connected", "label")


def _kept_memory(kept: Kept) -> dict[str, Any]:
    event = kept.event
    told = {"version": event.version} | {name: getattr(event, name) for name in (*_NUMBERS, *_PLAIN)}
    told["start_wall_s"] = None if kept.default else event.start_wall_s
    finite = {name: value for name, value in told.items() if not isinstance(value, float) or math.isfinite(value)}
    return {
        "version": event.version,
        "shift_s": kept.shift_s,
        "longer_s": kept.longer_s,
        "answered": sorted(kept.answered),
        "event": None if kept.bad else finite,
    }


def _event_of(event_id: str, memory: Any) -> GridEvent | None:
    """An event from the journal; None for rubbish (F75)."""
    if not isinstance(memory, dict):
        return None
    try:
        start_s, version = number_or_none(memory.get("start_wall_s")), int(memory.get("version", 0))
        told: dict[str, Any] = {name: number_or_none(memory.get(name)) for name in _NUMBERS}
        told |= {name: memory[name] for name in _PLAIN if name in memory}
        event = GridEvent(event_id, version, -math.inf if start_s is None else start_s, **told)
        return event if not nonsense(event) else None
    except (TypeError, ValueError):
        return None
