"""A charger's messages in the depot's EVSE numbers, and back."""

from __future__ import annotations

from typing import Any

import pytest

from controller.link.depot.office import Office
from controller.link.depot.renumber import OutsideError, evse_number, numbered_up, numbers_of, token_info_down
from tests.support.depot_book import DepotBook, site


@pytest.fixture
def office() -> Office:
    book = DepotBook(site(("CP1", "CP2"), evses=2))
    book.start()
    return book.face.office


def test_numbers_stand_everywhere_but_in_foreign_words(office: Office) -> None:
    payload = {
        "evseId": 2,
        "evse": {"id": 1, "connectorId": 1},
        "eventData": [
            {"component": {"name": "Connector", "evse": {"id": 2, "connectorId": 1}}},
            {"component": {"name": "ClockCtrlr", "instance": "x"}},
        ],
        "customData": {"vendorId": "acme", "evseId": 2},
        "id": 2,
    }
    assert numbered_up(office, "CP2", payload) == {
        "evseId": 4,
        "evse": {"id": 3, "connectorId": 1},
        "eventData": [
            {"component": {"name": "Connector", "evse": {"id": 4, "connectorId": 1}}},
            {"component": {"name": "ClockCtrlr", "instance": "CP2/x"}},
        ],
        "customData": {"vendorId": "acme", "evseId": 2},
        "id": 2,
    }
    assert payload["evseId"] == 2  # the charger's own message is not touched


@pytest.mark.parametrize("payload", [{"evseId": 3}, {"evse": {"id": 9}}, {"component": {"name": "EVSE", "evse": {"id": 7}}}])
def test_an_evse_that_is_no_part_of_the_depot(office: Office, payload: dict[str, Any]) -> None:
    with pytest.raises(OutsideError):
        numbered_up(office, "CP1", payload)


def test_all_of_a_charger_is_each_of_its_evses(office: Office) -> None:
    assert numbers_of(office, "CP2", 0) == numbers_of(office, "CP2", None) == (3, 4)
    assert numbers_of(office, "CP2", 1) == (3,)
    for wrong in (3, True, "1", 1.0):
        with pytest.raises(OutsideError):
            evse_number(office, "CP1", wrong)
    with pytest.raises(OutsideError):
        numbers_of(office, "CP9", 0)


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ([3], {"status": "Accepted", "evseId": [1]}),
        ([3, 4, 1], {"status": "Accepted"}),
        ([1, 2], {"status": "NotAtThisLocation"}),
        ([99], {"status": "NotAtThisLocation"}),
        ([], {"status": "Accepted", "evseId": []}),
    ],
)
def test_where_a_driver_may_charge_is_said_in_the_charger_s_numbers(office: Office, allowed: list[int], expected: dict[str, Any]) -> None:
    assert token_info_down(office, "CP2", {"idTokenInfo": {"status": "Accepted", "evseId": allowed}}) == {"idTokenInfo": expected}


def test_who_is_refused_stays_refused(office: Office) -> None:
    assert token_info_down(office, "CP1", {"idTokenInfo": {"status": "Blocked", "evseId": [4]}}) == {"idTokenInfo": {"status": "Blocked"}}
    assert token_info_down(office, "CP1", {"totalCost": 1}) == {"totalCost": 1}
