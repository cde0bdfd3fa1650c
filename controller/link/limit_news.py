"""What the CSMS hears of limits that are not its own: NotifyChargingLimit and ClearedChargingLimit (K11-K14, K24-K26).

The site says with every decision whether it holds an EVSE below what the CSMS allows
(``AnnounceLimit``). Here it becomes messages: only changes that matter, at a pace that floods
nobody, in the words of the version; 1.6 has none (traps 20, 21). Of what changes faster only the
newest is told. While the CSMS is away nothing is told and nothing is queued: when it is back it
hears the state as it is then. A limit that was told is cleared exactly once when it is over, also
after a restart of Yardmaster: what was told is kept on disk.

These messages wait in the line of the connection, behind everything else, never in the outbox of
transactions. One is on its way at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from controller.config import UpstreamConfig
from controller.facts import Fact, Stamp
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, LimitNotice, LimitSettings
from controller.orders import AnnounceLimit, Order, Persist, Severity, Tell

Outcome = Order | Fact
Payload = dict[str, Any]
Answered = Callable[[Stamp, "rpc.Result | rpc.Error | None"], list[Outcome]]
Offer = Callable[[Stamp, str, Payload, Answered], list[Outcome]]
"""Sends a CALL up behind all others; the callback gets the answer, None when it never came."""

SPACE: Final = "limit_news"
PACE_S: Final = 10.0
"""An EVSE's limit is not told more often than this."""
SMALLEST_A: Final = 0.5
"""Smaller changes are never told, whatever significance is configured: 0 % would flood (trap 20)."""
AGAIN_S: Final = 300.0
"""After an error of the CSMS the next try waits so long."""
FORGOTTEN_S: Final = 120.0
"""A limit told before a restart that the site does not name again within this time is over."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the CSMS has heard last of an EVSE: per phase [A]."""

    limit_a: float
    source: str
    critical: bool


