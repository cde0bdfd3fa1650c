"""Battery and inverters beside cars, the whole engine in closed loop: whatever the devices are like, no breaker could have tripped.

Devices obey late, ramp, obey twice, forget, reboot, confirm and do nothing, have sign or scale wrong, fall silent or are commanded by somebody
else; meters fall silent, clocks jump, the program is killed with commands in force. Each second every breaker is judged, and the bounds of
feeding in and drawing. Nobody plans in most of these worlds: the arbiter alone fills every fuse.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.check import load_config
from controller.config import Config
from controller.config_signals import ApiSignal
from controller.facts import Direction
from controller.io.chargers import load_chargers
from controller.paths import config_dir
from controller.sim.devices import BATTERY, Temper
from controller.sim.scenario import ENERGY
from controller.sim.simulate import virtual_config
from tests.support.energy_world import FAULTS, EnergyWorld, Trouble, weather
from tests.support.examples import examples

MODELS = load_chargers(config_dir() / "chargers")
COPPER_S = 12.0
"""So long a breaker may be above its fuse at a time: a reading, a cut, a station that takes its time; copper bears far more."""


def site(fuse_a: float = 125.0, reserve_percent: float = 15.0) -> Config:
    config = virtual_config(load_config(config_dir() / "site.energy.yaml"))
    assert config.battery is not None
    return config.model_copy(
        update={
            "grid": config.grid.model_copy(update={"fuse_a": fuse_a, "worst_other_load_a": 40.0}),
            "battery": config.battery.model_copy(update={"reserve_percent": reserve_percent}),
            "signals": tuple(ApiSignal(id=name, type="api", heartbeat_s=0) for name in ("operator", "roofs")),
        }
    )


def tempers() -> st.SearchStrategy[Temper]:
    return st.builds(
        Temper,
        reacts_s=st.sampled_from((0.0, 1.0, 5.0, 15.0, 30.0)),
        ramp_s=st.sampled_from((0.0, 3.0, 10.0)),
        twice_s=st.sampled_from((0.0, 5.0)),
        scale=st.sampled_from((1.0, 1.0, -1.0, 2.0, 0.1)),
        life_s=st.sampled_from((None, 0.0, 15.0)),
    )


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    battery=tempers(),
    roof=tempers(),
    what=st.sampled_from(FAULTS),
    lasts_s=st.sampled_from((5.0, 40.0, 100.0)),
    fuse_a=st.sampled_from((50.0, 63.0, 80.0)),
    reserve_percent=st.sampled_from((15.0, 63.0)),
    hour=st.sampled_from((12.0, 17.6, 18.5)),
)
def test_law_no_breaker_trips_whatever_the_devices_are_like(
    seed: int, battery: Temper, roof: Temper, what: str, lasts_s: float, fuse_a: float, reserve_percent: float, hour: float
) -> None:
    random = Random(seed)
    config = site(fuse_a, reserve_percent)
    trouble = Trouble(what, 70.0, 70.0 + lasts_s, random.choice(config.inverters).id, random.uniform(-30_000.0, 30_000.0))
    limits = {50: (Direction.PRODUCTION, random.choice((0.0, 5_000.0)))}
    odd = {BATTERY: battery, random.choice(config.inverters).id: roof}
    world = EnergyWorld(config, weather(random), hour, MODELS, tempers=odd, troubles=[trouble], limits=limits, plan=False).run(190)
    assert world.thermal() < 1.0
    assert world.seen.below_least_wh < 1.0
    assert not [tell for tell in world.told if "internal error" in tell.text]


@pytest.mark.parametrize(("reacts_s", "ramp_s"), [(0.0, 0.0), (1.0, 3.0), (5.0, 3.0)])
def test_devices_by_the_book_keep_both_limits_and_do_not_swing(reacts_s: float, ramp_s: float) -> None:
    config, temper = site(), Temper(reacts_s, ramp_s)
    names = (BATTERY, *(one.id for one in config.inverters))
    limits = {60: (Direction.PRODUCTION, 5_000.0), 240: (Direction.CONSUMPTION, 20_000.0)}
    world = EnergyWorld(config, weather(Random(3)), 13.6, MODELS, tempers=dict.fromkeys(names, temper), limits=limits, plan=False).run(420)
    follows_s = reacts_s + ramp_s + 4.0
    assert max((lasted for _, lasted, _ in world.seen.export_runs), default=0.0) <= follows_s
    assert max((lasted for _, lasted, _ in world.seen.import_runs), default=0.0) <= follows_s + 4.0
    assert world.turns(world.seen.battery_w[120:240], 1_500.0) <= 4
    assert world.turns(world.seen.ev_w[120:240], 1_500.0) <= 4
    assert max(phase.longest_s for breaker in world.breakers.values() for phase in breaker.phases) == 0.0


@pytest.mark.parametrize(("reacts_s", "ramp_s"), [(0.0, 0.0), (1.0, 0.0), (4.0, 2.0)])
def test_inverters_at_a_bound_stand_still(reacts_s: float, ramp_s: float) -> None:
    """The battery is full, the sky is even: what the inverters show is always a moment older than what the grid's meter shows."""
    config = site()
    sky, odd = replace(ENERGY, battery_soc=((0.0, 1.0), (24.0, 1.0))), {one.id: Temper(reacts_s, ramp_s) for one in config.inverters}
    world = EnergyWorld(config, sky, 15.2, MODELS, tempers=odd, limits={2: (Direction.PRODUCTION, 5_000.0)}, plan=False).run(360)
    assert world.turns(world.seen.made_w[180:], 500.0) <= 2
    later_s = [lasted for began_s, lasted, _ in world.seen.export_runs if began_s > 30.0]  # the sun is found at its height
    assert max(later_s, default=0.0) <= reacts_s + ramp_s + 6.0  # a car leaves, in six seconds
    assert min(world.seen.grid_w[300:]) > -5_300.0
    assert sum(world.seen.grid_w[300:]) / 60.0 < -4_300.0  # and what may be fed in is


