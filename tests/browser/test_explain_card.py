"""The card "What the limits cost" in a real Chromium against a real ApiShell."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.snapshot import ExplainView, Snapshot
from tests.support.explained_story import told
from tests.support.picture import NOW_WALL_S, picture, site_config

pytestmark = pytest.mark.browser


class Site:
    """An ApiShell whose picture tells what ``view`` says."""

    def __init__(self) -> None:
        self.view: ExplainView | None = told()
        self.clock = VirtualClock(NOW_WALL_S)
        self.shell = ApiShell(site_config(port=0), self.clock, lambda fact: None, self.look, period_s=0.05)

    def look(self) -> Snapshot:
        self.clock.advance(0.05)
        return dataclasses.replace(picture(explain=self.view), now_wall_s=self.clock.stamp().wall_s)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    served = Site()
    await served.shell.start()
    yield served
    await served.shell.stop()


async def opened(browser: Browser, site: Site, width: int, scheme: str) -> tuple[Page, list[str]]:
    page = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"http://127.0.0.1:{site.shell.port}")
    await expect(page.locator("body")).to_have_attribute("data-phase", "ready", timeout=20_000)
    return page, complaints


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
async def test_it_tells_what_held_cars_back(browser: Browser, site: Site, width: int, scheme: str) -> None:
    page, complaints = await opened(browser, site, width, scheme)
    card = page.locator("#explain-card")
    await expect(card.locator("#explain-said li").first).to_contain_text("Circuit hall held cars back for 15.5 h")
    hall = card.locator(".effect").nth(1)
    await expect(hall).to_contain_text("15\u202fh 30\u202fmin")
    await expect(hall).to_contain_text("€41.00")
    await expect(hall).to_contain_text("10\u202fA: €12.00")
    assert await hall.locator("svg .effect-bar").count() == 10  # working days of two weeks
    assert "2026-01-01 2\u202fh 30\u202fmin" in str(await hall.locator("svg").get_attribute("aria-label"))
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert complaints == []


async def test_it_follows_the_feed_and_hides_without_plans(browser: Browser, site: Site) -> None:
    page, complaints = await opened(browser, site, 1440, "light")
    card = page.locator("#explain-card")
    await expect(card).to_be_visible()
    assert site.view is not None
    hostile = dataclasses.replace(site.view.limits[1], name="Circuit <img src=x onerror=alert(1)>")
    site.view = dataclasses.replace(site.view, sentences=("All is <b>well</b>.",), limits=(hostile,))
    await expect(card.locator("#explain-said li")).to_have_text(["All is <b>well</b>."])
    await expect(card.locator("#effects b").first).to_have_text("Circuit <img src=x onerror=alert(1)>")
    site.view = None
    await expect(card).to_be_hidden()
    assert complaints == []
