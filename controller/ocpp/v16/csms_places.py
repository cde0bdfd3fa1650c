"""EVSEs and connectors of the hub under the flat connectorIds of 1.6 (16 3.8), and back.

While every EVSE has one connector, connectorId n is EVSE n. Once one has several, all connectors are numbered 1..n in order, and
the numbers are kept: what is new later gets the next one, nothing is ever numbered anew. 0 is the station.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import EvseShape, Memory, Payload, Surroundings

KEY: Final = "connectors"
Spot = tuple[int, int]
"""(EVSE, connector) in hub numbers; connector 0 = the EVSE as a whole."""


class Places:
    """The connectors of one station, or of a depot. memory: key "connectors" = [[evse, connector], ...] in order of number, once needed."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._shapes: tuple[EvseShape, ...] = ()
        self._flat: list[Spot] = []

    @property
    def memory(self) -> Memory:
        """Where the numbers are kept."""
        return self._around.memory

    def _settle(self) -> None:
        """Follow what the station has now."""
        shapes = self._around.evses()
        if shapes == self._shapes and self._flat:
            return
        self._shapes = shapes
        stored: Any = self.memory.get(KEY)
        if stored is None and all(shape.connectors <= 1 for shape in shapes):
            self._flat = []
            return
        known: list[Spot] = [(int(evse_id), int(connector_id)) for evse_id, connector_id in stored or []]
        all_now = [(shape.evse_id, number) for shape in shapes for number in range(1, shape.connectors + 1)]
        self._flat = [*known, *(spot for spot in all_now if spot not in set(known))]
        self.memory.put(KEY, [list(spot) for spot in self._flat])

    def all(self) -> tuple[int, ...]:
        """Every connectorId, ascending."""
        self._settle()
        return tuple(range(1, len(self._flat) + 1)) if self._flat else tuple(sorted(shape.evse_id for shape in self._shapes))

    def number(self, evse_id: Any, connector_id: Any = 0) -> int:
        """connectorId of an EVSE's connector, its first one where none is named; 0 for EVSE 0."""
        self._settle()
        evse = evse_id if isinstance(evse_id, int) and evse_id > 0 else 0
        if not evse or not self._flat:
            return evse
        spots = [number for number, spot in enumerate(self._flat, start=1) if spot[0] == evse]
        exact = [number for number in spots if self._flat[number - 1][1] == connector_id]
        return (exact or spots or [evse])[0]

    def spot(self, connector_id: Any) -> Spot | None:
        """(EVSE, connector) of a connectorId above 0; None for one the station does not have."""
        if not isinstance(connector_id, int) or connector_id not in self.all():
            return None
        return self._flat[connector_id - 1] if self._flat else (connector_id, 1)

    def evse(self, connector_id: int) -> Payload | None:
        """The hub's evse object of a connectorId; its connector only where the EVSE has several. None for one there is not."""
        spot = self.spot(connector_id)
        if spot is None:
            return None
        alone = sum(1 for other in self._flat if other[0] == spot[0]) <= 1
        return {"id": spot[0]} if alone else {"id": spot[0], "connectorId": spot[1]}

    def of_evse(self, evse_id: int) -> tuple[int, ...]:
        """All connectorIds of an EVSE."""
        return tuple(number for number in self.all() if (spot := self.spot(number)) is not None and spot[0] == evse_id)
