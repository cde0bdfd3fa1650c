"""Charging profiles of OCPP 2.x: JSON <-> the version-neutral ``Profile``.

Judges a SetChargingProfile as a station would (use case K01) as far as the message alone shows it;
what needs the station's state (known EVSE, transaction, duplicates) is ``link.profile_view``'s part.
How each field is read stands in ``ocpp.profile_fields``. Everything sent is built anew and strictly
to the schema.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from controller.facts import LimitStep, Stamp
from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import CompositeRequest, Payload, ProfileCriteria
from controller.ocpp.profile_fields import KINDS, MAX_ID, MAX_STACK_LEVEL, RECURRENCIES
from controller.ocpp.schedule import Kind, Period, Profile, ProfileError, Purpose, Schedule
from controller.ocpp.times import timestamp

T = TypeVar("T")
CompositePeriod = Callable[[int, LimitStep, "str | None", float, int], Payload]
"""Writes one period of a composite: second, step, unit, nominal voltage [V], phases of the EVSE."""

MAX_SCHEDULES: Final = 3
MAX_TRANSACTION_ID_CHARS: Final = 36
MAX_VENDOR_CHARS: Final = 255
REPORT_WEIGHT: Final = 400
"""Periods in one ReportChargingProfiles message, about 25 kB: more goes into the next one."""

PURPOSES: Final = {
    "ChargingStationMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
    "ChargingStationExternalConstraints": Purpose.EXTERNAL,
}
PROFILE_EXTRAS: Final = ("customData",)
SCHEDULE_EXTRAS: Final = ("salesTariff", "customData")
"""Fields that limit nothing: kept as they came, and reported."""
_NOWHERE: Final = ProfileCriteria(evse_id=-1)
"""Criteria that select nothing."""


# -- SetChargingProfile --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rules:
    """What differs between the versions of the family: words, how a period is read (by purpose and rate unit), a schedule written."""

    purposes: Mapping[str, Purpose]
    kinds: Mapping[str, Kind]
    read_period: Callable[[Any, Purpose, str], Period]
    write_schedule: Callable[[Schedule, Payload], Payload]


def _read_period(raw: Any, purpose: Purpose, unit: str) -> Period:
    return fields.period(raw)


def read_set_profile(payload: Payload, *, in_start: bool = False, rules: Rules | None = None) -> tuple[int, Profile]:
    """(evse_id, profile) of a SetChargingProfile request. Raises ProfileError.

    in_start: the profile came with a RequestStartTransaction: only a TxProfile is allowed, it has no
    transactionId yet (then None), and evseId may be 0 while the EVSE is open (K05).
    """
    rules = RULES if rules is None else rules
    evse_id = fields.whole(payload.get("evseId"), "InvalidValue", "evseId", 0, MAX_ID)
    raw = payload.get("chargingProfile")
    if not isinstance(raw, dict):
        raise ProfileError("MissingParam", "chargingProfile is missing")
    purpose = fields.word(raw.get("chargingProfilePurpose"), rules.purposes, "chargingProfilePurpose")
    kind = fields.word(raw.get("chargingProfileKind"), rules.kinds, "chargingProfileKind")
    if in_start:
        _check_start(purpose)
    else:
        _check_place(evse_id, purpose, kind)
    return evse_id, _profile(raw, purpose, kind, in_start, rules)


def _check_start(purpose: Purpose) -> None:
    if purpose is not Purpose.TX:
        raise ProfileError("InvalidProfile", "a RequestStartTransaction carries only a TxProfile (K05)")


def _check_place(evse_id: int, purpose: Purpose, kind: Kind) -> None:
    if purpose is Purpose.EXTERNAL:
        raise ProfileError("InvalidProfile", "external constraints are not set over OCPP (K01.FR.22)")
    if purpose is Purpose.TX and evse_id == 0:
        raise ProfileError("InvalidValue", "a TxProfile needs an evseId above 0 (K01.FR.16)")
    if purpose is Purpose.STATION_MAX and evse_id != 0:
        raise ProfileError("InvalidValue", "a ChargingStationMaxProfile belongs to evseId 0 (K04.FR.03)")
    if purpose is Purpose.STATION_MAX and kind is Kind.RELATIVE:
        raise ProfileError("InvalidProfile", "a ChargingStationMaxProfile cannot be Relative (K01.FR.38)")


def _profile(raw: Payload, purpose: Purpose, kind: Kind, in_start: bool, rules: Rules) -> Profile:
    valid_from, valid_to = fields.validity(raw)
    return Profile(
        profile_id=fields.whole(raw.get("id"), "InvalidProfile", "id", -MAX_ID, MAX_ID),
        stack_level=fields.whole(raw.get("stackLevel"), "InvalidStackLevel", "stackLevel", 0, MAX_STACK_LEVEL),
        purpose=purpose,
        kind=kind,
        schedules=_schedules(raw.get("chargingSchedule"), purpose, kind, rules),
        transaction_id=_transaction_id(raw, in_start) if purpose is Purpose.TX else None,
        valid_from_wall_s=valid_from,
        valid_to_wall_s=valid_to,
        recurrency=fields.word(raw.get("recurrencyKind"), RECURRENCIES, "recurrencyKind") if kind is Kind.RECURRING else None,
        raw=raw,
    )


def _transaction_id(raw: Payload, in_start: bool) -> str | None:
    value = raw.get("transactionId")
    if value is None and in_start:
        return None
    if value is None:
        raise ProfileError("MissingParam", "a TxProfile needs a transactionId (K01.FR.03)")
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TRANSACTION_ID_CHARS:
        raise ProfileError("InvalidValue", "transactionId is not a text of 1 to 36 characters")
    return value


def _schedules(values: Any, purpose: Purpose, kind: Kind, rules: Rules) -> tuple[Schedule, ...]:
    """One schedule; up to three only where a car may choose through ISO 15118, i.e. in a TxProfile (K01.FR.34)."""
    allowed = MAX_SCHEDULES if purpose is Purpose.TX else 1
    if not isinstance(values, list) or not 1 <= len(values) <= allowed:
        raise ProfileError("InvalidSchedule", f"chargingSchedule is not a list of 1 to {allowed} schedules")
    return tuple(_schedule(value, purpose, kind, rules) for value in values)


def _schedule(raw: Any, purpose: Purpose, kind: Kind, rules: Rules) -> Schedule:
    if not isinstance(raw, dict):
        raise ProfileError("InvalidSchedule", "a chargingSchedule is not an object")
    unit = fields.rate_unit(raw.get("chargingRateUnit"))
    return Schedule(
        unit=unit,
        schedule_id=fields.whole(raw.get("id"), "InvalidSchedule", "chargingSchedule.id", -MAX_ID, MAX_ID),
        periods=fields.periods(raw.get("chargingSchedulePeriod"), lambda one: rules.read_period(one, purpose, unit)),
        duration_s=fields.duration(raw.get("duration")),
        start_wall_s=_start(raw, kind),
        min_rate=None if raw.get("minChargingRate") is None else fields.limit(raw["minChargingRate"], "minChargingRate"),
    )


def _start(raw: Payload, kind: Kind) -> float | None:
    start_wall_s = fields.moment(raw, "startSchedule")
    if kind is Kind.RELATIVE and start_wall_s is not None:
        raise ProfileError("InvalidSchedule", "a Relative profile has no startSchedule (K01.FR.41)")
    if kind in (Kind.ABSOLUTE, Kind.RECURRING) and start_wall_s is None:
        raise ProfileError("InvalidSchedule", "an Absolute or Recurring profile needs startSchedule (K01.FR.40)")
    return start_wall_s


# -- Clear, Get, Report --------------------------------------------------------------------------------


def read_clear(payload: Payload, purposes: Mapping[str, Purpose] = PURPOSES) -> ProfileCriteria:
    """Criteria of a ClearChargingProfile: the id alone, or all given criteria together (K10). Never raises.

    With neither it selects nothing: a limit is not lifted by a message that names none.
    """
    if payload.get("chargingProfileId") is not None:
        return _criteria(None, {"chargingProfileId": [payload["chargingProfileId"]]}, purposes)
    raw = payload.get("chargingProfileCriteria")
    return _criteria(raw.get("evseId"), raw, purposes) if isinstance(raw, dict) else _NOWHERE


def read_get(payload: Payload, purposes: Mapping[str, Purpose] = PURPOSES) -> ProfileCriteria:
    """Criteria of a GetChargingProfiles (K09). Never raises: what cannot be read selects nothing.

    All we hold comes from the CSMS, so another limit source selects nothing either.
    """
    raw = payload.get("chargingProfile")
    if not isinstance(raw, dict):
        return _NOWHERE
    sources = raw.get("chargingLimitSource")
    if sources and (not isinstance(sources, list) or "CSO" not in sources):
        return _NOWHERE
    return _criteria(payload.get("evseId"), raw, purposes)


def _criteria(evse_id: Any, raw: Payload, purposes: Mapping[str, Purpose]) -> ProfileCriteria:
    ids, purpose, stack = raw.get("chargingProfileId", []), raw.get("chargingProfilePurpose"), raw.get("stackLevel")
    if not isinstance(ids, list):
        return _NOWHERE
    try:
        return ProfileCriteria(
            profile_ids=tuple(fields.whole(value, "InvalidValue", "chargingProfileId", -MAX_ID, MAX_ID) for value in ids),
            evse_id=None if evse_id is None else fields.whole(evse_id, "InvalidValue", "evseId", 0, MAX_ID),
            purpose=None if purpose is None else fields.word(purpose, purposes, "chargingProfilePurpose"),
            stack_level=None if stack is None else fields.whole(stack, "InvalidValue", "stackLevel", 0, MAX_ID),
        )
    except ProfileError:
        return _NOWHERE


def report_profiles(request: Payload, found: Sequence[tuple[int, Profile]], write: Callable[[Profile], Payload] | None = None) -> list[Payload]:
    """ReportChargingProfiles payloads for a GetChargingProfiles: one EVSE each, split by size, tbc on all but the last (K09)."""
    request_id = request.get("requestId")
    one = write_profile if write is None else write
    payloads: list[Payload] = []
    for evse_id, profiles in _chunks(found):
        payloads.append(
            {
                "requestId": request_id,
                "chargingLimitSource": "CSO",
                "evseId": evse_id,
                "chargingProfile": [one(profile) for profile in profiles],
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


def write_profile(profile: Profile, rules: Rules | None = None, extras: Sequence[str] = PROFILE_EXTRAS) -> Payload:
    """ChargingProfileType of a profile, strictly to the schema; the extras as they came."""
    rules = RULES if rules is None else rules
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


RULES: Final = Rules(PURPOSES, KINDS, _read_period, write_schedule)


# -- GetCompositeSchedule ------------------------------------------------------------------------------


def write_composite(
    request: CompositeRequest,
    at: Stamp,
    steps: Sequence[LimitStep],
    voltage_v: float,
    phase_count: int = 3,
    write_period: CompositePeriod | None = None,
) -> Payload:
    """Answer to a GetCompositeSchedule (K08) from ``steps``, ascending, limits per phase [A], from the whole second of ``at`` on."""
    try:
        fields.check_composite(request)
    except ProfileError as error:
        return rejected(error.reason_code, error.info)
    write = composite_period if write_period is None else write_period
    start_wall_s = math.floor(at.wall_s)
    duration_s, found = fields.steps_by_second(request, start_wall_s, steps)
    return {
        "status": "Accepted",
        "schedule": {
            "evseId": request.evse_id,
            "duration": duration_s,
            "scheduleStart": timestamp(start_wall_s),
            "chargingRateUnit": request.unit or "A",
            "chargingSchedulePeriod": [write(second, step, request.unit, voltage_v, phase_count) for second, step in found],
        },
    }


def composite_period(second: int, step: LimitStep, unit: str | None, voltage_v: float, phase_count: int) -> Payload:
    """One period of a composite, with the phase to use where only one is (K01.FR.19)."""
    period = fields.composite_period(second, step, unit, voltage_v, phase_count)
    single = step.phase_to_use is not None and period["numberPhases"] == 1
    return period | ({"phaseToUse": step.phase_to_use} if single else {})


def rejected(reason_code: str, info: str) -> Payload:
    """A Rejected answer with its statusInfo, within the schema's lengths."""
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason_code[:20], "additionalInfo": info[:512]}}
