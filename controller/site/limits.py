"""Limits: how many amps each circuit may carry per phase, who said so, and until when.

Decides which received limits are believed, when they end, and what holds after the broker that
brought them is lost. A later source can only lower (smallest wins, F57); nothing here ever raises
a limit above the copper. Ends run on the monotonic clock; the wall end is for people and for a
restart. Serves F51 (broker down), F52 (duplicates, order), F53 (old retained limits), F54 (no
limit without an end), F55 (0 is obeyed, nonsense refused), F56 (failsafe until a *new* limit), F57
(contradictions), F77/F78 (a wall clock that jumps or is not known).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import LimitReceived, LimitUnit, Stamp
from controller.site.state import number_or_none

BROKER = "mqtt"
"""Channel whose limits get a failsafe when it is lost; sources on it are "mqtt" or "mqtt:<sender>"."""
FUTURE_S = 60.0
"""A limit issued further in the future than this has a wrong clock behind it [s]."""
DARK_S = 60.0
"""A broker's limit that ended while we were down holds this much longer [s]: time to learn whether the broker lives."""
ABSURD_FACTOR = 10.0
"""A limit above this multiple of the circuit's fuse is a wrong unit, not a wish."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit in force. limit_a: per phase [A]. ends_*: None = for ever. reason: as shown on a setpoint."""

    source: str
    circuit: str
    value: float
    unit: LimitUnit
    limit_a: float
    reason: str
    ends_mono_s: float | None = None
    ends_wall_s: float | None = None
    sequence: int | None = None
    issued_wall_s: float | None = None

    def alive(self, now_mono_s: float) -> bool:
        """Whether the limit is still in force."""
        return self.ends_mono_s is None or now_mono_s < self.ends_mono_s


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a limit was not taken. repeat: a plain duplicate, not worth a person's attention."""

    reason: str
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """The last word of a source about a circuit: for the order of later ones."""

    sequence: int | None
    issued_wall_s: float | None
    until_mono_s: float


Key = tuple[str, str]


def by_broker(source: str) -> bool:
    """Whether a limit came over the broker."""
    return source.partition(":")[0] == BROKER


