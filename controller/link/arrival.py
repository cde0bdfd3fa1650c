"""The handshake of a station: which OCPP version it shall speak, before it is connected (OCPP-NOTES 3.4).

    arrived --dial with its whole offer--> CSMS chooses --> answered --> connected
                 \\-- away, no answer in time, no turn to dial: the version last agreed, else its first choice

The version is fixed in the 101 answer, when the upstream leg does not exist yet. So upstream is
dialled first where that is possible in time, and the station gets what the CSMS chose. Where it is
not, the station gets a version all the same and is served from here; a leg that opens later with
another version is closed and dialled anew with exactly the station's (trap 4, F29). What the CSMS
sends before the station is there is kept, bounded. A leg nobody comes for is hung up.

Where the CSMS does not speak what the station was given while it was away, the next dial offers everything the
station had offered: the session asks the station to connect again when it is sure that this helps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.facts import Fact, Stamp
from controller.link.upstream import State, UpstreamLink
from controller.ocpp.registry import dialects
from controller.orders import AnswerStation, CloseUpstream, Order, Severity, Tell

Outcome = Order | Fact

CONNECT_S = 5.0
"""How long a station whose handshake was answered may take to be connected [s]; then the leg is hung up."""
AWAY_KNOWN_S = 60.0
"""How long a failed dial counts as knowledge that the CSMS is away [s]."""
HALF_TICK_S = 0.5
TURN_SHARE = 3
"""Of the time a station may wait for the CSMS, one third is for its turn to dial, the rest for the CSMS to answer."""
FRAMES_KEPT = 64


@dataclass(slots=True)
class Visit:
    """One handshake. answered: the version the station was given, "" = it waits. since_mono_s: of the arrival or the answer."""

    ticket: int
    offered: tuple[str, ...]
    since_mono_s: float
    answered: str = ""


@dataclass(slots=True)
class Leg:
    """An upstream leg that opened before its station did. frames: what the CSMS has sent on it."""

    generation: int
    version: str
    frames: list[str] = field(default_factory=list)


class Arrival:
    """One station's way in. link: its upstream leg, None where it has no CSMS. hang_up: ends the leg, with a reason.

    dial_first_s: how long a handshake waits for the CSMS [s], 0 = not at all. hopeless: whether no
    dial could begin within so many seconds, as others wait for their turn already (F12).
    """

    __slots__ = ("_dial_first_s", "_failed_mono_s", "_hang_up", "_hopeless", "_leg", "_link", "_offered", "_station_id", "_visit", "agreed")

    def __init__(
        self,
        station_id: str,
        link: UpstreamLink | None,
        dial_first_s: float,
        hang_up: Callable[[str], list[Outcome]],
        hopeless: Callable[[Stamp, float], bool],
    ) -> None:
        self._station_id = station_id
        self._link = link
        self._dial_first_s = dial_first_s
        self._hang_up = hang_up
        self._hopeless = hopeless
        self._visit: Visit | None = None
        self._offered: tuple[str, ...] = ()
        self._leg: Leg | None = None
        self._failed_mono_s: float | None = None
        self.agreed = ""  # the version last spoken with this CSMS; the session keeps it on disk

    def rewire(self, link: UpstreamLink | None, dial_first_s: float) -> None:
        """The station has another CSMS from now on, or none; no handshake is under way."""
        self._link, self._dial_first_s = link, dial_first_s
        self._leg, self._failed_mono_s, self.agreed = None, None, ""

    @property
    def waiting(self) -> bool:
        """Whether a handshake has been told of and its station is not connected yet."""
        return self._visit is not None

    @property
    def choice(self) -> str | None:
        """The version a handshake was answered with, "" = it still waits; None = there is none under way."""
        return self._visit.answered if self._visit is not None else None

    def others(self, version: str) -> tuple[str, ...]:
        """What the connected station could speak as well as ``version``."""
        return tuple(offered for offered in self._offered if offered != version)

    def offer(self, version: str, others: tuple[str, ...] = ()) -> tuple[str, ...]:
        """What a dial shall offer. version: that of the station as it is connected or was last; others: what it may be asked to change to."""
        visit = self._visit
        if visit is None:
            return (version, *others)
        return (visit.answered,) if visit.answered else visit.offered

    # -- the station's side --------------------------------------------------------------------------

    def arrived(self, at: Stamp, ticket: int, offered: tuple[str, ...], open_version: str) -> list[Outcome]:
        """A station waits in its handshake. open_version: what the open leg speaks, "" if none is open."""
        outcomes = self._abandon("the station arrived anew") if self._visit is not None else []
        self._visit = Visit(ticket, offered, at.mono_s)
        link = self._link
        if link is None:
            return self._answer(at, offered[0])
        if link.is_open or link.state is State.DIALLING:
            if open_version in offered:
                return self._answer(at, open_version) if link.is_open else []
            outcomes += self._hang_up("the station offers another OCPP version now")
        if self._dial_first_s <= 0 or self.away(at) or self._hopeless(at, self._dial_first_s / TURN_SHARE):
            return outcomes + self._answer(at, self._fallback())
        link.want()
        return outcomes

    def left(self, ticket: int) -> list[Outcome]:
        """The station of this handshake is gone before it was connected."""
        if self._visit is None or self._visit.ticket != ticket:
            return []
        return self._abandon("the station left during its handshake")

    def connected(self) -> Leg | None:
        """The station is connected; the leg that is open for it already, if any."""
        self._offered = self._visit.offered if self._visit is not None else ()
        leg, self._leg, self._visit = self._leg, None, None
        return leg

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed: whoever waits for the CSMS does not wait longer than allowed."""
        visit = self._visit
        if visit is None:
            return []
        waited_s = at.mono_s - visit.since_mono_s
        if not visit.answered and waited_s >= self._dial_first_s - HALF_TICK_S:
            return self._answer(at, self._fallback())
        return self._abandon("the station did not come back from its handshake") if visit.answered and waited_s >= CONNECT_S else []

    def _abandon(self, reason: str) -> list[Outcome]:
        self._visit = self._leg = None
        link = self._link
        return self._hang_up(reason) if link is not None and link.state is not State.IDLE else []

    # -- the CSMS's side -------------------------------------------------------------------------------

    def opened(self, at: Stamp, generation: int, version: str) -> list[Outcome] | None:
        """The leg is open; None if it is not a waiting handshake's business."""
        visit, link = self._visit, self._link
        if visit is None or link is None or not self._is_dialling(generation):
            self._failed_mono_s = None
            return None
        self._failed_mono_s = None
        if version not in ((visit.answered,) if visit.answered else visit.offered):
            return self.mismatch(generation, visit.answered or " or ".join(visit.offered), version)
        self._leg, self.agreed = Leg(generation, version), version
        return [] if visit.answered else self._answer(at, version)

    def mismatch(self, generation: int, ours: str, theirs: str) -> list[Outcome]:
        """The CSMS speaks another version on this leg than the station does: close it, dial with the station's (trap 4, F29)."""
        assert self._link is not None
        text = f"the CSMS opened with {theirs}, the station speaks {ours} - the connection is closed and dialled anew with {ours} only"
        self._link.release()
        self._link.want()
        return [
            CloseUpstream(self._station_id, generation, f"station speaks {ours}, not {theirs}"[:120]),
            Tell(Severity.WARNING, self._station_id, text),
        ]

    def closed(self, at: Stamp, generation: int, reason: str, no_common_version: bool) -> list[Outcome] | None:
        """The leg closed or its dial failed; None if it is not a waiting handshake's business."""
        link = self._link
        if link is None or generation != link.generation or link.state in (State.IDLE, State.WAITING):
            return None if self._visit is None else []
        self._failed_mono_s = at.mono_s
        visit = self._visit
        if visit is None or link.is_open:
            return None
        self._leg = None
        if no_common_version and not visit.answered:
            return self._no_common_version(visit)
        link.closed(generation, at.mono_s, reason)
        return [] if visit.answered else self._answer(at, self._fallback())

    def _no_common_version(self, visit: Visit) -> list[Outcome]:
        assert self._link is not None
        self._visit, self._failed_mono_s = None, None
        self._link.release()
        offered, spoken = ", ".join(visit.offered), ", ".join(sorted(dialects()))
        text = (
            f"no common OCPP version: the station offers {offered}, the CSMS agrees to none of them - its connection is ended;"
            f" set station or CSMS to one of {spoken}"
        )
        return [AnswerStation(self._station_id, visit.ticket, None), Tell(Severity.WARNING, self._station_id, text)]

    def keep(self, generation: int, text: str) -> list[Outcome] | None:
        """A frame of the CSMS for a station that is not connected yet; None if its leg is not held here."""
        leg = self._leg
        if leg is None or leg.generation != generation:
            return None
        if len(leg.frames) < FRAMES_KEPT:
            leg.frames.append(text)
            return []
        self._leg = None
        told = Tell(Severity.WARNING, self._station_id, "the CSMS sent too many messages before the station was connected - connection closed")
        return [*self._hang_up("too many messages before the station is connected"), told]

    # -- small things --------------------------------------------------------------------------------------

    def _answer(self, at: Stamp, version: str) -> list[Outcome]:
        assert self._visit is not None
        self._visit.answered, self._visit.since_mono_s = version, at.mono_s
        return [AnswerStation(self._station_id, self._visit.ticket, version)]

    def _fallback(self) -> str:
        assert self._visit is not None
        return self.agreed if self.agreed in self._visit.offered else self._visit.offered[0]

    def away(self, at: Stamp) -> bool:
        """Whether the CSMS is known to be away: the last dial or leg failed, and that was lately."""
        return self._failed_mono_s is not None and at.mono_s - self._failed_mono_s < AWAY_KNOWN_S

    def _is_dialling(self, generation: int) -> bool:
        return self._link is not None and self._link.generation == generation and self._link.state is State.DIALLING

    def load(self, agreed: Any) -> None:
        """The version last agreed, as the journal remembered it."""
        self.agreed = agreed if isinstance(agreed, str) else ""
