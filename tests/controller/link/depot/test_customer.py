"""What a depot knows of drivers: ClearCache and CustomerInformation (C11, N09, N10)."""

from __future__ import annotations

from controller.orders import ForgetDrivers
from tests.support.depot_book import DEPOT
from tests.support.desk import TOKEN, asked, desk, says

ACCEPTED = {"status": "Accepted"}
ASK = {"requestId": 3, "report": True, "clear": False, "idToken": TOKEN}


def test_the_cache_is_cleared_here_and_at_the_chargers() -> None:
    book = desk()
    says(book, "ClearCache", CP16=ACCEPTED, CP20={"status": "Rejected"}, CP21=ACCEPTED)
    answer = book.csms("ClearCache", {})
    assert answer["status"] == "Accepted"
    assert "CP20" in answer["statusInfo"]["additionalInfo"]
    assert ForgetDrivers(DEPOT) in book.outcomes
    assert asked(book, "CP16", "ClearCache") == [{}]


def test_what_the_csms_said_is_really_forgotten() -> None:
    book = desk()
    book.say("CP21", "Authorize", {"idToken": TOKEN})
    book.links.carry(ForgetDrivers(DEPOT), book.at)
    book.lose()
    assert book.say("CP21", "Authorize", {"idToken": TOKEN})["idTokenInfo"]["status"] != "Accepted"


def test_refused_by_policy() -> None:
    book = desk(clear_cache="refuse")
    assert book.csms("ClearCache", {})["status"] == "Rejected"
    assert not any(isinstance(outcome, ForgetDrivers) for outcome in book.outcomes)


def test_one_report_of_all_that_names_its_sources() -> None:
    book = desk()
    says(book, "CustomerInformation", CP20=ACCEPTED, CP21=ACCEPTED)
    answer = book.csms("CustomerInformation", ASK)
    assert answer["status"] == "Accepted"
    assert "CP16" in answer["statusInfo"]["additionalInfo"]
    first, second = asked(book, "CP20", "CustomerInformation")[0], asked(book, "CP21", "CustomerInformation")[0]
    stamp = "2026-09-21T14:00:00Z"
    page = {"seqNo": 0, "generatedAt": stamp}
    book.say("CP20", "NotifyCustomerInformation", {**page, "requestId": first["requestId"], "data": "x" * 512, "tbc": False})
    book.say("CP21", "NotifyCustomerInformation", {**page, "requestId": second["requestId"], "data": "two"})
    book.wait(2)
    pages = book.heard("NotifyCustomerInformation")
    assert [(page["requestId"], page["seqNo"], page["tbc"]) for page in pages] == [(3, 0, True), (3, 1, True), (3, 2, False)]
    assert "".join(page["data"] for page in pages) == "CP20: " + "x" * 512 + "CP21: two"


def test_nobody_who_knows() -> None:
    book = desk()
    says(book, "CustomerInformation", CP20={"status": "Invalid"})
    assert book.csms("CustomerInformation", ASK)["status"] == "Invalid"
    assert book.csms("CustomerInformation", {**ASK, "report": False})["status"] == "Rejected"
    book.hang_up()
    assert book.csms("CustomerInformation", ASK)["statusInfo"]["reasonCode"] == "StationOffline"
