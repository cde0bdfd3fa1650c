"""What was added for meters, signals, devices and feeds, in a real Chromium: compliance record, meters, series, power flow."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from controller.io.compliance import Line
from controller.snapshot import BoundView, DeviceView, MeterView, SeriesView, SignalView
from tests.support.picture import NOW_WALL_S
from tests.support.served_picture import ServedPicture, browsing, opened

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

HELD = SignalView("dso", "mqtt", "grid", True, "limited", 26_880.0, NOW_WALL_S + 900.0, None, None, 3.0, True, 26_220.0)
BATTERY = DeviceView("battery", "battery", "confirmed", -8000.0, -8000.0, -8000.0, None, "plan: discharges")
ROOF = DeviceView("roof", "inverter", "confirmed", 3980.0, 4100.0, 4100.0, None, "limit (dso)")


class Shelf:
    """A compliance record of some lines; which questions were asked."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.asked: list[int] = []

    async def query(self, source: str | None, since_wall_s: float, until_wall_s: float, after: int = 0, most: int = 1000) -> list[Line]:
        """All of them."""
        return self.lines

    async def changes(self, source: str | None, since_wall_s: float, until_wall_s: float, most: int) -> list[Line]:
        """The newest."""
        self.asked.append(most)
        return self.lines[-most:]


class Site(ServedPicture):
    """One with a record."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.shell.record = self.shelf = Shelf()


@pytest_asyncio.fixture(loop_scope="module")
async def site(free_port: int) -> AsyncIterator[Site]:
    served = Site(free_port)
    await served.shell.start()
    yield served
    await served.shell.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with browsing(chromium) as started:
        yield started


async def test_the_record_is_shown_newest_first_and_follows(browser: Browser, site: Site) -> None:
    site.changes = {"signals": (HELD,)}
    page, complaints = await opened(browser, site)
    await expect(page.locator("#record-empty")).to_be_visible()
    site.shelf.lines = [
        Line(1, NOW_WALL_S - 60.0, "dso", "consumption", "grid", "received", 26_880.0, 51_000.0, "section 14a"),
        Line(7, NOW_WALL_S - 50.0, "dso", "consumption", "grid", "obeyed", 26_880.0, 26_220.0, "first at or below it 6.0 s after it came into force"),
    ]
    site.changes = {"signals": (HELD,), "bounds": (BoundView("loads", "dso", "grid", 20_000.0, "in_force"),)}
    rows = page.locator("#record > li")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("obeyed")
    await expect(rows.nth(0)).to_contain_text("consumption 26.9\u202fkW, measured 26.2\u202fkW, first at or below it 6.0 s after it came into force")
    await expect(rows.nth(1)).to_contain_text("section 14a")
    await expect(page.locator('#signals-card a[href="/api/v1/compliance.csv"]')).to_have_text("last 7 days as CSV")
    assert set(site.shelf.asked) == {20}
    assert complaints == []
    await page.close()


async def test_meters_say_how_good_they_are_and_are_not_listed_twice(browser: Browser, site: Site) -> None:
    good = MeterView("grid", "grid", "good", "suspect", 0.4, 19_250.0, (30.5, 28.0, 25.0), 900, 3, 1)
    lost = MeterView("roof", "pv", "lost", "bad", 75.0, None, (None, None, None), 10, 9, 4, "phase sum does not fit the total")
    site.changes = {"meters": (good, lost)}
    page, complaints = await opened(browser, site, 390)
    rows = page.locator("#meters > li")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_have_attribute("data-health", "late")
    await expect(rows.nth(0)).to_contain_text("grid connection \u00b7 3 of 900 readings not believed \u00b7 1 polls without an answer")
    await expect(rows.nth(0)).to_contain_text("good, reading suspect")
    await expect(rows.nth(1)).to_contain_text("lost, reading bad, phase sum does not fit the total")
    await expect(page.locator("#meters-note")).to_have_text("1 of 2 in trouble")
    await expect(page.locator("#sources > li")).to_have_count(1)  # the CSMS; the meter has its card
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []
    await page.close()


async def test_prices_and_forecasts_say_where_they_come_from_and_how_far_they_reach(browser: Browser, site: Site) -> None:
    buy = SeriesView("buy", "energy_charts", NOW_WALL_S + 3600.0, 0.1234)
    sun = SeriesView("pv", "weather", None, None, "no answer for 2 h: what was measured on the days before holds")
    site.changes = {"series": (buy, sun)}
    page, complaints = await opened(browser, site)
    rows = page.locator("#series > li")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("0.123\u202fEUR/kWh")
    await expect(rows.nth(0)).to_contain_text("until 02:00")  # Europe/Berlin
    await expect(rows.nth(1)).to_contain_text("no answer for 2 h")
    await expect(rows.nth(1)).to_contain_text("nothing is known")
    assert complaints == []
    await page.close()


async def test_what_is_commanded_says_which_way_and_why(browser: Browser, site: Site) -> None:
    other = DeviceView("west", "inverter", "other", 2000.0, 1500.0, 9000.0, None, "feed-in limit", "something else commands it")
    site.changes = {"devices": (BATTERY, ROOF, other)}
    page, complaints = await opened(browser, site)
    rows = page.locator("#devices > li")
    await expect(rows.nth(0)).to_contain_text("discharging 8.0\u202fkWwanted discharging 8.0\u202fkW")
    await expect(rows.nth(0)).to_contain_text("plan: discharges")
    await expect(rows.nth(1)).to_contain_text("wanted at most 4.1\u202fkW")
    await expect(rows.nth(1)).to_contain_text("limit (dso)")
    await expect(rows.nth(2)).to_have_attribute("data-health", "late")
    await expect(rows.nth(2)).to_contain_text("wanted at most 1.5\u202fkW, in force 9.0\u202fkW")
    await expect(rows.nth(2)).to_contain_text("left to something else: something else commands it")
    await expect(page.locator("#devices-note")).to_have_text("2 of 3 commanded")
    assert complaints == []
    await page.close()


async def test_the_power_flow_says_when_the_sun_is_held_down(browser: Browser, site: Site) -> None:
    page, complaints = await opened(browser, site)
    word = page.locator(".place-pv .place-word")
    await expect(word).to_have_text("producing")
    site.changes = {"devices": (ROOF, BATTERY)}
    await expect(word).to_have_text("held to 4.1\u202fkW")
    site.changes = {"devices": (dataclasses.replace(ROOF, wanted_w=9000.0), BATTERY)}  # it could make more and does not
    await expect(word).to_have_text("producing")
    assert complaints == []
    await page.close()
