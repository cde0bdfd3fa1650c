"""Charging profiles of OCPP 2.0.1: JSON <-> the version-neutral ``Profile``.

Judges a SetChargingProfile as a station would (use case K01) as far as the message alone shows it;
what needs the station's state (known EVSE, transaction, duplicates) is ``link.profile_view``'s part.
Lenient with what is seen on the wire: fractional startPeriod and duration are cut to whole
seconds, integers may come as 3.0, timestamps may have any fraction and no zone (taken as UTC).
Everything sent is built anew and strictly to the schema.

Deliberate choices: a negative limit, also the -1 that some use for "unlimited", is Rejected: the old
profile stays in force, which is the safer side, and the sender learns it. "No limit" is written as
999999, the way the specification's own examples do. Reason codes are those of the 2.0.1 appendix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeVar

from controller.facts import LimitStep, Stamp
from controller.ocpp.dialect import CompositeRequest, Payload, ProfileCriteria
from controller.ocpp.schedule import MAX_WINDOW_S, Kind, Period, Profile, ProfileError, Purpose, Recurrency, Schedule
from controller.ocpp.times import timestamp, wall_time

T = TypeVar("T")

MAX_PERIODS: Final = 1024
MAX_SCHEDULES: Final = 3
MAX_STACK_LEVEL: Final = 65_535
MAX_LIMIT: Final = 1e9
MAX_DURATION_S: Final = 10 * 366 * 86_400
MAX_ID: Final = 2**31 - 1
LATEST_WALL_S: Final = 253_402_300_799  # the last second of the year 9999
MAX_TRANSACTION_ID_CHARS: Final = 36
UNLIMITED: Final = 999_999.0
REPORT_WEIGHT: Final = 400
"""Periods in one ReportChargingProfiles message, about 25 kB: more goes into the next one."""

PURPOSES: Final = {
    "ChargingStationMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
    "ChargingStationExternalConstraints": Purpose.EXTERNAL,
}
KINDS: Final = {"Absolute": Kind.ABSOLUTE, "Recurring": Kind.RECURRING, "Relative": Kind.RELATIVE}
RECURRENCIES: Final = {"Daily": Recurrency.DAILY, "Weekly": Recurrency.WEEKLY}
_PURPOSE_WORDS: Final = {purpose: word for word, purpose in PURPOSES.items()}
_KIND_WORDS: Final = {kind: word for word, kind in KINDS.items()}
_RECURRENCY_WORDS: Final = {recurrency: word for word, recurrency in RECURRENCIES.items()}
_NOWHERE: Final = ProfileCriteria(evse_id=-1)
"""Criteria that select nothing."""


# -- SetChargingProfile --------------------------------------------------------------------------------


def read_set_profile(payload: Payload, *, in_start: bool = False) -> tuple[int, Profile]:
    """(evse_id, profile) of a SetChargingProfile request. Raises ProfileError.

    in_start: the profile came with a RequestStartTransaction: only a TxProfile is allowed, it has no
    transactionId yet (then None), and evseId may be 0 while the EVSE is open (K05).
    """
    evse_id = _whole(payload.get("evseId"), "InvalidValue", "evseId", 0, MAX_ID)
    raw = payload.get("chargingProfile")
    if not isinstance(raw, dict):
        raise ProfileError("MissingParam", "chargingProfile is missing")
    purpose = _word(raw.get("chargingProfilePurpose"), PURPOSES, "chargingProfilePurpose")
    kind = _word(raw.get("chargingProfileKind"), KINDS, "chargingProfileKind")
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
    valid_from, valid_to = _time(raw, "validFrom"), _time(raw, "validTo")
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        raise ProfileError("InvalidProfile", "validTo is not after validFrom")
    return Profile(
        profile_id=_whole(raw.get("id"), "InvalidProfile", "id", -MAX_ID, MAX_ID),
        stack_level=_whole(raw.get("stackLevel"), "InvalidStackLevel", "stackLevel", 0, MAX_STACK_LEVEL),
        purpose=purpose,
        kind=kind,
        schedules=_schedules(raw.get("chargingSchedule"), purpose, kind),
        transaction_id=_transaction_id(raw, in_start) if purpose is Purpose.TX else None,
        valid_from_wall_s=valid_from,
        valid_to_wall_s=valid_to,
        recurrency=_word(raw.get("recurrencyKind"), RECURRENCIES, "recurrencyKind") if kind is Kind.RECURRING else None,
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
    unit = raw.get("chargingRateUnit")
    if unit not in ("A", "W"):
        raise ProfileError("UnsupportedRateUnit", "chargingRateUnit is neither A nor W")
    return Schedule(
        schedule_id=_whole(raw.get("id"), "InvalidSchedule", "chargingSchedule.id", -MAX_ID, MAX_ID),
        unit=unit,
        periods=_periods(raw.get("chargingSchedulePeriod")),
        duration_s=_duration(raw.get("duration")),
        start_wall_s=_start(raw, kind),
        min_rate=None if raw.get("minChargingRate") is None else _limit(raw["minChargingRate"], "minChargingRate"),
    )


def _start(raw: Payload, kind: Kind) -> float | None:
    start_wall_s = _time(raw, "startSchedule")
    if kind is Kind.RELATIVE and start_wall_s is not None:
        raise ProfileError("InvalidSchedule", "a Relative profile has no startSchedule (K01.FR.41)")
    if kind is not Kind.RELATIVE and start_wall_s is None:
        raise ProfileError("InvalidSchedule", "an Absolute or Recurring profile needs startSchedule (K01.FR.40)")
    return start_wall_s


def _duration(value: Any) -> float | None:
    """Whole seconds, at least 1; longer than ten years is cut to ten years. None = endless."""
    if value is None:
        return None
    seconds = _number(value, "InvalidSchedule", "duration")
    if seconds < 1:
        raise ProfileError("InvalidSchedule", "duration is not above 0")
    return float(min(math.floor(seconds), MAX_DURATION_S))


def _periods(values: Any) -> tuple[Period, ...]:
    """First startPeriod 0, then rising (K01.FR.31/35)."""
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_PERIODS:
        raise ProfileError("InvalidSchedule", f"chargingSchedulePeriod is not a list of 1 to {MAX_PERIODS} periods")
    periods = tuple(_period(value) for value in values)
    if periods[0].start_s != 0:
        raise ProfileError("InvalidSchedule", "the first startPeriod is not 0 (K01.FR.31)")
    if any(later.start_s <= earlier.start_s for earlier, later in pairwise(periods)):
        raise ProfileError("InvalidSchedule", "startPeriod does not rise (K01.FR.35)")
    return periods


def _period(raw: Any) -> Period:
    if not isinstance(raw, dict):
        raise ProfileError("InvalidSchedule", "a chargingSchedulePeriod is not an object")
    start_s = _number(raw.get("startPeriod"), "InvalidSchedule", "startPeriod")
    if not 0 <= start_s <= MAX_DURATION_S:
        raise ProfileError("InvalidSchedule", "startPeriod is negative or beyond ten years")
    phases = 3 if raw.get("numberPhases") is None else _whole(raw["numberPhases"], "InvalidSchedule", "numberPhases", 1, 3)
    return Period(float(math.floor(start_s)), _limit(raw.get("limit"), "limit"), phases, _phase_to_use(raw, phases))


def _phase_to_use(raw: Payload, phases: int) -> int | None:
    if raw.get("phaseToUse") is None:
        return None
    if phases != 1:
        raise ProfileError("InvalidSchedule", "phaseToUse needs numberPhases 1 (K01.FR.19)")
    return _whole(raw["phaseToUse"], "InvalidSchedule", "phaseToUse", 1, 3)


def _limit(value: Any, name: str) -> float:
    limit = _number(value, "InvalidSchedule", name)
    if limit < 0:
        raise ProfileError("InvalidSchedule", f"{name} is negative; for no limit leave the profile out or send 999999")
    if limit > MAX_LIMIT:
        raise ProfileError("InvalidSchedule", f"{name} is beyond {MAX_LIMIT:.0f}")
    return limit


def _number(value: Any, reason_code: str, name: str) -> float:
    """A finite JSON number as float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProfileError(reason_code, f"{name} is missing or not a number")
    if not -1e15 < value < 1e15:
        raise ProfileError(reason_code, f"{name} is out of range")
    return float(value)


