"""Prices in a site file: what another unit or currency explains is refused, what a country really pays is not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controller.checking.cautions import warnings_about
from controller.checking.prices import price_cautions, price_problems
from controller.checking.rules import Site, cross_problems
from controller.config import Config
from tests.support.site_story import depot

BATTERY = {"capacity_wh": 40_000, "max_charge_w": 10_000, "max_discharge_w": 10_000}


def site(currency: str, price: float, **more: Any) -> Config:
    tariff = {"currency": currency, "buy": [{"start": "00:00", "price_per_kwh": price}], "sell_per_kwh": 0.0, **more.pop("tariff", {})}
    return depot(1, tariff=tariff, **more)


@pytest.mark.parametrize(
    ("currency", "price"),
    [
        ("EUR", 0.3),
        ("EUR", -0.2),
        ("EUR", 10.0),
        ("HUF", 38.0),
        ("HUF", -12.0),
        ("JPY", 31.0),
        ("CZK", 6.5),
        ("KRW", 160.0),
        ("NOK", 12.0),
        ("IDR", 1700.0),
    ],
)
def test_what_people_pay_passes(currency: str, price: float) -> None:
    config = site(currency, price)
    assert list(price_problems(config)) == []
    assert list(price_cautions(config)) == []


@pytest.mark.parametrize(
    ("currency", "price"), [("EUR", 95.0), ("EUR", 30.0), ("EUR", -50.0), ("GBP", 28.0), ("HUF", 38_000.0), ("JPY", 31_000.0), ("CZK", 2500.0)]
)
def test_per_mwh_and_cents_are_refused_with_the_place(currency: str, price: float) -> None:
    (problem,) = price_problems(site(currency, price))
    assert problem.where == ("tariff", "buy", 0, "price_per_kwh")
    assert f"{price:g} {currency} per kWh cannot be right" in problem.message
    assert "not per MWh, and not in cents" in problem.message
    assert problem in cross_problems(Site(site(currency, price)))


def test_every_amount_has_a_bound_of_its_own() -> None:
    v2g = {"v2g": {"max_discharge_w": 5000, "wear_per_kwh": 11}}
    feed = {"type": "energy_charts"}
    tariff = {
        "sell": [{"start": "00:00", "price_per_kwh": -11}],
        "sell_per_kwh": 12,
        "seasons": [{"buy": [{"start": "00:00", "price_per_kwh": 13}]}],
        "market": {"feed": feed, "plus_per_kwh": 14},
        "sell_market": {"feed": feed, "plus_per_kwh": -15},
        "demand_per_kw": 1001,
        "co2_per_kg": 11,
        "missing_per_kwh": 1001,
    }
    config = site("EUR", 0.3, tariff=tariff, evse=v2g, battery=BATTERY | {"wear_per_kwh": 12})
    assert len(list(price_problems(config))) == 10
    assert list(price_problems(config.model_copy(update={"tariff": config.tariff.model_copy(update={"currency": "HUF"})}))) == []


def test_no_currency_makes_this_a_price() -> None:
    for price in (1e8, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            site("HUF", price)


def test_defaults_and_prices_of_another_currency_are_pointed_out() -> None:
    config = depot(1, tariff={"currency": "HUF"}, battery=BATTERY, evse={"v2g": {"max_discharge_w": 5000}})
    told = {problem.path: problem.message for problem in warnings_about(Site(config))}
    assert "no price is above 0.3 HUF per kWh, hardly anything" in told["tariff.buy"]
    for path in ("tariff.sell_per_kwh", "battery.wear_per_kwh", "stations.0.evses.0.v2g.wear_per_kwh"):
        assert "meant for euros" in told[path]
    assert list(price_cautions(site("HUF", 0.0))) == []  # free is free


def test_the_size_of_a_euro_is_told_nothing() -> None:
    assert list(price_cautions(depot(1, battery=BATTERY))) == []
