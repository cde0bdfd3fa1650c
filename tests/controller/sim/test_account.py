"""Money and fuse of a simulated day are what the simulated meter showed."""

from __future__ import annotations

import pytest

from controller.config import PriceWindow, TariffConfig
from controller.sim.account import Account, buy_price, demand_cost, mean_price
from controller.sim.car import Car
from controller.sim.scenario import Arrival
from controller.sim.site import Plugged
from tests.controller.sim.kit import DAY, car
from tests.controller.sim.test_site import CONFIG

TARIFF = TariffConfig(
    buy=(PriceWindow(start="06:00", price_per_kwh=0.30), PriceWindow(start="22:00", price_per_kwh=0.10)),
    sell_per_kwh=0.05,
    demand_per_kw=30.0,
    demand_window_days=30,
)
ACCOUNT_CONFIG = CONFIG.model_copy(update={"tariff": TARIFF})


@pytest.mark.parametrize(("hour", "price"), [(0, 0.10), (5.99, 0.10), (6, 0.30), (21.99, 0.30), (22, 0.10), (30, 0.30)])
def test_a_price_holds_until_the_next_also_around_midnight(hour: float, price: float) -> None:
    assert buy_price(TARIFF, DAY + 3600 * hour) == price


def test_mean_price_and_demand_charge() -> None:
    assert mean_price(TARIFF) == pytest.approx((16 * 0.30 + 8 * 0.10) / 24)
    assert demand_cost(TARIFF, 50_000) == pytest.approx(50.0)


def test_import_is_paid_export_is_sold_peaks_are_quarter_hours() -> None:
    account = Account(ACCOUNT_CONFIG, "x")
    midday = DAY + 12 * 3600
    for step in range(1, 361):  # half an hour: 40 A, then -20 A per phase
        amps = 40.0 if step <= 180 else -20.0
        account.add(midday + 5.0 * step, 5.0, (amps, amps, amps), (0.0, 0.0, 0.0))
    outcome = account.close([], 0.0)
    bought, sold = 40 * 0.69 * 0.25, 20 * 0.69 * 0.25
    assert outcome.energy_cost == pytest.approx(bought * 0.30 - sold * 0.05)
    assert outcome.peak_w == pytest.approx(40 * 690)
    assert outcome.demand_cost == pytest.approx(40 * 0.69)


def test_time_over_the_fuse_counts_the_worst_phase() -> None:
    account = Account(ACCOUNT_CONFIG, "x")
    account.add(DAY + 5, 5.0, (126.0, 10.0, 10.0), (0.0, 0.0, 0.0))
    account.add(DAY + 10, 5.0, (125.0, 125.0, 125.0), (0.0, 0.0, 0.0))
    outcome = account.close([], 0.0)
    assert (outcome.worst_a, outcome.over_fuse_s) == (126.0, 5.0)


def test_cars_that_left_short_are_named_and_the_battery_is_settled() -> None:
    content, short = Car(car(name="ok", need_wh=1000.0)), Car(car(name="short", need_wh=1000.0))
    content.charged_wh, short.charged_wh = 1000.0, 600.0
    gone = [Plugged(Arrival("A1", 1, subject.spec), subject) for subject in (content, short)]
    outcome = Account(ACCOUNT_CONFIG, "x").close(gone, 2000.0)
    assert outcome.short == ("short 0.4 kWh",)
    assert outcome.delivered_percent == pytest.approx(80.0)
    assert outcome.energy_cost == pytest.approx(-2.0 * mean_price(TARIFF))


def test_what_cars_gave_back_is_no_delivery_and_wears_their_batteries() -> None:
    """10 kWh wanted and charged, 2 kWh of it given back: 2 / 0.92 / 0.92 kWh are missing again, and 2 kWh at 0.08 are worn."""
    bus = Car(car(name="bus", need_wh=10_000.0))
    bus.charged_wh, bus.given_wh = 10_000.0, 2_000.0
    outcome = Account(ACCOUNT_CONFIG, "x").close([Plugged(Arrival("Y1", 1, bus.spec), bus)], 0.0)
    assert outcome.delivered_wh == pytest.approx(10_000.0 - 2_000.0 / 0.92**2)
    assert (outcome.given_wh, outcome.wear_cost) == (2_000.0, pytest.approx(0.16))
    assert outcome.cost == pytest.approx(0.16)
