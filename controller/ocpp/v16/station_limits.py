"""Charging profiles of the hub for a 1.6 station (OCPP-NOTES 12.11).

1.6 has limits in steps of 0.1 and nothing else: limits are rounded down, the lowest of several phases counts for all, a lower limit
from some state of charge on counts always (the station does not know the state), a random delay is drawn once. A setpoint, a
discharge, local time and the like cannot be said and are refused with the reason. 1.6 replaces a profile of the same purpose and stack
level in silence where 2.x refuses it: what is there is remembered, refused like in 2.x (K01), and told to GetChargingProfiles.
"""

from __future__ import annotations

import hashlib
import math
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from controller.ocpp.hub import WIRE, Conversation, Failed, Message, Payload, Said, answered
from controller.ocpp.times import timestamp, wall_time
from controller.ocpp.v16.readings import number
from controller.ocpp.v16.station_book import Transaction
from controller.ocpp.v16.station_state import StationState, ask, hub_error, is_unknown, no
from controller.ocpp.v16.words import PURPOSE_DOWN, moment, whole, without_none

_PREFIX: Final = "profile:"
_KINDS: Final = ("Absolute", "Recurring", "Relative")
_NOT_IN_PROFILE: Final = ("maxOfflineDuration", "invalidAfterOfflineDuration", "dynUpdateInterval", "dynUpdateTime")
_NOT_IN_PERIOD: Final = (
    *("dischargeLimit", "dischargeLimit_L2", "dischargeLimit_L3", "setpoint", "setpoint_L2", "setpoint_L3"),
    *("setpointReactive", "setpointReactive_L2", "setpointReactive_L3", "v2xBaseline", "v2xFreqWattCurve", "v2xSignalWattCurve"),
)
PROFILES_PER_REPORT: Final = 4


