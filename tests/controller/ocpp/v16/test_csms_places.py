"""connectorIds of a station with one connector per EVSE, with several, and of one that grows (16 3.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from controller.ocpp.hub import EvseShape, Memory, Surroundings
from controller.ocpp.v16.csms_places import Places


@dataclass
class Around:
    """What Places needs of its surroundings."""

    shapes: tuple[EvseShape, ...]
    memory: Memory

    def evses(self) -> tuple[EvseShape, ...]:
        return self.shapes


def places(around: Around) -> Places:
    return Places(cast(Surroundings, around))


def test_one_connector_each_is_the_evse_s_own_number() -> None:
    found = places(Around((EvseShape(1), EvseShape(2), EvseShape(5)), Memory()))
    assert found.all() == (1, 2, 5)
    assert [found.number(evse_id) for evse_id in (1, 2, 5)] == [1, 2, 5]
    assert found.number(2, 2) == 2  # a connector nobody told us of is the EVSE's
    assert found.spot(5) == (5, 1)
    assert found.evse(5) == {"id": 5}
    assert found.spot(3) is None


@pytest.mark.parametrize("evse_id", [0, -1, None, "1"])
def test_what_is_no_evse_is_the_station(evse_id: Any) -> None:
    assert places(Around((EvseShape(1),), Memory())).number(evse_id) == 0


def test_several_are_numbered_through() -> None:
    found = places(Around((EvseShape(1, 2), EvseShape(2, 1), EvseShape(3, 2)), Memory()))
    assert found.all() == (1, 2, 3, 4, 5)
    assert [found.spot(number) for number in found.all()] == [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2)]
    assert found.number(3, 2) == 5
    assert found.number(3) == 4  # the first
    assert found.of_evse(3) == (4, 5)
    assert found.evse(3) == {"id": 2}
    assert found.evse(5) == {"id": 3, "connectorId": 2}


def test_a_number_is_for_ever() -> None:
    """What is new gets the next one, whatever its place; what is gone keeps its own."""
    around = Around((EvseShape(1), EvseShape(2)), Memory())
    assert places(around).all() == (1, 2)
    around.shapes = (EvseShape(1, 2), EvseShape(2))
    assert [places(around).spot(number) for number in (1, 2, 3)] == [(1, 1), (2, 1), (1, 2)]
    around.shapes = (EvseShape(2), EvseShape(3, 2))
    later = places(around)
    assert later.number(2) == 2
    assert later.number(3, 2) == 5
    assert later.spot(1) == (1, 1)
