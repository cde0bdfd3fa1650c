"""What only 2.1 messages tell the site: the needs of a car that speaks ISO 15118-20 (K18-K20, Q01)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from controller.facts import Fact, NeedsAnnounced
from controller.ocpp.dialect import Payload
from controller.ocpp.samples import number
from controller.ocpp.v2.needs import energy, part, positive

CONTROL_MODES: Final = {"DynamicControl": True, "ScheduledControl": False}


def with_v2x(facts: list[Fact], payload: Payload) -> list[Fact]:
    """The facts of a NotifyEVChargingNeeds with what 2.1 adds; its v2xChargingParameters count where 2.0.1's fields say nothing."""
    needs = payload.get("chargingNeeds")
    if not isinstance(needs, dict):
        return facts
    return [_filled(fact, needs) if isinstance(fact, NeedsAnnounced) else fact for fact in facts]


def _filled(fact: NeedsAnnounced, needs: Payload) -> NeedsAnnounced:
    v2x, mode = part(needs, "v2xChargingParameters"), needs.get("controlMode")
    control = CONTROL_MODES.get(mode) if isinstance(mode, str) else None
    # A DC car names the current of its battery, which is no current of the grid.
    currents = {} if fact.transfer_mode.startswith("DC") else v2x
    return replace(
        fact,
        energy_wh=_energy_wh(v2x) if fact.energy_wh is None else fact.energy_wh,
        max_current_a=_or(fact.max_current_a, positive(currents.get("maxChargeCurrent"))),
        min_current_a=_or(fact.min_current_a, positive(currents.get("minChargeCurrent"))),
        max_power_w=_or(fact.max_power_w, _of_all_phases(v2x, "maxChargePower")),
        min_power_w=_of_all_phases(v2x, "minChargePower"),
        max_discharge_w=_of_all_phases(v2x, "maxDischargePower"),
        min_discharge_w=_of_all_phases(v2x, "minDischargePower"),
        min_wh=energy(v2x.get("evMinEnergyRequest")),
        max_wh=energy(v2x.get("evMaxEnergyRequest")),
        min_v2x_wh=energy(v2x.get("evMinV2XEnergyRequest")),
        max_v2x_wh=energy(v2x.get("evMaxV2XEnergyRequest")),
        bidirectional=_gives_back(needs),
        dynamic_control=fact.dynamic_control if control is None else control,
        single_phases=any(key.endswith(("_L2", "_L3")) and number(value) is not None for key, value in v2x.items()),
    )


def _or(known: float | None, other: float | None) -> float | None:
    return other if known is None else known


def _energy_wh(v2x: Payload) -> float | None:
    target_wh = energy(v2x.get("evTargetEnergyRequest"))
    return target_wh if target_wh is not None and target_wh > 0 else None


def _of_all_phases(v2x: Payload, key: str) -> float | None:
    """A power over all phases: L2 and L3 are told apart only if the car limits each phase. Some write discharge negative."""
    parts = [number(v2x.get(name)) for name in (key, f"{key}_L2", f"{key}_L3")]
    return sum(abs(part) for part in parts if part is not None) if parts[0] is not None else None


def _gives_back(needs: Payload) -> bool:
    """It asked for a mode of transfer that can give back; where it does not say which, one it offers."""
    asked: Any = needs.get("requestedEnergyTransfer")
    offered = needs.get("availableEnergyTransfer")
    words = [asked] if isinstance(asked, str) else offered if isinstance(offered, list) else []
    return any(isinstance(word, str) and "BPT" in word for word in words)
