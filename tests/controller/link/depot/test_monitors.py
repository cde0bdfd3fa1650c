"""Monitoring of the whole depot (N02-N08)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.link.depot.model import DeviceModel
from controller.link.depot.monitor_ids import MOST, MonitorIds
from controller.ocpp.hub import Failed, Said
from controller.orders import AnnounceSite
from tests.support.model_charger import ModelCharger, usual
from tests.support.model_desk import Desk, depot_site

Payload = dict[str, Any]
POWER: Payload = {"component": {"name": "ElectricalFeed", "instance": "grid"}, "variable": {"name": "Power"}}
EVSE2: Payload = {"component": {"name": "EVSE", "evse": {"id": 2}}, "variable": {"name": "AvailabilityState"}}
SENSOR: Payload = {"component": {"name": "TemperatureSensor", "instance": "CP2/door"}, "variable": {"name": "Temperature"}}
SENSOR1: Payload = {"component": {"name": "TemperatureSensor", "instance": "CP1/door"}, "variable": {"name": "Temperature"}}


def depot() -> tuple[Desk, list[ModelCharger]]:
    desk = Desk([DeviceModel], depot_site(("CP1", "CP2")))
    chargers = [ModelCharger(desk, station, usual()) for station in ("CP1", "CP2")]
    site(desk, 10_000.0)
    desk.seconds(30)
    for charger in desk.chargers.values():
        charger.heard.clear()
    return desk, chargers


def site(desk: Desk, power_w: float | None) -> None:
    desk.office.site = AnnounceSite(power_w, (10.0, 10.0, 10.0), 230.0, 1e6, 0.0, 200.0, "fuse", 5000.0)


def watch(what: Payload, kind: str = "UpperThreshold", value: float = 50_000.0, severity: int = 3, **more: Any) -> Payload:
    return {**what, "type": kind, "value": value, "severity": severity, **more}


def set_all(desk: Desk, *items: Payload) -> list[Payload]:
    found: list[Payload] = desk.answer("SetVariableMonitoring", {"setMonitoringData": list(items)})["setMonitoringResult"]
    assert [(one["component"], one["variable"], one["type"]) for one in found] == [(one["component"], one["variable"], one["type"]) for one in items]
    return found


def events(desk: Desk) -> list[Payload]:
    return [event for told in desk.heard("NotifyEvent") for event in told["eventData"]]


# -- own variables -----------------------------------------------------------------------------------------


def test_a_threshold_alerts_once_and_clears_below_its_hysteresis() -> None:
    desk, _ = depot()
    number = set_all(desk, watch(POWER))[0]["id"]
    seen: list[tuple[float, bool | None]] = []
    for power_w in (49_000.0, 50_001.0, 52_000.0, 49_990.0, 49_600.0, 49_400.0, 48_000.0, 50_500.0):
        site(desk, power_w)
        desk.seconds(2)
        for event in events(desk):
            assert (event["variableMonitoringId"], event["severity"], event["trigger"]) == (number, 3, "Alerting")
            assert event["eventNotificationType"] == "CustomMonitor"
            seen.append((power_w, event.get("cleared")))
    # 1 % of 50 kW back is 49.5 kW
    assert seen == [(50_001.0, None), (49_400.0, True), (50_500.0, None)]


def test_the_end_of_an_alert_names_its_beginning() -> None:
    desk, _ = depot()
    set_all(desk, watch(POWER))
    site(desk, 60_000.0)
    desk.seconds(2)
    site(desk, 10_000.0)
    desk.seconds(2)
    begun, cleared = events(desk)
    assert cleared["cause"] == begun["eventId"] != cleared["eventId"]


def test_silence_of_the_meter_is_no_event() -> None:
    desk, _ = depot()
    set_all(desk, watch(POWER, "LowerThreshold", 100.0), watch(POWER, "Delta", 10.0))
    desk.seconds(2)
    site(desk, None)
    desk.seconds(5)
    assert events(desk) == []


def test_delta_periodic_and_clock_aligned() -> None:
    desk, _ = depot()  # it is now 12:00:30
    set_all(desk, watch(POWER, "Delta", 1000.0), watch(POWER, "Periodic", 20.0, 4), watch(POWER, "PeriodicClockAligned", 60.0, 5))
    desk.seconds(1)
    site(desk, 10_900.0)
    desk.seconds(1)
    assert events(desk) == []
    site(desk, 11_000.0)
    desk.seconds(1)
    assert [(event["trigger"], event["actualValue"]) for event in events(desk)] == [("Delta", "11000")]
    desk.seconds(60)  # until 12:01:33
    told = events(desk)
    assert [event["severity"] for event in told].count(4) == 3
    assert [event["severity"] for event in told].count(5) == 1
    assert {event["trigger"] for event in told} == {"Periodic"}


def test_a_change_of_an_evses_state_is_told() -> None:
    desk, _ = depot()
    set_all(desk, watch(EVSE2, "Delta", 1.0))
    desk.seconds(2)
    desk.changed("CP2", states={(1, 1): "Occupied"})
    desk.seconds(2)
    assert [(event["trigger"], event["actualValue"], event["component"]) for event in events(desk)] == [("Delta", "Occupied", EVSE2["component"])]


@pytest.mark.parametrize(
    ("item", "status"),
    [
        (watch(POWER, "TargetDelta", 5), "UnsupportedMonitorType"),
        (watch(EVSE2, "UpperThreshold", 5), "UnsupportedMonitorType"),
        (watch({"component": {"name": "ChargingStation"}, "variable": {"name": "Model"}}), "UnsupportedMonitorType"),
        (watch({"component": {"name": "ChargingStation"}, "variable": {"name": "Nothing"}}), "UnknownVariable"),
        (watch({"component": {"name": "Nothing"}, "variable": {"name": "Nothing"}}), "UnknownComponent"),
        (watch(POWER, "Delta", -1), "Rejected"),
        (watch(POWER, "Periodic", 0), "Rejected"),
        (watch(POWER, "UpperThreshold", 1e9), "Rejected"),  # above maxLimit (N04.FR.08)
        (watch(POWER, id=4711), "Rejected"),  # a number only replaces
        (watch(POWER, periodicEventStream={"interval": 1, "values": 1}), "Rejected"),
        (watch(POWER), "Accepted"),
    ],
)
def test_what_can_be_watched(item: Payload, status: str) -> None:
    desk, _ = depot()
    result = set_all(desk, item)[0]
    assert result["status"] == status
    assert ("id" in result) == (status == "Accepted")


def test_the_same_monitor_twice_is_a_duplicate_and_its_number_replaces_it() -> None:
    desk, _ = depot()
    first, again, other = set_all(desk, watch(POWER), watch(POWER, value=1.0), watch(POWER, severity=5))
    assert [first["status"], again["status"], other["status"]] == ["Accepted", "Duplicate", "Accepted"]
    replaced = set_all(desk, watch(POWER, value=5000.0, id=first["id"]))[0]
    assert (replaced["status"], replaced["id"]) == ("Accepted", first["id"])
    desk.seconds(2)
    assert [event["variableMonitoringId"] for event in events(desk)] == [first["id"]]  # 10 kW are above 5 kW


def test_monitors_outlive_a_crash() -> None:
    desk, _ = depot()
    number = set_all(desk, watch(POWER))[0]["id"]
    desk = desk.again()
    site(desk, 60_000.0)
    desk.seconds(2)
    assert [event["variableMonitoringId"] for event in events(desk)] == [number]


def test_with_a_transaction_only() -> None:
    desk, _ = depot()
    set_all(desk, watch(EVSE2, "Periodic", 5, transaction=True))
    desk.seconds(12)
    assert events(desk) == []
    desk.changed("CP2", transactions={1: "TX-1"})
    desk.seconds(7)
    assert [event["transactionId"] for event in events(desk)] == ["TX-1"]


def test_events_wait_for_the_csms() -> None:
    desk, _ = depot()
    set_all(desk, watch(POWER, "Periodic", 10))
    desk.office.accepted = False
    desk.seconds(45)
    desk.office.accepted = True
    desk.seconds(1)
    told = events(desk)
    assert len(told) == 4
    assert len({event["eventId"] for event in told}) == 4


# -- a charger's -----------------------------------------------------------------------------------------------


def test_two_chargers_that_use_the_same_number_do_not_meet() -> None:
    desk, chargers = depot()
    one, two, own = set_all(desk, watch(SENSOR1, value=60), watch(SENSOR, value=60), watch(POWER))
    assert len({one["id"], two["id"], own["id"]}) == 3
    assert list(chargers[0].monitors) == list(chargers[1].monitors) == [1]
    assert chargers[1].monitors[1]["component"] == {"name": "TemperatureSensor", "instance": "door"}
    told = {
        "generatedAt": "2026-11-21T12:00:00Z",
        "seqNo": 0,
        "eventData": [
            {
                "eventId": 5,
                "timestamp": "2026-11-21T12:00:00Z",
                "trigger": "Alerting",
                "actualValue": "61",
                "component": {"name": "TemperatureSensor", "instance": "door"},
                "variable": {"name": "Temperature"},
                "variableMonitoringId": 1,
                "eventNotificationType": "CustomMonitor",
            }
        ],
    }
    assert desk.station("CP1", "NotifyEvent", told) == Said({})
    assert desk.station("CP2", "NotifyEvent", told) == Said({})
    first, second = events(desk)
    assert (first["variableMonitoringId"], second["variableMonitoringId"]) == (one["id"], two["id"])
    assert (first["component"]["instance"], second["component"]["instance"]) == ("CP1/door", "CP2/door")
    assert first["eventId"] != second["eventId"]


def test_causes_are_followed_and_unknown_ones_left_out() -> None:
    desk, _ = depot()

    def event(number: int, **more: Any) -> Payload:
        known: Payload = {
            "eventId": number,
            "timestamp": "2026-11-21T12:00:00Z",
            "trigger": "Delta",
            "actualValue": "x",
            "component": {"name": "EVSE", "evse": {"id": 1}},
            "variable": {"name": "Problem"},
            "eventNotificationType": "HardWiredNotification",
        }
        return {**known, **more}

    payload = {"generatedAt": "2026-11-21T12:00:00Z", "seqNo": 0, "eventData": [event(1), event(2, cause=1), event(3, cause=99)]}
    desk.station("CP2", "NotifyEvent", payload)
    first, second, third = events(desk)
    assert second["cause"] == first["eventId"]
    assert "cause" not in third
    assert {one["component"]["evse"]["id"] for one in (first, second, third)} == {2}


def test_a_charger_hears_whether_the_csms_has_taken_its_event() -> None:
    desk, _ = depot()
    desk.csms_says["NotifyEvent"] = Failed("InternalError", "no")
    payload = {
        "generatedAt": "2026-11-21T12:00:00Z",
        "seqNo": 0,
        "eventData": [
            {
                "eventId": 1,
                "timestamp": "2026-11-21T12:00:00Z",
                "trigger": "Delta",
                "actualValue": "x",
                "component": {"name": "Any"},
                "variable": {"name": "Problem"},
                "eventNotificationType": "HardWiredNotification",
            }
        ],
    }
    assert desk.station("CP1", "NotifyEvent", payload) == Failed("InternalError", "no")


def test_a_charger_without_monitoring_is_answered_item_by_item() -> None:
    desk, _ = depot()
    del desk.chargers["CP1"].says["SetVariableMonitoring"]
    desk.changed("CP2", linked=False)
    assert [one["status"] for one in set_all(desk, watch(SENSOR1), watch(SENSOR), watch(POWER))] == ["UnsupportedMonitorType", "Rejected", "Accepted"]


def test_clearing_finds_each_ones_owner_also_after_a_crash() -> None:
    desk, chargers = depot()
    ids = [one["id"] for one in set_all(desk, watch(SENSOR1), watch(POWER), watch(SENSOR))]
    desk = desk.again()
    found = desk.answer("ClearVariableMonitoring", {"id": [ids[2], 99, ids[0], ids[1]]})["clearMonitoringResult"]
    assert found == [
        {"id": ids[2], "status": "Accepted"},
        {"id": 99, "status": "NotFound"},
        {"id": ids[0], "status": "Accepted"},
        {"id": ids[1], "status": "Accepted"},
    ]
    assert chargers[0].monitors == chargers[1].monitors == {}
    found = desk.answer("ClearVariableMonitoring", {"id": ids})["clearMonitoringResult"]
    assert [one["status"] for one in found] == ["NotFound"] * 3


def test_base_and_level_reach_every_charger_once() -> None:
    desk, _ = depot()
    set_all(desk, watch(POWER))
    desk.changed("CP2", linked=False)
    assert desk.answer("SetMonitoringBase", {"monitoringBase": "FactoryDefault"}) == {"status": "Accepted"}
    assert desk.answer("SetMonitoringLevel", {"severity": 4}) == {"status": "Accepted"}
    assert desk.answer("SetMonitoringLevel", {"severity": 10})["status"] == "Rejected"
    site(desk, 60_000.0)
    desk.seconds(10)
    assert events(desk) == []  # the own monitor is gone
    desk = desk.again()
    desk.seconds(200)
    for station in ("CP1", "CP2"):
        assert desk.chargers[station].asked("SetMonitoringBase") == [{"monitoringBase": "FactoryDefault"}]
        assert desk.chargers[station].asked("SetMonitoringLevel") == [{"severity": 4}]


def test_events_above_the_level_are_not_told() -> None:
    desk, _ = depot()
    set_all(desk, watch(POWER, severity=5), watch(POWER, severity=4))
    desk.answer("SetMonitoringLevel", {"severity": 4})
    site(desk, 60_000.0)
    desk.seconds(3)
    assert [event["severity"] for event in events(desk)] == [4]


# -- GetMonitoringReport (N02) -----------------------------------------------------------------------------------


def monitors(desk: Desk, **request: Any) -> list[tuple[str, int]]:
    assert desk.answer("GetMonitoringReport", {"requestId": 8, **request}) == {"status": "Accepted"}
    assert "NotifyMonitoringReport" not in [action for action, _ in desk.said_before]
    desk.seconds(10)
    pages = desk.heard("NotifyMonitoringReport")
    assert [(page["requestId"], page["seqNo"]) for page in pages] == [(8, number) for number in range(len(pages))]
    assert [page["tbc"] for page in pages] == [True] * (len(pages) - 1) + [False]
    found = [one for page in pages for one in page["monitor"]]
    return [(one["component"].get("instance", ""), rule["id"]) for one in found for rule in one["variableMonitoring"]]


def test_the_report_joins_own_and_chargers_monitors_under_their_numbers() -> None:
    desk, _ = depot()
    one, two, own = (result["id"] for result in set_all(desk, watch(SENSOR1), watch(SENSOR), watch(POWER)))
    assert monitors(desk) == [("grid", own), ("CP1/door", one), ("CP2/door", two)]
    assert monitors(desk, componentVariable=[{"component": {"name": "TemperatureSensor", "instance": "CP2/door"}}]) == [("CP2/door", two)]


def test_criteria_choose_own_monitors() -> None:
    desk, _ = depot()
    up, delta, period = (result["id"] for result in set_all(desk, watch(POWER), watch(POWER, "Delta", 5), watch(POWER, "Periodic", 5)))
    assert monitors(desk, monitoringCriteria=["ThresholdMonitoring"]) == [("grid", up)]
    assert monitors(desk, monitoringCriteria=["DeltaMonitoring", "PeriodicMonitoring"]) == [("grid", delta), ("grid", period)]


def test_nothing_set_is_an_empty_result_set() -> None:
    desk, _ = depot()
    assert desk.answer("GetMonitoringReport", {"requestId": 8}) == {"status": "EmptyResultSet"}


def test_a_cleared_monitor_is_forgotten_and_one_that_could_not_be_cleared_is_not() -> None:
    desk, _ = depot()
    one, two = (result["id"] for result in set_all(desk, watch(SENSOR1), watch(SENSOR)))
    desk.changed("CP2", linked=False)
    found = desk.answer("ClearVariableMonitoring", {"id": [one, two]})["clearMonitoringResult"]
    assert [result["status"] for result in found] == ["Accepted", "Rejected"]
    desk.changed("CP2", linked=True)
    found = desk.answer("ClearVariableMonitoring", {"id": [one, two]})["clearMonitoringResult"]
    assert [result["status"] for result in found] == ["NotFound", "Accepted"]
    assert len(desk.chargers["CP1"].asked("ClearVariableMonitoring")) == 1


def test_a_change_right_after_the_monitor_was_set_is_an_event() -> None:
    desk, _ = depot()
    site(desk, 10_000.0)
    desk.seconds(2)
    set_all(desk, watch(POWER, "Delta", 1000.0))
    site(desk, 12_000.0)
    desk.seconds(2)
    assert [(event["trigger"], event["actualValue"]) for event in events(desk)] == [("Delta", "12000")]


def test_a_charger_that_invents_monitors_fills_no_disk() -> None:
    desk, _ = depot()
    ids = MonitorIds(desk.office)
    first = ids.of("CP1", 0)
    for number in range(1, MOST + 50):
        ids.of("CP1", number)
    assert len(desk.memory.get("monitors:ids:CP1")) == MOST
    assert ids.at(first) is None
    assert ids.of("CP1", MOST + 49) == ids.of("CP1", MOST + 49)
