"""Switching: puts a car from three phases on one and back, where its charger can.

When three phases cannot have the minimum but one can, or when plan or CSMS want less than three minimums, the car goes to
the phase with most room; back when three minimums have had room for a while. Every switch wears contactors, so there is a
least time between two, and both ways need their reason to hold. On the way the EVSE has 0 A and all its phases count:
neither way of the switch is then a surprise to a fuse. A car that afterwards draws where it should not counts with all phases
again and is not switched any more in this session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.config import ControlConfig
from controller.facts import EvseKey
from controller.site.layout import Layout
from controller.site.meters.draws import REACTION_S
from controller.site.sharing.arbiter import EPS, Claim, Grant
from controller.site.sharing.budget import Budget, SiteState
from controller.site.sharing.inputs import Inputs
from controller.site.state import EvseState
from controller.site.stations.channel import Channel
from controller.site.stations.phases import UNSEEN

DOWN_HOLD_S = 10.0
"""The reason for one phase must hold this long [s]."""
UP_HOLD_S = 60.0
"""The room for three phases must hold this long [s]."""
UP_PART = 1.1
"""Three phases need this many times their minimum power before a car goes back to them."""
GIVE_UP_S = 120.0
"""A switch whose pause the station does not accept in this time is called off [s]."""


@dataclass(slots=True)
class Way:
    """What is known of one session's switches. to: what it shall be and since when; () = it stays."""

    transaction_id: str
    switched_mono_s: float | None = None
    to: tuple[int, ...] = ()
    to_since_mono_s: float = 0.0
    begun_mono_s: float = 0.0
    quiet_since_mono_s: float | None = None
    failed: bool = False


@dataclass(slots=True)
class Room:
    """What is left on each row when everybody served has only his minimum [A], and with what they are granted."""

    least: list[float] = field(default_factory=list)
    free: list[float] = field(default_factory=list)

    def take(self, rows: Sequence[int], amps: float) -> None:
        """Somebody has been promised it."""
        for row in rows:
            self.least[row] -= amps
            self.free[row] -= amps


