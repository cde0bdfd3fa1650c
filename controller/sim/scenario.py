"""The demo day as data: who comes when, what the building and the sun do, what goes wrong.

Hours are local hours of the site's day (15.5 = half past three, above 24 = after midnight). A scenario
repeats every day. ``Happening`` is a step of the story: when it happens, what is done to the world,
and the sentence people read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise

from controller.sim.car import CarSpec

DAY_S = 86_400.0
DEMO_MIDNIGHT_WALL_S = 20_621 * DAY_S  # 17 June 2026, UTC
Curve = tuple[tuple[float, float], ...]
"""Points (hour, value), ascending; linear in between, constant outside."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One car at one EVSE, every day."""

    station_id: str
    evse_id: int
    name: str
    arrival_h: float
    departure_h: float
    need_wh: float
    capacity_wh: float = 75_000.0
    soc: float = 0.2
    phases: int = 3
    max_current_a: float = 16.0
    announces: bool = True
    max_discharge_w: float = 0.0

    def car(self, midnight_wall_s: float) -> CarSpec:
        """The car as it comes on the day that begins at ``midnight_wall_s``."""
        return CarSpec(
            self.name,
            midnight_wall_s + 3600.0 * self.arrival_h,
            midnight_wall_s + 3600.0 * self.departure_h,
            self.need_wh,
            self.capacity_wh,
            self.soc,
            self.phases,
            self.max_current_a,
            announces=self.announces,
            max_discharge_w=self.max_discharge_w,
        )


class Deed(StrEnum):
    """What a step of the story does to the world."""

    NOTHING = "nothing"
    LIMIT = "limit"
    IMPORT_LIMIT = "import_limit"
    EXPORT_LIMIT = "export_limit"
    CSMS_DOWN = "csms_down"
    CSMS_UP = "csms_up"


@dataclass(frozen=True, slots=True)
class Happening:
    """One step of the story. value: of the fleet's limit per phase [A], of the grid operator's in all [W]; valid_h: hours of the day it holds.

    label: what the grid operator calls it.
    """

    hour: float
    sentence: str
    deed: Deed = Deed.NOTHING
    value: float = 0.0
    valid_h: float = 0.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A car that shall be plugged in at an EVSE."""

    station_id: str
    evse_id: int
    car: CarSpec


@dataclass(frozen=True, slots=True)
class Scenario:
    """A day. building_w and pv_w (production, >= 0) are curves over the hours; shares by phase.

    speaks: OCPP version by station; those left out speak 2.0.1.
    battery_soc: state of charge (0..1) the battery is found with, by the hour at which the day is entered.
    """

    id: str
    start_h: float
    visits: tuple[Visit, ...]
    story: tuple[Happening, ...]
    building: Curve
    pv: Curve
    building_shares: tuple[float, float, float] = (0.36, 0.33, 0.31)
    battery_soc: Curve = ((0, 0.5),)
    speaks: Mapping[str, str] = field(default_factory=dict)

    def building_w(self, hour: float) -> float:
        """Load of the building [W]."""
        return at_hour(self.building, hour)

    def pv_w(self, hour: float) -> float:
        """Production of the PV system [W], >= 0."""
        return max(0.0, at_hour(self.pv, hour))

    def arrivals(self, start_wall_s: float, end_wall_s: float) -> list[Arrival]:
        """Cars that are there between two moments, by arrival. One that came before finds less left to charge."""
        first_midnight = math.floor(start_wall_s / DAY_S) * DAY_S - DAY_S
        days = range(math.ceil((end_wall_s - first_midnight) / DAY_S))
        found = [
            Arrival(visit.station_id, visit.evse_id, car)
            for day in days
            for visit in self.visits
            if (car := _still_to_come(visit.car(first_midnight + day * DAY_S), start_wall_s)) is not None and car.arrival_wall_s < end_wall_s
        ]
        return sorted(found, key=lambda arrival: arrival.car.arrival_wall_s)

    def happenings(self, start_wall_s: float) -> Iterator[tuple[float, Happening]]:
        """(wall time, step) from ``start_wall_s`` on, for ever."""
        midnight = math.floor(start_wall_s / DAY_S) * DAY_S
        while True:
            for step in self.story:
                if midnight + 3600.0 * step.hour >= start_wall_s:
                    yield midnight + 3600.0 * step.hour, step
            midnight += DAY_S


def _still_to_come(car: CarSpec, now_wall_s: float) -> CarSpec | None:
    if car.departure_wall_s <= now_wall_s:
        return None
    if car.arrival_wall_s >= now_wall_s:
        return car
    done = (now_wall_s - car.arrival_wall_s) / (car.departure_wall_s - car.arrival_wall_s)
    gained = done * car.need_wh * car.efficiency / car.capacity_wh
    return replace(car, arrival_wall_s=now_wall_s, need_wh=(1.0 - done) * car.need_wh, soc=min(0.95, car.soc + gained))


def at_hour(curve: Curve, hour: float) -> float:
    """Value of a daily curve at an hour."""
    hour %= 24.0
    if hour <= curve[0][0]:
        return curve[0][1]
    for (start, before), (end, after) in pairwise(curve):
        if start <= hour <= end:
            return before + (after - before) * (hour - start) / (end - start) if end > start else after
    return curve[-1][1]


def hour_of(wall_s: float) -> float:
    """Hour of the day, 0..24. The demo's site keeps UTC, so that it needs no time zone files."""
    return wall_s % DAY_S / 3600.0


