"""The clear sky's child: the real one against the sun over two places, and children that hang, crash, lie or are missing."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from controller.config import Config
from controller.facts import Fact, SeriesKind, SeriesTold
from controller.io.clock import VirtualClock
from controller.io.feeds.sunlight import AHEAD_S, BACK_S, SkyError, Sunlight

NOW = datetime(2026, 6, 21, 9, 30, tzinfo=UTC).timestamp()
BERLIN = {"latitude": 52.5, "longitude": 13.4, "peak_w": 10_000, "altitude_m": 40, "tilt_degrees": 30, "losses_percent": 10}


def sunlight(plants: list[dict[str, object]], facts: list[Fact], script: str | None = None, deadline_s: float = 60.0) -> Sunlight:
    base = {"site": {"id": "depot"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}, "forecast": {"pv_plants": plants}}
    command = None if script is None else (sys.executable, "-c", script)
    return Sunlight(Config.model_validate(base), VirtualClock(NOW), facts.append, command, deadline_s)


async def test_the_real_child_knows_the_sun() -> None:
    """Solar noon in Berlin on 21 June is at 11:08Z; east faces the morning, the inverter cuts, two plants add up."""
    facts: list[Fact] = []
    await sunlight([BERLIN], facts).renew()
    await sunlight([{**BERLIN, "azimuth_degrees": 90}], facts).renew()
    await sunlight([{**BERLIN, "inverter_w": 4000}, {**BERLIN, "inverter_w": 4000}], facts).renew()
    told = [fact for fact in facts if isinstance(fact, SeriesTold)]
    assert {fact.kind for fact in told} == {SeriesKind.CLEAR_SKY}
    south, east, cut = (fact.slots for fact in told)
    assert south[0][0] <= NOW - BACK_S < south[0][1]
    assert south[-1][1] == pytest.approx(NOW + AHEAD_S, abs=1800)
    assert all(sooner[1] == later[0] for sooner, later in pairwise(south))
    day = datetime(2026, 6, 21, tzinfo=UTC).timestamp()
    today = [[slot for slot in slots if day <= slot[0] < day + 86_400] for slots in (south, east, cut)]
    noon = max(today[0], key=lambda slot: slot[2])
    assert noon[0] - day == pytest.approx(11.13 * 3600, abs=2700)
    assert 6500 < noon[2] < 9500
    assert max(today[1], key=lambda slot: slot[2])[0] <= noon[0] - 2 * 3600
    assert max(slot[2] for slot in today[2]) == pytest.approx(8000.0)
    assert today[0][0][2] == 0.0, "at midnight it is dark"
    assert 55_000 < sum(slot[2] for slot in today[0]) / 4 < 85_000


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import time; time.sleep(60)", "within 0.5 s"),
        ("raise SystemExit('no sun today')", "no sun today"),
        ("print('rubbish')", "nonsense"),
        ("print('{\"watts\": [1, 2]}')", "nonsense"),
        ("import json, sys; print(json.dumps({'watts': [-1.0] * json.load(sys.stdin)['count']}))", "nonsense"),
        ("import json, sys; print(json.dumps({'watts': [float('nan')] * json.load(sys.stdin)['count']}))", "nonsense"),
        ("import json, sys; print(json.dumps({'watts': [16e3] * json.load(sys.stdin)['count']}))", "nonsense"),
        ("import os; os._exit(7)", "ended with 7"),
    ],
)
async def test_a_bad_child_costs_a_clear_sky_and_nothing_else(script: str, why: str) -> None:
    facts: list[Fact] = []
    deadline_s = 0.5 if "sleep" in script else 60.0
    with pytest.raises(SkyError, match=why):
        await sunlight([BERLIN], facts, script, deadline_s).renew()
    assert facts == []


async def test_polar_night_midnight_sun_and_the_south() -> None:
    """Tromso on 21 June has sun at midnight; a north roof in Sydney has its winter noon at 02:00Z; one inside the south pole has nothing in June."""
    facts: list[Fact] = []
    plants = [
        {**BERLIN, "latitude": 69.65, "longitude": 18.96, "tilt_degrees": 0},
        {**BERLIN, "latitude": -33.87, "longitude": 151.2, "azimuth_degrees": 0},
        {**BERLIN, "latitude": -89.9, "longitude": 0.0},
    ]
    for plant in plants:
        await sunlight([plant], facts).renew()
    day = datetime(2026, 6, 21, tzinfo=UTC).timestamp()
    told = [fact.slots for fact in facts if isinstance(fact, SeriesTold)]
    north, south, pole = ({slot[0] - day: slot[2] for slot in slots if day <= slot[0] < day + 86_400} for slots in told)
    assert min(north.values()) > 0.0
    assert max(south, key=lambda at_s: south[at_s]) == pytest.approx(2 * 3600, abs=2700)
    assert 4500 < max(south.values()) < 8500
    assert south[12 * 3600.0] == 0.0
    assert set(pole.values()) == {0.0}


async def test_a_missing_program() -> None:
    one = sunlight([BERLIN], [])
    one._command = ("/nonexistent/python",)
    with pytest.raises(SkyError, match="cannot be started"):
        await one.renew()
