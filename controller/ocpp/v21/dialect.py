"""OCPP 2.1: only what differs from the rest of the 2.x family."""

from __future__ import annotations

from collections.abc import Sequence

from controller.facts import Fact, Stamp
from controller.ocpp.dialect import Payload, TokenLookup
from controller.ocpp.schedule import Profile
from controller.ocpp.v2 import refusals
from controller.ocpp.v2.dialect import Dialect2
from controller.ocpp.v2.profiles import report_profiles
from controller.ocpp.v21 import answers, observe, profiles


class Dialect21(Dialect2):
    """Stateless. See ``controller.ocpp.dialect.Dialect`` for what each function promises."""

    subprotocol = "ocpp2.1"
    version = "2.1"

    def observe(self, at: Stamp, station_id: str, action: str, payload: Payload, evse_hint: int = 0) -> list[Fact]:
        """As in 2.0.1, and the needs of ISO 15118-20 cars."""
        facts = super().observe(at, station_id, action, payload, evse_hint)
        return observe.with_v2x(facts, payload) if action == "NotifyEVChargingNeeds" else facts

    def answer(self, at: Stamp, action: str, payload: Payload, known: TokenLookup) -> Payload | None:
        """The version's own answer, else that of 2.0.1."""
        about_profile = self.own_profile_call(action, payload)
        if about_profile is not None:
            return about_profile
        own = answers.answer(at, action, payload)
        return own if own is not None else super().answer(at, action, payload, known)

    def refuse(self, action: str, payload: Payload) -> Payload | None:
        """The action's own valid "no"."""
        return refusals.refuse(answers.REFUSALS_21, action, payload)

    def read_set_profile(self, payload: Payload, in_start: bool = False) -> tuple[int, Profile]:
        """(evse_id, profile). Raises ProfileError."""
        return profiles.read_set_profile(payload, in_start=in_start)

    def report_profiles(self, request: Payload, found: Sequence[tuple[int, Profile]]) -> list[Payload]:
        """ReportChargingProfiles with what 2.1 adds (K09)."""
        return report_profiles(request, found, profiles.PROFILE_EXTRAS, profiles.SCHEDULE_EXTRAS)

    def clear_foreign(self, evse_id: int, floor: bool) -> list[tuple[str, Payload]]:
        """With the defaults also what could stand above our setpoint or add to it: PriorityCharging and LocalGeneration (SC.01)."""
        calls = super().clear_foreign(evse_id, floor)
        above = [(place, purpose) for place in (evse_id, 0) for purpose in ("PriorityCharging", "LocalGeneration")] if floor else []
        more = [{"chargingProfileCriteria": {"evseId": place, "chargingProfilePurpose": purpose}} for place, purpose in above]
        return calls + [("ClearChargingProfile", payload) for payload in more]

    def own_profile_call(self, action: str, payload: Payload) -> Payload | None:
        """No profile with priority and none that is Dynamic is kept here (K21.FR.01/06, K28.FR.11/12)."""
        if action == "UsePriorityCharging":
            ends = payload.get("activate") is False
            return {"status": "Accepted"} if ends else {"status": "NoProfile", "statusInfo": {"reasonCode": "NotFound"}}
        if action in ("UpdateDynamicSchedule", "PullDynamicScheduleUpdate"):
            return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidProfile", "additionalInfo": "no such Dynamic profile"}}
        return None
