"""What building and sun usually do, learnt from the meters and kept in the journal: a row of quarter hours per day."""

from __future__ import annotations

from typing import Any, Final

from controller.config import Config
from controller.facts import Stamp
from controller.orders import Order, Persist
from optimizer.usual import Usual

SPACE: Final = "usual"
LOAD: Final = "load"
SUN: Final = "sun"
CLOUD_HALF_LIFE_S: Final = 4 * 3600.0
"""Clouds of now say little about the sun some hours later [s]."""


class UsualDays:
    """Learns load and PV; with forecast.load off, or without a trusted clock, nothing."""

    def __init__(self, config: Config) -> None:
        wanted, zone = config.forecast.load == "auto", config.site.timezone
        self.load = Usual(zone) if wanted else None
        self.sun = Usual(zone, CLOUD_HALF_LIFE_S, by_kind=False) if wanted else None

    def recall(self, name: str, memory: Any) -> None:
        """Take back one day; rubbish counts as nothing learnt (F75)."""
        what, _, day = name.partition(" ")
        usual = {LOAD: self.load, SUN: self.sun}.get(what)
        if usual is not None:
            usual.recall(day, memory)

    def seen(self, load_w: float | None, sun_w: float | None, at: Stamp) -> list[Order]:
        """What building and sun do now [W], None = nobody knows."""
        if not at.wall_trusted:
            return []
        remember: dict[tuple[str, str], Any] = {}
        for what, usual, watts in ((LOAD, self.load, load_w), (SUN, self.sun, sun_w)):
            day = usual.add(watts, at.wall_s) if usual is not None else None
            if usual is None or day is None:
                continue
            remember[(SPACE, f"{what} {day}")] = usual.memory(day)
            remember.update({(SPACE, f"{what} {gone}"): None for gone in usual.forget()})
        return [Persist(0, remember=remember)] if remember else []
