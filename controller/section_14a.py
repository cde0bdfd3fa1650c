"""The minimum power that a grid operator leaves to controllable loads behind an energy manager (Germany, section 14a EnWG).

Pmin = first + (n - 1) * factor(n) * per_device_w. first: per_device_w, or the share of large heat pumps and coolers where that is more;
they are among the n devices. A table and a formula, nothing else; both are configuration.
"""

from __future__ import annotations

from controller.config import Config
from controller.config_signals import PowerOrMinimum, Section14aConfig


def minimum_w(devices: int, config: Section14aConfig) -> float:
    """Pmin [W] of so many controllable devices (at least one counts)."""
    count = max(1, devices)
    factor = config.factors[min(count, len(config.factors)) - 1]
    first_w = max(config.per_device_w, config.large_device_w * config.large_share_percent / 100.0)
    return first_w + (count - 1) * factor * config.per_device_w


def devices_of(config: Config) -> int:
    """Controllable devices of a site: as told, else every EVSE, and the battery if there is one."""
    if config.section_14a.devices is not None:
        return config.section_14a.devices
    return sum(len(station.evses) for station in config.stations) + (config.battery is not None)


def resolved_w(value: PowerOrMinimum | None, config: Config) -> float | None:
    """A number of the site file, or the minimum in its place [W]."""
    return minimum_w(devices_of(config), config.section_14a) if isinstance(value, str) else value
