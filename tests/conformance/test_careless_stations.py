"""Stations that are legal but odd, or a little wrong, on a CSMS of another version: what money and safety depend on arrives all the same.

In virtual time, with the whole engine; both ends judge every frame by the schemas of their version (``tests.support.translated``).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.translated import Translated

TIME = "2026-09-21T16:00:00"
EVSE = {"evse": {"id": 1, "connectorId": 1}}
TOKEN = {"idToken": {"idToken": "AABBCCDD", "type": "ISO14443"}}
TWO = [("ocpp2.0.1", "ocpp1.6"), ("ocpp2.1", "ocpp1.6"), ("ocpp2.1", "ocpp2.0.1"), ("ocpp2.0.1", "ocpp2.1")]


def world(station: str, csms: str) -> Translated:
    here = Translated(station, csms)
    here.at_csms["StartTransaction"] = lambda request: {"transactionId": 4711, "idTagInfo": {"status": "Accepted"}}
    return here


def wh(*values: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"timestamp": TIME + "Z", "sampledValue": [{"value": value, **more} for value in values]}]


def event(kind: str, seq: int, transaction: str = "tx-1", **more: Any) -> dict[str, Any]:
    info = {"transactionId": transaction, **more.pop("info", {})}
    trigger = more.pop("trigger", "Trigger")
    return {"eventType": kind, "timestamp": TIME + "Z", "triggerReason": trigger, "seqNo": seq, "transactionInfo": info, **more}


def told(here: Translated, payload: dict[str, Any], action: str = "TransactionEvent") -> list[tuple[str, dict[str, Any]]]:
    """What the CSMS heard of it; the station got a CALLRESULT and nothing was off."""
    answer = here.station_says(action, payload)
    assert answer is not None
    assert answer[0] == 3, answer
    assert here.faults == []
    return [(name, heard) for name, heard in here.to_csms if name not in ("StatusNotification", "NotifyChargingLimit", "Heartbeat")]


def registers(heard: list[tuple[str, dict[str, Any]]]) -> list[float]:
    """Every number the CSMS could take for the energy register."""
    found = []
    for _, payload in heard:
        for entry in payload.get("meterValue", payload.get("transactionData", [])):
            samples = [sample for sample in entry["sampledValue"] if sample.get("measurand", "Energy.Active.Import.Register").startswith("Energy")]
            found += [float(sample["value"]) for sample in samples]
    return found


@pytest.mark.parametrize(("station", "csms"), TWO)
def test_a_vendors_measurand_is_never_taken_for_the_energy_register(station: str, csms: str) -> None:
    here = world(station, csms)
    told(here, event("Started", 0, **EVSE, **TOKEN, meterValue=wh(1000)))
    odd = [*wh(5, measurand="Vendor.Temperature.Coolant"), *wh(1200, phase="L1-L2-L3"), *wh(1010)]
    assert registers(told(here, event("Updated", 1, meterValue=odd))) == [1010]
    assert registers(told(here, {"evseId": 2, "meterValue": wh(5, measurand="Vendor.X")}, "MeterValues")) == []


@pytest.mark.parametrize(("station", "csms"), TWO)
def test_an_empty_list_or_an_unknown_word_costs_no_transaction(station: str, csms: str) -> None:
    here = world(station, csms)
    told(here, event("Started", 0, **EVSE, **TOKEN, trigger="VendorBegin", meterValue=[{"timestamp": TIME + "Z", "sampledValue": []}, *wh(1000)]))
    told(here, event("Updated", 1, trigger="VendorUpdate", meterValue=[]))
    heard = told(here, event("Ended", 2, trigger="VendorEnd", info={"stoppedReason": "VendorReason"}, meterValue=wh(1500)))
    if csms == "ocpp1.6":
        assert [(name, payload["meterStop"]) for name, payload in heard] == [("StopTransaction", 1500)]
    else:
        assert [(payload["eventType"], payload["triggerReason"]) for _, payload in heard] == [("Ended", "Trigger")]


@pytest.mark.parametrize(("station", "csms"), TWO)
def test_a_boot_and_a_state_in_words_nobody_knows_arrive(station: str, csms: str) -> None:
    here = world(station, csms)
    answer = here.station_says("BootNotification", {"reason": "Brownout", "chargingStation": {"vendorName": "V", "model": "M"}})
    assert answer is not None
    assert answer[2]["status"] == "Accepted"
    for state, stamp in (("Charging", TIME + "Z"), ("Occupied", "")):
        answer = here.station_says("StatusNotification", {"timestamp": stamp, "connectorStatus": state, "evseId": 1, "connectorId": 1})
        assert answer is not None
        assert answer[0] == 3, answer
    assert here.faults == []


def test_energy_that_nobody_was_authorised_for_is_told_to_a_16_csms_at_the_end() -> None:
    here = world("ocpp2.0.1", "ocpp1.6")
    assert told(here, event("Started", 0, **EVSE, meterValue=wh(1000))) == []
    heard = dict(told(here, event("Ended", 1, meterValue=wh(1500))))
    assert (heard["StartTransaction"]["idTag"], heard["StartTransaction"]["meterStart"]) == ("ANONYMOUS", 1000)
    assert heard["StopTransaction"]["meterStop"] == 1500
    assert told(here, event("Started", 0, "tx-2", **EVSE, meterValue=wh(1500))) == []
    assert told(here, event("Ended", 1, "tx-2", meterValue=wh(1500))) == [], "a plug that was pulled again is no session"


def test_a_start_that_comes_behind_later_events_says_where_the_register_stood() -> None:
    here = world("ocpp2.0.1", "ocpp1.6")
    told(here, event("Updated", 3, offline=True, **EVSE, meterValue=wh(1100)))
    heard = dict(told(here, event("Started", 0, offline=True, **EVSE, **TOKEN, meterValue=wh(1000))))
    assert heard["StartTransaction"]["meterStart"] == 1000
    assert dict(told(here, event("Ended", 9, offline=True)))["StopTransaction"]["meterStop"] == 1100


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
@pytest.mark.parametrize("number", [777, 0, -1])
def test_a_16_stop_without_a_start_is_a_whole_transaction_above(csms: str, number: int) -> None:
    here = world("ocpp1.6", csms)
    heard = told(here, {"transactionId": number, "meterStop": 1500, "timestamp": TIME}, "StopTransaction")
    assert [(payload["eventType"], payload["seqNo"], payload["offline"]) for _, payload in heard] == [("Started", 0, True), ("Ended", 1, True)]
    assert registers(heard)[-1] == 1500


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
def test_a_16_station_with_numbers_as_texts_and_times_of_its_own(csms: str) -> None:
    here = world("ocpp1.6", csms)
    answer = here.station_says("StartTransaction", {"connectorId": "1", "idTag": 12345, "meterStart": "1000", "timestamp": "yesterday"})
    assert answer is not None
    number = answer[2]["transactionId"]
    values = [{"timestamp": TIME + ".1234567", "sampledValue": [{"value": "12,5"}, {"value": ""}, {"value": 1200, "unit": "Wh"}]}]
    assert registers(told(here, {"connectorId": 1, "transactionId": str(number), "meterValue": values}, "MeterValues")) == [1200]
    stop = {"transactionId": number, "meterStop": 1500.0, "timestamp": "", "reason": "", "idTag": "", "transactionData": []}
    heard = told(here, stop, "StopTransaction")
    assert heard[-1][1]["eventType"] == "Ended"
    assert registers(heard) == [1500]


@pytest.mark.parametrize(("station", "csms"), TWO)
def test_kilowatt_hours_as_16_writes_them_are_not_taken_for_watt_hours(station: str, csms: str) -> None:
    here = world(station, csms)
    told(here, event("Started", 0, **EVSE, **TOKEN, meterValue=wh(1.0, unit="kWh")))
    heard = told(here, event("Ended", 1, meterValue=wh(1.5, unitOfMeasure="kWh")))
    if csms == "ocpp1.6":
        assert heard[-1][1]["meterStop"] == 1500
    else:
        (sample,) = heard[-1][1]["meterValue"][0]["sampledValue"]
        assert (sample["value"], sample["unitOfMeasure"]["unit"]) == (1.5, "kWh")
    assert registers(told(here, event("Updated", 2, "tx-2", **EVSE, meterValue=wh(5, multiplier=3)))) == []


@pytest.mark.parametrize("station", ["ocpp2.0.1", "ocpp2.1"])
def test_an_event_without_a_time_that_is_told_again_is_the_same_event(station: str) -> None:
    """The CSMS has the stop and its answer is lost: what it gets again later is the same to the letter."""
    here = world(station, "ocpp1.6")
    told(here, event("Started", 0, **EVSE, **TOKEN, meterValue=wh(1000)))
    here.at_csms["StopTransaction"] = lambda request: None
    here.station_says("TransactionEvent", {**event("Ended", 1), "timestamp": "yesterday"}, patience_s=5)
    here.at_csms["StopTransaction"] = lambda request: {}
    here.seconds(400)
    first, again = here.heard_by_csms("StopTransaction")
    assert again == first


@pytest.mark.parametrize("csms", ["ocpp2.0.1", "ocpp2.1"])
def test_a_16_stop_without_a_time_that_is_told_again_is_the_same_event(csms: str) -> None:
    here = world("ocpp1.6", csms)
    begun = here.station_says("StartTransaction", {"connectorId": 1, "idTag": "GOOD", "meterStart": 1000, "timestamp": "yesterday"})
    assert begun is not None
    here.at_csms["TransactionEvent"] = lambda request: None
    stop = {"transactionId": begun[2]["transactionId"], "meterStop": 1500, "timestamp": "never", "reason": "Local"}
    here.station_says("StopTransaction", stop, patience_s=5)
    here.at_csms["TransactionEvent"] = lambda request: {}
    here.seconds(400)
    first, again = here.heard_by_csms("TransactionEvent")
    assert again == first
