"""Charging profiles of OCPP 2.x: JSON <-> the version-neutral ``Profile``.

Judges a SetChargingProfile as a station would (use case K01) as far as the message alone shows it;
what needs the station's state (known EVSE, transaction, duplicates) is ``link.profile_view``'s part.
How each field is read stands in ``ocpp.profile_fields``. Everything sent is built anew and strictly
to the schema.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from controller.facts import LimitStep, Stamp
from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import CompositeRequest, Payload, ProfileCriteria
from controller.ocpp.profile_fields import KINDS, MAX_ID, MAX_STACK_LEVEL, RECURRENCIES
from controller.ocpp.schedule import Kind, Period, Profile, ProfileError, Purpose, Schedule
from controller.ocpp.times import timestamp

MAX_SCHEDULES: Final = 3
MAX_TRANSACTION_ID_CHARS: Final = 36
REPORT_WEIGHT: Final = 400
"""Periods in one ReportChargingProfiles message, about 25 kB: more goes into the next one."""

PURPOSES: Final = {
    "ChargingStationMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
    "ChargingStationExternalConstraints": Purpose.EXTERNAL,
}
_PURPOSE_WORDS: Final = {purpose: word for word, purpose in PURPOSES.items()}
_KIND_WORDS: Final = {kind: word for word, kind in KINDS.items()}
_RECURRENCY_WORDS: Final = {recurrency: word for word, recurrency in RECURRENCIES.items()}
PROFILE_EXTRAS: Final = ("customData",)
SCHEDULE_EXTRAS: Final = ("salesTariff", "customData")
"""Fields that limit nothing: kept as they came, and reported."""
_NOWHERE: Final = ProfileCriteria(evse_id=-1)
"""Criteria that select nothing."""


# -- SetChargingProfile --------------------------------------------------------------------------------


def read_set_profile(payload: Payload, *, in_start: bool = False) -> tuple[int, Profile]:
    """(evse_id, profile) of a SetChargingProfile request. Raises ProfileError.

    in_start: the profile came with a RequestStartTransaction: only a TxProfile is allowed, it has no
    transactionId yet (then None), and evseId may be 0 while the EVSE is open (K05).
    """
    evse_id = fields.whole(payload.get("evseId"), "InvalidValue", "evseId", 0, MAX_ID)
    raw = payload.get("chargingProfile")
    if not isinstance(raw, dict):
        raise ProfileError("MissingParam", "chargingProfile is missing")
    purpose = fields.word(raw.get("chargingProfilePurpose"), PURPOSES, "chargingProfilePurpose")
    kind = fields.word(raw.get("chargingProfileKind"), KINDS, "chargingProfileKind")
    if in_start:
        _check_start(purpose)
    else:
        _check_place(evse_id, purpose, kind)
    return evse_id, _profile(raw, purpose, kind, in_start)


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


def _profile(raw: Payload, purpose: Purpose, kind: Kind, in_start: bool) -> Profile:
    valid_from, valid_to = fields.validity(raw)
    return Profile(
        profile_id=fields.whole(raw.get("id"), "InvalidProfile", "id", -MAX_ID, MAX_ID),
        stack_level=fields.whole(raw.get("stackLevel"), "InvalidStackLevel", "stackLevel", 0, MAX_STACK_LEVEL),
        purpose=purpose,
        kind=kind,
        schedules=_schedules(raw.get("chargingSchedule"), purpose, kind),
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


def _schedules(values: Any, purpose: Purpose, kind: Kind) -> tuple[Schedule, ...]:
    """One schedule; up to three only where a car may choose through ISO 15118, i.e. in a TxProfile (K01.FR.34)."""
    allowed = MAX_SCHEDULES if purpose is Purpose.TX else 1
    if not isinstance(values, list) or not 1 <= len(values) <= allowed:
        raise ProfileError("InvalidSchedule", f"chargingSchedule is not a list of 1 to {allowed} schedules")
    return tuple(_schedule(value, kind) for value in values)


def _schedule(raw: Any, kind: Kind) -> Schedule:
    if not isinstance(raw, dict):
        raise ProfileError("InvalidSchedule", "a chargingSchedule is not an object")
    return Schedule(
        unit=fields.rate_unit(raw.get("chargingRateUnit")),
        schedule_id=fields.whole(raw.get("id"), "InvalidSchedule", "chargingSchedule.id", -MAX_ID, MAX_ID),
        periods=fields.periods(raw.get("chargingSchedulePeriod")),
        duration_s=fields.duration(raw.get("duration")),
        start_wall_s=_start(raw, kind),
        min_rate=None if raw.get("minChargingRate") is None else fields.limit(raw["minChargingRate"], "minChargingRate"),
    )


def _start(raw: Payload, kind: Kind) -> float | None:
    start_wall_s = fields.moment(raw, "startSchedule")
    if kind is Kind.RELATIVE and start_wall_s is not None:
        raise ProfileError("InvalidSchedule", "a Relative profile has no startSchedule (K01.FR.41)")
    if kind is not Kind.RELATIVE and start_wall_s is None:
        raise ProfileError("InvalidSchedule", "an Absolute or Recurring profile needs startSchedule (K01.FR.40)")
    return start_wall_s


# -- Clear, Get, Report --------------------------------------------------------------------------------


def read_clear(payload: Payload) -> ProfileCriteria:
    """Criteria of a ClearChargingProfile: the id alone, or all given criteria together (K10). Never raises.

    With neither it selects nothing: a limit is not lifted by a message that names none.
    """
    if payload.get("chargingProfileId") is not None:
        return _criteria(None, {"chargingProfileId": [payload["chargingProfileId"]]})
    raw = payload.get("chargingProfileCriteria")
    return _criteria(raw.get("evseId"), raw) if isinstance(raw, dict) else _NOWHERE


def read_get(payload: Payload) -> ProfileCriteria:
    """Criteria of a GetChargingProfiles (K09). Never raises: what cannot be read selects nothing.

    All we hold comes from the CSMS, so another limit source selects nothing either.
    """
    raw = payload.get("chargingProfile")
    if not isinstance(raw, dict):
        return _NOWHERE
    sources = raw.get("chargingLimitSource")
    if sources and (not isinstance(sources, list) or "CSO" not in sources):
        return _NOWHERE
    return _criteria(payload.get("evseId"), raw)


def _criteria(evse_id: Any, raw: Payload) -> ProfileCriteria:
    ids, purpose, stack = raw.get("chargingProfileId", []), raw.get("chargingProfilePurpose"), raw.get("stackLevel")
    if not isinstance(ids, list):
        return _NOWHERE
    try:
        return ProfileCriteria(
            profile_ids=tuple(fields.whole(value, "InvalidValue", "chargingProfileId", -MAX_ID, MAX_ID) for value in ids),
            evse_id=None if evse_id is None else fields.whole(evse_id, "InvalidValue", "evseId", 0, MAX_ID),
            purpose=None if purpose is None else fields.word(purpose, PURPOSES, "chargingProfilePurpose"),
            stack_level=None if stack is None else fields.whole(stack, "InvalidValue", "stackLevel", 0, MAX_ID),
        )
    except ProfileError:
        return _NOWHERE


def report_profiles(
    request: Payload,
    found: Sequence[tuple[int, Profile]],
    profile_extras: Sequence[str] = PROFILE_EXTRAS,
    schedule_extras: Sequence[str] = SCHEDULE_EXTRAS,
) -> list[Payload]:
    """ReportChargingProfiles payloads for a GetChargingProfiles: one EVSE each, split by size, tbc on all but the last (K09)."""
    request_id = request.get("requestId")
    payloads: list[Payload] = []
    for evse_id, profiles in _chunks(found):
        payloads.append(
            {
                "requestId": request_id,
                "chargingLimitSource": "CSO",
                "evseId": evse_id,
                "chargingProfile": [write_profile(profile, profile_extras, schedule_extras) for profile in profiles],
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


def write_profile(profile: Profile, profile_extras: Sequence[str] = PROFILE_EXTRAS, schedule_extras: Sequence[str] = SCHEDULE_EXTRAS) -> Payload:
    """ChargingProfileType of a profile, strictly to the schema; the extras as they came."""
    raw_schedules = profile.raw.get("chargingSchedule")
    raws = raw_schedules if isinstance(raw_schedules, list) else []
    return _without_none(
        {
            "id": profile.profile_id,
            "stackLevel": profile.stack_level,
            "chargingProfilePurpose": _PURPOSE_WORDS[profile.purpose],
            "chargingProfileKind": _KIND_WORDS[profile.kind],
            "recurrencyKind": None if profile.recurrency is None else _RECURRENCY_WORDS[profile.recurrency],
            "validFrom": _time_text(profile.valid_from_wall_s),
            "validTo": _time_text(profile.valid_to_wall_s),
            "transactionId": profile.transaction_id,
            "chargingSchedule": [
                _write_schedule(schedule, raws[index] if index < len(raws) else {}, schedule_extras)
                for index, schedule in enumerate(profile.schedules)
            ],
            **{key: profile.raw.get(key) for key in profile_extras},
        }
    )


def _write_schedule(schedule: Schedule, raw: Any, extra_keys: Sequence[str]) -> Payload:
    extras = raw if isinstance(raw, dict) else {}
    return _without_none(
        {
            "id": schedule.schedule_id,
            "startSchedule": _time_text(schedule.start_wall_s),
            "duration": None if schedule.duration_s is None else int(schedule.duration_s),
            "chargingRateUnit": schedule.unit,
            "minChargingRate": schedule.min_rate,
            "chargingSchedulePeriod": [_write_period(period) for period in schedule.periods],
            **{key: extras.get(key) for key in extra_keys},
        }
    )


def _write_period(period: Period) -> Payload:
    return _without_none(
        {
            "startPeriod": int(period.start_s),
            "limit": period.limit,
            "numberPhases": period.phase_count,
            "phaseToUse": period.phase_to_use,
        }
    )


def _time_text(wall_s: float | None) -> str | None:
    return None if wall_s is None else timestamp(wall_s)


def _without_none(values: Payload) -> Payload:
    return {key: value for key, value in values.items() if value is not None}


# -- GetCompositeSchedule ------------------------------------------------------------------------------


def write_composite(request: CompositeRequest, at: Stamp, steps: Sequence[LimitStep], voltage_v: float, phase_count: int = 3) -> Payload:
    """Answer to a GetCompositeSchedule (K08) from ``steps``, ascending, limits per phase [A], from the whole second of ``at`` on."""
    try:
        fields.check_composite(request)
    except ProfileError as error:
        return rejected(error.reason_code, error.info)
    start_wall_s = math.floor(at.wall_s)
    duration_s, periods = fields.composite_periods(request, start_wall_s, steps, voltage_v, phase_count)
    return {
        "status": "Accepted",
        "schedule": {
            "evseId": request.evse_id,
            "duration": duration_s,
            "scheduleStart": timestamp(start_wall_s),
            "chargingRateUnit": request.unit or "A",
            "chargingSchedulePeriod": periods,
        },
    }


def rejected(reason_code: str, info: str) -> Payload:
    """A Rejected answer with its statusInfo, within the schema's lengths."""
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason_code[:20], "additionalInfo": info[:512]}}
