"""Reservations (H01-H04): of one EVSE at its charger; without EVSE a concrete free one is kept (policy ``reserve_without_evse``).

A floating reservation moves on when its charger goes away, fails or takes it back, as long as another EVSE is free; only when there is none
the CSMS hears that it is Removed. Ids are the CSMS's, one space for the whole depot: the same id again replaces the old one (H01.FR.02).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot import reserved
from controller.link.depot.asking import BY_POLICY, OFFLINE, Asking, Heard, ask_in_time, configured, no_evse, place_of, refused, relayed, tell
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Quiet
from controller.link.depot.standing import Standing
from controller.link.depot.starts import Place, states
from controller.ocpp.hub import HUB, Ask, Conversation, Keep, Message, Payload, Post, Said
from controller.orders import Severity

TRIES: Final = 5
"""Chargers that are asked to take a reservation without EVSE."""
AFTERWARDS_S: Final = 300.0
"""What is kept of a reservation stays so long after its end, for a station that tells of it late."""


class Reservations(Quiet):
    """ReserveNow, CancelReservation, ReservationStatusUpdate."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._errands = Standing(office, "resv")
        self._moving: set[int] = set()
        self._away_since_mono_s: dict[str, float] = {}
        self._swept_mono_s = 0.0
        floating = office.policy.reserve_without_evse != "refuse"  # no charger is asked for that: the depot chooses
        office.shows["ReservationCtrlr", "NonEvseSpecific"] = lambda: "true" if floating else "false"

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Both commands."""
        return {"ReserveNow": self._reserve, "CancelReservation": self._cancel}

    def of_station(self) -> Mapping[str, FromStation]:
        """The end of one."""
        return {"ReservationStatusUpdate": self._update}

    # -- commands ---------------------------------------------------------------------------------------

    def _reserve(self, message: Message) -> Conversation:
        request = message.payload
        if "evseId" in request:
            place = place_of(self._office, request["evseId"])
            if place is None:
                return no_evse("Rejected", request["evseId"])
            heard: Heard | None = yield from self._at(place, request, floating=False)
        elif self._office.policy.reserve_without_evse == "refuse":
            return refused("Rejected", BY_POLICY, "this site wants an evseId in each reservation (depot.reserve_without_evse)")
        else:
            heard = yield from self._somewhere(request)
        return relayed(heard, "Unavailable" if heard.away else "Rejected") if heard is not None else self._none_free()

    def _at(self, place: Place, request: Payload, floating: bool) -> Asking[Heard]:
        card, evse_id = place
        before = reserved.reservation(self._office, request["id"])
        heard = yield from ask_in_time(card, "ReserveNow", {**request, "evseId": evse_id})
        if heard.status == "Accepted":
            reserved.keep(self._office, card.station_id, evse_id, request, floating)
            yield Keep()
            if before is not None and before["station"] != card.station_id:
                yield from self._withdraw(before["station"], request["id"])
        return heard

    def _somewhere(self, request: Payload) -> Asking[Heard | None]:
        """The answer of the first charger that takes it, else of the last that was asked; None: nothing is free."""
        heard = None
        for place in self._free()[:TRIES]:
            heard = yield from self._at(place, request, floating=True)
            if heard.status == "Accepted":
                return heard
        return heard

    def _withdraw(self, station_id: str, reservation_id: int) -> Asking[None]:
        """It stands elsewhere now: the charger that had it frees its EVSE, at once or when it is back."""
        slot = f"{station_id}:{reservation_id}"
        yield from self._errands.declare(slot, "CancelReservation", {"reservationId": reservation_id}, only=station_id, once=True)
        yield from self._errands.everywhere(slot)
        yield Keep()

    def _free(self) -> list[Place]:
        taken = reserved.reserved_places(self._office)
        places = [place_of(self._office, number) for number, _ in self._office.numbering.all()]
        return [place for place in places if place is not None and place[0].linked and _is_free(place, taken)]

    def _none_free(self) -> Said:
        """The connectors' own states say why."""
        seen = {state for card in configured(self._office) if card.linked for state in card.states.values()}
        if not any(card.linked for card in configured(self._office)):
            return refused("Unavailable", OFFLINE, "no charger is online")
        status = "Occupied" if seen & {"Occupied", "Reserved", "Available"} else "Faulted" if "Faulted" in seen else "Unavailable"
        return refused(status, "NotFound", "no EVSE of this site is free")

    def _cancel(self, message: Message) -> Conversation:
        reservation_id = message.payload.get("reservationId")
        entry = reserved.reservation(self._office, reservation_id)
        if entry is None:
            return refused("Rejected", "NotFound", f"no reservation {reservation_id} at this site")
        card = self._office.cards.get(entry["station"])
        if card is None:
            reserved.end(self._office, reservation_id)
            yield Keep()
            return Said({"status": "Accepted"})
        heard = yield from ask_in_time(card, message.action, message.payload)
        if not heard.away:
            reserved.end(self._office, reservation_id)
            yield Keep()
        return relayed(heard, "Rejected")

    # -- what becomes of them -----------------------------------------------------------------------------

    def _update(self, station_id: str, message: Message) -> Conversation:
        reservation_id = message.payload.get("reservationId")
        entry = reserved.reservation(self._office, reservation_id)
        if entry is not None and entry["station"] != station_id:
            return Said({})  # it has been moved away from there
        if entry is not None and entry["floating"] and message.payload.get("reservationUpdateStatus") == "Removed":
            moved = yield from self._move(int(reservation_id or 0), entry, station_id)
            if moved:
                return Said({})
        reply = yield Ask(message.action, message.payload, to=HUB)
        if isinstance(reply, Said):
            reserved.end(self._office, reservation_id)
            yield Keep()
        return reply if reply is not None else Said({})

    def _move(self, reservation_id: int, entry: Payload, away_from: str) -> Asking[bool]:
        """Keep another EVSE for a floating reservation; whether one was found."""
        if reservation_id in self._moving:
            return True
        self._moving.add(reservation_id)
        try:
            for place in [place for place in self._free() if place[0].station_id != away_from][:TRIES]:
                heard = yield from self._at(place, entry["request"], floating=True)
                if heard.status == "Accepted":
                    text = f"reservation {reservation_id} moved from {away_from} to {place[0].station_id}, EVSE {place[1]}"
                    yield tell(self._office, Severity.INFO, text)
                    return True
            return False
        finally:
            self._moving.discard(reservation_id)

    def station_changed(self, card: Card) -> list[Conversation]:
        """It went away, or is back: then it hears what was moved meanwhile."""
        if card.online:
            self._away_since_mono_s.pop(card.station_id, None)
        else:
            self._away_since_mono_s.setdefault(card.station_id, self._office.now().mono_s)
        return self._errands.station_changed(card)

    def _stranded(self) -> list[tuple[int, Payload]]:
        """Floating reservations at chargers that have been away for ``absent_s``: they keep no EVSE free."""
        now, patience_s = self._office.now(), self._office.policy.absent_s
        away = {station_id for station_id, since_mono_s in self._away_since_mono_s.items() if now.mono_s - since_mono_s >= patience_s}
        held = [(key, value) for key, value in reserved.reservations(self._office) if value["floating"] and value["station"] in away] if away else []
        return [(key, value) for key, value in held if key not in self._moving and (value["ends"] or 0.0) > now.wall_s]

    def _leave(self, reservation_id: int, entry: Payload) -> Conversation:
        moved = yield from self._move(reservation_id, entry, entry["station"])
        if not moved:
            yield Post("ReservationStatusUpdate", {"reservationId": reservation_id, "reservationUpdateStatus": "Removed"})
            reserved.end(self._office, reservation_id)
            yield Keep()
        return Said({})

    def tick(self) -> list[Conversation]:
        """What has ended long ago is forgotten (the stations themselves tell when); what is stranded moves."""
        now = self._office.now()
        talks = [*self._errands.tick(), *[self._leave(key, value) for key, value in self._stranded()]]
        if now.mono_s - self._swept_mono_s >= AFTERWARDS_S:
            self._swept_mono_s = now.mono_s
            over = [(key, value) for key, value in reserved.reservations(self._office) if (value["ends"] or 0.0) + AFTERWARDS_S < now.wall_s]
            talks += [self._forget(key, value) for key, value in over]
        return talks

    def _forget(self, reservation_id: int, entry: Payload) -> Conversation:
        """It has ended and its charger has not said so: of one that is away the CSMS hears it from us (H04.FR.01)."""
        card = self._office.cards.get(entry["station"])
        if (card is None or not card.linked) and (card is None or entry["evse"] not in card.transactions):
            yield Post("ReservationStatusUpdate", {"reservationId": reservation_id, "reservationUpdateStatus": "Expired"})
        reserved.end(self._office, reservation_id)
        yield Keep()
        return Said({})


def _is_free(place: Place, taken: set[tuple[str, int]]) -> bool:
    card, evse_id = place
    return "Available" in states(card, evse_id) and evse_id not in card.transactions and (card.station_id, evse_id) not in taken
