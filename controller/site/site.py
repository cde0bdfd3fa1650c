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

from controller.config import Config
from controller.facts import (
    EvseKey,
    EvseMeasured,
    EvseStatusChanged,
    Fact,
    FloorConfirmed,
    LimitReceived,
    LimitRefused,
    MeterFailed,
    MeterRead,
    NeedsAnnounced,
    NeedStated,
    PlanFailed,
    PlanSolved,
    Restored,
    SessionChanged,
    SetpointAnswered,
    SetpointInForce,
    SourceChanged,
    Stamp,
    StationOffline,
    StationOnline,
    TimePassed,
    UpstreamWished,
)
from controller.orders import Order, Persist, Publish, SetAvailable, Severity, Tell
from controller.site import state
from controller.site.actuate import Actuator, Channel, Floor
from controller.site.arbiter import EPS, WAITING, Grant, Pace, decide
from controller.site.budget import REST_S, Budget, Inputs, SiteState, StationWish, Turn, draw_of
from controller.site.charger import ChargerModel
from controller.site.freshness import Mode
from controller.site.guard import HOLD_S, Escalation, Step, cut
from controller.site.health import MeterRoom, ModeNow
from controller.site.limits import BROKER, LimitStore
from controller.site.otherload import Draw
from controller.site.planning import PeakMeter, PlanInputs, Planner
from controller.site.reports import Reporter, SourceNow
from controller.site.state import EvseState, layout_of
from controller.snapshot import SiteView

CONTROL_GAP_S = 0.2
"""Events closer together than this share one decision; the tick takes the rest [s]."""


