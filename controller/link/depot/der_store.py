"""The DER controls of a depot: which exist, which one is in force, and when each starts, ends or is superseded (R04).

Per type there are default controls and scheduled ones. A lower priority number wins, ties leave the one that runs in force
(R04.FR.03-FR.08). A scheduled control supersedes weaker ones that have not started when it comes, and one that runs when it starts
itself; a superseded one is kept and reported, but never executed and never comes back. Scheduled ones go after startTime +
duration (FR.10). While no scheduled one runs the default is in force (FR.11).

What happened while nobody looked is caught up in the order of the clock: a control that began and ended while the power was away
has superseded what it would have superseded. Without a trusted clock nothing starts or ends (F78).

Kept in the face's memory; who changes something waits for the disk (R01.FR.03).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from controller.link.depot.der_bodies import BODY_OF, BodyError, read_body
from controller.ocpp.hub import Memory

Payload = dict[str, Any]

CONTROLS: Final = "der:controls"
COUNTER: Final = "der:order"
MOST_OF_A_KIND: Final = 24
"""Controls of one type, defaults and scheduled ones apart: no list of a report or an answer is longer."""
LIMIT: Final = "LimitMaxDischarge"


@dataclass(frozen=True, slots=True)
class Control:
    """One control. body: as it came, under its own key of SetDERControl. order: of arrival, rising.

    start_wall_s, duration_s: None = a default. begun: it has been in force, and the CSMS is told so. displaces: the ids it took over
    from when it came and began at once.
    """

    control_id: str
    control_type: str
    default: bool
    priority: int
    body: Payload
    order: int
    start_wall_s: float | None = None
    duration_s: float | None = None
    superseded: bool = False
    begun: bool = False
    displaces: tuple[str, ...] = ()

    @property
    def end_wall_s(self) -> float:
        """When it goes; inf for a default."""
        return float("inf") if self.start_wall_s is None or self.duration_s is None else self.start_wall_s + self.duration_s

    def runs(self, wall_s: float) -> bool:
        """Whether it is a scheduled one whose time is now."""
        return self.start_wall_s is not None and self.start_wall_s <= wall_s < self.end_wall_s


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a SetDERControl. superseded: ids that are superseded by now. reason_code, info: of its statusInfo."""

    status: str
    superseded: tuple[str, ...] = ()
    reason_code: str = ""
    info: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A scheduled control has come into force, or its time is over. superseded: ids it took over from.

    told False: it never was in force, or somebody took over: its end is no news (FR.22).
    """

    control: Control
    started: bool
    superseded: tuple[str, ...] = ()
    told: bool = True


class DerStore:
    """All controls of one depot."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._read: Any = None
        self._known: dict[str, Control] = {}

    def all(self) -> list[Control]:
        """In order of arrival; what cannot be read is left out."""
        return sorted(self._all().values(), key=lambda control: control.order)

    def find(self, control_id: str) -> Control | None:
        """By id."""
        return self._all().get(control_id)

    def _all(self) -> dict[str, Control]:
        kept = self._memory.get(CONTROLS) or {}
        if kept is not self._read:
            read = {key: _read(value) for key, value in kept.items()}
            self._read, self._known = kept, {key: control for key, control in read.items() if control is not None}
        return self._known

    def _write(self, changed: Iterable[Control], gone: Iterable[str] = ()) -> None:
        kept = dict(self._memory.get(CONTROLS) or {})
        kept |= {one.control_id: {**asdict(one), "displaces": list(one.displaces)} for one in changed}
        for control_id in gone:
            kept.pop(control_id, None)
        self._memory.put(CONTROLS, kept or None)

    # -- SetDERControl -------------------------------------------------------------------------------------

    def set(self, request: Payload, now_wall_s: float, wall_trusted: bool = True) -> Verdict:
        """Judge and take a control of a supported type; a known id replaces that control."""
        try:
            read = read_body(request)
        except BodyError as refused:
            return Verdict("Rejected", (), refused.reason_code, refused.info)
        new = Control(
            read.control_id,
            read.control_type,
            read.default,
            read.priority,
            read.body,
            int(self._memory.get(COUNTER) or 0) + 1,
            read.start_wall_s,
            read.duration_s,
        )
        if wall_trusted and new.end_wall_s <= now_wall_s:
            return Verdict("Rejected", (), "InvalidValue", "startTime and duration are over already")
        kind = [one for one in self._kind(new) if one.control_id != new.control_id]
        if len(kind) >= MOST_OF_A_KIND:
            return Verdict("Rejected", (), "OutOfStorage", f"more than {MOST_OF_A_KIND} controls of this type; clear some first")
        return self._take(new, [one for one in kind if not one.superseded], now_wall_s, wall_trusted)

    def _take(self, new: Control, rivals: list[Control], now_wall_s: float, wall_trusted: bool) -> Verdict:
        self._memory.put(COUNTER, new.order)
        if any(rival.priority < new.priority for rival in rivals):
            self._write([replace(new, superseded=True)])  # FR.08
            return Verdict("Accepted", (new.control_id,))
        at_once = new.default or (wall_trusted and new.runs(now_wall_s))

        def runs(rival: Control) -> bool:
            return rival.runs(now_wall_s) if wall_trusted else rival.begun

        weaker = [rival for rival in rivals if rival.priority > new.priority and (at_once or not runs(rival))]  # FR.03, FR.06; FR.07 waits
        displaces = () if new.default else tuple(rival.control_id for rival in weaker if rival.begun)
        self._write([*(replace(rival, superseded=True) for rival in weaker), replace(new, displaces=displaces)])
        return Verdict("Accepted", tuple(rival.control_id for rival in weaker))

    def _kind(self, like: Control) -> list[Control]:
        return [one for one in self.all() if (one.control_type, one.default) == (like.control_type, like.default)]

    # -- the clock ----------------------------------------------------------------------------------------------

    def advance(self, now_wall_s: float) -> list[Turn]:
        """What has come into force or ended by now; ended controls are gone. Only with a trusted clock."""
        scheduled = [one for one in self.all() if not one.default]
        turns: list[Turn] = []
        for control_type in dict.fromkeys(one.control_type for one in scheduled):
            turns += self._advance([one for one in scheduled if one.control_type == control_type], now_wall_s)
        return turns

    def _advance(self, kind: list[Control], now_wall_s: float) -> list[Turn]:
        now = {one.control_id: one for one in kind}
        for one in sorted(kind, key=lambda one: (one.start_wall_s or 0.0, one.order)):
            if (one.start_wall_s or 0.0) <= now_wall_s and not now[one.control_id].superseded:
                _start(now, one)
        over = [one for one in now.values() if one.end_wall_s <= now_wall_s]
        turns = [Turn(one, False, told=one.begun and not one.superseded) for one in over]
        left = {key: one for key, one in now.items() if one.end_wall_s > now_wall_s}
        chosen = leading(left.values(), now_wall_s)
        if chosen is not None and not chosen.begun:
            left[chosen.control_id] = replace(chosen, begun=True, displaces=())
            turns.append(Turn(left[chosen.control_id], True, chosen.displaces))
        changed = [left[one.control_id] for one in kind if one.control_id in left and left[one.control_id] != one]
        if changed or over:
            self._write(changed, [one.control_id for one in over])
        return turns

    # -- what holds ---------------------------------------------------------------------------------------------------

    def in_force(self, control_type: str, wall_s: float) -> Control | None:
        """The one control of a type that is executed at a moment (FR.09, FR.11), as far as is known now."""
        kind = [one for one in self.all() if one.control_type == control_type]
        return leading((one for one in kind if not one.default), wall_s) or _default(kind)

    def discharge_limit(self, wall_s: float, wall_trusted: bool = True) -> Control | None:
        """The LimitMaxDischarge in force, if it names a percentage. Without the time: the lowest that could be (F78)."""
        if wall_trusted:
            found = self.in_force(LIMIT, wall_s)
            return found if found is not None and percent_of(found) is not None else None
        able = [one for one in self.all() if one.control_type == LIMIT and not one.superseded and percent_of(one) is not None]
        return min(able, key=lambda one: percent_of(one) or 0.0, default=None)

    def coming_limits(self, wall_s: float) -> list[tuple[float, Control | None]]:
        """(when the LimitMaxDischarge in force changes later, to which), as far as is known now; ascending."""
        kind = [one for one in self.all() if one.control_type == LIMIT and not one.default and not one.superseded]
        edges = {edge for one in kind for edge in (one.start_wall_s or 0.0, one.end_wall_s) if wall_s < edge < math.inf}
        return [(edge, self.discharge_limit(edge)) for edge in sorted(edges)]

    # -- GetDERControl, ClearDERControl --------------------------------------------------------------------------------

    def select(self, default: bool | None, control_type: str | None, control_id: str | None) -> list[Control]:
        """Those that match all that is said; None matches any (FR.30)."""
        return [
            one
            for one in self.all()
            if default in (None, one.default) and control_type in (None, one.control_type) and control_id in (None, one.control_id)
        ]

    def remove(self, controls: Iterable[Control]) -> None:
        """Forget them."""
        self._write((), [control.control_id for control in controls])


