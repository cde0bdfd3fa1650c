"""Health of the site's meters and of the fuses they watch: readings in, loads and mode out.

Keeps one ``MeterWatch`` and one other-load estimate per metered circuit, the last word of PV and
battery meters, and says once per change what happened, what we did and what a person can do.
Circuits without a meter, or whose meter is lost, get their load from the stations (``derived``).
Serves F40-F50; a site without a grid meter runs on its configured worst load and says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import EvseKey, MeterFailed, MeterRead, PhaseAmps
from controller.orders import Order
from controller.site.grid.limits import Bounds
from controller.site.guard import Excess, excesses
from controller.site.layout import PHASES, Layout
from controller.site.meters.alarms import Alarms
from controller.site.meters.derived import Above, derived
from controller.site.meters.freshness import Cars, Health, MeterWatch, Mode, phase_currents
from controller.site.meters.otherload import Draw, OtherLoad
from controller.site.meters.plausible import Said
from controller.site.meters.reserve import Reserve
from controller.site.meters.sides import Side, power_w, soc_percent
from controller.site.meters.steps import StepWatch
from controller.site.sharing.inputs import CircuitLoad
from controller.site.state import UNKNOWN, EvseState
from controller.site.stations.channel import Channel
from controller.site.stations.v2g import still_given_w
from meters.reading import Quality

FRESH_CAR_S = 5.0
"""A station's own current is compared with a meter only while this fresh [s]."""
LASTING_S: Final = 3.0
"""A circuit must be over its limit this long before that speaks against a station [s]; motors start faster."""
STOP_HOLD_S: Final = 1800.0
"""Stop mode ends this long after the last excess, or with the session of the car that obeys nothing [s]."""


@dataclass(frozen=True, slots=True)
class ModeNow:
    """The mode of the site and why."""

    mode: Mode
    reason: str


@dataclass(frozen=True, slots=True)
class BatteryNow:
    """What the stationary battery carries [W], charging positive, and its state of charge [%]; None = nobody tells."""

    power_w: float | None
    soc_percent: float | None


