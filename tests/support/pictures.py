"""Pictures of a site for the budget and the arbiter, without the site's event loop: what is known, in, rows and claims out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.config import Config
from controller.facts import ChargingState, EvseKey, FeaturesLearned, LimitStep, PhaseAmps, Stamp
from controller.site.grid.limits import Limit
from controller.site.layout import layout_of
from controller.site.sharing.arbiter import Grant, Pace, decide
from controller.site.sharing.budget import Budget, CircuitLoad, Inputs, SiteState, StationWish, Target
from controller.site.sharing.turns import Turns
from controller.site.state import EvseState, Session
from controller.site.stations.actuate import Actuator
from controller.site.stations.channel import Channel, Floor, Sent
from controller.site.stations.charger import ChargerModel
from controller.site.stations.phases import PhaseUse

WALL_S = 1_780_000_000.0
PACE = Pace(ramp_up_a_per_s=100.0, dead_band_a=1.0)


class Picture:
    """One moment of a depot whose stations are online and confirmed. Change its tables, then ask for the decision."""

    def __init__(self, config: Config, models: dict[str, ChargerModel] | None = None, now: float = 1000.0) -> None:
        self.config, self.layout, self.now = config, layout_of(config, models or {}), now
        self.actuator = Actuator(self.layout, config.control)
        self.budget = Budget(self.layout, self.actuator, config.control)
        self.turns = Turns(config.control.turn_s)
        self.evses = {key: EvseState(place) for key, place in self.layout.places.items()}
        self.loads = {name: CircuitLoad((10.0, 10.0, 10.0), 0.0, meter=name) for name in self.layout.circuits}
        self.limits: dict[str, Limit] = {}
        self.station_wishes: dict[str, StationWish] = {}
        self.targets: dict[EvseKey, Target] = {}
        self.paused: set[EvseKey] = set()
        self.disobeying: set[EvseKey] = set()
        self.may_give = True
        for channel in self.actuator.channels.values():
            channel.online, channel.floor, channel.version = True, Floor.CONFIRMED, "ocpp2.1"

    @property
    def at(self) -> Stamp:
        """Now on both clocks."""
        return Stamp(self.now, WALL_S + self.now)

    def channel(self, name: str) -> Channel:
        """The way to a station's first EVSE."""
        return self.actuator.channels[EvseKey(name, 1)]

    def car(
        self, name: str, drawn: PhaseAmps | None = None, phases: tuple[int, ...] | None = None, limit_a: float | None = None, **session: Any
    ) -> EvseKey:
        """A car with a session. drawn: by site phase; phases: learned; limit_a: its accepted setpoint."""
        key = EvseKey(name, 1)
        begun = Session(f"tx-{name}", self.now - 600.0, WALL_S + self.now - 600.0, ChargingState.CHARGING)
        evse = replace(self.evses[key], session=replace(begun, **session))
        if drawn is not None:
            evse = replace(evse, current_a=drawn, measured_mono_s=self.now - 1.0)
        if phases is not None:
            evse = replace(evse, phase_use=PhaseUse(phases, self.now - 100.0, phases, phases))
        self.evses[key] = evse
        self.hold(name, limit_a if limit_a is not None else max(drawn) if drawn is not None else 0.0)
        return key

    def hold(self, name: str, limit_a: float) -> None:
        """The station has accepted this setpoint a while ago."""
        channel = self.channel(name)
        channel.sent = channel.accepted = Sent(1, limit_a, "", self.now - 30.0, self.now + 90.0)
        channel.answered, channel.changed_mono_s = True, self.now - 600.0

    def wish(self, name: str, *steps: LimitStep, reason: str = "upstream profile 7") -> None:
        """The CSMS's own profiles."""
        key = EvseKey(name, 1)
        self.evses[key] = replace(self.evses[key], wish=steps, wish_reason=reason)

    def features(self, name: str, **said: Any) -> None:
        """What the station announced."""
        self.actuator.features[name] = FeaturesLearned(self.at, name, **said)

    def inputs(self) -> Inputs:
        """Everything for the budget."""
        return Inputs(
            self.at,
            self.evses,
            self.loads,
            self.limits,
            self.station_wishes,
            self.targets,
            self.turns.of,
            self.paused,
            self.disobeying,
            self.turns.lifted,
            self.actuator.features,
            self.may_give,
        )

    def freeze(self) -> SiteState:
        """Rows and claims."""
        return self.budget.freeze(self.inputs())

    def decide(self) -> dict[str, Grant]:
        """Grants by station; turns are taken."""
        frozen = self.freeze()
        grants = decide(frozen.rows, frozen.claims, PACE)
        self.turns.take(grants, self.now)
        return {grant.key.station_id: grant for grant in grants}