class LimitStore:
    """All limits of the site. Mutable; every method takes the time it happens at."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._voltage_v = config.grid.voltage_v
        self._phases = config.grid.phases
        self._fuses = {ROOT_CIRCUIT: config.grid.fuse_a} | {one.id: one.fuse_a for one in config.circuits}
        self._received: dict[Key, Limit] = {}
        self._heard: dict[Key, Heard] = {}
        self._broker_up = False
        self._failsafe = False
        self._standing = self._contract()

    def _contract(self) -> tuple[Limit, ...]:
        max_import_w = self._config.grid.max_import_w
        if max_import_w is None:
            return ()
        amps = self.amps(max_import_w, LimitUnit.W)
        return (Limit("contract", ROOT_CIRCUIT, max_import_w, LimitUnit.W, amps, "import limit (contract)"),)

    def amps(self, value: float, unit: LimitUnit) -> float:
        """Limit per phase [A]. A total in W is spread evenly, so that no phase can break it alone."""
        return value if unit is LimitUnit.A else value / (self._voltage_v * self._phases)

    # -- a limit comes in ------------------------------------------------------------------------

    def receive(self, fact: LimitReceived) -> Refusal | None:
        """Take a limit, or say why not. A value of None withdraws the source's limit."""
        refusal = self._nonsense(fact) or self._out_of_order(fact) or self._too_old(fact)
        if refusal is not None:
            return refusal
        key = (fact.source, fact.circuit)
        self._heard[key] = Heard(fact.sequence, fact.issued_wall_s, fact.at.mono_s + self._config.limits.max_valid_for_s)
        if by_broker(fact.source):
            self._failsafe = False
            self._broker_up = True
        if fact.value is None:
            self._received.pop(key, None)
            return None
        self._received[key] = self._limit_of(fact, fact.value)
        return None

    def _nonsense(self, fact: LimitReceived) -> Refusal | None:
        fuse_a = self._fuses.get(fact.circuit)
        if fuse_a is None:
            return Refusal(f"unknown circuit {fact.circuit!r}; this site has {', '.join(sorted(self._fuses))}")
        if not fact.valid_for_s > 0:
            return Refusal("valid_for_s must be more than 0 seconds")
        if fact.value is None:
            return None
        if not math.isfinite(fact.value) or fact.value < 0:
            return Refusal("the limit must be a number, 0 or more")
        amps = self.amps(fact.value, fact.unit)
        if amps > ABSURD_FACTOR * fuse_a:
            return Refusal(f"{amps:.0f} A per phase is more than {ABSURD_FACTOR:.0f} times the {fuse_a:g} A fuse; check the unit")
        return None

    def _out_of_order(self, fact: LimitReceived) -> Refusal | None:
        heard = self._heard.get((fact.source, fact.circuit))
        if heard is None or fact.at.mono_s >= heard.until_mono_s:
            return None
        if fact.sequence is not None and heard.sequence is not None:
            if fact.sequence > heard.sequence:
                return None
            return Refusal(f"sequence {fact.sequence} is not newer than {heard.sequence}", repeat=fact.sequence == heard.sequence)
        if fact.issued_wall_s is not None and heard.issued_wall_s is not None and fact.issued_wall_s < heard.issued_wall_s:
            return Refusal("issued before the limit already taken")
        return None

    def _too_old(self, fact: LimitReceived) -> Refusal | None:
        if not fact.at.wall_trusted:
            return None
        if fact.issued_wall_s is None:
            return Refusal("a retained limit must say when it was issued") if fact.retained else None
        if fact.issued_wall_s > fact.at.wall_s + FUTURE_S * fact.at.wall_speed:
            return Refusal("issued in the future; check the sender's clock")
        if fact.retained and self._valid_for_s(fact) <= self._waited_s(fact):
            return Refusal("a retained limit that has already ended")
        return None

    def _valid_for_s(self, fact: LimitReceived) -> float:
        return min(fact.valid_for_s, self._config.limits.max_valid_for_s)

    @staticmethod
    def _waited_s(fact: LimitReceived) -> float:
        """How long ago [monotonic s] a retained limit was issued."""
        if not fact.retained or fact.issued_wall_s is None or not fact.at.wall_trusted:
            return 0.0
        return max(0.0, (fact.at.wall_s - fact.issued_wall_s) / fact.at.wall_speed)

    def _limit_of(self, fact: LimitReceived, value: float) -> Limit:
        left_s = self._valid_for_s(fact) - self._waited_s(fact)
        return Limit(
            fact.source,
            fact.circuit,
            value,
            fact.unit,
            self.amps(value, fact.unit),
            f"fleet limit ({fact.source})",
            fact.at.mono_s + left_s,
            fact.at.wall_in(left_s),
            fact.sequence,
            fact.issued_wall_s,
        )

    # -- time, broker, restart -------------------------------------------------------------------

    def broker(self, up: bool) -> None:
        """The broker's connection changed. Coming back alone ends no failsafe (F56)."""
        self._broker_up = up

    def expire(self, now_mono_s: float) -> list[Limit]:
        """Drop what has ended and return it; starts the failsafe when the broker is away."""
        ended = [limit for limit in self._received.values() if not limit.alive(now_mono_s)]
        for limit in ended:
            del self._received[(limit.source, limit.circuit)]
            if by_broker(limit.source) and not self._broker_up and self._config.limits.failsafe_a is not None:
                self._failsafe = True
        return ended

    @property
    def failsafe(self) -> bool:
        """Whether the failsafe limit of a lost broker holds."""
        return self._failsafe

    def memory(self, source: str, circuit: str) -> dict[str, Any]:
        """What the journal keeps about this source and circuit."""
        limit, heard = self._received.get((source, circuit)), self._heard.get((source, circuit))
        return {
            "value": limit.value if limit else None,
            "unit": str(limit.unit) if limit else "A",
            "ends_wall_s": limit.ends_wall_s if limit else None,
            "sequence": heard.sequence if heard else None,
            "issued_wall_s": heard.issued_wall_s if heard else None,
        }

    def restore(self, source: str, circuit: str, memory: Mapping[str, Any], at: Stamp) -> None:
        """Take back a limit from the journal. Without a trusted clock it counts as still valid (F78)."""
        if circuit not in self._fuses:
            return
        longest_s = self._config.limits.max_valid_for_s
        sequence, issued = number_or_none(memory.get("sequence")), number_or_none(memory.get("issued_wall_s"))
        sequence = int(sequence) if sequence is not None else None
        self._heard[(source, circuit)] = Heard(sequence, issued, at.mono_s + longest_s)
        value, ends_wall_s = number_or_none(memory.get("value")), number_or_none(memory.get("ends_wall_s"))
        if value is None or ends_wall_s is None or value < 0:
            return
        left_s = min(at.mono_at(ends_wall_s) - at.mono_s, longest_s) if at.wall_trusted else longest_s
        if by_broker(source) and self._config.limits.failsafe_a is not None:
            left_s = max(left_s, DARK_S)
        if left_s <= 0:
            return
        unit = LimitUnit.W if memory.get("unit") == LimitUnit.W.value else LimitUnit.A
        limit = Limit(source, circuit, value, unit, self.amps(value, unit), f"fleet limit ({source})")
        self._received[(source, circuit)] = replace(
            limit, ends_mono_s=at.mono_s + left_s, ends_wall_s=at.wall_in(left_s), sequence=sequence, issued_wall_s=issued
        )

    def restore_failsafe(self) -> None:
        """The failsafe held when we went down: only a new limit ends it (F56)."""
        self._failsafe = self._config.limits.failsafe_a is not None

    # -- what holds now ----------------------------------------------------------------------------

    def in_force(self, now_mono_s: float) -> tuple[Limit, ...]:
        """All limits but the fuses, smallest first per circuit is up to the reader."""
        limits = list(self._standing)
        limits += [limit for limit in self._received.values() if limit.alive(now_mono_s)]
        failsafe_a = self._config.limits.failsafe_a
        if self._failsafe and failsafe_a is not None:
            limits.append(Limit(BROKER, ROOT_CIRCUIT, failsafe_a, LimitUnit.A, failsafe_a, "failsafe limit (broker lost)"))
        return tuple(limits)

    def smallest(self, now_mono_s: float) -> dict[str, Limit]:
        """The binding limit of each circuit that has one (F57: the smallest wins, never the newest only)."""
        lowest: dict[str, Limit] = {}
        for limit in self.in_force(now_mono_s):
            if limit.circuit not in lowest or limit.limit_a < lowest[limit.circuit].limit_a:
                lowest[limit.circuit] = limit
        return lowest
