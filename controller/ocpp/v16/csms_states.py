"""Connectors as a 1.6 CSMS sees them: one status for what the hub tells in two ways, connectorStatus and chargingState (OCPP-NOTES 12.3).

A StatusNotification of the station goes up each time. A change that only a transaction shows goes up when the status it gives is
another one; what happened offline is no history in 1.6 (16 4.9), so after old events only the state that is left goes up. Of
NotifyEvent 1.6 can say AvailabilityState and Problem; other events end here, with the answer {}.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import Conversation, Failed, Message, Payload, Reply, Said
from controller.ocpp.v16 import words
from controller.ocpp.v16.csms_desk import Desk, Talk, answer_of, table, tables, text

STATION_STATUSES: Final = ("Available", "Unavailable", "Faulted")
"""What connector 0 can be (16 6.47)."""
PER_TICK: Final = 5
"""Late statuses that go up in one second: transactions come first on a line with one CALL at a time."""
SOUND: Final[Payload] = {"errorCode": words.NO_ERROR}
UNSAID: Final[Payload] = {"errorCode": "OtherError"}
ERROR_FIELDS: Final = ("errorCode", "info", "vendorErrorCode")


class States:
    """memory: "status:<connectorId>" = what the hub said, "done:<connectorId>" = True after a transaction until the status changes,
    "run:<connectorId>" = its transaction (written by ``csms_transactions``)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: dict[int, str] = {}
        self._errors: dict[int, dict[str, Payload]] = {}
        self._parts: dict[tuple[int, int], str] = {}
        self._late: dict[int, None] = {}

    # -- what it is now -----------------------------------------------------------------------------------

    def current(self, connector_id: int) -> str:
        """status of a connector in 1.6 words."""
        memory = self._desk.memory
        known = text(memory.get(f"status:{connector_id}"))
        if connector_id == 0:
            return known if known in STATION_STATUSES else "Available"
        running = table(memory.get(f"tx:{memory.get(f'run:{connector_id}')}"))
        ended = bool(memory.get(f"done:{connector_id}"))
        if running and known not in ("Unavailable", "Faulted"):
            # A station that tells only transactions says Available all the time.
            known = "Occupied" if running.get("started") or text(running.get("state")) not in ("", "Idle") else known
        state = text(running.get("state")) if running.get("started") else ""
        if known == "Occupied" and state == "EVConnected" and running.get("charged"):
            return "Finishing"  # no energy is offered any more, the cable is still in (16 4.9)
        return words.status_down(known or ("Occupied" if ended else "Available"), state, charged=bool(running.get("charged")), ended=ended)

    def known(self) -> list[int]:
        """Connectors of which something is known."""
        return [number for number in (0, *self._desk.places.all()) if self._seen(number)]

    def _seen(self, connector_id: int) -> bool:
        memory = self._desk.memory
        return any(memory.get(f"{kind}:{connector_id}") is not None for kind in ("status", "run", "done"))

    # -- telling it -------------------------------------------------------------------------------------------

    def tell(self, connector_id: int, moment: Any = None, parts: Payload | None = None) -> Talk:
        """A StatusNotification. parts: errorCode and its fields, None = as known."""
        status = self.current(connector_id)
        self._late.pop(connector_id, None)
        error: Payload = SOUND if parts is None else parts
        if parts is None:
            error = next(reversed(self._errors.get(connector_id, {}).values()), SOUND)
        if status == "Faulted" and error["errorCode"] == words.NO_ERROR and parts is None:
            error = UNSAID
        payload: Payload = {name: error[name] for name in ERROR_FIELDS if name in error}
        payload |= {"connectorId": connector_id, "status": status, "timestamp": self._desk.time(moment)}
        reply = answer_of((yield self._desk.call("StatusNotification", payload)))
        if isinstance(reply, Said):
            self._told[connector_id] = status
            return Said({})
        self._late[connector_id] = None
        return reply

    def changed(self, connector_id: int, moment: Any, *, live: bool) -> Talk:
        """A transaction may have changed the status: tell it if it has; later, if this is not news."""
        if not connector_id or self.current(connector_id) == self._told.get(connector_id):
            return Said({})
        if not live:
            self._late[connector_id] = None
            return Said({})
        return (yield from self.tell(connector_id, moment))

    def opened(self) -> None:
        """What the CSMS has not heard goes up when there is time."""
        for number in self.known():
            if self._told.get(number) not in (None, self.current(number)):
                self._late[number] = None

    def tick(self) -> list[Conversation]:
        """Late statuses, a few at a time."""
        if not (self._late and self._desk.is_open and self._desk.accepted):
            return []
        due = list(self._late)[:PER_TICK]
        for number in due:
            del self._late[number]
        return [self.tell(number) for number in due if self.current(number) != self._told.get(number)]

    # -- what the station says ---------------------------------------------------------------------------------

    def status_notification(self, message: Message) -> Conversation:
        """StatusNotification of one connector."""
        payload = message.payload
        number = self._take(payload.get("evseId"), payload.get("connectorId"), text(payload.get("connectorStatus")))
        return (yield from self.tell(number, payload.get("timestamp")))

    def _take(self, evse_id: Any, connector_id: Any, status: str) -> int:
        """Remember a connectorStatus; returns the connectorId it is about."""
        number = self._desk.places.number(evse_id, connector_id)
        known = self._joined(number, connector_id, status)
        if self._desk.memory.get(f"status:{number}") != known:
            self._desk.memory.put(f"status:{number}", known)
        if known != "Occupied":
            self._desk.memory.put(f"done:{number}", None)
        return number

    def _joined(self, number: int, connector_id: Any, status: str) -> str:
        """Several connectors of an EVSE under one number are as busy as the busiest: only one can be used at a time."""
        connector = connector_id if isinstance(connector_id, int) else 0
        if connector:
            self._parts.pop((number, 0), None)  # what was said of the EVSE as a whole
        self._parts[number, connector] = status
        found = [said for (place, _), said in self._parts.items() if place == number]
        return next((word for word in ("Occupied", "Reserved", "Available") if word in found), status)

    def notify_event(self, message: Message) -> Conversation:
        """AvailabilityState and Problem of the station, its EVSEs and connectors; other events have no word in 1.6."""
        failed: Reply = Said({})
        for event in tables(message.payload.get("eventData")):
            variable = text(table(event.get("variable")).get("name"))
            if variable not in ("AvailabilityState", "Problem"):
                continue
            reply = yield from (self._availability(event) if variable == "AvailabilityState" else self._problem(event))
            failed = reply if isinstance(reply, Failed) else failed
        return failed

    def _availability(self, event: Payload) -> Talk:
        component = table(event.get("component"))
        evse = table(component.get("evse"))
        evse_id, connector_id = evse.get("id", 0), evse.get("connectorId", 0)
        if not evse_id and component.get("instance"):
            return Said({})  # one charger of a depot, whose connectors say more: connector 0 is the depot
        place = self._desk.places.number(evse_id)
        if component.get("name") == "EVSE" and any(number == place and connector for number, connector in self._parts):
            return Said({})  # its connectors say more
        number = self._take(evse_id, connector_id, text(event.get("actualValue")))
        return (yield from self.tell(number, event.get("timestamp")))

    def _problem(self, event: Payload) -> Talk:
        """1.6 can tell one error of a place: the newest of those that last."""
        component = table(event.get("component"))
        evse, instance = table(component.get("evse")), text(component.get("instance"))
        number = self._desk.places.number(evse.get("id", 0), evse.get("connectorId", 0))
        parts, last = words.error_parts(event), self._errors.setdefault(number, {})
        source = f"{component.get('name')}/{instance}"
        last.pop(source, None)
        if parts["errorCode"] == words.NO_ERROR:
            parts = next(reversed(last.values()), parts)
        else:
            if instance and not number:  # which charger of a depot it is
                parts["info"] = f"{instance}: {parts.get('info', '')}".rstrip(": ")[:50]
            last[source] = parts
        return (yield from self.tell(number, event.get("timestamp"), parts))

    def ask_all(self) -> None:
        """Every status there is goes up, the station's first (TriggerMessage without a connector)."""
        for number in (0, *self._desk.places.all()):
            self._told.pop(number, None)
            self._late[number] = None
