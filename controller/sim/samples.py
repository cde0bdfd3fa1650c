"""The meter values a simulated station tells about an EVSE."""

from __future__ import annotations

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.car import VOLTAGE_V
from controller.sim.evse import Evse
from controller.sim.wire import Payload


def meter_value(at: Stamp, evse: Evse, kind: str, trigger: str) -> Payload:
    """One meterValue: register, power, currents and voltage per wired phase, SoC where the car tells it."""
    context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Trigger" if trigger == "Trigger" else "Sample.Periodic")
    samples = [
        _sample(evse.register_wh, "Energy.Active.Import.Register", "Wh", context),
        _sample(evse.power_w, "Power.Active.Import", "W", context),
    ]
    for index in range(len(evse.spec.site_phases)):
        samples.append(_sample(evse.phase_current_a()[index], "Current.Import", "A", context, f"L{index + 1}"))
    samples.append(_sample(VOLTAGE_V, "Voltage", "V", context, "L1-N"))
    if evse.car is not None and evse.car.spec.announces:
        samples.append(_sample(100.0 * evse.car.soc, "SoC", "Percent", context))
    return {"timestamp": wire.iso(at.wall_s), "sampledValue": samples}


def _sample(value: float, measurand: str, unit: str, context: str, phase: str = "") -> Payload:
    sample: Payload = {"value": round(value, 2), "measurand": measurand, "context": context, "unitOfMeasure": {"unit": unit}}
    if phase:
        sample["phase"] = phase
    return sample
