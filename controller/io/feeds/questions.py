"""What each feed of the site file is asked, and how its answers are read. Pure: the moment is handed in.

Day-ahead markets think in days of their own clock (``MARKET_ZONE``): today and tomorrow are asked for, whatever the site's clock says.
Tokens are in headers or, where the feed wants it so, in parameters: a question is never logged.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from controller.config_base import HttpAccess
from controller.config_prices import AwattarFeed, EnergyChartsFeed, EntsoeFeed, HttpFeed, NordPoolFeed, TibberFeed
from signals.prices import awattar, energy_charts, entsoe, nordpool, plain, tibber
from signals.prices.moments import local_days
from signals.prices.slots import PriceError, Slots, layered, plausible

WebFeed = HttpFeed | AwattarFeed | TibberFeed | NordPoolFeed | EnergyChartsFeed | EntsoeFeed
DayAhead = (AwattarFeed, TibberFeed, NordPoolFeed, EnergyChartsFeed, EntsoeFeed)
MARKET_ZONE: Final = ZoneInfo("Europe/Brussels")
"""The clock of the European day-ahead market: its days begin at midnight of Central European time."""


@dataclass(frozen=True, slots=True)
class Question:
    """One HTTP request. missing: statuses that mean "nothing there yet". told_with: statuses whose body is an answer all the same.

    empty: whether an empty body means "nothing there yet", too; else it is no answer.
    """

    url: str = field(repr=False)
    params: dict[str, str] = field(default_factory=dict, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    missing: tuple[int, ...] = (204,)
    told_with: tuple[int, ...] = ()
    empty: bool = False

    @property
    def host(self) -> str:
        """Whom it goes to, for messages."""
        return urlsplit(self.url).hostname or "the server"


def questions(feed: WebFeed, currency: str, wall_s: float) -> tuple[Question, ...]:
    """What is asked at a moment. Raises PriceError for a feed that lacks its token."""
    days = local_days(wall_s, MARKET_ZONE, (0, 1))
    begin, end = days[0][0], days[1][1]
    if isinstance(feed, AwattarFeed):
        return (Question(feed.url, {"start": f"{begin.timestamp() * 1000:.0f}", "end": f"{end.timestamp() * 1000:.0f}"}),)
    if isinstance(feed, NordPoolFeed):
        asked = {"market": "DayAhead", "deliveryArea": feed.area, "currency": currency}
        return tuple(Question(feed.url, {"date": f"{day:%Y-%m-%d}", **asked}, empty=True) for day, _ in days)
    if isinstance(feed, EnergyChartsFeed):
        params = {"bzn": feed.zone, "start": f"{begin:%Y-%m-%d}", "end": f"{days[1][0]:%Y-%m-%d}"}
        return (Question(feed.url, params, missing=(204, 404)),)
    if isinstance(feed, EntsoeFeed):
        params = {"documentType": "A44", "in_Domain": feed.domain, "out_Domain": feed.domain, "periodStart": _utc(begin), "periodEnd": _utc(end)}
        return (Question(feed.url, {"securityToken": _token(feed.token), **params}, told_with=(400,)),)
    if isinstance(feed, TibberFeed):
        headers = {"Authorization": f"Bearer {_token(feed.token)}", "Content-Type": "application/json"}
        return (Question(feed.url, {}, headers, tibber.request_body(), told_with=(400,)),)
    return (Question(feed.url, {}, _credentials(feed)),)


def read(feed: WebFeed, bodies: Sequence[bytes], currency: str, timezone: str) -> Slots:
    """The answers to all questions as one series; a later one holds where they overlap. Raises PriceError."""
    return layered(reversed([_read(feed, body, currency, ZoneInfo(timezone)) for body in bodies]))


def _read(feed: WebFeed, body: bytes, currency: str, zone: ZoneInfo) -> Slots:
    if not body:
        return ()
    if isinstance(feed, HttpFeed):
        return plain.decode_json(body, feed.items, plain.Keys(feed.start, feed.end, feed.value), feed.scale, zone)
    if isinstance(feed, AwattarFeed):
        return awattar.decode(body, currency)
    if isinstance(feed, NordPoolFeed):
        return nordpool.decode(body, feed.area, currency)
    if isinstance(feed, EnergyChartsFeed):
        return energy_charts.decode(body, currency)
    if isinstance(feed, EntsoeFeed):
        return entsoe.decode(body, currency)
    return tibber.decode(body, feed.home, currency)


def judged(slots: Slots, prices: bool, currency: str) -> Slots:
    """What came through a plain feed, judged as what it is said to be: prices per kWh, or powers and CO2, which are never negative."""
    if prices:
        return plausible(slots, currency)
    below = next((slot for slot in slots if slot.value < 0.0), None)
    if below is not None:
        raise PriceError(f"there is a value of {below.value:g}; only prices may be below 0")
    return slots


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%d%H%M}"


def _token(secret: SecretStr | None) -> str:
    if secret is None:
        raise PriceError("there is no token, or its file cannot be read; give token_file")
    return secret.get_secret_value()


def _credentials(access: HttpAccess) -> dict[str, str]:
    """Headers that say who asks."""
    if access.token is not None or access.token_file is not None:
        return {"Authorization": f"Bearer {_token(access.token)}"}
    if access.username is None:
        return {}
    if access.password is None:
        raise PriceError("there is a user name but no password, or its file cannot be read; give password_file")
    pair = f"{access.username}:{access.password.get_secret_value()}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def tomorrow_ends(wall_s: float) -> float:
    """The end of tomorrow on the market's clock [wall s]."""
    return local_days(wall_s, MARKET_ZONE, (1,))[0][1].timestamp()


def published(wall_s: float, minute_of_day: int = 12 * 60 + 57) -> float:
    """When the market of this day publishes, on its clock: shortly before 13:00 [wall s]."""
    day, _ = local_days(wall_s, MARKET_ZONE, (0,))[0]
    return (day + timedelta(minutes=minute_of_day)).timestamp()