EVENING_VANS = (
    Visit("A1", 1, "van-01", 15.70, 19.75, 34_000, soc=0.25, max_current_a=32),
    Visit("A1", 2, "van-02", 15.90, 20.25, 32_000, soc=0.22, max_current_a=32),
    Visit("B1", 1, "van-03", 16.10, 20.80, 36_000, soc=0.18, max_current_a=32),
    Visit("A3", 1, "van-04", 16.25, 21.00, 30_000, soc=0.30, max_current_a=32),
    Visit("B4", 1, "van-09", 16.60, 20.90, 36_000, 90_000, 0.30, max_current_a=32),
    Visit("A4", 1, "visitor", 17.15, 20.60, 12_000, 52_000, 0.45, 1, 32, announces=False),
)
NIGHT_VANS = (
    Visit("A5", 1, "van-05", 16.35, 30.00, 40_000, 60_000, 0.15, 1, 32),
    Visit("B1", 2, "van-06", 16.50, 29.50, 55_000, 80_000, 0.15),
    Visit("A2", 1, "van-07", 16.75, 29.80, 48_000, soc=0.20),
    Visit("B2", 1, "van-08", 17.00, 30.20, 50_000, soc=0.18),
    Visit("B3", 1, "van-10", 17.50, 30.60, 38_000, 60_000, 0.20, 1, 32),
    Visit("Y1", 1, "bus-11", 17.70, 30.30, 52_000, 180_000, 0.62, max_current_a=32, max_discharge_w=11_000),
    Visit("A1", 1, "van-01", 21.50, 29.75, 30_000, soc=0.40, max_current_a=32),
    Visit("B4", 1, "van-09", 21.80, 30.50, 34_000, 90_000, 0.40, max_current_a=32),
    Visit("B1", 1, "van-03", 22.00, 30.10, 32_000, soc=0.35, max_current_a=32),
)
STAFF = (
    Visit("Y1", 1, "staff-1", 7.65, 16.75, 28_000, soc=0.4),
    Visit("A4", 1, "staff-2", 8.15, 16.50, 18_000, 52_000, 0.4, 1, 32),
    Visit("B3", 1, "staff-3", 8.75, 17.10, 16_000, 52_000, 0.5, 1, 16),
    Visit("A2", 1, "staff-4", 9.10, 16.20, 22_000, soc=0.5),
)

STORY = (
    Happening(15.52, "Half past three. The staff's cars finish charging from the roof; the evening shift is on its way home."),
    Happening(15.70, "The first vans of the evening shift arrive. They must leave again at eight, so they charge now."),
    Happening(16.35, "A thunder cloud covers the roof: PV falls from 24 kW to 4 kW within minutes. Watch the chargers make room."),
    Happening(17.00, "The cloud is gone. Night vans come in: they stay until morning, so the plan lets most of them wait for cheap hours."),
    Happening(17.25, "Dinner in the canteen, compressors in the hall: the building takes 16 kW more for an hour."),
    Happening(17.75, "A bus comes home half full. Energy is dear until eight, so it gives back what pays and gets it again at night."),
    Happening(18.22, "The building is done with its peak; the room it leaves goes to the cars that must be away first."),
    Happening(18.45, "The fleet manager sends a limit over MQTT: 50 A per phase for the whole site, for half an hour.", Deed.LIMIT, 50.0, 0.5),
    Happening(19.00, "The fleet limit has ended by itself. Nobody had to take it back."),
    Happening(19.15, "The CSMS goes away. Charging goes on; every transaction message is kept on disk.", Deed.CSMS_DOWN),
    Happening(19.65, "The CSMS is back. The kept messages follow in order, each acknowledged before it is forgotten.", Deed.CSMS_UP),
    Happening(20.02, "Cheap hours. Now the night vans get their turn, just high enough that the peak of the month does not rise."),
    Happening(20.60, "That was the story. The demo goes on through the night; the vans leave from half past five. Ctrl-C ends it."),
    Happening(29.40, "Early morning: the first vans leave, charged."),
)

