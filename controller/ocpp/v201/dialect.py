"""OCPP 2.0.1 behind the dialect contract: joins observe, answers and profiles of this folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from controller.facts import Fact, LimitStep, Stamp
from controller.ocpp.dialect import CompositeRequest, ProfileCriteria, Setpoint, TokenLookup, TransactionEvent
from controller.ocpp.schedule import Profile, ProfileError
from controller.ocpp.times import timestamp
from controller.ocpp.v201 import answers, observe, profiles

Payload = dict[str, Any]


class Dialect201:
    """Stateless. See ``controller.ocpp.dialect.Dialect`` for what each function promises."""

    subprotocol = "ocpp2.0.1"
    version = "2.0.1"

    # -- reading the station ------------------------------------------------------------------

    def observe(self, at: Stamp, station_id: str, action: str, payload: Payload, evse_hint: int = 0) -> list[Fact]:
        """Neutral facts in a CALL from the station."""
        return observe.observe(at, station_id, action, payload, evse_hint)

    def transaction_event(self, action: str, payload: Payload) -> TransactionEvent | None:
        """Transaction bookkeeping of a TransactionEvent."""
        info = payload.get("transactionInfo")
        if action != "TransactionEvent" or not isinstance(info, dict) or not isinstance(info.get("transactionId"), str):
            return None
        kind, remote_start_id = payload.get("eventType"), info.get("remoteStartId")
        return TransactionEvent(
            info["transactionId"],
            observe.evse_number(payload),
            kind == "Ended",
            payload.get("offline") is True,
            kind == "Started",
            remote_start_id if isinstance(remote_start_id, int) else None,
        )

    def status_key(self, payload: Payload) -> tuple[int, int]:
        """(EVSE, connector) of a StatusNotification."""
        connector = payload.get("connectorId")
        return observe.evse_number(payload), connector if isinstance(connector, int) else 0

    # -- answering for the CSMS ------------------------------------------------------------------

    def answer(self, at: Stamp, action: str, payload: Payload, known: TokenLookup) -> Payload | None:
        """The local answer while upstream is away."""
        return answers.answer(at, action, payload, known)

    def mark_offline(self, action: str, payload: Payload) -> Payload:
        """Everything that had to wait carries the offline flag (E11.FR.07)."""
        return {**payload, "offline": True} if action == "TransactionEvent" else payload

    def boot_status(self, payload: Payload) -> str:
        """Accepted, Pending or Rejected; what cannot be read is Rejected."""
        status = payload.get("status")
        return status if status in ("Accepted", "Pending") else "Rejected"

    def token_answer(self, action: str, request: Payload, result: Payload) -> tuple[Payload, Payload] | None:
        """(idToken, idTokenInfo) of an Authorize or TransactionEvent exchange."""
        token, info = request.get("idToken"), result.get("idTokenInfo")
        if action not in ("Authorize", "TransactionEvent") or not isinstance(token, dict) or not isinstance(info, dict):
            return None
        return (token, info) if isinstance(info.get("status"), str) else None

    # -- our own CALLs to the station ---------------------------------------------------------------

    def set_profile(self, setpoint: Setpoint) -> tuple[str, Payload]:
        """A TxProfile of finite life; without a transaction a TxDefaultProfile of finite life.

        After its duration the station falls back to the floor (K02.FR.08).
        """
        duration_s = max(1, round(setpoint.until_wall_s - setpoint.start_wall_s))
        schedule = _schedule(setpoint.profile_id, setpoint.limit_a, setpoint.phase_count)
        schedule |= {"startSchedule": timestamp(setpoint.start_wall_s), "duration": duration_s}
        profile: Payload = {
            "id": setpoint.profile_id,
            "stackLevel": setpoint.stack_level,
            "chargingProfilePurpose": "TxProfile" if setpoint.transaction_id else "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [schedule],
        }
        if setpoint.transaction_id:
            profile["transactionId"] = setpoint.transaction_id
        return "SetChargingProfile", {"evseId": setpoint.evse_id, "chargingProfile": profile}

    def set_floor(self, evse_id: int, profile_id: int, limit_a: float, phase_count: int) -> tuple[str, Payload]:
        """The persistent fallback: TxDefaultProfile, no end (K03, K07)."""
        profile = {
            "id": profile_id,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": [_schedule(profile_id, limit_a, phase_count)],
        }
        return "SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile}

    def clear_foreign(self, evse_id: int, floor: bool) -> list[tuple[str, Payload]]:
        """Profiles left by a CSMS from before: TxDefaultProfiles of EVSE and station, or TxProfiles of the EVSE (K01.FR.06, FR.53)."""
        purpose, places = ("TxDefaultProfile", (evse_id, 0)) if floor else ("TxProfile", (evse_id,))
        return [("ClearChargingProfile", {"chargingProfileCriteria": {"evseId": place, "chargingProfilePurpose": purpose}}) for place in places]

    def read_back(self, evse_id: int, duration_s: int) -> tuple[str, Payload]:
        """Ask what is really in force (K08)."""
        return "GetCompositeSchedule", {"evseId": evse_id, "duration": duration_s, "chargingRateUnit": "A"}

    def read_back_limit(self, payload: Payload, voltage_v: float) -> float | None:
        """The limit [A per phase] of the first period; None if rejected, empty or unlimited."""
        schedule = payload.get("schedule")
        periods = schedule.get("chargingSchedulePeriod") if isinstance(schedule, dict) else None
        if payload.get("status") != "Accepted" or not isinstance(periods, list) or not periods or not isinstance(periods[0], dict):
            return None
        limit = observe.number(periods[0].get("limit"))
        if limit is None or limit < 0:
            return None
        if isinstance(schedule, dict) and schedule.get("chargingRateUnit") == "W":
            phases = periods[0].get("numberPhases", 3)
            return limit / (voltage_v * (phases if isinstance(phases, int) and 1 <= phases <= 3 else 3))
        return limit

    def set_available(self, evse_id: int, operative: bool) -> tuple[str, Payload]:
        """ChangeAvailability of one EVSE (G03)."""
        return "ChangeAvailability", {"operationalStatus": "Operative" if operative else "Inoperative", "evse": {"id": evse_id}}

    def accepted(self, payload: Payload) -> tuple[bool, str]:
        """Accepted (or Scheduled for availability), else the reason the station gave."""
        status = payload.get("status")
        info = payload.get("statusInfo")
        reason = info.get("reasonCode", "") if isinstance(info, dict) else ""
        return status in ("Accepted", "Scheduled"), f"{status} {reason}".strip()

    # -- answering the CSMS about profiles --------------------------------------------------------------

    def refuse(self, action: str, payload: Payload) -> Payload | None:
        """The action's own valid "no"."""
        return answers.refuse(action, payload)

    def risky_variables(self, payload: Payload) -> bool:
        """Whether SetVariables would change the link (F27)."""
        return answers.risky_variables(payload)

    def queue_status(self, payload: Payload, running: set[str], queued: set[str], any_queued: bool) -> Payload:
        """GetTransactionStatus from our own queue."""
        return answers.queue_status(payload, running, queued, any_queued)

    def read_set_profile(self, payload: Payload, in_start: bool = False) -> tuple[int, Profile]:
        """(evse_id, profile). Raises ProfileError."""
        return profiles.read_set_profile(payload, in_start=in_start)

    def rejected_profile(self, error: ProfileError) -> Payload:
        """Rejected with the reason code."""
        return profiles.rejected(error.reason_code, error.info)

    def read_criteria(self, action: str, payload: Payload) -> ProfileCriteria:
        """Criteria of ClearChargingProfile or GetChargingProfiles; what is not named selects all."""
        return profiles.read_clear(payload) if action == "ClearChargingProfile" else profiles.read_get(payload)

    def report_profiles(self, request: Payload, found: Sequence[tuple[int, Profile]]) -> list[Payload]:
        """ReportChargingProfiles, the last without tbc (K09)."""
        return profiles.report_profiles(request, found)

    def profile_in_start(self, payload: Payload) -> Payload | None:
        """The profile of a RequestStartTransaction as SetChargingProfile (K05)."""
        profile = payload.get("chargingProfile")
        return {"evseId": payload.get("evseId", 0), "chargingProfile": profile} if isinstance(profile, dict) else None

    def without_profile(self, payload: Payload) -> Payload:
        """The request as the station gets it."""
        return {key: value for key, value in payload.items() if key != "chargingProfile"}

    def read_composite(self, payload: Payload) -> CompositeRequest:
        """The request. Raises ProfileError for an impossible one."""
        duration, evse_id = observe.number(payload.get("duration")), payload.get("evseId")
        if duration is None or duration < 0 or not isinstance(evse_id, int):
            raise ProfileError("InvalidValue", "duration and evseId are needed")
        return CompositeRequest(evse_id, int(duration), payload.get("chargingRateUnit"))

    def write_composite(self, request: CompositeRequest, at: Stamp, steps: Sequence[LimitStep], voltage_v: float, phase_count: int = 3) -> Payload:
        """The composite schedule as the station would report it."""
        return profiles.write_composite(request, at, steps, voltage_v, phase_count)

    def remote_start_id(self, payload: Payload) -> int:
        """remoteStartId."""
        value = payload.get("remoteStartId")
        return value if isinstance(value, int) else 0

    def started_transaction(self, payload: Payload) -> str | None:
        """transactionId of an accepted answer: the transaction that was running already (F02)."""
        return str(payload.get("transactionId", "")) if payload.get("status") == "Accepted" else None

    def listed_tokens(self, action: str, request: Payload, result: Payload) -> list[tuple[Payload, Payload]]:
        """The CSMS's own words in SendLocalList."""
        entries = request.get("localAuthorizationList")
        if action != "SendLocalList" or result.get("status") != "Accepted" or not isinstance(entries, list):
            return []
        pairs = [(entry.get("idToken"), entry.get("idTokenInfo")) for entry in entries if isinstance(entry, dict)]
        return [(token, info) for token, info in pairs if isinstance(token, dict) and isinstance(info, dict)]

    def unknown_action(self, code: str) -> bool:
        """NotImplemented, or NotSupported where that is meant (16.7)."""
        return code in ("NotImplemented", "NotSupported")


def _schedule(schedule_id: int, limit_a: float, phase_count: int) -> Payload:
    period = {"startPeriod": 0, "limit": math.floor(limit_a * 10 + 1e-6) / 10, "numberPhases": phase_count}
    return {"id": schedule_id, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
