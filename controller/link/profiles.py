"""The CSMS's charging profiles of one station: kept here, answered from here, never sent down.

The station's stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6). What the CSMS sets is
stored durably, answered as the station would, told to the site as a wish, and reported back from
the same store. GetCompositeSchedule tells the truth: the lower of the wish and what the station
has really been told (K08). A setpoint in force is reported as holding on, although the station
knows it for two minutes only: it is renewed until something changes, and a CSMS that asks for an
hour wants to know what to expect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from controller.facts import EvseKey, Fact, LimitStep, Stamp, UpstreamWished
from controller.link.downlink import Downlink
from controller.link.profile_view import ProfileView
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, ProfileCriteria, TransactionEvent
from controller.ocpp.schedule import ProfileError
from controller.orders import Order, Persist, SendUpstream

Outcome = Order | Fact
Payload = dict[str, Any]

SPACE = "profiles"
PROFILE_CALLS = frozenset({"SetChargingProfile", "ClearChargingProfile", "GetChargingProfiles", "GetCompositeSchedule"})
"""What ``Profiles.csms_call`` answers; the names are the same in all versions."""
HORIZON_S = 86_400
WISH_AGAIN_S = 900.0
JUMP_S = 5.0
"""Between two ticks the wall clock may be off the monotonic one by this much before it has jumped (F77)."""
START_WAITS_S = 600.0
"""How long a remote start's profile waits for its transaction [s]."""
STARTS_KEPT = 8
_STALE = object()


@dataclass(frozen=True, slots=True)
class Transaction:
    """A running transaction of an EVSE."""

    transaction_id: str
    start_wall_s: float