def _whole(value: Any, reason_code: str, name: str, lowest: int, highest: int) -> int:
    """A JSON integer, also if written as 3.0."""
    number = _number(value, reason_code, name)
    if not number.is_integer() or not lowest <= number <= highest:
        raise ProfileError(reason_code, f"{name} is not a whole number from {lowest} to {highest}")
    return int(number)


def _word(value: Any, words: Mapping[str, T], name: str) -> T:
    if not isinstance(value, str) or value not in words:
        raise ProfileError("InvalidProfile", f"{name} is none of {', '.join(words)}")
    return words[value]


def _time(raw: Payload, key: str) -> float | None:
    """Unix time [s] of a field, 1970 to 9999 in UTC, so that it can be written again; None if absent."""
    if raw.get(key) is None:
        return None
    wall_s = wall_time(raw[key])
    if wall_s is None or not 0 <= wall_s < LATEST_WALL_S:
        raise ProfileError("InvalidValue", f"{key} is not a date-time such as 2026-01-31T12:00:00Z")
    return wall_s


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
            profile_ids=tuple(_whole(value, "InvalidValue", "chargingProfileId", -MAX_ID, MAX_ID) for value in ids),
            evse_id=None if evse_id is None else _whole(evse_id, "InvalidValue", "evseId", 0, MAX_ID),
            purpose=None if purpose is None else _word(purpose, PURPOSES, "chargingProfilePurpose"),
            stack_level=None if stack is None else _whole(stack, "InvalidValue", "stackLevel", 0, MAX_ID),
        )
    except ProfileError:
        return _NOWHERE


