"""Whose turn it is on the one link of a site."""

from __future__ import annotations

from controller.facts import Stamp
from controller.link.turns import MOST, PATIENCE, Job, Rank, Turns, Wired, rank_of
from controller.ocpp.hub import Message, Reply, Said


def job(name: str, rank: Rank = Rank.TRANSACTION, **more: object) -> Job:
    return Job(Message(name, {}), rank, [], **more)  # type: ignore[arg-type]


def wired(name: str, rank: Rank = Rank.TRANSACTION) -> Wired:
    return Wired(name, {}, rank, lambda at, reply: [])


def taken(turns: Turns, count: int) -> list[str]:
    names = []
    for _ in range(count):
        item = turns.take()
        assert item is not None
        names.append(item.message.action if isinstance(item, Job) else item.action)
        if isinstance(item, Job):
            turns.ended(item)
    return names


def test_ranks_of_actions() -> None:
    ranks = ["TransactionEvent", "Authorize", "SecurityEventNotification", "StatusNotification", "MeterValues", "NotifyReport", "Whatever"]
    assert [rank_of(action) for action in ranks] == [
        Rank.TRANSACTION,
        Rank.TRANSACTION,
        Rank.SECURITY,
        Rank.STATUS,
        Rank.VALUES,
        Rank.HOUSEKEEPING,
        Rank.HOUSEKEEPING,
    ]


def test_high_ranks_first_and_each_in_its_order() -> None:
    turns = Turns()
    for name, rank in (("h", Rank.HOUSEKEEPING), ("a", Rank.TRANSACTION), ("b", Rank.TRANSACTION), ("s", Rank.STATUS)):
        assert turns.offer(job(name, rank)) == (True, [])
    assert taken(turns, 4) == ["a", "b", "s", "h"]
    assert turns.take() is None


def test_after_its_patience_a_low_rank_is_served_between() -> None:
    turns = Turns()
    turns.offer(job("low", Rank.SECURITY))
    for number in range(PATIENCE[Rank.SECURITY] + 3):
        turns.offer(job(f"t{number}"))
    assert taken(turns, PATIENCE[Rank.SECURITY] + 1)[-1] == "low"


def test_transactions_keep_most_of_the_turns() -> None:
    turns = Turns()
    for rank in Rank:
        for _ in range(MOST[rank]):
            turns.offer(job(rank.name, rank))
    names = taken(turns, 1000)
    assert names.count("TRANSACTION") >= 700
    assert all(names.count(rank.name) for rank in Rank)


def test_what_is_under_way_goes_before_what_waits_in_its_rank() -> None:
    turns = Turns()
    turns.offer(job("later"))
    turns.push(wired("first"))
    assert taken(turns, 2) == ["first", "later"]


def test_one_of_a_chain_at_a_time_and_others_pass() -> None:
    turns = Turns()
    for name, chain in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        turns.offer(job(name, chain=chain))
    first, second = turns.take(), turns.take()
    assert isinstance(first, Job)
    assert isinstance(second, Job)
    assert (first.message.action, second.message.action) == ("a1", "b1")
    assert turns.take() is None
    assert turns.chained("a") == 2
    assert turns.chains() == {"a": 2, "b": 1}
    turns.ended(first)
    assert taken(turns, 1) == ["a2"]


def test_only_what_is_under_way_while_the_disk_writes() -> None:
    turns = Turns()
    turns.offer(job("new"))
    assert turns.take(jobs=False) is None
    turns.push(wired("going on"))
    assert isinstance(turns.take(jobs=False), Wired)


def test_everybody_who_asked_for_the_same_is_answered() -> None:
    heard: list[str] = []

    def then(name: str) -> object:
        return lambda at, reply: heard.append(name) or []

    turns = Turns()
    first = Job(Message("x", {}), Rank.TRANSACTION, [then("one")], same=(1,))  # type: ignore[list-item]
    turns.offer(first)
    turns.offer(Job(Message("x", {}), Rank.TRANSACTION, [then("two")], same=(1,)))  # type: ignore[list-item]
    assert len(turns) == 1
    assert turns.take() is first
    turns.offer(Job(Message("x", {}), Rank.TRANSACTION, [then("three")], same=(1,)))  # type: ignore[list-item]
    assert len(turns) == 0
    reply: Reply = Said({})
    first.answered(Stamp(0, 0), reply)
    first.answered(Stamp(0, 0), reply)
    assert heard == ["one", "two", "three"]


def test_bytes_are_bounded_too_but_a_single_large_one_passes() -> None:
    turns = Turns(most_bytes=100)
    assert turns.offer(job("large", size=500)) == (True, [])
    assert turns.offer(job("small", size=1)) == (False, [])
    other = job("values", Rank.VALUES, size=80, expendable=True)
    turns.offer(other)
    assert turns.offer(job("values", Rank.VALUES, size=80, expendable=True)) == (True, [other])


def test_drained_it_is_empty_and_what_is_under_way_still_blocks_its_chain() -> None:
    turns = Turns()
    turns.offer(job("a1", chain="a"))
    first = turns.take()
    turns.offer(job("a2", chain="a"))
    turns.push(wired("w"))
    drained = turns.drain()
    assert ([item.action for item in drained[0]], [item.message.action for item in drained[1]]) == (["w"], ["a2"])
    turns.offer(job("a3", chain="a"))
    assert turns.take() is None
    assert isinstance(first, Job)
    turns.ended(first)
    assert taken(turns, 1) == ["a3"]
