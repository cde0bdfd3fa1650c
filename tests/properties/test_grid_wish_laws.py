"""Whatever a CSMS or the grid says about all chargers together, it can only lower: the laws of the arbiter hold with it as without it.

First single decisions on made-up rows, then the real site in a closed loop second by second, with a CSMS that says anything: limits and
setpoints of any size and sign, what is no number, schedules of the past and of one second, clocks that jump, stations that go away while
they give back. Judged by what flows at the grid meter. A story is made of the drawn steps, so that every failure can be played again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.facts import EvseKey, GridControlled, LimitStep, StationOffline, StationOnline
from controller.site.sharing.arbiter import Claim, Give, Pace, Row, decide
from tests.support.examples import examples
from tests.support.giving_story import FACE, RATED_W, W_PER_A, GivingStory

PACE = Pace(4.0, 1.0)
Cars = list[tuple[float, float, float, float]]

# -- single decisions -----------------------------------------------------------------------------------------

AMPS = st.sampled_from([0.0, 3.0, 8.0, 16.0, 40.0])
CARS = st.lists(st.tuples(AMPS, AMPS, AMPS, st.sampled_from([0.0, 1.0, 100.0])), min_size=1, max_size=6)
CAPACITIES = st.one_of(st.floats(-20, 200), st.sampled_from([0.0, 1e9]))


def givers(cars: Cars, rows: tuple[int, ...]) -> list[Claim]:
    """Cars of one phase that shall give back: (wanted, held, set point in force, since) each."""
    found = []
    for number, (wanted_a, held_a, now_a, changed_s) in enumerate(cars):
        give = Give(wanted_a, 0.5, rows, 230.0, "CSMS", now_a, changed_s, max(held_a, now_a), number % 2 == 0) if wanted_a else None
        found.append(Claim(EvseKey(f"CP{number}", 1), (0,), 6.0, 0.0, "cap", 0.0, 0.0, 0.0, give=give))
    return found


@given(CARS, CAPACITIES, CAPACITIES)
@settings(max_examples=examples(300), deadline=None)
def test_a_strict_row_holds_also_while_cars_still_do_what_they_were_told_before(cars: Cars, plain_a: float, strict_a: float) -> None:
    """The sum of the most each may be giving, the old or the new, grows above the row by nothing that is decided now."""
    rows = [Row(100.0, "fuse"), Row(plain_a, "export"), Row(strict_a, "DER", strict=True)]
    claims = givers(cars, (1, 2))
    grants = decide(rows, claims, PACE)
    given = [max(0.0, -(grant.setpoint_w or 0.0)) / 230.0 for grant in grants]
    held = [claim.give.held_a if claim.give is not None else 0.0 for claim in claims]
    assert sum(given) <= max(0.0, min(plain_a, strict_a)) + 1e-6
    if all(claim.give is not None for claim in claims):
        assert sum(map(max, given, held)) <= max(strict_a, sum(held)) + 1e-6
    assert all(grant.limit_a == 0.0 for grant in grants)


@given(CARS, CAPACITIES, CAPACITIES)
@settings(max_examples=examples(300), deadline=None)
def test_a_bound_more_never_lets_more_flow_back_in_all(cars: Cars, plain_a: float, strict_a: float) -> None:
    plain, bound = [Row(100.0, "fuse"), Row(plain_a, "export")], Row(strict_a, "DER", strict=True)
    without = decide(plain, givers(cars, (1,)), PACE)
    with_it = decide([*plain, bound], givers(cars, (1, 2)), PACE)
    # Steadying (whole amperes, a wait before more) may hold the first below what fits; the bound's own figure needs none of it.
    most_w = 230.0 * min(max(0.0, plain_a), sum(car[0] for car in cars))
    assert -sum(grant.setpoint_w or 0.0 for grant in with_it) <= max(-sum(grant.setpoint_w or 0.0 for grant in without), most_w) + 1e-3


# -- the real site, any nonsense ------------------------------------------------------------------------------------

NUMBERS = st.sampled_from([None, 0.0, 1.0, 6.0, 20.0, 45.0, 1e9, -1.0, -45.0, -1e9, math.nan, math.inf, -math.inf])
WATTS = st.sampled_from([None, 0.0, 300.0, 5_000.0, 20_000.0, 1e12, -5_000.0, math.nan, math.inf, -math.inf])
STEP = st.tuples(st.sampled_from([-86_400.0, -5.0, 0.0, 1.0, 2.0, 30.0, 1e6]), NUMBERS, NUMBERS, NUMBERS, st.sampled_from([None, 1, 3]))
DEEDS = st.one_of(
    st.tuples(st.just("wish"), st.lists(STEP, max_size=4)),
    st.tuples(st.just("control"), WATTS),
    st.tuples(st.just("control one"), WATTS),
    st.tuples(st.just("export"), WATTS),
    st.tuples(st.just("ask"), st.sampled_from([-1e9, -8_000.0, -400.0, 0.0, 8_000.0, 1e9])),
    st.tuples(st.just("jump"), st.sampled_from([-86_400.0, -3.0, 3.0, 3600.0])),
    st.tuples(st.sampled_from(["away", "back", "deaf", "unplug", "plug"]), st.integers(0, 3)),
)
TALES = st.lists(st.tuples(DEEDS, st.integers(1, 25)), min_size=3, max_size=9)
BUILDING_A, FUSE_A, EXPORT_W = 10.0, 80.0, 9_000.0
FOLLOWS_S = 4
"""A control tick, the car's reaction, and a reading."""
SLACK_W = 25.0


