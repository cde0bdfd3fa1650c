"""Every soft rule that a plan breaks, with its price: what could not be kept, or was worth less than what was kept instead.

Read from the plan's own numbers, so it tells the truth about plans by rules too. Part of the booking; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from optimizer.books import Books
from optimizer.cars import usable_battery
from optimizer.problem import Problem, Slack, SlackKind, overload_key
from optimizer.weights import Weights, minimum_price, shortfall_price, weights
from optimizer.wires import Floats, Tree, exchange_limits_w

OVERLOAD_REPORT_A = 1e-3
"""Overdraw below this is a rounding error of the solver, not a message to a person [A]."""
SHORTFALL_REPORT_WH = 0.01
"""Shortfalls below this are rounding errors of the solver [Wh]."""
REPORT_W = 1.0
"""A power beyond its soft limit by less than this is a rounding error of the solver [W]."""


def broken_rules(problem: Problem, tree: Tree, books: Books) -> tuple[Slack, ...]:
    """All of them; price and cost are what the program weighs, not money somebody pays."""
    known = weights(problem)
    found = [*_wires(problem, tree, books, known), *_exchange(problem, books, known), *_cars(problem, books, known)]
    return (*found, *_battery(problem, books, known), *_wishes(problem, books))


def _worst(kind: SlackKind, where: str, beyond: Floats, hours: Floats, unit: str, kw_per_unit: float, per_kwh: float) -> Slack:
    """One broken limit of a power or current: the worst slot, and the cost of all."""
    slot = int(beyond.argmax())
    cost = float(np.maximum(0.0, beyond) @ hours) * kw_per_unit * per_kwh
    return Slack(kind, where, slot, float(beyond[slot]), unit, per_kwh * kw_per_unit * float(hours[slot]), cost)


def _wires(problem: Problem, tree: Tree, books: Books, known: Weights) -> Iterator[Slack]:
    kw_per_a = problem.voltage_v / 1000.0
    over = np.abs(books.flow_a) - books.limit_a
    for row, phase in np.argwhere(over.max(axis=1) > OVERLOAD_REPORT_A).tolist():
        key = overload_key(tree.bottom_up[row].node_id, phase)
        yield _worst(SlackKind.OVERLOAD, key, over[row, :, phase], books.hours, "A", kw_per_a, known.overload)
    for row, node in enumerate(tree.bottom_up):
        if node.max_unbalance_a is not None:
            beyond = books.flow_a[row].max(axis=1) - books.flow_a[row].min(axis=1) - max(0.0, node.max_unbalance_a)
            if beyond.max() > OVERLOAD_REPORT_A:
                yield _worst(SlackKind.UNBALANCE, node.node_id, beyond, books.hours, "A", kw_per_a, known.unbalance)


def _exchange(problem: Problem, books: Books, known: Weights) -> Iterator[Slack]:
    most_in, most_out = exchange_limits_w(problem)
    for kind, beyond in ((SlackKind.IMPORT, books.grid_w - most_in), (SlackKind.EXPORT, -books.grid_w - most_out)):
        if beyond.max() > REPORT_W:
            yield _worst(kind, "site", beyond / 1000.0, books.hours, "kW", 1.0, known.overload)


def _cars(problem: Problem, books: Books, known: Weights) -> Iterator[Slack]:
    lacking = books.need_wh - books.delivered_wh
    for car in np.flatnonzero(lacking > SHORTFALL_REPORT_WH).tolist():
        ev, kwh = problem.evs[car], float(lacking[car]) / 1000.0
        price = shortfall_price(problem, ev, known.energy)
        yield Slack(SlackKind.SHORTFALL, ev.ev_id, None, kwh, "kWh", price, price * kwh)
        least_kwh = min(max(0.0, ev.minimum_wh), float(books.need_wh[car])) / 1000.0 - float(books.delivered_wh[car]) / 1000.0
        if least_kwh * 1000.0 > SHORTFALL_REPORT_WH:
            price = minimum_price(known, problem, ev)
            yield Slack(SlackKind.MINIMUM, ev.ev_id, None, least_kwh, "kWh", price, price * least_kwh)


def _battery(problem: Problem, books: Books, known: Weights) -> Iterator[Slack]:
    battery = usable_battery(problem)
    if battery is None or battery.reserve_wh <= 0.0:
        return
    factor = np.where(books.battery_w > 0.0, battery.efficiency_one_way, 1.0 / battery.efficiency_one_way)
    under = battery.reserve_wh - battery.soc_wh - np.cumsum(books.battery_w * books.hours * factor)
    slot = int(under.argmax())
    if under[slot] > REPORT_W:
        kwh = float(under[slot]) / 1000.0
        yield Slack(SlackKind.BATTERY_RESERVE, "battery", slot, kwh, "kWh", known.battery_reserve, known.battery_reserve * kwh)


def _wishes(problem: Problem, books: Books) -> Iterator[Slack]:
    """Event reserve and setpoint."""
    missing = event_reserve_missing_w(problem, books)
    if missing is not None and missing.max() > REPORT_W:
        yield _worst(SlackKind.EVENT_RESERVE, "site", missing / 1000.0, books.hours, "kW", 1.0, problem.reserve_per_kwh)
    if any(watts is not None for watts in problem.grid_setpoint_w):
        wanted = zip(problem.grid_setpoint_w, books.grid_w.tolist(), strict=True)
        missed = np.array([0.0 if watts is None else abs(grid_w - watts) for watts, grid_w in wanted])
        if missed.max() > REPORT_W:
            yield _worst(SlackKind.SETPOINT, "site", missed / 1000.0, books.hours, "kW", 1.0, problem.setpoint_per_kwh)


def event_reserve_missing_w(problem: Problem, books: Books) -> Floats | None:
    """What the plan uses per slot of the import that was to be left free [W]; None when nobody asked."""
    if not any(watts > 0.0 for watts in problem.reserve_w):
        return None
    wanted = np.maximum(0.0, problem.reserve_w)
    most_in = np.minimum(exchange_limits_w(problem)[0], books.limit_a[-1].sum(axis=1) * problem.voltage_v)
    missing = np.maximum(0.0, books.grid_w - np.maximum(0.0, most_in - wanted))
    return np.asarray(np.minimum(wanted, missing), dtype=float)
