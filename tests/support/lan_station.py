"""A charging station in a process of its own, for networks that are broken around it: ``python -m tests.support.lan_station URL``.

It keeps dialling, charges a car from its first acceptance on, and prints a JSON line whenever something changes: connected, how often it has
connected, what its profiles allow [A]. A line on its input is the new address of its controller, as its name server would tell it.
"""

from __future__ import annotations

import asyncio
import json
import sys

from controller.io.tasks import spawn
from controller.sim.station_client import StationClient
from tests.support.depot import Depot

LOOK_S = 0.05


async def main(url: str) -> None:
    """Live until killed or until the input ends."""
    async with Depot(url, 1, sample_s=1.0) as depot:
        station, client = depot.stations[0], depot.clients[0]
        client.heartbeat_s = 3.0
        addresses = spawn(_addresses(client), "addresses")
        times, was, said, plugged = 0, False, "", False
        while not addresses.done():
            times, was = times + (station.connected and not was), station.connected
            if station.accepted and not plugged:
                plugged = True
                depot.plug_in()
            text = json.dumps({"connected": station.connected, "times": times, "offer_a": depot.offer_a()})
            if text != said:
                said = text
                print(text, flush=True)
            await asyncio.sleep(LOOK_S)


async def _addresses(client: StationClient) -> None:
    """Each new address is dialled from the next try on."""
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        client.url = f"{line}/CP1"


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