class Switcher:
    """All chargers that switch; costs nothing where there are none."""

    def __init__(self, layout: Layout, control: ControlConfig) -> None:
        places = layout.places.values()
        self._keys = [place.key for place in places if place.model.phase_switching and len(place.phases) == 3]
        self._between_s = control.phase_switch_s
        self._voltage_v = layout.voltage_v
        self._ways: dict[EvseKey, Way] = {}

    def look(
        self, budget: Budget, frozen: SiteState, grants: Sequence[Grant], evses: Mapping[EvseKey, EvseState], channels: Mapping[EvseKey, Channel]
    ) -> dict[EvseKey, EvseState]:
        """EVSEs whose switching begins, goes on or ends with this decision; the next one sees it."""
        if not self._keys or budget.inputs is None:
            return {}
        changed: dict[EvseKey, EvseState] = {}
        claims = {claim.key: claim for claim in frozen.claims}
        granted = {grant.key: grant for grant in grants}
        room: Room | None = None
        for key in self._keys:
            evse, claim = evses[key], claims.get(key)
            if evse.session is None or claim is None:
                self._ways.pop(key, None)
                continue
            way = self._ways.get(key)
            if way is None or way.transaction_id != evse.session.transaction_id:
                way = self._ways[key] = Way(evse.session.transaction_id)
            if room is None:
                room = _room(frozen, granted)
            after = self._step(way, evse, claim, granted[key], channels[key], budget, budget.inputs, room)
            if after is not None:
                changed[key] = after
        return changed

    def _step(
        self, way: Way, evse: EvseState, claim: Claim, grant: Grant, channel: Channel, budget: Budget, inputs: Inputs, room: Room
    ) -> EvseState | None:
        now = inputs.at.mono_s
        if evse.switching:
            return self._on_the_way(way, evse, channel, now)
        if evse.switched is not None and evse.phase_use.most not in ((), (evse.switched,)):
            way.failed = True
            return replace(evse, switched=None)
        if way.failed or not claim.rows:
            return None
        to = self._wanted(evse, claim, grant, channel, budget, inputs, room)
        if to != way.to:
            way.to, way.to_since_mono_s = to, now
        hold_s = UP_HOLD_S if len(to) > 1 else DOWN_HOLD_S
        early = way.switched_mono_s is not None and now - way.switched_mono_s < self._between_s
        if not to or early or now - way.to_since_mono_s < hold_s:
            return None
        room.take(budget.rows_on(evse, to), claim.min_a)
        way.begun_mono_s, way.quiet_since_mono_s, way.to = now, None, ()
        return replace(evse, switched=to[0] if len(to) == 1 else None, switching=True)

    # -- on the way -----------------------------------------------------------------------------------------

    def _on_the_way(self, way: Way, evse: EvseState, channel: Channel, now: float) -> EvseState | None:
        """Over when the car was paused long enough; called off when its station does not take the pause."""
        quiet = channel.answered and channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s) <= EPS
        if not quiet:
            way.quiet_since_mono_s = None
            if now - way.begun_mono_s < GIVE_UP_S:
                return None
            way.failed = True
            return replace(evse, switched=None, switching=False, phase_use=UNSEEN)
        if way.quiet_since_mono_s is None:
            way.quiet_since_mono_s = now
        model = evse.place.model
        if now - way.quiet_since_mono_s < model.phase_pause_s + REACTION_S:
            return None
        way.switched_mono_s = now
        return replace(evse, switching=False, phase_use=UNSEEN)

    # -- where to ----------------------------------------------------------------------------------------------

    def _wanted(self, evse: EvseState, claim: Claim, grant: Grant, channel: Channel, budget: Budget, inputs: Inputs, room: Room) -> tuple[int, ...]:
        """The phases it should be on; () = those it is on."""
        power_w, one = self._meant_w(evse, inputs), self._csms_wants_one(evse, inputs)
        least_w = claim.min_a * self._voltage_v
        stuck = grant.waiting
        if evse.switched is not None and not stuck:
            enough = power_w is None or power_w >= UP_PART * 3 * least_w
            fits = not one and enough and self._fits(evse, evse.place.phases, claim, grant, budget, room)
            return evse.place.phases if fits else ()
        little = power_w is not None and least_w <= power_w < 3 * least_w
        if not stuck and not (len(evse.phases) > 1 and (little or one)):
            return ()
        chosen = evse.place.phases if budget.may_choose_phase(channel) else evse.place.phases[:1]
        options = [phase for phase in chosen if (phase,) != evse.phases and self._fits(evse, (phase,), claim, grant, budget, room)]
        if not options:
            return ()
        return (max(options, key=lambda phase: (min(room.free[row] for row in budget.rows_on(evse, (phase,))), -phase)),)

    @staticmethod
    def _fits(evse: EvseState, phases: tuple[int, ...], claim: Claim, grant: Grant, budget: Budget, room: Room) -> bool:
        """Whether its minimum has room on these phases when everybody else keeps his."""
        served = grant.limit_a > EPS
        own, rows = claim.rows if served else (), budget.rows_on(evse, phases)
        needed = {row: rows.count(row) - own.count(row) for row in rows}
        return all(count <= 0 or room.least[row] >= count * claim.min_a - EPS for row, count in needed.items())

    def _meant_w(self, evse: EvseState, inputs: Inputs) -> float | None:
        """What plan and CSMS let it have, over all phases [W]; None = nobody holds it down."""
        target, wish_a = inputs.targets.get(evse.place.key), evse.wish_now(inputs.at.wall_s)
        meant = [] if target is None or target.power_w is None else [target.power_w]
        if wish_a is not None and not self._csms_wants_one(evse, inputs):
            meant.append(wish_a * self._voltage_v * len(evse.place.phases))
        return min(meant, default=None)

    @staticmethod
    def _csms_wants_one(evse: EvseState, inputs: Inputs) -> bool:
        step, _ = evse.wish_step(inputs.at.wall_s)
        return step is not None and step.phase_count == 1


def _room(frozen: SiteState, granted: Mapping[EvseKey, Grant]) -> Room:
    """Leans count: they are what rows of unbalance may carry now."""
    whole = [row.capacity_a + sum(amps for _, amps in row.leans) for row in frozen.rows]
    room = Room(list(whole), list(whole))
    for claim in frozen.claims:
        limit_a = granted[claim.key].limit_a
        if limit_a <= EPS:
            continue
        for row in claim.rows:
            room.least[row] -= claim.min_a
            room.free[row] -= limit_a
    return room
