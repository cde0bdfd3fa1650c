"""The site half of the engine: facts about watts in, orders out.

Three time scales meet here (ARCHITECTURE 4). Each meter reading runs the guard inside the same
call; each tick and each event that matters runs freeze -> arbiter -> actuate (``deciding``); planning runs
beside and only ever lowers. This file is the door and the order of a tick. What follows from a fact is in
``reactions``, every decision is made elsewhere in this folder. It knows no message and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.config import Config
from controller.facts import EvseKey, Fact, PhaseAmps, Restored, SetpointInForce, Stamp, TimePassed
from controller.orders import Order
from controller.site.deciding import Deciding
from controller.site.devices.picture import Pictures, battery_phases
from controller.site.devices.steering import Devices
from controller.site.grid.der import GridWishes
from controller.site.grid.keeping import Keeping
from controller.site.grid.limit_store import LimitStore
from controller.site.grid.measured import flows_of
from controller.site.grid.outside import SPACE as SIGNAL_SPACE
from controller.site.grid.outside import Outside
from controller.site.layout import layout_of
from controller.site.meters.freshness import Health
from controller.site.meters.health import BatteryNow, MeterRoom, ModeNow
from controller.site.meters.proof import Proof
from controller.site.meters.readings import Readings
from controller.site.plans.explained import SPACE as EXPLAINED_SPACE
from controller.site.plans.explained import Explained
from controller.site.plans.habits import SPACE as PAST_SPACE
from controller.site.plans.habits import History
from controller.site.plans.peak import peak_meter
from controller.site.plans.planning import Planner
from controller.site.plans.rehearsing import Rehearsals
from controller.site.plans.series import SPACE as SERIES_SPACE
from controller.site.plans.series import SeriesRoom
from controller.site.plans.usual_days import SPACE as DAYS_SPACE
from controller.site.plans.usual_days import UsualDays
from controller.site.reactions import Handlers, limits, plans, readings, sessions, stations, wishes
from controller.site.sharing.arbiter import Grant
from controller.site.sharing.budget import SiteState
from controller.site.state import EvseState
from controller.site.stations import answers, oversight
from controller.site.stations.actuate import Actuator
from controller.site.stations.charger import ChargerModel
from controller.site.stations.commissioning import Commissioning
from controller.site.stations.oversight import Oversight
from controller.site.stations.returning import Returning
from controller.site.telling.changes import Changes
from controller.site.telling.reports import Reporter
from controller.site.telling.site_news import SiteNews
from controller.site.telling.why import explain
from controller.snapshot import SiteView, WhyProfile, WhyView


class Site:
    """Everything about watts. ``handle`` takes facts in the order they happened."""

    def __init__(self, config: Config, models: Mapping[str, ChargerModel]) -> None:
        self.config = config
        self.layout = layout_of(config, models)
        self.evses: dict[EvseKey, EvseState] = {key: EvseState(place) for key, place in self.layout.places.items()}
        self.actuator = Actuator(self.layout, config.control)
        self.features = self.actuator.features
        self.limits = LimitStore(config)
        self.keeping = Keeping()
        self.outside = Outside(self.limits, lambda at: flows_of(self, at.mono_s), self.keeping)
        self.grid_wishes = GridWishes(config, self.layout)
        self.meters = MeterRoom(config, self.layout)
        self.readings = Readings(config)
        self.proof = Proof(self.layout, self.meters, self.evses, self.actuator.channels)
        self.commissioning = Commissioning(self.evses, self.actuator, config.control.setpoint_life_s)
        self.oversight = Oversight(self.layout, self.actuator, self._metered_a, self.commissioning.spares, self.commissioning.tests)
        self.escalation = self.oversight.escalation
        self.returning = Returning(self.layout, config.control.setpoint_life_s)
        self.devices = Devices(config)
        self.pictures = Pictures(battery_phases(self))
        self.planner = Planner(config, self.layout)
        self.peak = peak_meter(config.tariff, config.site.timezone)
        self.rehearsals = Rehearsals(config, self.layout)
        self.history = History(config)
        self.days = UsualDays(config)
        self.explained = Explained(config)
        self.series = SeriesRoom(config)
        self.changes = Changes()
        self.reporter = Reporter(config, self.layout)
        self._news = SiteNews(config)
        self.deciding = Deciding(self)
        self.turns, self.budget = self.deciding.turns, self.deciding.budget
        self.on_readings = readings.OnReadings(self)
        self.on_stations = stations.OnStations(self)
        self.on_sessions = sessions.OnSessions(self)
        self.on_limits = limits.OnLimits(self)
        self.on_wishes = wishes.OnWishes(self)
        self.on_plans = plans.OnPlans(self)
        self.sources, self.station_wishes = self.on_limits.sources, self.on_wishes.stations
        self._handlers: Handlers = {
            TimePassed: self._time_passed,
            Restored: self._restored,
            **self.on_readings.handlers(),
            **self.on_stations.handlers(),
            **self.on_sessions.handlers(),
            **self.on_limits.handlers(),
            **self.on_wishes.handlers(),
            **self.on_plans.handlers(),
        }

    def handle(self, fact: Fact) -> list[Order]:
        """Orders that follow from a fact; facts about messages are none of the site's business."""
        if self.commissioning.takes(fact):
            return self.commissioning.handle(fact)
        handler = self._handlers.get(type(fact))
        orders = handler(fact) if handler is not None else []
        return self.commissioning.seen(fact, orders) if self.commissioning.watching else orders

    def view(self, at: Stamp) -> SiteView:
        """The site half of the picture."""
        return self.reporter.view(self, at)

    def why(self, key: EvseKey, at: Stamp, profiles: tuple[WhyProfile, ...]) -> WhyView | None:
        """Why an EVSE gets what it gets; None for an EVSE this site does not have."""
        return explain(self, key, at, profiles) if key in self.evses else None

    def in_force(self, key: EvseKey, at: Stamp) -> SetpointInForce | None:
        """What an EVSE has accepted, for answers about profiles."""
        return self.actuator.in_force(key, at) if key in self.evses else None

    # -- what holds now, for whoever asks ------------------------------------------------------------

    @property
    def grants(self) -> Mapping[EvseKey, Grant]:
        """What each EVSE was granted last."""
        return self.deciding.grants

    @property
    def mode(self) -> ModeNow:
        """The mode the site is in, and why."""
        return self.deciding.mode

    @property
    def frozen(self) -> SiteState | None:
        """What the last decision was made of."""
        return self.deciding.frozen

    def export(self, at: Stamp) -> tuple[float, str] | None:
        """(most the grid connection may feed in [W], who says so) of signals and DER controls: the lowest; None = nobody says anything."""
        told, control = self.limits.export(at.mono_s), self.grid_wishes.export()
        bounds = [bound for bound in (told[:2] if told is not None else None, control) if bound is not None]
        return min(bounds, default=None)

    def battery_w(self, now: float) -> float | None:
        """What the stationary battery carries [W], charging positive."""
        return self.devices.battery_w(self.meters.side_power_w("battery"), now)

    def _commanded_battery(self, now: float) -> BatteryNow | None:
        """What a battery of ours carries and holds, whoever tells it: its meter, else itself."""
        if not self.devices.commands_battery:
            return None
        return BatteryNow(self.battery_w(now), self.devices.soc_percent(self.meters.soc_percent()))

    def _metered_a(self, circuit: str) -> PhaseAmps | None:
        """Currents of a circuit's meter [A], None unless it is believed."""
        watch = self.meters.watches.get(self.layout.circuits[circuit].meter or "")
        return watch.currents_a if watch is not None and watch.health is Health.GOOD else None

    # -- time and restarts -----------------------------------------------------------------------------

    def _time_passed(self, fact: TimePassed) -> list[Order]:
        """A tick, in this order: limits that ended, meters, the guard, who does not obey, the arbiter, batteries; then what serves money."""
        at, now = fact.at, fact.at.mono_s
        self.actuator.writes.clock(now, at.wall_s)
        orders = self.on_limits.look(at)
        orders += self.on_readings.from_chargers(at)
        orders += self.meters.look(now, at.wall_s, at.wall_speed, self._commanded_battery(now))
        orders += self.proof.tick(now)
        orders += self.on_readings.cut_derived(at)
        orders += self.meters.tell_over(now)
        orders += self.oversight.look(self.evses, self.meters.lasting(now), at)
        orders += self.actuator.tick(now)
        orders += self.deciding.control(at, at_once=True)
        self.pictures.decided(self)
        orders += self.on_readings.look_at_devices(at)
        run = self.planner.contained.run
        orders += run("planning", lambda: self.on_plans.look(at), list)
        orders += run("what the page and history are told", lambda: self.reporter.tick(self, at), list)
        orders += run("what the CSMS is told of the site", lambda: self._news.look(self, at), list)
        return orders + self.planner.contained.tell()

    def _restored(self, fact: Restored) -> list[Order]:
        """What the journal kept goes back to whoever keeps it."""
        orders: list[Order] = []
        for (space, name), memory in fact.memories.items():
            if space == sessions.SPACE:
                self.on_sessions.recall(name, memory)
                self.returning.recall(name, memory, fact.at.mono_s)
            elif space == limits.SPACE and isinstance(memory, dict):
                source, _, circuit = name.rpartition(":")
                self.limits.restore(source, circuit, memory, fact.at)
            elif space == limits.FAILSAFE_SPACE and memory is not None:
                self.limits.restore_failsafe()
            elif space == SIGNAL_SPACE:
                orders += self.outside.restore(name, memory, fact.at)
            elif space == answers.SPACE:
                self.actuator.recall(name, memory)
            elif space == oversight.SPACE:
                self.oversight.recall(name, memory)
            elif space == plans.PEAK_SPACE and isinstance(memory, dict):
                self.peak.recall(memory, fact.at.wall_s)
            elif space == PAST_SPACE:
                self.history.recall(name, memory)
            elif space == DAYS_SPACE:
                self.days.recall(name, memory)
            elif space == EXPLAINED_SPACE:
                self.explained.recall(name, memory)
            elif space == SERIES_SPACE:
                self.series.recall(name, memory, fact.at)
        self.planner.books = self.series.books
        self.devices.restored(fact)
        return orders + self.on_limits.forget_gone()
