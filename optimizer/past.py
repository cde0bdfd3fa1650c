"""Past charging sessions as plain data: what forecasts of arrivals, stays and needs are learnt from. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PastSession:
    """One finished (or still running, then as far as known) session.

    evse: its EVSE, "station/evse". node_id and phases: where it hung. energy_wh: what was charged, at the charger. max_power_w: the
    most it could draw. stated_*: what the driver or the car said at arrival, None = nothing. user: a stable name of driver or car
    (never the idTag itself: a keyed digest), "" = unknown.
    """

    evse: str
    node_id: str
    phases: tuple[int, ...]
    arrival_wall_s: float
    departure_wall_s: float
    energy_wh: float
    max_power_w: float
    stated_wh: float | None = None
    stated_departure_wall_s: float | None = None
    user: str = ""


@dataclass(frozen=True, slots=True)
class Stay:
    """A car that is plugged in now, as far as a forecast needs to know it. charged_wh: so far."""

    evse: str
    arrival_wall_s: float
    charged_wh: float
    max_power_w: float
    stated_wh: float | None = None
    stated_departure_wall_s: float | None = None
    user: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is planned for a plugged-in car: energy still to come [Wh], the part of it that comes first, and when it must be done."""

    need_wh: float
    minimum_wh: float
    departure_wall_s: float
