"""OCPP 2.1: only what differs from the rest of the 2.x family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controller.facts import Fact, LimitStep, Stamp
from controller.ocpp.dialect import CompositeRequest, Payload, PriorityWord, ProfileCriteria, Setpoint, TokenLookup
from controller.ocpp.schedule import Profile, Purpose
from controller.ocpp.v2 import features, limits, refusals
from controller.ocpp.v2.dialect import Dialect2
from controller.ocpp.v21 import answers, commands, dynamic, observe, profiles
from controller.orders import Strategy


class Dialect21(Dialect2):
    """Stateless. See ``controller.ocpp.dialect.Dialect`` for what each function promises."""

    subprotocol = "ocpp2.1"
    version = "2.1"
    clearable = (*Dialect2.clearable, "PriorityCharging")
    has_modes = True

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
        return profiles.report_profiles(request, found)

    def read_criteria(self, action: str, payload: Payload) -> ProfileCriteria:
        """Criteria, with the purposes of 2.1."""
        return profiles.read_criteria(action, payload)

    def write_composite(self, request: CompositeRequest, at: Stamp, steps: Sequence[LimitStep], voltage_v: float, phase_count: int = 3) -> Payload:
        """The composite schedule, with modes and setpoints (K08.FR.08)."""
        return profiles.write_composite(request, at, steps, voltage_v, phase_count)

    def clear_foreign(self, evse_id: int, floor: bool, strategy: Strategy) -> list[tuple[str, Payload]]:
        """With a floor also what could stand above our setpoint or add to it (SC.01)."""
        return commands.clear_foreign(evse_id, floor, strategy)

    def set_profile(self, setpoint: Setpoint) -> tuple[str, Payload]:
        """As in 2.0.1, and Dynamic, with its end when offline, or in mode CentralSetpoint or Idle (K28, Q03, Q04, Q10)."""
        return commands.set_profile(setpoint)

    def update_profile(self, setpoint: Setpoint) -> tuple[str, Payload] | None:
        """UpdateDynamicSchedule (K28)."""
        return commands.update_profile(setpoint)

    def ask_features(self, evse_ids: Sequence[int], most: int) -> list[tuple[str, Payload]]:
        """GetVariables."""
        return features.questions(evse_ids, most)

    def own_profile_call(self, action: str, payload: Payload) -> Payload | None:
        """No profile with priority and none that is Dynamic is kept here (K21.FR.01/06, K28.FR.11/12)."""
        if action == "UsePriorityCharging":
            ends = payload.get("activate") is False
            return {"status": "Accepted"} if ends else {"status": "NoProfile", "statusInfo": {"reasonCode": "NotFound"}}
        if action in ("UpdateDynamicSchedule", "PullDynamicScheduleUpdate"):
            return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidProfile", "additionalInfo": "no such Dynamic profile"}}
        return None

    def limit_source(self, source: str) -> str:
        """Free text in 2.1."""
        return limits.word_21(source)

    # -- profiles that change in place ----------------------------------------------------------------------

    def read_update(self, payload: Payload) -> tuple[int, Payload]:
        """UpdateDynamicSchedule (K28). Raises ProfileError."""
        return dynamic.read_update(payload)

    def updated_profile(self, profile: Profile, evse_id: int, values: Payload, now_wall_s: float) -> Profile:
        """With new values, judged like one that is set. Raises ProfileError."""
        raw = dynamic.updated(profile, values, now_wall_s)
        in_start = profile.purpose is Purpose.TX and raw.get("transactionId") is None
        _, found = self.read_set_profile({"evseId": evse_id, "chargingProfile": raw}, in_start)
        return replace(found, transaction_id=profile.transaction_id, updated_wall_s=now_wall_s)

    def pull_update(self, profile_id: int) -> tuple[str, Payload] | None:
        """PullDynamicScheduleUpdate (K28.FR.10)."""
        return "PullDynamicScheduleUpdate", {"chargingProfileId": profile_id}

    def pulled_values(self, answer: Payload) -> Payload | None:
        """scheduleUpdate of an accepted answer."""
        return dynamic.pulled(answer)

    def pull_answer(self, ours: Setpoint | None) -> Payload:
        """Accepted with the values as they are, else Rejected (K28.FR.12)."""
        update = self.update_profile(ours) if ours is not None else None
        return dynamic.pull_answer(update[1].get("scheduleUpdate") if update is not None else None)

    def priority_word(self, action: str, payload: Payload) -> PriorityWord | None:
        """UsePriorityCharging (K21), NotifyPriorityCharging (K22)."""
        return dynamic.read_priority(payload) if action in ("UsePriorityCharging", "NotifyPriorityCharging") else None

    def priority_answer(self, status: str) -> Payload:
        """With its reason."""
        return dynamic.priority_answer(status)

    def priority_notice(self, word: PriorityWord) -> tuple[str, Payload] | None:
        """NotifyPriorityCharging (K22)."""
        return "NotifyPriorityCharging", {"transactionId": word.transaction_id, "activated": word.active}
