"""Battery swap stations in a depot (S01-S04)."""

from __future__ import annotations

from tests.support.desk import TOKEN, asked, desk, says

ACCEPTED = {"status": "Accepted"}
BATTERY = {"evseId": 1, "serialNumber": "B1", "soC": 80, "soH": 95}


def test_a_request_goes_to_a_station_that_swaps() -> None:
    book = desk()
    request = {"requestId": 4, "idToken": TOKEN}
    assert book.csms("RequestBatterySwap", request)["status"] == "Rejected"
    says(book, "RequestBatterySwap", CP21=ACCEPTED)
    assert book.csms("RequestBatterySwap", request) == ACCEPTED
    assert asked(book, "CP21", "RequestBatterySwap")[-1] == request
    assert not asked(book, "CP20", "RequestBatterySwap")
    book.hang_up("CP21")
    assert book.csms("RequestBatterySwap", request)["statusInfo"]["reasonCode"] == "StationOffline"


def test_a_swap_goes_up_with_the_depots_numbers() -> None:
    book = desk()
    book.say("CP21", "BatterySwap", {"batteryData": [BATTERY], "eventType": "BatteryIn", "idToken": TOKEN, "requestId": 4})
    (told,) = book.heard("BatterySwap")
    assert told["batteryData"] == [{**BATTERY, "evseId": 4}]
