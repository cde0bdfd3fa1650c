"""What our own CALLs to a station have in common in all versions: limits, schedules, and what its answers say.

A limit is cut down to 0.1 in every version and both units, never up, and always carries its number of
phases, for an absent one counts as three (K01.FR.49). A limit in W is the sum over the phases at nominal
voltage (K01.FR.50/51). Pure: no clock, no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from controller.facts import LimitStep, Stamp
from controller.ocpp.dialect import Payload, Setpoint
from controller.ocpp.profile_fields import rounded_down
from controller.ocpp.samples import number
from controller.ocpp.times import timestamp, wall_time
from controller.orders import Strategy

STATION_MAX: Final = "station_max"
FLOOR_BEGAN: Final = "2000-01-01T00:00:00.000Z"
"""Start of a floor that may not be Relative (K01.FR.38): before any date a station may think it has."""
RETRY_UNTOLD_S: Final = 60.0
"""Wait when a station says that it was too often, but not for how long [s]."""
LONGEST_RETRY_S: Final = 86_400.0
CLOCK_APART_S: Final = 60.0
LONG_BEGUN_S: Final = 2 * 86_400.0
"""A composite may begin with the schedule it comes from, which may have begun a day ago and more (``own_profiles.BACK_S``) [s]."""


# -- what we write -------------------------------------------------------------------------------------


def purpose(strategy: Strategy, has_transaction: bool) -> str:
    """The purpose a setpoint really gets: no TxProfile without a transaction to belong to."""
    return "tx_default" if strategy.purpose == "tx" and not has_transaction else strategy.purpose


def kind(strategy: Strategy) -> str:
    """Absolute or Relative; the station's own maximum is never Relative (K01.FR.38)."""
    return "Relative" if strategy.relative and strategy.purpose != STATION_MAX else "Absolute"


def place(strategy: Strategy, evse_id: int) -> int:
    """Where a profile of this strategy belongs: 0 = the whole station."""
    return 0 if strategy.purpose == STATION_MAX else evse_id


def duration_s(setpoint: Setpoint) -> int:
    """Whole seconds from the start of its schedule to its end."""
    return max(1, round(setpoint.until_wall_s - setpoint.start_wall_s))


def limit(limit_a: float, phase_count: int, unit: str, voltage_v: float) -> float:
    """A limit per phase [A] in the unit of the station, never above what was meant."""
    return rounded_down(limit_a * voltage_v * phase_count if unit == "W" else limit_a)


def toward_zero(power_w: float) -> float:
    """A signed setpoint cut to 0.1: neither direction gets more than was meant."""
    return rounded_down(power_w) if power_w >= 0 else -rounded_down(-power_w)


def phases(setpoint: Setpoint) -> Payload:
    """The phase fields of a period; phaseToUse only with one phase (K01.FR.19), nothing for a DC EVSE that asked for it."""
    if not setpoint.name_phases:
        return {}
    chosen = setpoint.phase_count == 1 and setpoint.phase_to_use in (1, 2, 3)
    return {"numberPhases": setpoint.phase_count} | ({"phaseToUse": setpoint.phase_to_use} if chosen else {})


def schedule(setpoint: Setpoint, period: Payload) -> Payload:
    """One schedule of finite life with one period: from its date on, or from the session on."""
    began = {} if kind(setpoint.strategy) == "Relative" else {"startSchedule": timestamp(setpoint.start_wall_s)}
    return {**began, "duration": duration_s(setpoint), "chargingRateUnit": setpoint.strategy.unit, "chargingSchedulePeriod": [period]}


def limit_period(setpoint: Setpoint) -> Payload:
    """The one period of a plain setpoint."""
    found = limit(setpoint.limit_a, setpoint.phase_count, setpoint.strategy.unit, setpoint.voltage_v)
    return {"startPeriod": 0, "limit": found, **phases(setpoint)}


