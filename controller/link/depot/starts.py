"""Starting and stopping from above (F01-F03).

With an EVSE the start goes to its charger. Without, the policy ``start_without_evse`` chooses one: an EVSE that is reserved for this driver,
else one where a car is plugged in that has had no session yet, else a free one, else one whose car is still there after its session.
"first_free" takes the lowest number, "most_power" the strongest. Only one charger is ever asked: the next plugged car may be somebody
else's. An EVSE that has just taken a start is nobody else's until its session runs, or the driver has not come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.link.depot import profile_book
from controller.link.depot.asking import BY_POLICY, OFFLINE, ask_in_time, configured, no_evse, place_of, refused, relayed
from controller.link.depot.office import Card, FromCsms, Office, Quiet
from controller.link.depot.reserved import reserved_for, reserved_places
from controller.link.depot.running import ask_its_station
from controller.ocpp.hub import Conversation, Keep, Message, Payload, Said

Place = tuple[Card, int]
PROMISED_S: Final = 120.0
"""So long an EVSE that has accepted a start counts as taken: chargers wait about so long for the cable."""


class Starts(Quiet):
    """RequestStartTransaction and RequestStopTransaction."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._promised: dict[tuple[str, int], float] = {}  # until when [mono s]
        self._served: set[tuple[str, int]] = set()

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Both."""
        return {"RequestStartTransaction": self._start, "RequestStopTransaction": self._stop}

    def _stop(self, message: Message) -> Conversation:
        return ask_its_station(self._office, message)

    def _start(self, message: Message) -> Conversation:
        payload = message.payload
        place = place_of(self._office, payload["evseId"]) if "evseId" in payload else self._chosen(payload)
        if place is None:
            return no_evse("Rejected", payload["evseId"]) if "evseId" in payload else self._no_place()
        card, evse_id = place
        heard = yield from ask_in_time(card, message.action, {**payload, "evseId": evse_id})
        if heard.status == "Accepted":
            self._promised[card.station_id, evse_id] = self._office.now().mono_s + PROMISED_S
        if heard.status == "Accepted" and isinstance(payload.get("chargingProfile"), dict):
            profile_book.note(self._office, card.station_id, evse_id, payload["chargingProfile"])
            yield Keep()
        return relayed(heard, "Rejected")

    def tick(self) -> list[Conversation]:
        """Which EVSEs are promised, and which cars have had their session."""
        now_mono_s, places = self._office.now().mono_s, {number: self._office.place(number) for number, _ in self._office.numbering.all()}
        for card, evse_id in (place for place in places.values() if place is not None):
            where = (card.station_id, evse_id)
            if evse_id in card.transactions:
                self._served.add(where)
            elif "Available" in states(card, evse_id):
                self._served.discard(where)
            if evse_id in card.transactions or self._promised.get(where, 0.0) <= now_mono_s:
                self._promised.pop(where, None)
        return []

    # -- without an EVSE --------------------------------------------------------------------------------

    def _no_place(self) -> Said:
        if self._office.policy.start_without_evse == "refuse":
            return refused("Rejected", BY_POLICY, "this site wants an evseId in each start (depot.start_without_evse)")
        if not self._office.linked():
            return refused("Rejected", OFFLINE, "no charger is online")
        return refused("Rejected", "NotFound", "no EVSE with a waiting car and none that is free")

    def _chosen(self, payload: Payload) -> Place | None:
        if self._office.policy.start_without_evse == "refuse":
            return None
        mine = reserved_for(self._office, payload.get("idToken"), payload.get("groupIdToken"))
        if mine is not None and mine[0].linked and mine[1] not in mine[0].transactions:
            return mine
        taken = reserved_places(self._office) | set(self._promised)
        able = [place for place in self._places() if (place[0].station_id, place[1]) not in taken]
        plugged = [place for place in able if "Occupied" in states(*place)]
        waiting = [place for place in plugged if (place[0].station_id, place[1]) not in self._served]
        for found in (waiting, [place for place in able if "Available" in states(*place)], plugged):
            if found:
                return max(found, key=_power) if self._office.policy.start_without_evse == "most_power" else found[0]
        return None

    def _places(self) -> list[Place]:
        """EVSEs without a transaction at chargers that can be asked, in the order of their numbers."""
        places = [self._office.place(number) for number, _ in self._office.numbering.all()]
        able = {card.station_id for card in configured(self._office) if card.linked}
        return [place for place in places if place is not None and place[0].station_id in able and place[1] not in place[0].transactions]


def states(card: Card, evse_id: int) -> set[str]:
    """The states of an EVSE's connectors."""
    return {state for (evse, _), state in card.states.items() if evse == evse_id}


def _power(place: Place) -> float:
    """Of the site file: current times phases. Of equal ones ``max`` takes the first."""
    card, evse_id = place
    evses: Any = card.config.evses if card.config is not None else ()
    return next((evse.max_current_a * len(evse.phases) for evse in evses if evse.id == evse_id), 0.0)
