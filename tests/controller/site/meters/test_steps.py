"""Steps prove sign, scale and phases of a meter; coincidence does not. Stories F43-F45 are in tests/faults/test_meter_faults.py."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from controller.facts import EvseKey, PhaseAmps
from controller.site.meters.steps import LONGEST_S, RUN, Seen, Sight, Step, StepWatch, Told, Votes, seen

CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)
GATE = (4.0, 4.0, 4.0)


def step(told: PhaseAmps, metered: PhaseAmps, key: EvseKey = CP1, gate: PhaseAmps = GATE) -> Step:
    return Step((key,), told, metered, 0.0, gate)


@pytest.mark.parametrize(
    ("told", "metered", "expected"),
    [
        ((10, 10, 10), (10, 9, 12), (Sight.FOLLOWS,) * 3),
        ((-10, -10, -10), (-10, -14, -6), (Sight.FOLLOWS,) * 3),
        ((10, 10, 10), (-10, -9, -12), (Sight.AGAINST,) * 3),
        ((10, 10, 10), (10, -10, 10), (Sight.FOLLOWS, Sight.AGAINST, Sight.FOLLOWS)),
        ((10, 10, 10), (10, 0, 10), (Sight.FOLLOWS, Sight.NOTHING, Sight.FOLLOWS)),
        ((10, 10, 10), (0, 0, 0), (None, None, None)),
        ((10, 0, 0), (0, 10, 0), (Sight.ELSEWHERE, None, None)),
        ((10, 10, 10), (100, 98, 105), (Sight.TENFOLD,) * 3),
        ((10, 10, 10), (1, 0.9, 1.2), (Sight.TENTH,) * 3),
        ((3, 3, 3), (-3, -3, -3), (None, None, None)),
        ((10, 10, 10), (4, -4, 30), (None, None, None)),
    ],
)
def test_what_a_phase_showed_of_a_step(told: PhaseAmps, metered: PhaseAmps, expected: tuple[Sight | None, ...]) -> None:
    assert tuple(one.sight if one is not None else None for one in seen(step(told, metered))) == expected


def test_five_steps_in_a_row_prove_a_turned_sensor_and_three_right_ones_end_it() -> None:
    votes = Votes()
    for _ in range(RUN - 1):
        votes.add(step((10, 0, 0), (-10, 0, 0)))
    assert votes.distrust == ""
    votes.add(step((-10, 0, 0), (11, 0, 0)))
    assert votes.distrust.startswith("L1 counts backwards")
    for _ in range(2):
        votes.add(step((10, 0, 0), (10, 0, 0)))
    assert votes.distrust
    votes.add(step((10, 0, 0), (10, 0, 0)))
    assert votes.distrust == ""


def test_one_right_step_breaks_the_run() -> None:
    votes = Votes()
    for number in range(20):
        votes.add(step((10, 10, 10), (10, 10, 10) if number % RUN == RUN - 1 else (-10, -10, -10)))
    assert votes.distrust == votes.mixed == ""


@pytest.mark.parametrize(
    ("told", "metered", "words"),
    [
        ((10, 10, 10), (10, 0, 10), "L2 shows nothing"),
        ((10, 0, 0), (0, 0, 10), "cars on L1 appear on L3"),
        ((10, 10, 10), (100, 100, 100), "ten times too much"),
        ((10, 10, 10), (1, 1, 1), "a tenth of what flows"),
    ],
)
def test_what_one_station_may_have_caused_itself_needs_a_second_witness(told: PhaseAmps, metered: PhaseAmps, words: str) -> None:
    alone, together, stored = Votes(), Votes(), Votes(sign_only=True)
    for number in range(2 * RUN):
        alone.add(step(told, metered))
        together.add(step(told, metered, CP2 if number % 2 else CP1))
        stored.add(step(told, metered, CP2 if number % 2 else CP1))
    assert alone.distrust == alone.mixed == ""
    assert words in together.distrust + together.mixed
    assert stored.distrust == stored.mixed == "", "a battery may hide steps"


# -- windows ------------------------------------------------------------------------------------------------


class World:
    """A meter read each second and one car, in a few honest lines."""

    def __init__(self, shows: Callable[[float], float] = lambda amps: amps) -> None:
        self.watch, self.shows = StepWatch(), shows
        self.now, self.car_a, self.building_a = 0.0, 6.0, 10.0
        self.told = {CP1: Told(0.0, (6.0, 6.0, 6.0))}
        self.found: list[Step] = []

    def run(self, seconds: int, speaks: bool = True) -> None:
        for _ in range(seconds):
            self.now += 1.0
            amps = self.shows(self.building_a + self.car_a)
            if speaks:
                self.told[CP1] = Told(self.now, (self.car_a,) * 3)
            self.watch.read((amps, amps, amps), self.now)
            step = self.watch.judge(lambda key: self.told[key], self.now)
            if step is not None:
                self.found.append(step)

    def command(self, amps: float) -> None:
        self.watch.open(CP1, self.told[CP1].current_a, self.now, self.now + 7.0, amps - self.car_a)
        self.car_a = amps


def test_a_step_is_what_the_meter_did_between_command_and_reaction() -> None:
    world = World()
    world.run(20)
    world.command(20.0)
    world.run(20)
    assert [(one.told_a, one.metered_a, one.commanded_a) for one in world.found] == [((14.0,) * 3, (14.0,) * 3, 14.0)]


def test_a_building_that_moved_before_the_command_is_no_part_of_the_step_and_a_restless_one_spoils_it() -> None:
    world = World()
    world.run(20)
    world.building_a = 30.0  # seen, and the car is cut for it in the same second
    world.run(1)
    world.command(-4.0 + 16.0)
    world.run(20)
    assert world.found[0].metered_a == (6.0,) * 3
    assert seen(world.found[0]) == (None, None, None), "the meter had just moved by 20 A: too restless to prove anything"


def test_a_car_of_a_slow_station_counts_once_it_has_told() -> None:
    world = World()
    world.run(20)
    world.command(20.0)
    world.run(30, speaks=False)
    assert not world.found
    world.run(1)
    assert world.found[0].told_a == (14.0,) * 3


def test_a_car_that_never_tells_is_forgotten() -> None:
    world = World()
    world.run(20)
    world.command(20.0)
    world.run(120, speaks=False)
    world.run(5)
    assert not world.found


def test_what_never_ends_proves_nothing() -> None:
    world = World()
    world.run(20)
    for number in range(int(LONGEST_S)):
        world.command(6.0 + number % 2 * 10)
        world.run(2)
    world.run(30)
    assert not world.found


# -- chance -------------------------------------------------------------------------------------------------


def noise(kind: str, rng: random.Random, world: World) -> None:
    """A second of a building that knows nothing of cars."""
    if kind == "wobble":
        world.building_a = 20.0 + rng.gauss(0.0, 4.0)
    elif kind == "walk":
        world.building_a += rng.gauss(0.0, 1.0)
    elif kind == "motors" and rng.random() < 0.05:
        world.building_a = 10.0 + 30.0 * (rng.random() < 0.5)
    elif kind == "clouds":  # 50 A in 20 s, every five minutes
        world.building_a += 2.5 if world.now % 300 < 20 else -2.5 if 150 <= world.now % 300 < 170 else 0.0


@pytest.mark.parametrize("kind", ["wobble", "walk", "motors", "clouds"])
def test_f43_false_alarms_by_chance_are_rarer_than_one_in_four_thousand_steps(kind: str) -> None:
    """Cars that step at random instants in a restless building: judged phases against the meter, and verdicts.

    Bound: with p = part of judged steps that point the wrong way, five in a row have p^5. Seeds fixed; 600 steps each.
    """
    world, rng, votes = World(), random.Random(f"yardmaster {kind}"), Votes()
    judged = wrong = 0
    verdicts = 0
    for _ in range(600):
        for _ in range(rng.randrange(20, 45)):
            noise(kind, rng, world)
            world.run(1)
        world.command(rng.choice((6.0, 10.0, 16.0, 25.0, 32.0)))
    for one in world.found:
        sights = seen(one)
        judged += any(sights)
        wrong += any(vision is not None and vision.sight is Sight.AGAINST for vision in sights)
        votes.add(one)
        verdicts += votes.distrust != ""
    assert verdicts == 0
    assert judged >= 30, "a test that judges nothing proves nothing"
    assert (wrong / judged) ** RUN < 1 / 4000


@pytest.mark.parametrize("kind", ["wobble", "walk", "motors", "clouds"])
def test_f43_a_turned_meter_is_found_in_the_same_buildings(kind: str) -> None:
    world, rng, votes = World(shows=lambda amps: -amps), random.Random(f"yardmaster {kind}"), Votes()
    for _ in range(600):
        for _ in range(rng.randrange(20, 45)):
            noise(kind, rng, world)
            world.run(1)
        world.command(rng.choice((6.0, 10.0, 16.0, 25.0, 32.0)))
        if world.found:
            votes.add(world.found.pop())
        if votes.distrust:
            return
    pytest.fail("never found")


@pytest.mark.parametrize("pause_s", [40, 90])
@pytest.mark.parametrize("ramp_a", [0.5, 1.0, 3.0, 30.0])
def test_f43_a_working_control_that_moves_cars_against_the_building_is_no_turned_sensor(ramp_a: float, pause_s: int) -> None:
    """The trap: cars are cut because the building rose and raised because it fell, second by second, to hold the sum."""
    world, rng, votes = World(), random.Random(7), Votes()
    goal_a = 20.0
    for second in range(6000):
        if second % pause_s == 0:
            goal_a = rng.choice((10.0, 20.0, 30.0, 38.0))
        world.building_a += max(-ramp_a, min(ramp_a, goal_a - world.building_a)) + rng.gauss(0, 0.2)
        world.run(1)
        wanted_a = max(6.0, min(32.0, 50.0 - world.building_a))  # as the meter has just shown it
        if abs(wanted_a - world.car_a) >= 1.0:
            world.command(wanted_a)
        while world.found:
            votes.add(world.found.pop())
        assert votes.distrust == votes.mixed == ""


def test_a_verdict_names_where_the_step_went() -> None:
    assert seen(step((0, 10, 0), (10, 0, 0)))[1] == Seen(Sight.ELSEWHERE, 0)


# -- words that are about another moment (found by days of the depot in virtual time) -------------------------------


def test_a_word_that_comes_when_the_car_is_on_its_next_way_is_not_held_against_the_step() -> None:
    """Paused at 0 A; its station speaks each minute and is first heard when the car has begun to charge again: 4 A of 6."""
    world = World()
    world.run(20)
    world.command(0.0)
    world.run(22, speaks=False)
    world.car_a = 4.0
    world.run(12)
    assert [one.sight for step in world.found for one in seen(step) if one is not None] == []
    assert all(step.gate_a[0] > 6.0 for step in world.found), "whatever the station tells now is not about this step"


def test_a_word_from_the_midst_of_a_ramp_is_not_the_time_before() -> None:
    """It told 14 A just when it had come from 8 A, and goes back to 8 A: the meter saw 8 A before and after."""
    world = World()
    world.car_a = 8.0
    world.run(20, speaks=False)
    world.car_a = 14.0
    world.run(1)
    said_mono_s = world.now
    world.car_a = 8.0
    world.run(5)
    world.watch.open(CP1, (14.0, 14.0, 14.0), said_mono_s - 1.5, world.now, said_mono_s=said_mono_s)
    world.run(15)
    assert all(step.gate_a[0] > 6.0 for step in world.found)


def test_a_car_that_moved_since_its_last_word_spoils_what_it_told_before() -> None:
    """It told 6 A, stopped by itself, and is told to pause much later: its station claims less than the meter never showed."""
    world = World()
    world.run(20)
    world.car_a = 0.0
    world.run(20, speaks=False)
    world.watch.open(CP1, (6.0, 6.0, 6.0), world.now, world.now + 7.0, -6.0, said_mono_s=20.0)
    world.run(20)
    assert all(step.gate_a[0] > 6.0 for step in world.found)


def test_after_a_silence_of_the_meter_no_window_reaches_back_over_it() -> None:
    world = World()
    world.run(20)
    world.command(16.0)
    world.now += 60.0
    world.run(20)
    assert world.found == []


def test_a_car_that_joins_the_window_of_another_leaves_its_own_and_what_others_did_meanwhile_hides_nothing() -> None:
    """One pauses; before its station speaks another pauses too and the first goes on: together the meter moved by little."""
    world = World()
    world.told[CP2] = Told(0.0, (6.0, 6.0, 6.0))
    world.building_a = 16.0
    world.run(20)
    world.command(0.0)
    world.run(16, speaks=False)
    world.watch.open(CP2, (6.0, 6.0, 6.0), world.now, world.now + 7.0, -6.0)
    world.building_a = 10.0
    world.run(1, speaks=False)
    world.watch.open(CP1, world.told[CP1].current_a, world.now, world.now + 7.0, 6.0, world.told[CP1].mono_s)
    world.car_a = 4.0
    world.run(12)
    assert [step for step in world.found if step.keys == (CP1,) and step.gate_a[0] <= 6.0] == []
