"""One period of a 2.1 schedule, judged: which values its operation mode needs and allows, phases, signs, setpoints (section Q)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import Payload
from controller.ocpp.schedule import Mode, Period, PerPhase, ProfileError, Purpose

MODES: Final = {"ChargingOnly": Mode.CHARGING_ONLY} | {mode.value: mode for mode in Mode if mode}

_ONLY_CHARGING: Final = (Mode.CHARGING_ONLY,)
_MODES_OF: Final = {
    Purpose.STATION_MAX: _ONLY_CHARGING,
    Purpose.PRIORITY: _ONLY_CHARGING,
    Purpose.LOCAL_GENERATION: (Mode.CHARGING_ONLY, Mode.EXTERNAL_LIMITS),
}
"""Operation modes by purpose (K01.FR.111-113); a purpose that is not here has all."""

LIMIT: Final = "limit"
DISCHARGE: Final = "dischargeLimit"
SETPOINT: Final = "setpoint"
REACTIVE: Final = "setpointReactive"
_NEEDS: Final = {Mode.CHARGING_ONLY: LIMIT, Mode.CENTRAL_SETPOINT: SETPOINT, Mode.CENTRAL_FREQUENCY: SETPOINT}
_ALLOWS: Final[Mapping[Mode, tuple[str, ...]]] = {
    Mode.CHARGING_ONLY: (LIMIT,),
    Mode.CENTRAL_SETPOINT: (LIMIT, DISCHARGE, SETPOINT, REACTIVE),
    Mode.CENTRAL_FREQUENCY: (LIMIT, DISCHARGE, SETPOINT),
    Mode.EXTERNAL_SETPOINT: (LIMIT, DISCHARGE),
    Mode.EXTERNAL_LIMITS: (),
    Mode.LOCAL_LOAD_BALANCING: (LIMIT, DISCHARGE),
    Mode.IDLE: (),
}
"""Which values a mode needs and allows (section Q, limits and setpoints per operation mode)."""

_CURVES: Final = ("v2xBaseline", "v2xFreqWattCurve", "v2xSignalWattCurve")
_CAR_COMFORT: Final = ("preconditioningRequest", "evseSleep")


def read_period(raw: Any, purpose: Purpose, unit: str) -> Period:
    """One chargingSchedulePeriod, by its purpose and the schedule's unit. Raises ProfileError."""
    if not isinstance(raw, dict):
        raise ProfileError("InvalidSchedule", "a chargingSchedulePeriod is not an object")
    mode = _mode(raw, purpose)
    _check_values(raw, mode)
    _check_phases(raw, purpose)
    plain = fields.period(raw, mode)
    period = replace(
        plain,
        limit_l2=_optional_limit(raw, "limit_L2"),
        limit_l3=_optional_limit(raw, "limit_L3"),
        discharge=_per_phase(raw, DISCHARGE),
        setpoint=_per_phase(raw, SETPOINT),
    )
    _check_signs(period)
    _check_setpoint(period, unit)
    return period


def _mode(raw: Payload, purpose: Purpose) -> Mode:
    word = raw.get("operationMode")
    if word is None:
        return Mode.CHARGING_ONLY
    if not isinstance(word, str) or word not in MODES:
        raise ProfileError("InvalidOperationMode", f"operationMode is none of {', '.join(MODES)} (K01.FR.115)")
    if MODES[word] not in _MODES_OF.get(purpose, tuple(Mode)):
        raise ProfileError("InvalidOperationMode", f"this purpose does not allow operationMode {word} (K01.FR.114)")
    return MODES[word]


def _check_values(raw: Payload, mode: Mode) -> None:
    """What the mode needs is there, and nothing it does not have."""
    word = mode.value or "ChargingOnly"
    needed = _NEEDS.get(mode)
    if needed is not None and raw.get(needed) is None:
        if any(raw.get(f"{needed}_{phase}") is not None for phase in ("L2", "L3")):
            raise ProfileError("PhaseConflict", f"{needed}_L2 and {needed}_L3 need {needed} (K01.FR.146, V2X.07)")
        raise ProfileError("InvalidSchedule", f"operationMode {word} needs {needed}")
    for name in (LIMIT, DISCHARGE, SETPOINT, REACTIVE):
        if name not in _ALLOWS[mode] and any(raw.get(key) is not None for key in keys(name)):
            raise ProfileError("InvalidSchedule", f"operationMode {word} has no {name}")
    if any(raw.get(key) is not None for key in _CURVES):
        raise ProfileError("InvalidSchedule", f"operationMode {word} has no curves and no v2xBaseline")
    if any(raw.get(key) not in (None, 0) or isinstance(raw.get(key), bool) for key in keys(REACTIVE)):
        raise ProfileError("InvalidSchedule", "a reactive setpoint is not supported")
    if any(flag(raw, key, "InvalidSchedule") for key in _CAR_COMFORT):
        raise ProfileError("InvalidSchedule", "preconditioningRequest and evseSleep are not supported (K01.FR.126)")


