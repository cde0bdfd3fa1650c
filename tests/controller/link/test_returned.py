"""Messages that were given up and are sent again because the operator wants it (F22)."""

from __future__ import annotations

from dataclasses import replace

from controller.facts import OutboxRow, ParkedReturned
from controller.link.outbox import Outbox, Retry
from controller.orders import UpdateRow
from tests.support.playbook import Playbook, event

ONCE = Retry(attempts=1)


def row(number: int, transaction_id: str = "T1", parked: bool = False) -> OutboxRow:
    return OutboxRow(number, "CP1", transaction_id, "TransactionEvent", "[]", 0.0, parked=parked)


def test_a_returned_row_goes_before_the_later_ones_of_its_transaction() -> None:
    outbox = Outbox([row(1, parked=True), row(2), row(3, "T2")])
    assert (len(outbox), outbox.parked) == (2, 1)
    assert outbox.returned([row(1, parked=True)]) == (1,)
    assert (len(outbox), outbox.parked) == (3, 0)
    assert outbox.next(0.0) is None, "its text is read from the disk first"
    asked = outbox.to_load(0.0)
    assert asked == (1, 2, 3)
    outbox.loaded(asked, [row(1), row(2), row(3, "T2")])
    sent = []
    while (taken := outbox.next(0.0)) is not None:
        sent.append(taken.number)
        outbox.done(taken.number)
    assert sent == [1, 2, 3]


def test_it_is_not_sent_twice_when_the_disk_is_slow() -> None:
    outbox = Outbox([row(1, parked=True)])
    assert outbox.returned([row(1, parked=True)]) == (1,)
    assert outbox.returned([row(1, parked=True)]) == ()
    outbox.loaded(outbox.to_load(0.0), [row(1)])
    outbox.next(0.0)
    outbox.done(1)
    assert outbox.returned([row(1, parked=True)]) == (), "the disk shows it until the deletion is written"
    assert len(outbox) == 0


def test_it_may_be_given_up_and_returned_again() -> None:
    outbox = Outbox([row(1, parked=True)])
    for _ in range(3):
        assert outbox.returned([row(1, parked=True)]) == (1,)
        outbox.loaded(outbox.to_load(0.0), [row(1)])
        assert outbox.next(0.0) is not None
        assert outbox.failed(1, 0.0, ONCE) == (1, True), "with a fresh count of attempts"
        assert outbox.parked == 1


def test_a_parked_message_goes_up_again_and_leaves_the_disk() -> None:
    book = Playbook()
    book.connect(csms=False)
    book.station(2, "e1", "TransactionEvent", event("Started", 0))
    stored = next(iter(book.rows.values()))
    parked = replace(stored, parked=True, attempts=3)
    book.rows[stored.number] = parked
    other = book.restarted()
    other.connect()
    other.wait(5)
    assert not [text for text in other.sent_up if "TransactionEvent" in text]
    outcomes = other.feed(ParkedReturned(other.at, "CP1", (parked,)))
    assert UpdateRow(stored.number, 0, False) in outcomes
    assert [text for text in other.told() if "1 messages that were given up" in text]
    other.wait_until_up(10)
    frame = other.up()
    assert (frame[0], frame[2], frame[3]["seqNo"]) == (2, "TransactionEvent", 0)
    other.csms(3, frame[1], {})
    assert other.rows == {}
