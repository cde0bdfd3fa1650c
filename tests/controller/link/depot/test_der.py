"""DER controls at the depot face, as the CSMS and the chargers see them (R01-R05). Every frame is judged by the schemas (DepotBook)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config import Config
from controller.facts import EvseKey, GridControlled, PersistFailed
from controller.ocpp.times import timestamp
from tests.support.depot_book import DEPOT, DepotBook, site

SITE = EvseKey("", 0)
Payload = dict[str, Any]


def config() -> Config:
    """CP1 and CP2 may give back 11 kW and 4 kW; CP3 never."""
    evse = {"id": 1, "max_current_a": 32, "fallback_a": 6}
    upstream = {"id": "csms", "url": "ws://127.0.0.1:1/ocpp", "face": "depot", "identity": DEPOT, "depot": {"status_wait_s": 0, "site_values_s": 0}}
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 250, "worst_other_load_a": 10},
            "upstreams": [upstream],
            "stations": [
                {"id": "CP1", "evses": [{**evse, "v2g": {"max_discharge_w": 11_000}}]},
                {"id": "CP2", "evses": [{**evse, "v2g": {"max_discharge_w": 4_000}}]},
                {"id": "CP3", "evses": [evse]},
            ],
        }
    )


def variables(modes: dict[int, str]) -> Any:
    """A charger's GetVariables: DCDERCtrlr.ModesSupported of these EVSEs, nothing else."""

    def answer(request: Payload) -> Payload:
        results = []
        for asked in request["getVariableData"]:
            evse_id = asked["component"].get("evse", {}).get("id", 0)
            known = asked["component"]["name"] == "DCDERCtrlr" and asked["variable"]["name"] == "ModesSupported" and evse_id in modes
            found = {"attributeStatus": "Accepted", "attributeValue": modes[evse_id]} if known else {"attributeStatus": "UnknownComponent"}
            results.append({**found, "component": asked["component"], "variable": asked["variable"]})
        return {"getVariableResult": results}

    return answer


def depot(*capable: str, wait: bool = True, **versions: str) -> DepotBook:
    """A depot whose chargers are there; capable: those with an inverter that does frequency droop and curves."""
    book = DepotBook(config(), **versions)
    for name in capable:
        book.station_says[name] |= {
            "GetVariables": variables({1: "FreqDroop,VoltWatt,HFMustTrip, LimitMaxDischarge,FixedVar"}),
            "SetDERControl": {"status": "Accepted"},
            "ClearDERControl": {"status": "Accepted"},
        }
    book.boot()
    book.open()
    if wait:
        book.wait(5)
    return book


def limit(control_id: str, percent: float, priority: int = 5, **time: Any) -> Payload:
    body = {"priority": priority, "pctMaxDischargePower": percent, **time}
    return {"isDefault": not time, "controlId": control_id, "controlType": "LimitMaxDischarge", "limitMaxDischarge": body}


def droop(control_id: str, priority: int = 5, **time: Any) -> Payload:
    body = {"priority": priority, "overFreq": 50.2, "underFreq": 49.8, "overDroop": 5, "underDroop": 5, "responseTime": 2, **time}
    return {"isDefault": not time, "controlId": control_id, "controlType": "FreqDroop", "freqDroop": body}


def span(book: DepotBook, after_s: float, for_s: float) -> Payload:
    return {"startTime": timestamp(book.at.wall_s + after_s), "duration": for_s}


def told(book: DepotBook, key: EvseKey = SITE) -> tuple[float | None, str] | None:
    """What the site was told last."""
    found = [fact for fact in book.outcomes if isinstance(fact, GridControlled) and fact.evse == key]
    return (found[-1].max_discharge_w, found[-1].control) if found else None


def got(book: DepotBook, name: str, action: str) -> list[Payload]:
    return [payload for known, payload in book.down[name] if known == action]


def turns(book: DepotBook) -> list[tuple[str, bool, tuple[str, ...]]]:
    return [(one["controlId"], one["started"], tuple(one.get("supersededIds", ()))) for one in book.heard("NotifyDERStartStop")]


