"""How a station and a CSMS of 2.1 look to the hub: as they are, for the hub speaks 2.1."""

from __future__ import annotations

from typing import Final

from controller.ocpp.hub import Sides
from controller.ocpp.v2.passing import Passing

REFUSED: Final[dict[str, str]] = {}
"""Nothing: every action of 2.1 goes through, both ways, SEND included."""

SIDES: Final = Sides("ocpp2.1", Passing, Passing)
