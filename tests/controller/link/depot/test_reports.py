"""Reports over the whole depot (B07, B08): every variable of the depot and of each charger once, in pages a frame can hold."""

from __future__ import annotations

from typing import Any

import pytest

from controller.link.depot.addresses import name_of, size_of
from controller.link.depot.model import DeviceModel
from tests.support.depot_book import DepotBook
from tests.support.model_charger import ModelCharger, entry, usual
from tests.support.model_desk import Desk, depot_site

Payload = dict[str, Any]


def depot(stations: tuple[str, ...] = ("CP1", "CP2"), evses: int = 1, **more: Any) -> tuple[Desk, list[ModelCharger]]:
    """A desk whose chargers have been asked for their inventories."""
    desk = Desk([DeviceModel], depot_site(stations, evses), **more)
    chargers = [ModelCharger(desk, station, usual(evses)) for station in stations]
    desk.seconds(10 + 8 * len(stations))
    return desk, chargers


def report(desk: Desk, action: str = "GetBaseReport", seconds: int = 30, **request: Any) -> list[Payload]:
    """Ask, wait, put the pages together; the pages are numbered from 0 and only the last one says that it is."""
    before = len(desk.up)
    assert desk.answer(action, {"requestId": 77, **request}) == {"status": "Accepted"}
    assert len(desk.said_before) == before  # the answer goes first
    desk.seconds(seconds)
    pages = desk.heard("NotifyReport")
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    assert [page.get("tbc", False) for page in pages] == [True] * (len(pages) - 1) + [False]
    assert {page["requestId"] for page in pages} == {77}
    assert max(size_of(page) for page in pages) < 30_000
    return [item for page in pages for item in page.get("reportData", [])]


def names(items: list[Payload]) -> set[Any]:
    found = [name_of(item["component"], item["variable"]) for item in items]
    assert len(found) == len(set(found)), "a variable was reported twice"
    return set(found)


def owners(items: list[Payload]) -> set[tuple[str, str, int, int]]:
    return {(item["component"]["name"], item["component"].get("instance", ""), *place(item)) for item in items}


def place(item: Payload) -> tuple[int, int]:
    evse = item["component"].get("evse", {})
    return evse.get("id", 0), evse.get("connectorId", 0)


def value(items: list[Payload], component: str, variable: str, instance: str = "", evse: int = 0) -> str:
    found = [
        item
        for item in items
        if (item["component"]["name"], item["component"].get("instance", ""), item["variable"]["name"]) == (component, instance, variable)
        and place(item)[0] == evse
    ]
    assert len(found) == 1, found
    return str(found[0]["variableAttribute"][0]["value"])


def test_the_full_inventory_holds_the_depot_and_every_charger() -> None:
    desk, _ = depot()
    items = report(desk, reportBase="FullInventory")
    names(items)
    there = owners(items)
    assert {("ChargingStation", "", 0, 0), ("LocalController", "", 0, 0), ("DistributionPanel", "grid", 0, 0)} <= there
    assert {("ElectricalFeed", "hall", 0, 0), ("EVSE", "", 1, 0), ("EVSE", "", 2, 0), ("Connector", "", 2, 1)} <= there
    # a charger's own: whole charger under its id, its instance behind it, its EVSE under the depot's number
    assert {("ChargingStation", "CP1", 0, 0), ("TemperatureSensor", "CP2/door", 0, 0), ("SampledDataCtrlr", "CP2", 0, 0)} <= there
    assert value(items, "TemperatureSensor", "Temperature", "CP2/door") == "21.5"
    assert value(items, "EVSE", "Power", evse=2) == "0"  # the charger's word, not ours
    assert value(items, "DistributionPanel", "InstanceName", "hall") == "hall"


def test_the_feeder_tree_is_told() -> None:
    desk, _ = depot(("CP1", "CP2", "CP3"))
    items = report(desk, reportBase="FullInventory")
    panels: dict[tuple[str, str, str], str] = {}
    for item in items:
        if item["component"]["name"] == "DistributionPanel":
            key = (item["component"]["instance"], item["variable"]["name"], item["variable"].get("instance", ""))
            panels[key] = item["variableAttribute"][0]["value"]
    assert panels == {
        ("grid", "InstanceName", ""): "grid",
        ("grid", "Fuse", "1"): "250",
        ("grid", "Fuse", "2"): "250",
        ("grid", "Fuse", "3"): "250",
        ("grid", "ChargingStation", "1"): "CP1",
        ("grid", "DistributionPanel", "1"): "hall",
        ("hall", "InstanceName", ""): "hall",
        ("hall", "Fuse", "1"): "100",
        ("hall", "Fuse", "2"): "100",
        ("hall", "Fuse", "3"): "100",
        ("hall", "ChargingStation", "1"): "CP2",
        ("hall", "ChargingStation", "2"): "CP3",
    }


