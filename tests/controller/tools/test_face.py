"""``yardmaster face``: shows who has which CSMS, asks a running controller to change it, and says what still waits."""

from __future__ import annotations

import asyncio

import pytest

from controller.__main__ import main
from controller.config import Config
from controller.engine import Engine
from controller.facts import FaceWished, Fact
from controller.io.api.server import ApiShell
from controller.io.clock import VirtualClock
from controller.io.schemas import shapes
from controller.site.stations.charger import ChargerModel
from tests.support.playbook import START_WALL_S

OLD, NEW = "old", "new"
SITE = Config.model_validate(
    {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}],
        "upstreams": [{"id": OLD, "url": "ws://127.0.0.1:1/ocpp"}, {"id": NEW, "url": "ws://127.0.0.1:2/ocpp"}],
        "api": {"port": 0},
    }
)


class Desk:
    """The API before a real engine."""

    def __init__(self) -> None:
        self.config = SITE
        self.engine = Engine(SITE, "face", {"generic": ChargerModel("generic")}, shapes())
        self.clock = VirtualClock(START_WALL_S)
        self.facts: list[Fact] = []

    def submit(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.engine.handle(fact)

    async def ask(self, *words: str) -> int:
        shell = ApiShell(self.config, self.clock, self.submit, lambda: self.engine.snapshot(self.clock.stamp()))
        await shell.start()
        try:
            return await asyncio.to_thread(main, ["face", *words, "--url", f"http://127.0.0.1:{shell.port}"])
        finally:
            await shell.stop()


async def test_without_names_it_shows_who_has_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert await Desk().ask() == 0
    assert capsys.readouterr().out.split() == ["CP1", OLD]


async def test_every_station_is_given_to_another(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk()
    assert await desk.ask(NEW) == 0
    assert [(fact.station_id, fact.upstream_id) for fact in desk.facts if isinstance(fact, FaceWished)] == [("", NEW)]
    assert f"CP1                  {NEW} (said by the operator)" in capsys.readouterr().out


async def test_only_the_stations_named(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk()
    assert await desk.ask(NEW, "CP1") == 0
    assert await desk.ask("--as-configured", "CP1") == 0
    assert [(fact.station_id, fact.upstream_id) for fact in desk.facts if isinstance(fact, FaceWished)] == [("CP1", NEW), ("CP1", "")]
    assert capsys.readouterr().out.splitlines()[-1].split() == ["CP1", OLD]


@pytest.mark.parametrize(("words", "said"), [(("typo",), "upstream"), ((NEW, "CP9"), "station")])
async def test_names_that_do_not_exist_change_nothing(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk()
    assert await desk.ask(*words) == 1
    assert desk.facts == []
    assert said in capsys.readouterr().err
