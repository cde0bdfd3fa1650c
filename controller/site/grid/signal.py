"""One source of limits: its two machines (consumption, production), the order of its words, its schedule or its contacts.

Whatever a source speaks ends here in a write or a heartbeat for the machines of ``limits``. A schedule writes what it says now when the
source tells it; as time passes it only restates, which ends no failsafe. Contacts write at each reading. Watts throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.config import Config
from controller.config_signals import ContactsSignal, SignalConfig
from controller.facts import ContactsRead, Direction, EventsTold, FailsafeStated, LimitStated, Stamp
from controller.orders import AnswerEvent
from controller.section_14a import resolved_w
from controller.site.grid.contacts import Contacts, Level
from controller.site.grid.events import InForce, Schedule
from controller.site.grid.limit_machine import FAILSAFE_MAX_S, FAILSAFE_MIN_S, LimitMachine, Rules, State, Stated
from controller.site.grid.words import LONGEST_S, Heard, Refusal, Word, out_of_order, too_old
from controller.site.session_memory import number_or_none

SCHEDULED: Final = ("openadr3", "openadr2", "ieee2030_5")
"""Types of sources that keep a schedule."""
CONSUMPTION, PRODUCTION = Direction.CONSUMPTION, Direction.PRODUCTION
FORGET_S: Final = 86_400.0
"""The order of a source's words is forgotten after so long [s]."""
ABSURD_FACTOR: Final = 10.0
"""A limit above this multiple of what the main fuse carries is a wrong unit, not a wish."""
WORST: Final = (State.FAILSAFE, State.WAITING, State.LIMITED, State.RELEASED, State.UNLIMITED, State.SILENT)
"""The state of a source is the first of these that one of its directions is in."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one direction stands: for telling changes. value_w None = no limit."""

    state: State
    value_w: float | None


