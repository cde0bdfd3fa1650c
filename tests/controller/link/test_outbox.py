"""Order per transaction, retries, parking."""

from controller.facts import OutboxRow
from controller.link.outbox import RETRY_S, Outbox


def row(number: int, transaction_id: str = "T1") -> OutboxRow:
    return OutboxRow(number, "CP1", transaction_id, "TransactionEvent", "[]", 0.0)


def send(outbox: Outbox, now: float) -> int | None:
    taken = outbox.next(now)
    return taken.number if taken is not None else None


def test_rows_go_in_order_one_at_a_time() -> None:
    outbox = Outbox([row(2), row(1)])
    assert send(outbox, 0.0) == 1
    assert send(outbox, 0.0) is None
    assert outbox.done(1)
    assert send(outbox, 0.0) == 2


def test_a_failed_row_holds_back_its_own_transaction_only() -> None:
    outbox = Outbox([row(1, "T1"), row(2, "T1"), row(3, "T2")])
    assert send(outbox, 0.0) == 1
    outbox.failed(1, 0.0)
    assert send(outbox, 1.0) == 3
    outbox.done(3)
    assert send(outbox, 1.0) is None
    assert send(outbox, RETRY_S) == 1


def test_after_three_attempts_a_row_is_parked_and_the_next_one_goes() -> None:
    outbox = Outbox([row(1), row(2)])
    now = 0.0
    for attempt in (1, 2, 3):
        assert send(outbox, now) == 1
        failed = outbox.failed(1, now)
        assert failed is not None
        assert failed.attempts == attempt
        assert failed.parked is (attempt == 3)
        now += RETRY_S * attempt
    assert (len(outbox), outbox.parked) == (1, 1)
    assert send(outbox, now) == 2


def test_a_lost_connection_is_not_an_attempt() -> None:
    outbox = Outbox([row(1)])
    for _ in range(10):
        assert send(outbox, 0.0) == 1
        outbox.lost()
    assert len(outbox) == 1


def test_messages_without_a_transaction_do_not_wait_for_each_other() -> None:
    outbox = Outbox([row(1, ""), row(2, "")])
    assert send(outbox, 0.0) == 1
    outbox.failed(1, 0.0)
    assert send(outbox, 0.0) == 2


def test_a_row_acknowledged_twice_is_gone_once() -> None:
    outbox = Outbox([row(1)])
    assert outbox.done(1)
    assert not outbox.done(1)
    assert outbox.transactions() == set()
