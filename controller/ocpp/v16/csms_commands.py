"""Commands of a 1.6 CSMS in hub words: starts, stops, resets, availability, unlocking, reservations, lists, triggers (OCPP-NOTES 12.1, 12.7, 12.8).

What the hub's station does not have at all is answered with 1.6's own word for it, where there is one. Connectors the station does
not have are Rejected here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.ocpp.hub import Ask, Conversation, Failed, Keep, Message, Payload, Reply, Rest, Said
from controller.ocpp.v16 import words
from controller.ocpp.v16.csms_desk import UNKNOWN, Desk, Handler, Talk, answer_of, status_of, tables, text
from controller.ocpp.v16.csms_files import Files
from controller.ocpp.v16.csms_profiles import Profiles, sayable
from controller.ocpp.v16.csms_states import States
from controller.ocpp.v16.csms_transactions import Transactions

REJECTED: Final[Payload] = {"status": "Rejected"}
UNLOCK_TRIES: Final = 5
UNLOCK_PAUSE_S: Final = 2.0
"""How long an UnlockConnector waits for the transaction it has ended: 10 s, within any CSMS's patience."""
PER_CONNECTOR: Final = ("MeterValues", "StatusNotification")


class Commands:
    """CALLs of the CSMS that change what the station does."""

    def __init__(self, desk: Desk, states: States, transactions: Transactions, profiles: Profiles, files: Files) -> None:
        self._desk, self._states, self._transactions, self._profiles, self._files = desk, states, transactions, profiles, files

    def handlers(self) -> Mapping[str, Handler]:
        """Action -> who answers it."""
        return {
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "Reset": self._reset,
            "ChangeAvailability": self._availability,
            "UnlockConnector": self._unlock,
            "ReserveNow": self._reserve,
            "CancelReservation": self._cancel,
            "ClearCache": self._clear_cache,
            "SendLocalList": self._send_list,
            "GetLocalListVersion": self._list_version,
            "TriggerMessage": self._trigger,
            "ExtendedTriggerMessage": self._trigger,
        }

    # -- starts and stops --------------------------------------------------------------------------------------

    def _remote_start(self, message: Message) -> Conversation:
        payload, around = message.payload, self._desk.around
        connector_id = payload.get("connectorId") or 0
        spot = self._desk.places.spot(connector_id)
        profile = payload.get("chargingProfile")
        if (connector_id and spot is None) or (isinstance(profile, dict) and not sayable(profile)):
            return Said(REJECTED)
        number = around.number()
        request: Payload = {"idToken": self._desk.aliases.token(payload.get("idTag", ""), remote=True), "remoteStartId": number}
        evses = around.evses()
        if spot is not None or len(evses) == 1:
            request["evseId"] = evses[0].evse_id if spot is None else spot[0]
        if isinstance(profile, dict):
            request["chargingProfile"] = self._profiles.in_start(connector_id, profile)
        self._transactions.expect(number, text(payload.get("idTag")))
        yield Keep()
        return _said_status((yield Ask("RequestStartTransaction", request)))

    def _remote_stop(self, message: Message) -> Conversation:
        hub_id = self._transactions.named(message.payload.get("transactionId"))
        if not hub_id:
            return Said(REJECTED)
        return _said_status((yield Ask("RequestStopTransaction", {"transactionId": hub_id})))

    def _reset(self, message: Message) -> Conversation:
        """Hard and Soft both end what runs first, as far as they can; OnIdle would wait for the driver (trap 27)."""
        reply = answer_of((yield Ask("Reset", {"type": words.RESET_UP.get(text(message.payload.get("type")), "Immediate")})))
        accepted = status_of(reply) in ("Accepted", "Scheduled")
        return reply if isinstance(reply, Failed) else Said({"status": "Accepted" if accepted else "Rejected"})

    # -- connectors -----------------------------------------------------------------------------------------------

    def _availability(self, message: Message) -> Conversation:
        """connectorId 0 is the station and all its connectors (16 5.2)."""
        connector_id = message.payload.get("connectorId")
        request: Payload = {"operationalStatus": message.payload.get("type")}
        if connector_id != 0:
            evse = self._desk.places.evse(connector_id) if isinstance(connector_id, int) else None
            if evse is None:
                return Said(REJECTED)
            request["evse"] = evse
        return _said_status((yield Ask("ChangeAvailability", request)), also=("Scheduled",))

    def _unlock(self, message: Message) -> Conversation:
        """In 1.6 an unlock ends the transaction first (16 5.18); a 2.x station refuses while one runs (F05.FR.02)."""
        connector_id = message.payload.get("connectorId")
        spot = self._desk.places.spot(connector_id)
        if spot is None or not isinstance(connector_id, int):
            return Said({"status": "NotSupported"})
        for attempt in range(UNLOCK_TRIES + 1):
            reply = answer_of((yield Ask("UnlockConnector", {"evseId": spot[0], "connectorId": spot[1]})))
            if status_of(reply) != "OngoingAuthorizedTransaction" or attempt == UNLOCK_TRIES:
                return _unlocked(reply)
            if attempt == 0 and not (yield from self._stop_for_unlock(connector_id)):
                return Said({"status": "UnlockFailed"})
            yield Rest(UNLOCK_PAUSE_S)
        return Said({"status": "UnlockFailed"})

    def _stop_for_unlock(self, connector_id: int) -> Any:
        hub_id = self._transactions.at(connector_id)
        if not hub_id:
            return False
        self._transactions.unlocking(connector_id)
        return status_of((yield Ask("RequestStopTransaction", {"transactionId": hub_id}))) == "Accepted"

    def _reserve(self, message: Message) -> Conversation:
        """connectorId 0: any connector (16 5.13)."""
        payload = message.payload
        reservation_id, connector_id = payload.get("reservationId"), payload.get("connectorId")
        spot = self._desk.places.spot(connector_id)
        if not isinstance(reservation_id, int) or reservation_id < 0 or (connector_id != 0 and spot is None):
            return Said(REJECTED)
        tokens, expiry = self._desk.aliases, self._desk.time(payload.get("expiryDate"))
        request: Payload = {"id": reservation_id, "expiryDateTime": expiry, "idToken": tokens.token(payload.get("idTag", ""))}
        if spot is not None:
            request["evseId"] = spot[0]
        if text(payload.get("parentIdTag")):
            request["groupIdToken"] = tokens.token(payload["parentIdTag"])
        return _said_status((yield Ask("ReserveNow", request)), also=words.RESERVATION_STATUSES)

    def _cancel(self, message: Message) -> Conversation:
        reservation_id = message.payload.get("reservationId")
        if not isinstance(reservation_id, int) or reservation_id < 0:
            return Said(REJECTED)
        return _said_status((yield Ask("CancelReservation", {"reservationId": reservation_id})))

    # -- who may charge -----------------------------------------------------------------------------------------------

    def _clear_cache(self, message: Message) -> Conversation:
        return _said_status((yield Ask("ClearCache", {})))

    def _send_list(self, message: Message) -> Conversation:
        """Versions of 0 and below are not for lists (16 5.15); in a full list an entry without idTagInfo means nothing."""
        payload = message.payload
        version, full = payload.get("listVersion"), payload.get("updateType") == "Full"
        if not isinstance(version, int) or version <= 0:
            return Said({"status": "Failed"})
        request: Payload = {"versionNumber": version, "updateType": "Full" if full else "Differential"}
        entries = [self._entry(item) for item in tables(payload.get("localAuthorizationList")) if not full or isinstance(item.get("idTagInfo"), dict)]
        if entries:
            request["localAuthorizationList"] = entries
        reply = answer_of((yield Ask("SendLocalList", request)))
        if isinstance(reply, Failed):
            return Said({"status": "NotSupported"}) if reply.code in UNKNOWN else reply
        status = status_of(reply)
        return Said({"status": status if status in ("Accepted", "VersionMismatch") else "Failed"})

    def _entry(self, item: Payload) -> Payload:
        made: Payload = {"idToken": self._desk.aliases.token(item.get("idTag", ""))}
        if isinstance(item.get("idTagInfo"), dict):
            made["idTokenInfo"] = self._desk.aliases.token_info(item["idTagInfo"])
        return made

    def _list_version(self, message: Message) -> Conversation:
        """0 = no list; -1 where the station has no lists (16 5.10)."""
        reply = answer_of((yield Ask("GetLocalListVersion", {})))
        if isinstance(reply, Failed):
            return Said({"listVersion": -1}) if reply.code in UNKNOWN else reply
        version = reply.payload.get("versionNumber")
        return Said({"listVersion": version if isinstance(version, int) else 0})

    # -- triggers ---------------------------------------------------------------------------------------------------------

    def _trigger(self, message: Message) -> Conversation:
        """TriggerMessage, and ExtendedTriggerMessage of the whitepaper: what comes then is said in the same form."""
        wanted, connector_id = text(message.payload.get("requestedMessage")), message.payload.get("connectorId") or 0
        hub_word = words.TRIGGER_UP.get(wanted)
        if hub_word is None:
            return Said({"status": "NotImplemented"})
        if connector_id and self._desk.places.spot(connector_id) is None:
            return Said(REJECTED)
        if wanted == "StatusNotification" and not connector_id:
            return (yield from self._all_statuses())
        self._files.triggered(wanted, extended=message.action == "ExtendedTriggerMessage")
        request: Payload = {"requestedMessage": hub_word}
        spot = self._desk.places.spot(connector_id)
        if spot is not None and wanted in PER_CONNECTOR:
            # A 2.x station wants to know the connector too (F06.FR.12).
            request["evse"] = {"id": spot[0], **({"connectorId": spot[1]} if wanted == "StatusNotification" else {})}
        reply = answer_of((yield Ask("TriggerMessage", request)))
        if isinstance(reply, Failed):
            return Said({"status": "NotImplemented"}) if reply.code in UNKNOWN else reply
        status = status_of(reply)
        return Said({"status": status if status in ("Accepted", "NotImplemented") else "Rejected"})

    def _all_statuses(self) -> Talk:
        """1.6 may ask for all connectors in one go, 2.x cannot; the station has told each change, so we know them."""
        self._states.ask_all()
        return Said({"status": "Accepted"})
        yield  # pragma: no cover - makes it a generator


def _unlocked(reply: Reply) -> Reply:
    if isinstance(reply, Failed):
        return Said({"status": "NotSupported"}) if reply.code in UNKNOWN else reply
    status = status_of(reply)
    return Said({"status": {"Unlocked": "Unlocked", "UnknownConnector": "NotSupported"}.get(status, "UnlockFailed")})


def _said_status(reply: Reply | None, also: tuple[str, ...] = ()) -> Reply:
    """Accepted, one of ``also``, else Rejected; a failure stays one."""
    found = answer_of(reply)
    if isinstance(found, Failed):
        return found
    status = status_of(found)
    return Said({"status": status if status == "Accepted" or status in also else "Rejected"})
