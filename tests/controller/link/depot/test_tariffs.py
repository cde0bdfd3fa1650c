"""Tariffs and costs of a depot (I02, I07-I10)."""

from __future__ import annotations

from tests.support.depot_book import DepotBook, Payload
from tests.support.desk import UUID_A, asked, desk, says

ACCEPTED = {"status": "Accepted"}
TARIFF = {"tariffId": "T1", "currency": "EUR", "energy": {"prices": [{"priceKwh": 0.5}]}}


def two(version: str = "ocpp2.1") -> DepotBook:
    """CP20 speaks 2.1 here: it has two EVSEs."""
    book = desk(version)
    book.hang_up("CP20")
    book.stations["CP20"].version = "ocpp2.1"
    book.boot("CP20")
    book.wait(2)
    book.down["CP20"].clear()
    return book


def assignment(tariff_id: str, *evse_ids: int) -> Payload:
    return {"tariffId": tariff_id, "tariffKind": "DefaultTariff", **({"evseIds": list(evse_ids)} if evse_ids else {})}


def test_a_default_of_one_evse_and_of_all() -> None:
    book = two()
    says(book, "SetDefaultTariff", CP20=ACCEPTED, CP21=ACCEPTED)
    assert book.csms("SetDefaultTariff", {"evseId": 3, "tariff": TARIFF}) == ACCEPTED
    assert asked(book, "CP20", "SetDefaultTariff") == [{"evseId": 2, "tariff": TARIFF}]
    answer = book.csms("SetDefaultTariff", {"evseId": 0, "tariff": TARIFF})
    assert answer["status"] == "Accepted"
    assert "CP16" in answer["statusInfo"]["additionalInfo"]  # 1.6 knows no tariffs: that is said
    assert asked(book, "CP21", "SetDefaultTariff") == [{"evseId": 0, "tariff": TARIFF}]


def test_a_refusal_of_all_says_why_and_nothing_stands() -> None:
    book = desk()
    says(book, "SetDefaultTariff", CP21={"status": "ConditionNotSupported"})
    assert book.csms("SetDefaultTariff", {"evseId": 0, "tariff": TARIFF})["status"] == "ConditionNotSupported"
    book.hang_up("CP21")
    book.boot("CP21")
    book.wait(3)
    assert len(asked(book, "CP21", "SetDefaultTariff")) == 1


def test_a_charger_that_was_away_gets_the_default() -> None:
    book = two()
    says(book, "SetDefaultTariff", CP20=ACCEPTED, CP21=ACCEPTED)
    book.hang_up("CP21")
    book.csms("SetDefaultTariff", {"evseId": 0, "tariff": TARIFF})
    book.boot("CP21")
    book.wait(3)
    assert asked(book, "CP21", "SetDefaultTariff") == [{"evseId": 0, "tariff": TARIFF}]


def test_tariffs_are_listed_together() -> None:
    book = two()
    says(
        book,
        "GetTariffs",
        CP20={"status": "Accepted", "tariffAssignments": [assignment("T1", 1, 2), assignment("T2", 2)]},
        CP21={"status": "Accepted", "tariffAssignments": [assignment("T1")]},
    )
    answer = book.csms("GetTariffs", {"evseId": 0})
    assert answer["tariffAssignments"] == [assignment("T1", 2, 3, 4), assignment("T2", 3)]
    assert book.csms("GetTariffs", {"evseId": 3})["tariffAssignments"] == [assignment("T1", 2, 3), assignment("T2", 3)]
    assert asked(book, "CP20", "GetTariffs")[-1] == {"evseId": 2}


def test_no_tariff_anywhere() -> None:
    book = desk()
    says(book, "GetTariffs", CP21={"status": "NoTariff"})
    assert book.csms("GetTariffs", {"evseId": 0})["status"] == "NoTariff"
    says(book, "GetTariffs", CP21={"status": "Rejected"})
    answer = book.csms("GetTariffs", {"evseId": 0})  # 2.0.1 knows no tariffs, so it has none; but CP21 may have some
    assert "CP21" in answer["statusInfo"]["additionalInfo"]
    assert book.csms("GetTariffs", {"evseId": 4})["status"] == "Rejected"


def test_clearing_says_per_tariff_what_became_of_it() -> None:
    book = two()
    says(
        book,
        "ClearTariffs",
        CP20={"clearTariffsResult": [{"tariffId": "T1", "status": "Accepted"}, {"tariffId": "T2", "status": "NoTariff"}]},
        CP21={"clearTariffsResult": [{"tariffId": "T1", "status": "NoTariff"}, {"tariffId": "T2", "status": "NoTariff"}]},
    )
    answer = book.csms("ClearTariffs", {"tariffIds": ["T1", "T2"]})
    assert answer == {"clearTariffsResult": [{"tariffId": "T1", "status": "Accepted"}, {"tariffId": "T2", "status": "NoTariff"}]}


def test_a_cleared_default_does_not_come_back() -> None:
    book = two()
    says(book, "SetDefaultTariff", CP20=ACCEPTED, CP21=ACCEPTED)
    book.csms("SetDefaultTariff", {"evseId": 0, "tariff": TARIFF})
    book.hang_up("CP21")
    says(
        book,
        "ClearTariffs",
        CP20={"clearTariffsResult": [{"tariffId": "T1", "status": "Accepted"}]},
        CP21={"clearTariffsResult": [{"tariffId": "T1", "status": "Accepted"}]},
    )
    book.csms("ClearTariffs", {"tariffIds": ["T1"]})
    book.boot("CP21")
    book.wait(3)
    assert asked(book, "CP21", "ClearTariffs") == [{"tariffIds": ["T1"]}]
    assert len(asked(book, "CP21", "SetDefaultTariff")) == 1


def test_of_a_transaction() -> None:
    book = desk()
    says(book, "ChangeTransactionTariff", CP21=ACCEPTED)
    says(book, "CostUpdated", CP21={})
    book.event("CP21", "Started", UUID_A, 0)
    assert book.csms("ChangeTransactionTariff", {"transactionId": UUID_A, "tariff": TARIFF}) == ACCEPTED
    assert book.csms("ChangeTransactionTariff", {"transactionId": "?", "tariff": TARIFF})["status"] == "TxNotFound"
    assert book.csms("CostUpdated", {"transactionId": UUID_A, "totalCost": 1.5}) == {}
    assert asked(book, "CP21", "CostUpdated") == [{"transactionId": UUID_A, "totalCost": 1.5}]
    assert book.csms("CostUpdated", {"transactionId": "?", "totalCost": 1.5})[0] == "PropertyConstraintViolation"
