"""The CSMS's account: what is complete, what is missing, what nobody began."""

from __future__ import annotations

import json

import pytest

from controller.sim import wire
from controller.sim.books import ANSWERS, CsmsBooks, TransactionBook16
from tests.controller.sim.kit import DAY, stamp
from tests.support.schemas import check_response, example_request

START = {"connectorId": 1, "idTag": "X", "meterStart": 0, "timestamp": wire.iso(DAY)}
STOP = {"transactionId": 1001, "meterStop": 5, "timestamp": wire.iso(DAY + 60)}


def values(second: float, number: int = 1001) -> dict[str, object]:
    return {"connectorId": 1, "transactionId": number, "meterValue": [{"timestamp": wire.iso(DAY + second), "sampledValue": [{"value": "1"}]}]}


def told(*messages: tuple[str, dict[str, object]], now_s: float = 60.0) -> CsmsBooks:
    books = CsmsBooks()
    books.speaks("A1", "ocpp1.6")
    for number, (action, payload) in enumerate(messages):
        (answer,) = books.handle("A1", stamp(now_s), json.dumps([2, str(number), action, payload]))
        check_response(action, json.loads(answer)[2], "ocpp1.6")
    return books


def test_a_transaction_of_1_6_is_numbered_and_booked() -> None:
    books = told(("StartTransaction", START), ("MeterValues", values(20)), ("StopTransaction", STOP))
    (book,) = books.transactions.values()
    assert (book.transaction_id, book.complete, book.in_order, book.told_late) == ("1001", True, True, 2)
    assert books.running() == []


def test_a_reading_from_before_the_start_may_come_behind_it_but_no_older_message() -> None:
    """Readings taken when the car was plugged in come with the first message behind the start (16E 4.7: each value has its own time)."""
    early = values(-2)
    early["meterValue"] = [*values(-2)["meterValue"], *values(0)["meterValue"]]  # type: ignore[misc]
    (book,) = told(("StartTransaction", START), ("MeterValues", early), ("MeterValues", values(20))).transactions.values()
    assert book.in_order
    (book,) = told(("StartTransaction", START), ("MeterValues", values(-2))).transactions.values()
    assert not book.in_order


def test_a_start_told_again_has_the_same_number_and_another_has_another() -> None:
    books = told(("StartTransaction", START), ("StartTransaction", START), ("StartTransaction", {**START, "connectorId": 2}))
    assert [(book.transaction_id, book.duplicates) for book in books.transactions.values()] == [("1001", 1), ("1002", 0)]


def test_disorder_and_repeats_are_seen() -> None:
    books = told(("StartTransaction", START), ("MeterValues", values(20)), ("MeterValues", values(10)), ("MeterValues", values(10)))
    (book,) = books.transactions.values()
    assert isinstance(book, TransactionBook16)
    assert (book.in_order, book.duplicates, len(book.events)) == (False, 1, 3)
    late_start = told(("StartTransaction", START), ("StopTransaction", STOP), ("MeterValues", values(50)))
    assert not next(iter(late_start.transactions.values())).in_order


def test_messages_of_a_transaction_nobody_began_are_strays() -> None:
    assert len(told(("MeterValues", values(1, -1)), ("StopTransaction", STOP)).strays) == 2


def test_what_a_station_had_confirmed_and_the_csms_never_heard_is_named() -> None:
    books = told(("StartTransaction", START), ("MeterValues", values(20)))
    marks = [wire.mark(action, payload) for action, payload in (("StartTransaction", START), ("MeterValues", values(20)), ("StopTransaction", STOP))]
    assert books.unheard("A1", [mark or "" for mark in marks]) == [marks[2]]
    assert books.unheard("B2", [marks[0] or ""]) == [marks[0]]


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
def test_every_answer_is_valid(version: str) -> None:
    books = CsmsBooks()
    books.speaks("A1", version)
    for action in ANSWERS[version]:
        request = example_request(action, version, full=True)
        if action == "NotifyEvent":
            request["eventData"][0]["component"]["evse"] = {"id": 1}
        (answer,) = books.handle("A1", stamp(0), json.dumps([2, action, action, request], default=float))
        frame = json.loads(answer)
        assert frame[0] == 3, (action, frame)
        check_response(action, frame[2], version)


def test_words_of_another_version_are_not_understood() -> None:
    books = told(("Heartbeat", {}))
    assert '"NotImplemented"' in books.handle("A1", stamp(0), '[2,"1","TransactionEvent",{}]')[0]
    assert '"FormationViolation"' in books.handle("A1", stamp(0), '[2,"1","StartTransaction",{}]')[0]
    assert books.handle("A1", stamp(0), '[6,"1","NotifyPeriodicEventStream",{}]') == []
