"""Charging profiles of OCPP 2.x as they are reported: built anew and strictly to the schema, what limits nothing as it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from controller.ocpp.dialect import Payload
from controller.ocpp.profile_fields import RECURRENCIES
from controller.ocpp.schedule import Kind, Period, Profile, Purpose, Schedule
from controller.ocpp.times import timestamp

T = TypeVar("T")

MAX_VENDOR_CHARS: Final = 255
REPORT_WEIGHT: Final = 400
"""Periods in one ReportChargingProfiles message, about 25 kB: more goes into the next one."""
PROFILE_EXTRAS: Final = ("customData",)
SCHEDULE_EXTRAS: Final = ("salesTariff", "customData")
"""Fields that limit nothing: kept as they came, and reported."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What differs between the versions of the family: words, how a period is read (by purpose and rate unit), a schedule written."""

    purposes: Mapping[str, Purpose]
    kinds: Mapping[str, Kind]
    read_period: Callable[[Any, Purpose, str], Period]
    write_schedule: Callable[[Schedule, Payload], Payload]


def report_profiles(request: Payload, found: Sequence[tuple[int, Profile]], write: Callable[[Profile], Payload]) -> list[Payload]:
    """ReportChargingProfiles payloads for a GetChargingProfiles: one EVSE each, split by size, tbc on all but the last (K09)."""
    request_id = request.get("requestId")
    payloads: list[Payload] = []
    for evse_id, profiles in _chunks(found):
        payloads.append(
            {
                "requestId": request_id,
                "chargingLimitSource": "CSO",
                "evseId": evse_id,
                "chargingProfile": [write(profile) for profile in profiles],
                "tbc": True,
            }
        )
    if payloads:
        payloads[-1]["tbc"] = False
    return payloads


def _chunks(found: Sequence[tuple[int, Profile]]) -> Iterator[tuple[int, list[Profile]]]:
    for evse_id in sorted({evse_id for evse_id, _ in found}):
        chunk: list[Profile] = []
        weight = 0
        for profile in (profile for owner, profile in found if owner == evse_id):
            added = 4 + sum(len(schedule.periods) for schedule in profile.schedules)
            if chunk and weight + added > REPORT_WEIGHT:
                yield evse_id, chunk
                chunk, weight = [], 0
            chunk.append(profile)
            weight += added
        yield evse_id, chunk


def write_profile(profile: Profile, rules: Rules, extras: Sequence[str] = PROFILE_EXTRAS) -> Payload:
    """ChargingProfileType of a profile, strictly to the schema; the extras as they came."""
    raw_schedules = objects(profile.raw.get("chargingSchedule"))
    raws = raw_schedules + [{}] * (len(profile.schedules) - len(raw_schedules))
    return without_none(
        {
            "id": profile.profile_id,
            "stackLevel": profile.stack_level,
            "chargingProfilePurpose": _key(rules.purposes, profile.purpose),
            "chargingProfileKind": _key(rules.kinds, profile.kind),
            "recurrencyKind": None if profile.recurrency is None else _key(RECURRENCIES, profile.recurrency),
            "validFrom": time_text(profile.valid_from_wall_s),
            "validTo": time_text(profile.valid_to_wall_s),
            "transactionId": profile.transaction_id,
            "chargingSchedule": [rules.write_schedule(schedule, raw) for schedule, raw in zip(profile.schedules, raws, strict=False)],
            **kept(profile.raw, extras),
        }
    )


def write_schedule(schedule: Schedule, raw: Payload, extras: Sequence[str] = SCHEDULE_EXTRAS) -> Payload:
    """ChargingScheduleType of a schedule, with what is the same in all versions; raw: the object it came in."""
    raw_periods = objects(raw.get("chargingSchedulePeriod"))
    told = raw_periods if len(raw_periods) == len(schedule.periods) else [{"numberPhases": 3}] * len(schedule.periods)
    return without_none(
        {
            "id": schedule.schedule_id,
            "startSchedule": time_text(schedule.start_wall_s),
            "duration": None if schedule.duration_s is None else int(schedule.duration_s),
            "chargingRateUnit": schedule.unit,
            "minChargingRate": schedule.min_rate,
            "chargingSchedulePeriod": [_write_period(period, raw) for period, raw in zip(schedule.periods, told, strict=True)],
            **kept(raw, extras),
        }
    )


def _write_period(period: Period, raw: Payload) -> Payload:
    """Phases that were not told are not told: a DC EVSE has none (K01.FR.44)."""
    return without_none(
        {
            "startPeriod": int(period.start_s),
            "limit": period.limit,
            "numberPhases": None if raw.get("numberPhases") is None else period.phase_count,
            "phaseToUse": period.phase_to_use,
            **kept(raw, PROFILE_EXTRAS),
        }
    )


def _key(words: Mapping[str, T], meaning: T) -> str:
    return next(word for word, found in words.items() if found == meaning)


def kept(raw: Payload, keys: Sequence[str]) -> Payload:
    """Fields as they came; customData only if it is what the schema wants."""
    return {key: raw.get(key) for key in keys if key != "customData" or _is_custom(raw.get(key))}


def _is_custom(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("vendorId"), str) and len(value["vendorId"]) <= MAX_VENDOR_CHARS


def objects(values: Any) -> list[Payload]:
    """The objects in a list; [] for anything else."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def time_text(wall_s: float | None) -> str | None:
    """A moment as it is written, None stays None."""
    return None if wall_s is None else timestamp(wall_s)


def without_none(values: Payload) -> Payload:
    """Only what is said."""
    return {key: value for key, value in values.items() if value is not None}
