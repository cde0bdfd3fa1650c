"""Tariffs of drivers (I07-I10, 2.1) and CostUpdated (I02).

A default tariff of EVSE n goes to its charger, one of EVSE 0 to every charger that knows tariffs, also to one that is away or comes later. What
chargers report is put together: one assignment per tariff, with all EVSEs it stands at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from controller.link.depot import limits
from controller.link.depot.asking import (
    UNKNOWN_TX,
    UNSUPPORTED,
    Heard,
    ask_each,
    ask_one,
    configured,
    info,
    merged,
    named,
    no_evse,
    place_of,
    refused,
    relayed,
)
from controller.link.depot.office import Card, FromCsms, Office, Quiet
from controller.link.depot.running import answer_where, ask_where, station_of
from controller.link.depot.standing import Standing
from controller.ocpp.hub import Conversation, Failed, Keep, Message, Payload, Said

SET: Final = "SetDefaultTariff"
CLEAR: Final = "ClearTariffs"
SITE: Final = "site"
DONE: Final = ("Accepted",)


class Tariffs(Quiet):
    """SetDefaultTariff, GetTariffs, ClearTariffs, ChangeTransactionTariff, CostUpdated."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._standing = Standing(office, "tariffs")

    def of_csms(self) -> Mapping[str, FromCsms]:
        """All five."""
        return {
            SET: self._set,
            "GetTariffs": self._get,
            CLEAR: self._clear,
            "ChangeTransactionTariff": self._change,
            "CostUpdated": self._cost,
        }

    def station_changed(self, card: Card) -> list[Conversation]:
        """It may be back."""
        return self._standing.station_changed(card)

    def tick(self) -> list[Conversation]:
        """Those that did not answer are asked again."""
        return self._standing.tick()

    # -- default tariffs ----------------------------------------------------------------------------------

    def _set(self, message: Message) -> Conversation:
        evse_id = message.payload["evseId"]
        if evse_id:
            place = place_of(self._office, evse_id)
            if place is None:
                return no_evse("Rejected", evse_id)
            heard = yield from ask_one(place[0], SET, {**message.payload, "evseId": place[1]})
            return relayed(heard, "Rejected")
        before = self._standing.slots().get(SITE)
        yield from self._standing.declare(SITE, SET, message.payload)
        heard_all = yield from self._standing.everywhere(SITE)
        asked = [one for one in heard_all if not one.away]
        if asked and not any(one.status == "Accepted" for one in asked):
            self._standing.forget(SITE)
            if before is not None:
                self._standing.set(SITE, SET, before)
            yield Keep()
            return _most_telling(asked)
        yield Keep()
        missing = [one for one in heard_all if one.status != "Accepted"]
        return Said({"status": "Accepted", **(info("PartlyDone", named(missing)) if missing else {})})

    def _clear(self, message: Message) -> Conversation:
        """At one EVSE, or everywhere; of a tariff that is nowhere it says NoTariff (I08)."""
        evse_id, ids = message.payload.get("evseId"), message.payload.get("tariffIds")
        place = place_of(self._office, evse_id)
        if evse_id and place is None:
            return Said({"clearTariffsResult": [{"tariffId": one, "status": "NoTariff"} for one in ids or []] or [{"status": "NoTariff"}]})
        standing = self._standing.slots().get(SITE)
        if not evse_id and standing is not None and (not ids or standing["tariff"]["tariffId"] in ids):
            self._standing.set(SITE, CLEAR, {"tariffIds": [standing["tariff"]["tariffId"]]}, gone=True)
            for card in self._office.linked():
                self._standing.spare(SITE, card.station_id)  # asked below
            yield Keep()
        cards = [place[0]] if place is not None else [card for card in configured(self._office) if card.linked]
        asked = {**{key: value for key, value in message.payload.items() if key != "evseId"}, **({"evseId": place[1]} if place is not None else {})}
        heard = yield from ask_each([(card, CLEAR, asked) for card in cards])
        return Said({"clearTariffsResult": _cleared(heard, ids)})

    def _get(self, message: Message) -> Conversation:
        evse_id = message.payload["evseId"]
        place = place_of(self._office, evse_id)
        if evse_id and place is None:
            return no_evse("Rejected", evse_id)
        cards = [place[0]] if place is not None else [card for card in configured(self._office) if card.linked]
        heard = yield from ask_each([(card, message.action, {"evseId": place[1] if place is not None else 0}) for card in cards])
        found = self._assignments(heard)
        missing = [one for one in heard if one.status not in ("Accepted", "NoTariff") and not one.unsupported]
        more = info("PartlyDone", named(missing)) if missing else {}
        if found:
            return Said({"status": "Accepted", "tariffAssignments": found, **more})
        if any(one.status == "NoTariff" for one in heard):
            return Said({"status": "NoTariff", **more})
        return refused("Rejected", UNSUPPORTED, named(heard) or "no charger is online")

    def _assignments(self, heard: Iterable[Heard]) -> list[Payload]:
        merged_ones: dict[tuple[Any, ...], Payload] = {}
        for one in heard:
            for told in one.payload.get("tariffAssignments") or []:
                key = (told.get("tariffId"), told.get("tariffKind"), told.get("validFrom"))
                entry = merged_ones.setdefault(key, {name: value for name, value in told.items() if name not in ("evseIds", "idTokens")})
                numbers = self._numbers(one.station_id, told.get("evseIds"))
                if numbers:
                    entry["evseIds"] = sorted({*entry.get("evseIds", []), *numbers})
                if told.get("idTokens"):
                    entry["idTokens"] = list(dict.fromkeys([*entry.get("idTokens", []), *told["idTokens"]]))
        return list(merged_ones.values())

    def _numbers(self, station_id: str, evse_ids: Any) -> list[int]:
        """The depot's numbers; none or 0 there means all of that charger."""
        if not evse_ids or 0 in evse_ids:
            return list(self._office.numbering.of_station(station_id))
        return [number for evse_id in evse_ids if (number := self._office.numbering.of(station_id, evse_id)) is not None]

    # -- of a transaction ---------------------------------------------------------------------------------

    def _change(self, message: Message) -> Conversation:
        transaction_id = message.payload.get("transactionId")
        heard = yield from ask_where(self._office, transaction_id, message.action, message.payload)
        return answer_where(heard, transaction_id, "Rejected", "TxNotFound")

    def _cost(self, message: Message) -> Conversation:
        """To the charger's display; and what a cost limit that Yardmaster keeps is measured by."""
        transaction_id = message.payload["transactionId"]
        if station_of(self._office, transaction_id) is None:
            return Failed("PropertyConstraintViolation", f"{UNKNOWN_TX}: no transaction {transaction_id} is known here"[:255])
        counted = limits.cost(self._office, transaction_id, message.payload["totalCost"])
        if counted:
            yield Keep()
        heard = yield from ask_where(self._office, transaction_id, message.action, message.payload)
        if counted or heard is None or isinstance(heard.reply, Said):
            return Said({})
        return heard.reply


def _cleared(heard: list[Heard], ids: Any) -> list[Payload]:
    """Per tariff the best of what any charger said."""
    best: dict[str | None, str] = dict.fromkeys(ids or [None], "NoTariff")
    ranks = ("NoTariff", "Rejected", "Accepted")
    for one in heard:
        for told in one.payload.get("clearTariffsResult") or []:
            tariff_id, status = told.get("tariffId"), told.get("status", "Rejected")
            key = tariff_id if not ids or tariff_id in best else None
            if status in ranks and ranks.index(status) >= ranks.index(best.get(key, "NoTariff")):
                best[key] = status
    if len(best) > 1 and best.get(None) == "NoTariff":
        del best[None]
    return [{**({"tariffId": key} if key is not None else {}), "status": status} for key, status in best.items()]


def _most_telling(asked: list[Heard]) -> Said:
    said = next((one for one in asked if one.status not in ("", "Rejected")), None)
    return refused(said.status, "Unspecified", named(asked)) if said is not None else merged(asked, DONE, "Rejected")
