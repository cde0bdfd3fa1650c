"""The numbers that follow from a set of powers: flows, exchange, peak, what each car gets. Arrays, for ``booking.py`` and ``slacks.py``.

Powers W, energies Wh, currents A per phase; charging and import positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimizer.cars import may_discharge, need_wh
from optimizer.problem import Ev, Problem
from optimizer.weights import demand_windows
from optimizer.wires import Floats, Tree, limits_a


@dataclass(frozen=True, slots=True)
class Powers:
    """What somebody decided: W per slot for each car (negative = discharge), the battery, PV thrown away."""

    evs: Mapping[str, Sequence[float]]
    battery: Sequence[float]
    curtailed: Sequence[float]


@dataclass(frozen=True, slots=True)
class Books:
    """A plan's numbers as arrays. ev_w (car, slot); flow_a (node in ``Tree.bottom_up``, slot, phase); grid_w, battery_w (slot);
    delivered_wh, need_wh (car); peak_w."""

    hours: Floats
    ev_w: Floats
    flow_a: Floats
    limit_a: Floats
    grid_w: Floats
    battery_w: Floats
    delivered_wh: Floats
    need_wh: Floats
    peak_w: float


def keep_books(problem: Problem, tree: Tree, powers: Powers) -> Books:
    """All that follows from the powers."""
    count = len(problem.slots)
    hours = np.array([slot.duration_s for slot in problem.slots]) / 3600.0
    ev_w = np.array([powers.evs[ev.ev_id] for ev in problem.evs], dtype=float).reshape(len(problem.evs), count)
    battery_w = np.array(powers.battery, dtype=float)
    site_w = np.array(powers.curtailed, dtype=float) - np.maximum(0.0, problem.pv_w) + battery_w
    flow_a = node_flows(problem, tree, ev_w, site_w)
    grid_w = flow_a[-1].sum(axis=1) * problem.voltage_v
    delivered, need = _delivered_wh(problem.evs, ev_w, hours), np.array([need_wh(ev) for ev in problem.evs])
    limits = limits_a(tree.bottom_up, count)
    return Books(hours, ev_w, flow_a, limits, grid_w, battery_w, delivered, need, peak_w(problem, grid_w, hours))


def node_flows(problem: Problem, tree: Tree, ev_w: Floats, site_w: Floats) -> Floats:
    """Current (node, slot, phase) [A] from the cars' powers (car, slot); at the root PV and battery are included."""
    drawn = np.zeros_like(tree.fixed)
    for (row, phases), watts in _summed_by_group(problem.evs, tree, ev_w).items():
        drawn[row][:, phases] += (watts / (problem.voltage_v * len(phases)))[:, None]
    drawn = tree.summed_up(drawn)
    drawn[-1][:, tree.site_phases] += (site_w / (problem.voltage_v * len(tree.site_phases)))[:, None]
    drawn += tree.fixed
    return drawn


def _summed_by_group(evs: Sequence[Ev], tree: Tree, ev_w: Floats) -> dict[tuple[int, tuple[int, ...]], Floats]:
    """Power per node and set of phases: summing first and spreading once is much faster than car by car."""
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for car, ev in enumerate(evs):
        groups.setdefault((tree.place[ev.node_id], ev.phases), []).append(car)
    return {key: ev_w[cars].sum(axis=0) for key, cars in groups.items()}


def _delivered_wh(evs: Sequence[Ev], ev_w: Floats, hours: Floats) -> Floats:
    """Energy at each charger [Wh]; what a car gave back has to be put in again, losses included."""
    given = np.maximum(-ev_w, 0.0) @ hours
    loss = np.array([ev.efficiency if may_discharge(ev) else 1.0 for ev in evs]) ** 2
    return np.asarray(np.maximum(ev_w, 0.0) @ hours - given / loss, dtype=float)


def delivered_wh(problem: Problem, ev: Ev, watts: Sequence[float]) -> float:
    """Energy at the charger of one car [Wh]; what it gave back has to be put in again, losses included."""
    hours = np.array([slot.duration_s for slot in problem.slots]) / 3600.0
    return float(_delivered_wh([ev], np.array([watts], dtype=float), hours)[0])


def peak_w(problem: Problem, grid_w: npt.ArrayLike, hours: Floats) -> float:
    """Highest mean import of a demand window [W], what the running one imported before included."""
    imported_wh = np.maximum(0.0, grid_w) * hours
    highest = 0.0
    for window in demand_windows(problem):
        before_wh = max(0.0, problem.window_import_wh) if window.running else 0.0
        highest = max(highest, (before_wh + sum(part * float(imported_wh[slot]) for slot, part in window.parts)) / window.hours)
    return highest