@dataclass(frozen=True, slots=True)
class RemoteStart:
    """A profile that came with a remote start and waits for its transaction (K05). evse_id 0: any.

    payload: in the shape of SetChargingProfile. start_id: what its transaction will repeat; 0 in 1.6, which has no such id.
    """

    evse_id: int
    payload: Payload
    asked_wall_s: float
    accepted: bool = False
    start_id: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An answer to the CSMS that waits for the disk. added, removed: what to undo if it cannot be written."""

    upstream_generation: int
    text: str
    failed_text: str
    added: list[Any]
    removed: list[Any]


class Profiles:
    """Store, answers and wishes of one station's upstream profiles. phases: EVSE id -> number of its phases."""

    __slots__ = (
        "_clock",
        "_down",
        "_evse_ids",
        "_next",
        "_phases",
        "_tokens",
        "_told",
        "_view",
        "_voltage_v",
        "_waiting",
        "_wish_due_mono_s",
        "dialect",
        "station_id",
    )

    def __init__(self, station_id: str, phases: Mapping[int, int], tokens: Callable[[], int], voltage_v: float, down: Downlink) -> None:
        self.station_id = station_id
        self.dialect: Dialect | None = None
        self._phases = phases
        self._evse_ids = tuple(phases)
        self._view = ProfileView(station_id, self._evse_ids)
        self._tokens = tokens
        self._voltage_v = voltage_v
        self._down = down
        self._waiting: dict[int, _Waiting] = {}
        self._next: dict[str, RemoteStart] = {}  # by the message id of the remote start
        self._told: dict[int, Any] = {}
        self._wish_due_mono_s = float("-inf")
        self._clock: Stamp | None = None  # as last seen

    def load(self, data: Any) -> None:
        """The store as the journal remembered it."""
        if isinstance(data, dict):
            self._view.load(data.get("profiles", []))
            for key, value in dict(data.get("starts", {})).items():
                start = RemoteStart(int(value["evse_id"]), value["payload"], float(value["asked_wall_s"]), bool(value["accepted"]))
                self._next[str(key)] = replace(start, start_id=int(value.get("start_id", 0)))

    # -- CALLs of the CSMS -----------------------------------------------------------------------

    def csms_call(
        self,
        at: Stamp,
        generation: int,
        call: rpc.Call,
        transactions: Mapping[int, Transaction],
        send_up: Callable[[Stamp, str, Payload], list[Outcome]],
    ) -> list[Outcome]:
        """SetChargingProfile, ClearChargingProfile, GetChargingProfiles or GetCompositeSchedule."""
        if call.action == "SetChargingProfile":
            return self._set(at, generation, call, transactions)
        if call.action == "ClearChargingProfile":
            return self._clear(at, generation, call)
        if call.action == "GetChargingProfiles":
            return self._get(at, generation, call, send_up)
        return [self._answer(generation, call, self._composite(at, call.payload, transactions))]

    def _set(self, at: Stamp, generation: int, call: rpc.Call, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        dialect = self._dialect()
        before = self._view.dump()
        try:
            evse_id, profile = dialect.read_set_profile(call.payload)
            self._view.set(evse_id, profile, _ids(transactions), at.wall_s, dialect.profiles_replace)
        except ProfileError as error:
            return [self._answer(generation, call, dialect.rejected_profile(error))]
        return self._store(generation, call, before)

    def _clear(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome]:
        before = self._view.dump()
        removed = self._view.clear(self._dialect().read_criteria(call.action, call.payload))
        if not removed:
            return [self._answer(generation, call, {"status": "Unknown"})]
        return self._store(generation, call, before)

    def _store(self, generation: int, call: rpc.Call, before: Any) -> list[Outcome]:
        assert self.dialect is not None
        token = self._tokens()
        failed = rpc.error_text(call.message_id, "InternalError", "cannot store the profile", version=self.dialect.subprotocol)
        after = self._view.dump()
        added = [entry for entry in after if entry not in before]
        removed = [entry for entry in before if entry not in after]
        answer = rpc.result_text(call.message_id, {"status": "Accepted"})
        self._waiting[token] = _Waiting(generation, answer, failed, added, removed)
        return [self._persist(token)]

    def _persist(self, token: int = 0) -> Persist:
        starts = {str(key): asdict(start) for key, start in self._next.items()}
        return Persist(token, remember={(SPACE, self.station_id): {"profiles": self._view.dump(), "starts": starts}})

    def _get(self, at: Stamp, generation: int, call: rpc.Call, send_up: Callable[[Stamp, str, Payload], list[Outcome]]) -> list[Outcome]:
        dialect = self._dialect()
        found = self._view.select(dialect.read_criteria(call.action, call.payload))
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
        self._forget_old_starts(at)
        self._next[call.message_id] = RemoteStart(evse_id, payload, at.wall_s, start_id=dialect.remote_start_id(call.payload))
        return None

    def _forget_old_starts(self, at: Stamp) -> None:
        self._next = {key: start for key, start in self._next.items() if at.wall_s - start.asked_wall_s < START_WAITS_S * at.wall_speed}
        while len(self._next) >= STARTS_KEPT:
            del self._next[next(iter(self._next))]

    def start_answered(self, at: Stamp, call: rpc.Call, answer: Payload | None, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """The station's answer to a remote start; None if it gave none or an error."""
        key = call.message_id
        start = self._next.get(key)
        if start is None:
            return []
        transaction_id = self._dialect().started_transaction(answer) if answer is not None else None
        if transaction_id is None:
            del self._next[key]
            return []
        self._next[key] = replace(start, accepted=True)
        for evse_id, running in transactions.items():
            if transaction_id and running.transaction_id == transaction_id:
                return self._bind(at, key, evse_id, transaction_id, transactions)
        return [self._persist()]

    def seen(self, at: Stamp, evse_id: int, event: TransactionEvent, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """A live event of a running transaction: the profile of the remote start it names belongs to it."""
        key = self._start_of(evse_id, event)
        return self._bind(at, key, evse_id, event.transaction_id, transactions) if key is not None else []

    def _start_of(self, evse_id: int, event: TransactionEvent) -> str | None:
        if event.remote_start_id is not None:
            return next((key for key, start in self._next.items() if start.start_id == event.remote_start_id), None)
        if not event.started:
            return None
        # 1.6 has no such id and some stations leave it out; then the start that was accepted for this place it must be.
        return next((key for key, start in self._next.items() if start.accepted and start.evse_id in (0, evse_id)), None)

    def _bind(self, at: Stamp, key: str, evse_id: int, transaction_id: str, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        start = self._next.pop(key)
        dialect = self._dialect()
        # The CSMS may have set another one for the same place meanwhile: then its newer word holds.
        with suppress(ProfileError):
            profile = replace(dialect.read_set_profile(start.payload, in_start=True)[1], transaction_id=transaction_id)
            self._view.set(evse_id, profile, _ids(transactions), at.wall_s, dialect.profiles_replace)
        return [self._persist(), *self.wishes(at, transactions)]

    # -- truth ----------------------------------------------------------------------------------------

    def _composite(self, at: Stamp, payload: Payload, transactions: Mapping[int, Transaction]) -> Payload:
        dialect = self._dialect()
        try:
            request = dialect.read_composite(payload)
        except ProfileError as error:
            return dialect.rejected_profile(error)
        if request.evse_id and request.evse_id not in self._evse_ids:
            return dialect.rejected_profile(ProfileError("UnknownEvse", f"EVSE {request.evse_id} does not exist"))
        evses = (request.evse_id,) if request.evse_id else self._evse_ids
        layers = [self._evse_truth(at, evse_id, request.duration_s, transactions) for evse_id in evses]
        steps = layers[0] if request.evse_id else _minimum(_sum(layers), self._steps(at, 0, request.duration_s, transactions))
        return dialect.write_composite(request, at, steps, self._voltage_v, self._phases.get(request.evse_id, 3))

    def _evse_truth(self, at: Stamp, evse_id: int, duration_s: int, transactions: Mapping[int, Transaction]) -> tuple[LimitStep, ...]:
        commanded_a = self._down.commanded_a(evse_id, at)
        wish = self._steps(at, evse_id, duration_s, transactions)
        return _minimum(wish, (LimitStep(at.wall_s, commanded_a),))

    def _steps(self, at: Stamp, evse_id: int, horizon_s: int, transactions: Mapping[int, Transaction]) -> tuple[LimitStep, ...]:
        return self._wish(at, evse_id, horizon_s, transactions)[0]

    def _wish(self, at: Stamp, evse_id: int, horizon_s: int, transactions: Mapping[int, Transaction]) -> tuple[tuple[LimitStep, ...], str]:
        running = transactions.get(evse_id)
        # No session begins in the future; one remembered from before we lost the time begins now.
        start_wall_s = min(running.start_wall_s, at.wall_s) if running is not None else at.wall_s
        # The sum of a station may be spread over other phases than each EVSE has.
        phases = self._phases.get(evse_id, 3) if len(self._phases) > 1 else max(self._phases.values())
        return self._view.wish(evse_id, start_wall_s, at.wall_s, self._voltage_v, horizon_s, at.wall_trusted, phases)

    def wishes(self, at: Stamp, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """The wish of every EVSE and of the station, where it changed."""
        self._wish_due_mono_s = at.mono_s + WISH_AGAIN_S / at.wall_speed
        outcomes: list[Outcome] = []
        for evse_id in (0, *self._evse_ids):
            steps, reason = self._wish(at, evse_id, HORIZON_S, transactions)
            known = self._told.get(evse_id)
            empty = all(step.limit_a is None for step in steps)
            # The first step begins "now" each time; only what it says is news.
            news = (tuple((max(step.start_wall_s, at.wall_s), step.limit_a) for step in steps[1:]), steps[0].limit_a if steps else None, reason)
            if known == news or (empty and known is None):
                continue
            self._told[evse_id] = news
            outcomes.append(UpstreamWished(at, EvseKey(self.station_id, evse_id), steps, reason))
        return outcomes

    # -- events ---------------------------------------------------------------------------------------------

    def clock_moved(self, at: Stamp) -> float:
        """How far the wall clock has jumped since the last tick [s], 0.0 if it has not. After a jump all wishes are told anew."""
        before, self._clock = self._clock, at
        moved_s = at.wall_s - before.wall_in(at.mono_s - before.mono_s) if before is not None else 0.0
        if before is None or (abs(moved_s) <= JUMP_S and at.wall_trusted == before.wall_trusted):
            return 0.0
        self._told = dict.fromkeys(self._told, _STALE)
        self._wish_due_mono_s = float("-inf")
        return moved_s

    def tick(self, at: Stamp, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """The horizon rolls on."""
        return self.wishes(at, transactions) if at.mono_s >= self._wish_due_mono_s else []

    def started(self, at: Stamp, evse_id: int, transaction_id: str, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """A transaction began: profiles of one that ended without a word die now."""
        for placed_evse, profile in self._view.select(ProfileCriteria(evse_id=evse_id)):
            if profile.transaction_id is not None and profile.transaction_id != transaction_id:
                self._view.end_transaction(placed_evse, profile.transaction_id)
        return [self._persist(), *self.wishes(at, transactions)]

    def ended(self, at: Stamp, evse_id: int, transaction_id: str, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """A transaction ended: its profiles die with it (K02)."""
        self._view.end_transaction(evse_id, transaction_id)
        return [self._persist(), *self.wishes(at, transactions)]

    def persisted(self, at: Stamp, token: int, transactions: Mapping[int, Transaction], upstream_generation: int | None) -> list[Outcome]:
        """The disk has the profiles: now the CSMS may have its answer, and the site its wish."""
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            return []
        outcomes = self.wishes(at, transactions)
        if waiting.upstream_generation == upstream_generation:
            outcomes.append(SendUpstream(self.station_id, waiting.upstream_generation, waiting.text))
        return outcomes

    def persist_failed(self, token: int, upstream_generation: int | None) -> list[Outcome]:
        """The disk refused: so do we."""
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            return []
        self._view.load([entry for entry in self._view.dump() if entry not in waiting.added] + waiting.removed)
        if waiting.upstream_generation != upstream_generation:
            return []
        return [SendUpstream(self.station_id, waiting.upstream_generation, waiting.failed_text)]

    def _answer(self, generation: int, call: rpc.Call, payload: Payload) -> Order:
        return SendUpstream(self.station_id, generation, rpc.result_text(call.message_id, payload))

    def _dialect(self) -> Dialect:
        assert self.dialect is not None
        return self.dialect


def _ids(transactions: Mapping[int, Transaction]) -> dict[int, str]:
    return {evse_id: running.transaction_id for evse_id, running in transactions.items()}


def _combine(layers: list[tuple[LimitStep, ...]], rule: Callable[[list[float | None]], float | None]) -> tuple[LimitStep, ...]:
    """Walk all layers side by side, each once: a week of short periods must not hold the loop (P3)."""
    moments = sorted((step.start_wall_s, index, place) for index, layer in enumerate(layers) for place, step in enumerate(layer))
    now: list[float | None] = [None] * len(layers)
    steps: list[LimitStep] = []
    for position, (wall_s, index, place) in enumerate(moments):
        now[index] = layers[index][place].limit_a
        if position + 1 < len(moments) and moments[position + 1][0] == wall_s:
            continue
        value = rule(now)
        if not steps or steps[-1].limit_a != value:
            steps.append(LimitStep(wall_s, value))
    return tuple(steps)


def _minimum(*layers: tuple[LimitStep, ...]) -> tuple[LimitStep, ...]:
    """The lowest of several layers over time; None is no limit."""

    def lowest(limits: list[float | None]) -> float | None:
        known = [limit for limit in limits if limit is not None]
        return min(known) if known else None

    return _combine(list(layers), lowest)


def _sum(layers: list[tuple[LimitStep, ...]]) -> tuple[LimitStep, ...]:
    """The sum of several EVSEs over time; unlimited if one of them is."""

    def total(limits: list[float | None]) -> float | None:
        return None if any(limit is None for limit in limits) else sum(limit for limit in limits if limit is not None)

    return _combine(layers, total)