def test_the_configuration_inventory_holds_what_can_be_set_and_nothing_else() -> None:
    desk, _ = depot()
    items = report(desk, reportBase="ConfigurationInventory")
    assert all(item["variableAttribute"][0].get("mutability", "ReadWrite") != "ReadOnly" for item in items)
    assert value(items, "SampledDataCtrlr", "TxUpdatedInterval", "CP1") == "30"
    assert value(items, "OCPPCommCtrlr", "HeartbeatInterval")
    assert "Fuse" not in {item["variable"]["name"] for item in items}


def test_the_summary_tells_availability_and_what_is_wrong() -> None:
    desk, _ = depot()
    desk.changed("CP2", states={(1, 1): "Faulted"})
    items = report(desk, reportBase="SummaryInventory")
    told = {(item["component"]["name"], item["component"].get("instance", ""), *place(item), item["variable"]["name"]) for item in items}
    assert told == {
        ("ChargingStation", "", 0, 0, "AvailabilityState"),
        ("ChargingStation", "CP1", 0, 0, "AvailabilityState"),
        ("ChargingStation", "CP2", 0, 0, "AvailabilityState"),
        ("EVSE", "", 1, 0, "AvailabilityState"),
        ("Connector", "", 1, 1, "AvailabilityState"),
        ("EVSE", "", 2, 0, "AvailabilityState"),
        ("EVSE", "", 2, 0, "Problem"),
        ("Connector", "", 2, 1, "AvailabilityState"),
    }
    assert value(items, "EVSE", "AvailabilityState", evse=2) == "Faulted"


def test_a_hundred_chargers_are_told_whole() -> None:
    stations = tuple(f"CP{number:03d}" for number in range(100))
    desk = Desk([DeviceModel], depot_site(stations, 2))
    extra = [entry({"name": f"Vendor{number}"}, "Text", "x" * 60) for number in range(40)]
    for station in stations:
        ModelCharger(desk, station, usual(2, extra), page=30)
    desk.seconds(400)
    items = report(desk, seconds=60, reportBase="FullInventory")
    names(items)
    for number, station in enumerate(stations):
        assert sum(item["component"].get("instance", "").split("/")[0] == station for item in items) == 46
        for evse in (2 * number + 1, 2 * number + 2):
            assert value(items, "EVSE", "ChargingStation", evse=evse) == station
    assert [len(desk.chargers[station].asked("GetBaseReport")) for station in stations] == [1] * 100


def test_a_charger_that_is_away_is_told_as_it_was_known_also_after_a_restart() -> None:
    desk, _ = depot()
    whole = names(report(desk, reportBase="FullInventory"))
    desk = desk.again()
    desk.changed("CP2", linked=False, online=False)
    items = report(desk, seconds=60, reportBase="FullInventory")
    assert names(items) == whole
    assert value(items, "TemperatureSensor", "Temperature", "CP2/door") == "21.5"
    assert value(items, "EVSE", "AvailabilityState", evse=2) == "Unavailable"


def test_old_values_are_asked_anew_before_they_are_told() -> None:
    desk, chargers = depot()
    chargers[0].items[name_of({"name": "SampledDataCtrlr"}, {"name": "TxUpdatedInterval"})]["variableAttribute"][0]["value"] = "15"
    desk.seconds(700)
    items = report(desk, seconds=40, reportBase="FullInventory")
    assert value(items, "SampledDataCtrlr", "TxUpdatedInterval", "CP1") == "15"


def test_a_charger_whose_report_does_not_end_holds_up_nobody() -> None:
    desk = Desk([DeviceModel])
    silent, good = ModelCharger(desk, "CP1", usual()), ModelCharger(desk, "CP2", usual())
    silent.mute_report = True
    desk.seconds(200)
    assert good.items.keys() <= {name._replace(evse_id=1 if name.evse_id else 0) for name in desk.parts[0].inventories.of("CP2")}  # type: ignore[attr-defined]
    items = report(desk, seconds=200, reportBase="FullInventory")
    assert ("ChargingStation", "CP2", 0, 0) in owners(items)
    assert ("ChargingStation", "CP1", 0, 0) not in owners(items)