class NotSayableError(Exception):
    """1.6 cannot say this. reason: a reasonCode; str(): for people."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Profiles:
    """One station's. Memory: "profile:<id>" -> [evseId, the profile in hub words]."""

    def __init__(self, state: StationState) -> None:
        self._state, self._memory = state, state.memory

    # -- SetChargingProfile -------------------------------------------------------------------------------------

    def set(self, message: Message) -> Conversation:
        """SetChargingProfile."""
        evse_id, profile = whole(message.payload.get("evseId")) or 0, message.payload.get("chargingProfile")
        try:
            made = self._profile(profile, evse_id)
            self._refuse_duplicate(evse_id, profile or {})
        except NotSayableError as odd:
            return Said(no(odd.reason, str(odd)))
        reply = yield from ask("SetChargingProfile", {"connectorId": evse_id, "csChargingProfiles": made}, WIRE)
        if isinstance(reply, Failed):
            return Said(no("UnsupportedRequest", "this station takes no charging profiles")) if is_unknown(reply) else hub_error(reply)
        status = reply.payload.get("status")
        if status == "Accepted":
            self._memory.put(f"{_PREFIX}{made['chargingProfileId']}", [evse_id, profile])
            yield from self._state.keep()
        return Said(no("UnsupportedRequest", "this station takes no such profile") if status == "NotSupported" else {"status": status})

    def in_start(self, profile: Any) -> Payload:
        """The profile of a remote start. Raises NotSayableError."""
        if not isinstance(profile, dict) or profile.get("chargingProfilePurpose") != "TxProfile":
            raise NotSayableError("InvalidProfile", "a remote start carries only a TxProfile")
        return self._fields(profile)

    def _profile(self, profile: Any, evse_id: int) -> Payload:
        if not isinstance(profile, dict):
            raise NotSayableError("InvalidProfile", "chargingProfile is not an object")
        made = self._fields(profile)
        if profile.get("chargingProfilePurpose") == "TxProfile":
            transaction = self._state.book.of_uuid(profile.get("transactionId"))
            if transaction is None or not transaction.opened or transaction.evse_id not in (0, evse_id):
                raise NotSayableError("TxNotFound", "no such transaction runs there")
            made["transactionId"] = transaction.number
        return made

    def _fields(self, profile: Payload) -> Payload:
        purpose, kind = PURPOSE_DOWN.get(str(profile.get("chargingProfilePurpose"))), profile.get("chargingProfileKind")
        if purpose is None:
            raise NotSayableError("UnsupportedPurpose", f"1.6 has no {profile.get('chargingProfilePurpose')}")
        if kind not in _KINDS:
            raise NotSayableError("UnsupportedKind", f"1.6 has no {kind} profiles")
        odd = next((name for name in _NOT_IN_PROFILE if profile.get(name) not in (None, False)), None)
        if odd is not None:
            raise NotSayableError("UnsupportedParam", f"1.6 has no {odd}")
        now_wall_s = self._state.around.now().wall_s
        return without_none(
            {
                "chargingProfileId": profile.get("id"),
                "stackLevel": profile.get("stackLevel"),
                "chargingProfilePurpose": purpose,
                "chargingProfileKind": kind,
                "recurrencyKind": profile.get("recurrencyKind"),
                **{name: moment(profile[name], now_wall_s) for name in ("validFrom", "validTo") if profile.get(name) is not None},
                "chargingSchedule": self._schedule(profile),
            }
        )

    def _schedule(self, profile: Payload) -> Payload:
        """The first schedule: more than one is a choice for an ISO 15118 car, of which 1.6 knows nothing."""
        schedules = profile.get("chargingSchedule")
        schedule = schedules[0] if isinstance(schedules, list) and schedules and isinstance(schedules[0], dict) else {}
        if schedule.get("useLocalTime"):
            raise NotSayableError("UnsupportedParam", "1.6 has no useLocalTime")
        delay_s = self._delay_s(profile, whole(schedule.get("randomizedDelay")) or 0)
        rate, periods = schedule.get("chargingRateUnit"), schedule.get("chargingSchedulePeriod")
        made: Payload = {"chargingRateUnit": rate, "chargingSchedulePeriod": []}
        for period in periods if isinstance(periods, list) else []:
            made["chargingSchedulePeriod"].append(_period(period, schedule, delay_s))
        if schedule.get("startSchedule") is not None and profile.get("chargingProfileKind") != "Relative":
            made["startSchedule"] = moment(schedule["startSchedule"], self._state.around.now().wall_s)
        if schedule.get("duration") is not None:
            made["duration"] = schedule["duration"] + delay_s
        if number(schedule.get("minChargingRate")) is not None:
            made["minChargingRate"] = round_up(float(schedule["minChargingRate"]))
        return made

    def _delay_s(self, profile: Payload, most_s: int) -> int:
        """Drawn once for a profile at this station, the same when it is set again."""
        if most_s <= 0:
            return 0
        seed = f"{self._state.around.name}/{profile.get('id')}"
        return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") % (most_s + 1)

    # -- what is there ----------------------------------------------------------------------------------------------

    def _refuse_duplicate(self, evse_id: int, profile: Payload) -> None:
        for other_evse, other in self._installed():
            same = all(other.get(name) == profile.get(name) for name in ("chargingProfilePurpose", "stackLevel", "transactionId"))
            if same and other.get("id") != profile.get("id") and (other_evse == evse_id or 0 in (evse_id, other_evse)) and _overlap(other, profile):
                raise NotSayableError("DuplicateProfile", f"profile {other.get('id')} has this purpose and stack level already")

    def _installed(self) -> list[tuple[int, Payload]]:
        now_wall_s = self._state.around.now().wall_s
        found = [(int(evse_id), profile) for _, (evse_id, profile) in self._memory.starting(_PREFIX)]
        return [(evse_id, profile) for evse_id, profile in found if (wall_time(profile.get("validTo")) or math.inf) > now_wall_s]

    def ended(self, transaction: Transaction) -> None:
        """Its TxProfiles end with a transaction; what is no longer valid goes too."""
        kept = [profile.get("id") for _, profile in self._installed() if profile.get("transactionId") != transaction.uuid]
        for key, (_, profile) in self._memory.starting(_PREFIX):
            if profile.get("id") not in kept:
                self._memory.put(key, None)

    def report(self, message: Message) -> Conversation:
        """GetChargingProfiles: what the CSMS has set through here; 1.6 itself cannot be asked."""
        wanted, evse_id = message.payload.get("chargingProfile") or {}, message.payload.get("evseId")
        found = [(place, one) for place, one in self._installed() if evse_id in (None, place) and _fits(one, wanted)]
        if not found:
            return answered(Said({"status": "NoProfiles"}))
        self._state.later.append(self._tell(message.payload.get("requestId"), found))
        return answered(Said({"status": "Accepted"}))

    def _tell(self, request_id: Any, found: list[tuple[int, Payload]]) -> Conversation:
        places = sorted({place for place, _ in found})
        pages = [(place, page) for place in places for page in _pages([one for where, one in found if where == place])]
        for index, (place, page) in enumerate(pages):
            told: Payload = {"requestId": request_id, "chargingLimitSource": "CSO", "evseId": place, "chargingProfile": page}
            yield from ask("ReportChargingProfiles", told | ({"tbc": True} if index + 1 < len(pages) else {}))
        return Said({})

    # -- ClearChargingProfile, GetCompositeSchedule -------------------------------------------------------------------

    def clear(self, message: Message) -> Conversation:
        """ClearChargingProfile."""
        profile_id, criteria = message.payload.get("chargingProfileId"), message.payload.get("chargingProfileCriteria") or {}
        purpose = criteria.get("chargingProfilePurpose")
        if profile_id is None and purpose is not None and purpose not in PURPOSE_DOWN:
            return Said({"status": "Unknown"})
        request: Payload = {"id": profile_id}
        if profile_id is None:
            where = {"connectorId": criteria.get("evseId"), "stackLevel": criteria.get("stackLevel")}
            request = {**where, "chargingProfilePurpose": PURPOSE_DOWN.get(str(purpose))}
        reply = yield from ask("ClearChargingProfile", without_none(request), WIRE)
        if isinstance(reply, Failed):
            return Said({"status": "Unknown"}) if is_unknown(reply) else hub_error(reply)
        self._forget(profile_id, criteria)
        yield from self._state.keep()
        return Said({"status": reply.payload.get("status")})

    def _forget(self, profile_id: Any, criteria: Payload) -> None:
        """Unknown is an answer too: then it is not there."""
        for key, (evse_id, profile) in self._memory.starting(_PREFIX):
            named = profile_id is not None and profile.get("id") == profile_id
            meant = profile_id is None and criteria.get("evseId") in (None, evse_id) and _fits(profile, criteria)
            if named or meant:
                self._memory.put(key, None)

    def composite(self, message: Message) -> Conversation:
        """GetCompositeSchedule."""
        payload = message.payload
        evse_id, duration_s = whole(payload.get("evseId")) or 0, whole(payload.get("duration")) or 0
        request = {"connectorId": evse_id, "duration": duration_s, "chargingRateUnit": payload.get("chargingRateUnit")}
        reply = yield from ask("GetCompositeSchedule", without_none(request), WIRE)
        if isinstance(reply, Failed):
            return Said(no("UnsupportedRequest", "this station has no composite schedules")) if is_unknown(reply) else hub_error(reply)
        schedule = reply.payload.get("chargingSchedule")
        if reply.payload.get("status") != "Accepted":
            return Said({"status": "Rejected"})
        if not isinstance(schedule, dict) or not schedule.get("chargingSchedulePeriod"):
            return Said(no("InternalError", "the station accepted but named no schedule"))
        begin = reply.payload.get("scheduleStart") or schedule.get("startSchedule")
        told = {
            "evseId": evse_id,
            "duration": schedule.get("duration", duration_s),
            "scheduleStart": timestamp(_start(begin, self._state.around.now().wall_s)),
            "chargingRateUnit": schedule.get("chargingRateUnit"),
            "chargingSchedulePeriod": [_period_up(period) for period in schedule["chargingSchedulePeriod"]],
        }
        return Said({"status": "Accepted", "schedule": told})


