"""Laws of the arbiter: whatever the site looks like, these hold."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.config import EvseConfig
from controller.facts import EvseKey
from controller.site.arbiter import EPS, Claim, Pace, Rank, Row, decide
from controller.site.budget import AGED_S, DWELL_S, Turn, _rank
from controller.site.charger import GENERIC
from controller.site.guard import cut
from controller.site.state import EvseState, Place, Session

PACE = Pace(ramp_up_a_per_s=4.0, dead_band_a=1.0)
AMPS = st.integers(0, 64).map(float)


@st.composite
def claims(draw: st.DrawFn, rows: int, index: int) -> Claim:
    min_a = draw(st.sampled_from([6.0, 6.0, 8.0, 6.5]))
    cap_a = draw(st.one_of(AMPS, st.floats(0, 64)))
    present_a = draw(st.one_of(st.just(0.0), st.integers(8, 32).map(float)))
    return Claim(
        EvseKey(f"CP{index:02}", 1),
        tuple(sorted(draw(st.sets(st.integers(0, rows - 1), min_size=1, max_size=4)))),
        min_a,
        cap_a,
        "cap",
        min(cap_a, draw(st.one_of(AMPS, st.just(99.0)))),
        present_a,
        present_a + draw(st.sampled_from([0.0, 0.0, 5.0])),
        draw(st.integers(-1, 1)),
        draw(st.sampled_from(list(Rank))),
        float(draw(st.integers(0, 1000))),
        draw(st.sampled_from([1.0, 1.0, 0.1])),
        draw(st.sampled_from([0.0, 1.0, 100.0, float("inf")])),
        draw(st.booleans()),
    )


@st.composite
def sites(draw: st.DrawFn) -> tuple[list[Row], list[Claim]]:
    count = draw(st.integers(1, 6))
    rows = [Row(draw(st.one_of(st.floats(-20, 150), st.integers(0, 100).map(float))), f"row {number}") for number in range(count)]
    return rows, [draw(claims(count, index)) for index in range(draw(st.integers(0, 10)))]


def load(claims: list[Claim], amps: list[float], row: int) -> float:
    return sum(one for claim, one in zip(claims, amps, strict=True) if row in claim.rows)


@given(sites())
@settings(max_examples=150, deadline=None)
def test_no_row_is_ever_granted_more_than_its_capacity(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    grants = decide(rows, many, PACE)
    for number, row in enumerate(rows):
        assert load(many, [grant.limit_a for grant in grants], number) <= max(0.0, row.capacity_a) + 1e-3


@given(sites())
@settings(max_examples=150, deadline=None)
def test_what_may_be_drawn_never_grows_beyond_capacity(site: tuple[list[Row], list[Claim]]) -> None:
    """A rise never counts on a cut the other station has not followed yet."""
    rows, many = site
    grants = decide(rows, many, PACE)
    before = [claim.ceiling_a for claim in many]
    after = [max(claim.ceiling_a, grant.limit_a) for claim, grant in zip(many, grants, strict=True)]
    for number, row in enumerate(rows):
        assert load(many, after, number) <= max(row.capacity_a, load(many, before, number)) + 1e-3


@given(sites())
@settings(max_examples=150, deadline=None)
def test_a_grant_is_zero_or_between_the_minimum_and_the_cap_and_says_why(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    for claim, grant in zip(many, decide(rows, many, PACE), strict=True):
        assert grant.limit_a == 0.0 or claim.min_a - EPS <= grant.limit_a <= claim.cap_a + EPS
        assert grant.reason
        assert grant.key == claim.key


@given(sites(), st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_same_picture_gives_the_same_grants_in_any_order_of_claims(site: tuple[list[Row], list[Claim]], random: object) -> None:
    rows, many = site
    shuffled = list(many)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = {grant.key: round(grant.limit_a, 6) for grant in decide(rows, many, PACE)}
    assert {grant.key: round(grant.limit_a, 6) for grant in decide(rows, shuffled, PACE)} == first


@given(sites())
@settings(max_examples=100, deadline=None)
def test_rises_keep_to_the_ramp_and_stop_where_rises_are_forbidden(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    for claim, grant in zip(many, decide(rows, many, PACE), strict=True):
        if grant.limit_a <= claim.present_a + EPS:
            continue
        assert grant.limit_a <= max(claim.present_a + PACE.ramp_up_a_per_s * claim.rise_s, claim.min_a) + EPS
        assert claim.may_rise or grant.limit_a <= max(claim.present_a, claim.min_a) + EPS


@given(sites(), st.sets(st.integers(0, 5)))
@settings(max_examples=150, deadline=None)
def test_the_guard_only_lowers_and_brings_the_rows_below_capacity(site: tuple[list[Row], list[Claim]], over: set[int]) -> None:
    rows, many = site
    over = {row for row in over if row < len(rows)}
    lowered = {grant.key: grant.limit_a for grant in cut(rows, many, over, PACE)}
    after = [lowered.get(claim.key, claim.present_a) for claim in many]
    assert all(amps <= claim.present_a for amps, claim in zip(after, many, strict=True))
    for number in over:
        assert load(many, after, number) <= max(0.0, rows[number].capacity_a) + 1e-3


def longest_wait_s(wired: list[tuple[int, ...]], room: int, turns: dict[int, Turn], until_s: float) -> float:
    """Runs the queue minute by minute with room for ``room`` minimums per phase; the longest wait of anybody."""
    rows = [Row(6.0 * room + 1.0, f"L{phase + 1}") for phase in range(3)]
    last_served, longest = dict.fromkeys(range(len(wired)), 0.0), 0.0
    evse = replace(_evse(), session=Session("tx", 0.0, 0.0))
    for now in (60.0 * step for step in range(int(until_s / 60))):
        many = []
        for index, phases in enumerate(wired):
            turn = turns.get(index)
            present = 6.0 if turn and turn.served else 0.0
            rank, since = _rank(evse, turn, now), turn.since_mono_s if turn else 0.0
            many.append(Claim(EvseKey(f"CP{index}", 1), phases, 6.0, 32.0, "max", 32.0, present, present, 0, rank, since))
        for index, grant in enumerate(decide(rows, many, PACE)):
            turn, served = turns.get(index), grant.limit_a > 0
            last_served[index] = now if served else last_served[index]
            turns[index] = turn if turn is not None and turn.served == served else Turn(served, now)
            longest = max(longest, now - last_served[index])
    return longest


def _evse() -> EvseState:
    place = Place(EvseKey("CP", 1), EvseConfig(id=1, max_current_a=32), GENERIC, "grid", ("grid",), (0, 1, 2))
    return EvseState(place)


@given(st.integers(2, 9), st.integers(1, 3), st.data())
@settings(max_examples=25, deadline=None)
def test_nobody_starves(count: int, room: int, data: st.DataObject) -> None:
    """With room for a few minimums everybody gets a turn, whatever phases they need."""
    wired = [data.draw(st.sampled_from([(0,), (1,), (2,), (0, 1, 2)])) for _ in range(count)]
    bound_s = AGED_S + (count + 2) * DWELL_S
    assert longest_wait_s(wired, room, {}, 3 * bound_s) <= bound_s


def test_a_car_on_three_phases_is_not_starved_by_cars_on_one_whose_turns_end_one_after_another() -> None:
    wired: list[tuple[int, ...]] = [(0,), (0,), (1,), (1,), (2,), (2,), (0, 1, 2)]
    turns = {0: Turn(True, 0.0), 2: Turn(True, -100.0), 4: Turn(True, -200.0)}
    assert longest_wait_s(wired, 1, turns, 7200.0) <= AGED_S + 2 * DWELL_S
