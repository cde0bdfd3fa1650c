"""The plain words ``yardmaster check`` says about a good site file.

For the person who answers for the site: what may be drawn, what happens when each source falls silent,
what Yardmaster sends where. Every figure is worked out from the file; nothing here decides anything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from controller.checking.cautions import summary
from controller.checking.device_rules import device_words
from controller.checking.fallback import FallbackSum, fallback_sums, path_to_grid, spelled_out
from controller.checking.problems import listed
from controller.checking.signal_rules import signal_words
from controller.config import (
    ROOT_CIRCUIT,
    ChargersSource,
    Config,
    EmbeddedHistory,
    HttpSource,
    ModbusSource,
    MqttSource,
    UpstreamConfig,
    VirtualSource,
)
from controller.config_base import ModbusLine
from controller.config_meters import MeterSource, SunSpecSource

WIDTH = 110
DEPOT_VERSIONS: Final = ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")
"""What a depot face offers where the site file does not say."""


def report(config: Config) -> str:
    """The report as text of at most 110 columns, without a newline at its end."""
    title = f"{config.site.name or config.site.id}: {summary(config)}"
    sections = [
        ("What the site may draw", list(_draw(config))),
        *([("Who may hold the site down", list(signal_words(config)))] if config.signals else []),
        *([("What is commanded besides chargers", words)] if (words := list(device_words(config))) else []),
        ("What happens when a source falls silent", list(_silence(config))),
        ("If Yardmaster itself stops, or loses power", list(_dead_man(config))),
        ("What goes where", list(_connections(config))),
    ]
    return "\n\n".join([title, *(_section(headline, lines) for headline, lines in sections)])


def _section(headline: str, lines: list[str]) -> str:
    wrapper = textwrap.TextWrapper(WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
    return "\n".join([headline, *map(wrapper.fill, lines)])


# -- figures --------------------------------------------------------------------------------------------


def kilowatts(watts: float) -> str:
    """``43.5 kW``."""
    return f"{watts / 1000:.3g} kW"


def seconds(value_s: float) -> str:
    """A duration as a person says it: ``10 s``, ``15 min``, ``24 h``, ``90 days``."""
    for unit, length_s in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if value_s >= 2 * length_s or (value_s >= length_s and value_s % length_s == 0 and unit != "days"):
            return f"{value_s / length_s:.3g} {unit}"
    return f"{value_s:g} s"


def left_for_charging(config: Config) -> dict[str, float]:
    """Per phase: current [A] the chargers surely get from the grid connection while the other load is at its worst."""
    sums = {one.phase: one for one in fallback_sums(config) if one.circuit == ROOT_CIRCUIT}
    grid = config.grid
    contract_a = grid.fuse_a if grid.max_import_w is None else grid.max_import_w / grid.voltage_v / grid.phases
    usable_a = min(grid.fuse_a - grid.margin_a, contract_a)
    return {phase: max(0.0, usable_a - one.others_a) for phase, one in sums.items()}


def figures(config: Config) -> dict[str, Any]:
    """The same figures for machines (``check --json``)."""
    return {
        "site": config.site.id,
        "stations": len(config.stations),
        "evses": sum(len(station.evses) for station in config.stations),
        "left_for_charging_a": left_for_charging(config),
        "depots": [
            {"upstream": upstream.id, "identity": config.identity_of(upstream), "numbers": first_numbers(config, upstream)}
            for upstream in config.upstreams
            if upstream.face == "depot"
        ],
        "fallback": [
            {
                "circuit": one.circuit,
                "phase": one.phase,
                "chargers_a": one.chargers_a,
                "other_load_a": one.others_a,
                "total_a": one.total_a,
                "fuse_a": one.fuse_a,
            }
            for one in fallback_sums(config)
        ],
    }


# -- what the site may draw -----------------------------------------------------------------------------


def _draw(config: Config) -> Iterator[str]:
    grid = config.grid
    full_w = grid.fuse_a * grid.voltage_v * grid.phases
    phases = "one phase" if grid.phases == 1 else "each of three phases"
    yield f"Main fuse: {grid.fuse_a:g} A on {phases} at {grid.voltage_v:g} V, that is {kilowatts(full_w)}. {grid.margin_a:g} A of it stays free."
    if grid.max_import_w is not None:
        yield f"Import limit: {kilowatts(grid.max_import_w)}, all phases together."
    if grid.max_export_w is not None:
        yield f"Feed-in limit: {kilowatts(grid.max_export_w)}."
    yield _left(config)
    for circuit in config.circuits:
        on_it = [station for station in config.stations if circuit.id in path_to_grid(config, station.circuit)]
        evses = sum(len(station.evses) for station in on_it)
        yield f"Circuit {circuit.id} (fed by {circuit.parent}): fuse {circuit.fuse_a:g} A per phase for {evses} EVSEs of {len(on_it)} stations."
    yield from _giving(config)


def _giving(config: Config) -> Iterator[str]:
    places = [(f"{station.id}/{evse.id}", evse.v2g) for station in config.stations for evse in station.evses]
    found = [(name, allowed) for name, allowed in places if allowed is not None]
    for name, allowed in found:
        yield (
            f"A car at {name} may give back up to {kilowatts(allowed.max_discharge_w)}, never below {allowed.reserve_percent:g} % of its battery, "
            "if station and car offer it."
        )
    yield "No other car is ever discharged." if found else "No car is ever discharged."


def _left(config: Config) -> str:
    left = left_for_charging(config)
    amps = ", ".join(f"{phase} {value:.3g} A" for phase, value in left.items())
    watts = sum(left.values()) * config.grid.voltage_v
    worst = f"While the building draws its worst ({config.grid.worst_other_load_a:g} A per phase), chargers share {amps}, that is {kilowatts(watts)}"
    if config.grid.meter is None:
        return f"{worst}. There is no grid meter, so this always holds."
    return f"{worst}; meter {config.grid.meter} sets free whatever the building does not use."


# -- silence ----------------------------------------------------------------------------------------------


def _silence(config: Config) -> Iterator[str]:
    yield from _meters(config)
    yield from _csms(config)
    yield _broker(config)
    control = config.control
    yield (
        f"Solver: killed after {seconds(control.solver_deadline_s)}. The last plan is used until it is {seconds(control.plan_max_age_s)} old; "
        "after that chargers share by fixed rules, under the same limits."
    )
    yield _history(config)
    yield (
        f"A station's link: its last setpoint stays booked for {seconds(control.offline_hold_s)}, so nobody else gets those amps too early. "
        "The station itself goes to its fallback current when its setpoint ends, "
        f"at most {seconds(control.setpoint_life_s)} after the last renewal."
    )


def _meters(config: Config) -> Iterator[str]:
    control = config.control
    watched = [(ROOT_CIRCUIT, config.grid.meter), *((circuit.id, circuit.meter) for circuit in config.circuits)]
    for circuit, meter in watched:
        if meter is None:
            continue
        place = "Grid meter" if circuit == ROOT_CIRCUIT else f"Meter of circuit {circuit}"
        yield (
            f"{place} {meter}: after {seconds(control.meter_late_s)} its last value counts with a margin of 5 % of the fuse more each second; "
            f"after {seconds(control.meter_lost_s)} every EVSE behind it goes to its fallback current. Three good readings end that."
        )
    if config.grid.meter is None:
        yield "Grid meter: there is none; the worst other load is taken all the time."
    for other in config.meters:
        if other.role in ("pv", "battery"):
            yield f"Meter {other.id} ({other.role}): only the plan and the page miss it; no fuse depends on it."


def _csms(config: Config) -> Iterator[str]:
    for upstream in config.upstreams:
        if upstream.role == "mirror":
            yield f"Mirror {upstream.id}: nothing changes; the newest messages are kept in memory for it for a while."
            continue
        name = f"CSMS {upstream.id}"
        if upstream.outage == "transparent":
            yield f"{name}: the stations' sockets are closed, so that they queue by themselves; they charge on at their fallback current."
        else:
            yield (
                f"{name}: charging goes on, Yardmaster answers the stations and keeps every transaction message on disk; "
                "they are sent in order when the CSMS is back. Limits the CSMS has set stay in force."
            )
    alone = [station.id for station in config.stations if config.upstream_of(station.id) is None]
    if alone:
        yield f"No CSMS: Yardmaster itself answers {listed(alone, 12)}. {_who_may_charge(config)}"


def _who_may_charge(config: Config) -> str:
    if config.authorization.accepts_unknown:
        return "Everybody may charge there."
    return f"Only the {len(config.authorization.tokens)} drivers on the site's own list may charge there."


def _broker(config: Config) -> str:
    if config.mqtt is None:
        return "MQTT broker: there is none."
    limits = config.limits
    after = (
        "a limit that ends meanwhile simply ends"
        if limits.failsafe_a is None
        else f"when a limit ends meanwhile, {limits.failsafe_a:g} A per phase hold for the site until a new limit arrives"
    )
    return f"MQTT broker: limits already received hold until their own end (at most {seconds(limits.max_valid_for_s)}); {after}."


def _history(config: Config) -> str:
    history = config.history
    if isinstance(history, EmbeddedHistory):
        return f"History: kept here for {seconds(history.retention_days * 86_400)}; control does not depend on it."
    return f"History server: up to {history.spool_bytes / 1_048_576:.3g} MiB wait on disk, the oldest points go first; control does not depend on it."


# -- Yardmaster itself --------------------------------------------------------------------------------------


def _dead_man(config: Config) -> Iterator[str]:
    life = seconds(config.control.setpoint_life_s)
    yield f"Within {life} and the station's own reaction time each station falls back by itself to the current written into it beforehand:"
    kinds: dict[float, list[str]] = {}
    for station in config.stations:
        for evse in station.evses:
            kinds.setdefault(evse.fallback_a, []).append(f"{station.id}/{evse.id}")
    for amps, names in sorted(kinds.items(), reverse=True):
        what = f"{amps:g} A" if amps else "0 A (no charging)"
        yield f"{what}: {listed(names, 24)}."
    sums = fallback_sums(config)
    for circuit in dict.fromkeys(one.circuit for one in sums):
        yield from _fits([one for one in sums if one.circuit == circuit])


def _fits(sums: list[FallbackSum]) -> Iterator[str]:
    """One line for all phases of a circuit with the same figures."""
    alike: dict[str, list[str]] = {}
    for one in sums:
        alike.setdefault(spelled_out(one, names=False), []).append(one.phase)
    for sentence, phases in alike.items():
        yield f"{sums[0].circuit} {' '.join(phases)}: {sentence}."


# -- connections ------------------------------------------------------------------------------------------------


def _connections(config: Config) -> Iterator[str]:
    listen = config.listen
    path = f"{listen.path.rstrip('/')}/<their id>"
    if listen.plain:
        yield f"Stations dial ws://{_door(listen.host)}:{listen.port}{path}."
    if listen.tls is not None:
        yield f"Stations dial wss://{_door(listen.tls.host or listen.host)}:{listen.tls.port}{path} (encrypted)."
    for upstream in config.upstreams:
        if upstream.role == "mirror":
            count = len(config.stations) if upstream.stations is None else len(upstream.stations)
            yield f"To the mirror {upstream.id}, {_public(upstream)}: a copy of what {count} stations say; what it answers ends here."
            continue
        yield from _seen_by(config, upstream)
    if any(upstream.face == "depot" for upstream in config.upstreams):
        ports = f"port {config.files.port}" if config.files.tls_port is None else f"ports {config.files.port} and {config.files.tls_port} (HTTPS)"
        host = config.files.address or config.files.host or listen.host
        where = f"at {host}" if host not in ("", "0.0.0.0", "::") else "at this box (files.address says under which address, if it has several)"
        yield f"Chargers fetch published firmware and put their logs {where}, {ports}; open only while there is something to fetch or put."
    for meter in config.meters:
        yield f"Meter {meter.id}: {_meter_words(meter.source)}."
    if config.mqtt is not None:
        root = f"yardmaster/{config.site.id}"
        tls = "TLS" if config.mqtt.tls else "not encrypted"
        yield f"MQTT broker {config.mqtt.host}:{config.mqtt.port} ({tls}): limits from {root}/limit/set, state to {root}/state."
    if not isinstance(config.history, EmbeddedHistory):
        yield f"History to {config.history.url}, bucket {config.history.bucket}."
    yield f"Page and API: http://{_door(config.api.host)}:{config.api.port}/. Files: {config.data_dir}."


def _meter_words(source: MeterSource) -> str:
    """Where a meter's values come from."""
    match source:
        case ModbusSource():
            return f"read every {seconds(source.poll_s)} from {_modbus_place(source)}, map {source.map}. Nothing is written to it"
        case SunSpecSource():
            return f"read every {seconds(source.poll_s)} from {_modbus_place(source)}, by SunSpec. Nothing is written to it"
        case HttpSource():
            return f"asked every {seconds(source.poll_s)} at {_address(source.url)}, format {source.format}"
        case MqttSource():
            return f"MQTT topic {source.topic}"
        case VirtualSource():
            parts = " + ".join(source.plus) + "".join(f" - {name}" for name in source.minus)
            share = f"{source.share_percent:g} % of " if source.share_percent < 100 else ""
            return f"{share}{parts.strip()}, worked out whenever one of them tells something"
        case ChargersSource():
            return f"what {listed(list(source.stations))} report, and {source.other_load_a:g} A per phase for what nobody measures there"


