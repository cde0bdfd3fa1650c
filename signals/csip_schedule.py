"""DER programs to what a site shall do: modes to watts, controls to events, and what must be told back at once.

Limits are never rounded up. A mode that this site cannot carry out is named, not hidden: a control of which nothing can be done
is rejected with a response code of the standard (2030.5 table 27), one of which a part can be done is done in part and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from signals.csip_identity import share
from signals.csip_modes import Effects, Ratings, effects
from signals.csip_resources import BadItem, Control, Default, Program

LATE_S: Final = 3600.0
"""An event that ended longer ago is history and no longer looked at."""


class Status(IntEnum):
    """EventStatus.currentStatus."""

    SCHEDULED = 0
    ACTIVE = 1
    CANCELLED = 2
    CANCELLED_RANDOMLY = 3
    SUPERSEDED = 4


# -- controls ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProgramState:
    """A program with all that was read of it."""

    program: Program
    default: Default | None
    controls: tuple[Control, ...]
    bad: tuple[tuple[BadItem, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """One event for the site. Times in Unix seconds of the server; start -inf and duration None: a default."""

    event_id: str
    version: int
    start_s: float
    duration_s: float | None
    effects: Effects
    primacy: int
    created_s: float = 0.0
    randomize_start_s: float = 0.0
    randomize_duration_s: float = 0.0
    cancelled: bool = False
    answers: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """How an event is answered. program: the mRID of its program. superseded: by the server itself. partly: not all its modes are carried out."""

    reply_to: str | None
    required: int
    program: str
    superseded: bool = False
    partly: bool = False
    start_s: float = 0.0
    end_s: float = 0.0
    created_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that a server wants. rejected: (mRID, response code). troubles: words for people. next_s: server time when it changes by itself."""

    events: tuple[Planned, ...]
    replies: Mapping[str, Reply]
    rejected: tuple[tuple[str, int], ...] = ()
    troubles: tuple[str, ...] = ()
    next_s: float | None = None


NOT_APPLICABLE, INVALID, LATE = 252, 253, 254


def schedule(states: Iterable[ProgramState], ratings: Ratings, lfdi: str, now_s: float, known: frozenset[str] = frozenset()) -> Schedule:
    """Everything at once. now_s: of the server. known: mRIDs that have been answered before; one that is not and is over came too late."""
    work = _Work(ratings, lfdi, now_s, known)
    for state in sorted(states, key=lambda one: (one.program.primacy, one.program.mrid)):
        work.take(state)
    return Schedule(tuple(work.events), work.replies, tuple(work.rejected), tuple(dict.fromkeys(work.troubles)), min(work.changes, default=None))


