"""What is remembered of past sessions, and what it says about the cars that are here and those that usually still come.

A finished session becomes a ``PastSession`` and goes to the journal under a key of its own, so that one more costs one row; too old
ones leave it again. What was learnt is learnt anew at most every RELEARN_S, a little in each tick: 20 000 sessions at once would hold
the loop up for longer than a fuse likes to wait. Nothing is told
in the first days. Memories that make no sense are left out (F75). Nobody is named: ``user`` is a keyed digest or "".
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.config import Config
from controller.facts import Stamp
from controller.orders import Order, Persist
from controller.site.session_memory import number_or_none
from controller.site.state import EvseState, Session
from optimizer.expect import Habits
from optimizer.past import Outlook, PastSession, Stay
from optimizer.problem import Ev, Slot

SPACE: Final = "past"
MOST: Final = 20_000
"""So many past sessions are kept; the oldest go first."""
RELEARN_S: Final = 900.0
"""What has happened since is learnt at most this often [s]."""
AT_ONCE: Final = 10_000
"""Looks at a session in one tick, about 1 us each; learning has about seven for each."""
LONGEST_S: Final = 14 * 86_400.0
"""Longer sessions are clocks that jumped (F77), or cars that were forgotten."""
SHORTEST_S, LEAST_WH = 120.0, 100.0
"""A session that was shorter or smaller says nothing about anybody's habits [s, Wh]."""
DAY_S: Final = 86_400.0
FIRST_DAYS, FEWEST = 7, 30
"""Before so many days with a session, and so many sessions, the past says nothing: a site's first days are not its habits."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What past sessions say now. arrivals, stays: whether they are asked about cars to come, and about cars that are here."""

    habits: Habits | None = None
    arrivals: bool = False
    stays: bool = False

    def coming(
        self,
        slots: Sequence[Slot],
        present: Sequence[Stay],
        now_wall_s: float,
        buy_per_kwh: Sequence[float],
        parents: Mapping[str, str | None],
        demand_per_kw: float | None = None,
    ) -> tuple[Ev, ...]:
        """Cars that usually still come within these slots, as expected cars. parents: the circuit above each circuit.

        demand_per_kw: 0 = peaks cost nothing, None = not known.
        """
        if self.habits is None or not self.arrivals:
            return ()
        return self.habits.coming(slots, present, now_wall_s, buy_per_kwh, parents, demand_per_kw)

    def outlook(self, evse: EvseState, voltage_v: float, at: Stamp) -> Outlook | None:
        """What is planned for a car that is here; None = what was stated or assumed holds."""
        stay = self.stay_of(evse, voltage_v) if self.stays else None
        return self.habits.outlook(stay, at.wall_s) if self.habits is not None and stay is not None else None

    def leaving_s(self, evse: EvseState, voltage_v: float, at: Stamp) -> tuple[float, ...]:
        """When the car that is here may leave [wall s], ascending, each as likely as the others; () = nobody knows."""
        stay = self.stay_of(evse, voltage_v) if self.stays else None
        return self.habits.leaving(stay, at.wall_s) if self.habits is not None and stay is not None else ()

    def stay_of(self, evse: EvseState, voltage_v: float) -> Stay | None:
        """The car at an EVSE as habits see it."""
        session = evse.session
        if session is None:
            return None
        return Stay(
            str(evse.place.key),
            session.started_wall_s,
            session.charged_wh,
            most_power_w(evse, voltage_v),
            session.target_wh,
            session.departure_wall_s,
            user_of(session),
        )


NOTHING_LEARNT: Final = Learnt()


