"""How a 1.6 station says who it is, that it lives, and what its connectors do (OCPP-NOTES 12.2, 12.3).

A status becomes a StatusNotification of the connector, and the charging state of what runs there. Connector 0 is the station: the hub
hears its AvailabilityState. An errorCode becomes an event of the component it speaks of, and another when it is over.
"""

from __future__ import annotations

from typing import Final

from controller.ocpp.hub import NO_ANSWER, Conversation, Failed, Payload, Said
from controller.ocpp.times import wall_time
from controller.ocpp.v16.station_resets import Resets
from controller.ocpp.v16.station_starts import Starts
from controller.ocpp.v16.station_state import BOOTED, FIRMWARE_STAGE, INSTALLED, INSTALLING, Answer, Silent, StationState, ask
from controller.ocpp.v16.station_transactions import Transactions
from controller.ocpp.v16.words import CONNECTOR_STATUS_UP, NO_ERROR, error_component, error_tech, moment, whole

_BOOT_KEPT: Final = (
    *("chargePointVendor", "chargePointModel", "chargePointSerialNumber", "chargeBoxSerialNumber"),
    *("firmwareVersion", "meterType", "meterSerialNumber"),
)
MOST_CONNECTORS: Final = 1000
"""What is remembered of each is on disk: a number beyond this is a mistake, which is told and not remembered."""


