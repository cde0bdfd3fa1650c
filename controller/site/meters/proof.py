"""Proof: meters and stations held against each other. Knows when cars move and asks both what they saw of it.

Feeds ``steps`` with every setpoint that changes and every change a station tells, hands each judged step to the votes about
the meter and, if one EVSE moved alone, to the judgement of its station (``lying``). What follows: a meter proved wrong is not believed
(F43, F45) or counts with its worst phase (F44); a station proved wrong loses its voice. Costs nothing while nothing moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from controller.facts import EvseKey, EvseMeasured, PhaseAmps
from controller.orders import Inject, Order
from controller.site.layout import Layout, Place
from controller.site.meters.draws import REACTION_S
from controller.site.meters.freshness import Health
from controller.site.meters.health import MeterRoom
from controller.site.meters.lying import OF_STEPS, Claims, without_currents
from controller.site.meters.steps import LONGEST_S, METER_LAG_S, Step, Told, Votes
from controller.site.state import UNKNOWN, EvseState, MaybeTriple
from controller.site.stations.channel import Channel

MOVED_A = 3.0
"""A station that tells this much more or less than before tells of a step [A]."""
SET_A = 1.0
"""A setpoint that changes by less opens no window [A]."""
NOTHING: PhaseAmps = (0.0, 0.0, 0.0)


class Proof:
    """Mutable; ``evses`` and ``channels`` are the site's own. ``now`` is monotonic seconds."""

    def __init__(self, layout: Layout, meters: MeterRoom, evses: dict[EvseKey, EvseState], channels: Mapping[EvseKey, Channel]) -> None:
        self.claims = Claims()
        self._layout, self._meters, self._evses, self._channels = layout, meters, evses, channels
        self._circuits = {key: tuple(name for name in place.path if name in meters.steps) for key, place in layout.places.items()}
        self._votes = {circuit: Votes(sign_only=meters.storage and circuit == place_of_storage(layout)) for circuit in meters.steps}
        self._set_a: dict[EvseKey, float] = {}
        self._suspects: dict[str, set[EvseKey]] = {circuit: set() for circuit in meters.steps}

    # -- what moves ------------------------------------------------------------------------------------

    def believed(self, fact: EvseMeasured, evse: EvseState, setpoint_a: float) -> EvseMeasured:
        """A station's message without what cannot be true; keeps the picture of its EVSE in step. setpoint_a: in force [A]."""
        clean = self.claims.believed(fact, evse, _held_a(evse.place, setpoint_a), setpoint_a)
        if clean is not fact or evse.doubted:
            self._sync(fact.evse)
        return clean

    def moved(self, before: EvseState, after: EvseState, now: float) -> None:
        """A station told its currents: what it tells of a car that moved by itself."""
        key, was, is_now = after.place.key, before.current_a, after.current_a
        if was is is_now or was == UNKNOWN or not _differ(was, is_now):
            return
        since_mono_s = before.measured_mono_s - METER_LAG_S
        for circuit in self._circuits[key]:
            if not self._meters.steps[circuit].moving(key, now):
                self._meters.steps[circuit].open(key, _known(before), since_mono_s, now, said_mono_s=before.measured_mono_s)

    def sent(self, orders: Iterable[Order], now: float) -> None:
        """Orders that leave for the stations: whose setpoint differs from the last one will move."""
        for order in orders:
            if isinstance(order, Inject) and order.evse in self._circuits:
                key = order.evse
                before_a = self._set_a.get(key, self._layout.places[key].fallback_a)
                self._set_a[key] = order.limit_a
                if abs(order.limit_a - before_a) >= SET_A:
                    self._commanded(key, order.limit_a - before_a, now)

    def _commanded(self, key: EvseKey, change_a: float, now: float) -> None:
        evse, model, told = self._evses[key], self._layout.places[key].model, self._told(key)
        known = told.mono_s > -math.inf and evse.session is not None
        # A car of which nobody knows what it drew spoils the window it moves in.
        begin = now if known else now - LONGEST_S - 1.0
        for circuit in self._circuits[key]:
            self._meters.steps[circuit].open(key, told.current_a, begin, now + model.apply_s + REACTION_S, change_a, told.mono_s)

    def left(self, before: EvseState, now: float) -> None:
        """A session is over: its car draws nothing any more."""
        key = before.place.key
        self._set_a.pop(key, None)
        self.claims.session_over(key)
        if (before.drawn_a or 0.0) >= MOVED_A:
            for circuit in self._circuits[key]:
                self._meters.steps[circuit].open(key, _known(before), before.measured_mono_s - METER_LAG_S, now, said_mono_s=before.measured_mono_s)

    def _told(self, key: EvseKey) -> Told:
        """A station's own word, also of one whose word is not believed because of the meter."""
        evse, record = self._evses[key], self.claims.records.get(key)
        if evse.session is None:
            return Told(math.inf, NOTHING)
        if record is not None and record.flag in OF_STEPS:
            return record.told
        return Told(evse.measured_mono_s if evse.current_a != UNKNOWN else -math.inf, _known(evse))

    # -- what was seen of it -------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Order]:
        """Judge the steps that are over; what there is to tell about stations."""
        for circuit, watch in self._meters.steps.items():
            step = watch.judge(self._told, now)
            if step is not None:
                self._judge(circuit, step, now)
        return self.claims.drain()

    def _judge(self, circuit: str, step: Step, now: float) -> None:
        votes, meter = self._votes[circuit], self._layout.circuits[circuit].meter
        if meter is None:
            return
        watch = self._meters.watches[meter]
        votes.add(step)
        if (watch.distrust, watch.mixed) != (votes.distrust, votes.mixed):
            watch.distrust, watch.mixed = votes.distrust, votes.mixed
            self._acquit(circuit)
        if len(step.keys) == 1:
            trusted = not self._meters.storage and watch.health is Health.GOOD and not watch.distrust and not watch.mixed
            self._judge_station(circuit, step, trusted, now)

    def _judge_station(self, circuit: str, step: Step, trusted: bool, now: float) -> None:
        key = step.keys[0]
        place = self._layout.places[key]
        self.claims.step(step, _held_a(place, self._channels[key].present_a(now)), place, trusted)
        if self.claims.flagged(key) != self._evses[key].doubted:
            self._suspects[circuit].add(key)
            self._sync(key)

    def _acquit(self, circuit: str) -> None:
        """The meter is what is wrong: it has no say about stations."""
        self.claims.meter_was_wrong(tuple(self._suspects[circuit]))
        for key in self._suspects[circuit]:
            self._sync(key)
        self._suspects[circuit].clear()

    def _sync(self, key: EvseKey) -> None:
        evse, flagged = self._evses[key], self.claims.flagged(key)
        if flagged and not evse.doubted:
            self._evses[key] = without_currents(evse)
            self._meters.above.forget(key)
        elif not flagged and evse.doubted:
            self._evses[key] = replace(evse, doubted=False)


def _differ(was: MaybeTriple, is_now: MaybeTriple) -> bool:
    first, second, third = [(late or 0.0) - (early or 0.0) for early, late in zip(was, is_now, strict=True)]
    return not (-MOVED_A < first < MOVED_A and -MOVED_A < second < MOVED_A and -MOVED_A < third < MOVED_A)


def place_of_storage(layout: Layout) -> str:
    """The circuit a stationary battery hangs on: the grid connection."""
    return next(iter(layout.circuits))


def _known(evse: EvseState) -> PhaseAmps:
    first_a, second_a, third_a = evse.current_a
    return first_a or 0.0, second_a or 0.0, third_a or 0.0


def _held_a(place: Place, setpoint_a: float) -> float:
    """What an accused EVSE gets at most [A]: as much as now, yet never less than charges at all.

    It is counted with its setpoint on all its phases, so its minimum is as safe as anybody's; a cap of 0 A starves a car
    that happened to wait when its station was accused.
    """
    return max(setpoint_a, place.fallback_a, place.min_a)
