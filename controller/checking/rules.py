"""The cross checks of a site file: everything that one field alone cannot know (fault F81).

A rule takes the Config (and what ships beside it: register maps, charger models) and yields problems;
it never stops at the first. Each rule names the keys it looks at, so that it can be left out while one
of them is not what the person wrote. The fallback arithmetic has a file of its own.
"""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from controller.checking.csip import csip_problems
from controller.checking.device_rules import device_problems
from controller.checking.drivers import drivers
from controller.checking.fallback import fallback_problems
from controller.checking.feeds import feed_problems
from controller.checking.links import (
    depot_faces,
    file_doors,
    listeners,
    password_hashes,
    security_profiles,
    upstream_names,
    upstream_settings,
)
from controller.checking.meters import meter_problems
from controller.checking.modbus_lines import line_problems
from controller.checking.openadr import openadr_problems
from controller.checking.prices import price_problems
from controller.checking.problems import Problem, Where, did_you_mean, listed
from controller.checking.salvage import pattern_of
from controller.checking.signal_rules import signal_problems
from controller.config import (
    PHASE_INDEX,
    ROOT_CIRCUIT,
    Config,
    EvseConfig,
    InfluxHistory,
    MeterConfig,
    ModbusSource,
    MqttSource,
    PriceWindow,
    StationConfig,
)
from controller.config_base import is_loopback
from controller.config_meters import SunSpecSource
from controller.site.stations.charger import ChargerModel
from meters.sunspec_values import MEASURING
from meters.template import Template

