"""What a site file may not say about HTTP, virtual and charger meters; every refusal names the place and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from controller.checking.meters import meter_cautions, meter_problems
from controller.config import Config
from controller.paths import config_dir
from meters.template import load_all

MODBUS = {"type": "modbus", "host": "meter", "map": "any"}
MAPS = load_all(config_dir() / "meters")


def site(first: dict[str, Any], /, *others: dict[str, Any], **grid: Any) -> Config:
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10, **grid},
            "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 16, "fallback_a": 6}]}],
            "meters": [{"id": "v", "role": "load", **first}, *others],
        }
    )


def problems(first: dict[str, Any], /, *others: dict[str, Any], **grid: Any) -> dict[str, str]:
    """Path -> message for the first of these meters."""
    config = site(first, *others, **grid)
    return {one.path.removeprefix("meters.0."): one.message for one in meter_problems(config, 0, config.meters[0], MAPS)}


def cautions(meter: dict[str, Any]) -> list[str]:
    config = site(meter)
    return [f"{one.path.removeprefix('meters.0.source.')}: {one.message}" for one in meter_cautions(config, 0, config.meters[0], MAPS)]


def mapped(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "modbus", "host": "meter", "map": name, **more}


def fields(*names: str) -> dict[str, Any]:
    return {"type": "http", "url": "http://x/a", "fields": {name: {"path": name} for name in names}}


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


@pytest.mark.parametrize(
    ("source", "unseen"),
    [
        (mapped("eastron_sdm630"), ""),
        (mapped("kostal_ksem"), ""),  # its powers stand in registers for import and export
        (mapped("byd_battery_box_hv"), "L1 and L2 and L3"),
        (mapped("sma_inverter_pv"), "L1 and L2 and L3"),
        (fields("p"), "L1 and L2 and L3"),
        (fields("p", "i_l1", "p_l2"), "L3"),
        (fields("p_l1_imp", "p_l1_exp", "p_l2", "i_l3"), ""),
    ],
)
def test_a_meter_at_a_fuse_must_show_every_phase(source: dict[str, Any], unseen: str) -> None:
    found = problems({"source": source, "role": "grid"}, meter="v")
    assert found.get("source", "").startswith(f"it shows neither current nor power of {unseen};") == bool(unseen)
    assert problems({"source": source}) == {}, "elsewhere a total is enough"


def test_a_total_is_enough_for_a_site_of_one_phase() -> None:
    assert problems({"source": fields("p"), "role": "grid"}, phases=1) == {}


def test_the_parts_of_a_virtual_meter_at_a_fuse_must_show_every_phase_they_are_wired_to() -> None:
    total = {"id": "t", "role": "load", "source": fields("p")}
    grid = {**virtual("v", "m"), "role": "grid"}
    assert "meter t shows neither" in problems(grid, virtual("m", "a", minus=("t",)), A, total)["source"]
    assert problems(grid, virtual("m", "a", minus=("t",)), A, {**total, "phases": ["L2"]}) == {}


def test_sunspec_models_of_inverters_do_not_guard_a_fuse() -> None:
    source = {"type": "sunspec", "host": "x", "models": [103]}
    assert "model 103 is no meter's" in problems({"source": source, "role": "grid"})["source.models"]
    assert problems({"source": source, "role": "pv"}) == {}


def test_chargers_as_a_meter_count_all_stations_and_the_largest_other_load() -> None:
    """What nobody measures would load the fuse unseen."""
    source = {"type": "chargers", "stations": ["CP1"], "other_load_a": 9.5}
    assert "10 A or more" in problems({"source": source, "role": "grid"}, meter="v")["source.other_load_a"]
    assert problems({"source": {**source, "other_load_a": 10}, "role": "grid"}, meter="v") == {}
    assert problems({"source": source, "role": "load"}) == {}, "it guards nothing"
    config = Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 0},
            "circuits": [
                {"id": "a", "fuse_a": 32, "meter": "v", "worst_other_load_a": 2},
                {"id": "b", "fuse_a": 20, "parent": "a", "worst_other_load_a": 3},
            ],
            "stations": [
                {"id": "A", "circuit": "a", "evses": [{"id": 1, "max_current_a": 16, "fallback_a": 0}]},
                {"id": "B", "circuit": "b", "evses": [{"id": 1, "max_current_a": 16, "fallback_a": 0}]},
            ],
            "meters": [{"id": "v", "role": "circuit", "source": {"type": "chargers", "stations": ["A"], "other_load_a": 2}}],
        }
    )
    found = {one.path: one.message for one in meter_problems(config, 0, config.meters[0])}
    assert "5 A or more" in found["meters.0.source.other_load_a"]
    assert found["meters.0.source.stations"] == "B below a would not be counted; name every station there"


@pytest.mark.parametrize(
    ("meter", "words"),
    [
        ({"source": mapped("eastron_sdm630"), "role": "grid"}, []),
        ({"source": mapped("eastron_sdm630", timeout_s=10), "role": "grid"}, ["timeout_s: one lost answer takes 10 s"]),
        ({"source": mapped("eastron_sdm630", timeout_s=10)}, []),
        ({"source": mapped("eastron_sdm630", framing="tls", ca_file="ca.pem")}, ["framing: port 502 is that of plain Modbus"]),
        ({"source": mapped("eastron_sdm630", framing="tls", ca_file="ca.pem", port=502)}, []),
        ({"source": mapped("generic")}, ["map: Generic meter (copy and change): a generic map: compare every value"]),
        ({"source": fields("p_l1", "p_l2", "p_l3"), "role": "grid"}, ["fields: powers do not show reactive currents"]),
        ({"source": fields("p_l1", "p_l2", "p_l3", "i_l1"), "role": "grid"}, []),
    ],
)
def test_what_is_worth_a_second_look(meter: dict[str, Any], words: list[str]) -> None:
    found = cautions(meter)
    assert len(found) == len(words)
    assert all(text.startswith(start) for text, start in zip(found, words, strict=True))