DEMO = Scenario(
    id="demo",
    start_h=15.5,
    visits=EVENING_VANS + NIGHT_VANS + STAFF,
    story=STORY,
    battery_soc=((7, 0.3), (15, 0.85), (21, 0.3)),
    speaks={"A4": "1.6", "A5": "1.6", "B2": "1.6", "A3": "2.1", "Y1": "2.1"},
    building=(
        (0, 5_000), (5, 6_000), (7, 12_000), (9, 18_000), (12, 21_000), (15, 19_000), (17.2, 19_000),
        (17.25, 35_000), (18.2, 35_000), (18.25, 18_000), (20, 12_000), (22, 7_000), (24, 5_000),
    ),
    pv=(
        (5.5, 0), (8, 9_000), (10, 22_000), (12, 31_000), (13.5, 33_000), (15, 28_000), (16.34, 23_000),
        (16.4, 4_000), (16.9, 4_000), (17.0, 18_000), (18.5, 9_000), (20.5, 0),
    ),
)  # fmt: skip

ENERGY_CARS = (
    Visit("A1", 1, "van-01", 9.00, 15.50, 36_000, soc=0.25, max_current_a=32),
    Visit("A2", 1, "staff-4", 8.10, 16.60, 22_000, soc=0.45),
    Visit("A4", 1, "staff-2", 8.20, 16.50, 14_000, 52_000, 0.4, 1, 32),
    Visit("B1", 1, "van-03", 10.50, 15.00, 30_000, soc=0.35, max_current_a=32),
    Visit("B3", 1, "staff-3", 8.75, 17.10, 12_000, 52_000, 0.5, 1, 16),
)
LATE_SHIFT = (
    Visit("A1", 1, "van-01", 19.60, 22.75, 22_000, soc=0.30),
    Visit("A4", 1, "van-12", 19.65, 22.75, 9_500, 52_000, 0.35, 1, 32),
    Visit("B1", 1, "van-03", 19.70, 22.75, 22_000, soc=0.30),
    Visit("A5", 1, "van-05", 19.75, 22.75, 9_500, 60_000, 0.40, 1, 32),
    Visit("B4", 1, "van-09", 19.80, 22.75, 22_000, 90_000, 0.45),
)
ENERGY_STORY = (
    Happening(9.50, "Half past nine on a bright day. The roof begins to make more than the depot needs; cars wait for what it will give."),
    Happening(10.98, "From eleven to three the market is full of sun: who feeds in pays for it. So the battery was kept empty for now."),
    Happening(11.05, "Cars and battery take the surplus. What nobody can take, the inverters do not make: the grid connection stays at zero."),
    Happening(12.15, "A cloud. The inverters are let up at once as far as it matters; the battery takes less, the cars go on."),
    Happening(
        13.40,
        "The grid operator limits feed-in to 5 kW for two and a half hours. For now that costs nothing: nothing is fed in anyway.",
        Deed.EXPORT_LIMIT, 5_000.0, 2.5, "redispatch",
    ),
    Happening(15.02, "Feeding in pays again, but the grid operator's limit still holds: inverters, battery and cars keep it together."),
    Happening(15.92, "The grid operator's limit has ended. The inverters are let up slowly, up to the 30 kW of the contract."),
    Happening(17.00, "Energy is dear until eight. The battery gives back what the sun gave at noon."),
    Happening(19.60, "The late shift comes in. Its vans leave again before eleven; they wait for eight o'clock, when energy gets cheap."),
    Happening(20.02, "Energy is cheap. The late shift's vans charge with all they can; those that stay until morning wait."),
    Happening(
        20.50,
        "Section 14a: the grid operator holds all chargers and the battery together to their minimum of 26.9 kW for one hour.",
        Deed.IMPORT_LIMIT, 26_880.0, 1.0, "section 14a",
    ),
    Happening(21.52, "The limit has ended; the vans catch up. The page tells what was received, when it was obeyed and what was measured."),
    Happening(22.95, "The late shift has left. That was the day; the demo goes on through the night. Ctrl-C ends it."),
)
ENERGY = Scenario(
    id="energy",
    start_h=9.4,
    visits=(*ENERGY_CARS, *LATE_SHIFT, *NIGHT_VANS[2:6]),
    story=ENERGY_STORY,
    battery_soc=((7, 0.3), (11, 0.2), (15, 0.9), (21, 0.3)),
    speaks={"A4": "1.6", "A5": "1.6", "B2": "1.6", "A3": "2.1", "Y1": "2.1"},
    building=((0, 5_000), (5, 6_000), (7, 12_000), (9, 15_000), (12, 17_000), (13, 14_000), (16, 15_000), (18, 18_000), (20, 12_000), (24, 5_000)),
    pv=(
        (5.5, 0), (8, 18_000), (10, 46_000), (11.5, 64_000), (12.14, 67_000), (12.18, 30_000), (12.38, 28_000), (12.42, 68_000),
        (13.5, 69_000), (15, 58_000), (17, 33_000), (19, 9_000), (20.5, 0),
    ),
)  # fmt: skip

SCENARIOS = {DEMO.id: DEMO, ENERGY.id: ENERGY}
