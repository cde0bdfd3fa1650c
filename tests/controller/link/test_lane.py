"""One CALL in flight per direction, setpoints first."""

from dataclasses import replace

from controller.link.lane import MAX_WAITING_BYTES, Lane, Priority, Waiting
from controller.ocpp.ledger import Owner


def item(name: str, priority: Priority = Priority.RELAYED, owner: Owner = Owner.PEER) -> Waiting:
    return Waiting(name, "Action", f'[2,"{name}","Action",{{}}]', owner, priority, 0.0)


def test_one_in_flight_until_it_is_answered() -> None:
    lane = Lane(30.0)
    assert lane.offer(item("a"))
    assert lane.offer(item("b"))
    first = lane.take(0.0)
    assert first is not None
    assert first.message_id == "a"
    assert lane.take(1.0) is None
    assert lane.settle("a") == first
    second = lane.take(1.0)
    assert second is not None
    assert second.message_id == "b"


def test_a_setpoint_overtakes_relayed_and_housekeeping() -> None:
    lane = Lane(30.0)
    for name, priority in (("house", Priority.HOUSEKEEPING), ("csms", Priority.RELAYED), ("fuse", Priority.SAFETY)):
        lane.offer(item(name, priority))
    order = []
    while (taken := lane.take(0.0)) is not None:
        order.append(taken.message_id)
        lane.settle(taken.message_id)
    assert order == ["fuse", "csms", "house"]


def test_a_deadline_frees_the_lane_and_the_late_answer_is_known_once() -> None:
    lane = Lane(30.0)
    lane.offer(item("a"))
    lane.offer(item("b"))
    lane.take(0.0)
    assert lane.overdue(29.9) == []
    assert [gone.message_id for gone in lane.overdue(30.0)] == ["a"]
    assert lane.take(30.0) is not None
    assert lane.settle("a") is None
    late = lane.late("a")
    assert late is not None
    assert late.message_id == "a"
    assert lane.late("a") is None


def test_a_full_lane_refuses_calls_but_never_a_setpoint() -> None:
    lane = Lane(30.0, max_waiting=2)
    assert lane.offer(item("a"))
    assert lane.offer(item("b"))
    assert not lane.offer(item("c"))
    assert lane.offer(item("fuse", Priority.SAFETY, Owner.OURS))


def test_an_id_that_waits_already_is_not_taken_twice() -> None:
    lane = Lane(30.0)
    assert lane.offer(item("a"))
    assert not lane.offer(item("a"))


def test_drain_gives_what_was_in_flight_first() -> None:
    lane = Lane(30.0)
    lane.offer(item("a"))
    lane.offer(item("b"))
    lane.take(0.0)
    assert [gone.message_id for gone in lane.drain()] == ["a", "b"]
    assert len(lane) == 0
    assert lane.take(0.0) is None


def test_what_a_peer_lets_wait_is_bounded_in_size_but_one_large_call_may() -> None:
    lane = Lane(30.0)
    large = replace(item("a"), text="x" * 10 * MAX_WAITING_BYTES)
    assert lane.offer(large)
    assert not lane.offer(item("b"))
    assert lane.take(0.0) is large
    taken = 0
    while lane.offer(replace(item(f"c{taken}"), text="x" * 1000)):
        taken += 1
    assert MAX_WAITING_BYTES // 2000 < taken < MAX_WAITING_BYTES // 1000
    lane.withdraw(lambda one: one.message_id == "c0")
    assert lane.offer(item("d"))


def test_the_only_call_in_flight_can_be_settled_without_its_id() -> None:
    lane = Lane(30.0)
    assert lane.settle_only() is None
    lane.offer(item("a"))
    assert lane.settle_only() is None
    lane.take(0.0)
    settled = lane.settle_only()
    assert settled is not None
    assert settled.message_id == "a"
    assert not lane.busy
