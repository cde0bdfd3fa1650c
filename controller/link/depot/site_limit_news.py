"""What the CSMS hears of limits of the whole site that are not its own: NotifyChargingLimit and ClearedChargingLimit for EVSE 0 (K11-K14).

As ``link.limit_news`` does for each charger: changes that matter only (SC.03, trap 20), at a pace that floods nobody, in order, and one
that was told is cleared exactly once when it is over, also after a restart (trap 21). The main fuse is no news: it is
the station's rating. While the CSMS is away nothing is told; when it is back it hears the state as it is then.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Final

from controller.link.depot.office import Office, Quiet
from controller.ocpp.dialect import Dialect, LimitNotice
from controller.ocpp.hub import Ask, Conversation, Failed, Keep, Reply, Said, Step
from controller.ocpp.registry import dialect_for
from controller.orders import AnnounceSite

KEY: Final = "site:limit_news"
HUB_VERSION: Final = "ocpp2.1"
PACE_S: Final = 10.0
"""A limit is not told more often than this [s]."""
SMALLEST_A: Final = 0.5
"""Smaller changes are never told, whatever significance is configured."""
AGAIN_S: Final = 300.0
"""After an error of the CSMS the next try waits so long [s]."""
UNKNOWN: Final = ("NotSupported", "NotImplemented")
Asking = Generator[Step, "Reply | None", Reply | None]


class SiteLimitNews(Quiet):
    """The part. It remembers {"limit_a", "source"} of what the CSMS was told last."""

    def __init__(self, office: Office) -> None:
        self._office, self._memory = office, office.memory
        self._telling = self._mute = False
        self._sure = False
        self._due_mono_s = float("-inf")

    def opened(self) -> list[Conversation]:
        """The CSMS is back, or another one: it hears the state once more."""
        self._mute = self._sure = False
        self._due_mono_s = float("-inf")
        return []

    def tick(self) -> list[Conversation]:
        """Tell what is due."""
        office = self._office
        ready = office.accepted and office.csms_version and office.site is not None and not self._mute
        if not ready or self._telling or office.now().mono_s < self._due_mono_s:
            return []
        wanted, told = self._wanted(), self._memory.get(KEY)
        if not self._is_news(wanted, told):
            return []
        self._telling = True
        return [self._tell(wanted, told)]

    def _wanted(self) -> AnnounceSite | None:
        """The site's word if something but the CSMS and the fuse holds it; None = nothing does."""
        site = self._office.site
        held = site is not None and site.limit_notified != "" and self._office.upstream.notify_limits and math.isfinite(site.limit_a)
        return site if held else None

    def _is_news(self, wanted: AnnounceSite | None, told: Any) -> bool:
        if wanted is None or not isinstance(told, dict):
            return (wanted is None) != (not isinstance(told, dict))
        if not self._sure or told["source"] != wanted.limit_notified or (wanted.limit_a == 0) != (told["limit_a"] == 0):
            return True
        part = self._office.upstream.limit_significance_percent / 100.0
        return bool(abs(wanted.limit_a - told["limit_a"]) >= max(SMALLEST_A, told["limit_a"] * part))

    def _tell(self, wanted: AnnounceSite | None, told: Any) -> Conversation:
        """The limit of one source is over before that of another is told."""
        try:
            if isinstance(told, dict) and (wanted is None or told["source"] != wanted.limit_notified):
                reply = yield from self._ask(_dialect().limit_cleared(0, told["source"]))
                if not self._heard(reply):
                    return Said({})
                yield from self._remember(None)
            if wanted is not None:
                yield from self._remember({"limit_a": wanted.limit_a, "source": wanted.limit_notified})  # before it is said: it must be cleared
                self._sure = False
                reply = yield from self._ask(_dialect().limit_notice(self._notice(wanted)))
                self._sure = self._heard(reply)
        finally:
            self._telling = False
        return Said({})

    def _ask(self, call: tuple[str, dict[str, Any]] | None) -> Asking:
        if call is None:
            return None
        return (yield Ask(*call))

    def _remember(self, told: dict[str, Any] | None) -> Generator[Step, Reply | None, None]:
        self._memory.put(KEY, told)
        yield Keep()

    def _heard(self, reply: Reply | None) -> bool:
        """Whether the CSMS has it; sets when the next word is due."""
        now_mono_s = self._office.now().mono_s
        if isinstance(reply, Failed):
            self._mute = reply.code in UNKNOWN
            self._due_mono_s = now_mono_s + (AGAIN_S if self._office.csms_version else PACE_S)
            return False
        self._due_mono_s = now_mono_s + PACE_S
        return True

    def _notice(self, site: AnnounceSite) -> LimitNotice:
        upstream, now = self._office.upstream, self._office.now()
        critical = site.limit_notified == "SO"
        phases = self._office.config.grid.phases
        return LimitNotice(0, site.limit_a, site.limit_notified, critical, upstream.notify_schedules, phases, now.wall_s, site.limit_until_wall_s)


def _dialect() -> Dialect:
    found = dialect_for(HUB_VERSION)
    assert found is not None
    return found
