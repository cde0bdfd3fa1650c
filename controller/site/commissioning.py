"""Commissioning: an installer's test of one EVSE, inside every limit of the site.

A test is one more layer that only narrows: the EVSE under test may have what the test asks for and the
arbiter allows, never more; no other EVSE may rise meanwhile, so that what a meter shows is the test and
not its echo. Every test ends by itself, a few seconds after the laptop has stopped asking for it.

While somebody tests, what was measured, sent and answered is kept in a bounded trace that the API hands
out (``view``). Answers to commands of our own carry negative numbers and never reach the actuator.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from controller.facts import (
    Deed,
    EvseKey,
    EvseMeasured,
    Fact,
    FeaturesLearned,
    FloorConfirmed,
    MeterFailed,
    MeterRead,
    Probe,
    SessionChanged,
    SetpointAnswered,
    Stamp,
    StationOffline,
    StationOnline,
    TimePassed,
    TrialAsked,
)
from controller.orders import ClearSetpoint, HoldOffStation, Inject, InstallFloor, Order, ReadBack, Severity, Strategy, Tell, Wake
from controller.site.arbiter import Claim, Grant
from controller.site.budget import SiteState, Target
from controller.site.state import Place

MAX_ENTRIES: Final = 20_000
"""Entries of the trace that are kept; the oldest go first."""
MAX_TRIAL_S: Final = 300.0
"""A test lasts at most so long without being asked for again [s]."""
MAX_HOLD_OFF_S: Final = 7200.0
"""A station is kept out at most so long [s]."""
EASE_S: Final = 120.0
MAX_HELD_S: Final = 900.0
RECORD_S: Final = 60.0
"""The trace goes on for so long after the last request [s]."""
LOOK_S: Final = 10.0
"""So long a rebooted station's floor waits for the answer of what is still in it [s]."""
LOOK_FOR_S: Final = 1800.0
"""A station may take so long to come back from its power cut [s]."""
TEST_PRIORITY: Final = 1000
"""Above everything a site file can say (-9..9)."""
TEST_STEP_A: Final = 0.1
"""Levels of a test are this fine, whatever the model says [A]."""
MINE = "commissioning test"
OTHERS = "held while another charger is tested"
_OWN: Final = frozenset({TrialAsked, SetpointAnswered, FloorConfirmed, FeaturesLearned})

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """The test that runs. limit_a None: only watched."""

    evse: EvseKey
    limit_a: float | None
    ends_mono_s: float
    session: str


@dataclass(slots=True)
class Look:
    """An EVSE whose floor shall be read before it is written again. held: the station's floors, until the answer is there."""

    evse: EvseKey
    until_mono_s: float
    back: bool = False
    held: list[Order] = field(default_factory=list)


