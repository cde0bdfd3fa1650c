"""AFRRSignal and NotifyAllowedEnergyTransfer at the depot face."""

from __future__ import annotations

from typing import Any

from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, site


def depot(**versions: str) -> DepotBook:
    book = DepotBook(site(("CP1", "CP2", "CP3")), "ocpp2.1", **versions)
    book.boot()
    book.open()
    book.wait(3)
    return book


def signal(book: DepotBook) -> Any:
    return book.csms("AFRRSignal", {"timestamp": timestamp(book.at.wall_s), "signal": 40})


def test_a_signal_nobody_listens_to_is_rejected() -> None:
    """Q08.FR.11."""
    book = depot(CP3="ocpp1.6")
    book.station_says["CP1"]["AFRRSignal"] = {"status": "Rejected"}
    answer = signal(book)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "NoSignalWattCurve")
    assert [name for name in book.stations if any(action == "AFRRSignal" for action, _ in book.down[name])] == ["CP1", "CP2"]


def test_one_charger_that_runs_such_a_schedule_is_enough() -> None:
    book = depot()
    book.station_says["CP2"]["AFRRSignal"] = {"status": "Accepted"}
    assert signal(book) == {"status": "Accepted"}


def test_an_allowed_service_goes_to_the_charger_of_the_transaction() -> None:
    book = depot()
    book.station_says["CP2"]["NotifyAllowedEnergyTransfer"] = {"status": "Accepted"}
    book.event("CP2", "Started", "tx-1", 0, idToken={"idToken": "AABBCCDD", "type": "ISO14443"})
    known = book.heard("TransactionEvent")[-1]["transactionInfo"]["transactionId"]
    allowed = {"transactionId": known, "allowedEnergyTransfer": ["AC_BPT"]}
    assert book.csms("NotifyAllowedEnergyTransfer", allowed) == {"status": "Accepted"}
    assert ("NotifyAllowedEnergyTransfer", {**allowed, "transactionId": "tx-1"}) in book.down["CP2"]
    assert book.down["CP1"] == [] or all(action != "NotifyAllowedEnergyTransfer" for action, _ in book.down["CP1"])
    assert book.csms("NotifyAllowedEnergyTransfer", {**allowed, "transactionId": "nobody"})["status"] == "Rejected"
