"""What follows from a plan, a price or a forecast, and when the next plan is ordered.

Planning serves money. Each step that could fail runs ``contained``: a defect ends that step, never the tick that carries setpoints.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.facts import PlanFailed, PlanSolved, SeriesTold, Stamp
from controller.orders import Order, Persist
from controller.site.plans.habits import NOTHING_LEARNT
from controller.site.plans.planning import PlanInputs
from controller.site.plans.posing_edges import HORIZON_S
from controller.site.plans.posing_load import building_w
from controller.site.reactions import Handlers

if TYPE_CHECKING:
    from controller.site.site import Site

PEAK_SPACE = "peak"
"""Where the journal keeps the peak of the billing period."""


class OnPlans:
    """Reactions to plans and series; ``look`` orders plans when they are due."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def handlers(self) -> Handlers:
        """By type of fact."""
        return {PlanSolved: self._solved, PlanFailed: self._failed, SeriesTold: self._series_told}

    def _solved(self, fact: PlanSolved) -> list[Order]:
        site, contained = self._site, self._site.planner.contained
        if contained.run("rehearsing", lambda: site.rehearsals.solved(fact.plan), lambda: False):
            return contained.tell()
        orders: list[Order] = contained.run("taking a plan", lambda: self._take(fact), list)
        return orders + contained.tell()

    def _take(self, fact: PlanSolved) -> list[Order]:
        site, planner = self._site, self._site.planner
        refused = planner.refused
        orders = planner.solved(fact.plan, fact.at)
        if planner.plan is fact.plan:
            site.explained.planned(fact.plan, fact.at)
        elif planner.refused > refused:
            site.explained.failed(fact.at)
        planner.prepare(site.evses, site.actuator.channels, fact.at)
        return orders

    def _failed(self, fact: PlanFailed) -> list[Order]:
        if self._site.rehearsals.failed(fact.created_wall_s, fact.at):
            return []
        self._site.explained.failed(fact.at)
        return self._site.planner.failed(fact.reason, fact.at)

    def _series_told(self, fact: SeriesTold) -> list[Order]:
        """Prices or a forecast came: planned with from the next plan on."""
        planner, series = self._site.planner, self._site.series
        before = series.foreseen
        orders: list[Order] = planner.contained.run("taking a series", lambda: series.told(fact), list)
        if series.foreseen is not before:  # laid anew
            planner.books = series.books
            planner.ask()
        return orders + planner.contained.tell()

    # -- time ------------------------------------------------------------------------------------------------

    def look(self, at: Stamp) -> list[Order]:
        """Learn from what passed, and order a plan when one is due."""
        site, planner, run = self._site, self._site.planner, self._site.planner.contained.run
        orders: list[Order] = site.on_wishes.notice_steps(at)
        orders += site.series.tick(at)
        orders += self._count_peak(at)
        if planner.overdue(at):
            site.explained.failed(at)
            orders += planner.failed("no answer from the solver", at)
        planner.refresh(at)
        orders += run("what limits cost", lambda: self._explain(at), list)
        planner.prepare(site.evses, site.actuator.channels, at)
        run("learning habits", lambda: site.history.learn(at), lambda: NOTHING_LEARNT)
        if not planner.due(at):
            return orders + run("rehearsing", lambda: self._rehearse(at), list)
        inputs = self.inputs(at)
        pv_w = None if site.devices.holds_sun() else inputs.pv_w
        orders += run("learning the usual day", lambda: site.days.seen(building_w(site.layout, inputs), pv_w, at), list)
        return orders + planner.order(inputs, at)

    def _count_peak(self, at: Stamp) -> list[Order]:
        peak = self._site.peak
        closed = peak.add(self._site.meters.grid_power_w(), at.wall_s)
        self._site.planner.window_import_wh = peak.window_import_wh(at.wall_s)
        return [Persist(0, remember={(PEAK_SPACE, "grid"): peak.memory()})] if closed else []

    def _rehearse(self, at: Stamp) -> list[Order]:
        """Find out which peak is worth paying for, while no plan is on its way."""
        site = self._site
        if site.config.control.energy_first or site.planner.waiting or not site.rehearsals.due(site.peak, at):
            return []
        inputs = replace(self.inputs(at), books=site.planner.books)
        return site.rehearsals.look(inputs, site.history.sessions, site.peak, at)

    def _explain(self, at: Stamp) -> list[Order]:
        """Time passes under the plan in force, if any."""
        planner = self._site.planner
        in_force = planner.usable(at)
        return self._site.explained.passed(planner.plan if in_force else None, planner.problem if in_force else None, at)

    def inputs(self, at: Stamp) -> PlanInputs:
        """What a plan made now is made of."""
        site, now = self._site, at.mono_s
        pv_w, battery, may_give = site.meters.side_power_w("pv"), site.config.battery, site.deciding.may_give
        made_w = max(0.0, -pv_w) if pv_w is not None else None
        return PlanInputs(
            site.evses,
            site.meters.loads(now),
            site.limits.planned(at),
            {name: one.wish for name, one in site.station_wishes.items() if one.wish},
            site.deciding.booked_a,
            made_w,
            site.battery_w(now),
            site.devices.soc_percent(site.meters.soc_percent()),
            site.peak.peak_w,
            site.features,
            frozenset(key for key, channel in site.actuator.channels.items() if channel.giving_refused or not may_give),
            site.peak.window_import_wh(at.wall_s),
            site.history.learnt,
            site.days.load,
            site.days.sun,
            worthwhile_w=site.rehearsals.worthwhile_w,
            period_left_s=site.peak.ends_wall_s(at.wall_s) - at.wall_s,
            faces=(*site.grid_wishes.plans(), *site.limits.sums(at, HORIZON_S, site.layout)),
            give_bounds=site.grid_wishes.giving(),
            ahead=(*site.limits.ahead(at, HORIZON_S), *site.grid_wishes.ahead(at.wall_s)),
            foreseen=site.series.foreseen,
            sun_w=site.devices.free_sun_w(made_w, now),
            sun_fixed=bool(site.config.inverters) and not site.devices.can_curtail(now),
            battery_can=site.devices.battery_power(battery) if battery is not None and site.devices.battery_obeys(now) else None,
        )
