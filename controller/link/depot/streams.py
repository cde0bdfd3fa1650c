"""Periodic event streams (N12-N15, 2.1): the depot opens none. What it measures goes up as meter values and events: there is nothing to adjust.

Streams that a charger wants to open are refused (``through``): their ids would collide under the one identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.asking import refused
from controller.link.depot.office import FromCsms, Office, Quiet
from controller.ocpp.hub import Conversation, Message, Said, answered

REFUSED: Final[dict[str, str]] = {"AdjustPeriodicEventStream": "the depot has no open stream"}


class Streams(Quiet):
    """AdjustPeriodicEventStream, GetPeriodicEventStream."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Both."""
        return {"AdjustPeriodicEventStream": self._adjust, "GetPeriodicEventStream": self._get}

    def _adjust(self, message: Message) -> Conversation:
        return answered(refused("Rejected", "NotFound", REFUSED[message.action]))

    def _get(self, message: Message) -> Conversation:
        return answered(Said({}))
