"""Who is linked at a depot face, and what its sessions hear of the CSMS."""

from __future__ import annotations

import pytest

from tests.support.depot_book import DepotBook, site

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def book() -> DepotBook:
    book = DepotBook()
    book.open()
    book.boot()
    book.wait(5)
    book.up.clear()
    return book


def linked(book: DepotBook) -> list[str]:
    return [card.station_id for card in book.face.office.linked()]


def test_who_is_there_while_the_csms_is_there_is_linked(book: DepotBook) -> None:
    assert linked(book) == ["CP1", "CP2"]
    book.hang_up("CP1")
    assert linked(book) == ["CP2"]
    book.lose()
    assert linked(book) == []
    book.connect("CP1")
    book.open()
    assert linked(book) == ["CP1", "CP2"]


def test_a_queue_goes_up_without_its_station_which_cannot_be_asked_all_the_same(book: DepotBook) -> None:
    book.event("CP1", "Started", UUID, 0)
    book.lose()
    book.event("CP1", "Ended", UUID, 1)
    book.hang_up("CP1")
    book.open()
    book.wait(120)
    assert [told["eventType"] for told in book.heard("TransactionEvent")] == ["Started", "Ended"]
    assert linked(book) == ["CP2"]
    assert not book.rows


def test_a_handshake_waits_for_the_csms_only_so_long() -> None:
    book = DepotBook()
    book.start()
    book.connect("CP1")
    beat = book.say("CP1", "Heartbeat", {})
    assert beat is None  # the first dial of the depot is under way: its answer decides
    book.wait(5)
    assert any(isinstance(answer, dict) and "currentTime" in answer for answer in book.answers.values())
    assert book.say("CP1", "Heartbeat", {}) is not None  # from now on it is known that the CSMS is away


def test_one_that_is_seen_through_another_face_keeps_its_number_and_is_unavailable_here(book: DepotBook) -> None:
    junction = book.links.junction
    assert junction is not None
    book._settle(junction.of_face(book.at, book.face.release(book.at, "CP2")))
    book.wait(3)
    assert [(told["evseId"], told["connectorStatus"]) for told in book.heard("StatusNotification")] == [(2, "Unavailable")]
    assert [(known.number, known.configured) for known in book.face.view().numbers] == [(1, True), (2, False)]
    book._settle(junction.of_face(book.at, book.face.admit(book.at, book.config.stations[1])))
    assert [(known.number, known.configured) for known in book.face.view().numbers] == [(1, True), (2, True)]


def test_numbers_and_shapes_of_what_the_csms_sees() -> None:
    book = DepotBook(site(("CP1", "CP2"), evses=2))
    book.open()
    book.boot("CP1")
    shapes = book.face._surroundings("ocpp2.1").evses()
    seen = [(shape.evse_id, shape.connectors, shape.phases, shape.max_current_a) for shape in shapes]
    assert seen == [(number, 1, 3, 32.0) for number in (1, 2, 3, 4)]
    gone = book.restarted(site(("CP2",), evses=2))
    assert [shape.max_current_a for shape in gone.face._surroundings("ocpp2.1").evses()] == [0.0, 0.0, 32.0, 32.0]
