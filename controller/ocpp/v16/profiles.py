"""Charging profiles of OCPP 1.6: JSON <-> the version-neutral ``Profile``.

Judges a SetChargingProfile as a station would (16 3.13, 5.16) as far as the message alone shows it; what
needs the station's state (known connector, running transaction, what it replaces) is ``link.profile_view``'s
part. Rules that differ from 2.x:

- a TxProfile may leave its transactionId out and means the running transaction (then None);
- an Absolute schedule without startSchedule begins with the session; a startSchedule in a Relative
  one means nothing.

A ChargePointMaxProfile has no session to begin with. If it has one endless period it means the same
from whenever on, and is accepted as such, for this is how many CSMSs write it; else it is refused.
Answers have no room for reasons: the reason codes in errors are for our own log.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from controller.facts import LimitStep, Stamp
from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import CompositeRequest, Payload, ProfileCriteria
from controller.ocpp.schedule import Kind, Profile, ProfileError, Purpose, Schedule
from controller.ocpp.times import timestamp
from controller.ocpp.v16.transactions import id_text

PURPOSES: Final = {"ChargePointMaxProfile": Purpose.STATION_MAX, "TxDefaultProfile": Purpose.TX_DEFAULT, "TxProfile": Purpose.TX}
_NOWHERE: Final = ProfileCriteria(evse_id=-1)
"""Criteria that select nothing."""


# -- SetChargingProfile --------------------------------------------------------------------------------


def read_set_profile(payload: Payload, *, in_start: bool = False) -> tuple[int, Profile]:
    """(connectorId, profile) of a SetChargingProfile request. Raises ProfileError.

    in_start: the profile came with a RemoteStartTransaction: only a TxProfile is allowed, its transactionId
    does not exist yet, and connectorId may be 0 while the connector is open (16E 3.41).
    """
    connector_id = fields.whole(payload.get("connectorId"), "InvalidValue", "connectorId", 0, fields.MAX_ID)
    raw = payload.get("csChargingProfiles")
    if not isinstance(raw, dict):
        raise ProfileError("MissingParam", "csChargingProfiles is missing")
    purpose = fields.word(raw.get("chargingProfilePurpose"), PURPOSES, "chargingProfilePurpose")
    if in_start and purpose is not Purpose.TX:
        raise ProfileError("InvalidProfile", "a RemoteStartTransaction carries only a TxProfile (16 5.11)")
    if not in_start:
        _check_place(connector_id, purpose)
    return connector_id, _profile(raw, purpose, in_start)


def _check_place(connector_id: int, purpose: Purpose) -> None:
    if purpose is Purpose.TX and connector_id == 0:
        raise ProfileError("InvalidValue", "a TxProfile needs a connectorId above 0 (16 3.13.1)")
    if purpose is Purpose.STATION_MAX and connector_id != 0:
        raise ProfileError("InvalidValue", "a ChargePointMaxProfile belongs to connectorId 0 (16 3.13.1)")


def _profile(raw: Payload, purpose: Purpose, in_start: bool) -> Profile:
    kind = fields.word(raw.get("chargingProfileKind"), fields.KINDS, "chargingProfileKind")
    valid_from, valid_to = fields.validity(raw)
    recurring = kind is Kind.RECURRING
    schedule = _schedule(raw.get("chargingSchedule"), kind)
    if purpose is Purpose.STATION_MAX and schedule.start_wall_s is None:
        kind, schedule = Kind.ABSOLUTE, _endless(schedule)
    return Profile(
        profile_id=fields.whole(raw.get("chargingProfileId"), "InvalidProfile", "chargingProfileId", -fields.MAX_ID, fields.MAX_ID),
        stack_level=fields.whole(raw.get("stackLevel"), "InvalidStackLevel", "stackLevel", 0, fields.MAX_STACK_LEVEL),
        purpose=purpose,
        kind=kind,
        schedules=(schedule,),
        transaction_id=_transaction_id(raw) if purpose is Purpose.TX and not in_start else None,
        valid_from_wall_s=valid_from,
        valid_to_wall_s=valid_to,
        recurrency=fields.word(raw.get("recurrencyKind"), fields.RECURRENCIES, "recurrencyKind") if recurring else None,
        raw=raw,
    )


def _transaction_id(raw: Payload) -> str | None:
    if raw.get("transactionId") is None:
        return None
    found = id_text(raw["transactionId"])
    if found is None:
        raise ProfileError("InvalidValue", "transactionId is not an integer")
    return found


def _schedule(raw: Any, kind: Kind) -> Schedule:
    if not isinstance(raw, dict):
        raise ProfileError("InvalidSchedule", "chargingSchedule is not an object")
    start_wall_s = None if kind is Kind.RELATIVE else fields.moment(raw, "startSchedule")
    if kind is Kind.RECURRING and start_wall_s is None:
        raise ProfileError("InvalidSchedule", "a Recurring profile needs startSchedule")
    return Schedule(
        schedule_id=0,
        unit=fields.rate_unit(raw.get("chargingRateUnit")),
        periods=fields.periods(raw.get("chargingSchedulePeriod")),
        duration_s=fields.duration(raw.get("duration")),
        start_wall_s=start_wall_s,
        min_rate=None if raw.get("minChargingRate") is None else fields.limit(raw["minChargingRate"], "minChargingRate"),
    )


def _endless(schedule: Schedule) -> Schedule:
    if len(schedule.periods) > 1 or schedule.duration_s is not None:
        raise ProfileError("InvalidSchedule", "a ChargePointMaxProfile that changes over time needs startSchedule")
    return Schedule(schedule.schedule_id, schedule.unit, schedule.periods, None, 0.0, schedule.min_rate)


def profile_in_start(payload: Payload) -> Payload | None:
    """The profile of a RemoteStartTransaction as SetChargingProfile; connectorId 0 where the station chooses."""
    raw, place = payload.get("chargingProfile"), payload.get("connectorId")
    return {"connectorId": 0 if place is None else place, "csChargingProfiles": raw} if isinstance(raw, dict) else None


# -- ClearChargingProfile --------------------------------------------------------------------------------


def read_clear(payload: Payload) -> ProfileCriteria:
    """Criteria of a ClearChargingProfile: the id alone, or all given ones together, or none: then all (16 5.5). Never raises."""
    profile_id, connector_id = payload.get("id"), payload.get("connectorId")
    purpose, stack = payload.get("chargingProfilePurpose"), payload.get("stackLevel")
    try:
        if profile_id is not None:
            return ProfileCriteria((fields.whole(profile_id, "InvalidValue", "id", -fields.MAX_ID, fields.MAX_ID),))
        return ProfileCriteria(
            evse_id=None if connector_id is None else fields.whole(connector_id, "InvalidValue", "connectorId", 0, fields.MAX_ID),
            purpose=None if purpose is None else fields.word(purpose, PURPOSES, "chargingProfilePurpose"),
            stack_level=None if stack is None else fields.whole(stack, "InvalidValue", "stackLevel", 0, fields.MAX_ID),
        )
    except ProfileError:
        return _NOWHERE


# -- GetCompositeSchedule ------------------------------------------------------------------------------


def write_composite(request: CompositeRequest, at: Stamp, steps: Sequence[LimitStep], voltage_v: float, phase_count: int = 3) -> Payload:
    """Answer to a GetCompositeSchedule from ``steps``, ascending, limits per phase [A]; see ``composite_periods``."""
    try:
        fields.check_composite(request)
    except ProfileError:
        return {"status": "Rejected"}
    start_wall_s = math.floor(at.wall_s)
    duration_s, periods = fields.composite_periods(request, start_wall_s, steps, voltage_v, phase_count)
    return {
        "status": "Accepted",
        "connectorId": request.evse_id,
        "scheduleStart": timestamp(start_wall_s),
        "chargingSchedule": {
            "duration": duration_s,
            "startSchedule": timestamp(start_wall_s),
            "chargingRateUnit": request.unit or "A",
            "chargingSchedulePeriod": periods,
        },
    }
