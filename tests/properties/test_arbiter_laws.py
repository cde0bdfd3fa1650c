"""Laws of the arbiter: whatever the site looks like, these hold."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.config import EvseConfig
from controller.facts import EvseKey
from controller.site.guard import cut
from controller.site.layout import Place
from controller.site.sharing.arbiter import EPS, Claim, Give, Grant, Pace, Rank, Row, decide
from controller.site.sharing.rows import PAIRS
from controller.site.sharing.turns import AGED_TURNS, LIFT_EVERY_TURNS, STARVING_TURNS, Turns, rank
from controller.site.state import EvseState, Session
from controller.site.stations.charger import GENERIC
from tests.support.examples import examples

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
@settings(max_examples=examples(150), deadline=None)
def test_no_row_is_ever_granted_more_than_its_capacity(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    grants = decide(rows, many, PACE)
    for number, row in enumerate(rows):
        assert load(many, [grant.limit_a for grant in grants], number) <= max(0.0, row.capacity_a) + 1e-3


@given(sites())
@settings(max_examples=examples(150), deadline=None)
def test_what_may_be_drawn_never_grows_beyond_capacity(site: tuple[list[Row], list[Claim]]) -> None:
    """A rise never counts on a cut the other station has not followed yet."""
    rows, many = site
    grants = decide(rows, many, PACE)
    before = [claim.ceiling_a for claim in many]
    after = [max(claim.ceiling_a, grant.limit_a) for claim, grant in zip(many, grants, strict=True)]
    for number, row in enumerate(rows):
        assert load(many, after, number) <= max(row.capacity_a, load(many, before, number)) + 1e-3


@given(sites())
@settings(max_examples=examples(150), deadline=None)
def test_a_grant_is_zero_or_between_the_minimum_and_the_cap_and_says_why(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    for claim, grant in zip(many, decide(rows, many, PACE), strict=True):
        assert grant.limit_a == 0.0 or claim.min_a - EPS <= grant.limit_a <= claim.cap_a + EPS
        assert grant.reason
        assert grant.key == claim.key


@given(sites())
@settings(max_examples=examples(150), deadline=None)
def test_who_gets_less_than_it_could_use_shares_a_full_row_with_nobody_who_got_clearly_more(site: tuple[list[Row], list[Claim]]) -> None:
    """Max-min fair within one priority: nobody could be given more without taking from somebody who has no more."""
    rows, many = site
    many = [replace(one, priority=0, step_a=1.0, want_a=one.cap_a, present_a=0.0, ceiling_a=0.0, rise_s=float("inf"), may_rise=True) for one in many]
    calm = Pace(1000.0, 0.0)
    grants = [grant.limit_a for grant in decide(rows, many, calm)]
    for claim, amps in zip(many, grants, strict=True):
        if amps < claim.min_a - EPS or amps > claim.cap_a - 1.0 - EPS:
            continue
        full = [number for number in claim.rows if load(many, grants, number) > max(0.0, rows[number].capacity_a) - 1.0 - EPS]
        assert full
        assert any(
            all(other_a <= max(amps + 1.0, other.min_a) + EPS for other, other_a in zip(many, grants, strict=True) if number in other.rows)
            for number in full
        )


def test_what_rounding_leaves_on_two_rows_is_handed_out_to_the_last_step() -> None:
    """Two of three that share row 0 leave 0.33 A each on row 1, and together with what its own leave that is a step."""
    wired = [((1,), 9.0), ((0,), 6.0), ((0,), 7.0), ((1,), 6.75), ((0, 1), 7.0), ((0, 1), 7.0)]
    many = [Claim(EvseKey(f"CP{number}", 1), rows, 6.0, cap_a, "cap", cap_a, 0.0, 0.0) for number, (rows, cap_a) in enumerate(wired)]
    grants = [grant.limit_a for grant in decide([Row(25.0, "row 0"), Row(26.25, "row 1")], many, Pace(1000.0, 0.0))]
    assert grants[0] == 8.0
    assert sum(grants) == 39.0


@given(sites(), st.randoms())
@settings(max_examples=examples(100), deadline=None)
def test_the_same_picture_gives_the_same_grants_in_any_order_of_claims(site: tuple[list[Row], list[Claim]], random: object) -> None:
    rows, many = site
    shuffled = list(many)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = {grant.key: round(grant.limit_a, 6) for grant in decide(rows, many, PACE)}
    assert {grant.key: round(grant.limit_a, 6) for grant in decide(rows, shuffled, PACE)} == first


@given(sites())
@settings(max_examples=examples(100), deadline=None)
def test_rises_keep_to_the_ramp_and_stop_where_rises_are_forbidden(site: tuple[list[Row], list[Claim]]) -> None:
    rows, many = site
    for claim, grant in zip(many, decide(rows, many, PACE), strict=True):
        if grant.limit_a <= claim.present_a + EPS:
            continue
        assert grant.limit_a <= max(claim.present_a + PACE.ramp_up_a_per_s * claim.rise_s, claim.min_a) + EPS
        assert claim.may_rise or grant.limit_a <= max(claim.present_a, claim.min_a) + EPS


@given(sites(), st.sets(st.integers(0, 5)))
@settings(max_examples=examples(150), deadline=None)
def test_the_guard_only_lowers_and_brings_the_rows_below_capacity(site: tuple[list[Row], list[Claim]], over: set[int]) -> None:
    rows, many = site
    over = {row for row in over if row < len(rows)}
    lowered = {grant.key: grant.limit_a for grant in cut(rows, many, over, PACE)}
    after = [lowered.get(claim.key, claim.present_a) for claim in many]
    assert all(amps <= claim.present_a for amps, claim in zip(after, many, strict=True))
    for number in over:
        assert load(many, after, number) <= max(0.0, rows[number].capacity_a) + 1e-3


T = 300.0
"""Length of a turn in these stories [s]."""


def _evse() -> EvseState:
    place = Place(EvseKey("CP", 1), EvseConfig(id=1, max_current_a=32), GENERIC, "grid", ("grid",), (0, 1, 2))
    return EvseState(place)


def served_over_time(
    wired: list[tuple[int, ...]], room: int, until_s: float, priorities: list[int] | None = None, turns: Turns | None = None
) -> list[list[float]]:
    """Runs the queue minute by minute with room for ``room`` minimums per phase; for each car the times at which it was served."""
    rows = [Row(6.0 * room + 1.0, f"L{phase + 1}") for phase in range(3)]
    priorities, turns = priorities or [0] * len(wired), turns or Turns(T)
    served: list[list[float]] = [[0.0] for _ in wired]
    evse = replace(_evse(), session=Session("tx", 0.0, 0.0))
    for now in (60.0 * step for step in range(int(until_s / 60))):
        many = []
        for index, phases in enumerate(wired):
            key = EvseKey(f"CP{index}", 1)
            turn = turns.of.get(key)
            present = 6.0 if turn and turn.served else 0.0
            since = turn.since_mono_s if turn else 0.0
            resting = turn is not None and now < turn.rest_until_mono_s
            claim = Claim(
                key, phases, 6.0, 0.0 if resting else 32.0, "max", 32.0, present, present, priorities[index], rank(evse, turn, now, T), since
            )
            many.append(replace(claim, want_a=min(32.0, claim.cap_a), lifted=turns.lifted == key))
        grants = decide(rows, many, PACE)
        turns.take(grants, now)
        for times, grant in zip(served, grants, strict=True):
            if grant.limit_a > 0:
                times.append(now)
    return served


def longest_wait_s(served: list[list[float]], until_s: float) -> float:
    """The longest time anybody went without."""
    return max(later - earlier for times in served for earlier, later in zip(times, [*times[1:], until_s], strict=True))


@given(st.integers(2, 9), st.integers(1, 3), st.data())
@settings(max_examples=examples(25), deadline=None)
def test_nobody_starves(count: int, room: int, data: st.DataObject) -> None:
    """With room for a few minimums everybody gets a turn, whatever phases they need."""
    wired = [data.draw(st.sampled_from([(0,), (1,), (2,), (0, 1, 2)])) for _ in range(count)]
    bound_s = (AGED_TURNS + count + 3) * T
    assert longest_wait_s(served_over_time(wired, room, 3 * bound_s), 3 * bound_s) <= bound_s


@given(st.integers(2, 6), st.integers(1, 3), st.data())
@settings(max_examples=examples(15), deadline=None)
def test_nobody_starves_below_others_of_higher_priority(count: int, room: int, data: st.DataObject) -> None:
    """One car at a time is lifted after a long wait; the bound grows with the number of cars."""
    wired = [data.draw(st.sampled_from([(0,), (0, 1, 2)])) for _ in range(count)]
    priorities = [data.draw(st.integers(-9, 9)) for _ in range(count)]
    bound_s = (STARVING_TURNS + (count + 1) * (LIFT_EVERY_TURNS + 2)) * T
    assert longest_wait_s(served_over_time(wired, room, 3 * bound_s, priorities), 3 * bound_s) <= bound_s


def test_priority_still_means_something_while_others_are_lifted() -> None:
    served = served_over_time([(0,), (0,), (0,)], 1, 40 * T, [5, 0, 0])
    assert len(served[0]) >= 0.6 * (40 * T / 60), "the one above gets most of the time"
    assert min(len(times) for times in served[1:]) > T / 60


def test_a_car_on_three_phases_is_not_starved_by_cars_on_one_whose_turns_end_one_after_another() -> None:
    wired: list[tuple[int, ...]] = [(0,), (0,), (1,), (1,), (2,), (2,), (0, 1, 2)]
    turns = Turns(T)
    for index, begun in ((0, 0.0), (2, -100.0), (4, -200.0)):
        turns.take([Grant(EvseKey(f"CP{index}", 1), 6.0, "")], begun)
    assert longest_wait_s(served_over_time(wired, 1, 7200.0, turns=turns), 7200.0) <= (AGED_TURNS + 2) * T


# -- the difference between two phases -------------------------------------------------------------------


@st.composite
def lopsided(draw: st.DrawFn) -> tuple[float, list[Row], list[Claim], list[tuple[int, ...]]]:
    """Three fuses and the six rows of an unbalance limit, as ``rows`` makes them. (limit, rows, claims, phases)."""
    limit_a = float(draw(st.integers(6, 25)))
    phases = [draw(st.sampled_from([(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])) for _ in range(draw(st.integers(1, 8)))]
    many: list[Claim] = []
    leans: dict[int, list[tuple[EvseKey, float]]] = {}
    for index, used in enumerate(phases):
        key, drawn_a = EvseKey(f"CP{index}", 1), float(draw(st.sampled_from([0, 6, 16, 32])))
        pairs = tuple(3 + number for number, (p, q) in enumerate(PAIRS) if p in used and q not in used)
        cap_a = float(draw(st.sampled_from([0, 6, 16, 32])))
        many.append(Claim(key, (*used, *pairs), 6.0, cap_a, "cap", cap_a, drawn_a, drawn_a, priority=draw(st.integers(0, 1))))
        for number, (p, q) in enumerate(PAIRS):
            if q in used and p not in used and drawn_a:
                leans.setdefault(3 + number, []).append((key, drawn_a))
    rows = [Row(float(draw(st.integers(0, 100))), f"L{phase + 1}") for phase in range(3)]
    rows += [Row(limit_a, "unbalance", "unbalance", leans=tuple(leans.get(3 + number, ()))) for number in range(len(PAIRS))]
    return limit_a, rows, many, phases


@given(lopsided())
@settings(max_examples=examples(200), deadline=None)
def test_charging_never_makes_two_phases_differ_by_more_than_allowed(case: tuple[float, list[Row], list[Claim], list[tuple[int, ...]]]) -> None:
    """At most the grants flow on the one phase, at least the smaller of grant and draw on the other."""
    limit_a, rows, many, phases = case
    grants = [grant.limit_a for grant in decide(rows, many, PACE)]
    for p, q in PAIRS:
        high = sum(amps for amps, used in zip(grants, phases, strict=True) if p in used and q not in used)
        cars = zip(grants, many, phases, strict=True)
        low = sum(min(amps, claim.present_a) for amps, claim, used in cars if q in used and p not in used)
        assert high - low <= limit_a + 1e-3


@given(lopsided())
@settings(max_examples=examples(100), deadline=None)
def test_an_unbalance_limit_only_lowers_what_is_given_in_all(case: tuple[float, list[Row], list[Claim], list[tuple[int, ...]]]) -> None:
    """It takes nothing from a car on all three phases, which cannot cause it."""
    _, rows, many, phases = case
    balanced = [claim for claim, used in zip(many, phases, strict=True) if len(used) == 3]
    free = [replace(claim, rows=(0, 1, 2)) for claim in balanced]
    assert decide(rows, balanced, PACE) == decide(rows[:3], free, PACE)


# -- giving back --------------------------------------------------------------------------------------------


@given(sites(), st.data())
@settings(max_examples=examples(150), deadline=None)
def test_giving_back_stays_within_the_export_rows_and_changes_nobodys_charging(site: tuple[list[Row], list[Claim]], data: st.DataObject) -> None:
    rows, many = site
    export = [Row(data.draw(st.floats(-10, 60)), "export") for _ in range(2)]
    giving = []
    for claim in many:
        wanted_a = data.draw(st.sampled_from([0.0, 0.0, 5.0, 20.0]))
        use = data.draw(st.sampled_from([(0,), (0, 1, 1), (0, 1, 1, 1)]))
        give = Give(wanted_a, 2.0, tuple(len(rows) + row for row in use), 230.0, "plan") if wanted_a else None
        giving.append(replace(claim, give=give, cap_a=0.0, want_a=0.0) if give is not None else claim)
    grants = decide([*rows, *export], giving, PACE)
    assert [grant.limit_a for grant in grants] == [one.limit_a for one in decide(rows, [replace(claim, give=None) for claim in giving], PACE)]
    flows = [0.0, 0.0]
    for claim, grant in zip(giving, grants, strict=True):
        if grant.setpoint_w is None:
            continue
        assert claim.give is not None
        assert grant.limit_a == 0.0
        given_a = -grant.setpoint_w / 230.0
        assert claim.give.least_a - EPS <= given_a <= claim.give.wanted_a + EPS
        for row in claim.give.rows:
            flows[row - len(rows)] += given_a
    assert all(flow <= max(0.0, row.capacity_a) + 1e-6 for flow, row in zip(flows, export, strict=True))
