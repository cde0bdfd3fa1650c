"""The page in a real Chromium against a real ApiShell on a real port."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from controller.facts import EvseKey
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.snapshot import EventView, Snapshot, WhyLayer, WhyProfile, WhyRow, WhyStep, WhyView
from tests.support.picture import NOW_WALL_S, evse, picture, plan, site_config

pytestmark = pytest.mark.browser

WAIT_MS = 20_000


class Site:
    """An ApiShell whose picture moves with every look: the grid draws ``amps`` on L1, one more each time."""

    def __init__(self, port: int) -> None:
        self.amps = 20.0
        self.events: tuple[EventView, ...] = picture().events
        self.changes: dict[str, object] = {}
        self.clock = VirtualClock(NOW_WALL_S)
        self.url = f"http://127.0.0.1:{port}"
        self._config = site_config(port=port)
        self.shell = self._build()

    def _build(self) -> ApiShell:
        return ApiShell(self._config, self.clock, lambda fact: None, self.look, period_s=0.05)

    def look(self) -> Snapshot:
        """The site now; the next look finds it changed."""
        self.amps = 20.0 + (self.amps - 19.0) % 30.0
        self.clock.advance(0.05)
        grid = dataclasses.replace(picture().site.grid, current_a=(self.amps, 25.0, 22.0), power_w=self.amps * 690.0)
        now = picture(grid=grid, **self.changes)
        return dataclasses.replace(now, now_wall_s=self.clock.stamp().wall_s, events=self.events)

    async def restart(self) -> None:
        """Come back as a new process would, on the same port."""
        self.shell = self._build()
        await self.shell.start()


@pytest.fixture
async def site(free_port: int) -> AsyncIterator[Site]:
    served = Site(free_port)
    await served.shell.start()
    yield served
    await served.shell.stop()


class Watch:
    """Everything a page complains about and asks for."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def foreign(self, url: str) -> list[str]:
        """Requests that left for another origin; data and blob never leave the browser."""
        return [asked for asked in self.requests if not asked.startswith((url, "data:", "blob:"))]


async def opened(browser: Browser, site: Site, width: int = 1440, scheme: str = "light") -> tuple[Page, Watch]:
    """The page, loaded up to its last chart."""
    page = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(WAIT_MS)
    watch = Watch(page)
    await page.goto(site.url)
    await page.wait_for_selector("#plan-chart .main-svg")
    await page.wait_for_selector("#recent-chart .main-svg")
    return page, watch


async def test_it_loads_quietly_and_the_numbers_move(browser: Browser, site: Site) -> None:
    page, watch = await opened(browser, site)
    await expect(page.locator("#site-name")).to_have_text("Test yard")
    await expect(page.locator("#mode-word")).to_have_text("Normal")
    before = await page.inner_text("#phases .phase:first-child .phase-value")
    await page.wait_for_function("old => document.querySelector('#phases .phase-value').textContent !== old", arg=before)
    cards = page.locator("#evses .evse")
    await expect(cards).to_have_count(3)
    await expect(cards.nth(0)).to_contain_text("Bay 1")
    await expect(cards.nth(0)).to_contain_text("Limit 14")
    await expect(cards.nth(0)).to_contain_text("fuse L2")
    await expect(page.locator("#limits")).to_contain_text("mqtt")
    await expect(page.locator("#links")).to_contain_text("7 queued")
    await expect(page.locator("#story-text")).to_have_text("The day begins.")
    await expect(page.locator("#clock-time")).to_have_text("01:00")  # Europe/Berlin
    assert watch.foreign(site.url) == []
    assert f"{site.url}/vendor/plotly.min.js" in watch.requests
    assert watch.complaints == []


async def test_a_change_reaches_the_same_nodes(browser: Browser, site: Site) -> None:
    """Updated in place: no card is built anew, so nothing flickers and focus stays."""
    page, watch = await opened(browser, site)
    await page.evaluate("document.querySelector('#evses .evse').mine = true")
    site.changes = {
        "mode": "failsafe",
        "mode_reason": "grid meter silent for 12 s",
        "evses": (evse("alpha", 1, name="Bay 1", limit_a=6.0, reason="failsafe"), evse("beta", 1, state="faulted")),
        "plan": None,
    }
    site.events = (*site.events, EventView(3, NOW_WALL_S, "alarm", "grid", "meter <b>silent</b> for 12 s"))
    await expect(page.locator("#mode")).to_have_attribute("data-mode", "failsafe")
    await expect(page.locator("#evses .evse")).to_have_count(2)
    await expect(page.locator("#evses .evse").first).to_contain_text("Limit 6")
    assert await page.evaluate("document.querySelector('#evses .evse').mine") is True
    await expect(page.locator("#events li").first).to_contain_text("meter <b>silent</b> for 12 s")  # text, never markup
    await expect(page.locator("#announce")).to_contain_text("Alarm, grid")
    assert watch.complaints == []


async def test_event_filters_work_by_keyboard(browser: Browser, site: Site) -> None:
    page, _ = await opened(browser, site)
    await page.focus("[data-filter=trouble]")
    await page.keyboard.press("Enter")
    await expect(page.locator("#events li")).to_have_count(1)
    await expect(page.locator("#events li")).to_contain_text("CSMS away")
    await expect(page.locator("[data-filter=trouble]")).to_have_attribute("aria-pressed", "true")


