"""The report of a backtest in a real Chromium: from a file, without scripts, quiet, on a desk, a telephone and paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from controller.sim.backtest.report import write_report
from tests.support.garage_month import month

pytestmark = pytest.mark.browser

A4_PX = 688  # its printable width at 96 dots per inch


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(month(), tmp_path_factory.mktemp("report") / "report.html")


async def opened(browser: Browser, file: Path, width: int, scheme: str) -> tuple[Page, list[str], list[str]]:
    """The page without scripts, as a mail program shows it; what it complained about, what it asked for."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=False)  # type: ignore[arg-type]
    page = await context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(file.as_uri())
    return page, complaints, asked


async def beyond(page: Page) -> list[str]:
    """What stands beyond the right edge of the window. (Scripts of ours run, the page's would not.)"""
    script = """() => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
        && !e.closest('svg') && !e.closest('details')).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"""
    return list(await page.evaluate(script))


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
async def test_it_opens_quietly_and_fits(browser: Browser, file: Path, width: int, scheme: str) -> None:
    page, complaints, asked = await opened(browser, file, width, scheme)
    assert "533" in await page.inner_text("#short")
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await beyond(page) == []
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (scheme == "light")


async def test_pictures_have_a_size_and_labels_stand_apart(browser: Browser, file: Path) -> None:
    page, _, _ = await opened(browser, file, 390, "light")
    overlapping = """() => [...document.querySelectorAll('.plot')].flatMap(plot => {
        const seen = [...plot.querySelectorAll('.x')].map(e => e.getBoundingClientRect()).filter(box => box.width);
        return seen.filter((box, index) => index && seen[index - 1].right > box.left).map(box => plot.getAttribute('aria-label')) })"""
    assert await page.evaluate(overlapping) == []
    boxes = await page.evaluate("[...document.querySelectorAll('.plot > svg')].map(e => e.getBoundingClientRect()).map(b => [b.width, b.height])")
    assert len(boxes) >= 11
    assert all(width > 200 and height >= 12 for width, height in boxes)


async def test_the_numbers_behind_a_picture_open(browser: Browser, file: Path) -> None:
    page, _, _ = await opened(browser, file, 1440, "light")
    first = page.locator("details").first
    await first.locator("summary").click()
    assert await first.locator("table").is_visible()
    assert await first.locator("tbody tr").count() == 8


async def test_it_prints_light_on_a4_without_losing_anything(browser: Browser, file: Path) -> None:
    page, complaints, _ = await opened(browser, file, A4_PX, "dark")
    paper = await page.pdf(format="A4", prefer_css_page_size=True)
    assert paper.startswith(b"%PDF")
    assert 6 <= len(re.findall(rb"/Type /Page[^s]", paper)) <= 14
    await page.emulate_media(media="print", color_scheme="dark")
    assert await page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--bg')") == "#fff"
    assert await beyond(page) == []
    assert complaints == []
