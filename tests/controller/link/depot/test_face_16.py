"""A depot of mixed chargers as one charge point of a 1.6 CSMS: connectorId n is EVSE n (16 3.8), one StartTransaction per session."""

from __future__ import annotations

from typing import Any

from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, site

OK = {"status": "Accepted"}
UUIDS = {"CP2": "0f8fad5b-d9cb-469f-a165-000000000002", "CP3": "0f8fad5b-d9cb-469f-a165-000000000003"}
CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}


def opened() -> DepotBook:
    """CP1 speaks 1.6, CP2 2.0.1, CP3 2.1; all free."""
    book = DepotBook(site(("CP1", "CP2", "CP3")), version="ocpp1.6", CP1="ocpp1.6", CP2="ocpp2.0.1", CP3="ocpp2.1")
    book.open()
    book.boot()
    book.wait(3)
    return book


def energy(book: DepotBook, value: float, context: str) -> list[dict[str, Any]]:
    sample = {"value": value, "context": context, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}
    return [{"timestamp": timestamp(book.at.wall_s), "sampledValue": [sample]}]


def starts(book: DepotBook) -> None:
    """A session at each charger."""
    when = timestamp(book.at.wall_s)
    assert book.say("CP1", "StartTransaction", {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 100, "timestamp": when})["transactionId"] > 0
    for name, uuid in UUIDS.items():
        values = energy(book, 200.0, "Transaction.Begin")
        info = {"chargingState": "Charging"}
        assert book.event(name, "Started", uuid, 0, trigger="Authorized", idToken=CARD, info=info, meterValue=values) == {"idTokenInfo": OK}


def test_the_station_and_each_charger_are_told() -> None:
    book = opened()
    assert book.heard("BootNotification")[0]["chargePointVendor"] == "Yardmaster"
    last = {told["connectorId"]: told["status"] for told in book.heard("StatusNotification")}
    assert last == {0: "Available", 1: "Available", 2: "Available", 3: "Available"}
    assert book.csms("GetConfiguration", {"key": ["NumberOfConnectors"]})["configurationKey"] == [
        {"key": "NumberOfConnectors", "readonly": True, "value": "3"}
    ]


def test_sessions_of_all_versions_over_a_power_cut() -> None:
    book = opened()
    starts(book)
    assert [(told["connectorId"], told["meterStart"]) for told in book.heard("StartTransaction")] == [(1, 100), (2, 200), (3, 200)]
    numbers = {1: 1001, 2: 1002, 3: 1003}  # as the CSMS gave them
    later = book.restarted()
    later.csms_says |= book.csms_says
    later.open()
    later.connect()
    later.wait(15)
    for name, uuid in UUIDS.items():
        values = energy(later, 900.0, "Transaction.End")
        stop = {"stoppedReason": "EVDisconnected"}
        assert later.event(name, "Ended", uuid, 1, evse_id=0, trigger="EVCommunicationLost", info=stop, meterValue=values) == {}
    later.wait(5)
    assert later.heard("StartTransaction") == []
    assert [(told["transactionId"], told["meterStop"]) for told in later.heard("StopTransaction")] == [(numbers[2], 900), (numbers[3], 900)]


def test_the_csms_stops_each_by_its_own_number() -> None:
    book = opened()
    starts(book)
    for name in book.stations:
        book.station_says[name] |= {"RemoteStopTransaction": OK, "RequestStopTransaction": OK}
        book.down[name].clear()
    assert book.csms("RemoteStopTransaction", {"transactionId": 1003}) == OK
    assert book.csms("RemoteStopTransaction", {"transactionId": 1001}) == OK
    assert book.csms("RemoteStopTransaction", {"transactionId": 999}) == {"status": "Rejected"}
    assert book.down["CP3"] == [("RequestStopTransaction", {"transactionId": UUIDS["CP3"]})]
    assert [action for action, _ in book.down["CP1"]] == ["RemoteStopTransaction"]
    assert book.down["CP2"] == []
