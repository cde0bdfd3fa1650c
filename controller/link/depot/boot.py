"""The boots and heartbeats of chargers: answered here, the CSMS knows only the depot's own (B01, B02).

A charger is always accepted: whether the CSMS has accepted the depot is no reason to keep a charger from local control. What it
says of itself is kept, for a 2.x charger that reconnects does not boot again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.office import FromStation, Office, Payload, Quiet
from controller.ocpp.hub import Conversation, Message, Said, answered
from controller.ocpp.times import timestamp

HEARTBEAT_S: Final = 300
"""interval in the answer to a charger's BootNotification [s]."""
PREFIX: Final = "boot:"


def depot_boot(office: Office, version: str, reason: str) -> Payload:
    """The depot's own BootNotification in hub words. version: of the controller; reason: BootReasonEnumType."""
    policy = office.policy
    station: Payload = {"vendorName": policy.vendor_name, "model": policy.model, "firmwareVersion": version[:50]}
    if policy.serial_number:
        station["serialNumber"] = policy.serial_number
    return {"reason": reason, "chargingStation": station}


class Boot(Quiet):
    """Answers BootNotification and Heartbeat of chargers, fills ``Card.boot``."""

    def __init__(self, office: Office) -> None:
        self._office = office
        for key, boot in office.memory.starting(PREFIX):
            card = office.cards.get(key.removeprefix(PREFIX))
            if card is not None and isinstance(boot, dict):
                card.boot = boot

    def of_station(self) -> Mapping[str, FromStation]:
        """Both."""
        return {"BootNotification": self._booted, "Heartbeat": self._heartbeat}

    def _booted(self, station_id: str, message: Message) -> Conversation:
        station = message.payload.get("chargingStation")
        card = self._office.cards.get(station_id)
        if card is not None and isinstance(station, dict):
            card.boot = station
            self._office.memory.put(PREFIX + station_id, station)
        return answered(Said({"currentTime": self._now(), "interval": HEARTBEAT_S, "status": "Accepted"}))

    def _heartbeat(self, station_id: str, message: Message) -> Conversation:
        return answered(Said({"currentTime": self._now()}))

    def _now(self) -> str:
        return timestamp(self._office.now().wall_s)
