"""Relay contacts: which limits the positions of a control box or ripple receiver mean.

Each contact has its polarity, its debounce and a rule for the time it cannot be read; "restrict" is the default, as a broken wire must not
look like freedom. Of all active contacts the lowest value counts. SG-Ready: two contacts make four states; the lock holds for two hours at
most, every other change waits until the state before has lasted a minute. Time is monotonic, the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from controller.config import Config
from controller.config_signals import ContactConfig, ContactsSignal
from controller.section_14a import resolved_w

GRACE_S: Final = 2.0
GRACE_POLLS: Final = 3
"""A contact is missing when it could not be read for so long: seconds, or polls if they take longer."""
SG_LOCK_S: Final = 7200.0
"""Longest lock of SG-Ready [s]."""
SG_DWELL_S: Final = 60.0
"""Shortest time in a state of SG-Ready, but for the lock, which holds at once [s]."""
SG_WORDS: Final = {1: "locked", 2: "normal", 3: "recommended", 4: "forced"}


@dataclass(frozen=True, slots=True)
class Level:
    """What the contacts mean now [W]; None = not limited. label: the active ones. trouble: those that cannot be read, "" = none."""

    consumption_w: float | None
    production_w: float | None
    label: str = ""
    trouble: str = ""


@dataclass(slots=True)
class Position:
    """One contact over time: what was read and since when, and the last position that has lasted.

    missing: it could not be read for a while, and no position has lasted since.
    """

    raw: bool | None = None
    since_mono_s: float = -math.inf
    settled: bool | None = None
    missing: bool = False

    def read(self, closed: bool | None, now: float) -> None:
        """Take a reading."""
        if closed is not self.raw or self.since_mono_s == -math.inf:
            self.raw, self.since_mono_s = closed, now

    def look(self, debounce_s: float, grace_s: float, now: float) -> None:
        """Let time pass."""
        lasted_s = now - self.since_mono_s
        if self.raw is None:
            self.missing = self.missing or lasted_s >= grace_s
        elif lasted_s >= debounce_s:
            self.settled, self.missing = self.raw, False


class Contacts:
    """The contacts of one source."""

    def __init__(self, config: Config, entry: ContactsSignal) -> None:
        self._entry = entry
        self._positions = [Position() for _ in entry.contacts]
        self._consumption_w = [resolved_w(contact.consumption_w, config) for contact in entry.contacts]
        rated_w = sum(inverter.max_power_w for inverter in config.inverters)
        self._production_w = [_production_w(contact, rated_w) for contact in entry.contacts]
        self._grace_s = max(GRACE_S, entry.debounce_s, GRACE_POLLS * entry.poll_s)
        self._read_mono_s: float | None = None
        self._sg = SgReady()

    def read(self, closed: Sequence[bool | None], now: float) -> bool:
        """Take a reading of all; True if any could be read. A reading of the wrong length is none."""
        told = list(closed) if len(closed) == len(self._positions) else [None] * len(self._positions)
        for position, value in zip(self._positions, told, strict=True):
            position.read(value, now)
        self._read_mono_s = now
        return any(value is not None for value in told)

    def look(self, now: float) -> Level | None:
        """What they mean; None until each has settled or is missing. Nobody who reads them is as good as nothing that can be read."""
        if self._read_mono_s is None:
            self.read((), now)
        assert self._read_mono_s is not None
        for position in self._positions:
            if now - self._read_mono_s >= self._grace_s:
                position.read(None, self._read_mono_s)
            position.look(self._entry.debounce_s, self._grace_s, now)
        active = [self._active(number) for number in range(len(self._positions))]
        if any(one is None for one in active):
            return None
        if self._entry.profile == "sg_ready":
            return self._locked(bool(active[0]), bool(active[1]), now)
        on = [number for number, one in enumerate(active) if one]
        label = ", ".join(self._entry.contacts[number].name for number in on)
        return Level(_least(self._consumption_w, on), _least(self._production_w, on), label, self._trouble())

    def _active(self, number: int) -> bool | None:
        """Whether a contact restricts; None = not known yet."""
        contact, position = self._entry.contacts[number], self._positions[number]
        if position.missing:
            if contact.missing == "ignore":
                return False
            if contact.missing == "restrict" or position.settled is None:
                return True
        return None if position.settled is None else position.settled is (contact.active == "closed")

    def _trouble(self) -> str:
        lost = [
            f"{contact.name} cannot be read ({'taken as active' if self._active(number) else 'taken as not active'})"
            for number, contact in enumerate(self._entry.contacts)
            if self._positions[number].missing
        ]
        return ", ".join(lost)

    def _locked(self, first: bool, second: bool, now: float) -> Level:
        state = self._sg.look(first, second, now)
        trouble = self._trouble() or ("the lock has lasted for two hours and is ignored" if self._sg.expired else "")
        if state != 1:
            return Level(None, None, SG_WORDS[state], trouble)
        return Level(self._consumption_w[0] or 0.0, self._production_w[0], SG_WORDS[state], trouble)


class SgReady:
    """The four states: 1 locked, 2 normal, 3 recommended, 4 forced."""

    def __init__(self) -> None:
        self.state = 2
        self.expired = False
        self._since_mono_s = -math.inf
        self._lock_mono_s: float | None = None

    def look(self, first: bool, second: bool, now: float) -> int:
        """The state now, for the positions of the two contacts."""
        asked = (3 if second else 2) if not first else (4 if second else 1)
        if asked != 1:
            self._lock_mono_s, self.expired = None, False
        elif self._lock_mono_s is None:
            self._lock_mono_s = now
        elif now - self._lock_mono_s >= SG_LOCK_S:
            self.expired = True
        wanted = 2 if self.expired else asked
        if wanted != self.state and (wanted == 1 or self.expired or now - self._since_mono_s >= SG_DWELL_S):
            self.state, self._since_mono_s = wanted, now
        return self.state


def _production_w(contact: ContactConfig, rated_w: float) -> float | None:
    part_w = None if contact.production_percent is None else rated_w * contact.production_percent / 100.0
    return min((watts for watts in (contact.production_w, part_w) if watts is not None), default=None)


def _least(values_w: Sequence[float | None], on: Sequence[int]) -> float | None:
    return min((watts for number in on if (watts := values_w[number]) is not None), default=None)
