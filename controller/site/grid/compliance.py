"""Compliance: the record that a limit from outside was received, obeyed and when.

Per source, direction and circuit: when the limit in force changed and why; when what is measured was at or below it for the first time and
stayed there; what was measured while it held, every few seconds around a change and each minute later; each time it was broken; when it
ended. What nobody measures, or was read before the limit came, proves nothing and is not claimed. Lines go to disk for years
(``RecordCompliance``). Decides nothing about watts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.facts import Direction, Stamp
from controller.orders import RecordCompliance

EVERY_S: Final = 5.0
"""Around a change, and while it is broken, what is measured is recorded this often [s] ..."""
CLOSE_S: Final = 900.0
"""... for so long after it [s]; ..."""
LONG_S: Final = 60.0
"""... and then this often, with the highest since: a limit may hold for years [s]."""
OLD_S: Final = 10.0
"""A reading from before the limit that is older than this is none of it [s]."""
REPEAT_S: Final = 900.0
"""A word that a source repeats is recorded this often [s]."""
STAYS_S: Final = 5.0
"""At or below the limit for so long is obeyed; above it for so long is broken [s]."""
SPARE_W, SPARE_PART = 50.0, 0.005
"""So far above is still at the limit: the meters' own error, in W and as a part."""
REACT_S: Final = 60.0
"""A limit that is not obeyed for so long after it came is broken: stations and cars need some seconds [s]."""

Where = tuple[str, Direction, str]
"""(source, direction, circuit)."""


@dataclass(frozen=True, slots=True)
class Held:
    """A limit in force now. limit_w None = none. measured_w: what flows where it binds, in its direction, >= 0; None = nobody measures it.

    more_w: the most that may flow besides, unmeasured. read_mono_s: when the oldest part of measured_w was read.
    """

    source: str
    direction: Direction
    circuit: str
    state: str
    limit_w: float | None
    measured_w: float | None
    detail: str = ""
    more_w: float = 0.0
    read_mono_s: float = math.inf


@dataclass(slots=True)
class Watch:
    """One limit over time."""

    state: str
    limit_w: float | None
    since_mono_s: float
    recorded_mono_s: float = -math.inf
    close_mono_s: float = -math.inf
    highest_w: float = 0.0
    below_since: float | None = None
    above_since: float | None = None
    obeyed: bool | None = None


@dataclass(slots=True)
class Said:
    """The last word of a source that was recorded, when, and how often it came again."""

    said: tuple[str, float | None, str]
    recorded_mono_s: float
    times: int = 0


