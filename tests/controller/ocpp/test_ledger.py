"""Who owns which id, and for how long."""

from controller.ocpp.ledger import Entry, Ledger, Owner


def entry(message_id: str, owner: Owner = Owner.PEER, deadline_mono_s: float = 30.0) -> Entry:
    return Entry(message_id, owner, "Heartbeat", 0.0, deadline_mono_s)


def test_an_answer_settles_its_call_once() -> None:
    ledger = Ledger()
    assert ledger.book(entry("a"))
    assert ledger.pending == 1
    settled = ledger.settle("a")
    assert settled is not None
    assert settled.owner is Owner.PEER
    assert ledger.settle("a") is None
    assert ledger.pending == 0


def test_an_answer_to_nobody_settles_nothing() -> None:
    ledger = Ledger()
    ledger.book(entry("a"))
    assert ledger.settle("b") is None
    assert ledger.pending == 1


def test_a_pending_id_cannot_be_booked_twice_and_keeps_its_owner() -> None:
    ledger = Ledger()
    assert ledger.book(entry("a", Owner.OURS))
    assert not ledger.book(entry("a", Owner.PEER))
    settled = ledger.settle("a")
    assert settled is not None
    assert settled.owner is Owner.OURS


def test_a_settled_id_may_come_again_as_a_new_call() -> None:
    ledger = Ledger()
    ledger.book(entry("a"))
    ledger.settle("a")
    assert ledger.book(entry("a", Owner.OURS))


def test_overdue_calls_are_told_once_in_their_order_at_their_deadline() -> None:
    ledger = Ledger()
    for message_id, deadline in (("a", 10.0), ("b", 20.0), ("c", 10.0)):
        ledger.book(entry(message_id, deadline_mono_s=deadline))
    assert ledger.overdue(9.9) == ()
    assert [e.message_id for e in ledger.overdue(10.0)] == ["a", "c"]
    assert ledger.overdue(10.0) == ()
    assert ledger.pending == 1


def test_a_late_answer_is_known_once() -> None:
    ledger = Ledger()
    ledger.book(entry("a"))
    ledger.overdue(30.0)
    assert ledger.settle("a") is None
    late = ledger.late("a")
    assert late is not None
    assert late.message_id == "a"
    assert ledger.late("a") is None


def test_a_retry_under_the_same_id_is_no_longer_late() -> None:
    ledger = Ledger()
    ledger.book(entry("a"))
    ledger.overdue(30.0)
    assert ledger.book(entry("a", deadline_mono_s=90.0))
    assert ledger.late("a") is None
    assert ledger.settle("a") is not None


def test_what_is_remembered_is_bounded_and_the_oldest_leaves_first() -> None:
    ledger = Ledger(memory=2)
    for message_id in "xyz":
        ledger.book(entry(message_id))
    ledger.overdue(99.0)
    assert [ledger.late(message_id) is not None for message_id in "xyz"] == [False, True, True]


def test_a_lost_link_gives_back_all_that_waited() -> None:
    ledger = Ledger()
    ledger.book(entry("a", Owner.OURS))
    ledger.book(entry("b"))
    ledger.book(entry("c"))
    assert [e.message_id for e in ledger.drain()] == ["a", "b", "c"]
    assert ledger.pending == 0
    assert ledger.drain() == ()
    assert ledger.settle("a") is None
