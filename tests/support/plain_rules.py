"""What charging profiles mean at one second, by the plainest reading of the rules: the judge of ``controller.ocpp.composite``.

Works on the JSON of OCPP 2.1 itself and shares no code with the controller: slow, naive, one second at a time. Rules: OCPP 2.1 part 2,
K01 (FR.11/12/31/36/37/49-51/90/100-102/140/147), K02.FR.08, K08.FR.04/08, K28.FR.13, SC.01, V2X.03/04.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any


@dataclass
class Meaning:
    """Limit, discharge limit and setpoint per phase [A]; phases below 3 or None; mode "" = ChargingOnly."""

    limit: float | None = None
    discharge: float | None = None
    setpoint: float | None = None
    phases: int | None = None
    mode: str = ""

    @property
    def amounts(self) -> tuple[float | None, float | None, float | None]:
        return self.limit, self.discharge, self.setpoint


def text(wall_s: float) -> str:
    """A wall time as it stands in a message."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def meaning(
    profiles: list[dict[str, Any]],
    now: float,
    session: float,
    volts: float,
    installed: float,
    *,
    priority_active: bool = False,
    soc_percent: float | None = None,
    offline_since_wall_s: float | None = None,
    timezone: tzinfo | None = None,
) -> Meaning:
    """What all profiles together mean at ``now``. installed: when Dynamic profiles came."""
    leaders = {}
    for purpose in ("ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile", "PriorityCharging", "LocalGeneration"):
        valid = []
        for profile in profiles:
            period = running_period(profile, now, session, installed, offline_since_wall_s, timezone)
            if profile["chargingProfilePurpose"] == purpose and period is not None:
                valid.append((profile["stackLevel"], -profile["id"], amps(profile["chargingSchedule"][0], period, volts, soc_percent)))
        if valid:
            leaders[purpose] = max(valid, key=lambda found: found[:2])[2]
    order = ["PriorityCharging", "TxProfile", "TxDefaultProfile"] if priority_active else ["TxProfile", "TxDefaultProfile"]
    transaction = next((leaders[purpose] for purpose in order if purpose in leaders), None)
    maximum = leaders.get("ChargingStationMaxProfile")
    capping = [found for found in (maximum, transaction) if found is not None]
    result = Meaning()
    if transaction is not None:
        result = Meaning(None, transaction.discharge, transaction.setpoint, None, transaction.mode)
    result.limit = min((found.limit for found in capping if found.limit is not None), default=None)
    result.phases = min((found.phases for found in capping if found.phases is not None), default=None)
    if result.setpoint is not None and result.limit is not None and result.setpoint > result.limit:
        result.setpoint = result.limit
    if result.setpoint is not None and result.discharge is not None and result.setpoint < result.discharge:
        result.setpoint = result.discharge
    generated = leaders.get("LocalGeneration")
    if generated is not None and generated.limit is not None and result.limit is not None and result.mode != "Idle":
        result.limit += generated.limit
    return result


def running_period(
    profile: dict[str, Any], now: float, session: float, installed: float, offline_since: float | None, zone: tzinfo | None
) -> dict[str, Any] | None:
    """The period of a profile that is in force, None if the profile does not count."""
    if "validFrom" in profile and now < moment(profile["validFrom"]).timestamp():
        return None
    if "validTo" in profile and now >= moment(profile["validTo"]).timestamp():
        return None
    if offline_since is not None and "maxOfflineDuration" in profile and now - offline_since >= profile["maxOfflineDuration"]:
        return None
    schedule = profile["chargingSchedule"][0]
    zero = zero_of(profile, schedule, now, session, installed, zone)
    if zero is None or now < zero:
        return None
    if "duration" in schedule and now - zero >= schedule["duration"] and schedule["duration"] < round_length(profile):
        return None
    found = None
    for period in schedule["chargingSchedulePeriod"]:
        if period["startPeriod"] <= now - zero:
            found = period
    return found


def round_length(profile: dict[str, Any]) -> float:
    lengths: dict[Any, float] = {None: float("inf"), "Daily": 86_400, "Weekly": 7 * 86_400}
    return lengths[profile.get("recurrencyKind")]


def zero_of(profile: dict[str, Any], schedule: dict[str, Any], now: float, session: float, installed: float, zone: tzinfo | None) -> float | None:
    """The latest moment at or before now at which the schedule began, or its first one if that lies ahead."""
    kind = profile["chargingProfileKind"]
    if kind == "Relative":
        return session
    if kind == "Dynamic":
        return installed
    start = moment(schedule["startSchedule"])
    if schedule.get("useLocalTime"):
        start = start.replace(tzinfo=zone or UTC)  # the clock on the wall, whatever zone the message names
    days = {None: 0, "Daily": 1, "Weekly": 7}[profile.get("recurrencyKind")]
    begun = [zero for zero in beginnings(start, days) if zero <= now]
    return begun[-1] if begun else None


@cache
def beginnings(start: datetime, days: int) -> list[float]:
    """Each round begins at the same time of day, also after a change of the clocks."""
    return [(start + timedelta(days=days * count)).timestamp() for count in range(30 if days else 1)]


@cache
def moment(value: str) -> datetime:
    """A date-time of the wire."""
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def amps(schedule: dict[str, Any], period: dict[str, Any], volts: float, soc: float | None) -> Meaning:
    """A period's values per phase [A]."""
    phases = period.get("numberPhases", 3)
    watts = schedule["chargingRateUnit"] == "W"
    mode = period.get("operationMode", "")
    if mode == "Idle":
        return Meaning(0.0, 0.0, None, phases if phases < 3 else None, mode)
    limit = None
    if "limit" in period:
        each = [period[key] for key in ("limit", "limit_L2", "limit_L3") if key in period]
        if not watts:
            limit = min(each)
        elif len(each) == 1:
            limit = each[0] / phases / volts
        else:
            limit = min(each) / volts
    bound = schedule.get("limitAtSoC")
    if bound is not None and (soc is None or soc >= bound["soc"]):
        low = bound["limit"] / phases / volts if watts else bound["limit"]
        limit = low if limit is None or low < limit else limit
    sums = [None if key not in period else period[key] / phases / (volts if watts else 1) for key in ("dischargeLimit", "setpoint")]
    found = Meaning(limit, sums[0], sums[1], phases if phases < 3 else None, mode)
    if found.setpoint is not None and limit is not None and found.setpoint > limit:
        found.setpoint = limit
    if found.setpoint is not None and found.discharge is not None and found.setpoint < found.discharge:
        found.setpoint = found.discharge
    return found
