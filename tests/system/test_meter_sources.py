"""Every kind of meter at a fuse of its own, in one running site: the fuse is kept while the meter is well and when it is not.

Modbus RTU on a serial line, two meters behind one RTU gateway, Modbus/TLS, SunSpec, a Shelly over HTTP, MQTT, and a meter worked out from
two others. F40, F42, B37, B42.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.support.depot import FALLBACK_A, Depot, stations_config
from tests.support.metered_feeders import Feeders
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

FUSE_A, WORST_A = 44.0, 35.0
LOST_S = 6.0
CONTROL = {"meter_lost_s": LOST_S, "setpoint_life_s": 30, "setpoint_renew_s": 10, "offline_hold_s": 30, "ramp_up_a_per_s": 20, "plan_every_s": 5}


async def test_no_kind_of_meter_lets_its_fuse_be_overloaded(tmp_path: Path, mosquitto: Broker) -> None:
    feeders = Feeders(tmp_path, mosquitto.port)
    async with feeders.up():
        names = feeders.NAMES
        stations = [{**station, "circuit": f"at-{name}"} for station, name in zip(stations_config(len(names)), names, strict=True)]
        data = site(
            tmp_path,
            grid={"fuse_a": 630, "worst_other_load_a": 200},
            circuits=[{"id": f"at-{name}", "fuse_a": FUSE_A, "worst_other_load_a": WORST_A, "meter": name} for name in names],
            stations=stations,
            meters=[*({"id": name, "role": "circuit", "source": feeders.sources[name]} for name in names), *feeders.parts],
            mqtt={"host": mosquitto.host, "port": mosquitto.port},
            control=CONTROL,
        )
        async with Yard(tmp_path, data) as yard, Depot(yard.ocpp_url, len(names), sample_s=1.0) as depot:
            for station, name in zip(depot.stations, names, strict=True):
                feeders.all[name].car_a = lambda station=station: station.site_current_a()[0]  # type: ignore[misc]
            await until(lambda: all(station.accepted for station in depot.stations))
            for number in range(len(names)):
                depot.plug_in(number)
            await charging(feeders)

            for feeder in feeders.all.values():
                feeder.building_a = 30.0
            await until(lambda: all(feeder.total_a <= FUSE_A for feeder in feeders.all.values()), 10)
            await until(lambda: all(feeder.car_a() > FALLBACK_A for feeder in feeders.all.values()), 30)  # what is left is used
            await at_ease(feeders)

            await kept_without_meters(feeders, yard, "nonsense")
            await feeders.well_again()
            await at_ease(feeders)
            await kept_without_meters(feeders, yard, "dead")


async def kept_without_meters(feeders: Feeders, yard: Yard, trouble: str) -> None:
    """All meters fail, and what nobody sees any more rises to the most the site file allows for."""
    await feeders.befalls(trouble)
    for feeder in feeders.all.values():
        feeder.building_a = WORST_A
    await until(lambda: all(feeder.total_a <= FUSE_A for feeder in feeders.all.values()), LOST_S + 10)
    await until(lambda: held(yard, len(feeders.NAMES)), 20)


async def held(yard: Yard, count: int) -> bool:
    """Whether every meter counts as lost, with a reason."""
    meters = [meter for meter in (await yard.state())["site"]["meters"] if meter["role"] == "circuit"]
    return len(meters) == count and all(meter["health"] == "lost" and meter["detail"] for meter in meters)


async def at_ease(feeders: Feeders) -> None:
    for feeder in feeders.all.values():
        feeder.building_a = 8.0
    await charging(feeders)


async def charging(feeders: Feeders) -> None:
    await until(lambda: all(feeder.car_a() >= 31.0 for feeder in feeders.all.values()), 60)
