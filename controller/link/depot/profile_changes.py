"""Profiles that change in place (K28) and priority charging (K21, K22): found by profile id, or by transaction.

A Dynamic default of EVSE 0 is updated at every charger; one that was away hears the new values when it is back, as the whole profile again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.link.depot import profile_book as book
from controller.link.depot.asking import ask_each, ask_one, configured, merged, refused, relayed
from controller.link.depot.office import FromCsms, FromStation, Office
from controller.link.depot.running import ask_its_station
from controller.link.depot.site_profiles import SiteProfiles
from controller.link.depot.standing import Standing
from controller.ocpp.hub import Ask, Conversation, Keep, Message, Payload, Said

UPDATE: Final = "UpdateDynamicSchedule"
SET: Final = "SetChargingProfile"


class Changes:
    """A piece of ``profiles``."""

    def __init__(self, office: Office, site: SiteProfiles, standing: Standing) -> None:
        self._office = office
        self._site = site
        self._standing = standing

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Both commands."""
        return {UPDATE: self._update, "UsePriorityCharging": self._use_priority}

    def of_station(self) -> Mapping[str, FromStation]:
        """A charger wants new values; NotifyPriorityCharging passes as it is."""
        return {"PullDynamicScheduleUpdate": self._pull}

    def _update(self, message: Message) -> Conversation:
        profile_id = message.payload["chargingProfileId"]
        if self._site.has(profile_id):
            return (yield from self._site.update(message))
        entry = book.find(self._office, profile_id)
        if entry is None:
            return refused("Rejected", "InvalidProfile", f"profile {profile_id} is not here (K28.FR.11)")
        if entry["station"] == book.SITE:
            return (yield from self._update_all(message))
        card = self._office.cards.get(entry["station"])
        if card is None:
            return refused("Rejected", "InvalidProfile", f"the charger of profile {profile_id} is no longer here")
        return relayed((yield from ask_one(card, UPDATE, message.payload)), "Rejected")

    def _update_all(self, message: Message) -> Conversation:
        slot = str(message.payload["chargingProfileId"])
        here = [card for card in configured(self._office) if card.linked]
        heard = yield from ask_each([(card, UPDATE, message.payload) for card in here])
        answer = merged(heard, ("Accepted",), "Rejected")
        held = self._standing.slots().get(slot)
        if held is not None and (answer.payload["status"] == "Accepted" or not here):
            # A new number: those that did not hear the update get the whole profile with its new values.
            self._standing.set(slot, SET, _updated(held, message.payload["scheduleUpdate"]))
            for one in heard:
                if one.status == "Accepted":
                    self._standing.spare(slot, one.station_id)
            yield Keep()
        return answer if here else Said({"status": "Accepted"})

    def _use_priority(self, message: Message) -> Conversation:
        return ask_its_station(self._office, message)

    def _pull(self, station_id: str, message: Message) -> Conversation:
        """Of a profile that the CSMS has set: its id is the CSMS's own."""
        if book.find(self._office, message.payload.get("chargingProfileId")) is None:
            return refused("Rejected", "NotFound", "the CSMS has set no such profile at this depot")
        reply = yield Ask(message.action, message.payload)
        return reply if reply is not None else Said({"status": "Rejected"})


def _updated(held: Payload, values: Payload) -> Payload:
    """The profile with other values in its one period (a Dynamic one has one)."""
    profile: Payload = held["chargingProfile"]
    schedules: list[Any] = list(profile["chargingSchedule"])
    periods = list(schedules[0]["chargingSchedulePeriod"])
    periods[0] = {**periods[0], **values}
    schedules[0] = {**schedules[0], "chargingSchedulePeriod": periods}
    return {**held, "chargingProfile": {**profile, "chargingSchedule": schedules}}
