"""A day of the energy site under other skies and prices, with two limits and devices, meters and clocks that fail: what breakers and bounds saw.

Virtual time, one second a step, the whole engine (``tests/support/energy_world.py``). Ends with 1 if a breaker could have tripped. Half an hour takes
about five seconds of CPU.

    python tests/bench/bench_energy_site.py [--seed 101] [--from 0] [--hours 24] [--fault-every 900]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from controller.check import load_config
from controller.config import Config
from controller.config_signals import ApiSignal
from controller.facts import Direction
from controller.io.chargers import load_chargers
from controller.paths import config_dir
from controller.sim.simulate import virtual_config
from tests.support.energy_world import EnergyWorld, Trouble, prices, tempers, troubles, weather


def site(random: Random) -> Config:
    config = prices(virtual_config(load_config(config_dir() / "site.energy.yaml")), random)
    return config.model_copy(update={"signals": tuple(ApiSignal(id=name, type="api", heartbeat_s=0) for name in ("operator", "roofs"))})


def limits(random: Random, seconds: float) -> Mapping[int, tuple[Direction, float | None]]:
    """Both directions, one after the other and together, again and again."""
    found: dict[int, tuple[Direction, float | None]] = {}
    for begin in range(300, int(seconds), 2000):
        found[begin] = Direction.CONSUMPTION, random.uniform(15_000.0, 40_000.0)
        found[begin + 200] = Direction.PRODUCTION, random.choice((0.0, 5_000.0, 15_000.0))
        found[begin + 900], found[begin + 1200] = (Direction.CONSUMPTION, None), (Direction.PRODUCTION, None)
    return found


def near(world: EnergyWorld, begin_s: float, lasted_s: float) -> list[str]:
    """Faults that were there, or had been a minute before."""
    return [one.what for one in world.troubles if one.from_s < begin_s + lasted_s and one.to_s > begin_s - 60.0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--from", dest="begin_h", type=float, default=0.0)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--fault-every", type=float, default=900.0, help="mean time between faults [s], 0 = none")
    arguments = parser.parse_args()
    random, seconds, began_s = Random(arguments.seed), arguments.hours * 3600.0, time.monotonic()
    config = site(random)
    said = limits(random, seconds)
    sky, how = weather(random), tempers(config, random)
    faults: list[Trouble] = troubles(random, seconds, arguments.fault_every, config) if arguments.fault_every else []
    models = load_chargers(config_dir() / "chargers")
    world = EnergyWorld(config, sky, arguments.begin_h, models, tempers=how, troubles=faults, limits=said).run(seconds)
    print(f"seed {arguments.seed}: {seconds / 3600:g} h in {time.monotonic() - began_s:.0f} s, {len(faults)} faults, {len(said) // 2} limits")
    for name, breaker in world.breakers.items():
        peak_a, over_s = max(one.peak_a for one in breaker.phases), max(one.over_s for one in breaker.phases)
        print(f"  {name:8} fuse {breaker.fuse_a:g} A, peak {peak_a:.0f} A, over it {over_s:.0f} s")
    print(f"  warmest pole {world.thermal():.2f} (0.78 = never over its fuse, 1.0 = may have tripped)")
    for way, runs in (("feed-in", world.seen.export_runs), ("import", world.seen.import_runs)):
        alone = [lasted for begin, lasted, _ in runs if not near(world, begin, lasted)]
        print(f"  {way} over its bound: {len(runs)} times; without a fault at the time {len(alone)}, at most {max(alone, default=0.0):.0f} s")
    turns = world.turns(world.seen.battery_w, 1_500.0), world.turns(world.seen.ev_w, 1_500.0)
    print(f"  battery below its reserve: {world.seen.below_reserve_wh:.0f} Wh, below its least {world.seen.below_least_wh:.0f} Wh")
    for why, given_wh in sorted(world.seen.below_why_wh.items(), key=lambda item: -item[1]):
        print(f"    {given_wh:5.0f} Wh {why}")
    print(f"  direction changes over 1.5 kW an hour: battery {turns[0] / arguments.hours:.0f}, cars {turns[1] / arguments.hours:.0f}")
    return int(world.thermal() >= 1.0)


if __name__ == "__main__":
    sys.exit(main())
