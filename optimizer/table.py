"""A plan as a table for a person: one line per car, one per hour, and what it costs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from optimizer.problem import Plan, Problem, ShadowPrice, Slack, SlackKind

MOST_LINES = 12
"""Slacks and limits beyond the dearest ones are only summed up."""


def as_table(problem: Problem, plan: Plan, timezone: str = "UTC") -> str:
    """Plain text, times in ``timezone``."""
    zone: tzinfo = UTC if timezone == "UTC" else ZoneInfo(timezone)
    sections = [_summary(problem, plan), _broken(problem, plan, zone), _dear_limits(problem, plan), _cars(problem, plan, zone)]
    blocks = [list(lines) for lines in (*sections, _hours(problem, plan, zone))]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _summary(problem: Problem, plan: Plan) -> Iterator[str]:
    way = f" ({plan.way})" if plan.way else ""
    yield f"{plan.status.value} by {plan.solver}{way} in {plan.solve_s * 1000:.0f} ms: {len(plan.ev_power_w)} cars, {len(plan.slots)} slots"
    yield f"cost {plan.cost:.2f} {problem.currency}, peak {plan.peak_w / 1000:.1f} kW, shortfall {sum(plan.shortfall_wh.values()) / 1000:.1f} kWh"
    for where, amps in sorted(plan.overload_a.items()):
        yield f"OVERLOAD {where} by {amps:.1f} A: other loads alone exceed this limit"


def _broken(problem: Problem, plan: Plan, zone: tzinfo) -> Iterator[str]:
    """Soft rules that the plan breaks, the dearest first. An overload also stands in the summary: it must not be overlooked."""
    dearest = sorted(plan.slacks, key=lambda slack: -slack.cost)
    if dearest:
        yield f"not kept{'':<12}{'where':<24}{'by':>9}      {'worst':<13}{'weight':>12}"
    for slack in dearest[:MOST_LINES]:
        worst = _clock(plan, slack, zone)
        yield f"{_WORDS[slack.kind]:<20}{slack.where:<24}{slack.amount:>9.2f} {slack.unit:<4} {worst:<13}{slack.cost:>12.2f}"
    if len(dearest) > MOST_LINES:
        yield f"and {len(dearest) - MOST_LINES} more, together {sum(slack.cost for slack in dearest[MOST_LINES:]):.2f}"


def _clock(plan: Plan, slack: Slack, zone: tzinfo) -> str:
    if slack.slot is None:
        return ""
    return datetime.fromtimestamp(plan.slots[slack.slot].start_wall_s, zone).strftime("%d.%m. %H:%M")


_WORDS = {
    SlackKind.OVERLOAD: "current limit",
    SlackKind.IMPORT: "import limit",
    SlackKind.EXPORT: "export limit",
    SlackKind.UNBALANCE: "unbalance",
    SlackKind.MINIMUM: "minimum energy",
    SlackKind.SHORTFALL: "energy",
    SlackKind.BATTERY_RESERVE: "battery reserve",
    SlackKind.EVENT_RESERVE: "event reserve",
    SlackKind.SETPOINT: "grid setpoint",
}


def _dear_limits(problem: Problem, plan: Plan) -> Iterator[str]:
    """What one more unit of a limit would save, the dearest first."""
    dearest = sorted(plan.shadow, key=lambda price: -abs(price.per_unit))
    if dearest:
        yield f"{'limit that costs':<32}{'one more would save':>20}{'':<9}slots"
    for price in dearest[:MOST_LINES]:
        unit = f"{problem.currency}/{'kW' if price.phase is None and price.where in ('import', 'export', 'peak') else 'A'}"
        yield f"{_place(price):<32}{price.per_unit:>20.4f} {unit:<8}{sum(value != 0.0 for value in price.slots)}"


def _place(price: ShadowPrice) -> str:
    return price.where if price.phase is None else f"{price.where} L{price.phase + 1}"


def _cars(problem: Problem, plan: Plan, zone: tzinfo) -> Iterator[str]:
    yield f"{'car':<16}{'node':<12}{'phases':<8}{'until':<13}{'need kWh':>9}{'in kWh':>8}{'out kWh':>8}{'short':>7}"
    for ev in problem.evs:
        row = [watts * slot.hours / 1000 for watts, slot in zip(plan.ev_power_w[ev.ev_id], plan.slots, strict=True)]
        taken, given = sum(kwh for kwh in row if kwh > 0), -sum(kwh for kwh in row if kwh < 0)
        end_s = min(ev.departure_wall_s, plan.slots[-1].start_wall_s + plan.slots[-1].duration_s)
        until = datetime.fromtimestamp(end_s, zone).strftime("%d.%m. %H:%M")
        names = "".join(str(phase + 1) for phase in ev.phases)
        short = plan.shortfall_wh.get(ev.ev_id, 0.0) / 1000
        yield f"{ev.ev_id:<16}{ev.node_id:<12}L{names:<7}{until:<13}{ev.energy_need_wh / 1000:>9.1f}{taken:>8.1f}{given:>8.1f}{short:>7.1f}"


def _hours(problem: Problem, plan: Plan, zone: tzinfo) -> Iterator[str]:
    yield f"{'from':<13}{'grid kW':>8}{'cars kW':>8}{'batt kW':>8}{'PV kW':>8}{'lost PV':>8}{'buy':>8}"
    for first, count in _by_hour(plan):
        several = range(first, first + count)
        start = datetime.fromtimestamp(plan.slots[first].start_wall_s, zone).strftime("%d.%m. %H:%M")
        cars = [sum(row[slot] for row in plan.ev_power_w.values()) for slot in several]
        columns = [[plan.grid_power_w[slot] for slot in several], cars, _some(plan.battery_power_w, several)]
        columns += [[problem.pv_w[slot] for slot in several], _some(plan.pv_curtailed_w, several)]
        means = "".join(f"{_mean(plan, several, values) / 1000:>8.1f}" for values in columns)
        yield f"{start:<13}{means}{_mean(plan, several, [problem.buy_per_kwh[slot] for slot in several]):>8.3f}"


def _by_hour(plan: Plan) -> Iterator[tuple[int, int]]:
    """Runs of slots that begin in the same clock hour: (first index, how many)."""
    first = 0
    for index in range(1, len(plan.slots) + 1):
        if index == len(plan.slots) or plan.slots[index].start_wall_s // 3600 != plan.slots[first].start_wall_s // 3600:
            yield first, index - first
            first = index


def _some(values: tuple[float, ...], slots: range) -> list[float]:
    return [values[slot] if values else 0.0 for slot in slots]


def _mean(plan: Plan, slots: range, values: list[float]) -> float:
    weights = [plan.slots[slot].duration_s for slot in slots]
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)
