"""What follows from a session: a car comes, says what it needs and who drives it, pauses, and goes.

A session that began or ended asks for a new plan and a decision; what a restart must not forget of it is written down.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from controller.facts import ChargingState, DriverKnown, EvseKey, EvseMeasured, NeedsAnnounced, NeedStated, ScheduleAnnounced, SessionChanged
from controller.orders import Order, Persist
from controller.site import state
from controller.site.reactions import Handlers
from controller.site.session_memory import session_memory, session_recalled
from controller.site.state import EvseState

if TYPE_CHECKING:
    from controller.site.site import Site

SPACE = "session"
"""Where the journal keeps running sessions, by EVSE."""
SUSPENDED = (ChargingState.SUSPENDED_EV, ChargingState.SUSPENDED_EVSE)


def remember(evse: EvseState) -> Order:
    """What a restart must not forget of an EVSE's session."""
    return Persist(0, remember={(SPACE, str(evse.place.key)): session_memory(evse.session) if evse.session else None})


class OnSessions:
    """Reactions to sessions. Keeps what came too early: memories until their session is told, drivers likewise."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._memories: dict[str, Any] = {}
        self._drivers: dict[EvseKey, DriverKnown] = {}

    def handlers(self) -> Handlers:
        """By type of fact."""
        return {
            SessionChanged: self._session_changed,
            NeedsAnnounced: self._needs_announced,
            NeedStated: self._need_stated,
            DriverKnown: self._driver_known,
            ScheduleAnnounced: self._schedule_announced,
        }

    def recall(self, name: str, memory: Any) -> None:
        """The journal knows a session. name: of its EVSE, as ``str(EvseKey)``."""
        self._memories[name] = memory

    def _session_changed(self, fact: SessionChanged) -> list[Order]:
        evses = self._site.evses
        evse = evses.get(fact.evse)
        if evse is None or not fact.live:
            return []
        before, after = evse.session, state.session_changed(evse, fact)
        evses[fact.evse] = after
        if before is not None and after.session is None:
            return self._over(fact, evse)
        if after.session is None:
            return []
        if before is not None and before.transaction_id == after.session.transaction_id:
            return self._suspended(fact, before.charging_state)
        orders = self._over(fact, evse) if before is not None else []
        return [*orders, *self._begun(fact, after)]

    def _suspended(self, fact: SessionChanged, before: ChargingState | None) -> list[Order]:
        """A station that tells the pause of a car has told its current too: the last meter value is older (1.6 tells no new one)."""
        state_now, told_a = fact.charging_state, self._site.evses[fact.evse].drawn_a
        if state_now is before or state_now not in SUSPENDED or not told_a:
            return []
        return self._site.on_readings.evse_measured(EvseMeasured(fact.at, fact.evse, (0.0, 0.0, 0.0), power_w=0.0))

    def _begun(self, fact: SessionChanged, evse: EvseState) -> list[Order]:
        assert evse.session is not None
        evses = self._site.evses
        memory = self._memories.pop(str(fact.evse), None)
        if isinstance(memory, dict):
            session = session_recalled(evse.session, memory, fact.at, fact.evse)
            evses[fact.evse] = replace(evse, session=session)
        driver = self._drivers.pop(fact.evse, None)
        if driver is not None:
            evses[fact.evse] = state.driver_known(evses[fact.evse], driver)
        self._site.planner.ask()
        return [remember(evses[fact.evse]), *self._site.deciding.control(fact.at)]

    def _over(self, fact: SessionChanged, before: EvseState) -> list[Order]:
        site, key = self._site, fact.evse
        ended = site.actuator.session_ended(key, fact.at.mono_s)
        site.proof.left(before, fact.at.mono_s)
        site.meters.above.forget(key)
        site.deciding.forget(key)
        orders: list[Order] = [Persist(0, remember={(SPACE, str(key)): None}), site.reporter.session_point(before, fact.at)]
        orders += site.history.finished(before, fact.at, site.layout.voltage_v)
        if before.session is not None:
            site.explained.charged(before.session.started_wall_s, before.session.charged_wh, fact.at)
        orders += [*ended, *site.oversight.session_over(key), *site.deciding.announcer.released(key)]
        site.planner.ask()
        return [*orders, *site.deciding.control(fact.at)]

    def _needs_announced(self, fact: NeedsAnnounced) -> list[Order]:
        evse = self._site.evses.get(fact.evse)
        return self._needing(state.need_announced(evse, fact)) if evse is not None and evse.session is not None else []

    def _need_stated(self, fact: NeedStated) -> list[Order]:
        evse = self._site.evses.get(fact.evse)
        return self._needing(state.need_stated(evse, fact)) if evse is not None and evse.session is not None else []

    def _needing(self, evse: EvseState) -> list[Order]:
        """The need of a session has changed: the next plan counts with it."""
        self._site.evses[evse.place.key] = evse
        self._site.planner.ask()
        return [remember(evse)]

    def _driver_known(self, fact: DriverKnown) -> list[Order]:
        evse = self._site.evses.get(fact.evse)
        if evse is None:
            return []
        if evse.session is None or evse.session.transaction_id != fact.transaction_id:
            self._drivers[fact.evse] = fact  # the link may know the driver before the session is told
            return []
        return [*self._needing(state.driver_known(evse, fact)), *self._site.deciding.control(fact.at)]

    def _schedule_announced(self, fact: ScheduleAnnounced) -> list[Order]:
        evse = self._site.evses.get(fact.evse)
        if evse is None or evse.session is None:
            return []
        self._site.evses[fact.evse] = state.schedule_announced(evse, fact)
        return self._site.deciding.control(fact.at)
