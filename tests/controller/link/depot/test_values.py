"""Meter values of chargers and of the site."""

from __future__ import annotations

from typing import Any

import pytest

from controller.link.depot.values import MOST_WAITING, site_samples
from controller.ocpp.times import timestamp
from controller.orders import AnnounceSite
from tests.support.depot_book import DepotBook, site


def opened(config: Any = None, **more: Any) -> DepotBook:
    book = DepotBook(config, **more)
    book.open()
    book.boot()
    book.wait(2)
    book.up.clear()
    return book


def reading(book: DepotBook, value: float, evse_id: int = 1, **more: Any) -> dict[str, Any]:
    return {"evseId": evse_id, "meterValue": [{"timestamp": timestamp(book.at.wall_s), "sampledValue": [{"value": value, **more}]}]}


def told(book: DepotBook) -> list[tuple[int, list[float]]]:
    return [
        (payload["evseId"], [sample["value"] for value in payload["meterValue"] for sample in value["sampledValue"]])
        for payload in book.heard("MeterValues")
    ]


# -- chargers --------------------------------------------------------------------------------------------


def test_each_as_it_comes_and_answered_by_the_csms() -> None:
    book = opened(site(("CP1", "CP2"), evses=2))
    assert book.say("CP2", "MeterValues", reading(book, 5.0, evse_id=2)) == {}
    assert told(book) == [(4, [5.0])]


def test_waiting_ones_are_answered_when_they_are_on_disk_and_go_up_together() -> None:
    book = opened(site(values_batch_s=30))
    for value in (1.0, 2.0, 3.0):
        assert book.say("CP1", "MeterValues", reading(book, value)) == {}
        assert any(key == "values:1" for _, key in book.memories)
        book.wait(5)
    assert not told(book)
    book.wait(20)
    assert told(book) == [(1, [1.0, 2.0, 3.0])]
    book.wait(60)
    assert len(told(book)) == 1
    assert ("hub:depot:csms", "values:1") not in book.memories


def test_what_waits_outlives_a_power_cut() -> None:
    book = opened(site(values_batch_s=30))
    book.say("CP1", "MeterValues", reading(book, 1.0))
    again = book.restarted()
    again.open()
    again.wait(40)
    assert told(again) == [(1, [1.0])]


def test_what_the_csms_did_not_take_is_sent_again_and_what_it_refuses_is_not() -> None:
    book = opened(site(values_batch_s=5))
    book.csms_says["MeterValues"] = {"error": "InternalError"}
    book.say("CP1", "MeterValues", reading(book, 1.0))
    book.wait(10)
    book.csms_says["MeterValues"] = {}
    book.wait(60)
    assert told(book) == [(1, [1.0]), (1, [1.0])]
    book.csms_says["MeterValues"] = {"error": "NotImplemented"}
    book.say("CP1", "MeterValues", reading(book, 2.0))
    book.wait(100)
    assert told(book)[2:] == [(1, [2.0])]


def test_more_than_may_wait_are_thinned_and_signed_ones_never() -> None:
    book = opened(site(values_batch_s=900))
    blob = {"signedMeterData": "AA==", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
    book.say("CP1", "MeterValues", reading(book, 0.5, signedMeterValue=blob))
    for value in range(1, MOST_WAITING + 20):
        book.say("CP1", "MeterValues", reading(book, float(value)))
    kept = book.face.office.memory.get("values:1")
    assert len(kept) <= MOST_WAITING
    assert kept[0]["sampledValue"][0]["signedMeterValue"] == blob
    assert kept[-1]["sampledValue"][0]["value"] == MOST_WAITING + 19.0


def test_the_main_meter_of_a_charger_is_never_the_site_s() -> None:
    single = opened()
    single.say("CP2", "MeterValues", reading(single, 1.0, evse_id=0))
    assert told(single) == [(2, [1.0])]  # all of a charger with one EVSE is that EVSE
    double = opened(site(("CP1", "CP2"), evses=2))
    assert double.say("CP2", "MeterValues", reading(double, 1.0, evse_id=0)) == {}
    assert not told(double)


def test_values_of_an_evse_that_the_site_file_lacks_are_refused() -> None:
    book = opened()
    assert book.say("CP1", "MeterValues", reading(book, 1.0, evse_id=2))[0] == "PropertyConstraintViolation"


# -- the site ------------------------------------------------------------------------------------------------

SITE = AnnounceSite(-4600.0, (10.0, -20.0, None), 231.0, 1_234_567.0, 8900.0, 63.0, "fuse", 22_000.0)


def test_the_site_is_evse_0_with_its_meter_upstream() -> None:
    book = opened(site(site_values_s=60))
    book.links.carry(SITE, book.at)
    book.wait(2)
    (payload,) = book.heard("MeterValues")
    assert payload["evseId"] == 0
    samples = payload["meterValue"][0]["sampledValue"]
    assert {(known["measurand"], known.get("phase"), known["value"]) for known in samples} == {
        ("Power.Active.Export", None, 4600.0),
        ("Current.Import", "L1", 10.0),
        ("Current.Export", "L2", 20.0),
        ("Voltage", None, 231.0),
        ("Energy.Active.Import.Register", None, 1_234_567.0),
        ("Energy.Active.Export.Register", None, 8900.0),
    }
    assert {known["location"] for known in samples} == {"Upstream"}
    book.wait(58)
    assert len(book.heard("MeterValues")) == 1
    book.wait(3)
    assert len(book.heard("MeterValues")) == 2


@pytest.mark.parametrize("every_s", [0])
def test_never_where_nobody_wants_it(every_s: float) -> None:
    book = opened(site(site_values_s=every_s))
    book.links.carry(SITE, book.at)
    book.wait(100)
    assert not book.heard("MeterValues")


def test_nothing_is_told_of_a_meter_that_is_lost() -> None:
    assert site_samples(AnnounceSite(None, (None, None, None), None, None, None, 63.0, "fuse", 0.0)) == []


def test_location_upstream_is_no_word_of_201() -> None:
    book = opened(site(site_values_s=60), version="ocpp2.0.1")
    book.links.carry(SITE, book.at)
    book.wait(2)
    (payload,) = book.heard("MeterValues")
    assert payload["evseId"] == 0
    assert {known.get("location") for known in payload["meterValue"][0]["sampledValue"]} == {"Inlet"}
