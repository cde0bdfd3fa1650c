"""NotifyEVChargingNeeds of 2.1 in 2.0.1: transfer modes, whole numbers, and what ISO 15118-20 says in other words (OCPP-NOTES 12.12).

Numbers are rounded to the side that asks nothing of a car that it cannot do: maxima and capacities down, minima and the energy
wanted up.
"""

from __future__ import annotations

import math
from typing import Any, Final

from controller.ocpp.hub import Payload
from controller.ocpp.v2.passing import inner, real

_AC_BY_PHASES: Final = {1: "AC_single_phase", 2: "AC_two_phase", 3: "AC_three_phase"}
_DC: Final = frozenset({"DC_BPT", "DC_ACDP", "DC_ACDP_BPT"})
_AC: Final = frozenset({"AC_BPT", "AC_BPT_DER", "AC_DER"})
_UP: Final = frozenset({"energyAmount", "evMinCurrent"})


def plain_needs(payload: Payload, phases: int) -> Payload:
    """The request without what 2.0.1 does not know. phases: of the EVSE, 1..3, for modes that do not say theirs."""
    needs = inner(payload, "chargingNeeds")
    mode = needs.get("requestedEnergyTransfer")
    made = {**needs, "requestedEnergyTransfer": _transfer(mode, phases)}
    for key in ("acChargingParameters", "dcChargingParameters"):
        if isinstance(needs.get(key), dict):
            made[key] = {name: _whole(name, value) for name, value in needs[key].items()}
    if isinstance(needs.get("v2xChargingParameters"), dict):
        made = {**_of_iso_20(needs["v2xChargingParameters"], made["requestedEnergyTransfer"]), **made}
    return {**payload, "chargingNeeds": made}


def is_iso_20(payload: Payload) -> bool:
    """Whether the car speaks ISO 15118-20: there Rejected ends the transaction (trap 22, K18, K19, Q01)."""
    needs = inner(payload, "chargingNeeds")
    return any(key in needs for key in ("controlMode", "mobilityNeedsMode", "availableEnergyTransfer", "v2xChargingParameters", "evEnergyOffer"))


def _transfer(mode: Any, phases: int) -> Any:
    """The one-way mode of the same connector. A car without wires is told as DC: the station decides its current."""
    if mode in _AC:
        return _AC_BY_PHASES.get(phases, "AC_three_phase")
    return "DC" if mode in _DC or mode == "WPT" else mode


def _whole(name: str, value: Any) -> Any:
    if not real(value) or not math.isfinite(value):
        return value
    return math.ceil(value) if name in _UP else math.floor(value)


def _of_iso_20(v2x: Payload, mode: Any) -> Payload:
    """AC or DC parameters from those of an ISO 15118-20 car; nothing where it did not say enough."""
    current_a, voltage_v = v2x.get("maxChargeCurrent"), v2x.get("maxVoltage")
    energy_wh = v2x.get("evTargetEnergyRequest")
    if not real(current_a) or not real(voltage_v):
        return {}
    if mode == "DC":
        said = {"evMaxCurrent": current_a, "evMaxVoltage": voltage_v, "evMaxPower": v2x.get("maxChargePower"), "energyAmount": energy_wh}
        return {"dcChargingParameters": {name: _whole(name, value) for name, value in said.items() if real(value)}}
    said = {"energyAmount": energy_wh, "evMinCurrent": v2x.get("minChargeCurrent"), "evMaxCurrent": current_a, "evMaxVoltage": voltage_v}
    if not all(real(value) for value in said.values()):
        return {}
    return {"acChargingParameters": {name: _whole(name, value) for name, value in said.items()}}
