"""What the site knows of drivers: ClearCache (C11) and CustomerInformation (N09, N10).

ClearCache: by the policy ``clear_cache`` Yardmaster's own memory of the CSMS's answers, which is the site's, and the cache of every charger that
has one. CustomerInformation: every charger is asked, their pages go up as one report that names the charger each piece is from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.asking import BY_POLICY, OFFLINE, ask_each, ask_everyone, configured, info, named, nothing_to_ask, refused
from controller.link.depot.gathering import Gathering
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Quiet
from controller.ocpp.hub import Conversation, Emit, Message, Payload, Said
from controller.ocpp.times import timestamp
from controller.orders import ForgetDrivers

PAGE: Final = 512


class Customers(Quiet):
    """ClearCache, CustomerInformation and its report."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._reports = Gathering(office, "NotifyCustomerInformation", self._dressed)

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Both commands."""
        return {"ClearCache": self._clear, "CustomerInformation": self._ask}

    def of_station(self) -> Mapping[str, FromStation]:
        """The report."""
        return {"NotifyCustomerInformation": self._page}

    def station_changed(self, card: Card) -> list[Conversation]:
        """One that went away reports no more."""
        return self._reports.station_changed(card)

    def tick(self) -> list[Conversation]:
        """Reports go on."""
        return self._reports.tick()

    def _clear(self, message: Message) -> Conversation:
        if self._office.policy.clear_cache == "refuse":
            return refused("Rejected", BY_POLICY, "this site keeps its cache (depot.clear_cache)")
        yield Emit(ForgetDrivers(self._office.identity))
        heard = yield from ask_everyone(self._office, message.action, {})
        kept = [one for one in heard if one.status != "Accepted"]
        return Said({"status": "Accepted", **(info("NoError", f"cleared at the local controller; not at {named(kept)}") if kept else {})})

    # -- reports ---------------------------------------------------------------------------------------

    def _ask(self, message: Message) -> Conversation:
        payload = message.payload
        if not payload.get("report") and not payload.get("clear"):
            return refused("Rejected", "MissingParam", "neither report nor clear is asked for")
        if nothing_to_ask(self._office):
            return refused("Rejected", OFFLINE, "no charger is online")
        cards = [card for card in configured(self._office) if card.linked]
        down_id = self._reports.begin(payload["requestId"], [card.station_id for card in cards])
        heard = yield from ask_each([(card, message.action, {**payload, "requestId": down_id}) for card in cards])
        willing = [one.station_id for one in heard if one.status == "Accepted"]
        if not willing:
            self._reports.drop(down_id)
            invalid = any(one.status == "Invalid" for one in heard)
            return refused("Invalid" if invalid else "Rejected", "Unspecified", named(heard))
        self._reports.expect(down_id, willing)
        self._reports.start(down_id)
        others = [one for one in heard if one.status != "Accepted"]
        return Said({"status": "Accepted", **(info("PartlyDone", named(others)) if others else {})})

    def _page(self, station_id: str, message: Message) -> Conversation:
        text = f"{station_id}: {message.payload.get('data', '')}"
        pages = [{"data": text[start : start + PAGE]} for start in range(0, len(text), PAGE)]
        return (yield from self._reports.page(station_id, message, pages))

    def _dressed(self, page: Payload, number: int, more: bool) -> Payload:
        return {**page, "seqNo": number, "tbc": more, "generatedAt": timestamp(self._office.now().wall_s)}
