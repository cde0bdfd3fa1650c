"""Past sessions: remembered when they end, kept on disk, forgotten in time, asked only when there are enough of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import DriverKnown, EvseKey, EvseMeasured, NeedStated, PlanSolved, Restored, SessionChanged
from controller.orders import Persist
from controller.site.plans import habits
from controller.site.plans.habits import History, key_of, memory_of, past_of
from controller.site.state import Session
from optimizer.expect import Habits
from optimizer.live import Live
from optimizer.past import PastSession
from optimizer.terms import defects
from tests.support.site_story import WALL_S, Story, depot

CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)
DAY_S = 86_400.0
ONE = PastSession("CP1/1", "grid", (0, 1, 2), WALL_S - 9_000.0, WALL_S - 1_000.0, 12_000.0, 22_080.0, 15_000.0, WALL_S, "abc")


def days_of_sessions(days: int = 21, per_day: int = 3) -> list[PastSession]:
    """Cars that come at 15, 16 and 17 h after now's time of day, each day up to yesterday."""
    found = []
    for day in range(1, days + 1):
        for number in range(per_day):
            came = WALL_S - day * DAY_S + 3600.0 * (3 + number)
            found.append(PastSession(f"CP{number % 2 + 1}/1", "grid", (0, 1, 2), came, came + 4 * 3600.0, 18_000.0, 22_080.0))
    return found


def story(past: list[PastSession], **parts: object) -> Story:
    told = Story(depot(2, **parts))  # type: ignore[arg-type]
    told.do(Restored(told.at(), {("past", key_of(one)): memory_of(one) for one in past}, {}))
    told.start()
    told.plug("CP1")
    told.run(8)
    return told


def remembered(orders: list[object]) -> dict[str, object]:
    return {key: value for order in orders if isinstance(order, Persist) for (space, key), value in order.remember.items() if space == "past"}


def end(told: Story, key: EvseKey) -> list[object]:
    session = told.site.evses[key].session
    assert session is not None
    return list(told.do(SessionChanged(told.at(), key, session.transaction_id, None, ended=True)))


def test_a_finished_session_is_remembered_on_disk_and_after_a_restart() -> None:
    told = story([])
    told.do(NeedStated(told.at(), CP1, 9_000.0, told.at().wall_s + 7200, "api"))
    told.do(EvseMeasured(told.at(), CP1, energy_wh=100.0))
    told.run(600)
    told.do(EvseMeasured(told.at(), CP1, energy_wh=3_100.0))
    kept = remembered(end(told, CP1))
    (memory,) = kept.values()
    past = past_of(memory)
    assert past is not None
    assert (past.evse, past.node_id, past.phases) == ("CP1/1", "grid", (0, 1, 2))
    assert past.stated_wh == pytest.approx(9_000.0, abs=200.0)
    assert past.energy_wh == 3_000.0
    assert past.departure_wall_s - past.arrival_wall_s == pytest.approx(610.0, abs=5.0)
    again = story([past])
    assert again.site.history.sessions == (past,)


def test_who_only_came_by_is_not_remembered_and_nothing_is_where_nobody_wants_it() -> None:
    told = story([])
    told.run(20)
    assert not remembered(end(told, CP1)), "too short"
    off = story([], forecast={"arrivals": "off", "stays": "off"})
    off.do(EvseMeasured(off.at(), CP1, energy_wh=100.0))
    off.run(600)
    off.do(EvseMeasured(off.at(), CP1, energy_wh=3_100.0))
    assert not remembered(end(off, CP1))


def test_old_sessions_are_forgotten_on_disk_too() -> None:
    history = History(depot(1, forecast={"keep_days": 10}))
    old = replace(ONE, departure_wall_s=ONE.departure_wall_s - 11 * DAY_S, arrival_wall_s=ONE.arrival_wall_s - 11 * DAY_S)
    history.recall(key_of(old), memory_of(old))
    (order,) = history.remember([ONE], WALL_S)
    assert isinstance(order, Persist)
    assert order.remember == {("past", key_of(ONE)): memory_of(ONE), ("past", key_of(old)): None}
    assert history.sessions == (ONE,)


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(habits, "MOST", 5)
    history = History(depot(1))
    history.remember([replace(ONE, departure_wall_s=ONE.departure_wall_s + number) for number in range(9)], WALL_S)
    assert [one.departure_wall_s - ONE.departure_wall_s for one in history.sessions] == [4.0, 5.0, 6.0, 7.0, 8.0]


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        {},
        [],
        "x",
        [1] * 10,
        memory_of(ONE)[:-1],
        [*memory_of(ONE)[:3], "soon", *memory_of(ONE)[4:]],
        [*memory_of(ONE)[:2], [7], *memory_of(ONE)[3:]],
    ],
)
def test_rubbish_counts_as_none(rubbish: object) -> None:
    assert past_of(rubbish) is None
    history = History(depot(1))
    history.recall("x", rubbish)
    assert len(history) == 0