def _check_phases(raw: Payload, purpose: Purpose) -> None:
    """Values of single phases: only in a TxProfile, and only with the value of the first (K01.FR.143-146, V2X.07-10)."""
    for name in (LIMIT, DISCHARGE, SETPOINT, REACTIVE):
        first, *others = keys(name)
        if not any(raw.get(key) is not None for key in others):
            continue
        if purpose is not Purpose.TX:
            raise ProfileError("PhaseConflict", f"only a TxProfile has {name}_L2 and {name}_L3 (K01.FR.143, V2X.09)")
        if raw.get(first) is None:
            raise ProfileError("PhaseConflict", f"{name}_L2 and {name}_L3 need {name} (K01.FR.146, V2X.07)")


def _check_signs(period: Period) -> None:
    if period.discharge is not None and any(part > 0 for part in (period.discharge.split or (period.discharge.total,))):
        raise ProfileError("InvalidSchedule", "dischargeLimit is above 0; energy out of the car counts negative")
    parts = () if period.setpoint is None else period.setpoint.split
    if parts and min(parts) < 0 < max(parts):
        raise ProfileError("InvalidSchedule", "setpoints of opposite sign on two phases are not supported")


def _check_setpoint(period: Period, unit: str) -> None:
    """A setpoint lies within the limits beside it (V2X.05, V2X.06), phase by phase."""
    if period.setpoint is None:
        return
    count = period.phase_count
    wanted = _spread(period.setpoint, count)
    highest = [math.inf] * 3
    if period.limit is not None:
        limit = PerPhase(period.limit, period.limit_l2, period.limit_l3)
        highest = [period.limit] * 3 if unit == "A" and not limit.split else _spread(limit, count)
    lowest = [-math.inf] * 3 if period.discharge is None else _spread(period.discharge, count)
    if any(not low - 1e-6 <= value <= high + 1e-6 for low, value, high in zip(lowest, wanted, highest, strict=True)):
        raise ProfileError("InvalidSchedule", "setpoint is not within dischargeLimit and limit (V2X.05)")


def _spread(value: PerPhase, count: int) -> list[float]:
    """Phase by phase; a sum spreads evenly, a phase that is not named has nothing to say (repeats the first)."""
    if not value.split:
        return [value.total / count] * 3
    return [value.total, value.total if value.l2 is None else value.l2, value.total if value.l3 is None else value.l3]


def _per_phase(raw: Payload, name: str) -> PerPhase | None:
    if raw.get(name) is None:
        return None
    total, l2, l3 = (None if raw.get(key) is None else _amount(raw, key) for key in keys(name))
    return PerPhase(total or 0.0, l2, l3)


def _amount(raw: Payload, key: str) -> float:
    found = fields.amount(raw[key], "InvalidSchedule", key)
    if abs(found) > fields.MAX_LIMIT:
        raise ProfileError("InvalidSchedule", f"{key} is beyond {fields.MAX_LIMIT:.0f}")
    return found


def _optional_limit(raw: Payload, key: str) -> float | None:
    return None if raw.get(key) is None else fields.limit(raw[key], key)


def keys(name: str) -> tuple[str, str, str]:
    """The three fields of a value: of all phases or L1, of L2, of L3."""
    return name, f"{name}_L2", f"{name}_L3"


def flag(raw: Payload, key: str, reason_code: str) -> bool:
    """A boolean, absent = False. Raises ProfileError."""
    value = raw.get(key)
    if value is not None and not isinstance(value, bool):
        raise ProfileError(reason_code, f"{key} is neither true nor false")
    return value is True
