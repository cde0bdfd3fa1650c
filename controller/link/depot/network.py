"""SetNetworkProfile (B09): how the depot reaches its CSMS is set by its operator, in the site file.

A connection that a CSMS could change from afar could take the whole site away from it with one wrong word; and to chargers it must never
pass, for it would take them out of Yardmaster's hands (F27).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.asking import UNSUPPORTED, refused
from controller.link.depot.office import FromCsms, Office, Quiet
from controller.ocpp.hub import Conversation, Message, answered

REFUSED: Final[dict[str, str]] = {"SetNetworkProfile": "the connection of the site to its CSMS is set in the site file (upstreams)"}


class Network(Quiet):
    """SetNetworkProfile."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """SetNetworkProfile."""
        return {"SetNetworkProfile": self._refuse}

    def _refuse(self, message: Message) -> Conversation:
        return answered(refused("Rejected", UNSUPPORTED, REFUSED[message.action]))
