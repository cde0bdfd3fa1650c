"""TriggerMessage (F06): messages of the depot itself, of one EVSE, or of all.

What is about the depot's own identity (boot, heartbeat, firmware, logs, published firmware: trap 30) is said by the depot; what is about EVSEs is
asked of their chargers. The answer goes up first, then the message (F06.FR.04). A StatusNotification wants an EVSE and a connector
(F06.FR.12); all of them at once can only be wanted by a CSMS of 1.6, and its side knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.link.depot.asking import UNSUPPORTED, ask_each, ask_in_time, configured, merged, no_evse, place_of, refused, relayed
from controller.link.depot.office import Card, FromCsms, Office, Quiet
from controller.ocpp.hub import Conversation, Message, Payload, Post, Said

OWN: Final = {
    "FirmwareStatusNotification": {"status": "Idle"},
    "LogStatusNotification": {"status": "Idle"},
    "PublishFirmwareStatusNotification": {"status": "Idle"},
    "Heartbeat": {},
}
"""What the depot sends when no part of it has more to say."""
OF_EVSES: Final = ("MeterValues", "TransactionEvent")
OF_A_CHARGER: Final = ("SignV2GCertificate", "SignV2G20Certificate", "SignCombinedCertificate", "CustomTrigger")
OWN_KEY: Final = "SignChargingStationCertificate"
NOT_OURS: Final = {
    OWN_KEY: "the local controller's certificate towards the CSMS is managed by its operator",
    "SignV2GCertificate": "say which EVSE: each charger has its own",
    "SignV2G20Certificate": "say which EVSE: each charger has its own",
    "SignCombinedCertificate": "say which EVSE: each charger has its own",
    "CustomTrigger": "say which EVSE: the local controller has none of its own",
}
"""requestedMessage -> why it is NotImplemented."""
REFUSED: Final[dict[str, str]] = {
    "TriggerMessage": "NotImplemented for certificates and custom triggers without an EVSE; SignChargingStationCertificate with renewal: csms only",
}


class Triggers(Quiet):
    """TriggerMessage."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """TriggerMessage."""
        return {"TriggerMessage": self._trigger}

    def _trigger(self, message: Message) -> Conversation:
        wanted, evse = str(message.payload.get("requestedMessage")), message.payload.get("evse")
        evse = evse if isinstance(evse, dict) and evse.get("id") else None
        if wanted == "BootNotification":
            return self._boot()
        if wanted in OWN or (wanted == OWN_KEY and wanted in self._office.says):
            self._office.afterwards.append(self._office.says[wanted]() if wanted in self._office.says else _say(wanted, OWN[wanted]))
            return Said({"status": "Accepted"})
        if wanted == "StatusNotification":
            return self._status(evse)
        if evse is not None and wanted in (*OF_EVSES, *OF_A_CHARGER):
            return (yield from self._one(message.payload, evse))
        if wanted in OF_EVSES:
            return (yield from self._all(wanted))
        return refused("NotImplemented", UNSUPPORTED, NOT_OURS.get(wanted, ""))

    def _boot(self) -> Said:
        """Only before the CSMS has accepted the depot (F06.FR.17)."""
        if self._office.accepted:
            return refused("Rejected", "NotEnabled", "the boot has been accepted (F06.FR.17)")
        self._office.boot_wanted = "Triggered"
        return Said({"status": "Accepted"})

    # -- states --------------------------------------------------------------------------------------

    def _status(self, evse: Payload | None) -> Said:
        if evse is None or not evse.get("connectorId"):
            return refused("Rejected", "MissingParam", "a StatusNotification wants an EVSE and a connector (F06.FR.12)")
        place = self._office.place(evse["id"])
        if place is None:
            return no_evse("Rejected", evse["id"])
        card, evse_id = place
        if (evse_id, evse["connectorId"]) not in card.states and evse["connectorId"] != 1:
            return refused("Rejected", "UnknownConnectorId", f"EVSE {evse['id']} has no connector {evse['connectorId']}")
        self._office.afterwards.append(self._office.say_state((evse["id"], evse["connectorId"])))
        return Said({"status": "Accepted"})

    # -- what chargers say -----------------------------------------------------------------------------

    def _one(self, payload: Payload, evse: Payload) -> Conversation:
        place = place_of(self._office, evse["id"])
        if place is None:
            return no_evse("Rejected", evse["id"])
        card, evse_id = place
        if payload["requestedMessage"] == "TransactionEvent" and evse_id not in card.transactions:
            return refused("Rejected", "NotFound", f"no transaction runs at EVSE {evse['id']}")
        heard = yield from ask_in_time(card, "TriggerMessage", {**payload, "evse": {**evse, "id": evse_id}})
        return relayed(heard, "Rejected")

    def _all(self, wanted: str) -> Conversation:
        """Of every EVSE, or of every transaction."""
        questions: list[tuple[Card, str, Payload]] = []
        for card in configured(self._office):
            for evse_id in _evses(card):
                if card.linked and (wanted != "TransactionEvent" or evse_id in card.transactions):
                    questions.append((card, "TriggerMessage", {"requestedMessage": wanted, "evse": {"id": evse_id}}))
        if wanted in self._office.says:
            self._office.afterwards.append(self._office.says[wanted]())  # the site's own, EVSE 0
        if not questions and wanted not in self._office.says:
            return refused("Rejected", "NotFound", "no transaction runs" if wanted == "TransactionEvent" else "no charger is online")
        if not questions:
            return Said({"status": "Accepted"})
        heard = yield from ask_each(questions)
        otherwise = "NotImplemented" if all(one.status == "NotImplemented" for one in heard) else "Rejected"
        return merged(heard, ("Accepted",), otherwise)


def _evses(card: Card) -> list[int]:
    config: Any = card.config
    return [evse.id for evse in config.evses] if config is not None else []


def _say(action: str, payload: Payload) -> Conversation:
    yield Post(action, payload)
    return Said({})
