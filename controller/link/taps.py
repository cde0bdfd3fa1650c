"""What passes by and is written down: who charges, what cars and stations say of limits and schedules.

The frames go on as they came; this only reads them for ``profiles`` (limits beside OCPP, what a car
will take, a priority the driver chose: K11-K13, K15-K17, K22) and for ``driver`` (E01.FR.18, K21).
"""

from __future__ import annotations

from typing import Final

from controller.facts import EvseMeasured, Fact, NeedsAnnounced, Stamp
from controller.link.driver import Drivers
from controller.link.profiles import Profiles
from controller.link.running import Running
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, Payload, TransactionEvent
from controller.orders import Order

Outcome = Order | Fact
TELLING: Final = frozenset({"NotifyChargingLimit", "ClearedChargingLimit", "NotifyEVChargingSchedule", "NotifyPriorityCharging"})


class Taps:
    """One station's."""

    __slots__ = ("_drivers", "_profiles", "_running")

    def __init__(self, profiles: Profiles, drivers: Drivers, running: Running) -> None:
        self._profiles = profiles
        self._drivers = drivers
        self._running = running

    def seen(self, at: Stamp, call: rpc.Call, event: TransactionEvent | None, dialect: Dialect, found: list[Outcome]) -> list[Outcome]:
        """A CALL of the station has been observed. event: its transaction; found: what came of it."""
        outcomes = self._told(at, call, dialect) if call.action in TELLING else []
        for fact in found:
            if isinstance(fact, NeedsAnnounced):
                outcomes += self._profiles.needs(fact)
            if isinstance(fact, EvseMeasured | NeedsAnnounced) and fact.soc_percent is not None:
                outcomes += self._profiles.soc(at, fact.evse.evse_id, fact.soc_percent, self._running.transactions)
        return outcomes + (self._transaction(at, call, event, dialect) if event is not None and event.transaction_id else [])

    def _told(self, at: Stamp, call: rpc.Call, dialect: Dialect) -> list[Outcome]:
        transactions = self._running.transactions
        limit = dialect.external_limit(at, call.action, call.payload)
        if limit is not None:
            return self._profiles.external(at, limit, transactions)
        schedule = dialect.ev_schedule(call.action, call.payload)
        if schedule is not None:
            return self._profiles.ev_schedule(at, schedule)
        word = dialect.priority_word(call.action, call.payload)
        return self._profiles.priority_noticed(at, word, transactions) if word is not None else []

    def _transaction(self, at: Stamp, call: rpc.Call, event: TransactionEvent, dialect: Dialect) -> list[Outcome]:
        outcomes = self._drivers.ended(self._ids()) if event.started or event.ended else []
        token = dialect.driver_token(call.action, call.payload)
        place = next((evse_id for evse_id, running in self._ids().items() if running == event.transaction_id), None)
        return outcomes + (self._drivers.seen(at, place, event.transaction_id, token) if token is not None and place is not None else [])

    def heard(self, at: Stamp, action: str, request: Payload, result: Payload, dialect: Dialect) -> list[Outcome]:
        """The CSMS has answered a message of the station."""
        word = dialect.driver_word(action, request, result)
        return self._drivers.heard(at, word, self._ids()) if word is not None else []

    def again(self, at: Stamp) -> list[Outcome]:
        """What is known of who charges, for a site that has just begun to listen."""
        return self._drivers.told(at, self._ids())

    def _ids(self) -> dict[int, str]:
        return {evse_id: running.transaction_id for evse_id, running in self._running.transactions.items()}
