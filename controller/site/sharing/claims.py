"""Claims and grants: the words between the picture of the site and the arbiter. Plain frozen data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from controller.facts import EvseKey

EPS: Final = 1e-6
WAITING: Final = "waiting for a turn: "


class Rank(IntEnum):
    """Order of service within one priority."""

    AGED = 0
    SERVED = 1
    WAITING = 2
    YIELDING = 3
    RESTING = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One constraint: capacity for the claims on it [A] and the words that name it.

    source: a word of ``layers``. ends_wall_s: when it ends, None = not known. leans: the row may carry more while others draw
    on the opposite phase: (who, how much it draws [A], negative if it gives back); counts at most what they are granted now.
    passing_a: so much less it carries for a moment; who charges keeps his minimum meanwhile [A]. strict: also while setpoints
    change nothing may exceed it: who gives back more waits until others have been seen to give less. phases: of a total, the site
    phases it sums; its capacity is a sum of their currents then, and a claim loads it once per phase. () = any other row.
    """

    capacity_a: float
    reason: str
    source: str = ""
    ends_wall_s: float | None = None
    leans: tuple[tuple[EvseKey, float], ...] = ()
    passing_a: float = 0.0
    strict: bool = False
    phases: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Give:
    """What a car shall give back. Per phase [A], >= 0.

    wanted_a: how much. least_a: less is nothing. rows: the export rows it loads, one index per phase and row (a row of
    the site's sum stands there once per phase). w_per_a: power of one ampere on all its phases [W]. now_a: what its setpoint
    lets it give at this moment, changed_s: seconds since that last changed. held_a: the most it may still be giving, whatever it was told last.
    prompt: somebody outside asks for it and waits for it: more is given at once, too.
    """

    wanted_a: float
    least_a: float
    rows: tuple[int, ...]
    w_per_a: float
    reason: str
    now_a: float = 0.0
    changed_s: float = math.inf
    held_a: float = 0.0
    prompt: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What one EVSE may get. All currents per phase [A].

    rows: indices of the rows it loads; a total stands there once per phase. sums: those that stand there more than once.
    min_a: least current that charges. cap_a: most it may have by its own limits, cap_reason names the lowest.
    want_a <= cap_a: what it is expected to use; the rest is given only if nobody else needs it.
    present_a: setpoint in force. ceiling_a >= present_a: the most the station may still be obeying.
    rise_s: seconds since the setpoint last changed, for the ramp; inf = no ramp (a new session). may_rise False: no rise above the minimum.

    source, ends_wall_s: of the lowest own limit. lifted: it has waited too long for its priority. hurry: first among
    equals. give: what it shall give back instead of charging; its cap is 0 then. phase_count, phase_to_use, idle: handed on to the grant.
    """

    key: EvseKey
    rows: tuple[int, ...]
    min_a: float
    cap_a: float
    cap_reason: str
    want_a: float
    present_a: float
    ceiling_a: float
    priority: int = 0
    rank: Rank = Rank.WAITING
    since_mono_s: float = 0.0
    step_a: float = 1.0
    rise_s: float = math.inf
    may_rise: bool = True
    source: str = ""
    ends_wall_s: float | None = None
    lifted: bool = False
    hurry: bool = False
    give: Give | None = None
    phase_count: int | None = None
    phase_to_use: int | None = None
    idle: bool = False
    sums: tuple[int, ...] = ()

    def room_a(self, free: Sequence[float]) -> float:
        """How much more each of its phases may draw when the rows have so much free [A]; inf without rows."""
        rows = self.rows
        if not rows:
            return math.inf
        least_a = min([free[row] for row in rows])
        return min([least_a, *[free[row] / rows.count(row) for row in self.sums]]) if self.sums else least_a

    def tightest(self, free: Sequence[float]) -> int:
        """The row that leaves it least; it has one at least."""
        rows = self.rows
        return min(rows, key=lambda row: free[row] / rows.count(row)) if self.sums else min(rows, key=lambda row: free[row])


@dataclass(frozen=True, slots=True)
class Grant:
    """A setpoint: limit_a per phase [A], why it is not higher. waiting: no room for its minimum.

    source: who holds it back, in the words of NotifyChargingLimit: "EMS" (the site), "SO" (the grid operator), "CSO" (its
    CSMS), "" (nobody: charger or car). ends_wall_s: when what holds it back ends, None = not known. phase_count, phase_to_use:
    None = as it is wired. setpoint_w: signed power for a V2G setpoint, None = plain charging. idle: neither charge nor discharge.
    """

    key: EvseKey
    limit_a: float
    reason: str
    waiting: bool = False
    source: str = ""
    ends_wall_s: float | None = None
    phase_count: int | None = None
    phase_to_use: int | None = None
    setpoint_w: float | None = None
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How setpoints rise. ramp_up_a_per_s [A/s], dead_band_a [A]."""

    ramp_up_a_per_s: float
    dead_band_a: float


def floor_to(amps: float, step_a: float) -> float:
    """Down to a multiple of the step [A]."""
    return math.floor(amps / step_a + EPS) * step_a
