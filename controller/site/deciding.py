"""One decision about every EVSE: freeze what is known, decide, write the setpoints.

Two ways lead here. ``control`` is the arbiter's: each tick and each event that matters, several in quick succession as one. ``cut`` is the
guard's: inside the call that read the meter, only lowering. Both freeze the same picture, so that neither counts a car the other forgets.
Kept here is what outlasts a decision: the grants, turns, what is booked for each EVSE, and the mode the site is in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.facts import EvseKey, Stamp
from controller.orders import Order, Severity, Tell
from controller.site.guard import HOLD_S, Excess, cut
from controller.site.meters.freshness import Mode
from controller.site.meters.health import ModeNow
from controller.site.sharing.arbiter import Grant, Pace, decide
from controller.site.sharing.budget import Budget, Inputs, SiteState, StationWish
from controller.site.sharing.fleet import Fleet, fleet_targets
from controller.site.sharing.turns import Turns, waiting_circuits
from controller.site.stations.switching import Switcher
from controller.site.telling.announcing import Announcer

if TYPE_CHECKING:
    from controller.site.site import Site

CONTROL_GAP_S = 0.2
"""Events closer together than this share one decision; the tick takes the rest [s]."""


class Deciding:
    """Freeze, decide, write. frozen: what the last decision was made of. booked_a: what each EVSE was counted with then, per phase."""

    def __init__(self, site: Site) -> None:
        self._site = site
        control = site.config.control
        self.turns = Turns(control.turn_s)
        self.budget = Budget(site.layout, site.actuator, control)
        self.announcer = Announcer()
        self.grants: dict[EvseKey, Grant] = {}
        self.booked_a: Mapping[EvseKey, float] = {}
        self.frozen: SiteState | None = None
        self.mode = ModeNow(Mode.FAILSAFE, "starting") if site.meters.watches else ModeNow(Mode.NORMAL, "")
        self._fleet = Fleet()
        self._switcher = Switcher(site.layout, control)
        self._pace = Pace(control.ramp_up_a_per_s, control.dead_band_a)
        self._controlled_mono_s = float("-inf")

    @property
    def may_give(self) -> bool:
        """A slow meter keeps its margin; without one, or with a station that obeys nobody, nothing is given back."""
        return self.mode.mode in (Mode.NORMAL, Mode.DEGRADED)

    def forget(self, key: EvseKey) -> None:
        """Its session is over."""
        self.turns.forget(key)
        self.grants.pop(key, None)

    def control(self, at: Stamp, at_once: bool = False) -> list[Order]:
        """Freeze, decide, write. Events in quick succession share one decision."""
        if not at_once and at.mono_s - self._controlled_mono_s < CONTROL_GAP_S:
            return []
        self._controlled_mono_s = at.mono_s
        site, frozen = self._site, self.freeze(at)
        self.booked_a, self.frozen = frozen.booked_a, frozen
        grants = decide(frozen.rows, frozen.claims, self._pace)
        self._fleet.seen(frozen.claims, grants, frozen.rows, site.evses, site.layout.voltage_v)
        self.turns.take(grants, at.mono_s)
        site.evses.update(self._switcher.look(self.budget, frozen, grants, site.evses, site.actuator.channels))
        self.grants = {grant.key: grant for grant in grants}
        return [*self._judge_mode(at), *self._write(grants, at), *self.announcer.look(grants, site.evses, at.wall_s)]

    def cut(self, found: tuple[Excess, ...], at: Stamp) -> list[Order]:
        """Lower what loads a phase over its limit, at once; nothing there rises for a while."""
        if not found:
            return []
        for one in found:
            self._site.meters.hold(one.circuit, at.mono_s + HOLD_S)
        frozen = self.freeze(at)
        over = {row for one in found for row in self.budget.rows_over(one.circuit, one.phase)}
        return self._write(cut(frozen.rows, frozen.claims, over, self._pace), at)

    def freeze(self, at: Stamp) -> SiteState:
        """The picture a decision is made of."""
        site, now = self._site, at.mono_s
        if site.devices.commands_battery:
            site.limits.battery_charging_w = site.devices.charging_w(site.battery_w(now), now)
        site.meters.rising_a = site.devices.kept_w(site.battery_w(now), now) / (site.layout.voltage_v * site.pictures.phase_count)
        inputs = self._inputs(at)
        targets = dict(inputs.targets)
        if any(face.setpoint_w is not None for face in inputs.faces):
            targets |= fleet_targets(self._fleet, inputs, site.actuator, self.budget)
        inputs = replace(inputs, targets=site.proof.claims.capped(site.commissioning.targets(targets, now)))
        return site.commissioning.narrow(self.budget.freeze(inputs))

    def _inputs(self, at: Stamp) -> Inputs:
        site, now = self._site, at.mono_s
        limits = site.limits.bounds(now)
        return Inputs(
            at,
            site.evses,
            site.returning.held(site.meters.loads(now, self.booked_a.keys() | site.meters.above.grave), now),
            limits.phase,
            self._station_wishes(at.wall_s),
            site.planner.targets(site.evses, at),
            self.turns.of,
            site.escalation.paused,
            site.escalation.disobeying | site.meters.above.grave,
            self.turns.lifted,
            site.actuator.features,
            self.may_give,
            (*site.grid_wishes.now(at.wall_s), *site.limits.faces(now, site.layout)),
            site.grid_wishes.of_evses(),
            site.export(at),
            limits.total,
        )

    def _station_wishes(self, wall_s: float) -> dict[str, StationWish]:
        """What the CSMS allows the sum of a station now."""
        found = {}
        for name, one in self._site.station_wishes.items():
            step, ends = one.wish_step(wall_s)
            if step is not None and step.limit_a is not None:
                found[name] = StationWish(step.limit_a, one.wish_reason or "upstream profile", ends)
        return found

    def _write(self, grants: tuple[Grant, ...], at: Stamp) -> list[Order]:
        for grant in grants:
            self.grants[grant.key] = grant
        evses = self._site.evses
        orders = self._site.actuator.write(grants, at, {grant.key: evses[grant.key].phases for grant in grants})
        self._site.proof.sent(orders, at.mono_s)
        return orders

    def _judge_mode(self, at: Stamp) -> list[Order]:
        site = self._site
        unfit = waiting_circuits(self.turns.of, site.evses)
        mode = site.meters.mode(at.mono_s, unfit, site.escalation.blocked)
        before, self.mode = self.mode, mode
        if mode.mode is before.mode:
            return []
        severity = {Mode.NORMAL: Severity.INFO, Mode.DEGRADED: Severity.WARNING}.get(mode.mode, Severity.ALARM)
        text = f"site is in {mode.mode.value} mode" + (f": {mode.reason}" if mode.reason else "")
        site.reporter.hurry()
        site.planner.ask()  # a plan made with the loads of another mode would hold cars down long after a meter is back
        return [Tell(severity, "site", text)]
