"""Senders of limits name themselves: made-up names must cost neither memory nor a limit in force."""

from __future__ import annotations

from typing import Any

from controller.facts import LimitReceived, LimitUnit
from controller.orders import AnswerLimit, Order, Persist, Tell
from controller.site.grid.fleet_limits import CROWDED, MOST_SENDERS, NO_ROOM
from controller.site.grid.keeping import MOST_UNDER_WAY
from tests.support.signal_story import SignalStory

FLOOD = 3 * MOST_SENDERS


def state(story: SignalStory, name: str, amps: float | None, for_s: float = 600.0, number: int = 1, **more: Any) -> list[Order]:
    return story.do(LimitReceived(story.at(), name, "grid", amps, LimitUnit.A, for_s, number=number, **more))


def answer(orders: list[Order]) -> AnswerLimit:
    (found,) = (order for order in orders if isinstance(order, AnswerLimit))
    return found


def held(story: SignalStory) -> dict[str, float]:
    return {limit.source: limit.value for limit in story.site.limits.stated(story.now)}


def sizes(story: SignalStory) -> list[int]:
    site = story.site
    kept = [memory for (space, _), memory in story.memories.items() if space == "limit" and memory is not None]
    return [len(site.limits._fleet._sent), len(site.keeping._sent), len(site.keeping._writing), len(site.changes._told), len(kept)]


def test_names_that_come_and_go_cost_nothing_and_the_limit_in_force_stays() -> None:
    story = SignalStory()
    state(story, "mqtt:fleet", 16.0, 86_000.0, sequence=7)
    for number in range(FLOOD):
        assert answer(state(story, f"mqtt:made-up-{number}", 20.0, 0.5)).accepted
        story.now += 1.0
        story.do(story.tick())
    assert held(story) == {"mqtt:fleet": 16.0}
    assert max(sizes(story)) <= MOST_SENDERS + 5
    assert "7 is not newer" in answer(state(story, "mqtt:fleet", 10.0, 60.0, sequence=7)).reason
    story.restart()
    assert held(story) == {"mqtt:fleet": 16.0}


def test_where_all_have_a_limit_in_force_a_new_name_is_refused_and_people_hear_of_it_once() -> None:
    story = SignalStory()
    told = [order for number in range(FLOOD) for order in state(story, f"mqtt:made-up-{number}", 20.0 + number % 5)]
    assert len(held(story)) == MOST_SENDERS
    refused = answer(state(story, "mqtt:late", 6.0))
    assert (refused.accepted, refused.holds, refused.reason) == (False, False, NO_ROOM.reason)
    assert sum(isinstance(order, Tell) and "limits of new senders are refused" in order.text for order in told) == 1
    assert answer(state(story, "mqtt:made-up-3", 8.0)).accepted  # who is known goes on
    assert answer(state(story, "mqtt:made-up-4", None)).accepted
    assert answer(state(story, "mqtt:late", 6.0)).accepted  # and who withdraws makes room
    assert held(story)["mqtt:late"] == 6.0
    before = held(story)
    story.restart()
    assert held(story) == before
    assert max(sizes(story)) <= MOST_SENDERS + 5


def test_refusals_of_made_up_names_cost_nothing_either() -> None:
    story = SignalStory()
    for number in range(FLOOD):
        assert not answer(state(story, f"mqtt:made-up-{number}", -1.0)).accepted
    assert max(sizes(story)) <= 5


def test_a_disk_that_says_nothing_for_hours_bounds_new_names_and_keeps_those_in_force() -> None:
    story = SignalStory()
    story.disk = None
    state(story, "mqtt:fleet", 16.0, 86_000.0)
    last = [answer_ for number in range(FLOOD) for answer_ in _answers(story, number)]
    assert len(story.site.keeping._writing) <= MOST_UNDER_WAY + 1
    assert last[-1].reason == CROWDED.reason
    assert answer(state(story, "mqtt:fleet", 12.0, 86_000.0) + _later(story)).holds
    assert held(story)["mqtt:fleet"] == 12.0
    story.write()
    assert answer(state(story, "mqtt:new", 14.0) + story.write()).accepted


def _answers(story: SignalStory, number: int) -> list[AnswerLimit]:
    orders = state(story, f"mqtt:made-up-{number}", 20.0, 0.5)
    story.now += 1.0
    return [order for order in [*orders, *story.do(story.tick())] if isinstance(order, AnswerLimit)]


def _later(story: SignalStory) -> list[Order]:
    story.now += 5.0
    return story.do(story.tick())


def test_a_disk_that_refuses_for_hours_costs_no_memory() -> None:
    story = SignalStory()
    story.disk = False
    for number in range(FLOOD):
        assert answer(state(story, f"mqtt:made-up-{number}", 20.0, 0.5)).holds
        story.now += 1.0
        story.do(story.tick())
    assert max(sizes(story)) <= MOST_SENDERS + 5
    assert len(story.site.keeping._unsure) <= MOST_SENDERS + 5


def test_a_forgotten_name_is_taken_out_of_the_journal() -> None:
    story = SignalStory()
    for number in range(MOST_SENDERS + 1):
        state(story, f"mqtt:{number}", 20.0, 0.5)
        story.now += 1.0
        orders = story.do(story.tick())
    assert story.memories["limit", "mqtt:0:grid"] is None
    assert not any(isinstance(order, Persist) and ("limit", "mqtt:1:grid") in order.remember for order in orders)
