"""Order per transaction, retries, parking, pages of texts, thinning."""

from dataclasses import replace

from controller.facts import OutboxRow
from controller.link.outbox import LOAD_AGAIN_S, PAGE, SILENT_RETRY_S, Outbox, Retry

RETRY = Retry(3, 30.0)


def row(number: int, transaction_id: str = "T1", **more: object) -> OutboxRow:
    return replace(OutboxRow(number, "CP1", transaction_id, "TransactionEvent", "[]", 0.0), **more)


def send(outbox: Outbox, now: float = 0.0, version: str = "") -> int | None:
    taken = outbox.next(now, version)
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
    outbox.failed(1, 0.0, RETRY)
    assert send(outbox, 1.0) == 3
    outbox.done(3)
    assert send(outbox, 1.0) is None
    assert send(outbox, 30.0) == 1


def test_after_its_attempts_a_row_is_parked_and_the_next_one_goes() -> None:
    outbox = Outbox([row(1), row(2)])
    now = 0.0
    for attempt in (1, 2, 3):
        assert send(outbox, now) == 1
        assert outbox.failed(1, now, RETRY) == (attempt, attempt == 3)
        assert send(outbox, now + 30.0 * attempt - 0.1) == (2 if attempt == 3 else None)
        now += 30.0 * attempt
    assert (len(outbox), outbox.parked) == (1, 1)


def test_attempts_before_a_restart_count() -> None:
    outbox = Outbox([row(1, attempts=2)])
    assert send(outbox) == 1
    assert outbox.failed(1, 0.0, RETRY) == (3, True)


def test_a_lost_connection_is_not_an_attempt() -> None:
    outbox = Outbox([row(1)])
    for _ in range(10):
        assert send(outbox, 0.0) == 1
        outbox.lost()
    assert len(outbox) == 1


def test_silence_is_no_attempt_and_waits() -> None:
    outbox = Outbox([row(1), row(2)])
    assert send(outbox) == 1
    outbox.silent(1, 0.0)
    assert send(outbox, SILENT_RETRY_S - 1.0) is None
    assert send(outbox, SILENT_RETRY_S) == 1
    assert outbox.failed(1, 100.0, RETRY) == (1, False)


def test_messages_without_a_transaction_do_not_wait_for_each_other() -> None:
    outbox = Outbox([row(1, ""), row(2, "")])
    assert send(outbox, 0.0) == 1
    outbox.failed(1, 0.0, RETRY)
    assert send(outbox, 0.0) == 2


def test_a_row_acknowledged_twice_is_gone_once() -> None:
    outbox = Outbox([row(1)])
    assert outbox.done(1)
    assert not outbox.done(1)
    assert outbox.failed(1, 0.0, RETRY) is None
    assert outbox.transactions() == set()


def test_parked_rows_are_counted_and_not_sent() -> None:
    outbox = Outbox([row(1, parked=True), row(2)])
    assert (len(outbox), outbox.parked, send(outbox)) == (1, 1, 2)


# -- versions -------------------------------------------------------------------------------------------


def test_a_row_in_another_version_waits_for_another_leg() -> None:
    outbox = Outbox([row(1, version="ocpp1.6"), row(2, "T2", version="ocpp2.0.1"), row(3, "T3")])
    assert send(outbox, version="ocpp2.0.1") == 2
    outbox.done(2)
    assert send(outbox, version="ocpp2.0.1") == 3
    outbox.done(3)
    assert send(outbox, version="ocpp2.0.1") is None
    assert not outbox.speaks("ocpp2.0.1")
    assert outbox.versions() == ["ocpp1.6"]
    assert send(outbox, version="ocpp1.6") == 1


# -- pages ------------------------------------------------------------------------------------------------


def filled(count: int) -> Outbox:
    outbox = Outbox()
    outbox.add(row(number) for number in range(1, count + 1))
    return outbox


def take(outbox: Outbox, count: int) -> None:
    for _ in range(count):
        number = send(outbox)
        assert number is not None
        outbox.done(number)


def test_only_the_first_texts_are_kept_the_others_are_asked_for_in_order() -> None:
    outbox = filled(3 * PAGE)
    assert outbox.to_load(0.0) == (), "the head is there"
    take(outbox, PAGE)
    assert send(outbox) is None
    asked = outbox.to_load(0.0)
    assert asked == tuple(range(PAGE + 1, 2 * PAGE + 1))
    assert outbox.to_load(LOAD_AGAIN_S - 1.0) == (), "it is on its way"
    assert outbox.loaded(asked, [row(number) for number in asked]) == ()
    take(outbox, PAGE)
    assert len(outbox._texts) == 0


def test_an_answer_nobody_waits_for_changes_nothing() -> None:
    outbox = filled(2 * PAGE)
    take(outbox, PAGE)
    outbox.to_load(0.0)
    assert outbox.loaded((1, 2), []) == ()
    assert send(outbox) is None
    assert len(outbox.to_load(LOAD_AGAIN_S)) == PAGE


def test_a_text_that_is_not_there_is_named() -> None:
    outbox = filled(2 * PAGE)
    take(outbox, PAGE)
    asked = outbox.to_load(0.0)
    assert outbox.loaded(asked, [row(number) for number in asked[1:]]) == (asked[0],)


def test_texts_of_transactions_that_wait_are_not_hoarded() -> None:
    outbox = Outbox()
    outbox.add(row(number, f"T{number % 10}") for number in range(10 * PAGE))
    for _ in range(10):
        number = send(outbox)
        if number is None:
            asked = outbox.to_load(0.0)
            outbox.loaded(asked, [row(one, f"T{one % 10}") for one in asked])
            number = send(outbox)
        assert number is not None
        outbox.failed(number, 0.0, Retry(9, 1e6))
    assert len(outbox._texts) <= PAGE
    assert send(outbox) is None
    assert outbox.to_load(100.0) == ()


def test_new_rows_behind_a_page_do_not_overtake_it() -> None:
    outbox = filled(PAGE + 1)
    take(outbox, PAGE)
    outbox.add([row(1000)])
    assert outbox.to_load(0.0) == (PAGE + 1, 1000)


# -- thinning ------------------------------------------------------------------------------------------------


def test_every_second_reading_goes_and_the_newest_stays() -> None:
    outbox = Outbox([row(1), *(row(number, values_of="T1") for number in range(2, 13)), row(13)])
    assert outbox.thin("T1", 11) == ()
    gone = outbox.thin("T1", 10)
    assert gone == (3, 5, 7, 9, 11)
    assert [number for number in range(1, 14) if number in outbox] == [1, 2, 4, 6, 8, 10, 12, 13]


def test_a_reading_in_flight_is_not_thinned_and_other_groups_are_left_alone() -> None:
    outbox = Outbox([*(row(number, "", values_of="evse 1") for number in range(1, 5)), row(9, "", values_of="evse 2")])
    outbox.done(1)
    outbox.add([row(10, "", values_of="evse 1")])
    assert send(outbox) == 2
    outbox.silent(2, 0.0)
    assert send(outbox) == 3
    assert outbox.thin("evse 1", 1) == ()
    assert 9 in outbox


def test_hundreds_of_thousands_of_rows_are_small() -> None:
    import tracemalloc

    tracemalloc.start()
    outbox = Outbox()
    outbox.add(OutboxRow(number, "CP1", "T1", "MeterValues", "", 0.0, version="ocpp1.6", values_of="T1") for number in range(100_000))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(outbox) == 100_000
    assert size / 100_000 < 200