class StatusReports:
    """One station's."""

    def __init__(self, state: StationState, transactions: Transactions, starts: Starts, resets: Resets) -> None:
        self._state, self._transactions, self._starts, self._resets = state, transactions, starts, resets

    # -- the station --------------------------------------------------------------------------------------------

    def boot(self, payload: Payload) -> Conversation:
        """BootNotification: who it is, and why it began."""
        memory = self._state.memory
        memory.put("boot", {key: payload[key] for key in _BOOT_KEPT if key in payload})
        self._state.reborn()
        self._resets.booted()
        stage = memory.get(FIRMWARE_STAGE)
        otherwise = "FirmwareUpdate" if stage in (INSTALLING, INSTALLED) else "PowerUp"
        request = {"chargingStation": charging_station(payload), "reason": str(memory.get("reason", otherwise))}
        reply = yield from ask("BootNotification", request)
        if isinstance(reply, Failed):
            return reply
        answer = reply.payload
        status = answer.get("status")
        if status == "Accepted":
            memory.put("reason", None)
            memory.put(FIRMWARE_STAGE, BOOTED if stage in (INSTALLING, BOOTED) else None)
        yield from self._state.keep()
        current_time = moment(answer.get("currentTime"), self._state.around.now().wall_s)
        return Said({"status": status, "currentTime": current_time, "interval": whole(answer.get("interval")) or 0})

    def heartbeat(self, payload: Payload) -> Conversation:
        """Heartbeat."""
        reply = yield from ask("Heartbeat", {})
        if isinstance(reply, Failed):
            return reply
        return Said({"currentTime": moment(reply.payload.get("currentTime"), self._state.around.now().wall_s)})

    def authorize(self, payload: Payload) -> Conversation:
        """Authorize."""
        id_tag = str(payload.get("idTag", ""))
        self._starts.card(id_tag)
        reply = yield from ask("Authorize", {"idToken": self._state.aliases.token(id_tag)})
        if isinstance(reply, Failed):
            return reply
        only = self._state.evse_ids[0] if len(self._state.evse_ids) == 1 else 0
        info = self._state.aliases.tag_info(reply.payload.get("idTokenInfo"), only)
        yield from self._state.keep()
        return Said({"idTagInfo": info})

    # -- its connectors -------------------------------------------------------------------------------------------

    def status(self, payload: Payload) -> Conversation:
        """StatusNotification."""
        connector, word = max(whole(payload.get("connectorId")) or 0, 0), str(payload.get("status", ""))
        before, when = self._state.statuses.get(connector), moment(payload.get("timestamp"), self._state.around.now().wall_s)
        if connector > MOST_CONNECTORS:
            reply = yield from self._told(connector, CONNECTOR_STATUS_UP.get(word, "Unavailable"), when)
            return reply if isinstance(reply, Failed) else Said({})
        self._state.stage(connector, word)
        self._starts.status(connector, word)
        mapped = CONNECTOR_STATUS_UP.get(word, "Unavailable")
        # What the hub has heard already is told again only when the station tells the very same again.
        if before is None or before == word or CONNECTOR_STATUS_UP.get(before) != mapped:
            reply = yield from self._told(connector, mapped, when)
            if isinstance(reply, Failed):
                self._state.statuses.pop(connector, None)
                return reply
        yield from self._transactions.changed(connector, word, when, wall_time(payload.get("timestamp")) is not None)
        yield from self._errors(connector, payload, when)
        return Said({})

    def _told(self, connector: int, mapped: str, when: str) -> Answer:
        if connector:
            status = {"timestamp": when, "connectorStatus": mapped, "evseId": connector, "connectorId": 1}
            return ask("StatusNotification", status)
        return ask("NotifyEvent", self._event({"name": "ChargingStation"}, "AvailabilityState", mapped, when, {"trigger": "Delta"}))

    def _errors(self, connector: int, payload: Payload, when: str) -> Silent:
        """What is wrong, once when it begins and once when it is over."""
        code = str(payload.get("errorCode", NO_ERROR))
        key = f"error:{connector}"
        before, now = self._state.memory.get(key), None if code == NO_ERROR else [code, str(payload.get("vendorErrorCode") or "")]
        if before == now:
            return
        self._state.memory.put(key, now)
        yield from self._state.keep()
        if before is not None:
            over = {"trigger": "Alerting", "cleared": True, **error_tech({"errorCode": before[0], "vendorErrorCode": before[1]})}
            reply = yield from ask("NotifyEvent", self._event(self._component(before[0], connector), "Problem", "false", when, over))
            if reply == NO_ANSWER:  # told with the next status
                self._state.memory.put(key, before)
                return
        if now is not None:
            reply = yield from ask("NotifyEvent", self._event(self._component(code, connector), "Problem", "true", when, self._alarm(payload)))
            if reply == NO_ANSWER:
                self._state.memory.put(key, None)

    def _alarm(self, payload: Payload) -> Payload:
        return {"trigger": "Alerting", **error_tech(payload)}

    def _component(self, code: str, connector: int) -> Payload:
        place = {"evse": {"id": connector, "connectorId": 1}} if connector else {}
        return {"name": error_component(code), **place}

    def _event(self, component: Payload, variable: str, value: str, when: str, more: Payload) -> Payload:
        number = int(self._state.memory.get("event", 0))
        self._state.memory.put("event", number + 1)
        told = {"eventId": number, "timestamp": when, "actualValue": value, "eventNotificationType": "HardWiredNotification"}
        event = {**told, "component": component, "variable": {"name": variable}, **more}
        return {"generatedAt": self._state.now, "seqNo": 0, "eventData": [event]}


def charging_station(payload: Payload) -> Payload:
    """chargingStation of a hub BootNotification (12.2); texts cut to what the hub takes."""
    made: Payload = {"vendorName": _text(payload, "chargePointVendor", 50), "model": _text(payload, "chargePointModel", 20)}
    serial = _text(payload, "chargePointSerialNumber", 25) or _text(payload, "chargeBoxSerialNumber", 25)
    modem = {name: text for name in ("iccid", "imsi") if (text := _text(payload, name, 20))}
    firmware = _text(payload, "firmwareVersion", 50)
    more = {"serialNumber": serial, "firmwareVersion": firmware, "modem": modem}
    return made | {name: value for name, value in more.items() if value}


def _text(payload: Payload, name: str, most: int) -> str:
    value = payload.get(name)
    return value.strip()[:most] if isinstance(value, str) else ""