Rule = Callable[["Site"], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class Site:
    """What the rules look at.

    models, maps: names of the charger models and register maps there are. templates: the register maps the
    file uses. broken_maps: those of them that are wrong themselves, with the first thing wrong. chargers: the charger models.
    """

    config: Config
    models: frozenset[str] = frozenset({"generic"})
    maps: frozenset[str] = frozenset()
    templates: Mapping[str, Template] = field(default_factory=dict)
    broken_maps: Mapping[str, str] = field(default_factory=dict)
    chargers: Mapping[str, ChargerModel] = field(default_factory=dict)

    def evses(self) -> Iterator[tuple[Where, StationConfig, EvseConfig]]:
        """Every EVSE with its place in the file."""
        for number, station in enumerate(self.config.stations):
            for position, evse in enumerate(station.evses):
                yield ("stations", number, "evses", position), station, evse


def cross_problems(site: Site, doubtful: frozenset[Where] = frozenset()) -> list[Problem]:
    """All problems the rules find. doubtful: places whose value is a stand-in; what follows from them is left out."""
    return [found for rule, keys in RULES for found in _trusted(rule, keys.split(), site, doubtful)]


def _trusted(rule: Rule, keys: Sequence[str], site: Site, doubtful: frozenset[Where]) -> list[Problem]:
    """What a rule finds, as far as it does not rest on a stand-in."""
    if any(_touches(key, place) for key in keys if not key.startswith(OWN) for place in doubtful):
        return []
    own = {_entry(place) for key in keys if key.startswith(OWN) for place in doubtful if _touches(key[1:], place)}
    return [found for found in rule(site) if not any(found.where[: len(entry)] == entry for entry in own)]


def _touches(key: str, place: Where) -> bool:
    one, two = tuple(key.split(".")), pattern_of(place)
    return one[: len(two)] == two or two[: len(one)] == one


def _entry(place: Where) -> Where:
    """The list entry a place belongs to, e.g. ("stations", 3)."""
    last = max((index for index, step in enumerate(place) if isinstance(step, int)), default=-1)
    return place[: last + 1] or place


# -- names --------------------------------------------------------------------------------------------


def _duplicates(site: Site) -> Iterator[Problem]:
    config = site.config
    yield from _twins("stations", "station", [station.id for station in config.stations])
    yield from _twins("circuits", "circuit", [circuit.id for circuit in config.circuits])
    yield from _twins("meters", "meter", [meter.id for meter in config.meters])
    yield from _twins("upstreams", "upstream", [upstream.id for upstream in config.upstreams])
    for number, station in enumerate(config.stations):
        yield from _twins(("stations", number, "evses"), f"EVSE of station {station.id}", [evse.id for evse in station.evses])


def _twins(place: str | Where, what: str, names: Sequence[str | int]) -> Iterator[Problem]:
    place = (place,) if isinstance(place, str) else place
    first: dict[str | int, int] = {}
    for number, name in enumerate(names):
        if name in first:
            there = ".".join(str(step) for step in (*place, first[name]))
            yield Problem((*place, number, "id"), f"another {what} has the id {name!r} already ({there}); each needs its own")
        first.setdefault(name, number)


def _reserved_circuit(site: Site) -> Iterator[Problem]:
    for number, circuit in enumerate(site.config.circuits):
        if circuit.id == ROOT_CIRCUIT:
            yield Problem(("circuits", number, "id"), "'grid' is the grid connection itself (block 'grid'); give this circuit another name")


def _unknown_circuits(site: Site) -> Iterator[Problem]:
    known = {ROOT_CIRCUIT, *(circuit.id for circuit in site.config.circuits)}
    for number, circuit in enumerate(site.config.circuits):
        yield from _unknown(("circuits", number, "parent"), "circuit", circuit.parent, known)
    for number, station in enumerate(site.config.stations):
        yield from _unknown(("stations", number, "circuit"), "circuit", station.circuit, known)


def _unknown(where: Where, what: str, name: str | None, known: Iterable[str]) -> Iterator[Problem]:
    names = set(known)
    if name is not None and name not in names:
        hint = did_you_mean(name, names) or f" The file names no {what} at all."
        yield Problem(where, f"there is no {what} {name!r}.{hint}")


def _circuit_cycles(site: Site) -> Iterator[Problem]:
    parents = {circuit.id: circuit.parent for circuit in site.config.circuits}
    told: set[str] = set()
    for number, circuit in enumerate(site.config.circuits):
        ring = _ring(parents, circuit.id)
        if ring and not told & set(ring):
            told |= set(ring)
            words = " is fed by ".join([*ring, ring[0]])
            yield Problem(("circuits", number, "parent"), f"the circuits go round in a circle: {words}. One of them needs parent: grid")


def _ring(parents: Mapping[str, str], start: str) -> list[str]:
    """The circle that ``start`` itself lies on; empty if its way up ends."""
    way = [start]
    while (step := parents.get(way[-1])) is not None:
        if step == start:
            return way
        if step in way:
            return []
        way.append(step)
    return []


def _unknown_models(site: Site) -> Iterator[Problem]:
    for number, station in enumerate(site.config.stations):
        yield from _unknown(("stations", number, "model"), "charger model (file in config/chargers)", station.model, site.models)


# -- meters -------------------------------------------------------------------------------------------


def _meter_uses(config: Config) -> list[tuple[Where, str, str]]:
    """(place, meter id, role it must have) wherever a meter is named."""
    grid = [(("grid", "meter"), config.grid.meter, "grid")]
    circuits = [(("circuits", number, "meter"), circuit.meter, "circuit") for number, circuit in enumerate(config.circuits)]
    battery = [(("battery", "meter"), config.battery.meter if config.battery else None, "battery")]
    return [(where, meter, role) for where, meter, role in [*grid, *circuits, *battery] if meter is not None]


def _meter_references(site: Site) -> Iterator[Problem]:
    meters = {meter.id: meter for meter in site.config.meters}
    used: dict[str, Where] = {}
    for where, name, role in _meter_uses(site.config):
        yield from _unknown(where, "meter", name, meters)
        if name not in meters:
            continue
        if meters[name].role != role:
            yield Problem(where, f"meter {name!r} has the role '{meters[name].role}', but a meter named here must have role: {role}")
        if name in used:
            there = ".".join(str(step) for step in used[name])
            yield Problem(where, f"meter {name!r} is already the meter of {there}; it can only measure one place")
        used.setdefault(name, where)


def _meter_sources(site: Site) -> Iterator[Problem]:
    for number, meter in enumerate(site.config.meters):
        where: Where = ("meters", number, "source")
        yield from meter_problems(site.config, number, meter, site.templates)
        if isinstance(meter.source, MqttSource):
            yield from _mqtt_source(site, where, meter.source)
        elif isinstance(meter.source, ModbusSource):
            yield from _unknown((*where, "map"), "register map (file in config/meters)", meter.source.map, site.maps)
            yield from _broken_map(site, where, meter.source)
            yield from _poll_time(site, where, meter, meter.source)
        elif isinstance(meter.source, SunSpecSource):
            yield from _sunspec_models(where, meter.source)
            yield from _poll_time(site, where, meter, meter.source)


def _sunspec_models(where: Where, source: SunSpecSource) -> Iterator[Problem]:
    for position, model_id in enumerate(source.models):
        if model_id not in MEASURING:
            message = f"SunSpec model {model_id} holds no values of a meter; known are {listed([str(known) for known in MEASURING], 30)}"
            yield Problem((*where, "models", position), message)


def _mqtt_source(site: Site, where: Where, source: MqttSource) -> Iterator[Problem]:
    if site.config.mqtt is None:
        yield Problem((*where, "type"), "this meter is read over MQTT, but the file has no 'mqtt' block that names the broker; add one")
    if any(sign in source.topic for sign in "+#") and source.format != "shelly":  # whose first generation has a topic per number
        yield Problem((*where, "topic"), "must be one exact topic, without the wildcards + and #")


def _broken_map(site: Site, where: Where, source: ModbusSource) -> Iterator[Problem]:
    if source.map in site.broken_maps:
        yield Problem((*where, "map"), f"the register map itself cannot be used: {site.broken_maps[source.map]}")


def _poll_time(site: Site, where: Where, meter: MeterConfig, source: ModbusSource | SunSpecSource) -> Iterator[Problem]:
    lost_s = site.config.control.meter_lost_s
    if meter.role in ("grid", "circuit") and source.poll_s >= lost_s:
        message = f"polled every {source.poll_s:g} s it would count as lost between two readings (control.meter_lost_s: {lost_s:g} s); poll faster"
        yield Problem((*where, "poll_s"), message)


# -- EVSEs --------------------------------------------------------------------------------------------


def _evse_currents(site: Site) -> Iterator[Problem]:
    for where, station, evse in site.evses():
        name = f"{station.id}/{evse.id}"
        if evse.min_current_a > evse.max_current_a:
            yield Problem(
                (*where, "max_current_a"),
                f"{name}: the largest current {evse.max_current_a:g} A is below the smallest one, {evse.min_current_a:g} A; "
                "raise max_current_a or lower min_current_a",
            )
        elif evse.fallback_a > evse.max_current_a:
            yield Problem((*where, "fallback_a"), f"{name}: {evse.fallback_a:g} A is above max_current_a, {evse.max_current_a:g} A; lower it")
        elif 0 < evse.fallback_a < evse.min_current_a:
            least = f"{evse.min_current_a:g}"
            message = f"{name}: {evse.fallback_a:g} A is below min_current_a, {least} A, and no car charges with it; write 0, or {least} or more"
            yield Problem((*where, "fallback_a"), message)


def _evse_phases(site: Site) -> Iterator[Problem]:
    count = site.config.grid.phases
    for where, station, evse in site.evses():
        strange = [name for name in evse.phases if PHASE_INDEX[name] >= count]
        if strange:
            message = f"{station.id}/{evse.id}: the grid connection has one phase (grid.phases: 1), {listed(strange)} cannot be; write phases: [L1]"
            yield Problem((*where, "phases"), message)


def _unbalance(site: Site) -> Iterator[Problem]:
    grid = site.config.grid
    if grid.max_unbalance_a is not None and grid.phases == 1:
        yield Problem(("grid", "max_unbalance_a"), "the grid connection has one phase (grid.phases: 1), nothing to balance; remove this line")


def _v2g(site: Site) -> Iterator[Problem]:
    for where, station, evse in site.evses():
        most_w = evse.max_current_a * site.config.grid.voltage_v * len(evse.phases)
        if evse.v2g is not None and evse.v2g.max_discharge_w > most_w:
            message = (
                f"{station.id}/{evse.id}: {evse.v2g.max_discharge_w:g} W is more than the EVSE can carry: "
                f"{evse.max_current_a:g} A x {site.config.grid.voltage_v:g} V x {len(evse.phases)} = {most_w:.0f} W"
            )
            yield Problem((*where, "v2g", "max_discharge_w"), message)


# -- times --------------------------------------------------------------------------------------------


def _timezone(site: Site) -> Iterator[Problem]:
    name = site.config.site.timezone
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        zones = zoneinfo.available_timezones()
        close = difflib.get_close_matches(name, zones, n=3, cutoff=0.5) or sorted(zone for zone in zones if zone.lower().endswith("/" + name.lower()))
        hint = f" Did you mean {' or '.join(repr(zone) for zone in close)}?" if close else " Write it like Europe/Berlin."
        yield Problem(("site", "timezone"), f"there is no time zone {name!r}.{hint}")


def _control_times(site: Site) -> Iterator[Problem]:
    control = site.config.control
    pairs = (
        ("setpoint_renew_s", control.setpoint_renew_s, "setpoint_life_s", control.setpoint_life_s, "a setpoint would end before it is renewed"),
        ("meter_late_s", control.meter_late_s, "meter_lost_s", control.meter_lost_s, "a meter is late first and lost after that"),
        ("tick_s", control.tick_s, "meter_lost_s", control.meter_lost_s, "a lost meter would be noticed too late"),
        ("solver_deadline_s", control.solver_deadline_s, "plan_max_age_s", control.plan_max_age_s, "every plan would be too old when it arrives"),
    )
    for name, value_s, other, other_s, why in pairs:
        if value_s >= other_s:
            yield Problem(("control", name), f"is {value_s:g} s and must be less than {other}, {other_s:g} s: {why}")
    if control.offline_hold_s < control.setpoint_life_s:
        yield Problem(
            ("control", "offline_hold_s"),
            f"is {control.offline_hold_s:g} s and must be at least setpoint_life_s, {control.setpoint_life_s:g} s: "
            "until then a lost station may still draw its last setpoint, and its amps must not be given to others",
        )


def _other_times(site: Site) -> Iterator[Problem]:
    limits = site.config.limits
    if limits.default_valid_for_s > limits.max_valid_for_s:
        message = f"is {limits.default_valid_for_s:g} s and must not be more than max_valid_for_s, {limits.max_valid_for_s:g} s"
        yield Problem(("limits", "default_valid_for_s"), message)
    for number, upstream in enumerate(site.config.upstreams):
        if upstream.reconnect_min_s > upstream.reconnect_max_s:
            message = f"is {upstream.reconnect_min_s:g} s and must not be more than reconnect_max_s, {upstream.reconnect_max_s:g} s"
            yield Problem(("upstreams", number, "reconnect_min_s"), message)


def _tariff(site: Site) -> Iterator[Problem]:
    tariff = site.config.tariff
    yield from _windows(("tariff", "buy"), tariff.buy)
    yield from _windows(("tariff", "sell"), tariff.sell)
    for number, season in enumerate(tariff.seasons):
        yield from _windows(("tariff", "seasons", number, "buy"), season.buy)
        for key, day in (("first_day", season.first_day), ("last_day", season.last_day)):
            if day in NO_DAYS:
                yield Problem(("tariff", "seasons", number, key), f"there is no {day} in any year; write month and day as MM-DD")
    count = len(tariff.co2_kg_per_kwh)
    if count not in (0, 1, 24):
        yield Problem(("tariff", "co2_kg_per_kwh"), f"has {count} values and must have one, or 24, one for each hour from 0 to 23")
    for hour, kilograms in enumerate(tariff.co2_kg_per_kwh):
        if not 0 <= kilograms <= 5:
            yield Problem(("tariff", "co2_kg_per_kwh", hour), f"is {kilograms:g} kg/kWh and must be from 0 to 5; grams must be divided by 1000")
    if tariff.co2_per_kg > 0 and not count:
        yield Problem(("tariff", "co2_per_kg"), "has no effect while nobody says how much CO2 the energy causes; add tariff.co2_kg_per_kwh")


NO_DAYS = ("02-30", "02-31", "04-31", "06-31", "09-31", "11-31")


def _windows(where: Where, windows: Sequence[PriceWindow]) -> Iterator[Problem]:
    for number, (before, after) in enumerate(pairwise(windows), start=1):
        if after.start <= before.start:
            word = "begins at the same time as" if after.start == before.start else "begins before"
            message = f"{after.start} {word} the price above it ({before.start}); give each time once, from early to late"
            yield Problem((*where, number, "start"), message)


def _battery(site: Site) -> Iterator[Problem]:
    battery = site.config.battery
    if battery is not None and 0 < battery.reserve_percent <= battery.min_soc_percent:
        message = f"is {battery.reserve_percent:g} % and keeps nothing back: the battery is never planned below {battery.min_soc_percent:g} % anyway"
        yield Problem(("battery", "reserve_percent"), f"{message} (min_soc_percent); give more than that, or leave it out")


def _forecast(site: Site) -> Iterator[Problem]:
    forecast = site.config.forecast
    for key, values in (("base_load_w", forecast.base_load_w), ("pv_w", forecast.pv_w)):
        if len(values) not in (0, 24):
            yield Problem(("forecast", key), f"has {len(values)} values and must have 24, one for each hour from 0 to 23, or none")
        for hour, watts in enumerate(values):
            if watts < 0:
                yield Problem(("forecast", key, hour), f"is {watts:g} W; write load and production both as positive numbers")


# -- doors and secrets ----------------------------------------------------------------------------------


def _open_door(site: Site) -> Iterator[Problem]:
    api = site.config.api
    if not is_loopback(api.host) and api.token is None and api.token_file is None:
        yield Problem(
            ("api", "host"),
            f"{api.host} can be reached from other machines, so changes need a key: add api.token_file with the path of a file "
            "that holds a long random text, or use host: 127.0.0.1",
        )


def _same_door(site: Site) -> Iterator[Problem]:
    api, listen = site.config.api, site.config.listen
    if api.port == listen.port != 0:
        yield Problem(("api", "port"), f"port {api.port} is also listen.port, where the stations connect; choose another one")
    offered = site.config.modbus_server
    for name, port in (("api.port", api.port), ("listen.port", listen.port)):
        if offered is not None and offered.port == port != 0:
            yield Problem(("modbus_server", "port"), f"port {port} is also {name}; choose another one")


def _secrets_given_twice(site: Site) -> Iterator[Problem]:
    for where, value, file in secret_places(site.config):
        key = str(where[-1])
        if value and file:
            yield Problem((*where[:-1], f"{key}_file"), f"both {key} and {key}_file are given; remove one of them (the file is the safer place)")


def secret_places(config: Config) -> Iterator[tuple[Where, bool, bool]]:
    """(place of the key, value given?, file given?) of every password and token."""
    for number, station in enumerate(config.stations):
        yield ("stations", number, "password"), station.password is not None, station.password_file is not None
    for number, upstream in enumerate(config.upstreams):
        yield ("upstreams", number, "password"), upstream.password is not None, upstream.password_file is not None
    if config.mqtt is not None:
        yield ("mqtt", "password"), config.mqtt.password is not None, config.mqtt.password_file is not None
    if isinstance(config.history, InfluxHistory):
        yield ("history", "token"), config.history.token is not None, config.history.token_file is not None
    yield ("api", "token"), config.api.token is not None, config.api.token_file is not None


def _mqtt_credentials(site: Site) -> Iterator[Problem]:
    mqtt = site.config.mqtt
    if mqtt is None:
        return
    if mqtt.username is None and (mqtt.password is not None or mqtt.password_file is not None):
        yield Problem(("mqtt", "username"), "a password is given but no user name; MQTT needs both, so add username")
    if mqtt.ca_file is not None and not mqtt.tls:
        yield Problem(("mqtt", "ca_file"), "has no effect without tls: true, and the password would travel in clear text; add tls: true")


def _fallback(site: Site) -> Iterator[Problem]:
    yield from fallback_problems(site.config, {name: model.overdraw_part for name, model in site.chargers.items()})


OWN = "~"
_EVSE = "stations.evses"
RULES: tuple[tuple[Rule, str], ...] = (
    (_duplicates, ""),
    (_reserved_circuit, ""),
    (_unknown_circuits, "circuits.id circuits.parent ~stations.circuit"),
    (_circuit_cycles, "circuits.id circuits.parent"),
    (lambda site: upstream_names(site.config), "upstreams.id upstreams.role stations.id ~stations.upstream"),
    (lambda site: upstream_settings(site.config), "~upstreams listen.handshake_s"),
    (lambda site: depot_faces(site.config), "~upstreams stations"),
    (lambda site: listeners(site.config), "listen api.port"),
    (lambda site: file_doors(site.config), "files listen api.port ~upstreams"),
    (lambda site: password_hashes(site.config), "~stations"),
    (lambda site: security_profiles(site.config), "~stations ~upstreams listen"),
    (lambda site: drivers(site.config), "authorization"),
    (_unknown_models, "~stations.model"),
    (_meter_references, "meters.id meters.role grid.meter circuits.meter battery.meter"),
    (
        _meter_sources,
        "meters.source meters.id meters.role meters.phases mqtt control.meter_lost_s grid.phases grid.meter grid.worst_other_load_a circuits "
        "~stations.id ~stations.circuit",
    ),
    (lambda site: line_problems(site.config), "meters.source signals inverters relays battery"),
    (lambda site: signal_problems(site.config), "~signals circuits.id mqtt inverters"),
    (lambda site: csip_problems(site.config), "~signals"),
    (lambda site: openadr_problems(site.config), "~signals"),
    (lambda site: device_problems(site.config, site.maps, site.templates), "inverters relays battery.command meters.id meters.role circuits.id mqtt"),
    (_evse_currents, f"~{_EVSE}.min_current_a ~{_EVSE}.max_current_a ~{_EVSE}.fallback_a"),
    (_evse_phases, f"grid.phases ~{_EVSE}.phases"),
    (_v2g, f"grid.voltage_v ~{_EVSE}.phases ~{_EVSE}.max_current_a ~{_EVSE}.v2g"),
    (_unbalance, "grid.phases grid.max_unbalance_a"),
    (_timezone, "site.timezone"),
    (_control_times, "control"),
    (_other_times, "limits upstreams.reconnect_min_s upstreams.reconnect_max_s"),
    (_tariff, "tariff"),
    (_battery, "battery.reserve_percent battery.min_soc_percent"),
    (_forecast, "forecast"),
    (lambda site: feed_problems(site.config), "tariff forecast mqtt"),
    (lambda site: price_problems(site.config), f"tariff battery ~{_EVSE}.v2g"),
    (_open_door, "api.host api.token api.token_file"),
    (_same_door, "api.port listen.port"),
    (_secrets_given_twice, ""),
    (_mqtt_credentials, "mqtt"),
    (_fallback, f"grid circuits stations.circuit {_EVSE}.phases {_EVSE}.fallback_a"),
)
"""Every rule with the keys it looks at. With ~: only the entry whose key is in doubt is passed over, not the rule."""
