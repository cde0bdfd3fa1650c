"""Cross checks of meters that are asked over HTTP, worked out from others, or made of what chargers report."""

from __future__ import annotations

from collections.abc import Iterator

from controller.checking.problems import Problem, Where, did_you_mean
from controller.config import ChargersSource, Config, HttpSource, MeterConfig, VirtualSource


def meter_problems(config: Config, number: int, meter: MeterConfig) -> Iterator[Problem]:
    """Everything wrong with one meter that its own keys cannot show. number: its place in ``meters``."""
    where: Where = ("meters", number, "source")
    source = meter.source
    yield from _phases(config, number, meter)
    if isinstance(source, HttpSource):
        yield from _http(config, where, meter, source)
    elif isinstance(source, VirtualSource):
        yield from _virtual(config, where, meter, source)
    elif isinstance(source, ChargersSource):
        yield from _chargers(config, where, source)
    if isinstance(source, VirtualSource | ChargersSource) and (meter.reversed or meter.phases != ("L1", "L2", "L3")):
        key = "reversed" if meter.reversed else "phases"
        yield Problem(("meters", number, key), "this meter is worked out from values that are by site phase already; say it of the parts instead")


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
                yield Problem((*where, key), f"there is no meter {name!r}{did_you_mean(name, known)}")
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


def _chargers(config: Config, where: Where, source: ChargersSource) -> Iterator[Problem]:
    known = [station.id for station in config.stations]
    for name in source.stations:
        if name not in known:
            yield Problem((*where, "stations"), f"there is no station {name!r}{did_you_mean(name, known)}")
        if source.stations.count(name) > 1:
            yield Problem((*where, "stations"), f"station {name!r} is named twice; it would count twice")
            break
