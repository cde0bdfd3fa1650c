"""``yardmaster signals show``: asks a running controller what its sources of limits say, and says it in lines."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from openleadr.utils import certificate_fingerprint

from controller.__main__ import main
from controller.engine import Engine
from controller.facts import EventsTold, GridEvent
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from tests.support.certificates import RSA_CERT
from tests.support.signal_story import SignalStory, entry
from tests.support.site_story import QUICK, WALL_S


def told(**event: float) -> SignalStory:
    story = SignalStory(entry("openadr3"), count=1, fuse_a=100.0, api={"port": 0})
    story.start()
    now_s = story.at().wall_s
    events = (GridEvent("now", 0, now_s, 1800.0, label="evening", **event), GridEvent("later", 0, now_s + 3600, 600.0, consumption_w=1.0))  # type: ignore[arg-type]
    story.do(EventsTold(story.at(), "dso", events))
    story.run(2)
    return story


async def ask(story: SignalStory, *words: str) -> int:
    engine = Engine(story.site.config, "signals", QUICK)
    engine.site = story.site
    shell = ApiShell(story.site.config, VirtualClock(WALL_S), lambda fact: None, lambda: engine.snapshot(story.at()))
    await shell.start()
    try:
        return await asyncio.to_thread(main, ["signals", "show", f"http://127.0.0.1:{shell.port}", *words])
    finally:
        await shell.stop()


async def test_a_source_that_limits_is_told_with_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(told(consumption_w=20_000.0, production_w=0.0, load_w=8000.0, generation_w=5000.0)) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "dso (openadr3) limits and holds the site now"
    assert any(line.startswith("import import of grid: at most 20.0 kW until 20") for line in lines)
    assert any(line.startswith("feed-in at most 0.0 kW until") for line in lines)
    assert "loads chargers and battery together: at most 8.0 kW" in lines
    assert "generation inverters and battery together: at most 5.0 kW" in lines
    assert any(line.startswith("events evening, later in") for line in lines)
    assert any(line.startswith("heard 2 s ago") for line in lines)


async def test_a_silent_source_is_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    story = told(consumption_w=20_000.0)
    story.run(150)
    assert await ask(story) == 2
    out = capsys.readouterr().out
    assert "dso (openadr3) is silent, its failsafe holds" in out
    assert "trouble" in out


async def test_json_is_what_the_api_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(told(consumption_w=20_000.0), "--json") == 0
    (signal,) = json.loads(capsys.readouterr().out)
    assert (signal["id"], signal["state"], signal["limit_w"]) == ("dso", "limited", 20_000.0)


def test_nobody_there_and_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signals", "show", "http://127.0.0.1:9"]) == 1
    assert "no controller answers" in capsys.readouterr().err
    assert main(["signals", "show", "none.yaml"]) == 1
    assert main(["signals", "identity"]) == 1
    assert "yardmaster signals identity FILE" in capsys.readouterr().err


def test_identity_has_what_each_protocol_calls_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Judged by openleadr for OpenADR 2.0b; LFDI and SFDI by tests/signals/test_csip_identity.py."""
    path = tmp_path / "ven.pem"
    path.write_text(RSA_CERT)
    assert main(["signals", "identity", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"OpenADR fingerprint  {certificate_fingerprint(RSA_CERT)}" in out
    assert "LFDI" in out
    assert "SFDI" in out