class _Work:
    """One making of a schedule."""

    def __init__(self, ratings: Ratings, lfdi: str, now_s: float, known: frozenset[str]) -> None:
        self._ratings, self._lfdi, self._now_s, self._known = ratings, lfdi, now_s, known
        self.events: list[Planned] = []
        self.replies: dict[str, Reply] = {}
        self.rejected: list[tuple[str, int]] = []
        self.troubles: list[str] = []
        self.changes: list[float] = []

    def take(self, state: ProgramState) -> None:
        if state.default is not None:
            self._default(state.program, state.default)
        for control in state.controls:
            if control.mrid not in self.replies and _ours(control, self._ratings):
                self._control(state.program, control)
        for item, why in state.bad:
            self._bad(state.program, item, why)

    def _default(self, program: Program, default: Default) -> None:
        found = effects(default.modes, self._ratings)
        if found.undone:
            self.troubles.append(f"of the default control of {_called(program)} {', '.join(found.undone)} cannot be carried out, or not wholly")
        label = default.name or f"default of {_called(program)}"
        self.events.append(Planned(f"default:{program.mrid}", default.version, -math.inf, None, found, program.primacy, label=label))

    def _control(self, program: Program, control: Control) -> None:
        found = effects(control.modes, self._ratings)
        over_s = control.start_s + control.duration_s + max(0, control.randomize_start_s) + max(0, control.randomize_duration_s)
        if over_s + LATE_S < self._now_s:
            return
        self.replies[control.mrid] = _reply(program, control, found)
        cancelled = self._cancelled(control)
        if over_s <= self._now_s and control.mrid not in self._known:
            if not cancelled:
                self.rejected.append((control.mrid, LATE))
            return
        if found.undone:
            self.troubles.append(f"of the control {control.name or control.mrid} {', '.join(found.undone)} cannot be carried out, or not wholly")
        if not found.done:
            if not cancelled:
                self.rejected.append((control.mrid, NOT_APPLICABLE))
            return
        self.events.append(_planned(program, control, found, cancelled))

    def _cancelled(self, control: Control) -> bool:
        """Whether it shall not run now. Cancelled with randomisation: what has begun ends somewhere in the window."""
        if control.status != Status.CANCELLED_RANDOMLY:
            return control.status in (Status.CANCELLED, Status.SUPERSEDED)
        window_s = max(abs(control.randomize_start_s), abs(control.randomize_duration_s))
        ends_s = control.status_s + window_s * share(self._lfdi, control.mrid, "cancelled")
        if ends_s <= self._now_s or self._now_s < control.start_s + min(0, control.randomize_start_s):
            return True
        self.changes.append(ends_s)
        return False

    def _bad(self, program: Program, item: BadItem, why: str) -> None:
        self.troubles.append(f"a control of {_called(program)} cannot be read ({why}) and was rejected")
        if item.mrid and item.mrid not in self.replies:
            self.replies[item.mrid] = Reply(item.reply_to, item.response_required, program.mrid)
            self.rejected.append((item.mrid, INVALID))


def _planned(program: Program, control: Control, found: Effects, cancelled: bool) -> Planned:
    return Planned(
        control.mrid,
        control.version,
        float(control.start_s),
        float(control.duration_s),
        found,
        program.primacy,
        float(control.created_s),
        float(control.randomize_start_s),
        float(control.randomize_duration_s),
        cancelled,
        control.reply_to is not None and control.response_required != 0,
        control.name or _called(program),
    )


def _reply(program: Program, control: Control, found: Effects) -> Reply:
    return Reply(
        control.reply_to,
        control.response_required,
        program.mrid,
        control.status == Status.SUPERSEDED,
        bool(found.undone),
        float(control.start_s),
        float(control.start_s + control.duration_s),
        float(control.created_s),
    )


def _ours(control: Control, ratings: Ratings) -> bool:
    """A control for other kinds of devices is neither run nor answered."""
    return not control.category or bool(control.category & ratings.category)


def _called(program: Program) -> str:
    return program.name or f"program {program.mrid}"


def merged(listed: Iterable[Control], active: Iterable[Control]) -> tuple[Control, ...]:
    """Both lists of a program as one; what is in both counts as the newer one says it."""
    found: dict[str, Control] = {}
    for control in (*listed, *active):
        held = found.get(control.mrid)
        if held is None or _age(held) < _age(control):
            found[control.mrid] = control
    return tuple(found.values())


def held(states: Iterable[ProgramState], before: Iterable[ProgramState]) -> tuple[ProgramState, ...]:
    """States in which a control that cannot be read any more stays as it was read before: a garbled limit is not lifted."""
    known = {control.mrid: control for state in before for control in state.controls}
    found = []
    for state in states:
        kept = {item.mrid: known[item.mrid] for item, _ in state.bad if item.mrid in known}
        bad = tuple(one for one in state.bad if one[0].mrid not in kept)
        found.append(replace(state, controls=(*state.controls, *kept.values()), bad=bad))
    return tuple(found)


def _age(control: Control) -> tuple[int, int, int]:
    return control.version, control.status_s, control.status
