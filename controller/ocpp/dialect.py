"""The contract of a dialect: all knowledge of one OCPP version behind one set of functions.

The link side knows messages only by their action name and asks the dialect for meaning. A
dialect never delays or changes a relayed frame; it reads it for the site, answers for an
absent CSMS, and writes the few frames that are ours. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from controller.facts import Fact, LimitStep, Stamp
from controller.ocpp.schedule import Profile, ProfileError
from controller.orders import Strategy

Payload = dict[str, Any]
PLAIN: Final = Strategy()
"""A TxProfile in A, from a date on."""


@dataclass(frozen=True, slots=True)
class ProfileCriteria:
    """Selection of GetChargingProfiles / ClearChargingProfile. None = any; evse_id 0 = station level."""

    profile_ids: tuple[int, ...] = ()
    evse_id: int | None = None
    purpose: str | None = None
    stack_level: int | None = None


@dataclass(frozen=True, slots=True)
class CompositeRequest:
    """GetCompositeSchedule as asked: duration [s], unit "A", "W" or None for our choice."""

    evse_id: int
    duration_s: int
    unit: str | None


@dataclass(frozen=True, slots=True)
class Setpoint:
    """A setpoint to write as a profile: limit_a per phase, ends at until_wall_s.

    strategy: see ``orders.Strategy``. voltage_v: nominal, for limits in W. phase_to_use: of the station's own phases, 1..3.
    setpoint_w: CentralSetpoint, signed, over all phases; idle: operation mode Idle (2.1 both). start_wall_s: of its schedule; of
    a Relative one the moment its session began. name_phases False: a DC EVSE that wants no phases in its profiles (K01.FR.44).
    """

    evse_id: int
    profile_id: int
    stack_level: int
    limit_a: float
    phase_count: int
    start_wall_s: float
    until_wall_s: float
    transaction_id: str | None
    strategy: Strategy = PLAIN
    voltage_v: float = 230.0
    phase_to_use: int | None = None
    setpoint_w: float | None = None
    idle: bool = False
    name_phases: bool = True


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing a station says it can do. name: a field of ``facts.FeaturesLearned``, or "mode_names" for a mode list.

    value: bool, int, text or tuple of texts as that field wants; "v2x" is a bool here. evse_id: 0 = the whole station.
    """

    name: str
    value: Any
    evse_id: int = 0


@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """Transaction bookkeeping of a message: evse_id 0 when the message does not name it.

    transaction_id: "" in a start of a version in which the CSMS chooses the id (1.6): the answer has
    it, see ``started_by_answer``. In 1.6 it is the integer as text; "-1" is a transaction whose
    start never reached anybody (16E 3.18). key: equal for repeats of the same message with another
    message id, different otherwise (F15); "" = cannot be told.
    """

    transaction_id: str
    evse_id: int
    ended: bool
    offline: bool = False
    started: bool = False
    remote_start_id: int | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How a station wants unanswered or refused transaction messages repeated; None = not said."""

    attempts: int | None
    interval_s: float | None


@dataclass(frozen=True, slots=True)
class ListUpdate:
    """A local authorisation list a station has accepted. entries: (idToken, idTokenInfo), info None = remove.

    full: replaces everything. version: the list's number (> 0).
    """

    version: int
    full: bool
    entries: tuple[tuple[Payload, Payload | None], ...]


@dataclass(frozen=True, slots=True)
class SecretChange:
    """A CSMS's CALL that gives the station a new password for its connection (A01, 1.6 AuthorizationKey).

    password: the bytes the station will send in its header. text: as written in the message.
    """

    password: bytes = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LimitNotice:
    """A limit that is not the CSMS's own, to be told to it: limit_a per phase [A] (K11-K14).

    evse_id 0: the whole station. source: "EMS", "SO" or "Other". with_schedule: NotifyChargingLimitWithSchedules.
    until_wall_s: when it ends, None = not known.
    """

    evse_id: int
    limit_a: float
    source: str
    critical: bool
    with_schedule: bool
    phase_count: int
    start_wall_s: float
    until_wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What a station is set to about such messages; None = not said here."""

    significance_percent: float | None = None
    schedules: bool | None = None


@dataclass(frozen=True, slots=True)
class ExternalLimit:
    """NotifyChargingLimit or ClearedChargingLimit of a station: what limits it beside OCPP (K11-K13).

    evse_id 0: the station, or in a cleared one whatever its source limited. profile None: it names no limit.
    """

    evse_id: int
    source: str
    cleared: bool
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class EvSchedule:
    """NotifyEVChargingSchedule: what a car says it will take, as an Absolute profile (K15.FR.11, K17)."""

    evse_id: int
    profile: Profile


