"""Setpoints on their way: what is sent, when, and what a station may still be drawing."""

from __future__ import annotations

import pytest

from controller.config import Config
from controller.facts import EvseKey, FloorConfirmed, SetpointAnswered, Stamp
from controller.orders import ClearSetpoint, Inject, InstallFloor, Order, ReadBack
from controller.site.layout import layout_of
from controller.site.sharing.arbiter import Grant
from controller.site.stations.actuate import Actuator
from controller.site.stations.channel import Floor
from controller.site.stations.charger import ChargerModel
from tests.support.site_story import QUICK, depot

KEY = EvseKey("CP1", 1)


def at(now: float) -> Stamp:
    return Stamp(now, 1_780_000_000.0 + now)


def actuator(model: ChargerModel | None = None, confirmed: bool = True) -> Actuator:
    config: Config = depot(1)
    made = Actuator(layout_of(config, {"generic": model} if model else QUICK), config.control)
    if confirmed:
        answer(made, made.online("CP1", 0.0)[0], 0.0)
        made.floor_read(FloorConfirmed(at(0.0), KEY, 6.0, True))
    return made


def answer(made: Actuator, order: Order | None, now: float, accepted: bool = True, lost: bool = False) -> list[Order]:
    assert isinstance(order, Inject | InstallFloor | ClearSetpoint)
    return made.answered(SetpointAnswered(at(now), order.evse, order.number, accepted and not lost, "" if accepted else "Rejected", lost))


def refuse_all(made: Actuator, order: Order | None, now: float) -> int:
    """Reject an order and all that follow from it at once; how many there were."""
    count = 0
    while order is not None:
        count += 1
        order = next((one for one in answer(made, order, now, accepted=False) if isinstance(one, Inject | InstallFloor)), None)
    return count


def send(made: Actuator, limit_a: float, now: float) -> Inject | None:
    orders = made.setpoint(Grant(KEY, limit_a, "fuse L1"), at(now))
    assert all(isinstance(order, Inject) for order in orders)
    assert len(orders) <= 1
    return orders[0] if orders and isinstance(orders[0], Inject) else None


def ceiling(made: Actuator, now: float, drawn_a: float | None = None, measured: float = -1.0) -> float:
    return made.channels[KEY].ceiling_a(now, drawn_a, measured)


def test_floor_first_then_read_back_then_confirmed() -> None:
    made = actuator(confirmed=False)
    floor = made.online("CP1", 0.0)
    assert [(type(order), order.limit_a, order.phase_count) for order in floor if isinstance(order, InstallFloor)] == [(InstallFloor, 6.0, 3)]
    assert send(made, 6.0, 0.1) is None, "nothing before the floor"
    assert answer(made, floor[0], 1.0) == [ReadBack(KEY, 6.0)]
    assert not made.channels[KEY].confirmed
    made.floor_read(FloorConfirmed(at(2.0), KEY, 6.0, True))
    assert made.channels[KEY].confirmed


def test_a_model_that_cannot_read_back_is_believed() -> None:
    made = actuator(ChargerModel("generic", reads_back=False), confirmed=False)
    assert answer(made, made.online("CP1", 0.0)[0], 1.0) == []
    assert made.channels[KEY].confirmed


def test_a_reconnected_station_may_still_obey_its_last_setpoint_while_it_is_asked() -> None:
    made = actuator()
    answer(made, send(made, 20.0, 1.0), 1.5)
    made.offline("CP1", 5.0)
    assert made.booked_offline_a(made.channels[KEY], 100.0) == 20.0
    assert made.booked_offline_a(made.channels[KEY], 186.0) == 6.0  # a minute of slack for its clock
    assert answer(made, made.online("CP1", 10.0)[0], 11.0) == [ReadBack(KEY, 20.0)]


def test_sent_only_when_changed_or_due() -> None:
    made = actuator()
    first = send(made, 16.0, 1.0)
    assert first is not None
    assert (first.limit_a, first.life_s, first.phase_count, first.urgent) == (16.0, 120.0, 3, False)
    answer(made, first, 1.2)
    assert send(made, 16.0, 50.0) is None
    renewed = send(made, 16.0, 51.0)
    assert renewed is not None
    assert renewed.number > first.number