def floor_schedule(setpoint: Setpoint) -> Payload:
    """The endless schedule of a floor, see ``floor_kind``."""
    began = {"startSchedule": FLOOR_BEGAN} if setpoint.strategy.purpose == STATION_MAX else {}
    return {**began, "chargingRateUnit": setpoint.strategy.unit, "chargingSchedulePeriod": [limit_period(setpoint)]}


def floor_kind(strategy: Strategy) -> str:
    """A floor counts from each session, the station's own maximum from long ago."""
    return "Absolute" if strategy.purpose == STATION_MAX else "Relative"


# -- what the station answers -----------------------------------------------------------------------------


def composite(schedule: Any, start: Any, at: Stamp, asked_s: float, voltage_v: float, phase_count: int) -> tuple[LimitStep, ...]:
    """The limits per phase [A] of a composite schedule a station reports, from now on; () if it has none (16.9).

    Stations answer in a unit of their choice, longer than asked, from a moment before now, or empty. phase_count: of the
    EVSE, for limits in W without phases. limit_a None: no limit, or none that can be read.
    """
    values = schedule.get("chargingSchedulePeriod") if isinstance(schedule, dict) else None
    if not isinstance(schedule, dict) or not isinstance(values, list):
        return ()
    begins_wall_s = _begins(schedule, start, at, asked_s)
    found = [_composite_step(value, begins_wall_s, schedule.get("chargingRateUnit") == "W", voltage_v, phase_count) for value in values]
    steps = sorted((step for step in found if step is not None), key=lambda step: step.start_wall_s)
    now = sum(1 for step in steps if step.start_wall_s <= at.wall_s)
    return tuple(step for step in steps[max(0, now - 1) :] if step.start_wall_s <= at.wall_s + asked_s)


def _begins(schedule: Payload, start: Any, at: Stamp, asked_s: float) -> float:
    """When it begins by our clock: now, as asked, unless it is so much longer that it may have begun before."""
    said_wall_s, length_s = wall_time(start), number(schedule.get("duration"))
    longer = length_s is not None and length_s > asked_s + CLOCK_APART_S
    if said_wall_s is None or not longer or not CLOCK_APART_S < at.wall_s - said_wall_s < LONG_BEGUN_S:
        return at.wall_s
    return said_wall_s


def _composite_step(value: Any, begins_wall_s: float, in_w: bool, voltage_v: float, phase_count: int) -> LimitStep | None:
    if not isinstance(value, dict):
        return None
    said = value.get("numberPhases")
    count = said if isinstance(said, int) and 1 <= said <= 3 else phase_count
    amount = _imported(value)
    limit_a = amount / (voltage_v * count) if amount is not None and in_w else amount
    return LimitStep(begins_wall_s + max(0.0, number(value.get("startPeriod")) or 0.0), limit_a)


def _imported(period: Payload) -> float | None:
    """The most a period lets flow into the car, in its unit; None = no limit. 2.1: a setpoint instead of a limit, or Idle."""
    if period.get("operationMode") == "Idle":
        return 0.0
    limited, setpoint = number(period.get("limit")), number(period.get("setpoint"))
    bounds = [limited] if limited is not None and limited >= 0 else []
    return min([*bounds, *([] if setpoint is None else [max(setpoint, 0.0)])], default=None)


def retry_after_s(payload: Payload) -> float | None:
    """How long a station that answers RateLimitExceeded wants to be left alone [s]; None if that is not its answer (K01.FR.56-59)."""
    info = payload.get("statusInfo")
    if not isinstance(info, dict) or str(info.get("reasonCode", "")).lower() != "ratelimitexceeded":
        return None
    told = re.search(r"\d{1,9}(?:\.\d{1,3})?", str(info.get("additionalInfo", "")))
    return min(max(float(told.group()), 1.0), LONGEST_RETRY_S) if told else RETRY_UNTOLD_S


def highest_a(steps: Sequence[LimitStep]) -> float | None:
    """The highest limit per phase [A] of some steps; None if there are none, or one of them has no limit."""
    limits = [step.limit_a for step in steps]
    return max(limit_a for limit_a in limits if limit_a is not None) if limits and None not in limits else None
