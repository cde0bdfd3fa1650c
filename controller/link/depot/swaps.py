"""Battery swap stations (S01-S04): BatterySwap passes up with the depot's EVSE numbers; RequestBatterySwap goes to a station that swaps.

Which one that is nobody can tell from the message: stations that have sent a BatterySwap, then all others of 2.1, are asked one after the
other until one accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.asking import OFFLINE, Heard, ask_one, configured, merged, refused
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Quiet
from controller.link.depot.renumber import OutsideError, numbered_up
from controller.ocpp.hub import Ask, Conversation, Failed, Message, Said

SEEN: Final = "swap:seen"
"""Stations that have sent a BatterySwap: they surely can."""
ABLE: Final = ("ocpp2.1",)


class Swaps(Quiet):
    """BatterySwap, RequestBatterySwap."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """RequestBatterySwap."""
        return {"RequestBatterySwap": self._request}

    def of_station(self) -> Mapping[str, FromStation]:
        """BatterySwap."""
        return {"BatterySwap": self._swapped}

    def _request(self, message: Message) -> Conversation:
        heard: list[Heard] = []
        for card in self._swapping():
            one = yield from ask_one(card, message.action, message.payload)
            heard.append(one)
            if one.status == "Accepted":
                return Said(one.payload)
        return merged(heard, ("Accepted",), "Rejected") if heard else refused("Rejected", OFFLINE, "no station that swaps batteries is online")

    def _swapping(self) -> list[Card]:
        seen = self._office.memory.get(SEEN, [])
        able = [card for card in configured(self._office) if card.linked and (card.station_id in seen or card.version in ABLE)]
        return sorted(able, key=lambda card: card.station_id not in seen)

    def _swapped(self, station_id: str, message: Message) -> Conversation:
        seen = self._office.memory.get(SEEN, [])
        if station_id not in seen:
            self._office.memory.put(SEEN, [*seen, station_id])
        try:
            payload = numbered_up(self._office, station_id, message.payload)
        except OutsideError as outside:
            return Failed("PropertyConstraintViolation", str(outside))
        reply = yield Ask(message.action, payload)
        return reply if reply is not None else Said({})
