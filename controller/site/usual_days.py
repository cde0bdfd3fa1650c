"""What building and sun usually do, learnt from the meters and kept in the journal: a few numbers per hour of workday and weekend."""

from __future__ import annotations

from typing import Any, Final

from controller.config import Config
from controller.facts import Stamp
from controller.orders import Order, Persist
from optimizer.usual import Usual

SPACE: Final = "usual"
LOAD: Final = "load"
SUN: Final = "sun"


class UsualDays:
    """Learns load and PV; with forecast.load off, or without a trusted clock, nothing."""

    def __init__(self, config: Config) -> None:
        wanted = config.forecast.load == "auto"
        self.load = Usual(config.site.timezone) if wanted else None
        self.sun = Usual(config.site.timezone) if wanted else None

    def recall(self, name: str, memory: Any) -> None:
        """Take back one hour; rubbish counts as nothing learnt (F75)."""
        what, _, hour = name.partition(" ")
        usual = {LOAD: self.load, SUN: self.sun}.get(what)
        if usual is not None:
            usual.recall(hour, memory)

    def seen(self, load_w: float | None, sun_w: float | None, at: Stamp) -> list[Order]:
        """What building and sun do now [W], None = nobody knows."""
        if not at.wall_trusted:
            return []
        remember: dict[tuple[str, str], Any] = {}
        for what, usual, watts in ((LOAD, self.load, load_w), (SUN, self.sun, sun_w)):
            hour = usual.add(watts, at.wall_s) if usual is not None else None
            if usual is not None and hour is not None:
                remember[(SPACE, f"{what} {hour}")] = usual.memory(hour)
        return [Persist(0, remember=remember)] if remember else []
