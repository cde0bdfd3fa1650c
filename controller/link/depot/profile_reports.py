"""What is asked about charging profiles: GetChargingProfiles with its reports, and GetCompositeSchedule (K08, K09).

Profiles of single EVSEs are reported by their chargers' sessions and go up under the depot's numbers; those of EVSE 0 are the depot's own. A
default that stands at every charger is one profile, and is reported once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from controller.link.depot.asking import OFFLINE, ask_each, ask_in_time, named, no_evse, numbered, place_of, refused, relayed
from controller.link.depot.gathering import Gathering
from controller.link.depot.office import Card, FromCsms, FromStation, Office
from controller.link.depot.site_profiles import SiteProfiles
from controller.link.depot.standing import Standing
from controller.ocpp.hub import Conversation, Message, Payload, Said

GET: Final = "GetChargingProfiles"
REPORT: Final = "ReportChargingProfiles"
CSO: Final = "CSO"
"""chargingLimitSource of what the CSMS itself has set."""


class Reports:
    """A piece of ``profiles``."""

    def __init__(self, office: Office, site: SiteProfiles, standing: Standing) -> None:
        self._office = office
        self._site = site
        self._standing = standing
        self._reports = Gathering(office, REPORT, lambda page, number, more: {**page, "tbc": more})

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Both commands."""
        return {GET: self._get, "GetCompositeSchedule": self._composite}

    def of_station(self) -> Mapping[str, FromStation]:
        """The reports."""
        return {REPORT: self._page}

    def station_changed(self, card: Card) -> list[Conversation]:
        """One that went away reports no more."""
        return self._reports.station_changed(card)

    def tick(self) -> list[Conversation]:
        """Reports go on."""
        return self._reports.tick()

    # -- profiles ---------------------------------------------------------------------------------------

    def _get(self, message: Message) -> Conversation:
        payload = message.payload
        evse_id = payload.get("evseId")
        place = place_of(self._office, evse_id)
        if evse_id and place is None:
            return refused("NoProfiles", "UnknownEvse", f"there is no EVSE {evse_id}")
        cards = [place[0]] if place is not None else [] if evse_id == 0 else list(self._office.linked())
        down_id = self._reports.begin(payload["requestId"], [card.station_id for card in cards])
        own = list(self._own(payload)) if not evse_id else []
        asked = {**payload, "requestId": down_id, **({"evseId": place[1]} if place is not None else {})}
        heard = yield from ask_each([(card, GET, asked) for card in cards])
        with_some = [one.station_id for one in heard if one.status == "Accepted"]
        if not own and not with_some:
            self._reports.drop(down_id)
            away = [one for one in heard if one.away]
            return refused("NoProfiles", OFFLINE, named(away)) if away else Said({"status": "NoProfiles"})
        for page in own:
            self._reports.add(down_id, page)
        self._reports.expect(down_id, with_some)
        self._reports.start(down_id)
        return Said({"status": "Accepted"})

    def _own(self, payload: Payload) -> Iterator[Payload]:
        """Pages of EVSE 0."""
        for page in self._site.select(payload):
            yield {key: value for key, value in page.items() if key not in ("requestId", "tbc")}
        standing = [held["chargingProfile"] for held in self._standing.slots().values() if _asked_for(held.get("chargingProfile"), payload)]
        if standing:
            yield {"chargingLimitSource": CSO, "evseId": 0, "chargingProfile": standing}

    def _page(self, station_id: str, message: Message) -> Conversation:
        """What stands at every charger is not reported again by each, the rest under the depot's numbers."""
        evse_id, profiles = message.payload.get("evseId"), message.payload.get("chargingProfile") or []
        ours = self._standing.slots()
        kept = [profile for profile in profiles if not (evse_id == 0 and str(profile.get("id")) in ours)]
        numbers = self._office.numbering.of_station(station_id) if evse_id == 0 else (numbered(self._office, station_id, evse_id),)
        rest = {key: value for key, value in message.payload.items() if key not in ("requestId", "tbc", "chargingProfile")}
        pages = [{**rest, "evseId": number, "chargingProfile": kept} for number in numbers if number is not None] if kept else []
        return (yield from self._reports.page(station_id, message, pages))

    # -- the composite ----------------------------------------------------------------------------------

    def _composite(self, message: Message) -> Conversation:
        evse_id = message.payload["evseId"]
        if not evse_id:
            return (yield from self._site.composite(message))
        place = place_of(self._office, evse_id)
        if place is None:
            return no_evse("Rejected", evse_id)
        heard = yield from ask_in_time(place[0], message.action, {**message.payload, "evseId": place[1]})
        schedule = heard.payload.get("schedule")
        if isinstance(schedule, dict):
            return Said({**heard.payload, "schedule": {**schedule, "evseId": evse_id}})
        return relayed(heard, "Rejected")


def _asked_for(profile: object, payload: Payload) -> bool:
    """Whether a profile of the CSMS meets the criteria of a GetChargingProfiles (K09)."""
    if not isinstance(profile, dict):
        return False
    wanted = payload.get("chargingProfile") or {}
    if wanted.get("chargingProfileId"):
        return profile["id"] in wanted["chargingProfileId"]
    if CSO not in wanted.get("chargingLimitSource", (CSO,)):
        return False
    return all(profile.get(key) == wanted[key] for key in ("chargingProfilePurpose", "stackLevel") if key in wanted)