class History:
    """The past sessions of the site. Mutable; every method takes the time it happens at."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._past: dict[str, PastSession] = {}
        self._learnt = NOTHING_LEARNT
        self._stale = False
        self._learnt_mono_s = -math.inf
        self._learning: Generator[int, None, Habits] | None = None

    def __len__(self) -> int:
        return len(self._past)

    @property
    def sessions(self) -> tuple[PastSession, ...]:
        """What is remembered, oldest first."""
        return tuple(self._past[key] for key in sorted(self._past))

    def recall(self, key: str, memory: Any) -> None:
        """Take back a session from the journal; what makes no sense is left out."""
        past = past_of(memory)
        if past is not None and len(self._past) < MOST:
            self._past[key] = past
            self._stale = True

    def finished(self, before: EvseState, at: Stamp, voltage_v: float) -> list[Order]:
        """A session is over: remember it if it says anything, and forget what is too old. before: the EVSE with the session."""
        session = before.session
        if session is None or not at.wall_trusted or self._wanted_nothing:
            return []
        past = past_session(before, session, at.wall_s, voltage_v)
        stay_s, seen_s = past.departure_wall_s - past.arrival_wall_s, (at.mono_s - session.started_mono_s) * at.wall_speed
        if not max(SHORTEST_S, seen_s - SHORTEST_S) <= stay_s <= LONGEST_S or past.energy_wh < LEAST_WH:
            return []
        return self.remember([past], at.wall_s)

    @property
    def _wanted_nothing(self) -> bool:
        forecast = self._config.forecast
        return forecast.arrivals == "off" and forecast.stays == "off"

    def remember(self, sessions: Sequence[PastSession], now_wall_s: float) -> list[Order]:
        """Take sessions into the history, whoever tells of them; the orders keep them on disk."""
        remember: dict[tuple[str, str], Any] = {}
        for past in sessions:
            key = key_of(past)
            self._past[key] = past
            remember[(SPACE, key)] = memory_of(past)
        for key in self._outdated(now_wall_s):
            del self._past[key]
            remember[(SPACE, key)] = None
        self._stale = True
        return [Persist(0, remember=remember)] if remember else []

    def _outdated(self, now_wall_s: float) -> list[str]:
        oldest_wall_s = now_wall_s - self._config.forecast.keep_days * DAY_S
        gone = [key for key, past in self._past.items() if past.departure_wall_s < oldest_wall_s]
        surplus = len(self._past) - len(gone) - MOST
        if surplus > 0:
            gone += sorted(set(self._past) - set(gone))[:surplus]
        return gone

    def learn(self, at: Stamp) -> Learnt:
        """What the past says; looks on at it for a moment if there is anything new. For every tick."""
        if self._wanted_nothing or not self._past:
            return self._learnt
        if self._learning is None and self._stale and at.mono_s - self._learnt_mono_s >= RELEARN_S / at.wall_speed:
            self._stale, self._learnt_mono_s = False, at.mono_s
            self._begin(at)
        if self._learning is not None:
            self._go_on(self._learning)
        return self._learnt

    @property
    def learnt(self) -> Learnt:
        """What the past says as far as it was learnt."""
        return self._learnt

    def _begin(self, at: Stamp) -> None:
        past = self.sessions
        if len(past) >= FEWEST and len({one.arrival_wall_s // DAY_S for one in past}) >= FIRST_DAYS:
            self._learning = Habits.learning(past, at.wall_s, self._config.site.timezone)
        else:
            self._learnt = NOTHING_LEARNT

    def _go_on(self, learning: Generator[int, None, Habits]) -> None:
        """At most ``AT_ONCE`` looks, then what was learnt before holds for one more tick."""
        seen, self._learning = 0, None  # after a defect in it the next one begins anew
        while seen < AT_ONCE:
            try:
                seen += next(learning)
            except StopIteration as end:
                forecast = self._config.forecast
                self._learnt = Learnt(end.value, forecast.arrivals == "auto", forecast.stays == "auto")
                return
        self._learning = learning


def most_power_w(evse: EvseState, voltage_v: float) -> float:
    """The most this car could draw at its EVSE [W]."""
    session = evse.session
    told_a = session.car_max_a if session is not None and session.car_max_a else math.inf
    return min(evse.place.config.max_current_a, told_a) * voltage_v * len(evse.phases)


def user_of(session: Session) -> str:
    """Stable name of who charges, "" = unknown."""
    return session.driver.user if session.driver is not None else ""


def past_session(evse: EvseState, session: Session, now_wall_s: float, voltage_v: float) -> PastSession:
    """A session as the past remembers it."""
    return PastSession(
        evse=str(evse.place.key),
        node_id=evse.place.circuit,
        phases=evse.phases,
        arrival_wall_s=session.started_wall_s,
        departure_wall_s=now_wall_s,
        energy_wh=max(0.0, session.charged_wh - session.given_wh),
        max_power_w=most_power_w(evse, voltage_v),
        stated_wh=session.target_wh,
        stated_departure_wall_s=session.departure_wall_s,
        user=user_of(session),
    )


# -- the journal --------------------------------------------------------------------------------------------


def key_of(past: PastSession) -> str:
    """Key of a session in the journal; keys are in the order of the departures."""
    return f"{past.departure_wall_s:012.0f} {past.evse}"


def memory_of(past: PastSession) -> list[Any]:
    """What the journal keeps of a session."""
    return [
        past.evse,
        past.node_id,
        list(past.phases),
        round(past.arrival_wall_s),
        round(past.departure_wall_s),
        round(past.energy_wh),
        round(past.max_power_w),
        None if past.stated_wh is None else round(past.stated_wh),
        None if past.stated_departure_wall_s is None else round(past.stated_departure_wall_s),
        past.user,
    ]


def past_of(memory: Any) -> PastSession | None:
    """The session a memory tells of, None for rubbish."""
    if not isinstance(memory, list) or len(memory) != 10:
        return None
    evse, node_id, phases, *numbers, stated_wh, stated_wall_s, user = memory
    told = [number_or_none(number) for number in numbers]
    if not all(isinstance(text, str) for text in (evse, node_id, user)) or not _phases(phases) or None in told:
        return None
    arrival, departure, energy, power = (number for number in told if number is not None)
    if departure <= arrival or energy < 0 or power <= 0:
        return None
    return PastSession(
        evse, node_id, tuple(phases), arrival, departure, energy, power, number_or_none(stated_wh), number_or_none(stated_wall_s), user
    )


def _phases(phases: Any) -> bool:
    return isinstance(phases, list) and 1 <= len(phases) <= 3 and all(type(phase) is int and 0 <= phase <= 2 for phase in phases)
