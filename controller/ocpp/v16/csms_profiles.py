"""Charging profiles of a 1.6 CSMS in hub words (OCPP-NOTES 5.2, 12.11).

1.6 replaces a profile of the same stackLevel and purpose at the same connector in silence, 2.x only one of the same id. So a place
(connector, purpose, stackLevel) keeps the id it first had in the hub, whatever id the CSMS gives its successor; and an id the CSMS uses on several
connectors is several ids in the hub, as ids of 2.x are the whole station's. A default of a connector beside one of connector 0 on the same
stackLevel, which 1.6 lets win and 2.x refuses (trap 15, K01.FR.52/53), goes one level above it. What 1.6 leaves to the station is said: a TxProfile
names the running transaction, and a schedule without startSchedule begins with the session, or now where there is no session.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from controller.ocpp.hub import Ask, Conversation, Failed, Keep, Message, Payload, Reply, Said
from controller.ocpp.times import timestamp
from controller.ocpp.v16 import words
from controller.ocpp.v16.csms_desk import UNKNOWN, Desk, Handler, Talk, answer_of, status_of, table, tables, text
from controller.ocpp.v16.csms_transactions import Transactions

UNLIMITED: Final = 999_999.0
MAX_PERIODS: Final = 1024
STATION_MAX: Final = "ChargingStationMaxProfile"
TX: Final = "TxProfile"
TX_DEFAULT: Final = "TxDefaultProfile"
PREFIX: Final = "profile:"
_SAME: Final = ("stackLevel", "recurrencyKind")


class Profiles:
    """memory: "profile:<connectorId>:<purpose in hub words>:<stackLevel>" = [id in the hub, id of the CSMS, stackLevel in the hub]."""

    def __init__(self, desk: Desk, transactions: Transactions) -> None:
        self._desk, self._transactions = desk, transactions

    def handlers(self) -> Mapping[str, Handler]:
        """Action of the CSMS -> who answers it."""
        return {"SetChargingProfile": self._set, "ClearChargingProfile": self._clear, "GetCompositeSchedule": self._composite}

    # -- set ------------------------------------------------------------------------------------------------

    def in_start(self, connector_id: int, profile: Payload) -> Payload:
        """The TxProfile of a RemoteStartTransaction: it names no transaction yet (16E 3.41). connector_id 0: the station chooses."""
        place = f"{PREFIX}{connector_id}:{TX}:{profile.get('stackLevel')}"
        csms_id = words.whole(profile.get("chargingProfileId")) or 0
        found = self._said(profile, self._hub_id(place, csms_id))
        if connector_id:
            self._desk.memory.put(place, [found["id"], csms_id, found.get("stackLevel")])
        return found

    def _set(self, message: Message) -> Conversation:
        connector_id, profile = message.payload.get("connectorId"), table(message.payload.get("csChargingProfiles"))
        purpose, csms_id = words.PURPOSE_UP.get(text(profile.get("chargingProfilePurpose"))), words.whole(profile.get("chargingProfileId"))
        evse_id = self._evse_id(connector_id)
        if purpose is None or csms_id is None or evse_id is None or not sayable(profile):
            return Said({"status": "Rejected"})
        hub_id = self._transaction(profile, connector_id) if purpose == TX else ""
        if hub_id is None:
            return Said({"status": "Rejected"})
        place = f"{PREFIX}{connector_id}:{purpose}:{profile.get('stackLevel')}"
        made = self._said(profile, self._hub_id(place, csms_id))
        known = self._desk.memory.get(place)
        made |= {"transactionId": hub_id} if hub_id else {}
        made |= {"stackLevel": known[2]} if known is not None else {}
        request = {"evseId": evse_id, "chargingProfile": made}
        reply = yield from self._given(place, csms_id, request)
        stack = self._beside(place, made["stackLevel"]) if _is_duplicate(reply) else None
        if stack is not None:
            reply = yield from self._given(place, csms_id, {**request, "chargingProfile": {**made, "stackLevel": stack}})
        if status_of(reply) == "Accepted":
            return (yield from self._moved(place, csms_id))
        if isinstance(reply, Failed):
            return Said({"status": "NotSupported"}) if reply.code in UNKNOWN else reply
        return Said({"status": "Rejected"})

    def _given(self, place: str, csms_id: int, request: Payload) -> Talk:
        """Give it to the station; the ids are on disk before, as it may take it and we may not hear of it. Returns its answer."""
        before, made = self._desk.memory.get(place), request["chargingProfile"]
        self._desk.memory.put(place, [made["id"], csms_id, made["stackLevel"]])
        yield Keep()
        reply = answer_of((yield Ask("SetChargingProfile", request)))
        refused = isinstance(reply, Said) and status_of(reply) != "Accepted"
        if refused or (isinstance(reply, Failed) and reply.code in UNKNOWN):
            self._desk.memory.put(place, before)
        return reply

    def _beside(self, place: str, stack: int) -> int | None:
        """A level on which a TxDefaultProfile means the same beside the one in its way: a connector's above, the station's below. None if
        there is none, or it is taken."""
        connector, purpose, _ = place.removeprefix(PREFIX).split(":")
        wanted = stack + 1 if connector != "0" else stack - 1
        around = {"0", connector} if connector != "0" else None
        found = [(key.removeprefix(PREFIX).split(":"), ids[2]) for key, ids in self._desk.memory.starting(PREFIX)]
        taken = [level for (where, kind, _), level in found if kind == purpose and (around is None or where in around)]
        return wanted if purpose == TX_DEFAULT and wanted >= 0 and wanted not in taken else None

    def _moved(self, place: str, csms_id: int) -> Talk:
        """An id that had another stackLevel or purpose at this connector has replaced what it was (16 5.16.3)."""
        connector = place.removeprefix(PREFIX).split(":")[0]
        for key, ids in list(self._desk.memory.starting(f"{PREFIX}{connector}:")):
            if ids[1] == csms_id and key != place:
                yield Ask("ClearChargingProfile", {"chargingProfileId": ids[0]})
                self._desk.memory.put(key, None)
        return Said({"status": "Accepted"})

    def _evse_id(self, connector_id: Any) -> int | None:
        """EVSE of a connectorId, 0 for the station; None for one there is not."""
        if connector_id == 0:
            return 0
        spot = self._desk.places.spot(connector_id)
        return None if spot is None else spot[0]

    def _transaction(self, profile: Payload, connector_id: Any) -> str | None:
        """The transaction a TxProfile is for: the one it names, else the one that runs there; None where none does (16 5.16)."""
        running = self._transactions.at(connector_id)
        named = self._transactions.named(profile["transactionId"]) if profile.get("transactionId") is not None else running
        return named if named and named == running else None

    def _hub_id(self, place: str, csms_id: int) -> int:
        known = self._desk.memory.get(place)
        if known is not None:
            return int(known[0])
        taken = any(ids[0] == csms_id for _, ids in self._desk.memory.starting(PREFIX))
        return self._desk.around.number() if taken else csms_id

    def _said(self, profile: Payload, hub_id: int) -> Payload:
        purpose = words.PURPOSE_UP.get(text(profile.get("chargingProfilePurpose")), TX)
        raw = table(profile.get("chargingSchedule"))
        kind, start = self._start(text(profile.get("chargingProfileKind")), purpose, raw)
        schedule: Payload = {"id": hub_id, **{name: raw[name] for name in ("duration", "chargingRateUnit", "minChargingRate") if name in raw}}
        if start:
            schedule["startSchedule"] = start
        periods = tables(raw.get("chargingSchedulePeriod"))
        schedule["chargingSchedulePeriod"] = [_only(period, ("startPeriod", "limit", "numberPhases")) for period in periods]
        made: Payload = {"id": hub_id, **_only(profile, _SAME), "chargingProfilePurpose": purpose, "chargingProfileKind": kind}
        for name in ("validFrom", "validTo"):
            if name in profile:
                made[name] = self._desk.time(profile[name])
        return {**made, "chargingSchedule": [schedule]}

    def _start(self, kind: str, purpose: str, raw: Payload) -> tuple[str, str]:
        """(chargingProfileKind, startSchedule) so that 2.x means what 1.6 meant (K01.FR.38, K01.FR.40)."""
        start = self._desk.time(raw["startSchedule"]) if "startSchedule" in raw else ""
        if kind == "Recurring":
            return kind, start
        if purpose == STATION_MAX:
            # There is no session to begin with: it holds from now, a moment ago so that there is no gap (16 5.16.4).
            return "Absolute", start if start and kind != "Relative" else timestamp(math.floor(self._desk.around.now().wall_s) - 1)
        return ("Absolute", start) if start and kind == "Absolute" else ("Relative", "")

    # -- clear -----------------------------------------------------------------------------------------------

    def _clear(self, message: Message) -> Conversation:
        payload = message.payload
        csms_id, connector_id = words.whole(payload.get("id")), payload.get("connectorId")
        if csms_id is not None:
            found = [(key, ids[0]) for key, ids in self._desk.memory.starting(PREFIX) if ids[1] == csms_id]
            if not found and any(ids[0] == csms_id for _, ids in self._desk.memory.starting(PREFIX)):
                return Said({"status": "Unknown"})  # in the hub this id is another profile's by now
            asks = [({"chargingProfileId": hub_id}, [key]) for key, hub_id in found] or [({"chargingProfileId": csms_id}, [])]
        else:
            evse_id = None if connector_id is None else self._evse_id(connector_id)
            if connector_id is not None and evse_id is None:
                return Said({"status": "Unknown"})
            asks = self._criteria(payload, evse_id)
        return (yield from self._cleared(asks))

    def _criteria(self, payload: Payload, evse_id: int | None) -> list[tuple[Payload, list[str]]]:
        """What to ask for, and the places each clears. 2.x wants at least one criterion (K10.FR.02): nothing named means every purpose."""
        purpose, stack = words.PURPOSE_UP.get(text(payload.get("chargingProfilePurpose"))), words.whole(payload.get("stackLevel"))
        criteria = words.without_none({"evseId": evse_id, "chargingProfilePurpose": purpose, "stackLevel": stack})
        wanted = [criteria] if criteria else [{"chargingProfilePurpose": word} for word in words.PURPOSE_DOWN]
        place = (payload.get("connectorId"), stack)
        asks = [({"chargingProfileCriteria": one}, self._places(place, one.get("chargingProfilePurpose"))) for one in wanted]
        moved = [key for _, places in asks for key in places if stack not in (None, self._desk.memory.get(key)[2])]
        return [*asks, *(({"chargingProfileId": self._desk.memory.get(key)[0]}, [key]) for key in moved)]

    def _places(self, where: tuple[Any, int | None], purpose: Any) -> list[str]:
        found = []
        for key, _ in self._desk.memory.starting(PREFIX):
            connector, kind, stack = key.removeprefix(PREFIX).split(":")
            if where[0] in (None, int(connector)) and purpose in (None, kind) and where[1] in (None, words.whole(stack)):
                found.append(key)
        return found

    def _cleared(self, asks: list[tuple[Payload, list[str]]]) -> Talk:
        """Accepted if any was there; an answer of a failure only if all failed."""
        replies = []
        for request, places in asks:
            reply = answer_of((yield Ask("ClearChargingProfile", request)))
            replies.append(reply)
            if isinstance(reply, Said):
                for place in places:
                    self._desk.memory.put(place, None)
        yield Keep()
        if all(isinstance(reply, Failed) for reply in replies):
            return replies[0]
        return Said({"status": "Accepted" if any(status_of(reply) == "Accepted" for reply in replies) else "Unknown"})

    def ended(self, connector_id: int) -> None:
        """A transaction is over: its TxProfiles are too (K01.FR.32)."""
        for key, _ in list(self._desk.memory.starting(f"{PREFIX}{connector_id}:{TX}:")):
            self._desk.memory.put(key, None)

    # -- composite -----------------------------------------------------------------------------------------------

    def _composite(self, message: Message) -> Conversation:
        payload, connector_id = message.payload, message.payload.get("connectorId")
        evse_id = self._evse_id(connector_id)
        if evse_id is None:
            return Said({"status": "Rejected"})
        request = words.without_none({"evseId": evse_id, "duration": payload.get("duration"), "chargingRateUnit": payload.get("chargingRateUnit")})
        reply = answer_of((yield Ask("GetCompositeSchedule", request)))
        if isinstance(reply, Failed):
            return Said({"status": "Rejected"}) if reply.code in UNKNOWN else reply
        found = table(reply.payload.get("schedule"))
        periods = tables(found.get("chargingSchedulePeriod"))
        if status_of(reply) != "Accepted" or not periods:
            return Said({"status": "Rejected"})
        start = self._desk.time(found.get("scheduleStart"))
        schedule = {**_only(found, ("duration", "chargingRateUnit")), "startSchedule": start}
        schedule["chargingSchedulePeriod"] = [_period(period) for period in periods]
        return Said({"status": "Accepted", "connectorId": connector_id, "scheduleStart": start, "chargingSchedule": schedule})


def _is_duplicate(reply: Reply) -> bool:
    return isinstance(reply, Said) and table(reply.payload.get("statusInfo")).get("reasonCode") == "DuplicateProfile"


def sayable(profile: Payload) -> bool:
    """Whether a profile means anything to 2.x: 1 to 1024 periods, no negative stackLevel or start, at most 3 phases."""
    periods = tables(table(profile.get("chargingSchedule")).get("chargingSchedulePeriod"))
    counts = [profile.get("stackLevel"), *(period.get("startPeriod") for period in periods)]
    phases = [period.get("numberPhases", 1) for period in periods]
    if not 1 <= len(periods) <= MAX_PERIODS or any(count not in (0, 1, 2, 3) for count in phases):
        return False
    return all(isinstance(count, int | float) and count >= 0 for count in counts)


def _period(period: Payload) -> Payload:
    """A period as 1.6 says it: what the station takes, down to 0.1; discharging takes nothing, no limit is 999999."""
    limit = period.get("setpoint", period.get("limit", UNLIMITED))
    value = max(0.0, float(limit)) if isinstance(limit, int | float) else UNLIMITED
    made: Payload = {"startPeriod": period.get("startPeriod"), "limit": math.floor(value * 10 + 1e-6) / 10}
    phases = period.get("numberPhases")
    return made | {"numberPhases": phases} if isinstance(phases, int) and phases else made


def _only(payload: Payload, names: tuple[str, ...]) -> Payload:
    return {name: payload[name] for name in names if name in payload}
