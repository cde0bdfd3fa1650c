"""TransactionEvents made of what a 1.6 station says of its transactions (OCPP-NOTES 12.5, 12.6)."""

from __future__ import annotations

from controller.ocpp.hub import Payload
from controller.ocpp.times import wall_time
from controller.ocpp.v16 import readings
from controller.ocpp.v16.station_book import Transaction
from controller.ocpp.v16.station_starts import Starts
from controller.ocpp.v16.station_state import IN_USE, StationState
from controller.ocpp.v16.words import CHARGING_STATE_UP, READING_TRIGGERS, moment, stop_up, whole


class Events:
    """One station's. Each message is numbered in the book by its content before its event is made."""

    def __init__(self, state: StationState, starts: Starts) -> None:
        self._state, self._starts, self._book = state, starts, state.book

    def begin(self, content: str, payload: Payload) -> Transaction:
        """A new transaction with its Started event."""
        connector = whole(payload.get("connectorId")) or 0
        when = moment(payload.get("timestamp"), self._state.around.now().wall_s)
        for before in self._book.running(connector) if connector else []:
            # One transaction a connector: the end of that one never reached us, and may still come.
            self._book.supersede(before)
        transaction = self._book.begin(content, connector)
        self._state.began(connector, when)
        cause = self._starts.cause(connector, str(payload.get("idTag", "")))
        transaction.state = CHARGING_STATE_UP.get(self._state.status(connector), "EVConnected")
        event = self.event("Started", transaction, 0, cause.trigger, when)
        event["transactionInfo"] = transaction_info(transaction, True) | (
            {} if cause.remote_start_id is None else {"remoteStartId": cause.remote_start_id}
        )
        event["idToken"] = self._state.aliases.token(payload.get("idTag", ""))
        meter_wh, reservation = readings.number(payload.get("meterStart")), whole(payload.get("reservationId"))
        if meter_wh is not None:
            transaction.begin_wh = transaction.register_wh = meter_wh
            event["meterValue"] = [_register(when, meter_wh, "Transaction.Begin")]
        if reservation is not None and reservation >= 0:
            event["reservationId"] = reservation
        transaction.started = event
        self._book.save(transaction)
        return transaction

    def reading(self, transaction: Transaction, content: str, found: list[Payload]) -> Payload:
        """Updated with readings; when the last of them was taken is when it happened."""
        when = max((str(entry["timestamp"]) for entry in found), key=lambda text: wall_time(text) or 0.0)
        register_wh = readings.register_wh(found)
        transaction.register_wh = transaction.register_wh if register_wh is None else register_wh
        number = self._book.numbered(transaction, content)
        self._book.save(transaction)
        contexts = [sample.get("context", "") for entry in found for sample in entry["sampledValue"]]
        event = self.event("Updated", transaction, number, READING_TRIGGERS.get(contexts[0], "MeterValuePeriodic"), when)
        return event | {"meterValue": found}

    def end(self, transaction: Transaction, content: str, payload: Payload) -> Payload:
        """Ended; the station's own final reading, or else meterStop."""
        when = self._stopped(transaction, payload)
        meter_wh = readings.number(payload.get("meterStop"))
        reason, trigger = stop_up(payload.get("reason"))
        found = readings.up(payload.get("transactionData"), meter_wh, transaction.begin_wh)
        if meter_wh is not None and readings.register_wh(found, "Transaction.End") is None:
            found.append(_register(when, meter_wh, "Transaction.End"))
        transaction.state = "Idle" if reason == "EVDisconnected" else "EVConnected"
        event = self.event("Ended", transaction, self._book.numbered(transaction, content), trigger, when)
        event["transactionInfo"] = transaction_info(transaction, True) | {"stoppedReason": reason}
        if transaction.started.get("offline"):
            event["offline"] = True
        if payload.get("idTag"):
            event["idToken"] = self._state.aliases.token(payload["idTag"])
        return event | ({"meterValue": found} if found else {})

    def _stopped(self, transaction: Transaction, payload: Payload) -> str:
        """When it ended; where nobody can read that, when its stop was first read: told again, it is the same end."""
        when = moment(payload.get("timestamp"), self._state.around.now().wall_s)
        if wall_time(payload.get("timestamp")) is None:
            when = transaction.stopped = transaction.stopped or when
        return when

    def event(self, kind: str, transaction: Transaction, number: int, trigger: str, when: str) -> Payload:
        """What every event has; evse only in the first."""
        event: Payload = {"eventType": kind, "timestamp": when, "triggerReason": trigger, "seqNo": number}
        event["transactionInfo"] = transaction_info(transaction, False)
        if kind == "Started" and transaction.evse_id:
            event["evse"] = {"id": transaction.evse_id, "connectorId": 1}
        return event

    def adopt(self, number: int, connector: int, content: str, stop: Payload | None) -> Transaction:
        """A transaction nobody knows, as far as it is known. stop: the message that ends it, if it is that."""
        transaction = self._book.begin(content, connector or self._likely_connector(), number)
        when = moment((stop or {}).get("timestamp"), self._state.around.now().wall_s)
        event = self.event("Started", transaction, 0, "Authorized" if stop else "ChargingStateChanged", when)
        if stop is not None:
            event |= {"offline": True} | ({"idToken": self._state.aliases.token(stop["idTag"])} if stop.get("idTag") else {})
        transaction.started = event
        self._book.save(transaction)
        return transaction

    def _likely_connector(self) -> int:
        """A stop names no connector: the only one, or the one that was last in use; 0 = nobody knows."""
        if len(self._state.evse_ids) == 1:
            return self._state.evse_ids[0]
        busy = [connector for connector in self._state.evse_ids if self._state.status(connector) in (*IN_USE, "Finishing")]
        return busy[0] if len(busy) == 1 else 0


def transaction_info(transaction: Transaction, with_state: bool) -> Payload:
    """transactionInfo of an event."""
    return {"transactionId": transaction.uuid, **({"chargingState": transaction.state} if with_state and transaction.state else {})}


def _register(when: str, value_wh: float, context: str) -> Payload:
    sample: Payload = {"value": value_wh, "context": context, "measurand": readings.ENERGY, "unitOfMeasure": {"unit": "Wh"}}
    return {"timestamp": when, "sampledValue": [sample]}
