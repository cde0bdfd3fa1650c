"""Who is next on a bus: order, fairness, gaps, and cancelling at the worst moments."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable

import pytest

from controller.io.field.bus_queue import FairQueue
from controller.io.tasks import spawn


class Bus:
    """A queue and what happens on it."""

    def __init__(self, gaps_s: dict[Hashable, float] | None = None) -> None:
        self.gaps_s = gaps_s or {}
        self.last_s: dict[Hashable, float] = {}
        self.queue = FairQueue(lambda device: self.last_s.get(device, -1e9) + self.gaps_s.get(device, 0.0))
        self.served: list[Hashable] = []
        self.inside = 0

    async def use(self, device: Hashable, urgent: bool = False, work_s: float = 0.0) -> None:
        place = await self.queue.take(device, urgent)
        try:
            self.inside += 1
            assert self.inside == 1, "two at once"
            self.served.append(device)
            await asyncio.sleep(work_s)
        finally:
            self.inside -= 1
            self.last_s[device] = asyncio.get_running_loop().time()
            self.queue.give_back(place)


async def test_equals_are_served_in_the_order_they_came() -> None:
    bus = Bus()
    await asyncio.gather(*(bus.use(number) for number in range(6)))
    assert bus.served == list(range(6))


async def test_who_was_served_longest_ago_comes_first() -> None:
    bus = Bus()
    await bus.use("a")
    await asyncio.gather(bus.use("c"), bus.use("a"), bus.use("a"), bus.use("b"))
    assert bus.served[1:] == ["c", "b", "a", "a"]


async def test_urgent_ones_overtake_but_not_each_other() -> None:
    bus = Bus()
    await asyncio.gather(bus.use("now"), bus.use("poll"), bus.use(1, urgent=True), bus.use(2, urgent=True), bus.use(1, urgent=True))
    assert bus.served == ["now", 1, 2, 1, "poll"]


async def test_a_gap_is_kept_and_used_by_others() -> None:
    bus = Bus({"slow": 0.05})
    loop = asyncio.get_running_loop()
    await bus.use("slow")
    began_s = loop.time()
    await asyncio.gather(bus.use("slow"), bus.use("quick"), bus.use("quick"))
    assert bus.served[1:] == ["quick", "quick", "slow"]
    assert loop.time() - began_s >= 0.049


async def test_a_holder_and_all_that_wait_are_cancelled_at_once() -> None:
    """As when the program stops: nobody gets an error that is not his, and the queue is free again."""
    bus = Bus()
    tasks = [spawn(bus.use(number, work_s=10.0), "user") for number in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in found), found
    await bus.use("after")


async def test_one_that_was_given_the_turn_and_cancelled_before_it_knew_hands_it_on() -> None:
    bus = Bus()
    first = await bus.queue.take("a", False)
    second, third = spawn(bus.use("b"), "user"), spawn(bus.use("c"), "user")
    await asyncio.sleep(0)
    bus.queue.give_back(first)
    second.cancel()
    async with asyncio.timeout(20):
        await third
    assert bus.served == ["c"]


@pytest.mark.parametrize("seed", range(5))
async def test_any_cancelling_leaves_the_queue_whole(seed: int) -> None:
    rng = random.Random(seed)
    bus = Bus({number: 0.001 * (number % 3) for number in range(6)})
    tasks = []
    for _ in range(150):
        tasks.append(spawn(bus.use(rng.randrange(6), rng.random() < 0.2, rng.choice((0.0, 0.0, 0.001))), "user"))
        if rng.random() < 0.4:
            rng.choice(tasks).cancel()
        if rng.random() < 0.5:
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await bus.use("after")
    assert all(one is None or isinstance(one, asyncio.CancelledError) for one in found), found
    assert bus.queue.waiting == 0
