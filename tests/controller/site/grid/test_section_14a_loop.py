"""A section 14a event in the closed loop: cars on one and on three phases, voltages that differ, a building beside them, chargers that tell slowly.

Pmin for six devices by the table, whose sixth factor is 0.60: 4.2 kW + 5 x 0.60 x 4.2 kW = 16.8 kW.
"""

from __future__ import annotations

import pytest

from controller.facts import EvseKey, EvseMeasured
from tests.support.signal_story import SignalStory, entry

CARS, TOLERANCE = 6, 0.005
PMIN_W = 4200.0 + 5 * 0.60 * 4200.0
VOLTS = (238.0, 243.0, 229.0)


class Event14a(SignalStory):
    """Six cars, every other one on one phase, at the voltages of this net. every_s: between two meter values of a charger."""

    def __init__(self, every_s: int, reaction_s: float) -> None:
        limit = entry("eebus", binds="controllable", failsafe_w="section_14a", failsafe_production_w=None)
        super().__init__(limit, count=CARS, fuse_a=160.0)
        self.every_s, self.reaction_s = every_s, reaction_s
        self.one_phase = {EvseKey(f"CP{number}", 1) for number in (2, 4, 6)}
        self.begin_s = float("inf")
        self.sums_w: list[tuple[float, float]] = []

    def power_w(self, key: EvseKey) -> float:
        amps = self.drawn_a[key]
        phases = self.site.layout.places[key].phases
        return sum(VOLTS[phase] * amps for phase in phases[: 1 if key in self.one_phase else 3])

    def step(self, building_a: float | None = 10.0, report: bool = True) -> None:
        self.now += 1.0
        self.settle()
        second = round(self.now)
        for number, (key, amps) in enumerate(self.drawn_a.items()):
            if (second + 7 * number) % self.every_s == 0:
                rest_a = 0.0 if key in self.one_phase else amps
                self.do(EvseMeasured(self.at(), key, (amps, rest_a, rest_a), power_w=self.power_w(key)))
        amps = self.metered_a(building_a or 0.0)
        power_w = sum(volts * phase_a for volts, phase_a in zip(VOLTS, amps, strict=True))
        self.do(self.reading(amps, voltage_v=VOLTS, power_w=power_w))
        if second % 30 == 0:
            self.beat()
        self.do(self.tick())
        self.sums_w.append((self.now, sum(map(self.power_w, self.drawn_a))))


@pytest.mark.parametrize(("every_s", "reaction_s"), [(1, 1.0), (10, 2.0), (60, 4.0)])
def test_the_sum_of_the_controllable_loads_is_held_to_the_minimum(every_s: int, reaction_s: float) -> None:
    story = Event14a(every_s, reaction_s)
    story.start()
    for number in range(CARS):
        story.plug(EvseKey(f"CP{number + 1}", 1))
    story.beat()
    story.say(None)
    story.run(120, building_a=30.0)
    before_w = story.sums_w[-1][1]
    assert before_w > 50_000.0
    begin_s, done = story.now, len(story.record())
    story.say(PMIN_W)
    story.run(600, building_a=30.0)
    after = [(when - begin_s, watts) for when, watts in story.sums_w if when > begin_s]
    reaction_s = max((when for when, watts in after if watts > PMIN_W * (1 + TOLERANCE)), default=0.0)
    found = f"{before_w / 1000:.1f} kW -> {after[-1][1] / 1000:.2f} of {PMIN_W / 1000:.2f} kW"
    print(f"meter values each {every_s} s: {found}; above it for {reaction_s:.0f} s")
    assert reaction_s <= story.reaction_s + 1.0
    used = [watts for when, watts in after if when > 300.0]
    assert sum(used) / len(used) > 0.88 * PMIN_W  # three cars of six use one phase only; at 243 V the currents of 238 V count as more
    events = [line.event for line in story.record()[done:] if line.limit_w == PMIN_W]
    assert events[:2] == ["received", "in_force"]
    assert "obeyed" in events
    assert "violated" not in events
