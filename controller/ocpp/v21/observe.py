"""What only 2.1 messages tell the site: the needs of a car that speaks ISO 15118-20."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.facts import Fact, NeedsAnnounced
from controller.ocpp.dialect import Payload
from controller.ocpp.samples import number


def with_v2x(facts: list[Fact], payload: Payload) -> list[Fact]:
    """The facts of a NotifyEVChargingNeeds, its v2xChargingParameters filled in where 2.0.1's fields say nothing."""
    needs = payload.get("chargingNeeds")
    v2x = needs.get("v2xChargingParameters") if isinstance(needs, dict) else None
    if not isinstance(needs, dict) or not isinstance(v2x, dict):
        return facts
    return [_filled(fact, v2x, _is_dc(needs)) if isinstance(fact, NeedsAnnounced) else fact for fact in facts]


def _is_dc(needs: Payload) -> bool:
    return str(needs.get("requestedEnergyTransfer", "")).startswith("DC")


def _filled(fact: NeedsAnnounced, v2x: Payload, is_dc: bool) -> NeedsAnnounced:
    energy_wh, current_a = _positive(v2x.get("evTargetEnergyRequest")), _positive(v2x.get("maxChargeCurrent"))
    return replace(
        fact,
        energy_wh=energy_wh if fact.energy_wh is None else fact.energy_wh,
        # A DC car names the current of its battery, which is no current of the grid.
        max_current_a=current_a if fact.max_current_a is None and not is_dc else fact.max_current_a,
        max_discharge_w=_discharge_w(v2x),
    )


def _positive(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and found > 0 else None


def _discharge_w(v2x: Payload) -> float | None:
    """Over all phases: L2 and L3 are told apart only if the car limits each phase. Some write it negative."""
    parts = [number(v2x.get(key)) for key in ("maxDischargePower", "maxDischargePower_L2", "maxDischargePower_L3")]
    return sum(abs(part) for part in parts if part is not None) if parts[0] is not None else None
