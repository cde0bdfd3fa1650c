"""Health of the site's meters and of the fuses they watch: readings in, loads and mode out.

Keeps one ``MeterWatch`` and one other-load estimate per metered circuit, the last word of PV and
battery meters, and says once per change what happened, what we did and what a person can do.
Serves F40-F50; a site without a grid meter runs on its configured worst load and says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import EvseKey, MeterFailed, MeterRead, PhaseAmps
from controller.orders import Order, Severity, Tell
from controller.site.budget import CircuitLoad
from controller.site.freshness import Cars, Health, MeterWatch, Mode, phase_currents
from controller.site.guard import Excess, excesses
from controller.site.limits import Limit
from controller.site.otherload import Draw, blame_other, estimate
from controller.site.state import PHASE_NAMES, PHASES, EvseState, Layout
from meters.reading import Quality, Reading

FRESH_CAR_S = 5.0
"""A station's own current is compared with a meter only while this fresh [s]."""
OVER_TELL_S = 3.0
"""A fuse must be over its limit this long before a person is told [s]."""


@dataclass(slots=True)
class Side:
    """A PV or battery meter: informs the plan and the page, guards nothing."""

    role: str
    last: Reading | None = None
    at_mono_s: float = -math.inf
    healthy: bool = False
    detail: str = "no reading yet"


@dataclass(frozen=True, slots=True)
class ModeNow:
    """The mode of the site and why."""

    mode: Mode
    reason: str


