"""What can be wrong, or worth a second look, about feeds of prices and forecasts."""

from __future__ import annotations

from collections.abc import Iterator

from controller.checking.prices import price_cautions
from controller.checking.problems import Problem, Where
from controller.config import Config, TariffConfig
from controller.config_prices import AwattarFeed, EnergyChartsFeed, EntsoeFeed, FileFeed, HttpFeed, MqttFeed, NordPoolFeed, TibberFeed

PLACES: dict[str, Where] = {
    "market": ("tariff", "market", "feed"),
    "sell_market": ("tariff", "sell_market", "feed"),
    "co2_feed": ("tariff", "co2_feed"),
    "pv_feed": ("forecast", "pv_feed"),
    "load_feed": ("forecast", "load_feed"),
}
EXCHANGES = (AwattarFeed, NordPoolFeed, EnergyChartsFeed, EntsoeFeed)
EUROS = (AwattarFeed, EnergyChartsFeed)


def feed_problems(config: Config) -> Iterator[Problem]:
    """What cannot work."""
    for key, feed in config.feeds().items():
        where = PLACES[key]
        if isinstance(feed, MqttFeed) and config.mqtt is None:
            yield Problem((*where, "type"), "an MQTT feed needs the broker: add the block mqtt")
        if isinstance(feed, MqttFeed) and any(sign in feed.topic for sign in "+#"):
            yield Problem((*where, "topic"), f"{feed.topic!r} has a wildcard; a feed has one topic")
        if isinstance(feed, TibberFeed | EntsoeFeed) and feed.token is None and feed.token_file is None:
            yield Problem((*where, "token_file"), f"{feed.type} answers nobody without a token; give token_file")
        if isinstance(feed, HttpFeed) and feed.username is not None and feed.password is None and feed.password_file is None:
            yield Problem((*where, "password_file"), "there is a username and no password; give password_file")
        if isinstance(feed, EUROS) and config.tariff.currency != "EUR":
            message = f"{feed.type} tells EUR, the tariff is in {config.tariff.currency}; choose another feed or tariff.currency"
            yield Problem((*where, "type"), message)


def feed_cautions(config: Config) -> Iterator[Problem]:
    """What somebody should look at twice."""
    yield from price_cautions(config)
    tariff = config.tariff
    for key, feed in config.feeds().items():
        if isinstance(feed, FileFeed) and not feed.path.exists():
            yield Problem((*PLACES[key], "path"), f"{feed.path} is not there yet; until then what stands in the site file holds")
    market = tariff.market
    if market is not None and isinstance(market.feed, EXCHANGES) and market.plus_per_kwh == 0 and market.plus_percent == 0:
        message = f"{market.feed.type} tells prices of the exchange, without fees and tax; plus_per_kwh and plus_percent add them"
        yield Problem(("tariff", "market"), message)
    if market is not None and tariff.buy == TariffConfig().buy:
        yield Problem(("tariff", "buy"), "while the market tells nothing, tariff.buy holds, and it is not set: 0.30 all day is assumed")
    if tariff.co2_feed is not None and tariff.co2_per_kg == 0:
        yield Problem(("tariff", "co2_feed"), "CO2 counts for nothing while tariff.co2_per_kg is 0")
    for number, plant in enumerate(config.forecast.pv_plants):
        place = ("forecast", "pv_plants", number)
        if not any(meter.role == "pv" for meter in config.meters):
            yield Problem(place, "no meter of role pv: nothing corrects the forecast, and it stays as rough as the weather")
        if abs(plant.latitude) < 1 and abs(plant.longitude) < 1:
            yield Problem((*place, "latitude"), "this place is in the sea off Africa; right?")
