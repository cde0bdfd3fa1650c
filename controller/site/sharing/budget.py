"""The budget: turns the picture of the site into rows of capacity and claims for the arbiter.

Freeze, decide, write: ``freeze`` makes one immutable ``SiteState``; the arbiter sees nothing else.
What cannot be commanded now is *booked*, that is subtracted from every row above it, with the most
it may be drawing: an offline station with its last setpoint for a while, then its floor (F01); an
uncontrollable one with its maximum (F04); one that does not follow with what it draws (F03); one
whose floor is not confirmed never gets more than its fallback (F12).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.config import ControlConfig
from controller.facts import ChargingState, EvseKey, EvseStatus, Stamp
from controller.site.layout import Layout
from controller.site.meters.draws import REACTION_S
from controller.site.sharing.arbiter import Claim, Give, Row, floor_to
from controller.site.sharing.chain import idles, least_discharge_w, own_layers, phase_words, wanted_discharge_w
from controller.site.sharing.inputs import CircuitLoad, Inputs, StationWish, Target
from controller.site.sharing.layers import UPSTREAM, Layer, lowest
from controller.site.sharing.rows import Rows, Table
from controller.site.sharing.turns import in_hurry, priority, rank
from controller.site.state import EvseState
from controller.site.stations.actuate import Actuator
from controller.site.stations.appetite import HEADROOM_A
from controller.site.stations.channel import FOLLOWED_A, Channel
from controller.site.stations.v2g import may_idle, still_given_w

__all__ = ["REACTION_S", "Budget", "CircuitLoad", "Inputs", "SiteState", "StationWish", "Target"]

TRUST_S = 120.0
"""A station's own current counts for a booking this long [s]."""
UNHEARD_S = 90.0
"""What a car drew before it was cut is kept free for this long at most, if nobody measures it [s]."""


