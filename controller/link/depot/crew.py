"""All parts of one depot face, and who of them answers what. What each says by itself is a list of conversations; a part that raises
harms only its own (P7)."""

from __future__ import annotations

from functools import partial
from typing import Any

from controller.facts import Fact
from controller.link.depot.lists import Lists
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Part
from controller.link.depot.parts import MAKERS
from controller.link.depot.states import States
from controller.link.talks import safely
from controller.ocpp.hub import Conversation


class Crew:
    """of_csms, of_station: action -> who answers it, the first part that takes it. states: the part that knows the connectors."""

    def __init__(self, office: Office) -> None:
        self._parts: tuple[Part, ...] = tuple(make(office) for make in MAKERS)
        self.of_csms: dict[str, FromCsms] = {}
        self.of_station: dict[str, FromStation] = {}
        for part in reversed(self._parts):
            self.of_csms.update(part.of_csms())
            self.of_station.update(part.of_station())
        self.states = next(part for part in self._parts if isinstance(part, States))
        self._join_events()

    def _join_events(self) -> None:
        """Of a NotifyEvent the states are one part's; the rest of it goes to the next part that takes events."""
        others = [part.of_station()["NotifyEvent"] for part in self._parts if part is not self.states and "NotifyEvent" in part.of_station()]
        if others:
            self.states.rest = others[0]
            self.of_station["NotifyEvent"] = self.states.of_station()["NotifyEvent"]

    def opened(self) -> list[Conversation]:
        """The CSMS has accepted the depot."""
        return [talk for part in self._parts for talk in safely(part.opened)]

    def changed(self, card: Card) -> list[Conversation]:
        """A station's card is another one now."""
        return [talk for part in self._parts for talk in safely(partial(part.station_changed, card))]

    def tick(self) -> list[Conversation]:
        """A second has passed."""
        return [talk for part in self._parts for talk in safely(part.tick)]

    def told(self, fact: Fact) -> list[Conversation]:
        """Files that were fetched, served or collected."""
        return [talk for part in self._parts for talk in safely(partial(part.told, fact))]

    def listed(self, token: dict[str, Any]) -> dict[str, Any] | None:
        """idTokenInfo on the depot's own local list, None for a driver who is not on it."""
        return next((part.lookup(token) for part in self._parts if isinstance(part, Lists)), None)