# -- LimitMaxDischarge: executed by the site -----------------------------------------------------------------


def test_a_limit_is_a_part_of_all_ratings_and_durable_before_it_is_accepted() -> None:
    """40 % of 11 kW + 4 kW is 6 kW."""
    book = depot()
    assert book.csms("SetDERControl", limit("17", 40)) == {"status": "Accepted"}
    assert told(book) == (6_000.0, "DER LimitMaxDischarge 17")
    again = book.restarted()
    again.wait(2)
    assert told(again) == (6_000.0, "DER LimitMaxDischarge 17")


def test_to_nothing_and_back() -> None:
    book = depot()
    book.csms("SetDERControl", limit("a", 0))
    assert told(book) == (0.0, "DER LimitMaxDischarge a")
    assert book.csms("ClearDERControl", {"isDefault": True, "controlId": "a"}) == {"status": "Accepted"}
    assert told(book) == (None, "")


def test_the_disk_refuses() -> None:
    book = depot()
    book.csms("SetDERControl", limit("16", 90))
    write = book._write
    book._write = lambda order: PersistFailed(book.at, order.token, "disk full")  # type: ignore[assignment, method-assign, return-value]
    answer = book.csms("SetDERControl", limit("17", 40))
    assert isinstance(answer, tuple)
    assert answer[0] == "InternalError"
    book._write = write  # type: ignore[method-assign]
    book.wait(2)
    assert told(book) == (13_500.0, "DER LimitMaxDischarge 16")
    assert book.csms("GetDERControl", {"requestId": 1, "controlId": "17"}) == {"status": "NotFound"}
    assert book.csms("GetDERControl", {"requestId": 2, "controlId": "16"}) == {"status": "Accepted"}


def test_a_scheduled_limit_starts_and_ends_and_the_default_holds_around_it() -> None:
    book = depot()
    book.csms("SetDERControl", limit("always", 50))
    book.csms("SetDERControl", limit("noon", 10, **span(book, 10, 20)))
    assert told(book) == (7_500.0, "DER LimitMaxDischarge always")
    book.wait(11)
    assert told(book) == (1_500.0, "DER LimitMaxDischarge noon")
    book.wait(20)
    assert told(book) == (7_500.0, "DER LimitMaxDischarge always")
    assert turns(book) == [("noon", True, ()), ("noon", False, ())]


def test_the_stronger_one_takes_over_at_its_start_and_the_weaker_one_never_comes_back() -> None:
    """R04.FR.07, FR.09, FR.21: B [0, 100] is taken over by A [20, 40]; after A there is the default, not B."""
    book = depot()
    book.csms("SetDERControl", limit("default", 90))
    book.csms("SetDERControl", limit("b", 50, 5, **span(book, 0, 100)))
    book.wait(2)
    assert book.csms("SetDERControl", limit("a", 20, 1, **span(book, 18, 20))) == {"status": "Accepted"}
    book.wait(10)
    assert told(book) == (7_500.0, "DER LimitMaxDischarge b")
    book.wait(10)
    assert told(book) == (3_000.0, "DER LimitMaxDischarge a")
    book.wait(20)
    assert told(book) == (13_500.0, "DER LimitMaxDischarge default")
    book.wait(70)
    assert turns(book) == [("b", True, ()), ("a", True, ("b",)), ("a", False, ())]


def test_what_happened_while_the_power_was_away_is_caught_up() -> None:
    book = depot()
    book.csms("SetDERControl", limit("b", 50, 5, **span(book, 0, 300)))
    book.wait(2)
    book.csms("SetDERControl", limit("a", 20, 1, **span(book, 10, 20)))
    again = book.restarted()
    again.mono_s += 60
    again.boot()
    again.open()
    again.wait(3)
    # A began and ended meanwhile: B is superseded since, and nothing is in force. What never ran here is no news.
    assert told(again) is None
    assert turns(again) == []


