"""Boots and heartbeats of chargers are answered here; the CSMS hears the depot's own."""

from __future__ import annotations

from controller.link.depot.boot import HEARTBEAT_S, depot_boot
from controller.ocpp.times import wall_time
from tests.support.depot_book import DepotBook, site

BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "ACME", "model": "Two", "firmwareVersion": "7"}}


def test_a_charger_is_accepted_with_the_real_time() -> None:
    book = DepotBook()
    book.open()
    book.connect("CP1")
    answer = book.say("CP1", "BootNotification", BOOT)
    assert (answer["status"], answer["interval"]) == ("Accepted", HEARTBEAT_S)
    told_s = wall_time(answer["currentTime"])
    assert told_s is not None
    assert abs(told_s - book.at.wall_s) < 1.0
    beat = book.say("CP1", "Heartbeat", {})
    assert wall_time(beat["currentTime"]) == told_s
    assert len(book.heard("BootNotification")) == 1
    assert not book.heard("Heartbeat")


def test_what_it_said_of_itself_outlives_a_restart() -> None:
    book = DepotBook()
    book.open()
    book.connect("CP1")
    book.say("CP1", "BootNotification", BOOT)
    book.wait(2)
    assert book.restarted().face.office.cards["CP1"].boot == BOOT["chargingStation"]


def test_the_depot_s_own_boot_is_what_the_site_file_says() -> None:
    book = DepotBook(site(vendor_name="Harbour", model="Quay 4", serial_number="Q4-1"))
    book.start()
    told = depot_boot(book.face.office, "9.9", "PowerUp")
    assert told == {
        "reason": "PowerUp",
        "chargingStation": {"vendorName": "Harbour", "model": "Quay 4", "serialNumber": "Q4-1", "firmwareVersion": "9.9"},
    }
