"""The page of a pictured site in a real Chromium: the site's API with a picture that a test may change."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, async_playwright, expect

from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.snapshot import SiteView, Snapshot
from tests.support.picture import NOW_WALL_S, picture, site_config

WAIT_MS = 20_000


class ServedPicture:
    """An ApiShell. changes: fields of the site's half of the picture, from now on."""

    def __init__(self, port: int) -> None:
        self.changes: dict[str, object] = {}
        self.clock = VirtualClock(NOW_WALL_S)
        self.url = f"http://127.0.0.1:{port}"
        self.shell = ApiShell(site_config(port=port), self.clock, lambda fact: None, self.look, period_s=0.05)

    def look(self) -> Snapshot:
        """The site now."""
        self.clock.advance(0.05)
        made = picture()
        site: SiteView = dataclasses.replace(made.site, **self.changes)  # type: ignore[arg-type]
        return dataclasses.replace(made, now_wall_s=self.clock.stamp().wall_s, site=site)


@asynccontextmanager
async def browsing(chromium: str) -> AsyncIterator[Browser]:
    """A browser for as many tests as may share it. chromium: where it is."""
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        await started.close()


async def opened(browser: Browser, site: ServedPicture, width: int = 1280) -> tuple[Page, list[str]]:
    """The page, and what it complains about."""
    page = await browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.set_default_timeout(WAIT_MS)
    await page.goto(site.url)
    await expect(page.locator("body")).to_have_attribute("data-phase", "ready")
    return page, complaints