def test_news_wait_for_a_csms_that_is_away() -> None:
    book = depot()
    book.csms("SetDERControl", limit("a", 20, 1, **span(book, 5, 10)))
    begun_wall_s = book.at.wall_s + 5
    book.lose()
    book.wait(30)
    assert turns(book) == []
    book.open()
    book.wait(3)
    assert turns(book) == [("a", True, ()), ("a", False, ())]
    assert [one["timestamp"] for one in book.heard("NotifyDERStartStop")] == [timestamp(begun_wall_s), timestamp(begun_wall_s + 10)]


def test_without_a_car_that_may_give_back_a_limit_is_not_supported() -> None:
    book = DepotBook(site())
    book.boot()
    book.open()
    assert book.csms("SetDERControl", limit("1", 0))["status"] == "NotSupported"


# -- everything else: executed by chargers ----------------------------------------------------------------------


def test_a_type_nobody_executes_is_not_supported() -> None:
    book = depot()
    assert book.csms("SetDERControl", droop("d"))["status"] == "NotSupported"
    assert book.csms("GetDERControl", {"requestId": 3, "controlType": "FreqDroop"})["status"] == "NotSupported"
    assert book.csms("ClearDERControl", {"isDefault": True, "controlType": "FreqDroop"})["status"] == "NotSupported"


def test_a_control_goes_to_capable_chargers_unchanged_under_ids_of_their_own() -> None:
    book = depot("CP1", "CP2")
    var = {"isDefault": True, "controlId": "v", "controlType": "FixedVar", "fixedVar": {"priority": 1, "setpoint": -30.5, "unit": "PctMaxVar"}}
    assert book.csms("SetDERControl", var) == {"status": "Accepted"}
    book.wait(2)
    first, second = got(book, "CP1", "SetDERControl"), got(book, "CP2", "SetDERControl")
    assert [one["fixedVar"] for one in first + second] == [var["fixedVar"]] * 2  # trap 24: the sign is the sender's
    assert len({"v", first[0]["controlId"], second[0]["controlId"]}) == 3
    assert got(book, "CP3", "SetDERControl") == []
    book.wait(100)
    assert len(got(book, "CP1", "SetDERControl")) == 1


def test_a_charger_that_comes_later_gets_what_is_in_force_and_loses_what_was_cleared() -> None:
    book = depot("CP1", "CP2")
    book.csms("SetDERControl", droop("one"))
    book.wait(2)
    book.hang_up("CP2")
    book.csms("SetDERControl", droop("two", 1))
    book.csms("ClearDERControl", {"isDefault": True, "controlId": "one"})
    book.wait(2)
    cleared = got(book, "CP1", "ClearDERControl")
    assert [one["controlId"] for one in cleared] == [got(book, "CP1", "SetDERControl")[0]["controlId"]]
    again = book.restarted()
    again.station_says = book.station_says
    again.boot("CP2")
    again.open()
    again.wait(5)
    old, new = got(book, "CP2", "SetDERControl"), got(again, "CP2", "SetDERControl")
    assert [one["controlId"] for one in got(again, "CP2", "ClearDERControl")] == [old[0]["controlId"]]
    assert [one["freqDroop"]["priority"] for one in new] == [1]


def test_a_superseded_control_is_not_brought_to_chargers() -> None:
    book = depot("CP1")
    book.csms("SetDERControl", droop("strong", 1))
    assert book.csms("SetDERControl", droop("weak", 2)) == {"status": "Accepted", "supersededIds": ["weak"]}
    book.wait(3)
    assert [one["freqDroop"]["priority"] for one in got(book, "CP1", "SetDERControl")] == [1]


def test_a_charger_that_refuses_is_named_and_one_that_is_silent_is_asked_again() -> None:
    book = depot("CP1", "CP2")
    book.station_says["CP1"]["SetDERControl"] = {"status": "Rejected"}
    book.station_says["CP2"]["SetDERControl"] = {"error": "GenericError"}
    book.csms("SetDERControl", droop("d"))
    book.wait(100)
    assert len(got(book, "CP1", "SetDERControl")) == 1
    assert any("did not take the DER control d" in text for text in book.told)


