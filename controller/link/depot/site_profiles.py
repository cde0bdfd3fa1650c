"""The CSMS's charging profiles for the whole site: EVSE 0 of a depot face.

A ChargingStationMaxProfile bounds the sum of all chargers (K01, SC.01); LocalGeneration adds to that sum (K27). A TxDefaultProfile of
EVSE 0 with CentralSetpoint or CentralFrequency says what all chargers together shall take or give (2.1); any other one is meant for
each EVSE, which is ``depot.profiles``' business, like everything of EVSE 1 and up. Judged and kept as at any station (``profile_view``),
durable before Accepted, and told to the site as one composite (``SiteWished``) whenever that changes.

``depot.profiles`` answers the CALLs of the CSMS and asks here for what is the site's:

    if site.takes(message.payload): return (yield from site.set(message))
    site.has(profile_id)            yield from site.update(message)         yield from site.clear(message.payload)
    site.select(message.payload)    yield from site.composite(message)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo

from controller.facts import LimitStep, SiteWished, Stamp
from controller.link.depot.office import Office, Quiet
from controller.link.profile_view import ProfileView
from controller.link.steps import lowest, total
from controller.ocpp.dialect import Dialect
from controller.ocpp.hub import Ask, AskAll, Conversation, Emit, Keep, Message, Payload, Reply, Said, Step
from controller.ocpp.profile_support import check_modes
from controller.ocpp.registry import dialect_for
from controller.ocpp.schedule import Kind, Mode, Profile, ProfileError, Purpose, composite, explain_at, on_phases, without_calendar

HUB_VERSION: Final = "ocpp2.1"
REPLACING: Final = "ocpp1.6"
"""In this version a profile silently replaces another of its purpose and stack level (16 5.16.3)."""
KEY: Final = "site:profiles"
HORIZON_S: Final = 86_400.0
AGAIN_S: Final = 900.0
JUMP_S: Final = 5.0
WITHIN_S: Final = 10.0
"""Chargers have so long to say what they expect to draw [s]."""
SUMMED: Final = ("CentralSetpoint", "CentralFrequency")
REFUSED: Final[dict[str, str]] = {
    "SetChargingProfile": "InvalidOperationMode: a setpoint for the site where no EVSE has a v2g block, and LocalFrequency anywhere",
}


class SiteProfiles(Quiet):
    """The part. See the module for what ``depot.profiles`` asks."""

    def __init__(self, office: Office) -> None:
        self._office, self._memory = office, office.memory
        self._view = ProfileView(office.identity, ())
        self._read: Any = None
        self._told: Any = ((), "")
        self._due_mono_s = float("-inf")
        self._away_since_wall_s: float | None = None
        self._clock: Stamp | None = None
        self._pulled_mono_s: dict[int, float] = {}
        self._timezone = ZoneInfo(office.config.site.timezone)

    # -- SetChargingProfile and UpdateDynamicSchedule ------------------------------------------------------

    def takes(self, payload: Payload) -> bool:
        """Whether a SetChargingProfile is for the site itself, not for each or one of its EVSEs."""
        profile = payload.get("chargingProfile")
        if payload.get("evseId") != 0 or not isinstance(profile, dict):
            return False
        purpose = profile.get("chargingProfilePurpose")
        if purpose in ("ChargingStationMaxProfile", "ChargingStationExternalConstraints", "LocalGeneration"):
            return True
        return purpose == "TxDefaultProfile" and any(period.get("operationMode") in SUMMED for period in _periods(profile))

    def has(self, profile_id: Any) -> bool:
        """Whether a profile of this id is kept here."""
        self._refresh()
        return isinstance(profile_id, int) and self._view.find(profile_id) is not None

    def set(self, message: Message) -> Conversation:
        """SetChargingProfile for which ``takes`` is true: judged, on disk, told to the site, answered."""
        self._refresh()
        now, dialect = self._office.now(), _dialect()
        try:
            evse_id, profile = dialect.read_set_profile(message.payload)
            check_modes(profile, SUMMED if self._may_give() else ())
            dated = replace(profile, updated_wall_s=now.wall_s) if profile.kind is Kind.DYNAMIC else profile
            past_wall_s = now.wall_s if now.wall_trusted else float("-inf")
            self._view.set(evse_id, dated, {}, past_wall_s, self._office.csms_version == REPLACING)
        except ProfileError as error:
            return Said(dialect.rejected_profile(error))
        yield from self._kept()
        return Said({"status": "Accepted"})

    def update(self, message: Message) -> Conversation:
        """UpdateDynamicSchedule of a profile that is kept here (K28)."""
        self._refresh()
        try:
            profile_id, values = _dialect().read_update(message.payload)
            self._renew(profile_id, values)
        except ProfileError as error:
            return Said(_dialect().rejected_profile(error))
        yield from self._kept()
        return Said({"status": "Accepted"})

    def _renew(self, profile_id: int, values: Payload) -> None:
        found = self._view.find(profile_id)
        if found is None:
            raise ProfileError("InvalidProfile", f"profile {profile_id} is not here (K28.FR.11)")
        self._view.update(_dialect().updated_profile(found[1], found[0], values, self._office.now().wall_s))

    def _may_give(self) -> bool:
        return any(evse.v2g is not None for card in self._office.cards.values() if card.config is not None for evse in card.config.evses)

    # -- ClearChargingProfile, GetChargingProfiles --------------------------------------------------------------

    def clear(self, payload: Payload) -> Generator[Step, Reply | None, int]:
        """ClearChargingProfile: forget what it names here; how many they were (K10)."""
        self._refresh()
        count = self._view.clear(_dialect().read_criteria("ClearChargingProfile", payload))
        if count:
            yield from self._kept()
        return count

    def forget(self, profile_id: int) -> Generator[Step, Reply | None, None]:
        """A profile of this id stands elsewhere from now on: one id is one profile (K01.FR.05)."""
        yield from self.clear({"chargingProfileId": profile_id})

    def select(self, payload: Payload) -> list[Payload]:
        """ReportChargingProfiles for a GetChargingProfiles, of what is kept here; all with tbc as if nothing else followed (K09)."""
        self._refresh()
        found = self._view.select(_dialect().read_criteria("GetChargingProfiles", payload))
        return _dialect().report_profiles(payload, found) if found else []

    # -- GetCompositeSchedule ----------------------------------------------------------------------------------------

    def composite(self, message: Message) -> Conversation:
        """GetCompositeSchedule of EVSE 0: what the chargers expect in sum, within the CSMS's wish and what the site allows (K08)."""
        self._refresh()
        dialect = _dialect()
        try:
            request = dialect.read_composite(message.payload)
        except ProfileError as error:
            return Said(dialect.rejected_profile(error))
        cards = self._office.linked()
        asked = {"evseId": 0, "duration": request.duration_s, "chargingRateUnit": "A"}
        asks = AskAll(tuple(Ask("GetCompositeSchedule", asked, to=card.station_id) for card in cards), WITHIN_S)
        if cards:
            yield asks
        at, grid = self._office.now(), self._office.config.grid
        layers = [self._absent_a(at)]
        for reply in asks.replies:
            payload = reply.payload if isinstance(reply, Said) else {}
            layers.append(dialect.read_back_steps(payload, at, request.duration_s, grid.voltage_v, grid.phases) or (LimitStep(at.wall_s, None),))
        site = self._office.site
        caps = [total(layers)] if layers else []
        caps += [(LimitStep(at.wall_s, site.limit_a),)] if site is not None else []
        steps = lowest(self._steps(at, request.duration_s), *caps)
        return Said(dialect.write_composite(request, at, steps, grid.voltage_v, grid.phases))

    def _absent_a(self, at: Stamp) -> tuple[LimitStep, ...]:
        """Chargers that cannot be asked charge with their fallback at most."""
        away = [card.config for card in self._office.cards.values() if card.config is not None and not card.linked]
        return (LimitStep(at.wall_s, sum(evse.fallback_a for config in away for evse in config.evses)),)

    # -- what it means -----------------------------------------------------------------------------------------------

    def _profiles(self, at: Stamp) -> list[Profile]:
        """All of them, as they count now."""
        placed = self._view.select(_dialect().read_criteria("GetChargingProfiles", {"chargingProfile": {}}))
        grid = self._office.config.grid
        found = [on_phases(profile, grid.phases) for _, profile in placed]
        return found if at.wall_trusted else [without_calendar(profile, grid.voltage_v) for profile in found]

    def _around(self) -> dict[str, Any]:
        return {"offline_since_wall_s": self._away_since_wall_s, "timezone": self._timezone}

    def _steps(self, at: Stamp, horizon_s: float) -> tuple[LimitStep, ...]:
        volts = self._office.config.grid.voltage_v
        return composite(self._profiles(at), at.wall_s, at.wall_s + horizon_s, None, volts, totals=True, **self._around())

    def _reason(self, at: Stamp) -> str:
        layers = explain_at(self._profiles(at), at.wall_s, None, self._office.config.grid.voltage_v, **self._around())
        found = [layer for layer in layers if layer.binding] or [layer for layer in layers if layer.counts and layer.said.mode]
        ids = [layer.profile.profile_id for layer in found if layer.purpose is not Purpose.EXTERNAL]
        what = "setpoint" if found and found[0].said.mode in (Mode.CENTRAL_SETPOINT, Mode.CENTRAL_FREQUENCY) else "limit"
        return f"CSMS {what} for the site" + (f" (profile {ids[0]})" if ids else "")

    def _news(self, at: Stamp) -> Iterator[SiteWished]:
        """The composite, if it says something else than last time."""
        self._due_mono_s = at.mono_s + AGAIN_S / at.wall_speed
        steps = self._steps(at, HORIZON_S) if len(self._view) else ()
        if all(replace(step, start_wall_s=0.0) == LimitStep(0.0, None) for step in steps):
            steps = ()
        reason = self._reason(at) if steps else ""
        said = (tuple(replace(step, start_wall_s=step.start_wall_s if number else 0.0) for number, step in enumerate(steps)), reason)
        if said != self._told:
            self._told = said
            yield SiteWished(at, self._office.identity, steps, reason)

    # -- disk -------------------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """The view as the memory has it: after a restart, or when the disk has refused."""
        kept = self._memory.get(KEY)
        if kept is self._read:
            return
        self._read = kept
        self._view.load((kept or {}).get("profiles", []))
        since = (kept or {}).get("away_since_wall_s")
        self._away_since_wall_s = float(since) if isinstance(since, int | float) else None
        self._due_mono_s = float("-inf")

    def _put(self) -> None:
        kept = {"profiles": self._view.dump(), "away_since_wall_s": self._away_since_wall_s}
        self._memory.put(KEY, kept if len(self._view) else None)
        self._read = self._memory.get(KEY)

    def _kept(self) -> Generator[Step, Reply | None, None]:
        """On disk and told to the site, or as it was."""
        before = self._memory.get(KEY)
        self._put()
        try:
            yield Keep()
        except GeneratorExit:
            self._memory.put(KEY, before)
            raise
        for fact in self._news(self._office.now()):
            yield Emit(fact)

    # -- time ---------------------------------------------------------------------------------------------------------------

    def tick(self) -> list[Conversation]:
        """The horizon rolls on, the CSMS comes and goes, Dynamic profiles are pulled."""
        self._refresh()
        at = self._office.now()
        if not len(self._view):
            return [self._tell()] if self._told != ((), "") else []
        changed = self._look_at_clock(at) or self._look_at_csms(at)
        if changed or at.mono_s >= self._due_mono_s:
            if at.wall_trusted and self._view.drop_dead(at.wall_s, self._away_since_wall_s):
                changed = True
            return [self._store() if changed else self._tell(), *self._pulls(at)]
        return self._pulls(at)

    def _tell(self) -> Conversation:
        for fact in self._news(self._office.now()):
            yield Emit(fact)
        return Said({})

    def _store(self) -> Conversation:
        yield from self._kept()
        return Said({})

    def _look_at_clock(self, at: Stamp) -> bool:
        """After a jump of the clock everything is told anew, and spans stay as long as they were (F77)."""
        before, self._clock = self._clock, at
        moved_s = at.wall_s - before.wall_in(at.mono_s - before.mono_s) if before is not None else 0.0
        if before is None or (abs(moved_s) <= JUMP_S and at.wall_trusted == before.wall_trusted):
            return False
        self._due_mono_s = float("-inf")
        return self._view.clock_moved(at.wall_s, moved_s)

    def _look_at_csms(self, at: Stamp) -> bool:
        """Some profiles end after a while without the CSMS (K01.FR.101-103)."""
        here = bool(self._office.csms_version)
        if here == (self._away_since_wall_s is None):
            return False
        if not here or not at.wall_trusted:
            self._away_since_wall_s = None if here else at.wall_s
            return self._view.minds_absence()
        self._view.drop_dead(at.wall_s, self._away_since_wall_s)
        self._away_since_wall_s = None
        return self._view.minds_absence()

    def _pulls(self, at: Stamp) -> list[Conversation]:
        """Dynamic profiles whose interval is over ask the CSMS for new values (K28.FR.10)."""
        due: list[Conversation] = []
        for profile in self._view.dynamic() if self._office.accepted and self._office.csms_version == HUB_VERSION else ():
            asked_mono_s = self._pulled_mono_s.setdefault(profile.profile_id, at.mono_s)
            if at.mono_s - asked_mono_s >= (profile.update_interval_s or 0.0):
                self._pulled_mono_s[profile.profile_id] = at.mono_s
                due.append(self._pull(profile.profile_id))
        return due

    def _pull(self, profile_id: int) -> Conversation:
        reply = yield Ask("PullDynamicScheduleUpdate", {"chargingProfileId": profile_id})
        values = _dialect().pulled_values(reply.payload) if isinstance(reply, Said) else None
        if values is not None and self.has(profile_id):
            try:
                self._renew(profile_id, values)
            except ProfileError:
                return Said({})
            yield from self._kept()
        return Said({})


def _periods(profile: Payload) -> Iterator[Payload]:
    for schedule in profile.get("chargingSchedule") or ():
        for period in schedule.get("chargingSchedulePeriod") or () if isinstance(schedule, dict) else ():
            if isinstance(period, dict):
                yield period


def _dialect() -> Dialect:
    """Hub words are those of 2.1."""
    found = dialect_for(HUB_VERSION)
    assert found is not None
    return found