# -- small things -------------------------------------------------------------------------------------------------------


def _start(value: Any, fallback_wall_s: float) -> float:
    found = wall_time(value)
    return fallback_wall_s if found is None else found


def _period(period: Any, schedule: Payload, delay_s: int) -> Payload:
    """A period of 1.6. Raises NotSayableError."""
    if not isinstance(period, dict):
        raise NotSayableError("InvalidSchedule", "a period is not an object")
    odd = next((name for name in _NOT_IN_PERIOD if period.get(name) is not None), None)
    if odd is not None or period.get("operationMode", "ChargingOnly") not in ("ChargingOnly", "Idle"):
        raise NotSayableError("UnsupportedParam", f"1.6 has no {odd or period.get('operationMode')}")
    start_s = whole(period.get("startPeriod")) or 0
    made = {"startPeriod": start_s + (delay_s if start_s else 0), "limit": round_down(_limit(period, schedule))}
    phases = whole(period.get("numberPhases"))
    return made | ({"numberPhases": phases} if phases else {})


def _limit(period: Payload, schedule: Payload) -> float:
    """The limit as 1.6 has it: one number for all phases, in W their sum (K01.FR.147)."""
    if period.get("operationMode") == "Idle":
        return 0.0
    limit = number(period.get("limit"))
    if limit is None:
        raise NotSayableError("InvalidSchedule", "a period has no limit")
    split = [value for name in ("limit_L2", "limit_L3") if (value := number(period.get(name))) is not None]
    if split:
        lowest = min([limit, *split])
        limit = lowest if schedule.get("chargingRateUnit") == "A" else lowest * (whole(period.get("numberPhases")) or 3)
    at_soc = schedule.get("limitAtSoC")
    reached = number(at_soc.get("limit")) if isinstance(at_soc, dict) else None
    return limit if reached is None else min(limit, reached)


