"""The verifier's view of the soft rules: what a plan breaks it must admit, in the right amount, and nothing else.

Part of ``check.py``, with arithmetic of its own. Where the words of a rule leave two honest readings (what lacks in a reserve: in the
worst slot, or in all) either will do; where every reading says "kept", no admission is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from optimizer.check_desk import Desk
from optimizer.problem import EXPORT_OVERLOAD, IMPORT_OVERLOAD, Slack, SlackKind

Finding = tuple[SlackKind, str, float]
"""(rule, where, by how much the admission is wrong)."""
Readings = dict[tuple[SlackKind, str], tuple[float, ...]]
"""What is broken, in W, A or Wh, by each honest reading."""


def misreported(desk: Desk) -> Iterator[Finding]:
    """Broken rules that the plan conceals, belittles or invents."""
    broken = _broken(desk)
    admitted = {(slack.kind, slack.where): _plain_amount(desk, slack) for slack in desk.plan.slacks}
    for (kind, where), readings in broken.items():
        told, accepted = admitted.pop((kind, where), 0.0), _accepted(desk, kind)
        wrong = min(abs(told - reading) for reading in readings)
        if not wrong <= accepted:
            yield kind, where, wrong
    for (kind, where), told in admitted.items():
        if not abs(told) <= _accepted(desk, kind):
            yield kind, where, told


def _plain_amount(desk: Desk, slack: Slack) -> float:
    """The admitted amount in W, Wh or A."""
    if slack.unit == "A" and slack.kind in (SlackKind.IMPORT, SlackKind.EXPORT):
        return slack.amount * desk.problem.voltage_v
    return slack.amount * (1000.0 if slack.unit in ("kW", "kWh") else 1.0)


def _accepted(desk: Desk, kind: SlackKind) -> float:
    """Error of an amount that follows from the tolerated error of a current."""
    if kind in (SlackKind.OVERLOAD, SlackKind.UNBALANCE):
        return 2.0 * desk.amps
    return 3.0 * desk.watts


def _broken(desk: Desk) -> Readings:
    """Every rule that is broken at all."""
    found: Readings = {}
    for add in (_overloads, _unbalance, _needs, _battery_reserve, _event_reserve, _setpoint):
        add(desk, found)
    return found


def _note(found: Readings, kind: SlackKind, where: str, *readings: float) -> None:
    if max(readings) > 0.0:
        found[kind, where] = tuple(max(0.0, reading) for reading in readings)


# -- wires ----------------------------------------------------------------------------------------


def _overloads(desk: Desk, found: Readings) -> None:
    """As ``overload_a`` tells them: whether that is true is another question, asked elsewhere."""
    site = {IMPORT_OVERLOAD: SlackKind.IMPORT, EXPORT_OVERLOAD: SlackKind.EXPORT}
    for key, amps in desk.plan.overload_a.items():
        if key in site:
            _note(found, site[key], "site", amps * desk.problem.voltage_v)
        else:
            _note(found, SlackKind.OVERLOAD, key, amps)


def _unbalance(desk: Desk, found: Readings) -> None:
    for index, node in enumerate(desk.problem.nodes):
        if node.max_unbalance_a is not None:
            spread = desk.flow_a[index].max(axis=0) - desk.flow_a[index].min(axis=0)
            _note(found, SlackKind.UNBALANCE, node.node_id, float(spread.max()) - max(0.0, node.max_unbalance_a))


# -- cars -----------------------------------------------------------------------------------------


def _needs(desk: Desk, found: Readings) -> None:
    for row, ev in enumerate(desk.problem.evs):
        short_wh = desk.plan.shortfall_wh.get(ev.ev_id, 0.0)
        _note(found, SlackKind.SHORTFALL, ev.ev_id, short_wh)
        if ev.minimum_wh > 0.0:
            least_wh = min(ev.minimum_wh, desk.delivered_wh[row] + short_wh)
            _note(found, SlackKind.MINIMUM, ev.ev_id, least_wh - float(desk.delivered_wh[row]))


# -- battery and grid -----------------------------------------------------------------------------


def _battery_reserve(desk: Desk, found: Readings) -> None:
    battery = desk.problem.battery
    if battery is None or battery.reserve_wh <= 0.0 or not 0.0 < battery.efficiency_one_way <= 1.0 or battery.capacity_wh <= 0.0:
        return
    if not math.isfinite(battery.capacity_wh + battery.soc_wh + battery.reserve_wh):
        return
    start_wh = min(max(0.0, battery.soc_wh), battery.capacity_wh)
    factor = np.where(desk.battery_w > 0.0, battery.efficiency_one_way, 1.0 / battery.efficiency_one_way)
    stored_wh = start_wh + np.cumsum(desk.battery_w * desk.hours * factor)
    under_wh = min(battery.reserve_wh, battery.capacity_wh) - stored_wh
    _note(found, SlackKind.BATTERY_RESERVE, "battery", float(under_wh.max()), float(np.maximum(under_wh, 0.0).sum()))


def _event_reserve(desk: Desk, found: Readings) -> None:
    problem = desk.problem
    if not problem.reserve_w:
        return
    most_w = problem.voltage_v * desk.limit_a[desk.root].sum(axis=0)
    if problem.import_limit_w:
        most_w = np.minimum(most_w, np.maximum(0.0, np.array(problem.import_limit_w, dtype=float)))
    wanted_w = np.maximum(0.0, np.array(problem.reserve_w, dtype=float))
    missing_w = np.where(wanted_w > 0.0, desk.exchange_w - np.maximum(0.0, most_w - wanted_w), 0.0)
    _note(found, SlackKind.EVENT_RESERVE, "site", float(np.minimum(missing_w, wanted_w).max()), float(missing_w.max()))


def _setpoint(desk: Desk, found: Readings) -> None:
    wanted = desk.problem.grid_setpoint_w
    missed: Callable[[int, float], float] = lambda slot, watts: abs(float(desk.exchange_w[slot]) - watts)  # noqa: E731
    if wanted:
        _note(found, SlackKind.SETPOINT, "site", max([0.0, *(missed(slot, watts) for slot, watts in enumerate(wanted) if watts is not None)]))


# -- the peak -------------------------------------------------------------------------------------


def mean_import_w(desk: Desk) -> float:
    """Highest mean import of a demand window, what the running one has imported before included."""
    problem, window_s = desk.problem, desk.problem.demand_window_s
    imported_wh: dict[int, float] = {math.floor(desk.begin_s[0] / window_s): max(0.0, problem.window_import_wh)}
    highest_w = 0.0
    for begin_s, length_s, watts in zip(desk.begin_s.tolist(), desk.length_s.tolist(), desk.grid_w.tolist(), strict=True):
        first, last = math.floor(begin_s / window_s), math.ceil((begin_s + length_s) / window_s - 1e-9) - 1
        if last - first > 1:
            highest_w = max(highest_w, watts)  # whole windows inside the slot
        for window in {first, last}:
            seconds = min(begin_s + length_s, (window + 1) * window_s) - max(begin_s, window * window_s)
            imported_wh[window] = imported_wh.get(window, 0.0) + max(0.0, watts) * seconds / 3600.0
    return max(highest_w, *(energy_wh * 3600.0 / window_s for energy_wh in imported_wh.values()))
