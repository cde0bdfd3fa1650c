"""Reservations at a 1.6 station: it never says that one has ended, so we do (ReservationStatusUpdate, OCPP-NOTES 12.1)."""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import WIRE, Conversation, Failed, Message, Payload, Post, Said
from controller.ocpp.times import wall_time
from controller.ocpp.v16.station_state import StationState, ask, hub_error, is_unknown, no
from controller.ocpp.v16.words import RESERVATION_STATUSES, moment, whole, without_none

_PREFIX: Final = "reserved:"
_OUT_OF_ORDER: Final = ("Faulted", "Unavailable")


class Reservations:
    """One station's. Memory: "reserved:<id>" -> [connector, end in Unix seconds]."""

    def __init__(self, state: StationState) -> None:
        self._state, self._memory = state, state.memory

    def reserve(self, message: Message) -> Conversation:
        """ReserveNow; without an EVSE the station chooses the connector (0)."""
        payload, state = message.payload, self._state
        number, evse_id = whole(payload.get("id")) or 0, whole(payload.get("evseId")) or 0
        if payload.get("connectorType") is not None and not evse_id and len(state.evse_ids) > 1:
            return Said(no("UnsupportedParam", "1.6 cannot choose by connectorType: name the EVSE"))
        group = payload.get("groupIdToken")
        until = moment(payload.get("expiryDateTime"), state.around.now().wall_s)
        request = {
            "reservationId": number,
            "connectorId": evse_id,
            "expiryDate": until,
            "idTag": state.aliases.tag(payload.get("idToken")),
            "parentIdTag": state.aliases.tag(group) if isinstance(group, dict) else None,
        }
        self._memory.put(f"{_PREFIX}{number}", [evse_id, wall_time(until)])
        yield from state.keep()
        reply = yield from ask("ReserveNow", without_none(request), WIRE)
        status = reply.payload.get("status") if isinstance(reply, Said) else None
        if status != "Accepted":
            self._memory.put(f"{_PREFIX}{number}", None)
        if isinstance(reply, Failed):
            return Said(no("UnsupportedRequest", "this station takes no reservations")) if is_unknown(reply) else hub_error(reply)
        return Said({"status": status if status in RESERVATION_STATUSES else "Rejected"})

    def cancel(self, message: Message) -> Conversation:
        """CancelReservation."""
        number = whole(message.payload.get("reservationId")) or 0
        reply = yield from ask("CancelReservation", {"reservationId": number}, WIRE)
        if isinstance(reply, Failed):
            return Said(no("UnsupportedRequest", "this station takes no reservations")) if is_unknown(reply) else hub_error(reply)
        if reply.payload.get("status") == "Accepted":
            self._memory.put(f"{_PREFIX}{number}", None)
        return Said({"status": reply.payload.get("status")})

    # -- their end --------------------------------------------------------------------------------------------

    def used(self, payload: Payload) -> None:
        """A StartTransaction: its reservation is over, which its TransactionEvent says."""
        number = whole(payload.get("reservationId"))
        if number is not None:
            self._memory.put(f"{_PREFIX}{number}", None)

    def stage(self, connector: int, status: str) -> list[Conversation]:
        """A connector has told a status: one that is out of order holds no reservation."""
        if status not in _OUT_OF_ORDER or not connector:
            return []
        return [self._over(number, "Removed") for number, place, _ in self._all() if place == connector]

    def tick(self) -> list[Conversation]:
        """A second has passed."""
        at = self._state.around.now()
        return [self._over(number, "Expired") for number, _, end_wall_s in self._all() if at.wall_trusted and at.wall_s >= end_wall_s]

    def _all(self) -> list[tuple[int, int, float]]:
        found: list[tuple[str, Any]] = list(self._memory.starting(_PREFIX))
        return [(int(key.removeprefix(_PREFIX)), int(place), float(end or 0.0)) for key, (place, end) in found]

    def _over(self, number: int, status: str) -> Conversation:
        self._memory.put(f"{_PREFIX}{number}", None)
        yield Post("ReservationStatusUpdate", {"reservationId": number, "reservationUpdateStatus": status})
        return Said({})
