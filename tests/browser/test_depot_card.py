"""The card "As one station" of the page, in a real Chromium: shown only where a CSMS sees the site so."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.snapshot import FaceView, NumberView, Snapshot
from tests.support.picture import NOW_WALL_S, picture, site_config

pytestmark = pytest.mark.browser

NUMBERS = (NumberView(1, "CP1", 1, ("Available", "Occupied"), True, True), NumberView(2, "OLD", 3, ("Unavailable",), False, False))
DEPOT = FaceView("csms", "depot", "HARBOUR", "open", "ocpp2.1", 5, True, (("transaction", 5),), NUMBERS)


class Site:
    """An ApiShell with a picture that a test may change."""

    def __init__(self, port: int) -> None:
        self.faces: tuple[FaceView, ...] = ()
        self.clock = VirtualClock(NOW_WALL_S)
        self.url = f"http://127.0.0.1:{port}"
        self.shell = ApiShell(site_config(port=port), self.clock, lambda fact: None, self.look, period_s=0.05)

    def look(self) -> Snapshot:
        """The site now."""
        self.clock.advance(0.05)
        return dataclasses.replace(picture(), now_wall_s=self.clock.stamp().wall_s, faces=self.faces)


@pytest.fixture
async def site(free_port: int) -> AsyncIterator[Site]:
    served = Site(free_port)
    await served.shell.start()
    yield served
    await served.shell.stop()


async def test_the_numbers_of_a_depot_are_shown_and_follow(site: Site, browser: Browser) -> None:
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(site.url)
    await expect(page.locator("#site-name")).to_have_text("Test yard")
    await expect(page.locator("#depot-card")).to_be_hidden()
    site.faces = (DEPOT,)
    await expect(page.locator("#depot-card")).to_be_visible()
    await expect(page.locator("#depot-note")).to_have_text("HARBOUR · ocpp2.1 · CSMS connected · 5 waiting")
    rows = page.locator("#depot tr")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_have_text("1CP1, EVSE 1Available, Occupiedconnected")
    await expect(rows.nth(1)).to_have_text("2OLD, EVSE 3Unavailablenot part of it now")
    await expect(page.locator("#depot-lead")).to_have_text("What the CSMS sees: one station with these EVSEs. Its EVSE 0 is the site itself.")
    trouble = "the CSMS refused the connection with HTTP 401"
    site.faces = (dataclasses.replace(DEPOT, state="away", queued=0, accepted=False, numbers=NUMBERS[:1], trouble=trouble),)
    await expect(page.locator("#depot-note")).to_have_text("HARBOUR · ocpp2.1 · CSMS away")
    await expect(rows).to_have_count(1)
    await expect(page.locator("#depot-lead")).to_have_text(trouble)
    assert complaints == []


async def test_two_hundred_evses_stay_in_their_card_on_a_phone(site: Site, browser: Browser) -> None:
    many = tuple(NumberView(number, f"A-VERY-LONG-NAME-OF-A-CHARGER-{number:03}", 1, ("Available",), True, True) for number in range(1, 201))
    site.faces = (dataclasses.replace(DEPOT, numbers=many),)
    page = await browser.new_page(viewport={"width": 360, "height": 740})
    await page.goto(site.url)
    await expect(page.locator("#depot tr")).to_have_count(200)
    wide, tall = await page.evaluate("[document.documentElement.scrollWidth, document.querySelector('#depot-card').offsetHeight]")
    assert wide <= 360
    assert tall < 740
