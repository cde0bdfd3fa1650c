"""What a station is and answers. What its channels make of it is in ``stations`` (test_actuate, test_answers)."""

from __future__ import annotations

import dataclasses

from controller.facts import EvseKey, EvseStatus, EvseStatusChanged, FloorConfirmed, StationOffline, StationOnline
from controller.orders import InstallFloor
from controller.site.stations.channel import Floor
from tests.support.site_story import Story, depot

CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)


def test_a_status_changes_only_its_evse() -> None:
    told = Story(depot(2))
    before = dict(told.site.evses)
    told.do(EvseStatusChanged(told.at(), CP1, EvseStatus.FAULTED))
    assert told.site.evses == before | {CP1: dataclasses.replace(before[CP1], status=EvseStatus.FAULTED)}


def test_a_station_that_comes_gets_its_floor_first_and_one_that_goes_is_known_to_be_gone() -> None:
    told = Story(depot(1))
    orders = told.site.handle(StationOnline(told.at(), "CP1", "2.0.1"))
    assert [type(order) for order in orders] == [InstallFloor]
    assert told.site.actuator.channels[CP1].online
    assert told.site.handle(StationOffline(told.at(), "CP1")) == []
    assert not told.site.actuator.channels[CP1].online


def test_an_unconfirmed_floor_is_told_once_and_again_after_it_was_confirmed() -> None:
    told = Story(depot(1))
    told.start()
    channel = told.site.actuator.channels[CP1]
    words = "did not confirm its fallback of 6 A (12 A read)"
    for _ in range(3):
        channel.floor = Floor.READING
        told.do(FloorConfirmed(told.at(), CP1, 12.0, False, "12 A read"))
        assert channel.floor is Floor.FAILED
    assert len(told.told(words)) == 1
    channel.floor = Floor.READING
    told.do(FloorConfirmed(told.at(), CP1, 6.0, True))
    assert channel.floor is Floor.CONFIRMED
    channel.floor = Floor.READING
    told.do(FloorConfirmed(told.at(), CP1, 12.0, False, "12 A read"))
    assert len(told.told(words)) == 2
