"""Commissioning: an installer's test of one EVSE, inside every limit of the site.

A test is one more layer that only narrows: the EVSE under test may have what the test asks for and the
arbiter allows, never more; no other EVSE may rise above its minimum meanwhile, so that what a meter shows is the
test and not its echo, and for a quarter of an hour at most. Every test ends by itself, a few seconds after the
laptop has stopped asking for it, and takes everything with it: a station held off is let in, a probe is taken out.

While somebody tests, what was measured, sent and answered is kept in a bounded trace that the API hands
out (``view``). Answers to commands of our own carry negative numbers and never reach the actuator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from controller.facts import (
    Deed,
    EvseKey,
    Fact,
    FeaturesLearned,
    FloorConfirmed,
    SetpointAnswered,
    Stamp,
    StationOffline,
    StationOnline,
    TimePassed,
    TrialAsked,
)
from controller.orders import HoldOffStation, InstallFloor, Order, ReadBack, Severity, Tell, Wake
from controller.site.sharing.arbiter import Grant
from controller.site.sharing.budget import SiteState, Target
from controller.site.state import EvseState
from controller.site.stations.actuate import Actuator
from controller.site.stations.channel import Channel
from controller.site.stations.narrowing import OTHERS, Patience, held, step_of, tested
from controller.site.stations.probes import Probes
from controller.site.stations.trace import Trace

MAX_TRIAL_S: Final = 300.0
"""A test lasts at most so long without being asked for again [s]."""
MAX_HOLD_OFF_S: Final = 7200.0
"""A station is kept out at most so long [s]."""
SPARED_S: Final = 120.0
"""A box that does not follow is left alone for so long after the test has asked for another level [s]."""
RECORD_S: Final = 60.0
"""The trace goes on for so long after the last request [s]."""
LOOK_S: Final = 10.0
"""So long a rebooted station's floor waits for the answer of what is still in it [s]."""
LOOK_FOR_S: Final = 1800.0
"""A station may take so long to come back from its power cut [s]."""
_OWN: Final = frozenset({TrialAsked, SetpointAnswered, FloorConfirmed, FeaturesLearned})


@dataclass(frozen=True, slots=True)
class Trial:
    """The test that runs. limit_a: what its station shall be told [A], None = only watched. changed_mono_s: since when that."""

    evse: EvseKey
    limit_a: float | None
    ends_mono_s: float
    session: str
    changed_mono_s: float


@dataclass(slots=True)
class Look:
    """An EVSE whose floor shall be read before it is written again. held: the station's floors, until the answer is there."""

    evse: EvseKey
    until_mono_s: float
    back: bool = False
    held: list[Order] = field(default_factory=list)


