"""From a SetDERControl frame of the CSMS to the last charger's setpoint on the wire: the depot as one 2.1 station, cars giving back.

The real engine with its faces, sessions and schemas, simulated stations, virtual time. The limit drops to 0 and comes back, round after round.
Told is the virtual time (0 = in the same call, before any tick) and the CPU time of this process until the frame for the last charger is made,
its simulated stations' answers included; sockets and disk are not in it.

    python tests/bench/bench_der.py [--stations 20 100] [--rounds 10]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.der_world import DerWorld, limit, site_setpoint


def measure(stations: int, rounds: int) -> tuple[list[float], list[float]]:
    """(virtual seconds, CPU milliseconds) of each round."""
    world = DerWorld(stations)
    world.park()
    world.csms("SetChargingProfile", site_setpoint(-6_000.0 * stations))
    world.run(40)
    virtual: list[float] = []
    cpu: list[float] = []
    for number in range(rounds):
        begin, begun_s, begun_cpu_s = len(world.wire), world.at.mono_s, time.process_time()
        world.csms("SetDERControl", limit(f"c{number}", 0.0))
        told = {sent.station_id: sent for sent in world.wire[begin:] if sent.watts <= 0}
        if len(told) < stations:
            world.run(2)
            told = {sent.station_id: sent for sent in world.wire[begin:]}
        last = max(told.values(), key=lambda sent: sent.cpu_s)
        virtual.append(last.mono_s - begun_s)
        cpu.append(1000.0 * (last.cpu_s - begun_cpu_s))
        world.run(20)
        world.csms("ClearDERControl", {"isDefault": True, "controlId": f"c{number}"})
        world.run(30)
    return virtual, cpu


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stations", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    for stations in asked.stations:
        virtual, cpu = measure(stations, asked.rounds)
        print(
            f"{stations} chargers: SetDERControl to the last setpoint {max(virtual):.1f} s virtual, "
            f"CPU {statistics.median(cpu):.1f} ms median, {max(cpu):.1f} ms worst of {asked.rounds}"
        )


if __name__ == "__main__":
    main()
