"""Limits of fleet managers: what comes over ``limit/set`` and ``POST /api/v1/limits``, each with an end, on any circuit.

They run on the machine of ``limits`` with rules of their own: no heartbeat is asked for, nothing holds before the first one, and a limit ends
by itself. Senders name themselves, so their number has a bound: who has no limit in force makes room for a new name, who has one never does.
The broker that brings them has a machine, too: its failsafe holds when it is away while a limit it brought ends, and is left
only with a new limit (F51, F56).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from controller.config import ROOT_CIRCUIT, LimitsConfig
from controller.facts import LimitReceived, LimitUnit, Stamp
from controller.site.grid.limit_machine import LimitMachine, Rules, State, Stated
from controller.site.grid.limits import Limit
from controller.site.grid.measures import Measures
from controller.site.grid.words import Heard, Refusal, Word, out_of_order, too_old
from controller.site.session_memory import number_or_none

BROKER: Final = "mqtt"
"""Channel whose limits get a failsafe when it is lost; sources on it are "mqtt" or "mqtt:<sender>"."""
DARK_S: Final = 60.0
"""A broker's limit that ended while we were down holds this much longer [s]: time to learn whether the broker lives."""
ABSURD_FACTOR: Final = 10.0
"""A limit above this multiple of the circuit's fuse is a wrong unit, not a wish."""

MOST_SENDERS, SENDERS_PER_CIRCUIT = 256, 8
"""So many senders are remembered, each once per circuit it speaks of, or so many per circuit where there are many: names cost memory, and
anybody may make them up."""
NO_ROOM: Final = Refusal(
    "as many senders as are remembered have a limit in force here - use the name of one of them, withdraw limits that are not needed,"
    " or wait until some have ended"
)
CROWDED: Final = Refusal("the disk of the controller has not taken the limits of the senders before - look at it, then state this again")

Key = tuple[str, str]
"""(source, circuit)."""


def by_broker(source: str) -> bool:
    """Whether a limit came over the broker."""
    return source.partition(":")[0] == BROKER


class Sent:
    """One source on one circuit: its machine, the unit it speaks in and the order of its words."""

    def __init__(self, source: str, circuit: str) -> None:
        self.source, self.circuit, self.unit = source, circuit, LimitUnit.A
        self.machine = LimitMachine(Rules(waits=False))
        self.heard: Heard | None = None

    def limit(self, measures: Measures, now: float) -> Limit | None:
        """What holds now."""
        value, stated = self.machine.value(now), self.machine.ends(now)
        if value is None or stated is None:
            return None
        heard = self.heard or Heard(None, None, 0.0)
        return Limit(
            self.source,
            self.circuit,
            value,
            self.unit,
            measures.amps(value, self.unit),
            f"fleet limit ({self.source})",
            stated.ends_mono_s,
            stated.ends_wall_s,
            heard.sequence,
            heard.issued_wall_s,
            total_a=measures.total_a(value, self.unit),
        )


