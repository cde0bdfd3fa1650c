"""Trunks: stations with several EVSEs that only obey one limit for all of them (station-max profile, K04).

Such a station gets one channel, and each EVSE a mirror of it. All EVSEs of a station hang on the same circuit, so
the station may have, per phase, what its EVSEs were granted together on the phase where that is least: then no
phase above it carries more than was granted, whoever of them draws it. What one EVSE gets of it nobody can promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.facts import EvseKey
from controller.site.layout import PHASES, Layout, Place
from controller.site.sharing.arbiter import EPS, Grant
from controller.site.stations.channel import Channel, Sent, Wanted
from controller.site.stations.strategies import holds_whole_station


@dataclass(frozen=True, slots=True)
class Share:
    """What one EVSE was granted: per phase [A], on these site phases."""

    limit_a: float
    phases: tuple[int, ...]
    reason: str


@dataclass(slots=True)
class Trunk:
    """One such station. line: the channel that is commanded; shares: of its EVSEs with a session."""

    line: Channel
    members: tuple[Channel, ...]
    shares: dict[EvseKey, Share] = field(default_factory=dict)


class Trunks:
    """All of them; most sites have none."""

    def __init__(self, layout: Layout, channels: Mapping[EvseKey, Channel]) -> None:
        self._trunks: dict[str, Trunk] = {}
        for station_id, keys in layout.by_station.items():
            members = tuple(channels[key] for key in keys)
            if len(members) > 1 and holds_whole_station(members[0].place.model):
                line = Channel(_whole_place(station_id, [member.place for member in members]))
                self._trunks[station_id] = Trunk(line, members)

    def line(self, station_id: str) -> Channel | None:
        """The station's one channel; None for the usual station."""
        trunk = self._trunks.get(station_id)
        return trunk.line if trunk is not None else None

    def share(self, grant: Grant, phases: tuple[int, ...], now: float) -> bool:
        """Note what an EVSE of such a station was granted; False for the usual station."""
        trunk = self._trunks.get(grant.key.station_id)
        if trunk is None:
            return False
        member = next(one for one in trunk.members if one.place.key == grant.key)
        before = trunk.shares.get(grant.key)
        if before is None or abs(before.limit_a - grant.limit_a) > EPS:
            member.changed_mono_s = now
        trunk.shares[grant.key] = Share(grant.limit_a, phases or member.place.phases, grant.reason)
        return True

    def left(self, key: EvseKey) -> bool:
        """A session is over. True when others go on and the station's setpoint stays, lowered with the next decision."""
        trunk = self._trunks.get(key.station_id)
        if trunk is None:
            return False
        trunk.shares.pop(key, None)
        return bool(trunk.shares)

    def whole(self, station_id: str) -> Wanted | None:
        """What the station may have per phase; None without a session."""
        trunk = self._trunks[station_id]
        if not trunk.shares:
            return None
        sums = [[share.limit_a for share in trunk.shares.values() if phase in share.phases] for phase in PHASES]
        limit_a = min(sum(amps) for amps in sums if amps)
        reasons = sorted({share.reason for share in trunk.shares.values() if share.reason})
        return Wanted(limit_a, limit_a, "; ".join(reasons), len(trunk.line.place.phases))

    # -- the mirrors -----------------------------------------------------------------------------------

    def sync(self, station_id: str) -> None:
        """Let the EVSEs' channels show what their station's is at."""
        trunk = self._trunks.get(station_id)
        if trunk is None:
            return
        for member in trunk.members:
            _mirror(trunk, member)


def _mirror(trunk: Trunk, member: Channel) -> None:
    line, key = trunk.line, member.place.key
    share = trunk.shares.get(key)

    def part(amps: float) -> float:
        """The most this EVSE may be having of it: all that the others were not granted."""
        others_a = sum(_base(trunk, other) for other in trunk.members if other is not member)
        return min(member.place.config.max_current_a, max(_base(trunk, member), amps - others_a))

    def of(sent: Sent | None) -> Sent | None:
        return replace(sent, limit_a=part(sent.limit_a), wanted=None) if sent is not None else None

    member.online, member.version, member.offline_since_mono_s = line.online, line.version, line.offline_since_mono_s
    member.floor, member.uncontrollable, member.last_reason = line.floor, line.uncontrollable, line.last_reason
    member.sent = replace(line.sent, limit_a=share.limit_a, reason=share.reason, wanted=None) if line.sent is not None and share is not None else None
    member.answered, member.asked_mono_s = line.answered, line.asked_mono_s
    member.accepted = of(line.accepted)
    member.outstanding = {number: replace(sent, limit_a=part(sent.limit_a), wanted=None) for number, sent in line.outstanding.items()}
    member.settling_a, member.settling_until_mono_s = part(line.settling_a), line.settling_until_mono_s
    member.left_a, member.left_until_mono_s = part(line.left_a), line.left_until_mono_s
    member.lowered_mono_s, member.lowered_by_a, member.held_a = line.lowered_mono_s, line.lowered_by_a, part(line.held_a)
    member.floor_refused, member.behind_since_mono_s = line.floor_refused, line.behind_since_mono_s
    member.mis_stacks, member.clear_number, member.put_off = line.mis_stacks, line.clear_number, line.put_off
    if member.resend:
        member.resend, line.resend = False, True


def _base(trunk: Trunk, member: Channel) -> float:
    """What an EVSE counts with by itself: its share, or its floor while no setpoint holds the station."""
    share = trunk.shares.get(member.place.key)
    if share is not None:
        return share.limit_a
    return member.place.fallback_a if trunk.line.sent is None and trunk.line.accepted is None else 0.0


def _whole_place(station_id: str, places: list[Place]) -> Place:
    """A place that stands for the station: its EVSEs' phases, and what their floors and maxima make together."""
    phases = tuple(phase for phase in PHASES if any(phase in place.phases for place in places))
    floors = [sum(place.fallback_a for place in places if phase in place.phases) for phase in phases]
    config = places[0].config.model_copy(
        update={"max_current_a": sum(place.config.max_current_a for place in places), "fallback_a": min(floors), "v2g": None}
    )
    return Place(EvseKey(station_id, 0), config, places[0].model, places[0].circuit, places[0].path, phases)
