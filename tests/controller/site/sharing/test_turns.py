"""Turns: dwell times, rests, priorities, hurry, and the lift for who waited too long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.config import EvseConfig
from controller.facts import ChargingState, DriverKnown, EvseKey, Stamp
from controller.site.layout import Place
from controller.site.sharing.arbiter import WAITING, Grant, Rank
from controller.site.sharing.turns import PRIORITISED, REST_S, STARVING_TURNS, Turn, Turns, in_hurry, priority, rank
from controller.site.state import EvseState, Session
from controller.site.stations.charger import GENERIC

T = 300.0
A, B = EvseKey("A", 1), EvseKey("B", 1)


def evse(**session: object) -> EvseState:
    place = Place(A, EvseConfig(id=1, max_current_a=32, priority=2), GENERIC, "grid", ("grid",), (0, 1, 2))
    return EvseState(place, session=replace(Session("tx", 0.0, 1000.0), **session))  # type: ignore[arg-type]


def served(key: EvseKey) -> Grant:
    return Grant(key, 6.0, "fuse L1")


def waits(key: EvseKey) -> Grant:
    return Grant(key, 0.0, f"{WAITING}fuse L1", waiting=True)


@pytest.mark.parametrize(
    ("turn", "now", "expected"),
    [
        (None, 0.0, Rank.WAITING),
        (Turn(True, 0.0), T - 1, Rank.SERVED),
        (Turn(True, 0.0), T, Rank.YIELDING),
        (Turn(False, 0.0), 2 * T - 1, Rank.WAITING),
        (Turn(False, 0.0), 2 * T, Rank.AGED),
    ],
)
def test_rank_follows_the_length_of_a_turn(turn: Turn | None, now: float, expected: Rank) -> None:
    assert rank(evse(), turn, now, T) is expected


def test_a_car_that_wants_nothing_comes_last() -> None:
    assert rank(evse(charging_state=ChargingState.SUSPENDED_EV), Turn(False, 0.0), 5 * T, T) is Rank.RESTING


def test_who_is_paused_before_its_turn_is_over_rests_longer_each_time() -> None:
    turns, now, rests = Turns(T), 0.0, []
    for _ in range(7):
        turns.take([served(A)], now)
        turns.take([waits(A)], now + 30.0)
        rests.append(turns.of[A].rest_until_mono_s - now - 30.0)
        now += 1000.0
    assert rests == [REST_S, 2 * REST_S, 4 * REST_S, 8 * REST_S, T, T, T]
    turns.take([served(A)], now)
    turns.take([waits(A)], now + T)
    assert turns.of[A].rest_until_mono_s == now + T + REST_S, "a whole turn clears the past"


def test_a_new_car_that_finds_no_room_rests_not_at_all_and_remembers_why() -> None:
    turns = Turns(T)
    turns.take([waits(A)], 10.0)
    assert turns.of[A] == Turn(False, 10.0, 10.0, "fuse L1")


def test_a_car_held_by_its_own_limit_has_no_turn() -> None:
    turns = Turns(T)
    turns.take([served(A)], 0.0)
    turns.take([Grant(A, 0.0, "plan: charges later")], 1.0)
    assert A not in turns.of


def test_giving_back_is_being_served() -> None:
    turns = Turns(T)
    turns.take([Grant(A, 0.0, "plan", setpoint_w=-3000.0)], 0.0)
    assert turns.of[A].served


def test_one_car_is_lifted_after_a_long_wait_for_one_turn_and_then_not_the_next_at_once() -> None:
    turns = Turns(T)
    turns.take([waits(A), waits(B)], 0.0)
    turns.take([waits(A), waits(B)], STARVING_TURNS * T - 1)
    assert turns.lifted is None
    begun = STARVING_TURNS * T
    turns.take([waits(A), waits(B)], begun)
    assert turns.lifted == A
    turns.take([served(A), waits(B)], begun + 1)
    assert turns.lifted == A
    turns.take([served(A), waits(B)], begun + 1 + T)
    assert turns.lifted is None
    turns.take([served(A), waits(B)], begun + 5 * T)
    assert turns.lifted == B


def test_a_lifted_car_that_leaves_or_cannot_be_served_gives_the_lift_up() -> None:
    turns, begun = Turns(T), STARVING_TURNS * T
    turns.take([waits(A)], 0.0)
    turns.take([waits(A)], begun)
    turns.take([waits(A)], begun + 2 * T)
    assert turns.lifted is None
    turns.take([waits(A)], begun + 5 * T)
    assert turns.lifted == A
    turns.forget(A)
    turns.take([], begun + 5 * T + 1)
    assert turns.lifted is None


def test_priority_adds_up_place_driver_and_priority_charging() -> None:
    driver = DriverKnown(Stamp(0.0, 0.0), A, "tx", 5)
    assert priority(evse()) == 2
    assert priority(evse(driver=driver)) == 7
    assert priority(evse(driver=replace(driver, priority=None))) == 2
    assert priority(evse(driver=replace(driver, priority=-9))) == -7
    assert priority(replace(evse(driver=driver), prioritised=True)) == 7 + PRIORITISED


@pytest.mark.parametrize(
    ("need_wh", "left_s", "expected"),
    [(10_000.0, 7199.0, True), (10_000.0, 7300.0, False), (0.0, 60.0, False), (10_000.0, 0.0, False)],
)
def test_a_car_is_in_a_hurry_when_it_can_wait_less_than_an_hour(need_wh: float, left_s: float, expected: bool) -> None:
    """10 kWh at 10 kW take an hour: with two hours left it can wait for one."""
    assert in_hurry(evse(target_wh=need_wh, departure_wall_s=5000.0 + left_s), 5000.0, 10_000.0) is expected


def test_who_said_nothing_is_in_no_hurry() -> None:
    assert not in_hurry(evse(), 5000.0, 10_000.0)
    assert not in_hurry(evse(departure_wall_s=5001.0), 5000.0, 10_000.0)
