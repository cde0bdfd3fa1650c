"""The quick backtest: the same forecast, optimiser and rounding as in the box, on ideal cars in steps of five minutes.

No stations, no wires to talk over, no arbiter: a car takes exactly what it is given, at most ``max_power_w``, until it has what it wanted.
That is wrong in small things (acceptance curves, seconds until a station obeys) and fast enough for years of sessions; ``loop.py`` is the
slow and faithful one. Everything a policy is told is what the box would know at that moment: the sessions that are there, and the past.

Sessions are laid on the grid of steps first (``on_steps``), so that every policy and the perfect-foresight bound of ``bound.py`` play
the very same stays. Base load, PV and prices are taken as known a day ahead.

Powers W, energies Wh, times Unix seconds, currents A per phase; import and charging positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import process_time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controller.sim.backtest.outcome import CURVE_STEP_S, PolicyOutcome, Quarter, SessionOutcome
from optimizer.problem import Node, Slot, overload_key

STEP_S = 300.0
"""One step of the loop [s]: powers are constant within it."""
STEPS_PER_QUARTER = int(CURVE_STEP_S // STEP_S)
ENOUGH_WH = 1e-6
OVER_A = 1e-3
"""A current above its limit by less is a rounding error [A]."""

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Car:
    """One stay. wanted_wh: what it could take. stated_*: what its driver said. V2G where max_discharge_w > 0: then with a battery."""

    id: str
    evse: str
    node_id: str
    phases: tuple[int, ...]
    arrival_wall_s: float
    departure_wall_s: float
    wanted_wh: float
    max_power_w: float
    min_power_w: float = 0.0
    stated_wh: float | None = None
    stated_departure_wall_s: float | None = None
    user: str = ""
    max_discharge_w: float = 0.0
    capacity_wh: float = 0.0
    soc_wh: float = 0.0
    reserve_wh: float = 0.0
    efficiency: float = 1.0
    wear_per_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class World:
    """What the days bring. nodes: the tree with its limits, without loads; the first is the root.

    base_w, pv_w, buy_per_kwh, sell_per_kwh: one value per quarter hour from start_wall_s on, reaching a day or more beyond end_wall_s (plans
    look ahead). demand_per_kw: what a kW of the highest mean over window_s of this stretch costs. cars: by arrival, laid on steps.
    """

    site: str
    timezone: str
    currency: str
    voltage_v: float
    nodes: tuple[Node, ...]
    cars: tuple[Car, ...]
    start_wall_s: float
    end_wall_s: float
    base_w: Series
    pv_w: Series
    buy_per_kwh: Series
    sell_per_kwh: Series
    demand_per_kw: float = 0.0
    window_s: float = CURVE_STEP_S

    @property
    def quarters(self) -> int:
        """Quarter hours from start to end."""
        return round((self.end_wall_s - self.start_wall_s) / CURVE_STEP_S)

    def over(self, series: Series, slots: Sequence[Slot]) -> Series:
        """Means of a series over slots; its last value goes on."""
        starts = np.array([slot.start_wall_s for slot in slots])
        lengths = np.array([slot.duration_s for slot in slots])
        sums = np.concatenate(([0.0], np.cumsum(series)))
        at = np.arange(len(sums), dtype=float)
        begin, end = (starts - self.start_wall_s) / CURVE_STEP_S, (starts + lengths - self.start_wall_s) / CURVE_STEP_S
        beyond = np.maximum(0.0, end - at[-1]) - np.maximum(0.0, begin - at[-1])
        means: Series = (np.interp(end, at, sums) - np.interp(begin, at, sums) + beyond * series[-1]) / (lengths / CURVE_STEP_S)
        return means


def on_steps(cars: Iterable[Car], start_wall_s: float, end_wall_s: float, step_s: float = STEP_S) -> tuple[Car, ...]:
    """The cars that come between start and end, stays rounded to whole steps (at least one) and cut at the end, wishes to what the stay allows.

    Two stays on one EVSE never overlap: the later begins no sooner than the earlier ends. Cars that want nothing are left out.
    """
    free: dict[str, float] = {}
    laid = []
    for car in sorted(cars, key=lambda one: (one.arrival_wall_s, one.evse)):
        if not start_wall_s <= car.arrival_wall_s < end_wall_s or car.wanted_wh <= 0.0:
            continue
        begin_s = max(_rounded(car.arrival_wall_s, start_wall_s, step_s), free.get(car.evse, start_wall_s))
        end_s = min(max(_rounded(car.departure_wall_s, start_wall_s, step_s), begin_s + step_s), end_wall_s)
        if end_s <= begin_s:
            continue
        free[car.evse] = end_s
        most_wh = car.max_power_w * (end_s - begin_s) / 3600.0
        laid.append(replace(car, arrival_wall_s=begin_s, departure_wall_s=end_s, wanted_wh=min(car.wanted_wh, most_wh)))
    return tuple(sorted(laid, key=lambda one: (one.arrival_wall_s, one.id)))


def _rounded(wall_s: float, start_wall_s: float, step_s: float) -> float:
    return start_wall_s + round((wall_s - start_wall_s) / step_s) * step_s


# -- what a policy sees and says -----------------------------------------------------------------------


@dataclass(slots=True)
class Guest:
    """A car that is there. charged_wh, given_wh: into it and out of it, at the charger."""

    car: Car
    charged_wh: float = 0.0
    given_wh: float = 0.0
    power_w: float = 0.0

    @property
    def got_wh(self) -> float:
        """What it has of its wish [Wh]: charged, less what it takes to refill what was given."""
        return self.charged_wh - self.given_wh / self.car.efficiency**2

    @property
    def left_wh(self) -> float:
        """What is missing of its wish [Wh]."""
        return max(0.0, self.car.wanted_wh - self.got_wh)

    @property
    def soc_wh(self) -> float:
        """Stored energy [Wh]; means something only where a battery is simulated."""
        return self.car.soc_wh + self.car.efficiency * self.got_wh

    @property
    def room_wh(self) -> float:
        """What it could still take [Wh]: its wish, or the battery it may give from."""
        car = self.car
        return max(0.0, (car.capacity_wh - self.soc_wh) / car.efficiency) if car.max_discharge_w > 0 else self.left_wh


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known at the begin of a step. present: by id. peak_w: highest quarter hour so far. window_import_wh: of the running one, so far."""

    world: World
    now_wall_s: float
    present: Mapping[str, Guest]
    peak_w: float
    window_import_wh: float