class Commissioning:
    """The test that runs, if one does, and its trace.

    places: the EVSEs. present_a(key, mono_s): the setpoint in force [A]. rewrite(key): the actuator shall send
    its setpoint again, because a test wrote over it. unpaced(key): its next rise need not wait to save writes.
    """

    def __init__(
        self,
        places: Mapping[EvseKey, Place],
        present_a: Callable[[EvseKey, float], float],
        rewrite: Callable[[EvseKey], None],
        unpaced: Callable[[EvseKey], None],
    ) -> None:
        self.trial: Trial | None = None
        self.watching = False
        self.features: dict[str, FeaturesLearned] = {}
        self._places, self._present_a, self._rewrite, self._unpaced = places, present_a, rewrite, unpaced
        self._record_until_mono_s = -math.inf
        self._look: Look | None = None
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._count = 0
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
        """The picture for the arbiter while a test runs: every claim as it is, or less."""
        trial = self._running(frozen.at.mono_s)
        if trial is None or trial.limit_a is None:
            return frozen
        return replace(frozen, claims=tuple(_narrowed(claim, trial.evse, trial.limit_a) for claim in frozen.claims))

    def targets(self, targets: Mapping[EvseKey, Target], now: float) -> Mapping[EvseKey, Target]:
        """What the plan gives, without the EVSE under test: a plan is about money and would spoil the test."""
        trial = self._running(now)
        return targets if trial is None else {key: target for key, target in targets.items() if key != trial.evse}

    def spares(self, key: EvseKey, over: bool, now: float) -> bool:
        """Whether an EVSE that does not follow is left alone: its slowness is what is tested, and nobody else rises. Never above a fuse."""
        trial = self._running(now)
        return trial is not None and trial.limit_a is not None and trial.evse == key and not over

    def _running(self, now: float) -> Trial | None:
        return self.trial if self.trial is not None and now < self.trial.ends_mono_s else None

    # -- requests and their answers -------------------------------------------------------------------

    def handle(self, fact: Fact) -> list[Order]:
        """A fact of ours (``takes``)."""
        if isinstance(fact, TrialAsked):
            return self._asked(fact)
        if isinstance(fact, SetpointAnswered):
            self._note(fact.at, "answered", evse=fact.evse, order=fact.number, accepted=fact.accepted, lost=fact.lost, reason=fact.reason)
            if fact.retry_after_s is not None:
                self._note(fact.at, "rate_limit", evse=fact.evse, retry_after_s=fact.retry_after_s)
            return []
        assert isinstance(fact, FloorConfirmed)
        self._note(fact.at, "read_back", evse=fact.evse, order=fact.number, limit_a=fact.limit_a, ok=fact.ok, detail=fact.detail)
        if self._look is None or not self._look.back or fact.evse != self._look.evse or fact.limit_a is None:
            return []
        return self._noted(fact.at, self._release())

    def _asked(self, fact: TrialAsked) -> list[Order]:
        running = self._running(fact.at.mono_s)
        if running is not None and running.session != fact.session:
            return []  # the API has said so already; whoever lost the race does nothing
        if fact.evse not in self._places:
            return []
        for_s = min(max(0.0, fact.for_s), MAX_TRIAL_S)
        orders: list[Order] = []
        if running is None and for_s > 0:
            text = f"commissioning of {fact.evse} begins - while it is tested other chargers are held where they are"
            orders.append(Tell(Severity.INFO, str(fact.evse), text))
        self.trial = Trial(fact.evse, fact.limit_a, fact.at.mono_s + for_s, fact.session)
        self.watching, self._record_until_mono_s = True, fact.at.mono_s + max(for_s, RECORD_S)
        if for_s == 0:
            return self._end(fact.at)
        if fact.limit_a is not None:
            self._unpaced(fact.evse)
        self._note(fact.at, "asked", evse=fact.evse, limit_a=fact.limit_a, deed=fact.deed.value)
        return [*orders, *self._deed(fact), *(self._probe(fact, fact.probe) if fact.probe is not None else [])]

    def _deed(self, fact: TrialAsked) -> list[Order]:
        key, number = fact.evse, self._next_number()
        if fact.deed is Deed.LOOK_FIRST:
            self._look = Look(key, fact.at.mono_s + LOOK_FOR_S)
            return []
        if fact.deed is Deed.HOLD_OFF:
            return self._noted(fact.at, [HoldOffStation(key.station_id, min(fact.hold_s, MAX_HOLD_OFF_S))])
        if fact.deed is Deed.REWRITE:
            self._rewrite(key)
            return []
        if fact.deed is Deed.CLEAR:
            if self._places[key].fallback_a > self._present_a(key, fact.at.mono_s):
                return []  # its floor is above what it may have now: it would rise
            return self._noted(fact.at, [ClearSetpoint(key, number)])
        if fact.deed is Deed.READ_BACK:
            return self._noted(fact.at, [ReadBack(key, self._present_a(key, fact.at.mono_s), number)])
        if fact.deed in (Deed.WAKE_STATUS, Deed.WAKE_AVAILABILITY):
            return self._noted(fact.at, [Wake(key, fact.deed.value.removeprefix("wake_"))])
        return []

    def _probe(self, fact: TrialAsked, probe: Probe) -> list[Order]:
        """One setpoint past the actuator, never above what the actuator holds: its own books stay true."""
        key = fact.evse
        limit_a = min(probe.limit_a, self._present_a(key, fact.at.mono_s))
        strategy = Strategy(probe.purpose, probe.unit, probe.relative, probe.stack_level, probe.dynamic)
        number, life_s = self._next_number(), min(probe.life_s, MAX_TRIAL_S)
        return self._noted(fact.at, [Inject(key, number, limit_a, len(self._places[key].phases), life_s, MINE, strategy=strategy)])

    def _next_number(self) -> int:
        self._number -= 1
        return self._number

    def _end(self, at: Stamp) -> list[Order]:
        trial, self.trial, look = self.trial, None, self._noted(at, self._release())
        if trial is None:
            return look
        self._rewrite(trial.evse)
        self._note(at, "ended", evse=trial.evse)
        return [*look, Tell(Severity.INFO, str(trial.evse), f"commissioning of {trial.evse} has ended - all chargers share as usual")]

    # -- everything else that happens meanwhile ----------------------------------------------------------

    def seen(self, fact: Fact, orders: list[Order]) -> list[Order]:
        """What the site did with a fact, for the trace; the orders that shall go out."""
        if isinstance(fact, TimePassed):
            orders = [*orders, *self._tick(fact.at)]
        orders = self._look_first(fact, orders)
        self._trace(fact)
        return self._noted(fact.at, orders)

    def _tick(self, at: Stamp) -> list[Order]:
        orders: list[Order] = []
        if self.trial is not None and at.mono_s >= self.trial.ends_mono_s:
            orders += self._end(at)
        if self._look is not None and at.mono_s >= self._look.until_mono_s:
            orders += self._release()
        if self.trial is None and self._look is None and at.mono_s >= self._record_until_mono_s:
            self.watching = False
        return orders

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

    def _trace(self, fact: Fact) -> None:
        if isinstance(fact, MeterRead):
            one = fact.reading
            values: Entry = {"current_a": one.current_a, "phase_power_w": one.phase_power_w, "power_w": one.power_w}
            self._note(fact.at, "meter", name=one.meter_id, quality=one.quality.value, reason=one.reason, **values)
        elif isinstance(fact, MeterFailed):
            self._note(fact.at, "meter_failed", name=fact.meter_id, reason=fact.reason)
        elif isinstance(fact, EvseMeasured):
            self._note(fact.at, "station", evse=fact.evse, current_a=fact.phase_current_a, power_w=fact.power_w, voltage_v=fact.voltage_v)
        elif isinstance(fact, SetpointAnswered):
            self._note(fact.at, "answered", evse=fact.evse, order=fact.number, accepted=fact.accepted, lost=fact.lost, reason=fact.reason)
        elif isinstance(fact, FloorConfirmed):
            self._note(fact.at, "read_back", evse=fact.evse, order=fact.number, limit_a=fact.limit_a, ok=fact.ok, detail=fact.detail)
        elif isinstance(fact, SessionChanged):
            state = fact.charging_state.value if fact.charging_state is not None else None
            self._note(fact.at, "session", evse=fact.evse, state=state, ended=fact.ended, phase_count=fact.phase_count)
        elif isinstance(fact, StationOnline | StationOffline):
            self._note(fact.at, "link", station=fact.station_id, online=isinstance(fact, StationOnline))

    def _noted(self, at: Stamp, orders: list[Order]) -> list[Order]:
        for order in orders:
            if isinstance(order, Inject):
                how = asdict(order.strategy)
                self._note(at, "sent", evse=order.evse, order=order.number, limit_a=order.limit_a, life_s=order.life_s, how=how)
            elif isinstance(order, InstallFloor):
                self._note(at, "floor", evse=order.evse, order=order.number, limit_a=order.limit_a)
            elif isinstance(order, Wake):
                self._note(at, "wake", evse=order.evse, trick=order.trick)
            elif isinstance(order, HoldOffStation):
                self._note(at, "held_off", station=order.station_id, for_s=order.for_s)
        return orders

    def _note(self, at: Stamp, kind: str, evse: EvseKey | None = None, **more: Any) -> None:
        if evse is not None:
            more = {"station": evse.station_id, "evse": evse.evse_id, **more}
        self._count += 1
        self._entries.append({"number": self._count, "mono_s": at.mono_s, "wall_s": at.wall_s, "kind": kind, **more})

    # -- for the API -----------------------------------------------------------------------------------

    def view(self, at: Stamp, grants: Mapping[EvseKey, Grant], after: int = 0) -> dict[str, Any]:
        """The running test, what it gets and why not more, and the entries of the trace behind number ``after``. Plain data."""
        trial = self._running(at.mono_s)
        return {
            "mono_s": at.mono_s,
            "wall_s": at.wall_s,
            "trial": None if trial is None else self._trial_view(trial, grants.get(trial.evse), at),
            "features": {name: asdict(one) for name, one in self.features.items()},
            "last": self._count,
            "entries": _behind(self._entries, after),
        }

    def _trial_view(self, trial: Trial, grant: Grant | None, at: Stamp) -> dict[str, Any]:
        return {
            "station": trial.evse.station_id,
            "evse": trial.evse.evse_id,
            "limit_a": trial.limit_a,
            "session": trial.session,
            "ends_in_s": trial.ends_mono_s - at.mono_s,
            "present_a": self._present_a(trial.evse, at.mono_s),
            "granted_a": grant.limit_a if grant is not None else None,
            "reason": grant.reason if grant is not None else "",
        }


def _narrowed(claim: Claim, tested: EvseKey, limit_a: float) -> Claim:
    if claim.key != tested:
        cap_a = min(claim.cap_a, claim.present_a)
        reason = OTHERS if cap_a < claim.cap_a else claim.cap_reason
        return replace(claim, cap_a=cap_a, cap_reason=reason, want_a=min(claim.want_a, cap_a))
    cap_a = min(claim.cap_a, max(0.0, limit_a))
    reason = MINE if limit_a <= claim.cap_a else claim.cap_reason
    step_a = min(claim.step_a, TEST_STEP_A)
    # The ramp spares fuses from many cars that rise at once; here one rises alone, into room that is free already.
    return replace(claim, cap_a=cap_a, cap_reason=reason, want_a=cap_a, priority=TEST_PRIORITY, step_a=step_a, rise_s=math.inf)


def _behind(entries: Sequence[Entry] | deque[Entry], after: int) -> list[Entry]:
    """Entries with a higher number, oldest first."""
    found: list[Entry] = []
    for entry in reversed(entries):
        if entry["number"] <= after:
            break
        found.append(entry)
    return found[::-1]