def _seen_by(config: Config, upstream: UpstreamConfig) -> Iterator[str]:
    """What a primary CSMS gets to see of the site."""
    head = f"To the CSMS {upstream.id}, {_public(upstream)}:"
    stations = [station.id for station in config.stations if config.upstream_of(station.id) == upstream]
    if upstream.face == "pair":
        yield f"{head} everything {counted(len(stations), 'station says', 'stations say')}, each under its own id, {_wording(upstream)}."
        return
    versions = ", else ".join(_spoken(version) for version in upstream.versions or DEPOT_VERSIONS)
    seen = f"one large station {config.identity_of(upstream)} with {counted(len(first_numbers(config, upstream)), 'EVSE', 'EVSEs')}"
    yield f"{head} {seen}, made of {counted(len(stations), 'charger', 'chargers')} and the site itself (EVSE 0). It is offered {versions}."
    numbers = [f"EVSE {number} = {name}" for name, number in first_numbers(config, upstream).items()]
    if numbers:
        yield f"{config.identity_of(upstream)}: {listed(numbers, 24)}. Numbers a box has given before stay; `yardmaster status` shows those in force."
    else:
        yield f"{config.identity_of(upstream)}: no station names this upstream; while the site runs, `yardmaster face {upstream.id}` gives it some."


