"""Actuate: setpoints become orders, and answers become knowledge of what a station obeys.

Per EVSE one ``Channel``. A setpoint is sent when it changes or is due for renewal, lower ones at once and urgent,
higher ones only after the last answer and inside the write budget. After a definite no the next strategy of the
model is tried (F04), after silence the same again under a new number (F05); when nothing is left the EVSE counts
with its maximum until a probe a minute succeeds. The floor goes in first (``floors``; F08, F12, F34). A changed
setpoint is confirmed by answer, then by its composite, then by the meter (``guard``).

Stations with several EVSEs that only obey a limit for the whole station share one channel (``trunks``). Must never:
raise a setpoint above the fallback on a station whose floor is not confirmed; believe in a cut before the station
accepted it and had time to apply it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from controller.config import ControlConfig
from controller.facts import EvseKey, FeaturesLearned, FloorConfirmed, SetpointAnswered, SetpointInForce, Stamp
from controller.orders import Order, Persist, ReadBack, Strategy
from controller.site.sharing.arbiter import EPS, Grant
from controller.site.state import Layout
from controller.site.stations.channel import CLOCK_SLACK_S, FOLLOWED_A, Channel, Floor, Sent, Wanted
from controller.site.stations.floors import ANSWER_S, RETRY_LOST_S, Floors
from controller.site.stations.strategies import TX, floor_strategies, giving_strategies, setpoint_strategies, strategy_memory, strategy_recalled
from controller.site.stations.trunks import Trunks
from controller.site.stations.writer import Writer
from controller.site.stations.writes import WriteBook

__all__ = ["FOLLOWED_A", "Actuator", "Channel", "Floor", "Sent"]

ROUNDS: Final = 2
"""So often all strategies of a model are refused before the EVSE counts as uncontrollable."""
ROUND_S: Final = 2.0
"""Wait before all strategies are tried again [s]."""
LOSSES: Final = 2
"""Setpoints without an answer in a row after which the EVSE counts as uncontrollable (F05: one retry)."""
LOST_RETRY_S: Final = 1.0
"""Wait before a setpoint without an answer is sent again [s]."""
LOOK_GAP_S: Final = 30.0
"""Composites of one EVSE are read no more often than this [s]."""
MISREADS: Final = 2
"""Composites above the accepted setpoint in a row after which the strategy counts as refused: the station mis-stacks."""
MENDED: Final = ("DuplicateProfile", "NoPhaseForDC")
"""Refusals after which the link clears or leaves out what is in the way: the same way is tried once more."""
SPACE: Final = "strategy"
"""Where the journal keeps the strategy that worked, by EVSE."""


class Actuator:
    """All channels. Returns orders; numbers them so that answers find their way back."""

    def __init__(self, layout: Layout, control: ControlConfig) -> None:
        self.channels: dict[EvseKey, Channel] = {key: Channel(place) for key, place in layout.places.items()}
        for channel in self.channels.values():
            channel.overdraw_part = channel.place.model.overdraw_part
        self.writes = WriteBook()
        self.features: dict[str, FeaturesLearned] = {}
        self.trunks = Trunks(layout, self.channels)
        self._sizes = {station: len(keys) for station, keys in layout.by_station.items()}
        self._lines: dict[str, list[Channel]] = {station: self._lines_of(station, keys) for station, keys in layout.by_station.items()}
        self._control = control
        self._number = 0
        self._floors = Floors(self._next_number, control, self.writes)
        self._writer = Writer(self._next_number, control, self._floors, self.writes)
        for station in layout.by_station:
            self._learn(station)

    def _lines_of(self, station_id: str, keys: tuple[EvseKey, ...]) -> list[Channel]:
        whole = self.trunks.line(station_id)
        return [whole] if whole is not None else [self.channels[key] for key in keys]

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def line(self, key: EvseKey) -> Channel | None:
        """The channel that commands an EVSE: its own, or its station's."""
        return self.trunks.line(key.station_id) or self.channels.get(key)

    def writes_today(self, station_id: str, wall_s: float) -> int:
        """Setpoints, floors and clearings written to a station on this UTC day."""
        return self.writes.writes_today(station_id, wall_s)

    # -- stations come and go --------------------------------------------------------------------

    def online(self, station_id: str, now: float, version: str = "") -> list[Order]:
        """A station may be commanded: its floor goes in before anything else (F08, F12)."""
        orders: list[Order] = []
        for line in self._lines.get(station_id, ()):
            line.online, line.offline_since_mono_s = True, None
            line.version = version or line.version
            line.rejections, line.losses, line.uncontrollable, line.retry_mono_s = 0, 0, False, -math.inf
            line.floor_rejections, line.misread, line.mis_stacks = 0, 0, False
            line.put_off, line.put_off_since_mono_s = False, math.inf
            line.tries.rounds, line.clear_number = 0, 0
            line.tries.waits.clear()
            line.tries.rewind()
            line.outstanding.clear()
            line.sent, line.answered = None, True
            orders.append(self._floors.write(line, now))
        self._learn(station_id)
        self.trunks.sync(station_id)
        return orders

    def learned(self, fact: FeaturesLearned) -> None:
        """A station said what it can do."""
        self.features[fact.station_id] = fact
        self._learn(fact.station_id)

    def _learn(self, station_id: str) -> None:
        features, life_s = self.features.get(station_id), self._control.setpoint_life_s
        for line in self._lines.get(station_id, ()):
            model = line.place.model
            line.tries.become(setpoint_strategies(model, line.version, features, life_s, self._sizes[station_id] == 1))
            line.floor_ways = floor_strategies(model, features)
            line.giving_ways = giving_strategies(model, line.version, features, life_s, line.tries.way.stack_level)

    def recall(self, name: str, memory: Any) -> None:
        """The journal knows which strategy worked. name: of the EVSE, as ``str(EvseKey)``."""
        for lines in self._lines.values():
            for line in lines:
                if str(line.place.key) == name:
                    line.tries.remembered = strategy_recalled(memory)
                    line.tries.rewind()

    def offline(self, station_id: str, now: float) -> None:
        """A station is gone; what it may be obeying stays booked for a while (F01, F34)."""
        for line in self._lines.get(station_id, ()):
            if not line.online:
                continue
            line.held_a = line.ceiling_a(now, None, -math.inf)
            if line.held_a > line.known_a(now):
                # A rise whose answer went down with the link may be in force all the same, also after it is back.
                line.settle(line.held_a, now + self._control.setpoint_life_s, now)
            line.online, line.offline_since_mono_s = False, now
            line.floor = Floor.UNKNOWN
            for sent in line.outstanding.values():
                self._doubt(line, sent, now)
            line.outstanding.clear()
            line.sent, line.answered, line.clear_number, line.refresh_number = None, True, 0, 0
            line.behind_since_mono_s = math.inf
        self.trunks.sync(station_id)

    def booked_offline_a(self, channel: Channel, now: float) -> float:
        """What an offline EVSE may be drawing [A]: the last setpoint for a while and while it lives, then its floor."""
        # Who said no to its floor has nothing to fall back to.
        since, floor_a = channel.offline_since_mono_s, channel.place.config.max_current_a if channel.floor_refused else channel.place.fallback_a
        if since is None:
            return floor_a
        held_a = channel.held_a if now - since < self._control.offline_hold_s else 0.0
        return max(held_a, channel.ceiling_a(now, None, -math.inf), floor_a)

    def session_ended(self, key: EvseKey, now: float) -> list[Order]:
        """A TxProfile dies with its transaction; anything else is taken out, and counts until it is out or has ended."""
        line = self.line(key)
        if line is None:
            return []
        if self.trunks.left(key):
            self.trunks.sync(key.station_id)
            return []
        orders = self._writer.clear(line, now) if self._outlives(line, now) else []
        line.sent, line.accepted, line.answered, line.wanted = None, None, True, None
        line.outstanding.clear()
        line.doubts.clear()
        line.behind_since_mono_s = math.inf
        line.probed = False
        line.settling_until_mono_s, line.settling_a = -math.inf, 0.0
        line.first, line.giving_refused, line.idle_refused, line.giving_at, line.misread = True, False, False, 0, 0
        line.overdraw_part = line.place.model.overdraw_part
        line.tries.rewind()
        if not line.uncontrollable:
            line.rejections, line.losses, line.tries.rounds = 0, 0, 0
        self.trunks.sync(key.station_id)
        return orders

    @staticmethod
    def _outlives(line: Channel, now: float) -> bool:
        """Whether a setpoint of ours may outlive its transaction: a default, a station-max, or in 1.6 one the link wrote as default.

        One without an answer may be in the station, too.
        """
        held = [sent.strategy.purpose for sent in (line.accepted, *line.outstanding.values()) if sent is not None]
        held += [purpose for purpose, until_mono_s in line.doubts.items() if now < until_mono_s]
        return line.probed or any(purpose != TX or line.version.endswith("1.6") for purpose in held)

    # -- answers -----------------------------------------------------------------------------------

    def answered(self, fact: SetpointAnswered) -> list[Order]:
        """A station answered a setpoint, a floor or a clearing; the orders that follow at once."""
        line = self.line(fact.evse)
        if line is None:
            return []
        orders = self._answered(line, fact)
        self.trunks.sync(fact.evse.station_id)
        return orders

    def _answered(self, line: Channel, fact: SetpointAnswered) -> list[Order]:
        now = fact.at.mono_s
        if fact.number == line.floor_number and line.floor is Floor.WRITING:
            return self._floors.answered(line, fact.accepted, fact.lost, fact.reason, now, fact.retry_after_s)
        if fact.number == line.refresh_number and line.refresh_number:
            self._floors.refreshed(line, fact.accepted, fact.reason, now, fact.retry_after_s)
            return []
        if fact.number == line.clear_number and line.clear_number:
            return self._cleared(line, fact)
        sent = line.outstanding.pop(fact.number, None)
        if sent is None:
            return []
        if fact.accepted:
            return self._accepted(line, sent, now)
        if line.sent is None or line.sent.number != fact.number:
            if fact.lost:
                self._doubt(line, sent, now)  # a newer one has taken its place, but nobody knows in which order they arrived
                self._book(line, sent, now)
            return []
        return self._rejected(line, sent, fact)

    def _book(self, line: Channel, sent: Sent, now: float) -> None:
        if sent.limit_a > line.known_a(now):
            line.settle(sent.limit_a, now + self._control.setpoint_life_s, now)

    def _doubt(self, line: Channel, sent: Sent, now: float) -> None:
        """Without an answer it may be in the station: it must be cleared before another kind of profile follows."""
        line.doubts[sent.strategy.purpose] = now + self._control.setpoint_life_s + CLOCK_SLACK_S

    def _rejected(self, line: Channel, sent: Sent, fact: SetpointAnswered) -> list[Order]:
        """Not accepted, or no answer: it may be in force all the same, so its value stays booked."""
        now = fact.at.mono_s
        line.last_reason = fact.reason
        self._book(line, sent, now)
        line.sent, line.answered = line.accepted, True
        if fact.lost:
            self._doubt(line, sent, now)
            return self._lost(line, now)
        line.losses = 0
        line.risen_mono_s = -math.inf  # a rise that did not happen holds up none
        if fact.retry_after_s is not None:
            line.tries.waits[sent.strategy] = now + max(0.0, fact.retry_after_s)
            return self._writer.again(line, fact.at) if sent.urgent else []
        if sent.wanted is not None and sent.wanted.giving:
            return self._giving_refused(line, sent.wanted, fact)
        return self._refused(line, sent, fact)

    def _lost(self, line: Channel, now: float) -> list[Order]:
        line.losses += 1
        line.rejections += 1
        line.uncontrollable = line.uncontrollable or line.losses >= LOSSES
        line.retry_mono_s = now + (RETRY_LOST_S if line.uncontrollable else LOST_RETRY_S)
        return []

    def _refused(self, line: Channel, sent: Sent, fact: SetpointAnswered) -> list[Order]:
        """A definite no: the next strategy at once; when all were refused, a pause and all again."""
        tries, now = line.tries, fact.at.mono_s
        line.rejections += 1
        if sent.strategy != tries.way:
            return self._writer.again(line, fact.at)  # the list has changed meanwhile
        if any(word in fact.reason for word in MENDED) and not tries.duplicate:
            tries.duplicate = True
            return self._writer.again(line, fact.at)
        tries.unsure = tries.unsure or "TxNotFound" in fact.reason
        if tries.refuse():
            return self._writer.again(line, fact.at)
        line.uncontrollable = line.uncontrollable or tries.rounds >= ROUNDS
        line.retry_mono_s = now + (RETRY_LOST_S if line.uncontrollable else ROUND_S)
        return []

    def _giving_refused(self, line: Channel, refused: Wanted, fact: SetpointAnswered) -> list[Order]:
        """A V2X setpoint was refused: the other kind, then back to plain charging until the session is over.

        Who only refuses to idle may still give back: a limit of 0 A does instead (Q10 is optional).
        """
        if any(word in fact.reason for word in MENDED) and not line.tries.duplicate:
            line.tries.duplicate = True
            return self._writer.again(line, fact.at)
        line.tries.duplicate = False
        if refused.setpoint_w is None:
            line.idle_refused = True
        else:
            line.giving_at += 1
            line.giving_refused = line.giving_at >= len(line.giving_ways)
        if line.wanted is not None:
            line.wanted = self._possible(line, line.wanted)
        return self._writer.again(line, fact.at)

    def _possible(self, line: Channel, wanted: Wanted) -> Wanted:
        """Without the V2X words that the station did not announce, or refused in this session."""
        if wanted.giving and not self._may_give(line):
            return replace(wanted, setpoint_w=None, idle=False)
        return replace(wanted, idle=False) if wanted.idle and line.idle_refused else wanted

    def _accepted(self, line: Channel, sent: Sent, now: float) -> list[Order]:
        # A station carries out one after the other: this one has taken the place of all before it.
        older_a = [line.outstanding.pop(older).limit_a for older in list(line.outstanding) if older < sent.number]
        before_a = max(line.known_a(now), *older_a, 0.0)
        cut = sent.limit_a < before_a - EPS
        if cut:
            still_settling = now < line.settling_until_mono_s
            line.settling_a = max(before_a, line.settling_a) if still_settling else before_a
            line.settling_until_mono_s = now + line.place.model.apply_s
            line.lowered_mono_s, line.lowered_by_a = now, before_a - sent.limit_a
        line.doubts.pop(sent.strategy.purpose, None)  # it has taken its place
        line.accepted = replace(sent, at_mono_s=now, ends_mono_s=now + self._control.setpoint_life_s)
        line.rejections, line.losses, line.uncontrollable = 0, 0, False
        line.tries.rounds, line.tries.duplicate = 0, False
        line.tries.refused.clear()
        if line.floor is Floor.FAILED:
            # The new setpoint has taken the place of what was in the way of the floor: look again.
            line.floor_retry_mono_s = now
        if line.sent is not None and line.sent.number == sent.number:
            line.answered = True
        return [*self._remember(line, sent.strategy, sent.wanted), *self._look(line, sent, cut, now)]

    @staticmethod
    def _remember(line: Channel, strategy: Strategy, wanted: Wanted | None) -> list[Order]:
        tries = line.tries
        if tries.unsure or strategy == tries.remembered or strategy not in tries.ways or (wanted is not None and wanted.giving):
            tries.unsure = False
            return []
        if tries.remembered is None and strategy == tries.ways[0]:
            return []  # nothing to remember: a better way the station tells of later comes first
        tries.remembered = strategy
        return [Persist(0, remember={(SPACE, str(line.place.key)): strategy_memory(strategy)})]

    # -- confirmation by composite -------------------------------------------------------------------

    def _look(self, line: Channel, sent: Sent, cut: bool, now: float) -> list[Order]:
        """Read the composite after the first setpoint of a session and after cuts: samples, not every renewal."""
        plain = sent.wanted is None or not sent.wanted.giving
        line.look_owed = line.look_owed or cut
        due = plain and (line.first or line.look_owed or line.misread > 0) and now - line.looked_mono_s >= LOOK_GAP_S
        if not due or not line.place.model.reads_back or not line.confirmed:
            return []
        line.looked_mono_s, line.first, line.look_owed = now, False, False
        outstanding_a = [one.limit_a for one in line.outstanding.values()]
        left_a = line.left_a if now < line.left_until_mono_s else 0.0
        return [ReadBack(line.place.key, max(sent.told_a, left_a, *outstanding_a), sent.number)]

    def floor_read(self, fact: FloorConfirmed) -> list[Order]:
        """The composite schedule came back, for a floor or for a setpoint."""
        line = self.line(fact.evse)
        if line is None or not line.online:
            return []
        orders: list[Order] = []
        if fact.number:
            orders = self._setpoint_read(line, fact)
        elif line.floor is Floor.READING or not fact.ok or line.floor is Floor.FAILED:
            self._floors.read(line, fact)
        self.trunks.sync(fact.evse.station_id)
        return orders

    def _setpoint_read(self, line: Channel, fact: FloorConfirmed) -> list[Order]:
        """A composite above what was accepted: sent again, then the next strategy. None at all says nothing (16.9)."""
        now, accepted = fact.at.mono_s, line.accepted
        if accepted is None or accepted.number != fact.number or fact.limit_a is None:
            return []
        if fact.ok:
            line.misread, line.mis_stacks = 0, False
            return []
        line.misread += 1
        line.looked_mono_s = -math.inf
        line.last_reason = f"accepted {accepted.told_a:g} A and reports {fact.limit_a:g} A"
        line.settle(min(fact.limit_a, line.place.config.max_current_a), now + self._control.setpoint_life_s, now)
        line.resend = True
        if line.misread < MISREADS:
            return []
        line.misread, line.mis_stacks = 0, True
        if not line.tries.refuse():
            line.uncontrollable = line.uncontrollable or line.tries.rounds >= ROUNDS
            line.retry_mono_s = now + (RETRY_LOST_S if line.uncontrollable else ROUND_S)
        return []

    # -- taking a setpoint out -----------------------------------------------------------------------------

    def _cleared(self, line: Channel, fact: SetpointAnswered) -> list[Order]:
        line.clear_number = 0
        # A station that does not know it has not got it any more.
        if fact.accepted or (not fact.lost and "unknown" in fact.reason.lower()):
            line.left_until_mono_s = min(line.left_until_mono_s, fact.at.mono_s + line.place.model.apply_s)
        return self._writer.again(line, fact.at)

    # -- time and setpoints ------------------------------------------------------------------------

    def tick(self, now: float) -> list[Order]:
        """Let time pass: floors are retried, answers that never came count as lost."""
        orders: list[Order] = []
        for station_id, lines in self._lines.items():
            for line in lines:
                if line.online:
                    orders += self._tick(line, now)
            self.trunks.sync(station_id)
        return orders

    def _tick(self, line: Channel, now: float) -> list[Order]:
        if line.clearing and now > line.clear_until_mono_s:
            line.clear_number = 0
        if line.sent is not None and not line.answered and now - line.asked_mono_s > ANSWER_S:
            for sent in line.outstanding.values():
                self._book(line, sent, now)
                self._doubt(line, sent, now)
            line.outstanding.clear()
            line.sent, line.answered, line.last_reason = line.accepted, True, "no answer"
            self._lost(line, now)
        return self._floors.tick(line, now)

    def write(self, grants: Iterable[Grant], at: Stamp, used: Mapping[EvseKey, tuple[int, ...]]) -> list[Order]:
        """Bring grants to their EVSEs, where they are new or due. used: site phases each car really loads."""
        orders: list[Order] = []
        moved: set[str] = set()
        for grant in grants:
            if self.trunks.share(grant, used.get(grant.key, ()), at.mono_s):
                moved.add(grant.key.station_id)
                continue
            orders += self.setpoint(grant, at, len(used.get(grant.key, ())) or None)
        for station_id in sorted(moved):
            line = self.trunks.line(station_id)
            whole = self.trunks.whole(station_id)
            if line is not None and whole is not None:
                orders += self._writer.bring(line, whole, at)
                self.trunks.sync(station_id)
        return orders

    def setpoint(self, grant: Grant, at: Stamp, used_phases: int | None = None) -> list[Order]:
        """Bring a grant to an EVSE with a session, if it is new or due."""
        line = self.channels[grant.key]
        count = grant.phase_count or len(line.place.phases)
        if grant.phase_count is None and used_phases and line.tries.way.unit == "W":
            count = min(count, used_phases)  # a limit in W for three phases would let a car on one of them draw it all there
        told_a = line.told_a(grant.limit_a)
        wanted = Wanted(line.counted_a(grant.limit_a, told_a), told_a, grant.reason, count, grant.phase_to_use, grant.setpoint_w, grant.idle)
        return self._writer.bring(line, self._possible(line, wanted), at)

    def _may_give(self, line: Channel) -> bool:
        """Whether a V2X setpoint may go out: announced for this EVSE, and not refused in this session."""
        features = self.features.get(line.place.key.station_id)
        announced = features is not None and "CentralSetpoint" in features.modes and line.place.key.evse_id in features.v2x
        return announced and bool(line.giving_ways) and not line.giving_refused

    def in_force(self, key: EvseKey, at: Stamp) -> SetpointInForce | None:
        """The accepted setpoint of an EVSE now, None when only its floor holds."""
        accepted = self.channels[key].accepted
        if accepted is None or at.mono_s >= accepted.ends_mono_s:
            return None
        until = at.wall_in(accepted.ends_mono_s - at.mono_s)
        count = accepted.wanted.phase_count if accepted.wanted is not None else len(self.channels[key].place.phases)
        return SetpointInForce(accepted.told_a, until, accepted.reason, count)