class Compliance:
    """All of them."""

    def __init__(self) -> None:
        self._watches: dict[Where, Watch] = {}
        self._said: dict[Where, Said] = {}
        self.broken: set[str] = set()
        """Sources whose limit is broken now."""

    def wanted(self, limits: Sequence[object]) -> bool:
        """Whether there is anything to watch, or was a moment ago."""
        return bool(limits or self._watches)

    def obeyed(self, source: str, direction: Direction, circuit: str) -> bool | None:
        """Whether a limit is obeyed now: None = not known (yet), or none holds."""
        watch = self._watches.get((source, direction, circuit))
        return watch.obeyed if watch is not None and watch.limit_w is not None else None

    def note(self, held: Held, event: str, at: Stamp, detail: str | None = None) -> RecordCompliance:
        """A line of its own: a statement that came, was refused, a failsafe that was set. A clock that nobody trusts is said to be one."""
        words = held.detail if detail is None else detail
        words = words if at.wall_trusted else "; ".join(filter(None, (words, "the clock was not set")))
        measured_w = held.measured_w if held.more_w == 0.0 else None
        return RecordCompliance(at.wall_s, held.source, held.direction, held.circuit, event, held.limit_w, measured_w, words)

    def heard(self, held: Held, event: str, at: Stamp) -> list[RecordCompliance]:
        """A word of a source. What it repeats is recorded now and then, with how often it came."""
        where, said = (held.source, held.direction, held.circuit), (event, held.limit_w, held.detail)
        before = self._said.get(where)
        if before is not None and before.said == said and at.mono_s - before.recorded_mono_s < REPEAT_S:
            before.times += 1
            return []
        self._said[where] = Said(said, at.mono_s)
        times = before.times if before is not None and before.said == said else 0
        more = f"and {times} times since the last line" if times else ""
        return [self.note(held, event, at, "; ".join(filter(None, (held.detail, more))))]

    def clock_set(self, moved_s: float, at: Stamp) -> list[RecordCompliance]:
        """The wall clock was set: times before and after do not go together."""
        held = [(where, watch) for where, watch in self._watches.items() if watch.limit_w is not None]
        return [self.note(Held(*where, watch.state, watch.limit_w, None), "clock_set", at, f"by {moved_s:+.0f} s") for where, watch in held]

    def look(self, everything: Iterable[Held], at: Stamp) -> list[RecordCompliance]:
        """Let time pass: lines for what changed, was obeyed or broken, and what is measured."""
        lines: list[RecordCompliance] = []
        seen: set[Where] = set()
        self.broken.clear()
        for held in everything:
            seen.add((held.source, held.direction, held.circuit))
            lines += self._one(held, at)
        for where in [where for where in self._watches if where not in seen]:
            lines += self._one(Held(*where, "unlimited", None, None), at)
            del self._watches[where]
        return lines

    def _one(self, held: Held, at: Stamp) -> list[RecordCompliance]:
        where = (held.source, held.direction, held.circuit)
        watch = self._watches.get(where)
        if watch is None and held.limit_w is None:
            return []
        if watch is None or (watch.state, watch.limit_w) != (held.state, held.limit_w):
            changed = self._changed(held, watch, at)
            looser = watch is not None and watch.obeyed and watch.limit_w is not None and held.limit_w is not None and held.limit_w >= watch.limit_w
            watch = self._watches[where] = Watch(held.state, held.limit_w, at.mono_s, close_mono_s=at.mono_s, obeyed=True if looser else None)
            return changed + ([] if held.limit_w is None else self._measured(held, watch, at))
        return [] if held.limit_w is None else self._measured(held, watch, at)

    def _changed(self, held: Held, before: Watch | None, at: Stamp) -> list[RecordCompliance]:
        """The limit in force is another one, or holds for another reason."""
        if held.limit_w is None:
            word = "released" if held.state == "released" else "ended"
        else:
            word = {"failsafe": "failsafe", "waiting": "failsafe"}.get(held.state, "in_force")
        if held.limit_w is None and (before is None or before.limit_w is None):
            return []
        return [self.note(held, word, at)]

    def _measured(self, held: Held, watch: Watch, at: Stamp) -> list[RecordCompliance]:
        lines = self._judged(held, watch, at)
        watch.highest_w = max(watch.highest_w, held.measured_w or 0.0)
        close = watch.obeyed is False or at.mono_s - watch.close_mono_s < CLOSE_S
        if at.mono_s - watch.recorded_mono_s >= (EVERY_S if close else LONG_S):
            lines.append(self._line(held, watch, at, close))
        if watch.obeyed is False:
            self.broken.add(held.source)
        return lines

    def _line(self, held: Held, watch: Watch, at: Stamp, close: bool) -> RecordCompliance:
        """What is measured now."""
        old = held.read_mono_s < watch.since_mono_s and at.mono_s - held.read_mono_s > OLD_S
        known, highest_w = held.measured_w is not None and not held.more_w and not old, watch.highest_w
        watch.recorded_mono_s, watch.highest_w = at.mono_s, 0.0
        if known:
            return self.note(held, "measured", at, held.detail if close else f"highest {highest_w:.0f} W since the last line")
        part = "" if held.measured_w is None else "only in part: a charger does not tell" if held.more_w else "read before the limit came"
        return self.note(held, "not_measured", at, "; ".join(filter(None, (held.detail, part))))

    def _judged(self, held: Held, watch: Watch, at: Stamp) -> list[RecordCompliance]:
        """Obeyed or broken by what is known; what nobody knows is neither."""
        assert held.limit_w is not None
        now, most_w = at.mono_s, at_limit(held.limit_w)
        if held.measured_w is None or held.read_mono_s < watch.since_mono_s or held.measured_w <= most_w < held.measured_w + held.more_w:
            watch.above_since = watch.below_since = None
            return []
        if held.measured_w <= most_w:
            watch.above_since = None
            watch.below_since = now if watch.below_since is None else watch.below_since
            if watch.obeyed is not True and now - watch.below_since >= STAYS_S:
                after_s = watch.below_since - watch.since_mono_s
                watch.obeyed = True
                return [self.note(held, "obeyed", at, f"first at or below it {after_s:.1f} s after it came into force")]
            return []
        watch.below_since = None
        watch.above_since = now if watch.above_since is None else watch.above_since
        lasting = now - watch.above_since >= STAYS_S
        if lasting and (watch.obeyed or (watch.obeyed is None and now - watch.since_mono_s >= REACT_S)):
            watch.obeyed, watch.close_mono_s = False, now
            least = "at least " if held.more_w else ""
            return [self.note(held, "violated", at, f"{least}{held.measured_w - held.limit_w:.0f} W above it")]
        return []


def at_limit(limit_w: float) -> float:
    """The most that is still at a limit [W]."""
    return limit_w + max(SPARE_W, SPARE_PART * limit_w)
