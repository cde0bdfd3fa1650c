"""One backtest's inputs as plain data: the site, its cars, prices, load and sun over a stretch of time. Picklable.

A recorded session becomes a ``Visit`` at an EVSE of the site: by its exact name ("station/evse", or the station's alone), else the
names of the file that are left go in sorted order onto the EVSEs that are left. What a car could take is bounded by what its EVSE
gives in that time; a stay that reaches beyond the end is cut there.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from controller.config import PHASE_INDEX, Config, EvseConfig, StationConfig
from controller.facts import EvseKey
from controller.sim.backtest.series import Series
from controller.sim.backtest.sessions import Recorded
from controller.sim.backtest.tariffs import Prices
from controller.sim.car import MIN_OFFER_A, VOLTAGE_V
from optimizer.forecast import zone_of
from optimizer.past import PastSession

START_S = 60.0
"""A car needs so long from its cable to its full power [s]."""
SHORTEST_STAY_S = 60.0
V2G_CAPACITY_WH, V2G_SOC, V2G_DISCHARGE_W = 60_000.0, 0.4, 6_600.0
CAR_EFFICIENCY = 0.92
SHOWN_NAMES = 6


class CaseError(ValueError):
    """A backtest cannot be set up. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Bay:
    """One EVSE as cars find it. phases: site phases 0..2."""

    key: EvseKey
    node_id: str
    phases: tuple[int, ...]
    max_current_a: float
    config: EvseConfig

    @property
    def max_power_w(self) -> float:
        """The most it gives [W]."""
        return self.max_current_a * VOLTAGE_V * len(self.phases)


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay to simulate. evse: "station/evse". phases: site phases the car loads. wanted_wh: what it could take, at the charger.

    max_power_w: the most it draws there. stated_*: what its driver says, None = nothing. With a battery (V2G) where max_discharge_w > 0.
    """

    id: str
    evse: str
    node_id: str
    phases: tuple[int, ...]
    arrival_wall_s: float
    departure_wall_s: float
    wanted_wh: float
    max_power_w: float
    stated_wh: float | None = None
    stated_departure_wall_s: float | None = None
    user: str = ""
    capacity_wh: float | None = None
    soc: float | None = None
    max_discharge_w: float = 0.0

    @property
    def key(self) -> EvseKey:
        """The EVSE."""
        station, _, evse = self.evse.rpartition("/")
        return EvseKey(station, int(evse))

    @property
    def max_current_a(self) -> float:
        """The most it draws per phase [A]."""
        return self.max_power_w / VOLTAGE_V / len(self.phases)


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a run needs. base_w and pv_w (>= 0) of the site. past: sessions that ended before the start.

    drivers: "truth" or "stated", what is told of needs and departures. weather: how load and sun are forecast, "learnt" from the weeks
    before as in the field, or "known".
    """

    name: str
    config: Config
    start_wall_s: float
    end_wall_s: float
    visits: tuple[Visit, ...]
    past: tuple[PastSession, ...]
    prices: Prices
    base_w: Series
    pv_w: Series
    drivers: str = "truth"
    seed: int = 1
    notes: tuple[str, ...] = ()
    weather: str = "learnt"

    @property
    def days(self) -> float:
        """Length [days]."""
        return (self.end_wall_s - self.start_wall_s) / 86_400.0

    @property
    def demand_per_kw(self) -> float:
        """What a kW of the highest quarter hour of this time costs: its share of the billing period [currency/kW]. A whole month is one."""
        share = 1.0 if self._whole_month() else min(1.0, self.days / self.prices.month_days)
        return self.prices.demand_per_kw * share

    def _whole_month(self) -> bool:
        zone = zone_of(self.config.site.timezone)
        first, then = (datetime.fromtimestamp(wall_s, zone) for wall_s in (self.start_wall_s, self.end_wall_s))
        following = first.year + first.month // 12, first.month % 12 + 1
        return first.day == then.day == 1 and following == (then.year, then.month) and self.prices.month_days <= 31.0

    def stretch(self, start_wall_s: float, end_wall_s: float) -> Case:
        """A part of the time, with the cars that arrive in it."""
        inside = tuple(cut_at(one, end_wall_s) for one in self.visits if start_wall_s <= one.arrival_wall_s < end_wall_s)
        before = tuple(past_of(one, one.wanted_wh) for one in self.visits if one.departure_wall_s <= start_wall_s)
        return replace(self, start_wall_s=start_wall_s, end_wall_s=end_wall_s, visits=inside, past=(*self.past, *before))


def bays_of(config: Config) -> dict[EvseKey, Bay]:
    """Every EVSE of a site."""
    return {EvseKey(station.id, evse.id): _bay(config, station, evse) for station in config.stations for evse in station.evses}


def _bay(config: Config, station: StationConfig, evse: EvseConfig) -> Bay:
    phases = tuple(PHASE_INDEX[name] for name in evse.phases if PHASE_INDEX[name] < config.grid.phases)
    return Bay(EvseKey(station.id, evse.id), station.circuit, phases or (0,), evse.max_current_a, evse)


# -- which EVSE a session belongs to ---------------------------------------------------------------------------


