"""Rows of a table of combinations of charging profiles, and how one is put to the test: JSON in, composite schedule out.

Unless a row says otherwise: it is Tuesday 2026-03-10 12:00:00 UTC, no car is plugged in, 6 hours are asked for, in amps, of a
three-phase EVSE of 230 V. A pair (seconds, limit) is a period of three phases; None = no limit, written as 999999.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

import pytest

from controller.facts import Stamp
from controller.ocpp.dialect import CompositeRequest
from controller.ocpp.registry import dialects
from controller.ocpp.schedule import Kind, Profile, composite, on_phases
from tests.support.schemas import check_request, check_response

DIALECTS = dialects()
V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
ALL, TWO, NEW = (V16, V201, V21), (V201, V21), (V21,)
HOUR = 3600
DAY = 86_400
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
WORDS = {"max": ("ChargePointMaxProfile", "ChargingStationMaxProfile"), "default": ("TxDefaultProfile",) * 2, "tx": ("TxProfile",) * 2}
WORDS |= {"priority": ("", "PriorityCharging"), "sun": ("", "LocalGeneration")}


# -- writing profiles -------------------------------------------------------------------------------------------------

P = dict[str, Any]


def p(purpose: str, *periods: Any, **fields: Any) -> P:
    """A profile in plain words. periods: limits from 0 s on as (seconds, limit) or (seconds, fields); fields: of profile and schedule."""
    return {"purpose": purpose, "periods": periods, **fields}


def at(hours: float) -> str:
    """startSchedule so many hours from noon."""
    return datetime.fromtimestamp(NOON.timestamp() + hours * HOUR, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wire(version: str, number: int, plain: P) -> P:
    """The SetChargingProfile of a version."""
    old = version == V16
    purpose = plain["purpose"]
    kind = plain.get("kind", "Absolute")
    schedule: P = {"chargingRateUnit": plain.get("unit", "A"), "chargingSchedulePeriod": [_period(period) for period in plain["periods"]]}
    if plain.get("start", at(0)) and kind in ("Absolute", "Recurring"):
        schedule["startSchedule"] = plain.get("start", at(0))
    schedule |= plain.get("schedule", {}) | ({"duration": plain["duration"]} if "duration" in plain else {})
    head: P = {"stackLevel": plain.get("stack", 0), "chargingProfilePurpose": WORDS[purpose][0 if old else 1], "chargingProfileKind": kind}
    head |= {"recurrencyKind": plain["every"]} if kind == "Recurring" else {}
    head |= {"transactionId": 7 if old else "t-7"} if purpose == "tx" else {}
    head |= plain.get("profile", {})
    place = 0 if purpose == "max" else 1
    if old:
        return {"connectorId": place, "csChargingProfiles": {"chargingProfileId": number, **head, "chargingSchedule": schedule}}
    others = [{"id": index, **schedule, **more} for index, more in enumerate(plain.get("schedules", []), start=2)]
    return {"evseId": place, "chargingProfile": {"id": number, **head, "chargingSchedule": [{"id": 1, **schedule}, *others]}}


def _period(period: Any) -> P:
    start, said = period
    return {"startPeriod": start} | (said if isinstance(said, dict) else {"limit": said})


# -- a row ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """name: begins with the requirement. session_s: how long ago a session began. updated_s: how long ago Dynamic ones were updated."""

    name: str
    versions: tuple[str, ...]
    profiles: list[P]
    expected: list[Any]
    now: datetime = NOON
    hours: float = 6
    unit: str = "A"
    phases: int = 3
    session_s: float | None = None
    updated_s: float | None = None
    zone: tzinfo | None = None
    known: P = field(default_factory=dict)


def _read(row: Row, version: str) -> list[Profile]:
    found = []
    for number, plain in enumerate(row.profiles, start=1):
        payload = wire(version, number, plain)
        check_request("SetChargingProfile", payload, version)
        profile = on_phases(DIALECTS[version].read_set_profile(payload)[1], row.phases)
        stamped = profile.kind is Kind.DYNAMIC and row.updated_s is not None
        found.append(replace(profile, updated_wall_s=row.now.timestamp() - (row.updated_s or 0)) if stamped else profile)
    return found


def schedule_of(row: Row, version: str) -> list[P]:
    """The periods of the composite schedule a row really gets; every frame fits its schema."""
    now = row.now.timestamp()
    session = None if row.session_s is None else now - row.session_s
    known = {key: now - value if key == "offline_since_wall_s" else value for key, value in row.known.items()}
    steps = composite(_read(row, version), now, now + row.hours * HOUR, session, 230.0, timezone=row.zone, **known)
    request = CompositeRequest(1, round(row.hours * HOUR), row.unit)
    answer = DIALECTS[version].write_composite(request, Stamp(0.0, now), steps, 230.0, row.phases)
    check_response("GetCompositeSchedule", answer, version)
    whole = answer["chargingSchedule" if version == V16 else "schedule"]
    assert whole["chargingRateUnit"] == row.unit
    assert math.isclose(whole["duration"], row.hours * HOUR)
    periods: list[P] = whole["chargingSchedulePeriod"]
    return periods


def expected_of(row: Row) -> list[P]:
    """The periods a row expects, as JSON."""
    usual = {"numberPhases": row.phases}
    plain = [{"startPeriod": start} | usual | (said if isinstance(said, dict) else {"limit": said}) for start, said in row.expected]
    return [period | ({"limit": 999_999.0} if "limit" in period and period["limit"] is None else {}) for period in plain]


def cases(*rows: Row) -> list[Any]:
    """pytest parameters: each row in each of its versions."""
    return [pytest.param(version, row, id=f"{version} {row.name}") for row in rows for version in row.versions]
