"""The CSMS's charging profiles of one station: kept here, answered from here, never sent down.

The station's stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6). What the CSMS sets is
stored durably, answered as the station would, told to the site as a wish, and reported back from
the same store. GetCompositeSchedule tells the truth: the lower of the wish and what the station
has really been told (K08).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.facts import EvseKey, Fact, LimitStep, Stamp, UpstreamWished
from controller.link.downlink import Downlink
from controller.link.ids import IdSource
from controller.link.profile_view import ProfileView
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.ocpp.schedule import Profile, ProfileError
from controller.orders import Order, Persist, SendUpstream

Outcome = Order | Fact
Payload = dict[str, Any]

SPACE = "profiles"
HORIZON_S = 86_400
WISH_AGAIN_S = 900.0


@dataclass(frozen=True, slots=True)
class Transaction:
    """A running transaction of an EVSE."""

    transaction_id: str
    start_wall_s: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An answer to the CSMS that waits for the disk. before: the store to go back to if it cannot be written."""

    upstream_generation: int
    text: str
    failed_text: str
    before: Any


class Profiles:
    """Store, answers and wishes of one station's upstream profiles."""

    def __init__(
        self, station_id: str, evse_ids: tuple[int, ...], tokens: Callable[[], int], ids: IdSource, voltage_v: float, down: Downlink
    ) -> None:
        self.station_id = station_id
        self.dialect: Dialect | None = None
        self._evse_ids = evse_ids
        self._view = ProfileView(station_id, evse_ids)
        self._tokens = tokens
        self._ids = ids
        self._voltage_v = voltage_v
        self._down = down
        self._waiting: dict[int, _Waiting] = {}
        self._next: dict[int, Profile] = {}
        self._told: dict[int, Any] = {}
        self._wish_due_mono_s = float("-inf")

    def load(self, data: Any) -> None:
        """The store as the journal remembered it."""
        if data is not None:
            self._view.load(data)

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
            self._view.set(evse_id, profile, {evse: t.transaction_id for evse, t in transactions.items()}, at.wall_s)
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
        self._waiting[token] = _Waiting(generation, rpc.result_text(call.message_id, {"status": "Accepted"}), failed, before)
        return [self._persist(token)]

    def _persist(self, token: int = 0) -> Persist:
        return Persist(token, remember={(SPACE, self.station_id): self._view.dump()})

    def _get(self, at: Stamp, generation: int, call: rpc.Call, send_up: Callable[[Stamp, str, Payload], list[Outcome]]) -> list[Outcome]:
        dialect = self._dialect()
        found = self._view.select(dialect.read_criteria(call.action, call.payload))
        outcomes: list[Outcome] = [self._answer(generation, call, {"status": "Accepted" if found else "NoProfiles"})]
        for report in dialect.report_profiles(call.payload, found) if found else []:
            outcomes += send_up(at, "ReportChargingProfiles", report)
        return outcomes

    def for_next_transaction(self, at: Stamp, payload: Payload) -> Payload | None:
        """Keep the profile of a RequestStartTransaction for the transaction it starts (K05); a refusal, or None."""
        dialect = self._dialect()
        try:
            evse_id, profile = dialect.read_set_profile(payload, in_start=True)
        except ProfileError as error:
            return dialect.rejected_profile(error)
        self._next[evse_id] = profile
        return None

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
        return dialect.write_composite(request, at, steps, self._voltage_v)

    def _evse_truth(self, at: Stamp, evse_id: int, duration_s: int, transactions: Mapping[int, Transaction]) -> tuple[LimitStep, ...]:
        commanded_a = self._down.commanded_a(evse_id, at)
        wish = self._steps(at, evse_id, duration_s, transactions)
        return _minimum(wish, (LimitStep(at.wall_s, commanded_a),))

    def _steps(self, at: Stamp, evse_id: int, horizon_s: int, transactions: Mapping[int, Transaction]) -> tuple[LimitStep, ...]:
        running = transactions.get(evse_id)
        start_wall_s = running.start_wall_s if running is not None else at.wall_s
        return self._view.wish(evse_id, start_wall_s, at.wall_s, self._voltage_v, horizon_s)[0]

    def wishes(self, at: Stamp, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """The wish of every EVSE and of the station, where it changed."""
        self._wish_due_mono_s = at.mono_s + WISH_AGAIN_S / at.wall_speed
        outcomes: list[Outcome] = []
        for evse_id in (0, *self._evse_ids):
            running = transactions.get(evse_id)
            start_wall_s = running.start_wall_s if running is not None else at.wall_s
            steps, reason = self._view.wish(evse_id, start_wall_s, at.wall_s, self._voltage_v, HORIZON_S)
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

    def tick(self, at: Stamp, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """The horizon rolls on."""
        return self.wishes(at, transactions) if at.mono_s >= self._wish_due_mono_s else []

    def started(self, at: Stamp, evse_id: int, transaction_id: str, transactions: Mapping[int, Transaction]) -> list[Outcome]:
        """A transaction began: a profile that came with the remote start binds to it."""
        profile = self._next.pop(evse_id, None) or self._next.pop(0, None)
        outcomes: list[Outcome] = []
        if profile is not None:
            bound = replace(profile, transaction_id=transaction_id)
            try:
                self._view.set(evse_id, bound, {evse: t.transaction_id for evse, t in transactions.items()}, at.wall_s)
                outcomes.append(self._persist())
            except ProfileError:
                pass  # the CSMS set another one for the same place meanwhile: its newer word holds
        return [*outcomes, *self.wishes(at, transactions)]

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
        self._view.load(waiting.before)
        if waiting.upstream_generation != upstream_generation:
            return []
        return [SendUpstream(self.station_id, waiting.upstream_generation, waiting.failed_text)]

    def _answer(self, generation: int, call: rpc.Call, payload: Payload) -> Order:
        return SendUpstream(self.station_id, generation, rpc.result_text(call.message_id, payload))

    def _dialect(self) -> Dialect:
        assert self.dialect is not None
        return self.dialect


def _at(steps: tuple[LimitStep, ...], wall_s: float) -> float | None:
    limit_a: float | None = None
    for step in steps:
        if step.start_wall_s > wall_s:
            break
        limit_a = step.limit_a
    return limit_a


def _combine(layers: list[tuple[LimitStep, ...]], rule: Callable[[list[float | None]], float | None]) -> tuple[LimitStep, ...]:
    times = sorted({step.start_wall_s for layer in layers for step in layer})
    steps: list[LimitStep] = []
    for wall_s in times:
        limit_a = rule([_at(layer, wall_s) for layer in layers])
        if not steps or steps[-1].limit_a != limit_a:
            steps.append(LimitStep(wall_s, limit_a))
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
