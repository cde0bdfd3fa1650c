"""Cross checks of meters: whether what they show is enough for where they are used, and whether it comes in time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from controller.checking.fallback import path_to_grid
from controller.checking.problems import Problem, Where, did_you_mean, listed
from controller.config import ROOT_CIRCUIT, ChargersSource, Config, HttpSource, MeterConfig, ModbusSource, MqttSource, VirtualSource
from controller.config_base import ModbusLine
from controller.config_meters import MeterSource, SunSpecSource
from meters.sunspec_values import MEASURING, METERS
from meters.template import Template

AT_A_FUSE = ("grid", "circuit")
TLS_PORT = 802


def meter_problems(config: Config, number: int, meter: MeterConfig, templates: Mapping[str, Template] | None = None) -> Iterator[Problem]:
    """Everything wrong with one meter that its own keys cannot show. number: its place in ``meters``."""
    where: Where = ("meters", number, "source")
    source = meter.source
    yield from _phases(config, number, meter)
    if meter.role in AT_A_FUSE:
        yield from _enough(config, where, meter, templates or {})
    if isinstance(source, HttpSource):
        yield from _http(config, where, meter, source)
    elif isinstance(source, VirtualSource):
        yield from _virtual(config, where, meter, source)
    elif isinstance(source, ChargersSource):
        yield from _chargers(config, where, meter, source)
    if isinstance(source, VirtualSource | ChargersSource) and (meter.reversed or meter.phases != ("L1", "L2", "L3")):
        key = "reversed" if meter.reversed else "phases"
        yield Problem(("meters", number, key), "this meter is worked out from values that are by site phase already; say it of the parts instead")


def meter_cautions(config: Config, number: int, meter: MeterConfig, templates: Mapping[str, Template]) -> Iterator[Problem]:
    """What somebody should look at twice."""
    where: Where = ("meters", number, "source")
    source = meter.source
    if meter.role in AT_A_FUSE:
        yield from _at_a_fuse(config, where, source)
    if isinstance(source, ModbusLine) and source.framing == "tls" and "port" not in source.model_fields_set:
        yield Problem((*where, "framing"), f"port {source.port} is that of plain Modbus; devices with TLS usually use {TLS_PORT}; say which")
    if isinstance(source, ModbusSource) and (template := templates.get(source.map)) is not None:
        for text in template.caution:
            yield Problem((*where, "map"), f"{template.name}: {text}")


def _at_a_fuse(config: Config, where: Where, source: MeterSource) -> Iterator[Problem]:
    lost_s = config.control.meter_lost_s
    timeout_s = source.timeout_s if isinstance(source, ModbusLine | HttpSource) else 0.0
    if timeout_s >= lost_s:
        yield Problem((*where, "timeout_s"), f"one lost answer takes {timeout_s:g} s; the site falls back after {lost_s:g} s (control.meter_lost_s)")
    fields = source.fields if isinstance(source, MqttSource | HttpSource) else {}
    if fields and not any(name.startswith("i_") for name in fields):
        message = "powers do not show reactive currents, which load the fuse too; name i_l1 to i_l3 if the device has them, else keep more margin"
        yield Problem((*where, "fields"), message)


def _enough(config: Config, where: Where, meter: MeterConfig, templates: Mapping[str, Template]) -> Iterator[Problem]:
    """A fuse needs to know every phase: a total hides the most loaded one."""
    source = meter.source
    if isinstance(source, SunSpecSource):
        odd = [model for model in source.models if model in MEASURING and model not in METERS]
        if odd:
            yield Problem((*where, "models"), f"model {odd[0]} is no meter's; at a fuse one of {listed([str(model) for model in METERS])} is read")
        return
    for part in _parts(config, meter):
        unseen = _unseen(config, part, templates)
        if unseen:
            names, what = " and ".join(f"L{phase}" for phase in unseen), "it" if part is meter else f"meter {part.id}"
            message = f"{what} shows neither current nor power of {names}; at a fuse every phase must be seen, or the site stays at its fallbacks"
            yield Problem(where, message)


def _parts(config: Config, meter: MeterConfig) -> list[MeterConfig]:
    """The real meters a meter is made of; itself if it is one."""
    known = {one.id: one for one in config.meters}
    found, waiting = {meter.id: meter}, [meter]
    while waiting:
        source = waiting.pop().source
        names = (*source.plus, *source.minus) if isinstance(source, VirtualSource) else ()
        new = [known[name] for name in names if name in known and name not in found]
        found |= {one.id: one for one in new}
        waiting += new
    return [one for one in found.values() if not isinstance(one.source, VirtualSource)]


def _unseen(config: Config, meter: MeterConfig, templates: Mapping[str, Template]) -> list[int]:
    """Phases of the meter itself, 1..3, that are the site's too and of which it shows no current. Formats that tell what they like: none."""
    source, wired = meter.source, [number for number, phase in enumerate(meter.phases, 1) if int(phase[1]) <= config.grid.phases]
    shown: Collection[str] = ()
    if isinstance(source, ModbusSource):
        template = templates.get(source.map)
        shown = template.registers if template is not None else ()
    elif isinstance(source, MqttSource | HttpSource):
        shown = source.fields
    if not shown or (len(wired) == 1 and _power("p", shown)):
        return []
    return [number for number in wired if f"i_l{number}" not in shown and not _power(f"p_l{number}", shown)]


