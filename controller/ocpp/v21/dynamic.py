"""What 2.1 can do with a profile that is already there: new values for a Dynamic one (K28), priority (K21, K22).

An update replaces values of the only period of the profile's schedule; it is judged by reading the
profile again with them, so that the same rules hold as when it was set.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.dialect import Payload, PriorityWord
from controller.ocpp.profile_fields import MAX_ID, whole
from controller.ocpp.schedule import Kind, Profile, ProfileError
from controller.ocpp.times import timestamp

VALUES: Final = tuple(f"{name}{phase}" for name in ("limit", "dischargeLimit", "setpoint", "setpointReactive") for phase in ("", "_L2", "_L3"))
"""What an update can say."""


def read_update(payload: Payload) -> tuple[int, Payload]:
    """(profile id, new values) of an UpdateDynamicSchedule. Raises ProfileError."""
    profile_id = whole(payload.get("chargingProfileId"), "InvalidValue", "chargingProfileId", -MAX_ID, MAX_ID)
    return profile_id, values_of(payload.get("scheduleUpdate"))


def values_of(update: Any) -> Payload:
    """The values of a ChargingScheduleUpdate. Raises ProfileError if there are none."""
    found = {key: update[key] for key in VALUES if update.get(key) is not None} if isinstance(update, dict) else {}
    if not found:
        raise ProfileError("InvalidSchedule", "the update has no values (K28.FR.03)")
    return found


def updated(profile: Profile, values: Payload, now_wall_s: float) -> Payload:
    """The JSON of a Dynamic profile with new values and its dynUpdateTime (K28.FR.06-09). Raises ProfileError."""
    if profile.kind is not Kind.DYNAMIC:
        raise ProfileError("InvalidProfile", "this profile is not Dynamic (K28.FR.11)")
    schedules = [_with(schedule, values) for schedule in _objects(profile.raw.get("chargingSchedule"))]
    return {**profile.raw, "chargingSchedule": schedules, "dynUpdateTime": timestamp(now_wall_s)}


def _with(schedule: Payload, values: Payload) -> Payload:
    periods = [{**period, **values} for period in _objects(schedule.get("chargingSchedulePeriod"))]
    return {**schedule, "chargingSchedulePeriod": periods}


def _objects(values: Any) -> list[Payload]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def pulled(answer: Payload) -> Payload | None:
    """New values in the answer to a PullDynamicScheduleUpdate; None if it has none (K28.FR.08)."""
    if answer.get("status") != "Accepted":
        return None
    try:
        return values_of(answer.get("scheduleUpdate"))
    except ProfileError:
        return None


def pull_answer(values: Payload | None) -> Payload:
    """The answer to a station that asks for values; None: no Dynamic profile of this id is known (K28.FR.12)."""
    if not values:
        return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidProfile", "additionalInfo": "no such Dynamic profile"}}
    return {"status": "Accepted", "scheduleUpdate": values}


def read_priority(payload: Payload) -> PriorityWord | None:
    """UsePriorityCharging or NotifyPriorityCharging; None if it cannot be read."""
    transaction_id, active = payload.get("transactionId"), payload.get("activate", payload.get("activated"))
    if not isinstance(transaction_id, str) or not isinstance(active, bool):
        return None
    return PriorityWord(transaction_id, active)


def priority_answer(status: str) -> Payload:
    """Accepted, Rejected or NoProfile with its reason (K21.FR.01-04)."""
    reasons = {"NoProfile": "NotFound", "Rejected": "TxNotFound"}
    return {"status": status} | ({"statusInfo": {"reasonCode": reasons[status]}} if status in reasons else {})
