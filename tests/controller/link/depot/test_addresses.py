"""Names of chargers' components in the depot and back: nothing meets, nothing is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from controller.facts import EvseKey
from controller.link.depot.addresses import down, is_cut, name_of, up
from controller.link.depot.numbering import Numbering
from controller.ocpp.hub import Memory

Payload = dict[str, Any]
IDENTITY = st.text(st.characters(codec="ascii", exclude_characters=":/", exclude_categories=("Cc",)), min_size=1, max_size=20)
WORD = st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1, max_size=28)


@st.composite
def components(draw: st.DrawFn) -> Payload:
    component: Payload = {"name": draw(WORD)}
    if draw(st.booleans()):
        component["instance"] = draw(WORD)
    if draw(st.booleans()):
        component["evse"] = {"id": draw(st.integers(1, 3)), **({"connectorId": draw(st.integers(1, 2))} if draw(st.booleans()) else {})}
    return component


def numbering(stations: list[str]) -> Numbering:
    found = Numbering(Memory())
    found.settle(EvseKey(station, evse) for station in stations for evse in (1, 2))
    return found


@given(st.lists(IDENTITY, min_size=1, max_size=4, unique_by=str.casefold), components(), st.data())
def test_there_and_back_again(stations: list[str], component: Payload, data: st.DataObject) -> None:
    station, numbers = data.draw(st.sampled_from(stations)), numbering(stations)
    shown = up(numbers, station, component)
    if component.get("evse", {}).get("id") == 3:
        assert shown is None  # an EVSE that the site file does not have
        return
    assert shown is not None
    assert len(shown.get("instance", "")) <= 50
    assume(not is_cut(shown.get("instance", "")))
    assert down(numbers, stations, shown) == (station, component)


@given(st.lists(IDENTITY, min_size=2, max_size=4, unique_by=str.casefold), components(), components(), st.data())
def test_two_components_never_meet(stations: list[str], one: Payload, other: Payload, data: st.DataObject) -> None:
    first, second = data.draw(st.sampled_from(stations)), data.draw(st.sampled_from(stations))
    assume((first, name_of(one)) != (second, name_of(other)))
    numbers = numbering(stations)
    shown, also = up(numbers, first, one), up(numbers, second, other)
    assume(shown is not None and also is not None)
    assert name_of(shown or {}) != name_of(also or {})


def test_a_component_of_nobody_is_nobodys() -> None:
    numbers = numbering(["CP1"])
    assert down(numbers, ["CP1"], {"name": "ChargingStation"}) is None
    assert down(numbers, ["CP1"], {"name": "ChargingStation", "instance": "CP2"}) is None
    assert down(numbers, ["CP1"], {"name": "EVSE", "evse": {"id": 9}}) is None


def test_capitals_do_not_matter_for_whose_it_is() -> None:
    assert down(numbering(["CP1"]), ["CP1"], {"name": "X", "instance": "cp1/Door"}) == ("CP1", {"name": "X", "instance": "Door"})