@dataclass(frozen=True, slots=True)
class SiteState:
    """The frozen picture the arbiter decides on. Row ``3 * i + phase`` belongs to circuit i. totals: the rows of a circuit's limit in watts."""

    at: Stamp
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    booked_a: Mapping[EvseKey, float]
    totals: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Budget:
    """Builds the frozen picture. Keeps only the fixed layout."""

    def __init__(self, layout: Layout, actuator: Actuator, control: ControlConfig) -> None:
        self._actuator, self._control, self.voltage_v = actuator, control, layout.voltage_v
        self.rows = Rows(layout)
        bare = {name for name, circuit in layout.circuits.items() if circuit.meter is None}
        self._blind = frozenset(key for key, place in layout.places.items() if not bare.isdisjoint(place.path))
        self.inputs: Inputs | None = None
        self._table: Table | None = None

    def row_of(self, circuit: str, phase: int) -> int:
        """Index of the row of a circuit and phase."""
        return self.rows.row_of(circuit, phase)

    def rows_over(self, circuit: str, phase: int | None) -> tuple[int, ...]:
        """The rows of a phase of a circuit, or of its total (None), in the last picture."""
        if phase is not None:
            return (self.row_of(circuit, phase),)
        return self._table.totals.get(circuit, ()) if self._table is not None else ()

    def rows_on(self, evse: EvseState, phases: tuple[int, ...]) -> tuple[int, ...]:
        """The rows an EVSE would load with these site phases, in the last picture; () before the first."""
        return self._table.rows_on(evse, phases) if self._table is not None else ()

    def freeze(self, inputs: Inputs) -> SiteState:
        """Rows and claims at this moment."""
        self.inputs, self._table = inputs, self.rows.table(inputs)
        table = self._table
        claims: list[Claim] = []
        booked: dict[EvseKey, float] = {}
        channels = self._actuator.channels
        for key, evse in inputs.evses.items():
            channel = channels[key]
            amps = self.booked_now_a(evse, channel, inputs)
            if amps is not None:
                booked[key] = amps
                table.book(evse, amps, channel.online)
            claim: Claim | None = None
            if evse.session is not None and channel.online:
                claim = self._claim(evse, channel, () if amps is not None else table.rows_of(evse), inputs, table)
                claims.append(claim)
            if table.give_rows and evse.place.config.v2g is not None and (claim is None or claim.give is None):
                self.rows.still_gives(table, evse, still_given_w(evse, channel, inputs.at.mono_s) / (self.voltage_v * len(evse.phases)))
        self.rows.lean(table, inputs, claims)
        return SiteState(inputs.at, table.finished(), tuple(claims), booked, table.totals)

    def layers(self, evse: EvseState, channel: Channel, inputs: Inputs) -> tuple[Layer, ...]:
        """Every limit of the EVSE itself now, lowest wins: the chain behind "why only 8 A?". The rows are ``SiteState.rows``."""
        return tuple(own_layers(evse, channel, inputs, self.booked_now_a(evse, channel, inputs) is not None))

    # -- what is booked instead of claimed -------------------------------------------------------------

    def booked_now_a(self, evse: EvseState, channel: Channel, inputs: Inputs) -> float | None:
        """Current to subtract [A] for an EVSE that takes no part in the sharing; None if it does."""
        now, key = inputs.at.mono_s, evse.place.key
        if channel.online and evse.session is not None and not channel.uncontrollable and key not in inputs.disobeying:
            return self._behind_a(evse, channel, now) if channel.behind(now) else None  # most of them
        drawn_a = evse.drawn_a or 0.0 if now - evse.measured_mono_s < TRUST_S else 0.0
        if not channel.online:
            return self._actuator.booked_offline_a(channel, now)
        if channel.uncontrollable:
            return max(evse.place.config.max_current_a * (1.0 + channel.overdraw_part), drawn_a)
        if key in inputs.disobeying:
            return max(drawn_a, channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s))
        careful = evse.status is EvseStatus.OCCUPIED or not channel.confirmed
        return max(drawn_a, channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s) if careful else 0.0)

    @staticmethod
    def _behind_a(evse: EvseState, channel: Channel, now: float) -> float | None:
        """A cut that its station has not taken for seconds: what it may be obeying, unless its car shows otherwise [A]."""
        ceiling_a = channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s)
        wanted_a = channel.wanted.limit_a if channel.wanted is not None else channel.present_a(now)
        return max(ceiling_a, evse.drawn_a or 0.0) if ceiling_a > wanted_a + FOLLOWED_A else None

    # -- what is claimed ---------------------------------------------------------------------------------

    def _claim(self, evse: EvseState, channel: Channel, rows: tuple[int, ...], inputs: Inputs, table: Table) -> Claim:
        place, now = evse.place, inputs.at.mono_s
        turn = inputs.turns.get(place.key)
        cap = lowest(own_layers(evse, channel, inputs, booked=not rows))
        give = self._give(evse, channel, inputs) if place.config.v2g is not None and rows else None
        # Amps here are what the car draws; the limits of others are what the charger is told.
        cap_a = max(0.0, cap.limit_a) * (1.0 + channel.overdraw_part) if give is None else 0.0
        ceiling_a = channel.ceiling_a(now, evse.drawn_a, evse.measured_mono_s)
        if not channel.confirmed or self._unheard(evse, channel, now):
            ceiling_a = max(ceiling_a, evse.drawn_a or 0.0)
        if turn is not None:
            since_mono_s = turn.since_mono_s
        else:
            since_mono_s = evse.session.started_mono_s if evse.session is not None else now
        phase_count, phase_to_use = self._phase_words(evse, channel)
        loads = inputs.loads
        return Claim(
            place.key,
            rows,
            _least_a(channel, cap_a),
            cap_a,
            cap.reason,
            min(cap_a, self.want_a(evse, channel, inputs.at)),
            channel.present_a(now),
            ceiling_a,
            priority(evse),
            rank(evse, turn, now, self._control.turn_s),
            since_mono_s,
            place.model.step_a,
            channel.rise_s(now),
            not any(loads[name].hold for name in place.path),
            cap.source,
            cap.ends_wall_s,
            inputs.lifted == place.key,
            in_hurry(evse, inputs.at.wall_s, min(cap_a, place.config.max_current_a) * self.voltage_v * len(evse.phases)),
            give,
            phase_count,
            phase_to_use,
            place.config.v2g is not None and self._idle(evse, cap, inputs),
            table.sums_of(rows),
        )

    def _unheard(self, evse: EvseState, channel: Channel, now: float) -> bool:
        """Whether nobody has measured a car since it was cut: its station has not told, and a circuit above has no meter.

        What it drew before then counts against the rises of others, until its station tells or must long have told.
        """
        told_from_s = channel.lowered_mono_s + evse.place.model.apply_s + REACTION_S
        return evse.measured_mono_s < told_from_s and now - channel.lowered_mono_s < UNHEARD_S and evse.place.key in self._blind

    def want_a(self, evse: EvseState, channel: Channel, at: Stamp) -> float:
        """What the car is expected to use [A]: all, what it said, or a little more than it lately took if it left its offer unused."""
        now, session, appetite = at.mono_s, evse.session, evse.appetite
        if session is not None and session.charging_state is ChargingState.SUSPENDED_EV:
            return channel.min_a
        since = appetite.unused_since_mono_s
        if since is None or now - since < self._control.unused_after_s:
            said_a = session.will_take_a(at.wall_s) if session is not None and session.schedule else None
            return math.inf if said_a is None else max(channel.min_a, said_a + HEADROOM_A)
        return max(channel.min_a, floor_to(appetite.peak_a + HEADROOM_A, evse.place.model.step_a))

    def _phase_words(self, evse: EvseState, channel: Channel) -> tuple[int | None, int | None]:
        if not evse.place.model.phase_switching:
            return None, None
        return phase_words(evse, self.may_choose_phase(channel))

    def may_choose_phase(self, channel: Channel) -> bool:
        """Whether the station lets us name the phase (phaseToUse): announced, and not in 1.6 (K01.FR.19, K01.FR.20)."""
        features = self._actuator.features.get(channel.place.key.station_id)
        return features is not None and features.phase_switching and not channel.version.endswith("1.6")

    # -- giving back -----------------------------------------------------------------------------------------

    def _give(self, evse: EvseState, channel: Channel, inputs: Inputs) -> Give | None:
        """What the EVSE shall give back now; None = nothing, it charges like any other."""
        wanted_w, reason = wanted_discharge_w(evse, channel, inputs, self.voltage_v)
        per_a = self.voltage_v * len(evse.phases)
        least_w = least_discharge_w(evse)
        if wanted_w < least_w:
            return None
        now, sent = inputs.at.mono_s, channel.sent
        now_a = sent.given_w / per_a if sent is not None and now < sent.ends_mono_s else 0.0
        rows = self.rows.export_rows_of(evse, inputs, self._table)
        held_a = still_given_w(evse, channel, now) / per_a
        target = inputs.targets.get(evse.place.key)
        prompt = target is not None and target.source == UPSTREAM
        return Give(wanted_w / per_a, least_w / per_a, rows, per_a, reason, now_a, now - channel.given_changed_mono_s, held_a, prompt)

    def _idle(self, evse: EvseState, cap: Layer, inputs: Inputs) -> bool:
        step, _ = evse.wish_step(inputs.at.wall_s)
        return idles(evse, cap, step) and may_idle(evse, inputs.features.get(evse.place.key.station_id))


def _least_a(channel: Channel, cap_a: float) -> float:
    """The claim's minimum [A]: what this car was seen to need, unless its own limits are lower; then it may show that it can."""
    return channel.min_a if cap_a >= channel.min_a else channel.place.min_a * (1.0 + channel.overdraw_part)
