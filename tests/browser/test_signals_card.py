"""The sources of limits on the page, in a real Chromium: states, countdown, what is measured, the record."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.snapshot import SignalView, Snapshot
from tests.support.picture import NOW_WALL_S, picture, site_config

pytestmark = pytest.mark.browser

HELD = SignalView("dso", "eebus", "grid", True, "limited", 4200.0, NOW_WALL_S + 900.0, None, None, 3.0, True, 3900.0)
SILENT = SignalView("fleet", "mqtt", "hall", False, "failsafe", 7000.0, None, 0.0, None, 200.0, False, None, "", "silent for 200 s")


class Site:
    """An ApiShell with a picture that a test may change."""

    def __init__(self, port: int) -> None:
        self.signals: tuple[SignalView, ...] = ()
        self.clock = VirtualClock(NOW_WALL_S)
        self.url = f"http://127.0.0.1:{port}"
        self.shell = ApiShell(site_config(port=port), self.clock, lambda fact: None, self.look, period_s=0.05)

    def look(self) -> Snapshot:
        """The site now."""
        self.clock.advance(0.05)
        made = picture()
        return dataclasses.replace(made, now_wall_s=self.clock.stamp().wall_s, site=dataclasses.replace(made.site, signals=self.signals))


@pytest.fixture
async def site(free_port: int) -> AsyncIterator[Site]:
    served = Site(free_port)
    await served.shell.start()
    yield served
    await served.shell.stop()


async def test_sources_are_shown_and_follow(site: Site, browser: Browser) -> None:
    page = await browser.new_page()
    expect.set_options(timeout=20_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(site.url)
    await expect(page.locator("body")).to_have_attribute("data-phase", "ready")
    await expect(page.locator("#signals-part")).to_be_hidden()
    site.signals = (HELD, SILENT)
    await expect(page.locator("#signals-part")).to_be_visible()
    rows = page.locator("#signals > li")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("dso")
    await expect(rows.nth(0)).to_contain_text("EEBUS")
    await expect(rows.nth(0)).to_contain_text("controllable loads of the whole site")
    await expect(rows.nth(0)).to_contain_text("4.2 kW")
    await expect(rows.nth(0)).to_contain_text("measured 3.9 kW")
    await expect(rows.nth(0)).to_contain_text("until")
    await expect(rows.nth(0).locator(".tag")).to_be_visible()
    await expect(rows.nth(1)).to_have_attribute("data-health", "lost")
    await expect(rows.nth(1)).to_contain_text("silent for 200 s")
    await expect(rows.nth(1)).to_contain_text("feed-in")
    await expect(page.locator('#signals-card a[href="/api/v1/compliance.csv"]')).to_have_count(1)
    site.signals = (dataclasses.replace(HELD, state="unlimited", limit_w=None, binds=False),)
    await expect(rows).to_have_count(1)
    await expect(rows.nth(0)).to_contain_text("no limit")
    assert complaints == []