def placed(names: Sequence[str], config: Config) -> tuple[dict[str, EvseKey], tuple[str, ...]]:
    """Name in the file -> EVSE of the site, and what is to be told about it. Raises CaseError when no EVSE is left for anybody."""
    bays = bays_of(config)
    if not bays:
        raise CaseError("the site has no EVSE; add stations to its file, or leave --site out to have a garage built from the sessions")
    found = {name: key for name in names if (key := _exact(name, config, bays)) is not None}
    taken = set(found.values())
    free = sorted((key for key in bays if key not in taken), key=str)
    left = sorted(name for name in names if name not in found)
    moved = dict(zip(left, free, strict=False))
    notes = []
    if moved:
        notes.append(f"{len(moved)} of the file's EVSEs are not in the site and were put in sorted order onto free ones: {_named(moved)}")
    if lost := left[len(free) :]:
        notes.append(f"no EVSE was left for {len(lost)} of the file's: {', '.join(lost[:SHOWN_NAMES])}; their sessions are left out")
    return {**found, **moved}, tuple(notes)


def _exact(name: str, config: Config, bays: Mapping[EvseKey, Bay]) -> EvseKey | None:
    station_id, _, evse = name.rpartition("/")
    if evse.isdigit() and EvseKey(station_id, int(evse)) in bays:
        return EvseKey(station_id, int(evse))
    station = config.station(name)
    return EvseKey(name, station.evses[0].id) if station is not None and len(station.evses) == 1 else None


def _named(moved: Mapping[str, EvseKey]) -> str:
    shown = ", ".join(f"{name} -> {key}" for name, key in list(moved.items())[:SHOWN_NAMES])
    return shown + (", ..." if len(moved) > SHOWN_NAMES else "")


# -- sessions as visits ---------------------------------------------------------------------------------------


def visit_of(one: Recorded, bay: Bay) -> Visit:
    """The stay this session is at an EVSE."""
    phases = bay.phases[: one.phases or len(bay.phases)]
    most_w = bay.max_current_a * VOLTAGE_V * len(phases)
    power_w = min(most_w, max(one.max_power_w or most_w, MIN_OFFER_A * VOLTAGE_V * len(phases)))
    room_wh = one.capacity_wh * (1.0 - one.soc) / CAR_EFFICIENCY if one.capacity_wh and one.soc is not None else one.energy_wh
    return Visit(
        one.id,
        str(bay.key),
        bay.node_id,
        phases,
        one.arrival_wall_s,
        one.departure_wall_s,
        min(one.energy_wh, room_wh, possible_wh(power_w, one.stay_s)),
        power_w,
        one.stated_wh,
        one.stated_departure_wall_s,
        one.user,
        one.capacity_wh,
        one.soc,
    )


def possible_wh(power_w: float, stay_s: float) -> float:
    """The most a car can get in a stay [Wh]."""
    return power_w * max(0.0, stay_s - START_S) / 3600.0


def cut_at(visit: Visit, end_wall_s: float) -> Visit:
    """The visit, over by this time at the latest."""
    if visit.departure_wall_s <= end_wall_s:
        return visit
    most_wh = possible_wh(visit.max_power_w, end_wall_s - visit.arrival_wall_s)
    return replace(visit, departure_wall_s=end_wall_s, wanted_wh=min(visit.wanted_wh, most_wh))


def past_of(visit: Visit, energy_wh: float) -> PastSession:
    """The visit as the controller remembers it."""
    return PastSession(
        visit.evse,
        visit.node_id,
        visit.phases,
        visit.arrival_wall_s,
        visit.departure_wall_s,
        energy_wh,
        visit.max_power_w,
        visit.stated_wh,
        visit.stated_departure_wall_s,
        visit.user,
    )


def with_batteries(visits: Sequence[Visit], share: float, seed: int) -> tuple[Visit, ...]:
    """The visits, a share of them cars that can give back: 60 kWh, at most 40 % full at arrival, chosen by a die per session."""

    def chosen(one: Visit) -> bool:
        return random.Random(f"{seed}/{one.id}/{one.arrival_wall_s:.0f}").random() < share

    return tuple(_battery(one) if chosen(one) else one for one in visits)


def _battery(visit: Visit) -> Visit:
    capacity_wh = max(visit.capacity_wh or V2G_CAPACITY_WH, visit.wanted_wh * CAR_EFFICIENCY / 0.75)
    soc = min(V2G_SOC if visit.soc is None else visit.soc, 1.0 - visit.wanted_wh * CAR_EFFICIENCY / capacity_wh)
    return replace(visit, capacity_wh=capacity_wh, soc=soc, max_discharge_w=min(V2G_DISCHARGE_W, visit.max_power_w))


def make_visits(sessions: Sequence[Recorded], config: Config, end_wall_s: float) -> tuple[tuple[Visit, ...], tuple[str, ...]]:
    """The visits of these sessions, cut at the end, and what is to be told. Raises CaseError when none is left."""
    where, notes = placed(sorted({one.evse for one in sessions}), config)
    bays = bays_of(config)
    visits = [cut_at(visit_of(one, bays[where[one.evse]]), end_wall_s) for one in _distinct(sessions) if one.evse in where]
    told = list(notes)
    less = sum(one.energy_wh for one in sessions if one.evse in where) - sum(one.wanted_wh for one in visits)
    if less > 1.0:
        told.append(f"{less / 1000:.1f} kWh that the file has cannot be had in these stays at these EVSEs and count for nobody")
    kept = tuple(one for one in visits if one.departure_wall_s - one.arrival_wall_s >= SHORTEST_STAY_S)
    if not kept:
        raise CaseError("no session is left that could be simulated")
    return kept, tuple(told)


def _distinct(sessions: Sequence[Recorded]) -> list[Recorded]:
    """The sessions with a name of its own for each."""
    seen: dict[str, int] = {}
    found = []
    for one in sessions:
        count = seen[one.id] = seen.get(one.id, 0) + 1
        found.append(one if count == 1 else replace(one, id=f"{one.id}#{count}"))
    return found
