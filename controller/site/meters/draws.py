"""What a car may be drawing now, as bounds per site phase: for the estimate of the other load.

A station tells its current late and seldom; its setpoint says what it should be. Between the two lies the
truth. A car that gives back lifts the grid at once when it stops, so what it may be giving never counts as load that is not there.
"""

from __future__ import annotations

import math

from controller.facts import PhaseAmps
from controller.site.layout import PHASES
from controller.site.meters.otherload import Draw
from controller.site.state import UNKNOWN, EvseState
from controller.site.stations.appetite import HEADROOM_A
from controller.site.stations.channel import Channel

UNUSED_AFTER_S = 30.0
"""An offer not used for this long is offered to others [s], unless the configuration says otherwise."""
REACTION_S = 5.0
"""A car may take this long to follow its station (IEC 61851-1) [s]."""


def draw_of(
    evse: EvseState, channel: Channel, booked_a: float | None, now: float, unused_after_s: float = UNUSED_AFTER_S, voltage_v: float = 230.0
) -> Draw:
    """Bounds of what the car draws per site phase [A]: what it told, and what its setpoint allows.

    booked_a: what is subtracted for it if it takes no part in the sharing, else None.
    """
    if now < evse.left_until_mono_s and evse.session is None:
        return Draw((0.0, 0.0, 0.0), _known(evse.left_a))
    told = _known(evse.current_a)
    offer_a = _offer(evse, channel, booked_a, now, unused_after_s)
    given_a = giving_w(channel) / voltage_v / len(evse.phases)
    if evse.current_a == UNKNOWN or not channel.online:
        return Draw(_on(evse.phases, -given_a), _on(evse.phases, offer_a))
    low, high = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    cut_over_s = channel.lowered_mono_s + channel.place.model.apply_s + REACTION_S
    told_after, still_falling = evse.measured_mono_s >= cut_over_s, now < cut_over_s
    gives = given_a > 0 and told_after and evse.measured_mono_s >= channel.given_changed_mono_s + channel.place.model.apply_s + REACTION_S
    for phase in PHASES:
        loaded = phase in evse.phases
        most_a = offer_a if loaded else 0.0
        low[phase] = told[phase] if told_after else min(told[phase], most_a)
        if given_a and loaded:
            low[phase] = min(low[phase], -given_a)
        # A cut that had its time is believed until the station tells otherwise: else a rise of the
        # building would pass for a car that has not followed yet.
        high[phase] = max(told[phase], most_a) if told_after or still_falling else most_a
        # What it says it gives, it gives: else a building that rises meanwhile would look as small as before,
        # and others would charge with what the car may stop giving at any moment.
        if gives and told[phase] < 0.0:
            high[phase] = told[phase]
    return Draw((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def giving_w(channel: Channel) -> float:
    """The most a car may be giving back by the setpoints in its station or on their way [W], >= 0."""
    held = (channel.sent, channel.accepted, *channel.outstanding.values())
    return max((sent.given_w for sent in held if sent is not None), default=0.0)


def _offer(evse: EvseState, channel: Channel, booked_a: float | None, now: float, unused_after_s: float) -> float:
    """What the car may be drawing by its offer [A]; little more than told if it does not use it."""
    if booked_a is not None:
        return booked_a
    if evse.session is None:
        return 0.0
    if not channel.online:
        # Just gone, and not booked yet: a reading in between must not take its car for the building.
        return max(channel.held_a, channel.ceiling_a(now, None, -math.inf))
    offer_a = channel.present_a(now)
    since = evse.appetite.unused_since_mono_s
    unused = since is not None and now - since >= unused_after_s
    return min(offer_a, max(0.0, evse.drawn_a or 0.0) + HEADROOM_A) if unused else offer_a


def _known(triple: tuple[float | None, float | None, float | None]) -> PhaseAmps:
    return triple[0] or 0.0, triple[1] or 0.0, triple[2] or 0.0


def _on(phases: tuple[int, ...], amps: float) -> PhaseAmps:
    return tuple(amps if phase in phases else 0.0 for phase in PHASES)  # type: ignore[return-value]