def test_lower_at_once_and_urgent_higher_only_after_the_answer() -> None:
    made = actuator()
    first = send(made, 16.0, 1.0)
    assert send(made, 20.0, 2.0) is None
    lower = send(made, 10.0, 2.0)
    assert lower is not None
    assert lower.urgent
    assert ceiling(made, 2.0) == 16.0, "either may be in force"
    answer(made, first, 2.5, accepted=False)
    answer(made, lower, 3.0)
    assert ceiling(made, 3.0) == 10.0
    assert send(made, 20.0, 3.1) is None, "a rise keeps its distance"
    assert send(made, 20.0, 22.0) is not None


def test_a_cut_counts_only_after_it_was_accepted_and_had_time_or_the_car_shows_it() -> None:
    made = actuator()
    answer(made, send(made, 20.0, 1.0), 1.0)
    lower = send(made, 8.0, 10.0)
    assert ceiling(made, 11.0) == 20.0
    answer(made, lower, 12.0)
    assert ceiling(made, 13.0) == 20.0
    assert ceiling(made, 13.0, drawn_a=8.2, measured=12.5) == 8.0
    assert ceiling(made, 13.0, drawn_a=8.2, measured=11.0) == 20.0
    assert ceiling(made, 14.0) == 8.0


def test_a_setpoint_that_was_not_renewed_has_ended_in_the_station() -> None:
    made = actuator()
    answer(made, send(made, 20.0, 1.0), 1.0)
    assert made.channels[KEY].present_a(120.9) == 20.0
    assert made.channels[KEY].present_a(121.0) == 6.0
    assert ceiling(made, 121.0) == 20.0, "and needs its time to fall"
    assert ceiling(made, 182.0) == 20.0, "and its clock may be a minute behind"
    assert ceiling(made, 130.0, drawn_a=6.2, measured=125.0) == 6.0, "unless its car shows otherwise"
    assert ceiling(made, 183.0) == 6.0
    assert made.in_force(KEY, at(121.0)) is None
    assert send(made, 20.0, 121.0) is not None


def test_all_strategies_are_refused_twice_then_a_minute_of_peace() -> None:
    made = actuator()
    now, tries = 1.0, []
    while now < 200.0:
        order = send(made, 16.0, now)
        if order is not None:
            tries.append((now, refuse_all(made, order, now)))
        now += 1.0
    assert tries == [(1.0, 4), (3.0, 4), (63.0, 4), (123.0, 4), (183.0, 4)], "TxProfile and TxDefaultProfile, in A and in W"
    assert made.channels[KEY].uncontrollable


def test_a_rise_without_an_answer_may_be_in_force_all_the_same() -> None:
    made = actuator()
    answer(made, send(made, 16.0, 1.0), 1.0, lost=True)
    assert ceiling(made, 100.0) == 16.0
    assert ceiling(made, 100.0, drawn_a=6.0, measured=99.0) == 6.0
    assert made.channels[KEY].present_a(100.0) == 6.0


def test_no_answer_at_all_counts_as_lost() -> None:
    made = actuator()
    assert send(made, 16.0, 1.0) is not None
    made.tick(40.0)
    assert made.channels[KEY].rejections == 0
    made.tick(47.0)
    assert made.channels[KEY].rejections == 1


@pytest.mark.parametrize("accepted", [True, False])
def test_an_unconfirmed_floor_is_written_again(accepted: bool) -> None:
    made = actuator(confirmed=False)
    floor: list[Order] = made.online("CP1", 0.0)
    answers = answer(made, floor[0], 1.0, accepted)
    if not accepted:  # the other unit at once, then a pause
        assert [order.strategy.unit for order in answers if isinstance(order, InstallFloor)] == ["W"]
        answer(made, answers[0], 1.0, accepted)
    if accepted:
        made.floor_read(FloorConfirmed(at(2.0), KEY, 32.0, False, "station reports 32.0 A"))
    assert made.channels[KEY].floor is Floor.FAILED
    if not accepted:
        assert made.channels[KEY].last_reason == "Rejected"
    orders = [order for now in range(2, 14) for order in made.tick(float(now))]
    assert [type(order) for order in orders] == [InstallFloor]


