"""Ways of a setpoint into a station: strategies, refusals, budgets, composites, clearing, V2X."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.facts import EvseKey, FeaturesLearned, FloorConfirmed, SetpointAnswered, Stamp
from controller.orders import ClearSetpoint, Inject, InstallFloor, Order, Persist, ReadBack, Strategy
from controller.site.sharing.arbiter import Grant
from controller.site.state import layout_of
from controller.site.stations.actuate import Actuator
from controller.site.stations.charger import ChargerModel
from tests.support.site_story import depot

KEY = EvseKey("CP1", 1)
MODEL = ChargerModel("generic", apply_s=2.0)
TX_A, TX_W, DEFAULT_A = Strategy("tx", "A"), Strategy("tx", "W"), Strategy("tx_default", "A")


def at(now: float) -> Stamp:
    return Stamp(now, 1_780_000_000.0 + now)


def actuator(version: str = "2.0.1", features: FeaturesLearned | None = None, memory: Any = None, **model: Any) -> Actuator:
    config = depot(1)
    made = Actuator(layout_of(config, {"generic": replace(MODEL, **model)}), config.control)
    if memory is not None:
        made.recall(str(KEY), memory)
    if features is not None:
        made.learned(features)
    floor = made.online("CP1", 0.0, version)[0]
    if any(isinstance(order, ReadBack) for order in answer(made, floor, 0.0)):
        made.floor_read(FloorConfirmed(at(0.0), KEY, 6.0, True))
    assert made.channels[KEY].confirmed
    return made


def answer(made: Actuator, order: Order, now: float, accepted: bool = True, **more: Any) -> list[Order]:
    assert isinstance(order, Inject | InstallFloor | ClearSetpoint)
    return made.answered(SetpointAnswered(at(now), order.evse, order.number, accepted, more.pop("reason", "Rejected"), **more))


def send(made: Actuator, limit_a: float, now: float, **more: Any) -> list[Order]:
    return made.setpoint(Grant(KEY, limit_a, "fuse L1", **more), at(now))


def inject(orders: list[Order]) -> Inject:
    found = [order for order in orders if isinstance(order, Inject)]
    assert len(found) == 1, orders
    return found[0]


def taken(made: Actuator, limit_a: float, now: float) -> list[Order]:
    """A setpoint that the station accepts at once; the orders that follow."""
    return answer(made, inject(send(made, limit_a, now)), now)


def said(**more: Any) -> FeaturesLearned:
    return FeaturesLearned(at(0.0), "CP1", **more)


# -- F04: the next way after a definite no ------------------------------------------------------------------


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


# -- RateLimitExceeded and write budgets (trap 18) -----------------------------------------------------------------


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


def test_rises_keep_their_distance_and_cuts_do_not() -> None:
    made = actuator(min_write_s=30.0)
    taken(made, 10.0, 1.0)
    assert send(made, 16.0, 5.0) == []
    taken(made, 8.0, 6.0)
    assert send(made, 16.0, 30.0) == []
    assert inject(send(made, 16.0, 31.0)).limit_a == 16.0


def test_a_held_rise_does_not_stop_renewals() -> None:
    made = actuator(min_write_s=600.0)
    taken(made, 10.0, 1.0)
    assert inject(send(made, 16.0, 52.0)).limit_a == 10.0


def test_an_empty_budget_leaves_the_station_to_its_floor_and_cuts_go_on() -> None:
    made = actuator(writes_per_day=40)
    now, limit_a = 1.0, 10.0
    for _ in range(40):
        orders = send(made, limit_a, now)
        if not orders:
            break
        answer(made, inject(orders), now)
        now, limit_a = now + 20.0, limit_a + 0.5
    assert limit_a == 14.5, "ten in a burst, with the floor"
    assert send(made, 20.0, now + 100.0) == []
    assert made.channels[KEY].present_a(now + 119.0) == 6.0
    assert inject(send(made, 0.0, now + 120.0)).limit_a == 0.0
    assert made.writes_today("CP1", at(now).wall_s) == 11


# -- what outlives its transaction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.0.1", "ocpp2.1"])
def test_a_default_is_taken_out_when_its_session_ends_and_counts_until_it_is(version: str) -> None:
    made = actuator(version, purposes=("TxDefaultProfile",))
    taken(made, 20.0, 1.0)
    orders = made.session_ended(KEY, 30.0)
    assert [type(order) for order in orders] == [ClearSetpoint]
    channel = made.channels[KEY]
    assert channel.ceiling_a(100.0, None, -1.0) == 20.0
    assert send(made, 10.0, 31.0) == [], "first it must be out"
    freed = answer(made, orders[0], 32.0)
    assert channel.ceiling_a(34.0, None, -1.0) == 10.0, "the next setpoint is on its way"
    assert inject(freed).limit_a == 10.0


def test_a_default_that_cannot_be_taken_out_counts_for_180_s() -> None:
    made = actuator(purposes=("TxDefaultProfile",))
    taken(made, 20.0, 1.0)
    orders = made.session_ended(KEY, 2.0)
    answer(made, orders[0], 32.0, accepted=False, lost=True)
    channel = made.channels[KEY]
    assert channel.ceiling_a(180.9, None, -1.0) == 20.0
    assert channel.ceiling_a(181.0, None, -1.0) == 6.0


def test_a_tx_profile_needs_no_clearing_but_in_1_6_it_may_have_become_a_default() -> None:
    for version, expected in (("2.0.1", []), ("ocpp1.6", [ClearSetpoint])):
        made = actuator(version)
        taken(made, 20.0, 1.0)
        assert [type(order) for order in made.session_ended(KEY, 2.0)] == expected


def test_a_default_in_the_way_of_a_rise_is_cleared_before_the_next_way() -> None:
    made = actuator(purposes=("TxDefaultProfile", "ChargingStationMaxProfile"))
    taken(made, 10.0, 1.0)
    second = inject(answer(made, inject(send(made, 16.0, 22.0)), 22.0, accepted=False))
    orders = answer(made, second, 22.1, accepted=False)
    assert [type(order) for order in orders] == [ClearSetpoint], "the old default would shadow the station-max profile"
    assert made.channels[KEY].ceiling_a(22.2, None, -1.0) >= 10.0
    after = inject(answer(made, orders[0], 22.3))
    assert (after.strategy.purpose, after.evse) == ("station_max", KEY)


# -- confirmation by composite ------------------------------------------------------------------------------------------


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


# -- a floor that is forgotten ----------------------------------------------------------------------------------------


def test_a_model_that_forgets_its_floor_gets_it_again_before_a_rise() -> None:
    made = actuator(keeps_default=False)
    for now in range(1, 302, 50):
        taken(made, 10.0, float(now))
    orders = send(made, 16.0, 310.0)
    assert [type(order) for order in orders] == [InstallFloor]
    assert made.channels[KEY].confirmed, "nobody is held down meanwhile"
    assert send(made, 16.0, 310.5) == []
    taken(made, 8.0, 310.6)  # cuts do not wait
    answer(made, orders[0], 311.0)
    assert inject(send(made, 16.0, 331.0)).limit_a == 16.0


def test_a_forgotten_floor_that_is_refused_is_in_doubt() -> None:
    made = actuator(keeps_default=False)
    answer(made, send(made, 16.0, 310.0)[0], 310.1, accepted=False)
    assert not made.channels[KEY].confirmed
    assert [type(order) for order in made.tick(312.0)] == [InstallFloor]


# -- units, phases, overdraw, V2X ----------------------------------------------------------------------------------------


def test_a_limit_in_w_counts_the_phases_the_car_really_loads() -> None:
    made = actuator(unit="W")
    orders = made.write([Grant(KEY, 10.0, "fuse")], at(1.0), {KEY: (1,)})
    assert (inject(orders).phase_count, inject(orders).limit_a) == (1, 10.0)
    amps = actuator()
    assert inject(amps.write([Grant(KEY, 10.0, "fuse")], at(1.0), {KEY: (1,)})).phase_count == 3
    switched = made.write([Grant(KEY, 9.0, "fuse", phase_count=1, phase_to_use=2)], at(2.0), {KEY: (0, 1, 2)})
    assert (inject(switched).phase_count, inject(switched).phase_to_use) == (1, 2)


def test_a_car_that_draws_more_than_told_is_told_less_and_counts_with_what_it_draws() -> None:
    made = actuator(overdraw_part=0.1)
    order = inject(send(made, 22.0, 1.0))
    assert order.limit_a == 20.0
    answer(made, order, 1.0)
    assert made.channels[KEY].ceiling_a(1.0, None, -1.0) == pytest.approx(22.0)
    assert send(made, 22.0, 2.0) == [], "no resending for ever"
    low = inject(send(made, 6.0, 3.0))
    assert low.limit_a == 6.0, "never below the minimum"
    assert made.channels[KEY].present_a(3.0) == pytest.approx(6.6)
    assert made.in_force(KEY, at(2.0)).limit_a == 20.0  # type: ignore[union-attr]


V2X = said(modes=("ChargingOnly", "CentralSetpoint"), v2x=(1,), dynamic=True)


@pytest.mark.parametrize(
    ("version", "features"),
    [("2.1", None), ("2.1", said(modes=("CentralSetpoint",))), ("2.1", said(v2x=(1,))), ("2.0.1", V2X), ("2.1", replace(V2X, v2x=(2,)))],
)
def test_no_v2x_setpoint_for_a_station_that_did_not_announce_it(version: str, features: FeaturesLearned | None) -> None:
    order = inject(send(actuator(version, features), 0.0, 1.0, setpoint_w=-5000.0))
    assert (order.setpoint_w, order.idle, order.limit_a) == (None, False, 0.0)


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


def test_a_changed_power_is_sent_and_less_given_back_does_not_wait_for_the_answer() -> None:
    """A reserve, a limit or a silent meter wants less at once; more has time, for no charging counts on it."""
    made = actuator("2.1", V2X)
    inject(send(made, 0.0, 1.0, setpoint_w=-3000.0))
    assert send(made, 0.0, 1.1, setpoint_w=-4000.0) == []
    less = inject(send(made, 0.0, 1.2, setpoint_w=-2000.0))
    assert (less.setpoint_w, less.urgent) == (-2000.0, True)
    answer(made, less, 1.3)
    more = inject(send(made, 0.0, 30.0, setpoint_w=-4000.0))
    assert (more.setpoint_w, more.urgent) == (-4000.0, False)
    stop = inject(send(made, 0.0, 30.1))
    assert (stop.setpoint_w, stop.limit_a, stop.urgent) == (None, 0.0, True)
    assert made.channels[KEY].tries.remembered is None, "says nothing about plain charging"


# -- flash wear: what the floor does anyway is not renewed -----------------------------------------------------


def renewals(made: Actuator, limit_a: float, seconds: int) -> list[Inject]:
    found: list[Inject] = []
    for now in range(2, seconds):
        for order in send(made, limit_a, float(now)):
            if isinstance(order, Inject):
                found.append(order)
                answer(made, order, now + 0.1)
    return found


def test_a_setpoint_that_says_what_the_floor_says_is_written_once() -> None:
    made = actuator()
    taken(made, 6.0, 1.0)
    assert renewals(made, 6.0, 400) == []
    assert made.channels[KEY].ceiling_a(400.0, None, -1.0) == 6.0
    assert inject(send(made, 10.0, 401.0)).limit_a == 10.0


@pytest.mark.parametrize("model", [{"reads_back": False}, {"keeps_default": False}, {"csms_profiles": "overlay"}])
def test_where_the_floor_is_not_certain_it_is_renewed(model: dict[str, Any]) -> None:
    made = actuator(**model)
    taken(made, 6.0, 1.0)
    assert len(renewals(made, 6.0, 200)) == 3


def test_above_the_floor_it_is_renewed_as_ever() -> None:
    made = actuator()
    taken(made, 7.0, 1.0)
    assert len(renewals(made, 7.0, 200)) == 3


def test_after_the_floor_is_in_doubt_it_is_written_again() -> None:
    made = actuator()
    taken(made, 6.0, 1.0)
    assert renewals(made, 6.0, 200) == []
    made.floor_read(FloorConfirmed(at(200.0), KEY, 32.0, False))
    assert len(inject_all(send(made, 6.0, 201.0))) == 1


def inject_all(orders: list[Order]) -> list[Inject]:
    return [order for order in orders if isinstance(order, Inject)]
