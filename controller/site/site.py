"""The site half of the engine: facts about watts in, orders out.

Three time scales meet here (ARCHITECTURE 4). Each meter reading runs the guard inside the same
call; each tick and each event that matters runs freeze -> arbiter -> actuate; planning runs beside
and only ever lowers. This file routes and keeps the few things that outlast a decision (turns,
modes told); every decision is made elsewhere in this folder. It knows no message and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import (
    ChargingState,
    ContactsRead,
    DeviceAnswered,
    DeviceRead,
    DriverKnown,
    EventsTold,
    EvseKey,
    EvseMeasured,
    EvseStatusChanged,
    Fact,
    FailsafeStated,
    FeaturesLearned,
    FloorConfirmed,
    GridControlled,
    LimitReceived,
    LimitRefused,
    LimitStated,
    LimitStep,
    MeterFailed,
    MeterRead,
    NeedsAnnounced,
    NeedStated,
    Persisted,
    PersistFailed,
    PhaseAmps,
    PlanFailed,
    PlanSolved,
    Restored,
    ScheduleAnnounced,
    SeriesTold,
    SessionChanged,
    SetpointAnswered,
    SetpointInForce,
    SignalBeat,
    SiteWished,
    SourceChanged,
    Stamp,
    StationOffline,
    StationOnline,
    TimePassed,
    UpstreamWished,
)
from controller.orders import AnswerLimit, Order, Persist, Publish, Severity, Tell
from controller.site import state
from controller.site.devices.picture import Pictures, battery_phases
from controller.site.devices.steering import Devices
from controller.site.grid.der import SITE, GridWishes
from controller.site.grid.keeping import NOT_KEPT, Answer, Keeping
from controller.site.grid.limit_store import BROKER, LimitStore
from controller.site.grid.measured import flows_of
from controller.site.grid.outside import SPACE as SIGNAL_SPACE
from controller.site.grid.outside import SPEAKS, Outcome, Outside
from controller.site.guard import HOLD_S, Excess, cut
from controller.site.meters.draws import draw_of
from controller.site.meters.freshness import Health, Mode
from controller.site.meters.health import BatteryNow, MeterRoom, ModeNow
from controller.site.meters.otherload import Draw
from controller.site.meters.proof import Proof
from controller.site.meters.readings import Readings
from controller.site.meters.virtual_meters import Found
from controller.site.plans.explained import SPACE as EXPLAINED_SPACE
from controller.site.plans.explained import Explained
from controller.site.plans.habits import NOTHING_LEARNT, History
from controller.site.plans.habits import SPACE as PAST_SPACE
from controller.site.plans.peak import peak_meter
from controller.site.plans.planning import PlanInputs, Planner
from controller.site.plans.posing import HORIZON_S, building_w
from controller.site.plans.rehearsing import Rehearsals
from controller.site.plans.series import SPACE as SERIES_SPACE
from controller.site.plans.series import SeriesRoom
from controller.site.plans.usual_days import SPACE as DAYS_SPACE
from controller.site.plans.usual_days import UsualDays
from controller.site.sharing.arbiter import Grant, Pace, decide
from controller.site.sharing.budget import Budget, Inputs, SiteState, StationWish
from controller.site.sharing.fleet import Fleet, fleet_targets
from controller.site.sharing.inputs import told_limit
from controller.site.sharing.turns import Turns, waiting_circuits
from controller.site.state import EvseState, layout_of
from controller.site.stations import actuate, oversight
from controller.site.stations.actuate import Actuator, Floor
from controller.site.stations.charger import ChargerModel
from controller.site.stations.commissioning import Commissioning
from controller.site.stations.oversight import Oversight
from controller.site.stations.switching import Switcher
from controller.site.telling.announcing import Announcer
from controller.site.telling.reports import Reporter, SourceNow
from controller.site.telling.site_news import SiteNews
from controller.site.telling.troubles import without
from controller.site.telling.why import explain
from controller.snapshot import SiteView, WhyProfile, WhyView

CONTROL_GAP_S = 0.2
"""Events closer together than this share one decision; the tick takes the rest [s]."""
SUSPENDED = (ChargingState.SUSPENDED_EV, ChargingState.SUSPENDED_EVSE)


GIVEN_STEP_WH = 100.0
"""What a car gives back is kept on disk in steps of so much [Wh]."""


class Site:
    """Everything about watts. ``handle`` takes facts in the order they happened."""

    def __init__(self, config: Config, models: Mapping[str, ChargerModel]) -> None:
        self.config = config
        self.layout = layout_of(config, models)
        self.evses: dict[EvseKey, EvseState] = {key: EvseState(place) for key, place in self.layout.places.items()}
        self.actuator = Actuator(self.layout, config.control)
        self.limits = LimitStore(config)
        self.keeping = Keeping()
        self.outside = Outside(self.limits, lambda at: flows_of(self, at.mono_s), self.keeping)
        self.meters = MeterRoom(config, self.layout)
        self.readings = Readings(config)
        self.proof = Proof(self.layout, self.meters, self.evses, self.actuator.channels)
        self.commissioning = Commissioning(self.evses, self.actuator, config.control.setpoint_life_s)
        self.oversight = Oversight(self.layout, self.actuator, self._metered_a, self.commissioning.spares, self.commissioning.tests)
        self.escalation = self.oversight.escalation
        self.features = self.actuator.features
        self._announcer = Announcer()
        self._drivers: dict[EvseKey, DriverKnown] = {}
        self.grid_wishes = GridWishes(config, self.layout)
        self.devices = Devices(config)
        self.pictures = Pictures(battery_phases(self))
        self._fleet = Fleet()
        self._news = SiteNews(config)
        self.planner = Planner(config, self.layout)
        self.peak = peak_meter(config.tariff, config.site.timezone)
        self.rehearsals = Rehearsals(config, self.layout)
        self.history = History(config)
        self.days = UsualDays(config)
        self.explained = Explained(config)
        self.series = SeriesRoom(config)
        self.sources: dict[str, SourceNow] = {}
        self.mode = ModeNow(Mode.FAILSAFE, "starting") if self.meters.watches else ModeNow(Mode.NORMAL, "")
        self.grants: dict[EvseKey, Grant] = {}
        self.station_wishes: dict[str, EvseState] = {}
        self.turns = Turns(config.control.turn_s)
        self._booked: Mapping[EvseKey, float] = {}
        self.frozen: SiteState | None = None  # what the last decision was made of
        self._memories: dict[str, Any] = {}
        self._told: dict[str, str] = {}
        self._wish_steps: dict[EvseKey, LimitStep | None] = {}
        self.budget = Budget(self.layout, self.actuator, config.control)
        self._switcher = Switcher(self.layout, config.control)
        self._pace = Pace(config.control.ramp_up_a_per_s, config.control.dead_band_a)
        self.reporter = Reporter(config, self.layout)
        self._controlled_mono_s = float("-inf")
        self._handlers: dict[type[Fact], Callable[[Any], list[Order]]] = {
            TimePassed: self._time_passed,
            Persisted: self._stored,
            PersistFailed: self._stored,
            Restored: self._restored,
            StationOnline: self._station_online,
            StationOffline: self._station_offline,
            EvseStatusChanged: self._status_changed,
            SessionChanged: self._session_changed,
            EvseMeasured: self._evse_measured,
            NeedsAnnounced: self._needs_announced,
            NeedStated: self._need_stated,
            DriverKnown: self._driver_known,
            ScheduleAnnounced: self._schedule_announced,
            FeaturesLearned: self._features_learned,
            UpstreamWished: self._upstream_wished,
            SiteWished: self._site_wished,
            DeviceRead: self._device_read,
            DeviceAnswered: self._device_answered,
            GridControlled: self._grid_controlled,
            SetpointAnswered: self._setpoint_answered,
            FloorConfirmed: self._floor_confirmed,
            MeterRead: self._meter_read,
            MeterFailed: self._meter_failed,
            LimitReceived: self._limit_received,
            LimitRefused: self._limit_refused,
            SourceChanged: self._source_changed,
            **dict.fromkeys(SPEAKS, self._signalled),
            PlanSolved: self._plan_solved,
            PlanFailed: self._plan_failed,
            SeriesTold: self._series_told,
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

    # -- stations ------------------------------------------------------------------------------------

    def _station_online(self, fact: StationOnline) -> list[Order]:
        return self.actuator.online(fact.station_id, fact.at.mono_s, fact.version)

    def _station_offline(self, fact: StationOffline) -> list[Order]:
        self.actuator.offline(fact.station_id, fact.at.mono_s)
        return []

    def _status_changed(self, fact: EvseStatusChanged) -> list[Order]:
        evse = self.evses.get(fact.evse)
        if evse is not None:
            self.evses[fact.evse] = replace(evse, status=fact.status)
        return []

    def _session_changed(self, fact: SessionChanged) -> list[Order]:
        evse = self.evses.get(fact.evse)
        if evse is None or not fact.live:
            return []
        before, after = evse.session, state.session_changed(evse, fact)
        self.evses[fact.evse] = after
        if before is not None and after.session is None:
            return self._session_over(fact, evse)
        if after.session is None:
            return []
        if before is not None and before.transaction_id == after.session.transaction_id:
            return self._suspended(fact, before.charging_state)
        orders = self._session_over(fact, evse) if before is not None else []
        return [*orders, *self._session_begun(fact, after)]

    def _suspended(self, fact: SessionChanged, before: ChargingState | None) -> list[Order]:
        """A station that tells the pause of a car has told its current too: the last meter value is older (1.6 tells no new one)."""
        state_now, told_a = fact.charging_state, self.evses[fact.evse].drawn_a
        if state_now is before or state_now not in SUSPENDED or not told_a:
            return []
        return self._evse_measured(EvseMeasured(fact.at, fact.evse, (0.0, 0.0, 0.0), power_w=0.0))

    def _session_begun(self, fact: SessionChanged, evse: EvseState) -> list[Order]:
        assert evse.session is not None
        memory = self._memories.pop(str(fact.evse), None)
        if isinstance(memory, dict):
            session = state.session_recalled(evse.session, memory, fact.at, fact.evse)
            self.evses[fact.evse] = replace(evse, session=session)
        driver = self._drivers.pop(fact.evse, None)
        if driver is not None:
            self.evses[fact.evse] = state.driver_known(self.evses[fact.evse], driver)
        self.planner.ask()
        return [self._remember_session(fact.evse), *self._control(fact.at)]

    def _session_over(self, fact: SessionChanged, before: EvseState) -> list[Order]:
        key = fact.evse
        ended = self.actuator.session_ended(key, fact.at.mono_s)
        self.proof.left(before, fact.at.mono_s)
        self.meters.above.forget(key)
        self.turns.forget(key)
        self.grants.pop(key, None)
        orders: list[Order] = [Persist(0, remember={("session", str(key)): None}), self.reporter.session_point(before, fact.at)]
        orders += self.history.finished(before, fact.at, self.layout.voltage_v)
        if before.session is not None:
            self.explained.charged(before.session.started_wall_s, before.session.charged_wh, fact.at)
        orders += [*ended, *self.oversight.session_over(key), *self._announcer.released(key)]
        self.planner.ask()
        return [*orders, *self._control(fact.at)]

    def _remember_session(self, key: EvseKey) -> Order:
        session = self.evses[key].session
        return Persist(0, remember={("session", str(key)): state.session_memory(session) if session else None})

    def _evse_measured(self, fact: EvseMeasured) -> list[Order]:
        if fact.evse in self.evses:
            now, channel = fact.at.mono_s, self.actuator.channels[fact.evse]
            setpoint_a = channel.present_a(now)
            fact = self.proof.believed(fact, self.evses[fact.evse], setpoint_a)
            evse = self.evses[fact.evse]
            after = self.evses[fact.evse] = state.measured(evse, fact, self.layout.voltage_v, setpoint_a)
            self.proof.moved(evse, after, now)
            found = self.readings.chargers(self.evses, self.actuator.channels, fact.at, fact.evse.station_id)
            orders = self._take_readings(found) if found else []
            if self.meters.above.take(after, channel, now):
                return orders + self._cut(self._derived(now), fact.at)
            if evse.session is not None and after.session is not None and _worth_keeping(evse.session, after.session):
                return [*orders, self._remember_session(fact.evse)]
            return orders
        return []

    def _needs_announced(self, fact: NeedsAnnounced) -> list[Order]:
        evse = self.evses.get(fact.evse)
        if evse is None or evse.session is None:
            return []
        self.evses[fact.evse] = state.need_announced(evse, fact)
        self.planner.ask()
        return [self._remember_session(fact.evse)]

    def _need_stated(self, fact: NeedStated) -> list[Order]:
        evse = self.evses.get(fact.evse)
        if evse is None or evse.session is None:
            return []
        self.evses[fact.evse] = state.need_stated(evse, fact)
        self.planner.ask()
        return [self._remember_session(fact.evse)]

    def _driver_known(self, fact: DriverKnown) -> list[Order]:
        evse = self.evses.get(fact.evse)
        if evse is None:
            return []
        if evse.session is None or evse.session.transaction_id != fact.transaction_id:
            self._drivers[fact.evse] = fact  # the link may know the driver before the session is told
            return []
        self.evses[fact.evse] = state.driver_known(evse, fact)
        self.planner.ask()
        return [self._remember_session(fact.evse), *self._control(fact.at)]

    def _schedule_announced(self, fact: ScheduleAnnounced) -> list[Order]:
        evse = self.evses.get(fact.evse)
        if evse is None or evse.session is None:
            return []
        self.evses[fact.evse] = state.schedule_announced(evse, fact)
        return self._control(fact.at)

    def _features_learned(self, fact: FeaturesLearned) -> list[Order]:
        self.actuator.learned(fact)
        self.planner.ask()
        return []

    def _upstream_wished(self, fact: UpstreamWished) -> list[Order]:
        if fact.evse.evse_id == 0:
            first = self.layout.by_station.get(fact.evse.station_id, ())
            if first:
                self.station_wishes[fact.evse.station_id] = state.wished(EvseState(self.layout.places[first[0]]), fact)
        elif fact.evse in self.evses:
            self.evses[fact.evse] = state.wished(self.evses[fact.evse], fact)
        self.planner.ask()  # a plan made under the old wish would hold a car down long after it was lifted
        return self._control(fact.at)

    def _site_wished(self, fact: SiteWished) -> list[Order]:
        self.grid_wishes.wished(fact)
        self.planner.ask()
        wish = next((wish for wish in self.grid_wishes.now(fact.at.wall_s) if wish.face == fact.face and wish.limit_a is not None), None)
        amps = f": {told_limit(wish, self.layout.voltage_v)} for all its chargers" if wish is not None else ""
        text = f"{fact.reason} holds now{amps}" if fact.steps else "the CSMS wishes nothing of the whole site any more"
        told = self._once(f"wish {fact.face}", Severity.INFO, "site", text)
        return [*told, self.reporter.limits_order(self, fact.at), *self._control(fact.at, at_once=True)]

    def _grid_controlled(self, fact: GridControlled) -> list[Order]:
        self.grid_wishes.controlled(fact)
        self.planner.ask()
        orders: list[Order] = []
        if fact.evse == SITE:
            bound = "cars give back as the plan says" if fact.max_discharge_w is None else f"cars give back {fact.max_discharge_w:.0f} W at most"
            bound += "" if fact.part is None else f", battery and inverters {100 * fact.part:g} % of their rated output"
            orders = self._once(f"grid {fact.face}", Severity.INFO, "site", f"{fact.control or 'no DER control is in force any more'} - {bound}")
        return [*orders, *self._control(fact.at, at_once=True)]

    def _setpoint_answered(self, fact: SetpointAnswered) -> list[Order]:
        line = self.actuator.line(fact.evse)
        gave = line is not None and not line.giving_refused
        orders = self.actuator.answered(fact)
        if gave and line is not None and line.giving_refused:
            self.planner.ask()  # the plan counts on what this car will not give
        for key in self._meant(fact.evse):
            orders += self.oversight.tell(self.actuator.channels[key])
        return orders

    def _meant(self, key: EvseKey) -> tuple[EvseKey, ...]:
        """The EVSEs an answer is about: one, or all of a station that is commanded as one."""
        return self.layout.by_station.get(key.station_id, ()) if key.evse_id == 0 else (key,) if key in self.evses else ()

    def _floor_confirmed(self, fact: FloorConfirmed) -> list[Order]:
        channel = self.actuator.line(fact.evse)
        if channel is None:
            return []
        orders = self.actuator.floor_read(fact)
        if fact.number:
            return orders
        if fact.ok or channel.floor is not Floor.FAILED:
            self._told.pop(f"floor {fact.evse}", None)
            return [*orders, *self._control(fact.at)]
        text = f"{fact.evse} did not confirm its fallback of {channel.place.fallback_a:g} A ({fact.detail or 'no detail'}) - held to it, tried again"
        return [*orders, *self._once(f"floor {fact.evse}", Severity.WARNING, str(fact.evse), text)]

    # -- meters and the guard ----------------------------------------------------------------------------

    def _meter_read(self, fact: MeterRead) -> list[Order]:
        """The fast path: reading -> excess -> lowered setpoints, all in this call (P3)."""
        return self._take_readings(self.readings.read(fact))

    def _take_readings(self, found: list[Found]) -> list[Order]:
        """What a meter, and the meters worked out from it, said."""
        orders: list[Order] = []
        for one in found:
            if isinstance(one, MeterRead):
                orders += self._metered(one)
            else:
                self.meters.failed(one)
        return orders

    def _metered(self, fact: MeterRead) -> list[Order]:
        circuit = self.meters.read(fact, self.evses, self.actuator.channels)
        if circuit is None:
            return []
        now = fact.at.mono_s
        limits = self.limits.bounds(now)
        self.meters.estimate(circuit, self._draws(circuit, now), limits, now)
        orders = self._cut(self.meters.check_over(circuit, limits, now), fact.at)
        return orders + self._look_at_devices(fact.at) if circuit == ROOT_CIRCUIT else orders

    def _look_at_devices(self, at: Stamp) -> list[Order]:
        """Battery, inverters and relays. A defect there must not keep the guard from the cars."""
        if not self.devices.any:
            return []
        orders: list[Order] = self.planner.contained.run("battery and inverters", lambda: self.devices.look(self.pictures.take(self, at)), list)
        return orders

    def _device_read(self, fact: DeviceRead) -> list[Order]:
        return self.devices.read(fact)

    def _device_answered(self, fact: DeviceAnswered) -> list[Order]:
        return self.devices.answered(fact)

    def _derived(self, now: float) -> tuple[Excess, ...]:
        """Excesses of circuits that nobody measures, by what their stations say."""
        return self.meters.check_derived(self.limits.bounds(now), self.evses, self.actuator.channels, self._booked, now)

    def _cut(self, found: tuple[Excess, ...], at: Stamp) -> list[Order]:
        """Lower what loads a phase over its limit, at once; nothing there rises for a while."""
        if not found:
            return []
        for one in found:
            self.meters.hold(one.circuit, at.mono_s + HOLD_S)
        frozen = self._freeze(at)
        over = {row for one in found for row in self.budget.rows_over(one.circuit, one.phase)}
        return self._write(cut(frozen.rows, frozen.claims, over, self._pace), at)

    def _draws(self, circuit: str, now: float) -> dict[EvseKey, Draw]:
        channels = self.actuator.channels
        unused_s, volts = self.config.control.unused_after_s, self.layout.voltage_v
        return {key: draw_of(self.evses[key], channels[key], self._booked.get(key), now, unused_s, volts) for key in self.layout.below[circuit]}

    def _meter_failed(self, fact: MeterFailed) -> list[Order]:
        return self._take_readings(self.readings.failed(fact))

    # -- limits and sources --------------------------------------------------------------------------------

    def _limit_received(self, fact: LimitReceived) -> list[Order]:
        failsafe = self.limits.failsafe
        refusal = self.limits.receive(fact)
        subject = f"limit {fact.source}"
        if refusal is not None:
            orders = self._limit_repeated(fact, refusal.reason) if refusal.repeat else self._limit_answer(fact, refusal.reason)
            text = f"limit for {fact.circuit} from {fact.source} refused: {refusal.reason} - the limits in force stay; correct the sender"
            return orders if refusal.repeat else orders + self._once(f"refused {fact.source}", Severity.WARNING, subject, text)
        self._told.pop(f"refused {fact.source}", None)
        orders = self.keeping.remember({_limit_key(fact.source, fact.circuit): self.limits.memory(fact.source, fact.circuit)})
        if fact.value is None:
            text = f"{fact.source} withdrew its limit for {fact.circuit}"
        else:
            text = f"{fact.source} limits {fact.circuit} to {fact.value:g} {fact.unit.value}"
        orders += self._once(f"limit {fact.source}:{fact.circuit}", Severity.INFO, subject, text)
        if failsafe and not self.limits.failsafe:
            orders.append(_remember_failsafe(False))
        orders.append(self.reporter.limits_order(self, fact.at))
        self.planner.ask()
        return [*orders, *self._control(fact.at, at_once=True), *self._limit_answer(fact)]

    def _limit_repeated(self, fact: LimitReceived, reason: str) -> list[Order]:
        """The same word again changes nothing; whoever waits for the answer to a call made twice gets that of the first."""
        memory = self.limits.memory(fact.source, fact.circuit)
        if not fact.number or memory["value"] != fact.value:
            return self._limit_answer(fact, reason)
        return [*self.keeping.remember({_limit_key(fact.source, fact.circuit): memory}), *self._limit_answer(fact)]

    def _limit_answer(self, fact: LimitReceived, refusal: str = "") -> list[Order]:
        """For its sender: what is taken is acknowledged when it is on disk; until then ``limit/state`` only says what holds."""
        refused = _limit_said(fact, refusal or NOT_KEPT, holds=not refusal)
        answer = Answer(refused if refusal else _limit_said(fact), refused)
        return self.keeping.answer(_limit_key(fact.source, fact.circuit), answer, fact.at)

    def _stored(self, fact: Persisted | PersistFailed) -> list[Order]:
        """The journal has answered. Most of its answers are the link's."""
        return self.keeping.stored(fact) if fact.token < 0 else []

    def _signalled(self, fact: LimitStated | SignalBeat | FailsafeStated | ContactsRead | EventsTold) -> list[Order]:
        """A source of ``signals`` spoke."""
        return self._obey(self.outside.handle(fact), fact.at)

    def _obey(self, outcome: Outcome, at: Stamp) -> list[Order]:
        """A limit in force has changed: plan, tell and decide anew, at once."""
        if not outcome.changed:
            return outcome.orders
        self.planner.ask()
        self.reporter.hurry()
        return [*outcome.orders, self.reporter.limits_order(self, at), *self._control(at, at_once=True)]

    def export(self, at: Stamp) -> tuple[float, str] | None:
        """(most the grid connection may feed in [W], who says so) of signals and DER controls: the lowest; None = nobody says anything."""
        told, control = self.limits.export(at.mono_s), self.grid_wishes.export()
        bounds = [bound for bound in (told[:2] if told is not None else None, control) if bound is not None]
        return min(bounds, default=None)

    def _limit_refused(self, fact: LimitRefused) -> list[Order]:
        text = f"limit from {fact.source} refused: {fact.reason} - the limits in force stay; correct the sender"
        payload = {"source": fact.source, "reason": fact.reason, "payload": fact.payload[:200]}
        return [Publish("limit/refused", payload), *self._once(f"refused {fact.source}", Severity.WARNING, f"limit {fact.source}", text)]

    def _source_changed(self, fact: SourceChanged) -> list[Order]:
        before = self.sources.get(fact.source)
        self.sources[fact.source] = SourceNow(fact.healthy, fact.detail, fact.at.mono_s)
        if fact.source == BROKER:
            self.limits.broker(fact.healthy)
        self.outside.link(fact.source, fact.healthy, fact.at)
        if before is None and fact.healthy:
            return []
        if before is not None and before.healthy == fact.healthy:
            return []
        severity = Severity.INFO if fact.healthy else Severity.WARNING
        why = f" ({fact.detail})" if fact.detail else ""
        said = "is well again" if fact.healthy else f"is not well{why} - {without(self.config, fact.source)}"
        return [Tell(severity, fact.source, f"{fact.source} {said}")]

    def _restored(self, fact: Restored) -> list[Order]:
        orders: list[Order] = []
        for (space, name), memory in fact.memories.items():
            if space == "session":
                self._memories[name] = memory
            elif space == "limit" and isinstance(memory, dict):
                source, _, circuit = name.rpartition(":")
                self.limits.restore(source, circuit, memory, fact.at)
            elif space == "failsafe" and memory is not None:
                self.limits.restore_failsafe()
            elif space == SIGNAL_SPACE:
                orders += self.outside.restore(name, memory, fact.at)
            elif space == actuate.SPACE:
                self.actuator.recall(name, memory)
            elif space == oversight.SPACE:
                self.oversight.recall(name, memory)
            elif space == "peak" and isinstance(memory, dict):
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
        return orders

    def _series_told(self, fact: SeriesTold) -> list[Order]:
        """Prices or a forecast came: planned with from the next plan on."""
        run, before = self.planner.contained.run, self.series.foreseen
        orders: list[Order] = run("taking a series", lambda: self.series.told(fact), list)
        if self.series.foreseen is not before:  # laid anew
            self.planner.books = self.series.books
            self.planner.ask()
        return orders + self.planner.contained.tell()

    # -- plans ------------------------------------------------------------------------------------------------

    def _plan_solved(self, fact: PlanSolved) -> list[Order]:
        contained = self.planner.contained
        if contained.run("rehearsing", lambda: self.rehearsals.solved(fact.plan), lambda: False):
            return contained.tell()
        orders: list[Order] = contained.run("taking a plan", lambda: self._take_plan(fact), list)
        return orders + contained.tell()

    def _take_plan(self, fact: PlanSolved) -> list[Order]:
        refused = self.planner.refused
        orders = self.planner.solved(fact.plan, fact.at)
        if self.planner.plan is fact.plan:
            self.explained.planned(fact.plan, fact.at)
        elif self.planner.refused > refused:
            self.explained.failed(fact.at)
        self.planner.prepare(self.evses, self.actuator.channels, fact.at)
        return orders

    def _plan_failed(self, fact: PlanFailed) -> list[Order]:
        if self.rehearsals.failed(fact.created_wall_s, fact.at):
            return []
        self.explained.failed(fact.at)
        return self.planner.failed(fact.reason, fact.at)

    def _notice_steps(self, at: Stamp) -> list[Order]:
        """A step of the CSMS's schedule that begins now asks for a new plan: the old one was made with the step before. One for all is told."""
        for key, evse in self.evses.items():
            if len(evse.wish) > 1:
                step, _ = evse.wish_step(at.wall_s)
                if self._wish_steps.get(key, step) != step:
                    self.planner.ask()
                self._wish_steps[key] = step
        if not self.grid_wishes.step_changed(at.wall_s):
            return []
        self.planner.ask()
        return [self.reporter.limits_order(self, at)]

    def _plan(self, at: Stamp) -> list[Order]:
        orders: list[Order] = self._notice_steps(at)
        orders += self.series.tick(at)
        closed = self.peak.add(self.meters.grid_power_w(), at.wall_s)
        self.planner.window_import_wh = self.peak.window_import_wh(at.wall_s)
        if closed:
            orders.append(Persist(0, remember={("peak", "grid"): self.peak.memory()}))
        if self.planner.overdue(at):
            self.explained.failed(at)
            orders += self.planner.failed("no answer from the solver", at)
        self.planner.refresh(at)
        run = self.planner.contained.run
        orders += run("what limits cost", lambda: self._explain(at), list)
        self.planner.prepare(self.evses, self.actuator.channels, at)
        run("learning habits", lambda: self.history.learn(at), lambda: NOTHING_LEARNT)
        if not self.planner.due(at):
            return orders + run("rehearsing", lambda: self._rehearse(at), list)
        inputs = self._plan_inputs(at)
        pv_w = None if self.devices.holds_sun() else inputs.pv_w
        orders += run("learning the usual day", lambda: self.days.seen(building_w(self.layout, inputs), pv_w, at), list)
        return orders + self.planner.order(inputs, at)

    def _rehearse(self, at: Stamp) -> list[Order]:
        """Find out which peak is worth paying for, while no plan is on its way."""
        if self.config.control.energy_first or self.planner.waiting or not self.rehearsals.due(self.peak, at):
            return []
        inputs = replace(self._plan_inputs(at), books=self.planner.books)
        return self.rehearsals.look(inputs, self.history.sessions, self.peak, at)

    def _explain(self, at: Stamp) -> list[Order]:
        """Time passes under the plan in force, if any."""
        in_force = self.planner.usable(at)
        return self.explained.passed(self.planner.plan if in_force else None, self.planner.problem if in_force else None, at)

    def _plan_inputs(self, at: Stamp) -> PlanInputs:
        now, pv_w, battery = at.mono_s, self.meters.side_power_w("pv"), self.config.battery
        made_w = max(0.0, -pv_w) if pv_w is not None else None
        return PlanInputs(
            self.evses,
            self.meters.loads(now),
            self.limits.planned(at),
            {name: one.wish for name, one in self.station_wishes.items() if one.wish},
            self._booked,
            made_w,
            self._battery_w(now),
            self.devices.soc_percent(self.meters.soc_percent()),
            self.peak.peak_w,
            self.features,
            frozenset(key for key, channel in self.actuator.channels.items() if channel.giving_refused or not self._may_give),
            self.peak.window_import_wh(at.wall_s),
            self.history.learnt,
            self.days.load,
            self.days.sun,
            worthwhile_w=self.rehearsals.worthwhile_w,
            period_left_s=self.peak.ends_wall_s(at.wall_s) - at.wall_s,
            faces=(*self.grid_wishes.plans(), *self.limits.sums(at, HORIZON_S, self.layout)),
            give_bounds=self.grid_wishes.giving(),
            ahead=(*self.limits.ahead(at, HORIZON_S), *self.grid_wishes.ahead(at.wall_s)),
            foreseen=self.series.foreseen,
            sun_w=self.devices.free_sun_w(made_w, now),
            sun_fixed=bool(self.config.inverters) and not self.devices.can_curtail(now),
            battery_can=self.devices.battery_power(battery) if battery is not None and self.devices.battery_obeys(now) else None,
        )

    def _battery_w(self, now: float) -> float | None:
        """What the stationary battery carries [W], charging positive."""
        return self.devices.battery_w(self.meters.side_power_w("battery"), now)

    def _commanded_battery(self, now: float) -> BatteryNow | None:
        """What a battery of ours carries and holds, whoever tells it: its meter, else itself."""
        if not self.devices.commands_battery:
            return None
        return BatteryNow(self._battery_w(now), self.devices.soc_percent(self.meters.soc_percent()))

    # -- time: the arbiter ----------------------------------------------------------------------------------------

    def _time_passed(self, fact: TimePassed) -> list[Order]:
        at, now = fact.at, fact.at.mono_s
        self.actuator.writes.clock(now, at.wall_s)
        orders = self._limits_ended(at)
        orders += self.keeping.look(at)
        orders += self._obey(self.outside.look(at), at)
        orders += self._take_readings(self.readings.chargers(self.evses, self.actuator.channels, at))
        orders += self.meters.look(now, at.wall_s, at.wall_speed, self._commanded_battery(now))
        orders += self.proof.tick(now)
        orders += self._cut(self._derived(now), at)
        orders += self.meters.tell_over(now)
        orders += self.oversight.look(self.evses, self.meters.lasting(now), at)
        orders += self.actuator.tick(now)
        orders += self._control(at, at_once=True)
        self.pictures.decided(self)
        orders += self._look_at_devices(at)
        run = self.planner.contained.run
        orders += run("planning", lambda: self._plan(at), list)
        orders += run("what the page and history are told", lambda: self.reporter.tick(self, at), list)
        orders += run("what the CSMS is told of the site", lambda: self._news.look(self, at), list)
        return orders + self.planner.contained.tell()

    @property
    def _may_give(self) -> bool:
        """A slow meter keeps its margin; without one, or with a station that obeys nobody, nothing is given back."""
        return self.mode.mode in (Mode.NORMAL, Mode.DEGRADED)

    def _limits_ended(self, at: Stamp) -> list[Order]:
        orders: list[Order] = []
        before = self.limits.failsafe
        for limit in self.limits.expire(at.mono_s):
            orders += self.keeping.remember({_limit_key(limit.source, limit.circuit): self.limits.memory(limit.source, limit.circuit)})
            self._told.pop(f"limit {limit.source}:{limit.circuit}", None)
            orders.append(Tell(Severity.INFO, f"limit {limit.source}", f"the limit of {limit.source} for {limit.circuit} has ended"))
            self.planner.ask()
        if self.limits.failsafe and not before:
            amps = self.config.limits.failsafe_a
            text = f"broker lost and the last limit has ended - site held to {amps:g} A until a new limit comes; check the broker"
            orders += [Tell(Severity.ALARM, "limit mqtt", text), _remember_failsafe(True)]
        return [*orders, self.reporter.limits_order(self, at)] if orders else []

    def _control(self, at: Stamp, at_once: bool = False) -> list[Order]:
        """Freeze, decide, write. Events in quick succession share one decision."""
        if not at_once and at.mono_s - self._controlled_mono_s < CONTROL_GAP_S:
            return []
        self._controlled_mono_s = at.mono_s
        frozen = self._freeze(at)
        self._booked, self.frozen = frozen.booked_a, frozen
        grants = decide(frozen.rows, frozen.claims, self._pace)
        self._fleet.seen(frozen.claims, grants, frozen.rows, self.evses, self.layout.voltage_v)
        self.turns.take(grants, at.mono_s)
        self.evses.update(self._switcher.look(self.budget, frozen, grants, self.evses, self.actuator.channels))
        self.grants = {grant.key: grant for grant in grants}
        return [*self._judge_mode(at), *self._write(grants, at), *self._announcer.look(grants, self.evses, at.wall_s)]

    def _freeze(self, at: Stamp) -> SiteState:
        now = at.mono_s
        if self.devices.commands_battery:
            self.limits.battery_charging_w = self.devices.charging_w(self._battery_w(now), now)
        self.meters.rising_a = self.devices.kept_w(self._battery_w(now), now) / (self.layout.voltage_v * self.pictures.phase_count)
        limits = self.limits.bounds(now)
        wishes = {name: (*one.wish_step(at.wall_s), one.wish_reason or "upstream profile") for name, one in self.station_wishes.items()}
        inputs = Inputs(
            at,
            self.evses,
            self.meters.loads(now, self._booked.keys() | self.meters.above.grave),
            limits.phase,
            {
                name: StationWish(step.limit_a, why, ends)
                for name, (step, ends, why) in wishes.items()
                if step is not None and step.limit_a is not None
            },
            self.planner.targets(self.evses, at),
            self.turns.of,
            self.escalation.paused,
            self.escalation.disobeying | self.meters.above.grave,
            self.turns.lifted,
            self.actuator.features,
            self._may_give,
            (*self.grid_wishes.now(at.wall_s), *self.limits.faces(now, self.layout)),
            self.grid_wishes.of_evses(),
            self.export(at),
            limits.total,
        )
        targets = dict(inputs.targets)
        if any(face.setpoint_w is not None for face in inputs.faces):
            targets |= fleet_targets(self._fleet, inputs, self.actuator, self.budget)
        inputs = replace(inputs, targets=self.proof.claims.capped(self.commissioning.targets(targets, now)))
        return self.commissioning.narrow(self.budget.freeze(inputs))

    def _write(self, grants: tuple[Grant, ...], at: Stamp) -> list[Order]:
        for grant in grants:
            self.grants[grant.key] = grant
        orders = self.actuator.write(grants, at, {grant.key: self.evses[grant.key].phases for grant in grants})
        self.proof.sent(orders, at.mono_s)
        return orders

    def _judge_mode(self, at: Stamp) -> list[Order]:
        unfit = waiting_circuits(self.turns.of, self.evses)
        mode = self.meters.mode(at.mono_s, unfit, self.escalation.blocked)
        before, self.mode = self.mode, mode
        if mode.mode is before.mode:
            return []
        severity = {Mode.NORMAL: Severity.INFO, Mode.DEGRADED: Severity.WARNING}.get(mode.mode, Severity.ALARM)
        text = f"site is in {mode.mode.value} mode" + (f": {mode.reason}" if mode.reason else "")
        self.reporter.hurry()
        self.planner.ask()  # a plan made with the loads of another mode would hold cars down long after a meter is back
        return [Tell(severity, "site", text)]

    def _metered_a(self, circuit: str) -> PhaseAmps | None:
        """Currents of a circuit's meter [A], None unless it is believed."""
        watch = self.meters.watches.get(self.layout.circuits[circuit].meter or "")
        return watch.currents_a if watch is not None and watch.health is Health.GOOD else None

    def _once(self, topic: str, severity: Severity, subject: str, text: str) -> list[Order]:
        """Tell a change of state, not its continuation (house rule 20)."""
        if self._told.get(topic) == text:
            return []
        self._told[topic] = text
        return [Tell(severity, subject, text)]


def _worth_keeping(before: state.Session, after: state.Session) -> bool:
    """Without its base a restart would count the session from 0, and a car would not get back what it gave."""
    return before.base_wh is None is not after.base_wh or before.given_wh // GIVEN_STEP_WH != after.given_wh // GIVEN_STEP_WH


def _remember_failsafe(holds: bool) -> Order:
    return Persist(0, remember={("failsafe", BROKER): {"holds": True} if holds else None})


def _limit_key(source: str, circuit: str) -> tuple[str, str]:
    return "limit", f"{source}:{circuit}"


def _limit_said(fact: LimitReceived, reason: str = "", holds: bool = True) -> tuple[Order, ...]:
    """What the sender of a limit is told, over the broker and, where it waits for it, in its own way. reason: why not."""
    payload = {"source": fact.source, "circuit": fact.circuit, "value": fact.value, "unit": fact.unit.value, "sequence": fact.sequence}
    told: Order = Publish(fact.reply_topic or "limit/refused", payload | {"reason": reason}) if reason else Publish("limit/accepted", payload)
    return (told, AnswerLimit(fact.number, not reason, holds, reason)) if fact.number else (told,)
