"""The one state machine behind every limit from outside, whoever sends it and in whatever protocol.

Its rules are those of the EEBUS use cases LPC and LPP (ECOSYSTEM 4.1). It keeps "nothing said", "known to be unlimited" and "limited"
apart, holds a failsafe until the first limit and while its source is silent, and never goes unlimited by silence. Values may be watts or
amps: the machine does not care. Ends run on the monotonic clock; the wall end is for people and for a restart. Serves F51, F54-F57, F77
and F78.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from controller.facts import Stamp

ANSWER_S: Final = 120.0
"""After its heartbeat is back a source has so long to state a limit; then the failsafe ends (LPC-921) [s]."""
LINK_S: Final = 120.0
"""A source that sends no heartbeat is taken for silent when its connection has been known to be down so long [s]."""
MOST_DOUBTS: Final = 8
"""So many words of unknown age are kept of a source, the newest ones."""
FAILSAFE_MIN_S: Final = 7200.0
FAILSAFE_MAX_S: Final = 86_400.0
"""Bounds of the shortest life of a failsafe (LPC-TS-012) [s]."""


class State(StrEnum):
    """Where a machine stands. waiting: failsafe until the first limit; silent: nothing said, no failsafe; released: free after a failsafe."""

    SILENT = "silent"
    WAITING = "waiting"
    UNLIMITED = "unlimited"
    LIMITED = "limited"
    FAILSAFE = "failsafe"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Stated:
    """What a source last stated. value: None = it states that there is no limit. ends_*: None = it does not end by itself (APCL_DUR_02).

    lasts: silence does not age it (contacts say what counts then).
    """

    value: float | None
    ends_mono_s: float | None = None
    ends_wall_s: float | None = None
    lasts: bool = False

    def alive(self, now: float) -> bool:
        """Whether it has not ended."""
        return self.ends_mono_s is None or now < self.ends_mono_s

    @property
    def outlasts(self) -> bool:
        """Whether it holds through any silence: it has an end, its own or the next change of the schedule it comes from, or needs none."""
        return self.lasts or self.ends_mono_s is not None or self.ends_wall_s is not None


@dataclass(slots=True)
class Rules:
    """What one source has to keep to.

    heartbeat_s: silence after which the failsafe holds, 0 = it need not say anything. failsafe: its value, None = none. failsafe_min_s: so
    long a lower last word without an end outlasts its source. write_beats: a statement is a heartbeat, too (not in EEBUS). waits: the
    failsafe holds from the start until the first limit.
    """

    heartbeat_s: float = 0.0
    failsafe: float | None = None
    failsafe_min_s: float = FAILSAFE_MIN_S
    write_beats: bool = True
    waits: bool = True


class LimitMachine:
    """One source, one direction. Mutable; ``now`` is monotonic seconds."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.state = State.SILENT
        self.since_mono_s = -math.inf
        self.stated: Stated | None = None
        self._doubted: tuple[Stated, ...] = ()
        self._unheard = False
        self.heard_mono_s = -math.inf
        self._back_mono_s: float | None = None
        self._link_lost_mono_s: float | None = None
        self._wait()

    def _wait(self) -> None:
        if self.rules.waits and self.rules.failsafe is not None:
            self.state = State.WAITING

    # -- what is heard ---------------------------------------------------------------------------------

    def beat(self, now: float) -> None:
        """The source lives. That alone ends no failsafe (LPC-916); it begins the time it has for a limit (LPC-921)."""
        if self._back_mono_s is None or not self.lives(now):
            self._back_mono_s = now
        self.heard_mono_s = max(self.heard_mono_s, now)

    def lives(self, now: float) -> bool:
        """Whether its heartbeat is there, or it needs none."""
        return self.rules.heartbeat_s <= 0 or now - self.heard_mono_s < self.rules.heartbeat_s

    def write(self, stated: Stated, now: float, doubtful: bool = False, heard_mono_s: float | None = None) -> None:
        """The source states a limit, or that there is none.

        doubtful: of unknown age, it may only lower. heard_mono_s: when it was said, if a broker kept it since. In failsafe a limit counts
        only behind a heartbeat (LPC-916), and so it does while one is waited for from a source that was heard and is silent; the first one
        of all needs none (LPC-TS-017).
        """
        self.since_mono_s = now if self.since_mono_s == -math.inf else self.since_mono_s
        if doubtful:
            self._doubt(stated, now)
            return
        self.stated, self._doubted = stated, ()
        if self.rules.write_beats or self.heard_mono_s == -math.inf:
            self.beat(now if heard_mono_s is None else heard_mono_s)
        if self.state is State.WAITING and not self.lives(now):
            self.fail(now)
        self._unheard = self.state is State.FAILSAFE and not self.lives(now)
        if not self._unheard:
            self._go(State.UNLIMITED if stated.value is None else State.LIMITED, now)

    def _doubt(self, stated: Stated, now: float) -> None:
        """A word of unknown age: where something holds it holds beside it; where nothing does it is better than nothing."""
        if stated.value is None:
            return
        if self.value(now) is not None:
            self._doubted = (*self._doubts(now), stated)[-MOST_DOUBTS:]
        else:
            self.stated = stated
            self._go(State.LIMITED, now)

    def restate(self, stated: Stated, now: float) -> None:
        """What a schedule the source told before says now, or contacts that cannot be read. No word of the source: it ends no failsafe."""
        self.stated = stated
        self.since_mono_s = now if self.since_mono_s == -math.inf else self.since_mono_s
        if self.state in (State.WAITING, State.FAILSAFE):
            return
        if stated.value is not None:
            self._go(State.LIMITED, now)
        elif self.state is State.LIMITED:
            self._go(State.UNLIMITED, now)

    def failsafe(self, value: float | None, duration_s: float | None) -> None:
        """The source sets its failsafe (LPC scenario 2); None = as it was."""
        if value is not None:
            self.rules.failsafe = value
        if duration_s is not None:
            self.rules.failsafe_min_s = duration_s
        if self.state is State.SILENT:
            self._wait()

    def link(self, up: bool, now: float) -> None:
        """The connection to the source is known to be there or gone."""
        if up:
            self._link_lost_mono_s = None
        elif self._link_lost_mono_s is None:
            self._link_lost_mono_s = now

    # -- time --------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Let time pass."""
        if self.state is State.LIMITED and self.stated is not None and not self.stated.alive(now):
            self._end(now)
        if self.state in (State.LIMITED, State.UNLIMITED, State.RELEASED):
            self._listen(now)
        elif self.state is State.FAILSAFE:
            self._come_back(now)

    def _end(self, now: float) -> None:
        """Its end has come; a word of unknown age that held beside it may go on."""
        if doubts := self._doubts(now):
            self.stated, self._doubted = doubts[0], doubts[1:]
        else:
            self._go(State.UNLIMITED, now)

    def _doubts(self, now: float) -> tuple[Stated, ...]:
        return tuple(one for one in self._doubted if one.alive(now))

    def _listen(self, now: float) -> None:
        """LPC-911: silence begins the failsafe at once. Without one the last limit holds until its end."""
        if self.lives(now) and not self._unlinked(now):
            return
        if self.rules.failsafe is not None:
            self.fail(now)
        elif self.state is not State.LIMITED:
            self._go(State.SILENT, now)

    def _unlinked(self, now: float) -> bool:
        """A source without a heartbeat whose connection is gone: a limit keeps until its end, nothing else does (F51)."""
        lost = self._link_lost_mono_s
        return self.rules.heartbeat_s <= 0 and lost is not None and now - lost >= LINK_S and self.state is not State.LIMITED

    def _come_back(self, now: float) -> None:
        """LPC-921: the heartbeat is back, and no limit came in the time there was for it. One that came before the heartbeat counts then."""
        if not self.lives(now):
            self._back_mono_s = None
        elif self.rules.heartbeat_s > 0 and self._back_mono_s is not None and now - self._back_mono_s >= ANSWER_S:
            limited = self._unheard and self.stated is not None and self.stated.value is not None and self.stated.alive(now)
            self.stated = self.stated if limited else None
            self._go(State.LIMITED if limited else State.RELEASED, now)

    def fail(self, now: float) -> None:
        """The failsafe holds from now on."""
        self._back_mono_s, self._unheard = None, False
        self._go(State.FAILSAFE, now)

    def _go(self, state: State, now: float) -> None:
        if state is not self.state:
            self.state, self.since_mono_s = state, now

    # -- what holds ----------------------------------------------------------------------------------------

    def value(self, now: float) -> float | None:
        """The limit in force, None = none. A failsafe never raises a lower last word: that holds until its end, or without one for
        ``failsafe_min_s``."""
        holds = self._value(now)
        if holds is None or not self._doubted:
            return holds
        return min([holds, *(one.value for one in self._doubts(now) if one.value is not None)])

    def _value(self, now: float) -> float | None:
        stated = self.stated
        if self.state is State.LIMITED and stated is not None and stated.alive(now):
            return stated.value
        if self.state not in (State.WAITING, State.FAILSAFE) or self.rules.failsafe is None:
            return None
        last = stated.value if stated is not None and self._outlasts(stated, now) else None
        return self.rules.failsafe if last is None else min(last, self.rules.failsafe)

    def _outlasts(self, stated: Stated, now: float) -> bool:
        return stated.alive(now) and (stated.outlasts or now - self.since_mono_s < self.rules.failsafe_min_s)

    def ends(self, now: float) -> Stated | None:
        """The statement whose end is the end of the limit in force; None for a failsafe."""
        return self.stated if self.state is State.LIMITED and self.stated is not None and self.stated.alive(now) else None

    # -- restart -------------------------------------------------------------------------------------------

    def clock_set(self, at: Stamp) -> None:
        """The wall clock jumped: ends on the monotonic clock stay, and are shown and kept where they are now."""
        self.stated = None if self.stated is None else _as_shown(self.stated, at)
        self._doubted = tuple(_as_shown(one, at) for one in self._doubted)

    def memory(self) -> dict[str, Any]:
        """What the journal keeps."""
        stated = self.stated
        return {
            "state": self.state.value,
            "value": stated.value if stated is not None else None,
            "ends_wall_s": stated.ends_wall_s if stated is not None else None,
            "failsafe": self.rules.failsafe,
            "failsafe_min_s": self.rules.failsafe_min_s,
            **({"doubted": [[one.value, one.ends_wall_s] for one in self._doubted]} if self._doubted else {}),
        }

    def restore(self, memory: Mapping[str, Any], stated: Stated | None, at: Stamp, doubted: tuple[Stated, ...] = ()) -> None:
        """Back after a restart: with a failsafe it holds until the source speaks again, and a lower last word with it; without one the
        last limit goes on. That there was no limit is not believed any more. stated: the last word, None if it has ended. doubted: words of
        unknown age that held beside it."""
        self._wait()
        self.since_mono_s = at.mono_s
        self._doubted = doubted[-MOST_DOUBTS:]
        if stated is None and self._doubted and self.state is State.SILENT:
            stated, self._doubted = self._doubted[0], self._doubted[1:]
        if stated is None or stated.value is None or memory.get("state") == State.RELEASED.value:
            return
        self.stated = stated
        if self.state is State.SILENT:
            self.heard_mono_s = at.mono_s
            self.state = State.LIMITED


def _as_shown(stated: Stated, at: Stamp) -> Stated:
    """The same word with its end as the wall clock has it now."""
    return stated if stated.ends_mono_s is None else replace(stated, ends_wall_s=at.wall_in(stated.ends_mono_s - at.mono_s))
