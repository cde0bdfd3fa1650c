"""All limits of the site in one place: the contract, those of fleet managers and those of ``signals``; the smallest holds (F57).

Nothing here ever raises a limit above the copper. What binds a circuit goes into its rows, what binds only the controllable loads below one
into a row of their sum (``Faced``), what bounds feed-in goes to whoever gives back, charges or curtails (``export``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import Direction, LimitReceived, LimitUnit, Stamp
from controller.site.fleet_limits import ABSURD_FACTOR, BROKER, DARK_S, FleetLimits, by_broker
from controller.site.limits import FUTURE_S, Limit, Refusal
from controller.site.measures import Measures
from controller.site.signal import Signal

__all__ = ["ABSURD_FACTOR", "BROKER", "DARK_S", "FUTURE_S", "Limit", "LimitStore", "Refusal", "by_broker"]


class LimitStore:
    """All limits of the site. Mutable; every method takes the time it happens at."""

    def __init__(self, config: Config) -> None:
        self.measures = Measures(config.grid.voltage_v, config.grid.phases)
        self.signals = {entry.id: Signal(config, entry) for entry in config.signals}
        fuses = {ROOT_CIRCUIT: config.grid.fuse_a} | {one.id: one.fuse_a for one in config.circuits}
        self._fleet = FleetLimits(config.limits, fuses, self.measures)
        self._max_import_w = config.grid.max_import_w

    # -- fleet managers ------------------------------------------------------------------------------

    def receive(self, fact: LimitReceived) -> Refusal | None:
        """Take a fleet manager's limit, or say why not. A value of None withdraws the source's limit."""
        return self._fleet.receive(fact)

    def broker(self, up: bool) -> None:
        """The broker's connection changed."""
        self._fleet.broker(up)

    def expire(self, now_mono_s: float) -> list[Limit]:
        """End fleet limits that have ended and return them; starts the failsafe when the broker is away."""
        return self._fleet.expire(now_mono_s)

    @property
    def failsafe(self) -> bool:
        """Whether the failsafe limit of a lost broker holds."""
        return self._fleet.failsafe

    def memory(self, source: str, circuit: str) -> dict[str, Any]:
        """What the journal keeps about a fleet manager and circuit."""
        return self._fleet.memory(source, circuit)

    def restore(self, source: str, circuit: str, memory: Mapping[str, Any], at: Stamp) -> None:
        """Take back a fleet limit from the journal."""
        self._fleet.restore(source, circuit, memory, at)

    def restore_failsafe(self) -> None:
        """The failsafe held when we went down: only a new limit ends it (F56)."""
        self._fleet.restore_failsafe()

    # -- what holds now --------------------------------------------------------------------------------

    def in_force(self, now_mono_s: float) -> tuple[Limit, ...]:
        """All limits of circuits but the fuses, in no order."""
        limits = list(self._contract())
        limits += self._fleet.in_force(now_mono_s)
        limits += [limit for signal in self.signals.values() if (limit := self._of(signal, now_mono_s)) and signal.entry.binds == "circuit"]
        return tuple(limits)

    def _contract(self) -> Iterable[Limit]:
        if self._max_import_w is not None:
            amps = self.measures.amps(self._max_import_w)
            yield Limit("contract", ROOT_CIRCUIT, self._max_import_w, LimitUnit.W, amps, "import limit (contract)")

    def _of(self, signal: Signal, now: float) -> Limit | None:
        """A signal's limit of consumption."""
        value_w = signal.value_w(Direction.CONSUMPTION, now)
        if value_w is None:
            return None
        ends_mono_s, ends_wall_s = signal.ends(Direction.CONSUMPTION, now)
        amps, reason = self.measures.amps(value_w), signal.reason(Direction.CONSUMPTION)
        return Limit(
            signal.id, signal.entry.circuit, value_w, LimitUnit.W, amps, reason, ends_mono_s, ends_wall_s, operator=signal.entry.operator
        )

    def smallest(self, now_mono_s: float) -> dict[str, Limit]:
        """The binding limit of each circuit that has one (F57: the smallest wins, never the newest only)."""
        return _lowest(self.in_force(now_mono_s))

    def controllable(self, now_mono_s: float) -> dict[str, Limit]:
        """The binding limit of the sum of the controllable loads below a circuit, for each that has one."""
        found = (limit for signal in self.signals.values() if signal.entry.binds == "controllable" and (limit := self._of(signal, now_mono_s)))
        return _lowest(found)

    def export(self, now_mono_s: float) -> tuple[float, str, str] | None:
        """(most feed-in at the grid connection [W], who says so, its id) of all signals; None = none says anything."""
        found = [
            (value_w, signal.reason(Direction.PRODUCTION), signal.id)
            for signal in self.signals.values()
            if (value_w := signal.value_w(Direction.PRODUCTION, now_mono_s)) is not None
        ]
        return min(found, default=None)


def _lowest(limits: Iterable[Limit]) -> dict[str, Limit]:
    lowest: dict[str, Limit] = {}
    for limit in limits:
        if limit.circuit not in lowest or limit.limit_a < lowest[limit.circuit].limit_a:
            lowest[limit.circuit] = limit
    return lowest
