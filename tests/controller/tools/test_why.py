"""``yardmaster why``: asks a running controller and says it in lines."""

from __future__ import annotations

import asyncio
import json

import pytest

from controller.__main__ import main
from controller.engine import Engine
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.site.telling.why import explain
from tests.support.site_story import QUICK, WALL_S, Story, depot


@pytest.fixture
def story() -> Story:
    """Two cars behind a fuse that is too small for both."""
    found = Story(depot(2, fuse_a=40.0, api={"port": 0}))
    found.start()
    found.plug("CP1")
    found.plug("CP2")
    found.run(40, 10.0)
    return found


async def ask(story: Story, *words: str) -> int:
    engine = Engine(story.site.config, "why", QUICK)
    engine.site = story.site
    shell = ApiShell(story.site.config, VirtualClock(WALL_S), lambda fact: None, lambda: engine.snapshot(story.at()))
    shell.why = lambda key: explain(story.site, key, story.at())
    await shell.start()
    try:
        return await asyncio.to_thread(main, ["why", "--url", f"http://127.0.0.1:{shell.port}", *words])
    finally:
        await shell.stop()


async def test_a_station_is_told_with_every_part(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(story, "CP1") == 0
    out = capsys.readouterr().out
    assert out.startswith("CP1/1: ")
    assert "is full (10 A other load" in out
    for part in ("Its own limits", "What it shares", "The station", "charger maximum [charger]", "fallback 6 A, confirmed by the station"):
        assert part in out
    assert "> fuse L" in out


async def test_json_is_what_the_api_answers(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(story, "CP2/1", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["id"] == "CP2/1"
    assert {"layers", "rows", "profiles", "plan", "told", "sentence"} <= set(answer)


async def test_an_unknown_name_is_told_the_nearest(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(story, "CP7") == 1
    assert "this site has no 'CP7'; did you mean CP" in capsys.readouterr().err


async def test_before_the_app_is_ready_it_says_so(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(story.site.config, "why", QUICK)
    shell = ApiShell(story.site.config, VirtualClock(WALL_S), lambda fact: None, lambda: engine.snapshot(story.at()))
    await shell.start()
    try:
        assert await asyncio.to_thread(main, ["why", "CP1", "--url", f"http://127.0.0.1:{shell.port}"]) == 1
    finally:
        await shell.stop()
    assert "not ready to explain itself yet" in capsys.readouterr().err
