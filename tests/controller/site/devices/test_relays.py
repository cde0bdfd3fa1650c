"""Relays: when they are active, how long at least, and inverters behind them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.device_plant import Plant, config

PIN = {"type": "file", "path": "/nowhere"}


def relay(closes: str, **more: Any) -> dict[str, Any]:
    return {"id": "k", "closes": closes, "pin": PIN, "min_on_s": 20, "min_off_s": 20, **more}


def test_it_closes_for_a_limit_and_stays_closed_for_its_least_time() -> None:
    plant = Plant(config(relays=(relay("limited"),)))
    plant.run(5)
    assert not plant.fleet["k"].closed
    plant.limited = ("grid",)
    plant.run(5)
    plant.limited = ()
    plant.run(10)
    assert plant.fleet["k"].closed  # for 20 s at least
    plant.run(10)
    assert not plant.fleet["k"].closed
    plant.limited = ("grid",)
    plant.run(10)
    assert not plant.fleet["k"].closed  # likewise
    plant.run(15)
    assert plant.fleet["k"].closed


def test_an_overload_waits_for_nothing() -> None:
    plant = Plant(config(relays=(relay("overload", min_off_s=3600),)))
    plant.fuse_w, plant.load_w = 10_000.0, 5_000.0
    plant.run(30)
    plant.load_w = 12_000.0
    plant.run(4)
    assert plant.fleet["k"].closed


def test_inverted_is_open_when_active_and_closed_else() -> None:
    plant = Plant(config(relays=(relay("failsafe", inverted=True),)))
    plant.run(10)
    assert plant.fleet["k"].closed
    plant.failsafe = True
    plant.run(25)
    assert not plant.fleet["k"].closed


def test_surplus_switches_at_its_threshold_and_off_when_something_is_drawn() -> None:
    plant = Plant(config(({"id": "roof", "max_power_w": 10_000},), relays=(relay("surplus", surplus_w=3_000),)))
    plant.sun_w, plant.load_w = 8_000.0, 2_000.0
    plant.run(60)
    assert plant.fleet["k"].closed
    plant.load_w = 7_000.0  # its own load: still something is fed in
    plant.run(60)
    assert plant.fleet["k"].closed
    plant.load_w = 9_000.0
    plant.run(60)
    assert not plant.fleet["k"].closed


@pytest.mark.parametrize(("limit_w", "closed"), [(20_000.0, (False, False)), (7_000.0, (True, False)), (4_000.0, (False, True)), (0.0, (True, True))])
def test_a_staged_inverter_takes_the_step_at_or_below_its_part(limit_w: float, closed: tuple[bool, bool]) -> None:
    stages = [{"percent": 100}, {"percent": 60, "closed": ["a"]}, {"percent": 30, "closed": ["b"]}, {"percent": 0, "closed": ["a", "b"]}]
    relays = tuple({"id": name, "closes": "stage", "pin": PIN} for name in "ab")
    plant = Plant(config(({"id": "roof", "max_power_w": 10_000, "control": {"type": "relays", "stages": stages}},), relays=relays))
    plant.sun_w, plant.load_w, plant.exports = 10_000.0, 0.0, ((limit_w, "export limit"),)
    for _ in range(120):
        part = {(False, False): 1.0, (True, False): 0.6, (False, True): 0.3, (True, True): 0.0}[plant.fleet["a"].closed, plant.fleet["b"].closed]
        plant.fleet["roof"].setpoint_w, plant.fleet["roof"].until_s = 10_000.0 * part, plant.now + 10.0
        plant.run(1)
    assert (plant.fleet["a"].closed, plant.fleet["b"].closed) == closed
    assert min(plant.grid[60:]) >= -limit_w - 1.0
