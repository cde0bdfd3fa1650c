"""Any seed gives a site file that ``yardmaster check`` takes, and a fleet that fits its bays."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from controller.check import load_config
from controller.checking.fallback import fallback_sums
from controller.config import Config
from controller.sim.physics.depot import make_depot
from controller.sim.physics.fleet import stays
from controller.sim.physics.tempers import BOXES, CARS

MONDAY = 20_619 * 86_400.0


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_file_is_good_and_its_fallbacks_fit(seed: int, tmp_path: Path) -> None:
    depot = make_depot(seed)
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(depot.data))
    config = load_config(path)
    assert all(one.fits for one in fallback_sums(config))
    assert len(depot.evses) >= 60
    floors = Counter(evse.fallback_a for station in config.stations for evse in station.evses)
    assert set(floors) == {0.0, 6.0}
    assert floors[6.0] >= 15


def test_three_levels_some_of_them_without_a_meter() -> None:
    config = Config.model_validate(make_depot(1).data)
    parents = {circuit.id: circuit.parent for circuit in config.circuits}
    assert {parents[parents[station.circuit]] for station in config.stations} == {"grid"}
    assert {circuit.meter is None for circuit in config.circuits} == {True, False}


def test_every_temper_and_every_version_stands_there_and_phases_are_rotated() -> None:
    depot = make_depot(1)
    assert {temper.name for temper in depot.boxes.values()} == {temper.name for temper in BOXES}
    assert set(depot.speaks.values()) == {"1.6", "2.0.1", "2.1"}
    config = Config.model_validate(depot.data)
    assert len({evse.phases for station in config.stations for evse in station.evses if len(evse.phases) == 3}) == 3
    assert any(len(evse.phases) == 1 for station in config.stations for evse in station.evses)


def test_the_same_seed_is_the_same_depot() -> None:
    assert make_depot(7).data == make_depot(7).data != make_depot(8).data


def test_a_month_cut_anywhere_meets_the_same_cars() -> None:
    depot = make_depot(1)
    whole = {(stay.spec.name, stay.spec.departure_wall_s) for stay in stays(depot.evses, 1, MONDAY, 10.0)}
    later = stays(depot.evses, 1, MONDAY + 5 * 86_400.0, 5.0)
    assert {(stay.spec.name, stay.spec.departure_wall_s) for stay in later} <= whole
    assert all(stay.spec.arrival_wall_s >= MONDAY + 5 * 86_400.0 for stay in later)


def test_no_bay_has_two_cars_and_all_tempers_come() -> None:
    depot = make_depot(1)
    fleet = stays(depot.evses, 1, MONDAY, 10.0)
    free: dict[tuple[str, int], float] = {}
    for stay in fleet:
        place = (stay.station_id, stay.evse_id)
        assert free.get(place, 0.0) <= stay.spec.arrival_wall_s < stay.spec.departure_wall_s
        free[place] = stay.spec.departure_wall_s
    assert {stay.temper.name for stay in fleet} == {temper.name for temper in CARS}
