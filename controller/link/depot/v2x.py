"""V2X messages of the CSMS at the depot face that are no profiles: a signal of the transmission grid, and services allowed to one car.

AFRRSignal names no EVSE: it is for whoever has a running LocalFrequency schedule with a signal curve. Yardmaster itself never has one
(it measures no frequency, and rejects such profiles), but a charger whose profiles pass through may. So every 2.1 charger hears it at the
same time, and the depot accepts if one does; else it is Rejected with NoSignalWattCurve (Q08.FR.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.asking import ask_each
from controller.link.depot.der_stations import VERSION
from controller.link.depot.office import FromCsms, Office, Quiet
from controller.link.depot.running import ask_its_station
from controller.ocpp.hub import Conversation, Message, Said

REFUSED: Final[dict[str, str]] = {
    "AFRRSignal": "Rejected with NoSignalWattCurve where no charger runs a LocalFrequency schedule of its own",
}


class V2x(Quiet):
    """The part."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Two CALLs."""
        return {"AFRRSignal": self._signal, "NotifyAllowedEnergyTransfer": self._allowed}

    def _signal(self, message: Message) -> Conversation:
        able = [card for card in self._office.linked() if card.version == VERSION]
        heard = yield from ask_each([(card, message.action, message.payload) for card in able])
        if any(one.status == "Accepted" for one in heard):
            return Said({"status": "Accepted"})
        info = {"reasonCode": "NoSignalWattCurve", "additionalInfo": "no EVSE runs a LocalFrequency schedule with a signal curve now"}
        return Said({"status": "Rejected", "statusInfo": info})

    def _allowed(self, message: Message) -> Conversation:
        return ask_its_station(self._office, message)
