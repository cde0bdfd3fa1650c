"""What happens to each message: one table, version x action x direction x state of the upstream.

The table is the documented list of places where Yardmaster is not a plain wire (promise P8).
It decides; it does nothing. Its rows stand in ``rows_v16`` and ``rows_v2``, one file per family
of versions; the words they are written in, in ``rows``. An action without a row is relayed while
the CSMS is there and refused while it is not, so unknown and ``*-Signed`` actions pass
(OCPP-NOTES 3.3). A 2.1 SEND is looked up like a CALL; where it is not relayed it is dropped.
"""

from __future__ import annotations

from typing import Final

from controller.link.rows import THROUGH, Row, Upstream, Verb
from controller.link.rows_v2 import CSMS_21, CSMS_201, STATION_21, STATION_201
from controller.link.rows_v16 import CSMS_16, STATION_16

__all__ = ["CSMS", "STATION", "Row", "Upstream", "Verb", "from_csms", "from_station"]

STATION: Final[dict[str, dict[str, Row]]] = {"ocpp1.6": STATION_16, "ocpp2.0.1": STATION_201, "ocpp2.1": STATION_21}
"""Subprotocol -> action -> row, for CALLs and SENDs of stations."""

CSMS: Final[dict[str, dict[str, Row]]] = {"ocpp1.6": CSMS_16, "ocpp2.0.1": CSMS_201, "ocpp2.1": CSMS_21}
"""Subprotocol -> action -> row, for CALLs of a CSMS."""


def from_station(version: str, action: str, upstream: Upstream) -> Verb:
    """Verb for a CALL of a station; version: the link's subprotocol."""
    return STATION[version].get(action, THROUGH).verb(upstream)


def from_csms(version: str, action: str, upstream: Upstream = Upstream.OPEN) -> Verb:
    """Verb for a CALL of the CSMS."""
    return CSMS[version].get(action, THROUGH).verb(upstream)
