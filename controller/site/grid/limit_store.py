"""All limits of the site in one place: the contract, those of fleet managers and those of ``signals``; the smallest holds (F57).

Nothing here ever raises a limit above the copper. What binds a circuit goes into its rows, what binds only the controllable loads below one
into a row of their sum (``Faced``), what bounds feed-in goes to whoever gives back, charges or curtails (``export``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import Direction, LimitReceived, LimitStep, LimitUnit, Stamp
from controller.site.grid.announced import Ahead
from controller.site.grid.der import FaceSteps
from controller.site.grid.fleet_limits import ABSURD_FACTOR, BROKER, DARK_S, FleetLimits, by_broker
from controller.site.grid.limit_machine import State
from controller.site.grid.limits import Bounds, Limit
from controller.site.grid.measures import Measures
from controller.site.grid.signal import Signal
from controller.site.grid.trims import Trims
from controller.site.grid.words import FUTURE_S, Refusal
from controller.site.layout import Layout
from controller.site.sharing import layers
from controller.site.sharing.inputs import FaceWish

__all__ = ["ABSURD_FACTOR", "BROKER", "DARK_S", "FUTURE_S", "Limit", "LimitStore", "Refusal", "by_broker"]


class LimitStore:
    """All limits of the site. Mutable; every method takes the time it happens at."""

    def __init__(self, config: Config) -> None:
        self.measures = Measures(config.grid.voltage_v, config.grid.phases)
        self.signals = {entry.id: Signal(config, entry) for entry in config.signals}
        fuses = {ROOT_CIRCUIT: config.grid.fuse_a} | {one.id: one.fuse_a for one in config.circuits}
        self._fleet = FleetLimits(config.limits, fuses, self.measures)
        self._max_import_w = config.grid.max_import_w
        self.trims = Trims()
        self.battery_charging_w = 0.0

    # -- fleet managers ------------------------------------------------------------------------------

    def receive(self, fact: LimitReceived, crowded: bool = False) -> Refusal | None:
        """Take a fleet manager's limit, or say why not. A value of None withdraws the source's limit. crowded: no new names now."""
        return self._fleet.receive(fact, crowded)

    def knows(self, source: str, circuit: str) -> bool:
        """Whether a fleet manager has spoken of this circuit, and is remembered."""
        return self._fleet.knows(source, circuit)

    def gone(self) -> list[tuple[str, str]]:
        """(source, circuit) of fleet managers that were forgotten since this was asked last."""
        return self._fleet.gone()

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

    def clock_set(self, at: Stamp) -> dict[tuple[str, str], dict[str, Any]]:
        """The wall clock jumped (F77): ends stay where the monotonic clock has them. Returns the fleet limits for the journal."""
        for signal in self.signals.values():
            signal.clock_set(at)
        return self._fleet.clock_set(at)

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

    def stated(self, now_mono_s: float) -> tuple[Limit, ...]:
        """What fleet managers stated, and the broker's failsafe: for the record of compliance."""
        return tuple(self._fleet.in_force(now_mono_s))

    def _contract(self) -> Iterable[Limit]:
        if self._max_import_w is not None:
            most_w, measures = self._max_import_w, self.measures
            amps, total_a = measures.amps(most_w), measures.total_a(most_w)
            yield Limit("contract", ROOT_CIRCUIT, most_w, LimitUnit.W, amps, "import limit (contract)", total_a=total_a)

    def _of(self, signal: Signal, now: float) -> Limit | None:
        """A signal's limit of consumption."""
        value_w = signal.value_w(Direction.CONSUMPTION, now)
        if value_w is None:
            return None
        ends_mono_s, ends_wall_s = signal.ends(Direction.CONSUMPTION, now)
        amps, reason = self.measures.amps(value_w), signal.reason(Direction.CONSUMPTION)
        by, total_a = signal.entry.operator, self.measures.total_a(value_w)
        where = (signal.id, signal.entry.circuit)
        return Limit(*where, value_w, LimitUnit.W, amps, reason, ends_mono_s, ends_wall_s, operator=by, total_a=total_a)

    def smallest(self, now_mono_s: float) -> dict[str, Limit]:
        """The binding limit of each circuit that has one, by its even part per phase (F57: the smallest wins, never the newest only)."""
        return _lowest(self.in_force(now_mono_s))

    def bounds(self, now_mono_s: float) -> Bounds:
        """The lowest limit per phase and the lowest total of each circuit: both hold."""
        found = self.in_force(now_mono_s)
        return Bounds(_lowest(one for one in found if one.total_a is None), _lowest(one for one in found if one.total_a is not None))

    def controllable(self, now_mono_s: float) -> dict[str, Limit]:
        """The binding limit of the sum of the controllable loads below a circuit, for each that has one."""
        found = [limit for signal in self.signals.values() if signal.entry.binds == "controllable" and (limit := self._of(signal, now_mono_s))]
        return _lowest([*found, *(self._loads(signal) for signal in self.signals.values() if signal.says.load_w is not None)])

    def _loads(self, signal: Signal) -> Limit:
        """What an event leaves to all that can be controlled, whatever the source binds otherwise."""
        watts, ends_wall_s, operator = signal.says.load_w or 0.0, signal.says.ends_wall_s, signal.entry.operator
        amps, reason = self.measures.amps(watts), f"limit ({signal.id})"
        where, total_a = (signal.id, signal.entry.circuit), self.measures.total_a(watts)
        return Limit(*where, watts, LimitUnit.W, amps, reason, ends_wall_s=ends_wall_s, operator=operator, total_a=total_a)

    def faces(self, now_mono_s: float, layout: Layout) -> tuple[FaceWish, ...]:
        """The limits of controllable loads as rows of the chargers' sum; what the commanded battery charges with comes off (``charging_w``)."""
        found = []
        for circuit, limit in self.controllable(now_mono_s).items():
            watts = max(0.0, self.trims.of(circuit, limit.value) - self.charging_w(circuit))
            source = layers.OPERATOR if limit.by_operator else layers.LIMIT
            total_a = self.measures.total_a(watts)
            limit_a, stations = self.measures.amps(watts), stations_below(layout, circuit)
            found.append(FaceWish("", stations, limit_a, limit.reason, limit.ends_wall_s, source=source, total_a=total_a))
        bound = self.generation()
        if (who := self.disconnected() or (bound[1] if bound is not None else None)) is not None:
            found.append(FaceWish("", stations_below(layout, ROOT_CIRCUIT), None, who, discharge_w=0.0, discharge_reason=who))
        return tuple(found)

    def charging_w(self, circuit: str) -> float:
        """What the commanded battery takes of a limit of the controllable loads [W]: it hangs on the grid connection."""
        return self.battery_charging_w if circuit == ROOT_CIRCUIT else 0.0

    def setpoint_w(self, now_mono_s: float) -> tuple[float, str] | None:
        """(grid power asked for [W], import positive; who asks): of the first source that asks. The plan makes for it, the battery sees to it."""
        return next(((watts, f"grid power asked ({one.id})") for one in self.signals.values() if (watts := one.says.setpoint_w) is not None), None)

    def battery_w(self, now_mono_s: float) -> tuple[float, str] | None:
        """(power asked of the battery [W], charging positive; who asks), for ``site.devices``; None = nobody asks."""
        return next(((one.says.battery_w, f"asked for ({one.id})") for one in self.signals.values() if one.says.battery_w is not None), None)

    def disconnected(self) -> str | None:
        """Who wants all generation disconnected (opModConnect, opModEnergize): inverters, the battery's discharge, cars that give back."""
        return next((f"generation disconnected ({one.id})" for one in self.signals.values() if not one.says.connected), None)

    def generation(self) -> tuple[float, str] | None:
        """(most that inverters and battery may give together [W], whatever the site uses of it; who says so), None = not bounded. Cars give
        nothing then."""
        told = ((one.says.generation_w, f"limit ({one.id})") for one in self.signals.values())
        return min(((watts, reason) for watts, reason in told if watts is not None), default=None)

    # -- for the planner ---------------------------------------------------------------------------------

    def planned(self, at: Stamp) -> tuple[Limit, ...]:
        """``in_force`` with the ends that schedules announce."""
        return tuple(self._ending(limit, at) for limit in self.in_force(at.mono_s))

    def _ending(self, limit: Limit, at: Stamp) -> Limit:
        if limit.ends_mono_s is not None or limit.ends_wall_s is None or not at.wall_trusted:
            return limit
        return replace(limit, ends_mono_s=at.mono_at(limit.ends_wall_s))

    def ahead(self, at: Stamp, horizon_s: float) -> tuple[Ahead, ...]:
        """What schedules announce, and what bounds generation now, until its end. A source in failsafe announces no end: that holds on."""
        return tuple(one for signal in self.signals.values() for one in (*self._generating(signal, at), *self._announced(signal, at, horizon_s)))

    def _generating(self, signal: Signal, at: Stamp) -> Iterable[Ahead]:
        """Bounds of feed-in and generation that hold now. Those of events end with them; without a trusted clock they stay (F78)."""
        export_w, says = signal.value_w(Direction.PRODUCTION, at.mono_s), signal.says
        if export_w is not None:
            yield Ahead(signal.id, ROOT_CIRCUIT, at.wall_s, _until_wall_s(*signal.ends(Direction.PRODUCTION, at.mono_s), at), export_w=export_w)
        generation_w = says.generation_w if says.connected else 0.0
        if generation_w is not None:
            yield Ahead(signal.id, ROOT_CIRCUIT, at.wall_s, _until_wall_s(None, says.ends_wall_s, at), generation_w=generation_w)

    def _announced(self, signal: Signal, at: Stamp, horizon_s: float) -> Iterable[Ahead]:
        if signal.schedule is None:
            return
        circuit, whole = signal.entry.circuit, signal.entry.binds == "circuit"
        for stretch in signal.schedule.ahead(at, horizon_s):
            says, begin_s, end_s = stretch.says, stretch.start_wall_s, stretch.end_wall_s
            limit_a = self.measures.amps(says.consumption_w) if says.consumption_w is not None and whole else None
            export_w, generation_w = (says.production_w, says.generation_w) if says.connected else (0.0, 0.0)
            if (limit_a, export_w, says.setpoint_w, generation_w) != (None, None, None, None):
                yield Ahead(signal.id, circuit, begin_s, end_s, limit_a, export_w, says.setpoint_w, generation_w, total=True)

    def sums(self, at: Stamp, horizon_s: float, layout: Layout) -> tuple[FaceSteps, ...]:
        """The limits of controllable loads over time, one per circuit."""
        told = (signal for signal in self.signals.values() if signal.entry.binds == "controllable" or signal.schedule is not None)
        circuits = dict.fromkeys(signal.entry.circuit for signal in told)
        found = (self._sum(circuit, at, horizon_s, layout) for circuit in circuits)
        return tuple(face for face in found if any(step.limit_a is not None for step in face.steps))

    def _sum(self, circuit: str, at: Stamp, horizon_s: float, layout: Layout) -> FaceSteps:
        here = [signal for signal in self.signals.values() if signal.entry.circuit == circuit]
        told = {signal.id: [*self._stretches(signal, at, horizon_s), *self._load_stretches(signal, at, horizon_s)] for signal in here}
        mine = [signal for signal in here if told[signal.id]]
        stretches = [stretch for found in told.values() for stretch in found]
        edges = sorted({at.wall_s, *(edge for begin_s, end_s, _ in stretches for edge in (begin_s, end_s) if at.wall_s < edge < math.inf)})
        lowest = [_least_a([amps for begin_s, end_s, amps in stretches if begin_s <= edge < end_s]) for edge in edges]
        steps = [LimitStep(edge, amps, total=True) for edge, amps in zip(edges, lowest, strict=True)]
        below = "" if circuit == ROOT_CIRCUIT else f" below {circuit}"
        name = f"limit ({', '.join(signal.id for signal in mine)}){below}"
        return FaceSteps(name, stations_below(layout, circuit), tuple(steps), (), circuit, with_battery=True)

    def _stretches(self, signal: Signal, at: Stamp, horizon_s: float) -> Iterable[tuple[float, float, float]]:
        """(begin, end, limit per phase [A]) of one source that binds the controllable loads."""
        if signal.entry.binds != "controllable":
            return
        now_w = signal.value_w(Direction.CONSUMPTION, at.mono_s)
        held = signal.worst() in (State.FAILSAFE, State.WAITING)
        if signal.schedule is not None and not held and at.wall_trusted:
            for stretch in signal.schedule.ahead(at, horizon_s):
                if stretch.says.consumption_w is not None:
                    yield stretch.start_wall_s, stretch.end_wall_s, self.measures.amps(stretch.says.consumption_w)
        elif now_w is not None:
            _, ends_wall_s = signal.ends(Direction.CONSUMPTION, at.mono_s)
            yield at.wall_s, math.inf if ends_wall_s is None else ends_wall_s, self.measures.amps(now_w)

    def _load_stretches(self, signal: Signal, at: Stamp, horizon_s: float) -> Iterable[tuple[float, float, float]]:
        """The same of events that say so of the loads themselves."""
        if signal.schedule is None or not signal.schedule.binds_loads:
            return
        for stretch in signal.schedule.ahead(at, horizon_s):
            if stretch.says.load_w is not None:
                yield stretch.start_wall_s, stretch.end_wall_s, self.measures.amps(stretch.says.load_w)

    # -- feed-in -------------------------------------------------------------------------------------------

    def export(self, now_mono_s: float) -> tuple[float, str, str] | None:
        """(most feed-in at the grid connection [W], who says so, its id) of all signals; None = none says anything."""
        found = [
            (value_w, signal.reason(Direction.PRODUCTION), signal.id)
            for signal in self.signals.values()
            if (value_w := signal.value_w(Direction.PRODUCTION, now_mono_s)) is not None
        ]
        return min(found, default=None)


def stations_below(layout: Layout, circuit: str) -> frozenset[str]:
    """The chargers below a circuit."""
    return frozenset(key.station_id for key in layout.below[circuit])


def _until_wall_s(ends_mono_s: float | None, ends_wall_s: float | None, at: Stamp) -> float:
    """An end on the wall clock; inf = none is known."""
    if ends_mono_s is not None:
        return at.wall_in(ends_mono_s - at.mono_s)
    return ends_wall_s if ends_wall_s is not None and at.wall_trusted else math.inf


def _least_a(amps: Sequence[float]) -> float | None:
    return min(amps, default=None)


def _lowest(limits: Iterable[Limit]) -> dict[str, Limit]:
    lowest: dict[str, Limit] = {}
    for limit in limits:
        if limit.circuit not in lowest or limit.limit_a < lowest[limit.circuit].limit_a:
            lowest[limit.circuit] = limit
    return lowest
