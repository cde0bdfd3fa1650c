"""What a station answers: strategies, refusals, silence, composites."""

from __future__ import annotations

import pytest

from controller.facts import FloorConfirmed
from controller.orders import ClearSetpoint, Order, Persist, ReadBack, Strategy
from tests.support.one_charger import KEY, actuator, answer, at, inject, said, send, taken

TX_A, TX_W, DEFAULT_A = Strategy("tx", "A"), Strategy("tx", "W"), Strategy("tx_default", "A")
V2X = said(modes=("ChargingOnly", "CentralSetpoint"), v2x=(1,), dynamic=True)


def test_f04_the_next_way_goes_out_at_once_and_the_one_that_worked_is_remembered() -> None:
    made = actuator()
    first = inject(send(made, 16.0, 1.0))
    second = inject(answer(made, first, 1.1, accepted=False))
    third = inject(answer(made, second, 1.2, accepted=False))
    assert [order.strategy for order in (first, second, third)] == [TX_A, TX_W, DEFAULT_A]
    kept = [order.remember for order in answer(made, third, 1.3) if isinstance(order, Persist)]
    assert [list(one) for one in kept] == [[("strategy", "CP1/1")]]
    assert not made.channels[KEY].uncontrollable
    made.session_ended(KEY, 2.0)
    again = actuator(memory=kept[0]["strategy", "CP1/1"])
    assert inject(send(again, 16.0, 1.0)).strategy == DEFAULT_A
    assert inject(answer(again, inject(send(again, 10.0, 1.5)), 1.6, accepted=False)).strategy.purpose == "tx_default"


def test_what_works_from_the_start_needs_no_place_on_the_disk() -> None:
    made = actuator()
    assert not [order for order in taken(made, 16.0, 1.0) if isinstance(order, Persist)]


def test_a_memory_the_model_does_not_know_any_more_is_not_used() -> None:
    memory = {"purpose": "station_max", "unit": "A", "relative": False, "stack_level": 1, "dynamic": False, "max_offline_s": None}
    assert inject(send(actuator(memory=memory), 16.0, 1.0)).strategy == TX_A


def test_a_refusal_for_want_of_a_transaction_says_nothing_about_the_way() -> None:
    made = actuator()
    second = inject(answer(made, inject(send(made, 16.0, 1.0)), 1.0, accepted=False, reason="Rejected TxNotFound"))
    assert not [order for order in answer(made, second, 1.1) if isinstance(order, Persist)]
    made.session_ended(KEY, 5.0)
    assert inject(send(made, 16.0, 6.0)).strategy == TX_A


@pytest.mark.parametrize("reason", ["Rejected DuplicateProfile", "Rejected NoPhaseForDC"])
def test_what_the_link_mends_is_tried_once_more_the_same_way(reason: str) -> None:
    made = actuator()
    second = inject(answer(made, inject(send(made, 16.0, 1.0)), 1.0, accepted=False, reason=reason))
    assert second.strategy == TX_A
    assert inject(answer(made, second, 1.1, accepted=False, reason=reason)).strategy == TX_W


def test_f05_silence_is_answered_with_the_same_way_under_a_new_number_once() -> None:
    made = actuator()
    first = inject(send(made, 16.0, 1.0))
    assert answer(made, first, 31.0, accepted=False, lost=True) == []
    second = inject(send(made, 16.0, 32.0))
    assert (second.strategy, second.number > first.number) == (TX_A, True)
    assert not made.channels[KEY].uncontrollable
    answer(made, second, 62.0, accepted=False, lost=True)
    assert made.channels[KEY].uncontrollable
    assert send(made, 16.0, 100.0) == []
    answer(made, inject(send(made, 16.0, 122.0)), 122.5)
    assert not made.channels[KEY].uncontrollable


def test_a_station_that_asks_for_a_pause_gets_it_for_rises() -> None:
    made = actuator()
    taken(made, 10.0, 1.0)
    assert answer(made, inject(send(made, 16.0, 22.0)), 22.1, accepted=False, retry_after_s=30.0) == []
    assert send(made, 16.0, 50.0) == []
    assert made.channels[KEY].present_a(50.0) == 10.0
    assert inject(send(made, 16.0, 52.2)).strategy == TX_A
    assert not made.channels[KEY].uncontrollable


def test_a_cut_takes_another_way_and_does_not_wait() -> None:
    made = actuator(purposes=("TxDefaultProfile", "TxProfile"))
    taken(made, 16.0, 1.0)
    cut = inject(send(made, 8.0, 2.0))
    more = answer(made, cut, 2.1, accepted=False, retry_after_s=60.0)
    other = inject(more)
    assert (other.limit_a, other.urgent) == (8.0, True)
    assert made.channels[KEY].ceiling_a(2.1, None, -1.0) == 16.0
    answers = answer(made, other, 2.2, accepted=False, retry_after_s=60.0)
    third = inject(answers)
    assert third.strategy.purpose == "tx", "a TxProfile goes before any default"
    answer(made, third, 2.3)
    assert made.channels[KEY].ceiling_a(5.0, None, -1.0) == 8.0


