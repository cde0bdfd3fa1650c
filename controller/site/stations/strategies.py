"""Strategies: in which ways a setpoint can be brought to a charger of a model, best first.

Purpose x unit x relative x stack level, from the model's file, narrowed by what the station said about itself
(F04: W instead of A, Default instead of Tx). The actuator takes the next one after a definite no. The floor has a
list of its own. Decides nothing about amps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from controller.facts import FeaturesLearned
from controller.orders import Strategy
from controller.site.stations.charger import ChargerModel

TX, TX_DEFAULT, STATION_MAX = "tx", "tx_default", "station_max"
PURPOSES: Final = {"TxProfile": TX, "TxDefaultProfile": TX_DEFAULT, "ChargingStationMaxProfile": STATION_MAX}
"""Names in model files -> names in orders."""
UNITS: Final = ("A", "W")
DYNAMIC_SINCE: Final = "2.1"
OVERLAY: Final = "overlay"


def holds_whole_station(model: ChargerModel) -> bool:
    """Whether a model is held by its station-max profile first, one for all its EVSEs."""
    return model.csms_profiles == OVERLAY or PURPOSES[model.purposes[0]] == STATION_MAX


def setpoint_strategies(model: ChargerModel, version: str, features: FeaturesLearned | None, life_s: float, alone: bool) -> tuple[Strategy, ...]:
    """All ways for live setpoints, best first; never empty.

    version: as in ``StationOnline``, with or without "ocpp". life_s: of a setpoint, also the longest time offline a 2.1
    profile may outlive. alone: the station has one EVSE; only then its station-max profile can follow the
    per-EVSE ones, for it says nothing about one EVSE among several.
    """
    whole = holds_whole_station(model)
    names = ("ChargingStationMaxProfile",) if model.csms_profiles == OVERLAY else model.purposes
    purposes = [PURPOSES[name] for name in names]
    if not alone:
        purposes = [purpose for purpose in purposes if (purpose == STATION_MAX) == whole]
    stack_level = _setpoint_stack(model, features)
    above = stack_level > floor_stack(model, features)
    offline_s = life_s if version.endswith(DYNAMIC_SINCE) and features is not None and features.max_offline else None
    found = [
        Strategy(purpose, unit, model.relative and purpose != STATION_MAX, stack_level, dynamic, offline_s)
        for purpose in purposes
        # On the floor's own level a default would take the floor's place, and the dead man with it.
        if above or purpose != _floor_purpose(model)
        for dynamic in _dynamic(model, purpose, version, features)
        for unit in units(model, features)
    ]
    if not found and model.csms_profiles == OVERLAY:
        # One stack level cannot hold floor and setpoint. Above it the station says no, and its floor goes on holding it.
        return (Strategy(STATION_MAX, model.unit, False, stack_level + 1, False, offline_s),)
    return tuple(found) or (Strategy(TX, model.unit, model.relative, stack_level, False, offline_s),)


def giving_strategies(
    model: ChargerModel, version: str, features: FeaturesLearned | None, life_s: float, stack_level: int
) -> tuple[Strategy, ...]:
    """The ways for V2X setpoints, in W (OCPP 2.1, V2X.06-10); only the Tx layer can hold them (K01.FR.111).

    None in overlay mode, where that layer is the CSMS's.
    """
    if not version.endswith(DYNAMIC_SINCE) or features is None or model.csms_profiles == OVERLAY:
        return ()
    offline_s = life_s if features.max_offline else None
    ways = (True, False) if features.dynamic else (False,)
    return tuple(Strategy(TX, "W", False, stack_level, dynamic, offline_s) for dynamic in ways)


def floor_strategies(model: ChargerModel, features: FeaturesLearned | None) -> tuple[Strategy, ...]:
    """All ways for the floor, best first; never empty."""
    purposes = [_floor_purpose(model)]
    level = floor_stack(model, features)
    return tuple(Strategy(purpose, unit, False, level) for purpose in purposes for unit in units(model, features))


def units(model: ChargerModel, features: FeaturesLearned | None) -> tuple[str, ...]:
    """Units to try, best first: the model's, then the other one; one the station does not announce last, if at all."""
    other = "W" if model.unit == "A" else "A"
    wanted = (model.unit, other) if model.other_unit else (model.unit,)
    announced = features.units if features is not None else ()
    if not announced:
        return wanted
    return tuple(unit for unit in wanted if unit in announced) or wanted


def floor_stack(model: ChargerModel, features: FeaturesLearned | None) -> int:
    """Stack level of the floor: low enough that a setpoint fits above it."""
    highest = features.max_stack_level if features is not None else None
    return model.stack_level if highest is None else max(0, min(model.stack_level, highest - 1))


def _setpoint_stack(model: ChargerModel, features: FeaturesLearned | None) -> int:
    highest = features.max_stack_level if features is not None else None
    level = floor_stack(model, features) + 1
    return level if highest is None else min(level, max(0, highest))


def _floor_purpose(model: ChargerModel) -> str:
    only_station = all(PURPOSES[name] == STATION_MAX for name in model.purposes)
    return STATION_MAX if only_station or holds_whole_station(model) else TX_DEFAULT


def _dynamic(model: ChargerModel, purpose: str, version: str, features: FeaturesLearned | None) -> tuple[bool, ...]:
    able = version.endswith(DYNAMIC_SINCE) and model.dynamic and features is not None and features.dynamic and not model.relative
    return (True, False) if able and purpose == TX else (False,)


# -- what a restart must not forget ----------------------------------------------------------------


def strategy_memory(strategy: Strategy) -> dict[str, Any]:
    """What the journal keeps of the strategy that worked."""
    return asdict(strategy)


def strategy_recalled(memory: Any) -> Strategy | None:
    """The strategy in the journal; None for anything else (F75). It is used only while the model's list still holds it."""
    names = {field.name for field in fields(Strategy)}
    if not isinstance(memory, Mapping) or set(memory) != names:
        return None
    try:
        return Strategy(**memory)
    except TypeError:
        return None
