"""Derived: the load of a circuit nobody measures, from what the stations below it measure themselves.

The sharing counts setpoints, so a circuit without a meter holds as long as cars obey. What it would not see is a car above its
setpoint: a box that lets 5 % more through, a station that has not followed. ``Above`` remembers, per EVSE and phase, what a
car was measured to draw above the most its station may be obeying; on a circuit without a meter that is other load at once, before
it is pursued (``escalation``) or learned (``overdraw``). ``derived`` adds up the circuit: its other load, what is booked, and each
car's word, drawn towards its setpoint as the word grows old. Above the fuse that is an excess like a measured one, told as derived.

Laws: a margin never shrinks with age; with fresh words the sum is never below what the stations say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from controller.facts import EvseKey, PhaseAmps
from controller.site.layout import PHASES
from controller.site.meters.draws import REACTION_S
from controller.site.state import EvseState
from controller.site.stations.channel import Channel

FRESH_S = 5.0
"""A station's word counts as it is for this long [s]..."""
OLD_S = 30.0
"""... and from this age on the car may be drawing all that it was allowed [s]."""
NOISE_A = 0.2
"""Less above a setpoint is no overdraw [A]."""
GRAVE_A, GRAVE_PART = 1.0, 0.25
"""More than both above what it may draw is no inaccuracy any more: [A], part."""
NONE: PhaseAmps = (0.0, 0.0, 0.0)


class Above:
    """What cars draw above what they may, as last told. Kept until their station tells otherwise or the session ends."""

    def __init__(self) -> None:
        self._above_a: dict[EvseKey, PhaseAmps] = {}
        self.grave: set[EvseKey] = set()
        """Those so far above that they count with what they draw, whatever they are told meanwhile."""

    def take(self, evse: EvseState, channel: Channel, now: float) -> bool:
        """A station told its currents. True if it draws more above its setpoint than was known."""
        key, told_a = evse.place.key, evse.current_a
        drawn_a = evse.drawn_a
        if key not in self._above_a and (evse.session is None or drawn_a is None or drawn_a <= channel.known_a(now) + NOISE_A):
            return False
        if evse.session is None:
            self.forget(key)
            return False
        if evse.measured_mono_s < channel.lowered_mono_s + channel.place.model.apply_s + REACTION_S:
            return False  # it may still be on its way down
        most_a = channel.ceiling_a(now, drawn_a, evse.measured_mono_s) + NOISE_A
        above = tuple(max(0.0, (amps or 0.0) - most_a) for amps in told_a)
        before = self._above_a.get(key, NONE)
        self.forget(key)
        if any(above):
            self._above_a[key] = (above[0], above[1], above[2])
            if max(above) > max(GRAVE_A, GRAVE_PART * most_a):
                self.grave.add(key)
        return any(now_a > before_a + NOISE_A for now_a, before_a in zip(above, before, strict=True))

    def forget(self, key: EvseKey) -> None:
        """The session is over, or its word has changed."""
        self._above_a.pop(key, None)
        self.grave.discard(key)

    def of(self, keys: Iterable[EvseKey], booked: Collection[EvseKey]) -> PhaseAmps:
        """Sum for some EVSEs [A], without those that are booked with what they draw anyway."""
        if not self._above_a:
            return NONE
        found = [self._above_a[key] for key in keys if key in self._above_a and key not in booked]
        return sum(one[0] for one in found), sum(one[1] for one in found), sum(one[2] for one in found)


def car_a(evse: EvseState, channel: Channel, now: float) -> PhaseAmps:
    """What a car that takes part in the sharing may be drawing now, per phase [A]; never above what it may (see ``Above``)."""
    first_a, second_a, third_a = evse.current_a
    if first_a is None or second_a is None or third_a is None or now - evse.measured_mono_s > FRESH_S:
        return _aged_a(evse, channel, now)
    if min(first_a, second_a, third_a) >= 0.0 and max(first_a, second_a, third_a) <= channel.known_a(now):
        return first_a, second_a, third_a  # most of them
    return _aged_a(evse, channel, now)


def _aged_a(evse: EvseState, channel: Channel, now: float) -> PhaseAmps:
    most_a = channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s)
    old = min(1.0, max(0.0, (now - evse.measured_mono_s - FRESH_S) / (OLD_S - FRESH_S)))
    amps = [0.0, 0.0, 0.0]
    for phase in PHASES:
        told_a = evse.current_a[phase]
        allowed_a = most_a if phase in evse.phases else 0.0
        said_a = allowed_a if told_a is None else min(max(0.0, told_a), most_a)
        amps[phase] = said_a + old * max(0.0, allowed_a - said_a)
    return amps[0], amps[1], amps[2]


def derived(
    other_a: PhaseAmps,
    keys: Iterable[EvseKey],
    evses: Mapping[EvseKey, EvseState],
    channels: Mapping[EvseKey, Channel],
    booked_a: Mapping[EvseKey, float],
    now: float,
    known: dict[EvseKey, PhaseAmps] | None = None,
) -> PhaseAmps:
    """Load of a circuit per phase [A]. other_a: everything below it that is not a car, overdraw included.

    known: what was found out about cars at this moment already; more is added.
    """
    amps, cars = list(other_a), known if known is not None else {}
    for key in keys:
        evse, booking = evses[key], booked_a.get(key)
        if booking is not None:
            for phase in evse.phases:
                amps[phase] += booking
        elif evse.session is not None:
            if key not in cars:
                cars[key] = car_a(evse, channels[key], now)
            first_a, second_a, third_a = cars[key]
            amps[0] += first_a
            amps[1] += second_a
            amps[2] += third_a
    return amps[0], amps[1], amps[2]