def _power(name: str, shown: Collection[str]) -> bool:
    return name in shown or {f"{name}_imp", f"{name}_exp"} <= set(shown)


def _phases(config: Config, number: int, meter: MeterConfig) -> Iterator[Problem]:
    """A meter at a fuse must see every phase of the site."""
    missing = [f"L{phase}" for phase in range(1, config.grid.phases + 1) if f"L{phase}" not in meter.phases]
    if meter.role in ("grid", "circuit") and missing:
        names = " and ".join(missing)
        yield Problem(("meters", number, "phases"), f"{names} would not be measured, and its fuse could be overloaded there unseen; name every phase")


def _http(config: Config, where: Where, meter: MeterConfig, source: HttpSource) -> Iterator[Problem]:
    lost_s = config.control.meter_lost_s
    if meter.role in ("grid", "circuit") and source.poll_s >= lost_s:
        message = f"asked every {source.poll_s:g} s it would count as lost between two answers (control.meter_lost_s: {lost_s:g} s); ask more often"
        yield Problem((*where, "poll_s"), message)
    if source.token is not None or source.token_file is not None:
        if source.username is not None or source.password is not None or source.password_file is not None:
            yield Problem((*where, "token"), "a token and a password are both given; a device takes one of them")
        if source.format == "tasmota":
            yield Problem((*where, "token"), "Tasmota knows no tokens; give its password")
    if source.username is not None and source.password is None and source.password_file is None:
        yield Problem((*where, "username"), "there is a user name without a password; add password_file")


def _virtual(config: Config, where: Where, meter: MeterConfig, source: VirtualSource) -> Iterator[Problem]:
    known = [one.id for one in config.meters]
    for key, names in (("plus", source.plus), ("minus", source.minus)):
        for name in names:
            if name not in known:
                yield Problem((*where, key), f"there is no meter {name!r}.{did_you_mean(name, known)}")
            if names.count(name) > 1:
                yield Problem((*where, key), f"meter {name!r} is named twice; it would count twice")
                break
    both = sorted(set(source.plus) & set(source.minus))
    if both:
        yield Problem((*where, "minus"), f"meter {both[0]!r} is added and taken off; name it once")
    circle = _circle(config, meter.id)
    if circle:
        yield Problem((*where, "plus"), f"the meter is made of itself: {' from '.join(circle)}; break the circle")


def _circle(config: Config, start: str) -> list[str]:
    """The way from a meter through its parts back to it, [] if there is none."""
    parts = {one.id: one.source.plus + one.source.minus for one in config.meters if isinstance(one.source, VirtualSource)}
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for name in parts.get(way[-1], ()):
            if name == start:
                return [*way, name]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


def _chargers(config: Config, where: Where, meter: MeterConfig, source: ChargersSource) -> Iterator[Problem]:
    known = [station.id for station in config.stations]
    for name in source.stations:
        if name not in known:
            yield Problem((*where, "stations"), f"there is no station {name!r}.{did_you_mean(name, known)}")
        if source.stations.count(name) > 1:
            yield Problem((*where, "stations"), f"station {name!r} is named twice; it would count twice")
            break
    for circuit, worst_a in _measured_by(config, meter.id):
        if source.other_load_a < worst_a:
            message = (
                f"nobody measures what else hangs below {circuit}, so its largest load must be counted all the time: "
                f"{worst_a:g} A or more (worst_other_load_a there)"
            )
            yield Problem((*where, "other_load_a"), message)
        below = [station.id for station in config.stations if circuit in path_to_grid(config, station.circuit)]
        missing = [name for name in below if name not in source.stations]
        if missing:
            yield Problem((*where, "stations"), f"{listed(missing)} below {circuit} would not be counted; name every station there")


def _measured_by(config: Config, meter_id: str) -> Iterator[tuple[str, float]]:
    """Circuits whose fuse this meter guards, and the largest other load below each [A]."""
    if config.grid.meter == meter_id:
        yield ROOT_CIRCUIT, config.grid.worst_other_load_a
    for circuit in config.circuits:
        if circuit.meter == meter_id:
            below = [one for one in config.circuits if circuit.id in path_to_grid(config, one.id)]
            yield circuit.id, sum(one.worst_other_load_a for one in below)