async def test_a_lost_server_is_said_and_found_again(browser: Browser, site: Site) -> None:
    page, _ = await opened(browser, site)
    await expect(page.locator("#lost")).to_be_hidden()
    await site.shell.stop()
    await expect(page.locator("#lost")).to_be_visible(timeout=WAIT_MS)
    await expect(page.locator("#live")).to_have_attribute("data-live", "no")
    site.changes = {"mode": "degraded", "mode_reason": "back again"}
    await site.restart()
    await expect(page.locator("#lost")).to_be_hidden(timeout=WAIT_MS)
    await expect(page.locator("#mode-reason")).to_have_text("back again")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_needs_no_sideways_scrolling(browser: Browser, site: Site, scheme: str) -> None:
    site.changes = {
        "mode": "degraded",
        "mode_reason": "CSMS away for 14 min - charging goes on, 1204 messages wait on disk - check the operator's server",
        "evses": (
            evse(
                "alpha",
                1,
                name="A rather long name of a bay, level -2",
                reason="a reason that is long enough to need three lines on a telephone " * 2,
            ),
            evse("beta", 1, state="unavailable", floor_confirmed=False),
        ),
    }
    page, watch = await opened(browser, site, width=390, scheme=scheme)
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    beyond = await page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 391 && !e.closest('svg')).length"
    )
    assert beyond == 0
    assert watch.complaints == []


async def test_the_numbers_do_not_wait_for_the_chart_library(browser: Browser, site: Site) -> None:
    page = await browser.new_page()
    await page.route("**/vendor/*", lambda route: route.abort())
    await page.goto(site.url)
    await expect(page.locator("#grid-power")).to_contain_text("kW", timeout=WAIT_MS)
    await expect(page.locator("#plan-facts")).to_contain_text("21.50")
    await expect(page.locator("#plan-chart")).to_have_attribute("data-wait", "The chart library could not be loaded.")


def why_view(key: EvseKey) -> WhyView:
    """A full fuse, said of any EVSE."""
    layers = (WhyLayer("charger maximum", "charger", 16.0, None, False), WhyLayer("upstream profile 17", "upstream", 20.0, NOW_WALL_S + 3600, False))
    row = WhyRow("fuse", "L2", 63.0, 30.0, 1.0, 6.0, 18.0, 8.0, 0.0, True)
    profile = WhyProfile(17, "tx", 2, 20.0, None, True, True)
    step = WhyStep(NOW_WALL_S, NOW_WALL_S + 900.0, 5520.0, 8.0, "grid L2 is full in the plan")
    sentence = f"{key} has 8 A: fuse L2 carries 63 A and is full (30 A other load, 18 A other cars, 7 A kept free)."
    told = ("fallback 6 A, confirmed by the station",)
    now = ("charging", sentence, 8.0, None, 7.9, "fuse L2", None)
    return WhyView(str(key), "Bay 1", NOW_WALL_S, *now, 2, "EVSE +2", layers, (row,), (profile,), (step,), told)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
async def test_why_opens_the_chain_of_limits_and_closes(browser: Browser, site: Site, width: int, scheme: str) -> None:
    site.shell.why = why_view
    page, watch = await opened(browser, site, width, scheme)
    await page.click("#evses .evse:nth-child(1) .ask")
    dialog = page.locator("#why")
    await expect(dialog.locator(".why-sentence")).to_contain_text("fuse L2 carries 63 A and is full")
    await expect(dialog.locator("[data-binds=true]").first).to_contain_text("30 A other load")
    await expect(dialog).to_contain_text("profile 17, transaction, stack level 2")
    await expect(dialog).to_contain_text("grid L2 is full in the plan")
    box = await dialog.bounding_box()
    assert box is not None
    assert box["width"] <= width
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert watch.complaints == []


async def test_why_says_so_when_the_controller_is_silent(browser: Browser, site: Site) -> None:
    page, _ = await opened(browser, site)
    await page.click("#evses .evse:nth-child(1) .ask")
    await expect(page.locator("#why-sentence")).to_contain_text("does not answer")


async def test_prices_that_are_not_announced_are_told_apart(browser: Browser, site: Site) -> None:
    """Two days of a market: what it has told is a solid strip, what the tariff says instead is dotted."""
    now = plan()
    count = len(now.buy_per_kwh)
    prices = tuple(-0.05 if slot < 8 else 0.2 if slot < 40 else 0.3 for slot in range(count))
    site.changes = {"plan": dataclasses.replace(now, buy_per_kwh=prices, announced=tuple(slot < 40 for slot in range(count)))}
    page, watch = await opened(browser, site)
    drawn = "Array.from(document.querySelector('#plan-chart').data).filter((trace) => trace.name === 'Price')"
    assert await page.evaluate(f"{drawn}.map((trace) => [trace.line.dash ?? 'solid', trace.y.length, Math.min(...trace.y)])") == [
        ["solid", 80, -0.05],
        ["dot", 2 * (count - 40), 0.3],
    ]
    await expect(page.locator("#plan-chart")).to_contain_text("not announced")
    assert watch.complaints == []
