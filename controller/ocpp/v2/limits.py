"""Limits that are not the CSMS's own: NotifyChargingLimit, ClearedChargingLimit (K11-K14, K23-K26).

Written for the CSMS from the site's decisions, read from a station that is limited by something else
than OCPP. A source is a fixed word in 2.0.1 and free text of 20 characters in 2.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from controller.facts import Stamp
from controller.ocpp import profile_fields as fields
from controller.ocpp.dialect import ExternalLimit, LimitNotice, LimitSettings, Payload, ProfileCriteria
from controller.ocpp.samples import number
from controller.ocpp.schedule import Profile, ProfileError, Purpose, Schedule
from controller.ocpp.times import timestamp
from controller.ocpp.v2 import profiles

SOURCES_201: Final = ("EMS", "Other", "SO")
"""Never CSO: that is the CSMS itself (K11.FR.05)."""
EXTERNAL_ID: Final = -1
"""Profile id of a limit a station tells of: it has none of its own."""
COMPONENT: Final = "SmartChargingCtrlr"
SIGNIFICANCE: Final = "LimitChangeSignificance"
WITH_SCHEDULES: Final = "NotifyChargingLimitWithSchedules"


# -- to the CSMS -----------------------------------------------------------------------------------------


def notice(told: LimitNotice, source: str) -> tuple[str, Payload]:
    """NotifyChargingLimit; source: in the words of the version."""
    payload: Payload = {"chargingLimit": {"chargingLimitSource": source, "isGridCritical": told.critical}}
    if told.evse_id:
        payload["evseId"] = told.evse_id
    if told.with_schedule:
        payload["chargingSchedule"] = [_schedule(told)]
    return "NotifyChargingLimit", payload


def _schedule(told: LimitNotice) -> Payload:
    schedule: Payload = {
        "id": 1,
        "startSchedule": timestamp(told.start_wall_s),
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [fields.own_period(told.limit_a, told.phase_count)],
    }
    if told.until_wall_s is not None and told.until_wall_s - told.start_wall_s >= 1.0:
        schedule["duration"] = min(int(told.until_wall_s - told.start_wall_s), fields.MAX_DURATION_S)
    return schedule


def cleared(evse_id: int, source: str) -> tuple[str, Payload]:
    """ClearedChargingLimit (K13)."""
    return "ClearedChargingLimit", {"chargingLimitSource": source} | ({"evseId": evse_id} if evse_id else {})


def word_201(source: str) -> str:
    """A source in the words of 2.0.1."""
    return source if source in SOURCES_201 else "Other"


def word_21(source: str) -> str:
    """A source in the words of 2.1: at most 20 characters."""
    return source[:20] or "Other"


# -- from a station -----------------------------------------------------------------------------------------


def external_limit(at: Stamp, action: str, payload: Payload) -> ExternalLimit | None:
    """A limit the station tells of, or its end; None for any other CALL, and for one that cannot be read."""
    evse_id = payload.get("evseId", 0)
    if type(evse_id) is not int or evse_id < 0:
        return None
    if action == "ClearedChargingLimit":
        source = payload.get("chargingLimitSource")
        return ExternalLimit(evse_id, source, True) if isinstance(source, str) else None
    limit = payload.get("chargingLimit") if action == "NotifyChargingLimit" else None
    source = limit.get("chargingLimitSource") if isinstance(limit, dict) else None
    if not isinstance(limit, dict) or not isinstance(source, str) or source == "CSO" or limit.get("isLocalGeneration") is True:
        return None  # CSO is the CSMS's own limit come back; local generation is no limit but adds to one (K27)
    return ExternalLimit(evse_id, source, False, _profile(at, evse_id, payload.get("chargingSchedule")))


def _profile(at: Stamp, evse_id: int, schedules: Any) -> Profile | None:
    """The limit over time as a profile of the station's; None if there is none, or it cannot be read."""
    raws = [raw for raw in schedules if isinstance(raw, dict)] if isinstance(schedules, list) else []
    found = [schedule for raw in raws if (schedule := _read(at, evse_id, raw)) is not None]
    return replace(found[0], schedules=tuple(_all(found)), purpose=Purpose.EXTERNAL, raw={}) if found else None


def _all(found: list[Profile]) -> list[Schedule]:
    return [profile.schedules[0] for profile in found]


def _read(at: Stamp, evse_id: int, raw: Payload) -> Profile | None:
    """One schedule, read as that of a default; without a start it begins now."""
    profile = {
        "id": EXTERNAL_ID,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [{"startSchedule": timestamp(at.wall_s), **raw}],
    }
    try:
        return profiles.read_set_profile({"evseId": evse_id, "chargingProfile": profile})[1]
    except ProfileError:
        return None


# -- settings of the station ----------------------------------------------------------------------------------


def settings(action: str, request: Payload, result: Payload) -> LimitSettings | None:
    """What GetVariables tells, or an accepted SetVariables sets."""
    given, answers = {"GetVariables": ("", "getVariableResult"), "SetVariables": ("setVariableData", "setVariableResult")}.get(action, ("", ""))
    told = result.get(answers) if answers else None
    if not isinstance(told, list):
        return None
    asked = request.get(given) if given else told
    found = LimitSettings()
    for item, answer in zip(asked if isinstance(asked, list) else [], told, strict=False):
        if isinstance(item, dict) and isinstance(answer, dict) and answer.get("attributeStatus") == "Accepted":
            found = _with(found, item)
    return found if found != LimitSettings() else None


def _with(found: LimitSettings, item: Payload) -> LimitSettings:
    component, variable, value = item.get("component"), item.get("variable"), item.get("attributeValue")
    if not isinstance(component, dict) or not isinstance(variable, dict) or component.get("name") != COMPONENT or not isinstance(value, str):
        return found
    if variable.get("name") == WITH_SCHEDULES and value.lower() in ("true", "false"):
        return replace(found, schedules=value.lower() == "true")
    percent = _percent(value) if variable.get("name") == SIGNIFICANCE else None
    return found if percent is None else replace(found, significance_percent=percent)


def _percent(text: str) -> float | None:
    try:
        percent = number(float(text))
    except ValueError:
        return None
    return percent if percent is not None and 0 <= percent <= 100 else None


def clear_others(criteria: ProfileCriteria, purposes: tuple[str, ...]) -> list[tuple[str, Payload]]:
    """One ClearChargingProfile per purpose, with the EVSE and stack level of the criteria."""
    where = {"evseId": criteria.evse_id, "stackLevel": criteria.stack_level}
    said = {key: value for key, value in where.items() if value is not None}
    return [("ClearChargingProfile", {"chargingProfileCriteria": {**said, "chargingProfilePurpose": purpose}}) for purpose in purposes]
