"""What a simulated station can be told to do, in no version's words. ``v2.commands`` and ``v16.commands`` read the words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.facts import Stamp
from controller.sim.evse import Evse, RemoteStart
from controller.sim.voice import Ending

if TYPE_CHECKING:
    from controller.sim.station import SimStation


def set_available(station: SimStation, at: Stamp, evses: Iterable[Evse], operative: bool) -> bool:
    """Open or close EVSEs; True if one of them waits for the end of its session (G03.FR.05)."""
    scheduled = False
    for evse in evses:
        waits = not operative and evse.transaction is not None
        evse.inoperative_next = waits
        evse.operative = evse.operative if waits else operative
        scheduled = scheduled or waits
        if operative:
            station.nudge(evse, "availability")
        station.report_status(at, evse)
    return scheduled


def start(station: SimStation, at: Stamp, evses: Iterable[Evse], wanted: RemoteStart) -> Evse | None:
    """Authorise the session at the first free EVSE, or the next one there; None if there is no free one."""
    evse = next((item for item in evses if item.operative and not (item.transaction and item.transaction.authorised)), None)
    if evse is None:
        return None
    if evse.transaction is not None:
        station.remote_start(at, evse, evse.transaction, wanted)
    else:
        evse.pending_start = wanted
        if evse.car is not None:
            station.begin(at, evse, wanted.token)
    return evse


def stop(station: SimStation, at: Stamp, transaction_id: str) -> bool:
    """End the session of this id; False if there is none."""
    for evse in station.evses.values():
        if evse.transaction is not None and evse.transaction.session.transaction_id == transaction_id:
            station.end(at, evse, Ending.REMOTE)
            return True
    return False


def tell_status_again(station: SimStation, at: Stamp, evse: Evse) -> None:
    """Report a status although it is known."""
    evse.reported = ""
    station.nudge(evse, "status")
    station.report_status(at, evse)


def schedule(station: SimStation, at: Stamp, chosen: list[Evse], duration_s: float) -> list[tuple[int, float]]:
    """The composite of some EVSEs: (seconds from now, limit of their sum per phase [A]), equal neighbours joined."""
    started = min((evse.transaction.session.started_wall_s for evse in chosen if evse.transaction), default=at.wall_s)
    steps: list[tuple[int, float]] = []
    for moment in station.profiles.edges(at.wall_s, at.wall_s + duration_s, started):
        limit_a = _limit_a(station, replace(at, wall_s=moment), chosen)
        if not steps or steps[-1][1] != limit_a:
            steps.append((round(moment - at.wall_s), limit_a))
    return steps


def _limit_a(station: SimStation, at: Stamp, chosen: Iterable[Evse]) -> float:
    """Sum of the EVSEs' limits per phase [A] (K08.FR.04)."""
    total_a = 0.0
    for evse in chosen:
        session = evse.transaction.session if evse.transaction else None
        own_a = station.profiles.evse_limit_a(evse.spec.id, at.wall_s, session)
        total_a += evse.spec.max_current_a if own_a is None else min(evse.spec.max_current_a, own_a)
    whole_a = station.profiles.station_limit_a(at.wall_s)
    return total_a if whole_a is None else min(total_a, whole_a)
