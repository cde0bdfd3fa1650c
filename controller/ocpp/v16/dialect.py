"""OCPP 1.6J behind the dialect contract: joins the files of this folder.

An EVSE is a connector (connectorId n = EVSE n, 0 = the whole station). The security whitepaper's
messages are part of it. What 1.6 has no word for gives the contract's None, False or empty answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.facts import Fact, LimitStep, Stamp
from controller.ocpp import profile_fields
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
from controller.ocpp.schedule import Profile, ProfileError
from controller.ocpp.v16 import answers, configuration, observe, outage, profiles, refusals, tokens, transactions

Payload = dict[str, Any]


class Dialect16:
    """Stateless. See ``controller.ocpp.dialect.Dialect`` for what each function promises."""

    subprotocol = "ocpp1.6"
    version = "1.6"
    assigns_transactions = True
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
        """A TxProfile of finite life, or a TxDefaultProfile of finite life where no transaction has an id."""
        return "SetChargingProfile", profiles.set_profile(setpoint)

    def set_floor(self, evse_id: int, profile_id: int, limit_a: float, phase_count: int) -> tuple[str, Payload]:
        """The persistent fallback: TxDefaultProfile at stack level 0, no end."""
        return "SetChargingProfile", profiles.set_floor(evse_id, profile_id, limit_a, phase_count)

    def clear_foreign(self, evse_id: int, floor: bool) -> list[tuple[str, Payload]]:
        """Profiles left by a CSMS from before: TxDefaultProfiles of connector and station, or TxProfiles of the connector."""
        purpose, places = ("TxDefaultProfile", (evse_id, 0)) if floor else ("TxProfile", (evse_id,))
        return [("ClearChargingProfile", {"connectorId": place, "chargingProfilePurpose": purpose}) for place in places]

    def read_back(self, evse_id: int, duration_s: int) -> tuple[str, Payload]:
        """Ask what is really in force."""
        return "GetCompositeSchedule", {"connectorId": evse_id, "duration": duration_s, "chargingRateUnit": "A"}

    def read_back_limit(self, payload: Payload, voltage_v: float) -> float | None:
        """The limit [A per phase] of the first period; None if rejected, left out, empty or unlimited (16.9)."""
        if payload.get("status") != "Accepted":
            return None
        return profile_fields.first_limit_a(payload.get("chargingSchedule"), voltage_v)

    def set_available(self, evse_id: int, operative: bool) -> tuple[str, Payload]:
        """ChangeAvailability of one connector."""
        return "ChangeAvailability", {"connectorId": evse_id, "type": "Operative" if operative else "Inoperative"}

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
