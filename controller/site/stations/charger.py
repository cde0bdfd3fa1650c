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

    purposes: profile purposes it honours for live setpoints, best first. unit: "A" or "W"; other_unit: whether the other
    one may be tried when it is refused. stack_level: stack level of our floor; setpoints lie one above. relative: setpoints
    count from the session instead of from a date, for boxes without a clock. apply_s: seconds from its Accepted until the
    limit acts. step_a: smallest step of a limit [A]. keeps_default: the TxDefaultProfile survives a reboot. reads_back:
    GetCompositeSchedule can be believed; False means an Accepted floor is taken for confirmed. min_current_a: below it the
    box pauses [A]. overdraw_part: it lets a car draw up to this part more than told, 0.05 = 5 %.
    min_write_s: rises are not written more often than this [s]. writes_per_day: most profiles written in a day for rises and
    renewals, 0 = no bound (flash wear). phase_switching: switches a car between one and three phases; phase_pause_s: how long it
    pauses for that [s]. resume: what wakes a car after a pause: "none", "status" (TriggerMessage) or "availability"
    (inoperative and back). dynamic: 2.1 Dynamic profiles may be used where the station announces them. csms_profiles: "merge"
    keeps the CSMS's profiles here; "overlay" lets them pass and holds the station by its station-max profile.
    """

    name: str
    description: str = ""
    purposes: tuple[str, ...] = ("TxProfile", "TxDefaultProfile")
    unit: str = "A"
    other_unit: bool = True
    stack_level: int = 0
    relative: bool = False
    apply_s: float = 5.0
    step_a: float = 1.0
    keeps_default: bool = True
    reads_back: bool = True
    min_current_a: float = 6.0
    overdraw_part: float = 0.0
    min_write_s: float = 0.0
    writes_per_day: int = 0
    phase_switching: bool = False
    phase_pause_s: float = 10.0
    resume: str = "status"
    dynamic: bool = True
    csms_profiles: str = "merge"


GENERIC = ChargerModel(name="generic", description="A charger nobody measured: the slow, careful assumptions.")


def model_named(models: Mapping[str, ChargerModel], name: str) -> ChargerModel:
    """The model with this name, else the generic one (``check`` has already complained)."""
    return models.get(name) or models.get("generic") or GENERIC
