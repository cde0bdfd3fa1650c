"""Layers: the limits that lie on one EVSE, lowest wins, each with its source and its end.

One truth for three readers: the arbiter takes the lowest layer as the cap of a claim, a setpoint carries
its name, and "why only 8 A?" shows the whole chain. A layer can only lower. Per phase [A] throughout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FUSE: Final = "fuse"
"""The main fuse."""
CIRCUIT: Final = "circuit"
"""A fuse below the main one."""
UNBALANCE: Final = "unbalance"
"""The allowed difference between two phases at the grid connection."""
LIMIT: Final = "limit"
"""A limit somebody sent, or the contract."""
OPERATOR: Final = "operator"
"""A limit the grid operator sent."""
UPSTREAM: Final = "upstream"
"""The CSMS's own profiles."""
PLAN: Final = "plan"
CAR: Final = "car"
CHARGER: Final = "charger"
FLOOR: Final = "floor"
"""The fallback of an EVSE whose station has not confirmed it."""
GUARD: Final = "guard"
"""Held or paused because a station does not follow, or a car rests after a pause."""
STATION: Final = "station"
"""A station that is not under control."""
SAFETY: Final = "safety"
"""A meter is silent: the fallback holds."""

EMS, GRID_OPERATOR, CSMS, NOBODY = "EMS", "SO", "CSO", ""
NOTIFIED: Final = {
    FUSE: EMS,
    CIRCUIT: EMS,
    UNBALANCE: EMS,
    LIMIT: EMS,
    OPERATOR: GRID_OPERATOR,
    UPSTREAM: CSMS,
    PLAN: EMS,
    FLOOR: EMS,
    GUARD: EMS,
    SAFETY: EMS,
}
"""The words of NotifyChargingLimit for a layer's source; what is not here is nobody's limit: the charger's or the car's own."""

_OPERATORS: Final = frozenset({"so", "dso", "tso", "vnb", "grid", "operator"})


@dataclass(frozen=True, slots=True)
class Layer:
    """One limit: limit_a per phase, its name for people, where it comes from (a word of this file), its end on the wall clock.

    ends_wall_s None = no end is known.
    """

    limit_a: float
    reason: str
    source: str
    ends_wall_s: float | None = None


def lowest(layers: Sequence[Layer]) -> Layer:
    """The layer that binds; of equal ones the first. layers: at least one."""
    found = layers[0]
    for layer in layers:
        if layer.limit_a < found.limit_a:
            found = layer
    return found


def by_operator(limit_source: str) -> bool:
    """Whether a received limit ("mqtt:so", "dso-1", "api") comes from the grid operator, by the first word of its sender."""
    sender = limit_source.rpartition(":")[2].lower()
    return re.split(r"[^a-z]", sender, maxsplit=1)[0] in _OPERATORS
