"""A station that asks for time before it takes its floor (RateLimitExceeded, K01.FR.56-59) gets it."""

from __future__ import annotations

from collections.abc import Iterable

from controller.facts import EvseKey, EvseStatus, EvseStatusChanged, SetpointAnswered, StationOnline
from controller.orders import InstallFloor, Order
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


class Busy(Story):
    """A station that answers every floor with "wait" until it is ready."""

    busy_until_s = 0.0
    wait_s = 20.0

    def carry(self, orders: Iterable[Order]) -> list[Order]:
        brought: list[Order] = []
        for order in orders:
            if isinstance(order, InstallFloor) and self.now < self.busy_until_s:
                self.orders.append((self.now, order))
                self.do(SetpointAnswered(self.at(), order.evse, order.number, False, "Rejected RateLimitExceeded", retry_after_s=self.wait_s))
            else:
                brought += super().carry([order])
        return brought


def busy(for_s: float, wait_s: float = 20.0) -> Busy:
    told = Busy(depot(1))
    told.busy_until_s, told.wait_s = told.now + for_s, wait_s
    told.do(StationOnline(told.at(), "CP1", "2.0.1"))
    return told


def floors(told: Busy) -> list[float]:
    return [when - 1000.0 for when, order in told.orders if isinstance(order, InstallFloor)]


def test_it_is_left_alone_for_as_long_as_it_asked_and_nobody_is_alarmed() -> None:
    told = busy(50.0)
    told.run(70)
    assert floors(told) == [0.0, 20.0, 40.0, 60.0]
    assert told.told("takes no setpoints") == []
    assert told.site.actuator.channels[CP1].confirmed


def test_meanwhile_it_counts_with_its_maximum() -> None:
    told = busy(50.0)
    told.do(EvseStatusChanged(told.at(), CP1, EvseStatus.OCCUPIED))
    told.run(3)
    assert told.site.frozen is not None
    assert dict(told.site.frozen.booked_a) == {CP1: 32.0}
    told.run(70)
    assert told.site.frozen.booked_a[CP1] == 6.0


def test_a_floor_that_was_there_before_still_counts() -> None:
    told = busy(0.0)
    told.run(5)
    told.busy_until_s = told.now + 30.0
    told.site.actuator.offline("CP1", told.now)
    told.do(StationOnline(told.at(), "CP1", "2.0.1"))
    told.run(3)
    assert not told.site.actuator.channels[CP1].uncontrollable


def test_after_five_minutes_a_person_is_told_once() -> None:
    told = busy(1000.0)
    told.run(290)
    assert told.told("takes no setpoints") == []
    told.run(300)
    assert len(told.told("takes no setpoints")) == 1


def test_an_endless_wait_is_not_believed() -> None:
    told = busy(10.0, wait_s=1e9)
    told.run(1000)
    assert len(floors(told)) >= 2
