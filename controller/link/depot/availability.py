"""ChangeAvailability (G03, G04): of a connector or EVSE at its charger, or of the whole site by the policy ``availability``.

What is set holds until it is set otherwise: it is on disk, and a charger that is away gets it when it is back (the answer is then Scheduled).
The levels are kept apart as the specification wants: after the whole site was Inoperative and is Operative again, an EVSE that the CSMS has put out
of use for itself stays so. 1.6 knows no such levels, so such an EVSE is told again there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.asking import BY_POLICY, Asking, Heard, configured, info, merged, named, no_evse, place_of, refused, told
from controller.link.depot.office import Card, FromCsms, Office, Quiet
from controller.link.depot.standing import Standing
from controller.ocpp.hub import Conversation, Keep, Message, Payload, Said

ACTION: Final = "ChangeAvailability"
DONE: Final = ("Scheduled", "Accepted")
WHOLE: Final = "site"
LEVELLESS: Final = "ocpp1.6"


class Availability(Quiet):
    """ChangeAvailability."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._standing = Standing(office, "avail")

    def of_csms(self) -> Mapping[str, FromCsms]:
        """ChangeAvailability."""
        return {ACTION: self._change}

    def station_changed(self, card: Card) -> list[Conversation]:
        """It may be back."""
        return self._standing.station_changed(card)

    def tick(self) -> list[Conversation]:
        """Those that did not answer are asked again."""
        return self._standing.tick()

    def _change(self, message: Message) -> Conversation:
        evse = message.payload.get("evse")
        if not isinstance(evse, dict) or not evse.get("id"):
            return (yield from self._whole(message.payload))
        place = place_of(self._office, evse["id"])
        if place is None:
            return no_evse("Rejected", evse["id"])
        card, evse_id = place
        slot = f"{card.station_id}:{evse_id}:{evse.get('connectorId', 0)}"
        yield from self._standing.declare(slot, ACTION, {**message.payload, "evse": {**evse, "id": evse_id}}, only=card.station_id)
        heard = yield from self._everywhere(slot)
        refused_or_usual = heard and not heard[0].away and (heard[0].status not in DONE or message.payload["operationalStatus"] == "Operative")
        if refused_or_usual:  # nothing is to be brought about later
            self._standing.forget(slot)
            yield Keep()
        return _answer(heard)

    def _whole(self, payload: Payload) -> Conversation:
        if self._office.policy.availability == "refuse":
            return refused("Rejected", BY_POLICY, "this site changes single EVSEs only (depot.availability)")
        yield from self._standing.declare(WHOLE, ACTION, {"operationalStatus": payload["operationalStatus"]})
        heard = yield from self._everywhere(WHOLE)
        if payload["operationalStatus"] == "Operative":
            yield from self._again()
        yield from told(self._office, ACTION, [one for one in heard if not one.away], DONE)
        return _answer(heard)

    def _everywhere(self, slot: str) -> Asking[list[Heard]]:
        heard = yield from self._standing.everywhere(slot)
        yield Keep()
        return heard

    def _again(self) -> Asking[None]:
        """EVSEs that are out of use for themselves, at chargers that do not keep that apart from being told that all of them is in use."""
        levelless = {card.station_id for card in configured(self._office) if card.version in (LEVELLESS, "")}
        for slot, payload in self._standing.slots().items():
            only = self._standing.only(slot)
            if only in levelless and payload.get("operationalStatus") == "Inoperative":
                yield from self._standing.declare(slot, ACTION, payload, only=only)
                yield from self._everywhere(slot)


def _answer(heard: list[Heard]) -> Said:
    """Nobody refused and somebody is away: it is going to happen."""
    away = [one for one in heard if one.away]
    if away and all(one.status in DONE for one in heard if not one.away):
        return Said({"status": "Scheduled", **info("StationOffline", f"{named(away)}; done when back")})
    return merged(heard, DONE, "Rejected")
