"""What the CSMS wishes for the EVSEs of one station over time, told to the site where it changed.

The profiles themselves are in ``profile_view``; here is what else decides what they mean: who has
priority, how full a battery is, what a car says it will take, since when the CSMS is away, what the
clocks do (F77, F78). Never decides what is charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Final

from controller.facts import EvseKey, Fact, LimitStep, ScheduleAnnounced, Stamp, UpstreamWished
from controller.link.downlink import Downlink
from controller.link.profile_rules import as_long_ago
from controller.link.profile_view import Circumstances, ProfileView, Wish
from controller.link.steps import Steps, lowest, scaled, total
from controller.ocpp.dialect import PriorityWord
from controller.ocpp.schedule import Profile, composite, on_phases
from controller.orders import Order

HORIZON_S: Final = 86_400
WISH_AGAIN_S: Final = 900.0
JUMP_S: Final = 5.0
"""Between two ticks the wall clock may be off the monotonic one by this much before it has jumped (F77)."""
PRIORITIES_KEPT: Final = 32
_STALE: Final = object()


@dataclass(frozen=True, slots=True)
class Transaction:
    """A running transaction of an EVSE."""

    transaction_id: str
    start_wall_s: float


Transactions = Mapping[int, Transaction]


@dataclass(frozen=True, slots=True)
class Place:
    """What never changes at a station. phases: EVSE id -> number of its phases. timezone: of the site, None = UTC."""

    station_id: str
    phases: Mapping[int, int]
    voltage_v: float
    timezone: tzinfo | None = None


class Wishes:
    """One station's. view: its profiles."""

    __slots__ = ("_clock", "_down", "_due_mono_s", "_place", "_soc_percent", "_told", "announced", "away_since_wall_s", "priority", "unsaved", "view")

    def __init__(self, place: Place, view: ProfileView, down: Downlink) -> None:
        self.view = view
        self.priority: tuple[str, ...] = ()
        """Transactions that have it."""
        self.announced: dict[int, Profile] = {}
        """What cars say they will take."""
        self.away_since_wall_s: float | None = None
        """Since when the CSMS is away, None = it is there."""
        self.unsaved = False
        """Something here is not on disk yet, and can wait for the next tick."""
        self._place = place
        self._down = down
        self._soc_percent: dict[int, float] = {}
        self._told: dict[int, Any] = {}
        self._due_mono_s = float("-inf")
        self._clock: Stamp | None = None  # as last seen

    # -- what decides beside the profiles ------------------------------------------------------------------

    def give_priority(self, word: PriorityWord) -> bool:
        """A transaction has priority, or not any more; whether that is news."""
        others = tuple(key for key in self.priority if key != word.transaction_id)
        before, self.priority = self.priority, (*others, word.transaction_id)[-PRIORITIES_KEPT:] if word.active else others
        return (word.transaction_id in before) != word.active

    def soc(self, evse_id: int, soc_percent: float) -> bool:
        """State of charge of a car; whether any profile depends on it (K01.FR.100)."""
        self._soc_percent[evse_id] = soc_percent
        return self.view.minds_charge()

    def another_session(self, at: Stamp, evse_id: int, transactions: Transactions) -> list[Fact]:
        """A session has begun or ended: what was said for the one before holds no more."""
        self._soc_percent.pop(evse_id, None)
        running = {one.transaction_id for one in transactions.values()}
        self.priority = tuple(key for key in self.priority if key in running)
        said = self.announced.pop(evse_id, None) is not None
        return [ScheduleAnnounced(at, EvseKey(self._place.station_id, evse_id), ())] if said else []

    def announced_steps(self, at: Stamp, evse_id: int, horizon_s: float = HORIZON_S) -> Steps:
        """What the car at an EVSE says it will take."""
        profile = on_phases(self.announced[evse_id], self._place.phases[evse_id])
        return composite((profile,), at.wall_s, at.wall_s + horizon_s, None, self._place.voltage_v)

    def clock_moved(self, at: Stamp) -> float:
        """How far the wall clock has jumped since the last tick [s], 0.0 if it has not. After a jump all wishes are told anew.

        Spans stay as long as they were: since when the CSMS is away, since when a Dynamic profile was not updated (F77).
        """
        before, self._clock = self._clock, at
        moved_s = at.wall_s - before.wall_in(at.mono_s - before.mono_s) if before is not None else 0.0
        if before is None or (abs(moved_s) <= JUMP_S and at.wall_trusted == before.wall_trusted):
            return 0.0
        self._told = dict.fromkeys(self._told, _STALE)
        self._due_mono_s = float("-inf")
        away_since = self.away_since_wall_s
        self.away_since_wall_s = as_long_ago(away_since, at.wall_s, moved_s)
        self.unsaved = self.view.clock_moved(at.wall_s, moved_s) or self.away_since_wall_s != away_since
        return moved_s

    # -- what it means -----------------------------------------------------------------------------------------

    def due(self, at: Stamp) -> bool:
        """Whether the horizon has rolled on far enough to look again."""
        return at.mono_s >= self._due_mono_s

    def news(self, at: Stamp, transactions: Transactions) -> list[Order | Fact]:
        """The wish of every EVSE and of the station, where it changed."""
        self._due_mono_s = at.mono_s + WISH_AGAIN_S / at.wall_speed
        outcomes: list[Order | Fact] = []
        for evse_id in (0, *self._place.phases):
            wish = self._wish(at, evse_id, HORIZON_S, transactions)
            running = transactions.get(evse_id)
            prioritised = running is not None and running.transaction_id in self.priority
            known, news = self._told.get(evse_id), _news(wish, at, prioritised)
            if known == news or (known is None and _says_nothing(wish) and not prioritised):
                continue
            self._told[evse_id] = news
            evse = EvseKey(self._place.station_id, evse_id)
            outcomes.append(UpstreamWished(at, evse, wish.steps, wish.reason, prioritised, wish.min_rate_a))
        return outcomes

    def truth(self, at: Stamp, evse_id: int, duration_s: int, transactions: Transactions, in_watts: bool = False) -> Steps:
        """The composite of an EVSE, or of the station (evse_id 0): the lowest of wish, car and what was really commanded (K08).

        in_watts: it will be told in W; then the amps of EVSEs with fewer phases than ``station_phases`` add up as their power does.
        """
        if evse_id:
            return self._evse_truth(at, evse_id, duration_s, transactions)
        counts, whole = self._place.phases, self.station_phases
        layers = [scaled(self._evse_truth(at, one, duration_s, transactions), counts[one] / whole if in_watts else 1.0) for one in counts]
        return lowest(total(layers), self._wish(at, 0, duration_s, transactions).steps)

    @property
    def station_phases(self) -> int:
        """Phases of the sum of a station: it may be spread over other phases than each of several EVSEs has."""
        phases = self._place.phases
        return 3 if len(phases) > 1 else max(phases.values(), default=3)

    def _evse_truth(self, at: Stamp, evse_id: int, duration_s: int, transactions: Transactions) -> Steps:
        caps: list[Steps] = [(LimitStep(at.wall_s, self._down.commanded_a(evse_id, at)),)]
        if evse_id in self.announced:
            caps.append(self.announced_steps(at, evse_id, duration_s))
        return lowest(self._wish(at, evse_id, duration_s, transactions).steps, *caps)

    def _wish(self, at: Stamp, evse_id: int, horizon_s: float, transactions: Transactions) -> Wish:
        return self.view.wish(evse_id, at.wall_s, horizon_s, self.around(at, evse_id, transactions.get(evse_id)))

    def around(self, at: Stamp, evse_id: int, running: Transaction | None) -> Circumstances:
        """What beside its profiles decides what an EVSE may do now."""
        return Circumstances(
            # No session begins in the future; one remembered from before we lost the time begins now.
            session_start_wall_s=min(running.start_wall_s, at.wall_s) if running is not None else at.wall_s,
            voltage_v=self._place.voltage_v,
            wall_trusted=at.wall_trusted,
            phase_count=self._place.phases.get(evse_id, self.station_phases),
            priority_active=running is not None and running.transaction_id in self.priority,
            soc_percent=self._soc_percent.get(evse_id),
            offline_since_wall_s=self.away_since_wall_s,
            timezone=self._place.timezone,
            delay_seed=f"{self._place.station_id}/{running.transaction_id}" if running is not None else "",
        )


def _says_nothing(wish: Wish) -> bool:
    return all(replace(step, start_wall_s=0.0) == LimitStep(0.0, None) for step in wish.steps)


def _news(wish: Wish, at: Stamp, prioritised: bool) -> Any:
    """What of a wish is news: its first step begins "now" each time, only what it says counts."""
    first = replace(wish.steps[0], start_wall_s=0.0) if wish.steps else None
    later = tuple(replace(step, start_wall_s=max(step.start_wall_s, at.wall_s)) for step in wish.steps[1:])
    return first, later, wish.reason, prioritised, wish.min_rate_a
