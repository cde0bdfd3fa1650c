"""What one period of a charging profile says in amps per phase, and how two such words combine.

A watt limit becomes amps with the *nominal* voltage and the phases of its period (K01.FR.49-51); limits of single phases count
with the lowest one (K01.FR.147). The lowest number of phases counts for all (K01.FR.140). Setpoints are held within the limits
beside them (V2X.03/04). An unknown state of charge counts as above every limitAtSoC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo

from controller.ocpp.profile_data import LimitAtSoC, Mode, Period, PerPhase, Schedule


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the profiles. See ``composite`` for the fields."""

    session_s: float
    voltage_v: float
    soc_percent: float | None = None
    offline_since_wall_s: float | None = None
    timezone: tzinfo | None = None
    delay_seed: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What one profile, or a layer of them, says at one moment, per phase [A]; see ``facts.LimitStep`` for the fields.

    total: the limit was said in watts for all phases together, and no other of its layer in amps or by phase.
    """

    limit_a: float | None
    discharge_a: float | None = None
    setpoint_a: float | None = None
    phase_count: int | None = None
    phase_to_use: int | None = None
    mode: Mode = Mode.CHARGING_ONLY
    total: bool = False


def said_by(period: Period, schedule: Schedule, known: Known) -> Said:
    """What a period says, per phase [A]."""
    if period.mode is Mode.IDLE:
        return Said(0.0, 0.0, None, _fewer(period), period.phase_to_use, period.mode)
    limit_a = _limit_a(period, schedule, known)
    discharge_a = None if period.discharge is None else _per_phase_a(period.discharge, period, schedule, known, max)
    setpoint_a = None if period.setpoint is None else _per_phase_a(period.setpoint, period, schedule, known, _mean)
    fewer, whole = _fewer(period), schedule.unit == "W" and (period.limit_l2, period.limit_l3) == (None, None)
    total = limit_a is not None and whole and fewer is None
    return Said(limit_a, discharge_a, _within(setpoint_a, limit_a, discharge_a), fewer, period.phase_to_use, period.mode, total)


def _fewer(period: Period) -> int | None:
    """Three phases mean: those there are."""
    return period.phase_count if period.phase_count < 3 else None


def _limit_a(period: Period, schedule: Schedule, known: Known) -> float | None:
    limits: list[float] = []
    if period.limit is not None:
        parts = [value for value in (period.limit_l2, period.limit_l3) if value is not None]
        if schedule.unit == "A":
            limits.append(min([period.limit, *parts]))
        else:
            limits.append(min([period.limit, *parts]) / known.voltage_v if parts else period.limit / (known.voltage_v * period.phase_count))
    if schedule.limit_at_soc is not None and _reached(schedule.limit_at_soc, known.soc_percent):
        limits.append(schedule.limit_at_soc.limit / (1.0 if schedule.unit == "A" else known.voltage_v * period.phase_count))
    return min(limits, default=None)


def _reached(at: LimitAtSoC, soc_percent: float | None) -> bool:
    return soc_percent is None or soc_percent >= at.soc_percent


def _per_phase_a(value: PerPhase, period: Period, schedule: Schedule, known: Known, choose: Callable[[Iterable[float]], float]) -> float:
    """A discharge limit or a setpoint per phase [A]: both are sums, in watts and in amps, unless they name their phases."""
    volts = 1.0 if schedule.unit == "A" else known.voltage_v
    return choose(part / volts for part in value.split) if value.split else value.total / (volts * period.phase_count)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _within(setpoint_a: float | None, limit_a: float | None, discharge_a: float | None) -> float | None:
    """A setpoint within its limits (V2X.03/04)."""
    if setpoint_a is None:
        return None
    bounded = setpoint_a if limit_a is None else min(setpoint_a, limit_a)
    return bounded if discharge_a is None else max(bounded, discharge_a)


def lower(one: Said | None, other: Said | None) -> Said | None:
    """Both at once: the lower limit, the lesser discharge, the fewer phases; mode and setpoint of ``other`` where it has one."""
    if one is None or other is None:
        return other if one is None else one
    limit_a, discharge_a = _least(one.limit_a, other.limit_a), _highest(one.discharge_a, other.discharge_a)
    setpoint_a = one.setpoint_a if other.setpoint_a is None else other.setpoint_a
    return Said(
        limit_a,
        discharge_a,
        _within(setpoint_a, limit_a, discharge_a),
        _fewest(one.phase_count, other.phase_count),
        one.phase_to_use if other.phase_to_use is None else other.phase_to_use,
        other.mode or one.mode,
        limit_a is not None and all(said.total or said.limit_a is None for said in (one, other)),
    )


def _least(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _fewest(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _highest(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)