class MeterRoom:
    """All meters. Mutable; ``now`` is monotonic seconds."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self._config, self._layout, self._control = config, layout, config.control
        self.watches = {meter_id: MeterWatch(meter_id, config.control, layout.phase_count) for meter_id in layout.metered}
        roles = {meter.id: meter.role for meter in config.meters}
        self.sides = {meter_id: Side(meter_id, role) for meter_id, role in roles.items() if meter_id not in self.watches}
        self.other_a: dict[str, PhaseAmps] = {}
        self._others: dict[str, OtherLoad] = {}
        self.over: dict[str, tuple[Excess, ...]] = {}
        self._over_since: dict[str, float] = {}
        self._stopped, self._stopped_until = "", -math.inf
        self._hold_until: dict[str, float] = {}
        self._seen: dict[str, Health] = {}
        self._alarms = Alarms(config.control)
        self._started_mono_s: float | None = None
        self.steps = {circuit: StepWatch() for circuit in layout.metered.values()}
        self.above = Above()
        self.reserve = Reserve(config.battery, layout.voltage_v, layout.phase_count)
        self.rising_a = 0.0  # room that a commanded rise of the battery needs before it is measured, per phase [A]
        # With generation behind the meter the grid may well carry less than the cars draw (F45 does not apply).
        roles_present = {meter.role for meter in config.meters}
        self.storage = "battery" in roles_present or config.battery is not None
        self._generation = bool({"pv", "battery"} & roles_present) or config.battery is not None or any(config.forecast.pv_w)

    # -- readings ----------------------------------------------------------------------------------

    def cars(self, circuit: str, evses: Mapping[EvseKey, EvseState], channels: Mapping[EvseKey, Channel], now: float) -> Cars:
        """What the stations below a circuit report to draw.

        Against the meter a station counts with no more than it may draw: one that tells more is wrong or does not follow, and
        must not make the whole site doubt its meter.
        """
        said: list[Said] = []
        fresh = [0.0, 0.0, 0.0]
        for key in self._layout.below[circuit]:
            evse = evses[key]
            if evse.session is None or evse.current_a == UNKNOWN:
                continue
            said.append((key, evse.measured_mono_s, evse.current_a))
            if self._generation or now - evse.measured_mono_s > FRESH_CAR_S:
                continue
            may_a = self._may_draw_a(evse, channels[key], now)
            for phase in PHASES:
                fresh[phase] += min(evse.current_a[phase] or 0.0, may_a)
        return Cars(tuple(said), (fresh[0], fresh[1], fresh[2]))

    def _may_draw_a(self, evse: EvseState, channel: Channel, now: float) -> float:
        """The most a car draws by what its station was told [A]; negative where it may be giving back: the meter sees that before it tells."""
        gives_w = still_given_w(evse, channel, now) if evse.place.config.v2g is not None else 0.0
        return -gives_w / self._layout.voltage_v / len(evse.phases) if gives_w > 0 else channel.known_a(now)

    def read(self, fact: MeterRead, evses: Mapping[EvseKey, EvseState], channels: Mapping[EvseKey, Channel]) -> str | None:
        """Take a reading; the id of the circuit it speaks for if it was believed."""
        reading, now = fact.reading, fact.at.mono_s
        side = self.sides.get(reading.meter_id)
        if side is not None:
            side.read(reading, now - fact.age_s)
            return None
        watch = self.watches.get(reading.meter_id)
        if watch is None:
            return None
        circuit = self._layout.metered[reading.meter_id]
        currents_a = phase_currents(reading, self._layout.voltage_v, self._layout.phase_count)
        if currents_a is not None and reading.quality is not Quality.BAD:
            self.steps[circuit].read(currents_a, now)
        return circuit if watch.read(reading, currents_a, self.cars(circuit, evses, channels, now), now, fact.age_s) else None

    def failed(self, fact: MeterFailed) -> None:
        """A poll failed."""
        if fact.meter_id in self.watches:
            self.watches[fact.meter_id].failed(fact.reason)
        elif fact.meter_id in self.sides:
            self.sides[fact.meter_id].detail = fact.reason

    def estimate(self, circuit: str, draws: Mapping[EvseKey, Draw], limits: Bounds, now: float) -> None:
        """Renew the other load of a metered circuit. limits: those in force beside the fuses."""
        metered_a = self._currents(circuit)
        if metered_a is None:
            return
        other = self._others.get(circuit) if circuit in self.other_a else None
        if other is None:
            other = self._others[circuit] = OtherLoad()
        watch = self._watch(circuit)
        age_s, (most_a, total_a) = watch.age_s(now) if watch is not None else 0.0, self._most_a(circuit, limits)
        self.other_a[circuit] = other.read(metered_a, draws.values(), most_a, now, age_s, total_a)

    def _most_a(self, circuit: str, limits: Bounds) -> tuple[float, float]:
        """(per phase, over all phases) what a circuit may carry [A]."""
        limit_a, total_a = limits.of(circuit)
        return min(self._layout.circuits[circuit].fuse_a, limit_a), total_a

    def _currents(self, circuit: str) -> PhaseAmps | None:
        watch = self._watch(circuit)
        return watch.currents_a if watch is not None else None

    def _watch(self, circuit: str) -> MeterWatch | None:
        meter = self._layout.circuits[circuit].meter
        return self.watches.get(meter) if meter is not None else None

    # -- time ------------------------------------------------------------------------------------------

    def look(self, now: float, wall_s: float, wall_speed: float = 1.0, battery: BatteryNow | None = None) -> list[Order]:
        """Let time pass; tell what changed, once. battery: what it carries and holds, where it tells that itself; default: what its meter says."""
        orders: list[Order] = []
        if self._started_mono_s is None:
            self._started_mono_s = now
        if battery is not None or any(side.role == "battery" for side in self.sides.values()):
            waiting = now - self._started_mono_s < self._control.meter_lost_s
            battery = battery or BatteryNow(self.side_power_w("battery"), self.soc_percent())
            self.reserve.look(battery.power_w, battery.soc_percent, waiting, now, wall_speed)
        for meter_id, watch in self.watches.items():
            circuit, before, health = self._layout.metered[meter_id], self._seen.get(meter_id), watch.look(now)
            self._seen[meter_id] = health
            if health is Health.LOST and before is not Health.LOST:
                self.other_a.pop(circuit, None)
                self.over.pop(circuit, None)
            silent_s = min(watch.age_s(now), now - self._started_mono_s)
            orders += self._alarms.meter(watch, circuit, silent_s, wall_s)
        for side in self.sides.values():
            orders += side.look(now, self._control.meter_lost_s, wall_s)
        return orders

    def check_over(self, circuit: str, limits: Bounds, now: float) -> tuple[Excess, ...]:
        """The phases of a circuit that its last reading shows above the fuse or a lower limit, and their sum above a total."""
        measured_a, (most_a, total_a) = self._currents(circuit), self._most_a(circuit, limits)
        return self._over(circuit, excesses(circuit, measured_a, most_a, total_a=total_a) if measured_a is not None else (), now)

    def check_derived(
        self,
        limits: Bounds,
        evses: Mapping[EvseKey, EvseState],
        channels: Mapping[EvseKey, Channel],
        booked_a: Mapping[EvseKey, float],
        now: float,
    ) -> tuple[Excess, ...]:
        """The same for circuits that nobody measures now: what the stations' own values add up to."""
        blind = [name for name in self._layout.circuits if self._watch(name) is None or self._health(name) is Health.LOST]
        if not blind:
            return ()
        loads = self.loads(now, booked_a)
        cars: dict[EvseKey, PhaseAmps] = {}  # a car hangs on several circuits
        found: list[Excess] = []
        for name in blind:
            load_a = derived(loads[name].other_a, self._layout.below[name], evses, channels, booked_a, now, cars)
            most_a, total_a = self._most_a(name, limits)
            found += self._over(name, excesses(name, load_a, most_a, True, total_a), now)
        return tuple(found)

    def _health(self, circuit: str) -> Health | None:
        watch = self._watch(circuit)
        return watch.health if watch is not None else None

    def _over(self, circuit: str, found: tuple[Excess, ...], now: float) -> tuple[Excess, ...]:
        if found:
            self.over[circuit] = found
            self._over_since.setdefault(circuit, now)
        else:
            self.over.pop(circuit, None)
            self._over_since.pop(circuit, None)
        return found

    def tell_over(self, now: float) -> list[Order]:
        """Say once when a circuit stays over its limit, and once when it is back."""
        return self._alarms.over(self.over, {name: now - since for name, since in self._over_since.items()})

    def hold(self, circuit: str, until_mono_s: float) -> None:
        """Nothing below this circuit may rise until then."""
        self._hold_until[circuit] = until_mono_s

    # -- what follows --------------------------------------------------------------------------------------

    def loads(self, now: float, booked: Collection[EvseKey] = ()) -> dict[str, CircuitLoad]:
        """The load of every circuit, children first inside, parents after. booked: EVSEs that count with what they draw."""
        found: dict[str, CircuitLoad] = {}
        children: dict[str, list[PhaseAmps]] = {}
        for name in reversed(list(self._layout.circuits)):
            circuit = self._layout.circuits[name]
            other_a, found[name] = self._load(name, children.get(name, []), booked, now)
            if circuit.parent is not None:
                children.setdefault(circuit.parent, []).append(other_a)
        return found

    def _load(self, name: str, below: list[PhaseAmps], booked: Collection[EvseKey], now: float) -> tuple[PhaseAmps, CircuitLoad]:
        """What is not a car, for the circuit above, and the load with what cars draw above their setpoints."""
        circuit, watch = self._layout.circuits[name], self._watch(name)
        own_a, margin_a = circuit.worst_other_load_a, self._config.grid.margin_a
        hold = now < self._hold_until.get(name, -math.inf)
        if watch is not None and watch.health is not Health.LOST and name in self.other_a:
            late = watch.health is Health.LATE
            margin_a += watch.margin_part(now) * circuit.fuse_a
            kept_a = max(self.reserve.now_a, self.rising_a) if circuit.parent is None else 0.0
            passing_a = self._others[name].passing_a(now)
            return self.other_a[name], CircuitLoad(self.other_a[name], margin_a, False, hold or late, watch.meter_id, kept_a, passing_a)
        sums = [sum(amps[phase] for amps in below) for phase in PHASES]
        # The grid's worst load already counts everything on the site, a circuit's only what hangs on itself.
        worst = [max(own_a, total) if circuit.parent is None else own_a + total for total in sums]
        above_a = self.above.of(self._layout.below[name], booked)
        static = (worst[0], worst[1], worst[2])
        loaded = (worst[0] + above_a[0], worst[1] + above_a[1], worst[2] + above_a[2])
        if watch is None:
            return static, CircuitLoad(loaded, margin_a, hold=hold)
        lost = watch.health is Health.LOST and not watch.probing
        return static, CircuitLoad(loaded, 0.0 if lost else margin_a, lost=lost, hold=hold, meter=watch.meter_id)

    def mode(self, now: float, unfit: Collection[str], blocked: Collection[EvseKey]) -> ModeNow:
        """The mode of the site. unfit: circuits whose fallbacks do not fit; blocked: EVSEs that do not obey at all."""
        stopped = self._stop(now, blocked)
        if stopped is not None:
            return stopped
        lost = [watch for watch in self.watches.values() if watch.health is Health.LOST]
        if lost:
            names = ", ".join(watch.meter_id for watch in lost)
            if unfit:
                return ModeNow(Mode.STOP, f"meter {names} silent and the fallbacks do not fit the limits in force")
            return ModeNow(Mode.FAILSAFE, f"meter {names} silent ({lost[0].trouble or 'no reading'}) - held to fallback")
        slow = next((watch for watch in self.watches.values() if watch.slow), None)
        if slow is not None:
            return ModeNow(
                Mode.DEGRADED, f"meter {slow.meter_id} is always late - {100 * slow.margin_part(now):.0f} % of the fuse are kept free for that"
            )
        late = [watch for watch in self.watches.values() if watch.health is Health.LATE]
        if late:
            return ModeNow(Mode.DEGRADED, f"meter {late[0].meter_id} late by {late[0].age_s(now):.0f} s")
        if self._layout.circuits[ROOT_CIRCUIT].meter is None:
            worst_a = self._layout.circuits[ROOT_CIRCUIT].worst_other_load_a
            return ModeNow(Mode.NORMAL, f"no grid meter: {worst_a:g} A per phase kept free for other loads")
        return ModeNow(Mode.NORMAL, "")

    def _stop(self, now: float, blocked: Collection[EvseKey]) -> ModeNow | None:
        """A car that obeys nothing beside a fuse that is over, and for a while after: else each motor's start would tell it anew."""
        over = self.lasting(now) if blocked else set()
        if over:
            names = ", ".join(str(key) for key in sorted(blocked))
            self._stopped = f"{names} does not follow and {min(over)} is over its limit" if not self._stopped else self._stopped
            self._stopped_until = now + STOP_HOLD_S
        elif not blocked or now >= self._stopped_until:
            self._stopped = ""
        return ModeNow(Mode.STOP, self._stopped) if self._stopped else None

    def lasting(self, now: float) -> set[str]:
        """Circuits whose meter has shown them over their limit for seconds: no motor's start, and no station's old word."""
        measured = [name for name, found in self.over.items() if not any(one.derived for one in found)]
        return {name for name in measured if now - self._over_since[name] >= LASTING_S}

    def side_power_w(self, role: str) -> float | None:
        """Sum of the fresh PV or battery meters [W], import and charging positive; None if none speaks."""
        return power_w(self.sides.values(), role)

    def meter_power_w(self, meter_id: str) -> float | None:
        """Power of one PV or battery meter [W], import and charging positive; None while it does not speak."""
        side = self.sides.get(meter_id)
        return power_w([side], side.role) if side is not None else None

    def soc_percent(self) -> float | None:
        """State of charge of the stationary battery [%]."""
        return soc_percent(self.sides.values())

    def grid_power_w(self) -> float | None:
        """Total power at the grid connection [W]; None while its meter is lost or missing."""
        watch = self._watch(ROOT_CIRCUIT)
        if watch is None or watch.health is Health.LOST or watch.last is None:
            return None
        if watch.last.power_w is not None and math.isfinite(watch.last.power_w):
            return watch.last.power_w
        return sum(watch.currents_a) * self._layout.voltage_v if watch.currents_a is not None else None

    def grid_current_a(self) -> PhaseAmps | None:
        """Current per phase at the grid connection [A]; None while its meter is lost or missing."""
        watch = self._watch(ROOT_CIRCUIT)
        return watch.currents_a if watch is not None and watch.health is not Health.LOST else None

    def grid_age_s(self, now: float) -> float | None:
        """Age of the last believed reading at the grid connection [s]."""
        watch = self._watch(ROOT_CIRCUIT)
        return watch.age_s(now) if watch is not None and math.isfinite(watch.age_s(now)) else None