LOW = EvseKey("CP3", 1)
"""Its car is a percent above its reserve of 20: it never begins to give."""


@dataclass
class Nonsense:
    """A site of three cars that give back and one that only charges, and what was said last and when."""

    story: GivingStory = field(default_factory=lambda: GivingStory(3, plain=1, fuse_a=FUSE_A, grid={"max_export_w": EXPORT_W}))
    calm_s: int = 0
    most_w: float = math.inf
    most_one_w: float = math.inf
    export_w: float = EXPORT_W
    away: set[EvseKey] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.story.park(*[key for key in self.story.keys if key != LOW])
        self.story.park(LOW, soc_percent=21.0)
        for key in self.story.givers:
            self.story.ask(key, -8_000.0)
        self.story.run(20)

    def do(self, deed: tuple[str, object]) -> None:
        name, what = deed
        story, at = self.story, self.story.at()
        key = story.keys[what] if isinstance(what, int) else story.keys[0]
        if name == "wish":
            steps = [
                LimitStep(at.wall_s + begin_s, limit, discharge, setpoint, phases, None, "CentralSetpoint")
                for begin_s, limit, discharge, setpoint, phases in sorted(what, key=lambda step: step[0])  # type: ignore[call-overload]
            ]
            story.wish(*steps)
        elif name == "control":
            story.control(what)  # type: ignore[arg-type]
            self.most_w = _sane(what)
        elif name == "control one":
            story.control(what, story.keys[0], 18)  # type: ignore[arg-type]
            self.most_one_w = _sane(what)
        elif name == "export":
            story.do(GridControlled(at, FACE, EvseKey("CP2", 1), None, what, "DER"))  # type: ignore[arg-type]
            self.export_w = min(EXPORT_W, _sane(what))
        elif name == "ask":
            story.ask(key, what)  # type: ignore[arg-type]
        elif name == "jump":
            story.wall_jump_s += what  # type: ignore[operator]
        elif name == "away" and key not in self.away:
            self.away.add(key)
            story.mute.add(key)
            story.do(StationOffline(at, key.station_id))
        elif name == "back" and key in self.away:
            self.away.discard(key)
            story.mute.discard(key)
            story.do(StationOnline(at, key.station_id, "2.1"))
        elif name == "unplug" and key in story.drawn_a:
            story.unplug(key)
        elif name == "plug" and key not in story.drawn_a:
            story.park(key, soc_percent=21.0 if key == LOW else 70.0)
        elif name == "deaf":
            self.deaf(int(what))  # type: ignore[call-overload]
        self.calm_s = 0

    def deaf(self, seconds: int) -> None:
        """The grid meter says nothing for a while."""
        for _ in range(8 * (seconds + 1)):
            self.story.step(None)

    def second(self) -> None:
        self.calm_s += 1
        self.story.step(BUILDING_A)
        flow_w = {key: amps * W_PER_A for key, amps in self.story.drawn_a.items()}
        amps = BUILDING_A + sum(flow_w.values()) / W_PER_A
        assert amps <= FUSE_A + 0.1
        assert all(watts >= -RATED_W - SLACK_W for watts in flow_w.values())
        assert flow_w.get(LOW, 0.0) >= 0.0
        assert flow_w.get(self.story.keys[3], 0.0) >= 0.0
        if self.calm_s > FOLLOWS_S and not self.away:
            given_w = -sum(min(0.0, watts) for watts in flow_w.values())
            assert given_w <= W_PER_A * BUILDING_A + self.export_w + SLACK_W, "also if every car that charges stops at once"
            assert given_w <= self.most_w + SLACK_W
            assert flow_w.get(self.story.keys[0], 0.0) >= -self.most_one_w - SLACK_W


def _sane(what: object) -> float:
    """What counts: nothing said binds nothing; what is no number lets nothing flow."""
    if what is None:
        return math.inf
    return max(0.0, float(what)) if math.isfinite(float(what)) else 0.0  # type: ignore[arg-type]


@given(TALES)
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_a_csms_says_overloads_the_fuse_or_lets_more_flow_back_than_may(tale: list[tuple[tuple[str, object], int]]) -> None:
    world = Nonsense()
    for deed, seconds in tale:
        world.do(deed)
        for _ in range(seconds):
            world.second()
    assert world.story.told("our own code") == []


@given(TALES)
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_wished_and_then_taken_back_leaves_nothing_behind(tale: list[tuple[tuple[str, object], int]]) -> None:
    """After every wish and control is gone the site decides as if none had ever been: nobody is held down or lifted by what was."""
    world = Nonsense()
    for deed, seconds in tale:
        if deed[0] in ("wish", "control"):
            world.do(deed)
            world.story.run(seconds)
    world.story.wish()
    world.story.control(None)
    world.story.run(60)
    assert world.story.site.grid_wishes.now(world.story.at().wall_s) == ()
    assert sum(world.story.drawn_a[key] for key in world.story.givers[:2]) * W_PER_A < -15_000.0
    assert all(not row.strict for row in world.story.site.frozen.rows)
