"""Helping a car that sleeps after a pause of 0 A (trap 19): its station reports its status, or goes out of order and back.

Out of order and back is two CALLs, one after the other, whatever the first is answered: during a transaction
the station only takes note of the first (Scheduled) and the second calls it off. Must never: leave an EVSE out
of order; do it again where it has cost a transaction.
"""

from __future__ import annotations

from controller.facts import Stamp
from controller.link.lane import Priority
from controller.link.own_profiles import Answer, Asker, Outcome, Own, Sender
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.orders import Wake


class Waking:
    """One station's. The second of the two CALLs is owed until the station has accepted it, also over a lost connection."""

    __slots__ = ("_ask", "_costly", "_owed", "_send")

    def __init__(self, send: Sender, ask: Asker) -> None:
        self._send = send
        self._ask = ask
        self._owed: set[int] = set()
        self._costly: set[int] = set()  # EVSEs where it has ended a transaction

    def carry(self, order: Wake, at: Stamp, dialect: Dialect, charging: bool) -> list[Outcome]:
        """One attempt. charging: a transaction runs there. A trick that is not known gives nothing."""
        evse_id = order.evse.evse_id
        if order.trick == "availability" and evse_id not in self._costly:
            return self._out_and_in(at, evse_id, dialect, charging)
        if order.trick not in ("status", "availability"):
            return []
        return self._send(at, *dialect.ask_status(evse_id), Priority.HOUSEKEEPING, Own(order))

    def settled(self, evse_id: int) -> None:
        """The site itself says whether the EVSE is to be in order."""
        self._owed.discard(evse_id)

    def online(self, at: Stamp, dialect: Dialect) -> list[Outcome]:
        """The station takes commands again."""
        return [outcome for evse_id in sorted(self._owed) for outcome in self._back(at, evse_id, dialect)]

    def _out_and_in(self, at: Stamp, evse_id: int, dialect: Dialect, charging: bool) -> list[Outcome]:
        self._owed.add(evse_id)

        def out(at: Stamp, answer: Answer) -> list[Outcome]:
            if charging and isinstance(answer, rpc.Result) and dialect.accepted(answer.payload)[0] and not dialect.scheduled(answer.payload):
                self._costly.add(evse_id)
            return self._back(at, evse_id, dialect) if evse_id in self._owed else []

        return self._ask(at, *dialect.set_available(evse_id, False), out, Priority.HOUSEKEEPING)

    def _back(self, at: Stamp, evse_id: int, dialect: Dialect) -> list[Outcome]:
        def back(at: Stamp, answer: Answer) -> list[Outcome]:
            if isinstance(answer, rpc.Result) and dialect.accepted(answer.payload)[0]:
                self._owed.discard(evse_id)
            return []

        return self._ask(at, *dialect.set_available(evse_id, True), back, Priority.SAFETY)
