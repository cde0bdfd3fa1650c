"""Values of the CSMS's Dynamic profiles, pulled in the station's stead (K28.FR.10, OCPP-NOTES 5.6).

A Dynamic profile with dynUpdateInterval wants to be asked for so long after its last update. One
question is on its way at a time; none while the CSMS is away: then the profile's own duration, its
watchdog, decides when it ends (K28.FR.13).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.facts import Fact, Stamp
from controller.link.owed import Done
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, Payload
from controller.ocpp.schedule import Profile
from controller.orders import Order

Outcome = Order | Fact
Ask = Callable[[Stamp, str, Payload, Done], list[Outcome]]
Pulled = Callable[[Stamp, int, Payload], list[Outcome]]
"""(now, profile id, new values) -> what follows."""
SHORTEST_S: Final = 2.0
"""However short the interval: a question a second would be a flood from a large site."""


class Pulls:
    """One station's. ask: sends a CALL up; pulled: takes the new values."""

    __slots__ = ("_ask", "_asked_mono_s", "_in_flight", "_mute", "_pulled")

    def __init__(self, ask: Ask, pulled: Pulled) -> None:
        self._ask = ask
        self._pulled = pulled
        self._asked_mono_s: dict[int, float] = {}
        self._in_flight = False
        self._mute = False

    def upstream_changed(self) -> None:
        """The CSMS is back, or gone: an answer that did not come will not come any more."""
        self._in_flight = self._mute = False
        self._asked_mono_s.clear()

    def tick(self, at: Stamp, profiles: list[Profile], dialect: Dialect) -> list[Outcome]:
        """A second has passed, and the CSMS is there."""
        if self._in_flight or self._mute:
            return []
        due = next((profile for profile in profiles if self._is_due(at, profile)), None)
        call = dialect.pull_update(due.profile_id) if due is not None else None
        if due is None or call is None:
            return []
        self._asked_mono_s = {key: asked for key, asked in self._asked_mono_s.items() if any(key == one.profile_id for one in profiles)}
        self._asked_mono_s[due.profile_id] = at.mono_s
        self._in_flight = True
        profile_id = due.profile_id
        return self._ask(at, *call, lambda now, frame: self._answered(now, profile_id, frame, dialect))

    def _is_due(self, at: Stamp, profile: Profile) -> bool:
        interval_s = max(profile.update_interval_s or 0.0, SHORTEST_S)
        asked_mono_s = self._asked_mono_s.get(profile.profile_id)
        if asked_mono_s is not None and at.mono_s - asked_mono_s < interval_s / at.wall_speed:
            return False
        return profile.updated_wall_s is None or not at.wall_trusted or abs(at.wall_s - profile.updated_wall_s) >= interval_s

    def _answered(self, at: Stamp, profile_id: int, frame: rpc.Result | rpc.Error | None, dialect: Dialect) -> list[Outcome]:
        self._in_flight = False
        if isinstance(frame, rpc.Error):
            self._mute = dialect.unknown_action(frame.code)
        values = dialect.pulled_values(frame.payload) if isinstance(frame, rpc.Result) else None
        return self._pulled(at, profile_id, values) if values is not None else []
