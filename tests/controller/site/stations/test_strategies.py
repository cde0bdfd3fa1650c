"""Which ways a setpoint can take to a charger of a model, in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import FeaturesLearned, Stamp
from controller.orders import Strategy
from controller.site.stations.charger import GENERIC, ChargerModel
from controller.site.stations.strategies import (
    floor_strategies,
    giving_strategies,
    setpoint_strategies,
    strategy_memory,
    strategy_recalled,
)

LIFE_S = 120.0


def said(**more: object) -> FeaturesLearned:
    return FeaturesLearned(Stamp(0.0, 0.0), "CP1", **more)  # type: ignore[arg-type]


def ways(model: ChargerModel = GENERIC, features: FeaturesLearned | None = None, version: str = "2.0.1", alone: bool = True) -> list[tuple[str, str]]:
    return [(way.purpose, way.unit) for way in setpoint_strategies(model, version, features, LIFE_S, alone)]


def test_f04_w_instead_of_a_then_default_instead_of_tx() -> None:
    assert ways() == [("tx", "A"), ("tx", "W"), ("tx_default", "A"), ("tx_default", "W")]


@pytest.mark.parametrize("version", ["1.6", "ocpp1.6", "2.0.1", "ocpp2.0.1"])
def test_only_2_1_has_dynamic_profiles_and_offline_ends(version: str) -> None:
    found = setpoint_strategies(GENERIC, version, said(dynamic=True, max_offline=True), LIFE_S, True)
    assert not any(way.dynamic or way.max_offline_s for way in found)


@pytest.mark.parametrize("version", ["2.1", "ocpp2.1"])
def test_a_2_1_station_that_announces_them_gets_dynamic_profiles_first_and_an_end_while_offline(version: str) -> None:
    found = setpoint_strategies(GENERIC, version, said(dynamic=True, max_offline=True), LIFE_S, True)
    assert found[0] == Strategy("tx", "A", False, 1, True, LIFE_S)
    assert [way.dynamic for way in found] == [True, True, False, False, False, False]
    assert all(way.max_offline_s == LIFE_S for way in found)
    never = setpoint_strategies(replace(GENERIC, dynamic=False), version, said(dynamic=True), LIFE_S, True)
    assert not any(way.dynamic for way in never)


def test_units_follow_the_model_then_what_the_station_announced() -> None:
    assert ways(replace(GENERIC, unit="W", other_unit=False)) == [("tx", "W"), ("tx_default", "W")]
    assert ways(features=said(units=("W",))) == [("tx", "W"), ("tx_default", "W")]
    # The measured file is believed where the announcement leaves nothing to try.
    assert ways(replace(GENERIC, other_unit=False), said(units=("W",))) == [("tx", "A"), ("tx_default", "A")]


def test_the_setpoint_lies_above_the_floor_and_never_above_what_the_station_allows() -> None:
    model = replace(GENERIC, stack_level=8)
    assert setpoint_strategies(model, "2.0.1", None, LIFE_S, True)[0].stack_level == 9
    limited = said(max_stack_level=5)
    assert floor_strategies(model, limited)[0].stack_level == 4
    assert {way.stack_level for way in setpoint_strategies(model, "2.0.1", limited, LIFE_S, True)} == {5}


def test_a_default_on_the_floors_own_level_would_take_its_place() -> None:
    assert ways(features=said(max_stack_level=0)) == [("tx", "A"), ("tx", "W")]


def test_relative_is_for_models_without_a_clock_and_never_for_the_station() -> None:
    model = replace(GENERIC, relative=True, purposes=("TxProfile", "ChargingStationMaxProfile"))
    found = setpoint_strategies(model, "2.0.1", None, LIFE_S, True)
    assert {(way.purpose, way.relative) for way in found} == {("tx", True), ("station_max", False)}


def test_a_station_max_profile_follows_only_where_the_station_has_one_evse() -> None:
    model = replace(GENERIC, purposes=("TxProfile", "ChargingStationMaxProfile"))
    assert ("station_max", "A") in ways(model, alone=True)
    assert ways(model, alone=False) == [("tx", "A"), ("tx", "W")]


@pytest.mark.parametrize("model", [replace(GENERIC, purposes=("ChargingStationMaxProfile",)), replace(GENERIC, csms_profiles="overlay")])
def test_overlay_and_station_max_models_are_held_as_one_floor_included(model: ChargerModel) -> None:
    assert {purpose for purpose, _ in ways(model, alone=False)} == {"station_max"}
    assert {way.purpose for way in floor_strategies(model, None)} == {"station_max"}


def test_floors_are_defaults_in_both_units() -> None:
    assert [(way.purpose, way.unit, way.stack_level) for way in floor_strategies(GENERIC, None)] == [("tx_default", "A", 0), ("tx_default", "W", 0)]


def test_v2x_setpoints_are_in_w_and_only_in_the_tx_layer() -> None:
    assert [(way.purpose, way.unit, way.dynamic) for way in giving_strategies(GENERIC, "2.1", said(dynamic=True), LIFE_S, 1)] == [
        ("tx", "W", True),
        ("tx", "W", False),
    ]
    assert giving_strategies(GENERIC, "2.0.1", said(dynamic=True), LIFE_S, 1) == ()
    assert giving_strategies(GENERIC, "2.1", None, LIFE_S, 1) == ()


def test_what_the_journal_keeps_comes_back_and_rubbish_does_not() -> None:
    way = Strategy("tx_default", "W", False, 3)
    assert strategy_recalled(strategy_memory(way)) == way
    for rubbish in (None, 7, [], {}, {"purpose": "tx"}, {**strategy_memory(way), "colour": "red"}):
        assert strategy_recalled(rubbish) is None


@pytest.mark.parametrize("most", [None, 0, 1, 8])
@pytest.mark.parametrize("alone", [True, False])
def test_in_overlay_mode_only_the_station_s_maximum_is_ours(most: int | None, alone: bool) -> None:
    """All other purposes are the CSMS's; not even a station with one stack level, or one that gives back, makes an exception."""
    model = replace(GENERIC, csms_profiles="overlay")
    features = said(max_stack_level=most, dynamic=True, max_offline=True, units=("W",))
    for version in ("ocpp1.6", "ocpp2.0.1", "ocpp2.1"):
        setpoints = setpoint_strategies(model, version, features, LIFE_S, alone)
        floors = floor_strategies(model, features)
        assert {way.purpose for way in (*setpoints, *floors)} == {"station_max"}
        assert all(way.stack_level > floor.stack_level for way in setpoints for floor in floors)
        assert giving_strategies(model, version, features, LIFE_S, 1) == ()