def test_a_killed_controller_leaves_a_discharge_that_a_fuse_hangs_on_until_the_chargers_have_fallen_back() -> None:
    """30 kW from the battery carry the cars on a small connection; the controller dies and stays dead for five minutes."""
    killed = Trouble("killed", 160.0, 460.0)
    world = EnergyWorld(site(40.0, 10.0), weather(Random(34)), 18.5, MODELS, troubles=[killed], plan=False).run(159)
    grid, battery_w = world.breakers["grid"].phases, world.seen.battery_w[-1]
    assert max(world.site.physics.grid.current_a) - battery_w / (3 * 230.0) > 44.0  # without it the fuse would be over by a tenth
    world.run(300)
    assert max(phase.longest_s for phase in grid) <= COPPER_S
    assert world.thermal() < 0.85


def test_at_its_reserve_it_ends_its_discharge_beside_hungry_cars() -> None:
    """The cars want more than there is all the time; it must not go on giving for that, nor drop its load onto the fuse."""
    world = EnergyWorld(site(63.0, 54.3), weather(Random(34)), 18.5, MODELS, plan=False).run(330)
    assert min(world.seen.battery_w[60:80]) < -20_000.0
    assert max(map(abs, world.seen.battery_w[-60:])) < 100.0
    assert world.seen.below_reserve_wh < 50.0
    assert max(phase.longest_s for breaker in world.breakers.values() for phase in breaker.phases) == 0.0


def test_a_battery_with_the_sign_the_wrong_way_round_is_given_up() -> None:
    world = EnergyWorld(site(63.0), weather(Random(24)), 17.6, MODELS, tempers={BATTERY: Temper(1.0, 2.0, scale=-1.0)}, plan=False).run(240)
    assert any("battery confirms its commands but does something else" in tell.text for tell in world.told)
    assert world.thermal() < 1.0
