"""The CSMS's charging profiles of one station: kept here, answered from here, never sent down.

The station's stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6). What the CSMS sets is
stored durably, answered as the station would, told to the site as a wish, and reported back from
the same store. GetCompositeSchedule tells the truth: the lower of the wish, what the car will take
and what the station has really been told (K08). A setpoint in force is reported as holding on,
although the station knows it for two minutes only: it is renewed until something changes, and a CSMS
that asks for an hour wants to know what to expect.

Profiles that change in place (2.1) are in ``dynamic``, those that wait for a remote start in
``starts``. At a station in overlay mode the CSMS's profiles pass (``overlay``) and are booked here when
the station has taken them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from controller.facts import EvseKey, Fact, NeedsAnnounced, ScheduleAnnounced, Stamp
from controller.link.cars import Cars
from controller.link.downlink import Downlink
from controller.link.profile_view import ProfileView
from controller.link.starts import RemoteStart, Starts
from controller.link.steps import Steps
from controller.link.wishes import PRIORITIES_KEPT, Place, Transaction, Transactions, Wishes
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, EvSchedule, ExternalLimit, PriorityWord, ProfileCriteria, TransactionEvent
from controller.ocpp.profile_fields import MAX_PERIODS
from controller.ocpp.profile_support import check_modes
from controller.ocpp.schedule import Kind, Profile, ProfileError, Purpose
from controller.orders import Order, Persist, SendUpstream
from controller.snapshot import WhyProfile

__all__ = ["PROFILE_CALLS", "SPACE", "Profiles", "SendUp", "Transaction", "Transactions"]

Outcome = Order | Fact
Payload = dict[str, Any]

SPACE = "profiles"
PROFILE_CALLS = frozenset({"SetChargingProfile", "ClearChargingProfile", "GetChargingProfiles", "GetCompositeSchedule"})
"""What ``Profiles.csms_call`` answers; the names are the same in all versions."""
SendUp = Callable[[Stamp, str, Payload], list[Outcome]]
Then = Callable[[Stamp], list[Outcome]]


class _Change:
    """What a CALL of the CSMS has added and removed, to be undone if the disk cannot take it."""

    __slots__ = ("_added", "_removed")

    def __init__(self, before: list[Any], after: list[Any]) -> None:
        self._added = [entry for entry in after if entry not in before]
        self._removed = [entry for entry in before if entry not in after]

    def undone(self, now: list[Any]) -> list[Any]:
        """The profiles as they would be without it."""
        return [entry for entry in now if entry not in self._added] + self._removed


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An answer to the CSMS that waits for the disk. undo: of what cannot be written; then: what follows the answer."""

    upstream_generation: int
    text: str
    failed_text: str
    change: _Change
    then: Then | None = None
    undo: Callable[[], object] | None = None


