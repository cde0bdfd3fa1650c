"""The states of all connectors for the CSMS, and a charger that is away: never a silent hole.

A charger's StatusNotification (or NotifyEvent about AvailabilityState) is taken here and told under the depot's number; a newer state
replaces one that waits. After a boot of the depot and after an outage every connector is told (B01.FR.05, B04). A charger
that is away for longer than ``policy.absent_s`` has Unavailable connectors and a NotifyEvent that says which one is missing. EVSEs that
are no longer in the site file stay Unavailable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.link.depot.office import Card, FromStation, Office, Payload, Quiet
from controller.ocpp.hub import NO_ANSWER, Ask, Conversation, Emit, Keep, Message, Said, answered
from controller.ocpp.times import timestamp
from controller.orders import Severity, Tell

PREFIX: Final = "states:"
UNAVAILABLE: Final = "Unavailable"
STATES: Final = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")
CAUSES_KEPT: Final = 64
"""Numbers of a charger's events that a later one may name as its cause."""
RETRY_S: Final = 30.0
ASK_AFTER_S: Final = 10.0
"""A charger that is linked for so long and has not told a connector's state is asked for it."""

Place = tuple[int, int]
"""(the depot's EVSE number, connector)."""


class States(Quiet):
    """Owns ``Card.states``. rest: who takes the events of a NotifyEvent that are about something else."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.rest: FromStation = lambda station_id, message: answered(Said({}))
        self._told: dict[Place, str] = {}
        self._since: dict[Place, str] = {}
        self._due: dict[Place, float] = {}
        self._telling: set[Place] = set()
        self._gone_mono_s: dict[str, float] = {}
        self._absent: set[str] = set()
        self._missing_told: set[str] = set()
        self._linked_mono_s: dict[str, float] = {}
        self._event_ids: dict[str, dict[int, int]] = {}
        office.say_state = self._say
        for card in office.cards.values():
            card.states.update(_stored(office.memory.get(PREFIX + card.station_id)))

    def of_station(self) -> Mapping[str, FromStation]:
        """StatusNotification and NotifyEvent."""
        return {"StatusNotification": self._status, "NotifyEvent": self._events}

    # -- what chargers say ----------------------------------------------------------------------------------

    def _status(self, station_id: str, message: Message) -> Conversation:
        payload = message.payload
        self._note(station_id, payload.get("evseId"), payload.get("connectorId"), payload.get("connectorStatus"), payload.get("timestamp"))
        return answered(Said({}))

    def _note(self, station_id: str, evse_id: Any, connector_id: Any, status: Any, when: Any) -> bool:
        """A connector's state. False if this is none."""
        card = self._office.cards.get(station_id)
        if card is None or not isinstance(evse_id, int) or not isinstance(connector_id, int) or connector_id < 1 or status not in STATES:
            return False
        number = self._office.numbering.of(station_id, evse_id)
        if number is None:
            return True
        if card.states.get((evse_id, connector_id)) != status:
            card.states[(evse_id, connector_id)] = status
            self._office.memory.put(PREFIX + station_id, [[*key, value] for key, value in card.states.items()])
        place = (number, connector_id)
        self._since[place] = when if isinstance(when, str) else self._now()
        self._soon(place, self._office.policy.status_wait_s)
        return True

    def _soon(self, place: Place, wait_s: float = 0.0) -> None:
        self._due.setdefault(place, self._office.now().mono_s + wait_s)

    def _events(self, station_id: str, message: Message) -> Conversation:
        events = message.payload.get("eventData")
        others = [event for event in events if not self._is_state(station_id, event)] if isinstance(events, list) else []
        if not others:
            return Said({})
        renamed = [self._renamed(station_id, event) for event in others]
        return (yield from self.rest(station_id, Message("NotifyEvent", {**message.payload, "eventData": renamed})))

    def _is_state(self, station_id: str, event: Any) -> bool:
        """Whether an event is the state of a connector; then it is taken like a StatusNotification."""
        component, variable = (event.get("component"), event.get("variable")) if isinstance(event, dict) else (None, None)
        if not isinstance(component, dict) or not isinstance(variable, dict):
            return False
        evse = component.get("evse")
        if component.get("name") != "Connector" or variable.get("name") != "AvailabilityState" or not isinstance(evse, dict):
            return False
        return self._note(station_id, evse.get("id"), evse.get("connectorId"), event.get("actualValue"), event.get("timestamp"))

    def _renamed(self, station_id: str, event: Payload) -> Payload:
        """An event under a number of the depot: those of two chargers must not be taken for each other."""
        known = self._event_ids.setdefault(station_id, {})
        own, cause = event.get("eventId"), event.get("cause")
        number = self._office.number()
        if isinstance(own, int):
            known[own] = number
            while len(known) > CAUSES_KEPT:
                del known[next(iter(known))]
        rest = {key: value for key, value in event.items() if key != "cause"}
        return {**rest, "eventId": number, **({"cause": known[cause]} if isinstance(cause, int) and cause in known else {})}

    # -- what the CSMS hears -----------------------------------------------------------------------------------

    def places(self) -> list[Place]:
        """Every connector of the depot."""
        found: list[Place] = []
        for number, evse in self._office.numbering.all():
            card = self._office.cards.get(evse.station_id)
            connectors = sorted(connector for own, connector in card.states if own == evse.evse_id) if card is not None else []
            found += [(number, connector) for connector in connectors or [1]]
        return found

    def status(self, place: Place) -> str:
        """The state of a connector as the CSMS shall see it."""
        found = self._office.place(place[0])
        if found is None or not found[0].configured or found[0].station_id in self._absent:
            return UNAVAILABLE
        return found[0].states.get((found[1], place[1]), UNAVAILABLE)

    def opened(self) -> list[Conversation]:
        """All connectors: after a boot, and after any outage, for the depot's OfflineThreshold is 0 (B01.FR.05, B04.FR.01)."""
        self._told.clear()
        self._telling.clear()
        places = self.places()
        for place in places:
            self._due[place] = float("-inf")
        missing = [card for card in self._office.cards.values() if card.station_id in self._absent]
        return [*self._tell_due(), *(self._event(card, away=True) for card in missing if card.station_id not in self._missing_told)]

    def tick(self) -> list[Conversation]:
        """States that are due, chargers that have left or are back."""
        talks = [talk for card in self._office.cards.values() if card.configured for talk in self._presence(card)]
        return [*talks, *(self._tell_due() if self._office.accepted else [])]

    def _tell_due(self) -> list[Conversation]:
        now_mono_s = self._office.now().mono_s
        due = [place for place, due_mono_s in self._due.items() if now_mono_s >= due_mono_s and place not in self._telling]
        talks = []
        for place in due:
            del self._due[place]
            if self._told.get(place) != self.status(place):
                self._telling.add(place)
                talks.append(self._tell(place))
        return talks

    def _tell(self, place: Place) -> Conversation:
        status = self.status(place)
        number, connector_id = place
        payload = {"timestamp": self._since.get(place) or self._now(), "connectorStatus": status, "evseId": number, "connectorId": connector_id}
        reply = yield Ask("StatusNotification", payload)
        self._telling.discard(place)
        if reply is None or reply == NO_ANSWER:
            self._due.setdefault(place, self._office.now().mono_s + RETRY_S)
            return NO_ANSWER
        self._told[place] = status  # a CSMS that refuses a state has heard it
        if self.status(place) != status:
            self._soon(place)
        return reply

    def _say(self, place: Place) -> Conversation:
        """Triggered: also if the CSMS knows it already; what it hears now is what it was told last."""
        self._telling.add(place)
        return self._tell(place)

    # -- chargers that are away -----------------------------------------------------------------------------------

    def station_changed(self, card: Card) -> list[Conversation]:
        """A charger is there or away, or a connector of it has another state."""
        if not card.configured:
            self._changed(card)  # it is seen through another face now
        talks = self._presence(card) if card.configured else []
        return [*talks, *(self._tell_due() if self._office.accepted else [])]

    def _presence(self, card: Card) -> list[Conversation]:
        now_mono_s, station_id = self._office.now().mono_s, card.station_id
        if card.online:
            self._gone_mono_s.pop(station_id, None)
            if station_id not in self._absent:
                return self._ask(card, now_mono_s)
            self._absent.discard(station_id)
            self._changed(card)
            return [self._event(card, away=False)]
        self._linked_mono_s.pop(station_id, None)
        since_mono_s = self._gone_mono_s.setdefault(station_id, now_mono_s)
        if station_id in self._absent or now_mono_s - since_mono_s < self._office.policy.absent_s:
            return []
        self._absent.add(station_id)
        self._changed(card)
        return [self._event(card, away=True)]

    def _changed(self, card: Card) -> None:
        """All connectors of a charger have another state from now on."""
        numbers = set(self._office.numbering.of_station(card.station_id))
        for place in self.places():
            if place[0] in numbers:
                self._since[place] = self._now()
                self._soon(place)

    def _event(self, card: Card, *, away: bool) -> Conversation:
        """NotifyEvent: which charger is missing, on each of its EVSEs; or that it is back."""
        text = f"charger {card.station_id} has no connection to the site's controller" if away else f"charger {card.station_id} is connected again"
        self._missing_told.discard(card.station_id)
        numbers = self._office.numbering.of_station(card.station_id)
        if not self._office.accepted or not numbers:
            return Said({})
        yield Emit(Tell(Severity.WARNING if away else Severity.INFO, card.station_id, f"{text} - the CSMS is told"))
        events = [self._availability(number, text, away) for number in numbers]
        yield Keep()  # numbers that were told never come again
        reply = yield Ask("NotifyEvent", {"generatedAt": self._now(), "seqNo": 0, "tbc": False, "eventData": events})
        if away and reply != NO_ANSWER:
            self._missing_told.add(card.station_id)
        return reply or NO_ANSWER

    def _availability(self, number: int, text: str, away: bool) -> Payload:
        states = [self.status(place) for place in self.places() if place[0] == number]
        state = UNAVAILABLE if away or not states else next((known for known in _RANKED if known in states), UNAVAILABLE)
        return {
            "eventId": self._office.number(),
            "timestamp": self._now(),
            "trigger": "Alerting" if away else "Delta",
            "actualValue": state,
            "techInfo": text[:500],
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "EVSE", "evse": {"id": number}},
            "variable": {"name": "AvailabilityState"},
        }

    def _ask(self, card: Card, now_mono_s: float) -> list[Conversation]:
        """A charger that has not told all its states is asked once: a 2.x one that reconnects does not tell them by itself."""
        if not card.linked:
            self._linked_mono_s.pop(card.station_id, None)
            return []
        since_mono_s = self._linked_mono_s.setdefault(card.station_id, now_mono_s)
        if now_mono_s - since_mono_s < ASK_AFTER_S or card.config is None:
            return []
        self._linked_mono_s[card.station_id] = float("inf")
        known = {evse_id for evse_id, _ in card.states}
        return [self._trigger(card.station_id, evse.id) for evse in card.config.evses if evse.id not in known]

    def _trigger(self, station_id: str, evse_id: int) -> Conversation:
        payload = {"requestedMessage": "StatusNotification", "evse": {"id": evse_id, "connectorId": 1}}
        return (yield Ask("TriggerMessage", payload, to=station_id)) or Said({})

    def _now(self) -> str:
        return timestamp(self._office.now().wall_s)


_RANKED: Final = ("Occupied", "Reserved", "Available", "Faulted", "Unavailable")
"""An EVSE is what its connectors are: the first of these that one of them is."""


def _stored(data: Any) -> dict[tuple[int, int], str]:
    """States as the memory holds them; what cannot be read is unknown."""
    found: dict[tuple[int, int], str] = {}
    for entry in data if isinstance(data, list) else []:
        match entry:
            case [int(evse_id), int(connector_id), str(status)] if status in STATES:
                found[(evse_id, connector_id)] = status
    return found
