"""Charging profiles of the CSMS for the whole depot (K01-K10, K21, K22, K28): each goes to where it belongs.

EVSE n: the charger's session keeps and answers it like that of any station. EVSE 0: a limit or setpoint of the site is ``site_profiles``';
a default or a priority profile stands at every charger, also at one that is away or comes later (``standing``). Ids are one space for the
depot: the same id set elsewhere has moved there (K01.FR.05). What may not stand beside another is refused here, for a 1.6 charger would
silently replace it (trap 15).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from controller.link.depot import profile_book as book
from controller.link.depot.asking import INFO_LENGTH, Asking, Heard, ask_each, ask_one, info, merged, named, no_evse, place_of, refused, relayed
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Quiet
from controller.link.depot.profile_changes import Changes
from controller.link.depot.profile_reports import Reports
from controller.link.depot.running import running
from controller.link.depot.site_profiles import SiteProfiles
from controller.link.depot.standing import Standing
from controller.ocpp.hub import Conversation, Keep, Message, Payload, Reply, Said, Step

SET: Final = "SetChargingProfile"
CLEAR: Final = "ClearChargingProfile"
FOR_ONE: Final = ("TxProfile",)
FOR_THE_SITE: Final = ("ChargingStationMaxProfile", "ChargingStationExternalConstraints")
DONE: Final = ("Accepted",)


class Profiles(Quiet):
    """All messages about charging profiles. Holds the part of the site's own (``site``)."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.site = SiteProfiles(office)
        self._standing = Standing(office, "profiles")
        self._reports = Reports(office, self.site, self._standing)
        self._changes = Changes(office, self.site, self._standing)

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Six commands."""
        return {SET: self._set, CLEAR: self._clear, **self._reports.of_csms(), **self._changes.of_csms()}

    def of_station(self) -> Mapping[str, FromStation]:
        """Reports, and chargers that pull."""
        return {**self._reports.of_station(), **self._changes.of_station()}

    def opened(self) -> list[Conversation]:
        """The site's own."""
        return self.site.opened()

    def station_changed(self, card: Card) -> list[Conversation]:
        """It may be back."""
        return [*self.site.station_changed(card), *self._standing.station_changed(card), *self._reports.station_changed(card)]

    def tick(self) -> list[Conversation]:
        """Time passes for all of it."""
        return [*self.site.tick(), *self._standing.tick(), *self._reports.tick()]

    # -- set ----------------------------------------------------------------------------------------------

    def _set(self, message: Message) -> Conversation:
        evse_id, profile = message.payload["evseId"], message.payload["chargingProfile"]
        book.drop_ended(self._office)
        if self.site.takes(message.payload):
            return (yield from self._for_the_site(message, profile))
        if not evse_id and profile["chargingProfilePurpose"] in FOR_ONE:
            return refused("Rejected", "InvalidProfile", "a TxProfile belongs to one EVSE (K01.FR.16)")
        if evse_id and profile["chargingProfilePurpose"] in FOR_THE_SITE:
            return refused("Rejected", "InvalidProfile", "this purpose belongs to EVSE 0 (K01.FR.38)")
        return (yield from self._for_one(message, profile)) if evse_id else (yield from self._for_all(profile))

    def _for_the_site(self, message: Message, profile: Payload) -> Conversation:
        before = book.find(self._office, profile["id"])
        reply = yield from self.site.set(message)
        if before is not None and isinstance(reply, Said) and reply.payload.get("status") == "Accepted":
            book.forget(self._office, profile["id"])
            yield from self._left(profile["id"], before, "")
        return reply

    def _for_one(self, message: Message, profile: Payload) -> Conversation:
        evse_id = message.payload["evseId"]
        place = place_of(self._office, evse_id)
        if place is None:
            return no_evse("Rejected", evse_id)
        card, own_id = place
        transaction_id = str(profile.get("transactionId", ""))
        if transaction_id and running(self._office, transaction_id) != (card, own_id):
            return refused("Rejected", "TxNotFound", f"transaction {transaction_id} does not run at EVSE {evse_id} (K01.FR.33)")
        other = book.duplicate(self._office, card.station_id, own_id, profile)
        if other is not None:
            return refused("Rejected", "DuplicateProfile", f"profile {other} has this purpose and stackLevel there (K01.FR.06)")
        before = book.find(self._office, profile["id"])
        self._standing.forget(_errand(profile["id"], card.station_id))
        heard = yield from ask_one(card, SET, {**message.payload, "evseId": own_id})
        if heard.status == "Accepted":
            book.note(self._office, card.station_id, own_id, profile, transaction_id)
            yield Keep()
            if before is None or before["station"] != card.station_id:
                yield from self._left(profile["id"], before, card.station_id)
        return relayed(heard, "Rejected")

    def _for_all(self, profile: Payload) -> Conversation:
        """A default, or a priority profile, of every EVSE of the depot."""
        other = book.duplicate(self._office, book.SITE, 0, profile)
        if other is not None:
            return refused("Rejected", "DuplicateProfile", f"profile {other} has this purpose and stackLevel (K01.FR.52)")
        if self._standing.full:
            return refused("Rejected", "OutOfStorage", "too many profiles; clear some first")
        slot, before = str(profile["id"]), self._standing.slots().get(str(profile["id"]))
        yield from self.site.forget(profile["id"])
        for card in self._office.cards.values():
            self._standing.forget(_errand(profile["id"], card.station_id))
        yield from self._standing.declare(slot, SET, {"evseId": 0, "chargingProfile": profile})
        book.note(self._office, book.SITE, 0, profile)
        heard = yield from self._standing.everywhere(slot)
        asked = [one for one in heard if not one.away]
        if asked and not any(one.status == "Accepted" for one in asked):
            yield from self._taken_back(slot, profile["id"], before)
            return merged(asked, DONE, "Rejected")
        yield Keep()
        missing = [one for one in heard if one.status != "Accepted"]
        return Said({"status": "Accepted", **(info("PartlyDone", named(missing)) if missing else {})})

    def _taken_back(self, slot: str, profile_id: int, before: Payload | None) -> Asking[None]:
        """No charger takes it: things are as they were."""
        self._standing.forget(slot)
        book.forget(self._office, profile_id)
        if before is not None:
            self._standing.set(slot, SET, before)
            book.note(self._office, book.SITE, 0, before["chargingProfile"])
        yield Keep()

    def _left(self, profile_id: int, before: Payload | None, new_station: str) -> Generator[Step, Reply | None, None]:
        """The id stands elsewhere now (K01.FR.05): the place that had it drops it, at once or when it is back."""
        if new_station:
            yield from self.site.forget(profile_id)
        if before is None:
            return
        if before["station"] == book.SITE:
            slot = str(profile_id)
            self._standing.set(slot, CLEAR, {"chargingProfileId": profile_id}, gone=True)
            self._standing.spare(slot, new_station)
        else:
            slot = _errand(profile_id, before["station"])
            self._standing.set(slot, CLEAR, {"chargingProfileId": profile_id}, only=before["station"], once=True)
        yield Keep()
        yield from self._standing.everywhere(slot)
        yield Keep()

    # -- clear ----------------------------------------------------------------------------------------------

    def _clear(self, message: Message) -> Conversation:
        """By id, else by criteria; Accepted if there was one anywhere (K10)."""
        payload = message.payload
        profile_id, criteria = payload.get("chargingProfileId"), payload.get("chargingProfileCriteria")
        if isinstance(profile_id, int):
            found, heard = yield from self._clear_id(profile_id)
        else:
            found, heard = yield from self._clear_all(criteria if isinstance(criteria, dict) else {})
        yield Keep()
        if found or any(one.status == "Accepted" for one in heard):
            return Said({"status": "Accepted"})
        away = [one for one in heard if one.away]
        return Said({"status": "Unknown", **(info("StationOffline", named(away)[:INFO_LENGTH]) if away else {})})

    def _clear_id(self, profile_id: int) -> Asking[tuple[bool, list[Heard]]]:
        if self.site.has(profile_id):
            return bool((yield from self.site.clear({"chargingProfileId": profile_id}))), []
        entry = book.find(self._office, profile_id)
        if entry is not None:
            heard = yield from self._drop(profile_id, entry)
            return any(one.away or one.status == "Accepted" for one in heard) or entry["station"] == book.SITE, heard
        # Set before the depot face was there, perhaps: any charger may have it.
        everyone = [(card, CLEAR, {"chargingProfileId": profile_id}) for card in self._office.linked()]
        return False, (yield from ask_each(everyone))

    def _drop(self, profile_id: int, entry: Payload) -> Asking[list[Heard]]:
        """Take a profile away from where it is; from a charger that is away when it is back."""
        book.forget(self._office, profile_id)
        if entry["station"] == book.SITE:
            slot = str(profile_id)
            self._standing.set(slot, CLEAR, {"chargingProfileId": profile_id}, gone=True)
        else:
            slot = _errand(profile_id, entry["station"])
            self._standing.set(slot, CLEAR, {"chargingProfileId": profile_id}, only=entry["station"], once=True)
        yield Keep()
        return (yield from self._standing.everywhere(slot))

    def _clear_all(self, criteria: Payload) -> Asking[tuple[bool, list[Heard]]]:
        evse_id = criteria.get("evseId")
        found = bool((yield from self.site.clear({"chargingProfileCriteria": criteria}))) if not evse_id else False
        place = place_of(self._office, evse_id)
        cards = [place[0]] if place is not None else list(self._office.linked()) if evse_id is None else []
        asked = {**criteria, "evseId": place[1]} if place is not None else criteria
        for profile_id, entry in book.entries(self._office):
            if not _meets(entry, criteria, place):
                continue
            card = self._office.cards.get(entry["station"])
            if entry["station"] == book.SITE or card is None or not card.linked:
                heard = yield from self._drop(profile_id, entry)
                found = True
            else:
                book.forget(self._office, profile_id)  # the charger is asked below
        heard = yield from ask_each([(card, CLEAR, {"chargingProfileCriteria": asked}) for card in cards])
        return found, heard


def _meets(entry: Payload, criteria: Payload, place: Any) -> bool:
    """Whether a booked profile is one of those that are meant (K10)."""
    if "evseId" in criteria and not criteria["evseId"] and entry["station"] != book.SITE:
        return False
    if criteria.get("evseId") and (place is None or (entry["station"], entry["evse"]) != (place[0].station_id, place[1])):
        return False
    purpose, stack = criteria.get("chargingProfilePurpose", entry["purpose"]), criteria.get("stackLevel", entry["stack"])
    return bool(purpose == entry["purpose"] and stack == entry["stack"])


def _errand(profile_id: int, station_id: str) -> str:
    return f"clear:{profile_id}:{station_id}"