class Profiles:
    """Store, answers and wishes of one station's upstream profiles. phases: EVSE id -> number of its phases.

    modes: operation modes an EVSE has announced, None = not asked about. cars: what connected cars said of their phases.
    """

    __slots__ = ("_cars", "_evse_ids", "_modes", "_phases", "_tokens", "_voltage_v", "_waiting", "dialect", "starts", "station_id", "truth", "view")

    def __init__(
        self,
        station_id: str,
        phases: Mapping[int, int],
        tokens: Callable[[], int],
        voltage_v: float,
        down: Downlink,
        timezone: tzinfo | None = None,
        modes: Callable[[int], Collection[str]] | None = None,
        cars: Cars | None = None,
    ) -> None:
        self.station_id = station_id
        self._modes = modes
        self._cars = cars or Cars(lambda _: False, lambda _: False)
        self.dialect: Dialect | None = None
        self._phases = phases
        self._evse_ids = tuple(phases)
        self.view = ProfileView(station_id, self._evse_ids)
        self.truth = Wishes(Place(station_id, phases, voltage_v, timezone), self.view, down)
        self._tokens = tokens
        self._voltage_v = voltage_v
        self._waiting: dict[int, _Waiting] = {}
        self.starts = Starts()

    # -- the journal's side -----------------------------------------------------------------------

    def load(self, data: Any) -> None:
        """The store as the journal remembered it."""
        if isinstance(data, dict):
            self.view.load(data.get("profiles", []))
            self.view.load_external(data.get("external"))
            self.truth.priority = tuple(str(key) for key in data.get("priority", ()))[-PRIORITIES_KEPT:]
            since = data.get("away_since_wall_s")
            self.truth.away_since_wall_s = float(since) if isinstance(since, int | float) else None
            self._cars.load(data.get("cars"))
            self.starts.load(data.get("starts", {}))

    def _dump(self) -> dict[str, Any]:
        more = {"external": self.view.dump_external(), "priority": list(self.truth.priority), "away_since_wall_s": self.truth.away_since_wall_s}
        more["cars"] = self._cars.dump()
        return {"profiles": self.view.dump(), "starts": self.starts.dump(), **{key: value for key, value in more.items() if value}}

    def _persist(self, token: int = 0) -> Persist:
        return Persist(token, remember={(SPACE, self.station_id): self._dump()})

    # -- CALLs of the CSMS -----------------------------------------------------------------------

    def csms_call(self, at: Stamp, generation: int, call: rpc.Call, transactions: Transactions, send_up: SendUp) -> list[Outcome]:
        """SetChargingProfile, ClearChargingProfile, GetChargingProfiles or GetCompositeSchedule."""
        if call.action == "SetChargingProfile":
            return self._set(at, generation, call, transactions)
        if call.action == "ClearChargingProfile":
            return self._clear(at, generation, call)
        if call.action == "GetChargingProfiles":
            return self._get(at, generation, call, send_up)
        return [self._answer(generation, call, self._composite(at, call.payload, transactions))]

    def _set(self, at: Stamp, generation: int, call: rpc.Call, transactions: Transactions) -> list[Outcome]:
        dialect, before = self._dialect(), self.view.dump()
        try:
            evse_id, profile = dialect.read_set_profile(call.payload)
            self._check(evse_id, profile)
            self.view.set(evse_id, _installed(profile, at), _ids(transactions), _surely_past(at), dialect.profiles_replace)
        except ProfileError as error:
            return [self._answer(generation, call, dialect.rejected_profile(error))]
        return self.store(generation, call, before)

    def _check(self, evse_id: int, profile: Profile) -> None:
        """Raises ProfileError for phases that the car does not take, or a mode that no EVSE it is meant for has announced (K01.FR.115)."""
        if not self._dialect().profiles_replace:
            self._cars.check(evse_id, profile)
        if self._modes is not None:
            places = (evse_id,) if evse_id else self._evse_ids
            check_modes(profile, {mode for place in places for mode in self._modes(place)})

    def _clear(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome]:
        before = self.view.dump()
        if not self.view.clear(self._dialect().read_criteria(call.action, call.payload)):
            return [self._answer(generation, call, {"status": "Unknown"})]
        return self.store(generation, call, before)

    def store(
        self, generation: int, call: rpc.Call, before: Any, then: Then | None = None, undo: Callable[[], object] | None = None
    ) -> list[Outcome]:
        """Accepted, as soon as the disk has it. before: the view as it was; then, undo: what follows if it is written, or not."""
        assert self.dialect is not None
        token = self._tokens()
        failed = rpc.error_text(call.message_id, "InternalError", "cannot store the profile", version=self.dialect.subprotocol)
        answer = rpc.result_text(call.message_id, {"status": "Accepted"})
        self._waiting[token] = _Waiting(generation, answer, failed, _Change(before, self.view.dump()), then, undo)
        return [self._persist(token)]

    def _get(self, at: Stamp, generation: int, call: rpc.Call, send_up: SendUp) -> list[Outcome]:
        dialect = self._dialect()
        found = self.view.select(dialect.read_criteria(call.action, call.payload))
        outcomes: list[Outcome] = [self._answer(generation, call, {"status": "Accepted" if found else "NoProfiles"})]
        for report in dialect.report_profiles(call.payload, found) if found else []:
            outcomes += send_up(at, "ReportChargingProfiles", report)
        return outcomes

    # -- profiles in remote starts (K05) -----------------------------------------------------------

    def remote_start(self, at: Stamp, call: rpc.Call, payload: Payload) -> Payload | None:
        """Keep the profile of a remote start for the transaction it starts; a refusal, or None."""
        dialect = self._dialect()
        try:
            # Without an EVSE the station chooses one; the profile is then good for any of them.
            evse_id, _ = dialect.read_set_profile(payload, in_start=True)
            if evse_id and evse_id not in self._evse_ids:
                raise ProfileError("UnknownEvse", f"EVSE {evse_id} does not exist")
        except ProfileError as error:
            return dialect.rejected_profile(error)
        self.starts.add(at, call.message_id, RemoteStart(evse_id, payload, at.wall_s, start_id=dialect.remote_start_id(call.payload)))
        return None

    def start_answered(self, at: Stamp, call: rpc.Call, answer: Payload | None, transactions: Transactions) -> list[Outcome]:
        """The station's answer to a remote start; None if it gave none or an error."""
        transaction_id = self._dialect().started_transaction(answer) if answer is not None else None
        if not self.starts.answered(call.message_id, transaction_id is not None):
            return []
        for evse_id, running in transactions.items():
            if transaction_id and running.transaction_id == transaction_id:
                return self._bind(at, call.message_id, evse_id, transaction_id, transactions)
        return [self._persist()]

    def seen(self, at: Stamp, evse_id: int, event: TransactionEvent, transactions: Transactions) -> list[Outcome]:
        """A live event of a running transaction: the profile of the remote start it names belongs to it."""
        key = self.starts.of(evse_id, event)
        return self._bind(at, key, evse_id, event.transaction_id, transactions) if key is not None else []

    def _bind(self, at: Stamp, key: str, evse_id: int, transaction_id: str, transactions: Transactions) -> list[Outcome]:
        start, dialect = self.starts.take(key), self._dialect()
        # The CSMS may have set another one for the same place meanwhile: then its newer word holds.
        with suppress(ProfileError):
            profile = replace(dialect.read_set_profile(start.payload, in_start=True)[1], transaction_id=transaction_id)
            self.view.set(evse_id, _installed(profile, at), _ids(transactions), _surely_past(at), dialect.profiles_replace)
        return [self._persist(), *self.wishes(at, transactions)]

    # -- profiles that change in place (K21, K22, K28) ---------------------------------------------------

    def update(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome]:
        """UpdateDynamicSchedule: judged, on disk, then Accepted (K28)."""
        dialect, before = self._dialect(), self.view.dump()
        try:
            profile_id, values = dialect.read_update(call.payload)
            self.renew(at, profile_id, values)
        except ProfileError as error:
            return [self._answer(generation, call, dialect.rejected_profile(error))]
        return self.store(generation, call, before)

    def renew(self, at: Stamp, profile_id: int, values: Payload, judged: bool = True) -> None:
        """New values for a Dynamic profile. Raises ProfileError, also if there is none of this id (K28.FR.11).

        judged: here; else by the station, which has taken them.
        """
        found = self.view.find(profile_id)
        if found is None or found[1].kind is not Kind.DYNAMIC:
            raise ProfileError("InvalidProfile", f"profile {profile_id} is not here, or not Dynamic (K28.FR.11)")
        updated = self._dialect().updated_profile(found[1], found[0], values, at.wall_s)
        if judged:
            self._cars.check_update(found[0], updated)
        self.view.update(updated)

    def pulled(self, at: Stamp, profile_id: int, values: Payload, transactions: Transactions) -> list[Outcome]:
        """New values the CSMS gave on being asked (K28.FR.08); what the rules forbid changes nothing."""
        with suppress(ProfileError):
            self.renew(at, profile_id, values)
            return [self._persist(), *self.wishes(at, transactions)]
        return []

    def use_priority(self, at: Stamp, generation: int, call: rpc.Call, transactions: Transactions, send_up: SendUp) -> list[Outcome]:
        """UsePriorityCharging: on disk, then Accepted, then told like a priority that the driver chose (K21, K22)."""
        dialect = self._dialect()
        word = dialect.priority_word(call.action, call.payload)
        status = self._priority_status(word, transactions) if word is not None else "Rejected"
        if word is None or status != "Accepted" or not self.truth.give_priority(word):
            return [self._answer(generation, call, dialect.priority_answer(status))]
        notice = dialect.priority_notice(word)
        opposite = PriorityWord(word.transaction_id, not word.active)
        return self.store(
            generation,
            call,
            self.view.dump(),
            then=lambda now: send_up(now, *notice) if notice is not None else [],
            undo=lambda: self.truth.give_priority(opposite),
        )

    def _priority_status(self, word: PriorityWord, transactions: Transactions) -> str:
        """K21.FR.01-06: a profile for the EVSE of the transaction or for all, and a transaction that runs; an end is always accepted."""
        evse_id = next((evse for evse, running in transactions.items() if running.transaction_id == word.transaction_id), None)
        if evse_id is None:
            return "Rejected" if word.active else "Accepted"
        return "Accepted" if not word.active or self.view.has_priority(evse_id) else "NoProfile"

    def priority_noticed(self, at: Stamp, word: PriorityWord, transactions: Transactions) -> list[Outcome]:
        """The driver chose at the station (K22)."""
        runs = any(running.transaction_id == word.transaction_id for running in transactions.values())
        news = (runs or not word.active) and self.truth.give_priority(word)
        return [self._persist(), *self.wishes(at, transactions)] if news else []

    def booked(self, at: Stamp, transactions: Transactions) -> list[Outcome]:
        """The station itself has changed what is kept here (overlay mode)."""
        return [self._persist(), *self.wishes(at, transactions)]

    def installed(self, at: Stamp, evse_id: int, profile: Profile, transactions: Transactions) -> Profile:
        """A profile as it is kept: a TxProfile of 1.6 without transaction means the running one, a Dynamic one counts from now."""
        running = transactions.get(evse_id)
        if profile.purpose is Purpose.TX and profile.transaction_id is None and running is not None:
            profile = replace(profile, transaction_id=running.transaction_id)
        return _installed(profile, at)

    # -- what limits beside OCPP, and what cars say ------------------------------------------------------------

    def external(self, at: Stamp, limit: ExternalLimit, transactions: Transactions) -> list[Outcome]:
        """The station tells of a limit of its own (K11-K13): it caps the wish."""
        if not self.view.set_external(limit.evse_id, limit.source, None if limit.cleared else limit.profile):
            return []
        return [self._persist(), *self.wishes(at, transactions)]

    def needs(self, needs: NeedsAnnounced) -> list[Outcome]:
        """A car says what it needs, and so which phases a profile for it may name."""
        return [self._persist()] if needs.evse.evse_id in self._phases and self._cars.seen(needs) else []

    def ev_schedule(self, at: Stamp, schedule: EvSchedule) -> list[Outcome]:
        """A car says what it will take (K15-K17): for the site, and lower than the composite (K08)."""
        if schedule.evse_id not in self._phases:
            return []
        self.truth.announced[schedule.evse_id] = schedule.profile
        return [ScheduleAnnounced(at, EvseKey(self.station_id, schedule.evse_id), self.truth.announced_steps(at, schedule.evse_id))]

    def soc(self, at: Stamp, evse_id: int, soc_percent: float, transactions: Transactions) -> list[Outcome]:
        """State of charge of a car, for profiles that depend on it (K01.FR.100)."""
        return self.wishes(at, transactions) if self.truth.soc(evse_id, soc_percent) else []

    # -- truth ----------------------------------------------------------------------------------------

    def _composite(self, at: Stamp, payload: Payload, transactions: Transactions) -> Payload:
        dialect = self._dialect()
        try:
            request = dialect.read_composite(payload)
        except ProfileError as error:
            return dialect.rejected_profile(error)
        if request.evse_id and request.evse_id not in self._evse_ids:
            return dialect.rejected_profile(ProfileError("UnknownEvse", f"EVSE {request.evse_id} does not exist"))
        steps: Steps = ()
        for span_s in self._spans(request.duration_s):
            steps = self.truth.truth(at, request.evse_id, span_s, transactions, request.unit == "W")
            if len(steps) > MAX_PERIODS and span_s < request.duration_s:
                request = replace(request, duration_s=span_s)
                break
        return dialect.write_composite(request, at, steps, self._voltage_v, self._phases.get(request.evse_id, self.truth.station_phases))

    def _spans(self, duration_s: int) -> tuple[int, ...]:
        """How far to look. Of many periods an answer holds but the first thousand: a whole week of them would hold the loop (F24)."""
        shorter = (3600, 86_400) if self.view.period_count > MAX_PERIODS else ()
        return (*(span_s for span_s in shorter if span_s < duration_s), duration_s)

    def chain(self, at: Stamp, evse_id: int, transactions: Transactions) -> tuple[WhyProfile, ...]:
        """The CSMS's profiles that count for an EVSE now, as "why" shows them."""
        layers = self.view.chain(evse_id, at.wall_s, self.truth.around(at, evse_id, transactions.get(evse_id)))
        return tuple(
            WhyProfile(
                layer.profile.profile_id,
                layer.purpose.value,
                layer.profile.stack_level,
                layer.said.limit_a,
                layer.said.setpoint_a,
                layer.counts,
                layer.binding,
            )
            for layer in layers
        )

    def wishes(self, at: Stamp, transactions: Transactions) -> list[Outcome]:
        """The wish of every EVSE and of the station, where it changed."""
        return self.truth.news(at, transactions)

    # -- events ---------------------------------------------------------------------------------------------

    def upstream_is(self, at: Stamp, here: bool, transactions: Transactions) -> list[Outcome]:
        """The CSMS is there, or away: some profiles end after a while without it (K01.FR.101-103)."""
        if here == (self.truth.away_since_wall_s is None):
            return []
        since_wall_s, self.truth.away_since_wall_s = self.truth.away_since_wall_s, None if here else at.wall_s
        if not self.view.minds_absence():
            return []
        if at.wall_trusted:
            self.view.drop_dead(at.wall_s, since_wall_s)
        return [self._persist(), *self.wishes(at, transactions)]

    def clock_moved(self, at: Stamp) -> float:
        """How far the wall clock has jumped since the last tick [s], 0.0 if it has not. After a jump all wishes are told anew."""
        return self.truth.clock_moved(at)

    def tick(self, at: Stamp, transactions: Transactions) -> list[Outcome]:
        """The horizon rolls on."""
        due = self.truth.due(at)
        dead = self.view.drop_dead(at.wall_s, self.truth.away_since_wall_s) if due and at.wall_trusted else 0
        unsaved, self.truth.unsaved = bool(dead) or self.truth.unsaved, False
        return [*([self._persist()] if unsaved else []), *(self.wishes(at, transactions) if due else [])]

    def started(self, at: Stamp, evse_id: int, transaction_id: str, transactions: Transactions) -> list[Outcome]:
        """A transaction began: profiles of one that ended without a word die now."""
        for placed_evse, profile in self.view.select(ProfileCriteria(evse_id=evse_id)):
            if profile.transaction_id is not None and profile.transaction_id != transaction_id:
                self.view.end_transaction(placed_evse, profile.transaction_id)
        return self._another_session(at, evse_id, transactions)

    def ended(self, at: Stamp, evse_id: int, transaction_id: str, transactions: Transactions) -> list[Outcome]:
        """A transaction ended: its profiles die with it (K02), and so does its priority."""
        self.view.end_transaction(evse_id, transaction_id)
        self._cars.gone(evse_id)
        return self._another_session(at, evse_id, transactions)

    def _another_session(self, at: Stamp, evse_id: int, transactions: Transactions) -> list[Outcome]:
        taken_back = self.truth.another_session(at, evse_id, transactions)
        return [self._persist(), *taken_back, *self.wishes(at, transactions)]

    def persisted(self, at: Stamp, token: int, transactions: Transactions, upstream_generation: int | None) -> list[Outcome]:
        """The disk has the profiles: now the CSMS may have its answer, and the site its wish."""
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            return []
        outcomes = self.wishes(at, transactions)
        if waiting.upstream_generation == upstream_generation:
            outcomes.append(SendUpstream(self.station_id, waiting.upstream_generation, waiting.text))
        return outcomes + (waiting.then(at) if waiting.then is not None else [])

    def persist_failed(self, at: Stamp, token: int, transactions: Transactions, upstream_generation: int | None) -> list[Outcome]:
        """The disk refused: so do we, and what the site has heard of it meanwhile is taken back."""
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            return []
        self.view.load(waiting.change.undone(self.view.dump()))
        self.view.drop_ended(_ids(transactions))
        if waiting.undo is not None:
            waiting.undo()
        self.truth.unsaved = True  # a later one that was written holds what has just been refused
        wishes = self.wishes(at, transactions)
        if waiting.upstream_generation != upstream_generation:
            return wishes
        return [*wishes, SendUpstream(self.station_id, waiting.upstream_generation, waiting.failed_text)]

    def _answer(self, generation: int, call: rpc.Call, payload: Payload) -> Order:
        return SendUpstream(self.station_id, generation, rpc.result_text(call.message_id, payload))

    def _dialect(self) -> Dialect:
        assert self.dialect is not None
        return self.dialect


def _ids(transactions: Transactions) -> dict[int, str]:
    return {evse_id: running.transaction_id for evse_id, running in transactions.items()}


def _surely_past(at: Stamp) -> float:
    """Until when what had an end is over: without the time nothing is (F78)."""
    return at.wall_s if at.wall_trusted else float("-inf")


def _installed(profile: Profile, at: Stamp) -> Profile:
    """A Dynamic profile counts from when it was installed (K28.FR.05)."""
    return replace(profile, updated_wall_s=at.wall_s) if profile.kind is Kind.DYNAMIC else profile
