"""Returning: cars that charged when the program last stopped, and whose stations have not come back yet.

After a restart, or a reload, such a station still obeys what it was told before, until that ends; nobody knows how much it is. Where a
meter shows what flows it is load like any other. Where none does, who comes back first must not take what is still being drawn: nobody
rises there above his minimum until all have come back and had time to follow, or what they were told has ended. Everybody's minimum
had room before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from controller.facts import EvseKey
from controller.site.layout import Layout
from controller.site.meters.draws import REACTION_S
from controller.site.sharing.inputs import CircuitLoad
from controller.site.stations.channel import CLOCK_SLACK_S


class Returning:
    """Who is awaited. Mutable; ``now`` is monotonic seconds. life_s: of a setpoint [s]."""

    def __init__(self, layout: Layout, life_s: float) -> None:
        self._layout, self._life_s = layout, life_s
        self._names = {str(key): key for key in layout.places}
        self._until_s: dict[EvseKey, float] = {}

    def recall(self, name: str, memory: Any, now: float) -> None:
        """The journal has a session. name: of its EVSE, as ``str(EvseKey)``."""
        key = self._names.get(name)
        if key is not None and memory is not None:
            self._until_s[key] = now + self._life_s + CLOCK_SLACK_S

    def back(self, station_id: str, now: float) -> None:
        """A station is there: it is told anew at once, and follows."""
        for key in self._layout.by_station.get(station_id, ()):
            if key in self._until_s:
                self._until_s[key] = min(self._until_s[key], now + self._layout.places[key].model.apply_s + REACTION_S)

    def held(self, loads: dict[str, CircuitLoad], now: float) -> dict[str, CircuitLoad]:
        """The loads, with nothing to rise where somebody is awaited whom no meter shows."""
        if not self._until_s:
            return loads
        self._until_s = {key: until_s for key, until_s in self._until_s.items() if now < until_s}
        awaited = {name for key in self._until_s for name in self._layout.places[key].path}
        return loads | _held({name: load for name, load in loads.items() if name in awaited})


def _held(loads: Mapping[str, CircuitLoad]) -> dict[str, CircuitLoad]:
    return {name: replace(load, hold=True) for name, load in loads.items() if load.lost or not load.meter}
