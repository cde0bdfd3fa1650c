"""The 2.x family behind the dialect contract: joins the files of this folder. A version's class adds its name and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.facts import Fact, LimitStep, Stamp
from controller.ocpp import command_fields
from controller.ocpp.dialect import (
    CompositeRequest,
    DriverWord,
    EvSchedule,
    ExternalLimit,
    Feature,
    LimitNotice,
    LimitSettings,
    ListUpdate,
    PriorityWord,
    ProfileCriteria,
    RetryRules,
    SecretChange,
    Setpoint,
    TokenLookup,
    TransactionEvent,
)
from controller.ocpp.profile_fields import composite_request
from controller.ocpp.schedule import Profile, ProfileError
from controller.ocpp.v2 import answers, commands, features, limits, needs, observe, outage, profiles, refusals, secrets
from controller.orders import Strategy

Payload = dict[str, Any]


class Dialect2:
    """Stateless. See ``controller.ocpp.dialect.Dialect`` for what each function promises."""

    subprotocol: str
    version: str
    assigns_transactions = False
    has_modes = False
    profiles_replace = False
    clearable: tuple[str, ...] = ("TxDefaultProfile", "TxProfile")
    """Purposes a CSMS can clear, beside the station's maximum."""

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
        """A profile of finite life; after it the station falls back to the floor (K02.FR.08)."""
        return commands.set_profile(setpoint)

    def purpose(self, setpoint: Setpoint) -> str:
        """No TxProfile without a transaction."""
        return command_fields.purpose(setpoint.strategy, bool(setpoint.transaction_id))

    def update_profile(self, setpoint: Setpoint) -> tuple[str, Payload] | None:
        """Only 2.1 has Dynamic profiles."""
        return None

    def set_floor(self, floor: Setpoint) -> tuple[str, Payload]:
        """TxDefaultProfile or ChargingStationMaxProfile, no end (K03, K04, K07)."""
        return commands.set_floor(floor)

    def clear_own(self, profile_id: int) -> tuple[str, Payload]:
        """ClearChargingProfile by id (K10)."""
        return commands.clear_own(profile_id)

    def cleared(self, payload: Payload) -> bool:
        """Accepted, or Unknown: there is no such profile."""
        return payload.get("status") in ("Accepted", "Unknown")

    def clear_foreign(self, evse_id: int, floor: bool, strategy: Strategy) -> list[tuple[str, Payload]]:
        """Profiles left by a CSMS from before, in the place of ours (K01.FR.06, FR.53)."""
        return commands.clear_foreign(evse_id, floor, strategy)

    def read_back(self, evse_id: int, duration_s: int, unit: str = "A") -> tuple[str, Payload]:
        """Ask what is really in force (K08)."""
        return commands.read_back(evse_id, duration_s, unit)

    def read_back_steps(self, payload: Payload, at: Stamp, asked_s: float, voltage_v: float, phase_count: int = 3) -> tuple[LimitStep, ...]:
        """The composite schedule from now on [A per phase]; () if rejected or empty (16.9)."""
        found = payload.get("schedule") if payload.get("status") == "Accepted" else None
        start = found.get("scheduleStart") if isinstance(found, dict) else None
        return command_fields.composite(found, start, at, asked_s, voltage_v, phase_count)

    def ask_status(self, evse_id: int) -> tuple[str, Payload]:
        """TriggerMessage for a StatusNotification (F06)."""
        return commands.ask_status(evse_id)

    def set_available(self, evse_id: int, operative: bool) -> tuple[str, Payload]:
        """ChangeAvailability of one EVSE (G03)."""
        return commands.set_available(evse_id, operative)

    def scheduled(self, payload: Payload) -> bool:
        """Scheduled: a transaction runs (G03)."""
        return payload.get("status") == "Scheduled"

    def retry_after_s(self, payload: Payload) -> float | None:
        """RateLimitExceeded and its "<n> seconds before retry" (K01.FR.56-59)."""
        return command_fields.retry_after_s(payload)

    def ask_features(self, evse_ids: Sequence[int], most: int) -> list[tuple[str, Payload]]:
        """Not asked: only what the CSMS asks for itself is heard."""
        return []

    def features(self, action: str, request: Payload, result: Payload) -> list[Feature]:
        """SmartChargingCtrlr and V2XChargingCtrlr in GetVariables answers and reports."""
        return features.features(action, request, result)

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

    # -- limits that are not the CSMS's ---------------------------------------------------------------------

    def limit_notice(self, notice: LimitNotice) -> tuple[str, Payload] | None:
        """NotifyChargingLimit (K11, K12, K14)."""
        return limits.notice(notice, self.limit_source(notice.source))

    def limit_cleared(self, evse_id: int, source: str) -> tuple[str, Payload] | None:
        """ClearedChargingLimit (K13)."""
        return limits.cleared(evse_id, self.limit_source(source))

    def limit_source(self, source: str) -> str:
        """A source in the words of the version."""
        return limits.word_201(source)

    def limit_settings(self, action: str, request: Payload, result: Payload) -> LimitSettings | None:
        """SmartChargingCtrlr.LimitChangeSignificance and NotifyChargingLimitWithSchedules."""
        return limits.settings(action, request, result)

    def external_limit(self, at: Stamp, action: str, payload: Payload) -> ExternalLimit | None:
        """NotifyChargingLimit, ClearedChargingLimit of the station."""
        return limits.external_limit(at, action, payload)

    # -- cars and drivers --------------------------------------------------------------------------------------

    def ev_schedule(self, action: str, payload: Payload) -> EvSchedule | None:
        """NotifyEVChargingSchedule (K15-K17)."""
        return needs.ev_schedule(payload) if action == "NotifyEVChargingSchedule" else None

    def driver_token(self, action: str, payload: Payload) -> Payload | None:
        """idToken of a TransactionEvent that is not the end: that may name whoever stopped it."""
        token = payload.get("idToken")
        goes_on = action == "TransactionEvent" and payload.get("eventType") != "Ended"
        return token if goes_on and answers.is_token(token) else None

    def driver_word(self, action: str, request: Payload, result: Payload) -> DriverWord | None:
        """chargingPriority of the answer to a TransactionEvent, else that of its idTokenInfo (E01.FR.18)."""
        return needs.driver_word(request, result) if action == "TransactionEvent" else None

    # -- profiles that change in place: only 2.1 has them -------------------------------------------------------

    def read_update(self, payload: Payload) -> tuple[int, Payload]:
        """Unknown here."""
        raise ProfileError("UnsupportedRequest", "this version has no Dynamic profiles")

    def updated_profile(self, profile: Profile, evse_id: int, values: Payload, now_wall_s: float) -> Profile:
        """Unknown here."""
        raise ProfileError("UnsupportedRequest", "this version has no Dynamic profiles")

    def pull_update(self, profile_id: int) -> tuple[str, Payload] | None:
        """Unknown here."""
        return None

    def pulled_values(self, answer: Payload) -> Payload | None:
        """Unknown here."""
        return None

    def pull_answer(self, ours: Setpoint | None) -> Payload:
        """Unknown here; nobody asks."""
        return {}

    def priority_word(self, action: str, payload: Payload) -> PriorityWord | None:
        """Unknown here."""
        return None

    def priority_answer(self, status: str) -> Payload:
        """Unknown here; nobody asks."""
        return {"status": status}

    def priority_notice(self, word: PriorityWord) -> tuple[str, Payload] | None:
        """Unknown here."""
        return None

    def clear_others(self, criteria: ProfileCriteria) -> list[tuple[str, Payload]]:
        """One ClearChargingProfile per purpose (K10)."""
        return limits.clear_others(criteria, self.clearable)


_INSIDE = ("transactionInfo", "chargingProfile", "message")
"""Where a message names its transaction if not at the top."""


def _key(payload: Payload, transaction_id: str) -> str:
    """Event, number, transaction and time: seqNo alone is counted wrongly by some stations."""
    kind, number, moment = payload.get("eventType"), payload.get("seqNo"), payload.get("timestamp")
    return f"{kind} {number} {transaction_id} {moment}" if isinstance(number, int) and isinstance(moment, str) else ""
