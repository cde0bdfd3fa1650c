"""F71: what the engine keeps does not grow with what it has seen. Days of the energy site and storms of reconnecting stations in virtual time.

Every container the engine leads to is counted (``census``). What may be larger on a later day is named in ``FULL`` or ``SLOW``, with what ends
its growth. Is this test red after a change of yours? Something is kept for each message, session or day and never forgotten.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from controller.check import load_config
from controller.events import KEPT as EVENTS_KEPT
from controller.facts import Stamp, UpstreamClosed
from controller.io.chargers import load_chargers
from controller.link.answering import PLACES_KEPT
from controller.link.repeats import KEPT as ANSWERS_KEPT
from controller.link.running import ENDED_KEPT
from controller.paths import config_dir
from controller.sim.scenario import DEMO, DEMO_MIDNIGHT_WALL_S, ENERGY, Scenario
from controller.sim.virtual import VirtualDay
from controller.site.meters.steps import HISTORY
from tests.support.census import census, grown, most

DAY_S: Final = 86_400.0
SPEED: Final = 600.0
"""Wall seconds per second: the control loop ticks in real time, as in the demo."""
SLACK, SHARE = 24, 0.25
STATIONS, METERS = 10, 3
FULL: Final = {
    "._running._ended": ENDED_KEPT * STATIONS,
    ".running._ended": ENDED_KEPT * STATIONS,
    "._answers._places": PLACES_KEPT * STATIONS,
    "._answers.repeats._by_id": ANSWERS_KEPT * STATIONS,
    "._answers.repeats._by_key": ANSWERS_KEPT * STATIONS,
    ".steps[]._history": HISTORY * METERS,
    ".steps[]._history[]": 2 * HISTORY * METERS,
    ".steps[]._history[][]": 3 * HISTORY * METERS,
    ".events._events": EVENTS_KEPT,
}
"""Containers that fill up to a number, by the end of the way to them: the most there may be at all stations together."""
SLOW: Final = {
    ".site.history.": "habits.MOST sessions, forecast.keep_days; what is learnt from them",
    ".site.days.": "usual.KEPT_DAYS, 96 quarter hours each; what is worked out from them",
    ".site.explained.days": "explained.KEPT_DAYS",
    ".site.planner": "one plan and one problem; both follow the cars that are there and are expected",
    ".payload": "the last message of a station",
}
"""Those that take longer to fill than this test has, and what ends their growth."""


@dataclass
class Days:
    """A site in virtual time, some days a minute."""

    scenario: Scenario
    file: str
    seconds: int = 0
    counts: list[Counter[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin_wall_s = DEMO_MIDNIGHT_WALL_S + 3600.0 * self.scenario.start_h
        config = load_config(config_dir() / self.file)
        control = config.control.model_copy(update={"plan_every_s": 30.0})
        config = config.model_copy(update={"control": control})
        self.world = VirtualDay(config, self.scenario, self.begin_wall_s, load_chargers(config_dir() / "chargers"))
        self.world.begin(self.at)

    @property
    def at(self) -> Stamp:
        """Now."""
        return Stamp(1000.0 + self.seconds, self.begin_wall_s + SPEED * self.seconds, SPEED)

    def second(self) -> None:
        """One turn of the control loop."""
        self.seconds += 1
        self.world.step(self.at)
        self.world.told.clear()

    def days(self, count: float) -> Counter[str]:
        """The most each container held at eight moments of so many days."""
        steps = round(count * DAY_S / SPEED)
        moments: list[Counter[str]] = []
        for step in range(steps):
            self.second()
            if step % (steps // 8) == 0:
                moments.append(census(self.world.engine))
        return most(moments)


def unbounded(before: Counter[str], after: Counter[str]) -> dict[str, tuple[int, int]]:
    """What grew although nobody says what ends its growth, or is larger than that."""
    rows = grown(before, after, SLACK, SHARE)
    rows |= {way: (bound, count) for way, count in after.items() if (bound := full(way)) is not None and count > bound}
    return {way: row for way, row in rows.items() if (full(way) or 0) < row[1] and not any(known in way for known in SLOW)}


def full(way: str) -> int | None:
    """The most a container may hold, None where no number says."""
    return next((bound for end, bound in FULL.items() if way.endswith(end)), None)


def test_f71_days_pass_and_the_engine_keeps_no_more() -> None:
    site = Days(ENERGY, "site.energy.yaml")
    before = site.days(1.0)
    site.days(1.0)
    after = site.days(1.0)
    assert sum(before.values()) > 1000, "the census counts the engine"
    assert unbounded(before, after) == {}


def test_f71_stations_and_csms_come_and_go_and_the_engine_keeps_no_more() -> None:
    site = Days(DEMO, "site.demo.yaml")
    site.days(0.25)

    def storms(count: int) -> Counter[str]:
        moments: list[Counter[str]] = []
        for number in range(count):
            for station_id in site.world.stations:
                site.world.hang_up(site.at, station_id, "reset")
                if number % 3 == 0:
                    generation = site.world.engine.links.sessions[station_id].generation or 0
                    site.world.submit(UpstreamClosed(site.at, station_id, generation, "gone"))
            for _ in range(4):
                site.second()
            moments.append(census(site.world.engine))
        return most(moments)

    before = storms(15)
    storms(15)
    assert unbounded(before, storms(15)) == {}
