"""DataTransfer: a vendor's own words. Those of chargers pass up untouched (``through``); those of the CSMS have no charger to go to.

A DataTransfer names no EVSE, so nobody can say which charger it is for; Yardmaster has no vendor messages of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.asking import refused
from controller.link.depot.office import FromCsms, Office, Quiet
from controller.ocpp.hub import Conversation, Message, answered

REFUSED: Final[dict[str, str]] = {"DataTransfer": "the site as a whole understands no vendor's messages, and a DataTransfer names no charger"}


class Data(Quiet):
    """DataTransfer of the CSMS."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """DataTransfer."""
        return {"DataTransfer": self._down}

    def _down(self, message: Message) -> Conversation:
        return answered(refused("UnknownVendorId", "UnsupportedRequest", REFUSED["DataTransfer"]))
