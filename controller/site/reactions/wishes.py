"""What follows from a wish of the CSMS: for one EVSE, for the sum of a station, for all chargers, and from DER controls.

A wish only ever lowers. Each asks for a new plan: one made under the old wish would hold a car down long after the wish was lifted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.facts import EvseKey, GridControlled, LimitStep, SiteWished, Stamp, UpstreamWished
from controller.orders import Order, Severity
from controller.site import state
from controller.site.grid.der import SITE
from controller.site.reactions import Handlers
from controller.site.sharing.inputs import told_limit
from controller.site.state import EvseState

if TYPE_CHECKING:
    from controller.site.site import Site


class OnWishes:
    """Reactions to wishes. stations: the wish for the sum of a station, as that of its EVSE 0."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.stations: dict[str, EvseState] = {}
        self._steps: dict[EvseKey, LimitStep | None] = {}

    def handlers(self) -> Handlers:
        """By type of fact."""
        return {UpstreamWished: self._upstream_wished, SiteWished: self._site_wished, GridControlled: self._grid_controlled}

    def _upstream_wished(self, fact: UpstreamWished) -> list[Order]:
        site = self._site
        if fact.evse.evse_id == 0:
            first = site.layout.by_station.get(fact.evse.station_id, ())
            if first:
                self.stations[fact.evse.station_id] = state.wished(EvseState(site.layout.places[first[0]]), fact)
        elif fact.evse in site.evses:
            site.evses[fact.evse] = state.wished(site.evses[fact.evse], fact)
        site.planner.ask()
        return site.deciding.control(fact.at)

    def _site_wished(self, fact: SiteWished) -> list[Order]:
        site, wishes = self._site, self._site.grid_wishes
        wishes.wished(fact)
        site.planner.ask()
        wish = next((wish for wish in wishes.now(fact.at.wall_s) if wish.face == fact.face and wish.limit_a is not None), None)
        amps = f": {told_limit(wish, site.layout.voltage_v)} for all its chargers" if wish is not None else ""
        text = f"{fact.reason} holds now{amps}" if fact.steps else "the CSMS wishes nothing of the whole site any more"
        told = site.changes.tell(f"wish {fact.face}", Severity.INFO, "site", text)
        return [*told, site.reporter.limits_order(site, fact.at), *site.deciding.control(fact.at, at_once=True)]

    def _grid_controlled(self, fact: GridControlled) -> list[Order]:
        site = self._site
        site.grid_wishes.controlled(fact)
        site.planner.ask()
        orders: list[Order] = []
        if fact.evse == SITE:
            bound = "cars give back as the plan says" if fact.max_discharge_w is None else f"cars give back {fact.max_discharge_w:.0f} W at most"
            bound += "" if fact.part is None else f", battery and inverters {100 * fact.part:g} % of their rated output"
            text = f"{fact.control or 'no DER control is in force any more'} - {bound}"
            orders = site.changes.tell(f"grid {fact.face}", Severity.INFO, "site", text)
        return [*orders, *site.deciding.control(fact.at, at_once=True)]

    def notice_steps(self, at: Stamp) -> list[Order]:
        """A step of the CSMS's schedule that begins now asks for a new plan: the old one was made with the step before. One for all is told."""
        site = self._site
        for key, evse in site.evses.items():
            if len(evse.wish) > 1:
                step, _ = evse.wish_step(at.wall_s)
                if self._steps.get(key, step) != step:
                    site.planner.ask()
                self._steps[key] = step
        if not site.grid_wishes.step_changed(at.wall_s):
            return []
        site.planner.ask()
        return [site.reporter.limits_order(site, at)]
