"""Which peak is worth paying for: learnt by rehearsing the rest of the billing period with the cars of past weeks.

A demand charge is paid for the highest quarter hour of weeks, a plan sees one day. Weighed with the whole charge, a plan never buys
a kW that would pay on many days; weighed with one day's part of it, it buys a kW for a day that needs it alone. So the rest of the period is
planned in one piece, once for each past week, as if its cars came again, with today's knowledge of prices, building and sun. Each
rehearsal tells the peak that would have been best for it. Their middle is taken as paid: below it a kW costs nothing, above it everything.

Past peaks themselves would be the wrong teacher: they contain the mistakes of past plans, other weather and other prices.

Pure: it poses problems and reads plans; the caller solves, say once a night. Units as in ``problem.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from statistics import median

from optimizer.forecast import zone_of
from optimizer.past import PastSession
from optimizer.problem import EXPECTED, Ev, Problem

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
WEEKS = 4
"""So many past weeks are rehearsed."""
FEWEST_SHARE = 0.3
"""A week with less than this part of the usual energy (holidays, a closed site) teaches nothing."""


def rehearsals(past: Sequence[PastSession], rest: Problem, timezone: str, weeks: int = WEEKS) -> Iterator[Problem]:
    """The rest of the period with the cars of each of the last weeks.

    rest: the problem from now to the end of the period (or a week, whatever is shorter: then with that part of the demand charge), with
    the peak so far and the cars that are there now. past: any order; sessions after the begin of rest are left out. Nothing without past
    or demand charge.
    """
    if not rest.slots or rest.demand_per_kw <= 0.0:
        return
    begin_s = rest.slots[0].start_wall_s
    end_s = rest.slots[-1].start_wall_s + rest.slots[-1].duration_s
    for cast in casts(past, begin_s, end_s, timezone, weeks).values():
        yield replace(rest, evs=(*rest.evs, *cast))


def casts(past: Sequence[PastSession], begin_s: float, end_s: float, timezone: str, weeks: int = WEEKS) -> dict[int, tuple[Ev, ...]]:
    """The cars that come between two moments if a past week comes again, by how many weeks ago that was; without weeks that teach nothing."""
    known = [one for one in past if one.departure_wall_s <= begin_s]
    found = {number: tuple(_again(known, number, begin_s, end_s, timezone)) for number in range(_least_weeks(begin_s, end_s), weeks + 1)}
    energies = {number: sum(ev.energy_need_wh for ev in cast) for number, cast in found.items()}
    least_wh = FEWEST_SHARE * max(energies.values(), default=0.0)
    return {number: cast for number, cast in found.items() if energies[number] > least_wh}


def _least_weeks(begin_s: float, end_s: float) -> int:
    """How many weeks back the whole stretch lies in the past."""
    return max(1, -int(-(end_s - begin_s) // WEEK_S))


def worthwhile_peak_w(peaks_w: Sequence[float], peak_so_far_w: float) -> float:
    """The peak to take as paid [W]: the median of the rehearsed ones; at least the one so far."""
    return max(peak_so_far_w, median(peaks_w)) if peaks_w else peak_so_far_w


def _again(past: Sequence[PastSession], weeks: int, begin_s: float, end_s: float, timezone: str) -> Iterator[Ev]:
    """The cars of so many weeks ago, at the same local times."""
    zone = zone_of(timezone)
    earliest_s, latest_s = begin_s - weeks * WEEK_S - DAY_S, end_s - weeks * WEEK_S + DAY_S  # clocks may have changed since
    for number, one in enumerate(past):
        if not earliest_s <= one.arrival_wall_s < latest_s:
            continue
        comes_s = _later(one.arrival_wall_s, weeks, zone)
        leaves_s = comes_s + one.departure_wall_s - one.arrival_wall_s
        if not begin_s <= comes_s < end_s or one.energy_wh <= 0.0 or one.max_power_w <= 0.0:
            continue
        within_s = max(0.0, min(leaves_s, end_s) - comes_s)
        need_wh = min(one.energy_wh, one.max_power_w * within_s / 3600.0)
        yield Ev(
            ev_id=f"{EXPECTED}{number}",
            node_id=one.node_id,
            phases=one.phases,
            arrival_wall_s=comes_s,
            departure_wall_s=leaves_s,
            energy_need_wh=need_wh,
            min_power_w=0.0,
            max_power_w=one.max_power_w,
            expected=True,
        )


def _later(wall_s: float, weeks: int, zone: tzinfo) -> float:
    local = datetime.fromtimestamp(wall_s, UTC).astimezone(zone).replace(tzinfo=None) + timedelta(weeks=weeks)
    return local.replace(tzinfo=zone).timestamp()
