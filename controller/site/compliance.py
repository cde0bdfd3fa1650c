"""Compliance: the record that a limit from outside was received, obeyed and when.

Per source, direction and circuit: when the limit in force changed and why; when what is measured was at or below it for the first time and
stayed there; what was measured every few seconds while it held; each time it was broken; when it ended. Without a meter nothing is
claimed. Lines go to disk for years (``RecordCompliance``). Decides nothing about watts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.facts import Direction, Stamp
from controller.orders import RecordCompliance

EVERY_S: Final = 5.0
"""While a limit holds what is measured is recorded this often [s]."""
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
    """A limit in force now. limit_w None = none. measured_w: what flows where it binds, in its direction, >= 0; None = nobody measures it."""

    source: str
    direction: Direction
    circuit: str
    state: str
    limit_w: float | None
    measured_w: float | None
    detail: str = ""


@dataclass(slots=True)
class Watch:
    """One limit over time."""

    state: str
    limit_w: float | None
    since_mono_s: float
    recorded_mono_s: float = -math.inf
    below_since: float | None = None
    above_since: float | None = None
    obeyed: bool | None = None


class Compliance:
    """All of them."""

    def __init__(self) -> None:
        self._watches: dict[Where, Watch] = {}
        self.broken: set[str] = set()
        """Sources whose limit is broken now."""

    def wanted(self, limits: Sequence[object]) -> bool:
        """Whether there is anything to watch, or was a moment ago."""
        return bool(limits or self._watches)

    def note(self, held: Held, event: str, at: Stamp) -> RecordCompliance:
        """A line of its own: a statement that came, was refused, a failsafe that was set."""
        return RecordCompliance(at.wall_s, held.source, held.direction, held.circuit, event, held.limit_w, held.measured_w, held.detail)

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
            watch = self._watches[where] = Watch(held.state, held.limit_w, at.mono_s, obeyed=True if looser else None)
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
        lines: list[RecordCompliance] = []
        if held.measured_w is not None and held.limit_w is not None:
            lines += self._judged(held, watch, at)
        if at.mono_s - watch.recorded_mono_s >= EVERY_S:
            watch.recorded_mono_s = at.mono_s
            lines.append(self.note(held, "measured" if held.measured_w is not None else "not_measured", at))
        if watch.obeyed is False:
            self.broken.add(held.source)
        return lines

    def _judged(self, held: Held, watch: Watch, at: Stamp) -> list[RecordCompliance]:
        assert held.limit_w is not None
        assert held.measured_w is not None
        now, most_w = at.mono_s, held.limit_w + max(SPARE_W, SPARE_PART * held.limit_w)
        if held.measured_w <= most_w:
            watch.above_since = None
            watch.below_since = now if watch.below_since is None else watch.below_since
            if watch.obeyed is not True and now - watch.below_since >= STAYS_S:
                after_s = watch.below_since - watch.since_mono_s
                watch.obeyed = True
                return [self._say(held, "obeyed", at, f"first at or below it {after_s:.1f} s after it came into force")]
            return []
        watch.below_since = None
        watch.above_since = now if watch.above_since is None else watch.above_since
        lasting = now - watch.above_since >= STAYS_S
        if lasting and (watch.obeyed or (watch.obeyed is None and now - watch.since_mono_s >= REACT_S)):
            watch.obeyed = False
            return [self._say(held, "violated", at, f"{held.measured_w - held.limit_w:.0f} W above it")]
        return []

    def _say(self, held: Held, event: str, at: Stamp, detail: str) -> RecordCompliance:
        return RecordCompliance(at.wall_s, held.source, held.direction, held.circuit, event, held.limit_w, held.measured_w, detail)
