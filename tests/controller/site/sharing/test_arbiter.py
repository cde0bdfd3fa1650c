"""Tables and short stories for the arbiter; the laws are in tests/properties/test_arbiter_laws.py."""

from __future__ import annotations

import pytest

from controller.facts import EvseKey
from controller.site.sharing.arbiter import Claim, Give, Grant, Pace, Rank, Row, decide

PACE = Pace(ramp_up_a_per_s=4.0, dead_band_a=1.0)
INF = float("inf")


def claim(name: str, rows: tuple[int, ...] = (0,), cap: float = 32.0, present: float = 0.0, **more: object) -> Claim:
    values = {"want_a": cap, "ceiling_a": present, **more}
    return Claim(EvseKey(name, 1), rows, 6.0, cap, "charger maximum", present_a=present, **values)  # type: ignore[arg-type]


def amps(rows: list[Row], claims: list[Claim]) -> list[float]:
    return [grant.limit_a for grant in decide(rows, claims, PACE)]


@pytest.mark.parametrize(
    ("capacity", "caps", "expected"),
    [
        (100, (32, 32), [32, 32]),
        (40, (32, 32), [20, 20]),
        (41, (32, 32), [21, 20]),
        (40, (32, 10), [30, 10]),
        (20, (32, 32, 32), [7, 7, 6]),
        (11, (32, 32), [11, 0]),
        (5, (32, 32), [0, 0]),
        (-7, (32, 32), [0, 0]),
        (40, (5, 32), [0, 32]),
        (40, (0, 32), [0, 32]),
    ],
)
def test_one_row_is_shared_fairly_in_whole_amps(capacity: float, caps: tuple[float, ...], expected: list[float]) -> None:
    assert amps([Row(capacity, "fuse L1")], [claim(f"CP{index}", cap=cap) for index, cap in enumerate(caps)]) == expected


def test_a_car_on_one_phase_leaves_the_others_their_phases() -> None:
    rows = [Row(30, "L1"), Row(30, "L2"), Row(30, "L3")]
    assert amps(rows, [claim("A", (0, 1, 2)), claim("B", (0,)), claim("C", (1,))]) == [15, 15, 15]
    assert amps(rows, [claim("A", (0,)), claim("B", (1,)), claim("C", (2,))]) == [30, 30, 30]


def test_a_feeder_inside_the_tree_binds_first_and_names_itself() -> None:
    rows = [Row(60, "fuse L1"), Row(16, "circuit hall L1")]
    grants = decide(rows, [claim("A", (0, 1)), claim("B", (0, 1)), claim("C", (0,))], PACE)
    assert [grant.limit_a for grant in grants] == [8, 8, 32]
    assert [grant.reason for grant in grants] == ["circuit hall L1", "circuit hall L1", "charger maximum"]


def test_higher_priority_is_served_first_and_filled_first() -> None:
    assert amps([Row(30, "fuse L1")], [claim("A"), claim("B", priority=1)]) == [6, 24]
    assert amps([Row(9, "fuse L1")], [claim("A"), claim("B", priority=1)]) == [0, 9]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((Rank.SERVED, 0), (Rank.WAITING, 0), [6, 0]),
        ((Rank.YIELDING, 0), (Rank.WAITING, 0), [0, 6]),
        ((Rank.SERVED, 0), (Rank.AGED, 0), [0, 6]),
        ((Rank.WAITING, 9), (Rank.WAITING, 5), [0, 6]),
        ((Rank.YIELDING, 5), (Rank.YIELDING, 9), [0, 6]),
        ((Rank.RESTING, 0), (Rank.YIELDING, 9), [0, 6]),
    ],
)
def test_who_gets_the_only_place(first: tuple[Rank, float], second: tuple[Rank, float], expected: list[float]) -> None:
    many = [claim(name, rank=rank, since_mono_s=since) for name, (rank, since) in (("A", first), ("B", second))]
    grants = decide([Row(6, "fuse L1")], many, PACE)
    assert [grant.limit_a for grant in grants] == expected
    loser = grants[expected.index(0)]
    assert loser == Grant(loser.key, 0.0, "waiting for a turn: fuse L1", waiting=True)


def test_an_unused_offer_goes_to_who_can_use_it_but_only_while_it_is_scarce() -> None:
    lazy, keen = claim("A", want_a=8.0), claim("B")
    assert amps([Row(40, "fuse L1")], [lazy, keen]) == [8, 32]
    assert amps([Row(60, "fuse L1")], [lazy, keen]) == [28, 32]


def test_a_new_car_waits_until_the_other_has_followed_its_cut() -> None:
    rows = [Row(32, "fuse L1")]
    old, new = claim("A", present=32.0), claim("B")
    assert amps(rows, [old, new]) == [16, 0]
    followed = claim("A", present=16.0)
    assert amps(rows, [followed, new]) == [16, 16]


