"""The charging profiles inside a simulated station, by the book of 2.x; ``v16.profiles`` has what 1.6 does otherwise.

Written apart from the controller's own schedule code, so that each can prove the other wrong.
Within a purpose the highest valid stack level wins outright; across purposes the minimum counts
(K08.FR.04). A TxProfile outside its validity or behind its duration falls back to the TxDefault
(K02.FR.08): that is the dead man the controller relies on. No profile at all = unlimited (K06.FR.02).
``stored`` has what one profile says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.sim.stored import DYNAMIC, RECURRENCE_S, Offer, Stored, lowest
from controller.sim.wire import Payload

TX, TX_DEFAULT, STATION_MAX = "TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"
MAX_STACK_LEVEL = 10
MAX_PERIODS = 24
MODES = ("ChargingOnly", "CentralSetpoint", "Idle")
BOOK, LOWEST, NEWEST = "book", "lowest", "newest"


@dataclass(frozen=True, slots=True)
class Session:
    """The part of a transaction that profiles depend on. started_wall_s: zero of Relative schedules."""

    transaction_id: str
    started_wall_s: float


class ProfileStore:
    """Every profile of one station. evse_id 0 is the station itself.

    needs_start: kinds that must say when they begin. revision: rises with every change. offline_wall_s: since when the
    station is offline, None = it is not. stacking: "book"; "lowest" and "newest" are bad habits: the lowest of all valid
    profiles counts, or the one set last. modes: the operation modes it takes (2.1).
    """

    needs_start: tuple[str, ...] = ("Absolute", "Recurring")

    def __init__(self, evse_ids: tuple[int, ...], dynamic: bool = False) -> None:
        self.revision = 0
        self.stacking = BOOK
        self.modes = MODES
        self.offline_wall_s: float | None = None
        self.dynamic = dynamic
        self._evse_ids = evse_ids
        self._stored: dict[int, Stored] = {}
        self._order: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._stored)

    # -- what others do to it ----------------------------------------------------------------------

    def put(self, evse_id: int, body: Payload, session: Session | None, wall_s: float = 0.0) -> str:
        """Install a profile. Returns "" or the reason code of the rejection (K01)."""
        reason = self._objection(evse_id, body, session)
        if not reason:
            self.revision += 1
            self._stored[int(body["id"])] = Stored(evse_id, body, wall_s)
            self._order[int(body["id"])] = self.revision
        return reason

    def update(self, profile_id: int, update: Payload, wall_s: float) -> bool:
        """UpdateDynamicSchedule (K28); False if there is no such dynamic profile."""
        old = self._stored.get(profile_id)
        if old is None or old.kind != DYNAMIC:
            return False
        self.revision += 1
        self._stored[profile_id] = old.updated(update, wall_s)
        return True

    def clear(self, profile_id: int | None, criteria: Payload) -> int:
        """Remove by id, or by any AND-combination of EVSE, purpose and stack level (K10); number removed."""
        gone = [item.id for item in self._stored.values() if _matches(item, profile_id, criteria)]
        for item_id in gone:
            del self._stored[item_id]
        self.revision += bool(gone)
        return len(gone)

    def select(self, evse_id: int | None, criteria: Payload) -> list[Stored]:
        """Profiles for GetChargingProfiles (K09); evse_id None = all."""
        ids = criteria.get("chargingProfileId")
        return [
            item
            for item in self._stored.values()
            if (evse_id is None or item.evse_id == evse_id) and (ids is None or item.id in ids) and _matches(item, None, criteria)
        ]

    def end_session(self, evse_id: int) -> None:
        """TxProfiles die with their transaction."""
        self.clear(None, {"evseId": evse_id, "chargingProfilePurpose": TX})

    def forget_volatile(self) -> None:
        """A reboot: only TxDefault and station maximum survive."""
        self.clear(None, {"chargingProfilePurpose": TX})

    def offline(self, wall_s: float) -> None:
        """The link is gone."""
        self.offline_wall_s = wall_s if self.offline_wall_s is None else self.offline_wall_s

    def online(self, wall_s: float) -> None:
        """The link is back. What was not to outlive such an absence is gone for good (K01.FR.103)."""
        since = self.offline_wall_s
        self.offline_wall_s = None
        self.revision += 1
        for item in list(self._stored.values()) if since is not None else ():
            if item.body.get("invalidAfterOfflineDuration") and since is not None and wall_s - since >= item.offline_s:
                self.clear(item.id, {})

    # -- what they mean ----------------------------------------------------------------------------

    def offer(self, evse_id: int, wall_s: float, session: Session | None) -> Offer | None:
        """From the transaction layer: TxProfile, else TxDefault; None = nothing applies."""
        started = session.started_wall_s if session else wall_s
        if self.stacking != BOOK:
            return self._misled(evse_id, wall_s, started, session)
        found = self._leading(TX, (evse_id,), wall_s, started) if session is not None else None
        return found if found is not None else self._default(evse_id, wall_s, started)

    def station_offer(self, wall_s: float) -> Offer | None:
        """For the sum of all EVSEs (K04)."""
        return self._leading(STATION_MAX, (0,), wall_s, wall_s)

    def evse_limit_a(self, evse_id: int, wall_s: float, session: Session | None) -> float | None:
        """Limit per phase [A] from the transaction layer; None = unlimited."""
        found = self.offer(evse_id, wall_s, session)
        return None if found is None else found.limit_a

    def station_limit_a(self, wall_s: float) -> float | None:
        """Limit per phase [A] of the sum of all EVSEs (K04)."""
        found = self.station_offer(wall_s)
        return None if found is None else found.limit_a

    def edges(self, start_wall_s: float, end_wall_s: float, started_wall_s: float) -> list[float]:
        """Moments in a window at which any limit may change, ascending, beginning with its start."""
        away = self.offline_wall_s
        inside = {edge for item in self._stored.values() for edge in item.edges(start_wall_s, end_wall_s, started_wall_s, away)}
        return [start_wall_s, *sorted(inside)]

    def _default(self, evse_id: int, wall_s: float, started_wall_s: float) -> Offer | None:
        return self._leading(TX_DEFAULT, (evse_id, 0), wall_s, started_wall_s)

    def _leading(self, purpose: str, evse_ids: tuple[int, ...], wall_s: float, started_wall_s: float) -> Offer | None:
        rows = [item for item in self._stored.values() if item.purpose == purpose and item.evse_id in evse_ids]
        return self._first(sorted(rows, key=lambda item: item.stack_level, reverse=True), wall_s, started_wall_s)

    def _first(self, rows: Iterable[Stored], wall_s: float, started_wall_s: float) -> Offer | None:
        for item in rows:
            found = item.offer(wall_s, started_wall_s, self.offline_wall_s)
            if found is not None:
                return found
        return None

    def _misled(self, evse_id: int, wall_s: float, started_wall_s: float, session: Session | None) -> Offer | None:
        """What a box makes of it that has not understood stacking."""
        purposes = (TX_DEFAULT,) if session is None else (TX, TX_DEFAULT)
        rows = [item for item in self._stored.values() if item.purpose in purposes and item.evse_id in (evse_id, 0)]
        rows.sort(key=lambda item: self._order[item.id], reverse=True)
        if self.stacking == NEWEST:
            return self._first(rows, wall_s, started_wall_s)
        found: Offer | None = None
        for item in rows:
            found = lowest(found, item.offer(wall_s, started_wall_s, self.offline_wall_s))
        return found

    # -- what it refuses ---------------------------------------------------------------------------

    def _objection(self, evse_id: int, body: Payload, session: Session | None) -> str:
        purpose = body["chargingProfilePurpose"]
        if evse_id != 0 and evse_id not in self._evse_ids:
            return "UnknownEvse"
        allowed = {
            TX: evse_id > 0,
            TX_DEFAULT: True,
            STATION_MAX: evse_id == 0 and body["chargingProfileKind"] != "Relative",
        }
        if not allowed.get(purpose, False):
            return "InvalidProfile"
        if purpose == TX and not self._fits(body, session):
            return "TxNotFound"
        if not 0 <= body["stackLevel"] <= MAX_STACK_LEVEL:
            return "InvalidStackLevel"
        return self._schedule_objection(body) or self._duplicate(evse_id, body)

    def _fits(self, body: Payload, session: Session | None) -> bool:
        return session is not None and body.get("transactionId") == session.transaction_id

    def _schedule_objection(self, body: Payload) -> str:
        schedules = body["chargingSchedule"]
        if len(schedules) != 1:
            return "InvalidSchedule"
        periods = schedules[0]["chargingSchedulePeriod"]
        starts = [item["startPeriod"] for item in periods]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or len(starts) > MAX_PERIODS:
            return "InvalidSchedule"
        kind = body["chargingProfileKind"]
        if kind == DYNAMIC and (not self.dynamic or len(starts) != 1):
            return "InvalidProfile" if not self.dynamic else "InvalidSchedule"
        if kind in self.needs_start and "startSchedule" not in schedules[0]:
            return "InvalidSchedule"
        if kind == "Recurring" and body.get("recurrencyKind") not in RECURRENCE_S:
            return "InvalidProfile"
        return next((reason for item in periods if (reason := self._period_objection(body, item))), "")

    def _period_objection(self, body: Payload, period: Payload) -> str:
        """The operation modes of 2.1 (Q, K01.FR.111 ff.); what says no mode only charges and needs a limit."""
        mode = period.get("operationMode", "ChargingOnly")
        if mode not in self.modes or (mode != "ChargingOnly" and body["chargingProfilePurpose"] not in (TX, TX_DEFAULT)):
            return "InvalidOperationMode"
        if mode == "ChargingOnly":
            return "" if "limit" in period and "setpoint" not in period and "dischargeLimit" not in period else "InvalidSchedule"
        if mode == "CentralSetpoint" and "setpoint" not in period:
            return "InvalidSchedule"
        return ""

    def _duplicate(self, evse_id: int, body: Payload) -> str:
        """K01.FR.39, K01.FR.52, K01.FR.53: same place and level under another id."""
        new = Stored(evse_id, body)
        for old in self._stored.values():
            same_place = old.evse_id == evse_id or (new.purpose == TX_DEFAULT and 0 in (old.evse_id, evse_id))
            if old.id != new.id and same_place and (old.purpose, old.stack_level) == (new.purpose, new.stack_level) and _overlap(old, new):
                return "DuplicateProfile"
        return ""


def _overlap(one: Stored, other: Stored) -> bool:
    (start, end), (other_start, other_end) = one.window, other.window
    return start < other_end and other_start < end


def _matches(item: Stored, profile_id: int | None, criteria: Payload) -> bool:
    wanted = (
        (profile_id, item.id),
        (criteria.get("evseId"), item.evse_id),
        (criteria.get("chargingProfilePurpose"), item.purpose),
        (criteria.get("stackLevel"), item.stack_level),
    )
    return all(value is None or value == actual for value, actual in wanted)
