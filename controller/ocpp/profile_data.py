"""Charging profiles without a version: what can be said in one, and nothing about what it adds up to.

Everything that decides about amps is a field here; what decides nothing (prices, signatures, tariffs) stays in ``raw`` and
comes back in reports. Values are kept in the unit of their schedule, as sent. Import and charging are positive: a discharge
limit is 0 or negative, a setpoint either. All times are UTC wall seconds, but for ``Schedule.start_local_s``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S


class ProfileError(Exception):
    """A profile that cannot be accepted. reason_code: <= 20 characters, as in the 2.x appendix; info: for people."""

    def __init__(self, reason_code: str, info: str) -> None:
        super().__init__(f"{reason_code}: {info}")
        self.reason_code = reason_code
        self.info = info


class Purpose(StrEnum):
    """What a profile is for."""

    STATION_MAX = "station_max"
    TX_DEFAULT = "tx_default"
    TX = "tx"
    EXTERNAL = "external"
    PRIORITY = "priority"
    LOCAL_GENERATION = "local_generation"


class Kind(StrEnum):
    """What a schedule's time zero is: a date, a date repeated, the start of the session, or the last update (2.1 Dynamic)."""

    ABSOLUTE = "absolute"
    RECURRING = "recurring"
    RELATIVE = "relative"
    DYNAMIC = "dynamic"


class Recurrency(StrEnum):
    """How often a recurring schedule starts again."""

    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def period_s(self) -> int:
        return DAY_S if self is Recurrency.DAILY else WEEK_S


class Mode(StrEnum):
    """Operation modes of 2.1 that are understood here, by the names ``facts.LimitStep.mode`` uses; ChargingOnly is ""."""

    CHARGING_ONLY = ""
    CENTRAL_SETPOINT = "CentralSetpoint"
    CENTRAL_FREQUENCY = "CentralFrequency"
    EXTERNAL_SETPOINT = "ExternalSetpoint"
    EXTERNAL_LIMITS = "ExternalLimits"
    LOCAL_LOAD_BALANCING = "LocalLoadBalancing"
    IDLE = "Idle"


@dataclass(frozen=True, slots=True)
class PerPhase:
    """A value for all phases together, or for each: with l2 or l3 given, total is that of L1 (2.1, section 6.1)."""

    total: float
    l2: float | None = None
    l3: float | None = None

    @property
    def split(self) -> tuple[float, ...]:
        """The values phase by phase; () if it is one for all."""
        if self.l2 is None and self.l3 is None:
            return ()
        return tuple(value for value in (self.total, self.l2, self.l3) if value is not None)


@dataclass(frozen=True, slots=True)
class Period:
    """From start_s after the schedule's zero: limit >= 0 in the schedule's unit, over phase_count phases.

    limit None: this mode sets none. limit_l2, limit_l3 >= 0: then limit is that of L1. discharge <= 0, setpoint: 2.1; in both
    units the sum of the phases unless they name them. Absent numberPhases counts as 3 (K01.FR.49).
    """

    start_s: float
    limit: float | None
    phase_count: int = 3
    phase_to_use: int | None = None
    limit_l2: float | None = None
    limit_l3: float | None = None
    mode: Mode = Mode.CHARGING_ONLY
    discharge: PerPhase | None = None
    setpoint: PerPhase | None = None


@dataclass(frozen=True, slots=True)
class LimitAtSoC:
    """A lower limit [schedule's unit] once the battery has reached soc_percent (K01.FR.100)."""

    soc_percent: float
    limit: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """Periods ascending from start_s 0. unit "A" (per phase) or "W" (sum). duration_s None = endless; min_rate in unit.

    start_local_s: startSchedule as the site's clock on the wall shows it, in seconds as if it were UTC (useLocalTime); then
    start_wall_s is None. randomized_delay_s: largest delay of every period but the first (K01.FR.92-97).
    """

    schedule_id: int
    unit: str
    periods: tuple[Period, ...]
    duration_s: float | None = None
    start_wall_s: float | None = None
    min_rate: float | None = None
    start_local_s: float | None = None
    randomized_delay_s: float = 0.0
    limit_at_soc: LimitAtSoC | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One charging profile. raw: the JSON object it came in, for reports; it takes no part in comparisons.

    updated_wall_s: when a Dynamic profile was installed or last updated, None = just now (K28.FR.05/09).
    update_interval_s: how often a Dynamic profile wants to be pulled, None = never. max_offline_s: valid for so long after the
    station has lost its CSMS; ends_offline: and then never again (K01.FR.101-103).
    """

    profile_id: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    schedules: tuple[Schedule, ...]
    transaction_id: str | None = None
    valid_from_wall_s: float | None = None
    valid_to_wall_s: float | None = None
    recurrency: Recurrency | None = None
    raw: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    updated_wall_s: float | None = None
    update_interval_s: float | None = None
    max_offline_s: float | None = None
    ends_offline: bool = False
