"""What a site file may not say about HTTP, virtual and charger meters; every refusal names the place and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from controller.checking.meters import meter_problems
from controller.config import Config

MODBUS = {"type": "modbus", "host": "meter", "map": "any"}


def problems(meter: dict[str, Any], *others: dict[str, Any]) -> dict[str, str]:
    """Path -> message for the first of these meters."""
    config = Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10},
            "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 16, "fallback_a": 6}]}],
            "meters": [{"id": "v", "role": "load", **meter}, *others],
        }
    )
    return {one.path.removeprefix("meters.0."): one.message for one in meter_problems(config, 0, config.meters[0])}


def virtual(name: str, *plus: str, minus: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"id": name, "role": "load", "source": {"type": "virtual", "plus": plus, "minus": minus}}


A = {"id": "a", "role": "load", "source": MODBUS}


def test_good_meters_have_no_problems() -> None:
    assert problems(virtual("v", "a"), A) == {}
    assert problems({"source": {"type": "chargers", "stations": ["CP1"]}}) == {}
    assert problems({"source": {"type": "http", "url": "http://x", "format": "shelly", "password": "p"}}) == {}
    assert problems({"source": MODBUS, "phases": ["L2"], "role": "pv"}) == {}


@pytest.mark.parametrize(
    ("meter", "others", "path", "words"),
    [
        (virtual("v", "aa"), [A], "source.plus", "there is no meter 'aa'"),
        (virtual("v", "a", minus=("b",)), [A], "source.minus", "there is no meter 'b'"),
        (virtual("v", "a", "a"), [A], "source.plus", "named twice"),
        (virtual("v", "a", minus=("a",)), [A], "source.minus", "added and taken off"),
        (virtual("v", "v"), [], "source.plus", "v from v; break the circle"),
        (virtual("v", "x"), [virtual("x", "y"), virtual("y", minus=("v",))], "source.plus", "v from x from y from v"),
        ({"source": {"type": "chargers", "stations": ["CP1", "CP2"]}}, [], "source.stations", "there is no station 'CP2'"),
        ({"source": {"type": "chargers", "stations": ["CP1", "CP1"]}}, [], "source.stations", "twice"),
        ({"source": {"type": "chargers", "stations": ["CP1"]}, "reversed": True}, [], "reversed", "of the parts instead"),
        ({"source": MODBUS, "role": "grid", "phases": ["L1", "L3"]}, [], "phases", "L2 would not be measured"),
        ({"source": {"type": "http", "url": "http://x", "format": "shelly", "poll_s": 10}, "role": "grid"}, [], "source.poll_s", "ask more often"),
        ({"source": {"type": "http", "url": "http://x", "format": "tasmota", "token": "t"}}, [], "source.token", "no tokens"),
        ({"source": {"type": "http", "url": "http://x", "format": "shelly", "token": "t", "password": "p"}}, [], "source.token", "one of them"),
        ({"source": {"type": "http", "url": "http://x", "format": "shelly", "username": "u"}}, [], "source.username", "without a password"),
    ],
)
def test_a_mistake_is_told_where_it_is(meter: dict[str, Any], others: list[dict[str, Any]], path: str, words: str) -> None:
    found = problems(meter, *others)
    assert list(found) == [path]
    assert words in found[path]


def test_a_circle_further_down_is_told_of_those_in_it_only() -> None:
    assert problems(virtual("v", "x"), virtual("x", "y"), virtual("y", "x")) == {}


@pytest.mark.parametrize("path", ["a..b", "a[x]", "a["])
def test_b43_a_path_that_cannot_be_read_is_refused_with_the_file(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be read at"):
        problems({"source": {"type": "http", "url": "http://x", "fields": {"p": {"path": path}}}})