class LimitNews:
    """One station's. phases: EVSE id -> number of its phases. upstream None: nobody to tell."""

    __slots__ = (
        "_due_mono_s",
        "_in_flight",
        "_offer",
        "_opened_mono_s",
        "_percent",
        "_phases",
        "_schedules",
        "_told",
        "_unsure",
        "_upstream",
        "_wanted",
        "dialect",
        "mute",
        "station_id",
    )

    def __init__(self, station_id: str, phases: Mapping[int, int], upstream: UpstreamConfig | None, offer: Offer) -> None:
        self.station_id = station_id
        self.dialect: Dialect | None = None
        self.mute = False
        """The CSMS has said that it does not know the message; until the next connection."""
        self._phases = phases
        self._offer = offer
        self._wanted: dict[int, AnnounceLimit] = {}
        self._told: dict[int, Told] = {}
        self._unsure: set[int] = set()  # sent, and perhaps not heard
        self._opened_mono_s = float("inf")
        self._due_mono_s: dict[int, float] = {}
        self._in_flight = False

        self._use(upstream)

    def _use(self, upstream: UpstreamConfig | None) -> None:
        self._upstream = upstream
        self._percent = upstream.limit_significance_percent if upstream is not None else 0.0
        self._schedules = upstream.notify_schedules if upstream is not None else False

    def rewire(self, upstream: UpstreamConfig | None) -> list[Outcome]:
        """Another CSMS, or none: it has been told nothing yet."""
        self._use(upstream)
        had = bool(self._told)
        self._told.clear()
        self._unsure.clear()
        return [self._remember()] if had else []

    # -- the journal's side -----------------------------------------------------------------------------

    def load(self, data: Any) -> None:
        """What was told before a restart; what cannot be read was not told."""
        for key, value in data.items() if isinstance(data, dict) else ():
            if key.isdecimal() and isinstance(value, dict):
                try:
                    told = Told(float(value["limit_a"]), str(value["source"]), bool(value["critical"]))
                except (KeyError, TypeError, ValueError):
                    continue
                self._told[int(key)] = told
                self._unsure.add(int(key))

    def _remember(self) -> Persist:
        told = {str(evse_id): asdict(told) for evse_id, told in self._told.items()}
        return Persist(0, remember={(SPACE, self.station_id): told or None})

    # -- what happens ---------------------------------------------------------------------------------------

    def announce(self, order: AnnounceLimit) -> None:
        """The site's newest word about an EVSE, or the station (evse_id 0); ``pump`` tells it."""
        if order.limit_a is None or (math.isfinite(order.limit_a) and order.limit_a >= 0):
            self._wanted[order.evse.evse_id] = order

    def settings(self, settings: LimitSettings) -> None:
        """The station's own settings win over the site file."""
        if settings.significance_percent is not None:
            self._percent = settings.significance_percent
        if settings.schedules is not None:
            self._schedules = settings.schedules

    def opened(self, at: Stamp) -> None:
        """The CSMS is back, or another one: what it cannot do may have changed."""
        self.mute = self._in_flight = False
        self._opened_mono_s = at.mono_s
        self._due_mono_s.clear()

    def closed(self) -> None:
        """The CSMS is away."""
        self._in_flight = False

    def pump(self, at: Stamp) -> list[Outcome]:
        """Tell what is due, if anything; call it when the CSMS is there, whenever time passes or something changed."""
        if self.mute or self._in_flight or self.dialect is None or self._upstream is None:
            return []
        for evse_id in sorted(self._wanted.keys() | self._told.keys()):
            if at.mono_s >= self._due_mono_s.get(evse_id, float("-inf")):
                call = self._call(at, evse_id)
                if call is not None:
                    return self._tell(at, evse_id, *call)
        return []

    # -- one EVSE -----------------------------------------------------------------------------------------------

    def _call(self, at: Stamp, evse_id: int) -> tuple[str, Payload, Told | None] | None:
        """(action, payload, what the CSMS then knows); None if nothing is to be said."""
        assert self.dialect is not None
        assert self._upstream is not None
        wanted, told = self._wanted.get(evse_id), self._told.get(evse_id)
        if wanted is None and at.mono_s - self._opened_mono_s < FORGOTTEN_S:
            return None  # told before a restart, and the site has not decided yet
        limit_a = wanted.limit_a if wanted is not None and self._upstream.notify_limits else None
        if told is not None and (wanted is None or limit_a is None or wanted.source != told.source):
            # The limit of one source is over before that of another is told: some CSMSs keep one for each.
            cleared = self.dialect.limit_cleared(evse_id, told.source)
            return (*cleared, None) if cleared is not None else None
        if wanted is None or limit_a is None or not self._is_news(evse_id, limit_a, wanted.critical):
            return None
        notice = LimitNotice(
            evse_id, limit_a, wanted.source, wanted.critical, self._schedules, self._phases.get(evse_id, 3), at.wall_s, wanted.until_wall_s
        )
        call = self.dialect.limit_notice(notice)
        return (*call, Told(limit_a, wanted.source, wanted.critical)) if call is not None else None

    def _is_news(self, evse_id: int, limit_a: float, critical: bool) -> bool:
        """LimitChangeSignificance: a part of the last one told (SC.03). To pause, or to end a pause, always matters."""
        told = self._told.get(evse_id)
        if told is None or evse_id in self._unsure or critical != told.critical or (limit_a == 0) != (told.limit_a == 0):
            return True
        change_a = abs(limit_a - told.limit_a)
        return change_a >= max(SMALLEST_A, told.limit_a * self._percent / 100.0)

    def _tell(self, at: Stamp, evse_id: int, action: str, payload: Payload, known: Told | None) -> list[Outcome]:
        def answered(now: Stamp, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
            return self._answered(now, evse_id, known, frame)

        self._in_flight = True
        before = self._told.get(evse_id)
        if known is not None:
            self._told[evse_id] = known
        self._unsure.add(evse_id)
        kept = [self._remember()] if self._told.get(evse_id) != before else []
        return [*kept, *self._offer(at, action, payload, answered)]

    def _answered(self, at: Stamp, evse_id: int, known: Told | None, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
        self._in_flight = False
        if frame is None:  # nobody knows whether it was heard: the state is told again
            return []
        self._unsure.discard(evse_id)
        if known is None or isinstance(frame, rpc.Error):
            self._told.pop(evse_id, None)
        if isinstance(frame, rpc.Error):
            return [self._remember(), *self._refused(at, evse_id, frame)]
        if known is not None:
            self._due_mono_s[evse_id] = at.mono_s + PACE_S
            return self.pump(at)
        return [self._remember(), *self.pump(at)]

    def _refused(self, at: Stamp, evse_id: int, frame: rpc.Error) -> list[Outcome]:
        assert self.dialect is not None
        if not self.dialect.unknown_action(frame.code):
            self._due_mono_s[evse_id] = at.mono_s + AGAIN_S
            return self.pump(at)
        self.mute = True
        text = f"the CSMS does not know NotifyChargingLimit ({frame.code}) - it is not told what the site holds back until it connects again"
        return [Tell(Severity.INFO, self.station_id, text)]
