"""What a simulated station measures at an EVSE, before a version puts it into its own words."""

from __future__ import annotations

from dataclasses import dataclass

from controller.sim.car import VOLTAGE_V
from controller.sim.evse import Evse


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value. phase: "L1", "L1-N" or "" where it has none."""

    value: float
    measurand: str
    unit: str
    phase: str = ""


def samples(evse: Evse, with_soc: bool) -> list[Sample]:
    """Registers, power, currents and voltage per wired phase, and the SoC where the car tells it and the version can ask.

    What is given back is export, as a number above 0.
    """
    way, sign = ("Export", -1.0) if evse.power_w < 0 else ("Import", 1.0)
    found = [Sample(evse.register_wh, "Energy.Active.Import.Register", "Wh")]
    if evse.given_register_wh:
        found.append(Sample(evse.given_register_wh, "Energy.Active.Export.Register", "Wh"))
    found.append(Sample(sign * evse.power_w, f"Power.Active.{way}", "W"))
    shown_a = [_shown(sign * amps, evse.spec.quantum_a) for amps in evse.phase_current_a()]
    found += [Sample(shown_a[index], f"Current.{way}", "A", f"L{index + 1}") for index in range(len(evse.spec.site_phases))]
    found.append(Sample(VOLTAGE_V, "Voltage", "V", "L1-N"))
    if with_soc and evse.car is not None and evse.car.spec.announces:
        found.append(Sample(100.0 * evse.car.soc, "SoC", "Percent"))
    return found


def _shown(amps: float, quantum_a: float) -> float:
    return round(amps / quantum_a) * quantum_a if quantum_a else amps