class Commissioning:
    """The test that runs, if one does, and its trace. evses: the site's own picture. life_s: of a usual setpoint [s]."""

    def __init__(self, evses: Mapping[EvseKey, EvseState], actuator: Actuator, life_s: float) -> None:
        self.trial: Trial | None = None
        self.watching = False
        self.features: dict[str, FeaturesLearned] = {}
        self.trace = Trace()
        self._evses, self._actuator = evses, actuator
        self._probes = Probes(evses, actuator, life_s, self._next_number)
        self._patience = Patience()
        self._record_until_mono_s = -math.inf
        self._look: Look | None = None
        self._out: set[str] = set()
        self._number = 0

    # -- what the site asks -----------------------------------------------------------------------

    def takes(self, fact: Fact) -> bool:
        """Whether a fact is ours alone: a request, or the answer to a command of ours."""
        if type(fact) not in _OWN:
            return False
        if isinstance(fact, FeaturesLearned):
            self.features[fact.station_id] = fact
            return False
        return isinstance(fact, TrialAsked) or (isinstance(fact, SetpointAnswered | FloorConfirmed) and fact.number < 0)

    def narrow(self, frozen: SiteState) -> SiteState:
        """The picture for the arbiter while a test runs: every claim as it is, or less; who waits may still begin."""
        now = frozen.at.mono_s
        trial = self._running(now)
        if trial is None or trial.limit_a is None:
            return frozen
        factor = self._factor(trial.evse)
        holds = self._patience.holds(now)
        claims = tuple(
            tested(claim, trial.limit_a, factor, holds) if claim.key == trial.evse else held(claim) if holds else claim for claim in frozen.claims
        )
        if any(claim.cap_reason == OTHERS for claim in claims):
            self._patience.held_mono_s = now
        return replace(frozen, claims=claims)

    def targets(self, targets: Mapping[EvseKey, Target], now: float) -> Mapping[EvseKey, Target]:
        """What the plan gives, without the EVSE that is held: a plan is about money and would spoil the test."""
        trial = self._running(now)
        if trial is None or trial.limit_a is None:
            return targets
        return {key: target for key, target in targets.items() if key != trial.evse}

    def spares(self, key: EvseKey, over: bool, now: float) -> bool:
        """Whether an EVSE that does not follow is left alone: its slowness is what is tested, and nobody else rises.

        Never above a fuse, nor for longer than the slowest box takes.
        """
        trial = self._running(now)
        if trial is None or trial.limit_a is None or trial.evse != key or over:
            return False
        return now - trial.changed_mono_s < SPARED_S and now >= self._patience.eases_until_mono_s

    def tests(self, key: EvseKey, now: float) -> bool:
        """Whether somebody tests this EVSE: nothing of the site's own that would spoil it, such as waking its car."""
        trial = self._running(now)
        return trial is not None and trial.evse == key

    def _running(self, now: float) -> Trial | None:
        return self.trial if self.trial is not None and now < self.trial.ends_mono_s else None

    def _factor(self, key: EvseKey) -> float:
        """What a told ampere counts."""
        return 1.0 + self._actuator.channels[key].overdraw_part

    # -- requests and their answers -------------------------------------------------------------------

    def handle(self, fact: Fact) -> list[Order]:
        """A fact of ours (``takes``)."""
        if isinstance(fact, TrialAsked):
            return self._asked(fact)
        self.trace.fact(fact)
        if isinstance(fact, SetpointAnswered):
            if fact.retry_after_s is not None:
                self.trace.note(fact.at, "rate_limit", evse=fact.evse, retry_after_s=fact.retry_after_s)
            return []
        assert isinstance(fact, FloorConfirmed)
        if self._look is None or not self._look.back or fact.evse != self._look.evse or fact.limit_a is None:
            return []
        return self.trace.sent(fact.at, self._release())

    def _asked(self, fact: TrialAsked) -> list[Order]:
        now = fact.at.mono_s
        running = self._running(now)
        if fact.evse not in self._evses or (running is not None and running.session != fact.session):
            return []  # the API has said so already; whoever lost the race does nothing
        for_s = min(max(0.0, fact.for_s), MAX_TRIAL_S)
        self.watching, self._record_until_mono_s = True, now + max(for_s, RECORD_S)
        orders: list[Order] = []
        if self.trial is not None and (running is None or running.evse != fact.evse or for_s == 0):
            orders += self._end(fact.at)
        if for_s == 0:
            return orders
        return [*orders, *self._go_on(fact, now + for_s)]

    def _go_on(self, fact: TrialAsked, ends_mono_s: float) -> list[Order]:
        before, key, orders = self.trial, fact.evse, list[Order]()
        if before is None:
            text = f"commissioning of {key} begins - while it is tested other chargers are held where they are"
            orders.append(Tell(Severity.INFO, str(key), text))
        changed_mono_s = before.changed_mono_s if before is not None and before.limit_a == fact.limit_a else fact.at.mono_s
        self.trial = Trial(key, fact.limit_a, ends_mono_s, fact.session, changed_mono_s)
        self._prepare(key, fact.limit_a)
        self.trace.note(fact.at, "asked", evse=key, limit_a=fact.limit_a, deed=fact.deed.value)
        orders += self.trace.sent(fact.at, self._deed(fact))
        if fact.probe is not None:
            self._probes.ask(key, fact.probe)
            orders += self._probe(fact.at)
        return orders

    def _prepare(self, key: EvseKey, limit_a: float | None) -> None:
        """Its channel tells the level as it was asked for, and at once."""
        channel = self._actuator.channels[key]
        if limit_a is None:
            channel.told_step_a = None
            return
        channel.told_step_a = step_of(limit_a, channel.place.model.step_a)
        channel.risen_mono_s = channel.cut_mono_s = -math.inf

    def _deed(self, fact: TrialAsked) -> list[Order]:
        key, channel = fact.evse, self._actuator.channels[fact.evse]
        if fact.deed is Deed.LOOK_FIRST:
            held = self._release()
            self._look = Look(key, fact.at.mono_s + LOOK_FOR_S)
            return held
        if fact.deed is Deed.HOLD_OFF:
            self._out.add(key.station_id)
            return [HoldOffStation(key.station_id, min(fact.hold_s, MAX_HOLD_OFF_S))]
        if fact.deed is Deed.REWRITE:
            channel.resend = True
            return []
        if fact.deed is Deed.CLEAR:
            return self._probes.clear(key, fact.at.mono_s)
        if fact.deed is Deed.READ_BACK:
            return [ReadBack(key, _told_a(channel, fact.at.mono_s), self._next_number())]
        if fact.deed in (Deed.WAKE_STATUS, Deed.WAKE_AVAILABILITY):
            return [Wake(key, fact.deed.value.removeprefix("wake_"))]
        return []

    def _probe(self, at: Stamp) -> list[Order]:
        """The probe that waits, if its time has come."""
        orders, refused = self._probes.due(at.mono_s)
        if refused is not None:
            self.trace.note(at, "sent", evse=refused.evse, order=refused.number, limit_a=refused.limit_a, life_s=0.0, how=asdict(refused.strategy))
            self.trace.note(at, "answered", evse=refused.evse, order=refused.number, accepted=False, lost=True, reason=refused.reason)
        return self.trace.sent(at, orders)

    def _next_number(self) -> int:
        self._number -= 1
        return self._number

    def _end(self, at: Stamp) -> list[Order]:
        """The test is over: nothing of it stays."""
        trial, self.trial = self.trial, None
        if trial is None:
            return []
        key = trial.evse
        orders = [*self._release(), *self._probes.end(key)]
        orders += [HoldOffStation(station_id, 0.0) for station_id in sorted(self._out)]
        self._out.clear()
        channel = self._actuator.channels[key]
        channel.resend, channel.told_step_a = True, None
        self.trace.note(at, "ended", evse=key)
        return [*self.trace.sent(at, orders), Tell(Severity.INFO, str(key), f"commissioning of {key} has ended - all chargers share as usual")]

    # -- everything else that happens meanwhile ----------------------------------------------------------

    def seen(self, fact: Fact, orders: list[Order]) -> list[Order]:
        """What the site did with a fact, for the trace; the orders that shall go out."""
        orders = self._look_first(fact, orders)
        self.trace.fact(fact)
        self.trace.sent(fact.at, orders)
        return [*orders, *self._tick(fact.at)] if isinstance(fact, TimePassed) else orders

    def _tick(self, at: Stamp) -> list[Order]:
        orders: list[Order] = []
        if self.trial is not None and at.mono_s >= self.trial.ends_mono_s:
            orders += self._end(at)
        if self._look is not None and at.mono_s >= self._look.until_mono_s:
            orders += self.trace.sent(at, self._release())
        if self.trial is None and self._look is None and at.mono_s >= self._record_until_mono_s:
            self.watching = False
        return orders + self._probe(at)

    def _look_first(self, fact: Fact, orders: list[Order]) -> list[Order]:
        """A station is back from its power cut: ask what it still holds before its floor is written again."""
        look = self._look
        if look is None:
            return orders
        asks: list[Order] = []
        if isinstance(fact, StationOffline) and fact.station_id == look.evse.station_id:
            # Gone (again): what was held for the connection before is written anew by the actuator on the next one.
            look.back, look.held, look.until_mono_s = False, [], fact.at.mono_s + LOOK_FOR_S
        if isinstance(fact, StationOnline) and fact.station_id == look.evse.station_id and not look.back:
            look.back, look.until_mono_s = True, fact.at.mono_s + LOOK_S
            asks.append(ReadBack(look.evse, 0.0, self._next_number()))
        if not look.back:
            return orders
        held = [order for order in orders if isinstance(order, InstallFloor) and order.evse.station_id == look.evse.station_id]
        look.held += held
        return [*(order for order in orders if order not in held), *asks]

    def _release(self) -> list[Order]:
        look, self._look = self._look, None
        return look.held if look is not None else []

    # -- for the API -----------------------------------------------------------------------------------

    def view(self, at: Stamp, grants: Mapping[EvseKey, Grant], after: int = 0) -> dict[str, Any]:
        """The running test, what it gets and why not more, and the entries of the trace behind number ``after``. Plain data."""
        trial = self._running(at.mono_s)
        return {
            "mono_s": at.mono_s,
            "wall_s": at.wall_s,
            "trial": None if trial is None else self._trial_view(trial, grants.get(trial.evse), at),
            "features": {name: asdict(one) for name, one in self.features.items()},
            "last": self.trace.count,
            "entries": self.trace.behind(after),
        }

    def _trial_view(self, trial: Trial, grant: Grant | None, at: Stamp) -> dict[str, Any]:
        """present_a, granted_a: as the station is told. held_left_s: how long others may still be held; eases_s: how long they share freely now."""
        channel = self._actuator.channels[trial.evse]
        return {
            "station": trial.evse.station_id,
            "evse": trial.evse.evse_id,
            "limit_a": trial.limit_a,
            "session": trial.session,
            "ends_in_s": trial.ends_mono_s - at.mono_s,
            "present_a": _told_a(channel, at.mono_s),
            "granted_a": channel.told_a(grant.limit_a) if grant is not None else None,
            "reason": grant.reason if grant is not None else "",
            "held_left_s": self._patience.left_s(at.mono_s),
            "eases_s": max(0.0, self._patience.eases_until_mono_s - at.mono_s),
        }


def _told_a(channel: Channel, now: float) -> float:
    """The setpoint in force or on its way as the station was told it, else its floor [A]."""
    sent = channel.sent
    return sent.told_a if sent is not None and now < sent.ends_mono_s else channel.place.fallback_a
