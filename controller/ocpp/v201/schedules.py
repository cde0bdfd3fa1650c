"""Charging profiles and schedules of 2.1 in 2.0.1 (OCPP-NOTES 5.8, 6.1, 12.12).

A command that 2.0.1 cannot say in full is refused: a station that leaves out half of it would draw more than it may. A report says as
much as it can.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from controller.ocpp.hub import Payload
from controller.ocpp.v2.passing import inner, items, real
from controller.ocpp.v201.words import KINDS_OF_21, PURPOSES_OF_21

TENTH: Final = Decimal("0.1")

_PROFILE_PARTS: Final = ("maxOfflineDuration", "invalidAfterOfflineDuration", "dynUpdateInterval")
_SCHEDULE_PARTS: Final = ("limitAtSoC", "useLocalTime", "randomizedDelay")
_PERIOD_PARTS: Final = (
    *("limit_L2", "limit_L3", "dischargeLimit", "dischargeLimit_L2", "dischargeLimit_L3", "setpoint", "setpoint_L2", "setpoint_L3"),
    *("setpointReactive", "setpointReactive_L2", "setpointReactive_L3", "v2xBaseline", "v2xFreqWattCurve", "v2xSignalWattCurve"),
)


# -- commands ------------------------------------------------------------------------------------------------


def unsayable(profile: Payload) -> tuple[str, str] | None:
    """(reason code, what) if a profile of 2.1 asks for something a 2.0.1 station does not know; None if it can be said."""
    if profile.get("chargingProfileKind") in KINDS_OF_21:
        return "UnsupportedKind", "a 2.0.1 station has no Dynamic profiles"
    if profile.get("chargingProfilePurpose") in PURPOSES_OF_21:
        return "UnsupportedPurpose", "a 2.0.1 station does not have this purpose"
    schedules = items(profile, "chargingSchedule")
    periods = [period for schedule in schedules for period in items(schedule, "chargingSchedulePeriod")]
    if any(period.get("operationMode", "ChargingOnly") != "ChargingOnly" for period in periods):
        return "InvalidOperationMode", "a 2.0.1 station only charges"
    extra = [*_used(profile, _PROFILE_PARTS), *_each(schedules, _SCHEDULE_PARTS), *_each(periods, _PERIOD_PARTS)]
    if extra:
        return "UnsupportedParam", f"a 2.0.1 station does not know {extra[0]}"
    if not all(real(period.get("limit")) for period in periods):
        return "InvalidSchedule", "a 2.0.1 station needs a limit in every period"
    return None


def _each(holders: list[Payload], names: tuple[str, ...]) -> list[str]:
    return [name for holder in holders for name in _used(holder, names)]


def _used(holder: Payload, names: tuple[str, ...]) -> list[str]:
    """Those of the names that mean something here: false and no delay do not."""
    return [name for name in names if name in holder and holder[name] is not None and holder[name] is not False and not _no_delay(name, holder[name])]


def _no_delay(name: str, value: Any) -> bool:
    return name in ("randomizedDelay", "dynUpdateInterval") and real(value) and value == 0


def command(profile: Payload) -> Payload:
    """A sayable profile with its limits rounded down to a tenth, as 2.0.1 wants them (K01), and least rates rounded up."""
    return {**profile, "chargingSchedule": [_rounded(schedule) for schedule in items(profile, "chargingSchedule")]}


def _rounded(schedule: Payload) -> Payload:
    periods = [{**period, "limit": down(period.get("limit"))} for period in items(schedule, "chargingSchedulePeriod")]
    made = {**schedule, "chargingSchedulePeriod": periods}
    if real(schedule.get("minChargingRate")):
        made["minChargingRate"] = _tenths(schedule["minChargingRate"], ROUND_CEILING)
    return made


def down(value: Any) -> Any:
    """A limit rounded down to a tenth; what is no number stays."""
    return _tenths(value, ROUND_FLOOR) if real(value) else value


def _tenths(value: float, rounding: str) -> float:
    exact = Decimal(repr(value))
    rounded = exact.quantize(TENTH, rounding) if exact.is_finite() and abs(exact) < Decimal(10) ** 15 else exact
    return value if rounded == exact else float(rounded)


# -- reports ------------------------------------------------------------------------------------------------------


def told(schedule: Payload) -> Payload | None:
    """A schedule for information; None if it holds a period whose limit 2.0.1 has no number for."""
    unit = schedule.get("chargingRateUnit")
    periods = []
    for period in items(schedule, "chargingSchedulePeriod"):
        limit = _flowing(period, unit)
        if limit is None:
            return None
        periods.append({**period, "limit": limit})
    return {**schedule, "chargingSchedulePeriod": periods} if periods else None


def _flowing(period: Payload, unit: Any) -> float | None:
    """The most that may flow into the car. Phases of their own: W add up, of A the highest counts, so that a report hides nothing."""
    phases = [_phase(period, suffix) for suffix in ("", "_L2", "_L3")]
    if phases[0] is None:
        return 0.0 if period.get("operationMode") == "Idle" else None
    known = [phase for phase in phases if phase is not None]
    return sum(known) if unit == "W" else max(known)


def _phase(period: Payload, suffix: str) -> float | None:
    limit, setpoint = period.get(f"limit{suffix}"), period.get(f"setpoint{suffix}")
    if isinstance(limit, int | float):
        return limit
    return max(0.0, float(setpoint)) if isinstance(setpoint, int | float) else None


def told_profile(profile: Payload) -> Payload | None:
    """A profile in a report; None if 2.0.1 has no word for its kind, its purpose or one of its schedules."""
    if profile.get("chargingProfileKind") in KINDS_OF_21 or profile.get("chargingProfilePurpose") in PURPOSES_OF_21:
        return None
    schedules = [told(schedule) for schedule in items(profile, "chargingSchedule")]
    said = [schedule for schedule in schedules if schedule is not None]
    return {**profile, "chargingSchedule": said} if said and len(said) == len(schedules) else None


def has_profile(payload: Payload) -> bool:
    """Whether a request carries a profile."""
    return bool(inner(payload, "chargingProfile"))
