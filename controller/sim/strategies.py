"""The baselines a plan is compared with, on the same stations, cars and physics.

``uncontrolled``: nobody is there; every car takes what it wants. ``earliest_deadline_first``: the
solver-free rule of ``optimizer.rules`` with a perfect view of the building, asked anew every ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from controller.config import Config
from controller.facts import Stamp
from controller.sim import wire
from controller.sim.account import Account, Outcome
from controller.sim.car import MIN_OFFER_A, VOLTAGE_V
from controller.sim.scenario import Scenario, hour_of
from controller.sim.site import Plugged, SimSite
from optimizer.problem import Ev, Node, Problem, Slot, Triple
from optimizer.rules import earliest_deadline_first

STEP_S = 5.0
RULE_EVERY_S = 10.0
RULE_SLOT_S = 60.0
PROGRESS_EVERY_S = 60.0
NEVER_S = 86_400.0

Control = Callable[[Stamp, SimSite], None]
Progress = Callable[[float], None]


def moments(start_wall_s: float, hours: float, step_s: float = STEP_S) -> Iterator[Stamp]:
    """The stamps of a virtual stretch of time, both clocks at the same speed."""
    for step in range(int(hours * 3600.0 / step_s) + 1):
        yield Stamp(1000.0 + step * step_s, start_wall_s + step * step_s)


def run_baseline(
    name: str, config: Config, scenario: Scenario, start_wall_s: float, hours: float, control: Control, progress: Progress
) -> Outcome:
    """A day without Yardmaster. ``control`` may write profiles into the stations every ten seconds."""
    site = SimSite(config, scenario, start_wall_s, sample_s=NEVER_S)
    account, stored_wh = Account(config, name), site.physics.battery.stored_wh
    for at in moments(start_wall_s, hours):
        if at.wall_s == start_wall_s:
            control(at, site)
        site.advance(at)
        if at.wall_s % RULE_EVERY_S == 0:
            control(at, site)
        if at.wall_s % PROGRESS_EVERY_S == 0:
            progress((at.wall_s - start_wall_s) / (hours * 3600.0))
        if at.wall_s > start_wall_s:
            account.add(at.wall_s, STEP_S, site.physics.grid.current_a, site.ev_current_a())
        for station in site.stations.values():
            station.forget_events()
    return account.close(site.gone, site.physics.battery.stored_wh - stored_wh)


def uncontrolled(at: Stamp, site: SimSite) -> None:
    """Nobody writes anything."""


class EarliestDeadlineFirst:
    """Serves the car that leaves first, inside every fuse, without prices and without looking ahead."""

    def __init__(self, config: Config, scenario: Scenario) -> None:
        self._config = config
        self._scenario = scenario
        self._circuit = {station.id: station.circuit for station in config.stations}

    def __call__(self, at: Stamp, site: SimSite) -> None:
        """Give every plugged-in car its current until the next look."""
        plan = earliest_deadline_first(self._problem(at, site))
        limits_a = {_name(item): plan.ev_power_w[_name(item)][0] / VOLTAGE_V / item.car.phases for item in site.plugged}
        for station_id, station in site.stations.items():
            for evse_id in station.evses:  # an empty bay is closed, so that nobody starts before the rule has looked
                station.profiles.put(evse_id, _profile(at, evse_id, limits_a.get(f"{station_id}/{evse_id}", 0.0)), None)

    def _problem(self, at: Stamp, site: SimSite) -> Problem:
        grid, hour = self._config.grid, hour_of(at.wall_s)
        building_w = self._scenario.building_w(hour)
        first, second, third = (building_w * share / VOLTAGE_V for share in self._scenario.building_shares)
        nodes = [Node("grid", None, _triple(grid.fuse_a - grid.margin_a), other_load_a=((first, second, third),))]
        nodes += [Node(circuit.id, circuit.parent, _triple(circuit.fuse_a - grid.margin_a)) for circuit in self._config.circuits]
        return Problem(
            at.wall_s,
            (Slot(at.wall_s, RULE_SLOT_S),),
            VOLTAGE_V,
            tuple(nodes),
            tuple(self._ev(at, site, item) for item in site.plugged),
            buy_per_kwh=(0.0,),
            sell_per_kwh=(0.0,),
            pv_w=(self._scenario.pv_w(hour),),
        )

    def _ev(self, at: Stamp, site: SimSite, item: Plugged) -> Ev:
        evse = site.stations[item.arrival.station_id].evses[item.arrival.evse_id]
        phases = evse.spec.site_phases[: item.car.phases]
        watts_per_a = VOLTAGE_V * len(phases)
        highest_a = min(evse.spec.max_current_a, item.car.spec.max_current_a)
        departure_wall_s = max(item.car.spec.departure_wall_s, at.wall_s + RULE_SLOT_S)
        # A short slot must not throttle a car that is nearly full: the car itself stops.
        need_wh = 0.0 if item.car.full else max(item.car.missing_wh, highest_a * watts_per_a * RULE_SLOT_S / 3600.0)
        return Ev(
            _name(item),
            self._circuit[item.arrival.station_id],
            phases,
            item.car.spec.arrival_wall_s,
            departure_wall_s,
            need_wh,
            min_power_w=MIN_OFFER_A * watts_per_a,
            max_power_w=highest_a * watts_per_a,
        )


def _name(item: Plugged) -> str:
    return f"{item.arrival.station_id}/{item.arrival.evse_id}"


def _triple(limit_a: float) -> Triple:
    return (limit_a, limit_a, limit_a)


def _profile(at: Stamp, evse_id: int, limit_a: float) -> wire.Payload:
    period = {"startPeriod": 0, "limit": limit_a if limit_a >= MIN_OFFER_A - 0.01 else 0.0}
    schedule = {"id": 1, "startSchedule": wire.iso(at.wall_s), "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    return {
        "id": evse_id,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
    }