def test_in_the_first_days_everything_is_as_without_a_past() -> None:
    problem = story(days_of_sessions(6)).problems()[-1]
    plain = story([]).problems()[-1]
    assert (problem.evs, problem.nodes) == (plain.evs, plain.nodes)


def test_later_the_plan_keeps_room_for_cars_that_usually_come_and_commands_none_of_them() -> None:
    told = story(days_of_sessions())
    problem = told.problems()[-1]
    assert defects(problem) == ()
    expected = [ev for ev in problem.evs if ev.expected]
    assert expected
    assert 0.0 < sum(ev.energy_need_wh for ev in expected) <= 2 * 3 * 18_000.0
    told.do(PlanSolved(told.at(), Live().solve(problem, 30.0)))
    told.run(3)
    view = told.site.view(told.at()).plan
    assert view is not None
    assert view.expected_cars == len(expected)
    assert max(view.expected_power_w) > 0.0
    assert set(view.evse_power_w) == {"CP1/1"}
    assert set(told.site.planner.targets(told.site.evses, told.at())) == {CP1}


def test_a_silent_car_is_planned_as_its_like_were() -> None:
    told = story(days_of_sessions(30))
    ev = next(ev for ev in told.problems()[-1].evs if not ev.expected)
    assert ev.energy_need_wh == pytest.approx(18_000.0, abs=500.0)
    assert ev.departure_wall_s < told.at().wall_s + 4.1 * 3600.0
    off = story(days_of_sessions(30), forecast={"stays": "off", "arrivals": "off"})
    assert [ev.energy_need_wh for ev in off.problems()[-1].evs] == [pytest.approx(20_000.0, abs=100.0)]


def test_what_was_learnt_is_learnt_again_only_after_a_while() -> None:
    told = story(days_of_sessions())
    first = told.site.history.learn(told.at())
    told.site.history.remember([replace(ONE, departure_wall_s=told.at().wall_s)], told.at().wall_s)
    assert told.site.history.learn(told.at()) is first
    told.run(int(habits.RELEARN_S) + 1)
    assert told.site.history.learn(told.at()) is not first


def test_many_sessions_are_learnt_a_little_in_each_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    past = days_of_sessions(40)
    monkeypatch.setattr(habits, "AT_ONCE", 100)
    told = Story(depot(2))
    history = told.site.history
    for one in past:
        history.recall(key_of(one), memory_of(one))
    ticks = 0
    while history.learn(told.at()) is habits.NOTHING_LEARNT:
        ticks += 1
        assert ticks < 50
    assert ticks >= 5
    assert history.learnt.habits == Habits.learn(past_in_order(past), told.at().wall_s, told.config.site.timezone)


def past_in_order(past: list[PastSession]) -> list[PastSession]:
    return sorted(past, key=key_of)


def test_a_clock_that_jumped_back_makes_no_past_session() -> None:
    told = story([])
    told.do(EvseMeasured(told.at(), CP1, energy_wh=100.0))
    told.run(1200)
    told.do(EvseMeasured(told.at(), CP1, energy_wh=3_100.0))
    told.wall_jump_s = -800.0
    assert not remembered(end(told, CP1)), "it looked like 400 s"


def test_a_clock_that_was_wrong_when_the_car_came_makes_no_past_session() -> None:
    told = Story(depot(2))
    told.wall_jump_s = -WALL_S
    told.start()
    told.plug("CP1")
    told.do(EvseMeasured(told.at(), CP1, energy_wh=100.0))
    told.run(900)
    told.do(EvseMeasured(told.at(), CP1, energy_wh=3_100.0))
    told.wall_jump_s = 0.0
    assert not remembered(end(told, CP1)), "nobody stays 56 years"


def test_the_past_knows_its_driver_by_the_digest() -> None:
    told = story([])
    session = told.site.evses[CP1].session
    assert session is not None
    told.do(DriverKnown(told.at(), CP1, session.transaction_id, None, user="0123456789abcdef"))
    told.do(EvseMeasured(told.at(), CP1, energy_wh=100.0))
    told.run(600)
    told.do(EvseMeasured(told.at(), CP1, energy_wh=3_100.0))
    (memory,) = remembered(end(told, CP1)).values()
    past = past_of(memory)
    assert past is not None
    assert past.user == "0123456789abcdef"


def test_nobody_is_named() -> None:
    assert habits.user_of(Session("t", 0.0, 0.0)) == ""
