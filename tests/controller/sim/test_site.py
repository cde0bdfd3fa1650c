"""The physics of the simulated site add up."""

from __future__ import annotations

import pytest
import yaml

from controller.config import BatteryConfig, Config
from controller.paths import config_dir
from controller.sim.books import CsmsBooks
from controller.sim.car import VOLTAGE_V
from controller.sim.scenario import DEMO
from controller.sim.site import SHAVE_ABOVE_W, SimBattery, SimSite
from controller.sim.station import SimStation
from tests.controller.sim.kit import DAY, stamp

CONFIG = Config.model_validate(yaml.safe_load((config_dir() / "site.demo.yaml").read_text()))


def test_the_grid_is_the_sum_of_everything_else() -> None:
    site = SimSite(CONFIG, DEMO, DAY + 17 * 3600)
    for second in range(17 * 3600, 17 * 3600 + 60):
        site.advance(stamp(second))
    physics = site.physics
    hour = (17 * 3600 + 59) / 3600
    expected_w = DEMO.building_w(hour) + physics.pv.power_w + physics.battery_meter.power_w + sum(site.ev_current_a()) * VOLTAGE_V
    assert physics.grid.power_w == pytest.approx(expected_w, abs=3 * 0.3 * VOLTAGE_V)  # the ripple of small loads
    assert physics.pv.power_w < 0
    assert physics.grid.import_wh > 0


def test_cars_come_and_go_by_the_timetable() -> None:
    site = SimSite(CONFIG, DEMO, DAY + 7 * 3600)
    told = [line for minute in range(7 * 60, 31 * 60) for line in site.advance(stamp(60.0 * minute))]
    assert len(site.gone) == len(DEMO.visits)
    assert any("van-06 arrives at B1/2" in line for line in told)
    assert site.plugged == []


def test_without_a_controller_the_cars_draw_more_than_the_fuse_carries() -> None:
    site = SimSite(CONFIG, DEMO, DAY + 17 * 3600)
    for second in range(17 * 3600, 17 * 3600 + 300, 5):
        site.advance(stamp(second))
    assert max(site.physics.grid.current_a) > CONFIG.grid.fuse_a


@pytest.mark.parametrize(
    ("others_w", "soc", "expected_w"),
    [
        (-5_000, 0.5, 5_000),
        (-50_000, 0.5, 20_000),
        (-5_000, 1.0, 0),
        (SHAVE_ABOVE_W - 1, 0.5, 0),
        (SHAVE_ABOVE_W + 8_000, 0.5, -8_000),
        (SHAVE_ABOVE_W + 80_000, 0.5, -20_000),
        (SHAVE_ABOVE_W + 8_000, 0.1, 0),
    ],
)
def test_the_battery_takes_surplus_and_shaves_peaks_within_its_means(others_w: float, soc: float, expected_w: float) -> None:
    battery = SimBattery(BatteryConfig(capacity_wh=40_000, max_charge_w=20_000, max_discharge_w=20_000), soc)
    assert battery.step(others_w, 5.0) == pytest.approx(expected_w)


def test_the_battery_never_leaves_its_bounds() -> None:
    battery = SimBattery(BatteryConfig(capacity_wh=4_000, max_charge_w=20_000, max_discharge_w=20_000), 0.5)
    for others_w in [-30_000] * 200 + [90_000] * 400:
        battery.step(others_w, 12.0)
        assert 399.9 <= battery.stored_wh <= 4_000.1


def test_needs_the_station_has_no_words_for_are_left_to_the_fleet_once() -> None:
    site = SimSite(CONFIG, DEMO, DAY + 16.3 * 3600)
    books = CsmsBooks()
    for name, station in site.stations.items():
        books.speaks(name, station.spec.subprotocol)
        relay(books, station, station.opened(stamp(16.3 * 3600)))
    found: dict[str, str] = {}
    for second in range(int(16.3 * 3600), int(17.3 * 3600), 10):
        site.advance(stamp(second))
        for station in site.stations.values():
            relay(books, station, station.tick(stamp(second)), second)
        for item in site.unspoken():
            assert item.car.spec.name not in found
            found[item.car.spec.name] = site.stations[item.arrival.station_id].spec.version
            site.stated(item)
    assert found == {"staff-2": "1.6", "van-05": "1.6", "van-08": "1.6"}, "bus-11 and the others can say it, the visitor has nothing to say"


def relay(books: CsmsBooks, station: SimStation, texts: list[str], second: float = 16.3 * 3600) -> None:
    """The station and the CSMS talk until neither has more to say."""
    for text in texts:
        for answer in books.handle(station.spec.id, stamp(second), text):
            relay(books, station, station.handle_frame(stamp(second), answer), second)
