"""What a run has brought: energy by temper, who waited how long for it, what was written to the boxes.

A car starves while it has a session, would draw, and gets nothing although another car of the same or a lower priority
charges. Counted apart is who gets an offer and does not take it (it sleeps, or stops below 8 A), or has a box that is offline
or deaf. Who waits because the plan has time for it later is not hungry, but its seconds are told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.config import Config
from controller.facts import Stamp
from controller.sim.car import MIN_OFFER_A

if TYPE_CHECKING:
    from controller.sim.physics.boxes import TemperedStation
    from controller.sim.physics.cars import TemperedCar
    from controller.sim.physics.world import Parked

Place = tuple[str, int]
FLOWING_A = 0.5
LOOK_EVERY_S = 5.0


@dataclass(slots=True)
class Tally:
    """Energy of one temper [Wh], and its visits."""

    visits: int = 0
    asked_wh: float = 0.0
    got_wh: float = 0.0
    short: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """The longest time one car waited without any energy."""

    seconds: float = 0.0
    place: str = ""
    car: str = ""
    box: str = ""
    until_wall_s: float = 0.0
    reason: str = ""


@dataclass(slots=True)
class Account:
    """All of it. longest: worst wait of those without an offer; helpless: of the others.

    waits: worst wait by car temper [s]. empty_handed: who left without any energy though a session ran. reasons: seconds waited,
    by the controller's own words. why: asks it for them.
    """

    config: Config
    by_car: dict[str, Tally] = field(default_factory=dict)
    longest: Wait = Wait()
    helpless: Wait = Wait()
    waits: Counter[str] = field(default_factory=Counter)
    empty_handed: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    why: Callable[[Place], str] = field(default=lambda _place: "")
    writes: dict[str, Counter[str]] = field(default_factory=dict)
    most_writes_day: int = 0
    most_writes_station: str = ""
    ev_wh: float = 0.0
    _since: dict[Place, tuple[float, bool]] = field(default_factory=dict)
    _next_wall_s: float = 0.0
    _day: int = 0
    _written: dict[str, int] = field(default_factory=dict)
    station_days: int = 0
    _priority: dict[Place, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._priority = {(station.id, evse.id): evse.priority for station in self.config.stations for evse in station.evses}

    def left(self, place: Place, temper: str, car: TemperedCar, at: Stamp) -> None:
        """A car has gone."""
        tally = self.by_car.setdefault(temper, Tally())
        tally.visits += 1
        tally.asked_wh += car.target_wh
        tally.got_wh += car.charged_wh
        if car.charged_wh < 1.0 < car.target_wh:
            self.empty_handed.append(f"{car.spec.name} ({temper}) at {place[0]}/{place[1]}")
        tally.short += car.missing_wh > max(500.0, 0.05 * car.target_wh)
        self._since.pop(place, None)

    def look(self, at: Stamp, seconds: float, parked: Mapping[Place, Parked], stations: Mapping[str, TemperedStation]) -> None:
        """A moment of the world; waits are looked at every few seconds."""
        if at.wall_s < self._next_wall_s:
            return
        self._next_wall_s = at.wall_s + LOOK_EVERY_S
        served = [self._priority[place] for place, item in parked.items() if item.car.current_a > FLOWING_A]
        lowest = min(served, default=None)
        for place, item in parked.items():
            self._wait(at, place, item, stations[place[0]], lowest)
        if at.wall_s // 86_400 != self._day:
            self._day = int(at.wall_s // 86_400)
            self.close_day(stations)

    def _wait(self, at: Stamp, place: Place, item: Parked, station: TemperedStation, lowest: int | None) -> None:
        evse, car = station.evses[place[1]], item.car
        starves = evse.may_deliver and not car.full and car.current_a <= FLOWING_A and lowest is not None and lowest <= self._priority[place]
        if not starves:
            self._since.pop(place, None)
            return
        reason = self.why(place)
        self.reasons[reason] += int(LOOK_EVERY_S)
        if reason.startswith("plan"):
            self._since.pop(place, None)
            return
        deaf = not station.connected or station.temper.stacking != "book" or station.faults.ignores_profiles
        helpless = deaf or car.asleep or evse.offer_a >= MIN_OFFER_A
        since_wall_s, was_helpless = self._since.get(place, (at.wall_s, helpless))
        if was_helpless and not helpless:
            since_wall_s = at.wall_s  # what it declined is no hunger
        self._since[place] = (since_wall_s, helpless)
        waited_s = at.wall_s - since_wall_s
        wait = Wait(waited_s, f"{place[0]}/{place[1]}", item.stay.temper.name, station.temper.name, at.wall_s, reason)
        if helpless:
            self.helpless = max(self.helpless, wait, key=lambda one: one.seconds)
            return
        self.longest = max(self.longest, wait, key=lambda one: one.seconds)
        if waited_s > self.waits[item.stay.temper.name]:
            self.waits[item.stay.temper.name] = int(waited_s)

    def close_day(self, stations: Mapping[str, TemperedStation]) -> None:
        """A day is over: what was written to each station on it."""
        for name, station in stations.items():
            total = station.writes.total()
            today = total - self._written.get(name, 0)
            self._written[name] = total
            self.station_days += 1
            if today > self.most_writes_day:
                self.most_writes_day, self.most_writes_station = today, name