def first_numbers(config: Config, upstream: UpstreamConfig) -> dict[str, int]:
    """EVSE -> its number at a depot face of a box that has given none before."""
    here = [station for station in config.stations if config.upstream_of(station.id) == upstream]
    return {name: number for number, name in enumerate((f"{station.id}/{evse.id}" for station in here for evse in station.evses), 1)}


def counted(count: int, one: str, many: str) -> str:
    """``1 station says``, ``3 stations say``."""
    return f"{count} {one if count == 1 else many}"


def _spoken(version: str) -> str:
    return f"OCPP {version.removeprefix('ocpp')}"


def _wording(upstream: UpstreamConfig) -> str:
    if not upstream.translate:
        return "byte for byte"
    if upstream.versions is None:
        return "byte for byte, or translated where it speaks none of a station's OCPP versions"
    return f"byte for byte where it speaks {' or '.join(map(_spoken, upstream.versions))}, translated where not"


def _door(host: str) -> str:
    return "<this machine>" if host in ("0.0.0.0", "::", "") else host


def _modbus_place(line: ModbusLine) -> str:
    """Where a Modbus device is, and how safe the way there is."""
    if line.framing == "rtu":
        return f"{line.device} ({line.baud} {line.parity}{line.stop_bits}), unit {line.unit}"
    way = {"tcp": "", "rtu_over_tcp": " (serial gateway)", "tls": " (TLS)"}[line.framing]
    return f"{line.host}:{line.port}{way}, unit {line.unit}"


def _public(upstream: UpstreamConfig) -> str:
    return _address(upstream.url)


def _address(url: str) -> str:
    """A URL without a password somebody may have put into it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