def test_a_default_in_the_way_of_a_rise_is_cleared_before_the_next_way() -> None:
    made = actuator(purposes=("TxDefaultProfile", "ChargingStationMaxProfile"))
    taken(made, 10.0, 1.0)
    second = inject(answer(made, inject(send(made, 16.0, 22.0)), 22.0, accepted=False))
    orders = answer(made, second, 22.1, accepted=False)
    assert [type(order) for order in orders] == [ClearSetpoint], "the old default would shadow the station-max profile"
    assert made.channels[KEY].ceiling_a(22.2, None, -1.0) >= 10.0
    after = inject(answer(made, orders[0], 22.3))
    assert (after.strategy.purpose, after.evse) == ("station_max", KEY)


def test_a_default_without_an_answer_is_cleared_before_another_kind_follows() -> None:
    """It may be in the station, and would come back when what is above it has ended."""
    made = actuator(purposes=("TxDefaultProfile", "ChargingStationMaxProfile"), other_unit=False)
    lost = inject(send(made, 16.0, 1.0))
    assert answer(made, lost, 31.0, accepted=False, lost=True) == []
    again = inject(send(made, 16.0, 33.0))
    clears = [order for order in answer(made, again, 33.1, accepted=False) if isinstance(order, ClearSetpoint)]
    assert len(clears) == 1
    assert inject(answer(made, clears[0], 33.5, accepted=False)).strategy.purpose == "station_max", "asked for once"


def looked(orders: list[Order]) -> list[ReadBack]:
    return [order for order in orders if isinstance(order, ReadBack)]


def test_the_first_setpoint_and_cuts_are_read_back_renewals_are_not() -> None:
    made = actuator()
    first = looked(taken(made, 16.0, 1.0))
    assert [(order.expected_a, order.number) for order in first] == [(16.0, made.channels[KEY].accepted.number)]  # type: ignore[union-attr]
    made.floor_read(FloorConfirmed(at(1.5), KEY, 16.0, True, number=first[0].number))
    assert looked(taken(made, 16.0, 52.0)) == []
    assert looked(taken(made, 20.0, 60.0)) == []
    assert len(looked(taken(made, 8.0, 70.0))) == 1
    assert looked(taken(made, 7.0, 75.0)) == [], "not one after the other"
    assert looked(taken(actuator(reads_back=False), 16.0, 1.0)) == []


def test_a_composite_above_what_was_accepted_is_mis_stacking() -> None:
    made = actuator()
    first = looked(taken(made, 10.0, 1.0))
    made.floor_read(FloorConfirmed(at(1.5), KEY, 32.0, False, number=first[0].number))
    channel = made.channels[KEY]
    assert channel.ceiling_a(2.0, None, -1.0) == 32.0, "it counts with what it shows"
    assert channel.ceiling_a(5.0, 10.0, 4.5) == 10.0, "unless its meter shows that it follows"
    again = inject(send(made, 10.0, 2.0))
    assert again.strategy == TX_A
    second = looked(answer(made, again, 2.1))
    made.floor_read(FloorConfirmed(at(2.2), KEY, 32.0, False, number=second[0].number))
    assert channel.mis_stacks
    assert inject(send(made, 10.0, 3.0)).strategy == TX_W


def test_a_station_without_a_composite_is_not_blamed_and_old_answers_are_not_heard() -> None:
    made = actuator()
    first = looked(taken(made, 10.0, 1.0))
    made.floor_read(FloorConfirmed(at(1.5), KEY, None, False, "no composite", number=first[0].number))
    assert send(made, 10.0, 2.0) == []
    taken(made, 8.0, 3.0)
    made.floor_read(FloorConfirmed(at(3.5), KEY, 10.0, False, number=first[0].number))
    assert made.channels[KEY].misread == 0


def test_a_v2x_setpoint_goes_out_dynamic_first_then_scheduled_then_it_only_charges_until_the_session_is_over() -> None:
    made = actuator("ocpp2.1", V2X)
    first = inject(send(made, 0.0, 1.0, setpoint_w=-5000.0))
    assert (first.setpoint_w, first.strategy.dynamic, first.strategy.unit) == (-5000.0, True, "W")
    second = inject(answer(made, first, 1.1, accepted=False))
    assert (second.setpoint_w, second.strategy.dynamic) == (-5000.0, False)
    third = inject(answer(made, second, 1.2, accepted=False))
    assert third.setpoint_w is None
    answer(made, third, 1.3)
    assert made.channels[KEY].giving_refused
    assert send(made, 0.0, 2.0, setpoint_w=-5000.0) == []
    made.session_ended(KEY, 3.0)
    assert inject(send(made, 0.0, 4.0, setpoint_w=-4000.0)).setpoint_w == -4000.0
