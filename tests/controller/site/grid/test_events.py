"""Schedules of events: what holds, who leads, what is answered, and what a restart keeps."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from controller.facts import GridEvent, Stamp
from controller.orders import AnswerEvent
from controller.site.grid.events import MOST_EVENTS, InForce, Schedule

T0 = 1_780_000_000.0


def at(wall_s: float = 0.0, trusted: bool = True) -> Stamp:
    return Stamp(wall_s + 50.0, T0 + wall_s, 1.0, trusted)


def event(name: str = "a", start_s: float = 0.0, duration_s: float | None = 600.0, **more: object) -> GridEvent:
    return GridEvent(name, int(more.pop("version", 0)), T0 + start_s, duration_s, answers=True, **more)  # type: ignore[arg-type]


def schedule(seed: str = "yard", battery: bool = True) -> Schedule:
    return Schedule("vtn", seed, battery)


def words(answers: list[AnswerEvent]) -> list[tuple[str, str]]:
    return [(answer.event_id, answer.what) for answer in answers]


def test_an_event_holds_from_its_start_to_its_end() -> None:
    made = schedule()
    made.told([event(start_s=100.0, consumption_w=5000.0, label="evening")], at())
    assert made.in_force(at(99.9)).consumption_w is None
    assert made.in_force(at(100.0)).consumption_w == 5000.0
    assert made.in_force(at(699.9)).ends_wall_s == T0 + 700.0
    assert made.in_force(at(700.0)) == InForce()
    assert made.next_words(at(0.0)) == (T0 + 100.0, "evening")


def test_a_default_holds_while_no_event_says_anything_of_the_same() -> None:
    made = schedule()
    default = replace(event("default", duration_s=None, consumption_w=9000.0, production_w=2000.0), start_wall_s=-math.inf)
    made.told([default, event(start_s=100.0, consumption_w=5000.0, primacy=7)], at())
    assert (made.in_force(at(0.0)).consumption_w, made.in_force(at(0.0)).production_w) == (9000.0, 2000.0)
    assert (made.in_force(at(200.0)).consumption_w, made.in_force(at(200.0)).production_w) == (5000.0, 2000.0)
    assert made.in_force(at(700.0)).consumption_w == 9000.0


@pytest.mark.parametrize(
    ("first", "second", "leads_w"),
    [
        ({"primacy": 1}, {"primacy": 2}, 5000.0),
        ({"primacy": 3}, {"primacy": 2}, 8000.0),
        ({"created_wall_s": 5.0}, {"created_wall_s": 9.0}, 8000.0),
        ({"created_wall_s": 9.0}, {"created_wall_s": 5.0}, 5000.0),
        ({}, {}, 5000.0),  # nothing tells them apart: the lower
    ],
)
def test_of_events_at_the_same_time_primacy_then_the_newer_leads(first: dict[str, float], second: dict[str, float], leads_w: float) -> None:
    made = schedule()
    made.told([event("a", consumption_w=5000.0, **first), event("b", consumption_w=8000.0, **second)], at())
    assert made.in_force(at(10.0)).consumption_w == leads_w


def test_answers_of_a_life_once_each() -> None:
    made = schedule()
    told = [event(start_s=100.0, consumption_w=5000.0)]
    assert words(made.told(told, at())) == [("a", "received")]
    assert words(made.told(told, at(1.0))) == []
    assert words(made.look(at(99.0))) == []
    assert words(made.look(at(100.0))) == [("a", "started")]
    assert words(made.look(at(101.0))) == []
    assert words(made.look(at(700.0))) == [("a", "completed")]
    assert words(made.look(at(701.0))) == []


def test_who_is_led_by_another_is_superseded() -> None:
    made = schedule()
    made.told([event("a", consumption_w=5000.0, primacy=5)], at())
    assert words(made.look(at(10.0))) == [("a", "started")]
    made.told([event("a", consumption_w=5000.0, primacy=5), event("b", start_s=100.0, consumption_w=8000.0, primacy=1)], at(20.0))
    assert words(made.look(at(100.0))) == [("a", "superseded"), ("b", "started")]
    assert words(made.look(at(701.0))) == [("b", "completed")]


def test_another_field_is_not_superseded() -> None:
    made = schedule()
    made.told([event("a", consumption_w=5000.0, primacy=5), event("b", production_w=0.0, primacy=1)], at())
    assert sorted(words(made.look(at(10.0)))) == [("a", "started"), ("b", "started")]


def test_cancelled_in_words_or_by_being_left_out() -> None:
    made = schedule()
    both = [event("a", consumption_w=5000.0), event("b", production_w=6000.0)]
    made.told(both, at())
    made.look(at(10.0))
    assert words(made.told([replace(both[0], version=1, cancelled=True)], at(20.0))) == [("a", "received"), ("a", "cancelled"), ("b", "cancelled")]
    assert made.in_force(at(21.0)) == InForce()


def test_what_left_the_list_after_its_end_was_not_cancelled() -> None:
    made = schedule()
    made.told([event("a", consumption_w=5000.0)], at())
    made.look(at(10.0))
    assert words(made.told([], at(700.0))) == [("a", "completed")]


def test_a_new_version_replaces_and_an_old_one_does_not() -> None:
    made = schedule()
    made.told([event(version=2, consumption_w=5000.0)], at())
    assert words(made.told([event(version=1, consumption_w=9000.0)], at(1.0))) == []
    assert made.in_force(at(2.0)).consumption_w == 5000.0
    assert words(made.told([event(version=3, consumption_w=7000.0)], at(3.0))) == [("a", "received")]
    assert made.in_force(at(4.0)).consumption_w == 7000.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"consumption_w": -1.0},
        {"consumption_w": math.nan},
        {"production_w": math.inf},
        {"setpoint_w": math.nan},
        {"battery_w": math.inf},
        {"consumption_w": 1.0, "start_s": math.nan},
        {"consumption_w": 1.0, "start_s": math.inf},
        {"consumption_w": 1.0, "duration_s": -5.0},
        {"consumption_w": 1.0, "duration_s": math.nan},
    ],
)
def test_nonsense_is_rejected_and_holds_nothing(wrong: dict[str, float]) -> None:
    made = schedule()
    assert words(made.told([event(**wrong)], at())) == [("a", "received"), ("a", "rejected")]  # type: ignore[arg-type]
    assert made.in_force(at(10.0)) == InForce()
    assert words(made.look(at(10.0))) == []


def test_what_has_ended_before_it_came_is_rejected() -> None:
    made = schedule()
    assert words(made.told([event(start_s=-700.0, consumption_w=1.0)], at())) == [("a", "received"), ("a", "rejected")]


def test_obeyed_in_part() -> None:
    made = schedule()
    made.told([event(consumption_w=5000.0)], at())
    made.look(at(10.0))
    made.broken(at(20.0))
    assert words(made.look(at(600.0))) == [("a", "partial")]
    idle = schedule(battery=False)
    idle.told([event(battery_w=5000.0)], at())
    idle.look(at(10.0))
    assert words(idle.look(at(600.0))) == [("a", "partial")]


# -- random shifts -----------------------------------------------------------------------------------------------------


def begin_s(made: Schedule, most_s: float) -> float:
    """When an event that may be shifted begins, found by asking."""
    made.told([event(start_s=1000.0, duration_s=5000.0, consumption_w=1.0, randomize_start_s=most_s)], at())
    coming = made.next_words(at(0.0 if most_s > 0 else -900.0))
    assert coming is not None
    return coming[0] - T0 - 1000.0


@pytest.mark.parametrize("most_s", [300.0, -300.0, 1.0])
def test_a_random_start_stays_within_its_bounds_and_differs_between_sites(most_s: float) -> None:
    shifts = {begin_s(schedule(f"yard-{number}"), most_s) for number in range(40)}
    low, high = sorted((0.0, most_s))
    assert all(low <= shift <= high for shift in shifts)
    assert len(shifts) > (1 if abs(most_s) == 1.0 else 20)
    assert begin_s(schedule("yard-1"), most_s) == begin_s(schedule("yard-1"), most_s)


def test_a_draw_is_kept_over_a_restart_even_under_another_name() -> None:
    made = schedule("yard")
    first = begin_s(made, 300.0)
    again = schedule("renamed")
    again.restore(json.loads(json.dumps(made.memory())))
    assert begin_s(again, 300.0) == first


# -- restart and clocks -----------------------------------------------------------------------------------------------


def test_a_restart_repeats_no_answer_and_keeps_what_holds() -> None:
    made = schedule()
    told = [event(consumption_w=5000.0), replace(event("d", duration_s=None, production_w=7.0), start_wall_s=-math.inf)]
    made.told(told, at())
    made.look(at(10.0))
    again = schedule()
    again.restore(json.loads(json.dumps(made.memory())))
    assert (again.in_force(at(20.0)).consumption_w, again.in_force(at(20.0)).production_w) == (5000.0, 7.0)
    assert words(again.told(told, at(21.0))) == []
    assert words(again.look(at(22.0))) == []
    assert words(again.look(at(601.0))) == [("a", "completed")]


def test_who_was_down_the_whole_time_says_so() -> None:
    made = schedule()
    made.told([event(start_s=100.0, consumption_w=5000.0)], at())
    again = schedule()
    again.restore(json.loads(json.dumps(made.memory())))
    assert words(again.look(at(800.0))) == [("a", "partial")]


@pytest.mark.parametrize(
    "rubbish", [{"a": 5}, {"a": {"event": []}}, {"a": {"event": {"consumption_w": "x", "version": "y"}}}, {"a": {"shift_s": {}}}]
)
def test_rubbish_in_the_journal_is_no_event(rubbish: dict[str, object]) -> None:
    made = schedule()
    made.restore(rubbish)
    assert made.in_force(at()).consumption_w is None


def test_a_clock_that_jumps_is_looked_at_anew() -> None:  # F77
    made = schedule()
    made.told([event(start_s=3600.0, consumption_w=5000.0)], at())
    assert made.in_force(at(0.0)).consumption_w is None
    assert made.in_force(at(3700.0)).consumption_w == 5000.0
    assert made.in_force(at(0.0)).consumption_w is None


def test_without_a_clock_every_limit_counts_and_nothing_is_answered() -> None:  # F78
    made = schedule()
    made.told([event("a", start_s=9e5, consumption_w=5000.0), event("b", consumption_w=3000.0), event("c", connected=False)], at(trusted=False))
    says = made.in_force(at(trusted=False))
    assert (says.consumption_w, says.connected) == (3000.0, False)
    assert words(made.look(at(trusted=False))) == []
    assert made.ahead(at(trusted=False), 86_400.0) == ()


def test_what_is_announced_in_stretches() -> None:
    made = schedule()
    made.told([event("a", start_s=100.0, consumption_w=5000.0), event("b", start_s=400.0, duration_s=900.0, setpoint_w=-2000.0)], at())
    found = [(one.start_wall_s - T0, one.end_wall_s - T0, one.says.consumption_w, one.says.setpoint_w) for one in made.ahead(at(), 3600.0)]
    assert found == [
        (0.0, 100.0, None, None),
        (100.0, 400.0, 5000.0, None),
        (400.0, 700.0, 5000.0, -2000.0),
        (700.0, 1300.0, None, -2000.0),
        (1300.0, 3600.0, None, None),
    ]


def test_of_too_many_events_those_that_begin_first_count_and_the_others_when_they_come_nearer() -> None:
    """1500 intervals of five minutes, more than are kept: the far ones are neither kept nor called off, and hold when their time comes."""
    made = schedule()
    events = [event(f"e{number}", 300.0 * number, 300.0, consumption_w=1000.0 + number) for number in range(1500)]
    made.told(reversed(events), at())
    assert len(made.memory()) == MOST_EVENTS
    assert made.in_force(at(300.0 * 999)).consumption_w == 1999.0
    later = at(300.0 * 1200 + 1.0)
    assert [word for word in words(made.told(reversed(events), later)) if word[1] in ("cancelled", "rejected")] == []
    assert made.in_force(later).consumption_w == 2200.0


def test_an_event_that_becomes_nonsense_or_good_again_is_judged_anew_though_its_version_stays() -> None:
    made = schedule()
    for watts, says_w in ((5000.0, 5000.0), (math.nan, None), (4000.0, 4000.0)):
        made.told([event(consumption_w=watts)], at())
        assert made.in_force(at(10.0)).consumption_w == says_w


def test_what_is_ahead_of_a_full_schedule_is_what_holds_then() -> None:
    made = schedule()
    made.told([event(f"e{number}", 300.0 * number, 450.0, consumption_w=1000.0 + number % 7) for number in range(300)], at())
    stretches = made.ahead(at(10.0), 36_000.0)
    assert len(stretches) > 90
    for stretch in stretches:
        assert stretch.says.consumption_w == made.in_force(at(stretch.start_wall_s - T0)).consumption_w
