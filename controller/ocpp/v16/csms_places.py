"""EVSEs and connectors of the hub under the flat connectorIds of 1.6 (16 3.8), and back.

While every EVSE has one connector, connectorId n is EVSE n. Once one has several, all connectors are numbered 1..n in order, and
the numbers are kept: what is new later gets the next one, nothing is ever numbered anew. 0 is the station.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp.hub import EvseShape, Memory, Payload, Surroundings

KEY: Final = "connectors"
SINGLE: Final = "evses"
Spot = tuple[int, int]
"""(EVSE, connector) in hub numbers; connector 0 = the EVSE as a whole."""


class Places:
    """The connectors of one station, or of a depot. memory: "evses" = [EVSE, ...] while each has one connector; "connectors" =
    [[EVSE, connector], ...] in order of number from the day one has more."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._shapes: tuple[EvseShape, ...] | None = None
        self._spots: dict[int, Spot] = {}
        self._numbers: dict[int, dict[int, int]] = {}

    @property
    def memory(self) -> Memory:
        """Where the numbers are kept."""
        return self._around.memory

    def _settle(self) -> None:
        """Follow what the station has now."""
        shapes = self._around.evses()
        if shapes == self._shapes:
            return
        self._shapes = shapes
        stored: Any = self.memory.get(KEY)
        if stored is None and all(shape.connectors <= 1 for shape in shapes):
            self._spots = {evse_id: (evse_id, 1) for evse_id in sorted(shape.evse_id for shape in shapes)}
            self.memory.put(SINGLE, list(self._spots))
        else:
            self._spots = dict(enumerate(self._flat(shapes, self._before() if stored is None else stored), start=1))
            self.memory.put(KEY, [list(spot) for spot in self._spots.values()])
        self._numbers = {}
        for number, (evse_id, connector_id) in self._spots.items():
            self._numbers.setdefault(evse_id, {})[connector_id] = number

    def _before(self) -> list[Spot]:
        """The numbers in use while every EVSE had one connector; gaps among them cannot be kept."""
        single: list[int] = self.memory.get(SINGLE, [])
        return [(evse_id, 1) for evse_id in single] if single == list(range(1, len(single) + 1)) else []

    @staticmethod
    def _flat(shapes: tuple[EvseShape, ...], stored: Any) -> list[Spot]:
        known: list[Spot] = [(int(evse_id), int(connector_id)) for evse_id, connector_id in stored]
        all_now = [(shape.evse_id, number) for shape in shapes for number in range(1, shape.connectors + 1)]
        return list(dict.fromkeys([*known, *all_now]))

    def all(self) -> tuple[int, ...]:
        """Every connectorId, ascending."""
        self._settle()
        return tuple(self._spots)

    def number(self, evse_id: Any, connector_id: Any = 0) -> int:
        """connectorId of an EVSE's connector, its first one where none is named; 0 for EVSE 0; the EVSE's own number if it is unknown."""
        self._settle()
        evse = evse_id if isinstance(evse_id, int) and evse_id > 0 else 0
        found = self._numbers.get(evse, {})
        return found.get(connector_id) or next(iter(found.values()), evse)

    def spot(self, connector_id: Any) -> Spot | None:
        """(EVSE, connector) of a connectorId above 0; None for one the station does not have."""
        self._settle()
        return self._spots.get(connector_id) if isinstance(connector_id, int) else None

    def evse(self, connector_id: int) -> Payload | None:
        """The hub's evse object of a connectorId; its connector only where the EVSE has several. None for one there is not."""
        spot = self.spot(connector_id)
        if spot is None:
            return None
        return {"id": spot[0]} if len(self._numbers[spot[0]]) == 1 else {"id": spot[0], "connectorId": spot[1]}

    def of_evse(self, evse_id: int) -> tuple[int, ...]:
        """All connectorIds of an EVSE."""
        self._settle()
        return tuple(self._numbers.get(evse_id, {}).values())