@pytest.mark.parametrize(
    ("present", "rise_s", "may_rise", "expected"),
    [
        (10.0, 1.0, True, 14.0),
        (10.0, INF, True, 32.0),
        (31.5, INF, True, 31.5),
        (0.0, 0.1, True, 6.0),
        (0.0, INF, False, 6.0),
        (10.0, INF, False, 10.0),
    ],
)
def test_rises_are_paced(present: float, rise_s: float, may_rise: bool, expected: float) -> None:
    assert amps([Row(100, "fuse L1")], [claim("A", present=present, rise_s=rise_s, may_rise=may_rise)]) == [expected]


def test_decreases_come_at_once() -> None:
    assert amps([Row(9, "fuse L1")], [claim("A", present=32.0, rise_s=0.0, may_rise=False)]) == [9]


@pytest.mark.parametrize(("step", "expected"), [(1.0, 13.0), (0.1, 13.3), (0.5, 13.0)])
def test_setpoints_are_whole_steps_of_the_charger(step: float, expected: float) -> None:
    assert amps([Row(13.37, "fuse L1")], [claim("A", step_a=step)]) == [pytest.approx(expected)]


def test_a_small_rise_waits_a_while_after_the_last_change_and_a_large_one_does_not() -> None:
    """The building's noise would else send a profile every few seconds."""

    def rises(target: float, rise_s: float) -> float:
        return amps([Row(target, "fuse L1")], [claim("A", present=10.0, rise_s=rise_s)])[0]

    assert [rises(11.0, seconds) for seconds in (1.0, 29.0, 30.0, INF)] == [10, 10, 11, 11]
    assert rises(12.0, 1.0) == 12
    assert amps([Row(9.0, "fuse L1")], [claim("A", present=10.0, rise_s=1.0)]) == [9]


@pytest.mark.parametrize(
    ("capacity", "cap", "expected"),
    [(20.0, 32.0, ("SO", 500.0)), (40.0, 16.0, ("CSO", 900.0)), (3.0, 32.0, ("SO", 500.0)), (40.0, 0.0, ("CSO", 900.0))],
)
def test_a_grant_carries_source_and_end_of_what_binds(capacity: float, cap: float, expected: tuple[str, float]) -> None:
    one = claim("A", cap=cap, source="upstream", ends_wall_s=900.0)
    (grant,) = decide([Row(capacity, "limit", "operator", 500.0)], [one], PACE)
    assert (grant.source, grant.ends_wall_s) == expected


def test_a_moments_ramp_is_nobodys_limit_but_a_late_meter_is_ours() -> None:
    rows = [Row(100.0, "fuse L1", "fuse")]
    rising = claim("A", present=10.0, rise_s=1.0, source="charger")
    assert [(one.reason, one.source) for one in decide(rows, [rising], PACE)] == [("rising", "")]
    held = claim("A", present=10.0, may_rise=False, source="charger")
    assert [one.source for one in decide(rows, [held], PACE)] == ["EMS"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"priority": 9}, {"lifted": True}, [0, 6]),
        ({"priority": 100}, {"lifted": True}, [6, 0]),
        ({}, {"hurry": True, "since_mono_s": 9.0}, [0, 6]),
        ({"rank": Rank.SERVED}, {"hurry": True}, [6, 0]),
        ({"rank": Rank.AGED}, {"rank": Rank.AGED, "hurry": True, "since_mono_s": 9.0}, [6, 0]),
        ({"priority": 1}, {"hurry": True}, [6, 0]),
    ],
)
def test_lift_and_hurry_have_their_place_in_the_queue(first: dict[str, object], second: dict[str, object], expected: list[float]) -> None:
    assert amps([Row(6, "fuse L1")], [claim("A", **first), claim("B", **second)]) == expected  # type: ignore[arg-type]


def test_rows_that_lean_follow_a_cut_of_this_very_decision() -> None:
    """A may have 10 A more than B draws on the other phase; B is cut from 20 to 8 A by its fuse."""
    a, b = claim("A", (0,)), claim("B", (1,), present=20.0)
    lean = Row(10.0, "unbalance limit L1 over L2", leans=((b.key, 20.0),))
    assert amps([lean, Row(40.0, "fuse L2")], [a, b]) == [30, 32]
    assert amps([lean, Row(8.0, "fuse L2")], [a, b]) == [18, 8]


def test_what_is_given_back_is_shared_in_proportion_and_not_in_crumbs() -> None:
    rows = [Row(100.0, "fuse L1"), Row(10.0, "export limit")]

    def giving(wanted: float, least: float = 1.0) -> Claim:
        return claim(f"CP{wanted:g}", cap=0.0, give=Give(wanted, least, (1,), 230.0, "plan"))

    assert [one.setpoint_w for one in decide(rows, [giving(15.0), giving(5.0)], PACE)] == [pytest.approx(-1725.0), pytest.approx(-575.0)]
    assert [one.setpoint_w for one in decide(rows, [giving(15.0), giving(5.0, 3.0)], PACE)] == [pytest.approx(-1725.0), None]
    assert [one.setpoint_w for one in decide([rows[0], Row(-1.0, "export")], [giving(15.0)], PACE)] == [None]