def test_a_csms_that_does_not_take_a_page_ends_the_report_and_the_next_one_comes() -> None:
    desk, _ = depot()
    desk.office.accepted = False
    desk.answer("GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"})
    desk.seconds(5)
    desk.office.accepted = True
    assert report(desk, reportBase="SummaryInventory")


# -- GetReport (B08) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        # no variable: all of them; no instance: every one; no EVSE: every one (B08.FR.21-24)
        ({"component": {"name": "Connector"}, "variable": {"name": "ConnectorType"}}, {(1, 1), (2, 1)}),
        ({"component": {"name": "Connector", "evse": {"id": 2}}, "variable": {"name": "ConnectorType"}}, {(2, 1)}),
        ({"component": {"name": "Connector", "evse": {"id": 2, "connectorId": 1}}, "variable": {"name": "ConnectorType"}}, {(2, 1)}),
        ({"component": {"name": "TemperatureSensor"}, "variable": {"name": "Temperature"}}, {(0, 0)}),
        ({"component": {"name": "temperaturesensor", "instance": "CP1/door"}}, {(0, 0)}),
    ],
)
def test_a_filter_means_everything_it_leaves_out(pattern: Payload, expected: set[tuple[int, int]]) -> None:
    desk, _ = depot()
    items = report(desk, "GetReport", componentVariable=[pattern])
    assert {place(item) for item in items} == expected
    assert {item["component"]["name"].casefold() for item in items} == {pattern["component"]["name"].casefold()}


def test_a_filter_by_instance_finds_one_charger() -> None:
    desk, _ = depot()
    items = report(desk, "GetReport", componentVariable=[{"component": {"name": "TemperatureSensor", "instance": "CP2/door"}}])
    assert owners(items) == {("TemperatureSensor", "CP2/door", 0, 0)}


def test_criteria_mean_true_or_not_there_and_a_problem_must_be_told() -> None:
    """B08.FR.07-10: for Active, Available and Enabled a component without that variable counts, for Problem it does not."""
    desk, _ = depot()
    desk.changed("CP2", states={(1, 1): "Faulted"})
    problems = report(desk, "GetReport", componentCriteria=["Problem"])
    assert owners(problems) == {("EVSE", "", 2, 0)}
    available = owners(report(desk, "GetReport", componentCriteria=["Available"]))
    assert {("ChargingStation", "", 0, 0), ("EVSE", "", 1, 0), ("TemperatureSensor", "CP1/door", 0, 0)} <= available
    desk.changed("CP2", online=False)
    assert ("EVSE", "", 2, 0) not in owners(report(desk, "GetReport", componentCriteria=["Available"]))


def test_nothing_found_is_an_empty_result_set() -> None:
    desk, _ = depot()
    request = {"requestId": 1, "componentVariable": [{"component": {"name": "Nothing"}}]}
    assert desk.answer("GetReport", request) == {"status": "EmptyResultSet"}
    desk.seconds(5)
    assert desk.heard("NotifyReport") == []


def test_too_many_reports_at_once_are_rejected() -> None:
    desk, chargers = depot()
    desk.seconds(700)
    for charger in chargers:
        charger.mute_report = True  # the first report waits for what they say now
    answers = [desk.answer("GetBaseReport", {"requestId": number, "reportBase": "SummaryInventory"})["status"] for number in range(8)]
    assert answers == ["Accepted"] * 6 + ["Rejected"] * 2  # one runs, five wait
    desk.seconds(150)
    assert [page["requestId"] for page in desk.heard("NotifyReport")] == [0, 1, 2, 3, 4, 5]  # in order, each whole


def test_a_report_may_go_up_while_the_boot_is_pending() -> None:
    """B02.FR.02: what a CSMS asks for before it accepts."""
    book = DepotBook()
    book.csms_says["BootNotification"] = {"currentTime": "2026-09-21T14:00:00Z", "interval": 500, "status": "Pending"}
    book.open()
    assert book.csms("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}) == {"status": "Accepted"}
    book.wait(5)
    assert book.heard("NotifyReport")[-1]["tbc"] is False
