"""What follows from what a station is and answers: it comes and goes, its features, setpoints answered, floors confirmed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.facts import EvseKey, EvseStatusChanged, FeaturesLearned, FloorConfirmed, SetpointAnswered, StationOffline, StationOnline
from controller.orders import Order, Severity
from controller.site.reactions import Handlers
from controller.site.stations.channel import Floor

if TYPE_CHECKING:
    from controller.site.site import Site


class OnStations:
    """Reactions to stations."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def handlers(self) -> Handlers:
        """By type of fact."""
        return {
            StationOnline: self._online,
            StationOffline: self._offline,
            EvseStatusChanged: self._status_changed,
            FeaturesLearned: self._features_learned,
            SetpointAnswered: self._setpoint_answered,
            FloorConfirmed: self._floor_confirmed,
        }

    def _online(self, fact: StationOnline) -> list[Order]:
        self._site.returning.back(fact.station_id, fact.at.mono_s)
        return self._site.actuator.online(fact.station_id, fact.at.mono_s, fact.version)

    def _offline(self, fact: StationOffline) -> list[Order]:
        self._site.actuator.offline(fact.station_id, fact.at.mono_s)
        return []

    def _status_changed(self, fact: EvseStatusChanged) -> list[Order]:
        evse = self._site.evses.get(fact.evse)
        if evse is not None:
            self._site.evses[fact.evse] = replace(evse, status=fact.status)
        return []

    def _features_learned(self, fact: FeaturesLearned) -> list[Order]:
        self._site.actuator.learned(fact)
        self._site.planner.ask()
        return []

    def _setpoint_answered(self, fact: SetpointAnswered) -> list[Order]:
        site, line = self._site, self._site.actuator.line(fact.evse)
        gave = line is not None and not line.giving_refused
        orders = site.actuator.answered(fact)
        if gave and line is not None and line.giving_refused:
            site.planner.ask()  # the plan counts on what this car will not give
        for key in self._meant(fact.evse):
            orders += site.oversight.tell(site.actuator.channels[key])
        return orders

    def _meant(self, key: EvseKey) -> tuple[EvseKey, ...]:
        """The EVSEs an answer is about: one, or all of a station that is commanded as one."""
        return self._site.layout.by_station.get(key.station_id, ()) if key.evse_id == 0 else (key,) if key in self._site.evses else ()

    def _floor_confirmed(self, fact: FloorConfirmed) -> list[Order]:
        site, channel = self._site, self._site.actuator.line(fact.evse)
        if channel is None:
            return []
        orders = site.actuator.floor_read(fact)
        if fact.number:
            return orders
        if fact.ok or channel.floor is not Floor.FAILED:
            site.changes.over(f"floor {fact.evse}")
            return [*orders, *site.deciding.control(fact.at)]
        text = f"{fact.evse} did not confirm its fallback of {channel.place.fallback_a:g} A ({fact.detail or 'no detail'}) - held to it, tried again"
        return [*orders, *site.changes.tell(f"floor {fact.evse}", Severity.WARNING, str(fact.evse), text)]