class Site:
    """Everything about watts. ``handle`` takes facts in the order they happened."""

    def __init__(self, config: Config, models: Mapping[str, ChargerModel]) -> None:
        self.config = config
        self.layout = layout_of(config, models)
        self.evses: dict[EvseKey, EvseState] = {key: EvseState(place) for key, place in self.layout.places.items()}
        self.actuator = Actuator(self.layout, config.control)
        self.limits = LimitStore(config)
        self.meters = MeterRoom(config, self.layout)
        self.escalation = Escalation()
        self.planner = Planner(config, self.layout)
        self.peak = PeakMeter(config.tariff.demand_window_days * 86_400.0)
        self.sources: dict[str, SourceNow] = {}
        self.mode = ModeNow(Mode.FAILSAFE, "starting") if self.meters.watches else ModeNow(Mode.NORMAL, "")
        self.grants: dict[EvseKey, Grant] = {}
        self.station_wishes: dict[str, EvseState] = {}
        self._turns: dict[EvseKey, Turn] = {}
        self._booked: Mapping[EvseKey, float] = {}
        self._memories: dict[str, Any] = {}
        self._told: dict[str, str] = {}
        self._budget = Budget(self.layout, self.actuator, config.control)
        self._pace = Pace(config.control.ramp_up_a_per_s, config.control.dead_band_a)
        self._reporter = Reporter(config, self.layout)
        self._controlled_mono_s = float("-inf")
        self._handlers: dict[type[Fact], Callable[[Any], list[Order]]] = {
            TimePassed: self._time_passed,
            Restored: self._restored,
            StationOnline: self._station_online,
            StationOffline: self._station_offline,
            EvseStatusChanged: self._status_changed,
            SessionChanged: self._session_changed,
            EvseMeasured: self._evse_measured,
            NeedsAnnounced: self._needs_announced,
            NeedStated: self._need_stated,
            UpstreamWished: self._upstream_wished,
            SetpointAnswered: self._setpoint_answered,
            FloorConfirmed: self._floor_confirmed,
            MeterRead: self._meter_read,
            MeterFailed: self._meter_failed,
            LimitReceived: self._limit_received,
            LimitRefused: self._limit_refused,
            SourceChanged: self._source_changed,
            PlanSolved: self._plan_solved,
            PlanFailed: self._plan_failed,
        }

    def handle(self, fact: Fact) -> list[Order]:
        """Orders that follow from a fact; facts about messages are none of the site's business."""
        handler = self._handlers.get(type(fact))
        return handler(fact) if handler is not None else []

    def view(self, at: Stamp) -> SiteView:
        """The site half of the picture."""
        return self._reporter.view(self, at)

    def in_force(self, key: EvseKey, at: Stamp) -> SetpointInForce | None:
        """What an EVSE has accepted, for answers about profiles."""
        return self.actuator.in_force(key, at) if key in self.evses else None

    # -- stations ------------------------------------------------------------------------------------

    def _station_online(self, fact: StationOnline) -> list[Order]:
        return self.actuator.online(fact.station_id, fact.at.mono_s)

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
        if after.session is None or (before is not None and before.transaction_id == after.session.transaction_id):
            return []
        orders = self._session_over(fact, evse) if before is not None else []
        return [*orders, *self._session_begun(fact, after)]

    def _session_begun(self, fact: SessionChanged, evse: EvseState) -> list[Order]:
        assert evse.session is not None
        memory = self._memories.pop(str(fact.evse), None)
        if isinstance(memory, dict):
            session = state.session_recalled(evse.session, memory, fact.at)
            self.evses[fact.evse] = replace(evse, session=session)
        self.planner.ask()
        return [self._remember_session(fact.evse), *self._control(fact.at)]

    def _session_over(self, fact: SessionChanged, before: EvseState) -> list[Order]:
        key = fact.evse
        self.actuator.session_ended(key)
        self._turns.pop(key, None)
        self.grants.pop(key, None)
        orders: list[Order] = [Persist(0, remember={("session", str(key)): None}), self._reporter.session_point(before, fact.at)]
        if self.escalation.forget(key):
            orders += [SetAvailable(key, True), Tell(Severity.INFO, str(key), f"{key} is available again: its session is over")]
        self.planner.ask()
        return [*orders, *self._control(fact.at)]

    def _remember_session(self, key: EvseKey) -> Order:
        session = self.evses[key].session
        return Persist(0, remember={("session", str(key)): state.session_memory(session) if session else None})

    def _evse_measured(self, fact: EvseMeasured) -> list[Order]:
        evse = self.evses.get(fact.evse)
        if evse is not None:
            offer_a = self.actuator.channels[fact.evse].present_a(fact.at.mono_s)
            after = self.evses[fact.evse] = state.measured(evse, fact, self.layout.voltage_v, offer_a)
            if evse.session is not None and after.session is not None and evse.session.base_wh is None is not after.session.base_wh:
                return [self._remember_session(fact.evse)]  # without its base a restart would count the session from 0
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

    def _upstream_wished(self, fact: UpstreamWished) -> list[Order]:
        if fact.evse.evse_id == 0:
            first = self.layout.by_station.get(fact.evse.station_id, ())
            if first:
                self.station_wishes[fact.evse.station_id] = state.wished(EvseState(self.layout.places[first[0]]), fact)
        elif fact.evse in self.evses:
            self.evses[fact.evse] = state.wished(self.evses[fact.evse], fact)
        return self._control(fact.at)

    def _setpoint_answered(self, fact: SetpointAnswered) -> list[Order]:
        channel = self.actuator.channels.get(fact.evse)
        if channel is None:
            return []
        orders = self.actuator.answered(fact)
        return [*orders, *self._tell_control(channel)]

    def _tell_control(self, channel: Channel) -> list[Order]:
        """Say once when an EVSE is out of control, and once when it is back (F04, F05)."""
        key, topic = channel.place.key, f"control {channel.place.key}"
        if channel.uncontrollable and topic not in self._told:
            amps = channel.place.config.max_current_a
            text = f"{key} takes no setpoints ({channel.last_reason or 'no reason given'}) - {amps:g} A kept free for it; check the charger model"
            return self._once(topic, Severity.ALARM, str(key), text)
        if not channel.uncontrollable and self._told.pop(topic, ""):
            return [Tell(Severity.INFO, str(key), f"{key} takes setpoints again")]
        return []

    def _floor_confirmed(self, fact: FloorConfirmed) -> list[Order]:
        channel = self.actuator.channels.get(fact.evse)
        if channel is None:
            return []
        self.actuator.floor_read(fact)
        if fact.ok or channel.floor is not Floor.FAILED:
            self._told.pop(f"floor {fact.evse}", None)
            return self._control(fact.at)
        text = f"{fact.evse} did not confirm its fallback of {channel.place.fallback_a:g} A ({fact.detail or 'no detail'}) - held to it, tried again"
        return self._once(f"floor {fact.evse}", Severity.WARNING, str(fact.evse), text)

    # -- meters and the guard ----------------------------------------------------------------------------

    def _meter_read(self, fact: MeterRead) -> list[Order]:
        """The fast path: reading -> excess -> lowered setpoints, all in this call (P3)."""
        circuit = self.meters.read(fact, self.evses)
        if circuit is None:
            return []
        now = fact.at.mono_s
        limit = self.limits.smallest(now).get(circuit)
        self.meters.estimate(circuit, self._draws(circuit, now), limit)
        found = self.meters.check_over(circuit, limit, now)
        if not found:
            return []
        self.meters.hold(circuit, now + HOLD_S)
        frozen = self._freeze(fact.at)
        over = {self._budget.row_of(one.circuit, one.phase) for one in found}
        return self._write(cut(frozen.rows, frozen.claims, over, self._pace), fact.at)

    def _draws(self, circuit: str, now: float) -> dict[EvseKey, Draw]:
        channels = self.actuator.channels
        return {key: draw_of(self.evses[key], channels[key], self._booked.get(key), now) for key in self.layout.below[circuit]}

    def _meter_failed(self, fact: MeterFailed) -> list[Order]:
        self.meters.failed(fact)
        return []

    # -- limits and sources --------------------------------------------------------------------------------

    def _limit_received(self, fact: LimitReceived) -> list[Order]:
        failsafe = self.limits.failsafe
        refusal = self.limits.receive(fact)
        subject = f"limit {fact.source}"
        if refusal is not None:
            orders: list[Order] = [Publish(fact.reply_topic or "limit/refused", _refused(fact, refusal.reason))]
            text = f"limit for {fact.circuit} from {fact.source} refused: {refusal.reason} - the limits in force stay; correct the sender"
            return orders if refusal.repeat else orders + self._once(f"refused {fact.source}", Severity.WARNING, subject, text)
        self._told.pop(f"refused {fact.source}", None)
        orders = [Persist(0, remember={("limit", f"{fact.source}:{fact.circuit}"): self.limits.memory(fact.source, fact.circuit)})]
        if fact.value is None:
            text = f"{fact.source} withdrew its limit for {fact.circuit}"
        else:
            text = f"{fact.source} limits {fact.circuit} to {fact.value:g} {fact.unit.value}"
        orders += self._once(f"limit {fact.source}:{fact.circuit}", Severity.INFO, subject, text)
        if failsafe and not self.limits.failsafe:
            orders.append(_remember_failsafe(False))
        orders.append(self._reporter.limits_order(self, fact.at))
        self.planner.ask()
        return [*orders, *self._control(fact.at, at_once=True)]

    def _limit_refused(self, fact: LimitRefused) -> list[Order]:
        text = f"limit from {fact.source} refused: {fact.reason} - the limits in force stay; correct the sender"
        payload = {"source": fact.source, "reason": fact.reason, "payload": fact.payload[:200]}
        return [Publish("limit/refused", payload), *self._once(f"refused {fact.source}", Severity.WARNING, f"limit {fact.source}", text)]

    def _source_changed(self, fact: SourceChanged) -> list[Order]:
        before = self.sources.get(fact.source)
        self.sources[fact.source] = SourceNow(fact.healthy, fact.detail, fact.at.mono_s)
        if fact.source == BROKER:
            self.limits.broker(fact.healthy)
        if before is None and fact.healthy:
            return []
        if before is not None and before.healthy == fact.healthy:
            return []
        severity = Severity.INFO if fact.healthy else Severity.WARNING
        why = f" ({fact.detail})" if fact.detail else ""
        said = "is well again" if fact.healthy else f"is not well{why} - charging goes on, it does not depend on it"
        return [Tell(severity, fact.source, f"{fact.source} {said}")]

    def _restored(self, fact: Restored) -> list[Order]:
        for (space, name), memory in fact.memories.items():
            if space == "session":
                self._memories[name] = memory
            elif space == "limit" and isinstance(memory, dict):
                source, _, circuit = name.rpartition(":")
                self.limits.restore(source, circuit, memory, fact.at)
            elif space == "failsafe" and memory is not None:
                self.limits.restore_failsafe()
            elif space == "peak" and isinstance(memory, dict):
                self.peak.recall(memory, fact.at.wall_s)
        return []

    # -- plans ------------------------------------------------------------------------------------------------

    def _plan_solved(self, fact: PlanSolved) -> list[Order]:
        return self.planner.solved(fact.plan, fact.at)

    def _plan_failed(self, fact: PlanFailed) -> list[Order]:
        return self.planner.failed(fact.reason, fact.at)

    def _plan(self, at: Stamp) -> list[Order]:
        orders: list[Order] = []
        if self.peak.add(self.meters.grid_power_w(), at.wall_s):
            orders.append(Persist(0, remember={("peak", "grid"): {"peak_w": self.peak.peak_w, "since_wall_s": self.peak.since_wall_s}}))
        if self.planner.overdue(at):
            orders += self.planner.failed("no answer from the solver", at)
        self.planner.refresh(at)
        if not self.planner.due(at):
            return orders
        now, pv_w = at.mono_s, self.meters.side_power_w("pv")
        inputs = PlanInputs(
            self.evses,
            self.meters.loads(now),
            self.limits.in_force(now),
            {name: one.wish for name, one in self.station_wishes.items() if one.wish},
            self._booked,
            max(0.0, -pv_w) if pv_w is not None else None,
            self.meters.side_power_w("battery"),
            self.meters.soc_percent(),
            self.peak.peak_w,
        )
        return orders + self.planner.order(inputs, at)

    # -- time: the arbiter ----------------------------------------------------------------------------------------

    def _time_passed(self, fact: TimePassed) -> list[Order]:
        at, now = fact.at, fact.at.mono_s
        orders = self._limits_ended(at)
        orders += self.meters.look(now, at.wall_s)
        orders += self.meters.tell_over(now)
        orders += self._escalate(at)
        orders += self.actuator.tick(now)
        for channel in self.actuator.channels.values():
            orders += self._tell_control(channel)
        orders += self._control(at, at_once=True)
        orders += self._plan(at)
        return orders + self._reporter.tick(self, at)

    def _limits_ended(self, at: Stamp) -> list[Order]:
        orders: list[Order] = []
        before = self.limits.failsafe
        for limit in self.limits.expire(at.mono_s):
            key = ("limit", f"{limit.source}:{limit.circuit}")
            orders.append(Persist(0, remember={key: self.limits.memory(limit.source, limit.circuit)}))
            self._told.pop(f"limit {limit.source}:{limit.circuit}", None)
            orders.append(Tell(Severity.INFO, f"limit {limit.source}", f"the limit of {limit.source} for {limit.circuit} has ended"))
            self.planner.ask()
        if self.limits.failsafe and not before:
            amps = self.config.limits.failsafe_a
            text = f"broker lost and the last limit has ended - site held to {amps:g} A until a new limit comes; check the broker"
            orders += [Tell(Severity.ALARM, "limit mqtt", text), _remember_failsafe(True)]
        return [*orders, self._reporter.limits_order(self, at)] if orders else []

    def _control(self, at: Stamp, at_once: bool = False) -> list[Order]:
        """Freeze, decide, write. Events in quick succession share one decision."""
        if not at_once and at.mono_s - self._controlled_mono_s < CONTROL_GAP_S:
            return []
        self._controlled_mono_s = at.mono_s
        frozen = self._freeze(at)
        self._booked = frozen.booked_a
        grants = decide(frozen.rows, frozen.claims, self._pace)
        self._take_turns(grants, at.mono_s)
        self.grants = {grant.key: grant for grant in grants}
        return [*self._judge_mode(at), *self._write(grants, at)]

    def _freeze(self, at: Stamp) -> SiteState:
        now = at.mono_s
        wishes = {name: (one.wish_now(at.wall_s), one.wish_reason) for name, one in self.station_wishes.items()}
        inputs = Inputs(
            at,
            self.evses,
            self.meters.loads(now),
            self.limits.smallest(now),
            {name: StationWish(amps, reason or "upstream profile") for name, (amps, reason) in wishes.items() if amps is not None},
            self.planner.targets(self.evses, self.actuator.channels, at),
            self._turns,
            self.escalation.paused,
            self.escalation.disobeying,
        )
        return self._budget.freeze(inputs)

    def _write(self, grants: tuple[Grant, ...], at: Stamp) -> list[Order]:
        orders: list[Order] = []
        for grant in grants:
            self.grants[grant.key] = grant
            phase_count = len(self.layout.places[grant.key].phases)
            order = self.actuator.setpoint(grant.key, grant.limit_a, grant.reason, phase_count, at)
            if order is not None:
                orders.append(order)
        return orders

    def _take_turns(self, grants: tuple[Grant, ...], now: float) -> None:
        for grant in grants:
            turn = self._turns.get(grant.key)
            served = grant.limit_a > EPS
            if served and (turn is None or not turn.served):
                self._turns[grant.key] = Turn(True, now)
            elif not served and grant.waiting and (turn is None or turn.served):
                rest_until_mono_s = now + REST_S if turn is not None else now
                self._turns[grant.key] = Turn(False, now, rest_until_mono_s, grant.reason.removeprefix(WAITING))
            elif not served and not grant.waiting and turn is not None and turn.served:
                self._turns.pop(grant.key)

    def _judge_mode(self, at: Stamp) -> list[Order]:
        unfit = {name for key, turn in self._turns.items() if not turn.served for name in self.layout.places[key].path}
        mode = self.meters.mode(at.mono_s, unfit, self.escalation.blocked)
        before, self.mode = self.mode, mode
        if mode.mode is before.mode:
            return []
        severity = {Mode.NORMAL: Severity.INFO, Mode.DEGRADED: Severity.WARNING}.get(mode.mode, Severity.ALARM)
        text = f"site is in {mode.mode.value} mode" + (f": {mode.reason}" if mode.reason else "")
        self._reporter.hurry()
        self.planner.ask()  # a plan made with the loads of another mode would hold cars down long after a meter is back
        return [Tell(severity, "site", text)]

    def _escalate(self, at: Stamp) -> list[Order]:
        orders: list[Order] = []
        over = set(self.meters.over)
        for key, evse in self.evses.items():
            if evse.session is None:
                continue
            channel = self.actuator.channels[key]
            above = any(name in over for name in evse.place.path)
            steps = self.escalation.look(channel, evse.drawn_a, evse.measured_mono_s, above, at.mono_s)
            if steps is None:
                orders.append(Tell(Severity.INFO, str(key), f"{key} follows its setpoint again"))
                continue
            for step in steps:
                orders += self._escalation_step(key, evse.drawn_a or 0.0, step, at)
        return orders

    def _escalation_step(self, key: EvseKey, drawn_a: float, step: Step, at: Stamp) -> list[Order]:
        limit_a = self.actuator.channels[key].known_a(at.mono_s)
        draws = f"{key} draws {drawn_a:.0f} A with a setpoint of {limit_a:.0f} A"
        if step is Step.RESENT:
            self.actuator.channels[key].resend = True
            return [Tell(Severity.WARNING, str(key), f"{draws} - sent again, its current is kept free for it")]
        if step is Step.PAUSED:
            return [Tell(Severity.WARNING, str(key), f"{draws} - told to pause")]
        if step is Step.BLOCKED:
            self.escalation.blocked.add(key)
            return [SetAvailable(key, False), Tell(Severity.ALARM, str(key), f"{draws} - made unavailable")]
        return [Tell(Severity.ALARM, str(key), f"{draws} and obeys nothing - switch it off at its breaker and call service")]

    def _once(self, topic: str, severity: Severity, subject: str, text: str) -> list[Order]:
        """Tell a change of state, not its continuation (house rule 20)."""
        if self._told.get(topic) == text:
            return []
        self._told[topic] = text
        return [Tell(severity, subject, text)]


def _remember_failsafe(holds: bool) -> Order:
    return Persist(0, remember={("failsafe", BROKER): {"holds": True} if holds else None})


def _refused(fact: LimitReceived, reason: str) -> dict[str, Any]:
    return {"source": fact.source, "circuit": fact.circuit, "value": fact.value, "unit": fact.unit.value, "sequence": fact.sequence, "reason": reason}
