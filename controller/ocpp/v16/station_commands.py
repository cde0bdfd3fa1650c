"""Commands of the hub to a 1.6 station: remote start and stop, availability, unlocking, triggers, cache, local list, vendor data.

What needs more than one step of its own has its own file: resets, reservations, files and certificates, charging profiles, the device model.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import WIRE, Conversation, Failed, Message, Payload, Said, answered
from controller.ocpp.v16.station_limits import NotSayableError, Profiles
from controller.ocpp.v16.station_notices import data_text
from controller.ocpp.v16.station_pnc import Pnc
from controller.ocpp.v16.station_starts import Starts
from controller.ocpp.v16.station_state import Answer, StationState, ask, hub_error, is_unknown, may_not_know, no
from controller.ocpp.v16.station_transactions import Transactions
from controller.ocpp.v16.words import EXTENDED_TRIGGER_DOWN, TRIGGER_DOWN, whole, without_none

_TRIGGERS_FOR_CARS: Final = ("SignV2GCertificate", "SignCombinedCertificate")


class Commands:
    """One station's."""

    def __init__(self, state: StationState, transactions: Transactions, starts: Starts, profiles: Profiles, pnc: Pnc) -> None:
        self._state, self._transactions, self._starts, self._profiles, self._pnc = state, transactions, starts, profiles, pnc

    # -- transactions -----------------------------------------------------------------------------------------

    def start(self, message: Message) -> Conversation:
        """RequestStartTransaction; its groupIdToken has no place in 1.6."""
        payload, state = message.payload, self._state
        evse_id = whole(payload.get("evseId")) or (state.evse_ids[0] if len(state.evse_ids) == 1 else 0)
        tag = state.aliases.tag(payload.get("idToken"))
        request: Payload = {"idTag": tag, **({"connectorId": evse_id} if evse_id else {})}
        if payload.get("chargingProfile") is not None:
            try:
                request["chargingProfile"] = self._profiles.in_start(payload["chargingProfile"])
            except NotSayableError as odd:
                return Said(no(odd.reason, str(odd)))
        remote_start_id = whole(payload.get("remoteStartId"))
        if remote_start_id is not None:
            self._starts.expect(evse_id, tag, remote_start_id)
        yield from state.keep()
        reply = yield from ask("RemoteStartTransaction", request, WIRE)
        if isinstance(reply, Said) and reply.payload.get("status") == "Accepted":
            return Said({"status": "Accepted"})
        if isinstance(reply, Said) or may_not_know(reply):
            self._starts.forget(evse_id)  # where nobody answered, it may begin all the same
        if is_unknown(reply):
            return Said(no("UnsupportedRequest", "this station cannot be started from afar"))
        return hub_error(reply) if isinstance(reply, Failed) else Said({"status": "Rejected"})

    def stop(self, message: Message) -> Conversation:
        """RequestStopTransaction."""
        transaction = self._state.book.of_uuid(message.payload.get("transactionId"))
        if transaction is None or not transaction.opened:
            return Said(no("TxNotFound", "this station has no such transaction"))
        return (yield from _plain("RemoteStopTransaction", {"transactionId": transaction.number}))

    def status(self, message: Message) -> Conversation:
        """GetTransactionStatus, from what has come through here; the station itself cannot be asked. What waits in our queue is of some
        transaction, and any of them may be the one (trap 10)."""
        uuid, queued = message.payload.get("transactionId"), self._state.around.queued() > 0
        if uuid is None:
            return answered(Said({"messagesInQueue": queued or self._transactions.waiting()}))
        transaction = self._state.book.of_uuid(uuid)
        if transaction is None:
            return answered(Said({"ongoingIndicator": False, "messagesInQueue": False}))
        return answered(Said({"ongoingIndicator": transaction.opened, "messagesInQueue": queued or self._transactions.waiting(transaction)}))

    # -- connectors -----------------------------------------------------------------------------------------------

    def availability(self, message: Message) -> Conversation:
        """ChangeAvailability; without an EVSE, of the whole station."""
        evse = message.payload.get("evse") or {}
        evse_id, connector = whole(evse.get("id")) or 0, evse.get("connectorId")
        if connector not in (None, 1) or not self._there(evse_id):
            return Said(no("UnknownEvse" if connector in (None, 1) else "UnknownConnectorId"))
        return (yield from _plain("ChangeAvailability", {"connectorId": evse_id, "type": message.payload.get("operationalStatus")}))

    def unlock(self, message: Message) -> Conversation:
        """UnlockConnector; never ends a transaction (F05.FR.02)."""
        evse_id = whole(message.payload.get("evseId")) or 0
        if message.payload.get("connectorId") != 1 or not evse_id or not self._there(evse_id):
            return Said({"status": "UnknownConnector"})
        if self._state.busy(evse_id):
            return Said({"status": "OngoingAuthorizedTransaction"})
        reply = yield from ask("UnlockConnector", {"connectorId": evse_id}, WIRE)
        if isinstance(reply, Failed) and not is_unknown(reply):
            return hub_error(reply)
        if isinstance(reply, Said) and reply.payload.get("status") == "Unlocked":
            return Said({"status": "Unlocked"})
        unable = isinstance(reply, Failed) or reply.payload.get("status") == "NotSupported"
        return Said(no("UnsupportedRequest", "this station has no lock to open", "UnlockFailed") if unable else {"status": "UnlockFailed"})

    def _there(self, evse_id: int) -> bool:
        return evse_id == 0 or evse_id in self._state.evse_ids or evse_id in self._state.statuses

    # -- triggers (12.8) ----------------------------------------------------------------------------------------------

    def trigger(self, message: Message) -> Conversation:
        """TriggerMessage."""
        wanted, evse = str(message.payload.get("requestedMessage")), message.payload.get("evse") or {}
        place = {"connectorId": evse["id"]} if evse.get("id") else {}
        if wanted == "TransactionEvent":
            return (yield from self._trigger_event(whole(evse.get("id")) or 0))
        if wanted in _TRIGGERS_FOR_CARS:
            refusal = no("UnsupportedRequest", f"this station cannot be asked for {wanted}", "NotImplemented")
            return (yield from self._pnc.ask("TriggerMessage", message.payload, refusal))
        if wanted not in TRIGGER_DOWN and wanted not in EXTENDED_TRIGGER_DOWN:
            return Said(no("UnsupportedRequest", f"1.6 cannot be asked for {wanted}", "NotImplemented"))
        reply = yield from self._trigger(wanted, place)
        if isinstance(reply, Failed):
            return Said({"status": "NotImplemented"}) if is_unknown(reply) else hub_error(reply)
        status = reply.payload.get("status")
        if wanted == "BootNotification" and status == "Accepted":
            self._state.memory.put("reason", "Triggered")
        if wanted == "StatusNotification" and status == "Accepted":
            self._forget_statuses(whole(evse.get("id")))
        return Said({"status": status})

    def _trigger(self, wanted: str, place: Payload) -> Answer:
        """In the whitepaper's words where plain 1.6 has none; in plain ones where the station does not know the whitepaper."""
        extended, plain = EXTENDED_TRIGGER_DOWN.get(wanted), TRIGGER_DOWN.get(wanted)
        if extended is not None and self._state.knows("ExtendedTriggerMessage"):
            reply = yield from ask("ExtendedTriggerMessage", {"requestedMessage": extended, **place}, WIRE)
            if not may_not_know(reply) or (plain is None and not is_unknown(reply)):
                return reply
            if is_unknown(reply):
                self._state.unknown("ExtendedTriggerMessage")
        if plain is None:
            return Said({"status": "NotImplemented"})
        return (yield from ask("TriggerMessage", {"requestedMessage": plain, **place}, WIRE))

    def _forget_statuses(self, evse_id: int | None) -> None:
        """What was asked for is told, also if it is no news."""
        for connector in [evse_id] if evse_id else list(self._state.statuses):
            self._state.statuses.pop(connector, None)

    def _trigger_event(self, evse_id: int) -> Conversation:
        """1.6 cannot send its transaction's state: we tell it, and ask the station for its readings."""
        running = self._state.book.running(evse_id)
        if not running:
            return answered(Said(no("TxNotFound", "no transaction runs there")))
        self._state.later.append(self._transactions.triggered(evse_id))
        self._state.later += [self._ask_values(transaction.evse_id) for transaction in running if transaction.evse_id]
        return answered(Said({"status": "Accepted"}))

    def _ask_values(self, evse_id: int) -> Conversation:
        return ask("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": evse_id}, WIRE)

    # -- drivers ----------------------------------------------------------------------------------------------------------

    def clear_cache(self, message: Message) -> Conversation:
        """ClearCache."""
        return _plain("ClearCache", {})

    def list_version(self, message: Message) -> Conversation:
        """GetLocalListVersion; a station without lists has none."""
        reply = yield from ask("GetLocalListVersion", {}, WIRE)
        if isinstance(reply, Failed):
            return Said({"versionNumber": 0}) if is_unknown(reply) else hub_error(reply)
        return Said({"versionNumber": max(whole(reply.payload.get("listVersion")) or 0, 0)})

    def send_list(self, message: Message) -> Conversation:
        """SendLocalList."""
        payload = message.payload
        full, entries = payload.get("updateType") == "Full", payload.get("localAuthorizationList")
        listed: dict[str, Payload] = {}
        for entry in entries if isinstance(entries, list) else []:
            made = self._list_entry(entry, full)
            if made is not None:
                listed[made["idTag"].casefold()] = made
        request: Payload = {"listVersion": payload.get("versionNumber"), "updateType": payload.get("updateType")}
        if listed:
            request["localAuthorizationList"] = list(listed.values())
        yield from self._state.keep()
        reply = yield from ask("SendLocalList", request, WIRE)
        if isinstance(reply, Failed):
            return Said(no("UnsupportedRequest", "this station has no local list", "Failed")) if is_unknown(reply) else hub_error(reply)
        status = reply.payload.get("status")
        return Said(no("UnsupportedRequest", "this station has no local list", "Failed") if status == "NotSupported" else {"status": status})

    def _list_entry(self, entry: Any, full: bool) -> Payload | None:
        """An entry of 1.6. Who may charge only at some EVSEs is not listed: the CSMS is asked each time. None: nothing to say."""
        if not isinstance(entry, dict) or (entry.get("idToken") or {}).get("type") == "NoAuthorization":
            return None  # nobody's card: its tag stands for everybody
        tag, info = self._state.aliases.tag(entry.get("idToken")), entry.get("idTokenInfo")
        places = info.get("evseId") if isinstance(info, dict) else None
        some = isinstance(places, list) and not set(self._state.evse_ids) <= set(places)
        if not isinstance(info, dict) or some:
            return None if full else {"idTag": tag}
        return {"idTag": tag, "idTagInfo": self._state.aliases.tag_info(info)}

    # -- vendors --------------------------------------------------------------------------------------------------------------

    def data(self, message: Message) -> Conversation:
        """DataTransfer."""
        payload = message.payload
        request = without_none({"vendorId": payload.get("vendorId"), "messageId": payload.get("messageId")})
        if payload.get("data") is not None:
            request["data"] = data_text(payload["data"])
        reply = yield from ask("DataTransfer", request, WIRE)
        if isinstance(reply, Failed):
            return Said({"status": "UnknownVendorId"}) if is_unknown(reply) else hub_error(reply)
        return Said(without_none({"status": reply.payload.get("status"), "data": reply.payload.get("data")}))


def _plain(action: str, payload: Payload) -> Conversation:
    """A command whose status words are the same in both versions."""
    reply = yield from ask(action, payload, WIRE)
    if is_unknown(reply):
        return Said(no("UnsupportedRequest", f"this station does not know {action}"))
    return hub_error(reply) if isinstance(reply, Failed) else Said({"status": reply.payload.get("status")})
