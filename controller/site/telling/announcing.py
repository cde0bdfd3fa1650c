"""Announcing: the operator's CSMS is told where the site holds a charger below what it allows (K11-K14, K24-K26).

Orders only on change, and one when the site lets go; how much of that is worth a message is the link's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from controller.facts import EvseKey
from controller.orders import AnnounceLimit, Order
from controller.site.sharing.arbiter import EPS, Grant
from controller.site.state import EvseState

SITE_SOURCES: Final = ("EMS", "SO")
GRID: Final = "SO"
CHANGED_A: Final = 0.05
"""Smaller changes are none [A]."""


class Announcer:
    """Remembers per EVSE what was last announced: limit [A] and source."""

    def __init__(self) -> None:
        self._told: dict[EvseKey, tuple[float, str]] = {}

    def look(self, grants: Iterable[Grant], evses: Mapping[EvseKey, EvseState], wall_s: float) -> list[Order]:
        """Announcements for these grants."""
        orders: list[Order] = []
        for grant in grants:
            if grant.source in SITE_SOURCES and grant.limit_a < _allowed_a(evses[grant.key], wall_s) - EPS:
                orders += self._held(grant)
            else:
                orders += self.released(grant.key)
        return orders

    def _held(self, grant: Grant) -> list[Order]:
        before = self._told.get(grant.key)
        if before is not None and before[1] == grant.source and abs(before[0] - grant.limit_a) < CHANGED_A:
            return []
        self._told[grant.key] = (grant.limit_a, grant.source)
        return [AnnounceLimit(grant.key, grant.limit_a, grant.source, grant.reason, grant.source == GRID, grant.ends_wall_s)]

    def released(self, key: EvseKey) -> list[Order]:
        """The site holds nothing back any more, or the session is over."""
        before = self._told.pop(key, None)
        return [AnnounceLimit(key, None, before[1], "released")] if before is not None else []


def _allowed_a(evse: EvseState, wall_s: float) -> float:
    """What everybody but the site would let it have [A]."""
    bounds = [evse.place.config.max_current_a, evse.wish_now(wall_s), evse.session.car_max_a if evse.session is not None else None]
    return min(amps for amps in bounds if amps is not None)