def test_first_start_and_last_end_are_one_notice_each() -> None:
    book = depot("CP1", "CP2")
    book.csms("SetDERControl", droop("d", 3, **span(book, 20, 30)))
    book.wait(2)
    ids = {name: got(book, name, "SetDERControl")[0]["controlId"] for name in ("CP1", "CP2")}
    book.wait(16)

    def says(name: str, started: bool) -> None:
        now = timestamp(book.at.wall_s)
        assert book.say(name, "NotifyDERStartStop", {"controlId": ids[name], "started": started, "timestamp": now}) == {}

    says("CP1", True)  # its clock is 2 s ahead
    book.wait(1)
    assert turns(book) == [("d", True, ())]
    says("CP2", True)
    book.wait(30)
    says("CP1", False)
    book.wait(4)
    assert turns(book) == [("d", True, ())]  # CP2 still executes it
    says("CP2", False)
    book.wait(2)
    assert turns(book) == [("d", True, ()), ("d", False, ())]


def test_a_charger_that_never_ends_a_control_is_waited_for_no_longer_than_a_grace() -> None:
    book = depot("CP1")
    book.csms("SetDERControl", droop("d", 3, **span(book, 5, 10)))
    book.wait(7)
    own = got(book, "CP1", "SetDERControl")[0]["controlId"]
    book.say("CP1", "NotifyDERStartStop", {"controlId": own, "started": True, "timestamp": timestamp(book.at.wall_s)})
    book.wait(30)
    assert turns(book) == [("d", True, ())]
    book.wait(12)
    assert turns(book) == [("d", True, ()), ("d", False, ())]


# -- alarms (R05) ----------------------------------------------------------------------------------------------------------


def alarm(book: DepotBook, name: str, kind: str, fault: str, ended: bool = False) -> None:
    payload = {"controlType": kind, "gridEventFault": fault, "timestamp": timestamp(book.at.wall_s), **({"alarmEnded": True} if ended else {})}
    assert book.say(name, "NotifyDERAlarm", payload) == {}
    book.wait(1)


def alarms(book: DepotBook) -> list[tuple[str, str, bool]]:
    return [(one["controlType"], one.get("gridEventFault", ""), one.get("alarmEnded", False)) for one in book.heard("NotifyDERAlarm")]


def test_alarms_of_chargers_are_one_alarm() -> None:
    book = depot("CP1", "CP2")
    alarm(book, "CP1", "VoltWatt", "OverVoltage")
    alarm(book, "CP2", "VoltWatt", "OverVoltage")
    assert alarms(book) == [("VoltWatt", "OverVoltage", False)]
    alarm(book, "CP2", "HFMustTrip", "OverFrequency")  # takes over, without an end of the first (R05.FR.03/04)
    alarm(book, "CP2", "HFMustTrip", "OverFrequency", ended=True)  # CP1 is still in the first one
    assert alarms(book)[1:] == [("HFMustTrip", "OverFrequency", False), ("VoltWatt", "OverVoltage", False)]
    alarm(book, "CP1", "VoltWatt", "OverVoltage", ended=True)
    assert alarms(book)[3:] == [("VoltWatt", "OverVoltage", True)]


def test_an_alarm_that_another_charger_still_has_goes_on() -> None:
    book = depot("CP1", "CP2", "CP3")
    alarm(book, "CP1", "VoltWatt", "OverVoltage")
    alarm(book, "CP2", "HFMustTrip", "OverFrequency")
    alarm(book, "CP3", "VoltWatt", "OverVoltage")
    begin = len(alarms(book))
    alarm(book, "CP3", "VoltWatt", "OverVoltage", ended=True)
    assert alarms(book)[begin:] == []  # it was told last, and CP1 has it


def test_an_alarm_of_a_charger_that_stays_away_ends() -> None:
    book = depot("CP1")
    alarm(book, "CP1", "VoltWatt", "OverVoltage")
    book.hang_up("CP1")
    book.wait(890)
    assert len(alarms(book)) == 1
    book.wait(20)
    assert alarms(book)[-1] == ("VoltWatt", "OverVoltage", True)


