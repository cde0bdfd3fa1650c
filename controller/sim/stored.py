"""One charging profile inside a simulated station: when it applies and what it says then.

A body is a chargingProfile as 2.x writes it. Kinds Absolute, Recurring, Relative and Dynamic (2.1): a dynamic one has
one period whose values are replaced by UpdateDynamicSchedule, and its duration counts from the last update (K28). Limits
come in A per phase or in W over the phases; without numberPhases three are meant (K01.FR.49, K01.FR.50).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from controller.sim.car import VOLTAGE_V
from controller.sim.wire import Payload, unix

RECURRENCE_S = {"Daily": 86_400.0, "Weekly": 7 * 86_400.0}
FOREVER_S = float("inf")
DYNAMIC = "Dynamic"
CHARGING_ONLY = "ChargingOnly"
UPDATED = ("limit", "dischargeLimit", "setpoint")


class Offer(NamedTuple):
    """What profiles say for one moment, per phase [A].

    limit_a None = unlimited. setpoint_a: what shall flow, negative = given back; None = up to the car. phases: how many
    may be used, None = as wired. mode: the operation mode (2.1).
    """

    limit_a: float | None
    setpoint_a: float | None = None
    phases: int | None = None
    mode: str = CHARGING_ONLY


@dataclass(frozen=True, slots=True)
class Period:
    """One chargingSchedulePeriod, values per phase [A]."""

    start_s: float
    offer: Offer


class Stored:
    """One installed profile, as it was sent. set_wall_s: when it was installed or last updated."""

    __slots__ = ("body", "duration_s", "evse_id", "kind", "offline_s", "periods", "set_wall_s", "start_wall_s", "starts", "window")

    def __init__(self, evse_id: int, body: Payload, set_wall_s: float = 0.0) -> None:
        schedule = body["chargingSchedule"][0]
        start, end = body.get("validFrom"), body.get("validTo")
        self.evse_id, self.body, self.set_wall_s = evse_id, body, set_wall_s
        self.kind: str = body["chargingProfileKind"]
        self.window = (unix(start) if start else -FOREVER_S, unix(end) if end else FOREVER_S)  # K01.FR.36, K01.FR.37
        self.duration_s = float(schedule.get("duration", FOREVER_S))
        self.start_wall_s = unix(schedule["startSchedule"]) if "startSchedule" in schedule and self.kind != "Relative" else None
        self.periods = [Period(float(item["startPeriod"]), _offer(item, schedule["chargingRateUnit"])) for item in schedule["chargingSchedulePeriod"]]
        self.starts = [period.start_s for period in self.periods]
        self.offline_s = float(body.get("maxOfflineDuration", FOREVER_S))

    @property
    def id(self) -> int:
        """chargingProfile.id."""
        return int(self.body["id"])

    @property
    def purpose(self) -> str:
        """chargingProfilePurpose."""
        return str(self.body["chargingProfilePurpose"])

    @property
    def stack_level(self) -> int:
        """stackLevel; higher wins."""
        return int(self.body["stackLevel"])

    def offer(self, wall_s: float, started_wall_s: float, offline_wall_s: float | None = None) -> Offer | None:
        """What it says at a moment; None while it does not apply. offline_wall_s: since when the station is offline (K01.FR.101)."""
        if not self.window[0] <= wall_s < self.window[1]:
            return None
        if offline_wall_s is not None and wall_s - offline_wall_s >= self.offline_s:
            return None
        since_s = self._since(wall_s, started_wall_s)
        if since_s < 0 or since_s >= self.duration_s:
            return None
        return self.periods[bisect_right(self.starts, since_s) - 1].offer

    def edges(self, start_wall_s: float, end_wall_s: float, started_wall_s: float, offline_wall_s: float | None = None) -> Iterator[float]:
        """Moments in the window at which what it says may change."""
        zero = start_wall_s - self._since(start_wall_s, started_wall_s)
        offsets = [*self.starts, self.duration_s]
        period_s = RECURRENCE_S.get(self.body.get("recurrencyKind", ""), FOREVER_S)
        repeats = 1 if period_s == FOREVER_S else int((end_wall_s - zero) // period_s) + 1
        moments = [zero + (turn * period_s if turn else 0.0) + offset for turn in range(repeats) for offset in offsets]
        if offline_wall_s is not None:
            moments.append(offline_wall_s + self.offline_s)
        yield from (moment for moment in (*moments, *self.window) if start_wall_s < moment < end_wall_s)

    def updated(self, update: Payload, wall_s: float) -> Stored:
        """The profile with the values of an UpdateDynamicSchedule; its duration begins again (K28.FR.13)."""
        schedule = self.body["chargingSchedule"][0]
        period = {**schedule["chargingSchedulePeriod"][0], **{key: update[key] for key in UPDATED if key in update}}
        body = {**self.body, "chargingSchedule": [{**schedule, "chargingSchedulePeriod": [period]}]}
        return Stored(self.evse_id, body, wall_s)

    def _since(self, wall_s: float, started_wall_s: float) -> float:
        if self.kind == DYNAMIC:
            return wall_s - self.set_wall_s
        if self.start_wall_s is None:
            return wall_s - started_wall_s
        since_s = wall_s - self.start_wall_s
        if self.kind == "Recurring" and since_s >= 0:
            since_s %= RECURRENCE_S[self.body["recurrencyKind"]]
        return since_s


def lowest(one: Offer | None, other: Offer | None) -> Offer | None:
    """Both at once: the lower limit, the fewer phases, the first setpoint named (K08.FR.04)."""
    if one is None or other is None:
        return one or other
    limits = [offer.limit_a for offer in (one, other) if offer.limit_a is not None]
    phases = [offer.phases for offer in (one, other) if offer.phases is not None]
    setpoint_a = one.setpoint_a if one.setpoint_a is not None else other.setpoint_a
    return Offer(min(limits, default=None), setpoint_a, min(phases, default=None), one.mode)


def _offer(period: Payload, unit: str) -> Offer:
    """The values of a period per phase [A]. CentralSetpoint: the setpoint, kept inside the limits beside it (V2X.03, V2X.04)."""
    told = period.get("numberPhases")
    per_amp = 1.0 if unit == "A" else VOLTAGE_V * int(told or 3)
    limit_a = float(period["limit"]) / per_amp if "limit" in period else None
    offer = Offer(limit_a, None, int(told) if told is not None else None, str(period.get("operationMode", CHARGING_ONLY)))
    if period.get("operationMode") == "Idle":
        return offer._replace(limit_a=0.0)
    if "setpoint" not in period:
        return offer
    setpoint_a = float(period["setpoint"]) / per_amp
    if "dischargeLimit" in period:
        setpoint_a = max(setpoint_a, float(period["dischargeLimit"]) / per_amp)
    return offer._replace(setpoint_a=setpoint_a if limit_a is None else min(setpoint_a, limit_a))
