"""Charging profiles on disk: a profile as JSON-able data for our own journal, and back.

What an older Yardmaster wrote is still read: what came later has a default, and is written only where it is used.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Final

from controller.ocpp.profile_data import Kind, LimitAtSoC, Mode, Period, PerPhase, Profile, ProfileError, Purpose, Recurrency, Schedule

_LATER: Final[dict[str, Any]] = {
    **dict.fromkeys(("limit_l2", "limit_l3", "discharge", "setpoint", "start_local_s", "limit_at_soc")),
    **dict.fromkeys(("updated_wall_s", "update_interval_s", "max_offline_s")),
    "mode": "",
    "randomized_delay_s": 0.0,
    "ends_offline": False,
}
"""Fields that came after the first stored form, and what they say when they say nothing: then they are left out."""


def profile_to_json(profile: Profile) -> dict[str, Any]:
    """The profile as JSON-able data for our own journal."""
    return asdict(profile, dict_factory=_told)


def _told(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if key not in _LATER or value != _LATER[key]}


def profile_from_json(data: Any) -> Profile:
    """Inverse of ``profile_to_json``. Raises ProfileError (InvalidProfile) for anything it did not write."""
    try:
        return _profile(data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ProfileError("InvalidProfile", f"stored profile cannot be read ({type(error).__name__})") from None


def _profile(data: dict[str, Any]) -> Profile:
    recurrency, transaction_id, raw = data["recurrency"], data["transaction_id"], data["raw"]
    return Profile(
        profile_id=int(data["profile_id"]),
        stack_level=int(data["stack_level"]),
        purpose=Purpose(data["purpose"]),
        kind=Kind(data["kind"]),
        schedules=tuple(_schedule(schedule) for schedule in data["schedules"]),
        transaction_id=None if transaction_id is None else str(transaction_id),
        valid_from_wall_s=_optional(data["valid_from_wall_s"]),
        valid_to_wall_s=_optional(data["valid_to_wall_s"]),
        recurrency=None if recurrency is None else Recurrency(recurrency),
        raw=dict(raw),
        updated_wall_s=_optional(data.get("updated_wall_s")),
        update_interval_s=_optional(data.get("update_interval_s")),
        max_offline_s=_optional(data.get("max_offline_s")),
        ends_offline=bool(data.get("ends_offline", False)),
    )


def _schedule(data: dict[str, Any]) -> Schedule:
    if data["unit"] not in ("A", "W") or not data["periods"]:
        raise ValueError
    at_soc = data.get("limit_at_soc")
    return Schedule(
        schedule_id=int(data["schedule_id"]),
        unit=data["unit"],
        periods=tuple(_period(period) for period in data["periods"]),
        duration_s=_optional(data["duration_s"]),
        start_wall_s=_optional(data["start_wall_s"]),
        min_rate=_optional(data["min_rate"]),
        start_local_s=_optional(data.get("start_local_s")),
        randomized_delay_s=_finite(data.get("randomized_delay_s", 0.0)),
        limit_at_soc=None if at_soc is None else LimitAtSoC(_finite(at_soc["soc_percent"]), _finite(at_soc["limit"])),
    )


def _period(data: dict[str, Any]) -> Period:
    phases, phase_to_use = int(data["phase_count"]), data["phase_to_use"]
    limits = [_optional(data["limit"]), _optional(data.get("limit_l2")), _optional(data.get("limit_l3"))]
    mode = Mode(data.get("mode", ""))
    if not 1 <= phases <= 3 or any(limit is not None and limit < 0 for limit in limits) or (limits[0] is None and not mode):
        raise ValueError
    return Period(
        _finite(data["start_s"]),
        limits[0],
        phases,
        None if phase_to_use is None else int(phase_to_use),
        limits[1],
        limits[2],
        mode,
        _per_phase(data.get("discharge")),
        _per_phase(data.get("setpoint")),
    )


def _per_phase(data: Any) -> PerPhase | None:
    return None if data is None else PerPhase(_finite(data["total"]), _optional(data["l2"]), _optional(data["l3"]))


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _optional(value: Any) -> float | None:
    return None if value is None else _finite(value)
