"""The commissioning report in a real Chromium: opened from a file, quiet, asks for nothing, fits paper and a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from controller.checking.fallback import fallback_sums
from controller.commission.charts import charts_of
from controller.commission.files import Change
from controller.commission.findings import Finding, Verdict
from controller.commission.record import read
from controller.commission.report import Report, Section, html
from controller.commission.steptest import judge
from tests.support.site_story import depot
from tests.support.steps import EVSE, STATION, World, entries

pytestmark = pytest.mark.browser


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A report as the command writes it."""
    record = read(entries(World(rotation=(1, 2, 0), car_a=(1.0, 0.0, 0.0)), (16.0, 6.0) * 5), STATION, EVSE)
    doubt = Finding("Pull our plug", Verdict.UNSURE, "no meter sees this charger " * 4, "Watch a clamp meter.")
    findings = (*judge(record, (0, 1, 2)).findings, doubt)
    section = Section("EVSE CP1/1", findings, tuple(charts_of(record, "Step test of CP1/1")))
    change = Change("station CP1, EVSE 1", "phases: [L2, L3, L1]", "phases: [L1, L2, L3]", "its L1 was measured")
    model = (("chargers/acme.yaml", "# measured\napply_s: 3\n" + "description: " + "x" * 300),)
    facts = (("Site", "Cold garage"), ("Station CP1", "vendor Acme, model 22"))
    report = Report("Cold garage", "Tested until 2026-11-21", facts, (section,), tuple(fallback_sums(depot(3))), (change,), model)
    path = tmp_path / "report.html"
    path.write_text(html(report), encoding="utf-8")
    return path


async def opened(browser: Browser, file: Path, width: int) -> tuple[Page, list[str], list[str]]:
    """The page, what it complained about, what it asked for."""
    page = await browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(file.as_uri())
    return page, complaints, asked


@pytest.mark.parametrize("width", [360, 1200])
async def test_it_opens_quietly_and_needs_no_sideways_scrolling(browser: Browser, file: Path, width: int) -> None:
    page, complaints, asked = await opened(browser, file, width)
    assert "Not passed" in await page.inner_text(".result")
    assert await page.locator("figure svg[role=img]").count() == 2
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


async def test_it_prints_on_paper(browser: Browser, file: Path) -> None:
    page, complaints, _ = await opened(browser, file, 1200)
    paper = await page.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    assert complaints == []
