"""Charging profiles of OCPP 2.x: JSON <-> the version-neutral ``Profile``.

Judges a SetChargingProfile as a station would (use case K01) as far as the message alone shows it;
what needs the station's state (known EVSE, transaction, duplicates) is ``link.profile_view``'s part.
How each field is read stands in ``ocpp.profile_fields``; reports are written by ``profile_report``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from controller.facts import LimitStep, Stamp
from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import CompositeRequest, Payload, ProfileCriteria
from controller.ocpp.profile_fields import KINDS, MAX_ID, MAX_STACK_LEVEL, RECURRENCIES
from controller.ocpp.schedule import Kind, Period, Profile, ProfileError, Purpose, Schedule
from controller.ocpp.times import timestamp
from controller.ocpp.v2 import profile_report
from controller.ocpp.v2.profile_report import Rules

CompositePeriod = Callable[[int, LimitStep, "str | None", float, int], Payload]
"""Writes one period of a composite: second, step, unit, nominal voltage [V], phases of the EVSE."""

MAX_SCHEDULES: Final = 3
MAX_TRANSACTION_ID_CHARS: Final = 36

PURPOSES: Final = {
    "ChargingStationMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
    "ChargingStationExternalConstraints": Purpose.EXTERNAL,
}
_NOWHERE: Final = ProfileCriteria(evse_id=-1)
"""Criteria that select nothing."""


# -- SetChargingProfile --------------------------------------------------------------------------------


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


def report_profiles(request: Payload, found: Sequence[tuple[int, Profile]]) -> list[Payload]:
    """ReportChargingProfiles payloads for a GetChargingProfiles, with the fields of 2.0.1 (K09)."""
    return profile_report.report_profiles(request, found, lambda profile: profile_report.write_profile(profile, RULES))


RULES: Final = Rules(PURPOSES, KINDS, _read_period, profile_report.write_schedule)


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