def _period_up(period: Payload) -> Payload:
    names = ("startPeriod", "limit", "numberPhases")
    return without_none({name: period.get(name) for name in names} | {"startPeriod": whole(period.get("startPeriod")) or 0})


def round_down(value: float) -> float:
    """To the next multiple of 0.1 below: a limit is never raised."""
    return float(Decimal(str(value)).quantize(Decimal("0.1"), ROUND_FLOOR)) if abs(value) < 1e12 else value


def round_up(value: float) -> float:
    """To the next multiple of 0.1 above."""
    return -round_down(-value)


def _overlap(one: Payload, other: Payload) -> bool:
    def span(profile: Payload) -> tuple[float, float]:
        begin, end = wall_time(profile.get("validFrom")), wall_time(profile.get("validTo"))
        return (-math.inf if begin is None else begin), (math.inf if end is None else end)

    (begin, end), (other_begin, other_end) = span(one), span(other)
    return begin < other_end and other_begin < end


def _fits(profile: Payload, wanted: Payload) -> bool:
    """Whether a profile is among those that criteria select."""
    ids, sources = wanted.get("chargingProfileId"), wanted.get("chargingLimitSource")
    named = all(wanted.get(name) in (None, profile.get(name)) for name in ("chargingProfilePurpose", "stackLevel"))
    return named and (not ids or profile.get("id") in ids) and (not sources or "CSO" in sources)


def _pages(profiles: list[Payload]) -> list[list[Payload]]:
    return [profiles[index : index + PROFILES_PER_REPORT] for index in range(0, len(profiles), PROFILES_PER_REPORT)]
