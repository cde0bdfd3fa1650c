"""What we know about a charger model: the quirks that decide how a setpoint is brought to it.

Plain data. The files in ``config/chargers`` are read and checked by ``controller.io.chargers``;
the site side only ever sees this dataclass. Anything unknown is set to the safer side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChargerModel:
    """Measured or documented behaviour of one charger model.

    purposes: profile purposes it honours for live setpoints, best first. unit: "A" or "W".
    stack_level: stack level of our profiles. apply_s: seconds from its Accepted until the limit
    acts. step_a: smallest step of a limit [A]. keeps_default: the TxDefaultProfile survives a
    reboot. reads_back: GetCompositeSchedule can be believed; False means an Accepted floor is
    taken for confirmed. min_current_a: below it the box pauses [A].
    """

    name: str
    description: str = ""
    purposes: tuple[str, ...] = ("TxProfile", "TxDefaultProfile")
    unit: str = "A"
    stack_level: int = 0
    apply_s: float = 5.0
    step_a: float = 1.0
    keeps_default: bool = True
    reads_back: bool = True
    min_current_a: float = 6.0


GENERIC = ChargerModel(name="generic", description="A charger nobody measured: the slow, careful assumptions.")


def model_named(models: Mapping[str, ChargerModel], name: str) -> ChargerModel:
    """The model with this name, else the generic one (``check`` has already complained)."""
    return models.get(name) or models.get("generic") or GENERIC
