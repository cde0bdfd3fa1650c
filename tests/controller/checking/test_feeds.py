"""What check-config says about feeds of prices and forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.checking.feeds import feed_cautions, feed_problems
from controller.config import Config

HTTP = {"type": "http", "url": "http://127.0.0.1:9/"}


def config(tariff: dict[str, Any] | None = None, forecast: dict[str, Any] | None = None, **parts: Any) -> Config:
    base = {"site": {"id": "depot"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}}
    return Config.model_validate({**base, "tariff": tariff or {}, "forecast": forecast or {}, **parts})


@pytest.mark.parametrize(
    ("site", "place", "hint"),
    [
        (config({"market": {"feed": {"type": "mqtt", "topic": "prices"}}}), "tariff.market.feed.type", "block mqtt"),
        (config(forecast={"pv_feed": {"type": "mqtt", "topic": "sun/#"}}, mqtt={"host": "b"}), "forecast.pv_feed.topic", "wildcard"),
        (config({"market": {"feed": {"type": "tibber"}}}), "tariff.market.feed.token_file", "without a token"),
        (
            config({"sell_market": {"feed": {"type": "entsoe", "domain": "10Y1001A1001A82H"}}}),
            "tariff.sell_market.feed.token_file",
            "without a token",
        ),
        (config({"co2_feed": {**HTTP, "username": "us"}}), "tariff.co2_feed.password_file", "no password"),
        (config({"currency": "CHF", "market": {"feed": {"type": "awattar"}}}), "tariff.market.feed.type", "tells EUR"),
    ],
)
def test_what_cannot_work(site: Config, place: str, hint: str) -> None:
    (found,) = feed_problems(site)
    assert ".".join(map(str, found.where)) == place
    assert hint in found.message


def test_what_can_work() -> None:
    feeds = {"market": {"feed": {"type": "energy_charts"}}, "co2_feed": HTTP, "co2_per_kg": 0.1}
    assert list(feed_problems(config(feeds, {"load_feed": HTTP}))) == []


@pytest.mark.parametrize(
    ("site", "hint"),
    [
        (config({"buy": [{"start": "00:00", "price_per_kwh": 0.2}], "market": {"feed": {"type": "energy_charts"}}}), "without fees"),
        (config({"market": {"feed": HTTP}}), "0.30 all day"),
        (config({"co2_feed": HTTP}), "counts for nothing"),
        (
            config({"market": {"feed": {"type": "file", "path": "/nonexistent.csv"}}, "buy": [{"start": "00:00", "price_per_kwh": 0.2}]}),
            "not there yet",
        ),
        (config(forecast={"pv_plants": [{"latitude": 52, "longitude": 13, "peak_w": 1}]}), "role pv"),
    ],
)
def test_what_to_look_at_twice(site: Config, hint: str) -> None:
    assert any(hint in found.message for found in feed_cautions(site))


def test_places_in_the_sea(tmp_path: Path) -> None:
    meters = [{"id": "sun", "role": "pv", "source": {"type": "mqtt", "topic": "sun"}}]
    found = list(feed_cautions(config(forecast={"pv_plants": [{"latitude": 0, "longitude": 0, "peak_w": 1}]}, meters=meters)))
    assert [one.where for one in found] == [("forecast", "pv_plants", 0, "latitude")]