def leading(scheduled: Iterable[Control], wall_s: float) -> Control | None:
    """The scheduled control that runs: the strongest, of equals the one that began first."""
    running = [one for one in scheduled if not one.superseded and one.runs(wall_s)]
    return min(running, key=lambda one: (one.priority, not one.begun, one.start_wall_s or 0.0, one.order), default=None)


def percent_of(control: Control) -> float | None:
    """What a LimitMaxDischarge leaves of the rated discharge power [%]; None when it only has a curve."""
    value = control.body.get("pctMaxDischargePower")
    return float(value) if isinstance(value, int | float) else None


def report_pages(controls: list[Control], request_id: int, most: int = MOST_OF_A_KIND) -> Iterator[Payload]:
    """ReportDERControl requests for them, at most so many controls in each (FR.31, FR.32)."""
    pages = [controls[start : start + most] for start in range(0, len(controls), most)]
    for number, page in enumerate(pages, start=1):
        payload: Payload = {"requestId": request_id, "tbc": number < len(pages)}
        for control in page:
            key, entry = _reported(control)
            payload.setdefault(key, []).append(entry)
        yield payload


def _reported(control: Control) -> tuple[str, Payload]:
    key = BODY_OF[control.control_type]
    entry: Payload = {"id": control.control_id, "fixedPF" if key.startswith("fixedPF") else key: control.body}
    if key not in ("enterService", "gradient"):
        entry |= {"isDefault": control.default, "isSuperseded": control.superseded}
    return key, entry | ({"curveType": control.control_type} if key == "curve" else {})


def _start(now: dict[str, Control], one: Control) -> None:
    """A control's startTime has come: weaker ones are superseded from here on (FR.07, FR.21)."""
    weaker = [other for other in now.values() if not other.superseded and other.priority > one.priority]
    for other in weaker:
        now[other.control_id] = replace(other, superseded=True)
    taken = tuple(other.control_id for other in weaker if other.begun)
    if taken:
        now[one.control_id] = replace(now[one.control_id], displaces=(*now[one.control_id].displaces, *taken))


def _default(kind: Iterable[Control]) -> Control | None:
    return min((one for one in kind if one.default and not one.superseded), key=lambda one: (one.priority, one.order), default=None)


def _read(value: Any) -> Control | None:
    if not isinstance(value, dict):
        return None
    try:
        return Control(**{**value, "displaces": tuple(value.get("displaces", ()))})
    except TypeError:
        return None
