"""Things in a valid site file that somebody should look at twice. They refuse nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from urllib.parse import urlsplit

from controller.checking.csip import csip_cautions
from controller.checking.device_rules import device_cautions
from controller.checking.fallback import path_to_grid
from controller.checking.feeds import feed_cautions
from controller.checking.links import link_cautions
from controller.checking.meters import meter_cautions
from controller.checking.modbus_lines import line_cautions
from controller.checking.openadr import openadr_cautions
from controller.checking.problems import Problem, Where, listed
from controller.checking.rules import Site
from controller.checking.secret_files import open_to_others
from controller.checking.signal_rules import signal_cautions
from controller.checking.unattended import unattended_cautions
from controller.config import ROOT_CIRCUIT, Config, ModbusSource
from controller.config_base import is_loopback
from controller.config_meters import SunSpecSource

SHORTEST_PASSWORD = 16
"""OCPP asks for passwords of 16 to 40 characters (A00.FR.205)."""
RENEWED_PART = 0.75
"""A setpoint is renewed at the latest at this part of its life when writes are scarce."""
LONG_LIMIT_S = 7 * 86_400.0


def warnings_about(site: Site) -> list[Problem]:
    """All warnings, in the order of the rules below."""
    rules = (_grid, _circuits, _stations, _chargers, _unbalance, _passwords, _fallbacks, _meters, _offered, _upstreams, _limits, _times, _battery)
    config = site.config
    signals = (signal_cautions(config), csip_cautions(config), openadr_cautions(config))
    others = (link_cautions(config), feed_cautions(config), line_cautions(config, site.templates), *signals)
    found = [*(one for rule in rules for one in rule(site)), *(one for part in others for one in part)]
    overdraw = {name: model.overdraw_part for name, model in site.chargers.items()}
    return [*found, *device_cautions(config, site.templates), *unattended_cautions(config, overdraw)]


def _grid(site: Site) -> Iterator[Problem]:
    grid = site.config.grid
    if grid.meter is None:
        message = (
            f"no meter at the grid connection: {grid.worst_other_load_a:g} A per phase (worst_other_load_a) stay reserved for the building "
            "all the time. A meter sets free what the building does not use"
        )
        yield Problem(("grid",), message)
    if grid.margin_a == 0:
        yield Problem(("grid", "margin_a"), "nothing is kept free below the fuses; 1 A or more absorbs the inaccuracy of meters and cars")
    most_w = grid.fuse_a * grid.voltage_v * grid.phases
    if grid.max_import_w is not None and grid.max_import_w > most_w:
        yield Problem(("grid", "max_import_w"), f"{grid.max_import_w:g} W is more than the fuse carries ({most_w:.0f} W) and has no effect")
    if grid.worst_other_load_a >= grid.fuse_a:
        yield Problem(("grid", "worst_other_load_a"), "the other load alone can fill the fuse; then nothing can be charged")


def _circuits(site: Site) -> Iterator[Problem]:
    fuses = {ROOT_CIRCUIT: site.config.grid.fuse_a} | {circuit.id: circuit.fuse_a for circuit in site.config.circuits}
    used = {step for station in site.config.stations for step in path_to_grid(site.config, station.circuit)}
    for number, circuit in enumerate(site.config.circuits):
        above_a = fuses.get(circuit.parent, circuit.fuse_a)
        if circuit.fuse_a > above_a:
            message = f"{circuit.fuse_a:g} A is more than the fuse above it ({circuit.parent}, {above_a:g} A), which then limits alone; right?"
            yield Problem(("circuits", number, "fuse_a"), message)
        if circuit.id not in used:
            yield Problem(("circuits", number, "id"), f"no station hangs on circuit {circuit.id!r}")


def _stations(site: Site) -> Iterator[Problem]:
    config = site.config
    if not config.stations:
        yield Problem(("stations",), "no stations: every charger that dials will be refused until it is listed here")
    fuses = {ROOT_CIRCUIT: config.grid.fuse_a} | {circuit.id: circuit.fuse_a for circuit in config.circuits}
    for where, station, evse in site.evses():
        narrowest = min(((fuses[name], name) for name in path_to_grid(config, station.circuit)), default=None)
        if narrowest is not None and evse.max_current_a > narrowest[0]:
            fuse_a, name = narrowest
            message = f"{station.id}/{evse.id}: {evse.max_current_a:g} A can never be reached behind the fuse of {name!r} ({fuse_a:g} A)"
            yield Problem((*where, "max_current_a"), message)
        if evse.v2g is not None and config.grid.max_export_w is None:
            message = f"{station.id}/{evse.id}: cars may give back and grid.max_export_w is not set; ask the grid operator what may be fed in"
            yield Problem((*where, "v2g"), message)


def _chargers(site: Site) -> Iterator[Problem]:
    """What the charger models mean for this site."""
    life_s = site.config.control.setpoint_life_s
    for number, station in enumerate(site.config.stations):
        model, where = site.chargers.get(station.model), ("stations", number, "model")
        if model is None:
            continue
        needed = math.ceil(len(station.evses) * 86_400 / (RENEWED_PART * life_s))
        if 0 < model.writes_per_day < needed:
            message = (
                f"{station.id}: {model.writes_per_day} profiles a day are not enough to keep a setpoint alive all day ({needed} are): "
                "part of the day it stands at its fallback; a longer control.setpoint_life_s needs fewer"
            )
            yield Problem(where, message)
        as_one = model.csms_profiles == "overlay" or model.purposes == ("ChargingStationMaxProfile",)
        if as_one and len(station.evses) > 1:
            message = f"{station.id}: this model can only be held as a whole: the limits of its single EVSEs cannot be promised"
            yield Problem(where, message)
        if as_one and any(evse.v2g is not None for evse in station.evses):
            yield Problem(where, f"{station.id}: this model takes no discharge setpoints, so its v2g has no effect")


def _unbalance(site: Site) -> Iterator[Problem]:
    """A limit below the minimum current keeps every single-phase car from charging alone."""
    most_a = site.config.grid.max_unbalance_a
    single = [f"{station.id}/{evse.id}" for _, station, evse in site.evses() if most_a is not None and evse.min_current_a > most_a]
    if most_a is not None and single:
        message = f"{most_a:g} A is less than the smallest charging current: a one-phase car at {listed(single, 6)} can never charge alone"
        yield Problem(("grid", "max_unbalance_a"), message)


def _passwords(site: Site) -> Iterator[Problem]:
    config = site.config
    stations = list(enumerate(config.stations))
    without = [station.id for _, station in stations if not (station.password or station.password_file or station.password_hash)]
    if without and not is_loopback(config.listen.host):
        who = listed(without, 6)
        message = f"{len(without)} without a password: anybody in the network can pretend to be {who}. Add password_file or password_hash to each"
        yield Problem(("stations",), message)
    for number, station in stations:
        if station.password is not None and len(station.password.get_secret_value()) < SHORTEST_PASSWORD:
            where: Where = ("stations", number, "password" if station.password_file is None else "password_file")
            yield Problem(where, f"the password of {station.id} is shorter than the {SHORTEST_PASSWORD} characters OCPP asks for")
    for where, path in open_to_others(config):
        yield Problem(where, f"every user of this machine can read {path}; run: chmod 600 {path}")


def _fallbacks(site: Site) -> Iterator[Problem]:
    evses = [evse for _, _, evse in site.evses()]
    if evses and not any(evse.fallback_a for evse in evses):
        message = (
            "every fallback_a is 0: safe, but if Yardmaster or a network cable fails nobody charges at all. "
            "6 A per EVSE keep cars charging where the fuse allows it"
        )
        yield Problem(("stations",), message)


def _meters(site: Site) -> Iterator[Problem]:
    config = site.config
    named = {config.grid.meter, *(circuit.meter for circuit in config.circuits), config.battery.meter if config.battery else None}
    for number, meter in enumerate(config.meters):
        if meter.role not in ("pv", "load") and meter.id not in named:
            place = {"grid": "grid.meter", "circuit": "circuits[].meter", "battery": "battery.meter"}[meter.role]
            yield Problem(("meters", number, "id"), f"meter {meter.id!r} is read but not used; name it in {place}")
        if isinstance(meter.source, ModbusSource):
            yield from _modbus(site, ("meters", number, "source"), meter.role, meter.source)
        yield from meter_cautions(config, number, meter, site.templates)
        if isinstance(meter.source, SunSpecSource):
            yield from _late(site, ("meters", number, "source"), meter.role, meter.source.poll_s)


def _modbus(site: Site, where: Where, role: str, source: ModbusSource) -> Iterator[Problem]:
    template = site.templates.get(source.map)
    yield from _late(site, where, role, source.poll_s)
    if template is None:
        return
    if source.poll_s < template.min_poll_s:
        yield Problem((*where, "poll_s"), f"{template.name} gives new values only every {template.min_poll_s:g} s; polling faster may disturb it")
    if template.transport == "tcp" and source.framing == "rtu_over_tcp":
        yield Problem((*where, "framing"), f"{template.name} speaks Modbus TCP; rtu_over_tcp is for a serial gateway in raw mode")


def _late(site: Site, where: Where, role: str, poll_s: float) -> Iterator[Problem]:
    late_s = site.config.control.meter_late_s
    if role in ("grid", "circuit") and poll_s > late_s / 2:
        yield Problem((*where, "poll_s"), f"one missed reading makes this meter late (control.meter_late_s is {late_s:g} s); 1 s is usual")


def _offered(site: Site) -> Iterator[Problem]:
    offered = site.config.modbus_server
    if offered is not None and not is_loopback(offered.host):
        message = f"everybody who reaches {offered.host} can read the site's values: Modbus knows no passwords; keep it in the plant's own network"
        yield Problem(("modbus_server", "host"), message)


def _upstreams(site: Site) -> Iterator[Problem]:
    config = site.config
    if not config.upstreams:
        yield Problem(("upstreams",), "no CSMS: Yardmaster answers the stations itself and keeps what they report; nothing is sent to an operator")
    for number, upstream in enumerate(config.upstreams):
        url = urlsplit(upstream.url)
        if url.username or url.password:
            yield Problem(("upstreams", number, "url"), "holds a user name or password, which logs would show; put it into password_file")
        if url.scheme == "ws" and not is_loopback(url.hostname or ""):
            yield Problem(("upstreams", number, "url"), "is not encrypted; use wss:// unless a VPN carries it")


def _limits(site: Site) -> Iterator[Problem]:
    limits, fuse_a = site.config.limits, site.config.grid.fuse_a
    if limits.max_valid_for_s > LONG_LIMIT_S:
        days = limits.max_valid_for_s / 86_400
        yield Problem(("limits", "max_valid_for_s"), f"a forgotten limit may hold the site for {days:g} days; a day is usual")
    if limits.failsafe_a is not None and limits.failsafe_a > fuse_a:
        yield Problem(("limits", "failsafe_a"), f"{limits.failsafe_a:g} A is above the main fuse ({fuse_a:g} A) and has no effect")


def _times(site: Site) -> Iterator[Problem]:
    control = site.config.control
    if control.setpoint_renew_s > control.setpoint_life_s / 2:
        message = (
            f"one lost renewal lets a station fall to its fallback (a setpoint lives {control.setpoint_life_s:g} s and is renewed "
            f"at {control.setpoint_renew_s:g} s); less than half of its life is better"
        )
        yield Problem(("control", "setpoint_renew_s"), message)


def _battery(site: Site) -> Iterator[Problem]:
    battery = site.config.battery
    if battery is not None and battery.meter is None:
        yield Problem(("battery",), "no meter tells the battery's state of charge; plans do not use it until battery.meter is given")


def summary(config: Config) -> str:
    """How many stations and EVSEs, for a headline."""
    evses = sum(len(station.evses) for station in config.stations)
    return f"{len(config.stations)} station{'s' if len(config.stations) != 1 else ''}, {evses} EVSE{'s' if evses != 1 else ''}"
