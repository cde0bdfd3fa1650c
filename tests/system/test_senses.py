"""A site with every sense it can have while its surroundings are broken: killed, frozen, cut off, full of garbage, missing from the start.

``make test-senses`` plays longer and draws what happens by a seed (``tests/support/senses_chaos``).
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.support.depot import Depot
from tests.support.senses_chaos import STOP_S, Chaos, finish, settled
from tests.support.senses_judge import BACK_S, Judge
from tests.support.senses_world import STATIONS, Fleet, Physics, Senses, SensesYard, Surroundings
from tests.support.yard import until

pytestmark = pytest.mark.system

STORY = (
    ("the broker is frozen", 4.0),
    ("vtn is killed", 2.0),
    ("the line to meter is cut", 0.2),
    ("garbage is retained on all topics", 0.2),
    ("the history server is killed", 3.0),
    ("the line to hybrid is held up", 2.0),
    ("the disk is full", 2.0),
    ("meter and feed answer rubbish", 2.0),
    ("Yardmaster is frozen", 2.0),
)
SLOW = 3.0
"""P9 and the stop are promises for a machine that does nothing else; here others work beside us."""


async def test_everything_at_once_and_its_surroundings_break(tmp_path: Path) -> None:
    async with Senses(tmp_path, seed=1) as senses:
        judge = Judge(senses)
        senses.looks.append(judge.look)
        await settled(senses)
        async with Chaos(senses, judge, Random(1)) as chaos:
            seen = [senses.yard.resources()]
            for name, seconds in STORY:
                await chaos.one(name, seconds)
            judge.grown([*seen, senses.yard.resources()])
            await chaos.one("Yardmaster is killed", 0.5)
            await settled(senses)
        took_s = await finish(senses, judge)
    print(f"back in control after {judge.back_s}, stopped in {took_s:.2f} s")
    assert judge.wrongs == []
    assert took_s < STOP_S * SLOW
    assert max(judge.back_s) < BACK_S * SLOW, "from the start of the process to the first setpoint at a station"


NEIGHBOURS = ("mqtt", "history", "feed market", "dso", "utility", "box")
METERS = ("grid", "m-hall", "m-yard", "sun", "cell")
DEVICES = ("battery", "roof", "shed", "lamp")


async def test_every_neighbour_is_missing_at_the_start_and_so_is_a_certificate(tmp_path: Path) -> None:
    """F83 with it: the key of the utility's certificate cannot be read. Everything is told once, in words, and heals by itself."""
    async with Surroundings(tmp_path, 1) as around:
        key, away = around.utility.device.key, tmp_path / "away.key"
        data = around.site(tmp_path)
        shutil.move(key, away)
        yard = SensesYard(tmp_path, data)
        depot = Depot(yard.ocpp_url, STATIONS, sample_s=1.0)
        fleet: Fleet | None = None
        world = None
        try:
            await yard.start()
            await depot.__aenter__()
            await until(lambda: all(station.accepted for station in depot.stations), 30)
            for number in range(STATIONS):
                depot.plug_in(number)
            await until(lambda: all(f"{name} is not well" in yard.log.read_text() for name in NEIGHBOURS), 20)
            await until(lambda: all(f"meter {name} silent" in yard.log.read_text() for name in METERS[:3]), 20)
            await until(lambda: all(f"{name} has been silent" in yard.log.read_text() for name in DEVICES), 30)
            await until(lambda: all(f"meter {name} silent" in yard.log.read_text() for name in METERS[3:]), 20)
            assert depot.current_a <= STATIONS * 6.0 + 0.1, "nobody measures: nothing above the fallback"
            shutil.move(away, key)
            await around.start()
            fleet = Fleet(around.broker.port, around.ca)
            physics = Physics(around, depot)
            world = asyncio.get_running_loop().create_task(_live(physics, fleet))

            async def well() -> bool:
                state = await yard.state()
                sick = [source["name"] for source in state["site"]["sources"] if source["health"] != "good"]
                sick += [device["id"] for device in state["site"]["devices"] if device["state"] in ("silent", "refused")]
                return not sick and state["site"]["mode"] == "normal"

            await until(well, 90)
            await until(lambda: depot.current_a > STATIONS * 6.0, 30)
        finally:
            if world is not None:
                world.cancel()
            await depot.__aexit__(None, None, None)
            if yard.alive:
                await yard.stop()
            if fleet is not None:
                await asyncio.to_thread(fleet.close)
        text = yard.log.read_text()
    assert "Traceback" not in text
    for name in (*NEIGHBOURS, *DEVICES):
        said = [line for line in text.splitlines() if f"{name} is not well" in line or f"{name} has been silent" in line]
        assert len(said) == 1, said
    for name in DEVICES:
        assert text.count(f"{name} does not say what it does") == 1
    assert [str(key) in line for line in text.splitlines() if "stays down" in line] == [True]


async def _live(physics: Physics, fleet: Fleet) -> None:
    """Time passes: devices show what flows, the yard's meter speaks, the fleet manager states that it has no limit."""
    ticks = 0
    while True:
        physics.step()
        if ticks % 10 == 0:
            fleet.measure(physics.cars_a(("CP4", "CP5", "CP6")))
            fleet.state(consumption_w=None)
        ticks += 1
        await asyncio.sleep(0.1)