def report_profiles(request: Payload, found: Sequence[tuple[int, Profile]]) -> list[Payload]:
    """ReportChargingProfiles payloads for a GetChargingProfiles: one EVSE each, split by size, tbc on all but the last (K09)."""
    request_id = request.get("requestId")
    payloads: list[Payload] = []
    for evse_id, profiles in _chunks(found):
        payloads.append(
            {
                "requestId": request_id,
                "chargingLimitSource": "CSO",
                "evseId": evse_id,
                "chargingProfile": [write_profile(profile) for profile in profiles],
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


def write_profile(profile: Profile) -> Payload:
    """ChargingProfileType of a profile, strictly to the schema; customData and salesTariff as they came."""
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
                _write_schedule(schedule, raws[index] if index < len(raws) else {}) for index, schedule in enumerate(profile.schedules)
            ],
            "customData": profile.raw.get("customData"),
        }
    )


def _write_schedule(schedule: Schedule, raw: Any) -> Payload:
    extras = raw if isinstance(raw, dict) else {}
    return _without_none(
        {
            "id": schedule.schedule_id,
            "startSchedule": _time_text(schedule.start_wall_s),
            "duration": None if schedule.duration_s is None else int(schedule.duration_s),
            "chargingRateUnit": schedule.unit,
            "minChargingRate": schedule.min_rate,
            "chargingSchedulePeriod": [_write_period(period) for period in schedule.periods],
            "salesTariff": extras.get("salesTariff"),
            "customData": extras.get("customData"),
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
    """Answer to a GetCompositeSchedule (K08) from ``steps``, ascending, limits per phase [A].

    Starts at the whole second of ``at``. Limits are cut down to 0.1, in W as the sum of ``phase_count``
    phases at nominal voltage. Cut at one week or 1024 periods: the ``duration`` in the answer tells how far it goes.
    """
    if request.unit not in ("A", "W", None):
        return rejected("UnsupportedRateUnit", "chargingRateUnit is neither A nor W")
    if request.duration_s <= 0:
        return rejected("InvalidValue", "duration is not above 0")
    unit = request.unit or "A"
    start_wall_s = math.floor(at.wall_s)
    duration_s = min(request.duration_s, MAX_WINDOW_S)
    limits = _limit_by_second(start_wall_s, duration_s, steps)
    seconds = sorted(limits)
    if len(seconds) > MAX_PERIODS:
        duration_s = seconds[MAX_PERIODS]
    return {
        "status": "Accepted",
        "schedule": {
            "evseId": request.evse_id,
            "duration": duration_s,
            "scheduleStart": timestamp(start_wall_s),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [
                {"startPeriod": second, "limit": _composite_limit(limits[second], unit, voltage_v * phase_count), "numberPhases": phase_count}
                for second in seconds[:MAX_PERIODS]
            ],
        },
    }


def _limit_by_second(start_wall_s: float, duration_s: int, steps: Sequence[LimitStep]) -> dict[int, float]:
    """Limit [A] from each whole second on; several steps in one second count with the lowest one. Always has 0."""
    limits = {0: math.inf}
    for step in steps:
        second = math.floor(step.start_wall_s - start_wall_s)
        limit_a = math.inf if step.limit_a is None else step.limit_a
        if second <= 0:
            limits[0] = limit_a
        elif second < duration_s:
            limits[second] = min(limits.get(second, math.inf), limit_a)
    return limits


def _composite_limit(limit_a: float, unit: str, watts_per_amp: float) -> float:
    limit = limit_a if unit == "A" else limit_a * watts_per_amp
    return min(math.floor(limit * 10 + 1e-6) / 10, UNLIMITED) if limit < UNLIMITED else UNLIMITED


def rejected(reason_code: str, info: str) -> Payload:
    """A Rejected answer with its statusInfo, within the schema's lengths."""
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason_code[:20], "additionalInfo": info[:512]}}
