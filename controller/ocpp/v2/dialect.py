"""The 2.x family behind the dialect contract: joins the files of this folder. A version's class adds its name and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.facts import Fact, LimitStep, Stamp
from controller.ocpp.dialect import (
    CompositeRequest,
    ListUpdate,
    ProfileCriteria,
    RetryRules,
    SecretChange,
    Setpoint,
    TokenLookup,
    TransactionEvent,
)
from controller.ocpp.profile_fields import composite_request, first_limit_a, own_period
from controller.ocpp.schedule import Profile, ProfileError
from controller.ocpp.times import timestamp
from controller.ocpp.v2 import answers, observe, outage, profiles, refusals, secrets

Payload = dict[str, Any]


class Dialect2:
    """Stateless. See ``controller.ocpp.dialect.Dialect`` for what each function promises."""

    subprotocol: str
    version: str
    assigns_transactions = False
    profiles_replace = False

    # -- reading the station ------------------------------------------------------------------

    def observe(self, at: Stamp, station_id: str, action: str, payload: Payload, evse_hint: int = 0) -> list[Fact]:
        """Neutral facts in a CALL from the station."""
        return observe.observe(at, station_id, action, payload, evse_hint)

    def transaction_event(self, action: str, payload: Payload) -> TransactionEvent | None:
        """Transaction bookkeeping of a TransactionEvent."""
        if action != "TransactionEvent":
            return None
        info = payload.get("transactionInfo")
        if not isinstance(info, dict) or not isinstance(info.get("transactionId"), str):
            return None
        kind, remote_start_id = payload.get("eventType"), info.get("remoteStartId")
        return TransactionEvent(
            info["transactionId"],
            observe.evse_number(payload),
            kind == "Ended",
            payload.get("offline") is True,
            kind == "Started",
            remote_start_id if isinstance(remote_start_id, int) else None,
            _key(payload, info["transactionId"]),
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
        if action not in ("Authorize", "TransactionEvent") or not answers.is_token(token) or not isinstance(info, dict):
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
        return first_limit_a(payload.get("schedule"), voltage_v) if payload.get("status") == "Accepted" else None

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
        return refusals.refuse(refusals.REFUSALS, action, payload)

    def risky_variables(self, payload: Payload) -> bool:
        """Whether SetVariables would change the link (F27)."""
        return secrets.risky_variables(payload)

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
        return composite_request(payload, "evseId")

    def write_composite(self, request: CompositeRequest, at: Stamp, steps: Sequence[LimitStep], voltage_v: float, phase_count: int = 3) -> Payload:
        """The composite schedule as the station would report it."""
        return profiles.write_composite(request, at, steps, voltage_v, phase_count)

    def starts_remotely(self, action: str) -> bool:
        """F01, F02."""
        return action == "RequestStartTransaction"

    def remote_start_id(self, payload: Payload) -> int:
        """remoteStartId."""
        value = payload.get("remoteStartId")
        return value if isinstance(value, int) else 0

    def started_transaction(self, payload: Payload) -> str | None:
        """transactionId of an accepted answer: the transaction that was running already (F02)."""
        return str(payload.get("transactionId", "")) if payload.get("status") == "Accepted" else None

    def unknown_action(self, code: str) -> bool:
        """NotImplemented, or NotSupported where that is meant (16.7)."""
        return code in ("NotImplemented", "NotSupported")

    # -- the transaction's id is the station's own (E01.FR.08) -------------------------------------------

    def started_by_answer(self, action: str, request: Payload, result: Payload) -> str | None:
        """Never: the station chooses the id."""
        return None

    def assign_transaction(self, answer: Payload, transaction_id: str) -> Payload:
        """Nothing to assign: the station chooses the id."""
        return answer

    def with_transaction(self, action: str, payload: Payload, transaction_id: str) -> Payload:
        """In transactionInfo, in a charging profile, or at the top, where the message names one."""
        for key in _INSIDE:
            inner = payload.get(key)
            if isinstance(inner, dict) and "transactionId" in inner:
                return {**payload, key: {**inner, "transactionId": transaction_id}}
        return {**payload, "transactionId": transaction_id} if "transactionId" in payload else payload

    def transaction_of_command(self, action: str, payload: Payload) -> str | None:
        """RequestStopTransaction, GetTransactionStatus, a TxProfile, a message on the display, ..."""
        holders = [payload, *(payload.get(key) for key in _INSIDE)]
        ids = [holder.get("transactionId") for holder in holders if isinstance(holder, dict)]
        return next((value for value in ids if isinstance(value, str)), None)

    # -- outages -----------------------------------------------------------------------------------------

    def thinnable(self, action: str, payload: Payload) -> bool:
        """A periodic reading that adds nothing but its numbers (E12.FR.04/05)."""
        return outage.thinnable(action, payload)

    def retry_rules(self, action: str, request: Payload, result: Payload) -> RetryRules | None:
        """OCPPCommCtrlr.MessageAttempts[TransactionEvent] and MessageAttemptInterval[TransactionEvent] (E13)."""
        return outage.retry_rules(action, request, result)

    def deauthorised(self, action: str, request: Payload, result: Payload) -> bool:
        """idTokenInfo in a TransactionEvent answer that is not Accepted."""
        return outage.deauthorised(action, request, result)

    def stop_transaction(self, transaction_id: str) -> tuple[str, Payload]:
        """RequestStopTransaction (F03)."""
        return "RequestStopTransaction", {"transactionId": transaction_id}

    # -- local list ---------------------------------------------------------------------------------------

    def list_update(self, action: str, request: Payload, result: Payload) -> ListUpdate | None:
        """SendLocalList as accepted (D01)."""
        return outage.list_update(action, request, result)

    def list_version(self, action: str, result: Payload) -> int | None:
        """versionNumber of GetLocalListVersion (D02)."""
        return outage.list_version(action, result)

    # -- secrets ------------------------------------------------------------------------------------------

    def secret_change(self, action: str, payload: Payload) -> SecretChange | None:
        """SecurityCtrlr.BasicAuthPassword in SetVariables (A01)."""
        return secrets.secret_change(action, payload)

    def secret_accepted(self, action: str, request: Payload, result: Payload) -> bool:
        """Accepted, or RebootRequired: then from the next boot on."""
        return secrets.secret_accepted(action, request, result)

    def redacted(self, action: str, payload: Payload) -> Payload:
        """Passwords, keys and the users in addresses replaced."""
        return secrets.redacted(action, payload)

    def moves_station(self, action: str, payload: Payload) -> bool:
        """SetNetworkProfile, or SetVariables of what decides where the station dials (B09, F27)."""
        return secrets.moves_station(action, payload)

    # -- 2.1 ----------------------------------------------------------------------------------------------

    def own_profile_call(self, action: str, payload: Payload) -> Payload | None:
        """2.0.1 has no such message."""
        return None


_INSIDE = ("transactionInfo", "chargingProfile", "message")
"""Where a message names its transaction if not at the top."""


def _key(payload: Payload, transaction_id: str) -> str:
    """Event, number, transaction and time: seqNo alone is counted wrongly by some stations."""
    kind, number, moment = payload.get("eventType"), payload.get("seqNo"), payload.get("timestamp")
    return f"{kind} {number} {transaction_id} {moment}" if isinstance(number, int) and isinstance(moment, str) else ""


def _schedule(schedule_id: int, limit_a: float, phase_count: int) -> Payload:
    return {"id": schedule_id, "chargingRateUnit": "A", "chargingSchedulePeriod": [own_period(limit_a, phase_count)]}
