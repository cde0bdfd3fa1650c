"""The browser of all page tests: Debian's Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

CHROMIUM = Path("/usr/bin/chromium")
expect.set_options(timeout=20_000)  # what a busy machine may need for what an idle one does at once
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where it is."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing; on Debian: apt-get install -y --no-install-recommends chromium fonts-dejavu-core")
    return str(CHROMIUM)


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One of its own for each test."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        yield started
        await started.close()
