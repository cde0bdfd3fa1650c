"""The engine under any story of two stations, their CSMS, a mirror and a disk (oracle: ``engine_world``)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.link.uplink import Uplink
from tests.fuzz.drive import blind
from tests.fuzz.engine_world import VERSIONS, Choices, World, play, spoilt
from tests.support.examples import examples

TEXTS = st.text(st.characters(), max_size=60)
CALM = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@CALM
@given(st.binary(min_size=30, max_size=1200))
def test_any_story_leaves_the_engine_standing(data: bytes) -> None:
    play(data)


@pytest.mark.parametrize("version", VERSIONS)
@CALM
@given(text=TEXTS, down=st.booleans(), wrapped=st.booleans())
def test_any_text_from_either_side_touches_only_its_own_station(version: str, text: str, down: bool, wrapped: bool) -> None:
    world = World(version)
    said = f'[2,"a","{text}",{{}}]' if wrapped else text
    if down:
        world.csms_says("CP1", said, "")
    else:
        world.station_says("CP1", said)
    assert world.online["CP2"]


@pytest.mark.parametrize("version", VERSIONS)
def test_random_stories_reach_what_they_are_meant_to_reach(version: str) -> None:
    """The world is no use if its stories die at the door: calls must go up, come down, and be kept on disk."""
    up, down, kept = 0, 0, 0
    for number in range(40):
        world = World(version)
        choices = Choices(bytes((number * 37 + k * k * 11 + k * 7) % 256 for k in range(1500)))
        while choices.left > 0:
            world.step(choices)
        up, down, kept = up + len(world.up), down + len(world.down), kept + len(world.rows)
    assert min(up, down, kept) > 0


def test_the_oracle_sees_a_defect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(Uplink, "call", broken)
    with pytest.raises(AssertionError, match="internal error"):
        blind(play, 1500, 60, seed=1)
    assert "--replay" in capsys.readouterr().out


def test_spoiling_changes_one_place_and_leaves_the_original() -> None:
    whole = {"a": [1, {"b": 2}], "c": "d"}
    changed = spoilt(whole, Choices(bytes([1, 0, 1, 1])))
    assert whole == {"a": [1, {"b": 2}], "c": "d"}
    assert changed != whole