class Signal:
    """One entry of ``signals``. Mutable; every method takes the time it happens at."""

    def __init__(self, config: Config, entry: SignalConfig) -> None:
        self.entry, self.id = entry, entry.id
        self._most_w = ABSURD_FACTOR * config.grid.fuse_a * config.grid.voltage_v * config.grid.phases
        self._configured = {CONSUMPTION: resolved_w(entry.failsafe_w, config), PRODUCTION: entry.failsafe_production_w}
        beats = entry.type not in ("eebus", "contacts")  # there a heartbeat is a message of its own; a contact has to be readable
        self.machines = {
            way: LimitMachine(Rules(entry.heartbeat_s, failsafe_w, entry.failsafe_min_s, beats)) for way, failsafe_w in self._configured.items()
        }
        self._heard: dict[Direction, Heard] = {}
        self.heard_mono_s: float | None = None
        self.schedule: Schedule | None = None
        self._site_id = config.site.id
        self._battery = config.battery is not None and config.battery.command is not None
        self.contacts = Contacts(config, entry) if isinstance(entry, ContactsSignal) else None
        self.level: Level | None = None
        self.says = InForce()

    def _new_schedule(self) -> Schedule:
        return Schedule(self.id, self._site_id, self._battery)

    # -- what is heard --------------------------------------------------------------------------------------

    def state(self, fact: LimitStated) -> Refusal | None:
        """A statement; None = taken."""
        heard = self._heard.get(fact.direction)
        word = Word(fact.at, fact.sequence, fact.issued_wall_s, fact.retained, fact.duration_s)
        refusal = self._nonsense(fact) or too_old(word) or (out_of_order(heard, word) if not _begun_anew(heard, word) else None)
        if refusal is not None:
            if refusal.repeat and not fact.retained and self.machines[fact.direction].rules.write_beats:
                self.beat(fact.at)
            return refusal
        now = fact.at.mono_s
        self._heard[fact.direction] = Heard(fact.sequence, fact.issued_wall_s, now + FORGET_S)
        value_w = None if fact.value_w is None else fact.value_w + 0.0  # minus nothing is nothing
        left_s = None if fact.duration_s is None or value_w is None else min(fact.duration_s, LONGEST_S) - word.waited_s
        stated = Stated(value_w) if left_s is None else Stated(value_w, now + left_s, fact.at.wall_in(left_s))
        doubtful = fact.retained and not fact.at.wall_trusted
        first = self.heard_mono_s is None  # the first word of all stands for a heartbeat, in both directions (LPC-TS-017)
        self.machines[fact.direction].write(stated, now, doubtful, now - word.waited_s)
        if not doubtful:
            self._lives(now - word.waited_s, beat=first or self.machines[fact.direction].rules.write_beats)
        self.machines[fact.direction].look(now)
        return None

    def _nonsense(self, fact: LimitStated) -> Refusal | None:
        value_w, duration_s = fact.value_w, fact.duration_s
        if value_w is not None and not math.isfinite(value_w):
            return Refusal("the limit must be a number")
        if value_w is not None and value_w < 0:
            return Refusal(f"a {fact.direction.value} limit must be 0 W or more, not {value_w:g} W")
        if value_w is not None and value_w > self._most_w:
            return Refusal(f"{value_w:.0f} W is more than {ABSURD_FACTOR:.0f} times what the main fuse carries; check the unit")
        if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
            return Refusal("the duration must be more than 0 seconds")
        return None

    def beat(self, at: Stamp) -> None:
        """A heartbeat."""
        self._lives(at.mono_s, beat=True)

    def _lives(self, heard_mono_s: float, beat: bool) -> None:
        self.heard_mono_s = max(self.heard_mono_s or -math.inf, heard_mono_s)
        if beat:
            for machine in self.machines.values():
                machine.beat(heard_mono_s)

    def set_failsafe(self, fact: FailsafeStated) -> Refusal | None:
        """LPC scenario 2; None = taken."""
        value_w, duration_s = fact.value_w, fact.duration_s
        if value_w is not None and not (math.isfinite(value_w) and 0 <= value_w <= self._most_w):
            return Refusal(f"the failsafe limit must be from 0 to {self._most_w:.0f} W")
        if duration_s is not None and not FAILSAFE_MIN_S <= duration_s <= FAILSAFE_MAX_S:
            return Refusal(f"the failsafe duration must be from {FAILSAFE_MIN_S:.0f} to {FAILSAFE_MAX_S:.0f} s")
        if value_w is None and duration_s is None:
            return Refusal("neither a failsafe limit nor a failsafe duration is given")
        self.machines[fact.direction].failsafe(value_w, duration_s)
        return None

    def link(self, up: bool, at: Stamp) -> None:
        """Its connection is there, or gone."""
        for machine in self.machines.values():
            machine.link(up, at.mono_s)

    def read(self, fact: ContactsRead) -> None:
        """The contacts were read; each reading states what they mean."""
        if self.contacts is None:
            return
        if self.contacts.read(fact.closed, fact.at.mono_s):
            self._lives(fact.at.mono_s, beat=True)
        self._contacts_say(fact.at.mono_s, wrote=True)

    def _contacts_say(self, now: float, wrote: bool = False) -> None:
        if self.contacts is None or (level := self.contacts.look(now)) is None:
            return
        self.level = level
        self._say({CONSUMPTION: level.consumption_w, PRODUCTION: level.production_w}, None, now, wrote)

    def tell(self, fact: EventsTold) -> list[AnswerEvent]:
        """The schedule was told, whole; that is a heartbeat, too."""
        if self.schedule is None:
            self.schedule = self._new_schedule()
        answers = self.schedule.told(fact.events, fact.at)
        self._lives(fact.at.mono_s, beat=True)
        return answers + self._schedule_says(fact.at, wrote=True)

    def _schedule_says(self, at: Stamp, wrote: bool = False) -> list[AnswerEvent]:
        if self.schedule is None:
            return []
        answers, says = self.schedule.look(at), self.schedule.in_force(at)
        self.says = says
        production_w = says.production_w if says.connected else 0.0
        self._say({CONSUMPTION: says.consumption_w, PRODUCTION: production_w}, says.ends_wall_s, at.mono_s, wrote)
        return answers

    def _say(self, values_w: Mapping[Direction, float | None], ends_wall_s: float | None, now: float, wrote: bool) -> None:
        """A heartbeat came with what holds now (wrote), or time has changed what holds."""
        for way, value_w in values_w.items():
            machine = self.machines[way]
            stated = Stated(value_w, None, ends_wall_s if value_w is not None else None, self.contacts is not None)
            if wrote and machine.lives(now):
                machine.write(stated, now)
            elif machine.stated != stated:
                machine.restate(stated, now)

    # -- time ---------------------------------------------------------------------------------------------------

    def look(self, at: Stamp) -> list[AnswerEvent]:
        """Let time pass."""
        answers = self._schedule_says(at)
        self._contacts_say(at.mono_s)
        for machine in self.machines.values():
            machine.look(at.mono_s)
        return answers

    # -- what holds ------------------------------------------------------------------------------------------------

    def standing(self, now: float) -> dict[Direction, Standing]:
        """Both directions now."""
        return {way: Standing(machine.state, machine.value(now)) for way, machine in self.machines.items()}

    def value_w(self, way: Direction, now: float) -> float | None:
        """The limit in force [W], None = none."""
        return self.machines[way].value(now)

    def ends(self, way: Direction, now: float) -> tuple[float | None, float | None]:
        """(monotonic, wall) end of the limit in force; None = no end is known."""
        stated = self.machines[way].ends(now)
        return (None, None) if stated is None else (stated.ends_mono_s, stated.ends_wall_s)

    def reason(self, way: Direction) -> str:
        """As shown on a setpoint."""
        words = {State.WAITING: " failsafe, no limit yet", State.FAILSAFE: " failsafe, source silent"}.get(self.machines[way].state, "")
        return f"limit ({self.id}{words})"

    def worst(self) -> State:
        """The state of the whole source."""
        states = {machine.state for machine in self.machines.values()}
        return next(state for state in WORST if state in states)

    def trouble(self, now: float) -> str:
        """For people; "" = all is well."""
        if self.level is not None and self.level.trouble:
            return self.level.trouble
        silent_s = now - self.heard_mono_s if self.heard_mono_s is not None else None
        if self.worst() is State.FAILSAFE:
            return f"silent for {silent_s:.0f} s: the failsafe holds" if silent_s is not None else "silent: the failsafe holds"
        if self.worst() is State.WAITING:
            return "no limit came yet: the failsafe holds"
        late = self.entry.heartbeat_s > 0 and silent_s is not None and silent_s >= self.entry.heartbeat_s
        return f"silent for {silent_s:.0f} s, and there is no failsafe" if late else ""

    # -- restart ---------------------------------------------------------------------------------------------------

    def clock_set(self, at: Stamp) -> None:
        """The wall clock jumped."""
        for machine in self.machines.values():
            machine.clock_set(at)

    def memory(self) -> dict[str, Any]:
        """What the journal keeps."""
        kept: dict[str, Any] = {way.value: machine.memory() | self._order(way) for way, machine in self.machines.items()}
        return kept | ({"events": self.schedule.memory()} if self.schedule is not None else {})

    def _order(self, way: Direction) -> dict[str, Any]:
        heard = self._heard.get(way)
        own = self.machines[way].rules.failsafe != self._configured[way] or self.machines[way].rules.failsafe_min_s != self.entry.failsafe_min_s
        order = {"sequence": heard.sequence if heard else None, "issued_wall_s": heard.issued_wall_s if heard else None}
        return order | ({} if own else {"failsafe": None, "failsafe_min_s": None})

    def restore(self, memory: Mapping[str, Any], at: Stamp) -> None:
        """Take it back (see ``LimitMachine.restore``)."""
        for way, machine in self.machines.items():
            one = memory.get(way.value)
            if isinstance(one, dict):
                self._restore_way(way, machine, one, at)
        events = memory.get("events")
        if isinstance(events, dict) and self.entry.type in SCHEDULED:  # the entry may have been of another type
            self.schedule = self._new_schedule()
            self.schedule.restore(events)
            self.says = self.schedule.in_force(at)

    def _restore_way(self, way: Direction, machine: LimitMachine, one: Mapping[str, Any], at: Stamp) -> None:
        failsafe_w, duration_s = number_or_none(one.get("failsafe")), number_or_none(one.get("failsafe_min_s"))
        machine.failsafe(
            failsafe_w if failsafe_w is not None and failsafe_w >= 0 else None,
            duration_s if duration_s is not None and FAILSAFE_MIN_S <= duration_s <= FAILSAFE_MAX_S else None,
        )
        sequence = number_or_none(one.get("sequence"))
        self._heard[way] = Heard(int(sequence) if sequence is not None else None, number_or_none(one.get("issued_wall_s")), at.mono_s + FORGET_S)
        doubted = one.get("doubted")
        rows = [row for row in doubted if isinstance(row, list) and len(row) == 2] if isinstance(doubted, list) else []
        words = (_word(value, ends_wall_s, at) for value, ends_wall_s in rows)
        machine.restore(one, _word(one.get("value"), one.get("ends_wall_s"), at), at, tuple(word for word in words if word is not None))


def _word(value: Any, ends: Any, at: Stamp) -> Stated | None:
    """A word from the journal; None for rubbish (F75) and for what has ended."""
    value_w = number_or_none(value)
    return None if value_w is None or value_w < 0 else _left(value_w, number_or_none(ends), at)


def _left(value_w: float, ends_wall_s: float | None, at: Stamp) -> Stated | None:
    """What is left of a limit; None if it has ended. Without a trusted clock it may last as long as any (F78)."""
    if ends_wall_s is None:
        return Stated(value_w)
    left_s = min(at.mono_at(ends_wall_s) - at.mono_s, FORGET_S) if at.wall_trusted else FORGET_S
    return Stated(value_w, at.mono_s + left_s, at.wall_in(left_s)) if left_s > 0 else None


def _begun_anew(heard: Heard | None, word: Word) -> bool:
    """A sender that counts from the beginning again, but says when it speaks: its restart must not silence it for a day."""
    if heard is None or word.sequence is None or heard.sequence is None or word.retained:
        return False
    newer = word.issued_wall_s is not None and heard.issued_wall_s is not None and word.issued_wall_s > heard.issued_wall_s
    return newer and word.sequence < heard.sequence
