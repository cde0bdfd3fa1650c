"""Actuate: setpoints become orders.

Per EVSE one ``Channel``. A setpoint is sent when it changes or is due for renewal, lower ones at once and urgent, higher ones only after
the last answer and inside the write budget (``writer``). The floor goes in first (``floors``; F08, F12, F34); what a station's answers
mean is in ``answers``. A changed setpoint is confirmed by answer, then by its composite, then by the meter (``guard``).

Stations with several EVSEs that only obey a limit for the whole station share one channel (``trunks``). Must never: raise a setpoint above
the fallback on a station whose floor is not confirmed; forget what a station that went away may still obey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from controller.config import ControlConfig
from controller.facts import EvseKey, FeaturesLearned, FloorConfirmed, SetpointAnswered, SetpointInForce, Stamp
from controller.orders import Order
from controller.site.layout import Layout
from controller.site.sharing.arbiter import Grant
from controller.site.stations.answers import Answers
from controller.site.stations.channel import Channel, Floor, Wanted
from controller.site.stations.floors import ANSWER_S, Floors
from controller.site.stations.strategies import TX, floor_strategies, giving_strategies, setpoint_strategies, strategy_recalled
from controller.site.stations.trunks import Trunks
from controller.site.stations.writer import Writer, possible
from controller.site.stations.writes import WriteBook


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
        self._answers = Answers(control, self._floors, self._writer, self.features)
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
                self._answers.doubt(line, sent, now)
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
        orders = self._answers.answered(line, fact)
        self.trunks.sync(fact.evse.station_id)
        return orders

    def floor_read(self, fact: FloorConfirmed) -> list[Order]:
        """The composite schedule came back, for a floor or for a setpoint."""
        line = self.line(fact.evse)
        if line is None or not line.online:
            return []
        orders: list[Order] = []
        if fact.number:
            orders = self._answers.read(line, fact)
        elif line.floor is Floor.READING or not fact.ok or line.floor is Floor.FAILED:
            self._floors.read(line, fact)
        self.trunks.sync(fact.evse.station_id)
        return orders

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
            self._answers.silent(line, now)
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
        return self._writer.bring(line, possible(line, wanted, self.features), at)

    def in_force(self, key: EvseKey, at: Stamp) -> SetpointInForce | None:
        """The accepted setpoint of an EVSE now, None when only its floor holds."""
        accepted = self.channels[key].accepted
        if accepted is None or at.mono_s >= accepted.ends_mono_s:
            return None
        until = at.wall_in(accepted.ends_mono_s - at.mono_s)
        count = accepted.wanted.phase_count if accepted.wanted is not None else len(self.channels[key].place.phases)
        return SetpointInForce(accepted.told_a, until, accepted.reason, count)