class Policy(Protocol):
    """Decides the power of every car for one step [W], by car id; a missing car gets nothing."""

    @property
    def name(self) -> str:
        """Shown in results."""

    def powers(self, moment: Moment) -> Mapping[str, float]:
        """One step."""


# -- the loop ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Books:
    """What the meters have seen. loads: overload_key -> per step [A]."""

    ev_w: Series
    loads_a: dict[str, Series]
    done: dict[str, Guest] = field(default_factory=dict)
    peak_w: float = -math.inf
    window_wh: float = 0.0


def run(world: World, policy: Policy, on_progress: Callable[[float], None] | None = None) -> PolicyOutcome:
    """Play the world under a policy. on_progress: told the part done 0..1, at least once a day of the world."""
    began_s, steps = process_time(), round((world.end_wall_s - world.start_wall_s) / STEP_S)
    books = _Books(np.zeros(steps), {})
    present: dict[str, Guest] = {}
    coming = iter(world.cars)
    following = next(coming, None)
    for step in range(steps):
        now_s = world.start_wall_s + step * STEP_S
        for name in [name for name, guest in present.items() if guest.car.departure_wall_s <= now_s]:
            books.done[name] = present.pop(name)
        while following is not None and following.arrival_wall_s <= now_s:
            present[following.id] = Guest(following)
            following = next(coming, None)
        powers = policy.powers(Moment(world, now_s, present, max(books.peak_w, 0.0), books.window_wh)) if present else {}
        _play(world, books, step, present, powers)
        if on_progress is not None and step % 288 == 0:
            on_progress(step / steps)
    books.done.update(present)
    return replace(_outcome(world, policy.name, books), seconds=process_time() - began_s)


def _play(world: World, books: _Books, step: int, present: Mapping[str, Guest], powers: Mapping[str, float]) -> None:
    """One step of every car and of the meters."""
    for name, guest in present.items():
        guest.power_w = _taken_w(guest, powers.get(name, 0.0))
        guest.charged_wh += max(0.0, guest.power_w) * STEP_S / 3600.0
        guest.given_wh += max(0.0, -guest.power_w) * STEP_S / 3600.0
        books.ev_w[step] += guest.power_w
        if guest.power_w:
            _carry(world, books, step, guest)
    quarter = step // STEPS_PER_QUARTER
    grid_w = world.base_w[quarter] - world.pv_w[quarter] + books.ev_w[step]
    books.window_wh += grid_w * STEP_S / 3600.0
    if (world.start_wall_s + (step + 1) * STEP_S) % world.window_s == 0.0:
        books.peak_w, books.window_wh = max(books.peak_w, books.window_wh * 3600.0 / world.window_s), 0.0


def _taken_w(guest: Guest, offered_w: float) -> float:
    """What a car makes of an offer: never above its own most, never beyond its wish, its battery or (giving) its reserve."""
    car, hours = guest.car, STEP_S / 3600.0
    if offered_w >= 0.0 or car.max_discharge_w <= 0.0:
        return min(max(0.0, offered_w), car.max_power_w, guest.room_wh / hours)
    spare_wh = max(0.0, guest.soc_wh - car.reserve_wh) * car.efficiency
    return -min(-offered_w, car.max_discharge_w, spare_wh / hours)