class MeterRoom:
    """All meters. Mutable; ``now`` is monotonic seconds."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self._config, self._layout, self._control = config, layout, config.control
        self.watches = {meter_id: MeterWatch(meter_id, config.control) for meter_id in layout.metered}
        roles = {meter.id: meter.role for meter in config.meters}
        self.sides = {meter_id: Side(role) for meter_id, role in roles.items() if meter_id not in self.watches}
        self.other_a: dict[str, PhaseAmps] = {}
        self._metered_a: dict[str, PhaseAmps] = {}
        self.over: dict[str, tuple[Excess, ...]] = {}
        self._over_since: dict[str, float] = {}
        self._over_told: set[str] = set()
        self._hold_until: dict[str, float] = {}
        self._seen: dict[str, Health] = {}
        self._lost_told: set[str] = set()
        self._started_mono_s: float | None = None
        # With generation behind the meter the grid may well carry less than the cars draw (F45 does not apply).
        roles_present = {meter.role for meter in config.meters}
        self._generation = bool({"pv", "battery"} & roles_present) or config.battery is not None or any(config.forecast.pv_w)

    # -- readings ----------------------------------------------------------------------------------

    def cars(self, circuit: str, evses: Mapping[EvseKey, EvseState], now: float) -> Cars:
        """What the stations below a circuit report to draw."""
        everything, fresh = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        for key in self._layout.below[circuit]:
            evse = evses[key]
            recent = not self._generation and now - evse.measured_mono_s <= FRESH_CAR_S
            for phase in PHASES:
                amps = evse.current_a[phase] or 0.0
                everything[phase] += amps
                if recent:
                    fresh[phase] += amps
        return Cars((everything[0], everything[1], everything[2]), (fresh[0], fresh[1], fresh[2]))

    def read(self, fact: MeterRead, evses: Mapping[EvseKey, EvseState]) -> str | None:
        """Take a reading; the id of the circuit it speaks for if it was believed."""
        reading, now = fact.reading, fact.at.mono_s
        side = self.sides.get(reading.meter_id)
        if side is not None:
            if reading.quality is not Quality.BAD:
                side.last, side.at_mono_s, side.healthy, side.detail = reading, now, True, reading.reason
            else:
                side.detail = reading.reason
            return None
        watch = self.watches.get(reading.meter_id)
        if watch is None:
            return None
        circuit = self._layout.metered[reading.meter_id]
        currents_a = phase_currents(reading, self._layout.voltage_v, self._layout.phase_count)
        return circuit if watch.read(reading, currents_a, self.cars(circuit, evses, now), now) else None

    def failed(self, fact: MeterFailed) -> None:
        """A poll failed."""
        if fact.meter_id in self.watches:
            self.watches[fact.meter_id].failed(fact.reason)
        elif fact.meter_id in self.sides:
            self.sides[fact.meter_id].detail = fact.reason

    def estimate(self, circuit: str, draws: Mapping[EvseKey, Draw], limit: Limit | None) -> None:
        """Renew the other load of a metered circuit."""
        metered_a = self._currents(circuit)
        if metered_a is None:
            return
        before_a, last_a = self.other_a.get(circuit), self._metered_a.get(circuit, metered_a)
        if before_a is not None:
            before_a = blame_other(metered_a, last_a, before_a, self._most_a(circuit, limit))
        self.other_a[circuit] = estimate(metered_a, draws.values(), before_a)
        self._metered_a[circuit] = metered_a

    def _most_a(self, circuit: str, limit: Limit | None) -> float:
        fuse_a = self._layout.circuits[circuit].fuse_a
        return min(fuse_a, limit.limit_a) if limit is not None else fuse_a

    def _currents(self, circuit: str) -> PhaseAmps | None:
        watch = self._watch(circuit)
        return watch.currents_a if watch is not None else None

    def _watch(self, circuit: str) -> MeterWatch | None:
        meter = self._layout.circuits[circuit].meter
        return self.watches.get(meter) if meter is not None else None

    # -- time ------------------------------------------------------------------------------------------

    def look(self, now: float, wall_s: float) -> list[Order]:
        """Let time pass; tell what changed, once."""
        orders: list[Order] = []
        if self._started_mono_s is None:
            self._started_mono_s = now
        for meter_id, watch in self.watches.items():
            circuit, before, health = self._layout.metered[meter_id], self._seen.get(meter_id), watch.look(now)
            self._seen[meter_id] = health
            if health is Health.LOST and before is not Health.LOST:
                self.other_a.pop(circuit, None)
                self.over.pop(circuit, None)
            orders += self._tell_change(meter_id, watch, now)
        for meter_id, side in self.sides.items():
            late = now - side.at_mono_s >= self._control.meter_lost_s
            if side.healthy and late:
                side.healthy, side.detail = False, side.detail or "silent"
                text = f"{side.role} meter {meter_id} silent - planning goes on without it; check its cable and power"
                orders.append(Tell(Severity.WARNING, f"meter {meter_id}", text, wall_s))
        return orders

    def _tell_change(self, meter_id: str, watch: MeterWatch, now: float) -> list[Order]:
        subject, told = f"meter {meter_id}", meter_id in self._lost_told
        if watch.health is Health.GOOD and told:
            self._lost_told.discard(meter_id)
            return [Tell(Severity.INFO, subject, f"meter {meter_id} answers again - normal control")]
        silent_s = min(watch.age_s(now), now - (self._started_mono_s or now))
        # At start-up the meter has the same time to speak as later.
        if watch.health is not Health.LOST or told or silent_s < self._control.meter_lost_s:
            return []
        self._lost_told.add(meter_id)
        circuit = self._layout.metered[meter_id]
        held = "site" if circuit == ROOT_CIRCUIT else f"circuit {circuit}"
        because = f" ({watch.trouble})" if watch.trouble else ""
        text = f"meter {meter_id} silent for {silent_s:.0f} s{because} - {held} held to fallback; check its cable and power"
        return [Tell(Severity.ALARM, subject, text)]

    def check_over(self, circuit: str, limit: Limit | None, now: float) -> tuple[Excess, ...]:
        """The phases of a circuit that its last reading shows above the fuse or a lower limit."""
        measured_a = self._currents(circuit)
        found = excesses(circuit, measured_a, self._most_a(circuit, limit)) if measured_a is not None else ()
        if found:
            self.over[circuit] = found
            self._over_since.setdefault(circuit, now)
        else:
            self.over.pop(circuit, None)
            self._over_since.pop(circuit, None)
        return found

    def tell_over(self, now: float) -> list[Order]:
        """Say once when a circuit stays over its limit, and once when it is back."""
        orders: list[Order] = []
        for circuit, found in self.over.items():
            if circuit in self._over_told or now - self._over_since[circuit] < OVER_TELL_S:
                continue
            self._over_told.add(circuit)
            worst = max(found, key=lambda one: one.measured_a)
            where = f"{circuit} {PHASE_NAMES[worst.phase]}"
            amps = f"measured {worst.measured_a:.0f} A, limit {worst.limit_a:.0f} A"
            text = f"{where} {amps} - charging is cut; reduce other loads if it stays"
            orders.append(Tell(Severity.WARNING, f"circuit {circuit}", text))
        for circuit in [name for name in self._over_told if name not in self.over]:
            self._over_told.discard(circuit)
            orders.append(Tell(Severity.INFO, f"circuit {circuit}", f"{circuit} is below its limit again"))
        return orders

    def hold(self, circuit: str, until_mono_s: float) -> None:
        """Nothing below this circuit may rise until then."""
        self._hold_until[circuit] = until_mono_s

    # -- what follows --------------------------------------------------------------------------------------

    def loads(self, now: float) -> dict[str, CircuitLoad]:
        """The load of every circuit, children first inside, parents after."""
        found: dict[str, CircuitLoad] = {}
        children: dict[str, list[str]] = {}
        for name in reversed(list(self._layout.circuits)):
            circuit = self._layout.circuits[name]
            below = [found[child].other_a for child in children.get(name, ())]
            found[name] = self._load(name, below, now)
            if circuit.parent is not None:
                children.setdefault(circuit.parent, []).append(name)
        return found

    def _load(self, name: str, below: list[PhaseAmps], now: float) -> CircuitLoad:
        circuit, watch = self._layout.circuits[name], self._watch(name)
        own_a, margin_a = circuit.worst_other_load_a, self._config.grid.margin_a
        sums = [sum(amps[phase] for amps in below) for phase in PHASES]
        # The grid's worst load already counts everything on the site, a circuit's only what hangs on itself.
        worst = [max(own_a, total) if circuit.parent is None else own_a + total for total in sums]
        static = (worst[0], worst[1], worst[2])
        hold = now < self._hold_until.get(name, -math.inf)
        if watch is None:
            return CircuitLoad(static, margin_a, hold=hold)
        if watch.health is Health.LOST:
            return CircuitLoad(static, 0.0, lost=True, meter=watch.meter_id)
        late = watch.health is Health.LATE
        margin_a += watch.margin_part(now) * circuit.fuse_a if late else 0.0
        return CircuitLoad(self.other_a.get(name, static), margin_a, hold=hold or late, meter=watch.meter_id)

    def mode(self, now: float, unfit: Collection[str], blocked: Collection[EvseKey]) -> ModeNow:
        """The mode of the site. unfit: circuits whose fallbacks do not fit; blocked: EVSEs that do not obey at all."""
        if blocked and self.over:
            names = ", ".join(str(key) for key in sorted(blocked))
            return ModeNow(Mode.STOP, f"{names} does not follow and {next(iter(self.over))} is over its limit")
        lost = [watch for watch in self.watches.values() if watch.health is Health.LOST]
        if lost:
            names = ", ".join(watch.meter_id for watch in lost)
            if unfit:
                return ModeNow(Mode.STOP, f"meter {names} silent and the fallbacks do not fit the limits in force")
            return ModeNow(Mode.FAILSAFE, f"meter {names} silent ({lost[0].trouble or 'no reading'}) - held to fallback")
        late = [watch for watch in self.watches.values() if watch.health is Health.LATE]
        if late:
            return ModeNow(Mode.DEGRADED, f"meter {late[0].meter_id} late by {late[0].age_s(now):.0f} s")
        if self._layout.circuits[ROOT_CIRCUIT].meter is None:
            worst_a = self._layout.circuits[ROOT_CIRCUIT].worst_other_load_a
            return ModeNow(Mode.NORMAL, f"no grid meter: {worst_a:g} A per phase kept free for other loads")
        return ModeNow(Mode.NORMAL, "")

    def side_power_w(self, role: str) -> float | None:
        """Sum of the fresh PV or battery meters [W], import and charging positive; None if none speaks."""
        said = [side.last.power_w for side in self.sides.values() if side.role == role and side.healthy and side.last is not None]
        known = [watts for watts in said if watts is not None and math.isfinite(watts)]
        return sum(known) if known else None

    def soc_percent(self) -> float | None:
        """State of charge of the stationary battery [%]."""
        said = [side.last.soc_percent for side in self.sides.values() if side.role == "battery" and side.last is not None]
        return next((percent for percent in said if percent is not None and math.isfinite(percent)), None)

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