def test_the_end_of_a_session_brings_the_floor_back() -> None:
    made = actuator()
    answer(made, send(made, 20.0, 1.0), 1.0)
    assert made.session_ended(KEY, 1.5) == []
    assert made.channels[KEY].present_a(2.0) == 6.0
    assert send(made, 20.0, 3.0) is not None


def test_answers_nobody_waits_for_are_ignored() -> None:
    made = actuator()
    assert made.answered(SetpointAnswered(at(1.0), KEY, 999, True)) == []
    assert made.answered(SetpointAnswered(at(1.0), EvseKey("CP9", 1), 1, True)) == []


def test_a_station_without_any_limit_does_not_confirm_itself_by_showing_it_twice() -> None:
    made = actuator(confirmed=False)
    answer(made, made.online("CP1", 0.0)[0], 1.0)
    made.floor_read(FloorConfirmed(at(2.0), KEY, 32.0, False, "station reports 32.0 A"))
    assert ceiling(made, 3.0) == 32.0, "it counts with what it showed"
    again = [order for now in range(3, 20) for order in made.tick(float(now))]
    assert answer(made, again[0], 20.0) == [ReadBack(KEY, 6.0)], "but it must still come down to its floor"


def test_an_absurd_composite_counts_with_the_chargers_maximum() -> None:
    made = actuator(confirmed=False)
    answer(made, made.online("CP1", 0.0)[0], 1.0)
    made.floor_read(FloorConfirmed(at(2.0), KEY, 999_999.0, False, ""))
    assert ceiling(made, 3.0) == 32.0


def test_who_refuses_only_the_floor_can_still_be_cut() -> None:
    made = actuator(confirmed=False)
    assert refuse_all(made, made.online("CP1", 0.0)[0], 0.0) == 2
    answer(made, send(made, 6.0, 0.5), 0.5)
    for now in range(1, 100):
        for order in made.tick(float(now)):
            answer(made, order, float(now), accepted=False)
    channel = made.channels[KEY]
    assert not channel.uncontrollable
    assert send(made, 0.0, 99.5) is not None, "a cut does not wait for the next try with the floor"


def test_an_idle_station_that_refused_is_asked_again_and_believed_when_it_accepts() -> None:
    made = actuator()
    for now in (1.0, 3.0):
        refuse_all(made, send(made, 16.0, now), now)
    made.session_ended(KEY, 4.0)
    assert made.channels[KEY].uncontrollable
    probes = [(now, order) for now in range(5, 90) for order in made.tick(float(now))]
    assert [now for now, _ in probes] == [73]
    assert answer(made, probes[0][1], 74.5) == [ReadBack(KEY, 6.0)]
    made.floor_read(FloorConfirmed(at(75.0), KEY, 6.0, True))
    assert not made.channels[KEY].uncontrollable


def test_a_rise_whose_answer_went_down_with_the_link_still_counts_after_it_is_back() -> None:
    made = actuator()
    answer(made, send(made, 10.0, 1.0), 1.0)
    assert send(made, 32.0, 22.0) is not None
    made.offline("CP1", 23.0)
    made.online("CP1", 25.0)
    assert ceiling(made, 26.0) == 32.0
    assert ceiling(made, 203.0) == 6.0


def test_a_setpoint_that_lives_longer_than_the_offline_hold_stays_booked_to_its_end() -> None:
    config = depot(1, control={"setpoint_life_s": 600, "offline_hold_s": 60})
    made = Actuator(layout_of(config, QUICK), config.control)
    answer(made, made.online("CP1", 0.0)[0], 0.0)
    made.floor_read(FloorConfirmed(at(0.0), KEY, 6.0, True))
    answer(made, send(made, 20.0, 1.0), 1.0)
    made.offline("CP1", 5.0)
    assert made.booked_offline_a(made.channels[KEY], 500.0) == 20.0
    assert made.booked_offline_a(made.channels[KEY], 664.0) == 6.0


def test_a_lost_answer_is_forgotten_when_a_later_setpoint_was_accepted() -> None:
    made = actuator()
    assert send(made, 19.0, 1.0) is not None
    answer(made, send(made, 13.0, 2.0), 2.0)
    assert ceiling(made, 3.0) == 19.0, "the station may still be coming down from it"
    assert ceiling(made, 5.0) == 13.0, "it is not booked for ever"
