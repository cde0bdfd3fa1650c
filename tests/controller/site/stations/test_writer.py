"""Ways of a setpoint into a station: distances, budgets, clearing, watts, V2X, the floor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.facts import FeaturesLearned, FloorConfirmed
from controller.orders import ClearSetpoint, Inject, InstallFloor, Order
from controller.site.sharing.arbiter import Grant
from controller.site.stations.actuate import Actuator
from tests.support.one_charger import KEY, actuator, answer, at, inject, said, send, taken

V2X = said(modes=("ChargingOnly", "CentralSetpoint"), v2x=(1,), dynamic=True)


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


@pytest.mark.parametrize(
    ("version", "features"),
    [("2.1", None), ("2.1", said(modes=("CentralSetpoint",))), ("2.1", said(v2x=(1,))), ("2.0.1", V2X), ("2.1", replace(V2X, v2x=(2,)))],
)
def test_no_v2x_setpoint_for_a_station_that_did_not_announce_it(version: str, features: FeaturesLearned | None) -> None:
    order = inject(send(actuator(version, features), 0.0, 1.0, setpoint_w=-5000.0))
    assert (order.setpoint_w, order.idle, order.limit_a) == (None, False, 0.0)


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
