"""Prices, CO2 and forecasts from outside in ``site.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from controller.config_base import MOST_MONEY, HttpAccess, Model


class FeedModel(Model):
    """What all feeds share."""

    every_s: float = Field(default=900.0, ge=5, le=86_400, description="Time between two looks [s]; new prices are usually there once a day.")


class FileFeed(FeedModel):
    """A CSV or JSON file: start and value, start, end and value, or what a feed below answered."""

    type: Literal["file"] = Field(description="A file on this machine.")
    path: Path = Field(description="CSV (start,value or start,end,value; ISO 8601 with zone) or JSON.")
    scale: float = Field(default=1.0, description="Value in currency/kWh, kg/kWh or W per unit of the file.")


class MqttFeed(Model):
    """A retained topic: {"slots": [{"start": "2026-11-20T00:00:00Z", "end": ..., "value": 0.21}]}."""

    type: Literal["mqtt"] = Field(description="A topic of the site's broker.")
    topic: str = Field(min_length=1, max_length=255, description="The topic.")
    scale: float = Field(default=1.0, description="Value in currency/kWh, kg/kWh or W per unit of the payload.")


class HttpFeed(FeedModel, HttpAccess):
    """A JSON list somewhere on the web or on the site's network."""

    type: Literal["http"] = Field(description="JSON over HTTP.")
    items: str = Field(default="", max_length=200, description="Path of the list in the answer; default: the answer itself.")
    start: str = Field(default="start", max_length=100, description="Key of a slot's begin: ISO 8601, or Unix seconds or milliseconds.")
    end: str | None = Field(default=None, max_length=100, description="Key of its end; default: the next slot's begin.")
    value: str = Field(default="value", max_length=100, description="Key of its value.")
    scale: float = Field(default=1.0, description="Value in currency/kWh, kg/kWh or W per unit of the answer.")


class AwattarFeed(FeedModel):
    """aWATTar (Germany, Austria)."""

    type: Literal["awattar"] = Field(description="aWATTar's public feed.")
    url: str = Field(
        default="https://api.awattar.de/v1/marketdata",
        pattern=r"^https?://\S+$",
        description="Address; Austria: https://api.awattar.at/v1/marketdata.",
    )


class TibberFeed(FeedModel):
    """Tibber: the customer's own prices, taxes included."""

    type: Literal["tibber"] = Field(description="Tibber's API.")
    url: str = Field(default="https://api.tibber.com/v1-beta/gql", pattern=r"^https?://\S+$", description="Address.")
    token: SecretStr | None = Field(default=None, description="Personal access token.")
    token_file: Path | None = Field(default=None, description="File that holds it instead.")
    home: str | None = Field(default=None, max_length=64, description="Id of the home; default: the first one with a contract.")


class NordPoolFeed(FeedModel):
    """Nord Pool day-ahead."""

    type: Literal["nordpool"] = Field(description="Nord Pool's data portal.")
    url: str = Field(default="https://dataportal-api.nordpoolgroup.com/api/DayAheadPrices", pattern=r"^https?://\S+$", description="Address.")
    area: str = Field(min_length=2, max_length=10, description="Delivery area, e.g. GER, NL, SE3.")


class EnergyChartsFeed(FeedModel):
    """Energy-Charts day-ahead."""

    type: Literal["energy_charts"] = Field(description="Energy-Charts of Fraunhofer ISE.")
    url: str = Field(default="https://api.energy-charts.info/price", pattern=r"^https?://\S+$", description="Address.")
    zone: str = Field(default="DE-LU", min_length=2, max_length=20, description="Bidding zone.")


class EntsoeFeed(FeedModel):
    """ENTSO-E transparency platform, day-ahead prices (A44)."""

    type: Literal["entsoe"] = Field(description="The ENTSO-E transparency platform.")
    url: str = Field(default="https://web-api.tp.entsoe.eu/api", pattern=r"^https?://\S+$", description="Address.")
    domain: str = Field(min_length=16, max_length=18, description="EIC code of the bidding zone, e.g. 10Y1001A1001A82H.")
    token: SecretStr | None = Field(default=None, description="Security token.")
    token_file: Path | None = Field(default=None, description="File that holds it instead.")


PriceFeed = Annotated[
    FileFeed | MqttFeed | HttpFeed | AwattarFeed | TibberFeed | NordPoolFeed | EnergyChartsFeed | EntsoeFeed, Field(discriminator="type")
]
PlainFeed = Annotated[FileFeed | MqttFeed | HttpFeed, Field(discriminator="type")]


class MarketConfig(Model):
    """Prices that change by the hour or quarter of an hour. Where they have gaps, the prices of the tariff's windows hold."""

    feed: PriceFeed = Field(description="Where the prices come from.")
    plus_per_kwh: float = Field(default=0.0, ge=-MOST_MONEY, le=MOST_MONEY, description="Fees, levies and margin on top [currency/kWh].")
    plus_percent: float = Field(default=0.0, ge=-100, le=1000, description="Tax and margin on the price and on plus_per_kwh [%].")


class PvPlantConfig(Model):
    """One PV plant, for a forecast from the position of the sun, corrected by what is measured."""

    latitude: float = Field(ge=-90, le=90, description="Latitude, north positive [degrees].")
    longitude: float = Field(ge=-180, le=180, description="Longitude, east positive [degrees].")
    peak_w: float = Field(gt=0, le=1e9, description="Rated power of its modules [W].")
    tilt_degrees: float = Field(default=30.0, ge=0, le=90, description="Tilt of the modules, 0 = flat [degrees].")
    azimuth_degrees: float = Field(default=180.0, ge=0, le=360, description="Where they look, 180 = south [degrees].")
    inverter_w: float | None = Field(default=None, gt=0, description="Most the inverter gives [W]; default: peak_w.")
    losses_percent: float = Field(default=14.0, ge=0, le=90, description="Losses of all kinds [%].")
    altitude_m: float = Field(default=200.0, ge=-500, le=6000, description="Height above the sea [m].")