class FleetLimits:
    """All of them. Mutable; every method takes the time it happens at."""

    def __init__(self, config: LimitsConfig, fuses: Mapping[str, float], measures: Measures) -> None:
        self._config, self._fuses, self._measures = config, fuses, measures
        self._sent: dict[Key, Sent] = {}
        self._gone: list[Key] = []
        self._most = max(MOST_SENDERS, SENDERS_PER_CIRCUIT * len(fuses))
        self._broker_up = False
        self._broker = LimitMachine(Rules(failsafe=config.failsafe_a, waits=False))

    def _of(self, source: str, circuit: str) -> Sent:
        key = (source, circuit)
        if key not in self._sent:
            self._sent[key] = Sent(source, circuit)
        return self._sent[key]

    # -- a limit comes in ------------------------------------------------------------------------

    def receive(self, fact: LimitReceived, crowded: bool = False) -> Refusal | None:
        """Take a limit, or say why not. A value of None withdraws the source's limit. crowded: the disk has no ear for new names."""
        known = self._sent.get((fact.source, fact.circuit))
        word = Word(fact.at, fact.sequence, fact.issued_wall_s, fact.retained, self._valid_for_s(fact))
        refusal = self._nonsense(fact) or out_of_order(known.heard if known is not None else None, word) or too_old(word)
        if refusal is None and known is None:
            refusal = CROWDED if crowded else self._make_room()
        if refusal is not None:
            return refusal
        sent = self._of(fact.source, fact.circuit)
        sent.heard = Heard(fact.sequence, fact.issued_wall_s, fact.at.mono_s + self._config.max_valid_for_s)
        sent.unit = fact.unit
        left_s = self._valid_for_s(fact) - word.waited_s
        ends = (None, None) if fact.value is None else (fact.at.mono_s + left_s, fact.at.wall_in(left_s))
        sent.machine.write(Stated(fact.value, *ends), fact.at.mono_s)
        if by_broker(fact.source):
            self._broker.write(Stated(None), fact.at.mono_s)
            self._broker_up = True
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
        amps = self._measures.amps(fact.value, fact.unit)
        if amps > ABSURD_FACTOR * fuse_a:
            return Refusal(f"{amps:.0f} A per phase is more than {ABSURD_FACTOR:.0f} times the {fuse_a:g} A fuse; check the unit")
        return None

    def _valid_for_s(self, fact: LimitReceived) -> float:
        return min(fact.valid_for_s, self._config.max_valid_for_s)

    # -- how many there are --------------------------------------------------------------------------

    def knows(self, source: str, circuit: str) -> bool:
        """Whether this sender has spoken of this circuit, and is remembered."""
        return (source, circuit) in self._sent

    def gone(self) -> list[Key]:
        """Who was forgotten since this was asked last: the journal need not keep them any more."""
        found, self._gone = self._gone, []
        return found

    def _make_room(self) -> Refusal | None:
        """For one more name: who has no limit in force and was heard longest ago is forgotten, and with it only the order of its words."""
        if len(self._sent) < self._most:
            return None
        idle = [key for key, sent in self._sent.items() if sent.machine.state is not State.LIMITED]
        if not idle:
            return NO_ROOM
        self._forget(min(idle, key=self._heard_until_s))
        return None

    def _heard_until_s(self, key: Key) -> float:
        heard = self._sent[key].heard
        return heard.until_mono_s if heard is not None else -math.inf

    def _forget(self, key: Key) -> None:
        del self._sent[key]
        self._gone.append(key)

    # -- time, broker, restart -------------------------------------------------------------------

    def broker(self, up: bool) -> None:
        """The broker's connection changed. Coming back alone ends no failsafe (F56)."""
        self._broker_up = up

    def expire(self, now: float) -> list[Limit]:
        """End what has ended and return it; starts the failsafe when the broker is away."""
        ended: list[Limit] = []
        for sent in self._sent.values():
            stated = sent.machine.stated
            if sent.machine.state is not State.LIMITED or stated is None or stated.alive(now):
                continue
            limit = sent.limit(self._measures, (stated.ends_mono_s or now) - 1e-3)
            sent.machine.look(now)
            sent.machine.stated = None
            ended += [limit] if limit is not None else []
            if by_broker(sent.source) and not self._broker_up and self._config.failsafe_a is not None:
                self._broker.fail(now)
        return ended

    @property
    def failsafe(self) -> bool:
        """Whether the failsafe limit of a lost broker holds."""
        return self._broker.state is State.FAILSAFE

    def memory(self, source: str, circuit: str) -> dict[str, Any]:
        """What the journal keeps about this source and circuit."""
        sent = self._sent.get((source, circuit)) or Sent(source, circuit)
        stated = sent.machine.stated if sent.machine.state is State.LIMITED else None
        return {
            "value": stated.value if stated else None,
            "unit": str(sent.unit) if stated else "A",
            "ends_wall_s": stated.ends_wall_s if stated else None,
            "sequence": sent.heard.sequence if sent.heard else None,
            "issued_wall_s": sent.heard.issued_wall_s if sent.heard else None,
        }

    def clock_set(self, at: Stamp) -> dict[Key, dict[str, Any]]:
        """The wall clock jumped: ends stay on the monotonic clock. Returns what the journal keeps of those that hold."""
        held = [sent for sent in self._sent.values() if sent.machine.state is State.LIMITED]
        for sent in held:
            sent.machine.clock_set(at)
        return {(sent.source, sent.circuit): self.memory(sent.source, sent.circuit) for sent in held}

    def restore(self, source: str, circuit: str, memory: Mapping[str, Any], at: Stamp) -> None:
        """Take back a limit from the journal. Without a trusted clock it counts as still valid (F78). What has ended is taken back only while
        there is room for its name."""
        if circuit not in self._fuses:
            return
        self._restore(source, circuit, memory, at)
        if len(self._sent) > self._most and self._sent[source, circuit].machine.state is not State.LIMITED:
            self._forget((source, circuit))

    def _restore(self, source: str, circuit: str, memory: Mapping[str, Any], at: Stamp) -> None:
        longest_s = self._config.max_valid_for_s
        sequence, issued = number_or_none(memory.get("sequence")), number_or_none(memory.get("issued_wall_s"))
        sent = self._of(source, circuit)
        sent.heard = Heard(int(sequence) if sequence is not None else None, issued, at.mono_s + longest_s)
        value, ends_wall_s = number_or_none(memory.get("value")), number_or_none(memory.get("ends_wall_s"))
        if value is None or ends_wall_s is None or value < 0:
            return
        left_s = min(at.mono_at(ends_wall_s) - at.mono_s, longest_s) if at.wall_trusted else longest_s
        if by_broker(source) and self._config.failsafe_a is not None:
            left_s = max(left_s, DARK_S)
        if left_s <= 0:
            return
        sent.unit = LimitUnit.W if memory.get("unit") == LimitUnit.W.value else LimitUnit.A
        sent.machine.restore(memory, Stated(value, at.mono_s + left_s, at.wall_in(left_s)), at)

    def restore_failsafe(self, now: float = 0.0) -> None:
        """The failsafe held when we went down: only a new limit ends it (F56)."""
        if self._config.failsafe_a is not None:
            self._broker.fail(now)

    # -- what holds now ----------------------------------------------------------------------------

    def in_force(self, now: float) -> Iterable[Limit]:
        """All limits that hold now, and the failsafe."""
        for sent in self._sent.values():
            limit = sent.limit(self._measures, now)
            if limit is not None:
                yield limit
        failsafe_a = self._broker.value(now)
        if failsafe_a is not None:
            yield Limit(BROKER, ROOT_CIRCUIT, failsafe_a, LimitUnit.A, failsafe_a, "failsafe limit (broker lost)")
