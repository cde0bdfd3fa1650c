"""The charging profiles inside a simulated station, by the book of 2.x; ``v16.profiles`` has what 1.6 does otherwise.

Written apart from the controller's own schedule code, so that each can prove the other wrong.
Within a purpose the highest valid stack level wins outright; across purposes the minimum counts
(K08.FR.04). A TxProfile outside its validity or behind its duration falls back to the TxDefault
(K02.FR.08): that is the dead man the controller relies on. No profile at all = unlimited (K06.FR.02).
A body is a chargingProfile as 2.x writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.sim.car import VOLTAGE_V
from controller.sim.wire import Payload, unix

TX, TX_DEFAULT, STATION_MAX = "TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"
RECURRENCE_S = {"Daily": 86_400.0, "Weekly": 7 * 86_400.0}
FOREVER_S = float("inf")


@dataclass(frozen=True, slots=True)
class Session:
    """The part of a transaction that profiles depend on. started_wall_s: zero of Relative schedules."""

    transaction_id: str
    started_wall_s: float


@dataclass(frozen=True, slots=True)
class Stored:
    """One installed profile, as it was sent."""

    evse_id: int
    body: Payload

    @property
    def id(self) -> int:
        """chargingProfile.id."""
        return int(self.body["id"])

    @property
    def purpose(self) -> str:
        """chargingProfilePurpose."""
        return str(self.body["chargingProfilePurpose"])

    @property
    def stack_level(self) -> int:
        """stackLevel; higher wins."""
        return int(self.body["stackLevel"])

    @property
    def window(self) -> tuple[float, float]:
        """validFrom (inclusive) and validTo (exclusive) as Unix seconds (K01.FR.36, K01.FR.37)."""
        start, end = self.body.get("validFrom"), self.body.get("validTo")
        return (unix(start) if start else -FOREVER_S, unix(end) if end else FOREVER_S)

    def limit_a(self, wall_s: float, started_wall_s: float) -> float | None:
        """Limit per phase [A] at a moment; None while the profile does not apply."""
        valid_from, valid_to = self.window
        if not valid_from <= wall_s < valid_to:
            return None
        schedule = self.body["chargingSchedule"][0]
        since_s = self._since(schedule, wall_s, started_wall_s)
        if since_s < 0 or since_s >= schedule.get("duration", FOREVER_S):
            return None
        period = [item for item in schedule["chargingSchedulePeriod"] if item["startPeriod"] <= since_s][-1]
        return _amps(float(period["limit"]), schedule["chargingRateUnit"], int(period.get("numberPhases", 3)))

    def edges(self, start_wall_s: float, end_wall_s: float, started_wall_s: float) -> Iterator[float]:
        """Moments in the window at which the limit may change."""
        schedule = self.body["chargingSchedule"][0]
        zero = start_wall_s - self._since(schedule, start_wall_s, started_wall_s)
        offsets = [float(item["startPeriod"]) for item in schedule["chargingSchedulePeriod"]]
        offsets.append(float(schedule.get("duration", FOREVER_S)))
        period_s = RECURRENCE_S.get(self.body.get("recurrencyKind", ""), FOREVER_S)
        repeats = 1 if period_s == FOREVER_S else int((end_wall_s - zero) // period_s) + 1
        moments = [zero + (turn * period_s if turn else 0.0) + offset for turn in range(repeats) for offset in offsets]
        yield from (moment for moment in (*moments, *self.window) if start_wall_s < moment < end_wall_s)

    def _since(self, schedule: Payload, wall_s: float, started_wall_s: float) -> float:
        if self.body["chargingProfileKind"] == "Relative" or "startSchedule" not in schedule:
            return wall_s - started_wall_s
        since_s = wall_s - unix(schedule["startSchedule"])
        if self.body["chargingProfileKind"] == "Recurring" and since_s >= 0:
            since_s %= RECURRENCE_S[self.body["recurrencyKind"]]
        return since_s


class ProfileStore:
    """Every profile of one station. evse_id 0 is the station itself. needs_start: kinds that must say when they begin."""

    needs_start: tuple[str, ...] = ("Absolute", "Recurring")

    def __init__(self, evse_ids: tuple[int, ...]) -> None:
        self._evse_ids = evse_ids
        self._stored: dict[int, Stored] = {}

    def __len__(self) -> int:
        return len(self._stored)

    def put(self, evse_id: int, body: Payload, session: Session | None) -> str:
        """Install a profile. Returns "" or the reason code of the rejection (K01)."""
        reason = self._objection(evse_id, body, session)
        if not reason:
            self._stored[int(body["id"])] = Stored(evse_id, body)
        return reason

    def clear(self, profile_id: int | None, criteria: Payload) -> int:
        """Remove by id, or by any AND-combination of EVSE, purpose and stack level (K10); number removed."""
        gone = [item.id for item in self._stored.values() if _matches(item, profile_id, criteria)]
        for item_id in gone:
            del self._stored[item_id]
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

    def evse_limit_a(self, evse_id: int, wall_s: float, session: Session | None) -> float | None:
        """Limit per phase [A] from the transaction layer: TxProfile, else TxDefault, else None."""
        started = session.started_wall_s if session else wall_s
        if session is not None:
            limit_a = self._leading(TX, (evse_id,), wall_s, started)
            if limit_a is not None:
                return limit_a
        return self._default_a(evse_id, wall_s, started)

    def _default_a(self, evse_id: int, wall_s: float, started_wall_s: float) -> float | None:
        return self._leading(TX_DEFAULT, (evse_id, 0), wall_s, started_wall_s)

    def station_limit_a(self, wall_s: float) -> float | None:
        """Limit per phase [A] of the sum of all EVSEs (K04)."""
        return self._leading(STATION_MAX, (0,), wall_s, wall_s)

    def edges(self, start_wall_s: float, end_wall_s: float, started_wall_s: float) -> list[float]:
        """Moments in a window at which any limit may change, ascending, beginning with its start."""
        inside = {edge for item in self._stored.values() for edge in item.edges(start_wall_s, end_wall_s, started_wall_s)}
        return [start_wall_s, *sorted(inside)]

    def _leading(self, purpose: str, evse_ids: tuple[int, ...], wall_s: float, started_wall_s: float) -> float | None:
        rows = [item for item in self._stored.values() if item.purpose == purpose and item.evse_id in evse_ids]
        for item in sorted(rows, key=lambda item: item.stack_level, reverse=True):
            limit_a = item.limit_a(wall_s, started_wall_s)
            if limit_a is not None:
                return limit_a
        return None

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
        return self._schedule_objection(body) or self._duplicate(evse_id, body)

    def _fits(self, body: Payload, session: Session | None) -> bool:
        return session is not None and body.get("transactionId") == session.transaction_id

    def _schedule_objection(self, body: Payload) -> str:
        schedules = body["chargingSchedule"]
        if len(schedules) != 1:
            return "InvalidSchedule"
        starts = [item["startPeriod"] for item in schedules[0]["chargingSchedulePeriod"]]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            return "InvalidSchedule"
        kind = body["chargingProfileKind"]
        if kind in self.needs_start and "startSchedule" not in schedules[0]:
            return "InvalidSchedule"
        if kind == "Recurring" and body.get("recurrencyKind") not in RECURRENCE_S:
            return "InvalidProfile"
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


def _amps(limit: float, unit: str, phases: int) -> float:
    """W is the total over the phases, A is per phase; nominal voltage (K01.FR.49, K01.FR.50)."""
    return limit if unit == "A" else limit / (VOLTAGE_V * phases)
