"""``yardmaster explain``: asks a running controller and says it in lines."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from controller.__main__ import main
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.snapshot import ExplainView
from tests.support.explained_story import told
from tests.support.picture import NOW_WALL_S, picture, site_config


async def ask(view: ExplainView | None, *words: str) -> int:
    shell = ApiShell(site_config(port=0), VirtualClock(NOW_WALL_S), lambda fact: None, lambda: picture(explain=view))
    await shell.start()
    try:
        return await asyncio.to_thread(main, ["explain", "--url", f"http://127.0.0.1:{shell.port}", *words])
    finally:
        await shell.stop()


async def test_sentences_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(told()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Circuit hall held cars back for 15.5 h")
    hall = next(line for line in lines if line.startswith("Circuit hall  "))
    assert hall.split()[2:] == ["15.5", "39.8", "41.00", "82.00", "12.00/10", "A"]
    assert max(map(len, lines[lines.index("") :])) <= 110


async def test_the_demand_charge_costs_nothing_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    seen = told()
    peak = replace(seen.limits[0], where="peak", name="The demand charge", unit="kW")
    assert await ask(replace(seen, limits=(peak,))) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("The demand charge  "))
    assert line.split()[3:] == ["15.5", "39.8", "-", "-", "-"]


async def test_json_is_what_the_api_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(told(), "--json") == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"sentences", "limits", "broken", "forecast", "solver"}


async def test_a_controller_without_plans_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(None) == 1
    assert "no plans to explain yet" in capsys.readouterr().err
