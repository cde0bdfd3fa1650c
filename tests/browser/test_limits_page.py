"""Limits on the page, in a real Chromium: above everything else, on the power flow, over the plan, and all of them with what is announced."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from controller.snapshot import BoundView, DeviceView
from tests.support.picture import NOW_WALL_S
from tests.support.served_picture import ServedPicture, browsing, opened

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

HOUR_S = 3600.0
BATTERY = DeviceView("battery", "battery", "confirmed", -8000.0, -8000.0, -8000.0, None, "plan: discharges")
CONTRACT = BoundView("import", "contract", "grid", 40_000.0, "in_force", measured_w=19_250.0, obeyed=True)
LOADS = BoundView("loads", "dso", "grid", 26_880.0, "in_force", None, None, NOW_WALL_S + 900.0, 26_220.0, True, "section 14a", True)
SILENT = BoundView("feed_in", "box", "grid", 5000.0, "failsafe", None, None, None, 4500.0, None, "", True)
EXCEEDED = BoundView("generation", "aemo", "grid", 8000.0, "in_force", None, None, NOW_WALL_S + HOUR_S, 9500.0, False, "sunny", True)
AMPS = BoundView("import", "mqtt", "grid", 34_500.0, "in_force", 50.0, None, NOW_WALL_S + 600.0, 19_250.0, True, "", True)
COMING = BoundView("feed_in", "dso", "grid", 2000.0, "announced", None, NOW_WALL_S + 4 * HOUR_S, NOW_WALL_S + 6 * HOUR_S, words="noon")
LATER = BoundView("import", "dso", "grid", 20_000.0, "announced", None, NOW_WALL_S + 12 * HOUR_S, None, words="night")


@pytest_asyncio.fixture(loop_scope="module")
async def site(free_port: int) -> AsyncIterator[ServedPicture]:
    served = ServedPicture(free_port)
    await served.shell.start()
    yield served
    await served.shell.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with browsing(chromium) as started:
        yield started


async def test_what_holds_now_stands_above_everything_and_goes_again(browser: Browser, site: ServedPicture) -> None:
    page, complaints = await opened(browser, site)
    held = page.locator("#held > li")
    await expect(page.locator("#held")).to_be_hidden()
    site.changes = {"bounds": (CONTRACT, LOADS, SILENT), "devices": (BATTERY,)}
    await expect(held).to_have_count(2)
    await expect(held.nth(0)).to_contain_text("is silent, its failsafe limits feed-in to 5.0\u202fkW; measured 4.5\u202fkW")
    await expect(held.nth(0)).to_contain_text("no end")
    await expect(held.nth(0)).to_have_attribute("data-state", "failsafe")
    await expect(held.nth(1)).to_contain_text("dso")
    await expect(held.nth(1)).to_contain_text("limits chargers and battery together to 26.9\u202fkW; measured 26.2\u202fkW, obeyed")
    await expect(held.nth(1)).to_contain_text("15\u202fmin left")
    site.changes = {"bounds": (CONTRACT, dataclasses.replace(LOADS, lowest=False)), "devices": (BATTERY,)}  # another source is lower
    await expect(page.locator("#held")).to_be_hidden()
    await expect(page.locator("#bounds > li")).to_have_count(2)
    assert complaints == []
    await page.close()


async def test_the_most_urgent_come_first_and_the_rest_is_a_link(browser: Browser, site: ServedPicture) -> None:
    site.changes = {"bounds": (CONTRACT, AMPS, LOADS, SILENT, EXCEEDED, COMING, LATER), "devices": (BATTERY,)}
    page, complaints = await opened(browser, site, 390)
    held = page.locator("#held > li")
    await expect(held).to_have_count(4)
    await expect(held.nth(0)).to_have_attribute("data-state", "exceeded")
    await expect(held.nth(0)).to_contain_text("limits solar and battery together to 8.0\u202fkW; measured 9.5\u202fkW, exceeded")
    await expect(held.nth(1)).to_have_attribute("data-state", "failsafe")
    await expect(held.nth(2)).to_contain_text("limits the import of the whole site to 50\u202fA per phase")
    more = page.locator("#held-more-link")
    await expect(more).to_have_text("2 more limits, now or announced")
    await more.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#signals-title")).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []
    await page.close()


async def test_what_is_announced_says_when(browser: Browser, site: ServedPicture) -> None:
    site.changes = {"bounds": (COMING, LATER)}
    page, complaints = await opened(browser, site)
    held = page.locator("#held > li")
    await expect(held.nth(0)).to_contain_text("dso")
    await expect(held.nth(0)).to_contain_text("will limit feed-in to 2.0\u202fkW")
    await expect(held.nth(0)).to_contain_text("05:00 to 07:00 \u00b7 in 4\u202fh")  # Europe/Berlin
    await expect(held.nth(1)).to_contain_text("13:00 on")
    await expect(page.locator("#signals-note")).to_have_text("nothing is limited now \u00b7 2 announced")
    site.changes = {"bounds": ()}
    await expect(page.locator("#held")).to_be_hidden()
    await expect(page.locator("#bounds-empty")).to_be_visible()
    assert complaints == []
    await page.close()


async def test_all_of_them_are_listed_with_whose_they_are_and_whether_they_are_obeyed(browser: Browser, site: ServedPicture) -> None:
    site.changes = {"bounds": (CONTRACT, AMPS, EXCEEDED, SILENT, COMING)}
    page, complaints = await opened(browser, site)
    rows = page.locator("#bounds > li")
    await expect(rows).to_have_count(5)
    await expect(rows.nth(0)).to_contain_text("contract (site file)")
    await expect(rows.nth(0)).to_contain_text("at most 40.0\u202fkW")
    await expect(rows.nth(0).locator(".tag")).to_be_hidden()
    await expect(rows.nth(1).locator(".tag")).to_have_text("lowest")
    wanted = ((1, "good", "obeyed"), (2, "lost", "exceeded"), (3, "lost", "failsafe, the source is silent"), (4, "coming", "announced"))
    for row, health, words in wanted:
        await expect(rows.nth(row)).to_have_attribute("data-health", health)
        await expect(rows.nth(row).locator(".health")).to_have_text(words)
    await expect(rows.nth(2)).to_contain_text("aemo \u00b7 sunny")
    assert complaints == []
    await page.close()


async def test_the_power_flow_carries_them_and_says_them(browser: Browser, site: ServedPicture) -> None:
    site.changes = {"bounds": (CONTRACT, AMPS, LOADS, EXCEEDED)}
    page, complaints = await opened(browser, site)
    tag = {name: page.locator(f".place-{name} .place-limit") for name in ("grid", "pv", "ev", "building")}
    await expect(tag["grid"]).to_have_text("in \u2264 34.5\u202fkW")
    await expect(tag["grid"]).to_have_attribute("data-outside", "true")
    await expect(tag["pv"]).to_have_text("\u2264 8.0\u202fkW")
    await expect(tag["ev"]).to_have_text("\u2264 26.9\u202fkW")
    await expect(tag["building"]).to_be_hidden()
    picture_words = await page.locator(".flow-svg").get_attribute("aria-label") or ""
    assert "Grid 19.3\u202fkW import" in picture_words
    assert "Chargers at most 26.9\u202fkW, dso" in picture_words
    site.changes = {"bounds": (dataclasses.replace(CONTRACT, lowest=True),)}
    await expect(tag["grid"]).to_have_text("in \u2264 40.0\u202fkW")
    await expect(tag["grid"]).to_have_attribute("data-outside", "false")
    await expect(tag["ev"]).to_be_hidden()
    assert complaints == []
    await page.close()


async def test_the_plan_draws_each_limit_where_it_holds(browser: Browser, site: ServedPicture) -> None:
    site.changes = {"bounds": (CONTRACT, AMPS, SILENT, COMING, LATER)}
    page, complaints = await opened(browser, site)
    await expect(page.locator("#plan-chart .legendtext").filter(has_text="Import limit")).to_have_count(1)
    lines = await page.evaluate(
        "Object.fromEntries(document.getElementById('plan-chart').data.filter((t) => t.name.endsWith('limit')).map((t) => [t.name, [t.x, t.y]]))"
    )
    assert set(lines) == {"Import limit", "Feed-in limit"}
    hours = [stamp[11:16] for stamp in lines["Import limit"][0]]
    assert hours == ["01:00", "01:10", "01:10", "13:00", "13:00", "01:00"]
    assert lines["Import limit"][1] == [34.5, 34.5, 40, 40, 20, 20]
    assert lines["Feed-in limit"][1] == [-5, -5, -2, -2, -5, -5]
    words = await page.locator("#plan-chart").get_attribute("aria-label") or ""
    assert "Feed-in limit 2.0\u202fkW from 05:00 to 07:00" in words
    assert complaints == []
    await page.close()