@dataclass(frozen=True, slots=True)
class DriverWord:
    """What an exchange between station and CSMS says about a driver: priority -9..9, None = not said (K21, E01.FR.18).

    transaction_id: "" when it is about the token only. overrules: it is of the transaction and wins over the token's own.
    """

    transaction_id: str
    priority: int | None
    overrules: bool = False


@dataclass(frozen=True, slots=True)
class PriorityWord:
    """UsePriorityCharging or NotifyPriorityCharging: a transaction has priority, or not any more (K21, K22)."""

    transaction_id: str
    active: bool


TokenLookup = Callable[[Payload], "Payload | None"]
"""idToken -> idTokenInfo as the CSMS last said, or None when it never did or that is too old.

Both in one shape for all versions, that of 2.x: {"idToken": "AB12", "type": "ISO14443"} and
{"status": ..., "cacheExpiryDateTime": ..., "chargingPriority": ...}. A 1.6 idTag is
{"idToken": idTag, "type": ""}: 1.6 does not say what kind it is.
"""


class Dialect(Protocol):
    """One OCPP version. Implementations are stateless; state lives in the session."""

    subprotocol: str
    version: str
    assigns_transactions: bool
    """Whether the CSMS chooses the id of a transaction, in its answer to the start (1.6)."""
    has_modes: bool
    """Whether profiles have operation modes, setpoints and the kind Dynamic (2.1)."""
    profiles_replace: bool
    """Whether a profile silently replaces another of the same purpose and stack level at its place, and a TxProfile
    that names no transaction means the running one (1.6, 5.16.3); else such profiles are rejected (2.x)."""

    def observe(self, at: Stamp, station_id: str, action: str, payload: Payload, evse_hint: int = 0) -> list[Fact]:
        """Neutral facts in a CALL from the station. Never raises: what cannot be read is left out.

        evse_hint: the EVSE of the transaction, for messages that do not repeat it; 0 = unknown.
        A 1.6 start is told once its payload carries the "transactionId" of its answer, which the link
        puts there. A ``SessionChanged`` with transaction_id "" tells the charging state of whatever
        transaction runs at its EVSE, or of none (1.6 tells states and transactions apart): link/running
        names the transaction or keeps the state for the next.
        """

    def answer(self, at: Stamp, action: str, payload: Payload, known: TokenLookup) -> Payload | None:
        """The local answer to a station's CALL while upstream is away; None if there is none.

        known: idTokenInfo for an idToken from what the CSMS said before.
        """

    def refuse(self, action: str, payload: Payload) -> Payload | None:
        """The action's own valid "no" to a CALL of the CSMS; None if it has none."""

    def token_answer(self, action: str, request: Payload, result: Payload) -> tuple[Payload, Payload] | None:
        """(idToken, idTokenInfo) in an answer of the CSMS, for the authorisation cache; else None."""

    def status_key(self, payload: Payload) -> tuple[int, int]:
        """(EVSE, connector) of a StatusNotification."""

    def transaction_event(self, action: str, payload: Payload) -> TransactionEvent | None:
        """What the link must know of a transaction message; None for other messages."""

    def mark_offline(self, action: str, payload: Payload) -> Payload:
        """The payload as it goes upstream after an outage (offline flag set)."""

    def accepted(self, payload: Payload) -> tuple[bool, str]:
        """Whether the answer to one of our CALLs says Accepted, and its reason if not."""

    def boot_status(self, payload: Payload) -> str:
        """Status in a BootNotification answer: Accepted, Pending or Rejected."""

    def read_set_profile(self, payload: Payload, in_start: bool = False) -> tuple[int, Profile]:
        """(evse_id, profile) of a SetChargingProfile from upstream. Raises ProfileError.

        in_start: it came in a RequestStartTransaction, without transaction yet (K05).
        """

    def read_criteria(self, action: str, payload: Payload) -> ProfileCriteria:
        """Criteria of ClearChargingProfile or GetChargingProfiles."""

    def read_composite(self, payload: Payload) -> CompositeRequest:
        """The request of GetCompositeSchedule."""

    def write_composite(self, request: CompositeRequest, at: Stamp, steps: Sequence[LimitStep], voltage_v: float, phase_count: int = 3) -> Payload:
        """Answer to GetCompositeSchedule from steps of limits per phase [A]; phase_count: phases of the EVSE."""

    def rejected_profile(self, error: ProfileError) -> Payload:
        """Answer to a SetChargingProfile that cannot be accepted."""

    def report_profiles(self, request: Payload, found: Sequence[tuple[int, Profile]]) -> list[Payload]:
        """ReportChargingProfiles payloads that follow an accepted GetChargingProfiles."""

    def profile_in_start(self, payload: Payload) -> Payload | None:
        """A RequestStartTransaction's charging profile in the shape of SetChargingProfile, else None."""

    def starts_remotely(self, action: str) -> bool:
        """Whether a CALL of the CSMS orders a transaction to start: RequestStartTransaction, in 1.6 RemoteStartTransaction."""

    def remote_start_id(self, payload: Payload) -> int:
        """Id of a RequestStartTransaction, which its transaction repeats (K05)."""

    def started_transaction(self, payload: Payload) -> str | None:
        """The transaction named in an accepted answer to RequestStartTransaction; "" if none is named, None if not accepted."""

    def unknown_action(self, code: str) -> bool:
        """Whether an error code says that the peer does not know the action at all."""

    def without_profile(self, payload: Payload) -> Payload:
        """The RequestStartTransaction without its charging profile."""

    def risky_variables(self, payload: Payload) -> bool:
        """Whether SetVariables would change the link between station and Yardmaster (F27)."""

    def queue_status(self, payload: Payload, running: set[str], queued: set[str], any_queued: bool) -> Payload:
        """Answer to GetTransactionStatus from our own queue (E14)."""

    # -- transactions whose id is not the station's own (1.6) ------------------------------------------

    def started_by_answer(self, action: str, request: Payload, result: Payload) -> str | None:
        """The id an answer of the CSMS gives to the transaction its request started; None for all other messages."""

    def assign_transaction(self, answer: Payload, transaction_id: str) -> Payload:
        """The answer to a start with the id the station shall use."""

    def with_transaction(self, action: str, payload: Payload, transaction_id: str) -> Payload:
        """The message or command with another transaction id in the place where it names one."""

    def transaction_of_command(self, action: str, payload: Payload) -> str | None:
        """The transaction a CALL of the CSMS names; None if it names none."""

    # -- outages ------------------------------------------------------------------------------------------

    def thinnable(self, action: str, payload: Payload) -> bool:
        """Whether a queued message is a periodic reading that may be left out when there are too many (E12.FR.04).

        Never a first or last message of a transaction, never a change of state or a reached limit.
        """

    def retry_rules(self, action: str, request: Payload, result: Payload) -> RetryRules | None:
        """Repeat rules that an exchange between CSMS and station sets or tells (E13, TransactionMessageAttempts)."""

    def deauthorised(self, action: str, request: Payload, result: Payload) -> bool:
        """Whether the CSMS's answer to a transaction message says that its driver may not charge."""

    def stop_transaction(self, transaction_id: str) -> tuple[str, Payload]:
        """CALL that ends a transaction: (action, payload)."""

    # -- local list -------------------------------------------------------------------------------------------

    def list_update(self, action: str, request: Payload, result: Payload) -> ListUpdate | None:
        """The local list in a SendLocalList that the station accepted; None for anything else."""

    def list_version(self, action: str, result: Payload) -> int | None:
        """The list version a station reports in GetLocalListVersion (0 = none, -1 = not supported); None for anything else."""

    # -- secrets ----------------------------------------------------------------------------------------------

    def secret_change(self, action: str, payload: Payload) -> SecretChange | None:
        """The new connection password a CALL of the CSMS sets; None for any other."""

    def secret_accepted(self, action: str, request: Payload, result: Payload) -> bool:
        """Whether the station has taken the new password of ``secret_change``."""

    def redacted(self, action: str, payload: Payload) -> Payload:
        """The payload fit for logs, taps and recordings: passwords and keys replaced by "***" (A01.FR.09/12). Answers too."""

    def moves_station(self, action: str, payload: Payload) -> bool:
        """Whether a CALL would make the station dial somewhere else, or lower its security (F27)."""

    # -- 2.1 -----------------------------------------------------------------------------------------------------

    def own_profile_call(self, action: str, payload: Payload) -> Payload | None:
        """The answer to a 2.1 message about a single profile that is not kept here: PullDynamicScheduleUpdate,
        UpdateDynamicSchedule, UsePriorityCharging; None for any other."""

    # -- limits that are not the CSMS's (K11-K14) ------------------------------------------------------------

    def limit_notice(self, notice: LimitNotice) -> tuple[str, Payload] | None:
        """CALL that tells the CSMS of a limit: (action, payload); None in a version without it (1.6)."""

    def limit_cleared(self, evse_id: int, source: str) -> tuple[str, Payload] | None:
        """CALL that tells the CSMS that a limit is over; None in 1.6."""

    def limit_settings(self, action: str, request: Payload, result: Payload) -> LimitSettings | None:
        """What an exchange between CSMS and station says about LimitChangeSignificance and NotifyChargingLimitWithSchedules."""

    def external_limit(self, at: Stamp, action: str, payload: Payload) -> ExternalLimit | None:
        """A limit the station tells of; None for any other CALL."""

    # -- cars and drivers ---------------------------------------------------------------------------------------

    def ev_schedule(self, action: str, payload: Payload) -> EvSchedule | None:
        """What a car says it will take (NotifyEVChargingSchedule); None for any other CALL."""

    def driver_token(self, action: str, payload: Payload) -> Payload | None:
        """The idToken of the driver in a message that begins or goes on with a transaction; None if it names none."""

    def driver_word(self, action: str, request: Payload, result: Payload) -> DriverWord | None:
        """The chargingPriority in the CSMS's answer to a transaction message; None for any other exchange."""

    # -- our own CALLs to the station: (action, payload) --------------------------------------------------------

    def set_profile(self, setpoint: Setpoint) -> tuple[str, Payload]:
        """Brings a setpoint to the station as a profile of finite life, in the way of its strategy."""

    def purpose(self, setpoint: Setpoint) -> str:
        """The purpose ``set_profile`` gives it: that of its strategy, but "tx_default" for "tx" without a transaction it could name."""

    def update_profile(self, setpoint: Setpoint) -> tuple[str, Payload] | None:
        """Changes the Dynamic profile the station has from an earlier setpoint of the same make; None if it cannot be done so."""

    def set_floor(self, floor: Setpoint) -> tuple[str, Payload]:
        """Writes the persistent fallback, in the way of its strategy; its times mean nothing."""

    def clear_own(self, profile_id: int) -> tuple[str, Payload]:
        """Takes one of our profiles out."""

    def cleared(self, payload: Payload) -> bool:
        """Whether the answer to ``clear_own`` says that the profile is not there any more: taken out, or never known."""

    def clear_foreign(self, evse_id: int, floor: bool, strategy: Strategy) -> list[tuple[str, Payload]]:
        """Remove what stands in the way of our floor (or else of our setpoint) of this strategy at an EVSE."""

    def read_back(self, evse_id: int, duration_s: int, unit: str = "A") -> tuple[str, Payload]:
        """Asks for the composite schedule."""

    def read_back_steps(self, payload: Payload, at: Stamp, asked_s: float, voltage_v: float, phase_count: int = 3) -> tuple[LimitStep, ...]:
        """Limits per phase [A] in a composite schedule answer, the first the one in force; () when it has none.

        limit_a None: no limit, or none that can be read. phase_count: of the EVSE, for limits in W without phases.
        """

    def ask_status(self, evse_id: int) -> tuple[str, Payload]:
        """Makes the station report the status of an EVSE."""

    def set_available(self, evse_id: int, operative: bool) -> tuple[str, Payload]:
        """Makes an EVSE operative or inoperative."""

    def scheduled(self, payload: Payload) -> bool:
        """Whether the answer to ``set_available`` says that it has to wait for the end of a transaction."""

    def retry_after_s(self, payload: Payload) -> float | None:
        """How long the station wants to be left alone [s], when it has refused a profile for coming too soon; else None."""

    # -- what a station says it can do ---------------------------------------------------------------------------

    def ask_features(self, evse_ids: Sequence[int], most: int) -> list[tuple[str, Payload]]:
        """CALLs that ask for its features, at most so many in one; () where we only listen to what others ask."""

    def features(self, action: str, request: Payload, result: Payload) -> list[Feature]:
        """What an exchange tells about features: an answer of the station (result), or a CALL of it (result empty). Never raises."""

    # -- profiles that change in place (2.1) --------------------------------------------------------------------

    def read_update(self, payload: Payload) -> tuple[int, Payload]:
        """(profile id, new values) of an UpdateDynamicSchedule (K28). Raises ProfileError."""

    def updated_profile(self, profile: Profile, evse_id: int, values: Payload, now_wall_s: float) -> Profile:
        """A Dynamic profile with new values, judged like one that is set; now_wall_s: its update. Raises ProfileError."""

    def pull_update(self, profile_id: int) -> tuple[str, Payload] | None:
        """CALL that asks the CSMS for new values of a Dynamic profile (K28.FR.10); None in versions without it."""

    def pulled_values(self, answer: Payload) -> Payload | None:
        """The new values in its answer; None if it has none."""

    def pull_answer(self, ours: Setpoint | None) -> Payload:
        """The answer to a station that asks for values of a Dynamic profile of ours; None: there is no such profile."""

    def priority_word(self, action: str, payload: Payload) -> PriorityWord | None:
        """UsePriorityCharging of the CSMS, or NotifyPriorityCharging of the station; None for any other CALL."""

    def priority_answer(self, status: str) -> Payload:
        """The answer to a UsePriorityCharging: "Accepted", "Rejected" or "NoProfile"."""

    def priority_notice(self, word: PriorityWord) -> tuple[str, Payload] | None:
        """CALL that tells the CSMS that a transaction has priority, or not any more; None in versions without it."""

    def clear_others(self, criteria: ProfileCriteria) -> list[tuple[str, Payload]]:
        """CALLs that clear what meets the criteria (without ids and purpose) of every purpose but the station's maximum."""
