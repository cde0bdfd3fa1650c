"""Stations with several EVSEs that only obey one limit for all of them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config import Config
from controller.facts import EvseKey, FloorConfirmed, SetpointAnswered, Stamp
from controller.orders import ClearSetpoint, Inject, InstallFloor, Order, ReadBack
from controller.site.layout import layout_of
from controller.site.sharing.arbiter import Grant
from controller.site.stations.actuate import Actuator
from controller.site.stations.charger import ChargerModel
from tests.support.site_story import Story, depot

FIRST, SECOND, WHOLE = EvseKey("CP1", 1), EvseKey("CP1", 2), EvseKey("CP1", 0)
MODELS = {"generic": ChargerModel("generic", apply_s=2.0, purposes=("ChargingStationMaxProfile",))}
ALL = (0, 1, 2)


def at(now: float) -> Stamp:
    return Stamp(now, 1_780_000_000.0 + now)


def double(**evse: Any) -> Config:
    config = depot(1, evse=evse)
    station = config.stations[0]
    second = station.evses[0].model_copy(update={"id": 2})
    return config.model_copy(update={"stations": (station.model_copy(update={"evses": (station.evses[0], second)}),)})


def answer(made: Actuator, order: Order, now: float, accepted: bool = True, lost: bool = False) -> list[Order]:
    assert isinstance(order, Inject | InstallFloor | ClearSetpoint)
    return made.answered(SetpointAnswered(at(now), order.evse, order.number, accepted, "", lost))


def ready() -> Actuator:
    config = double()
    made = Actuator(layout_of(config, MODELS), config.control)
    orders = made.online("CP1", 0.0, "2.0.1")
    floors = [(order.evse, order.limit_a, order.strategy.purpose) for order in orders if isinstance(order, InstallFloor)]
    assert floors == [(WHOLE, 12.0, "station_max")]
    assert answer(made, orders[0], 0.0) == [ReadBack(WHOLE, 12.0)]
    assert not made.channels[FIRST].confirmed
    made.floor_read(FloorConfirmed(at(0.0), WHOLE, 12.0, True))
    assert made.channels[FIRST].confirmed
    assert made.channels[SECOND].confirmed
    return made


def write(made: Actuator, now: float, used: dict[EvseKey, tuple[int, ...]] | None = None, **amps: float) -> list[Inject]:
    keys = {"first": FIRST, "second": SECOND}
    grants = [Grant(keys[name], limit_a, "fuse L1") for name, limit_a in amps.items()]
    orders = made.write(grants, at(now), used or {FIRST: ALL, SECOND: ALL})
    return [order for order in orders if isinstance(order, Inject)]


def test_one_setpoint_for_the_station_is_the_sum_of_its_evses() -> None:
    made = ready()
    orders = write(made, 1.0, first=10.0, second=14.0)
    assert [(order.evse, order.limit_a, order.strategy.purpose) for order in orders] == [(WHOLE, 24.0, "station_max")]
    answer(made, orders[0], 1.1)
    channels = made.channels
    assert [channels[key].present_a(2.0) for key in (FIRST, SECOND)] == [10.0, 14.0]
    assert sum(channels[key].ceiling_a(5.0, None, -1.0) for key in (FIRST, SECOND)) == 24.0
    assert write(made, 2.0, first=10.0, second=14.0) == []
    assert [order.limit_a for order in write(made, 3.0, first=8.0)] == [22.0], "the other's share stays"


@pytest.mark.parametrize(
    ("phases", "expected_a"),
    [(((0,), (0,)), 20.0), (((0,), (1,)), 8.0), (((0,), ALL), 8.0), ((ALL, (2,)), 12.0), ((ALL, ALL), 20.0)],
)
def test_no_phase_gets_more_than_its_cars_were_granted(phases: tuple[tuple[int, ...], tuple[int, ...]], expected_a: float) -> None:
    made = ready()
    orders = write(made, 1.0, {FIRST: phases[0], SECOND: phases[1]}, first=12.0, second=8.0)
    assert [order.limit_a for order in orders] == [expected_a]


def test_a_cut_is_believed_of_the_whole_and_late() -> None:
    made = ready()
    answer(made, write(made, 1.0, first=16.0, second=16.0)[0], 1.0)
    cut = write(made, 10.0, first=6.0, second=6.0)[0]
    assert cut.urgent
    assert sum(made.channels[key].ceiling_a(10.5, None, -1.0) for key in (FIRST, SECOND)) >= 32.0
    answer(made, cut, 11.0)
    assert sum(made.channels[key].ceiling_a(12.0, None, -1.0) for key in (FIRST, SECOND)) >= 32.0
    assert sum(made.channels[key].ceiling_a(13.1, None, -1.0) for key in (FIRST, SECOND)) == 12.0


def test_who_stays_may_have_it_all_until_the_station_is_told_and_then_the_setpoint_is_taken_out() -> None:
    made = ready()
    answer(made, write(made, 1.0, first=16.0, second=10.0)[0], 1.0)
    assert made.session_ended(FIRST, 5.0) == []
    assert made.channels[SECOND].ceiling_a(6.0, None, -1.0) == 26.0
    answer(made, write(made, 6.0, second=10.0)[0], 6.0)
    assert made.channels[SECOND].ceiling_a(9.0, None, -1.0) == 10.0
    cleared = made.session_ended(SECOND, 10.0)
    assert [(type(order), order.evse) for order in cleared if isinstance(order, ClearSetpoint)] == [(ClearSetpoint, WHOLE)]
    assert sum(made.channels[key].ceiling_a(11.0, None, -1.0) for key in (FIRST, SECOND)) >= 12.0
    answer(made, cleared[0], 12.0)
    assert sum(made.channels[key].ceiling_a(20.0, None, -1.0) for key in (FIRST, SECOND)) == 12.0


def test_a_station_that_is_gone_is_booked_with_what_it_had() -> None:
    made = ready()
    answer(made, write(made, 1.0, first=16.0, second=10.0)[0], 1.0)
    made.offline("CP1", 5.0)
    assert sum(made.booked_offline_a(made.channels[key], 60.0) for key in (FIRST, SECOND)) == 26.0
    assert sum(made.booked_offline_a(made.channels[key], 130.0) for key in (FIRST, SECOND)) >= 12.0


def test_a_whole_depot_with_such_a_station_keeps_its_fuse() -> None:
    told = Story(double(), models=MODELS)
    told.start()
    for key in (FIRST, SECOND):
        told.plug(key)
    told.run(30, 20.0)
    sums = [order.limit_a for order in told.of(Inject)]
    assert sums
    assert {order.evse for order in told.of(Inject)} == {WHOLE}
    assert 30.0 <= sums[-1] <= 63.0 - 20.0
    assert told.drawn_a == {FIRST: sums[-1] / 2, SECOND: sums[-1] / 2}
    told.run(5, 45.0)
    assert told.of(Inject)[-1].limit_a <= 63.0 - 45.0
    assert max(told.metered_a(45.0)) <= 63.0
    assert told.site.view(told.at()).evses[0].floor_confirmed