# -- answers ---------------------------------------------------------------------------------------------------------------


def test_reports_come_after_the_answer_in_pages() -> None:
    book = depot("CP1")
    for number in range(20):
        book.csms("SetDERControl", limit(f"l{number}", number, **span(book, 100 + number, 10)))
    for number in range(8):
        book.csms("SetDERControl", droop(f"d{number}", number))
    assert book.csms("GetDERControl", {"requestId": 42}) == {"status": "Accepted"}
    book.wait(2)
    reports = book.heard("ReportDERControl")
    assert [one["requestId"] for one in reports] == [42] * len(reports)
    assert [one.get("tbc") for one in reports] == [True] * (len(reports) - 1) + [False]
    found = [(entry["id"], entry["isSuperseded"]) for one in reports for key in ("limitMaxDischarge", "freqDroop") for entry in one.get(key, ())]
    assert sorted(found) == sorted([(f"l{number}", False) for number in range(20)] + [(f"d{number}", number > 0) for number in range(8)])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"isDefault": True, "controlId": "nobody"}, "NotFound"),
        ({"isDefault": False, "controlId": "x"}, "NotFound"),  # it is a default (R04.FR.42)
        ({"isDefault": False, "controlType": "LimitMaxDischarge"}, "NotFound"),  # FR.41
        ({"isDefault": True, "controlType": "VoltVar"}, "NotSupported"),  # FR.43
        ({"isDefault": False}, "Accepted"),  # FR.44: also when there is none
        ({"isDefault": True, "controlType": "LimitMaxDischarge"}, "Accepted"),  # FR.45
        ({"isDefault": True, "controlId": "x", "controlType": "VoltVar"}, "Accepted"),  # the type is not used beside an id
    ],
)
def test_clearing(request_: Payload, status: str) -> None:
    book = depot()
    book.csms("SetDERControl", limit("x", 30))
    assert book.csms("ClearDERControl", request_)["status"] == status


@pytest.mark.parametrize(
    "broken",
    [
        {"limitMaxDischarge": None},  # no body
        {"freqDroop": droop("d")["freqDroop"]},  # two bodies
        {"controlType": "FreqDroop"},  # a body of another type
        {"limitMaxDischarge": {"priority": 1, "pctMaxDischargePower": 101}},
        {"limitMaxDischarge": {"priority": 1}},
        {"limitMaxDischarge": {"priority": 1, "pctMaxDischargePower": 5, "startTime": "2027-01-01T00:00:00Z", "duration": 5}},  # default with a time
        {"isDefault": False},  # scheduled without one
    ],
)
def test_what_does_not_fit_is_rejected_and_changes_nothing(broken: Payload) -> None:
    book = depot("CP1")
    request = {key: value for key, value in {**limit("x", 30), **broken}.items() if value is not None}
    answer = book.csms("SetDERControl", request)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] in ("InvalidValue", "MissingParam")
    assert book.csms("GetDERControl", {"requestId": 1}) == {"status": "NotFound"}


def test_an_evse_whose_charger_executes_the_limit_itself_is_bounded_by_itself() -> None:
    book = depot("CP1")
    book.csms("SetDERControl", limit("17", 50))
    assert told(book) == (7_500.0, "DER LimitMaxDischarge 17")
    assert told(book, EvseKey("CP1", 1)) == (5_500.0, "DER LimitMaxDischarge 17")
    assert told(book, EvseKey("CP2", 1)) is None


def test_the_depots_own_model_says_what_it_executes() -> None:
    """What is Supported is what SetDERControl takes: the site's own and the chargers'."""

    def modes(book: DepotBook) -> Any:
        asked = [{"component": {"name": "DCDERCtrlr"}, "variable": {"name": "ModesSupported"}}]
        return book.csms("GetVariables", {"getVariableData": asked})["getVariableResult"][0].get("attributeValue")

    assert modes(depot()) == "LimitMaxDischarge"
    assert modes(depot("CP1")) == "FixedVar,FreqDroop,HFMustTrip,LimitMaxDischarge,VoltWatt"
