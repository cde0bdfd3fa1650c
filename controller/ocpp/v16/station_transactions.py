"""Transactions of a 1.6 station as TransactionEvents (OCPP-NOTES 12.5, 12.6).

A start gets its UUID and the integer the station will call it by, both on disk before anything goes up; its answer carries that integer
and what the CSMS says of the driver. Readings become Updated, a change of status becomes ChargingStateChanged, a stop becomes Ended.
seqNo counts without gaps, and events go up in its order: one of our own that nobody has answered is kept and goes before the next, and
never before a message of the station that still waits for its answer. What belongs to
a transaction nobody knows (-1, or one from before) still reaches the CSMS, under a new id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, Final

from controller.ocpp.hub import NO_ANSWER, Conversation, Failed, Payload, Reply, Said, Step
from controller.ocpp.times import timestamp, wall_time
from controller.ocpp.v16 import readings
from controller.ocpp.v16.station_book import Transaction, content_of
from controller.ocpp.v16.station_events import Events, transaction_info
from controller.ocpp.v16.station_starts import Starts
from controller.ocpp.v16.station_state import Answer, Silent, StationState, ask
from controller.ocpp.v16.words import CHARGING_STATE_UP, whole

TRIES: Final = 3
"""So often an event of our own is given to a CSMS that answers with errors, at once: what the station says next must not wait for it."""
SETTLED_S: Final = 10.0
"""So long after the wire opened, or after the last message from before, a replay is over."""


class Transactions:
    """One station's. starts: why a transaction begins. ended: called with each transaction that has ended."""

    def __init__(self, state: StationState, starts: Starts, ended: Callable[[Transaction], None]) -> None:
        self._state, self._book, self._ended = state, state.book, ended
        self._events = Events(state, starts)
        self._refused: dict[tuple[int, int], list[Failed]] = {}
        self._under_way = 0
        self._late_mono_s = float("-inf")
        self._held: dict[int, tuple[str, str, bool]] = {}

    def waiting(self, transaction: Transaction | None = None) -> bool:
        """Whether messages are still on their way up; None: of any transaction."""
        several = self._book.all() if transaction is None else [transaction]
        return self._under_way > 0 or any(self._book.owed(one) for one in several)

    # -- the station's messages ---------------------------------------------------------------------------------

    def start(self, payload: Payload) -> Conversation:
        """StartTransaction."""
        content = content_of("StartTransaction", payload)
        transaction = self._book.began_with(content)
        if transaction is None or not (transaction.opened or wall_time(payload.get("timestamp")) is not None):
            # Without its time, the same words may be the start of another one.
            transaction = self._events.begin(content, payload)
        yield from self._state.keep()
        reply = yield from self._tell(transaction.started)
        if isinstance(reply, Failed):
            return reply
        self._answered(transaction)
        info = reply.payload.get("idTokenInfo")
        said = {"status": "Accepted"} if info is None else self._state.aliases.tag_info(info, transaction.evse_id)
        yield from self._state.keep()
        return Said({"transactionId": transaction.number, "idTagInfo": said})

    def values(self, payload: Payload) -> Conversation:
        """MeterValues: of a transaction, or of nobody's."""
        connector, number = whole(payload.get("connectorId")) or 0, whole(payload.get("transactionId"))
        content = content_of("MeterValues", payload)
        transaction = self._of_readings(payload, connector, number, content)
        found = readings.up(payload.get("meterValue"), *_registers(transaction))
        if not found:
            return Said({})
        if transaction is None or (transaction.over and self._book.had(transaction, content) is None):
            reply = yield from ask("MeterValues", {"evseId": connector, "meterValue": found})
            return reply if isinstance(reply, Failed) else Said({})
        reply = yield from self._deliver(transaction, self._events.reading(transaction, content, found))
        return reply if isinstance(reply, Failed) else Said({})

    def stop(self, payload: Payload) -> Conversation:
        """StopTransaction."""
        content = content_of("StopTransaction", payload)
        transaction = self._of(whole(payload.get("transactionId")) or 0, 0, content, payload)
        event = self._events.end(transaction, content, payload)
        self._book.close(transaction)
        self._ended(transaction)
        reply = yield from self._deliver(transaction, event)
        if isinstance(reply, Failed):
            return reply
        info = reply.payload.get("idTokenInfo")
        if info is None or not payload.get("idTag"):
            return Said({})
        said = self._state.aliases.tag_info(info)
        yield from self._state.keep()
        return Said({"idTagInfo": said})

    # -- what happens without a message of theirs ----------------------------------------------------------------

    def changed(self, connector: int, status: str, when: str, dated: bool = True) -> Silent:
        """A status was told: the charging state of what runs there. dated: by the station; what it does not date is of now, whatever its
        clock says of the transaction's begin."""
        self._held.pop(connector, None)
        state = CHARGING_STATE_UP.get(status)
        for transaction in self._book.running(connector) if state and connector else []:
            # Some stations write fractions of a second in one message and not in the other.
            if transaction.state == state or (dated and (wall_time(when) or 0.0) < math.floor(transaction.began_wall_s)):
                continue
            if self._replayed(transaction):
                self._held[connector] = status, when, dated
                return
            transaction.state = str(state)
            yield from self._own_event(transaction, "ChargingStateChanged", when)
            return

    def tick(self) -> list[Conversation]:
        """A second has passed: what waited for the end of a replay."""
        quiet = self._held and not self._replaying()
        return [self._changed_alone(connector, *held) for connector, held in list(self._held.items())] if quiet else []

    def _changed_alone(self, connector: int, status: str, when: str, dated: bool) -> Conversation:
        yield from self.changed(connector, status, when, dated)
        return Said({})

    def _replaying(self) -> bool:
        mono_s = self._state.around.now().mono_s
        return mono_s - max(self._state.opened_mono_s, self._late_mono_s) < SETTLED_S

    def _replayed(self, transaction: Transaction) -> bool:
        """Whether messages of a transaction from before may still wait at the station's end: its stop among them (trap 9)."""
        opened_wall_s = self._state.opened_wall_s
        return opened_wall_s is not None and transaction.began_wall_s < opened_wall_s and self._replaying()

    def triggered(self, evse_id: int) -> Conversation:
        """The last state of what runs there, because the CSMS asked (12.8)."""
        for number in [one.number for one in self._book.running(evse_id)]:
            transaction = self._book.of_number(number)
            if transaction is not None and transaction.opened:
                yield from self._own_event(transaction, "Trigger", self._state.now)
        return Said({})

    def _own_event(self, transaction: Transaction, reason: str, when: str) -> Silent:
        number = transaction.next_seq
        transaction.next_seq += 1
        self._book.save(transaction)
        event = self._events.event("Updated", transaction, number, reason, when)
        self._book.owe(transaction, number, event | {"transactionInfo": transaction_info(transaction, True)})
        yield from self._state.keep()
        current = self._book.of_number(transaction.number)
        if current is not None and current.told:
            yield from self._flush(transaction)

    # -- whose message it is --------------------------------------------------------------------------------------------

    def _of(self, number: int, connector: int, content: str, stop: Payload | None = None) -> Transaction:
        """The transaction a message names. One the station could not name (16E 3.18), or that nobody knows, is what ran there at that time;
        without one it begins now, as far as it is known."""
        transaction = self._book.of_number(number) or self._book.began_with(content) or self._before(content)
        if transaction is None and stop is not None:
            transaction = self._nameless(connector, wall_time(stop.get("timestamp")))
        return self._events.adopt(number, connector, content, stop) if transaction is None else transaction

    def _of_readings(self, payload: Payload, connector: int, number: int | None, content: str) -> Transaction | None:
        """The transaction of MeterValues. Readings that name none, 0, -1 or one that nobody knows are of what ran at their connector when they
        were taken; without that they are nobody's, unless they name one. Connector 0 is the main meter."""
        known = (self._book.of_number(number) if number else None) or self._before(content)
        if known is not None or (number is None and not connector):
            return known
        taken = [wall_s for wall_s in map(wall_time, _moments(payload)) if wall_s is not None]
        running = self._nameless(connector, max(taken)) if taken else None
        if running is not None and (self._state.late(timestamp(max(taken))) or not self._state.is_free(running.evse_id)):
            return running
        return self._of(number, connector, content) if number is not None and number > 0 else None

    def _before(self, content: str) -> Transaction | None:
        """The transaction that this very message was of when it came before."""
        return next((one for one in self._book.all() if self._book.had(one, content) is not None), None)

    def _nameless(self, connector: int, at_wall_s: float | None) -> Transaction | None:
        """What ran there at a time, None = at any; connector 0: anywhere."""
        running = self._book.running(connector)
        fitting = [one for one in running if at_wall_s is None or math.floor(one.began_wall_s) <= at_wall_s]
        if connector or len(fitting) <= 1:
            return fitting[-1] if fitting else None
        # A stop names no connector: the one whose start the CSMS has not confirmed is the one without a name.
        unconfirmed = [one for one in fitting if not one.told]
        return unconfirmed[-1] if unconfirmed else None

    # -- sending -----------------------------------------------------------------------------------------------------------

    def _deliver(self, transaction: Transaction, event: Payload) -> Answer:
        """An event, after all that comes before it."""
        yield from self._state.keep()
        if not transaction.told:
            reply = yield from self._tell(transaction.started)
            if isinstance(reply, Failed):
                return reply
            self._answered(transaction)
        if (yield from self._flush(transaction, event["seqNo"])):
            return NO_ANSWER
        reply = yield from self._tell(event)
        if isinstance(reply, Said):
            self._book.answered(transaction, event["seqNo"])
            self._flush_later(transaction)
        return reply

    def _tell(self, event: Payload) -> Answer:
        late = {"offline": True} if self._state.late(event["timestamp"]) else {}
        if late:
            self._late_mono_s = self._state.around.now().mono_s
        self._under_way += 1
        try:
            reply = yield from ask("TransactionEvent", event | late)
        finally:
            self._under_way -= 1
        return reply

    def _answered(self, transaction: Transaction) -> None:
        """The CSMS has its Started: what waited behind it may go."""
        current = self._book.of_number(transaction.number)
        if current is not None and not current.told:
            current.told = True
            self._book.save(current)
        transaction.told = True
        self._flush_later(transaction)

    def _flush_later(self, transaction: Transaction) -> None:
        if self._book.owed(transaction):
            self._state.later.append(self._flushing_alone(transaction))

    def _flushing_alone(self, transaction: Transaction) -> Conversation:
        yield from self._flush(transaction)
        return Said({})

    def _flush(self, transaction: Transaction, before: int | None = None) -> Generator[Step, Reply | None, bool]:
        """Events of our own that nobody has answered, in their order; before: of a message of the station that goes next, None = as far as no
        message waits for its answer. Returns whether one of them waits on. Several may do this at a time: what is on its way already is not
        sent twice, they wait for the same answer."""
        while owed := self._book.owed(transaction):
            number, event = owed[0]
            if number > (self._waiting(transaction) if before is None else before):
                return False
            reply = yield from self._tell(event)
            if reply == NO_ANSWER:
                return True
            if not isinstance(reply, Failed) or self._give_up(transaction, number, reply):
                self._book.paid(transaction, number)
        return False

    def _waiting(self, transaction: Transaction) -> float:
        """seqNo of the station's message that goes up before anything else; infinite if there is none."""
        current = self._book.of_number(transaction.number)
        return float("inf") if current is None or current.waiting < 0 else current.waiting

    def _give_up(self, transaction: Transaction, number: int, reply: Failed) -> bool:
        """Whether an error of the CSMS is its last word on an event. The same error may be heard by several."""
        key = transaction.number, number
        errors = self._refused.setdefault(key, [])
        if not any(known is reply for known in errors):
            errors.append(reply)
        if len(errors) < TRIES:
            return False
        del self._refused[key]
        return True


def _moments(payload: Payload) -> list[Any]:
    """When readings were taken, as the station says."""
    values = payload.get("meterValue")
    return [entry.get("timestamp") for entry in values if isinstance(entry, dict)] if isinstance(values, list) else []


def _registers(transaction: Transaction | None) -> tuple[float | None, float | None]:
    return (None, None) if transaction is None else (transaction.register_wh, transaction.begin_wh)
