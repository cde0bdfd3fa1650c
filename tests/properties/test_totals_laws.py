"""Laws of a limit in watts: a row of several phases that a car loads once per phase. Each holds beside all laws of ``test_arbiter_laws``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.facts import EvseKey
from controller.site.guard import cut, total_of
from controller.site.sharing.arbiter import EPS, Claim, Pace, Rank, Row, decide
from controller.site.sharing.rows import drawing
from tests.support.examples import examples

PACE, CALM = Pace(ramp_up_a_per_s=4.0, dead_band_a=1.0), Pace(1000.0, 0.0)
PHASES = (0, 1, 2)
WIRED = [(0,), (0,), (1,), (2,), (0, 1), (0, 1, 2), (0, 1, 2)]
TOTAL = 3
"""Index of the total in these sites: rows 0..2 are L1..L3."""


def rows_of(phases: tuple[int, ...], total: bool = True) -> tuple[int, ...]:
    return phases + ((TOTAL,) * len(phases) if total else ())


def claim(index: int, phases: tuple[int, ...], cap_a: float = 32.0, **more: object) -> Claim:
    plain = Claim(EvseKey(f"CP{index:02}", 1), rows_of(phases), 6.0, cap_a, "cap", cap_a, 0.0, 0.0, sums=(TOTAL,) if len(phases) > 1 else ())
    return replace(plain, **more)  # type: ignore[arg-type]


def site_rows(fuses_a: Sequence[float], total_a: float) -> list[Row]:
    return [*(Row(amps, f"L{phase + 1}") for phase, amps in enumerate(fuses_a)), Row(total_a, "limit", phases=PHASES)]


@st.composite
def claims(draw: st.DrawFn, index: int) -> Claim:
    phases = draw(st.sampled_from(WIRED))
    cap_a = draw(st.one_of(st.integers(0, 40).map(float), st.floats(0, 40)))
    present_a = draw(st.one_of(st.just(0.0), st.integers(8, 32).map(float)))
    return claim(
        index,
        phases,
        cap_a,
        min_a=draw(st.sampled_from([6.0, 6.0, 8.0, 6.5])),
        want_a=min(cap_a, draw(st.one_of(st.integers(0, 40).map(float), st.just(99.0)))),
        present_a=present_a,
        ceiling_a=present_a + draw(st.sampled_from([0.0, 0.0, 5.0])),
        priority=draw(st.integers(-1, 1)),
        rank=draw(st.sampled_from(list(Rank))),
        since_mono_s=float(draw(st.integers(0, 1000))),
        step_a=draw(st.sampled_from([1.0, 1.0, 0.1])),
        rise_s=draw(st.sampled_from([0.0, 1.0, 100.0, math.inf])),
        may_rise=draw(st.booleans()),
    )


@st.composite
def sites(draw: st.DrawFn) -> tuple[list[Row], list[Claim]]:
    fuses = [float(draw(st.integers(-5, 80))) for _ in PHASES]
    return site_rows(fuses, draw(st.one_of(st.floats(-20, 160), st.integers(0, 160).map(float)))), [
        draw(claims(index)) for index in range(draw(st.integers(0, 8)))
    ]


def load(many: Sequence[Claim], amps: Sequence[float], row: int) -> float:
    return sum(one * claim.rows.count(row) for claim, one in zip(many, amps, strict=True))


def granted(rows: Sequence[Row], many: Sequence[Claim], pace: Pace = CALM) -> list[float]:
    return [grant.limit_a for grant in decide(rows, many, pace)]


@given(sites())
@settings(max_examples=examples(80), deadline=None)
def test_neither_a_phase_nor_the_total_is_ever_granted_more_than_it_carries(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    amps = granted(rows, many, PACE)
    for number, row in enumerate(rows):
        assert load(many, amps, number) <= max(0.0, row.capacity_a) + 1e-3


@given(sites())
@settings(max_examples=examples(80), deadline=None)
def test_a_rise_never_counts_on_a_cut_that_is_not_followed_yet(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    before = [one.ceiling_a for one in many]
    after = [max(one.ceiling_a, amps) for one, amps in zip(many, granted(rows, many, PACE), strict=True)]
    for number, row in enumerate(rows):
        assert load(many, after, number) <= max(row.capacity_a, load(many, before, number)) + 1e-3


@given(sites())
@settings(max_examples=examples(60), deadline=None)
def test_the_guard_brings_the_total_below_what_it_carries_and_raises_nobody(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    lowered = {grant.key: grant.limit_a for grant in cut(rows, many, {TOTAL}, PACE)}
    after = [lowered.get(one.key, one.present_a) for one in many]
    assert all(amps <= one.present_a for amps, one in zip(after, many, strict=True))
    assert load(many, after, TOTAL) <= max(0.0, rows[TOTAL].capacity_a) + 1e-3


@given(sites(), st.randoms())
@settings(max_examples=examples(100), deadline=None)
def test_the_order_of_claims_decides_nothing(site: tuple[list[Row], list[Claim]], random: object) -> None:
    rows, many = site
    shuffled = list(many)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = {grant.key: round(grant.limit_a, 6) for grant in decide(rows, many, PACE)}
    assert {grant.key: round(grant.limit_a, 6) for grant in decide(rows, shuffled, PACE)} == first


def calm(many: Sequence[Claim]) -> list[Claim]:
    """The same cars as if they had just come: no ramp, no old setpoint, one priority."""
    fresh = {"priority": 0, "present_a": 0.0, "ceiling_a": 0.0, "rise_s": math.inf, "may_rise": True, "step_a": 1.0}
    return [replace(one, want_a=one.cap_a, **fresh) for one in many]  # type: ignore[arg-type]


def served_below_cap(many: Sequence[Claim], amps: Sequence[float]) -> list[tuple[int, float]]:
    """Who charges and has a whole step left to his cap, with the setpoint after that step; from a minimum of 6.5 A it is 7 A."""
    nexts = [(index, math.floor(has_a + EPS) + 1.0) for index, has_a in enumerate(amps) if has_a >= many[index].min_a - EPS]
    return [(index, next_a) for index, next_a in nexts if next_a <= many[index].cap_a - EPS]


OFF_STEP = site_rows((15.0, 7.0, 7.0), 27.75), [claim(0, (0,), 9.0, min_a=6.5), claim(1, (0, 1, 2), 7.0, min_a=6.5)]
"""A crumb of a whole step above a minimum of 6.5 A ends between two steps and is rounded away: 26.5 of 27.75 A are used."""
ONE_OR_THREE = site_rows((14.0, 8.0, 8.0), 26.0), [claim(0, (0,), 8.0), claim(1, (0, 1, 2), 8.0)]
"""A step of the second car loads the total three times and does not fit; so the first has both amperes that are left."""
STEPS_THAT_FIT_NOBODY_ELSE = site_rows((80.0,) * 3, 160.0), [*(claim(index, (0,), 6.9) for index in range(6)), claim(6, (0,), 80.0)]

ONE_FUSE_FOR_TWO = site_rows((32.0, 80.0, 80.0), 160.0), [claim(0, (0,)), claim(1, (0,)), claim(2, (1,))]


@st.composite
def crowded(draw: st.DrawFn) -> tuple[list[Row], list[Claim]]:
    """Everybody has a minimum and most could use more: what is left has to be shared."""
    wired = draw(st.lists(st.sampled_from(WIRED), min_size=2, max_size=6))
    caps_a, mins_a = st.one_of(st.integers(10, 40).map(float), st.floats(10, 40)), st.sampled_from([6.0, 6.0, 8.0, 6.5])
    many = [claim(index, phases, draw(caps_a), min_a=draw(mins_a)) for index, phases in enumerate(wired)]
    least_a = [load(many, [one.min_a for one in many], row) for row in range(4)]
    spare_a = st.one_of(st.integers(0, 60).map(float), st.floats(0, 60))
    return site_rows([amps + draw(spare_a) for amps in least_a[:TOTAL]], least_a[TOTAL] + draw(spare_a)), many


@given(st.one_of(sites(), crowded()))
@example(OFF_STEP)
@example(ONE_OR_THREE)
@example(STEPS_THAT_FIT_NOBODY_ELSE)
@example(ONE_FUSE_FOR_TWO)
@settings(max_examples=examples(60), deadline=None)
def test_no_step_that_fits_is_left_to_nobody(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site[0], calm(site[1])
    amps = granted(rows, many)
    for index, next_a in served_below_cap(many, amps):
        more = [*amps[:index], next_a, *amps[index + 1 :]]
        assert any(load(many, more, row) > rows[row].capacity_a + 1e-9 for row in many[index].rows), many[index].key


@given(st.one_of(sites(), crowded()))
@example(OFF_STEP)
@example(ONE_OR_THREE)
@example(STEPS_THAT_FIT_NOBODY_ELSE)
@example(ONE_FUSE_FOR_TWO)
@settings(max_examples=examples(60), deadline=None)
def test_who_gets_less_than_he_could_use_would_not_have_a_step_more_if_all_who_have_clearly_more_gave_it_up(
    site: tuple[list[Row], list[Claim]],
) -> None:
    """On one of his rows at least: down to his next step or their minimum. Rounding may cost each other car there less than a step."""
    rows, many = site[0], calm(site[1])
    amps = granted(rows, many)
    for index, next_a in served_below_cap(many, amps):
        level = [min(has_a, max(next_a, one.min_a)) for one, has_a in zip(many, amps, strict=True)]
        level[index] = next_a
        rounded_a = [1.0 if has_a > 0.0 and other != index else 0.0 for other, has_a in enumerate(amps)]
        assert any(load(many, level, row) + load(many, rounded_a, row) > rows[row].capacity_a - 1e-3 for row in many[index].rows), many[index].key


# -- against the even spread ------------------------------------------------------------------------------


def evenly(rows: Sequence[Row], many: Sequence[Claim]) -> list[float]:
    """The same cars under a third of the total on each phase."""
    third_a = rows[TOTAL].capacity_a / 3.0
    spread = [replace(row, capacity_a=min(row.capacity_a, third_a)) for row in rows[:TOTAL]]
    plain = [replace(one, rows=tuple(row for row in one.rows if row != TOTAL), sums=()) for one in many]
    return granted(spread, plain)


@given(st.lists(st.tuples(st.sampled_from([(0,), (0,), (1,), (0, 1, 2)]), st.floats(6, 40)), max_size=7), st.integers(18, 160), st.integers(8, 80))
@settings(max_examples=examples(200), deadline=None)
def test_a_total_is_never_used_less_than_spread_evenly(cars: list[tuple[tuple[int, ...], float]], total_a: int, fuse_a: int) -> None:
    """Of cars that are served by both; who is served first is a matter of turns, not of the limit."""
    rows = site_rows((float(fuse_a),) * 3, float(total_a))
    many = [claim(index, phases, cap_a, step_a=0.001) for index, (phases, cap_a) in enumerate(cars)]
    even, whole = evenly(rows, many), granted(rows, many)
    if any(amps == 0.0 for amps in (*even, *whole)):
        return
    assert load(many, whole, TOTAL) >= load(many, even, TOTAL) - 0.01 * len(many)


def test_one_phase_cars_use_a_section_14a_minimum_whole() -> None:
    """16.8 kW at 230 V are 73.04 A: two cars on L1 and one on L2 have 24 A each, and the last ampere goes to the first in line."""
    rows = site_rows((100.0,) * 3, 16_800.0 / 230.0)
    many = [claim(0, (0,)), claim(1, (0,)), claim(2, (1,))]
    assert sorted(granted(rows, many)) == [24.0, 24.0, 25.0]
    assert sum(evenly(rows, many)) == 24.0 + 24.0


@given(st.lists(st.tuples(st.sampled_from(WIRED), st.integers(0, 10)), min_size=1, max_size=4), st.integers(0, 60), st.integers(0, 20))
@settings(max_examples=examples(60), deadline=None)
def test_nobody_served_could_have_a_step_more(cars: list[tuple[tuple[int, ...], int]], total_a: int, fuse_a: int) -> None:
    """Against every division there is in whole amperes."""
    rows = site_rows((float(fuse_a),) * 3, float(total_a))
    many = [claim(index, phases, float(cap_a)) for index, (phases, cap_a) in enumerate(cars)]
    found = granted(rows, many)
    levels = [[0.0, *map(float, range(6, int(one.cap_a) + 1))] for one in many]
    fitting = [way for way in product(*levels) if all(load(many, way, row) <= rows[row].capacity_a + EPS for row in range(4))]
    assert tuple(found) in fitting
    served = [index for index, amps in enumerate(found) if amps > 0.0]
    for way in fitting:
        same = all((amps > 0.0) == (index in served) for index, amps in enumerate(way))
        assert not (same and way != tuple(found) and all(amps >= has for amps, has in zip(way, found, strict=True))), way


@given(st.lists(st.tuples(st.sampled_from(WIRED), st.integers(6, 20)), min_size=1, max_size=5), st.integers(0, 120), st.integers(6, 40))
@settings(max_examples=examples(40), deadline=None)
def test_levels_rise_together_as_water_does(cars: list[tuple[tuple[int, ...], int]], total_a: int, fuse_a: int) -> None:
    """Against water poured in drops: every car that can take one more takes it, in turn."""
    rows = site_rows((float(fuse_a),) * 3, float(total_a))
    many = [claim(index, phases, float(cap_a), step_a=1e-6) for index, (phases, cap_a) in enumerate(cars)]
    found = granted(rows, many)
    poured, drop_a = [6.0 if amps > 0.0 else 0.0 for amps in found], 1.0 / 64
    rising = [index for index, amps in enumerate(poured) if amps]
    while rising:
        tried = list(poured)
        for index in rising:
            tried[index] += drop_a
        if all(load(many, tried, row) <= rows[row].capacity_a for row in range(4)) and all(tried[index] <= many[index].cap_a for index in rising):
            poured = tried
            continue
        rising = [index for index in rising if _takes(rows, many, poured, rising, index, drop_a)]
    # Who is stopped on the way leaves less than a drop for each of the others.
    assert all(abs(one - other) <= 4 * len(many) * drop_a for one, other in zip(found, poured, strict=True))


def _takes(rows: Sequence[Row], many: Sequence[Claim], amps: Sequence[float], rising: Sequence[int], index: int, drop_a: float) -> bool:
    """Whether a car is stopped neither by its cap nor by a row that cannot carry a drop of each car that rises on it."""
    if amps[index] + drop_a > many[index].cap_a:
        return False
    for row in many[index].rows:
        more_a = drop_a * sum(many[other].rows.count(row) for other in rising)
        if load(many, amps, row) + more_a > rows[row].capacity_a:
            return False
    return True


# -- phases that feed in ---------------------------------------------------------------------------------------


AMPS = st.integers(-40, 40).map(float)


@given(st.tuples(AMPS, AMPS, AMPS), st.tuples(*(st.integers(0, 60).map(float) for _ in PHASES)), st.integers(0, 90).map(float))
@settings(max_examples=examples(300), deadline=None)
def test_the_rows_of_a_total_hold_exactly_when_what_is_drawn_stays_below_it(
    other_a: tuple[float, float, float], cars_a: tuple[float, float, float], total_a: float
) -> None:
    """Feed-in on one phase makes no room on another, whether a meter nets its phases or not."""
    holds = all(sum(other_a[phase] + cars_a[phase] for phase in which) <= total_a for which in drawing(PHASES, other_a))
    drawn_a = total_of((other_a[0] + cars_a[0], other_a[1] + cars_a[1], other_a[2] + cars_a[2]))
    assert holds == (drawn_a <= total_a)


@given(st.tuples(AMPS, AMPS, AMPS), st.tuples(*(st.floats(0, 60) for _ in PHASES)), st.integers(0, 90).map(float))
@settings(max_examples=examples(200), deadline=None)
def test_what_fits_a_third_on_each_phase_fits_the_total(
    other_a: tuple[float, float, float], cars_a: tuple[float, float, float], total_a: float
) -> None:
    spread = [min(cars_a[phase], max(0.0, total_a / 3.0 - other_a[phase])) for phase in PHASES]
    if any(other_a[phase] > total_a / 3.0 for phase in PHASES):
        return  # nothing fits there either way
    for which in drawing(PHASES, other_a):
        assert sum(other_a[phase] + spread[phase] for phase in which) <= total_a + 1e-6
