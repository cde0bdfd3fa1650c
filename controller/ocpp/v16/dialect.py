"""OCPP 1.6J behind the dialect contract: joins the files of this folder.

An EVSE is a connector (connectorId n = EVSE n, 0 = the whole station). The security whitepaper's
messages are part of it. What 1.6 has no word for gives the contract's None, False or empty answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.facts import Fact, LimitStep, Stamp
from controller.ocpp import command_fields, profile_fields
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
from controller.ocpp.schedule import Profile, ProfileError
from controller.ocpp.v16 import answers, commands, configuration, features, observe, outage, profiles, refusals, tokens, transactions
from controller.orders import Strategy

Payload = dict[str, Any]


class Dialect16:
    """Stateless. See ``controller.ocpp.dialect.Dialect`` for what each function promises."""

    subprotocol = "ocpp1.6"
    version = "1.6"
    assigns_transactions = True
    has_modes = False
    profiles_replace = True

    # -- reading the station ------------------------------------------------------------------

    def observe(self, at: Stamp, station_id: str, action: str, payload: Payload, evse_hint: int = 0) -> list[Fact]:
        """Neutral facts in a CALL from the station; a start once its payload carries the CSMS's "transactionId"."""
        return observe.observe(at, station_id, action, payload, evse_hint)

    def transaction_event(self, action: str, payload: Payload) -> TransactionEvent | None:
        """StartTransaction, StopTransaction, and MeterValues of a transaction."""
        return transactions.event(action, payload)

    def status_key(self, payload: Payload) -> tuple[int, int]:
        """(connector, 1): an EVSE has one connector; (0, 0) is the station itself."""
        evse_id = transactions.connector(payload)
        return evse_id, 1 if evse_id else 0

    # -- answering for the CSMS ------------------------------------------------------------------

    def answer(self, at: Stamp, action: str, payload: Payload, known: TokenLookup) -> Payload | None:
        """The local answer while upstream is away; to a start with transactionId 0, see ``assign_transaction``."""
        return answers.answer(at, action, payload, known)

    def mark_offline(self, action: str, payload: Payload) -> Payload:
        """1.6 has no such flag: a CSMS sees from the timestamps that a message is old."""
        return payload

    def boot_status(self, payload: Payload) -> str:
        """Accepted, Pending or Rejected; what cannot be read is Rejected."""
        status = payload.get("status")
        return status if status in ("Accepted", "Pending") else "Rejected"

    def token_answer(self, action: str, request: Payload, result: Payload) -> tuple[Payload, Payload] | None:
        """(idToken, idTokenInfo) of an Authorize, StartTransaction or StopTransaction exchange."""
        return tokens.answered(action, request, result)

    # -- our own CALLs to the station ---------------------------------------------------------------

    def set_profile(self, setpoint: Setpoint) -> tuple[str, Payload]:
        """A profile of finite life; a TxProfile only where the transaction has an id."""
        return commands.set_profile(setpoint)

    def purpose(self, setpoint: Setpoint) -> str:
        """No TxProfile without an integer id above 0 (B28)."""
        return commands.purpose(setpoint)

    def update_profile(self, setpoint: Setpoint) -> tuple[str, Payload] | None:
        """1.6 has no Dynamic profiles."""
        return None

    def set_floor(self, floor: Setpoint) -> tuple[str, Payload]:
        """TxDefaultProfile or ChargePointMaxProfile, no end."""
        return commands.set_floor(floor)

    def clear_own(self, profile_id: int) -> tuple[str, Payload]:
        """ClearChargingProfile by id."""
        return commands.clear_own(profile_id)

    def cleared(self, payload: Payload) -> bool:
        """Accepted, or Unknown: there is no such profile."""
        return payload.get("status") in ("Accepted", "Unknown")

    def clear_foreign(self, evse_id: int, floor: bool, strategy: Strategy) -> list[tuple[str, Payload]]:
        """Profiles left by a CSMS from before, in the place of ours."""
        return commands.clear_foreign(evse_id, floor, strategy)

    def read_back(self, evse_id: int, duration_s: int, unit: str = "A") -> tuple[str, Payload]:
        """Ask what is really in force."""
        return commands.read_back(evse_id, duration_s, unit)

    def read_back_steps(self, payload: Payload, at: Stamp, asked_s: float, voltage_v: float, phase_count: int = 3) -> tuple[LimitStep, ...]:
        """The composite schedule from now on [A per phase]; () if rejected, left out or empty (16.9)."""
        found = payload.get("chargingSchedule") if payload.get("status") == "Accepted" else None
        return command_fields.composite(found, payload.get("scheduleStart"), at, asked_s, voltage_v, phase_count)

    def ask_status(self, evse_id: int) -> tuple[str, Payload]:
        """TriggerMessage for a StatusNotification."""
        return commands.ask_status(evse_id)

    def set_available(self, evse_id: int, operative: bool) -> tuple[str, Payload]:
        """ChangeAvailability of one connector."""
        return commands.set_available(evse_id, operative)

    def scheduled(self, payload: Payload) -> bool:
        """Scheduled: a transaction runs (16 5.2)."""
        return payload.get("status") == "Scheduled"

    def retry_after_s(self, payload: Payload) -> float | None:
        """1.6 has no word for it."""
        return None

    def ask_features(self, evse_ids: Sequence[int], most: int) -> list[tuple[str, Payload]]:
        """Not asked: only what the CSMS asks for itself is heard."""
        return []

    def features(self, action: str, request: Payload, result: Payload) -> list[Feature]:
        """Configuration keys in the station's answers to GetConfiguration."""
        return features.features(action, result)

    def accepted(self, payload: Payload) -> tuple[bool, str]:
        """Accepted (or Scheduled for availability), else the status, which is all the reason 1.6 gives."""
        status = payload.get("status")
        return status in ("Accepted", "Scheduled"), str(status)

    def stop_transaction(self, transaction_id: str) -> tuple[str, Payload]:
        """RemoteStopTransaction; an id that is no integer becomes -1, which no station knows."""
        number = transactions.id_number(transaction_id)
        return "RemoteStopTransaction", {"transactionId": -1 if number is None else number}

    # -- answering the CSMS ---------------------------------------------------------------------------

    def refuse(self, action: str, payload: Payload) -> Payload | None:
        """The action's own valid "no"."""
        return refusals.refuse(action, payload)

    def risky_variables(self, payload: Payload) -> bool:
        """Whether ChangeConfiguration would change the link (F27)."""
        return configuration.risky(payload)

    def queue_status(self, payload: Payload, running: set[str], queued: set[str], any_queued: bool) -> Payload:
        """1.6 does not ask."""
        return {}

    def own_profile_call(self, action: str, payload: Payload) -> Payload | None:
        """1.6 has no such message."""
        return None

    def unknown_action(self, code: str) -> bool:
        """NotImplemented, or NotSupported where that is meant (16.7)."""
        return code in ("NotImplemented", "NotSupported")

    # -- the CSMS's profiles ----------------------------------------------------------------------------

    def read_set_profile(self, payload: Payload, in_start: bool = False) -> tuple[int, Profile]:
        """(connector, profile). A TxProfile without transaction_id means the running transaction. Raises ProfileError."""
        return profiles.read_set_profile(payload, in_start=in_start)

    def rejected_profile(self, error: ProfileError) -> Payload:
        """Rejected; 1.6 has no room for the reason."""
        return {"status": "Rejected"}

    def read_criteria(self, action: str, payload: Payload) -> ProfileCriteria:
        """Criteria of ClearChargingProfile; what is not named selects all."""
        return profiles.read_clear(payload)

    def report_profiles(self, request: Payload, found: Sequence[tuple[int, Profile]]) -> list[Payload]:
        """1.6 cannot ask for profiles."""
        return []

    def read_composite(self, payload: Payload) -> CompositeRequest:
        """The request. Raises ProfileError for an impossible one."""
        return profile_fields.composite_request(payload, "connectorId")

    def write_composite(self, request: CompositeRequest, at: Stamp, steps: Sequence[LimitStep], voltage_v: float, phase_count: int = 3) -> Payload:
        """The composite schedule as the station would report it."""
        return profiles.write_composite(request, at, steps, voltage_v, phase_count)

    def profile_in_start(self, payload: Payload) -> Payload | None:
        """The profile of a RemoteStartTransaction in the shape ``read_set_profile`` takes with in_start (16E 3.41)."""
        return profiles.profile_in_start(payload)

    def without_profile(self, payload: Payload) -> Payload:
        """The request as the station gets it."""
        return {key: value for key, value in payload.items() if key != "chargingProfile"}

    def starts_remotely(self, action: str) -> bool:
        """RemoteStartTransaction."""
        return action == "RemoteStartTransaction"

    def remote_start_id(self, payload: Payload) -> int:
        """1.6 has no such id."""
        return 0

    def started_transaction(self, payload: Payload) -> str | None:
        """An accepted answer names no transaction."""
        return "" if payload.get("status") == "Accepted" else None

    # -- the transaction's id is the CSMS's ---------------------------------------------------------------

    def started_by_answer(self, action: str, request: Payload, result: Payload) -> str | None:
        """transactionId of a StartTransaction answer; may be "0" or "-1" from a CSMS that does not mean to keep it."""
        return transactions.started_by_answer(action, result)

    def assign_transaction(self, answer: Payload, transaction_id: str) -> Payload:
        """The answer with this transactionId. Raises ValueError if it is no integer."""
        return {**answer, "transactionId": int(transaction_id)}

    def with_transaction(self, action: str, payload: Payload, transaction_id: str) -> Payload:
        """At the top, or in the charging profile; an integer on the wire."""
        return transactions.with_id(action, payload, transaction_id)

    def transaction_of_command(self, action: str, payload: Payload) -> str | None:
        """RemoteStopTransaction, SetChargingProfile."""
        return transactions.of_command(action, payload)

    # -- outages -----------------------------------------------------------------------------------------

    def thinnable(self, action: str, payload: Payload) -> bool:
        """MeterValues taken by the clock."""
        return outage.thinnable(action, payload)

    def retry_rules(self, action: str, request: Payload, result: Payload) -> RetryRules | None:
        """TransactionMessageAttempts and TransactionMessageRetryInterval."""
        return configuration.retry_rules(action, request, result)

    def deauthorised(self, action: str, request: Payload, result: Payload) -> bool:
        """idTagInfo in a StartTransaction answer that is not Accepted."""
        return tokens.deauthorised(action, result)

    # -- local list ---------------------------------------------------------------------------------------

    def list_update(self, action: str, request: Payload, result: Payload) -> ListUpdate | None:
        """SendLocalList as accepted."""
        return tokens.list_update(action, request, result)

    def list_version(self, action: str, result: Payload) -> int | None:
        """listVersion of GetLocalListVersion."""
        return tokens.list_version(action, result)

    # -- secrets ------------------------------------------------------------------------------------------

    def secret_change(self, action: str, payload: Payload) -> SecretChange | None:
        """AuthorizationKey in ChangeConfiguration."""
        return configuration.secret_change(action, payload)

    def secret_accepted(self, action: str, request: Payload, result: Payload) -> bool:
        """Accepted, or RebootRequired: then from the next boot on."""
        return configuration.secret_accepted(action, request, result)

    def redacted(self, action: str, payload: Payload) -> Payload:
        """Passwords, keys and the users in addresses replaced."""
        return configuration.redacted(action, payload)

    def moves_station(self, action: str, payload: Payload) -> bool:
        """ChangeConfiguration of where the station dials, as whom, or how secure (F27)."""
        return configuration.moves_station(action, payload)

    # -- limits that are not the CSMS's: 1.6 has no word for them -------------------------------------------

    def limit_notice(self, notice: LimitNotice) -> tuple[str, Payload] | None:
        """1.6 cannot tell."""
        return None

    def limit_cleared(self, evse_id: int, source: str) -> tuple[str, Payload] | None:
        """1.6 cannot tell."""
        return None

    def limit_settings(self, action: str, request: Payload, result: Payload) -> LimitSettings | None:
        """1.6 has no such setting."""
        return None

    def external_limit(self, at: Stamp, action: str, payload: Payload) -> ExternalLimit | None:
        """1.6 stations do not tell."""
        return None

    # -- cars and drivers --------------------------------------------------------------------------------------

    def ev_schedule(self, action: str, payload: Payload) -> EvSchedule | None:
        """No car speaks ISO 15118 through 1.6."""
        return None

    def driver_token(self, action: str, payload: Payload) -> Payload | None:
        """idTag of a StartTransaction."""
        return tokens.token(payload.get("idTag")) if action == "StartTransaction" else None

    def driver_word(self, action: str, request: Payload, result: Payload) -> DriverWord | None:
        """An idTagInfo has no priority."""
        return None

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
        """One ClearChargingProfile per purpose."""
        where = {"connectorId": criteria.evse_id, "stackLevel": criteria.stack_level}
        said = {key: value for key, value in where.items() if value is not None}
        return [("ClearChargingProfile", {**said, "chargingProfilePurpose": purpose}) for purpose in ("TxDefaultProfile", "TxProfile")]
