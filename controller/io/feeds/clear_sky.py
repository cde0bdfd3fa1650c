"""A child process: what PV plants would give without a cloud, by pvlib. ``python -m controller.io.feeds.clear_sky``.

One JSON request on standard input, one JSON answer on standard output:

    {"plants": [{"latitude", "longitude", "altitude_m", "peak_w", "tilt_degrees", "azimuth_degrees", "inverter_w", "losses_percent"}],
     "begin_wall_s": Unix seconds, "count": slots, "step_s": 900}
    {"watts": [...]}     one mean power per slot, all plants together

pvlib brings 130 MB and seconds of import: never in the controller's own process, and gone after the answer. Irradiance by Ineichen with the
monthly turbidity of the place (3.0 where the table is missing), isotropic diffuse light, on the plane of the modules; losses, then the
inverter's limit, plant by plant. Cell temperature and shade are not modelled: what is measured corrects for both (``optimizer.sunny``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

SAMPLES = 3
"""The power of a slot is the mean of so many moments in it: the sun rises inside of one."""
TURBIDITY = 3.0
MOST_SLOTS = 20_000
NICE = 10
"""Rank of the child: chargers and meters come first, also on one core."""


def plant_power_w(plant: dict[str, Any], moments: Any) -> Any:
    """AC power of one plant at each moment [W], as an array. moments: a DatetimeIndex in UTC."""
    from pvlib import clearsky, irradiance, location

    place = location.Location(plant["latitude"], plant["longitude"], tz="UTC", altitude=plant["altitude_m"])
    sun = place.get_solarposition(moments)
    try:
        turbidity = clearsky.lookup_linke_turbidity(moments, plant["latitude"], plant["longitude"])
    except (ImportError, OSError):
        turbidity = TURBIDITY
    sky = place.get_clearsky(moments, model="ineichen", solar_position=sun, linke_turbidity=turbidity)
    plane = irradiance.get_total_irradiance(
        plant["tilt_degrees"], plant["azimuth_degrees"], sun["apparent_zenith"], sun["azimuth"], sky["dni"], sky["ghi"], sky["dhi"]
    )
    direct_w = plant["peak_w"] * plane["poa_global"].fillna(0.0).clip(lower=0.0) / 1000.0 * (1.0 - plant["losses_percent"] / 100.0)
    return direct_w.clip(upper=plant["inverter_w"]).to_numpy()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request. Raises ValueError, KeyError, TypeError for one that makes no sense."""
    import pandas

    count, step_s = int(request["count"]), float(request["step_s"])
    if not 0 < count <= MOST_SLOTS or not 60.0 <= step_s <= 3600.0 or not request["plants"]:
        raise ValueError("a request needs plants, 1 to 20000 slots, and steps of 60 to 3600 s")
    shifts_s = [(number + 0.5) * step_s / SAMPLES for number in range(SAMPLES)]
    begins_s = [float(request["begin_wall_s"]) + number * step_s + shift_s for number in range(count) for shift_s in shifts_s]
    moments = pandas.to_datetime(begins_s, unit="s", utc=True)
    total = sum(plant_power_w(plant, moments) for plant in request["plants"])
    return {"watts": [round(float(watts), 1) for watts in total.reshape(count, SAMPLES).mean(axis=1)]}


def main() -> None:
    """Serve one request."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--memory-mb", type=int, default=0, help="cap on the address space; 0 = none")
    limit_mb = parser.parse_args().memory_mb
    os.nice(NICE)
    if limit_mb:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit_mb << 20, limit_mb << 20))
    json.dump(answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
