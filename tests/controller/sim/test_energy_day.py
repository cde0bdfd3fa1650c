"""The energy day in virtual time, the whole engine: inverters, battery and cars act together; bounds and fuse are kept; nothing swings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from controller.check import load_config
from controller.config import Config
from controller.facts import Stamp
from controller.io.chargers import load_chargers
from controller.orders import Severity
from controller.paths import config_dir
from controller.sim.scenario import DEMO_MIDNIGHT_WALL_S, ENERGY, hour_of
from controller.sim.simulate import virtual_config
from controller.sim.strategies import moments
from controller.sim.virtual import VirtualDay

MODELS = load_chargers(config_dir() / "chargers")


@dataclass
class Watched:
    """What was seen, per step."""

    hour: list[float] = field(default_factory=list)
    grid_w: list[float] = field(default_factory=list)
    made_w: list[float] = field(default_factory=list)
    battery_w: list[float] = field(default_factory=list)
    worst_a: list[float] = field(default_factory=list)

    def between(self, series: list[float], begin_h: float, end_h: float) -> list[float]:
        """Part of a series."""
        return [value for hour, value in zip(self.hour, series, strict=True) if begin_h <= hour < end_h]


def longest_above(grid_w: list[float], bound_w: float = 30_000.0) -> int:
    """Most steps (5 s each) in a row with more fed in than allowed: a load that stops shows in one reading and is answered by the next."""
    longest = now = 0
    for watts in grid_w:
        now = now + 1 if -watts > bound_w else 0
        longest = max(longest, now)
    return longest


def site() -> Config:
    return virtual_config(load_config(config_dir() / "site.energy.yaml"))


def play(
    config: Config, begin_h: float, end_h: float, meanwhile: Callable[[VirtualDay, Stamp], None] = lambda day, at: None
) -> tuple[VirtualDay, Watched]:
    start_wall_s = DEMO_MIDNIGHT_WALL_S + 3600.0 * begin_h
    day, seen = VirtualDay(config, ENERGY, start_wall_s, MODELS), Watched()
    for index, at in enumerate(moments(start_wall_s, end_h - begin_h)):
        if index == 0:
            day.begin(at)
        meanwhile(day, at)
        day.step(at)
        physics = day.site.physics
        seen.hour.append(hour_of(at.wall_s))
        seen.grid_w.append(physics.grid.power_w)
        seen.made_w.append(-physics.pv.power_w)
        seen.battery_w.append(physics.battery.power_w)
        seen.worst_a.append(max(abs(amps) for amps in physics.grid.current_a))
    return day, seen


def test_noon_with_prices_below_zero_and_the_afternoon_behind_the_export_limit() -> None:
    day, seen = play(site(), 13.5, 15.6)
    fed_in = [max(0.0, -watts) for watts in seen.between(seen.grid_w, 13.6, 14.98)]
    assert sum(fed_in) / len(fed_in) < 700.0  # feeding in costs money: next to nothing is
    assert min(seen.between(seen.made_w, 13.6, 14.98)) < 50_000.0  # of 60 kW and more
    assert longest_above(seen.between(seen.grid_w, 15.1, 15.6)) <= 2
    assert max(seen.between(seen.battery_w, 13.6, 14.98)) > 25_000.0
    assert max(seen.worst_a) < 125.0
    assert not [tell for tell in day.told if tell.severity is Severity.ALARM]
    devices = {view.id: view for view in day.engine.site.view(Stamp(0.0, 0.0)).devices}
    assert set(devices) == {"battery", "roof-east", "roof-south", "roof-west"}


def test_the_section_14a_limit_binds_and_is_used() -> None:
    """The story promises a limit that can be seen: more before, as much as allowed meanwhile, more again afterwards."""
    cars_w: list[tuple[float, float]] = []

    def watch(day: VirtualDay, at: Stamp) -> None:
        cars_w.append((hour_of(at.wall_s), 230.0 * sum(day.site.ev_current_a())))

    play(site(), 20.1, 21.8, watch)
    before, held, after = ([watts for hour, watts in cars_w if begin <= hour < end] for begin, end in ((20.3, 20.5), (20.55, 21.5), (21.6, 21.8)))
    assert min(before) > 30_000.0
    assert max(held) <= 26_880.0 + 50.0
    assert sum(held) / len(held) > 22_000.0
    assert max(after) > 35_000.0


def test_one_inverter_refuses_and_the_other_makes_up_for_it() -> None:
    def refusing(day: VirtualDay, at: Stamp) -> None:
        day.devices.refuses = {"roof-west"}

    day, seen = play(site(), 14.9, 15.5, refusing)
    assert longest_above(seen.between(seen.grid_w, 15.1, 15.5)) <= 2
    assert any("roof-west does not take commands" in tell.text for tell in day.told)


def test_another_master_of_the_battery_is_left_alone_and_the_site_stays_inside_its_bounds() -> None:
    def meddling(day: VirtualDay, at: Stamp) -> None:
        if hour_of(at.wall_s) >= 15.2:
            day.devices.others = {"battery": -3_000.0}

    day, seen = play(site(), 15.0, 15.7, meddling)
    assert any("something else commands battery" in tell.text for tell in day.told)
    assert seen.battery_w[-1] == pytest.approx(-3_000.0)  # theirs, not ours
    assert longest_above(seen.between(seen.grid_w, 15.1, 15.7)) <= 2
    assert max(seen.worst_a) < 125.0


def test_the_fuse_holds_when_a_full_battery_would_like_to_charge_beside_all_cars() -> None:
    """A small connection, dear evening behind: cars and battery both want all there is; together they never take more than the fuse."""
    config = site()
    grid = config.grid.model_copy(update={"fuse_a": 70.0})
    cheap = config.tariff.model_copy(
        update={"demand_per_kw": 0.0, "buy": tuple(w.model_copy(update={"price_per_kwh": 0.01}) for w in config.tariff.buy)}
    )
    battery = config.battery.model_copy(update={"reserve_percent": 90.0}) if config.battery is not None else None
    _, seen = play(config.model_copy(update={"grid": grid, "tariff": cheap, "battery": battery}), 17.0, 18.5)
    assert max(seen.worst_a[24:]) <= 70.5
    assert max(seen.battery_w) > 3_000.0