def _carry(world: World, books: _Books, step: int, guest: Guest) -> None:
    """Add a car's current to every circuit above it."""
    amps = guest.power_w / (world.voltage_v * len(guest.car.phases))
    for node_id in path_of(world, guest.car.node_id):
        for phase in guest.car.phases:
            key = overload_key(node_id, phase)
            if key not in books.loads_a:
                books.loads_a[key] = np.zeros(len(books.ev_w))
            books.loads_a[key][step] += amps


def path_of(world: World, node_id: str) -> tuple[str, ...]:
    """The node and all above it, the root as the last."""
    parents = {node.node_id: node.parent for node in world.nodes}
    names = []
    at: str | None = node_id
    while at is not None:
        names.append(at)
        at = parents[at]
    return tuple(names)


# -- the result ----------------------------------------------------------------------------------------


def _outcome(world: World, name: str, books: _Books) -> PolicyOutcome:
    quarters = world.quarters
    ev_w = books.ev_w.reshape(quarters, STEPS_PER_QUARTER).mean(axis=1)
    base_w = world.base_w[:quarters] - world.pv_w[:quarters]
    energy, demand, peak_w = bill(world, base_w + ev_w)
    base_energy, base_demand, _ = bill(world, base_w)
    wear = sum(guest.given_wh / 1000.0 * guest.car.wear_per_kwh for guest in books.done.values())
    limits = _limits(world)
    for phase in (0, 1, 2):  # what flows through the grid connection beside the cars
        key = overload_key(world.nodes[0].node_id, phase)
        beside = np.repeat(base_w, STEPS_PER_QUARTER) / (3.0 * world.voltage_v)
        books.loads_a[key] = np.abs(books.loads_a.get(key, 0.0) + beside)
    over = {key: float((amps > limits[key] + OVER_A).sum() * STEP_S) for key, amps in books.loads_a.items()}
    worst = {key: float(amps.max() / limits[key]) if limits[key] > 0 else math.inf for key, amps in books.loads_a.items()}
    sessions = tuple(_told(guest) for _, guest in sorted(books.done.items()))
    curve = tuple(_curve(world, books, ev_w, limits))
    over = {key: seconds for key, seconds in over.items() if seconds > 0}
    return PolicyOutcome(name, energy, demand, wear, base_energy + base_demand, peak_w, sessions, curve, over, worst)


def bill(world: World, grid_w: Series) -> tuple[float, float, float]:
    """(energy cost, demand cost, peak [W]) of a grid power per quarter hour."""
    count = len(grid_w)
    prices = np.where(grid_w > 0, world.buy_per_kwh[:count], world.sell_per_kwh[:count])
    peak_w = max(0.0, float(_window_means(world, grid_w).max())) if count else 0.0
    return float((grid_w * prices).sum() * CURVE_STEP_S / 3.6e6), world.demand_per_kw * peak_w / 1000.0, peak_w


def _window_means(world: World, grid_w: Series) -> Series:
    """Mean import of each window of the demand charge [W]; one that is not whole counts as if nothing flowed in the rest."""
    begins = (world.start_wall_s + np.arange(len(grid_w)) * CURVE_STEP_S) // world.window_s
    means: Series = np.bincount((begins - begins[0]).astype(int), grid_w).astype(np.float64) * (CURVE_STEP_S / world.window_s)
    return means


def _limits(world: World) -> dict[str, float]:
    return {overload_key(node.node_id, phase): node.limit_a[phase] for node in world.nodes for phase in (0, 1, 2)}


def _told(guest: Guest) -> SessionOutcome:
    car = guest.car
    return SessionOutcome(
        id=car.id,
        evse=car.evse,
        arrival_wall_s=car.arrival_wall_s,
        departure_wall_s=car.departure_wall_s,
        wanted_wh=car.wanted_wh,
        delivered_wh=min(car.wanted_wh, guest.got_wh),
        stated_wh=car.stated_wh,
        stated_departure_wall_s=car.stated_departure_wall_s,
        given_wh=guest.given_wh,
    )


def _curve(world: World, books: _Books, ev_w: Series, limits: Mapping[str, float]) -> Iterator[Quarter]:
    shares: dict[str, Series] = {}
    for key, amps in books.loads_a.items():
        node_id = key.rsplit("/", 1)[0]
        share = amps.reshape(-1, STEPS_PER_QUARTER).max(axis=1) / max(limits[key], 1e-9)
        shares[node_id] = np.maximum(shares[node_id], share) if node_id in shares else share
    for quarter in range(world.quarters):
        base, pv = float(world.base_w[quarter]), float(world.pv_w[quarter])
        ev = float(ev_w[quarter])
        loads = {node_id: float(share[quarter]) for node_id, share in shares.items()}
        prices = float(world.buy_per_kwh[quarter]), float(world.sell_per_kwh[quarter])
        yield Quarter(world.start_wall_s + quarter * CURVE_STEP_S, base - pv + ev, ev, base, pv, 0.0, *prices, loads)
